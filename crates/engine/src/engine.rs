//! The handle of a running engine.

mod error;
mod listeners;
mod pages;
mod patched;
mod people;
mod start;
mod streams;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent::Placement;
use agent::TransferManner;
use call::id::{CallId, TenantId};
use call::{Input, Requester, TransferTarget};
use catalog::Message;
use courier::Courier;
use prometheus_client::registry::Registry;
use store::Store;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::admission::Draining;
use crate::call_task::consult::transfer_target;
use crate::calls::placing::Dialling;
use crate::calls::{CallCommand, Calls};
use crate::chat::Chats;
use crate::config::{AgentConfig, Authorities, Config, LineConfig, SipConfig, WorkflowConfig};
use crate::dispatch::{Dispatcher, Gate};
use crate::limits::CHATS_PARK_WITHIN;
use crate::line_test::LineTest;
use crate::listening::{ListenError, Listener};
use crate::live::{LiveCall, LiveEvent};
use crate::log::say;
use crate::recorder::Recorder;
use crate::routes::{MayCall, RouteAnswer};
use crate::sip_driver::Command;
pub use error::{BeginStreamError, PlaceCallError, StartError};
pub use pages::{PageCall, PageError};
pub use streams::{StreamCall, StreamLine};

/// Addresses that are really bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// SIP over UDP.
    pub udp: Option<SocketAddr>,
    /// SIP over TCP.
    pub tcp: Option<SocketAddr>,
    /// SIP over TLS.
    pub tls: Option<SocketAddr>,
    /// SIP over WebSocket in clear.
    pub ws: Option<SocketAddr>,
    /// SIP over WebSocket in TLS.
    pub wss: Option<SocketAddr>,
}

/// A wait in whole seconds, rounded up: one that is announced as a second is not over at once.
#[must_use]
pub const fn wait_in_seconds(wait: Duration) -> u64 {
    wait.as_secs() + (wait.subsec_nanos() > 0) as u64
}

/// State of one line's registration.
#[derive(Clone, Debug)]
pub struct RegistrationStatus {
    /// Name of the line.
    pub line: String,
    /// Address of record.
    pub aor: String,
    /// State as the user agent knows it.
    pub state: sip::RegistrationState,
    /// Whether it registers at all.
    pub registers: bool,
    /// The state in words.
    pub message: Message,
}

/// An account changed its state.
#[derive(Clone, Debug)]
pub struct RegistrationChange {
    /// Name of the line.
    pub line: String,
    /// Whose.
    pub tenant: TenantId,
    /// The state now.
    pub state: sip::RegistrationState,
    /// The state in words.
    pub message: Message,
}

/// A call to place by a workflow: its agent speaks, its account is chosen as the workflow says.
#[derive(Clone, Debug)]
pub struct PlaceByWorkflow {
    /// Whose workflow.
    pub tenant: TenantId,
    /// Slug or id.
    pub workflow: String,
    /// `sip:` address or a number.
    pub to: String,
    /// How long it may ring, milliseconds; `None`: as long as the other side lets it.
    pub ring_ms: Option<u32>,
    /// What the agent is to know, and who follows the call.
    pub placement: Option<Placement>,
    /// The accounts that may call this number.
    pub may_call: MayCall,
}

/// A call that left by a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedByWorkflow {
    /// The call.
    pub call: CallId,
    /// The line that is tried first.
    pub line: String,
    /// Its number.
    pub from: String,
}

/// Whether new calls are welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent causes, each reported by itself"
)]
pub struct Readiness {
    /// True when a call would be taken now.
    pub ready: bool,
    /// Draining was asked for.
    pub draining: bool,
    /// The journal cannot be written.
    pub store_failing: bool,
    /// Recordings cannot be written.
    pub recording_failing: bool,
    /// Calls now.
    pub calls: usize,
}

/// A call to place.
#[derive(Clone, Debug, Default)]
pub struct PlaceCall {
    /// Line by which it goes out.
    pub line: String,
    /// `sip:` address, or a number that the line's domain is added to.
    pub to: String,
    /// How long it may ring, milliseconds; `None`: as long as the other side lets it.
    pub ring_ms: Option<u32>,
    /// What the agent is to know, and who follows the call. For agents of the directory.
    pub placement: Option<Placement>,
}

/// What a person or a program can ask of a running call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorCommand {
    /// End it.
    HangUp,
    /// Tell the model something.
    Instruct {
        /// The words.
        text: String,
    },
    /// Send keypad tones.
    SendDtmf {
        /// 1 to 32 of 0-9, *, #, A-D.
        digits: String,
    },
    /// Hide what the caller says and types, or stop hiding it.
    SecureInput {
        /// Hide.
        on: bool,
    },
    /// Hand the caller over.
    Transfer {
        /// Where to.
        target: TransferTarget,
    },
}

/// What a drain did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Calls that ended by themselves.
    pub finished: usize,
    /// Calls that were ended at the bound.
    pub cut: usize,
}

/// Bound on how long the last steps of a drain may take (unregistering, journal), each.
const DRAIN_LAST_WITHIN: Duration = Duration::from_secs(2);
/// What each registration adds to the time in which all are removed: they are removed one after another.
const UNREGISTER_EACH: Duration = Duration::from_millis(5);
/// Most of that.
const UNREGISTER_MAX: Duration = Duration::from_secs(10);
/// Part of the bound of a drain that is kept for goodbyes.
const GOODBYE_WITHIN: Duration = Duration::from_secs(8);
/// How long calls that are cut may take to be written.
const CUT_WITHIN: Duration = Duration::from_secs(2);

/// A running engine. Clones are handles of the same one.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    calls: Arc<Calls>,
    chats: Arc<Chats>,
    dispatcher: Arc<Mutex<Dispatcher>>,
    draining: Draining,
    driver: mpsc::Sender<Command>,
    addresses: Addresses,
    sip: SipConfig,
    tasks: Mutex<Option<Tasks>>,
}

/// What is stopped at the end.
struct Tasks {
    driver: JoinHandle<()>,
    acceptors: Vec<JoinHandle<()>>,
    pulse: JoinHandle<()>,
}

impl Tasks {
    fn new(driver: JoinHandle<()>, acceptors: Vec<JoinHandle<()>>, pulse: JoinHandle<()>) -> Self {
        Self {
            driver,
            acceptors,
            pulse,
        }
    }
}

impl Engine {
    /// Opens the sockets, recovers the calls of a dead process, and begins to register and to answer.
    ///
    /// # Errors
    /// [`StartError`] when something of the configuration cannot be done; nothing keeps running then.
    pub async fn start(config: Config, store: Store, courier: Courier) -> Result<Self, StartError> {
        let inner = start::start(&config, store, courier).await?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The addresses really bound (port 0 resolved).
    pub fn addresses(&self) -> Addresses {
        self.inner.addresses
    }

    /// The calls that run now, oldest first.
    pub fn calls(&self) -> Vec<LiveCall> {
        self.inner.calls.list()
    }

    /// Ends a call as an operator; false when no such call runs.
    pub fn hang_up(&self, call: &CallId) -> bool {
        self.inner
            .calls
            .tell(call, CallCommand::HangUp(Requester::Operator))
    }

    /// Begins to listen to a call: both sides are heard from now on, and nobody hears the listener.
    ///
    /// # Errors
    /// [`ListenError`] when there is nothing to hear, or when too many listen.
    pub async fn listen(&self, call: &CallId) -> Result<Listener, ListenError> {
        self.inner.calls.listen(call).await
    }

    /// The text chats.
    pub fn chats(&self) -> &Arc<Chats> {
        &self.inner.chats
    }

    /// The client of everything outside.
    pub(crate) fn courier(&self) -> Courier {
        self.inner.calls.courier.clone()
    }

    /// Told each time that the end of a call has written something to deliver.
    pub fn deliveries(&self) -> Arc<Notify> {
        Arc::clone(&self.inner.calls.deliveries)
    }

    /// Tells a call something as a person or a program; false when no such call runs, or it cannot take more now.
    pub fn command(&self, call: &CallId, command: OperatorCommand) -> bool {
        let command = match command {
            OperatorCommand::HangUp => CallCommand::HangUp(Requester::Operator),
            OperatorCommand::Instruct { text } => CallCommand::Input(Input::Instruct { text }),
            OperatorCommand::SendDtmf { digits } => CallCommand::Input(Input::SendDtmf { digits }),
            OperatorCommand::SecureInput { on } => CallCommand::Input(Input::SecureInput { on }),
            OperatorCommand::Transfer { target } => {
                CallCommand::Input(Input::TransferRequested { target })
            }
        };
        self.inner.calls.tell(call, command)
    }

    /// The named targets that calls of this agent may be transferred to are the agent's own affair; this takes an address that
    /// a person wrote.
    pub fn transfer(
        &self,
        call: &CallId,
        (name, address): (&str, &str),
        manner: TransferManner,
    ) -> bool {
        let target = transfer_target(name, address, manner);
        self.command(call, OperatorCommand::Transfer { target })
    }

    /// Tells the model something in the name of the house.
    pub fn instruct(&self, call: &CallId, text: &str) -> bool {
        let text = text.to_owned();
        self.command(call, OperatorCommand::Instruct { text })
    }

    /// Sends keypad tones to the caller's side.
    pub fn send_dtmf(&self, call: &CallId, digits: &str) -> bool {
        let digits = digits.to_owned();
        self.command(call, OperatorCommand::SendDtmf { digits })
    }

    /// Switches secure input on or off.
    pub fn secure_input(&self, call: &CallId, on: bool) -> bool {
        self.command(call, OperatorCommand::SecureInput { on })
    }

    /// Makes the task of a call panic, to show that no other call suffers. For tests only.
    #[doc(hidden)]
    pub fn panic_call(&self, call: &CallId) -> bool {
        self.inner.calls.tell(call, CallCommand::Panic)
    }

    /// Everything that happens in live calls from now on; a slow receiver loses the oldest events.
    pub fn watch(&self) -> broadcast::Receiver<LiveEvent> {
        self.inner.calls.watch()
    }

    /// States of the registrations of all lines that have an account; empty once the engine is over.
    pub async fn registrations(&self) -> Vec<RegistrationStatus> {
        let (answer, states) = oneshot::channel();
        if self
            .inner
            .driver
            .send(Command::Registrations { answer })
            .await
            .is_err()
        {
            return Vec::new();
        }
        let states = states.await.unwrap_or_default();
        let lines = self.inner.dispatcher().lines().to_vec();
        let status = |(name, state): (String, sip::RegistrationState)| {
            let line = lines.iter().find(|line| line.config.name == name)?;
            let account = line.config.account.as_ref()?;
            Some(RegistrationStatus {
                message: crate::registrations::log_message(&state, &name, Some(account)),
                line: name,
                aor: account.aor.clone(),
                registers: account.register,
                state,
            })
        };
        states.into_iter().filter_map(status).collect()
    }

    /// Puts the directory's lines and agents in the place of those before. Calls in progress keep theirs; accounts are added,
    /// changed and removed by what differs. Lines of the settings are not touched.
    /// Agents that come new begin behind these gates.
    pub(crate) async fn reload(
        &self,
        lines: &[LineConfig],
        agents: &[AgentConfig],
        workflows: &[WorkflowConfig],
        gates: &[(String, Gate)],
    ) {
        let changes = self
            .inner
            .dispatcher()
            .reload(lines, agents, workflows, gates);
        let command = Command::SetLines(Box::new(changes));
        let _ = self.inner.driver.send(command).await;
    }

    /// Opens or closes the lines of an agent.
    pub(crate) async fn set_gate(&self, agent: &str, gate: Gate, afresh: bool) {
        let accounts = self.inner.dispatcher().set_gate(agent, gate);
        if !accounts.is_empty() {
            let command = Command::SetAccounts { accounts, afresh };
            let _ = self.inner.driver.send(command).await;
        }
    }

    /// How far the lines of an agent are open.
    pub(crate) fn gate(&self, agent: &str) -> Gate {
        self.inner.dispatcher().gate(agent)
    }

    /// The accounts that lead to an agent by a workflow, by the agent.
    pub(crate) fn lines_by_workflow(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.inner.dispatcher().lines_by_workflow()
    }

    /// States of the registrations of these lines.
    pub(crate) async fn registrations_of(&self, lines: &[String]) -> Vec<sip::RegistrationState> {
        let (answer, states) = oneshot::channel();
        let lines = lines.to_vec();
        let command = Command::RegistrationsOf { lines, answer };
        if self.inner.driver.send(command).await.is_err() {
            return Vec::new();
        }
        states.await.unwrap_or_default()
    }

    /// The lines of the settings.
    pub(crate) fn fixed_lines(&self) -> Vec<LineConfig> {
        let dispatcher = self.inner.dispatcher();
        let fixed = dispatcher.fixed().iter();
        fixed.map(|line| line.config.clone()).collect()
    }

    /// Authorities in PEM that are trusted beside the system's.
    pub(crate) fn authorities(&self) -> &[u8] {
        &self.inner.sip.extra_ca_pem
    }

    pub(crate) fn dispatcher(&self) -> MutexGuard<'_, Dispatcher> {
        self.inner.dispatcher()
    }

    /// Asks the driver; `false` once it is over.
    pub(crate) async fn drive(&self, command: Command) -> bool {
        self.inner.driver.send(command).await.is_ok()
    }

    /// What all calls share.
    pub(crate) fn shared(&self) -> &Calls {
        &self.inner.calls
    }

    /// A test of an account with the name servers, the authorities and the product token of this engine.
    pub fn line_test(&self, account: sip::AccountConfig) -> LineTest {
        let sip = &self.inner.sip;
        LineTest {
            name_servers: sip.name_servers.clone(),
            extra_ca_pem: sip.extra_ca_pem.clone(),
            ..LineTest::new(account, &sip.user_agent)
        }
    }

    /// Who vouches for the names in the certificates of trunks, where a line names nobody itself.
    pub fn client_authorities(&self) -> Authorities {
        self.inner.sip.client_authorities.clone()
    }

    /// The line of a name or of a number.
    pub fn find_line(&self, key: &str) -> Option<StreamLine> {
        let dispatcher = self.inner.dispatcher();
        let line = dispatcher.find_line(key)?;
        Some(StreamLine {
            name: line.config.name.clone(),
            tenant: line.config.tenant.clone(),
            agent: line.config.agent.clone(),
            open: dispatcher.gate(&line.config.agent) != Gate::Closed,
        })
    }

    /// Whether the settings, not the directory, have a line of this name.
    pub fn is_of_settings(&self, name: &str) -> bool {
        self.inner.dispatcher().is_of_settings(name)
    }

    /// Places a call through a line; its agent speaks when it is answered.
    ///
    /// # Errors
    /// [`PlaceCallError`]; what happens after the INVITE left is an event and a record.
    pub async fn place_call(&self, request: PlaceCall) -> Result<CallId, PlaceCallError> {
        let admitted = self.inner.dispatcher().admit_outgoing(&request.line);
        let (line, admitted) = admitted.map_err(PlaceCallError::from)?;
        let backups = self.inner.dispatcher().backups(&line);
        let dialling = Dialling {
            shown: request.to.clone(),
            to: request.to,
            ring_ms: request.ring_ms,
            placement: request.placement,
            backups: backups.into(),
        };
        self.inner.calls.place(line, admitted, dialling).await
    }

    /// Places a call by a workflow: by the account of the four steps or of its distribution, and by that account's backups where
    /// nobody was reached. Accounts that may not call the number are left out.
    ///
    /// # Errors
    /// [`PlaceCallError`].
    pub async fn place_by_workflow(
        &self,
        request: PlaceByWorkflow,
    ) -> Result<PlacedByWorkflow, PlaceCallError> {
        let (line, admitted, backups) = {
            let mut dispatcher = self.inner.dispatcher();
            let may_call = &request.may_call;
            let attempts = dispatcher.attempts(&request.tenant, &request.workflow, may_call);
            let mut attempts: VecDeque<_> = attempts.ok_or(PlaceCallError::UnknownWorkflow)?.into();
            let first = attempts.pop_front().ok_or(PlaceCallError::NoAccount)?;
            let (line, admitted) = dispatcher
                .admit_line(&first)
                .map_err(PlaceCallError::from)?;
            (line, admitted, attempts)
        };
        let number = line.config.numbers.first();
        let (name, from) = (line.config.name.clone(), number.cloned());
        let dialling = Dialling {
            shown: request.to.clone(),
            to: request.to,
            ring_ms: request.ring_ms,
            placement: request.placement,
            backups,
        };
        let call = self.inner.calls.place(line, admitted, dialling).await?;
        Ok(PlacedByWorkflow {
            call,
            from: from.unwrap_or_else(|| name.clone()),
            line: name,
        })
    }

    /// Where a call to this number would go; `account` is the one by which it would come.
    pub fn explain_route(
        &self,
        tenant: &TenantId,
        number: &str,
        account: Option<&str>,
    ) -> RouteAnswer {
        self.inner.dispatcher().explain(tenant, number, account)
    }

    /// Each change of a registration from now on; a slow receiver loses the oldest.
    pub fn watch_registrations(&self) -> broadcast::Receiver<RegistrationChange> {
        self.inner.calls.registrations.subscribe()
    }

    /// The configuration of a line's account as it is used now.
    pub fn account_of(&self, line: &str) -> Option<sip::AccountConfig> {
        self.inner
            .dispatcher()
            .find_line(line)?
            .config
            .account
            .clone()
    }

    /// Whether a new call would be taken now.
    pub fn readiness(&self) -> Readiness {
        let calls = &self.inner.calls;
        let draining = self.inner.draining.is_set();
        let store_failing = calls.journal.is_failing();
        let recording_failing = calls.recorder.as_ref().is_some_and(Recorder::is_failing);
        let free = self.inner.dispatcher().process().is_free();
        Readiness {
            ready: !draining && !store_failing && !recording_failing && free,
            draining,
            store_failing,
            recording_failing,
            calls: calls.count(),
        }
    }

    /// Refuses new calls (503 with Retry-After), or takes them again.
    pub async fn set_draining(&self, draining: bool) {
        self.inner.draining.set(draining);
        let _ = self.inner.driver.send(Command::SetDraining(draining)).await;
    }

    /// Removes every registration now; calls in progress go on.
    pub async fn unregister(&self) {
        let _ = self.inner.driver.send(Command::UnregisterAll).await;
    }

    /// Refuses new calls, waits for those that run, removes the registrations, writes the journal out and closes the
    /// sockets. Calls that still run shortly before `bound` are asked to say goodbye; at `bound` they are cut. The engine is
    /// over afterwards.
    pub async fn drain(&self, bound: Duration) -> DrainReport {
        self.set_draining(true).await;
        self.inner
            .chats
            .park(CHATS_PARK_WITHIN.min(bound / 2))
            .await;
        let calls = &self.inner.calls;
        let before = calls.count();
        let goodbye = GOODBYE_WITHIN.min(bound / 2);
        let mut cut = 0;
        if tokio::time::timeout(bound - goodbye, calls.idle())
            .await
            .is_err()
        {
            calls.hang_up_all();
            if tokio::time::timeout(goodbye, calls.idle()).await.is_err() {
                cut = calls.cut_all();
                if tokio::time::timeout(CUT_WITHIN, calls.idle())
                    .await
                    .is_err()
                {
                    say(&Message::new("log_drain_incomplete").with("calls", calls.count()));
                }
            }
        }
        let _ = self.inner.driver.send(Command::UnregisterAll).await;
        let accounts = u32::try_from(self.registrations().await.len()).unwrap_or(u32::MAX);
        let within =
            DRAIN_LAST_WITHIN + UNREGISTER_EACH.saturating_mul(accounts).min(UNREGISTER_MAX);
        let unregistered = tokio::time::timeout(within, self.unregistered()).await;
        if unregistered.is_err() {
            say(&Message::new("log_unregister_incomplete"));
        }
        let _ = self.inner.driver.send(Command::Stop).await;
        let tasks = self
            .inner
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(tasks) = tasks {
            tasks.pulse.abort();
            for acceptor in &tasks.acceptors {
                acceptor.abort();
            }
            let _ = tokio::time::timeout(DRAIN_LAST_WITHIN, tasks.driver).await;
        }
        calls.journal.flush(DRAIN_LAST_WITHIN).await;
        if let Some(traces) = &calls.traces {
            traces.flush(DRAIN_LAST_WITHIN).await;
        }
        DrainReport {
            finished: before.saturating_sub(cut),
            cut,
        }
    }

    /// Ready once no account is registered any more.
    async fn unregistered(&self) {
        loop {
            let registered = self.registrations().await;
            if !registered
                .iter()
                .any(|status| matches!(status.state, sip::RegistrationState::Registered { .. }))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The metrics in OpenMetrics text.
    pub fn metrics_text(&self) -> String {
        let metrics = &self.inner.calls.metrics;
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let tasks = runtime.metrics().num_alive_tasks();
            metrics.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
        }
        metrics.text()
    }

    /// Counts a call that was asked for and not placed, by the rule that refused it.
    pub fn count_refused_call(&self, rule: &'static str) {
        crate::metrics::Metrics::count(&self.inner.calls.metrics.calls_refused, rule, 1);
    }

    /// Lets the caller add metrics of its own to the registry.
    pub fn with_registry<R>(&self, change: impl FnOnce(&mut Registry) -> R) -> R {
        self.inner.calls.metrics.with_registry(change)
    }
}

impl Inner {
    fn dispatcher(&self) -> MutexGuard<'_, Dispatcher> {
        self.dispatcher
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
