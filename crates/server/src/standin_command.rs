//! `allo engine-standin`: the stand-in for a realtime voice service.

use crate::cli::StandinArguments;
use crate::shutdown::Signals;
use crate::telemetry;
use crate::terminal::{Terminal, line};
use catalog::{Language, Message};
use standin::realtime::{Config, Dialect, Server};
use standin::scenario::{Prepared, Scenario};
use standin::speech::{Speech, SpeechError};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the command until a signal.
pub(crate) async fn run(arguments: &StandinArguments) -> ExitCode {
    telemetry::install_with(
        &std::env::var("ALLO_SERVER_LOG_LEVEL").unwrap_or_else(|_| "info".to_owned()),
        false,
    );
    let terminal = Terminal::new(language_of_environment());
    match serve(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            terminal.complain(&message);
            ExitCode::FAILURE
        }
    }
}

fn language_of_environment() -> Language {
    std::env::var("ALLO_SERVER_LANGUAGE")
        .ok()
        .and_then(|tag| Language::from_tag(&tag))
        .unwrap_or_default()
}

async fn serve(arguments: &StandinArguments) -> Result<(), Message> {
    let mut signals = Signals::install().map_err(|error| start_failed(&error))?;
    let scenario = scenario(&arguments.scenario)?;
    let speech = Speech::new(None);
    let prepared = prepare(scenario, &speech).await?;
    let mut config = Config::new(prepared, speech);
    config.listen = arguments.listen;
    config.api_key.clone_from(&arguments.key);
    config.dialect = Dialect::from_name(&arguments.dialect).unwrap_or_default();
    let server = Server::start(config).await.map_err(|error| {
        Message::new("port_in_use")
            .with("protocol", "WebSocket")
            .with("address", arguments.listen.to_string())
            .with("cause", crate::serve::causes(&error))
    })?;
    line(&server.url());
    signals.next().await;
    server.shutdown().await;
    Ok(())
}

/// A scenario by its embedded name or from a file.
///
/// # Errors
/// The message says what is wrong with it.
pub(crate) fn scenario(name: &str) -> Result<Scenario, Message> {
    match Scenario::embedded(name) {
        Some(scenario) => Ok(scenario),
        None => Scenario::from_file(Path::new(name)).map_err(|error| {
            Message::new("scenario_unusable")
                .with("path", name)
                .with("cause", crate::serve::causes(&error))
        }),
    }
}

/// Speaks every line of the scenario once.
///
/// # Errors
/// The message names the missing synthesiser, or what it said.
pub(crate) async fn prepare(scenario: Scenario, speech: &Speech) -> Result<Arc<Prepared>, Message> {
    scenario
        .prepare(speech)
        .await
        .map_err(|error| match &error {
            SpeechError::NotInstalled => Message::new("espeak_missing"),
            SpeechError::Run(_)
            | SpeechError::TimedOut
            | SpeechError::Refused { .. }
            | SpeechError::NoSound
            | SpeechError::TooLong => start_failed(&error),
        })
}

fn start_failed(error: &dyn std::error::Error) -> Message {
    Message::new("start_failed").with("cause", crate::serve::causes(error))
}
