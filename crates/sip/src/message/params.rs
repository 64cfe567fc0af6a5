//! Parameters behind a semicolon, of URIs and of header values.

use super::error::Malformed;
use super::scan;
use std::fmt;

/// Parameters in their order. Names compare without case; values are kept as written (quoted strings with quotes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    list: Vec<(String, Option<String>)>,
}

impl Params {
    /// No parameter.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// The value; `None` both when the parameter is absent and when it has no value.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.list[self.position(name)?].1.as_deref()
    }

    /// Replaces the first parameter of that name, or adds one at the end.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        match self.position(name) {
            Some(index) => self.list[index].1 = value,
            None => self.list.push((name.to_owned(), value)),
        }
    }

    /// Removes every parameter of that name.
    pub fn remove(&mut self, name: &str) {
        self.list
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// In the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.list
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.list
            .iter()
            .position(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// Header parameters: `rest` is empty or starts with a semicolon; blanks may stand around `;` and `=`.
    pub(crate) fn parse_header(rest: &str) -> Result<Self, Malformed> {
        let mut params = Self::new();
        let rest = scan::trim(rest);
        if rest.is_empty() {
            return Ok(params);
        }
        let rest = rest.strip_prefix(';').ok_or(Malformed)?;
        for part in scan::split(rest, b';')? {
            let (name, value) = match scan::find_unquoted(part, b'=')? {
                Some(at) => (scan::trim(&part[..at]), Some(scan::trim(&part[at + 1..]))),
                None => (scan::trim(part), None),
            };
            if !scan::is_token(name) || !value.is_none_or(scan::is_param_value) {
                return Err(Malformed);
            }
            params.push(name, value)?;
        }
        Ok(params)
    }

    /// URI parameters: `rest` is empty or starts with a semicolon; no blanks, no quotes.
    pub(crate) fn parse_uri(rest: &str) -> Result<Self, Malformed> {
        let mut params = Self::new();
        for part in rest.split(';').skip(1) {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (part, None),
            };
            if name.is_empty() && value.is_none() {
                continue;
            }
            if name.is_empty() {
                return Err(Malformed);
            }
            params.push(name, value)?;
        }
        Ok(params)
    }

    fn push(&mut self, name: &str, value: Option<&str>) -> Result<(), Malformed> {
        if self.list.len() >= PARAMS_MAX {
            return Err(Malformed);
        }
        self.list.push((name.to_owned(), value.map(str::to_owned)));
        Ok(())
    }
}

/// Parameters of one value; lookups scan the list, so it must stay short.
pub(crate) const PARAMS_MAX: usize = 64;

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.list {
            write!(f, ";{name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}
