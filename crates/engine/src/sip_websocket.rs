//! SIP over WebSocket (RFC 7118): a connection that was accepted, from its HTTP request to its end.
//!
//! The request is judged in [`handshake`]; the frames are the library's. To the driver it is a stream like one of TCP or TLS, whose
//! pieces are whole messages.

mod handshake;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use sip::ConnectionId;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_websockets::{CloseCode, Limits, Message, ServerBuilder, WebSocketStream};

pub(crate) use self::handshake::Admission;
use self::handshake::{HEAD_BYTES_MAX, Refusal};
use crate::limits::{SIP_MESSAGE_BYTES_MAX, WEBSOCKET_REQUEST_WITHIN};
use crate::sip_socket::{StreamEvent, WRITE_WITHIN};

/// How often a peer is pinged: routers forget a silent connection after a minute or more, and a page that sleeps says no goodbye.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A peer of which nothing came for this long, no answer to two pings either, is gone.
const SILENT_MAX: Duration = Duration::from_secs(50);
/// How long the closing words may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Reads after our last words: as much as a message may have, and some.
const LAST_READS_MAX: usize = 128;
/// Bytes of a request read at once.
const READ_BYTES: usize = 1_024;

/// Reads the request of a peer and answers it. `None` where the connection is of no use.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    peer: SocketAddr,
    admission: &Admission,
) -> Option<(WebSocketStream<S>, SocketAddr)> {
    let read = tokio::time::timeout(WEBSOCKET_REQUEST_WITHIN, head(&mut stream));
    let judged = match read.await {
        Ok(Ok(head)) => handshake::judge(&head, peer.ip(), admission),
        Ok(Err(refusal)) => Err(refusal?),
        Err(_) => return None,
    };
    match judged {
        Ok(agreed) => {
            write(&mut stream, &agreed.answer()).await?;
            let from = agreed
                .client
                .map_or(peer, |client: IpAddr| SocketAddr::new(client, peer.port()));
            let limits = Limits::default().max_payload_len(Some(SIP_MESSAGE_BYTES_MAX));
            Some((ServerBuilder::new().limits(limits).serve(stream), from))
        }
        Err(refusal) => {
            write(&mut stream, &refusal.answer()).await?;
            leave(&mut stream).await;
            None
        }
    }
}

/// The request up to its empty line; `Err(None)` where the peer left. Nobody sends a frame before he is answered (RFC 6455 section 4.1).
async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, Option<Refusal>> {
    let mut head = Vec::with_capacity(READ_BYTES);
    let mut piece = [0; READ_BYTES];
    loop {
        let count = match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return Err(None),
            Ok(count) => count,
        };
        let from = head.len().saturating_sub(3);
        head.extend_from_slice(piece.get(..count).unwrap_or_default());
        let ends = head.get(from..).unwrap_or_default();
        let end = ends.windows(4).position(|four| four == b"\r\n\r\n");
        match end.map(|end| from + end + 4) {
            Some(end) if end == head.len() => return Ok(head),
            Some(_) => return Err(Some(Refusal::Malformed)),
            None if head.len() > HEAD_BYTES_MAX => return Err(Some(Refusal::TooLarge)),
            None => {}
        }
    }
}

/// Says that nothing more comes, and lets what the peer still sends fall: a connection that is closed on unread bytes is reset, and our last words may be
/// lost with it.
async fn leave<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let read = async {
        let _ = stream.shutdown().await;
        let mut piece = [0; READ_BYTES];
        for _ in 0..LAST_READS_MAX {
            if matches!(stream.read(&mut piece).await, Ok(0) | Err(_)) {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(CLOSE_WITHIN, read).await;
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, answer: &str) -> Option<()> {
    let written = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await
    };
    match tokio::time::timeout(WRITE_WITHIN, written).await {
        Ok(Ok(())) => Some(()),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// Carries messages both ways until one side ends it. What the driver queued is written before the end.
pub(crate) async fn pump<S: AsyncRead + AsyncWrite + Unpin>(
    connection: ConnectionId,
    ready: StreamEvent,
    mut socket: WebSocketStream<S>,
    mut queue: mpsc::Receiver<Vec<u8>>,
    events: &mpsc::Sender<StreamEvent>,
) {
    if events.send(ready).await.is_err() {
        return;
    }
    let mut heard = Instant::now();
    let mut ping = tokio::time::interval(PING_EVERY);
    ping.reset();
    loop {
        let goes_on = tokio::select! {
            message = socket.next() => {
                heard = Instant::now();
                match message {
                    Some(Ok(message)) => received(connection, &mut socket, message, events).await,
                    Some(Err(error)) => {
                        let _ = tokio::time::timeout(CLOSE_WITHIN, last_words(&mut socket, &error)).await;
                        leave(socket.get_mut()).await;
                        false
                    }
                    None => false,
                }
            }
            data = queue.recv() => match data {
                Some(data) => sent(&mut socket, framed(data)).await,
                None => {
                    let goodbye = Message::close(Some(CloseCode::NORMAL_CLOSURE), "");
                    let _ = tokio::time::timeout(CLOSE_WITHIN, socket.send(goodbye)).await;
                    false
                }
            },
            _ = ping.tick() => {
                heard.elapsed() < SILENT_MAX && sent(&mut socket, Message::ping(Vec::new())).await
            }
        };
        if !goes_on {
            break;
        }
    }
    let _ = events.send(StreamEvent::Closed { connection }).await;
}

/// Says why it ends to who broke the rules. The library has its closing words ready, but for a message that grew too long in pieces.
async fn last_words<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    error: &tokio_websockets::Error,
) {
    if matches!(error, tokio_websockets::Error::PayloadTooLong { .. }) {
        // Refused where it was said already.
        let goodbye = Message::close(Some(CloseCode::MESSAGE_TOO_BIG), "");
        let _ = socket.feed(goodbye).await;
    }
    let _ = socket.flush().await;
}

/// Hands on what came; false where it was the last.
async fn received<S: AsyncRead + AsyncWrite + Unpin>(
    connection: ConnectionId,
    socket: &mut WebSocketStream<S>,
    message: Message,
    events: &mpsc::Sender<StreamEvent>,
) -> bool {
    if message.is_close() {
        let _ = tokio::time::timeout(CLOSE_WITHIN, socket.flush()).await;
        return false;
    }
    if message.is_ping() {
        // Its answer leaves before more is read: nobody makes us keep the answers that he does not take.
        return matches!(
            tokio::time::timeout(WRITE_WITHIN, socket.flush()).await,
            Ok(Ok(()))
        );
    }
    if !(message.is_text() || message.is_binary()) {
        return true;
    }
    let data = Vec::from(&message.as_payload()[..]);
    let event = StreamEvent::Received { connection, data };
    events.send(event).await.is_ok()
}

async fn sent<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    message: Message,
) -> bool {
    let sent = tokio::time::timeout(WRITE_WITHIN, socket.send(message));
    matches!(sent.await, Ok(Ok(())))
}

/// As text where it is one, as it is in practice (RFC 7118 section 5 allows both).
fn framed(data: Vec<u8>) -> Message {
    match String::from_utf8(data) {
        Ok(text) => Message::text(text),
        Err(other) => Message::binary(other.into_bytes()),
    }
}
