//! ACK and BYE: how a dialog is confirmed and how it ends (RFC 3261 sections 13.3.1.4 and 15).

use crate::endpoint::Endpoint;
use crate::event::{EndCause, Event};
use crate::invite::command::CommandError;
use crate::invite::modify::Modify;
use crate::invite::{Context, Ending, Invite, Phase, UnackedSuccess, sdp_of};
use crate::message::{Method, Request, name};
use crate::planted::{self, Planted};
use crate::transaction::ServerId;
use crate::transaction::timer::InviteTimer;

impl Invite {
    /// An ACK inside the dialog.
    pub(crate) fn acknowledged(&mut self, cx: &mut Context<'_>, request: &Request) {
        let sequence = request.headers.cseq().map_or(0, |cseq| cseq.sequence);
        match self.unacked() {
            Some(success) if success.sequence == sequence => {}
            Some(_) | None => return,
        }
        cx.endpoint.disarm_invite(self.id, InviteTimer::Answer);
        cx.endpoint.disarm_invite(self.id, InviteTimer::Ack);
        let answer = sdp_of(&request.headers, &request.body);
        let (id, missing) = (
            self.id,
            answer.is_none() && self.unacked().is_some_and(|success| success.has_offer),
        );
        let placeholder = Phase::Ended(Ending::Draining);
        match std::mem::replace(&mut self.phase, placeholder) {
            Phase::Answered(_) => {
                self.phase = Phase::Confirmed;
                if missing {
                    return self.bye_and_end(cx, EndCause::MissingAnswer);
                }
                if let Some(answer) = &answer {
                    self.remote_sdp = Some(answer.clone());
                }
                self.event(cx, Event::Established { invite: id, answer });
            }
            Phase::Ended(Ending::AwaitingAck { reason, .. }) => self.bye(cx, reason),
            other @ (Phase::Incoming(_)
            | Phase::Calling(_)
            | Phase::AckDue { .. }
            | Phase::Confirmed
            | Phase::Ended(Ending::Draining | Ending::Cancelling)) => {
                self.phase = other;
                self.modify = Modify::Idle;
                if missing {
                    return self.bye_and_end(cx, EndCause::MissingAnswer);
                }
                if let Some(sdp) = answer {
                    self.remote_sdp = Some(sdp.clone());
                    self.event(cx, Event::Answer { invite: id, sdp });
                }
            }
        }
    }

    /// The 2xx that waits for an ACK.
    fn unacked(&self) -> Option<&UnackedSuccess> {
        match (&self.phase, &self.modify) {
            (Phase::Answered(answered) | Phase::Ended(Ending::AwaitingAck { answered, .. }), _) => {
                Some(&answered.success)
            }
            (Phase::Confirmed, Modify::TheirAck(success)) => Some(success),
            _ => None,
        }
    }

    pub(super) fn repeat_success(&mut self, cx: &mut Context<'_>) {
        let id = self.id;
        match (&mut self.phase, &mut self.modify) {
            (Phase::Answered(answered) | Phase::Ended(Ending::AwaitingAck { answered, .. }), _) => {
                answered.success.repeat(cx, id);
            }
            (Phase::Confirmed, Modify::TheirAck(success)) => success.repeat(cx, id),
            _ => {}
        }
    }

    /// Timer H of the 2xx: the peer never acknowledged.
    pub(super) fn ack_missing(&mut self, cx: &mut Context<'_>) {
        cx.endpoint.disarm_invite(self.id, InviteTimer::Answer);
        self.bye_and_end(cx, EndCause::AckMissing);
    }

    pub(crate) fn bye_and_end(&mut self, cx: &mut Context<'_>, cause: EndCause) {
        self.abandon_modify(cx);
        self.bye(cx, None);
        self.end(cx, cause, Ending::Draining);
    }

    fn bye(&mut self, cx: &mut Context<'_>, reason: Option<String>) {
        if planted::has(Planted::ByeForgotten) {
            return;
        }
        self.send(cx, Method::Bye, |request| {
            if let Some(reason) = reason {
                request.headers.push(name::REASON, reason);
            }
        });
    }

    /// CANCEL, BYE or an error answer, whatever the state calls for.
    pub(crate) fn hang_up(
        &mut self,
        cx: &mut Context<'_>,
        reason: Option<String>,
    ) -> Result<(), CommandError> {
        let placeholder = Phase::Ended(Ending::Draining);
        match std::mem::replace(&mut self.phase, placeholder) {
            Phase::Incoming(incoming) => {
                let mut response = self.response(&incoming.request, 480);
                if let Some(reason) = reason {
                    response.headers.push(name::REASON, reason);
                }
                self.phase = Phase::Incoming(incoming);
                self.refuse(cx, &response, EndCause::LocalHangUp);
            }
            Phase::Answered(answered) => {
                self.phase = Phase::Confirmed;
                self.end(
                    cx,
                    EndCause::LocalHangUp,
                    Ending::AwaitingAck { answered, reason },
                );
            }
            Phase::Calling(calling) => {
                let client = calling.client;
                self.phase = Phase::Calling(calling);
                self.end(cx, EndCause::LocalHangUp, Ending::Cancelling);
                cx.endpoint.cancel(cx.now, client, reason);
            }
            Phase::AckDue { invite, sequence } => {
                self.phase = Phase::Confirmed;
                self.acknowledge(cx, invite, sequence, None);
                self.bye(cx, reason);
                self.end(cx, EndCause::LocalHangUp, Ending::Draining);
            }
            Phase::Confirmed => {
                self.phase = Phase::Confirmed;
                self.abandon_modify(cx);
                self.bye(cx, reason);
                self.end(cx, EndCause::LocalHangUp, Ending::Draining);
            }
            Phase::Ended(ending) => {
                self.phase = Phase::Ended(ending);
                return Err(CommandError::UnknownInvite);
            }
        }
        Ok(())
    }

    /// BYE came.
    pub(super) fn bye_received(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request,
        server: ServerId,
    ) {
        if matches!(self.phase, Phase::Calling(_)) {
            let response = self.response(request, 481);
            return cx.endpoint.respond(cx.now, server, &response);
        }
        let response = self.response(request, 200);
        cx.endpoint.respond(cx.now, server, &response);
        let reason = request.headers.get(name::REASON).map(str::to_owned);
        self.abandon_modify(cx);
        let cause = EndCause::RemoteBye { reason };
        match &self.phase {
            Phase::Incoming(incoming) => {
                let terminated = self.response(&incoming.request, 487);
                self.refuse(cx, &terminated, cause);
            }
            Phase::AckDue { invite, sequence } => {
                let (invite, sequence) = (*invite, *sequence);
                self.acknowledge(cx, invite, sequence, None);
                self.end(cx, cause, Ending::Draining);
            }
            Phase::Answered(_) | Phase::Confirmed | Phase::Ended(_) | Phase::Calling(_) => {
                self.end(cx, cause, Ending::Draining);
            }
        }
    }

    /// The dialog ends while a modification is open: the peer's gets 487, ours is cancelled.
    pub(super) fn abandon_modify(&mut self, cx: &mut Context<'_>) {
        match std::mem::replace(&mut self.modify, Modify::Idle) {
            Modify::TheirInvite {
                server, request, ..
            }
            | Modify::TheirUpdate { server, request }
            | Modify::TheirPrack { server, request } => {
                let response = self.response(&request, 487);
                cx.endpoint.respond(cx.now, server, &response);
            }
            Modify::OurInvite { client, .. } => cx.endpoint.cancel(cx.now, client, None),
            Modify::OurUpdate { .. } | Modify::TheirAck(_) | Modify::Idle => {}
        }
    }

    /// Our Contact as the peer should see it, on the flow of the dialog.
    pub(super) fn contact_value(&self, endpoint: &Endpoint) -> Option<String> {
        let flow = self.dialog.flow()?;
        let sent_by = endpoint.transport.sent_by(flow)?;
        Some(
            self.dialog
                .contact
                .value(endpoint.transport.protocol(flow), &sent_by),
        )
    }
}
