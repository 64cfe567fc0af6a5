//! An INVITE that wants to take the place of a call's leg (RFC 3891): handed to the task of that call, which knows its line.

use std::sync::Arc;
use std::time::Instant;

use sip::{IncomingInvite, Rejection, Replaced};
use tokio::sync::mpsc;

use super::{LegEvent, SipDriver, lock};
use crate::client_certificate::Shown;
use crate::dispatch::Decision;
use crate::leg::SipLeg;
use crate::limits::LEG_EVENTS_MAX;

/// Who comes instead. Dropped without an answer, it is refused.
pub(crate) struct Replacement {
    pub(crate) invite: IncomingInvite,
    /// What its connection showed.
    pub(crate) shown: Option<Arc<Shown>>,
    pub(crate) leg: SipLeg,
}

impl std::fmt::Debug for Replacement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replacement({:?})", self.invite.invite)
    }
}

impl SipDriver {
    /// What there is to be replaced decides its task. Where there is nothing, whoever may not call learns no more of it than from any
    /// other INVITE.
    pub(super) fn replacing(&mut self, now: Instant, invite: &IncomingInvite, named: Replaced) {
        let id = invite.invite;
        let shown = self.shown(invite);
        let status = match named {
            Replaced::Dialog(old) if self.routes.legs.contains_key(&old) => {
                let (events, queue) = mpsc::channel(LEG_EVENTS_MAX);
                self.routes.legs.insert(id, events);
                let leg = SipLeg::new(id, self.calls.driver.clone(), queue);
                let invite = invite.clone();
                let replacement = Box::new(Replacement { invite, shown, leg });
                self.tell(old, LegEvent::Replaced(replacement));
                return self.replay_early(id);
            }
            Replaced::Dialog(_) => 481,
            Replaced::Refused { status } => status,
        };
        let decision = lock(&self.dispatcher).decide(now, invite, shown.as_deref());
        let may_call = matches!(decision, Decision::Accept { .. } | Decision::Come { .. });
        if !may_call {
            return self.decided(now, invite, decision);
        }
        self.routes.early.retain(|(early, _)| *early != id);
        let rejection = Rejection {
            status,
            reason: None,
            retry_after_s: None,
        };
        if self.user_agent.reject(now, id, rejection).is_err() {
            self.user_agent.drop_invite(now, id);
        }
    }
}
