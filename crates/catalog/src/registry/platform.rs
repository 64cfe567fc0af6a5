//! The platform API.

#[rustfmt::skip]
super::table! { Service:
    Warning platform_unauthorized();
    Warning api_forbidden();
    Warning api_unknown();
    Warning api_invalid(count: Count);
    Warning api_rate_limited(seconds: Count);
    Warning api_body_too_large();
    Warning api_body_too_deep(depth: Count);
    Warning api_body_slow();
    Warning api_media_type();
    Notice api_precondition_failed();
    Notice api_precondition_required();
    Warning api_idempotency_mismatch();
    Notice api_idempotency_in_progress();
    Warning api_idempotency_key();
    Warning api_exists();
    Warning api_in_use();
    Warning api_number_taken();
    Warning api_login_failed();
    Warning api_login_blocked(seconds: Count);
    Warning api_forged();
    Warning api_link_used();
    Warning api_ticket_used();
    Warning server_fault_engine();
    Warning server_fault_registration();
    Warning server_fault_media();
    Warning server_fault_hung();
    Warning server_fault_died();
    Warning server_fault_memory();
    Warning server_fault_settings(cause: Text);
    Notice first_run_link(link: Text, hours: Count);
    Notice first_run_unneeded();
    Error first_run_failed(cause: Text);
    Notice pages_missing();
    Warning api_too_many_watchers();
    Warning api_too_many_listeners();
    Notice api_call_not_heard(id: Text);
    Warning api_no_chat();
    Warning api_chat_unavailable();
    Warning api_chat_ended();
    Warning api_chat_busy();
    Warning api_chat_full(max: Count);
    Warning api_chat_too_many();
    Warning api_chat_origin(origin: Text);
    Warning chat_turn_failed(cause: Text);
    Warning api_call_refused(cause: Text);
    Notice api_call_not_allowed();
    Warning api_line_tests_busy();
    Warning api_trials_busy();
    Warning api_trial_failed(cause: Text);
    Warning api_share_over();
    Notice api_shares_full();
    Notice api_call_runs(id: Text);
    Warning api_rotation_untested();
    Warning api_rotation_refused(cause: Text);
}
