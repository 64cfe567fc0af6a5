//! What can be read of a request that was refused, so that it can be answered (RFC 3261 section 8.2, RFC 4475).

use super::headers::{Headers, name};
use super::method::Method;
use super::params::{PARAMS_MAX, Params};
use super::parse::{HEADERS_MAX, Lines, MESSAGE_BYTES_MAX, split_row};
use super::scan;
use super::via::Via;
use super::{Response, reason_phrase};

/// Enough of a broken request to answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseSkeleton {
    /// `None` when the request line itself is unreadable.
    pub method: Option<Method>,
    /// The top Via: where the answer goes.
    pub via: Via,
    /// Via rows that can be read, and From, To, Call-ID and CSeq as they came, where they came.
    pub headers: Headers,
}

impl ResponseSkeleton {
    /// The answer; the caller notes the source in the top Via before it sends.
    pub fn response(&self, status: u16, reason: Option<&str>) -> Response {
        let mut response = Response::new(status);
        reason
            .unwrap_or_else(|| reason_phrase(status))
            .clone_into(&mut response.reason);
        response.headers = self.headers.clone();
        response
    }
}

/// Reads what is readable. `None` for responses, for ACK (which is never answered) and for text without a CSeq or without a
/// Via whose host and port can be read. Of a field that appears more than once the first row is echoed; a client whose
/// request lacked From, To or Call-ID finds its transaction by the branch (RFC 4475 section 3.3.1).
pub fn parse_lenient_for_400(bytes: &[u8]) -> Option<ResponseSkeleton> {
    let bytes = bytes.get(..MESSAGE_BYTES_MAX).unwrap_or(bytes);
    let mut lines = Lines::new(bytes);
    let first = match lines.next_line() {
        Ok(Some((line, _))) => line,
        Ok(None) => return None,
        Err(_) => String::new().into(),
    };
    let is_response = first
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("SIP/"));
    let method = first
        .split([' ', '\t'])
        .next()
        .and_then(|word| word.parse::<Method>().ok());
    if is_response || method == Some(Method::Ack) {
        return None;
    }
    let headers = echoed(&mut lines)?;
    let via = readable_via(headers.get(name::VIA)?)?;
    Some(ResponseSkeleton {
        method,
        via,
        headers,
    })
}

/// Via of any version: a request of a later one is answered 505 (RFC 3261 section 21.5.6). Parameters that cannot be read
/// are left out, as long as the host and the port can (RFC 4475 section 3.1.2.1).
fn readable_via(value: &str) -> Option<Via> {
    let (_, rest) = value.split_once('/')?;
    let (_, rest) = rest.split_once('/')?;
    let text = format!("SIP/2.0/{rest}");
    if let Ok(via) = text.parse() {
        return Some(via);
    }
    let (sent_by, params) = text.split_once(';')?;
    let mut via: Via = sent_by.parse().ok()?;
    let readable = params
        .split(';')
        .filter_map(|param| Params::parse_header(&format!(";{param}")).ok())
        .take(PARAMS_MAX);
    for params in readable {
        for (name, value) in params.iter() {
            if !via.params.has(name) {
                via.params.set(name, value);
            }
        }
    }
    Some(via)
}

const ECHOED_ONCE: &[&str] = &[name::FROM, name::TO, name::CALL_ID, name::CSEQ];

fn echoed(lines: &mut Lines<'_>) -> Option<Headers> {
    let mut headers = Headers::new();
    for _ in 0..HEADERS_MAX {
        let line = match lines.next_line() {
            Ok(Some((line, _))) if line.is_empty() => break,
            Ok(Some((line, _))) => line,
            Ok(None) => break,
            Err(_) => continue,
        };
        let Ok((name, value)) = split_row(&line) else {
            continue;
        };
        if name == name::VIA {
            let values = scan::split(value, b',').unwrap_or_else(|_| vec![value]);
            for value in values.iter().take(HEADERS_MAX) {
                // The first stays as it is, readable or not: an answer never goes to another hop than the last one.
                if !headers.has(&name) || readable_via(value).is_some() {
                    headers.push_parsed(name.clone(), (*value).to_owned());
                }
            }
        } else if ECHOED_ONCE.contains(&name.as_ref()) && !headers.has(&name) {
            headers.push_parsed(name, value.to_owned());
        }
    }
    headers
        .get(name::CSEQ)
        .is_some_and(|value| !value.is_empty())
        .then_some(headers)
}
