//! REFER (RFC 3515): declined, and told to the shell. Headers embedded in Refer-To are never looked at.

use crate::event::Event;
use crate::invite::{Context, Invite};
use crate::message::{NameAddr, Request, name};
use crate::transaction::ServerId;

impl Invite {
    pub(super) fn refer_received(&self, cx: &mut Context<'_>, request: &Request, server: ServerId) {
        let refer_to = request
            .headers
            .get(name::REFER_TO)
            .and_then(|value| value.parse::<NameAddr>().ok());
        match refer_to {
            Some(mut address) => {
                address.uri.headers = None;
                self.respond(cx, server, request, 603);
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
}
