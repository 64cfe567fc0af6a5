//! The user agent: a thin demultiplexer over transport, transactions, invites and accounts.

mod accounts;
mod command;
mod devices;
mod incoming;
mod stream;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::account::Accounts;
use crate::config::{Config, InboundCredential};
use crate::dialog::DialogKey;
use crate::digest::DigestServer;
use crate::endpoint::Endpoint;
use crate::event::{Input, Output};
use crate::id::{ConnectionId, InviteId};
use crate::invite::{Context, Invite};
use crate::planted::{self, Planted};
use crate::registrar::Registrar;
use crate::transaction::timer::Timer;
use crate::transaction::{ClientEvent, Owner};

/// Methods that we take (RFC 3261 section 20.5).
pub(crate) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY";
/// Extensions that we speak.
pub(crate) const SUPPORTED: &str = "100rel, timer, replaces";
/// The same, where a provisional response must not carry an offer.
pub(crate) const SUPPORTED_NO_100REL: &str = "timer, replaces";

/// A SIP user agent for many accounts. See the crate's page for the order of calls.
#[derive(Debug)]
pub struct UserAgent {
    endpoint: Endpoint,
    accounts: Accounts,
    invites: BTreeMap<InviteId, Invite>,
    dialogs: BTreeMap<DialogKey, InviteId>,
    /// Invites that the shell has not seen end.
    live_invites: usize,
    last_invite: u64,
    digest: DigestServer,
    inbound_credentials: Vec<InboundCredential>,
    registrar: Registrar,
    device_realm: String,
    is_draining: bool,
}

impl UserAgent {
    #[must_use]
    pub fn new(now: Instant, config: Config) -> Self {
        let mut endpoint = Endpoint::new(&config);
        let key = endpoint.random.key();
        Self {
            endpoint,
            accounts: Accounts::default(),
            invites: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            live_invites: 0,
            last_invite: 0,
            digest: DigestServer::new(now, key),
            inbound_credentials: config.inbound_credentials,
            registrar: Registrar::default(),
            device_realm: config.device_realm,
            is_draining: false,
        }
    }

    /// Takes one thing that happened outside.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Datagram {
                listener,
                source,
                data,
            } => self.datagram(now, listener, source, data),
            Input::Accepted {
                connection,
                listener,
                local,
                remote,
            } => {
                self.accepted(now, connection, listener, (local, remote));
            }
            Input::Connected { connection, local } => self.connected(now, connection, local),
            Input::ConnectFailed { connection } | Input::Closed { connection } => {
                self.disconnected(now, connection);
            }
            Input::Received { connection, data } => self.stream_data(now, connection, data),
            Input::Resolved { query, targets } => self.endpoint.resolved(now, query, targets),
            Input::Route { peer, local } => self.endpoint.transport.learn_route(now, peer, local),
            Input::Timeout => {}
        }
        self.timers(now);
        self.settle(now);
    }

    /// Whether the way to a peer should be told by `Input::Route` before what it sent is handled or answered: an INVITE, a REGISTER, a
    /// target that was looked up. Only for sockets that are bound to every address of the machine.
    #[must_use]
    pub fn wants_route(&self, now: Instant, peer: IpAddr) -> bool {
        self.endpoint.transport.wants_route(now, peer)
    }

    /// The next thing to do; drain to `None` after every `handle` or command.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.endpoint.poll_output()
    }

    /// When to call `handle` with `Input::Timeout`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.deadlines.next()
    }

    /// An id for a stream that the shell has accepted.
    pub fn next_connection_id(&mut self) -> ConnectionId {
        self.endpoint.transport.next_connection_id()
    }

    /// What is in the tables: all zero when nothing goes on.
    #[must_use]
    pub fn table_sizes(&self) -> TableSizes {
        TableSizes {
            invites: self.invites.len(),
            live_invites: self.live_invites,
            dialogs: self.dialogs.len(),
            client_transactions: self.endpoint.clients.len(),
            server_transactions: self.endpoint.servers.len(),
            connections: self.endpoint.transport.connections_len(),
            queries: self.endpoint.queries.len(),
            deadlines: self.endpoint.deadlines.len(),
            bindings: self.registrar.bindings_len(),
            indices: self.endpoint.clients.index_len()
                + self.endpoint.servers.index_len()
                + self.endpoint.transport.index_len()
                + self.registrar.index_len(),
        }
    }

    fn timers(&mut self, now: Instant) {
        while let Some(timer) = self.endpoint.deadlines.pop_due(now) {
            match timer {
                Timer::Client(id, timer) => self.endpoint.client_timer(now, id, timer),
                Timer::Server(id, timer) => self.endpoint.server_timer(now, id, timer),
                Timer::Invite(id, timer) => {
                    self.with_invite(now, id, |invite, cx| invite.timer(cx, timer));
                }
                Timer::Account(id, timer) => self.account_timer(now, id, timer),
                Timer::Binding(id, timer) => self.binding_timer(now, id, timer),
                Timer::Connection(id) => self.connection_timer(now, id),
            }
            self.settle(now);
        }
    }

    /// Hands what client transactions reported to their owners, until nothing is left.
    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.endpoint.client_events.pop_front() {
            match event {
                ClientEvent::Response {
                    client,
                    owner,
                    response,
                    flow,
                    outgoing,
                } => match owner {
                    Owner::Invite(id) => self.with_invite(now, id, |invite, cx| {
                        invite.response_received(cx, client, &response, flow, outgoing);
                    }),
                    Owner::Registration(id) => {
                        self.register_response(now, id, (client, &response, flow), outgoing)
                    }
                    Owner::KeepAlive(id) => self.keep_alive_answered(now, id, response.status),
                    Owner::Binding(id) if response.status >= 200 => self.binding_answered(id, true),
                    Owner::Binding(_) => {}
                    Owner::Nobody => {}
                },
                ClientEvent::Failed {
                    client,
                    owner,
                    failure,
                } => match owner {
                    Owner::Invite(id) => {
                        self.with_invite(now, id, |invite, cx| {
                            invite.request_failed(cx, client, failure)
                        });
                    }
                    Owner::Registration(id) => self.register_failed(now, id, client, failure),
                    Owner::KeepAlive(id) => self.keep_alive_failed(now, id, failure),
                    Owner::Binding(id) => self.binding_answered(id, false),
                    Owner::Nobody => {}
                },
                ClientEvent::Gone { owner } => match owner {
                    Owner::Invite(id) => {
                        self.with_invite(now, id, |invite, _| invite.client_gone())
                    }
                    Owner::Registration(_)
                    | Owner::KeepAlive(_)
                    | Owner::Binding(_)
                    | Owner::Nobody => {}
                },
            }
        }
    }

    /// Works on one invite and forgets it when it is spent.
    fn with_invite<T: Default>(
        &mut self,
        now: Instant,
        id: InviteId,
        work: impl FnOnce(&mut Invite, &mut Context<'_>) -> T,
    ) -> T {
        let Some(invite) = self.invites.get_mut(&id) else {
            return T::default();
        };
        let was_live = !invite.is_ended();
        let mut cx = Context {
            now,
            endpoint: &mut self.endpoint,
            accounts: &mut self.accounts,
        };
        let result = work(invite, &mut cx);
        self.live_invites -= usize::from(was_live && invite.is_ended());
        if invite.is_spent() {
            if !planted::has(Planted::DialogStays) {
                self.dialogs.remove(&invite.dialog.key());
            }
            self.invites.remove(&id);
        }
        result
    }

    fn insert_invite(&mut self, invite: Invite) {
        self.live_invites += 1;
        self.dialogs.insert(invite.dialog.key(), invite.id);
        self.invites.insert(invite.id, invite);
    }

    const fn next_invite(&mut self) -> InviteId {
        self.last_invite += 1;
        InviteId(self.last_invite)
    }
}

/// How full the tables are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableSizes {
    pub invites: usize,
    pub live_invites: usize,
    pub dialogs: usize,
    pub client_transactions: usize,
    pub server_transactions: usize,
    pub connections: usize,
    pub queries: usize,
    pub deadlines: usize,
    /// Bindings of devices.
    pub bindings: usize,
    /// Entries by which the tables above are found: keys of transactions, users of streams, addresses with streams.
    pub indices: usize,
}
