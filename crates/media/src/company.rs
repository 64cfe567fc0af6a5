//! Others on the line beside the agent, towards one peer: what they say is added to what the agent says in the moment in which it
//! leaves, and what the agent says is told, so that the others can hear it. The agent's items, and what of them was played, stay
//! what they are.

use std::collections::VecDeque;

use crate::frame::{FRAME_SAMPLES_MAX, Form};
use crate::mix;
use crate::stream::PACKET_FRAMES_MAX;

/// Most sound that waits, each way, frames (200 ms); what would wait longer is dropped.
const WAITING_FRAMES_MAX: usize = 10;

#[derive(Debug)]
pub(crate) struct Company {
    form: Form,
    /// Of the others.
    beside: VecDeque<u8>,
    /// Of the agent.
    said: VecDeque<u8>,
}

impl Company {
    pub(crate) fn new(form: Form) -> Self {
        let room = WAITING_FRAMES_MAX * form.frame_bytes();
        Self {
            form,
            beside: VecDeque::with_capacity(room),
            said: VecDeque::with_capacity(room),
        }
    }

    fn room(&self, queue: &VecDeque<u8>) -> usize {
        (WAITING_FRAMES_MAX * self.form.frame_bytes()).saturating_sub(queue.len())
    }

    /// Whole frames of the others.
    pub(crate) fn push(&mut self, audio: &[u8]) {
        if audio.len() <= self.room(&self.beside) {
            self.beside.extend(audio);
        }
    }

    /// What the agent said since the last time, at the end of `into`.
    pub(crate) fn take(&mut self, into: &mut Vec<u8>) {
        let (first, second) = self.said.as_slices();
        into.extend_from_slice(first);
        into.extend_from_slice(second);
        self.said.clear();
    }

    /// Adds the others to what leaves of the agent.
    pub(crate) fn join(&mut self, carried: &mut [u8]) {
        if carried.len() <= self.room(&self.said) {
            self.said.extend(&*carried);
        }
        if self.beside.len() < carried.len() {
            return;
        }
        let mut theirs = [0; PACKET_FRAMES_MAX * FRAME_SAMPLES_MAX * 2];
        let theirs = &mut theirs[..carried.len()];
        for (to, from) in theirs.iter_mut().zip(self.beside.drain(..carried.len())) {
            *to = from;
        }
        let mut sums = [0; PACKET_FRAMES_MAX * FRAME_SAMPLES_MAX];
        let sums = &mut sums[..carried.len() / self.form.sample_bytes()];
        let mut others = [0; PACKET_FRAMES_MAX * FRAME_SAMPLES_MAX];
        let others = &mut others[..sums.len()];
        self.form.decode_into(carried, sums);
        self.form.decode_into(theirs, others);
        for (sum, other) in sums.iter_mut().zip(&*others) {
            *sum = mix::limited(i32::from(*sum) + i32::from(*other));
        }
        self.form.encode_into(sums, carried);
    }

    /// What waits of the others is no more than these frames, the latest.
    pub(crate) fn keep(&mut self, frames: u32) {
        let kept = usize::try_from(frames).unwrap_or(WAITING_FRAMES_MAX);
        let kept = kept.saturating_mul(self.form.frame_bytes());
        let gone = self.beside.len().saturating_sub(kept);
        self.beside.drain(..gone);
    }

    /// Frames in which nothing of either leaves: keys are sent, or the peer holds us. What the others say meanwhile is gone.
    pub(crate) fn pause(&mut self, frames: u32) {
        let frames = usize::try_from(frames).unwrap_or(WAITING_FRAMES_MAX);
        let gone = frames.saturating_mul(self.form.frame_bytes());
        let gone = gone.min(self.beside.len());
        self.beside.drain(..gone);
    }
}
