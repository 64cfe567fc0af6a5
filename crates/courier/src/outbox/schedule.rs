//! When a delivery is tried again. Pure.

use std::time::Duration;

use crate::limits::{DELIVERY_ATTEMPTS_MAX, DELIVERY_PAUSE, DELIVERY_PAUSE_MAX};

/// How long after the `attempts`-th failed attempt (from 1) the next one is due; none: that was the last. `share` is random,
/// 0 to 1, and moves the pause by at most a fifth, so that the rows of a destination that was down do not come back together.
/// A receiver that names its own pause (`Retry-After`) gets at least that.
pub fn pause_after(attempts: u32, share: f64, named: Option<Duration>) -> Option<Duration> {
    if attempts >= DELIVERY_ATTEMPTS_MAX {
        return None;
    }
    let doubled = 2_u32
        .checked_pow(attempts.saturating_sub(1))
        .and_then(|factor| DELIVERY_PAUSE.checked_mul(factor))
        .unwrap_or(DELIVERY_PAUSE_MAX)
        .min(DELIVERY_PAUSE_MAX);
    let moved = doubled.mul_f64(0.8 + share.clamp(0.0, 1.0) * 0.4);
    Some(moved.max(named.unwrap_or_default().min(DELIVERY_PAUSE_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses() -> Vec<Duration> {
        (1..)
            .map_while(|attempts| pause_after(attempts, 0.5, None))
            .collect()
    }

    #[test]
    fn from_five_seconds_to_an_hour_for_a_day() {
        let pauses = pauses();
        let seconds: Vec<u64> = pauses.iter().take(12).map(Duration::as_secs).collect();
        assert_eq!(
            seconds,
            [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
        );
        assert!(pauses.iter().all(|pause| *pause <= DELIVERY_PAUSE_MAX));
        let total: Duration = pauses.iter().sum();
        let day = Duration::from_secs(24 * 3600);
        assert!(
            total >= day && total < day + Duration::from_secs(3600),
            "{total:?}"
        );
    }

    #[test]
    fn the_pause_is_spread_and_a_named_one_is_kept() {
        assert_eq!(pause_after(1, 0.0, None), Some(Duration::from_secs(4)));
        assert_eq!(pause_after(1, 1.0, None), Some(Duration::from_secs(6)));
        let named = Some(Duration::from_secs(120));
        assert_eq!(pause_after(1, 0.5, named), named);
        assert_eq!(pause_after(9, 0.5, named), Some(Duration::from_secs(1280)));
        assert_eq!(
            pause_after(1, 0.5, Some(Duration::from_secs(1_000_000))),
            Some(DELIVERY_PAUSE_MAX)
        );
        assert_eq!(pause_after(DELIVERY_ATTEMPTS_MAX, 0.5, None), None);
        assert_eq!(pause_after(u32::MAX, 0.5, None), None);
    }
}
