//! What the other side of a TLS connection showed of itself.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Fingerprint, host_of_uri, plain_name};
use crate::certificate::address;
use crate::limits::{CHAIN_BYTES_MAX, CHAIN_CERTIFICATES_MAX};

/// Names of a certificate that are looked at: a carrier's covers its whole network.
const NAMES_MAX: usize = 256;

/// A certificate, the chain behind it, and whether its key was proven to be there.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The certificate first, at most [`CHAIN_CERTIFICATES_MAX`].
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) fingerprint: Fingerprint,
    /// Domains, addresses and URIs, as they are compared.
    pub(super) names: Vec<String>,
    /// Begin and end of its validity, seconds of Unix time; `None` where it cannot be read.
    pub(super) validity_s: Option<(i64, i64)>,
    /// The handshake was signed by its key.
    pub(super) is_proven: bool,
}

impl Shown {
    /// Of what a handshake brought; `None` where it brought nothing.
    pub(crate) fn of(chain: Option<&[CertificateDer<'_>]>, is_proven: bool) -> Option<Self> {
        let chain = chain?;
        let leaf = chain.first()?;
        let mut bytes = 0;
        let kept = chain
            .iter()
            .take(CHAIN_CERTIFICATES_MAX)
            .take_while(|certificate| {
                bytes += certificate.len();
                bytes <= CHAIN_BYTES_MAX
            });
        let chain = kept.map(|one| one.clone().into_owned()).collect();
        let parsed = X509Certificate::from_der(leaf).ok();
        let parsed = parsed.as_ref().map(|(_, certificate)| certificate);
        Some(Self {
            chain,
            fingerprint: Fingerprint::of(leaf),
            names: parsed.map(names).unwrap_or_default(),
            validity_s: parsed.map(|certificate| {
                let validity = certificate.validity();
                let (begin, end) = (validity.not_before, validity.not_after);
                (begin.timestamp(), end.timestamp())
            }),
            is_proven,
        })
    }

    /// Whether it carries this name of a line: as it stands, or a domain as a SIP URI. A wildcard covers nothing (RFC 5922 section 7.2).
    pub(super) fn is_for(&self, name: &str) -> bool {
        let mut names = self.names.iter();
        names.any(|own| own == name || host_of_uri(own) == Some(name))
    }

    pub(crate) const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Its first names, for people.
    pub(crate) fn first_names(&self) -> String {
        let names: Vec<&str> = self.names.iter().take(4).map(String::as_str).collect();
        names.join(", ")
    }
}

/// Alternative names of the subject (RFC 5280 section 4.2.1.6). The common name is none of them.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let named = extension.value.general_names.iter();
    named
        .filter_map(|name| {
            if let GeneralName::DNSName(name) | GeneralName::URI(name) = name {
                Some(plain_name(name))
            } else if let GeneralName::IPAddress(bytes) = name {
                address(bytes)
            } else {
                None
            }
        })
        .take(NAMES_MAX)
        .collect()
}
