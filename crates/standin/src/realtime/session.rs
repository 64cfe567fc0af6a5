//! One session of the service, without a socket and without a clock: client events and time in, server events and deadlines out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scenario::{FaultAction, FaultPoint, Prepared, Timing};
use crate::speech::{Rendered, SpeechError};

use super::brain::Brain;
use super::conversation::Conversation;
use super::faults::{Armed, Faults};
use super::input::Input;
use super::outbox::{Habits, Out, Outbox};
use super::response::{Ending, Response};
use super::schema::{Shape, Violation, check, shapes};
use super::settings::Settings;
use super::usage::Tokens;
use super::{Dialect, SessionLog};

mod items;
mod reply;
mod turn;

/// Most out-of-band responses at once.
const OUT_OF_BAND_MAX: usize = 8;
/// Most things that wait for their time.
const LATER_MAX: usize = 1_000;

/// What a session begins with.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) prepared: Arc<Prepared>,
    pub(super) model: String,
    /// The number of this connection of the server, from 1.
    pub(super) connection: u64,
    pub(super) seed: u64,
    /// Seconds since 1970.
    pub(super) unix_s: u64,
    /// The client sent the header of the beta protocol.
    pub(super) beta: bool,
    /// The caller's audio is taken by [`Session::take_audio`].
    pub(super) record: bool,
    /// Whose service it is.
    pub(super) dialect: Dialect,
}

/// Something that happens later.
#[derive(Debug)]
enum Later {
    Event(&'static str, Value),
    SpeechStarted {
        item: String,
        start_ms: u64,
    },
    Transcript {
        item: String,
        event: Value,
    },
    UpdateSession {
        change: Value,
        event_id: Option<String>,
    },
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    prepared: Arc<Prepared>,
    timing: Timing,
    settings: Settings,
    conversation: Conversation,
    conversation_id: String,
    input: Input,
    brain: Brain,
    out: Outbox,
    active: Option<Response>,
    out_of_band: Vec<Response>,
    later: Vec<(Instant, Later)>,
    deadlines: Deadlines,
    turn: turn::Turn,
    faults: Faults,
    cached: Tokens,
    dialect: Dialect,
}

#[derive(Debug)]
struct Deadlines {
    expires_at: Instant,
    /// When the caller's silence is answered.
    idle_at: Option<Instant>,
    /// A fault within the active response.
    fault: Option<(Instant, Armed)>,
}

impl Session {
    pub(super) fn new(now: Instant, setup: Setup) -> Self {
        let timing = setup.prepared.scenario.timing.clone();
        let mut out = Outbox::new(
            setup.seed ^ setup.connection.rotate_left(32),
            Habits {
                sprinkle: timing.sprinkle,
                record: setup.record,
            },
        );
        let id = out.ids.next("sess");
        out.log.session.clone_from(&id);
        let conversation_id = out.ids.next("conv");
        let lasts_s = timing.session_ms_max / 1_000;
        let settings = Settings::new(&id, &setup.model, setup.unix_s + lasts_s);
        if setup.beta {
            let violation = Violation::new(
                "beta_api_shape_disabled",
                "The Realtime Beta API is no longer available. Please use the GA API.",
            );
            out.error(&violation, None);
            out.push(Out::Close {
                code: 4_000,
                reason: "invalid_request_error.beta_api_shape_disabled".into(),
            });
            out.stall();
        } else if setup.dialect == Dialect::Xai {
            let conversation = json!({"id": conversation_id, "object": "realtime.conversation"});
            out.event(
                "conversation.created",
                json!({"conversation": conversation}),
            );
        } else {
            out.event("session.created", json!({"session": settings.shown()}));
        }
        Self {
            input: Input::new(settings.input_format()),
            faults: Faults::new(&setup.prepared.scenario.faults, setup.connection),
            deadlines: Deadlines {
                expires_at: now + Duration::from_millis(timing.session_ms_max),
                idle_at: None,
                fault: None,
            },
            prepared: setup.prepared,
            timing,
            settings,
            conversation: Conversation::default(),
            conversation_id,
            brain: Brain::default(),
            out,
            active: None,
            out_of_band: Vec::new(),
            later: Vec::new(),
            turn: turn::Turn::default(),
            cached: Tokens::default(),
            dialect: setup.dialect,
        }
    }

    /// What is to be sent; drained after every call of another method.
    pub(super) fn poll_output(&mut self) -> Option<Out> {
        self.out.pop()
    }

    /// When [`Session::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Instant {
        let responses = self.active.iter().chain(&self.out_of_band);
        responses
            .filter_map(Response::next_at)
            .chain(self.later.iter().map(|(due, _)| *due))
            .chain(self.deadlines.idle_at)
            .chain(self.deadlines.fault.as_ref().map(|(due, _)| *due))
            .fold(self.deadlines.expires_at, Instant::min)
    }

    /// A text that must be spoken before a response can go on: the response and the text.
    pub(super) fn poll_render(&self) -> Option<(String, String)> {
        let mut responses = self.active.iter().chain(&self.out_of_band);
        responses.find_map(|response| {
            let text = response.missing_sound()?;
            Some((response.recipe.id.clone(), text.to_owned()))
        })
    }

    /// The sound of such a text.
    pub(super) fn handle_rendered(
        &mut self,
        now: Instant,
        id: &str,
        made: Result<Arc<Rendered>, SpeechError>,
    ) {
        let of_band = self.out_of_band.iter_mut();
        let Some(response) = self
            .active
            .iter_mut()
            .chain(of_band)
            .find(|response| response.recipe.id == id)
        else {
            return;
        };
        match made {
            Ok(sound) => response.give_sound(now, sound),
            Err(error) => {
                let ending = Ending::Failed(error.to_string());
                if self.active.as_ref().is_some_and(|one| one.recipe.id == id) {
                    self.end_active(now, &ending);
                } else {
                    self.out_of_band.retain(|one| one.recipe.id != id);
                }
            }
        }
        self.handle_timeout(now);
    }

    pub(super) fn log(&self) -> &SessionLog {
        &self.out.log
    }

    /// Whether something besides audio has happened since it was asked.
    pub(super) fn log_changed(&mut self) -> bool {
        std::mem::take(&mut self.out.log_changed)
    }

    /// The caller's audio since the last time, with its rate.
    pub(super) fn take_audio(&mut self) -> (Vec<i16>, u32) {
        self.out.take_audio()
    }

    pub(super) fn events_sent(&self) -> u64 {
        self.out.sent()
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if now >= self.deadlines.expires_at {
            self.expire();
            return;
        }
        self.run_later(now);
        if let Some((due, armed)) = self.deadlines.fault.take() {
            if due <= now {
                self.strike(now, &armed);
            } else {
                self.deadlines.fault = Some((due, armed));
            }
        }
        if let Some(mut response) = self.active.take() {
            let done = response.advance(now, &self.timing, &mut self.out, &mut self.conversation);
            self.active = Some(response);
            if done {
                self.end_active(now, &Ending::Completed);
            }
        }
        self.advance_out_of_band(now);
        if self.deadlines.idle_at.is_some_and(|due| due <= now) {
            self.deadlines.idle_at = None;
            self.trigger_timeout(now);
        }
    }

    fn run_later(&mut self, now: Instant) {
        // In the order in which they were put there, so that events of the same moment keep their order.
        let mut at = 0;
        while at < self.later.len() {
            if self.later[at].0 > now {
                at += 1;
                continue;
            }
            let (_, later) = self.later.remove(at);
            match later {
                Later::Event(kind, fields) => self.out.event(kind, fields),
                Later::SpeechStarted { item, start_ms } => {
                    self.speech_started(now, &item, start_ms)
                }
                Later::Transcript { item, event } => self.transcribed(&item, event),
                Later::UpdateSession { change, event_id } => {
                    self.update_session(&change, event_id.as_deref());
                }
            }
        }
    }

    fn later(&mut self, due: Instant, what: Later) {
        if self.later.len() < LATER_MAX {
            self.later.push((due, what));
        }
    }

    fn expire(&mut self) {
        let minutes = self.timing.session_ms_max / 60_000;
        let violation = Violation::new(
            "session_expired",
            format!("Your session hit the maximum duration of {minutes} minutes."),
        );
        self.out.error(&violation, None);
        self.out.push(Out::Close {
            code: 1_001,
            reason: String::new(),
        });
        self.out.stall();
        self.deadlines.expires_at += Duration::from_secs(3_600);
    }

    /// A fault strikes.
    fn strike(&mut self, now: Instant, armed: &Armed) {
        match armed.action {
            FaultAction::Close => {
                self.out.push(Out::Close {
                    code: armed.code,
                    reason: armed.reason.clone(),
                });
                self.out.stall();
            }
            FaultAction::Abort => {
                self.out.push(Out::Abort);
                self.out.stall();
            }
            FaultAction::Stall => self.out.stall(),
            FaultAction::Garbage => {
                for text in ["", "nonsense", "[1,2", "{\"type\":7}", "{}", "null"] {
                    self.out.push(Out::Text(text.into()));
                }
                self.out.push(Out::Binary(vec![0xff, 0x00, 0x9f]));
            }
            FaultAction::Fail => {
                let message = "The server had an error while processing your request.";
                self.end_active(now, &Ending::Failed(message.into()));
            }
            FaultAction::Status | FaultAction::Delay | FaultAction::Refuse => {}
        }
    }

    /// A text message of the client.
    pub(super) fn handle_text(&mut self, now: Instant, text: &str) {
        let event: Value = match serde_json::from_str(text) {
            Ok(event) => event,
            Err(error) => {
                let violation = Violation {
                    code: Some("invalid_json"),
                    message: format!("We could not parse the JSON body of your event: {error}."),
                    param: None,
                };
                self.out.error(&violation, None);
                return;
            }
        };
        let event_id = event.get("event_id").and_then(Value::as_str);
        let event_id = event_id.map(str::to_owned);
        if let Err(violation) = self.handle_event(now, &event, event_id.as_deref()) {
            self.out.error(&violation, event_id.as_deref());
        }
        self.handle_timeout(now);
    }

    fn handle_event(
        &mut self,
        now: Instant,
        event: &Value,
        event_id: Option<&str>,
    ) -> Result<(), Violation> {
        let kind = event
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if kind == "input_audio_buffer.append" {
            self.out.log.audio_events += 1;
        } else {
            self.out.log.note_event(kind);
        }
        check_event(event, kind)?;
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        match kind {
            "session.update" => {
                self.receive_update(now, event["session"].clone(), event_id);
                Ok(())
            }
            "input_audio_buffer.append" => self.append(now, text("audio")),
            "input_audio_buffer.commit" => self.commit(now),
            "input_audio_buffer.clear" => {
                self.input.clear();
                self.out.event("input_audio_buffer.cleared", json!({}));
                Ok(())
            }
            "conversation.item.create" => self.create_item(event),
            "conversation.item.retrieve" => {
                let item = self.conversation.retrieve(text("item_id"))?.shown.clone();
                self.out
                    .event("conversation.item.retrieved", json!({"item": item}));
                Ok(())
            }
            "conversation.item.delete" => {
                self.conversation.delete(text("item_id"))?;
                let fields = json!({"item_id": text("item_id")});
                self.out.event("conversation.item.deleted", fields);
                Ok(())
            }
            "conversation.item.truncate" => self.truncate_item(event),
            "response.create" => self.create_response(now, event.get("response")),
            "response.cancel" => self.cancel_response(now, event.get("response_id")),
            _ => Err(Violation::new(
                "invalid_value",
                "unreachable: checked before",
            )),
        }
    }

    fn receive_update(&mut self, now: Instant, change: Value, event_id: Option<&str>) {
        let mut delay_ms = 0;
        for armed in self.faults.at(FaultPoint::SessionUpdate) {
            match armed.action {
                FaultAction::Delay => delay_ms += armed.ms,
                FaultAction::Refuse => {
                    let violation = Violation::new(
                        "invalid_value",
                        "Invalid value: the scenario refuses this session.update.",
                    )
                    .at("session");
                    self.out.error(&violation, event_id);
                    return;
                }
                FaultAction::Close
                | FaultAction::Abort
                | FaultAction::Stall
                | FaultAction::Garbage
                | FaultAction::Fail
                | FaultAction::Status => self.strike(now, &armed),
            }
        }
        if delay_ms == 0 {
            self.update_session(&change, event_id);
        } else {
            let event_id = event_id.map(str::to_owned);
            self.later(
                now + Duration::from_millis(delay_ms),
                Later::UpdateSession { change, event_id },
            );
        }
    }

    fn update_session(&mut self, change: &Value, event_id: Option<&str>) {
        let spoken = self.conversation.spoken();
        let updated = match self.dialect {
            Dialect::Xai => self.settings.update_flat(change, spoken),
            Dialect::OpenAi | Dialect::Azure | Dialect::Gemini => {
                self.settings.update(change, spoken)
            }
        };
        match updated {
            Ok(()) => {
                self.input.set_format(self.settings.input_format());
                let shown = self.settings.shown();
                self.out.event("session.updated", json!({"session": shown}));
            }
            Err(violation) => self.out.error(&violation, event_id),
        }
    }
}

/// Checks the type and the fields of a client event.
fn check_event(event: &Value, kind: &str) -> Result<(), Violation> {
    if event.get("type").is_none() {
        return check(event, &Shape::Object(shapes::EVENTS[0].1), "");
    }
    let Some((_, fields)) = shapes::EVENTS.iter().find(|(name, _)| *name == kind) else {
        let known: Vec<String> = shapes::EVENTS
            .iter()
            .map(|(name, _)| format!("'{name}'"))
            .collect();
        return Err(Violation::new(
            "invalid_value",
            format!(
                "Invalid value: '{kind}'. Supported values are: {}.",
                known.join(", ")
            ),
        )
        .at("type"));
    };
    check(event, &Shape::Object(fields), "")
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    clippy::wildcard_enum_match_arm,
    reason = "short tests"
)]
mod tests;
