//! The units of the media room: codec, direction, and the 20 ms frame.

/// Duration of one frame, ms.
pub const FRAME_MS: u32 = 20;
/// Samples (and G.711 bytes) of one frame at 8 kHz.
pub const FRAME_SAMPLES: usize = 160;
/// Samples (and G.711 bytes) of one millisecond.
pub const SAMPLES_PER_MS: usize = 8;

/// Audio codec of a stream. The seam for G.722 and Opus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// G.711 µ-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
}

impl Codec {
    /// The codec of an SDP encoding name, any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("PCMU") {
            Some(Self::Pcmu)
        } else if name.eq_ignore_ascii_case("PCMA") {
            Some(Self::Pcma)
        } else {
            None
        }
    }

    /// SDP encoding name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// Static payload type of RFC 3551 table 4.
    #[must_use]
    pub fn static_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The byte that decodes to (almost) zero.
    #[must_use]
    pub fn silence(self) -> u8 {
        match self {
            Self::Pcmu => 0xFF,
            Self::Pcma => 0xD5,
        }
    }
}

/// Direction of a stream as *we* act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Audio both ways.
    SendRecv,
    /// We hold the peer.
    SendOnly,
    /// The peer holds us.
    RecvOnly,
    /// Held both ways.
    Inactive,
}

impl Direction {
    /// Whether audio is sent.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether audio is expected.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// 20 ms of the caller, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerFrame<'a> {
    /// 160 bytes in the stream's codec.
    pub audio: &'a [u8],
    /// Position in the audio handed out so far, ms since the first frame.
    pub timestamp_ms: u64,
    /// True when the frame was made here (loss concealment, silence of a pause), not received.
    pub concealed: bool,
    /// Level as -dBov: 0 is the loudest, 127 silence (RFC 6464 scale).
    pub level: u8,
}

/// One 20 ms tick of a call, both lanes aligned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingFrame {
    /// What the caller said.
    pub caller: [i16; FRAME_SAMPLES],
    /// What the caller heard.
    pub agent: [i16; FRAME_SAMPLES],
}
