//! The client's side of one Realtime session.

mod incoming;

use std::collections::VecDeque;
use std::time::Instant;

use super::client_event;
use super::fault::Sent;
use super::items::Items;
use super::outbox::Outbox;
use super::responses::Responses;
use super::server_event;
use super::{
    COMMANDS_MAX, COMMIT_MS_MIN, Capabilities, EVENTS_MAX, EngineEvent, HistoryItem,
    MESSAGE_BYTES_MAX, REPLAY_ITEMS_MAX, ResponseRequest, Role, SENT_EVENTS_MAX, SessionSettings,
    Spelling, TurnDetection,
};

/// What was dropped or ignored in one conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that are not JSON events, are too long, or hold audio that cannot be decoded.
    pub malformed: u64,
    /// Events of unknown type.
    pub ignored: u64,
    /// Events of a known type that need no reaction.
    pub unused: u64,
    /// Audio, transcript deltas and tool calls of cancelled responses.
    pub late_deltas: u64,
    /// Milliseconds of caller audio dropped because the engine was not ready or did not take it.
    pub audio_dropped_ms: u64,
    /// Truncations left out or shortened because they would only earn an error.
    pub truncations_adjusted: u64,
    /// Commands or events dropped because a queue was full.
    pub overflow: u64,
    /// Response requests sent again because another response was active.
    pub response_retries: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The engine has not spoken.
    Waiting,
    /// Our settings are sent.
    Configuring,
    Ready,
    /// Refused or expired; nothing is sent.
    Ended,
}

/// The client's side of one Realtime session. See the module page.
pub struct Conversation {
    settings: SessionSettings,
    patience_ms: Option<u32>,
    spelling: Spelling,
    phase: Phase,
    events: VecDeque<EngineEvent>,
    outbox: Outbox,
    /// Commands given before the engine has spoken.
    early_commands: VecDeque<Early>,
    responses: Responses,
    items: Items,
    tool_calls: VecDeque<String>,
    next_event: u64,
    sent: VecDeque<(u64, Sent)>,
    expires_at: Option<u64>,
    now: Option<Instant>,
    counters: Counters,
}

enum Early {
    Message(Role, String),
    ToolOutput(String, String),
}

impl Conversation {
    /// A session to set up; nothing is sent until the engine has spoken (`session.created`).
    #[must_use]
    pub fn new(settings: SessionSettings, spelling: impl Into<Spelling>) -> Self {
        Self {
            outbox: Outbox::new(settings.input_format.bytes_per_ms(), client_event::append),
            items: Items::new(settings.output_format.bytes_per_ms()),
            settings,
            patience_ms: None,
            spelling: spelling.into(),
            phase: Phase::Waiting,
            events: VecDeque::new(),
            early_commands: VecDeque::new(),
            responses: Responses::default(),
            tool_calls: VecDeque::new(),
            next_event: 1,
            sent: VecDeque::new(),
            expires_at: None,
            now: None,
            counters: Counters::default(),
        }
    }

    /// The next event, to be drained to `None` after every call.
    pub fn poll_event(&mut self) -> Option<EngineEvent> {
        self.events.pop_front()
    }

    /// The next text message to send. A shell whose socket is full leaves it here: caller audio that
    /// piles up goes out in longer messages.
    pub fn poll_send(&mut self) -> Option<String> {
        self.outbox.poll()
    }

    /// When [`Conversation::handle_timeout`] is due. A call whose audio flows may leave both out: each
    /// frame and each message of the engine brings the time along.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.responses.deadline()
    }

    /// Time passed: a cancellation or a response request that waited may be due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.elapse(now);
    }

    /// When the session ends at the latest, in Unix seconds, as the engine said it.
    #[must_use]
    pub fn expires_at_unix_s(&self) -> Option<u64> {
        self.expires_at
    }

    /// What was dropped or ignored so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            audio_dropped_ms: self.outbox.dropped_ms(),
            overflow: self.counters.overflow + self.outbox.overflow,
            ..self.counters
        }
    }

    /// What this engine can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.spelling.capabilities()
    }

    /// The settings of the session.
    #[must_use]
    pub fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// Caller audio in the input format, as it arrives. Before [`EngineEvent::Ready`] the last
    /// [`PREBUFFER_MS_MAX`](super::PREBUFFER_MS_MAX) are kept and then sent first.
    pub fn append_audio(&mut self, now: Instant, frame: &[u8]) {
        self.elapse(now);
        if self.phase != Phase::Ended {
            self.outbox.append(frame);
        }
    }

    /// Length of one audio message from here on, at most [`APPEND_MS_MAX`](super::APPEND_MS_MAX).
    pub fn set_append_ms(&mut self, ms: u32) {
        self.outbox.set_append_ms(ms);
    }

    /// Sends audio that waits to fill a message.
    pub fn flush_audio(&mut self) {
        self.outbox.flush();
    }

    /// While muted, caller audio is not sent, nor is what waits to be sent.
    pub fn set_input_muted(&mut self, muted: bool) {
        self.outbox.set_muted(muted);
    }

    /// Ends the caller's turn by hand ([`TurnDetection::Manual`](super::TurnDetection::Manual)). Does nothing with less than
    /// [`COMMIT_MS_MIN`](super::COMMIT_MS_MIN) of audio, which the service would refuse.
    pub fn commit_audio(&mut self) {
        self.outbox.flush();
        if self.phase == Phase::Ready && self.outbox.uncommitted_ms() >= COMMIT_MS_MIN {
            let event = self.event_id(Sent::Other);
            self.outbox.push_command(client_event::commit(event));
            self.outbox.mark_committed();
        }
    }

    /// Forgets the caller's audio that is not committed yet, here and at the engine.
    pub fn clear_audio(&mut self) {
        self.outbox.drop_unsent_audio();
        if self.phase == Phase::Ready {
            let event = self.event_id(Sent::Other);
            self.outbox.push_command(client_event::clear(event));
            self.outbox.mark_committed();
        }
    }

    /// Asks for a response. It waits for the session to be ready and for the active response to end;
    /// should the engine start one by itself at the same moment, it is asked for again after that.
    pub fn create_response(&mut self, request: ResponseRequest) {
        if !self.spelling.capabilities().response_control || self.phase == Phase::Ended {
            return;
        }
        if !self.responses.want(request) {
            self.counters.overflow += 1;
        }
        self.request_next();
    }

    /// Stops the response under way and forgets the requests that wait. Its late audio is dropped, and
    /// so is what [`Conversation::poll_event`] has not handed out yet.
    pub fn cancel_response(&mut self) {
        if let Some(active) = self.responses.active_id() {
            let before = self.events.len();
            self.events.retain(
                |event| !matches!(event, EngineEvent::Audio { response, .. } if response == active),
            );
            self.counters.late_deltas += u64::try_from(before - self.events.len()).unwrap_or(0);
        }
        if let Some(response) = self.responses.cancel() {
            self.send_cancel(&response);
        }
    }

    /// Cuts an item to what was heard, so that the model knows. Left out when the engine would refuse
    /// it: an item that is unknown or has no audio, or of which all was heard.
    pub fn truncate(&mut self, item: &str, audio_end_ms: u32) {
        if self.phase != Phase::Ready || !self.spelling.capabilities().truncate {
            return;
        }
        let cut = self.items.cut(item, audio_end_ms);
        if cut != Some(audio_end_ms) {
            self.counters.truncations_adjusted += 1;
        }
        if let Some(cut) = cut {
            let event = self.event_id(Sent::Truncation);
            self.outbox
                .push_command(client_event::truncate(event, item, cut));
        }
    }

    /// Gives the output of a tool; does not ask for a response. A call that another session made (this
    /// one took over from it) is told to the engine first.
    pub fn submit_tool_output(&mut self, call_id: &str, output: &str) {
        if self.phase == Phase::Waiting {
            self.keep_early(Early::ToolOutput(call_id.to_owned(), output.to_owned()));
        } else {
            self.send_tool_output(call_id, output);
        }
    }

    /// Adds a message to the conversation; blank ones are left out.
    pub fn add_message(&mut self, role: Role, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if self.phase == Phase::Waiting {
            self.keep_early(Early::Message(role, text.to_owned()));
        } else {
            self.send_message(role, text);
        }
    }

    /// Replaces the instructions.
    pub fn update_instructions(&mut self, instructions: &str) {
        if self.settings.instructions == instructions {
            return;
        }
        instructions.clone_into(&mut self.settings.instructions);
        match self.phase {
            Phase::Waiting | Phase::Ended => {}
            Phase::Configuring | Phase::Ready => {
                let event = self.event_id(Sent::Other);
                let text = client_event::instructions_update(event, self.spelling, instructions);
                self.outbox.push_command(text);
            }
        }
    }

    /// How long the caller may pause before the turn is over: at least so many milliseconds of silence, or the least eager of what
    /// goes by meaning; `None`: as in the settings. Where turns are ended by hand there is nothing to change.
    pub fn set_patience(&mut self, patience_ms: Option<u32>) {
        if self.patience_ms == patience_ms || self.settings.turn_detection == TurnDetection::Manual
        {
            return;
        }
        self.patience_ms = patience_ms;
        if self.phase == Phase::Ready {
            let detection = match patience_ms {
                Some(ms) => self.settings.turn_detection.patient(ms),
                None => self.settings.turn_detection.clone(),
            };
            let event = self.event_id(Sent::Other);
            let text = client_event::detection_update(event, self.spelling, &detection);
            self.outbox.push_command(text);
        }
    }

    /// The conversation so far, for a session that takes over from another one. Given before
    /// [`EngineEvent::Ready`], it reaches the engine before any audio and any response.
    pub fn replay(&mut self, items: &[HistoryItem]) {
        let skipped = items.len().saturating_sub(REPLAY_ITEMS_MAX);
        self.counters.overflow += u64::try_from(skipped).unwrap_or(0);
        for item in &items[skipped..] {
            self.add_message(item.role, &item.text);
        }
    }

    /// One WebSocket text message of the engine.
    pub fn handle_text(&mut self, now: Instant, text: &str) {
        self.elapse(now);
        let parsed = if text.len() > MESSAGE_BYTES_MAX {
            None
        } else {
            server_event::parse(text)
        };
        match parsed {
            Some(event) => self.handle(now, event),
            None => self.counters.malformed += 1,
        }
    }

    /// Sends what only time makes due.
    fn elapse(&mut self, now: Instant) {
        self.now = Some(now);
        if let Some(response) = self.responses.elapse(now) {
            self.send_cancel(&response);
        }
        self.request_next();
    }

    fn request_next(&mut self) {
        let (Phase::Ready, Some(now)) = (self.phase, self.now) else {
            return;
        };
        let event = self.next_event;
        let Some(request) = self.responses.next(event, now) else {
            return;
        };
        let text = client_event::create_response(event, self.spelling.dialect, request);
        self.event_id(Sent::Response);
        self.outbox.push_command(text);
    }

    fn send_cancel(&mut self, response: &str) {
        if self.phase != Phase::Ended && self.spelling.capabilities().response_control {
            let event = self.event_id(Sent::Cancellation);
            self.outbox
                .push_command(client_event::cancel(event, self.spelling.dialect, response));
        }
    }

    fn send_message(&mut self, role: Role, text: &str) {
        if self.phase != Phase::Ended {
            let event = self.event_id(Sent::Item);
            self.outbox.push_command(client_event::message(
                event,
                self.spelling.dialect,
                role,
                text,
            ));
        }
    }

    fn send_tool_output(&mut self, call_id: &str, output: &str) {
        if self.phase == Phase::Ended {
            return;
        }
        if !self.tool_calls.iter().any(|known| known == call_id) {
            let event = self.event_id(Sent::Item);
            self.outbox
                .push_command(client_event::earlier_tool_call(event, call_id));
        }
        let event = self.event_id(Sent::Item);
        self.outbox
            .push_command(client_event::tool_output(event, call_id, output));
    }

    fn keep_early(&mut self, command: Early) {
        if self.early_commands.len() >= COMMANDS_MAX {
            self.counters.overflow += 1;
        } else {
            self.early_commands.push_back(command);
        }
    }

    /// The id of the next command, remembered with what the command is.
    fn event_id(&mut self, sent: Sent) -> u64 {
        let event = self.next_event;
        self.next_event += 1;
        if self.sent.len() >= SENT_EVENTS_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((event, sent));
        event
    }

    fn emit(&mut self, event: EngineEvent) {
        if self.events.len() >= EVENTS_MAX {
            self.counters.overflow += 1;
        } else {
            self.events.push_back(event);
        }
    }
}
