//! One call takes the place of another (RFC 3891), and is asked to by REFER (RFC 5589 section 7): A transfers, B is called twice or
//! stays, C is who comes instead.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::print_stderr,
    reason = "a test may fail loudly, pick events, and needs an origin of its virtual time"
)]

use std::time::Duration;

use crate::common::{Net, Side, sdp};
use sip::message::{Message, Replaces, Uri, name};
use sip::{CommandError, EndCause, Event, InviteId, OutgoingInvite, Protocol, Rejection, Replaced};

/// C calls somebody with a Replaces header.
fn takes_over(net: &mut Net, whom: Side, replaces: &[String]) -> InviteId {
    let to = format!("sip:us@{}", whom.address(Protocol::Udp));
    let mut headers: Vec<_> = replaces
        .iter()
        .map(|value| ("Replaces".to_owned(), value.clone()))
        .collect();
    headers.push(("Require".to_owned(), "replaces".to_owned()));
    let wish = OutgoingInvite {
        to,
        offer: Some(sdp("instead")),
        headers,
        ..OutgoingInvite::default()
    };
    net.act(Side::C, |agent, now| agent.invite(now, wish))
        .unwrap()
}

/// The dialog of the last call between A and B in the words of B: what C needs to know.
fn dialog_of_b(net: &Net) -> Replaces {
    let ok = net
        .wire
        .iter()
        .rfind(|(who, text)| {
            *who == Side::B && text.starts_with("SIP/2.0") && !text.starts_with("SIP/2.0 100")
        })
        .unwrap();
    let Ok(Message::Response(response)) = sip::message::parse(ok.1.as_bytes()) else {
        panic!("{}", ok.1)
    };
    Replaces {
        call_id: response.headers.call_id().unwrap().to_owned(),
        to_tag: response.headers.to_tag().unwrap().to_owned(),
        from_tag: response.headers.from_tag().unwrap().to_owned(),
        early_only: false,
    }
}

fn refused_with(net: &mut Net, theirs: InviteId) -> u16 {
    match net.ended(Side::C, theirs) {
        EndCause::Refused { status, .. } => status,
        other => panic!("{other:?}"),
    }
}

/// What B finds behind the Replaces of C's call; the shell's part is played as it is documented.
fn found(net: &mut Net) -> Replaced {
    let invite = net.incoming(Side::B);
    let replaces = invite.replaces.unwrap();
    if let Replaced::Refused { status } = replaces {
        let rejection = Rejection {
            status,
            reason: None,
            retry_after_s: None,
        };
        net.act(Side::B, |agent, now| {
            agent.reject(now, invite.invite, rejection)
        })
        .unwrap();
    }
    replaces
}

#[test]
fn a_call_goes_on_with_who_comes_instead_and_the_old_one_is_hung_up() {
    let mut net = Net::new(71);
    let (ours, theirs) = net.establish(Protocol::Udp);
    let dialog = dialog_of_b(&net);
    let instead = takes_over(&mut net, Side::B, &[dialog.to_string()]);
    let invite = net.incoming(Side::B);
    assert_eq!(invite.replaces, Some(Replaced::Dialog(theirs)));
    net.act(Side::B, |agent, now| {
        agent.answer(now, invite.invite, sdp("answer"))?;
        agent.hang_up(now, theirs, None)
    })
    .unwrap();
    assert_eq!(
        net.ended(Side::A, ours),
        EndCause::RemoteBye { reason: None }
    );
    net.until(Side::B, "Established", |event| match event {
        Event::Established { invite: known, .. } if *known == invite.invite => Some(()),
        _ => None,
    });
    net.act(Side::C, |agent, now| agent.hang_up(now, instead, None))
        .unwrap();
    net.assert_empty();
}

#[test]
fn what_cannot_be_replaced_is_refused_in_the_words_of_the_rfc() {
    let mut net = Net::new(72);
    let (ours, _) = net.establish(Protocol::Udp);
    let known = dialog_of_b(&net);
    let with = |change: fn(&mut Replaces)| {
        let mut other = known.clone();
        change(&mut other);
        other.to_string()
    };
    for (replaces, status, why) in [
        (with(|it| it.call_id.push('x')), 481, "another call"),
        (with(|it| it.to_tag.push('x')), 481, "another tag of ours"),
        (with(|it| it.from_tag = "x".to_owned()), 481, "another peer"),
        (
            with(|it| std::mem::swap(&mut it.to_tag, &mut it.from_tag)),
            481,
            "the tags the other way round",
        ),
        (with(|it| it.early_only = true), 486, "it was answered"),
    ] {
        let theirs = takes_over(&mut net, Side::B, &[replaces]);
        assert_eq!(found(&mut net), Replaced::Refused { status }, "{why}");
        assert_eq!(refused_with(&mut net, theirs), status, "{why}");
    }
    for replaces in [
        vec![known.to_string(), known.to_string()],
        vec!["nonsense".to_owned()],
    ] {
        let theirs = takes_over(&mut net, Side::B, &replaces);
        assert_eq!(refused_with(&mut net, theirs), 400, "{replaces:?}");
    }
    // B's side of the dialog is over, but not forgotten while its BYE has no answer.
    net.lose = Some(Box::new(|side, _| side == Side::A));
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.lose = None;
    let late = takes_over(&mut net, Side::B, &[known.to_string()]);
    let first = found(&mut net);
    assert!(
        matches!(first, Replaced::Dialog(_)),
        "the BYE was lost: {first:?}"
    );
    net.act(Side::C, |agent, now| agent.hang_up(now, late, None))
        .unwrap();
    net.assert_empty();
}

#[test]
fn a_call_that_nobody_has_answered_is_not_handed_over() {
    let mut net = Net::new(73);
    let ours = net.call(Side::A, Side::B, Protocol::Udp, Some(sdp("offer")));
    let theirs = net.incoming(Side::B).invite;
    net.act(Side::B, |agent, now| agent.ring(now, theirs, 180, None))
        .unwrap();
    net.until(Side::A, "180", |event| {
        matches!(event, Event::Progress { .. }).then_some(())
    });
    let mut dialog = dialog_of_b(&net);
    let here = takes_over(&mut net, Side::B, &[dialog.to_string()]);
    assert_eq!(found(&mut net), Replaced::Refused { status: 481 });
    assert_eq!(refused_with(&mut net, here), 481);
    // The same dialog in the words of A, who began it.
    std::mem::swap(&mut dialog.to_tag, &mut dialog.from_tag);
    let there = takes_over(&mut net, Side::A, &[dialog.to_string()]);
    let invite = net.incoming(Side::A);
    assert_eq!(invite.replaces, Some(Replaced::Refused { status: 603 }));
    net.act(Side::A, |agent, now| {
        agent.hang_up(now, invite.invite, None)?;
        agent.hang_up(now, ours, None)
    })
    .unwrap();
    net.ended(Side::C, there);
    net.assert_empty();
}

#[test]
fn replaces_in_anything_but_an_invite_is_a_bad_request() {
    let mut net = Net::new(74);
    let text = "OPTIONS sip:us@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKx\r\n\
        From: <sip:peer@198.51.100.9>;tag=a\r\nTo: <sip:us@192.0.2.1>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\
        Replaces: x;to-tag=a;from-tag=b\r\nContent-Length: 0\r\n\r\n";
    net.inject(
        Side::B,
        "198.51.100.9:5060".parse().unwrap(),
        text.as_bytes(),
    );
    assert_eq!(net.count(Side::B, "SIP/2.0 400"), 1, "{}", net.story());
}

#[test]
fn an_attended_transfer_names_the_other_call_as_its_peer_knows_it() {
    let mut net = Net::new(75);
    // A talks to B (the caller), and then to B again (the person): what A asks the caller's side for must lead to the latter.
    let (caller, _) = net.establish(Protocol::Udp);
    net.skip();
    let (person, person_of_b) = net.establish(Protocol::Udp);
    net.act(Side::A, |agent, now| {
        agent.refer_to_call(now, caller, person)
    })
    .unwrap();
    net.run_for(Duration::from_millis(200));
    let refer = net
        .wire
        .iter()
        .rfind(|(who, text)| *who == Side::A && text.starts_with("REFER"))
        .unwrap()
        .1
        .clone();
    let Ok(Message::Request(refer)) = sip::message::parse(refer.as_bytes()) else {
        panic!("{refer}")
    };
    let refer_to: sip::message::NameAddr =
        refer.headers.get(name::REFER_TO).unwrap().parse().unwrap();
    let Uri { user, headers, .. } = refer_to.uri;
    assert_eq!(user.as_deref(), Some("callee"));
    let headers = headers.unwrap();
    let replaces = headers.strip_prefix("Replaces=").unwrap();
    let replaces = replaces
        .replace("%3B", ";")
        .replace("%3D", "=")
        .replace("%40", "@");
    let caller_side = takes_over(&mut net, Side::B, &[replaces]);
    net.skip();
    net.run_for(Duration::from_millis(200));
    let invite = net
        .events
        .iter()
        .rev()
        .find_map(|(side, event)| match event {
            Event::IncomingInvite(invite) if *side == Side::B => Some(invite.clone()),
            _ => None,
        })
        .unwrap();
    assert_eq!(invite.replaces, Some(Replaced::Dialog(person_of_b)));
    for (side, id) in [(Side::A, caller), (Side::A, person), (Side::C, caller_side)] {
        net.act(side, |agent, now| agent.hang_up(now, id, None))
            .unwrap();
    }
    net.assert_empty();
}

#[test]
fn an_attended_transfer_that_cannot_be_is_not_asked_for() {
    let mut net = Net::new(76);
    let (caller, _) = net.establish(Protocol::Udp);
    net.skip();
    let rings = net.call(Side::A, Side::B, Protocol::Udp, Some(sdp("offer")));
    let refused = |net: &mut Net, one, other| {
        net.act(Side::A, |agent, now| agent.refer_to_call(now, one, other))
    };
    assert_eq!(
        refused(&mut net, caller, rings),
        Err(CommandError::WrongState)
    );
    assert_eq!(
        refused(&mut net, caller, caller),
        Err(CommandError::WrongState)
    );
    net.act(Side::A, |agent, now| agent.hang_up(now, rings, None))
        .unwrap();
    net.run_for(Duration::from_secs(40));
    assert_eq!(
        refused(&mut net, caller, rings),
        Err(CommandError::UnknownInvite)
    );
    assert_eq!(net.count(Side::A, "REFER"), 0);
    net.act(Side::A, |agent, now| agent.hang_up(now, caller, None))
        .unwrap();
    net.assert_empty();
}
