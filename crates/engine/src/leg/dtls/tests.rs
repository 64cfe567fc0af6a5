//! Two associations on a simulated network, at simulated time.

use rand_pcg::Pcg32;
use rand_pcg::rand_core::{Rng as _, SeedableRng as _};

use super::*;

const US: &str = "192.0.2.1:10000";
const THEM: &str = "192.0.2.2:20000";

fn epoch() -> Instant {
    Instant::now()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn terms(active: bool, fingerprint: Fingerprint) -> DtlsTerms {
    DtlsTerms {
        fingerprints: vec![fingerprint],
        active,
    }
}

/// Both ends have the certificate of this process.
fn ours() -> Fingerprint {
    fingerprint().unwrap()
}

fn wrong() -> Fingerprint {
    let mut wrong = ours();
    wrong.bytes[31] ^= 1;
    wrong
}

struct Pair {
    now: Instant,
    ends: [Association; 2],
    /// Who sends from where.
    addresses: [SocketAddr; 2],
    news: [Vec<News>; 2],
    /// Arrival, destination, source and bytes.
    wire: Vec<(Instant, usize, SocketAddr, BytesMut)>,
    sent: usize,
}

impl Pair {
    fn new(client: Fingerprint, server: Fingerprint) -> Self {
        let (us, them) = (address(US), address(THEM));
        let end = |active, fingerprint, remote: SocketAddr| {
            Association::new(terms(active, fingerprint), Some(remote), Some(remote.ip())).unwrap()
        };
        Self {
            now: epoch(),
            ends: [end(true, client, them), end(false, server, us)],
            addresses: [us, them],
            news: [Vec::new(), Vec::new()],
            wire: Vec::new(),
            sent: 0,
        }
    }

    fn begin(&mut self) {
        let now = self.now;
        self.ends.iter_mut().for_each(|end| end.begin(now));
    }

    /// Everything that leaves, unless `lost`, arrives 20 ms later.
    fn collect(&mut self, lost: &mut impl FnMut() -> bool) {
        for from in 0..2 {
            while let Some((destination, data)) = self.ends[from].poll_transmit() {
                assert!(is_dtls(&data) && data.len() <= 1_500);
                self.sent += 1;
                if !lost() && destination == self.addresses[1 - from] {
                    let at = self.now + Duration::from_millis(20);
                    self.wire.push((at, 1 - from, self.addresses[from], data));
                }
            }
            while let Some(news) = self.ends[from].poll_news() {
                self.news[from].push(news);
            }
        }
    }

    /// Runs until nothing is due any more, or for so long.
    fn run(&mut self, seconds: u64, mut lost: impl FnMut() -> bool) {
        let until = self.now + Duration::from_secs(seconds);
        loop {
            self.collect(&mut lost);
            let arrivals = self.wire.iter().map(|(at, ..)| *at);
            let timers = self.ends.iter().filter_map(Association::poll_timeout);
            let Some(next) = arrivals.chain(timers).min().filter(|at| *at <= until) else {
                return;
            };
            self.now = self.now.max(next);
            let now = self.now;
            for end in &mut self.ends {
                if end.poll_timeout().is_some_and(|at| at <= now) {
                    end.handle_timeout(now);
                }
            }
            let due = self.wire.iter().position(|(at, ..)| *at <= now);
            if let Some(place) = due {
                let (_, to, source, data) = self.wire.remove(place);
                self.ends[to].handle(now, source, data);
            }
        }
    }

    fn agreed(&self, end: usize) -> Option<(&SrtpConfig, u32)> {
        self.news[end].iter().find_map(|news| match news {
            News::Agreed { srtp, after_ms, .. } => Some((srtp, *after_ms)),
            News::Failed(_) => None,
        })
    }
}

#[test]
fn both_ends_come_to_the_same_keys_and_each_sends_with_its_own() {
    let mut pair = Pair::new(ours(), ours());
    pair.begin();
    pair.run(20, || false);
    let (client, client_ms) = pair.agreed(0).expect("the client has keys");
    let (server, _) = pair.agreed(1).expect("the server has keys");
    assert_eq!(client.suite, SrtpSuite::AesCm128HmacSha1_80);
    assert_eq!(client.local_key, server.remote_key);
    assert_eq!(client.remote_key, server.local_key);
    assert_ne!(client.local_key, client.remote_key);
    assert_eq!(client.local_key.len(), client.suite.key_len());
    // Three round trips of 40 ms: cookie, certificates, finished.
    assert_eq!(client_ms, 120);
    assert_eq!(pair.news.iter().map(Vec::len).sum::<usize>(), 2);
}

#[test]
fn a_third_of_the_datagrams_lost_costs_time_only() {
    let mut slowest = 0;
    for seed in 0..100 {
        let mut random = Pcg32::seed_from_u64(seed);
        let mut pair = Pair::new(ours(), ours());
        pair.begin();
        let mut left = 8;
        pair.run(20, || {
            left -= i32::from(left > 0);
            left > 0 && random.next_u32().is_multiple_of(3)
        });
        let (client, after_ms) = pair
            .agreed(0)
            .unwrap_or_else(|| panic!("seed {seed}: {:?}", pair.news));
        let (server, _) = pair.agreed(1).unwrap_or_else(|| panic!("seed {seed}"));
        assert_eq!(client.local_key, server.remote_key, "seed {seed}");
        slowest = slowest.max(after_ms);
    }
    assert!((1_000..9_000).contains(&slowest), "{slowest} ms");
}

#[test]
fn a_wrong_fingerprint_gives_no_keys_on_the_side_that_sees_it() {
    for (client, server, sees) in [(wrong(), ours(), 0), (ours(), wrong(), 1)] {
        let mut pair = Pair::new(client, server);
        pair.begin();
        let begun = pair.now;
        pair.run(5, || false);
        assert_eq!(pair.agreed(sees), None);
        assert_eq!(pair.news[sees], [News::Failed(Failure::Fingerprint)]);
        assert!(pair.now - begun < Duration::from_secs(2), "told at once");
    }
}

#[test]
fn silence_is_told_after_ten_seconds_once() {
    let mut pair = Pair::new(ours(), ours());
    pair.begin();
    let begun = pair.now;
    pair.run(60, || true);
    for news in &pair.news {
        assert_eq!(*news, [News::Failed(Failure::Silence)]);
    }
    assert_eq!(pair.now - begun, HANDSHAKE_WITHIN);
    assert_eq!(pair.sent, 8, "a hello and seven repetitions");
}

#[test]
fn what_comes_before_the_description_is_kept_for_it() {
    let mut pair = Pair::new(ours(), ours());
    let now = pair.now;
    pair.ends[0].begin(now);
    pair.run(0, || false);
    pair.now += Duration::from_millis(300);
    let mut held = Vec::new();
    for (_, _, source, data) in std::mem::take(&mut pair.wire) {
        for _ in 0..20 {
            hold(&mut held, source, data.clone());
        }
    }
    assert_eq!(held.len(), HELD_MAX);
    pair.ends[1].hold(held);
    assert!(
        pair.ends[1].poll_transmit().is_none(),
        "nobody to answer yet"
    );
    let now = pair.now;
    pair.ends[1].begin(now);
    pair.run(20, || false);
    let (_, after_ms) = pair.agreed(1).expect("keys");
    assert_eq!(after_ms, 80, "no repetition was waited for");
}

#[test]
fn a_stranger_spoils_nothing() {
    let mut pair = Pair::new(ours(), ours());
    pair.begin();
    let now = pair.now;
    // Somebody who knows the port, with a certificate of ours but another promise: refused by itself.
    let server = address(THEM);
    let mut stranger =
        Association::new(terms(true, ours()), Some(server), Some(server.ip())).unwrap();
    stranger.begin(now);
    let source = address("198.51.100.66:6666");
    while let Some((_, data)) = stranger.poll_transmit() {
        pair.ends[1].handle(now, source, data);
    }
    for junk in [&[22_u8; 40][..], &[20], &[21, 254, 253, 0, 0], &[63; 1_400]] {
        pair.ends[1].handle(now, source, BytesMut::from(junk));
        pair.ends[1].handle(now, address(US), BytesMut::from(junk));
    }
    for port in 0..100 {
        let source = SocketAddr::new(source.ip(), port + 1);
        pair.ends[1].handle(now, source, BytesMut::from(&[22_u8; 40][..]));
    }
    assert!(pair.ends[1].sources.len() <= SOURCES_MAX);
    pair.run(20, || false);
    assert!(
        pair.agreed(0).is_some() && pair.agreed(1).is_some(),
        "{:?}",
        pair.news
    );
}

#[test]
fn mutated_handshakes_end_without_keys_of_somebody_else() {
    for seed in 0..60 {
        let mut random = Pcg32::seed_from_u64(seed);
        let mut pair = Pair::new(ours(), ours());
        pair.begin();
        for _ in 0..400 {
            pair.collect(&mut || false);
            let Some((at, to, source, mut data)) =
                (!pair.wire.is_empty()).then(|| pair.wire.remove(0))
            else {
                let timers = pair.ends.iter().filter_map(Association::poll_timeout);
                let Some(next) = timers.min() else { break };
                pair.now = next;
                pair.ends
                    .iter_mut()
                    .for_each(|end| end.handle_timeout(next));
                continue;
            };
            pair.now = pair.now.max(at);
            if random.next_u32().is_multiple_of(2) {
                let len = u32::try_from(data.len()).unwrap();
                let place = usize::try_from(random.next_u32() % len).unwrap();
                data[place] ^= 1 << (random.next_u32() % 8);
            }
            let now = pair.now;
            pair.ends[to].handle(now, source, data);
        }
        if let (Some((client, _)), Some((server, _))) = (pair.agreed(0), pair.agreed(1)) {
            assert_eq!(client.local_key, server.remote_key, "seed {seed}");
        }
    }
}

#[test]
fn first_bytes_of_the_kinds_that_share_a_port() {
    // RFC 7983 section 7: STUN, DTLS, TURN channels, RTP and RTCP.
    let kinds = [
        (0, false),
        (3, false),
        (19, false),
        (20, true),
        (63, true),
        (64, false),
        (128, false),
        (200, false),
    ];
    for (first, expected) in kinds {
        assert_eq!(is_dtls(&[first, 0]), expected, "{first}");
    }
    assert!(!is_dtls(&[]));
}

/// What a handshake costs this process: `cargo test … dtls::tests::cost -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_handshake() {
    let begun = Instant::now();
    for _ in 0..200 {
        let mut pair = Pair::new(ours(), ours());
        pair.begin();
        pair.run(20, || false);
        assert!(pair.agreed(0).is_some() && pair.agreed(1).is_some());
    }
    let both = begun.elapsed() / 200;
    let begun = Instant::now();
    for _ in 0..200 {
        identity::Identity::make().unwrap();
    }
    println!(
        "both ends {both:?}, a certificate {:?}",
        begun.elapsed() / 200
    );
}
