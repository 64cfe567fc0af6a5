//! Whether anything comes from the peer.

use std::time::{Duration, Instant};

use super::{Stream, StreamEvent, push_event};

/// Whether the peer is heard.
#[derive(Debug)]
pub(super) struct Liveness {
    pub(super) timeout: Duration,
    /// From when silence counts: the start, or the end of a hold.
    pub(super) since: Instant,
    pub(super) lost: bool,
}

impl Stream {
    /// After how much silence of the peer [`StreamEvent::MediaLost`] is reported, ms.
    pub fn set_media_timeout_ms(&mut self, media_timeout_ms: u32) {
        self.liveness.timeout = Duration::from_millis(u64::from(media_timeout_ms));
    }

    /// Somebody begins to wait for the peer's sound: its silence counts from now, also where it was told as lost before.
    pub fn await_media(&mut self, now: Instant) {
        self.liveness.lost = false;
        self.liveness.since = now;
    }

    pub(super) fn heard(&mut self) {
        if std::mem::take(&mut self.liveness.lost) {
            push_event(&mut self.events, StreamEvent::MediaResumed);
        }
    }

    pub(super) fn check_liveness(&mut self, now: Instant) {
        if self.liveness.lost
            || !self.config.direction.receives()
            || self.outbound.started_at.is_none()
        {
            return;
        }
        let silent = self.inbound.silent_for(now, self.liveness.since);
        if silent >= self.liveness.timeout {
            self.liveness.lost = true;
            let since_ms = u32::try_from(silent.as_millis()).unwrap_or(u32::MAX);
            push_event(&mut self.events, StreamEvent::MediaLost { since_ms });
        }
    }
}
