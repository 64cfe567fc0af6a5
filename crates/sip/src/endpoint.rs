//! What transactions, invites and accounts share: the transport, the deadlines, the randomness and the way out.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use crate::config::{Config, Limits, SessionTimerConfig, TimerConfig};
use crate::deadline::Deadlines;
use crate::event::{DropReason, Event, Output, Trace};
use crate::id::{AccountId, InviteId, QueryId};
use crate::message::{Request, Response};
use crate::random::Random;
use crate::redact;
use crate::transaction::timer::{AccountTimer, InviteTimer, Timer};
use crate::transaction::{ClientEvent, ClientId, ClientTable, ServerTable};
use crate::transport::{Flow, Origin, Transport};

/// Length of a tag or branch: 80 bits.
const TOKEN_LEN: usize = 16;

/// Whose message it is: for the trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) invite: Option<InviteId>,
    pub(crate) account: Option<AccountId>,
}

/// The shared lower half of the user agent.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) product: String,
    pub(crate) timers: TimerConfig,
    pub(crate) session: SessionTimerConfig,
    pub(crate) limits: Limits,
    pub(crate) transport: Transport,
    pub(crate) deadlines: Deadlines<Timer>,
    pub(crate) random: Random,
    pub(crate) clients: ClientTable,
    pub(crate) servers: ServerTable,
    pub(crate) queries: BTreeMap<QueryId, ClientId>,
    pub(crate) client_events: VecDeque<ClientEvent>,
    outputs: VecDeque<Output>,
    last_query: u64,
}

impl Endpoint {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            product: config.user_agent.clone(),
            timers: config.timers,
            session: config.session,
            limits: config.limits,
            transport: Transport::new(config.listeners.clone()),
            deadlines: Deadlines::new(),
            random: Random::new(config.seed),
            clients: ClientTable::default(),
            servers: ServerTable::default(),
            queries: BTreeMap::new(),
            client_events: VecDeque::new(),
            outputs: VecDeque::new(),
            last_query: 0,
        }
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn next_query(&mut self) -> QueryId {
        self.last_query += 1;
        QueryId(self.last_query)
    }

    pub(crate) fn token(&mut self) -> String {
        self.random.token(TOKEN_LEN)
    }

    /// A token that is the same for the same texts.
    pub(crate) fn token_of(&self, texts: &[&str]) -> String {
        self.random.token_of(texts, TOKEN_LEN)
    }

    pub(crate) fn arm_invite(&mut self, invite: InviteId, timer: InviteTimer, at: Instant) {
        self.deadlines.arm(Timer::Invite(invite, timer), at);
    }

    pub(crate) fn disarm_invite(&mut self, invite: InviteId, timer: InviteTimer) {
        self.deadlines.disarm(Timer::Invite(invite, timer));
    }

    pub(crate) fn arm_account(&mut self, account: AccountId, timer: AccountTimer, at: Instant) {
        self.deadlines.arm(Timer::Account(account, timer), at);
    }

    pub(crate) fn disarm_account(&mut self, account: AccountId, timer: AccountTimer) {
        self.deadlines.disarm(Timer::Account(account, timer));
    }

    pub(crate) fn dropped(&mut self, source: SocketAddr, reason: DropReason) {
        self.event(Event::Dropped { source, reason });
    }

    /// Hands bytes to the transport; `false` where the flow is gone.
    pub(crate) fn send(
        &mut self,
        flow: Flow,
        data: Vec<u8>,
        link: Link,
        retransmission: bool,
    ) -> bool {
        let Some((local, remote)) = self.transport.addresses(flow) else {
            return false;
        };
        self.trace(true, flow, (local, remote), &data, link, retransmission);
        self.output(match flow {
            Flow::Datagram { listener, remote } => Output::SendDatagram {
                listener,
                destination: remote,
                data,
            },
            Flow::Stream { connection } => Output::SendStream { connection, data },
        });
        true
    }

    /// Records a message that came in.
    pub(crate) fn trace_received(
        &mut self,
        origin: &Origin,
        data: &[u8],
        link: Link,
        retransmission: bool,
    ) {
        self.trace(
            false,
            origin.flow,
            (origin.local, origin.remote),
            data,
            link,
            retransmission,
        );
    }

    fn trace(
        &mut self,
        sent: bool,
        flow: Flow,
        (local, remote): (SocketAddr, SocketAddr),
        data: &[u8],
        link: Link,
        retransmission: bool,
    ) {
        self.event(Event::Trace(Box::new(Trace {
            invite: link.invite,
            account: link.account,
            sent,
            protocol: self.transport.protocol(flow),
            local,
            remote,
            retransmission,
            message: redact::redact(data),
        })));
    }

    /// Headers that every request of ours carries.
    pub(crate) fn dress_request(&self, request: &mut Request) {
        use crate::message::name;
        if !request.headers.has(name::MAX_FORWARDS) {
            request.headers.push(name::MAX_FORWARDS, 70);
        }
        if !request.headers.has(name::USER_AGENT) {
            request.headers.push(name::USER_AGENT, &self.product);
        }
    }

    /// What every 200 to INVITE, UPDATE and OPTIONS says of us.
    pub(crate) fn advertise(response: &mut Response) {
        use crate::message::name;
        response.headers.push(name::ALLOW, crate::user_agent::ALLOW);
        response
            .headers
            .push(name::SUPPORTED, crate::user_agent::SUPPORTED);
    }
}
