//! How many calls at the same time, how many new ones a second, and how much a stranger may send.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::config::LimitsConfig;
use crate::limits::{
    BANNED_FOR, RATED_SOURCES_MAX, WRONG_PASSWORD_SOURCES_MAX, WRONG_PASSWORDS_MAX,
    WRONG_PASSWORDS_WITHIN,
};

/// A count with a ceiling.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    taken: Arc<AtomicU32>,
    max: u32,
}

impl Places {
    /// `max` 0 is no ceiling.
    pub(crate) fn new(max: u32) -> Self {
        Self {
            taken: Arc::new(AtomicU32::new(0)),
            max: if max == 0 { u32::MAX } else { max },
        }
    }

    /// A place until the permit is dropped.
    pub(crate) fn take(&self) -> Option<Place> {
        let max = self.max;
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < max).then_some(taken + 1)
            })
            .ok()
            .map(|_| Place(Arc::clone(&self.taken)))
    }

    /// Places taken now.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Acquire)
    }

    /// Whether a place is free.
    pub(crate) fn is_free(&self) -> bool {
        self.taken() < self.max
    }
}

/// A place that is taken.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Draining, seen by everybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draining(Arc<AtomicBool>);

impl Draining {
    pub(crate) fn set(&self, draining: bool) {
        self.0.store(draining, Ordering::Release);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A token bucket: `rate` a second, as many at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    rate: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(now: Instant, rate: u32) -> Self {
        Self {
            tokens: f64::from(rate),
            rate: f64::from(rate),
            at: now,
        }
    }

    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + passed * self.rate).min(self.rate);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return true;
        }
        false
    }
}

/// After this long a generation of sources is forgotten.
const GENERATION: Duration = Duration::from_secs(60);

/// Rates of unknown sources, by /24 (IPv4) or /56 (IPv6). Two generations bound the memory: a source that was seen lately
/// lives in the newer one, and the older one is dropped whole.
#[derive(Debug)]
pub(crate) struct SourceRates {
    newer: HashMap<IpAddr, (Bucket, Bucket)>,
    older: HashMap<IpAddr, (Bucket, Bucket)>,
    turned_at: Instant,
    messages_per_s: u32,
    invites_per_s: u32,
}

impl SourceRates {
    pub(crate) fn new(now: Instant, limits: &LimitsConfig) -> Self {
        Self {
            newer: HashMap::new(),
            older: HashMap::new(),
            turned_at: now,
            messages_per_s: limits.unknown_messages_per_s_max,
            invites_per_s: limits.unknown_invites_per_s_max,
        }
    }

    /// Whether a message of this source may pass.
    pub(crate) fn admits(&mut self, now: Instant, source: IpAddr, is_invite: bool) -> bool {
        let key = network(source);
        if self.newer.len() >= RATED_SOURCES_MAX
            || now.saturating_duration_since(self.turned_at) >= GENERATION
        {
            self.older = std::mem::take(&mut self.newer);
            self.turned_at = now;
        }
        let known = self
            .newer
            .get(&key)
            .or_else(|| self.older.get(&key))
            .copied();
        let (mut messages, mut invites) = known.unwrap_or_else(|| {
            (
                Bucket::new(now, self.messages_per_s),
                Bucket::new(now, self.invites_per_s),
            )
        });
        let admitted = messages.take(now) && (!is_invite || invites.take(now));
        self.newer.insert(key, (messages, invites));
        admitted
    }
}

/// Wrong passwords by source, and who is banned for them. A source is one IPv4 address or one IPv6 /64: over UDP an address
/// can be forged, so a ban must not reach the neighbours, and never a source that a line lists.
#[derive(Debug, Default)]
pub(crate) struct WrongPasswords(HashMap<IpAddr, Attempts>);

#[derive(Clone, Copy, Debug)]
struct Attempts {
    since: Instant,
    count: u32,
    banned_until: Option<Instant>,
}

impl WrongPasswords {
    /// Counts a wrong password; true when it is the one that bans its source.
    pub(crate) fn note(&mut self, now: Instant, source: IpAddr) -> bool {
        let key = host(source);
        if !self.0.contains_key(&key) && self.0.len() >= WRONG_PASSWORD_SOURCES_MAX {
            self.forget(now);
        }
        let fresh = Attempts {
            since: now,
            count: 0,
            banned_until: None,
        };
        let attempts = self.0.entry(key).or_insert(fresh);
        if attempts.is_over(now) {
            *attempts = fresh;
        }
        attempts.count = attempts.count.saturating_add(1);
        let bans = attempts.banned_until.is_none() && attempts.count >= WRONG_PASSWORDS_MAX;
        if bans {
            attempts.banned_until = Some(now + BANNED_FOR);
        }
        bans
    }

    /// Whether this source is banned.
    pub(crate) fn is_banned(&self, now: Instant, source: IpAddr) -> bool {
        self.0
            .get(&host(source))
            .and_then(|attempts| attempts.banned_until)
            .is_some_and(|until| now < until)
    }

    /// Makes room: what is over, else the oldest.
    fn forget(&mut self, now: Instant) {
        self.0.retain(|_, attempts| !attempts.is_over(now));
        if self.0.len() >= WRONG_PASSWORD_SOURCES_MAX
            && let Some((oldest, _)) = self.0.iter().min_by_key(|(_, attempts)| attempts.since)
        {
            let oldest = *oldest;
            self.0.remove(&oldest);
        }
    }
}

impl Attempts {
    fn is_over(&self, now: Instant) -> bool {
        match self.banned_until {
            Some(until) => now >= until,
            None => now.saturating_duration_since(self.since) >= WRONG_PASSWORDS_WITHIN,
        }
    }
}

fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::from((u128::from(address) & !((1_u128 << 64) - 1)).to_be_bytes())
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::from((u32::from(address) & 0xFFFF_FF00).to_be_bytes()),
        IpAddr::V6(address) => {
            IpAddr::from((u128::from(address) & !((1_u128 << 72) - 1)).to_be_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_when_their_permit_is_dropped() {
        let places = Places::new(2);
        let first = places.take().expect("free");
        let _second = places.take().expect("free");
        assert!(places.take().is_none());
        drop(first);
        assert!(places.is_free());
        assert!(places.take().is_some());
    }

    #[test]
    fn pattern_23_concurrent_takers_never_exceed_the_ceiling() {
        const MAX: u32 = 7;
        let places = Places::new(MAX);
        let start = std::sync::Barrier::new(64);
        let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..500 {
                        let Some(place) = places.take() else { continue };
                        most.fetch_max(inside.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::AcqRel);
                        drop(place);
                    }
                });
            }
        });
        assert_eq!(places.taken(), 0);
        assert_eq!(
            most.into_inner(),
            MAX,
            "all places were used, and never one more"
        );
    }

    #[test]
    fn ten_wrong_passwords_within_five_minutes_ban_their_source_for_fifteen() {
        let start = Instant::now();
        let minutes = |count: u64| start + Duration::from_secs(60 * count);
        let source = IpAddr::from([192, 0, 2, 1]);
        let mut wrong = WrongPasswords::default();
        for _ in 0..9 {
            assert!(!wrong.note(start, source));
        }
        assert!(!wrong.note(minutes(5), source), "the nine are forgotten");
        for _ in 0..8 {
            assert!(!wrong.note(minutes(6), source));
        }
        assert!(!wrong.is_banned(minutes(6), source));
        assert!(wrong.note(minutes(6), source), "the tenth bans");
        assert!(!wrong.note(minutes(7), source), "and is told once");
        assert!(wrong.is_banned(minutes(20), source));
        assert!(!wrong.is_banned(minutes(20), IpAddr::from([192, 0, 2, 2])));
        assert!(!wrong.is_banned(minutes(21), source));
        for host in 0..10_u128 {
            wrong.note(
                start,
                IpAddr::from((0x2001_0db8_u128 << 96 | host).to_be_bytes()),
            );
        }
        let neighbour = IpAddr::from((0x2001_0db8_u128 << 96 | 99).to_be_bytes());
        assert!(
            wrong.is_banned(start, neighbour),
            "an IPv6 host has its /64"
        );
    }

    #[test]
    fn pattern_26_wrong_passwords_of_forged_sources_do_not_grow_the_table() {
        let now = Instant::now();
        let mut wrong = WrongPasswords::default();
        for source in 0..20_000_u32 {
            wrong.note(
                now + Duration::from_millis(u64::from(source)),
                IpAddr::from(source.to_be_bytes()),
            );
        }
        assert!(wrong.0.len() <= WRONG_PASSWORD_SOURCES_MAX);
    }

    #[test]
    fn pattern_26_a_flood_of_sources_does_not_refill_the_bucket_of_one() {
        let now = Instant::now();
        let mut rates = SourceRates::new(now, &LimitsConfig::default());
        let scanner = IpAddr::from([192, 0, 2, 1]);
        let v6 = |host: u128| IpAddr::from((0x2001_0db8_u128 << 96 | host).to_be_bytes());
        for _ in 0..10 {
            assert!(rates.admits(now, scanner, true));
            assert!(rates.admits(now, v6(1), true));
        }
        for source in 0..10_000_u32 {
            rates.admits(
                now,
                IpAddr::from((0x0A00_0000 | source << 8).to_be_bytes()),
                true,
            );
        }
        assert!(!rates.admits(now, scanner, true), "it is still remembered");
        assert!(!rates.admits(now, v6(1 << 71), true), "a /56 is one source");
        assert!(
            rates.admits(now, v6(1 << 72), true),
            "its neighbour is another"
        );
    }

    #[test]
    fn pattern_26_spoofed_sources_do_not_grow_the_table() {
        let now = Instant::now();
        let mut rates = SourceRates::new(now, &LimitsConfig::default());
        for source in 0..100_000_u32 {
            rates.admits(now, IpAddr::from((source << 8).to_be_bytes()), false);
        }
        assert!(rates.newer.len() + rates.older.len() <= 2 * RATED_SOURCES_MAX);
    }

    #[test]
    fn an_unknown_source_has_its_rate_and_its_neighbours_share_it() {
        let now = Instant::now();
        let mut rates = SourceRates::new(now, &LimitsConfig::default());
        let admitted = (0..100_u8)
            .filter(|host| rates.admits(now, IpAddr::from([192, 0, 2, *host]), true))
            .count();
        assert_eq!(admitted, 10);
        assert!(rates.admits(now, IpAddr::from([198, 51, 100, 1]), true));
        assert!(rates.admits(
            now + Duration::from_secs(1),
            IpAddr::from([192, 0, 2, 1]),
            true
        ));
    }
}
