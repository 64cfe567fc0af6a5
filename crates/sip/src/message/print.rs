//! Messages to bytes: long header names, one value a row, Content-Length computed.

use super::headers::{Headers, name};
use super::{Message, Request, Response};
use std::io::Write as _;

impl Message {
    /// The bytes for the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

impl Request {
    /// The bytes for the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = buffer(&self.headers, &self.body);
        write!(bytes, "{} {} SIP/2.0\r\n", self.method, self.uri).expect(INFALLIBLE);
        print(bytes, &self.headers, &self.body)
    }
}

impl Response {
    /// The bytes for the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = buffer(&self.headers, &self.body);
        write!(bytes, "SIP/2.0 {} ", self.status).expect(INFALLIBLE);
        let reason = self.reason.bytes();
        // A tab may stand in a reason (RFC 3261 section 25.1, Reason-Phrase).
        let breaks = |byte: u8| byte.is_ascii_control() && byte != b'\t';
        bytes.extend(reason.map(|byte| if breaks(byte) { b' ' } else { byte }));
        bytes.extend_from_slice(b"\r\n");
        print(bytes, &self.headers, &self.body)
    }
}

const INFALLIBLE: &str = "writing to a Vec does not fail";

/// Room for the whole message, but for a long start line.
fn buffer(headers: &Headers, body: &[u8]) -> Vec<u8> {
    let rows = headers.rows().iter();
    let rows: usize = rows
        .map(|row| row.name().len() + row.value().len() + 4)
        .sum();
    Vec::with_capacity(rows + body.len() + 128)
}

fn print(mut bytes: Vec<u8>, headers: &Headers, body: &[u8]) -> Vec<u8> {
    for header in headers.rows() {
        if header.is(name::CONTENT_LENGTH) {
            continue;
        }
        bytes.extend_from_slice(header.name().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(header.value().as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    write!(bytes, "{}: {}\r\n\r\n", name::CONTENT_LENGTH, body.len()).expect(INFALLIBLE);
    bytes.extend_from_slice(body);
    bytes
}
