//! The voice address: where carriers announce calls (webhooks) and bring their audio (WebSocket).
//!
//! A webhook is answered with a document that makes the carrier open a stream with a token of ours: good once, for that call, for
//! half a minute. No stream reaches the engine before that token was seen in its first message, whatever else was signed.

mod accounts;
mod carriers;
mod listener;
mod placing;
mod rate;
pub(crate) mod settings;
mod stream;
mod tokens;
mod verify;
mod webhook;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{any, get};
use call::CallId;
use courier::carrier::{CarrierAccount, CarrierCall, CarrierError};
use courier::{Courier, CourierConfig};
use engine::{CarrierControl, Engine, PlaceCall, PlaceCallError};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use wire::twilio::Dialect;
use wire::twilio::twiml;

pub(crate) use self::accounts::Tenants;
use self::placing::Placing;
use self::rate::Rate;
use self::settings::VoiceConfig;
use self::tokens::{Grant, Tokens};

/// How long a token of a webhook is good.
const TOKEN_FOR: Duration = Duration::from_secs(30);
/// How long a call that we place may ring where nobody says it, milliseconds.
const RING_MS: u32 = 45_000;
/// Streams whose first message is awaited, at the same time.
const STREAMS_WAITING_MAX: usize = 256;

/// What the handlers share.
pub(crate) struct Voice {
    pub(crate) config: VoiceConfig,
    pub(crate) engine: Engine,
    courier: Courier,
    tokens: Tokens,
    placing: Placing,
    waiting: Arc<Semaphore>,
    rate: Rate,
    secure: bool,
    tenants: Tenants,
}

/// The running address.
pub(crate) struct Running {
    address: SocketAddr,
    voice: Arc<Voice>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What places calls through a carrier.
    pub(crate) fn voice(&self) -> &Arc<Voice> {
        &self.voice
    }

    /// Stops taking requests. Calls in progress are the engine's.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the voice address ended");
        }
    }
}

/// Binds the address and serves.
///
/// # Errors
/// When the address cannot be bound, or an identity or authority cannot be used.
pub(crate) async fn start(
    config: VoiceConfig,
    engine: Engine,
    tenants: Tenants,
) -> std::io::Result<Running> {
    let listener = listener::Listener::bind(config.listen, config.tls.as_ref()).await?;
    let address = listener.address();
    let mut allow = courier::Allow::default();
    // The operator named it: a stand-in on this machine is meant.
    let _ = allow.add(&config.twilio.api_url);
    let courier = Courier::new(CourierConfig {
        allow,
        extra_ca_pem: config.extra_ca_pem.clone(),
        ..CourierConfig::default()
    })
    .map_err(|error| std::io::Error::other(error.to_string()))?;
    let voice = Arc::new(Voice {
        secure: config.tls.is_some(),
        config,
        engine,
        courier,
        tokens: Tokens::default(),
        placing: Placing::default(),
        waiting: Arc::new(Semaphore::new(STREAMS_WAITING_MAX)),
        rate: Rate::default(),
        tenants,
    });
    let (stop, stopped) = watch::channel(false);
    let router = platform::tell_of_unread(router(Arc::clone(&voice)));
    let task = tokio::spawn(listener.serve(router, stopped));
    Ok(Running {
        address,
        voice,
        stop,
        task,
    })
}

fn router(voice: Arc<Voice>) -> Router {
    Router::new()
        .route("/health", get(|| async { "ok" }))
        .route("/incoming-call", any(webhook::incoming_twilio))
        .route("/media-stream", get(stream::twilio))
        .route("/media-stream/{carrier}", get(stream::other))
        .route("/media-stream/twilio/{account}", get(stream::twilio_of))
        .route("/{carrier}/incoming-call", any(webhook::incoming))
        .route(
            "/{carrier}/{line}/incoming-call",
            any(webhook::incoming_on_line),
        )
        .route("/{carrier}/status", any(webhook::status))
        .layer(axum::extract::DefaultBodyLimit::max(
            webhook::BODY_BYTES_MAX,
        ))
        .with_state(voice)
}

/// Why a call was not placed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// The account or the public address is not configured.
    #[error("calls cannot be placed: voice.public_url and the carrier's account are needed")]
    NotConfigured,
    /// The tenant's own account of the carrier cannot be read; the log says why.
    #[error("the carrier's account that this account keeps cannot be read: keep its token again")]
    Unreadable,
    /// No line takes the carrier's calls by this name.
    #[error("no line of this carrier has this name")]
    UnknownLine,
    /// No place, or draining.
    #[error(transparent)]
    Engine(#[from] PlaceCallError),
    /// The carrier said no.
    #[error(transparent)]
    Carrier(#[from] CarrierError),
}

impl Voice {
    /// Origin that carriers call, where it is configured.
    pub(crate) fn public_url(&self) -> Option<String> {
        self.config.public_url.clone()
    }

    /// Address of a path as carriers write it; `None` where the public address is not known.
    fn public(&self, path: &str) -> Option<String> {
        let base = self.config.public_url.as_deref()?;
        Some(format!("{}{path}", base.trim_end_matches('/')))
    }

    /// Origin that a request was made to: the configured one, else what the request itself names.
    fn origin(&self, host: Option<&str>) -> String {
        match (&self.config.public_url, host) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, host) => {
                let scheme = if self.secure { "https" } else { "http" };
                format!("{scheme}://{}", host.unwrap_or("localhost"))
            }
        }
    }

    /// How a carrier is asked for things, where its account is configured.
    fn account(&self, dialect: Dialect) -> Option<CarrierAccount> {
        self.config.account(dialect)
    }

    /// In which account a call is placed, and where its stream comes to.
    fn ways(
        &self,
        dialect: Dialect,
        owner: Option<&accounts::Owner>,
    ) -> Result<(CarrierAccount, String), PlaceError> {
        let (account, path) = match owner {
            Some(owner) => {
                let account = owner.account(&self.config.twilio.api_url);
                (Some(account), owner.stream_path())
            }
            None => (self.account(dialect), carriers::stream_path(dialect)),
        };
        let account = account.ok_or(PlaceError::NotConfigured)?;
        let url = self.public(&path).ok_or(PlaceError::NotConfigured)?;
        Ok((account, url))
    }

    /// Places a call through Twilio; its agent speaks when it is answered. Our id of the call, and the carrier's. Without a line it
    /// is the one that has the number shown.
    ///
    /// # Errors
    /// [`PlaceError`]; a call that the carrier does not take has its record all the same.
    pub(crate) async fn place(
        &self,
        from: &str,
        mut request: PlaceCall,
    ) -> Result<(CallId, String), PlaceError> {
        let dialect = Dialect::Twilio;
        let line = Some(request.line.as_str()).filter(|line| !line.is_empty());
        let known = self
            .engine
            .stream_line(dialect, None, line, from)
            .ok_or(PlaceError::UnknownLine)?;
        let owner = self.own_account(&known.tenant).await?;
        let (account, url) = self.ways(dialect, owner.as_ref())?;
        let ring_ms = *request.ring_ms.get_or_insert(RING_MS);
        let to = request.to.clone();
        request.line.clone_from(&known.name);
        let until = Instant::now() + TOKEN_FOR + Duration::from_millis(ring_ms.into());
        let grant = Grant {
            dialect,
            call: None,
            line: known.name,
            from: from.to_owned(),
            to: to.clone(),
            inbound: false,
            owner: owner.clone(),
        };
        let (promise, progress) = self.engine.expect_stream(dialect, from, request).await?;
        let id = promise.call.clone();
        let token = self.tokens.issue(Instant::now(), until, grant);
        let tenant = owner.map(|owner| owner.tenant);
        if !self.placing.begin(&token, tenant, (promise, progress)) {
            self.tokens.withdraw(&token);
            return Err(PlaceError::Engine(PlaceCallError::Busy));
        }
        let connect = twiml::connect_stream(
            &carriers::to_websocket(&url),
            self.public("/twilio/status").as_deref(),
            &[
                ("callerPhone", &to),
                ("direction", "outbound"),
                ("token", &token),
            ],
        );
        let document = twiml::response([connect]).document();
        let callback = self.public(&format!("/twilio/status?call={id}"));
        let call = CarrierCall {
            to: &to,
            from,
            document: &document,
            status_callback: callback.as_deref(),
            ring_s: ring_ms.div_ceil(1_000),
        };
        let placed = self.courier.place_carrier_call(&account, &call).await;
        match placed {
            Ok(sid) => {
                let control = CarrierControl {
                    courier: self.courier.clone(),
                    account: account.clone(),
                    call: sid.clone(),
                };
                if !self.placing.rings_as(&token, control) {
                    self.tokens.withdraw(&token);
                    // It was ended while the carrier was asked: there too.
                    let _ = self.courier.hang_up(&account, &sid).await;
                }
                Ok((id, sid))
            }
            Err(error) => {
                self.tokens.withdraw(&token);
                self.placing.refused(&token);
                Err(error.into())
            }
        }
    }
}
