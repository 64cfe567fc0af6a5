//! What comes in: responses to their transactions, requests to their dialogs, the rest refused
//! (RFC 3261 sections 8.2 and 16.3).

use std::net::SocketAddr;
use std::time::Instant;

use crate::digest::Verification;
use crate::endpoint::{Endpoint, Link};
use crate::event::{DropReason, Replaced};
use crate::id::{InviteId, ListenerId};
use crate::invite::uas::{Arrived, Proof};
use crate::invite::{Context, Invite, replaced};
use crate::message::{Headers, Message, Method, ParseErrorKind, Replaces, Request, Response, name};
use crate::transaction::ServerId;
use crate::transaction::server::{Arrival, note_source};
use crate::transport::{Flow, Origin};
use crate::user_agent::{ALLOW, UserAgent};

/// Option tags that a Require may name.
const OPTIONS_KNOWN: [&str; 3] = ["100rel", "timer", "replaces"];
/// Bodies that we read.
const ACCEPT: &str = "application/sdp";

impl UserAgent {
    pub(super) fn datagram(
        &mut self,
        now: Instant,
        listener: ListenerId,
        source: SocketAddr,
        data: &[u8],
    ) {
        let flow = Flow::Datagram {
            listener,
            remote: source,
        };
        let Some((local, _)) = self.endpoint.transport.addresses(flow) else {
            return;
        };
        // Keep-alives: CRLF and single NULs are no messages (RFC 5626 section 4.4, common NAT traversal practice).
        if data.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        if self.stun(now, source, data) {
            return;
        }
        let protocol = self.endpoint.transport.protocol(flow);
        let origin = Origin {
            flow,
            protocol,
            local,
            remote: source,
            listener: Some(listener),
        };
        self.message(now, data, &origin);
    }

    pub(super) fn message(&mut self, now: Instant, data: &[u8], origin: &Origin) {
        match crate::message::parse(data) {
            Ok(Message::Response(response)) => {
                self.endpoint.receive_response(now, response, origin, data)
            }
            Ok(Message::Request(mut request)) => {
                note_source(&mut request, origin.remote);
                self.request(now, request, origin, data);
            }
            Err(error) => self.refuse_malformed(data, error.kind, origin),
        }
    }

    /// A broken request is answered once, where its sender can be made out; a broken response is only counted.
    pub(super) fn refuse_malformed(&mut self, data: &[u8], kind: ParseErrorKind, origin: &Origin) {
        self.endpoint
            .trace_received(origin, data, Link::default(), false);
        let Some(mut skeleton) = crate::message::parse_lenient_for_400(data) else {
            return self.endpoint.dropped(origin.remote, DropReason::Malformed);
        };
        skeleton.via.note_source(origin.remote);
        let mut response = skeleton.response(kind.status(), None);
        response.headers.replace_first(name::VIA, &skeleton.via);
        self.tag_response(&mut response);
        self.endpoint.reply_stateless(origin, &response);
        self.endpoint.dropped(origin.remote, DropReason::BadRequest);
    }

    fn request(&mut self, now: Instant, request: Request, origin: &Origin, data: &[u8]) {
        if request.method == Method::Ack {
            return self.ack(now, &request, origin, data);
        }
        if request.method == Method::Cancel {
            return self.cancel(now, &request, origin, data);
        }
        let invite = self.dialog_of(&request);
        if invite.is_none() && self.endpoint.has_transaction(&request) == Some(false) {
            if request.method == Method::Register && self.registrar.is_open() {
                return match self.refusal(&request) {
                    Some(refusal) => self.reply_without_memory(&request, refusal, origin, data),
                    None => self.register(now, &request, origin, data),
                };
            }
            // What begins no call is answered without memory (RFC 3261 section 8.2.7): a flood of it fills no table.
            if let Some(response) = self.answer_at_once(&request) {
                return self.reply_without_memory(&request, response, origin, data);
            }
        }
        match self
            .endpoint
            .receive_request(now, &request, (origin, invite.is_some()))
        {
            Arrival::New(server) => match invite {
                Some(id) => {
                    let link = self.link_of(id);
                    self.endpoint.trace_received(origin, data, link, false);
                    self.within_dialog(now, id, request, (server, origin));
                }
                None => self.new_invite(now, request, (server, origin), data),
            },
            Arrival::Repetition(link) => self.endpoint.trace_received(origin, data, link, true),
            Arrival::Merged(server) => {
                self.endpoint
                    .trace_received(origin, data, Link::default(), false);
                let Some(server) = server else {
                    return self.reply_stateless(&request, 482, origin);
                };
                let mut response = Response::to(&request, 482);
                self.tag_response(&mut response);
                self.endpoint.respond(now, server, &response);
            }
            Arrival::Overload => {
                self.endpoint
                    .trace_received(origin, data, Link::default(), false);
                self.endpoint.dropped(origin.remote, DropReason::Overload);
                self.reply_stateless(&request, 503, origin);
            }
            Arrival::Unusable => self.endpoint.dropped(origin.remote, DropReason::Malformed),
        }
    }

    fn dialog_of(&self, request: &Request) -> Option<InviteId> {
        let tag = request.headers.to_tag()?.to_owned();
        let call_id = request.headers.call_id()?.to_owned();
        self.dialogs.get(&(call_id, tag)).copied()
    }

    fn link_of(&self, id: InviteId) -> Link {
        self.invites
            .get(&id)
            .map(|invite| invite.link)
            .unwrap_or_default()
    }

    fn ack(&mut self, now: Instant, request: &Request, origin: &Origin, data: &[u8]) {
        if let Some(link) = self.endpoint.receive_ack(now, request) {
            return self.endpoint.trace_received(origin, data, link, false);
        }
        let Some(id) = self.dialog_of(request) else {
            self.endpoint
                .trace_received(origin, data, Link::default(), false);
            return self
                .endpoint
                .dropped(origin.remote, DropReason::StrayRequest);
        };
        let link = self.link_of(id);
        self.endpoint.trace_received(origin, data, link, false);
        self.with_invite(now, id, |invite, cx| {
            if invite.dialog.is_from_peer(request) {
                invite.acknowledged(cx, request);
            }
        });
    }

    /// RFC 3261 section 9.2: 200 for the CANCEL, 487 for its INVITE unless that is answered.
    fn cancel(&mut self, now: Instant, request: &Request, origin: &Origin, data: &[u8]) {
        let cancelled = self.endpoint.cancelled_by(request);
        if cancelled.is_none() && self.endpoint.has_transaction(request) == Some(false) {
            let response = Response::to(request, 481);
            return self.reply_without_memory(request, response, origin, data);
        }
        let link = cancelled
            .and_then(|id| self.endpoint.server_link(id))
            .unwrap_or_default();
        match self.endpoint.receive_request(now, request, (origin, true)) {
            Arrival::New(server) => {
                self.endpoint.trace_received(origin, data, link, false);
                self.endpoint.link_server(server, link);
                let status = if cancelled.is_some() { 200 } else { 481 };
                let mut response = Response::to(request, status);
                self.tag_response(&mut response);
                self.endpoint.respond(now, server, &response);
            }
            Arrival::Repetition(link) => {
                return self.endpoint.trace_received(origin, data, link, true);
            }
            Arrival::Merged(_) | Arrival::Overload | Arrival::Unusable => return,
        }
        let (Some(cancelled), Some(invite)) = (cancelled, link.invite) else {
            return;
        };
        self.with_invite(now, invite, |invite, cx| {
            invite.cancel_received(cx, cancelled)
        });
    }

    fn within_dialog(
        &mut self,
        now: Instant,
        id: InviteId,
        request: Request,
        (server, origin): (ServerId, &Origin),
    ) {
        if let Some(response) = Self::refuse_by_headers(&request) {
            return self.endpoint.respond(now, server, &response);
        }
        self.with_invite(now, id, |invite, cx| {
            invite.receive(cx, request, server, origin)
        });
    }

    /// The answer to a request outside of a dialog; `None` for one that begins a call.
    fn answer_at_once(&self, request: &Request) -> Option<Response> {
        let has_tag = request.headers.to_tag().is_some();
        let refusal = self.refusal(request);
        if refusal.is_none() && request.method == Method::Invite && !has_tag {
            return None;
        }
        refusal.or_else(|| Some(self.answer_outside(request)))
    }

    /// An answer outside of any transaction. Its tag is the same for each repetition of the request.
    pub(super) fn reply_without_memory(
        &mut self,
        request: &Request,
        mut response: Response,
        origin: &Origin,
        data: &[u8],
    ) {
        self.endpoint
            .trace_received(origin, data, Link::default(), false);
        if let Some(to) = response.headers.to().filter(|to| to.tag().is_none()) {
            let headers = &request.headers;
            let branch = headers.via_branch().unwrap_or_default();
            let call_id = headers.call_id().unwrap_or_default();
            let tag = self.endpoint.token_of(&[call_id, branch]);
            response.headers.replace(name::TO, to.with_tag(&tag));
        }
        self.endpoint.reply_stateless(origin, &response);
    }

    /// Checks of RFC 3261 section 8.2 in their order.
    fn refusal(&self, request: &Request) -> Option<Response> {
        let has_tag = request.headers.to_tag().is_some();
        if let Method::Other(_) = request.method {
            return Some(refuse_method(request, 501));
        }
        if !request.uri.is_sip() {
            return Some(Response::to(request, 416));
        }
        if let Some(response) = Self::refuse_by_headers(request) {
            return Some(response);
        }
        let is_invite = request.method == Method::Invite;
        if is_invite && !replaced::is_readable(&request.headers) {
            return Some(Response::to(request, 400));
        }
        if is_invite && !takes_sdp(&request.headers) {
            return Some(Response::to(request, 406));
        }
        if has_tag && (is_invite || request.method == Method::Options) {
            return Some(Response::to(request, 481));
        }
        let is_full = self.live_invites >= self.endpoint.limits.invites_max;
        if is_invite && is_full {
            return Some(self.unavailable(request));
        }
        if is_invite && Invite::is_interval_too_small(&self.endpoint, &request.headers) {
            let mut response = Response::to(request, 422);
            let min_se_s = self.endpoint.session.min_se_s;
            response.headers.push(name::MIN_SE, min_se_s);
            return Some(response);
        }
        None
    }

    /// Max-Forwards, Require and body types, inside dialogs and outside.
    fn refuse_by_headers(request: &Request) -> Option<Response> {
        if request.headers.max_forwards() == Some(0) && request.method != Method::Options {
            return Some(Response::to(request, 483));
        }
        let unknown: Vec<&str> = request
            .headers
            .tokens(name::REQUIRE)
            .into_iter()
            .filter(|option| {
                let knows = |known: &str| known.eq_ignore_ascii_case(option);
                let is_path = request.method == Method::Register && knows("path");
                !is_path && !OPTIONS_KNOWN.iter().any(|known| knows(known))
            })
            .collect();
        if !unknown.is_empty() {
            let mut response = Response::to(request, 420);
            response.headers.push(name::UNSUPPORTED, unknown.join(", "));
            return Some(response);
        }
        if request.method != Method::Invite && request.headers.has(name::REPLACES) {
            return Some(Response::to(request, 400));
        }
        let takes_sdp = matches!(
            request.method,
            Method::Invite | Method::Update | Method::Prack
        );
        let is_sdp = request
            .headers
            .content_type()
            .is_none_or(|content_type| content_type == ACCEPT);
        if takes_sdp
            && !request.body.is_empty()
            && (!is_sdp || request.headers.has(name::CONTENT_ENCODING))
        {
            let mut response = Response::to(request, 415);
            response.headers.push(name::ACCEPT, ACCEPT);
            return Some(response);
        }
        None
    }

    fn unavailable(&self, request: &Request) -> Response {
        let mut response = Response::to(request, 503);
        response
            .headers
            .push(name::RETRY_AFTER, self.endpoint.limits.retry_after_s);
        response
    }

    /// Requests that need no dialog, or name one that we do not have.
    fn answer_outside(&self, request: &Request) -> Response {
        match request.method {
            Method::Options if self.is_draining => self.unavailable(request),
            Method::Options => {
                let mut response = Response::to(request, 200);
                Endpoint::advertise(&mut response);
                response.headers.push(name::ACCEPT, ACCEPT);
                response
            }
            Method::Bye
            | Method::Update
            | Method::Prack
            | Method::Info
            | Method::Notify
            | Method::Invite => Response::to(request, 481),
            Method::Refer => Response::to(
                request,
                if request.headers.to_tag().is_some() {
                    481
                } else {
                    603
                },
            ),
            Method::Register
            | Method::Subscribe
            | Method::Publish
            | Method::Message
            | Method::Ack
            | Method::Cancel
            | Method::Other(_) => refuse_method(request, 405),
        }
    }

    fn new_invite(
        &mut self,
        now: Instant,
        request: Request,
        (server, origin): (ServerId, &Origin),
        data: &[u8],
    ) {
        let account = self.accounts.match_incoming(&request, origin.flow);
        let proof = Proof {
            device: self.registrar.registered_over(origin.flow),
            ..self.verify(now, &request)
        };
        let replaces = self.replaced_by(&request);
        let id = self.next_invite();
        let link = Link {
            invite: Some(id),
            account,
        };
        self.endpoint.trace_received(origin, data, link, false);
        let refused = Response::to(&request, 400);
        let arrived = Arrived {
            id,
            server,
            origin: *origin,
            account,
            proof,
            is_pinned: origin.protocol.is_websocket() || self.registrar.is_way(origin.flow),
            replaces,
        };
        let mut cx = Context {
            now,
            endpoint: &mut self.endpoint,
            accounts: &mut self.accounts,
        };
        match Invite::arrive(&mut cx, request, arrived) {
            Some(invite) => self.insert_invite(invite),
            None => self.endpoint.respond(now, server, &refused),
        }
    }

    /// The dialog that an INVITE names in Replaces; which of its tags is whose is said by RFC 3891 section 3.
    fn replaced_by(&self, request: &Request) -> Option<Replaced> {
        let wanted: Replaces = request.headers.get(name::REPLACES)?.parse().ok()?;
        let key = (wanted.call_id.clone(), wanted.to_tag.clone());
        let invite = self.dialogs.get(&key).and_then(|id| self.invites.get(id));
        let found = invite.map(|invite| invite.replaced_by(&wanted));
        Some(found.unwrap_or(Replaced::Refused { status: 481 }))
    }

    /// Whether the request proves one of the inbound passwords.
    fn verify(&mut self, now: Instant, request: &Request) -> Proof {
        let fields = request.headers.auth_fields(name::AUTHORIZATION);
        let Some(realm) = fields.first().and_then(|field| field.value("realm")) else {
            return Proof::default();
        };
        let realm = realm.to_owned();
        let (method, body) = (request.method.as_str(), request.body.as_slice());
        let algorithms = &super::command::CHALLENGE_ALGORITHMS;
        let user = fields.first().and_then(|field| field.value("username"));
        let is_device = user.is_some_and(|user| self.registrar.find(&realm, user).is_some());
        let of_device = is_device.then(|| self.prove_device(now, request)).flatten();
        let verdict = match of_device {
            Some((verdict, _)) => verdict,
            None => self.digest.verify(
                now,
                &realm,
                &fields,
                (method, body),
                &self.inbound_credentials,
                algorithms,
            ),
        };
        match verdict {
            Verification::Accepted { username } => Proof {
                accepted: Some((username, realm)),
                is_rejected: false,
                device: None,
            },
            Verification::Stale => Proof::default(),
            Verification::Rejected => Proof {
                accepted: None,
                is_rejected: true,
                device: None,
            },
        }
    }

    pub(super) fn reply_stateless(&mut self, request: &Request, status: u16, origin: &Origin) {
        let mut response = if status == 503 {
            self.unavailable(request)
        } else {
            Response::to(request, status)
        };
        self.tag_response(&mut response);
        self.endpoint.reply_stateless(origin, &response);
    }

    /// A To tag for a response outside any dialog of ours.
    pub(super) fn tag_response(&mut self, response: &mut Response) {
        if let Some(to) = response.headers.to().filter(|to| to.tag().is_none()) {
            let tag = self.endpoint.token();
            response.headers.replace(name::TO, to.with_tag(&tag));
        }
    }
}

/// Whether the sender reads the only kind of answer that we have (RFC 3261 sections 8.2.3 and 20.1). No Accept, or one that
/// names nothing, says yes.
fn takes_sdp(headers: &Headers) -> bool {
    let types = headers.tokens(name::ACCEPT);
    let names_it = |media: &&str| {
        let media = media.split(';').next().unwrap_or_default().trim_end();
        [ACCEPT, "application/*", "*/*"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(media))
    };
    types.is_empty() || types.iter().any(names_it)
}

fn refuse_method(request: &Request, status: u16) -> Response {
    let mut response = Response::to(request, status);
    response.headers.push(name::ALLOW, ALLOW);
    response
}
