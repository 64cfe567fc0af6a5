//! A WebSocket of text and binary messages that is never waited for: what is queued leaves with the next poll, what came is taken
//! in turns.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_websockets::{CloseCode, Message, WebSocketStream};

/// Messages taken at once before the rest of the call has its turn.
const MESSAGES_AT_ONCE: usize = 32;
/// How long a closure may take to be written.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);
/// A peer that takes no byte for this long is gone.
const BLOCKED_MAX: Duration = Duration::from_secs(10);

/// What a connection must be to carry a stream.
pub trait StreamIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> StreamIo for T {}

/// See the module.
pub(crate) struct WebPipe {
    socket: WebSocketStream<Box<dyn StreamIo>>,
    inbox: VecDeque<Message>,
    unflushed: bool,
    blocked_since: Option<Instant>,
    /// The other side closed, or the connection broke.
    closed: bool,
    /// It closed in words.
    said_goodbye: bool,
}

impl WebPipe {
    pub(crate) fn new(socket: WebSocketStream<Box<dyn StreamIo>>) -> Self {
        Self {
            socket,
            inbox: VecDeque::new(),
            unflushed: false,
            blocked_since: None,
            closed: false,
            said_goodbye: false,
        }
    }

    /// Closes, if it is not closed yet.
    pub(crate) async fn close(&mut self, code: CloseCode) {
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

    /// The next message that came.
    pub(crate) fn take(&mut self) -> Option<Message> {
        let message = self.inbox.pop_front()?;
        self.said_goodbye |= message.is_close();
        self.closed |= message.is_close();
        Some(message)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inbox.is_empty()
    }

    /// Queues a message; it leaves with the next poll.
    pub(crate) fn queue(&mut self, message: Message) {
        // A closed stream refuses; its end is what the next read reports.
        if Pin::new(&mut self.socket).start_send(message).is_ok() {
            self.unflushed = true;
        }
    }

    /// The kernel takes no more bytes for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked_since.is_some()
    }

    /// When a peer that takes nothing counts as gone.
    pub(crate) fn gives_up_at(&self) -> Option<Instant> {
        self.blocked_since.map(|since| since + BLOCKED_MAX)
    }

    /// The other side closed in words, and was not just lost.
    pub(crate) fn said_goodbye(&self) -> bool {
        self.said_goodbye
    }

    /// The connection is over, or might as well be.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let stuck = self
            .blocked_since
            .is_some_and(|since| now.saturating_duration_since(since) >= BLOCKED_MAX);
        (self.closed && self.inbox.is_empty()) || stuck
    }
}
