//! An agent's own words for its engine, made into what a call needs.

use agent::EngineChoice as Words;
use serde_json::Value;
use wire::realtime::{
    Dialect, Eagerness, Generation, MaxOutputTokens, NoiseField, NoiseReduction, ReasoningEffort,
    ServerVad, Spelling, Transcription, TranscriptionDelay, Truncation, TurnDetection,
};
use wire::{Protocol, Provider};

use super::{EngineAudio, EngineChoice, KeyPlacement, RealtimeConfig};
use crate::config::Secret;

/// The transcriber of the caller where none is named.
const TRANSCRIBER_DEFAULT: &str = "gpt-transcribe";

/// Why an agent's engine cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// The provider is none of the known.
    #[error("unknown engine provider {0}")]
    Provider(String),
    /// The provider needs an address or a model, and has none.
    #[error("the engine provider {0} needs an address and a model")]
    Incomplete(String),
}

impl EngineChoice {
    /// The engine that an agent names. `key` gives the account's key for a provider (by its name); `language` is the
    /// caller's, for the transcriber.
    ///
    /// # Errors
    /// The provider is unknown, or lacks its address or model.
    pub fn of_agent(
        words: &Words,
        language: Option<&str>,
        key: &dyn Fn(&str) -> Secret,
    ) -> Result<Self, ChoiceError> {
        let name = match words.provider.as_deref() {
            None | Some("") => "openai",
            Some("compatible") => "custom",
            Some(name) => name,
        };
        let provider =
            Provider::from_name(name).ok_or_else(|| ChoiceError::Provider(name.to_owned()))?;
        let url = words.url.as_deref().unwrap_or_default();
        let model = words.model.as_deref().unwrap_or_default();
        let mut realtime = RealtimeConfig::preset(provider, url, model, key(name))
            .ok_or_else(|| ChoiceError::Incomplete(name.to_owned()))?;
        spelling(&mut realtime, words);
        Ok(Self {
            voice: words.voice.clone().filter(|voice| !voice.is_empty()),
            speed: words.speed.map(narrow),
            turn_detection: turn_detection(words),
            transcription: transcription(words, language),
            noise_reduction: noise_reduction(words),
            generation: generation(words),
            realtime,
        })
    }

    /// The second engine that an agent names behind its first.
    ///
    /// # Errors
    /// As for [`EngineChoice::of_agent`].
    pub fn fallback_of_agent(
        words: &Words,
        language: Option<&str>,
        key: &dyn Fn(&str) -> Secret,
    ) -> Result<Option<Self>, ChoiceError> {
        let fallback = words.fallback.as_deref();
        fallback
            .map(|words| Self::of_agent(words, language, key))
            .transpose()
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
/// `linear`), `sendRate`, `appendMs`, `headers`.
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
    if let Some(headers) = words.extra.get("headers").and_then(Value::as_object) {
        realtime.headers = headers
            .iter()
            .filter_map(|(name, value)| Some((name.to_lowercase(), value.as_str()?.to_owned())))
            .collect();
    }
}

fn turn_detection(words: &Words) -> TurnDetection {
    let turn = words.turn_detection.clone().unwrap_or_default();
    let create_response = turn.create_response.unwrap_or(true);
    let interrupt_response = turn.interrupt_response.unwrap_or(true);
    match turn.kind.as_deref() {
        Some("none") => TurnDetection::Manual,
        Some("semantic_vad") => TurnDetection::Semantic {
            eagerness: match turn.eagerness.as_deref() {
                Some("low") => Eagerness::Low,
                Some("medium") => Eagerness::Medium,
                Some("high") => Eagerness::High,
                _ => Eagerness::Auto,
            },
            create_response,
            interrupt_response,
        },
        _ => {
            let default = ServerVad::default();
            TurnDetection::Server(ServerVad {
                threshold: turn.threshold.map_or(default.threshold, narrow),
                prefix_padding_ms: turn.prefix_padding_ms.unwrap_or(default.prefix_padding_ms),
                silence_duration_ms: turn
                    .silence_duration_ms
                    .unwrap_or(default.silence_duration_ms),
                idle_timeout_ms: turn.idle_timeout_ms,
                create_response,
                interrupt_response,
            })
        }
    }
}

fn transcription(words: &Words, language: Option<&str>) -> Option<Transcription> {
    let given = words.transcription.clone().unwrap_or_default();
    if given.disabled {
        return None;
    }
    // What newer transcribers know besides is kept beside the engine's own words.
    let more = words.extra.get("transcriptionOptions");
    let list = |name: &str| -> Vec<String> {
        let list = more.and_then(|more| more.get(name)?.as_array());
        list.into_iter()
            .flatten()
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect()
    };
    let languages = list("languages");
    let language = given.language.or_else(|| language.map(str::to_owned));
    Some(Transcription {
        model: given
            .model
            .unwrap_or_else(|| TRANSCRIBER_DEFAULT.to_owned()),
        language: language.filter(|_| languages.is_empty()),
        languages,
        prompt: given.prompt,
        keywords: list("keywords"),
        delay: match more.and_then(|more| more.get("delay")?.as_str()) {
            Some("minimal") => Some(TranscriptionDelay::Minimal),
            Some("low") => Some(TranscriptionDelay::Low),
            Some("medium") => Some(TranscriptionDelay::Medium),
            Some("high") => Some(TranscriptionDelay::High),
            Some("xhigh") => Some(TranscriptionDelay::XHigh),
            _ => None,
        },
    })
}

fn noise_reduction(words: &Words) -> Option<NoiseReduction> {
    let field = match words.noise_reduction.as_deref() {
        Some("near_field") => NoiseField::Near,
        Some("far_field") => NoiseField::Far,
        _ => return None,
    };
    let strength = words.extra.get("noiseReductionStrength");
    Some(NoiseReduction {
        field,
        strength: strength.and_then(Value::as_f64).map(narrow),
    })
}

fn generation(words: &Words) -> Generation {
    Generation {
        reasoning_effort: match words.reasoning_effort.as_deref() {
            Some("minimal") => Some(ReasoningEffort::Minimal),
            Some("low") => Some(ReasoningEffort::Low),
            Some("medium") => Some(ReasoningEffort::Medium),
            Some("high") => Some(ReasoningEffort::High),
            Some("xhigh") => Some(ReasoningEffort::XHigh),
            _ => None,
        },
        max_output_tokens: words.max_output_tokens.map(MaxOutputTokens::Limit),
        truncation: truncation(words.extra.get("truncation")),
        parallel_tool_calls: words
            .extra
            .get("parallelToolCalls")
            .and_then(Value::as_bool),
        temperature: words
            .extra
            .get("temperature")
            .and_then(Value::as_f64)
            .map(narrow),
    }
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

    fn words(json: Value) -> Words {
        serde_json::from_value(json).expect("an engine's words")
    }

    fn key(_: &str) -> Secret {
        Secret::new("k-0123456789")
    }

    #[test]
    fn nothing_said_is_openai_with_its_defaults() {
        let choice = EngineChoice::of_agent(&Words::default(), Some("fr"), &key).unwrap();
        assert_eq!(
            choice.realtime.url,
            "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1"
        );
        let transcription = choice.transcription.unwrap();
        assert_eq!(
            (
                transcription.model.as_str(),
                transcription.language.as_deref()
            ),
            ("gpt-transcribe", Some("fr"))
        );
    }

    #[test]
    fn every_field_arrives() {
        let words = words(serde_json::json!({
            "provider": "compatible", "url": "ws://10.0.0.7/rt", "model": "m", "voice": "v", "speed": 1.2,
            "turnDetection": {"type": "semantic_vad", "eagerness": "high", "createResponse": false},
            "noiseReduction": "far_field", "noiseReductionStrength": 0.5, "reasoningEffort": "low",
            "maxOutputTokens": 900, "parallelToolCalls": false,
            "truncation": {"retentionRatio": 0.75, "postInstructions": 4000},
            "transcriptionOptions": {"keywords": ["sole"], "delay": "low"},
            "dialect": "xai", "sendRate": false, "keyParameter": "token", "format": "linear",
            "fallback": {"provider": "gemini", "voice": "Puck"}}));
        let choice = EngineChoice::of_agent(&words, None, &key).unwrap();
        assert_eq!(choice.realtime.url, "ws://10.0.0.7/rt?model=m");
        assert_eq!(
            choice.realtime.protocol,
            Protocol::Realtime(Spelling {
                g711_rate: false,
                ..Spelling::XAI
            })
        );
        assert_eq!(choice.realtime.audio, EngineAudio::Linear);
        assert_eq!(
            choice.turn_detection,
            TurnDetection::Semantic {
                eagerness: Eagerness::High,
                create_response: false,
                interrupt_response: true
            }
        );
        assert_eq!(
            choice.generation.truncation,
            Some(Truncation::Retention {
                ratio: 0.75,
                post_instructions: Some(4_000)
            })
        );
        let second = EngineChoice::fallback_of_agent(&words, None, &key)
            .unwrap()
            .unwrap();
        assert_eq!(second.realtime.protocol, Protocol::Gemini);
        assert_eq!(second.voice.as_deref(), Some("Puck"));
    }

    #[test]
    fn what_cannot_be_reached_is_said() {
        let azure = words(serde_json::json!({"provider": "azure"}));
        assert_eq!(
            EngineChoice::of_agent(&azure, None, &key).unwrap_err(),
            ChoiceError::Incomplete("azure".to_owned())
        );
        let unknown = words(serde_json::json!({"provider": "acme"}));
        assert!(EngineChoice::of_agent(&unknown, None, &key).is_err());
    }
}
