//! Servers: every agent as the manager of this process sees it, and what an operator may do to it.

use super::owner::reach_of_list;
use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::{Path, Query};
use crate::caller::Caller;
use crate::problem::{Problem, language_of};
use crate::servers::{NotRefreshed, ServerPlace, ServerProcess, Servers};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use catalog::{Language, Message};
use engine::agents::reconciler::{Cause, Order};
use engine::agents::{AgentStatus, OrderError};
use engine::wait_in_seconds;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use store::Reach;
use utoipa::{IntoParams, ToSchema};

/// Ports of an agent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerPorts {
    /// Where carriers bring its calls.
    app: Option<u16>,
    /// Where SIP is spoken for it.
    bridge: Option<u16>,
}

/// A process of an agent that is kept as processes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerProcessView {
    /// `app`, or `bridge` for each of its accounts.
    role: &'static str,
    /// Id of the account of a bridge.
    line: Option<String>,
    /// Its id in the system.
    pid: u32,
    /// The port of its interface.
    port: u16,
    /// Resident memory.
    memory_bytes: u64,
    /// Calls of it.
    active_calls: u64,
    /// It was told to end.
    ending: bool,
}

/// An agent as the manager sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerView {
    /// Id of the agent.
    id: String,
    /// Of which account.
    account_id: String,
    /// The id that a back office has for it, where it has one.
    restaurant_id: Option<String>,
    /// Name of the agent.
    name: String,
    /// Name of the customer whom it works for.
    customer: Option<String>,
    /// Id of that customer.
    customer_id: Option<String>,
    /// `starting`, `running`, `unhealthy`, `failed`, `stopping`, `stopped`.
    state: &'static str,
    /// `running`, or `stopped` where an operator stopped it.
    wanted: &'static str,
    /// `sip` where it registers an account, else `twilio`.
    mode: &'static str,
    /// Calls of it that run now.
    active_calls: u64,
    /// Since when it runs, in seconds; null while it does not.
    uptime_seconds: Option<u64>,
    /// Its ports; agents that share one process share them.
    ports: ServerPorts,
    /// The processes that serve it.
    pids: Vec<u32>,
    /// Its own processes, where it has any.
    processes: Vec<ServerProcessView>,
    /// Restarts since this manager began.
    restart_count: u64,
    /// When it was looked at last, ISO-8601.
    last_health_check: Option<String>,
    /// `engine`, `registration`, `media`, `hung`, `died`, `memory`, `settings`; null where nothing is wrong.
    cause: Option<&'static str>,
    /// The same in words, in the language of `Accept-Language`.
    fault: Option<String>,
    /// Failures of the last ten minutes.
    recent_failures: usize,
    /// In how many seconds it is tried again.
    retry_in_seconds: Option<u64>,
}

/// Which agents.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct ServerQuery {
    /// Of which account; the operator of the node sees all where it names none.
    account_id: Option<String>,
    /// With this in the name of the agent or of its customer.
    search: Option<String>,
}

/// How an order is carried out.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StopQuery {
    /// Calls that run are said goodbye to; otherwise they go on to their end.
    #[serde(default)]
    force: Option<bool>,
}

/// What came of reading everything again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefreshView {
    /// Agents that the caller sees now.
    agents: usize,
    /// Whether a back office's list was read.
    discovery: bool,
    /// Agents that were new on that list.
    added: usize,
    /// Agents of it that changed.
    changed: usize,
    /// Agents that it does not name any more.
    removed: usize,
}

type Customers = HashMap<String, (String, String)>;

/// Why an agent is not well, in a sentence.
fn fault(agent: &AgentStatus, language: Language) -> Option<String> {
    let code = match agent.known.cause {
        Some(Cause::Engine) => "server_fault_engine",
        Some(Cause::Registration) => "server_fault_registration",
        Some(Cause::Media) => "server_fault_media",
        Some(Cause::Hung) => "server_fault_hung",
        Some(Cause::Died) => "server_fault_died",
        Some(Cause::Memory) => "server_fault_memory",
        Some(Cause::Settings) => "server_fault_settings",
        None if agent.fault.is_some() => "server_fault_settings",
        None => return None,
    };
    let mut message = Message::new(code);
    if code == "server_fault_settings" {
        message = message.with("cause", agent.fault.as_deref().unwrap_or("?"));
    }
    Some(catalog::render(&message, language).text)
}

fn process_view(process: ServerProcess) -> ServerProcessView {
    ServerProcessView {
        role: process.role,
        line: process.line,
        pid: process.pid,
        port: process.port,
        memory_bytes: process.memory,
        active_calls: process.calls,
        ending: process.ends,
    }
}

fn view(
    agent: &AgentStatus,
    place: ServerPlace,
    customers: &Customers,
    language: Language,
) -> ServerView {
    let customer = customers.get(&agent.id).cloned();
    let (customer_id, customer) = customer.unzip();
    let known = &agent.known;
    ServerView {
        id: agent.id.clone(),
        account_id: agent.tenant.clone(),
        restaurant_id: agent.other_id.clone(),
        name: agent.name.clone(),
        customer,
        customer_id,
        state: known.state.label(),
        wanted: if known.wanted { "running" } else { "stopped" },
        mode: if agent.registers { "sip" } else { "twilio" },
        active_calls: place.calls,
        uptime_seconds: agent.up_for.map(|up| up.as_secs()),
        ports: ServerPorts {
            app: place.app,
            bridge: place.bridge,
        },
        pids: place.pids,
        processes: place.processes.into_iter().map(process_view).collect(),
        restart_count: known.restarts,
        last_health_check: agent.checked_at.map(|at| at.to_string()),
        cause: known.cause.map(Cause::label),
        fault: fault(agent, language),
        recent_failures: known.failures,
        retry_in_seconds: agent.retry_in.map(wait_in_seconds),
    }
}

fn servers(api: &Api) -> Result<&Servers, Problem> {
    api.config.servers.as_ref().ok_or_else(Problem::unknown)
}

/// The agents of an account or of all, by name.
#[utoipa::path(get, path = "/api/servers", tag = "servers", params(ServerQuery), responses((status = 200, body = [ServerView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<ServerQuery>,
) -> Result<Answer, Problem> {
    let (reach, agent) = reach_of_list(&api, &caller, query.account_id.as_deref(), None).await?;
    let Some(servers) = &api.config.servers else {
        return Answer::ok(Vec::<ServerView>::new());
    };
    let language = language_of(&headers, api.config.language);
    let customers = api.store.customers_of_agents(reach.clone()).await?;
    let search = query.search.map(|search| search.to_lowercase());
    let is_sought = |view: &ServerView| {
        search.as_ref().is_none_or(|search| {
            let names = [Some(&view.name), view.customer.as_ref()];
            let mut names = names.into_iter().flatten();
            names.any(|name| name.to_lowercase().contains(search))
        })
    };
    let mut views: Vec<ServerView> = servers
        .agents
        .list()
        .await
        .iter()
        .filter(|one| reach.covers(&one.tenant.as_str().into()))
        .filter(|one| agent.as_ref().is_none_or(|agent| one.id == *agent))
        .map(|agent| view(agent, servers.place(agent), &customers, language))
        .filter(is_sought)
        .collect();
    views.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    Answer::ok(views)
}

/// The agent of this id that the caller may see.
async fn find(
    servers: &Servers,
    caller: &Caller,
    id: &str,
    look: bool,
) -> Result<AgentStatus, Problem> {
    let is_own = |agent: &AgentStatus| {
        let tenant = caller.tenant.as_ref();
        tenant.is_none_or(|own| own.as_str() == agent.tenant) && caller.may_touch_agent(&agent.id)
    };
    // Whose it is comes first: nobody makes another's agent work.
    let agent = servers.agents.status(id, false).await.filter(is_own);
    let agent = agent.ok_or_else(Problem::unknown)?;
    if !look {
        return Ok(agent);
    }
    let looked = servers.agents.status(&agent.id, true).await;
    looked.ok_or_else(Problem::unknown)
}

async fn shown(
    api: &Api,
    servers: &Servers,
    agent: &AgentStatus,
    headers: &HeaderMap,
) -> Result<Answer, Problem> {
    let scope = store::TenantScope::new(agent.tenant.as_str().into());
    let customers = api.store.customers_of_agents(Reach::Tenant(scope)).await?;
    let language = language_of(headers, api.config.language);
    Answer::ok(view(agent, servers.place(agent), &customers, language))
}

/// One agent, after a look at it now.
#[utoipa::path(get, path = "/api/servers/{id}", tag = "servers", params(("id" = String, Path)),
    responses((status = 200, body = ServerView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let servers = servers(&api)?;
    let agent = find(servers, &caller, &id, true).await?;
    shown(&api, servers, &agent, &headers).await
}

async fn order(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    id: &str,
    (order, force): (Order, bool),
) -> Result<Answer, Problem> {
    let servers = servers(api)?;
    let agent = find(servers, caller, id, false).await?;
    let ordered = servers.agents.order(&agent.id, order, force).await;
    let agent = ordered.map_err(|error| match error {
        OrderError::Unknown => Problem::unknown(),
        OrderError::NotWritten(error) => {
            tracing::error!(%error, "an order was not written down");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "api_agent_not_written").retry_after(1)
        }
    })?;
    let action = match order {
        Order::Start => "start",
        Order::Stop => "stop",
        Order::Restart => "restart",
    };
    let answer = shown(api, servers, &agent, headers).await?;
    Ok(answer.changed(Change {
        action,
        entity: "server",
        id: agent.id.clone(),
        tenant: Some(agent.tenant.clone()),
        detail: force.then(|| json!({ "force": true })),
    }))
}

/// Starts an agent, and forgets its failures. The order is kept across restarts of the process.
#[utoipa::path(post, path = "/api/servers/{id}/start", tag = "servers", params(("id" = String, Path)),
    responses((status = 200, body = ServerView)))]
pub(crate) async fn start(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    order(&api, &caller, &headers, &id, (Order::Start, false)).await
}

/// Stops an agent, and keeps it so: its registration is removed, new callers are refused. Calls that run go on unless `force`.
#[utoipa::path(post, path = "/api/servers/{id}/stop", tag = "servers", params(("id" = String, Path), StopQuery),
    responses((status = 200, body = ServerView)))]
pub(crate) async fn stop(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<StopQuery>,
) -> Result<Answer, Problem> {
    let force = query.force.unwrap_or(false);
    order(&api, &caller, &headers, &id, (Order::Stop, force)).await
}

/// Takes an agent down and brings it up. Calls go on.
#[utoipa::path(post, path = "/api/servers/{id}/restart", tag = "servers", params(("id" = String, Path)),
    responses((status = 200, body = ServerView)))]
pub(crate) async fn restart(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    order(&api, &caller, &headers, &id, (Order::Restart, false)).await
}

/// Reads the database again, and for the operator of the node the back office's list where there is one.
#[utoipa::path(post, path = "/api/servers/refresh", tag = "servers", responses((status = 200, body = RefreshView)))]
pub(crate) async fn refresh(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<Answer, Problem> {
    let servers = servers(&api)?;
    let refreshed = servers.refresh(caller.is_node()).await;
    let refreshed = refreshed.map_err(|error| match error {
        NotRefreshed::Store => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "api_store_failed").retry_after(1)
        }
        NotRefreshed::Discovery { address, cause } => {
            Problem::new(StatusCode::BAD_GATEWAY, "api_discovery_failed")
                .with("address", address)
                .with("cause", cause)
        }
    })?;
    let agents = servers.agents.list().await;
    let seen = |agent: &&AgentStatus| {
        let tenant = caller.tenant.as_ref();
        tenant.is_none_or(|own| own.as_str() == agent.tenant)
    };
    let view = RefreshView {
        agents: agents.iter().filter(seen).count(),
        discovery: refreshed.listed.is_some(),
        added: refreshed.added,
        changed: refreshed.changed,
        removed: refreshed.removed,
    };
    Ok(Answer::ok(view)?.changed(Change {
        action: "refresh",
        entity: "server",
        id: String::new(),
        tenant: caller.tenant.as_ref().map(ToString::to_string),
        detail: None,
    }))
}
