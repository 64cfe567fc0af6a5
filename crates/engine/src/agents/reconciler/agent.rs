//! One agent as the reconciler knows it.

use std::collections::VecDeque;
use std::time::Instant;

use super::super::policy::Policy;
use super::{Part, Snapshot};

/// State of an agent, in the words of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// An operator stopped it.
    Stopped,
    /// It comes up.
    Starting,
    /// It is up, and the last look found nothing wrong.
    Running,
    /// Something is wrong; it is restarted after a pause.
    Unhealthy,
    /// It failed too often: it is tried again now and then.
    Failed,
    /// It goes down.
    Stopping,
}

impl State {
    /// The word of the API.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Unhealthy => "unhealthy",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
        }
    }
}

/// What is wrong with an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its engine cannot be reached.
    Engine,
    /// An account of its lines is not registered.
    Registration,
    /// No socket for a call's sound can be had.
    Media,
    /// It does not answer.
    Hung,
    /// Its run ended by itself: a panic, or a process that went away.
    Died,
    /// A process of it uses more memory than it may.
    Memory,
    /// It cannot be used as it is written.
    Settings,
}

impl Cause {
    /// A stable label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Registration => "registration",
            Self::Media => "media",
            Self::Hung => "hung",
            Self::Died => "died",
            Self::Memory => "memory",
            Self::Settings => "settings",
        }
    }
}

/// How much memory the processes of an agent use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// As much as they may, or less.
    Within,
    /// More.
    Over {
        /// Calls run: they are waited for, within `Policy::memory_grace`.
        busy: bool,
    },
}

/// What a look found. That the run answered at all is its liveness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Every account of its lines is registered, or is being registered; `None` where it has none.
    pub registered: Option<bool>,
    /// Its engine, or its second one, can be reached.
    pub engine: bool,
    /// A socket for a call's sound can be had.
    pub media: bool,
    /// Each of its processes answers; an agent of this process has none that could not.
    pub alive: bool,
    /// What its processes use.
    pub memory: Memory,
}

impl Health {
    /// The first thing that is wrong.
    #[must_use]
    pub const fn fault(&self) -> Option<Cause> {
        if !self.alive {
            Some(Cause::Hung)
        } else if matches!(self.memory, Memory::Over { .. }) {
            Some(Cause::Memory)
        } else if !self.engine {
            Some(Cause::Engine)
        } else if matches!(self.registered, Some(false)) {
            Some(Cause::Registration)
        } else if !self.media {
            Some(Cause::Media)
        } else {
            None
        }
    }
}

/// What a run says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The part that was to come up is up.
    Up(Part),
    /// It does not come up.
    NotUp(Part, Cause),
    /// The line is down.
    Lowered,
    /// What a look found.
    Checked(Health),
    /// The run ended by itself.
    Died,
}

/// What an agent is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing to do.
    Idle,
    /// It waits for its turn to come up.
    Queued,
    /// A part comes up.
    Rising { part: Part, by: Instant },
    /// Both parts are up.
    Up,
    /// It is tried again at that time, or once no call of it runs where `until_idle`. What is up stays up meanwhile, and is looked
    /// at if the run lives.
    Waiting { retry_at: Instant, until_idle: bool },
    /// The line goes down; `again`: to come up afterwards.
    Lowering { by: Instant, again: bool },
}

/// One agent.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts: what is wanted, whether there is a run, what the next one owes"
)]
pub(super) struct Agent {
    pub(super) wanted: bool,
    /// When an operator last said so.
    pub(super) ordered_at: Option<Instant>,
    /// It can be used as it is written.
    pub(super) usable: bool,
    pub(super) revision: u64,
    pub(super) state: State,
    pub(super) stage: Stage,
    /// Number of its run.
    pub(super) run: u64,
    /// There is a run.
    pub(super) lives: bool,
    /// The registrations must be made anew when the line comes up.
    pub(super) afresh: bool,
    /// Restarts since the pauses began anew.
    pub(super) attempt: u32,
    pub(super) restarts: u64,
    /// It was failed, and has not been up since.
    pub(super) gave_up: bool,
    pub(super) failures: VecDeque<Instant>,
    pub(super) cause: Option<Cause>,
    pub(super) health: Option<Health>,
    pub(super) checked_at: Option<Instant>,
    pub(super) next_check: Option<Instant>,
    /// A look that was not answered yet must be by then.
    pub(super) check_by: Option<Instant>,
    pub(super) running_since: Option<Instant>,
}

impl Agent {
    pub(super) const fn new(revision: u64, wanted: bool) -> Self {
        Self {
            wanted,
            ordered_at: None,
            usable: true,
            revision,
            state: State::Stopped,
            stage: Stage::Idle,
            run: 0,
            lives: false,
            afresh: false,
            attempt: 0,
            restarts: 0,
            gave_up: false,
            failures: VecDeque::new(),
            cause: None,
            health: None,
            checked_at: None,
            next_check: None,
            check_by: None,
            running_since: None,
        }
    }

    pub(super) const fn is_rising(&self) -> bool {
        matches!(self.stage, Stage::Rising { .. })
    }

    /// Failures and pauses begin anew.
    pub(super) fn forgive(&mut self) {
        self.failures.clear();
        self.attempt = 0;
        self.gave_up = false;
    }

    /// The first of its deadlines.
    pub(super) fn due(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Rising { by, .. } | Stage::Lowering { by, .. } => Some(by),
            Stage::Waiting { retry_at, .. } => Some(retry_at),
            Stage::Idle | Stage::Queued | Stage::Up => None,
        };
        [stage, self.next_check, self.check_by]
            .into_iter()
            .flatten()
            .min()
    }

    /// What time alone changes: old failures, and the reset after a long time without any.
    pub(super) fn settle(&mut self, now: Instant, policy: &Policy) {
        while let Some(first) = self.failures.front()
            && *first + policy.failures_within <= now
        {
            self.failures.pop_front();
        }
        if self.state == State::Running
            && self
                .running_since
                .is_some_and(|since| since + policy.healthy_after <= now)
        {
            self.forgive();
        }
    }

    pub(super) fn snapshot(&self, id: &str) -> Snapshot {
        Snapshot {
            id: id.to_owned(),
            state: self.state,
            wanted: self.wanted,
            restarts: self.restarts,
            failures: self.failures.len(),
            cause: self.cause,
            health: self.health,
            checked_at: self.checked_at,
            running_since: self.running_since,
            is_looked_at: self.check_by.is_some(),
            retry_at: match self.stage {
                Stage::Waiting { retry_at, .. } => Some(retry_at),
                Stage::Idle
                | Stage::Queued
                | Stage::Rising { .. }
                | Stage::Up
                | Stage::Lowering { .. } => None,
            },
        }
    }
}
