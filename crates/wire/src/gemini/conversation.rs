//! The client's side of one Gemini Live session.

mod incoming;
mod tools;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{NOTES_MAX, UTTERANCE_QUIET_MS_MAX, client_message, server_message};
use crate::realtime::outbox::Outbox;
use crate::realtime::{
    AudioFormat, Capabilities, Counters, EVENTS_MAX, EngineEvent, HistoryItem, MESSAGE_BYTES_MAX,
    REPLAY_ITEMS_MAX, RESPONSE_REQUESTS_MAX, ResponseRequest, ResponseStatus, Role,
    SessionSettings, TurnDetection,
};
use tools::Tools;

/// Said to the model when it is to speak and there is nothing else to tell it.
const GO_ON: &str = "(It is your turn to speak.)";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The settings are not sent, or not accepted.
    Configuring,
    Ready,
    /// Nothing is sent.
    Ended,
}

/// An answer of the model under way.
struct Answer {
    id: String,
    item: Arc<str>,
    text: String,
    /// Audio has come and its end was not told.
    audio_open: bool,
}

/// Something the caller says.
struct Utterance {
    id: String,
    text: String,
    /// When a word of it was heard last.
    heard_at: Instant,
}

/// The client's side of one session. See the module page.
pub struct Conversation {
    settings: SessionSettings,
    phase: Phase,
    setup_sent: bool,
    /// The handle of an earlier session that this one resumes.
    resume: Option<String>,
    /// The handle by which this session can be resumed.
    handle: Option<String>,
    history: Vec<HistoryItem>,
    events: VecDeque<EngineEvent>,
    outbox: Outbox,
    /// What the model is told with the next text.
    notes: VecDeque<String>,
    /// Responses asked for before the session was ready.
    wishes: VecDeque<ResponseRequest>,
    tools: Tools,
    turn: Turn,
    counters: Counters,
    /// The activity that we announce ourselves is open (manual turns).
    activity_open: bool,
}

/// Where the conversation stands.
#[derive(Default)]
struct Turn {
    answer: Option<Answer>,
    /// An answer that was generated; its transcript may still grow.
    finished: Option<(Arc<str>, String)>,
    utterance: Option<Utterance>,
    /// Words of the caller that came after the model began to answer.
    late: String,
    /// What comes of this turn of the model is not wanted.
    unwanted: bool,
    /// The model is in a turn, as far as the service told.
    open: bool,
    /// A text of ours interrupts the model: what the service says of it is no speech of the caller.
    own_interruption: bool,
    answers: u64,
    utterances: u64,
}

impl Conversation {
    /// A session to set up. The formats of the settings have to be those of the service: 16 kHz up, 24 kHz down.
    #[must_use]
    pub fn new(settings: SessionSettings) -> Self {
        let bytes_per_ms = AudioFormat::Pcm16k.bytes_per_ms();
        Self {
            settings,
            phase: Phase::Configuring,
            setup_sent: false,
            resume: None,
            handle: None,
            history: Vec::new(),
            events: VecDeque::new(),
            outbox: Outbox::new(bytes_per_ms, client_message::audio),
            notes: VecDeque::new(),
            wishes: VecDeque::new(),
            tools: Tools::default(),
            turn: Turn::default(),
            counters: Counters::default(),
            activity_open: false,
        }
    }

    /// Resumes the session of this handle: what was said in it is known to the service and is not replayed. To be called
    /// before anything is sent.
    pub fn resume_with(&mut self, handle: &str) {
        self.resume = Some(handle.to_owned());
    }

    /// The handle by which the service can resume this session on another connection.
    #[must_use]
    pub fn resumption_handle(&self) -> Option<&str> {
        self.handle.as_deref()
    }

    /// The next event, to be drained to `None` after every call.
    pub fn poll_event(&mut self) -> Option<EngineEvent> {
        self.events.pop_front()
    }

    /// The next message to send, the settings first.
    pub fn poll_send(&mut self) -> Option<String> {
        if !self.setup_sent {
            self.setup_sent = true;
            let handle = self.resume.as_deref();
            let replays = handle.is_none() && !self.history.is_empty();
            return Some(client_message::setup(&self.settings, handle, replays));
        }
        self.outbox.poll()
    }

    /// When [`Conversation::handle_timeout`] is due: an utterance of which no further word comes.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let utterance = self.turn.utterance.as_ref()?;
        Some(utterance.heard_at + Duration::from_millis(UTTERANCE_QUIET_MS_MAX))
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.end_utterance();
        }
    }

    /// The service announces the end of a connection when it is near ([`EngineEvent::GoingAway`]), not at its beginning.
    #[must_use]
    pub fn expires_at_unix_s(&self) -> Option<u64> {
        None
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
        Capabilities {
            turn_events: false,
            truncate: false,
            response_control: false,
        }
    }

    /// The settings of the session.
    #[must_use]
    pub fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// Caller audio at 16 kHz, as it arrives. What comes before [`EngineEvent::Ready`] is kept and then sent first.
    pub fn append_audio(&mut self, now: Instant, frame: &[u8]) {
        self.handle_timeout(now);
        if self.phase == Phase::Ended {
            return;
        }
        if self.settings.turn_detection == TurnDetection::Manual
            && self.phase == Phase::Ready
            && !self.activity_open
        {
            self.activity_open = true;
            self.outbox.push_command(client_message::activity(true));
        }
        self.outbox.append(frame);
    }

    /// Length of one audio message from here on.
    pub fn set_append_ms(&mut self, ms: u32) {
        self.outbox.set_append_ms(ms);
    }

    /// Sends audio that waits to fill a message.
    pub fn flush_audio(&mut self) {
        self.outbox.flush();
    }

    /// While muted, caller audio is not sent; the service is told that none comes.
    pub fn set_input_muted(&mut self, muted: bool) {
        self.outbox.set_muted(muted);
        if muted
            && self.phase == Phase::Ready
            && self.settings.turn_detection != TurnDetection::Manual
        {
            self.outbox.push_command(client_message::audio_stream_end());
        }
    }

    /// Ends the caller's turn by hand (manual turns).
    pub fn commit_audio(&mut self) {
        self.outbox.flush();
        if std::mem::take(&mut self.activity_open) && self.phase == Phase::Ready {
            self.outbox.push_command(client_message::activity(false));
        }
    }

    /// Forgets the caller's audio that is not sent yet; what the service has, it keeps.
    pub fn clear_audio(&mut self) {
        self.outbox.drop_unsent_audio();
    }

    /// Has the model speak. With instructions, or with notes that wait, it is told them by a text. Without, it answers
    /// speech and tool results by itself: only where neither is under way it is told to go on.
    pub fn create_response(&mut self, request: ResponseRequest) {
        match self.phase {
            Phase::Ended => {}
            Phase::Configuring if self.wishes.len() < RESPONSE_REQUESTS_MAX => {
                self.wishes.push_back(request);
            }
            Phase::Configuring => self.counters.overflow += 1,
            Phase::Ready => self.ask(&request),
        }
    }

    fn ask(&mut self, request: &ResponseRequest) {
        if request.optional && self.tools.is_waiting() {
            // A text would take the tool calls back. The shell has a sound for this.
            self.skip_response();
            return;
        }
        let mut words: Vec<String> = self.notes.drain(..).collect();
        if let Some(instructions) = request.instructions.as_deref() {
            words.push(aside(instructions));
        }
        if words.is_empty() {
            if self.tools.is_continued() || self.turn.answer.is_some() {
                return;
            }
            words.push(GO_ON.to_owned());
        }
        self.turn.own_interruption = self.turn.open;
        self.tools.interrupted();
        self.outbox.flush();
        self.outbox
            .push_command(client_message::text(&words.join("\n")));
    }

    /// A response that cannot be had now ends before it begins.
    fn skip_response(&mut self) {
        self.turn.answers += 1;
        let response = format!("gem_r{}", self.turn.answers);
        self.emit(EngineEvent::ResponseStarted {
            response: response.clone(),
        });
        self.emit(EngineEvent::ResponseDone {
            response,
            status: ResponseStatus::Cancelled {
                reason: "engine_busy".to_owned(),
            },
            usage: None,
        });
    }

    /// Drops what still comes of the answer under way: the service cannot be told to stop.
    pub fn cancel_response(&mut self) {
        self.wishes.clear();
        let Some(answer) = self.turn.answer.take() else {
            return;
        };
        let before = self.events.len();
        self.events.retain(
            |event| !matches!(event, EngineEvent::Audio { response, .. } if *response == answer.id),
        );
        self.counters.late_deltas += u64::try_from(before - self.events.len()).unwrap_or(0);
        self.turn.unwanted = self.turn.open;
        self.end_answer(
            answer,
            ResponseStatus::Cancelled {
                reason: "client_cancelled".to_owned(),
            },
        );
    }

    /// Nothing: the service trims its history at an interruption by itself.
    pub fn truncate(&mut self, item: &str, audio_end_ms: u32) {
        let _ = (item, audio_end_ms);
    }

    /// Gives the output of a tool. The model goes on by itself once all calls of its turn are answered.
    pub fn submit_tool_output(&mut self, call_id: &str, output: &str) {
        if self.phase == Phase::Ended {
            return;
        }
        match self.tools.answer(call_id, output) {
            tools::Outcome::Waiting => {}
            tools::Outcome::Complete(outputs) => {
                self.outbox.flush();
                self.outbox
                    .push_command(client_message::tool_response(&outputs));
                if self.tools.take_silence() {
                    self.turn.open = true;
                    self.turn.unwanted = true;
                }
            }
            // Its call was made in another session, or taken back: the model is told with the next text.
            tools::Outcome::Unknown => {
                let note = aside(&format!("The result of an earlier tool call: {output}"));
                self.note(note);
            }
        }
    }

    /// What the model says by itself after the result of this call is dropped (the call ends, or is handed over).
    pub fn silence_after(&mut self, call_id: &str) {
        self.tools.silence_after(call_id);
    }

    /// Adds a message to what the model is told next; blank ones are left out.
    pub fn add_message(&mut self, role: Role, text: &str) {
        if text.trim().is_empty() || self.phase == Phase::Ended {
            return;
        }
        let text = match role {
            Role::User => text.to_owned(),
            Role::Assistant | Role::System => aside(text),
        };
        self.note(text);
    }

    fn note(&mut self, text: String) {
        if self.notes.len() >= NOTES_MAX {
            self.counters.overflow += 1;
        } else {
            self.notes.push_back(text);
        }
    }

    /// Replaces the instructions: those of a session that runs are fixed, so its model is told by the next text.
    pub fn update_instructions(&mut self, instructions: &str) {
        if self.settings.instructions == instructions {
            return;
        }
        instructions.clone_into(&mut self.settings.instructions);
        if self.setup_sent && self.phase != Phase::Ended {
            self.note(aside(&format!("Your instructions are now: {instructions}")));
        }
    }

    /// The conversation so far, for a session that takes over from another one; of no effect on one that is resumed by a
    /// handle. To be given before anything is sent.
    pub fn replay(&mut self, items: &[HistoryItem]) {
        let skipped = items.len().saturating_sub(REPLAY_ITEMS_MAX);
        self.counters.overflow += u64::try_from(skipped).unwrap_or(0);
        self.history = items[skipped..]
            .iter()
            .filter(|item| !item.text.trim().is_empty())
            .cloned()
            .collect();
    }

    /// One message of the service, text or binary: both carry JSON.
    pub fn handle_text(&mut self, now: Instant, text: &str) {
        self.handle_timeout(now);
        let parsed = if text.len() > MESSAGE_BYTES_MAX {
            None
        } else {
            server_message::parse(text)
        };
        match parsed {
            Some(_) if self.phase == Phase::Ended => self.counters.unused += 1,
            Some(message) => self.handle(now, message),
            None => self.counters.malformed += 1,
        }
    }

    /// One binary message of the service.
    pub fn handle_binary(&mut self, now: Instant, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.handle_text(now, text),
            Err(_) => self.counters.malformed += 1,
        }
    }

    fn emit(&mut self, event: EngineEvent) {
        if self.events.len() >= EVENTS_MAX {
            self.counters.overflow += 1;
        } else {
            self.events.push_back(event);
        }
    }
}

/// What the caller did not say.
fn aside(text: &str) -> String {
    format!("({text})")
}
