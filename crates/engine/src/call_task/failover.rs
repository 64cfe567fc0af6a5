//! A call that reached nobody is tried by the next account. One that rang, was busy or was declined reached somebody.

use std::time::Instant;

use catalog::Message;
use sip::EndCause;

use super::CallTask;
use crate::calls::{Calls, Dialled};
use crate::journal::CallJournal;
use crate::leg::Leg;
use crate::leg::audio::LegAudio;
use crate::log::say;
use crate::selection::may_try_another;

/// What a call needs to be tried by another account.
pub(super) struct NextAccount<'a> {
    calls: &'a Calls,
    leg: &'a mut Leg,
    dialled: &'a mut Dialled,
    journal: &'a CallJournal,
}

impl<'a> NextAccount<'a> {
    pub(super) const fn new(
        calls: &'a Calls,
        leg: &'a mut Leg,
        dialled: &'a mut Dialled,
        journal: &'a CallJournal,
    ) -> Self {
        Self {
            calls,
            leg,
            dialled,
            journal,
        }
    }

    /// Sends the INVITE of the next account that can; false where the cause allows none or no account is left. The callee has
    /// not rung.
    pub(super) fn try_after(
        self,
        now: Instant,
        cause: &EndCause,
        media: Option<&mut LegAudio>,
    ) -> bool {
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
        if !may_try_another(status) {
            return false;
        }
        let Some(media) = media.and_then(LegAudio::sdp) else {
            return false;
        };
        while let Some(line) = self.dialled.backups.pop_front() {
            let offer = media.offer_again();
            let placing = self.calls.try_place(&line, &self.dialled.to, offer);
            if let Some(placing) = placing
                && self.leg.replace(placing)
            {
                let message = Message::new("log_call_failed_over")
                    .with("account", line.config.name.as_str())
                    .with("status", status.unwrap_or_default());
                say(&message);
                self.journal.note(now, message);
                return true;
            }
        }
        false
    }
}

impl CallTask {
    /// True where another account took the call over.
    pub(super) fn fail_over(&mut self, now: Instant, cause: &EndCause) -> bool {
        let was_reached =
            self.desk.timings.ring_ms.is_some() || self.desk.timings.answer_ms.is_some();
        if self.desk.identity.inbound || was_reached {
            return false;
        }
        let desk = &mut self.desk;
        let next = NextAccount::new(&desk.calls, &mut desk.leg, &mut desk.dialled, &desk.journal);
        next.try_after(now, cause, Some(&mut self.media))
    }
}
