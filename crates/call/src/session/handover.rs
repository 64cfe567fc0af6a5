//! Handing the caller over: after the last words, with the caller kept from interrupting, and back into the conversation when it
//! fails. Where a second leg was called, its end is this machine's business: none is left behind, whoever hangs up.

use super::Session;
use super::person::with_note;
use crate::effect::{Effect, Purpose, Role, SessionEvent};
use crate::end::EndReason;
use crate::input::Input;
use crate::phase::Phase;
use crate::planted::{self, Planted};
use crate::transcript::{Speaker, TranscriptEntry};
use crate::transfer::{
    ACCEPT_KEY, Advance, HUNG_UP, REFUSE_KEY, ScreenOutcome, TargetDrop, Transfer, TransferEnd,
    TransferStep, TransferTarget,
};

impl Session {
    /// A person asks for it.
    pub(super) fn transfer_requested(&mut self, target: TransferTarget) {
        if self.confers() {
            self.nobody_else(&target);
        } else if self.phase == Phase::Talking {
            self.begin_transfer(target);
        }
    }

    /// What is being said is heard to its end first.
    pub(super) fn begin_transfer(&mut self, target: TransferTarget) {
        self.turn.give_up_wants();
        self.opening.disclosure.give_up();
        self.enter(Phase::Transferring);
        self.leaving.transfer = Some(Transfer::new(self.now, target));
    }

    pub(super) fn settle_transfer(&mut self) {
        if self.phase != Phase::Transferring {
            return;
        }
        let quiet = !self.turn.response_busy() && self.turn.queue().is_empty();
        let Some(transfer) = &mut self.leaving.transfer else {
            return;
        };
        let ringing = transfer.is_ringing();
        if ringing != self.leaving.ringback {
            self.leaving.ringback = ringing;
            self.effect(Effect::Ringback { on: ringing });
            return;
        }
        if let Some(step) = transfer.advance(self.now, quiet) {
            self.take_transfer_step(step);
        }
    }

    pub(super) fn take_transfer_step(&mut self, step: TransferStep) {
        match step {
            TransferStep::Ask(target) => {
                self.journal(SessionEvent::TransferStarted {
                    target: target.name.clone(),
                });
                self.effect(Effect::Transfer { target });
            }
            TransferStep::Call(target) => {
                self.journal(SessionEvent::TargetCalled {
                    target: target.name.clone(),
                });
                self.effect(Effect::CallTarget { target });
            }
            TransferStep::TimedOut => {
                self.drop_target(TargetDrop::NoAnswer);
                self.transfer_failed("no answer");
            }
            TransferStep::AnnouncementLost => self.announcement_ended(false),
            TransferStep::NotAccepted => self.not_accepted(ScreenOutcome::TimedOut),
            TransferStep::NotTaken => self.not_taken("no answer"),
        }
    }

    pub(super) fn transfer_accepted(&mut self) {
        if let Some(transfer) = &mut self.leaving.transfer {
            transfer.accepted();
        }
    }

    /// What the leg made of the request.
    pub(super) fn transfer_finished(&mut self, end: TransferEnd) {
        if self.hands_over() {
            return self.handing_finished(end);
        }
        let Some(transfer) = self
            .leaving
            .transfer
            .as_mut()
            .filter(|transfer| transfer.is_asked())
        else {
            return;
        };
        match end {
            TransferEnd::Done => {
                self.leaving.transfer = None;
                self.journal(SessionEvent::TransferFinished {
                    done: true,
                    reason: String::new(),
                });
                if self.phase == Phase::Transferring {
                    self.hang_up(EndReason::Transferred);
                }
            }
            TransferEnd::Declined { reason } => match transfer.declined(self.now) {
                Some(step) => {
                    self.journal(SessionEvent::TransferDeclined { reason });
                    self.take_transfer_step(step);
                }
                None => self.transfer_failed(&reason),
            },
            TransferEnd::Failed { reason } => self.transfer_failed(&reason),
        }
    }

    /// The second leg rings.
    pub(super) fn target_rings(&mut self) {
        if let Some(transfer) = &mut self.leaving.transfer
            && transfer.rings()
        {
            self.journal(SessionEvent::TargetRings);
        }
    }

    /// The second leg answered: it is told who waits, asked, or joined at once.
    pub(super) fn target_answered(&mut self) {
        let transfer = self.leaving.transfer.as_mut();
        if let Some(transfer) = transfer.filter(|transfer| transfer.is_calling()) {
            let next = transfer.answered(self.now);
            self.advance_target(next);
        }
    }

    /// What the second leg was to be told is over. Where it could not be said the caller does not suffer for it.
    pub(super) fn announcement_ended(&mut self, heard: bool) {
        let transfer = self.leaving.transfer.as_mut();
        if let Some(transfer) = transfer.filter(|transfer| transfer.is_announcing()) {
            let next = transfer.announced(self.now);
            self.journal(SessionEvent::TargetAnnounced { heard });
            self.advance_target(next);
        }
    }

    /// The person of the second leg says by a key whether they take the caller; they need not hear the announcement out.
    pub(super) fn target_pressed(&mut self, digit: char) {
        let transfer = self.leaving.transfer.as_ref();
        if !transfer.is_some_and(Transfer::screens) {
            return;
        }
        if digit == ACCEPT_KEY {
            let outcome = ScreenOutcome::Accepted;
            self.journal(SessionEvent::TargetScreened { outcome });
            self.take_caller();
        } else if digit == REFUSE_KEY {
            self.not_accepted(ScreenOutcome::Refused);
        }
    }

    fn not_accepted(&mut self, outcome: ScreenOutcome) {
        self.drop_target(if outcome == ScreenOutcome::TimedOut {
            TargetDrop::TimedOut
        } else {
            TargetDrop::Refused
        });
        self.screened_out(outcome);
    }

    /// The caller is not wanted there: the record says so, and the caller is back with the agent.
    fn screened_out(&mut self, outcome: ScreenOutcome) {
        self.journal(SessionEvent::TargetScreened { outcome });
        if let Some(transfer) = &self.leaving.transfer {
            let text = format!("[transfer] {}: {}", transfer.target().name, outcome.told());
            self.tell(&text);
        }
        self.transfer_failed(outcome.told());
    }

    fn advance_target(&mut self, next: Advance) {
        match next {
            Advance::Announce => {
                let transfer = self.leaving.transfer.as_ref();
                let asks = transfer.is_some_and(Transfer::screens);
                self.effect(Effect::Announce { asks });
            }
            // Its key, its end or the clock is next.
            Advance::Screen => {}
            Advance::Take => self.take_caller(),
        }
    }

    /// The agent leaves, the two talk.
    pub(super) fn join(&mut self) {
        let Some(transfer) = &mut self.leaving.transfer else {
            return;
        };
        transfer.joined();
        let (name, came) = (transfer.target().name.clone(), transfer.came());
        let told = if let Some(told) = self.taken_from_place(&name) {
            told
        } else if came {
            format!("[conference] {name}: has the call alone with the caller")
        } else {
            format!("[transfer] {name}: joined")
        };
        self.silence();
        let interruption = self.turn.interrupt();
        self.stop_speech(interruption);
        self.tell(&told);
        self.forget_typing();
        if self.link.stop() {
            self.effect(Effect::CloseEngine);
        }
        self.enter(Phase::Joined);
        // What became due while it rang is due again.
        self.liveness.resume();
        self.effect(Effect::Join);
        if !came {
            self.journal(SessionEvent::TransferFinished {
                done: true,
                reason: String::new(),
            });
        }
    }

    /// The second leg is over, by itself or from its side.
    pub(super) fn target_ended(&mut self, reason: &str) {
        if self.hands_over() {
            return self.person_left();
        }
        let Some(transfer) = self.leaving.transfer.take_if(|transfer| transfer.has_leg()) else {
            return;
        };
        if transfer.is_conferring() {
            return self.person_left_conference(&transfer.target().name, reason);
        }
        if transfer.is_joined() {
            self.journal(SessionEvent::TargetEnded {
                reason: reason.to_owned(),
            });
            if self.phase == Phase::Joined {
                if transfer.target().returns && self.profile.transfer_at_once.is_none() {
                    self.caller_returns(&transfer.target().name, reason);
                } else {
                    self.hang_up(EndReason::Transferred);
                }
            }
            return;
        }
        let refused = transfer.screens() && reason == HUNG_UP;
        self.leaving.transfer = Some(transfer);
        if refused {
            // Who hangs up in place of an answer has given one.
            self.screened_out(ScreenOutcome::Refused);
        } else {
            self.transfer_failed(reason);
        }
    }

    /// The person has left: the engine is opened again with what was said so far, and the agent goes on.
    pub(super) fn caller_returns(&mut self, name: &str, reason: &str) {
        self.agent_returns();
        let text = format!("[transfer] {name}: {reason}; the caller is back");
        self.caller_is_back(text, "");
    }

    /// The model is told why it has the caller again, with what a person wants it to know, and goes on with them.
    pub(super) fn caller_is_back(&mut self, text: String, note: &str) {
        let text = with_note(text, note);
        self.tell(&text);
        self.note(Role::System, text);
        self.turn.unwant(Purpose::Conferred);
        self.turn.want(Purpose::Returned);
    }

    /// The agent is with the caller again, who was with a person alone.
    pub(super) fn agent_returns(&mut self) {
        self.enter(Phase::Talking);
        if !planted::has(Planted::ReturnsUntold) {
            self.journal(SessionEvent::Returned);
        }
        // Nothing of the session that was closed at the join is still to come.
        self.forget_engine();
        self.dictating.engine_gone();
        self.outbox.owed_at_loss = false;
        self.liveness.resume();
        self.link.reopen(self.now);
    }

    /// A line of the house, for the record.
    pub(super) fn tell(&mut self, text: &str) {
        self.record(Some(TranscriptEntry {
            role: Speaker::System,
            text: text.to_owned(),
            at_ms: self.now,
            item: None,
            interrupted_at_ms: None,
        }));
    }

    /// The caller is still with us: the model hears why, and the conversation goes on.
    pub(super) fn transfer_failed(&mut self, reason: &str) {
        let Some(transfer) = self.leaving.transfer.take() else {
            return;
        };
        self.journal(SessionEvent::TransferFinished {
            done: false,
            reason: reason.to_owned(),
        });
        if self.phase != Phase::Transferring {
            return;
        }
        self.silence();
        self.enter(Phase::Talking);
        self.liveness.resume();
        if self.profile.transfer_at_once.is_some() {
            self.apologise(EndReason::TransferFailed);
        } else if self.link.is_down() {
            self.apologise(self.link.end_reason());
        } else {
            let name = &transfer.target().name;
            let text = format!("[transfer] {name}: {reason}");
            self.note(Role::System, text);
            self.turn.want(Purpose::TransferFailed);
        }
    }

    /// Ends the second leg, in whatever state it is; the end of the call comes by here as well.
    pub(super) fn drop_target(&mut self, why: TargetDrop) {
        self.silence();
        let lives = self
            .leaving
            .transfer
            .as_ref()
            .is_some_and(Transfer::has_leg);
        let is_told = if lives {
            !planted::has(Planted::TargetStays)
        } else {
            planted::has(Planted::TargetEndedTwice)
        };
        if is_told {
            self.effect(Effect::DropTarget { why });
        }
    }

    pub(super) fn target_is_ringing(&self) -> bool {
        let transfer = self.leaving.transfer.as_ref();
        transfer.is_some_and(Transfer::is_ringing)
    }

    /// The ringing that the caller hears stops.
    pub(super) fn silence(&mut self) {
        let rang = std::mem::take(&mut self.leaving.ringback);
        if rang && !planted::has(Planted::RingbackStays) {
            self.effect(Effect::Ringback { on: false });
        }
    }

    /// People talk: of what can happen only this concerns the session. Words, tools and the model are over, and keys are theirs.
    pub(super) fn apply_joined(&mut self, input: Input) {
        match input {
            Input::LegEnded { cause } => self.leg_ended(cause),
            Input::MediaLost { ms } => self.liveness.media_lost(self.now, ms),
            Input::MediaResumed => self.liveness.media_resumed(),
            Input::HoldChanged { held } => self.hold_changed(held),
            Input::HangUpRequested { by } => self.hang_up_requested(by),
            Input::TargetEnded { reason } => self.target_ended(&reason),
            Input::Person(input) => self.person(input),
            Input::BudgetSpent => self.budget_spent(),
            // The end of what the agent was saying when they were joined.
            Input::PlayoutCleared {
                item,
                played_ms,
                finished,
            } => self.playout_cleared(item, played_ms, finished),
            Input::ToolFinished { id, outcome } => self.tool_finished(&id, outcome),
            Input::LegAnswered
            | Input::Dtmf { .. }
            | Input::EngineReady { .. }
            | Input::EngineLost { .. }
            | Input::EngineExpires { .. }
            | Input::UserSpeechStarted { .. }
            | Input::UserSpeechDoubted { .. }
            | Input::HeardJudged { .. }
            | Input::UserSpeechStopped { .. }
            | Input::UserTranscript { .. }
            | Input::UserTranscriptMissing { .. }
            | Input::UserText { .. }
            | Input::ResponseStarted { .. }
            | Input::AgentAudioStarted { .. }
            | Input::AgentAudioDone { .. }
            | Input::AgentTranscript { .. }
            | Input::ToolCalled { .. }
            | Input::ResponseDone { .. }
            | Input::PlayoutStarted { .. }
            | Input::PlayoutStarved { .. }
            | Input::PlayoutFinished { .. }
            | Input::PlayoutDrained
            | Input::TransferRequested { .. }
            | Input::TransferAccepted
            | Input::TransferFinished { .. }
            | Input::TargetRings
            | Input::TargetAnswered
            | Input::AnnouncementEnded { .. }
            | Input::TargetPressed { .. }
            | Input::SendDtmf { .. }
            | Input::SecureInput { .. }
            | Input::AnsweredBy { .. }
            | Input::MachineWaits
            | Input::Instruct { .. }
            | Input::Timeout => {}
        }
    }

    /// The caller hung up on a second leg, or while the other side was trying the transfer it had agreed to: that is how many
    /// systems say that it worked.
    pub(super) fn was_handed_over(&self) -> bool {
        let transfer = self.leaving.transfer.as_ref();
        transfer.is_some_and(|transfer| transfer.is_accepted() || transfer.is_joined())
    }
}
