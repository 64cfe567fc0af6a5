//! What a call costs, in integers: micro-units of money, rounded once, half away from zero.

use serde::{Deserialize, Serialize};

/// Tokens of one response, as engines report them. Text is what is neither audio nor cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input_tokens: u64,
    /// All output tokens.
    pub output_tokens: u64,
    /// Audio among the input, cached ones included.
    pub input_audio_tokens: u64,
    /// Audio among the output.
    pub output_audio_tokens: u64,
    /// Text among the input that was cached.
    pub cached_text_tokens: u64,
    /// Audio among the input that was cached.
    pub cached_audio_tokens: u64,
}

/// What a call has cost so far, in micro-units of `currency`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Costs {
    /// ISO 4217.
    pub currency: String,
    /// The engine, margin included.
    pub ai_micro: i64,
    /// The carrier's minutes.
    pub telephony_micro: i64,
    /// Costs that tools named.
    pub third_party_micro: i64,
    /// The sum.
    pub total_micro: i64,
    /// All tokens.
    pub usage: Usage,
    /// Models that have no price: their tokens are counted and cost nothing.
    pub unpriced: Vec<String>,
}
