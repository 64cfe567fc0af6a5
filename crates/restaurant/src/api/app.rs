//! What every handler may use.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use ::store::secret::Vault;
use ::store::{Db, OpenError, Store};
use axum::http::{HeaderMap, Method};
use catalog::Language;
use courier::Courier;
use tokio::sync::broadcast;

use super::who::Role;

/// Events that a slow watcher may be behind.
const EVENTS_KEPT: usize = 256;

/// A credential of the platform that was recognised.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The account that it belongs to; `None`: the operator of the node.
    pub account: Option<String>,
    /// What it may do at most.
    pub role: Role,
    /// The one agent that it is of: it comes from the voice side.
    pub agent: Option<String>,
    /// Name by which it is counted.
    pub bucket: String,
}

/// Why a credential was not recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is wrong, expired or taken back.
    Unknown,
    /// A cookie, and nothing that proves that a page of ours sent it.
    Forged,
    /// The database does not answer.
    Unavailable,
}

/// An answer that is waited for.
pub type Waited<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Whose credential is in the headers of a request; `None` when there is none.
pub type Recognise =
    dyn Fn(Method, HeaderMap) -> Waited<Result<Option<Credential>, Refused>> + Send + Sync;
/// Takes one request of somebody's rate; the error is the seconds until the next may come.
pub type Take = dyn Fn(&str) -> Result<(), u64> + Send + Sync;
/// The secret by which an account's tools and webhooks are signed.
pub type SecretOf = dyn Fn(String) -> Waited<Result<Option<String>, Refused>> + Send + Sync;

/// What the back office asks of the rest of the house: users, keys and secrets are one store.
#[derive(Clone)]
pub struct Doors {
    /// Who shows a credential.
    pub recognise: Arc<Recognise>,
    /// Everybody's rate.
    pub take: Arc<Take>,
    /// An account's secret.
    pub secret: Arc<SecretOf>,
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doors")
    }
}

/// Configuration of the back office.
#[derive(Clone, Debug)]
pub struct Config {
    /// Language of answers where the client names none that we speak.
    pub language: Language,
    /// Requests without a credential or signature are let in as the owner's, for existing clients. The listener must be on
    /// loopback, and so must the client and the name that it asks for.
    pub unsigned: bool,
    /// `GET /api/sip/agents` gives passwords of lines in clear. The listener must be on loopback.
    pub clear_passwords: bool,
    /// Secret by which a voice server elsewhere signs, beside those of the accounts here.
    pub voice_secret: Option<courier::Secret>,
    /// The voice server that restaurants are provisioned at.
    pub voice_url: String,
    /// How that server reaches this back office.
    pub own_url: String,
    /// Key of the account there.
    pub voice_key: Option<courier::Secret>,
    /// How messages leave.
    pub senders: crate::after::SenderConfig,
    /// Map services, and places that were imported.
    pub maps: crate::maps::MapConfig,
}

/// Something that staff see at once.
#[derive(Clone, Debug)]
pub struct Happened {
    /// The restaurant.
    pub restaurant: String,
    /// `order.created` and so on.
    pub kind: &'static str,
    /// What it is about.
    pub payload: serde_json::Value,
}

/// The back office.
pub struct App {
    /// Its tables.
    pub db: Db,
    /// The product's database.
    pub store: Store,
    /// What opens and seals passwords of lines.
    pub vault: Vault,
    /// The way out.
    pub courier: Courier,
    /// The rest of the house.
    pub doors: Doors,
    /// Its settings.
    pub config: Config,
    /// Where addresses are.
    pub maps: crate::maps::Maps,
    /// Menus as they were read last.
    pub menus: crate::desk::facts::Menus,
    /// Confirmations that wait for their restaurant.
    pub counters: crate::desk::placing::Counters,
    /// Signatures of late.
    pub replays: super::replay::Replays,
    /// What staff see at once.
    pub happened: broadcast::Sender<Happened>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// Opens the back office on the database of the product.
    ///
    /// # Errors
    /// See [`OpenError`]: its tables cannot be made or read.
    pub async fn open(
        store: Store,
        vault: Vault,
        courier: Courier,
        doors: Doors,
        config: Config,
    ) -> Result<Arc<Self>, OpenError> {
        let maps = crate::maps::Maps::new(&config.maps, courier.clone());
        Ok(Arc::new(Self {
            maps,
            db: crate::store::open(&store).await?,
            store,
            vault,
            courier,
            doors,
            config,
            menus: crate::desk::facts::Menus::default(),
            counters: crate::desk::placing::Counters::default(),
            replays: super::replay::Replays::default(),
            happened: broadcast::channel(EVENTS_KEPT).0,
        }))
    }

    /// Tells whoever watches.
    pub fn tell(&self, restaurant: &str, kind: &'static str, payload: serde_json::Value) {
        // Nobody may be watching.
        let _ = self.happened.send(Happened {
            restaurant: restaurant.to_owned(),
            kind,
            payload,
        });
    }
}
