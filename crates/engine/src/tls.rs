//! TLS set-up: one client configuration for SIP and the engines, one identity for the SIP listener.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::client_certificate::TlsServer;
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

/// The SIP listener, with one identity. TLS 1.2 or later.
pub(crate) fn server(identity: &TlsIdentity) -> Result<TlsServer, StartError> {
    TlsServer::new(identity).map_err(|(what, cause)| tls_error(what, &cause))
}

fn tls_error(what: &str, error: &dyn std::fmt::Display) -> StartError {
    StartError::Tls {
        cause: format!("{what}: {error}"),
    }
}
