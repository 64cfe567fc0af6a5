//! What a call asks of one leg, where more is to be said than to hand it on: a key, a transfer, a new INVITE.

use std::time::Instant;

use call::TransferEnd;
use sip::{CommandError, InviteError, InviteId, OutgoingInvite};
use tokio::sync::{mpsc, oneshot};

use super::{LegEvent, SipDriver};
use crate::leg::key_info;

impl SipDriver {
    pub(super) fn key(
        &mut self,
        now: Instant,
        invite: InviteId,
        body: Vec<u8>,
    ) -> Result<(), CommandError> {
        self.user_agent
            .send_info(now, invite, key_info::KEY_CONTENT_TYPE, body)
    }

    pub(super) fn refer(
        &mut self,
        now: Instant,
        invite: InviteId,
        to: &str,
        even_if_unlisted: bool,
    ) -> Result<(), CommandError> {
        if !even_if_unlisted && !self.user_agent.may_refer(invite) {
            self.declined(invite, "the other side takes no REFER");
            return Ok(());
        }
        let done = self.user_agent.refer(now, invite, to);
        if done.is_err() {
            self.declined(invite, "the line refused");
        }
        done
    }

    pub(super) fn challenge(&mut self, now: Instant, invite: InviteId, realm: &str) {
        if self.user_agent.challenge(now, invite, realm).is_err() {
            self.user_agent.drop_invite(now, invite);
        }
    }

    pub(super) fn refer_to_call(&mut self, now: Instant, invite: InviteId, other: InviteId) {
        if self.user_agent.refer_to_call(now, invite, other).is_err() {
            self.declined(invite, "the other side takes no REFER");
        }
    }

    fn declined(&mut self, invite: InviteId, reason: &str) {
        let reason = reason.to_owned();
        let end = TransferEnd::Declined { reason };
        self.tell(invite, LegEvent::TransferFinished { end });
    }

    pub(super) fn place(
        &mut self,
        now: Instant,
        outgoing: OutgoingInvite,
        events: mpsc::Sender<LegEvent>,
        placed: oneshot::Sender<Result<InviteId, InviteError>>,
    ) {
        let result = self.user_agent.invite(now, outgoing);
        if let Ok(invite) = result {
            self.routes.legs.insert(invite, events);
        }
        if let Err(Ok(invite)) = placed.send(result) {
            // Who asked has left meanwhile: nobody else would end it.
            self.routes.legs.remove(&invite);
            let _ = self.user_agent.hang_up(now, invite, None);
        }
    }
}
