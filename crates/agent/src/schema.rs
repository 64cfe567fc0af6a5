//! JSON Schema of a tool's arguments: checked when it is saved, applied before anything runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value, json};

use crate::fault::{Fault, FaultCode};
use crate::json;
use crate::limits::{JSON_DEPTH_MAX, SCHEMA_BYTES_MAX};

/// Errors that one sentence to the model names.
const ERRORS_TOLD: usize = 3;
/// Characters of one error in it.
const ERROR_CHARS: usize = 240;

/// Schemas in use, by their text. The agents of one back office have the same dozen tools: a thousand of them hold a dozen
/// validators, which with their expressions are the largest part of an idle agent.
static SHARED: Mutex<Shared> = Mutex::new(Shared {
    by_text: None,
    sweep_at: SWEEP_MIN,
});
/// Entries from which on those that nobody holds are looked for.
const SWEEP_MIN: usize = 64;

struct Shared {
    by_text: Option<HashMap<String, Weak<Checked>>>,
    sweep_at: usize,
}

impl Shared {
    fn find(&mut self, text: &str) -> Option<Arc<Checked>> {
        self.by_text.as_ref()?.get(text)?.upgrade()
    }

    /// Keeps no schema alive: what the last agent let go of goes with the next sweep, and the table is at most twice what is used.
    fn keep(&mut self, text: String, checked: &Arc<Checked>) {
        let by_text = self.by_text.get_or_insert_default();
        by_text.insert(text, Arc::downgrade(checked));
        if by_text.len() >= self.sweep_at {
            by_text.retain(|_, known| known.strong_count() > 0);
            self.sweep_at = SWEEP_MIN.max(by_text.len() * 2);
        }
    }
}

/// A schema and what judges by it.
#[derive(Debug)]
struct Checked {
    visible: Value,
    validator: Validator,
}

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Schema {
    checked: Arc<Checked>,
    open: bool,
}

/// The schema of a tool as an object schema; absent: no argument.
pub(crate) fn object_schema(parameters: &Value, path: &str) -> Result<Map<String, Value>, Fault> {
    let bad = |code, message: &str| Err(Fault::new(path, code, message));
    let mut schema = match parameters {
        Value::Null => Map::new(),
        Value::Object(schema) => schema.clone(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return bad(
                FaultCode::BadSchema,
                "parameters must be a JSON Schema: an object.",
            );
        }
    };
    if json::size(parameters) > SCHEMA_BYTES_MAX || !json::depth_within(parameters, JSON_DEPTH_MAX)
    {
        return bad(
            FaultCode::TooLarge,
            "The schema is too large or nested too deeply.",
        );
    }
    match schema.get("type") {
        None => {
            schema.insert("type".to_owned(), json!("object"));
        }
        Some(kind) if kind == "object" => {}
        Some(_) => {
            return bad(
                FaultCode::BadSchema,
                "The arguments of a tool are an object: \"type\" must be \"object\".",
            );
        }
    }
    if !matches!(schema.get("properties"), None | Some(Value::Object(_))) {
        return bad(FaultCode::BadSchema, "\"properties\" must be an object.");
    }
    schema.entry("properties").or_insert_with(|| json!({}));
    if let Some(reference) = outside_reference(parameters) {
        return Err(Fault::new(
            path,
            FaultCode::BadSchema,
            format!(
                "\"{reference}\" is outside of the schema: only references that begin with # are followed."
            ),
        ));
    }
    Ok(schema)
}

fn outside_reference(value: &Value) -> Option<&str> {
    match value {
        Value::Object(members) => members.iter().find_map(|(name, member)| match member {
            Value::String(text) if matches!(name.as_str(), "$ref" | "$dynamicRef") => {
                (!text.starts_with('#')).then_some(text.as_str())
            }
            // A meta-schema is named by its address; it is known without being fetched.
            Value::String(_) if name == "$schema" => None,
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_)) => outside_reference(other),
        }),
        Value::Array(items) => items.iter().find_map(outside_reference),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

impl Schema {
    /// `hidden` are the arguments that the server fills in.
    pub(crate) fn compile(
        mut schema: Map<String, Value>,
        hidden: &[&str],
        path: &str,
    ) -> Result<Self, Fault> {
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.retain(|name, _| !hidden.contains(&name.as_str()));
        }
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.retain(|name| !name.as_str().is_some_and(|name| hidden.contains(&name)));
            if required.is_empty() {
                schema.remove("required");
            }
        }
        let open = schema.contains_key("patternProperties")
            || schema
                .get("additionalProperties")
                .is_some_and(|more| *more != Value::Bool(false));
        let visible = Value::Object(schema);
        let text = visible.to_string();
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(checked) = shared.find(&text) {
            return Ok(Self { checked, open });
        }
        // Patterns run on the linear-time engine: a tenant's expression cannot stall a call.
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(&visible)
            .map_err(|error| {
                Fault::new(
                    path,
                    FaultCode::BadSchema,
                    format!(
                        "The schema is not valid at \"{}\": {error}.",
                        error.schema_path()
                    ),
                )
            })?;
        let checked = Arc::new(Checked { visible, validator });
        shared.keep(text, &checked);
        Ok(Self { checked, open })
    }

    /// As the model sees it.
    pub(crate) fn visible(&self) -> &Value {
        &self.checked.visible
    }

    pub(crate) fn properties(&self) -> impl Iterator<Item = &String> {
        self.visible()
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys)
    }

    /// The arguments as they may be used: what the schema does not know is dropped (unless it is open), and what is null where
    /// null is not allowed counts as left out. The error is a sentence for the model.
    pub(crate) fn admit(
        &self,
        mut arguments: Map<String, Value>,
    ) -> Result<Map<String, Value>, String> {
        if !self.open && self.visible().get("additionalProperties") != Some(&Value::Bool(false)) {
            let known: Vec<&String> = self.properties().collect();
            arguments.retain(|name, _| known.contains(&name));
        }
        let whole = Value::Object(arguments);
        if self.checked.validator.is_valid(&whole) {
            return Ok(into_members(whole));
        }
        let stripped = without_nulls(whole);
        if self.checked.validator.is_valid(&stripped) {
            return Ok(into_members(stripped));
        }
        let told: Vec<String> = self
            .checked
            .validator
            .iter_errors(&stripped)
            .take(ERRORS_TOLD)
            .map(|error| sentence(&error.instance_path().to_string(), &error.to_string()))
            .collect();
        Err(told.join("; "))
    }
}

fn sentence(pointer: &str, error: &str) -> String {
    let error: String = error.chars().take(ERROR_CHARS).collect();
    if pointer.is_empty() {
        error
    } else {
        format!(
            "{}: {error}",
            pointer.trim_start_matches('/').replace('/', ".")
        )
    }
}

fn into_members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(name, member)| (name, without_nulls(member)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items
            .into_iter()
            .map(without_nulls)
            .collect::<Vec<_>>()
            .into(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(name: &str) -> Schema {
        let schema = json!({ "type": "object", "properties": { name: { "type": "string", "pattern": "^[a-z]+$" } } });
        let Value::Object(schema) = schema else {
            unreachable!();
        };
        Schema::compile(schema, &[], "parameters").unwrap()
    }

    #[test]
    fn agents_with_the_same_schema_share_it() {
        let (one, same, other) = (compiled("name"), compiled("name"), compiled("street"));
        assert!(Arc::ptr_eq(&one.checked, &same.checked));
        assert!(!Arc::ptr_eq(&one.checked, &other.checked));
        let known = |text: &str| {
            let shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            shared
                .by_text
                .as_ref()
                .is_some_and(|all| all.contains_key(text))
        };
        let text = other.visible().to_string();
        assert!(known(&text));
        drop(other);
        for n in 0..4 * SWEEP_MIN {
            compiled(&format!("n{n}"));
        }
        assert!(!known(&text), "what nobody holds is let go");
        assert!(Arc::ptr_eq(&one.checked, &compiled("name").checked));
    }
}
