//! The courier itself: its settings, and the doors to what it does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::client::Clients;
use crate::guard::{Allow, BadAllow};
use crate::limits::{DEADLINE_DEFAULT, EXCHANGES_MAX};

use crate::mcp::Sessions;
use crate::metrics::{Counts, Metrics};
use crate::resolve::Lookup;
use crate::secret::Secret;
use crate::traces::{Collector, Exporter};

/// What the courier needs to know of the process.
#[derive(Clone, Debug)]
pub struct CourierConfig {
    /// Origins and networks that the operator opens (`tools.allow_private`, the configured back office).
    pub allow: Allow,
    /// PEM of authorities to trust beside the system's.
    pub extra_ca_pem: Vec<u8>,
    /// Name servers to ask; empty: the system's.
    pub name_servers: Vec<SocketAddr>,
    /// The deadline of an exchange where a tool names none.
    pub deadline: Duration,
    /// Where traces go; none: no trace is told, and no request says to which it belongs.
    pub collector: Option<Collector>,
}

impl Default for CourierConfig {
    fn default() -> Self {
        Self {
            allow: Allow::default(),
            extra_ca_pem: Vec::new(),
            name_servers: Vec::new(),
            deadline: DEADLINE_DEFAULT,
            collector: None,
        }
    }
}

/// Why the courier cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The additional authorities are no certificates.
    #[error("the additional authorities are not PEM certificates")]
    Authorities,
    /// The TLS library refused its settings.
    #[error("the TLS settings cannot be used")]
    Tls {
        /// What it said.
        #[source]
        source: rustls::Error,
    },
    /// The HTTP client refused its settings.
    #[error("the HTTP client cannot be built")]
    Client {
        /// What it said.
        #[source]
        source: reqwest::Error,
    },
    /// The collector of traces cannot be used.
    #[error("the collector of traces: {0}")]
    Collector(String),
    /// An entry of the list of private origins and networks.
    #[error(transparent)]
    Allow(#[from] BadAllow),
}

/// On whose behalf a request is made.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Id of the tenant.
    pub tenant: String,
    /// Id of the agent, where one is involved.
    pub agent: Option<String>,
    /// Id of the call, where there is one.
    pub call: Option<String>,
    /// The account's secret for `X-Allo-Signature`; none: the request is not signed.
    pub signing_secret: Option<Secret>,
    /// The hosts that the agent may reach; empty: any that the guard lets through.
    pub hosts: Vec<String>,
    /// The trace that the request belongs to, as the header says it.
    pub traceparent: Option<String>,
}

/// Makes every HTTP request of the house. Clones share pools, sessions and figures.
#[derive(Clone)]
pub struct Courier {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) clients: Clients,
    pub(crate) allow: Arc<Allow>,
    pub(crate) deadline: Duration,
    pub(crate) permits: Semaphore,
    pub(crate) metrics: Metrics,
    pub(crate) sessions: Sessions,
    pub(crate) traces: Option<Exporter>,
}

impl Courier {
    /// Builds the clients. Nothing is connected yet.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn new(config: CourierConfig) -> Result<Self, StartError> {
        let allow = Arc::new(config.allow);
        let lookup = Lookup::new(&config.name_servers);
        let start = |collector| Exporter::start(collector, config.extra_ca_pem.clone());
        let traces = config.collector.map(start).transpose();
        let traces = traces.map_err(|error| StartError::Collector(error.to_string()))?;
        let clients = Clients::build(&config.extra_ca_pem, &lookup, &allow)?;
        Ok(Self {
            inner: Arc::new(Inner {
                clients,
                allow,
                deadline: config.deadline,
                permits: Semaphore::new(EXCHANGES_MAX),
                metrics: Metrics::default(),
                sessions: Sessions::default(),
                traces,
            }),
        })
    }

    /// The way of traces, where they are told.
    pub fn traces(&self) -> Option<&Exporter> {
        self.inner.traces.as_ref()
    }

    /// The figures of the room.
    pub fn counts(&self) -> Counts {
        self.inner.metrics.counts()
    }
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Courier")
    }
}
