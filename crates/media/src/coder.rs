//! Between what RTP carries and the form in which a leg's audio is carried inside.

use crate::amr::{self, AmrTerms};
use crate::frame::{Codec, FRAME_SAMPLES, Form};
use crate::opus::{self, OpusTerms};
use crate::stream::StreamConfig;
use crate::{g722, g729};

/// What was agreed about the codecs that have something to agree about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms {
    pub(crate) opus: OpusTerms,
    pub(crate) amr: AmrTerms,
}

impl From<&StreamConfig> for Terms {
    fn from(config: &StreamConfig) -> Self {
        Self {
            opus: config.opus,
            amr: config.amr,
        }
    }
}

/// Ticks of 8 kHz that a payload lasts; `None` for what no decoder would take.
pub(crate) fn ticks_of(codec: Codec, terms: Terms, payload: &[u8]) -> Option<usize> {
    match codec {
        // One byte is one step of the clock, for G.722 as well.
        Codec::Pcmu | Codec::Pcma | Codec::G722 => Some(payload.len()),
        Codec::Opus => opus::ticks_of(payload),
        Codec::G729 => g729::ticks_of(payload),
        Codec::AmrWb => amr::ticks_of(terms.amr, payload),
    }
}

/// Most samples that one packet decodes to, where it is decoded at all; `payload_bytes` is the longest one.
pub(crate) fn packet_samples_max(codec: Codec, payload_bytes: usize) -> usize {
    match codec {
        Codec::Pcmu | Codec::Pcma => 0,
        Codec::G722 => payload_bytes * 2,
        Codec::Opus => opus::PACKET_MS_MAX * 16,
        Codec::G729 => g729::PACKET_SAMPLES_MAX,
        Codec::AmrWb => amr::PACKET_SAMPLES_MAX,
    }
}

/// The encoder of a leg; G.711 is carried inside as it is sent.
#[derive(Debug)]
pub(crate) enum Encoder {
    Plain,
    G722(Box<g722::Encoder>),
    Opus(Box<opus::Encoder>),
    G729(Box<g729::Encoder>),
    Amr(Box<amr::Encoder>),
}

impl Encoder {
    pub(crate) fn new(codec: Codec, terms: Terms) -> Self {
        match codec {
            Codec::Pcmu | Codec::Pcma => Self::Plain,
            Codec::G722 => Self::G722(Box::default()),
            Codec::Opus => opus::Encoder::new(terms.opus)
                .map_or(Self::Plain, |opus| Self::Opus(Box::new(opus))),
            Codec::G729 => Self::G729(Box::default()),
            Codec::AmrWb => Self::Amr(Box::new(amr::Encoder::new(terms.amr))),
        }
    }

    /// Writes the payload of a packet from samples at the rate of the codec's form; `None` when none is to be sent. Not for G.711.
    pub(crate) fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> Option<usize> {
        match self {
            Self::Plain => None,
            Self::G722(g722) => Some(g722.encode(samples, out)),
            Self::Opus(opus) => {
                let room = out.len().min(opus::PAYLOAD_BYTES_MAX);
                opus.encode(samples, &mut out[..room])
            }
            Self::G729(g729) => Some(g729.encode(samples, out)),
            Self::Amr(amr) => amr.encode(samples, out),
        }
    }

    /// See [`opus::Encoder::agree`].
    pub(crate) fn agree(&mut self, terms: Terms) {
        match self {
            Self::Opus(opus) => opus.agree(terms.opus),
            Self::Amr(amr) => amr.agree(terms.amr),
            Self::Plain | Self::G722(_) | Self::G729(_) => {}
        }
    }

    /// See [`opus::Encoder::expect_loss`].
    pub(crate) fn expect_loss(&mut self, share: f64) {
        if let Self::Opus(opus) = self {
            opus.expect_loss(share);
        }
    }

    /// See [`amr::Encoder::request`].
    pub(crate) fn request(&mut self, mode: u8) {
        if let Self::Amr(amr) = self {
            amr.request(mode);
        }
    }
}

/// The decoder of a leg; G.711 needs none.
#[derive(Debug)]
pub(crate) enum Decoder {
    Plain,
    G722(Box<g722::Decoder>),
    Opus(Box<opus::Decoder>),
    G729(Box<g729::Decoder>),
    Amr(Box<amr::Decoder>),
}

impl Decoder {
    pub(crate) fn new(codec: Codec, terms: Terms) -> Self {
        match codec {
            Codec::Pcmu | Codec::Pcma => Self::Plain,
            Codec::G722 => Self::G722(Box::default()),
            Codec::Opus => {
                opus::Decoder::new().map_or(Self::Plain, |opus| Self::Opus(Box::new(opus)))
            }
            Codec::G729 => Self::G729(Box::default()),
            Codec::AmrWb => Self::Amr(Box::new(amr::Decoder::new(terms.amr))),
        }
    }

    /// What packets look like from now on.
    pub(crate) fn agree(&mut self, terms: Terms) {
        if let Self::Amr(amr) = self {
            amr.agree(terms.amr);
        }
    }

    /// Decodes a packet of `codec` to the rate of its form; `None` when it is damaged or this is not its decoder.
    pub(crate) fn decode(
        &mut self,
        codec: Codec,
        payload: &[u8],
        out: &mut [i16],
    ) -> Option<usize> {
        match (self, codec) {
            (Self::G722(g722), Codec::G722) => Some(g722.decode(payload, out)),
            (Self::Opus(opus), Codec::Opus) => opus.decode(payload, out),
            (Self::G729(g729), Codec::G729) => g729.decode(payload, out),
            (Self::Amr(amr), Codec::AmrWb) => amr.decode(payload, out),
            (Self::Plain | Self::G722(_) | Self::Opus(_) | Self::G729(_) | Self::Amr(_), _) => None,
        }
    }

    /// Ticks of what the codec itself makes up at once, where the last packet had so many; `None`: it makes up nothing.
    pub(crate) fn makes_up(&self, packet: usize) -> Option<usize> {
        match self {
            Self::Plain | Self::G722(_) => None,
            Self::Opus(_) => Some(packet.min(FRAME_SAMPLES)),
            Self::G729(_) => Some(g729::FRAME_SAMPLES),
            Self::Amr(_) => Some(amr::FRAME_TICKS),
        }
    }

    /// Makes up lost audio with what the codec itself knows of it: all of `out`, or nothing. `next` is the packet that follows.
    pub(crate) fn conceal(&mut self, next: Option<&[u8]>, out: &mut [i16]) -> bool {
        let made = match (&mut *self, next) {
            (Self::Plain | Self::G722(_), _) => None,
            (Self::Opus(opus), Some(next)) => opus.recover(next, out),
            (Self::Opus(opus), None) => opus.conceal(out),
            (Self::G729(g729), _) => Some(g729.conceal(out)),
            (Self::Amr(amr), _) => amr.conceal(out),
        };
        made == Some(out.len())
    }

    /// The peer has described the noise of its silence, and nothing else since: what is made up is that noise.
    pub(crate) fn is_resting(&self) -> bool {
        match self {
            Self::Plain | Self::G722(_) | Self::Opus(_) => false,
            Self::G729(g729) => g729.is_resting(),
            Self::Amr(amr) => amr.is_resting(),
        }
    }
}

/// Samples of a form that one tick of 8 kHz has.
pub(crate) fn samples_of(form: Form, ticks: usize) -> usize {
    ticks * form.samples_per_tick()
}
