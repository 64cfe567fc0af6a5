//! What may be done to a caller's audio before anyone hears it: noise suppression and automatic gain, each by a setting. Line echo
//! cancellation, which needs what we said as well, is in `echo`.
//!
//! Both work on frames of 20 ms in place. A leg without them pays nothing: its G.711 is not even decoded.

use nnnoiseless::DenoiseState;

use crate::echo::EchoTail;
use crate::frame::{FRAME_SAMPLES_MAX, Form};
use crate::level;
use crate::resample::{Rate, Resampler};

/// Which treatments a leg has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Treatment {
    /// Steady noise is taken out (RNNoise). It adds 15 to 18 ms of delay.
    pub noise_suppression: bool,
    /// Quiet callers are made louder and loud ones quieter.
    pub automatic_gain: bool,
    /// The echo of what we say is taken out. It adds no delay. It comes before the others, which are not linear.
    pub echo_cancellation: bool,
    /// How long after we spoke an echo may end, where it is taken out.
    pub echo_tail: EchoTail,
}

impl Treatment {
    /// The tail of the echo that is to be taken out.
    #[must_use]
    pub fn echo(&self) -> Option<EchoTail> {
        self.echo_cancellation.then_some(self.echo_tail)
    }
}

/// Level that a voice is brought to, dBov.
pub const GAIN_TARGET_DBOV: f32 = -22.0;
/// Most that is added and taken away, dB.
pub const GAIN_DB_MAX: f32 = 18.0;
/// See [`GAIN_DB_MAX`].
pub const GAIN_DB_MIN: f32 = -12.0;
/// How much the gain rises and falls in a frame at most, dB: 6 dB and 25 dB a second.
const RISE_DB: f32 = 0.12;
const FALL_DB: f32 = 0.5;
/// What is below this is no voice to be measured, dBov.
const QUIET_DBOV: f32 = -55.0;
/// How far a voice stands above the noise, dB.
const ABOVE_NOISE_DB: f32 = 9.0;
/// How fast the noise's level is believed to rise, dB a frame (4 dB a second); it falls at once.
const NOISE_RISE_DB: f32 = 0.08;
/// Weight of a frame in the level of the voice.
const LEVEL_WEIGHT: f32 = 0.06;
/// Nothing is louder than this.
const PEAK_MAX: f32 = 32_000.0;

/// Brings a voice to a level. Pauses change nothing, and noise is not raised to be a voice.
#[derive(Debug, Clone)]
pub struct AutomaticGain {
    voice_dbov: Option<f32>,
    noise_dbov: f32,
    gain_db: f32,
}

impl Default for AutomaticGain {
    fn default() -> Self {
        Self {
            voice_dbov: None,
            noise_dbov: 0.0,
            gain_db: 0.0,
        }
    }
}

impl AutomaticGain {
    /// Changes a frame in place.
    pub fn apply(&mut self, samples: &mut [i16]) {
        let loudness = -f32::from(level::dbov(samples));
        self.noise_dbov = (self.noise_dbov + NOISE_RISE_DB).min(loudness);
        if loudness > QUIET_DBOV && loudness > self.noise_dbov + ABOVE_NOISE_DB {
            let before = self.voice_dbov.unwrap_or(loudness);
            self.voice_dbov = Some(before + (loudness - before) * LEVEL_WEIGHT);
        }
        let wanted = self.voice_dbov.map_or(0.0, |voice| {
            (GAIN_TARGET_DBOV - voice).clamp(GAIN_DB_MIN, GAIN_DB_MAX)
        });
        let from = factor(self.gain_db);
        self.gain_db += (wanted - self.gain_db).clamp(-FALL_DB, RISE_DB);
        let peak = samples
            .iter()
            .map(|sample| sample.unsigned_abs())
            .max()
            .map_or(0.0, f32::from);
        // A shout is never clipped: the whole frame is as loud as its peak allows.
        let most = PEAK_MAX / peak.max(1.0);
        let (from, to) = (from.min(most), factor(self.gain_db).min(most));
        let count = u16::try_from(samples.len()).map_or(1.0, f32::from).max(1.0);
        for (place, sample) in (0_u16..).zip(samples) {
            let gain = from + (to - from) * f32::from(place) / count;
            *sample = narrow(f32::from(*sample) * gain);
        }
    }

    /// The gain of this moment, dB.
    #[must_use]
    pub fn gain_db(&self) -> f32 {
        self.gain_db
    }
}

/// Takes steady noise out: RNNoise, which works at 48 kHz in frames of 10 ms.
pub struct NoiseSuppressor {
    up: Resampler,
    down: Resampler,
    state: Box<DenoiseState<'static>>,
    wide: Vec<i16>,
    narrow: Vec<i16>,
}

impl NoiseSuppressor {
    /// For audio of a rate.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            up: Resampler::new(rate, Rate::Hz48000),
            down: Resampler::new(Rate::Hz48000, rate),
            state: DenoiseState::new(),
            wide: Vec::with_capacity(960),
            narrow: Vec::with_capacity(FRAME_SAMPLES_MAX),
        }
    }

    /// Changes a frame of whole tens of milliseconds in place.
    pub fn apply(&mut self, samples: &mut [i16]) {
        self.wide.clear();
        self.up.process(samples, &mut self.wide);
        let mut noisy = [0.0; DenoiseState::FRAME_SIZE];
        let mut clean = [0.0; DenoiseState::FRAME_SIZE];
        for part in self.wide.chunks_exact_mut(DenoiseState::FRAME_SIZE) {
            for (to, from) in noisy.iter_mut().zip(part.iter()) {
                *to = f32::from(*from);
            }
            self.state.process_frame(&mut clean, &noisy);
            for (to, from) in part.iter_mut().zip(clean) {
                *to = narrow(from);
            }
        }
        self.narrow.clear();
        self.down.process(&self.wide, &mut self.narrow);
        for (to, from) in samples.iter_mut().zip(&self.narrow) {
            *to = *from;
        }
    }
}

impl std::fmt::Debug for NoiseSuppressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NoiseSuppressor")
    }
}

/// The treatments of a leg with their state.
#[derive(Debug)]
pub(crate) struct Treated {
    treatment: Treatment,
    form: Form,
    noise: Option<NoiseSuppressor>,
    gain: Option<AutomaticGain>,
}

impl Treated {
    /// `None` where nothing is to be done.
    pub(crate) fn new(treatment: Treatment, form: Form) -> Option<Box<Self>> {
        let treats = treatment.noise_suppression || treatment.automatic_gain;
        treats.then(|| {
            Box::new(Self {
                treatment,
                form,
                noise: treatment
                    .noise_suppression
                    .then(|| NoiseSuppressor::new(form.rate())),
                gain: treatment.automatic_gain.then(AutomaticGain::default),
            })
        })
    }

    /// Whether it is what is wanted now.
    pub(crate) fn is(&self, treatment: Treatment, form: Form) -> bool {
        self.treatment == treatment && self.form == form
    }

    /// Treats a frame in place; its new level.
    pub(crate) fn apply(&mut self, audio: &mut [u8]) -> u8 {
        let mut samples = [0; FRAME_SAMPLES_MAX];
        let samples = &mut samples[..self.form.frame_samples()];
        self.form.decode_into(audio, samples);
        if let Some(noise) = &mut self.noise {
            noise.apply(samples);
        }
        if let Some(gain) = &mut self.gain {
            gain.apply(samples);
        }
        self.form.encode_into(samples, audio);
        level::dbov(samples)
    }
}

fn factor(db: f32) -> f32 {
    10_f32.powf(db / 20.0)
}

/// A sample of 16 bits.
pub(crate) fn narrow(value: f32) -> i16 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the range")]
    let sample = value.round().clamp(-32_768.0, 32_767.0) as i16;
    sample
}
