//! The protected goodbye: the caller hears all of the last words, then a short silence, then the hang-up. Everything is bounded.

use crate::end::EndReason;
use crate::limits::{
    APOLOGY_MS_MAX, GOODBYE_ASKS_MAX, GOODBYE_WAIT_MS_MAX, MESSAGE_MS_MAX, SHUTDOWN_GOODBYE_MS_MAX,
};
use crate::profile::GoodbyeBounds;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The model called `end_call`: its response comes to its end. With nothing said in it, a goodbye is asked for.
    Finishing,
    /// The house decided: what is being said may end, until `cut_at`.
    Waiting { cut_at: Option<u64> },
    /// A goodbye was asked of the model.
    Asked,
    /// No engine will speak again: what it said before may end, until `cut_at`; then our apology.
    LastWords { cut_at: Option<u64> },
    /// The last sound is being played.
    Draining,
    /// The silence before the hang-up.
    Pausing { until: u64 },
}

/// What the goodbye needs to know of the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    /// A response is wanted, requested or under way.
    pub(crate) response_busy: bool,
    /// Everything queued was played.
    pub(crate) playout_idle: bool,
    /// The engine can still speak.
    pub(crate) engine_up: bool,
}

/// What the goodbye needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GoodbyeStep {
    Ask,
    Cut,
    PlayLocal,
    HangUp { complete: bool },
}

#[derive(Debug)]
pub(crate) struct Goodbye {
    reason: EndReason,
    stage: Stage,
    deadline: u64,
    hang_up_delay_ms: u64,
    said: bool,
    asks: u8,
}

impl Goodbye {
    /// After `end_call`; `said`: the calling response has spoken.
    pub(crate) fn after_response(
        now: u64,
        reason: EndReason,
        bounds: &GoodbyeBounds,
        said: bool,
    ) -> Self {
        Self {
            reason,
            stage: Stage::Finishing,
            deadline: now + u64::from(bounds.drain_ms_max),
            hang_up_delay_ms: u64::from(bounds.hang_up_delay_ms),
            said,
            asks: 0,
        }
    }

    /// Decided by the house: silence, duration, shutdown.
    pub(crate) fn decided(now: u64, reason: EndReason, bounds: &GoodbyeBounds) -> Self {
        let mut goodbye = Self::after_response(now, reason, bounds, false);
        goodbye.stage = Stage::Waiting {
            cut_at: Some(now + GOODBYE_WAIT_MS_MAX),
        };
        if reason == EndReason::Draining {
            goodbye.stage = Stage::Waiting { cut_at: Some(now) };
            goodbye.deadline = goodbye.deadline.min(now + SHUTDOWN_GOODBYE_MS_MAX);
        } else if reason == EndReason::MessageLeft {
            goodbye.deadline = now + MESSAGE_MS_MAX;
        }
        goodbye
    }

    /// A local apology follows what is still being played. An engine generates faster than it plays: what is queued can be longer
    /// than any bound.
    pub(crate) fn local(now: u64, reason: EndReason, bounds: &GoodbyeBounds) -> Self {
        let mut goodbye = Self::after_response(now, reason, bounds, true);
        goodbye.stage = Stage::LastWords {
            cut_at: Some(now + GOODBYE_WAIT_MS_MAX),
        };
        goodbye.deadline = now + GOODBYE_WAIT_MS_MAX + APOLOGY_MS_MAX;
        goodbye
    }

    pub(crate) fn reason(&self) -> EndReason {
        self.reason
    }

    /// Audio of the model reached the playout queue.
    pub(crate) fn audio_started(&mut self) {
        self.said = true;
    }

    /// A response was cut by the engine: what it said is not a goodbye.
    pub(crate) fn response_cancelled(&mut self) {
        if self.asks < GOODBYE_ASKS_MAX && matches!(self.stage, Stage::Finishing | Stage::Asked) {
            self.said = false;
            self.stage = Stage::Finishing;
        }
    }

    /// The next step; call until `None`.
    pub(crate) fn advance(&mut self, now: u64, scene: Scene) -> Option<GoodbyeStep> {
        if now >= self.deadline {
            return Some(GoodbyeStep::HangUp { complete: false });
        }
        match self.stage {
            Stage::Finishing | Stage::Waiting { .. } | Stage::Asked if !scene.engine_up => {
                self.stage = Stage::Draining;
                (!self.said).then_some(GoodbyeStep::PlayLocal)
            }
            Stage::Finishing if !scene.response_busy && self.said => {
                self.stage = Stage::Draining;
                None
            }
            Stage::Finishing if !scene.response_busy => Some(self.ask()),
            Stage::Waiting { .. } if !scene.response_busy && scene.playout_idle => Some(self.ask()),
            Stage::Waiting { cut_at: Some(at) } if now >= at => {
                self.stage = Stage::Waiting { cut_at: None };
                Some(GoodbyeStep::Cut)
            }
            Stage::LastWords { .. } if scene.playout_idle => {
                self.stage = Stage::Draining;
                Some(GoodbyeStep::PlayLocal)
            }
            Stage::LastWords { cut_at: Some(at) } if now >= at => {
                self.stage = Stage::LastWords { cut_at: None };
                Some(GoodbyeStep::Cut)
            }
            Stage::Asked if !scene.response_busy => {
                self.stage = Stage::Draining;
                (!self.said).then_some(GoodbyeStep::PlayLocal)
            }
            Stage::Draining if scene.playout_idle && !scene.response_busy => {
                self.stage = Stage::Pausing {
                    until: now + self.hang_up_delay_ms,
                };
                None
            }
            Stage::Pausing { .. } if scene.response_busy || !scene.playout_idle => {
                self.stage = Stage::Draining;
                None
            }
            Stage::Pausing { until } if now >= until => {
                Some(GoodbyeStep::HangUp { complete: true })
            }
            Stage::Finishing
            | Stage::Waiting { .. }
            | Stage::Asked
            | Stage::LastWords { .. }
            | Stage::Draining
            | Stage::Pausing { .. } => None,
        }
    }

    fn ask(&mut self) -> GoodbyeStep {
        if self.asks >= GOODBYE_ASKS_MAX {
            self.stage = Stage::Draining;
            return GoodbyeStep::PlayLocal;
        }
        self.asks += 1;
        self.said = false;
        self.stage = Stage::Asked;
        GoodbyeStep::Ask
    }

    pub(crate) fn timeouts(&self) -> [Option<u64>; 2] {
        let stage_at = match self.stage {
            Stage::Waiting { cut_at } | Stage::LastWords { cut_at } => cut_at,
            Stage::Pausing { until } => Some(until),
            Stage::Finishing | Stage::Asked | Stage::Draining => None,
        };
        [Some(self.deadline), stage_at]
    }
}
