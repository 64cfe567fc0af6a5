//! Between the form of a leg's audio and that of an engine. Where both talk the same, nothing is done.

use std::sync::Arc;

use media::resample::{Rate, Resampler};
use media::{Form, ItemKey};
use wire::realtime::AudioFormat;

/// Both directions of one engine, with the state of their filters.
pub(crate) struct Conversion {
    /// What the call carries.
    leg: Form,
    /// The caller on the way to the engine; `None` passes it on as it is.
    up: Option<Resampler>,
    /// The agent on the way back.
    down: Option<Down>,
    samples: Vec<i16>,
    resampled: Vec<i16>,
    bytes: Vec<u8>,
}

struct Down {
    resampler: Resampler,
    /// The item whose end is still in the filter.
    sounding: Option<ItemKey>,
    /// Half a sample at the end of a message.
    odd: Option<u8>,
}

/// Agent audio in the leg's form.
pub(crate) struct FromEngine {
    /// The rest of the item before, which the engine did not end.
    pub(crate) before: Option<(ItemKey, Vec<u8>)>,
    /// The audio of the item.
    pub(crate) audio: Vec<u8>,
}

/// The rate of a format that is not G.711.
fn linear(format: AudioFormat) -> Option<Rate> {
    match format {
        AudioFormat::Pcmu | AudioFormat::Pcma => None,
        AudioFormat::Pcm16k | AudioFormat::Pcm24k => Rate::from_hz(format.rate_hz()),
    }
}

impl Conversion {
    /// For an engine that hears `input` and says `output`, on a call in `leg`. An engine that talks in G.711 is given a leg of that law.
    pub(crate) fn new(leg: Form, input: AudioFormat, output: AudioFormat) -> Self {
        Self {
            leg,
            up: linear(input).map(|rate| Resampler::new(leg.rate(), rate)),
            down: linear(output).map(|rate| {
                let mut resampler = Resampler::new(rate, leg.rate());
                resampler.restart();
                Down {
                    resampler,
                    sounding: None,
                    odd: None,
                }
            }),
            samples: Vec::new(),
            resampled: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// A frame of the caller as the engine wants it.
    pub(crate) fn upward<'a>(&'a mut self, frame: &'a [u8]) -> &'a [u8] {
        let Some(up) = &mut self.up else {
            return frame;
        };
        self.samples.clear();
        self.samples
            .resize(frame.len() / self.leg.sample_bytes(), 0);
        self.leg.decode_into(frame, &mut self.samples);
        self.resampled.clear();
        up.process(&self.samples, &mut self.resampled);
        self.bytes.clear();
        self.bytes.extend(
            self.resampled
                .iter()
                .flat_map(|sample| sample.to_le_bytes()),
        );
        &self.bytes
    }

    /// Audio of the agent as the call wants it.
    pub(crate) fn downward(&mut self, item: &ItemKey, audio: Vec<u8>) -> FromEngine {
        let other = self
            .down
            .as_ref()
            .and_then(|down| down.sounding.clone())
            .filter(|sounding| sounding != item);
        let before =
            other.and_then(|sounding| Some((Arc::clone(&sounding), self.finish(&sounding)?)));
        let Some(down) = &mut self.down else {
            return FromEngine { before, audio };
        };
        if down.sounding.is_none() {
            down.sounding = Some(Arc::clone(item));
        }
        self.samples.clear();
        let mut bytes = &audio[..];
        if let (Some(low), Some((high, rest))) = (down.odd, bytes.split_first()) {
            self.samples.push(i16::from_le_bytes([low, *high]));
            down.odd = None;
            bytes = rest;
        }
        let pairs = bytes.chunks_exact(2);
        if let [low] = pairs.remainder() {
            down.odd = Some(*low);
        }
        self.samples.extend(pairs.filter_map(|pair| {
            let pair: [u8; 2] = pair.try_into().ok()?;
            Some(i16::from_le_bytes(pair))
        }));
        self.resampled.clear();
        down.resampler.process(&self.samples, &mut self.resampled);
        FromEngine {
            before,
            audio: encoded(self.leg, &self.resampled),
        }
    }

    /// The rest of an item that the engine has ended; `None` when nothing of it is left here.
    pub(crate) fn finish(&mut self, item: &ItemKey) -> Option<Vec<u8>> {
        let down = self.down.as_mut()?;
        if down.sounding.as_ref() != Some(item) {
            return None;
        }
        self.resampled.clear();
        down.resampler.finish(&mut self.resampled);
        down.sounding = None;
        down.odd = None;
        Some(encoded(self.leg, &self.resampled)).filter(|rest| !rest.is_empty())
    }

    /// The rest of what was being said is not wanted.
    pub(crate) fn clear(&mut self) {
        if let Some(down) = &mut self.down {
            down.resampler.restart();
            down.sounding = None;
            down.odd = None;
        }
    }
}

fn encoded(form: Form, samples: &[i16]) -> Vec<u8> {
    let mut audio = Vec::with_capacity(samples.len() * form.sample_bytes());
    form.append(samples, &mut audio);
    audio
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::Law;

    const PCMU: Form = Form::G711(Law::Pcmu);

    fn pcm(ms: usize, rate_per_ms: usize) -> Vec<u8> {
        (0..ms * rate_per_ms)
            .flat_map(|n| (i16::try_from(n % 200).unwrap() * 40).to_le_bytes())
            .collect()
    }

    #[test]
    fn g711_passes_untouched() {
        let mut audio =
            Conversion::new(Form::G711(Law::Pcma), AudioFormat::Pcma, AudioFormat::Pcma);
        let frame = [0x55; 160];
        assert_eq!(audio.upward(&frame), frame);
        let item = Arc::from("i");
        assert_eq!(audio.downward(&item, vec![1, 2, 3]).audio, [1, 2, 3]);
        assert_eq!(audio.finish(&item), None);
    }

    #[test]
    fn a_wide_leg_keeps_what_is_above_4_khz() {
        let mut audio = Conversion::new(Form::Wide, AudioFormat::Pcm24k, AudioFormat::Pcm24k);
        let mut samples = vec![0; 16_000];
        media::tone::Sine::at(Rate::Hz16000, 6_000.0, 8_000.0).fill(&mut samples);
        let sound = encoded(Form::Wide, &samples);
        let up: Vec<u8> = sound
            .chunks(640)
            .flat_map(|frame| audio.upward(frame).to_vec())
            .collect();
        let item: ItemKey = Arc::from("i");
        let mut back = audio.downward(&item, up).audio;
        back.extend(audio.finish(&item).unwrap_or_default());
        assert_eq!(back.len(), sound.len());
        Form::Wide.decode_into(&back, &mut samples);
        let found = media::tone::goertzel_at(Rate::Hz16000, &samples[1_600..14_400], 6_000.0);
        assert!((found - 8_000.0).abs() < 400.0, "{found}");
    }

    #[test]
    fn a_frame_of_20_ms_is_20_ms_for_every_engine() {
        for (format, bytes) in [(AudioFormat::Pcm16k, 640), (AudioFormat::Pcm24k, 960)] {
            let mut audio = Conversion::new(PCMU, format, format);
            for _ in 0..3 {
                assert_eq!(audio.upward(&[0xff; 160]).len(), bytes);
            }
        }
    }

    #[test]
    fn an_item_is_as_long_here_as_at_the_engine_however_it_is_cut() {
        let mut audio = Conversion::new(PCMU, AudioFormat::Pcm16k, AudioFormat::Pcm24k);
        let sound = pcm(1_234, 24);
        for size in [1, 7, 961, 4_800, sound.len()] {
            let item: ItemKey = Arc::from(format!("item {size}"));
            let mut bytes = 0;
            for part in sound.chunks(size) {
                let converted = audio.downward(&item, part.to_vec());
                assert!(converted.before.is_none());
                bytes += converted.audio.len();
            }
            bytes += audio.finish(&item).map_or(0, |rest| rest.len());
            assert_eq!(bytes, 1_234 * 8, "cut into {size} bytes");
        }
    }

    #[test]
    fn an_item_that_was_not_ended_is_completed_by_the_next() {
        let mut audio = Conversion::new(PCMU, AudioFormat::Pcm24k, AudioFormat::Pcm24k);
        let (one, two): (ItemKey, ItemKey) = (Arc::from("one"), Arc::from("two"));
        let first = audio.downward(&one, pcm(100, 24)).audio.len();
        let (item, rest) = audio.downward(&two, pcm(20, 24)).before.unwrap();
        assert_eq!((item, first + rest.len()), (one, 800));
        audio.clear();
        assert_eq!(audio.finish(&two), None, "what was cleared has no rest");
    }
}
