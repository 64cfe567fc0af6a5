//! Offer and answer with the descriptions that carriers and phones send. The files have the shapes of real ones and
//! addresses of documentation.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use expect_test::{Expect, expect};
use sip::sdp::offer_answer::{
    CodecOffer, CryptoLine, LocalDtls, LocalMedia, Negotiated, OfferRejected, SrtpPolicy,
    accept_answer, answer, offer,
};
use sip::sdp::{Direction, Fingerprint, SessionDescription};
use std::path::Path;

fn local(srtp: SrtpPolicy) -> LocalMedia {
    let codec = |name, static_payload| CodecOffer {
        name,
        clock_rate: 8_000,
        channels: 1,
        parameters: None,
        static_payload: Some(static_payload),
        last_resort: false,
    };
    let key = |tag, suite: &str, length| CryptoLine {
        tag,
        suite: suite.to_owned(),
        key: vec![b'k'; length],
    };
    LocalMedia {
        address: "192.0.2.1".parse().unwrap(),
        port: 10_000,
        rtcp_port: None,
        codecs: vec![codec("PCMU", 0), codec("PCMA", 8)],
        telephone_event: true,
        comfort_noise: true,
        srtp,
        crypto: vec![
            key(1, "AES_CM_128_HMAC_SHA1_80", 30),
            key(2, "AES_CM_128_HMAC_SHA1_32", 30),
        ],
        ice: None,
        dtls: Some(LocalDtls {
            fingerprint: Fingerprint {
                hash: "sha-256".to_owned(),
                bytes: vec![0xAB; 32],
            },
            active: false,
        }),
        for_browsers: false,
        ptime_ms: 20,
        session_id: 42,
        session_version: 1,
    }
}

fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/sdp/{name}.sdp"));
    std::fs::read(path).unwrap()
}

fn summary(negotiated: &Negotiated) -> String {
    let crypto = negotiated.crypto.as_ref();
    let dtls = negotiated.dtls.as_ref().map(|terms| {
        let of = terms.fingerprints.iter();
        let of = of.map(|one| format!("{} {:02x?}", one.hash, &one.bytes[..2]));
        format!(
            "dtls active={} {:?}\n",
            terms.active,
            of.collect::<Vec<_>>()
        )
    });
    let agreed = format!(
        "{}/{} pt={} dtmf={:?} cn={:?} ptime={} remote={:?} rtcp={:?} mux={} {} srtp={:?}\n",
        negotiated.codec.name,
        negotiated.codec.clock_rate,
        negotiated.codec.payload_type,
        negotiated.telephone_event,
        negotiated.comfort_noise,
        negotiated.ptime_ms,
        negotiated.remote,
        negotiated.remote_rtcp,
        negotiated.rtcp_mux,
        negotiated.direction.as_str(),
        crypto.map(|pair| (&pair.suite, String::from_utf8_lossy(&pair.remote_key))),
    );
    agreed + &dtls.unwrap_or_default()
}

fn answered(offer: &[u8], local: &LocalMedia) -> String {
    match answer(offer, local) {
        Ok((negotiated, text)) => {
            let text = String::from_utf8(text).unwrap();
            assert!(text.ends_with("\r\n"));
            let reread = SessionDescription::parse(text.as_bytes()).unwrap();
            let printed = reread.to_string();
            assert_eq!(
                SessionDescription::parse(printed.as_bytes()),
                Ok(reread.clone())
            );
            let offered = SessionDescription::parse(offer).unwrap();
            assert_eq!(
                reread.media.len(),
                offered.media.len(),
                "as many lines as were offered"
            );
            summary(&negotiated) + &text.replace('\r', "")
        }
        Err(rejected) => format!("{rejected:?} {}", rejected.status()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "expect! gives a value")]
fn check(name: &str, srtp: SrtpPolicy, expected: Expect) {
    expected.assert_eq(&answered(&file(name), &local(srtp)));
}

#[test]
fn carrier_ovh() {
    check(
        "ovh",
        SrtpPolicy::Preferred,
        expect![[r#"
        PCMA/8000 pt=8 dtmf=Some(101) cn=None ptime=20 remote=Some(203.0.113.14:31850) rtcp=Some(203.0.113.14:31851) mux=false sendrecv srtp=None
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 RTP/AVP 8 101
        a=rtpmap:8 PCMA/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=sendrecv
    "#]],
    );
}

#[test]
fn carrier_twilio_srtp() {
    check(
        "twilio",
        SrtpPolicy::Preferred,
        expect![[r#"
        PCMU/8000 pt=0 dtmf=Some(101) cn=None ptime=20 remote=Some(203.0.113.20:17482) rtcp=Some(203.0.113.20:17483) mux=false sendrecv srtp=Some(("AES_CM_128_HMAC_SHA1_80", "012345678901234567890123456789"))
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 RTP/SAVP 0 101
        a=rtpmap:0 PCMU/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr
        a=sendrecv
    "#]],
    );
}

#[test]
fn carrier_twilio_srtp_when_we_have_none() {
    check("twilio", SrtpPolicy::Off, expect!["SrtpRefused 488"]);
}

#[test]
fn carrier_telnyx() {
    check(
        "telnyx",
        SrtpPolicy::Off,
        expect![[r#"
        PCMU/8000 pt=0 dtmf=Some(101) cn=Some(13) ptime=20 remote=Some(203.0.113.30:25632) rtcp=Some(203.0.113.30:25633) mux=false sendrecv srtp=None
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 RTP/AVP 0 13 101
        a=rtpmap:0 PCMU/8000
        a=rtpmap:13 CN/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=sendrecv
    "#]],
    );
}

#[test]
fn carrier_sipgate() {
    check(
        "sipgate",
        SrtpPolicy::Preferred,
        expect![[r#"
        PCMA/8000 pt=8 dtmf=Some(101) cn=None ptime=20 remote=Some(198.51.100.10:14412) rtcp=Some(198.51.100.10:14413) mux=false sendrecv srtp=None
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 RTP/AVP 8 101
        a=rtpmap:8 PCMA/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=sendrecv
        m=video 0 RTP/AVP 34
    "#]],
    );
}

#[test]
fn phone_fritzbox() {
    check(
        "fritzbox",
        SrtpPolicy::Preferred,
        expect![[r#"
        PCMA/8000 pt=8 dtmf=Some(101) cn=None ptime=20 remote=Some(192.168.178.1:7078) rtcp=Some(192.168.178.1:7079) mux=false sendrecv srtp=None
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 RTP/AVP 8 101
        a=rtpmap:8 PCMA/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=sendrecv
    "#]],
    );
}

#[test]
fn pbx_asterisk() {
    check(
        "asterisk",
        SrtpPolicy::Preferred,
        expect![[r#"
        PCMA/8000 pt=8 dtmf=Some(101) cn=None ptime=20 remote=Some(192.0.2.40:11862) rtcp=Some(192.0.2.40:11863) mux=false sendrecv srtp=None
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 RTP/AVP 8 101
        a=rtpmap:8 PCMA/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=sendrecv
    "#]],
    );
}

#[test]
fn pbx_asterisk_when_srtp_is_required() {
    check(
        "asterisk",
        SrtpPolicy::Required,
        expect!["SrtpRequired 488"],
    );
}

#[test]
fn pbx_freeswitch_two_audio_lines_secure_first() {
    check(
        "freeswitch_srtp_two_lines",
        SrtpPolicy::Preferred,
        expect![[r#"
        PCMU/8000 pt=0 dtmf=Some(101) cn=None ptime=20 remote=Some(192.0.2.50:20000) rtcp=Some(192.0.2.50:20001) mux=false sendrecv srtp=Some(("AES_CM_128_HMAC_SHA1_80", "abcdefghijklmnopqrstuvwxyz1234"))
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 RTP/SAVP 0 101
        a=rtpmap:0 PCMU/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=crypto:5 AES_CM_128_HMAC_SHA1_80 inline:a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr
        a=sendrecv
        m=audio 0 RTP/AVP 0
    "#]],
    );
}

#[test]
fn pbx_freeswitch_two_audio_lines_plain() {
    check(
        "freeswitch_srtp_two_lines",
        SrtpPolicy::Off,
        expect![[r#"
        PCMU/8000 pt=0 dtmf=Some(101) cn=None ptime=20 remote=Some(192.0.2.50:20000) rtcp=Some(192.0.2.50:20001) mux=false sendrecv srtp=None
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 0 RTP/SAVP 102
        m=audio 10000 RTP/AVP 0 101
        a=rtpmap:0 PCMU/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=sendrecv
    "#]],
    );
}

#[test]
fn gateway_cisco() {
    check(
        "cisco",
        SrtpPolicy::Preferred,
        expect![[r#"
        PCMU/8000 pt=0 dtmf=Some(101) cn=Some(19) ptime=30 remote=Some(192.0.2.60:16384) rtcp=Some(192.0.2.60:16385) mux=false sendrecv srtp=None
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 RTP/AVP 0 19 101
        a=rtpmap:0 PCMU/8000
        a=rtpmap:19 CN/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:30
        a=sendrecv
        m=image 0 udptl t38
    "#]],
    );
}

#[test]
fn phone_grandstream_keys_on_a_plain_line() {
    check(
        "grandstream",
        SrtpPolicy::Preferred,
        expect![[r#"
        PCMU/8000 pt=0 dtmf=Some(101) cn=None ptime=20 remote=Some(192.168.1.70:5004) rtcp=Some(192.168.1.70:5005) mux=false sendrecv srtp=Some(("AES_CM_128_HMAC_SHA1_80", "012345678901234567890123456789"))
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 RTP/AVP 0 101
        a=rtpmap:0 PCMU/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr
        a=sendrecv
        m=video 0 RTP/AVP 99
    "#]],
    );
}

#[test]
fn phone_linphone_ice_mux_ipv6() {
    let mut local = local(SrtpPolicy::Off);
    local.address = "2001:db8::1".parse().unwrap();
    expect![[r#"
        PCMU/8000 pt=0 dtmf=Some(101) cn=None ptime=20 remote=Some([2001:db8::70]:7078) rtcp=Some([2001:db8::70]:7078) mux=true sendrecv srtp=None
        v=0
        o=- 42 1 IN IP6 2001:db8::1
        s=-
        c=IN IP6 2001:db8::1
        t=0 0
        m=audio 10000 RTP/AVPF 0 101
        a=rtpmap:0 PCMU/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=rtcp-mux
        a=sendrecv
    "#]].assert_eq(&answered(&file("linphone_ice_ipv6"), &local));
}

#[test]
fn our_offer() {
    let mut media = local(SrtpPolicy::Preferred);
    media.rtcp_port = Some(10_005);
    media.codecs.push(CodecOffer {
        name: "opus-like",
        clock_rate: 8_000,
        channels: 1,
        parameters: None,
        static_payload: None,
        last_resort: false,
    });
    let text = String::from_utf8(offer(&media, Direction::SendRecv)).unwrap();
    expect![[r#"
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 RTP/AVP 0 8 96 13 101
        a=rtpmap:0 PCMU/8000
        a=rtpmap:8 PCMA/8000
        a=rtpmap:96 opus-like/8000
        a=rtpmap:13 CN/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=rtcp:10005
        a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr
        a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr
        a=sendrecv
    "#]]
    .assert_eq(&text.replace('\r', ""));
    media.srtp = SrtpPolicy::Required;
    let text = String::from_utf8(offer(&media, Direction::SendOnly)).unwrap();
    assert!(text.contains("m=audio 10000 RTP/SAVP ") && text.contains("a=sendonly\r\n"));
    media.srtp = SrtpPolicy::Off;
    let text = String::from_utf8(offer(&media, Direction::SendRecv)).unwrap();
    assert!(!text.contains("crypto"));
}

/// An offer of one PCMU line with more lines in the session and in the media part.
fn plain(session: &str, media: &str) -> Vec<u8> {
    let connection = if session.contains("c=") {
        ""
    } else {
        "c=IN IP4 198.51.100.7\r\n"
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\n{connection}{session}t=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\n{media}"
    )
    .into_bytes()
}

fn negotiated(offer: &[u8]) -> Negotiated {
    answer(offer, &local(SrtpPolicy::Off)).unwrap().0
}

fn rejected(offer: &[u8]) -> OfferRejected {
    answer(offer, &local(SrtpPolicy::Off)).unwrap_err()
}

#[test]
fn hold_in_all_its_forms() {
    for (session, media, direction, is_reachable) in [
        ("", "", "sendrecv", true),
        ("", "a=sendonly\r\n", "recvonly", true),
        ("", "a=recvonly\r\n", "sendonly", true),
        ("", "a=inactive\r\n", "inactive", true),
        ("a=sendonly\r\n", "", "recvonly", true),
        ("a=inactive\r\n", "a=sendrecv\r\n", "sendrecv", true),
        ("c=IN IP4 0.0.0.0\r\n", "", "recvonly", false),
        ("c=IN IP4 0.0.0.0\r\n", "a=sendonly\r\n", "recvonly", false),
        ("c=IN IP4 0.0.0.0\r\n", "a=recvonly\r\n", "inactive", false),
        ("", "c=IN IP4 0.0.0.0\r\na=inactive\r\n", "inactive", false),
        ("c=IN IP6 ::\r\n", "", "recvonly", false),
    ] {
        let offer = plain(session, media);
        let (found, text) = answer(&offer, &local(SrtpPolicy::Off)).unwrap();
        assert_eq!(found.direction.as_str(), direction, "{session}{media}");
        assert_eq!(found.remote.is_some(), is_reachable, "{session}{media}");
        assert_eq!(found.remote_rtcp.is_some(), is_reachable);
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(&format!("a={direction}\r\n")), "{text}");
    }
}

#[test]
fn pattern_41_addresses_that_media_must_not_go_to() {
    for address in [
        "IN IP4 127.0.0.1",
        "IN IP6 ::ffff:127.0.0.1",
        "IN IP4 224.2.1.1/127",
        "IN IP4 255.255.255.255",
        "IN IP4 0.1.2.3",
        "IN IP6 ff02::1",
        "IN IP6 ::1",
        "IN IP4 media.example.com",
    ] {
        let offer = plain(&format!("c={address}\r\n"), "");
        assert_eq!(
            rejected(&offer),
            OfferRejected::UnusableAddress,
            "{address}"
        );
    }
    let mut on_loopback = local(SrtpPolicy::Off);
    on_loopback.address = "127.0.0.1".parse().unwrap();
    assert!(answer(&plain("c=IN IP4 127.0.0.1\r\n", ""), &on_loopback).is_ok());
    // The other IP version: linphone writes it over IPv4 signalling; its media is followed to where it comes from.
    let elsewhere = negotiated(&plain("c=IN IP6 2001:db8::1\r\n", "")).remote;
    assert!(elsewhere.is_some_and(|address| address.is_ipv6()));
    let rtcp = negotiated(&plain("", "a=rtcp:4444 IN IP4 127.0.0.1\r\n")).remote_rtcp;
    assert_eq!(rtcp, "198.51.100.7:4444".parse().ok());
}

#[test]
fn pattern_11_hostile_formats_and_parameters_are_skipped() {
    let long = "x".repeat(3_000);
    for media in [
        "a=fmtp:101 \r\n".to_owned(),
        "a=fmtp:\r\n".to_owned(),
        format!("a=fmtp:101 {long}\r\n"),
        "a=fmtp:999 0-15\r\n".to_owned(),
        "a=fmtp:101 0-15\0\u{1}\r\n".to_owned(),
        "a=rtpmap:300 X/8000\r\na=rtpmap:-1 Y/8000\r\na=rtpmap:\r\na=rtpmap:101\r\n".to_owned(),
        "a=crypto:1\r\na=crypto:x y inline:\r\na=crypto:4294967296 AES_CM_128_HMAC_SHA1_80 inline:AAAA\r\n".to_owned(),
    ] {
        assert_eq!(negotiated(&plain("", &media)).telephone_event, Some(101), "{media}");
    }
    let none = plain("", "")
        .iter()
        .map(|byte| char::from(*byte))
        .collect::<String>();
    let only_unknown = none.replace("RTP/AVP 0 101", "RTP/AVP 999 abc 96 18");
    assert_eq!(
        rejected(only_unknown.as_bytes()),
        OfferRejected::NoCommonCodec {
            offered: vec!["G729/8000".to_owned()]
        }
    );
}

#[test]
fn pattern_12_packet_times_and_clock_rates_out_of_range() {
    for (media, ptime_ms) in [
        ("a=ptime:0\r\n", 20),
        ("a=ptime:-20\r\n", 20),
        ("a=ptime:4000000000\r\n", 20),
        ("a=ptime:25\r\n", 20),
        ("a=ptime:30\r\n", 30),
        ("a=ptime:60\r\na=maxptime:40\r\n", 40),
        ("a=maxptime:0\r\n", 20),
        ("a=maxptime:1\r\n", 10),
        ("a=maxptime:4000000000\r\n", 20),
        ("a=ptime:20.5\r\n", 20),
        ("a=rtpmap:0 PCMU/0\r\n", 20),
    ] {
        assert_eq!(negotiated(&plain("", media)).ptime_ms, ptime_ms, "{media}");
    }
}

#[test]
fn pattern_13_ice_candidates_are_ignored_within_the_size_of_a_body() {
    let flood = "a=candidate:1 99 u 1 ::\r\n".repeat(600);
    assert_eq!(negotiated(&plain("", &flood)).codec.name, "PCMU");
    let beyond = "a=candidate:1 99 u 1 ::\r\n".repeat(1_000);
    assert_eq!(rejected(&plain("", &beyond)), OfferRejected::BadSdp);
}

#[test]
fn what_is_no_session_description() {
    let many = "m=video 1 RTP/AVP 34\r\n".repeat(8);
    for body in [
        String::new(),
        "v=1\r\n".to_owned(),
        "o=- 1 1 IN IP4 a\r\nv=0\r\n".to_owned(),
        "v=0\r\ns=-\r\n".to_owned(),
        "v=0\r\no=-\r\n".to_owned(),
        "v=0\r\no=- x 1 IN IP4 a\r\n".to_owned(),
        "v=0\r\no=- 1 1 IN IP4 a\r\nnonsense\r\n".to_owned(),
        "v=0\r\no=- 1 1 IN IP4 a\r\nc=IN IP4\r\n".to_owned(),
        "v=0\r\no=- 1 1 IN IP4 a\r\nm=audio 70000 RTP/AVP 0\r\n".to_owned(),
        "v=0\r\no=- 1 1 IN IP4 a\r\nm=audio -1 RTP/AVP 0\r\n".to_owned(),
        "v=0\r\no=- 1 1 IN IP4 a\r\nm=audio 1 RTP/AVP\r\n".to_owned(),
        String::from_utf8(plain("", &many)).unwrap(),
    ] {
        assert_eq!(rejected(body.as_bytes()), OfferRejected::BadSdp, "{body}");
    }
    let empty = b"v=0\r\no=- 1 1 IN IP4 a\r\ns=-\r\nt=0 0\r\n";
    assert_eq!(rejected(empty), OfferRejected::NoAudio);
    let bundle = String::from_utf8(plain("", ""))
        .unwrap()
        .replace("RTP/AVP", "TCP/DTLS/RTP/SAVPF");
    assert_eq!(rejected(bundle.as_bytes()), OfferRejected::NoAudio);
    let off = String::from_utf8(plain("", ""))
        .unwrap()
        .replace("audio 4000", "audio 0");
    assert_eq!(rejected(off.as_bytes()), OfferRejected::NoAudio);
}

#[test]
fn a_delayed_offer_and_its_answer() {
    for srtp in [SrtpPolicy::Off, SrtpPolicy::Preferred, SrtpPolicy::Required] {
        let ours = local(srtp);
        let mut theirs = local(srtp);
        theirs.address = "198.51.100.7".parse().unwrap();
        theirs.port = 4_000;
        theirs.codecs.reverse();
        theirs.crypto.remove(0);
        theirs.crypto[0].key = vec![b't'; 30];
        let (peer, text) = answer(&offer(&ours, Direction::SendRecv), &theirs).unwrap();
        let agreed = accept_answer(&ours, &text).unwrap();
        assert_eq!(agreed.codec, peer.codec);
        assert_eq!(agreed.codec.name, "PCMU", "the offerer's order decides");
        assert_eq!(agreed.telephone_event, Some(101));
        assert_eq!(agreed.comfort_noise, Some(13));
        assert_eq!(agreed.remote, "198.51.100.7:4000".parse().ok());
        assert_eq!(agreed.crypto.is_some(), srtp != SrtpPolicy::Off);
        if let Some(pair) = agreed.crypto {
            let mirror = peer.crypto.unwrap();
            assert_eq!(pair.suite, "AES_CM_128_HMAC_SHA1_32");
            assert_eq!(pair.local_key, mirror.remote_key);
            assert_eq!(pair.remote_key, mirror.local_key);
        }
    }
}

#[test]
fn answers_that_are_refused() {
    let preferred = local(SrtpPolicy::Preferred);
    let required = local(SrtpPolicy::Required);
    let plain_answer = plain("", "");
    assert!(
        accept_answer(&preferred, &plain_answer)
            .unwrap()
            .crypto
            .is_none()
    );
    assert_eq!(
        accept_answer(&required, &plain_answer),
        Err(OfferRejected::SrtpRequired)
    );
    let refused = String::from_utf8(plain("", ""))
        .unwrap()
        .replace("audio 4000", "audio 0");
    assert_eq!(
        accept_answer(&preferred, refused.as_bytes()),
        Err(OfferRejected::NoAudio)
    );
    assert_eq!(accept_answer(&preferred, b""), Err(OfferRejected::BadSdp));
    // A tag that was not offered, or one of another suite.
    for tag in [1, 9] {
        let line = format!(
            "a=crypto:{tag} AES_CM_128_HMAC_SHA1_32 inline:{}\r\n",
            "A".repeat(40)
        );
        assert_eq!(
            accept_answer(&preferred, &plain("", &line)),
            Err(OfferRejected::SrtpRefused),
            "{tag}"
        );
    }
}

#[test]
fn crypto_lines_that_change_the_protection_are_not_taken() {
    let key = "A".repeat(40);
    let suite = "AES_CM_128_HMAC_SHA1_80";
    for (line, is_taken) in [
        (format!("1 {suite} inline:{key}"), true),
        (format!("1 {suite} inline:{key}|2^20"), true),
        (format!("1 {suite} inline:{key} WSH=128 -FOO"), true),
        (format!("1 {suite} INLINE:{key}"), true),
        (format!("1 {suite} inline:{key}|2^20|1:4"), false),
        (format!("1 {suite} inline:{key}|1:4"), false),
        (format!("1 {suite} inline:{key};inline:{key}"), false),
        (format!("1 {suite} inline:{key} UNENCRYPTED_SRTP"), false),
        (format!("1 {suite} inline:{key} KDR=1"), false),
        (format!("1 {suite} inline:{}", "A".repeat(36)), false),
        (format!("1 {suite} inline:{}!", "A".repeat(39)), false),
        (format!("1 NULL_HMAC_SHA1_80 inline:{key}"), false),
        (format!("1 {suite} uri:{key}"), false),
    ] {
        let offer = plain("", &format!("a=crypto:{line}\r\n"));
        let (found, _) = answer(&offer, &local(SrtpPolicy::Preferred)).unwrap();
        assert_eq!(found.crypto.is_some(), is_taken, "{line}");
    }
}

#[test]
fn phone_baresip_dtls_in_the_session() {
    check(
        "baresip_dtls",
        SrtpPolicy::Preferred,
        expect![[r#"
        PCMU/8000 pt=0 dtmf=Some(101) cn=None ptime=20 remote=Some(192.0.2.70:11626) rtcp=Some(192.0.2.70:11627) mux=false sendrecv srtp=None
        dtls active=false ["sha-256 [3f, bf]"]
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 UDP/TLS/RTP/SAVPF 0 101
        a=rtpmap:0 PCMU/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=fingerprint:sha-256 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB
        a=setup:passive
        a=sendrecv
    "#]],
    );
}

#[test]
fn phone_linphone_dtls_in_the_line() {
    check(
        "linphone_dtls",
        SrtpPolicy::DtlsRequired,
        expect![[r#"
        PCMU/8000 pt=0 dtmf=Some(101) cn=None ptime=20 remote=Some(192.0.2.71:47752) rtcp=Some(192.0.2.71:53562) mux=false sendrecv srtp=None
        dtls active=false ["sha-256 [a0, 15]"]
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 UDP/TLS/RTP/SAVP 0 101
        a=rtpmap:0 PCMU/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=ptime:20
        a=fingerprint:sha-256 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB
        a=setup:passive
        a=sendrecv
    "#]],
    );
}

#[test]
fn dtls_when_we_have_no_srtp() {
    check("baresip_dtls", SrtpPolicy::Off, expect!["SrtpRefused 488"]);
}

#[test]
fn sdes_and_plain_audio_when_dtls_is_required() {
    check(
        "twilio",
        SrtpPolicy::DtlsRequired,
        expect!["SrtpRequired 488"],
    );
    check("ovh", SrtpPolicy::DtlsRequired, expect!["SrtpRequired 488"]);
}

fn dtls_offer(lines: &str) -> Vec<u8> {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n";
    format!("{head}{}", lines.replace('\n', "\r\n")).into_bytes()
}

/// 32 bytes of the same value.
fn print_of(byte: &str) -> String {
    [byte; 32].join(":")
}

#[test]
fn who_begins_the_handshake() {
    let begins = |setup: &str, kept: bool| {
        let print = print_of("0A");
        let offer = dtls_offer(&format!(
            "m=audio 4000 UDP/TLS/RTP/SAVPF 0\na=rtcp-mux\na=fingerprint:sha-256 {print}\n{setup}"
        ));
        let mut local = local(SrtpPolicy::Required);
        local.dtls.as_mut().unwrap().active = kept;
        let (negotiated, text) = answer(&offer, &local).unwrap();
        let text = String::from_utf8(text).unwrap();
        let active = negotiated.dtls.unwrap().active;
        let said = if active {
            "a=setup:active\r\n"
        } else {
            "a=setup:passive\r\n"
        };
        assert!(
            text.contains(said) && text.contains("a=rtcp-mux\r\n"),
            "{text}"
        );
        active
    };
    assert!(!begins("a=setup:actpass\n", false));
    assert!(
        begins("a=setup:actpass\n", true),
        "our role of an association that stays"
    );
    assert!(!begins("a=setup:active\n", true));
    assert!(begins("a=setup:passive\n", false));
    assert!(!begins("", false));
}

#[test]
fn fingerprints_that_prove_nothing() {
    let refused = |line: &str| {
        let offer = dtls_offer(&format!(
            "m=audio 4000 UDP/TLS/RTP/SAVP 0\na=setup:actpass\n{line}\n"
        ));
        answer(&offer, &local(SrtpPolicy::Preferred)).unwrap_err()
    };
    let short = ["0A"; 20].join(":");
    for line in [
        "a=ptime:20",
        "a=fingerprint:sha-256",
        "a=fingerprint:sha-256 0A:0B",
        &format!("a=fingerprint:sha-1 {short}"),
        &format!("a=fingerprint:sha-256 {}:0A", print_of("0A")),
        &format!("a=fingerprint:sha-256 {}", print_of("+A")),
        &format!("a=fingerprint:md5 {}", print_of("0A")),
    ] {
        assert_eq!(refused(line), OfferRejected::SrtpRefused, "{line}");
    }
}

#[test]
fn what_we_offer_by_dtls() {
    let text = |srtp| String::from_utf8(offer(&local(srtp), Direction::SendRecv)).unwrap();
    let demanded = text(SrtpPolicy::DtlsRequired);
    let print = print_of("AB");
    for line in [
        "m=audio 10000 UDP/TLS/RTP/SAVP 0 8 13 101",
        "a=setup:actpass",
        "a=rtcp-mux",
        &format!("a=fingerprint:sha-256 {print}"),
    ] {
        assert!(
            demanded.contains(&format!("{line}\r\n")),
            "{line} in {demanded}"
        );
    }
    assert!(!demanded.contains("a=crypto"), "{demanded}");
    let wished = text(SrtpPolicy::DtlsPreferred);
    assert!(
        wished.contains("m=audio 10000 RTP/AVP") && wished.contains("a=fingerprint"),
        "{wished}"
    );
    for policy in [SrtpPolicy::Off, SrtpPolicy::Preferred, SrtpPolicy::Required] {
        let text = text(policy);
        assert!(
            !text.contains("fingerprint") && !text.contains("rtcp-mux"),
            "{text}"
        );
    }
}

#[test]
fn answers_to_our_dtls_take_what_was_offered() {
    let key =
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5\n";
    let proof = format!("a=setup:active\na=fingerprint:SHA-256 {}\n", print_of("0a"));
    let answered = |policy, protocol: &str, lines: &str| {
        let answer = dtls_offer(&format!("m=audio 4000 {protocol} 0\n{lines}"));
        let agreed = accept_answer(&local(policy), &answer)?;
        Ok((
            agreed.dtls.is_some(),
            agreed.crypto.is_some(),
            agreed.rtcp_mux,
        ))
    };
    let (demand, wish) = (SrtpPolicy::DtlsRequired, SrtpPolicy::DtlsPreferred);
    let muxed = format!("{proof}a=rtcp-mux\n");
    assert_eq!(
        answered(demand, "UDP/TLS/RTP/SAVP", &proof),
        Ok((true, false, false))
    );
    assert_eq!(
        answered(demand, "UDP/TLS/RTP/SAVP", &muxed),
        Ok((true, false, true))
    );
    assert_eq!(answered(wish, "RTP/AVP", &proof), Ok((true, false, false)));
    assert_eq!(answered(wish, "RTP/AVP", ""), Ok((false, false, false)));
    // Nobody takes what was not offered.
    assert_eq!(
        answered(demand, "RTP/AVP", ""),
        Err(OfferRejected::SrtpRequired)
    );
    assert_eq!(
        answered(demand, "RTP/SAVP", key),
        Err(OfferRejected::SrtpRequired)
    );
    assert_eq!(
        answered(demand, "UDP/TLS/RTP/SAVP", ""),
        Err(OfferRejected::SrtpRefused)
    );
    assert_eq!(answered(wish, "RTP/AVP", key), Ok((false, false, false)));
    assert_eq!(
        answered(SrtpPolicy::Required, "RTP/SAVP", &proof),
        Err(OfferRejected::SrtpRefused)
    );
    assert_eq!(
        answered(SrtpPolicy::Preferred, "RTP/AVP", &proof),
        Ok((false, false, false))
    );
}
