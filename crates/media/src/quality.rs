//! Listening quality by the E-model (ITU-T G.107), in the common reduced form.
//!
//! R = 93.2 - Id - Ie,eff with every other term at its default. Id is the two-piece fit of Cole and Rosenbluth, "Voice over IP
//! performance monitoring" (2001). Ie,eff follows G.107 equation 7-29 with BurstR = 1; for G.711 with packet-loss concealment
//! Ie = 0 and Bpl = 25.1, for G.729A Ie = 11 and Bpl = 19 (G.113 Appendix I).

use crate::frame::Codec;

/// Equipment impairment and packet-loss robustness of a codec. The wideband ones have no better score here than a good telephone.
fn equipment(codec: Codec) -> (f64, f64) {
    match codec {
        Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::Opus | Codec::AmrWb => (0.0, 25.1),
        Codec::G729 => (11.0, 19.0),
    }
}

/// Mean opinion score, 1 to 4.5, of a codec, a one-way delay in ms and a loss between 0 and 1.
#[must_use]
pub fn mos(codec: Codec, delay_ms: f64, loss: f64) -> f64 {
    let (equipment, robustness) = equipment(codec);
    let late = (delay_ms - 177.3).max(0.0);
    let delay_impairment = 0.024 * delay_ms.max(0.0) + 0.11 * late;
    let loss_percent = loss.clamp(0.0, 1.0) * 100.0;
    let loss_impairment =
        equipment + (95.0 - equipment) * loss_percent / (loss_percent + robustness);
    let rating = (93.2 - delay_impairment - loss_impairment).clamp(0.0, 100.0);
    (1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7.0e-6).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points_of_the_model() {
        let mos = |delay_ms, loss| mos(Codec::Pcmu, delay_ms, loss);
        // R 93.2 is 4.41 in G.107 annex B.
        assert!((mos(0.0, 0.0) - 4.41).abs() < 0.01);
        assert!(mos(0.0, 0.01) > 4.2);
        assert!((3.8..4.0).contains(&mos(0.0, 0.05)), "{}", mos(0.0, 0.05));
        assert!(mos(400.0, 0.0) < 3.8);
        assert!((mos(5_000.0, 1.0) - 1.0).abs() < f64::EPSILON);
        // R 82.2.
        let coarse = super::mos(Codec::G729, 0.0, 0.0);
        assert!((coarse - 4.1).abs() < 0.03, "{coarse}");
    }
}
