//! Loudness of G.711: one look-up a sample.

use crate::frame::Law;
use crate::g711;

/// Largest change either way, dB.
pub const GAIN_DB_MAX: f32 = 40.0;

/// A change of loudness. What would be louder than the codec can say is clipped.
#[derive(Clone)]
pub struct Gain {
    table: [u8; 256],
}

impl Gain {
    /// A change by `db`, within ±[`GAIN_DB_MAX`]; `None` where nothing would change.
    #[must_use]
    pub fn new(law: Law, db: f32) -> Option<Self> {
        if db == 0.0 || !db.is_finite() {
            return None;
        }
        let factor = 10_f32.powf(db.clamp(-GAIN_DB_MAX, GAIN_DB_MAX) / 20.0);
        let mut table = [0; 256];
        for (byte, slot) in (0..=u8::MAX).zip(&mut table) {
            let louder = f32::from(g711::decode(law, byte)) * factor;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a cast from float saturates, which is the clipping that is wanted"
            )]
            let sample = louder.round() as i16;
            *slot = g711::encode(law, sample);
        }
        Some(Self { table })
    }

    /// Changes encoded audio in place.
    pub fn apply(&self, audio: &mut [u8]) {
        for byte in audio {
            if let Some(louder) = self.table.get(usize::from(*byte)) {
                *byte = *louder;
            }
        }
    }
}

impl std::fmt::Debug for Gain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gain")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level;
    use crate::tone::Sine;

    fn level_after(law: Law, db: f32) -> u8 {
        let mut coded = [0; 1_600];
        Sine::new(440.0, 3_000.0).fill_coded(law, &mut coded);
        if let Some(gain) = Gain::new(law, db) {
            gain.apply(&mut coded);
        }
        let mut samples = [0; 1_600];
        g711::decode_into(law, &coded, &mut samples);
        level::dbov(&samples)
    }

    #[test]
    fn a_tone_is_louder_or_quieter_by_the_decibels_asked_for() {
        for law in [Law::Pcmu, Law::Pcma] {
            let before = i16::from(level_after(law, 0.0));
            for db in [-12.0_f32, -6.0, 6.0, 12.0] {
                let after = i16::from(level_after(law, db));
                let change = f32::from(before - after);
                assert!((change - db).abs() <= 1.0, "{law:?} {db} dB: {change}");
            }
        }
    }

    #[test]
    fn nothing_to_change_is_no_table_and_too_much_is_clipped() {
        assert!(Gain::new(Law::Pcmu, 0.0).is_none());
        assert!(Gain::new(Law::Pcmu, f32::NAN).is_none());
        let gain = Gain::new(Law::Pcmu, 400.0).expect("a change");
        let mut loud = [
            g711::encode(Law::Pcmu, 30_000),
            g711::encode(Law::Pcmu, -30_000),
        ];
        gain.apply(&mut loud);
        assert!(g711::decode(Law::Pcmu, loud[0]) > 30_000);
        assert!(g711::decode(Law::Pcmu, loud[1]) < -30_000);
    }
}
