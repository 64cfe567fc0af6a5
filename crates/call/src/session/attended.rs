//! An attended transfer: the person of the second leg has the word, and the caller's side is asked to take our place towards them.
//! Until it has, both legs stay: where it does not, the two are joined, so that nobody is lost.

use super::Session;
use crate::effect::{Effect, SessionEvent};
use crate::end::EndReason;
use crate::phase::Phase;
use crate::transfer::{HUNG_UP, TargetDrop, Transfer, TransferEnd, TransferMode};

impl Session {
    /// The person takes the caller.
    pub(super) fn take_caller(&mut self) {
        let now = self.now;
        match &mut self.leaving.transfer {
            Some(transfer) if transfer.target().mode == TransferMode::Attended => {
                transfer.handing(now);
                let target = transfer.target().name.clone();
                self.journal(SessionEvent::TransferStarted { target });
                self.effect(Effect::HandOver);
            }
            Some(transfer) if transfer.target().mode == TransferMode::Conference => self.confer(),
            Some(_) => self.join(),
            None => {}
        }
    }

    pub(super) fn hands_over(&self) -> bool {
        let transfer = self.leaving.transfer.as_ref();
        transfer.is_some_and(Transfer::is_handing)
    }

    /// Somebody answered the second leg, and is neither joined with the caller nor given up.
    pub(super) fn is_met(&self) -> bool {
        let transfer = self.leaving.transfer.as_ref();
        self.phase == Phase::Transferring
            && transfer.is_some_and(|transfer| transfer.is_met() || transfer.is_handing())
    }

    /// What the caller's side made of it.
    pub(super) fn handing_finished(&mut self, end: TransferEnd) {
        match end {
            TransferEnd::Done => self.handed_over(),
            TransferEnd::Declined { reason } | TransferEnd::Failed { reason } => {
                self.not_taken(&reason);
            }
        }
    }

    fn handed_over(&mut self) {
        let Some(transfer) = &self.leaving.transfer else {
            return;
        };
        let name = transfer.target().name.clone();
        self.journal(SessionEvent::TransferFinished {
            done: true,
            reason: String::new(),
        });
        self.tell(&format!("[transfer] {name}: handed over"));
        self.drop_target(TargetDrop::HandedOver);
        self.leaving.transfer = None;
        if self.phase == Phase::Transferring {
            self.hang_up(EndReason::Transferred);
        }
    }

    /// The caller's side does not take the call: the two legs that are there are joined. Where the person has left as well, the caller
    /// is back with the agent.
    pub(super) fn not_taken(&mut self, reason: &str) {
        let Some(transfer) = &self.leaving.transfer else {
            return;
        };
        let has_left = transfer.has_left();
        self.journal(SessionEvent::TransferDeclined {
            reason: reason.to_owned(),
        });
        if has_left {
            self.transfer_failed(HUNG_UP);
        } else {
            self.join();
        }
    }

    /// The second leg ended: what the caller's side says of it is awaited a little longer.
    pub(super) fn person_left(&mut self) {
        let now = self.now;
        if let Some(transfer) = &mut self.leaving.transfer {
            transfer.left(now);
        }
    }

    /// The caller's leg ended after its side had agreed to take our place: the person's is ended by them, or by us where that fails.
    pub(super) fn left_while_handing(&mut self) {
        if self.hands_over() {
            self.drop_target(TargetDrop::HandedOver);
            self.leaving.transfer = None;
        }
    }
}
