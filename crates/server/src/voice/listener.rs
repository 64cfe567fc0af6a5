//! The listener of the voice address: HTTP/1.1 with bounds, plain or TLS.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use engine::config::TlsIdentity;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// Connections at once, streams of calls included; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 4_096;
/// Bytes of a request's head; a longer one is answered 431.
const HEAD_BYTES_MAX: usize = 16 * 1_024;
/// Headers of a request.
const HEADERS_MAX: usize = 100;
/// How long a head may take to arrive.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// A TLS handshake that takes longer is dropped.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// How long requests in progress may take once the address is closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// See the module.
pub(super) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    pub(super) async fn bind(address: SocketAddr, tls: Option<&TlsIdentity>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            tls: tls.map(crate::api::listener::acceptor).transpose()?,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until told to stop.
    pub(super) async fn serve(self, router: Router, mut stopped: watch::Receiver<bool>) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let next = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            tokio::select! {
                (permit, accepted) = next => match accepted {
                    Ok((stream, peer)) => {
                        let (tls, router) = (self.tls.clone(), router.clone());
                        connections.spawn(async move {
                            let _permit = permit;
                            connection(stream, peer, tls, router).await;
                        });
                    }
                    Err(error) => {
                        // No descriptor is left, most likely: some must be closed first.
                        tracing::warn!(%error, "a connection to the voice address cannot be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                _ = stopped.changed() => break,
            }
        }
        let rest = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(CLOSE_WITHIN, rest).await;
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, router: Router) {
    let _ = stream.set_nodelay(true);
    let served = match tls {
        None => serve(TokioIo::new(stream), peer, router).await,
        Some(tls) => {
            let handshake = tokio::time::timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await;
            let Ok(Ok(stream)) = handshake else { return };
            serve(TokioIo::new(stream), peer, router).await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the voice address broke");
    }
}

async fn serve<I>(io: I, peer: SocketAddr, router: Router) -> hyper::Result<()>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        async move {
            Ok::<_, Infallible>(
                router
                    .oneshot(request)
                    .await
                    .unwrap_or_else(|never| match never {}),
            )
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(io, service)
        .with_upgrades()
        .await
}
