//! An INVITE of a telephone of the house into a running call: handed to that call, or refused.

use std::sync::Arc;
use std::time::Instant;

use call::EndReason;
use sip::IncomingInvite;
use tokio::sync::mpsc;

use super::SipDriver;
use crate::calls::Wish;
use crate::dispatch::{Admitted, Decision, Line};
use crate::house_codes::Dialled;
use crate::limits::LEG_EVENTS_MAX;
use crate::parking::NotFound;

impl SipDriver {
    pub(super) fn coming(
        &mut self,
        now: Instant,
        invite: &IncomingInvite,
        (line, admitted): (Arc<Line>, Admitted),
        dialled: &Dialled,
    ) {
        let id = invite.invite;
        let tenant = &line.config.tenant;
        let (found, wish) = match dialled {
            Dialled::Parked(place) => {
                let found = self.calls.parking.find(tenant, *place);
                (found, Wish::Retrieves)
            }
            Dialled::Running { way, caller } => {
                let found = self.calls.find(tenant, caller);
                (found, Wish::Comes(*way))
            }
        };
        match found {
            Ok(call) => {
                let (events, queue) = mpsc::channel(LEG_EVENTS_MAX);
                self.routes.legs.insert(id, events);
                let admitted = (line, admitted);
                self.calls
                    .begin_coming(invite, admitted, (call, wish), queue);
                self.replay_early(id);
            }
            Err(why) => self.decided(now, invite, not_found(line, wish, why)),
        }
    }
}

/// What whoever dialled is told: there is nobody, or the address lacks who is meant (RFC 3261 section 21.4.22).
fn not_found(line: Arc<Line>, wish: Wish, why: NotFound) -> Decision {
    let (reason, nobody, several) = match wish {
        Wish::Retrieves => (EndReason::NotParked, "nobody_parked", "several_parked"),
        Wish::Comes(_) => (EndReason::NoSuchCall, "no_such_call", "several_calls"),
    };
    let (status, code) = match why {
        NotFound::Nobody => (reason.row().sip_status, nobody),
        NotFound::Several => (484, several),
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
