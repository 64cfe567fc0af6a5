//! Every message of RFC 4475 and RFC 5118, written out in a form of our own (same fault, other names), handed to a user agent
//! over UDP: what becomes of it, and why that is what the RFC asks of a user agent that is no registrar and no proxy.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    reason = "a test stops where it fails, and needs an origin of its virtual time"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use crate::common::{Net, Side};
use sip::{DropReason, Event};

/// What must become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// A call that the shell hears of.
    Call,
    /// One answer with this status, and nothing else.
    Answered(u16),
    /// A response that is read and belongs to nothing of ours.
    Stray,
    /// A response that cannot be read: dropped without a word.
    Unreadable,
}

use Fate::{Answered, Call, Stray, Unreadable};

/// Section, name in the RFC, verdict, reason.
type Row = (&'static str, &'static str, Fate, &'static str);

#[rustfmt::skip]
const RFC4475: &[Row] = &[
    ("3.1.1.1", "wsinv", Call, "valid: folds, blanks, compact and odd names"),
    ("3.1.1.2", "intmeth", Answered(501), "valid; a method that we do not know"),
    ("3.1.1.3", "esc01", Call, "valid: escapes in user parts and parameters"),
    ("3.1.1.4", "escnull", Answered(405), "valid: escaped NUL in a user part; we are no registrar"),
    ("3.1.1.5", "esc02", Answered(501), "valid: RE%47IST%45R is a method of its own, not REGISTER"),
    ("3.1.1.6", "lwsdisp", Answered(200), "valid: no blank between display name and bracket"),
    ("3.1.1.7", "longreq", Call, "valid: long values, 34 Vias"),
    ("3.1.1.8", "dblreq", Answered(405), "valid: bytes behind the first request are ignored; REGISTER is refused, no call begins"),
    ("3.1.1.9", "semiuri", Answered(200), "valid: semicolon in a user part"),
    ("3.1.1.10", "transports", Answered(200), "valid: known and unknown transports in Via"),
    ("3.1.1.11", "mpart01", Answered(405), "valid: binary multipart; MESSAGE is not taken"),
    ("3.1.1.12", "unreason", Stray, "valid: a reason phrase beyond ASCII"),
    ("3.1.1.13", "noreason", Stray, "valid: an empty reason phrase"),
    ("3.1.2.1", "badinv01", Answered(400), "empty values and parameters in Via and Contact"),
    ("3.1.2.2", "clerr", Answered(400), "a datagram shorter than its Content-Length"),
    ("3.1.2.3", "ncl", Answered(400), "a negative Content-Length"),
    ("3.1.2.4", "scalar02", Answered(400), "CSeq beyond 2^32; Max-Forwards and Expires alone would be clamped"),
    ("3.1.2.5", "scalarlg", Unreadable, "a response with such a CSeq is discarded"),
    ("3.1.2.6", "quotbal", Answered(400), "a quoted display name without end"),
    ("3.1.2.7", "ltgtruri", Answered(400), "a Request-URI in brackets"),
    ("3.1.2.8", "lwsruri", Answered(400), "a blank inside the Request-URI"),
    ("3.1.2.9", "lwsstart", Answered(400), "two blanks between the parts of the request line"),
    ("3.1.2.10", "trws", Answered(400), "blanks behind the version; the RFC allows to reject"),
    ("3.1.2.11", "escruri", Answered(400), "header fields in a Request-URI"),
    ("3.1.2.12", "baddate", Call, "not GMT; the RFC advises to accept where Date is not used, and nothing here reads it"),
    ("3.1.2.13", "regbadct", Answered(400), "a Contact with header fields and no brackets"),
    ("3.1.2.14", "badaspec", Answered(400), "blanks inside the brackets"),
    ("3.1.2.15", "baddn", Answered(400), "a comma in a display name without quotes; the RFC allows to reject"),
    ("3.1.2.16", "badvers", Answered(505), "SIP/7.0"),
    ("3.1.2.17", "mismatch01", Answered(400), "CSeq names another method"),
    ("3.1.2.18", "mismatch02", Answered(400), "the same with an unknown method; 501 would do as well"),
    ("3.1.2.19", "bigcode", Unreadable, "a status beyond 699 is discarded"),
    ("3.2.1", "badbranch", Answered(200), "a branch of nothing but the cookie is no identifier: matched as RFC 2543 has it"),
    ("3.3.1", "insuf", Answered(400), "no From, To, Call-ID"),
    ("3.3.2", "unkscm", Answered(416), "an unknown scheme in the Request-URI"),
    ("3.3.3", "novelsc", Answered(416), "a known scheme that we do not serve"),
    ("3.3.4", "unksm2", Answered(405), "unknown schemes elsewhere are read; we are no registrar"),
    ("3.3.5", "bext01", Answered(420), "options of Require that nobody knows; Proxy-Require is not ours"),
    ("3.3.6", "invut", Answered(415), "a body of unknown type"),
    ("3.3.7", "regaut01", Answered(405), "an unknown scheme of authentication is no error; we are no registrar"),
    ("3.3.8", "multi01", Answered(400), "fields twice that may stand once"),
    ("3.3.9", "mcl01", Answered(400), "two lengths"),
    ("3.3.10", "bcast", Stray, "a second Via with a broadcast address: not ours, and never forwarded"),
    ("3.3.11", "zeromf", Answered(200), "it has arrived: Max-Forwards 0 is no fault"),
    ("3.3.12", "cparam01", Answered(405), "valid: a parameter of the Contact; we are no registrar"),
    ("3.3.13", "cparam02", Answered(405), "valid: a parameter of the Contact's URI"),
    ("3.3.14", "regescrt", Answered(405), "valid: header fields in the Contact's URI"),
    ("3.3.15", "sdp01", Answered(406), "the caller takes no SDP, so there is no answer that it could read"),
    ("3.4.1", "inv2543", Answered(400), "an RFC 2543 INVITE without Contact: support is optional, and a dialog without a target cannot be hung up (AST-2017-014)"),
];

#[rustfmt::skip]
const RFC5118: &[Row] = &[
    ("4.1", "ipv6-good", Answered(405), "valid: an IPv6 reference; we are no registrar"),
    ("4.2", "ipv6-bad", Answered(400), "an IPv6 address without its brackets"),
    ("4.3", "port-ambiguous", Answered(405), "valid: the port inside the brackets is a part of the address"),
    ("4.4", "port-unambiguous", Answered(405), "valid: the port behind the brackets is a port"),
    ("4.5", "via-received-param-with-delim", Answered(481), "brackets in `received` are tolerated; no such dialog"),
    ("4.5", "via-received-param-no-delim", Answered(200), "valid: none in `received`"),
    ("4.6", "ipv6-in-sdp", Call, "valid"),
    ("4.7", "mult-ip-in-header", Answered(481), "valid: both families in Via; no such dialog"),
    ("4.8", "mult-ip-in-sdp", Call, "valid: a family for each stream"),
    ("4.9", "ipv4-mapped-ipv6", Call, "valid: mapped addresses"),
    ("4.10", "ipv6-bug-abnf-3-colons", Answered(400), "three colons; the RFC would let us overlook one"),
    ("4.10", "ipv6-correct-abnf-2-colons", Answered(200), "valid"),
];

fn peer() -> SocketAddr {
    "198.51.100.9:5060".parse().unwrap()
}

/// What a fresh user agent does with a datagram, and the text of its answers.
fn fate(bytes: &[u8]) -> (Vec<Fate>, Vec<String>) {
    let mut net = Net::new(1);
    net.inject(Side::A, peer(), bytes);
    let mut seen: Vec<Fate> = Vec::new();
    for (_, event) in &net.events {
        match event {
            Event::IncomingInvite(_) => seen.push(Call),
            Event::Dropped {
                reason: DropReason::StrayResponse,
                ..
            } => seen.push(Stray),
            Event::Dropped {
                reason: DropReason::Malformed,
                ..
            } => seen.push(Unreadable),
            _ => {}
        }
    }
    let sent = net.outside.drain(..);
    let answers: Vec<String> = sent
        .map(|(_, _, data)| String::from_utf8(data).unwrap())
        .collect();
    for answer in &answers {
        // Echoed fields may be as broken as they came, so the answer is not read by our own parser.
        let status = answer.strip_prefix("SIP/2.0 ").unwrap();
        seen.push(Answered(status[..3].parse().unwrap()));
    }
    (seen, answers)
}

fn check(folder: &str, rows: &[Row]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(folder);
    let mut files: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let mut wrong = Vec::new();
    for (section, name, expected, reason) in rows {
        assert!(!reason.is_empty() && !section.is_empty());
        assert!(
            files.remove(*name),
            "{name}: no such file, or twice in the list"
        );
        let bytes = std::fs::read(folder.join(format!("{name}.sip"))).unwrap();
        let (seen, _) = fate(&bytes);
        if seen != [*expected] {
            wrong.push(format!(
                "{section} {name}: {seen:?} instead of {expected:?}: {reason}"
            ));
        }
    }
    wrong.extend(files.iter().map(|name| format!("{name}: not in the list")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rfc_4475_every_message_has_the_fate_that_the_rfc_asks_for() {
    assert_eq!(RFC4475.len(), 49);
    check("rfc4475", RFC4475);
}

#[test]
fn rfc_5118_every_message_has_the_fate_that_the_rfc_asks_for() {
    assert_eq!(RFC5118.len(), 12);
    check("rfc5118", RFC5118);
}

fn answer(folder: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(folder)
        .join(format!("{file}.sip"));
    fate(&std::fs::read(path).unwrap()).1.pop().unwrap()
}

#[track_caller]
fn has_line(answer: &str, line: &str) {
    assert!(answer.split("\r\n").any(|row| row == line), "{answer}");
}

#[test]
fn the_answers_say_what_would_help() {
    has_line(
        &answer("rfc4475", "bext01"),
        "Unsupported: nothingSupportsThis, nothingSupportsThisEither",
    );
    has_line(&answer("rfc4475", "invut"), "Accept: application/sdp");
    assert!(answer("rfc4475", "esc02").contains("\r\nAllow: INVITE, "));
}

#[test]
fn a_broken_via_is_answered_with_what_can_be_read_of_it() {
    let refused = answer("rfc4475", "badinv01");
    has_line(&refused, "Via: SIP/2.0/UDP 198.51.100.9");
    has_line(&refused, "CSeq: 7 INVITE");
    assert_eq!(refused.matches("Via:").count(), 1, "{refused}");
}

#[test]
fn what_is_missing_is_missing_in_the_answer_too() {
    let refused = answer("rfc4475", "insuf");
    has_line(&refused, "CSeq: 193942 INVITE");
    for absent in ["From:", "To:", "Call-ID:"] {
        assert!(!refused.contains(absent), "{refused}");
    }
}

#[test]
fn a_caller_that_takes_any_application_type_takes_sdp() {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rfc4475/sdp01.sip"),
    )
    .unwrap();
    for (accept, expected) in [
        ("text/plain, Application/SDP;level=1", Call),
        ("application/*", Call),
        ("*/*;q=0.1", Call),
        ("", Call),
        ("application/sdpx, text/*", Answered(406)),
    ] {
        let asked = text.replace("text/nobodyKnowsThis", accept);
        assert_eq!(fate(asked.as_bytes()).0, [expected], "{accept}");
    }
}
