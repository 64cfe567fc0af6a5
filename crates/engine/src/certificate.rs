//! What a certificate says of itself: names and dates, for people who must find out why TLS fails.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Names kept of a certificate.
const NAMES_MAX: usize = 16;

/// Names and dates of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// DNS names and addresses that it is for (RFC 5280 section 4.2.1.6), at most 16.
    pub names: Vec<String>,
    /// Common name of its issuer, where there is one.
    pub issuer: Option<String>,
    /// It signed itself.
    pub self_signed: bool,
    /// Begin of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
}

impl CertificateFacts {
    /// Reads a certificate in DER; `None` where it is none.
    pub fn of_der(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut names = Vec::new();
        if let Ok(Some(extension)) = certificate.subject_alternative_name() {
            for name in &extension.value.general_names {
                if let GeneralName::DNSName(name) = name {
                    names.push((*name).to_owned());
                } else if let GeneralName::IPAddress(bytes) = name {
                    names.extend(address(bytes));
                }
            }
        }
        names.truncate(NAMES_MAX);
        let issuer = certificate.issuer().iter_common_name().next();
        Some(Self {
            names,
            issuer: issuer.and_then(|name| Some(name.as_str().ok()?.to_owned())),
            self_signed: certificate.issuer() == certificate.subject(),
            not_before: Timestamp::from_second(certificate.validity().not_before.timestamp())
                .ok()?,
            not_after: Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?,
        })
    }

    /// Reads the first certificate of a PEM text; `None` where there is none.
    pub fn of_pem(pem: &[u8]) -> Option<Self> {
        let first = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
        Self::of_der(&first)
    }

    /// Whole days from `now` to the end of its validity; negative once it is over.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after.as_second() - now.as_second()).div_euclid(86_400)
    }

    /// Whether it is for this host name or address (one label of a name may be a wildcard, RFC 6125 section 6.4.3).
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']);
        self.names.iter().any(|name| {
            name.eq_ignore_ascii_case(host)
                || name.strip_prefix("*.").is_some_and(|parent| {
                    host.split_once('.')
                        .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
                })
        })
    }
}

/// An address as a certificate has it.
pub(crate) fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(sixteen).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_dates_of_a_certificate() {
        let names = ["sip.example.org", "*.pbx.test", "127.0.0.1"].map(str::to_owned);
        let mut params = rcgen::CertificateParams::new(names.to_vec()).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 12, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        let facts = CertificateFacts::of_pem(made.pem().as_bytes()).unwrap();
        assert_eq!(facts.names, names);
        assert!(facts.self_signed);
        let day = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(facts.days_left(day("2026-11-28T12:00:00Z")), 2);
        assert_eq!(facts.days_left(day("2026-12-01T12:00:00Z")), -1);
        assert!(facts.covers("SIP.example.org") && facts.covers("127.0.0.1"));
        assert!(facts.covers("a.pbx.test") && !facts.covers("a.b.pbx.test"));
        assert!(!facts.covers("pbx.test") && !facts.covers("example.org"));
        assert!(CertificateFacts::of_pem(b"nothing").is_none());
    }
}
