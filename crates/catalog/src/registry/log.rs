//! Lines of the log.

#[rustfmt::skip]
super::table! { Log:
    Info log_started(version: Text optional);
    Info log_listening(protocol: Text, address: Text);
    Info log_accounts_loaded(count: Count);
    Info log_registration_succeeded(registrar: Text, line: Text optional);
    Info log_registration(line: Text, state: Text);
    Info log_agent_selected(agent: Text, line: Text optional);
    Info log_voice_bridge_started(call: Text optional);
    Info log_call_answered(call: Text optional, after: Duration optional);
    Info log_call_ended(call: Text optional, reason: Text optional, duration: Duration optional);
    Warning log_call_overloaded(invite: Number optional);
    Warning log_calls_recovered(count: Count);
    Info log_retention_swept(count: Count);
    Info log_provisioned(house: Text, agent: Text);
    Warning log_provisioning_failed(house: Text, step: Text, cause: Text);
    Info log_drain_started(seconds: Count, calls: Count optional);
    Info log_drain_finished(finished: Count optional, cut: Count optional);
    Warning log_record_late(call: Text);
    Info log_journal_recovered();
    Warning log_greeting_not_kept(error: Text);
    Notice log_greeting_discarded();
    Error log_recording_failed(state: Text optional, error: Text optional);
    Info log_chat_started(chat: Text, agent: Text);
    Info log_chat_ended(chat: Text, reason: Text);
    Warning log_chat_failed(chat: Text, cause: Text);
    Warning log_chats_not_ended(cause: Text);
    Warning log_accept_failed(error: Text optional);
    Info log_connection_aborted();
    Warning log_source_banned(source: Text, minutes: Count);
    Warning log_tls_refused(destination: Text optional, error: Text optional);
    Info log_datagram_not_sent(destination: Text optional, error: Text optional);
    Info log_sip_command_refused(command: Text optional, error: Text optional);
    Warning log_no_name_servers();
    Info log_call_started(call: Text, line: Text optional, from: Phone optional, to: Phone optional);
    Info log_call_placed(call: Text, line: Text optional, from: Phone optional, to: Phone optional);
    Notice log_call_refused(call: Text optional, from: Phone optional, source: Text optional, cause: Text optional, reason: Text optional);
    Warning log_journal_late();
    Warning log_drain_incomplete(calls: Count);
    Warning log_unregister_incomplete();
    Info log_engine_event_ignored(event_type: Text optional);
    Info log_accounts_loading();
    Info log_account_default(label: Text, account: Text);
    Info log_account_created(label: Text, uri: Phone);
    Info log_accounts_starting(count: Count);
    Info log_account_started(account: Text);
    Info log_passwords_sealed(count: Count);
    Info log_workflow_selected(workflow: Text);
    Info log_workflow_account(account: Text);
    Notice log_call_failed_over(account: Text, status: Number);
    Notice log_account_failing(account: Text);
    Notice log_account_recovered(account: Text);
    Warning log_alert_not_written(cause: Text);
}
