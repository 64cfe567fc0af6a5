//! `session.update` with all settings of a session, in each dialect.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Update, command};
use crate::realtime::{
    AudioFormat, Dialect, Eagerness, MaxOutputTokens, NoiseReduction, ReasoningEffort,
    SessionSettings, ToolChoice, ToolDefinition, TurnDetection,
};

/// Slowest and fastest speech that the service takes.
const SPEED_RANGE: (f32, f32) = (0.25, 1.5);

/// All settings, for a new session.
pub(in crate::realtime) fn session_update(
    event: u64,
    dialect: Dialect,
    settings: &SessionSettings,
) -> String {
    match dialect {
        Dialect::Ga => command(
            event,
            "session.update",
            Update {
                session: ga_session(settings),
            },
        ),
        Dialect::Beta => command(
            event,
            "session.update",
            Update {
                session: beta_session(settings),
            },
        ),
    }
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
    reasoning: Option<Reasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<Tokens>,
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
    voice: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<f32>,
}

#[derive(Serialize)]
struct GaFormat {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
}

#[derive(Serialize)]
struct BetaSession<'a> {
    modalities: [&'a str; 2],
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
}

#[derive(Serialize)]
struct Noise {
    r#type: &'static str,
}

#[derive(Serialize)]
struct Transcriber<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a str>,
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
        create_response: bool,
        interrupt_response: bool,
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

fn ga_session(settings: &SessionSettings) -> GaSession<'_> {
    GaSession {
        r#type: "realtime",
        instructions: &settings.instructions,
        output_modalities: ["audio"],
        audio: GaAudio {
            input: GaInput {
                format: ga_format(settings.input_format),
                noise_reduction: settings.noise_reduction.map(noise),
                transcription: transcriber(settings),
                turn_detection: detection(&settings.turn_detection, Dialect::Ga),
            },
            output: GaOutput {
                format: ga_format(settings.output_format),
                voice: settings.voice.as_deref(),
                speed: settings.speed.and_then(speed),
            },
        },
        tools: tools(&settings.tools),
        tool_choice: choice(settings),
        reasoning: settings.reasoning_effort.map(|effort| Reasoning {
            effort: effort_name(effort),
        }),
        max_output_tokens: settings.max_output_tokens.map(tokens),
    }
}

/// `idle_timeout_ms` and `reasoning` are younger than the beta protocol.
fn beta_session(settings: &SessionSettings) -> BetaSession<'_> {
    BetaSession {
        modalities: ["audio", "text"],
        instructions: &settings.instructions,
        voice: settings.voice.as_deref(),
        input_audio_format: beta_format(settings.input_format),
        output_audio_format: beta_format(settings.output_format),
        input_audio_transcription: transcriber(settings),
        input_audio_noise_reduction: settings.noise_reduction.map(noise),
        turn_detection: detection(&settings.turn_detection, Dialect::Beta),
        tools: tools(&settings.tools),
        tool_choice: choice(settings),
        speed: settings.speed.and_then(speed),
        max_response_output_tokens: settings.max_output_tokens.map(tokens),
    }
}

fn ga_format(format: AudioFormat) -> GaFormat {
    match format {
        AudioFormat::Pcmu => GaFormat {
            r#type: "audio/pcmu",
            rate: None,
        },
        AudioFormat::Pcma => GaFormat {
            r#type: "audio/pcma",
            rate: None,
        },
        AudioFormat::Pcm24k => GaFormat {
            r#type: "audio/pcm",
            rate: Some(24_000),
        },
    }
}

fn beta_format(format: AudioFormat) -> &'static str {
    match format {
        AudioFormat::Pcmu => "g711_ulaw",
        AudioFormat::Pcma => "g711_alaw",
        AudioFormat::Pcm24k => "pcm16",
    }
}

fn noise(reduction: NoiseReduction) -> Noise {
    let r#type = match reduction {
        NoiseReduction::NearField => "near_field",
        NoiseReduction::FarField => "far_field",
    };
    Noise { r#type }
}

fn transcriber(settings: &SessionSettings) -> Option<Transcriber<'_>> {
    settings
        .transcription
        .as_ref()
        .map(|transcription| Transcriber {
            model: &transcription.model,
            language: transcription.language.as_deref(),
            prompt: transcription.prompt.as_deref(),
        })
}

fn detection(detection: &TurnDetection, dialect: Dialect) -> Option<Detection> {
    match detection {
        TurnDetection::Server(vad) => Some(Detection::Server {
            threshold: if vad.threshold.is_finite() {
                vad.threshold.clamp(0.0, 1.0)
            } else {
                0.5
            },
            prefix_padding_ms: vad.prefix_padding_ms,
            silence_duration_ms: vad.silence_duration_ms,
            idle_timeout_ms: vad.idle_timeout_ms.filter(|_| dialect == Dialect::Ga),
            create_response: vad.create_response,
            interrupt_response: vad.interrupt_response,
        }),
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
mod tests {
    use super::*;
    use crate::realtime::{ServerVad, Transcription};

    fn telephone() -> SessionSettings {
        SessionSettings::telephone("gpt-realtime-2.1", "Be \"kind\".")
    }

    #[test]
    fn a_session_for_g711_carries_no_rate_and_nothing_that_was_not_set() {
        assert_eq!(
            session_update(1, Dialect::Ga, &telephone()),
            concat!(
                r#"{"type":"session.update","event_id":"allo_1","session":{"type":"realtime","#,
                r#""instructions":"Be \"kind\".","output_modalities":["audio"],"audio":{"input":{"#,
                r#""format":{"type":"audio/pcmu"},"turn_detection":{"type":"server_vad","threshold":0.5,"#,
                r#""prefix_padding_ms":300,"silence_duration_ms":500,"create_response":true,"#,
                r#""interrupt_response":true}},"output":{"format":{"type":"audio/pcmu"}}},"tools":[]}}"#
            )
        );
    }

    #[test]
    fn manual_turns_are_a_null_and_pcm_carries_its_rate() {
        let mut settings = telephone();
        settings.turn_detection = TurnDetection::Manual;
        settings.input_format = AudioFormat::Pcm24k;
        let text = session_update(1, Dialect::Ga, &settings);
        assert!(
            text.contains(r#""format":{"type":"audio/pcm","rate":24000},"turn_detection":null"#),
            "{text}"
        );
    }

    #[test]
    fn a_required_tool_without_tools_is_not_sent() {
        let mut settings = telephone();
        settings.tool_choice = ToolChoice::Required;
        assert!(!session_update(1, Dialect::Ga, &settings).contains("tool_choice"));
    }

    #[test]
    fn parameters_that_are_no_object_become_an_empty_one() {
        for json in ["", "7", "[]", "{", "{}}", "\"{}\""] {
            assert_eq!(
                parameters(json).get(),
                r#"{"type":"object","properties":{}}"#,
                "{json}"
            );
        }
        assert_eq!(parameters(" {\"a\": 1} ").get(), "{\"a\": 1}");
    }

    #[test]
    fn the_beta_dialect_is_flat_and_leaves_out_what_is_younger() {
        let mut settings = telephone();
        settings.turn_detection = TurnDetection::Server(ServerVad {
            idle_timeout_ms: Some(6_000),
            ..ServerVad::default()
        });
        settings.reasoning_effort = Some(ReasoningEffort::Low);
        settings.max_output_tokens = Some(MaxOutputTokens::Unlimited);
        settings.transcription = Some(Transcription {
            model: "whisper-1".to_owned(),
            language: None,
            prompt: None,
        });
        let text = session_update(1, Dialect::Beta, &settings);
        for absent in [
            "idle_timeout_ms",
            "reasoning",
            "output_modalities",
            "audio/pcmu",
            "realtime",
        ] {
            assert!(!text.contains(absent), "{absent} in {text}");
        }
        for present in [
            r#""modalities":["audio","text"]"#,
            r#""input_audio_format":"g711_ulaw""#,
            r#""input_audio_transcription":{"model":"whisper-1"}"#,
            r#""max_response_output_tokens":"inf""#,
        ] {
            assert!(text.contains(present), "{present} not in {text}");
        }
    }
}
