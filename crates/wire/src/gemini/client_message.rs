//! What we send: exactly the fields that the service knows.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::realtime::{
    Eagerness, HistoryItem, MaxOutputTokens, ReasoningEffort, Role, SessionSettings,
    ToolDefinition, Truncation, TurnDetection,
};

fn write<T: Serialize>(message: &T) -> String {
    // Strings, numbers and checked JSON only: nothing in it can fail to be written.
    serde_json::to_string(message).expect("plain data is always written")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    setup: Setup<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Setup<'a> {
    model: String,
    generation_config: GenerationConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tools<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    realtime_input_config: Option<InputConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_audio_transcription: Option<Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_audio_transcription: Option<Empty>,
    session_resumption: Resumption<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_window_compression: Option<Compression>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history_config: Option<HistoryConfig>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    response_modalities: [&'a str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    speech_config: Option<SpeechConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingConfig {
    thinking_level: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpeechConfig<'a> {
    voice_config: VoiceConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VoiceConfig<'a> {
    prebuilt_voice_config: PrebuiltVoice<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrebuiltVoice<'a> {
    voice_name: &'a str,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InputConfig {
    automatic_activity_detection: Detection,
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_handling: Option<&'static str>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Detection {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_of_speech_sensitivity: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_of_speech_sensitivity: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silence_duration_ms: Option<u32>,
}

#[derive(Serialize)]
struct Resumption<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Compression {
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger_tokens: Option<u32>,
    sliding_window: SlidingWindow,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SlidingWindow {
    #[serde(skip_serializing_if = "Option::is_none")]
    target_tokens: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HistoryConfig {
    initial_history_in_client_content: bool,
}

/// The first message. `handle` resumes an earlier session; `history` announces that the conversation so far follows.
pub(super) fn setup(settings: &SessionSettings, handle: Option<&str>, history: bool) -> String {
    let generation = &settings.generation;
    let instructions = settings.instructions.as_str();
    let setup = Setup {
        model: resource(&settings.model),
        generation_config: GenerationConfig {
            response_modalities: [if settings.text_only { "TEXT" } else { "AUDIO" }],
            speech_config: settings
                .voice
                .as_deref()
                .filter(|_| !settings.text_only)
                .map(|voice_name| SpeechConfig {
                    voice_config: VoiceConfig {
                        prebuilt_voice_config: PrebuiltVoice { voice_name },
                    },
                }),
            temperature: generation
                .temperature
                .filter(|value| value.is_finite())
                .map(|value| value.clamp(0.0, 2.0)),
            max_output_tokens: match generation.max_output_tokens {
                Some(MaxOutputTokens::Limit(tokens)) => Some(tokens),
                Some(MaxOutputTokens::Unlimited) | None => None,
            },
            thinking_config: generation
                .reasoning_effort
                .filter(|_| !is_second_generation(&settings.model))
                .map(|effort| ThinkingConfig {
                    thinking_level: thinking_level(effort),
                }),
        },
        system_instruction: (!instructions.is_empty()).then_some(Content {
            role: None,
            parts: [Part { text: instructions }],
        }),
        tools: declarations(&settings.tools),
        realtime_input_config: input_config(&settings.turn_detection),
        input_audio_transcription: settings.transcription.as_ref().map(|_| Empty {}),
        output_audio_transcription: (!settings.text_only).then_some(Empty {}),
        session_resumption: Resumption { handle },
        context_window_compression: compression(generation.truncation),
        history_config: (history && takes_seed(&settings.model)).then_some(HistoryConfig {
            initial_history_in_client_content: true,
        }),
    };
    write(&Envelope { setup })
}

/// The name as the service wants it; full resource names (Vertex) stay.
fn resource(model: &str) -> String {
    if model.contains('/') {
        model.to_owned()
    } else {
        format!("models/{model}")
    }
}

fn is_second_generation(model: &str) -> bool {
    model.rsplit('/').next().unwrap_or(model).contains("-2.")
}

/// From the third generation on, the conversation so far is announced in the setup; before, it just comes.
pub(super) fn takes_seed(model: &str) -> bool {
    !is_second_generation(model)
}

fn thinking_level(effort: ReasoningEffort) -> &'static str {
    match effort {
        ReasoningEffort::Minimal => "MINIMAL",
        ReasoningEffort::Low => "LOW",
        ReasoningEffort::Medium => "MEDIUM",
        ReasoningEffort::High => "HIGH",
        ReasoningEffort::XHigh => "XHIGH",
    }
}

fn declarations(tools: &[ToolDefinition]) -> Vec<Tools<'_>> {
    if tools.is_empty() {
        return Vec::new();
    }
    let function_declarations = tools
        .iter()
        .map(|tool| Declaration {
            name: &tool.name,
            description: &tool.description,
            parameters_json_schema: object(&tool.parameters_json),
        })
        .collect();
    vec![Tools {
        function_declarations,
    }]
}

/// The text as JSON, when it is an object.
fn object(json: &str) -> Option<Box<RawValue>> {
    let json = json.trim();
    json.starts_with('{')
        .then(|| RawValue::from_string(json.to_owned()).ok())
        .flatten()
}

fn input_config(detection: &TurnDetection) -> Option<InputConfig> {
    let no_interruption = |interrupts: bool| (!interrupts).then_some("NO_INTERRUPTION");
    Some(match detection {
        TurnDetection::Manual => InputConfig {
            automatic_activity_detection: Detection {
                disabled: true,
                ..Detection::default()
            },
            activity_handling: None,
        },
        // The prefix padding of the Realtime protocol is audio kept from before the speech; here the word means how long
        // speech must last to count, which is another thing and stays at the service's own value.
        TurnDetection::Server(vad) => InputConfig {
            automatic_activity_detection: Detection {
                start_of_speech_sensitivity: (vad.threshold > 0.6)
                    .then_some("START_SENSITIVITY_LOW"),
                silence_duration_ms: Some(vad.silence_duration_ms),
                ..Detection::default()
            },
            activity_handling: no_interruption(vad.interrupt_response),
        },
        TurnDetection::Semantic {
            eagerness,
            interrupt_response,
            ..
        } => InputConfig {
            automatic_activity_detection: Detection {
                end_of_speech_sensitivity: match eagerness {
                    Eagerness::High => Some("END_SENSITIVITY_HIGH"),
                    Eagerness::Low => Some("END_SENSITIVITY_LOW"),
                    Eagerness::Medium | Eagerness::Auto => None,
                },
                ..Detection::default()
            },
            activity_handling: no_interruption(*interrupt_response),
        },
    })
}

/// Without compression an audio session ends after 15 minutes.
fn compression(truncation: Option<Truncation>) -> Option<Compression> {
    let window = |trigger_tokens, target_tokens| {
        Some(Compression {
            trigger_tokens,
            sliding_window: SlidingWindow { target_tokens },
        })
    };
    match truncation {
        Some(Truncation::Disabled) => None,
        Some(Truncation::Auto) | None => window(None, None),
        Some(Truncation::Retention {
            ratio,
            post_instructions,
        }) => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "tokens times a part between 0 and 1"
            )]
            let target = post_instructions
                .filter(|_| ratio.is_finite())
                .map(|tokens| (tokens as f32 * ratio.clamp(0.0, 1.0)) as u32);
            window(post_instructions, target)
        }
    }
}

/// The caller's audio, in one allocation of the exact size.
pub(super) fn audio(audio: &[u8]) -> String {
    const HEAD: &str = r#"{"realtimeInput":{"audio":{"data":""#;
    const TAIL: &str = r#"","mimeType":"audio/pcm;rate=16000"}}}"#;
    let base64 = base64_simd::STANDARD;
    let mut text =
        String::with_capacity(HEAD.len() + base64.encoded_length(audio.len()) + TAIL.len());
    text.push_str(HEAD);
    base64.encode_append(audio, &mut text);
    text.push_str(TAIL);
    text
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RealtimeInput<T> {
    realtime_input: T,
}

/// A text to which the model answers.
pub(super) fn text(text: &str) -> String {
    write(&RealtimeInput {
        realtime_input: Part { text },
    })
}

/// No audio comes for a while: what was heard so far is to be taken as it is.
pub(super) fn audio_stream_end() -> String {
    r#"{"realtimeInput":{"audioStreamEnd":true}}"#.to_owned()
}

/// The caller's turn begins or ends by our word, where the service does not detect it.
pub(super) fn activity(start: bool) -> String {
    if start {
        r#"{"realtimeInput":{"activityStart":{}}}"#.to_owned()
    } else {
        r#"{"realtimeInput":{"activityEnd":{}}}"#.to_owned()
    }
}

/// The conversation so far.
pub(super) fn history(items: &[HistoryItem], turn_complete: bool) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Message<'a> {
        client_content: Body<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        turns: Vec<Content<'a>>,
        turn_complete: bool,
    }
    let turns = items
        .iter()
        .map(|item| Content {
            role: Some(match item.role {
                Role::User | Role::System => "user",
                Role::Assistant => "model",
            }),
            parts: [Part { text: &item.text }],
        })
        .collect();
    write(&Message {
        client_content: Body {
            turns,
            turn_complete,
        },
    })
}

/// The answer to one tool call.
pub(super) struct ToolOutput {
    /// Id of the service; empty when it gave none.
    pub(super) id: String,
    /// Name of the tool.
    pub(super) name: String,
    /// What it gave.
    pub(super) output: String,
}

/// The answers to all calls of a turn, in one message: the model goes on after it.
pub(super) fn tool_response(outputs: &[ToolOutput]) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Message<'a> {
        tool_response: Body<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        function_responses: Vec<Answer<'a>>,
    }
    #[derive(Serialize)]
    struct Answer<'a> {
        #[serde(skip_serializing_if = "str::is_empty")]
        id: &'a str,
        name: &'a str,
        response: Response<'a>,
    }
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Response<'a> {
        Object(Box<RawValue>),
        Text { output: &'a str },
    }
    let function_responses = outputs
        .iter()
        .map(|answer| Answer {
            id: &answer.id,
            name: &answer.name,
            response: match object(&answer.output) {
                Some(object) => Response::Object(object),
                None => Response::Text {
                    output: &answer.output,
                },
            },
        })
        .collect();
    write(&Message {
        tool_response: Body { function_responses },
    })
}
