//! The way to the manager of agents: the server has it, the API only asks.

use engine::agents::{AgentStatus, Agents};
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;

/// A process of an agent that is kept as processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerProcess {
    /// It speaks (`app`), or holds an account (`bridge`).
    pub role: &'static str,
    /// The account of a bridge.
    pub line: Option<String>,
    /// Its id in the system.
    pub pid: u32,
    /// The port of its interface.
    pub port: u16,
    /// Resident memory, in bytes.
    pub memory: u64,
    /// Calls of it.
    pub calls: u64,
    /// It was told to end.
    pub ends: bool,
}

/// Where an agent runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerPlace {
    /// Port at which carriers bring its calls.
    pub app: Option<u16>,
    /// Port at which SIP is spoken for it.
    pub bridge: Option<u16>,
    /// Processes that serve it.
    pub pids: Vec<u32>,
    /// Its own processes, where it has any.
    pub processes: Vec<ServerProcess>,
    /// Calls that run now.
    pub calls: u64,
}

/// What came of reading everything again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Agents of the back office's list; `None`: there is no such list.
    pub listed: Option<usize>,
    /// Of them new.
    pub added: usize,
    /// Of them changed.
    pub changed: usize,
    /// Not listed any more.
    pub removed: usize,
}

/// Why that failed.
#[derive(Clone, Debug)]
pub enum NotRefreshed {
    /// The database did not answer.
    Store,
    /// The back office did not, or answered with something else than a list.
    Discovery {
        /// Its address.
        address: String,
        /// In words.
        cause: String,
    },
}

type PlaceOf = dyn Fn(&AgentStatus) -> ServerPlace + Send + Sync;
/// `true`: the list of the back office too.
type Refresh = dyn Fn(bool) -> BoxFuture<'static, Result<Refreshed, NotRefreshed>> + Send + Sync;

/// Agents as the manager of this process sees them.
#[derive(Clone)]
pub struct Servers {
    pub(crate) agents: Agents,
    place: Arc<PlaceOf>,
    refresh: Arc<Refresh>,
}

impl Servers {
    /// Wraps the manager, what says where an agent runs, and what reads everything again (`true`: the back office's list too).
    pub fn new(
        agents: Agents,
        place: impl Fn(&AgentStatus) -> ServerPlace + Send + Sync + 'static,
        refresh: impl Fn(bool) -> BoxFuture<'static, Result<Refreshed, NotRefreshed>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            agents,
            place: Arc::new(place),
            refresh: Arc::new(refresh),
        }
    }

    pub(crate) fn place(&self, agent: &AgentStatus) -> ServerPlace {
        (self.place)(agent)
    }

    pub(crate) async fn refresh(&self, whole: bool) -> Result<Refreshed, NotRefreshed> {
        (self.refresh)(whole).await
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Servers")
    }
}
