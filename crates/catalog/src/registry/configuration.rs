//! Settings that cannot be used, and why the service does not start.

#[rustfmt::skip]
super::table! { Configuration:
    Info config_ok();
    Error config_unknown_key(path: Text, line: Number, key: Text, nearest: Text optional);
    Error config_unknown_variable(variable: Text, nearest: Text optional);
    Error config_bad_value(key: Text, origin: Text, value: Text, expected: Text);
    Error config_missing_key(key: Text, variable: Text optional);
    Error config_missing_pair(key: Text, other: Text);
    Error config_missing_engine_key(variable: Text);
    Error config_file_unreadable(path: Text, cause: Text);
    Error config_file_syntax(path: Text, line: Number, cause: Text);
    Error config_open_without_loopback(key: Text, address: Text, origin: Text, switch: Text);
    Error config_public_without_tls(key: Text, address: Text, origin: Text);
    Error config_no_listener();
    Warning config_no_line();
    Notice config_no_effect(variable: Text, why: Text);
    Error port_in_use(protocol: Text, address: Text, cause: Text);
    Error start_failed(cause: Text);
}
