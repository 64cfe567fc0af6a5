//! The one part of a body that we want: the session description, alone or inside a multipart body (RFC 5621).

use super::headers::{Headers, name};
use super::params::Params;
use super::scan;

/// Parts of a multipart body that are looked at.
const PARTS_MAX: usize = 16;
/// The media type of session descriptions.
const SDP: &str = "application/sdp";

/// What a body means to the offer/answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpBody<'a> {
    /// No body.
    Absent,
    /// The session description.
    Found(&'a [u8]),
    /// A body without a session description that we can read: 415 to a request.
    Unsupported,
}

impl<'a> SdpBody<'a> {
    /// Finds the session description of a message. A body without Content-Type counts as one when it begins like one.
    pub fn find(headers: &Headers, body: &'a [u8]) -> Self {
        if body.is_empty() {
            return Self::Absent;
        }
        let is_encoded = headers
            .get(name::CONTENT_ENCODING)
            .is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
        if is_encoded {
            return Self::Unsupported;
        }
        let found = match headers.get(name::CONTENT_TYPE) {
            None => body.starts_with(b"v=0").then_some(body),
            Some(value) if is_sdp(value) => Some(body),
            Some(value) => boundary(value).and_then(|boundary| part(body, &boundary)),
        };
        found.map_or(Self::Unsupported, Self::Found)
    }

    /// The bytes, if found.
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Found(bytes) => Some(bytes),
            Self::Absent | Self::Unsupported => None,
        }
    }
}

fn is_sdp(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default();
    scan::trim(media).eq_ignore_ascii_case(SDP)
}

/// The line that separates the parts: `--` and the boundary parameter.
fn boundary(content_type: &str) -> Option<Vec<u8>> {
    let (media, params) = content_type.split_at(content_type.find(';')?);
    let is_multipart = media
        .get(..10)
        .is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    if !is_multipart {
        return None;
    }
    let params = Params::parse_header(params).ok()?;
    let value = params.value("boundary")?.trim_matches('"');
    // RFC 2046 section 5.1.1: 1 to 70 characters.
    (1..=70)
        .contains(&value.len())
        .then(|| format!("--{value}").into_bytes())
}

/// The first part with a session description. Delimiters stand at the start of a line.
fn part<'a>(body: &'a [u8], delimiter: &[u8]) -> Option<&'a [u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(delimiter) && starts.len() <= PARTS_MAX {
            starts.push((at, at + line.len()));
        }
        at += line.len();
    }
    starts.windows(2).find_map(|pair| {
        let part = body.get(pair[0].1..pair[1].0)?;
        let part = part.strip_suffix(b"\r\n").unwrap_or(part);
        let head = part.windows(4).position(|four| four == b"\r\n\r\n")?;
        let is_wanted = part[..head]
            .split(|byte| *byte == b'\n')
            .filter_map(|line| std::str::from_utf8(line).ok())
            .filter_map(|line| line.trim().split_once(':'))
            .any(|(name, value)| {
                let name = scan::trim(name);
                (name.eq_ignore_ascii_case("content-type") || name.eq_ignore_ascii_case("c"))
                    && is_sdp(value)
            });
        is_wanted.then(|| &part[head + 4..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(content_type: &str, body: &'a str) -> SdpBody<'a> {
        let mut headers = Headers::new();
        if !content_type.is_empty() {
            headers.push(name::CONTENT_TYPE, content_type);
        }
        SdpBody::find(&headers, body.as_bytes())
    }

    #[test]
    fn a_description_alone_or_among_parts() {
        let alone = SdpBody::Found(b"v=0");
        assert_eq!(find("Application/SDP; charset=utf-8", "v=0"), alone);
        assert_eq!(find("", "v=0"), alone);
        assert_eq!(find("", ""), SdpBody::Absent);
        let parts = "preamble\r\n--b 1\r\nContent-Type: application/isup\r\n\r\n\x01\r\n--b 1\r\ncontent-type : \
                     application/sdp\r\nContent-Disposition: session\r\n\r\nv=0\r\n--b 1--\r\n";
        assert_eq!(find("multipart/mixed;boundary=\"b 1\"", parts), alone);
        assert_eq!(
            find("multipart/mixed;boundary=other", parts),
            SdpBody::Unsupported
        );
    }

    #[test]
    fn pattern_09_empty_and_broken_parts() {
        for body in [
            "--b\r\n--b--\r\n",
            "--b\r\n\r\n--b--",
            "--b",
            "--b--",
            "--b\r\nContent-Type: application/sdp\r\n--b--",
            "--b\r\nContent-Type: application/sdp\r\n\r\nv=0",
            "\r\n",
        ] {
            assert_eq!(
                find("multipart/mixed;boundary=b", body),
                SdpBody::Unsupported,
                "{body:?}"
            );
        }
        for content_type in [
            "multipart/mixed",
            "multipart/mixed;boundary=\"\"",
            "multipart/mixed;boundary",
            "multipart/mixed;;",
            "text/plain",
        ] {
            assert_eq!(
                find(content_type, "--b\r\n"),
                SdpBody::Unsupported,
                "{content_type}"
            );
        }
    }
}
