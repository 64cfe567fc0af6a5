//! The service: OpenAI Realtime GA over WebSocket, `ws://…/v1/realtime?model=…`; as Azure and xAI have it; and Gemini Live.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::scenario::Prepared;
use crate::speech::Speech;

mod brain;
mod connection;
mod conversation;
mod dialect;
mod faults;
mod gemini;
mod handshake;
mod input;
mod log;
mod outbox;
mod response;
mod schema;
mod service;
mod session;
mod settings;
mod usage;

pub use dialect::Dialect;
pub use log::{SessionLog, Statistics};

/// Most connections at once; further ones are answered 503.
pub const CONNECTIONS_MAX: usize = 2_000;
/// Most session logs kept.
pub const SESSION_LOGS_MAX: usize = 1_000;
/// Longest time that [`Server::shutdown`] waits for the sessions to close.
const SHUTDOWN_BOUND: Duration = Duration::from_secs(3);

/// How the service runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What it says and hears.
    pub scenario: Arc<Prepared>,
    /// The only key that is accepted; none accepts every one.
    pub api_key: Option<String>,
    /// Speaks what a response is instructed to say word for word.
    pub speech: Speech,
    /// The audio received in each session is written here as WAV, for debugging.
    pub record_dir: Option<PathBuf>,
    /// Seed of identifiers.
    pub seed: u64,
    /// Whose service it stands in for.
    pub dialect: Dialect,
}

impl Config {
    /// A service on a free port of the loopback interface, with no key.
    pub fn new(scenario: Arc<Prepared>, speech: Speech) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            scenario,
            api_key: None,
            speech,
            record_dir: None,
            seed: 0,
            dialect: Dialect::OpenAi,
        }
    }
}

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address could not be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// The running service. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    config: Config,
    connections: AtomicU64,
    refused: AtomicU64,
    open: AtomicU64,
    sessions: Mutex<Sessions>,
    handles: gemini::Handles,
}

#[derive(Debug, Default)]
struct Sessions {
    logs: VecDeque<Arc<Mutex<SessionLog>>>,
    /// The counts of sessions whose logs are not kept.
    forgotten: Statistics,
}

impl Shared {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions
            .lock()
            .expect("nothing panics while it holds the logs")
    }

    /// A log for a new session.
    fn add_log(&self) -> Arc<Mutex<SessionLog>> {
        let log = Arc::new(Mutex::new(SessionLog::default()));
        let mut sessions = self.sessions();
        if sessions.logs.len() >= SESSION_LOGS_MAX
            && let Some(old) = sessions.logs.pop_front()
        {
            let old = log::lock(&old).clone();
            sessions.forgotten.add(&old);
        }
        sessions.logs.push_back(Arc::clone(&log));
        log
    }
}

impl Server {
    /// Binds and serves.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let address = config.listen;
        let listen = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let local_addr = listener.local_addr().map_err(listen)?;
        let shared = Arc::new(Shared {
            config,
            connections: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            open: AtomicU64::new(0),
            sessions: Mutex::default(),
            handles: gemini::Handles::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), stopped));
        Ok(Self {
            local_addr,
            shared,
            stop,
            accepting,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The WebSocket address to give to a client, without the model.
    pub fn url(&self) -> String {
        format!(
            "ws://{}{}",
            self.local_addr,
            self.shared.config.dialect.path()
        )
    }

    /// Counts so far.
    pub fn statistics(&self) -> Statistics {
        let sessions = self.shared.sessions();
        let mut counts = sessions.forgotten.clone();
        for session in &sessions.logs {
            counts.add(&log::lock(session));
        }
        counts.connections = self.shared.connections.load(Ordering::Relaxed);
        counts.refused = self.shared.refused.load(Ordering::Relaxed);
        counts.open = self.shared.open.load(Ordering::Relaxed);
        counts
    }

    /// The sessions so far, the oldest first (the last [`SESSION_LOGS_MAX`]).
    pub fn sessions(&self) -> Vec<SessionLog> {
        let sessions = self.shared.sessions();
        sessions
            .logs
            .iter()
            .map(|session| log::lock(session).clone())
            .collect()
    }

    /// Closes every session and stops.
    pub async fn shutdown(mut self) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(SHUTDOWN_BOUND, &mut self.accepting)
            .await
            .is_err()
        {
            self.accepting.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts until told to stop; the connections end with this task.
async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
                    let full = connections.len() >= CONNECTIONS_MAX;
                    connections.spawn(connection::serve(
                        stream,
                        number,
                        full,
                        Arc::clone(&shared),
                        stopped.clone(),
                    ));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: wait for some to be closed.
                    tracing::warn!(%error, "the stand-in cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    while connections.join_next().await.is_some() {}
}
