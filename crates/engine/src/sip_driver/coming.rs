//! An INVITE to a parking place: handed to the call of whoever waits there, or refused.

use std::sync::Arc;
use std::time::Instant;

use call::EndReason;
use sip::IncomingInvite;
use tokio::sync::mpsc;

use super::SipDriver;
use crate::dispatch::{Admitted, Decision, Line};
use crate::limits::LEG_EVENTS_MAX;
use crate::parking::NotParked;

impl SipDriver {
    pub(super) fn retrieving(
        &mut self,
        now: Instant,
        invite: &IncomingInvite,
        (line, admitted): (Arc<Line>, Admitted),
        place: Option<u16>,
    ) {
        let id = invite.invite;
        match self.calls.parking.find(&line.config.tenant, place) {
            Ok(call) => {
                let (events, queue) = mpsc::channel(LEG_EVENTS_MAX);
                self.routes.legs.insert(id, events);
                let admitted = (line, admitted);
                self.calls.begin_retrieval(invite, admitted, call, queue);
                self.replay_early(id);
            }
            Err(why) => self.decided(now, invite, not_parked(line, why)),
        }
    }
}

/// What whoever dialled is told: there is nobody, or the address lacks the place (RFC 3261 section 21.4.22).
fn not_parked(line: Arc<Line>, why: NotParked) -> Decision {
    let reason = EndReason::NotParked;
    let (status, code) = match why {
        NotParked::Nobody => (reason.row().sip_status, "nobody_parked"),
        NotParked::Several => (484, "several_parked"),
    };
    Decision::Refuse {
        line: Some(line),
        reason,
        status,
        retry_after_s: None,
        code,
        limit: None,
        note: None,
    }
}
