//! What agents of the database need beside the engine: the directory that keeps lines and agents in step with the store, and the
//! word to the outbox that a call has left something to deliver.

use catalog::Message;
use courier::{Allow, CourierConfig};
use engine::Engine;
use engine::agents::Policy;
use engine::agents::apart::Apart;
use engine::config::{AgentConfig, LineConfig};
use engine::directory::{DirectoryConfig, DirectoryHandle};
use std::time::Duration;
use store::Store;
use store::secret::Vault;
use tokio::task::JoinHandle;

use crate::outgoing::Outgoing;
use crate::settings::Settings;

/// The settings of this part.
#[derive(Clone)]
pub(crate) struct OfficeConfig {
    reach: Allow,
    base_url: Option<String>,
    domain: Option<String>,
    contact_host: Option<String>,
    fail_closed: bool,
    policy: Policy,
    pub(crate) apart: Option<Apart>,
    pub(crate) only: Option<String>,
}

/// Reads the settings.
pub(crate) fn configured(settings: &Settings, courier: &CourierConfig) -> OfficeConfig {
    OfficeConfig {
        reach: courier.allow.clone(),
        base_url: settings.set("tools.back_office").map(str::to_owned),
        domain: settings.set("line.domain").map(str::to_owned),
        contact_host: settings.set("sip.public_host").map(str::to_owned),
        fail_closed: settings.text("calls.checks_fail") == "closed",
        policy: Policy {
            check_every: Duration::from_secs(settings.integer("agents.check_every_s")),
            ..Policy::default()
        },
        apart: None,
        only: None,
    }
}

impl OfficeConfig {
    /// A back office runs in this process: tools reach it wherever it is, and it is theirs where no other is named.
    pub(crate) fn has_own(&mut self, url: &str) {
        if self.reach.add_origin_of(url).is_ok() && self.base_url.is_none() {
            self.base_url = Some(url.to_owned());
        }
    }
}

/// What runs beside the engine.
pub(crate) struct Office {
    directory: DirectoryHandle,
    wake: JoinHandle<()>,
}

impl Office {
    /// Reads the directory, and begins to follow it.
    ///
    /// # Errors
    /// The message says what the store said.
    pub(crate) async fn start(
        config: OfficeConfig,
        outgoing: &Outgoing,
        engine: &Engine,
        store: &Store,
        vault: &Vault,
        (agent, line): (AgentConfig, Option<LineConfig>),
    ) -> Result<Self, Message> {
        let nudge = outgoing.outbox.nudger();
        let written = engine.deliveries();
        let wake = tokio::spawn(async move {
            loop {
                written.notified().await;
                nudge.nudge();
            }
        });
        let directory = DirectoryConfig {
            base: agent,
            allow: line
                .as_ref()
                .map(|line| line.allow.clone())
                .unwrap_or_default(),
            reach: config.reach,
            codecs: line.as_ref().map_or_else(
                || media::Codec::OFFERED.to_vec(),
                |line| line.codecs.clone(),
            ),
            treatment: line.as_ref().map(|line| line.treatment).unwrap_or_default(),
            keypad: line.as_ref().map(|line| line.keypad).unwrap_or_default(),
            nat: line
                .as_ref()
                .map(|line| line.nat.clone())
                .unwrap_or_default(),
            srtp: line.map(|line| line.srtp).unwrap_or_default(),
            base_url: config.base_url,
            domain: config.domain,
            contact_host: config.contact_host,
            fail_closed: config.fail_closed,
            policy: config.policy,
            apart: config.apart,
            only: config.only,
        };
        let vault = Some(vault.clone());
        let started = DirectoryHandle::start(engine.clone(), store.clone(), vault, directory);
        let directory = started
            .await
            .map_err(|error| Message::new("start_failed").with("cause", error.to_string()))?;
        Ok(Self { directory, wake })
    }

    /// The way to say that something was written.
    pub(crate) fn directory(&self) -> DirectoryHandle {
        self.directory.clone()
    }

    /// Ready once what was written before is in use.
    ///
    /// # Errors
    /// The message says what the store said.
    pub(crate) async fn settled(&self) -> Result<(), Message> {
        let read = self.directory.refresh().await;
        read.map_err(|error| Message::new("start_failed").with("cause", error.to_string()))
    }

    /// Follows the directory no further, and manages no agent.
    pub(crate) async fn stop_following(&self) {
        self.directory.stop().await;
    }

    /// Follows nothing further.
    pub(crate) async fn stop(self) {
        self.wake.abort();
        self.directory.stop().await;
    }
}
