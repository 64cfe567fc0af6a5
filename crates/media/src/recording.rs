//! The two lanes of a recording, aligned to the 20 ms ticks of the pacing.
//!
//! The caller's lane comes out of a jitter buffer; the agent's lane is delayed by the depth at which that buffer starts, so that
//! both lanes show what was heard at the same time to within a frame or two.

use std::collections::VecDeque;

use crate::frame::{Codec, FRAME_SAMPLES, RecordingFrame};
use crate::g711;
use crate::jitter::{JitterBuffer, START_FRAMES};

/// Most audio of the agent that waits, bytes (800 ms: a carrier may be handed audio ahead of time).
const AGENT_BYTES_MAX: usize = 40 * FRAME_SAMPLES;
/// Most ticks that wait to be taken (10 s); later ones are dropped with their audio.
const TICKS_MAX: u32 = 500;

#[derive(Debug)]
pub(crate) struct Recording {
    codec: Codec,
    caller: JitterBuffer,
    agent: VecDeque<u8>,
    ticks: u32,
}

impl Recording {
    pub(crate) fn new(codec: Codec) -> Self {
        let mut agent = VecDeque::with_capacity(AGENT_BYTES_MAX);
        agent.extend(std::iter::repeat_n(
            codec.silence(),
            START_FRAMES * FRAME_SAMPLES,
        ));
        Self {
            codec,
            caller: JitterBuffer::new(codec),
            agent,
            ticks: 0,
        }
    }

    pub(crate) fn set_codec(&mut self, codec: Codec) {
        let (front, back) = self.agent.as_mut_slices();
        g711::transcode(self.codec, codec, front);
        g711::transcode(self.codec, codec, back);
        self.caller.set_codec(codec);
        self.codec = codec;
    }

    pub(crate) fn push_caller(&mut self, frame: &[u8; FRAME_SAMPLES]) {
        self.caller.push(frame);
    }

    /// What was handed to the wire.
    pub(crate) fn push_agent(&mut self, audio: &[u8]) {
        let room = AGENT_BYTES_MAX.saturating_sub(self.agent.len());
        self.agent.extend(audio.iter().take(room));
    }

    /// Ticks at which nothing was sent.
    pub(crate) fn push_silence(&mut self, frames: u32) {
        let bytes = usize::try_from(frames)
            .unwrap_or(usize::MAX)
            .saturating_mul(FRAME_SAMPLES);
        let room = AGENT_BYTES_MAX.saturating_sub(self.agent.len());
        self.agent
            .extend(std::iter::repeat_n(self.codec.silence(), bytes.min(room)));
    }

    pub(crate) fn tick(&mut self, count: u32) {
        self.ticks = self.ticks.saturating_add(count).min(TICKS_MAX);
    }

    /// One tick, with silence where nothing of the agent is under way.
    pub(crate) fn tick_with_silence(&mut self) {
        if self.agent.len() <= START_FRAMES * FRAME_SAMPLES {
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
            caller: [0; FRAME_SAMPLES],
            agent: [0; FRAME_SAMPLES],
        };
        self.caller.pull(&mut frame.caller);
        let len = self.agent.len().min(FRAME_SAMPLES);
        for (sample, byte) in frame.agent.iter_mut().zip(self.agent.drain(..len)) {
            *sample = g711::decode(self.codec, byte);
        }
        Some(frame)
    }
}
