//! An engine for one command: its own database in a temporary directory, no administration, gone afterwards.

use crate::config::ProcessConfig;
use crate::demo::verify::finished_record;
use crate::{identity, serve};
use call::CallId;
use catalog::Message;
use courier::Courier;
use engine::{Engine, RegistrationState, RegistrationStatus};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use store::Store;
use store::explain::Explanation;
use store::packet::PacketContents;

/// How often the state of the registration is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The journal is written behind the call; its end is there well within this time.
const RECORD_WITHIN: Duration = Duration::from_secs(5);

/// What runs for the command.
pub(crate) struct OneOff {
    pub(crate) engine: Engine,
    store: Store,
    directory: PathBuf,
}

impl OneOff {
    /// Starts the engine of a configuration on an empty database.
    ///
    /// # Errors
    /// The message says what failed and what to do.
    pub(crate) async fn start(mut config: ProcessConfig) -> Result<Self, Message> {
        let name = format!("allo-{}", uuid::Uuid::new_v4().simple());
        let directory = std::env::temp_dir().join(name);
        let failed = |cause: String| Message::new("start_failed").with("cause", cause);
        std::fs::create_dir_all(&directory).map_err(|error| failed(error.to_string()))?;
        config.engine.recording.enabled = false;
        config.engine.rtp.capture = PacketContents::None;
        if config.engine.sip.needs_identity() {
            let made = identity::self_signed(&directory, None);
            config.engine.sip.tls = Some(made.map_err(|error| failed(error.to_string()))?);
        }
        let database = directory.join("allo.db").display().to_string();
        let store = serve::open_store(&database).await?;
        config.courier.collector = None;
        let courier =
            Courier::new(config.courier).map_err(|error| failed(serve::causes(&error)))?;
        let engine = Engine::start(config.engine, store.clone(), courier)
            .await
            .map_err(|error| serve::start_message(&error))?;
        Ok(Self {
            engine,
            store,
            directory,
        })
    }

    /// Waits until the line is registered, or its failure says that waiting longer is of no use, or the time is over.
    pub(crate) async fn registered(&self, within: Duration) -> Option<RegistrationStatus> {
        let until = Instant::now() + within;
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let status = self.engine.registrations().await.into_iter().next()?;
            let is_final = match &status.state {
                RegistrationState::Registered { .. } => true,
                RegistrationState::Failed { retry_at, .. } => retry_at.is_none(),
                RegistrationState::Unregistered | RegistrationState::Registering => false,
            };
            if is_final || Instant::now() > until {
                return Some(status);
            }
        }
    }

    /// How a call went, once its record is finished.
    ///
    /// # Errors
    /// The message says what the store said.
    pub(crate) async fn explanation(&self, call: &CallId) -> Result<Explanation, Message> {
        let record = finished_record(
            &self.store,
            &store::TenantScope::default(),
            call,
            RECORD_WITHIN,
        )
        .await?;
        crate::explain::of(&self.store, &record, call)
            .await
            .map_err(|error| Message::new("start_failed").with("cause", serve::causes(&error)))
    }

    /// Says goodbye, removes the registration, and leaves nothing behind.
    pub(crate) async fn stop(self, within: Duration) {
        self.engine.drain(within).await;
        self.store.close().await;
        // What stays is in the directory of temporary files.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
