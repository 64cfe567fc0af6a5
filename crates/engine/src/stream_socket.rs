//! The WebSocket by which a carrier brings a call's audio (Media Streams and their like).
//!
//! Whoever accepted the connection hands it over after the HTTP handshake. Before a call begins only its first messages are read:
//! [`StreamSocket::started`] tells what the carrier says of the call, so that it can be checked before anything else happens.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_websockets::{CloseCode, Limits, Message, ServerBuilder, WebSocketStream};
use wire::twilio::{Dialect, MESSAGE_BYTES_MAX, Outgoing, Start, Stream, StreamEvent};

/// Messages taken at once before the rest of the call has its turn.
const MESSAGES_AT_ONCE: usize = 32;
/// Messages that may come before `start`.
const MESSAGES_BEFORE_START_MAX: usize = 8;
/// How long a closure may take to be written.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);
/// A carrier that takes no byte for this long is gone.
const BLOCKED_MAX: Duration = Duration::from_secs(10);

/// What a connection must be to carry a stream.
pub trait StreamIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> StreamIo for T {}

/// Why a stream never began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    /// Nothing came in time.
    #[error("the stream did not begin in time")]
    TimedOut,
    /// The carrier closed the connection.
    #[error("the carrier closed the connection")]
    Closed,
    /// Something else came than a beginning.
    #[error("the carrier sent something else than a beginning")]
    Nonsense,
    /// The audio is not in an encoding that we speak.
    #[error("the audio is in an unknown encoding")]
    Encoding,
}

/// An accepted connection. See the module.
pub struct StreamSocket {
    socket: WebSocketStream<Box<dyn StreamIo>>,
    pub(crate) stream: Stream,
    inbox: VecDeque<Message>,
    unflushed: bool,
    blocked_since: Option<Instant>,
    /// The other side closed, or the connection broke.
    closed: bool,
}

impl StreamSocket {
    /// Takes a connection whose handshake is done.
    pub fn new(io: impl StreamIo + 'static, dialect: Dialect) -> Self {
        let limits = Limits::default().max_payload_len(Some(MESSAGE_BYTES_MAX));
        let io: Box<dyn StreamIo> = Box::new(io);
        Self {
            socket: ServerBuilder::new().limits(limits).serve(io),
            stream: Stream::new(dialect),
            inbox: VecDeque::new(),
            unflushed: false,
            blocked_since: None,
            closed: false,
        }
    }

    /// Waits for the beginning.
    ///
    /// # Errors
    /// [`NotStarted`]; the connection is of no use then.
    pub async fn started(&mut self, within: Duration) -> Result<Start, NotStarted> {
        let first = async {
            for _ in 0..MESSAGES_BEFORE_START_MAX {
                if self.inbox.is_empty() {
                    poll_fn(|cx| self.poll_receive(cx)).await;
                }
                let Some(message) = self.inbox.pop_front() else {
                    return Err(NotStarted::Closed);
                };
                self.take(Instant::now(), &message);
                match self.stream.poll_event() {
                    Some(StreamEvent::Started(start)) if start.encoding.is_none() => {
                        return Err(NotStarted::Encoding);
                    }
                    Some(StreamEvent::Started(start)) => return Ok(*start),
                    Some(StreamEvent::Stopped) => return Err(NotStarted::Closed),
                    Some(
                        StreamEvent::Audio { .. } | StreamEvent::Dtmf(_) | StreamEvent::Fault(_),
                    )
                    | None => {}
                }
            }
            Err(NotStarted::Nonsense)
        };
        tokio::time::timeout(within, first)
            .await
            .unwrap_or(Err(NotStarted::TimedOut))
    }

    /// Closes a connection that does not become a call (1008, policy).
    pub async fn refuse(mut self) {
        self.close_with(CloseCode::POLICY_VIOLATION).await;
    }

    /// Closes at the end of a call.
    pub(crate) async fn close(mut self) {
        self.close_with(CloseCode::NORMAL_CLOSURE).await;
    }

    async fn close_with(&mut self, code: CloseCode) {
        if self.closed {
            return;
        }
        self.queue(Message::close(Some(code), ""));
        let flushed = poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx));
        let _ = tokio::time::timeout(CLOSE_WITHIN, flushed).await;
    }

    /// Writes what is queued and takes what waits; ready when a message came or the connection ended.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closed {
            return if self.inbox.is_empty() {
                Poll::Pending
            } else {
                Poll::Ready(())
            };
        }
        if self.unflushed {
            match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    self.blocked_since = None;
                }
                Poll::Ready(Err(_)) => {
                    self.closed = true;
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    self.blocked_since.get_or_insert_with(Instant::now);
                }
            }
        }
        while self.inbox.len() < MESSAGES_AT_ONCE {
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => self.inbox.push_back(message),
                Poll::Ready(Some(Err(_)) | None) => {
                    self.closed = true;
                    return Poll::Ready(());
                }
                Poll::Pending => break,
            }
        }
        if self.inbox.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Gives what came to the state machine.
    pub(crate) fn receive(&mut self, now: Instant) {
        while let Some(message) = self.inbox.pop_front() {
            self.take(now, &message);
        }
    }

    fn take(&mut self, now: Instant, message: &Message) {
        if let Some(text) = message.as_text() {
            self.stream.handle_text(now, text);
        } else if message.is_binary() {
            self.stream.handle_binary(message.as_payload());
        } else if message.is_close() {
            self.closed = true;
        }
    }

    /// Queues what the state machine has to say; it leaves with the next poll.
    pub(crate) fn send(&mut self) {
        while let Some(outgoing) = self.stream.poll_output() {
            self.queue(match outgoing {
                Outgoing::Text(text) => Message::text(text),
                Outgoing::Binary(bytes) => Message::binary(bytes),
            });
        }
    }

    fn queue(&mut self, message: Message) {
        // A closed stream refuses; its end is what the next read reports.
        if Pin::new(&mut self.socket).start_send(message).is_ok() {
            self.unflushed = true;
        }
    }

    /// The kernel takes no more bytes for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked_since.is_some()
    }

    /// The connection is over, or might as well be.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let stuck = self
            .blocked_since
            .is_some_and(|since| now.saturating_duration_since(since) >= BLOCKED_MAX);
        (self.closed && self.inbox.is_empty()) || stuck
    }
}
