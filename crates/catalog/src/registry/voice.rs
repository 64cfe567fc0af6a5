//! Carriers that bring calls by WebSocket.

#[rustfmt::skip]
super::table! { Service:
    Info carrier_stream(carrier: Text, call: Text);
    Warning log_carrier_refused(carrier: Text, request: Text, cause: Text);
    Notice log_stream_refused(carrier: Text, source: Text, cause: Text);
    Notice log_webhook_refused(carrier: Text, source: Text, cause: Text);
    Error carrier_call_refused(cause: Text);
    Info log_carrier_status(carrier: Text, call: Text, state: Text);
}
