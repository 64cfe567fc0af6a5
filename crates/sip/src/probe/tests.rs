//! A registrar of a few lines answers the probe.

use super::*;

const WAY: Way = Way {
    protocol: Protocol::Udp,
    local: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9)), 40_000),
};

fn probe() -> Probe {
    let account = AccountConfig::new("sip:1000@pbx.test", "1000", "secret");
    Probe::new(account, "allo/test", 7).unwrap()
}

fn request(bytes: &[u8]) -> Request {
    match parse(bytes).unwrap() {
        Message::Request(request) => request,
        Message::Response(response) => panic!("{response:?}"),
    }
}

fn answered(sent: &[u8], status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut response = Response::to(&request(sent), status);
    for (name, value) in headers {
        response.headers.push(name, value);
    }
    response.to_bytes()
}

fn again(reply: Reply) -> Vec<u8> {
    match reply {
        Reply::Again(bytes) => bytes,
        Reply::Wait | Reply::Done(_) => panic!("{reply:?}"),
    }
}

const CHALLENGE: (&str, &str) = (
    "WWW-Authenticate",
    r#"Digest realm="pbx.test", nonce="n1", qop="auth", algorithm=MD5"#,
);

#[test]
fn options_is_answered_by_any_final_status() {
    let mut probe = probe();
    let sent = probe.ask(Ask::Options, WAY);
    let text = String::from_utf8(sent.clone()).unwrap();
    assert!(
        text.starts_with("OPTIONS sip:pbx.test SIP/2.0\r\n"),
        "{text}"
    );
    assert!(text.contains("Via: SIP/2.0/UDP 192.0.2.9:40000;"), "{text}");
    assert!(!text.contains("Contact:"), "{text}");
    assert_eq!(probe.handle(&answered(&sent, 100, &[])), Reply::Wait);
    assert_eq!(probe.handle(b"nonsense"), Reply::Wait);
    let reply = probe.handle(&answered(&sent, 405, &[("Server", "PBX/1")]));
    assert_eq!(
        reply,
        Reply::Done(Answer::Speaks {
            status: 405,
            server: Some("PBX/1".to_owned())
        })
    );
    // A repetition belongs to no question any more.
    assert_eq!(probe.handle(&answered(&sent, 405, &[])), Reply::Wait);
}

#[test]
fn the_password_is_proved_without_a_binding_then_bound_and_removed() {
    let mut probe = probe();
    let sent = probe.ask(Ask::Bindings, WAY);
    assert!(!request(&sent).headers.has("Contact"));
    let sent = again(probe.handle(&answered(&sent, 401, &[CHALLENGE])));
    assert!(!request(&sent).headers.has("Contact"));
    assert!(request(&sent).headers.has("Authorization"));
    let reply = probe.handle(&answered(&sent, 200, &[]));
    let accepted = |others, expires_s| {
        Reply::Done(Answer::Accepted {
            others,
            expires_s,
            proved: true,
        })
    };
    assert_eq!(reply, accepted(0, None));

    let sent = probe.ask(Ask::Bind { expires_s: 60 }, WAY);
    let contact = request(&sent).headers.contacts().remove(0);
    assert_eq!(contact.params.value("expires"), Some("60"));
    let sent = again(probe.handle(&answered(&sent, 423, &[("Min-Expires", "120")])));
    let own = request(&sent).headers.get("Contact").unwrap().to_owned();
    assert!(own.contains("expires=120"), "{own}");
    let other = "<sip:x@192.0.2.1>;expires=33";
    let reply = probe.handle(&answered(
        &sent,
        200,
        &[("Contact", &own), ("Contact", other)],
    ));
    assert_eq!(reply, accepted(1, Some(120)));

    let sent = probe.ask(Ask::Remove, WAY);
    assert!(
        request(&sent)
            .headers
            .get("Contact")
            .unwrap()
            .contains("expires=0")
    );
    assert_eq!(
        probe.handle(&answered(&sent, 200, &[("Contact", other)])),
        accepted(1, None)
    );
}

#[test]
fn a_wrong_password_is_said_once_and_a_stale_nonce_is_no_refusal() {
    let mut first = probe();
    let sent = first.ask(Ask::Bindings, WAY);
    let sent = again(first.handle(&answered(&sent, 401, &[CHALLENGE])));
    let fresh = (
        CHALLENGE.0,
        r#"Digest realm="pbx.test", nonce="n2", qop="auth""#,
    );
    assert_eq!(
        first.handle(&answered(&sent, 401, &[fresh])),
        Reply::Done(Answer::WrongCredentials)
    );

    let mut second = probe();
    let sent = second.ask(Ask::Bindings, WAY);
    let sent = again(second.handle(&answered(&sent, 401, &[CHALLENGE])));
    let stale = (
        CHALLENGE.0,
        r#"Digest realm="pbx.test", nonce="n2", qop="auth", stale=true"#,
    );
    let sent = again(second.handle(&answered(&sent, 401, &[stale])));
    let stale = (
        CHALLENGE.0,
        r#"Digest realm="pbx.test", nonce="n3", qop="auth", stale=true"#,
    );
    assert_eq!(
        second.handle(&answered(&sent, 401, &[stale])),
        Reply::Done(Answer::WrongCredentials),
        "a registrar that calls every nonce stale"
    );
}

#[test]
fn a_second_realm_does_not_get_the_password() {
    let mut probe = probe();
    let sent = probe.ask(Ask::Bindings, WAY);
    let sent = again(probe.handle(&answered(&sent, 401, &[CHALLENGE])));
    let other = (
        "Proxy-Authenticate",
        r#"Digest realm="evil.test", nonce="n2", qop="auth""#,
    );
    assert_eq!(
        probe.handle(&answered(&sent, 407, &[other])),
        Reply::Done(Answer::UnknownChallenge)
    );
}

#[test]
fn refusals_say_whether_the_password_was_told() {
    let refused = |status, after_password| {
        Reply::Done(Answer::Refused {
            status,
            reason: crate::message::reason_phrase(status).to_owned(),
            after_password,
        })
    };
    let mut first = probe();
    let sent = first.ask(Ask::Bindings, WAY);
    assert_eq!(
        first.handle(&answered(&sent, 404, &[])),
        refused(404, false)
    );
    let mut second = probe();
    let sent = second.ask(Ask::Bindings, WAY);
    let sent = again(second.handle(&answered(&sent, 401, &[CHALLENGE])));
    assert_eq!(
        second.handle(&answered(&sent, 403, &[])),
        refused(403, true)
    );
    let mut third = probe();
    let sent = third.ask(Ask::Bind { expires_s: 60 }, WAY);
    assert_eq!(
        third.handle(&answered(&sent, 423, &[])),
        Reply::Done(Answer::TooBrief { min_s: None })
    );
}

#[test]
fn what_the_peer_saw_of_us_and_its_clock_are_kept() {
    let mut probe = probe();
    let sent = probe.ask(Ask::Options, WAY);
    let mut heard = request(&sent);
    let mut via = heard.headers.via_top().unwrap();
    via.note_source("198.51.100.7:61000".parse().unwrap());
    heard.headers.replace_first("Via", via);
    let mut response = Response::to(&heard, 200);
    response
        .headers
        .push("Date", "Sat, 28 Nov 2026 21:00:00 GMT");
    probe.handle(&response.to_bytes());
    assert_eq!(
        probe.seen().address,
        Some(("198.51.100.7".parse().unwrap(), Some(61_000)))
    );
    assert_eq!(
        probe.seen().date.as_deref(),
        Some("Sat, 28 Nov 2026 21:00:00 GMT")
    );
}
