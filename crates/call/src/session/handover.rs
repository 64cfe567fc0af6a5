//! Handing the caller over: after the last words, with the caller kept from interrupting, and back into the conversation when it
//! fails.

use super::Session;
use crate::effect::{Effect, Purpose, Role, SessionEvent};
use crate::end::EndReason;
use crate::phase::Phase;
use crate::transfer::{Transfer, TransferEnd, TransferStep, TransferTarget};

impl Session {
    /// A person asks for it.
    pub(super) fn transfer_requested(&mut self, target: TransferTarget) {
        if self.phase == Phase::Talking {
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
        match transfer.advance(self.now, quiet) {
            Some(TransferStep::Go(target)) => {
                self.journal(SessionEvent::TransferStarted {
                    target: target.name.clone(),
                });
                self.effect(Effect::Transfer { target });
            }
            Some(TransferStep::TimedOut) => self.transfer_finished(TransferEnd::Failed {
                reason: "no answer".to_owned(),
            }),
            None => {}
        }
    }

    pub(super) fn transfer_accepted(&mut self) {
        if let Some(transfer) = &mut self.leaving.transfer {
            transfer.accepted();
        }
    }

    pub(super) fn transfer_finished(&mut self, end: TransferEnd) {
        let Some(transfer) = self
            .leaving
            .transfer
            .take_if(|transfer| transfer.is_asked())
        else {
            return;
        };
        let (done, reason) = match end {
            TransferEnd::Done => (true, String::new()),
            TransferEnd::Failed { reason } => (false, reason),
        };
        self.journal(SessionEvent::TransferFinished {
            done,
            reason: reason.clone(),
        });
        if self.phase != Phase::Transferring {
            return;
        }
        if done {
            self.hang_up(EndReason::Transferred);
            return;
        }
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

    /// The leg ended while the other side was trying the transfer it had agreed to: that is how many systems say that it worked.
    pub(super) fn was_handed_over(&self) -> bool {
        self.leaving
            .transfer
            .as_ref()
            .is_some_and(Transfer::is_accepted)
    }
}
