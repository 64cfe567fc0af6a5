//! When a ringing call is answered: as soon as there is something to hear, at a bound, or at a fixed time.

use crate::profile::Profile;

/// The clock of the answer, in milliseconds since the session began.
#[derive(Debug)]
pub(crate) struct AnswerClock {
    fixed_at: Option<u64>,
    bound_at: u64,
}

impl AnswerClock {
    pub(crate) fn new(profile: &Profile) -> Self {
        Self {
            fixed_at: profile.ring_ms_fixed.map(u64::from),
            bound_at: u64::from(profile.answer_bound_ms),
        }
    }

    /// Whether it is time; `ready` means that the caller would hear something at once.
    pub(crate) fn is_due(&self, now: u64, ready: bool) -> bool {
        match self.fixed_at {
            Some(at) => now >= at,
            None => ready || now >= self.bound_at,
        }
    }

    /// The latest instant of the answer.
    pub(crate) fn at_the_latest(&self) -> u64 {
        self.fixed_at.unwrap_or(self.bound_at)
    }
}
