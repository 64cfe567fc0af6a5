//! Our side of one stream.

use std::collections::VecDeque;
use std::time::Instant;

use super::clock::PlayClock;
use super::frame::{self, Incoming};
use super::{Dialect, Encoding, LEAD_MS, MESSAGE_BYTES_MAX, QUEUE_MAX, Start};

/// Samples of a millisecond.
const SAMPLES_PER_MS: u64 = 8;
/// A mark is put behind at most this much audio, ms: what of a turn is not proven when the caller interrupts it.
const MARK_EVERY_MS: u64 = 200;
/// Below this lead the next audio is due, ms; until then it may wait for something else to wake the call.
const LEAD_MS_MIN: u64 = 120;
/// Audio that is worth a message while enough is ahead, ms.
const WORTH_MS: u64 = 60;
/// Lead of a background sound, ms: what would delay the agent's next word.
const BACKGROUND_LEAD_MS: u64 = 60;

/// What a stream tells.
#[derive(Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// The stream began. Its parameters are to be checked before anything else is done.
    Started(Box<Start>),
    /// The caller's audio in the stream's encoding. `number` counts such messages where the carrier does.
    Audio {
        /// Number of the message.
        number: Option<u64>,
        /// Its bytes.
        audio: Vec<u8>,
    },
    /// The caller pressed a key.
    Dtmf(char),
    /// The carrier ended the stream.
    Stopped,
    /// The carrier complains about something that we sent.
    Fault(String),
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// JSON.
    Text(String),
    /// Bare audio.
    Binary(Vec<u8>),
}

/// What was dropped or ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that are none, or too long.
    pub malformed: u64,
    /// Messages of an unknown kind, and those before `start`.
    pub ignored: u64,
    /// Messages with audio whose bytes cannot be read.
    pub bad_audio: u64,
    /// Marks that came after a clear, or that we never sent.
    pub stray_marks: u64,
    /// Events or messages dropped because a queue was full.
    pub overflow: u64,
}

/// Our side of one stream. See the module page.
#[derive(Debug)]
pub struct Stream {
    dialect: Dialect,
    encoding: Encoding,
    id: String,
    /// What each message with audio begins with.
    media_head: String,
    started: bool,
    stopped: bool,
    clock: PlayClock,
    /// Position behind the last mark.
    marked: u64,
    events: VecDeque<StreamEvent>,
    output: VecDeque<Outgoing>,
    counters: Counters,
    /// A buffer for the next audio.
    spare: Vec<u8>,
}

impl Stream {
    /// A stream that nothing was heard of yet.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            encoding: dialect.encoding(),
            id: String::new(),
            media_head: String::new(),
            started: false,
            stopped: false,
            clock: PlayClock::default(),
            marked: 0,
            events: VecDeque::with_capacity(4),
            output: VecDeque::with_capacity(4),
            counters: Counters::default(),
            spare: Vec::new(),
        }
    }

    /// Whose dialect it speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// How audio is written, once it began.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What was dropped so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            stray_marks: self.clock.stray_marks,
            ..self.counters
        }
    }

    /// A text message of the socket.
    pub fn handle_text(&mut self, now: Instant, text: &str) {
        let message = (text.len() <= MESSAGE_BYTES_MAX)
            .then(|| Incoming::read(self.dialect, text))
            .flatten();
        let Some(message) = message else {
            self.counters.malformed += 1;
            return;
        };
        match message {
            Incoming::Started(start) if !self.started => self.begin(start),
            Incoming::Connected => {}
            Incoming::Media { .. } | Incoming::Dtmf(_) | Incoming::Mark(_) | Incoming::Cleared
                if !self.started =>
            {
                self.counters.ignored += 1;
            }
            // What we send ourselves may be forked back to us; the caller is the other track.
            Incoming::Media { outbound: true, .. } => self.counters.ignored += 1,
            Incoming::Media {
                number, payload, ..
            } => self.heard_audio(number, payload.as_bytes()),
            Incoming::Dtmf(digit) => self.event(StreamEvent::Dtmf(digit)),
            Incoming::Mark(name) => match mark_number(&name) {
                Some(number) => self.clock.echoed(now, number),
                None => self.counters.ignored += 1,
            },
            Incoming::Cleared => {}
            Incoming::Stopped => {
                if !std::mem::replace(&mut self.stopped, true) {
                    self.event(StreamEvent::Stopped);
                }
            }
            Incoming::Fault(text) => self.event(StreamEvent::Fault(text)),
            // A second start would be another call's.
            Incoming::Started(_) | Incoming::Unknown => self.counters.ignored += 1,
        }
    }

    fn heard_audio(&mut self, number: Option<u64>, payload: &[u8]) {
        let mut audio = std::mem::take(&mut self.spare);
        audio.clear();
        match base64_simd::STANDARD.decode_append(payload, &mut audio) {
            Ok(_) => self.event(StreamEvent::Audio { number, audio }),
            Err(_) => self.counters.bad_audio += 1,
        }
    }

    /// Gives the buffer of an event back, for the audio of the next.
    pub fn take_back(&mut self, audio: Vec<u8>) {
        self.spare = audio;
    }

    /// A binary message of the socket: bare audio, where the dialect has it.
    pub fn handle_binary(&mut self, audio: &[u8]) {
        let usable = self.dialect.is_binary() && self.started;
        if audio.len() > MESSAGE_BYTES_MAX || !usable {
            self.counters.ignored += 1;
            return;
        }
        self.event(StreamEvent::Audio {
            number: None,
            audio: audio.to_vec(),
        });
    }

    fn begin(&mut self, start: Box<Start>) {
        self.started = true;
        self.id.clone_from(&start.stream_id);
        if let Some(encoding) = start.encoding {
            self.encoding = encoding;
        }
        self.media_head = frame::media_head(self.dialect, &self.id, self.encoding);
        self.event(StreamEvent::Started(start));
    }

    /// Samples that may be handed over now, in one message: 0 while enough is ahead of real time. The carrier's queue is refilled
    /// when it is due, and before that when something woke the call anyway and a fair piece fits.
    #[must_use]
    pub fn room(&self, now: Instant, background: bool) -> u64 {
        if !self.started || self.stopped {
            return 0;
        }
        let chunk = u64::from(self.dialect.chunk_ms());
        let lead = if background {
            BACKGROUND_LEAD_MS.max(2 * chunk)
        } else {
            u64::from(LEAD_MS).max(2 * chunk)
        };
        let ahead = self.clock.ahead(now) / SAMPLES_PER_MS;
        let room = lead.saturating_sub(ahead) / 20 * 20;
        let worth = WORTH_MS.min(lead / 3).max(chunk);
        if room < worth {
            return 0;
        }
        room.min(u64::from(self.dialect.chunk_ms_max())) * SAMPLES_PER_MS
    }

    /// Shortest piece that the carrier takes, samples.
    #[must_use]
    pub fn chunk_min(&self) -> u64 {
        u64::from(self.dialect.chunk_ms()) * SAMPLES_PER_MS
    }

    /// When the next audio must be handed over at the latest, while something is ahead.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        let least = LEAD_MS_MIN.max(u64::from(self.dialect.chunk_ms()));
        self.clock.when_ahead(least * SAMPLES_PER_MS)
    }

    /// When the last of what was sent is heard, by the clock.
    #[must_use]
    pub fn ends_at(&self) -> Option<Instant> {
        self.clock.when_heard(self.clock.sent())
    }

    /// When something counts as proven by time alone.
    #[must_use]
    pub fn gives_up_at(&self) -> Option<Instant> {
        self.clock.gives_up_at()
    }

    /// Hands audio over, in the stream's encoding. `last`: nothing follows at once, so its end is to be proven.
    pub fn play(&mut self, now: Instant, audio: &[u8], last: bool) {
        if audio.is_empty() || self.stopped {
            return;
        }
        let samples = (audio.len() / self.encoding.bytes_per_sample()) as u64;
        let message = if self.dialect.is_binary() {
            Outgoing::Binary(audio.to_vec())
        } else {
            Outgoing::Text(frame::media(&self.media_head, audio))
        };
        self.clock.send(now, samples);
        self.send(message);
        if last || self.clock.sent() - self.marked >= MARK_EVERY_MS * SAMPLES_PER_MS {
            self.mark(now);
        }
    }

    /// Asks the carrier to tell when everything sent so far was played.
    pub fn mark(&mut self, now: Instant) {
        if !self.dialect.has_marks() || self.marked == self.clock.sent() || self.stopped {
            return;
        }
        self.marked = self.clock.sent();
        let number = self.clock.mark(now);
        if let Some(text) = frame::mark(self.dialect, &self.id, &format!("a{number}")) {
            self.send(Outgoing::Text(text));
        }
    }

    /// Silences the carrier at once; the position that the caller heard up to.
    pub fn clear(&mut self, now: Instant) -> u64 {
        let was_ahead = self.clock.ahead(now) > 0 || self.clock.heard(now) < self.clock.sent();
        let heard = self.clock.clear(now);
        self.marked = heard;
        if was_ahead && !self.stopped {
            // What was not given to the socket yet is cut as well.
            self.output.clear();
            self.send(Outgoing::Text(frame::clear(self.dialect, &self.id)));
        }
        heard
    }

    /// Asks a bridge that copies Twilio to hang up. Twilio itself knows no such message: there the end of the stream is enough.
    pub fn ask_stop(&mut self) {
        if self.started && !self.stopped && self.dialect == Dialect::Twilio {
            let value = serde_json::json!({ "event": "stop", "streamSid": self.id });
            self.send(Outgoing::Text(value.to_string()));
        }
    }

    /// What the caller has heard, in samples of everything that was handed over (and not cleared).
    #[must_use]
    pub fn heard(&self, now: Instant) -> u64 {
        self.clock.heard(now)
    }

    /// What is proven to have been played.
    #[must_use]
    pub fn proven(&self, now: Instant) -> u64 {
        self.clock.proven(now)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    /// The next message to send.
    pub fn poll_output(&mut self) -> Option<Outgoing> {
        self.output.pop_front()
    }

    fn event(&mut self, event: StreamEvent) {
        if self.events.len() < QUEUE_MAX {
            self.events.push_back(event);
        } else {
            self.counters.overflow += 1;
        }
    }

    fn send(&mut self, message: Outgoing) {
        if self.output.len() < QUEUE_MAX {
            self.output.push_back(message);
        } else {
            self.counters.overflow += 1;
        }
    }
}

/// The number of a mark of ours.
fn mark_number(name: &str) -> Option<u64> {
    name.strip_prefix('a')?.parse().ok()
}
