//! The task around the reconciler: it carries out the steps and answers those who ask.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use call::TenantId;
use catalog::Message;
use jiff::{SignedDuration, Timestamp};
use store::{Store, TenantScope};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use super::apart::{Apart, ApartAgent, ApartLine, Word};
use super::keeper::{self, Disturbance, Facts, Keeper, Reach, Said};
use super::policy::Policy;
use super::reconciler::{
    Cause, Desired, Input, Order, Part, Reconciler, Report, Snapshot, State, Step,
};
use super::{AgentChange, AgentStatus, LeftOut, OTHER_ID, OrderError, Totals, between};
use crate::config::{AgentConfig, LineConfig};
use crate::dispatch::Gate;
use crate::engine::Engine;
use crate::log::say;
use crate::metrics::Metrics;
use crate::realtime_client::Target;

/// Reports that wait for the manager.
const REPORTS_MAX: usize = 1_024;
/// Looks that are waited for at the same time; further ones get what is known.
const WAITING_MAX: usize = 256;
/// What the manager is asked.
pub(super) enum Ask {
    /// With the time when it was read.
    Follow(Vec<Known>, Instant),
    List(oneshot::Sender<Vec<AgentStatus>>),
    Totals(oneshot::Sender<Totals>),
    Status {
        key: String,
        look: bool,
        answer: oneshot::Sender<Option<AgentStatus>>,
    },
    Order {
        key: String,
        order: Order,
        force: bool,
        answer: oneshot::Sender<Result<AgentStatus, OrderError>>,
    },
    Disturb {
        key: String,
        how: Disturbance,
        answer: oneshot::Sender<bool>,
    },
}

/// An agent as the directory has it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) id: String,
    other_id: Option<String>,
    name: String,
    tenant: String,
    pub(super) stopped: bool,
    revision: u64,
    fault: Option<String>,
    facts: Facts,
}

impl Known {
    /// An agent that cannot be used: it is listed, with the reason.
    pub(super) fn left_out(agent: &LeftOut, stopped: bool) -> Self {
        let mut hasher = DefaultHasher::new();
        agent.why.hash(&mut hasher);
        Self {
            id: agent.id.clone(),
            other_id: agent.other_id.clone(),
            name: agent.name.clone(),
            tenant: agent.tenant.clone(),
            stopped,
            revision: hasher.finish(),
            fault: Some(agent.why.clone()),
            facts: Facts::default(),
        }
    }

    pub(super) fn of(agent: &AgentConfig, lines: &[&LineConfig], stopped: bool) -> Self {
        let definition = agent
            .office
            .as_ref()
            .map(|office| office.agent.definition());
        let other_id = definition
            .and_then(|known| known.settings.prompt.config.get(OTHER_ID)?.as_str())
            .filter(|id| !id.is_empty())
            .map(str::to_owned);
        let mut hasher = DefaultHasher::new();
        definition.map(|known| known.version).hash(&mut hasher);
        for line in lines {
            format!("{line:?}").hash(&mut hasher);
            // Not in the text: it is a secret.
            let password = line.account.as_ref().map(|account| &account.password);
            password.hash(&mut hasher);
        }
        let engines = [Some(&agent.engine), agent.fallback.as_ref()];
        let engines = engines.into_iter().flatten();
        let address = |engine: &crate::config::EngineChoice| {
            let target = Target::new(&engine.realtime)?;
            Some((target.host().to_owned(), target.port()))
        };
        let apart = ApartAgent {
            id: agent.name.clone(),
            other_id: other_id.clone(),
            revision: hasher.finish(),
            lines: lines.iter().copied().filter_map(ApartLine::of).collect(),
        };
        Self {
            id: agent.name.clone(),
            fault: None,
            other_id,
            name: definition.map_or_else(|| agent.name.clone(), |known| known.name.clone()),
            tenant: definition.map_or_else(String::new, |known| known.tenant_id.clone()),
            stopped,
            revision: hasher.finish(),
            facts: Facts {
                engines: engines.filter_map(address).collect(),
                accounts: lines
                    .iter()
                    .filter(|line| {
                        line.account
                            .as_ref()
                            .is_some_and(|account| account.register)
                    })
                    .map(|line| line.name.clone())
                    .collect(),
                apart: Arc::new(apart),
            },
        }
    }
}

/// One run in this process.
struct Run {
    number: u64,
    asks: mpsc::Sender<keeper::Ask>,
    task: AbortHandle,
}

/// Somebody who waits for a look at an agent, and since when.
struct Waiting {
    id: String,
    since: Instant,
    answer: oneshot::Sender<Option<AgentStatus>>,
}

pub(super) struct Shell {
    engine: Engine,
    store: Store,
    reconciler: Reconciler,
    policy: Policy,
    known: BTreeMap<String, Known>,
    others: HashMap<String, String>,
    facts: Arc<Mutex<BTreeMap<String, Facts>>>,
    reach: Reach,
    apart: Option<Apart>,
    runs: HashMap<String, Run>,
    tasks: JoinSet<()>,
    ids: HashMap<tokio::task::Id, (String, u64)>,
    waiting: Vec<Waiting>,
    said: mpsc::Sender<Said>,
    reports: mpsc::Receiver<Said>,
    changes: broadcast::Sender<AgentChange>,
}

impl Shell {
    pub(super) fn new(
        (engine, store, changes): (Engine, Store, broadcast::Sender<AgentChange>),
        policy: Policy,
        (seed, apart): (u64, Option<Apart>),
    ) -> Self {
        let (said, reports) = mpsc::channel(REPORTS_MAX);
        Self {
            engine,
            store,
            reconciler: Reconciler::new(policy, seed),
            policy,
            known: BTreeMap::new(),
            others: HashMap::new(),
            facts: Arc::default(),
            reach: Reach::default(),
            apart,
            runs: HashMap::new(),
            tasks: JoinSet::new(),
            ids: HashMap::new(),
            waiting: Vec::new(),
            said,
            reports,
            changes,
        }
    }

    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        loop {
            let due = self.reconciler.poll_timeout();
            let timer = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into());
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => self.answer(ask).await,
                    None => return,
                },
                Some(said) = self.reports.recv() => {
                    self.tell(Input::Report(&said.id, said.run, said.report)).await;
                }
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended).await,
                () = timer, if due.is_some() => self.tell(Input::Timeout).await,
            }
        }
    }

    async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Follow(known, read_at) => self.follow(known, read_at).await,
            Ask::List(answer) => {
                let _ = answer.send(self.statuses());
            }
            Ask::Totals(answer) => {
                let (running, agents) = self.reconciler.count();
                let _ = answer.send(Totals { running, agents });
            }
            Ask::Status { key, look, answer } => self.status(&key, look, answer).await,
            Ask::Order {
                key,
                order,
                force,
                answer,
            } => {
                let _ = answer.send(self.order(&key, order, force).await);
            }
            Ask::Disturb { key, how, answer } => {
                let run = self.id_of(&key).and_then(|id| self.runs.get(&id));
                let asked =
                    run.is_some_and(|run| run.asks.try_send(keeper::Ask::Disturb(how)).is_ok());
                let _ = answer.send(asked);
            }
        }
    }

    async fn follow(&mut self, all: Vec<Known>, read_at: Instant) {
        let desired: Vec<Desired> = all
            .iter()
            .map(|known| Desired {
                id: known.id.clone(),
                revision: known.revision,
                stopped: known.stopped,
                usable: known.fault.is_none(),
            })
            .collect();
        let facts = all
            .iter()
            .map(|known| (known.id.clone(), known.facts.clone()))
            .collect();
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = facts;
        self.others = all
            .iter()
            .filter_map(|known| Some((known.other_id.clone()?, known.id.clone())))
            .collect();
        let first = self.known.is_empty() && !all.is_empty();
        self.known = all
            .into_iter()
            .map(|known| (known.id.clone(), known))
            .collect();
        if first {
            say(&Message::new("log_agents_managed")
                .with("count", self.known.len())
                .with("seconds", self.policy.check_every.as_secs()));
        }
        if let Some(apart) = &self.apart {
            let stopped = |agent: &Desired| self.reconciler.is_stopped(agent, read_at);
            let wanted = desired
                .iter()
                .filter(|agent| !stopped(agent) && agent.usable);
            let wanted = wanted.map(|agent| agent.id.clone()).collect();
            apart.tell(Word::Keep(wanted)).await;
        }
        self.tell(Input::Desired(&desired, read_at)).await;
    }

    /// The id of an agent, from its own or from the one that its back office has for it.
    fn id_of(&self, key: &str) -> Option<String> {
        if self.known.contains_key(key) {
            return Some(key.to_owned());
        }
        self.others.get(key).cloned()
    }

    async fn status(
        &mut self,
        key: &str,
        look: bool,
        answer: oneshot::Sender<Option<AgentStatus>>,
    ) {
        let Some(id) = self.id_of(key) else {
            let _ = answer.send(None);
            return;
        };
        if look && self.waiting.len() < WAITING_MAX {
            let since = Instant::now();
            self.waiting.push(Waiting {
                id: id.clone(),
                since,
                answer,
            });
            return self.tell(Input::Look(&id)).await;
        }
        let _ = answer.send(self.status_of(&id));
    }

    async fn order(
        &mut self,
        key: &str,
        order: Order,
        force: bool,
    ) -> Result<AgentStatus, OrderError> {
        let id = self.id_of(key).ok_or(OrderError::Unknown)?;
        let stopped = order == Order::Stop;
        let tenant = self.known.get(&id).map(|known| known.tenant.clone());
        let scope = TenantScope::new(TenantId::from(tenant.unwrap_or_default()));
        self.store
            .set_agent_stopped(&scope, &id, stopped)
            .await
            .map_err(OrderError::NotWritten)?;
        if !stopped && self.apart.is_none() {
            // Calls are taken from now on; the accounts follow once it can speak.
            let gate = self.engine.gate(&id);
            if gate == Gate::Closed {
                self.engine.set_gate(&id, Gate::Answers, false).await;
            }
        }
        self.tell(Input::Order(&id, order)).await;
        if stopped && force {
            self.engine.shared().hang_up_agent(&id);
            if let Some(apart) = &self.apart {
                apart.tell(Word::Hurry(id.clone())).await;
            }
        }
        self.status_of(&id).ok_or(OrderError::Unknown)
    }

    async fn ended(&mut self, ended: Result<(tokio::task::Id, ()), tokio::task::JoinError>) {
        let task = match &ended {
            Ok((task, ())) => *task,
            Err(error) => error.id(),
        };
        let Some((id, number)) = self.ids.remove(&task) else {
            return;
        };
        if self.runs.get(&id).is_some_and(|run| run.number == number) {
            self.runs.remove(&id);
            self.tell(Input::Report(&id, number, Report::Died)).await;
        }
    }

    /// Tells the reconciler, and does what it says.
    async fn tell(&mut self, input: Input<'_>) {
        let now = Instant::now();
        self.reconciler.handle(now, input);
        while let Some(step) = self.reconciler.poll_step() {
            self.step(step).await;
        }
        self.answer_waiting();
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Raise {
                id,
                run,
                part,
                afresh,
            } => {
                if part == Part::Line && self.apart.is_none() {
                    self.engine.set_gate(&id, Gate::Open, afresh).await;
                }
                self.ask(&id, run, keeper::Ask::Raise(part));
            }
            Step::Lower { id, run } => {
                self.engine.set_gate(&id, Gate::Closed, false).await;
                self.ask(&id, run, keeper::Ask::Lower);
            }
            Step::Check { id, run } => self.ask(&id, run, keeper::Ask::Check),
            Step::Kill { id, run } => {
                if self.runs.get(&id).is_some_and(|known| known.number == run)
                    && let Some(run) = self.runs.remove(&id)
                {
                    run.task.abort();
                }
            }
            Step::Forget { id: _ } => {}
            Step::Changed {
                id,
                from,
                to,
                cause,
            } => self.changed(&id, from, to, cause),
        }
    }

    /// Asks a run, which is begun where it does not exist. One that takes nothing more hangs: its deadline says so.
    fn ask(&mut self, id: &str, number: u64, ask: keeper::Ask) {
        let begun = self.runs.get(id).is_some_and(|run| run.number == number);
        if !begun {
            let (asks, receiver) = mpsc::channel(keeper::ASKS_MAX);
            let keeper = Keeper {
                id: id.to_owned(),
                run: number,
                engine: self.engine.clone(),
                facts: Arc::clone(&self.facts),
                reach: self.reach.clone(),
                apart: self.apart.clone(),
                said: self.said.clone(),
            };
            let task = self.tasks.spawn(keeper.keep(receiver));
            self.ids.insert(task.id(), (id.to_owned(), number));
            let run = Run { number, asks, task };
            if let Some(before) = self.runs.insert(id.to_owned(), run) {
                before.task.abort();
            }
        }
        if let Some(run) = self.runs.get(id) {
            let _ = run.asks.try_send(ask);
        }
    }

    fn changed(&self, id: &str, from: State, to: State, cause: Option<Cause>) {
        // Nobody may be watching.
        let _ = self.changes.send(AgentChange {
            id: id.to_owned(),
            tenant: self
                .known
                .get(id)
                .map(|known| known.tenant.clone())
                .unwrap_or_default(),
            state: to,
            cause,
        });
        let metrics = &self.engine.shared().metrics;
        Metrics::count(&metrics.agent_changes, to.label(), 1);
        let message = Message::new("log_agent_state")
            .with("agent", id)
            .with("from", from.label())
            .with("to", to.label());
        say(&match cause {
            Some(cause) => message.with("cause", cause.label()),
            None => message,
        });
        if let (State::Failed, Some(cause)) = (to, cause) {
            say(&Message::new("log_agent_failed")
                .with("agent", id)
                .with("cause", cause.label())
                .with("minutes", self.policy.slow_retry.as_secs() / 60));
        }
    }

    /// Answers those whose look was made, or cannot be made.
    fn answer_waiting(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            let agent = self.reconciler.agent(&waiting.id);
            let looked = agent.as_ref().is_none_or(|agent| {
                let seen = agent.checked_at.is_some_and(|at| at >= waiting.since);
                seen || !agent.is_looked_at
            });
            if looked {
                let _ = waiting.answer.send(self.status_of(&waiting.id));
            } else {
                self.waiting.push(waiting);
            }
        }
    }

    fn status_of(&self, id: &str) -> Option<AgentStatus> {
        let calls = self.engine.shared().running_by_agent();
        let snapshot = self.reconciler.agent(id)?;
        let known = self.known.get(id)?;
        Some(status(known, snapshot, &calls))
    }

    fn statuses(&self) -> Vec<AgentStatus> {
        let calls = self.engine.shared().running_by_agent();
        let agents = self.reconciler.agents();
        agents
            .filter_map(|snapshot| {
                let known = self.known.get(&snapshot.id)?;
                Some(status(known, snapshot, &calls))
            })
            .collect()
    }
}

fn status(known: &Known, snapshot: Snapshot, calls: &BTreeMap<String, usize>) -> AgentStatus {
    let now = Instant::now();
    let wall = |at: Instant| {
        let ago = SignedDuration::try_from(between(at, now)).ok()?;
        Timestamp::now().checked_sub(ago).ok()
    };
    AgentStatus {
        id: known.id.clone(),
        other_id: known.other_id.clone(),
        name: known.name.clone(),
        tenant: known.tenant.clone(),
        registers: !known.facts.accounts.is_empty(),
        calls: calls.get(&known.id).copied().unwrap_or_default(),
        up_for: snapshot.running_since.map(|since| between(since, now)),
        checked_at: snapshot.checked_at.and_then(wall),
        retry_in: snapshot.retry_at.map(|at| between(now, at)),
        fault: known.fault.clone(),
        known: snapshot,
    }
}
