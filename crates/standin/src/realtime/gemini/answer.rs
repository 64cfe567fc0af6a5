//! What the model says in a turn, step by step: sound and words, then tool calls, then the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::realtime::brain::Reply;
use crate::realtime::settings::Format;
use crate::scenario::{FaultAction, FaultPoint, Timing};
use crate::speech::{Encoding, Rendered};

use super::Session;

/// A tool call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Value,
}

/// The next thing to send.
#[derive(Debug)]
pub(super) enum Step {
    /// A piece of sound in base64, with the words that go with it.
    Audio {
        data: String,
        ms: u64,
        words: String,
    },
    /// Written words.
    Text(String),
    /// All of this was said.
    Said(String),
    /// The model calls tools and waits.
    Calls(Vec<Call>),
    /// Everything is generated; the client still plays.
    Generated,
    /// The client has played everything, as far as the service can tell.
    Complete,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Speaking,
    Said,
    Calling,
    /// It waits for results: no step is due.
    Waiting,
    Generated,
    Playing,
    Over,
}

/// A turn of the model.
#[derive(Debug)]
pub(super) struct Answer {
    text: Option<String>,
    sound: Option<Arc<Rendered>>,
    spoken: bool,
    calls: Vec<Call>,
    stage: Stage,
    next_at: Instant,
    first_audio_at: Option<Instant>,
    sent: usize,
    told: usize,
}

impl Answer {
    /// The text whose sound is missing.
    pub(super) fn missing_sound(&self) -> Option<&str> {
        let missing = self.spoken && self.stage == Stage::Speaking && self.sound.is_none();
        missing.then_some(self.text.as_deref()).flatten()
    }

    pub(super) fn give_sound(&mut self, now: Instant, sound: Arc<Rendered>) {
        self.sound = Some(sound);
        self.next_at = self.next_at.max(now);
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        let due =
            self.missing_sound().is_none() && !matches!(self.stage, Stage::Waiting | Stage::Over);
        due.then_some(self.next_at)
    }

    /// Audio sent so far.
    pub(super) fn audio_ms(&self) -> u64 {
        (self.sent / Format::Pcm24k.bytes_per_ms()) as u64
    }

    /// What had been said when it was cut, when that was not told yet.
    pub(super) fn cut(&mut self) -> Option<String> {
        let partial = self.stage == Stage::Speaking && self.told > 0;
        self.stage = Stage::Over;
        let text = self.text.as_deref().filter(|_| partial)?;
        Some(text[..self.told].to_owned())
    }

    /// The next step that is due.
    pub(super) fn step(&mut self, now: Instant, timing: &Timing) -> Option<Step> {
        if self.next_at().is_none_or(|due| due > now) {
            return None;
        }
        match self.stage {
            Stage::Speaking => Some(self.speak(now, timing)),
            Stage::Said => {
                self.stage = Stage::Calling;
                Some(Step::Said(self.text.clone().unwrap_or_default()))
            }
            Stage::Calling if self.calls.is_empty() => {
                self.stage = Stage::Generated;
                self.step(now, timing)
            }
            Stage::Calling => {
                self.stage = Stage::Waiting;
                Some(Step::Calls(std::mem::take(&mut self.calls)))
            }
            Stage::Generated => {
                self.stage = Stage::Playing;
                if let Some(first) = self.first_audio_at {
                    self.next_at = first + Duration::from_millis(self.audio_ms());
                }
                Some(Step::Generated)
            }
            Stage::Playing => {
                self.stage = Stage::Over;
                Some(Step::Complete)
            }
            Stage::Waiting | Stage::Over => None,
        }
    }

    fn speak(&mut self, now: Instant, timing: &Timing) -> Step {
        let text = self.text.clone().unwrap_or_default();
        let Some(sound) = self.sound.clone().filter(|_| self.spoken) else {
            self.stage = Stage::Said;
            return Step::Text(text);
        };
        let bytes = sound.encoded(Encoding::Pcm24k);
        let per_ms = Format::Pcm24k.bytes_per_ms();
        let length = usize::try_from(timing.delta_ms).expect("at most 1000") * per_ms;
        let end = (self.sent + length).min(bytes.len());
        let data = base64_simd::STANDARD.encode_to_string(&bytes[self.sent..end]);
        let ms = ((end - self.sent) / per_ms) as u64;
        let told = words_until(&text, end, bytes.len());
        let words = text[self.told..told].to_owned();
        self.sent = end;
        self.told = told;
        self.first_audio_at.get_or_insert(now);
        if end == bytes.len() {
            self.stage = Stage::Said;
        } else if timing.speed > 0.0 {
            self.next_at +=
                Duration::from_secs_f64(f64::from(timing.delta_ms) / 1_000.0 / timing.speed);
        }
        Step::Audio { data, ms, words }
    }
}

/// How much of the text goes with so much of the sound: whole words.
fn words_until(text: &str, sent: usize, all: usize) -> usize {
    if sent >= all {
        return text.len();
    }
    let target = text.len() * sent / all.max(1);
    text.char_indices()
        .filter(|(at, c)| *at >= target && *c == ' ')
        .map(|(at, _)| at + 1)
        .next()
        .unwrap_or(text.len())
}

impl Session {
    /// Begins to say a reply; one that waits for results goes on in the same turn.
    pub(super) fn begin(&mut self, now: Instant, reply: &Reply) {
        let Some(settings) = &self.settings else {
            return;
        };
        let spoken = !settings.text_only;
        let offered = |name: &String| settings.tools.contains(name);
        let wanted: Vec<_> = reply
            .call
            .iter()
            .filter(|tool| offered(&tool.name))
            .cloned()
            .collect();
        let mut calls = Vec::new();
        for tool in wanted {
            let id = self.out.ids.next("function-call");
            self.brain.called(&id, reply.then.clone());
            calls.push(Call {
                id,
                name: tool.name,
                arguments: serde_json::to_value(&tool.arguments).unwrap_or_default(),
            });
        }
        let silent = reply.say.is_none() && calls.is_empty();
        let agent = &self.prepared.scenario.agent;
        let line = reply.say.as_ref().or(silent.then_some(&agent.tool_done));
        let text = line.map(|line| line.text().to_owned());
        let sound = text
            .as_deref()
            .and_then(|text| self.prepared.line(text))
            .cloned();
        let mut next_at = now + Duration::from_millis(self.timing.first_byte_ms);
        for armed in self.faults.at(FaultPoint::Response) {
            let wait = Duration::from_millis(armed.ms);
            if armed.action == FaultAction::Delay {
                next_at += wait;
            } else {
                self.fault = Some((now + wait, armed));
            }
        }
        self.answer = Some(Answer {
            stage: if text.is_some() {
                Stage::Speaking
            } else {
                Stage::Calling
            },
            text,
            sound,
            spoken,
            calls,
            next_at,
            first_audio_at: None,
            sent: 0,
            told: 0,
        });
    }
}
