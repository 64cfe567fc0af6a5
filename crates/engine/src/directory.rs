//! The directory: lines and agents of all tenants, as the store has them, kept in step with what the engine uses.
//!
//! It is read whole and put in place whole: what does not differ changes nothing (accounts keep their registration, calls in
//! progress keep the version that they began with). An agent that cannot be used takes its own lines away and nothing else.

mod account;
mod aftermath;
mod agent;
mod alerts;
mod device;
mod line;
mod loading;
mod trial;

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::agent::{CompiledAgent, Definition};
use call::TenantId;
use catalog::Message;
use courier::guard::Allow;
use ipnet::IpNet;
use media::{Codec, Keypad};
use store::secret::Vault;
use store::{Entry, ReadError, Store, Tenant, TenantScope};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

use crate::agents::apart::Apart;
use crate::agents::{Agents, Policy};
use crate::config::{AgentConfig, SrtpPolicy};
use crate::engine::Engine;
use crate::log::say;
use crate::nat::NatConfig;
pub use agent::{CompileError, signing_secret};
pub(crate) use agent::{Secrets, compiled_as};
pub use trial::{
    AgentTrial, EngineTrial, Preview, SampleCall, ToolTrial, TrialEffect, TrialError, TrialRequest,
};

/// How often the store is asked whether something changed, when nobody says so.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Changes that come together are read together.
const SETTLE: Duration = Duration::from_millis(50);
/// A directory that takes long to read is left alone for this many times as long, so that a program that writes without end cannot
/// keep the machine busy with reading.
const REST: u32 = 5;
/// At most this long.
const REST_MAX: Duration = Duration::from_secs(1);

/// What the directory takes from the process where a tenant says nothing.
#[derive(Clone, Debug)]
pub struct DirectoryConfig {
    /// The engine, the bounds and the phrases that an agent has by default.
    pub base: AgentConfig,
    /// Networks whose calls every line takes: the operator's own trunks.
    pub allow: Vec<IpNet>,
    /// Origins and networks that the operator opens to tenants' addresses.
    pub reach: Allow,
    /// Codecs in order of preference.
    pub codecs: Vec<Codec>,
    /// How keys are sent by accounts that do not say it.
    pub keypad: Keypad,
    /// What is done to callers' audio on accounts that do not say it.
    pub treatment: media::Treatment,
    /// How the address of audio is found, for accounts that do not say it.
    pub nat: NatConfig,
    /// SRTP of lines that say nothing.
    pub srtp: SrtpPolicy,
    /// `BASE_URL` of agents that name none.
    pub base_url: Option<String>,
    /// SIP domain of lines that name none.
    pub domain: Option<String>,
    /// Host written in Contact.
    pub contact_host: Option<String>,
    /// A check before the answer that cannot be made refuses the call.
    pub fail_closed: bool,
    /// How agents are kept running.
    pub policy: Policy,
    /// Agents are processes of their own, kept by the other end of this.
    pub apart: Option<Apart>,
    /// This process is that of one agent: of the others nothing is taken, and of its lines only their numbers, because a bridge
    /// beside it has the accounts.
    pub only: Option<String>,
}

struct Parts {
    engine: Engine,
    agents: Agents,
    store: Store,
    vault: Option<Vault>,
    config: DirectoryConfig,
    /// The agents as they were read last, by their ids: one that is still the same is not compiled again.
    compiled: std::sync::Mutex<BTreeMap<String, Arc<CompiledAgent>>>,
    /// What the log knows of the accounts, so that a reading says only what is new.
    told: std::sync::Mutex<loading::Told>,
}

/// The way to a running directory. Clones lead to the same one.
#[derive(Clone)]
pub struct DirectoryHandle {
    nudge: Arc<Notify>,
    parts: Arc<Parts>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl DirectoryHandle {
    /// Reads the store once, puts what it finds in place, and keeps it in step from then on.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(
        engine: Engine,
        store: Store,
        vault: Option<Vault>,
        config: DirectoryConfig,
    ) -> Result<Self, ReadError> {
        let apart = config.apart.clone();
        let agents = Agents::start(engine.clone(), store.clone(), config.policy, apart);
        let parts = Arc::new(Parts {
            engine,
            agents,
            store,
            vault,
            config,
            compiled: std::sync::Mutex::default(),
            told: std::sync::Mutex::default(),
        });
        say(&Message::new("log_accounts_loading"));
        let stamp = parts.store.node_directory_stamp().await?;
        parts.load().await?;
        device::restore(&parts).await;
        tokio::spawn(device::follow(Arc::clone(&parts)));
        tokio::spawn(aftermath::clear(Arc::clone(&parts)));
        tokio::spawn(alerts::follow(Arc::clone(&parts)));
        let nudge = Arc::new(Notify::new());
        let task = tokio::spawn(follow(Arc::clone(&parts), Arc::clone(&nudge), stamp));
        Ok(Self {
            nudge,
            parts,
            task: Arc::new(Mutex::new(Some(task))),
        })
    }

    /// Says that something was written: it is read within a moment. Never blocks.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Reads now; ready once what was written before is in use.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn refresh(&self) -> Result<(), ReadError> {
        self.parts.load().await
    }

    /// The manager of the agents.
    pub fn agents(&self) -> Agents {
        self.parts.agents.clone()
    }

    /// Stops following. What is in place stays.
    pub async fn stop(&self) {
        if let Some(task) = self.task.lock().await.take() {
            task.abort();
            let _ = task.await;
        }
        self.parts.agents.stop().await;
    }
}

async fn follow(parts: Arc<Parts>, nudge: Arc<Notify>, mut known: String) {
    let mut settle = SETTLE;
    loop {
        let nudged = tokio::time::timeout(LOOK_EVERY, nudge.notified()).await;
        if nudged.is_ok() {
            tokio::time::sleep(settle).await;
        }
        let stamp = match parts.store.node_directory_stamp().await {
            Ok(stamp) => stamp,
            Err(error) => {
                say(&Message::new("log_directory_unread").with("cause", error.to_string()));
                continue;
            }
        };
        // A secret of an account has no stamp of its own: a nudge reads in any case.
        if stamp == known && nudged.is_err() {
            continue;
        }
        let begun = Instant::now();
        match parts.load().await {
            Ok(()) => known = stamp,
            Err(error) => {
                say(&Message::new("log_directory_unread").with("cause", error.to_string()));
            }
        }
        settle = SETTLE.max((begun.elapsed() * REST).min(REST_MAX));
    }
}

impl Parts {
    fn secrets<'a>(&'a self, scope: &'a TenantScope) -> Secrets<'a> {
        Secrets {
            store: &self.store,
            vault: self.vault.as_ref(),
            scope,
            tried: None,
        }
    }

    fn compiled(&self, definition: Definition) -> Result<Arc<CompiledAgent>, CompileError> {
        let id = definition.agent_id.clone();
        let known = self.kept().get(&id).cloned();
        if let Some(known) = known.filter(|known| *known.definition() == definition) {
            return Ok(known);
        }
        let compiled = Arc::new(agent::compile_definition(definition)?);
        self.kept().insert(id, Arc::clone(&compiled));
        Ok(compiled)
    }

    /// A panic cannot leave it half changed: every change is one insertion or removal.
    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Arc<CompiledAgent>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn scope(tenant: &Entry<Tenant>) -> TenantScope {
    TenantScope::new(TenantId::from(tenant.id.clone()))
}
