//! The user agent, its shell and its network, and the promises that are checked at every step.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::peer::{self, Dialog};
use crate::bytes::Bytes;
use sip::{
    AccountConfig, AccountId, Config, ConnectionId, Event, InboundCredential, Input, InviteId,
    Listener, ListenerId, OutgoingInvite, Output, Protocol, QueryId, Rejection, Target, UserAgent,
};

/// Outputs that one input may set off.
const OUTPUTS_MAX: usize = 400;
/// Timers until a world at rest is empty.
const TIMERS_MAX: usize = 20_000;
/// What is remembered of the messages on the wire.
const REMEMBERED: usize = 16;
const UDP: ListenerId = ListenerId(0);
const TCP: ListenerId = ListenerId(1);
const ACCOUNT: AccountId = AccountId(1);

pub(super) struct World {
    agent: UserAgent,
    now: Instant,
    /// By invite: whether it has ended.
    invites: BTreeMap<InviteId, bool>,
    dialogs: Vec<Dialog>,
    requests_sent: Vec<Vec<u8>>,
    received: Vec<Vec<u8>>,
    queries: Vec<QueryId>,
    connections: Vec<ConnectionId>,
    connecting: Vec<ConnectionId>,
    /// Queries and connections succeed at once.
    is_quick: bool,
    protocol: Protocol,
    number: u64,
    cseq: u32,
}

/// Ours and theirs.
pub(super) const PASSWORD: &str = "wonderland";

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn remote() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 7], 5060))
}

fn remember<T>(list: &mut Vec<T>, what: T) {
    if list.len() == REMEMBERED {
        list.remove(0);
    }
    list.push(what);
}

impl World {
    pub(super) fn new(choices: u8) -> Self {
        let now = Instant::now();
        // Bound to every address, which of them a peer reaches is told with the answers of the resolver.
        let everywhere = choices & 8 != 0;
        let listener = |id, protocol| Listener {
            id,
            protocol,
            bound: if everywhere {
                SocketAddr::from(([0, 0, 0, 0], 5060))
            } else {
                local(5060)
            },
            advertised: everywhere.then(|| (local(5060).ip().to_string(), 5060)),
            is_guess: everywhere,
        };
        // Messages of a WebSocket are whole.
        let stream = if choices & 16 == 0 {
            Protocol::Tcp
        } else {
            Protocol::Wss
        };
        let listeners = vec![listener(UDP, Protocol::Udp), listener(TCP, stream)];
        let mut config = Config::new(listeners, 7);
        config.limits.invites_max = 8;
        config.limits.connections_max = 6;
        config.inbound_credentials.push(InboundCredential {
            realm: "r".to_owned(),
            username: "alice".to_owned(),
            password: PASSWORD.to_owned(),
        });
        let mut world = Self {
            agent: UserAgent::new(now, config),
            now,
            invites: BTreeMap::new(),
            dialogs: Vec::new(),
            requests_sent: Vec::new(),
            received: Vec::new(),
            queries: Vec::new(),
            connections: Vec::new(),
            connecting: Vec::new(),
            is_quick: choices & 1 == 0,
            protocol: if choices & 2 == 0 {
                Protocol::Udp
            } else {
                stream
            },
            number: 0,
            cseq: 1,
        };
        if choices & 4 == 0 {
            world.open_call();
        }
        world
    }

    fn resolved(&mut self, query: QueryId, targets: Vec<Target>) {
        let now = self.now;
        for target in &targets {
            let (peer, local) = (target.address.ip(), local(0).ip());
            self.agent.handle(now, Input::Route { peer, local });
        }
        self.agent.handle(now, Input::Resolved { query, targets });
    }

    /// An answered call of the peer, as most runs begin.
    fn open_call(&mut self) {
        self.new_dialog();
        let dialog = self.dialogs.last().cloned().unwrap_or_default();
        let invite = peer::invite(&dialog, self.number, &mut Bytes::new(&[1, 0]));
        self.receive(&invite);
        let id = InviteId(1);
        let sdp = peer::SDP.as_bytes().to_vec();
        let _ = self.agent.answer(self.now, id, sdp);
        self.drain();
        let dialog = self.dialogs.last().cloned().unwrap_or_default();
        let ack = peer::request(&dialog, 1, self.number, &mut Bytes::new(&[0, 0, 0]));
        self.receive(&ack);
    }

    fn new_dialog(&mut self) {
        self.number += 1;
        let dialog = Dialog {
            call_id: format!("call-{}", self.number),
            peer_tag: "peer".to_owned(),
            our_tag: String::new(),
            target: "sip:alice@192.0.2.1".to_owned(),
        };
        remember(&mut self.dialogs, dialog);
    }

    fn receive(&mut self, data: &[u8]) {
        remember(&mut self.received, data.to_vec());
        let now = self.now;
        match self.connections.last() {
            Some(connection) if self.protocol != Protocol::Udp => {
                let connection = *connection;
                self.agent.handle(now, Input::Received { connection, data });
            }
            _ => self.agent.handle(
                now,
                Input::Datagram {
                    listener: UDP,
                    source: remote(),
                    data,
                },
            ),
        }
        self.drain();
    }

    pub(super) fn raw(&mut self, bytes: &mut Bytes<'_>) {
        let data = bytes.chunk().to_vec();
        self.receive(&data);
    }

    pub(super) fn repeat(&mut self, bytes: &mut Bytes<'_>) {
        if !self.received.is_empty() {
            let index = bytes.below(self.received.len());
            let data = self.received[index].clone();
            self.receive(&data);
        }
    }

    pub(super) fn respond(&mut self, bytes: &mut Bytes<'_>) {
        if self.requests_sent.is_empty() {
            return;
        }
        let back = bytes.below(self.requests_sent.len().min(4));
        let sent = self.requests_sent[self.requests_sent.len() - 1 - back].clone();
        if let Some(response) = peer::response(&sent, bytes) {
            self.receive(&response);
        }
    }

    pub(super) fn request(&mut self, bytes: &mut Bytes<'_>) {
        if self.dialogs.is_empty() {
            return;
        }
        let back = bytes.below(self.dialogs.len().min(4));
        let dialog = self.dialogs[self.dialogs.len() - 1 - back].clone();
        let step = bytes.below(4);
        match step {
            0 | 1 => {
                self.cseq += 1;
                self.number += 1;
            }
            2 => self.number += 1,
            _ => {}
        }
        let request = peer::request(&dialog, self.cseq, self.number, bytes);
        self.receive(&request);
    }

    pub(super) fn call_in(&mut self, bytes: &mut Bytes<'_>) {
        self.new_dialog();
        let dialog = self.dialogs.last().cloned().unwrap_or_default();
        let invite = peer::invite(&dialog, self.number, bytes);
        self.cseq = 1;
        self.receive(&invite);
    }

    pub(super) fn call_out(&mut self, bytes: &mut Bytes<'_>) {
        let flags = bytes.byte();
        let wish = OutgoingInvite {
            account: (flags & 1 != 0).then_some(ACCOUNT),
            device: None,
            to: if flags & 2 == 0 {
                "sip:bob@example.net".to_owned()
            } else {
                bytes.text()
            },
            from: (flags & 4 != 0).then(|| bytes.text()),
            number: (flags & 64 != 0).then(|| bytes.text()),
            offer: (flags & 8 == 0).then(|| peer::SDP.as_bytes().to_vec()),
            destination: (flags & 16 != 0).then(|| (self.protocol, remote())),
            headers: if flags & 32 == 0 {
                Vec::new()
            } else {
                vec![("X-Note".to_owned(), bytes.text())]
            },
        };
        if let Ok(invite) = self.agent.invite(self.now, wish) {
            assert!(self.invites.insert(invite, false).is_none(), "an id twice");
        }
        self.drain();
    }

    pub(super) fn command(&mut self, bytes: &mut Bytes<'_>) {
        let live: Vec<InviteId> = self.invites.keys().copied().collect();
        if live.is_empty() {
            return;
        }
        let invite = live[live.len() - 1 - bytes.below(live.len().min(8))];
        let (now, agent) = (self.now, &mut self.agent);
        let sdp = || peer::SDP.as_bytes().to_vec();
        let result = match bytes.below(12) {
            0 => agent.ring(now, invite, 180, None),
            1 => agent.ring(now, invite, 183, Some(sdp())),
            2 | 3 => agent.answer(now, invite, sdp()),
            4 => {
                let rejection = Rejection {
                    status: bytes.u16() % 800,
                    reason: bytes.flag().then(|| bytes.text()),
                    retry_after_s: bytes.flag().then_some(5),
                };
                agent.reject(now, invite, rejection)
            }
            5 => {
                agent.drop_invite(now, invite);
                return self.drain();
            }
            6 => agent.challenge(now, invite, "r"),
            7 => {
                let reason = bytes.flag().then(|| bytes.text());
                agent.hang_up(now, invite, reason)
            }
            8 => agent.reinvite(now, invite, sdp()),
            9 => agent.answer_offer(now, invite, sdp()),
            10 => agent.reject_offer(now, invite, 400 + u16::from(bytes.byte())),
            _ => {
                let body = bytes.chunk().to_vec();
                agent.send_info(now, invite, "application/dtmf-relay", body)
            }
        };
        assert!(
            result.is_err() || !self.invites[&invite],
            "a command on an ended invite was taken"
        );
        self.drain();
    }

    pub(super) fn stream(&mut self, bytes: &mut Bytes<'_>) {
        let now = self.now;
        match bytes.below(6) {
            0 => {
                let connection = self.agent.next_connection_id();
                let remote = SocketAddr::from(([198, 51, 100, 7], 40_000));
                self.agent.handle(
                    now,
                    Input::Accepted {
                        connection,
                        listener: TCP,
                        local: local(5060),
                        remote,
                    },
                );
                remember(&mut self.connections, connection);
            }
            1 => {
                if let Some(connection) = self.connections.pop() {
                    self.agent.handle(now, Input::Closed { connection });
                }
            }
            2 => {
                if let Some(connection) = self.connecting.pop() {
                    self.connected(connection);
                }
            }
            3 => {
                if let Some(connection) = self.connecting.pop() {
                    self.agent.handle(now, Input::ConnectFailed { connection });
                }
            }
            4 => {
                if let Some(query) = self.queries.pop() {
                    let targets = self.targets(bytes.below(4));
                    self.resolved(query, targets);
                }
            }
            _ => {
                if let Some(connection) = self.connections.last() {
                    let (connection, data) = (*connection, bytes.chunk());
                    self.agent.handle(now, Input::Received { connection, data });
                }
            }
        }
        self.drain();
    }

    fn targets(&self, count: usize) -> Vec<Target> {
        let target = Target {
            protocol: self.protocol,
            address: remote(),
            server_name: None,
        };
        vec![target; count]
    }

    fn connected(&mut self, connection: ConnectionId) {
        let input = Input::Connected {
            connection,
            local: local(41_000),
        };
        self.agent.handle(self.now, input);
        remember(&mut self.connections, connection);
    }

    pub(super) fn account(&mut self, bytes: &mut Bytes<'_>) {
        let now = self.now;
        match bytes.below(5) {
            0 | 1 => {
                let mut config = AccountConfig::new("sip:alice@example.com", "alice", PASSWORD);
                config.protocol = self.protocol;
                config.register = !bytes.flag();
                self.agent.set_account(now, ACCOUNT, config);
            }
            2 => self.agent.remove_account(now, ACCOUNT),
            3 => self.agent.set_draining(bytes.flag()),
            _ => self.agent.unregister_all(now),
        }
        self.drain();
    }

    pub(super) fn elapse(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        for _ in 0..TIMERS_MAX {
            let due = self.agent.poll_timeout();
            let Some(due) = due.filter(|due| *due <= until) else {
                self.now = until;
                return;
            };
            self.timeout(due);
        }
        panic!("a timer that never rests");
    }

    pub(super) fn next_timer(&mut self) {
        if let Some(due) = self.agent.poll_timeout() {
            self.timeout(due);
        }
    }

    fn timeout(&mut self, due: Instant) {
        self.now = self.now.max(due);
        self.agent.handle(self.now, Input::Timeout);
        let next = self.agent.poll_timeout();
        assert!(
            next.is_none_or(|next| next > self.now),
            "a deadline in the past"
        );
        self.drain();
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(output) = self.agent.poll_output() {
            count += 1;
            assert!(count <= OUTPUTS_MAX, "too many outputs: {output:?}");
            self.take(output);
        }
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::SendDatagram {
                destination, data, ..
            } => {
                assert!(destination.port() != 0 && data.len() <= 65_507);
                self.sent(&data);
            }
            Output::SendStream { connection, data } => {
                assert!(self.connections.contains(&connection) || self.connections.len() >= 6);
                self.sent(&data);
            }
            Output::Connect { connection, .. } if self.is_quick => self.connected(connection),
            Output::Connect { connection, .. } => self.connecting.push(connection),
            Output::Close { connection } => {
                self.connections.retain(|known| *known != connection);
                self.connecting.retain(|known| *known != connection);
            }
            Output::Resolve { query, .. } if self.is_quick => {
                let targets = self.targets(1);
                self.resolved(query, targets);
            }
            Output::Resolve { query, .. } => self.queries.push(query),
            Output::Event(event) => self.event(event),
        }
    }

    fn sent(&mut self, data: &[u8]) {
        let is_message = data.iter().any(|byte| byte.is_ascii_alphabetic());
        if is_message && data.starts_with(b"SIP/2.0 ") {
            assert!(
                sip::message::parse(data).is_ok(),
                "{}",
                String::from_utf8_lossy(data)
            );
        } else if is_message && data.len() > 60 {
            assert!(
                sip::message::parse(data).is_ok(),
                "{}",
                String::from_utf8_lossy(data)
            );
            remember(&mut self.requests_sent, data.to_vec());
        }
        if let Some(dialog) = peer::learn(data) {
            self.dialogs.retain(|known| known.call_id != dialog.call_id);
            remember(&mut self.dialogs, dialog);
        }
    }

    fn event(&mut self, event: Event) {
        let invite = match event {
            Event::IncomingInvite(incoming) => {
                assert!(
                    self.invites.insert(incoming.invite, false).is_none(),
                    "an id twice"
                );
                return;
            }
            Event::Ended { invite, .. } => {
                let before = self.invites.insert(invite, true);
                assert_eq!(before, Some(false), "{invite:?} ended twice or unknown");
                return;
            }
            Event::Trace(trace) => {
                let text = String::from_utf8_lossy(&trace.message).into_owned();
                assert!(!text.contains(PASSWORD), "a password in a trace");
                return;
            }
            Event::Progress { invite, .. }
            | Event::Accepted { invite, .. }
            | Event::Established { invite, .. }
            | Event::Offer { invite, .. }
            | Event::OfferRequested { invite }
            | Event::Answer { invite, .. }
            | Event::OfferFailed { invite, .. }
            | Event::Refreshed { invite }
            | Event::Info { invite, .. }
            | Event::ReferAnswered { invite, .. }
            | Event::ReferNotified { invite, .. }
            | Event::Refer { invite, .. } => invite,
            Event::Registration { .. }
            | Event::Bindings { .. }
            | Event::RegisterRefused { .. }
            | Event::Dropped { .. } => return,
        };
        let has_ended = self.invites.get(&invite).copied();
        assert_eq!(has_ended, Some(false), "{invite:?}: an event after its end");
    }

    pub(super) fn close(&mut self) {
        let live: Vec<InviteId> = self.invites.keys().copied().collect();
        for invite in live {
            let _ = self.agent.hang_up(self.now, invite, None);
            self.drain();
        }
        assert!(
            self.invites.values().all(|ended| *ended),
            "a hang-up did not end an invite"
        );
        self.agent.remove_account(self.now, ACCOUNT);
        self.drain();
        self.is_quick = false;
        for _ in 0..TIMERS_MAX {
            while let Some(query) = self.queries.pop() {
                let targets = Vec::new();
                self.agent
                    .handle(self.now, Input::Resolved { query, targets });
                self.drain();
            }
            while let Some(connection) = self.connecting.pop() {
                self.agent
                    .handle(self.now, Input::ConnectFailed { connection });
                self.drain();
            }
            let Some(due) = self.agent.poll_timeout() else {
                break;
            };
            self.timeout(due);
        }
        let sizes = self.agent.table_sizes();
        let left = sizes.invites
            + sizes.live_invites
            + sizes.dialogs
            + sizes.client_transactions
            + sizes.server_transactions
            + sizes.queries
            + sizes.deadlines;
        assert_eq!(left, 0, "{sizes:?}");
    }
}
