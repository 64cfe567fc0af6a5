//! What offers and answers agree about ICE (RFC 8839).

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use sip::sdp::offer_answer::{
    CodecOffer, LocalIce, LocalMedia, Negotiated, SrtpPolicy, accept_answer, answer, ice_ufrag,
    offer,
};
use sip::sdp::{Direction, IceCandidate, IceKind, IcePassword, SessionDescription};

const PASSWORD: &str = "asd88fgpdd777uzjYhagZg";

fn candidate(component: u8, address: &str, kind: IceKind, related: Option<&str>) -> IceCandidate {
    IceCandidate {
        foundation: kind.as_str().to_owned(),
        component: component.into(),
        priority: kind.priority(65_535, component),
        address: address.parse().unwrap(),
        kind,
        related: related.map(|related| related.parse().unwrap()),
    }
}

fn local(ice: bool) -> LocalMedia {
    let own = "192.0.2.1:10000";
    LocalMedia {
        address: "203.0.113.9".parse().unwrap(),
        port: 40_000,
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
        ice: ice.then(|| LocalIce {
            ufrag: "8hhY".to_owned(),
            password: IcePassword::new(PASSWORD).unwrap(),
            candidates: vec![
                candidate(1, own, IceKind::Host, None),
                candidate(1, "203.0.113.9:40000", IceKind::Relayed, Some(own)),
                candidate(2, "192.0.2.1:10001", IceKind::Host, None),
            ],
        }),
        for_browsers: false,
        ptime_ms: 20,
        session_id: 7,
        session_version: 1,
    }
}

const LINES: &str = "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n\
                     a=candidate:host 1 UDP 2130706431 192.0.2.1 10000 typ host\r\n\
                     a=candidate:relay 1 UDP 16777215 203.0.113.9 40000 typ relay raddr 192.0.2.1 rport 10000\r\n\
                     a=candidate:host 2 UDP 2130706430 192.0.2.1 10001 typ host\r\n";

fn text(description: &[u8]) -> String {
    String::from_utf8(description.to_vec()).unwrap()
}

/// A peer's description; `session` are lines before `t=`, `media` lines after `m=`.
fn theirs(session: &str, media: &str) -> Vec<u8> {
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n{session}m=audio 4000 RTP/AVP 0\r\n{media}"
    )
    .into_bytes()
}

const CREDENTIALS: &str = "a=ice-ufrag:9uB6\r\na=ice-pwd:YH75Fviy6338Vbrhrlp8Yh\r\n";
const CANDIDATES: &str = "a=candidate:1 1 UDP 2130706431 10.0.1.1 8998 typ host\r\n\
                          a=candidate:2 1 UDP 1694498815 198.51.100.7 4000 typ srflx raddr 10.0.1.1 rport 8998\r\n\
                          a=candidate:3 1 TCP 1 10.0.1.1 9 typ host tcptype active\r\n\
                          a=candidate:4 1 UDP 5 127.0.0.1 8998 typ host\r\n";

fn summary(agreed: &Negotiated) -> Option<(String, bool, Vec<String>)> {
    let terms = agreed.ice.as_ref()?;
    let candidates = terms.candidates.iter();
    let shown = candidates.map(|one| format!("{} {}", one.component, one.address));
    Some((terms.ufrag.clone(), terms.lite, shown.collect()))
}

#[test]
fn our_offer_has_credentials_and_candidates() {
    let offered = text(&offer(&local(true), Direction::SendRecv));
    assert!(offered.contains("a=ice-options:ice2\r\n"), "{offered}");
    assert!(offered.contains(LINES), "{offered}");
    assert!(offered.contains("c=IN IP4 203.0.113.9\r\n"), "{offered}");
    let plain = text(&offer(&local(false), Direction::SendRecv));
    assert!(!plain.contains("ice") && !plain.contains("candidate"));
}

#[test]
fn an_offer_with_ice_is_answered_with_ours() {
    let lines = format!("{CREDENTIALS}{CANDIDATES}");
    let expected = Some((
        "9uB6".to_owned(),
        false,
        vec![
            "1 10.0.1.1:8998".to_owned(),
            "1 198.51.100.7:4000".to_owned(),
        ],
    ));
    for offered in [theirs("", &lines), theirs(CREDENTIALS, CANDIDATES)] {
        let (agreed, answered) = answer(&offered, &local(true)).unwrap();
        assert_eq!(summary(&agreed), expected);
        assert!(text(&answered).contains(LINES), "{}", text(&answered));
        assert_eq!(ice_ufrag(&offered).as_deref(), Some("9uB6"));
        // Who does none says nothing of it.
        let (agreed, answered) = answer(&offered, &local(false)).unwrap();
        assert_eq!(agreed.ice, None);
        assert!(!text(&answered).contains("ice"), "{}", text(&answered));
    }
    let (agreed, _) = answer(&theirs("a=ice-lite\r\n", &lines), &local(true)).unwrap();
    assert!(agreed.ice.unwrap().lite);
}

#[test]
fn without_both_credentials_or_any_candidate_there_is_none() {
    let password = "a=ice-pwd:YH75Fviy6338Vbrhrlp8Yh\r\n";
    for lines in [
        "",
        CREDENTIALS,
        CANDIDATES,
        &format!("a=ice-ufrag:9uB6\r\n{CANDIDATES}"),
        &format!("{password}{CANDIDATES}"),
        &format!("{CREDENTIALS}a=candidate:1 1 UDP 5 host.local 4000 typ host\r\n"),
    ] {
        let (agreed, answered) = answer(&theirs("", lines), &local(true)).unwrap();
        assert_eq!(agreed.ice, None, "{lines}");
        assert!(!text(&answered).contains("a=ice"), "{lines}");
    }
}

/// RFC 8839 section 4.2.5: something between us rewrote the address, and left the candidates.
#[test]
fn a_changed_address_is_a_mismatch() {
    let lines = format!("c=IN IP4 203.0.113.77\r\n{CREDENTIALS}{CANDIDATES}");
    let (agreed, answered) = answer(&theirs("", &lines), &local(true)).unwrap();
    assert_eq!(agreed.ice, None);
    assert_eq!(
        agreed.remote.map(|remote| remote.to_string()).as_deref(),
        Some("203.0.113.77:4000")
    );
    let answered = text(&answered);
    assert!(answered.contains("a=ice-mismatch\r\n"), "{answered}");
    assert!(!answered.contains("candidate"), "{answered}");
    // A hold of the old kind is none.
    let held = format!("c=IN IP4 0.0.0.0\r\n{CREDENTIALS}{CANDIDATES}");
    let (agreed, _) = answer(&theirs("", &held), &local(true)).unwrap();
    assert!(agreed.ice.is_some() && agreed.remote.is_none());
}

#[test]
fn answers_to_our_offer() {
    let lines = format!("{CREDENTIALS}{CANDIDATES}");
    let agreed = accept_answer(&local(true), &theirs("", &lines)).unwrap();
    assert!(agreed.ice.is_some());
    let plain = accept_answer(&local(true), &theirs("", "")).unwrap();
    assert_eq!(plain.ice, None);
    let mismatch = accept_answer(&local(true), &theirs("", "a=ice-mismatch\r\n")).unwrap();
    assert_eq!(mismatch.ice, None);
    // Nobody takes what was not offered.
    let never = accept_answer(&local(false), &theirs("", &lines)).unwrap();
    assert_eq!(never.ice, None);
}

#[test]
fn a_description_with_ice_prints_as_it_was_read() {
    let offered = theirs("a=ice-lite\r\n", &format!("{CREDENTIALS}{CANDIDATES}"));
    let read = SessionDescription::parse(&offered).unwrap();
    let printed = read.to_string();
    let again = SessionDescription::parse(printed.as_bytes()).unwrap();
    assert_eq!(again, read);
    assert!(!format!("{read:?}").contains("YH75Fviy6338Vbrhrlp8Yh"));
}
