//! Where a line stands at its operator.

#[rustfmt::skip]
super::table! { Registration:
    Info registration_registered(line: Text optional, registrar: Text optional);
    Info registration_registering(line: Text optional);
    Info registration_unregistered(line: Text optional);
    Error registration_wrong_credentials(line: Text optional, registrar: Text optional);
    Error registration_refused(line: Text optional, registrar: Text optional, status: Number optional);
    Warning registration_timeout(line: Text optional, registrar: Text optional, protocol: Text optional, after: Duration optional);
    Warning registration_unreachable(line: Text optional, registrar: Text optional);
    Error registration_dns(line: Text optional, host: Text optional);
}
