//! A call that reached nobody is tried by the next account. One that rang, was busy or was declined reached somebody.

use std::time::Instant;

use catalog::Message;
use sip::EndCause;

use super::CallTask;
use crate::log::say;
use crate::selection::may_try_another;

impl CallTask {
    /// True where another account took the call over.
    pub(super) fn fail_over(&mut self, now: Instant, cause: &EndCause) -> bool {
        let status = match cause {
            EndCause::Refused { status, .. } => Some(*status),
            EndCause::Timeout => Some(408),
            EndCause::Unreachable | EndCause::TransportLost => None,
            EndCause::RemoteBye { .. }
            | EndCause::RemoteCancel
            | EndCause::LocalHangUp
            | EndCause::Rejected { .. }
            | EndCause::AckMissing
            | EndCause::MissingAnswer
            | EndCause::SessionExpired
            | EndCause::DialogLost
            | EndCause::Overload => return false,
        };
        let was_reached =
            self.desk.timings.ring_ms.is_some() || self.desk.timings.answer_ms.is_some();
        if self.desk.identity.inbound || was_reached || !may_try_another(status) {
            return false;
        }
        while let Some(line) = self.desk.dialled.backups.pop_front() {
            let Some(media) = self.media.sdp() else {
                return false;
            };
            let offer = media.offer_again();
            let placing = self
                .desk
                .calls
                .try_place(&line, &self.desk.dialled.to, offer);
            if let Some(placing) = placing
                && self.desk.leg.replace(placing)
            {
                let message = Message::new("log_call_failed_over")
                    .with("account", line.config.name.as_str())
                    .with("status", status.unwrap_or_default());
                say(&message);
                self.desk.journal.note(now, message);
                return true;
            }
        }
        false
    }
}
