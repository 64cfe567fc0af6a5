//! Server transactions: absorbing repetitions, keeping the last answer, finding the way back
//! (RFC 3261 sections 17.2 and 18.2.2, RFC 6026).
//!
//! A refusal is repeated by timer only if a provisional answer went before it: otherwise the client still repeats its
//! INVITE and each repetition gets one answer, so a forged source cannot make us send more than was received.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::config::Protocol;
use crate::endpoint::{Endpoint, Link};
use crate::event::{Output, Target};
use crate::id::ConnectionId;
use crate::message::{Method, Request, Response, Via, name};
use crate::planted::{self, Planted};
use crate::transaction::ServerId;
use crate::transaction::client::TRANSACTION_T1;
use crate::transaction::key::{MergeKey, ServerKey};
use crate::transaction::timer::{ServerTimer, Timer};
use crate::transport::{Flow, FlowUser, Origin, Reach};

/// Transactions that are begun by requests outside of a dialog may fill this share of the table, in quarters: calls in progress
/// go on when somebody floods us.
const OUTSIDE_QUARTERS: usize = 3;
/// A 100 goes out if nothing else did for this long (RFC 3261 section 17.2.1).
const TRYING_AFTER: Duration = Duration::from_millis(200);

/// Where a server transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerState {
    Trying,
    Proceeding,
    /// Final answer sent; INVITE: waits for the ACK.
    Completed,
    /// ACK of a refusal came; absorbs repetitions.
    Confirmed,
    /// 2xx to INVITE sent: repetitions are absorbed, the owner repeats the 2xx (RFC 6026).
    Accepted,
}

/// One server transaction.
#[derive(Debug)]
struct Server {
    key: ServerKey,
    merge: Option<MergeKey>,
    is_invite: bool,
    state: ServerState,
    origin: Origin,
    via: Via,
    /// The last answer, for repetitions.
    last: Option<Vec<u8>>,
    /// Waits for a new stream, as the one of the request is gone.
    waiting: Option<ConnectionId>,
    /// The 100 to send if the owner takes its time.
    trying: Option<Box<Response>>,
    link: Link,
    interval: Duration,
}

/// All server transactions.
#[derive(Debug, Default)]
pub(crate) struct ServerTable {
    table: BTreeMap<ServerId, Server>,
    by_key: HashMap<ServerKey, ServerId>,
    merges: HashMap<MergeKey, ServerId>,
    last: u64,
}

impl ServerTable {
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn index_len(&self) -> usize {
        self.by_key.len() + self.merges.len()
    }
}

/// What a request is to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    New(ServerId),
    /// Came by another way already (482). An INVITE has a transaction all the same: a copy of it that comes when the first one is
    /// forgotten must not be a new call.
    Merged(Option<ServerId>),
    Repetition(Link),
    /// The table is full, or as full as requests outside of a dialog may make it.
    Overload,
    /// Lacks what a key is made of.
    Unusable,
}

impl Endpoint {
    /// Looks a request up (not ACK) and opens a transaction for a new one.
    pub(crate) fn receive_request(
        &mut self,
        now: Instant,
        request: &Request,
        (origin, is_inside): (&Origin, bool),
    ) -> Arrival {
        let Some(via) = request.headers.via_top() else {
            return Arrival::Unusable;
        };
        let Some(key) = ServerKey::of(request, &request.method, &via) else {
            return Arrival::Unusable;
        };
        if let Some(id) = self.servers.by_key.get(&key).copied()
            && !planted::has(Planted::RepetitionIgnored)
        {
            return Arrival::Repetition(self.repeat_answer(id));
        }
        let most = self.limits.server_transactions_max;
        let most = if is_inside {
            most
        } else {
            most / 4 * OUTSIDE_QUARTERS
        };
        if self.servers.len() >= most {
            return Arrival::Overload;
        }
        let is_invite = request.method == Method::Invite;
        let mut merge = MergeKey::of_request(request);
        let is_merged = merge
            .take_if(|merge| self.servers.merges.contains_key(merge))
            .is_some();
        if is_merged && !is_invite {
            return Arrival::Merged(None);
        }
        self.servers.last += 1;
        let id = ServerId(self.servers.last);
        self.servers.by_key.insert(key.clone(), id);
        if let Some(merge) = &merge {
            self.servers.merges.insert(merge.clone(), id);
        }
        let trying = is_invite.then(|| Box::new(Response::to(request, 100)));
        if is_invite {
            self.deadlines
                .arm(Timer::Server(id, ServerTimer::Trying), now + TRYING_AFTER);
        }
        self.servers.table.insert(
            id,
            Server {
                key,
                merge,
                is_invite,
                state: ServerState::Trying,
                origin: *origin,
                via,
                last: None,
                waiting: None,
                trying,
                link: Link::default(),
                interval: self.timers.t1,
            },
        );
        if is_merged {
            Arrival::Merged(Some(id))
        } else {
            Arrival::New(id)
        }
    }

    /// Whether a request (not ACK) has a transaction; `None` where it lacks what a key is made of.
    pub(crate) fn has_transaction(&self, request: &Request) -> Option<bool> {
        let key = ServerKey::of_request(request, &request.method)?;
        Some(self.servers.by_key.contains_key(&key))
    }

    pub(crate) fn link_server(&mut self, id: ServerId, link: Link) {
        if let Some(server) = self.servers.table.get_mut(&id) {
            server.link = link;
        }
    }

    /// An ACK: `Some` where it belongs to a refusal of ours and goes no further.
    pub(crate) fn receive_ack(&mut self, now: Instant, request: &Request) -> Option<Link> {
        let key = ServerKey::of_request(request, &Method::Invite)?;
        let id = *self.servers.by_key.get(&key)?;
        let server = self.servers.table.get_mut(&id)?;
        match server.state {
            ServerState::Completed => {
                server.state = ServerState::Confirmed;
                let (link, reliable) = (server.link, server.origin.protocol.is_reliable());
                self.deadlines
                    .disarm(Timer::Server(id, ServerTimer::Retransmit));
                let linger = if reliable {
                    Duration::ZERO
                } else {
                    self.timers.t4
                };
                self.deadlines
                    .arm(Timer::Server(id, ServerTimer::Timeout), now + linger);
                Some(link)
            }
            ServerState::Confirmed => Some(server.link),
            ServerState::Trying | ServerState::Proceeding | ServerState::Accepted => None,
        }
    }

    /// The INVITE that a CANCEL means.
    pub(crate) fn cancelled_by(&self, request: &Request) -> Option<ServerId> {
        let key = ServerKey::of_request(request, &Method::Invite)?;
        self.servers.by_key.get(&key).copied()
    }

    /// Sends an answer, provisional or final.
    pub(crate) fn respond(&mut self, now: Instant, id: ServerId, response: &Response) {
        let Some(server) = self.servers.table.get_mut(&id) else {
            return;
        };
        let was_provisional = server.state == ServerState::Proceeding;
        match server.state {
            ServerState::Trying | ServerState::Proceeding => {}
            // The owner repeats its 2xx.
            ServerState::Accepted if response.is_success() => {
                server.last = Some(response.to_bytes());
                return self.send_answer(now, id, true);
            }
            ServerState::Completed | ServerState::Confirmed | ServerState::Accepted => return,
        }
        server.trying = None;
        server.last = Some(response.to_bytes());
        let reliable = server.origin.protocol.is_reliable();
        let end = now + self.timers.t1 * TRANSACTION_T1;
        let timeout = Timer::Server(id, ServerTimer::Timeout);
        server.state = match (
            response.is_provisional(),
            server.is_invite,
            response.is_success(),
        ) {
            (true, _, _) => ServerState::Proceeding,
            (false, true, true) => {
                self.deadlines.arm(timeout, end);
                ServerState::Accepted
            }
            (false, true, false) => {
                self.deadlines.arm(timeout, end);
                if was_provisional && !reliable {
                    self.deadlines.arm(
                        Timer::Server(id, ServerTimer::Retransmit),
                        now + self.timers.t1,
                    );
                }
                ServerState::Completed
            }
            (false, false, _) => {
                self.deadlines
                    .arm(timeout, if reliable { now } else { end });
                ServerState::Completed
            }
        };
        self.deadlines
            .disarm(Timer::Server(id, ServerTimer::Trying));
        self.send_answer(now, id, false);
    }

    /// Forgets a transaction without an answer; its repetitions stay unanswered until Timer J would end.
    pub(crate) fn silence(&mut self, now: Instant, id: ServerId) {
        let Some(server) = self.servers.table.get_mut(&id) else {
            return;
        };
        server.trying = None;
        server.last = None;
        server.state = ServerState::Confirmed;
        self.deadlines
            .disarm(Timer::Server(id, ServerTimer::Trying));
        self.deadlines.arm(
            Timer::Server(id, ServerTimer::Timeout),
            now + self.timers.t1 * TRANSACTION_T1,
        );
    }

    /// The client repeats its request: it gets the last answer again, if there is one.
    fn repeat_answer(&mut self, id: ServerId) -> Link {
        let Some(server) = self.servers.table.get(&id) else {
            return Link::default();
        };
        let link = server.link;
        let (flow, last) = (server.answer_flow(), server.last.clone());
        match server.state {
            ServerState::Proceeding | ServerState::Completed => {
                if let Some(last) = last {
                    self.send(flow, last, link, true);
                }
            }
            ServerState::Trying | ServerState::Confirmed | ServerState::Accepted => {}
        }
        link
    }

    fn send_answer(&mut self, now: Instant, id: ServerId, repeated: bool) {
        let Some(server) = self.servers.table.get(&id) else {
            return;
        };
        let (flow, link, last) = (server.answer_flow(), server.link, server.last.clone());
        let Some(last) = last else { return };
        if self.transport.is_open(flow) {
            self.send(flow, last, link, repeated);
            return;
        }
        self.reopen(now, id);
    }

    /// RFC 3261 section 18.2.2: the stream of the request is gone, so the answer goes to the Via's address.
    fn reopen(&mut self, now: Instant, id: ServerId) {
        let Some(server) = self.servers.table.get_mut(&id) else {
            return;
        };
        if server.waiting.is_some() {
            return;
        }
        let protocol = server.origin.protocol;
        let port = server.via.port.unwrap_or_else(|| protocol.default_port());
        let server_name = (protocol == Protocol::Tls).then(|| server.via.host.clone());
        let address = SocketAddr::new(server.origin.remote.ip(), port);
        let target = Target {
            protocol,
            address,
            server_name,
        };
        match self.transport.reach(now, &target, None, &self.limits) {
            Reach::Ready(flow) => {
                server.origin.flow = flow;
                let (link, last) = (server.link, server.last.clone());
                if let Some(last) = last {
                    self.send(flow, last, link, false);
                }
            }
            Reach::Pending(connection) => self.await_connection(id, connection),
            Reach::Opened(connection) => {
                self.output(Output::Connect {
                    connection,
                    protocol,
                    destination: address,
                    server_name: target.server_name,
                });
                self.await_connection(id, connection);
            }
            Reach::Impossible => {}
        }
    }

    fn await_connection(&mut self, id: ServerId, connection: ConnectionId) {
        self.transport
            .use_connection(connection, FlowUser::Server(id));
        if let Some(server) = self.servers.table.get_mut(&id) {
            server.waiting = Some(connection);
        }
    }

    pub(crate) fn server_connected(
        &mut self,
        now: Instant,
        id: ServerId,
        connection: ConnectionId,
    ) {
        let Some(server) = self.servers.table.get_mut(&id) else {
            return;
        };
        server.waiting = None;
        server.origin.flow = Flow::Stream { connection };
        self.transport
            .release_connection(connection, FlowUser::Server(id));
        self.send_answer(now, id, false);
    }

    pub(crate) fn server_disconnected(&mut self, id: ServerId) {
        if let Some(server) = self.servers.table.get_mut(&id) {
            server.waiting = None;
        }
    }

    pub(crate) fn server_timer(&mut self, now: Instant, id: ServerId, timer: ServerTimer) {
        let t2 = self.timers.t2;
        let Some(server) = self.servers.table.get_mut(&id) else {
            return;
        };
        match timer {
            ServerTimer::Trying => {
                if let Some(trying) = server.trying.take()
                    && server.state == ServerState::Trying
                {
                    self.respond(now, id, &trying);
                }
            }
            ServerTimer::Retransmit => {
                server.interval = (server.interval * 2).min(t2);
                let interval = server.interval;
                self.deadlines
                    .arm(Timer::Server(id, ServerTimer::Retransmit), now + interval);
                self.send_answer(now, id, true);
            }
            ServerTimer::Timeout if planted::has(Planted::ServerStays) => {}
            ServerTimer::Timeout => self.finish_server(id),
        }
    }

    fn finish_server(&mut self, id: ServerId) {
        let Some(server) = self.servers.table.remove(&id) else {
            return;
        };
        self.servers.by_key.remove(&server.key);
        if let Some(merge) = &server.merge {
            self.servers.merges.remove(merge);
        }
        if let Some(connection) = server.waiting {
            self.transport
                .release_connection(connection, FlowUser::Server(id));
        }
        for timer in [
            ServerTimer::Trying,
            ServerTimer::Retransmit,
            ServerTimer::Timeout,
        ] {
            self.deadlines.disarm(Timer::Server(id, timer));
        }
    }

    /// Whose a server transaction is.
    pub(crate) fn server_link(&self, id: ServerId) -> Option<Link> {
        self.servers.table.get(&id).map(|server| server.link)
    }

    /// An answer outside any transaction (malformed requests, overload): one answer, no memory.
    pub(crate) fn reply_stateless(&mut self, origin: &Origin, response: &Response) {
        let flow = match (origin.flow, response.headers.via_top()) {
            (Flow::Datagram { listener, .. }, Some(via)) => Flow::Datagram {
                listener,
                remote: answer_address(&via, origin.remote),
            },
            (flow, _) => flow,
        };
        self.send(flow, response.to_bytes(), Link::default(), false);
    }
}

impl Server {
    fn answer_flow(&self) -> Flow {
        match self.origin.flow {
            Flow::Datagram { listener, .. } => Flow::Datagram {
                listener,
                remote: answer_address(&self.via, self.origin.remote),
            },
            flow @ Flow::Stream { .. } => flow,
        }
    }
}

/// RFC 3261 section 18.2.2 and RFC 3581 section 4, for datagrams. `maddr` is not followed: it would let a request send
/// our answer to a third party.
fn answer_address(via: &Via, source: SocketAddr) -> SocketAddr {
    if via.has_rport() {
        return source;
    }
    SocketAddr::new(
        source.ip(),
        via.port.unwrap_or_else(|| Protocol::Udp.default_port()),
    )
}

/// Notes the source in the top Via of a request that just came in (RFC 3261 section 18.2.1, RFC 3581).
pub(crate) fn note_source(request: &mut Request, source: SocketAddr) {
    if let Some(mut via) = request.headers.via_top() {
        via.note_source(source);
        request.headers.replace_first(name::VIA, via);
    }
}
