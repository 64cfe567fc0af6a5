//! The call's link to its engine: one session at a time, a second one while it is being replaced.
//!
//! A session exists from the moment its connection is begun, so that what the caller says meanwhile is kept for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use call::EngineFailure;
use media::Codec;
use tokio_rustls::TlsConnector;
use wire::Protocol;
use wire::realtime::{AudioFormat, Conversation, HistoryItem, SessionSettings, Spelling};

use crate::config::{AgentConfig, EngineChoice};
use crate::realtime_client::{ConnectError, EngineSocket, SocketEvent, Target, connect};

/// An engine that says nothing for this long is pinged.
const PING_AFTER: Duration = Duration::from_secs(10);
/// An engine that says nothing for this long, pings included, is gone.
const SILENT_MAX: Duration = Duration::from_secs(20);

/// Connections tried for one rotation before the running session is given up.
const ROTATION_TRIES_MAX: u8 = 3;

type Connecting = Pin<Box<dyn Future<Output = Result<EngineSocket, ConnectError>> + Send>>;

enum Transport {
    Connecting(Connecting),
    Open(Box<EngineSocket>),
}

/// One session with the engine.
struct EngineSession {
    transport: Transport,
    conversation: Conversation,
    ready: bool,
    /// Ready by then, or it counts as timed out.
    ready_by: Instant,
    heard_at: Instant,
    pinged: bool,
}

/// Which of the two sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Current,
    Next,
}

/// What the link reports.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// Its conversation has news.
    News(Which),
    /// A session is gone, or never came.
    Lost {
        which: Which,
        failure: EngineFailure,
        detail: String,
        status: Option<u16>,
    },
}

/// The link.
pub(crate) struct EngineLink {
    target: Arc<Target>,
    connector: TlsConnector,
    settings: SessionSettings,
    spelling: Spelling,
    append_ms: u32,
    connect_within: Duration,
    current: Option<EngineSession>,
    next: Option<EngineSession>,
    muted: bool,
    dropped_ms: u64,
    rotation_tries: u8,
}

impl EngineLink {
    /// A link for an agent; audio goes both ways in the codec of the leg.
    pub(crate) fn new(
        agent: &AgentConfig,
        target: Arc<Target>,
        connector: TlsConnector,
        codec: Codec,
    ) -> Self {
        let choice = &agent.engine;
        let spelling = match choice.realtime.protocol {
            Protocol::Realtime(spelling) => spelling,
            Protocol::Gemini => Spelling::OPENAI,
        };
        Self {
            target,
            connector,
            settings: settings(agent, choice, codec),
            spelling,
            append_ms: choice.realtime.append_ms,
            connect_within: choice.realtime.connect_timeout,
            current: None,
            next: None,
            muted: false,
            dropped_ms: 0,
            rotation_tries: 0,
        }
    }

    /// Begins a session; it replaces the current one, or waits beside it for its rotation.
    pub(crate) fn connect(&mut self, now: Instant, which: Which, history: &[HistoryItem]) {
        let mut conversation = Conversation::new(self.settings.clone(), self.spelling);
        conversation.set_append_ms(self.append_ms);
        conversation.set_input_muted(self.muted);
        if !history.is_empty() {
            conversation.replay(history);
        }
        let connecting = connect(Arc::clone(&self.target), self.connector.clone());
        let session = EngineSession {
            transport: Transport::Connecting(Box::pin(connecting)),
            conversation,
            ready: false,
            ready_by: now + self.connect_within,
            heard_at: now,
            pinged: false,
        };
        match which {
            Which::Current => {
                self.close(Which::Current);
                self.current = Some(session);
            }
            Which::Next => self.next = Some(session),
        }
    }

    /// Closes a session; a closing frame is tried, not awaited.
    pub(crate) fn close(&mut self, which: Which) {
        let slot = self.slot(which);
        if let Some(mut session) = slot.take() {
            if let Transport::Open(socket) = &mut session.transport {
                socket.close();
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let _ = socket.poll(&mut cx);
            }
            self.dropped_ms += session.conversation.counters().audio_dropped_ms;
        }
    }

    /// Whether a rotation that failed may be tried again; counts the try.
    pub(crate) fn may_rotate_again(&mut self) -> bool {
        self.rotation_tries += 1;
        self.current.is_some() && self.rotation_tries < ROTATION_TRIES_MAX
    }

    /// Puts the next session in the place of the current one.
    pub(crate) fn rotate(&mut self) {
        self.rotation_tries = 0;
        self.close(Which::Current);
        self.current = self.next.take();
    }

    fn slot(&mut self, which: Which) -> &mut Option<EngineSession> {
        match which {
            Which::Current => &mut self.current,
            Which::Next => &mut self.next,
        }
    }

    /// The conversation of a session.
    pub(crate) fn conversation(&mut self, which: Which) -> Option<&mut Conversation> {
        self.slot(which)
            .as_mut()
            .map(|session| &mut session.conversation)
    }

    /// The session's settings are accepted.
    pub(crate) fn set_ready(&mut self, which: Which) {
        if let Some(session) = self.slot(which) {
            session.ready = true;
        }
    }

    /// Milliseconds of caller audio that were dropped.
    pub(crate) fn dropped_ms(&self) -> u64 {
        let kept = [&self.current, &self.next].into_iter().flatten();
        let open: u64 = kept
            .map(|session| session.conversation.counters().audio_dropped_ms)
            .sum();
        self.dropped_ms + open
    }

    /// Whether the engine hears the caller.
    pub(crate) fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
        for session in [&mut self.current, &mut self.next].into_iter().flatten() {
            session.conversation.set_input_muted(muted);
        }
    }

    /// Caller audio, as it arrives. A session that waits for its rotation hears it once it is the current one.
    pub(crate) fn append(&mut self, now: Instant, frame: &[u8]) {
        if let Some(session) = &mut self.current {
            session.conversation.append_audio(now, frame);
        }
    }

    /// Hands over to the sockets what the conversations have to send. While a socket is blocked its conversation keeps the
    /// audio, merged and bounded.
    pub(crate) fn flush(&mut self) {
        for session in [&mut self.current, &mut self.next].into_iter().flatten() {
            session.flush();
        }
    }

    /// When [`EngineLink::check`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        [&self.current, &self.next]
            .into_iter()
            .flatten()
            .map(EngineSession::due)
            .min()
    }

    /// Notices engines that do not become ready, or that fell silent.
    pub(crate) fn check(&mut self, now: Instant) -> Option<LinkEvent> {
        for which in [Which::Current, Which::Next] {
            let Some(session) = self.slot(which) else {
                continue;
            };
            if session
                .conversation
                .poll_timeout()
                .is_some_and(|at| at <= now)
            {
                session.conversation.handle_timeout(now);
            }
            if session.deadline() > now {
                continue;
            }
            if session.ready && !session.pinged {
                session.ping();
                continue;
            }
            let detail = if session.ready {
                "silent"
            } else {
                "not ready in time"
            };
            self.close(which);
            return Some(lost(which, EngineFailure::Timeout, detail));
        }
        None
    }

    /// The next event of either session; cancel safe.
    pub(crate) fn poll(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        for which in [Which::Current, Which::Next] {
            let Some(session) = self.slot(which) else {
                continue;
            };
            match session.poll(now, which, cx) {
                Poll::Ready(LinkEvent::News(which)) => return Poll::Ready(LinkEvent::News(which)),
                Poll::Ready(lost @ LinkEvent::Lost { .. }) => {
                    self.close(which);
                    return Poll::Ready(lost);
                }
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }
}

impl EngineSession {
    fn deadline(&self) -> Instant {
        match (self.ready, self.pinged) {
            (false, _) => self.ready_by,
            (true, false) => self.heard_at + PING_AFTER,
            (true, true) => self.heard_at + SILENT_MAX,
        }
    }

    fn due(&self) -> Instant {
        let deadline = self.deadline();
        self.conversation
            .poll_timeout()
            .map_or(deadline, |at| at.min(deadline))
    }

    fn ping(&mut self) {
        self.pinged = true;
        if let Transport::Open(socket) = &mut self.transport {
            socket.ping();
        }
    }

    fn flush(&mut self) {
        let Transport::Open(socket) = &mut self.transport else {
            return;
        };
        if socket.is_blocked() {
            return;
        }
        while let Some(text) = self.conversation.poll_send() {
            socket.send(text);
        }
    }

    fn poll(&mut self, now: Instant, which: Which, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        if let Transport::Connecting(connecting) = &mut self.transport {
            match connecting.as_mut().poll(cx) {
                Poll::Ready(Ok(socket)) => {
                    self.transport = Transport::Open(Box::new(socket));
                    self.heard_at = now;
                }
                Poll::Ready(Err(error)) => {
                    let ConnectError {
                        failure,
                        detail,
                        status,
                    } = error;
                    return Poll::Ready(LinkEvent::Lost {
                        which,
                        failure,
                        detail,
                        status,
                    });
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        let Transport::Open(socket) = &mut self.transport else {
            return Poll::Pending;
        };
        let event = std::task::ready!(socket.poll(cx));
        self.heard_at = now;
        self.pinged = false;
        Poll::Ready(match event {
            SocketEvent::Text(message) => {
                if let Some(text) = message.as_text() {
                    self.conversation.handle_text(now, text);
                }
                LinkEvent::News(which)
            }
            SocketEvent::Alive => LinkEvent::News(which),
            SocketEvent::Closed { code, reason } => LinkEvent::Lost {
                which,
                failure: EngineFailure::Closed { code },
                detail: reason,
                status: None,
            },
        })
    }
}

pub(crate) fn lost(which: Which, failure: EngineFailure, detail: &str) -> LinkEvent {
    LinkEvent::Lost {
        which,
        failure,
        detail: detail.to_owned(),
        status: None,
    }
}

fn settings(agent: &AgentConfig, choice: &EngineChoice, codec: Codec) -> SessionSettings {
    let format = match codec {
        Codec::Pcmu => AudioFormat::Pcmu,
        Codec::Pcma => AudioFormat::Pcma,
    };
    SessionSettings {
        voice: choice.voice.clone(),
        input_format: format,
        output_format: format,
        turn_detection: choice.turn_detection.clone(),
        transcription: choice.transcription.clone(),
        noise_reduction: choice.noise_reduction,
        tools: agent.tools.clone(),
        speed: choice.speed,
        generation: choice.generation,
        ..SessionSettings::telephone(&choice.realtime.model, &agent.instructions)
    }
}
