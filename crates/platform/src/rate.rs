//! Requests a second for each credential, and failed log-ins for each address.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Buckets kept; the least recently used one makes room.
const BUCKETS_MAX: usize = 10_000;

/// A token bucket: `rate_per_s` refills, `burst` at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    /// Requests a second in the long run.
    pub per_s: f64,
    /// Requests at once.
    pub burst: f64,
}

impl Rate {
    /// So many a second, and twice as many at once.
    pub(crate) fn of(per_s: u32) -> Self {
        let per_s = f64::from(per_s.max(1));
        Self {
            per_s,
            burst: 2.0 * per_s,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// May it pass?
    pub(crate) allowed: bool,
    /// Requests left at once.
    pub(crate) remaining: u64,
    /// Seconds until one more may come (0 when one may come now).
    pub(crate) reset_s: u64,
}

/// Buckets by name.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl Limiter {
    /// Takes one request from the bucket of `name` at `now`.
    pub(crate) fn take(&self, name: &str, rate: Rate, now: Instant) -> Verdict {
        self.ask(name, rate, now, 1.0)
    }

    /// What `take` would say, taking nothing.
    pub(crate) fn peek(&self, name: &str, rate: Rate, now: Instant) -> Verdict {
        self.ask(name, rate, now, 0.0)
    }

    fn ask(&self, name: &str, rate: Rate, now: Instant, taken: f64) -> Verdict {
        let mut buckets = self
            .buckets
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(name) {
            make_room(&mut buckets, rate, now);
        }
        let bucket = buckets.entry(name.to_owned()).or_insert(Bucket {
            level: rate.burst,
            at: now,
        });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.level = (bucket.level + passed * rate.per_s).min(rate.burst);
        bucket.at = now;
        let allowed = bucket.level >= 1.0;
        if allowed {
            bucket.level -= taken;
        }
        Verdict {
            allowed,
            remaining: whole(bucket.level),
            reset_s: whole(((1.0 - bucket.level) / rate.per_s).max(0.0).ceil()),
        }
    }
}

/// Full buckets say nothing and go; where none is full the oldest goes.
fn make_room(buckets: &mut HashMap<String, Bucket>, rate: Rate, now: Instant) {
    let full_after = Duration::from_secs_f64((rate.burst / rate.per_s).min(86_400.0));
    buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at) < full_after);
    if buckets.len() >= BUCKETS_MAX
        && let Some(oldest) = buckets
            .iter()
            .min_by_key(|(_, bucket)| bucket.at)
            .map(|(name, _)| name.clone())
    {
        buckets.remove(&oldest);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded by the burst, never negative"
)]
fn whole(level: f64) -> u64 {
    level.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_s: 20.0,
        burst: 40.0,
    };

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let (limiter, start) = (Limiter::default(), Instant::now());
        let passed = (0..100)
            .filter(|_| limiter.take("k", RATE, start).allowed)
            .count();
        assert_eq!(passed, 40);
        let refused = limiter.take("k", RATE, start);
        assert!(!refused.allowed && refused.reset_s == 1 && refused.remaining == 0);
        let later = start + Duration::from_secs(1);
        let passed = (0..100)
            .filter(|_| limiter.take("k", RATE, later).allowed)
            .count();
        assert_eq!(passed, 20);
        assert!(
            limiter.take("other", RATE, later).allowed,
            "a neighbour is untouched"
        );
    }

    #[test]
    fn the_map_is_bounded() {
        let (limiter, start) = (Limiter::default(), Instant::now());
        for number in 0..BUCKETS_MAX + 500 {
            limiter.take(&number.to_string(), RATE, start);
        }
        assert!(limiter.buckets.lock().unwrap().len() <= BUCKETS_MAX);
    }
}
