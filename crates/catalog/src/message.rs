//! A message: what is stored and sent instead of a sentence.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest text of one parameter, in characters; what is beyond is cut. A peer chooses some of these texts.
pub const PARAM_CHARS_MAX: usize = 300;

/// Most parameters of one message; further ones are dropped.
pub const PARAMS_MAX: usize = 16;

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Param {
    /// A whole number.
    Integer(i64),
    /// A text, at most [`PARAM_CHARS_MAX`] characters, without control characters.
    Text(String),
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<&str> for Param {
    fn from(text: &str) -> Self {
        let mut clean = String::new();
        for (count, character) in text.chars().enumerate() {
            if count == PARAM_CHARS_MAX {
                clean.push('…');
                break;
            }
            clean.push(if character.is_control() {
                ' '
            } else {
                character
            });
        }
        Self::Text(clean)
    }
}

impl From<&String> for Param {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Param {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

macro_rules! param_from_integer {
    ($($kind:ty),+) => {
        $(impl From<$kind> for Param {
            fn from(value: $kind) -> Self {
                Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
            }
        })+
    };
}
param_from_integer!(u8, u16, u32, u64, usize, i32, i64);

/// A code of the registry with its parameters. Serialises as `{"code": …, "params": {…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Code of the registry. One that the registry does not know (stored by a later version) renders as itself.
    pub code: Cow<'static, str>,
    /// Parameters by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Param>,
}

impl Message {
    /// A message without parameters yet.
    pub fn new(code: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: code.into(),
            params: BTreeMap::new(),
        }
    }

    /// Sets a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Param>) -> Self {
        if self.params.len() < PARAMS_MAX || self.params.contains_key(name) {
            self.params.insert(name.to_owned(), value.into());
        }
        self
    }

    /// The parameter of that name.
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_stored_as_code_and_parameters() {
        let message = Message::new("sip_refused")
            .with("status", 403_u16)
            .with("reason", "Forbidden");
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(
            text,
            r#"{"code":"sip_refused","params":{"reason":"Forbidden","status":403}}"#
        );
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), message);
        let bare: Message = serde_json::from_str(r#"{"code":"x"}"#).unwrap();
        assert_eq!(bare, Message::new("x"));
    }

    #[test]
    fn what_a_peer_wrote_is_bounded_and_keeps_to_one_line() {
        let nasty = format!("a\r\nINFO forged\u{1b}[31m{}", "x".repeat(5_000));
        let message = Message::new("c").with("reason", nasty);
        let text = message.param("reason").unwrap().to_string();
        assert!(text.starts_with("a  INFO forged [31m"), "{text}");
        assert_eq!(text.chars().count(), PARAM_CHARS_MAX + 1);
    }

    #[test]
    fn parameters_are_bounded_in_number() {
        let mut message = Message::new("c");
        for index in 0..100 {
            message = message.with(&format!("p{index}"), index);
        }
        assert_eq!(message.params.len(), PARAMS_MAX);
    }
}
