//! The settings of a session, in the words of this house.

/// Format of audio on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioFormat {
    /// G.711 µ-law, 8 kHz, one byte a sample.
    Pcmu,
    /// G.711 A-law, 8 kHz, one byte a sample.
    Pcma,
    /// Signed 16-bit little-endian samples at 16 kHz, mono.
    Pcm16k,
    /// Signed 16-bit little-endian samples at 24 kHz, mono.
    Pcm24k,
}

impl AudioFormat {
    /// Bytes of one millisecond.
    #[must_use]
    pub fn bytes_per_ms(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma => 8,
            Self::Pcm16k => 32,
            Self::Pcm24k => 48,
        }
    }

    /// Samples of one second.
    #[must_use]
    pub fn rate_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::Pcm16k => 16_000,
            Self::Pcm24k => 24_000,
        }
    }

    /// The byte pair or byte of silence, repeated.
    #[must_use]
    pub fn silence_byte(self) -> u8 {
        match self {
            Self::Pcmu => 0xff,
            Self::Pcma => 0xd5,
            Self::Pcm16k | Self::Pcm24k => 0,
        }
    }
}

/// How the engine finds the caller's turns.
#[derive(Clone, Debug, PartialEq)]
pub enum TurnDetection {
    /// By silence.
    Server(ServerVad),
    /// By meaning.
    Semantic {
        /// How soon it answers.
        eagerness: Eagerness,
        /// The engine answers by itself at the end of a turn.
        create_response: bool,
        /// The engine cancels its response when the caller speaks.
        interrupt_response: bool,
    },
    /// The client commits the audio and asks for responses.
    Manual,
}

impl TurnDetection {
    /// The same, for a caller who pauses up to so many milliseconds.
    #[must_use]
    pub fn patient(&self, ms: u32) -> Self {
        match self.clone() {
            Self::Server(vad) => Self::Server(ServerVad {
                silence_duration_ms: vad.silence_duration_ms.max(ms),
                ..vad
            }),
            Self::Semantic {
                create_response,
                interrupt_response,
                ..
            } => Self::Semantic {
                eagerness: Eagerness::Low,
                create_response,
                interrupt_response,
            },
            Self::Manual => Self::Manual,
        }
    }
}

/// Settings of turn detection by silence.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerVad {
    /// Level that counts as speech, 0.0 to 1.0.
    pub threshold: f32,
    /// Audio kept before the start of speech, in milliseconds.
    pub prefix_padding_ms: u32,
    /// Silence that ends a turn, in milliseconds.
    pub silence_duration_ms: u32,
    /// Silence after a response at which the engine speaks by itself; the service allows 5000 to 30000.
    pub idle_timeout_ms: Option<u32>,
    /// The engine answers by itself at the end of a turn.
    pub create_response: bool,
    /// The engine cancels its response when the caller speaks.
    pub interrupt_response: bool,
}

impl Default for ServerVad {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            prefix_padding_ms: 300,
            silence_duration_ms: 500,
            idle_timeout_ms: None,
            create_response: true,
            interrupt_response: true,
        }
    }
}

/// How soon semantic turn detection answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eagerness {
    /// Waits up to 8 s.
    Low,
    /// Waits up to 4 s.
    Medium,
    /// Waits up to 2 s.
    High,
    /// The engine's choice, today the same as medium.
    Auto,
}

/// Transcription of the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcription {
    /// Model of the transcriber.
    pub model: String,
    /// ISO 639-1 code.
    pub language: Option<String>,
    /// Languages that may be spoken, ISO 639-1 codes (`gpt-transcribe` and `gpt-live-transcribe` only; left out for others).
    pub languages: Vec<String>,
    /// Words to expect, as a text. Left out for `gpt-realtime-whisper`, which does not take it.
    pub prompt: Option<String>,
    /// Words to expect, one by one (`gpt-transcribe` and `gpt-live-transcribe` only; left out for others).
    pub keywords: Vec<String>,
    /// How long the transcriber waits for more context (`gpt-live-transcribe` and `gpt-realtime-whisper` only).
    pub delay: Option<TranscriptionDelay>,
}

/// How long a streaming transcriber waits before it tells what it heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TranscriptionDelay {
    /// Shortest.
    Minimal,
    /// Short.
    Low,
    /// Between.
    Medium,
    /// Long.
    High,
    /// Longest and most exact.
    XHigh,
}

/// Where the caller's microphone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseField {
    /// A handset or headset.
    Near,
    /// A speakerphone or a room.
    Far,
}

/// Noise reduction before turn detection and the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseReduction {
    /// Where the microphone is.
    pub field: NoiseField,
    /// Strength, 0.0 to 1.0; the engine's own (1.0) when absent.
    pub strength: Option<f32>,
}

impl NoiseReduction {
    /// For a handset or headset, at the engine's own strength.
    pub const NEAR_FIELD: Self = Self {
        field: NoiseField::Near,
        strength: None,
    };
    /// For a speakerphone or a room, at the engine's own strength.
    pub const FAR_FIELD: Self = Self {
        field: NoiseField::Far,
        strength: None,
    };
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolDefinition {
    /// Name, `[a-zA-Z0-9_-]{1,64}`.
    pub name: String,
    /// When and how to use it.
    pub description: String,
    /// JSON Schema of the arguments, JSON text. One that is not a JSON object is sent as an
    /// object without properties.
    pub parameters_json: String,
}

/// Which tools the model may or must call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// Its choice.
    #[default]
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Function(String),
}

/// Effort of reasoning models (`gpt-realtime-2` and later; left out for other models, which reject it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningEffort {
    /// Minimal.
    Minimal,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Highest.
    XHigh,
}

/// Longest response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxOutputTokens {
    /// No limit but the model's.
    Unlimited,
    /// This many tokens.
    Limit(u32),
}

/// What is left out when the conversation outgrows the model's context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truncation {
    /// The engine's choice.
    Auto,
    /// Nothing: the engine fails instead.
    Disabled,
    /// Down to a part of the context at once, which keeps the cached prefix longer.
    Retention {
        /// Part that is kept, 0.0 to 1.0.
        ratio: f32,
        /// Tokens after the instructions at which it begins; the model's own limit when absent.
        post_instructions: Option<u32>,
    },
}

/// How the model thinks and writes, apart from what it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Generation {
    /// Reasoning effort; the engine's default when absent.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Longest response; the engine's default when absent.
    pub max_output_tokens: Option<MaxOutputTokens>,
    /// What is left out of a long conversation; the engine's default when absent.
    pub truncation: Option<Truncation>,
    /// Several tools in one turn (reasoning models only; left out for others); the engine's default when absent.
    pub parallel_tool_calls: Option<bool>,
    /// Randomness, 0.0 to 2.0, for the dialects that know it (beta servers and Gemini; the GA protocol rejects it).
    pub temperature: Option<f32>,
}

/// Settings of one session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSettings {
    /// Name of the model; part of the URL, not of `session.update`.
    pub model: String,
    /// Voice, by name or by the id of a custom one (`voice_…`); the engine's default when absent. Sent only before any
    /// agent audio of the session.
    pub voice: Option<String>,
    /// The agent's instructions.
    pub instructions: String,
    /// Format of the caller's audio.
    pub input_format: AudioFormat,
    /// Format of the agent's audio.
    pub output_format: AudioFormat,
    /// Turn detection.
    pub turn_detection: TurnDetection,
    /// Transcription of the caller; none when absent.
    pub transcription: Option<Transcription>,
    /// Noise reduction; none when absent.
    pub noise_reduction: Option<NoiseReduction>,
    /// Tools.
    pub tools: Vec<ToolDefinition>,
    /// Which tools may be called.
    pub tool_choice: ToolChoice,
    /// Speed of speech, 0.25 to 1.5.
    pub speed: Option<f32>,
    /// How the model thinks and writes.
    pub generation: Generation,
    /// The model writes instead of speaking (a text chat).
    pub text_only: bool,
}

impl SessionSettings {
    /// Settings for a telephone call: G.711 µ-law both ways, turn detection by silence, no tools.
    #[must_use]
    pub fn telephone(model: &str, instructions: &str) -> Self {
        Self {
            model: model.to_owned(),
            voice: None,
            instructions: instructions.to_owned(),
            input_format: AudioFormat::Pcmu,
            output_format: AudioFormat::Pcmu,
            turn_detection: TurnDetection::Server(ServerVad::default()),
            transcription: None,
            noise_reduction: None,
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            speed: None,
            generation: Generation::default(),
            text_only: false,
        }
    }
}

/// Who says a message of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The caller.
    User,
    /// The agent.
    Assistant,
    /// The operator of the agent.
    System,
}

/// One message of a conversation that is carried into a new session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryItem {
    /// Who said it.
    pub role: Role,
    /// What was said (for the agent: what was heard).
    pub text: String,
}

/// A response asked for by the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseRequest {
    /// Instructions of this response alone, in place of the session's.
    pub instructions: Option<String>,
    /// The response may not call tools.
    pub tool_choice_none: bool,
    /// Spoken; else text only.
    pub audio: bool,
    /// Left out where the engine cannot speak just now without harm (Gemini, while it waits for a tool): it is then
    /// reported as begun and cancelled. A filler for a slow tool is one.
    pub optional: bool,
}

impl Default for ResponseRequest {
    fn default() -> Self {
        Self {
            instructions: None,
            tool_choice_none: false,
            audio: true,
            optional: false,
        }
    }
}
