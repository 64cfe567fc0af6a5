//! TLS set-up: one client configuration for SIP and the engines, one server configuration for the SIP listener.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::config::TlsIdentity;
use crate::engine::StartError;

/// A client that verifies names against the system's authorities and those of `extra_ca_pem`. TLS 1.2 or later.
pub(crate) fn client(extra_ca_pem: &[u8]) -> Result<Arc<ClientConfig>, StartError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    for certificate in CertificateDer::pem_slice_iter(extra_ca_pem) {
        let certificate =
            certificate.map_err(|error| tls_error("the additional authorities", &error))?;
        roots
            .add(certificate)
            .map_err(|error| tls_error("the additional authorities", &error))?;
    }
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| tls_error("the protocol versions", &error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A server with one identity. TLS 1.2 or later.
pub(crate) fn server(identity: &TlsIdentity) -> Result<Arc<ServerConfig>, StartError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&identity.chain_pem)
        .collect::<Result<_, _>>()
        .map_err(|error| tls_error("the certificate", &error))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes())
        .map_err(|error| tls_error("the private key", &error))?;
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| tls_error("the protocol versions", &error))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| tls_error("the certificate and its key", &error))?;
    Ok(Arc::new(config))
}

fn tls_error(what: &str, error: &dyn std::fmt::Display) -> StartError {
    StartError::Tls {
        cause: format!("{what}: {error}"),
    }
}
