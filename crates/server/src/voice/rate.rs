//! How many requests a second are looked at, all sources together: behind a proxy they have one address.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Webhooks and handshakes a second; more are answered 429. A carrier tries again.
const REQUESTS_PER_S_MAX: u32 = 400;

/// See the module.
#[derive(Default)]
pub(super) struct Rate {
    window: Mutex<Option<(Instant, u32)>>,
}

impl Rate {
    /// False when this second has had enough of them.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *window {
            Some((began, count))
                if now.saturating_duration_since(*began) < Duration::from_secs(1) =>
            {
                *count = count.saturating_add(1);
                *count <= REQUESTS_PER_S_MAX
            }
            other => {
                *other = Some((now, 1));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_share_and_the_next_one_again() {
        let rate = Rate::default();
        let now = Instant::now();
        let taken = (0..2 * REQUESTS_PER_S_MAX)
            .filter(|_| rate.take(now))
            .count();
        assert_eq!(taken, REQUESTS_PER_S_MAX as usize);
        assert!(rate.take(now + Duration::from_secs(1)));
    }
}
