//! The answering side of INVITE (RFC 3261 section 13.3).

use crate::account::Accounts;
use crate::dialog::Dialog;
use crate::endpoint::{Endpoint, Link};
use crate::event::{EndCause, Event, IncomingInvite, Party, Replaced};
use crate::id::{AccountId, DeviceId, InviteId};
use crate::invite::command::{CommandError, Rejection};
use crate::invite::reliable::Reliable;
use crate::invite::{Context, Ending, Invite, Peer, Phase, UnackedSuccess, sdp_of, set_sdp};
use crate::message::{Headers, NameAddr, Request, Response, name};
use crate::planted::{self, Planted};
use crate::transaction::timer::InviteTimer;
use crate::transaction::{LocalContact, ServerId};
use crate::transport::Origin;

/// An INVITE that has no final answer yet.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) server: ServerId,
    pub(crate) request: Box<Request>,
    pub(crate) reliable: Reliable,
}

/// A 200 that has no ACK yet.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) success: UnackedSuccess,
}

/// What the layer above found out about an INVITE.
pub(crate) struct Arrived {
    pub(crate) id: InviteId,
    pub(crate) server: ServerId,
    pub(crate) origin: Origin,
    pub(crate) account: Option<AccountId>,
    pub(crate) proof: Proof,
    /// It came over the flow by which a device of ours is reached, or by a WebSocket: its peer is reached by nothing else.
    pub(crate) is_pinned: bool,
    /// The dialog that the INVITE wants to take the place of.
    pub(crate) replaces: Option<Replaced>,
}

/// What became of the credentials of an INVITE; the default is that there were none.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// User and realm of a right password.
    pub(crate) accepted: Option<(String, String)>,
    pub(crate) is_rejected: bool,
    /// Registered over the flow of the INVITE.
    pub(crate) device: Option<DeviceId>,
}

impl Invite {
    /// Takes a new INVITE and tells the shell; `None` where it cannot begin a dialog.
    pub(crate) fn arrive(cx: &mut Context<'_>, request: Request, arrived: Arrived) -> Option<Self> {
        let Arrived {
            id,
            server,
            origin,
            account,
            proof,
            is_pinned,
            replaces,
        } = arrived;
        let tag = cx.endpoint.token();
        let contact = contact_for(cx.accounts, account, &request);
        let mut dialog = Dialog::of_incoming(&request, &tag, contact, &origin)?;
        if is_pinned {
            dialog.pin();
        }
        let link = Link {
            invite: Some(id),
            account,
        };
        cx.endpoint.link_server(server, link);
        let mut event = describe(&request, &dialog, (id, origin), account, proof);
        event.replaces = replaces;
        let reliable = Reliable::new(cx.endpoint, &request);
        let incoming = Incoming {
            server,
            request: Box::new(request),
            reliable,
        };
        let peer = peer_of(&incoming.request.headers);
        let mut invite = Self::new(id, link, dialog, Phase::Incoming(Box::new(incoming)), false);
        invite.peer = peer;
        invite.remote_sdp.clone_from(&event.offer);
        cx.endpoint.arm_invite(
            id,
            InviteTimer::Ringing,
            cx.now + cx.endpoint.limits.ringing,
        );
        cx.endpoint.event(Event::IncomingInvite(Box::new(event)));
        Some(invite)
    }

    /// A provisional response: 180 or 183, reliable where the peer asks for it.
    pub(crate) fn ring(
        &mut self,
        cx: &mut Context<'_>,
        status: u16,
        sdp: Option<Vec<u8>>,
    ) -> Result<(), CommandError> {
        if !(101..200).contains(&status) {
            return Err(CommandError::BadStatus);
        }
        let Phase::Incoming(incoming) = &self.phase else {
            return Err(CommandError::WrongState);
        };
        let response =
            self.success_or_progress(cx.endpoint, &incoming.request, status, sdp.as_deref());
        let server = incoming.server;
        if incoming.reliable.applies(sdp.is_some()) {
            return self.ring_reliably(cx, response, sdp);
        }
        if sdp.is_some() {
            self.local_sdp = sdp;
        }
        cx.endpoint.respond(cx.now, server, &response);
        Ok(())
    }

    /// The 200; waits for the PRACK of a provisional response that carried SDP (RFC 3262 section 3).
    pub(crate) fn answer(
        &mut self,
        cx: &mut Context<'_>,
        sdp: Vec<u8>,
    ) -> Result<(), CommandError> {
        let Phase::Incoming(incoming) = &mut self.phase else {
            return Err(CommandError::WrongState);
        };
        if incoming.reliable.holds_answer() {
            incoming.reliable.keep_answer(sdp);
            return Ok(());
        }
        self.send_answer(cx, sdp);
        Ok(())
    }

    pub(crate) fn send_answer(&mut self, cx: &mut Context<'_>, sdp: Vec<u8>) {
        let Phase::Incoming(incoming) = &self.phase else {
            return;
        };
        let mut response =
            self.success_or_progress(cx.endpoint, &incoming.request, 200, Some(&sdp));
        Endpoint::advertise(&mut response);
        let timer = self.accept_session_timer(cx, &incoming.request.headers, &mut response);
        let sequence = incoming
            .request
            .headers
            .cseq()
            .map_or(0, |cseq| cseq.sequence);
        let has_offer = self.remote_sdp.is_none();
        let success = UnackedSuccess::new(
            incoming.server,
            response,
            sequence,
            has_offer,
            cx.endpoint.timers.t1,
        );
        self.local_sdp = Some(sdp);
        cx.endpoint.disarm_invite(self.id, InviteTimer::Ringing);
        cx.endpoint.disarm_invite(self.id, InviteTimer::Provisional);
        cx.endpoint.disarm_invite(self.id, InviteTimer::Prack);
        success.send(cx, self.id);
        self.phase = Phase::Answered(Box::new(Answered { success }));
        if planted::has(Planted::EstablishedEarly) {
            let (invite, answer) = (self.id, None);
            self.event(cx, Event::Established { invite, answer });
        }
        self.set_session_timer(cx, timer);
    }

    /// Refuses the INVITE.
    pub(crate) fn reject(
        &mut self,
        cx: &mut Context<'_>,
        rejection: &Rejection,
    ) -> Result<(), CommandError> {
        if !(400..700).contains(&rejection.status) {
            return Err(CommandError::BadStatus);
        }
        let Phase::Incoming(incoming) = &self.phase else {
            return Err(CommandError::WrongState);
        };
        let mut response = self.response(&incoming.request, rejection.status);
        if let Some(reason) = &rejection.reason {
            response.headers.push(name::REASON, reason);
        }
        if let Some(seconds) = rejection.retry_after_s {
            response.headers.push(name::RETRY_AFTER, seconds);
        }
        self.refuse(
            cx,
            &response,
            EndCause::Rejected {
                status: rejection.status,
            },
        );
        Ok(())
    }

    /// Answers 401 with the given challenges.
    pub(crate) fn challenge(
        &mut self,
        cx: &mut Context<'_>,
        challenges: &[String],
    ) -> Result<(), CommandError> {
        let Phase::Incoming(incoming) = &self.phase else {
            return Err(CommandError::WrongState);
        };
        let mut response = self.response(&incoming.request, 401);
        for challenge in challenges {
            response.headers.push(name::WWW_AUTHENTICATE, challenge);
        }
        self.refuse(cx, &response, EndCause::Rejected { status: 401 });
        Ok(())
    }

    /// Sends a final refusal and ends.
    pub(crate) fn refuse(&mut self, cx: &mut Context<'_>, response: &Response, cause: EndCause) {
        if let Phase::Incoming(incoming) = &self.phase {
            let server = incoming.server;
            cx.endpoint.respond(cx.now, server, response);
        }
        self.end(cx, cause, Ending::Draining);
    }

    /// Ends without any answer: a scanner learns nothing.
    pub(crate) fn drop_silently(&mut self, cx: &mut Context<'_>) {
        if let Phase::Incoming(incoming) = &self.phase {
            let server = incoming.server;
            cx.endpoint.silence(cx.now, server);
            self.end(cx, EndCause::Rejected { status: 0 }, Ending::Draining);
        }
    }

    /// CANCEL of one of the peer's INVITEs, first or later.
    pub(crate) fn cancel_received(&mut self, cx: &mut Context<'_>, cancelled: ServerId) {
        if matches!(&self.phase, Phase::Incoming(incoming) if incoming.server == cancelled) {
            self.cancelled(cx);
        } else if planted::has(Planted::CancelAfterAnswer) {
            self.end(cx, EndCause::RemoteCancel, Ending::Draining);
        } else {
            self.reinvite_cancelled(cx, cancelled);
        }
    }

    /// CANCEL came: 487 unless a final answer went out before it (RFC 3261 section 9.2).
    fn cancelled(&mut self, cx: &mut Context<'_>) {
        if let Phase::Incoming(incoming) = &self.phase {
            let response = self.response(&incoming.request, 487);
            self.refuse(cx, &response, EndCause::RemoteCancel);
        }
    }

    /// The shell never answered.
    pub(super) fn ringing_too_long(&mut self, cx: &mut Context<'_>) {
        match &self.phase {
            Phase::Incoming(incoming) => {
                let response = self.response(&incoming.request, 480);
                self.refuse(cx, &response, EndCause::Timeout);
            }
            Phase::Calling(_) => self.no_answer(cx),
            Phase::AckDue { .. } => self.answer_overdue(cx),
            Phase::Answered(_) | Phase::Confirmed | Phase::Ended(_) => {}
        }
    }

    /// A response that sets up or confirms the dialog: our tag, Record-Route and Contact.
    pub(super) fn success_or_progress(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        status: u16,
        sdp: Option<&[u8]>,
    ) -> Response {
        let mut response = self.response(request, status);
        for route in request.headers.get_all(name::RECORD_ROUTE) {
            response.headers.push(name::RECORD_ROUTE, route);
        }
        if let Some(contact) = self.contact_value(endpoint) {
            response.headers.push(name::CONTACT, contact);
        }
        if let Some(sdp) = sdp {
            set_sdp(&mut response.headers, &mut response.body, sdp);
        }
        response
    }
}

/// The peer's abilities by Allow and Supported.
pub(crate) fn peer_of(headers: &Headers) -> Peer {
    Peer {
        update: headers.has_token(name::ALLOW, "UPDATE"),
        refuses_refer: headers.has(name::ALLOW) && !headers.has_token(name::ALLOW, "REFER"),
        replaces: headers
            .has(name::SUPPORTED)
            .then(|| headers.has_token(name::SUPPORTED, "replaces")),
    }
}

fn contact_for(accounts: &Accounts, account: Option<AccountId>, request: &Request) -> LocalContact {
    match account.and_then(|account| accounts.contact(account)) {
        Some(contact) => contact,
        None => LocalContact {
            user: request
                .uri
                .user
                .clone()
                .unwrap_or_else(|| "allo".to_owned()),
            secure: request.uri.is_secure(),
            address: None,
            params: String::new(),
        },
    }
}

/// Identity headers of an INVITE that are told: each entity on the way may add one (RFC 8946).
const IDENTITIES_MAX: usize = 8;

fn describe(
    request: &Request,
    dialog: &Dialog,
    (invite, origin): (InviteId, Origin),
    account: Option<AccountId>,
    proof: Proof,
) -> IncomingInvite {
    let (authenticated, realm) = proof.accepted.unzip();
    let identities = request.headers.get_all(name::IDENTITY).take(IDENTITIES_MAX);
    IncomingInvite {
        invite,
        account,
        device: proof.device,
        protocol: origin.protocol,
        source: origin.remote,
        listener: origin.listener,
        connection: origin.connection(),
        local: origin.local,
        call_id: dialog.call_id.clone(),
        from: party(&dialog.remote),
        to: party(&dialog.local),
        request_uri: request.uri.to_string(),
        p_asserted_identity: request
            .headers
            .get(name::P_ASSERTED_IDENTITY)
            .map(str::to_owned),
        identities: identities.map(str::to_owned).collect(),
        date: request.headers.get(name::DATE).map(str::to_owned),
        offer: sdp_of(&request.headers, &request.body),
        authenticated,
        realm,
        proof_rejected: proof.is_rejected,
        replaces: None,
        user_agent: request.headers.get(name::USER_AGENT).map(str::to_owned),
        secure: origin.protocol.is_secure(),
    }
}

fn party(address: &NameAddr) -> Party {
    Party {
        uri: address.uri.to_string(),
        user: address.uri.user_decoded(),
        display: address.display.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_lists_what_it_takes_without_refer_refuses_it() {
        let refuses = |allow: &[&str]| {
            let mut headers = Headers::default();
            for value in allow {
                headers.push(name::ALLOW, *value);
            }
            peer_of(&headers).refuses_refer
        };
        assert!(!refuses(&[]), "one that lists nothing may take it");
        assert!(refuses(&["INVITE, ACK, BYE"]));
        assert!(!refuses(&["INVITE, ACK", "bye, refer"]));
    }

    #[test]
    fn a_peer_that_lists_what_it_knows_without_replaces_ignores_it() {
        let knows = |supported: &[&str]| {
            let mut headers = Headers::default();
            for value in supported {
                headers.push(name::SUPPORTED, *value);
            }
            peer_of(&headers).replaces
        };
        assert_eq!(knows(&[]), None, "one that lists nothing may know it");
        assert_eq!(knows(&[""]), Some(false));
        assert_eq!(knows(&["timer", "path"]), Some(false));
        assert_eq!(knows(&["timer", "path, REPLACES"]), Some(true));
    }
}
