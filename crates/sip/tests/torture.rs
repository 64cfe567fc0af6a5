//! Messages of the classes of RFC 4475 and 5118 and of known attacks, each with its verdict. A file without a verdict, or
//! a verdict without a file, fails.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use sip::message::{Message, parse, parse_lenient_for_400};
use std::collections::BTreeMap;
use std::path::Path;

/// What must become of a message.
enum Verdict {
    Accepted,
    /// The error, and whether a 400 (505) can be answered.
    Rejected(&'static str, bool),
    /// Accepted although the RFC calls it invalid, or the other way round; with the reason.
    KnownWrong(&'static str),
}

use Verdict::{Accepted, KnownWrong, Rejected};

/// Every file of `tests/data/torture`.
const VERDICTS: &[(&str, Verdict)] = &[
    ("absolute_uri_in_to", Accepted),
    ("bad_escape_in_uri", Rejected("bad start line", true)),
    ("bad_rack", Rejected("bad RAck", true)),
    ("bare_cr", Rejected("control character", true)),
    ("bare_lf", Rejected("control character", true)),
    ("binary_multipart", Accepted),
    ("blank_behind_version", Rejected("bad start line", true)),
    ("blank_in_addr_spec", Rejected("bad To", true)),
    ("blank_in_name", Rejected("bad header line", true)),
    ("blank_in_request_uri", Rejected("bad start line", true)),
    ("blanks_and_folds", Accepted),
    (
        "body_shorter_than_length",
        Rejected("body shorter than Content-Length", true),
    ),
    ("branch_of_cookie_only", Accepted),
    ("close_before_open", Rejected("bad From", true)),
    ("comma_in_bare_display", Rejected("bad From", true)),
    (
        "contact_headers_without_brackets",
        Rejected("bad Contact", true),
    ),
    ("control_before_colon", Rejected("control character", true)),
    ("control_in_value", Rejected("control character", true)),
    (
        "control_instead_of_blank",
        Rejected("control character", true),
    ),
    ("cseq_2_31", Rejected("bad CSeq", true)),
    ("cseq_2_32", Rejected("bad CSeq", true)),
    ("cseq_method_differs", Rejected("CSeq method differs", true)),
    (
        "cseq_method_differs_unknown",
        Rejected("CSeq method differs", true),
    ),
    (
        "date_in_another_zone",
        KnownWrong(
            "the RFC wants GMT; nothing here reads Date, and a call is worth more than its Date",
        ),
    ),
    ("empty_datagram", Rejected("bad start line", false)),
    ("empty_fields", Accepted),
    ("empty_name", Rejected("bad header line", true)),
    ("empty_user", Rejected("bad start line", true)),
    ("escaped_null", Accepted),
    ("escaped_user", Accepted),
    ("extra_separators", Rejected("bad Via", true)),
    ("folded_line_too_long", Rejected("line too long", true)),
    (
        "giant_length",
        Rejected("body shorter than Content-Length", true),
    ),
    ("headers_in_request_uri", Rejected("bad start line", true)),
    ("http_request", Rejected("bad start line", false)),
    ("huge_expires_is_clamped", Accepted),
    ("huge_session_expires_is_clamped", Accepted),
    ("ipv6_everywhere", Accepted),
    ("keep_alive_only", Rejected("bad start line", false)),
    ("latin1_display", Accepted),
    ("line_too_long", Rejected("line too long", true)),
    ("lone_quote", Rejected("bad From", true)),
    ("long_values", Accepted),
    ("lower_case_version", Accepted),
    ("negative_length", Rejected("bad Content-Length", true)),
    ("no_blank_before_bracket", Accepted),
    ("no_call_id", Rejected("missing Call-ID", true)),
    ("no_colon", Rejected("bad header line", true)),
    ("no_contact_in_invite", Rejected("missing Contact", true)),
    ("no_content_length", Accepted),
    ("no_cseq", Rejected("missing CSeq", false)),
    (
        "no_empty_line",
        Rejected("header fields not terminated", true),
    ),
    ("no_from", Rejected("missing From", true)),
    ("no_reason", Accepted),
    (
        "no_reason_no_blank",
        KnownWrong("the blank behind the status is required; some devices forget it"),
    ),
    ("no_via", Rejected("missing Via", false)),
    ("odd_tokens", Accepted),
    ("open_quote", Rejected("bad To", true)),
    ("percent_is_not_an_escape_in_tokens", Accepted),
    ("quoted_controls", Accepted),
    ("request_uri_in_brackets", Rejected("bad start line", true)),
    ("response_cseq_2_32", Rejected("bad CSeq", false)),
    ("second_request_behind_the_first", Accepted),
    ("semicolon_in_user", Accepted),
    ("signed_length", Rejected("bad Content-Length", true)),
    ("star_contact_in_invite", Rejected("missing Contact", true)),
    ("status_2_32", Rejected("bad start line", false)),
    ("status_700", Rejected("bad start line", false)),
    ("status_99", Rejected("bad start line", false)),
    ("tel_request_uri", Accepted),
    ("too_many_fields", Rejected("too many header fields", true)),
    ("too_many_vias", Rejected("too many header fields", true)),
    ("two_ats_in_uri", Rejected("bad start line", true)),
    (
        "two_blanks_in_request_line",
        Rejected("bad start line", true),
    ),
    ("two_call_ids", Rejected("more than one Call-ID", true)),
    ("two_cseqs", Rejected("more than one CSeq", true)),
    (
        "two_equal_lengths",
        Rejected("more than one Content-Length", true),
    ),
    ("two_froms", Rejected("more than one From", true)),
    (
        "two_lengths",
        Rejected("more than one Content-Length", true),
    ),
    (
        "two_max_forwards",
        Rejected("more than one Max-Forwards", true),
    ),
    ("two_tos", Rejected("more than one To", true)),
    ("unknown_scheme", Accepted),
    ("unknown_transports", Accepted),
    ("uri_port_70000", Rejected("bad start line", true)),
    ("utf8_reason", Accepted),
    ("version_7", Rejected("unknown SIP version", true)),
    ("via_port_70000", Rejected("bad Via", false)),
    ("websocket_register", Accepted),
    ("websocket_via_lower_case", Accepted),
    ("websocket_via_with_address", Rejected("bad Via", false)),
    ("zero_max_forwards", Accepted),
    ("zero_rseq", Rejected("bad RSeq", true)),
];

fn files() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torture");
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        files.insert(name, std::fs::read(&path).unwrap());
    }
    files
}

#[test]
fn every_message_has_its_verdict_and_keeps_it() {
    let mut files = files();
    let mut wrong = Vec::new();
    for (name, verdict) in VERDICTS {
        let Some(bytes) = files.remove(*name) else {
            wrong.push(format!("{name}: no such file"));
            continue;
        };
        let result = parse(&bytes);
        let is_answerable = parse_lenient_for_400(&bytes).is_some();
        match (verdict, result) {
            (Accepted, Ok(message)) => {
                if parse(&message.to_bytes()).as_ref() != Ok(&message) {
                    wrong.push(format!("{name}: printed, it reads otherwise"));
                }
            }
            (Accepted, Err(error)) => wrong.push(format!("{name}: refused: {error}")),
            (Rejected(..), Ok(_)) => wrong.push(format!("{name}: accepted")),
            (Rejected(reason, answerable), Err(error)) => {
                if error.kind.to_string() != *reason || is_answerable != *answerable {
                    wrong.push(format!("{name}: {} / {is_answerable}", error.kind));
                }
            }
            (KnownWrong(reason), result) => {
                assert!(!reason.is_empty());
                assert!(result.is_ok(), "{name}: the known wrong is to accept");
            }
        }
    }
    wrong.extend(files.keys().map(|name| format!("{name}: no verdict")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn accepted(name: &str) -> Message {
    parse(&files()[name]).unwrap()
}

#[test]
fn folded_rows_read_like_plain_ones() {
    let message = accepted("blanks_and_folds");
    let headers = message.headers();
    assert_eq!(headers.get_all("Via").count(), 3);
    assert_eq!(headers.via_top().unwrap().port, Some(5062));
    assert_eq!(headers.to().unwrap().tag(), Some("a-b.c"));
    assert_eq!(
        headers.from().unwrap().display.as_deref(),
        Some("Marie \\\"la voix\"")
    );
    assert_eq!(headers.cseq().unwrap().sequence, 9);
    assert_eq!(headers.max_forwards(), Some(68));
    let contact = &headers.contacts()[0];
    assert_eq!(contact.display.as_deref(), Some("Quoted <text>"));
    assert_eq!(contact.params.value("q"), Some("0.33"));
}

#[test]
fn control_characters_never_reach_a_display_name() {
    let to = accepted("quoted_controls").headers().to().unwrap();
    assert_eq!(to.display.as_deref(), Some("BEL: NUL: DEL:"));
}

#[test]
fn latin_1_text_is_read_as_such() {
    let from = accepted("latin1_display").headers().from().unwrap();
    assert_eq!(from.display.as_deref(), Some("Caf\u{e9}"));
}

#[test]
fn pattern_06_and_07_large_numbers_are_clamped() {
    let message = accepted("huge_expires_is_clamped");
    assert_eq!(message.headers().expires(), Some(u32::MAX));
    let message = accepted("huge_session_expires_is_clamped");
    let session = message.headers().session_expires().unwrap();
    assert_eq!(session.interval_s, u32::MAX);
    assert_eq!(message.headers().min_se(), Some(u32::MAX));
}

#[test]
fn a_broken_request_is_answered_with_what_it_said_first() {
    let bytes = &files()["two_froms"];
    let kind = parse(bytes).unwrap_err().kind;
    let skeleton = parse_lenient_for_400(bytes).unwrap();
    let response = skeleton.response(kind.status(), Some("Bad Request: two From"));
    assert_eq!(response.status, 400);
    let text = String::from_utf8(response.to_bytes()).unwrap();
    assert!(
        text.contains("From: <sip:marie@example.com>;tag=f1\r\n"),
        "{text}"
    );
    assert!(!text.contains("mallory"), "{text}");
    assert!(parse(text.as_bytes()).is_ok(), "{text}");
}
