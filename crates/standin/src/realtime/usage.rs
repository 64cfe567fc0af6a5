//! The token counts of a response: about four letters of text a token, 100 ms of the caller's audio, 50 ms of the model's.

use serde_json::{Value, json};

use super::conversation::Item;
use super::response::{Content, Response};
use super::settings::Settings;

/// Tokens of a context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    text: u64,
    audio: u64,
}

fn text_tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

/// The tokens of everything that a response reads.
pub(super) fn context(settings: &Settings, items: &[Item]) -> Tokens {
    let mut tokens = Tokens {
        text: text_tokens(settings.instructions()) + text_tokens(&settings.tools().to_string()),
        audio: 0,
    };
    for item in items {
        match (item.kind(), item.role()) {
            ("message", "user") if item.audio_ms > 0 => tokens.audio += item.audio_ms.div_ceil(100),
            ("message", "assistant") if item.audio_ms > 0 => {
                tokens.audio += item.audio_ms.div_ceil(50);
            }
            ("message", _) => tokens.text += text_tokens(&item.words()),
            (_, _) => {
                tokens.text +=
                    text_tokens(item.text("arguments")) + text_tokens(item.text("output"));
            }
        }
    }
    tokens
}

/// The `usage` of a response; `cached` is the context of the response before.
pub(super) fn usage(input: Tokens, cached: Tokens, response: &Response) -> Value {
    let audio = response.audio_ms.div_ceil(50);
    let text: u64 = response
        .pieces
        .iter()
        .map(|piece| match &piece.content {
            Content::Speech { text, .. } | Content::Text(text) => text_tokens(text),
            Content::Call {
                arguments, name, ..
            } => text_tokens(arguments) + text_tokens(name),
        })
        .sum();
    let cached = Tokens {
        text: cached.text.min(input.text),
        audio: cached.audio.min(input.audio),
    };
    let input_tokens = input.text + input.audio;
    json!({
        "total_tokens": input_tokens + text + audio,
        "input_tokens": input_tokens, "output_tokens": text + audio,
        "input_token_details": {
            "text_tokens": input.text, "audio_tokens": input.audio, "image_tokens": 0,
            "cached_tokens": cached.text + cached.audio,
            "cached_tokens_details": {
                "text_tokens": cached.text, "audio_tokens": cached.audio, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": text, "audio_tokens": audio},
    })
}
