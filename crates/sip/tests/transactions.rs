//! Transactions row by row against a peer that is a script: pauses, absorbed repetitions, failover, forks, where answers go
//! (RFC 3261 sections 17, 18.2.2 and RFC 3581).

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
use sip::message::{Message, Method, NameAddr, Request, name};
use sip::{EndCause, Event, InviteId, OutgoingInvite, Protocol, Target};

const TRUNK: &str = "203.0.113.1:5060";
const SECOND: &str = "203.0.113.2:5060";

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// A call of A to the trunk `to`.
fn call(net: &mut Net, to: &str) -> InviteId {
    let wish = OutgoingInvite {
        to: to.to_owned(),
        offer: Some(sdp("offer")),
        ..OutgoingInvite::default()
    };
    net.act(Side::A, |agent, now| agent.invite(now, wish))
        .unwrap()
}

/// Requests that went to an address since the last look.
fn requests(net: &mut Net, to: &str) -> Vec<Request> {
    let wanted = at(to);
    let (here, elsewhere): (Vec<_>, Vec<_>) = net
        .outside
        .drain(..)
        .partition(|(_, address, _)| *address == wanted);
    net.outside = elsewhere;
    let parsed = here
        .into_iter()
        .map(|(_, _, data)| sip::message::parse(&data).unwrap());
    parsed
        .filter_map(|message| match message {
            Message::Request(request) => Some(request),
            Message::Response(_) => None,
        })
        .collect()
}

/// A response of the peer to a request of ours.
fn response(request: &Request, status: u16, tag: &str, extra: &str) -> String {
    let header = |what| request.headers.get(what).unwrap();
    format!(
        "SIP/2.0 {status} Words\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag={tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{extra}Content-Length: 0\r\n\r\n",
        header(name::VIA),
        header(name::FROM),
        request.headers.to().unwrap().uri,
        header(name::CALL_ID),
        header(name::CSEQ),
    )
    // An address without brackets would take the tag as its own.
    .replace("To: sip:", "To: <sip:")
    .replace(&format!(";tag={tag}"), &format!(">;tag={tag}"))
}

fn respond(net: &mut Net, from: &str, request: &Request, status: u16, tag: &str, extra: &str) {
    let text = response(request, status, tag, extra);
    net.inject(Side::A, at(from), text.as_bytes());
}

/// When requests of a method left, in tenths of a second from now on.
fn departures(net: &mut Net, to: &str, method: &Method, tenths: u32) -> Vec<u32> {
    let mut times = Vec::new();
    for tenth in 0..=tenths {
        let sent = requests(net, to);
        times.extend(
            sent.iter()
                .filter(|request| request.method == *method)
                .map(|_| tenth),
        );
        net.run_for(Duration::from_millis(100));
    }
    times
}

/// The peer answers an INVITE of ours, as `user` at the trunk.
fn accept(net: &mut Net, invite: &Request, tag: &str, user: &str) {
    let contact = format!("Contact: <sip:{user}@{TRUNK}>\r\n");
    let text = response(invite, 200, tag, &contact);
    let head = text.trim_end().trim_end_matches("Content-Length: 0");
    let body = String::from_utf8(sdp("answer")).unwrap();
    let text = format!(
        "{head}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    net.inject(Side::A, at(TRUNK), text.as_bytes());
}

/// A call that the trunk answered and we acknowledged.
fn answered(net: &mut Net) -> InviteId {
    let ours = call(net, &format!("sip:x@{TRUNK};transport=udp"));
    let invite = requests(net, TRUNK).remove(0);
    accept(net, &invite, "callee", "x");
    net.until(Side::A, "Accepted", |event| {
        matches!(event, Event::Accepted { .. }).then_some(())
    });
    let methods: Vec<Method> = requests(net, TRUNK)
        .into_iter()
        .map(|sent| sent.method)
        .collect();
    assert_eq!(methods, [Method::Ack]);
    ours
}

#[test]
fn an_invite_without_an_answer_is_repeated_after_doubled_pauses() {
    let mut net = Net::new(1);
    let ours = call(&mut net, &format!("sip:x@{TRUNK};transport=udp"));
    let times = departures(&mut net, TRUNK, &Method::Invite, 400);
    assert_eq!(
        times,
        [0, 5, 15, 35, 75, 155, 315],
        "T1, doubled without a ceiling, to 64 T1"
    );
    assert!(matches!(net.ended(Side::A, ours), EndCause::Timeout));
    net.assert_empty();
}

#[test]
fn any_other_request_is_repeated_at_least_every_four_seconds() {
    let mut net = Net::new(2);
    let ours = answered(&mut net);
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    let times = departures(&mut net, TRUNK, &Method::Bye, 400);
    let expected = [0, 5, 15, 35, 75, 115, 155, 195, 235, 275, 315];
    assert_eq!(times, expected, "T1 doubled up to T2, to 64 T1");
    net.assert_empty();
}

#[test]
fn a_provisional_response_slows_the_repetitions_down() {
    let mut net = Net::new(3);
    let ours = answered(&mut net);
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    let bye = requests(&mut net, TRUNK).remove(0);
    respond(&mut net, TRUNK, &bye, 100, "callee", "");
    let times = departures(&mut net, TRUNK, &Method::Bye, 130);
    assert_eq!(times, [5, 45, 85, 125], "one pause was running, then T2");
    net.assert_empty();
}

#[test]
fn a_final_response_is_absorbed_for_as_long_as_repetitions_of_the_request_may_cause_it() {
    let mut net = Net::new(4);
    let ours = answered(&mut net);
    net.run_for(Duration::from_secs(40));
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    let bye = requests(&mut net, TRUNK).remove(0);
    respond(&mut net, TRUNK, &bye, 200, "callee", "");
    let transactions = |net: &mut Net| net.agent(Side::A).table_sizes().client_transactions;
    net.run_for(Duration::from_millis(4_900));
    assert_eq!(transactions(&mut net), 1, "Timer K: T4 on datagrams");
    net.run_for(Duration::from_millis(200));
    assert_eq!(transactions(&mut net), 0);
    net.assert_empty();
}

#[test]
fn a_refusal_is_acknowledged_as_often_as_it_comes() {
    let mut net = Net::new(5);
    let ours = call(&mut net, &format!("sip:x@{TRUNK};transport=udp"));
    let invite = requests(&mut net, TRUNK).remove(0);
    for seconds in [0, 1, 30] {
        net.run_for(Duration::from_secs(seconds));
        respond(&mut net, TRUNK, &invite, 486, "callee", "");
        let sent = requests(&mut net, TRUNK);
        let [ack] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(ack.method, Method::Ack);
        assert_eq!(ack.uri, invite.uri);
        assert_eq!(
            ack.headers.to().unwrap().tag(),
            Some("callee"),
            "that of the refusal"
        );
        for same in [name::VIA, name::FROM, name::CALL_ID] {
            assert_eq!(ack.headers.get(same), invite.headers.get(same));
        }
        let (ack, invite) = (ack.headers.cseq().unwrap(), invite.headers.cseq().unwrap());
        assert_eq!((ack.sequence, ack.method), (invite.sequence, Method::Ack));
    }
    // Timer D: 32 s after the first.
    net.run_for(Duration::from_secs(2));
    respond(&mut net, TRUNK, &invite, 486, "callee", "");
    assert!(
        requests(&mut net, TRUNK).is_empty(),
        "nobody knows it any more"
    );
    assert!(matches!(
        net.ended(Side::A, ours),
        EndCause::Refused { status: 486, .. }
    ));
    net.assert_empty();
}

#[test]
fn a_response_with_two_vias_belongs_to_somebody_else() {
    let mut net = Net::new(6);
    let ours = call(&mut net, &format!("sip:x@{TRUNK};transport=udp"));
    let invite = requests(&mut net, TRUNK).remove(0);
    respond(
        &mut net,
        TRUNK,
        &invite,
        486,
        "callee",
        "Via: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKother\r\n",
    );
    assert!(requests(&mut net, TRUNK).is_empty(), "no ACK");
    respond(&mut net, TRUNK, &invite, 486, "callee", "");
    assert_eq!(requests(&mut net, TRUNK).len(), 1);
    assert!(matches!(
        net.ended(Side::A, ours),
        EndCause::Refused { status: 486, .. }
    ));
    net.assert_empty();
}

#[test]
fn only_503_and_silence_lead_to_the_next_target() {
    for status in [0, 503, 408, 480, 486, 500, 502, 504, 600, 603] {
        let mut net = Net::new(7);
        let target = |address| Target {
            protocol: Protocol::Udp,
            address: at(address),
            server_name: None,
        };
        net.names
            .insert("trunk.test".to_owned(), vec![target(TRUNK), target(SECOND)]);
        call(&mut net, "sip:x@trunk.test");
        // The name is looked up.
        net.run_for(Duration::from_millis(100));
        let first = requests(&mut net, TRUNK).remove(0);
        if status == 0 {
            net.run_for(Duration::from_millis(1_700));
            assert!(requests(&mut net, SECOND).is_empty(), "patience is 4 T1");
            net.run_for(Duration::from_millis(400));
        } else {
            respond(&mut net, TRUNK, &first, status, "callee", "");
            net.run_for(Duration::from_millis(100));
        }
        let second = requests(&mut net, SECOND);
        assert_eq!(
            second.len(),
            usize::from([0, 503].contains(&status)),
            "{status}"
        );
        if let [second] = &second[..] {
            assert_ne!(
                second.headers.get(name::VIA),
                first.headers.get(name::VIA),
                "a transaction of its own"
            );
            assert_eq!(second.headers.call_id(), first.headers.call_id());
            assert_eq!(second.headers.cseq(), first.headers.cseq());
        }
    }
}

#[test]
fn each_branch_of_a_fork_is_acknowledged_and_left_up_to_eight() {
    let mut net = Net::new(8);
    call(&mut net, &format!("sip:x@{TRUNK};transport=udp"));
    let invite = requests(&mut net, TRUNK).remove(0);
    for branch in 0..12 {
        accept(
            &mut net,
            &invite,
            &format!("fork{branch}"),
            &format!("x{branch}"),
        );
    }
    let sent = requests(&mut net, TRUNK);
    let tags = |method: &Method| -> Vec<String> {
        let of_method = sent.iter().filter(|request| request.method == *method);
        let to: Vec<NameAddr> = of_method
            .filter_map(|request| request.headers.to())
            .collect();
        to.iter()
            .filter_map(|to| to.tag().map(str::to_owned))
            .collect()
    };
    let all: Vec<String> = (0..8).map(|branch| format!("fork{branch}")).collect();
    assert_eq!(tags(&Method::Ack), all);
    assert_eq!(tags(&Method::Bye), all[1..], "the first is the call");
}

#[test]
fn an_answer_goes_to_the_port_that_the_via_asks_for() {
    let source = at("198.51.100.9:7777");
    for (via, port, received, rport) in [
        // RFC 3261 section 18.2.2: the address that it came from, the port of the Via.
        ("198.51.100.9:5070;branch=z9hG4bKa", 5070, None, None),
        ("198.51.100.9;branch=z9hG4bKb", 5060, None, None),
        (
            "10.0.0.5:5070;branch=z9hG4bKc",
            5070,
            Some("198.51.100.9"),
            None,
        ),
        (
            "phone.example;branch=z9hG4bKd",
            5060,
            Some("198.51.100.9"),
            None,
        ),
        // RFC 3581: the port that it came from as well.
        (
            "10.0.0.5:5070;rport;branch=z9hG4bKe",
            7777,
            Some("198.51.100.9"),
            Some("7777"),
        ),
        (
            "198.51.100.9:7777;rport;branch=z9hG4bKf",
            7777,
            Some("198.51.100.9"),
            Some("7777"),
        ),
    ] {
        let mut net = Net::new(9);
        let request = format!(
            "OPTIONS sip:us@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nFrom: <sip:p@198.51.100.9>;tag=p\r\nTo: <sip:us@192.0.2.1>\r\nCall-ID: one\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        net.inject(Side::A, source, request.as_bytes());
        let (_, to, data) = net.outside.remove(0);
        assert_eq!(to, SocketAddr::new(source.ip(), port), "{via}");
        let Message::Response(answer) = sip::message::parse(&data).unwrap() else {
            panic!("{via}")
        };
        let via_back = answer.headers.get(name::VIA).unwrap();
        match received {
            Some(address) => assert!(
                via_back.contains(&format!("received={address}")),
                "{via_back}"
            ),
            None => assert!(!via_back.contains("received="), "{via_back}"),
        }
        match rport {
            Some(port) => assert!(via_back.contains(&format!("rport={port}")), "{via_back}"),
            None => assert!(!via_back.contains("rport="), "{via_back}"),
        }
    }
}
