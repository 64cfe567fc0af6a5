//! The HTTP clients, built once: one TLS configuration, two pools (open, and the operator's origins), no environment.

use std::sync::Arc;

use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::courier::StartError;
use crate::guard::{Allow, Target};
use crate::limits::{
    CONNECT_WITHIN, IDLE_KEPT, IDLE_PER_ORIGIN_MAX, REPLY_HEADER_BYTES_MAX, REPLY_HEADERS_MAX,
};
use crate::resolve::{GuardedResolver, Lookup};

/// What every request says of us.
const USER_AGENT: &str = concat!("allo/", env!("CARGO_PKG_VERSION"));

/// The two pools.
#[derive(Clone)]
pub(crate) struct Clients {
    open: reqwest::Client,
    trusted: reqwest::Client,
}

impl Clients {
    pub(crate) fn build(
        extra_ca_pem: &[u8],
        lookup: &Lookup,
        allow: &Arc<Allow>,
    ) -> Result<Self, StartError> {
        let tls = tls(extra_ca_pem)?;
        let client = |trusted: bool| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(Arc::new(GuardedResolver {
                    lookup: lookup.clone(),
                    allow: Arc::clone(allow),
                    trusted,
                }))
                // A proxy would resolve and connect in our place, behind the guard's back.
                .no_proxy()
                .redirect(Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .user_agent(USER_AGENT)
                .connect_timeout(CONNECT_WITHIN)
                .pool_idle_timeout(IDLE_KEPT)
                .pool_max_idle_per_host(IDLE_PER_ORIGIN_MAX)
                .http1_max_headers(REPLY_HEADERS_MAX)
                .http2_max_header_list_size(REPLY_HEADER_BYTES_MAX)
                .tcp_nodelay(true)
                .build()
                .map_err(|source| StartError::Client { source })
        };
        Ok(Self {
            open: client(false)?,
            trusted: client(true)?,
        })
    }

    /// The client for a target that the guard let through.
    pub(crate) fn of(&self, target: &Target) -> &reqwest::Client {
        if target.trusted {
            &self.trusted
        } else {
            &self.open
        }
    }
}

/// Names are verified against the system's authorities and those of `extra_ca_pem`. TLS 1.2 or later.
fn tls(extra_ca_pem: &[u8]) -> Result<ClientConfig, StartError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in CertificateDer::pem_slice_iter(extra_ca_pem) {
        let certificate = certificate.map_err(|_| StartError::Authorities)?;
        roots
            .add(certificate)
            .map_err(|_| StartError::Authorities)?;
    }
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|source| StartError::Tls { source })?
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
