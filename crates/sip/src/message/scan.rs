//! The character classes and splits that the grammars share. All are single forward passes.

use super::error::Malformed;

/// RFC 3261 section 25.1 `token`.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// `gen-value`: a quoted string or visible characters that end no value.
pub(crate) fn is_param_value(text: &str) -> bool {
    if text.starts_with('"') {
        return is_quoted_string(text);
    }
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte > b' ' && byte != 0x7f && !b"\"<>,;\\".contains(&byte))
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
    text.trim_matches([' ', '\t'])
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

/// The first such byte outside of quoted strings and angle brackets.
pub(crate) fn find_unquoted(text: &str, wanted: u8) -> Result<Option<usize>, Malformed> {
    Scanner::new(text).next_of(wanted)
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
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// `host[:port]`, without blanks.
pub(crate) fn host_port(text: &str) -> Result<(&str, Option<u16>), Malformed> {
    let split = if text.starts_with('[') {
        text.find(']').ok_or(Malformed)? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(split);
    if !is_host(host) {
        return Err(Malformed);
    }
    let port = match rest.strip_prefix(':') {
        Some(digits) => Some(
            number::<u16>(digits)
                .filter(|port| *port != 0)
                .ok_or(Malformed)?,
        ),
        None if rest.is_empty() => None,
        None => return Err(Malformed),
    };
    Ok((host, port))
}
