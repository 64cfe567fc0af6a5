//! Session descriptions (RFC 4566/8866): what carriers and phones send, bounded, and what we send.
//!
//! [`SessionDescription`] keeps what the offer/answer of RFC 3264 needs and ignores the rest; [`offer_answer`] decides.

mod ice;
pub mod offer_answer;
mod parse;
mod print;

pub use ice::{CANDIDATES_MAX, IceCandidate, IceKind, IceLines, IcePassword};
pub use parse::{
    BODY_BYTES_MAX, CRYPTO_MAX, FINGERPRINTS_MAX, FMTP_BYTES_MAX, FORMATS_MAX, MEDIA_MAX, SdpError,
};

use std::net::IpAddr;

/// Which way media flows, seen from the side that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    /// The direction that an attribute names.
    fn from_attribute(name: &str) -> Option<Self> {
        [
            Self::SendRecv,
            Self::SendOnly,
            Self::RecvOnly,
            Self::Inactive,
        ]
        .into_iter()
        .find(|direction| direction.as_str() == name)
    }

    /// The name of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The same flow seen from the other side.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            Self::SendRecv | Self::Inactive => self,
        }
    }

    /// Whether the side that says it sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the side that says it receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDescription {
    pub origin: Origin,
    /// Session level `c=`.
    pub connection: Option<Connection>,
    /// Session level direction, for the media that say none.
    pub direction: Option<Direction>,
    /// Session level `a=fingerprint` and `a=setup`, for the media that say none.
    pub dtls: DtlsLines,
    /// Session level `a=ice-…`, for the media that say none.
    pub ice: IceLines,
    /// `a=group:BUNDLE`: the `a=mid` of the sections that share one transport (RFC 9143), at most [`MEDIA_MAX`].
    pub bundle: Vec<String>,
    /// `t=` as written: an answer repeats the offer's (RFC 3264 section 6).
    pub timing: String,
    pub media: Vec<Media>,
}

/// `o=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub username: String,
    pub session_id: u64,
    pub session_version: u64,
    /// As written: nothing is sent there.
    pub address: String,
}

/// The address of a `c=` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    Address(IpAddr),
    /// A host name: allowed by the RFC, unusable here (media would wait for DNS).
    Name(String),
}

/// One `m=` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `image`…
    pub kind: String,
    /// 0: refused or switched off.
    pub port: u16,
    /// `RTP/AVP`, `RTP/SAVP`…
    pub protocol: String,
    /// `a=mid`: its name in groups (RFC 5888).
    pub mid: Option<String>,
    /// Payload types or other formats, as written.
    pub formats: Vec<String>,
    /// Media level `c=`.
    pub connection: Option<Connection>,
    pub direction: Option<Direction>,
    pub codecs: Vec<RtpMap>,
    pub ptime_ms: Option<u32>,
    pub maxptime_ms: Option<u32>,
    /// `a=rtcp:` (RFC 3605).
    pub rtcp: Option<(u16, Option<IpAddr>)>,
    pub rtcp_mux: bool,
    pub crypto: Vec<offer_answer::CryptoLine>,
    pub dtls: DtlsLines,
    pub ice: IceLines,
}

/// What is said about DTLS, for the session or for one section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DtlsLines {
    /// `a=fingerprint` (RFC 8122 section 5), at most [`FINGERPRINTS_MAX`].
    pub fingerprints: Vec<Fingerprint>,
    /// `a=setup`.
    pub setup: Option<Setup>,
}

/// What a certificate hashes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function, in lower case: `sha-256`.
    pub hash: String,
    /// The hash of the certificate in DER, at most 64 bytes.
    pub bytes: Vec<u8>,
}

/// Who begins the handshake (RFC 4145 section 4, RFC 5763 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The side that says it.
    Active,
    /// The other one.
    Passive,
    /// The answer chooses.
    ActPass,
    /// Nobody for now.
    HoldConn,
}

impl Setup {
    /// The role of an attribute's value.
    fn from_attribute(value: &str) -> Option<Self> {
        [Self::Active, Self::Passive, Self::ActPass, Self::HoldConn]
            .into_iter()
            .find(|setup| setup.as_str() == value)
    }

    /// The value of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
            Self::HoldConn => "holdconn",
        }
    }
}

/// One format with its encoding, from `a=rtpmap` or from the static table of RFC 3551.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpMap {
    pub payload_type: u8,
    /// As written.
    pub name: String,
    pub clock_rate: u32,
    pub channels: u8,
    /// `a=fmtp`, as written, at most [`FMTP_BYTES_MAX`] bytes.
    pub parameters: Option<String>,
}
