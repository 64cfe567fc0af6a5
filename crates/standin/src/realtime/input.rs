//! The input audio buffer and the detection of speech in it.

use crate::law;
use crate::resample::resample;

use super::settings::{Format, TurnDetection};

/// Audio in a frame of the detector.
const FRAME_MS: u64 = 20;
/// Loud frames in a row that begin speech.
const ONSET_FRAMES: u64 = 2;
/// Audio that is kept while nobody speaks, for the padding before speech.
const IDLE_KEPT_MS: u64 = 3_000;
/// Most audio in the buffer (5 minutes); the oldest is dropped.
pub(super) const INPUT_MS_MAX: u64 = 300_000;

/// What the detector found. Times are of the audio since the session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detected {
    /// Speech began; `start_ms` is earlier by the padding, `loud_ms` is its first loud frame.
    Started { start_ms: u64, loud_ms: u64 },
    /// Speech ended.
    Stopped { start_ms: u64, end_ms: u64 },
}

#[derive(Debug, Default)]
struct Speech {
    /// Where the item begins, when somebody speaks.
    start_ms: Option<u64>,
    loud_frames: u64,
    quiet_ms: u64,
}

/// The input audio buffer.
#[derive(Debug)]
pub(super) struct Input {
    format: Format,
    samples: Vec<i16>,
    /// The time of the first sample.
    base_ms: u64,
    /// The first sample that the detector has not seen.
    seen: usize,
    speech: Speech,
}

impl Input {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            samples: Vec::new(),
            base_ms: 0,
            seen: 0,
            speech: Speech::default(),
        }
    }

    /// Another format begins with an empty buffer at the same time.
    pub(super) fn set_format(&mut self, format: Format) {
        if self.format != format {
            self.clear();
            self.format = format;
        }
    }

    /// The time of the end of the buffer.
    pub(super) fn now_ms(&self) -> u64 {
        self.base_ms + self.ms(self.samples.len())
    }

    /// Audio in the buffer.
    pub(super) fn buffered_ms(&self) -> u64 {
        self.ms(self.samples.len())
    }

    fn ms(&self, samples: usize) -> u64 {
        (samples / self.format.samples_per_ms()) as u64
    }

    fn index(&self, ms: u64) -> usize {
        let ms = usize::try_from(ms.saturating_sub(self.base_ms)).unwrap_or(usize::MAX);
        (ms.saturating_mul(self.format.samples_per_ms())).min(self.samples.len())
    }

    /// Adds audio and gives the samples that were added.
    pub(super) fn append(&mut self, bytes: &[u8]) -> &[i16] {
        let before = self.samples.len();
        decode(bytes, self.format, &mut self.samples);
        let limit =
            usize::try_from(INPUT_MS_MAX).expect("a small number") * self.format.samples_per_ms();
        let added = self.samples.len() - before;
        if self.samples.len() > limit {
            self.drop_first(self.samples.len() - limit);
        }
        let from = self.samples.len() - added.min(self.samples.len());
        &self.samples[from..]
    }

    /// Drops whole milliseconds from the beginning.
    fn drop_first(&mut self, samples: usize) {
        let per_ms = self.format.samples_per_ms();
        let samples = samples / per_ms * per_ms;
        self.base_ms += self.ms(samples);
        self.samples.drain(..samples);
        self.seen = self.seen.saturating_sub(samples);
    }

    /// Empties the buffer; time goes on.
    pub(super) fn clear(&mut self) {
        self.base_ms = self.now_ms();
        self.samples.clear();
        self.seen = 0;
        self.speech = Speech::default();
    }

    /// Whether somebody is speaking.
    pub(super) fn speaking(&self) -> bool {
        self.speech.start_ms.is_some()
    }

    /// Looks at the audio that was added since; ask again until there is nothing more.
    pub(super) fn detect(&mut self, vad: &TurnDetection) -> Option<Detected> {
        let per_frame = self.format.samples_per_ms() * usize::try_from(FRAME_MS).expect("20");
        while self.seen + per_frame <= self.samples.len() {
            let frame = &self.samples[self.seen..self.seen + per_frame];
            let level = level_db(frame);
            self.seen += per_frame;
            let now_ms = self.base_ms + self.ms(self.seen);
            if let Some(found) = self.step(level, now_ms, vad) {
                return Some(found);
            }
        }
        if !self.speaking() {
            let kept = usize::try_from(IDLE_KEPT_MS).expect("a small number")
                * self.format.samples_per_ms();
            // In steps, so that the buffer is not moved with every frame.
            if self.samples.len() > 2 * kept {
                self.drop_first(self.samples.len() - kept);
            }
        }
        None
    }

    fn step(&mut self, level_db: f64, now_ms: u64, vad: &TurnDetection) -> Option<Detected> {
        // 0.5 is -40 dBFS; within speech 4 dB less keep it going.
        let threshold = -50.0 + 20.0 * vad.threshold;
        let speech = &mut self.speech;
        match speech.start_ms {
            None => {
                speech.loud_frames = if level_db > threshold {
                    speech.loud_frames + 1
                } else {
                    0
                };
                if speech.loud_frames < ONSET_FRAMES {
                    return None;
                }
                let loud_ms = now_ms - ONSET_FRAMES * FRAME_MS;
                let start_ms = loud_ms
                    .saturating_sub(vad.prefix_padding_ms)
                    .max(self.base_ms);
                *speech = Speech {
                    start_ms: Some(start_ms),
                    ..Speech::default()
                };
                Some(Detected::Started { start_ms, loud_ms })
            }
            Some(start_ms) => {
                if level_db > threshold - 4.0 {
                    speech.quiet_ms = 0;
                } else {
                    speech.quiet_ms += FRAME_MS;
                }
                if speech.quiet_ms < vad.silence_duration_ms.max(FRAME_MS) {
                    return None;
                }
                *speech = Speech::default();
                Some(Detected::Stopped {
                    start_ms,
                    end_ms: now_ms,
                })
            }
        }
    }

    /// The audio between two times at 8 kHz, as the recogniser takes it.
    pub(super) fn between(&self, start_ms: u64, end_ms: u64) -> Vec<i16> {
        let part = &self.samples[self.index(start_ms)..self.index(end_ms)];
        match self.format {
            Format::Pcmu | Format::Pcma => part.to_vec(),
            Format::Pcm16k => resample(part, 16_000, 8_000),
            Format::Pcm24k => resample(part, 24_000, 8_000),
        }
    }

    /// The whole buffer at 8 kHz.
    pub(super) fn all(&self) -> Vec<i16> {
        self.between(self.base_ms, self.now_ms())
    }

    /// Takes away what lies before a time.
    pub(super) fn consume(&mut self, end_ms: u64) {
        let index = self.index(end_ms);
        self.drop_first(index);
    }
}

/// Decodes audio of the service's formats.
pub(super) fn decode(bytes: &[u8], format: Format, out: &mut Vec<i16>) {
    match format {
        Format::Pcmu => out.extend(bytes.iter().map(|byte| law::ulaw_decode(*byte))),
        Format::Pcma => out.extend(bytes.iter().map(|byte| law::alaw_decode(*byte))),
        Format::Pcm16k | Format::Pcm24k => out.extend(
            bytes
                .chunks_exact(2)
                .map(|pair| i16::from_le_bytes([pair[0], pair[1]])),
        ),
    }
}

/// Level of a frame in dBFS.
fn level_db(frame: &[i16]) -> f64 {
    let sum: i64 = frame.iter().map(|s| i64::from(*s) * i64::from(*s)).sum();
    #[expect(clippy::cast_precision_loss, reason = "a frame is short")]
    let power = sum as f64 / frame.len() as f64 / 32_768.0_f64.powi(2);
    10.0 * power.max(1e-12).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vad() -> TurnDetection {
        TurnDetection {
            threshold: 0.5,
            prefix_padding_ms: 300,
            silence_duration_ms: 400,
            idle_timeout_ms: None,
            create_response: true,
            interrupt_response: true,
        }
    }

    fn feed(input: &mut Input, loud: bool, ms: usize) -> Vec<Detected> {
        let byte = if loud {
            law::ulaw_encode(6_000)
        } else {
            law::ulaw_encode(0)
        };
        let mut found = Vec::new();
        for _ in 0..ms / 20 {
            input.append(&[byte; 160]);
            while let Some(detected) = input.detect(&vad()) {
                found.push(detected);
            }
        }
        found
    }

    #[test]
    fn speech_begins_with_its_padding_and_ends_after_the_silence() {
        let mut input = Input::new(Format::Pcmu);
        assert_eq!(feed(&mut input, false, 1_000), []);
        assert_eq!(
            feed(&mut input, true, 500),
            [Detected::Started {
                start_ms: 700,
                loud_ms: 1_000
            }]
        );
        assert_eq!(feed(&mut input, false, 380), []);
        assert_eq!(feed(&mut input, true, 100), []);
        assert_eq!(
            feed(&mut input, false, 400),
            [Detected::Stopped {
                start_ms: 700,
                end_ms: 2_380
            }]
        );
        assert_eq!(input.between(700, 2_380).len(), 1_680 * 8);
    }

    #[test]
    fn one_loud_frame_is_no_speech() {
        let mut input = Input::new(Format::Pcmu);
        assert_eq!(feed(&mut input, true, 20), []);
        assert_eq!(feed(&mut input, false, 200), []);
        assert!(!input.speaking());
    }

    #[test]
    fn an_idle_buffer_stays_small_and_keeps_time() {
        let mut input = Input::new(Format::Pcmu);
        feed(&mut input, false, 60_000);
        assert_eq!(input.now_ms(), 60_000);
        assert!(input.buffered_ms() <= 2 * IDLE_KEPT_MS);
    }
}
