//! Whether what is heard is what was said, come back: the late part of the one against the other.
//!
//! Both are made flatter, the delay is where they are most alike, and from there a short filter is fitted by least squares
//! (covariance method). The part of the energy that it explains is near one for an echo, whatever the hybrid does to it, and low for
//! another voice. Nothing is computed unless somebody asks.

use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealToComplex};

/// Samples at 8 kHz that are looked at: 200 ms of what was heard.
pub(super) const HEARD: usize = 1_600;
/// Longest delay of an echo, samples at 8 kHz (400 ms).
pub(super) const DELAY_MAX: usize = 3_200;
/// Samples of what was said.
pub(super) const SAID: usize = HEARD + DELAY_MAX;
/// Coefficients of the fitted filter, and how many of them lie before the best delay.
const TAPS: usize = 48;
const TAPS_BEFORE: usize = 16;
const TRANSFORM: usize = 8_192;
/// A one-pole filter makes voices flatter.
const FLATTEN: f32 = 0.9;
/// Uncertainty that the fit is given, part of the energy.
const RIDGE: f32 = 0.001;

/// A delay and how much of what was heard it explains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Likeness {
    /// Samples at 8 kHz from what was said to what was heard.
    pub(super) delay: usize,
    /// Part of the energy, 0 to 1.
    pub(super) explained: f32,
}

/// Working memory of the comparison.
pub(super) struct Comparison {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    time: Vec<f32>,
    scratch: Vec<Complex32>,
    heard_bins: Vec<Complex32>,
    said_bins: Vec<Complex32>,
    heard: Vec<f32>,
    said: Vec<f32>,
    normal: Vec<f32>,
}

impl Comparison {
    pub(super) fn new() -> Self {
        let (forward, inverse) = super::spectrum::plans(TRANSFORM);
        let longest = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            time: vec![0.0; TRANSFORM],
            scratch: vec![Complex32::default(); longest],
            heard_bins: vec![Complex32::default(); TRANSFORM / 2 + 1],
            said_bins: vec![Complex32::default(); TRANSFORM / 2 + 1],
            heard: vec![0.0; HEARD],
            said: vec![0.0; SAID],
            normal: vec![0.0; TAPS * TAPS],
            forward,
            inverse,
        }
    }

    /// Compares; the last samples of both are of the same moment. `None` where one of them is silent.
    pub(super) fn compare(&mut self, heard: &[f32], said: &[f32]) -> Option<Likeness> {
        flatten(heard, &mut self.heard);
        flatten(said, &mut self.said);
        let all = energy(&self.heard);
        if all <= 0.0 || energy(&self.said) <= 0.0 {
            return None;
        }
        self.correlate();
        let delay = self.best_delay()?;
        let first = delay.saturating_sub(TAPS_BEFORE).min(DELAY_MAX - TAPS);
        let explained = (self.fit(first) / all).clamp(0.0, 1.0);
        Some(Likeness { delay, explained })
    }

    /// Leaves in `time` at each place `DELAY_MAX - delay` the product of what was heard and what was said so long before.
    fn correlate(&mut self) {
        for (from, bins) in [
            (&self.heard, &mut self.heard_bins),
            (&self.said, &mut self.said_bins),
        ] {
            self.time.fill(0.0);
            self.time[..from.len()].copy_from_slice(from);
            // Lengths are those of the plan: it cannot fail.
            let _ = self
                .forward
                .process_with_scratch(&mut self.time, bins, &mut self.scratch);
        }
        for (said, heard) in self.said_bins.iter_mut().zip(&self.heard_bins) {
            *said *= heard.conj();
        }
        for place in [0, TRANSFORM / 2] {
            self.said_bins[place].im = 0.0;
        }
        let _ = self.inverse.process_with_scratch(
            &mut self.said_bins,
            &mut self.time,
            &mut self.scratch,
        );
    }

    fn best_delay(&self) -> Option<usize> {
        #[expect(clippy::cast_precision_loss, reason = "a scale")]
        let scale = 1.0 / TRANSFORM as f32;
        let mut said = energy(&self.said[..HEARD]);
        // Where hardly anything was said a product means nothing.
        let least = 0.01 * energy(&self.said) + f32::MIN_POSITIVE;
        let mut best = None;
        for place in 0..=DELAY_MAX {
            let product = self.time[place] * scale;
            let likeness = product * product / said.max(least);
            if best.is_none_or(|(most, _)| likeness > most) {
                best = Some((likeness, DELAY_MAX - place));
            }
            if place < DELAY_MAX {
                let (new, old) = (self.said[place + HEARD], self.said[place]);
                said = (said + new * new - old * old).max(0.0);
            }
        }
        best.map(|(_, delay)| delay)
    }

    /// Energy of what was heard that a filter of delays from `first` on explains.
    fn fit(&mut self, first: usize) -> f32 {
        let said = &self.said;
        // Place of what was said when the first sample was heard, for a coefficient.
        let start = |tap: usize| DELAY_MAX - first - tap;
        for tap in 0..TAPS {
            self.normal[tap] = dot(&said[start(0)..][..HEARD], &said[start(tap)..][..HEARD]);
        }
        for row in 1..TAPS {
            for column in row..TAPS {
                let (a, b) = (start(row), start(column));
                let before = self.normal[(row - 1) * TAPS + column - 1];
                // One sample more at the beginning, one fewer at the end.
                self.normal[row * TAPS + column] =
                    before + said[a] * said[b] - said[a + HEARD] * said[b + HEARD];
            }
        }
        let mut wanted = [0.0; TAPS];
        for (tap, wanted) in wanted.iter_mut().enumerate() {
            *wanted = dot(&self.heard, &said[start(tap)..][..HEARD]);
        }
        explained(&mut self.normal, &wanted)
    }
}

/// The energy that the solution of the normal equations explains: by a Cholesky factor, in the upper half of `normal`.
fn explained(normal: &mut [f32], wanted: &[f32; TAPS]) -> f32 {
    let ridge = RIDGE * normal[0] + 1.0;
    let mut half = [0.0; TAPS];
    let mut sum = 0.0;
    for row in 0..TAPS {
        let mut pivot = normal[row * TAPS + row] + ridge;
        let mut right = wanted[row];
        for above in 0..row {
            let factor = normal[above * TAPS + row];
            pivot -= factor * factor;
            right -= factor * half[above];
        }
        let pivot = pivot.max(ridge).sqrt();
        for column in row + 1..TAPS {
            let mut value = normal[row * TAPS + column];
            for above in 0..row {
                value -= normal[above * TAPS + row] * normal[above * TAPS + column];
            }
            normal[row * TAPS + column] = value / pivot;
        }
        half[row] = right / pivot;
        // The squares of the solved half are what each coefficient explains.
        sum += half[row] * half[row];
    }
    sum
}

impl std::fmt::Debug for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Comparison")
    }
}

fn flatten(from: &[f32], into: &mut [f32]) {
    let mut before = from.first().copied().unwrap_or_default();
    for (to, sample) in into.iter_mut().zip(from) {
        *to = sample - FLATTEN * before;
        before = *sample;
    }
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

pub(super) fn energy(samples: &[f32]) -> f32 {
    dot(samples, samples)
}
