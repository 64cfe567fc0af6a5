//! What the processes of an agent say of themselves.

use agent::{HttpCall, Method};
use courier::Caller;
use engine::agents::apart::ApartAgent;
use serde_json::Value;

use super::books::Stage;
use super::slot::{Process, Slot};
use super::{Inner, Place};

/// A process that does not answer within this time hangs. Its look at its engine is within it.
const ANSWER_WITHIN_MS: u32 = 6_000;
/// A bridge looks at nothing: it answers at once, or not at all.
const BRIDGE_WITHIN_MS: u32 = 3_000;
/// One that did not answer last is not waited for as long, so that its end can be begun.
const SILENT_WITHIN_MS: u32 = 500;
/// One that did not answer is asked once more before it is ended.
const SECOND_LOOK_MS: u32 = 1_500;
/// For figures alone.
const COUNT_WITHIN_MS: u32 = 300;
/// Largest answer, bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1_024;

/// What the agent's own process says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AppHealth {
    pub(super) answers: bool,
    /// Its engine can be reached; `None`: it does not know yet.
    pub(super) engine: Option<bool>,
    pub(super) media: bool,
}

/// What a bridge says.
#[derive(Clone, Debug)]
pub(super) struct BridgeHealth {
    pub(super) place: Place,
    pub(super) answers: bool,
    /// A word of its interface; a bridge that does not register is `none`.
    state: String,
}

impl BridgeHealth {
    pub(super) fn is_registered(&self) -> bool {
        matches!(self.state.as_str(), "registered" | "none")
    }

    /// Registered, or on the way to be again.
    pub(super) fn is_well(&self) -> bool {
        self.is_registered() || self.state == "registering"
    }

    pub(super) fn has_failed(&self) -> bool {
        self.state == "failed"
    }
}

const fn patience(process: &Process, ms: u32) -> u32 {
    if process.condemned {
        SILENT_WITHIN_MS
    } else {
        ms
    }
}

impl Inner {
    async fn ask(
        &self,
        (method, url): (Method, String),
        token: &str,
        timeout_ms: u32,
    ) -> Option<Value> {
        let call = HttpCall {
            method,
            url,
            headers: vec![("Authorization".to_owned(), format!("Bearer {token}"))],
            body: None,
            timeout_ms,
            idempotency_key: None,
            safe_to_retry: false,
        };
        let nobody = Caller::default();
        let sent = self.courier.send(&call, &nobody, ANSWER_BYTES_MAX);
        let reply = sent.await.ok()?;
        let good = reply.status < 300;
        good.then(|| serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
    }

    /// Asks the agent's own process, which writes down where once it is up.
    async fn ask_app(
        &self,
        slot: &Slot,
        app: &Process,
        (method, path): (Method, &str),
        ms: u32,
    ) -> Option<Value> {
        let text = std::fs::read_to_string(slot.addresses(&app.record.mark)).ok()?;
        let addresses: Value = serde_json::from_str(&text).ok()?;
        let url = format!("http://{}{path}", addresses["admin"].as_str()?);
        self.ask((method, url), self.admin_token.expose(), ms).await
    }

    pub(super) async fn app_health(&self, slot: &Slot) -> AppHealth {
        let path = format!("/agents/{}/status", slot.id);
        let said = match slot.app() {
            Some(app) => {
                let within = patience(app, ANSWER_WITHIN_MS);
                self.ask_app(slot, app, (Method::Get, &path), within).await
            }
            None => None,
        };
        let Some(said) = said else {
            return AppHealth::default();
        };
        let health = &said["health"];
        let engine = match (health["engine"].as_bool(), said["state"].as_str()) {
            (Some(engine), _) => Some(engine),
            (None, Some("running")) => Some(true),
            (None, Some("unhealthy" | "failed")) => Some(false),
            (None, _) => None,
        };
        AppHealth {
            answers: true,
            engine,
            media: health["media"].as_bool().unwrap_or(true),
        }
    }

    /// The agent was changed: its process reads it anew.
    pub(super) async fn tell_of_change(&self, slot: &Slot) {
        if let Some(app) = slot.app() {
            let read = (Method::Post, "/refresh");
            self.ask_app(slot, app, read, ANSWER_WITHIN_MS).await;
        }
    }

    async fn ask_bridge(&self, slot: &Slot, port: u16, ms: u32) -> Option<Value> {
        let url = format!("http://127.0.0.1:{port}/health");
        self.ask((Method::Get, url), slot.token(), ms).await
    }

    pub(super) async fn bridges_health(
        &self,
        slot: &Slot,
        agent: &ApartAgent,
    ) -> Vec<BridgeHealth> {
        let mut found = Vec::new();
        for line in agent.lines.iter().take(super::slot::BRIDGES_MAX) {
            let place = Place::Bridge(line.name.clone());
            let bridge = slot.serving().find(|process| process.record.place == place);
            let said = match bridge {
                Some(bridge) => {
                    let within = patience(bridge, BRIDGE_WITHIN_MS);
                    self.ask_bridge(slot, bridge.record.port, within).await
                }
                None => None,
            };
            let state = said.as_ref().and_then(|said| said["sip_state"].as_str());
            found.push(BridgeHealth {
                place,
                answers: said.is_some(),
                state: match line.account.register {
                    true => state.unwrap_or_default().to_owned(),
                    false => "none".to_owned(),
                },
            });
        }
        found
    }

    /// Whether a bridge that ends is still registered.
    pub(super) async fn any_registered(&self, slot: &Slot) -> bool {
        for process in &slot.processes {
            let ends = process.record.stage == Stage::Ends;
            if process.record.place == Place::App || !ends || !process.hold.lives() {
                continue;
            }
            let said = self
                .ask_bridge(slot, process.record.port, COUNT_WITHIN_MS)
                .await;
            if said.is_some_and(|said| said["sip_registered"] == true) {
                return true;
            }
        }
        false
    }

    /// What answers by now, and uses no more than it may, is left alone: one slow answer does not end its calls.
    pub(super) async fn acquit(&self, slot: &mut Slot, of: impl Fn(&Place) -> bool) {
        for index in 0..slot.processes.len() {
            let process = &slot.processes[index];
            let used = super::system::memory(process.hold.pid).unwrap_or_default();
            let over = self.config.memory_max.is_some_and(|most| used > most);
            if !process.condemned || over || !of(&process.record.place) {
                continue;
            }
            let said = if process.record.place == Place::App {
                let look = (Method::Get, "/health");
                self.ask_app(slot, process, look, SECOND_LOOK_MS).await
            } else {
                self.ask_bridge(slot, process.record.port, SECOND_LOOK_MS)
                    .await
            };
            if said.is_some() {
                slot.processes[index].condemned = false;
            }
        }
    }

    /// Reads how many calls run through each process. What does not answer keeps the figure that it had.
    pub(super) async fn count_calls(&self, slot: &mut Slot) {
        for index in 0..slot.processes.len() {
            let process = &slot.processes[index];
            let record = &process.record;
            let calls = if record.place == Place::App {
                let count = (Method::Get, "/health");
                let said = self.ask_app(slot, process, count, COUNT_WITHIN_MS).await;
                said.and_then(|said| said["totalActiveCalls"].as_u64())
            } else {
                let said = self.ask_bridge(slot, record.port, COUNT_WITHIN_MS).await;
                said.and_then(|said| said["active_calls"].as_u64())
            };
            if let Some(calls) = calls {
                slot.processes[index].calls = calls;
            }
        }
    }
}
