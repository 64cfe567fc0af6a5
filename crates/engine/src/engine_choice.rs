//! Which engine speaks for an agent: where it is, which protocol it speaks, and how it listens and talks.

mod of_agent;

use std::time::Duration;

use wire::realtime::{
    Generation, NoiseReduction, ServerVad, Spelling, Transcription, TurnDetection,
};
use wire::{KeyPlace, Protocol, Provider};

use crate::config::Secret;

/// One engine with everything it is told besides the agent's instructions and tools.
#[derive(Clone, Debug)]
pub struct EngineChoice {
    /// Where it is, and which protocol it speaks.
    pub realtime: RealtimeConfig,
    /// Voice of the model, a name or the id of a custom one; `None` is the engine's own.
    pub voice: Option<String>,
    /// Speed of speech, 0.25 to 1.5; `None` is the engine's own.
    pub speed: Option<f32>,
    /// Turn detection.
    pub turn_detection: TurnDetection,
    /// Transcription of what the caller says; `None` for none.
    pub transcription: Option<Transcription>,
    /// Noise reduction before the model.
    pub noise_reduction: Option<NoiseReduction>,
    /// How the model thinks and writes.
    pub generation: Generation,
}

impl EngineChoice {
    /// An engine with nothing set but where it is.
    #[must_use]
    pub fn new(realtime: RealtimeConfig) -> Self {
        Self {
            realtime,
            voice: None,
            speed: None,
            turn_detection: TurnDetection::Server(ServerVad::default()),
            transcription: None,
            noise_reduction: None,
            generation: Generation::default(),
        }
    }
}

/// Where an engine expects its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlacement {
    /// In a header, after a scheme; an empty scheme sends the bare key.
    Header {
        /// Name of the header.
        name: String,
        /// Word before the key.
        scheme: String,
    },
    /// In the query of the address.
    Query {
        /// Name of the parameter.
        name: String,
    },
}

impl From<KeyPlace> for KeyPlacement {
    fn from(place: KeyPlace) -> Self {
        match place {
            KeyPlace::Header { name, scheme } => Self::Header {
                name: name.to_owned(),
                scheme: scheme.to_owned(),
            },
            KeyPlace::Query { name } => Self::Query {
                name: name.to_owned(),
            },
        }
    }
}

/// In which format audio travels between us and the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineAudio {
    /// As the telephone has it, where the engine takes that (no conversion, no delay); else linear.
    #[default]
    AsTheLeg,
    /// Linear, in the rates that the protocol has: better ears for the model where the call is wideband, at the price of a
    /// conversion and six times the bytes.
    Linear,
}

/// How to reach a realtime engine.
#[derive(Clone, Debug)]
pub struct RealtimeConfig {
    /// `ws://` or `wss://` address with its path. The `model` query parameter is added when the address has none and the
    /// protocol wants it there.
    pub url: String,
    /// Model name (with Azure: the deployment).
    pub model: String,
    /// Key; empty sends none.
    pub key: Secret,
    /// Where the key goes.
    pub key_placement: KeyPlacement,
    /// Protocol, with its spelling.
    pub protocol: Protocol,
    /// Format of the audio.
    pub audio: EngineAudio,
    /// Milliseconds of caller audio in one message; 20 by default.
    pub append_ms: u32,
    /// Bound of one connection attempt, DNS to settings accepted.
    pub connect_timeout: Duration,
    /// Further headers of the handshake.
    pub headers: Vec<(String, String)>,
}

impl RealtimeConfig {
    /// A known vendor's engine. `url` and `model` may be empty where the vendor has one of its own.
    ///
    /// `None` when the vendor needs an address, or a model, and got none.
    #[must_use]
    pub fn preset(provider: Provider, url: &str, model: &str, key: Secret) -> Option<Self> {
        let model = match (model, provider.default_model()) {
            ("", None) if provider != Provider::Custom => return None,
            ("", model) => model.unwrap_or_default(),
            (named, _) => named,
        };
        // The model is added with the handshake: an agent may name another one for the same address.
        let url = provider.address(url, "", key.expose())?;
        Some(Self {
            url,
            model: model.to_owned(),
            key_placement: provider.key_place(key.expose()).into(),
            key,
            protocol: provider.protocol(),
            ..Self::default()
        })
    }
}

impl Default for RealtimeConfig {
    fn default() -> Self {
        Self {
            url: "wss://api.openai.com/v1/realtime".to_owned(),
            model: "gpt-realtime-2.1".to_owned(),
            key: Secret::default(),
            key_placement: Provider::OpenAi.key_place("").into(),
            protocol: Protocol::Realtime(Spelling::OPENAI),
            audio: EngineAudio::default(),
            append_ms: 20,
            connect_timeout: Duration::from_secs(5),
            headers: Vec::new(),
        }
    }
}
