#[test]
fn the_password_of_a_database_is_not_shown() {
    for (address, shown) in [
        (
            "postgres://allo:p%40@ss@db:5432/allo?sslmode=require&password=x",
            "postgres://allo@db:5432/allo",
        ),
        ("postgresql://allo@db/allo", "postgresql://allo@db/allo"),
        ("postgres://db/allo?password=x", "postgres://db/allo"),
        ("data/allo.db", "data/allo.db"),
        ("sqlite:data/a@b.db", "sqlite:data/a@b.db"),
    ] {
        assert_eq!(without_password(address), shown);
    }
}

use super::*;
use crate::settings::read::{Sources, read};

fn with(variables: &[(&str, &str)]) -> Result<ProcessConfig, Vec<Problem>> {
    let mut sources = Sources::default();
    for (name, value) in variables {
        sources
            .environment
            .insert((*name).to_owned(), (*value).to_owned());
    }
    sources.environment.insert(
        "OPENAI_API_KEY".to_owned(),
        "sk-0123456789abcdef".to_owned(),
    );
    build(&read(&sources)?)
}

/// The variables of the bridge's launcher, as existing `.env` files have them.
#[test]
fn the_launchers_variables_make_a_line() {
    let config = with(&[
        ("SIP_USERNAME", "0033972360682"),
        ("SIP_PASSWORD", "secret"),
        ("SIP_DOMAIN", "sip.ovh.fr"),
        ("SIP_PORT", "5080"),
        ("SIP_TRANSPORT", "TCP"),
        ("MAX_CALL_DURATION", "0"),
        ("MAX_CONCURRENT_CALLS", "3"),
    ])
    .unwrap_or_else(|problems| panic!("{problems:?}"));
    let account = config.engine.lines[0].account.as_ref().unwrap();
    assert_eq!(account.aor, "sip:0033972360682@sip.ovh.fr");
    assert_eq!(
        (account.protocol, account.registrar.as_deref()),
        (sip::Protocol::Tcp, None)
    );
    assert_eq!(config.engine.sip.udp.unwrap().port(), 5080);
    assert_eq!(config.engine.sip.tcp.unwrap().port(), 5080);
    assert_eq!(config.engine.limits.calls_max, 3);
    assert_eq!(config.engine.agents[0].profile.max_duration_ms, 0);
    assert_eq!(
        config.engine.agents[0].engine.realtime.model,
        "gpt-realtime-2.1"
    );
}

#[test]
fn defaults_are_those_of_the_contracts() {
    let config =
        with(&[("SIP_USERNAME", "1000")]).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(
        config.engine.lines[0].account.as_ref().unwrap().aor,
        "sip:1000@sip.twilio.com"
    );
    assert_eq!(config.engine.sip.udp.unwrap().port(), 5060);
    assert_eq!(
        (config.engine.rtp.port_min, config.engine.rtp.port_max),
        (10_000, 20_000)
    );
    assert_eq!(config.engine.limits.calls_max, 10);
    assert_eq!(config.engine.agents[0].profile.max_duration_ms, 600_000);
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:8080");
    assert!(!config.engine.recording.enabled);
}

#[test]
fn a_missing_engine_key_is_said() {
    let problems = build(&read(&Sources::default()).unwrap()).err().unwrap();
    assert_eq!(problems[0].code, "config_missing_engine_key");
}
