//! One connection: the handshake, then the session driven by its messages and its deadlines.

use std::fs::File;
use std::io::BufWriter;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_websockets::{CloseCode, Message, ServerBuilder, WebSocketStream};

use crate::scenario::{FaultAction, FaultPoint};
use crate::speech::{Rendered, SpeechError};

use super::faults::Faults;
use super::handshake::{Refusal, Request, refuse, upgrade};
use super::log::{SessionLog, lock};
use super::outbox::Out;
use super::service::Service;
use super::session::{Session, Setup};
use super::{Config, Dialect, Shared, gemini};

/// Longest time for a request head.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time that a message may wait for the client.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves one TCP connection to its end.
pub(super) async fn serve(
    mut stream: TcpStream,
    number: u64,
    full: bool,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let read = tokio::time::timeout(HANDSHAKE_TIMEOUT, Request::read(&mut stream)).await;
    let Ok(Ok(request)) = read else {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        return;
    };
    if let Err(refusal) = admit(&request, number, full, &shared.config).await {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        tracing::info!(status = refusal.status, "the stand-in refuses a connection");
        let _ = refuse(&mut stream, &refusal).await;
        return;
    }
    if upgrade(&mut stream, &request).await.is_err() {
        return;
    }
    shared.open.fetch_add(1, Ordering::Relaxed);
    let log = shared.add_log();
    let session = begin(&request, number, &shared);
    let mut connection = Connection {
        socket: ServerBuilder::new().serve(stream),
        session,
        recorder: Recorder::new(&shared.config, number),
        log: Arc::clone(&log),
    };
    connection.run(&shared.config, stopped).await;
    connection.write_log(true);
    shared.open.fetch_sub(1, Ordering::Relaxed);
}

/// The session of a request that was admitted.
fn begin(request: &Request, number: u64, shared: &Shared) -> Service {
    let config = &shared.config;
    let record = config.record_dir.is_some();
    if config.dialect == Dialect::Gemini {
        let setup = gemini::Setup {
            prepared: Arc::clone(&config.scenario),
            connection: number,
            seed: config.seed,
            key_is_right: request.google_key_is(config.api_key.as_deref()),
            record,
            handles: Arc::clone(&shared.handles),
        };
        return Service::Gemini(Box::new(gemini::Session::new(Instant::now(), setup)));
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let setup = Setup {
        prepared: Arc::clone(&config.scenario),
        model: request.parameter("model").unwrap_or_default().to_owned(),
        connection: number,
        seed: config.seed,
        unix_s: since.map_or(0, |since| since.as_secs()),
        beta: request.beta(),
        record,
        dialect: config.dialect,
    };
    Service::Realtime(Box::new(Session::new(Instant::now(), setup)))
}

/// Whether the request becomes a session.
async fn admit(request: &Request, number: u64, full: bool, config: &Config) -> Result<(), Refusal> {
    if full {
        return Err(Refusal::new(
            503,
            None,
            "The stand-in has too many connections.",
        ));
    }
    request.check(config.api_key.as_deref(), config.dialect)?;
    let faults = &config.scenario.scenario.faults;
    for armed in Faults::new(faults, number).at(FaultPoint::Connect) {
        match armed.action {
            FaultAction::Status => {
                return Err(Refusal::new(
                    armed.status,
                    None,
                    "The scenario refuses this connection.",
                ));
            }
            FaultAction::Delay => tokio::time::sleep(Duration::from_millis(armed.ms)).await,
            FaultAction::Stall => std::future::pending().await,
            FaultAction::Close
            | FaultAction::Abort
            | FaultAction::Garbage
            | FaultAction::Fail
            | FaultAction::Refuse => {}
        }
    }
    Ok(())
}

struct Connection {
    socket: WebSocketStream<TcpStream>,
    session: Service,
    recorder: Recorder,
    log: Arc<Mutex<SessionLog>>,
}

type Rendering = Pin<Box<dyn Future<Output = (String, Result<Arc<Rendered>, SpeechError>)> + Send>>;

impl Connection {
    async fn run(&mut self, config: &Config, mut stopped: watch::Receiver<bool>) {
        let mut rendering: Option<Rendering> = None;
        loop {
            if self.send_all().await.is_err() {
                return;
            }
            self.write_log(false);
            if rendering.is_none()
                && let Some((id, text)) = self.session.poll_render()
            {
                let speech = config.speech.clone();
                let voice = config.scenario.scenario.agent_voice.clone();
                rendering = Some(Box::pin(async move {
                    let made = speech.render(&voice, &text).await;
                    (id, made)
                }));
            }
            let deadline = tokio::time::Instant::from_std(self.session.poll_timeout());
            tokio::select! {
                message = self.socket.next() => match message {
                    Some(Ok(message)) => {
                        if let Some(text) = message.as_text() {
                            self.session.handle_text(Instant::now(), text);
                            self.recorder.write(&mut self.session);
                        } else if message.is_binary() {
                            self.session.handle_binary(Instant::now(), message.as_payload());
                            self.recorder.write(&mut self.session);
                        } else if message.is_close() {
                            return;
                        }
                    }
                    Some(Err(_)) | None => return,
                },
                () = tokio::time::sleep_until(deadline) => {
                    self.session.handle_timeout(Instant::now());
                }
                (id, made) = poll_optional(&mut rendering) => {
                    rendering = None;
                    self.session.handle_rendered(Instant::now(), &id, made);
                }
                _ = stopped.changed() => {
                    let close = Message::close(Some(CloseCode::GOING_AWAY), "");
                    let _ = self.socket.send(close).await;
                    return;
                }
            }
        }
    }

    /// Sends what the session has; an error means that the connection has ended.
    async fn send_all(&mut self) -> Result<(), ()> {
        let mut any = false;
        while let Some(out) = self.session.poll_output() {
            any = true;
            let message = match out {
                Out::Text(text) => Message::text(text),
                Out::Binary(bytes) => Message::binary(bytes),
                Out::Close { code, reason } => {
                    let code = CloseCode::try_from(code).ok();
                    let close = Message::close(code, &reason);
                    let _ = tokio::time::timeout(SEND_TIMEOUT, self.socket.send(close)).await;
                    // The client answers the close; what else it sends is not read as events.
                    let drain = async { while let Some(Ok(_)) = self.socket.next().await {} };
                    let _ = tokio::time::timeout(Duration::from_secs(1), drain).await;
                    return Err(());
                }
                Out::Abort => {
                    let _ = self.socket.get_mut().shutdown().await;
                    return Err(());
                }
            };
            let fed = tokio::time::timeout(SEND_TIMEOUT, self.socket.feed(message)).await;
            if !matches!(fed, Ok(Ok(()))) {
                return Err(());
            }
        }
        if any {
            let flushed = tokio::time::timeout(SEND_TIMEOUT, self.socket.flush()).await;
            if !matches!(flushed, Ok(Ok(()))) {
                return Err(());
            }
        }
        Ok(())
    }

    /// Shows the log outside when something besides audio has happened.
    fn write_log(&mut self, ended: bool) {
        if ended || self.session.log_changed() {
            let mut log = self.session.log().clone();
            log.ended = ended;
            log.server_events = self.session.events_sent();
            *lock(&self.log) = log;
        }
    }
}

/// The future when there is one, else never.
async fn poll_optional(
    rendering: &mut Option<Rendering>,
) -> (String, Result<Arc<Rendered>, SpeechError>) {
    match rendering {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Writes the received audio of a session as WAV.
struct Recorder {
    path: Option<std::path::PathBuf>,
    writer: Option<hound::WavWriter<BufWriter<File>>>,
}

impl Recorder {
    fn new(config: &Config, number: u64) -> Self {
        let dir = config.record_dir.as_ref();
        Self {
            path: dir.map(|dir| dir.join(format!("session-{number}.wav"))),
            writer: None,
        }
    }

    fn write(&mut self, session: &mut Service) {
        let Some(path) = &self.path else {
            return;
        };
        let (samples, sample_rate) = session.take_audio();
        if samples.is_empty() {
            return;
        }
        if self.writer.is_none() {
            let spec = hound::WavSpec {
                channels: 1,
                sample_rate,
                bits_per_sample: 16,
                sample_format: hound::SampleFormat::Int,
            };
            match hound::WavWriter::create(path, spec) {
                Ok(writer) => self.writer = Some(writer),
                Err(error) => {
                    tracing::warn!(%error, "the audio of a session cannot be written");
                    self.path = None;
                    return;
                }
            }
        }
        if let Some(writer) = &mut self.writer {
            for sample in samples {
                // A full disk is no reason to end a session: the recording is for debugging.
                let _ = writer.write_sample(sample);
            }
        }
    }
}
