//! How many calls at the same time, how many new ones a second, and how much a stranger may send.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::config::LimitsConfig;
use crate::limits::{
    BANNED_FOR, RATED_SOURCES_MAX, UNKNOWN_CALLS_PER_S_MAX, WRONG_PASSWORD_SOURCES_MAX,
    WRONG_PASSWORDS_MAX, WRONG_PASSWORDS_WITHIN,
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

    /// Places in all.
    pub(crate) fn max(&self) -> u32 {
        self.max
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
    rate: u32,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(now: Instant, rate: u32) -> Self {
        Self {
            tokens: f64::from(rate),
            rate,
            at: now,
        }
    }

    /// Tokens a second.
    pub(crate) fn max(&self) -> u32 {
        self.rate
    }

    /// Whether there is a token.
    pub(crate) fn has(&self, now: Instant) -> bool {
        self.at_time(now) >= 1.0
    }

    fn at_time(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let rate = f64::from(self.rate);
        (self.tokens + passed * rate).min(rate)
    }

    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.tokens = self.at_time(now);
        self.at = now;
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
    /// New calls of all of them.
    calls: Bucket,
    messages_per_s: u32,
    invites_per_s: u32,
}

impl SourceRates {
    pub(crate) fn new(now: Instant, limits: &LimitsConfig) -> Self {
        Self {
            newer: HashMap::new(),
            older: HashMap::new(),
            turned_at: now,
            calls: Bucket::new(now, UNKNOWN_CALLS_PER_S_MAX),
            messages_per_s: limits.unknown_messages_per_s_max,
            invites_per_s: limits.unknown_invites_per_s_max,
        }
    }

    /// Sources that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }

    /// Whether a message of this source may pass.
    pub(crate) fn admits(&mut self, now: Instant, source: IpAddr, begins_call: bool) -> bool {
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
        let admitted =
            messages.take(now) && (!begins_call || invites.take(now) && self.calls.take(now));
        self.newer.insert(key, (messages, invites));
        admitted
    }
}

/// Products that scan for open exchanges and guess passwords, in lower case, as they call themselves in User-Agent.
const SCANNERS: [&str; 10] = [
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sipcli",
    "sip-scan",
    "sipscan",
    "sundayddr",
    "pplsip",
    "vaxsipuseragent",
    "iwar",
];
/// Bytes of a message that are looked at for that.
const SCANNED_BYTES_MAX: usize = 2_048;

/// Whether a message names a scanner as its sender: a first look, before anything is parsed. A scanner that calls itself something else
/// is met by the rates and by what is counted of its guesses.
pub(crate) fn is_of_scanner(data: &[u8]) -> bool {
    let head = data.get(..SCANNED_BYTES_MAX).unwrap_or(data);
    head.split(|byte| *byte == b'\n')
        .take_while(|line| !line.trim_ascii().is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_at_checked(b"user-agent".len())?;
            name.eq_ignore_ascii_case(b"user-agent").then_some(value)
        })
        .any(|value| {
            let value = value.to_ascii_lowercase();
            let has = |name: &&str| {
                value
                    .windows(name.len())
                    .any(|part| part == name.as_bytes())
            };
            SCANNERS.iter().any(has)
        })
}

/// A source that is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Its address; of IPv6 the first one of its /64.
    pub source: IpAddr,
    /// Wrong passwords and messages of scanners that were counted.
    pub tries: u32,
    /// How long it still lasts.
    pub left: Duration,
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
    /// Sources that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

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

    /// Everybody who is banned, those that have longest to wait first.
    pub(crate) fn banned(&self, now: Instant) -> Vec<Ban> {
        let ban = |(source, attempts): (&IpAddr, &Attempts)| {
            let left = attempts.banned_until?.checked_duration_since(now)?;
            Some(Ban {
                source: *source,
                tries: attempts.count,
                left,
            })
        };
        let mut bans: Vec<Ban> = self.0.iter().filter_map(ban).collect();
        bans.sort_by_key(|ban| (std::cmp::Reverse(ban.left), ban.source));
        bans
    }

    /// Forgets a source; whether it was banned.
    pub(crate) fn lift(&mut self, now: Instant, source: IpAddr) -> bool {
        let is_banned = self.is_banned(now, source);
        if is_banned {
            self.0.remove(&host(source));
        }
        is_banned
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
    fn a_ban_is_listed_with_what_is_left_of_it_and_can_be_lifted() {
        let now = Instant::now();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let mut wrong = WrongPasswords::default();
        for _ in 0..10 {
            wrong.note(now, one);
            wrong.note(now + Duration::from_secs(60), other);
        }
        wrong.note(now, IpAddr::from([192, 0, 2, 3]));
        let later = now + Duration::from_secs(60);
        let left: Vec<_> = wrong
            .banned(later)
            .into_iter()
            .map(|ban| (ban.source, ban.tries, ban.left.as_secs()))
            .collect();
        assert_eq!(left, [(other, 10, 900), (one, 10, 840)]);
        assert!(wrong.lift(later, one) && !wrong.lift(later, one));
        assert!(!wrong.is_banned(later, one));
        assert_eq!(wrong.banned(now + Duration::from_secs(961)), []);
    }

    #[test]
    fn scanners_are_known_by_their_name_in_one_header_alone() {
        let message = |rows: &str| format!("OPTIONS sip:100@x SIP/2.0\r\n{rows}\r\n\r\nsipvicious");
        for rows in [
            "User-Agent: friendly-scanner",
            "Via: x\r\nuser-agent : SIPVicious/0.3",
            "USER-AGENT:sipcli/v1.8",
        ] {
            assert!(is_of_scanner(message(rows).as_bytes()), "{rows}");
        }
        for rows in [
            "User-Agent: Grandstream HT841 1.0.33.4",
            "Subject: friendly-scanner",
            "User-Agent: é",
            "User-Agent",
        ] {
            assert!(!is_of_scanner(message(rows).as_bytes()), "{rows}");
        }
        assert!(!is_of_scanner(b""));
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
                false,
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
    fn unknown_sources_begin_a_bounded_number_of_calls_together() {
        let now = Instant::now();
        let mut rates = SourceRates::new(now, &LimitsConfig::default());
        let network = |net: u32| IpAddr::from((0x0A00_0000 | net << 8).to_be_bytes());
        let admitted = (0..5_000)
            .filter(|net| rates.admits(now, network(*net), true))
            .count();
        assert_eq!(admitted, 100);
        assert!(
            rates.admits(now, network(6_000), false),
            "what begins no call is not held up"
        );
        assert!(rates.admits(now + Duration::from_secs(1), network(6_001), true));
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
