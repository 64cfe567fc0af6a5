//! SIP messages as values (RFC 3261 section 7): what they hold, not what they mean to a transaction or dialog.
//!
//! [`parse`] validates every field the rest of the room reads, so an accessor that returns `None` on a parsed message
//! means "absent", never "malformed". Rows of Via, Route, Record-Route and Contact are split at their commas while
//! parsing: one row holds one value.

mod challenge;
mod error;
mod fields;
mod headers;
mod method;
mod multipart;
mod name_addr;
mod params;
mod parse;
mod print;
mod replaces;
mod salvage;
pub(crate) mod scan;
mod uri;
mod via;

pub use challenge::{AuthField, AuthScheme};
pub use error::{Malformed, ParseError, ParseErrorKind};
pub use fields::{CSeq, RAck, Refresher, SessionExpires};
pub use headers::{Header, Headers, name};
pub use method::Method;
pub use multipart::SdpBody;
pub use name_addr::NameAddr;
pub use params::Params;
pub(crate) use parse::content_length_of_head;
pub use parse::{HEADERS_MAX, LINE_BYTES_MAX, MESSAGE_BYTES_MAX, parse};
pub use replaces::Replaces;
pub use salvage::{ResponseSkeleton, parse_lenient_for_400};
pub use uri::{Scheme, Uri};
pub use via::Via;

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    Response(Response),
}

/// RFC 3261 section 7.1. Content-Length is not among `headers`: it is computed when printing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub uri: Uri,
    pub headers: Headers,
    pub body: Vec<u8>,
}

/// RFC 3261 section 7.2. Content-Length is not among `headers`: it is computed when printing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 100..=699.
    pub status: u16,
    pub reason: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Message {
    /// The header fields of either kind.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// The body of either kind.
    pub fn body(&self) -> &[u8] {
        match self {
            Self::Request(request) => &request.body,
            Self::Response(response) => &response.body,
        }
    }
}

impl Request {
    /// A request without header fields and body.
    pub fn new(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            headers: Headers::new(),
            body: Vec::new(),
        }
    }
}

impl Response {
    /// A response without header fields and body; the reason phrase is the usual one of the status.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            reason: reason_phrase(status).to_owned(),
            headers: Headers::new(),
            body: Vec::new(),
        }
    }

    /// The answer to a request: Via rows, From, To, Call-ID and CSeq copied (RFC 3261 section 8.2.6.2).
    ///
    /// A To tag, Record-Route and Contact are the caller's to add.
    pub fn to(request: &Request, status: u16) -> Self {
        let mut response = Self::new(status);
        let copied = [name::VIA, name::FROM, name::TO, name::CALL_ID, name::CSEQ];
        for header in request.headers.rows() {
            if copied.iter().any(|wanted| header.is(wanted)) {
                response.headers.push_row(header);
            }
        }
        response
    }

    /// 100..=199.
    pub fn is_provisional(&self) -> bool {
        self.status < 200
    }

    /// 200..=299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The usual reason phrase of a status (RFC 3261 section 21 and its extensions); the class's name for unknown ones.
pub fn reason_phrase(status: u16) -> &'static str {
    const PHRASES: &[(u16, &str)] = &[
        (100, "Trying"),
        (180, "Ringing"),
        (181, "Call Is Being Forwarded"),
        (182, "Queued"),
        (183, "Session Progress"),
        (200, "OK"),
        (202, "Accepted"),
        (302, "Moved Temporarily"),
        (400, "Bad Request"),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (406, "Not Acceptable"),
        (407, "Proxy Authentication Required"),
        (408, "Request Timeout"),
        (410, "Gone"),
        (413, "Request Entity Too Large"),
        (414, "Request-URI Too Long"),
        (415, "Unsupported Media Type"),
        (416, "Unsupported URI Scheme"),
        (420, "Bad Extension"),
        (421, "Extension Required"),
        (422, "Session Interval Too Small"),
        (423, "Interval Too Brief"),
        (480, "Temporarily Unavailable"),
        (481, "Call/Transaction Does Not Exist"),
        (482, "Loop Detected"),
        (483, "Too Many Hops"),
        (484, "Address Incomplete"),
        (486, "Busy Here"),
        (487, "Request Terminated"),
        (488, "Not Acceptable Here"),
        (491, "Request Pending"),
        (500, "Server Internal Error"),
        (501, "Not Implemented"),
        (503, "Service Unavailable"),
        (504, "Server Time-out"),
        (505, "Version Not Supported"),
        (513, "Message Too Large"),
        (600, "Busy Everywhere"),
        (603, "Decline"),
        (604, "Does Not Exist Anywhere"),
        (606, "Not Acceptable"),
    ];
    if let Some((_, phrase)) = PHRASES.iter().find(|(known, _)| *known == status) {
        return phrase;
    }
    match status / 100 {
        1 => "Progress",
        2 => "OK",
        3 => "Redirection",
        4 => "Request Failure",
        5 => "Server Failure",
        _ => "Global Failure",
    }
}
