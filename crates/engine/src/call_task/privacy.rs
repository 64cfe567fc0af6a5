//! What of the caller is kept from whom: sound that the engine hears later, and secure input that nobody hears at all.

use std::collections::VecDeque;
use std::time::Instant;

use media::frame::FRAME_BYTES_MAX;

use super::CallTask;
use crate::limits::HELD_FRAMES_MAX;
use crate::veil::Veil;

/// The caller's sound and keys, as far as they are private.
#[derive(Default)]
pub(super) struct Privacy {
    /// Frames for the engine, while the disclosure is being played; each at most one frame long, in the form promised to the engine.
    held: Option<VecDeque<Vec<u8>>>,
    veil: Veil,
}

impl Privacy {
    /// The caller types something that nothing but one tool may know.
    pub(super) fn is_secure(&self) -> bool {
        self.veil.is_on()
    }

    /// Whether silence takes the place of the caller's sound, in the recording and for those who listen.
    pub(super) fn veils(&self, now: Instant) -> bool {
        self.veil.covers(now)
    }

    /// Takes a frame that the engine must not have now. False when it may have it.
    pub(super) fn keeps(&mut self, frame: &[u8]) -> bool {
        if self.veil.is_on() {
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
        self.privacy.veil.set(now, on);
        self.desk.secure = on;
        if let Some(tap) = self.media.tap() {
            tap.secure(now, on);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_said_in_secrecy_stays_veiled_while_it_is_on_its_way() {
        let mut privacy = Privacy::default();
        let start = Instant::now();
        assert!(!privacy.veils(start));
        privacy.veil.set(start, true);
        assert!(privacy.is_secure() && privacy.veils(start + Duration::from_secs(60)));
        let over = start + Duration::from_secs(60);
        privacy.veil.set(over, false);
        assert!(!privacy.is_secure());
        assert!(privacy.veils(over + Duration::from_millis(500)));
        assert!(!privacy.veils(over + Duration::from_millis(600)));
    }
}
