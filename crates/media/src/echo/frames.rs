//! A ring of frames by number: what was sent, and what was heard.

use crate::frame::{FRAME_SAMPLES, FRAME_SAMPLES_MAX, Form};

/// Frames of what was said that are kept: 1.28 s.
pub(crate) const SAID_FRAMES: u64 = 64;
/// Frames of what was heard that are kept: half a second.
pub(crate) const HEARD_FRAMES: u64 = 25;

/// See the module. Frames are numbered from 0 in the order in which they were put in; they are kept in the form of the leg, so
/// that keeping one costs a copy.
#[derive(Debug)]
pub(crate) struct Frames {
    form: Form,
    kept: u64,
    audio: Vec<u8>,
    count: u64,
}

impl Frames {
    /// A ring of so many frames.
    pub(crate) fn new(form: Form, kept: u64) -> Self {
        let len = usize::try_from(kept).unwrap_or_default() * form.frame_bytes();
        Self {
            form,
            kept,
            audio: vec![form.silence(); len],
            count: 0,
        }
    }

    /// The form of what was put in.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// How many of the last frames are kept.
    pub(crate) fn kept(&self) -> u64 {
        self.kept
    }

    /// How many frames were put in.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whole frames, one after the other.
    pub(crate) fn push(&mut self, audio: &[u8]) {
        for frame in audio.chunks_exact(self.form.frame_bytes()) {
            let place = self.place(self.count);
            self.audio[place..place + frame.len()].copy_from_slice(frame);
            self.count += 1;
        }
    }

    /// Frames in which nothing was said.
    pub(crate) fn push_silence(&mut self, frames: u32) {
        // More than are kept only move the count.
        let written = u64::from(frames).min(self.kept);
        self.count += u64::from(frames) - written;
        for _ in 0..written {
            let place = self.place(self.count);
            let len = self.form.frame_bytes();
            self.audio[place..place + len].fill(self.form.silence());
            self.count += 1;
        }
    }

    /// The samples of a frame; silence where it is not kept, or never was. `into` is as long as a frame.
    pub(crate) fn read(&self, number: Option<u64>, into: &mut [f32]) {
        let kept =
            number.filter(|number| *number < self.count && *number + self.kept >= self.count);
        let Some(number) = kept else {
            into.fill(0.0);
            return;
        };
        let mut samples = [0; FRAME_SAMPLES_MAX];
        let place = self.place(number);
        let coded = &self.audio[place..place + self.form.frame_bytes()];
        self.form.decode_into(coded, &mut samples);
        for (to, from) in into.iter_mut().zip(samples) {
            *to = f32::from(from);
        }
    }

    /// The samples of a frame at 8 kHz, whatever the form.
    pub(crate) fn read_narrow(&self, number: Option<u64>, into: &mut [f32]) {
        if self.form.samples_per_tick() == 1 {
            return self.read(number, into);
        }
        let mut wide = [0.0; FRAME_SAMPLES_MAX];
        self.read(number, &mut wide);
        for (to, pair) in into.iter_mut().zip(wide.as_chunks::<2>().0) {
            *to = 0.5 * (pair[0] + pair[1]);
        }
    }

    /// The last frames before (and with) a number at 8 kHz, as many as `into` holds.
    pub(crate) fn read_until(&self, last: u64, into: &mut [f32]) {
        let frames = into.len() / FRAME_SAMPLES;
        for (back, part) in (0_u64..).zip(into.chunks_exact_mut(FRAME_SAMPLES).rev().take(frames)) {
            self.read_narrow(last.checked_sub(back), part);
        }
    }

    fn place(&self, number: u64) -> usize {
        usize::try_from(number % self.kept).unwrap_or_default() * self.form.frame_bytes()
    }
}
