//! Speech: espeak-ng run as a child process, with a time limit and a cache.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::law;
use crate::resample::resample;
use crate::scenario::Voice;

/// Longest time that espeak-ng may take for one text.
pub const SPEECH_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest text that is spoken, in bytes.
pub const SPEECH_TEXT_BYTES_MAX: usize = 4_000;
/// Most sounds kept in memory; when it is full, further ones are made again each time.
pub const SPEECH_CACHE_ENTRIES_MAX: usize = 500;

/// Level of speech over its loud parts, as a share of full scale (about -20 dBFS).
const SPEECH_LEVEL: f64 = 0.1;
/// Highest sample after levelling.
const SPEECH_PEAK: f64 = 0.89;

/// Why a text could not be spoken.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    /// There is no espeak-ng.
    #[error("espeak-ng is not installed (on Debian: apt-get install espeak-ng)")]
    NotInstalled,
    /// It could not be run.
    #[error("espeak-ng cannot be run")]
    Run(#[source] std::io::Error),
    /// It took longer than [`SPEECH_TIMEOUT`].
    #[error("espeak-ng took too long")]
    TimedOut,
    /// It ended with an error.
    #[error("espeak-ng refused the voice or the text: {message}")]
    Refused {
        /// What it said.
        message: String,
    },
    /// Its output is no WAV of 16-bit mono samples.
    #[error("espeak-ng gave no sound")]
    NoSound,
    /// The text is longer than [`SPEECH_TEXT_BYTES_MAX`].
    #[error("the text is too long to be spoken")]
    TooLong,
}

/// A sound at one rate, convertible to the rates of the telephone and of the service.
#[derive(Debug)]
pub struct Rendered {
    samples: Vec<i16>,
    rate: u32,
    at_8k: OnceLock<Vec<i16>>,
    at_24k: OnceLock<Vec<i16>>,
    encoded: [OnceLock<Vec<u8>>; 3],
}

/// How audio travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// G.711 µ-law at 8 kHz.
    Ulaw,
    /// G.711 A-law at 8 kHz.
    Alaw,
    /// 16 bits, little endian, at 24 kHz.
    Pcm24k,
}

impl Rendered {
    /// A sound from samples.
    pub fn new(samples: Vec<i16>, rate: u32) -> Self {
        Self {
            samples,
            rate,
            at_8k: OnceLock::new(),
            at_24k: OnceLock::new(),
            encoded: Default::default(),
        }
    }

    /// A sine tone at about -12 dBFS, with short ramps.
    pub fn tone(hz: u32, ms: u32) -> Self {
        let rate = 24_000_u32;
        let count = u64::from(ms) * u64::from(rate) / 1_000;
        let ramp = 120.0;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a sound has far fewer than 2^52 samples"
        )]
        let samples = (0..count)
            .map(|n| {
                let t = n as f64;
                let edge = (t / ramp).min((count - n) as f64 / ramp).min(1.0);
                let phase = t * f64::from(hz) / f64::from(rate) * std::f64::consts::TAU;
                to_i16(phase.sin() * 0.25 * edge * 32_767.0)
            })
            .collect();
        Self::new(samples, rate)
    }

    /// Mono samples at 8 kHz.
    pub fn at_8k(&self) -> &[i16] {
        self.at_8k
            .get_or_init(|| resample(&self.samples, self.rate, 8_000))
    }

    /// Mono samples at 24 kHz.
    pub fn at_24k(&self) -> &[i16] {
        self.at_24k
            .get_or_init(|| resample(&self.samples, self.rate, 24_000))
    }

    /// The sound in whole frames of 20 ms, encoded once and shared.
    pub fn encoded(&self, encoding: Encoding) -> &[u8] {
        let padded = |samples: &[i16], frame: usize| {
            let mut samples = samples.to_vec();
            samples.resize(samples.len().next_multiple_of(frame), 0);
            samples
        };
        match encoding {
            Encoding::Ulaw => self.encoded[0].get_or_init(|| {
                let samples = padded(self.at_8k(), 160);
                samples.into_iter().map(law::ulaw_encode).collect()
            }),
            Encoding::Alaw => self.encoded[1].get_or_init(|| {
                let samples = padded(self.at_8k(), 160);
                samples.into_iter().map(law::alaw_encode).collect()
            }),
            Encoding::Pcm24k => self.encoded[2].get_or_init(|| {
                let samples = padded(self.at_24k(), 480);
                samples.into_iter().flat_map(i16::to_le_bytes).collect()
            }),
        }
    }

    /// Duration.
    pub fn duration_ms(&self) -> u64 {
        self.samples.len() as u64 * 1_000 / u64::from(self.rate)
    }
}

/// The synthesiser with its cache; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Speech {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    cache_dir: Option<PathBuf>,
    program: Option<PathBuf>,
    sounds: Mutex<BTreeMap<String, Arc<Rendered>>>,
}

impl Speech {
    /// A synthesiser that also keeps its sounds in a directory, when one is given.
    pub fn new(cache_dir: Option<PathBuf>) -> Self {
        Self::with_program(cache_dir, None)
    }

    /// As [`Speech::new`], with another program than the `espeak-ng` on the path.
    pub fn with_program(cache_dir: Option<PathBuf>, program: Option<PathBuf>) -> Self {
        Self {
            inner: Arc::new(Inner {
                cache_dir,
                program,
                sounds: Mutex::default(),
            }),
        }
    }

    /// Speaks a text, or gives the sound of before.
    pub async fn render(&self, voice: &Voice, text: &str) -> Result<Arc<Rendered>, SpeechError> {
        if text.len() > SPEECH_TEXT_BYTES_MAX {
            return Err(SpeechError::TooLong);
        }
        let key = format!(
            "{}|{}|{}|{text}",
            voice.name, voice.words_per_minute, voice.pitch
        );
        if let Some(sound) = self.sounds().get(&key) {
            return Ok(Arc::clone(sound));
        }
        let wav = self.wav(&key, voice, text).await?;
        let (samples, rate) = read_wav(&wav).ok_or(SpeechError::NoSound)?;
        let sound = Arc::new(Rendered::new(levelled(&samples), rate));
        let mut sounds = self.sounds();
        if sounds.len() < SPEECH_CACHE_ENTRIES_MAX {
            sounds.insert(key, Arc::clone(&sound));
        }
        Ok(sound)
    }

    fn sounds(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Rendered>>> {
        self.inner
            .sounds
            .lock()
            .expect("nothing panics while it holds the cache")
    }

    async fn wav(&self, key: &str, voice: &Voice, text: &str) -> Result<Vec<u8>, SpeechError> {
        let path = self
            .inner
            .cache_dir
            .as_ref()
            .map(|dir| dir.join(format!("{:016x}.wav", fingerprint(key))));
        if let Some(path) = &path
            && let Ok(wav) = tokio::fs::read(path).await
            && read_wav(&wav).is_some()
        {
            return Ok(wav);
        }
        let wav = self.run(voice, text).await?;
        if let Some(path) = &path {
            // The cache only saves time: a directory that cannot be written is no failure.
            if let Err(error) = tokio::fs::write(path, &wav).await {
                tracing::debug!(%error, "the sound is not kept on disk");
            }
        }
        Ok(wav)
    }

    async fn run(&self, voice: &Voice, text: &str) -> Result<Vec<u8>, SpeechError> {
        let program = self.inner.program.clone();
        let mut child = Command::new(program.unwrap_or_else(|| PathBuf::from("espeak-ng")))
            .arg("-v")
            .arg(&voice.name)
            .args(["-s", &voice.words_per_minute.to_string()])
            .args(["-p", &voice.pitch.to_string()])
            .args(["-b", "1", "--stdin", "--stdout"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                if error.kind() == std::io::ErrorKind::NotFound {
                    SpeechError::NotInstalled
                } else {
                    SpeechError::Run(error)
                }
            })?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that refuses the voice closes its input first; its exit status tells.
            let _ = stdin.write_all(text.as_bytes()).await;
        }
        let output = tokio::time::timeout(SPEECH_TIMEOUT, child.wait_with_output())
            .await
            .map_err(|_| SpeechError::TimedOut)?
            .map_err(SpeechError::Run)?;
        if !output.status.success() {
            return Err(SpeechError::Refused {
                message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        Ok(output.stdout)
    }
}

/// FNV-1a: a stable name for a file, no secret.
fn fingerprint(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The samples and the rate of a 16-bit mono WAV. espeak-ng writes no true lengths into a stream, so data runs to the end.
fn read_wav(wav: &[u8]) -> Option<(Vec<i16>, u32)> {
    if wav.get(..4)? != b"RIFF" || wav.get(8..12)? != b"WAVE" {
        return None;
    }
    let rate = u32::from_le_bytes(wav.get(24..28)?.try_into().ok()?);
    let mono_16 = wav.get(22..24)? == [1, 0] && wav.get(34..36)? == [16, 0];
    let data = wav.windows(4).take(256).position(|name| name == b"data")?;
    let samples: Vec<i16> = wav
        .get(data + 8..)?
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    (mono_16 && (8_000..=48_000).contains(&rate) && !samples.is_empty()).then_some((samples, rate))
}

/// Brings speech to [`SPEECH_LEVEL`], measured where it is loud, without passing [`SPEECH_PEAK`].
fn levelled(samples: &[i16]) -> Vec<i16> {
    let power = |frame: &[i16]| {
        let sum: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a frame has 441 samples")]
        let count = frame.len() as f64;
        sum / count / 32_768.0_f64.powi(2)
    };
    let powers: Vec<f64> = samples.chunks(441).map(power).collect();
    let loudest = powers.iter().copied().fold(0.0, f64::max);
    let (sum, count) = powers
        .iter()
        .filter(|p| **p > loudest * 0.01)
        .fold((0.0, 0.0), |(sum, count), p| (sum + p, count + 1.0));
    let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
    if count == 0.0 || peak == 0 {
        return samples.to_vec();
    }
    let level: f64 = sum / count;
    let gain = (SPEECH_LEVEL / level.sqrt()).min(SPEECH_PEAK * 32_768.0 / f64::from(peak));
    samples
        .iter()
        .map(|s| to_i16(f64::from(*s) * gain))
        .collect()
}

/// Rounds to the nearest sample, clipping.
pub(crate) fn to_i16(value: f64) -> i16 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "clamped to the range of a sample"
    )]
    let sample = value.round().clamp(-32_768.0, 32_767.0) as i16;
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(name: &str) -> Voice {
        Voice {
            name: name.into(),
            words_per_minute: 155,
            pitch: 50,
        }
    }

    #[tokio::test]
    async fn a_missing_program_names_the_package() {
        let speech = Speech::with_program(None, Some("/nonexistent/espeak-ng".into()));
        let error = speech.render(&voice("fr-fr"), "Bonjour").await.unwrap_err();
        assert!(matches!(error, SpeechError::NotInstalled));
        assert!(error.to_string().contains("apt-get install espeak-ng"));
    }

    #[tokio::test]
    async fn speech_has_a_duration_a_level_and_is_made_once() {
        let speech = Speech::new(None);
        let one = speech
            .render(&voice("fr-fr"), "Bonjour, bienvenue au restaurant.")
            .await
            .unwrap();
        let two = speech
            .render(&voice("fr-fr"), "Bonjour, bienvenue au restaurant.")
            .await
            .unwrap();
        assert!(Arc::ptr_eq(&one, &two));
        assert!((1_000..4_000).contains(&one.duration_ms()));
        let seconds = one.at_8k().len() / 8_000;
        assert_eq!(seconds, one.at_24k().len() / 24_000);
        let peak = one.at_8k().iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!(peak > 8_000, "{peak}");
    }

    #[tokio::test]
    async fn a_voice_that_does_not_exist_is_refused() {
        let speech = Speech::new(None);
        let error = speech.render(&voice("xx-none"), "x").await.unwrap_err();
        assert!(matches!(error, SpeechError::Refused { .. }), "{error:?}");
    }

    #[test]
    fn nonsense_is_no_wav() {
        assert!(read_wav(b"RIFF").is_none());
        assert!(read_wav(&[0; 100]).is_none());
    }
}
