//! Handing the caller over through the leg.

use std::time::Instant;

use call::{Input, TransferEnd, TransferTarget};

use super::CallTask;

impl CallTask {
    pub(super) fn transfer(&mut self, now: Instant, _target: &TransferTarget) {
        let end = TransferEnd::Failed {
            reason: "this line cannot transfer calls".to_owned(),
        };
        self.session.handle(now, Input::TransferFinished { end });
    }
}
