//! Values of the authentication fields, challenges and credentials alike (RFC 3261 section 25.1, RFC 7616).

use super::scan;
use std::fmt;

/// The authentication scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    Digest,
    Other(String),
}

/// `Digest name=value, name="value"…`
#[derive(Clone, PartialEq, Eq)]
pub struct AuthField {
    pub scheme: AuthScheme,
    /// Name, value without quotes and escapes, whether it was quoted.
    params: Vec<(String, String, bool)>,
}

/// Parameters of one challenge or of credentials.
const AUTH_PARAMS_MAX: usize = 32;

impl AuthField {
    /// A digest field without parameters.
    pub fn digest() -> Self {
        Self {
            scheme: AuthScheme::Digest,
            params: Vec::new(),
        }
    }

    /// The value of a parameter, without quotes and escapes.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(known, _, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value, _)| value.as_str())
    }

    /// Adds a parameter to be printed in quotes.
    pub fn push_quoted(&mut self, name: &str, value: &str) {
        self.params.push((name.to_owned(), value.to_owned(), true));
    }

    /// Adds a parameter to be printed as a token.
    pub fn push_token(&mut self, name: &str, value: &str) {
        self.params.push((name.to_owned(), value.to_owned(), false));
    }

    /// The challenges of one row; what cannot be read is left out.
    pub fn parse_list(text: &str) -> Vec<Self> {
        let Ok(parts) = scan::split(text, b',') else {
            return Vec::new();
        };
        let mut fields: Vec<Self> = Vec::new();
        for part in parts {
            let (before, value) = match part.split_once('=') {
                Some((before, value)) => (scan::trim(before), Some(scan::trim(value))),
                None => (part, None),
            };
            let mut words = before.split([' ', '\t']).filter(|word| !word.is_empty());
            let (name, is_new) = match (words.next(), words.next(), words.next()) {
                (Some(scheme), name, None) if name.is_some() || value.is_none() => {
                    fields.push(Self::of_scheme(scheme));
                    (name, true)
                }
                (Some(name), None, None) => (Some(name), false),
                _ => (None, false),
            };
            let well_formed = match (name, value, fields.last_mut()) {
                (Some(name), Some(value), Some(field)) => field.push_parsed(name, value),
                _ => is_new && value.is_none(),
            };
            if !well_formed {
                fields.pop();
            }
        }
        fields
    }

    fn of_scheme(scheme: &str) -> Self {
        Self {
            scheme: if scheme.eq_ignore_ascii_case("digest") {
                AuthScheme::Digest
            } else {
                AuthScheme::Other(scheme.to_owned())
            },
            params: Vec::new(),
        }
    }

    /// A repeated parameter makes the field ambiguous: refused.
    fn push_parsed(&mut self, name: &str, value: &str) -> bool {
        if !scan::is_token(name)
            || self.value(name).is_some()
            || self.params.len() >= AUTH_PARAMS_MAX
        {
            return false;
        }
        let quoted = value.starts_with('"');
        if quoted && !scan::is_quoted_string(value) {
            return false;
        }
        let value = if quoted {
            unquote(&value[1..value.len() - 1])
        } else {
            value.to_owned()
        };
        self.params.push((name.to_owned(), value, quoted));
        true
    }
}

fn unquote(text: &str) -> String {
    let mut escaped = false;
    text.chars()
        .filter(|character| {
            let is_escape = *character == '\\' && !escaped;
            escaped = is_escape;
            !is_escape
        })
        .collect()
}

impl fmt::Display for AuthField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scheme {
            AuthScheme::Digest => f.write_str("Digest")?,
            AuthScheme::Other(scheme) => f.write_str(scheme)?,
        }
        for (index, (name, value, quoted)) in self.params.iter().enumerate() {
            f.write_str(if index == 0 { " " } else { ", " })?;
            if *quoted {
                let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, "{name}=\"{escaped}\"")?;
            } else {
                write!(f, "{name}={value}")?;
            }
        }
        Ok(())
    }
}

/// Values stay out of logs: `nonce` and `response` allow offline guessing.
impl fmt::Debug for AuthField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthField")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_challenges_in_one_row() {
        let row = "Digest realm=\"a, b\", nonce=\"n\", qop=\"auth,auth-int\" , Basic realm=\"c\", Digest  realm=\"d\\\"\",stale = TRUE";
        let fields = AuthField::parse_list(row);
        assert_eq!(fields.len(), 3);
        assert_eq!(fields[0].value("REALM"), Some("a, b"));
        assert_eq!(fields[0].value("qop"), Some("auth,auth-int"));
        assert_eq!(fields[1].scheme, AuthScheme::Other("Basic".to_owned()));
        assert_eq!(fields[2].value("realm"), Some("d\""));
        assert_eq!(fields[2].value("stale"), Some("TRUE"));
        assert_eq!(fields[2].to_string(), "Digest realm=\"d\\\"\", stale=TRUE");
    }

    #[test]
    fn debug_shows_no_value() {
        let field = &AuthField::parse_list("Digest response=\"secret\"")[0];
        assert!(!format!("{field:?}").contains("secret"));
    }
}
