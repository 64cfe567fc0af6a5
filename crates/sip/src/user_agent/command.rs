//! The commands of the shell on invites and accounts.

use std::time::Instant;

use crate::dialog::{Dialog, plain};
use crate::digest::Algorithm;
use crate::endpoint::Link;
use crate::event::Target;
use crate::id::{DeviceId, InviteId};
use crate::invite::{CommandError, Context, Invite, InviteError, OutgoingInvite, Rejection};
use crate::message::{NameAddr, Uri};
use crate::transaction::LocalContact;
use crate::transport::target::NextHop;
use crate::user_agent::UserAgent;

/// Algorithms that a challenge offers to whoever is no device, the strongest first (RFC 8760 section 2.3).
pub(super) const CHALLENGE_ALGORITHMS: [Algorithm; 2] = [Algorithm::SHA_256, Algorithm::MD5];

/// Commands on invites.
impl UserAgent {
    /// Places a call.
    ///
    /// # Errors
    /// Where the call cannot even start; what happens later comes as events.
    pub fn invite(&mut self, now: Instant, wish: OutgoingInvite) -> Result<InviteId, InviteError> {
        if self.is_draining {
            return Err(InviteError::Draining);
        }
        if self.live_invites >= self.endpoint.limits.invites_max {
            return Err(InviteError::Overload);
        }
        if wish
            .headers
            .iter()
            .any(|(name, value)| !is_header(name, value))
        {
            return Err(InviteError::BadHeader);
        }
        let to = sip_uri(&wish.to)?;
        let mut headers = wish.headers.clone();
        if let Some(account) = wish.account.and_then(|id| self.accounts.find(id)) {
            headers.extend(account.identity(wish.number.as_deref()).1);
        }
        let (dialog, mut next_hop, routes) = self.outgoing_dialog(&wish, &to)?;
        if let Some((protocol, address)) = wish.destination {
            if !self.endpoint.transport.speaks(protocol) {
                return Err(InviteError::NoTransport);
            }
            let server_name = Some(to.host.trim_matches(['[', ']']).to_owned());
            next_hop.destination = Some(Target {
                protocol,
                address,
                server_name,
            });
        }
        let id = self.next_invite();
        let link = Link {
            invite: Some(id),
            account: wish.account,
        };
        let mut cx = Context {
            now,
            endpoint: &mut self.endpoint,
            accounts: &mut self.accounts,
        };
        let what = (wish.offer, headers.as_slice());
        let invite = Invite::call(&mut cx, (id, link), dialog, (next_hop, routes), what)
            .ok_or(InviteError::Overload)?;
        self.insert_invite(invite);
        self.settle(now);
        Ok(id)
    }

    fn outgoing_dialog(
        &mut self,
        wish: &OutgoingInvite,
        to: &Uri,
    ) -> Result<(Dialog, NextHop, Vec<String>), InviteError> {
        let call_id = self.endpoint.random.token(32);
        let tag = self.endpoint.token();
        let remote = plain(to.clone(), None);
        let own_from = wish.from.as_deref().map(sip_uri).transpose()?;
        if let Some(device) = wish.device {
            return self.device_dialog(device, wish, to, (call_id, &tag));
        }
        let Some(account) = wish.account else {
            let from =
                own_from.unwrap_or_else(|| Uri::sip(Some("anonymous"), "anonymous.invalid", None));
            let user = self.endpoint.random.token(8);
            let contact = LocalContact {
                user,
                secure: to.is_secure(),
                address: None,
                params: String::new(),
            };
            let local = NameAddr::new(from).with_tag(&tag);
            return Ok((
                Dialog::outgoing(call_id, local, remote, contact),
                NextHop::to(to.clone()),
                Vec::new(),
            ));
        };
        let account = self
            .accounts
            .find(account)
            .ok_or(InviteError::UnknownAccount)?;
        let (mut from, _) = account.identity(wish.number.as_deref());
        if let Some(uri) = own_from {
            from.uri = uri;
        }
        let (next_hop, routes) = account.route(to);
        let dialog = Dialog::outgoing(call_id, from.with_tag(&tag), remote, account.contact());
        Ok((dialog, next_hop, routes))
    }

    /// The dialog of a call to a device: To is its address of record, the request goes to where it is registered.
    fn device_dialog(
        &mut self,
        device: DeviceId,
        wish: &OutgoingInvite,
        to: &Uri,
        (call_id, tag): (String, &str),
    ) -> Result<(Dialog, NextHop, Vec<String>), InviteError> {
        let own = self.registrar.config(device);
        let own = own.ok_or(InviteError::UnknownAccount)?;
        let number = to.user.as_deref();
        let number = number.filter(|number| *number != own.username);
        let way = self.registrar.way(device, number);
        let way = way.ok_or(InviteError::NotRegistered)?;
        let from = match &wish.from {
            Some(from) => sip_uri(from)?,
            None => Uri::sip(Some("anonymous"), "anonymous.invalid", None),
        };
        let contact = LocalContact {
            user: self.endpoint.random.token(8),
            secure: way.target.is_secure(),
            address: None,
            params: String::new(),
        };
        let local = NameAddr::new(from).with_tag(tag);
        let mut dialog = Dialog::outgoing(call_id, local, plain(to.clone(), None), contact);
        dialog.aim(way.target, way.is_pinned);
        Ok((dialog, way.next_hop, way.routes))
    }

    /// Sends 180 or 183, reliably where the peer requires it or can and SDP goes along.
    ///
    /// # Errors
    /// `WrongState` after a final answer.
    pub fn ring(
        &mut self,
        now: Instant,
        invite: InviteId,
        status: u16,
        sdp: Option<Vec<u8>>,
    ) -> Result<(), CommandError> {
        self.command(now, invite, |invite, cx| invite.ring(cx, status, sdp))
    }

    /// Sends 200 with the SDP: the answer, or our offer where the INVITE had none.
    ///
    /// # Errors
    /// `WrongState` after a final answer.
    pub fn answer(
        &mut self,
        now: Instant,
        invite: InviteId,
        sdp: Vec<u8>,
    ) -> Result<(), CommandError> {
        self.command(now, invite, |invite, cx| invite.answer(cx, sdp))
    }

    /// Refuses an incoming INVITE.
    ///
    /// # Errors
    /// `BadStatus` outside 400..=699, `WrongState` after a final answer.
    pub fn reject(
        &mut self,
        now: Instant,
        invite: InviteId,
        rejection: Rejection,
    ) -> Result<(), CommandError> {
        if rejection
            .reason
            .as_ref()
            .is_some_and(|reason| reason.contains(char::is_control))
        {
            return Err(CommandError::BadHeader);
        }
        self.command(now, invite, move |invite, cx| invite.reject(cx, &rejection))
    }

    /// Lets an incoming INVITE go without any answer.
    pub fn drop_invite(&mut self, now: Instant, invite: InviteId) {
        let _ = self.command(now, invite, |invite, cx| {
            invite.drop_silently(cx);
            Ok(())
        });
    }

    /// Answers 401; the INVITE that comes back with a right password carries `authenticated`.
    ///
    /// # Errors
    /// `UnknownRealm` where no inbound credentials name the realm.
    pub fn challenge(
        &mut self,
        now: Instant,
        invite: InviteId,
        realm: &str,
    ) -> Result<(), CommandError> {
        let is_known = self.registrar.has_realm(realm)
            || self
                .inbound_credentials
                .iter()
                .any(|credential| credential.realm == realm);
        if !is_known {
            return Err(CommandError::UnknownRealm);
        }
        let caller = self.invites.get(&invite);
        let caller = caller.map(|invite| invite.dialog.remote.uri.user_decoded());
        let of_device = caller.and_then(|user| self.registrar.find(realm, &user));
        let algorithms = match of_device {
            Some((_, device)) => device.algorithms.as_slice(),
            None => CHALLENGE_ALGORITHMS.as_slice(),
        };
        let fields = self.digest.challenge(now, realm, algorithms, false);
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        self.command(now, invite, |invite, cx| invite.challenge(cx, &fields))
    }

    /// Ends an invite by CANCEL, BYE or an error answer; `reason` is the value of a Reason header.
    ///
    /// # Errors
    /// `UnknownInvite` where it has ended.
    pub fn hang_up(
        &mut self,
        now: Instant,
        invite: InviteId,
        reason: Option<String>,
    ) -> Result<(), CommandError> {
        if reason
            .as_ref()
            .is_some_and(|reason| reason.contains(char::is_control))
        {
            return Err(CommandError::BadHeader);
        }
        self.command(now, invite, |invite, cx| invite.hang_up(cx, reason))
    }

    /// Offers a change of the session; `Answer` or `OfferFailed` follows.
    ///
    /// # Errors
    /// `OfferPending` while an offer of either side is open.
    pub fn reinvite(
        &mut self,
        now: Instant,
        invite: InviteId,
        offer: Vec<u8>,
    ) -> Result<(), CommandError> {
        self.command(now, invite, |invite, cx| invite.reinvite(cx, offer))
    }

    /// Answers `Offer`, gives the offer for `OfferRequested`, or the answer after an `Accepted` that carried an offer.
    ///
    /// # Errors
    /// `WrongState` where nothing waits for it.
    pub fn answer_offer(
        &mut self,
        now: Instant,
        invite: InviteId,
        sdp: Vec<u8>,
    ) -> Result<(), CommandError> {
        self.command(now, invite, |invite, cx| invite.answer_offer(cx, sdp))
    }

    /// Refuses the peer's offer; the session goes on as it was.
    ///
    /// # Errors
    /// `WrongState` where nothing waits for it.
    pub fn reject_offer(
        &mut self,
        now: Instant,
        invite: InviteId,
        status: u16,
    ) -> Result<(), CommandError> {
        self.command(now, invite, |invite, cx| invite.reject_offer(cx, status))
    }

    /// Sends INFO inside the dialog.
    ///
    /// # Errors
    /// `WrongState` before the session is confirmed.
    pub fn send_info(
        &mut self,
        now: Instant,
        invite: InviteId,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(), CommandError> {
        self.command(now, invite, |invite, cx| {
            invite.send_info(cx, content_type, body)
        })
    }

    /// Asks the peer to call somebody else (blind transfer, RFC 3515). `ReferAnswered` follows, then `ReferNotified`.
    ///
    /// # Errors
    /// `BadUri`, `WrongState` before the session is confirmed or while a transfer is under way.
    pub fn refer(
        &mut self,
        now: Instant,
        invite: InviteId,
        refer_to: &str,
    ) -> Result<(), CommandError> {
        let uri = sip_uri(refer_to).map_err(|_| CommandError::BadUri)?;
        self.command(now, invite, |invite, cx| invite.refer(cx, uri))
    }

    /// Asks the peer of one call to take the place of ours in another: an attended transfer (RFC 5589 section 7). What comes of it is
    /// told as of [`refer`](Self::refer). Where it returns an error the two calls are as they were.
    ///
    /// # Errors
    /// One of the two is not confirmed, or one of the two peers says that it does no such thing: one that knows REFER and not Replaces
    /// would call the other a second time. That who takes the REFER can find the other is for the shell to know.
    pub fn refer_to_call(
        &mut self,
        now: Instant,
        invite: InviteId,
        other: InviteId,
    ) -> Result<(), CommandError> {
        let known = self
            .invites
            .get(&other)
            .ok_or(CommandError::UnknownInvite)?;
        let uri = known.as_refer_target().ok_or(CommandError::WrongState)?;
        if invite == other || !self.may_refer(invite) || self.ignores_replaces(invite) {
            return Err(CommandError::WrongState);
        }
        self.command(now, invite, |invite, cx| invite.refer(cx, uri))
    }

    /// Whether the peer of an INVITE may take a REFER: it does not say that it does not (Allow, RFC 3261 section 20.5).
    #[must_use]
    pub fn may_refer(&self, invite: InviteId) -> bool {
        let invite = self.invites.get(&invite);
        invite.is_some_and(|invite| !invite.peer.refuses_refer)
    }

    /// Whether the peer of an INVITE lists what it knows (Supported, RFC 3261 section 20.37), and Replaces is not there.
    fn ignores_replaces(&self, invite: InviteId) -> bool {
        let invite = self.invites.get(&invite);
        invite.is_some_and(|invite| invite.peer.replaces == Some(false))
    }

    fn command(
        &mut self,
        now: Instant,
        id: InviteId,
        work: impl FnOnce(&mut Invite, &mut Context<'_>) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        let result = self.with_invite(now, id, |invite, cx| {
            Some(if invite.is_ended() {
                Err(CommandError::UnknownInvite)
            } else {
                work(invite, cx)
            })
        });
        self.settle(now);
        result.unwrap_or(Err(CommandError::UnknownInvite))
    }
}

fn sip_uri(text: &str) -> Result<Uri, InviteError> {
    let uri: Uri = text.parse().map_err(|_| InviteError::BadUri)?;
    if uri.is_sip() && !uri.host.is_empty() {
        Ok(uri)
    } else {
        Err(InviteError::BadUri)
    }
}

fn is_header(name: &str, value: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token) && !value.contains(char::is_control)
}
