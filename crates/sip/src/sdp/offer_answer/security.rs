//! How the media of one line is encrypted: not at all, with keys in the description (SDES) or with keys by DTLS.

use super::terms::{CryptoLine, CryptoPair, DtlsTerms, LocalMedia, OfferRejected, SrtpPolicy};
use crate::sdp::{DtlsLines, Fingerprint, Media, SessionDescription, Setup};

/// Hash functions of certificates that we know, with the bytes of their result (RFC 8122 section 5).
pub const FINGERPRINT_HASHES: &[(&str, usize)] =
    &[("sha-256", 32), ("sha-384", 48), ("sha-512", 64)];
/// The transport of our offers that demand DTLS (RFC 5764 section 8).
pub(super) const DTLS_PROTOCOL: &str = "UDP/TLS/RTP/SAVP";
/// The same with feedback: the one that browsers take in each version (RFC 8829 section 5.1.2).
pub(super) const BROWSERS_PROTOCOL: &str = "UDP/TLS/RTP/SAVPF";

/// Whose description is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// The peer's offer: what we answer is ours to choose.
    Offer,
    /// The peer's answer: it can have taken only what we offered.
    Answer,
}

/// What one line agrees to with us.
#[derive(Clone)]
pub(super) enum Security {
    Plain,
    /// The tag of the line that is used.
    Sdes(u32, CryptoPair),
    Dtls(DtlsTerms),
}

/// What the transport of an `m=` line demands.
enum Transport {
    Plain,
    /// Either kind of keys.
    Secure,
    Dtls,
}

fn transport(media: &Media) -> Option<Transport> {
    match media.protocol.to_ascii_uppercase().as_str() {
        "RTP/AVP" | "RTP/AVPF" => Some(Transport::Plain),
        "RTP/SAVP" | "RTP/SAVPF" => Some(Transport::Secure),
        "UDP/TLS/RTP/SAVP" | "UDP/TLS/RTP/SAVPF" => Some(Transport::Dtls),
        _ => None,
    }
}

/// Policy and the line decide.
pub(super) fn negotiate(
    description: &SessionDescription,
    media: &Media,
    local: &LocalMedia,
    said: Said,
) -> Result<Security, OfferRejected> {
    let transport = transport(media).ok_or(OfferRejected::NoAudio)?;
    let policy = local.srtp;
    let offered = |dtls: bool| said == Said::Offer || policy.is_dtls() == dtls;
    let sdes = match transport {
        Transport::Plain | Transport::Secure
            if policy != SrtpPolicy::DtlsRequired && offered(false) =>
        {
            sdes(media, local)
        }
        Transport::Plain | Transport::Secure | Transport::Dtls => None,
    };
    let dtls = offered(true)
        .then(|| dtls(description, media, local))
        .flatten();
    let agreed = match policy {
        SrtpPolicy::Off => None,
        SrtpPolicy::Preferred | SrtpPolicy::Required => sdes.or(dtls),
        SrtpPolicy::DtlsPreferred | SrtpPolicy::DtlsRequired => dtls.or(sdes),
    };
    match (agreed, transport) {
        (Some(agreed), _) => Ok(agreed),
        (None, Transport::Plain | Transport::Secure) if policy == SrtpPolicy::DtlsRequired => {
            Err(OfferRejected::SrtpRequired)
        }
        (None, Transport::Secure | Transport::Dtls) => Err(OfferRejected::SrtpRefused),
        (None, Transport::Plain) if policy.is_required() => Err(OfferRejected::SrtpRequired),
        (None, Transport::Plain) => Ok(Security::Plain),
    }
}

/// The peer's first `a=crypto` with a suite of ours.
fn sdes(media: &Media, local: &LocalMedia) -> Option<Security> {
    media.crypto.iter().find_map(|theirs: &CryptoLine| {
        let mut ours = local.crypto.iter();
        let ours = ours.find(|ours| ours.suite == theirs.suite)?;
        let pair = CryptoPair {
            suite: theirs.suite.clone(),
            local_key: ours.key.clone(),
            remote_key: theirs.key.clone(),
        };
        Some(Security::Sdes(theirs.tag, pair))
    })
}

/// A fingerprint that we can judge, of the line or else of the session.
fn dtls(description: &SessionDescription, media: &Media, local: &LocalMedia) -> Option<Security> {
    let ours = local.dtls.as_ref()?;
    let lines = [&media.dtls, &description.dtls];
    let said = |lines: &&DtlsLines| !lines.fingerprints.is_empty();
    let fingerprints: Vec<Fingerprint> = lines.into_iter().find(said)?.fingerprints.clone();
    let known = |one: &Fingerprint| {
        FINGERPRINT_HASHES
            .iter()
            .any(|(hash, bytes)| *hash == one.hash && *bytes == one.bytes.len())
    };
    let fingerprints: Vec<_> = fingerprints.into_iter().filter(known).collect();
    if fingerprints.is_empty() {
        return None;
    }
    // Without a word about it the side that speaks begins (RFC 4145 section 4).
    let setup = media.dtls.setup.or(description.dtls.setup);
    let active = match setup.unwrap_or(Setup::Active) {
        Setup::Active => false,
        Setup::Passive => true,
        Setup::ActPass | Setup::HoldConn => ours.active,
    };
    Some(Security::Dtls(DtlsTerms {
        fingerprints,
        active,
    }))
}

/// What we say about DTLS in an offer.
pub(super) fn offered(local: &LocalMedia) -> DtlsLines {
    let ours = local.dtls.as_ref().filter(|_| local.srtp.is_dtls());
    ours.map(|ours| DtlsLines {
        fingerprints: vec![ours.fingerprint.clone()],
        setup: Some(Setup::ActPass),
    })
    .unwrap_or_default()
}

/// What we say about DTLS in an answer.
pub(super) fn answered(local: &LocalMedia, terms: &DtlsTerms) -> DtlsLines {
    let ours = local.dtls.iter();
    DtlsLines {
        fingerprints: ours.map(|ours| ours.fingerprint.clone()).collect(),
        setup: Some(if terms.active {
            Setup::Active
        } else {
            Setup::Passive
        }),
    }
}
