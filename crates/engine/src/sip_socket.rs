//! The sockets under the SIP driver: UDP sockets polled in place, and one task for each stream connection.
//!
//! A stream's task reads into the driver's bounded channel (a peer that floods is slowed by TCP) and writes from a bounded
//! queue of its own (a peer that does not read is closed). Nothing here knows SIP.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use catalog::Message;
use rustls::pki_types::ServerName;
use sip::{ConnectionId, ListenerId, Protocol};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use crate::client_certificate::{AskingAcceptor, Shown, TlsServer};
use crate::config::LimitsConfig;
use crate::limits::{CONNECT_WITHIN, STREAM_WRITES_MAX, TLS_HANDSHAKE_WITHIN};
use crate::log::say;
use crate::sip_websocket::{self, Admission};

/// Bytes asked of a stream in one read.
const READ_BYTES: usize = 16 * 1_024;
/// The same until the peer sent so much at once: thousands of idle connections cost little.
const FIRST_READ_BYTES: usize = 1_024;
/// One place in so many is kept for known peers and for connections that we open.
const KEPT_SHARE: usize = 10;
/// A write that makes no progress for this long closes the connection.
pub(crate) const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// Pause after a failed accept (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the stream tasks tell the driver.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    /// A peer connected; the driver gives it an id or lets it fall.
    Incoming {
        listener: ListenerId,
        stream: TcpStream,
        remote: SocketAddr,
    },
    /// An accepted connection is ready for messages (TLS: after the handshake).
    Ready {
        connection: ConnectionId,
        listener: ListenerId,
        local: SocketAddr,
        remote: SocketAddr,
        /// What the peer showed in its handshake.
        shown: Option<Arc<Shown>>,
    },
    /// A connection that we opened is ready (TLS: verified).
    Connected {
        connection: ConnectionId,
        local: SocketAddr,
        /// What the peer showed in its handshake.
        shown: Option<Arc<Shown>>,
    },
    /// It could not be opened.
    ConnectFailed { connection: ConnectionId },
    /// Bytes came.
    Received {
        connection: ConnectionId,
        data: Vec<u8>,
    },
    /// What was to become a WebSocket did not: its request was wrong, or never complete.
    Refused { connection: ConnectionId },
    /// It is gone.
    Closed { connection: ConnectionId },
}

/// The form of an address that a socket can send to: one that is bound to IPv6 reaches IPv4 by mapped addresses.
pub(crate) fn reachable(socket: &UdpSocket, destination: SocketAddr) -> SocketAddr {
    match (destination.ip(), socket.local_addr()) {
        (IpAddr::V4(address), Ok(local)) if local.is_ipv6() => {
            SocketAddr::new(IpAddr::V6(address.to_ipv6_mapped()), destination.port())
        }
        _ => destination,
    }
}

/// A v4 address as such, also where an IPv6 socket received it.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A bound UDP socket.
pub(crate) struct UdpListener {
    pub(crate) id: ListenerId,
    pub(crate) socket: UdpSocket,
}

/// Waits for a datagram on any of the sockets; cancel safe.
pub(crate) async fn receive(
    listeners: &[UdpListener],
    next: &mut usize,
    buffer: &mut [u8],
) -> (ListenerId, io::Result<(usize, SocketAddr)>) {
    if listeners.is_empty() {
        return std::future::pending().await;
    }
    std::future::poll_fn(|cx| {
        for step in 0..listeners.len() {
            let index = (*next + step) % listeners.len();
            let Some(listener) = listeners.get(index) else {
                continue;
            };
            let mut read = ReadBuf::new(buffer);
            match listener.socket.poll_recv_from(cx, &mut read) {
                Poll::Ready(Ok(source)) => {
                    // The next round begins with the neighbour: no socket can starve another.
                    *next = index + 1;
                    return Poll::Ready((
                        listener.id,
                        Ok((read.filled().len(), canonical(source))),
                    ));
                }
                Poll::Ready(Err(error)) => return Poll::Ready((listener.id, Err(error))),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    })
    .await
}

/// Accepts connections and hands them to the driver, as long as the driver lives.
pub(crate) async fn accept(
    listener: TcpListener,
    id: ListenerId,
    events: mpsc::Sender<StreamEvent>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let remote = canonical(remote);
                let incoming = StreamEvent::Incoming {
                    listener: id,
                    stream,
                    remote,
                };
                if events.send(incoming).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                say(&Message::new("log_accept_failed").with("error", error.to_string()));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How a connection begins.
pub(crate) enum Opening {
    /// A peer came to us.
    Accepted {
        listener: ListenerId,
        stream: TcpStream,
        remote: SocketAddr,
        acceptor: Option<AskingAcceptor>,
        /// It is to become a WebSocket; who may.
        web: Option<Arc<Admission>>,
    },
    /// We go to a peer.
    Outgoing {
        destination: SocketAddr,
        server_name: Option<String>,
        connector: Option<TlsConnector>,
    },
}

struct Connection {
    writes: mpsc::Sender<Vec<u8>>,
    ip: Option<IpAddr>,
    /// Dropping it lets the writer finish what is queued, then close.
    task: AbortHandle,
    since: Instant,
    /// What the peer showed, and whether a line takes it, once that was asked.
    shown: Option<Arc<Shown>>,
    recognised: Option<bool>,
}

/// The table of stream connections, bounded in all and by address.
pub(crate) struct Connections {
    table: HashMap<ConnectionId, Connection>,
    by_ip: HashMap<IpAddr, u32>,
    events: mpsc::Sender<StreamEvent>,
    connections_max: usize,
    per_ip_max: u32,
}

impl Connections {
    pub(crate) fn new(events: mpsc::Sender<StreamEvent>, limits: &LimitsConfig) -> Self {
        Self {
            table: HashMap::new(),
            by_ip: HashMap::new(),
            events,
            connections_max: usize::try_from(limits.connections_max).unwrap_or(usize::MAX),
            per_ip_max: limits.connections_per_ip_max,
        }
    }

    /// Whether a further connection from this address would stay within the limits. Strangers do not get all the places. A `proxy` asks for many,
    /// who are counted once they are known.
    pub(crate) fn admits(&self, ip: IpAddr, known: bool, proxy: bool) -> bool {
        let kept = if known {
            0
        } else {
            self.connections_max / KEPT_SHARE
        };
        self.table.len() < self.connections_max - kept
            && (proxy || self.by_ip.get(&ip).copied().unwrap_or(0) < self.per_ip_max)
    }

    /// Starts the task of a connection.
    pub(crate) fn open(&mut self, now: Instant, connection: ConnectionId, opening: Opening) {
        let ip = match &opening {
            Opening::Accepted { remote, .. } => Some(remote.ip()),
            Opening::Outgoing { .. } => None,
        };
        if let Some(ip) = ip {
            *self.by_ip.entry(ip).or_insert(0) += 1;
        }
        let (writes, queue) = mpsc::channel(STREAM_WRITES_MAX);
        let events = self.events.clone();
        let task = tokio::spawn(run(connection, opening, queue, events)).abort_handle();
        self.table.insert(
            connection,
            Connection {
                writes,
                ip,
                task,
                since: now,
                shown: None,
                recognised: None,
            },
        );
    }

    /// Address of the peer, when the peer opened the connection.
    pub(crate) fn accepted_from(&self, connection: ConnectionId) -> Option<IpAddr> {
        self.table.get(&connection)?.ip
    }

    /// A proxy said for whom it asks.
    pub(crate) fn came_from(&mut self, connection: ConnectionId, ip: IpAddr) {
        let open = self.table.get_mut(&connection);
        let Some(before) = open.and_then(|open| open.ip.replace(ip)) else {
            return;
        };
        *self.by_ip.entry(ip).or_insert(0) += 1;
        self.release(before);
    }

    fn release(&mut self, ip: IpAddr) {
        if let Some(count) = self.by_ip.get_mut(&ip) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_ip.remove(&ip);
            }
        }
    }

    /// Keeps what the peer of a connection showed.
    pub(crate) fn note_shown(&mut self, connection: ConnectionId, shown: Option<Arc<Shown>>) {
        if let Some(open) = self.table.get_mut(&connection) {
            open.shown = shown;
        }
    }

    /// What the peer of a connection showed.
    pub(crate) fn shown(&self, connection: ConnectionId) -> Option<Arc<Shown>> {
        self.table.get(&connection)?.shown.clone()
    }

    /// Whether `recognises` what the peer showed: asked once, until the lines change.
    pub(crate) fn is_recognised(
        &mut self,
        connection: ConnectionId,
        recognises: impl FnOnce(&Shown) -> bool,
    ) -> bool {
        let open = self.table.get_mut(&connection);
        open.is_some_and(|open| match (&open.shown, open.recognised) {
            (None, _) => false,
            (Some(_), Some(recognised)) => recognised,
            (Some(shown), None) => *open.recognised.insert(recognises(shown)),
        })
    }

    /// The lines changed.
    pub(crate) fn forget_recognised(&mut self) {
        for open in self.table.values_mut() {
            open.recognised = None;
        }
    }

    /// Queues bytes; false when the peer does not read (the connection is closed then).
    pub(crate) fn send(&mut self, connection: ConnectionId, data: Vec<u8>) -> bool {
        match self.table.get(&connection) {
            Some(open) => open.writes.try_send(data).is_ok(),
            None => false,
        }
    }

    /// Forgets a connection. What is queued is still written.
    pub(crate) fn close(&mut self, connection: ConnectionId) {
        let Some(closed) = self.table.remove(&connection) else {
            return;
        };
        if let Some(ip) = closed.ip {
            self.release(ip);
        }
    }

    /// Forgets a connection at once, unsent bytes included.
    pub(crate) fn abort(&mut self, connection: ConnectionId) {
        if let Some(open) = self.table.get(&connection) {
            open.task.abort();
            tracing::debug!(
                code = "log_connection_aborted",
                age_ms = open.since.elapsed().as_millis()
            );
        }
        self.close(connection);
    }
}

async fn run(
    connection: ConnectionId,
    opening: Opening,
    queue: mpsc::Receiver<Vec<u8>>,
    events: mpsc::Sender<StreamEvent>,
) {
    match opening {
        Opening::Accepted {
            listener,
            stream,
            remote,
            acceptor,
            web,
        } => {
            let _ = stream.set_nodelay(true);
            let Ok(local) = stream.local_addr().map(canonical) else {
                return closed(connection, &events).await;
            };
            let ready = |remote, shown: Option<Shown>| StreamEvent::Ready {
                connection,
                listener,
                local,
                remote,
                shown: shown.map(Arc::new),
            };
            let ways = (connection, remote, web);
            let Some(acceptor) = acceptor else {
                let ready = |remote| ready(remote, None);
                return speak(ways, ready, stream, queue, &events).await;
            };
            match tokio::time::timeout(TLS_HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
                Ok(Ok((stream, shown))) => {
                    let ready = |remote| ready(remote, shown);
                    speak(ways, ready, stream, queue, &events).await;
                }
                Ok(Err(_)) | Err(_) => closed(connection, &events).await,
            }
        }
        Opening::Outgoing {
            destination,
            server_name,
            connector,
        } => {
            let server = (destination, server_name);
            open(connection, server, connector, queue, &events).await;
        }
    }
}

/// Messages of an accepted connection: as a stream of bytes, or as those of a WebSocket.
async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    (connection, remote, web): (ConnectionId, SocketAddr, Option<Arc<Admission>>),
    ready: impl FnOnce(SocketAddr) -> StreamEvent,
    stream: S,
    queue: mpsc::Receiver<Vec<u8>>,
    events: &mpsc::Sender<StreamEvent>,
) {
    let Some(admission) = web else {
        return pump(connection, ready(remote), stream, queue, events).await;
    };
    match sip_websocket::accept(stream, remote, &admission).await {
        Some((socket, from)) => {
            sip_websocket::pump(connection, ready(from), socket, queue, events).await;
        }
        None => {
            let _ = events.send(StreamEvent::Refused { connection }).await;
        }
    }
}

/// Goes to a peer.
async fn open(
    connection: ConnectionId,
    (destination, server_name): (SocketAddr, Option<String>),
    connector: Option<TlsConnector>,
    queue: mpsc::Receiver<Vec<u8>>,
    events: &mpsc::Sender<StreamEvent>,
) {
    let connected = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(destination)).await;
    let Ok(Ok(stream)) = connected else {
        return failed(connection, events).await;
    };
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr().map(canonical) else {
        return failed(connection, events).await;
    };
    let ready = |shown: Option<Shown>| StreamEvent::Connected {
        connection,
        local,
        shown: shown.map(Arc::new),
    };
    let Some(connector) = connector else {
        return pump(connection, ready(None), stream, queue, events).await;
    };
    let name = server_name.unwrap_or_else(|| destination.ip().to_string());
    let Ok(name) = ServerName::try_from(name.trim_matches(['[', ']']).to_owned()) else {
        return failed(connection, events).await;
    };
    match tokio::time::timeout(TLS_HANDSHAKE_WITHIN, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let shown = Shown::of(session.peer_certificates(), true);
            pump(connection, ready(shown), stream, queue, events).await;
        }
        Ok(Err(error)) => {
            let message =
                Message::new("log_tls_refused").with("destination", destination.to_string());
            say(&message.with("error", error.to_string()));
            failed(connection, events).await;
        }
        Err(_) => failed(connection, events).await,
    }
}

async fn closed(connection: ConnectionId, events: &mpsc::Sender<StreamEvent>) {
    let _ = events.send(StreamEvent::Closed { connection }).await;
}

async fn failed(connection: ConnectionId, events: &mpsc::Sender<StreamEvent>) {
    let _ = events.send(StreamEvent::ConnectFailed { connection }).await;
}

async fn pump<S: AsyncRead + AsyncWrite + Send + 'static>(
    connection: ConnectionId,
    ready: StreamEvent,
    stream: S,
    mut queue: mpsc::Receiver<Vec<u8>>,
    events: &mpsc::Sender<StreamEvent>,
) {
    if events.send(ready).await.is_err() {
        return;
    }
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (stop, mut stopped) = oneshot::channel::<()>();
    let write = async move {
        while let Some(data) = queue.recv().await {
            match tokio::time::timeout(WRITE_WITHIN, writer.write_all(&data)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => break,
            }
            if queue.is_empty() && writer.flush().await.is_err() {
                break;
            }
        }
        let _ = tokio::time::timeout(WRITE_WITHIN, writer.shutdown()).await;
        drop(stop);
    };
    let read = async {
        let mut buffer = vec![0; FIRST_READ_BYTES];
        loop {
            let count = tokio::select! {
                read = reader.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(count) => count,
                },
                _ = &mut stopped => break,
            };
            let data = buffer.get(..count).unwrap_or_default().to_vec();
            if count == FIRST_READ_BYTES && buffer.len() < READ_BYTES {
                buffer.resize(READ_BYTES, 0);
            }
            if events
                .send(StreamEvent::Received { connection, data })
                .await
                .is_err()
            {
                break;
            }
        }
        closed(connection, events).await;
    };
    // The reader's end closes the writer by way of the driver, which forgets the connection.
    let ((), ()) = tokio::join!(write, read);
}

/// The two ends of TLS, where configured.
#[derive(Clone)]
pub(crate) struct TlsEnds {
    pub(crate) server: Option<TlsServer>,
    pub(crate) connector: TlsConnector,
}

impl TlsEnds {
    pub(crate) fn new(server: Option<TlsServer>, client: Arc<rustls::ClientConfig>) -> Self {
        Self {
            server,
            connector: TlsConnector::from(client),
        }
    }

    /// What a stream of this protocol needs when a peer opened it.
    pub(crate) fn for_accepted(&self, protocol: Protocol, asks: bool) -> Option<AskingAcceptor> {
        match protocol {
            Protocol::Tls | Protocol::Wss => self.server.as_ref()?.acceptor(asks),
            Protocol::Udp | Protocol::Tcp | Protocol::Ws => None,
        }
    }

    /// What a stream of this protocol needs when we open it.
    pub(crate) fn for_outgoing(&self, protocol: Protocol) -> Option<TlsConnector> {
        match protocol {
            Protocol::Tls | Protocol::Wss => Some(self.connector.clone()),
            Protocol::Udp | Protocol::Tcp | Protocol::Ws => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pattern_22_a_tenth_of_the_places_is_kept_for_known_peers() {
        let (events, _queue) = mpsc::channel(1);
        let limits = LimitsConfig {
            connections_max: 20,
            connections_per_ip_max: 64,
            ..LimitsConfig::default()
        };
        let mut connections = Connections::new(events, &limits);
        let address = IpAddr::from([192, 0, 2, 1]);
        for id in 0..18 {
            assert!(connections.admits(address, false, false));
            let destination = SocketAddr::from(([127, 0, 0, 1], 9));
            let opening = Opening::Outgoing {
                destination,
                server_name: None,
                connector: None,
            };
            connections.open(Instant::now(), ConnectionId(id), opening);
        }
        assert!(
            !connections.admits(address, false, false),
            "strangers have had theirs"
        );
        assert!(connections.admits(address, true, false));
    }
}
