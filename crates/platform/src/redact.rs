//! Secrets inside of settings and tools (headers, passwords, keys): written, never read back.

use serde_json::{Map, Value};

/// What is shown in the place of a secret; sent back, it means the one that is stored.
pub(crate) const HIDDEN: &str = "***";

/// Parts of member names that hold secrets, in lower case without separators.
const SECRET_NAMES: &[&str] = &[
    "password",
    "secret",
    "apikey",
    "authtoken",
    "accesstoken",
    "apitoken",
    "authorization",
    "privatekey",
    "bearer",
    "cookie",
];

fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    SECRET_NAMES.iter().any(|part| plain.contains(part))
}

/// A text that is no template: templates name secrets, they hold none.
fn is_literal(value: &Value) -> bool {
    matches!(value, Value::String(text) if !text.is_empty() && !text.starts_with('='))
}

/// Hides every secret.
pub(crate) fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if is_secret(name) && is_literal(member) {
                    *member = Value::String(HIDDEN.to_owned());
                } else {
                    hide(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A copy with every secret hidden.
pub(crate) fn hidden(value: &Value) -> Value {
    let mut copy = value.clone();
    hide(&mut copy);
    copy
}

/// The members of an object with every secret hidden.
pub(crate) fn hidden_object(value: &Value) -> Map<String, Value> {
    let Value::Object(members) = hidden(value) else {
        return Map::new();
    };
    members
}

/// Puts what is stored in the places that a client sent back hidden.
pub(crate) fn restore(sent: &mut Value, stored: &Value) {
    match (sent, stored) {
        (Value::Object(sent), Value::Object(stored)) => {
            for (name, member) in sent.iter_mut() {
                let Some(old) = stored.get(name) else {
                    continue;
                };
                if is_secret(name) && member.as_str() == Some(HIDDEN) {
                    *member = old.clone();
                } else {
                    restore(member, old);
                }
            }
        }
        (Value::Array(sent), Value::Array(stored)) => {
            for (item, old) in sent.iter_mut().zip(stored) {
                restore(item, old);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_and_come_back_unchanged() {
        let stored = json!({"http": {"headers": {"Authorization": "Bearer abc", "X-Api-Key": "=config.key", "Accept": "*/*"}},
            "engine": {"apiKey": "sk-1", "model": "m"}, "parameters": {"properties": {"password": {"type": "string"}}}});
        let shown = hidden(&stored);
        assert!(!shown.to_string().contains("abc") && !shown.to_string().contains("sk-1"));
        assert_eq!(shown["http"]["headers"]["X-Api-Key"], "=config.key");
        assert_eq!(shown["parameters"], stored["parameters"]);
        let mut sent = shown.clone();
        sent["engine"]["model"] = json!("n");
        restore(&mut sent, &stored);
        assert_eq!(sent["engine"], json!({"apiKey": "sk-1", "model": "n"}));
        assert_eq!(sent["http"], stored["http"]);
        sent["engine"]["apiKey"] = json!("sk-2");
        restore(&mut sent, &stored);
        assert_eq!(sent["engine"]["apiKey"], "sk-2");
    }
}
