//! The manager of agents, and the discovery of agents in a back office.

#[rustfmt::skip]
super::table! { Service:
    Info log_agent_state(agent: Text, from: Text, to: Text, cause: Text optional);
    Warning log_agent_failed(agent: Text, cause: Text, minutes: Count);
    Info log_agents_managed(count: Count, seconds: Count);
    Info log_agent_process_begun(agent: Text, role: Text, pid: Text, port: Text);
    Info log_agent_process_found(agent: Text, role: Text, pid: Text, port: Text);
    Notice log_agent_processes_found(count: Count);
    Warning log_agent_process_died(agent: Text, role: Text, pid: Text, port: Text);
    Warning log_agent_process_not_begun(agent: Text, cause: Text);
    Error apart_second_manager(path: Text);
    Info log_agents_discovered(count: Count, added: Count, changed: Count, removed: Count, address: Text);
    Warning log_discovery_failed(address: Text, cause: Text);
    Notice log_discovery_back(address: Text);
    Notice log_discovery_doubted(address: Text, known: Count, listed: Count);
    Warning log_discovered_left_out(agent: Text, cause: Text);
    Warning api_agent_unknown(id: Text);
    Warning api_agent_not_written();
    Error api_discovery_failed(address: Text, cause: Text);
    Warning api_foreign_page();
}
