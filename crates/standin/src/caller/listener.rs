//! When the other side speaks: stretches of loud frames.

use std::time::Instant;

use super::Heard;

/// A frame at most this far below full scale is loud, in dB.
const LOUD_LEVEL_MAX: u8 = 42;
/// Loud frames in a row that begin a stretch.
const ONSET_FRAMES: u32 = 2;
/// A stretch ends when so much silence followed it.
const GAP_MS: u32 = 500;

/// Follows the voice of the other side. Times are milliseconds since the answer.
#[derive(Debug)]
pub(super) struct Listener {
    answered_at: Instant,
    run: u32,
    run_started_ms: u32,
    current: Option<Heard>,
    pub(super) heard: Vec<Heard>,
}

/// Most stretches kept.
const HEARD_MAX: usize = 10_000;

impl Listener {
    pub(super) fn new(answered_at: Instant) -> Self {
        Self {
            answered_at,
            run: 0,
            run_started_ms: 0,
            current: None,
            heard: Vec::new(),
        }
    }

    /// Milliseconds since the answer.
    pub(super) fn ms(&self, at: Instant) -> u32 {
        let since = at.saturating_duration_since(self.answered_at).as_millis();
        u32::try_from(since).unwrap_or(u32::MAX)
    }

    /// A frame came; `level` is 0 for full scale, 127 for silence. True when the voice may be told from noise by it.
    pub(super) fn frame(&mut self, now: Instant, level: u8) {
        let now_ms = self.ms(now);
        if level > LOUD_LEVEL_MAX {
            self.run = 0;
            self.close(now_ms);
            return;
        }
        if self.run == 0 {
            self.run_started_ms = now_ms;
        }
        self.run += 1;
        match &mut self.current {
            Some(current) if now_ms - current.ended_ms < GAP_MS => current.ended_ms = now_ms,
            Some(_) | None if self.run >= ONSET_FRAMES => {
                self.close(now_ms);
                self.current = Some(Heard {
                    started_ms: self.run_started_ms,
                    ended_ms: now_ms,
                });
            }
            Some(_) | None => {}
        }
    }

    /// Time passes without frames, too.
    pub(super) fn close(&mut self, now_ms: u32) {
        if let Some(current) = self.current
            && now_ms.saturating_sub(current.ended_ms) >= GAP_MS
        {
            self.current = None;
            if self.heard.len() < HEARD_MAX {
                self.heard.push(current);
            }
        }
    }

    /// The stretch that goes on.
    pub(super) fn speaking(&self) -> Option<Heard> {
        self.current
    }

    /// The last stretch, whether it goes on or not.
    pub(super) fn last(&self) -> Option<Heard> {
        self.current.or(self.heard.last().copied())
    }

    /// The first stretch.
    pub(super) fn first(&self) -> Option<Heard> {
        self.heard.first().copied().or(self.current)
    }

    /// Every stretch, the one that goes on included.
    pub(super) fn all(&self) -> Vec<Heard> {
        self.heard.iter().copied().chain(self.current).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn stretches_are_joined_over_short_pauses() {
        let start = Instant::now();
        let mut listener = Listener::new(start);
        let mut at = 0;
        for (loud, ms) in [
            (false, 200),
            (true, 400),
            (false, 300),
            (true, 200),
            (false, 700),
            (true, 20),
            (false, 600),
        ] {
            for _ in 0..ms / 20 {
                listener.frame(
                    start + Duration::from_millis(at),
                    if loud { 20 } else { 127 },
                );
                at += 20;
            }
        }
        assert_eq!(
            listener.all(),
            [Heard {
                started_ms: 200,
                ended_ms: 1_080
            }]
        );
        assert!(listener.speaking().is_none());
    }
}
