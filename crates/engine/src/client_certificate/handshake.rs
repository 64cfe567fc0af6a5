//! The TLS listener asks each peer for a certificate where some line knows any, and demands none. Whatever it gets, the connection begins:
//! whom a certificate lets in,
//! and who is refused without one, is known when there is a line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoClientAuth, NoServerSessionStorage, ServerConfig};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Shown;
use crate::config::TlsIdentity;

/// What the listener is made of. TLS 1.2 or later.
#[derive(Clone)]
pub(crate) struct TlsServer {
    provider: Arc<CryptoProvider>,
    key: Arc<SingleCertAndKey>,
    /// Where nobody is asked: one for all connections, whose sessions may be resumed.
    plain: TlsAcceptor,
}

/// Accepts one connection.
pub(crate) struct AskingAcceptor {
    acceptor: TlsAcceptor,
    /// `None`: the peer is not asked.
    asked: Option<Arc<Asked>>,
}

/// What one handshake proved. Each has its own: a proof is of its connection and of no other.
#[derive(Debug)]
struct Asked {
    provider: Arc<CryptoProvider>,
    is_proven: AtomicBool,
}

impl TlsServer {
    /// # Errors
    /// The certificate or its key cannot be used: which of them, and why.
    pub(crate) fn new(identity: &TlsIdentity) -> Result<Self, (&'static str, String)> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&identity.chain_pem)
                .collect::<Result<_, _>>()
                .map_err(|error| ("the certificate", error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes())
            .map_err(|error| ("the private key", error.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = CertifiedKey::from_der(chain, key, &provider)
            .map_err(|error| ("the certificate and its key", error.to_string()))?;
        let key = Arc::new(SingleCertAndKey::from(key));
        let plain = config(&provider, &key, Arc::new(NoClientAuth))
            .map_err(|error| ("the protocol versions", error.to_string()))?;
        Ok(Self {
            provider,
            key,
            plain: TlsAcceptor::from(Arc::new(plain)),
        })
    }

    /// For the next connection; `asks`: for a certificate as well. Some telephones ask their user for one then, and wait: nobody is asked
    /// where no line could be opened by it.
    pub(crate) fn acceptor(&self, asks: bool) -> Option<AskingAcceptor> {
        if !asks {
            return Some(AskingAcceptor {
                acceptor: self.plain.clone(),
                asked: None,
            });
        }
        let asked = Arc::new(Asked {
            provider: Arc::clone(&self.provider),
            is_proven: AtomicBool::new(false),
        });
        let mut config = config(&self.provider, &self.key, Arc::clone(&asked) as _).ok()?;
        // A session that is resumed proves nothing anew, and would keep a certificate beyond its end.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Some(AskingAcceptor {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            asked: Some(asked),
        })
    }
}

fn config(
    provider: &Arc<CryptoProvider>,
    key: &Arc<SingleCertAndKey>,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider));
    Ok(builder
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(key) as _))
}

impl AskingAcceptor {
    /// The handshake, and what the peer showed in it.
    pub(crate) async fn accept(
        self,
        stream: TcpStream,
    ) -> std::io::Result<(TlsStream<TcpStream>, Option<Shown>)> {
        let stream = self.acceptor.accept(stream).await?;
        let (_, connection) = stream.get_ref();
        let shown = self.asked.and_then(|asked| {
            let is_proven = asked.is_proven.load(Ordering::Acquire);
            Shown::of(connection.peer_certificates(), is_proven)
        });
        Ok((stream, shown))
    }
}

impl Asked {
    /// A signature that is wrong, or by a key of a kind that we do not know, ends nothing: nothing is proven then.
    fn note(&self, verified: &Result<HandshakeSignatureValid, Error>) -> HandshakeSignatureValid {
        self.is_proven.store(verified.is_ok(), Ordering::Release);
        HandshakeSignatureValid::assertion()
    }
}

impl ClientCertVerifier for Asked {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: a peer shows what it has, also the certificate that signed itself.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let verified =
            rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms);
        Ok(self.note(&verified))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let verified =
            rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms);
        Ok(self.note(&verified))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
