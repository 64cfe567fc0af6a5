//! When the next 20 ms leave while others are on the line: one at each tick of our clock, and none while the carrier has more in
//! hand than it should.
//!
//! What the carrier has in hand grows where its clock is slower than ours, or where the network kept audio back and then brought it
//! at once; nobody hears it, but everybody is heard that much later. So ticks are left out until it is what it was. Where that
//! changes nothing, it is the marks that take longer on their way, and what seems to be in hand is not there: it is put up with, and
//! looked at again after a while.

use std::time::{Duration, Instant};

use crate::frame::{FRAME_MS, FRAME_SAMPLES, SAMPLES_PER_MS};

/// Sound that the carrier is kept with, ms: what a late wake or the network may take before the caller hears a hole.
pub const COMPANY_LEAD_MS: u32 = 60;
/// Sound beyond that which is let pass, ms: marks come back unevenly.
const SLACK_MS: usize = 40;
/// Ticks that a late wake catches up; earlier ones are left out.
pub(super) const CATCH_UP_FRAMES_MAX: u32 = 5;
/// How long the echoes of marks may take to show what leaving ticks out has changed.
const SHOWN_AFTER: Duration = Duration::from_millis(1_500);
/// How long it is put up with what could not be brought down.
const PUT_UP_WITH: Duration = Duration::from_secs(300);
const TICK: Duration = Duration::from_millis(FRAME_MS as u64);

/// Whether ticks are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// The carrier has what it should.
    Even,
    /// This many ticks are left out, or fewer where it has sooner.
    Drains(u64),
    /// They were; until then the marks do not show it.
    Drained(Instant),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    /// The next tick; `None` before the first.
    next: Option<Instant>,
    /// Ticks that have come, and wait to be handed over.
    due: u32,
    /// Samples that the carrier should have in hand, and those that it may.
    lead: u64,
    borne: u64,
    /// When `borne` is the lead again.
    borne_until: Option<Instant>,
    course: Course,
    /// The first 20 ms were handed over.
    begun: bool,
}

impl Pace {
    pub(super) fn new(lead_ms: u32) -> Self {
        let lead = u64::from(lead_ms) * SAMPLES_PER_MS as u64;
        Self {
            next: None,
            due: 0,
            lead,
            borne: lead,
            borne_until: None,
            course: Course::Even,
            begun: false,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// The ticks that have come; how many of them are left out since this wake is too late.
    pub(super) fn advance(&mut self, now: Instant) -> u32 {
        let next = *self.next.get_or_insert(now);
        let Some(behind) = now.checked_duration_since(next) else {
            return 0;
        };
        let ticks =
            u32::try_from(behind.as_millis() / u128::from(FRAME_MS)).unwrap_or(u32::MAX - 1) + 1;
        self.next = Some(next + TICK * ticks);
        self.due = self.due.saturating_add(ticks);
        let skipped = self.due.saturating_sub(CATCH_UP_FRAMES_MAX);
        self.due -= skipped;
        skipped
    }

    /// Ticks that wait to be handed over.
    pub(super) fn due(&self) -> u32 {
        self.due
    }

    /// Takes a tick: whether its 20 ms are handed over. `ahead` is what the carrier has in hand.
    pub(super) fn take(&mut self, now: Instant, ahead: u64) -> bool {
        self.due = self.due.saturating_sub(1);
        if self.leaves_out(now, ahead) {
            return false;
        }
        if !std::mem::replace(&mut self.begun, true) {
            let missing = self.lead.saturating_sub(ahead + FRAME_SAMPLES as u64);
            let missing = missing / FRAME_SAMPLES as u64;
            self.due += u32::try_from(missing).unwrap_or_default();
        }
        true
    }

    fn leaves_out(&mut self, now: Instant, ahead: u64) -> bool {
        if self.borne_until.take_if(|until| *until <= now).is_some() {
            self.borne = self.lead;
        }
        // What was handed ahead of time is played first, whatever it is.
        let slack = if self.begun { SLACK_MS } else { 0 } * SAMPLES_PER_MS;
        let over = ahead.saturating_sub(self.borne);
        match self.course {
            Course::Drains(left) if left > 0 && over > 0 => {
                self.course = Course::Drains(left - 1);
                return true;
            }
            Course::Drains(_) => self.course = Course::Drained(now + SHOWN_AFTER),
            Course::Drained(until) if now < until => {}
            Course::Drained(_) if over > slack as u64 => {
                self.borne = ahead;
                self.borne_until = Some(now + PUT_UP_WITH);
                self.course = Course::Even;
            }
            Course::Even if over > slack as u64 => {
                self.course = Course::Drains(over.div_ceil(FRAME_SAMPLES as u64) - 1);
                return true;
            }
            Course::Drained(_) | Course::Even => self.course = Course::Even,
        }
        false
    }
}
