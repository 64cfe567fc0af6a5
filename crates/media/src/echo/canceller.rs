//! The echo of a line taken out of what is heard: two filters, a guard, and what is left made quieter.

use realfft::num_complex::Complex32;

use super::QUIET;
use super::filter::{Filter, Pace};
use super::spectrum::Spectrum;

/// What the path keeps in a block, squared: it drifts by the difference of two clocks.
const STEADY: f32 = 0.998;
/// Step of the filter that learns the path anew.
const BOLD: f32 = 0.6;
/// Blocks over which the filters are compared.
const COMPARE_BLOCKS: f32 = 4.0;
/// The quick filter takes over when it leaves less than this part of what the other leaves.
const TAKE_OVER: f32 = 0.7;
/// A filter that leaves more than this part of what was heard has lost its path.
const LOST: f32 = 1.3;
/// The quick filter begins anew when it leaves this much more than was heard.
const DOUBTFUL: f32 = 4.0;
/// A filter that leaves less than this part knows the path, for so many blocks of what is played (3 s).
const CONFIRMS: f32 = 0.25;
const CONFIRMED_BLOCKS: u16 = 150;
/// Blocks for which the comparison must hold.
const HOLD_BLOCKS: u8 = 2;
/// The echo that is left is at most this part of the one that was found: above it is somebody's voice.
const LEAK_MAX: f32 = 0.1;
/// How far above what is expected the rest may be and still be echo, power.
const LEAK_MARGIN: f32 = 4.0;
/// How fast that part is learnt downwards and upwards.
const LEAK_FALL: f32 = 0.1;
const LEAK_RISE: f32 = 0.005;
/// What is left of the echo is multiplied by this (-18 dB).
const SUPPRESSED: f32 = 0.126;
/// Weight of the past in the figure of the call, for each block of echo alone.
const FIGURE_MEMORY: f64 = 0.998;

/// Loudest noise that is believed, mean square (-51 dBov), and how fast it rises in a block.
const NOISE_MAX: f32 = 8_500.0;
const NOISE_RISE: f32 = 1.02;
/// How far an echo is above the noise of the line before anything is learnt of what is left of it, power (6 dB).
const ABOVE_NOISE: f32 = 4.0;

/// Levels of what was heard and of what both filters leave, as running means.
#[derive(Debug, Clone, Copy, Default)]
struct Levels {
    heard: f32,
    steady: f32,
    quick: f32,
}

/// Echo alone: what came and what was left of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figure {
    heard: f64,
    left: f64,
    blocks: u32,
}

/// Blocks of echo alone before there is a figure (one second).
const FIGURE_BLOCKS_MIN: u32 = 50;

/// See the module. A block is a frame of 20 ms.
#[derive(Debug)]
pub(super) struct Canceller {
    spectrum: Spectrum,
    partitions: usize,
    /// Spectra of the reference in a ring, `newest` last written.
    reference: Vec<Complex32>,
    energies: Vec<f32>,
    newest: usize,
    before: Vec<f32>,
    steady: Filter,
    quick: Filter,
    levels: Levels,
    better: u8,
    lost: u8,
    /// Blocks for which the path is still taken as known.
    confirmed: u16,
    /// Part of the echo that stays after the filter, power.
    leak: f32,
    /// Mean square of the noise of the line; 0 until it was heard.
    noise: f32,
    gain: f32,
    pub(super) figure: Figure,
}

impl Canceller {
    pub(super) fn new(block: usize, partitions: usize) -> Self {
        let spectrum = Spectrum::new(block);
        let bins = spectrum.bins();
        Self {
            spectrum,
            partitions,
            reference: vec![Complex32::default(); partitions * bins],
            energies: vec![0.0; partitions],
            newest: 0,
            before: vec![0.0; block],
            steady: Filter::new(partitions, block, Pace::Careful(STEADY)),
            quick: Filter::new(partitions, block, Pace::Bold(BOLD)),
            levels: Levels::default(),
            better: 0,
            lost: 0,
            confirmed: 0,
            leak: LEAK_MAX,
            noise: 0.0,
            gain: 1.0,
            figure: Figure::default(),
        }
    }

    pub(super) fn partitions(&self) -> usize {
        self.partitions
    }

    /// What was played in the time of the next block.
    pub(super) fn play(&mut self, played: &[f32]) {
        self.newest = (self.newest + 1) % self.partitions;
        let bins = self.spectrum.bins();
        let into = &mut self.reference[self.newest * bins..(self.newest + 1) * bins];
        self.spectrum.of(Some(&self.before), played, into);
        self.before.copy_from_slice(played);
        self.energies[self.newest] = mean_square(played);
    }

    /// The reference is read so many blocks later than before (or earlier, below zero); it is played again after that.
    pub(super) fn shift(&mut self, blocks: isize) {
        self.steady.shift(blocks);
        self.quick.shift(blocks);
        self.reference.fill(Complex32::default());
        self.energies.fill(0.0);
        self.before.fill(0.0);
    }

    /// Forgets the path.
    pub(super) fn forget(&mut self) {
        self.steady.reset();
        self.quick.reset();
        self.levels = Levels::default();
        self.confirmed = 0;
    }

    /// Whether something is played whose echo may be heard now.
    pub(super) fn is_played(&self) -> bool {
        self.energies.iter().any(|energy| *energy > QUIET)
    }

    /// Whether the path is known: not long ago the filter left little of what was heard. While both speak nobody can tell.
    pub(super) fn has_path(&self) -> bool {
        self.confirmed > 0
    }

    /// Takes the echo out of a block. A block that was made up teaches nothing, and its echo is not where it should be.
    pub(super) fn apply(&mut self, heard: &mut [f32], made_up: bool) {
        let power = mean_square(heard);
        if !self.is_played() || made_up {
            if !made_up {
                self.note_noise(power);
            }
            self.ramp(heard, 1.0);
            return;
        }
        let bins = self.spectrum.bins();
        let (newest, reference) = (self.newest, &self.reference);
        let order = (0..self.partitions).map(|back| {
            let place = (newest + self.partitions - back) % self.partitions;
            &reference[place * bins..(place + 1) * bins]
        });
        let spectrum = &mut self.spectrum;
        for filter in [&mut self.steady, &mut self.quick] {
            filter.estimate(spectrum, order.clone(), heard);
            filter.adapt(spectrum, order.clone());
        }
        let left = mean_square(&self.steady.rest);
        let echo = mean_square(&self.steady.echo);
        self.compare(Levels {
            heard: power,
            steady: left,
            quick: mean_square(&self.quick.rest),
        });
        if left < LOST * power {
            heard.copy_from_slice(&self.steady.rest);
        }
        self.suppress(heard, (power, left, echo));
    }

    /// Which of the filters knows the path better, and whether one has lost it.
    fn compare(&mut self, now: Levels) {
        let weight = 1.0 / COMPARE_BLOCKS;
        let levels = &mut self.levels;
        levels.heard += weight * (now.heard - levels.heard);
        levels.steady += weight * (now.steady - levels.steady);
        levels.quick += weight * (now.quick - levels.quick);
        let counted = |held: u8, holds: bool| if holds { held + 1 } else { 0 };
        self.better = counted(self.better, levels.quick < TAKE_OVER * levels.steady);
        self.lost = counted(self.lost, levels.steady > LOST * levels.heard);
        if self.better >= HOLD_BLOCKS {
            self.better = 0;
            self.steady.copy_from(&self.quick);
            self.levels.steady = self.levels.quick;
        } else if self.lost >= HOLD_BLOCKS {
            self.lost = 0;
            self.confirmed = 0;
            self.steady.reset();
            self.levels.steady = self.levels.heard;
        }
        self.confirmed = if self.levels.steady < CONFIRMS * self.levels.heard {
            CONFIRMED_BLOCKS
        } else {
            self.confirmed.saturating_sub(1)
        };
        if self.levels.quick > DOUBTFUL * self.levels.heard {
            self.quick.reset();
            self.levels.quick = self.levels.heard;
        }
    }

    /// Makes what is left of the echo quieter where it is echo alone, down to the noise of the line.
    fn suppress(&mut self, heard: &mut [f32], (power, left, echo): (f32, f32, f32)) {
        let expected = (LEAK_MARGIN * self.leak * echo).max(2.0 * self.noise);
        let alone = self.has_path() && left < expected && left < power;
        if self.has_path() && echo > ABOVE_NOISE * self.noise {
            let ratio = (left / echo.max(1.0)).min(LEAK_MAX);
            let weight = if ratio < self.leak {
                LEAK_FALL
            } else {
                LEAK_RISE
            };
            self.leak += weight * (ratio - self.leak);
        }
        let floor = (self.noise / left.max(1.0)).sqrt().min(1.0);
        self.ramp(heard, if alone { SUPPRESSED.max(floor) } else { 1.0 });
        if left < expected && echo > 0.5 * power {
            let figure = &mut self.figure;
            figure.heard = FIGURE_MEMORY * figure.heard + f64::from(power);
            figure.left = FIGURE_MEMORY * figure.left + f64::from(left);
            figure.blocks = figure.blocks.saturating_add(1);
        }
    }

    /// Comes to a gain within the block: a rise at once, a fall slowly, so that the beginning of a word is whole.
    fn ramp(&mut self, heard: &mut [f32], wanted: f32) {
        let from = self.gain;
        let to = if wanted > from {
            wanted
        } else {
            from + 0.5 * (wanted - from)
        };
        self.gain = to;
        if from == 1.0 && to == 1.0 {
            return;
        }
        let rise = to > from;
        #[expect(clippy::cast_precision_loss, reason = "at most 320")]
        let count = heard.len() as f32;
        let mut place = 0.0;
        for sample in heard {
            // 2.5 ms up, a block down.
            let part = if rise {
                (8.0 * place / count).min(1.0)
            } else {
                place / count
            };
            *sample *= from + (to - from) * part;
            place += 1.0;
        }
    }

    /// The level of the line while nothing is played: it falls at once and rises slowly.
    fn note_noise(&mut self, power: f32) {
        let power = power.clamp(1.0, NOISE_MAX);
        self.noise = if self.noise == 0.0 || power < self.noise {
            power
        } else {
            (self.noise * NOISE_RISE).min(power)
        };
    }
}

impl Figure {
    /// Echo return loss enhancement of the filter, dB; `None` until there was a second of echo alone.
    pub(super) fn erle_db(&self) -> Option<f64> {
        (self.blocks >= FIGURE_BLOCKS_MIN).then(|| 10.0 * (self.heard / self.left.max(1.0)).log10())
    }
}

fn mean_square(samples: &[f32]) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "at most 320")]
    let count = samples.len().max(1) as f32;
    samples.iter().map(|sample| sample * sample).sum::<f32>() / count
}
