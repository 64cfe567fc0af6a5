//! Another telephone takes a leg over (INVITE with Replaces, RFC 3891): a person of an exchange hands the call on to a colleague. The
//! call goes on with the same agent, recording and ports; the dialog that was is hung up.
//!
//! Tags and Call-ID only say which leg is meant, and prove nothing: whoever asks must be known for the line of the call as one who may
//! bring calls by it (`Dispatcher::may_replace`).

use std::time::Instant;

use call::{EndReason, Input};
use catalog::Message;

use super::CallTask;
use super::desk::{Desk, phone};
use crate::calls::Calls;
use crate::dispatch::{Line, MayReplace};
use crate::leg::Leg;
use crate::leg::audio::LegAudio;
use crate::sip_driver::Replacement;

/// What the model is told of it.
const TOLD: &str = "[transfer] The caller has handed this call over: another person is on the line from here on. \
    What was proven before holds for them no more.";

/// Puts the new dialog in the place of a leg's. False where the leg stays as it was.
pub(super) fn take_over(
    now: Instant,
    (calls, line): (&Calls, &Line),
    (leg, media): (&mut Leg, &mut LegAudio),
    replacement: Replacement,
) -> bool {
    let Replacement {
        invite,
        shown,
        leg: other,
    } = replacement;
    match calls.may_replace(now, line, (&invite, shown.as_deref())) {
        MayReplace::Yes => {}
        MayReplace::Challenge { realm } => {
            other.challenge(realm);
            return false;
        }
        MayReplace::No => {
            other.refuse(403, EndReason::Unauthorized);
            return false;
        }
    }
    let Some(media) = media.sdp().filter(|_| leg.is_sip() && !leg.is_ended()) else {
        other.refuse(481, EndReason::Rejected);
        return false;
    };
    // What the description says is believed of its own sender.
    let before = media.signalled_by(Some(invite.source.ip()));
    let answer = match &invite.offer {
        Some(offer) => media
            .answer_again(now, offer)
            .map(|(answer, _)| answer)
            .ok(),
        None => Some(media.offer_again()),
    };
    let Some(answer) = answer else {
        media.signalled_by(before);
        other.refuse(488, EndReason::NoCommonCodec);
        return false;
    };
    leg.replace_by(other, answer)
}

/// Who it is, for the record: a number, or that there is none.
pub(super) fn noted(desk: &Desk, now: Instant, replacement: &Replacement) {
    let from = &replacement.invite.from;
    let from = phone(if from.user.is_empty() {
        &from.uri
    } else {
        &from.user
    });
    let note = Message::new("leg_replaced").with("from", from.unwrap_or_default());
    desk.journal.note(now, note);
}

impl CallTask {
    /// Somebody else takes the caller's leg over.
    pub(super) fn caller_replaced(&mut self, now: Instant, replacement: Replacement) {
        let was_held = self.media.is_held();
        let Self { desk, media, .. } = self;
        noted(desk, now, &replacement);
        let (calls, line) = (&desk.calls, &desk.line);
        if !take_over(now, (calls, line), (&mut desk.leg, media), replacement) {
            return;
        }
        if let Some(office) = &mut self.office {
            office.brain.caller_changed();
        }
        self.remember_brain();
        self.hold_changed(now, was_held);
        let text = TOLD.to_owned();
        self.session.handle(now, Input::Instruct { text });
    }
}
