//! Secrets inside of settings and tools (headers, passwords, keys): written, never read back.

use serde_json::{Map, Value};
use store::TenantScope;
pub(crate) use store::secret::members::HIDDEN;
use store::secret::members::{Place, is_reference, secrets_mut};
use store::secret::{OpenValueError, VaultError};

use crate::api::Api;
use crate::problem::Problem;

/// Hides every secret.
pub(crate) fn hide(value: &mut Value) {
    for text in secrets_mut(value) {
        HIDDEN.clone_into(text);
    }
}

/// Seals every secret that was sent in clear; see [`store::secret::members`].
///
/// # Errors
/// 422 for a value that is too long, or for too many of them.
pub(crate) async fn seal(
    api: &Api,
    scope: &TenantScope,
    agent: &str,
    values: Vec<&mut Value>,
) -> Result<(), Problem> {
    let sealed = api.vault.seal_members(&api.store, scope, agent, values);
    sealed.await.map_err(|error| {
        if matches!(error, VaultError::Value(OpenValueError::TooLong)) {
            Problem::field("", "length", "secrets are too long, or too many")
        } else {
            Problem::internal(error)
        }
    })
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
    restore_in(sent, stored, Place::Elsewhere);
}

fn restore_in(sent: &mut Value, stored: &Value, place: Place) {
    match (sent, stored) {
        (Value::Object(sent), Value::Object(stored)) => {
            for (name, member) in sent.iter_mut() {
                let Some(old) = stored.get(name) else {
                    continue;
                };
                let sealed = || old.as_str().is_some_and(is_reference);
                if member.as_str() == Some(HIDDEN) && (place.is_secret(name) || sealed()) {
                    *member = old.clone();
                } else {
                    restore_in(member, old, Place::of(name));
                }
            }
        }
        (Value::Array(sent), Value::Array(stored)) => {
            for (item, old) in sent.iter_mut().zip(stored) {
                restore_in(item, old, Place::Elsewhere);
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
        let stored = json!({"http": {"headers": {"Authorization": "Bearer abc", "X-Api-Key": "={{config.key}}", "Accept": "*/*"}},
            "engine": {"apiKey": "sk-1", "model": "m"}, "parameters": {"properties": {"password": {"type": "string"}}}});
        let shown = hidden(&stored);
        assert!(!shown.to_string().contains("abc") && !shown.to_string().contains("sk-1"));
        assert_eq!(shown["http"]["headers"]["X-Api-Key"], "={{config.key}}");
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
