//! The certificate of a token (RFC 8226, ATIS-1000080): whether an authority vouches for it now, and whether it signed. Pure: the time is given.

use std::time::Duration;

use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use x509_parser::prelude::FromDer as _;

use super::Fault;
use super::token::Token;

/// Certificates of a chain that are read.
const CHAIN_MAX: usize = 8;
/// Bytes of an uncompressed point of P-256: the only key that ES256 has.
const POINT_BYTES: usize = 65;

/// How certificates may be signed: ATIS-1000080 has ECDSA alone.
const ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 4] = [
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
];

/// Those who vouch for certificates: of the signers of callers' numbers, or of trunks.
#[derive(Clone, Debug, Default)]
pub struct Authorities(Vec<TrustAnchor<'static>>);

/// The file of authorities holds none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no certificate authority in PEM")]
pub struct NoAuthorities;

impl Authorities {
    /// Of a PEM file.
    ///
    /// # Errors
    /// Nothing in it is the certificate of an authority.
    pub fn from_pem(pem: &[u8]) -> Result<Self, NoAuthorities> {
        let mut found = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| NoAuthorities)?;
            let anchor = webpki::anchor_from_trusted_cert(&certificate);
            found.push(anchor.map_err(|_| NoAuthorities)?.to_owned());
        }
        if found.is_empty() {
            return Err(NoAuthorities);
        }
        Ok(Self(found))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names and keys.
    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.0
    }
}

/// Any purpose: certificates of signers name none (ATIS-1000080 section 6.3).
struct AnyPurpose;

impl webpki::ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: webpki::KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

/// Whether this token was signed by the certificate that was found at its address, PEM or DER, its issuers behind it.
///
/// # Errors
/// Why not.
pub(super) fn check(
    token: &Token,
    found: &[u8],
    authorities: &Authorities,
    now_s: u64,
) -> Result<(), Fault> {
    let chain = chain(found)?;
    let (first, issuers) = chain.split_first().ok_or(Fault::Certificate)?;
    let leaf = webpki::EndEntityCert::try_from(first).map_err(|_| Fault::Certificate)?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now_s));
    leaf.verify_for_usage(
        &ALGORITHMS,
        &authorities.0,
        issuers,
        now,
        AnyPurpose,
        None,
        None,
    )
    .map_err(|error| untrusted(&error))?;
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(first)
        .map_err(|_| Fault::Certificate)?;
    let point = &certificate.public_key().subject_public_key.data;
    if point.len() != POINT_BYTES {
        return Err(Fault::Certificate);
    }
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(token.signed.as_bytes(), &token.signature)
        .map_err(|_| Fault::Signature)
}

fn untrusted(error: &webpki::Error) -> Fault {
    let is_of_time = matches!(
        error,
        webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }
    );
    if is_of_time {
        Fault::Expired
    } else {
        Fault::Untrusted
    }
}

fn chain(found: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let pem: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(found)
        .take(CHAIN_MAX)
        .collect();
    match pem {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        // One certificate in DER (RFC 8226 section 10.1).
        Ok(_) => Ok(vec![CertificateDer::from(found.to_vec())]),
        Err(_) => Err(Fault::Certificate),
    }
}
