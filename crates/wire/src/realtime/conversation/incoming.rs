//! What each event of the engine changes.

use std::time::Instant;

use super::{Conversation, Early, Phase};
use crate::realtime::client_event::{self, EVENT_ID_PREFIX};
use crate::realtime::fault::{self, Meaning, Sent};
use crate::realtime::responses::Race;
use crate::realtime::server_event::{Delta, ErrorBody, ResponseDone, ServerEvent, ToolCall};
use crate::realtime::{EngineEvent, ResponseStatus, TOOL_CALLS_MAX, TurnDetection};

impl Conversation {
    pub(super) fn handle(&mut self, now: Instant, event: ServerEvent<'_>) {
        match event {
            ServerEvent::AudioDelta(delta) => self.on_audio(&delta),
            ServerEvent::AudioDone(delta) => self.on_audio_done(&delta),
            ServerEvent::TextDelta(delta) => self.on_text_delta(delta),
            ServerEvent::TextDone(delta) => {
                let item = self.items.id(&delta.item);
                self.emit(EngineEvent::AgentTranscript {
                    item,
                    text: delta.data.into_owned(),
                });
            }
            ServerEvent::SessionCreated { expires_at } => self.on_session_created(expires_at),
            ServerEvent::ConversationCreated => self.on_session_created(None),
            ServerEvent::SessionUpdated { expires_at } => self.on_session_updated(expires_at),
            ServerEvent::Error(error) => self.on_error(now, &error),
            ServerEvent::SpeechStarted {
                item,
                audio_start_ms,
            } => {
                if self.engine_interrupts() {
                    self.responses.interrupted(now);
                }
                self.emit(EngineEvent::SpeechStarted {
                    item: item.into_owned(),
                    audio_start_ms,
                });
            }
            ServerEvent::Committed { item } => {
                self.outbox.mark_committed();
                self.emit(EngineEvent::UserCommitted {
                    item: item.into_owned(),
                });
            }
            ServerEvent::Report(event) => self.emit(event),
            ServerEvent::ResponseCreated { response } => self.on_response_created(&response),
            ServerEvent::ResponseDone(done) => self.on_response_done(done),
            ServerEvent::ToolCall { response, call } => {
                if self.responses.is_cancelled(&response) {
                    self.counters.late_deltas += 1;
                } else {
                    self.report_tool_call(call);
                }
            }
            ServerEvent::NoReaction => self.counters.unused += 1,
            ServerEvent::Unknown { event_type } => {
                self.counters.ignored += 1;
                self.emit(EngineEvent::Ignored {
                    event_type: event_type.into_owned(),
                });
            }
        }
    }

    fn engine_interrupts(&self) -> bool {
        match &self.settings.turn_detection {
            TurnDetection::Server(vad) => vad.interrupt_response,
            TurnDetection::Semantic {
                interrupt_response, ..
            } => *interrupt_response,
            TurnDetection::Manual => false,
        }
    }

    fn on_audio(&mut self, delta: &Delta<'_>) {
        if self.responses.is_cancelled(&delta.response) {
            self.counters.late_deltas += 1;
            return;
        }
        let Ok(audio) = base64_simd::STANDARD.decode_to_vec(delta.data.as_bytes()) else {
            self.counters.malformed += 1;
            return;
        };
        if audio.is_empty() {
            self.counters.unused += 1;
            return;
        }
        let item = self.items.add_audio(&delta.item, audio.len());
        let response = match &*delta.response {
            "" => self.responses.active_id().unwrap_or_default().to_owned(),
            id => id.to_owned(),
        };
        self.emit(EngineEvent::Audio {
            response,
            item,
            audio,
        });
    }

    /// The end of a cancelled item is no news: its playout was cleared.
    fn on_audio_done(&mut self, delta: &Delta<'_>) {
        if self.responses.is_cancelled(&delta.response) {
            self.counters.late_deltas += 1;
            return;
        }
        let item = self.items.complete(&delta.item);
        self.emit(EngineEvent::AudioDone { item });
    }

    fn on_text_delta(&mut self, delta: Delta<'_>) {
        if self.responses.is_cancelled(&delta.response) {
            self.counters.late_deltas += 1;
            return;
        }
        let item = self.items.id(&delta.item);
        self.emit(EngineEvent::AgentTranscriptDelta {
            item,
            delta: delta.data.into_owned(),
        });
    }

    /// The engine speaks first; only then may we. `conversation.created` counts too, since some
    /// compatible servers begin with it.
    fn on_session_created(&mut self, expires_at: Option<u64>) {
        self.expires_at = expires_at.or(self.expires_at);
        if self.phase != Phase::Waiting {
            return;
        }
        self.phase = Phase::Configuring;
        let event = self.event_id(Sent::SessionSetup);
        self.outbox.push_command(client_event::session_update(
            event,
            self.spelling,
            &self.settings,
        ));
        for command in std::mem::take(&mut self.early_commands) {
            match command {
                Early::Message(role, text) => self.send_message(role, &text),
                Early::ToolOutput(call_id, output) => self.send_tool_output(&call_id, &output),
            }
        }
    }

    fn on_session_updated(&mut self, expires_at: Option<u64>) {
        self.expires_at = expires_at.or(self.expires_at);
        if self.phase == Phase::Configuring {
            self.phase = Phase::Ready;
            self.emit(EngineEvent::Ready);
            self.outbox.open();
            self.request_next();
        }
    }

    fn on_response_created(&mut self, response: &str) {
        let cancel = self.responses.created(response);
        self.emit(EngineEvent::ResponseStarted {
            response: response.to_owned(),
        });
        if cancel {
            self.cancel_response();
        }
    }

    fn on_response_done(&mut self, done: ResponseDone<'_>) {
        let cancelled = matches!(done.status, ResponseStatus::Cancelled { .. });
        for call in done.tool_calls {
            self.report_tool_call(call);
        }
        self.responses.done(&done.response, cancelled);
        let response = done.response.into_owned();
        self.emit(EngineEvent::ResponseDone {
            response,
            status: done.status,
            usage: done.usage,
        });
        self.request_next();
    }

    /// Several events tell of the same call; the first complete one is reported.
    fn report_tool_call(&mut self, call: ToolCall<'_>) {
        if self.tool_calls.iter().any(|known| *known == call.call_id) {
            self.counters.unused += 1;
            return;
        }
        if self.tool_calls.len() >= TOOL_CALLS_MAX {
            self.tool_calls.pop_front();
        }
        let call_id = call.call_id.into_owned();
        self.tool_calls.push_back(call_id.clone());
        self.emit(EngineEvent::ToolCalled {
            call_id,
            name: call.name.into_owned(),
            arguments: call.arguments.into_owned(),
            item: call.item.into_owned(),
        });
    }

    fn on_error(&mut self, now: Instant, error: &ErrorBody<'_>) {
        let event = error
            .event_id
            .as_str()
            .and_then(|id| id.strip_prefix(EVENT_ID_PREFIX)?.parse::<u64>().ok());
        let answers = event.and_then(|event| {
            self.sent
                .iter()
                .find(|(known, _)| *known == event)
                .map(|(_, sent)| *sent)
        });
        let meaning = fault::meaning(error, answers);
        match (self.phase, meaning) {
            (Phase::Ended, _) => self.counters.unused += 1,
            (_, Meaning::Expired) => {
                self.phase = Phase::Ended;
                self.emit(EngineEvent::Expired);
            }
            (_, Meaning::Fatal) | (Phase::Waiting, _) => self.refuse(error),
            // No `session.updated` follows a rejected set-up. Servers that do not echo the event id
            // are taken to speak of it too, since nothing else was asked that could fail so.
            (Phase::Configuring, _) if matches!(answers, Some(Sent::SessionSetup)) => {
                self.refuse(error)
            }
            (Phase::Configuring, Meaning::Recoverable) if error.event_id.as_str().is_none() => {
                self.refuse(error)
            }
            (Phase::Configuring | Phase::Ready, _) => {
                self.on_fault(now, error, meaning, event, answers)
            }
        }
    }

    fn refuse(&mut self, error: &ErrorBody<'_>) {
        self.phase = Phase::Ended;
        let code = error
            .code
            .as_str()
            .or(error.kind.as_str())
            .unwrap_or("unknown")
            .to_owned();
        self.emit(EngineEvent::Refused {
            code,
            message: error.message.as_str().unwrap_or("").to_owned(),
            param: error.param.as_str().map(str::to_owned),
        });
    }

    fn on_fault(
        &mut self,
        now: Instant,
        error: &ErrorBody<'_>,
        meaning: Meaning,
        event: Option<u64>,
        answers: Option<Sent>,
    ) {
        let benign = match meaning {
            Meaning::AlreadyActive => {
                let race = self.responses.lost_race(event, now);
                self.counters.response_retries += u64::from(race == Race::Again);
                race != Race::GivenUp
            }
            Meaning::NothingActive => {
                self.responses.none_active();
                true
            }
            Meaning::Benign => true,
            Meaning::Expired | Meaning::Fatal | Meaning::Recoverable => {
                if let (Some(Sent::Response), Some(event)) = (answers, event) {
                    self.responses.refused(event);
                }
                false
            }
        };
        self.emit(EngineEvent::Fault {
            code: error
                .code
                .as_str()
                .or(error.kind.as_str())
                .map(str::to_owned),
            message: error.message.as_str().unwrap_or("").to_owned(),
            benign,
        });
        self.request_next();
    }
}
