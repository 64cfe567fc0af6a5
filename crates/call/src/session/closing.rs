//! The end of a call: goodbye, apology, hang-up, and the one `Ended`.

use super::{Closing, Session};
use crate::answering::MachineAction;
use crate::effect::{Effect, LocalSound, Purpose, Role, SessionEvent};
use crate::end::EndReason;
use crate::goodbye::{Goodbye, GoodbyeStep, Scene};
use crate::input::Requester;
use crate::limits::HANG_UP_WAIT_MS_MAX;
use crate::phase::Phase;
use crate::planted::{self, Planted};
use crate::transcript::{Speaker, TranscriptEntry};
use crate::transfer::TargetDrop;

impl Session {
    /// `end_call`: what the model says in this response is its goodbye.
    pub(super) fn finish_speech_then_hang_up(&mut self, reason: EndReason) {
        let said = self.turn.response_spoke();
        self.begin_goodbye(Goodbye::after_response(
            self.now,
            reason,
            &self.profile.goodbye,
            said,
        ));
    }

    /// The house ends the call: the model is asked for a last word.
    pub(super) fn say_goodbye(&mut self, reason: EndReason) {
        if self.opening.answering.is_silent() {
            // Nobody is spoken to before it is known who answered.
            self.hang_up(reason);
            return;
        }
        self.begin_goodbye(Goodbye::decided(self.now, reason, &self.profile.goodbye));
    }

    fn begin_goodbye(&mut self, goodbye: Goodbye) {
        let reason = goodbye.reason();
        self.leaving.goodbye = Some(goodbye);
        self.turn.give_up_wants();
        // An engine that is not there now would come too late for a last word.
        if !self.link.is_up() && self.link.stop() {
            self.effect(Effect::CloseEngine);
        }
        self.opening.disclosure.give_up();
        self.enter(Phase::Goodbye);
        self.journal(SessionEvent::GoodbyeStarted { reason });
    }

    pub(super) fn goodbye_instructions(&self, reason: EndReason) -> String {
        let phrases = &self.profile.phrases;
        if reason == EndReason::MessageLeft
            && let Some(MachineAction::LeaveMessage { instructions }) = &self.profile.answering
        {
            return instructions.clone();
        }
        if let Some(refusal) = &self.profile.refusal {
            return refusal.instructions.clone();
        }
        let text = if reason == EndReason::IdleTimeout {
            &phrases.goodbye_idle
        } else if reason == EndReason::MaxDuration {
            &phrases.goodbye_max_duration
        } else if reason == EndReason::NoBalance {
            &phrases.goodbye_budget
        } else if reason == EndReason::AgentHungUp {
            &phrases.goodbye_end_call
        } else {
            &phrases.goodbye_requested
        };
        text.clone()
    }

    /// The engine will not come back: after its last words a sound of ours says so, then the call ends.
    pub(super) fn apologise(&mut self, reason: EndReason) {
        self.enter(Phase::Apologising);
        self.turn.give_up_wants();
        self.leaving.goodbye = Some(Goodbye::local(self.now, reason, &self.profile.goodbye));
    }

    fn play_apology(&mut self) {
        self.turn
            .queue_mut()
            .open(self.now, LocalSound::Apology.item(), None);
        self.effect(Effect::PlayLocal {
            sound: LocalSound::Apology,
        });
    }

    pub(super) fn settle_goodbye(&mut self) {
        // The stages are few and only go forward.
        for _ in 0..4 {
            let scene = Scene {
                response_busy: self.turn.response_busy(),
                playout_idle: self.turn.queue().is_empty(),
                engine_up: self.link.is_up(),
            };
            let Some(goodbye) = &mut self.leaving.goodbye else {
                return;
            };
            let reason = goodbye.reason();
            match goodbye.advance(self.now, scene) {
                Some(GoodbyeStep::Ask) => self.turn.want(Purpose::Goodbye),
                Some(GoodbyeStep::Cut) => {
                    let interruption = self.turn.interrupt();
                    self.stop_speech(interruption);
                }
                // An apology is not what a machine is to record.
                Some(GoodbyeStep::PlayLocal) if reason == EndReason::MessageLeft => {
                    self.journal(SessionEvent::GoodbyeFinished { complete: false });
                    self.hang_up(EndReason::AnsweringMachine);
                    return;
                }
                Some(GoodbyeStep::PlayLocal) if self.may_leave_them(reason) => {
                    self.agent_leaves();
                    return;
                }
                Some(GoodbyeStep::PlayLocal) => self.play_apology(),
                Some(GoodbyeStep::HangUp { complete }) => {
                    self.journal(SessionEvent::GoodbyeFinished { complete });
                    if self.may_leave_them(reason) {
                        self.agent_leaves();
                        return;
                    }
                    let cut_off = reason == EndReason::MessageLeft && !complete;
                    self.hang_up(if cut_off {
                        EndReason::AnsweringMachine
                    } else {
                        reason
                    });
                    return;
                }
                None => {}
            }
        }
    }

    pub(super) fn hang_up_requested(&mut self, by: Requester) {
        let reason = match by {
            Requester::Operator => EndReason::OperatorHungUp,
            Requester::Shutdown => EndReason::Draining,
        };
        match (self.phase, by) {
            (Phase::Talking, Requester::Shutdown) => self.say_goodbye(reason),
            (Phase::Apologising | Phase::Goodbye, Requester::Shutdown) => {
                // The last words are being said, or it is asked for the second time: the bound has passed.
                let reason = self
                    .leaving
                    .goodbye
                    .as_ref()
                    .map_or(reason, Goodbye::reason);
                self.hang_up(reason);
            }
            (Phase::Transferring | Phase::Joined | Phase::Parked, Requester::Shutdown) => {
                self.hang_up(reason);
            }
            (Phase::HangingUp | Phase::Ended, _) => {}
            (Phase::Ringing | Phase::Dialing | Phase::Answering, Requester::Shutdown)
            | (
                Phase::Ringing
                | Phase::Dialing
                | Phase::Answering
                | Phase::Talking
                | Phase::Transferring
                | Phase::Joined
                | Phase::Parked
                | Phase::Goodbye
                | Phase::Apologising,
                Requester::Operator,
            ) => self.hang_up(reason),
        }
    }

    pub(super) fn instructed(&mut self, text: String) {
        if self.phase != Phase::Talking || text.trim().is_empty() {
            return;
        }
        let entry = TranscriptEntry {
            role: Speaker::System,
            text: text.clone(),
            at_ms: self.now,
            item: None,
            interrupted_at_ms: None,
        };
        self.record(Some(entry));
        self.note(Role::System, text);
        self.turn.want(Purpose::Instruct);
    }

    /// Nothing comes from the caller.
    pub(super) fn caller_gone(&mut self) {
        match self.phase {
            Phase::Answering
            | Phase::Talking
            | Phase::Joined
            | Phase::Parked
            | Phase::Goodbye
            | Phase::Apologising => {
                self.hang_up(EndReason::MediaLost);
            }
            // A side that hands its caller over may fall silent.
            Phase::Transferring => {}
            Phase::Ringing | Phase::Dialing | Phase::HangingUp | Phase::Ended => {}
        }
    }

    /// The balance or the budget is spent: no new words are paid for but the goodbye.
    pub(super) fn budget_spent(&mut self) {
        let reason = EndReason::NoBalance;
        match self.phase {
            Phase::Talking => {
                self.journal(SessionEvent::BudgetSpent);
                self.say_goodbye(reason);
            }
            Phase::Ringing | Phase::Dialing | Phase::Answering => self.hang_up(reason),
            // Two legs cost their minutes, and nobody of ours is there to say goodbye.
            Phase::Joined | Phase::Parked => {
                self.journal(SessionEvent::BudgetSpent);
                self.hang_up(reason);
            }
            Phase::Transferring if self.is_met() => {
                self.journal(SessionEvent::BudgetSpent);
                self.hang_up(reason);
            }
            // The call is ending, or leaves us.
            Phase::Transferring
            | Phase::Goodbye
            | Phase::Apologising
            | Phase::HangingUp
            | Phase::Ended => {}
        }
    }

    /// Ends the leg; a call that only rings is refused.
    pub(super) fn hang_up(&mut self, reason: EndReason) {
        let ringing = self.phase == Phase::Ringing;
        self.drop_target(TargetDrop::CallEnds);
        self.leave_place();
        self.enter(Phase::HangingUp);
        self.leaving.goodbye = None;
        self.leaving.transfer = None;
        self.leaving.closing = Some(Closing {
            reason,
            give_up_at: self.now + HANG_UP_WAIT_MS_MAX,
        });
        if self.liveness.silence_background() {
            self.effect(Effect::Background { on: false });
        }
        self.effect(if ringing {
            Effect::RejectCall { reason }
        } else {
            Effect::HangUp { reason }
        });
        if planted::has(Planted::HangsUpTwice) {
            self.effect(Effect::HangUp { reason });
        }
    }

    /// A leg that does not confirm its end is taken as over.
    pub(super) fn settle_hang_up(&mut self) {
        if let Some(closing) = self.leaving.closing
            && self.now >= closing.give_up_at
            && !planted::has(Planted::NeverEnds)
        {
            self.finish(closing.reason);
        }
    }

    /// The one end. What was being said is marked with what can have been heard of it.
    pub(super) fn finish(&mut self, reason: EndReason) {
        self.drop_target(TargetDrop::CallEnds);
        self.leave_place();
        self.leaving.transfer = None;
        for (item, played_ms) in self.turn.queue().unfinished(self.now) {
            let entry = self.transcript.interrupted(&item, played_ms);
            self.record(entry);
        }
        if self.liveness.silence_background() {
            self.effect(Effect::Background { on: false });
        }
        if self.link.stop() {
            self.effect(Effect::CloseEngine);
        }
        self.forget_typing();
        self.enter(Phase::Ended);
        self.effect(Effect::Ended { reason });
        if planted::has(Planted::EndsTwice) {
            self.effect(Effect::Ended { reason });
        }
        if planted::has(Planted::TellsAfterEnd) {
            self.journal(SessionEvent::BudgetSpent);
        }
    }
}
