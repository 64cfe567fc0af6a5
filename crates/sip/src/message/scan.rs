//! The character classes and splits that the grammars share. All are single forward passes.

use super::error::Malformed;

/// RFC 3261 section 25.1 `token`.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    const TOKEN: [bool; 256] = class(b"-.!%*_+`'~");
    TOKEN[usize::from(byte)]
}

/// Letters, digits and these.
const fn class(others: &[u8]) -> [bool; 256] {
    let mut class = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        class[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        class[others[at] as usize] = true;
        at += 1;
    }
    class
}

/// What a `gen-value` without quotes may hold: visible characters that end no value.
pub(crate) fn is_value_byte(byte: u8) -> bool {
    byte > b' ' && !matches!(byte, 0x7f | b'"' | b'<' | b'>' | b',' | b';' | b'\\')
}

/// The offset of the first such byte.
pub(crate) fn find(text: &str, wanted: u8) -> Option<usize> {
    text.bytes().position(|byte| byte == wanted)
}

/// The same in bytes, for long stretches: sixteen at a time, in a form that the compiler turns into vector instructions.
pub(crate) fn find_far(bytes: &[u8], wanted: u8) -> Option<usize> {
    let mut at = 0;
    for chunk in bytes.chunks_exact(16) {
        if chunk
            .iter()
            .fold(0, |found, byte| found | u8::from(*byte == wanted))
            != 0
        {
            break;
        }
        at += 16;
    }
    let found = bytes[at..].iter().position(|byte| *byte == wanted);
    found.map(|found| at + found)
}

/// What stands before and behind the first such ASCII byte.
pub(crate) fn split_once(text: &str, wanted: u8) -> Option<(&str, &str)> {
    let at = find(text, wanted)?;
    Some((&text[..at], &text[at + 1..]))
}

/// The offset of the first byte from there on that does not belong.
pub(crate) fn skip(bytes: &[u8], from: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let mut at = from;
    while bytes.get(at).is_some_and(|byte| belongs(*byte)) {
        at += 1;
    }
    at
}

/// The same for blanks.
pub(crate) fn skip_blanks(bytes: &[u8], from: usize) -> usize {
    skip(bytes, from, |byte| matches!(byte, b' ' | b'\t'))
}

/// A complete quoted string: opening and closing quote, escapes respected.
pub(crate) fn is_quoted_string(text: &str) -> bool {
    text.len() >= 2 && quoted_end(text.as_bytes()) == Some(text.len())
}

/// The offset behind the closing quote of a quoted string that begins at offset 0.
pub(crate) fn quoted_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Blanks only: a control character is never trimmed away.
pub(crate) fn trim(text: &str) -> &str {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let bytes = text.as_bytes();
    let Some(start) = bytes.iter().position(is_text) else {
        return "";
    };
    let end = bytes
        .iter()
        .rposition(is_text)
        .map_or(start, |last| last + 1);
    &text[start..end]
}

/// Splits at a separator outside of quoted strings and angle brackets; the parts are trimmed.
///
/// # Errors
/// When a quote or a bracket is left open.
pub(crate) fn split(text: &str, separator: u8) -> Result<Vec<&str>, Malformed> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut scanner = Scanner::new(text);
    while let Some(at) = scanner.next_of(separator)? {
        parts.push(trim(&text[start..at]));
        start = at + 1;
    }
    parts.push(trim(&text[start..]));
    Ok(parts)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    in_brackets: bool,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
            in_brackets: false,
        }
    }

    fn next_of(&mut self, wanted: u8) -> Result<Option<usize>, Malformed> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' if !self.in_brackets => {
                    self.at += quoted_end(&self.bytes[self.at..]).ok_or(Malformed)?;
                    continue;
                }
                b'<' if self.in_brackets => return Err(Malformed),
                b'<' => self.in_brackets = true,
                b'>' if !self.in_brackets => return Err(Malformed),
                b'>' => self.in_brackets = false,
                _ if byte == wanted && !self.in_brackets => {
                    self.at += 1;
                    return Ok(Some(self.at - 1));
                }
                _ => {}
            }
            self.at += 1;
        }
        if self.in_brackets {
            return Err(Malformed);
        }
        Ok(None)
    }
}

/// Digits only, within range: no sign, no blank, no wrap.
pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Digits only; what is more than `u32::MAX` counts as `u32::MAX`.
pub(crate) fn clamped(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u32::MAX))
}

/// A host name, an IPv4 address or a bracketed IPv6 address. Underscores are tolerated: they occur in the field.
pub(crate) fn is_host(text: &str) -> bool {
    if let Some(inner) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !text.is_empty()
        && text.len() <= 255
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// `host[:port]`, without blanks.
pub(crate) fn host_port(text: &str) -> Result<(&str, Option<u16>), Malformed> {
    let split = if text.starts_with('[') {
        find(text, b']').ok_or(Malformed)? + 1
    } else {
        find(text, b':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(split);
    match rest.strip_prefix(':') {
        Some(digits) => host_and_port(host, Some(digits)),
        None if rest.is_empty() => host_and_port(host, None),
        None => Err(Malformed),
    }
}

/// The two sides of the colon.
pub(crate) fn host_and_port<'a>(
    host: &'a str,
    digits: Option<&str>,
) -> Result<(&'a str, Option<u16>), Malformed> {
    if !is_host(host) {
        return Err(Malformed);
    }
    let Some(digits) = digits else {
        return Ok((host, None));
    };
    let port = number::<u16>(digits).filter(|port| *port != 0);
    Ok((host, Some(port.ok_or(Malformed)?)))
}
