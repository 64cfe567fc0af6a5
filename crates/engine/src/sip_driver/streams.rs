//! Streams at the driver: who may connect, what each connection showed of itself, and its bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use sip::{ConnectionId, IncomingInvite, Input, ListenerId, Protocol};
use tokio::net::TcpStream;

use super::{SipDriver, lock};
use crate::client_certificate::Shown;
use crate::metrics::Metrics;
use crate::sip_socket::{Opening, StreamEvent};

impl SipDriver {
    pub(super) fn stream(&mut self, event: StreamEvent) {
        let now = Instant::now();
        match event {
            StreamEvent::Incoming {
                listener,
                stream,
                remote,
            } => {
                self.greet(now, listener, (stream, remote));
            }
            StreamEvent::Ready {
                connection,
                listener,
                local,
                remote,
                shown,
            } => {
                self.connections.note_shown(connection, shown);
                self.connections.came_from(connection, remote.ip());
                self.user_agent.handle(
                    now,
                    Input::Accepted {
                        connection,
                        listener,
                        local,
                        remote,
                    },
                );
            }
            StreamEvent::Connected {
                connection,
                local,
                shown,
            } => {
                self.connections.note_shown(connection, shown);
                self.user_agent
                    .handle(now, Input::Connected { connection, local });
            }
            StreamEvent::ConnectFailed { connection } => {
                self.connections.close(connection);
                self.user_agent
                    .handle(now, Input::ConnectFailed { connection });
            }
            StreamEvent::Received { connection, data } => self.received(now, connection, &data),
            StreamEvent::Refused { connection } => {
                Metrics::count(&self.calls.metrics.sip_dropped, "handshake", 1);
                self.connections.close(connection);
            }
            StreamEvent::Closed { connection } => {
                self.connections.close(connection);
                self.user_agent.handle(now, Input::Closed { connection });
            }
        }
    }

    /// Somebody connects. Who is banned is not even greeted.
    fn greet(
        &mut self,
        now: Instant,
        listener: ListenerId,
        (stream, remote): (TcpStream, SocketAddr),
    ) {
        let known = self.listeners.iter().find(|(id, _)| *id == listener);
        let Some(protocol) = known.map(|(_, protocol)| *protocol) else {
            return;
        };
        let ip = remote.ip();
        let is_known = self.is_known(ip);
        let web = protocol.is_websocket().then(|| Arc::clone(&self.web));
        let is_proxy = web.as_ref().is_some_and(|web| web.is_proxy(ip));
        if !self.connections.admits(ip, is_known, is_proxy) {
            return Metrics::count(&self.calls.metrics.sip_dropped, "connections", 1);
        }
        if !is_known && !is_proxy && lock(&self.dispatcher).is_banned(now, ip) {
            return Metrics::count(&self.calls.metrics.sip_dropped, "banned", 1);
        }
        let asks = protocol == Protocol::Tls && self.asks();
        let acceptor = self.tls.for_accepted(protocol, asks);
        let connection = self.user_agent.next_connection_id();
        let opening = Opening::Accepted {
            listener,
            stream,
            remote,
            acceptor,
            web,
        };
        self.connections.open(now, connection, opening);
    }

    fn received(&mut self, now: Instant, connection: ConnectionId, data: &[u8]) {
        if let Some(source) = self.connections.accepted_from(connection)
            && !self.is_recognised(connection)
            && let Some(why) = self.holds_back(now, source, data)
        {
            Metrics::count(&self.calls.metrics.sip_dropped, why, 1);
            self.connections.abort(connection);
            self.user_agent.handle(now, Input::Closed { connection });
            return;
        }
        self.user_agent
            .handle(now, Input::Received { connection, data });
    }

    /// Whether a peer is asked for a certificate: whether one could open any line.
    fn asks(&self) -> bool {
        let mut lines = self.lines.iter();
        lines.any(|line| !line.config.certificates.is_empty())
    }

    /// What the connection showed that an INVITE came by.
    pub(super) fn shown(&self, invite: &IncomingInvite) -> Option<Arc<Shown>> {
        self.connections.shown(invite.connection?)
    }

    /// Whether a line takes calls with the certificate of this connection: its peer is no stranger, whatever its address.
    fn is_recognised(&mut self, connection: ConnectionId) -> bool {
        let dispatcher = &self.dispatcher;
        self.connections
            .is_recognised(connection, |shown| lock(dispatcher).recognises(shown))
    }
}
