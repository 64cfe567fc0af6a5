//! The one task that owns the SIP user agent and its sockets.
//!
//! It feeds datagrams, streams, resolver answers and commands into the user agent and carries out what it asks for. It never
//! waits for a call: events go into the call's bounded channel, and a full channel ends that call with `EndReason::Overload`.

mod coming;
mod devices;
mod events;
mod legs;
mod replacing;
mod routes;
mod streams;
mod tables;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use call::TransferEnd;
use sip::{
    AccountConfig, AccountId, DeviceId, EndCause, Input, InviteError, InviteId, ListenerId,
    OutgoingInvite, Output, Protocol, QueryId, RegistrationState, Rejection, Target, Trace,
    UserAgent,
};
use tokio::sync::{mpsc, oneshot};

use crate::admission::{SourceRates, is_of_scanner};
use crate::calls::Calls;
use crate::dispatch::{AccountChanges, Dispatcher, Line, allows};
use crate::hep::Hep;
use crate::limits::SIP_MESSAGE_BYTES_MAX;
use crate::metrics::Metrics;
use crate::random::Choice;
use crate::refusal::Refusals;
use crate::resolver::{Question, Resolver};
use crate::sip_socket::{
    Connections, Opening, StreamEvent, TlsEnds, UdpListener, reachable, receive,
};
use crate::sip_websocket::Admission;
pub(crate) use devices::DeviceCommand;
use events::Routes;
pub(crate) use replacing::Replacement;
use tables::{OwnSizes, Tables};

/// How old the figures of the tables are at most: counting them is not for the path of a message.
const COUNTED_EVERY: Duration = Duration::from_secs(1);
/// Addresses of resolved targets that count as known sources.
const KNOWN_TARGETS_MAX: usize = 4_096;

/// What calls and the engine's handle ask of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Ring {
        invite: InviteId,
        status: u16,
        sdp: Option<Vec<u8>>,
    },
    Answer {
        invite: InviteId,
        sdp: Vec<u8>,
    },
    Reject {
        invite: InviteId,
        rejection: Rejection,
    },
    HangUp {
        invite: InviteId,
        reason: Option<String>,
    },
    AnswerOffer {
        invite: InviteId,
        sdp: Vec<u8>,
    },
    RejectOffer {
        invite: InviteId,
        status: u16,
    },
    /// Who sent the INVITE is asked for a password.
    Challenge {
        invite: InviteId,
        realm: String,
    },
    /// A key by INFO.
    Key {
        invite: InviteId,
        body: Vec<u8>,
    },
    Refer {
        invite: InviteId,
        to: String,
        /// Sent even where the other side lists what it takes, and REFER is not there.
        even_if_unlisted: bool,
    },
    /// The peer of one INVITE is asked to take our place in the other.
    ReferToCall {
        invite: InviteId,
        other: InviteId,
    },
    Place {
        outgoing: Box<OutgoingInvite>,
        events: mpsc::Sender<LegEvent>,
        placed: oneshot::Sender<Result<InviteId, InviteError>>,
    },
    Registrations {
        answer: oneshot::Sender<Vec<(String, RegistrationState)>>,
    },
    /// States of the registrations of these lines only.
    RegistrationsOf {
        lines: Vec<String>,
        answer: oneshot::Sender<Vec<RegistrationState>>,
    },
    /// Accounts of lines that stay are to be registered, or are not any more. `afresh`: those that seem to be registered are
    /// registered anew.
    SetAccounts {
        accounts: Vec<(AccountId, AccountConfig)>,
        afresh: bool,
    },
    /// The lines of the directory changed.
    SetLines(Box<AccountChanges>),
    Devices(DeviceCommand),
    SetDraining(bool),
    UnregisterAll,
    /// Ends the driver once everything before it is done.
    Stop,
}

/// What the driver tells a call about its leg.
#[derive(Debug)]
pub(crate) enum LegEvent {
    Progress {
        status: u16,
    },
    Accepted {
        sdp: Option<Vec<u8>>,
    },
    Established {
        answer: Option<Vec<u8>>,
    },
    Offer {
        sdp: Vec<u8>,
    },
    OfferRequested,
    Answer {
        sdp: Vec<u8>,
    },
    OfferFailed {
        status: u16,
    },
    Info {
        content_type: String,
        body: Vec<u8>,
    },
    /// Somebody wants to take this leg over.
    Replaced(Box<Replacement>),
    /// The other side agreed to try the transfer.
    TransferAccepted,
    Trace(Box<Trace>),
    /// A transfer is over.
    TransferFinished {
        end: TransferEnd,
    },
    /// The user agent refused a command: the leg is not in the state that we thought.
    CommandRefused {
        command: &'static str,
    },
    /// Last.
    Ended {
        cause: EndCause,
    },
}

/// Everything that the driver is made of.
pub(crate) struct Parts {
    pub(crate) user_agent: UserAgent,
    pub(crate) udp: Vec<UdpListener>,
    pub(crate) listeners: Vec<(ListenerId, Protocol)>,
    pub(crate) tls: TlsEnds,
    pub(crate) web: Arc<Admission>,
    pub(crate) connections: Connections,
    pub(crate) resolver: Resolver,
    pub(crate) dispatcher: Arc<std::sync::Mutex<Dispatcher>>,
    pub(crate) rates: SourceRates,
    pub(crate) calls: Arc<Calls>,
    pub(crate) seed: u64,
    pub(crate) hep: Option<Hep>,
}

/// The driver.
pub(crate) struct SipDriver {
    user_agent: UserAgent,
    udp: Vec<UdpListener>,
    listeners: Vec<(ListenerId, Protocol)>,
    tls: TlsEnds,
    /// Who may connect by WebSocket.
    web: Arc<Admission>,
    connections: Connections,
    resolver: Resolver,
    dispatcher: Arc<std::sync::Mutex<Dispatcher>>,
    rates: SourceRates,
    calls: Arc<Calls>,
    routes: Routes,
    lines: Vec<Arc<Line>>,
    known_targets: HashSet<IpAddr>,
    random: Choice,
    tables: Tables,
    hep: Option<Hep>,
    /// When the tables are counted next: not with each message.
    count_at: Instant,
    answers: mpsc::Sender<(QueryId, Vec<Target>)>,
}

impl SipDriver {
    pub(crate) fn new(parts: Parts, answers: mpsc::Sender<(QueryId, Vec<Target>)>) -> Self {
        let lines = lock(&parts.dispatcher).lines().to_vec();
        parts.calls.ask_for_backups(&parts.dispatcher);
        let refusals = Refusals::new(Arc::clone(&parts.calls));
        let tables = Tables::new(&parts.calls.metrics);
        Self {
            user_agent: parts.user_agent,
            udp: parts.udp,
            listeners: parts.listeners,
            tls: parts.tls,
            web: parts.web,
            connections: parts.connections,
            resolver: parts.resolver,
            dispatcher: parts.dispatcher,
            rates: parts.rates,
            calls: parts.calls,
            hep: parts.hep,
            routes: Routes {
                legs: BTreeMap::new(),
                refusals,
                early: VecDeque::new(),
            },
            lines,
            known_targets: HashSet::new(),
            random: Choice::new(parts.seed),
            tables,
            count_at: Instant::now(),
            answers,
        }
    }

    /// Runs until [`Command::Stop`] or until every handle is gone.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut streams: mpsc::Receiver<StreamEvent>,
        mut answers: mpsc::Receiver<(QueryId, Vec<Target>)>,
    ) {
        self.register_accounts();
        let mut buffer = vec![0; SIP_MESSAGE_BYTES_MAX];
        let mut next = 0;
        let timer = tokio::time::sleep_until(Instant::now().into());
        tokio::pin!(timer);
        let mut armed = None;
        loop {
            self.drain();
            let due = [
                self.user_agent.poll_timeout(),
                self.routes.refusals.poll_timeout(),
            ];
            let at = due.into_iter().flatten().fold(self.count_at, Instant::min);
            if armed != Some(at) {
                timer.as_mut().reset(at.into());
                armed = Some(at);
            }
            tokio::select! {
                () = timer.as_mut() => {
                    armed = None;
                    self.timeout(Instant::now());
                }
                command = commands.recv() => match command {
                    Some(Command::Stop) | None => break,
                    Some(command) => self.command(command),
                },
                (listener, received) = receive(&self.udp, &mut next, &mut buffer) => {
                    // An ICMP error of an earlier datagram surfaces here; the transaction's timers deal with it.
                    if let Ok((count, source)) = received {
                        self.datagram(listener, source, buffer.get(..count).unwrap_or_default());
                    }
                }
                Some(event) = streams.recv() => self.stream(event),
                Some((query, targets)) = answers.recv() => self.resolved(query, targets),
            }
        }
        self.drain();
        self.routes.refusals.close();
    }

    fn count(&mut self, now: Instant) {
        self.count_at = now + COUNTED_EVERY;
        let own = OwnSizes {
            rated_sources: self.rates.len(),
            wrong_passwords: lock(&self.dispatcher).wrong_passwords(),
            refusals: self.routes.refusals.len(),
        };
        self.tables.set(self.user_agent.table_sizes(), &own);
    }

    fn timeout(&mut self, now: Instant) {
        if self.count_at <= now {
            self.count(now);
        }
        self.routes.refusals.handle_timeout(now);
        if self.user_agent.poll_timeout().is_some_and(|at| at <= now) {
            self.user_agent.handle(now, Input::Timeout);
        }
    }

    fn register_accounts(&mut self) {
        let now = Instant::now();
        self.measure_lines();
        let accounts = lock(&self.dispatcher).first_accounts();
        for (account, config) in accounts {
            self.user_agent.set_account(now, account, config);
        }
    }

    /// The lines that there are have figures, and no others.
    fn measure_lines(&self) {
        let names = self.lines.iter().map(|line| line.config.name.as_str());
        self.calls.metrics.lines.keep(names);
    }

    /// Accounts that stay as they are keep their registration; dialogs in progress are not touched.
    fn set_lines(&mut self, now: Instant, changes: AccountChanges) {
        for account in changes.removed {
            self.user_agent.remove_account(now, account);
            self.user_agent.remove_device(DeviceId(account.0));
        }
        for (account, config) in changes.set {
            self.user_agent.set_account(now, account, config);
        }
        for (device, config) in changes.devices {
            self.user_agent.set_device(device, config);
        }
        self.lines = changes.lines;
        self.connections.forget_recognised();
        self.measure_lines();
    }

    fn is_known(&self, source: IpAddr) -> bool {
        self.known_targets.contains(&source.to_canonical())
            || self.calls.devices.is_source(source)
            || self.lines.iter().any(|line| allows(line, source))
    }

    /// Why a message of this source goes no further; `None` lets it pass. Nobody whom a line or a registration knows is held back.
    fn holds_back(&mut self, now: Instant, source: IpAddr, data: &[u8]) -> Option<&'static str> {
        if self.is_known(source) {
            return None;
        }
        if lock(&self.dispatcher).is_banned(now, source) {
            return Some("banned");
        }
        if is_of_scanner(data) {
            lock(&self.dispatcher).note_wrong_password(now, source);
            return Some("scanner");
        }
        let admitted = self.rates.admits(now, source, begins_call(data));
        (!admitted).then_some("rate")
    }

    fn datagram(&mut self, listener: ListenerId, source: SocketAddr, data: &[u8]) {
        let now = Instant::now();
        if let Some(why) = self.holds_back(now, source.ip(), data) {
            Metrics::count(&self.calls.metrics.sip_dropped, why, 1);
            return;
        }
        self.tell_way_back(now, source.ip(), data);
        self.user_agent.handle(
            now,
            Input::Datagram {
                listener,
                source,
                data,
            },
        );
    }

    fn resolved(&mut self, query: QueryId, targets: Vec<Target>) {
        for target in &targets {
            if self.known_targets.len() < KNOWN_TARGETS_MAX {
                self.known_targets
                    .insert(target.address.ip().to_canonical());
            }
        }
        let now = Instant::now();
        self.tell_ways(now, &targets);
        self.user_agent
            .handle(now, Input::Resolved { query, targets });
    }

    fn command(&mut self, command: Command) {
        let now = Instant::now();
        let (invite, name, done) = match command {
            Command::Ring {
                invite,
                status,
                sdp,
            } => (
                invite,
                "ring",
                self.user_agent.ring(now, invite, status, sdp),
            ),
            Command::Answer { invite, sdp } => {
                (invite, "answer", self.user_agent.answer(now, invite, sdp))
            }
            Command::Reject { invite, rejection } => (
                invite,
                "reject",
                self.user_agent.reject(now, invite, rejection),
            ),
            Command::Challenge { invite, realm } => return self.challenge(now, invite, &realm),
            Command::HangUp { invite, reason } => (
                invite,
                "hang_up",
                self.user_agent.hang_up(now, invite, reason),
            ),
            Command::AnswerOffer { invite, sdp } => (
                invite,
                "answer_offer",
                self.user_agent.answer_offer(now, invite, sdp),
            ),
            Command::RejectOffer { invite, status } => (
                invite,
                "reject_offer",
                self.user_agent.reject_offer(now, invite, status),
            ),
            Command::Key { invite, body } => (invite, "info", self.key(now, invite, body)),
            Command::Refer {
                invite,
                to,
                even_if_unlisted,
            } => (
                invite,
                "refer",
                self.refer(now, invite, &to, even_if_unlisted),
            ),
            Command::ReferToCall { invite, other } => {
                return self.refer_to_call(now, invite, other);
            }
            Command::Place {
                outgoing,
                events,
                placed,
            } => return self.place(now, *outgoing, events, placed),
            Command::Registrations { answer } => return drop(answer.send(self.registrations())),
            Command::RegistrationsOf { lines, answer } => {
                return drop(answer.send(self.registrations_of(&lines)));
            }
            Command::SetAccounts { accounts, afresh } => {
                return self.set_accounts(now, accounts, afresh);
            }
            Command::SetLines(changes) => return self.set_lines(now, *changes),
            Command::Devices(command) => return self.device_command(now, command),
            Command::SetDraining(draining) => return self.user_agent.set_draining(draining),
            Command::UnregisterAll => return self.user_agent.unregister_all(now),
            Command::Stop => return,
        };
        if let Err(error) = done {
            tracing::debug!(code = "log_sip_command_refused", command = name, %error);
            self.tell(invite, LegEvent::CommandRefused { command: name });
        }
    }

    fn set_accounts(
        &mut self,
        now: Instant,
        accounts: Vec<(AccountId, AccountConfig)>,
        afresh: bool,
    ) {
        for (account, config) in accounts {
            if afresh {
                self.user_agent.remove_account(now, account);
            }
            self.user_agent.set_account(now, account, config);
        }
    }

    fn registrations_of(&self, names: &[String]) -> Vec<RegistrationState> {
        let lines = self.lines.iter();
        let of_names = lines.filter(|line| names.contains(&line.config.name));
        let state = |line: &Arc<Line>| {
            let known = self.user_agent.registration(line.account?);
            Some(known.unwrap_or(RegistrationState::Unregistered))
        };
        of_names.filter_map(state).collect()
    }

    fn registrations(&self) -> Vec<(String, RegistrationState)> {
        let state = |line: &Arc<Line>| {
            let account = line.account?;
            let state = self
                .user_agent
                .registration(account)
                .unwrap_or(RegistrationState::Unregistered);
            Some((line.config.name.clone(), state))
        };
        self.lines.iter().filter_map(state).collect()
    }

    fn drain(&mut self) {
        while let Some(output) = self.user_agent.poll_output() {
            match output {
                Output::SendDatagram {
                    listener,
                    destination,
                    data,
                } => self.send_datagram(listener, destination, &data),
                Output::SendStream { connection, data } => {
                    if !self.connections.send(connection, data) {
                        self.connections.abort(connection);
                        self.user_agent
                            .handle(Instant::now(), Input::Closed { connection });
                    }
                }
                Output::Connect {
                    connection,
                    protocol,
                    destination,
                    server_name,
                } => {
                    let connector = self.tls.for_outgoing(protocol);
                    let opening = Opening::Outgoing {
                        destination,
                        server_name,
                        connector,
                    };
                    self.connections.open(Instant::now(), connection, opening);
                }
                Output::Close { connection } => self.connections.close(connection),
                Output::Resolve {
                    query,
                    host,
                    port,
                    protocol,
                    secure,
                } => {
                    self.resolve(
                        query,
                        Question {
                            host,
                            port,
                            protocol,
                            secure,
                        },
                    );
                }
                Output::Event(event) => self.event(event),
            }
        }
    }

    fn send_datagram(&mut self, listener: ListenerId, destination: SocketAddr, data: &[u8]) {
        let Some(udp) = self.udp.iter().find(|udp| udp.id == listener) else {
            return;
        };
        // A full socket buffer loses the datagram, as the network may; the transaction sends it again.
        if let Err(error) = udp
            .socket
            .try_send_to(data, reachable(&udp.socket, destination))
        {
            tracing::debug!(code = "log_datagram_not_sent", %destination, %error);
        }
    }

    fn resolve(&mut self, query: QueryId, question: Question) {
        if self.answer_at_once(query, &question) {
            return;
        }
        let resolver = self.resolver.clone();
        let answers = self.answers.clone();
        let seed = self.random.next();
        tokio::spawn(async move {
            let targets = resolver.resolve(question, seed).await;
            let _ = answers.send((query, targets)).await;
        });
    }
}

/// Whether bytes look like an INVITE outside of a dialog: a first look, before anything is parsed.
fn begins_call(data: &[u8]) -> bool {
    let is_to = |line: &[u8]| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let name = name.trim_ascii();
        name.eq_ignore_ascii_case(b"To") || name.eq_ignore_ascii_case(b"t")
    };
    let has_tag = |line: &[u8]| {
        line.windows(5)
            .any(|part| part.eq_ignore_ascii_case(b";tag="))
    };
    data.starts_with(b"INVITE ")
        && !data
            .split(|byte| *byte == b'\n')
            .take_while(|line| !line.trim_ascii().is_empty())
            .any(|line| is_to(line) && has_tag(line))
}

fn lock(dispatcher: &std::sync::Mutex<Dispatcher>) -> std::sync::MutexGuard<'_, Dispatcher> {
    dispatcher
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::begins_call;

    #[test]
    fn an_invite_with_a_tag_of_ours_begins_no_call() {
        let invite = |to: &str| format!("INVITE sip:us SIP/2.0\r\n{to}\r\n\r\nTo: x;tag=y");
        assert!(begins_call(invite("To: <sip:us@x>").as_bytes()));
        assert!(begins_call(invite("From: <sip:us@x>;tag=1").as_bytes()));
        assert!(!begins_call(invite("To: <sip:us@x>;tag=1").as_bytes()));
        assert!(!begins_call(invite("t : <sip:us@x>;Tag=1").as_bytes()));
        assert!(!begins_call(b"OPTIONS sip:us SIP/2.0\r\n\r\n"));
        assert!(begins_call(b"INVITE "));
    }
}
