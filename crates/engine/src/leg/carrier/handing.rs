//! The agent's audio on its way to the carrier, message by message: ahead of time, or at its time while others are heard beside it.

use std::time::Instant;

use media::frame::{FRAME_MS, FRAME_SAMPLES};
use media::{Feed, Law, g711};
use wire::twilio::{Encoding, Stream};

#[cfg(test)]
mod tests;

/// See the module.
#[derive(Default)]
pub(super) struct Handing {
    /// The message that is gathered.
    audio: Vec<u8>,
    /// Its frames.
    frames: u32,
}

impl Handing {
    /// One message of audio; false when none is due.
    pub(super) fn hand_over(&mut self, now: Instant, feed: &mut Feed, stream: &mut Stream) -> bool {
        if feed.has_company() {
            return self.at_its_time(now, feed, stream);
        }
        if self.frames > 0 {
            // What was gathered while others were there leaves, as long as the carrier wants it.
            let missing = shortest(stream).saturating_sub(self.frames);
            for _ in 0..missing {
                self.gather(stream.encoding(), &[feed.law().silence(); FRAME_SAMPLES]);
            }
            feed.hand_silence(missing);
            return self.leave(now, feed, stream, false);
        }
        self.ahead_of_time(now, feed, stream)
    }

    fn ahead_of_time(&mut self, now: Instant, feed: &mut Feed, stream: &mut Stream) -> bool {
        let room = stream.room(now, feed.is_background());
        if room == 0 || feed.is_too_short(stream.chunk_min()) {
            return false;
        }
        let heard = stream.heard(now);
        let frames = usize::try_from(room).unwrap_or_default() / FRAME_SAMPLES;
        let mut frame = [0; FRAME_SAMPLES];
        for _ in 0..frames {
            if !feed.fill(now, heard, &mut frame) {
                break;
            }
            self.gather(stream.encoding(), &frame);
        }
        if self.frames == 0 {
            if feed.is_idle() {
                stream.mark(now);
            }
            return false;
        }
        let last = feed.is_idle();
        self.leave(now, feed, stream, last)
    }

    /// A message as short as the carrier takes it.
    fn at_its_time(&mut self, now: Instant, feed: &mut Feed, stream: &mut Stream) -> bool {
        let (shortest, heard) = (shortest(stream), stream.heard(now));
        let mut frame = [0; FRAME_SAMPLES];
        while self.frames < shortest {
            if !feed.fill(now, heard, &mut frame) {
                return false;
            }
            self.gather(stream.encoding(), &frame);
        }
        let last = feed.wants_proof();
        self.leave(now, feed, stream, last)
    }

    /// What was gathered does not leave.
    pub(super) fn forget(&mut self) {
        self.audio.clear();
        self.frames = 0;
    }

    fn gather(&mut self, encoding: Encoding, frame: &[u8; FRAME_SAMPLES]) {
        self.frames += 1;
        match encoding {
            Encoding::Pcmu | Encoding::Pcma => self.audio.extend_from_slice(frame),
            Encoding::L16 => {
                for byte in frame {
                    let sample = g711::decode(Law::Pcmu, *byte);
                    self.audio.extend_from_slice(&sample.to_le_bytes());
                }
            }
        }
    }

    fn leave(&mut self, now: Instant, feed: &mut Feed, stream: &mut Stream, last: bool) -> bool {
        stream.play(now, &self.audio, last);
        feed.count_sent();
        self.forget();
        true
    }
}

/// Sound that waits here at most while others are there, until there is enough for a message, ms.
pub(super) fn gathered_ms(stream: &Stream) -> u32 {
    (shortest(stream) - 1) * FRAME_MS
}

/// Frames of the shortest message that the carrier takes.
fn shortest(stream: &Stream) -> u32 {
    let frames = stream.chunk_min() / FRAME_SAMPLES as u64;
    u32::try_from(frames).unwrap_or(1).max(1)
}
