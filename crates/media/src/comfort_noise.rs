//! Comfort noise (RFC 3389): white noise of a level that the peer names, or that we choose.

use crate::level;

/// A small generator of noise samples; the same seed gives the same noise.
#[derive(Debug, Clone)]
pub(crate) struct ComfortNoise {
    state: u32,
    amplitude: i32,
}

impl ComfortNoise {
    pub(crate) fn new(seed: u32, level: u8) -> Self {
        let mut noise = Self {
            state: seed | 1,
            amplitude: 0,
        };
        noise.set_level(level);
        noise
    }

    /// Level as -dBov; 127 is silence, and nothing louder than -30 dBov is believed.
    pub(crate) fn set_level(&mut self, level: u8) {
        // A uniform distribution has an rms of its amplitude over the root of three.
        let amplitude = level::rms_of_dbov(level.clamp(30, 127)) * 1.732;
        #[expect(clippy::cast_possible_truncation, reason = "at most 32,768 / 31 * 1.8")]
        let amplitude = amplitude as i32;
        self.amplitude = if level >= 127 { 0 } else { amplitude };
    }

    pub(crate) fn fill(&mut self, samples: &mut [i16]) {
        if self.amplitude == 0 {
            samples.fill(0);
            return;
        }
        for sample in samples {
            // xorshift32 (Marsaglia).
            self.state ^= self.state << 13;
            self.state ^= self.state >> 17;
            self.state ^= self.state << 5;
            let uniform = self.state.cast_signed() >> 16;
            *sample = i16::try_from(uniform * self.amplitude / 32_768).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_level_asked_for() {
        let mut samples = [0; 8_000];
        for level in [35, 50, 66] {
            ComfortNoise::new(7, level).fill(&mut samples);
            let measured = level::dbov(&samples);
            assert!(measured.abs_diff(level) <= 2, "{level}: {measured}");
        }
        ComfortNoise::new(7, 127).fill(&mut samples);
        assert_eq!(samples, [0; 8_000]);
    }
}
