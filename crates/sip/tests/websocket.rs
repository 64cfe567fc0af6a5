//! SIP over WebSocket (RFC 7118), at virtual time: a softphone in a browser registers, calls, is called, and is gone with its connection. It names a
//! host that does not exist in Via and Contact, and nobody may look for that.

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
use sip::digest::{Credentials, DigestClient};
use sip::message::{Message, Request, Response, name};
use sip::{
    Binding, Config, ConnectionId, DeviceConfig, DeviceId, DropReason, EndCause, Event, Input,
    Listener, ListenerId, OutgoingInvite, Output, Protocol, UserAgent,
};

const DEVICE: DeviceId = DeviceId(7);
const OURS: &str = "192.0.2.1:7443";
const THEIRS: &str = "198.51.100.9:50123";
/// As JsSIP writes it.
const CONTACT: &str = "<sip:8hg2@df7jal23ls0d.invalid;transport=ws>;+sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\";reg-id=1;expires=600";

/// A user agent with one connection of a browser.
struct World {
    agent: UserAgent,
    now: Instant,
    connection: ConnectionId,
    digest: DigestClient,
    sequence: u32,
    protocol: Protocol,
}

impl World {
    fn new(protocol: Protocol) -> Self {
        let now = Instant::now();
        let listener = |id, protocol, bound: &str| Listener {
            id: ListenerId(id),
            protocol,
            bound: bound.parse().unwrap(),
            advertised: None,
            is_guess: false,
        };
        let listeners = vec![
            listener(1, Protocol::Udp, "192.0.2.1:5060"),
            listener(2, protocol, OURS),
        ];
        let mut agent = UserAgent::new(now, Config::new(listeners, 7));
        agent.set_device(DEVICE, DeviceConfig::new("allo", "101", "secret"));
        let mut world = Self {
            agent,
            now,
            connection: ConnectionId(0),
            digest: DigestClient::new(),
            sequence: 0,
            protocol,
        };
        world.connect();
        world
    }

    fn connect(&mut self) {
        self.connection = self.agent.next_connection_id();
        let input = Input::Accepted {
            connection: self.connection,
            listener: ListenerId(2),
            local: OURS.parse().unwrap(),
            remote: THEIRS.parse().unwrap(),
        };
        self.agent.handle(self.now, input);
        self.digest = DigestClient::new();
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.agent.poll_output()).collect()
    }

    /// What comes of a message of the browser.
    fn receive(&mut self, data: &[u8]) -> Vec<Output> {
        let connection = self.connection;
        self.agent
            .handle(self.now, Input::Received { connection, data });
        self.outputs()
    }

    /// What is sent to the browser; nothing goes anywhere else, and nobody is asked for a name.
    fn sent(&self, outputs: &[Output]) -> Vec<Message> {
        let mut sent = Vec::new();
        for output in outputs {
            match output {
                Output::SendStream { connection, data } => {
                    assert_eq!(*connection, self.connection);
                    sent.push(sip::message::parse(data).unwrap());
                }
                Output::SendDatagram { .. } | Output::Connect { .. } | Output::Resolve { .. } => {
                    panic!("{output:?} leaves the connection")
                }
                Output::Close { .. } | Output::Event(_) => {}
            }
        }
        sent
    }

    fn response(&self, outputs: &[Output]) -> Response {
        match self.sent(outputs).pop() {
            Some(Message::Response(response)) => response,
            other => panic!("{other:?} instead of a response"),
        }
    }

    fn request(&self, outputs: &[Output]) -> Request {
        match self.sent(outputs).pop() {
            Some(Message::Request(request)) => request,
            other => panic!("{other:?} instead of a request"),
        }
    }

    /// A request of the browser, without Content-Length, which no WebSocket needs.
    fn text(&mut self, method: &str, rows: &str, body: &str) -> String {
        self.sequence += 1;
        let (sequence, via) = (self.sequence, self.protocol.via_token());
        format!(
            "{method} sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/{via} df7jal23ls0d.invalid;branch=z9hG4bK{sequence}\r\n\
             From: <sip:101@pbx.test>;tag=b\r\nTo: <sip:101@pbx.test>\r\nCall-ID: browser{method}\r\nCSeq: {sequence} {method}\r\n\
             Max-Forwards: 70\r\nSupported: path,gruu,outbound\r\n{rows}\r\n{body}"
        )
    }

    fn register(&mut self, contact: &str) -> (Response, Vec<Output>) {
        let challenge = self.text("REGISTER", "", "");
        let outputs = self.receive(challenge.as_bytes());
        let response = self.response(&outputs);
        assert_eq!(response.status, 401);
        let fields = response.headers.auth_fields(name::WWW_AUTHENTICATE);
        self.digest.handle_challenge(&fields, 0);
        let credentials = Credentials {
            username: "101".to_owned(),
            password: "secret".to_owned(),
        };
        let field = self
            .digest
            .authorization(&credentials, "REGISTER", "sip:pbx.test", b"", "c0")
            .unwrap();
        let rows = format!("Authorization: {field}\r\nContact: {contact}\r\n");
        let text = self.text("REGISTER", &rows, "");
        let outputs = self.receive(text.as_bytes());
        (self.response(&outputs), outputs)
    }

    fn bindings(&self) -> Vec<Binding> {
        self.agent.bindings(DEVICE)
    }

    fn disconnect(&mut self) -> Vec<Output> {
        let connection = self.connection;
        self.agent.handle(self.now, Input::Closed { connection });
        self.outputs()
    }

    /// Lets time pass; what is sent meanwhile.
    fn wait(&mut self, time: Duration) -> Vec<Output> {
        let end = self.now + time;
        let mut outputs = Vec::new();
        while let Some(at) = self.agent.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.agent.handle(self.now, Input::Timeout);
            outputs.extend(self.outputs());
        }
        self.now = end;
        outputs
    }
}

fn has_closed(outputs: &[Output]) -> bool {
    outputs
        .iter()
        .any(|output| matches!(output, Output::Close { .. }))
}

fn end_of(outputs: &[Output]) -> Option<&EndCause> {
    outputs.iter().find_map(|output| match output {
        Output::Event(Event::Ended { cause, .. }) => Some(cause),
        _ => None,
    })
}

#[test]
fn a_browser_registers_with_a_host_that_does_not_exist() {
    for (protocol, token) in [(Protocol::Ws, "WS"), (Protocol::Wss, "WSS")] {
        let mut world = World::new(protocol);
        let (response, _) = world.register(CONTACT);
        assert_eq!(response.status, 200);
        let via = response.headers.via_top().unwrap();
        assert_eq!(via.protocol, token);
        assert_eq!(
            via.received(),
            THEIRS.parse::<SocketAddr>().ok().map(|from| from.ip())
        );
        let bindings = world.bindings();
        assert_eq!(bindings.len(), 1);
        assert_eq!(bindings[0].protocol, protocol);
        assert!(bindings[0].instance.is_some() && bindings[0].is_behind_nat());
        // The same page with a new name of itself is the same device (RFC 5626 section 6).
        let (again, _) = world.register(&CONTACT.replace("8hg2@df7jal23ls0d", "other@x9"));
        assert_eq!((again.status, world.bindings().len()), (200, 1));
    }
}

#[test]
fn a_registration_is_gone_with_its_connection() {
    // Also one that names the very address it comes from: nobody can connect to a browser.
    for contact in [CONTACT.to_owned(), format!("<sip:a@{THEIRS};transport=ws>")] {
        let mut world = World::new(Protocol::Wss);
        assert_eq!(world.register(&contact).0.status, 200);
        let kept = world.bindings().remove(0);
        world.disconnect();
        assert_eq!(world.bindings(), []);
        let wish = OutgoingInvite {
            device: Some(DEVICE),
            to: "sip:101@pbx.test".to_owned(),
            offer: Some(sdp("ours")),
            ..OutgoingInvite::default()
        };
        assert!(world.agent.invite(world.now, wish).is_err());
        // Nor does the next process know a way to it.
        world.agent.restore_binding(world.now, DEVICE, kept);
        assert_eq!(world.bindings(), []);
        world.connect();
        assert_eq!(world.register(&contact).0.status, 200);
        assert_eq!(world.bindings().len(), 1);
    }
}

#[test]
fn a_call_to_a_browser_goes_by_its_connection_and_ends_with_it() {
    let mut world = World::new(Protocol::Wss);
    world.register(CONTACT);
    let wish = OutgoingInvite {
        device: Some(DEVICE),
        to: "sip:101@pbx.test".to_owned(),
        offer: Some(sdp("ours")),
        ..OutgoingInvite::default()
    };
    world.agent.invite(world.now, wish).unwrap();
    let outputs = world.outputs();
    let invite = world.request(&outputs);
    assert_eq!(
        invite.uri.to_string(),
        "sip:8hg2@df7jal23ls0d.invalid;transport=ws"
    );
    let via = invite.headers.via_top().unwrap();
    assert_eq!((&*via.protocol, via.port), ("WSS", Some(7443)));
    let contact = &invite.headers.contacts()[0].uri;
    assert_eq!(contact.transport(), Some("ws"));
    // The browser rings, and is closed: nobody is looked for, and nothing is sent elsewhere.
    let mut ringing = Response::to(&invite, 180);
    let to = invite.headers.to().unwrap().with_tag("theirs");
    ringing.headers.replace(name::TO, to);
    world.receive(&ringing.to_bytes());
    let mut outputs = world.disconnect();
    outputs.extend(world.wait(Duration::from_secs(64)));
    assert!(end_of(&outputs).is_some(), "{outputs:?}");
    assert_eq!(world.sent(&outputs), []);
}

#[test]
fn a_call_of_a_browser_is_answered_and_hung_up_over_its_connection() {
    let mut world = World::new(Protocol::Ws);
    let body = String::from_utf8(sdp("theirs")).unwrap();
    let rows = "Contact: <sip:8hg2@df7jal23ls0d.invalid;transport=ws;ob>\r\nContent-Type: application/sdp\r\n";
    let text = world.text("INVITE", rows, &body);
    let outputs = world.receive(text.as_bytes());
    let incoming = outputs.iter().find_map(|output| match output {
        Output::Event(Event::IncomingInvite(incoming)) => Some(incoming),
        _ => None,
    });
    let incoming = incoming.unwrap();
    assert_eq!((incoming.protocol, incoming.secure), (Protocol::Ws, false));
    assert_eq!(incoming.offer.as_deref(), Some(body.as_bytes()));
    let invite = incoming.invite;
    world.agent.answer(world.now, invite, sdp("ours")).unwrap();
    let outputs = world.outputs();
    let answer = world.response(&outputs);
    assert_eq!(answer.status, 200);
    let to = answer.headers.to().unwrap();
    let ack = text
        .replace("INVITE", "ACK")
        .replace("browserACK", "browserINVITE")
        .replace("branch=z9hG4bK1", "branch=z9hG4bKack")
        .replace("To: <sip:101@pbx.test>", &format!("To: {to}"));
    let ack = ack.split("Content-Type").next().unwrap().to_owned() + "\r\n";
    world.receive(ack.as_bytes());
    world.agent.hang_up(world.now, invite, None).unwrap();
    let hung_up = world.outputs();
    let bye = world.request(&hung_up);
    assert_eq!(bye.method.as_str(), "BYE");
    assert_eq!(bye.headers.via_top().unwrap().protocol, "WS");
    assert!(end_of(&hung_up).is_some(), "{hung_up:?}");
    // Its page is closed before it answers: nobody is asked for its host.
    let mut outputs = world.disconnect();
    outputs.extend(world.wait(Duration::from_secs(64)));
    assert_eq!(world.sent(&outputs), []);
}

#[test]
fn keep_alives_are_answered_and_none_of_ours_are_sent() {
    let mut world = World::new(Protocol::Wss);
    world.register(CONTACT);
    let pong = world.receive(b"\r\n\r\n");
    assert!(matches!(&pong[..], [Output::SendStream { data, .. }] if data == b"\r\n"));
    assert!(world.receive(b"\r\n").is_empty() && world.receive(b"").is_empty());
    let outputs = world.wait(Duration::from_secs(590));
    assert!(
        !outputs
            .iter()
            .any(|output| matches!(output, Output::SendStream { .. })),
        "the shell pings, in the WebSocket: {outputs:?}"
    );
    assert_eq!(world.bindings().len(), 1);
}

#[test]
fn what_is_no_message_costs_the_connection_and_a_broken_one_only_itself() {
    let mut world = World::new(Protocol::Wss);
    let text = world.text("OPTIONS", "", "");
    let broken = text.replace("Max-Forwards: 70", "Max-Forwards 70");
    let outputs = world.receive(broken.as_bytes());
    assert_eq!(world.response(&outputs).status, 400);
    let outputs = world.receive(text.as_bytes());
    assert_eq!(world.response(&outputs).status, 200);
    // A body that is cut is no body.
    let cut = world.text("OPTIONS", "Content-Length: 9\r\n", "four");
    let outputs = world.receive(cut.as_bytes());
    assert_eq!(world.response(&outputs).status, 400);
    for garbage in [
        &b"hello"[..],
        b"\0\xff\xfe",
        b"{\"sip\": 1}",
        b"\r\n\r\n\r\n",
    ] {
        let mut world = World::new(Protocol::Wss);
        let outputs = world.receive(garbage);
        assert!(has_closed(&outputs), "{garbage:?}");
        assert!(outputs.iter().any(|output| matches!(
            output,
            Output::Event(Event::Dropped {
                reason: DropReason::Framing,
                ..
            })
        )));
        assert!(world.receive(text.as_bytes()).is_empty());
    }
}

#[test]
fn who_says_nothing_is_not_kept() {
    let mut world = World::new(Protocol::Wss);
    assert!(!has_closed(&world.wait(Duration::from_secs(29))));
    // A keep-alive is no message.
    world.receive(b"\r\n\r\n");
    assert!(has_closed(&world.wait(Duration::from_secs(31))));
}
