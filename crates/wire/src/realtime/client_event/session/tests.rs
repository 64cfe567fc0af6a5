use super::*;
use crate::realtime::Generation;

fn telephone() -> SessionSettings {
    SessionSettings::telephone("gpt-realtime-2.1", "Be \"kind\".")
}

#[test]
fn a_session_for_g711_carries_no_rate_and_nothing_that_was_not_set() {
    assert_eq!(
        session_update(1, Spelling::OPENAI, &telephone()),
        concat!(
            r#"{"type":"session.update","event_id":"allo_1","session":{"type":"realtime","#,
            r#""instructions":"Be \"kind\".","output_modalities":["audio"],"audio":{"input":{"#,
            r#""format":{"type":"audio/pcmu"},"turn_detection":{"type":"server_vad","threshold":0.5,"#,
            r#""prefix_padding_ms":300,"silence_duration_ms":500,"create_response":true,"#,
            r#""interrupt_response":true}},"output":{"format":{"type":"audio/pcmu"}}},"tools":[],"tracing":null}}"#
        )
    );
}

#[test]
fn manual_turns_are_a_null_and_pcm_carries_its_rate() {
    let mut settings = telephone();
    settings.turn_detection = TurnDetection::Manual;
    settings.input_format = AudioFormat::Pcm24k;
    let text = session_update(1, Spelling::OPENAI, &settings);
    assert!(
        text.contains(r#""format":{"type":"audio/pcm","rate":24000},"turn_detection":null"#),
        "{text}"
    );
}

#[test]
fn a_required_tool_without_tools_is_not_sent() {
    let mut settings = telephone();
    settings.tool_choice = ToolChoice::Required;
    assert!(!session_update(1, Spelling::OPENAI, &settings).contains("tool_choice"));
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
    settings.generation.reasoning_effort = Some(ReasoningEffort::Low);
    settings.generation.max_output_tokens = Some(MaxOutputTokens::Unlimited);
    settings.transcription = Some(Transcription {
        model: "whisper-1".to_owned(),
        keywords: vec!["sole".to_owned()],
        ..Transcription::default()
    });
    let text = session_update(1, Spelling::BETA, &settings);
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

#[test]
fn a_model_or_transcriber_gets_only_what_it_knows() {
    let mut settings = telephone();
    settings.generation = Generation {
        reasoning_effort: Some(ReasoningEffort::Low),
        parallel_tool_calls: Some(false),
        temperature: Some(0.7),
        ..Generation::default()
    };
    settings.tools = vec![ToolDefinition {
        name: "t".to_owned(),
        description: String::new(),
        parameters_json: "{}".to_owned(),
    }];
    settings.transcription = Some(Transcription {
        model: "gpt-live-transcribe".to_owned(),
        languages: vec!["fr".to_owned(), "en".to_owned()],
        keywords: vec!["sole".to_owned()],
        delay: Some(TranscriptionDelay::Low),
        ..Transcription::default()
    });
    let full = session_update(1, Spelling::OPENAI, &settings);
    for present in [
        r#""reasoning":{"effort":"low"}"#,
        r#""parallel_tool_calls":false"#,
        r#""languages":["fr","en"],"keywords":["sole"],"delay":"low""#,
    ] {
        assert!(full.contains(present), "{present} not in {full}");
    }
    assert!(!full.contains("temperature"), "{full}");
    settings.model = "gpt-realtime-1.5".to_owned();
    if let Some(transcription) = &mut settings.transcription {
        transcription.model = "whisper-1".to_owned();
    }
    let old = session_update(1, Spelling::OPENAI, &settings);
    for absent in [
        "reasoning",
        "parallel",
        "languages",
        "keywords",
        "delay",
        "temperature",
    ] {
        assert!(!old.contains(absent), "{absent} in {old}");
    }
}

#[test]
fn a_custom_voice_is_an_object_where_the_protocol_has_one() {
    let mut settings = telephone();
    settings.voice = Some("voice_1234".to_owned());
    let text = session_update(1, Spelling::OPENAI, &settings);
    assert!(text.contains(r#""voice":{"id":"voice_1234"}"#), "{text}");
}

#[test]
fn xai_has_a_flat_session_with_rates_and_none_of_openais_settings() {
    let mut settings = telephone();
    settings.voice = Some("eve".to_owned());
    settings.noise_reduction = Some(NoiseReduction::NEAR_FIELD);
    settings.speed = Some(1.2);
    settings.turn_detection = TurnDetection::Semantic {
        eagerness: Eagerness::High,
        create_response: true,
        interrupt_response: true,
    };
    assert_eq!(
        session_update(1, Spelling::XAI, &settings),
        concat!(
            r#"{"type":"session.update","event_id":"allo_1","session":{"instructions":"Be \"kind\".","#,
            r#""voice":"eve","turn_detection":{"type":"server_vad","threshold":0.5,"prefix_padding_ms":300,"#,
            r#""silence_duration_ms":400},"audio":{"input":{"format":{"type":"audio/pcmu","rate":8000}},"#,
            r#""output":{"format":{"type":"audio/pcmu","rate":8000}}},"tools":[]}}"#
        )
    );
}
