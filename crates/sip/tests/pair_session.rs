//! Session timers, forks, failover and other long stories.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::print_stderr,
    reason = "a test may fail loudly, pick events, and needs an origin of its virtual time"
)]

use std::time::{Duration, Instant};

use crate::common::{Net, Side, sdp};
use sip::message::{Message, Method, NameAddr, Request, Response, name};
use sip::{EndCause, Event, OutgoingInvite, Protocol, Target};

fn refreshes(net: &Net, side: Side) -> usize {
    net.events
        .iter()
        .filter(|(who, event)| *who == side && matches!(event, Event::Refreshed { .. }))
        .count()
}

#[test]
fn a_session_is_refreshed_by_update_for_hours() {
    let mut net = Net::new(1);
    let (ours, theirs) = net.establish(Protocol::Udp);
    net.run_for(Duration::from_secs(4 * 3600));
    assert_eq!(
        net.count(Side::A, "UPDATE"),
        15,
        "each 900 s, less the round trips"
    );
    assert_eq!(net.count(Side::B, "UPDATE"), 0);
    assert_eq!(refreshes(&net, Side::A), refreshes(&net, Side::B));
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    assert_eq!(
        net.ended(Side::B, theirs),
        EndCause::RemoteBye { reason: None }
    );
    net.assert_empty();
}

#[test]
fn a_vanished_refresher_ends_the_session() {
    let mut net = Net::new(2);
    let (_, theirs) = net.establish(Protocol::Udp);
    net.lose = Some(Box::new(|side, _| side == Side::A));
    let before = net.now;
    assert_eq!(net.ended(Side::B, theirs), EndCause::SessionExpired);
    assert!(net.now - before <= Duration::from_secs(1800));
    assert_eq!(net.count(Side::B, "BYE"), 1);
}

#[test]
fn a_vanished_peer_is_noticed_by_our_refresh() {
    let mut net = Net::new(3);
    let (ours, _) = net.establish(Protocol::Udp);
    net.lose = Some(Box::new(|side, _| side == Side::B));
    assert_eq!(net.ended(Side::A, ours), EndCause::Timeout);
}

#[test]
fn a_422_raises_the_session_interval() {
    let mut net = Net::with(4, |side, config| match side {
        Side::A => config.session.expires_s = 120,
        Side::B => config.session.min_se_s = 600,
        Side::C => {}
    });
    let (ours, _) = net.establish(Protocol::Udp);
    assert_eq!(net.count(Side::B, "SIP/2.0 422"), 1);
    let last = net
        .wire
        .iter()
        .rfind(|(side, text)| *side == Side::A && text.starts_with("INVITE"))
        .unwrap();
    assert!(last.1.contains("Session-Expires: 600"), "{}", last.1);
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.assert_empty();
}

/// A callee at an address of its own that never knows UPDATE nor session timers.
fn old_phone(refresher: Option<&'static str>) -> crate::common::net::Script {
    Box::new(move |_: Instant, message: &Message| match message {
        Message::Request(request) if request.method == Method::Invite => {
            let mut response = answer_to(request, "old");
            if let Some(refresher) = refresher {
                response.headers.push(name::SESSION_EXPIRES, refresher);
            }
            vec![response.to_bytes()]
        }
        Message::Request(request) if request.method != Method::Ack => {
            vec![Response::to(request, 200).to_bytes()]
        }
        Message::Request(_) | Message::Response(_) => Vec::new(),
    })
}

fn answer_to(request: &Request, tag: &str) -> Response {
    let mut response = Response::to(request, 200);
    let to = request.headers.to().unwrap();
    let to = if to.tag().is_some() {
        to
    } else {
        to.with_tag(tag)
    };
    response.headers.replace(name::TO, to);
    response.headers.push(
        name::CONTACT,
        NameAddr::new(format!("sip:{tag}@198.51.100.1").parse().unwrap()),
    );
    response.headers.push(name::CONTENT_TYPE, "application/sdp");
    response.body = sdp(tag);
    response
}

fn call_phone(net: &mut Net) -> sip::InviteId {
    let wish = OutgoingInvite {
        to: "sip:phone@198.51.100.1".to_owned(),
        offer: Some(sdp("offer")),
        ..OutgoingInvite::default()
    };
    net.act(Side::A, |agent, now| agent.invite(now, wish))
        .unwrap()
}

#[test]
fn without_update_the_refresh_is_a_reinvite_with_the_same_offer() {
    let mut net = Net::new(5);
    net.scripts.insert(
        "198.51.100.1:5060".parse().unwrap(),
        old_phone(Some("200;refresher=uac")),
    );
    let ours = call_phone(&mut net);
    net.run_for(Duration::from_secs(1000));
    let invites: Vec<&String> = net
        .wire
        .iter()
        .filter(|(_, text)| text.starts_with("INVITE"))
        .map(|(_, text)| text)
        .collect();
    assert!(invites.len() >= 9, "{}", invites.len());
    assert!(invites.iter().all(|invite| invite.contains("s=offer")));
    assert_eq!(net.count(Side::A, "UPDATE"), 0);
    assert!(refreshes(&net, Side::A) >= 8);
    assert!(
        !net.events
            .iter()
            .any(|(_, event)| matches!(event, Event::Answer { .. })),
        "the answer is no news"
    );
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.assert_empty();
}

#[test]
fn refresh_against_expiry_the_late_refresher_loses() {
    let mut net = Net::new(6);
    net.scripts.insert(
        "198.51.100.1:5060".parse().unwrap(),
        old_phone(Some("100;refresher=uas")),
    );
    let ours = call_phone(&mut net);
    let before = net.now;
    assert_eq!(net.ended(Side::A, ours), EndCause::SessionExpired);
    assert!(
        net.now - before >= Duration::from_secs(60) && net.now - before < Duration::from_secs(100)
    );
    net.assert_empty();
}

#[test]
fn the_second_answer_of_a_fork_is_acknowledged_and_hung_up() {
    let mut net = Net::new(7);
    let script = |_: Instant, message: &Message| match message {
        Message::Request(request) if request.method == Method::Invite => {
            vec![
                answer_to(request, "one").to_bytes(),
                answer_to(request, "two").to_bytes(),
            ]
        }
        Message::Request(request) if request.method != Method::Ack => {
            vec![Response::to(request, 200).to_bytes()]
        }
        Message::Request(_) | Message::Response(_) => Vec::new(),
    };
    net.scripts
        .insert("198.51.100.1:5060".parse().unwrap(), Box::new(script));
    let ours = call_phone(&mut net);
    net.run_for(Duration::from_secs(2));
    assert_eq!(
        (net.count(Side::A, "ACK"), net.count(Side::A, "BYE")),
        (2, 1)
    );
    let bye = net
        .wire
        .iter()
        .find(|(_, text)| text.starts_with("BYE"))
        .unwrap();
    assert!(bye.1.contains("tag=two"), "{}", bye.1);
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    assert_eq!(net.ended(Side::A, ours), EndCause::LocalHangUp);
    net.assert_empty();
}

#[test]
fn a_target_that_is_silent_or_says_503_is_passed_over() {
    let mut net = Net::new(8);
    let target = |address: &str, protocol| Target {
        protocol,
        address: address.parse().unwrap(),
        server_name: None,
    };
    net.names.insert(
        "trunk.test".to_owned(),
        vec![
            target("203.0.113.1:5060", Protocol::Tcp),
            target("203.0.113.2:5060", Protocol::Udp),
            target("203.0.113.3:5060", Protocol::Udp),
            target("198.51.100.1:5060", Protocol::Udp),
        ],
    );
    let busy = |_: Instant, message: &Message| match message {
        Message::Request(request) if request.method == Method::Invite => {
            vec![Response::to(request, 503).to_bytes()]
        }
        Message::Request(_) | Message::Response(_) => Vec::new(),
    };
    net.scripts
        .insert("203.0.113.3:5060".parse().unwrap(), Box::new(busy));
    net.scripts
        .insert("198.51.100.1:5060".parse().unwrap(), old_phone(None));
    let wish = OutgoingInvite {
        to: "sip:x@trunk.test".to_owned(),
        offer: Some(sdp("offer")),
        ..OutgoingInvite::default()
    };
    let ours = net
        .act(Side::A, |agent, now| agent.invite(now, wish))
        .unwrap();
    net.until(Side::A, "Accepted", |event| {
        matches!(event, Event::Accepted { .. }).then_some(())
    });
    assert!(net.now - net.start < Duration::from_millis(2500));
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.assert_empty();
}

#[test]
fn names_that_do_not_resolve_and_ports_that_refuse_are_unreachable() {
    let mut net = Net::new(9);
    for to in ["sip:x@nowhere.test", "sip:x@192.0.2.3:9;transport=tcp"] {
        let wish = OutgoingInvite {
            to: to.to_owned(),
            offer: Some(sdp("offer")),
            ..OutgoingInvite::default()
        };
        let ours = net
            .act(Side::A, |agent, now| agent.invite(now, wish))
            .unwrap();
        assert_eq!(net.ended(Side::A, ours), EndCause::Unreachable, "{to}");
    }
    net.assert_empty();
}

#[test]
fn an_overlapping_reinvite_gets_500_with_retry_after() {
    let mut net = Net::new(10);
    let (ours, theirs) = net.establish(Protocol::Udp);
    net.act(Side::A, |agent, now| {
        agent.reinvite(now, ours, sdp("first"))
    })
    .unwrap();
    net.until(Side::B, "Offer", |event| {
        matches!(event, Event::Offer { .. }).then_some(())
    });
    let invite = net
        .wire
        .iter()
        .rfind(|(_, text)| text.starts_with("INVITE"))
        .unwrap()
        .1
        .clone();
    let second = invite
        .replace("branch=z9hG4bK", "branch=z9hG4bKother")
        .replace("CSeq: 2 INVITE", "CSeq: 3 INVITE");
    let from = Side::A.address(Protocol::Udp);
    net.inject(Side::B, from, second.as_bytes());
    let refusal = net
        .wire
        .iter()
        .rfind(|(side, text)| *side == Side::B && text.starts_with("SIP/2.0 500"))
        .unwrap();
    assert!(refusal.1.contains("Retry-After:"), "{}", refusal.1);
    net.act(Side::B, |agent, now| {
        agent.answer_offer(now, theirs, sdp("yes"))
    })
    .unwrap();
    net.until(Side::A, "Answer", |event| {
        matches!(event, Event::Answer { .. }).then_some(())
    });
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.assert_empty();
}

#[test]
fn pattern_07_a_huge_session_interval_is_clamped() {
    let mut net = Net::new(11);
    net.scripts.insert(
        "198.51.100.1:5060".parse().unwrap(),
        old_phone(Some("4294967295;refresher=uas")),
    );
    let ours = call_phone(&mut net);
    let before = net.now;
    let cause = net.until_within(
        Side::A,
        "Ended",
        Duration::from_secs(90_000),
        |event| match event {
            Event::Ended { invite, cause } if *invite == ours => Some(cause.clone()),
            _ => None,
        },
    );
    assert_eq!(cause, EndCause::SessionExpired);
    assert!(net.now - before <= Duration::from_secs(86_400));
}

#[test]
fn pattern_32_a_tls_connection_serves_one_server_name() {
    let mut net = Net::new(12);
    let target = |name: &str| {
        vec![Target {
            protocol: Protocol::Tls,
            address: Side::B.address(Protocol::Tls),
            server_name: Some(name.to_owned()),
        }]
    };
    net.names.insert("one.test".to_owned(), target("one.test"));
    net.names.insert("two.test".to_owned(), target("two.test"));
    for host in ["one.test", "two.test", "one.test"] {
        let wish = OutgoingInvite {
            to: format!("sips:x@{host}"),
            offer: Some(sdp("offer")),
            ..OutgoingInvite::default()
        };
        net.act(Side::A, |agent, now| agent.invite(now, wish))
            .unwrap();
        net.incoming(Side::B);
    }
    assert_eq!(net.agent(Side::A).table_sizes().connections, 2);
}

#[test]
fn requests_inside_a_dialog_stay_on_the_verified_tls_connection() {
    let mut net = Net::new(21);
    let address = Side::B.address(Protocol::Tls);
    let target = Target {
        protocol: Protocol::Tls,
        address,
        server_name: Some("trunk.test".to_owned()),
    };
    net.names.insert("trunk.test".to_owned(), vec![target]);
    let wish = OutgoingInvite {
        to: "sips:x@trunk.test".to_owned(),
        offer: Some(sdp("offer")),
        ..OutgoingInvite::default()
    };
    let ours = net
        .act(Side::A, |agent, now| agent.invite(now, wish))
        .unwrap();
    let theirs = net.incoming(Side::B).invite;
    net.act(Side::B, |agent, now| {
        agent.answer(now, theirs, sdp("answer"))
    })
    .unwrap();
    net.until(Side::B, "Established", |event| {
        matches!(event, Event::Established { .. }).then_some(())
    });
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    assert_eq!(
        net.ended(Side::B, theirs),
        EndCause::RemoteBye { reason: None }
    );
    assert_eq!(
        net.agent(Side::A).table_sizes().connections,
        1,
        "the Contact is an address: no second handshake"
    );
    net.assert_empty();
}

#[test]
fn pattern_16_and_17_thousands_of_calls_leave_nothing() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut net = Net::new(13);
        for call in 0..1_000 {
            let (ours, theirs) = net.establish(protocol);
            let (side, invite) = if call % 2 == 0 {
                (Side::A, ours)
            } else {
                (Side::B, theirs)
            };
            net.act(side, |agent, now| agent.hang_up(now, invite, None))
                .unwrap();
            net.run_for(Duration::from_millis(100));
            net.wire.clear();
        }
        net.assert_empty();
    }
}

/// The last request of a side, changed into another one inside the same dialog.
fn forge(net: &Net, side: Side, start: &str, change: impl Fn(&mut Request)) -> Vec<u8> {
    let text = &net
        .wire
        .iter()
        .rfind(|(who, text)| *who == side && text.starts_with(start))
        .unwrap()
        .1;
    let Ok(Message::Request(mut request)) = sip::message::parse(text.as_bytes()) else {
        panic!("{text}")
    };
    let branch = format!("z9hG4bKforged{}", net.wire.len());
    request.headers.replace(
        name::VIA,
        format!(
            "SIP/2.0/UDP {};branch={branch}",
            side.address(Protocol::Udp)
        ),
    );
    change(&mut request);
    request.to_bytes()
}

fn renumber(request: &mut Request, method: Method, sequence: u32) {
    request.method = method.clone();
    request
        .headers
        .replace(name::CSEQ, sip::message::CSeq { sequence, method });
}

#[test]
fn an_update_with_an_offer_is_answered_and_an_old_cseq_is_not() {
    let mut net = Net::new(14);
    let (ours, theirs) = net.establish(Protocol::Udp);
    let update = forge(&net, Side::A, "ACK", |request| {
        renumber(request, Method::Update, 7);
        request.headers.push(name::CONTENT_TYPE, "application/sdp");
        request.headers.push(name::CONTACT, "<sip:a@192.0.2.1>");
        request.body = sdp("updated");
    });
    net.inject(Side::B, Side::A.address(Protocol::Udp), &update);
    net.until(Side::B, "Offer", |event| {
        matches!(event, Event::Offer { .. }).then_some(())
    });
    net.act(Side::B, |agent, now| {
        agent.answer_offer(now, theirs, sdp("agreed"))
    })
    .unwrap();
    let answer = &net
        .wire
        .iter()
        .rfind(|(side, text)| *side == Side::B && text.contains("7 UPDATE"))
        .unwrap()
        .1;
    assert!(
        answer.starts_with("SIP/2.0 200") && answer.contains("s=agreed"),
        "{answer}"
    );
    let late = forge(&net, Side::A, "ACK", |request| {
        renumber(request, Method::Options, 6)
    });
    net.inject(Side::B, Side::A.address(Protocol::Udp), &late);
    assert_eq!(net.count(Side::B, "SIP/2.0 500"), 1);
    let stranger = forge(&net, Side::A, "ACK", |request| {
        renumber(request, Method::Bye, 9);
        let from = request.headers.from().unwrap().with_tag("stranger");
        request.headers.replace(name::FROM, from);
    });
    net.inject(Side::B, Side::A.address(Protocol::Udp), &stranger);
    assert_eq!(
        net.count(Side::B, "SIP/2.0 481"),
        1,
        "a BYE with a wrong tag ends nothing"
    );
    net.act(Side::B, |agent, now| agent.hang_up(now, theirs, None))
        .unwrap();
    assert_eq!(
        net.ended(Side::A, ours),
        EndCause::RemoteBye { reason: None }
    );
    net.assert_empty();
}

/// Answers B's copy of A's last REFER in B's name, whatever B itself says.
fn answer_refer(net: &mut Net, status: u16) {
    let text = net
        .wire
        .iter()
        .rfind(|(who, text)| *who == Side::A && text.starts_with("REFER"))
        .unwrap()
        .1
        .clone();
    let Ok(Message::Request(request)) = sip::message::parse(text.as_bytes()) else {
        panic!("{text}")
    };
    let response = Response::to(&request, status).to_bytes();
    net.inject(Side::A, Side::B.address(Protocol::Udp), &response);
}

/// A NOTIFY of B about the transfer.
fn notify(net: &mut Net, theirs: sip::InviteId, sequence: u32, line: &str, state: &str) {
    // B's own BYE, never sent, has the shape of a request of its dialog.
    let _ = theirs;
    let ok = net
        .wire
        .iter()
        .rfind(|(who, text)| {
            *who == Side::B && text.starts_with("SIP/2.0 200") && text.contains("INVITE")
        })
        .unwrap()
        .1
        .clone();
    let Ok(Message::Response(ok)) = sip::message::parse(ok.as_bytes()) else {
        panic!("{ok}")
    };
    let contact = net
        .wire
        .iter()
        .find(|(who, text)| *who == Side::A && text.starts_with("INVITE"))
        .and_then(|(_, text)| text.lines().find_map(|line| line.strip_prefix("Contact: ")))
        .unwrap()
        .trim_matches(['<', '>'])
        .to_owned();
    let (from, to) = (
        ok.headers.get(name::TO).unwrap(),
        ok.headers.get(name::FROM).unwrap(),
    );
    let call_id = ok.headers.get(name::CALL_ID).unwrap();
    let via = Side::B.address(Protocol::Udp);
    let text = format!(
        "NOTIFY {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bKnotify{sequence}\r\nMax-Forwards: 70\r\n\
         From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {sequence} NOTIFY\r\nEvent: refer\r\n\
         Subscription-State: {state}\r\nContent-Type: message/sipfrag\r\nContent-Length: {}\r\n\r\n{line}",
        line.len()
    );
    net.inject(Side::A, via, text.as_bytes());
}

fn refer_events(net: &Net) -> Vec<String> {
    net.events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::ReferAnswered { status, .. } => Some(format!("answered {status}")),
            Event::ReferNotified { status, last, .. } => Some(format!("notified {status} {last}")),
            _ => None,
        })
        .collect()
}

#[test]
fn a_blind_transfer_is_followed_to_its_end() {
    let mut net = Net::new(21);
    let (ours, theirs) = net.establish(Protocol::Udp);
    // Our own user agent declines every REFER; this peer takes it.
    net.lose = Some(Box::new(|side, data| {
        side == Side::B && data.starts_with("SIP/2.0 603")
    }));
    net.act(Side::A, |agent, now| {
        agent.refer(now, ours, "sip:+33491000001@192.0.2.9")
    })
    .unwrap();
    assert!(
        net.act(Side::A, |agent, now| agent.refer(
            now,
            ours,
            "sip:x@192.0.2.9"
        ))
        .is_err(),
        "one at a time"
    );
    net.run_for(Duration::from_millis(200));
    let sent = &net
        .wire
        .iter()
        .rfind(|(who, text)| *who == Side::A && text.starts_with("REFER"))
        .unwrap()
        .1
        .clone();
    assert!(
        sent.contains("Refer-To: <sip:+33491000001@192.0.2.9>"),
        "{sent}"
    );
    assert!(
        sent.contains("Referred-By: <") && sent.contains("Contact: <"),
        "{sent}"
    );
    answer_refer(&mut net, 202);
    notify(
        &mut net,
        theirs,
        50,
        "SIP/2.0 100 Trying\r\n",
        "active;expires=60",
    );
    notify(
        &mut net,
        theirs,
        51,
        "SIP/2.0 200 OK\r\n",
        "terminated;reason=noresource",
    );
    net.run_for(Duration::from_millis(200));
    assert_eq!(
        refer_events(&net),
        ["answered 202", "notified 100 false", "notified 200 true"]
    );
    notify(&mut net, theirs, 52, "SIP/2.0 200 OK\r\n", "terminated");
    net.run_for(Duration::from_millis(200));
    assert_eq!(
        net.count(Side::A, "SIP/2.0 481"),
        1,
        "nothing is awaited any more"
    );
    assert_eq!(refer_events(&net).len(), 3);
}

#[test]
fn a_transfer_that_is_refused_or_unanswered_leaves_the_call_as_it_was() {
    let mut net = Net::new(22);
    let (ours, _) = net.establish(Protocol::Udp);
    net.act(Side::A, |agent, now| {
        agent.refer(now, ours, "sip:x@192.0.2.9")
    })
    .unwrap();
    net.run_for(Duration::from_secs(1));
    assert_eq!(refer_events(&net), ["answered 603"]);
    net.lose = Some(Box::new(|_, data| {
        data.starts_with("REFER") || data.starts_with("SIP/2.0 603")
    }));
    net.act(Side::A, |agent, now| {
        agent.refer(now, ours, "sip:x@192.0.2.9")
    })
    .unwrap();
    net.run_for(Duration::from_secs(40));
    assert_eq!(refer_events(&net), ["answered 603", "answered 408"]);
    net.lose = None;
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.run_for(Duration::from_secs(1));
    net.assert_one_end_each();
    assert!(
        net.act(Side::A, |agent, now| agent.refer(now, ours, "tel:+33"))
            .is_err()
    );
}

#[test]
fn a_refer_is_declined_and_told() {
    let mut net = Net::new(15);
    let (_, theirs) = net.establish(Protocol::Udp);
    let refer = forge(&net, Side::A, "ACK", |request| {
        renumber(request, Method::Refer, 7);
        request
            .headers
            .push(name::REFER_TO, "<sip:x@198.51.100.1?Route=%3Csip:evil%3E>");
    });
    net.inject(Side::B, Side::A.address(Protocol::Udp), &refer);
    let refer_to = net.until(Side::B, "Refer", |event| match event {
        Event::Refer { refer_to, .. } => Some(refer_to.clone()),
        _ => None,
    });
    assert_eq!(
        refer_to, "sip:x@198.51.100.1",
        "pattern 33: embedded headers are dropped"
    );
    assert_eq!(net.count(Side::B, "SIP/2.0 603"), 1);
    net.act(Side::B, |agent, now| agent.hang_up(now, theirs, None))
        .unwrap();
    net.assert_empty();
}

#[test]
fn an_answer_finds_its_way_when_the_stream_of_the_invite_is_gone() {
    let mut net = Net::new(16);
    let ours = net.call(Side::A, Side::B, Protocol::Tcp, Some(sdp("offer")));
    let theirs = net.incoming(Side::B).invite;
    net.act(Side::B, |agent, now| agent.ring(now, theirs, 180, None))
        .unwrap();
    net.until(Side::A, "180", |event| {
        matches!(event, Event::Progress { .. }).then_some(())
    });
    net.break_streams();
    net.run_for(Duration::from_secs(1));
    net.act(Side::B, |agent, now| {
        agent.answer(now, theirs, sdp("answer"))
    })
    .unwrap();
    net.until(Side::A, "Accepted", |event| {
        matches!(event, Event::Accepted { .. }).then_some(())
    });
    net.until(Side::B, "Established", |event| {
        matches!(event, Event::Established { .. }).then_some(())
    });
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    assert_eq!(
        net.ended(Side::B, theirs),
        EndCause::RemoteBye { reason: None }
    );
    net.assert_empty();
}

#[test]
fn nobody_answers_and_nobody_decides() {
    let mut net = Net::with(17, |_, config| {
        config.limits.ringing = Duration::from_secs(60)
    });
    let ours = net.call(Side::A, Side::B, Protocol::Udp, Some(sdp("offer")));
    let theirs = net.incoming(Side::B).invite;
    net.act(Side::B, |agent, now| agent.ring(now, theirs, 180, None))
        .unwrap();
    assert_eq!(net.ended(Side::B, theirs), EndCause::Timeout);
    assert!(matches!(
        net.ended(Side::A, ours),
        EndCause::Refused { status: 480, .. }
    ));
    net.assert_empty();
}

#[test]
fn a_callee_that_rings_for_ever_is_cancelled() {
    let mut net = Net::new(18);
    let script = |_: Instant, message: &Message| match message {
        Message::Request(request) if request.method == Method::Invite => {
            vec![Response::to(request, 180).to_bytes()]
        }
        Message::Request(_) | Message::Response(_) => Vec::new(),
    };
    net.scripts
        .insert("198.51.100.1:5060".parse().unwrap(), Box::new(script));
    let ours = call_phone(&mut net);
    assert_eq!(net.ended(Side::A, ours), EndCause::Timeout);
    assert!(net.count(Side::A, "CANCEL") > 0);
    net.assert_empty();
}

#[test]
fn commands_in_the_wrong_state_are_refused() {
    use sip::{CommandError, InviteError};
    let mut net = Net::new(19);
    let wish = |to: &str| OutgoingInvite {
        to: to.to_owned(),
        ..OutgoingInvite::default()
    };
    for (to, expected) in [
        ("tel:+33", InviteError::BadUri),
        ("bob", InviteError::BadUri),
        ("sip:", InviteError::BadUri),
    ] {
        assert_eq!(
            net.act(Side::A, |agent, now| agent.invite(now, wish(to))),
            Err(expected),
            "{to}"
        );
    }
    let mut injected = wish("sip:b@192.0.2.2");
    injected.headers = vec![("X-A".to_owned(), "1\r\nRoute: <sip:evil>".to_owned())];
    assert_eq!(
        net.act(Side::A, |agent, now| agent.invite(now, injected)),
        Err(InviteError::BadHeader)
    );
    let mut stranger = wish("sip:b@192.0.2.2");
    stranger.account = Some(sip::AccountId(9));
    assert_eq!(
        net.act(Side::A, |agent, now| agent.invite(now, stranger)),
        Err(InviteError::UnknownAccount)
    );
    let (ours, _) = net.establish(Protocol::Udp);
    let again = net.act(Side::A, |agent, now| agent.answer(now, ours, sdp("x")));
    assert_eq!(again, Err(CommandError::WrongState));
    net.act(Side::A, |agent, now| agent.reinvite(now, ours, sdp("x")))
        .unwrap();
    let twice = net.act(Side::A, |agent, now| agent.reinvite(now, ours, sdp("y")));
    assert_eq!(twice, Err(CommandError::OfferPending));
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    let ended = net.act(Side::A, |agent, now| agent.hang_up(now, ours, None));
    assert_eq!(ended, Err(CommandError::UnknownInvite));
    net.assert_empty();
}

#[test]
fn secrets_stay_out_of_traces() {
    let mut net = Net::new(20);
    let registrar =
        crate::common::registrar::Registrar::install(&mut net, "198.51.100.1:5060", "secret");
    net.act(Side::A, |agent, now| {
        agent.set_account(now, sip::AccountId(1), crate::common::registrar::account())
    });
    net.run_for(Duration::from_secs(1));
    let sent = registrar
        .borrow()
        .requests
        .last()
        .unwrap()
        .headers
        .get(name::AUTHORIZATION)
        .unwrap()
        .to_owned();
    let response = sent
        .split("response=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let mut traces = 0;
    for (_, event) in &net.events {
        if let Event::Trace(trace) = event {
            traces += 1;
            assert!(!String::from_utf8_lossy(&trace.message).contains(&response));
            assert!(!format!("{trace:?}").contains("secret"));
        }
    }
    assert!(traces >= 4);
    assert!(!format!("{:?}", crate::common::registrar::account()).contains("secret"));
}
