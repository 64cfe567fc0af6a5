//! Which agents must run, which do, and what is done about the difference: no clock, no socket, no task.
//!
//! The desired set comes whole; orders of operators, reports of what was asked for, and time come in between. Out come the next
//! steps. The steps are the same whether an agent runs in this process or as processes of its own: bring a part up, take it
//! down, look at it, end it. An agent has two parts, in the order in which they depend on each other: the voice (an engine that
//! can be reached) and the line (accounts that are registered). They come up in this order and go down in the other, so that no
//! caller is brought to an agent that cannot speak.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::policy::{Policy, within};
use crate::random::Choice;

mod agent;
mod steps;

use agent::{Agent, Stage};
pub use agent::{Cause, Health, Memory, Report, State};

/// A part of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What speaks.
    Voice,
    /// What callers reach.
    Line,
}

/// An agent that should exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Its id.
    pub id: String,
    /// Changes whenever anything of the agent or of its lines does.
    pub revision: u64,
    /// An operator stopped it: it stays stopped until one starts it.
    pub stopped: bool,
    /// It can be used as it is written.
    pub usable: bool,
}

/// What an operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Run it, and forget its failures.
    Start,
    /// Stop it, and keep it so.
    Stop,
    /// Both parts down, then up.
    Restart,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// All agents that should exist, and when that was read: an operator's word of later stands.
    Desired(&'a [Desired], Instant),
    /// An operator's word; an unknown agent is ignored.
    Order(&'a str, Order),
    /// A look is wanted now.
    Look(&'a str),
    /// A report of the run of this number; of an earlier run it is ignored.
    Report(&'a str, u64, Report),
    /// A deadline passed.
    Timeout,
}

/// The next step of an agent. `run` is the number of the run that reports on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bring a part up, and report. A run that does not exist yet is begun. `afresh`: a registration is made anew even where
    /// there seems to be one.
    Raise {
        /// Agent.
        id: String,
        /// Run.
        run: u64,
        /// Part.
        part: Part,
        /// Make it anew.
        afresh: bool,
    },
    /// Take the line down, and report.
    Lower {
        /// Agent.
        id: String,
        /// Run.
        run: u64,
    },
    /// Look, and report.
    Check {
        /// Agent.
        id: String,
        /// Run.
        run: u64,
    },
    /// End the run, whatever it does. Its line stays as it is: calls do not pass through the run.
    Kill {
        /// Agent.
        id: String,
        /// Run.
        run: u64,
    },
    /// The agent exists no more.
    Forget {
        /// Agent.
        id: String,
    },
    /// Its state changed.
    Changed {
        /// Agent.
        id: String,
        /// Before.
        from: State,
        /// Now.
        to: State,
        /// Why, where something went wrong.
        cause: Option<Cause>,
    },
}

/// What is known of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: State,
    /// No operator stopped it.
    pub wanted: bool,
    /// Restarts since the reconciler began, those that an operator ordered too.
    pub restarts: u64,
    /// Failures within [`Policy::failures_within`].
    pub failures: usize,
    /// Why it is not well.
    pub cause: Option<Cause>,
    /// What the last look found.
    pub health: Option<Health>,
    /// When that was.
    pub checked_at: Option<Instant>,
    /// Since when it runs.
    pub running_since: Option<Instant>,
    /// When it is tried again.
    pub retry_at: Option<Instant>,
    /// A look was asked for and is not answered yet.
    pub is_looked_at: bool,
}

/// The reconciler.
pub struct Reconciler {
    policy: Policy,
    random: Choice,
    agents: BTreeMap<String, Agent>,
    due: BTreeSet<(Instant, String)>,
    queue: VecDeque<String>,
    rising: usize,
    runs: u64,
    steps: VecDeque<Step>,
}

impl Reconciler {
    /// A reconciler that knows no agent. The seed fixes every jitter.
    #[must_use]
    pub fn new(policy: Policy, seed: u64) -> Self {
        Self {
            policy,
            random: Choice::new(seed),
            agents: BTreeMap::new(),
            due: BTreeSet::new(),
            queue: VecDeque::new(),
            rising: 0,
            runs: 0,
            steps: VecDeque::new(),
        }
    }

    /// Takes what happened. Drain [`Reconciler::poll_step`] afterwards.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Desired(all, read_at) => self.desired(now, all, read_at),
            Input::Order(id, order) => self.with(now, id, |this, agent| {
                agent.ordered_at = Some(now);
                this.order(now, id, agent, order);
            }),
            Input::Look(id) => self.with(now, id, |this, agent| this.look(now, id, agent)),
            Input::Report(id, run, report) => self.with(now, id, |this, agent| {
                if agent.run == run {
                    this.report(now, id, agent, report);
                }
            }),
            Input::Timeout => self.timeout(now),
        }
        self.start_next(now);
    }

    /// The next step, oldest first.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// When [`Input::Timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// One agent.
    #[must_use]
    pub fn agent(&self, id: &str) -> Option<Snapshot> {
        let (id, agent) = self.agents.get_key_value(id)?;
        Some(agent.snapshot(id))
    }

    /// All agents, in the order of their ids.
    pub fn agents(&self) -> impl Iterator<Item = Snapshot> {
        self.agents.iter().map(|(id, agent)| agent.snapshot(id))
    }

    /// How many of all run: `(running, all)`.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let running = self
            .agents
            .values()
            .filter(|agent| agent.state == State::Running);
        (running.count(), self.agents.len())
    }

    /// Lets something happen to one agent, and keeps the table of deadlines right.
    fn with(&mut self, now: Instant, id: &str, change: impl FnOnce(&mut Self, &mut Agent)) {
        let Some(mut agent) = self.agents.remove(id) else {
            return;
        };
        if let Some(at) = agent.due() {
            self.due.remove(&(at, id.to_owned()));
        }
        let (before, rose) = (agent.state, agent.is_rising());
        change(self, &mut agent);
        match (rose, agent.is_rising()) {
            (true, false) => self.rising -= 1,
            (false, true) => self.rising += 1,
            (true, true) | (false, false) => {}
        }
        agent.settle(now, &self.policy);
        if agent.state != before {
            self.steps.push_back(Step::Changed {
                id: id.to_owned(),
                from: before,
                to: agent.state,
                cause: agent.cause,
            });
        }
        if let Some(at) = agent.due() {
            self.due.insert((at, id.to_owned()));
        }
        self.agents.insert(id.to_owned(), agent);
    }

    /// Whether an agent is to be stopped, by a list that was read at this time and by its operators.
    #[must_use]
    pub fn is_stopped(&self, desired: &Desired, read_at: Instant) -> bool {
        let agent = self.agents.get(&desired.id);
        // Read before the order was written, perhaps: the next reading has it.
        let newer = agent.filter(|agent| agent.ordered_at.is_some_and(|at| read_at <= at));
        newer.map_or(desired.stopped, |agent| !agent.wanted)
    }

    fn desired(&mut self, now: Instant, all: &[Desired], read_at: Instant) {
        let wanted: BTreeSet<&str> = all.iter().map(|desired| desired.id.as_str()).collect();
        let gone: Vec<String> = self
            .agents
            .keys()
            .filter(|id| !wanted.contains(id.as_str()))
            .cloned()
            .collect();
        for id in gone {
            self.forget(&id);
        }
        for desired in all {
            if !self.agents.contains_key(&desired.id) {
                let agent = Agent::new(desired.revision, !desired.stopped);
                self.agents.insert(desired.id.clone(), agent);
                if !desired.usable {
                    self.with(now, &desired.id, |this, agent| {
                        this.unusable(&desired.id, agent);
                    });
                } else if !desired.stopped {
                    self.with(now, &desired.id, |this, agent| {
                        this.begin(&desired.id, agent);
                    });
                }
                continue;
            }
            let stopped = self.is_stopped(desired, read_at);
            self.with(now, &desired.id, |this, agent| {
                this.compare(now, desired, stopped, agent);
            });
        }
    }

    /// The engine has taken its lines away already: only the run is left to end.
    fn forget(&mut self, id: &str) {
        let Some(agent) = self.agents.remove(id) else {
            return;
        };
        if let Some(at) = agent.due() {
            self.due.remove(&(at, id.to_owned()));
        }
        if agent.is_rising() {
            self.rising -= 1;
        }
        self.queue.retain(|queued| queued != id);
        let id = id.to_owned();
        if agent.lives {
            let run = agent.run;
            self.steps.push_back(Step::Kill {
                id: id.clone(),
                run,
            });
        }
        self.steps.push_back(Step::Forget { id });
    }

    fn compare(&mut self, now: Instant, desired: &Desired, stopped: bool, agent: &mut Agent) {
        let id = desired.id.as_str();
        if !desired.usable {
            agent.wanted = !stopped;
            agent.revision = desired.revision;
            return self.unusable(id, agent);
        }
        if !std::mem::replace(&mut agent.usable, true) {
            agent.wanted = !stopped;
            agent.revision = desired.revision;
            agent.cause = None;
            agent.forgive();
            if agent.wanted {
                self.begin(id, agent);
            } else {
                agent.state = State::Stopped;
            }
            return;
        }
        if stopped == agent.wanted {
            // Another node's operator, or one of before this process.
            let order = if stopped { Order::Stop } else { Order::Start };
            self.order(now, id, agent, order);
        }
        if desired.revision == agent.revision {
            return;
        }
        agent.revision = desired.revision;
        match agent.stage {
            // What made it fail may be what was changed.
            Stage::Waiting { .. } => {
                agent.forgive();
                self.begin(id, agent);
            }
            Stage::Up => self.look_soon(now, agent),
            Stage::Idle | Stage::Queued | Stage::Rising { .. } | Stage::Lowering { .. } => {}
        }
    }

    fn timeout(&mut self, now: Instant) {
        while let Some((at, id)) = self.due.first().cloned() {
            if at > now {
                return;
            }
            self.with(now, &id, |this, agent| this.late(now, &id, agent));
        }
    }

    /// Agents that wait for their turn, as far as there is room.
    fn start_next(&mut self, now: Instant) {
        while self.rising < self.policy.starts_at_once {
            let Some(id) = self.queue.pop_front() else {
                return;
            };
            self.with(now, &id, |this, agent| {
                if agent.stage == Stage::Queued {
                    this.raise(now, &id, agent, Part::Voice);
                }
            });
        }
    }

    /// A first look that is spread over the interval: agents that started together are not looked at together.
    fn first_look(&mut self, now: Instant) -> Instant {
        now + within(self.policy.check_every, &mut self.random)
    }
}

#[cfg(test)]
mod tests;
