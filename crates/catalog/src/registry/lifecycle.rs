//! Calls of agents of the database: what is asked before the answer, their tools, the directory.

#[rustfmt::skip]
super::table! { Service:
    Notice call_check_unanswered(reply: Text);
    Notice call_check_refused(check: Text);
    Warning call_checks_failed(cause: Text);
    Warning session_data_missing(cause: Text);
    Notice tool_refused_by_policy(tool: Text, why: Text);
    Warning log_tool_run_left(count: Count);
    Warning log_line_left_out(line: Text);
    Warning log_agent_left_out(agent: Text, cause: Text);
    Warning log_directory_unread(cause: Text);
    Warning log_line_password_unread(line: Text);
    Notice log_calls_closed(count: Count);
    Notice log_tool_runs_resumed(count: Count);
}
