//! G.729 (Annex A; Annex B is understood, in RTP by RFC 3551 section 4.5.6): 8 kbit/s, frames of 10 ms.
//!
//! The codec itself is the crate `g729-sys`, bit by bit what Belledonne's bcg729 is. We send speech only; what a peer sends in its silence (two bytes that describe its noise, then
//! nothing) is heard as that noise. What is lost is made up by the decoder.

/// Samples of a frame, which are ticks of 8 kHz.
pub(crate) const FRAME_SAMPLES: usize = 80;
/// Bytes of a frame of speech.
const FRAME_BYTES: usize = 10;
/// Bytes of a frame that describes noise; the last of a packet, if any.
const SID_BYTES: usize = 2;
/// Most frames of a packet (240 ms).
const FRAMES_MAX: usize = 24;
/// Most samples of a packet.
pub(crate) const PACKET_SAMPLES_MAX: usize = FRAMES_MAX * FRAME_SAMPLES;

/// Length of a packet in ticks of 8 kHz; `None` for what is no packet.
pub(crate) fn ticks_of(payload: &[u8]) -> Option<usize> {
    let noise = match payload.len() % FRAME_BYTES {
        0 => 0,
        SID_BYTES => 1,
        _ => return None,
    };
    let frames = payload.len() / FRAME_BYTES + noise;
    (1..=FRAMES_MAX)
        .contains(&frames)
        .then_some(frames * FRAME_SAMPLES)
}

/// Samples to packets.
pub(crate) struct Encoder {
    inner: g729_sys::Encoder,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            inner: g729_sys::Encoder::new(false),
        }
    }
}

impl Encoder {
    /// Writes whole frames; how many bytes.
    pub(crate) fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let frames = samples.as_chunks::<FRAME_SAMPLES>().0;
        let mut len = 0;
        for (frame, bytes) in frames.iter().zip(out.as_chunks_mut::<FRAME_BYTES>().0) {
            len += usize::from(self.inner.encode_into(frame, bytes));
        }
        len
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

/// Packets to samples.
#[derive(Default)]
pub(crate) struct Decoder {
    inner: g729_sys::Decoder,
    /// The peer described its noise last.
    resting: bool,
}

impl Decoder {
    /// Decodes a packet; how many samples were written, `None` when it is none.
    pub(crate) fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Option<usize> {
        let len = ticks_of(payload)?;
        let out = out.get_mut(..len)?;
        let frames = payload.chunks(FRAME_BYTES);
        for (frame, samples) in frames.zip(out.as_chunks_mut::<FRAME_SAMPLES>().0) {
            self.resting = frame.len() == SID_BYTES;
            *samples = self.inner.decode(frame, false, self.resting, false);
        }
        Some(len)
    }

    /// Makes up whole frames: lost speech, or the noise of a silence.
    pub(crate) fn conceal(&mut self, out: &mut [i16]) -> usize {
        let frames = out.as_chunks_mut::<FRAME_SAMPLES>().0;
        let len = frames.len() * FRAME_SAMPLES;
        for samples in frames {
            *samples = self.inner.decode(&[], !self.resting, self.resting, false);
        }
        len
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_whole_frames_and_perhaps_one_of_noise() {
        for (bytes, ticks) in [
            (2, Some(80)),
            (10, Some(80)),
            (20, Some(160)),
            (22, Some(240)),
            (240, Some(1_920)),
            (0, None),
            (1, None),
            (13, None),
            (242, None),
            (1_000, None),
        ] {
            assert_eq!(ticks_of(&vec![0; bytes]), ticks, "{bytes}");
        }
    }
}
