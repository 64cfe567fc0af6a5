//! An adaptive jitter buffer with a paced pull: for what must be heard or written at real time (the recording, one leg to another).
//!
//! Its input is in order already (see `receiver`); what is left is to choose a delay. An underrun is concealed and so adds a
//! frame of delay; when the buffer was never near empty for [`WINDOW_FRAMES`] a frame is taken out, a quiet one when there is one.
//! A clock that differs is the same thing seen for longer.

use std::collections::VecDeque;

use crate::conceal::Concealer;
use crate::frame::Form;
use crate::{level, reform};

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
    form: Form,
    /// Whole frames, one after the other.
    frames: VecDeque<u8>,
    frame: Vec<u8>,
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
    /// An empty buffer of frames in `form`.
    #[must_use]
    pub fn new(form: Form) -> Self {
        Self {
            form,
            frames: VecDeque::with_capacity(FRAMES_MAX * form.frame_bytes()),
            frame: Vec::with_capacity(form.frame_bytes()),
            playing: false,
            spare: usize::MAX,
            pulls: 0,
            shorten: false,
            concealer: Concealer::of(form),
            concealed: 0,
            dropped: 0,
        }
    }

    /// Frames waiting.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.frames.len() / self.form.frame_bytes()
    }

    /// The next frame in order, as long as the form says.
    pub fn push(&mut self, frame: &[u8]) {
        if self.depth() >= FRAMES_MAX {
            self.frames.drain(..self.form.frame_bytes());
            self.dropped += 1;
        }
        self.frames.extend(frame);
    }

    pub(crate) fn set_form(&mut self, form: Form) {
        let waiting = Vec::from(std::mem::take(&mut self.frames));
        self.frames = reform::whole(self.form, form, waiting).into();
        if form.rate() != self.form.rate() {
            self.concealer = Concealer::of(form);
        }
        self.form = form;
    }

    /// The frame of this tick; silence before the first, concealment when there is none.
    pub fn pull(&mut self, out: &mut [i16]) {
        if !self.playing {
            if self.depth() < START_FRAMES {
                out.fill(0);
                return;
            }
            self.playing = true;
        }
        if !self.take(out) {
            self.concealer.conceal(out);
            self.concealed += 1;
            self.spare = 0;
            return;
        }
        if self.shorten
            && self.depth() > 0
            && (level::dbov(out) >= QUIET || self.depth() > SPARE_MAX)
        {
            self.shorten = false;
            self.dropped += 1;
            self.spare = usize::MAX;
            self.pulls = 0;
            self.take(out);
        }
        self.concealer.good(out);
        self.judge();
    }

    fn take(&mut self, out: &mut [i16]) -> bool {
        let len = self.form.frame_bytes();
        if self.frames.len() < len {
            return false;
        }
        self.frame.clear();
        self.frame.extend(self.frames.drain(..len));
        self.form.decode_into(&self.frame, out);
        true
    }

    fn judge(&mut self) {
        self.spare = self.spare.min(self.depth());
        self.pulls += 1;
        if self.pulls >= WINDOW_FRAMES {
            self.shorten = self.spare >= START_FRAMES;
            self.spare = usize::MAX;
            self.pulls = 0;
        }
    }
}
