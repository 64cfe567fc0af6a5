//! The two lanes of a recording, aligned to the 20 ms ticks of the pacing.
//!
//! The caller's lane comes out of a jitter buffer; the agent's lane is delayed by the depth at which that buffer starts, so that
//! both lanes show what was heard at the same time to within a frame or two.

use std::collections::VecDeque;

use crate::frame::{Form, Lane, RecordingFrame};
use crate::jitter::{JitterBuffer, START_FRAMES};
use crate::reform;
use crate::resample::{Rate, Resampler};

/// Most audio of the agent that waits, frames (800 ms: a carrier may be handed audio ahead of time).
const AGENT_FRAMES_MAX: usize = 40;
/// Most ticks that wait to be taken (10 s); later ones are dropped with their audio.
const TICKS_MAX: u32 = 500;

#[derive(Debug)]
pub(crate) struct Recording {
    form: Form,
    /// Of the recording from its first frame to its last, whatever the leg changes to.
    rate: Rate,
    caller: JitterBuffer,
    agent: VecDeque<u8>,
    /// The agent's frame of this tick.
    piece: Vec<u8>,
    ticks: u32,
    /// Both lanes on their way to the recording's rate, where the leg has another one.
    changed: Option<Box<(Resampler, Resampler)>>,
    resampled: Vec<i16>,
}

impl Recording {
    pub(crate) fn new(form: Form) -> Self {
        let mut agent = VecDeque::with_capacity(AGENT_FRAMES_MAX * form.frame_bytes());
        agent.extend(std::iter::repeat_n(
            form.silence(),
            START_FRAMES * form.frame_bytes(),
        ));
        Self {
            form,
            rate: form.rate(),
            caller: JitterBuffer::new(form),
            agent,
            piece: Vec::with_capacity(form.frame_bytes()),
            ticks: 0,
            changed: None,
            resampled: Vec::new(),
        }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    pub(crate) fn set_form(&mut self, form: Form) {
        let waiting = Vec::from(std::mem::take(&mut self.agent));
        self.agent = reform::whole(self.form, form, waiting).into();
        self.caller.set_form(form);
        self.form = form;
        self.changed = (form.rate() != self.rate).then(|| {
            let one = || Resampler::new(form.rate(), self.rate);
            Box::new((one(), one()))
        });
    }

    pub(crate) fn push_caller(&mut self, frame: &[u8]) {
        self.caller.push(frame);
    }

    fn room(&self) -> usize {
        (AGENT_FRAMES_MAX * self.form.frame_bytes()).saturating_sub(self.agent.len())
    }

    /// What was handed to the wire.
    pub(crate) fn push_agent(&mut self, audio: &[u8]) {
        let room = self.room();
        self.agent.extend(audio.iter().take(room));
    }

    /// Ticks at which nothing was sent.
    pub(crate) fn push_silence(&mut self, frames: u32) {
        let bytes = usize::try_from(frames)
            .unwrap_or(usize::MAX)
            .saturating_mul(self.form.frame_bytes());
        let silence = std::iter::repeat_n(self.form.silence(), bytes.min(self.room()));
        self.agent.extend(silence);
    }

    pub(crate) fn tick(&mut self, count: u32) {
        self.ticks = self.ticks.saturating_add(count).min(TICKS_MAX);
    }

    /// One tick, with silence where nothing of the agent is under way.
    pub(crate) fn tick_with_silence(&mut self) {
        if self.agent.len() <= START_FRAMES * self.form.frame_bytes() {
            self.push_silence(1);
        }
        self.tick(1);
    }

    /// The last `bytes` of the agent's audio were not heard.
    pub(crate) fn forget_agent(&mut self, bytes: usize) {
        let kept = self.agent.len().saturating_sub(bytes);
        self.agent.truncate(kept);
    }

    pub(crate) fn poll(&mut self) -> Option<RecordingFrame> {
        self.ticks = self.ticks.checked_sub(1)?;
        let mut frame = RecordingFrame {
            caller: Lane::silent(self.form.frame_samples()),
            agent: Lane::silent(self.form.frame_samples()),
        };
        self.caller.pull(&mut frame.caller);
        let len = self.agent.len().min(self.form.frame_bytes());
        self.piece.clear();
        self.piece.extend(self.agent.drain(..len));
        self.form.decode_into(&self.piece, &mut frame.agent);
        if let Some(changed) = &mut self.changed {
            let length = usize::try_from(self.rate.hz() / 50).unwrap_or_default();
            let lanes = [
                (&mut changed.0, &mut frame.caller),
                (&mut changed.1, &mut frame.agent),
            ];
            for (resampler, lane) in lanes {
                self.resampled.clear();
                resampler.process(lane, &mut self.resampled);
                *lane = Lane::silent(length);
                for (to, from) in lane.iter_mut().zip(&self.resampled) {
                    *to = *from;
                }
            }
        }
        Some(frame)
    }
}
