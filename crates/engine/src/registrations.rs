//! Words for registration states.

use catalog::Message;
use sip::{AccountConfig, RegistrationFailure, RegistrationState};

/// Label of a state, for metrics.
pub(crate) const fn label(state: &RegistrationState) -> &'static str {
    match state {
        RegistrationState::Unregistered => "unregistered",
        RegistrationState::Registering => "registering",
        RegistrationState::Registered { .. } => "registered",
        RegistrationState::Failed { .. } => "failed",
    }
}

/// The state in a sentence for the log.
pub(crate) fn log_message(
    state: &RegistrationState,
    line: &str,
    account: Option<&AccountConfig>,
) -> Message {
    let registrar = account.map_or("", registrar);
    let message = match state {
        RegistrationState::Unregistered => Message::new("registration_unregistered"),
        RegistrationState::Registering => Message::new("registration_registering"),
        RegistrationState::Registered { .. } => {
            Message::new("log_registration_succeeded").with("registrar", registrar)
        }
        RegistrationState::Failed { cause, .. } => failure(*cause, registrar),
    };
    message.with("line", line)
}

fn failure(cause: RegistrationFailure, registrar: &str) -> Message {
    match cause {
        RegistrationFailure::WrongCredentials => {
            Message::new("registration_wrong_credentials").with("registrar", registrar)
        }
        RegistrationFailure::Refused(status) => Message::new("registration_refused")
            .with("registrar", registrar)
            .with("status", status),
        RegistrationFailure::Timeout => {
            Message::new("registration_timeout").with("registrar", registrar)
        }
        RegistrationFailure::Unreachable => {
            Message::new("registration_unreachable").with("registrar", registrar)
        }
        RegistrationFailure::Dns => Message::new("registration_dns").with("host", registrar),
    }
}

/// The registrar of an account: its own setting, else the domain of its address.
fn registrar(account: &AccountConfig) -> &str {
    let address = account.registrar.as_deref().unwrap_or(&account.aor);
    let rest = address.split_once(':').map_or(address, |(_, rest)| rest);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}
