//! A carrier that brings calls as Twilio does: it calls the webhook with a signature, reads the document, opens the stream with a
//! signature, sends 20 ms of the caller every 20 ms, plays what it is sent in real time, and serves the interface by which its calls
//! are ended, handed over and placed.
//!
//! It judges what it is sent: holes in the audio after its beginning, marks that make no sense, messages for another stream.

mod http;
mod line;
mod queue;
mod rest;
mod sign;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use queue::Stretch;
pub use sign::Signing;

use line::Order;

/// Orders that may wait for one call.
const ORDERS_MAX: usize = 8;

/// What the carrier is.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where its interface listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Id of the account.
    pub account_sid: String,
    /// Its token, for the interface.
    pub auth_token: String,
    /// How webhooks are signed.
    pub signing: Signing,
    /// How handshakes of streams are signed.
    pub stream_signing: Signing,
    /// Origin that webhooks and streams are signed for, where it is not the address that is connected to.
    pub public_url: Option<String>,
}

/// What the caller does.
#[derive(Clone, Debug)]
pub struct Script {
    /// How long the call lasts.
    pub lasts: Duration,
    /// How often the caller speaks into the agent's words; the call ends after that many.
    pub interruptions: u32,
    /// The caller speaks when the agent has been silent for this long; `None`: never.
    pub speaks_after: Option<Duration>,
    /// Length of what the caller says, ms.
    pub says_ms: u32,
    /// Keys pressed after the agent's first words.
    pub digits: String,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            lasts: Duration::from_secs(5),
            interruptions: 0,
            speaks_after: None,
            says_ms: 300,
            digits: String::new(),
        }
    }
}

/// What became of a call.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Status of the webhook's answer.
    pub webhook_status: u16,
    /// Its document.
    pub document: String,
    /// Status of the stream's handshake; 101 when it was accepted.
    pub stream_status: u16,
    /// Who ended it: `caller`, `agent`, `interface`.
    pub ended_by: String,
    /// What the interface was asked last.
    pub asked: String,
    /// From the stream's start to its first audio, ms.
    pub first_audio_ms: Option<u64>,
    /// Audio that was played, ms.
    pub played_ms: u64,
    /// Messages with audio that came.
    pub media: u64,
    /// Most audio in one message, ms.
    pub media_ms_max: u64,
    /// Most audio that waited to be played, ms.
    pub deepest_ms: u64,
    /// Holes in the audio after its beginning.
    pub underruns: u64,
    /// Their lengths, ms.
    pub holes_ms: Vec<u64>,
    /// Marks that came, and clears.
    pub marks: u64,
    /// See `marks`.
    pub clears: u64,
    /// Marks with a name that was used before.
    pub wrong_marks: u64,
    /// Messages for another stream, or of an unknown kind.
    pub wrong_messages: u64,
    /// When the caller spoke, ms since the stream began.
    pub said_ms: Vec<u64>,
    /// When clears came, ms since the stream began.
    pub clears_ms: Vec<u64>,
    /// What was heard.
    pub stretches: Vec<Stretch>,
    /// Latest that a message of the caller left after its time, ms: the carrier's own lateness.
    pub late_ms_max: u64,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    next: AtomicU64,
    calls: Mutex<BTreeMap<String, mpsc::Sender<Order>>>,
    placed: Mutex<Vec<Outcome>>,
}

impl Shared {
    fn calls(&self) -> MutexGuard<'_, BTreeMap<String, mpsc::Sender<Order>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids as the carrier writes them.
    fn id(&self, prefix: &str) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!(
            "{prefix}{}{number:08x}",
            &uuid::Uuid::new_v4().simple().to_string()[..24]
        )
    }
}

/// The running carrier. Dropping it stops its interface.
#[derive(Debug)]
pub struct Carrier {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Carrier {
    /// Opens the interface.
    ///
    /// # Errors
    /// When its address cannot be bound.
    pub async fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            config,
            next: AtomicU64::new(1),
            calls: Mutex::default(),
            placed: Mutex::default(),
        });
        let serving = tokio::spawn(rest::serve(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            serving,
        })
    }

    /// Base address of the interface.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A call comes in: the webhook is asked, the stream opened, the script played.
    ///
    /// # Errors
    /// When the webhook cannot be reached.
    pub async fn call(
        &self,
        webhook: &str,
        from: &str,
        to: &str,
        script: &Script,
    ) -> io::Result<Outcome> {
        line::incoming(&self.shared, webhook, from, to, script).await
    }

    /// What became of the calls that the interface was asked to place, those that ended.
    pub fn placed(&self) -> Vec<Outcome> {
        self.shared
            .placed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
