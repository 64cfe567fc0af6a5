//! A relay of the audio: allocations of a TURN server (RFC 8656) for the two sockets of a leg.
//!
//! The protocol is `turn-client-proto`, which has neither socket nor clock; here are its peers (each is permitted and given a channel when
//! the first packet goes to it), and the conversion of times.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use turn_client_proto::api::{
    Transmit, TurnClientApi, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet,
};
use turn_client_proto::prelude::DelayedTransmitBuild;
use turn_client_proto::stun::Instant as TurnInstant;
use turn_client_proto::types::stun::TransportType::Udp;
use turn_client_proto::types::{AddressFamily, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

use crate::nat::TurnServer;

/// Peers of one allocation; a call has its signalled one, the one that it is heard from, and perhaps that of a re-INVITE.
const PEERS_MAX: usize = 8;
/// A peer that the server refused is not asked for again for so long.
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// First wait before a request is sent again, doubled each time (RFC 8489 section 6.2.1).
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Longest wait of them.
const RETRY_AFTER_MAX: Duration = Duration::from_millis(1_600);
/// Requests in all, the first included: some four seconds.
const REQUESTS_MAX: u32 = 6;
/// An allocation may take so long: two exchanges, for the first one only tells the realm and a nonce.
pub(crate) const ALLOCATED_WITHIN: Duration = Duration::from_secs(1);
/// How long the answer to the release of an allocation is awaited.
pub(crate) const RELEASED_WITHIN: Duration = Duration::from_millis(300);
/// Nothing is due for so long at most: the client is looked at again then.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What a datagram at the socket was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// The server's own affairs, or of nobody who is known.
    Nothing,
    /// What a peer sent to the relayed address: its place in the datagram.
    Peer(SocketAddr, Range<usize>),
}

/// Where a part of a datagram stands in it.
fn place_of(part: &[u8], datagram: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(datagram.as_ptr() as usize)?;
    let place = start..start.checked_add(part.len())?;
    (datagram.get(place.clone()) == Some(part)).then_some(place)
}

/// The allocation of one socket.
pub(crate) struct Relay {
    client: TurnClientUdp,
    begun: Instant,
    server: SocketAddr,
    local: SocketAddr,
    /// Peers that a permission was asked for.
    permitted: Vec<IpAddr>,
    /// Peers that the server lets nothing through to, and since when.
    refused: Vec<(IpAddr, Instant)>,
    /// Peers that a channel was asked for.
    channels: Vec<SocketAddr>,
    address: Option<SocketAddr>,
    failed: bool,
    /// The server said something.
    heard: bool,
    released: bool,
    due: Option<Instant>,
}

/// Its client knows the password.
impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("server", &self.server)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// Begins an allocation; `local` is the socket's own address.
    pub(crate) fn new(
        now: Instant,
        local: SocketAddr,
        server: SocketAddr,
        known: &TurnServer,
    ) -> Self {
        let credentials = TurnCredentials::new(&known.username, known.password.expose());
        let mut config = TurnConfig::new(credentials);
        if server.is_ipv6() {
            config.set_address_family(AddressFamily::IPV6);
        }
        config.set_request_retransmits(RETRY_AFTER, RETRY_AFTER_MAX, REQUESTS_MAX, RETRY_AFTER_MAX);
        let mut relay = Self {
            client: TurnClientUdp::allocate(local, server, config),
            begun: now,
            server,
            local,
            permitted: Vec::new(),
            refused: Vec::new(),
            channels: Vec::new(),
            address: None,
            failed: false,
            heard: false,
            released: false,
            due: Some(now),
        };
        relay.look(now);
        relay
    }

    fn at(&self, now: Instant) -> TurnInstant {
        let nanos = now.saturating_duration_since(self.begun).as_nanos();
        TurnInstant::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// Takes what the client has to say, and when it is to be looked at again.
    fn look(&mut self, now: Instant) {
        let at = self.at(now);
        loop {
            let polled = self.client.poll(at);
            while let Some(event) = self.client.poll_event() {
                self.event(now, &event);
            }
            self.due = match polled {
                TurnPollRet::WaitUntil(due) => {
                    let nanos = u64::try_from(due.as_nanos()).unwrap_or_default();
                    let due = self.begun + Duration::from_nanos(nanos);
                    Some(due.min(now + LOOK_EVERY))
                }
                TurnPollRet::Closed => {
                    self.failed = !self.released;
                    None
                }
                TurnPollRet::AllocateTcpSocket { .. } | TurnPollRet::TcpClose { .. } => continue,
            };
            return;
        }
    }

    fn event(&mut self, now: Instant, event: &TurnEvent) {
        match event {
            TurnEvent::AllocationCreated(_, address) => self.address = Some(*address),
            TurnEvent::AllocationCreateFailed(_) => self.failed = true,
            // Asked for again with a packet of later: what is refused may have been refused for good, a private address for one.
            TurnEvent::PermissionCreateFailed(_, peer) => {
                self.permitted.retain(|known| known != peer);
                self.refused.retain(|(known, _)| known != peer);
                self.refused.push((*peer, now));
            }
            TurnEvent::ChannelCreateFailed(..)
            | TurnEvent::ChannelCreated(..)
            | TurnEvent::PermissionCreated(..)
            | TurnEvent::TcpConnected(_)
            | TurnEvent::TcpConnectFailed(_) => {}
        }
    }

    /// The relayed address, once there is one.
    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// There is no allocation, and there will be none.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether the server answered at all.
    pub(crate) const fn was_heard(&self) -> bool {
        self.heard
    }

    /// Where datagrams of the client go.
    pub(crate) const fn server(&self) -> SocketAddr {
        self.server
    }

    /// What is to be sent to the server now.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        let transmit = self.client.poll_transmit(self.at(now));
        match transmit {
            Some(transmit) => Some(transmit.data.to_vec()),
            None => {
                self.look(now);
                None
            }
        }
    }

    /// When [`Relay::handle_timeout`] is due.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.look(now);
        }
    }

    /// A datagram at the socket. Nobody but the server reaches us.
    pub(crate) fn receive(&mut self, now: Instant, source: SocketAddr, data: &[u8]) -> Received {
        if source != self.server {
            return Received::Nothing;
        }
        self.heard = true;
        let at = self.at(now);
        let transmit = Transmit::new(data, Udp, source, self.local);
        let received = match self.client.recv(transmit, at) {
            TurnRecvRet::PeerData(peer) => place_of(peer.data(), data)
                .map_or(Received::Nothing, |place| Received::Peer(peer.peer, place)),
            TurnRecvRet::Handled | TurnRecvRet::Ignored(_) | TurnRecvRet::PeerIcmp { .. } => {
                Received::Nothing
            }
        };
        if received == Received::Nothing {
            self.look(now);
        }
        received
    }

    /// Lets a peer through, before anything is sent to it.
    pub(crate) fn permit(&mut self, now: Instant, peer: IpAddr) {
        let fits = self
            .address
            .is_some_and(|address| address.is_ipv4() == peer.is_ipv4());
        let is_new = !self.permitted.contains(&peer) && self.permitted.len() < PEERS_MAX;
        if !fits || !is_new || self.released || self.failed {
            return;
        }
        self.refused
            .retain(|(_, at)| now.saturating_duration_since(*at) < REFUSED_FOR);
        if self.refused.iter().any(|(known, _)| *known == peer) || self.refused.len() >= PEERS_MAX {
            return;
        }
        let at = self.at(now);
        if self.client.create_permission(Udp, peer, at).is_ok() {
            self.permitted.push(peer);
        }
        self.look(now);
    }

    /// The datagram that carries this to a peer by the server; `None` as long as the server lets nothing through to it.
    pub(crate) fn wrap(&mut self, now: Instant, peer: SocketAddr, data: &[u8]) -> Option<Vec<u8>> {
        self.permit(now, peer.ip());
        if !self.client.have_permission(Udp, peer.ip()) || self.released {
            return None;
        }
        let at = self.at(now);
        if !self.channels.contains(&peer) && self.channels.len() < PEERS_MAX {
            self.channels.push(peer);
            // Until it is bound, and where it is refused, packets go in messages.
            let _ = self.client.bind_channel(Udp, peer, at);
            self.look(now);
        }
        let wrapped = self.client.send_to(Udp, peer, data, at).ok()??;
        Some(wrapped.data.build())
    }

    /// Gives the allocation back: a refresh with lifetime 0.
    pub(crate) fn release(&mut self, now: Instant) {
        if self.address.is_some() && !self.released && !self.failed {
            self.released = true;
            let at = self.at(now);
            let _ = self.client.delete(at);
            self.look(now);
        }
    }
}

/// The allocations of a leg.
#[derive(Debug)]
pub(crate) struct Relays {
    pub(crate) rtp: Relay,
    /// Without one there are no reports.
    pub(crate) rtcp: Option<Relay>,
}

impl Relays {
    /// Both, or the one.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut Relay> {
        std::iter::once(&mut self.rtp).chain(self.rtcp.as_mut())
    }

    /// That of a socket.
    pub(crate) fn of(&mut self, rtcp: bool) -> Option<&mut Relay> {
        if rtcp {
            self.rtcp.as_mut()
        } else {
            Some(&mut self.rtp)
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let rtcp = self.rtcp.as_ref().and_then(Relay::poll_timeout);
        [self.rtp.poll_timeout(), rtcp].into_iter().flatten().min()
    }
}
