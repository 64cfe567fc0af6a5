//! Audio of this process as the far end.

use std::task::{Context, Poll};

use media::frame::FRAME_SAMPLES;
use media::tone::Sine;
use media::{Gain, ItemKey, Law, Reform, g711};
use serde_json::json;
use tokio::sync::mpsc;

use super::{FAR_FORM, item};
use crate::leg::audio::LegAudio;
use crate::switchboard::{LocalEnd, LocalFrame, LocalSource};

/// Audio kept ahead of what is played, ms.
const AHEAD_MS: u32 = 60;
/// Audio of a microphone that may wait; its clock is not ours, and what comes beyond is dropped.
const WAITING_MS_MAX: u32 = 200;
/// Peak of a tone.
const TONE_AMPLITUDE: f32 = 8_000.0;

enum Source {
    Silence,
    Tone(Sine),
    Echo,
    Samples {
        audio: Vec<i16>,
        at: usize,
        repeats: bool,
    },
    Frames(mpsc::Receiver<Box<LocalFrame>>),
}

/// See the module.
pub(super) struct LocalIo {
    source: Source,
    hears: Option<mpsc::Sender<Box<LocalFrame>>>,
    item: ItemKey,
    /// A frame that came and is not queued yet, µ-law.
    waiting: Option<[u8; FRAME_SAMPLES]>,
    /// On the way to the form of the leg.
    said: Option<Reform>,
    heard: u64,
    dropped: u64,
}

impl LocalIo {
    pub(super) fn new(end: LocalEnd) -> Self {
        let source = match end.says {
            LocalSource::Silence => Source::Silence,
            LocalSource::Tone(hertz) => Source::Tone(Sine::new(hertz, TONE_AMPLITUDE)),
            LocalSource::Echo => Source::Echo,
            LocalSource::Samples { audio, repeats } => Source::Samples {
                audio,
                at: 0,
                repeats,
            },
            LocalSource::Frames(frames) => Source::Frames(frames),
        };
        Self {
            source,
            hears: end.hears,
            item: item(0),
            waiting: None,
            said: None,
            heard: 0,
            dropped: 0,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Source::Frames(frames) = &mut self.source else {
            return Poll::Pending;
        };
        if self.waiting.is_some() {
            return Poll::Ready(());
        }
        match frames.poll_recv(cx) {
            Poll::Ready(Some(frame)) => {
                self.waiting = Some(encode(&frame));
                Poll::Ready(())
            }
            Poll::Ready(None) => {
                self.source = Source::Silence;
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }

    pub(super) fn hear(&mut self, audio: &[u8; FRAME_SAMPLES]) {
        self.heard += 1;
        if matches!(self.source, Source::Echo) {
            self.waiting = Some(*audio);
        }
        if let Some(hears) = &self.hears {
            let mut frame = Box::new([0; FRAME_SAMPLES]);
            g711::decode_into(Law::Pcmu, audio, frame.as_mut_slice());
            self.dropped += u64::from(hears.try_send(frame).is_err());
        }
    }

    pub(super) fn speak(&mut self, media: &mut LegAudio, gain: Option<&Gain>) {
        if let Some(frame) = self.waiting.take() {
            if media.queued_ms() < WAITING_MS_MAX {
                self.push(media, gain, frame);
            } else {
                self.dropped += 1;
            }
        }
        while media.queued_ms() < AHEAD_MS
            && let Some(frame) = self.next()
        {
            self.push(media, gain, frame);
        }
    }

    /// The next frame of a source that is always ready.
    fn next(&mut self) -> Option<[u8; FRAME_SAMPLES]> {
        let mut frame = [0; FRAME_SAMPLES];
        match &mut self.source {
            Source::Silence | Source::Echo | Source::Frames(_) => return None,
            Source::Tone(sine) => sine.fill(&mut frame),
            Source::Samples { audio, at, repeats } => {
                if *at >= audio.len() {
                    if !*repeats || audio.is_empty() {
                        return None;
                    }
                    *at = 0;
                }
                let rest = audio.get(*at..).unwrap_or_default();
                let count = rest.len().min(FRAME_SAMPLES);
                for (slot, sample) in frame.iter_mut().zip(rest) {
                    *slot = *sample;
                }
                *at += count;
            }
        }
        Some(encode(&frame))
    }

    fn push(&mut self, media: &mut LegAudio, gain: Option<&Gain>, mut frame: [u8; FRAME_SAMPLES]) {
        if let Some(gain) = gain {
            gain.apply(&mut frame);
        }
        let reform = Reform::between(&mut self.said, FAR_FORM, media.form());
        // Never full: it is kept a fraction of a second ahead.
        let _ = media.push(&self.item, reform.convert(&frame));
    }

    pub(super) fn figures(&self) -> serde_json::Value {
        json!({ "kind": "local", "heard_frames": self.heard, "dropped": self.dropped })
    }
}

fn encode(frame: &LocalFrame) -> [u8; FRAME_SAMPLES] {
    let mut coded = [0; FRAME_SAMPLES];
    g711::encode_into(Law::Pcmu, frame, &mut coded);
    coded
}
