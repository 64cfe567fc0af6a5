//! Who we are in DTLS: one certificate for the life of the process. The key on P-256 is a matter of a millisecond; that the library
//! gathers its randomness for the first time takes some 40, so that it is made ready when the process starts.
//!
//! RFC 5763 lets a side use one for all its calls; who wants to be linked by nobody makes one for each, which calls of one operator need not.

use std::sync::{Arc, OnceLock};

use rtc_crypto::RTCCryptoProvider;
use rtc_dtls::crypto::Certificate;
use sha2::{Digest, Sha256, Sha384, Sha512};
use sip::sdp::Fingerprint;

/// See the module.
pub(super) struct Identity {
    pub(super) provider: Arc<dyn RTCCryptoProvider>,
    pub(super) certificate: Certificate,
    fingerprint: Fingerprint,
}

/// The identity of this process; `None` where the system has no randomness.
pub(super) fn identity() -> Option<&'static Identity> {
    static IDENTITY: OnceLock<Option<Identity>> = OnceLock::new();
    IDENTITY.get_or_init(Identity::make).as_ref()
}

/// Makes it, where nobody has: the first call shall not wait for it.
pub(crate) fn make_ready() {
    let _ = identity();
}

/// What our certificate hashes to.
pub(crate) fn fingerprint() -> Option<Fingerprint> {
    Some(identity()?.fingerprint.clone())
}

impl Identity {
    pub(super) fn make() -> Option<Self> {
        let provider = rtc_crypto::default_provider().ok()?;
        let names = vec!["allo.invalid".to_owned()];
        let certificate = Certificate::generate_self_signed(names, provider.crypto()).ok()?;
        let fingerprint = Fingerprint {
            hash: "sha-256".to_owned(),
            bytes: Sha256::digest(certificate.certificate.first()?).to_vec(),
        };
        Some(Self {
            provider,
            certificate,
            fingerprint,
        })
    }
}

/// Whether a certificate (DER) is one of those that a description promises.
pub(super) fn matches(fingerprints: &[Fingerprint], certificate: &[u8]) -> bool {
    fingerprints.iter().any(|promised| {
        let hash = match promised.hash.as_str() {
            "sha-256" => Sha256::digest(certificate).to_vec(),
            "sha-384" => Sha384::digest(certificate).to_vec(),
            "sha-512" => Sha512::digest(certificate).to_vec(),
            _ => return false,
        };
        hash == promised.bytes
    })
}
