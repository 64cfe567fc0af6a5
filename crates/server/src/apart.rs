//! Agents as processes of their own: each one is `allo serve` for that agent alone, and an `allo bridge` for each of its accounts.
//!
//! The engine's reconciler says what to do; here it is done. The processes live by themselves: one that this manager, or the one
//! before it, began is found again by what was written down of it (`books`), and its calls notice nothing of either's death.
//! An agent's processes are in the hands of one task at a time (`slot`).

mod books;
pub(crate) mod config;
mod health;
pub(crate) mod orders;
mod slot;
mod system;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use catalog::Message;
use courier::{Allow, Courier, CourierConfig};
use engine::agents::apart::{Apart, ApartAgent, ApartLine, Errand, What, Word};
use engine::agents::reconciler::{Cause, Health, Memory, Part, Report};
use engine::config::Secret;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::terminal::log;
pub(crate) use books::Place;
pub(crate) use config::ApartConfig;
use health::AppHealth;
use orders::Bounds;
use slot::{Slot, log_process};

/// An agent's process must answer within this time of its beginning; less than what the reconciler gives it.
const APP_WITHIN: Duration = Duration::from_secs(14);
/// Its bridges must be registered within this time; less than what the reconciler gives them.
const BRIDGES_WITHIN: Duration = Duration::from_secs(29);
/// Registrations are removed within this time; less than what the reconciler gives it.
const LOWER_WITHIN: Duration = Duration::from_secs(4);
/// Between two questions to a process that comes up or goes down.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How often calls and memory are read, and what ends is looked at.
const PULSE: Duration = Duration::from_secs(1);
/// A manager that was killed a moment ago may still be there for so long.
const LOCK_WITHIN: Duration = Duration::from_secs(5);
/// Largest log of an agent's processes, bytes; then the next one begins, and one is kept beside it.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Agents whose processes are found again.
const AGENTS_MAX: usize = 10_000;

/// One process, as the interface shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) place: Place,
    pub(crate) pid: u32,
    pub(crate) port: u16,
    /// Resident bytes.
    pub(crate) memory: u64,
    pub(crate) calls: u64,
    /// It ends when its calls have.
    pub(crate) ends: bool,
}

type Slots = BTreeMap<String, Arc<tokio::sync::Mutex<Slot>>>;

/// What all slots share.
pub(super) struct Inner {
    config: ApartConfig,
    program: PathBuf,
    admin_token: Secret,
    courier: Courier,
    slots: Mutex<Slots>,
    seen: Mutex<BTreeMap<String, Vec<Seen>>>,
    ports: Mutex<BTreeSet<u16>>,
}

/// The keeper of the processes. Clones lead to the same one.
#[derive(Clone)]
pub(crate) struct Processes {
    inner: Arc<Inner>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
    /// Held for as long as this manager lives: a second one of this data directory would begin every agent again.
    _lock: Arc<std::fs::File>,
}

/// 122 random bits.
fn random_text() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn failed(cause: &dyn std::fmt::Display) -> Message {
    Message::new("start_failed").with("cause", cause.to_string())
}

impl Processes {
    /// Finds the processes of the manager before this one, and takes errands from then on.
    ///
    /// # Errors
    /// The message says what stands in the way.
    pub(crate) async fn start(
        config: ApartConfig,
        admin_token: Secret,
    ) -> Result<(Self, Apart), Message> {
        let lock = lock(&config.place).await?;
        let mut allow =
            Allow::parse(&["127.0.0.0/8", "::1/128"]).map_err(|error| failed(&error))?;
        let app = SocketAddr::new(config.app_host, 0);
        allow
            .add_origin_of(&format!("http://{app}"))
            .map_err(|error| failed(&error))?;
        let courier = Courier::new(CourierConfig {
            allow,
            ..CourierConfig::default()
        })
        .map_err(|error| failed(&error))?;
        let inner = Arc::new(Inner {
            program: std::env::current_exe().map_err(|error| failed(&error))?,
            config,
            admin_token,
            courier,
            slots: Mutex::default(),
            seen: Mutex::default(),
            ports: Mutex::default(),
        });
        tokio::task::block_in_place(|| inner.find());
        let (way, words) = Apart::new();
        let tasks = vec![
            tokio::spawn(listen(Arc::clone(&inner), words)),
            tokio::spawn(pulse(Arc::clone(&inner))),
        ];
        let processes = Self {
            inner,
            tasks: Arc::new(Mutex::new(tasks)),
            _lock: Arc::new(lock),
        };
        Ok((processes, way))
    }

    /// The processes of an agent.
    pub(crate) fn of(&self, agent: &str) -> Vec<Seen> {
        self.inner.seen().get(agent).cloned().unwrap_or_default()
    }

    /// Those of each agent.
    pub(crate) fn all(&self) -> Vec<Vec<Seen>> {
        self.inner.seen().values().cloned().collect()
    }

    /// What a process may use, bytes; `None`: there is no bound.
    pub(crate) fn memory_max(&self) -> Option<u64> {
        self.inner.config.memory_max
    }

    /// Ends every process, or leaves them to the next manager where that is wanted. Calls may go on for `bound`.
    pub(crate) async fn stop(&self, bound: Duration) {
        for task in self
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            task.abort();
        }
        if self.inner.config.outlive {
            return;
        }
        let slots: Vec<_> = self.inner.slots().values().cloned().collect();
        let until = Instant::now() + bound + slot::END_WITHIN;
        let hurry_at = Instant::now() + bound;
        let mut hurried = false;
        let mut left = slots;
        for slot in &left {
            slot.lock().await.end_all(&self.inner);
        }
        while !left.is_empty() && Instant::now() < until {
            let hurries = !hurried && Instant::now() >= hurry_at;
            let mut remain = Vec::new();
            for slot in left {
                let mut held = slot.lock().await;
                if hurries {
                    held.hurry();
                }
                held.sweep(&self.inner);
                held.bury(&self.inner);
                let is_left = !held.processes.is_empty();
                drop(held);
                if is_left {
                    remain.push(slot);
                }
            }
            hurried |= hurries;
            left = remain;
            if !left.is_empty() {
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
        for slot in left {
            for process in &slot.lock().await.processes {
                process.hold.signal(rustix::process::Signal::KILL);
            }
        }
    }
}

/// One manager for each data directory.
async fn lock(place: &Path) -> Result<std::fs::File, Message> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(place);
    made.map_err(|error| failed(&error))?;
    let path = place.join("manager.lock");
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(|error| failed(&error))?;
    let until = Instant::now() + LOCK_WITHIN;
    while file.try_lock().is_err() {
        if Instant::now() > until {
            return Err(
                Message::new("apart_second_manager").with("path", path.display().to_string())
            );
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(file)
}

async fn listen(inner: Arc<Inner>, mut words: mpsc::Receiver<Word>) {
    while let Some(word) = words.recv().await {
        match word {
            Word::Errand(errand) => {
                let slot = inner.slot(&errand.agent.id);
                let inner = Arc::clone(&inner);
                tokio::spawn(async move { carry_out(&inner, &slot, errand).await });
            }
            Word::Keep(wanted) => {
                let slots: Vec<_> = inner
                    .slots()
                    .iter()
                    .filter(|(id, _)| !wanted.contains(id))
                    .map(|(_, slot)| Arc::clone(slot))
                    .collect();
                for slot in slots {
                    let inner = Arc::clone(&inner);
                    tokio::spawn(async move { slot.lock().await.end_all(&inner) });
                }
            }
            Word::Hurry(id) => {
                let slot = inner.slot(&id);
                tokio::spawn(async move { slot.lock().await.hurry() });
            }
        }
    }
}

async fn carry_out(inner: &Inner, slot: &tokio::sync::Mutex<Slot>, errand: Errand) {
    let Errand {
        agent,
        what,
        mut answer,
    } = errand;
    if what == What::Watch {
        tokio::select! {
            () = inner.watch(slot) => { let _ = answer.send(Report::Died); }
            () = answer.closed() => {}
        }
        return;
    }
    let mut slot = slot.lock().await;
    let report = match what {
        What::Raise(Part::Voice) => inner.raise_app(&mut slot, &agent).await,
        What::Raise(Part::Line) => inner.raise_bridges(&mut slot, &agent).await,
        What::Lower => inner.lower(&mut slot).await,
        What::Check => Report::Checked(inner.check(&mut slot, &agent).await),
        What::Watch => return,
    };
    slot.show(inner);
    drop(slot);
    let _ = answer.send(report);
}

/// Reads memory and calls, keeps the logs within their size, and sees that what is to end does.
async fn pulse(inner: Arc<Inner>) {
    let mut ticks = tokio::time::interval(PULSE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let slots: Vec<_> = inner.slots().values().cloned().collect();
        for slot in slots {
            // Whoever holds it reads for himself.
            let Ok(mut slot) = slot.try_lock() else {
                continue;
            };
            slot.sweep(&inner);
            inner.count_calls(&mut slot).await;
            slot.show(&inner);
            tokio::task::block_in_place(|| bound_logs(&slot.folder));
        }
    }
}

fn bound_logs(folder: &Path) {
    for name in ["app.log", "bridges.log"] {
        let path = folder.join(name);
        let is_large = std::fs::metadata(&path).is_ok_and(|file| file.len() > LOG_BYTES_MAX);
        // The processes hold it open: it is copied and made empty, not renamed.
        let kept = is_large && std::fs::copy(&path, path.with_extension("log.1")).is_ok();
        if kept && let Ok(file) = std::fs::OpenOptions::new().write(true).open(&path) {
            let _ = file.set_len(0);
        }
    }
}

impl Inner {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Seen>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ports(&self) -> MutexGuard<'_, BTreeSet<u16>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, id: &str) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(id) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(tokio::sync::Mutex::new(Slot::open(self, id)));
        slots.insert(id.to_owned(), Arc::clone(&slot));
        slot
    }

    /// The processes that the manager before this one left.
    fn find(&self) {
        let entries = std::fs::read_dir(&self.config.place)
            .into_iter()
            .flatten()
            .flatten();
        let mut count = 0_usize;
        for entry in entries.take(AGENTS_MAX) {
            if !entry.path().is_dir() {
                continue;
            }
            let id = entry.file_name().to_string_lossy().into_owned();
            let slot = Slot::open(self, &id);
            count += slot.processes.len();
            for process in &slot.processes {
                log_process("log_agent_process_found", &slot, process);
            }
            slot.note(self);
            self.slots()
                .insert(id, Arc::new(tokio::sync::Mutex::new(slot)));
        }
        if count > 0 {
            log(&Message::new("log_agent_processes_found").with("count", count));
        }
    }

    /// A port from `base` upward that nobody has, from now on ours; `before` where that is still free.
    fn take_port(&self, base: u16, before: Option<u16>) -> std::io::Result<u16> {
        let mut taken = self.ports();
        let is_free = |port: &u16| {
            let any = SocketAddr::from(([0, 0, 0, 0], *port));
            let own = SocketAddr::new(self.config.app_host, *port);
            let free = |address| {
                std::net::TcpListener::bind(address).is_ok()
                    && std::net::UdpSocket::bind(address).is_ok()
            };
            *port > 0 && !taken.contains(port) && free(&any) && free(&own)
        };
        let port = before
            .filter(|port| is_free(port))
            .or_else(|| (base..=u16::MAX).find(is_free));
        let none = || std::io::Error::other(format!("no port from {base} upward is free"));
        let port = port.ok_or_else(none)?;
        taken.insert(port);
        Ok(port)
    }

    fn give_back(&self, record: &books::Record) {
        let mut ports = self.ports();
        ports.remove(&record.port);
        ports.remove(&record.sip_port);
    }

    fn bounds(&self, port: u16) -> Bounds {
        let config = &self.config;
        Bounds {
            // What is watched is resident memory; this stops a process that grows between two looks.
            data_max: config
                .memory_max
                .map_or(0, |bytes| bytes.saturating_mul(4).saturating_add(1 << 30)),
            files_max: config.files_max,
            nice: config.nice,
            cpus: config.cpus,
            first_cpu: usize::from(port),
        }
    }

    fn bridge_command(
        &self,
        agent: &ApartAgent,
        line: &ApartLine,
        (port, sip_port, app): (u16, u16, u16),
        room: &Path,
    ) -> Command {
        let account = &line.account;
        let (user, domain) = account
            .aor
            .trim_start_matches("sip:")
            .split_once('@')
            .unwrap_or((account.aor.as_str(), "localhost"));
        let target = SocketAddr::new(self.config.app_host_for_bridges(), app);
        let mut command = Command::new(&self.program);
        command
            .arg("bridge")
            .args(["--sip-username", user, "--sip-domain", domain])
            .args(["--sip-transport", account.protocol.name()])
            .args(["--ws-target", &format!("ws://{target}/media-stream")])
            .args(["--api-port", &port.to_string()])
            .args(["--sip-port", &sip_port.to_string()])
            // The agent says goodbye in time by itself.
            .args(["--max-call-duration", "0"])
            .args(["--rtp-ports", &self.config.rtp_ports])
            .args(["--param", &format!("line={}", line.name)]);
        let calls_max = match line.calls_max {
            0 => 10_000,
            calls => calls.min(10_000),
        };
        command.args(["--max-concurrent-calls", &calls_max.to_string()]);
        if let Some(id) = &agent.other_id {
            command.args(["--param", &format!("restaurantId={id}")]);
        }
        if !account.register {
            command.arg("--no-register");
        }
        for network in &line.allow {
            command.args(["--allow", &network.to_string()]);
        }
        if let Some(address) = self.config.public_address {
            command.args(["--public-address", &address.to_string()]);
        }
        if let Some(server) = &self.config.stun_server {
            command.args(["--stun-server", server]);
        }
        if let Some(ca) = &self.config.ca {
            command.arg("--ca").arg(ca);
        }
        // What the manager's own environment and `.env` say of a bridge is not meant for this one.
        command
            .env_clear()
            .current_dir(room)
            .env("TMPDIR", room)
            .env(
                "ALLO_SERVER_LANGUAGE",
                match self.config.language {
                    catalog::Language::Fr => "fr",
                    catalog::Language::En => "en",
                },
            )
            .env("ALLO_SERVER_LOG_LEVEL", &self.config.log_level);
        command
    }

    /// Ready once something that serves is gone.
    async fn watch(&self, slot: &tokio::sync::Mutex<Slot>) {
        loop {
            let holds: Vec<_> = {
                let mut slot = slot.lock().await;
                let dead: Vec<_> = slot
                    .serving()
                    .filter(|process| !process.hold.lives())
                    .collect();
                dead.iter()
                    .for_each(|process| log_process("log_agent_process_died", &slot, process));
                if slot.bury(self) {
                    return;
                }
                slot.serving()
                    .map(|process| Arc::clone(&process.hold))
                    .collect()
            };
            if holds.is_empty() {
                return std::future::pending().await;
            }
            let gone = holds.iter().map(|hold| Box::pin(hold.gone()));
            futures_util::future::select_all(gone).await;
            // It may have been meant to go: then it serves no more.
        }
    }

    async fn raise_app(&self, slot: &mut Slot, agent: &ApartAgent) -> Report {
        let part = Part::Voice;
        self.acquit(slot, |place| *place == Place::App).await;
        slot.put_down_condemned(self, |place| *place == Place::App)
            .await;
        slot.bury(self);
        if slot.app().is_none() {
            if let Err(error) = slot.begin_app(self, agent) {
                return not_begun(slot, &error, part);
            }
            slot.revision = agent.revision;
        }
        let until = Instant::now() + APP_WITHIN;
        let mut found = AppHealth::default();
        while Instant::now() < until {
            if !slot.app().is_some_and(|app| app.hold.lives()) {
                slot.bury(self);
                return Report::NotUp(part, Cause::Died);
            }
            found = self.app_health(slot).await;
            if found.answers && found.engine.is_some() {
                break;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        match (found.answers, found.engine) {
            (true, Some(true)) => Report::Up(part),
            (true, Some(false)) => Report::NotUp(part, Cause::Engine),
            (true, None) | (false, _) => {
                condemn(slot, |place| *place == Place::App);
                Report::NotUp(part, Cause::Hung)
            }
        }
    }

    async fn raise_bridges(&self, slot: &mut Slot, agent: &ApartAgent) -> Report {
        let part = Part::Line;
        slot.bury(self);
        if let Err(error) = slot.align_bridges(self, agent).await {
            return not_begun(slot, &error, part);
        }
        let until = Instant::now() + BRIDGES_WITHIN;
        loop {
            if slot.bury(self) {
                return Report::NotUp(part, Cause::Died);
            }
            let found = self.bridges_health(slot, agent).await;
            if found
                .iter()
                .all(|bridge| bridge.answers && bridge.is_registered())
            {
                return Report::Up(part);
            }
            if found.iter().any(health::BridgeHealth::has_failed) {
                return Report::NotUp(part, Cause::Registration);
            }
            if Instant::now() >= until {
                for bridge in found.iter().filter(|bridge| !bridge.answers) {
                    condemn(slot, |place| *place == bridge.place);
                }
                return Report::NotUp(part, Cause::Registration);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    async fn lower(&self, slot: &mut Slot) -> Report {
        slot.end_all(self);
        self.await_unregistered(slot).await;
        Report::Lowered
    }

    /// Waits, within a bound, until no bridge that ends is registered any more.
    async fn await_unregistered(&self, slot: &mut Slot) {
        let until = Instant::now() + LOWER_WITHIN;
        while Instant::now() < until {
            slot.sweep(self);
            if !self.any_registered(slot).await {
                return;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    async fn check(&self, slot: &mut Slot, agent: &ApartAgent) -> Health {
        if slot.revision != agent.revision {
            slot.revision = agent.revision;
            if let Err(error) = slot.align_bridges(self, agent).await {
                tracing::warn!(agent = slot.id, %error, "the agent's bridges could not be made what they should be");
            }
            self.tell_of_change(slot).await;
        }
        let app = self.app_health(slot).await;
        let bridges = self.bridges_health(slot, agent).await;
        self.count_calls(slot).await;
        // Whoever watches tells of a death: it is not to be taken for one that hangs.
        if slot.serving().any(|process| !process.hold.lives()) {
            return Health {
                registered: None,
                engine: true,
                media: true,
                alive: true,
                memory: Memory::Within,
            };
        }
        let silent = bridges.iter().filter(|bridge| !bridge.answers);
        let mut silent: Vec<&Place> = silent.map(|bridge| &bridge.place).collect();
        if !app.answers {
            silent.push(&Place::App);
        }
        let mut is_over = false;
        for process in &mut slot.processes {
            let used = system::memory(process.hold.pid).unwrap_or_default();
            let over = self.config.memory_max.is_some_and(|most| used > most);
            is_over |= over && process.record.stage == books::Stage::Runs;
            // What came back by itself is well again.
            process.condemned = over || silent.contains(&&process.record.place);
        }
        let busy = slot.serving().any(|process| process.calls > 0);
        Health {
            registered: (!bridges.is_empty())
                .then(|| bridges.iter().all(health::BridgeHealth::is_well)),
            engine: app.engine.unwrap_or(true),
            media: app.media,
            alive: app.answers && bridges.iter().all(|bridge| bridge.answers),
            memory: if is_over {
                Memory::Over { busy }
            } else {
                Memory::Within
            },
        }
    }
}

fn condemn(slot: &mut Slot, of: impl Fn(&Place) -> bool) {
    for process in &mut slot.processes {
        process.condemned |= of(&process.record.place);
    }
}

fn not_begun(slot: &Slot, error: &std::io::Error, part: Part) -> Report {
    log(&Message::new("log_agent_process_not_begun")
        .with("agent", slot.id.as_str())
        .with("cause", error.to_string()));
    Report::NotUp(part, Cause::Died)
}
