//! The figures of the reconciler: how often it looks, how long it waits, when it gives up for a while.

use std::time::Duration;

use crate::random::Choice;

/// Intervals, bounds and counts. The defaults are those of the product; two of them are settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Between two looks at an agent.
    pub check_every: Duration,
    /// An agent that does not answer a look within this time hangs.
    pub check_within: Duration,
    /// Longest time for the voice part to come up: its engine can be reached.
    pub voice_within: Duration,
    /// Longest time for the line part to come up: its accounts are registered.
    pub line_within: Duration,
    /// Longest time for the line part to go down: the registrations are removed.
    pub lower_within: Duration,
    /// Longest pause before the first restart; it doubles with each further one.
    pub backoff_first: Duration,
    /// Longest pause before any restart.
    pub backoff_max: Duration,
    /// After this long without a fault the pauses begin anew and failures are forgotten.
    pub healthy_after: Duration,
    /// So many failures within [`Policy::failures_within`] make an agent failed.
    pub failures_max: usize,
    /// See [`Policy::failures_max`].
    pub failures_within: Duration,
    /// A failed agent is tried again this often.
    pub slow_retry: Duration,
    /// An agent whose processes use more memory than they may is restarted when no call of it runs, at the latest after this time.
    pub memory_grace: Duration,
    /// Agents that come up at the same time; the others wait for their turn.
    pub starts_at_once: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            check_every: Duration::from_secs(30),
            check_within: Duration::from_secs(10),
            voice_within: Duration::from_secs(15),
            line_within: Duration::from_secs(30),
            lower_within: Duration::from_secs(5),
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            healthy_after: Duration::from_secs(600),
            failures_max: 5,
            failures_within: Duration::from_secs(600),
            slow_retry: Duration::from_secs(900),
            memory_grace: Duration::from_secs(600),
            starts_at_once: 64,
        }
    }
}

impl Policy {
    /// The longest pause before restart number `attempt`, counted from 0.
    pub(super) fn ceiling(&self, attempt: u32) -> Duration {
        let factor = 2_u32.checked_pow(attempt).unwrap_or(u32::MAX);
        self.backoff_first
            .saturating_mul(factor)
            .min(self.backoff_max)
    }

    /// The pause before restart number `attempt`: anything between nothing and the ceiling ("full jitter"), so that agents which
    /// failed together do not come back together.
    pub(super) fn pause(&self, attempt: u32, random: &mut Choice) -> Duration {
        within(self.ceiling(attempt), random)
    }
}

/// A time between nothing and all of `whole`, to the millisecond.
pub(super) fn within(whole: Duration, random: &mut Choice) -> Duration {
    let ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random.below(ms.saturating_add(1)))
}
