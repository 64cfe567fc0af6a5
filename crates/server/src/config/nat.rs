//! How the address of audio is found, and who is asked for it.

use engine::config::Secret;
use engine::nat::{NatConfig, NatMode, ServerAddress, TurnServer};

use super::bad_value;
use crate::settings::{Problem, Settings};

/// A server of the settings.
pub(super) fn server(
    settings: &Settings,
    key: &'static str,
    problems: &mut Vec<Problem>,
) -> Option<ServerAddress> {
    let text = settings.set(key)?;
    let server = text.parse().ok();
    if server.is_none() {
        problems.push(bad_value(settings, key, "host:3478"));
    }
    server
}

/// For lines that do not say it.
pub(super) fn configured(settings: &Settings, problems: &mut Vec<Problem>) -> NatConfig {
    let turn = server(settings, "nat.turn_server", problems);
    NatConfig {
        mode: NatMode::from_name(settings.text("line.nat")).unwrap_or_default(),
        stun_server: None,
        turn: turn.map(|address| TurnServer {
            address,
            username: settings.text("nat.turn_username").to_owned(),
            password: Secret::new(settings.text("nat.turn_password")),
        }),
    }
}
