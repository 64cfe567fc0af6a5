//! What callers of a test hear, and who hears them: the sound card by the system's own players, an echo, a tone, a file.

use catalog::Message;
use engine::switchboard::{
    LOCAL_FRAME_SAMPLES, LOCAL_FRAMES_MAX, LocalEnd, LocalFrame, LocalSource,
};
use media::resample::{Rate, Resampler};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

/// Tone where no pitch is given, hertz.
const TONE_HZ: f32 = 440.0;
/// Lowest and highest tone that a telephone carries, hertz.
const TONES_HZ: std::ops::RangeInclusive<f32> = 50.0..=3_400.0;
/// Longest file that is played, samples at its own rate: ten minutes at 48 kHz.
const FILE_SAMPLES_MAX: usize = 10 * 60 * 48_000;
/// Form of the samples for the players of ALSA.
const FORM: [&str; 9] = ["-q", "-t", "raw", "-f", "S16_LE", "-r", "8000", "-c", "1"];

/// What callers hear.
pub(super) enum Audio {
    /// Microphone and loudspeaker.
    Card,
    Echo,
    Tone(f32),
    Silence,
    /// Samples at 8 kHz, again and again.
    File(Vec<i16>, PathBuf),
    /// No card was found.
    EchoForCard,
}

impl Audio {
    /// # Errors
    /// What is expected instead.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let expected = || "auto, card, echo, tone, tone:440, silence, file:message.wav".to_owned();
        match text.split_once(':') {
            None => match text {
                "auto" if has_card() => Ok(Self::Card),
                "auto" => Ok(Self::EchoForCard),
                "card" => Ok(Self::Card),
                "echo" => Ok(Self::Echo),
                "tone" => Ok(Self::Tone(TONE_HZ)),
                "silence" => Ok(Self::Silence),
                _ => Err(expected()),
            },
            Some(("tone", hertz)) => {
                let hertz = hertz.parse().ok().filter(|hertz| TONES_HZ.contains(hertz));
                hertz
                    .map(Self::Tone)
                    .ok_or_else(|| "tone:50 … tone:3400".to_owned())
            }
            Some(("file", path)) => {
                let path = Path::new(path);
                let samples = samples(path)?;
                Ok(Self::File(samples, path.to_owned()))
            }
            Some(_) => Err(expected()),
        }
    }
}

/// A card that records and one that plays, and the programs that reach them.
fn has_card() -> bool {
    let cards = std::fs::read_to_string("/proc/asound/pcm").unwrap_or_default();
    let program = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
    };
    cards.contains("capture")
        && cards.contains("playback")
        && program("arecord")
        && program("aplay")
}

/// A WAV file as linear samples at 8 kHz.
fn samples(path: &Path) -> Result<Vec<i16>, String> {
    let of =
        |cause: &dyn std::fmt::Display| format!("WAV, 16 bit, mono ({}: {cause})", path.display());
    let mut reader = hound::WavReader::open(path).map_err(|error| of(&error))?;
    let spec = reader.spec();
    let rate = Rate::from_hz(spec.sample_rate).filter(|_| {
        spec.channels == 1
            && spec.bits_per_sample == 16
            && spec.sample_format == hound::SampleFormat::Int
    });
    let rate = rate.ok_or_else(|| {
        of(&format!(
            "{} Hz, {} × {} bit",
            spec.sample_rate, spec.channels, spec.bits_per_sample
        ))
    })?;
    let read: Result<Vec<i16>, _> = reader.samples::<i16>().take(FILE_SAMPLES_MAX).collect();
    let read = read.map_err(|error| of(&error))?;
    if rate == Rate::Hz8000 {
        return Ok(read);
    }
    let mut out = Vec::new();
    let mut resampler = Resampler::new(rate, Rate::Hz8000);
    resampler.process(&read, &mut out);
    resampler.finish(&mut out);
    Ok(out)
}

/// The sound of all calls of a test.
pub(super) struct Sounds {
    audio: Audio,
    record: Option<PathBuf>,
}

impl Sounds {
    pub(super) fn new(audio: Audio, record: Option<PathBuf>) -> Self {
        Self { audio, record }
    }

    /// What callers will hear.
    pub(super) fn message(&self) -> Message {
        match &self.audio {
            Audio::Card => Message::new("incoming_audio_card"),
            Audio::Echo => Message::new("incoming_audio_echo"),
            Audio::EchoForCard => Message::new("incoming_audio_no_card"),
            Audio::Tone(hertz) => {
                Message::new("incoming_audio_tone").with("hertz", format!("{hertz:.0}"))
            }
            Audio::Silence => Message::new("incoming_audio_silence"),
            Audio::File(_, path) => {
                Message::new("incoming_audio_file").with("path", path.display().to_string())
            }
        }
    }

    /// The far end of one call.
    pub(super) fn end(&self, call: &str) -> LocalEnd {
        let mut listeners = Vec::new();
        let says = match &self.audio {
            Audio::Card => card(&mut listeners),
            Audio::Echo | Audio::EchoForCard => LocalSource::Echo,
            Audio::Tone(hertz) => LocalSource::Tone(*hertz),
            Audio::Silence => LocalSource::Silence,
            Audio::File(audio, _) => LocalSource::Samples {
                audio: audio.clone(),
                repeats: true,
            },
        };
        if let Some(folder) = &self.record {
            listeners.push(recording(folder, call));
        }
        LocalEnd {
            says,
            hears: distributed(listeners),
        }
    }
}

type Frames = mpsc::Sender<Box<LocalFrame>>;

/// One place to hear for several listeners. A listener that is slow loses frames.
fn distributed(mut listeners: Vec<Frames>) -> Option<Frames> {
    if listeners.len() < 2 {
        return listeners.pop();
    }
    let (frames, mut heard) = mpsc::channel::<Box<LocalFrame>>(LOCAL_FRAMES_MAX);
    tokio::spawn(async move {
        while let Some(frame) = heard.recv().await {
            for listener in &listeners {
                let _ = listener.try_send(frame.clone());
            }
        }
    });
    Some(frames)
}

/// Microphone and loudspeaker. Where one of them cannot be had, that side is silent.
fn card(listeners: &mut Vec<Frames>) -> LocalSource {
    let play = Command::new("aplay")
        .args(FORM)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    if let Ok(mut child) = play
        && let Some(input) = child.stdin.take()
    {
        let (frames, heard) = mpsc::channel(LOCAL_FRAMES_MAX);
        tokio::spawn(loudspeaker(child, input, heard));
        listeners.push(frames);
    }
    let record = Command::new("arecord")
        .args(FORM)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    if let Ok(mut child) = record
        && let Some(output) = child.stdout.take()
    {
        let (frames, spoken) = mpsc::channel(LOCAL_FRAMES_MAX);
        tokio::spawn(microphone(child, output, frames));
        return LocalSource::Frames(spoken);
    }
    LocalSource::Silence
}

/// Ends with the call, whose channel closes, or with the program.
async fn loudspeaker(
    child: Child,
    mut input: ChildStdin,
    mut heard: mpsc::Receiver<Box<LocalFrame>>,
) {
    while let Some(frame) = heard.recv().await {
        let bytes: Vec<u8> = frame
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        if input.write_all(&bytes).await.is_err() {
            break;
        }
    }
    drop(child);
}

async fn microphone(child: Child, mut output: ChildStdout, frames: Frames) {
    let mut bytes = [0; 2 * LOCAL_FRAME_SAMPLES];
    while output.read_exact(&mut bytes).await.is_ok() {
        let mut frame = Box::new([0_i16; LOCAL_FRAME_SAMPLES]);
        for (sample, pair) in frame.iter_mut().zip(bytes.chunks_exact(2)) {
            *sample = i16::from_le_bytes([pair[0], pair[1]]);
        }
        if frames.send(frame).await.is_err() {
            break;
        }
    }
    drop(child);
}

/// Writes what is heard to a file of its own; the file is whole once the call is over.
fn recording(folder: &Path, call: &str) -> Frames {
    let (frames, mut heard) = mpsc::channel::<Box<LocalFrame>>(LOCAL_FRAMES_MAX);
    let (folder, path) = (folder.to_owned(), folder.join(format!("{call}.wav")));
    tokio::task::spawn_blocking(move || {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let opened = std::fs::create_dir_all(folder)
            .map_err(hound::Error::from)
            .and_then(|()| hound::WavWriter::create(&path, spec));
        let Ok(mut writer) = opened else {
            return;
        };
        while let Some(frame) = heard.blocking_recv() {
            for sample in frame.iter() {
                if writer.write_sample(*sample).is_err() {
                    return;
                }
            }
        }
        let _ = writer.finalize();
    });
    frames
}
