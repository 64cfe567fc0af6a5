//! Listening to a live call: whoever listens hears both sides and is heard by nobody.
//!
//! A listener has a queue of its own. What it does not take in time is lost for it alone, and silence is put in its place, so that
//! what it hears stays as long as the call is: no listener can hold a call up.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::recorder;

/// What is listened to has the telephone's rate, whatever the leg has.
const SAMPLE_RATE_HZ: u32 = 8_000;
/// Bytes of 20 ms of both sides.
pub(crate) const FRAME_BYTES: usize = media::frame::FRAME_SAMPLES * 4;
/// Most audio that is handed over at once, in frames (1 s).
const CHUNK_FRAMES_MAX: usize = 50;
/// Sizes in the header of a stream whose length nobody knows: 18 hours, and a positive number in 32 bits for every reader.
const STREAM_DATA_BYTES: u32 = 0x7FFF_FF00;

/// 20 ms of both sides: 16 bit, little endian, 8 kHz, the caller and the agent in turn.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Ticks of the call since it is listened to.
    pub(crate) tick: u64,
    pub(crate) samples: Arc<[u8; FRAME_BYTES]>,
}

/// Why nobody can listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// No such call runs here, or it takes no request now.
    #[error("no such call runs in this process")]
    Unknown,
    /// It is not answered yet, or its audio belongs to another program (a switchboard).
    #[error("the call cannot be listened to now")]
    NotNow,
    /// It has as many listeners as it may have: [`crate::limits::LISTENERS_MAX`].
    #[error("the call has too many listeners")]
    TooMany,
}

/// The ear of one listener; the call goes on as before when it is dropped.
#[derive(Debug)]
pub struct Listener {
    frames: mpsc::Receiver<Frame>,
    waiting: Option<Frame>,
    /// The tick that comes next; none before the first.
    next: Option<u64>,
}

impl Listener {
    pub(crate) fn new(frames: mpsc::Receiver<Frame>) -> Self {
        Self {
            frames,
            waiting: None,
            next: None,
        }
    }

    /// The first bytes of the stream: a WAV header for stereo (caller left, agent right), 16 bit, 8 kHz, without an end.
    pub fn header() -> Vec<u8> {
        recorder::header(SAMPLE_RATE_HZ, STREAM_DATA_BYTES).to_vec()
    }

    /// What has been said since the last time, at most a second; `None` once the call is over. Cancel safe.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        if self.waiting.is_none() {
            self.waiting = Some(self.frames.recv().await?);
        }
        let mut audio = Vec::with_capacity(FRAME_BYTES);
        for _ in 0..CHUNK_FRAMES_MAX {
            if self.waiting.is_none() {
                self.waiting = self.frames.try_recv().ok();
            }
            let Some(frame) = &self.waiting else {
                break;
            };
            let next = *self.next.get_or_insert(frame.tick);
            if next < frame.tick {
                audio.resize(audio.len() + FRAME_BYTES, 0);
            } else {
                audio.extend_from_slice(&frame.samples[..]);
                self.waiting = None;
            }
            self.next = Some(next + 1);
        }
        Some(audio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tick: u64, sample: u8) -> Frame {
        Frame {
            tick,
            samples: Arc::new([sample; FRAME_BYTES]),
        }
    }

    #[tokio::test]
    async fn what_was_lost_is_silence_and_the_time_stays_right() {
        let (sender, receiver) = mpsc::channel(8);
        let mut listener = Listener::new(receiver);
        for (tick, sample) in [(7, 1), (8, 2), (180, 3)] {
            sender.try_send(frame(tick, sample)).expect("room");
        }
        drop(sender);
        let mut heard = Vec::new();
        while let Some(audio) = listener.next().await {
            assert!(audio.len() <= FRAME_BYTES * 50, "bounded at once");
            heard.extend(audio);
        }
        assert_eq!(heard.len(), (180 - 7 + 1) * FRAME_BYTES);
        assert_eq!((heard[0], heard[FRAME_BYTES]), (1, 2));
        assert!(
            heard[2 * FRAME_BYTES..173 * FRAME_BYTES]
                .iter()
                .all(|sample| *sample == 0)
        );
        assert_eq!(heard.last(), Some(&3));
    }

    #[test]
    fn the_header_says_stereo_and_no_end() {
        let header = Listener::header();
        assert_eq!(
            (&header[..4], &header[8..16]),
            (&b"RIFF"[..], &b"WAVEfmt "[..])
        );
        assert_eq!(header[22], 2);
        assert_eq!(header[40..44], STREAM_DATA_BYTES.to_le_bytes());
    }
}
