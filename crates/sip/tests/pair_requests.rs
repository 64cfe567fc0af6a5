//! Single requests against one user agent: what is refused, with which status, and what leaves no trace.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::print_stderr,
    reason = "a test may fail loudly, pick events, and needs an origin of its virtual time"
)]

use std::net::SocketAddr;
use std::time::Duration;

use crate::common::{Net, Side, sdp};
use sip::message::{Message, Response, name};
use sip::{DropReason, EndCause, Event, Rejection, TableSizes};

const PEER: &str = "198.51.100.9:5060";

fn peer() -> SocketAddr {
    PEER.parse().unwrap()
}

/// A request as text; `extra` lines end with CRLF.
fn request(method: &str, uri: &str, branch: &str, extra: &str) -> String {
    let contact = if method == "INVITE" {
        "Contact: <sip:peer@198.51.100.9>\r\n"
    } else {
        ""
    };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.9:5060;rport;branch={branch}\r\n\
         From: <sip:peer@198.51.100.9>;tag=peer{branch}\r\nTo: <sip:us@192.0.2.1>\r\nCall-ID: {branch}\r\n\
         CSeq: 1 {method}\r\n{contact}{extra}Content-Length: 0\r\n\r\n"
    )
}

/// Statuses of the answers that went to the peer since the last call.
fn answers(net: &mut Net) -> Vec<Response> {
    net.outside
        .drain(..)
        .filter(|(_, to, _)| *to == peer())
        .filter_map(|(_, _, data)| match sip::message::parse(&data) {
            Ok(Message::Response(response)) => Some(response),
            _ => None,
        })
        .collect()
}

fn check(text: &str, expected: u16) -> Response {
    let mut net = Net::new(1);
    net.inject(Side::A, peer(), text.as_bytes());
    let answers = answers(&mut net);
    assert_eq!(
        answers
            .iter()
            .map(|answer| answer.status)
            .collect::<Vec<_>>(),
        [expected],
        "{text}"
    );
    net.assert_empty();
    answers.into_iter().next().unwrap()
}

#[test]
fn options_is_answered_with_what_we_can() {
    let answer = check(&request("OPTIONS", "sip:us@192.0.2.1", "z9hG4bK1", ""), 200);
    for header in [name::ALLOW, name::ACCEPT, name::SUPPORTED] {
        assert!(answer.headers.has(header), "{header}");
    }
    assert!(answer.headers.to().unwrap().tag().is_some());
}

#[test]
fn pattern_30_methods_that_we_do_not_take_are_refused() {
    for (method, status) in [
        ("MESSAGE", 405),
        ("SUBSCRIBE", 405),
        ("NOTIFY", 481),
        ("PUBLISH", 405),
        ("REGISTER", 405),
        ("REFER", 603),
        ("BYE", 481),
        ("UPDATE", 481),
        ("PRACK", 481),
        ("INFO", 481),
        ("FROBNICATE", 501),
    ] {
        let answer = check(&request(method, "sip:us@192.0.2.1", "z9hG4bK2", ""), status);
        assert_eq!(
            answer.headers.has(name::ALLOW),
            matches!(status, 405 | 501),
            "{method}"
        );
    }
}

#[test]
fn requests_that_ask_too_much_are_refused() {
    check(&request("INVITE", "tel:+33140000000", "z9hG4bK3", ""), 416);
    check(
        &request(
            "INVITE",
            "sip:us@192.0.2.1",
            "z9hG4bK3",
            "Max-Forwards: 0\r\n",
        ),
        483,
    );
    let answer = check(
        &request(
            "INVITE",
            "sip:us@192.0.2.1",
            "z9hG4bK3",
            "Require: foo, 100rel, bar\r\n",
        ),
        420,
    );
    assert_eq!(answer.headers.get(name::UNSUPPORTED), Some("foo, bar"));
    let short = "Supported: timer\r\nSession-Expires: 60\r\n";
    let answer = check(
        &request("INVITE", "sip:us@192.0.2.1", "z9hG4bK3", short),
        422,
    );
    assert_eq!(answer.headers.min_se(), Some(90));
    check(
        &request(
            "INVITE",
            "sip:us@192.0.2.1",
            "z9hG4bK3",
            "Expires: 1\r\nCSeq: 2 INVITE\r\n",
        ),
        400,
    );
}

#[test]
fn pattern_08_an_invite_without_contact_is_refused() {
    let text = request("INVITE", "sip:us@192.0.2.1", "z9hG4bK4", "")
        .replace("Contact: <sip:peer@198.51.100.9>\r\n", "");
    check(&text, 400);
}

#[test]
fn a_merged_request_is_refused() {
    let mut net = Net::new(2);
    let first = request("INVITE", "sip:us@192.0.2.1", "z9hG4bK6", "");
    net.inject(Side::A, peer(), first.as_bytes());
    net.inject(
        Side::A,
        peer(),
        first
            .replace("branch=z9hG4bK6", "branch=z9hG4bK6x")
            .as_bytes(),
    );
    assert_eq!(
        answers(&mut net)
            .iter()
            .map(|answer| answer.status)
            .collect::<Vec<_>>(),
        [482]
    );
}

#[test]
fn a_copy_of_a_merged_request_is_no_new_call_when_the_first_is_forgotten() {
    let mut net = Net::new(4);
    let first = request("INVITE", "sip:us@192.0.2.1", "z9hG4bK6", "");
    let merged = first.replace("branch=z9hG4bK6", "branch=z9hG4bK6x");
    net.inject(Side::A, peer(), first.as_bytes());
    net.inject(Side::A, peer(), merged.as_bytes());
    let call = net.incoming(Side::A).invite;
    net.act(Side::A, |agent, now| agent.hang_up(now, call, None))
        .unwrap();
    let ack = request("ACK", "sip:us@192.0.2.1", "z9hG4bK6", "");
    net.inject(Side::A, peer(), ack.as_bytes());
    // Timer I of the first one is over; the second one's refusal was not acknowledged.
    net.run_for(Duration::from_secs(6));
    answers(&mut net);
    net.inject(Side::A, peer(), merged.as_bytes());
    let again = answers(&mut net);
    assert_eq!(
        again.iter().map(|answer| answer.status).collect::<Vec<_>>(),
        [482]
    );
    net.run_for(Duration::from_secs(40));
    net.assert_empty();
}

#[test]
fn draining_answers_options_with_503_and_leaves_the_invite_to_the_shell() {
    let mut net = Net::new(3);
    net.act(Side::A, |agent, _| agent.set_draining(true));
    let inject = |net: &mut Net, method: &str| {
        let text = request(method, "sip:us@192.0.2.1", &format!("z9hG4bK7{method}"), "");
        net.inject(Side::A, peer(), text.as_bytes());
    };
    inject(&mut net, "OPTIONS");
    let answer = answers(&mut net).pop().unwrap();
    assert_eq!(
        (answer.status, answer.headers.retry_after()),
        (503, Some(5))
    );
    // The shell records each refusal, so the agent does not answer in its place.
    inject(&mut net, "INVITE");
    assert!(answers(&mut net).iter().all(|answer| answer.status != 503));
    let told = net
        .events
        .iter()
        .any(|(_, event)| matches!(event, Event::IncomingInvite(_)));
    assert!(told, "the shell was not told");
}

#[test]
fn too_many_calls_are_answered_503() {
    let mut net = Net::with(4, |_, config| config.limits.invites_max = 3);
    for call in 0..5 {
        net.inject(
            Side::A,
            peer(),
            request("INVITE", "sip:us@192.0.2.1", &format!("z9hG4bK8{call}"), "").as_bytes(),
        );
    }
    let statuses: Vec<u16> = answers(&mut net)
        .iter()
        .map(|answer| answer.status)
        .collect();
    assert_eq!(statuses, [503, 503]);
    let mut full = Net::with(5, |_, config| config.limits.server_transactions_max = 4);
    for call in 0..5 {
        let branch = format!("z9hG4bK9{call}");
        let text = request("INVITE", "sip:us@192.0.2.1", &branch, "");
        full.inject(Side::A, peer(), text.as_bytes());
    }
    let statuses: Vec<u16> = answers(&mut full)
        .iter()
        .map(|answer| answer.status)
        .collect();
    assert_eq!(statuses, [503, 503], "a quarter is kept for calls");
}

/// RFC 3261 section 8.2.7.
#[test]
fn what_begins_no_call_is_answered_without_memory_and_alike_each_time() {
    let mut net = Net::new(16);
    for method in ["OPTIONS", "MESSAGE", "BYE", "REFER", "CANCEL", "REGISTER"] {
        let text = request(method, "sip:us@192.0.2.1", "z9hG4bKm", "");
        for _ in 0..2 {
            net.inject(Side::A, peer(), text.as_bytes());
            assert_eq!(net.agent(Side::A).table_sizes(), TableSizes::default());
        }
        let answers = answers(&mut net);
        let tags: Vec<_> = answers
            .iter()
            .map(|answer| answer.headers.to().unwrap().tag().unwrap().to_owned())
            .collect();
        assert_eq!(tags.len(), 2, "{method}");
        assert_eq!(tags[0], tags[1], "{method}");
    }
}

#[test]
fn a_100_comes_only_when_the_shell_takes_its_time() {
    let mut net = Net::new(6);
    net.inject(
        Side::A,
        peer(),
        request("INVITE", "sip:us@192.0.2.1", "z9hG4bK10", "").as_bytes(),
    );
    net.run_for(Duration::from_millis(199));
    assert_eq!(answers(&mut net).len(), 0);
    net.run_for(Duration::from_millis(2));
    assert_eq!(answers(&mut net)[0].status, 100);
}

#[test]
fn pattern_34_a_forged_source_gets_one_answer_and_no_repetition() {
    let mut net = Net::new(7);
    let invite = request("INVITE", "sip:us@192.0.2.1", "z9hG4bK11", "");
    net.inject(Side::A, peer(), invite.as_bytes());
    let call = net.incoming(Side::A).invite;
    let rejection = Rejection {
        status: 403,
        reason: None,
        retry_after_s: None,
    };
    net.act(Side::A, |agent, now| agent.reject(now, call, rejection))
        .unwrap();
    let sent: usize = net.outside.iter().map(|(_, _, data)| data.len()).sum();
    assert!(
        sent <= invite.len() * 3 / 2,
        "{sent} bytes for {}",
        invite.len()
    );
    net.run_for(Duration::from_secs(60));
    assert_eq!(answers(&mut net).len(), 1);
    net.assert_empty();
}

#[test]
fn a_refusal_after_ringing_is_repeated_until_the_ack() {
    let mut net = Net::new(8);
    net.inject(
        Side::A,
        peer(),
        request("INVITE", "sip:us@192.0.2.1", "z9hG4bK12", "").as_bytes(),
    );
    let call = net.incoming(Side::A).invite;
    net.act(Side::A, |agent, now| agent.ring(now, call, 180, None))
        .unwrap();
    let rejection = Rejection {
        status: 486,
        reason: Some("Q.850;cause=17".to_owned()),
        retry_after_s: Some(9),
    };
    net.act(Side::A, |agent, now| agent.reject(now, call, rejection))
        .unwrap();
    net.run_for(Duration::from_millis(1600));
    let refusals: Vec<Response> = answers(&mut net)
        .into_iter()
        .filter(|answer| answer.status == 486)
        .collect();
    assert_eq!(refusals.len(), 3);
    assert_eq!(
        refusals[0].headers.get(name::REASON),
        Some("Q.850;cause=17")
    );
    assert_eq!(refusals[0].headers.retry_after(), Some(9));
    let to = refusals[0].headers.get(name::TO).unwrap();
    let ack = request("ACK", "sip:us@192.0.2.1", "z9hG4bK12", "")
        .replace("To: <sip:us@192.0.2.1>", &format!("To: {to}"));
    net.inject(Side::A, peer(), ack.as_bytes());
    net.run_for(Duration::from_secs(40));
    assert_eq!(answers(&mut net).len(), 0);
    net.assert_empty();
}

#[test]
fn an_rfc_2543_peer_without_branch_is_matched() {
    let mut net = Net::new(9);
    let strip = |text: String| text.replace(";branch=z9hG4bK13", "");
    let invite = strip(request("INVITE", "sip:us@192.0.2.1", "z9hG4bK13", ""));
    net.inject(Side::A, peer(), invite.as_bytes());
    net.inject(Side::A, peer(), invite.as_bytes());
    let call = net.incoming(Side::A).invite;
    net.inject(
        Side::A,
        peer(),
        strip(request("CANCEL", "sip:us@192.0.2.1", "z9hG4bK13", "")).as_bytes(),
    );
    assert_eq!(net.ended(Side::A, call), EndCause::RemoteCancel);
    let statuses: Vec<u16> = answers(&mut net)
        .iter()
        .map(|answer| answer.status)
        .collect();
    assert_eq!(statuses, [200, 487]);
    net.assert_empty();
}

#[test]
fn nonsense_is_counted() {
    let mut net = Net::new(10);
    for data in [
        &b"hello"[..],
        b"SIP/2.0 200 OK\r\n\r\n",
        b"\x00\x01junk\r\n\r\n",
    ] {
        net.inject(Side::A, peer(), data);
    }
    let stray = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKnone\r\nFrom: <sip:a@b>;tag=1\r\n\
                 To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    net.inject(Side::A, peer(), stray.as_bytes());
    net.inject(Side::A, peer(), b"\r\n\r\n");
    net.inject(
        Side::A,
        peer(),
        request("ACK", "sip:us@192.0.2.1", "z9hG4bK14", "").as_bytes(),
    );
    let reasons: Vec<DropReason> = net
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Dropped { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect();
    assert_eq!(
        reasons,
        [
            DropReason::Malformed,
            DropReason::Malformed,
            DropReason::Malformed,
            DropReason::StrayResponse,
            DropReason::StrayRequest
        ]
    );
    assert_eq!(answers(&mut net).len(), 0);
}

fn with_password(seed: u64) -> Net {
    Net::with(seed, |side, config| {
        if side == Side::A {
            let credential = |username: &str| sip::InboundCredential {
                realm: "allo".to_owned(),
                username: username.to_owned(),
                password: "opensesame".to_owned(),
            };
            config.inbound_credentials = vec![credential("door"), credential("window")];
        }
    })
}

fn challenged(net: &mut Net, call: u32) -> Response {
    let invite = request("INVITE", "sip:us@192.0.2.1", &format!("z9hG4bKc{call}"), "");
    net.inject(Side::A, peer(), invite.as_bytes());
    let invite = net.incoming(Side::A).invite;
    net.act(Side::A, |agent, now| agent.challenge(now, invite, "allo"))
        .unwrap();
    assert_eq!(
        net.ended(Side::A, invite),
        EndCause::Rejected { status: 401 }
    );
    answers(net).pop().unwrap()
}

#[test]
fn a_challenged_invite_comes_back_authenticated() {
    use sip::digest::{Credentials, DigestClient};
    let mut net = with_password(11);
    for (username, password, expected) in [
        ("door", "opensesame", Some("door")),
        ("door", "guess", None),
        ("nobody", "opensesame", None),
    ] {
        let response = challenged(&mut net, 1);
        let mut client = DigestClient::new();
        client.handle_challenge(&response.headers.auth_fields(name::WWW_AUTHENTICATE), 0);
        let credentials = Credentials {
            username: username.to_owned(),
            password: password.to_owned(),
        };
        let field = client
            .authorization(&credentials, "INVITE", "sip:us@192.0.2.1", b"", "cn")
            .unwrap();
        let extra = format!("Authorization: {field}\r\n");
        let invite = request(
            "INVITE",
            "sip:us@192.0.2.1",
            &format!("z9hG4bKd{username}{password}"),
            &extra,
        );
        net.inject(Side::A, peer(), invite.as_bytes());
        let incoming = net.incoming(Side::A);
        assert_eq!(
            incoming.authenticated.as_deref(),
            expected,
            "{username} {password}"
        );
        // Pattern 27: the name counts in its realm only. A wrong password is told, so that guessers can be counted.
        assert_eq!(incoming.realm.as_deref(), expected.map(|_| "allo"));
        assert_eq!(incoming.proof_rejected, expected.is_none());
        // Pattern 29: who fails is challenged again, known user or not, with the same status.
        net.act(Side::A, |agent, now| {
            agent.challenge(now, incoming.invite, "allo")
        })
        .unwrap();
        assert_eq!(answers(&mut net).pop().unwrap().status, 401);
        net.run_for(Duration::from_secs(60));
    }
    net.assert_empty();
}

#[test]
fn pattern_28_nobody_is_identified_by_our_own_address() {
    let mut net = with_password(12);
    let mut config = crate::common::registrar::account();
    config.register = false;
    net.act(Side::A, |agent, now| {
        agent.set_account(now, sip::AccountId(1), config)
    });
    for uri in [
        "sip:alice@192.0.2.1",
        "sip:192.0.2.1",
        "sip:alice@198.51.100.1",
    ] {
        net.inject(
            Side::A,
            peer(),
            request("INVITE", uri, &format!("z9hG4bKe{}", uri.len()), "").as_bytes(),
        );
        let incoming = net.incoming(Side::A);
        assert_eq!(
            (incoming.account, incoming.authenticated),
            (None, None),
            "{uri}"
        );
    }
}

#[test]
fn pattern_18_every_request_of_a_dialog_has_its_own_cseq() {
    let mut net = Net::new(13);
    let (ours, _) = net.establish(sip::Protocol::Udp);
    net.act(Side::A, |agent, now| {
        agent.send_info(now, ours, "text/plain", b"x".to_vec())
    })
    .unwrap();
    net.act(Side::A, |agent, now| {
        agent.reinvite(now, ours, sdp("again"))
    })
    .unwrap();
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    let numbers: Vec<u32> = net
        .wire
        .iter()
        .filter(|(side, text)| {
            *side == Side::A && !text.starts_with("SIP/2.0") && !text.starts_with("ACK")
        })
        .filter_map(|(_, text)| match sip::message::parse(text.as_bytes()) {
            Ok(Message::Request(request)) => request.headers.cseq().map(|cseq| cseq.sequence),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    net.assert_empty();
}

#[test]
fn pattern_22_idle_connections_are_capped_per_address() {
    let mut net = Net::new(14);
    let now = net.now;
    let local = Side::A.address(sip::Protocol::Tcp);
    let mut closed = 0;
    for port in 1..=10_000u16 {
        let agent = net.agent(Side::A);
        let connection = agent.next_connection_id();
        let remote = SocketAddr::from(([203, 0, 113, 1], port));
        let listener = sip::ListenerId(2);
        agent.handle(
            now,
            sip::Input::Accepted {
                connection,
                listener,
                local,
                remote,
            },
        );
        while let Some(output) = agent.poll_output() {
            closed += usize::from(matches!(output, sip::Output::Close { .. }));
        }
    }
    assert_eq!(closed, 10_000 - 64);
    let (ours, _) = {
        let call = net.call(Side::B, Side::A, sip::Protocol::Tcp, Some(sdp("offer")));
        (call, net.incoming(Side::A))
    };
    net.act(Side::B, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.run_for(Duration::from_secs(31));
    assert!(
        net.agent(Side::A).table_sizes().connections <= 1,
        "mute connections are closed"
    );
}

#[test]
fn pattern_25_scans_evict_no_live_call() {
    let mut net = Net::with(15, |_, config| config.limits.server_transactions_max = 500);
    let (ours, theirs) = net.establish(sip::Protocol::Udp);
    for scan in 0..20_000 {
        net.inject(
            Side::B,
            peer(),
            request(
                "OPTIONS",
                "sip:100@192.0.2.2",
                &format!("z9hG4bKs{scan}"),
                "",
            )
            .as_bytes(),
        );
    }
    // Strangers' calls that nobody answers, as many as there are; their ACKs never come.
    for scan in 0..20_000 {
        let branch = format!("z9hG4bKi{scan}");
        let text = request("INVITE", "sip:100@192.0.2.2", &branch, "");
        net.inject(Side::B, peer(), text.as_bytes());
    }
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    assert_eq!(
        net.ended(Side::B, theirs),
        EndCause::RemoteBye { reason: None }
    );
}
