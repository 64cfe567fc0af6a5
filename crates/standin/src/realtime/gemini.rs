//! The stand-in as Gemini Live: the same scenario, brain and ears behind `BidiGenerateContent`.
//!
//! One session, without a socket and without a clock. What a message may hold is in [`schema`]; what is generated in
//! [`answer`].

mod answer;
mod schema;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scenario::{FaultAction, FaultPoint, Prepared, Timing};
use crate::speech::{Rendered, SpeechError};

use super::SessionLog;
use super::brain::{Brain, Request};
use super::conversation::{Heard, Item};
use super::faults::{Armed, Faults};
use super::input::{Detected, Input};
use super::outbox::{Habits, Out, Outbox};
use super::settings::{Format, TurnDetection};
use answer::{Answer, Step};

/// Sessions that can be resumed; the oldest is forgotten beyond it.
const HANDLES_MAX: usize = 1_000;
/// How long before its end a connection is announced to end, at most.
const GO_AWAY_MS_MAX: u64 = 10_000;
/// Longest reason of a closure (RFC 6455 section 5.5).
const REASON_BYTES_MAX: usize = 123;
/// What a transcript says of speech that is no known utterance.
const INAUDIBLE: &str = "(inaudible)";
/// What the service says of a key that it does not know.
const WRONG_KEY: &str = "API key not valid. Please pass a valid API key.";

/// The conversations that can be resumed by a handle, over all connections of a server.
pub(super) type Handles = Arc<Mutex<VecDeque<(String, Vec<Item>)>>>;

/// What a session begins with.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) prepared: Arc<Prepared>,
    pub(super) connection: u64,
    pub(super) seed: u64,
    pub(super) key_is_right: bool,
    pub(super) record: bool,
    pub(super) handles: Handles,
}

/// What the client set up.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of the set-up message"
)]
#[derive(Debug)]
struct Settings {
    tools: Vec<String>,
    text_only: bool,
    vad: Option<TurnDetection>,
    transcribes_caller: bool,
    transcribes_model: bool,
    resumable: bool,
    /// The conversation so far is awaited.
    seeding: bool,
}

/// Words of the caller that are told later.
#[derive(Debug)]
struct Transcript {
    due: Instant,
    words: Vec<String>,
}

/// A call of the model that waits for its result.
#[derive(Debug)]
struct Pending {
    id: String,
    answered: bool,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    prepared: Arc<Prepared>,
    timing: Timing,
    settings: Option<Settings>,
    items: Vec<Item>,
    input: Input,
    brain: Brain,
    out: Outbox,
    answer: Option<Answer>,
    pending: Vec<Pending>,
    transcripts: VecDeque<Transcript>,
    faults: Faults,
    fault: Option<(Instant, Armed)>,
    handles: Handles,
    expires_at: Instant,
    go_away_at: Option<Instant>,
}

impl Session {
    pub(super) fn new(now: Instant, setup: Setup) -> Self {
        let timing = setup.prepared.scenario.timing.clone();
        let mut out = Outbox::new(
            setup.seed ^ setup.connection.rotate_left(32),
            Habits {
                sprinkle: false,
                record: setup.record,
            },
        );
        let id = out.ids.next("gemini");
        out.log.session.clone_from(&id);
        let lasts = timing.session_ms_max;
        let mut session = Self {
            faults: Faults::new(&setup.prepared.scenario.faults, setup.connection),
            fault: None,
            prepared: setup.prepared,
            settings: None,
            items: Vec::new(),
            input: Input::new(Format::Pcm16k),
            brain: Brain::default(),
            out,
            answer: None,
            pending: Vec::new(),
            transcripts: VecDeque::new(),
            handles: setup.handles,
            expires_at: now + Duration::from_millis(lasts),
            go_away_at: Some(now + Duration::from_millis(lasts - GO_AWAY_MS_MAX.min(lasts / 2))),
            timing,
        };
        if !setup.key_is_right {
            session.close(1_007, WRONG_KEY);
        }
        session
    }

    pub(super) fn poll_output(&mut self) -> Option<Out> {
        self.out.pop()
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.answer
            .iter()
            .filter_map(Answer::next_at)
            .chain(self.transcripts.front().map(|next| next.due))
            .chain(self.fault.as_ref().map(|(due, _)| *due))
            .chain(self.go_away_at)
            .fold(self.expires_at, Instant::min)
    }

    pub(super) fn poll_render(&self) -> Option<(String, String)> {
        let text = self.answer.as_ref()?.missing_sound()?;
        Some((String::new(), text.to_owned()))
    }

    pub(super) fn handle_rendered(
        &mut self,
        now: Instant,
        made: Result<Arc<Rendered>, SpeechError>,
    ) {
        match (made, &mut self.answer) {
            (Ok(sound), Some(answer)) => answer.give_sound(now, sound),
            (Err(error), Some(_)) => self.close(1_011, &error.to_string()),
            (_, None) => {}
        }
        self.handle_timeout(now);
    }

    pub(super) fn log(&self) -> &SessionLog {
        &self.out.log
    }

    pub(super) fn log_changed(&mut self) -> bool {
        std::mem::take(&mut self.out.log_changed)
    }

    pub(super) fn take_audio(&mut self) -> (Vec<i16>, u32) {
        self.out.take_audio()
    }

    pub(super) fn events_sent(&self) -> u64 {
        self.out.sent()
    }

    /// Sends a message as the service does: JSON in a binary frame.
    fn send(&mut self, message: &Value) {
        self.out.message(message.to_string().into_bytes());
    }

    fn content(&mut self, content: &Value) {
        self.send(&json!({"serverContent": content}));
    }

    fn close(&mut self, code: u16, reason: &str) {
        let mut end = reason.len().min(REASON_BYTES_MAX);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        self.out.log.note_error(reason);
        self.out.log_changed = true;
        self.out.push(Out::Close {
            code,
            reason: reason[..end].to_owned(),
        });
        self.out.stall();
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if now >= self.expires_at {
            self.close(1_011, "The session has reached its longest duration.");
            self.expires_at += Duration::from_secs(3_600);
            return;
        }
        if self.go_away_at.is_some_and(|at| at <= now) {
            self.go_away_at = None;
            let left = self.expires_at.saturating_duration_since(now);
            let left = format!("{}s", left.as_secs_f32());
            self.send(&json!({"goAway": {"timeLeft": left}}));
        }
        if let Some((due, armed)) = self.fault.take() {
            if due <= now {
                self.strike(&armed);
            } else {
                self.fault = Some((due, armed));
            }
        }
        while self.transcripts.front().is_some_and(|next| next.due <= now) {
            for words in self
                .transcripts
                .pop_front()
                .into_iter()
                .flat_map(|one| one.words)
            {
                self.content(&json!({"inputTranscription": {"text": words}}));
            }
        }
        self.advance(now);
    }

    fn advance(&mut self, now: Instant) {
        while let Some(step) = self
            .answer
            .as_mut()
            .and_then(|answer| answer.step(now, &self.timing))
        {
            match step {
                Step::Audio { data, ms, words } => {
                    self.out.log.note_sent(ms);
                    let spoken = self
                        .settings
                        .as_ref()
                        .is_some_and(|one| one.transcribes_model);
                    if spoken && !words.is_empty() {
                        self.content(&json!({"outputTranscription": {"text": words}}));
                    }
                    let part =
                        json!({"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}});
                    self.content(&json!({"modelTurn": {"role": "model", "parts": [part]}}));
                }
                Step::Text(text) => {
                    self.content(
                        &json!({"modelTurn": {"role": "model", "parts": [{"text": text}]}}),
                    );
                }
                Step::Said(text) => self.said(&text),
                Step::Calls(calls) => self.call_tools(calls),
                Step::Generated => self.content(&json!({"generationComplete": true})),
                Step::Complete => self.complete(),
            }
        }
    }

    fn said(&mut self, text: &str) {
        self.out.log.note_said(text);
        self.out.log_changed = true;
        let audio_ms = self.answer.as_ref().map_or(0, Answer::audio_ms);
        let shown = json!({"type": "message", "role": "assistant",
            "content": [{"type": "output_audio", "transcript": text}]});
        self.push_item(shown, audio_ms, None);
    }

    fn call_tools(&mut self, calls: Vec<answer::Call>) {
        let mut told = Vec::new();
        for call in calls {
            self.push_item(
                json!({"type": "function_call", "call_id": call.id}),
                0,
                None,
            );
            told.push(json!({"id": call.id, "name": call.name, "args": call.arguments}));
            self.pending.push(Pending {
                id: call.id,
                answered: false,
            });
        }
        self.send(&json!({"toolCall": {"functionCalls": told}}));
    }

    /// The turn is over: what it cost, and a handle to come back to it.
    fn complete(&mut self) {
        let spoken_ms = self.answer.take().map_or(0, |answer| answer.audio_ms());
        let heard_ms: u64 = self.items.iter().map(|item| item.audio_ms).sum();
        let (prompt, response) = (heard_ms.div_ceil(40) + 100, spoken_ms.div_ceil(40));
        self.send(&json!({
            "serverContent": {"turnComplete": true},
            "usageMetadata": {
                "promptTokenCount": prompt, "responseTokenCount": response,
                "totalTokenCount": prompt + response,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100},
                    {"modality": "AUDIO", "tokenCount": prompt - 100}],
                "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": response}],
            },
        }));
        self.offer_handle();
    }

    fn offer_handle(&mut self) {
        if !self.settings.as_ref().is_some_and(|one| one.resumable) {
            return;
        }
        let handle = self.out.ids.next("handle");
        if let Ok(mut handles) = self.handles.lock() {
            if handles.len() >= HANDLES_MAX {
                handles.pop_front();
            }
            handles.push_back((handle.clone(), self.items.clone()));
        }
        self.send(&json!({"sessionResumptionUpdate": {"newHandle": handle, "resumable": true}}));
    }

    fn strike(&mut self, armed: &Armed) {
        match armed.action {
            FaultAction::Close => self.close(armed.code, &armed.reason.clone()),
            FaultAction::Fail => self.close(1_011, "Internal error encountered."),
            FaultAction::Refuse => self.close(1_007, "Request contains an invalid argument."),
            FaultAction::Abort => {
                self.out.push(Out::Abort);
                self.out.stall();
            }
            FaultAction::Stall => self.out.stall(),
            FaultAction::Garbage => {
                for text in [
                    "",
                    "nonsense",
                    "[1,2",
                    "{\"serverContent\":7}",
                    "{}",
                    "null",
                ] {
                    self.out.push(Out::Text(text.into()));
                }
                self.out.push(Out::Binary(vec![0xff, 0x00, 0x9f]));
            }
            FaultAction::Status | FaultAction::Delay => {}
        }
    }

    /// A message of the client.
    pub(super) fn handle_text(&mut self, now: Instant, text: &str) {
        match serde_json::from_str(text) {
            Ok(message) => self.handle_message(now, &schema::camel_case(message)),
            Err(_) => self.close(1_007, "Invalid JSON payload received."),
        }
        self.handle_timeout(now);
    }

    fn handle_message(&mut self, now: Instant, message: &Value) {
        let (kind, body) = match schema::check(message) {
            Ok(found) => found,
            Err(reason) => {
                self.close(1_007, &reason);
                return;
            }
        };
        let audio = kind == "realtimeInput" && body.get("audio").is_some();
        if audio {
            self.out.log.audio_events += 1;
        } else {
            self.out.log.note_event(kind);
            self.out.log_changed = true;
        }
        match (kind, self.settings.is_some()) {
            ("setup", false) => self.set_up(body),
            ("setup", true) => {
                self.close(1_007, "setup must be the first message and only the first")
            }
            (_, false) => self.close(1_007, "setup must be the first message and only the first"),
            ("clientContent", true) => self.client_content(now, body),
            ("realtimeInput", true) => self.realtime_input(now, body),
            (_, true) => self.tool_response(now, body),
        }
    }

    fn set_up(&mut self, body: &Value) {
        for armed in self.faults.at(FaultPoint::SessionUpdate) {
            if armed.action != FaultAction::Delay {
                self.strike(&armed);
            }
        }
        let handle = body
            .pointer("/sessionResumption/handle")
            .and_then(Value::as_str);
        if let Some(handle) = handle {
            let found = self.handles.lock().ok().and_then(|handles| {
                let mut known = handles.iter();
                known
                    .find(|(one, _)| one == handle)
                    .map(|(_, items)| items.clone())
            });
            match found {
                Some(items) => self.items = items,
                None => {
                    self.close(1_008, "BidiGenerateContent session not found");
                    return;
                }
            }
        }
        self.settings = Some(schema::settings(body));
        self.send(&json!({"setupComplete": {}}));
        if !self.items.is_empty() {
            self.offer_handle();
        }
    }

    fn client_content(&mut self, now: Instant, body: &Value) {
        let turns = body["turns"].as_array().cloned().unwrap_or_default();
        let complete = body["turnComplete"].as_bool().unwrap_or(true);
        let seeding = self.settings.as_ref().is_some_and(|one| one.seeding);
        let mut last = String::new();
        for turn in &turns {
            let role = if turn["role"] == "model" {
                "assistant"
            } else {
                "user"
            };
            let parts = turn["parts"].as_array().into_iter().flatten();
            let words: Vec<&str> = parts.filter_map(|part| part["text"].as_str()).collect();
            last = words.join(" ");
            let shown = json!({"type": "message", "role": role,
                "content": [{"type": "input_text", "text": last}]});
            self.push_item(shown, 0, None);
        }
        if seeding {
            if let Some(settings) = &mut self.settings {
                settings.seeding = !complete;
            }
            return;
        }
        self.interrupt();
        if complete {
            self.answer_text(now, &last);
        }
    }

    fn realtime_input(&mut self, now: Instant, body: &Value) {
        if let Some(data) = body.pointer("/audio/data").and_then(Value::as_str) {
            self.hear(now, data);
        }
        if let Some(text) = body["text"].as_str() {
            self.interrupt();
            let text = text.to_owned();
            let shown = json!({"type": "message", "role": "user",
                "content": [{"type": "input_text", "text": text}]});
            self.answer_text(now, &text);
            self.push_item(shown, 0, None);
        }
        if body.get("activityStart").is_some() {
            self.input.clear();
            self.interrupt();
        }
        if body.get("activityEnd").is_some() || body["audioStreamEnd"] == json!(true) {
            let manual = self.settings.as_ref().is_some_and(|one| one.vad.is_none());
            if manual || self.input.speaking() {
                let audio = self.input.all();
                self.input.clear();
                self.end_of_speech(now, &audio);
            }
        }
    }

    fn hear(&mut self, now: Instant, data: &str) {
        // Both alphabets, as protocol buffers have them in JSON.
        let decoded = base64_simd::STANDARD
            .decode_to_vec(data.as_bytes())
            .or_else(|_| base64_simd::URL_SAFE.decode_to_vec(data.as_bytes()));
        let Ok(bytes) = decoded else {
            self.close(
                1_007,
                "Invalid value at 'realtime_input.audio.data' (TYPE_BYTES)",
            );
            return;
        };
        let samples = self.input.append(&bytes);
        self.out.note_audio(samples, Format::Pcm16k);
        let Some(vad) = self.settings.as_ref().and_then(|settings| settings.vad) else {
            return;
        };
        while let Some(found) = self.input.detect(&vad) {
            match found {
                Detected::Started { .. } if vad.interrupt_response => self.interrupt(),
                Detected::Started { .. } => {}
                Detected::Stopped { start_ms, end_ms } => {
                    let audio = self.input.between(start_ms, end_ms);
                    self.input.consume(end_ms);
                    self.end_of_speech(now, &audio);
                }
            }
        }
    }

    /// Speech, or a text, cuts the model short: what it generates, what the client may still be playing, its calls.
    fn interrupt(&mut self) {
        let open: Vec<&str> = self.pending.iter().map(|call| call.id.as_str()).collect();
        if !open.is_empty() {
            let message = json!({"toolCallCancellation": {"ids": open}});
            self.pending.clear();
            self.send(&message);
        }
        if let Some(answer) = self.answer.as_mut() {
            let said = answer.cut();
            self.fault = None;
            self.content(&json!({"interrupted": true}));
            if let Some(said) = said {
                self.said(&said);
            }
            self.complete();
        }
    }

    fn end_of_speech(&mut self, now: Instant, audio: &[i16]) {
        let heard = self.prepared.recogniser().recognise(audio);
        let heard = heard.map_or(Heard::Nothing, |heard| Heard::Utterance {
            id: heard.id.to_owned(),
            text: heard.text.to_owned(),
        });
        let transcript = match &heard {
            Heard::Utterance { text, .. } => text.clone(),
            Heard::Nothing => INAUDIBLE.to_owned(),
        };
        self.out.log.note_heard(&transcript);
        self.out.log_changed = true;
        let shown = json!({"type": "message", "role": "user", "content": []});
        self.push_item(shown, (audio.len() / 8) as u64, Some(heard));
        if self
            .settings
            .as_ref()
            .is_some_and(|one| one.transcribes_caller)
        {
            self.transcripts.push_back(Transcript {
                due: now
                    + Duration::from_millis(
                        self.timing.transcript_ms.min(self.timing.first_byte_ms),
                    ),
                words: transcript.split_inclusive(' ').map(str::to_owned).collect(),
            });
        }
        let request = Request {
            items: &self.items,
            instructions: None,
        };
        let reply = self.brain.reply(&self.prepared.scenario, &request);
        self.begin(now, &reply);
    }

    fn answer_text(&mut self, now: Instant, text: &str) {
        let reply = self
            .brain
            .reply_to_text(&self.prepared.scenario, &self.items, text);
        self.begin(now, &reply);
    }

    fn tool_response(&mut self, now: Instant, body: &Value) {
        let responses = body["functionResponses"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for response in responses {
            let id = response["id"].as_str().unwrap_or_default();
            let Some(call) = self.pending.iter_mut().find(|call| call.id == id) else {
                self.out.log.note_error("a result of no open call");
                continue;
            };
            call.answered = true;
            let output = response["response"].to_string();
            self.push_item(
                json!({"type": "function_call_output", "call_id": id, "output": output}),
                0,
                None,
            );
        }
        if self.pending.is_empty() || self.pending.iter().any(|call| !call.answered) {
            return;
        }
        self.pending.clear();
        let request = Request {
            items: &self.items,
            instructions: None,
        };
        let reply = self.brain.reply(&self.prepared.scenario, &request);
        self.begin(now, &reply);
    }

    fn push_item(&mut self, shown: Value, audio_ms: u64, heard: Option<Heard>) {
        if self.items.len() >= super::conversation::ITEMS_MAX {
            self.items.remove(0);
        }
        let id = self.out.ids.next("item");
        self.items.push(Item {
            id,
            shown,
            audio_ms,
            heard,
        });
    }
}
