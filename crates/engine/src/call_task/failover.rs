//! A call that reached nobody is tried by the next account. One that rang, was busy or was declined reached somebody.

use std::time::Instant;

use catalog::Message;
use sip::EndCause;

use super::CallTask;
use crate::calls::{Calls, Dialled};
use crate::journal::CallJournal;
use crate::leg::audio::LegAudio;
use crate::leg::{Leg, said};
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
        let Some(status) = reached_nobody(cause) else {
            return false;
        };
        let Some(media) = media.and_then(LegAudio::sdp) else {
            return false;
        };
        while let Some(line) = self.dialled.backups.pop_front() {
            let offer = media.offer_again();
            let placing = self.calls.try_place(&line, self.dialled, offer);
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

/// Whether a leg that ended like this, and never rang, reached nobody: the outer `None` where it did, or where the end is ours. The
/// inner one is the status, where there was one.
fn reached_nobody(cause: &EndCause) -> Option<Option<u16>> {
    let status = said(cause);
    let lost = matches!(cause, EndCause::Unreachable | EndCause::TransportLost);
    (lost || status.is_some_and(|status| may_try_another(Some(status)))).then_some(status)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_ends_are_tried_by_another_account() {
        let refused = |status| EndCause::Refused {
            status,
            reason: String::new(),
        };
        for (cause, tried) in [
            (refused(408), Some(Some(408))),
            (refused(500), Some(Some(500))),
            (refused(502), Some(Some(502))),
            (refused(503), Some(Some(503))),
            (refused(504), Some(Some(504))),
            (EndCause::Timeout, Some(Some(408))),
            (EndCause::Unreachable, Some(None)),
            (EndCause::TransportLost, Some(None)),
            // Somebody said something of the callee, or of us.
            (refused(302), None),
            (refused(401), None),
            (refused(403), None),
            (refused(404), None),
            (refused(410), None),
            (refused(480), None),
            (refused(484), None),
            (refused(486), None),
            (refused(487), None),
            (refused(488), None),
            (refused(600), None),
            (refused(603), None),
            (refused(604), None),
            (refused(606), None),
            (refused(607), None),
            (EndCause::RemoteBye { reason: None }, None),
            (EndCause::RemoteCancel, None),
            (EndCause::LocalHangUp, None),
            (EndCause::Rejected { status: 503 }, None),
            (EndCause::AckMissing, None),
            (EndCause::MissingAnswer, None),
            (EndCause::SessionExpired, None),
            (EndCause::DialogLost, None),
            (EndCause::Overload, None),
        ] {
            assert_eq!(reached_nobody(&cause), tried, "{cause:?}");
        }
    }
}
