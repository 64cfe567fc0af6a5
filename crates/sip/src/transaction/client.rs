//! Client transactions: finding the target, sending, retransmitting, matching responses (RFC 3261 section 17.1).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::endpoint::{Endpoint, Link};
use crate::event::{DropReason, Output, Target};
use crate::id::{ConnectionId, QueryId};
use crate::message::{Method, NameAddr, Response, Uri, Via, name};
use crate::planted::{self, Planted};
use crate::transaction::key::ClientKey;
use crate::transaction::timer::{ClientTimer, Timer};
use crate::transaction::{ClientEvent, ClientId, Failure, LocalContact, Outgoing, Owner};
use crate::transport::target::{Locate, Question, locate};
use crate::transport::{Flow, FlowUser, Origin, Reach};

/// Targets kept of one resolver answer.
const TARGETS_MAX: usize = 16;
/// With another target left, a silent one is given up after this many T1 (2 s by default).
const FAILOVER_T1: u32 = 4;
/// Timers B, F, H, J, L, M are 64*T1.
pub(crate) const TRANSACTION_T1: u32 = 64;
/// Timer D on unreliable transports.
const COMPLETED_UDP: Duration = Duration::from_secs(32);

/// Which rules a client transaction follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientKind {
    Invite,
    NonInvite,
    /// The ACK to a 2xx: no transaction in the RFC's sense, but it needs a target and is repeated on demand.
    Ack,
}

impl ClientKind {
    fn of(method: &Method) -> Self {
        if *method == Method::Invite {
            Self::Invite
        } else if *method == Method::Ack {
            Self::Ack
        } else {
            Self::NonInvite
        }
    }
}

/// Where a client transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientState {
    Resolving(QueryId),
    Connecting(ConnectionId),
    /// Sent, no response yet (Calling or Trying).
    Calling,
    Proceeding,
    /// A final response came; absorbs repetitions.
    Completed,
    /// INVITE: 2xx came, others may follow from forks (RFC 6026). ACK: sent.
    Accepted,
}

/// How the flow in use was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// `NextHop::flow`; the URI comes next.
    Flow,
    Targets,
}

/// Whether the owner gave the INVITE up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cancel {
    No,
    /// Waits for a provisional response (RFC 3261 section 9.1); holds the Reason.
    Wanted(Option<String>),
    Sent,
}

/// One client transaction.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) kind: ClientKind,
    pub(super) state: ClientState,
    pub(super) owner: Owner,
    pub(super) link: Link,
    /// Taken when the final response is reported.
    pub(super) outgoing: Option<Box<Outgoing>>,
    pub(super) key: Option<ClientKey>,
    pub(super) flow: Option<Flow>,
    /// What a retransmission sends: the request, later the ACK of a refused INVITE.
    pub(super) sent: Vec<u8>,
    plan: Plan,
    targets: VecDeque<Target>,
    target: Option<Target>,
    reconnected: bool,
    interval: Duration,
    pub(super) cancel: Cancel,
    /// ACKs of 2xx responses by remote tag.
    pub(super) acks: Vec<(String, ClientId)>,
}

/// All client transactions.
#[derive(Debug, Default)]
pub(crate) struct ClientTable {
    pub(super) table: BTreeMap<ClientId, Client>,
    pub(super) by_key: HashMap<ClientKey, ClientId>,
    last: u64,
}

impl ClientTable {
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn index_len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn insert(&mut self, client: Client) -> ClientId {
        self.last += 1;
        let id = ClientId(self.last);
        if let Some(key) = &client.key {
            self.by_key.insert(key.clone(), id);
        }
        self.table.insert(id, client);
        id
    }
}

impl Client {
    pub(super) fn new(kind: ClientKind, owner: Owner, link: Link) -> Self {
        Self {
            kind,
            state: ClientState::Calling,
            owner,
            link,
            outgoing: None,
            key: None,
            flow: None,
            sent: Vec::new(),
            plan: Plan::Targets,
            targets: VecDeque::new(),
            target: None,
            reconnected: false,
            interval: Duration::ZERO,
            cancel: Cancel::No,
            acks: Vec::new(),
        }
    }

    pub(super) const fn start_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }
}

impl Endpoint {
    /// Starts a request; `None` where the table is full.
    pub(crate) fn request(&mut self, now: Instant, mut outgoing: Outgoing) -> Option<ClientId> {
        if self.clients.len() >= self.limits.client_transactions_max {
            return None;
        }
        self.dress_request(&mut outgoing.request);
        let kind = ClientKind::of(&outgoing.request.method);
        let flow = outgoing
            .next_hop
            .flow
            .filter(|flow| self.transport.is_open(*flow));
        let mut client = Client::new(kind, outgoing.owner, outgoing.link);
        client.outgoing = Some(Box::new(outgoing));
        let id = self.clients.insert(client);
        self.deadlines.arm(
            Timer::Client(id, ClientTimer::Timeout),
            now + self.timers.t1 * TRANSACTION_T1,
        );
        match flow {
            Some(flow) => {
                self.set_plan(id, Plan::Flow);
                self.transmit(now, id, flow, false);
            }
            None => self.locate_client(now, id),
        }
        Some(id)
    }

    fn set_plan(&mut self, id: ClientId, plan: Plan) {
        if let Some(client) = self.clients.table.get_mut(&id) {
            client.plan = plan;
        }
    }

    /// Looks for targets by the URI of the next hop.
    fn locate_client(&mut self, now: Instant, id: ClientId) {
        let Some(client) = self.clients.table.get_mut(&id) else {
            return;
        };
        client.plan = Plan::Targets;
        let Some(outgoing) = &client.outgoing else {
            return;
        };
        let hop = &outgoing.next_hop;
        let located = match &hop.destination {
            Some(target) => Locate::At(target.clone()),
            None => locate(&hop.uri, hop.protocol),
        };
        match located {
            // The shell is asked even about an address where the way there is not known: with the answer it tells the way.
            Locate::At(target) if self.transport.lacks_way(now, &target) => {
                self.ask(id, Question::about(&target));
            }
            Locate::At(target) => {
                client.targets.push_back(target);
                self.next_target(now, id, Failure::Unreachable);
            }
            Locate::Ask(question) => self.ask(id, question),
            Locate::Nowhere => self.fail_client(id, Failure::Unreachable),
        }
    }

    fn ask(&mut self, id: ClientId, question: Question) {
        let query = self.next_query();
        self.queries.insert(query, id);
        self.set_client_state(id, ClientState::Resolving(query));
        self.output(Output::Resolve {
            query,
            host: question.host,
            port: question.port,
            protocol: question.protocol,
            secure: question.secure,
        });
    }

    pub(crate) fn resolved(&mut self, now: Instant, query: QueryId, targets: Vec<Target>) {
        let Some(id) = self.queries.remove(&query) else {
            return;
        };
        let Some(client) = self.clients.table.get_mut(&id) else {
            return;
        };
        client.targets = targets.into_iter().take(TARGETS_MAX).collect();
        self.next_target(now, id, Failure::Dns);
    }

    /// Goes to the next target, or fails for the given reason.
    fn next_target(&mut self, now: Instant, id: ClientId, why: Failure) {
        loop {
            let Some(client) = self.clients.table.get_mut(&id) else {
                return;
            };
            if client.cancel != Cancel::No {
                // Nobody waits for it any more: it goes nowhere else.
                return self.fail_client(id, why);
            }
            let Some(target) = client.targets.pop_front() else {
                return self.fail_client(id, why);
            };
            client.target = Some(target.clone());
            let listener = client
                .outgoing
                .as_ref()
                .and_then(|outgoing| outgoing.next_hop.listener);
            match self.transport.reach(now, &target, listener, &self.limits) {
                Reach::Ready(flow) => return self.transmit(now, id, flow, false),
                Reach::Pending(connection) => return self.wait_for(id, connection),
                Reach::Opened(connection) => {
                    self.output(Output::Connect {
                        connection,
                        protocol: target.protocol,
                        destination: target.address,
                        server_name: target.server_name,
                    });
                    return self.wait_for(id, connection);
                }
                Reach::Impossible => {}
            }
        }
    }

    fn wait_for(&mut self, id: ClientId, connection: ConnectionId) {
        self.transport
            .use_connection(connection, FlowUser::Client(id));
        self.set_client_state(id, ClientState::Connecting(connection));
    }

    fn set_client_state(&mut self, id: ClientId, state: ClientState) {
        if let Some(client) = self.clients.table.get_mut(&id) {
            client.state = state;
        }
    }

    /// Writes Via and Contact for the flow and sends. A repetition on a new connection keeps the branch.
    fn transmit(&mut self, now: Instant, id: ClientId, flow: Flow, keep_branch: bool) {
        let Some(sent_by) = self.transport.sent_by(flow) else {
            return self.fail_client(id, Failure::TransportLost);
        };
        let protocol = self.transport.protocol(flow);
        let reached = self
            .transport
            .addresses(flow)
            .map(|(_, remote)| remote.ip());
        let fresh = format!("z9hG4bK{}", self.token());
        self.transport.use_flow(flow, FlowUser::Client(id));
        let Some(client) = self.clients.table.get_mut(&id) else {
            return;
        };
        let Some(outgoing) = client.outgoing.as_mut() else {
            return;
        };
        let branch = match &client.key {
            Some(key) if keep_branch => key.branch.clone(),
            Some(_) | None => fresh,
        };
        outgoing.reached = reached;
        let request = &mut outgoing.request;
        request.headers.remove(name::VIA);
        let (host, port) = &sent_by;
        request.headers.insert_front(
            name::VIA,
            Via::new(protocol.via_token(), host, Some(*port), &branch),
        );
        if let Some(contact) = &outgoing.contact {
            request
                .headers
                .replace(name::CONTACT, contact.value(protocol, &sent_by));
        }
        client.sent = request.to_bytes();
        let key = ClientKey {
            branch,
            method: request.method.clone(),
        };
        if let Some(old) = client.key.replace(key.clone()) {
            self.clients.by_key.remove(&old);
        }
        client.flow = Some(flow);
        client.state = if client.kind == ClientKind::Ack {
            ClientState::Accepted
        } else {
            ClientState::Calling
        };
        let (link, is_ack, sent) = (
            client.link,
            client.kind == ClientKind::Ack,
            client.sent.clone(),
        );
        let is_last = client.targets.is_empty();
        client.interval = self.timers.t1;
        if !is_ack {
            self.clients.by_key.insert(key, id);
        }
        self.send(flow, sent, link, false);
        if !is_ack && !protocol.is_reliable() {
            self.deadlines.arm(
                Timer::Client(id, ClientTimer::Retransmit),
                now + self.timers.t1,
            );
        }
        let patience = if is_last { TRANSACTION_T1 } else { FAILOVER_T1 };
        self.deadlines.arm(
            Timer::Client(id, ClientTimer::Timeout),
            now + self.timers.t1 * patience,
        );
    }

    /// Reports failure and ends the transaction.
    pub(crate) fn fail_client(&mut self, id: ClientId, failure: Failure) {
        let Some(client) = self.clients.table.get(&id) else {
            return;
        };
        let owner = client.owner;
        self.client_events.push_back(ClientEvent::Failed {
            client: id,
            owner,
            failure,
        });
        self.finish_client(id);
    }

    pub(super) fn finish_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.table.remove(&id) else {
            return;
        };
        if let Some(key) = &client.key
            && self.clients.by_key.get(key) == Some(&id)
            && !planted::has(Planted::KeyStays)
        {
            self.clients.by_key.remove(key);
        }
        if let Some(Flow::Stream { connection }) = client.flow {
            self.transport
                .release_connection(connection, FlowUser::Client(id));
        }
        match client.state {
            ClientState::Resolving(query) => {
                self.queries.remove(&query);
            }
            ClientState::Connecting(connection) => {
                self.transport
                    .release_connection(connection, FlowUser::Client(id));
            }
            ClientState::Calling
            | ClientState::Proceeding
            | ClientState::Completed
            | ClientState::Accepted => {}
        }
        self.deadlines
            .disarm(Timer::Client(id, ClientTimer::Retransmit));
        self.deadlines
            .disarm(Timer::Client(id, ClientTimer::Timeout));
        self.client_events.push_back(ClientEvent::Gone {
            owner: client.owner,
        });
    }

    /// A stream that this transaction waits for is open.
    pub(crate) fn client_connected(
        &mut self,
        now: Instant,
        id: ClientId,
        connection: ConnectionId,
    ) {
        let Some(client) = self.clients.table.get(&id) else {
            return;
        };
        if client.state == ClientState::Connecting(connection) {
            let keep_branch = client.key.is_some() && client.reconnected;
            self.transmit(now, id, Flow::Stream { connection }, keep_branch);
        }
    }

    /// The stream that this transaction uses or waits for is gone.
    pub(crate) fn client_disconnected(&mut self, now: Instant, id: ClientId) {
        let Some(client) = self.clients.table.get_mut(&id) else {
            return;
        };
        match client.state {
            ClientState::Connecting(_) => self.next_target(now, id, Failure::Unreachable),
            ClientState::Calling if client.plan == Plan::Flow && client.cancel == Cancel::No => {
                self.locate_client(now, id)
            }
            ClientState::Calling => {
                if !client.reconnected
                    && let Some(target) = client.target.take()
                {
                    client.reconnected = true;
                    client.targets.push_front(target);
                }
                self.next_target(now, id, Failure::TransportLost);
            }
            // The response may come by a new stream (RFC 3261 section 18.2.2): bounded wait.
            ClientState::Proceeding => {
                self.deadlines.arm(
                    Timer::Client(id, ClientTimer::Timeout),
                    now + self.timers.t1 * TRANSACTION_T1,
                );
            }
            ClientState::Resolving(_) | ClientState::Completed | ClientState::Accepted => {}
        }
    }

    /// Timers A/E and B/F/D/K/M.
    pub(crate) fn client_timer(&mut self, now: Instant, id: ClientId, timer: ClientTimer) {
        match timer {
            ClientTimer::Retransmit => self.retransmit_request(now, id),
            ClientTimer::Timeout => self.client_timeout(now, id),
        }
    }

    fn retransmit_request(&mut self, now: Instant, id: ClientId) {
        let (t2, t1) = (self.timers.t2, self.timers.t1);
        let Some(client) = self.clients.table.get_mut(&id) else {
            return;
        };
        client.interval = match (client.kind, client.state) {
            _ if planted::has(Planted::NoBackoff) => t1,
            (ClientKind::Invite, ClientState::Calling) => client.interval * 2,
            (ClientKind::NonInvite, ClientState::Calling) => (client.interval * 2).min(t2.max(t1)),
            (ClientKind::NonInvite, ClientState::Proceeding) => t2,
            _ => return,
        };
        let (interval, flow, link, sent) = (
            client.interval,
            client.flow,
            client.link,
            client.sent.clone(),
        );
        if let Some(flow) = flow {
            self.send(flow, sent, link, true);
        }
        self.deadlines
            .arm(Timer::Client(id, ClientTimer::Retransmit), now + interval);
    }

    fn client_timeout(&mut self, now: Instant, id: ClientId) {
        let Some(client) = self.clients.table.get(&id) else {
            return;
        };
        match client.state {
            ClientState::Connecting(_) | ClientState::Calling => {
                self.next_target(now, id, Failure::Timeout)
            }
            ClientState::Resolving(_) => self.fail_client(id, Failure::Dns),
            ClientState::Proceeding => self.fail_client(id, Failure::Timeout),
            ClientState::Completed | ClientState::Accepted
                if planted::has(Planted::ClientStays) => {}
            ClientState::Completed | ClientState::Accepted => self.finish_client(id),
        }
    }

    /// A response came in: its transaction takes it, or it is dropped and counted.
    pub(crate) fn receive_response(
        &mut self,
        now: Instant,
        response: Response,
        origin: &Origin,
        data: &[u8],
    ) {
        let found = ClientKey::of_response(&response)
            .and_then(|key| self.clients.by_key.get(&key).copied());
        let single_via = response.headers.get_all(name::VIA).count() == 1;
        let Some(id) = found.filter(|_| single_via) else {
            self.trace_received(origin, data, Link::default(), false);
            return self.dropped(origin.remote, DropReason::StrayResponse);
        };
        let Some(client) = self.clients.table.get(&id) else {
            return;
        };
        let (kind, state, link) = (client.kind, client.state, client.link);
        let repeated = match state {
            ClientState::Completed => true,
            ClientState::Accepted => self.is_known_fork(id, &response),
            ClientState::Resolving(_)
            | ClientState::Connecting(_)
            | ClientState::Calling
            | ClientState::Proceeding => false,
        };
        self.trace_received(origin, data, link, repeated);
        match (kind, state) {
            (_, ClientState::Calling | ClientState::Proceeding) if response.is_provisional() => {
                self.provisional_response(now, id, response, origin);
            }
            (ClientKind::Invite, ClientState::Calling | ClientState::Proceeding) => {
                self.final_invite_response(now, id, response, origin);
            }
            (ClientKind::NonInvite, ClientState::Calling | ClientState::Proceeding) => {
                self.final_response(now, id, response, origin);
            }
            (ClientKind::Invite, ClientState::Completed) => self.repeat_ack(id, &response),
            (ClientKind::Invite, ClientState::Accepted) => {
                self.another_success(id, response, origin)
            }
            (ClientKind::NonInvite | ClientKind::Ack, _) | (ClientKind::Invite, _) => {}
        }
    }

    fn provisional_response(
        &mut self,
        now: Instant,
        id: ClientId,
        response: Response,
        origin: &Origin,
    ) {
        let Some(client) = self.clients.table.get_mut(&id) else {
            return;
        };
        client.state = ClientState::Proceeding;
        let timeout = Timer::Client(id, ClientTimer::Timeout);
        match client.kind {
            ClientKind::Invite => {
                self.deadlines
                    .disarm(Timer::Client(id, ClientTimer::Retransmit));
                match &client.cancel {
                    Cancel::No => self.deadlines.disarm(timeout),
                    Cancel::Wanted(reason) => {
                        let reason = reason.clone();
                        self.send_cancel(now, id, reason);
                    }
                    Cancel::Sent => {}
                }
            }
            ClientKind::NonInvite | ClientKind::Ack => {
                self.deadlines
                    .arm(timeout, now + self.timers.t1 * TRANSACTION_T1);
            }
        }
        self.report(id, response, origin.flow, None);
    }

    fn final_response(&mut self, now: Instant, id: ClientId, response: Response, origin: &Origin) {
        if self.fails_over(id, &response) {
            return self.next_target(now, id, Failure::Unreachable);
        }
        let Some(client) = self.clients.table.get_mut(&id) else {
            return;
        };
        client.state = ClientState::Completed;
        let outgoing = client.outgoing.take();
        self.deadlines
            .disarm(Timer::Client(id, ClientTimer::Retransmit));
        self.report(id, response, origin.flow, outgoing);
        if self.transport.protocol(origin.flow).is_reliable() {
            self.finish_client(id);
        } else {
            self.deadlines.arm(
                Timer::Client(id, ClientTimer::Timeout),
                now + self.timers.t4,
            );
        }
    }

    /// RFC 3263 section 4.3: a 503 sends the request to the next target.
    pub(super) fn fails_over(&self, id: ClientId, response: &Response) -> bool {
        response.status == 503
            && self
                .clients
                .table
                .get(&id)
                .is_some_and(|client| !client.targets.is_empty())
    }

    pub(super) fn try_next_target(&mut self, now: Instant, id: ClientId) {
        self.next_target(now, id, Failure::Unreachable);
    }

    pub(super) fn report(
        &mut self,
        id: ClientId,
        response: Response,
        flow: Flow,
        outgoing: Option<Box<Outgoing>>,
    ) {
        let Some(client) = self.clients.table.get(&id) else {
            return;
        };
        self.client_events.push_back(ClientEvent::Response {
            client: id,
            owner: client.owner,
            response: Box::new(response),
            flow,
            outgoing,
        });
    }

    pub(super) fn arm_completed(&mut self, now: Instant, id: ClientId, flow: Flow) {
        let linger = if self.transport.protocol(flow).is_reliable() {
            Duration::ZERO
        } else {
            COMPLETED_UDP
        };
        self.deadlines
            .disarm(Timer::Client(id, ClientTimer::Retransmit));
        self.deadlines
            .arm(Timer::Client(id, ClientTimer::Timeout), now + linger);
    }
}

impl LocalContact {
    /// The header value for a flow.
    pub(crate) fn value(
        &self,
        protocol: crate::config::Protocol,
        sent_by: &(String, u16),
    ) -> String {
        let (host, port) = self.address.as_ref().unwrap_or(sent_by);
        let mut uri = Uri::sip(Some(&self.user), host, Some(*port));
        if self.secure {
            uri.scheme = crate::message::Scheme::Sips;
        } else if protocol != crate::config::Protocol::Udp {
            uri.params.set("transport", Some(protocol.uri_token()));
        }
        format!("{}{}", NameAddr::new(uri), self.params)
    }
}
