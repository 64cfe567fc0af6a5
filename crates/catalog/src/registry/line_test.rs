//! The test of a line before it is saved.

#[rustfmt::skip]
super::table! { Registration:
    Error line_test_address_unusable(address: Phone);
    Info line_test_dns_ok(host: Text, found: Text);
    Error line_test_dns_unknown(host: Text);
    Error line_test_dns_empty(host: Text);
    Error line_test_dns_silent(host: Text);
    Error line_test_inward(host: Text);
    Info line_test_port_ok(address: Text, protocol: Text);
    Error line_test_port_closed(address: Text, protocol: Text);
    Error line_test_port_silent(address: Text, protocol: Text);
    Error line_test_port_failed(address: Text, protocol: Text, cause: Text);
    Info line_test_tls_ok(name: Text, days: Count);
    Warning line_test_tls_soon(name: Text, days: Count);
    Error line_test_tls_expired(name: Text);
    Error line_test_tls_name(name: Text, names: Text optional);
    Error line_test_tls_untrusted(name: Text);
    Error line_test_tls_failed(name: Text optional, cause: Text);
    Info line_test_options_ok(status: Number, server: Text optional);
    Notice line_test_options_silent();
    Info line_test_register_ok(registrar: Text, expires: Number);
    Info line_test_register_proved(registrar: Text, count: Count);
    Notice line_test_register_open(registrar: Text, expires: Number optional);
    Info line_test_register_off();
    Error line_test_register_wrong(registrar: Text, username: Phone);
    Error line_test_register_forbidden(registrar: Text, username: Phone);
    Error line_test_register_unknown(registrar: Text, username: Phone);
    Error line_test_register_brief(registrar: Text, minimum: Number optional);
    Error line_test_register_unsupported(registrar: Text);
    Error line_test_register_refused(registrar: Text, status: Number, reason: Text optional);
    Error line_test_register_silent(registrar: Text);
    Info line_test_call_answered(number: Phone, after: Duration, packets: Count);
    Warning line_test_call_silent(number: Phone);
    Notice line_test_call_rang(number: Phone);
    Error line_test_call_refused(number: Phone, status: Number, reason: Text optional);
    Error line_test_call_nothing(number: Phone);
    Error line_test_call_unusable(number: Phone);
    Info line_test_skipped();
}
