//! Messages for traces and journals: the same text without what would let a reader sign in or decrypt.
//!
//! Works on the bytes, line by line, so that a broken message is redacted as well as a good one.

use crate::message::scan::find_far;

/// Stands in the place of each secret.
const MASK: &str = "***";

/// Parameters of authentication fields that allow a guess of the password offline, or a replay.
const SECRET_PARAMETERS: &[&str] = &[
    "response",
    "rspauth",
    "nonce",
    "nextnonce",
    "cnonce",
    "opaque",
];

/// Fields that hold digest parameters.
const AUTH_FIELDS: &[&str] = &[
    "Authorization",
    "Proxy-Authorization",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Authentication-Info",
    "Proxy-Authentication-Info",
];

/// The message without digest responses, nonces and SDP keys. Other bytes stay as they are; linear in the length.
pub fn redact(message: &[u8]) -> Vec<u8> {
    let mut redacted = Vec::with_capacity(message.len());
    let mut in_auth_field = false;
    // Lines that stay as they are are copied together: most messages hold no secret.
    let (mut copied, mut at) = (0, 0);
    while at < message.len() {
        let length = find_far(&message[at..], b'\n');
        let end = length.map_or(message.len(), |length| at + length + 1);
        let line = &message[at..end];
        let continues = matches!(line[0], b' ' | b'\t');
        if !continues {
            in_auth_field = is_auth_field(line);
        }
        let key = if in_auth_field { None } else { sdp_key(line) };
        if in_auth_field || key.is_some() {
            redacted.extend_from_slice(&message[copied..at]);
            copied = end;
        }
        if in_auth_field {
            redact_auth(line, continues, &mut redacted);
        } else if let Some(key) = key {
            redact_key(line, key, &mut redacted);
        }
        at = end;
    }
    redacted.extend_from_slice(&message[copied..]);
    redacted
}

fn is_auth_field(line: &[u8]) -> bool {
    let first = line.trim_ascii_start().first().unwrap_or(&b' ');
    if !matches!(first.to_ascii_uppercase(), b'A' | b'P' | b'W') {
        return false;
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let name = line[..colon].trim_ascii();
    AUTH_FIELDS
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Masks the values of the secret parameters; credentials of another scheme than Digest are masked whole.
fn redact_auth(line: &[u8], continues: bool, redacted: &mut Vec<u8>) {
    let colon = line.iter().position(|byte| *byte == b':');
    let start = match colon {
        Some(colon) if !continues => colon + 1,
        Some(_) | None => 0,
    };
    let end = line.trim_ascii_end().len().max(start);
    let (field, value, line_end) = (&line[..start], &line[start..end], &line[end..]);
    redacted.extend_from_slice(field);
    let words = value.trim_ascii_start();
    let scheme = words.split(|byte| *byte == b' ').next().unwrap_or_default();
    // Authentication-Info has no scheme; a continuation line continues parameters.
    let has_scheme = !continues && !scheme.is_empty() && !scheme.contains(&b'=');
    if has_scheme && !scheme.eq_ignore_ascii_case(b"digest") {
        redacted.push(b' ');
        redacted.extend_from_slice(scheme);
        redacted.push(b' ');
        redacted.extend_from_slice(MASK.as_bytes());
    } else {
        redact_parameters(value, redacted);
    }
    redacted.extend_from_slice(line_end);
}

fn redact_parameters(value: &[u8], redacted: &mut Vec<u8>) {
    let mut name_start = 0;
    let mut at = 0;
    while at < value.len() {
        match value[at] {
            b',' | b' ' | b'\t' => name_start = at + 1,
            b'=' => {
                let name = &value[name_start..at];
                let after = at + 1;
                let end = value_end(value, after);
                redacted.push(b'=');
                if SECRET_PARAMETERS
                    .iter()
                    .any(|secret| name.eq_ignore_ascii_case(secret.as_bytes()))
                {
                    let quote: &[u8] = if value.get(after) == Some(&b'"') {
                        b"\""
                    } else {
                        b""
                    };
                    redacted.extend_from_slice(quote);
                    redacted.extend_from_slice(MASK.as_bytes());
                    redacted.extend_from_slice(quote);
                } else {
                    redacted.extend_from_slice(&value[after..end]);
                }
                at = end;
                continue;
            }
            _ => {}
        }
        redacted.push(value[at]);
        at += 1;
    }
}

fn value_end(value: &[u8], start: usize) -> usize {
    if value.get(start) != Some(&b'"') {
        let length = value[start..]
            .iter()
            .position(|byte| matches!(byte, b',' | b' ' | b'\t'));
        return length.map_or(value.len(), |length| start + length);
    }
    let mut at = start + 1;
    while at < value.len() {
        match value[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    value.len()
}

/// Where the secret of a key line of SDP begins (`a=crypto`, RFC 4568; `k=`, RFC 4566; `a=key-mgmt`, RFC 4567).
fn sdp_key(line: &[u8]) -> Option<usize> {
    let starts = |wanted: &[u8]| {
        let start = line.get(..wanted.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(wanted))
    };
    if starts(b"a=crypto:") {
        let inline = line
            .windows(7)
            .position(|word| word.eq_ignore_ascii_case(b"inline:"));
        return Some(inline.map_or(9, |at| at + 7));
    }
    if starts(b"k=") {
        return Some(2);
    }
    starts(b"a=key-mgmt:").then_some(11)
}

/// Masks the rest of the line: a line with several keys (`inline:…;inline:…`) must lose them all.
fn redact_key(line: &[u8], at: usize, redacted: &mut Vec<u8>) {
    redacted.extend_from_slice(&line[..at]);
    redacted.extend_from_slice(MASK.as_bytes());
    redacted.extend_from_slice(&line[line.trim_ascii_end().len().max(at)..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, expected: &str) {
        let redacted = redact(message.as_bytes());
        assert_eq!(String::from_utf8(redacted).unwrap(), expected);
    }

    #[test]
    fn digest_values_are_masked_and_the_rest_is_kept() {
        check(
            "REGISTER sip:x SIP/2.0\r\nauthorization : Digest username=\"a, response=\\\"x\", realm=\"r\",\r\n \
             nonce=\"n\\\"n\", uri=\"sip:x\", response=\"00ff\",qop=auth, nc=00000001, cnonce=c\r\nCSeq: 1 REGISTER\r\n\r\n",
            "REGISTER sip:x SIP/2.0\r\nauthorization : Digest username=\"a, response=\\\"x\", realm=\"r\",\r\n \
             nonce=\"***\", uri=\"sip:x\", response=\"***\",qop=auth, nc=00000001, cnonce=***\r\nCSeq: 1 REGISTER\r\n\r\n",
        );
        check(
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", opaque=\"o\"\r\nProxy-Authorization: Bearer abc.def\r\n",
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"***\", opaque=\"***\"\r\nProxy-Authorization: Bearer ***\r\n",
        );
        check(
            "Authentication-Info: nextnonce=\"n\", qop=auth\r\n",
            "Authentication-Info: nextnonce=\"***\", qop=auth\r\n",
        );
    }

    #[test]
    fn keys_of_srtp_are_masked() {
        check(
            "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^31;inline:c2Vj\r\nk=base64:abc\nm=audio 1 RTP/AVP 0\r\n",
            "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:***\r\nk=***\nm=audio 1 RTP/AVP 0\r\n",
        );
        check("a=crypto:nonsense", "a=crypto:***");
    }

    #[test]
    fn broken_text_is_redacted_too() {
        for text in [
            "Authorization",
            "Authorization:",
            "Authorization: Digest nonce",
            "Authorization: Digest nonce=",
            "Authorization: Digest nonce=\"abc",
            "Authorization: nonce=\"abc\\",
            "a=crypto:",
            "\r\n",
            "",
        ] {
            let redacted = String::from_utf8(redact(text.as_bytes())).unwrap();
            assert!(!redacted.contains("abc"), "{text}");
        }
    }
}
