//! Trunks that are recognised by a TLS client certificate (RFC 5922): which certificates are those of a line, by fingerprint or by a name
//! that an authority vouches for, and what is wrong with another one.
//!
//! The handshake asks for a certificate and refuses nobody (`handshake`); what it showed stays with the connection (`shown`), and each
//! INVITE is judged by the lines and the clock of its own moment (`judge`, pure).

mod handshake;
mod judge;
mod shown;

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::limits::{
    AUTHORITIES_BYTES_MAX, AUTHORITIES_PER_LINE_MAX, CERTIFICATE_NAME_BYTES_MAX,
    CERTIFICATES_PER_LINE_MAX,
};
use crate::stir::Authorities;

pub(crate) use handshake::{AskingAcceptor, TlsServer};
pub(crate) use judge::{By, Fault};
pub(crate) use shown::Shown;

/// SHA-256 of a certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

/// Neither 32 bytes in hexadecimal nor one certificate in PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no SHA-256 fingerprint, and no certificate in PEM")]
pub struct NoFingerprint;

impl Fingerprint {
    pub(crate) fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    /// Reads what people have at hand: the line of `openssl x509 -fingerprint -sha256`, its digits with or without colons, or the
    /// certificate itself in PEM.
    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        if text.contains("-----BEGIN") {
            let mut found = CertificateDer::pem_slice_iter(text.as_bytes());
            let (Some(Ok(only)), None) = (found.next(), found.next()) else {
                return Err(NoFingerprint);
            };
            return Ok(Self::of(&only));
        }
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.rsplit_once('=').map_or(lower.as_str(), |(_, of)| of);
        let digits = digits.strip_prefix("sha256:").unwrap_or(digits);
        let plain = |c: &char| *c != ':' && !c.is_ascii_whitespace();
        let digits: String = digits.chars().filter(plain).collect();
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoFingerprint);
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            let pair = &digits[2 * place..2 * place + 2];
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NoFingerprint)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    /// As OpenSSL shows it: upper case, with colons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, byte) in self.0.iter().enumerate() {
            let colon = if number == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A name of a certificate as it is compared: without spaces around it, in lower case.
pub(crate) fn plain_name(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

/// Whether a name of a line can be one of a certificate: a domain, an address or a URI.
pub fn is_certificate_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/@[]*%+".contains(c);
    let name = name.trim();
    !name.is_empty() && name.len() <= CERTIFICATE_NAME_BYTES_MAX && name.chars().all(is_plain)
}

/// The host of a SIP domain as a certificate writes it in a URI (RFC 5922 section 7.1): without a user.
fn host_of_uri(name: &str) -> Option<&str> {
    let host = name
        .strip_prefix("sip:")
        .or_else(|| name.strip_prefix("sips:"))?;
    (!host.is_empty() && !host.contains('@')).then_some(host)
}

/// Which certificates are those of a line.
#[derive(Clone, Debug, Default)]
pub struct ClientCertificates {
    /// The certificates themselves: these very ones, whoever signed them. At most [`CERTIFICATES_PER_LINE_MAX`].
    pub fingerprints: Vec<Fingerprint>,
    /// Names that a certificate carries which an authority vouches for, in lower case. At most [`CERTIFICATES_PER_LINE_MAX`].
    pub names: Vec<String>,
    /// Who vouches for the names; `None`: those of [`crate::config::SipConfig::client_authorities`].
    pub authorities: Option<Authorities>,
    /// Nobody calls by this line without one of these certificates, wherever the call comes from.
    pub required: bool,
}

/// What two lines have in common, so that one certificate may be that of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shared {
    /// A certificate.
    Fingerprint(Fingerprint),
    /// A name, and an authority that both trust.
    Name(String),
}

impl ClientCertificates {
    /// Those of a stored account. What cannot be read there is left out: a statement by hand opens nothing.
    pub fn of_settings(settings: &Value) -> Self {
        let texts = |field: &str| {
            let list = settings.get(field).and_then(Value::as_array);
            let texts = list.into_iter().flatten().filter_map(Value::as_str);
            texts.take(CERTIFICATES_PER_LINE_MAX).map(str::to_owned)
        };
        let pem = settings.get("client_ca").and_then(Value::as_str);
        // A list that cannot be read is an empty one: never the server's in its place.
        let authorities = pem.map(|pem| Self::authorities_of(pem).unwrap_or_default());
        let required = settings
            .get("client_certificate_required")
            .and_then(Value::as_bool);
        Self {
            fingerprints: texts("client_certificates")
                .filter_map(|text| text.parse().ok())
                .collect(),
            names: texts("client_names")
                .filter(|name| is_certificate_name(name))
                .map(|name| plain_name(&name))
                .collect(),
            authorities,
            required: required.unwrap_or_default(),
        }
    }

    /// The authorities of a line, in PEM; `None` where there is none in it, or more than a line may have.
    pub fn authorities_of(pem: &str) -> Option<Authorities> {
        if pem.len() > AUTHORITIES_BYTES_MAX {
            return None;
        }
        let found = Authorities::from_pem(pem.as_bytes()).ok()?;
        (found.anchors().len() <= AUTHORITIES_PER_LINE_MAX).then_some(found)
    }

    /// Whether the line knows any certificate.
    pub fn is_empty(&self) -> bool {
        self.fingerprints.is_empty() && self.names.is_empty()
    }

    fn vouching<'a>(&'a self, server: &'a Authorities) -> &'a Authorities {
        self.authorities.as_ref().unwrap_or(server)
    }

    /// What these have in common with those of another line; `server` stands where one names no authority of its own.
    pub fn shared_with(&self, other: &Self, server: &Authorities) -> Option<Shared> {
        let mut fingerprints = self.fingerprints.iter();
        if let Some(known) = fingerprints.find(|known| other.fingerprints.contains(known)) {
            return Some(Shared::Fingerprint(*known));
        }
        let mut anchors = self.vouching(server).anchors().iter();
        let others = other.vouching(server).anchors();
        // Not the bounds of their names: the same key vouches for both.
        let is_same = |one: &rustls::pki_types::TrustAnchor<'_>| {
            let mut others = others.iter();
            others.any(|other| {
                one.subject == other.subject
                    && one.subject_public_key_info == other.subject_public_key_info
            })
        };
        if !anchors.any(is_same) {
            return None;
        }
        let meets = |name: &&String| other.names.iter().any(|other| names_meet(name, other));
        self.names.iter().find(meets).cloned().map(Shared::Name)
    }
}

/// Whether one certificate may carry both names with a single entry: they are equal, or one is the domain of the other.
fn names_meet(one: &str, other: &str) -> bool {
    let domain = |name: &str| host_of_uri(name).unwrap_or(name).to_owned();
    domain(one) == domain(other)
}

#[cfg(test)]
mod tests;
