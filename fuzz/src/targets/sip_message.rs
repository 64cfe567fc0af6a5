//! The SIP parser: every accessor of what it accepts; what it accepts prints as a message that means the same.

use sip::message::{
    LINE_BYTES_MAX, MESSAGE_BYTES_MAX, Message, NameAddr, SdpBody, Uri, Via, name, parse,
    parse_lenient_for_400,
};

pub fn target(data: &[u8]) {
    let _ = sip::redact::redact(data);
    match parse(data) {
        Ok(message) => {
            read_all(&message);
            reprint(&message);
        }
        Err(error) => {
            assert!(error.position <= data.len());
            assert!(matches!(error.kind.status(), 400..=699));
            if let Some(skeleton) = parse_lenient_for_400(data) {
                let printed = skeleton.response(error.kind.status(), None).to_bytes();
                assert!(printed.len() <= 2 * data.len() + 1_024, "an amplifier");
            }
        }
    }
}

fn print(message: &Message) -> Vec<u8> {
    match message {
        Message::Request(request) => request.to_bytes(),
        Message::Response(response) => response.to_bytes(),
    }
}

fn reprint(message: &Message) {
    let printed = print(message);
    match parse(&printed) {
        Ok(again) => assert_eq!(
            String::from_utf8_lossy(&print(&again)),
            String::from_utf8_lossy(&printed),
            "printing is not stable"
        ),
        Err(error) => {
            // Full names of compact headers can pass a limit that the short ones kept.
            let is_long = printed.len() > MESSAGE_BYTES_MAX
                || printed
                    .split(|byte| *byte == b'\n')
                    .any(|line| line.len() >= LINE_BYTES_MAX);
            assert!(
                is_long,
                "{error:?} in what we print: {}",
                String::from_utf8_lossy(&printed)
            );
        }
    }
}

fn read_all(message: &Message) {
    let headers = message.headers();
    let via = headers.via_top().expect("checked by the parser");
    let again: Via = via.to_string().parse().expect("a Via that we print");
    assert_eq!(again.to_string(), via.to_string());
    let _ = (via.branch(), via.received(), via.rport(), via.has_rport());
    for party in [headers.from(), headers.to()] {
        let party = party.expect("checked by the parser");
        check_name(&party);
    }
    for field in [
        name::CONTACT,
        name::ROUTE,
        name::RECORD_ROUTE,
        name::REFER_TO,
    ] {
        for address in headers.addresses(field) {
            check_name(&address);
        }
    }
    let _ = (
        headers.cseq().expect("checked"),
        headers.call_id().expect("checked"),
    );
    let _ = (
        headers.contacts(),
        headers.is_contact_star(),
        headers.max_forwards(),
    );
    let _ = (headers.expires(), headers.min_expires(), headers.min_se());
    let _ = (headers.session_expires(), headers.rseq(), headers.rack());
    let _ = (headers.retry_after(), headers.content_type());
    let _ = (headers.supports("timer"), headers.requires("100rel"));
    for field in [
        name::AUTHORIZATION,
        name::WWW_AUTHENTICATE,
        name::PROXY_AUTHENTICATE,
    ] {
        for auth in headers.auth_fields(field) {
            let _ = auth.to_string();
        }
    }
    if let Some(body) = SdpBody::find(headers, message.body()).bytes() {
        assert!(body.len() <= message.body().len());
    }
    if let Message::Request(request) = message {
        check_uri(&request.uri);
    }
}

fn check_name(address: &NameAddr) {
    let printed = address.to_string();
    let again: NameAddr = printed
        .parse()
        .unwrap_or_else(|error| panic!("{error:?} in what we print: {printed}"));
    assert_eq!(again.to_string(), printed);
    assert_eq!(again.tag(), address.tag());
    check_uri(&address.uri);
}

fn check_uri(uri: &Uri) {
    let printed = uri.to_string();
    let again: Uri = printed
        .parse()
        .unwrap_or_else(|error| panic!("{error:?} in what we print: {printed}"));
    assert_eq!(again.to_string(), printed);
    assert!(!uri.is_sip() || again.is_equivalent(uri), "{printed}");
    let _ = (uri.user_decoded(), uri.host_address(), uri.transport());
}
