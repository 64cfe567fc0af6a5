//! What browsers offer, and what we offer them (RFC 8829): one bundle, rtcp-mux, DTLS with feedback, and addresses that they may hide.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use sip::sdp::offer_answer::{
    CodecOffer, LocalDtls, LocalIce, LocalMedia, SrtpPolicy, accept_answer, answer, offer,
};
use sip::sdp::{Direction, Fingerprint, IceCandidate, IceKind, IcePassword, SessionDescription};

/// Chromium's, with the lines that matter and some that do not; `{c}` and `{port}` are what it knows of its address.
const CHROMIUM: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\n\
    a=msid-semantic: WMS 7c9a\r\nm=audio {port} UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 {c}\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
    {candidates}a=ice-ufrag:9uB6\r\na=ice-pwd:YH75Fviy6338Vbrhrlp8Yh00\r\na=ice-options:trickle\r\na=fingerprint:sha-256 {print}\r\n\
    a=setup:actpass\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\na=msid:7c9a 88d1\r\na=rtcp-mux\r\n\
    a=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
    a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\na=ssrc:1001 cname:x\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n";
const SEEN: &str = "a=candidate:1 1 udp 2122260223 198.51.100.7 50000 typ host generation 0 network-id 1\r\n\
    a=candidate:2 1 tcp 1518280447 198.51.100.7 9 typ host tcptype active generation 0\r\n";
/// Where a page may not use the microphone yet, its addresses are names of the local network.
const HIDDEN: &str = "a=candidate:1 1 udp 2122260223 4d8b3c12-2f3b-4d4e-8c45-0c6f4d3a9a1e.local 50000 typ host generation 0\r\n";

fn offered(c: &str, port: &str, candidates: &str) -> Vec<u8> {
    let text = CHROMIUM.replace("{c}", c).replace("{port}", port);
    let print = vec!["0A"; 32].join(":");
    text.replace("{candidates}", candidates)
        .replace("{print}", &print)
        .into_bytes()
}

fn local(srtp: SrtpPolicy) -> LocalMedia {
    let own = "192.0.2.1:10000".parse().unwrap();
    let codec = |name, clock_rate, channels, static_payload| CodecOffer {
        name,
        clock_rate,
        channels,
        parameters: None,
        static_payload,
        last_resort: false,
    };
    LocalMedia {
        address: "192.0.2.1".parse().unwrap(),
        port: 10_000,
        rtcp_port: None,
        codecs: vec![
            codec("PCMU", 8_000, 1, Some(0)),
            codec("opus", 48_000, 2, None),
        ],
        telephone_event: true,
        comfort_noise: false,
        srtp,
        crypto: Vec::new(),
        dtls: Some(LocalDtls {
            fingerprint: Fingerprint {
                hash: "sha-256".to_owned(),
                bytes: vec![0xAB; 32],
            },
            active: false,
        }),
        ice: Some(LocalIce {
            ufrag: "8hhY".to_owned(),
            password: IcePassword::new("asd88fgpdd777uzjYhagZg").unwrap(),
            candidates: vec![IceCandidate {
                foundation: "host".to_owned(),
                component: 1,
                priority: IceKind::Host.priority(65_535, 1),
                address: own,
                kind: IceKind::Host,
                related: None,
            }],
        }),
        for_browsers: true,
        ptime_ms: 20,
        session_id: 7,
        session_version: 1,
    }
}

fn has_line(description: &str, line: &str) -> bool {
    description.split("\r\n").any(|known| known == line)
}

#[test]
fn a_browsers_offer_is_answered_as_it_wants() {
    let offered = offered("198.51.100.7", "50000", SEEN);
    let (agreed, answered) = answer(&offered, &local(SrtpPolicy::DtlsPreferred)).unwrap();
    assert_eq!(agreed.codec.name, "opus");
    assert!(agreed.rtcp_mux && agreed.dtls.is_some() && agreed.ice.is_some());
    assert_eq!(
        (agreed.telephone_event, agreed.event_clock_rate),
        (Some(110), 48_000)
    );
    assert!(!agreed.is_found_by_checks);
    let answered = String::from_utf8(answered).unwrap();
    for line in [
        // The picture is refused, and out of the group.
        "a=group:BUNDLE 0",
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
        "a=mid:0",
        "a=mid:1",
        "m=audio 10000 UDP/TLS/RTP/SAVPF 111 110",
        "a=rtcp-mux",
        "a=setup:passive",
        "a=ice-ufrag:8hhY",
        "a=sendrecv",
    ] {
        assert!(has_line(&answered, line), "{line} in {answered}");
    }
    assert!(!answered.contains("a=rtcp:"), "{answered}");
    let read = SessionDescription::parse(answered.as_bytes()).unwrap();
    assert_eq!(read.to_string(), answered);
}

#[test]
fn a_browser_that_hides_its_addresses_is_found_by_its_checks() {
    for candidates in [HIDDEN, ""] {
        for c in ["0.0.0.0", "4d8b3c12-2f3b-4d4e-8c45-0c6f4d3a9a1e.local"] {
            let offered = offered(c, "9", candidates);
            let (agreed, answered) = answer(&offered, &local(SrtpPolicy::DtlsPreferred)).unwrap();
            assert!(agreed.is_found_by_checks, "{c}");
            assert_eq!(
                (agreed.remote, agreed.direction),
                (None, Direction::SendRecv)
            );
            assert!(agreed.ice.unwrap().candidates.is_empty());
            let answered = String::from_utf8(answered).unwrap();
            assert!(has_line(&answered, "a=sendrecv"), "{answered}");
            assert!(has_line(&answered, "a=ice-ufrag:8hhY"), "{answered}");
        }
    }
    // A hold of the old kind (RFC 2543) is still one: it has a port.
    let held = offered("0.0.0.0", "50000", SEEN);
    let (agreed, _) = answer(&held, &local(SrtpPolicy::DtlsPreferred)).unwrap();
    assert!(!agreed.is_found_by_checks);
    assert_eq!(agreed.direction, Direction::RecvOnly);
}

#[test]
fn what_we_offer_a_browser() {
    let ours = local(SrtpPolicy::DtlsRequired);
    let offered = String::from_utf8(offer(&ours, Direction::SendRecv)).unwrap();
    for line in [
        "a=group:BUNDLE 0",
        "m=audio 10000 UDP/TLS/RTP/SAVPF 0 96 101 97",
        "a=mid:0",
        "a=rtcp-mux",
        "a=setup:actpass",
        "a=rtpmap:96 opus/48000/2",
    ] {
        assert!(has_line(&offered, line), "{line} in {offered}");
    }
    assert!(offered.contains("a=candidate:host 1 UDP"), "{offered}");
    // What Chromium answers.
    let print = vec!["0A"; 32].join(":");
    let answered = format!(
        "v=0\r\no=- 5 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\n\
         {HIDDEN}a=ice-ufrag:9uB6\r\na=ice-pwd:YH75Fviy6338Vbrhrlp8Yh00\r\na=fingerprint:sha-256 {print}\r\na=setup:active\r\na=mid:0\r\n\
         a=sendrecv\r\na=rtcp-mux\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/48000\r\n"
    );
    let agreed = accept_answer(&ours, answered.as_bytes()).unwrap();
    assert!(agreed.rtcp_mux && agreed.is_found_by_checks && agreed.ice.is_some());
    assert!(!agreed.dtls.unwrap().active);
    assert_eq!(agreed.codec.name, "opus");
    // Towards telephones nothing of it is said.
    let telephone = LocalMedia {
        for_browsers: false,
        ..ours
    };
    let offered = String::from_utf8(offer(&telephone, Direction::SendRecv)).unwrap();
    assert!(offered.contains(" UDP/TLS/RTP/SAVP 0") && !offered.contains("BUNDLE"));
    assert!(!offered.contains("a=mid"), "{offered}");
}

#[test]
fn names_of_sections_are_bounded() {
    let read = |more: &str| {
        let text =
            format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\na=group:{more}\r\nm=audio 9 RTP/AVP 0\r\n");
        SessionDescription::parse(text.as_bytes()).unwrap().bundle
    };
    assert_eq!(read("BUNDLE  a b"), ["a", "b"]);
    assert_eq!(read("LS a b"), [""; 0]);
    assert_eq!(read(&format!("BUNDLE {} a\x01 c", "x".repeat(65))), ["c"]);
    assert_eq!(read(&format!("BUNDLE {}", "a ".repeat(100))).len(), 8);
}
