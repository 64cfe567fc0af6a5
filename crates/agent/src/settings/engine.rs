//! The choice of an engine. The dialects themselves are in `wire`; here are the words in which an operator chooses.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::AgentSettings;
use crate::json::null_default;

/// One engine, with the next one to try behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EngineChoice {
    /// `openai` (default), `azure`, `xai`, `gemini` or `compatible`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Address; each provider but `azure` and `compatible` has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Model (Azure: deployment).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Voice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// 0.25 to 1.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// How the end of the caller's turn is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_detection: Option<TurnDetection>,
    /// `near_field`, `far_field` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_reduction: Option<String>,
    /// Transcription of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcription: Option<Transcription>,
    /// `minimal`, `low`, `medium`, `high` or `xhigh`; reasoning models only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// Tokens of one response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// The engine to try when this one cannot be reached or is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Box<Self>>,
    /// Spellings of compatible servers (`dialect`, `authHeader`, `format`…): read by `wire`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// How the end of the caller's turn is found: each field of both kinds, only those of `type` are sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TurnDetection {
    /// `server_vad` (default), `semantic_vad` or `none`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// 0 to 1 (`server_vad`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Milliseconds (`server_vad`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_padding_ms: Option<u32>,
    /// Milliseconds (`server_vad`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence_duration_ms: Option<u32>,
    /// Milliseconds, 5,000 to 30,000 (`server_vad`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u32>,
    /// `low`, `medium`, `high` or `auto` (`semantic_vad`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eagerness: Option<String>,
    /// The engine responds by itself at the end of a turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_response: Option<bool>,
    /// The engine cancels its response by itself when the caller speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupt_response: Option<bool>,
}

/// Transcription of the caller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Transcription {
    /// Model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// ISO 639-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Words to expect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Switches it off.
    #[serde(deserialize_with = "null_default")]
    pub disabled: bool,
}

impl AgentSettings {
    /// The engine of this agent: `engine` completed by the flat fields of the contract (`aiModel`, `aiVoice`, `vad…`).
    pub fn engine(&self) -> EngineChoice {
        let mut choice = self.voice.engine.clone().unwrap_or_default();
        if choice.model.is_none() {
            choice.model.clone_from(&self.voice.ai_model);
        }
        if choice.voice.is_none() {
            choice.voice.clone_from(&self.voice.ai_voice);
        }
        let turn = choice.turn_detection.get_or_insert_default();
        if turn.kind.as_deref().is_none_or(|kind| kind == "server_vad") {
            turn.threshold = turn.threshold.or(self.voice.vad_threshold);
            turn.silence_duration_ms = turn.silence_duration_ms.or(self.voice.vad_silence_ms);
            turn.prefix_padding_ms = turn.prefix_padding_ms.or(self.voice.vad_prefix_padding_ms);
        }
        choice
    }
}
