//! The engine's connection as the session lives it: there, lost, back, replaced, given up.

use super::Session;
use crate::effect::{Effect, Purpose, SessionEvent};
use crate::engine_link::{LinkStep, Readiness};
use crate::input::EngineFailure;
use crate::limits::RESPONSE_FAILURES_MAX;
use crate::liveness::Floor;
use crate::opening::OpeningWords;
use crate::phase::Phase;
use crate::profile::Greeting;

impl Session {
    pub(super) fn settle_link(&mut self) {
        match self.phase {
            Phase::Joined
            | Phase::Parked
            | Phase::HangingUp
            | Phase::Ended
            | Phase::Apologising => return,
            Phase::Ringing
            | Phase::Dialing
            | Phase::Answering
            | Phase::Talking
            | Phase::Transferring
            | Phase::Goodbye => {}
        }
        let quiet = self.floor() == Floor::Free;
        // A goodbye is not the moment to replace the engine.
        let busy =
            self.phase == Phase::Goodbye || self.turn.response_busy() || self.ledger.is_running();
        match self.link.advance(self.now, quiet, busy) {
            Some(LinkStep::Connect { attempt, replay }) => {
                self.effect(Effect::ConnectEngine { attempt, replay })
            }
            Some(LinkStep::Rotate) => {
                self.journal(SessionEvent::Rotating);
                self.outbox.owed_at_loss = self.forget_engine() && !quiet;
                self.opening.disclosure.engine_lost();
                self.effect(Effect::RotateEngine);
            }
            Some(LinkStep::GiveUp { close }) => {
                if close {
                    self.effect(Effect::CloseEngine);
                }
                self.engine_given_up();
            }
            None => {}
        }
    }

    fn engine_given_up(&mut self) {
        let reason = self.link.end_reason();
        match self.phase {
            // Nobody has answered: they need not be disturbed for an apology.
            Phase::Dialing => self.hang_up(reason),
            // The same for whoever answered and is not known yet.
            Phase::Talking if self.opening.answering.is_silent() => {}
            // Without the agent the two can still talk.
            Phase::Talking if self.confers() => self.agent_leaves(),
            Phase::Talking => self.apologise(reason),
            // The call is answered all the same, so that the caller hears something sensible.
            Phase::Ringing | Phase::Answering => {}
            // The transfer goes on without an engine.
            Phase::Transferring => {}
            Phase::Joined
            | Phase::Parked
            | Phase::Goodbye
            | Phase::Apologising
            | Phase::HangingUp
            | Phase::Ended => {}
        }
    }

    pub(super) fn engine_ready(&mut self, expires_in_ms: Option<u64>) {
        self.liveness.engine_heard(self.now);
        let greets = matches!(self.profile.greeting, Greeting::Model { .. })
            && self.profile.refusal.is_none()
            && !self.opening.prepared.has(OpeningWords::Greeting);
        let readiness = self.link.ready(self.now, expires_in_ms);
        match readiness {
            Readiness::Ignored => return,
            Readiness::First => {
                let owed = std::mem::take(&mut self.outbox.owed_at_loss);
                if greets {
                    self.turn.want(Purpose::Greeting);
                } else if owed && self.profile.refusal.is_none() {
                    // What was written before any engine was there.
                    self.turn.want(Purpose::Reply);
                }
            }
            Readiness::Again | Readiness::Rotated => {
                self.opening.prepared.replayed();
                // Speech that the old session had begun to hear is never reported as over by the new one.
                self.turn.caller_silenced();
                // In a goodbye only the goodbye is said.
                let owed = std::mem::take(&mut self.outbox.owed_at_loss)
                    && !matches!(self.phase, Phase::Goodbye | Phase::Transferring);
                if owed && greets && !self.transcript.agent_spoke() {
                    self.turn.want(Purpose::Greeting);
                } else if owed {
                    self.turn.want(Purpose::Reconnected);
                }
            }
        }
        if self.opening.disclosure.is_owed() {
            self.turn.want(Purpose::Disclosure);
        }
        self.journal(SessionEvent::EngineReady {
            again: readiness != Readiness::First,
        });
        if self.outbox.muted {
            self.effect(Effect::MuteCaller { muted: true });
        }
        while let Some((role, text)) = self.outbox.notes.pop_front() {
            self.effect(Effect::AddMessage { role, text });
        }
    }

    pub(super) fn engine_lost(&mut self, failure: EngineFailure) {
        match self.phase {
            Phase::Joined
            | Phase::Parked
            | Phase::Apologising
            | Phase::HangingUp
            | Phase::Ended => return,
            Phase::Ringing
            | Phase::Dialing
            | Phase::Answering
            | Phase::Talking
            | Phase::Transferring
            | Phase::Goodbye => {}
        }
        let attempt = self.link.attempt();
        if !self.link.lost(self.now, failure) {
            return;
        }
        self.journal(SessionEvent::EngineLost { failure, attempt });
        self.outbox.owed_at_loss |= self.forget_engine();
        self.dictating.engine_gone();
        self.opening.disclosure.engine_lost();
        if self.phase == Phase::Goodbye {
            self.link.stop();
        }
    }

    /// The engine is there but does not speak. Once it is replaced; then it is given up.
    pub(super) fn engine_stalled(&mut self) {
        self.journal(SessionEvent::EngineStalled);
        // A stall weighs as much as two failures: it took the caller's time.
        self.turn.response_failed();
        let failures = self.turn.response_failed();
        if failures >= 2 * RESPONSE_FAILURES_MAX && self.phase == Phase::Talking {
            self.abandon_engine(EngineFailure::Timeout);
            return;
        }
        if self.link.is_open() {
            self.effect(Effect::CloseEngine);
        }
        self.engine_lost(EngineFailure::Timeout);
    }

    pub(super) fn abandon_engine(&mut self, failure: EngineFailure) {
        let attempt = self.link.attempt();
        self.journal(SessionEvent::EngineLost { failure, attempt });
        if self.link.is_open() {
            self.effect(Effect::CloseEngine);
        }
        self.link.abandon(failure);
        self.forget_engine();
        self.dictating.engine_gone();
        self.engine_given_up();
    }

    /// Nothing of an engine's session is still to come; whether it owed words.
    pub(super) fn forget_engine(&mut self) -> bool {
        let owed = self.turn.engine_lost();
        self.echoes.forget();
        self.finish_items(None);
        self.ledger.engine_replaced();
        owed
    }
}
