//! The platform API's listener and its parts.

use crate::api::listener::Listener;
use crate::config::PlatformConfig;
use crate::pages;
use crate::voice::{PlaceError, Voice};
use axum::response::Redirect;
use axum::routing::get;
use axum::{Extension, Router};
use courier::Nudge;
use engine::Engine;
use engine::directory::DirectoryHandle;
use platform::{AdminToken, Api, Carriers, Config, NotPlaced, Servers, Transport, Trials};
use std::net::SocketAddr;
use std::sync::Arc;
use store::Store;
use store::secret::Vault;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The running API.
pub(crate) struct Running {
    address: SocketAddr,
    is_tls: bool,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How a browser of this machine reaches it.
    pub(crate) fn url(&self) -> String {
        url(self.address, self.is_tls)
    }

    /// Stops taking requests and waits for those in progress, a few seconds at most.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the platform API ended");
        }
    }
}

/// How a browser of this machine reaches an address of ours.
pub(crate) fn url(address: SocketAddr, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    if address.ip().is_unspecified() {
        return format!("{scheme}://localhost:{}", address.port());
    }
    format!("{scheme}://{address}")
}

/// The parts of the house that the API works with.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) outbox: Nudge,
    pub(crate) language: catalog::Language,
    pub(crate) directory: Option<DirectoryHandle>,
    pub(crate) servers: Option<Servers>,
    pub(crate) voice: Option<Arc<Voice>>,
    /// The API of the back office of this process, for the pages.
    pub(crate) back_office: Option<Router>,
    /// Where the back office's address finds this API.
    pub(crate) late: pages::Late,
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
                        | PlaceError::Unreadable
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
    let trials = directory.clone().map(Trials::new);
    let is_tls = config.tls.is_some();
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
            proxies: config.proxies,
            carriers: parts.voice.as_ref().map(carriers),
            servers: parts.servers,
            voice_url: parts.voice.as_ref().and_then(|voice| voice.public_url()),
            trials,
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
    let own = platform::router(&api);
    parts.late.fill(own.clone());
    let mut application = own
        .clone()
        .merge(pages::router())
        .route("/", get(|| async { Redirect::to("/admin/") }))
        .nest_service(pages::PLATFORM, own);
    if let Some(back_office) = parts.back_office {
        application = application.nest_service(pages::BACK_OFFICE, back_office);
    }
    let application = application.layer(Extension(Transport {
        tls: is_tls,
        relayed: false,
    }));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(platform::serve(listener, application, stopped));
    Ok(Running {
        address,
        is_tls,
        stop,
        task,
    })
}
