//! The bridge between SIP and an application's WebSocket.

#[rustfmt::skip]
super::table! { Service:
    Warning log_application_unreachable(call: Text, cause: Text);
    Warning log_bridge_callback_failed(destination: Text, event: Text, cause: Text);
    Error bridge_username_missing();
    Error bridge_option_invalid(option: Text, value: Text, example: Text);
    Error bridge_sound_unsupported(option: Text);
    Error bridge_token_missing(address: Text);
    Warning bridge_call_over();
    Warning bridge_call_not_ringing();
    Warning bridge_busy(count: Count);
    Warning bridge_transfer_running();
    Warning bridge_transfer_refused(cause: Text);
}
