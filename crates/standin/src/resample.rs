//! Change of sample rate by a windowed sinc (Blackman-Harris), polyphase, for whole sounds.

use crate::speech::to_i16;

/// Zero crossings of the sinc on either side, at the lower of the two rates.
const LOBES: u32 = 24;
/// The pass band as a share of the lower Nyquist frequency.
const PASS_BAND: f64 = 0.94;

/// Samples at another rate. Rates are in hertz and not zero.
pub fn resample(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
    if from == to || samples.is_empty() {
        return samples.to_vec();
    }
    let divisor = gcd(from, to);
    let (up, down) = (to / divisor, from / divisor);
    let cutoff = PASS_BAND * (f64::from(to) / f64::from(from)).min(1.0);
    let reach_f = f64::from(LOBES) / cutoff;
    let reach = (1_i32..)
        .find(|n| f64::from(*n) >= reach_f)
        .expect("the integers do not end below a finite reach");
    let phases: Vec<Vec<f32>> = (0..up)
        .map(|phase| kernel(f64::from(phase) / f64::from(up), cutoff, reach))
        .collect();
    let count = samples.len() as u64 * u64::from(up) / u64::from(down);
    let mut out = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    let (mut base, mut phase) = (0_usize, 0_usize);
    let (up, down) = (up as usize, down as usize);
    for _ in 0..count {
        let first = base as i64 - i64::from(reach) + 1;
        let mut sum = 0.0_f32;
        for (tap, weight) in phases[phase].iter().enumerate() {
            if let Ok(index) = usize::try_from(first + tap as i64)
                && let Some(sample) = samples.get(index)
            {
                sum += f32::from(*sample) * weight;
            }
        }
        out.push(to_i16(f64::from(sum)));
        phase += down;
        base += phase / up;
        phase %= up;
    }
    out
}

/// The weights of the samples `1 - reach ..= reach` around a point that lies `fraction` after sample 0.
fn kernel(fraction: f64, cutoff: f64, reach: i32) -> Vec<f32> {
    let weights: Vec<f64> = (1 - reach..=reach)
        .map(|n| {
            let x = f64::from(n) - fraction;
            let angle = std::f64::consts::PI * x * cutoff;
            let sinc = if angle.abs() < 1e-9 {
                1.0
            } else {
                angle.sin() / angle
            };
            sinc * window(x / f64::from(reach))
        })
        .collect();
    let sum: f64 = weights.iter().sum();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "single precision is enough for 16-bit sound"
    )]
    let weights = weights.iter().map(|w| (w / sum) as f32).collect();
    weights
}

/// Blackman-Harris over -1..=1.
fn window(x: f64) -> f64 {
    if x.abs() >= 1.0 {
        return 0.0;
    }
    let t = std::f64::consts::PI * (x + 1.0);
    0.358_75 - 0.488_29 * t.cos() + 0.141_28 * (2.0 * t).cos() - 0.011_68 * (3.0 * t).cos()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, rate: u32, count: u32) -> Vec<i16> {
        (0..count)
            .map(|n| {
                to_i16(
                    (f64::from(n) * hz / f64::from(rate) * std::f64::consts::TAU).sin() * 10_000.0,
                )
            })
            .collect()
    }

    fn rms(samples: &[i16]) -> f64 {
        let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
        (sum / samples.len() as f64).sqrt()
    }

    #[test]
    fn a_tone_keeps_its_shape_and_its_length() {
        for (from, to) in [
            (22_050, 8_000),
            (22_050, 24_000),
            (24_000, 8_000),
            (8_000, 24_000),
        ] {
            let out = resample(&sine(1_000.0, from, from), from, to);
            let expected = sine(1_000.0, to, to);
            assert_eq!(out.len(), expected.len());
            let middle = 1_000..out.len() - 1_000;
            let error: Vec<i16> = out[middle.clone()]
                .iter()
                .zip(&expected[middle])
                .map(|(a, b)| a - b)
                .collect();
            assert!(rms(&error) < 30.0, "{from} to {to}: {}", rms(&error));
        }
    }

    #[test]
    fn what_lies_above_the_lower_band_is_removed() {
        let out = resample(&sine(5_000.0, 24_000, 24_000), 24_000, 8_000);
        assert!(rms(&out[500..7_500]) < 10.0, "{}", rms(&out[500..7_500]));
    }
}
