//! What an agent says of its engine beside the words that every engine has: the newer settings, and how a compatible server
//! spells the protocol.

use agent::EngineChoice as Words;
use serde_json::Value;
use wire::Protocol;
use wire::realtime::{Dialect, MaxOutputTokens, Spelling, TranscriptionDelay, Truncation};

use super::{EngineAudio, EngineChoice, KeyPlacement, RealtimeConfig};

impl EngineChoice {
    /// Takes over what the agent says in `noiseReductionStrength`, `transcriptionOptions`, `maxOutputTokens`,
    /// `parallelToolCalls`, `truncation`, `temperature`, `dialect`, `sendRate`, `authHeader`, `keyParameter`, `format` and
    /// `appendMs`; what it does not say stays.
    pub(crate) fn take_options(&mut self, words: &Words) {
        spelling(&mut self.realtime, words);
        let number = |name: &str| words.extra.get(name).and_then(Value::as_f64).map(narrow);
        if let Some(reduction) = &mut self.noise_reduction {
            reduction.strength = number("noiseReductionStrength").or(reduction.strength);
        }
        transcription_options(self, words);
        let generation = &mut self.generation;
        if let Some(tokens) = words.max_output_tokens {
            generation.max_output_tokens = Some(MaxOutputTokens::Limit(tokens));
        }
        let parallel = words.extra.get("parallelToolCalls");
        generation.parallel_tool_calls = parallel
            .and_then(Value::as_bool)
            .or(generation.parallel_tool_calls);
        generation.truncation = truncation(words.extra.get("truncation")).or(generation.truncation);
        generation.temperature = number("temperature").or(generation.temperature);
    }
}

fn text<'a>(words: &'a Words, name: &str) -> Option<&'a str> {
    words
        .extra
        .get(name)?
        .as_str()
        .filter(|text| !text.is_empty())
}

/// How a compatible server differs: `dialect` (`ga`, `beta`, `xai`), `authHeader`, `keyParameter`, `format` (`leg`,
/// `linear`), `sendRate`, `appendMs`.
fn spelling(realtime: &mut RealtimeConfig, words: &Words) {
    if let Protocol::Realtime(spelling) = &mut realtime.protocol {
        match text(words, "dialect") {
            Some("beta") => *spelling = Spelling::BETA,
            Some("xai") => *spelling = Spelling::XAI,
            Some("ga") => *spelling = Spelling::from(Dialect::Ga),
            _ => {}
        }
        if let Some(send) = words.extra.get("sendRate").and_then(Value::as_bool) {
            spelling.g711_rate = send;
        }
    }
    if let Some(name) = text(words, "authHeader") {
        let bearer = name.eq_ignore_ascii_case("authorization");
        realtime.key_placement = KeyPlacement::Header {
            name: name.to_owned(),
            scheme: if bearer { "Bearer" } else { "" }.to_owned(),
        };
    } else if let Some(name) = text(words, "keyParameter") {
        realtime.key_placement = KeyPlacement::Query {
            name: name.to_owned(),
        };
    }
    if text(words, "format") == Some("linear") {
        realtime.audio = EngineAudio::Linear;
    }
    if let Some(ms) = words.extra.get("appendMs").and_then(Value::as_u64) {
        realtime.append_ms = u32::try_from(ms.clamp(20, 200)).unwrap_or(20);
    }
}

fn transcription_options(engine: &mut EngineChoice, words: &Words) {
    let Some((transcription, more)) = engine
        .transcription
        .as_mut()
        .zip(words.extra.get("transcriptionOptions"))
    else {
        return;
    };
    let list = |name: &str| -> Vec<String> {
        let list = more.get(name).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect()
    };
    transcription.keywords = list("keywords");
    transcription.languages = list("languages");
    if !transcription.languages.is_empty() {
        transcription.language = None;
    }
    transcription.delay = match more.get("delay").and_then(Value::as_str) {
        Some("minimal") => Some(TranscriptionDelay::Minimal),
        Some("low") => Some(TranscriptionDelay::Low),
        Some("medium") => Some(TranscriptionDelay::Medium),
        Some("high") => Some(TranscriptionDelay::High),
        Some("xhigh") => Some(TranscriptionDelay::XHigh),
        _ => None,
    };
}

/// `auto`, `disabled`, or `{"retentionRatio": 0.8, "postInstructions": 5000}`.
fn truncation(value: Option<&Value>) -> Option<Truncation> {
    match value? {
        Value::String(name) if name == "auto" => Some(Truncation::Auto),
        Value::String(name) if name == "disabled" => Some(Truncation::Disabled),
        Value::Object(fields) => Some(Truncation::Retention {
            ratio: narrow(fields.get("retentionRatio")?.as_f64()?),
            post_instructions: fields
                .get("postInstructions")
                .and_then(Value::as_u64)
                .and_then(|tokens| u32::try_from(tokens).ok()),
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "settings between 0 and 2; a wild one becomes infinite and is left out"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::realtime::{NoiseReduction, Transcription};

    #[test]
    fn every_option_arrives_and_the_rest_stays() {
        let words: Words = serde_json::from_value(serde_json::json!({
            "noiseReductionStrength": 0.5, "maxOutputTokens": 900, "parallelToolCalls": false, "temperature": 0.7,
            "truncation": {"retentionRatio": 0.75, "postInstructions": 4000},
            "transcriptionOptions": {"keywords": ["sole"], "delay": "low"},
            "dialect": "xai", "sendRate": false, "keyParameter": "token", "format": "linear", "appendMs": 9_000}))
        .expect("an engine's words");
        let mut choice = EngineChoice::new(RealtimeConfig::default());
        choice.noise_reduction = Some(NoiseReduction::FAR_FIELD);
        choice.transcription = Some(Transcription {
            language: Some("fr".to_owned()),
            ..Transcription::default()
        });
        choice.take_options(&words);
        assert_eq!(
            choice.realtime.protocol,
            Protocol::Realtime(Spelling {
                g711_rate: false,
                ..Spelling::XAI
            })
        );
        assert_eq!(choice.realtime.audio, EngineAudio::Linear);
        assert_eq!(choice.realtime.append_ms, 200);
        assert_eq!(
            choice.generation.truncation,
            Some(Truncation::Retention {
                ratio: 0.75,
                post_instructions: Some(4_000)
            })
        );
        let transcription = choice.transcription.clone().expect("kept");
        assert_eq!(transcription.keywords, ["sole"]);
        assert_eq!(transcription.language.as_deref(), Some("fr"));
        let before = format!("{:?}", choice.generation);
        choice.take_options(&Words::default());
        assert_eq!(format!("{:?}", choice.generation), before);
    }
}
