//! The WebSocket by which a carrier brings a call's audio (Media Streams and their like).
//!
//! Whoever accepted the connection hands it over after the HTTP handshake. Before a call begins only its first messages are read:
//! [`StreamSocket::started`] tells what the carrier says of the call, so that it can be checked before anything else happens.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio_websockets::{CloseCode, Limits, Message, ServerBuilder};
use wire::twilio::{Dialect, MESSAGE_BYTES_MAX, Outgoing, Start, Stream, StreamEvent};

pub use crate::web_pipe::StreamIo;
use crate::web_pipe::WebPipe;

/// Messages that may come before `start`.
const MESSAGES_BEFORE_START_MAX: usize = 8;

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
    pipe: WebPipe,
    pub(crate) stream: Stream,
}

impl StreamSocket {
    /// Takes a connection whose handshake is done.
    pub fn new(io: impl StreamIo + 'static, dialect: Dialect) -> Self {
        let limits = Limits::default().max_payload_len(Some(MESSAGE_BYTES_MAX));
        let io: Box<dyn StreamIo> = Box::new(io);
        Self {
            pipe: WebPipe::new(ServerBuilder::new().limits(limits).serve(io)),
            stream: Stream::new(dialect),
        }
    }

    /// Waits for the beginning.
    ///
    /// # Errors
    /// [`NotStarted`]; the connection is of no use then.
    pub async fn started(&mut self, within: Duration) -> Result<Start, NotStarted> {
        let first = async {
            for _ in 0..MESSAGES_BEFORE_START_MAX {
                if self.pipe.is_empty() {
                    poll_fn(|cx| self.poll_receive(cx)).await;
                }
                let Some(message) = self.pipe.take() else {
                    return Err(NotStarted::Closed);
                };
                self.give(Instant::now(), &message);
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
        self.pipe.close(CloseCode::POLICY_VIOLATION).await;
    }

    /// Closes at the end of a call.
    pub(crate) async fn close(mut self) {
        self.pipe.close(CloseCode::NORMAL_CLOSURE).await;
    }

    /// Writes what is queued and takes what waits; ready when a message came or the connection ended.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pipe.poll_receive(cx)
    }

    /// Gives what came to the state machine.
    pub(crate) fn receive(&mut self, now: Instant) {
        while let Some(message) = self.pipe.take() {
            self.give(now, &message);
        }
    }

    fn give(&mut self, now: Instant, message: &Message) {
        if let Some(text) = message.as_text() {
            self.stream.handle_text(now, text);
        } else if message.is_binary() {
            self.stream.handle_binary(message.as_payload());
        }
    }

    /// Queues what the state machine has to say; it leaves with the next poll.
    pub(crate) fn send(&mut self) {
        while let Some(outgoing) = self.stream.poll_output() {
            self.pipe.queue(match outgoing {
                Outgoing::Text(text) => Message::text(text),
                Outgoing::Binary(bytes) => Message::binary(bytes),
            });
        }
    }

    /// The kernel takes no more bytes for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.pipe.is_blocked()
    }

    /// The connection is over, or might as well be.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.pipe.is_over(now)
    }
}
