//! AMR-WB (ITU-T G.722.2, 3GPP TS 26.190; in RTP by RFC 4867): speech at 16 kHz in frames of 20 ms, at one of nine rates.
//!
//! The codec itself is the crate `rvoip-codec-core`; what stands around its frames in a packet is [`payload`]. We send speech only and at the
//! rate that the peer asks for; what a peer sends in its silence is heard as the noise that it describes. What is lost is made up by the decoder.

pub(crate) mod payload;
mod terms;

use codec_core::codecs::amr::wb::bitstream::{sid_is_update, sid_mode_indication};
use codec_core::codecs::amr::wb::decoder::Decoder as WbDecoder;
use codec_core::codecs::amr::wb::dtx::RxFrameType;
use codec_core::codecs::amr::wb::enc::encoder::{Rate, WbEncoder};
use codec_core::codecs::amr::wb::gain::FrameQuality;
use codec_core::codecs::amr::{AmrMode, AmrVariant};

use self::payload::{FRAMES_MAX, Frame, SID};
pub use self::terms::AmrTerms;

/// Samples of a frame.
const FRAME_SAMPLES: usize = 320;
/// Ticks of 8 kHz of a frame.
pub(crate) const FRAME_TICKS: usize = 160;
/// Most samples of a packet.
pub(crate) const PACKET_SAMPLES_MAX: usize = FRAMES_MAX * FRAME_SAMPLES;
/// Frames of a packet of ours at most.
const SENT_FRAMES_MAX: usize = 3;

/// Length of a packet in ticks of 8 kHz; `None` for what is no packet.
pub(crate) fn ticks_of(terms: AmrTerms, packet: &[u8]) -> Option<usize> {
    let frames = payload::read(terms, packet)?.frames().len();
    Some(frames * FRAME_TICKS)
}

/// The rate that a packet asks of what we send.
pub(crate) fn request_of(packet: &[u8]) -> Option<u8> {
    packet.first().map(|first| first >> 4)
}

/// Samples to packets.
pub(crate) struct Encoder {
    inner: WbEncoder,
    terms: AmrTerms,
    mode: u8,
    /// Where the peer wants it.
    wanted: u8,
    /// Frames since the rate was changed, modulo the period.
    frame: u8,
}

impl Encoder {
    pub(crate) fn new(terms: AmrTerms) -> Self {
        let mode = terms.first_mode();
        Self {
            inner: WbEncoder::new(),
            terms,
            mode,
            wanted: mode,
            frame: 0,
        }
    }

    pub(crate) fn agree(&mut self, terms: AmrTerms) {
        if terms != self.terms {
            self.terms = terms;
            if !terms.permits(self.mode) {
                self.mode = terms.first_mode();
            }
            if !terms.permits(self.wanted) {
                self.wanted = self.mode;
            }
        }
    }

    /// The peer asks for a rate; one that was not agreed, or none, changes nothing.
    pub(crate) fn request(&mut self, mode: u8) {
        if self.terms.permits(mode) {
            self.wanted = mode;
        }
    }

    /// Writes whole frames as one packet; how many bytes.
    pub(crate) fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> Option<usize> {
        let mut coded = [const { Vec::new() }; SENT_FRAMES_MAX];
        let mut frames = [Frame::default(); SENT_FRAMES_MAX];
        let mut count = 0;
        for (samples, (frame, bits)) in samples
            .as_chunks::<FRAME_SAMPLES>()
            .0
            .iter()
            .zip(frames.iter_mut().zip(&mut coded))
        {
            if self.frame == 0 {
                self.mode = self.terms.towards(self.mode, self.wanted);
            }
            self.frame = (self.frame + 1) % self.terms.change_period.max(1);
            *bits = self
                .inner
                .encode_frame(samples, Rate::from_index(self.mode)?);
            frame.kind = self.mode;
            count += 1;
        }
        payload::write(self.terms, &frames[..count], &coded[..count], out)
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

/// Packets to samples.
pub(crate) struct Decoder {
    inner: WbDecoder,
    terms: AmrTerms,
    /// Of the last speech.
    mode: u8,
    /// The peer described its noise last.
    resting: bool,
}

impl Decoder {
    pub(crate) fn new(terms: AmrTerms) -> Self {
        Self {
            inner: WbDecoder::new(),
            terms,
            mode: terms.first_mode(),
            resting: false,
        }
    }

    pub(crate) fn agree(&mut self, terms: AmrTerms) {
        self.terms = terms;
    }

    /// Decodes a packet; how many samples were written, `None` when it is none.
    pub(crate) fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Option<usize> {
        let read = payload::read(self.terms, packet)?;
        let len = read.frames().len() * FRAME_SAMPLES;
        let out = out.get_mut(..len)?;
        let mut bits = [0; payload::FRAME_BYTES_MAX];
        for (frame, samples) in read
            .frames()
            .iter()
            .zip(out.as_chunks_mut::<FRAME_SAMPLES>().0)
        {
            let bits = payload::bits_of(frame, packet, &mut bits);
            *samples = self.frame(frame, bits)?;
        }
        Some(len)
    }

    fn frame(&mut self, frame: &Frame, bits: &[u8]) -> Option<[i16; FRAME_SAMPLES]> {
        match frame.kind {
            kind if kind < SID => {
                self.mode = kind;
                self.resting = false;
                let quality = if frame.is_good {
                    FrameQuality::Good
                } else {
                    FrameQuality::Bad
                };
                self.inner.decode_frame(mode(kind)?, bits, quality)
            }
            SID => {
                self.resting = true;
                let kind = match (frame.is_good, sid_is_update(bits)) {
                    (false, _) => RxFrameType::SidBad,
                    (true, true) => RxFrameType::SidUpdate,
                    (true, false) => RxFrameType::SidFirst,
                };
                let mode = sid_mode_indication(bits).unwrap_or(self.mode);
                self.inner.decode_comfort_noise(kind, bits, mode)
            }
            payload::LOST => {
                let mode = mode(self.mode)?;
                self.inner.decode_frame(mode, &[], FrameQuality::Unusable)
            }
            _ => self.unsent(),
        }
    }

    /// Nothing was sent, or came: noise in a silence, else speech goes on.
    fn unsent(&mut self) -> Option<[i16; FRAME_SAMPLES]> {
        self.inner
            .decode_comfort_noise(RxFrameType::NoData, &[], self.mode)
    }

    /// Makes up whole frames: lost speech, or the noise of a silence.
    pub(crate) fn conceal(&mut self, out: &mut [i16]) -> Option<usize> {
        let frames = out.as_chunks_mut::<FRAME_SAMPLES>().0;
        let len = frames.len() * FRAME_SAMPLES;
        for samples in frames {
            *samples = if self.resting {
                self.unsent()?
            } else {
                let mode = mode(self.mode)?;
                self.inner.decode_frame(mode, &[], FrameQuality::Unusable)?
            };
        }
        Some(len)
    }

    pub(crate) fn is_resting(&self) -> bool {
        self.resting
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decoder")
    }
}

fn mode(index: u8) -> Option<AmrMode> {
    AmrMode::new(AmrVariant::WideBand, index).ok()
}

#[cfg(test)]
mod tests;
