//! `session.update` with all settings of a session, in each dialect.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Update, command};
use crate::realtime::{
    AudioFormat, Dialect, Eagerness, MaxOutputTokens, NoiseField, NoiseReduction, ReasoningEffort,
    ServerVad, SessionSettings, SessionShape, Spelling, ToolChoice, ToolDefinition, Transcription,
    TranscriptionDelay, Truncation, TurnDetection,
};

/// Slowest and fastest speech that the service takes.
const SPEED_RANGE: (f32, f32) = (0.25, 1.5);
/// Temperatures that beta servers take.
const BETA_TEMPERATURE_RANGE: (f32, f32) = (0.6, 1.2);

/// All settings, for a new session.
pub(in crate::realtime) fn session_update(
    event: u64,
    spelling: Spelling,
    settings: &SessionSettings,
) -> String {
    const KIND: &str = "session.update";
    match (spelling.dialect, spelling.shape) {
        (Dialect::Ga, SessionShape::Nested) => {
            let session = ga_session(settings, spelling);
            command(event, KIND, Update { session })
        }
        (Dialect::Ga, SessionShape::Flat) => {
            let session = flat_session(settings, spelling);
            command(event, KIND, Update { session })
        }
        (Dialect::Beta, _) => {
            let session = beta_session(settings, spelling);
            command(event, KIND, Update { session })
        }
    }
}

/// The turn detection alone.
pub(super) fn detection_update(event: u64, spelling: Spelling, wanted: &TurnDetection) -> String {
    const KIND: &str = "session.update";
    let turn_detection = detection(wanted, spelling);
    if (spelling.dialect, spelling.shape) == (Dialect::Ga, SessionShape::Nested) {
        let input = TurnInput { turn_detection };
        let session = TurnSession {
            r#type: "realtime",
            audio: TurnAudio { input },
        };
        return command(event, KIND, Update { session });
    }
    let session = TurnInput { turn_detection };
    command(event, KIND, Update { session })
}

#[derive(Serialize)]
struct TurnSession {
    r#type: &'static str,
    audio: TurnAudio,
}

#[derive(Serialize)]
struct TurnAudio {
    input: TurnInput,
}

#[derive(Serialize)]
struct TurnInput {
    turn_detection: Option<Detection>,
}

#[derive(Serialize)]
struct GaSession<'a> {
    r#type: &'a str,
    instructions: &'a str,
    output_modalities: [&'a str; 1],
    audio: GaAudio<'a>,
    tools: Vec<FunctionTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncation: Option<Retention>,
    /// `null`: a caller's words are not written to the vendor's trace dashboard.
    #[serde(skip_serializing_if = "Option::is_none")]
    tracing: Option<Off>,
}

/// Serialises as `null`.
#[derive(Serialize)]
struct Off;

/// Voice and turn detection beside the formats; what only OpenAI knows has no place in it.
#[derive(Serialize)]
struct FlatSession<'a> {
    instructions: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    voice: Option<&'a str>,
    turn_detection: Option<Detection>,
    audio: FlatAudio,
    tools: Vec<FunctionTool<'a>>,
}

#[derive(Serialize)]
struct FlatAudio {
    input: FlatFormat,
    output: FlatFormat,
}

#[derive(Serialize)]
struct FlatFormat {
    format: GaFormat,
}

#[derive(Serialize)]
struct GaAudio<'a> {
    input: GaInput<'a>,
    output: GaOutput<'a>,
}

#[derive(Serialize)]
struct GaInput<'a> {
    format: GaFormat,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise_reduction: Option<Noise>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transcription: Option<Transcriber<'a>>,
    turn_detection: Option<Detection>,
}

#[derive(Serialize)]
struct GaOutput<'a> {
    format: GaFormat,
    #[serde(skip_serializing_if = "Option::is_none")]
    voice: Option<Voice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<f32>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Voice<'a> {
    Name(&'a str),
    Custom { id: &'a str },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Retention {
    Option(&'static str),
    Ratio {
        r#type: &'static str,
        retention_ratio: f32,
        #[serde(skip_serializing_if = "Option::is_none")]
        token_limits: Option<TokenLimits>,
    },
}

#[derive(Serialize)]
struct TokenLimits {
    post_instructions: u32,
}

#[derive(Serialize)]
struct GaFormat {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
}

#[derive(Serialize)]
struct BetaSession<'a> {
    modalities: Vec<&'a str>,
    instructions: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    voice: Option<&'a str>,
    input_audio_format: &'a str,
    output_audio_format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_audio_transcription: Option<Transcriber<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_audio_noise_reduction: Option<Noise>,
    turn_detection: Option<Detection>,
    tools: Vec<FunctionTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_response_output_tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
}

#[derive(Serialize)]
struct Noise {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<f32>,
}

#[derive(Serialize)]
struct Transcriber<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    languages: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    keywords: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Detection {
    #[serde(rename = "server_vad")]
    Server {
        threshold: f32,
        prefix_padding_ms: u32,
        silence_duration_ms: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        idle_timeout_ms: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        create_response: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        interrupt_response: Option<bool>,
    },
    #[serde(rename = "semantic_vad")]
    Semantic {
        eagerness: &'static str,
        create_response: bool,
        interrupt_response: bool,
    },
}

#[derive(Serialize)]
struct FunctionTool<'a> {
    r#type: &'a str,
    name: &'a str,
    description: &'a str,
    parameters: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Option(&'static str),
    Function { r#type: &'static str, name: &'a str },
}

#[derive(Serialize)]
struct Reasoning {
    effort: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Tokens {
    Unlimited(&'static str),
    Limit(u32),
}

fn ga_session(settings: &SessionSettings, spelling: Spelling) -> GaSession<'_> {
    let generation = &settings.generation;
    // Reasoning models only; any other rejects the whole update.
    let reasons = reasons(&settings.model);
    GaSession {
        r#type: "realtime",
        instructions: &settings.instructions,
        output_modalities: [if settings.text_only { "text" } else { "audio" }],
        audio: GaAudio {
            input: GaInput {
                format: ga_format(settings.input_format, spelling),
                noise_reduction: settings.noise_reduction.map(noise),
                transcription: transcriber(settings),
                turn_detection: detection(&settings.turn_detection, spelling),
            },
            output: GaOutput {
                format: ga_format(settings.output_format, spelling),
                voice: settings.voice.as_deref().map(voice),
                speed: settings.speed.and_then(speed),
            },
        },
        tools: tools(&settings.tools),
        tool_choice: choice(settings),
        parallel_tool_calls: generation
            .parallel_tool_calls
            .filter(|_| reasons && !settings.tools.is_empty()),
        reasoning: generation
            .reasoning_effort
            .filter(|_| reasons)
            .map(|effort| Reasoning {
                effort: effort_name(effort),
            }),
        max_output_tokens: generation.max_output_tokens.map(tokens),
        truncation: generation.truncation.map(retention),
        tracing: spelling.openai_settings.then_some(Off),
    }
}

fn flat_session(settings: &SessionSettings, spelling: Spelling) -> FlatSession<'_> {
    let format = |format| FlatFormat {
        format: ga_format(format, spelling),
    };
    FlatSession {
        instructions: &settings.instructions,
        voice: settings.voice.as_deref(),
        turn_detection: detection(&settings.turn_detection, spelling),
        audio: FlatAudio {
            input: format(settings.input_format),
            output: format(settings.output_format),
        },
        tools: tools(&settings.tools),
    }
}

/// `idle_timeout_ms`, `reasoning` and the like are younger than the beta protocol.
fn beta_session(settings: &SessionSettings, spelling: Spelling) -> BetaSession<'_> {
    BetaSession {
        modalities: if settings.text_only {
            vec!["text"]
        } else {
            vec!["audio", "text"]
        },
        instructions: &settings.instructions,
        voice: settings.voice.as_deref(),
        input_audio_format: beta_format(settings.input_format),
        output_audio_format: beta_format(settings.output_format),
        input_audio_transcription: settings.transcription.as_ref().map(|transcription| {
            Transcriber {
                languages: &[],
                keywords: &[],
                delay: None,
                ..transcriber_of(transcription)
            }
        }),
        input_audio_noise_reduction: settings.noise_reduction.map(|reduction| Noise {
            strength: None,
            ..noise(reduction)
        }),
        turn_detection: detection(&settings.turn_detection, spelling),
        tools: tools(&settings.tools),
        tool_choice: choice(settings),
        speed: settings.speed.and_then(speed),
        max_response_output_tokens: settings.generation.max_output_tokens.map(tokens),
        temperature: settings
            .generation
            .temperature
            .filter(|value| value.is_finite())
            .map(|value| value.clamp(BETA_TEMPERATURE_RANGE.0, BETA_TEMPERATURE_RANGE.1)),
    }
}

/// Whether a model takes `reasoning` and `parallel_tool_calls`. An Azure deployment is named by its owner: one that is not
/// named after its model gets neither.
fn reasons(model: &str) -> bool {
    model.starts_with("gpt-realtime-2")
}

fn voice(name: &str) -> Voice<'_> {
    if name.starts_with("voice_") {
        Voice::Custom { id: name }
    } else {
        Voice::Name(name)
    }
}

fn retention(truncation: Truncation) -> Retention {
    match truncation {
        Truncation::Auto => Retention::Option("auto"),
        Truncation::Disabled => Retention::Option("disabled"),
        Truncation::Retention {
            ratio,
            post_instructions,
        } => Retention::Ratio {
            r#type: "retention_ratio",
            retention_ratio: unit(ratio, 0.8),
            token_limits: post_instructions
                .map(|post_instructions| TokenLimits { post_instructions }),
        },
    }
}

/// A value between 0 and 1.
fn unit(value: f32, otherwise: f32) -> f32 {
    if value.is_finite() {
        value.clamp(0.0, 1.0)
    } else {
        otherwise
    }
}

fn ga_format(format: AudioFormat, spelling: Spelling) -> GaFormat {
    let r#type = match format {
        AudioFormat::Pcmu => "audio/pcmu",
        AudioFormat::Pcma => "audio/pcma",
        AudioFormat::Pcm16k | AudioFormat::Pcm24k => "audio/pcm",
    };
    let g711 = matches!(format, AudioFormat::Pcmu | AudioFormat::Pcma);
    let rate = (!g711 || spelling.g711_rate).then(|| format.rate_hz());
    GaFormat { r#type, rate }
}

fn beta_format(format: AudioFormat) -> &'static str {
    match format {
        AudioFormat::Pcmu => "g711_ulaw",
        AudioFormat::Pcma => "g711_alaw",
        AudioFormat::Pcm16k | AudioFormat::Pcm24k => "pcm16",
    }
}

fn noise(reduction: NoiseReduction) -> Noise {
    let r#type = match reduction.field {
        NoiseField::Near => "near_field",
        NoiseField::Far => "far_field",
    };
    let strength = reduction.strength.map(|strength| unit(strength, 1.0));
    Noise { r#type, strength }
}

fn transcriber(settings: &SessionSettings) -> Option<Transcriber<'_>> {
    settings.transcription.as_ref().map(transcriber_of)
}

/// With the fields that the transcriber takes; the service rejects the others.
fn transcriber_of(transcription: &Transcription) -> Transcriber<'_> {
    let model = transcription.model.as_str();
    let guided = matches!(model, "gpt-transcribe" | "gpt-live-transcribe");
    let streams = matches!(model, "gpt-live-transcribe" | "gpt-realtime-whisper");
    let list = |list: &'_ [String]| -> bool { guided && !list.is_empty() };
    Transcriber {
        model,
        language: transcription.language.as_deref(),
        languages: if list(&transcription.languages) {
            &transcription.languages
        } else {
            &[]
        },
        prompt: transcription
            .prompt
            .as_deref()
            .filter(|_| model != "gpt-realtime-whisper"),
        keywords: if list(&transcription.keywords) {
            &transcription.keywords
        } else {
            &[]
        },
        delay: transcription
            .delay
            .filter(|_| streams)
            .map(transcription_delay),
    }
}

fn transcription_delay(delay: TranscriptionDelay) -> &'static str {
    match delay {
        TranscriptionDelay::Minimal => "minimal",
        TranscriptionDelay::Low => "low",
        TranscriptionDelay::Medium => "medium",
        TranscriptionDelay::High => "high",
        TranscriptionDelay::XHigh => "xhigh",
    }
}

fn detection(detection: &TurnDetection, spelling: Spelling) -> Option<Detection> {
    let openai = spelling.openai_settings;
    match detection {
        TurnDetection::Server(vad) => Some(Detection::Server {
            threshold: unit(vad.threshold, 0.5),
            prefix_padding_ms: vad.prefix_padding_ms,
            silence_duration_ms: vad.silence_duration_ms,
            idle_timeout_ms: vad
                .idle_timeout_ms
                .filter(|_| openai && spelling.dialect == Dialect::Ga),
            create_response: openai.then_some(vad.create_response),
            interrupt_response: openai.then_some(vad.interrupt_response),
        }),
        // A server without semantic detection finds turns by silence, as long as that eagerness would wait at most.
        TurnDetection::Semantic { eagerness, .. } if !openai => {
            let vad = ServerVad {
                silence_duration_ms: match eagerness {
                    Eagerness::High => 400,
                    Eagerness::Medium | Eagerness::Auto => 700,
                    Eagerness::Low => 1_200,
                },
                ..ServerVad::default()
            };
            self::detection(&TurnDetection::Server(vad), spelling)
        }
        TurnDetection::Semantic {
            eagerness,
            create_response,
            interrupt_response,
        } => Some(Detection::Semantic {
            eagerness: eagerness_name(*eagerness),
            create_response: *create_response,
            interrupt_response: *interrupt_response,
        }),
        TurnDetection::Manual => None,
    }
}

fn eagerness_name(eagerness: Eagerness) -> &'static str {
    match eagerness {
        Eagerness::Low => "low",
        Eagerness::Medium => "medium",
        Eagerness::High => "high",
        Eagerness::Auto => "auto",
    }
}

fn effort_name(effort: ReasoningEffort) -> &'static str {
    match effort {
        ReasoningEffort::Minimal => "minimal",
        ReasoningEffort::Low => "low",
        ReasoningEffort::Medium => "medium",
        ReasoningEffort::High => "high",
        ReasoningEffort::XHigh => "xhigh",
    }
}

fn tools(tools: &[ToolDefinition]) -> Vec<FunctionTool<'_>> {
    tools
        .iter()
        .map(|tool| FunctionTool {
            r#type: "function",
            name: &tool.name,
            description: &tool.description,
            parameters: parameters(&tool.parameters_json),
        })
        .collect()
}

fn parameters(json: &str) -> Box<RawValue> {
    const NONE: &str = r#"{"type":"object","properties":{}}"#;
    let given = json
        .trim()
        .starts_with('{')
        .then(|| RawValue::from_string(json.trim().to_owned()));
    match given {
        Some(Ok(raw)) => raw,
        Some(Err(_)) | None => {
            RawValue::from_string(NONE.to_owned()).expect("the text is valid JSON")
        }
    }
}

/// Without tools there is nothing to choose, and `required` would be rejected.
fn choice(settings: &SessionSettings) -> Option<Choice<'_>> {
    if settings.tools.is_empty() {
        return None;
    }
    Some(match &settings.tool_choice {
        ToolChoice::Auto => Choice::Option("auto"),
        ToolChoice::None => Choice::Option("none"),
        ToolChoice::Required => Choice::Option("required"),
        ToolChoice::Function(name) => Choice::Function {
            r#type: "function",
            name,
        },
    })
}

fn tokens(limit: MaxOutputTokens) -> Tokens {
    match limit {
        MaxOutputTokens::Unlimited => Tokens::Unlimited("inf"),
        MaxOutputTokens::Limit(tokens) => Tokens::Limit(tokens),
    }
}

fn speed(speed: f32) -> Option<f32> {
    speed
        .is_finite()
        .then(|| speed.clamp(SPEED_RANGE.0, SPEED_RANGE.1))
}

#[cfg(test)]
mod tests;
