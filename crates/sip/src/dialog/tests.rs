//! Route sets, remote targets and the choice of the flow, row by row (RFC 3261 sections 12.1, 12.2 and 19.1.1).

use super::*;
use crate::config::Protocol;
use crate::message::{Message, parse};

const OURS: LocalContact = LocalContact {
    user: String::new(),
    secure: false,
    address: None,
    params: String::new(),
};

fn message(text: &str) -> Message {
    parse(text.replace('\n', "\r\n").as_bytes()).expect("a message")
}

/// An INVITE through `vias` hops, with a contact and recorded routes.
fn invite(vias: usize, contact: &str, routes: &[&str]) -> Request {
    let mut text = "INVITE sip:us@192.0.2.1 SIP/2.0\n".to_owned();
    for hop in 0..vias {
        text += &format!("Via: SIP/2.0/UDP 203.0.113.{hop};branch=z9hG4bK{hop}\n");
    }
    for route in routes {
        text += &format!("Record-Route: {route}\n");
    }
    text += &format!(
        "From: <sip:them@example.org>;tag=theirs\nTo: <sip:us@192.0.2.1>\nCall-ID: one\nCSeq: 7 INVITE\nMax-Forwards: 70\nContact: {contact}\nContent-Length: 0\n\n"
    );
    match message(&text) {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a request"),
    }
}

fn origin(flow: Flow, remote: &str) -> Origin {
    Origin {
        flow,
        protocol: Protocol::Udp,
        remote: remote.parse().expect("an address"),
        local: "192.0.2.1:5060".parse().expect("an address"),
        listener: Some(ListenerId(1)),
    }
}

fn datagram(remote: &str) -> Flow {
    Flow::Datagram {
        listener: ListenerId(1),
        remote: remote.parse().expect("an address"),
    }
}

const STREAM: Flow = Flow::Stream {
    connection: crate::id::ConnectionId(5),
};

fn incoming(flow: Flow, remote: &str, vias: usize, contact: &str, routes: &[&str]) -> Dialog {
    let request = invite(vias, contact, routes);
    Dialog::of_incoming(&request, "ours", OURS, &origin(flow, remote)).expect("a dialog")
}

fn routes_of(request: &Request) -> Vec<String> {
    let routes = request.headers.get_all(name::ROUTE);
    routes.map(str::to_owned).collect()
}

#[test]
fn the_callee_keeps_the_order_of_recorded_routes_and_the_caller_turns_it_round() {
    let recorded = ["<sip:first.example;lr>", "<sip:second.example;lr>"];
    let callee = incoming(
        datagram("203.0.113.9:5060"),
        "203.0.113.9:5060",
        2,
        "<sip:them@198.51.100.7>",
        &recorded,
    );
    let bye = callee.request(Method::Bye, 1);
    assert_eq!(routes_of(&bye), recorded);
    assert_eq!(callee.next_hop().uri.to_string(), "sip:first.example;lr");

    let response = "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\nRecord-Route: <sip:first.example;lr>\nRecord-Route: <sip:second.example;lr>\nFrom: <sip:us@192.0.2.1>;tag=ours\nTo: <sip:them@example.org>;tag=theirs\nCall-ID: one\nCSeq: 1 INVITE\nContact: <sip:them@198.51.100.7>\nContent-Length: 0\n\n";
    let Message::Response(response) = message(response) else {
        panic!("a response");
    };
    let party = callee.remote.clone();
    let mut caller = Dialog::outgoing("one".to_owned(), callee.local.clone(), party, OURS);
    caller.settle(
        &response,
        datagram("203.0.113.9:5060"),
        Some("203.0.113.9:5060".parse().expect("an address")),
    );
    let bye = caller.request(Method::Bye, 2);
    assert_eq!(
        routes_of(&bye),
        ["<sip:second.example;lr>", "<sip:first.example;lr>"]
    );
    assert_eq!(bye.uri.to_string(), "sip:them@198.51.100.7");
    assert_eq!(caller.next_hop().uri.to_string(), "sip:second.example;lr");
}

#[test]
fn a_strict_router_gets_its_own_address_and_the_target_comes_last() {
    let dialog = incoming(
        datagram("203.0.113.9:5060"),
        "203.0.113.9:5060",
        2,
        "<sip:them@198.51.100.7>",
        &[
            "<sip:strict.example;method=INVITE?Subject=x>",
            "<sip:loose.example;lr>",
        ],
    );
    let bye = dialog.request(Method::Bye, 1);
    assert_eq!(bye.uri.to_string(), "sip:strict.example");
    assert_eq!(
        routes_of(&bye),
        ["<sip:loose.example;lr>", "<sip:them@198.51.100.7>"]
    );
}

#[test]
fn what_a_request_line_may_not_hold_is_left_out_of_the_target() {
    let dialog = incoming(
        datagram("203.0.113.9:5060"),
        "203.0.113.9:5060",
        1,
        "<sip:them@198.51.100.7;method=INVITE;transport=udp?Subject=x>",
        &[],
    );
    let bye = dialog.request(Method::Bye, 1);
    assert_eq!(bye.uri.to_string(), "sip:them@198.51.100.7;transport=udp");
}

#[test]
fn a_stream_is_reused_where_it_leads_to_the_peer() {
    let source = "198.51.100.7:40000";
    let rows: &[(usize, &str, &[&str], bool)] = &[
        // Direct: an address behind NAT, the peer's own, a name; not somebody else's.
        (1, "<sip:them@10.0.0.5>", &[], true),
        (1, "<sip:them@198.51.100.7:5060>", &[], true),
        (1, "<sip:them@phone.example>", &[], true),
        (1, "<sip:them@198.51.100.8>", &[], false),
        // Through a proxy that does not record itself: only where the contact is that very address.
        (2, "<sip:them@198.51.100.7:40000>", &[], true),
        (2, "<sip:them@198.51.100.7:40001>", &[], false),
        (2, "<sip:them@198.51.100.8:40000>", &[], false),
        (2, "<sip:them@198.51.100.7>", &[], false),
        // Through one that does.
        (2, "<sip:them@10.0.0.5>", &["<sip:10.0.0.1;lr>"], true),
        (2, "<sip:them@10.0.0.5>", &["<sip:198.51.100.7;lr>"], true),
        (2, "<sip:them@10.0.0.5>", &["<sip:198.51.100.9;lr>"], false),
    ];
    for (vias, contact, routes, reused) in rows {
        let dialog = incoming(STREAM, source, *vias, contact, routes);
        let expected = reused.then_some(STREAM);
        assert_eq!(
            dialog.next_hop().flow,
            expected,
            "{vias} {contact} {routes:?}"
        );
    }
}

#[test]
fn the_port_that_an_address_leaves_out_depends_on_its_transport() {
    for (source, contact, reused) in [
        ("198.51.100.7:5060", "<sip:them@198.51.100.7>", true),
        ("198.51.100.7:5061", "<sip:them@198.51.100.7>", false),
        ("198.51.100.7:5061", "<sips:them@198.51.100.7>", true),
        ("198.51.100.7:5060", "<sips:them@198.51.100.7>", false),
        (
            "198.51.100.7:5061",
            "<sip:them@198.51.100.7;transport=TLS>",
            true,
        ),
        (
            "198.51.100.7:5061",
            "<sip:them@198.51.100.7;transport=tcp>",
            false,
        ),
    ] {
        let dialog = incoming(STREAM, source, 2, contact, &[]);
        assert_eq!(
            dialog.next_hop().flow.is_some(),
            reused,
            "{source} {contact}"
        );
    }
}

#[test]
fn a_datagram_peer_behind_nat_is_answered_where_it_was_heard() {
    let public = "198.51.100.7:40000";
    for (contact, private) in [
        ("10.0.0.5", true),
        ("172.16.9.9", true),
        ("192.168.1.7", true),
        ("127.0.0.1", true),
        ("169.254.1.1", true),
        ("0.0.0.0", true),
        ("100.64.0.1", true),
        ("100.127.255.255", true),
        ("[fd00::1]", true),
        ("[::1]", true),
        ("[::]", true),
        ("100.63.255.255", false),
        ("100.128.0.1", false),
        ("101.64.0.1", false),
        ("198.51.100.9", false),
        ("[2001:db8::1]", false),
        ("phone.example", false),
    ] {
        let contact = format!("<sip:them@{contact}>");
        let flow = |remote: &str, vias, routes: &[&str]| {
            let dialog = incoming(datagram(remote), remote, vias, &contact, routes);
            dialog.next_hop().flow
        };
        let heard = private.then(|| datagram(public));
        assert_eq!(flow(public, 1, &[]), heard, "{contact}");
        // In one network with us it can be reached where it says.
        assert_eq!(flow("192.168.1.7:5060", 1, &[]), None, "{contact}");
        // A proxy stands between: it is the proxy that was heard.
        assert_eq!(flow(public, 2, &[]), None, "{contact}");
        assert_eq!(flow(public, 1, &["<sip:10.0.0.1;lr>"]), None, "{contact}");
    }
}

#[test]
fn the_order_of_the_peers_requests_is_kept() {
    let mut dialog = incoming(STREAM, "198.51.100.7:40000", 1, "<sip:them@10.0.0.5>", &[]);
    assert_eq!(dialog.order(7), Order::Next, "the INVITE again, or its ACK");
    assert_eq!(dialog.order(6), Order::Late);
    assert_eq!(dialog.order(9), Order::Next);
    assert_eq!(dialog.order(8), Order::Late);
    assert_eq!(dialog.next_sequence(), 1);
    dialog.continue_from(5);
    assert_eq!(dialog.next_sequence(), 6);
    dialog.continue_from(3);
    assert_eq!(dialog.next_sequence(), 7);
}

#[test]
fn a_target_is_refreshed_by_a_sip_address_alone() {
    let mut dialog = incoming(STREAM, "198.51.100.7:40000", 1, "<sip:them@10.0.0.5>", &[]);
    let target = |dialog: &Dialog| dialog.request(Method::Bye, 1).uri.to_string();
    dialog.retarget(invite(1, "<tel:+33123456789>", &[]).headers.contacts());
    assert_eq!(target(&dialog), "sip:them@10.0.0.5");
    dialog.retarget(Vec::new());
    assert_eq!(target(&dialog), "sip:them@10.0.0.5");
    dialog.retarget(invite(1, "<sip:moved@10.0.0.6>", &[]).headers.contacts());
    assert_eq!(target(&dialog), "sip:moved@10.0.0.6");
}
