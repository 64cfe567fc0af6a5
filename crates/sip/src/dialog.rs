//! Dialogs: route set, remote target, tags and CSeq (RFC 3261 section 12).

use std::net::{IpAddr, SocketAddr};

use crate::id::ListenerId;
use crate::message::{CSeq, Method, NameAddr, Params, Request, Response, Uri, name};
use crate::planted::{self, Planted};
use crate::transaction::LocalContact;
use crate::transport::target::NextHop;
use crate::transport::{Flow, Origin};

/// Routes kept of a Record-Route set.
const ROUTES_MAX: usize = 16;

/// How a dialog is found: Call-ID and our tag, which is random and ours alone.
pub(crate) type DialogKey = (String, String);

/// One dialog, from our side.
#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    /// Our From or To, with our tag.
    pub(crate) local: NameAddr,
    /// The peer's, with its tag once there is one.
    pub(crate) remote: NameAddr,
    pub(crate) contact: LocalContact,
    routes: Vec<NameAddr>,
    target: Uri,
    local_sequence: u32,
    remote_sequence: Option<u32>,
    /// The flow that the peer was last heard on.
    flow: Option<Flow>,
    listener: Option<ListenerId>,
    source: Option<SocketAddr>,
    /// No proxy between us and the peer.
    is_direct: bool,
    /// The peer is reached by its flow and by nothing else: a device of ours, whose Contact may be an address behind its NAT.
    is_pinned: bool,
}

/// How a request stands in the order of the peer's CSeq numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Next,
    /// Below what was seen: 500 (RFC 3261 section 12.2.2).
    Late,
}

impl Dialog {
    /// The dialog that an incoming INVITE begins; `None` where the request lacks a part of it.
    pub(crate) fn of_incoming(
        request: &Request,
        tag: &str,
        contact: LocalContact,
        origin: &Origin,
    ) -> Option<Self> {
        Some(Self {
            call_id: request.headers.call_id()?.to_owned(),
            local: request.headers.to()?.with_tag(tag),
            remote: request.headers.from()?,
            contact,
            routes: request
                .headers
                .record_routes()
                .into_iter()
                .take(ROUTES_MAX)
                .collect(),
            target: request.headers.contacts().into_iter().next()?.uri,
            local_sequence: 0,
            remote_sequence: Some(request.headers.cseq()?.sequence),
            flow: Some(origin.flow),
            listener: origin.listener,
            source: Some(origin.remote),
            is_direct: request.headers.get_all(name::VIA).count() == 1,
            is_pinned: false,
        })
    }

    /// The dialog-to-be of an INVITE of ours.
    pub(crate) fn outgoing(
        call_id: String,
        local: NameAddr,
        remote: NameAddr,
        contact: LocalContact,
    ) -> Self {
        Self {
            call_id,
            local,
            target: remote.uri.clone(),
            remote,
            contact,
            routes: Vec::new(),
            local_sequence: 0,
            remote_sequence: None,
            flow: None,
            listener: None,
            source: None,
            is_direct: false,
            is_pinned: false,
        }
    }

    /// Aims at where a device is registered, which is not its address of record; `pinned`: over its flow to the end.
    pub(crate) fn aim(&mut self, target: Uri, pinned: bool) {
        self.target = target;
        self.is_pinned = pinned;
    }

    /// Ties what we send to the flow that its INVITE came by, unless a proxy stands between.
    pub(crate) const fn pin(&mut self) {
        self.is_pinned = self.is_direct;
    }

    /// Its requests go over the flow of a registration: to a device that nobody else finds.
    pub(crate) const fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// Takes tag, routes and target from a response to our INVITE (RFC 3261 section 12.1.2).
    pub(crate) fn settle(&mut self, response: &Response, flow: Flow, source: Option<SocketAddr>) {
        if let Some(to) = response.headers.to() {
            self.remote = to;
        }
        if response.headers.has(name::RECORD_ROUTE) || response.is_success() {
            self.routes = response
                .headers
                .record_routes()
                .into_iter()
                .rev()
                .take(ROUTES_MAX)
                .collect();
        }
        if let Some(contact) = response.headers.contacts().into_iter().next() {
            self.target = contact.uri;
        }
        self.flow = Some(flow);
        self.source = source;
        if let Flow::Datagram { listener, .. } = flow {
            self.listener = Some(listener);
        }
    }

    /// Target refresh by a re-INVITE or UPDATE, or the answer to one (RFC 3261 section 12.2).
    pub(crate) fn retarget(&mut self, contacts: Vec<NameAddr>) {
        if let Some(contact) = contacts.into_iter().next()
            && contact.uri.is_sip()
        {
            self.target = contact.uri;
        }
    }

    /// Follows the peer to a new stream or source address.
    pub(crate) fn heard_on(&mut self, origin: &Origin) {
        self.flow = Some(origin.flow);
        self.source = Some(origin.remote);
    }

    pub(crate) const fn flow(&self) -> Option<Flow> {
        self.flow
    }

    pub(crate) fn key(&self) -> DialogKey {
        (
            self.call_id.clone(),
            self.local.tag().unwrap_or_default().to_owned(),
        )
    }

    pub(crate) fn remote_tag(&self) -> &str {
        self.remote.tag().unwrap_or_default()
    }

    /// The peer's tag matches; an empty one is an RFC 2543 peer.
    pub(crate) fn is_from_peer(&self, request: &Request) -> bool {
        request
            .headers
            .from()
            .is_some_and(|from| from.tag().unwrap_or_default() == self.remote_tag())
    }

    pub(crate) const fn local_sequence(&self) -> u32 {
        self.local_sequence
    }

    /// The next CSeq number: each request of ours has its own.
    pub(crate) const fn next_sequence(&mut self) -> u32 {
        self.local_sequence += 1;
        self.local_sequence
    }

    /// Starts over from a number already used by another dialog of the same INVITE.
    pub(crate) const fn continue_from(&mut self, sequence: u32) {
        if sequence > self.local_sequence {
            self.local_sequence = sequence;
        }
    }

    /// Notes the CSeq of a request of the peer.
    pub(crate) fn order(&mut self, sequence: u32) -> Order {
        match self.remote_sequence {
            Some(last) if sequence < last && !planted::has(Planted::OrderIgnored) => Order::Late,
            Some(_) | None => {
                self.remote_sequence = Some(sequence);
                Order::Next
            }
        }
    }

    /// A request within the dialog (RFC 3261 section 12.2.1.1), strict routers included.
    pub(crate) fn request(&self, method: Method, sequence: u32) -> Request {
        let strict = self
            .routes
            .first()
            .filter(|route| !route.uri.is_loose_router());
        let uri = match strict {
            Some(route) => request_uri(&route.uri),
            None => request_uri(&self.target),
        };
        let mut request = Request::new(method.clone(), uri);
        let skip = usize::from(strict.is_some());
        for route in self.routes.iter().skip(skip) {
            request.headers.push(name::ROUTE, route);
        }
        if strict.is_some() {
            request
                .headers
                .push(name::ROUTE, NameAddr::new(self.target.clone()));
        }
        request.headers.push(name::FROM, &self.local);
        request.headers.push(name::TO, &self.remote);
        request.headers.push(name::CALL_ID, &self.call_id);
        request.headers.push(name::CSEQ, CSeq { sequence, method });
        request
    }

    /// Where requests of this dialog go.
    pub(crate) fn next_hop(&self) -> NextHop {
        let uri = self
            .routes
            .first()
            .map_or(&self.target, |route| &route.uri)
            .clone();
        let flow = self.usable_flow(&uri);
        NextHop {
            flow,
            listener: self.listener,
            ..NextHop::to(uri)
        }
    }

    /// The stream of the peer is reused while it lives; a datagram peer behind NAT is answered where it was heard.
    fn usable_flow(&self, next: &Uri) -> Option<Flow> {
        let source = self.source?;
        if self.is_pinned && self.routes.is_empty() {
            return self.flow;
        }
        match self.flow? {
            flow @ Flow::Stream { .. } => {
                let elsewhere = next
                    .host_address()
                    .is_some_and(|ip| ip != source.ip() && !is_private(ip));
                let is_neighbour =
                    self.is_direct || !self.routes.is_empty() || leads_to(next, source);
                (is_neighbour && !elsewhere).then_some(flow)
            }
            flow @ Flow::Datagram { .. } if self.is_direct && self.routes.is_empty() => {
                let claimed = next.host_address()?;
                (is_private(claimed) && !is_private(source.ip())).then_some(flow)
            }
            Flow::Datagram { .. } => None,
        }
    }
}

/// The URI names the very address at the other end of a stream: a new one would not reach anyone else, and over TLS it
/// would be verified against an address instead of a name.
fn leads_to(uri: &Uri, remote: SocketAddr) -> bool {
    let is_tls = uri.is_secure()
        || uri
            .transport()
            .is_some_and(|transport| transport.eq_ignore_ascii_case("tls"));
    let port = uri.port.unwrap_or(if is_tls { 5061 } else { 5060 });
    uri.host_address() == Some(remote.ip()) && port == remote.port()
}

/// A URI fit for a request line: no headers, no `method` (RFC 3261 section 19.1.1).
fn request_uri(uri: &Uri) -> Uri {
    let mut uri = uri.clone();
    uri.headers = None;
    uri.params.remove("method");
    uri
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && (64..128).contains(&ip.octets()[1]);
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || shared
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unspecified() || (ip.segments()[0] & 0xfe00) == 0xfc00
        }
    }
}

/// An address without parameters: for From and To of requests that we build.
pub(crate) fn plain(uri: Uri, display: Option<String>) -> NameAddr {
    NameAddr {
        display,
        uri,
        params: Params::new(),
    }
}

#[cfg(test)]
mod tests;
