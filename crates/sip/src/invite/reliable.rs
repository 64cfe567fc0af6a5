//! Reliable provisional responses (RFC 3262), both sides.

use std::collections::VecDeque;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::event::{EndCause, Event};
use crate::invite::command::CommandError;
use crate::invite::modify::Modify;
use crate::invite::{Context, Invite, Phase, sdp_of};
use crate::message::{Method, RAck, Request, Response, name};
use crate::transaction::ServerId;
use crate::transaction::client::TRANSACTION_T1;
use crate::transaction::timer::InviteTimer;

/// Provisional responses that wait for the PRACK of the one before.
const QUEUE_MAX: usize = 4;

/// Whether provisional responses of an INVITE are sent reliably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// The peer does not know 100rel.
    No,
    /// It can: used where SDP goes along.
    Supported,
    Required,
}

/// One provisional response without a PRACK yet.
#[derive(Debug)]
struct Unacked {
    sequence: u32,
    response: Response,
    has_sdp: bool,
    interval: Duration,
}

/// The reliable provisional responses of one incoming INVITE.
#[derive(Debug)]
pub(crate) struct Reliable {
    wish: Wish,
    next_sequence: u32,
    unacked: Option<Unacked>,
    queue: VecDeque<(Response, bool)>,
    /// A provisional response carried our offer (delayed offer), so the PRACK brings the answer.
    awaits_answer: bool,
    /// The 200 that waits for the PRACK.
    answer: Option<Vec<u8>>,
}

impl Reliable {
    pub(super) fn new(endpoint: &mut Endpoint, request: &Request) -> Self {
        let wish = if request.headers.requires("100rel") {
            Wish::Required
        } else if request.headers.supports("100rel") {
            Wish::Supported
        } else {
            Wish::No
        };
        // RFC 3262 section 3: the first RSeq is random below 2^31.
        let next_sequence = u32::try_from(endpoint.random.below(1 << 30)).unwrap_or(0) + 1;
        Self {
            wish,
            next_sequence,
            unacked: None,
            queue: VecDeque::new(),
            awaits_answer: false,
            answer: None,
        }
    }

    pub(super) const fn applies(&self, has_sdp: bool) -> bool {
        match self.wish {
            Wish::No => false,
            Wish::Supported => has_sdp,
            Wish::Required => true,
        }
    }

    /// RFC 3262 section 3: no 2xx while a provisional response with SDP is unacknowledged.
    pub(super) fn holds_answer(&self) -> bool {
        self.unacked.as_ref().is_some_and(|unacked| unacked.has_sdp)
            || self.queue.iter().any(|(_, has_sdp)| *has_sdp)
    }

    pub(super) fn keep_answer(&mut self, sdp: Vec<u8>) {
        self.answer = Some(sdp);
    }
}

impl Invite {
    pub(super) fn ring_reliably(
        &mut self,
        cx: &mut Context<'_>,
        response: Response,
        sdp: Option<Vec<u8>>,
    ) -> Result<(), CommandError> {
        let has_sdp = sdp.is_some();
        let is_delayed_offer = self.remote_sdp.is_none();
        let Phase::Incoming(incoming) = &mut self.phase else {
            return Err(CommandError::WrongState);
        };
        if has_sdp {
            self.local_sdp = sdp;
            incoming.reliable.awaits_answer = is_delayed_offer;
        }
        if incoming.reliable.queue.len() >= QUEUE_MAX {
            return Err(CommandError::WrongState);
        }
        incoming.reliable.queue.push_back((response, has_sdp));
        self.next_provisional(cx);
        Ok(())
    }

    fn next_provisional(&mut self, cx: &mut Context<'_>) {
        let t1 = cx.endpoint.timers.t1;
        let Phase::Incoming(incoming) = &mut self.phase else {
            return;
        };
        let reliable = &mut incoming.reliable;
        if reliable.unacked.is_some() {
            return;
        }
        let Some((mut response, has_sdp)) = reliable.queue.pop_front() else {
            if let Some(answer) = reliable.answer.take() {
                self.send_answer(cx, answer);
            }
            return;
        };
        let sequence = reliable.next_sequence;
        reliable.next_sequence += 1;
        response.headers.push(name::REQUIRE, "100rel");
        response.headers.push(name::RSEQ, sequence);
        cx.endpoint.respond(cx.now, incoming.server, &response);
        reliable.unacked = Some(Unacked {
            sequence,
            response,
            has_sdp,
            interval: t1,
        });
        cx.endpoint
            .arm_invite(self.id, InviteTimer::Provisional, cx.now + t1);
        cx.endpoint
            .arm_invite(self.id, InviteTimer::Prack, cx.now + t1 * TRANSACTION_T1);
    }

    pub(super) fn repeat_provisional(&mut self, cx: &mut Context<'_>) {
        let Phase::Incoming(incoming) = &mut self.phase else {
            return;
        };
        let Some(unacked) = &mut incoming.reliable.unacked else {
            return;
        };
        unacked.interval *= 2;
        cx.endpoint
            .respond(cx.now, incoming.server, &unacked.response);
        cx.endpoint
            .arm_invite(self.id, InviteTimer::Provisional, cx.now + unacked.interval);
    }

    /// RFC 3262 section 3: no PRACK for 64*T1 refuses the INVITE.
    pub(super) fn prack_missing(&mut self, cx: &mut Context<'_>) {
        if let Phase::Incoming(incoming) = &self.phase {
            let response = self.response(&incoming.request, 504);
            self.refuse(cx, &response, EndCause::AckMissing);
        }
    }

    pub(super) fn prack_received(
        &mut self,
        cx: &mut Context<'_>,
        request: Request,
        server: ServerId,
    ) {
        let rack = request.headers.rack();
        let Phase::Incoming(incoming) = &mut self.phase else {
            return self.respond(cx, server, &request, 481);
        };
        let invite_sequence = incoming.request.headers.cseq().map(|cseq| cseq.sequence);
        let reliable = &mut incoming.reliable;
        let matches = match (&reliable.unacked, &rack) {
            (Some(unacked), Some(rack)) => {
                rack.response == unacked.sequence
                    && Some(rack.sequence) == invite_sequence
                    && rack.method == Method::Invite
            }
            _ => false,
        };
        if !matches {
            return self.respond(cx, server, &request, 481);
        }
        reliable.unacked = None;
        cx.endpoint.disarm_invite(self.id, InviteTimer::Provisional);
        cx.endpoint.disarm_invite(self.id, InviteTimer::Prack);
        let sdp = sdp_of(&request.headers, &request.body);
        match (sdp, reliable.awaits_answer) {
            (Some(sdp), true) => {
                reliable.awaits_answer = false;
                self.respond(cx, server, &request, 200);
                self.remote_sdp = Some(sdp.clone());
                self.event(
                    cx,
                    Event::Answer {
                        invite: self.id,
                        sdp,
                    },
                );
            }
            (Some(sdp), false) if matches!(self.modify, Modify::Idle) => {
                self.modify = Modify::TheirPrack {
                    server,
                    request: Box::new(request),
                };
                self.offered(cx, Some(sdp));
            }
            (Some(_), false) => self.respond(cx, server, &request, 491),
            (None, _) => self.respond(cx, server, &request, 200),
        }
        self.next_provisional(cx);
    }

    /// UAC: acknowledges a reliable provisional response, once, in order (RFC 3262 section 4).
    pub(super) fn acknowledge_provisional(
        &mut self,
        cx: &mut Context<'_>,
        response: &Response,
    ) -> bool {
        let Some(sequence) = response
            .headers
            .rseq()
            .filter(|_| response.headers.requires("100rel"))
        else {
            return true;
        };
        let Phase::Calling(calling) = &mut self.phase else {
            return true;
        };
        let invite_sequence = calling.sequence;
        let Some(early) = calling.early.iter_mut().find(|early| early.is_of(response)) else {
            return true;
        };
        if early
            .last_rseq
            .is_some_and(|last| sequence != last.wrapping_add(1))
        {
            return false;
        }
        early.last_rseq = Some(sequence);
        let early = early.dialog.clone();
        let rack = RAck {
            response: sequence,
            sequence: invite_sequence,
            method: Method::Invite,
        };
        let base = std::mem::replace(&mut self.dialog, early);
        self.dialog.continue_from(base.local_sequence());
        self.send(cx, Method::Prack, |request| {
            request.headers.push(name::RACK, rack)
        });
        let used = self.dialog.local_sequence();
        self.dialog = base;
        self.dialog.continue_from(used);
        true
    }
}
