//! Parameters behind a semicolon, of URIs and of header values.

use super::error::Malformed;
use super::scan;
use std::fmt;

/// Parameters in their order. Names compare without case; values are kept as written (quoted strings with quotes).
///
/// They are one text, `;name=value;name`, as it is printed: a message has dozens of them, and most are never asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    text: String,
}

impl Params {
    /// No parameter.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The value; `None` both when the parameter is absent and when it has no value.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?
            .1
    }

    /// Replaces the first parameter of that name, or adds one at the end. The value is one that may stand there.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        if !self.has(name) {
            return self.push(name, value);
        }
        let old = std::mem::take(self);
        self.text
            .reserve(old.text.len() + value.map_or(0, str::len));
        let mut is_set = false;
        for (known, given) in old.iter() {
            let is_it = !is_set && known.eq_ignore_ascii_case(name);
            self.push(known, if is_it { value } else { given });
            is_set |= is_it;
        }
    }

    /// Removes every parameter of that name.
    pub fn remove(&mut self, name: &str) {
        if !self.has(name) {
            return;
        }
        let old = std::mem::take(self);
        self.text.reserve(old.text.len());
        for (known, value) in old.iter() {
            if !known.eq_ignore_ascii_case(name) {
                self.push(known, value);
            }
        }
    }

    /// In the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        Iter { rest: &self.text }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Header parameters: `rest` is empty or starts with a semicolon; blanks may stand around `;` and `=`.
    pub(crate) fn parse_header(rest: &str) -> Result<Self, Malformed> {
        let mut params = Self {
            text: String::with_capacity(rest.len()),
        };
        each_header_param(rest, |name, value| params.push(name, value))?;
        Ok(params)
    }

    /// URI parameters: `rest` is empty or starts with a semicolon; no blanks, no quotes.
    pub(crate) fn parse_uri(rest: &str) -> Result<Self, Malformed> {
        let mut params = Self {
            text: String::with_capacity(rest.len()),
        };
        each_uri_param(rest, |name, value| params.push(name, value))?;
        Ok(params)
    }

    fn push(&mut self, name: &str, value: Option<&str>) {
        self.text.push(';');
        self.text.push_str(name);
        if let Some(value) = value {
            self.text.push('=');
            self.text.push_str(value);
        }
    }
}

/// The parameters of such a text.
struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.strip_prefix(';')?;
        let bytes = text.as_bytes();
        let ends_name = |byte: &u8| matches!(byte, b'=' | b';');
        let name_end = bytes.iter().position(ends_name).unwrap_or(text.len());
        if bytes.get(name_end) != Some(&b'=') {
            self.rest = &text[name_end..];
            return Some((&text[..name_end], None));
        }
        let start = name_end + 1;
        let quoted = if bytes.get(start) == Some(&b'"') {
            scan::quoted_end(&bytes[start..]).unwrap_or(0)
        } else {
            0
        };
        let from = start + quoted;
        let end = bytes[from..].iter().position(|byte| *byte == b';');
        let end = end.map_or(text.len(), |at| from + at);
        self.rest = &text[end..];
        Some((&text[..name_end], Some(&text[start..end])))
    }
}

/// Hands every header parameter to `take`, and allocates nothing. The grammar is that of [`Params::parse_header`].
pub(crate) fn each_header_param<'a>(
    rest: &'a str,
    mut take: impl FnMut(&'a str, Option<&'a str>),
) -> Result<(), Malformed> {
    let bytes = rest.as_bytes();
    let mut at = scan::skip_blanks(bytes, 0);
    let mut count = 0;
    while at < bytes.len() {
        if bytes[at] != b';' || count == PARAMS_MAX {
            return Err(Malformed);
        }
        count += 1;
        let start = scan::skip_blanks(bytes, at + 1);
        let end = scan::skip(bytes, start, scan::is_token_byte);
        if start == end {
            return Err(Malformed);
        }
        at = scan::skip_blanks(bytes, end);
        let mut value = None;
        if bytes.get(at) == Some(&b'=') {
            let from = scan::skip_blanks(bytes, at + 1);
            let to = match bytes.get(from) {
                Some(b'"') => from + scan::quoted_end(&bytes[from..]).ok_or(Malformed)?,
                Some(_) | None => scan::skip(bytes, from, scan::is_value_byte),
            };
            if from == to {
                return Err(Malformed);
            }
            value = Some(&rest[from..to]);
            at = scan::skip_blanks(bytes, to);
        }
        take(&rest[start..end], value);
    }
    Ok(())
}

/// The value of the first of that name, as [`Params::value`] tells it.
pub(crate) fn header_param<'a>(rest: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    each_header_param(rest, |known, value| {
        if found.is_none() && known.eq_ignore_ascii_case(name) {
            found = Some(value);
        }
    })
    .ok()?;
    found?
}

/// The same for URI parameters ([`Params::parse_uri`]).
pub(crate) fn each_uri_param<'a>(
    rest: &'a str,
    mut take: impl FnMut(&'a str, Option<&'a str>),
) -> Result<(), Malformed> {
    let mut count = 0;
    for part in rest.split(';').skip(1) {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        };
        if name.is_empty() && value.is_none() {
            continue;
        }
        count += 1;
        if name.is_empty() || count > PARAMS_MAX {
            return Err(Malformed);
        }
        take(name, value);
    }
    Ok(())
}

/// Parameters of one value; lookups scan them, so they must stay few.
pub(crate) const PARAMS_MAX: usize = 64;

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
