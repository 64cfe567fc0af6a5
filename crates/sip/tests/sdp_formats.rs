//! What is offered and answered of G.729 and AMR-WB (`a=fmtp`), and when they are taken.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use expect_test::expect;
use sip::sdp::Direction;
use sip::sdp::offer_answer::{
    CodecOffer, LocalMedia, OfferRejected, SrtpPolicy, accept_answer, answer, offer,
};

const AMR: &str = "mode-change-capability=2; max-red=0";
const AMR_BY_OCTETS: &str = "octet-align=1; mode-change-capability=2; max-red=0";

/// PCMU, and the other two, by name or where there is nothing else.
fn local(last_resort: bool) -> LocalMedia {
    let codec = |name, clock_rate, static_payload, parameters| CodecOffer {
        name,
        clock_rate,
        channels: 1,
        parameters,
        static_payload,
        last_resort: last_resort && static_payload != Some(0),
    };
    LocalMedia {
        address: "192.0.2.1".parse().unwrap(),
        port: 10_000,
        rtcp_port: None,
        codecs: vec![
            codec("PCMU", 8_000, Some(0), None),
            codec("G729", 8_000, Some(18), Some("annexb=no")),
            codec("AMR-WB", 16_000, None, Some(AMR_BY_OCTETS)),
            codec("AMR-WB", 16_000, None, Some(AMR)),
        ],
        telephone_event: true,
        comfort_noise: true,
        srtp: SrtpPolicy::Off,
        crypto: Vec::new(),
        ice: None,
        dtls: None,
        for_browsers: false,
        ptime_ms: 20,
        session_id: 42,
        session_version: 1,
    }
}

fn from_peer(formats: &str, lines: &str) -> Vec<u8> {
    let lines = lines.replace('\n', "\r\n");
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP {formats}\r\n{lines}\r\n"
    )
    .into_bytes()
}

fn answered(local: &LocalMedia, offer: &[u8]) -> String {
    let (_, text) = answer(offer, local).unwrap();
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("m=") || line.contains("map:") || line.contains("fmtp:"))
        .collect();
    lines.join("\n")
}

#[test]
fn a_line_that_names_them_offers_both_layouts_and_events_of_both_clocks() {
    let text = String::from_utf8(offer(&local(false), Direction::SendRecv)).unwrap();
    expect![[r"
        v=0
        o=- 42 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 192.0.2.1
        t=0 0
        m=audio 10000 RTP/AVP 0 18 96 97 13 101 98
        a=rtpmap:0 PCMU/8000
        a=rtpmap:18 G729/8000
        a=fmtp:18 annexb=no
        a=rtpmap:96 AMR-WB/16000
        a=fmtp:96 octet-align=1; mode-change-capability=2; max-red=0
        a=rtpmap:97 AMR-WB/16000
        a=fmtp:97 mode-change-capability=2; max-red=0
        a=rtpmap:13 CN/8000
        a=rtpmap:101 telephone-event/8000
        a=fmtp:101 0-15
        a=rtpmap:98 telephone-event/16000
        a=fmtp:98 0-15
        a=ptime:20
        a=sendrecv
    "]]
    .assert_eq(&text.replace('\r', ""));
}

#[test]
fn another_line_offers_neither_and_takes_them_from_who_has_nothing_else() {
    let usual = local(true);
    let text = String::from_utf8(offer(&usual, Direction::SendRecv)).unwrap();
    assert!(
        text.contains("m=audio 10000 RTP/AVP 0 13 101\r\n"),
        "{text}"
    );
    let both = from_peer("18 0", "a=rtpmap:18 G729/8000\na=rtpmap:0 PCMU/8000");
    assert_eq!(answer(&both, &usual).unwrap().0.codec.name, "PCMU");
    assert_eq!(answer(&both, &local(false)).unwrap().0.codec.name, "G729");
    expect![[r"
        m=audio 10000 RTP/AVP 18
        a=rtpmap:18 G729/8000
        a=fmtp:18 annexb=no"]]
    .assert_eq(&answered(&usual, &from_peer("18", "a=ptime:20")));
    // What was not offered is no answer.
    let foreign = from_peer("18", "a=rtpmap:18 G729/8000");
    assert!(matches!(
        accept_answer(&usual, &foreign),
        Err(OfferRejected::NoCommonCodec { .. })
    ));
    assert_eq!(
        accept_answer(&local(false), &foreign).unwrap().codec.name,
        "G729"
    );
}

#[test]
fn an_answer_has_the_layout_the_rates_and_the_events_of_the_offer() {
    let mobile = from_peer(
        "104 110 102 105",
        "a=rtpmap:104 AMR-WB/16000\na=fmtp:104 mode-set=0,1,2;mode-change-capability=2;max-red=0\n\
         a=rtpmap:110 AMR-WB/16000\na=fmtp:110 octet-align=1\na=rtpmap:102 AMR/8000\na=rtpmap:105 telephone-event/16000",
    );
    expect![[r"
        m=audio 10000 RTP/AVP 104 105
        a=rtpmap:104 AMR-WB/16000
        a=fmtp:104 mode-set=0,1,2; mode-change-capability=2; max-red=0
        a=rtpmap:105 telephone-event/16000
        a=fmtp:105 0-15"]]
    .assert_eq(&answered(&local(true), &mobile));
    // One that cannot be done is passed over for the next.
    let sorted = from_peer(
        "104 110",
        "a=rtpmap:104 AMR-WB/16000\na=fmtp:104 octet-align=1;robust-sorting=1\na=rtpmap:110 AMR-WB/16000\na=fmtp:110 octet-align=1",
    );
    let (agreed, _) = answer(&sorted, &local(true)).unwrap();
    assert_eq!(agreed.codec.payload_type, 110);
    assert_eq!(agreed.codec.our_parameters.as_deref(), Some(AMR_BY_OCTETS));
    let only = from_peer(
        "104",
        "a=rtpmap:104 AMR-WB/16000\na=fmtp:104 octet-align=1;crc=1",
    );
    assert!(matches!(
        answer(&only, &local(true)),
        Err(OfferRejected::NoCommonCodec { .. })
    ));
}
