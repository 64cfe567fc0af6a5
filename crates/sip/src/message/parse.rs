//! Bytes to messages, in one forward pass over at most 64 KB.

use super::error::{ParseError, ParseErrorKind};
use super::fields::{CSeq, RAck, SessionExpires};
use super::headers::{Headers, canonical, known, name};
use super::method::Method;
use super::name_addr::NameAddr;
use super::params::each_header_param;
use super::scan;
use super::uri::Uri;
use super::via::Via;
use super::{Message, Request, Response};
use std::borrow::Cow;

/// Bytes of a message, body included.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Header rows, after Via, Route, Record-Route and Contact were split at their commas; Content-Length is not counted.
pub const HEADERS_MAX: usize = 100;
/// Bytes of a line, folded continuations included.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

/// Reads one message that fills a datagram or a frame; bytes behind its Content-Length are ignored (section 18.3).
///
/// # Errors
/// What makes the bytes unusable, and where. A request may still be answered: see
/// [`parse_lenient_for_400`](super::parse_lenient_for_400).
pub fn parse(bytes: &[u8]) -> Result<Message, ParseError> {
    let fail = |kind, position| Err(ParseError { kind, position });
    if bytes.len() > MESSAGE_BYTES_MAX {
        return fail(ParseErrorKind::TooLarge, MESSAGE_BYTES_MAX);
    }
    let mut lines = Lines::new(bytes);
    let (start, start_at) = lines.next_line()?.unwrap_or_default();
    let at_start = |kind| ParseError {
        kind,
        position: start_at,
    };
    let start = StartLine::parse(&start).map_err(at_start)?;
    let (headers, content_length) = header_fields(&mut lines)?;
    let rest = &bytes[lines.at..];
    let body = match content_length {
        None => rest,
        Some(length) => match rest.get(..length) {
            Some(body) => body,
            None => return fail(ParseErrorKind::BodyTruncated, lines.at),
        },
    };
    finish(start, headers, body.to_vec()).map_err(at_start)
}

/// The first line, before the header fields are known.
enum StartLine {
    Request(Method, Uri),
    Response(u16, String),
}

impl StartLine {
    fn parse(line: &str) -> Result<Self, ParseErrorKind> {
        if let Some(rest) = line
            .get(..8)
            .filter(|version| version.eq_ignore_ascii_case("SIP/2.0 "))
            .map(|_| &line[8..])
        {
            let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            let status = scan::number::<u16>(status)
                .filter(|code| status.len() == 3 && (100..700).contains(code))
                .ok_or(ParseErrorKind::StartLine)?;
            return Ok(Self::Response(status, reason.to_owned()));
        }
        let mut words = line.split(' ');
        let (Some(method), Some(uri), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(ParseErrorKind::StartLine);
        };
        let method = method.parse().map_err(|_| ParseErrorKind::StartLine)?;
        if !version.eq_ignore_ascii_case("SIP/2.0") {
            let is_sip = version
                .get(..4)
                .is_some_and(|start| start.eq_ignore_ascii_case("SIP/"));
            return Err(if is_sip {
                ParseErrorKind::Version
            } else {
                ParseErrorKind::StartLine
            });
        }
        let uri: Uri = uri.parse().map_err(|_| ParseErrorKind::StartLine)?;
        if uri.headers.is_some() {
            // RFC 3261 section 19.1.1: headers are not allowed in a Request-URI.
            return Err(ParseErrorKind::StartLine);
        }
        Ok(Self::Request(method, uri))
    }
}

/// Reads rows up to the empty line; Content-Length is taken out of them.
fn header_fields(lines: &mut Lines<'_>) -> Result<(Headers, Option<usize>), ParseError> {
    let mut headers = Headers::with_room();
    let mut content_length = None;
    loop {
        let Some((line, position)) = lines.next_line()? else {
            return Err(ParseError {
                kind: ParseErrorKind::Truncated,
                position: lines.at,
            });
        };
        if line.is_empty() {
            return Ok((headers, content_length));
        }
        read_row(&line, &mut headers, &mut content_length)
            .map_err(|kind| ParseError { kind, position })?;
    }
}

fn read_row(
    line: &str,
    headers: &mut Headers,
    content_length: &mut Option<usize>,
) -> Result<(), ParseErrorKind> {
    let (name, value) = split_row(line)?;
    if name == name::CONTENT_LENGTH {
        if content_length.is_some() {
            return Err(ParseErrorKind::Duplicate(name::CONTENT_LENGTH));
        }
        let length = scan::number(value).ok_or(ParseErrorKind::Invalid(name::CONTENT_LENGTH))?;
        *content_length = Some(length);
        return Ok(());
    }
    if is_single(&name) && headers.has(&name) {
        return Err(ParseErrorKind::Duplicate(known(&name)));
    }
    if !is_list(&name) {
        return add(headers, name, value);
    }
    if scan::find(value, b',').is_none() {
        // One value; what is wrong with its quotes and brackets, the grammar of the field tells.
        return add(headers, name, value);
    }
    for value in scan::split(value, b',').map_err(|_| ParseErrorKind::Invalid(known(&name)))? {
        add(headers, name.clone(), value)?;
    }
    Ok(())
}

fn add(headers: &mut Headers, name: Cow<'static, str>, value: &str) -> Result<(), ParseErrorKind> {
    if headers.rows().len() >= HEADERS_MAX {
        return Err(ParseErrorKind::TooManyHeaders);
    }
    check_value(&name, value)?;
    headers.push_parsed(name, value.to_owned());
    Ok(())
}

/// The canonical name and the trimmed value. Blanks may stand before the colon; a control character may not.
pub(super) fn split_row(line: &str) -> Result<(Cow<'static, str>, &str), ParseErrorKind> {
    let bytes = line.as_bytes();
    let end = scan::skip(bytes, 0, scan::is_token_byte);
    let colon = scan::skip_blanks(bytes, end);
    if end == 0 || bytes.get(colon) != Some(&b':') {
        return Err(ParseErrorKind::HeaderLine);
    }
    let (name, value) = (&line[..end], &line[colon + 1..]);
    Ok((canonical(name), scan::trim(value)))
}

/// Fields that may appear once (Content-Length is handled apart).
fn is_single(name: &str) -> bool {
    matches!(
        name,
        name::CALL_ID
            | name::CSEQ
            | name::FROM
            | name::TO
            | name::MAX_FORWARDS
            | name::CONTENT_TYPE
            | name::EVENT
            | name::EXPIRES
            | name::MIN_EXPIRES
            | name::MIN_SE
            | name::SESSION_EXPIRES
            | name::RSEQ
            | name::RACK
            | name::REFER_TO
            | name::REPLACES
            | name::RETRY_AFTER
    )
}

/// Fields whose rows are split at their commas.
fn is_list(name: &str) -> bool {
    matches!(
        name,
        name::VIA
            | name::ROUTE
            | name::RECORD_ROUTE
            | name::CONTACT
            | name::PATH
            | name::SERVICE_ROUTE
    )
}

/// The grammar of the fields that the room reads; others may hold anything without control characters.
fn check_value(name: &str, value: &str) -> Result<(), ParseErrorKind> {
    let valid = match name {
        name::VIA => Via::check(value).is_ok(),
        name::FROM | name::TO => NameAddr::check(value, |_, _| {}).is_ok(),
        name::CONTACT => value == "*" || is_contact(value),
        name::ROUTE | name::RECORD_ROUTE | name::PATH | name::SERVICE_ROUTE | name::REFER_TO => {
            NameAddr::check(value, |_, _| {}).is_ok()
        }
        name::CALL_ID => is_call_id(value),
        name::CSEQ => value.parse::<CSeq>().is_ok(),
        name::RACK => value.parse::<RAck>().is_ok(),
        name::SESSION_EXPIRES => value.parse::<SessionExpires>().is_ok(),
        name::MAX_FORWARDS | name::EXPIRES | name::MIN_EXPIRES => scan::clamped(value).is_some(),
        name::RSEQ => scan::number::<u32>(value).is_some_and(|number| number != 0),
        name::CONTENT_TYPE => value.contains('/') && !value.contains('"') || is_media_type(value),
        _ => true,
    };
    if valid {
        Ok(())
    } else {
        Err(ParseErrorKind::Invalid(known(name)))
    }
}

/// A contact whose `expires`, when there, is a number (clamped later).
fn is_contact(value: &str) -> bool {
    let mut expires = None;
    let read = NameAddr::check(value, |name, value| {
        if expires.is_none() && name.eq_ignore_ascii_case("expires") {
            expires = Some(value);
        }
    });
    let expires = expires.flatten();
    read.is_ok() && expires.is_none_or(|expires| scan::clamped(expires).is_some())
}

fn is_media_type(value: &str) -> bool {
    let (media, params) = value.split_at(value.find(';').unwrap_or(value.len()));
    let (kind, subtype) = media.split_once('/').unwrap_or_default();
    scan::is_token(scan::trim(kind))
        && scan::is_token(scan::trim(subtype))
        && each_header_param(params, |_, _| {}).is_ok()
}

/// RFC 3261 `callid`: one word, without the characters that end it elsewhere.
fn is_call_id(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte > b' ' && byte != 0x7f && !b",;".contains(&byte))
}

/// What the message as a whole must hold.
fn finish(start: StartLine, headers: Headers, body: Vec<u8>) -> Result<Message, ParseErrorKind> {
    for required in [name::VIA, name::FROM, name::TO, name::CALL_ID, name::CSEQ] {
        if !headers.has(required) {
            return Err(ParseErrorKind::Missing(required));
        }
    }
    if headers.is_contact_star() && headers.get_all(name::CONTACT).count() > 1 {
        return Err(ParseErrorKind::Invalid(name::CONTACT));
    }
    match start {
        StartLine::Request(method, uri) => {
            if headers.cseq().is_none_or(|cseq| cseq.method != method) {
                return Err(ParseErrorKind::MethodMismatch);
            }
            if method == Method::Invite && !headers.has_contact() {
                return Err(ParseErrorKind::Missing(name::CONTACT));
            }
            Ok(Message::Request(Request {
                method,
                uri,
                headers,
                body,
            }))
        }
        StartLine::Response(status, reason) => Ok(Message::Response(Response {
            status,
            reason,
            headers,
            body,
        })),
    }
}

/// Unfolded lines with their offsets.
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    /// The offset behind the last line read.
    pub(super) at: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next logical line, continuations joined by one blank, and its offset. `None` at the end of the bytes.
    ///
    /// A line ends with CRLF; a bare LF is refused, for peers would disagree on what it ends.
    pub(super) fn next_line(&mut self) -> Result<Option<(Cow<'a, str>, usize)>, ParseError> {
        let start = self.at;
        let Some(end) = self.line_end(start) else {
            return Ok(None);
        };
        let mut line = Cow::Borrowed(&self.bytes[start..end]);
        self.at = end + 2;
        while !line.is_empty() && matches!(self.bytes.get(self.at), Some(b' ' | b'\t')) {
            let Some(end) = self.line_end(self.at) else {
                return Ok(None);
            };
            if end - start > LINE_BYTES_MAX {
                return Err(ParseError {
                    kind: ParseErrorKind::LineTooLong,
                    position: start,
                });
            }
            let joined = line.to_mut();
            while joined
                .last()
                .is_some_and(|byte| matches!(byte, b' ' | b'\t'))
            {
                joined.pop();
            }
            joined.push(b' ');
            joined.extend_from_slice(self.bytes[self.at..end].trim_ascii_start());
            self.at = end + 2;
        }
        let fail = |kind| {
            Err(ParseError {
                kind,
                position: start,
            })
        };
        if line.len() > LINE_BYTES_MAX {
            return fail(ParseErrorKind::LineTooLong);
        }
        if has_control(&line) {
            return fail(ParseErrorKind::ControlCharacter);
        }
        Ok(Some((text(line), start)))
    }

    fn line_end(&self, from: usize) -> Option<usize> {
        let rest = self.bytes.get(from..)?;
        let mut at = 0;
        while let Some(found) = scan::find_far(&rest[at..], b'\r') {
            at += found;
            if rest.get(at + 1) == Some(&b'\n') {
                return Some(from + at);
            }
            at += 1;
        }
        None
    }
}

/// Controls other than HTAB; inside quotes a control may follow a backslash (`quoted-pair`, section 25.1).
fn has_control(line: &[u8]) -> bool {
    let is_control = |byte: u8| byte < b' ' && byte != b'\t' || byte == 0x7f;
    // Nearly every line has none at all: one pass without branches.
    let has_any = line
        .iter()
        .fold(false, |found, byte| found | is_control(*byte));
    if !has_any {
        return false;
    }
    let mut quoted = false;
    let mut escaped = false;
    for &byte in line {
        let is_line_end = matches!(byte, b'\r' | b'\n');
        if is_control(byte) && (!escaped || is_line_end) {
            return true;
        }
        if escaped {
            escaped = false;
        } else if byte == b'"' {
            quoted = !quoted;
        } else {
            escaped = quoted && byte == b'\\';
        }
    }
    false
}

/// UTF-8, else each byte as the Latin-1 character it was meant to be.
fn text(line: Cow<'_, [u8]>) -> Cow<'_, str> {
    match line {
        Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(latin1(bytes)),
        },
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Cow::Owned(text),
            Err(error) => Cow::Owned(latin1(error.as_bytes())),
        },
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Content-Length of a start line and header fields, read by the same rules as [`parse`] reads it.
pub(crate) fn content_length_of_head(head: &[u8]) -> Result<Option<usize>, ParseErrorKind> {
    let mut lines = Lines::new(head);
    let mut found = None;
    let mut is_start_line = true;
    while let Some((line, _)) = lines.next_line().map_err(|error| error.kind)? {
        if std::mem::take(&mut is_start_line) {
            continue;
        }
        if line.is_empty() {
            break;
        }
        let (name, value) = split_row(&line)?;
        if name != name::CONTENT_LENGTH {
            continue;
        }
        if found.is_some() {
            return Err(ParseErrorKind::Duplicate(name::CONTENT_LENGTH));
        }
        let length = scan::number(value);
        found = Some(length.ok_or(ParseErrorKind::Invalid(name::CONTENT_LENGTH))?);
    }
    Ok(found)
}
