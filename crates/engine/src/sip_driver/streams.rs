//! Streams at the driver: who may connect, what each connection showed of itself, and its bytes.

use std::sync::Arc;
use std::time::Instant;

use sip::{ConnectionId, IncomingInvite, Input};

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
                if !self
                    .connections
                    .admits(remote.ip(), self.is_known(remote.ip()))
                {
                    Metrics::count(&self.calls.metrics.sip_dropped, "connections", 1);
                    return;
                }
                let Some((_, protocol)) = self.listeners.iter().find(|(id, _)| *id == listener)
                else {
                    return;
                };
                let acceptor = self.tls.for_accepted(*protocol, self.asks());
                let connection = self.user_agent.next_connection_id();
                self.connections.open(
                    now,
                    connection,
                    Opening::Accepted {
                        listener,
                        stream,
                        remote,
                        acceptor,
                    },
                );
            }
            StreamEvent::Ready {
                connection,
                listener,
                local,
                remote,
                shown,
            } => {
                self.connections.note_shown(connection, shown);
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
            StreamEvent::Closed { connection } => {
                self.connections.close(connection);
                self.user_agent.handle(now, Input::Closed { connection });
            }
        }
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

    /// Whether a peer is asked for a certificate.
    fn asks(&self) -> bool {
        lock(&self.dispatcher).asks_for_certificates()
    }

    /// What the connection showed that an INVITE came by.
    pub(super) fn shown(&self, invite: &IncomingInvite) -> Option<Arc<Shown>> {
        self.connections.shown(invite.connection?)
    }

    /// Whether a line takes calls with the certificate of this connection: its peer is no stranger, whatever its address.
    fn is_recognised(&mut self, connection: ConnectionId) -> bool {
        let dispatcher = lock(&self.dispatcher);
        let version = dispatcher.version();
        let recognises = |shown: &Shown| dispatcher.recognises(shown);
        self.connections
            .is_recognised(connection, version, recognises)
    }
}
