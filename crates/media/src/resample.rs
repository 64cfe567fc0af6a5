//! Change of sample rate between telephone and engine: a polyphase FIR filter that keeps its state from frame to frame.
//!
//! Made once a call; a frame allocates nothing. The filter is a Kaiser-windowed sinc with 80 dB of stop band whose pass band
//! reaches 85 % of the lower Nyquist frequency (3.4 kHz for a telephone), and 95 % where the rate rises. Its group delay is 2 to 4 ms
//! ([`Resampler::group_delay_us`]); a sound that begins and ends ([`Resampler::restart`], [`Resampler::finish`]) is given out
//! without that delay and to the sample as long as it was, so that played milliseconds stay exact.

use std::f64::consts::PI;

/// A sample rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// 8 kHz.
    Hz8000,
    /// 16 kHz.
    Hz16000,
    /// 24 kHz.
    Hz24000,
    /// 48 kHz.
    Hz48000,
}

impl Rate {
    /// The rate in hertz.
    #[must_use]
    pub fn hz(self) -> u32 {
        match self {
            Self::Hz8000 => 8_000,
            Self::Hz16000 => 16_000,
            Self::Hz24000 => 24_000,
            Self::Hz48000 => 48_000,
        }
    }

    /// By its hertz; `None` for any other rate.
    #[must_use]
    pub fn from_hz(hz: u32) -> Option<Self> {
        match hz {
            8_000 => Some(Self::Hz8000),
            16_000 => Some(Self::Hz16000),
            24_000 => Some(Self::Hz24000),
            48_000 => Some(Self::Hz48000),
            _ => None,
        }
    }
}

/// Samples taken in one go; more are taken in turns.
const BLOCK: usize = 480;
/// Sums kept side by side, so that the compiler can use vector instructions without changing the order of an addition.
const LANES: usize = 8;
/// Attenuation in the stop band, dB.
const STOP_BAND_DB: f64 = 80.0;
/// Where the transition from pass band to stop band lies, and how wide it is, as shares of the lower Nyquist frequency.
/// Towards a lower rate what would fold back below 3.4 kHz has to be gone.
const DOWN: (f64, f64) = (1.0, 0.3);
/// Towards a higher rate the caller's sibilants up to 3.8 kHz are kept; their images are just above, where nobody speaks.
const UP: (f64, f64) = (1.05, 0.2);

/// A change of rate with its state.
#[derive(Clone, Debug)]
pub struct Resampler {
    from: Rate,
    up: usize,
    down: usize,
    /// Taps of each phase, a multiple of [`LANES`].
    taps: usize,
    /// The phases one after the other, each reversed: the oldest sample's weight first.
    bank: Vec<f32>,
    /// `taps - 1` samples of before, then those of this block.
    line: Vec<f32>,
    /// Where the next output lies, in steps of the common multiple of the rates after the first sample of the next block.
    next: usize,
    /// Half of the filter, in the same steps.
    delay: usize,
    consumed: u64,
    produced: u64,
}

impl Resampler {
    /// A filter at rest. Equal rates pass samples on unchanged.
    #[must_use]
    pub fn new(from: Rate, to: Rate) -> Self {
        let divisor = gcd(from.hz(), to.hz());
        let (up, down) = (index(to.hz() / divisor), index(from.hz() / divisor));
        let (centre, share) = if to.hz() > from.hz() { UP } else { DOWN };
        let nyquist = f64::from(from.hz().min(to.hz())) / 2.0;
        let rate = f64::from(from.hz()) * float(up);
        let width = 2.0 * PI * nyquist * share / rate;
        let wanted = (STOP_BAND_DB - 8.0) / (2.285 * width);
        let mut taps = LANES;
        while float(taps * up) < wanted {
            taps += LANES;
        }
        // The delay is a whole number of samples that came: what was in step with the telephone stays so.
        let mut length = taps * up - usize::from((taps * up).is_multiple_of(2));
        while !((length - 1) / 2).is_multiple_of(up) {
            length -= 2;
        }
        let prototype = prototype(length, nyquist * centre / rate, float(up));
        let mut bank = vec![0.0; taps * up];
        for (at, weight) in prototype.iter().enumerate() {
            let (phase, tap) = (at % up, at / up);
            bank[phase * taps + (taps - 1 - tap)] = *weight;
        }
        Self {
            from,
            up,
            down,
            taps,
            bank,
            line: vec![0.0; taps - 1 + BLOCK],
            next: 0,
            delay: (length - 1) / 2,
            consumed: 0,
            produced: 0,
        }
    }

    /// How much later a sample leaves than it came, in microseconds, where the sound is not restarted.
    #[must_use]
    pub fn group_delay_us(&self) -> u64 {
        if self.up == self.down {
            return 0;
        }
        let steps_per_s = u64::from(self.from.hz()) * u64::try_from(self.up).unwrap_or(1);
        u64::try_from(self.delay).unwrap_or(0) * 1_000_000 / steps_per_s
    }

    /// Adds the samples of the next frame at the other rate to `out`. A frame of whole milliseconds gives whole milliseconds.
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        if self.up == self.down {
            out.extend_from_slice(input);
            return;
        }
        self.consumed += u64::try_from(input.len()).unwrap_or(0);
        for block in input.chunks(BLOCK) {
            self.block(block.iter().map(|sample| f32::from(*sample)), out, u64::MAX);
        }
    }

    /// A new sound begins: nothing of before is heard in it, and it is given out without the delay of the filter.
    pub fn restart(&mut self) {
        self.line.fill(0.0);
        self.next = self.delay;
        self.consumed = 0;
        self.produced = 0;
    }

    /// The sound is over: adds what of it is still in the filter, so that it is as long as what came. Begins anew.
    pub fn finish(&mut self, out: &mut Vec<i16>) {
        if self.up != self.down {
            let (up, down) = (wide(self.up), wide(self.down));
            let whole = (self.consumed * up).div_ceil(down);
            while self.produced < whole {
                self.block(std::iter::repeat_n(0.0, self.taps), out, whole);
            }
        }
        self.restart();
    }

    fn block(
        &mut self,
        samples: impl ExactSizeIterator<Item = f32>,
        out: &mut Vec<i16>,
        whole: u64,
    ) {
        let history = self.taps - 1;
        let count = samples.len();
        for (place, sample) in self.line[history..].iter_mut().zip(samples) {
            *place = sample;
        }
        while self.next < count * self.up && self.produced < whole {
            let (first, phase) = (self.next / self.up, self.next % self.up);
            let weights = &self.bank[phase * self.taps..(phase + 1) * self.taps];
            let window = &self.line[first..first + self.taps];
            out.push(sample(dot(weights, window)));
            self.next += self.down;
            self.produced += 1;
        }
        self.next = self.next.saturating_sub(count * self.up);
        self.line.copy_within(count..count + history, 0);
    }
}

fn dot(weights: &[f32], window: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for (weights, window) in weights.chunks_exact(LANES).zip(window.chunks_exact(LANES)) {
        for ((sum, weight), sample) in sums.iter_mut().zip(weights).zip(window) {
            *sum += weight * sample;
        }
    }
    sums.iter().sum()
}

fn sample(value: f32) -> i16 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the range")]
    let sample = value.round().clamp(-32_768.0, 32_767.0) as i16;
    sample
}

/// The low pass, cut off at `cutoff` of the sample rate, with a gain that makes up for the zeros between the samples.
fn prototype(length: usize, cutoff: f64, gain: f64) -> Vec<f32> {
    let beta = 0.110_2 * (STOP_BAND_DB - 8.7);
    let middle = float(length - 1) / 2.0;
    let weights: Vec<f64> = (0..length)
        .map(|at| {
            let x = float(at) - middle;
            let angle = 2.0 * PI * cutoff * x;
            let sinc = if angle.abs() < 1e-9 {
                1.0
            } else {
                angle.sin() / angle
            };
            let reach = x / middle;
            sinc * bessel(beta * (1.0 - reach * reach).max(0.0).sqrt()) / bessel(beta)
        })
        .collect();
    let sum: f64 = weights.iter().sum();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "single precision is enough"
    )]
    let scaled = weights
        .iter()
        .map(|weight| (weight * gain / sum) as f32)
        .collect();
    scaled
}

/// The modified Bessel function of order zero, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..64_u32 {
        let factor = x / (2.0 * f64::from(n));
        term *= factor * factor;
        sum += term;
    }
    sum
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(1)
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a filter has a few hundred taps"
)]
fn float(number: usize) -> f64 {
    number as f64
}
