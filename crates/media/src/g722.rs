//! G.722 at 64 kbit/s (ITU-T G.722, mode 1): 16 kHz audio in one byte for each two samples.
//!
//! Two quadrature-mirror bands, each an adaptive DPCM: six bits below 4 kHz, two above. Nothing is allocated and every code is
//! valid. RTP counts its time at 8 kHz for historical reasons (RFC 3551 4.5.2): one byte is one step of that clock.

/// Coefficients of both quadrature mirror filters (table 4 of the recommendation, halved by symmetry).
const MIRROR: [i32; 12] = [3, -11, 12, 32, -210, 951, 3_876, -805, 362, -156, 53, -11];
/// Decision levels of the lower band (table 14).
const LEVELS: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940,
    1_023, 1_121, 1_219, 1_339, 1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];
/// Quantiser output of the lower band with four bits, which adapts it (table 16).
const OUT_4: [i32; 16] = [
    0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288,
    4_240, 2_584, 1_200, 0,
];
/// Quantiser output of the lower band with six bits, which is heard (table 18).
const OUT_6: [i32; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192,
    -10_232, -9_360, -8_576, -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008,
    -3_576, -3_168, -2_776, -2_400, -2_032, -1_688, -1_360, -1_040, -728, 24_808, 21_904, 19_008,
    16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9_360, 8_576, 7_856, 7_192, 6_576, 6_000,
    5_456, 4_944, 4_464, 4_008, 3_576, 3_168, 2_776, 2_400, 2_032, 1_688, 1_360, 1_040, 728, 432,
    136, -432, -136,
];
/// Quantiser output of the upper band (table 20).
const OUT_2: [i32; 4] = [-7_408, -1_616, 7_408, 1_616];
/// Steps of the lower band's logarithmic scale, by the magnitude of a four-bit code (table 15).
const STEP_LOW: [i32; 16] = [
    -60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60,
];
/// The same of the upper band, by code (table 21).
const STEP_HIGH: [i32; 4] = [798, -214, 798, -214];
/// The inverse logarithm of the scale factors (table 16 of annex): 2048 times two to the power of i/32.
const INVERSE_LOG: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656,
    2_714, 2_774, 2_834, 2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520,
    3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];
/// Decision level of the upper band.
const LEVEL_HIGH: i32 = 564;
/// Largest logarithmic scale factors.
const LOG_LOW_MAX: i32 = 18_432;
const LOG_HIGH_MAX: i32 = 22_528;

/// One band's predictor and scale. The orders are those of the recommendation: two poles, six zeros.
#[derive(Debug, Clone)]
struct Band {
    /// What is predicted for the next sample.
    predicted: i32,
    zeros_sum: i32,
    reconstructed: [i32; 2],
    partial: [i32; 2],
    poles: [i32; 2],
    differences: [i32; 6],
    zeros: [i32; 6],
    log_scale: i32,
    scale: i32,
}

impl Band {
    const fn new(scale: i32) -> Self {
        Self {
            predicted: 0,
            zeros_sum: 0,
            reconstructed: [0; 2],
            partial: [0; 2],
            poles: [0; 2],
            differences: [0; 6],
            zeros: [0; 6],
            log_scale: 0,
            scale,
        }
    }

    /// Blocks 3: the scale follows the size of the codes; `shift` is 8 for the lower band and 10 for the upper one.
    fn adapt_scale(&mut self, step: i32, limit: i32, shift: i32) {
        self.log_scale = (((self.log_scale * 127) >> 7) + step).clamp(0, limit);
        let mantissa = INVERSE_LOG[usize::try_from((self.log_scale >> 6) & 31).unwrap_or(0)];
        let exponent = shift - (self.log_scale >> 11);
        let scaled = if exponent < 0 {
            mantissa << -exponent
        } else {
            mantissa >> exponent
        };
        self.scale = scaled << 2;
    }

    /// Block 4: the predictor takes in the quantised difference.
    fn predict(&mut self, difference: i32) {
        let reconstructed = saturate(self.predicted + difference);
        let partial = saturate(self.zeros_sum + difference);
        let same = |other: i32| (partial < 0) == (other < 0);
        let (first, second) = (same(self.partial[0]), same(self.partial[1]));
        let four_times = saturate(self.poles[0] << 2);
        let lean = saturate(if first { -four_times } else { four_times });
        let turn = if second { 128 } else { -128 };
        let pole_2 = (lean >> 7) + turn + ((self.poles[1] * 32_512) >> 15);
        let pole_2 = pole_2.clamp(-12_288, 12_288);
        let bound = saturate(15_360 - pole_2);
        let turn = if first { 192 } else { -192 };
        let pole_1 = turn + ((self.poles[0] * 32_640) >> 15);
        self.poles = [saturate(pole_1).clamp(-bound, bound), pole_2];
        let gain = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(self.differences) {
            let agrees = (difference < 0) == (before < 0);
            let step = if agrees { gain } else { -gain };
            *zero = saturate(step + ((*zero * 32_640) >> 15));
        }
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        self.partial = [partial, self.partial[0]];
        let poles_sum = self
            .poles
            .iter()
            .zip(self.reconstructed)
            .map(|(pole, value)| (pole * saturate(value * 2)) >> 15)
            .sum();
        let zeros_sum = self
            .zeros
            .iter()
            .zip(self.differences)
            .map(|(zero, value)| (zero * saturate(value * 2)) >> 15)
            .sum();
        self.zeros_sum = saturate(zeros_sum);
        self.predicted = saturate(saturate(poles_sum) + self.zeros_sum);
    }
}

/// Both bands and the filter's memory: what an encoder and a decoder have in common.
#[derive(Debug, Clone)]
struct State {
    low: Band,
    high: Band,
    /// The latest samples, oldest first.
    line: [i32; 24],
}

impl State {
    const fn new() -> Self {
        Self {
            low: Band::new(32),
            high: Band::new(8),
            line: [0; 24],
        }
    }

    /// Takes in two values; the sums of the even and the odd phase.
    fn filter(&mut self, first: i32, second: i32) -> (i32, i32) {
        self.line.copy_within(2.., 0);
        self.line[22] = first;
        self.line[23] = second;
        let (mut even, mut odd) = (0, 0);
        for (pair, (forward, backward)) in self
            .line
            .as_chunks::<2>()
            .0
            .iter()
            .zip(MIRROR.iter().zip(MIRROR.iter().rev()))
        {
            even += pair[0] * forward;
            odd += pair[1] * backward;
        }
        (even, odd)
    }

    fn adapt(&mut self, low_4: usize, high: usize) -> (i32, i32) {
        let low_difference = (self.low.scale * OUT_4[low_4]) >> 15;
        let high_difference = (self.high.scale * OUT_2[high]) >> 15;
        self.low.adapt_scale(STEP_LOW[low_4], LOG_LOW_MAX, 8);
        self.high.adapt_scale(STEP_HIGH[high], LOG_HIGH_MAX, 10);
        (low_difference, high_difference)
    }
}

/// 16 kHz samples to bytes.
#[derive(Debug, Clone)]
pub struct Encoder {
    state: State,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder at rest.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::new(),
        }
    }

    /// Encodes pairs of samples, as many as both sides hold; how many bytes were written.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let mut written = 0;
        for (pair, byte) in samples.as_chunks::<2>().0.iter().zip(out) {
            *byte = self.pair(i32::from(pair[0]), i32::from(pair[1]));
            written += 1;
        }
        written
    }

    fn pair(&mut self, first: i32, second: i32) -> u8 {
        let state = &mut self.state;
        let (even, odd) = state.filter(first, second);
        let (low, high) = ((odd + even) >> 14, (odd - even) >> 14);
        let low_code = quantise_low(saturate(low - state.low.predicted), state.low.scale);
        let high_code = quantise_high(saturate(high - state.high.predicted), state.high.scale);
        let (low_difference, high_difference) = state.adapt(low_code >> 2, high_code);
        state.low.predict(low_difference);
        state.high.predict(high_difference);
        u8::try_from(high_code << 6 | low_code).unwrap_or_default()
    }
}

/// Block 1L: a code of six bits.
fn quantise_low(error: i32, scale: i32) -> usize {
    let size = if error >= 0 { error } else { -(error + 1) };
    let mut place = 1;
    while place < 30 && size >= (LEVELS[place] * scale) >> 12 {
        place += 1;
    }
    // Codes fall as the size grows; the two smallest negative ones are apart (table 17).
    match (error < 0, place) {
        (true, 1) => 63,
        (true, 2) => 62,
        (true, place) => 34 - place,
        (false, place) => 62 - place,
    }
}

/// Block 1H: a code of two bits.
fn quantise_high(error: i32, scale: i32) -> usize {
    let size = if error >= 0 { error } else { -(error + 1) };
    let is_large = size >= (LEVEL_HIGH * scale) >> 12;
    match (error < 0, is_large) {
        (true, false) => 1,
        (true, true) => 0,
        (false, false) => 3,
        (false, true) => 2,
    }
}

/// Bytes to 16 kHz samples.
#[derive(Debug, Clone)]
pub struct Decoder {
    state: State,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder at rest.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::new(),
        }
    }

    /// Decodes bytes to two samples each, as many as both sides hold; how many samples were written.
    pub fn decode(&mut self, bytes: &[u8], out: &mut [i16]) -> usize {
        let mut written = 0;
        for (byte, pair) in bytes.iter().zip(out.as_chunks_mut::<2>().0) {
            *pair = self.byte(*byte);
            written += 2;
        }
        written
    }

    fn byte(&mut self, byte: u8) -> [i16; 2] {
        let state = &mut self.state;
        let (low_code, high_code) = (usize::from(byte & 0x3F), usize::from(byte >> 6));
        let heard = (state.low.scale * OUT_6[low_code]) >> 15;
        let low = (state.low.predicted + heard).clamp(-16_384, 16_383);
        let (low_difference, high_difference) = state.adapt(low_code >> 2, high_code);
        let high = (state.high.predicted + high_difference).clamp(-16_384, 16_383);
        state.low.predict(low_difference);
        state.high.predict(high_difference);
        let (even, odd) = state.filter(low + high, low - high);
        [narrow(odd >> 11), narrow(even >> 11)]
    }
}

fn saturate(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

fn narrow(value: i32) -> i16 {
    i16::try_from(saturate(value)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resample::Rate;
    use crate::tone;

    fn sine(hertz: f32, count: usize) -> Vec<i16> {
        let mut samples = vec![0; count];
        tone::Sine::at(Rate::Hz16000, hertz, 8_000.0).fill(&mut samples);
        samples
    }

    #[test]
    fn a_tone_of_either_band_comes_back_at_its_level() {
        for hertz in [300.0, 1_000.0, 3_400.0, 5_000.0, 6_500.0] {
            let samples = sine(hertz, 16_000);
            let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
            let mut bytes = vec![0; 8_000];
            assert_eq!(encoder.encode(&samples, &mut bytes), 8_000);
            let mut back = vec![0; 16_000];
            assert_eq!(decoder.decode(&bytes, &mut back), 16_000);
            let found = tone::goertzel_at(Rate::Hz16000, &back[1_600..], hertz);
            assert!((found - 8_000.0).abs() < 800.0, "{hertz} Hz: {found}");
            let purity = tone::purity_at(Rate::Hz16000, &back[1_600..], hertz);
            assert!(purity > 0.98, "{hertz} Hz: {purity}");
        }
    }

    #[test]
    fn silence_stays_silent_and_every_code_can_be_heard() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let mut bytes = [0; 160];
        let mut back = [1; 320];
        encoder.encode(&[0; 320], &mut bytes);
        decoder.decode(&bytes, &mut back);
        assert!(back.iter().all(|sample| sample.abs() < 8), "{back:?}");
        // A noise of all codes moves every state to its limits and back.
        let mut state = 7_u32;
        for _ in 0..2_000 {
            for byte in &mut bytes {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = state.to_be_bytes()[0];
            }
            decoder.decode(&bytes, &mut back);
        }
        for extreme in [i16::MIN, i16::MAX] {
            encoder.encode(&[extreme; 320], &mut bytes);
            decoder.decode(&bytes, &mut back);
        }
    }
}
