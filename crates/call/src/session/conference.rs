//! A person who talks with caller and agent: all three hear each other. Whoever leaves, the other two go on; only the end of the
//! caller's leg is the end of everything.

use super::Session;
use super::person::with_note;
use crate::effect::{Effect, Purpose, Role, SessionEvent};
use crate::end::EndReason;
use crate::phase::Phase;
use crate::planted::{self, Planted};
use crate::transfer::{SOMEBODY_IS_THERE, Transfer, TransferTarget};

impl Session {
    /// A person hears caller and agent, and is heard by both.
    pub(super) fn confers(&self) -> bool {
        let transfer = self.leaving.transfer.as_ref();
        transfer.is_some_and(Transfer::is_conferring)
    }

    /// The person of the second leg has the word, and the agent stays.
    pub(super) fn confer(&mut self) {
        let Some(transfer) = &mut self.leaving.transfer else {
            return;
        };
        transfer.conferring();
        let name = transfer.target().name.clone();
        self.silence();
        self.enter(Phase::Talking);
        // What became due while it rang is due again.
        self.liveness.resume();
        self.brought_together(&name, "");
    }

    pub(super) fn brought_together(&mut self, name: &str, note: &str) {
        self.effect(Effect::Confer);
        if planted::has(Planted::ConfersTwice) {
            self.effect(Effect::Confer);
        }
        self.journal(SessionEvent::Conferred);
        let text =
            format!("[conference] {name}: has joined; they, the caller and you hear each other");
        let text = with_note(text, note);
        self.tell(&text);
        self.note(Role::System, text);
        self.turn.want(Purpose::Conferred);
    }

    /// Nobody else is called while a person is there.
    pub(super) fn nobody_else(&mut self, target: &TransferTarget) {
        self.journal(SessionEvent::TransferFinished {
            done: false,
            reason: SOMEBODY_IS_THERE.to_owned(),
        });
        if self.phase == Phase::Talking {
            let name = &target.name;
            self.note(
                Role::System,
                format!("[transfer] {name}: {SOMEBODY_IS_THERE}"),
            );
            self.turn.want(Purpose::TransferFailed);
        }
    }

    /// The person has left the three: the agent goes on with the caller, and knows of it.
    pub(super) fn person_left_conference(&mut self, name: &str, reason: &str) {
        self.journal(SessionEvent::TargetEnded {
            reason: reason.to_owned(),
        });
        let text = format!("[conference] {name}: {reason}; you are alone with the caller");
        self.tell(&text);
        if self.phase == Phase::Talking {
            self.note(Role::System, text);
            self.turn.unwant(Purpose::Conferred);
            self.turn.want(Purpose::Returned);
        }
    }

    /// Whether the end that is meant is the agent's alone, and a person is there for the caller.
    pub(super) fn may_leave_them(&self, reason: EndReason) -> bool {
        reason == EndReason::AgentHungUp && self.confers()
    }

    /// The agent has said its last word, or has no voice any more: the other two go on.
    pub(super) fn agent_leaves(&mut self) {
        self.leaving.goodbye = None;
        self.journal(SessionEvent::AgentLeft);
        self.join();
    }
}
