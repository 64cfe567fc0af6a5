//! The bridge between SIP and an application's WebSocket.

#[rustfmt::skip]
super::table! { Service:
    Warning log_application_unreachable(call: Text, cause: Text);
}
