//! A way to one target: a datagram socket or a stream of the test's own, and one question over it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use sip::probe::{Answer, Ask, Probe, Reply};
use sip::{Frame, Framer, Protocol, Target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use crate::certificate::CertificateFacts;
use crate::limits::SIP_MESSAGE_BYTES_MAX;

/// First wait before a datagram is sent again, and the longest (RFC 3261 section 17.1.2.2).
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

/// Why there is no way.
#[derive(Debug)]
pub(super) enum OpenError {
    /// Nobody listens.
    Refused,
    /// Nothing came back.
    Silent,
    /// The handshake failed.
    Tls(io::Error),
    /// Anything else of the system.
    Other(io::Error),
}

/// What came of a question.
#[derive(Debug)]
pub(super) enum Exchanged {
    Answer(Answer),
    /// No final response in time.
    Silence,
    /// The system says that nobody listens there (datagrams).
    Refused,
    /// The peer closed the stream.
    Closed,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

enum Channel {
    Datagram(UdpSocket),
    Stream(Box<dyn Duplex>, Framer),
}

/// An open way.
pub(super) struct Path {
    target: Target,
    local: SocketAddr,
    channel: Channel,
    certificate: Option<CertificateFacts>,
}

impl Path {
    pub(super) async fn open(
        target: Target,
        client: &Arc<rustls::ClientConfig>,
        within: Duration,
    ) -> Result<Self, OpenError> {
        if target.protocol == Protocol::Udp {
            let any: IpAddr = match target.address {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind((any, 0)).await.map_err(other)?;
            // Connected, so that the system tells when nobody listens.
            socket.connect(target.address).await.map_err(other)?;
            return Ok(Self {
                local: socket.local_addr().map_err(other)?,
                target,
                channel: Channel::Datagram(socket),
                certificate: None,
            });
        }
        let connected = timeout(within, TcpStream::connect(target.address)).await;
        let stream = connected.map_err(|_| OpenError::Silent)?.map_err(other)?;
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().map_err(other)?;
        let (stream, certificate): (Box<dyn Duplex>, _) = if target.protocol == Protocol::Tls {
            let named = target.server_name.clone();
            let name = named.unwrap_or_else(|| target.address.ip().to_string());
            let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
                .map_err(|error| OpenError::Tls(io::Error::other(error)))?;
            let connector = TlsConnector::from(Arc::clone(client));
            let secured = timeout(within, connector.connect(name, stream)).await;
            let secured = secured
                .map_err(|_| OpenError::Tls(io::ErrorKind::TimedOut.into()))?
                .map_err(OpenError::Tls)?;
            let leaf = secured.get_ref().1.peer_certificates();
            let facts = leaf
                .and_then(<[_]>::first)
                .and_then(|der| CertificateFacts::of_der(der));
            (Box::new(secured), facts)
        } else {
            (Box::new(stream), None)
        };
        Ok(Self {
            target,
            local,
            channel: Channel::Stream(stream, Framer::new()),
            certificate,
        })
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    pub(super) const fn local(&self) -> SocketAddr {
        self.local
    }

    pub(super) const fn certificate(&self) -> Option<&CertificateFacts> {
        self.certificate.as_ref()
    }

    /// Puts one question and waits for its final answer; `within` holds for each request of it.
    pub(super) async fn exchange(
        &mut self,
        probe: &mut Probe,
        ask: Ask,
        within: Duration,
    ) -> Exchanged {
        let way = super::way(self.target.protocol, self.local);
        let mut request = probe.ask(ask, way);
        loop {
            let until = Instant::now() + within;
            let reply = match &mut self.channel {
                Channel::Datagram(socket) => by_datagram(socket, probe, &request, until).await,
                Channel::Stream(stream, framer) => {
                    by_stream(stream, framer, probe, &request, until).await
                }
            };
            match reply {
                Ok(Reply::Again(next)) => request = next,
                Ok(Reply::Done(answer)) => return Exchanged::Answer(answer),
                Ok(Reply::Wait) => return Exchanged::Silence,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    return Exchanged::Refused;
                }
                Err(_) => return Exchanged::Closed,
            }
        }
    }
}

fn other(error: io::Error) -> OpenError {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        OpenError::Refused
    } else if error.kind() == io::ErrorKind::TimedOut {
        OpenError::Silent
    } else {
        OpenError::Other(error)
    }
}

/// Sends, repeats, reads; [`Reply::Wait`] when the time is over.
async fn by_datagram(
    socket: &UdpSocket,
    probe: &mut Probe,
    request: &[u8],
    until: Instant,
) -> io::Result<Reply> {
    let mut buffer = vec![0; SIP_MESSAGE_BYTES_MAX];
    let mut wait = T1;
    loop {
        socket.send(request).await?;
        let repeat = (Instant::now() + wait).min(until);
        while let Ok(received) = timeout_at(repeat, socket.recv(&mut buffer)).await {
            let reply = probe.handle(buffer.get(..received?).unwrap_or_default());
            if reply != Reply::Wait {
                return Ok(reply);
            }
        }
        if repeat >= until {
            return Ok(Reply::Wait);
        }
        wait = (wait * 2).min(T2);
    }
}

async fn by_stream(
    stream: &mut Box<dyn Duplex>,
    framer: &mut Framer,
    probe: &mut Probe,
    request: &[u8],
    until: Instant,
) -> io::Result<Reply> {
    let mut buffer = vec![0; 16 * 1_024];
    let written = async {
        stream.write_all(request).await?;
        stream.flush().await
    };
    match timeout_at(until, written).await {
        Ok(written) => written?,
        Err(_) => return Ok(Reply::Wait),
    }
    loop {
        loop {
            match framer.next_frame() {
                Ok(Some(Frame::Message(message))) => {
                    let reply = probe.handle(&message);
                    if reply != Reply::Wait {
                        return Ok(reply);
                    }
                }
                Ok(Some(Frame::Ping | Frame::Pong)) => {}
                Ok(None) => break,
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        match timeout_at(until, stream.read(&mut buffer)).await {
            Err(_) => return Ok(Reply::Wait),
            Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => framer.push(buffer.get(..read?).unwrap_or_default()),
        }
    }
}
