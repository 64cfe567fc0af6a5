//! REFER (RFC 3515). Theirs is declined and told to the shell: headers embedded in Refer-To are never looked at. Ours asks the peer
//! to call somebody else, and its NOTIFYs say how that goes; they belong to the dialog, so no subscription outlives it. An attended
//! transfer (RFC 5589 section 7) is the same with a call that we already have: Refer-To says which one it replaces.

use crate::event::Event;
use crate::invite::{CommandError, Context, Invite, Phase};
use crate::message::{Method, NameAddr, Replaces, Request, Response, Uri, name};
use crate::transaction::{ClientId, Outgoing, ServerId};

/// Content type of what a NOTIFY of a transfer carries (RFC 3420).
const SIPFRAG: &str = "message/sipfrag";

/// Why we call nobody for a peer (RFC 3326): it would be our call, at our cost.
const NO_REFER: &str = "Q.850;cause=21;text=\"no REFER is taken; an INVITE with Replaces is\"";

/// A REFER of ours that is not over.
#[derive(Debug)]
pub(crate) struct Referral {
    client: Option<ClientId>,
    answered: bool,
}

impl Invite {
    pub(super) fn refer_received(&self, cx: &mut Context<'_>, request: &Request, server: ServerId) {
        let refer_to = request
            .headers
            .get(name::REFER_TO)
            .and_then(|value| value.parse::<NameAddr>().ok());
        match refer_to {
            Some(mut address) => {
                address.uri.headers = None;
                let mut response = self.response(request, 603);
                response.headers.push(name::REASON, NO_REFER);
                cx.endpoint.respond(cx.now, server, &response);
                self.event(
                    cx,
                    Event::Refer {
                        invite: self.id,
                        refer_to: address.uri.to_string(),
                    },
                );
            }
            None => self.respond(cx, server, request, 400),
        }
    }

    /// Asks the peer to call somebody else.
    pub(crate) fn refer(&mut self, cx: &mut Context<'_>, to: Uri) -> Result<(), CommandError> {
        if !matches!(self.phase, Phase::Confirmed) || self.refer.is_some() {
            return Err(CommandError::WrongState);
        }
        let by = NameAddr::new(self.dialog.local.uri.clone());
        let client = self.send(cx, Method::Refer, |request| {
            request.headers.push(name::REFER_TO, NameAddr::new(to));
            request.headers.push(name::REFERRED_BY, by);
        });
        self.refer = Some(Referral {
            client,
            answered: false,
        });
        Ok(())
    }

    /// Where the peer of another call finds this one, as RFC 5589 section 7.3 has it: the address that we called, and the dialog in
    /// the words of who answered there. `None` unless the two talk, and that side says that its calls may be replaced.
    pub(crate) fn as_refer_target(&self) -> Option<Uri> {
        let is_open = matches!(self.phase, Phase::Confirmed) && self.peer.replaces == Some(true);
        if !is_open || self.dialog.is_pinned() {
            return None;
        }
        let replaces = Replaces {
            call_id: self.dialog.call_id.clone(),
            to_tag: self.dialog.remote_tag().to_owned(),
            from_tag: self.dialog.local.tag()?.to_owned(),
            early_only: false,
        };
        let mut uri = self.dialog.remote.uri.clone();
        uri.headers = Some(replaces.in_uri());
        Some(uri)
    }

    pub(super) fn refer_answered(
        &mut self,
        cx: &mut Context<'_>,
        response: &Response,
        outgoing: Option<Box<Outgoing>>,
    ) {
        if response.status < 200 || self.refer.is_none() {
            return;
        }
        if matches!(response.status, 401 | 407)
            && let Some(outgoing) = outgoing
            && let Some(client) = self.try_with_credentials(cx, *outgoing, response)
        {
            self.refer = Some(Referral {
                client: Some(client),
                answered: false,
            });
            return;
        }
        self.refer_final(cx, response.status);
    }

    /// No answer to our REFER will come.
    pub(super) fn refer_unanswered(&mut self, cx: &mut Context<'_>, client: ClientId) {
        let ours = self
            .refer
            .as_ref()
            .is_some_and(|refer| refer.client == Some(client) && !refer.answered);
        if ours {
            self.refer_final(cx, 408);
        }
    }

    fn refer_final(&mut self, cx: &mut Context<'_>, status: u16) {
        if (200..300).contains(&status) {
            if let Some(refer) = &mut self.refer {
                refer.answered = true;
            }
        } else {
            self.refer = None;
        }
        self.event(
            cx,
            Event::ReferAnswered {
                invite: self.id,
                status,
            },
        );
    }

    /// How the call goes that we asked for. One may come before the answer to the REFER.
    pub(super) fn notify_received(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request,
        server: ServerId,
    ) {
        let package = request.headers.get(name::EVENT).unwrap_or_default();
        let is_refer = package
            .split(';')
            .next()
            .is_some_and(|package| package.trim().eq_ignore_ascii_case("refer"));
        if !is_refer {
            return self.respond(cx, server, request, 489);
        }
        if self.refer.is_none() {
            return self.respond(cx, server, request, 481);
        }
        self.respond(cx, server, request, 200);
        let over = request
            .headers
            .get(name::SUBSCRIPTION_STATE)
            .is_some_and(|state| {
                let state = state.split(';').next().unwrap_or_default();
                state.trim().eq_ignore_ascii_case("terminated")
            });
        let Some(status) = fragment_status(request) else {
            return;
        };
        let last = over || status >= 200;
        if last {
            self.refer = None;
        }
        self.event(
            cx,
            Event::ReferNotified {
                invite: self.id,
                status,
                last,
            },
        );
    }
}

/// The status of the first line of a `message/sipfrag`.
fn fragment_status(request: &Request) -> Option<u16> {
    let content_type = request.headers.content_type()?;
    if !content_type.eq_ignore_ascii_case(SIPFRAG) {
        return None;
    }
    let text = std::str::from_utf8(&request.body).ok()?;
    let rest = text.trim_start().strip_prefix("SIP/2.0 ")?;
    let digits = rest.get(..3)?;
    digits
        .parse()
        .ok()
        .filter(|status| (100..700).contains(status))
}
