//! The WebSocket to a realtime engine: connect, write without ever waiting, read.
//!
//! The call task polls this socket with everything else it has; a write that the kernel does not take is left for later and
//! [`EngineSocket::is_blocked`] says so, so that the caller's audio can be held (and merged) instead of queued.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use call::EngineFailure;
use futures_util::{Sink, Stream};
use http::header::{HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_websockets::{ClientBuilder, Limits, MaybeTlsStream, Message, WebSocketStream};
use wire::Protocol;
use wire::provider::percent_encoded;

use crate::config::{KeyPlacement, RealtimeConfig, Secret};
use crate::limits::{ENGINE_MESSAGE_BYTES_MAX, HANDSHAKE_BYTES_MAX};

/// Where and how to connect: the configuration made ready once.
pub(crate) struct Target {
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    key: Secret,
}

/// Without the address, whose query may hold the key.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// A shorter key is no secret (a test's, a stand-in's), and could be part of any word.
const KEY_BYTES_MIN: usize = 8;

impl Target {
    /// `None` when the address or a header cannot be used.
    pub(crate) fn new(config: &RealtimeConfig) -> Option<Self> {
        let uri: Uri = config.url.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return None,
        };
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let uri = with_model(uri, config)?;
        let mut headers = BTreeMap::new();
        if let KeyPlacement::Header { name, scheme } = &config.key_placement
            && !config.key.is_empty()
        {
            let key = config.key.expose();
            let text = if scheme.is_empty() {
                key.to_owned()
            } else {
                format!("{scheme} {key}")
            };
            headers.insert(name.clone(), text);
        }
        let uri = match &config.key_placement {
            KeyPlacement::Query { name } if !config.key.is_empty() => {
                with_parameter(uri, name, config.key.expose())?
            }
            KeyPlacement::Query { .. } | KeyPlacement::Header { .. } => uri,
        };
        headers.extend(config.headers.iter().cloned());
        let headers = headers
            .into_iter()
            .map(|(name, value)| {
                let mut value = HeaderValue::try_from(value).ok()?;
                value.set_sensitive(true);
                Some((HeaderName::try_from(name).ok()?, value))
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Self {
            uri,
            host,
            port,
            tls,
            headers,
            key: config.key.clone(),
        })
    }

    /// A text of the engine without the key, where the engine repeats it: errors are logged, stored and shown.
    fn without_key<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let key = self.key.expose();
        if key.len() < KEY_BYTES_MIN || !text.contains(key) {
            return Cow::Borrowed(text);
        }
        Cow::Owned(text.replace(key, "***"))
    }

    /// The key, to show its last characters.
    pub(crate) fn key(&self) -> &Secret {
        &self.key
    }

    /// Port of the engine.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Host of the engine, for sentences.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

/// Adds `model=` to an address that has none and is of the protocol that wants it there.
fn with_model(uri: Uri, config: &RealtimeConfig) -> Option<Uri> {
    let query = uri.query().unwrap_or_default();
    let named = query
        .split('&')
        .any(|pair| pair.starts_with("model=") || pair.starts_with("deployment="));
    if config.model.is_empty() || named || config.protocol == Protocol::Gemini {
        return Some(uri);
    }
    // Azure's preview names the deployment.
    let name = if uri.path() == "/openai/realtime" {
        "deployment"
    } else {
        "model"
    };
    with_parameter(uri, name, &config.model)
}

fn with_parameter(uri: Uri, name: &str, value: &str) -> Option<Uri> {
    let query = uri.query().unwrap_or_default();
    let joint = if query.is_empty() { "" } else { "&" };
    let value = percent_encoded(value);
    let path = format!("{}?{query}{joint}{name}={value}", uri.path());
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct ConnectError {
    /// What the conversation is told.
    pub(crate) failure: EngineFailure,
    /// What the journal and the log are told.
    pub(crate) detail: String,
    /// HTTP status of a refused handshake.
    pub(crate) status: Option<u16>,
}

impl ConnectError {
    fn unreachable(error: &io::Error) -> Self {
        Self {
            failure: EngineFailure::Unreachable,
            detail: error.to_string(),
            status: None,
        }
    }
}

/// Opens the connection: name, TCP, TLS, handshake. The bound in time is the caller's.
pub(crate) async fn connect(
    target: Arc<Target>,
    connector: TlsConnector,
) -> Result<EngineSocket, ConnectError> {
    let stream = TcpStream::connect((target.host.as_str(), target.port))
        .await
        .map_err(|error| ConnectError::unreachable(&error))?;
    stream
        .set_nodelay(true)
        .map_err(|error| ConnectError::unreachable(&error))?;
    let stream = if target.tls {
        let name = ServerName::try_from(target.host.clone()).map_err(|error| ConnectError {
            failure: EngineFailure::Unreachable,
            detail: error.to_string(),
            status: None,
        })?;
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| ConnectError::unreachable(&error))?;
        MaybeTlsStream::Rustls(stream)
    } else {
        MaybeTlsStream::Plain(stream)
    };
    let mut builder = ClientBuilder::from_uri(target.uri.clone())
        .limits(Limits::default().max_payload_len(Some(ENGINE_MESSAGE_BYTES_MAX)));
    for (name, value) in &target.headers {
        builder = builder
            .add_header(name.clone(), value.clone())
            .map_err(|error| handshake_error(&error))?;
    }
    let (mut stream, _response) = builder
        .connect_on(Measured::new(stream))
        .await
        .map_err(|error| handshake_error(&error))?;
    stream.get_mut().left = None;
    Ok(EngineSocket {
        target,
        stream,
        unflushed: false,
        blocked: false,
    })
}

/// A stream that ends with an error where the answer to the handshake is longer than [`HANDSHAKE_BYTES_MAX`]: the WebSocket
/// client reads headers until they end, and looks at all of them again after each read.
struct Measured {
    stream: MaybeTlsStream<TcpStream>,
    /// Bytes that may still come; `None` once the handshake is over.
    left: Option<usize>,
}

impl Measured {
    fn new(stream: MaybeTlsStream<TcpStream>) -> Self {
        Self {
            stream,
            left: Some(HANDSHAKE_BYTES_MAX),
        }
    }
}

impl AsyncRead for Measured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Some(left) = self.left {
            let read = buffer.filled().len() - before;
            let Some(rest) = left.checked_sub(read) else {
                let text = "the answer to the WebSocket handshake has no end";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
            };
            self.left = Some(rest);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Measured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    /// Without it the header and the payload of each message leave one by one: two system calls, two packets, two TLS records.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn handshake_error(error: &tokio_websockets::Error) -> ConnectError {
    let detail = error.to_string();
    let tokio_websockets::Error::Upgrade(tokio_websockets::upgrade::Error::DidNotSwitchProtocols(
        status,
    )) = error
    else {
        return ConnectError {
            failure: EngineFailure::Unreachable,
            detail,
            status: None,
        };
    };
    let failure = match *status {
        401 | 403 => EngineFailure::Refused,
        429 => EngineFailure::RateLimited,
        // A wrong path or model is a setting: trying again cannot help.
        400 | 404 | 405 | 426 => EngineFailure::Rejected,
        _ => EngineFailure::Unavailable,
    };
    ConnectError {
        failure,
        detail,
        status: Some(*status),
    }
}

/// What came from the engine.
#[derive(Debug)]
pub(crate) enum SocketEvent {
    /// A text message.
    Text(Message),
    /// A binary message.
    Binary(Message),
    /// Something else that shows that the engine lives (a pong).
    Alive,
    /// The engine closed, with its code and reason when it gave them.
    Closed { code: Option<u16>, reason: String },
}

/// An open WebSocket.
pub(crate) struct EngineSocket {
    target: Arc<Target>,
    stream: WebSocketStream<Measured>,
    unflushed: bool,
    blocked: bool,
}

impl EngineSocket {
    /// Queues a text message; it leaves with the next poll.
    pub(crate) fn send(&mut self, text: String) {
        self.queue(Message::text(text));
    }

    /// Queues a ping.
    pub(crate) fn ping(&mut self) {
        self.queue(Message::ping(""));
    }

    /// Queues a normal closure.
    pub(crate) fn close(&mut self) {
        self.queue(Message::close(
            Some(tokio_websockets::CloseCode::NORMAL_CLOSURE),
            "",
        ));
    }

    fn queue(&mut self, message: Message) {
        // A closed stream refuses; its end is what the next read reports.
        if Pin::new(&mut self.stream).start_send(message).is_ok() {
            self.unflushed = true;
        }
    }

    /// The kernel takes no more bytes for now: the engine or the network is slow.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Writes what is queued, and waits for the next message. After a block ends the poll returns `Alive`, so that what was
    /// held back can follow.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    if std::mem::take(&mut self.blocked) {
                        return Poll::Ready(SocketEvent::Alive);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(closed(&error)),
                Poll::Pending => self.blocked = true,
            }
        }
        match Pin::new(&mut self.stream).poll_next(cx) {
            Poll::Ready(Some(Ok(message))) if message.is_text() => {
                let clean = message.as_text().map(|text| self.target.without_key(text));
                Poll::Ready(SocketEvent::Text(match clean {
                    Some(Cow::Owned(text)) => Message::text(text),
                    Some(Cow::Borrowed(_)) | None => message,
                }))
            }
            Poll::Ready(Some(Ok(message))) if message.is_binary() => {
                let text = std::str::from_utf8(message.as_payload());
                let clean = text.map(|text| self.target.without_key(text));
                Poll::Ready(SocketEvent::Binary(match clean {
                    Ok(Cow::Owned(text)) => Message::binary(text.into_bytes()),
                    Ok(Cow::Borrowed(_)) | Err(_) => message,
                }))
            }
            Poll::Ready(Some(Ok(message))) => Poll::Ready(match message.as_close() {
                Some((code, reason)) => SocketEvent::Closed {
                    code: Some(code.into()),
                    reason: self.target.without_key(reason).into_owned(),
                },
                None => SocketEvent::Alive,
            }),
            Poll::Ready(Some(Err(error))) => Poll::Ready(closed(&error)),
            Poll::Ready(None) => Poll::Ready(SocketEvent::Closed {
                code: None,
                reason: String::new(),
            }),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn closed(error: &tokio_websockets::Error) -> SocketEvent {
    SocketEvent::Closed {
        code: None,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn config(url: &str) -> RealtimeConfig {
        RealtimeConfig {
            url: url.to_owned(),
            key: Secret::new("k"),
            ..RealtimeConfig::default()
        }
    }

    #[test]
    fn the_model_is_added_where_the_address_has_none() {
        let uri = |url: &str| Target::new(&config(url)).expect("usable").uri.to_string();
        assert_eq!(
            uri("wss://a.test/v1/realtime"),
            "wss://a.test/v1/realtime?model=gpt-realtime-2.1"
        );
        assert_eq!(
            uri("ws://127.0.0.1:9800/v1/realtime?x=1"),
            "ws://127.0.0.1:9800/v1/realtime?x=1&model=gpt-realtime-2.1"
        );
        assert_eq!(
            uri("wss://a.test/v1/realtime?model=m"),
            "wss://a.test/v1/realtime?model=m"
        );
        assert!(Target::new(&config("ftp://a.test/")).is_none());
        assert!(Target::new(&config("no address")).is_none());
    }

    #[test]
    fn the_key_is_sent_as_configured_and_the_beta_header_never() {
        let target = Target::new(&config("wss://a.test/v1/realtime")).expect("usable");
        assert_eq!(target.headers.len(), 1);
        assert_eq!(target.headers[0].0, "authorization");
        assert_eq!(target.headers[0].1, "Bearer k");
        assert!(!format!("{target:?}").contains("Bearer"));
        let bare = RealtimeConfig {
            key_placement: KeyPlacement::Header {
                name: "api-key".to_owned(),
                scheme: String::new(),
            },
            ..config("wss://a.test/v1/realtime")
        };
        assert_eq!(Target::new(&bare).expect("usable").headers[0].1, "k");
    }

    /// A server that writes `answer` instead of a handshake (or accepts it), then `next`, then `endless` until nobody
    /// listens. Its task returns how many bytes it got rid of.
    async fn hostile(
        answer: Option<&'static str>,
        next: Vec<u8>,
        endless: Vec<u8>,
    ) -> (Arc<Target>, tokio::task::JoinHandle<usize>) {
        let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0));
        let listener = listener.await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            match answer {
                Some(answer) => {
                    let _ = stream.read(&mut [0; 4_096]).await;
                    stream.write_all(answer.as_bytes()).await.expect("written");
                }
                None => {
                    let accepted = tokio_websockets::ServerBuilder::new().accept(stream).await;
                    stream = accepted.expect("a handshake").1.into_inner();
                }
            }
            let mut written = 0;
            let mut piece = next;
            while stream.write_all(&piece).await.is_ok() {
                written += piece.len();
                if endless.is_empty() {
                    // Stays until the client goes.
                    while stream
                        .read(&mut [0; 1_024])
                        .await
                        .is_ok_and(|count| count > 0)
                    {}
                    break;
                }
                piece.clone_from(&endless);
            }
            written
        });
        let url = format!("ws://{address}/v1/realtime");
        let target = Target::new(&config(&url)).expect("usable");
        (Arc::new(target), server)
    }

    fn connector() -> TlsConnector {
        TlsConnector::from(crate::tls::client(&[]).expect("a client"))
    }

    async fn in_time<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(std::time::Duration::from_secs(10), future)
            .await
            .expect("in time")
    }

    #[tokio::test]
    async fn pattern_42_a_handshake_without_end_is_cut_at_16_kb() {
        let head = "HTTP/1.1 101 Switching Protocols\r\nX: ";
        let (target, server) = hostile(Some(head), Vec::new(), vec![b'a'; 16 * 1_024]).await;
        let error = in_time(connect(target, connector()))
            .await
            .err()
            .expect("refused");
        assert_eq!(error.failure, EngineFailure::Unreachable);
        assert!(error.detail.contains("no end"), "{error:?}");
        // What the kernel's buffers held; not what a client takes that reads for ever.
        assert!(in_time(server).await.expect("served") < 16 * 1_024 * 1_024);
    }

    #[tokio::test]
    async fn pattern_42_a_handshake_of_many_headers_is_refused() {
        let head = "HTTP/1.1 101 Switching Protocols\r\n";
        let many = "X: y\r\n".repeat(1_000) + "\r\n";
        let (target, _server) = hostile(Some(head), many.into_bytes(), Vec::new()).await;
        let error = in_time(connect(target, connector()))
            .await
            .err()
            .expect("refused");
        assert_eq!(error.failure, EngineFailure::Unreachable);
    }

    #[tokio::test]
    async fn pattern_42_what_comes_behind_the_handshake_is_read_without_its_bound() {
        let text = "x".repeat(5 * HANDSHAKE_BYTES_MAX);
        let mut frame = vec![0x81, 127];
        frame.extend_from_slice(&(text.len() as u64).to_be_bytes());
        frame.extend_from_slice(text.as_bytes());
        let (target, _server) = hostile(None, frame, Vec::new()).await;
        let mut socket = in_time(connect(target, connector()))
            .await
            .expect("connected");
        assert!(
            socket.stream.get_ref().is_write_vectored(),
            "a message leaves in one write"
        );
        match in_time(std::future::poll_fn(|cx| socket.poll(cx))).await {
            SocketEvent::Text(message) => assert_eq!(message.as_text(), Some(text.as_str())),
            other @ (SocketEvent::Alive | SocketEvent::Binary(_) | SocketEvent::Closed { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    #[tokio::test]
    async fn pattern_43_a_giant_frame_closes_before_it_is_read() {
        // 64 MB announced, and endless bytes of it.
        let frame = [&[0x81, 127][..], &(64_u64 << 20).to_be_bytes()].concat();
        let (target, server) = hostile(None, frame, vec![b'a'; 16 * 1_024]).await;
        let mut socket = in_time(connect(target, connector()))
            .await
            .expect("connected");
        let event = in_time(std::future::poll_fn(|cx| socket.poll(cx))).await;
        assert!(matches!(event, SocketEvent::Closed { .. }), "{event:?}");
        drop(socket);
        assert!(in_time(server).await.expect("served") < 16 << 20);
    }

    #[tokio::test]
    async fn pattern_43_fragments_do_not_add_up_past_the_limit() {
        // A first fragment of 60 KB, and continuations of 60 KB for ever.
        let piece = |first: u8| {
            let head = [&[first, 126][..], &60_000_u16.to_be_bytes()].concat();
            [head, vec![b'a'; 60_000]].concat()
        };
        let (target, server) = hostile(None, piece(0x01), piece(0x00)).await;
        let mut socket = in_time(connect(target, connector()))
            .await
            .expect("connected");
        let event = in_time(std::future::poll_fn(|cx| socket.poll(cx))).await;
        assert!(matches!(event, SocketEvent::Closed { .. }), "{event:?}");
        drop(socket);
        assert!(in_time(server).await.expect("served") < 32 << 20);
    }

    #[tokio::test]
    async fn pattern_43_frames_of_no_length_do_not_spin() {
        // Empty texts, empty continuations and pings, then one text that says something: each poll moves on.
        let mut frames = [0x81, 0, 0x01, 0, 0x00, 0, 0x80, 0, 0x89, 0].repeat(2_000);
        frames.extend_from_slice(&[0x81, 1, b'!']);
        let (target, _server) = hostile(None, frames, Vec::new()).await;
        let mut socket = in_time(connect(target, connector()))
            .await
            .expect("connected");
        in_time(async {
            for _ in 0..20_000 {
                match std::future::poll_fn(|cx| socket.poll(cx)).await {
                    SocketEvent::Text(message) if message.as_text() == Some("!") => return,
                    SocketEvent::Text(_) | SocketEvent::Binary(_) | SocketEvent::Alive => {}
                    SocketEvent::Closed { reason, .. } => panic!("{reason}"),
                }
            }
            panic!("more events than frames");
        })
        .await;
    }
}
