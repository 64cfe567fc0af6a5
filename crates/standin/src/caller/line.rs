//! The telephone's signalling: a SIP user agent on a socket of its own, over UDP or TCP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use sip::{
    Config, ConnectionId, Event, Input, Listener, ListenerId, Output, Protocol, QueryId, Target,
    UserAgent,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::CallError;

/// Largest datagram or piece of a stream that is read.
const READ_BYTES_MAX: usize = 65_536;
const UDP: ListenerId = ListenerId(1);
const TCP: ListenerId = ListenerId(2);

/// The user agent with its sockets.
pub(super) struct Line {
    pub(super) agent: UserAgent,
    udp: UdpSocket,
    /// Holds the port that Contact shows; requests come on the connection that we opened.
    _tcp: Option<TcpListener>,
    reader: Option<(ConnectionId, OwnedReadHalf)>,
    writers: BTreeMap<ConnectionId, OwnedWriteHalf>,
}

impl Line {
    pub(super) async fn bind(bind: SocketAddr, tcp: bool, seed: u64) -> Result<Self, CallError> {
        let failed = |source| CallError::Bind {
            address: bind,
            source,
        };
        let udp = UdpSocket::bind(bind).await.map_err(failed)?;
        let bound = udp.local_addr().map_err(failed)?;
        let listener = |id, protocol, bound| Listener {
            id,
            protocol,
            bound,
            advertised: None,
            is_guess: false,
        };
        let mut listeners = vec![listener(UDP, Protocol::Udp, bound)];
        let mut tcp_listener = None;
        if tcp {
            let socket = TcpListener::bind((bind.ip(), 0)).await.map_err(failed)?;
            let bound = socket.local_addr().map_err(failed)?;
            listeners.push(listener(TCP, Protocol::Tcp, bound));
            tcp_listener = Some(socket);
        }
        let mut config = Config::new(listeners, seed);
        config.user_agent = "allo-caller".into();
        Ok(Self {
            agent: UserAgent::new(Instant::now(), config),
            udp,
            _tcp: tcp_listener,
            reader: None,
            writers: BTreeMap::new(),
        })
    }

    /// Waits for a datagram or a piece of the stream and gives it to the user agent.
    pub(super) async fn receive(&mut self) {
        let mut buffer = vec![0; READ_BYTES_MAX];
        let mut stream_buffer = vec![0; READ_BYTES_MAX];
        tokio::select! {
            received = self.udp.recv_from(&mut buffer) => {
                if let Ok((len, source)) = received {
                    let data = &buffer[..len];
                    let input = Input::Datagram { listener: UDP, source, data };
                    self.agent.handle(Instant::now(), input);
                }
            }
            (connection, len) = read_optional(&mut self.reader, &mut stream_buffer) => {
                let input = if len == 0 {
                    self.reader = None;
                    self.writers.remove(&connection);
                    Input::Closed { connection }
                } else {
                    Input::Received { connection, data: &stream_buffer[..len] }
                };
                self.agent.handle(Instant::now(), input);
            }
        }
    }

    /// Does what the user agent wants, and gives its events.
    pub(super) async fn advance(&mut self, events: &mut Vec<Event>) {
        let now = Instant::now();
        if self.agent.poll_timeout().is_some_and(|due| due <= now) {
            self.agent.handle(now, Input::Timeout);
        }
        while let Some(output) = self.agent.poll_output() {
            match output {
                Output::SendDatagram {
                    destination, data, ..
                } => {
                    // A datagram may be lost: the user agent repeats what matters.
                    let _ = self.udp.send_to(&data, destination).await;
                }
                Output::SendStream { connection, data } => {
                    let writer = self.writers.get_mut(&connection);
                    if let Some(writer) = writer
                        && writer.write_all(&data).await.is_err()
                    {
                        self.writers.remove(&connection);
                        self.agent.handle(now, Input::Closed { connection });
                    }
                }
                Output::Connect {
                    connection,
                    destination,
                    ..
                } => self.connect(connection, destination).await,
                Output::Close { connection } => {
                    self.writers.remove(&connection);
                    if self
                        .reader
                        .as_ref()
                        .is_some_and(|(id, _)| *id == connection)
                    {
                        self.reader = None;
                    }
                    self.agent.handle(now, Input::Closed { connection });
                }
                Output::Resolve {
                    query,
                    host,
                    port,
                    protocol,
                    ..
                } => self.resolve(query, &host, port, protocol).await,
                Output::Event(event) => events.push(event),
            }
        }
    }

    async fn connect(&mut self, connection: ConnectionId, destination: SocketAddr) {
        let connected = TcpStream::connect(destination).await;
        let now = Instant::now();
        let input = match connected.and_then(|stream| Ok((stream.local_addr()?, stream))) {
            Ok((local, stream)) => {
                let (reader, writer) = stream.into_split();
                self.reader = Some((connection, reader));
                self.writers.insert(connection, writer);
                Input::Connected { connection, local }
            }
            Err(_) => Input::ConnectFailed { connection },
        };
        self.agent.handle(now, input);
    }

    async fn resolve(
        &mut self,
        query: QueryId,
        host: &str,
        port: Option<u16>,
        protocol: Option<Protocol>,
    ) {
        let port = port.unwrap_or(5_060);
        let found = tokio::net::lookup_host((host, port)).await;
        let targets = found
            .into_iter()
            .flatten()
            .take(8)
            .map(|address| Target {
                protocol: protocol.unwrap_or(Protocol::Udp),
                address,
                server_name: None,
            })
            .collect();
        self.agent
            .handle(Instant::now(), Input::Resolved { query, targets });
    }
}

/// A piece of the stream when there is one, else never. No bytes means that it was closed.
async fn read_optional(
    reader: &mut Option<(ConnectionId, OwnedReadHalf)>,
    buffer: &mut [u8],
) -> (ConnectionId, usize) {
    match reader {
        Some((connection, half)) => (*connection, half.read(buffer).await.unwrap_or(0)),
        None => std::future::pending().await,
    }
}
