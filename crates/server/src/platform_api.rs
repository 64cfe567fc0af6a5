//! The platform API's listener and its parts.

use crate::api::listener::Listener;
use crate::config::PlatformConfig;
use crate::voice::{PlaceError, Voice};
use courier::Nudge;
use engine::Engine;
use engine::directory::DirectoryHandle;
use platform::{AdminToken, Api, Carriers, Config, NotPlaced};
use std::net::SocketAddr;
use std::sync::Arc;
use store::Store;
use store::secret::Vault;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The running API.
pub(crate) struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops taking requests and waits for those in progress, a few seconds at most.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the platform API ended");
        }
    }
}

/// The parts of the house that the API works with.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) outbox: Nudge,
    pub(crate) language: catalog::Language,
    pub(crate) directory: Option<DirectoryHandle>,
    pub(crate) voice: Option<Arc<Voice>>,
}

/// Calls by a carrier are placed where its account and its streams are.
fn carriers(voice: &Arc<Voice>) -> Carriers {
    let voice = Arc::clone(voice);
    Carriers::new(move |from, call| {
        let voice = Arc::clone(&voice);
        Box::pin(async move {
            match voice.place(&from, call).await {
                Ok((id, _)) => Ok(id),
                Err(error) => Err(NotPlaced {
                    status: match error {
                        PlaceError::Carrier(_) => 502,
                        PlaceError::NotConfigured
                        | PlaceError::UnknownLine
                        | PlaceError::Engine(_) => 409,
                    },
                    cause: error.to_string(),
                }),
            }
        })
    })
}

/// Binds the address and serves.
///
/// # Errors
/// When the address cannot be bound or the TLS identity cannot be used.
pub(crate) async fn start(
    config: PlatformConfig,
    token: &str,
    parts: Parts,
) -> std::io::Result<Running> {
    let directory = parts.directory.clone();
    let listener = Listener::bind(config.listen, config.tls.as_ref()).await?;
    let address = listener.address()?;
    let api = Api::new(
        parts.store,
        parts.vault,
        parts.engine,
        Config {
            admin_token: AdminToken::new(token),
            unauthenticated: config.unauthenticated,
            clear_passwords: config.clear_passwords,
            language: parts.language,
            rate_per_s: config.rate_per_s,
            carriers: parts.voice.as_ref().map(carriers),
            keepers: crate::privacy::keepers(),
            version: env!("CARGO_PKG_VERSION"),
        },
        Arc::new(move || {
            if let Some(directory) = &directory {
                directory.nudge();
            }
        }),
        Arc::new(move || parts.outbox.nudge()),
    );
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(platform::serve(listener, platform::router(&api), stopped));
    Ok(Running {
        address,
        stop,
        task,
    })
}
