//! What goes to the client: events with their ids, and the unknown fields and events that a client must ignore.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::SessionLog;
use super::schema::Violation;
use super::settings::Format;

/// One thing to do on the connection.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Out {
    /// An event, or text that is none.
    Text(String),
    /// A message that is not text.
    Binary(Vec<u8>),
    /// Close the WebSocket.
    Close { code: u16, reason: String },
    /// Drop the TCP connection.
    Abort,
}

/// Identifiers that look like the service's, the same in every run with the same seed.
#[derive(Debug)]
pub(super) struct Ids(u64);

impl Ids {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self, prefix: &str) -> String {
        const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefgh";
        let mut id = format!("{prefix}_");
        for _ in 0..2 {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^= bits >> 31;
            for n in 0..10 {
                let index = usize::try_from((bits >> (n * 5)) & 31).expect("five bits");
                id.push(char::from(LETTERS[index]));
            }
        }
        id
    }
}

/// Most samples of the caller that wait to be recorded.
const HEARD_SAMPLES_MAX: usize = 48_000;
/// Every so many events an unknown field is added.
const UNKNOWN_FIELD_EVERY: u64 = 5;
/// Every so many events an unknown event is sent.
const UNKNOWN_EVENT_EVERY: u64 = 23;

/// What does not change in a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// Sends unknown fields and events.
    pub(super) sprinkle: bool,
    /// Keeps the caller's audio for [`Outbox::take_audio`].
    pub(super) record: bool,
}

/// The queue to the client. It is drained after every event of the client and every deadline.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: VecDeque<Out>,
    pub(super) ids: Ids,
    pub(super) log: SessionLog,
    /// Something besides audio has happened since it was asked.
    pub(super) log_changed: bool,
    /// The caller's audio, when it is recorded, with its rate.
    heard: (Vec<i16>, u32),
    habits: Habits,
    sent: u64,
    stalled: bool,
}

impl Outbox {
    pub(super) fn new(seed: u64, habits: Habits) -> Self {
        Self {
            queue: VecDeque::new(),
            ids: Ids::new(seed),
            log: SessionLog::default(),
            log_changed: true,
            heard: (Vec::new(), 8_000),
            habits,
            sent: 0,
            stalled: false,
        }
    }

    pub(super) fn pop(&mut self) -> Option<Out> {
        self.queue.pop_front()
    }

    /// Events sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Nothing is sent any more, as when the service hangs.
    pub(super) fn stall(&mut self) {
        self.stalled = true;
    }

    pub(super) fn push(&mut self, out: Out) {
        if !self.stalled {
            self.queue.push_back(out);
        }
    }

    /// Counts and keeps the caller's audio; the connection takes it after every event.
    pub(super) fn note_audio(&mut self, samples: &[i16], format: Format) {
        self.log.audio_received_ms += (samples.len() / format.samples_per_ms()) as u64;
        self.heard.1 = match format {
            Format::Pcmu | Format::Pcma => 8_000,
            Format::Pcm16k => 16_000,
            Format::Pcm24k => 24_000,
        };
        if self.habits.record && self.heard.0.len() < HEARD_SAMPLES_MAX {
            self.heard.0.extend_from_slice(samples);
        }
    }

    /// The audio since the last time, with its rate.
    pub(super) fn take_audio(&mut self) -> (Vec<i16>, u32) {
        (std::mem::take(&mut self.heard.0), self.heard.1)
    }

    /// Sends a message of another protocol.
    pub(super) fn message(&mut self, bytes: Vec<u8>) {
        self.sent += 1;
        self.push(Out::Binary(bytes));
    }

    /// Sends an event; `fields` is an object.
    pub(super) fn event(&mut self, kind: &str, fields: Value) {
        self.sent += 1;
        self.log_changed |= !kind.ends_with(".delta");
        let mut event = Map::new();
        event.insert("type".into(), kind.into());
        event.insert("event_id".into(), self.ids.next("event").into());
        if let Value::Object(fields) = fields {
            event.extend(fields);
        }
        if self.habits.sprinkle {
            if kind.ends_with(".delta") {
                let length = usize::try_from(self.sent % 7).expect("at most 6") + 3;
                event.insert("obfuscation".into(), "aB3xQ9zLmN"[..length].into());
            } else if self.sent.is_multiple_of(UNKNOWN_FIELD_EVERY) {
                event.insert("x_future".into(), json!({"since": 2027, "list": [1, null]}));
            }
        }
        self.push(Out::Text(Value::Object(event).to_string()));
        if self.habits.sprinkle && self.sent.is_multiple_of(UNKNOWN_EVENT_EVERY) {
            let unknown = json!({"type": "session.x_future", "event_id": self.ids.next("event"),
                "detail": {"nested": [true]}});
            self.push(Out::Text(unknown.to_string()));
        }
    }

    /// Sends an `error` event about a client event.
    pub(super) fn error(&mut self, violation: &Violation, event_id: Option<&str>) {
        self.error_of("invalid_request_error", violation, event_id);
    }

    /// Sends an `error` event of any type.
    pub(super) fn error_of(&mut self, kind: &str, violation: &Violation, event_id: Option<&str>) {
        let label = violation.code.unwrap_or(&violation.message);
        self.log.note_error(label);
        self.log_changed = true;
        self.event(
            "error",
            json!({"error": {"type": kind, "code": violation.code, "message": violation.message,
                "param": violation.param, "event_id": event_id}}),
        );
    }
}
