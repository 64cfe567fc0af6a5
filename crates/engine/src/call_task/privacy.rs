//! What of the caller is kept from whom: sound that the engine hears later, and secure input that nobody hears at all.

use std::collections::VecDeque;
use std::time::Instant;

use media::frame::FRAME_SAMPLES;

use super::CallTask;
use crate::limits::HELD_FRAMES_MAX;

/// The caller's sound and keys, as far as they are private.
#[derive(Default)]
pub(super) struct Privacy {
    /// Frames for the engine, while the disclosure is being played; each at most one frame long, in the engine's codec.
    held: Option<VecDeque<Vec<u8>>>,
    secure: bool,
}

impl Privacy {
    /// The caller types something that nothing but one tool may know.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Takes a frame that the engine must not have now. False when it may have it.
    pub(super) fn keeps(&mut self, frame: &[u8]) -> bool {
        if self.secure {
            return true;
        }
        let Some(held) = &mut self.held else {
            return false;
        };
        if held.len() >= HELD_FRAMES_MAX {
            held.pop_front();
        }
        held.push_back(frame.iter().take(FRAME_SAMPLES).copied().collect());
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

    pub(super) fn secure_input(&mut self, on: bool) {
        self.privacy.secure = on;
        self.desk.secure = on;
        if let Some(recording) = &mut self.recording {
            recording.set_silenced(on);
        }
    }
}
