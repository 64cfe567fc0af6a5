//! The listener of the administration API: plain on loopback, TLS elsewhere.

use engine::config::TlsIdentity;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Handshakes in progress at once; further connections wait in the system's queue.
const HANDSHAKES_MAX: usize = 64;
/// A handshake that takes longer is dropped.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// A plain or TLS listener for `axum::serve`.
pub(crate) struct Listener {
    address: SocketAddr,
    source: Source,
}

enum Source {
    Plain(TcpListener),
    Tls(mpsc::Receiver<(Connection, SocketAddr)>),
}

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    /// When the address is taken or the identity cannot be used.
    pub(crate) async fn bind(address: SocketAddr, tls: Option<&TlsIdentity>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let source = match tls {
            None => Source::Plain(listener),
            Some(identity) => Source::Tls(accept_tls(listener, acceptor(identity)?)),
        };
        Ok(Self { address, source })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

pub(crate) fn acceptor(identity: &TlsIdentity) -> io::Result<TlsAcceptor> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let invalid = |cause: String| io::Error::new(io::ErrorKind::InvalidInput, cause);
    let chain = CertificateDer::pem_slice_iter(&identity.chain_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes())
        .map_err(|error| invalid(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| invalid(error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn accept_tls(
    listener: TcpListener,
    acceptor: TlsAcceptor,
) -> mpsc::Receiver<(Connection, SocketAddr)> {
    let (sender, receiver) = mpsc::channel(HANDSHAKES_MAX);
    let permits = Arc::new(tokio::sync::Semaphore::new(HANDSHAKES_MAX));
    tokio::spawn(async move {
        while let Ok(permit) = permits.clone().acquire_owned().await {
            if sender.is_closed() {
                break;
            }
            let Ok((stream, remote)) = listener.accept().await else {
                continue;
            };
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            tokio::spawn(async move {
                let _permit = permit;
                if let Ok(Ok(stream)) =
                    tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await
                {
                    let _ = sender
                        .send((Connection::Tls(Box::new(stream)), remote))
                        .await;
                }
            });
        }
    });
    receiver
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match &mut self.source {
            Source::Plain(listener) => {
                // axum's own loop waits and tries again where the system has no descriptor left.
                let (stream, remote) =
                    <TcpListener as axum::serve::Listener>::accept(listener).await;
                (Connection::Plain(stream), remote)
            }
            Source::Tls(connections) => match connections.recv().await {
                Some(connection) => connection,
                None => std::future::pending().await,
            },
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// One connection.
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
