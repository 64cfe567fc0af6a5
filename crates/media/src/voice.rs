//! Whether what is heard is a voice at all: a door, a cough or a keyboard interrupts nobody. RNNoise's estimate of a voice (the
//! network that `treatment` takes noise out with), computed over the last half second when somebody asks and not before.
//!
//! The shortest words ("six", "sept") give a likelihood above 0.85 for 130 ms from their vowel on, others for 160 ms and more; claps,
//! coughs, knocks, keyboards and hiss for none to 50 ms. What rings longer (some doors, music, a dog) passes for a voice: better
//! interrupted by a noise than deaf to a caller.

use nnnoiseless::DenoiseState;

use crate::echo::{Frames, Heard};
use crate::frame::{FRAME_SAMPLES_MAX, Form};
use crate::resample::{Rate, Resampler};
use crate::treatment::narrow;

/// Likelihood from which a part of 10 ms is a voice.
const VOICED: f32 = 0.85;
/// Parts of the last half second that make a voice: 120 ms.
const VOICE_PARTS: u32 = 12;
/// Parts that may become one: 70 ms.
const DOUBT_PARTS: u32 = 7;
/// The parts that count.
const PARTS: u64 = (1 << 50) - 1;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Voices(Option<Box<Watch>>);

/// The network, as long as somebody asks.
struct Watch {
    up: Resampler,
    state: Box<DenoiseState<'static>>,
    wide: Vec<i16>,
    /// Frames that were looked at.
    seen: u64,
    /// One bit for each part, the last one lowest.
    voiced: u64,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("seen", &self.seen)
            .field("voiced", &self.voiced)
            .finish_non_exhaustive()
    }
}

impl Voices {
    /// Whether there was a voice in what was heard of late: [`Heard::Speech`], [`Heard::Noise`], or undecided.
    pub(crate) fn judge(&mut self, heard: &Frames) -> Heard {
        self.rest(heard);
        let first = heard.count().saturating_sub(heard.kept());
        let watch = self
            .0
            .get_or_insert_with(|| Box::new(Watch::new(heard.form(), first)));
        watch.look(heard);
        match (watch.voiced & PARTS).count_ones() {
            VOICE_PARTS.. => Heard::Speech,
            DOUBT_PARTS.. => Heard::Undecided,
            _ => Heard::Noise,
        }
    }

    /// Lets the network go when it has missed frames that are not kept: it begins anew. For each frame; it costs a comparison.
    pub(crate) fn rest(&mut self, heard: &Frames) {
        if let Some(watch) = &self.0
            && watch.seen + heard.kept() < heard.count()
        {
            self.0 = None;
        }
    }
}

impl Watch {
    fn new(form: Form, seen: u64) -> Self {
        Self {
            up: Resampler::new(form.rate(), Rate::Hz48000),
            state: DenoiseState::new(),
            wide: Vec::with_capacity(2 * DenoiseState::FRAME_SIZE),
            seen,
            voiced: 0,
        }
    }

    fn look(&mut self, heard: &Frames) {
        let samples = heard.form().frame_samples();
        let mut frame = [0.0; FRAME_SAMPLES_MAX];
        let mut coded = [0; FRAME_SAMPLES_MAX];
        let mut noisy = [0.0; DenoiseState::FRAME_SIZE];
        let mut clean = [0.0; DenoiseState::FRAME_SIZE];
        while self.seen < heard.count() {
            heard.read(Some(self.seen), &mut frame[..samples]);
            for (to, from) in coded.iter_mut().zip(frame) {
                *to = narrow(from);
            }
            self.up.process(&coded[..samples], &mut self.wide);
            let whole = self.wide.len() / DenoiseState::FRAME_SIZE * DenoiseState::FRAME_SIZE;
            for part in self.wide[..whole].chunks_exact(DenoiseState::FRAME_SIZE) {
                for (to, from) in noisy.iter_mut().zip(part) {
                    *to = f32::from(*from);
                }
                let likelihood = self.state.process_frame(&mut clean, &noisy);
                self.voiced = self.voiced << 1 | u64::from(likelihood > VOICED);
            }
            self.wide.drain(..whole);
            self.seen += 1;
        }
    }
}
