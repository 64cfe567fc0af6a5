//! Callees that were never born: voices, beeps, tones and silences made from a seed, as a telephone line gives them.

use media::Law;
use media::g711;
use media::resample::Rate;
use media::tone::Sine;

/// Samples of 20 ms at 8 kHz.
pub(crate) const FRAME: usize = 160;
const HZ: f32 = 8_000.0;

/// Numbers from a seed (SplitMix64).
#[derive(Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0 to 1.
    pub(crate) fn part(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.part()
    }

    pub(crate) fn ms(&mut self, low: u32, high: u32) -> u32 {
        low + (self.next() % u64::from(high - low + 1)) as u32
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[(self.next() % all.len() as u64) as usize]
    }
}

/// What a callee lets be heard, from the answer on.
pub(crate) struct Line {
    pub(crate) samples: Vec<i16>,
    chance: Chance,
    noise: f32,
    /// Fundamental of the voice, Hz.
    pitch: f32,
    loudness: f32,
}

impl Line {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        // -70 to -50 dBov of noise, voices from low to high and from soft to loud.
        let noise = 32_768.0 * 10_f32.powf(chance.between(-3.5, -2.5));
        let pitch = chance.between(85.0, 260.0);
        let loudness = chance.between(2_500.0, 9_000.0);
        Self {
            samples: Vec::new(),
            chance,
            noise,
            pitch,
            loudness,
        }
    }

    pub(crate) fn heard_ms(&self) -> u32 {
        (self.samples.len() / 8) as u32
    }

    pub(crate) fn quiet(&mut self, ms: u32) {
        for _ in 0..ms * 8 {
            let sample = self.chance.between(-1.7, 1.7) * self.noise;
            self.samples.push(sample as i16);
        }
    }

    /// Somebody says something: syllables of a buzz through moving formants, hisses between some, short stops between words.
    pub(crate) fn say(&mut self, ms: u32) {
        let until = self.samples.len() + ms as usize * 8;
        let mut words = 0;
        while self.samples.len() < until {
            let left = ((until - self.samples.len()) / 8) as u32;
            if left < 60 {
                self.quiet(left);
                break;
            }
            if words > 0 && self.chance.part() < 0.4 {
                let hiss = self.chance.ms(30, 90).min(left);
                self.hiss(hiss);
            }
            let left = ((until - self.samples.len().min(until)) / 8) as u32;
            let syllable = self.chance.ms(90, 240).min(left);
            self.syllable(syllable);
            words += 1;
            if words % 3 == 0 {
                let stop = self.chance.ms(20, 120);
                let left = ((until - self.samples.len().min(until)) / 8) as u32;
                self.quiet(stop.min(left));
            }
        }
    }

    fn hiss(&mut self, ms: u32) {
        let mut before = 0.0;
        for _ in 0..ms * 8 {
            let now = self.chance.between(-1.0, 1.0) * self.loudness * 0.35;
            self.samples.push((now - before) as i16);
            before = now;
        }
    }

    fn syllable(&mut self, ms: u32) {
        let count = ms as usize * 8;
        let formants = [
            self.chance.between(280.0, 850.0),
            self.chance.between(900.0, 2_300.0),
            self.chance.between(2_400.0, 3_200.0),
        ];
        let glide = self.chance.between(-0.15, 0.15);
        let pitch = self.pitch * self.chance.between(0.85, 1.2);
        let mut phase = 0.0_f32;
        for index in 0..count {
            let at = index as f32 / count as f32;
            let hz = pitch * (1.0 + glide * at);
            phase = (phase + hz / HZ) % 1.0;
            let mut sum = 0.0;
            let mut harmonic = 1.0;
            while harmonic * hz < 3_400.0 {
                let place = harmonic * hz;
                let mut gain = 0.02;
                for (formant, (width, height)) in
                    formants
                        .iter()
                        .zip([(90.0, 1.0), (120.0, 0.5), (160.0, 0.25)])
                {
                    let off = (place - formant) / width;
                    gain += height / (1.0 + off * off);
                }
                sum += gain * (std::f32::consts::TAU * phase * harmonic).sin();
                harmonic += 1.0;
            }
            let envelope = (at / 0.15).min(1.0) * ((1.0 - at) / 0.25).min(1.0);
            let noise = self.chance.between(-1.7, 1.7) * self.noise;
            let sample = sum * envelope * self.loudness + noise;
            self.samples.push(sample.clamp(-30_000.0, 30_000.0) as i16);
        }
    }

    /// Tones of one or two frequencies together.
    pub(crate) fn tones(&mut self, hertz: &[f32], ms: u32) {
        let peak = self.loudness.max(4_000.0) / hertz.len() as f32;
        let start = self.samples.len();
        self.quiet(ms);
        for hz in hertz {
            let mut tone = vec![0; ms as usize * 8];
            Sine::at(Rate::Hz8000, *hz, peak).fill(&mut tone);
            for (sample, tone) in self.samples[start..].iter_mut().zip(tone) {
                *sample = sample.saturating_add(tone);
            }
        }
    }

    /// As it comes through a telephone network: in one of its two laws.
    pub(crate) fn through_network(&self, law: Law) -> Vec<i16> {
        let through = |sample: &i16| g711::decode(law, g711::encode(law, *sample));
        self.samples.iter().map(through).collect()
    }
}
