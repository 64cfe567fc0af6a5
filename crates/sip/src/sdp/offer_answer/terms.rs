//! The words of offer and answer: what we can do, what was agreed, why not.

use crate::sdp::{Direction, Fingerprint, IceCandidate, IcePassword};
use std::net::{IpAddr, SocketAddr};

/// The SRTP suites that we know (RFC 4568 section 6.2, RFC 6188), with the bytes of master key and salt together.
pub const SUITES: &[(&str, usize)] = &[
    ("AES_CM_128_HMAC_SHA1_80", 30),
    ("AES_CM_128_HMAC_SHA1_32", 30),
    ("AES_256_CM_HMAC_SHA1_80", 46),
    ("AES_256_CM_HMAC_SHA1_32", 46),
];

/// Bytes of key and salt of a suite that we know.
pub(in crate::sdp) fn key_bytes(suite: &str) -> Option<usize> {
    let known = SUITES.iter().find(|(known, _)| *known == suite);
    known.map(|(_, bytes)| *bytes)
}

/// Which SRTP we take, and how we offer it. An offer is answered with what it has: keys by SDES (RFC 4568) or by DTLS (RFC 5763).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpPolicy {
    /// RTP/AVP only.
    Off,
    /// SRTP when the peer does it, else RTP; we offer SDES.
    Preferred,
    /// SRTP or no call; we offer SDES.
    Required,
    /// SRTP when the peer does it, else RTP; we offer DTLS, on RTP/AVP (RFC 8643).
    DtlsPreferred,
    /// SRTP by DTLS or no call.
    DtlsRequired,
}

impl SrtpPolicy {
    /// Plain RTP is no call.
    pub fn is_required(self) -> bool {
        matches!(self, Self::Required | Self::DtlsRequired)
    }

    /// What we offer is DTLS.
    pub fn is_dtls(self) -> bool {
        matches!(self, Self::DtlsPreferred | Self::DtlsRequired)
    }
}

/// Our side of DTLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalDtls {
    /// Of our certificate.
    pub fingerprint: Fingerprint,
    /// Whether we begin the handshake where the peer leaves it to us: our role of an association that stays. Else it begins.
    pub active: bool,
}

/// What was agreed about DTLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DtlsTerms {
    /// One of these is the peer's certificate's; of hash functions that we know.
    pub fingerprints: Vec<Fingerprint>,
    /// We begin the handshake.
    pub active: bool,
}

/// Our side of ICE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalIce {
    /// At least 4 characters (RFC 8839 section 5.4).
    pub ufrag: String,
    pub password: IcePassword,
    /// The address of [`LocalMedia`] is among them.
    pub candidates: Vec<IceCandidate>,
}

/// What was agreed about ICE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceTerms {
    /// The peer's.
    pub ufrag: String,
    /// The peer's.
    pub password: IcePassword,
    /// The peer makes no checks.
    pub lite: bool,
    /// Where the peer may be reached.
    pub candidates: Vec<IceCandidate>,
}

/// A codec of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecOffer {
    /// The encoding name: `PCMU`.
    pub name: &'static str,
    pub clock_rate: u32,
    /// 1; 2 for Opus, whatever its audio is (RFC 7587 section 7).
    pub channels: u8,
    /// `a=fmtp` of ours: what we can use of what the peer sends.
    pub parameters: Option<&'static str>,
    /// The payload type of RFC 3551, if it has one.
    pub static_payload: Option<u8>,
    /// It is not offered, and taken only where the peer has none of the others.
    pub last_resort: bool,
}

/// One `a=crypto` line: a suite and its master key followed by its master salt.
#[derive(Clone, PartialEq, Eq)]
pub struct CryptoLine {
    pub tag: u32,
    pub suite: String,
    /// Master key, then master salt.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for CryptoLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CryptoLine")
            .field("tag", &self.tag)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// What we can do on one audio stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// The address to advertise.
    pub address: IpAddr,
    pub port: u16,
    /// `None`: the port above the RTP port.
    pub rtcp_port: Option<u16>,
    /// In our order of preference; an answer follows the offerer's.
    pub codecs: Vec<CodecOffer>,
    pub telephone_event: bool,
    pub comfort_noise: bool,
    pub srtp: SrtpPolicy,
    /// Our keys, one line for each suite we take.
    pub crypto: Vec<CryptoLine>,
    /// What DTLS needs; `None`: we do none.
    pub dtls: Option<LocalDtls>,
    /// What ICE needs; `None`: we do none.
    pub ice: Option<LocalIce>,
    /// What we offer is written for browsers (RFC 8829 section 5.2): `UDP/TLS/RTP/SAVPF` where DTLS is demanded, and a bundle of one.
    pub for_browsers: bool,
    /// 10..=60.
    pub ptime_ms: u32,
    pub session_id: u64,
    pub session_version: u64,
}

/// The codec that was agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecChoice {
    /// In our spelling.
    pub name: String,
    pub clock_rate: u32,
    pub channels: u8,
    pub payload_type: u8,
    /// The peer's `a=fmtp`: what it asks of what we send.
    pub parameters: Option<String>,
    /// Ours, as this peer is told them.
    pub our_parameters: Option<String>,
}

/// Both keys of an agreed suite.
#[derive(Clone, PartialEq, Eq)]
pub struct CryptoPair {
    pub suite: String,
    /// What we encrypt with: master key, then salt.
    pub local_key: Vec<u8>,
    /// What the peer encrypts with.
    pub remote_key: Vec<u8>,
}

impl std::fmt::Debug for CryptoPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CryptoPair")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// What both sides agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    pub codec: CodecChoice,
    /// The payload type of RFC 4733 events.
    pub telephone_event: Option<u8>,
    /// Their clock: the codec's, or 8,000 where the peer has no other.
    pub event_clock_rate: u32,
    /// The payload type of RFC 3389 comfort noise.
    pub comfort_noise: Option<u8>,
    /// Milliseconds of audio in a packet that the peer wants, 10..=60.
    pub ptime_ms: u32,
    /// Where the peer receives; `None` while it holds with 0.0.0.0.
    pub remote: Option<SocketAddr>,
    pub remote_rtcp: Option<SocketAddr>,
    pub rtcp_mux: bool,
    /// As we act.
    pub direction: Direction,
    pub crypto: Option<CryptoPair>,
    /// Keys come by DTLS.
    pub dtls: Option<DtlsTerms>,
    /// Both sides do ICE.
    pub ice: Option<IceTerms>,
    /// `remote` is `None` because the peer has no address to tell yet, and not because it holds: checks find it.
    pub is_found_by_checks: bool,
}

/// Why a description cannot be answered or accepted. All but `BadSdp` (400) call for 488.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferRejected {
    /// What the peer has instead: `name/rate`.
    NoCommonCodec { offered: Vec<String> },
    /// No audio stream, or only refused ones.
    NoAudio,
    /// Not a session description.
    BadSdp,
    /// We require SRTP, or SRTP by DTLS, and the peer has none (or no suite or hash function in common).
    SrtpRequired,
    /// The peer requires SRTP and we have none.
    SrtpRefused,
    /// Multicast, loopback of another host, port 0…
    UnusableAddress,
}

impl OfferRejected {
    /// The status that answers the offer.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadSdp => 400,
            Self::NoCommonCodec { .. }
            | Self::NoAudio
            | Self::SrtpRequired
            | Self::SrtpRefused
            | Self::UnusableAddress => 488,
        }
    }
}
