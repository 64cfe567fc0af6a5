//! One adaptive filter: the echo path in partitions of a block, in the frequency domain, its step by a Kalman gain for each bin.
//!
//! G. Enzner and P. Vary, "Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free telephones", 2006, in
//! the partitioned form of F. Kuech and others, 2014. The uncertainty of each coefficient against the level of whatever is
//! not echo decides how far a block may move it, so that the caller's own voice freezes the filter by itself.

use realfft::num_complex::Complex32;

use super::spectrum::Spectrum;

/// Uncertainty of a coefficient before anything is known: an echo of some 12 dB under what is played.
const UNKNOWN: f32 = 0.05;
/// Weight of the past in the level of what is not echo.
const NEAR_MEMORY: f32 = 0.8;
/// What is not echo is at least this part of the error.
const NEAR_PART: f32 = 0.1;
/// Least level of what is not echo, as power of a bin: the steps of G.711 are never below.
const NEAR_MIN: f32 = 200.0;

/// Part of the mean over all bins that is added to each for a bold filter: where nothing is played nothing is learnt.
const EVEN: f32 = 0.1;
/// Least uncertainty of a coefficient that was taken over.
const TAKEN_OVER: f32 = 0.000_1;

/// How a filter learns.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// By its gain. What a path keeps in a block, squared: the rest is what it may have changed by.
    Careful(f32),
    /// By this part of the whole step, whoever speaks (a normalised filter).
    Bold(f32),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Filter {
    partitions: usize,
    bins: usize,
    pace: Pace,
    weights: Vec<Complex32>,
    uncertainty: Vec<f32>,
    near: Vec<f32>,
    /// The echo that the filter expects, and what is left without it.
    pub(super) echo: Vec<f32>,
    pub(super) rest: Vec<f32>,
    working: Vec<Complex32>,
    error: Vec<Complex32>,
    gain: Vec<f32>,
}

impl Filter {
    pub(super) fn new(partitions: usize, block: usize, pace: Pace) -> Self {
        let bins = block + 1;
        Self {
            partitions,
            bins,
            pace,
            weights: vec![Complex32::default(); partitions * bins],
            uncertainty: vec![UNKNOWN; partitions * bins],
            near: vec![0.0; bins],
            echo: vec![0.0; block],
            rest: vec![0.0; block],
            working: vec![Complex32::default(); bins],
            error: vec![Complex32::default(); bins],
            gain: vec![0.0; bins],
        }
    }

    /// Begins anew.
    pub(super) fn reset(&mut self) {
        self.weights.fill(Complex32::default());
        self.uncertainty.fill(UNKNOWN);
    }

    /// Takes over what another filter knows.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.weights.copy_from_slice(&other.weights);
        for (uncertainty, weight) in self.uncertainty.iter_mut().zip(&other.weights) {
            *uncertainty = weight.norm_sqr() + TAKEN_OVER;
        }
    }

    /// The echo comes so many blocks later (or earlier, below zero) in the reference than before.
    pub(super) fn shift(&mut self, blocks: isize) {
        let step = blocks.unsigned_abs().min(self.partitions) * self.bins;
        let len = self.weights.len();
        if blocks > 0 {
            self.weights.copy_within(..len - step, step);
            self.uncertainty.copy_within(..len - step, step);
            self.weights[..step].fill(Complex32::default());
            self.uncertainty[..step].fill(UNKNOWN);
        } else {
            self.weights.copy_within(step.., 0);
            self.uncertainty.copy_within(step.., 0);
            self.weights[len - step..].fill(Complex32::default());
            self.uncertainty[len - step..].fill(UNKNOWN);
        }
    }

    /// The echo of a block and what is left of it. The spectra are the reference's, the newest first.
    pub(super) fn estimate<'a>(
        &mut self,
        spectrum: &mut Spectrum,
        reference: impl Iterator<Item = &'a [Complex32]>,
        heard: &[f32],
    ) {
        self.working.fill(Complex32::default());
        for (weights, reference) in self.weights.chunks_exact(self.bins).zip(reference) {
            for ((sum, weight), bin) in self.working.iter_mut().zip(weights).zip(reference) {
                *sum += weight * bin;
            }
        }
        spectrum.second_half(&self.working, &mut self.echo);
        for ((rest, heard), echo) in self.rest.iter_mut().zip(heard).zip(&self.echo) {
            *rest = heard - echo;
        }
    }

    /// Learns from the block that was estimated last.
    pub(super) fn adapt<'a>(
        &mut self,
        spectrum: &mut Spectrum,
        reference: impl Iterator<Item = &'a [Complex32]> + Clone,
    ) {
        spectrum.of(None, &self.rest, &mut self.error);
        self.weigh(reference.clone());
        for ((weights, uncertainty), reference) in self
            .weights
            .chunks_exact_mut(self.bins)
            .zip(self.uncertainty.chunks_exact_mut(self.bins))
            .zip(reference)
        {
            for (place, step) in self.working.iter_mut().enumerate() {
                let (bin, part) = (reference[place], uncertainty[place] * self.gain[place]);
                *step = self.error[place] * bin.conj() * part;
                if matches!(self.pace, Pace::Careful(_)) {
                    uncertainty[place] *= (1.0 - 0.5 * part * bin.norm_sqr()).max(0.0);
                }
            }
            spectrum.constrain(&mut self.working);
            for (weight, step) in weights.iter_mut().zip(&self.working) {
                *weight += step;
            }
            if let Pace::Careful(steady) = self.pace {
                for (uncertainty, weight) in uncertainty.iter_mut().zip(weights) {
                    *uncertainty = steady * *uncertainty + (1.0 - steady) * weight.norm_sqr();
                }
            }
        }
    }

    /// How far each bin of the error may move the coefficients, but for their own uncertainty.
    fn weigh<'a>(&mut self, reference: impl Iterator<Item = &'a [Complex32]>) {
        self.gain.fill(0.0);
        for (uncertainty, reference) in self.uncertainty.chunks_exact(self.bins).zip(reference) {
            for ((sum, uncertainty), bin) in self.gain.iter_mut().zip(uncertainty).zip(reference) {
                *sum += uncertainty * bin.norm_sqr();
            }
        }
        if let Pace::Bold(step) = self.pace {
            #[expect(clippy::cast_precision_loss, reason = "at most 321")]
            let even = EVEN * self.gain.iter().sum::<f32>() / self.bins as f32;
            for gain in &mut self.gain {
                *gain = step / (0.5 * (*gain + even) + NEAR_MIN);
            }
            return;
        }
        for ((gain, near), error) in self.gain.iter_mut().zip(&mut self.near).zip(&self.error) {
            // What the uncertainty explains of the error is echo; the rest is the caller, the line and its noise.
            let (all, own) = (error.norm_sqr(), 0.5 * *gain);
            let now = (all - own).max(NEAR_PART * all);
            *near = NEAR_MEMORY * *near + (1.0 - NEAR_MEMORY) * now;
            // The beginning of a word counts at once: it is what a filter is lost by.
            *gain = 1.0 / (own + near.max(now) + NEAR_MIN);
        }
    }
}
