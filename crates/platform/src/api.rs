//! What every handler may use, and the configuration of the API.

use crate::carriers::Carriers;
use crate::events::Events;
use crate::limits::CAPTURES_AT_ONCE;
use crate::rate::{Limiter, Rate};
use crate::routes::browser::Grant;
use crate::seats::Seats;
use crate::servers::Servers;
use crate::tickets::Tickets;
use crate::trials::Trials;
use catalog::Language;
use engine::Engine;
use ipnet::IpNet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Instant;
use store::secret::Vault;
use store::{Keeper, Store};
use subtle::ConstantTimeEq as _;
use tokio::sync::{Mutex, Semaphore};

/// Queues of writers; a path belongs to one of them.
const TURNS: usize = 256;

/// The admin token of the process: it never prints itself and compares in constant time.
#[derive(Clone)]
pub struct AdminToken(Arc<[u8]>);

impl AdminToken {
    /// Wraps the token.
    pub fn new(token: &str) -> Self {
        Self(token.as_bytes().into())
    }

    pub(crate) fn matches(&self, presented: &str) -> bool {
        !self.0.is_empty() && bool::from(self.0.ct_eq(presented.as_bytes()))
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(***)")
    }
}

/// Configuration of the API.
#[derive(Clone, Debug)]
pub struct Config {
    /// Token of the process's owner.
    pub admin_token: AdminToken,
    /// Requests without a credential are the owner's. The listener must be on loopback: see [`crate::may_be_open`].
    pub unauthenticated: bool,
    /// `GET /api/sip/agents` gives passwords of lines in clear. The listener must be on loopback.
    pub clear_passwords: bool,
    /// Language of answers where the client names none that we speak.
    pub language: Language,
    /// Requests a second of one credential.
    pub rate_per_s: u32,
    /// Proxies that are believed when they name a client and a scheme (`X-Forwarded-For`, `X-Forwarded-Proto`).
    pub proxies: Vec<IpNet>,
    /// The way to carriers that ring for us; none: no such call is placed.
    pub carriers: Option<Carriers>,
    /// Origin that carriers call (`voice.public_url`), where it is known.
    pub voice_url: Option<String>,
    /// The manager of agents; none: this process has none.
    pub servers: Option<Servers>,
    /// What is tried outside of calls; none: nothing can be.
    pub trials: Option<Trials>,
    /// Parts of the product that keep data of people beside the store's own.
    pub keepers: Vec<Keeper>,
    /// Version of the program.
    pub version: &'static str,
}

/// Called after each write that running calls or registrations may have to follow.
pub type Nudge = Arc<dyn Fn() + Send + Sync>;

/// The parts of the house that the API works with.
pub struct Api {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) engine: Engine,
    pub(crate) config: Config,
    pub(crate) limiter: Limiter,
    /// Failed log-ins, by address of the client and by address of the user.
    pub(crate) failures: Limiter,
    pub(crate) events: Arc<Events>,
    /// Calls from pages that wait for their sound.
    pub(crate) browsers: Tickets<Grant>,
    /// Those who listen to calls.
    pub(crate) listeners: Arc<Seats>,
    /// Files of calls that are made at the same time.
    pub(crate) captures: Arc<Semaphore>,
    pub(crate) nudge: Nudge,
    /// Wakes the delivery of webhooks.
    pub(crate) outbox: Nudge,
    pub(crate) started: Instant,
    turns: Vec<Mutex<()>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    /// Puts the parts together. `nudge` is called after each write, `outbox` when a
    /// webhook is to be sent again.
    pub fn new(
        store: Store,
        vault: Vault,
        engine: Engine,
        config: Config,
        nudge: Nudge,
        outbox: Nudge,
    ) -> Arc<Self> {
        let events = Events::start(&engine, config.servers.as_ref());
        Arc::new(Self {
            store,
            vault,
            engine,
            config,
            limiter: Limiter::default(),
            failures: Limiter::default(),
            events,
            browsers: Tickets::default(),
            listeners: Arc::default(),
            captures: Arc::new(Semaphore::new(CAPTURES_AT_ONCE)),
            nudge,
            outbox,
            started: Instant::now(),
            turns: (0..TURNS).map(|_| Mutex::new(())).collect(),
        })
    }

    /// Whose turn it is to write the thing at this path.
    pub(crate) fn turn(&self, path: &str) -> &Mutex<()> {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or(0);
        &self.turns[place]
    }

    pub(crate) fn rate(&self) -> Rate {
        Rate::of(self.config.rate_per_s)
    }
}
