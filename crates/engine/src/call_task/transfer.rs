//! Handing the caller over through the leg.

use std::time::Instant;

use call::{Input, TransferEnd, TransferTarget};

use super::CallTask;
use crate::calls::placing::{PREMIUM_REFUSED, refer_address};
use crate::leg::Leg;

impl CallTask {
    pub(super) fn transfer(&mut self, now: Instant, target: &TransferTarget) {
        let domain = self.transfer_domain();
        let to = refer_address(&self.desk.line, target.address.reveal(), &domain);
        let reason = match to {
            Some(to) if self.desk.leg.transfer(target, &to) => return,
            Some(_) => "this line cannot transfer calls",
            None => PREMIUM_REFUSED,
        };
        let reason = reason.to_owned();
        self.transfer_over(now, TransferEnd::Failed { reason });
    }

    /// Where we call a number ourselves: as [`CallTask::transfer_domain`]; nowhere, where the host that brought the call has no trunk of ours: a carrier's
    /// stream, a page.
    pub(super) fn calling_domain(&self) -> Option<String> {
        let has_trunk = self.desk.line.config.account.is_some();
        let by_sip = matches!(self.desk.leg, Leg::Sip(_));
        (has_trunk || by_sip).then(|| self.transfer_domain())
    }

    /// Where a number is called: the domain of the line's account, else the host that sent the call.
    pub(super) fn transfer_domain(&self) -> String {
        let account = self.desk.line.config.account.as_ref();
        let of_account = account.and_then(|account| account.aor.rsplit_once('@'));
        of_account.map_or_else(
            || self.desk.identity.parties.peer.clone(),
            |(_, domain)| domain.to_owned(),
        )
    }

    pub(super) fn transfer_over(&mut self, now: Instant, end: TransferEnd) {
        if end == TransferEnd::Done {
            self.second.is_handed_over();
            self.handed_over();
        }
        self.session.handle(now, Input::TransferFinished { end });
    }
}
