//! Listeners, streams and datagrams: who can be reached how, and what our own address looks like from there.
//!
//! Streams are reused by (protocol, address, server name) and never across server names: a certificate verified for
//! one host says nothing about another (CVE-2020-15260). RFC 3261 section 18.

pub(crate) mod framing;
pub(crate) mod keepalive;
mod routes;
pub(crate) mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::config::{Limits, Listener, Protocol};
use crate::event::Target;
use crate::id::{ConnectionId, ListenerId};
use framing::Framer;
use routes::Routes;

/// A way to one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flow {
    Datagram {
        listener: ListenerId,
        remote: SocketAddr,
    },
    Stream {
        connection: ConnectionId,
    },
}

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) flow: Flow,
    pub(crate) protocol: Protocol,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) listener: Option<ListenerId>,
}

impl Origin {
    /// The stream, where it was one.
    pub(crate) const fn connection(&self) -> Option<ConnectionId> {
        match self.flow {
            Flow::Stream { connection } => Some(connection),
            Flow::Datagram { .. } => None,
        }
    }
}

/// Someone who must hear of the fate of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FlowUser {
    Client(crate::transaction::ClientId),
    Server(crate::transaction::ServerId),
}

/// Whether a stream carries messages yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    Connecting,
    Open,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) protocol: Protocol,
    pub(crate) remote: SocketAddr,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) server_name: Option<String>,
    /// The listener that accepted it; `None` = we opened it.
    pub(crate) listener: Option<ListenerId>,
    pub(crate) state: ConnectionState,
    pub(crate) framer: Framer,
    pub(crate) users: BTreeSet<FlowUser>,
    pub(crate) last_traffic: Instant,
    /// A whole message has come in; by a WebSocket, anything that was meant to be one.
    pub(crate) has_spoken: bool,
}

/// What became of the wish to reach a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Ready(Flow),
    /// The stream exists and is being opened.
    Pending(ConnectionId),
    /// A new stream: the shell must be asked to connect.
    Opened(ConnectionId),
    /// No listener of the family, or the table of streams is full.
    Impossible,
}

/// Listeners and streams.
#[derive(Debug)]
pub(crate) struct Transport {
    listeners: Vec<Listener>,
    routes: Routes,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Accepted streams by address, for the cap on each.
    accepted_per_ip: BTreeMap<IpAddr, usize>,
    last_connection: u64,
}

impl Transport {
    pub(crate) fn new(listeners: Vec<Listener>) -> Self {
        Self {
            listeners,
            routes: Routes::default(),
            connections: BTreeMap::new(),
            accepted_per_ip: BTreeMap::new(),
            last_connection: 0,
        }
    }

    pub(crate) fn next_connection_id(&mut self) -> ConnectionId {
        self.last_connection += 1;
        ConnectionId(self.last_connection)
    }

    pub(crate) fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.id == id)
    }

    /// A listener of the protocol that can reach the address.
    fn listener_towards(&self, protocol: Protocol, address: IpAddr) -> Option<&Listener> {
        self.listeners
            .iter()
            .filter(|listener| listener.protocol == protocol)
            .find(|listener| listener.bound.is_ipv4() == address.is_ipv4())
    }

    /// The listener by which datagrams of this address come.
    pub(crate) fn datagram_listener(&self, address: IpAddr) -> Option<ListenerId> {
        let listener = self.listener_towards(Protocol::Udp, address);
        listener.map(|listener| listener.id)
    }

    pub(crate) fn speaks(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Udp => self
                .listeners
                .iter()
                .any(|listener| listener.protocol == Protocol::Udp),
            Protocol::Tcp | Protocol::Tls => true,
            // Nobody can be called by it who has not come himself.
            Protocol::Ws | Protocol::Wss => false,
        }
    }

    /// Notes an accepted stream; `false` where the caps are reached.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        id: ConnectionId,
        listener: ListenerId,
        (local, remote): (SocketAddr, SocketAddr),
        limits: &Limits,
    ) -> bool {
        let Some(protocol) = self.listener(listener).map(|listener| listener.protocol) else {
            return false;
        };
        let from_there = self.accepted_per_ip.get(&remote.ip()).copied().unwrap_or(0);
        if self.connections.len() >= limits.connections_max
            || from_there >= limits.connections_per_ip_max
        {
            return false;
        }
        self.accepted_per_ip.insert(remote.ip(), from_there + 1);
        let mut connection = Connection::new(now, protocol, remote, None);
        connection.local = Some(local);
        connection.listener = Some(listener);
        connection.state = ConnectionState::Open;
        self.connections.insert(id, connection);
        true
    }

    pub(crate) fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(&id)
    }

    pub(crate) fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(&id)
    }

    /// Forgets a stream and returns those who used it.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> BTreeSet<FlowUser> {
        let Some(connection) = self.connections.remove(&id) else {
            return BTreeSet::new();
        };
        if connection.listener.is_some() {
            let ip = connection.remote.ip();
            if let Some(count) = self.accepted_per_ip.get_mut(&ip) {
                *count -= 1;
                if *count == 0 {
                    self.accepted_per_ip.remove(&ip);
                }
            }
        }
        connection.users
    }

    pub(crate) fn connections_len(&self) -> usize {
        self.connections.len()
    }

    pub(crate) fn index_len(&self) -> usize {
        let users = self.connections.values();
        self.accepted_per_ip.len() + users.map(|found| found.users.len()).sum::<usize>()
    }

    pub(crate) fn is_open(&self, flow: Flow) -> bool {
        match flow {
            Flow::Datagram { listener, .. } => self.listener(listener).is_some(),
            Flow::Stream { connection } => self
                .connection(connection)
                .is_some_and(|found| found.state == ConnectionState::Open),
        }
    }

    /// Finds or prepares a way to the target. `preferred` is the listener a datagram should leave by.
    pub(crate) fn reach(
        &mut self,
        now: Instant,
        target: &Target,
        preferred: Option<ListenerId>,
        limits: &Limits,
    ) -> Reach {
        if target.protocol == Protocol::Udp {
            let preferred = preferred
                .and_then(|id| self.listener(id))
                .filter(|listener| listener.protocol == Protocol::Udp)
                .filter(|listener| listener.bound.is_ipv4() == target.address.is_ipv4());
            let listener =
                preferred.or_else(|| self.listener_towards(Protocol::Udp, target.address.ip()));
            return listener.map_or(Reach::Impossible, |listener| {
                Reach::Ready(Flow::Datagram {
                    listener: listener.id,
                    remote: target.address,
                })
            });
        }
        if target.protocol.is_websocket() {
            return Reach::Impossible;
        }
        let existing = self
            .connections
            .iter()
            .find(|(_, connection)| connection.leads_to(target));
        match existing.map(|(id, connection)| (*id, connection.state)) {
            Some((connection, ConnectionState::Open)) => Reach::Ready(Flow::Stream { connection }),
            Some((connection, ConnectionState::Connecting)) => Reach::Pending(connection),
            None if self.connections.len() >= limits.connections_max => Reach::Impossible,
            None => {
                let id = self.next_connection_id();
                let connection = Connection::new(
                    now,
                    target.protocol,
                    target.address,
                    target.server_name.clone(),
                );
                self.connections.insert(id, connection);
                Reach::Opened(id)
            }
        }
    }

    pub(crate) fn protocol(&self, flow: Flow) -> Protocol {
        match flow {
            Flow::Datagram { .. } => Protocol::Udp,
            Flow::Stream { connection } => self
                .connection(connection)
                .map_or(Protocol::Tcp, |connection| connection.protocol),
        }
    }

    /// Local and remote socket addresses of a flow; `None` for a stream that is gone.
    pub(crate) fn addresses(&self, flow: Flow) -> Option<(SocketAddr, SocketAddr)> {
        match flow {
            Flow::Datagram { listener, remote } => {
                let listener = self.listener(listener)?;
                Some((self.local_address(listener, remote.ip()), remote))
            }
            Flow::Stream { connection } => {
                let connection = self.connection(connection)?;
                Some((connection.local?, connection.remote))
            }
        }
    }

    /// Host and port that a peer on this flow should use to reach us: for Via and Contact.
    pub(crate) fn sent_by(&self, flow: Flow) -> Option<(String, u16)> {
        let (local, remote) = self.addresses(flow)?;
        let listener = match flow {
            Flow::Datagram { listener, .. } => self.listener(listener),
            Flow::Stream { connection } => {
                let connection = self.connection(connection)?;
                match connection.listener {
                    Some(id) => self.listener(id),
                    None => self.listener_towards(connection.protocol, remote.ip()),
                }
            }
        };
        Some(match listener {
            Some(Listener {
                advertised: Some((host, port)),
                is_guess: false,
                ..
            }) => (host.clone(), *port),
            Some(listener) => (host_text(local.ip()), listener.bound.port()),
            None => (host_text(local.ip()), local.port()),
        })
    }

    /// Whether the shell should tell by which of our addresses a peer reaches us before a datagram goes there: the socket is bound to
    /// all of them, nobody fixed one, and what is known is old.
    pub(crate) fn wants_route(&self, now: Instant, peer: IpAddr) -> bool {
        self.listener_towards(Protocol::Udp, peer)
            .is_some_and(|listener| listener.is_guess && listener.bound.ip().is_unspecified())
            && !self.routes.is_fresh(now, peer)
    }

    /// The same for a target: streams have an address of their own.
    pub(crate) fn lacks_way(&self, now: Instant, target: &Target) -> bool {
        target.protocol == Protocol::Udp && self.wants_route(now, target.address.ip())
    }

    pub(crate) fn learn_route(&mut self, now: Instant, peer: IpAddr, local: IpAddr) {
        if !local.is_unspecified() {
            self.routes.learn(now, peer, local);
        }
    }

    /// The listener's address as the peer sees it. For a socket that is bound to all addresses it is what the operator or the machine
    /// says; else loopback for a loopback peer.
    fn local_address(&self, listener: &Listener, peer: IpAddr) -> SocketAddr {
        let port = listener.bound.port();
        if !listener.bound.ip().is_unspecified() {
            return listener.bound;
        }
        let routed = self.routes.local(peer).filter(|_| listener.is_guess);
        let advertised = listener
            .advertised
            .as_ref()
            .and_then(|(host, _)| host.parse::<IpAddr>().ok());
        match routed.or(advertised) {
            Some(ip) => SocketAddr::new(ip, port),
            None if peer.is_loopback() => SocketAddr::new(peer, port),
            None => listener.bound,
        }
    }

    /// True where the operator fixed our address on this flow, so that a learned one must not replace it.
    pub(crate) fn is_advertised(&self, flow: Flow) -> bool {
        let protocol = self.protocol(flow);
        self.listeners.iter().any(|listener| {
            listener.protocol == protocol && listener.advertised.is_some() && !listener.is_guess
        })
    }

    pub(crate) fn use_flow(&mut self, flow: Flow, user: FlowUser) {
        if let Flow::Stream { connection } = flow {
            self.use_connection(connection, user);
        }
    }

    pub(crate) fn use_connection(&mut self, connection: ConnectionId, user: FlowUser) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.users.insert(user);
        }
    }

    pub(crate) fn release_connection(&mut self, connection: ConnectionId, user: FlowUser) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.users.remove(&user);
        }
    }
}

impl Connection {
    fn new(
        now: Instant,
        protocol: Protocol,
        remote: SocketAddr,
        server_name: Option<String>,
    ) -> Self {
        Self {
            protocol,
            remote,
            local: None,
            server_name,
            listener: None,
            state: ConnectionState::Connecting,
            framer: Framer::new(),
            users: BTreeSet::new(),
            last_traffic: now,
            has_spoken: false,
        }
    }

    /// Reuse only what we opened ourselves towards the same name (RFC 5923 alias is not implemented).
    fn leads_to(&self, target: &Target) -> bool {
        self.listener.is_none()
            && self.protocol == target.protocol
            && self.remote == target.address
            && (self.protocol != Protocol::Tls || self.server_name == target.server_name)
    }
}

/// An address as a host: brackets around IPv6.
pub(crate) fn host_text(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}
