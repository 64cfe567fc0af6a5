//! What agents were: versions, their differences, the way back.

use super::agents::{AgentView, view as agent_view};
use super::owner::agent as find;
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::redact::hidden;
use crate::support::{object, repeat, tag};
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use store::{AgentVersion, AgentVersionSummary};
use utoipa::{IntoParams, ToSchema};

/// Most differences that one answer lists.
const DIFFERENCES_MAX: usize = 1_000;

/// A version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionView {
    /// Its number.
    version: i64,
    /// ISO-8601.
    at: String,
    /// By whom.
    author: String,
    /// Why.
    note: String,
    /// The agent's name then.
    name: String,
}

/// A version with what the agent was.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionDetail {
    /// Number, time, author.
    #[serde(flatten)]
    summary: VersionView,
    /// Its settings then.
    #[schema(value_type = Object)]
    settings: Value,
    /// Its tools then.
    #[schema(value_type = Vec<Object>)]
    tools: Vec<Value>,
}

/// One difference.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Difference {
    /// JSON path: `settings.aiVoice`, `tools.end_call.description`.
    path: String,
    /// As it was; absent: it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// As it is; absent: it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

/// Which page of versions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct VersionQuery {
    /// Most entries of the page.
    limit: Option<u32>,
    /// Versions below this one.
    cursor: Option<i64>,
}

/// Which other version.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffQuery {
    /// The later version; absent: the one now.
    to: Option<i64>,
}

fn summary(version: &AgentVersionSummary) -> VersionView {
    VersionView {
        version: version.version,
        at: version.at.to_string(),
        author: version.author.clone(),
        note: version.note.clone(),
        name: version.name.clone(),
    }
}

/// The versions of an agent, newest first.
#[utoipa::path(get, path = "/api/agents/{id}/versions", tag = "versions", params(("id" = String, Path), VersionQuery),
    responses((status = 200, body = [VersionView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<VersionQuery>,
) -> Result<Answer, Problem> {
    let (scope, _) = find(&api, &caller, &id).await?;
    let limit = query.limit.unwrap_or(0);
    let versions = api
        .store
        .agent_versions(&scope, &id, query.cursor, limit)
        .await?;
    let next = versions
        .last()
        .filter(|last| last.version > 1)
        .map(|last| last.version.to_string());
    Ok(Answer::ok(versions.iter().map(summary).collect::<Vec<_>>())?.with_next(next))
}

async fn find_version(
    api: &Api,
    caller: &Caller,
    id: &str,
    version: i64,
) -> Result<AgentVersion, Problem> {
    let (scope, _) = find(api, caller, id).await?;
    api.store
        .agent_version(&scope, id, version)
        .await?
        .ok_or_else(Problem::unknown)
}

/// What an agent was at a version.
#[utoipa::path(get, path = "/api/agents/{id}/versions/{version}", tag = "versions",
    params(("id" = String, Path), ("version" = i64, Path)), responses((status = 200, body = VersionDetail)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, version)): Path<(String, i64)>,
) -> Result<Answer, Problem> {
    let found = find_version(&api, &caller, &id, version).await?;
    let tools = found
        .tools
        .iter()
        .map(|tool| hidden(&Value::Object(object(&tool.config))))
        .collect();
    Answer::ok(VersionDetail {
        summary: summary(&found.summary),
        settings: hidden(&Value::Object(object(&found.settings))),
        tools,
    })
}

fn whole(version: &AgentVersion) -> Value {
    let tools: Map<String, Value> = version
        .tools
        .iter()
        .map(|tool| {
            let mut config = object(&tool.config);
            config.insert("isEnabled".to_owned(), json!(tool.is_enabled));
            config.insert("sortOrder".to_owned(), json!(tool.sort_order));
            (tool.name.clone(), Value::Object(config))
        })
        .collect();
    json!({
        "name": version.summary.name,
        "settings": Value::Object(object(&version.settings)),
        "tools": tools,
    })
}

/// The leaves that differ. Secrets are compared by what stands for them, and shown hidden.
fn differences(path: &str, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    if before == after || found.len() >= DIFFERENCES_MAX {
        return;
    }
    let (Value::Object(was), Value::Object(is)) = (before, after) else {
        found.push(difference(path, Some(before), Some(after)));
        return;
    };
    let inner = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    for (name, before) in was {
        match is.get(name) {
            Some(after) => differences(&inner(name), before, after, found),
            None => found.push(difference(&inner(name), Some(before), None)),
        }
    }
    for (name, after) in is.iter().filter(|(name, _)| !was.contains_key(*name)) {
        found.push(difference(&inner(name), None, Some(after)));
    }
}

fn difference(path: &str, before: Option<&Value>, after: Option<&Value>) -> Difference {
    // The name of the last member decides whether the value is a secret.
    let name = path.rsplit('.').next().unwrap_or_default();
    let shown = |value: &Value| hidden(&json!({ name: value }))[name].clone();
    Difference {
        path: path.to_owned(),
        before: before.map(shown),
        after: after.map(shown),
    }
}

/// What changed from a version to another.
#[utoipa::path(get, path = "/api/agents/{id}/versions/{version}/diff", tag = "versions",
    params(("id" = String, Path), ("version" = i64, Path), DiffQuery), responses((status = 200, body = [Difference])))]
pub(crate) async fn diff(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, version)): Path<(String, i64)>,
    Query(query): Query<DiffQuery>,
) -> Result<Answer, Problem> {
    let (_, agent) = find(&api, &caller, &id).await?;
    let before = find_version(&api, &caller, &id, version).await?;
    let after = find_version(&api, &caller, &id, query.to.unwrap_or(agent.version)).await?;
    let mut found = Vec::new();
    differences("", &whole(&before), &whole(&after), &mut found);
    Answer::ok(found)
}

/// Which version to go back to.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RollBack {
    /// Its number.
    version: i64,
}

/// Makes a new version that is as the agent was at an earlier one: name, settings and tools.
#[utoipa::path(post, path = "/api/agents/{id}/rollback", tag = "versions", params(("id" = String, Path)),
    request_body = RollBack, responses((status = 200, body = AgentView)))]
pub(crate) async fn roll_back(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<RollBack>,
) -> Result<Answer, Problem> {
    repeat(&headers, || async {
        let (scope, before) = find(&api, &caller, &id).await?;
        let version = api.expected(&headers, &scope, before.version).await?;
        let why = caller.author(&format!("back to {}", body.version));
        let entry = caller
            .store(
                &api,
                Some(&json!({ "version": before.version })),
                Some(&json!({ "asVersion": body.version })),
            )
            .roll_back_agent(&scope, &id, body.version, version, &why)
            .await?;
        Ok(Answer::ok(agent_view(&entry))?.with_tag(tag(entry.version)))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_the_leaves_and_hide_secrets() {
        let mut found = Vec::new();
        differences(
            "",
            &json!({"settings": {"aiVoice": "sage", "engine": {"apiKey": "sk-1"}}, "tools": {"a": {"x": 1}}}),
            &json!({"settings": {"aiVoice": "marin", "engine": {"apiKey": "sk-2"}}, "tools": {"b": {"x": 1}}}),
            &mut found,
        );
        let paths: Vec<_> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "settings.aiVoice",
                "settings.engine.apiKey",
                "tools.a",
                "tools.b"
            ]
        );
        assert!(!serde_json::to_string(&found).unwrap().contains("sk-"));
    }
}
