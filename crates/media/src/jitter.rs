//! An adaptive jitter buffer with a paced pull: for what must be heard or written at real time (the recording, one leg to another).
//!
//! Its input is in order already (see `receiver`); what is left is to choose a delay. An underrun is concealed and so adds a
//! frame of delay; when the buffer was never near empty for [`WINDOW_FRAMES`] a frame is taken out, a quiet one when there is one.
//! A clock that differs is the same thing seen for longer.

use std::collections::VecDeque;

use crate::conceal::Concealer;
use crate::frame::{Codec, FRAME_SAMPLES};
use crate::{g711, level};

/// Frames before the first is pulled.
pub const START_FRAMES: usize = 3;
/// Most frames kept (500 ms); the oldest is dropped beyond.
pub const FRAMES_MAX: usize = 25;
/// Frames after which the delay is judged (2 s).
pub const WINDOW_FRAMES: u32 = 100;
/// Frames that may be spare before a loud one is dropped.
const SPARE_MAX: usize = 4;
/// What counts as quiet, -dBov.
const QUIET: u8 = 45;

/// The buffer.
#[derive(Debug)]
pub struct JitterBuffer {
    codec: Codec,
    frames: VecDeque<[u8; FRAME_SAMPLES]>,
    playing: bool,
    /// Fewest frames left after a pull in this window.
    spare: usize,
    pulls: u32,
    /// A frame is to be taken out as soon as it is a quiet one.
    shorten: bool,
    concealer: Concealer,
    /// Frames made up.
    pub concealed: u64,
    /// Frames taken out.
    pub dropped: u64,
}

impl JitterBuffer {
    /// An empty buffer of frames in `codec`.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            frames: VecDeque::with_capacity(FRAMES_MAX),
            playing: false,
            spare: usize::MAX,
            pulls: 0,
            shorten: false,
            concealer: Concealer::new(),
            concealed: 0,
            dropped: 0,
        }
    }

    /// Frames waiting.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.frames.len()
    }

    /// The next frame in order.
    pub fn push(&mut self, frame: &[u8; FRAME_SAMPLES]) {
        if self.frames.len() >= FRAMES_MAX {
            self.frames.pop_front();
            self.dropped += 1;
        }
        self.frames.push_back(*frame);
    }

    pub(crate) fn set_codec(&mut self, codec: Codec) {
        for frame in &mut self.frames {
            g711::transcode(self.codec, codec, frame);
        }
        self.codec = codec;
    }

    /// The frame of this tick; silence before the first, concealment when there is none.
    pub fn pull(&mut self, out: &mut [i16; FRAME_SAMPLES]) {
        if !self.playing {
            if self.frames.len() < START_FRAMES {
                out.fill(0);
                return;
            }
            self.playing = true;
        }
        let Some(mut frame) = self.frames.pop_front() else {
            self.concealer.conceal(out);
            self.concealed += 1;
            self.spare = 0;
            return;
        };
        g711::decode_into(self.codec, &frame, out);
        if self.shorten
            && !self.frames.is_empty()
            && (level::dbov(out) >= QUIET || self.frames.len() > SPARE_MAX)
        {
            self.shorten = false;
            self.dropped += 1;
            self.spare = usize::MAX;
            self.pulls = 0;
            if let Some(next) = self.frames.pop_front() {
                frame = next;
                g711::decode_into(self.codec, &frame, out);
            }
        }
        self.concealer.good(out);
        self.judge();
    }

    fn judge(&mut self) {
        self.spare = self.spare.min(self.frames.len());
        self.pulls += 1;
        if self.pulls >= WINDOW_FRAMES {
            self.shorten = self.spare >= START_FRAMES;
            self.spare = usize::MAX;
            self.pulls = 0;
        }
    }
}
