//! The administration API: health, readiness, metrics, calls.
//!
//! The manager's routes may be opened to programs of this machine by a setting.
//! `/health` and `/ready` are open (probes carry no token); everything else wants `Authorization: Bearer TOKEN`. Errors are
//! problem+json with a sentence and a remedy in the language of `Accept-Language`.

pub(crate) mod agents;
pub(crate) mod auth;
mod calls;
mod carrier_calls;
mod health;
pub(crate) mod listener;
pub(crate) mod problem;

use crate::config::AdminConfig;
use crate::voice::Voice;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use engine::Engine;
use std::net::SocketAddr;
use std::sync::Arc;
use store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Largest request body.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What every handler may use.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) language: catalog::Language,
    voice: Option<Arc<Voice>>,
    managed: Option<Arc<agents::Managed>>,
    token: auth::Token,
    agents_unauthenticated: bool,
    started: std::time::Instant,
}

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
        let abort = self.task.abort_handle();
        if tokio::time::timeout(std::time::Duration::from_secs(3), self.task)
            .await
            .is_err()
        {
            abort.abort();
        }
    }
}

/// Binds the address and serves.
///
/// # Errors
/// When the address cannot be bound or the TLS identity cannot be used.
pub(crate) async fn start(
    config: &AdminConfig,
    token: String,
    engine: Engine,
    store: Store,
    (voice, managed): (Option<Arc<Voice>>, Option<Arc<agents::Managed>>),
    language: catalog::Language,
) -> std::io::Result<Running> {
    let shared = Arc::new(Shared {
        engine,
        store,
        voice,
        managed,
        language,
        agents_unauthenticated: config.agents_unauthenticated,
        token: auth::Token::new(&token),
        started: std::time::Instant::now(),
    });
    let listener = listener::Listener::bind(config.listen, config.tls.as_ref()).await?;
    serve(listener, router(shared))
}

/// Serves an application of ours until it is stopped.
pub(crate) fn serve(listener: listener::Listener, application: Router) -> std::io::Result<Running> {
    let address = listener.address()?;
    let (stop, mut stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        let served = axum::serve(listener, platform::tell_of_unread(application))
            .with_graceful_shutdown(async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            })
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "an API ended");
        }
    });
    Ok(Running {
        address,
        stop,
        task,
    })
}

fn router(shared: Arc<Shared>) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(health::metrics))
        .route("/api/calls", get(calls::list))
        .route("/api/calls/live", get(calls::live))
        .route("/api/calls/{id}", get(calls::one).delete(calls::hang_up))
        .route("/api/calls/{id}/events", get(calls::events))
        .route("/api/calls/{id}/transcript", get(calls::transcript))
        .route("/api/calls/{id}/explanation", get(calls::explanation))
        .route("/api/calls/{id}/recording.wav", get(calls::recording))
        .route("/api/calls/{id}/hangup", post(calls::hang_up))
        .route("/api/carrier-calls", post(carrier_calls::place))
        .route("/api/registrations", get(health::registrations))
        .layer(middleware::from_fn_with_state(
            shared.clone(),
            auth::require_token,
        ));
    let managed = Router::new()
        .route("/agents", get(agents::list))
        .route("/agents/{id}/status", get(agents::status))
        .route("/agents/{id}/start", post(agents::start))
        .route("/agents/{id}/stop", post(agents::stop))
        .route("/agents/{id}/restart", post(agents::restart))
        .route("/refresh", post(agents::refresh))
        .layer(middleware::from_fn_with_state(
            shared.clone(),
            auth::require_token_or_loopback,
        ));
    Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .merge(guarded)
        .merge(managed)
        .fallback(problem::not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}
