//! `name-addr` and `addr-spec`: the values of From, To, Contact, Route… (RFC 3261 section 20.10).

use super::error::Malformed;
use super::params::{Params, each_header_param, header_param};
use super::scan;
use super::uri::Uri;
use std::fmt::{self, Write as _};
use std::str::FromStr;

/// A URI with an optional display name and header parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// Without quotes and escapes; control characters removed. `None` when absent or empty.
    pub display: Option<String>,
    pub uri: Uri,
    /// Header parameters (`tag`, `expires`, `q`…), not those of the URI.
    pub params: Params,
}

impl NameAddr {
    /// A bare URI.
    pub fn new(uri: Uri) -> Self {
        Self {
            display: None,
            uri,
            params: Params::new(),
        }
    }

    /// The `tag` parameter of From and To.
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag")
    }

    /// The same with a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.params.set("tag", Some(tag));
        self
    }

    /// Whether the text can be read, at no cost of memory; hands the header parameters to `take`.
    pub(crate) fn check<'a>(
        text: &'a str,
        take: impl FnMut(&'a str, Option<&'a str>),
    ) -> Result<(), Malformed> {
        let parts = Parts::of(text)?;
        Uri::check(parts.uri)?;
        each_header_param(parts.params, take)
    }

    /// The value of the first header parameter of that name, of a text that was checked.
    pub(crate) fn param_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
        header_param(Parts::of(text).ok()?.params, name)
    }
}

/// The pieces of a `name-addr` or `addr-spec`.
struct Parts<'a> {
    /// Well formed, with its quotes.
    display: &'a str,
    uri: &'a str,
    params: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, Malformed> {
        let text = scan::trim(text);
        let search_from = if text.starts_with('"') {
            scan::quoted_end(text.as_bytes()).ok_or(Malformed)?
        } else {
            0
        };
        match scan::find(&text[search_from..], b'<') {
            Some(open) => Self::bracketed(text, open + search_from),
            None if search_from == 0 => Self::bare(text),
            None => Err(Malformed),
        }
    }

    fn bracketed(text: &'a str, open: usize) -> Result<Self, Malformed> {
        let close = scan::find(&text[open..], b'>').ok_or(Malformed)? + open;
        let display = scan::trim(&text[..open]);
        if !is_display(display) {
            return Err(Malformed);
        }
        Ok(Self {
            display,
            uri: &text[open + 1..close],
            params: &text[close + 1..],
        })
    }

    /// Without brackets the parameters belong to the header, and `?` and `,` may not appear.
    fn bare(text: &'a str) -> Result<Self, Malformed> {
        let (uri, params) = text.split_at(scan::find(text, b';').unwrap_or(text.len()));
        let uri = scan::trim(uri);
        if uri.bytes().any(|byte| matches!(byte, b'?' | b',')) {
            return Err(Malformed);
        }
        Ok(Self {
            display: "",
            uri,
            params,
        })
    }
}

/// A quoted string, or words, or nothing. Letters outside ASCII are tolerated in words: phones send them.
fn is_display(text: &str) -> bool {
    if text.starts_with('"') {
        return scan::is_quoted_string(text);
    }
    let is_word =
        |byte: u8| scan::is_token_byte(byte) || matches!(byte, b' ' | b'\t') || !byte.is_ascii();
    text.bytes().all(is_word)
}

/// Such a text without quotes, escapes and control characters; `None` where nothing is left.
fn plain_display(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let plain: String = if text.starts_with('"') {
        let mut escaped = false;
        text[1..text.len() - 1]
            .chars()
            .filter(|character| {
                let is_escape = *character == '\\' && !escaped;
                escaped = is_escape;
                !is_escape && !character.is_control()
            })
            .collect()
    } else {
        text.chars()
            .filter(|character| !character.is_control())
            .collect()
    };
    Some(plain).filter(|plain| !plain.is_empty())
}

impl FromStr for NameAddr {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let parts = Parts::of(text)?;
        Ok(Self {
            display: plain_display(parts.display),
            uri: parts.uri.parse()?,
            params: Params::parse_header(parts.params)?,
        })
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            f.write_str("\"")?;
            for character in display.chars().filter(|character| !character.is_control()) {
                if matches!(character, '"' | '\\') {
                    f.write_str("\\")?;
                }
                f.write_char(character)?;
            }
            f.write_str("\" ")?;
        }
        f.write_str("<")?;
        fmt::Display::fmt(&self.uri, f)?;
        f.write_str(">")?;
        fmt::Display::fmt(&self.params, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_an_address() {
        for (text, display, printed) in [
            ("sip:a@b;tag=1", None, "<sip:a@b>;tag=1"),
            ("<sip:a@b;lr>;tag=1", None, "<sip:a@b;lr>;tag=1"),
            ("\"\" <sip:a@b>", None, "<sip:a@b>"),
            ("A. B. <sip:a@b>", Some("A. B."), "\"A. B.\" <sip:a@b>"),
            ("caller<sip:a@b>", Some("caller"), "\"caller\" <sip:a@b>"),
            (
                "\"a \\\"b\\\\ <c>, ;d\" <sip:a@b>",
                Some("a \"b\\ <c>, ;d"),
                "\"a \\\"b\\\\ <c>, ;d\" <sip:a@b>",
            ),
            (
                "Ren\u{e9} <sip:a@b>",
                Some("Ren\u{e9}"),
                "\"Ren\u{e9}\" <sip:a@b>",
            ),
            (
                "<sip:a@b> ; tag = x ; p=\"q;r\"",
                None,
                "<sip:a@b>;tag=x;p=\"q;r\"",
            ),
        ] {
            let address: NameAddr = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(address.display.as_deref(), display, "{text}");
            assert_eq!(address.to_string(), printed);
            assert_eq!(printed.parse(), Ok(address), "{text}");
        }
    }

    #[test]
    fn pattern_10_quotes_and_brackets_out_of_place() {
        for text in [
            "",
            "\"",
            "\"\"",
            "\"a",
            "<",
            ">",
            "<>",
            "><",
            ">sip:a@b<",
            "<sip:a@b",
            "sip:a@b>",
            "\"a\" sip:a@b",
            "\"a\\\" <sip:a@b>",
            "\"a\"b <sip:a@b>",
            "<<sip:a@b>>",
            "<sip:a@b>tag=1",
            "<sip:a@b>;",
            "<sip:a@b>;=x",
            "<sip:a@b>;t=\"x",
            "\\",
            "\"\\",
        ] {
            assert!(text.parse::<NameAddr>().is_err(), "{text}");
        }
    }
}
