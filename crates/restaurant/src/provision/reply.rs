//! What the voice server answered, read without trust in its shape.

use serde_json::Value;

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body; null where it is no JSON.
    pub body: Value,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The server has no such route.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.status, 404 | 405 | 501)
    }

    /// In a word, for the log: the status, and the code of a problem where there is one.
    pub(super) fn cause(&self) -> String {
        let code = text(&self.body, "code").or_else(|| text(&self.body, "title"));
        match code {
            Some(code) => {
                let code: String = code.chars().take(80).collect();
                format!("{} {code}", self.status)
            }
            None => self.status.to_string(),
        }
    }
}

/// A member that is a text with something in it.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// The id, where it can stand in an address.
pub(super) fn identity(value: &Value) -> Option<&str> {
    text(value, "id").filter(|id| {
        id.len() <= 128
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

/// The entries of a list: the body itself, or the one list in it.
pub(super) fn items(body: &Value) -> Vec<Value> {
    match body {
        Value::Array(items) => items.clone(),
        Value::Object(members) => members
            .values()
            .find_map(Value::as_array)
            .cloned()
            .unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// A value of a query, percent-encoded.
pub(super) fn encoded(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
