//! Telephone lines of agents.

use super::owner::{agent as find_agent, reach_of_list};
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::brain::apply;
use crate::caller::{Actor, Caller};
use crate::limits::{BRIDGES_MAX, TEXT_CHARACTERS_MAX};
use crate::problem::Problem;
use crate::support::{Faults, object, page, repeat, tag};
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use store::{Entry, Owned, PageRequest, PhoneLine, PhoneLineFilter, Reach, Sealed, TenantScope};
use utoipa::{IntoParams, ToSchema};

/// Carriers.
const PROVIDERS: &[&str] = &["sip", "twilio", "telnyx", "plivo", "exotel", "vonage"];
/// Longest password of a line, in characters.
const PASSWORD_CHARACTERS_MAX: usize = 1_024;
/// Members of a line on the API that are no settings.
const RESERVED: &[&str] = &[
    "id",
    "agentId",
    "accountId",
    "phoneNumber",
    "provider",
    "isActive",
    "sipPassword",
    "hasSipPassword",
    "version",
    "createdAt",
    "updatedAt",
];

/// A line: its settings (`sipDomain`, `sipUsername`, `sipTransport`, `twilioTrunkSid`…) stand beside these fields.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PhoneLineView)]
pub(crate) struct LineView {
    /// Its id; also the salt of its password.
    id: String,
    /// Of which account.
    account_id: String,
    /// The agent that answers.
    agent_id: String,
    /// The number; unique on the node.
    phone_number: String,
    /// `sip`, `twilio` or another carrier.
    provider: String,
    /// Whether calls are taken.
    is_active: bool,
    /// Whether a password is kept. It cannot be read.
    has_sip_password: bool,
    /// Rises with each change; the entity tag.
    version: i64,
    /// ISO-8601.
    created_at: String,
    /// ISO-8601.
    updated_at: String,
    /// Every setting.
    #[serde(flatten)]
    settings: Map<String, Value>,
}

/// A line as it is written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the schema of the request; its values are merged")]
pub(crate) struct LineWrite {
    /// The number.
    phone_number: String,
    /// `sip` where absent.
    provider: Option<String>,
    /// `udp`, `tcp` or `tls`.
    sip_transport: Option<String>,
    /// Domain of the operator.
    sip_domain: Option<String>,
    /// User name of the line.
    sip_username: Option<String>,
    /// Password of the line; it is kept encrypted and never shown. An empty text removes it.
    sip_password: Option<String>,
    /// STUN server.
    stun_server: Option<String>,
    /// Trunk at Twilio.
    twilio_trunk_sid: Option<String>,
    /// Whether calls are taken.
    is_active: Option<bool>,
    /// Whom the line may call: `+33`, `04`, `sip:pbx.example`. Without any it calls nobody. An agent's token does not change it.
    outbound_prefixes: Option<Vec<String>>,
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct LineQuery {
    /// Of which account; the operator of the node who names none, and no agent, means all.
    account_id: Option<String>,
    /// Of this agent.
    agent_id: Option<String>,
    /// Of exactly this number.
    phone_number: Option<String>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn view(entry: &Entry<PhoneLine>) -> LineView {
    LineView {
        id: entry.id.clone(),
        account_id: entry.tenant.clone().unwrap_or_default(),
        agent_id: entry.agent_id.clone(),
        phone_number: entry.phone_number.clone(),
        provider: entry.provider.clone(),
        is_active: entry.is_active,
        has_sip_password: entry.sip_password.is_some(),
        version: entry.version,
        created_at: entry.created_at.to_string(),
        updated_at: entry.updated_at.to_string(),
        settings: object(&entry.settings),
    }
}

fn audited(line: &PhoneLine) -> Value {
    let mut value = Value::Object(object(&line.settings));
    value["agentId"] = json!(line.agent_id);
    value["phoneNumber"] = json!(line.phone_number);
    value["provider"] = json!(line.provider);
    value["isActive"] = json!(line.is_active);
    value["hasSipPassword"] = json!(line.sip_password.is_some());
    value
}

/// Applies a body to a line; the id is the salt of the password.
async fn apply_body(
    api: &Api,
    caller: &Caller,
    line: &mut PhoneLine,
    id: &str,
    body: &Map<String, Value>,
) -> Result<(), Problem> {
    let text = |name: &str| super::owner::text_in(&Value::Object(body.clone()), name);
    if let Some(number) = text("phoneNumber")? {
        number.trim().clone_into(&mut line.phone_number);
    }
    if let Some(provider) = text("provider")? {
        line.provider = provider;
    }
    match body.get("isActive") {
        None | Some(Value::Null) => {}
        Some(Value::Bool(active)) => line.is_active = *active,
        Some(_) => return Err(Problem::field("isActive", "type", "boolean")),
    }
    // Whom a line calls is its account's to say, not its agent's.
    if body.contains_key(super::placing::RULES) && matches!(caller.actor, Actor::Agent(_)) {
        return Err(Problem::forbidden());
    }
    let mut settings = object(&line.settings);
    let patch: Map<String, Value> = body
        .iter()
        .filter(|(name, _)| !RESERVED.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    apply(&mut settings, patch, false);
    let password = text("sipPassword")?;
    let mut faults = Faults::default();
    faults.text("phoneNumber", &line.phone_number, 64);
    faults.choice("provider", &line.provider, PROVIDERS);
    for name in ["sipDomain", "sipUsername", "stunServer", "twilioTrunkSid"] {
        let fine = match settings.get(name) {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.chars().count() <= TEXT_CHARACTERS_MAX,
            Some(_) => false,
        };
        faults.unless(fine, name, "type", "string");
    }
    if let Some(Value::String(transport)) = settings.get("sipTransport")
        && !transport.is_empty()
    {
        faults.choice(
            "sipTransport",
            &transport.to_ascii_lowercase(),
            &["udp", "tcp", "tls"],
        );
    }
    check_limits(&settings, &mut faults);
    super::placing::check_rules(&settings, &mut faults);
    faults.maybe("sipPassword", password.as_deref(), PASSWORD_CHARACTERS_MAX);
    faults.done()?;
    line.settings = Value::Object(settings).to_string();
    match password.as_deref() {
        None => {}
        Some("") => line.sip_password = None,
        Some(password) => {
            let sealed = api
                .vault
                .seal(id, password)
                .await
                .map_err(Problem::internal)?;
            line.sip_password = Some(Sealed::new(sealed));
        }
    }
    Ok(())
}

fn check_limits(settings: &Map<String, Value>, faults: &mut Faults) {
    if let Some(calls) = settings
        .get("calls_per_s_max")
        .filter(|calls| !calls.is_null())
    {
        faults.unless(calls.is_i64(), "calls_per_s_max", "type", "integer");
        super::sip_account_fields::check_rate("calls_per_s_max", calls.as_i64(), faults);
    }
}

fn members(body: Value) -> Result<Map<String, Value>, Problem> {
    let Value::Object(members) = body else {
        return Err(Problem::field("", "type", "object"));
    };
    Ok(members)
}

async fn listed(
    api: &Api,
    reach: impl Into<Reach>,
    filter: &PhoneLineFilter,
    page: &PageRequest,
) -> Result<Answer, Problem> {
    let list = api.store.phone_lines(reach, filter, page).await?;
    let views: Vec<_> = list.items.iter().map(view).collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// The lines of an account.
#[utoipa::path(get, path = "/api/phone-lines", tag = "phone lines", params(LineQuery),
    responses((status = 200, body = [LineView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<LineQuery>,
) -> Result<Answer, Problem> {
    let (reach, agent_id) = reach_of_list(
        &api,
        &caller,
        query.account_id.as_deref(),
        query.agent_id.as_deref(),
    )
    .await?;
    let filter = PhoneLineFilter {
        agent_id,
        phone_number: query.phone_number,
        ..PhoneLineFilter::default()
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    listed(&api, &reach, &filter, &page).await
}

/// The lines of an agent.
#[utoipa::path(get, path = "/api/agents/{id}/phone-lines", tag = "phone lines", params(("id" = String, Path)),
    responses((status = 200, body = [LineView])))]
pub(crate) async fn of_agent(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, _) = find_agent(&api, &caller, &id).await?;
    let filter = PhoneLineFilter {
        agent_id: Some(id),
        ..PhoneLineFilter::default()
    };
    listed(&api, &scope, &filter, &page(None, None)?).await
}

/// Gives an agent a line; a line of this account with the same number is changed and comes to the agent.
#[utoipa::path(post, path = "/api/agents/{id}/phone-lines", tag = "phone lines", params(("id" = String, Path)),
    request_body = LineWrite,
    responses((status = 201, body = LineView), (status = 200, body = LineView, description = "The line was there.")))]
pub(crate) async fn upsert(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let body = members(body)?;
    repeat(&headers, || async {
        let (scope, _) = find_agent(&api, &caller, &id).await?;
        let number = super::owner::text_in(&Value::Object(body.clone()), "phoneNumber")?
            .map(|number| number.trim().to_owned())
            .unwrap_or_default();
        let filter = PhoneLineFilter {
            phone_number: Some(number),
            ..PhoneLineFilter::default()
        };
        let there = api
            .store
            .phone_lines(&scope, &filter, &page(Some(1), None)?)
            .await?;
        let Some(before) = there.items.into_iter().next() else {
            return create(&api, &caller, &scope, &id, &body).await;
        };
        if !caller.may_touch_agent(&before.agent_id) {
            return Err(Problem::conflict("api_number_taken"));
        }
        let mut line = before.content.clone();
        line.agent_id.clone_from(&id);
        apply_body(&api, &caller, &mut line, &before.id, &body).await?;
        let entry = caller
            .store(&api, Some(&audited(&before)), Some(&audited(&line)))
            .update_phone_line(&scope, &before.id, &line, Some(before.version))
            .await?;
        Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
    })
    .await
}

async fn create(
    api: &Api,
    caller: &Caller,
    scope: &TenantScope,
    agent: &str,
    body: &Map<String, Value>,
) -> Result<Answer, Problem> {
    let id = store::new_id();
    let mut line = PhoneLine {
        agent_id: agent.to_owned(),
        phone_number: String::new(),
        provider: "sip".to_owned(),
        is_active: true,
        settings: "{}".to_owned(),
        sip_password: None,
    };
    apply_body(api, caller, &mut line, &id, body).await?;
    let entry = caller
        .store(api, None, Some(&audited(&line)))
        .create_phone_line(scope, &id, &line)
        .await?;
    Ok(Answer::created(view(&entry))?.with_tag(tag(entry.version)))
}

async fn find(
    api: &Api,
    caller: &Caller,
    agent: Option<&str>,
    id: &str,
) -> Result<(TenantScope, Entry<PhoneLine>), Problem> {
    let scope = super::owner::of(api, caller, Owned::PhoneLine, id).await?;
    let entry = api
        .store
        .phone_line(&scope, id)
        .await?
        .filter(|line| agent.is_none_or(|agent| line.agent_id == agent))
        .filter(|line| caller.may_touch_agent(&line.agent_id))
        .ok_or_else(Problem::unknown)?;
    Ok((scope, entry))
}

/// One line.
#[utoipa::path(get, path = "/api/agents/{id}/phone-lines/{lineId}", tag = "phone lines",
    params(("id" = String, Path), ("lineId" = String, Path)), responses((status = 200, body = LineView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((agent, id)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let (_, entry) = find(&api, &caller, Some(&agent), &id).await?;
    Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
}

/// Changes a line; fields that are not sent keep their values.
#[utoipa::path(put, path = "/api/agents/{id}/phone-lines/{lineId}", tag = "phone lines",
    params(("id" = String, Path), ("lineId" = String, Path)),
    request_body(content = Object, description = "Any fields of a line."),
    responses((status = 200, body = LineView)))]
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path((agent, id)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let body = members(body)?;
    repeat(&headers, || async {
        let (scope, before) = find(&api, &caller, Some(&agent), &id).await?;
        let version = api.expected(&headers, &scope, before.version).await?;
        let mut line = before.content.clone();
        apply_body(&api, &caller, &mut line, &id, &body).await?;
        let entry = caller
            .store(&api, Some(&audited(&before)), Some(&audited(&line)))
            .update_phone_line(&scope, &id, &line, version)
            .await?;
        Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
    })
    .await
}

/// Removes a line; its number is free.
#[utoipa::path(delete, path = "/api/agents/{id}/phone-lines/{lineId}", tag = "phone lines",
    params(("id" = String, Path), ("lineId" = String, Path)), responses((status = 204)))]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path((agent, id)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let (scope, before) = find(&api, &caller, Some(&agent), &id).await?;
    let version = api.expected(&headers, &scope, before.version).await?;
    caller
        .store(&api, Some(&audited(&before)), None)
        .delete_phone_line(&scope, &id, version)
        .await?;
    Ok(Answer::empty())
}

/// A line as a bridge of the provisioning contract.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BridgeView {
    /// The line.
    phone_line_id: String,
    /// The agent that answers.
    agent_id: String,
    /// The operator's domain.
    host: String,
    /// Empty: no bridge process stands between the line and the engine.
    ws_url: String,
    /// Whether the line is registered at its operator.
    sip_registered: bool,
    /// Codec of its last call, where it is known.
    last_codec: Option<String>,
}

/// Lines with their state, and calls that run now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bridges {
    /// Active lines.
    bridges: Vec<BridgeView>,
    /// Running calls of each agent.
    #[schema(value_type = Object)]
    active_calls: Map<String, Value>,
}

/// Which account's bridges.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct BridgeQuery {
    /// Of which account; the operator of the node who names none means all.
    account_id: Option<String>,
}

/// Every page of a list of lines, up to a bound.
async fn all_lines(
    api: &Api,
    reach: &Reach,
    filter: &PhoneLineFilter,
) -> Result<Vec<Entry<PhoneLine>>, Problem> {
    let mut lines = Vec::new();
    let mut wanted = page(Some(u32::MAX), None)?;
    loop {
        let list = api.store.phone_lines(reach, filter, &wanted).await?;
        lines.extend(list.items);
        wanted.after = list.next;
        if wanted.after.is_none() || lines.len() >= BRIDGES_MAX {
            return Ok(lines);
        }
    }
}

/// The lines with the state of their registration, and how many calls each agent holds.
#[utoipa::path(get, path = "/api/bridges", tag = "phone lines", params(BridgeQuery),
    responses((status = 200, body = Bridges)))]
pub(crate) async fn bridges(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<BridgeQuery>,
) -> Result<Answer, Problem> {
    let (reach, agent) = reach_of_list(&api, &caller, query.account_id.as_deref(), None).await?;
    let filter = PhoneLineFilter {
        agent_id: agent.clone(),
        is_active: Some(true),
        ..PhoneLineFilter::default()
    };
    let lines = all_lines(&api, &reach, &filter).await?;
    let registered = super::live::registered(&api).await;
    let bridges: Vec<_> = lines
        .iter()
        .map(|line| BridgeView {
            phone_line_id: line.id.clone(),
            agent_id: line.agent_id.clone(),
            host: object(&line.settings)
                .get("sipDomain")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            ws_url: String::new(),
            sip_registered: registered.contains(&line.id)
                || registered.contains(&line.phone_number),
            last_codec: None,
        })
        .collect();
    let mut active = Map::new();
    for call in super::live::within(&api, &reach, agent.as_deref()) {
        let count = active
            .get(&call.agent)
            .and_then(Value::as_u64)
            .unwrap_or_default();
        active.insert(call.agent, json!(count + 1));
    }
    Answer::ok(Bridges {
        bridges,
        active_calls: active,
    })
}

/// The same, by the name of earlier clients.
#[utoipa::path(get, path = "/api/workers", tag = "phone lines", params(BridgeQuery),
    responses((status = 200, body = Bridges)))]
pub(crate) async fn workers(
    state: State<Arc<Api>>,
    caller: Caller,
    query: Query<BridgeQuery>,
) -> Result<Answer, Problem> {
    bridges(state, caller, query).await
}
