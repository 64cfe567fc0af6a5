use super::*;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
/// The request of RFC 7118 section 8.1, and the key of RFC 6455 section 1.3.
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: sip-ws.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://www.example.com\r\nSec-WebSocket-Protocol: sip\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

fn admission(origins: &[&str], proxies: &[&str]) -> Admission {
    Admission {
        origins: origins.iter().map(|&text| text.to_owned()).collect(),
        proxies: proxies.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

fn judged(request: &str, admission: &Admission) -> Result<Agreed, Refusal> {
    judge(request.as_bytes(), PEER, admission)
}

#[test]
fn the_request_of_the_standard_is_followed() {
    let agreed = judged(REQUEST, &admission(&["http://www.example.com"], &[])).unwrap();
    let answer = agreed.answer();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // RFC 6455, section 1.3.
    assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert!(answer.contains("\r\nSec-WebSocket-Protocol: sip\r\n"));
}

#[test]
fn what_is_not_followed_is_told_why() {
    let anybody = admission(&["*"], &[]);
    for (old, new, refusal) in [
        ("GET /", "POST /", Refusal::Method),
        ("HTTP/1.1", "HTTP/1.0", Refusal::Malformed),
        ("GET / ", "GET ", Refusal::Malformed),
        ("Upgrade: websocket\r\n", "", Refusal::NoUpgrade),
        (
            "Connection: Upgrade",
            "Connection: keep-alive",
            Refusal::NoUpgrade,
        ),
        ("Version: 13", "Version: 8", Refusal::NoUpgrade),
        ("Sec-WebSocket-Version: 13\r\n", "", Refusal::NoUpgrade),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", Refusal::Malformed),
        ("Sec-WebSocket-Protocol: sip\r\n", "", Refusal::Subprotocol),
        (
            "Protocol: sip",
            "Protocol: sips, xmpp",
            Refusal::Subprotocol,
        ),
        (
            "Origin: ",
            "Origin: http://a.test\r\nOrigin: ",
            Refusal::Origin,
        ),
    ] {
        let request = REQUEST.replacen(old, new, 1);
        assert_ne!(request, REQUEST, "{old}");
        assert_eq!(judged(&request, &anybody), Err(refusal), "{new}");
        assert!(refusal.answer().starts_with("HTTP/1.1 4"));
    }
    let many = REQUEST.replacen("Host", &"X: y\r\n".repeat(70), 1);
    assert_eq!(judged(&many, &anybody), Err(Refusal::TooLarge));
    assert!(
        judged(
            &REQUEST.replace("Protocol: sip", "Protocol: mqtt, SIP"),
            &anybody
        )
        .is_ok()
    );
}

#[test]
fn pages_of_the_same_host_are_let_in_or_those_that_are_named() {
    let host = |origin: &str| {
        let request = REQUEST.replace("http://www.example.com", origin);
        request.replace("sip-ws.example.com", "pbx.test:5443")
    };
    for (origins, origin, is_admitted) in [
        (&[][..], "https://pbx.test", true),
        (&[][..], "http://PBX.test:4000", true),
        (&[][..], "https://pbx.test.evil.test", false),
        (&[][..], "https://evil.test", false),
        (&[][..], "null", false),
        (&["https://a.test"][..], "https://a.test", true),
        (&["https://a.test"][..], "http://a.test", false),
        (&["https://a.test"][..], "https://pbx.test", false),
        (&["https://b.test", "*"][..], "null", true),
    ] {
        let judged = judged(&host(origin), &admission(origins, &[]));
        assert_eq!(judged.is_ok(), is_admitted, "{origins:?} {origin}");
    }
    let program = host("x").replace("Origin: x\r\n", "");
    assert!(judged(&program, &admission(&["https://a.test"], &[])).is_ok());
    let literal = REQUEST.replace("http://www.example.com", "http://[::1]:4000");
    let literal = literal.replace("sip-ws.example.com", "[::1]:5443");
    assert!(judged(&literal, &admission(&[], &[])).is_ok());
}

#[test]
fn a_named_proxy_says_for_whom_it_asks() {
    for (proxies, said, client) in [
        (
            &["192.0.2.1/32"][..],
            "203.0.113.7, 198.51.100.2",
            Some("198.51.100.2"),
        ),
        (
            &["192.0.2.1/32", "198.51.100.0/24"][..],
            "203.0.113.7, 198.51.100.2:5000",
            Some("203.0.113.7"),
        ),
        (&["192.0.2.1/32"][..], "nonsense", None),
        (&["10.0.0.0/8"][..], "198.51.100.2", None),
    ] {
        let field = format!("X-Forwarded-For: {said}\r\nHost");
        let request = REQUEST.replacen("Host", &field, 1);
        let agreed = judged(&request, &admission(&["*"], proxies)).unwrap();
        assert_eq!(agreed.client.map(|ip| ip.to_string()).as_deref(), client);
    }
}

#[test]
fn any_bytes_are_judged_without_panic() {
    let anybody = admission(&[], &["192.0.2.1/32"]);
    let mut state = 7_u64;
    let mut next = |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 40).unwrap() % limit
    };
    for _ in 0..20_000 {
        let mut bytes = REQUEST.as_bytes().to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"\r\n :,\0\xff[]"[next(9)]),
            }
        }
        if let Ok(agreed) = judge(&bytes, PEER, &anybody) {
            assert!(agreed.answer().is_ascii());
        }
    }
}
