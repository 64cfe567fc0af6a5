//! What the peer says: requests and responses built around what the user agent said last, with damage from the fuzzer.

use crate::bytes::Bytes;
use sip::message::{Message, Method, Request, Response, name, parse};

/// Our side's addresses, as the peer writes them.
const CONTACT: &str = "<sip:peer@198.51.100.7:5060>";
pub(super) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

const STATUSES: [u16; 32] = [
    100, 180, 183, 199, 200, 200, 200, 202, 300, 302, 401, 401, 403, 404, 407, 408, 415, 420, 422,
    423, 480, 481, 486, 487, 488, 491, 500, 503, 503, 600, 603, 699,
];

/// Header lines that change what a message means.
const EXTRAS: [&str; 24] = [
    "",
    "",
    "",
    "Require: 100rel\r\nRSeq: 1\r\n",
    "Require: 100rel\r\nRSeq: 2\r\n",
    "RAck: 1 1 INVITE\r\n",
    "Supported: timer, 100rel\r\n",
    "Session-Expires: 90;refresher=uac\r\n",
    "Session-Expires: 90;refresher=uas\r\n",
    "Session-Expires: 4294967295\r\n",
    "Min-SE: 4294967295\r\n",
    "Require: timer\r\n",
    "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256\r\n",
    "Proxy-Authenticate: Digest realm=\"r\", nonce=\"m\", stale=true\r\n",
    "Retry-After: 4294967295\r\n",
    "Min-Expires: 4294967295\r\n",
    "Expires: 0\r\n",
    "Record-Route: <sip:192.0.2.200;lr>, <sip:192.0.2.201>\r\n",
    "Contact: *\r\n",
    "Contact: <sip:moved@203.0.113.1;transport=tcp>;expires=1\r\n",
    "Allow: INVITE, ACK, BYE, UPDATE, PRACK\r\n",
    "Require: nonsense\r\n",
    "Refer-To: <sip:premium@203.0.113.5>\r\nReplaces: a;to-tag=b;from-tag=c\r\n",
    "Reason: Q.850;cause=16;text=\"x\"\r\n",
];

/// A dialog as the peer knows it.
#[derive(Clone, Default)]
pub(super) struct Dialog {
    pub(super) call_id: String,
    pub(super) peer_tag: String,
    pub(super) our_tag: String,
    /// Request-URI of the peer's requests: our Contact.
    pub(super) target: String,
}

/// Puts header lines before the body of a printed message.
fn with_lines(message: &[u8], lines: &str) -> Vec<u8> {
    let at = message
        .windows(2)
        .position(|two| two == b"\r\n")
        .map_or(message.len(), |at| at + 2);
    let mut out = message[..at].to_vec();
    out.extend_from_slice(lines.as_bytes());
    out.extend_from_slice(&message[at..]);
    out
}

fn lines(bytes: &mut Bytes<'_>) -> String {
    let mut lines = String::new();
    let flags = bytes.byte();
    for _ in 0..flags & 3 {
        lines.push_str(bytes.pick(&EXTRAS));
    }
    if flags & 128 != 0 {
        lines.push_str(&bytes.text());
    }
    lines
}

/// An answer to a request of ours.
pub(super) fn response(sent: &[u8], bytes: &mut Bytes<'_>) -> Option<Vec<u8>> {
    let Ok(Message::Request(request)) = parse(sent) else {
        return None;
    };
    let status = bytes.pick(&STATUSES);
    let flags = bytes.byte();
    let mut response = Response::to(&request, status);
    if let Some(to) = response.headers.to()
        && to.tag().is_none()
        && flags & 1 == 0
    {
        let tag = if flags & 2 == 0 { "peer" } else { "fork" };
        response.headers.replace(name::TO, to.with_tag(tag));
    }
    if flags & 4 == 0 && matches!(request.method, Method::Invite | Method::Update) {
        response.headers.push(name::CONTACT, CONTACT);
    }
    if flags & 8 != 0 {
        response.headers.push(name::CONTENT_TYPE, "application/sdp");
        response.body = SDP.as_bytes().to_vec();
    }
    if request.method == Method::Register && flags & 16 == 0 {
        let bound = request.headers.get(name::CONTACT).unwrap_or_default();
        response
            .headers
            .push(name::CONTACT, format!("{bound};expires=60"));
    }
    Some(with_lines(&response.to_bytes(), &lines(bytes)))
}

/// A request inside a dialog, or a new INVITE.
pub(super) fn request(dialog: &Dialog, cseq: u32, number: u64, bytes: &mut Bytes<'_>) -> Vec<u8> {
    let methods = [
        "ACK",
        "BYE",
        "CANCEL",
        "INVITE",
        "UPDATE",
        "PRACK",
        "INFO",
        "REFER",
        "OPTIONS",
        "NOTIFY",
        "MESSAGE",
        "REGISTER",
        "SUBSCRIBE",
        "FOO",
    ];
    let method = bytes.pick(&methods);
    let flags = bytes.byte();
    let number = if flags & 1 == 0 {
        number
    } else {
        number.saturating_sub(1)
    };
    print(
        dialog,
        (method, cseq),
        (number, flags & 2 != 0),
        &lines(bytes),
    )
}

/// A new call of the peer.
pub(super) fn invite(dialog: &Dialog, number: u64, bytes: &mut Bytes<'_>) -> Vec<u8> {
    let has_sdp = bytes.flag();
    print(dialog, ("INVITE", 1), (number, has_sdp), &lines(bytes))
}

fn print(
    dialog: &Dialog,
    (method, cseq): (&str, u32),
    (number, has_sdp): (u64, bool),
    lines: &str,
) -> Vec<u8> {
    let Dialog {
        call_id,
        peer_tag,
        our_tag,
        target,
    } = dialog;
    let to_tag = if our_tag.is_empty() {
        String::new()
    } else {
        format!(";tag={our_tag}")
    };
    let body = if has_sdp { SDP } else { "" };
    let media = if has_sdp {
        "Content-Type: application/sdp\r\n"
    } else {
        ""
    };
    let len = body.len();
    format!(
        "{method} {target} SIP/2.0\r\n{lines}Via: SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bKp{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:peer@example.net>;tag={peer_tag}\r\nTo: <sip:alice@example.com>{to_tag}\r\n\
         Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: {CONTACT}\r\n{media}Content-Length: {len}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// What a message of ours tells about its dialog, seen by the peer; `None` where it is not about an INVITE.
pub(super) fn learn(sent: &[u8]) -> Option<Dialog> {
    let message = parse(sent).ok()?;
    let headers = message.headers();
    let target = headers.contacts().first()?.uri.to_string();
    let (ours, theirs) = match &message {
        Message::Request(Request { method, .. }) if *method == Method::Invite => {
            (headers.from()?, headers.to()?)
        }
        Message::Response(Response { status, .. }) if *status > 100 => {
            (headers.to()?, headers.from()?)
        }
        Message::Request(_) | Message::Response(_) => return None,
    };
    Some(Dialog {
        call_id: headers.call_id()?.to_owned(),
        peer_tag: theirs.tag().unwrap_or("peer").to_owned(),
        our_tag: ours.tag()?.to_owned(),
        target,
    })
}
