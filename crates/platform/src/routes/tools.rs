//! Tools of an agent, and its brain: prompt and tools as one.

use super::agents::{audited, tools_now, view as agent_view};
use super::owner::agent as find;
use crate::addressee::{Held, stay};
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path};
use crate::brain;
use crate::caller::Caller;
use crate::limits::{TEXT_CHARACTERS_MAX, TOOLS_MAX};
use crate::problem::Problem;
use crate::redact::{hidden, hidden_object, restore, seal};
use crate::support::{object, repeat, tag};
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use store::{Brain, Entry, TenantScope, Tool};
use utoipa::ToSchema;

/// A tool: its configuration as it was written, with its id.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolView {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// Its place in the list.
    sort_order: i64,
    /// Whether it is offered.
    is_enabled: bool,
    /// Everything else of it.
    #[serde(flatten)]
    config: Map<String, Value>,
}

/// A tool as it is written; see docs/api.md for every field.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the schema of the request; `agent` reads it")]
pub(crate) struct ToolWrite {
    /// Name, as the model knows it.
    name: String,
    /// What it does, for the model.
    description: Option<String>,
    /// JSON Schema of the arguments.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
    /// The request; null for a tool that only ends or transfers the call.
    #[schema(value_type = Option<Object>)]
    http: Option<Value>,
    /// Place among the agent's tools.
    sort_order: Option<i64>,
    /// Whether it is offered.
    is_enabled: Option<bool>,
    /// Every other field.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    more: Map<String, Value>,
}

fn view(entry: &Entry<Tool>) -> ToolView {
    let mut config = hidden_object(&Value::Object(object(&entry.config)));
    for name in ["id", "name", "sortOrder", "isEnabled"] {
        config.shift_remove(name);
    }
    ToolView {
        id: entry.id.clone(),
        name: entry.name.clone(),
        sort_order: entry.sort_order,
        is_enabled: entry.is_enabled,
        config,
    }
}

/// Reads a list of tools; hidden secrets come from the stored tool of the same name.
pub(crate) fn read_all(items: &[Value], stored: &[Tool]) -> Result<Vec<Tool>, Problem> {
    if items.len() > TOOLS_MAX {
        return Err(Problem::field("tools", "length", format!("≤ {TOOLS_MAX}")));
    }
    let mut tools = Vec::with_capacity(items.len());
    let mut faults = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let mut item = item.clone();
        let old = stored
            .iter()
            .find(|tool| item.get("name").and_then(Value::as_str) == Some(tool.name.as_str()));
        if let Some(old) = old {
            restore(&mut item, &Value::Object(object(&old.config)));
        }
        match brain::tool(&item, place) {
            Ok(tool) => tools.push(tool),
            Err(found) => faults.extend(found.into_iter().map(|mut fault| {
                fault.path = format!("tools[{place}].{}", fault.path);
                fault
            })),
        }
    }
    if faults.is_empty() {
        Ok(tools)
    } else {
        Err(brain::problem(faults))
    }
}

/// Seals the secrets of tools that are about to be stored.
pub(crate) async fn seal_all(
    api: &Api,
    scope: &TenantScope,
    agent: &str,
    tools: &mut [Tool],
) -> Result<(), Problem> {
    let mut configs: Vec<Value> = tools
        .iter()
        .map(|tool| Value::Object(object(&tool.config)))
        .collect();
    seal(api, scope, agent, configs.iter_mut().collect()).await?;
    for (tool, config) in tools.iter_mut().zip(configs) {
        tool.config = config.to_string();
    }
    Ok(())
}

/// The tools of an agent, in their order.
#[utoipa::path(get, path = "/api/agents/{id}/tools", tag = "tools", params(("id" = String, Path)),
    responses((status = 200, body = [ToolView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, agent) = find(&api, &caller, &id).await?;
    let tools = api.store.tools(&scope, &id).await?;
    let views: Vec<_> = tools.iter().map(view).collect();
    Ok(Answer::ok(views)?.with_tag(tag(agent.version)))
}

/// Adds a tool to an agent.
#[utoipa::path(post, path = "/api/agents/{id}/tools", tag = "tools", params(("id" = String, Path)),
    request_body = ToolWrite, responses((status = 201, body = ToolView)))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let (scope, agent) = find(&api, &caller, &id).await?;
    let mut tools = tools_now(&api, &scope, &id).await?;
    let mut tool = brain::tool(&body, tools.len()).map_err(brain::problem)?;
    let after = hidden(&body);
    if tools.iter().any(|other| other.name == tool.name) {
        return Err(Problem::conflict("api_exists"));
    }
    tools.push(tool.clone());
    check_one(&agent.name, &agent.settings, &tools, tools.len() - 1)?;
    seal_all(&api, &scope, &id, std::slice::from_mut(&mut tool)).await?;
    let made = caller
        .store(&api, None, Some(&after))
        .add_tool(
            &scope,
            &id,
            &store::new_id(),
            &tool,
            &caller.author(&format!("tool {}", tool.name)),
        )
        .await?;
    Answer::created(view(&made))
}

/// The brain with one tool that was just written: its faults are told by their place in that tool.
fn check_one(name: &str, settings: &str, tools: &[Tool], place: usize) -> Result<(), Problem> {
    brain::check(name, &object(settings), tools)
        .map_err(|problem| problem.within(&format!("tools[{place}].")))
}

async fn tool_of(
    api: &Api,
    scope: &TenantScope,
    agent: &str,
    tool: &str,
) -> Result<Entry<Tool>, Problem> {
    api.store
        .tools(scope, agent)
        .await?
        .into_iter()
        .find(|entry| entry.id == tool)
        .ok_or_else(Problem::unknown)
}

/// One tool.
#[utoipa::path(get, path = "/api/agents/{id}/tools/{toolId}", tag = "tools",
    params(("id" = String, Path), ("toolId" = String, Path)), responses((status = 200, body = ToolView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, tool)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let (scope, _) = find(&api, &caller, &id).await?;
    let entry = tool_of(&api, &scope, &id, &tool).await?;
    Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
}

/// Changes a tool: fields that are not sent keep their values, null removes one.
#[utoipa::path(put, path = "/api/agents/{id}/tools/{toolId}", tag = "tools",
    params(("id" = String, Path), ("toolId" = String, Path)),
    request_body(content = Object, description = "Any fields of a tool."),
    responses((status = 200, body = ToolView)))]
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path((id, tool)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let Value::Object(_) = &body else {
        return Err(Problem::field("", "type", "object"));
    };
    repeat(&headers, || async {
        let (scope, agent) = find(&api, &caller, &id).await?;
        let before = tool_of(&api, &scope, &id, &tool).await?;
        let version = api.expected(&headers, &scope, before.version).await?;
        let stored = object(&before.config);
        let mut sent = body.clone();
        restore(&mut sent, &Value::Object(stored.clone()));
        let mut config = stored;
        if let Value::Object(members) = sent {
            // `null` is a value of `http`: a tool without a request.
            let without_request = members.get("http") == Some(&Value::Null);
            brain::apply(&mut config, members, false);
            if without_request {
                config.insert("http".to_owned(), Value::Null);
            }
        }
        let config = Value::Object(config);
        let place = usize::try_from(before.sort_order).unwrap_or(0);
        let mut changed = brain::tool(&config, place).map_err(brain::problem)?;
        let mut tools = tools_now(&api, &scope, &id).await?;
        let at = tools
            .iter()
            .position(|other| other.name == before.name)
            .ok_or_else(Problem::unknown)?;
        let settings = object(&agent.settings);
        let held = tools.clone();
        tools[at] = changed.clone();
        check_one(&agent.name, &agent.settings, &tools, at)?;
        let before_it = Held {
            settings: &settings,
            tools: &held,
        };
        let after_it = Held {
            settings: &settings,
            tools: &tools,
        };
        stay(before_it, after_it).map_err(|problem| problem.within(&format!("tools[{at}].")))?;
        seal_all(&api, &scope, &id, std::slice::from_mut(&mut changed)).await?;
        let was = hidden(&Value::Object(object(&before.config)));
        let entry = caller
            .store(&api, Some(&was), Some(&hidden(&config)))
            .update_tool(
                &scope,
                &id,
                &tool,
                &changed,
                version,
                &caller.author(&format!("tool {}", changed.name)),
            )
            .await?;
        Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
    })
    .await
}

/// Removes a tool.
#[utoipa::path(delete, path = "/api/agents/{id}/tools/{toolId}", tag = "tools",
    params(("id" = String, Path), ("toolId" = String, Path)), responses((status = 204)))]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path((id, tool)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let (scope, _) = find(&api, &caller, &id).await?;
    let before = tool_of(&api, &scope, &id, &tool).await?;
    let version = api.expected(&headers, &scope, before.version).await?;
    let was = hidden(&Value::Object(object(&before.config)));
    let why = caller.author(&format!("without tool {}", before.name));
    caller
        .store(&api, Some(&was), None)
        .delete_tool(&scope, &id, &tool, version, &why)
        .await?;
    Ok(Answer::empty())
}

/// Prompt and tools.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BrainView {
    /// Template of the instructions.
    prompt: Option<String>,
    /// All tools, in their order.
    tools: Vec<ToolView>,
    /// Version of the agent.
    version: i64,
}

/// Prompt and tools, replaced at once.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct BrainWrite {
    /// Template of the instructions; absent: it stays.
    prompt: Option<String>,
    /// The whole set of tools.
    #[schema(value_type = Vec<Object>)]
    tools: Vec<Value>,
    /// The client's own name of this brain: kept with the version that it makes.
    #[schema(value_type = Option<Object>)]
    version: Option<Value>,
}

/// Prompt and tools of an agent.
#[utoipa::path(get, path = "/api/agents/{id}/brain", tag = "tools", params(("id" = String, Path)),
    responses((status = 200, body = BrainView)))]
pub(crate) async fn brain(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, agent) = find(&api, &caller, &id).await?;
    let tools = api.store.tools(&scope, &id).await?;
    let prompt = object(&agent.settings)
        .get("basePrompt")
        .and_then(Value::as_str)
        .map(str::to_owned);
    Ok(Answer::ok(BrainView {
        prompt,
        tools: tools.iter().map(view).collect(),
        version: agent.version,
    })?
    .with_tag(tag(agent.version)))
}

/// Replaces prompt and tools at once: a call that begins sees all of it or nothing.
#[utoipa::path(put, path = "/api/agents/{id}/brain", tag = "tools", params(("id" = String, Path)),
    request_body = BrainWrite, responses((status = 200, body = super::agents::AgentView)))]
pub(crate) async fn replace_brain(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<BrainWrite>,
) -> Result<Answer, Problem> {
    let label = match &body.version {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.chars().take(TEXT_CHARACTERS_MAX).collect(),
        Some(other) => other
            .to_string()
            .chars()
            .take(TEXT_CHARACTERS_MAX)
            .collect(),
    };
    repeat(&headers, || async {
        let (scope, before) = find(&api, &caller, &id).await?;
        let version = api.expected(&headers, &scope, before.version).await?;
        let stored = tools_now(&api, &scope, &id).await?;
        let mut tools = read_all(&body.tools, &stored)?;
        let mut settings = object(&before.settings);
        let held = Held {
            settings: &settings.clone(),
            tools: &stored,
        };
        if let Some(prompt) = &body.prompt {
            settings.insert("basePrompt".to_owned(), json!(prompt));
        }
        if !label.is_empty() {
            settings.insert("brainVersion".to_owned(), json!(label));
        }
        brain::check(&before.name, &settings, &tools)?;
        let after = Held {
            settings: &settings,
            tools: &tools,
        };
        stay(held, after)?;
        seal_all(&api, &scope, &id, &mut tools).await?;
        let names = |tools: &[Tool]| json!(tools.iter().map(|tool| &tool.name).collect::<Vec<_>>());
        let mut was = audited(&before);
        was["tools"] = names(&stored);
        let after = Brain {
            settings: Value::Object(settings).to_string(),
            tools,
        };
        let mut agent = before.content.clone();
        agent.settings.clone_from(&after.settings);
        let mut is = audited(&agent);
        is["tools"] = names(&after.tools);
        let entry = caller
            .store(&api, Some(&was), Some(&is))
            .replace_brain(
                &scope,
                &id,
                &after,
                version,
                &caller.author(&format!("brain {label}")),
            )
            .await?;
        Ok(Answer::ok(agent_view(&entry))?.with_tag(tag(entry.version)))
    })
    .await
}
