//! Structured logs, one line an event. Numbers are redacted where they are logged, by their types.

use crate::settings::Settings;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

/// Installs the subscriber. A filter that cannot be read falls back to `info`.
pub(crate) fn install(settings: &Settings) {
    install_with(
        settings.text("server.log_level"),
        settings.text("server.log_format") == "json",
    );
}

/// As [`install`], with explicit values.
pub(crate) fn install_with(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
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
