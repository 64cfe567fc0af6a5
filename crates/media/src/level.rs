//! Level of audio in -dBov: 0 is full scale, 127 is silence (the scale of RFC 6464).

/// Energy of samples: the sum of squares.
#[must_use]
pub fn energy(samples: &[i16]) -> u64 {
    samples
        .iter()
        .map(|sample| u64::from(sample.unsigned_abs()).pow(2))
        .sum()
}

/// Level of samples as -dBov.
#[must_use]
pub fn dbov(samples: &[i16]) -> u8 {
    dbov_of_energy(energy(samples), samples.len())
}

/// Level of `count` samples whose squares sum to `energy`. A full-scale square wave is 0, a full-scale sine 3.
#[must_use]
pub fn dbov_of_energy(energy: u64, count: usize) -> u8 {
    if energy == 0 || count == 0 {
        return 127;
    }
    #[expect(clippy::cast_precision_loss, reason = "a level needs three digits")]
    let mean = energy as f32 / count as f32;
    let below_full_scale = -10.0 * (mean / (32_768.0 * 32_768.0)).log10();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=127"
    )]
    let level = below_full_scale.round().clamp(0.0, 127.0) as u8;
    level
}

/// Root mean square that a level stands for, linear.
#[must_use]
pub fn rms_of_dbov(level: u8) -> f32 {
    32_768.0 * 10_f32.powf(-f32::from(level) / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_known_signals() {
        assert_eq!(dbov(&[0; 160]), 127);
        assert_eq!(dbov(&[]), 127);
        assert_eq!(dbov(&[i16::MIN; 160]), 0);
        assert_eq!(dbov(&[3_277; 160]), 20);
        assert!((rms_of_dbov(20) - 3_276.8).abs() < 0.1);
    }
}
