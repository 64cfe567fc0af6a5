//! A person of the house who comes into a running call by themselves: beside the agent, in its place, and back. Their leg is the
//! second leg, and whoever of the three leaves, the caller is with somebody, or gone.

use super::Session;
use crate::effect::{Effect, SessionEvent};
use crate::input::PersonInput;
use crate::limits::{PERSON_NAME_BYTES_MAX, TEXT_BYTES_MAX, cut_text};
use crate::phase::Phase;
use crate::planted::{self, Planted};
use crate::transfer::{Seat, TargetDrop, Transfer};

/// What the model is told of a person who gives the caller back.
const HANDED_BACK: &str = "has handed the caller back to you and left";

/// Why somebody does not come who was being called, for the model and the record.
const CALLED_OFF: &str = "called off";

/// Why nobody can come into the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// A person is on the line already, or is being called.
    Somebody,
    /// There is no conversation, or what is said at this moment must not be cut.
    NotNow,
}

impl Session {
    /// Whether a person of the house could come into the call now. To a caller who is parked nobody comes but in the agent's place.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub fn has_place(&self, seat: Seat) -> Result<(), NoPlace> {
        if self.leaving.transfer.is_some() {
            return Err(NoPlace::Somebody);
        }
        if self.phase == Phase::Parked && seat == Seat::Instead {
            return Ok(());
        }
        let converses = self.phase == Phase::Talking
            && self.profile.refusal.is_none()
            && self.profile.transfer_at_once.is_none()
            && !self.opening.answering.is_silent()
            && !self.opening.disclosure.protects()
            && !self.keypad.secure.is_on()
            && !self.outbox.held;
        if converses {
            Ok(())
        } else {
            Err(NoPlace::NotNow)
        }
    }

    /// Whether the person who is on the line can change their place so.
    pub fn may_move(&self, seat: Seat) -> bool {
        match seat {
            Seat::Instead => self.may_be_replaced(),
            Seat::Beside => self.may_return(),
        }
    }

    /// Whether the person who is on the line can give the caller back to the agent.
    pub fn may_hand_back(&self) -> bool {
        let parked = self.phase == Phase::Parked;
        parked || self.may_return() || (self.confers() && self.phase == Phase::Talking)
    }

    /// Whether whoever is being called can be called off.
    pub fn may_call_off(&self) -> bool {
        let transfer = self.leaving.transfer.as_ref();
        matches!(self.phase, Phase::Transferring | Phase::Parked)
            && self.profile.transfer_at_once.is_none()
            && transfer.is_some_and(Transfer::may_be_called_off)
    }

    pub(super) fn person(&mut self, input: PersonInput) {
        match input {
            PersonInput::CalledOff => self.person_called_off(),
            PersonInput::Comes { name, seat } => self.person_comes(name, seat),
            PersonInput::Moves { seat } => self.person_moves(seat),
            PersonInput::Parks(parking) => self.person_parks(parking),
            PersonInput::HandsBack { note, stay: false } => self.person_hands_back(&note),
            PersonInput::HandsBack { note, stay: true } => self.person_stays(&note),
        }
    }

    fn person_comes(&mut self, name: String, seat: Seat) {
        if self.has_place(seat).is_err() {
            if !planted::has(Planted::PersonStays) {
                let why = TargetDrop::NoPlace;
                self.effect(Effect::DropTarget { why });
            }
            return;
        }
        let name = cut_text(name, PERSON_NAME_BYTES_MAX);
        self.journal(SessionEvent::PersonCame { name: name.clone() });
        self.leaving.transfer = Some(Transfer::of_person(name.clone()));
        match seat {
            Seat::Beside => self.brought_together(&name, ""),
            // The agent has left long ago.
            Seat::Instead if self.phase == Phase::Parked => self.join(),
            Seat::Instead => self.agent_leaves(),
        }
    }

    fn person_called_off(&mut self) {
        if self.may_call_off() {
            self.drop_target(TargetDrop::CalledOff);
            self.transfer_failed(CALLED_OFF);
        }
    }

    fn person_moves(&mut self, seat: Seat) {
        match seat {
            _ if !self.may_move(seat) => {}
            Seat::Instead => self.agent_leaves(),
            Seat::Beside => self.agent_comes_back(""),
        }
    }

    /// The agent is beside a person who could go on alone. An end that the house has decided is not put off by that.
    pub(super) fn may_be_replaced(&self) -> bool {
        let leaves_alone = || {
            let goodbye = self.leaving.goodbye.as_ref();
            goodbye.is_some_and(|goodbye| self.may_leave_them(goodbye.reason()))
        };
        self.confers()
            && !self.keypad.secure.is_on()
            && (self.phase == Phase::Talking || (self.phase == Phase::Goodbye && leaves_alone()))
    }

    /// The caller is with a person alone, and has an agent.
    pub(super) fn may_return(&self) -> bool {
        self.phase == Phase::Joined && self.profile.transfer_at_once.is_none()
    }

    /// The three are together again.
    fn agent_comes_back(&mut self, note: &str) {
        let Some(transfer) = &mut self.leaving.transfer else {
            return;
        };
        transfer.conferring();
        let name = transfer.target().name.clone();
        self.agent_returns();
        self.brought_together(&name, note);
    }

    fn person_stays(&mut self, note: &str) {
        if self.may_return() {
            self.agent_comes_back(note);
        }
    }

    fn person_hands_back(&mut self, note: &str) {
        if !self.may_hand_back() {
            return;
        }
        if self.phase == Phase::Parked {
            return self.given_from_place(note);
        }
        let alone = self.phase == Phase::Joined;
        self.drop_target(TargetDrop::HandedBack);
        let Some(transfer) = self.leaving.transfer.take() else {
            return;
        };
        let reason = "handed the caller back".to_owned();
        self.journal(SessionEvent::TargetEnded { reason });
        if alone {
            self.agent_returns();
        }
        let text = format!("[conference] {}: {HANDED_BACK}", transfer.target().name);
        self.caller_is_back(text, note);
    }
}

/// What the model is told, with what a person wants it to know.
pub(super) fn with_note(mut text: String, note: &str) -> String {
    let note = note.trim();
    if !note.is_empty() {
        text.push_str(". What they want you to know: ");
        text.push_str(note);
    }
    cut_text(text, TEXT_BYTES_MAX)
}
