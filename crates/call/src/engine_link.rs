//! The life of the engine's connection: connecting, ready, retried after a loss within a bound, replaced before it expires.

use crate::end::EndReason;
use crate::input::EngineFailure;
use crate::limits::{ENGINE_STABLE_MS, RECONNECT_BACKOFF_MS, ROTATION_MS_MAX};
use crate::profile::EngineBounds;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A connection is being made; the outage (or the set-up) must be over at `give_up_at`.
    Connecting { give_up_at: u64 },
    /// The next attempt is due at `at`.
    Waiting { at: u64, give_up_at: u64 },
    /// The session is configured.
    Ready,
    /// A new session is being made beside the old one.
    Rotating { give_up_at: u64 },
    /// Given up, or closed.
    Down,
}

/// What became of a readiness report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    First,
    Again,
    Rotated,
    Ignored,
}

/// What the connection needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkStep {
    Connect { attempt: u8, replay: bool },
    Rotate,
    GiveUp { close: bool },
}

#[derive(Debug)]
pub(crate) struct EngineLink {
    bounds: EngineBounds,
    state: State,
    attempt: u8,
    ever_ready: bool,
    /// When the session counts as one that works.
    stable_at: u64,
    last_failure: Option<EngineFailure>,
    rotate_at: Option<u64>,
    rotate_by: u64,
}

impl EngineLink {
    /// A link whose first attempt is made at once; the set-up must be over at `give_up_at`.
    pub(crate) fn new(bounds: EngineBounds, give_up_at: u64) -> Self {
        Self {
            bounds,
            state: State::Waiting { at: 0, give_up_at },
            attempt: 0,
            ever_ready: false,
            stable_at: u64::MAX,
            last_failure: None,
            rotate_at: None,
            rotate_by: 0,
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    pub(crate) fn is_down(&self) -> bool {
        self.state == State::Down
    }

    /// Ready, or about to be replaced by one that is.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Ready | State::Rotating { .. })
    }

    /// There is a connection for the shell to close.
    pub(crate) fn is_open(&self) -> bool {
        matches!(
            self.state,
            State::Connecting { .. } | State::Ready | State::Rotating { .. }
        )
    }

    pub(crate) fn attempt(&self) -> u8 {
        self.attempt
    }

    /// No further attempt; tells whether there was a connection to close.
    pub(crate) fn stop(&mut self) -> bool {
        let open = self.is_open();
        self.state = State::Down;
        open
    }

    /// The engine that was closed is wanted again: as after a loss, and as many attempts.
    pub(crate) fn reopen(&mut self, now: u64) {
        if self.state == State::Down {
            self.attempt = 0;
            self.last_failure = None;
            self.rotate_at = None;
            self.state = State::Waiting {
                at: now,
                give_up_at: now + u64::from(self.bounds.reconnect_ms_max),
            };
        }
    }

    /// Why the call ends when the engine is given up.
    pub(crate) fn end_reason(&self) -> EndReason {
        match self.last_failure {
            Some(EngineFailure::Refused | EngineFailure::Rejected) => EndReason::EngineRefused,
            Some(
                EngineFailure::RateLimited
                | EngineFailure::Unavailable
                | EngineFailure::Unreachable
                | EngineFailure::Timeout
                | EngineFailure::Closed { .. }
                | EngineFailure::Expired,
            )
            | None => {
                if self.ever_ready {
                    EndReason::EngineLost
                } else {
                    EndReason::EngineUnavailable
                }
            }
        }
    }

    /// The session is configured.
    pub(crate) fn ready(&mut self, now: u64, expires_in_ms: Option<u64>) -> Readiness {
        let readiness = match self.state {
            State::Connecting { .. } if self.ever_ready => Readiness::Again,
            State::Connecting { .. } => Readiness::First,
            State::Rotating { .. } => Readiness::Rotated,
            State::Waiting { .. } | State::Ready | State::Down => return Readiness::Ignored,
        };
        self.state = State::Ready;
        self.ever_ready = true;
        self.stable_at = now + ENGINE_STABLE_MS;
        self.last_failure = None;
        self.rotate_at = None;
        if let Some(lifetime_ms) = expires_in_ms {
            self.schedule_rotation(now, lifetime_ms);
        }
        readiness
    }

    fn schedule_rotation(&mut self, now: u64, lifetime_ms: u64) {
        let before_ms = u64::from(self.bounds.rotate_before_expiry_ms);
        // A session that lives shorter than the margin is rotated at half of its life.
        let wait_ms = if lifetime_ms > before_ms.saturating_mul(2) {
            lifetime_ms - before_ms
        } else {
            lifetime_ms / 2
        };
        self.rotate_at = Some(now + wait_ms.max(1_000));
        self.rotate_by = now + (wait_ms + (lifetime_ms - wait_ms) / 2).max(1_000);
    }

    /// The engine announces its end: the session is rotated as soon as nobody speaks, and in time in any case.
    pub(crate) fn expires(&mut self, now: u64, in_ms: u64) {
        if self.state == State::Ready {
            self.rotate_at = Some(now);
            self.rotate_by = now + in_ms / 2;
        }
    }

    /// The engine was heard: this session works.
    pub(crate) fn heard(&mut self, now: u64) {
        self.stable_at = self.stable_at.min(now);
    }

    /// The engine is there but of no use: no further attempt.
    pub(crate) fn abandon(&mut self, failure: EngineFailure) {
        self.last_failure = Some(failure);
        self.state = State::Down;
    }

    /// The engine is gone. False when that is no news.
    pub(crate) fn lost(&mut self, now: u64, failure: EngineFailure) -> bool {
        let give_up_at = match self.state {
            State::Connecting { give_up_at } => give_up_at,
            State::Ready | State::Rotating { .. } => {
                // A session that opens and closes at once must not be opened for ever.
                if now >= self.stable_at {
                    self.attempt = 0;
                }
                now + u64::from(self.bounds.reconnect_ms_max)
            }
            State::Waiting { .. } | State::Down => return false,
        };
        self.last_failure = Some(failure);
        self.rotate_at = None;
        let exhausted = self.attempt >= self.bounds.attempts_max.max(1);
        self.state = if exhausted || !failure.is_retryable() {
            State::Waiting {
                at: u64::MAX,
                give_up_at: now,
            }
        } else {
            let backoff_ms = match self.attempt {
                0 => 0,
                made => RECONNECT_BACKOFF_MS << (made - 1).min(4),
            };
            State::Waiting {
                at: now + backoff_ms,
                give_up_at,
            }
        };
        true
    }

    /// The next step at this instant. `quiet`: nobody speaks and nothing is owed; `busy`: a response is under way.
    pub(crate) fn advance(&mut self, now: u64, quiet: bool, busy: bool) -> Option<LinkStep> {
        match self.state {
            State::Waiting { give_up_at, .. } if now >= give_up_at => {
                self.state = State::Down;
                Some(LinkStep::GiveUp { close: false })
            }
            State::Waiting { at, give_up_at } if now >= at => {
                self.attempt = self.attempt.saturating_add(1);
                self.state = State::Connecting { give_up_at };
                Some(LinkStep::Connect {
                    attempt: self.attempt,
                    replay: self.ever_ready,
                })
            }
            State::Connecting { give_up_at } if now >= give_up_at => {
                self.state = State::Down;
                Some(LinkStep::GiveUp { close: true })
            }
            State::Rotating { give_up_at } if now >= give_up_at => {
                self.lost(now, EngineFailure::Timeout);
                None
            }
            State::Ready
                if self.rotate_at.is_some_and(|at| now >= at)
                    && (quiet || (now >= self.rotate_by && !busy)) =>
            {
                self.rotate_at = None;
                self.state = State::Rotating {
                    give_up_at: now + ROTATION_MS_MAX,
                };
                Some(LinkStep::Rotate)
            }
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Rotating { .. }
            | State::Ready
            | State::Down => None,
        }
    }

    pub(crate) fn timeouts(&self) -> [Option<u64>; 2] {
        match self.state {
            State::Connecting { give_up_at } | State::Rotating { give_up_at } => {
                [Some(give_up_at), None]
            }
            State::Waiting { at, give_up_at } => [(at != u64::MAX).then_some(at), Some(give_up_at)],
            State::Ready => [self.rotate_at, self.rotate_at.map(|_| self.rotate_by)],
            State::Down => [None, None],
        }
    }
}
