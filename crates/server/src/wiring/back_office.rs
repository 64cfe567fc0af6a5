//! The restaurant: its listener, and what it needs of the rest of the house.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::{Extension, Router};
use catalog::{Language, Message};
use courier::{Courier, Secret};
use platform::need::Scopes;
use platform::{Actor, AdminToken, Caller, Door, NotRecognised, Transport};
use restaurant::after::SenderConfig;
use restaurant::domain::geo::Places;
use restaurant::domain::geo::services::{Geocoder, Router as Roads};
use restaurant::maps::{MapConfig, Service};
use restaurant::provision;
use restaurant::{App, Config, Credential, Doors, Refused, Role};
use store::secret::Vault;
use store::{Store, TenantScope};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::provisioning;
use crate::api::listener::Listener;
use crate::config::{BackOfficeConfig, MapService};
use crate::pages;
use crate::terminal::Terminal;

/// The voice server where nobody names one and there is none in this process.
const VOICE_URL: &str = "http://localhost:4000";

/// Its address is taken; nobody is served yet.
pub(crate) struct Bound {
    config: BackOfficeConfig,
    listener: Listener,
    address: SocketAddr,
}

/// The running back office.
pub(crate) struct Running {
    address: SocketAddr,
    pub(super) app: Arc<App>,
    voice_by_default: bool,
    provisioning: Option<provision::Handle>,
    after: restaurant::after::Handle,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What it needs of the rest of the house.
pub(crate) struct Parts<'a> {
    pub(crate) store: &'a Store,
    pub(crate) vault: &'a Vault,
    pub(crate) courier: &'a Courier,
    pub(crate) token: &'a str,
    pub(crate) language: Language,
    /// The platform API of this process, once it is there.
    pub(crate) platform: pages::Late,
}

/// Takes the address. Where nobody asked for that address and another program has it, there is no back office here, and that is
/// said.
///
/// # Errors
/// The address that was asked for cannot be taken.
pub(crate) async fn bind(
    config: Option<BackOfficeConfig>,
    language: Language,
) -> Result<Option<Bound>, Message> {
    let Some(config) = config else {
        return Ok(None);
    };
    let bound = Listener::bind(config.listen, config.tls.as_ref()).await;
    let bound = bound.and_then(|listener| Ok((listener.address()?, listener)));
    match bound {
        Ok((address, listener)) => Ok(Some(Bound {
            config,
            listener,
            address,
        })),
        Err(error) if config.by_default => {
            let message = Message::new("back_office_address_taken")
                .with("address", config.listen.to_string())
                .with("cause", error.to_string());
            Terminal::new(language).complain(&message);
            Ok(None)
        }
        Err(error) => Err(Message::new("port_in_use")
            .with("protocol", "HTTP")
            .with("address", config.listen.to_string())
            .with("cause", error.to_string())),
    }
}

/// Opens its tables and serves, where there is one.
///
/// # Errors
/// The message says what the database said.
pub(crate) async fn start(
    bound: Option<Bound>,
    parts: Parts<'_>,
) -> Result<Option<Running>, Message> {
    match bound {
        Some(bound) => bound.start(parts).await.map(Some),
        None => Ok(None),
    }
}

impl Bound {
    /// How this machine reaches it.
    pub(crate) fn url(&self) -> String {
        if let Some(url) = &self.config.own_url {
            return url.clone();
        }
        let scheme = if self.config.tls.is_some() {
            "https"
        } else {
            "http"
        };
        if self.address.ip().is_unspecified() {
            return format!("{scheme}://localhost:{}", self.address.port());
        }
        format!("{scheme}://{}", self.address)
    }

    fn senders(&self) -> SenderConfig {
        let (mail_url, mail_from) = self.config.mail.clone();
        let (sms_url, sms_headers, sms_body) = self.config.sms.clone();
        SenderConfig {
            mail_url: mail_url.map(Secret::new),
            mail_from,
            sms_url: sms_url.map(Secret::new),
            sms_headers: sms_headers.map(Secret::new),
            sms_body,
            printers: self.config.printers.clone(),
        }
    }

    /// # Errors
    /// The imported places cannot be read.
    fn maps(&self) -> Result<MapConfig, Message> {
        let maps = &self.config.maps;
        let (path, needed) = &maps.places;
        let places = if *needed || path.exists() {
            let failed = |cause: String| {
                Message::new("geo_failed")
                    .with("path", path.display().to_string())
                    .with("cause", cause)
            };
            let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            let places = Places::unpack(&bytes).map_err(|error| failed(error.to_string()))?;
            Some(Arc::new(places))
        } else {
            None
        };
        Ok(MapConfig {
            geocoder: maps.geocoder.as_ref().map(|service| {
                let google = service.kind == "google";
                let kind = if google {
                    Geocoder::Google
                } else {
                    Geocoder::Nominatim
                };
                of_service(service, kind)
            }),
            router: maps.router.as_ref().map(|service| {
                let google = service.kind == "google";
                let kind = if google { Roads::Google } else { Roads::Osrm };
                of_service(service, kind)
            }),
            places,
        })
    }

    async fn start(self, parts: Parts<'_>) -> Result<Running, Message> {
        let config = Config {
            language: parts.language,
            unsigned: self.config.unsigned,
            clear_passwords: self.config.clear_passwords,
            voice_secret: self.config.voice_secret.clone().map(Secret::new),
            voice_url: self
                .config
                .voice_url
                .clone()
                .unwrap_or_else(|| VOICE_URL.to_owned()),
            own_url: self.url(),
            voice_key: self.config.voice_key.clone().map(Secret::new),
            senders: self.senders(),
            maps: self.maps()?,
        };
        let doors = doors(&parts, self.config.rate_per_s);
        let app = App::open(
            parts.store.clone(),
            parts.vault.clone(),
            parts.courier.clone(),
            doors,
            config,
        );
        let app = app.await.map_err(|error| error.message())?;
        let origins = &self.config.origins;
        let after = restaurant::after::start(Arc::clone(&app)).map_err(|bad| {
            let origin = origins.iter().find(|(name, _)| *name == bad.setting);
            Message::new("config_bad_value")
                .with("key", format!("back_office.{}", bad.setting))
                .with(
                    "origin",
                    origin.map_or("allo.toml", |(_, origin)| origin.as_str()),
                )
                .with("value", "…")
                .with("expected", bad.cause)
        })?;
        let (stop, stopped) = watch::channel(false);
        let own = restaurant::router(&app);
        let router = own
            .clone()
            .merge(pages::router())
            .nest_service(pages::PLATFORM, parts.platform.router())
            .nest_service(pages::BACK_OFFICE, own)
            .layer(Extension(Transport {
                tls: self.config.tls.is_some(),
                relayed: false,
            }));
        let task = tokio::spawn(platform::serve(self.listener, router, stopped));
        Ok(Running {
            address: self.address,
            app,
            voice_by_default: self.config.voice_url.is_none(),
            provisioning: None,
            after,
            stop,
            task,
        })
    }
}

fn of_service<K>(service: &MapService, kind: K) -> Service<K> {
    Service {
        kind,
        url: service.url.clone(),
        key: service.key.clone().map(Secret::new),
        price: service.price,
    }
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its API.
    pub(crate) fn router(&self) -> Router {
        restaurant::router(&self.app)
    }

    /// Begins to provision restaurants: at the voice server of the settings, else at the one of this process, whose platform API
    /// is at this address.
    ///
    /// # Errors
    /// The message says what the database said, or that the address of the voice server is none.
    pub(crate) async fn provision(&mut self, platform: Option<SocketAddr>) -> Result<(), Message> {
        let config = &self.app.config;
        let (url, key) = match platform.filter(|_| self.voice_by_default) {
            Some(address) => {
                let key = match &config.voice_key {
                    Some(key) => key.clone(),
                    None => provisioning::own_key(&self.app.store, &self.app.vault).await?,
                };
                (format!("http://{address}"), Some(key))
            }
            None => (config.voice_url.clone(), config.voice_key.clone()),
        };
        let voice = provisioning::voice(&url, key)?;
        self.provisioning = Some(provision::start(Arc::clone(&self.app), voice));
        Ok(())
    }

    /// Changes no agent any more; requests are still answered. What was begun goes on with the next start.
    pub(crate) async fn stop_provisioning(&mut self) {
        if let Some(provisioning) = self.provisioning.take() {
            provisioning.stop().await;
        }
    }

    /// Stops taking requests and waits for those in progress, a few seconds at most.
    pub(crate) async fn stop(mut self) {
        self.stop_provisioning().await;
        self.after.stop().await;
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the back office ended");
        }
    }
}

/// Users, keys, sessions, secrets and rates are the platform's.
fn doors(parts: &Parts<'_>, rate_per_s: u32) -> Doors {
    let token = AdminToken::new(parts.token);
    let door = Arc::new(Door::new(parts.store.clone(), token, rate_per_s));
    let counting = Arc::clone(&door);
    let (store, vault) = (parts.store.clone(), parts.vault.clone());
    Doors {
        recognise: Arc::new(move |method, headers| {
            let door = Arc::clone(&door);
            Box::pin(async move {
                match door.recognise(&method, &headers).await {
                    Ok(Some(caller)) => credential(caller).map(Some),
                    Ok(None) => Ok(None),
                    Err(NotRecognised::Unknown) => Err(Refused::Unknown),
                    Err(NotRecognised::Forged) => Err(Refused::Forged),
                    Err(NotRecognised::Unavailable) => Err(Refused::Unavailable),
                }
            })
        }),
        take: Arc::new(move |bucket| counting.take(bucket)),
        secret: Arc::new(move |account| {
            let (store, vault) = (store.clone(), vault.clone());
            Box::pin(async move {
                let scope = TenantScope::new(account.as_str().into());
                let found = engine::directory::signing_secret(&store, &vault, &scope).await;
                let found = found.map_err(|_| Refused::Unavailable)?;
                Ok(found.map(|secret| secret.expose().to_owned()))
            })
        }),
    }
}

/// What a credential of the platform is here. The token of a chat's page is none, and neither is a key that was made for a part of
/// the platform's API.
fn credential(caller: Caller) -> Result<Credential, Refused> {
    let narrow = matches!(caller.scopes, Scopes::Some(_));
    if narrow || matches!(caller.actor, Actor::Widget(_)) {
        return Err(Refused::Unknown);
    }
    let bucket = caller.bucket();
    Ok(Credential {
        account: caller.tenant.map(|tenant| tenant.as_str().to_owned()),
        role: match caller.role {
            platform::need::Role::Viewer => Role::Viewer,
            platform::need::Role::Operator => Role::Operator,
            platform::need::Role::Admin => Role::Admin,
            platform::need::Role::Owner => Role::Owner,
        },
        agent: caller.agent,
        bucket,
    })
}
