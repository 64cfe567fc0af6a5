//! From what is stored of an agent to its definition, and the faults of one that cannot run.

use crate::problem::{FieldFault, Problem};
use agent::{AgentSettings, Definition, Fault, ToolConfig};
use serde_json::{Map, Value};
use store::Tool;

/// Members of an agent on the API that are no settings.
const RESERVED: &[&str] = &[
    "id",
    "accountId",
    "finalCustomerId",
    "name",
    "isActive",
    "pauseReason",
    "version",
    "createdAt",
    "updatedAt",
    "deletedAt",
    "apiToken",
    "apiTokenPrefix",
    "publicToken",
    "sipPassword",
    "hasSipPassword",
    "tools",
];

/// The settings in the body of an agent: all but what has a place of its own.
pub(crate) fn settings_of(body: &Map<String, Value>) -> Map<String, Value> {
    body.iter()
        .filter(|(name, _)| !RESERVED.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Applies a partial write: each member replaces the stored one, null removes it. `config` is merged member by member, as clients
/// send only the flags that changed; with `deep` (PATCH, RFC 7396) every object is.
pub(crate) fn apply(settings: &mut Map<String, Value>, patch: Map<String, Value>, deep: bool) {
    for (name, value) in patch {
        match (settings.get_mut(&name), value) {
            (_, Value::Null) => {
                settings.shift_remove(&name);
            }
            (Some(Value::Object(inner)), Value::Object(members)) if deep || name == "config" => {
                apply(inner, members, deep);
            }
            (_, value) => {
                settings.insert(name, value);
            }
        }
    }
}

/// A tool of the API as it is stored.
pub(crate) fn tool(config: &Value, place: usize) -> Result<Tool, Vec<Fault>> {
    let parsed = ToolConfig::parse(config)?;
    let sort_order = match config.get("sortOrder") {
        Some(Value::Number(_)) => parsed.sort_order,
        _ => i64::try_from(place).unwrap_or(i64::MAX),
    };
    let mut kept = config.clone();
    if let Value::Object(members) = &mut kept {
        for name in ["id", "agentId", "version", "createdAt", "updatedAt"] {
            members.shift_remove(name);
        }
    }
    Ok(Tool {
        name: parsed.name.clone(),
        sort_order,
        is_enabled: parsed.flags.is_enabled,
        config: kept.to_string(),
    })
}

/// Checks a brain as a whole.
///
/// # Errors
/// 422 with every fault and its place.
pub(crate) fn check(
    name: &str,
    settings: &Map<String, Value>,
    tools: &[Tool],
) -> Result<(), Problem> {
    let mut faults = Vec::new();
    let parsed = AgentSettings::parse(&Value::Object(settings.clone()))
        .map_err(|found| faults.extend(found))
        .ok();
    let mut configs = Vec::new();
    for (place, tool) in tools.iter().enumerate() {
        let value = serde_json::from_str(&tool.config).unwrap_or(Value::Null);
        match ToolConfig::parse(&value) {
            Ok(config) => configs.push(config),
            Err(found) => faults.extend(found.into_iter().map(|mut fault| {
                fault.path = format!("tools[{place}].{}", fault.path);
                fault
            })),
        }
    }
    if let Some(settings) = parsed
        && configs.len() == tools.len()
    {
        let definition = Definition {
            name: name.to_owned(),
            settings,
            tools: configs,
            compat: true,
            ..Definition::default()
        };
        if let Err(found) = agent::compile(definition) {
            faults.extend(found);
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(problem(faults))
    }
}

/// Faults as the API tells them.
pub(crate) fn problem(faults: Vec<Fault>) -> Problem {
    Problem::invalid(
        faults
            .into_iter()
            .map(|fault| FieldFault {
                path: fault.path,
                position: fault.position,
                code: fault.code.label().to_owned(),
                detail: fault.message,
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn members(value: Value) -> Map<String, Value> {
        let Value::Object(members) = value else {
            return Map::new();
        };
        members
    }

    #[test]
    fn a_partial_write_keeps_the_flags_that_it_does_not_name() {
        let mut settings = members(
            json!({"aiVoice": "sage", "config": {"restaurantId": "r", "deliveryEnabled": true},
            "engine": {"model": "m", "speed": 1}, "timezone": "Europe/Paris"}),
        );
        let patch = json!({"config": {"deliveryEnabled": false}, "engine": {"model": "n"}, "timezone": null});
        apply(&mut settings, members(patch.clone()), false);
        assert_eq!(
            Value::Object(settings.clone()),
            json!({"aiVoice": "sage", "config": {"restaurantId": "r", "deliveryEnabled": false}, "engine": {"model": "n"}})
        );
        settings.insert("engine".to_owned(), json!({"model": "m", "speed": 1}));
        apply(&mut settings, members(patch), true);
        assert_eq!(settings["engine"], json!({"model": "n", "speed": 1}));
    }

    #[test]
    fn what_has_a_place_of_its_own_is_no_setting() {
        let body = members(
            json!({"id": "x", "accountId": "a", "name": "n", "aiVoice": "sage", "sipPassword": "p"}),
        );
        assert_eq!(
            Value::Object(settings_of(&body)),
            json!({"aiVoice": "sage"})
        );
    }
}
