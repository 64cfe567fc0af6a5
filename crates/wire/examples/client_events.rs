//! Prints every client event of a long scripted conversation, and of a session with each setting, as
//! JSON lines. `tests/judge_openai.py` checks them against the types of the official Python package.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use wire::realtime::{
    AudioFormat, Conversation, Dialect, Eagerness, Generation, HistoryItem, MaxOutputTokens,
    NoiseField, NoiseReduction, ReasoningEffort, ResponseRequest, Role, ServerVad, SessionSettings,
    ToolChoice, ToolDefinition, Transcription, TranscriptionDelay, Truncation, TurnDetection,
};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    #[expect(clippy::disallowed_methods, reason = "an example has a clock")]
    let start = Instant::now();
    for settings in all_settings() {
        let mut conversation = Conversation::new(settings, Dialect::Ga);
        set_up(&mut conversation, start);
        print(&mut out, &mut conversation)?;
    }
    for settings in [
        everything(AudioFormat::Pcmu),
        everything(AudioFormat::Pcm24k),
    ] {
        long_conversation(&mut out, settings, start)?;
    }
    Ok(())
}

fn print(out: &mut impl Write, conversation: &mut Conversation) -> io::Result<()> {
    while conversation.poll_event().is_some() {}
    while let Some(text) = conversation.poll_send() {
        writeln!(out, "{text}")?;
    }
    Ok(())
}

fn set_up(conversation: &mut Conversation, now: Instant) {
    conversation.handle_text(
        now,
        r#"{"type":"session.created","session":{"id":"sess_1","expires_at":1795230000}}"#,
    );
    conversation.handle_text(
        now,
        r#"{"type":"session.updated","session":{"id":"sess_1"}}"#,
    );
}

fn everything(format: AudioFormat) -> SessionSettings {
    let tool = |name: &str, parameters_json: &str| ToolDefinition {
        name: name.to_owned(),
        description: "Says \"what\" it does.\nIn two lines.".to_owned(),
        parameters_json: parameters_json.to_owned(),
    };
    SessionSettings {
        model: "gpt-realtime-2.1".to_owned(),
        voice: Some("marin".to_owned()),
        instructions: "Répondez en français.\nSoyez « bref ».".to_owned(),
        input_format: format,
        output_format: format,
        turn_detection: TurnDetection::Server(ServerVad {
            threshold: 0.65,
            prefix_padding_ms: 250,
            silence_duration_ms: 450,
            idle_timeout_ms: Some(8_000),
            create_response: true,
            interrupt_response: true,
        }),
        transcription: Some(Transcription {
            model: "gpt-transcribe".to_owned(),
            language: Some("fr".to_owned()),
            prompt: Some("Réservations".to_owned()),
            ..Transcription::default()
        }),
        noise_reduction: Some(NoiseReduction::NEAR_FIELD),
        tools: vec![
            tool(
                "lookup",
                r#"{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}"#,
            ),
            tool("end_call", "not JSON at all"),
        ],
        tool_choice: ToolChoice::Auto,
        speed: Some(1.1),
        generation: Generation {
            reasoning_effort: Some(ReasoningEffort::Low),
            max_output_tokens: Some(MaxOutputTokens::Limit(2_048)),
            ..Generation::default()
        },
        text_only: false,
    }
}

/// One session a setting, so that each value is seen.
fn all_settings() -> Vec<SessionSettings> {
    let plain = SessionSettings::telephone("gpt-realtime-2.1", "");
    let full = everything(AudioFormat::Pcma);
    let mut all = vec![plain.clone(), full.clone()];
    let mut with = |change: &dyn Fn(&mut SessionSettings)| {
        let mut settings = full.clone();
        change(&mut settings);
        all.push(settings);
    };
    for eagerness in [
        Eagerness::Low,
        Eagerness::Medium,
        Eagerness::High,
        Eagerness::Auto,
    ] {
        with(&|settings| {
            settings.turn_detection = TurnDetection::Semantic {
                eagerness,
                create_response: false,
                interrupt_response: false,
            };
        });
    }
    with(&|settings| settings.turn_detection = TurnDetection::Manual);
    with(&|settings| settings.turn_detection = TurnDetection::Server(ServerVad::default()));
    with(&|settings| {
        settings.turn_detection = TurnDetection::Server(ServerVad {
            threshold: f32::NAN,
            ..ServerVad::default()
        });
    });
    with(&|settings| settings.noise_reduction = Some(NoiseReduction::FAR_FIELD));
    with(&|settings| {
        settings.transcription = Some(Transcription {
            model: "gpt-live-transcribe".to_owned(),
            languages: vec!["fr".to_owned(), "en".to_owned()],
            keywords: vec!["sole meunière".to_owned()],
            delay: Some(TranscriptionDelay::Low),
            ..Transcription::default()
        });
    });
    for choice in [
        ToolChoice::None,
        ToolChoice::Required,
        ToolChoice::Function("lookup".to_owned()),
    ] {
        with(&|settings| settings.tool_choice = choice.clone());
    }
    for effort in [
        ReasoningEffort::Minimal,
        ReasoningEffort::Low,
        ReasoningEffort::Medium,
        ReasoningEffort::High,
        ReasoningEffort::XHigh,
    ] {
        with(&|settings| settings.generation.reasoning_effort = Some(effort));
    }
    with(&|settings| settings.generation.max_output_tokens = Some(MaxOutputTokens::Unlimited));
    for speed in [0.01, 0.25, 1.5, 9.0, f32::INFINITY] {
        with(&|settings| settings.speed = Some(speed));
    }
    more_settings(&mut with);
    for (input, output) in [
        (AudioFormat::Pcmu, AudioFormat::Pcm24k),
        (AudioFormat::Pcm24k, AudioFormat::Pcma),
    ] {
        with(&|settings| (settings.input_format, settings.output_format) = (input, output));
    }
    all
}

type Change<'a> = &'a dyn Fn(&mut SessionSettings);

/// What came with the newer models.
fn more_settings(with: &mut dyn FnMut(Change<'_>)) {
    for strength in [0.0, 0.4, 7.0, f32::NAN] {
        with(&|settings| {
            settings.noise_reduction = Some(NoiseReduction {
                field: NoiseField::Far,
                strength: Some(strength),
            });
        });
    }
    for delay in [
        TranscriptionDelay::Minimal,
        TranscriptionDelay::Low,
        TranscriptionDelay::Medium,
        TranscriptionDelay::High,
        TranscriptionDelay::XHigh,
    ] {
        for model in ["gpt-live-transcribe", "gpt-realtime-whisper", "whisper-1"] {
            with(&|settings| {
                settings.transcription = Some(Transcription {
                    model: model.to_owned(),
                    prompt: Some("Les Tilleuls".to_owned()),
                    keywords: vec!["bar".to_owned()],
                    delay: Some(delay),
                    ..Transcription::default()
                });
            });
        }
    }
    for truncation in [
        Truncation::Auto,
        Truncation::Disabled,
        Truncation::Retention {
            ratio: 0.8,
            post_instructions: None,
        },
        Truncation::Retention {
            ratio: f32::NAN,
            post_instructions: Some(5_000),
        },
    ] {
        with(&|settings| settings.generation.truncation = Some(truncation));
    }
    for parallel in [true, false] {
        with(&|settings| settings.generation.parallel_tool_calls = Some(parallel));
    }
    for model in ["gpt-realtime-1.5", "gpt-realtime-mini", "gpt-realtime-2"] {
        with(&|settings| {
            settings.model = model.to_owned();
            settings.generation.parallel_tool_calls = Some(true);
            settings.generation.temperature = Some(0.7);
        });
    }
    with(&|settings| settings.voice = Some("voice_1234".to_owned()));
    with(&|settings| settings.text_only = true);
}

/// Rotation, greeting, barge-in, tools, races, errors, muting, and the end.
fn long_conversation(
    out: &mut impl Write,
    settings: SessionSettings,
    start: Instant,
) -> io::Result<()> {
    let frame = vec![0x7f; settings.input_format.bytes_per_ms() * 20];
    let mut now = start;
    let mut conversation = Conversation::new(settings, Dialect::Ga);
    for _ in 0..50 {
        conversation.append_audio(now, &frame);
    }
    conversation.replay(&[
        HistoryItem {
            role: Role::System,
            text: "The call goes on.".to_owned(),
        },
        HistoryItem {
            role: Role::User,
            text: "Une table \"pour deux\".".to_owned(),
        },
        HistoryItem {
            role: Role::Assistant,
            text: "Pour quelle heure ?".to_owned(),
        },
    ]);
    conversation.submit_tool_output("call_of_before", "{}");
    set_up(&mut conversation, now);
    print(out, &mut conversation)?;
    let requests = [
        ResponseRequest::default(),
        ResponseRequest {
            instructions: Some("Greet.".to_owned()),
            tool_choice_none: true,
            audio: true,
            optional: false,
        },
        ResponseRequest {
            instructions: None,
            tool_choice_none: true,
            audio: true,
            optional: false,
        },
        ResponseRequest {
            instructions: Some("Write.".to_owned()),
            tool_choice_none: false,
            audio: false,
            optional: false,
        },
    ];
    for (turn, request) in requests.iter().cycle().take(40).enumerate() {
        conversation.create_response(request.clone());
        one_turn(&mut conversation, turn, &mut now, &frame);
        print(out, &mut conversation)?;
    }
    conversation.update_instructions("Say goodbye.");
    conversation.set_patience(Some(1_200));
    conversation.set_patience(None);
    conversation.set_input_muted(true);
    conversation.append_audio(now, &frame);
    conversation.set_input_muted(false);
    conversation.set_append_ms(100);
    for _ in 0..7 {
        conversation.append_audio(now, &frame);
    }
    conversation.commit_audio();
    conversation.clear_audio();
    conversation.add_message(Role::User, "The caller pressed 5.");
    print(out, &mut conversation)
}

fn one_turn(conversation: &mut Conversation, turn: usize, now: &mut Instant, frame: &[u8]) {
    let response = format!("resp_{turn}");
    let item = format!("item_{turn}");
    let mut hear = |text: String| conversation.handle_text(*now, &text);
    if turn % 5 == 4 {
        hear(
            r#"{"type":"error","error":{"type":"invalid_request_error","code":"conversation_already_has_active_response","message":"race"}}"#
                .to_owned(),
        );
        hear(
            r#"{"type":"response.done","response":{"id":"resp_other","status":"completed"}}"#
                .to_owned(),
        );
    }
    hear(format!(
        r#"{{"type":"response.created","response":{{"id":"{response}"}}}}"#
    ));
    hear(format!(
        r#"{{"type":"response.output_audio.delta","response_id":"{response}","item_id":"{item}","delta":"{}"}}"#,
        "gICA".repeat(1_600)
    ));
    if turn.is_multiple_of(3) {
        hear(format!(
            r#"{{"type":"response.function_call_arguments.done","response_id":"{response}","item_id":"f_{turn}","call_id":"call_{turn}","name":"lookup","arguments":"{{}}"}}"#
        ));
        conversation.submit_tool_output(&format!("call_{turn}"), r#"{"found":["a","b"]}"#);
        conversation.create_response(ResponseRequest::default());
    }
    if turn % 2 == 1 {
        conversation.cancel_response();
        conversation.truncate(&item, 37);
    } else {
        conversation.handle_text(
            *now,
            &format!(r#"{{"type":"input_audio_buffer.speech_started","audio_start_ms":1,"item_id":"u_{turn}"}}"#),
        );
        conversation.truncate(&item, 90_000);
        *now += Duration::from_millis(300);
    }
    conversation.append_audio(*now, frame);
    conversation.handle_text(
        *now,
        &format!(
            r#"{{"type":"response.done","response":{{"id":"{response}","status":"cancelled"}}}}"#
        ),
    );
    *now += Duration::from_millis(20);
}
