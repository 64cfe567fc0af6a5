//! TLS between the servers under test and the echo engine: one self-signed certificate a run.

use std::io::{Error, Result};
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A connection, plain or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Makes a certificate for 127.0.0.1; written to `directory` as `ca.pem`.
pub(crate) fn acceptor(directory: &Path) -> Result<TlsAcceptor> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])
        .map_err(Error::other)?;
    std::fs::write(directory.join("ca.pem"), made.cert.pem())?;
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes())
        .map_err(Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A client that trusts that certificate.
pub(crate) fn connector(path: &str) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(Error::other)? {
        roots
            .add(certificate.map_err(Error::other)?)
            .map_err(Error::other)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Connects to the host of a `ws` or `wss` address.
pub(crate) async fn connect(url: &str, connector: Option<&TlsConnector>) -> Result<Box<dyn Io>> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    let tcp = TcpStream::connect(host).await?;
    tcp.set_nodelay(true)?;
    match connector {
        None => Ok(Box::new(tcp)),
        Some(connector) => {
            let name = host
                .rsplit_once(':')
                .map_or(host, |(name, _)| name)
                .to_owned();
            let name = ServerName::try_from(name).map_err(Error::other)?;
            Ok(Box::new(connector.connect(name, tcp).await?))
        }
    }
}
