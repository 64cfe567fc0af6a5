//! Calls between two user agents: the ordinary course, and what the network does to it.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::print_stderr,
    reason = "a test may fail loudly, pick events, and needs an origin of its virtual time"
)]

use crate::common::{Net, Side, sdp};
use sip::{EndCause, Event, Protocol};

#[test]
fn a_call_over_udp_is_answered_and_hung_up() {
    let mut net = Net::new(1);
    let ours = net.call(Side::A, Side::B, Protocol::Udp, Some(sdp("offer")));
    let incoming = net.incoming(Side::B);
    assert_eq!(incoming.offer, Some(sdp("offer")));
    assert_eq!(incoming.to.user, "callee");
    let theirs = incoming.invite;
    net.act(Side::B, |agent, now| agent.ring(now, theirs, 180, None))
        .unwrap();
    net.until(Side::A, "180", |event| {
        matches!(event, Event::Progress { status: 180, .. }).then_some(())
    });
    net.act(Side::B, |agent, now| {
        agent.answer(now, theirs, sdp("answer"))
    })
    .unwrap();
    let answer = net.until(Side::A, "Accepted", |event| match event {
        Event::Accepted { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(answer, Some(sdp("answer")));
    net.until(Side::B, "Established", |event| {
        matches!(event, Event::Established { answer: None, .. }).then_some(())
    });
    net.act(Side::B, |agent, now| agent.hang_up(now, theirs, None))
        .unwrap();
    assert_eq!(
        net.ended(Side::A, ours),
        EndCause::RemoteBye { reason: None }
    );
    assert_eq!(net.ended(Side::B, theirs), EndCause::LocalHangUp);
    net.assert_empty();
}

/// Loses the first message of the side whose first line starts like this.
fn lose_first(net: &mut Net, side: Side, start: &'static str) {
    let mut left = 1;
    net.lose = Some(Box::new(move |who, text| {
        let hit = who == side && left > 0 && text.starts_with(start);
        left -= u32::from(hit);
        hit
    }));
}

fn lose_all(net: &mut Net, side: Side, start: &'static str) {
    net.lose = Some(Box::new(move |who, text| {
        who == side && text.starts_with(start)
    }));
}

#[test]
fn a_call_over_tcp_and_tls_is_answered_and_hung_up() {
    for protocol in [Protocol::Tcp, Protocol::Tls] {
        let mut net = Net::new(2);
        let (ours, theirs) = net.establish(protocol);
        net.act(Side::A, |agent, now| {
            agent.hang_up(now, ours, Some("Q.850;cause=16".to_owned()))
        })
        .unwrap();
        let reason = Some("Q.850;cause=16".to_owned());
        assert_eq!(net.ended(Side::B, theirs), EndCause::RemoteBye { reason });
        assert_eq!(net.ended(Side::A, ours), EndCause::LocalHangUp);
        net.assert_empty();
    }
}

#[test]
fn a_lost_200_is_repeated() {
    let mut net = Net::new(3);
    lose_first(&mut net, Side::B, "SIP/2.0 200");
    let (ours, _) = net.establish(Protocol::Udp);
    assert_eq!(net.count(Side::B, "SIP/2.0 200"), 2);
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.assert_empty();
}

#[test]
fn a_lost_ack_is_repeated_with_the_200() {
    let mut net = Net::new(4);
    lose_first(&mut net, Side::A, "ACK");
    let (_, theirs) = net.establish(Protocol::Udp);
    assert_eq!(net.count(Side::A, "ACK"), 2);
    net.act(Side::B, |agent, now| agent.hang_up(now, theirs, None))
        .unwrap();
    net.assert_empty();
}

#[test]
fn a_missing_ack_ends_the_call_with_bye() {
    let mut net = Net::new(5);
    lose_all(&mut net, Side::A, "ACK");
    let ours = net.call(Side::A, Side::B, Protocol::Udp, Some(sdp("offer")));
    let theirs = net.incoming(Side::B).invite;
    net.act(Side::B, |agent, now| {
        agent.answer(now, theirs, sdp("answer"))
    })
    .unwrap();
    assert_eq!(net.ended(Side::B, theirs), EndCause::AckMissing);
    assert_eq!(
        net.ended(Side::A, ours),
        EndCause::RemoteBye { reason: None }
    );
    assert_eq!(net.count(Side::B, "BYE"), 1);
    net.assert_empty();
}

#[test]
fn a_lost_bye_is_repeated() {
    let mut net = Net::new(6);
    let (ours, theirs) = net.establish(Protocol::Udp);
    lose_first(&mut net, Side::A, "BYE");
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    assert_eq!(
        net.ended(Side::B, theirs),
        EndCause::RemoteBye { reason: None }
    );
    assert_eq!(net.count(Side::A, "BYE"), 2);
    net.assert_empty();
}

#[test]
fn crossing_byes_end_both_sides() {
    let mut net = Net::new(7);
    let (ours, theirs) = net.establish(Protocol::Udp);
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.act(Side::B, |agent, now| agent.hang_up(now, theirs, None))
        .unwrap();
    assert_eq!(net.ended(Side::A, ours), EndCause::LocalHangUp);
    assert_eq!(net.ended(Side::B, theirs), EndCause::LocalHangUp);
    net.run_for(std::time::Duration::from_secs(1));
    assert_eq!(net.count(Side::A, "SIP/2.0 200"), 1);
    assert_eq!(net.count(Side::B, "SIP/2.0 200"), 2);
    net.assert_empty();
}

#[test]
fn cancel_before_any_answer_waits_for_a_provisional() {
    let mut net = Net::new(8);
    let ours = net.call(Side::A, Side::B, Protocol::Udp, Some(sdp("offer")));
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    assert_eq!(net.ended(Side::A, ours), EndCause::LocalHangUp);
    assert_eq!(net.count(Side::A, "CANCEL"), 0);
    let theirs = net.incoming(Side::B).invite;
    assert_eq!(net.ended(Side::B, theirs), EndCause::RemoteCancel);
    assert_eq!(net.count(Side::B, "SIP/2.0 487"), 1);
    net.assert_empty();
}

#[test]
fn cancel_while_ringing_ends_both_sides() {
    let mut net = Net::new(9);
    let ours = net.call(Side::A, Side::B, Protocol::Udp, Some(sdp("offer")));
    let theirs = net.incoming(Side::B).invite;
    net.act(Side::B, |agent, now| agent.ring(now, theirs, 180, None))
        .unwrap();
    net.until(Side::A, "180", |event| {
        matches!(event, Event::Progress { .. }).then_some(())
    });
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    assert_eq!(net.ended(Side::B, theirs), EndCause::RemoteCancel);
    net.assert_empty();
}

#[test]
fn cancel_against_200_is_acknowledged_and_hung_up() {
    let mut net = Net::new(10);
    let ours = net.call(Side::A, Side::B, Protocol::Udp, Some(sdp("offer")));
    let theirs = net.incoming(Side::B).invite;
    net.act(Side::B, |agent, now| agent.ring(now, theirs, 180, None))
        .unwrap();
    net.until(Side::A, "180", |event| {
        matches!(event, Event::Progress { .. }).then_some(())
    });
    net.act(Side::B, |agent, now| {
        agent.answer(now, theirs, sdp("answer"))
    })
    .unwrap();
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    assert_eq!(net.ended(Side::A, ours), EndCause::LocalHangUp);
    assert_eq!(
        net.ended(Side::B, theirs),
        EndCause::RemoteBye { reason: None }
    );
    assert_eq!(
        (
            net.count(Side::A, "CANCEL"),
            net.count(Side::A, "ACK"),
            net.count(Side::A, "BYE")
        ),
        (1, 1, 1)
    );
    net.assert_empty();
}

#[test]
fn hanging_up_before_the_ack_waits_for_it() {
    let mut net = Net::new(11);
    let ours = net.call(Side::A, Side::B, Protocol::Udp, Some(sdp("offer")));
    let theirs = net.incoming(Side::B).invite;
    net.act(Side::B, |agent, now| {
        agent.answer(now, theirs, sdp("answer"))
    })
    .unwrap();
    net.act(Side::B, |agent, now| agent.hang_up(now, theirs, None))
        .unwrap();
    assert_eq!(net.count(Side::B, "BYE"), 0);
    assert_eq!(
        net.ended(Side::A, ours),
        EndCause::RemoteBye { reason: None }
    );
    net.assert_empty();
}

#[test]
fn delayed_offer_is_answered_in_the_ack() {
    let mut net = Net::new(12);
    let ours = net.call(Side::A, Side::B, Protocol::Udp, None);
    let incoming = net.incoming(Side::B);
    assert_eq!(incoming.offer, None);
    net.act(Side::B, |agent, now| {
        agent.answer(now, incoming.invite, sdp("their offer"))
    })
    .unwrap();
    let offer = net.until(Side::A, "Accepted", |event| match event {
        Event::Accepted { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(offer, Some(sdp("their offer")));
    net.act(Side::A, |agent, now| {
        agent.answer_offer(now, ours, sdp("our answer"))
    })
    .unwrap();
    let answer = net.until(Side::B, "Established", |event| match event {
        Event::Established { answer, .. } => Some(answer.clone()),
        _ => None,
    });
    assert_eq!(answer, Some(sdp("our answer")));
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.assert_empty();
}

#[test]
fn pattern_19_an_ack_without_body_to_a_delayed_offer_ends_the_call() {
    let mut net = Net::new(13);
    let ours = net.call(Side::A, Side::B, Protocol::Udp, None);
    let theirs = net.incoming(Side::B).invite;
    net.act(Side::B, |agent, now| {
        agent.answer(now, theirs, sdp("their offer"))
    })
    .unwrap();
    net.until(Side::A, "Accepted", |event| {
        matches!(event, Event::Accepted { .. }).then_some(())
    });
    net.lose = Some(Box::new(|side, text| {
        side == Side::A && text.starts_with("BYE")
    }));
    net.act(Side::A, |agent, now| agent.reject_offer(now, ours, 488))
        .unwrap();
    assert_eq!(net.ended(Side::B, theirs), EndCause::MissingAnswer);
    net.assert_empty();
}

#[test]
fn hold_and_resume_by_reinvite() {
    let mut net = Net::new(14);
    let (ours, theirs) = net.establish(Protocol::Udp);
    for (from, to, invite, other, label) in [
        (Side::A, Side::B, ours, theirs, "hold"),
        (Side::B, Side::A, theirs, ours, "resume"),
    ] {
        net.act(from, |agent, now| agent.reinvite(now, invite, sdp(label)))
            .unwrap();
        let offer = net.until(to, "Offer", |event| match event {
            Event::Offer { sdp, .. } => Some(sdp.clone()),
            _ => None,
        });
        assert_eq!(offer, sdp(label));
        net.act(to, |agent, now| {
            agent.answer_offer(now, other, sdp("agreed"))
        })
        .unwrap();
        net.until(from, "Answer", |event| {
            matches!(event, Event::Answer { .. }).then_some(())
        });
        net.run_for(std::time::Duration::from_secs(1));
    }
    net.act(Side::A, |agent, now| {
        agent.reinvite(now, ours, sdp("codec"))
    })
    .unwrap();
    net.until(Side::B, "Offer", |event| {
        matches!(event, Event::Offer { .. }).then_some(())
    });
    net.act(Side::B, |agent, now| agent.reject_offer(now, theirs, 488))
        .unwrap();
    net.until(Side::A, "OfferFailed", |event| {
        matches!(event, Event::OfferFailed { status: 488, .. }).then_some(())
    });
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.assert_empty();
}

#[test]
fn reinvite_glare_is_resolved_by_491_and_a_random_delay() {
    let mut net = Net::new(15);
    let (ours, theirs) = net.establish(Protocol::Udp);
    net.act(Side::A, |agent, now| {
        agent.reinvite(now, ours, sdp("from a"))
    })
    .unwrap();
    net.act(Side::B, |agent, now| {
        agent.reinvite(now, theirs, sdp("from b"))
    })
    .unwrap();
    net.until(Side::A, "Offer", |event| {
        matches!(event, Event::Offer { .. }).then_some(())
    });
    net.act(Side::A, |agent, now| {
        agent.answer_offer(now, ours, sdp("yes"))
    })
    .unwrap();
    net.until(Side::B, "Offer", |event| {
        matches!(event, Event::Offer { .. }).then_some(())
    });
    net.act(Side::B, |agent, now| {
        agent.answer_offer(now, theirs, sdp("yes"))
    })
    .unwrap();
    net.until(Side::A, "Answer", |event| {
        matches!(event, Event::Answer { .. }).then_some(())
    });
    assert_eq!(
        (
            net.count(Side::A, "SIP/2.0 491"),
            net.count(Side::B, "SIP/2.0 491")
        ),
        (1, 1)
    );
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.assert_empty();
}

#[test]
fn bye_against_reinvite_ends_the_call() {
    let mut net = Net::new(16);
    let (ours, theirs) = net.establish(Protocol::Udp);
    net.act(Side::A, |agent, now| agent.reinvite(now, ours, sdp("late")))
        .unwrap();
    net.act(Side::B, |agent, now| agent.hang_up(now, theirs, None))
        .unwrap();
    assert_eq!(
        net.ended(Side::A, ours),
        EndCause::RemoteBye { reason: None }
    );
    net.assert_empty();
}

#[test]
fn bye_while_an_offer_is_open_refuses_it() {
    let mut net = Net::new(17);
    let (ours, theirs) = net.establish(Protocol::Udp);
    net.act(Side::A, |agent, now| agent.reinvite(now, ours, sdp("late")))
        .unwrap();
    net.until(Side::B, "Offer", |event| {
        matches!(event, Event::Offer { .. }).then_some(())
    });
    net.act(Side::B, |agent, now| agent.hang_up(now, theirs, None))
        .unwrap();
    assert_eq!(
        net.ended(Side::A, ours),
        EndCause::RemoteBye { reason: None }
    );
    assert_eq!(net.count(Side::B, "SIP/2.0 487"), 1);
    net.assert_empty();
}

#[test]
fn pattern_20_refused_calls_leave_nothing() {
    let mut net = Net::new(18);
    for _ in 0..200 {
        let ours = net.call(Side::A, Side::B, Protocol::Udp, Some(sdp("offer")));
        let theirs = net.incoming(Side::B).invite;
        let rejection = sip::Rejection {
            status: 488,
            reason: None,
            retry_after_s: None,
        };
        net.act(Side::B, |agent, now| agent.reject(now, theirs, rejection))
            .unwrap();
        assert_eq!(
            net.ended(Side::A, ours),
            EndCause::Refused {
                status: 488,
                reason: "Not Acceptable Here".to_owned()
            }
        );
    }
    net.assert_empty();
}

#[test]
fn info_and_dropped_invites() {
    let mut net = Net::new(19);
    let (ours, _) = net.establish(Protocol::Udp);
    net.act(Side::A, |agent, now| {
        agent.send_info(now, ours, "application/dtmf-relay", b"Signal=5".to_vec())
    })
    .unwrap();
    let body = net.until(Side::B, "Info", |event| match event {
        Event::Info {
            content_type, body, ..
        } => Some((content_type.clone(), body.clone())),
        _ => None,
    });
    assert_eq!(
        body,
        ("application/dtmf-relay".to_owned(), b"Signal=5".to_vec())
    );
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    let silent = net.call(Side::A, Side::C, Protocol::Udp, Some(sdp("offer")));
    let theirs = net.incoming(Side::C).invite;
    net.act(Side::C, |agent, now| agent.drop_invite(now, theirs));
    assert_eq!(net.ended(Side::A, silent), EndCause::Timeout);
    assert_eq!(net.count(Side::C, "SIP/2.0"), 0);
    net.assert_empty();
}

#[test]
fn reliable_provisional_with_sdp_is_acknowledged_before_the_answer() {
    let mut net = Net::new(20);
    lose_first(&mut net, Side::B, "SIP/2.0 183");
    let ours = net.call(Side::A, Side::B, Protocol::Udp, Some(sdp("offer")));
    let theirs = net.incoming(Side::B).invite;
    net.act(Side::B, |agent, now| {
        agent.ring(now, theirs, 183, Some(sdp("early")))
    })
    .unwrap();
    net.act(Side::B, |agent, now| {
        agent.answer(now, theirs, sdp("early"))
    })
    .unwrap();
    assert_eq!(
        net.count(Side::B, "SIP/2.0 200"),
        0,
        "no 200 before the PRACK"
    );
    net.until(Side::A, "183", |event| {
        matches!(
            event,
            Event::Progress {
                status: 183,
                sdp: Some(_),
                ..
            }
        )
        .then_some(())
    });
    net.until(Side::B, "Established", |event| {
        matches!(event, Event::Established { .. }).then_some(())
    });
    assert_eq!(net.count(Side::A, "PRACK"), 1);
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.assert_empty();
}

#[test]
fn a_stream_lost_in_mid_transaction_is_opened_again() {
    let mut net = Net::new(21);
    let (ours, theirs) = net.establish(Protocol::Tcp);
    net.act(Side::A, |agent, now| agent.hang_up(now, ours, None))
        .unwrap();
    net.break_streams();
    assert_eq!(
        net.ended(Side::B, theirs),
        EndCause::RemoteBye { reason: None }
    );
    net.assert_empty();
}

#[test]
fn pattern_21_bye_after_fin_goes_over_a_new_connection() {
    let mut net = Net::new(22);
    let (ours, theirs) = net.establish(Protocol::Tcp);
    net.break_streams();
    net.run_for(std::time::Duration::from_secs(2));
    let before = net.now;
    net.act(Side::B, |agent, now| agent.hang_up(now, theirs, None))
        .unwrap();
    assert_eq!(
        net.ended(Side::A, ours),
        EndCause::RemoteBye { reason: None }
    );
    assert!(net.now - before <= std::time::Duration::from_millis(500));
    net.assert_empty();
}
