//! The server that runs on the same data directory, if one does.

use super::{Area, Findings};
use crate::config::ProcessConfig;
use crate::server_client::ServerClient;
use catalog::Message;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How the verdicts begin of calls whose caller was not heard.
const ONE_WAY: &str = "end_one_way_audio";

/// What the running server says of itself.
#[derive(Default)]
pub(super) struct Beside {
    /// Its bound addresses by name; empty where none runs.
    pub(super) addresses: BTreeMap<String, String>,
    health: Option<Value>,
    registrations: Vec<Value>,
    /// The last calls.
    calls: Vec<Value>,
}

/// Asks the server, where one runs.
pub(super) async fn find(config: &ProcessConfig) -> Beside {
    let Some(client) = ServerClient::find(config).await else {
        return Beside::default();
    };
    let registrations = client.get("/api/registrations").await;
    let calls = client.get("/api/calls").await;
    let calls = calls.and_then(|answer| answer["calls"].as_array().cloned());
    let rows = registrations
        .as_ref()
        .and_then(|answer| answer["registrations"].as_array().cloned());
    Beside {
        addresses: client.addresses,
        health: Some(client.health),
        registrations: rows.unwrap_or_default(),
        calls: calls.unwrap_or_default(),
    }
}

impl Beside {
    pub(super) const fn runs(&self) -> bool {
        self.health.is_some()
    }

    pub(super) fn store_failing(&self) -> bool {
        let health = self.health.as_ref();
        health.is_some_and(|health| health["storeFailing"] == Value::Bool(true))
    }

    pub(super) fn lines(&self) -> &[Value] {
        &self.registrations
    }

    pub(super) fn message(&self) -> Message {
        match &self.health {
            None => Message::new("doctor_server_stopped"),
            Some(health) => Message::new("doctor_server_running")
                .with("version", health["version"].as_str().unwrap_or_default())
                .with("calls", health["activeCalls"].as_u64().unwrap_or_default()),
        }
    }

    /// The newest of the last calls whose audio went one way, each reason once, as its own page explains it.
    pub(super) fn one_way_calls(&self, findings: &mut Findings) {
        let mut told = BTreeSet::new();
        for call in &self.calls {
            let verdict = &call["verdict"];
            let code = verdict["code"].as_str().unwrap_or_default();
            if !code.starts_with(ONE_WAY) || !told.insert(code) {
                continue;
            }
            if let Ok(message) = serde_json::from_value::<Message>(verdict.clone()) {
                findings.named(Area::Nat, call["id"].as_str(), message);
            }
        }
    }

    /// Where the server's lines stand.
    pub(super) fn registrations(&self, findings: &mut Findings) {
        for row in &self.registrations {
            let line = row["line"].as_str().unwrap_or_default();
            let message = match row["state"].as_str().unwrap_or_default() {
                "registered" => Message::new("registration_registered"),
                "registering" => Message::new("registration_registering"),
                "failed" => match row["detail"]["cause"].as_str().unwrap_or_default() {
                    "wrong_credentials" => Message::new("registration_wrong_credentials"),
                    "timeout" => Message::new("registration_timeout"),
                    "unreachable" => Message::new("registration_unreachable"),
                    "dns" => Message::new("registration_dns"),
                    _ => Message::new("registration_refused"),
                },
                _ => Message::new("registration_unregistered"),
            };
            findings.named(Area::Line, Some(line), message.with("line", line));
        }
    }
}
