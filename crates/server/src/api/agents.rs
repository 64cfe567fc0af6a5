//! The manager of agents (contracts.md 4): all agents, one, start, stop, restart, and the list read again.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use engine::agents::reconciler::{Health, Memory, Order};
use engine::agents::{AgentStatus, Agents, OrderError};
use engine::directory::DirectoryHandle;
use engine::wait_in_seconds;
use platform::{NotRefreshed, Refreshed, ServerPlace, ServerProcess, Servers};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::problem::Problem;
use crate::apart::{Place, Processes, Seen};
use crate::compat::discovery::{Discovery, DiscoveryError};

/// What the routes of the manager work with.
pub(crate) struct Managed {
    pub(crate) agents: Agents,
    pub(crate) directory: DirectoryHandle,
    pub(crate) discovery: Option<Discovery>,
    /// Where carriers bring the calls of every agent of this process.
    pub(crate) voice: Option<SocketAddr>,
    /// Where SIP is spoken for every agent of this process.
    pub(crate) sip: Option<SocketAddr>,
    /// Agents are processes of their own.
    pub(crate) processes: Option<Processes>,
}

/// Query of an order.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderQuery {
    /// `true`, `1`, or nothing at all: the calls of the agent are said goodbye to.
    force: Option<String>,
}

impl OrderQuery {
    fn is_forced(&self) -> bool {
        matches!(self.force.as_deref(), Some("" | "true" | "1"))
    }
}

impl Managed {
    /// An agent in the words of the contract. Agents of this process share its ports and its id.
    fn view(&self, agent: &AgentStatus) -> Value {
        let mut view = self.shared_view(agent);
        if let Some(processes) = &self.processes {
            let seen = processes.of(&agent.id);
            let of = |app: bool| {
                let mut serving = seen.iter().filter(|process| !process.ends);
                serving.find(|process| (process.place == Place::App) == app)
            };
            let (app, bridge) = (of(true), of(false));
            view["ports"] = json!({
                "app": app.map(|process| process.port),
                "bridge": bridge.map(|process| process.port),
            });
            view["pids"] = json!({
                "app": app.map(|process| process.pid),
                "bridge": bridge.map(|process| process.pid),
            });
            view["activeCalls"] = json!(calls(&seen));
        }
        view
    }

    /// Calls of agents that are processes of their own.
    pub(crate) fn calls_apart(&self) -> u64 {
        let processes = self.processes.iter();
        processes
            .flat_map(Processes::all)
            .map(|seen| calls(&seen))
            .sum()
    }

    /// Where an agent runs, for the platform API.
    pub(crate) fn place(&self, agent: &AgentStatus) -> ServerPlace {
        let port = |address: Option<SocketAddr>| address.map(|address| address.port());
        let Some(processes) = &self.processes else {
            return ServerPlace {
                app: port(self.voice),
                bridge: port(self.sip).filter(|_| agent.registers),
                pids: vec![std::process::id()],
                processes: Vec::new(),
                calls: u64::try_from(agent.calls).unwrap_or(u64::MAX),
            };
        };
        let seen = processes.of(&agent.id);
        let port_of = |app: bool| {
            let mut serving = seen.iter().filter(|process| !process.ends);
            let found = serving.find(|process| (process.place == Place::App) == app);
            found.map(|process| process.port)
        };
        let one = |process: &Seen| ServerProcess {
            role: match process.place {
                Place::App => "app",
                Place::Bridge(_) => "bridge",
            },
            line: match &process.place {
                Place::App => None,
                Place::Bridge(line) => Some(line.clone()),
            },
            pid: process.pid,
            port: process.port,
            memory: process.memory,
            calls: process.calls,
            ends: process.ends,
        };
        ServerPlace {
            app: port_of(true),
            bridge: port_of(false),
            pids: seen.iter().map(|process| process.pid).collect(),
            processes: seen.iter().map(one).collect(),
            calls: calls(&seen),
        }
    }

    /// Reads the database again; `whole`: the back office's list too, where there is one.
    pub(crate) async fn refresh(&self, whole: bool) -> Result<Refreshed, NotRefreshed> {
        let Some(discovery) = self.discovery.as_ref().filter(|_| whole) else {
            let read = self.directory.refresh().await;
            return match read {
                Ok(()) => Ok(Refreshed::default()),
                Err(error) => {
                    crate::terminal::log(&error.message());
                    Err(NotRefreshed::Store)
                }
            };
        };
        let found = discovery.refresh().await;
        let found = found.map_err(|error| NotRefreshed::Discovery {
            address: discovery.address(),
            cause: error.to_string(),
        })?;
        Ok(Refreshed {
            listed: Some(found.listed),
            added: found.added,
            changed: found.changed,
            removed: found.removed,
        })
    }

    /// The way to it for the platform API.
    pub(crate) fn servers(self: &Arc<Self>) -> Servers {
        let (places, refreshing) = (Arc::clone(self), Arc::clone(self));
        Servers::new(
            self.agents.clone(),
            move |agent| places.place(agent),
            move |whole| {
                let managed = Arc::clone(&refreshing);
                Box::pin(async move { managed.refresh(whole).await })
            },
        )
    }

    fn shared_view(&self, agent: &AgentStatus) -> Value {
        let port = |address: Option<SocketAddr>| address.map(|address| address.port());
        let pid = std::process::id();
        json!({
            "restaurantId": agent.other_id.as_deref().unwrap_or(&agent.id),
            "restaurantName": agent.name,
            "state": agent.known.state.label(),
            "sipBridge": agent.registers,
            "ports": {
                "app": port(self.voice),
                "bridge": port(self.sip).filter(|_| agent.registers),
            },
            "pids": {
                "app": pid,
                "bridge": agent.registers.then_some(pid),
            },
            "activeCalls": agent.calls,
            "uptimeSeconds": agent.up_for.map_or(0, |up| up.as_secs()),
            "restartCount": agent.known.restarts,
            "lastHealthCheck": agent.checked_at.map(|at| at.to_string()),
        })
    }

    /// The same, with what an operator asks when it is not well.
    fn detail(&self, agent: &AgentStatus) -> Value {
        let mut view = self.view(agent);
        let health = |health: &Health| {
            json!({
                "registered": health.registered,
                "engine": health.engine,
                "media": health.media,
                "alive": health.alive,
                "memory": matches!(health.memory, Memory::Within),
            })
        };
        if let Some(processes) = &self.processes {
            let seen = processes.of(&agent.id);
            let one = |process: &Seen| {
                json!({
                    "role": match process.place { Place::App => "app", Place::Bridge(_) => "bridge" },
                    "line": match &process.place { Place::App => None, Place::Bridge(line) => Some(line) },
                    "pid": process.pid,
                    "port": process.port,
                    "memoryBytes": process.memory,
                    "activeCalls": process.calls,
                    "ending": process.ends,
                })
            };
            view["processes"] = seen.iter().map(one).collect();
            view["memoryMaxBytes"] = json!(processes.memory_max());
        }
        view["fault"] = json!(agent.fault);
        view["agentId"] = json!(agent.id);
        view["accountId"] = json!(agent.tenant);
        view["wanted"] = json!(if agent.known.wanted {
            "running"
        } else {
            "stopped"
        });
        view["cause"] = json!(agent.known.cause.map(|cause| cause.label()));
        view["health"] = json!(agent.known.health.as_ref().map(health));
        view["recentFailures"] = json!(agent.known.failures);
        view["retryInSeconds"] = json!(agent.retry_in.map(wait_in_seconds));
        view
    }
}

/// Calls of an agent of processes: each is in its own process, and in that of a bridge too where it came by one.
fn calls(seen: &[Seen]) -> u64 {
    let of = |app: bool| -> u64 {
        let one = |process: &&Seen| (process.place == Place::App) == app;
        seen.iter().filter(one).map(|process| process.calls).sum()
    };
    of(true).max(of(false))
}

type Answer = Result<Json<Value>, Problem>;

fn managed<'a>(shared: &'a Shared, headers: &HeaderMap) -> Result<&'a Managed, Problem> {
    let none = || Problem::new(404, "api_not_found").in_language_of(headers, shared.language);
    shared.managed.as_deref().ok_or_else(none)
}

fn unknown(shared: &Shared, headers: &HeaderMap, id: &str) -> Problem {
    Problem::new(404, "api_agent_unknown")
        .with("id", id)
        .in_language_of(headers, shared.language)
}

/// `GET /agents`.
pub(crate) async fn list(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    let managed = managed(&shared, &headers)?;
    let agents = managed.agents.list().await;
    let views: Vec<Value> = agents.iter().map(|agent| managed.view(agent)).collect();
    Ok(Json(Value::Array(views)))
}

/// `GET /agents/{id}/status`: after a look at it.
pub(crate) async fn status(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Answer {
    let managed = managed(&shared, &headers)?;
    let agent = managed.agents.status(&id, true).await;
    let agent = agent.ok_or_else(|| unknown(&shared, &headers, &id))?;
    Ok(Json(managed.detail(&agent)))
}

async fn order(
    shared: &Shared,
    headers: &HeaderMap,
    id: &str,
    order: Order,
    force: bool,
) -> Answer {
    let managed = managed(shared, headers)?;
    match managed.agents.order(id, order, force).await {
        Ok(agent) => Ok(Json(managed.detail(&agent))),
        Err(OrderError::Unknown) => Err(unknown(shared, headers, id)),
        Err(OrderError::NotWritten(error)) => {
            crate::terminal::log(&error.message());
            Err(Problem::new(503, "api_agent_not_written").in_language_of(headers, shared.language))
        }
    }
}

/// `POST /agents/{id}/start`.
pub(crate) async fn start(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Answer {
    order(&shared, &headers, &id, Order::Start, false).await
}

/// `POST /agents/{id}/stop`; `?force` says goodbye to its calls.
pub(crate) async fn stop(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<OrderQuery>,
) -> Answer {
    order(&shared, &headers, &id, Order::Stop, query.is_forced()).await
}

/// `POST /agents/{id}/restart`.
pub(crate) async fn restart(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Answer {
    order(&shared, &headers, &id, Order::Restart, false).await
}

/// `POST /refresh`: the database is read again, and the back office's list where there is one.
pub(crate) async fn refresh(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    let managed = managed(&shared, &headers)?;
    let Some(discovery) = &managed.discovery else {
        if let Err(error) = managed.directory.refresh().await {
            crate::terminal::log(&error.message());
            return Err(
                Problem::new(503, "api_store_failed").in_language_of(&headers, shared.language)
            );
        }
        let agents = managed.agents.totals().await.agents;
        return Ok(Json(json!({ "agents": agents, "discovery": false })));
    };
    match discovery.refresh().await {
        Ok(found) => Ok(Json(json!({
            "agents": found.listed,
            "added": found.added,
            "changed": found.changed,
            "removed": found.removed,
            "discovery": true,
        }))),
        Err(error) => {
            Err(discovery_failed(discovery, &error).in_language_of(&headers, shared.language))
        }
    }
}

fn discovery_failed(discovery: &Discovery, error: &DiscoveryError) -> Problem {
    Problem::new(502, "api_discovery_failed")
        .with("address", discovery.address())
        .with("cause", error.to_string())
}
