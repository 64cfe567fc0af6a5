//! Races that random worlds found, each as a call of its own.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail loudly, pick events, and needs an origin of its virtual time"
)]

use std::time::Duration;

use crate::common::{Net, Side, sdp};
use sip::message::{CSeq, Message, Method, name};
use sip::{EndCause, Event, InviteId, OutgoingInvite, Protocol, Target};

fn offer(net: &mut Net, side: Side) {
    net.until(side, "Offer", |event| {
        matches!(event, Event::Offer { .. }).then_some(())
    });
}

fn answer_of(net: &mut Net, side: Side) {
    net.until(side, "Answer", |event| {
        matches!(event, Event::Answer { .. }).then_some(())
    });
}

fn reinvite(net: &mut Net, side: Side, invite: InviteId) {
    net.act(side, |agent, now| {
        agent.reinvite(now, invite, sdp("change"))
    })
    .unwrap();
}

fn agree(net: &mut Net, side: Side, invite: InviteId) {
    net.act(side, |agent, now| {
        agent.answer_offer(now, invite, sdp("agreed"))
    })
    .unwrap();
}

/// Far beyond 64*T1 the call is still there on both sides, and ends as it should.
fn still_talks(net: &mut Net, ours: InviteId, theirs: InviteId) {
    net.run_for(Duration::from_secs(60));
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    assert_eq!(
        net.ended(Side::B, theirs),
        EndCause::RemoteBye { reason: None }
    );
    net.assert_empty();
}

#[test]
fn a_reinvite_behind_our_answer_to_theirs_waits_for_its_ack() {
    let mut net = Net::new(1);
    let (ours, theirs) = net.establish(Protocol::Udp);
    reinvite(&mut net, Side::A, ours);
    offer(&mut net, Side::B);
    agree(&mut net, Side::B, theirs);
    reinvite(&mut net, Side::B, theirs);
    answer_of(&mut net, Side::A);
    offer(&mut net, Side::A);
    agree(&mut net, Side::A, ours);
    answer_of(&mut net, Side::B);
    let acknowledged = net
        .wire
        .iter()
        .position(|(side, text)| *side == Side::A && text.contains("\r\nCSeq: 2 ACK"));
    let begun = net
        .wire
        .iter()
        .position(|(side, text)| *side == Side::B && text.starts_with("INVITE"));
    assert!(acknowledged.unwrap() < begun.unwrap(), "{}", net.story());
    still_talks(&mut net, ours, theirs);
}

#[test]
fn an_update_that_overtakes_the_ack_of_a_reinvite_leaves_the_call_alone() {
    let mut net = Net::new(2);
    let (ours, theirs) = net.establish(Protocol::Udp);
    net.lose = Some(Box::new(|side, text| {
        side == Side::A && text.starts_with("ACK")
    }));
    reinvite(&mut net, Side::A, ours);
    offer(&mut net, Side::B);
    agree(&mut net, Side::B, theirs);
    let (_, text) = net
        .wire
        .iter()
        .rfind(|(side, text)| *side == Side::A && text.starts_with("INVITE"))
        .unwrap();
    let Ok(Message::Request(mut update)) = sip::message::parse(text.as_bytes()) else {
        panic!("{text}")
    };
    update.method = Method::Update;
    let cseq = CSeq {
        sequence: 3,
        method: Method::Update,
    };
    update.headers.replace(name::CSEQ, cseq);
    let via = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKupdate";
    update.headers.replace(name::VIA, via);
    net.inject(Side::B, Side::A.address(Protocol::Udp), &update.to_bytes());
    offer(&mut net, Side::B);
    agree(&mut net, Side::B, theirs);
    still_talks(&mut net, ours, theirs);
}

#[test]
fn a_call_that_is_given_up_goes_to_no_other_target() {
    let mut net = Net::new(3);
    let target = |address: &str| Target {
        protocol: Protocol::Udp,
        address: address.parse().unwrap(),
        server_name: None,
    };
    let targets = vec![target("203.0.113.1:5060"), target("203.0.113.2:5060")];
    net.names.insert("trunk.test".to_owned(), targets);
    let wish = OutgoingInvite {
        to: "sip:x@trunk.test".to_owned(),
        offer: Some(sdp("offer")),
        ..OutgoingInvite::default()
    };
    let ours = net
        .act(Side::A, |agent, now| agent.invite(now, wish))
        .unwrap();
    net.run_for(Duration::from_secs(1));
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    assert_eq!(net.ended(Side::A, ours), EndCause::LocalHangUp);
    net.run_for(Duration::from_secs(60));
    let second = "203.0.113.2:5060".parse().unwrap();
    assert!(
        net.outside.iter().all(|(_, to, _)| *to != second),
        "{}",
        net.story()
    );
    net.assert_empty();
}

#[test]
fn a_reinvite_that_its_stream_lost_is_not_sent_again_after_the_bye() {
    let mut net = Net::new(4);
    let (ours, theirs) = net.establish(Protocol::Tcp);
    // Lost on the way, as a stream that dies takes what it holds with it.
    reinvite(&mut net, Side::A, ours);
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    let before = net.count(Side::A, "INVITE");
    net.break_streams();
    assert_eq!(
        net.ended(Side::B, theirs),
        EndCause::RemoteBye { reason: None }
    );
    assert_eq!(net.count(Side::A, "INVITE"), before, "{}", net.story());
    net.assert_empty();
}

#[test]
fn a_dialog_that_is_lost_answers_what_it_was_asked() {
    let mut net = Net::new(5);
    let (ours, theirs) = net.establish(Protocol::Udp);
    reinvite(&mut net, Side::A, ours);
    offer(&mut net, Side::B);
    // A leaves, and B does not hear of it: what B says next belongs to no dialog.
    net.lose = Some(Box::new(|side, text| {
        side == Side::A && (text.starts_with("BYE") || text.starts_with("CANCEL"))
    }));
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.act(Side::B, |agent, now| {
        agent.send_info(now, theirs, "text/plain", b"1".to_vec())
    })
    .unwrap();
    assert_eq!(net.ended(Side::B, theirs), EndCause::DialogLost);
    assert!(
        net.count(Side::B, "SIP/2.0 487") > 0,
        "the re-INVITE has an answer: {}",
        net.story()
    );
    net.assert_empty();
}
