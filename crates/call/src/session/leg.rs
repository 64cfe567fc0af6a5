//! What the leg reports: answered, ended, keypad, hold.

use super::Session;
use crate::effect::{Effect, Purpose, Role, SessionEvent};
use crate::end::EndReason;
use crate::input::LegEnd;
use crate::opening::OpeningWords;
use crate::phase::Phase;
use crate::planted::{self, Planted};
use crate::transcript::{Speaker, TranscriptEntry};

impl Session {
    /// Answers a ringing call when there is something to hear, when its time has come, or when nothing will come any more.
    pub(super) fn settle_answer(&mut self) {
        if self.phase != Phase::Ringing {
            return;
        }
        let speaks_first = self.speaks_first();
        let ready = !self.turn.queue().is_empty()
            || self.opening.prepared.waits()
            || self.profile.transfer_at_once.is_some()
            || self.link.is_down()
            || (!speaks_first && self.link.is_ready());
        if self.opening.answer.is_due(self.now, ready) {
            self.enter(Phase::Answering);
            self.effect(Effect::Answer);
            if planted::has(Planted::AnswersTwice) {
                self.effect(Effect::Answer);
            }
        }
    }

    /// Gives up a call that nobody answers.
    pub(super) fn settle_dialing(&mut self) {
        let over = self.opening.ring_until.is_some_and(|at| self.now >= at);
        if over && self.phase == Phase::Dialing {
            self.hang_up(EndReason::NoAnswer);
        }
    }

    pub(super) fn leg_answered(&mut self) {
        match self.phase {
            Phase::Answering | Phase::Dialing => {
                self.enter(Phase::Talking);
                self.liveness.answered(self.now);
                if !self.opening.answering.answered(self.now) {
                    self.converse();
                }
            }
            Phase::Ringing
            | Phase::Talking
            | Phase::Transferring
            | Phase::Joined
            | Phase::Parked
            | Phase::Goodbye
            | Phase::Apologising
            | Phase::HangingUp
            | Phase::Ended => {}
        }
    }

    /// The conversation begins: what was made while it rang is heard.
    pub(super) fn converse(&mut self) {
        self.opening.disclosure.answered(self.now);
        self.begin_prepared();
        self.effect(Effect::ReleasePlayout);
        if let Some(target) = self.profile.transfer_at_once.clone() {
            self.begin_transfer(target);
        } else if let Some(refusal) = &self.profile.refusal {
            self.say_goodbye(refusal.reason);
        } else if self.link.is_down() {
            self.apologise(self.link.end_reason());
        }
    }

    /// Puts the prepared words into the queue; not where the call only begins to end.
    fn begin_prepared(&mut self) {
        if self.link.is_down() {
            self.opening.disclosure.give_up();
            return;
        }
        for (words, text) in self.opening.prepared.begin(self.now) {
            let item = words.item();
            self.turn.queue_mut().open(self.now, item.clone(), None);
            self.transcript.begin(self.now, &item, Speaker::Agent);
            let entry = self.transcript.text(self.now, &item, Speaker::Agent, text);
            self.record(entry);
            self.effect(Effect::PlayRecorded { words });
            if words == OpeningWords::Disclosure {
                self.opening.disclosure.begin(item);
            }
        }
    }

    /// The prepared welcome is being heard, and the model is asked for nothing meanwhile: it does not know of it yet.
    pub(super) fn welcomes(&self) -> bool {
        self.phase == Phase::Talking && self.opening.prepared.is_welcoming(self.now)
    }

    /// Tells the model what was said without it.
    pub(super) fn settle_prepared(&mut self) {
        while self.link.is_ready()
            && let Some(text) = self.opening.prepared.take_untold()
        {
            self.note(Role::Agent, text);
        }
    }

    pub(super) fn leg_ended(&mut self, cause: LegEnd) {
        let reason = match self.leaving.closing {
            Some(closing) => closing.reason,
            None if self.was_handed_over() && cause == LegEnd::RemoteHangUp => {
                EndReason::Transferred
            }
            None => match cause {
                LegEnd::RemoteHangUp => EndReason::CallerHungUp,
                LegEnd::Cancelled => EndReason::CallerCancelled,
                LegEnd::Lost => EndReason::MediaLost,
                LegEnd::SessionExpired => EndReason::SessionExpired,
                LegEnd::AckMissing => EndReason::AckMissing,
                LegEnd::TransportLost => EndReason::TransportLost,
                LegEnd::Failed => EndReason::LegFailed,
            },
        };
        if reason == EndReason::Transferred {
            self.left_while_handing();
        }
        self.finish(reason);
    }

    /// Keeps the caller's sound for the engine until it is known who answered, and the disclosure was played.
    pub(super) fn settle_disclosure(&mut self) {
        self.opening.disclosure.expire(self.now);
        if !matches!(
            self.phase,
            Phase::Ringing | Phase::Dialing | Phase::Answering | Phase::Talking
        ) {
            self.opening.disclosure.give_up();
        }
        let held = self.opening.disclosure.protects() || self.opening.answering.holds();
        if held != self.outbox.held {
            self.outbox.held = held && !planted::has(Planted::HoldTwice);
            if !held && self.profile.disclosure.is_some() {
                self.journal(SessionEvent::Disclosed);
            }
            let said = self.opening.disclosure.was_said();
            self.effect(Effect::HoldCaller { held, said });
        }
    }

    pub(super) fn hold_changed(&mut self, held: bool) {
        if self.liveness.set_held(self.now, held) {
            self.journal(SessionEvent::Hold { held });
        }
    }

    pub(super) fn keypad_pressed(&mut self, digit: char) {
        if self.keypad.secure.is_on() {
            self.keypad.secure.press(digit.to_ascii_uppercase());
        } else if self.phase == Phase::Talking {
            self.keypad.press(self.now, digit);
            self.liveness.caller_answered();
        }
    }

    /// Tells the model what was dialled; it stops speaking for that, as for words.
    pub(super) fn settle_keypad(&mut self) {
        // The disclosure is not cut, whatever is dialled meanwhile.
        if self.outbox.held {
            return;
        }
        if self.welcomes() && self.keypad.is_due(self.now) {
            // What was heard of the welcome comes before the keys in the conversation.
            let interruption = self.turn.interrupt();
            self.stop_speech(interruption);
            return;
        }
        let Some(digits) = self.keypad.take(self.now) else {
            return;
        };
        if self.phase != Phase::Talking {
            return;
        }
        let interruption = self.turn.interrupt();
        self.stop_speech(interruption);
        let text = format!("[DTMF] {digits}");
        let entry = TranscriptEntry {
            role: Speaker::Caller,
            text: text.clone(),
            at_ms: self.now,
            item: None,
            interrupted_at_ms: None,
        };
        self.record(Some(entry));
        self.note(Role::User, text);
        self.turn.want(Purpose::Dtmf);
    }

    /// Whether the engine hears the caller: not on hold (it would take the hold music for speech), not during a goodbye, not
    /// while a tool asks for silence.
    pub(super) fn settle_mute(&mut self) {
        let muted = self.leaving.goodbye.is_some()
            || (self.leaving.transfer.is_some() && !self.confers())
            || self.phase == Phase::Parked
            || self.keypad.secure.is_on()
            || self.liveness.is_held()
            || self.ledger.mutes_caller();
        // Without an engine there is nobody to keep from hearing.
        if muted == self.outbox.muted || matches!(self.phase, Phase::Apologising | Phase::HangingUp)
        {
            return;
        }
        self.outbox.muted = muted && !planted::has(Planted::NeverSettles);
        if muted {
            self.turn.caller_silenced();
            self.echoes.close();
        }
        self.effect(Effect::MuteCaller { muted });
    }
}
