//! Packet-loss concealment for speech at 8 or 16 kHz, in the manner of ITU-T G.711 Appendix I. All lengths grow with the rate.
//!
//! The last pitch period is repeated, one period for the first 10 ms, two from then and three from 20 ms on, fading by a fifth every
//! 10 ms after the first, to silence at 60 ms; the first good samples are cross-faded with the synthetic ones. Unlike the appendix
//! nothing is delayed by 3.75 ms: the step between the last good sample and the first synthetic one is spread over a quarter of a
//! period instead, because a frame in order goes to the engine at once.

use crate::frame::Form;

/// Shortest pitch period, samples at 8 kHz as all lengths here (200 Hz).
const PITCH_MIN: usize = 40;
/// Longest pitch period, samples (66 Hz).
const PITCH_MAX: usize = 120;
/// Samples compared when the pitch is looked for.
const TEMPLATE: usize = 160;
/// Samples kept: three periods, a quarter, and room for the template.
const HISTORY: usize = 390;
/// Fading step, samples (10 ms).
const STEP: usize = 80;
/// Steps after which nothing is left.
const STEPS_MAX: usize = 6;
/// Longest cross-fade back into good audio, samples.
const BLEND_MAX: usize = 80;

/// Makes audio for what was lost.
#[derive(Debug, Clone)]
pub struct Concealer {
    /// Samples of one at 8 kHz: 1 or 2.
    scale: usize,
    /// [`HISTORY`] times the scale.
    history: Box<[i16]>,
    /// One to three periods that are repeated; the end is blended so that the wrap has no step.
    cycle: Box<[i16]>,
    pitch: usize,
    cycle_len: usize,
    position: usize,
    /// Samples made since the last good one.
    made: usize,
    /// Step at the joint and over how many samples it is spread.
    joint: i32,
}

impl Default for Concealer {
    fn default() -> Self {
        Self::new()
    }
}

impl Concealer {
    /// A concealer at 8 kHz that knows silence only.
    #[must_use]
    pub fn new() -> Self {
        Self::scaled(1)
    }

    /// The same for the form of a leg.
    pub(crate) fn of(form: Form) -> Self {
        Self::scaled(form.samples_per_tick())
    }

    fn scaled(scale: usize) -> Self {
        Self {
            scale,
            history: vec![0; HISTORY * scale].into_boxed_slice(),
            cycle: vec![0; PITCH_MAX * 3 * scale].into_boxed_slice(),
            pitch: PITCH_MIN * scale,
            cycle_len: PITCH_MIN * scale,
            position: 0,
            made: 0,
            joint: 0,
        }
    }

    /// Takes good audio. After a loss its first samples are cross-faded in place; true says that they changed.
    pub fn good(&mut self, samples: &mut [i16]) -> bool {
        let blended = self.made > 0;
        if blended {
            let len = (self.pitch / 4 + self.made / STEP * 32)
                .clamp(1, BLEND_MAX * self.scale)
                .min(samples.len());
            for (index, sample) in samples.iter_mut().take(len).enumerate() {
                let synthetic = i32::from(self.next_synthetic());
                let (weight, whole) = (as_i32(index + 1), as_i32(len + 1));
                *sample =
                    narrow((i32::from(*sample) * weight + synthetic * (whole - weight)) / whole);
            }
            self.made = 0;
        }
        self.remember(samples);
        blended
    }

    /// Fills `samples` with what probably was lost.
    pub fn conceal(&mut self, samples: &mut [i16]) {
        if self.made == 0 {
            self.pitch = self.find_pitch();
            self.build_cycle(1);
            self.position = 0;
            // The first synthetic sample naturally follows the one a period before the last good one.
            let last = self.history.len() - 1;
            self.joint = i32::from(self.history[last]) - i32::from(self.history[last - self.pitch]);
        }
        let step = STEP * self.scale;
        for sample in samples.iter_mut() {
            if self.made == step {
                self.build_cycle(2);
            } else if self.made == step * 2 {
                self.build_cycle(3);
            }
            *sample = self.next_synthetic();
            self.made += 1;
        }
    }

    /// Whether what is made now would be silence only.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.made >= STEP * self.scale * STEPS_MAX
    }

    fn next_synthetic(&mut self) -> i16 {
        if self.is_exhausted() {
            return 0;
        }
        let raw = i32::from(self.cycle[self.position]);
        self.position = (self.position + 1) % self.cycle_len;
        let spread = self.pitch / 4;
        let raw = if self.made < spread {
            raw + self.joint * as_i32(spread - self.made) / as_i32(spread)
        } else {
            raw
        };
        // Full for the first step, then a straight line to nothing.
        let step = STEP * self.scale;
        let faded = self.made.saturating_sub(step);
        let (left, whole) = (
            as_i32(step * (STEPS_MAX - 1) - faded),
            as_i32(step * (STEPS_MAX - 1)),
        );
        narrow(raw * left / whole)
    }

    fn remember(&mut self, samples: &[i16]) {
        let history = self.history.len();
        if samples.len() >= history {
            self.history
                .copy_from_slice(&samples[samples.len() - history..]);
        } else {
            self.history.copy_within(samples.len().., 0);
            self.history[history - samples.len()..].copy_from_slice(samples);
        }
    }

    /// The lag whose samples look most like the last ones (normalised cross-correlation).
    fn find_pitch(&self) -> usize {
        let (history, compared) = (self.history.len(), TEMPLATE * self.scale);
        let template = &self.history[history - compared..];
        let mut best = (PITCH_MAX * self.scale, f32::MIN);
        for lag in PITCH_MIN * self.scale..=PITCH_MAX * self.scale {
            let candidate = &self.history[history - compared - lag..history - lag];
            let (mut correlation, mut energy) = (0_i64, 1_i64);
            for (a, b) in template.iter().zip(candidate) {
                correlation += i64::from(i32::from(*a) * i32::from(*b));
                energy += i64::from(i32::from(*b) * i32::from(*b));
            }
            #[expect(clippy::cast_precision_loss, reason = "a comparison of likelihoods")]
            let score = correlation as f32 / (energy as f32).sqrt();
            if score > best.1 {
                best = (lag, score);
            }
        }
        best.0
    }

    /// Takes the last `periods` periods as the cycle and blends its last quarter period with what came before its start.
    fn build_cycle(&mut self, periods: usize) {
        let history = self.history.len();
        let periods = periods.min((history - self.pitch / 4) / self.pitch);
        let len = self.pitch * periods;
        let quarter = self.pitch / 4;
        let start = history - len;
        self.cycle[..len].copy_from_slice(&self.history[start..]);
        for index in 0..quarter {
            let (weight, whole) = (as_i32(index + 1), as_i32(quarter + 1));
            let end = i32::from(self.cycle[len - quarter + index]);
            let lead = i32::from(self.history[start - quarter + index]);
            self.cycle[len - quarter + index] =
                narrow((end * (whole - weight) + lead * weight) / whole);
        }
        // The phase continues: positions are congruent modulo the period.
        self.position %= self.pitch;
        self.cycle_len = len;
    }
}

fn as_i32(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn narrow(value: i32) -> i16 {
    i16::try_from(value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tones that share no short period: a repeated stretch never fits.
    fn signal(low: f32, high: f32) -> Vec<i16> {
        let sine = |index: i16, frequency: f32| {
            (f32::from(index) / 8_000.0 * std::f32::consts::TAU * frequency).sin()
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most 8,000")]
        let sample = |index| (sine(index, low) * 5_000.0 + sine(index, high) * 3_000.0) as i16;
        (0..8_000).map(sample).collect()
    }

    fn step(from: i16, to: i16) -> i32 {
        (i32::from(to) - i32::from(from)).abs()
    }

    #[test]
    fn neither_joint_steps_further_than_the_signal_itself_does() {
        for (low, high) in [
            (300.0, 1_130.0),
            (210.0, 517.0),
            (95.0, 701.0),
            (160.0, 433.0),
        ] {
            let samples = signal(low, high);
            let natural = samples
                .windows(2)
                .map(|pair| step(pair[0], pair[1]))
                .max()
                .unwrap();
            for start in (1_000..6_000).step_by(37) {
                let mut concealer = Concealer::new();
                for part in samples[..start].to_vec().chunks_mut(160) {
                    assert!(!concealer.good(part));
                }
                let mut lost = [0; 160];
                concealer.conceal(&mut lost);
                let mut after = samples[start + 160..start + 320].to_vec();
                assert!(concealer.good(&mut after));
                assert!(
                    step(samples[start - 1], lost[0]) <= natural,
                    "into {low} {high} {start}"
                );
                assert!(
                    step(lost[159], after[0]) <= natural,
                    "out of {low} {high} {start}"
                );
                assert_eq!(after[80..], samples[start + 240..start + 320]);
            }
        }
    }

    #[test]
    fn silence_and_short_blocks_are_concealed_as_well() {
        let mut concealer = Concealer::new();
        let mut samples = [1; 7];
        concealer.conceal(&mut samples);
        assert_eq!(samples, [0; 7]);
        for _ in 0..1_000 {
            concealer.conceal(&mut samples);
        }
        assert!(concealer.is_exhausted());
        concealer.good(&mut [0; 1_000]);
        assert!(!concealer.is_exhausted());
    }
}
