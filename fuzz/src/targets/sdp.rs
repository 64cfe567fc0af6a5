//! Session descriptions: parse and print, and offer/answer with whatever a peer writes.

use std::net::{IpAddr, SocketAddr};

use crate::bytes::Bytes;
use sip::sdp::offer_answer::{
    CodecOffer, CryptoLine, LocalDtls, LocalIce, LocalMedia, Negotiated, SUITES, SrtpPolicy,
    accept_answer, answer, offer,
};
use sip::sdp::{
    CANDIDATES_MAX, Direction, Fingerprint, IceCandidate, IceKind, IcePassword, SessionDescription,
};

pub fn target(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let local = local(&mut bytes, 1);
    let is_answer = bytes.flag();
    let body = bytes.remainder();
    let parsed = SessionDescription::parse(body);
    if let Ok(description) = &parsed {
        reprint(description);
    }
    if is_answer {
        if let Ok(negotiated) = accept_answer(&local, body) {
            check(&local, &negotiated);
        }
        return;
    }
    match answer(body, &local) {
        Ok((negotiated, reply)) => {
            check(&local, &negotiated);
            let offered = parsed.expect("what was answered can be read");
            check_reply(&offered, &negotiated, &reply);
        }
        Err(rejected) => assert!(matches!(rejected.status(), 400 | 488)),
    }
    both_sides(&local, body);
}

fn local(bytes: &mut Bytes<'_>, seed: u8) -> LocalMedia {
    let choices = bytes.byte();
    let codec = |name, payload| CodecOffer {
        name,
        clock_rate: 8_000,
        channels: 1,
        parameters: None,
        static_payload: Some(payload),
        last_resort: false,
    };
    let mut codecs = vec![codec("PCMU", 0), codec("PCMA", 8)];
    if choices & 1 != 0 {
        codecs.reverse();
    }
    if choices & 2 != 0 {
        codecs.truncate(1);
    }
    codecs.push(CodecOffer {
        last_resort: true,
        ..codec("G729", 18)
    });
    codecs.push(CodecOffer {
        name: "AMR-WB",
        clock_rate: 16_000,
        static_payload: None,
        ..codec("AMR-WB", 0)
    });
    let srtp = [
        SrtpPolicy::Off,
        SrtpPolicy::Preferred,
        SrtpPolicy::Required,
        SrtpPolicy::DtlsPreferred,
        SrtpPolicy::DtlsRequired,
    ];
    let line = |(index, (suite, len)): (usize, &(&str, usize))| CryptoLine {
        tag: u32::try_from(index).expect("few") + 1,
        suite: (*suite).to_owned(),
        key: vec![seed; *len],
    };
    LocalMedia {
        address: IpAddr::from([192, 0, 2, seed]),
        port: 10_000,
        rtcp_port: None,
        codecs,
        telephone_event: choices & 4 != 0,
        comfort_noise: choices & 8 != 0,
        srtp: srtp[usize::from(choices >> 4) % 5],
        crypto: SUITES.iter().enumerate().map(line).collect(),
        ice: (choices & 0x20 != 0).then(|| local_ice(seed)),
        dtls: Some(LocalDtls {
            fingerprint: Fingerprint {
                hash: "sha-256".to_owned(),
                bytes: vec![0xAB; 32],
            },
            active: false,
        }),
        for_browsers: choices & 0x40 != 0,
        ptime_ms: 20,
        session_id: 1,
        session_version: 1,
    }
}

fn local_ice(seed: u8) -> LocalIce {
    let candidate = |component: u8| IceCandidate {
        foundation: "1".to_owned(),
        component: component.into(),
        priority: IceKind::Host.priority(65_535, component),
        address: SocketAddr::from(([192, 0, 2, seed], 9_999 + u16::from(component))),
        kind: IceKind::Host,
        related: None,
    };
    LocalIce {
        ufrag: "ours".to_owned(),
        password: IcePassword::new("0123456789abcdefghij+/").expect("long enough"),
        candidates: vec![candidate(1), candidate(2)],
    }
}

fn reprint(description: &SessionDescription) {
    let printed = description.to_string();
    if printed.len() > sip::sdp::BODY_BYTES_MAX {
        return;
    }
    let again = SessionDescription::parse(printed.as_bytes())
        .unwrap_or_else(|error| panic!("{error} in what we print: {printed}"));
    assert_eq!(again.to_string(), printed, "printing is not stable");
}

fn check(local: &LocalMedia, negotiated: &Negotiated) {
    let codec = &negotiated.codec;
    assert!(local.codecs.iter().any(|ours| ours.name == codec.name));
    assert!(codec.clock_rate == 8_000 && codec.payload_type <= 127);
    for other in [negotiated.telephone_event, negotiated.comfort_noise] {
        assert_ne!(
            other,
            Some(codec.payload_type),
            "two meanings of a payload type"
        );
    }
    assert!((10..=60).contains(&negotiated.ptime_ms));
    match negotiated.remote {
        Some(remote) => {
            let ip = remote.ip().to_canonical();
            assert!(remote.port() != 0 && !ip.is_unspecified());
            assert!(!ip.is_multicast() && !ip.is_loopback(), "{ip}");
        }
        None => assert!(
            !negotiated.direction.sends() || negotiated.is_found_by_checks,
            "sends to nobody"
        ),
    }
    if negotiated.is_found_by_checks {
        assert!(negotiated.remote.is_none() && negotiated.ice.is_some());
    }
    match local.srtp {
        SrtpPolicy::Off => assert!(negotiated.crypto.is_none()),
        SrtpPolicy::Required => {
            assert!(negotiated.crypto.is_some() != negotiated.dtls.is_some());
        }
        SrtpPolicy::DtlsRequired => assert!(negotiated.dtls.is_some()),
        SrtpPolicy::Preferred | SrtpPolicy::DtlsPreferred => {}
    }
    if let Some(terms) = &negotiated.ice {
        assert!(local.ice.is_some() && terms.candidates.len() <= CANDIDATES_MAX);
        assert!(terms.candidates.iter().all(|one| one.address.port() != 0));
    }
    if let Some(terms) = &negotiated.dtls {
        assert!(negotiated.crypto.is_none() && local.srtp != SrtpPolicy::Off);
        assert!(!terms.fingerprints.is_empty());
    }
    if let Some(pair) = &negotiated.crypto {
        let len = SUITES
            .iter()
            .find(|(suite, _)| *suite == pair.suite)
            .expect("a suite that we know")
            .1;
        assert!(pair.local_key.len() == len && pair.remote_key.len() == len);
    }
}

fn check_reply(offered: &SessionDescription, negotiated: &Negotiated, reply: &[u8]) {
    let reply = SessionDescription::parse(reply).expect("our answer can be read");
    assert_eq!(reply.media.len(), offered.media.len());
    let taken: Vec<_> = reply.media.iter().filter(|media| media.port != 0).collect();
    assert_eq!(taken.len(), 1, "one stream is taken");
    assert!(taken[0].kind.eq_ignore_ascii_case("audio"));
    assert_eq!(
        taken[0].crypto.len(),
        usize::from(negotiated.crypto.is_some())
    );
    for (ours, theirs) in reply.media.iter().zip(&offered.media) {
        assert_eq!(ours.kind, theirs.kind);
        assert!(
            theirs.port != 0 || ours.port == 0,
            "a refused line came back"
        );
    }
}

/// Our own offer, answered by another of us, is accepted.
fn both_sides(local: &LocalMedia, choices: &[u8]) {
    let mut bytes = Bytes::new(choices);
    let peer = self::local(&mut bytes, 2);
    let directions = [
        Direction::SendRecv,
        Direction::SendOnly,
        Direction::RecvOnly,
        Direction::Inactive,
    ];
    let direction = bytes.pick(&directions);
    let offered = offer(local, direction);
    let Ok((theirs, reply)) = answer(&offered, &peer) else {
        return;
    };
    let ours = accept_answer(local, &reply).expect("the answer of one of us");
    assert_eq!(ours.codec, theirs.codec);
    assert_eq!(ours.direction, theirs.direction.reversed());
    assert_eq!(ours.telephone_event, theirs.telephone_event);
    assert_eq!(ours.crypto.is_some(), theirs.crypto.is_some());
    assert_eq!(ours.dtls.is_some(), theirs.dtls.is_some());
    assert_eq!(ours.ice.is_some(), theirs.ice.is_some());
    if let (Some(ours), Some(theirs)) = (&ours.dtls, &theirs.dtls) {
        assert_ne!(ours.active, theirs.active, "one side begins");
    }
    if let (Some(ours), Some(theirs)) = (&ours.crypto, &theirs.crypto) {
        assert_eq!(ours.local_key, theirs.remote_key);
        assert_eq!(ours.remote_key, theirs.local_key);
    }
}
