//! From one form of audio to another, with the state of the change of rate.

use crate::frame::Form;
use crate::g711;
use crate::resample::Resampler;

/// A change of form. Made once for a sound that goes on; a frame allocates nothing once its buffers have grown.
#[derive(Debug, Clone)]
pub struct Reform {
    from: Form,
    to: Form,
    resampler: Option<Resampler>,
    samples: Vec<i16>,
    resampled: Vec<i16>,
    changed: Vec<u8>,
}

impl Reform {
    /// A change at rest.
    #[must_use]
    pub fn new(from: Form, to: Form) -> Self {
        let changes = from.rate() != to.rate();
        Self {
            from,
            to,
            resampler: changes.then(|| Resampler::new(from.rate(), to.rate())),
            samples: Vec::new(),
            resampled: Vec::new(),
            changed: Vec::new(),
        }
    }

    /// The change that is wanted, made anew where `kept` is another one.
    pub fn between(kept: &mut Option<Self>, from: Form, to: Form) -> &mut Self {
        let fits = kept
            .as_ref()
            .is_some_and(|kept| kept.from == from && kept.to == to);
        if !fits {
            *kept = None;
        }
        kept.get_or_insert_with(|| Self::new(from, to))
    }

    /// What follows of the sound, changed: as it came where both forms are the same, else in room that is used again.
    pub fn convert<'a>(&'a mut self, audio: &'a [u8]) -> &'a [u8] {
        if self.from == self.to {
            return audio;
        }
        let mut changed = std::mem::take(&mut self.changed);
        changed.clear();
        self.append(audio, &mut changed);
        self.changed = changed;
        &self.changed
    }

    /// Adds what follows of the sound to `out`; whole milliseconds stay whole milliseconds.
    pub fn append(&mut self, audio: &[u8], out: &mut Vec<u8>) {
        if self.from == self.to {
            out.extend_from_slice(audio);
            return;
        }
        let Some(resampler) = &mut self.resampler else {
            let start = out.len();
            out.extend_from_slice(audio);
            if let (Form::G711(from), Form::G711(to)) = (self.from, self.to) {
                g711::transcode(from, to, &mut out[start..]);
            }
            return;
        };
        self.samples.clear();
        self.samples
            .resize(audio.len() / self.from.sample_bytes(), 0);
        self.from.decode_into(audio, &mut self.samples);
        self.resampled.clear();
        resampler.process(&self.samples, &mut self.resampled);
        self.to.append(&self.resampled, out);
    }

    /// Another sound begins.
    pub fn restart(&mut self) {
        if let Some(resampler) = &mut self.resampler {
            resampler.restart();
        }
    }

    /// The sound is over: adds what of it is still in the filter. Only after a [`Reform::restart`] the whole is as long as it was.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(resampler) = &mut self.resampler {
            self.resampled.clear();
            resampler.finish(&mut self.resampled);
            self.to.append(&self.resampled, out);
        }
    }
}

/// A whole sound in another form, as long as it was.
#[must_use]
pub fn whole(from: Form, to: Form, audio: Vec<u8>) -> Vec<u8> {
    if from == to {
        return audio;
    }
    let mut reform = Reform::new(from, to);
    reform.restart();
    let mut out = Vec::with_capacity(audio.len() * to.bytes_per_ms() / from.bytes_per_ms());
    reform.append(&audio, &mut out);
    reform.finish(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Law;
    use crate::resample::Rate;
    use crate::tone;

    const ALL: [Form; 3] = [Form::G711(Law::Pcmu), Form::G711(Law::Pcma), Form::Wide];

    #[test]
    fn a_sound_is_as_long_and_as_high_in_every_form() {
        let mut samples = vec![0; 8_000];
        tone::Sine::new(1_000.0, 8_000.0).fill(&mut samples);
        let mut ulaw = Vec::new();
        ALL[0].append(&samples, &mut ulaw);
        for from in ALL {
            let sound = whole(ALL[0], from, ulaw.clone());
            assert_eq!(sound.len(), 1_000 * from.bytes_per_ms(), "{from:?}");
            for to in ALL {
                let back = whole(from, to, sound.clone());
                assert_eq!(back.len(), 1_000 * to.bytes_per_ms(), "{from:?} {to:?}");
                let mut samples = vec![0; back.len() / to.sample_bytes()];
                to.decode_into(&back, &mut samples);
                let found = tone::purity_at(to.rate(), &samples, 1_000.0);
                assert!(found > 0.99, "{from:?} {to:?}: {found}");
            }
        }
        assert_eq!(Form::Wide.rate(), Rate::Hz16000);
    }

    #[test]
    fn frames_one_by_one_are_frames() {
        for from in ALL {
            for to in ALL {
                let mut kept = None;
                for _ in 0..3 {
                    let frame = vec![from.silence(); from.frame_bytes()];
                    let changed = Reform::between(&mut kept, from, to).convert(&frame);
                    assert_eq!(changed.len(), to.frame_bytes());
                    assert_eq!(from == to, changed.as_ptr() == frame.as_ptr());
                }
            }
        }
    }
}
