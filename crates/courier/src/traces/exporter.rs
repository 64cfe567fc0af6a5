//! The way to a collector: a bounded queue, batches, a few attempts, and a word in the log where it does not take them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use catalog::Message;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use url::Url;

use super::otlp;
use super::span::Span;
use crate::courier::{Courier, CourierConfig, StartError};
use crate::guard::{Allow, BadAllow};
use crate::http::{Order, Reply, SendError, exchange, jittered};
use crate::limits::{
    RETRY_AFTER_MAX, SPANS_AT_ONCE_MAX, SPANS_WAIT, SPANS_WAITING_MAX, TRACES_ATTEMPTS,
    TRACES_PAUSE, TRACES_WITHIN,
};
use crate::log::say;
use crate::secret::Secret;

/// Answers of a collector that is to be asked again (OTLP/HTTP, "Retryable Response Codes").
const RETRYABLE: [StatusCode; 4] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];
/// Largest answer that is read, bytes.
const ANSWER_MAX: usize = 16 * 1024;

/// Why a collector cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadCollector {
    /// The address is none.
    #[error("not an http or https address")]
    Address,
    /// A header is none.
    #[error("a header that cannot be sent")]
    Header,
    /// It cannot be allowed.
    #[error(transparent)]
    Allow(#[from] BadAllow),
    /// The client cannot be built.
    #[error(transparent)]
    Client(#[from] StartError),
}

/// Where traces go, and what is said of the process there.
#[derive(Clone, Debug)]
pub struct Collector {
    /// Address of the signal: `http://collector:4318/v1/traces`.
    pub url: String,
    /// Headers of each request, credentials included.
    pub headers: Vec<(String, Secret)>,
    /// `service.name`.
    pub service: String,
    /// `service.version`.
    pub version: String,
    /// Telephone numbers are told whole; else their last digits alone.
    pub numbers: bool,
}

enum Item {
    Span(Box<Span>),
    /// Everything before it is to leave now.
    Flush(oneshot::Sender<()>),
}

/// Takes spans. Clones share the queue.
#[derive(Clone)]
pub struct Exporter {
    queue: mpsc::Sender<Item>,
    lost: Arc<AtomicU64>,
    numbers: bool,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exporter")
    }
}

impl Exporter {
    /// Starts the way to a collector; the PEM is of authorities to trust beside the system's. It ends when the last handle is dropped.
    ///
    /// # Errors
    /// See [`BadCollector`].
    pub fn start(collector: Collector, extra_ca_pem: Vec<u8>) -> Result<Self, BadCollector> {
        let lost = Arc::new(AtomicU64::new(0));
        let numbers = collector.numbers;
        let way = Way::to(collector, extra_ca_pem, Arc::clone(&lost))?;
        let (queue, items) = mpsc::channel(SPANS_WAITING_MAX);
        tokio::spawn(way.run(items));
        Ok(Self {
            queue,
            lost,
            numbers,
        })
    }

    /// Whether spans can go to an address.
    #[must_use]
    pub fn is_address(url: &str) -> bool {
        address(url).is_some()
    }

    /// Whether a header can be sent.
    #[must_use]
    pub fn is_header(name: &str, value: &str) -> bool {
        HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok()
    }

    /// Hands a span over. Never waits: one that finds no place is lost, and counted.
    pub fn tell(&self, span: Span) {
        if self.queue.try_send(Item::Span(Box::new(span))).is_err() {
            self.lose(1);
        }
    }

    /// Counts spans that could not be made.
    pub fn lose(&self, count: u64) {
        self.lost.fetch_add(count, Ordering::Relaxed);
    }

    /// Whether telephone numbers are told whole.
    #[must_use]
    pub fn shows_numbers(&self) -> bool {
        self.numbers
    }

    /// Spans that were lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Ready once what was handed over before has left or is lost, or after `bound`.
    pub async fn flush(&self, bound: Duration) {
        let (done, left) = oneshot::channel();
        let flush = async {
            if self.queue.send(Item::Flush(done)).await.is_ok() {
                let _ = left.await;
            }
        };
        let _ = tokio::time::timeout(bound, flush).await;
    }
}

struct Way {
    courier: Courier,
    url: String,
    headers: HeaderMap,
    resource: Vec<(&'static str, String)>,
    lost: Arc<AtomicU64>,
    /// The latest batch did not arrive, and the log says so.
    fails: bool,
}

impl Way {
    fn to(
        collector: Collector,
        extra_ca_pem: Vec<u8>,
        lost: Arc<AtomicU64>,
    ) -> Result<Self, BadCollector> {
        let url = address(&collector.url).ok_or(BadCollector::Address)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &collector.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| BadCollector::Header)?;
            let value = HeaderValue::try_from(value.expose());
            let mut value = value.map_err(|_| BadCollector::Header)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        // A client of its own: the address of the collector is opened for nobody else.
        let courier = Courier::new(CourierConfig {
            allow: Allow::parse(&[url.origin().ascii_serialization()])?,
            extra_ca_pem,
            ..CourierConfig::default()
        })?;
        Ok(Self {
            courier,
            url: url.into(),
            headers,
            resource: vec![
                ("service.name", collector.service),
                ("service.version", collector.version),
            ],
            lost,
            fails: false,
        })
    }

    async fn run(mut self, mut items: mpsc::Receiver<Item>) {
        let mut spans: Vec<Span> = Vec::new();
        let mut due: Option<Instant> = None;
        loop {
            let next = due;
            let wait = async move {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let (leaves, waiting) = tokio::select! {
                item = items.recv() => match item {
                    Some(Item::Span(span)) => {
                        spans.push(*span);
                        due.get_or_insert_with(|| Instant::now() + SPANS_WAIT);
                        (spans.len() >= SPANS_AT_ONCE_MAX, None)
                    }
                    Some(Item::Flush(done)) => (true, Some(done)),
                    None => break,
                },
                () = wait => (true, None),
            };
            if leaves {
                due = None;
                self.send(std::mem::take(&mut spans)).await;
            }
            if let Some(done) = waiting {
                let _ = done.send(());
            }
        }
        self.send(spans).await;
    }

    /// Sends a batch, a few times where that may help; what the collector does not take is lost.
    async fn send(&mut self, spans: Vec<Span>) {
        if spans.is_empty() {
            return;
        }
        let body = Bytes::from(otlp::request(&self.resource, &spans));
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        drop(spans);
        let mut attempt = 1;
        let (lost, cause) = loop {
            let mut pause = TRACES_PAUSE * attempt;
            match self.post(body.clone()).await {
                Ok(reply) if reply.is_success() => {
                    let rejected = otlp::rejected(&reply.body).min(count);
                    break (rejected, "rejected".to_owned());
                }
                Ok(reply) if attempt < TRACES_ATTEMPTS && is_retryable(&reply) => {
                    pause = reply.retry_after.unwrap_or(pause).min(RETRY_AFTER_MAX);
                }
                Ok(reply) => break (count, format!("HTTP {}", reply.status)),
                Err(SendError::Unreachable | SendError::Broken | SendError::TimedOut)
                    if attempt < TRACES_ATTEMPTS => {}
                Err(error) => break (count, error.label().to_owned()),
            }
            tokio::time::sleep(jittered(pause)).await;
            attempt += 1;
        };
        self.lost.fetch_add(lost, Ordering::Relaxed);
        self.note(lost > 0, cause);
    }

    async fn post(&self, body: Bytes) -> Result<Reply, SendError> {
        let order = Order {
            method: Method::POST,
            url: &self.url,
            headers: self.headers.clone(),
            body,
            hosts: &[],
            signing_secret: None,
            repeatable: false,
            within: TRACES_WITHIN,
            reply_max: ANSWER_MAX,
        };
        exchange(&self.courier.inner, &order).await
    }

    /// A collector that fails is told of once, and once when it takes spans again.
    fn note(&mut self, fails: bool, cause: String) {
        if fails == self.fails {
            return;
        }
        self.fails = fails;
        let message = if fails {
            Message::new("log_traces_lost").with("cause", cause)
        } else {
            Message::new("log_traces_taken")
        };
        say(&message);
    }
}

fn address(url: &str) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.host().is_some();
    (is_web && url.username().is_empty() && url.password().is_none()).then_some(url)
}

fn is_retryable(reply: &Reply) -> bool {
    StatusCode::from_u16(reply.status).is_ok_and(|status| RETRYABLE.contains(&status))
}
