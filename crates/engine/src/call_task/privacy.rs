//! What of the caller is kept from whom: sound that the engine hears later, and secure input that nobody hears at all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media::frame::FRAME_BYTES_MAX;

use super::CallTask;
use crate::limits::HELD_FRAMES_MAX;

/// The caller's sound and keys, as far as they are private.
#[derive(Default)]
pub(super) struct Privacy {
    /// Frames for the engine, while the disclosure is being played; each at most one frame long, in the form promised to the engine.
    held: Option<VecDeque<Vec<u8>>>,
    secure: bool,
    /// What is on its way through the recording's buffer belongs to the secrecy that is over.
    veiled_until: Option<Instant>,
}

/// The longest way of the caller's sound through the recording's buffer, with some to spare.
const VEIL_LASTS: Duration = Duration::from_millis(600);

impl Privacy {
    /// The caller types something that nothing but one tool may know.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether silence takes the place of the caller's sound, in the recording and for those who listen.
    pub(super) fn veils(&self, now: Instant) -> bool {
        self.secure || self.veiled_until.is_some_and(|until| now < until)
    }

    fn set_secure(&mut self, now: Instant, on: bool) {
        if self.secure && !on {
            self.veiled_until = Some(now + VEIL_LASTS);
        }
        self.secure = on;
    }

    /// Takes a frame that the engine must not have now. False when it may have it.
    pub(super) fn keeps(&mut self, frame: &[u8]) -> bool {
        if self.secure {
            return true;
        }
        let Some(held) = &mut self.held else {
            return false;
        };
        // The oldest makes room, and gives its memory.
        let full = held.len() >= HELD_FRAMES_MAX;
        let oldest = held.pop_front_if(|_| full);
        let mut kept = oldest.unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(&frame[..frame.len().min(FRAME_BYTES_MAX)]);
        held.push_back(kept);
        true
    }
}

impl CallTask {
    pub(super) fn hold_caller(&mut self, now: Instant, held: bool) {
        if held {
            self.privacy.held.get_or_insert_default();
            return;
        }
        for frame in self.privacy.held.take().unwrap_or_default() {
            self.link.append(now, &frame);
        }
    }

    pub(super) fn secure_input(&mut self, now: Instant, on: bool) {
        self.privacy.set_secure(now, on);
        self.desk.secure = on;
        if let Some(tap) = self.media.tap() {
            tap.secure(now, on);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_in_secrecy_stays_veiled_while_it_is_on_its_way() {
        let mut privacy = Privacy::default();
        let start = Instant::now();
        assert!(!privacy.veils(start));
        privacy.set_secure(start, true);
        assert!(privacy.is_secure() && privacy.veils(start + Duration::from_secs(60)));
        let over = start + Duration::from_secs(60);
        privacy.set_secure(over, false);
        assert!(!privacy.is_secure());
        assert!(privacy.veils(over + Duration::from_millis(500)));
        assert!(!privacy.veils(over + VEIL_LASTS));
    }
}
