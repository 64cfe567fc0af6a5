//! Legs with ICE on sockets of this machine: what a description changes about the way of their audio.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use media::{Keypad, Treatment};
use sip::sdp::offer_answer::{CodecOffer, LocalMedia, SrtpPolicy};
use store::packet::PacketContents;

use super::*;
use crate::leg::ice::{Addresses, local_ice};
use crate::rtp_ports::RtpPorts;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Nobody listens there; it is what is said to who does no ICE.
const DEAD: u16 = 9;

fn identity() -> LegIdentity<'static> {
    LegIdentity {
        signalling: None,
        cname: "leg",
        seed: 1,
        keypad: Keypad::default(),
        treatment: Treatment::default(),
        capture: PacketContents::None,
    }
}

fn sides(ports: &RtpPorts, has_ice: bool) -> (RtpPair, LocalMedia) {
    let pair = ports.allocate(Instant::now()).expect("a pair");
    let addresses = |port| Addresses {
        host: SocketAddr::new(HOME, port),
        seen: Some(SocketAddr::new(HOME, DEAD)),
        relayed: None,
    };
    let local = LocalMedia {
        address: HOME,
        port: DEAD,
        rtcp_port: None,
        codecs: vec![CodecOffer {
            name: "PCMU",
            clock_rate: 8_000,
            channels: 1,
            parameters: None,
            static_payload: Some(0),
            last_resort: false,
        }],
        telephone_event: false,
        comfort_noise: false,
        srtp: SrtpPolicy::Off,
        crypto: Vec::new(),
        dtls: None,
        ice: has_ice.then(|| local_ice(addresses(pair.port), Some(addresses(pair.port + 1)))),
        for_browsers: false,
        ptime_ms: 20,
        session_id: 1,
        session_version: 1,
    };
    (pair, local)
}

fn remote(leg: &MediaLeg) -> Option<SocketAddr> {
    leg.agreed.as_ref()?.remote
}

fn host(leg: &MediaLeg) -> Option<SocketAddr> {
    Some(SocketAddr::new(HOME, leg.pair.port))
}

/// Both legs do what is due until each sends to the other's own port.
async fn meet(one: &mut MediaLeg, other: &mut MediaLeg) {
    let until = Instant::now() + Duration::from_secs(10);
    while remote(one) != host(other) || remote(other) != host(one) {
        let now = Instant::now();
        assert!(now < until, "{:?} {:?}", remote(one), remote(other));
        for leg in [&mut *one, &mut *other] {
            leg.receive(now);
            leg.handle_timeout(now);
            leg.transmit(now);
        }
        let due = [one.poll_timeout(), other.poll_timeout()];
        let due = due.into_iter().flatten().min().unwrap_or(until).min(until);
        let readable = poll_fn(|cx| {
            if one.poll_readable(cx).is_ready() || other.poll_readable(cx).is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let _ = tokio::time::timeout_at(due.into(), readable).await;
    }
}

fn ufrag(description: &[u8]) -> Option<String> {
    offer_answer::ice_ufrag(description)
}

#[tokio::test]
async fn the_audio_goes_where_the_checks_or_the_latest_description_say() {
    let config = crate::config::RtpConfig {
        bind: HOME,
        port_min: 0,
        port_max: 0,
        ..crate::config::RtpConfig::default()
    };
    let ports = RtpPorts::new(&config, 1).expect("any port");
    let now = Instant::now();
    let (pair, local) = sides(&ports, true);
    let (mut caller, offer) = MediaLeg::offer(now, pair, local, &identity());
    let (pair, local) = sides(&ports, true);
    let (mut called, first, _) =
        MediaLeg::answer(now, pair, local, &offer, &identity()).expect("an answer");
    let dead = Some(SocketAddr::new(HOME, DEAD));
    assert_eq!(remote(&called), dead);
    caller.accept(now, &first).expect("agreed");
    called.start(now);
    meet(&mut caller, &mut called).await;

    // The same description again, as after a hold: the way that was found is kept, the credentials are too.
    let (again, _) = called.answer_again(now, &offer).expect("an answer");
    assert_eq!(
        (ufrag(&again), remote(&called)),
        (ufrag(&first), host(&caller))
    );

    // A refused offer of somebody else changes nothing.
    let (pair, local) = sides(&ports, true);
    let (_stranger, foreign) = MediaLeg::offer(now, pair, local, &identity());
    let foreign = String::from_utf8(foreign).expect("text");
    let foreign = foreign.replace("RTP/AVP 0", "RTP/AVP 18");
    let foreign = foreign.replace("rtpmap:0 PCMU", "rtpmap:18 G729");
    assert!(called.answer_again(now, foreign.as_bytes()).is_err());
    let (again, _) = called.answer_again(now, &offer).expect("an answer");
    assert_eq!(
        (ufrag(&again), remote(&called)),
        (ufrag(&first), host(&caller))
    );

    // An exchange connects the call to somebody else who does ICE: it begins anew, with other credentials.
    let (pair, local) = sides(&ports, true);
    let (mut second, offer) = MediaLeg::offer(now, pair, local, &identity());
    let (answer, _) = called.answer_again(now, &offer).expect("an answer");
    assert_ne!(ufrag(&answer), ufrag(&first));
    assert_eq!(remote(&called), dead);
    second.accept(now, &answer).expect("agreed");
    meet(&mut second, &mut called).await;

    // And then to somebody who does none.
    let (pair, local) = sides(&ports, false);
    let (_plain, offer) = MediaLeg::offer(now, pair, local, &identity());
    let (answer, _) = called.answer_again(now, &offer).expect("an answer");
    assert_eq!((ufrag(&answer), remote(&called)), (None, dead));
    assert!(called.ice.is_none());

    // Who comes after them finds agents again.
    let (pair, local) = sides(&ports, true);
    let (mut third, offer) = MediaLeg::offer(now, pair, local, &identity());
    let (last, _) = called.answer_again(now, &offer).expect("an answer");
    assert!(ufrag(&last).is_some() && ufrag(&last) != ufrag(&first));
    third.accept(now, &last).expect("agreed");
    meet(&mut third, &mut called).await;
}
