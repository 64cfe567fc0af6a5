//! The manager of agents: it keeps every agent that should run running, and tells the truth about each.
//!
//! The policy is in [`reconciler`], which knows neither clock nor socket; here are the task around it, the runs, and the
//! figures. It stands between the directory (what should be) and the engine (what is): an agent "runs" when its engine can be
//! reached and its accounts are registered. Calls do not pass through here.
//!
//! There are two ways to run an agent. In this process its run is a task ([`keeper`]) that only looks; as processes of its own
//! ([`apart`]) the task hands what the reconciler asks of it (bring a part up, take the line down, look) to whoever keeps them.

pub mod apart;
mod keeper;
mod policy;
pub mod reconciler;
mod shell;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use store::Store;
use tokio::sync::{Mutex, broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::config::{AgentConfig, LineConfig, WorkflowConfig};
use crate::dispatch::Gate;
use crate::engine::Engine;
use crate::random;
use apart::Apart;
pub use keeper::Disturbance;
pub use policy::Policy;
use reconciler::{Cause, Order, Snapshot, State};
use shell::{Ask, Known, Shell};

/// Where the settings of an agent have the id that its back office gave it: the wire name of the contract.
pub(crate) const OTHER_ID: &str = "restaurantId";
/// Requests that wait for the manager.
const ASKS_MAX: usize = 256;
/// Changes that a slow watcher may be behind.
const CHANGES_MAX: usize = 1_024;

/// What is known of one agent.
#[derive(Clone, Debug)]
pub struct AgentStatus {
    /// Its id.
    pub id: String,
    /// The id that the back office has for it, where it has one.
    pub other_id: Option<String>,
    /// Its name.
    pub name: String,
    /// Owner.
    pub tenant: String,
    /// One of its lines registers an account.
    pub registers: bool,
    /// Calls of it that run now.
    pub calls: usize,
    /// Since when it runs.
    pub up_for: Option<Duration>,
    /// When it was looked at last.
    pub checked_at: Option<Timestamp>,
    /// In how long it is tried again.
    pub retry_in: Option<Duration>,
    /// Why it cannot be used as it is written, where it cannot.
    pub fault: Option<String>,
    /// What the reconciler knows.
    pub known: Snapshot,
}

/// An agent came from one state into another.
#[derive(Clone, Debug)]
pub struct AgentChange {
    /// Its id.
    pub id: String,
    /// Owner.
    pub tenant: String,
    /// Its state now.
    pub state: State,
    /// Why, where something went wrong.
    pub cause: Option<Cause>,
}

/// An agent that cannot be used as it is written.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// Its id.
    pub id: String,
    /// The id that the back office has for it, where that can be read.
    pub other_id: Option<String>,
    /// Its name.
    pub name: String,
    /// Owner.
    pub tenant: String,
    /// What is wrong with it.
    pub why: String,
}

/// The manager in a few numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Agents that run.
    pub running: usize,
    /// All agents.
    pub agents: usize,
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is no such agent.
    #[error("there is no such agent")]
    Unknown,
    /// The order could not be written down.
    #[error("the order could not be written down")]
    NotWritten(#[source] store::WriteError),
}

/// The way to the manager. Clones lead to the same one.
#[derive(Clone)]
pub struct Agents {
    engine: Engine,
    is_apart: bool,
    asks: mpsc::Sender<Ask>,
    changes: broadcast::Sender<AgentChange>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Agents {
    /// A manager that knows no agent yet.
    /// `apart`: agents are processes of their own, kept by the other end.
    pub(crate) fn start(
        engine: Engine,
        store: Store,
        policy: Policy,
        apart: Option<Apart>,
    ) -> Self {
        let (asks, receiver) = mpsc::channel(ASKS_MAX);
        let is_apart = apart.is_some();
        let (changes, _) = broadcast::channel(CHANGES_MAX);
        let places = (engine.clone(), store, changes.clone());
        let shell = Shell::new(places, policy, (random::seed(), apart));
        let task = tokio::spawn(shell.run(receiver));
        Self {
            engine,
            is_apart,
            asks,
            changes,
            task: Arc::new(Mutex::new(Some(task))),
        }
    }

    /// Puts the directory's lines and agents in the place of those before, and makes them run. Ready once the lines are in use:
    /// agents that are new take calls from then on, and are registered once they can speak.
    pub(crate) async fn follow(
        &self,
        lines: &[LineConfig],
        agents: &[AgentConfig],
        workflows: &[WorkflowConfig],
        (stopped, left_out, read_at): (&std::collections::HashSet<String>, &[LeftOut], Instant),
    ) {
        // The calls of an agent of processes never come here.
        let gate = |id: &String| match stopped.contains(id) || self.is_apart {
            true => Gate::Closed,
            false => Gate::Answers,
        };
        let gates: Vec<(String, Gate)> = agents
            .iter()
            .map(|agent| (agent.name.clone(), gate(&agent.name)))
            .collect();
        let engine = &self.engine;
        engine.reload(lines, agents, workflows, &gates).await;
        let all: Vec<LineConfig> = engine
            .fixed_lines()
            .into_iter()
            .chain(lines.iter().cloned())
            .collect();
        let by_workflow = engine.lines_by_workflow();
        let fixed: std::collections::HashSet<String> = engine
            .fixed_lines()
            .into_iter()
            .map(|line| line.name)
            .collect();
        // Processes cannot share an account: each would register it, and any of them would answer.
        let is_shared = |line: &LineConfig, agent: &AgentConfig| {
            let others = |other: &AgentConfig| other.name != agent.name && other.name == line.agent;
            let led = by_workflow.values();
            fixed.contains(&line.name)
                || agents.iter().any(others)
                || led.filter(|lines| lines.contains(&line.name)).count() > 1
        };
        let known: Vec<Known> = agents
            .iter()
            .map(|agent| {
                let is_own = |line: &&LineConfig| {
                    let led = by_workflow.get(&agent.name);
                    let led = led.is_some_and(|led| led.contains(&line.name));
                    line.agent == agent.name || led && !(self.is_apart && is_shared(line, agent))
                };
                let own: Vec<&LineConfig> = all.iter().filter(is_own).collect();
                Known::of(agent, &own, stopped.contains(&agent.name))
            })
            .chain(left_out.iter().map(|agent| {
                let is_stopped = stopped.contains(&agent.id);
                Known::left_out(agent, is_stopped)
            }))
            .collect();
        let _ = self.asks.send(Ask::Follow(known, read_at)).await;
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(ask(answer)).await.ok()?;
        answered.await.ok()
    }

    /// Each change of a state from now on; a slow receiver loses the oldest.
    pub fn watch(&self) -> broadcast::Receiver<AgentChange> {
        self.changes.subscribe()
    }

    /// All agents, by their ids.
    pub async fn list(&self) -> Vec<AgentStatus> {
        self.ask(Ask::List).await.unwrap_or_default()
    }

    /// How many there are.
    pub async fn totals(&self) -> Totals {
        self.ask(Ask::Totals).await.unwrap_or_default()
    }

    /// One agent, by its id or by the one that its back office has for it. `look`: after a look at it now.
    pub async fn status(&self, key: &str, look: bool) -> Option<AgentStatus> {
        let key = key.to_owned();
        self.ask(|answer| Ask::Status { key, look, answer })
            .await
            .flatten()
    }

    /// Carries out an operator's order, which is written down first: it holds for later processes too. `force`: the calls of an
    /// agent that is stopped are said goodbye to, otherwise they go on.
    ///
    /// # Errors
    /// [`OrderError`].
    pub async fn order(
        &self,
        key: &str,
        order: Order,
        force: bool,
    ) -> Result<AgentStatus, OrderError> {
        let key = key.to_owned();
        self.ask(|answer| Ask::Order {
            key,
            order,
            force,
            answer,
        })
        .await
        .unwrap_or(Err(OrderError::Unknown))
    }

    /// Does something to the run of an agent, to see what follows. For tests only.
    #[doc(hidden)]
    pub async fn disturb(&self, key: &str, how: Disturbance) -> bool {
        let key = key.to_owned();
        self.ask(|answer| Ask::Disturb { key, how, answer })
            .await
            .unwrap_or(false)
    }

    /// Ends every run. Lines and calls stay as they are.
    pub async fn stop(&self) {
        if let Some(task) = self.task.lock().await.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

/// How long ago, or in how long.
fn between(from: Instant, to: Instant) -> Duration {
    to.saturating_duration_since(from)
}
