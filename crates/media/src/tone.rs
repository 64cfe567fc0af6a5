//! Tones: a sine generator, a Goertzel detector, and the quiet sounds of a live line, made once per process.

use std::f32::consts::TAU;
use std::sync::OnceLock;

use crate::comfort_noise::ComfortNoise;
use crate::frame::{Form, Law};
use crate::resample::Rate;
use crate::{g711, reform};

/// Level of the noise of a live line, -dBov: below what a voice detector takes for speech.
pub const COMFORT_NOISE_LEVEL: u8 = 66;
/// Length of the loop of noise, ms.
const COMFORT_NOISE_MS: usize = 1_000;
/// Length of the loop of the thinking sound, samples (2.4 s).
const THINKING_SAMPLES: usize = 19_200;

/// The tone of a telephone that rings there: 440 Hz, 1.5 s in 5 s, as in France (ITU-T E.180 supplement 2).
const RINGBACK_HZ: f32 = 440.0;
const RINGBACK_MS: usize = 1_500;
const RINGBACK_EVERY_MS: usize = 5_000;
/// Peak: some 24 dB below the loudest sine.
const RINGBACK_AMPLITUDE: f32 = 2_800.0;

/// The notes of the music on hold: C, A minor, F and G.
const HOLD_NOTES_HZ: [f32; 16] = [
    261.63, 329.63, 392.0, 523.25, 220.0, 261.63, 329.63, 440.0, 174.61, 220.0, 261.63, 349.23,
    196.0, 246.94, 293.66, 392.0,
];
/// Length of each of them.
const HOLD_NOTE_MS: usize = 500;
/// Peak: some 22 dB below the loudest sine; the music stays behind a voice.
const HOLD_AMPLITUDE: f32 = 3_500.0;

/// A sine of constant frequency and amplitude.
#[derive(Debug, Clone)]
pub struct Sine {
    phase: f32,
    step: f32,
    amplitude: f32,
}

impl Sine {
    /// A sine of `frequency` Hz whose peak is `amplitude` (0 to 32,767).
    #[must_use]
    pub fn new(frequency: f32, amplitude: f32) -> Self {
        Self::at(Rate::Hz8000, frequency, amplitude)
    }

    /// The same at another sample rate.
    #[must_use]
    pub fn at(rate: Rate, frequency: f32, amplitude: f32) -> Self {
        Self {
            phase: 0.0,
            step: TAU * frequency / hertz(rate),
            amplitude,
        }
    }

    /// The next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            *sample = to_sample(self.phase.sin() * self.amplitude);
            self.phase = (self.phase + self.step) % TAU;
        }
    }

    /// The next samples in G.711.
    pub fn fill_coded(&mut self, law: Law, audio: &mut [u8]) {
        for byte in audio {
            let mut sample = [0];
            self.fill(&mut sample);
            *byte = g711::encode(law, sample[0]);
        }
    }
}

/// Peak amplitude of `frequency` Hz in `samples` of 8 kHz (Goertzel).
#[must_use]
pub fn goertzel(samples: &[i16], frequency: f32) -> f32 {
    goertzel_at(Rate::Hz8000, samples, frequency)
}

/// The same at another sample rate.
#[must_use]
pub fn goertzel_at(rate: Rate, samples: &[i16], frequency: f32) -> f32 {
    if samples.is_empty() {
        return 0.0;
    }
    let step = f64::from(TAU * frequency / hertz(rate));
    let coefficient = 2.0 * step.cos();
    let (mut last, mut before) = (0.0_f64, 0.0_f64);
    for sample in samples {
        let next = f64::from(*sample) + coefficient * last - before;
        (before, last) = (last, next);
    }
    let power = last * last + before * before - coefficient * last * before;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "an amplitude needs four digits"
    )]
    let amplitude = (power.max(0.0).sqrt() * 2.0 / samples.len() as f64) as f32;
    amplitude
}

/// Share of the energy of `samples` that is at `frequency` Hz, 0 to 1: 1 for that pure tone.
#[must_use]
pub fn purity(samples: &[i16], frequency: f32) -> f32 {
    purity_at(Rate::Hz8000, samples, frequency)
}

/// The same at another sample rate.
#[must_use]
pub fn purity_at(rate: Rate, samples: &[i16], frequency: f32) -> f32 {
    let energy: f32 = samples
        .iter()
        .map(|sample| f32::from(*sample).powi(2))
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "a share needs three digits")]
    let tone = goertzel_at(rate, samples, frequency).powi(2) / 2.0 * samples.len() as f32;
    if energy > 0.0 {
        (tone / energy).min(1.0)
    } else {
        0.0
    }
}

/// A second of barely audible noise, to be looped.
#[must_use]
pub fn comfort_noise(form: Form) -> &'static [u8] {
    static LOOPS: [OnceLock<Box<[u8]>>; 3] = [const { OnceLock::new() }; 3];
    LOOPS[index(form)].get_or_init(|| {
        let mut samples = vec![0; COMFORT_NOISE_MS * form.frame_samples() / 20];
        ComfortNoise::new(0x5EED, COMFORT_NOISE_LEVEL).fill(&mut samples);
        coded(form, &samples)
    })
}

/// The thinking sound, to be looped: two soft, slow notes over the noise of the line, near -40 dBov.
#[must_use]
pub fn thinking(form: Form) -> &'static [u8] {
    static LOOPS: [OnceLock<Box<[u8]>>; 3] = [const { OnceLock::new() }; 3];
    LOOPS[index(form)].get_or_init(|| match form {
        Form::G711(_) => coded(form, &thinking_samples()),
        Form::Wide => {
            let law = Form::G711(Law::Pcmu);
            reform::whole(law, form, coded(law, &thinking_samples()).into_vec()).into_boxed_slice()
        }
    })
}

/// The tone that a caller hears while it rings there, to be looped.
#[must_use]
pub fn ringback(form: Form) -> &'static [u8] {
    static LOOPS: [OnceLock<Box<[u8]>>; 3] = [const { OnceLock::new() }; 3];
    LOOPS[index(form)].get_or_init(|| {
        let per_ms = form.frame_samples() / 20;
        let mut samples = vec![0; RINGBACK_EVERY_MS * per_ms];
        let rings = &mut samples[..RINGBACK_MS * per_ms];
        Sine::at(form.rate(), RINGBACK_HZ, RINGBACK_AMPLITUDE).fill(rings);
        coded(form, &samples)
    })
}

/// Music for a caller who waits, to be looped: a slow arpeggio in C, four bars of four notes, each with its octave. It is made here, so
/// that it belongs to nobody; every note is one that a test can find.
#[must_use]
pub fn hold_music(form: Form) -> &'static [u8] {
    static LOOPS: [OnceLock<Box<[u8]>>; 3] = [const { OnceLock::new() }; 3];
    LOOPS[index(form)].get_or_init(|| coded(form, &hold_samples(form.rate())))
}

fn hold_samples(rate: Rate) -> Vec<i16> {
    let per_ms = usize::try_from(rate.hz() / 1_000).unwrap_or(8);
    let len = HOLD_NOTE_MS * per_ms;
    let mut samples = Vec::with_capacity(HOLD_NOTES_HZ.len() * len);
    for frequency in HOLD_NOTES_HZ {
        let (mut note, mut octave) = (vec![0; len], vec![0; len]);
        Sine::at(rate, frequency, HOLD_AMPLITUDE).fill(&mut note);
        Sine::at(rate, frequency * 2.0, HOLD_AMPLITUDE / 5.0).fill(&mut octave);
        samples.extend(
            note.iter()
                .zip(&octave)
                .enumerate()
                .map(|(at, (low, high))| {
                    #[expect(clippy::cast_precision_loss, reason = "a note is short")]
                    let (at, left) = (at as f32, (len - at) as f32);
                    #[expect(clippy::cast_precision_loss, reason = "below 32")]
                    let per_ms = per_ms as f32;
                    // It begins within 20 ms, fades like a string, and has ended before the next.
                    let envelope = (at / (20.0 * per_ms)).min(1.0)
                        * (-at / (500.0 * per_ms)).exp()
                        * (left / (40.0 * per_ms)).min(1.0);
                    to_sample((f32::from(*low) + f32::from(*high)) * envelope)
                }),
        );
    }
    samples
}

fn coded(form: Form, samples: &[i16]) -> Box<[u8]> {
    let mut audio = Vec::with_capacity(samples.len() * form.sample_bytes());
    form.append(samples, &mut audio);
    audio.into_boxed_slice()
}

fn thinking_samples() -> Vec<i16> {
    let mut samples = vec![0; THINKING_SAMPLES];
    ComfortNoise::new(0x5EED, COMFORT_NOISE_LEVEL).fill(&mut samples);
    // A fourth, G4 and C5, one after the other, each with its octave: a soft mallet.
    for (start, frequency) in [(0, 392.0), (4_800, 523.25)] {
        let len = 9_600;
        let mut note = vec![0; len];
        let mut octave = vec![0; len];
        Sine::new(frequency, 700.0).fill(&mut note);
        Sine::new(frequency * 2.0, 150.0).fill(&mut octave);
        for (index, (low, high)) in note.iter().zip(&octave).enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "below 9,600")]
            let at = index as f32;
            #[expect(clippy::cast_precision_loss, reason = "below 9,600")]
            let left = 1.0 - at / len as f32;
            let envelope = (at / 160.0).min(1.0) * (-at / 2_400.0).exp() * left;
            let sample = &mut samples[start + index];
            *sample =
                sample.saturating_add(to_sample((f32::from(*low) + f32::from(*high)) * envelope));
        }
    }
    samples
}

fn index(form: Form) -> usize {
    match form {
        Form::G711(Law::Pcmu) => 0,
        Form::G711(Law::Pcma) => 1,
        Form::Wide => 2,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is below 2 to the power of 24"
)]
fn hertz(rate: Rate) -> f32 {
    rate.hz() as f32
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to the range of i16"
)]
fn to_sample(value: f32) -> i16 {
    value
        .round()
        .clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level;

    #[test]
    fn a_sine_is_found_at_its_frequency_only() {
        let mut samples = [0; 800];
        Sine::new(440.0, 8_000.0).fill(&mut samples);
        assert!((goertzel(&samples, 440.0) - 8_000.0).abs() < 80.0);
        assert!(goertzel(&samples, 1_000.0) < 100.0);
        assert!(purity(&samples, 440.0) > 0.99);
        assert!(purity(&[0; 160], 440.0) < 0.01);
    }

    #[test]
    fn the_ringing_is_the_one_of_a_telephone() {
        for form in [Law::Pcmu.into(), Law::Pcma.into(), Form::Wide] {
            let sound = ringback(form);
            let mut samples = vec![0; sound.len() / form.sample_bytes()];
            form.decode_into(sound, &mut samples);
            let per_ms = form.frame_samples() / 20;
            assert_eq!(samples.len(), 5_000 * per_ms);
            let (rings, rests) = samples.split_at(1_500 * per_ms);
            assert!(purity_at(form.rate(), rings, 440.0) > 0.98);
            assert!((20..=30).contains(&level::dbov(rings)));
            assert!(rests.iter().all(|sample| sample.abs() < 16), "it rests");
        }
    }

    #[test]
    fn the_music_has_its_notes_and_loops_without_a_click() {
        for form in [Law::Pcmu.into(), Law::Pcma.into(), Form::Wide] {
            let sound = hold_music(form);
            let mut samples = vec![0; sound.len() / form.sample_bytes()];
            form.decode_into(sound, &mut samples);
            let len = HOLD_NOTE_MS * form.frame_samples() / 20;
            assert_eq!(samples.len(), HOLD_NOTES_HZ.len() * len);
            for (note, frequency) in samples.chunks(len).zip(HOLD_NOTES_HZ) {
                let share = purity_at(form.rate(), note, frequency);
                assert!(share > 0.5, "{form:?} {frequency}: {share}");
            }
            assert!((20..=40).contains(&level::dbov(&samples)));
            let step = (i32::from(samples[0]) - i32::from(samples[samples.len() - 1])).abs();
            assert!(step < 60, "{step}");
        }
    }

    #[test]
    fn the_sounds_are_quiet_and_loop_without_a_click() {
        for form in [Law::Pcmu.into(), Law::Pcma.into(), Form::Wide] {
            for (sound, quietest, loudest) in
                [(comfort_noise(form), 75, 55), (thinking(form), 60, 35)]
            {
                let mut samples = vec![0; sound.len() / form.sample_bytes()];
                form.decode_into(sound, &mut samples);
                let level = level::dbov(&samples);
                assert!((loudest..=quietest).contains(&level), "{level}");
                let step = (i32::from(samples[0]) - i32::from(samples[samples.len() - 1])).abs();
                assert!(step < 60, "{step}");
                assert!(samples.iter().all(|sample| sample.abs() < 1_500));
            }
        }
    }
}
