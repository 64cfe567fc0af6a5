//! Requests that leave the house: webhooks, tools, and the settings that bound them.

#[rustfmt::skip]
super::table! { Log:
    Warning log_webhook_failing(destination: Text, cause: Text optional);
    Info log_webhook_recovered(destination: Text);
    Warning log_traces_lost(cause: Text);
    Info log_traces_taken();
    Error log_webhook_dead(destination: Text, delivery: Text, cause: Text optional);
    Error log_outbox_store_failing();
    Info log_outbox_store_recovered();
    Error courier_allow_invalid(entry: Text);
}
