//! The peer's requests inside the dialog (RFC 3261 section 12.2.2).

use crate::dialog::Order;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::invite::{Context, Invite, Phase};
use crate::message::{Method, Request, name};
use crate::transaction::ServerId;
use crate::transport::Origin;

impl Invite {
    /// Any request but ACK and CANCEL.
    pub(crate) fn receive(
        &mut self,
        cx: &mut Context<'_>,
        request: Request,
        server: ServerId,
        origin: &Origin,
    ) {
        cx.endpoint.link_server(server, self.link);
        let sequence = request.headers.cseq().map_or(0, |cseq| cseq.sequence);
        if !self.is_dialog_of(&request) {
            return self.respond(cx, server, &request, 481);
        }
        if self.is_ended() && request.method != Method::Bye {
            return self.respond(cx, server, &request, 481);
        }
        if self.dialog.order(sequence) == Order::Late {
            return self.respond(cx, server, &request, 500);
        }
        self.dialog.heard_on(origin);
        match request.method {
            Method::Bye => self.bye_received(cx, &request, server),
            Method::Invite => self.reinvite_received(cx, request, server),
            Method::Update => self.update_received(cx, request, server),
            Method::Prack => self.prack_received(cx, request, server),
            Method::Info => self.info_received(cx, request, server),
            Method::Refer => self.refer_received(cx, &request, server),
            Method::Notify => self.notify_received(cx, &request, server),
            Method::Options => {
                let mut response = self.response(&request, 200);
                Endpoint::advertise(&mut response);
                cx.endpoint.respond(cx.now, server, &response);
            }
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Subscribe
            | Method::Publish
            | Method::Message
            | Method::Other(_) => {
                let mut response = self.response(&request, 405);
                response.headers.push(name::ALLOW, crate::user_agent::ALLOW);
                cx.endpoint.respond(cx.now, server, &response);
            }
        }
    }

    /// The tags are ours: while we call, the tag of any early dialog will do.
    fn is_dialog_of(&self, request: &Request) -> bool {
        match &self.phase {
            Phase::Calling(calling) => {
                let tag = request
                    .headers
                    .from()
                    .and_then(|from| from.tag().map(str::to_owned));
                calling
                    .early
                    .iter()
                    .any(|early| Some(early.dialog.remote_tag()) == tag.as_deref())
            }
            Phase::Incoming(_)
            | Phase::Answered(_)
            | Phase::AckDue { .. }
            | Phase::Confirmed
            | Phase::Ended(_) => self.dialog.is_from_peer(request),
        }
    }

    pub(super) fn respond(
        &self,
        cx: &mut Context<'_>,
        server: ServerId,
        request: &Request,
        status: u16,
    ) {
        let response = self.response(request, status);
        cx.endpoint.respond(cx.now, server, &response);
    }

    fn info_received(&self, cx: &mut Context<'_>, request: Request, server: ServerId) {
        self.respond(cx, server, &request, 200);
        if request.body.is_empty() {
            return;
        }
        let content_type = request.headers.content_type().unwrap_or_default();
        self.event(
            cx,
            Event::Info {
                invite: self.id,
                content_type,
                body: request.body,
            },
        );
    }
}
