//! The processes of one agent: begun, taken over, ended. Who holds the slot does one thing at a time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::Message;
use engine::agents::apart::{ApartAgent, ApartLine};
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::books::{Books, Place, Record, Stage};
use super::orders::{self, App, BridgeOrders, Orders, Role};
use super::system::{self, Hold};
use super::{Inner, Seen};
use crate::terminal::log;

/// How long a process that hangs or uses too much has to end by itself.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two words to it.
const WORD_EVERY: Duration = Duration::from_millis(500);
/// Beyond the time that calls are given, a process has so long to end.
pub(super) const END_WITHIN: Duration = Duration::from_secs(10);
/// Bridges of one agent.
pub(super) const BRIDGES_MAX: usize = 16;

/// A process that is there.
pub(super) struct Process {
    pub(super) record: Record,
    pub(super) hold: Arc<Hold>,
    /// It hangs or uses too much: it is replaced when its part is brought up next.
    pub(super) condemned: bool,
    /// Calls through it, as it said last.
    pub(super) calls: u64,
    /// When it is killed, where it is to end.
    end_by: Option<Instant>,
    /// It was told to end.
    told: bool,
}

/// The processes of one agent.
pub(super) struct Slot {
    pub(super) id: String,
    pub(super) folder: PathBuf,
    token: String,
    /// Revision of the agent that its process was told of.
    pub(super) revision: u64,
    /// The ports that each process had last: its bridges look for an agent where it was, and a registrar takes a bridge on its
    /// port for the one before.
    pub(super) last: BTreeMap<Place, (u16, u16)>,
    pub(super) processes: Vec<Process>,
}

impl Slot {
    /// Takes over what is written in its folder, as far as it lives.
    pub(super) fn open(inner: &Inner, id: &str) -> Self {
        let folder = super::books::folder(&inner.config.place, id);
        let mut books = Books::read(&folder);
        let known = books.records.iter();
        let last = known
            .map(|record| (record.place.clone(), (record.port, record.sip_port)))
            .collect();
        books.reconcile();
        let end_by = |stage| {
            (stage == Stage::Ends).then(|| Instant::now() + inner.config.drain + END_WITHIN)
        };
        let mut processes = Vec::new();
        for record in books.records {
            let Some(hold) = Hold::take(record.pid, record.began) else {
                continue;
            };
            inner.ports().extend([record.port, record.sip_port]);
            processes.push(Process {
                end_by: end_by(record.stage),
                // An agent's process that waits for its bridges may not have been told yet; hearing it twice hurries its calls.
                told: record.place != Place::App,
                record,
                hold: Arc::new(hold),
                condemned: false,
                calls: 0,
            });
        }
        let token = match books.token.as_str() {
            "" => super::random_text(),
            token => token.to_owned(),
        };
        let slot = Self {
            id: id.to_owned(),
            folder,
            token,
            revision: 0,
            last,
            processes,
        };
        slot.show(inner);
        slot
    }

    /// Where the agent's process of this mark says what it listens on: one that ends takes nothing from the next one.
    pub(super) fn addresses(&self, mark: &str) -> PathBuf {
        self.folder.join(format!("addresses-{mark}.json"))
    }

    /// What its bridges are asked with.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// What the interface shows of it.
    pub(super) fn show(&self, inner: &Inner) {
        let seen = self.processes.iter().map(|process| Seen {
            place: process.record.place.clone(),
            pid: process.hold.pid,
            port: process.record.port,
            memory: system::memory(process.hold.pid).unwrap_or_default(),
            calls: process.calls,
            ends: process.record.stage == Stage::Ends,
        });
        inner.seen().insert(self.id.clone(), seen.collect());
    }

    fn write(&self, begun: Option<&Record>) -> std::io::Result<()> {
        let records = self.processes.iter().map(|process| &process.record);
        let books = Books {
            token: self.token.clone(),
            records: records.chain(begun).cloned().collect(),
        };
        books.write(&self.folder)
    }

    /// Writes down what is the case. A failure costs no more than a search after the next start.
    pub(super) fn note(&self, inner: &Inner) {
        if let Err(error) = tokio::task::block_in_place(|| self.write(None)) {
            tracing::warn!(agent = self.id, %error, "the processes of the agent were not written down");
        }
        self.show(inner);
    }

    /// The processes that serve.
    pub(super) fn serving(&self) -> impl Iterator<Item = &Process> {
        let serves = |process: &&Process| process.record.stage == Stage::Runs;
        self.processes.iter().filter(serves)
    }

    pub(super) fn app(&self) -> Option<&Process> {
        self.serving()
            .find(|process| process.record.place == Place::App)
    }

    /// Strikes out what is gone; true where something of what served is.
    pub(super) fn bury(&mut self, inner: &Inner) -> bool {
        let gone = |process: &Process| !process.hold.lives();
        let gone: Vec<Process> = self.processes.extract_if(.., |one| gone(one)).collect();
        self.struck_out(inner, &gone);
        gone.iter()
            .any(|process| process.record.stage == Stage::Runs)
    }

    fn struck_out(&self, inner: &Inner, gone: &[Process]) {
        for process in gone {
            inner.give_back(&process.record);
            // One that was killed left it.
            let _ = std::fs::remove_file(self.addresses(&process.record.mark));
        }
        if !gone.is_empty() {
            self.note(inner);
        }
    }

    /// Ends a process that hangs or uses too much: its calls, if any, are cut.
    async fn put_down(&mut self, inner: &Inner, index: usize) {
        let process = &self.processes[index];
        let hold = Arc::clone(&process.hold);
        let until = Instant::now() + PATIENCE;
        while hold.lives() && Instant::now() < until {
            // The second word hurries what the first one began.
            hold.signal(Signal::TERM);
            let _ = tokio::time::timeout(WORD_EVERY, hold.gone()).await;
        }
        if hold.lives() {
            hold.signal(Signal::KILL);
            let _ = tokio::time::timeout(PATIENCE, hold.gone()).await;
        }
        self.bury(inner);
    }

    /// Puts down whatever is condemned of these.
    pub(super) async fn put_down_condemned(&mut self, inner: &Inner, of: impl Fn(&Place) -> bool) {
        while let Some(index) = self.processes.iter().position(|process| {
            process.condemned && process.record.stage == Stage::Runs && of(&process.record.place)
        }) {
            self.processes[index].condemned = false;
            self.put_down(inner, index).await;
        }
    }

    /// Begins a process: what it will be is written down first, then its number. There is no point in between at which the task
    /// that does it could be ended.
    fn begin(&mut self, inner: &Inner, what: Beginning) -> std::io::Result<()> {
        let Beginning {
            mark,
            place,
            port,
            sip_port,
            like,
            role,
            mut command,
            log,
        } = what;
        let orders = Orders {
            mark: mark.clone(),
            bounds: inner.bounds(port),
            role,
        };
        let begun = Record {
            place,
            port,
            sip_port,
            mark,
            like,
            stage: Stage::Begun,
            pid: 0,
            began: 0,
        };
        let result = tokio::task::block_in_place(|| {
            let written = std::fs::create_dir_all(&self.folder)
                .and_then(|()| self.write(Some(&begun)))
                .and_then(|()| {
                    let mut file = std::fs::OpenOptions::new();
                    file.create(true).append(true).open(self.folder.join(log))
                });
            let written = written?;
            command
                .env(orders::VARIABLE, serde_json::to_string(&orders)?)
                .stdin(Stdio::null())
                .stdout(written.try_clone()?)
                .stderr(written)
                // A signal of the terminal is for the manager alone.
                .process_group(0)
                .kill_on_drop(false);
            self.spawn(command, begun.clone())
        });
        if result.is_err() {
            inner.give_back(&begun);
        }
        result?;
        self.show(inner);
        if let Some(process) = self.processes.last() {
            log_process("log_agent_process_begun", self, process);
        }
        Ok(())
    }

    fn spawn(&mut self, mut command: Command, begun: Record) -> std::io::Result<()> {
        let mut child = command.spawn()?;
        let pid = child.id().unwrap_or_default();
        let record = Record {
            pid,
            began: system::began(pid).unwrap_or_default(),
            stage: Stage::Runs,
            ..begun
        };
        let id = self.id.clone();
        // Somebody waits for every child, whatever becomes of its agent: nothing of it remains.
        tokio::spawn(async move {
            if let Ok(status) = child.wait().await {
                tracing::debug!(agent = id, pid, %status, "a process ended");
            }
        });
        let Some(hold) = Hold::take(pid, record.began) else {
            return Err(std::io::Error::other("it ended at once"));
        };
        let ports = (record.port, record.sip_port);
        self.last.insert(record.place.clone(), ports);
        self.processes.push(Process {
            record,
            hold: Arc::new(hold),
            condemned: false,
            calls: 0,
            end_by: None,
            told: false,
        });
        // It runs, and is known here: that it could not be written down costs a search by its mark after the next start.
        if let Err(error) = self.write(None) {
            tracing::warn!(agent = self.id, %error, "the processes of the agent were not written down");
        }
        Ok(())
    }

    /// Begins the agent's own process, by preference on the port that its bridges know.
    pub(super) fn begin_app(&mut self, inner: &Inner, agent: &ApartAgent) -> std::io::Result<()> {
        let before = self.last.get(&Place::App).map(|ports| ports.0);
        let port = inner.take_port(inner.config.app_base_port, before)?;
        let mark = super::random_text();
        let addresses = self.addresses(&mark);
        let mut command = Command::new(&inner.program);
        command.arg("serve");
        if let Some(file) = &inner.config.config_file {
            command.arg("--config").arg(file);
        }
        let role = Role::App(App {
            agent: agent.id.clone(),
            listen: (inner.config.app_host, port).into(),
            addresses,
            bridge_token: self.stream_token(inner).to_owned(),
            back_office: inner.config.back_office.clone(),
            own_back_office: inner.config.own_back_office.clone(),
            bridged: !agent.lines.is_empty(),
        });
        self.begin(
            inner,
            Beginning {
                mark,
                place: Place::App,
                port,
                sip_port: 0,
                like: String::new(),
                role,
                command,
                log: "app.log".to_owned(),
            },
        )
    }

    fn stream_token<'a>(&'a self, inner: &'a Inner) -> &'a str {
        match inner.config.bridge_token.as_str() {
            "" => &self.token,
            token => token,
        }
    }

    /// Makes the bridges what the agent's lines say: what is other than it should be ends, and its calls may go on meanwhile.
    pub(super) async fn align_bridges(
        &mut self,
        inner: &Inner,
        agent: &ApartAgent,
    ) -> std::io::Result<()> {
        inner.acquit(self, |place| *place != Place::App).await;
        self.put_down_condemned(inner, |place| *place != Place::App)
            .await;
        let Some(app) = self.app().map(|app| app.record.port) else {
            return Err(std::io::Error::other("the agent's process is gone"));
        };
        let lines: Vec<&ApartLine> = agent.lines.iter().take(BRIDGES_MAX).collect();
        let wanted: Vec<(Place, String)> = lines
            .iter()
            .map(|line| {
                (
                    Place::Bridge(line.name.clone()),
                    self.likeness(inner, line, app),
                )
            })
            .collect();
        let is_wanted = |record: &Record| {
            let known = (record.place.clone(), record.like.clone());
            record.place == Place::App || wanted.contains(&known)
        };
        let mut ends = false;
        for index in 0..self.processes.len() {
            let record = &self.processes[index].record;
            if record.stage == Stage::Runs && !is_wanted(record) {
                self.end(inner, index);
                ends = true;
            }
        }
        if ends {
            // A registrar that takes one binding alone must have let go of the one before.
            inner.await_unregistered(self).await;
        }
        for (line, (place, like)) in lines.into_iter().zip(wanted.clone()) {
            if !self.serving().any(|process| process.record.place == place) {
                self.begin_bridge(inner, agent, line, (place, like, app))?;
            }
        }
        Ok(())
    }

    /// Of everything that a bridge is begun with: its account, its bounds, where it leads.
    fn likeness(&self, inner: &Inner, line: &ApartLine, app: u16) -> String {
        let orders = self.bridge_orders(inner, line);
        let text = serde_json::to_string(&orders).unwrap_or_default();
        let leads = format!("{app}/{}/{:?}", line.calls_max, line.allow);
        digest(&[&self.token, &text, &leads])
    }

    fn bridge_orders(&self, inner: &Inner, line: &ApartLine) -> BridgeOrders {
        let user = digest(&[&self.token, "contact", &line.name]);
        let tokens = (self.token.as_str(), self.stream_token(inner));
        BridgeOrders::of(line, tokens, user, inner.config.drain)
    }

    fn begin_bridge(
        &mut self,
        inner: &Inner,
        agent: &ApartAgent,
        line: &ApartLine,
        (place, like, app): (Place, String, u16),
    ) -> std::io::Result<()> {
        let before = self.last.get(&place).copied();
        let base = inner.config.bridge_base_port;
        let port = inner.take_port(base, before.map(|ports| ports.0))?;
        let sip_port = match (line.account.register, line.account.contact_port) {
            // Its operator knows where it is.
            (false, Some(port)) => port,
            (true, _) | (false, None) => inner.take_port(base, before.map(|ports| ports.1))?,
        };
        let room = self.folder.join("bridges");
        std::fs::create_dir_all(&room)?;
        let command = inner.bridge_command(agent, line, (port, sip_port, app), &room);
        let mut orders = self.bridge_orders(inner, line);
        orders.listens_on(sip_port);
        self.begin(
            inner,
            Beginning {
                mark: super::random_text(),
                place,
                port,
                sip_port,
                like,
                role: Role::Bridge(Box::new(orders)),
                command,
                log: "bridges.log".to_owned(),
            },
        )
    }

    /// Tells a process to end, or that it will have to: the agent's own one goes after its bridges.
    fn end(&mut self, inner: &Inner, index: usize) {
        let process = &mut self.processes[index];
        process.record.stage = Stage::Ends;
        process.end_by = Some(Instant::now() + inner.config.drain + END_WITHIN);
        if process.record.place != Place::App {
            process.told = true;
            process.hold.signal(Signal::TERM);
        }
        self.note(inner);
    }

    /// Everything that serves is to end.
    pub(super) fn end_all(&mut self, inner: &Inner) {
        for index in 0..self.processes.len() {
            if self.processes[index].record.stage == Stage::Runs {
                self.end(inner, index);
            }
        }
        self.sweep(inner);
    }

    /// The calls of what ends are not waited for.
    pub(super) fn hurry(&mut self) {
        for process in &mut self.processes {
            if process.record.stage == Stage::Ends {
                process.told = true;
                process.end_by = Some(Instant::now() + END_WITHIN);
                process.hold.signal(Signal::TERM);
            }
        }
    }

    /// What ends and is gone is struck out; what does not end is killed.
    pub(super) fn sweep(&mut self, inner: &Inner) {
        let ends = |process: &Process| process.record.stage == Stage::Ends;
        if !self.processes.iter().any(ends) {
            return;
        }
        // What served and is gone is the watch's affair.
        let gone = |process: &Process| ends(process) && !process.hold.lives();
        let gone: Vec<Process> = self.processes.extract_if(.., |one| gone(one)).collect();
        self.struck_out(inner, &gone);
        let bridges = self
            .processes
            .iter()
            .any(|process| ends(process) && process.record.place != Place::App);
        let now = Instant::now();
        for process in self.processes.iter_mut().filter(|process| ends(process)) {
            if !process.told && !bridges {
                process.told = true;
                process.end_by = Some(now + inner.config.drain + END_WITHIN);
                process.hold.signal(Signal::TERM);
            }
            if process.end_by.is_some_and(|by| by <= now) {
                process.hold.signal(Signal::KILL);
            }
        }
    }
}

/// Half of a digest: nothing of what it is made from can be read in it.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    let digest = hash.finalize();
    let half = digest.iter().take(16);
    half.map(|byte| format!("{byte:02x}")).collect()
}

/// A process that is to be begun.
struct Beginning {
    mark: String,
    place: Place,
    port: u16,
    sip_port: u16,
    like: String,
    role: Role,
    command: Command,
    log: String,
}

pub(super) fn log_process(code: &'static str, slot: &Slot, process: &Process) {
    let role = match &process.record.place {
        Place::App => "app",
        Place::Bridge(_) => "bridge",
    };
    log(&Message::new(code)
        .with("agent", slot.id.as_str())
        .with("role", role)
        .with("pid", process.hold.pid.to_string())
        .with("port", process.record.port.to_string()));
}
