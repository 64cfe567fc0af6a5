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
        let start_line = format!("{} {} SIP/2.0\r\n", self.method, self.uri);
        print(start_line, &self.headers, &self.body)
    }
}

impl Response {
    /// The bytes for the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let is_control = |character: char| character.is_ascii_control();
        let reason = self.reason.replace(is_control, " ");
        let start_line = format!("SIP/2.0 {} {reason}\r\n", self.status);
        print(start_line, &self.headers, &self.body)
    }
}

fn print(start_line: String, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut bytes = start_line.into_bytes();
    bytes.reserve(512 + body.len());
    for header in headers.rows() {
        if header.is(name::CONTENT_LENGTH) {
            continue;
        }
        bytes.extend_from_slice(header.name().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(header.value().as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    write!(bytes, "{}: {}\r\n\r\n", name::CONTENT_LENGTH, body.len())
        .expect("writing to a Vec does not fail");
    bytes.extend_from_slice(body);
    bytes
}
