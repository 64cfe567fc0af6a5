//! Whether a certificate is one of a line's. Pure: the time is given.

use std::time::Duration;

use catalog::Message;
use rustls::pki_types::UnixTime;

use super::{ClientCertificates, Shown};
use crate::stir::Authorities;

/// What says that a certificate is a line's; the more specific is the lesser one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// The line lists this very certificate.
    Fingerprint,
    /// It carries a name of the line, and an authority vouches for it.
    Name(String),
}

impl By {
    /// What the record of the call says.
    pub(crate) fn note(&self, shown: &Shown) -> Message {
        let (by, name) = match self {
            Self::Fingerprint => ("fingerprint", None),
            Self::Name(name) => ("name", Some(name.as_str())),
        };
        let message = Message::new("certificate_recognised").with("by", by);
        let message = message.with("fingerprint", shown.fingerprint().to_string());
        match name {
            Some(name) => message.with("name", name),
            None => message,
        }
    }
}

/// Why a certificate does not open a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is none.
    Missing,
    /// It is none of the line's.
    Other,
    /// It is the line's, but whoever showed it did not prove to have its key.
    Unproven,
    /// It carries a name of the line, and no authority vouches for it.
    Untrusted,
    /// It is the line's, and not valid yet.
    Early,
    /// It was the line's.
    Expired,
    /// Lines of several accounts of the platform have it.
    Ambiguous,
}

impl Fault {
    /// Its name in records.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Other => "other",
            Self::Unproven => "unproven",
            Self::Untrusted => "untrusted",
            Self::Early => "early",
            Self::Expired => "expired",
            Self::Ambiguous => "ambiguous",
        }
    }

    /// Whether it is the line's own peer that is refused: its certificate is out of date, not somebody else's.
    pub(crate) const fn is_of_peer(self) -> bool {
        match self {
            Self::Early | Self::Expired => true,
            Self::Missing | Self::Other | Self::Unproven | Self::Untrusted | Self::Ambiguous => {
                false
            }
        }
    }

    /// What the record of a refusal says.
    pub(crate) fn note(self, shown: Option<&Shown>) -> Message {
        let message = Message::new("certificate_refused").with("cause", self.label());
        let Some(shown) = shown else {
            return message;
        };
        let message = message.with("fingerprint", shown.fingerprint().to_string());
        let names = shown.first_names();
        if names.is_empty() {
            message
        } else {
            message.with("names", names)
        }
    }
}

/// What a certificate may be for: TLS on either side, SIP domains (RFC 5924), anything. One that names no purpose is for all of them. Public
/// authorities sign for TLS servers alone, and carriers show that certificate when they call.
struct AnyTls;

/// RFC 5280 section 4.2.1.12, RFC 5924 section 3.
const PURPOSES: [&[usize]; 4] = [
    &[1, 3, 6, 1, 5, 5, 7, 3, 1],
    &[1, 3, 6, 1, 5, 5, 7, 3, 2],
    &[1, 3, 6, 1, 5, 5, 7, 3, 20],
    &[2, 5, 29, 37, 0],
];

impl webpki::ExtendedKeyUsageValidator for AnyTls {
    fn validate(&self, purposes: webpki::KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut names_none = true;
        for purpose in purposes {
            names_none = false;
            let purpose: Vec<usize> = purpose?.to_decoded_oid();
            if PURPOSES.contains(&purpose.as_slice()) {
                return Ok(());
            }
        }
        if names_none {
            Ok(())
        } else {
            Err(webpki::Error::UnsupportedCriticalExtension)
        }
    }
}

impl ClientCertificates {
    /// Whether what was shown is a certificate of this line, at `now_s` of Unix time.
    pub(crate) fn judge(
        &self,
        shown: Option<&Shown>,
        server: &Authorities,
        now_s: i64,
    ) -> Result<By, Fault> {
        let shown = shown.ok_or(Fault::Missing)?;
        let is_listed = self.fingerprints.contains(&shown.fingerprint);
        let name = self.names.iter().find(|name| shown.is_for(name));
        if !is_listed && name.is_none() {
            return Err(Fault::Other);
        }
        if !shown.is_proven {
            return Err(Fault::Unproven);
        }
        if is_listed {
            return shown.is_current(now_s).map(|()| By::Fingerprint);
        }
        let name = name.ok_or(Fault::Other)?;
        // Whether it is the peer at all comes before whether it is late: anybody can write the name into a certificate that has expired.
        shown.is_vouched_for(self.vouching(server), now_s)?;
        shown.is_current(now_s)?;
        Ok(By::Name(name.clone()))
    }
}

impl Shown {
    fn is_current(&self, now_s: i64) -> Result<(), Fault> {
        match self.validity_s {
            None => Err(Fault::Unproven),
            Some((begin, _)) if now_s < begin => Err(Fault::Early),
            Some((_, end)) if now_s > end => Err(Fault::Expired),
            Some(_) => Ok(()),
        }
    }

    /// Whether an authority vouches for it, at the moment of its own validity that is closest to now.
    fn is_vouched_for(&self, authorities: &Authorities, now_s: i64) -> Result<(), Fault> {
        let (begin, end) = self.validity_s.ok_or(Fault::Unproven)?;
        let at_s = now_s.max(begin).min(end.max(begin));
        let at = UnixTime::since_unix_epoch(Duration::from_secs(
            u64::try_from(at_s).map_err(|_| Fault::Untrusted)?,
        ));
        let (leaf, issuers) = self.chain.split_first().ok_or(Fault::Untrusted)?;
        let leaf = webpki::EndEntityCert::try_from(leaf).map_err(|_| Fault::Untrusted)?;
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            authorities.anchors(),
            issuers,
            at,
            AnyTls,
            None,
            None,
        )
        .map(|_| ())
        .map_err(|_| Fault::Untrusted)
    }
}
