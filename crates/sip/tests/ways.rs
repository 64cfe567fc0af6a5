//! Sockets bound to every address of the machine: Via and Contact name the address by which that peer reaches us, so that
//! a telephone in a second network (another LAN, a VPN) can send its ACK and its BYE.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::print_stderr,
    reason = "a test may fail loudly, pick outputs, and needs an origin of its virtual time"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::common::sdp;
use sip::message::{Message, name};
use sip::{
    Config, Event, Input, Listener, ListenerId, OutgoingInvite, Output, Protocol, QueryId, Target,
    UserAgent,
};

const VPN_PEER: &str = "10.8.0.2:5060";
const VPN_OURS: &str = "10.8.0.1";
/// What the default route says of us.
const LAN_OURS: &str = "192.168.1.5";

fn everywhere(protocol: Protocol, id: u32, is_guess: bool) -> Listener {
    Listener {
        id: ListenerId(id),
        protocol,
        bound: "0.0.0.0:5060".parse().unwrap(),
        advertised: Some((LAN_OURS.to_owned(), 5060)),
        is_guess,
    }
}

fn agent(now: Instant, is_guess: bool) -> UserAgent {
    let listeners = vec![
        everywhere(Protocol::Udp, 1, is_guess),
        everywhere(Protocol::Tcp, 2, is_guess),
    ];
    UserAgent::new(now, Config::new(listeners, 7))
}

fn outputs(agent: &mut UserAgent) -> Vec<Output> {
    std::iter::from_fn(|| agent.poll_output()).collect()
}

fn sent(outputs: &[Output]) -> Vec<Message> {
    let data = outputs.iter().filter_map(|output| match output {
        Output::SendDatagram { data, .. } | Output::SendStream { data, .. } => Some(data),
        _ => None,
    });
    data.map(|data| sip::message::parse(data).unwrap())
        .collect()
}

fn invite() -> Vec<u8> {
    let body = String::from_utf8(sdp("theirs")).unwrap();
    format!(
        "INVITE sip:us@{VPN_OURS} SIP/2.0\r\nVia: SIP/2.0/UDP {VPN_PEER};branch=z9hG4bKx\r\nFrom: <sip:a@{VPN_PEER}>;tag=a\r\n\
         To: <sip:us@{VPN_OURS}>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:a@{VPN_PEER}>\r\nMax-Forwards: 70\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The call is answered; the host that our Contact names.
fn contact_of_answer(agent: &mut UserAgent, now: Instant) -> String {
    let invite = outputs(agent).into_iter().find_map(|output| match output {
        Output::Event(Event::IncomingInvite(incoming)) => Some(incoming.invite),
        _ => None,
    });
    agent.answer(now, invite.unwrap(), sdp("ours")).unwrap();
    let answers = sent(&outputs(agent));
    let Some(Message::Response(answer)) = answers.last() else {
        panic!("no answer: {answers:?}");
    };
    assert_eq!(answer.status, 200);
    answer.headers.contacts()[0].uri.host.clone()
}

fn peer() -> SocketAddr {
    VPN_PEER.parse().unwrap()
}

fn calls(agent: &mut UserAgent, now: Instant) {
    let data = invite();
    let (listener, source, data) = (ListenerId(1), peer(), data.as_slice());
    let input = Input::Datagram {
        listener,
        source,
        data,
    };
    agent.handle(now, input);
}

fn tell_way(agent: &mut UserAgent, now: Instant) {
    let (peer, local) = (peer().ip(), VPN_OURS.parse().unwrap());
    agent.handle(now, Input::Route { peer, local });
}

#[test]
fn an_answer_names_the_address_that_the_caller_reached() {
    let now = Instant::now();
    let mut agent = agent(now, true);
    assert!(agent.wants_route(now, peer().ip()));
    tell_way(&mut agent, now);
    assert!(!agent.wants_route(now, peer().ip()));
    calls(&mut agent, now);
    assert_eq!(contact_of_answer(&mut agent, now), VPN_OURS);
    assert!(agent.wants_route(now + Duration::from_secs(61), peer().ip()));
}

#[test]
fn a_stream_is_answered_with_its_own_address() {
    let now = Instant::now();
    let mut agent = agent(now, true);
    let connection = agent.next_connection_id();
    agent.handle(
        now,
        Input::Accepted {
            connection,
            listener: ListenerId(2),
            local: format!("{VPN_OURS}:5060").parse().unwrap(),
            remote: peer(),
        },
    );
    let data = String::from_utf8(invite()).unwrap().replace("UDP", "TCP");
    agent.handle(
        now,
        Input::Received {
            connection,
            data: data.as_bytes(),
        },
    );
    assert_eq!(contact_of_answer(&mut agent, now), VPN_OURS);
}

#[test]
fn the_address_that_the_operator_fixed_is_never_replaced() {
    let now = Instant::now();
    let mut agent = agent(now, false);
    assert!(!agent.wants_route(now, peer().ip()));
    tell_way(&mut agent, now);
    calls(&mut agent, now);
    assert_eq!(contact_of_answer(&mut agent, now), LAN_OURS);
}

#[test]
fn the_way_to_an_address_is_asked_before_the_first_request_goes_there() {
    let now = Instant::now();
    let mut agent = agent(now, true);
    let call = |agent: &mut UserAgent| {
        let wish = OutgoingInvite {
            to: format!("sip:a@{VPN_PEER};transport=udp"),
            offer: Some(sdp("offer")),
            ..OutgoingInvite::default()
        };
        agent.invite(now, wish).unwrap();
        outputs(agent)
    };
    let first = call(&mut agent);
    assert!(sent(&first).is_empty());
    let query: QueryId = first
        .iter()
        .find_map(|output| match output {
            Output::Resolve { query, host, .. } if host == "10.8.0.2" => Some(*query),
            _ => None,
        })
        .unwrap();
    tell_way(&mut agent, now);
    let targets = vec![Target {
        protocol: Protocol::Udp,
        address: peer(),
        server_name: None,
    }];
    agent.handle(now, Input::Resolved { query, targets });
    let known = outputs(&mut agent);
    for outputs in [known, call(&mut agent)] {
        let requests = sent(&outputs);
        let [Message::Request(request)] = requests.as_slice() else {
            panic!("one INVITE, not {requests:?}");
        };
        assert_eq!(request.headers.contacts()[0].uri.host, VPN_OURS);
        let via = request.headers.get(name::VIA).unwrap();
        assert!(via.starts_with("SIP/2.0/UDP 10.8.0.1:5060;"), "{via}");
    }
}
