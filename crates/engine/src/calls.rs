//! The calls that run, and what they share: ports, journal, recorder, metrics, watchers.

mod coming;
mod news;
mod overhearing;
mod pages;
mod patched;
pub(crate) mod placing;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use call::{CallId, EndReason, Input, Requester, TenantId};
use catalog::Message;
use courier::Courier;
use courier::traces::TraceContext;
use futures_util::FutureExt;
use jiff::Timestamp;
use sip::IncomingInvite;
use store::{CallEnd, Direction, NewCall, Store, TenantScope};
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, oneshot};
use tokio_rustls::TlsConnector;
use tracing::Instrument;

use crate::call_task::{CallTask, Start};
use crate::config::{LimitsConfig, Packing, RtpConfig};
use crate::devices::Devices;
use crate::dispatch::{Admitted, Dispatcher, Line};
use crate::engine::{RegistrationChange, StreamCall};
use crate::greetings::Greetings;
use crate::journal::{CallJournal, Journal};
use crate::leg::carrier::{CarrierLeg, CarrierMedia};
use crate::leg::way::Servers;
use crate::leg::{Leg, SipLeg};
use crate::limits::{CALL_COMMANDS_MAX, PAGES_WAITING_MAX};
use crate::listening::{ListenError, Listener};
use crate::live::{LiveCall, LiveEvent, LiveEventKind, LiveState, Timings};
use crate::log::say;
use crate::metrics::{ActiveCall, CallLabels, Metrics};
use crate::parking::ParkingPlaces;
use crate::person::PersonCommand;
use crate::recorder::Recorder;
use crate::rtp_ports::RtpPorts;
use crate::sip_driver::{Command, LegEvent};
use crate::stir::{Asked, Judge};
use crate::stream_socket::StreamSocket;
use crate::switchboard::Switchboard;
use crate::traces::Traces;
pub(crate) use coming::Wish;
pub(crate) use placing::{Dialled, Placing};

/// What a call can be told from outside.
#[derive(Debug)]
pub(crate) enum CallCommand {
    HangUp(Requester),
    /// What a person or a program says to the session.
    Input(Input),
    /// Someone listens. Dropped without an answer by a call that has no conversation (yet).
    Listen(oneshot::Sender<Result<Listener, ListenError>>),
    /// A person of the house comes, moves or leaves. Dropped without an answer by a call that has no conversation (yet).
    Person(PersonCommand),
    /// Ends at once, without a goodbye.
    Cut,
    /// For tests of the isolation of calls.
    Panic,
}

struct Entry {
    call: LiveCall,
    started: Instant,
    commands: mpsc::Sender<CallCommand>,
    /// Counts the call with its line.
    _active: ActiveCall,
}

/// What all calls share.
pub(crate) struct Calls {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ports: RtpPorts,
    pub(crate) rtp: RtpConfig,
    /// Whom lines ask for the address of their audio.
    pub(crate) servers: Arc<Servers>,
    pub(crate) connector: TlsConnector,
    pub(crate) journal: Journal,
    pub(crate) recorder: Option<Recorder>,
    /// Callers are told of the recording before it begins.
    pub(crate) announces: bool,
    /// Sounds of first words.
    pub(crate) greetings: Option<Greetings>,
    pub(crate) driver: mpsc::Sender<Command>,
    pub(crate) retry_after_s: u32,
    packing: Packing,
    pub(crate) store: Store,
    /// Where calls that are over are told as traces; none: nowhere.
    pub(crate) traces: Option<Traces>,
    pub(crate) courier: Courier,
    /// Who judges callers' numbers.
    pub(crate) judge: Judge,
    /// Where callers wait for a person.
    pub(crate) parking: ParkingPlaces,
    /// Takes the calls in the place of agents.
    pub(crate) switchboard: Option<Switchboard>,
    /// Told when something has been written that must be delivered.
    pub(crate) deliveries: Arc<Notify>,
    /// Told each time that the state of a registration changed.
    pub(crate) registered: Notify,
    /// Where devices are registered.
    pub(crate) devices: Devices,
    /// Changes of registrations, for whoever watches.
    pub(crate) registrations: broadcast::Sender<RegistrationChange>,
    events: broadcast::Sender<LiveEvent>,
    /// Pages that may wait to be connected.
    pub(crate) pages: Arc<Semaphore>,
    live: Mutex<BTreeMap<CallId, Entry>>,
    idle: Notify,
    /// Who knows the lines.
    dispatcher: OnceLock<Weak<Mutex<Dispatcher>>>,
}

/// The parts of [`Calls`] that are made before it.
pub(crate) struct Shared {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ports: RtpPorts,
    pub(crate) rtp: RtpConfig,
    /// Whom lines ask for the address of their audio.
    pub(crate) servers: Arc<Servers>,
    pub(crate) connector: TlsConnector,
    pub(crate) journal: Journal,
    pub(crate) recorder: Option<Recorder>,
    pub(crate) announces: bool,
    pub(crate) greetings: Option<Greetings>,
    pub(crate) driver: mpsc::Sender<Command>,
    pub(crate) limits: LimitsConfig,
    pub(crate) store: Store,
    pub(crate) courier: Courier,
    pub(crate) judge: Judge,
    pub(crate) events: broadcast::Sender<LiveEvent>,
    pub(crate) switchboard: Option<Switchboard>,
    pub(crate) registrations: broadcast::Sender<RegistrationChange>,
}

/// Who calls whom, in clear: redact it before it goes into a log.
#[derive(Clone)]
pub(crate) struct Parties {
    pub(crate) from: String,
    pub(crate) to: String,
    /// The host that the call came from or goes to.
    pub(crate) peer: String,
}

/// A call as its task knows it from the start.
pub(crate) struct Identity {
    pub(crate) id: CallId,
    pub(crate) tenant: TenantId,
    /// The line's name.
    pub(crate) line: String,
    pub(crate) started: Instant,
    pub(crate) inbound: bool,
    pub(crate) parties: Parties,
    /// Wall clock of the begin.
    pub(crate) started_at: Timestamp,
    /// Its trace, where traces are told.
    pub(crate) trace: Option<TraceContext>,
}

impl Identity {
    /// The wall clock of a moment of the call as it was when the call began: a clock that is stepped changes no call's duration.
    pub(crate) fn wall(&self, now: Instant) -> Timestamp {
        let elapsed = now.saturating_duration_since(self.started);
        self.started_at
            .checked_add(elapsed)
            .unwrap_or(self.started_at)
    }
}

const fn direction_label(inbound: bool) -> &'static str {
    if inbound { "inbound" } else { "outbound" }
}

fn new_call_id() -> CallId {
    CallId::from(uuid::Uuid::now_v7().to_string())
}

impl Calls {
    pub(crate) fn new(shared: Shared) -> Self {
        let traces = shared.courier.traces().cloned();
        let traces =
            traces.map(|exporter| Traces::start(shared.store.clone(), exporter, &shared.metrics));
        Self {
            metrics: shared.metrics,
            ports: shared.ports,
            rtp: shared.rtp,
            servers: shared.servers,
            connector: shared.connector,
            journal: shared.journal,
            recorder: shared.recorder,
            announces: shared.announces,
            greetings: shared.greetings,
            driver: shared.driver,
            retry_after_s: shared.limits.retry_after_s,
            packing: shared.limits.packing,
            traces,
            store: shared.store,
            judge: shared.judge,
            courier: shared.courier,
            parking: ParkingPlaces::default(),
            switchboard: shared.switchboard,
            deliveries: Arc::new(Notify::new()),
            registered: Notify::new(),
            events: shared.events,
            pages: Arc::new(Semaphore::new(PAGES_WAITING_MAX)),
            devices: Devices::new(),
            registrations: shared.registrations,
            live: Mutex::new(BTreeMap::new()),
            idle: Notify::new(),
            dispatcher: OnceLock::new(),
        }
    }

    /// A panic of a call task cannot leave the table half changed: every change is one insertion, update or removal.
    fn live(&self) -> MutexGuard<'_, BTreeMap<CallId, Entry>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls that run now, oldest first.
    pub(crate) fn list(&self) -> Vec<LiveCall> {
        self.live()
            .values()
            .map(|entry| entry.call.clone())
            .collect()
    }

    /// Calls of a tenant that run now and began before this one, and how many of them are of an agent. Of two that come together
    /// for one place the earlier has it.
    pub(crate) fn before(&self, call: &CallId, tenant: &TenantId, agent: &str) -> (usize, usize) {
        before(&self.live(), call, tenant, agent)
    }

    /// Calls of each agent that run now.
    pub(crate) fn running_by_agent(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for entry in self.live().values() {
            *counts.entry(entry.call.agent.clone()).or_default() += 1;
        }
        counts
    }

    /// Asks the calls of an agent to say goodbye; the number of them.
    pub(crate) fn hang_up_agent(&self, agent: &str) -> usize {
        let live = self.live();
        let of_agent = live.values().filter(|entry| entry.call.agent == agent);
        let told = of_agent.map(|entry| {
            let command = CallCommand::HangUp(Requester::Shutdown);
            let _ = entry.commands.try_send(command);
        });
        told.count()
    }

    pub(crate) fn count(&self) -> usize {
        self.live().len()
    }

    /// Milliseconds of caller audio that one message to an engine holds at least, by the number of calls that go on.
    pub(crate) fn packed_ms(&self) -> u32 {
        self.packing.append_ms(self.count())
    }

    pub(crate) fn watch(&self) -> broadcast::Receiver<LiveEvent> {
        self.events.subscribe()
    }

    /// Tells a call something; false when there is no such call.
    pub(crate) fn tell(&self, call: &CallId, command: CallCommand) -> bool {
        let commands = self.live().get(call).map(|entry| entry.commands.clone());
        commands.is_some_and(|commands| commands.try_send(command).is_ok())
    }

    /// Asks all calls to end, as at a shutdown; the number of them.
    pub(crate) fn hang_up_all(&self) -> usize {
        self.tell_all(|| CallCommand::HangUp(Requester::Shutdown))
    }

    /// Ends all calls at once; the number of them.
    pub(crate) fn cut_all(&self) -> usize {
        self.tell_all(|| CallCommand::Cut)
    }

    fn tell_all(&self, command: impl Fn() -> CallCommand) -> usize {
        let all: Vec<_> = self
            .live()
            .values()
            .map(|entry| entry.commands.clone())
            .collect();
        for commands in &all {
            let _ = commands.try_send(command());
        }
        all.len()
    }

    /// Ready once no call runs.
    pub(crate) async fn idle(&self) {
        loop {
            let notified = self.idle.notified();
            if self.count() == 0 {
                return;
            }
            notified.await;
        }
    }

    fn register(&self, identity: &Identity, call: LiveCall) -> mpsc::Receiver<CallCommand> {
        let (commands, receiver) = mpsc::channel(CALL_COMMANDS_MAX);
        self.publish(identity, LiveEventKind::Started(Box::new(call.clone())));
        let lines = &self.metrics.lines;
        let entry = Entry {
            _active: lines.begun(&identity.line, direction_label(identity.inbound)),
            call,
            started: identity.started,
            commands,
        };
        self.live().insert(identity.id.clone(), entry);
        self.metrics.calls_active.inc();
        receiver
    }

    fn unregister(&self, id: &CallId) -> Option<Entry> {
        let entry = self.live().remove(id);
        if entry.is_some() {
            self.metrics.calls_active.dec();
        }
        self.idle.notify_waiters();
        entry
    }

    /// Counts and tells an end.
    pub(crate) fn ended(&self, identity: &Identity, reason: EndReason, timings: Timings) {
        let direction = direction_label(identity.inbound);
        let lines = &self.metrics.lines;
        lines.ended(&identity.line, direction, reason.code());
        self.metrics
            .calls_ended
            .get_or_create(&CallLabels {
                direction,
                reason: reason.code(),
            })
            .inc();
        self.publish(identity, LiveEventKind::Ended { reason, timings });
        let lasted = u64::try_from(identity.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        say(&Message::new("log_call_ended")
            .with("call", identity.id.as_str())
            .with("reason", reason.code())
            .with("duration", lasted));
    }

    /// Begins a call that came in: a record, a place in the list, a task.
    pub(crate) fn begin_incoming(
        self: &Arc<Self>,
        now: Instant,
        invite: &IncomingInvite,
        line: &Arc<Line>,
        admitted: Admitted,
        events: mpsc::Receiver<LegEvent>,
    ) {
        let to = if invite.to.user.is_empty() {
            &invite.to.uri
        } else {
            &invite.to.user
        };
        let shown = line.config.device.as_ref();
        let shown = shown.and_then(|device| device.caller_id.as_ref());
        let from = match shown {
            Some(number) => number,
            None if invite.from.user.is_empty() => &invite.from.uri,
            None => &invite.from.user,
        };
        let parties = Parties {
            from: from.clone(),
            to: to.clone(),
            peer: invite.source.ip().to_canonical().to_string(),
        };
        if self.switchboard.is_some() {
            self.begin_patched(now, invite, line, admitted, (parties, events));
            return;
        }
        let (identity, journal, commands) = self.begin(
            now,
            line,
            parties,
            Some(invite.call_id.clone()),
            Direction::Inbound,
        );
        let leg = Leg::Sip(SipLeg::new(invite.invite, self.driver.clone(), events));
        let start = Start::Incoming {
            offer: invite.offer.clone(),
            source: (invite.source, invite.protocol),
            asked: Asked::of(invite, &line.config),
        };
        let task = CallTask::prepare(
            self,
            Arc::clone(line),
            identity,
            journal.clone(),
            leg,
            commands,
        );
        self.spawn("sip", journal, admitted, task.run(start));
    }

    fn begin(
        &self,
        now: Instant,
        line: &Line,
        parties: Parties,
        sip_call_id: Option<String>,
        direction: Direction,
    ) -> (Identity, CallJournal, mpsc::Receiver<CallCommand>) {
        self.begin_of(new_call_id(), now, line, (parties, sip_call_id), direction)
    }

    fn begin_of(
        &self,
        id: CallId,
        now: Instant,
        line: &Line,
        (parties, sip_call_id): (Parties, Option<String>),
        direction: Direction,
    ) -> (Identity, CallJournal, mpsc::Receiver<CallCommand>) {
        let tenant = line.config.tenant.clone();
        let inbound = direction == Direction::Inbound;
        let started_at = Timestamp::now();
        let identity = Identity {
            id: id.clone(),
            tenant: tenant.clone(),
            line: line.config.name.clone(),
            started: now,
            inbound,
            parties: parties.clone(),
            started_at,
            trace: self.trace_of(&id),
        };
        let Parties { from, to, .. } = parties;
        let new = NewCall {
            id: id.clone(),
            direction,
            from: from.clone(),
            to: to.clone(),
            line: line.config.name.clone(),
            agent: line.config.agent.clone(),
            sip_call_id,
            started_at,
        };
        let begun = if inbound {
            "log_call_started"
        } else {
            "log_call_placed"
        };
        say(&Message::new(begun)
            .with("call", id.as_str())
            .with("line", line.config.name.as_str())
            .with("from", from.as_str())
            .with("to", to.as_str()));
        if let Some(route) = &line.route {
            say(&route.selected());
            if let Some(account) = &route.account {
                let message = Message::new("log_workflow_account");
                say(&message.with("account", account.as_str()));
            }
        }
        if self.switchboard.is_none() {
            say(&Message::new("log_agent_selected")
                .with("agent", line.config.agent.as_str())
                .with("line", line.config.name.as_str()));
        }
        let journal = self
            .journal
            .begin(now, TenantScope::new(tenant.clone()), new);
        if let Some(route) = &line.route {
            journal.note(now, route.selected());
        }
        let call = LiveCall {
            id,
            tenant,
            line: line.config.name.clone(),
            agent: line.config.agent.clone(),
            inbound,
            from,
            to,
            started_at,
            state: LiveState::Ringing,
            timings: Timings::default(),
            person: None,
            called: None,
            parked: None,
            quality: Vec::new(),
        };
        let commands = self.register(&identity, call);
        (identity, journal, commands)
    }

    /// Runs a call's task; its panic ends that call alone, with an honest record.
    fn spawn(
        self: &Arc<Self>,
        leg: &'static str,
        journal: CallJournal,
        admitted: Admitted,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        // The future around it holds what it awaits twice.
        let task = Box::pin(task);
        admitted.tell(&journal);
        let calls = Arc::clone(self);
        let id = journal.id().clone();
        let span = tracing::info_span!("call", call = %id, leg);
        let guarded = async move {
            let outcome = AssertUnwindSafe(task).catch_unwind().await;
            let entry = calls.unregister(&id);
            if let (Err(_), Some(entry)) = (outcome, entry) {
                calls.after_panic(&journal, &entry).await;
            }
            drop(admitted);
        };
        tokio::spawn(guarded.instrument(span));
    }

    /// The call's own state is gone with its task: its drops freed ports, sockets and dialog. The record is closed here.
    async fn after_panic(&self, journal: &CallJournal, entry: &Entry) {
        let call = &entry.call;
        let reason = EndReason::Internal;
        let identity = Identity {
            id: call.id.clone(),
            tenant: call.tenant.clone(),
            line: call.line.clone(),
            started: entry.started,
            inbound: call.inbound,
            parties: Parties {
                from: call.from.clone(),
                to: call.to.clone(),
                peer: String::new(),
            },
            started_at: call.started_at,
            trace: None,
        };
        self.ended(&identity, reason, call.timings);
        let row = reason.row();
        journal.event(
            Instant::now(),
            store::Event::Ended {
                reason: row.code.to_owned(),
                ended_by: row.ended_by.label().to_owned(),
            },
        );
        let answered_at = call.timings.answer_ms.and_then(|ms| {
            call.started_at
                .checked_add(jiff::SignedDuration::from_millis(ms.into()))
                .ok()
        });
        let end = CallEnd {
            ended_at: identity.wall(Instant::now()),
            answered_at,
            reason,
            ended_by: row.ended_by,
            verdict: Message::new(catalog::end_code(row.code)),
            statistics: None,
            recording_path: None,
        };
        journal.finish(end, None).await;
    }

    /// Begins a call whose audio a carrier brings.
    pub(crate) fn begin_stream(
        self: &Arc<Self>,
        line: Arc<Line>,
        admitted: Admitted,
        socket: StreamSocket,
        call: StreamCall,
    ) -> CallId {
        let now = Instant::now();
        let direction = if call.inbound {
            Direction::Inbound
        } else {
            Direction::Outbound
        };
        let parties = Parties {
            from: call.from,
            to: call.to,
            peer: String::new(),
        };
        let named = call.id.unwrap_or_else(new_call_id);
        let (identity, journal, commands) =
            self.begin_of(named, now, &line, (parties, None), direction);
        let id = identity.id.clone();
        let carrier = socket.stream.dialect().name();
        let note = Message::new("carrier_stream").with("carrier", carrier);
        journal.note(now, note.with("call", call.carrier_call.as_str()));
        let leg = Leg::Carrier(CarrierLeg::new(carrier, call.carrier_call, call.control));
        let media = Box::new(CarrierMedia::new(now, socket, call.bridge));
        let task = CallTask::prepare(self, line, identity, journal.clone(), leg, commands);
        let call = task.run(Start::Stream { media });
        self.spawn(carrier, journal, admitted, call);
        id
    }
}

fn before(
    live: &BTreeMap<CallId, Entry>,
    call: &CallId,
    tenant: &TenantId,
    agent: &str,
) -> (usize, usize) {
    let earlier = || live.range(..call).map(|(_, entry)| &entry.call);
    let of_tenant = || earlier().filter(|call| call.tenant == *tenant);
    let of_agent = of_tenant().filter(|call| call.agent == agent);
    (of_tenant().count(), of_agent.count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{LiveState, Timings};

    fn entry(id: &CallId, tenant: &str, agent: &str) -> Entry {
        let call = LiveCall {
            id: id.clone(),
            tenant: TenantId::from(tenant),
            line: "line".to_owned(),
            agent: agent.to_owned(),
            inbound: true,
            from: String::new(),
            to: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
            state: LiveState::Ringing,
            timings: Timings::default(),
            person: None,
            called: None,
            parked: None,
            quality: Vec::new(),
        };
        let lines = Arc::new(crate::metrics::LineMetrics::default());
        Entry {
            _active: lines.begun("line", "inbound"),
            call,
            started: Instant::now(),
            commands: mpsc::channel(1).0,
        }
    }

    #[test]
    fn of_calls_that_come_together_each_counts_those_before_it() {
        let ids: Vec<CallId> = (0..4).map(|_| new_call_id()).collect();
        let owners = [("a", "x"), ("b", "x"), ("a", "y"), ("a", "x")];
        let live = ids
            .iter()
            .zip(owners)
            .map(|(id, (tenant, agent))| (id.clone(), entry(id, tenant, agent)));
        let live = live.collect();
        let counts = ids
            .iter()
            .zip(owners)
            .map(|(id, (tenant, agent))| before(&live, id, &TenantId::from(tenant), agent));
        let counts: Vec<_> = counts.collect();
        assert_eq!(counts, [(0, 0), (0, 0), (1, 0), (2, 1)]);
    }
}
