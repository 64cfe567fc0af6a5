//! The first moments of a call of ours: who answered, and the conversation, the message or the hang-up that follows.

use super::Session;
use crate::answering::{Answerer, AnsweringStep};
use crate::effect::{Effect, SessionEvent};
use crate::end::EndReason;
use crate::phase::Phase;
use crate::profile::Greeting;

impl Session {
    /// The sound told who answered.
    pub(super) fn answerer_known(&mut self, who: Answerer) {
        if self.phase != Phase::Talking {
            return;
        }
        if let Some(step) = self.opening.answering.known(self.now, who) {
            self.journal(SessionEvent::AnsweredBy { who });
            self.take_answering_step(step);
        }
    }

    /// The machine that answered waits.
    pub(super) fn machine_waits(&mut self) {
        if self.phase == Phase::Talking {
            let step = self.opening.answering.greeting_over();
            self.take_answering_step(step);
        }
    }

    pub(super) fn settle_answering(&mut self) {
        match self.phase {
            Phase::Talking => {
                let step = self.opening.answering.advance(self.now);
                self.take_answering_step(step);
            }
            // A person took the call out of the agent's hands: what is said from here on is meant to be heard.
            Phase::Transferring | Phase::Goodbye | Phase::Apologising
                if self.opening.answering.is_silent() =>
            {
                self.opening.answering.give_up();
                self.effect(Effect::ReleasePlayout);
            }
            Phase::Ringing
            | Phase::Dialing
            | Phase::Answering
            | Phase::Transferring
            | Phase::Joined
            | Phase::Parked
            | Phase::Goodbye
            | Phase::Apologising
            | Phase::HangingUp
            | Phase::Ended => {}
        }
    }

    fn take_answering_step(&mut self, step: Option<AnsweringStep>) {
        match step {
            Some(AnsweringStep::Converse) => {
                self.tell_what_was_said();
                self.converse();
            }
            Some(AnsweringStep::HangUp) => self.hang_up(EndReason::AnsweringMachine),
            Some(AnsweringStep::LeaveMessage) => self.leave_message(),
            None => {}
        }
    }

    /// The callee's words come before ours in the conversation. Where the agent greets, they are given to the engine now, while the
    /// disclosure protects the greeting from being cut by them; else after it, as words that are to be answered.
    fn tell_what_was_said(&mut self) {
        let greets = matches!(self.profile.greeting, Greeting::Model { .. });
        if greets && self.outbox.held && self.opening.disclosure.protects() {
            self.opening.answering.told();
            for held in [false, true] {
                let said = false;
                self.effect(Effect::HoldCaller { held, said });
            }
        }
    }

    /// The first words that were made for a person are never heard; the message is, and then the call ends.
    fn leave_message(&mut self) {
        if !self.link.is_up() {
            // Nothing of ours is worth being recorded without its words.
            self.hang_up(EndReason::AnsweringMachine);
            return;
        }
        let interruption = self.turn.interrupt();
        self.stop_speech(interruption);
        self.effect(Effect::ReleasePlayout);
        self.say_goodbye(EndReason::MessageLeft);
    }
}
