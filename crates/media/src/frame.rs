//! The units of the media room: codec, form, direction, and the 20 ms frame.

use crate::g711;
use crate::resample::Rate;

/// Duration of one frame, ms.
pub const FRAME_MS: u32 = 20;
/// Ticks of one frame: media time is counted in eighths of a millisecond whatever the codec is. Samples (and bytes) of G.711.
pub const FRAME_SAMPLES: usize = 160;
/// Ticks of one millisecond.
pub const SAMPLES_PER_MS: usize = 8;
/// Most samples of one frame (16 kHz).
pub const FRAME_SAMPLES_MAX: usize = 320;
/// Most bytes of one frame.
pub const FRAME_BYTES_MAX: usize = FRAME_SAMPLES_MAX * 2;

/// Audio codec of a stream, as SDP names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// G.711 µ-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
    /// G.722 at 64 kbit/s, static payload type 9: 16 kHz audio, an RTP clock of 8 kHz.
    G722,
    /// Opus, a dynamic payload type and an RTP clock of 48 kHz; heard and said at 16 kHz here.
    Opus,
    /// G.729 at 8 kbit/s, static payload type 18; carried as µ-law inside, which is far finer than it is.
    G729,
    /// AMR-WB (G.722.2), a dynamic payload type: audio and an RTP clock of 16 kHz.
    AmrWb,
}

impl Codec {
    /// What is offered unless told otherwise, in this order: the telephone network's first, so that a
    /// trunk that takes the first one needs no transcoding. An answer follows the order of the peer.
    pub const OFFERED: [Self; 4] = [Self::Pcmu, Self::Pcma, Self::G722, Self::Opus];
    /// What is taken beside those where a peer has nothing else: they cost quality or CPU, and are offered by lines that name them.
    pub const TAKEN: [Self; 2] = [Self::G729, Self::AmrWb];

    /// The codec of an SDP encoding name, any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::OFFERED
            .into_iter()
            .chain(Self::TAKEN)
            .find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// The codecs of a list of names, each once; those of [`Codec::OFFERED`] where none is named, `None` where a name is unknown.
    #[must_use]
    pub fn list(names: &[String]) -> Option<Vec<Self>> {
        let mut codecs = Vec::new();
        for name in names {
            let codec = Self::from_name(name)?;
            if !codecs.contains(&codec) {
                codecs.push(codec);
            }
        }
        if codecs.is_empty() {
            codecs.extend(Self::OFFERED);
        }
        Some(codecs)
    }

    /// What a line with these codecs takes where a peer has none of them: something only where it was told nothing else than the usual.
    #[must_use]
    pub fn taken_beside(codecs: &[Self]) -> &'static [Self] {
        if codecs == Self::OFFERED {
            &Self::TAKEN
        } else {
            &[]
        }
    }

    /// SDP encoding name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
            Self::G729 => "G729",
            Self::AmrWb => "AMR-WB",
        }
    }

    /// Static payload type of RFC 3551 table 4.
    #[must_use]
    pub fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::G729 => Some(18),
            Self::Opus | Self::AmrWb => None,
        }
    }

    /// Clock of its RTP timestamps, Hz.
    #[must_use]
    pub fn clock_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::G729 => 8_000,
            Self::AmrWb => 16_000,
            Self::Opus => 48_000,
        }
    }

    /// Channels that SDP names; the audio is mono.
    #[must_use]
    pub fn channels(self) -> u8 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::G729 | Self::AmrWb => 1,
            Self::Opus => 2,
        }
    }

    /// How its audio is carried inside a leg.
    #[must_use]
    pub fn form(self) -> Form {
        match self {
            Self::Pcmu | Self::G729 => Form::G711(Law::Pcmu),
            Self::Pcma => Form::G711(Law::Pcma),
            Self::G722 | Self::Opus | Self::AmrWb => Form::Wide,
        }
    }

    /// The law of G.711 that it is, if it is one.
    #[must_use]
    pub fn law(self) -> Option<Law> {
        match self {
            Self::Pcmu => Some(Law::Pcmu),
            Self::Pcma => Some(Law::Pcma),
            Self::G722 | Self::Opus | Self::G729 | Self::AmrWb => None,
        }
    }
}

impl From<Law> for Codec {
    fn from(law: Law) -> Self {
        match law {
            Law::Pcmu => Self::Pcmu,
            Law::Pcma => Self::Pcma,
        }
    }
}

/// One of the two laws of G.711.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Law {
    /// µ-law.
    Pcmu,
    /// A-law.
    Pcma,
}

impl Law {
    /// The byte that decodes to (almost) zero.
    #[must_use]
    pub fn silence(self) -> u8 {
        match self {
            Self::Pcmu => 0xFF,
            Self::Pcma => 0xD5,
        }
    }
}

/// How the audio of a leg is carried between its stream, its playout, its recording and the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// One byte a sample at 8 kHz, as on the wire: it passes untouched.
    G711(Law),
    /// 16-bit linear, little endian, at 16 kHz: of the wideband codecs.
    Wide,
}

impl From<Law> for Form {
    fn from(law: Law) -> Self {
        Self::G711(law)
    }
}

impl Form {
    /// Samples a second.
    #[must_use]
    pub fn rate(self) -> Rate {
        match self {
            Self::G711(_) => Rate::Hz8000,
            Self::Wide => Rate::Hz16000,
        }
    }

    /// Bytes of a sample.
    #[must_use]
    pub fn sample_bytes(self) -> usize {
        match self {
            Self::G711(_) => 1,
            Self::Wide => 2,
        }
    }

    /// Samples of a tick of 8 kHz.
    #[must_use]
    pub fn samples_per_tick(self) -> usize {
        match self {
            Self::G711(_) => 1,
            Self::Wide => 2,
        }
    }

    /// Bytes of a millisecond.
    #[must_use]
    pub fn bytes_per_ms(self) -> usize {
        SAMPLES_PER_MS * self.samples_per_tick() * self.sample_bytes()
    }

    /// Samples of a frame.
    #[must_use]
    pub fn frame_samples(self) -> usize {
        FRAME_SAMPLES * self.samples_per_tick()
    }

    /// Bytes of a frame.
    #[must_use]
    pub fn frame_bytes(self) -> usize {
        self.frame_samples() * self.sample_bytes()
    }

    /// The byte of which silence is made.
    #[must_use]
    pub fn silence(self) -> u8 {
        match self {
            Self::G711(law) => law.silence(),
            Self::Wide => 0,
        }
    }

    /// A stable name, for what is kept in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::G711(Law::Pcmu) => "PCMU",
            Self::G711(Law::Pcma) => "PCMA",
            Self::Wide => "L16/16000",
        }
    }

    /// Reads samples, as many as both sides hold.
    pub fn decode_into(self, from: &[u8], to: &mut [i16]) {
        match self {
            Self::G711(law) => g711::decode_into(law, from, to),
            Self::Wide => {
                for (sample, pair) in to.iter_mut().zip(from.as_chunks::<2>().0) {
                    *sample = i16::from_le_bytes(*pair);
                }
            }
        }
    }

    /// Writes samples, as many as both sides hold.
    pub fn encode_into(self, from: &[i16], to: &mut [u8]) {
        match self {
            Self::G711(law) => g711::encode_into(law, from, to),
            Self::Wide => {
                for (sample, pair) in from.iter().zip(to.as_chunks_mut::<2>().0) {
                    *pair = sample.to_le_bytes();
                }
            }
        }
    }

    /// Adds samples at the end.
    pub fn append(self, from: &[i16], to: &mut Vec<u8>) {
        match self {
            Self::G711(law) => to.extend(from.iter().map(|sample| g711::encode(law, *sample))),
            Self::Wide => to.extend(from.iter().flat_map(|sample| sample.to_le_bytes())),
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
    /// A whole frame in the leg's form.
    pub audio: &'a [u8],
    /// Position in the audio handed out so far, ms since the first frame.
    pub timestamp_ms: u64,
    /// True when the frame was made here (loss concealment, silence of a pause), not received.
    pub concealed: bool,
    /// Level as -dBov: 0 is the loudest, 127 silence (RFC 6464 scale).
    pub level: u8,
}

/// 20 ms of one side of a recording, at its sample rate.
#[derive(Clone, Copy)]
pub struct Lane {
    samples: [i16; FRAME_SAMPLES_MAX],
    len: usize,
}

impl Lane {
    /// Silence of so many samples, at most [`FRAME_SAMPLES_MAX`].
    #[must_use]
    pub fn silent(len: usize) -> Self {
        Self {
            samples: [0; FRAME_SAMPLES_MAX],
            len: len.min(FRAME_SAMPLES_MAX),
        }
    }
}

impl From<[i16; FRAME_SAMPLES]> for Lane {
    fn from(samples: [i16; FRAME_SAMPLES]) -> Self {
        let mut lane = Self::silent(FRAME_SAMPLES);
        lane.copy_from_slice(&samples);
        lane
    }
}

impl std::ops::Deref for Lane {
    type Target = [i16];

    fn deref(&self) -> &[i16] {
        &self.samples[..self.len]
    }
}

impl std::ops::DerefMut for Lane {
    fn deref_mut(&mut self) -> &mut [i16] {
        &mut self.samples[..self.len]
    }
}

impl PartialEq for Lane {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Lane {}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self[..].fmt(f)
    }
}

/// One 20 ms tick of a call, both lanes aligned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingFrame {
    /// What the caller said.
    pub caller: Lane,
    /// What the caller heard.
    pub agent: Lane,
}
