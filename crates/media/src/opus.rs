//! Opus (RFC 6716, in RTP by RFC 7587) as telephone audio: mono, heard and said at 16 kHz.
//!
//! The codec itself is the crate `opus-pure`. What is lost is made up by the decoder, or read from the copy of it that the next
//! packet carries (in-band FEC). Media time of RTP counts at 48 kHz whatever the audio is.

use opus_pure::{Application, Bandwidth, OpusDecoder, OpusEncoder};

/// Samples of one millisecond.
const SAMPLES_PER_MS: usize = 16;
/// Longest packet of the codec, ms.
pub(crate) const PACKET_MS_MAX: usize = 120;
/// Bits a second that we send at most: wideband speech gains nothing from more.
const BITRATE_BPS: u32 = 32_000;
/// Fewer are not understood.
const BITRATE_BPS_MIN: u32 = 8_000;
/// Work that the encoder may spend, 0 to 10.
const COMPLEXITY: i32 = 5;
/// Largest packet that we send, bytes: three frames at four times the bit rate.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 960;
/// Loss that the encoder prepares for while nothing is known of the way to the peer, per cent.
const LOSS_PERCENT: u8 = 5;
/// More loss than this is not prepared for, per cent.
const LOSS_PERCENT_MAX: u8 = 30;

/// What the peer asked of what we send (`a=fmtp`, RFC 7587 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpusTerms {
    /// A copy of each frame in the next packet.
    pub fec: bool,
    /// Nothing is sent in silence.
    pub dtx: bool,
    /// Bits a second at most.
    pub bitrate_max_bps: Option<u32>,
}

impl OpusTerms {
    /// Our own parameters: what we can use of what a peer sends.
    pub const OURS: &'static str =
        "useinbandfec=1;maxplaybackrate=16000;sprop-maxcapturerate=16000";

    /// Reads the peer's parameters; what is not understood is as if it were not there.
    #[must_use]
    pub fn from_parameters(text: &str) -> Self {
        let mut terms = Self::default();
        for (name, value) in text.split(';').filter_map(|part| part.split_once('=')) {
            let (name, value) = (name.trim(), value.trim());
            if name.eq_ignore_ascii_case("useinbandfec") {
                terms.fec = value == "1";
            } else if name.eq_ignore_ascii_case("usedtx") {
                terms.dtx = value == "1";
            } else if name.eq_ignore_ascii_case("maxaveragebitrate") {
                terms.bitrate_max_bps = value.parse().ok();
            }
        }
        terms
    }
}

/// Length of a packet in ticks of 8 kHz (RFC 6716 section 3); `None` for what is no packet.
pub(crate) fn ticks_of(payload: &[u8]) -> Option<usize> {
    let (first, rest) = payload.split_first()?;
    let configuration = usize::from(first >> 3);
    // Half milliseconds times five, so that the shortest frame (2.5 ms) is a whole number.
    let frame = match configuration {
        0..12 => [20, 40, 80, 120][configuration % 4],
        12..16 => [20, 40][configuration % 2],
        _ => [5, 10, 20, 40][configuration % 4],
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => usize::from(rest.first()? & 0x3F),
    };
    // A half millisecond is four ticks.
    let ticks = frame * frames * 4;
    (frames > 0 && ticks <= PACKET_MS_MAX * 8).then_some(ticks)
}

/// Samples to packets.
pub(crate) struct Encoder {
    inner: OpusEncoder,
    dtx: bool,
}

impl Encoder {
    /// `None` never comes for the rate and channels used here.
    pub(crate) fn new(terms: OpusTerms) -> Option<Self> {
        let mut inner = OpusEncoder::new(16_000, 1, Application::Voip).ok()?;
        inner.complexity = COMPLEXITY;
        inner.max_bandwidth = Bandwidth::Wideband;
        let mut encoder = Self { inner, dtx: false };
        encoder.agree(terms);
        Some(encoder)
    }

    pub(crate) fn agree(&mut self, terms: OpusTerms) {
        self.inner.use_inband_fec = terms.fec;
        self.inner.use_dtx = terms.dtx;
        self.inner.packet_loss_perc = i32::from(if terms.fec { LOSS_PERCENT } else { 0 });
        self.dtx = terms.dtx;
        let wanted = terms.bitrate_max_bps.unwrap_or(BITRATE_BPS);
        let wanted = wanted.clamp(BITRATE_BPS_MIN, BITRATE_BPS);
        self.inner.bitrate_bps = i32::try_from(wanted).unwrap_or(i32::MAX);
    }

    /// What the peer's reports say of the way there, 0 to 1.
    pub(crate) fn expect_loss(&mut self, share: f64) {
        if self.inner.use_inband_fec {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to per cents"
            )]
            let percent = (share * 100.0).clamp(0.0, 100.0) as u8;
            let percent = percent.clamp(LOSS_PERCENT, LOSS_PERCENT_MAX);
            self.inner.packet_loss_perc = i32::from(percent);
        }
    }

    /// One packet of 20, 40 or 60 ms; `None` when silence needs none.
    pub(crate) fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> Option<usize> {
        let len = self.inner.encode_s16(samples, samples.len(), out).ok()?;
        // RFC 7587 section 3.1.3: a packet of silence is not sent.
        (len > 2 || !self.dtx).then_some(len)
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

/// Packets to samples.
pub(crate) struct Decoder {
    inner: OpusDecoder,
}

impl Decoder {
    /// `None` never comes for the rate and channels used here.
    pub(crate) fn new() -> Option<Self> {
        let inner = OpusDecoder::new(16_000, 1).ok()?;
        Some(Self { inner })
    }

    /// Decodes a packet; how many samples were written, `None` when it is damaged.
    pub(crate) fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Option<usize> {
        let room = out.len().min(PACKET_MS_MAX * SAMPLES_PER_MS);
        self.inner.decode_s16(payload, room, out).ok()
    }

    /// Makes up for what was lost; `samples` are whole multiples of 2.5 ms.
    pub(crate) fn conceal(&mut self, out: &mut [i16]) -> Option<usize> {
        self.inner.decode_s16(&[], out.len(), out).ok()
    }

    /// Reads what was lost from the packet that follows it, as far as it is there.
    pub(crate) fn recover(&mut self, next: &[u8], out: &mut [i16]) -> Option<usize> {
        self.inner.decode_fec_s16(next, out.len(), out).ok()
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
    fn parameters_of_known_phones_are_understood() {
        let asked = |text| OpusTerms::from_parameters(text);
        assert_eq!(asked(""), OpusTerms::default());
        let linphone = asked("useinbandfec=1");
        assert!(linphone.fec && !linphone.dtx);
        let all = asked("stereo=0; sprop-stereo=0; UseDTX=1; maxaveragebitrate=24000;x");
        assert_eq!((all.fec, all.dtx), (false, true));
        assert_eq!(all.bitrate_max_bps, Some(24_000));
        assert_eq!(asked("maxaveragebitrate=many").bitrate_max_bps, None);
        assert!(asked(OpusTerms::OURS).fec);
    }

    #[test]
    fn the_length_of_a_packet_is_in_its_first_byte() {
        // Wideband SILK of 20 ms, once, twice, and a counted three; CELT of 2.5 ms.
        assert_eq!(ticks_of(&[9 << 3, 0]), Some(160));
        assert_eq!(ticks_of(&[9 << 3 | 1, 0]), Some(320));
        assert_eq!(ticks_of(&[9 << 3 | 3, 3]), Some(480));
        assert_eq!(ticks_of(&[16 << 3]), Some(20));
        assert_eq!(ticks_of(&[]), None);
        assert_eq!(ticks_of(&[9 << 3 | 3]), None);
        assert_eq!(ticks_of(&[9 << 3 | 3, 0]), None);
        assert_eq!(ticks_of(&[11 << 3 | 3, 48]), None, "longer than 120 ms");
    }
}
