//! The INVITE session: one state at a time, one file for each thing that can happen to it.
//!
//! `uas` and `uac` set the dialog up, `modify` changes it (re-INVITE, UPDATE), `refresh` keeps it alive (RFC 4028),
//! `reliable` is RFC 3262, `within` takes the peer's requests inside the dialog, `transfer` answers REFER and sends ours, `replaced`
//! says which dialog another INVITE may take the place of, `closing` ends it. `Ended` is told to the shell once, at the first cause; what the protocol still needs after that (a CANCEL
//! race, an ACK that is due, the answer to our BYE) goes on silently until no transaction is left.

pub(crate) mod closing;
pub(crate) mod command;
pub(crate) mod modify;
pub(crate) mod refresh;
pub(crate) mod reliable;
pub(crate) mod replaced;
pub(crate) mod transfer;
pub(crate) mod uac;
pub(crate) mod uas;
pub(crate) mod within;

use std::time::{Duration, Instant};

use crate::account::Accounts;
use crate::dialog::Dialog;
use crate::endpoint::{Endpoint, Link};
use crate::event::{EndCause, Event};
use crate::id::InviteId;
use crate::message::{Method, Request, Response, name};
use crate::planted::{self, Planted};
use crate::transaction::timer::InviteTimer;
use crate::transaction::{ClientId, Outgoing, Owner, ServerId};

pub use command::{CommandError, InviteError, OutgoingInvite, Rejection};
use modify::{Modify, Retry};
use refresh::SessionTimer;
use uac::Calling;
use uas::{Answered, Incoming};

/// What an invite works with besides itself.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) endpoint: &'a mut Endpoint,
    pub(crate) accounts: &'a mut Accounts,
}

/// Where an invite stands.
#[derive(Debug)]
pub(crate) enum Phase {
    /// UAS, no final answer yet.
    Incoming(Box<Incoming>),
    /// UAS, 200 sent, no ACK yet.
    Answered(Box<Answered>),
    /// UAC, no final answer yet.
    Calling(Box<Calling>),
    /// UAC, the 2xx brought an offer: the ACK waits for the shell's answer.
    AckDue {
        invite: ClientId,
        sequence: u32,
    },
    Confirmed,
    /// The shell was told of the end.
    Ended(Ending),
}

/// What is left to do after the end.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Only transactions run out.
    Draining,
    /// UAC: CANCEL is under way, a 2xx may still come.
    Cancelling,
    /// UAS: BYE must wait for the ACK (RFC 3261 section 15).
    AwaitingAck {
        answered: Box<Answered>,
        reason: Option<String>,
    },
}

/// What the peer said it can do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Peer {
    /// UPDATE (RFC 3311).
    pub(crate) update: bool,
    /// It lists what it takes (Allow), and REFER (RFC 3515) is not there.
    pub(crate) refuses_refer: bool,
    /// Whether it knows Replaces (RFC 3891): a call of its own may be replaced, and it takes the place of others. `None`: it lists
    /// nothing that it knows (Supported).
    pub(crate) replaces: Option<bool>,
}

/// One INVITE session.
#[derive(Debug)]
pub(crate) struct Invite {
    pub(crate) id: InviteId,
    pub(crate) link: Link,
    pub(crate) dialog: Dialog,
    pub(crate) phase: Phase,
    pub(crate) modify: Modify,
    /// A modification of ours that met 491 and waits.
    pub(crate) retry: Option<Retry>,
    pub(crate) timer: Option<SessionTimer>,
    pub(crate) peer: Peer,
    /// Our last SDP: what a refreshing re-INVITE offers again.
    pub(crate) local_sdp: Option<Vec<u8>>,
    pub(crate) remote_sdp: Option<Vec<u8>>,
    /// The call was begun by us: decides the range of the delay after 491.
    pub(crate) is_outbound: bool,
    /// Our REFER, until the peer has said how it ended.
    pub(crate) refer: Option<transfer::Referral>,
    /// Client transactions that have not reported their end.
    open_clients: u32,
}

/// A 2xx that is repeated until its ACK comes (RFC 3261 section 13.3.1.4).
#[derive(Debug)]
pub(crate) struct UnackedSuccess {
    pub(crate) server: ServerId,
    pub(crate) response: Box<Response>,
    pub(crate) sequence: u32,
    /// The 2xx carried our offer, so the ACK must carry the answer.
    pub(crate) has_offer: bool,
    interval: Duration,
}

impl Invite {
    fn new(id: InviteId, link: Link, dialog: Dialog, phase: Phase, is_outbound: bool) -> Self {
        Self {
            id,
            link,
            dialog,
            phase,
            modify: Modify::Idle,
            retry: None,
            timer: None,
            peer: Peer::default(),
            local_sdp: None,
            remote_sdp: None,
            is_outbound,
            refer: None,
            open_clients: 0,
        }
    }

    pub(crate) const fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Nothing can happen to it any more: it may be forgotten.
    pub(crate) const fn is_spent(&self) -> bool {
        let waits_for_ack = matches!(self.phase, Phase::Ended(Ending::AwaitingAck { .. }));
        self.is_ended() && self.open_clients == 0 && !waits_for_ack
    }

    pub(crate) fn event(&self, cx: &mut Context<'_>, event: Event) {
        if !self.is_ended() {
            cx.endpoint.event(event);
        }
    }

    /// Tells the shell of the end, once, and stops every timer.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>, cause: EndCause, ending: Ending) {
        self.abandon_modify(cx);
        let is_silent =
            planted::has(Planted::EndForgotten) && matches!(cause, EndCause::RemoteCancel);
        if !is_silent && (!self.is_ended() || planted::has(Planted::EndsTwice)) {
            cx.endpoint.event(Event::Ended {
                invite: self.id,
                cause,
            });
        }
        if planted::has(Planted::TellsAfterEnd) {
            cx.endpoint.event(Event::Refreshed { invite: self.id });
        }
        for timer in [
            InviteTimer::Ringing,
            InviteTimer::Provisional,
            InviteTimer::Prack,
            InviteTimer::Refresh,
            InviteTimer::Expire,
            InviteTimer::Retry,
            InviteTimer::Modify,
        ] {
            cx.endpoint.disarm_invite(self.id, timer);
        }
        if !matches!(ending, Ending::AwaitingAck { .. }) {
            cx.endpoint.disarm_invite(self.id, InviteTimer::Answer);
            cx.endpoint.disarm_invite(self.id, InviteTimer::Ack);
        }
        self.retry = None;
        self.phase = Phase::Ended(ending);
    }

    /// Sends a request of the dialog with a CSeq of its own.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context<'_>,
        method: Method,
        dress: impl FnOnce(&mut Request),
    ) -> Option<ClientId> {
        let sequence = if method == Method::Bye && planted::has(Planted::SequenceShared) {
            self.dialog.local_sequence()
        } else {
            self.dialog.next_sequence()
        };
        let has_contact = matches!(method, Method::Invite | Method::Update | Method::Refer);
        let mut request = self.dialog.request(method, sequence);
        dress(&mut request);
        let contact = has_contact.then(|| self.dialog.contact.clone());
        let mut outgoing = Outgoing {
            request,
            contact,
            next_hop: self.dialog.next_hop(),
            owner: Owner::Invite(self.id),
            link: self.link,
            attempts: 0,
            reached: None,
        };
        if let Some(account) = self.link.account {
            cx.accounts
                .preauthorize(cx.endpoint, account, &mut outgoing);
        }
        self.start(cx, outgoing)
    }

    /// Starts a client transaction that reports to this invite.
    pub(crate) fn start(&mut self, cx: &mut Context<'_>, outgoing: Outgoing) -> Option<ClientId> {
        let client = cx.endpoint.request(cx.now, outgoing);
        self.open_clients += u32::from(client.is_some());
        client
    }

    /// Acknowledges a 2xx.
    pub(crate) fn acknowledge(
        &mut self,
        cx: &mut Context<'_>,
        invite: ClientId,
        sequence: u32,
        answer: Option<&[u8]>,
    ) {
        if planted::has(Planted::AckForgotten) {
            return;
        }
        let mut request = self.dialog.request(Method::Ack, sequence);
        if let Some(answer) = answer {
            set_sdp(&mut request.headers, &mut request.body, answer);
        }
        let tag = self.dialog.remote_tag().to_owned();
        let ack = Outgoing {
            request,
            contact: None,
            next_hop: self.dialog.next_hop(),
            owner: Owner::Invite(self.id),
            link: self.link,
            attempts: 0,
            reached: None,
        };
        let started = cx.endpoint.acknowledge(cx.now, invite, &tag, ack);
        self.open_clients += u32::from(started.is_some());
    }

    pub(crate) fn client_gone(&mut self) {
        self.open_clients = self.open_clients.saturating_sub(1);
    }

    /// A response of ours inside this invite, with our tag.
    pub(crate) fn response(&self, request: &Request, status: u16) -> Response {
        let mut response = Response::to(request, status);
        if request.headers.to_tag().is_none() && status != 100 {
            response.headers.replace(name::TO, &self.dialog.local);
        }
        response
    }

    pub(crate) fn timer(&mut self, cx: &mut Context<'_>, timer: InviteTimer) {
        match timer {
            InviteTimer::Ringing => self.ringing_too_long(cx),
            InviteTimer::Answer => self.repeat_success(cx),
            InviteTimer::Ack => self.ack_missing(cx),
            InviteTimer::Provisional => self.repeat_provisional(cx),
            InviteTimer::Prack => self.prack_missing(cx),
            InviteTimer::Refresh => self.refresh(cx),
            InviteTimer::Expire => self.session_expired(cx),
            InviteTimer::Retry => self.retry_modify(cx),
            InviteTimer::Modify => self.modify_unanswered(cx),
        }
    }
}

impl UnackedSuccess {
    pub(crate) fn new(
        server: ServerId,
        response: Response,
        sequence: u32,
        has_offer: bool,
        t1: Duration,
    ) -> Self {
        Self {
            server,
            response: Box::new(response),
            sequence,
            has_offer,
            interval: t1,
        }
    }

    /// Sends the 2xx and arms its repetition and its limit.
    pub(crate) fn send(&self, cx: &mut Context<'_>, invite: InviteId) {
        let t1 = cx.endpoint.timers.t1;
        cx.endpoint.respond(cx.now, self.server, &self.response);
        cx.endpoint
            .arm_invite(invite, InviteTimer::Answer, cx.now + t1);
        let limit = t1 * crate::transaction::client::TRANSACTION_T1;
        cx.endpoint
            .arm_invite(invite, InviteTimer::Ack, cx.now + limit);
    }

    pub(crate) fn repeat(&mut self, cx: &mut Context<'_>, invite: InviteId) {
        self.interval = (self.interval * 2).min(cx.endpoint.timers.t2);
        cx.endpoint.respond(cx.now, self.server, &self.response);
        cx.endpoint
            .arm_invite(invite, InviteTimer::Answer, cx.now + self.interval);
    }
}

/// Content type of the bodies that we offer and answer with.
const SDP: &str = "application/sdp";

/// Puts an SDP body into a message.
pub(crate) fn set_sdp(headers: &mut crate::message::Headers, body: &mut Vec<u8>, sdp: &[u8]) {
    headers.replace(name::CONTENT_TYPE, SDP);
    *body = sdp.to_vec();
}

/// The SDP of a message; bodies of other types are not SDP, multipart is not taken apart.
pub(crate) fn sdp_of(headers: &crate::message::Headers, body: &[u8]) -> Option<Vec<u8>> {
    let is_sdp = headers
        .content_type()
        .is_none_or(|content_type| content_type == SDP);
    (is_sdp && !body.is_empty()).then(|| body.to_vec())
}
