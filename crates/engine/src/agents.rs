//! The manager of agents: it keeps every agent that should run running, and tells the truth about each.
//!
//! The policy is in [`reconciler`], which knows neither clock nor socket; here are the task around it, the runs, and the
//! figures. It stands between the directory (what should be) and the engine (what is): an agent "runs" when its engine can be
//! reached and its accounts are registered. Calls do not pass through here.
//!
//! There is one way to run an agent so far: [`keeper`], a task of this process. What the reconciler asks of a run (bring a part
//! up, take the line down, look, end it) is all that another way has to do.

mod keeper;
mod policy;
pub mod reconciler;
mod shell;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use store::Store;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::config::{AgentConfig, LineConfig, WorkflowConfig};
use crate::dispatch::Gate;
use crate::engine::Engine;
use crate::random;
pub use keeper::Disturbance;
pub use policy::Policy;
use reconciler::{Order, Snapshot};
use shell::{Ask, Known, Shell};

/// Requests that wait for the manager.
const ASKS_MAX: usize = 256;

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
    /// What the reconciler knows.
    pub known: Snapshot,
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
    asks: mpsc::Sender<Ask>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Agents {
    /// A manager that knows no agent yet.
    pub(crate) fn start(engine: Engine, store: Store, policy: Policy) -> Self {
        let (asks, receiver) = mpsc::channel(ASKS_MAX);
        let shell = Shell::new(engine.clone(), store, policy, random::seed());
        let task = tokio::spawn(shell.run(receiver));
        Self {
            engine,
            asks,
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
        stopped: &std::collections::HashSet<String>,
    ) {
        let all: Vec<LineConfig> = self
            .engine
            .fixed_lines()
            .into_iter()
            .chain(lines.iter().cloned())
            .collect();
        let mut own: std::collections::HashMap<&str, Vec<&LineConfig>> = Default::default();
        for line in &all {
            own.entry(line.agent.as_str()).or_default().push(line);
        }
        let known: Vec<Known> = agents
            .iter()
            .map(|agent| {
                let lines = own.get(agent.name.as_str()).map_or(&[][..], Vec::as_slice);
                Known::of(agent, lines, stopped.contains(&agent.name))
            })
            .collect();
        let gates: Vec<(String, Gate)> = known
            .iter()
            .map(|known| {
                let gate = if known.stopped {
                    Gate::Closed
                } else {
                    Gate::Answers
                };
                (known.id.clone(), gate)
            })
            .collect();
        let engine = &self.engine;
        engine.reload(lines, agents, workflows, &gates).await;
        let _ = self.asks.send(Ask::Follow(known)).await;
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(ask(answer)).await.ok()?;
        answered.await.ok()
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
