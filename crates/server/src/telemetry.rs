//! Structured logs, one line an event. Numbers are redacted where they are logged, by their types.

use crate::settings::Settings;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

/// What is heard where a filter cannot be read.
const QUIET: &str = "info,rustls=error,str0m=error,is=error,dimpl=error,rtc_dtls=error,turn_client_proto=error,stun_proto=error";
/// Libraries that are heard where they are named.
const LIBRARIES: [&str; 7] = [
    "rustls",
    "str0m",
    "is",
    "dimpl",
    "rtc_dtls",
    "turn_client_proto",
    "stun_proto",
];

/// The libraries of TLS and of WebRTC warn of habits of peers that harm nobody (a telephone that writes an address where a name belongs,
/// in each handshake; a browser's attribute), and in detail tell whole descriptions; whoever wants to see them names them.
fn quiet(filter: &str) -> String {
    let mut quiet = filter.to_owned();
    if filter != "off" {
        let named = |library: &str| filter.split(',').any(|part| part.starts_with(library));
        for library in LIBRARIES.into_iter().filter(|library| !named(library)) {
            quiet += &format!(",{library}=error");
        }
    }
    quiet
}

/// Installs the subscriber. A filter that cannot be read falls back to `info`.
pub(crate) fn install(settings: &Settings) {
    install_with(
        settings.text("server.log_level"),
        settings.text("server.log_format") == "json",
    );
}

/// As [`install`], with explicit values.
pub(crate) fn install_with(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(quiet(filter)).unwrap_or_else(|_| EnvFilter::new(QUIET));
    let registry = tracing_subscriber::registry().with(filter);
    // A second installation (tests in one process) keeps the first.
    if json {
        let _ = registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init();
    } else {
        let _ = registry
            .with(
                fmt::layer()
                    .with_target(false)
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(std::io::stderr),
            )
            .try_init();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_quiet_unless_they_are_named() {
        assert_eq!(quiet("info"), QUIET);
        assert_eq!(
            quiet("info,rustls=debug"),
            "info,rustls=debug,str0m=error,is=error,dimpl=error,rtc_dtls=error,turn_client_proto=error,stun_proto=error"
        );
        assert_eq!(quiet("off"), "off");
        for filter in ["info", "warn", "off", "engine=debug"] {
            assert!(EnvFilter::try_new(quiet(filter)).is_ok(), "{filter}");
        }
    }
}
