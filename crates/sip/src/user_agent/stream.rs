//! Streams: accepted, opened, lost, idle.

use std::net::SocketAddr;
use std::time::Instant;

use crate::event::{DropReason, Output};
use crate::id::{ConnectionId, ListenerId};
use crate::planted::{self, Planted};
use crate::transaction::timer::Timer;
use crate::transport::framing::Frame;
use crate::transport::{ConnectionState, Flow, FlowUser, Origin};
use crate::user_agent::UserAgent;

impl UserAgent {
    pub(super) fn accepted(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        listener: ListenerId,
        (local, remote): (SocketAddr, SocketAddr),
    ) {
        let endpoint = &mut self.endpoint;
        if endpoint
            .transport
            .accept(now, connection, listener, (local, remote), &endpoint.limits)
        {
            endpoint.deadlines.arm(
                Timer::Connection(connection),
                now + endpoint.limits.first_message,
            );
        } else {
            endpoint.dropped(remote, DropReason::Overload);
            endpoint.output(Output::Close { connection });
        }
    }

    pub(super) fn connected(&mut self, now: Instant, connection: ConnectionId, local: SocketAddr) {
        let Some(found) = self.endpoint.transport.connection_mut(connection) else {
            return self.endpoint.output(Output::Close { connection });
        };
        found.local = Some(local);
        found.state = ConnectionState::Open;
        found.last_traffic = now;
        let users: Vec<FlowUser> = found.users.iter().copied().collect();
        let idle = self.endpoint.limits.idle_connection;
        self.endpoint
            .deadlines
            .arm(Timer::Connection(connection), now + idle);
        for user in users {
            match user {
                FlowUser::Client(id) => self.endpoint.client_connected(now, id, connection),
                FlowUser::Server(id) => self.endpoint.server_connected(now, id, connection),
            }
        }
    }

    pub(super) fn disconnected(&mut self, now: Instant, connection: ConnectionId) {
        self.endpoint
            .deadlines
            .disarm(Timer::Connection(connection));
        self.registration_stream_lost(now, connection);
        let users = self.endpoint.transport.remove(connection);
        self.device_stream_lost(connection);
        for user in users {
            match user {
                FlowUser::Client(id) => self.endpoint.client_disconnected(now, id),
                FlowUser::Server(id) => self.endpoint.server_disconnected(id),
            }
        }
    }

    /// Closes a stream of our own will.
    fn close(&mut self, now: Instant, connection: ConnectionId) {
        self.endpoint.output(Output::Close { connection });
        self.disconnected(now, connection);
    }

    pub(super) fn stream_data(&mut self, now: Instant, connection: ConnectionId, data: &[u8]) {
        let Some(found) = self.endpoint.transport.connection_mut(connection) else {
            return;
        };
        let Some(local) = found.local else { return };
        found.last_traffic = now;
        let origin = Origin {
            flow: Flow::Stream { connection },
            protocol: found.protocol,
            local,
            remote: found.remote,
            listener: found.listener,
        };
        if found.protocol.is_websocket() {
            return self.whole_message(now, connection, data, &origin);
        }
        found.framer.push(data);
        loop {
            let Some(found) = self.endpoint.transport.connection_mut(connection) else {
                return;
            };
            match found.framer.next_frame() {
                Ok(Some(Frame::Message(message))) => {
                    found.has_spoken = true;
                    self.message(now, &message, &origin);
                    self.settle(now);
                }
                // RFC 5626 section 3.5.1: a double CRLF is answered with a single one.
                Ok(Some(Frame::Ping)) => {
                    self.endpoint.output(Output::SendStream {
                        connection,
                        data: b"\r\n".to_vec(),
                    });
                }
                Ok(Some(Frame::Pong)) => {}
                Ok(None) => return,
                Err(broken) => {
                    self.refuse_malformed(&broken.head, broken.kind, &origin);
                    self.endpoint.dropped(origin.remote, DropReason::Framing);
                    return self.close(now, connection);
                }
            }
        }
    }

    /// What came by a WebSocket: one SIP message, or a keep-alive (RFC 7118 sections 5 and 6). A message that cannot be read costs only itself;
    /// what is none at all ends the connection, as on a stream.
    fn whole_message(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        data: &[u8],
        origin: &Origin,
    ) {
        match data {
            // RFC 5626 section 3.5.1: a double CRLF is answered with a single one.
            b"\r\n\r\n" => self.endpoint.output(Output::SendStream {
                connection,
                data: b"\r\n".to_vec(),
            }),
            b"" | b"\r\n" => {}
            _ if !is_sip(data) => {
                self.endpoint.dropped(origin.remote, DropReason::Framing);
                self.close(now, connection);
            }
            _ => {
                if let Some(found) = self.endpoint.transport.connection_mut(connection) {
                    found.has_spoken = true;
                }
                self.message(now, data, origin);
                self.settle(now);
            }
        }
    }

    /// A stream is closed when it never spoke, when it stopped in the middle of a message, or when nothing went over it
    /// for long and nobody uses it.
    pub(super) fn connection_timer(&mut self, now: Instant, connection: ConnectionId) {
        let limits = self.endpoint.limits;
        let Some(found) = self.endpoint.transport.connection(connection) else {
            return;
        };
        let is_mute = found.listener.is_some() && !found.has_spoken;
        let is_stuck =
            found.framer.is_partial() && found.last_traffic + limits.first_message <= now;
        let is_idle = found.last_traffic + limits.idle_connection <= now;
        let is_unused = || found.users.is_empty() && !self.is_dialog_flow(connection);
        if planted::has(Planted::StreamStays) {
            return;
        }
        if is_mute || is_stuck || (is_idle && is_unused()) {
            return self.close(now, connection);
        }
        let next = now + limits.first_message;
        self.endpoint
            .deadlines
            .arm(Timer::Connection(connection), next);
    }

    fn is_dialog_flow(&self, connection: ConnectionId) -> bool {
        let flow = Flow::Stream { connection };
        let mut flows = self
            .invites
            .values()
            .filter_map(|invite| invite.dialog.flow());
        flows.any(|known| known == flow)
            || self.is_registration_flow(flow)
            || self.registrar.is_flow(flow)
    }
}

/// Whether the first line names SIP, of any version, as the first lines of requests and responses do.
fn is_sip(data: &[u8]) -> bool {
    let first = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    first
        .windows(4)
        .any(|word| word.eq_ignore_ascii_case(b"SIP/"))
}
