//! The agent of the settings: its engine, its second engine, and how it holds a conversation.

use call::profile::{Greeting, Language, Profile, ToolSpec};
use engine::config::{
    AgentConfig, EngineAudio, EngineChoice, KeyPlacement, RealtimeConfig, Secret,
};
use wire::realtime::{
    Eagerness, Generation, NoiseReduction, ReasoningEffort, ServerVad, Spelling, ToolDefinition,
    Transcription, TurnDetection,
};
use wire::{Protocol, Provider};

use super::{bad_value, limits};
use crate::phrases;
use crate::settings::{Problem, Settings};

pub(super) fn agent(settings: &Settings, problems: &mut Vec<Problem>) -> AgentConfig {
    let language = if settings.text("agent.language") == "en" {
        Language::En
    } else {
        Language::Fr
    };
    let mut profile = profile(settings, language);
    if settings.switch("recording.enabled") && settings.switch("recording.announce") {
        profile.disclosure = Some(phrases::recording(language));
    }
    let tools = profile
        .tools
        .iter()
        .map(|tool| ToolDefinition {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters_json: tool.parameters_json.clone(),
        })
        .collect();
    let engine = EngineChoice {
        realtime: realtime(settings, problems),
        voice: settings.set("agent.voice").map(str::to_owned),
        turn_detection: turn_detection(settings),
        transcription: settings
            .set("engine.transcription_model")
            .map(|model| Transcription {
                model: model.to_owned(),
                language: Some(settings.text("agent.language").to_owned()),
                ..Transcription::default()
            }),
        noise_reduction: match settings.text("engine.noise_reduction") {
            "near_field" => Some(NoiseReduction::NEAR_FIELD),
            "far_field" => Some(NoiseReduction::FAR_FIELD),
            _ => None,
        },
        speed: speed(settings),
        generation: Generation {
            reasoning_effort: reasoning_effort(settings.text("engine.reasoning_effort")),
            ..Generation::default()
        },
    };
    AgentConfig {
        name: settings.text("agent.name").to_owned(),
        instructions: settings
            .set("agent.instructions")
            .map_or_else(|| phrases::instructions(language).to_owned(), str::to_owned),
        profile,
        tools,
        fallback: fallback(settings, &engine, problems),
        engine,
        office: None,
    }
}

fn reasoning_effort(name: &str) -> Option<ReasoningEffort> {
    match name {
        "minimal" => Some(ReasoningEffort::Minimal),
        "low" => Some(ReasoningEffort::Low),
        "medium" => Some(ReasoningEffort::Medium),
        "high" => Some(ReasoningEffort::High),
        "xhigh" => Some(ReasoningEffort::XHigh),
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "0.25 to 1.5 by the setting's kind"
)]
fn speed(settings: &Settings) -> Option<f32> {
    let speed = settings.number("engine.speed") as f32;
    ((speed - 1.0).abs() > f32::EPSILON).then_some(speed)
}

fn profile(settings: &Settings, language: Language) -> Profile {
    let milliseconds =
        |key: &str| u32::try_from(settings.integer(key).saturating_mul(1000)).unwrap_or(u32::MAX);
    let ring_ms = u32::try_from(settings.integer("line.ring_ms")).unwrap_or(u32::MAX);
    Profile {
        greeting: match settings.text("agent.greeting") {
            "none" => Greeting::None,
            "" => Greeting::Model {
                instructions: phrases::greeting(language).to_owned(),
            },
            instructions => Greeting::Model {
                instructions: instructions.to_owned(),
            },
        },
        ring_ms_fixed: (ring_ms > 0).then_some(ring_ms),
        answer_bound_ms: u32::try_from(settings.integer("line.answer_bound_ms"))
            .unwrap_or(u32::MAX),
        dictation: phrases::dictation(
            language,
            u32::try_from(settings.integer("agent.dictation_patience_ms")).unwrap_or(u32::MAX),
        ),
        noise_interrupts: settings.switch("line.noise_interrupts"),
        echo_decision_ms: u32::try_from(settings.integer("line.echo_decision_ms"))
            .unwrap_or(u32::MAX),
        max_duration_ms: milliseconds("agent.max_call_duration_s"),
        idle_reprompt_ms: milliseconds("agent.idle_reprompt_s"),
        idle_reprompts_max: u8::try_from(settings.integer("agent.idle_reprompts"))
            .unwrap_or(u8::MAX),
        tools: vec![ToolSpec::end_call(), ToolSpec::send_dtmf()],
        language,
        phrases: phrases::phrases(language),
        ..Profile::default()
    }
}

fn turn_detection(settings: &Settings) -> TurnDetection {
    if settings.text("engine.turn_detection") == "semantic_vad" {
        return TurnDetection::Semantic {
            eagerness: match settings.text("engine.vad_eagerness") {
                "low" => Eagerness::Low,
                "medium" => Eagerness::Medium,
                "high" => Eagerness::High,
                _ => Eagerness::Auto,
            },
            create_response: true,
            interrupt_response: true,
        };
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "0 to 1 by the setting's kind"
    )]
    let threshold = settings.number("engine.vad_threshold") as f32;
    TurnDetection::Server(ServerVad {
        threshold,
        prefix_padding_ms: u32::try_from(settings.integer("engine.vad_prefix_padding_ms"))
            .unwrap_or(u32::MAX),
        silence_duration_ms: u32::try_from(settings.integer("engine.vad_silence_ms"))
            .unwrap_or(u32::MAX),
        ..ServerVad::default()
    })
}

fn realtime(settings: &Settings, problems: &mut Vec<Problem>) -> RealtimeConfig {
    let provider =
        Provider::from_name(settings.text("engine.provider")).unwrap_or(Provider::OpenAi);
    let url = settings.text("engine.url");
    let key = settings.text("engine.api_key");
    if key.is_empty()
        && (url.contains("api.openai.com") || (url.is_empty() && provider != Provider::Custom))
    {
        problems.push(Problem::new("config_missing_engine_key").with("variable", "OPENAI_API_KEY"));
    }
    let append_ms = limits::append_ms(settings, "engine.append_ms", problems);
    let mut realtime = preset(
        settings,
        "engine.url",
        provider,
        settings.text("engine.model"),
        key,
        problems,
    );
    let auth_header = settings.text("engine.auth_header");
    if !auth_header.is_empty() {
        realtime.key_placement = KeyPlacement::Header {
            scheme: if auth_header.eq_ignore_ascii_case("authorization") {
                "Bearer".to_owned()
            } else {
                String::new()
            },
            name: auth_header.to_owned(),
        };
    }
    if settings.text("engine.dialect") == "beta" {
        realtime.protocol = Protocol::Realtime(Spelling::BETA);
    }
    if settings.text("engine.audio") == "linear" {
        realtime.audio = EngineAudio::Linear;
    }
    realtime.append_ms = append_ms;
    realtime
}

/// A vendor's engine at the address of a setting.
fn preset(
    settings: &Settings,
    url_setting: &'static str,
    provider: Provider,
    model: &str,
    key: &str,
    problems: &mut Vec<Problem>,
) -> RealtimeConfig {
    let url = settings.text(url_setting);
    let scheme = url.split_once("://").map_or("wss", |(scheme, _)| scheme);
    let preset = RealtimeConfig::preset(provider, url, model, Secret::new(key));
    match preset.filter(|_| matches!(scheme, "ws" | "wss" | "http" | "https")) {
        Some(preset) => preset,
        None => {
            problems.push(bad_value(settings, url_setting, "wss://…, ws://…"));
            RealtimeConfig::default()
        }
    }
}

/// The second engine, when one is named. It listens as the first does.
fn fallback(
    settings: &Settings,
    first: &EngineChoice,
    problems: &mut Vec<Problem>,
) -> Option<EngineChoice> {
    let provider = Provider::from_name(settings.text("engine.fallback_provider"))?;
    let realtime = preset(
        settings,
        "engine.fallback_url",
        provider,
        settings.text("engine.fallback_model"),
        settings.text("engine.fallback_api_key"),
        problems,
    );
    Some(EngineChoice {
        realtime: RealtimeConfig {
            append_ms: first.realtime.append_ms,
            ..realtime
        },
        voice: settings.set("engine.fallback_voice").map(str::to_owned),
        ..first.clone()
    })
}
