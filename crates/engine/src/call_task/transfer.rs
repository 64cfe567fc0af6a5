//! Handing the caller over through the leg.

use std::time::Instant;

use call::{Input, TransferEnd, TransferTarget};

use super::CallTask;
use crate::leg::Leg;

impl CallTask {
    pub(super) fn transfer(&mut self, now: Instant, target: &TransferTarget) {
        if let Leg::Carrier(carrier) = &mut self.desk.leg
            && carrier.transfer(target)
        {
            return;
        }
        let end = TransferEnd::Failed {
            reason: "this line cannot transfer calls".to_owned(),
        };
        self.session.handle(now, Input::TransferFinished { end });
    }
}
