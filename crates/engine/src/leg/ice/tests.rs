//! Two sides at simulated time, with routers between them.

use super::*;
use sip::sdp::offer_answer::IceTerms;

/// How long a datagram is on its way.
const DELAY: Duration = Duration::from_millis(15);

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A datagram on its way: when it arrives, at which side, from where, to where, and what.
type Flying = (Instant, usize, SocketAddr, SocketAddr, Vec<u8>);

/// Where a datagram of an address ends that goes to another one, and as whose it arrives; `None`: nowhere.
type Network = fn(SocketAddr, SocketAddr) -> Option<(SocketAddr, SocketAddr)>;

struct World {
    now: Instant,
    sides: [Ice; 2],
    flying: Vec<Flying>,
    network: Network,
    sent: usize,
}

fn addresses(host: &str, seen: Option<&str>, relayed: Option<&str>) -> Addresses {
    Addresses {
        host: at(host),
        seen: seen.map(at),
        relayed: relayed.map(at),
    }
}

fn terms(local: &LocalIce, lite: bool) -> IceTerms {
    IceTerms {
        ufrag: local.ufrag.clone(),
        password: local.password.clone(),
        lite,
        candidates: local.candidates.clone(),
    }
}

impl World {
    fn new(local: [&LocalIce; 2], network: Network, mux: bool) -> Self {
        let mut sides = [
            Ice::new(local[0], true).unwrap(),
            Ice::new(local[1], false).unwrap(),
        ];
        sides[0].agree(&terms(local[1], false), mux);
        sides[1].agree(&terms(local[0], false), mux);
        let now = Instant::now();
        for side in &mut sides {
            side.begin(now);
        }
        Self {
            now,
            sides,
            flying: Vec::new(),
            network,
            sent: 0,
        }
    }

    fn send(&mut self) {
        for index in 0..2 {
            while let Some(check) = self.sides[index].poll_transmit() {
                self.sent += 1;
                let side = &self.sides[index];
                let checks = if check.rtcp {
                    side.rtcp.as_ref().unwrap()
                } else {
                    &side.rtp
                };
                let from = if check.by_relay {
                    checks.relayed.unwrap()
                } else {
                    checks.host
                };
                if let Some((from, to)) = (self.network)(from, check.destination) {
                    let arrives = self.now + DELAY;
                    self.flying.push((arrives, 1 - index, from, to, check.data));
                }
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.send();
            let due: Vec<Flying> = {
                let now = self.now;
                self.flying
                    .extract_if(.., |flying| flying.0 <= now)
                    .collect()
            };
            for (_, index, from, to, data) in due {
                let side = &mut self.sides[index];
                let rtcp = side
                    .rtcp
                    .as_ref()
                    .is_some_and(|checks| to == checks.host || Some(to) == checks.relayed);
                let by_relay = Some(to) == side.rtp.relayed
                    || side
                        .rtcp
                        .as_ref()
                        .is_some_and(|checks| Some(to) == checks.relayed);
                assert!(side.receive(self.now, (from, rtcp, by_relay), &data));
            }
            for side in &mut self.sides {
                side.handle_timeout(self.now);
            }
            self.send();
            self.now += Duration::from_millis(5);
        }
    }

    fn news(&mut self, index: usize) -> Vec<String> {
        std::iter::from_fn(|| self.sides[index].poll_news())
            .map(|message| message.code.into_owned())
            .collect()
    }
}

fn plain(host: &str, rtcp: &str) -> LocalIce {
    local_ice(
        addresses(host, None, None),
        Some(addresses(rtcp, None, None)),
    )
}

/// Both in one network.
fn open_network(from: SocketAddr, to: SocketAddr) -> Option<(SocketAddr, SocketAddr)> {
    Some((from, to))
}

#[test]
fn two_sides_of_one_network_find_each_other_on_both_ports() {
    let local = [
        plain("10.0.0.1:4000", "10.0.0.1:4001"),
        plain("10.0.0.2:5000", "10.0.0.2:5001"),
    ];
    let mut world = World::new([&local[0], &local[1]], open_network, false);
    world.run(Duration::from_millis(500));
    for (index, rtp, rtcp) in [
        (0, "10.0.0.2:5000", "10.0.0.2:5001"),
        (1, "10.0.0.1:4000", "10.0.0.1:4001"),
    ] {
        let side = &mut world.sides[index];
        assert_eq!(side.rtp.path.unwrap().remote, at(rtp));
        assert_eq!(side.rtcp.as_ref().unwrap().path.unwrap().remote, at(rtcp));
        assert_eq!(
            (side.is_relayed(false), side.is_relayed(true)),
            (Some(false), Some(false))
        );
        assert!(side.take_moved() && !side.take_moved());
        assert_eq!(world.news(index), ["media_path_direct"]);
    }
    // Checks go on as proof of consent (RFC 7675), and no faster than that.
    let before = world.sent;
    world.run(Duration::from_secs(60));
    let a_minute = world.sent - before;
    assert!((20..400).contains(&a_minute), "{a_minute}");
    assert!(!world.sides[0].take_moved() && world.news(0).is_empty());
}

#[test]
fn with_mux_the_second_port_is_left_alone() {
    let local = [
        plain("10.0.0.1:4000", "10.0.0.1:4001"),
        plain("10.0.0.2:5000", "10.0.0.2:5001"),
    ];
    let mut world = World::new([&local[0], &local[1]], open_network, true);
    world.run(Duration::from_millis(500));
    assert!(world.sides.iter().all(|side| side.rtcp.is_none()));
    assert!(world.sides.iter().all(|side| side.rtp.path.is_some()));
}

/// The first side's router lets its packets to the relay alone out, and nothing in: what is left of a symmetric router before another one.
fn only_the_relay(from: SocketAddr, to: SocketAddr) -> Option<(SocketAddr, SocketAddr)> {
    let is_inside = |address: SocketAddr| {
        ["192.168.1.7", "203.0.113.1"].contains(&address.ip().to_string().as_str())
    };
    (!is_inside(from) && !is_inside(to)).then_some((from, to))
}

#[test]
fn where_nothing_else_gets_through_the_relay_is_taken() {
    let behind = local_ice(
        addresses(
            "192.168.1.7:4000",
            Some("203.0.113.1:61000"),
            Some("203.0.113.3:40000"),
        ),
        Some(addresses(
            "192.168.1.7:4001",
            Some("203.0.113.1:61001"),
            Some("203.0.113.3:40002"),
        )),
    );
    let outside = plain("203.0.113.50:5000", "203.0.113.50:5001");
    let mut world = World::new([&behind, &outside], only_the_relay, false);
    world.run(Duration::from_secs(3));
    let (relayed, other) = (&world.sides[0], &world.sides[1]);
    assert_eq!(
        (relayed.is_relayed(false), relayed.is_relayed(true)),
        (Some(true), Some(true))
    );
    assert_eq!(other.rtp.path.unwrap().remote, at("203.0.113.3:40000"));
    assert_eq!(world.news(0), ["media_path_relayed"]);
    assert_eq!(world.news(1), ["media_path_direct"]);
}

#[test]
fn where_nothing_gets_through_it_is_told_once() {
    let local = [
        plain("192.168.1.7:4000", "192.168.1.7:4001"),
        plain("192.168.5.7:5000", "192.168.5.7:5001"),
    ];
    let mut world = World::new([&local[0], &local[1]], |_, _| None, false);
    world.run(Duration::from_secs(120));
    assert_eq!(world.news(0), ["media_path_none"]);
    assert_eq!(world.sides[0].is_relayed(false), None);
    // Who cannot be reached is not asked for ever.
    let before = world.sent;
    world.run(Duration::from_secs(60));
    assert_eq!(world.sent, before);
}

#[test]
fn a_chosen_pair_moves_an_agreement() {
    let local = [
        plain("10.0.0.1:4000", "10.0.0.1:4001"),
        plain("10.0.0.2:5000", "10.0.0.2:5001"),
    ];
    let mut world = World::new([&local[0], &local[1]], open_network, false);
    let mut agreed = agreement(Some("203.0.113.9:7000"), false);
    world.sides[0].settle(&mut agreed);
    assert_eq!(agreed.remote, Some(at("203.0.113.9:7000")));
    world.run(Duration::from_millis(500));
    world.sides[0].settle(&mut agreed);
    assert_eq!(agreed.remote, Some(at("10.0.0.2:5000")));
    assert_eq!(agreed.remote_rtcp, Some(at("10.0.0.2:5001")));
    // A hold without an address stays one.
    let mut held = agreement(None, false);
    world.sides[0].settle(&mut held);
    assert_eq!(held.remote, None);
}

#[test]
fn other_credentials_are_a_restart() {
    let (ours, theirs) = (
        plain("10.0.0.1:4000", "10.0.0.1:4001"),
        plain("10.0.0.2:5000", "10.0.0.2:5001"),
    );
    let mut side = Ice::new(&ours, false).unwrap();
    assert!(!side.is_restarted_by("first"));
    side.agree(&terms(&theirs, false), false);
    assert!(!side.is_restarted_by(&theirs.ufrag));
    assert!(side.is_restarted_by("other"));
}

#[test]
fn a_lite_peer_is_led() {
    let (ours, theirs) = (
        plain("10.0.0.1:4000", "10.0.0.1:4001"),
        plain("10.0.0.2:5000", "10.0.0.2:5001"),
    );
    let mut side = Ice::new(&ours, false).unwrap();
    side.agree(&terms(&theirs, true), false);
    assert!(side.rtp.agent.controlling());
}

/// What strangers send, and what is damaged on the way, chooses nothing and stops nothing.
#[test]
fn damaged_checks_are_of_nobody() {
    let local = [
        plain("10.0.0.1:4000", "10.0.0.1:4001"),
        plain("10.0.0.2:5000", "10.0.0.2:5001"),
    ];
    let mut world = World::new([&local[0], &local[1]], open_network, false);
    let check = std::iter::from_fn(|| world.sides[0].poll_transmit())
        .find(|check| !check.rtcp)
        .unwrap()
        .data;
    let side = &mut world.sides[1];
    let stranger = at("198.51.100.66:9");
    let mut state = 7_u64;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap()
    };
    for _ in 0..50_000 {
        let mut damaged = check.clone();
        for _ in 0..=next() % 3 {
            // The last eight bytes are the fingerprint, which the integrity does not cover.
            let place = next() % (damaged.len() - 8);
            damaged[place] ^= u8::try_from(1 + next() % 255).unwrap();
        }
        if next() % 4 == 0 {
            damaged.truncate(next() % damaged.len());
        }
        if damaged == check {
            continue;
        }
        side.receive(world.now, (stranger, false, false), &damaged);
        side.handle_timeout(world.now);
    }
    assert_eq!(side.rtp.path, None);
    assert!(std::iter::from_fn(|| side.poll_transmit()).all(|sent| sent.destination != stranger));
    // A packet of audio is none of them.
    assert!(!side.receive(world.now, (stranger, false, false), &[0x80; 172]));
}

fn agreement(remote: Option<&str>, rtcp_mux: bool) -> Negotiated {
    let remote = remote.map(at);
    Negotiated {
        codec: sip::sdp::offer_answer::CodecChoice {
            name: "PCMU".to_owned(),
            clock_rate: 8_000,
            channels: 1,
            payload_type: 0,
            parameters: None,
            our_parameters: None,
        },
        telephone_event: None,
        event_clock_rate: 8_000,
        comfort_noise: None,
        ptime_ms: 20,
        remote,
        remote_rtcp: remote.map(|remote| SocketAddr::new(remote.ip(), remote.port() + 1)),
        rtcp_mux,
        direction: sip::sdp::Direction::SendRecv,
        crypto: None,
        dtls: None,
        ice: None,
        is_found_by_checks: false,
    }
}
