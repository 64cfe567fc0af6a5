//! Devices that register with a user agent, at virtual time: proofs, bindings, their end, and the way to a device.

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
use sip::digest::{Algorithm, Credentials, DigestClient};
use sip::message::{AuthField, Message, Method, Request, Response, name};
use sip::{
    AccountConfig, AccountId, Binding, DeviceConfig, DeviceId, DropReason, Event, OutgoingInvite,
    Protocol, RegisterRefusal, RegistrationState, TableSizes,
};

const DEVICE: DeviceId = DeviceId(7);
const REALM: &str = "allo";
/// Where the phone's datagrams come from: its NAT.
const NAT: &str = "198.51.100.9:40123";
/// What the phone writes.
const CONTACT: &str = "<sip:101@192.168.1.20:5060>";

/// A phone that is no code of ours but for its digest.
struct Phone {
    net: Net,
    source: SocketAddr,
    digest: DigestClient,
    password: &'static str,
    sequence: u32,
    call_id: &'static str,
}

impl Phone {
    fn new(config: DeviceConfig) -> Self {
        let mut net = Net::new(3);
        net.agent(Side::A).set_device(DEVICE, config);
        Self {
            net,
            source: NAT.parse().unwrap(),
            digest: DigestClient::new(),
            password: "secret",
            sequence: 0,
            call_id: "phone",
        }
    }

    fn usual() -> Self {
        Self::new(DeviceConfig::new(REALM, "101", "secret"))
    }

    fn text(&mut self, user: &str, rows: &str) -> String {
        self.sequence += 1;
        let (sequence, call_id) = (self.sequence, self.call_id);
        format!(
            "REGISTER sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK{call_id}{sequence}\r\n\
             From: <sip:{user}@pbx.test>;tag=p\r\nTo: <sip:{user}@pbx.test>\r\nCall-ID: {call_id}\r\n\
             CSeq: {sequence} REGISTER\r\nUser-Agent: HT841\r\n{rows}Content-Length: 0\r\n\r\n"
        )
    }

    fn send(&mut self, text: &str) -> Response {
        let source = self.source;
        self.net.outside.clear();
        self.net.inject(Side::A, source, text.as_bytes());
        let mut answers = self.answers();
        assert_eq!(answers.len(), 1, "one answer to {text}");
        answers.remove(0)
    }

    fn answers(&mut self) -> Vec<Response> {
        let to_us = |(_, to, data): (Side, SocketAddr, Vec<u8>)| {
            assert_eq!(to, self.source, "answered where it came from");
            match sip::message::parse(&data) {
                Ok(Message::Response(response)) => Some(response),
                _ => None,
            }
        };
        self.net.outside.drain(..).filter_map(to_us).collect()
    }

    fn challenge(&mut self, user: &str) -> Vec<AuthField> {
        let text = self.text(user, "");
        let response = self.send(&text);
        assert_eq!(response.status, 401);
        response.headers.auth_fields(name::WWW_AUTHENTICATE)
    }

    /// A REGISTER with credentials; a challenge is asked for where there is none.
    fn proven(&mut self, user: &str, rows: &str) -> String {
        if !self.digest.is_ready() {
            let fields = self.challenge(user);
            self.digest.handle_challenge(&fields, 0);
        }
        let credentials = Credentials {
            username: user.to_owned(),
            password: self.password.to_owned(),
        };
        let field = self
            .digest
            .authorization(&credentials, "REGISTER", "sip:pbx.test", b"", "c0")
            .unwrap();
        self.text(user, &format!("Authorization: {field}\r\n{rows}"))
    }

    fn register(&mut self, rows: &str) -> Response {
        let text = self.proven("101", rows);
        self.send(&text)
    }

    fn bindings(&mut self) -> Vec<Binding> {
        self.net.agent(Side::A).bindings(DEVICE)
    }

    fn contacts(&mut self) -> Vec<String> {
        let bindings = self.bindings();
        bindings
            .into_iter()
            .map(|binding| binding.contact)
            .collect()
    }

    /// Requests of ours that went to the phone.
    fn requests(&mut self) -> Vec<(SocketAddr, Request)> {
        let request = |(_, to, data): (Side, SocketAddr, Vec<u8>)| match sip::message::parse(&data)
        {
            Ok(Message::Request(request)) => Some((to, request)),
            _ => None,
        };
        self.net.outside.drain(..).filter_map(request).collect()
    }

    fn refusals(&self) -> Vec<RegisterRefusal> {
        let refusal = |(_, event): &(Side, Event)| match event {
            Event::RegisterRefused { refusal, .. } => Some(*refusal),
            _ => None,
        };
        self.net.events.iter().filter_map(refusal).collect()
    }
}

fn contact(rows: &str) -> String {
    format!("Contact: {CONTACT}\r\n{rows}")
}

#[test]
fn a_device_registers_with_each_algorithm_and_is_told_its_lifetime() {
    for algorithm in [Algorithm::MD5, Algorithm::SHA_256, Algorithm::SHA_512_256] {
        let mut config = DeviceConfig::new(REALM, "101", "secret");
        config.algorithms = vec![algorithm];
        let mut phone = Phone::new(config);
        let fields = phone.challenge("101");
        assert_eq!(fields.len(), 1);
        phone.digest.handle_challenge(&fields, 0);
        let response = phone.register(&contact("Expires: 600\r\n"));
        assert_eq!(response.status, 200, "{}", algorithm.token());
        let granted = response.headers.contacts();
        assert_eq!(granted.len(), 1);
        assert_eq!(granted[0].params.value("expires"), Some("600"));
        assert_eq!(phone.contacts(), ["sip:101@192.168.1.20:5060"]);
        let binding = &phone.bindings()[0];
        assert_eq!(binding.source, phone.source);
        assert_eq!(binding.user_agent.as_deref(), Some("HT841"));
        assert!(binding.is_behind_nat());
    }
}

#[test]
fn nobody_registers_where_there_are_no_devices() {
    let mut phone = Phone::usual();
    phone.net.agent(Side::A).remove_device(DEVICE);
    let text = phone.text("101", &contact(""));
    assert_eq!(phone.send(&text).status, 405);
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_the_same_answer_and_no_memory() {
    let mut phone = Phone::usual();
    phone.password = "guess";
    let wrong = phone.register(&contact(""));
    let text = phone.proven("999", &contact(""));
    let unknown = phone.send(&text);
    assert_eq!((wrong.status, unknown.status), (403, 403));
    assert_eq!(wrong.headers.rows().len(), unknown.headers.rows().len());
    assert_eq!(phone.refusals(), [RegisterRefusal::Unproven; 2]);
    assert_eq!(
        phone.net.agent(Side::A).table_sizes(),
        TableSizes::default()
    );
}

#[test]
fn one_password_does_not_open_another_address_of_record() {
    let mut phone = Phone::usual();
    let other = DeviceConfig::new(REALM, "102", "other");
    phone.net.agent(Side::A).set_device(DeviceId(8), other);
    let text = phone.proven("101", &contact(""));
    let text = text.replace("To: <sip:101@", "To: <sip:102@");
    assert_eq!(phone.send(&text).status, 403);
    assert_eq!(phone.refusals(), [RegisterRefusal::OtherIdentity]);
    assert!(phone.bindings().is_empty());
}

#[test]
fn a_replay_is_stale_and_a_repetition_is_answered_as_before() {
    let mut phone = Phone::usual();
    let text = phone.proven("101", &contact(""));
    assert_eq!(phone.send(&text).status, 200);
    assert_eq!(phone.send(&text).status, 200, "the same transaction");
    let replayed = text.replace("branch=z9hG4bKphone", "branch=z9hG4bKthief");
    let response = phone.send(&replayed);
    assert_eq!(response.status, 401);
    let fields = response.headers.auth_fields(name::WWW_AUTHENTICATE);
    assert_eq!(fields[0].value("stale"), Some("true"));
    assert!(
        phone.refusals().is_empty(),
        "whoever knows the password is no guesser"
    );
    phone.net.run_for(Duration::from_secs(301));
    let expired = phone.register(&contact(""));
    assert_eq!(expired.status, 401);
    assert_eq!(
        expired.headers.auth_fields(name::WWW_AUTHENTICATE)[0].value("stale"),
        Some("true")
    );
}

#[test]
fn lifetimes_are_bounded_on_both_sides() {
    let mut phone = Phone::usual();
    let brief = phone.register(&contact("Expires: 10\r\n"));
    assert_eq!(brief.status, 423);
    assert_eq!(brief.headers.min_expires(), Some(30));
    assert!(phone.bindings().is_empty());
    let long = phone.register(&format!("Contact: {CONTACT};expires=999999999999\r\n"));
    assert_eq!(
        long.headers.contacts()[0].params.value("expires"),
        Some("3600")
    );
    let unsaid = phone.register(&contact(""));
    assert_eq!(
        unsaid.headers.contacts()[0].params.value("expires"),
        Some("3600")
    );
}

#[test]
fn a_binding_ends_by_time_by_zero_and_by_a_star() {
    let mut phone = Phone::usual();
    phone.register(&contact("Expires: 60\r\n"));
    phone.net.run_for(Duration::from_secs(59));
    assert_eq!(phone.bindings().len(), 1);
    phone.net.run_for(Duration::from_secs(2));
    assert!(phone.bindings().is_empty());
    phone.register(&contact(""));
    let gone = phone.register(&contact("Expires: 0\r\n"));
    assert!(gone.headers.contacts().is_empty());
    phone.register("Contact: <sip:101@10.0.0.1>, <sip:101@10.0.0.2>\r\n");
    assert_eq!(phone.bindings().len(), 2);
    for bad in [
        "Contact: *\r\n",
        "Contact: *\r\nExpires: 60\r\n",
        "Contact: *, <sip:101@10.0.0.1>\r\nExpires: 0\r\n",
        "Contact: <sip:101@10.0.0.1>\r\nContact: *\r\nExpires: 0\r\n",
        "Contact: <tel:+33>\r\n",
        "Contact: <mailto:a@b>\r\n",
    ] {
        assert_eq!(phone.register(bad).status, 400, "{bad}");
    }
    assert_eq!(phone.bindings().len(), 2, "all or nothing");
    assert_eq!(phone.register("Contact: *\r\nExpires: 0\r\n").status, 200);
    assert!(phone.bindings().is_empty());
    let last = phone
        .net
        .events
        .iter()
        .rev()
        .find_map(|(_, event)| match event {
            Event::Bindings { bindings, .. } => Some(bindings.len()),
            _ => None,
        });
    assert_eq!(last, Some(0), "the shell was told");
    phone.net.run_for(Duration::from_secs(40));
    phone.net.assert_empty();
}

#[test]
fn one_binding_too_many_takes_the_place_of_the_oldest() {
    let mut config = DeviceConfig::new(REALM, "101", "secret");
    config.bindings_max = 2;
    let mut phone = Phone::new(config);
    for host in 1..=3 {
        phone.register(&format!("Contact: <sip:101@10.0.0.{host}>\r\n"));
    }
    assert_eq!(phone.contacts(), ["sip:101@10.0.0.3", "sip:101@10.0.0.2"]);
    // A refresh is heard of last.
    phone.register("Contact: <sip:101@10.0.0.2>\r\n");
    assert_eq!(phone.contacts(), ["sip:101@10.0.0.2", "sip:101@10.0.0.3"]);
    let three = "Contact: <sip:101@10.0.0.4>, <sip:101@10.0.0.5>, <sip:101@10.0.0.6>\r\n";
    assert_eq!(phone.register(three).status, 400);
}

#[test]
fn the_same_instance_at_another_address_is_the_same_phone() {
    let mut phone = Phone::usual();
    for host in ["10.0.0.1", "10.0.0.2"] {
        let instance = "+sip.instance=\"<urn:uuid:1>\";reg-id=1";
        phone.register(&format!("Contact: <sip:101@{host}>;{instance}\r\n"));
    }
    assert_eq!(phone.contacts(), ["sip:101@10.0.0.2"]);
    phone.register("Contact: <sip:101@10.0.0.3>;+sip.instance=\"<urn:uuid:2>\"\r\n");
    assert_eq!(phone.bindings().len(), 2);
}

#[test]
fn a_register_out_of_order_changes_nothing() {
    let mut phone = Phone::usual();
    phone.sequence = 10;
    phone.register(&contact(""));
    phone.sequence = 5;
    assert_eq!(phone.register(&contact("Expires: 0\r\n")).status, 500);
    assert_eq!(phone.register("Contact: *\r\nExpires: 0\r\n").status, 500);
    assert_eq!(phone.bindings().len(), 1);
    phone.call_id = "rebooted";
    assert_eq!(phone.register(&contact("Expires: 0\r\n")).status, 200);
    assert!(phone.bindings().is_empty());
}

#[test]
fn a_call_to_a_device_goes_back_through_its_nat() {
    let mut phone = Phone::usual();
    phone.register(&contact(""));
    let wish = |to: &str| OutgoingInvite {
        device: Some(DEVICE),
        to: to.to_owned(),
        offer: Some(sdp("offer")),
        ..OutgoingInvite::default()
    };
    let (own, number) = (wish("sip:101@pbx.test"), wish("sip:+33123456789@pbx.test"));
    phone.net.outside.clear();
    for (wish, uri) in [
        (own, "sip:101@192.168.1.20:5060"),
        (number, "sip:+33123456789@192.168.1.20:5060"),
    ] {
        let to = wish.to.clone();
        let placed = phone.net.act(Side::A, |agent, now| agent.invite(now, wish));
        placed.unwrap();
        let sent = phone.requests();
        let (target, request) = sent.first().unwrap();
        assert_eq!(
            *target, phone.source,
            "where it was heard, not where it says"
        );
        assert_eq!(request.uri.to_string(), uri);
        assert_eq!(request.headers.to().unwrap().uri.to_string(), to);
    }
    // The ACK and what follows go the same way.
    let invite = phone.net.agent(Side::A);
    assert_eq!(invite.table_sizes().live_invites, 2);
}

#[test]
fn the_ack_of_a_device_behind_nat_goes_through_its_nat() {
    let mut phone = Phone::usual();
    phone.register(&contact(""));
    phone.net.outside.clear();
    let wish = OutgoingInvite {
        device: Some(DEVICE),
        to: "sip:101@pbx.test".to_owned(),
        offer: Some(sdp("offer")),
        ..OutgoingInvite::default()
    };
    phone
        .net
        .act(Side::A, |agent, now| agent.invite(now, wish))
        .unwrap();
    let (_, request) = phone.requests().remove(0);
    let mut response = Response::to(&request, 200);
    let to = response.headers.to().unwrap().with_tag("phone");
    response.headers.replace(name::TO, to);
    response.headers.push(name::CONTACT, CONTACT);
    response.headers.push(name::CONTENT_TYPE, "application/sdp");
    response.body = sdp("answer");
    let source = phone.source;
    phone.net.inject(Side::A, source, &response.to_bytes());
    let acks = phone.requests();
    assert_eq!(acks.len(), 1);
    assert_eq!(acks[0].1.method, Method::Ack);
    assert_eq!(acks[0].0, source);
}

/// A NAT within a private network: neither the Contact nor where it was heard is a public address.
#[test]
fn what_we_send_in_a_call_of_a_device_goes_through_its_nat() {
    let mut phone = Phone::usual();
    phone.source = "10.9.0.2:40123".parse().unwrap();
    phone.register(&contact(""));
    phone.net.outside.clear();
    let body = String::from_utf8(sdp("offer")).unwrap();
    let invite = format!(
        "INVITE sip:desk@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bKcall\r\n\
         From: <sip:101@pbx.test>;tag=c\r\nTo: <sip:desk@pbx.test>\r\nCall-ID: call\r\nCSeq: 1 INVITE\r\n\
         Contact: {CONTACT}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let source = phone.source;
    phone.net.inject(Side::A, source, invite.as_bytes());
    let arrived = |(_, event): &(Side, Event)| match event {
        Event::IncomingInvite(incoming) => Some(incoming.invite),
        _ => None,
    };
    let id = phone.net.events.iter().find_map(arrived).expect("the call");
    let answered = phone
        .net
        .act(Side::A, |agent, now| agent.answer(now, id, sdp("answer")));
    answered.unwrap();
    let answer = phone.answers().pop().unwrap();
    let to = answer.headers.get(name::TO).unwrap().to_owned();
    let ack = format!(
        "ACK sip:desk@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bKack\r\n\
         From: <sip:101@pbx.test>;tag=c\r\nTo: {to}\r\nCall-ID: call\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
    );
    phone.net.inject(Side::A, source, ack.as_bytes());
    let ended = phone
        .net
        .act(Side::A, |agent, now| agent.hang_up(now, id, None));
    ended.unwrap();
    let sent = phone.requests();
    assert_eq!((sent[0].0, &sent[0].1.method), (source, &Method::Bye));
}

#[test]
fn a_path_is_the_route_of_calls() {
    let mut phone = Phone::usual();
    let path = "<sip:edge.test:5070;lr>, <sip:core.test;lr>";
    let response = phone.register(&contact(&format!("Supported: path\r\nPath: {path}\r\n")));
    let echoed: Vec<_> = response.headers.get_all(name::PATH).collect();
    assert_eq!(echoed, ["<sip:edge.test:5070;lr>", "<sip:core.test;lr>"]);
    let edge = "203.0.113.5:5070".parse().unwrap();
    phone.net.names.insert(
        "edge.test".to_owned(),
        vec![sip::Target {
            protocol: Protocol::Udp,
            address: edge,
            server_name: None,
        }],
    );
    phone.net.outside.clear();
    let wish = OutgoingInvite {
        device: Some(DEVICE),
        to: "sip:101@pbx.test".to_owned(),
        offer: Some(sdp("offer")),
        ..OutgoingInvite::default()
    };
    phone
        .net
        .act(Side::A, |agent, now| agent.invite(now, wish))
        .unwrap();
    phone.net.run_for(Duration::from_millis(100));
    let (to, request) = phone.requests().remove(0);
    assert_eq!(to, edge);
    assert_eq!(request.uri.to_string(), "sip:101@192.168.1.20:5060");
    assert_eq!(request.headers.routes().len(), 2);
    let required = phone.register(&contact("Require: path\r\n"));
    assert_eq!(required.status, 200);
    let unknown = phone.register(&contact("Require: gruu\r\n"));
    assert_eq!(unknown.status, 420);
}

#[test]
fn a_device_behind_nat_is_kept_alive_and_its_silence_is_noticed() {
    let mut phone = Phone::usual();
    phone.register(&contact(""));
    phone.net.outside.clear();
    phone.net.run_for(Duration::from_secs(31));
    let asked = phone.requests();
    assert!(!asked.is_empty(), "OPTIONS within the interval");
    assert_eq!(asked[0].1.method, Method::Options);
    assert_eq!(asked[0].0, phone.source);
    // Three without an answer, 32 s each until they are given up.
    phone.net.run_for(Duration::from_secs(150));
    assert!(!phone.bindings()[0].is_reachable);
    let (_, request) = phone.requests().pop().unwrap();
    let (source, response) = (phone.source, Response::to(&request, 200));
    phone.net.inject(Side::A, source, &response.to_bytes());
    assert!(phone.bindings()[0].is_reachable);
}

#[test]
fn another_password_ends_what_the_old_one_opened() {
    let mut phone = Phone::usual();
    phone.register(&contact(""));
    let mut config = DeviceConfig::new(REALM, "101", "secret");
    config.bindings_max = 3;
    phone.net.agent(Side::A).set_device(DEVICE, config);
    assert_eq!(phone.bindings().len(), 1, "other bounds are no other key");
    let config = DeviceConfig::new(REALM, "101", "changed");
    phone.net.agent(Side::A).set_device(DEVICE, config);
    assert!(phone.bindings().is_empty());
    assert_eq!(phone.register(&contact("")).status, 403);
}

#[test]
fn a_restored_binding_is_called_and_goes_when_its_time_is_over() {
    let mut phone = Phone::usual();
    phone.register(&contact("Expires: 60\r\n"));
    let binding = phone.bindings().remove(0);
    // The next process: the same world, another agent.
    let mut next = Phone::usual();
    let mut stream = binding.clone();
    stream.protocol = Protocol::Tcp;
    stream.contact = "sip:101@192.168.1.21".to_owned();
    next.net.act(Side::A, |agent, now| {
        for mut binding in [binding, stream] {
            binding.expires_at = now + Duration::from_secs(30);
            agent.restore_binding(now, DEVICE, binding);
        }
    });
    assert_eq!(
        next.contacts(),
        ["sip:101@192.168.1.20:5060"],
        "a stream through a NAT is gone"
    );
    let wish = OutgoingInvite {
        device: Some(DEVICE),
        to: "sip:101@pbx.test".to_owned(),
        offer: Some(sdp("offer")),
        ..OutgoingInvite::default()
    };
    next.net
        .act(Side::A, |agent, now| agent.invite(now, wish))
        .unwrap();
    assert_eq!(next.requests()[0].0, next.source);
    next.net.run_for(Duration::from_secs(31));
    assert!(next.bindings().is_empty());
}

#[test]
fn a_device_that_is_nowhere_is_not_called() {
    let mut phone = Phone::usual();
    let wish = OutgoingInvite {
        device: Some(DEVICE),
        to: "sip:101@pbx.test".to_owned(),
        ..OutgoingInvite::default()
    };
    let placed = phone.net.act(Side::A, |agent, now| agent.invite(now, wish));
    assert_eq!(placed, Err(sip::InviteError::NotRegistered));
}

#[test]
fn an_account_of_ours_registers_with_a_registrar_of_ours_over_each_protocol() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut net = Net::new(9);
        let config = DeviceConfig::new(REALM, "101", "secret");
        net.agent(Side::B).set_device(DEVICE, config);
        let address = Side::B.address(protocol);
        let mut account = AccountConfig::new("sip:101@pbx.test", "101", "secret");
        account.registrar = Some(format!("sip:{address}"));
        account.protocol = protocol;
        net.act(Side::A, |agent, now| {
            agent.set_account(now, AccountId(1), account)
        });
        net.until(Side::A, "Registered", |event| match event {
            Event::Registration {
                state: RegistrationState::Registered { .. },
                ..
            } => Some(()),
            _ => None,
        });
        let wish = OutgoingInvite {
            device: Some(DEVICE),
            to: "sip:101@pbx.test".to_owned(),
            offer: Some(sdp("offer")),
            ..OutgoingInvite::default()
        };
        net.act(Side::B, |agent, now| agent.invite(now, wish))
            .unwrap();
        let call = net.incoming(Side::A);
        assert_eq!(call.account, Some(AccountId(1)));
        assert_eq!(call.protocol, protocol);
        net.act(Side::A, |agent, now| {
            agent.answer(now, call.invite, sdp("answer"))
        })
        .unwrap();
        net.until(Side::A, "Established", |event| match event {
            Event::Established { .. } => Some(()),
            _ => None,
        });
        net.act(Side::A, |agent, now| agent.unregister_all(now));
        net.run_for(Duration::from_secs(1));
        assert!(net.agent(Side::B).bindings(DEVICE).is_empty());
    }
}

#[test]
fn a_flood_of_registers_that_prove_nothing_fills_no_table() {
    let mut phone = Phone::usual();
    for _ in 0..500 {
        let text = phone.text("101", &contact(""));
        assert_eq!(phone.send(&text).status, 401);
    }
    let sizes = phone.net.agent(Side::A).table_sizes();
    assert_eq!(sizes, TableSizes::default());
    let dropped = phone.net.events.iter().filter(|(_, event)| {
        matches!(
            event,
            Event::Dropped {
                reason: DropReason::Overload,
                ..
            }
        )
    });
    assert_eq!(dropped.count(), 0);
}

#[test]
fn several_algorithms_are_offered_in_the_order_of_the_device_and_no_other_is_taken() {
    let mut config = DeviceConfig::new(REALM, "101", "secret");
    config.algorithms = vec![Algorithm::SHA_512_256, Algorithm::SHA_256];
    let mut phone = Phone::new(config);
    let fields = phone.challenge("101");
    let offered: Vec<_> = fields
        .iter()
        .map(|field| field.value("algorithm"))
        .collect();
    assert_eq!(offered, [Some("SHA-512-256"), Some("SHA-256")]);
    let mut weak = AuthField::digest();
    weak.push_quoted("realm", REALM);
    weak.push_quoted("nonce", fields[0].value("nonce").unwrap());
    weak.push_token("algorithm", "MD5");
    weak.push_quoted("qop", "auth");
    phone.digest.handle_challenge(&[weak], 0);
    assert_eq!(phone.register(&contact("")).status, 403);
}
