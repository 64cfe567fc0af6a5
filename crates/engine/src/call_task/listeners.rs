//! Those who listen to a call. A call that nobody listens to pays nothing for it.

use std::sync::Arc;
use std::time::Instant;

use media::RecordingFrame;
use media::frame::FRAME_SAMPLES;
use media::resample::{Rate, Resampler};
use tokio::sync::{mpsc, oneshot};

use super::CallTask;
use crate::limits::{LISTENER_FRAMES_MAX, LISTENERS_MAX};
use crate::listening::{FRAME_BYTES, Frame, ListenError, Listener};

/// Those who listen now.
#[derive(Default)]
pub(super) struct Listeners {
    open: Vec<mpsc::Sender<Frame>>,
    tick: u64,
    /// Both sides of a wideband leg on their way to the telephone's rate, and room for them.
    narrowed: Option<Box<[Narrowed; 2]>>,
}

struct Narrowed {
    resampler: Resampler,
    samples: Vec<i16>,
}

impl Narrowed {
    fn new() -> Self {
        Self {
            resampler: Resampler::new(Rate::Hz16000, Rate::Hz8000),
            samples: Vec::with_capacity(FRAME_SAMPLES),
        }
    }

    fn take(&mut self, lane: &[i16]) -> &[i16] {
        self.samples.clear();
        self.resampler.process(lane, &mut self.samples);
        &self.samples
    }
}

impl Listeners {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn add(&mut self) -> Result<Listener, ListenError> {
        self.open.retain(|listener| !listener.is_closed());
        if self.open.len() >= LISTENERS_MAX {
            return Err(ListenError::TooMany);
        }
        let (sender, receiver) = mpsc::channel(LISTENER_FRAMES_MAX);
        self.open.push(sender);
        Ok(Listener::new(receiver))
    }

    /// Hands 20 ms to everybody; who does not take them in time loses them, who left is forgotten.
    pub(super) fn push(&mut self, frame: &RecordingFrame) {
        let mut samples = [0; FRAME_BYTES];
        let (caller, agent) = if frame.caller.len() > FRAME_SAMPLES {
            let both = || Box::new([Narrowed::new(), Narrowed::new()]);
            let [caller, agent] = &mut **self.narrowed.get_or_insert_with(both);
            (caller.take(&frame.caller), agent.take(&frame.agent))
        } else {
            (&frame.caller[..], &frame.agent[..])
        };
        let both = caller.iter().zip(agent);
        for (to, (caller, agent)) in samples.chunks_exact_mut(4).zip(both) {
            let [a, b] = caller.to_le_bytes();
            let [c, d] = agent.to_le_bytes();
            to.copy_from_slice(&[a, b, c, d]);
        }
        let frame = Frame {
            tick: self.tick,
            samples: Arc::new(samples),
        };
        self.tick += 1;
        self.open.retain(|listener| {
            !matches!(
                listener.try_send(frame.clone()),
                Err(mpsc::error::TrySendError::Closed(_))
            )
        });
    }

    /// The call is over: so is what they hear.
    pub(super) fn close(&mut self) {
        self.open.clear();
    }
}

impl CallTask {
    /// Someone begins to listen.
    pub(super) fn listen(&mut self, reply: oneshot::Sender<Result<Listener, ListenError>>) {
        let listener = self.listeners.add();
        if listener.is_ok() {
            self.media.set_recording(true);
        }
        // A listener that is gone already is noticed at the next frame.
        let _ = reply.send(listener);
    }

    /// What both sides heard, for the recording and for those who listen.
    pub(super) fn drain_recording(&mut self, now: Instant) {
        if self.recording.is_none() && self.listeners.is_empty() {
            return;
        }
        while let Some(mut frame) = self.media.poll_recording() {
            if self.privacy.veils(now) {
                frame.caller.fill(0);
            }
            if let Some(recording) = &mut self.recording {
                recording.push(&frame);
            }
            if !self.listeners.is_empty() {
                self.listeners.push(&frame);
            }
        }
        if self.recording.is_none() && self.listeners.is_empty() {
            self.media.set_recording(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(sample: i16) -> RecordingFrame {
        RecordingFrame {
            caller: [sample; 160].into(),
            agent: [-sample; 160].into(),
        }
    }

    #[tokio::test]
    async fn a_listener_that_never_reads_loses_its_own_frames_only() {
        let mut listeners = Listeners::default();
        let mut quick = listeners.add().expect("room");
        let _slow = listeners.add().expect("room");
        for sample in 0..1_000 {
            listeners.push(&frame(sample));
            let heard = quick.next().await.expect("a frame");
            assert_eq!(heard[..2], sample.to_le_bytes());
            assert_eq!(heard[2..4], (-sample).to_le_bytes());
        }
        drop(quick);
        listeners.push(&frame(1));
        assert_eq!(listeners.open.len(), 1);
        listeners.close();
        assert!(listeners.is_empty());
    }

    #[test]
    fn listeners_are_bounded_and_who_left_makes_room() {
        let mut listeners = Listeners::default();
        let mut here: Vec<_> = (0..LISTENERS_MAX)
            .map(|_| listeners.add().expect("room"))
            .collect();
        assert_eq!(listeners.add().err(), Some(ListenError::TooMany));
        here.pop();
        assert!(listeners.add().is_ok());
    }
}
