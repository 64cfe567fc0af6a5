//! The calling side of INVITE (RFC 3261 sections 13.1 and 13.2).

use std::time::Duration;

use crate::dialog::Dialog;
use crate::endpoint::Link;
use crate::event::{EndCause, Event};
use crate::id::InviteId;
use crate::invite::refresh::push_invite_rows;
use crate::invite::uas::peer_of;
use crate::invite::{Context, Ending, Invite, Phase, sdp_of, set_sdp};
use crate::message::{Method, Request, Response, name};
use crate::planted::{self, Planted};
use crate::transaction::client_invite::FORKS_MAX;
use crate::transaction::timer::InviteTimer;
use crate::transaction::{ClientId, Failure, Outgoing, Owner};
use crate::transport::Flow;
use crate::transport::target::NextHop;

/// After a provisional response the callee may ring this long until the next (RFC 3261 section 16.6, Timer C).
const RING_MAX: Duration = Duration::from_secs(180);
/// The shell gives the answer for the ACK within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Repetitions of the INVITE with credentials or another session interval.
const RESTARTS_MAX: u8 = 4;

/// An early dialog of one fork.
#[derive(Debug)]
pub(crate) struct Early {
    pub(crate) dialog: Dialog,
    pub(super) last_rseq: Option<u32>,
}

impl Early {
    pub(super) fn is_of(&self, response: &Response) -> bool {
        response
            .headers
            .to()
            .is_some_and(|to| to.tag() == Some(self.dialog.remote_tag()))
    }
}

/// An INVITE of ours without a final answer.
#[derive(Debug)]
pub(crate) struct Calling {
    pub(crate) client: ClientId,
    pub(crate) sequence: u32,
    pub(crate) early: Vec<Early>,
    /// An answer came in a reliable provisional response.
    has_answer: bool,
    restarts: u8,
}

impl Invite {
    /// Sends the first INVITE; `None` where the table of transactions is full.
    pub(crate) fn call(
        cx: &mut Context<'_>,
        (id, link): (InviteId, Link),
        mut dialog: Dialog,
        (next_hop, routes): (NextHop, Vec<String>),
        (offer, extra): (Option<Vec<u8>>, &[(String, String)]),
    ) -> Option<Self> {
        let sequence = dialog.next_sequence();
        let mut request = dialog.request(Method::Invite, sequence);
        for route in routes {
            request.headers.push(name::ROUTE, route);
        }
        push_invite_rows(cx.endpoint, &mut request, offer.is_some());
        for (name, value) in extra {
            request.headers.push(name, value);
        }
        if let Some(offer) = &offer {
            set_sdp(&mut request.headers, &mut request.body, offer);
        }
        let contact = Some(dialog.contact.clone());
        let owner = Owner::Invite(id);
        let mut outgoing = Outgoing {
            request,
            contact,
            next_hop,
            owner,
            link,
            attempts: 0,
            reached: None,
        };
        if let Some(account) = link.account {
            cx.accounts
                .preauthorize(cx.endpoint, account, &mut outgoing);
        }
        let client = cx.endpoint.request(cx.now, outgoing)?;
        let calling = Calling {
            client,
            sequence,
            early: Vec::new(),
            has_answer: false,
            restarts: 0,
        };
        let mut invite = Self::new(id, link, dialog, Phase::Calling(Box::new(calling)), true);
        invite.open_clients = 1;
        invite.local_sdp = offer;
        Some(invite)
    }

    /// A response to any request of ours.
    pub(crate) fn response_received(
        &mut self,
        cx: &mut Context<'_>,
        client: ClientId,
        response: &Response,
        flow: Flow,
        outgoing: Option<Box<Outgoing>>,
    ) {
        let method = response.headers.cseq().map(|cseq| cseq.method);
        if let Phase::Calling(calling) = &self.phase
            && calling.client == client
        {
            return match response.status {
                100 => self.ring_on(cx),
                101..200 => self.progress(cx, response, flow),
                200..300 => self.accepted(cx, client, response, flow),
                _ => self.refused(cx, response, outgoing),
            };
        }
        if self.modify_response(cx, client, response, outgoing.clone()) {
            return;
        }
        match method {
            Some(Method::Invite) if response.is_success() => {
                self.late_success(cx, client, response, flow)
            }
            Some(Method::Invite) => {}
            Some(Method::Refer) => self.refer_answered(cx, response, outgoing),
            _ if matches!(response.status, 401 | 407) => {
                if let Some(outgoing) = outgoing {
                    self.try_with_credentials(cx, *outgoing, response);
                }
            }
            Some(Method::Info | Method::Prack)
                if response.status == 481 && method == Some(Method::Info) =>
            {
                self.end(cx, EndCause::DialogLost, Ending::Draining);
            }
            Some(_) | None => {}
        }
    }

    /// No response will come.
    pub(crate) fn request_failed(
        &mut self,
        cx: &mut Context<'_>,
        client: ClientId,
        failure: Failure,
    ) {
        if let Phase::Calling(calling) = &self.phase
            && calling.client == client
        {
            let cause = match failure {
                Failure::Timeout => EndCause::Timeout,
                Failure::Unreachable | Failure::Dns => EndCause::Unreachable,
                Failure::TransportLost => EndCause::TransportLost,
                Failure::Cancelled => EndCause::LocalHangUp,
            };
            return self.end(cx, cause, Ending::Draining);
        }
        if !self.modify_unreachable(cx, client, failure) {
            self.refer_unanswered(cx, client);
        }
    }

    fn ring_on(&self, cx: &mut Context<'_>) {
        cx.endpoint
            .arm_invite(self.id, InviteTimer::Ringing, cx.now + RING_MAX);
    }

    fn progress(&mut self, cx: &mut Context<'_>, response: &Response, flow: Flow) {
        self.ring_on(cx);
        self.note_early(cx, response, flow);
        if !self.acknowledge_provisional(cx, response) {
            return;
        }
        let sdp = sdp_of(&response.headers, &response.body).filter(|_| self.local_sdp.is_some());
        if sdp.is_some() {
            self.remote_sdp.clone_from(&sdp);
            if let Phase::Calling(calling) = &mut self.phase
                && response.headers.requires("100rel")
            {
                calling.has_answer = true;
            }
        }
        self.event(
            cx,
            Event::Progress {
                invite: self.id,
                status: response.status,
                sdp,
            },
        );
    }

    fn note_early(&mut self, cx: &Context<'_>, response: &Response, flow: Flow) {
        let source = cx
            .endpoint
            .transport
            .addresses(flow)
            .map(|(_, remote)| remote);
        let has_tag = response.headers.to_tag().is_some();
        let Phase::Calling(calling) = &mut self.phase else {
            return;
        };
        let is_known = calling.early.iter().any(|early| early.is_of(response));
        if !has_tag || is_known || calling.early.len() >= FORKS_MAX {
            return;
        }
        let mut dialog = self.dialog.clone();
        dialog.settle(response, flow, source);
        calling.early.push(Early {
            dialog,
            last_rseq: None,
        });
    }

    fn accepted(
        &mut self,
        cx: &mut Context<'_>,
        client: ClientId,
        response: &Response,
        flow: Flow,
    ) {
        let Phase::Calling(calling) = &self.phase else {
            return;
        };
        let (sequence, has_answer) = (calling.sequence, calling.has_answer);
        let source = cx
            .endpoint
            .transport
            .addresses(flow)
            .map(|(_, remote)| remote);
        self.dialog.settle(response, flow, source);
        self.peer = peer_of(&response.headers);
        cx.endpoint.disarm_invite(self.id, InviteTimer::Ringing);
        let sdp = sdp_of(&response.headers, &response.body);
        let timer = self.session_timer_of(response);
        let (invite, offered) = (self.id, self.local_sdp.is_some());
        if sdp.is_none() && !(offered && has_answer) {
            self.phase = Phase::Confirmed;
            self.acknowledge(cx, client, sequence, None);
            return self.bye_and_end(cx, EndCause::MissingAnswer);
        }
        if sdp.is_some() {
            self.remote_sdp.clone_from(&sdp);
        }
        if offered {
            self.phase = Phase::Confirmed;
            self.acknowledge(cx, client, sequence, None);
        } else {
            self.phase = Phase::AckDue {
                invite: client,
                sequence,
            };
            cx.endpoint
                .arm_invite(self.id, InviteTimer::Ringing, cx.now + ANSWER_WITHIN);
        }
        self.event(cx, Event::Accepted { invite, sdp });
        self.set_session_timer(cx, timer);
    }

    /// The shell gave no answer for the ACK.
    pub(super) fn answer_overdue(&mut self, cx: &mut Context<'_>) {
        let _ = self.reject_offer(cx, 488);
    }

    /// A 2xx that is not the first: another fork, or one that crossed our CANCEL. ACK, then BYE.
    fn late_success(
        &mut self,
        cx: &mut Context<'_>,
        client: ClientId,
        response: &Response,
        flow: Flow,
    ) {
        let sequence = response.headers.cseq().map_or(0, |cseq| cseq.sequence);
        let source = cx
            .endpoint
            .transport
            .addresses(flow)
            .map(|(_, remote)| remote);
        let mut fork = self.dialog.clone();
        fork.settle(response, flow, source);
        let base = std::mem::replace(&mut self.dialog, fork);
        let is_ours = base.remote_tag() == self.dialog.remote_tag();
        self.acknowledge(cx, client, sequence, None);
        let is_kept = planted::has(Planted::ForkKept) && !is_ours;
        if is_kept {
            // It goes on without anybody.
        } else if !is_ours || matches!(self.phase, Phase::Ended(Ending::Cancelling)) {
            self.send(cx, Method::Bye, |_| {});
        }
        let used = self.dialog.local_sequence();
        self.dialog = base;
        self.dialog.continue_from(used);
    }

    fn refused(
        &mut self,
        cx: &mut Context<'_>,
        response: &Response,
        outgoing: Option<Box<Outgoing>>,
    ) {
        let Phase::Calling(calling) = &self.phase else {
            return;
        };
        let restarts = calling.restarts;
        let again = match (response.status, outgoing) {
            (401 | 407, Some(outgoing)) if restarts < RESTARTS_MAX => {
                self.try_with_credentials(cx, *outgoing, response)
            }
            (422, Some(outgoing)) if restarts < RESTARTS_MAX => {
                self.try_longer_interval(cx, *outgoing, response)
            }
            _ => None,
        };
        let sequence = self.dialog.local_sequence();
        if let (Some(client), Phase::Calling(calling)) = (again, &mut self.phase) {
            calling.client = client;
            calling.sequence = sequence;
            calling.restarts += 1;
            calling.early.clear();
            return;
        }
        let cause = EndCause::Refused {
            status: response.status,
            reason: response.reason.clone(),
        };
        self.end(cx, cause, Ending::Draining);
    }

    fn try_longer_interval(
        &mut self,
        cx: &mut Context<'_>,
        mut outgoing: Outgoing,
        response: &Response,
    ) -> Option<ClientId> {
        if !self.raise_interval(response) {
            return None;
        }
        let interval_s = self.timer?.interval_s;
        outgoing
            .request
            .headers
            .replace(name::SESSION_EXPIRES, interval_s);
        outgoing.request.headers.replace(name::MIN_SE, interval_s);
        self.resubmit(cx, outgoing)
    }

    /// Adds credentials for a challenge of our own trunk and sends again.
    pub(super) fn try_with_credentials(
        &mut self,
        cx: &mut Context<'_>,
        mut outgoing: Outgoing,
        response: &Response,
    ) -> Option<ClientId> {
        let account = self.link.account?;
        if !cx
            .accounts
            .authorize(cx.endpoint, account, &mut outgoing, response)
        {
            return None;
        }
        self.resubmit(cx, outgoing)
    }

    /// The same request with a CSeq of its own.
    fn resubmit(&mut self, cx: &mut Context<'_>, mut outgoing: Outgoing) -> Option<ClientId> {
        let sequence = self.dialog.next_sequence();
        set_sequence(&mut outgoing.request, sequence);
        self.start(cx, outgoing)
    }

    /// Timer C.
    pub(super) fn no_answer(&mut self, cx: &mut Context<'_>) {
        if let Phase::Calling(calling) = &self.phase {
            let client = calling.client;
            self.end(cx, EndCause::Timeout, Ending::Cancelling);
            cx.endpoint.cancel(cx.now, client, None);
        }
    }
}

pub(crate) fn set_sequence(request: &mut Request, sequence: u32) {
    let method = request.method.clone();
    request
        .headers
        .replace(name::CSEQ, crate::message::CSeq { sequence, method });
}
