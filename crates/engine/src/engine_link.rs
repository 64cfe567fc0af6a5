//! The call's link to its engine: one session at a time, a second one while it is being replaced.
//!
//! An agent may name a second engine. Which of the two serves is decided here, from what failed and how
//! ([`EngineLink::after_loss`]); the conversation only asks for a connection.
//!
//! A session exists from the moment its connection is begun, so that what the caller says meanwhile is kept for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use call::EngineFailure;
use media::{Form, ItemKey, Law};
use tokio_rustls::TlsConnector;
use wire::realtime::{AudioFormat, HistoryItem, SessionSettings};
use wire::{Dialogue, Protocol};

use crate::config::{AgentConfig, EngineAudio, EngineChoice};
use crate::engine_audio::{Conversion, FromEngine};
use crate::realtime_client::{ConnectError, EngineSocket, SocketEvent, Target, connect};

/// An engine that says nothing for this long is pinged.
const PING_AFTER: Duration = Duration::from_secs(10);
/// An engine that says nothing for this long, pings included, is gone.
const SILENT_MAX: Duration = Duration::from_secs(20);

/// Connections tried for one rotation before the running session is given up.
const ROTATION_TRIES_MAX: u8 = 3;

pub(crate) type Connecting =
    Pin<Box<dyn Future<Output = Result<EngineSocket, ConnectError>> + Send>>;

enum Transport {
    Connecting(Connecting),
    Open(Box<EngineSocket>),
}

/// One session with the engine.
struct EngineSession {
    transport: Transport,
    conversation: Dialogue,
    protocol: Protocol,
    /// It resumes an earlier session by a handle.
    resumed: bool,
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

/// An engine that this call may be served by.
struct Choice {
    target: Arc<Target>,
    settings: SessionSettings,
    protocol: Protocol,
    append_ms: u32,
    connect_within: Duration,
    /// It refused us: trying again cannot help.
    refused: bool,
}

/// The link.
pub(crate) struct EngineLink {
    connector: TlsConnector,
    form: Form,
    /// The agent's engine, and its second one where it names one.
    choices: Vec<Choice>,
    /// Which of them serves.
    serving: usize,
    current: Option<EngineSession>,
    next: Option<EngineSession>,
    audio: Conversion,
    /// By which the session that was lost can be resumed, at the same engine.
    handle: Option<(usize, String)>,
    muted: bool,
    /// Asked of the session that serves.
    patience_ms: Option<u32>,
    /// Milliseconds of one message at least, while the process is busy.
    packed_ms: u32,
    dropped_ms: u64,
    rotation_tries: u8,
    /// The session that was closed last had been accepted.
    worked: bool,
    /// Which engines served, in this order; each once.
    served: Vec<String>,
    /// A connection that was begun before the session's settings were known.
    early: Option<Connecting>,
}

impl EngineLink {
    /// A link for an agent on a call in `form`. `fallback` belongs to the agent's second engine.
    pub(crate) fn new(
        agent: &AgentConfig,
        target: Arc<Target>,
        fallback: Option<Arc<Target>>,
        connector: TlsConnector,
        form: Form,
    ) -> Self {
        let second = agent.fallback.as_ref().zip(fallback);
        let mut choices = vec![choice(agent, &agent.engine, target, form)];
        choices.extend(second.map(|(engine, target)| choice(agent, engine, target, form)));
        if choices.len() > 1 {
            // Somebody else can be asked: half of the time is for that.
            choices[0].connect_within /= 2;
        }
        Self::to(connector, form, choices)
    }

    /// A link that has connected to none of them.
    fn to(connector: TlsConnector, form: Form, choices: Vec<Choice>) -> Self {
        let audio = conversion(form, &choices[0]);
        Self {
            connector,
            form,
            choices,
            serving: 0,
            current: None,
            next: None,
            audio,
            handle: None,
            muted: false,
            patience_ms: None,
            packed_ms: 0,
            dropped_ms: 0,
            rotation_tries: 0,
            worked: false,
            served: Vec::new(),
            early: None,
        }
    }

    /// Messages of the caller's audio hold at least this many milliseconds from here on; 0: as many as the engine's settings say.
    pub(crate) fn pack(&mut self, append_ms: u32) {
        if append_ms == self.packed_ms {
            return;
        }
        self.packed_ms = append_ms;
        let append_ms = self.choices[self.serving].append_ms.max(append_ms);
        for session in [&mut self.current, &mut self.next].into_iter().flatten() {
            session.conversation.set_append_ms(append_ms);
        }
    }

    /// A link of its own to the same engines, beside this one: its voice says what it is asked for, hears nobody and has no tools.
    pub(crate) fn beside(&self, instructions: &str) -> Self {
        let choices: Vec<Choice> = self
            .choices
            .iter()
            .map(|choice| Choice {
                target: Arc::clone(&choice.target),
                settings: SessionSettings {
                    instructions: instructions.to_owned(),
                    tools: Vec::new(),
                    transcription: None,
                    noise_reduction: None,
                    ..choice.settings.clone()
                },
                protocol: choice.protocol,
                append_ms: choice.append_ms,
                connect_within: choice.connect_within,
                refused: choice.refused,
            })
            .collect();
        let mut link = Self::to(self.connector.clone(), self.form, choices);
        link.serving = self.serving;
        link.audio = conversion(link.form, &link.choices[link.serving]);
        link.muted = true;
        link
    }

    /// Form of the audio that it gives.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Whether the engine that serves writes what the caller says.
    pub(crate) fn writes_the_caller(&self) -> bool {
        self.choices[self.serving].settings.transcription.is_some()
    }

    /// Bytes of so much of it.
    pub(crate) fn bytes_of_ms(&self, ms: usize) -> usize {
        self.form.bytes_per_ms() * ms
    }

    /// The model writes: no voice, nobody to hear.
    pub(crate) fn in_writing(mut self) -> Self {
        for choice in &mut self.choices {
            let settings = &mut choice.settings;
            settings.text_only = true;
            settings.transcription = None;
            settings.noise_reduction = None;
        }
        self
    }

    /// The next session uses this connection.
    pub(crate) fn use_connection(&mut self, connecting: Connecting) {
        self.early = Some(connecting);
    }

    /// Begins a session; it replaces the current one, or waits beside it for its rotation.
    pub(crate) fn connect(&mut self, now: Instant, which: Which, history: &[HistoryItem]) {
        let handle = self.resumption();
        let choice = &self.choices[self.serving];
        let mut conversation = Dialogue::new(choice.settings.clone(), choice.protocol);
        conversation.set_append_ms(choice.append_ms.max(self.packed_ms));
        conversation.set_input_muted(self.muted);
        if let Some(handle) = &handle {
            conversation.resume_with(handle);
        } else if !history.is_empty() {
            conversation.replay(history);
        }
        let connecting = self.early.take().unwrap_or_else(|| {
            Box::pin(connect(Arc::clone(&choice.target), self.connector.clone()))
        });
        let session = EngineSession {
            transport: Transport::Connecting(connecting),
            conversation,
            protocol: choice.protocol,
            resumed: handle.is_some(),
            ready: false,
            ready_by: now + choice.connect_within,
            heard_at: now,
            pinged: false,
        };
        match which {
            Which::Current => {
                self.close(Which::Current);
                self.worked = false;
                self.audio = conversion(self.form, &self.choices[self.serving]);
                self.patience_ms = None;
                self.current = Some(session);
            }
            Which::Next => self.next = Some(session),
        }
    }

    /// The handle of the session to be replaced or that was lost; used once, so that one that is refused is not tried again.
    fn resumption(&mut self) -> Option<String> {
        let running = self.current.as_ref().filter(|session| session.ready);
        let running = running.and_then(|session| session.conversation.resumption_handle());
        if let Some(handle) = running {
            return Some(handle.to_owned());
        }
        let (serving, handle) = self.handle.take()?;
        (serving == self.serving).then_some(handle)
    }

    /// A session was lost: chooses the engine of the next attempt, and says what the conversation is told of it.
    ///
    /// A session that worked and broke is tried again where it was; any other failure, and every second one, is the turn of
    /// the other engine. A refusal is final for its engine, and for the conversation only when no other is left.
    pub(crate) fn after_loss(&mut self, failure: EngineFailure) -> EngineFailure {
        let worked = std::mem::take(&mut self.worked);
        let Some(other) = self.other() else {
            return failure;
        };
        let broke = matches!(
            failure,
            EngineFailure::Closed { .. } | EngineFailure::Expired
        );
        self.choices[self.serving].refused |= !failure.is_retryable();
        if self.choices[other].refused || (worked && broke) {
            return failure;
        }
        self.serving = other;
        if failure.is_retryable() {
            failure
        } else {
            EngineFailure::Unavailable
        }
    }

    fn other(&self) -> Option<usize> {
        let other = (self.serving + 1) % self.choices.len();
        (other != self.serving).then_some(other)
    }

    /// The engine that serves, or that is tried.
    pub(crate) fn target(&self) -> &Target {
        &self.choices[self.serving].target
    }

    /// Its model and host, for the journal.
    pub(crate) fn describe(&self) -> String {
        let choice = &self.choices[self.serving];
        format!("{} ({})", choice.settings.model, choice.target.host())
    }

    /// Its model.
    pub(crate) fn model(&self) -> &str {
        &self.choices[self.serving].settings.model
    }

    /// The agent's second engine serves.
    pub(crate) fn on_fallback(&self) -> bool {
        self.serving > 0
    }

    /// Agent audio of the current session, in the call's form.
    pub(crate) fn agent_audio(&mut self, item: &ItemKey, audio: Vec<u8>) -> FromEngine {
        self.audio.downward(item, audio)
    }

    /// What is still to be said of an item that the engine has ended.
    pub(crate) fn agent_audio_rest(&mut self, item: &ItemKey) -> Option<Vec<u8>> {
        self.audio.finish(item)
    }

    /// What was being said is not wanted any more.
    pub(crate) fn clear_agent_audio(&mut self) {
        self.audio.clear();
    }

    /// Closes a session; a closing frame is tried, not awaited.
    pub(crate) fn close(&mut self, which: Which) {
        if let Some(mut session) = self.slot(which).take() {
            if let Transport::Open(socket) = &mut session.transport {
                socket.close();
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let _ = socket.poll(&mut cx);
            }
            self.dropped_ms += session.conversation.counters().audio_dropped_ms;
            if which == Which::Current {
                self.worked = session.ready;
            }
            if which == Which::Current
                && session.ready
                && let Some(handle) = session.conversation.resumption_handle()
            {
                self.handle = Some((self.serving, handle.to_owned()));
            }
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
        self.handle = None;
        self.audio = conversion(self.form, &self.choices[self.serving]);
        self.current = self.next.take();
        self.set_patience(self.patience_ms);
    }

    fn slot(&mut self, which: Which) -> &mut Option<EngineSession> {
        match which {
            Which::Current => &mut self.current,
            Which::Next => &mut self.next,
        }
    }

    /// The conversation of a session.
    pub(crate) fn conversation(&mut self, which: Which) -> Option<&mut Dialogue> {
        self.slot(which)
            .as_mut()
            .map(|session| &mut session.conversation)
    }

    /// The session's settings are accepted.
    pub(crate) fn set_ready(&mut self, which: Which) {
        if let Some(session) = self.slot(which) {
            session.ready = true;
            let engine = self.describe();
            if !self.served.contains(&engine) {
                self.served.push(engine);
            }
        }
    }

    /// The engines that served so far, for the record.
    pub(crate) fn served(&self) -> &[String] {
        &self.served
    }

    /// Milliseconds of caller audio that were dropped.
    pub(crate) fn dropped_ms(&self) -> u64 {
        let kept = [&self.current, &self.next].into_iter().flatten();
        let open: u64 = kept
            .map(|session| session.conversation.counters().audio_dropped_ms)
            .sum();
        self.dropped_ms + open
    }

    /// How long the caller may pause before the engine takes the turn for over; `None`: as it was set up.
    pub(crate) fn set_patience(&mut self, patience_ms: Option<u32>) {
        self.patience_ms = patience_ms;
        if let Some(session) = &mut self.current {
            session.conversation.set_patience(patience_ms);
        }
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
            let frame = self.audio.upward(frame);
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

/// Longest message that a service explains a closure with; only this much is looked at.
const CLOSE_REASON_BYTES_MAX: usize = 512;

impl EngineSession {
    /// What a closure means. Gemini has no error message: it closes, and says why in the reason.
    fn failure(&self, code: Option<u16>, reason: &str) -> EngineFailure {
        let closed = EngineFailure::Closed { code };
        if self.protocol != Protocol::Gemini || self.ready {
            return closed;
        }
        let reason: String = reason
            .chars()
            .take(CLOSE_REASON_BYTES_MAX)
            .collect::<String>()
            .to_lowercase();
        match code {
            // The handle may be too old: the next attempt goes without it.
            Some(1007 | 1008) if self.resumed => closed,
            Some(1007 | 1008) if reason.contains("api key") || reason.contains("permission") => {
                EngineFailure::Refused
            }
            Some(1007 | 1008) => EngineFailure::Rejected,
            Some(1011) if reason.contains("quota") => EngineFailure::RateLimited,
            _ => closed,
        }
    }

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
                    // An engine that waits for us to speak first would wait for ever.
                    return Poll::Ready(LinkEvent::News(which));
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
            SocketEvent::Binary(message) => {
                self.conversation.handle_binary(now, message.as_payload());
                LinkEvent::News(which)
            }
            SocketEvent::Alive => LinkEvent::News(which),
            SocketEvent::Closed { code, reason } => LinkEvent::Lost {
                which,
                failure: self.failure(code, &reason),
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

fn choice(agent: &AgentConfig, engine: &EngineChoice, target: Arc<Target>, form: Form) -> Choice {
    Choice {
        target,
        settings: settings(agent, engine, form),
        protocol: engine.realtime.protocol,
        append_ms: engine.realtime.append_ms,
        connect_within: engine.realtime.connect_timeout,
        refused: false,
    }
}

fn conversion(form: Form, choice: &Choice) -> Conversion {
    Conversion::new(
        form,
        choice.settings.input_format,
        choice.settings.output_format,
    )
}

fn settings(agent: &AgentConfig, choice: &EngineChoice, form: Form) -> SessionSettings {
    let protocol = choice.realtime.protocol;
    let (input_format, output_format) = match (choice.realtime.audio, form) {
        (EngineAudio::AsTheLeg, Form::G711(Law::Pcmu)) if protocol.speaks_g711() => {
            (AudioFormat::Pcmu, AudioFormat::Pcmu)
        }
        (EngineAudio::AsTheLeg, Form::G711(Law::Pcma)) if protocol.speaks_g711() => {
            (AudioFormat::Pcma, AudioFormat::Pcma)
        }
        (EngineAudio::AsTheLeg | EngineAudio::Linear, _) => protocol.linear_formats(),
    };
    SessionSettings {
        voice: choice.voice.clone(),
        input_format,
        output_format,
        turn_detection: choice.turn_detection.clone(),
        transcription: choice.transcription.clone(),
        noise_reduction: choice.noise_reduction,
        tools: agent.tools.clone(),
        speed: choice.speed,
        generation: choice.generation,
        ..SessionSettings::telephone(&choice.realtime.model, &agent.instructions)
    }
}
