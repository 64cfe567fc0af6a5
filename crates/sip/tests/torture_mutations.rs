//! Seeded mutations of the torture messages and of the session descriptions: nothing panics, what is accepted reads the
//! same after printing, and no text takes long.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use sip::digest::DigestClient;
use sip::message::{Headers, Message, name, parse, parse_lenient_for_400};
use sip::redact::redact;
use sip::sdp::offer_answer::{
    CodecOffer, CryptoLine, LocalDtls, LocalMedia, SrtpPolicy, accept_answer, answer,
};
use sip::sdp::{Fingerprint, SessionDescription, offer_answer};
use std::path::Path;
use std::time::{Duration, Instant};

const DATAGRAMS: usize = 30_000;
const DESCRIPTIONS: usize = 20_000;
/// The promise is made for release builds; unoptimised code is given five times as long.
const PARSE_MS_MAX: u64 = if cfg!(debug_assertions) { 50 } else { 10 };

/// The xorshift generator of Marsaglia: enough to pick bytes, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % limit.max(1)
    }
}

/// Pieces that parsers trip over.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\r\n ",
    b"\r\n\r\n",
    b"\"",
    b"\\",
    b"<",
    b">",
    b";",
    b",",
    b":",
    b"=",
    b"@",
    b"?",
    b"%",
    b"[",
    b"]",
    b" ",
    b"\t",
    b"\0",
    b"\x7f",
    b"\xc3",
    b"\xc3\xa9",
    b"\xff",
    b"*",
    b"-1",
    b"4294967296",
    b"18446744073709551616",
    b"sip:",
    b"<sip:a@b>",
    b";tag=",
    b"l: 5\r\n",
    b"v: SIP/2.0/UDP h;branch=z9hG4bK1,",
    b"a=rtpmap:0 ",
    b"m=audio 1 RTP/AVP 0",
];

fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(40)).min(bytes.len());
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            4 => bytes.truncate(at),
            5 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Every accessor, for the sake of their panics.
fn read_all(headers: &Headers) {
    let _ = (
        headers.via_top(),
        headers.from(),
        headers.to(),
        headers.cseq(),
    );
    let _ = (
        headers.contacts(),
        headers.record_routes(),
        headers.routes(),
    );
    let _ = (
        headers.expires(),
        headers.min_expires(),
        headers.session_expires(),
    );
    let _ = (
        headers.min_se(),
        headers.rseq(),
        headers.rack(),
        headers.retry_after(),
    );
    let _ = (headers.max_forwards(), headers.content_type());
    for field in [name::WWW_AUTHENTICATE, name::AUTHORIZATION] {
        let fields = headers.auth_fields(field);
        let _ = DigestClient::new().handle_challenge(&fields, 0);
    }
}

fn check_message(bytes: &[u8]) -> bool {
    let _ = redact(bytes);
    if let Some(skeleton) = parse_lenient_for_400(bytes) {
        let _ = skeleton.response(400, None).to_bytes();
    }
    let Ok(message) = parse(bytes) else {
        return false;
    };
    read_all(message.headers());
    let printed = message.to_bytes();
    let reread = parse(&printed);
    assert_eq!(
        reread.as_ref(),
        Ok(&message),
        "{}",
        String::from_utf8_lossy(bytes)
    );
    if let (Message::Request(_), Some(contact)) = (&message, message.headers().contacts().first()) {
        assert_eq!(contact.to_string().parse().as_ref(), Ok(contact));
    }
    true
}

#[test]
fn a_tab_in_a_reason_stays() {
    let response = "SIP/2.0 200 all\tis well\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK-a1\r\n\
        From: <sip:marie@example.com>;tag=f1\r\nTo: <sip:reception@allo.example.net>\r\n\
        Call-ID: c-1@192.0.2.7\r\nCSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n";
    assert!(check_message(response.as_bytes()));
}

#[test]
fn mutated_messages() {
    let mut corpus = corpus("torture");
    for body in self::corpus("sdp") {
        let head = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1;rport\r\nFrom: \"A\" <sip:a@b>;tag=1\r\n\
                    To: <sip:a@b>\r\nCall-ID: 1@h\r\nCSeq: 1 INVITE\r\nContact: <sip:a@h>;expires=5\r\nRoute: <sip:r;lr>, <sip:s>\r\n\
                    Authorization: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\nSession-Expires: 90;refresher=uac\r\n\
                    Content-Type: application/sdp\r\n\r\n";
        corpus.push([head.as_bytes(), &body].concat());
    }
    let mut random = Random(0x0a11_0000_0000_0001);
    let mut accepted = 0;
    for _ in 0..DATAGRAMS {
        accepted += usize::from(check_message(&mutate(&mut random, &corpus)));
    }
    assert!(
        accepted > DATAGRAMS / 20,
        "the mutations are too wild: {accepted} accepted"
    );
}

fn local() -> LocalMedia {
    LocalMedia {
        address: "192.0.2.1".parse().unwrap(),
        port: 10_000,
        rtcp_port: None,
        codecs: vec![CodecOffer {
            name: "PCMU",
            clock_rate: 8_000,
            channels: 1,
            parameters: None,
            static_payload: Some(0),
            last_resort: false,
        }],
        telephone_event: true,
        comfort_noise: true,
        srtp: SrtpPolicy::Preferred,
        crypto: vec![CryptoLine {
            tag: 1,
            suite: offer_answer::SUITES[0].0.to_owned(),
            key: vec![1; 30],
        }],
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
        session_id: 1,
        session_version: 1,
    }
}

#[test]
fn mutated_session_descriptions() {
    let corpus = corpus("sdp");
    let local = local();
    let mut random = Random(0x0a11_0000_0000_0002);
    let mut answered = 0;
    for _ in 0..DESCRIPTIONS {
        let bytes = mutate(&mut random, &corpus);
        let _ = accept_answer(&local, &bytes);
        if let Ok((negotiated, text)) = answer(&bytes, &local) {
            answered += 1;
            assert!((10..=60).contains(&negotiated.ptime_ms));
            SessionDescription::parse(&text).unwrap();
        }
        if let Ok(description) = SessionDescription::parse(&bytes) {
            let printed = description.to_string();
            assert_eq!(
                SessionDescription::parse(printed.as_bytes()),
                Ok(description),
                "{}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
    assert!(
        answered > DESCRIPTIONS / 20,
        "the mutations are too wild: {answered} answered"
    );
}

/// Fails when each of a few runs takes longer: a busy machine may spoil some.
#[expect(clippy::disallowed_methods, reason = "this test measures")]
fn check_time(limit_ms: u64, what: &str, mut run: impl FnMut()) {
    let mut times = (0..5).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    let is_met = times.any(|time| time < Duration::from_millis(limit_ms));
    assert!(is_met, "more than {limit_ms} ms: {what}");
}

#[test]
fn pattern_14_any_64_kb_parse_within_10_ms() {
    let head = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
                Call-ID: 1@h\r\nCSeq: 1 INVITE\r\nContact: <sip:a@h>\r\n";
    let units: &[&str] = &[
        "a",
        " ",
        "\r\n",
        "\r\n ",
        "\r",
        "\n",
        "\"",
        "\\",
        "<",
        ">",
        ";",
        ",",
        ":",
        "=",
        "\u{e9}",
        "\0",
        "Via: ",
        "v: SIP/2.0/UDP h;branch=z9hG4bK1\r\n",
        "X: y\r\n",
        "<sip:a@b>,",
        "\"\\",
        "Digest a=b,",
        "a=b;",
    ];
    for unit in units {
        for start in [
            "",
            head,
            "OPTIONS ",
            "m: ",
            "Authorization: Digest ",
            "v=0\r\no=- 1 1 IN IP4 a\r\na=",
        ] {
            let mut text = start.to_owned();
            while text.len() + unit.len() <= 64 * 1024 {
                text.push_str(unit);
            }
            let bytes = text.as_bytes();
            let what = format!("{start:?} {unit:?}…");
            check_time(PARSE_MS_MAX, &what, || {
                let _ = parse(bytes);
            });
            check_time(3 * PARSE_MS_MAX, &what, || {
                let _ = parse_lenient_for_400(bytes);
                let _ = redact(bytes);
                let _ = SessionDescription::parse(bytes);
            });
        }
    }
}

#[test]
fn pattern_14_the_largest_legal_message_parses_within_10_ms() {
    let mut text = "INVITE sip:a@b SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1@h\r\nCSeq: 1 INVITE\r\n\
                    Contact: <sip:a@h>\r\n"
        .to_owned();
    for number in 0..70 {
        let value = "<sip:a@b;lr;x=y>;p=\"q\\\"r\",".repeat(2);
        let params = ";a=b".repeat(60);
        text.push_str(&format!(
            "v: SIP/2.0/UDP h{number};branch=z9hG4bK{number}{params}\r\n"
        ));
        if number == 0 {
            text.push_str(&format!("Route: {}<sip:z>\r\n", value.repeat(6)));
        }
    }
    text.push_str(&format!("X-Note: {}\r\n\r\n", "x".repeat(8_000)));
    let mut bytes = text.into_bytes();
    bytes.resize(64 * 1024, b'.');
    assert!(parse(&bytes).is_ok(), "{:?}", parse(&bytes));
    check_time(PARSE_MS_MAX, "the largest message", || {
        let _ = parse(&bytes);
    });
}
