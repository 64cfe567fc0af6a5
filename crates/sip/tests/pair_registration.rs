//! Registrations against a scripted registrar, at virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::print_stderr,
    reason = "a test may fail loudly, pick events, and needs an origin of its virtual time"
)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::common::registrar::{Registrar, account, states};
use crate::common::{Net, Side, sdp};
use sip::digest::Algorithm;
use sip::message::{Message, Method, Request, Response, name};
use sip::{AccountId, EndCause, Event, OutgoingInvite, RegistrationFailure, RegistrationState};

const ID: AccountId = AccountId(1);
const ADDRESS: &str = "198.51.100.1:5060";

fn registered(net: &mut Net) {
    net.until_within(
        Side::A,
        "Registered",
        Duration::from_secs(3600),
        |event| match event {
            Event::Registration {
                state: RegistrationState::Registered { .. },
                ..
            } => Some(()),
            _ => None,
        },
    );
}

fn start(seed: u64) -> (Net, Rc<RefCell<Registrar>>) {
    let mut net = Net::new(seed);
    let registrar = Registrar::install(&mut net, ADDRESS, "secret");
    (net, registrar)
}

fn set(net: &mut Net, config: sip::AccountConfig) {
    net.act(Side::A, |agent, now| agent.set_account(now, ID, config));
}

fn fault(status: u16, header: &str, value: &str) -> Response {
    let mut response = Response::new(status);
    response.headers.push(header, value);
    response
}

#[test]
fn an_account_registers_with_every_algorithm_and_refreshes_with_the_same_nonce() {
    for algorithm in [Algorithm::MD5, Algorithm::SHA_256, Algorithm::SHA_512_256] {
        let (mut net, registrar) = start(1);
        registrar.borrow_mut().algorithms = vec![algorithm];
        set(&mut net, account());
        registered(&mut net);
        assert_eq!(registrar.borrow().registers(), 2);
        net.run_for(Duration::from_secs(280));
        let registrar = registrar.borrow();
        assert_eq!(
            registrar.registers(),
            3,
            "one request for the refresh: the nonce is reused"
        );
        let last = registrar
            .requests
            .last()
            .unwrap()
            .headers
            .get(name::AUTHORIZATION)
            .unwrap()
            .to_owned();
        assert!(last.contains("nc=00000002"), "{last}");
    }
}

#[test]
fn thirty_simulated_days_of_refreshes_leak_nothing() {
    let (mut net, registrar) = start(2);
    set(&mut net, account());
    registered(&mut net);
    let mut sizes = Vec::new();
    for _ in 0..30 {
        net.run_for(Duration::from_secs(86_400));
        net.wire.clear();
        net.outside.clear();
        registrar.borrow_mut().requests.clear();
        sizes.push(net.agent(Side::A).table_sizes());
    }
    assert!(
        sizes
            .iter()
            .all(|size| size.client_transactions <= 1 && size.deadlines <= 3),
        "{sizes:?}"
    );
    let failed = states(&net, Side::A)
        .into_iter()
        .filter(|state| matches!(state, RegistrationState::Failed { .. }));
    assert_eq!(failed.count(), 0);
}

#[test]
fn pattern_15_a_wrong_password_stops_after_two_attempts() {
    let (mut net, registrar) = start(3);
    let mut config = account();
    config.password = "wrong".to_owned();
    set(&mut net, config);
    net.run_for(Duration::from_secs(86_400));
    assert_eq!(registrar.borrow().registers(), 2);
    let wrong = RegistrationState::Failed {
        cause: RegistrationFailure::WrongCredentials,
        retry_at: None,
    };
    assert_eq!(net.agent(Side::A).registration(ID), Some(wrong));
    set(&mut net, account());
    registered(&mut net);
}

#[test]
fn a_403_stops() {
    let (mut net, registrar) = start(4);
    registrar.borrow_mut().faults.push_back(Response::new(403));
    set(&mut net, account());
    net.run_for(Duration::from_secs(86_400));
    assert_eq!(registrar.borrow().registers(), 1);
    let refused = RegistrationState::Failed {
        cause: RegistrationFailure::Refused(403),
        retry_at: None,
    };
    assert_eq!(net.agent(Side::A).registration(ID), Some(refused));
}

#[test]
fn a_423_raises_the_interval() {
    let (mut net, registrar) = start(5);
    registrar
        .borrow_mut()
        .faults
        .push_back(fault(423, name::MIN_EXPIRES, "1200"));
    set(&mut net, account());
    registered(&mut net);
    let registrar = registrar.borrow();
    assert_eq!(
        registrar.requests.last().unwrap().headers.expires(),
        Some(1200)
    );
}

#[test]
fn a_503_with_retry_after_is_honoured() {
    let (mut net, registrar) = start(6);
    registrar
        .borrow_mut()
        .faults
        .push_back(fault(503, name::RETRY_AFTER, "100"));
    set(&mut net, account());
    net.run_for(Duration::from_secs(99));
    assert_eq!(registrar.borrow().registers(), 1);
    registered(&mut net);
    assert!(net.now - net.start < Duration::from_secs(115));
}

#[test]
fn a_silent_registrar_is_tried_again_with_backoff_and_comes_back() {
    let (mut net, registrar) = start(7);
    set(&mut net, account());
    registered(&mut net);
    registrar.borrow_mut().silent = true;
    net.run_for(Duration::from_secs(3600));
    assert!(matches!(
        net.agent(Side::A).registration(ID),
        Some(RegistrationState::Failed {
            retry_at: Some(_),
            ..
        })
    ));
    let tries: std::collections::BTreeSet<String> = registrar
        .borrow()
        .requests
        .iter()
        .filter_map(|request| request.headers.get(name::CSEQ).map(str::to_owned))
        .collect();
    assert!(
        (5..20).contains(&tries.len()),
        "{} tries in an hour",
        tries.len()
    );
    let now = net.now;
    registrar.borrow_mut().restart(now);
    net.skip();
    registered(&mut net);
    assert!(net.now - now <= Duration::from_secs(640));
}

#[test]
fn the_registrar_restarts_and_its_nonces_are_forgotten() {
    let (mut net, registrar) = start(8);
    set(&mut net, account());
    registered(&mut net);
    let now = net.now;
    registrar.borrow_mut().restart(now);
    net.run_for(Duration::from_secs(600));
    let failures = states(&net, Side::A)
        .into_iter()
        .filter(|state| matches!(state, RegistrationState::Failed { .. }));
    assert_eq!(failures.count(), 0, "a new nonce is no failure");
}

#[test]
fn a_registrar_that_forgets_its_nonces_twice_in_one_attempt_refused_no_password() {
    let (mut net, registrar) = start(10);
    let challenge = |nonce: u8, stale: &str| {
        let value = format!(r#"Digest realm="example.test", nonce="n{nonce}", qop="auth"{stale}"#);
        fault(401, name::WWW_AUTHENTICATE, &value)
    };
    let stale = ", stale=true";
    registrar.borrow_mut().faults =
        [challenge(1, ""), challenge(2, stale), challenge(3, stale)].into();
    set(&mut net, account());
    net.until(Side::A, "the failure", |event| {
        matches!(
            event,
            Event::Registration {
                state: RegistrationState::Failed {
                    retry_at: Some(_),
                    ..
                },
                ..
            }
        )
        .then_some(())
    });
    registered(&mut net);
}

#[test]
fn only_our_own_binding_is_removed() {
    let (mut net, registrar) = start(9);
    set(&mut net, account());
    registered(&mut net);
    net.act(Side::A, |agent, now| agent.remove_account(now, ID));
    net.run_for(Duration::from_secs(60));
    assert_eq!(net.agent(Side::A).registration(ID), None);
    let registrar = registrar.borrow();
    let (first, last) = (
        registrar.requests.first().unwrap(),
        registrar.requests.last().unwrap(),
    );
    assert_eq!(last.headers.expires(), Some(0));
    let user = |request: &Request| request.headers.contacts()[0].uri.user.clone();
    assert_eq!(user(first), user(last));
    assert!(
        !registrar
            .requests
            .iter()
            .any(|request| request.headers.is_contact_star())
    );
}

#[test]
fn a_change_that_keeps_the_contact_refreshes_the_binding() {
    let (mut net, registrar) = start(27);
    set(&mut net, account());
    registered(&mut net);
    registrar.borrow_mut().password = "changed".to_owned();
    let mut config = account();
    config.password = "changed".to_owned();
    set(&mut net, config.clone());
    registered(&mut net);
    config.expires_s = 120;
    set(&mut net, config.clone());
    registered(&mut net);
    let states = states(&net, Side::A);
    let is_failed = |state: &RegistrationState| matches!(state, RegistrationState::Failed { .. });
    assert!(!states.iter().any(is_failed), "{states:?}");
    {
        let registrar = registrar.borrow();
        let of = |request: &Request| {
            let contact = request.headers.contacts()[0].uri.user.clone();
            let call_id = request.headers.get(name::CALL_ID).map(str::to_owned);
            (contact, call_id)
        };
        let first = of(registrar.requests.first().unwrap());
        assert!(
            registrar
                .requests
                .iter()
                .all(|request| of(request) == first)
        );
        let expires = |request: &Request| request.headers.expires();
        let lifetimes: Vec<_> = registrar.requests.iter().filter_map(expires).collect();
        assert!(
            !lifetimes.contains(&0) && lifetimes.last() == Some(&120),
            "{lifetimes:?}"
        );
        let sequence = |request: &Request| request.headers.cseq().unwrap().sequence;
        assert!(registrar.requests.iter().map(sequence).is_sorted());
    }
    // Another identity is another binding: the one before is removed.
    config.aor = "sip:bob@198.51.100.1".to_owned();
    set(&mut net, config);
    registered(&mut net);
    net.run_for(Duration::from_secs(5));
    let registrar = registrar.borrow();
    let is_removal = |request: &&Request| request.headers.expires() == Some(0);
    assert_eq!(registrar.requests.iter().filter(is_removal).count(), 1);
}

#[test]
fn a_binding_that_could_not_be_removed_is_taken_up_again() {
    let (mut net, registrar) = start(28);
    set(&mut net, account());
    registered(&mut net);
    registrar.borrow_mut().password = "changed".to_owned();
    let mut config = account();
    config.password = "wrong".to_owned();
    set(&mut net, config.clone());
    net.run_for(Duration::from_secs(5));
    let wrong = net.agent(Side::A).registration(ID);
    assert!(
        matches!(
            wrong,
            Some(RegistrationState::Failed { retry_at: None, .. })
        ),
        "{wrong:?}"
    );
    // Restarted with the wrong password, then with the right one: the Contact is the first one's.
    net.act(Side::A, |agent, now| agent.remove_account(now, ID));
    set(&mut net, config.clone());
    net.run_for(Duration::from_secs(5));
    net.act(Side::A, |agent, now| agent.remove_account(now, ID));
    config.password = "changed".to_owned();
    set(&mut net, config);
    registered(&mut net);
    let registrar = registrar.borrow();
    let user = |request: &Request| request.headers.contacts()[0].uri.user.clone();
    let first = user(registrar.requests.first().unwrap());
    assert!(
        registrar
            .requests
            .iter()
            .all(|request| user(request) == first)
    );
}

#[test]
fn draining_unregisters_and_stays_so() {
    let (mut net, registrar) = start(10);
    set(&mut net, account());
    registered(&mut net);
    net.act(Side::A, |agent, now| agent.unregister_all(now));
    net.run_for(Duration::from_secs(4000));
    assert_eq!(
        net.agent(Side::A).registration(ID),
        Some(RegistrationState::Unregistered)
    );
    assert_eq!(
        registrar
            .borrow()
            .requests
            .last()
            .unwrap()
            .headers
            .expires(),
        Some(0)
    );
    assert_eq!(registrar.borrow().registers(), 3);
}

#[test]
fn the_address_that_the_registrar_saw_becomes_the_contact() {
    let (mut net, registrar) = start(11);
    registrar.borrow_mut().seen_as = Some("203.0.113.7:31000".parse().unwrap());
    set(&mut net, account());
    registered(&mut net);
    net.run_for(Duration::from_secs(2));
    let contact = registrar
        .borrow()
        .requests
        .last()
        .unwrap()
        .headers
        .contacts()[0]
        .clone();
    assert_eq!(
        (contact.uri.host.as_str(), contact.uri.port),
        ("203.0.113.7", Some(31_000))
    );
    // The challenge told it: nothing else was ever registered.
    assert_eq!(registrar.borrow().registers(), 2);
}

#[test]
fn whoever_takes_the_place_of_a_dead_process_has_its_contact() {
    let contact = |seed, user: Option<&str>| {
        let (mut net, registrar) = start(seed);
        let mut config = account();
        config.contact_user = user.map(str::to_owned);
        set(&mut net, config);
        registered(&mut net);
        let registrar = registrar.borrow();
        let last = registrar.requests.last().unwrap();
        last.headers.contacts()[0].uri.to_string()
    };
    let user = Some("k7q2m9x4c5v8b1n3");
    assert_eq!(contact(21, user), contact(22, user));
    assert!(contact(21, user).contains("k7q2m9x4c5v8b1n3@"));
    assert_ne!(contact(21, None), contact(22, None));
}

#[test]
fn calls_to_our_contact_are_the_accounts() {
    let (mut net, registrar) = start(12);
    set(&mut net, account());
    registered(&mut net);
    let contact = registrar
        .borrow()
        .requests
        .last()
        .unwrap()
        .headers
        .contacts()[0]
        .uri
        .to_string();
    let wish = OutgoingInvite {
        to: contact,
        offer: Some(sdp("offer")),
        ..OutgoingInvite::default()
    };
    net.act(Side::B, |agent, now| agent.invite(now, wish))
        .unwrap();
    assert_eq!(net.incoming(Side::A).account, Some(ID));
    net.call(Side::B, Side::A, sip::Protocol::Udp, Some(sdp("offer")));
    assert_eq!(
        net.incoming(Side::A).account,
        None,
        "our address alone identifies nobody"
    );
}

#[test]
fn a_trunk_that_names_the_number_is_known_by_the_flow_of_its_registration() {
    let (mut net, _registrar) = start(16);
    set(&mut net, account());
    registered(&mut net);
    let invite = "INVITE sip:+33140000000@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKt\r\n\
        From: <sip:caller@198.51.100.1>;tag=1\r\nTo: <sip:+33140000000@198.51.100.1>\r\nCall-ID: t\r\n\
        CSeq: 1 INVITE\r\nContact: <sip:198.51.100.1>\r\nContent-Length: 0\r\n\r\n";
    net.inject(Side::A, ADDRESS.parse().unwrap(), invite.as_bytes());
    assert_eq!(net.incoming(Side::A).account, Some(ID));
    // The same address, another port: not the trunk's flow.
    let other = invite
        .replace("z9hG4bKt", "z9hG4bKu")
        .replace("Call-ID: t", "Call-ID: u");
    net.inject(
        Side::A,
        "198.51.100.1:7777".parse().unwrap(),
        other.as_bytes(),
    );
    assert_eq!(net.incoming(Side::A).account, None);
}

#[test]
fn hundreds_of_accounts_start_at_most_a_hundred_a_second() {
    let (mut net, registrar) = start(13);
    for id in 0..300 {
        net.act(Side::A, |agent, now| {
            agent.set_account(now, AccountId(id), account())
        });
    }
    net.run_for(Duration::from_secs(1));
    let first = registrar.borrow().registers();
    assert!(
        (90..=210).contains(&first),
        "{first} requests (two each) in the first second"
    );
    net.run_for(Duration::from_secs(9));
    let all = net.agent(Side::A).table_sizes();
    assert_eq!(
        states(&net, Side::A)
            .iter()
            .filter(|state| matches!(state, RegistrationState::Registered { .. }))
            .count(),
        300,
        "{all:?}"
    );
    // All are removed as well, but not at once: the registrar would lose most of them.
    let before = registrar.borrow().registers();
    net.act(Side::A, |agent, now| agent.unregister_all(now));
    // Said twice is said once: what waits for its turn keeps it.
    net.act(Side::A, |agent, now| agent.unregister_all(now));
    net.run_for(Duration::from_millis(100));
    let sent = registrar.borrow().registers() - before;
    assert!((8..=100).contains(&sent), "{sent} in a tenth of a second");
    net.run_for(Duration::from_secs(2));
    let left = states(&net, Side::A)
        .iter()
        .filter(|state| matches!(state, RegistrationState::Unregistered))
        .count();
    assert_eq!(left, 300);
    net.run_for(Duration::from_secs(4000));
    let last = registrar.borrow();
    let removals = last
        .requests
        .iter()
        .filter(|request| request.headers.expires() == Some(0));
    assert!(removals.count() >= 300);
    assert_eq!(last.requests.last().unwrap().headers.expires(), Some(0));
}

/// Requests in each second from here on, of which the most is returned.
fn most_in_a_second(net: &mut Net, registrar: &Rc<RefCell<Registrar>>, seconds: u32) -> usize {
    let mut most = 0;
    for _ in 0..seconds {
        let before = registrar.borrow().registers();
        net.run_for(Duration::from_secs(1));
        most = most.max(registrar.borrow().registers() - before);
    }
    most
}

#[test]
fn five_hundred_accounts_register_within_ten_seconds_and_refresh_without_bursts() {
    let (mut net, registrar) = start(14);
    registrar.borrow_mut().granted_s = Some(300);
    for id in 0..500 {
        net.act(Side::A, |agent, now| {
            agent.set_account(now, AccountId(id), account())
        });
    }
    assert!(most_in_a_second(&mut net, &registrar, 10) <= 240);
    let registered = |net: &Net| {
        let states = states(net, Side::A);
        states
            .iter()
            .filter(|state| matches!(state, RegistrationState::Registered { .. }))
            .count()
    };
    assert_eq!(registered(&net), 500);
    let before = registrar.borrow().registers();
    let most = most_in_a_second(&mut net, &registrar, 3_600);
    let refreshes = registrar.borrow().registers() - before;
    assert!((6_000..=10_000).contains(&refreshes), "{refreshes}");
    assert!(most <= 100, "{most} in one second");
    // The registrar is away for half an hour, and back.
    registrar.borrow_mut().silent = true;
    net.run_for(Duration::from_secs(1_800));
    registrar.borrow_mut().silent = false;
    let before = registered(&net);
    let most = most_in_a_second(&mut net, &registrar, 120);
    assert!(registered(&net) - before >= 500, "all are back");
    assert!(most <= 240, "{most} in one second");
}

/// A registrar that takes no second binding answers 503 for one account while it serves the others: their refreshes are no reason to ask
/// again at once.
#[test]
fn a_refused_account_is_not_hurried_by_the_success_of_others() {
    let (mut net, registrar) = start(15);
    let refusal = |status| {
        let mut response = Response::to(
            &Request::new(Method::Register, "sip:example.test".parse().unwrap()),
            status,
        );
        response.headers.push(name::RETRY_AFTER, "60");
        response
    };
    registrar.borrow_mut().faults.push_back(refusal(503));
    net.act(Side::A, |agent, now| {
        agent.set_account(now, AccountId(1), account())
    });
    net.run_for(Duration::from_secs(1));
    for id in 2..50 {
        net.act(Side::A, |agent, now| {
            agent.set_account(now, AccountId(id), account())
        });
    }
    net.run_for(Duration::from_secs(30));
    let state = net.agent(Side::A).registration(AccountId(1));
    let refused = matches!(
        state,
        Some(RegistrationState::Failed {
            cause: RegistrationFailure::Refused(503),
            retry_at: Some(_)
        })
    );
    assert!(refused, "{state:?}");
    // One that was refused, and two for each of the others.
    assert_eq!(registrar.borrow().registers(), 1 + 2 * 48);
    net.run_for(Duration::from_secs(60));
    let state = net.agent(Side::A).registration(AccountId(1));
    assert!(
        matches!(state, Some(RegistrationState::Registered { .. })),
        "{state:?}"
    );
}

#[test]
fn pattern_31_credentials_stay_at_the_trunk() {
    let (mut net, _registrar) = start(14);
    set(&mut net, account());
    registered(&mut net);
    // A callee elsewhere challenges our INVITE with the trunk's realm.
    let script = |_: std::time::Instant, message: &Message| match message {
        Message::Request(request) if request.method == Method::Invite => {
            let mut response = Response::to(request, 401);
            response.headers.push(
                name::WWW_AUTHENTICATE,
                "Digest realm=\"example.test\", nonce=\"n\", qop=\"auth\"",
            );
            vec![response.to_bytes()]
        }
        Message::Request(_) | Message::Response(_) => Vec::new(),
    };
    net.scripts
        .insert("198.51.100.66:5060".parse().unwrap(), Box::new(script));
    let wish = OutgoingInvite {
        account: Some(ID),
        to: "sip:thief@198.51.100.66".to_owned(),
        offer: Some(sdp("offer")),
        ..OutgoingInvite::default()
    };
    let call = net
        .act(Side::A, |agent, now| agent.invite(now, wish))
        .unwrap();
    assert_eq!(
        net.ended(Side::A, call),
        EndCause::Refused {
            status: 401,
            reason: "Unauthorized".to_owned()
        }
    );
    let stolen = net
        .outside
        .iter()
        .filter(|(_, to, _)| to.ip().to_string() == "198.51.100.66");
    for (_, _, data) in stolen {
        assert!(!String::from_utf8_lossy(data).contains("Authorization"));
    }
}

#[test]
fn an_invite_answers_the_trunks_407() {
    let (mut net, _registrar) = start(15);
    let challenge = |_: std::time::Instant, message: &Message| match message {
        Message::Request(request) if request.method == Method::Invite => {
            let authorized = request.headers.has(name::PROXY_AUTHORIZATION);
            let mut response = Response::to(request, if authorized { 486 } else { 407 });
            response.headers.push(
                name::PROXY_AUTHENTICATE,
                "Digest realm=\"trunk\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"",
            );
            vec![response.to_bytes()]
        }
        Message::Request(_) | Message::Response(_) => Vec::new(),
    };
    net.scripts
        .insert(ADDRESS.parse().unwrap(), Box::new(challenge));
    let mut config = account();
    config.register = false;
    set(&mut net, config);
    let wish = OutgoingInvite {
        account: Some(ID),
        to: "sip:+33140000000@198.51.100.1".to_owned(),
        offer: Some(sdp("offer")),
        ..OutgoingInvite::default()
    };
    let call = net
        .act(Side::A, |agent, now| agent.invite(now, wish))
        .unwrap();
    assert_eq!(
        net.ended(Side::A, call),
        EndCause::Refused {
            status: 486,
            reason: "Busy Here".to_owned()
        }
    );
    assert_eq!(net.count(Side::A, "INVITE"), 2);
    net.assert_empty();
}

#[test]
fn the_flow_is_kept_alive_by_crlf_options_or_stun() {
    let interval = Duration::from_secs(25);
    for (keep_alive, start) in [
        (sip::KeepAlive::Crlf { interval }, &b"\r\n\r\n"[..]),
        (
            sip::KeepAlive::Options { interval },
            b"OPTIONS sip:198.51.100.1",
        ),
        (
            sip::KeepAlive::Stun { interval },
            b"\x00\x01\x00\x00\x21\x12\xa4\x42",
        ),
    ] {
        let (mut net, registrar) = self::start(17);
        let mut config = account();
        config.keep_alive = keep_alive;
        set(&mut net, config);
        registered(&mut net);
        net.outside.clear();
        net.run_for(Duration::from_secs(250));
        let sent = net
            .outside
            .iter()
            .filter(|(_, _, data)| data.starts_with(start))
            .count();
        assert!((10..=13).contains(&sent), "{keep_alive:?}: {sent}");
        assert!(registrar.borrow().registers() <= 3);
    }
}

/// An answer about our address that comes while the binding is being removed brings nothing back.
#[test]
fn a_late_stun_answer_registers_nothing_that_was_given_up() {
    for leaves in [false, true] {
        let (mut net, registrar) = start(19);
        // Behind a NAT, whose address changes.
        registrar.borrow_mut().seen_as = Some("203.0.113.9:5060".parse().unwrap());
        let mut config = account();
        config.keep_alive = sip::KeepAlive::Stun {
            interval: Duration::from_secs(25),
        };
        set(&mut net, config);
        registered(&mut net);
        net.outside.clear();
        net.run_for(Duration::from_secs(30));
        let asked = net.outside.iter().map(|(_, _, data)| data);
        let mut asked = asked.filter(|data| data.starts_with(b"\x00\x01\x00\x00\x21\x12\xa4\x42"));
        let transaction = asked.next_back().unwrap()[8..20].to_vec();
        registrar.borrow_mut().silent = true;
        let before = registrar.borrow().registers();
        if leaves {
            net.act(Side::A, |agent, now| agent.unregister_all(now));
        }
        // XOR-MAPPED-ADDRESS 203.0.113.7:31000 (RFC 8489 section 14.2).
        let mut answer = b"\x01\x01\x00\x0c\x21\x12\xa4\x42".to_vec();
        answer.extend(transaction);
        answer.extend([0, 0x20, 0, 8, 0, 1]);
        answer.extend((31_000_u16 ^ 0x2112).to_be_bytes());
        answer.extend([203 ^ 0x21, 0x12, 113 ^ 0xa4, 7 ^ 0x42]);
        net.inject(Side::A, ADDRESS.parse().unwrap(), &answer);
        net.run_for(Duration::from_secs(if leaves { 600 } else { 5 }));
        let registrar = registrar.borrow();
        let sent = &registrar.requests[before..];
        let renewed = sent
            .iter()
            .any(|request| request.headers.expires() != Some(0));
        assert_eq!(renewed, !leaves, "{} requests", sent.len());
    }
}

#[test]
fn the_stream_of_a_registration_is_lost_and_it_registers_again() {
    let mut net = Net::new(18);
    let mut config = account();
    config.registrar = Some("sip:192.0.2.2;transport=tcp".to_owned());
    set(&mut net, config);
    net.run_for(Duration::from_secs(1));
    // Side B is no registrar: 405, so this account waits. The stream is closed under it and nothing breaks.
    assert!(matches!(
        net.agent(Side::A).registration(ID),
        Some(RegistrationState::Failed {
            cause: RegistrationFailure::Refused(405),
            retry_at: Some(_)
        })
    ));
    net.break_streams();
    net.run_for(Duration::from_secs(40));
    // The first retry comes within 3 s, the second 15 to 30 s later.
    assert_eq!(net.count(Side::A, "REGISTER"), 3);
}

/// From of the INVITE that reached the trunk, and its header of that name.
fn shown(form: sip::CallerIdForm, header: &str) -> (String, Option<String>) {
    shown_as(form, header, None)
}

/// With a number of this call in the place of the account's.
fn shown_as(
    form: sip::CallerIdForm,
    header: &str,
    number: Option<&str>,
) -> (String, Option<String>) {
    let (mut net, registrar) = start(71);
    registrar.borrow_mut().faults = [Response::new(486)].into();
    let mut config = account();
    config.register = false;
    config.caller_id_form = form;
    config.caller_id_number = Some("+33140000000".to_owned());
    set(&mut net, config);
    let wish = OutgoingInvite {
        account: Some(ID),
        to: "sip:+33612345678@198.51.100.1".to_owned(),
        offer: Some(sdp("offer")),
        number: number.map(str::to_owned),
        ..OutgoingInvite::default()
    };
    let call = net
        .act(Side::A, |agent, now| agent.invite(now, wish))
        .unwrap();
    net.ended(Side::A, call);
    let requests = &registrar.borrow().requests;
    let invite = requests
        .iter()
        .find(|request| request.method == Method::Invite)
        .unwrap();
    let from = invite.headers.get(name::FROM).unwrap();
    let from = from.split(";tag").next().unwrap().to_owned();
    (from, invite.headers.get(header).map(str::to_owned))
}

#[test]
fn a_call_shows_anothers_number_where_the_operator_has_a_place_for_it() {
    use sip::CallerIdForm as Form;
    let own = "<sip:alice@198.51.100.1>".to_owned();
    let caller = "<sip:+33699999999@198.51.100.1>".to_owned();
    let asserted = "P-Asserted-Identity";
    let as_caller = |form| shown_as(form, asserted, Some("+33699999999"));
    assert_eq!(as_caller(Form::Account), (own.clone(), None));
    assert_eq!(as_caller(Form::FromNumber), (caller.clone(), None));
    assert_eq!(as_caller(Form::Asserted), (own.clone(), Some(caller)));
    // What is no number says nothing.
    let number = "<sip:+33140000000@198.51.100.1>".to_owned();
    let wrong = shown_as(Form::Asserted, asserted, Some("x@evil>"));
    assert_eq!(wrong, (own, Some(number)));
}

#[test]
fn the_callers_number_is_where_the_operator_reads_it() {
    use sip::CallerIdForm as Form;
    let own = "<sip:alice@198.51.100.1>".to_owned();
    let number = "<sip:+33140000000@198.51.100.1>".to_owned();
    let asserted = "P-Asserted-Identity";
    assert_eq!(shown(Form::Account, asserted), (own.clone(), None));
    assert_eq!(shown(Form::FromNumber, asserted), (number.clone(), None));
    assert_eq!(
        shown(Form::Asserted, asserted),
        (own.clone(), Some(number.clone()))
    );
    assert_eq!(
        shown(Form::Preferred, "P-Preferred-Identity"),
        (own.clone(), Some(number.clone()))
    );
    let party = format!("{number};party=calling;screen=yes;privacy=off");
    assert_eq!(
        shown(Form::RemoteParty, "Remote-Party-ID"),
        (own, Some(party))
    );
}

#[test]
fn a_trunk_without_registration_is_asked_whether_it_is_there() {
    let (mut net, registrar) = start(72);
    let mut config = account();
    config.register = false;
    config.keep_alive = sip::KeepAlive::Options {
        interval: Duration::from_secs(30),
    };
    set(&mut net, config);
    net.run_for(Duration::from_secs(1));
    assert_eq!(registrar.borrow().requests[0].method, Method::Options);
    assert!(states(&net, Side::A).is_empty(), "a 401 is an answer");
    registrar.borrow_mut().silent = true;
    net.run_for(Duration::from_secs(65));
    registrar.borrow_mut().silent = false;
    net.run_for(Duration::from_secs(31));
    let seen = states(&net, Side::A);
    assert!(
        matches!(
            seen[0],
            RegistrationState::Failed {
                cause: RegistrationFailure::Timeout,
                retry_at: Some(_)
            }
        ),
        "{seen:?}"
    );
    assert_eq!(seen.last(), Some(&RegistrationState::Unregistered));
    assert_eq!(registrar.borrow().registers(), 0);
}

#[test]
fn the_password_is_proven_to_the_named_realm_only() {
    let (mut net, registrar) = start(73);
    let mut config = account();
    config.realm = Some("another.test".to_owned());
    set(&mut net, config);
    net.run_for(Duration::from_secs(5));
    assert_eq!(registrar.borrow().registers(), 1);
    let first = &registrar.borrow().requests[0];
    assert!(first.headers.get(name::AUTHORIZATION).is_none());
    assert!(matches!(
        states(&net, Side::A).last(),
        Some(RegistrationState::Failed { .. })
    ));
}
