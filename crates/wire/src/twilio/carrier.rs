//! The carrier's side of one stream: what Twilio is towards an application that speaks Media Streams.
//!
//! The shell gives it the caller's audio, what the application says, and how much of the application's audio was really played;
//! it drains [`CarrierSide::poll_output`] and [`CarrierSide::poll_order`] to `None` after every call. As with Twilio, audio of the
//! application is queued without asking how fast it comes; a mark is told back once everything before it was played, at once
//! where nothing is queued, and at a `clear` with all the others. What Twilio does not know is the application's `stop`: it
//! hangs up. Nonsense is counted, never an error.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

/// Largest message taken from an application, bytes: some send a whole answer as one.
pub const APPLICATION_MESSAGE_BYTES_MAX: usize = 2 * 1_024 * 1_024;
/// Audio that is kept for the caller, ms; what comes beyond it is dropped and counted.
pub const QUEUED_MS_MAX: u64 = 590_000;
/// Marks that may be outstanding; further ones are dropped and counted.
pub const APPLICATION_MARKS_MAX: usize = 4_096;
/// Longest name of a mark that is told back, bytes.
pub const MARK_NAME_BYTES_MAX: usize = 4_096;
/// Audio of the caller in a message, ms and bytes (µ-law, 8 kHz).
const FRAME_MS: u64 = 20;
/// See [`FRAME_MS`].
const FRAME_BYTES: usize = 160;
/// Samples of a millisecond.
const SAMPLES_PER_MS: u64 = 8;
/// The stream goes on in silence where the caller's audio is missing for this long.
const SILENT_AFTER: Duration = Duration::from_millis(60);
/// The caller's audio may be this far ahead of real time (a burst after a stall, which was filled with silence); more is dropped.
const AHEAD_MAX: Duration = Duration::from_millis(500);
/// A pause longer than this (a process that was stopped) is left out instead of being filled.
const FILLED_MAX: Duration = Duration::from_secs(2);
/// µ-law silence.
const SILENCE: u8 = 0xFF;

/// What a stream says of its call when it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamIds {
    /// `MZ…`
    pub stream: String,
    /// `CA…`
    pub call: String,
    /// `AC…`
    pub account: String,
}

/// What the application asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Order {
    /// Play this µ-law audio after everything before it. Playing is counted by segments: a clear begins the next one.
    Play {
        /// Number of the segment.
        segment: u64,
        /// Bytes of any number.
        audio: Vec<u8>,
    },
    /// Forget what is not played yet.
    Clear,
    /// Hang up.
    HangUp,
}

/// What was dropped or ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CarrierCounters {
    /// Messages that are none, or too long.
    pub malformed: u64,
    /// Messages for another stream, or of an unknown kind.
    pub ignored: u64,
    /// Messages with audio whose bytes cannot be read.
    pub bad_audio: u64,
    /// Audio or marks beyond the limits.
    pub overflow: u64,
    /// Frames of the caller that were made here because none came.
    pub filled: u64,
    /// Frames of the caller that came too late to be sent.
    pub late: u64,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    event: Cow<'a, str>,
    #[serde(borrow, rename = "streamSid")]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    media: Option<Media<'a>>,
    #[serde(borrow)]
    mark: Option<Mark<'a>>,
}

#[derive(Deserialize)]
struct Media<'a> {
    #[serde(borrow, default)]
    payload: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Mark<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

/// See the module page.
#[derive(Debug)]
pub struct CarrierSide {
    ids: StreamIds,
    sequence: u64,
    /// Frames of the caller so far, and when the first one left.
    frames: u64,
    began: Option<Instant>,
    segment: u64,
    /// Samples of the segment that were queued, and how many of them were played.
    queued: u64,
    played: u64,
    marks: VecDeque<(u64, String)>,
    output: VecDeque<String>,
    orders: VecDeque<Order>,
    stopped: bool,
    counters: CarrierCounters,
}

impl CarrierSide {
    /// A stream that begins now: `connected` and `start` are the first things that it says.
    #[must_use]
    pub fn new(ids: StreamIds, parameters: &BTreeMap<String, String>) -> Self {
        let mut side = Self {
            ids,
            sequence: 0,
            frames: 0,
            began: None,
            segment: 0,
            queued: 0,
            played: 0,
            marks: VecDeque::new(),
            output: VecDeque::with_capacity(4),
            orders: VecDeque::with_capacity(4),
            stopped: false,
            counters: CarrierCounters::default(),
        };
        let connected = json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" });
        side.output.push_back(connected.to_string());
        let start = json!({
            "accountSid": side.ids.account,
            "streamSid": side.ids.stream,
            "callSid": side.ids.call,
            "tracks": ["inbound"],
            "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8_000, "channels": 1 },
            "customParameters": parameters,
        });
        side.say("start", "start", &start);
        side
    }

    /// Names of the stream and its call.
    #[must_use]
    pub fn ids(&self) -> &StreamIds {
        &self.ids
    }

    /// What was dropped so far.
    #[must_use]
    pub fn counters(&self) -> CarrierCounters {
        self.counters
    }

    fn say(&mut self, event: &str, field: &str, value: &serde_json::Value) {
        self.sequence += 1;
        let mut message = json!({
            "event": event,
            "sequenceNumber": self.sequence.to_string(),
            "streamSid": self.ids.stream,
        });
        message[field] = value.clone();
        self.output.push_back(message.to_string());
    }

    /// 20 ms of the caller in µ-law.
    pub fn hear(&mut self, now: Instant, audio: &[u8]) {
        if self.stopped {
            return;
        }
        let began = *self.began.get_or_insert(now);
        if self
            .position()
            .saturating_sub(now.saturating_duration_since(began))
            > AHEAD_MAX
        {
            self.counters.late += 1;
            return;
        }
        self.media(audio);
    }

    /// Length of the caller's audio so far.
    fn position(&self) -> Duration {
        Duration::from_millis(self.frames * FRAME_MS)
    }

    fn media(&mut self, audio: &[u8]) {
        self.sequence += 1;
        self.frames += 1;
        let timestamp = (self.frames - 1) * FRAME_MS;
        let mut message = String::with_capacity(420);
        let _ = write!(
            message,
            r#"{{"event":"media","sequenceNumber":"{}","media":{{"track":"inbound","chunk":"{}","timestamp":"{timestamp}","payload":""#,
            self.sequence, self.frames
        );
        base64_simd::STANDARD.encode_append(audio, &mut message);
        // The id is ours: letters and digits.
        let _ = write!(message, r#""}},"streamSid":"{}"}}"#, self.ids.stream);
        self.output.push_back(message);
    }

    /// When the stream goes on without audio of the caller.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let began = self.began.filter(|_| !self.stopped)?;
        Some(began + self.position() + SILENT_AFTER)
    }

    /// Fills with silence what the caller did not send.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(due) = self.poll_timeout() else {
            return;
        };
        let behind = now.saturating_duration_since(due);
        if behind > FILLED_MAX {
            self.began = self.began.map(|began| began + behind);
        }
        while self.poll_timeout().is_some_and(|due| due <= now) {
            self.counters.filled += 1;
            self.media(&[SILENCE; FRAME_BYTES]);
        }
    }

    /// Audio begins to flow, whether the caller is heard or not.
    pub fn begin(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    /// The caller pressed a key.
    pub fn press(&mut self, digit: char) {
        if !self.stopped {
            let dtmf = json!({ "track": "inbound_track", "digit": digit.to_string() });
            self.say("dtmf", "dtmf", &dtmf);
        }
    }

    /// The call is over.
    pub fn stop(&mut self) {
        if !std::mem::replace(&mut self.stopped, true) {
            let stop = json!({ "accountSid": self.ids.account, "callSid": self.ids.call });
            self.say("stop", "stop", &stop);
        }
    }

    /// A text message of the application.
    pub fn handle_text(&mut self, text: &str) {
        if text.len() > APPLICATION_MESSAGE_BYTES_MAX {
            self.counters.malformed += 1;
            return;
        }
        let Ok(request) = serde_json::from_str::<Request<'_>>(text) else {
            self.counters.malformed += 1;
            return;
        };
        let stream = request.stream.as_deref();
        if stream.is_some_and(|stream| stream != self.ids.stream) || self.stopped {
            self.counters.ignored += 1;
            return;
        }
        match request.event.as_ref() {
            "media" => self.play(request.media),
            "mark" => self.mark(request.mark.and_then(|mark| mark.name)),
            "clear" => self.clear(),
            "stop" => self.orders.push_back(Order::HangUp),
            _ => self.counters.ignored += 1,
        }
    }

    fn play(&mut self, media: Option<Media<'_>>) {
        let payload = media.map(|media| media.payload).unwrap_or_default();
        let Ok(audio) = base64_simd::STANDARD.decode_to_vec(payload.as_bytes()) else {
            self.counters.bad_audio += 1;
            return;
        };
        if audio.is_empty() {
            self.counters.bad_audio += 1;
            return;
        }
        let after = self.queued + audio.len() as u64;
        if after - self.played > QUEUED_MS_MAX * SAMPLES_PER_MS {
            self.counters.overflow += 1;
            return;
        }
        self.queued = after;
        self.orders.push_back(Order::Play {
            segment: self.segment,
            audio,
        });
    }

    fn mark(&mut self, name: Option<Cow<'_, str>>) {
        let Some(name) = name.filter(|name| name.len() <= MARK_NAME_BYTES_MAX) else {
            self.counters.ignored += 1;
            return;
        };
        if self.marks.len() >= APPLICATION_MARKS_MAX {
            self.counters.overflow += 1;
            return;
        }
        self.marks.push_back((self.queued, name.into_owned()));
        self.tell_marks();
    }

    /// The segment was played up to here, in whole milliseconds, as the playout counts them.
    pub fn played(&mut self, segment: u64, played_ms: u64) {
        if segment == self.segment {
            let all = self.queued / SAMPLES_PER_MS <= played_ms;
            let played = if all {
                self.queued
            } else {
                played_ms * SAMPLES_PER_MS
            };
            self.played = self.played.max(played);
            self.tell_marks();
        }
    }

    /// Number of the segment that plays, while not all of it was played.
    #[must_use]
    pub fn playing(&self) -> Option<u64> {
        (self.played < self.queued).then_some(self.segment)
    }

    fn tell_marks(&mut self) {
        while let Some((position, _)) = self.marks.front()
            && *position <= self.played
            && let Some((_, name)) = self.marks.pop_front()
        {
            self.say("mark", "mark", &json!({ "name": name }));
        }
    }

    fn clear(&mut self) {
        self.segment += 1;
        self.queued = 0;
        self.played = 0;
        self.orders.push_back(Order::Clear);
        for (_, name) in std::mem::take(&mut self.marks) {
            self.say("mark", "mark", &json!({ "name": name }));
        }
    }

    /// The next message for the application.
    pub fn poll_output(&mut self) -> Option<String> {
        self.output.pop_front()
    }

    /// The next thing that the application asks for.
    pub fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }
}
