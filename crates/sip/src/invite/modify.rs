//! Changing a confirmed session: re-INVITE (RFC 3261 section 14) and UPDATE (RFC 3311), from either side, with glare.

use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::event::{EndCause, Event};
use crate::invite::command::CommandError;
use crate::invite::{Context, Invite, Phase, UnackedSuccess, sdp_of, set_sdp};
use crate::message::{Method, Request, Response, name};
use crate::transaction::timer::InviteTimer;
use crate::transaction::{ClientId, Failure, Outgoing, ServerId};

/// The shell answers an offer within this, or it is refused for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Repetitions of one modification after 491 or a changed interval.
const RETRIES_MAX: u8 = 6;

/// Why we modify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The shell asked (`reinvite`): it hears of the result.
    Shell,
    /// The session timer (RFC 4028).
    Refresh,
}

/// The one modification that is open.
#[derive(Debug)]
pub(crate) enum Modify {
    Idle,
    TheirInvite {
        server: ServerId,
        request: Box<Request>,
    },
    /// Our 2xx to their re-INVITE waits for its ACK.
    TheirAck(UnackedSuccess),
    TheirUpdate {
        server: ServerId,
        request: Box<Request>,
    },
    /// An offer in a PRACK.
    TheirPrack {
        server: ServerId,
        request: Box<Request>,
    },
    OurInvite {
        client: ClientId,
        offer: Vec<u8>,
        sequence: u32,
        purpose: Purpose,
        tries: u8,
    },
    OurUpdate {
        client: ClientId,
        purpose: Purpose,
        tries: u8,
    },
}

/// A modification of ours that waits for its second chance.
#[derive(Debug)]
pub(crate) struct Retry {
    offer: Option<Vec<u8>>,
    purpose: Purpose,
    tries: u8,
}

/// What a request of the peer meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glare {
    Clear,
    /// 491: ours is open.
    Ours,
    /// 500 with Retry-After: theirs is open.
    Theirs,
}

impl Invite {
    fn glare(&self) -> Glare {
        match (&self.phase, &self.modify) {
            (Phase::Confirmed, Modify::Idle) => Glare::Clear,
            (Phase::Confirmed, Modify::TheirAck(success)) if !success.has_offer => Glare::Clear,
            (
                Phase::Confirmed,
                Modify::TheirAck(_) | Modify::OurInvite { .. } | Modify::OurUpdate { .. },
            ) => Glare::Ours,
            (Phase::AckDue { .. }, _) => Glare::Ours,
            (
                Phase::Confirmed,
                Modify::TheirInvite { .. } | Modify::TheirUpdate { .. } | Modify::TheirPrack { .. },
            ) => Glare::Theirs,
            (Phase::Incoming(_) | Phase::Answered(_) | Phase::Calling(_) | Phase::Ended(_), _) => {
                Glare::Theirs
            }
        }
    }

    /// 491 or 500 where the way is not clear.
    fn refuse_glare(&self, cx: &mut Context<'_>, request: &Request, server: ServerId) -> bool {
        match self.glare() {
            Glare::Clear => return false,
            Glare::Ours => self.respond(cx, server, request, 491),
            Glare::Theirs => {
                let mut response = self.response(request, 500);
                response
                    .headers
                    .push(name::RETRY_AFTER, cx.endpoint.random.below(10));
                cx.endpoint.respond(cx.now, server, &response);
            }
        }
        true
    }

    pub(super) fn reinvite_received(
        &mut self,
        cx: &mut Context<'_>,
        request: Request,
        server: ServerId,
    ) {
        if self.refuse_glare(cx, &request, server)
            || self.refuse_short_interval(cx, &request, server)
        {
            return;
        }
        self.forgo_ack(cx);
        self.dialog.retarget(request.headers.contacts());
        let sdp = sdp_of(&request.headers, &request.body);
        self.modify = Modify::TheirInvite {
            server,
            request: Box::new(request),
        };
        self.offered(cx, sdp);
    }

    pub(super) fn update_received(
        &mut self,
        cx: &mut Context<'_>,
        request: Request,
        server: ServerId,
    ) {
        if self.refuse_short_interval(cx, &request, server) {
            return;
        }
        self.peer.update = true;
        let Some(sdp) = sdp_of(&request.headers, &request.body) else {
            self.dialog.retarget(request.headers.contacts());
            self.succeed_update(cx, &request, server, None);
            return;
        };
        if self.refuse_glare(cx, &request, server) {
            return;
        }
        self.forgo_ack(cx);
        self.dialog.retarget(request.headers.contacts());
        self.modify = Modify::TheirUpdate {
            server,
            request: Box::new(request),
        };
        self.offered(cx, Some(sdp));
    }

    /// A new offer of the peer says that it has our last 2xx: its ACK was lost, or comes later.
    fn forgo_ack(&self, cx: &mut Context<'_>) {
        if matches!(self.modify, Modify::TheirAck(_)) {
            cx.endpoint.disarm_invite(self.id, InviteTimer::Answer);
            cx.endpoint.disarm_invite(self.id, InviteTimer::Ack);
        }
    }

    /// Tells the shell of the peer's offer, or of its wish for ours.
    pub(super) fn offered(&mut self, cx: &mut Context<'_>, sdp: Option<Vec<u8>>) {
        cx.endpoint
            .arm_invite(self.id, InviteTimer::Modify, cx.now + ANSWER_WITHIN);
        let invite = self.id;
        let event = match sdp {
            Some(sdp) => {
                self.remote_sdp = Some(sdp.clone());
                Event::Offer { invite, sdp }
            }
            None => Event::OfferRequested { invite },
        };
        self.event(cx, event);
    }

    pub(super) fn modify_unanswered(&mut self, cx: &mut Context<'_>) {
        let _ = self.reject_offer(cx, 500);
    }

    /// The shell's answer to `Offer`, its offer for `OfferRequested`, or the answer that an ACK carries.
    pub(crate) fn answer_offer(
        &mut self,
        cx: &mut Context<'_>,
        sdp: Vec<u8>,
    ) -> Result<(), CommandError> {
        if let Phase::AckDue { invite, sequence } = self.phase {
            self.phase = Phase::Confirmed;
            cx.endpoint.disarm_invite(self.id, InviteTimer::Ringing);
            self.acknowledge(cx, invite, sequence, Some(&sdp));
            self.local_sdp = Some(sdp);
            return Ok(());
        }
        cx.endpoint.disarm_invite(self.id, InviteTimer::Modify);
        match std::mem::replace(&mut self.modify, Modify::Idle) {
            Modify::TheirInvite { server, request } => {
                self.succeed_invite(cx, &request, server, sdp)
            }
            Modify::TheirUpdate { server, request } => {
                self.succeed_update(cx, &request, server, Some(&sdp));
                self.local_sdp = Some(sdp);
            }
            Modify::TheirPrack { server, request } => {
                let mut response = self.response(&request, 200);
                set_sdp(&mut response.headers, &mut response.body, &sdp);
                cx.endpoint.respond(cx.now, server, &response);
                self.local_sdp = Some(sdp);
            }
            other @ (Modify::Idle
            | Modify::TheirAck(_)
            | Modify::OurInvite { .. }
            | Modify::OurUpdate { .. }) => {
                self.modify = other;
                return Err(CommandError::WrongState);
            }
        }
        Ok(())
    }

    pub(crate) fn reject_offer(
        &mut self,
        cx: &mut Context<'_>,
        status: u16,
    ) -> Result<(), CommandError> {
        if !(400..700).contains(&status) {
            return Err(CommandError::BadStatus);
        }
        if let Phase::AckDue { invite, sequence } = self.phase {
            self.phase = Phase::Confirmed;
            self.acknowledge(cx, invite, sequence, None);
            self.bye_and_end(cx, EndCause::LocalHangUp);
            return Ok(());
        }
        match std::mem::replace(&mut self.modify, Modify::Idle) {
            Modify::TheirInvite { server, request }
            | Modify::TheirUpdate { server, request }
            | Modify::TheirPrack { server, request } => {
                cx.endpoint.disarm_invite(self.id, InviteTimer::Modify);
                self.respond(cx, server, &request, status);
                Ok(())
            }
            other @ (Modify::Idle
            | Modify::TheirAck(_)
            | Modify::OurInvite { .. }
            | Modify::OurUpdate { .. }) => {
                self.modify = other;
                Err(CommandError::WrongState)
            }
        }
    }

    /// CANCEL of the peer's re-INVITE: the session stays as it was.
    pub(crate) fn reinvite_cancelled(&mut self, cx: &mut Context<'_>, cancelled: ServerId) {
        if matches!(&self.modify, Modify::TheirInvite { server, .. } if *server == cancelled) {
            let _ = self.reject_offer(cx, 487);
        }
    }

    fn succeed_invite(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request,
        server: ServerId,
        sdp: Vec<u8>,
    ) {
        let mut response = self.success_or_progress(cx.endpoint, request, 200, Some(&sdp));
        Endpoint::advertise(&mut response);
        let timer = self.accept_session_timer(cx, &request.headers, &mut response);
        let sequence = request.headers.cseq().map_or(0, |cseq| cseq.sequence);
        let has_offer = sdp_of(&request.headers, &request.body).is_none();
        self.local_sdp = Some(sdp);
        let success =
            UnackedSuccess::new(server, response, sequence, has_offer, cx.endpoint.timers.t1);
        success.send(cx, self.id);
        self.modify = Modify::TheirAck(success);
        self.refreshed(cx, timer);
    }

    fn succeed_update(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request,
        server: ServerId,
        sdp: Option<&[u8]>,
    ) {
        let mut response = self.success_or_progress(cx.endpoint, request, 200, sdp);
        Endpoint::advertise(&mut response);
        let timer = self.accept_session_timer(cx, &request.headers, &mut response);
        cx.endpoint.respond(cx.now, server, &response);
        self.refreshed(cx, timer);
    }

    /// The shell's re-INVITE.
    pub(crate) fn reinvite(
        &mut self,
        cx: &mut Context<'_>,
        offer: Vec<u8>,
    ) -> Result<(), CommandError> {
        if !matches!(self.phase, Phase::Confirmed) {
            return Err(CommandError::WrongState);
        }
        if self.glare() != Glare::Clear || self.retry.is_some() {
            return Err(CommandError::OfferPending);
        }
        if matches!(self.modify, Modify::TheirAck(_)) {
            // RFC 3261 section 14.1: not before the ACK of theirs.
            self.modify_later(cx, Some(offer), Purpose::Shell, 0);
            return Ok(());
        }
        self.send_reinvite(cx, offer, Purpose::Shell, 0);
        Ok(())
    }

    pub(super) fn send_reinvite(
        &mut self,
        cx: &mut Context<'_>,
        offer: Vec<u8>,
        purpose: Purpose,
        tries: u8,
    ) {
        let rows = self.session_timer_rows(cx.endpoint);
        let started = self.send(cx, Method::Invite, |request| {
            push_rows(request, rows);
            set_sdp(&mut request.headers, &mut request.body, &offer);
        });
        let sequence = self.dialog.local_sequence();
        match started {
            Some(client) => {
                self.modify = Modify::OurInvite {
                    client,
                    offer,
                    sequence,
                    purpose,
                    tries,
                }
            }
            None => self.modification_failed(cx, 503, purpose),
        }
    }

    pub(super) fn send_update(&mut self, cx: &mut Context<'_>, purpose: Purpose, tries: u8) {
        let rows = self.session_timer_rows(cx.endpoint);
        match self.send(cx, Method::Update, |request| push_rows(request, rows)) {
            Some(client) => {
                self.modify = Modify::OurUpdate {
                    client,
                    purpose,
                    tries,
                }
            }
            None => self.modification_failed(cx, 503, purpose),
        }
    }

    pub(super) fn retry_modify(&mut self, cx: &mut Context<'_>) {
        let Some(retry) = self.retry.take() else {
            return;
        };
        if self.glare() != Glare::Clear || matches!(self.modify, Modify::TheirAck(_)) {
            let delay = self.glare_delay(cx.endpoint);
            cx.endpoint
                .arm_invite(self.id, InviteTimer::Retry, cx.now + delay);
            self.retry = Some(retry);
            return;
        }
        match retry.offer {
            Some(offer) => self.send_reinvite(cx, offer, retry.purpose, retry.tries),
            None => self.send_update(cx, retry.purpose, retry.tries),
        }
    }

    /// RFC 3261 section 14.1: 2.1–4 s for the owner of the Call-ID, else 0–2 s, in steps of 10 ms.
    fn glare_delay(&self, endpoint: &mut Endpoint) -> Duration {
        let steps = if self.is_outbound {
            210 + endpoint.random.below(191)
        } else {
            endpoint.random.below(201)
        };
        Duration::from_millis(steps * 10)
    }

    /// Offer, CSeq, purpose and tries of the modification of ours that `client` carries.
    #[expect(clippy::type_complexity, reason = "taken apart where it is made")]
    fn our_modification(
        &self,
        client: ClientId,
    ) -> Option<(Option<Vec<u8>>, Option<u32>, Purpose, u8)> {
        match &self.modify {
            Modify::OurInvite {
                client: ours,
                offer,
                sequence,
                purpose,
                tries,
            } if *ours == client => Some((Some(offer.clone()), Some(*sequence), *purpose, *tries)),
            Modify::OurUpdate {
                client: ours,
                purpose,
                tries,
            } if *ours == client => Some((None, None, *purpose, *tries)),
            Modify::Idle
            | Modify::TheirInvite { .. }
            | Modify::TheirAck(_)
            | Modify::TheirUpdate { .. }
            | Modify::TheirPrack { .. }
            | Modify::OurInvite { .. }
            | Modify::OurUpdate { .. } => None,
        }
    }

    /// The answer to our re-INVITE or UPDATE; `true` where `client` was that.
    pub(super) fn modify_response(
        &mut self,
        cx: &mut Context<'_>,
        client: ClientId,
        response: &Response,
        outgoing: Option<Box<Outgoing>>,
    ) -> bool {
        let Some((offer, sequence, purpose, tries)) = self.our_modification(client) else {
            return false;
        };
        if response.is_provisional() {
            return true;
        }
        if response.is_success() {
            self.modify = Modify::Idle;
            self.modification_succeeded(cx, client, response, (offer, sequence, purpose));
            return true;
        }
        if matches!(response.status, 401 | 407)
            && let Some(outgoing) = outgoing
            && let Some(again) = self.try_with_credentials(cx, *outgoing, response)
        {
            self.modify = match offer {
                Some(offer) => {
                    let sequence = self.dialog.local_sequence();
                    Modify::OurInvite {
                        client: again,
                        offer,
                        sequence,
                        purpose,
                        tries,
                    }
                }
                None => Modify::OurUpdate {
                    client: again,
                    purpose,
                    tries,
                },
            };
            return true;
        }
        self.modify = Modify::Idle;
        match response.status {
            491 if tries < RETRIES_MAX => self.modify_later(cx, offer, purpose, tries),
            422 if tries < RETRIES_MAX && self.raise_interval(response) => {
                self.retry = Some(Retry {
                    offer,
                    purpose,
                    tries: tries + 1,
                });
                self.retry_modify(cx);
            }
            481 => self.end(cx, EndCause::DialogLost, crate::invite::Ending::Draining),
            408 => self.bye_and_end(cx, EndCause::DialogLost),
            405 | 501 if offer.is_none() => {
                self.peer.update = false;
                self.refresh(cx);
            }
            status => self.modification_failed(cx, status, purpose),
        }
        true
    }

    fn modify_later(
        &mut self,
        cx: &mut Context<'_>,
        offer: Option<Vec<u8>>,
        purpose: Purpose,
        tries: u8,
    ) {
        let delay = self.glare_delay(cx.endpoint);
        self.retry = Some(Retry {
            offer,
            purpose,
            tries: tries + 1,
        });
        cx.endpoint
            .arm_invite(self.id, InviteTimer::Retry, cx.now + delay);
    }

    fn modification_succeeded(
        &mut self,
        cx: &mut Context<'_>,
        client: ClientId,
        response: &Response,
        (offer, sequence, purpose): (Option<Vec<u8>>, Option<u32>, Purpose),
    ) {
        self.dialog.retarget(response.headers.contacts());
        if let Some(sequence) = sequence {
            self.acknowledge(cx, client, sequence, None);
        }
        let timer = self.session_timer_of(response);
        self.refreshed(cx, timer);
        let Some(offer) = offer else { return };
        match sdp_of(&response.headers, &response.body) {
            Some(sdp) => {
                self.local_sdp = Some(offer);
                let is_news = purpose == Purpose::Shell || self.remote_sdp.as_ref() != Some(&sdp);
                self.remote_sdp = Some(sdp.clone());
                if is_news {
                    self.event(
                        cx,
                        Event::Answer {
                            invite: self.id,
                            sdp,
                        },
                    );
                }
            }
            None => self.modification_failed(cx, response.status, purpose),
        }
    }

    fn modification_failed(&self, cx: &mut Context<'_>, status: u16, purpose: Purpose) {
        match purpose {
            Purpose::Shell => self.event(
                cx,
                Event::OfferFailed {
                    invite: self.id,
                    status,
                },
            ),
            Purpose::Refresh => self.refresh_later(cx),
        }
    }

    /// Our re-INVITE or UPDATE got no answer at all; `true` where `client` was that.
    pub(super) fn modify_unreachable(
        &mut self,
        cx: &mut Context<'_>,
        client: ClientId,
        failure: Failure,
    ) -> bool {
        let is_ours = matches!(
            &self.modify,
            Modify::OurInvite { client: ours, .. } | Modify::OurUpdate { client: ours, .. } if *ours == client
        );
        if !is_ours {
            return false;
        }
        self.modify = Modify::Idle;
        let cause = match failure {
            Failure::Timeout => EndCause::Timeout,
            Failure::Unreachable | Failure::Dns | Failure::TransportLost | Failure::Cancelled => {
                EndCause::TransportLost
            }
        };
        self.bye_and_end(cx, cause);
        true
    }

    /// INFO with a body of the shell's.
    pub(crate) fn send_info(
        &mut self,
        cx: &mut Context<'_>,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(), CommandError> {
        if !matches!(self.phase, Phase::Confirmed) {
            return Err(CommandError::WrongState);
        }
        if content_type.contains(char::is_control) {
            return Err(CommandError::BadHeader);
        }
        self.send(cx, Method::Info, |request| {
            request.headers.push(name::CONTENT_TYPE, content_type);
            request.body = body;
        });
        Ok(())
    }
}

/// Header rows of the session timer.
pub(super) fn push_rows(request: &mut Request, rows: Vec<(&'static str, String)>) {
    for (name, value) in rows {
        request.headers.push(name, value);
    }
}
