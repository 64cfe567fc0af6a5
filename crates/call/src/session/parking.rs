//! Parking: a person puts the caller into a place and leaves, another takes them from there, or the agent has them again after a
//! while. The engine stays closed meanwhile: nobody is asked, and nothing is said but by the people of the house.

use super::Session;
use crate::effect::{Effect, SessionEvent};
use crate::input::Input;
use crate::parking::{Parked, Parking, seconds};
use crate::phase::Phase;
use crate::planted::{self, Planted};
use crate::transfer::{TargetDrop, Transfer, TransferTarget};

impl Session {
    /// Whether a person of the house has the caller and could park them: alone with them, or beside the agent.
    pub fn may_park(&self) -> bool {
        self.may_return() || (self.phase == Phase::Talking && self.may_be_replaced())
    }

    pub(super) fn person_parks(&mut self, parking: Parking) {
        if !self.may_park() {
            return;
        }
        if self.confers() {
            self.agent_leaves();
        }
        self.drop_target(TargetDrop::Parked);
        self.leaving.transfer = None;
        let reason = "parked the caller".to_owned();
        self.journal(SessionEvent::TargetEnded { reason });
        self.enter(Phase::Parked);
        let parked = Parked::new(self.now, parking);
        let Parking { place, by, .. } = parked.parking().clone();
        self.leaving.parked = Some(parked);
        self.effect(Effect::Park { place });
        let text = format!("[parking] {by}: parked the caller in place {place}");
        self.tell(&text);
        self.journal(SessionEvent::Parked { place, by });
    }

    /// The caller waits: people may take them, and the caller may leave. Everything else is as between people.
    pub(super) fn apply_parked(&mut self, input: Input) {
        if let Input::TransferRequested { target } = input {
            self.called_to_place(target);
        } else if matches!(input, Input::TargetRings) {
            self.target_rings();
        } else if matches!(input, Input::TargetAnswered) {
            self.target_answered();
        } else if let Input::AnnouncementEnded { heard } = input {
            self.announcement_ended(heard);
        } else if let Input::TargetPressed { digit } = input {
            self.target_pressed(digit);
        } else {
            self.apply_joined(input);
        }
    }

    /// Somebody is called who shall take the caller. The caller goes on waiting until they do.
    fn called_to_place(&mut self, target: TransferTarget) {
        if self.leaving.transfer.is_some() {
            return self.nobody_else(&target);
        }
        let (transfer, step) = Transfer::retrieving(self.now, target);
        self.leaving.transfer = Some(transfer);
        self.take_transfer_step(step);
    }

    /// A person has the caller now; what is told of it. `None` where the caller was in no place.
    pub(super) fn taken_from_place(&mut self, by: &str) -> Option<String> {
        let parked = self.leave_place()?;
        let (place, waited_ms) = (parked.parking().place, parked.waited_ms(self.now));
        self.journal(SessionEvent::Retrieved {
            place,
            by: by.to_owned(),
            waited_ms,
        });
        let waited = seconds(waited_ms);
        Some(format!(
            "[parking] {by}: took the caller from place {place} after {waited}"
        ))
    }

    /// Who is called for the caller is given up when the time is over; not somebody who has answered, and is told who waits.
    pub(super) fn settle_parking(&mut self) {
        if self.phase != Phase::Parked {
            return;
        }
        if let Some(transfer) = &mut self.leaving.transfer
            && let Some(step) = transfer.advance(self.now, true)
        {
            return self.take_transfer_step(step);
        }
        let transfer = self.leaving.transfer.as_ref();
        let is_met = transfer.is_some_and(Transfer::is_met);
        let parked = self.leaving.parked.as_ref();
        let is_over = parked.is_some_and(|parked| self.now >= parked.until());
        if is_over && !is_met {
            self.parking_over(true, "");
        }
    }

    /// A person gives the waiting caller to the agent.
    pub(super) fn given_from_place(&mut self, note: &str) {
        self.parking_over(false, note);
    }

    /// The agent has the caller again, and knows what happened; a `note` takes the place of what was left for it.
    fn parking_over(&mut self, timed_out: bool, note: &str) {
        if self.leaving.transfer.is_some() {
            let (why, reason) = if timed_out {
                (TargetDrop::NoAnswer, "no answer")
            } else {
                (TargetDrop::CalledOff, "called off")
            };
            self.drop_target(why);
            self.transfer_failed(reason);
        }
        let Some(parked) = self.leave_place() else {
            return;
        };
        let waited_ms = parked.waited_ms(self.now);
        let Parking {
            place,
            by,
            note: left,
            ..
        } = parked.parking();
        self.journal(SessionEvent::ParkingEnded {
            place: *place,
            waited_ms,
            timed_out,
        });
        self.agent_returns();
        let waited = seconds(waited_ms);
        let what = if timed_out {
            format!("nobody took them in {waited}")
        } else {
            format!("a colleague gave them to you after {waited}")
        };
        let text = format!(
            "[parking] {by}: parked the caller in place {place}; {what}; the caller is back"
        );
        self.caller_is_back(text, if note.is_empty() { left } else { note });
    }

    /// The place is free again, whatever becomes of the caller.
    pub(super) fn leave_place(&mut self) -> Option<Parked> {
        let parked = self.leaving.parked.take()?;
        if !planted::has(Planted::ParkStays) {
            self.effect(Effect::Unpark);
        }
        Some(parked)
    }
}
