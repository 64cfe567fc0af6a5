//! Agents.

use super::owner::{account_in, agent as find, reach_of_list, text_in};
use crate::addressee::{Held, stay};
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::brain;
use crate::caller::Caller;
use crate::credential::{AGENT_KIND, PUBLIC_KIND};
use crate::limits::{NAME_CHARACTERS_MAX, TEXT_CHARACTERS_MAX};
use crate::problem::Problem;
use crate::redact::{hidden, hidden_object, restore, seal};
use crate::support::{Faults, found, object, page, repeat, tag};
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use store::credential::NewKey;
use store::{Agent, AgentFilter, Entry, TenantScope, Tool};
use utoipa::{IntoParams, ToSchema};

/// An agent. Its settings stand beside these fields, as they were written (contracts, "Agent create fields").
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AgentView {
    /// Its id.
    id: String,
    /// Of which account.
    account_id: String,
    /// The final customer whom it works for.
    final_customer_id: Option<String>,
    /// Its name.
    name: String,
    /// Whether its calls are taken.
    is_active: bool,
    /// Why not.
    pause_reason: Option<String>,
    /// First characters of its token.
    api_token_prefix: Option<String>,
    /// Token of its chat widget; it opens the chat and nothing else.
    public_token: Option<String>,
    /// Rises with each change of the agent or its tools; the entity tag.
    version: i64,
    /// ISO-8601.
    created_at: String,
    /// ISO-8601.
    updated_at: String,
    /// Every setting.
    #[serde(flatten)]
    settings: Map<String, Value>,
}

/// A new agent; further settings may stand beside these fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the schema of the request; its values are merged")]
pub(crate) struct AgentCreate {
    /// Of which account; absent: of the credential's own.
    account_id: Option<String>,
    /// The final customer whom it works for.
    final_customer_id: Option<String>,
    /// Its name.
    name: String,
    /// Whether its calls are taken.
    is_active: Option<bool>,
    /// Template of the instructions.
    base_prompt: Option<String>,
    /// Its tools, where they come at once.
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<Value>>,
    /// Every other setting.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// A new agent with its tokens.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AgentMade {
    /// The agent's own token, for `Authorization: Bearer`; it is shown this once.
    api_token: String,
    /// The agent.
    #[serde(flatten)]
    agent: AgentView,
}

/// Which agents.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct AgentQuery {
    /// Of which account; the operator of the node who names none means all.
    account_id: Option<String>,
    /// Of this final customer.
    final_customer_id: Option<String>,
    /// With this in the name.
    search: Option<String>,
    /// Active or not.
    is_active: Option<bool>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

pub(crate) fn view(entry: &Entry<Agent>) -> AgentView {
    let settings = hidden_object(&Value::Object(object(&entry.settings)));
    AgentView {
        id: entry.id.clone(),
        account_id: entry.tenant.clone().unwrap_or_default(),
        final_customer_id: entry.final_customer_id.clone(),
        name: entry.name.clone(),
        is_active: entry.is_active,
        pause_reason: entry.pause_reason.clone(),
        api_token_prefix: entry.api_token_prefix.clone(),
        public_token: entry.public_token.clone(),
        version: entry.version,
        created_at: entry.created_at.to_string(),
        updated_at: entry.updated_at.to_string(),
        settings,
    }
}

pub(crate) fn audited(agent: &Agent) -> Value {
    let mut value = hidden(&Value::Object(object(&agent.settings)));
    value["name"] = json!(agent.name);
    value["isActive"] = json!(agent.is_active);
    value["finalCustomerId"] = json!(agent.final_customer_id);
    value["pauseReason"] = json!(agent.pause_reason);
    value
}

/// The agents of an account.
#[utoipa::path(get, path = "/api/agents", tag = "agents", params(AgentQuery),
    responses((status = 200, body = [AgentView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<AgentQuery>,
) -> Result<Answer, Problem> {
    let (reach, own) = reach_of_list(&api, &caller, query.account_id.as_deref(), None).await?;
    if let (Some(own), Some(scope)) = (own, reach.scope()) {
        let agent = found(api.store.agent(scope, &own).await?)?;
        return Answer::ok([view(&agent)]);
    }
    let filter = AgentFilter {
        final_customer_id: query.final_customer_id,
        search: query.search,
        is_active: query.is_active,
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.agents(&reach, &filter, &page).await?;
    let views: Vec<_> = list.items.iter().map(view).collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// What stands beside the settings in a body.
fn own_fields(agent: &mut Agent, body: &Map<String, Value>) -> Result<(), Problem> {
    let value = Value::Object(body.clone());
    if let Some(name) = text_in(&value, "name")? {
        agent.name = name;
    }
    if body.contains_key("finalCustomerId") {
        agent.final_customer_id = text_in(&value, "finalCustomerId")?.filter(|id| !id.is_empty());
    }
    if body.contains_key("pauseReason") {
        agent.pause_reason = text_in(&value, "pauseReason")?;
    }
    match body.get("isActive") {
        None | Some(Value::Null) => {}
        Some(Value::Bool(active)) => agent.is_active = *active,
        Some(_) => return Err(Problem::field("isActive", "type", "boolean")),
    }
    let mut faults = Faults::default();
    faults.text("name", &agent.name, NAME_CHARACTERS_MAX);
    faults.maybe(
        "pauseReason",
        agent.pause_reason.as_deref(),
        TEXT_CHARACTERS_MAX,
    );
    faults.done()
}

fn tools_in(body: &Map<String, Value>, stored: &[Tool]) -> Result<Option<Vec<Tool>>, Problem> {
    let items = match body.get("tools") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Problem::field("tools", "type", "array")),
    };
    super::tools::read_all(items, stored).map(Some)
}

fn members(body: Value) -> Result<Map<String, Value>, Problem> {
    let Value::Object(members) = body else {
        return Err(Problem::field("", "type", "object"));
    };
    Ok(members)
}

/// Keeps the password of a line that older clients send with the agent: in the vault, by the agent's id.
async fn keep_password(
    api: &Api,
    scope: &TenantScope,
    id: &str,
    body: &Map<String, Value>,
) -> Result<(), Problem> {
    if let Some(Value::String(password)) = body.get("sipPassword")
        && !password.is_empty()
    {
        let purpose = format!("agent:{id}:sip");
        api.vault
            .put(&api.store, scope, &purpose, password)
            .await
            .map_err(Problem::internal)?;
    }
    Ok(())
}

/// Gives an agent its tokens; the API token is shown this once.
pub(crate) async fn give_tokens(
    api: &Api,
    caller: &Caller,
    scope: &TenantScope,
    id: &str,
    public: bool,
) -> Result<NewKey, Problem> {
    let made = NewKey::generate(AGENT_KIND);
    let widget = public.then(|| NewKey::generate(PUBLIC_KIND));
    caller
        .store(api, None, None)
        .set_agent_tokens(
            scope,
            id,
            Some((&made.hash(), made.prefix())),
            widget.as_ref().map(NewKey::text),
        )
        .await?;
    Ok(made)
}

/// Makes an agent. Its token is in this answer and in none after.
#[utoipa::path(post, path = "/api/agents", tag = "agents", request_body = AgentCreate,
    responses((status = 201, body = AgentMade)))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let account = account_in(&body)?;
    let scope = api.account_scope(&caller, account.as_deref()).await?;
    let body = members(body)?;
    let mut settings = Map::new();
    brain::apply(&mut settings, brain::settings_of(&body), false);
    let mut agent = Agent {
        final_customer_id: None,
        name: String::new(),
        is_active: true,
        pause_reason: None,
        settings: String::new(),
        api_token_hash: None,
        api_token_prefix: None,
        public_token: None,
        deleted_at: None,
    };
    own_fields(&mut agent, &body)?;
    let mut tools = tools_in(&body, &[])?.unwrap_or_default();
    brain::check(&agent.name, &settings, &tools)?;
    let id = store::new_id();
    agent.settings = sealed(&api, &scope, &id, settings, &mut tools).await?;
    keep_password(&api, &scope, &id, &body).await?;
    caller
        .store(&api, None, Some(&audited(&agent)))
        .create_agent(&scope, &id, &agent, &tools, &caller.author("created"))
        .await?;
    let token = give_tokens(&api, &caller, &scope, &id, true).await?;
    let entry = found(api.store.agent(&scope, &id).await?)?;
    Ok(Answer::created(AgentMade {
        api_token: token.text().to_owned(),
        agent: view(&entry),
    })?
    .with_tag(tag(entry.version)))
}

/// One agent.
#[utoipa::path(get, path = "/api/agents/{id}", tag = "agents", params(("id" = String, Path)),
    responses((status = 200, body = AgentView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (_, entry) = find(&api, &caller, &id).await?;
    Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
}

/// Changes an agent: fields that are not sent keep their values, null removes a setting, `config` is merged.
#[utoipa::path(put, path = "/api/agents/{id}", tag = "agents", params(("id" = String, Path)),
    request_body(content = Object, description = "Any fields of an agent."),
    responses((status = 200, body = AgentView)))]
pub(crate) async fn replace(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    write(&api, &caller, &headers, &id, body, false).await
}

/// Changes an agent as a JSON merge patch (RFC 7396).
#[utoipa::path(patch, path = "/api/agents/{id}", tag = "agents", params(("id" = String, Path)),
    request_body(content = Object, description = "Any fields of an agent."),
    responses((status = 200, body = AgentView)))]
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    write(&api, &caller, &headers, &id, body, true).await
}

async fn write(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    id: &str,
    body: Value,
    deep: bool,
) -> Result<Answer, Problem> {
    let body = members(body)?;
    repeat(headers, || async {
        let (scope, before) = find(api, caller, id).await?;
        let version = api.expected(headers, &scope, before.version).await?;
        let stored = object(&before.settings);
        let mut sent = Value::Object(brain::settings_of(&body));
        restore(&mut sent, &Value::Object(stored.clone()));
        let mut settings = stored.clone();
        brain::apply(&mut settings, members(sent)?, deep);
        let mut agent = before.content.clone();
        own_fields(&mut agent, &body)?;
        let current = tools_now(api, &scope, id).await?;
        let mut tools = tools_in(&body, &current)?;
        let written = tools.as_ref().unwrap_or(&current);
        brain::check(&agent.name, &settings, written)?;
        let after = Held {
            settings: &settings,
            tools: written,
        };
        let held = Held {
            settings: &stored,
            tools: &current,
        };
        stay(held, after)?;
        let written = tools.as_deref_mut().unwrap_or_default();
        agent.settings = sealed(api, &scope, id, settings, written).await?;
        keep_password(api, &scope, id, &body).await?;
        let store = caller.store(api, Some(&audited(&before)), Some(&audited(&agent)));
        let why = caller.author("");
        let mut entry = store
            .update_agent(&scope, id, &agent, version, &why)
            .await?;
        if let Some(tools) = &tools {
            let brain = store::Brain {
                settings: agent.settings.clone(),
                tools: tools.clone(),
            };
            entry = store
                .replace_brain(&scope, id, &brain, Some(entry.version), &why)
                .await?;
        }
        Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
    })
    .await
}

/// Settings as they are stored: the secrets in them sealed, and those of the tools that are written with them.
async fn sealed(
    api: &Api,
    scope: &TenantScope,
    agent: &str,
    settings: Map<String, Value>,
    tools: &mut [Tool],
) -> Result<String, Problem> {
    let mut settings = Value::Object(settings);
    seal(api, scope, agent, vec![&mut settings]).await?;
    super::tools::seal_all(api, scope, agent, tools).await?;
    Ok(settings.to_string())
}

pub(crate) async fn tools_now(
    api: &Api,
    scope: &TenantScope,
    agent: &str,
) -> Result<Vec<Tool>, Problem> {
    let tools = api.store.tools(scope, agent).await?;
    Ok(tools.into_iter().map(|tool| tool.content).collect())
}

/// Deletes an agent: it takes no more calls, its tokens open nothing, its lines are free. Its calls and versions stay.
#[utoipa::path(delete, path = "/api/agents/{id}", tag = "agents", params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, before) = find(&api, &caller, &id).await?;
    let version = api.expected(&headers, &scope, before.version).await?;
    caller
        .store(&api, Some(&audited(&before)), None)
        .delete_agent(&scope, &id, version)
        .await?;
    Ok(Answer::empty())
}

/// A copy's name.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Duplicate {
    /// Absent: the agent's own.
    name: Option<String>,
}

/// Copies an agent with its tools, without lines; the copy has tokens of its own.
#[utoipa::path(post, path = "/api/agents/{id}/duplicate", tag = "agents", params(("id" = String, Path)),
    request_body = Duplicate, responses((status = 201, body = AgentMade)))]
pub(crate) async fn duplicate(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Duplicate>,
) -> Result<Answer, Problem> {
    let (scope, before) = find(&api, &caller, &id).await?;
    let name = body.name.unwrap_or_else(|| before.name.clone());
    let mut faults = Faults::default();
    faults.text("name", &name, NAME_CHARACTERS_MAX);
    faults.done()?;
    let copy = store::new_id();
    let why = caller.author(&format!("copy of {id}"));
    caller
        .store(&api, None, Some(&json!({ "name": name, "copyOf": id })))
        .duplicate_agent(&scope, &id, &copy, &name, &why)
        .await?;
    let token = give_tokens(&api, &caller, &scope, &copy, true).await?;
    let entry = found(api.store.agent(&scope, &copy).await?)?;
    Ok(Answer::created(AgentMade {
        api_token: token.text().to_owned(),
        agent: view(&entry),
    })?
    .with_tag(tag(entry.version)))
}

/// Why an agent pauses.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Pause {
    /// In words.
    reason: Option<String>,
}

async fn set_active(
    api: &Api,
    caller: &Caller,
    id: &str,
    active: bool,
    reason: Option<String>,
) -> Result<Answer, Problem> {
    let mut faults = Faults::default();
    faults.maybe("reason", reason.as_deref(), TEXT_CHARACTERS_MAX);
    faults.done()?;
    repeat(&HeaderMap::new(), || async {
        let (scope, before) = find(api, caller, id).await?;
        let mut agent = before.content.clone();
        agent.is_active = active;
        agent.pause_reason.clone_from(&reason);
        let why = caller.author(if active { "resumed" } else { "paused" });
        let entry = caller
            .store(api, Some(&audited(&before)), Some(&audited(&agent)))
            .update_agent(&scope, id, &agent, Some(before.version), &why)
            .await?;
        Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
    })
    .await
}

/// Takes no more calls for an agent; calls in progress go on.
#[utoipa::path(post, path = "/api/agents/{id}/pause", tag = "agents", params(("id" = String, Path)),
    request_body = Pause, responses((status = 200, body = AgentView)))]
pub(crate) async fn pause(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Pause>,
) -> Result<Answer, Problem> {
    set_active(&api, &caller, &id, false, body.reason).await
}

/// Takes calls again.
#[utoipa::path(post, path = "/api/agents/{id}/resume", tag = "agents", params(("id" = String, Path)),
    responses((status = 200, body = AgentView)))]
pub(crate) async fn resume(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    set_active(&api, &caller, &id, true, None).await
}

/// Which tokens to exchange.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Rotate {
    /// The public token of the chat widget as well.
    public: bool,
}

/// New tokens.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rotated {
    /// Its id.
    id: String,
    /// The agent's own token; it is shown this once.
    api_token: String,
    /// Token of its chat widget.
    public_token: Option<String>,
}

/// Gives an agent a new token; the one before opens nothing from now on.
#[utoipa::path(post, path = "/api/agents/{id}/rotate-token", tag = "agents", params(("id" = String, Path)),
    request_body = Rotate, responses((status = 200, body = Rotated)))]
pub(crate) async fn rotate(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Rotate>,
) -> Result<Answer, Problem> {
    let (scope, _) = find(&api, &caller, &id).await?;
    let token = give_tokens(&api, &caller, &scope, &id, body.public).await?;
    let entry = found(api.store.agent(&scope, &id).await?)?;
    Answer::ok(Rotated {
        id: entry.id.clone(),
        api_token: token.text().to_owned(),
        public_token: entry.public_token.clone(),
    })
}
