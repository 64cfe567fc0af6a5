//! The caller's side of a feed: messages with a number each, put in order by the receiver that RTP uses.

use std::time::Instant;

use crate::coder::Terms;
use crate::echo::{Frames, HEARD_FRAMES, Heard};
use crate::frame::{CallerFrame, Codec, FRAME_SAMPLES, Law, SAMPLES_PER_MS};
use crate::receiver::{Content, Incoming, PAYLOAD_BYTES_MAX, Receiver};
use crate::recording::Recording;
use crate::statistics::Statistics;
use crate::voice::Voices;

/// Largest part of a message that the receiver is given at once, bytes: whole frames below its limit.
const PART_BYTES_MAX: usize = PAYLOAD_BYTES_MAX / FRAME_SAMPLES * FRAME_SAMPLES;
/// Largest message that is taken, bytes (30 s, the longest that a carrier names); the rest of a longer one is dropped.
const MESSAGE_BYTES_MAX: usize = 30_000 * SAMPLES_PER_MS;
/// Variation of arrival that is assumed, ms: it decides how long a missing message is waited for. A TCP connection reorders
/// nothing, but carriers say that they may.
const JITTER_MS: f64 = 10.0;

/// See the module.
#[derive(Debug)]
pub(super) struct Caller {
    receiver: Receiver,
    /// Number that the next message should have, and the media time of its audio.
    next: Option<(u64, u32)>,
    /// Parts that each message is cut into, fixed by the first.
    parts: u64,
    pub(super) heard_at: Instant,
    messages: u64,
    bytes: u64,
    current: Vec<u8>,
    heard: Frames,
    voices: Voices,
}

impl Caller {
    pub(super) fn new(now: Instant, law: Law) -> Self {
        Self {
            receiver: Receiver::new(law.into(), Terms::default(), 0),
            next: None,
            parts: 1,
            heard_at: now,
            messages: 0,
            bytes: 0,
            current: Vec::with_capacity(FRAME_SAMPLES),
            heard: Frames::new(law.into(), HEARD_FRAMES),
            voices: Voices::default(),
        }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.heard_at = now;
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sequence numbers and media time wrap, as on RTP"
    )]
    pub(super) fn push(&mut self, now: Instant, number: Option<u64>, audio: &[u8]) {
        let audio = audio.get(..MESSAGE_BYTES_MAX).unwrap_or(audio);
        if audio.is_empty() {
            return;
        }
        self.messages += 1;
        self.bytes += audio.len() as u64;
        self.heard_at = now;
        let codec = self.current_codec();
        let (expected, media_time) = self.next.unwrap_or_else(|| {
            self.parts = audio.len().div_ceil(PART_BYTES_MAX) as u64;
            (number.unwrap_or_default(), 0)
        });
        let number = number.unwrap_or(expected);
        // Messages are as long as their neighbours: the place of one that is late or early follows from its number.
        let step = number.wrapping_sub(expected).cast_signed();
        let began = media_time.wrapping_add((step.wrapping_mul(audio.len() as i64)) as u32);
        if step >= 0 {
            let after = began.wrapping_add(audio.len() as u32);
            self.next = Some((number.wrapping_add(1), after));
        }
        let parts = audio.len().div_ceil(PART_BYTES_MAX) as u64;
        let first = number.wrapping_mul(self.parts.max(parts));
        let mut timestamp = began;
        for (part, payload) in (0..).zip(audio.chunks(PART_BYTES_MAX)) {
            let incoming = Incoming {
                sequence: first.wrapping_add(part) as u16,
                timestamp,
                content: Content::Audio(codec, payload.len()),
                payload,
            };
            self.receiver.push(now, &incoming, JITTER_MS);
            timestamp = timestamp.wrapping_add(payload.len() as u32);
        }
    }

    fn current_codec(&self) -> Codec {
        self.receiver.codec()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.receiver.handle_timeout(now);
    }

    pub(super) fn fill_pause(&mut self, now: Instant) {
        self.receiver.fill_pause(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.receiver.poll_timeout()
    }

    pub(super) fn discard(&mut self) {
        while self.receiver.poll_frame(&mut self.current).is_some() {}
    }

    pub(super) fn poll_frame(
        &mut self,
        recording: Option<&mut Recording>,
    ) -> Option<CallerFrame<'_>> {
        let frame = self.receiver.poll_frame(&mut self.current)?;
        self.heard.push(&self.current);
        self.voices.rest(&self.heard);
        if let Some(recording) = recording {
            recording.push_caller(&self.current);
        }
        Some(CallerFrame {
            audio: &self.current,
            timestamp_ms: frame.timestamp_ms,
            concealed: frame.concealed,
            level: frame.level,
        })
    }

    /// Whether a voice is heard.
    pub(super) fn judge_voice(&mut self) -> Heard {
        self.voices.judge(&self.heard)
    }

    pub(super) fn statistics(&self) -> Statistics {
        let counters = &self.receiver.counters;
        Statistics {
            packets_received: self.messages,
            bytes_received: self.bytes,
            packets_lost: counters.lost.saturating_sub(counters.late),
            packets_late: counters.late,
            packets_duplicate: counters.duplicate,
            packets_reordered: counters.reordered,
            concealed_ms: counters.concealed_samples / 8,
            silence_ms: counters.silence_samples / 8,
            frames_dropped: counters.frames_dropped,
            ..Statistics::default()
        }
    }
}
