//! Addresses: the host is the operator's word, values are encoded, parameters without a value are left out.

use super::parse::{Part, Slot};
use super::value::{EvalError, Scope, slot_text};
use super::{Rules, Template};
use crate::fault::{Fault, FaultCode};
use crate::limits::URL_BYTES_MAX;

/// A compiled address.
#[derive(Clone, Debug, PartialEq)]
pub struct UrlTemplate {
    /// Scheme, host, port; or a placeholder of the operator's that holds them. Not encoded.
    origin: Vec<Part>,
    path: Vec<Part>,
    /// `name=value` each, without `&`.
    query: Vec<Vec<Part>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Origin,
    Path,
    Query,
}

impl UrlTemplate {
    /// Compiles an address. The fault's path is empty: the caller knows where the text stands.
    pub fn compile(text: &str, rules: Rules) -> Result<Self, Fault> {
        if text.trim().is_empty() {
            return Err(Fault::new("", FaultCode::Missing, "The address is empty."));
        }
        let template = Template::compile(text.trim(), rules)?;
        let mut url = Self {
            origin: Vec::new(),
            path: Vec::new(),
            query: Vec::new(),
        };
        let mut section = Section::Origin;
        for (index, part) in template.parts.into_iter().enumerate() {
            match part {
                Part::Literal(literal) => section = url.literal(&literal, section, index == 0)?,
                Part::Slot(slot) => {
                    if section == Section::Origin && !slot.roots().all(super::Root::is_operators) {
                        return Err(Fault::new("", FaultCode::NotHere,
                            "This value cannot choose the host: an address begins with http:// or https://, BASE_URL or config.")
                            .at(slot.position));
                    }
                    // A placeholder at the very beginning holds scheme and host: what follows is the path.
                    let next = if section == Section::Origin && index == 0 {
                        Section::Path
                    } else {
                        section
                    };
                    if section == Section::Path && url.path.is_empty() {
                        return Err(no_slash().at(slot.position));
                    }
                    url.push(section, Part::Slot(slot));
                    section = next;
                }
            }
        }
        Ok(url)
    }

    fn literal(
        &mut self,
        literal: &str,
        mut section: Section,
        first: bool,
    ) -> Result<Section, Fault> {
        let bad = |message: &str| Err(Fault::new("", FaultCode::BadUrl, message));
        let mut rest = literal;
        if first {
            let Some((scheme, after)) = rest.split_once("://") else {
                return bad(
                    "The address must begin with http:// or https://, or with {{BASE_URL}}.",
                );
            };
            if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
                return bad("Only http:// and https:// can be used.");
            }
            self.origin
                .push(Part::Literal(format!("{}://", scheme.to_ascii_lowercase())));
            rest = after;
        }
        if rest.contains('#') {
            return bad("An address for a request has no # part.");
        }
        if section == Section::Origin {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let host = &rest[..end];
            if host.contains(['@', '\\', '%']) || !host.bytes().all(|byte| byte.is_ascii_graphic())
            {
                return bad(
                    "The host cannot hold a user name, a password, spaces, escapes or accents (write xn--…); put credentials into headers.",
                );
            }
            if first && host.is_empty() && end < rest.len() {
                return bad("The host is missing.");
            }
            if !host.is_empty() {
                self.origin.push(Part::Literal(host.to_owned()));
            }
            if end == rest.len() {
                return Ok(Section::Origin);
            }
            section = Section::Path;
            rest = &rest[end..];
        }
        if section == Section::Path {
            let (path, query) = match rest.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (rest, None),
            };
            if self.path.is_empty() && !path.is_empty() && !path.starts_with('/') {
                return Err(no_slash());
            }
            if !path.is_empty() {
                self.path.push(Part::Literal(safe_literal(path)));
            }
            let Some(query) = query else {
                return Ok(Section::Path);
            };
            self.query.push(Vec::new());
            rest = query;
        }
        for (index, parameter) in rest.split('&').enumerate() {
            if index > 0 {
                self.query.push(Vec::new());
            }
            if !parameter.is_empty() {
                self.push(Section::Query, Part::Literal(safe_literal(parameter)));
            }
        }
        Ok(Section::Query)
    }

    fn push(&mut self, section: Section, part: Part) {
        match section {
            Section::Origin => self.origin.push(part),
            Section::Path => self.path.push(part),
            Section::Query => {
                if let Some(parameter) = self.query.last_mut() {
                    parameter.push(part);
                }
            }
        }
    }

    /// The address with all values in it; `more` are further parameters, not yet encoded.
    pub fn evaluate(
        &self,
        scope: &Scope<'_>,
        more: &[(String, String)],
    ) -> Result<String, EvalError> {
        let mut url = String::new();
        for part in &self.origin {
            match part {
                Part::Literal(text) => url.push_str(text),
                Part::Slot(slot) => {
                    url.push_str(&slot_text(slot, scope).ok_or(EvalError::Missing)?)
                }
            }
        }
        check_origin(&url)?;
        let base = url.trim_end_matches('/').len();
        if self.path_begins_with_slash() {
            url.truncate(base);
        }
        let path_start = url.len();
        for part in &self.path {
            match part {
                Part::Literal(text) => url.push_str(text),
                Part::Slot(slot) => {
                    let text = encoded(slot, scope).filter(|text| !text.is_empty());
                    url.push_str(&text.ok_or(EvalError::Missing)?);
                }
            }
        }
        if has_dot_segment(&url[path_start..]) {
            return Err(EvalError::BadAddress);
        }
        let mut separator = if url.contains('?') { '&' } else { '?' };
        for parameter in &self.query {
            if let Some(text) = parameter_text(parameter, scope) {
                url.push(separator);
                url.push_str(&text);
                separator = '&';
            }
        }
        for (name, value) in more {
            url.push(separator);
            url.push_str(&encode(name));
            url.push('=');
            url.push_str(&encode(value));
            separator = '&';
        }
        if url.len() > URL_BYTES_MAX {
            return Err(EvalError::TooLarge);
        }
        Ok(url)
    }

    fn path_begins_with_slash(&self) -> bool {
        matches!(self.path.first(), Some(Part::Literal(text)) if text.starts_with('/'))
    }

    pub(crate) fn uses(&self, test: impl Fn(super::Root) -> bool + Copy) -> bool {
        let parts = self
            .origin
            .iter()
            .chain(&self.path)
            .chain(self.query.iter().flatten());
        parts.into_iter().any(|part| match part {
            Part::Literal(_) => false,
            Part::Slot(slot) => slot.roots().any(test),
        })
    }
}

/// Without the slash the next words would become part of the host.
fn no_slash() -> Fault {
    Fault::new(
        "",
        FaultCode::BadUrl,
        "A / or ? must follow the placeholder that holds the host.",
    )
}

fn encoded(slot: &Slot, scope: &Scope<'_>) -> Option<String> {
    let text = slot_text(slot, scope)?;
    Some(if slot.is_encoded() {
        text
    } else {
        encode(&text)
    })
}

fn parameter_text(parts: &[Part], scope: &Scope<'_>) -> Option<String> {
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Literal(text) => out.push_str(text),
            Part::Slot(slot) => out.push_str(&encoded(slot, scope)?),
        }
    }
    (!out.is_empty()).then_some(out)
}

/// Scheme and host that an operator's values made: nothing in them may move the host.
fn check_origin(origin: &str) -> Result<(), EvalError> {
    let Some((scheme, rest)) = origin.split_once("://") else {
        return Err(EvalError::BadAddress);
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let clean = matches!(scheme, "http" | "https" | "HTTP" | "HTTPS")
        && !host.is_empty()
        && !rest.contains(['@', '\\', '#'])
        && !host.contains('%')
        && rest.bytes().all(|byte| byte.is_ascii_graphic());
    if clean {
        Ok(())
    } else {
        Err(EvalError::BadAddress)
    }
}

/// A path that walks upwards would leave what the operator wrote.
fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(plain.as_str(), "." | "..")
    })
}

/// RFC 3986: everything but the unreserved characters becomes `%XX`.
pub(crate) fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

/// What an author wrote into an address stays, but for characters that no address may hold.
fn safe_literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_graphic()
            && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
        {
            out.push(c);
        } else {
            out.push_str(&encode(c.encode_utf8(&mut [0; 4])));
        }
    }
    out
}
