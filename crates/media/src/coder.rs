//! Between what RTP carries and the form in which a leg's audio is carried inside.

use crate::frame::{Codec, Form};
use crate::g722;
use crate::opus::{self, OpusTerms};

/// Most samples that one packet decodes to, at 16 kHz.
pub(crate) const SAMPLES_MAX: usize = opus::PACKET_MS_MAX * 16;

/// Ticks of 8 kHz that a payload lasts; `None` for what no decoder would take.
pub(crate) fn ticks_of(codec: Codec, payload: &[u8]) -> Option<usize> {
    match codec {
        // One byte is one step of the clock, for G.722 as well.
        Codec::Pcmu | Codec::Pcma | Codec::G722 => Some(payload.len()),
        Codec::Opus => opus::ticks_of(payload),
    }
}

/// The encoder of a leg; G.711 is carried inside as it is sent.
#[derive(Debug)]
pub(crate) enum Encoder {
    Plain,
    G722(Box<g722::Encoder>),
    Opus(Box<opus::Encoder>),
}

impl Encoder {
    pub(crate) fn new(codec: Codec, terms: OpusTerms) -> Self {
        match codec {
            Codec::Pcmu | Codec::Pcma => Self::Plain,
            Codec::G722 => Self::G722(Box::default()),
            Codec::Opus => {
                opus::Encoder::new(terms).map_or(Self::Plain, |opus| Self::Opus(Box::new(opus)))
            }
        }
    }

    /// Writes the payload of a packet from samples at 16 kHz; `None` when none is to be sent. Not for G.711.
    pub(crate) fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> Option<usize> {
        match self {
            Self::Plain => None,
            Self::G722(g722) => Some(g722.encode(samples, out)),
            Self::Opus(opus) => {
                let room = out.len().min(opus::PAYLOAD_BYTES_MAX);
                opus.encode(samples, &mut out[..room])
            }
        }
    }

    /// See [`opus::Encoder::agree`].
    pub(crate) fn agree(&mut self, terms: OpusTerms) {
        if let Self::Opus(opus) = self {
            opus.agree(terms);
        }
    }

    /// See [`opus::Encoder::expect_loss`].
    pub(crate) fn expect_loss(&mut self, share: f64) {
        if let Self::Opus(opus) = self {
            opus.expect_loss(share);
        }
    }
}

/// The decoder of a leg; G.711 needs none.
#[derive(Debug)]
pub(crate) enum Decoder {
    Plain,
    G722(Box<g722::Decoder>),
    Opus(Box<opus::Decoder>),
}

impl Decoder {
    pub(crate) fn new(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu | Codec::Pcma => Self::Plain,
            Codec::G722 => Self::G722(Box::default()),
            Codec::Opus => {
                opus::Decoder::new().map_or(Self::Plain, |opus| Self::Opus(Box::new(opus)))
            }
        }
    }

    /// Decodes a packet of `codec` to 16 kHz; `None` when it is damaged or this is not its decoder.
    pub(crate) fn decode(
        &mut self,
        codec: Codec,
        payload: &[u8],
        out: &mut [i16],
    ) -> Option<usize> {
        match (self, codec) {
            (Self::G722(g722), Codec::G722) => Some(g722.decode(payload, out)),
            (Self::Opus(opus), Codec::Opus) => opus.decode(payload, out),
            (Self::Plain | Self::G722(_) | Self::Opus(_), _) => None,
        }
    }

    /// Makes up lost audio with what the codec itself knows of it: all of `out`, or nothing. `next` is the packet that follows.
    pub(crate) fn conceal(&mut self, next: Option<&[u8]>, out: &mut [i16]) -> bool {
        let Self::Opus(opus) = self else {
            return false;
        };
        let made = match next {
            Some(next) => opus.recover(next, out),
            None => opus.conceal(out),
        };
        made == Some(out.len())
    }
}

/// Samples of a form that one tick of 8 kHz has.
pub(crate) fn samples_of(form: Form, ticks: usize) -> usize {
    ticks * form.samples_per_tick()
}
