//! Recorded-style transcripts: what the engine sends, what is asked of the conversation, and after each
//! line exactly what comes out of it.
//!
//! `<` a message of the engine, `@` a command, `+` milliseconds that pass; `>` what we send, `!` the
//! events, `=` the counters at the end. `UPDATE_GOLDEN=1 cargo test -p wire` writes the outcome into the
//! files, to be read before it is kept.
#![allow(clippy::unwrap_used, reason = "the whole file is a test")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use wire::realtime::{
    AudioFormat, Conversation, Dialect, Eagerness, EngineEvent, HistoryItem, NoiseReduction,
    ResponseRequest, Role, ServerVad, SessionSettings, ToolChoice, ToolDefinition, Transcription,
    TurnDetection,
};

/// Every transcript and what it is for. A file that is not listed fails.
const TRANSCRIPTS: &[&str] = &[
    "barge_in.txt",
    "beta.txt",
    "errors.txt",
    "patience.txt",
    "race.txt",
    "refused.txt",
    "refused_beta_header.txt",
    "refused_without_event_id.txt",
    "rotation.txt",
    "strangers.txt",
    "tools.txt",
    "vad_turn.txt",
];

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn settings(name: &str) -> (SessionSettings, Dialect) {
    let mut settings = SessionSettings::telephone("gpt-realtime-2.1", "Be kind.");
    match name {
        "telephone" => (settings, Dialect::Ga),
        "tools" => {
            settings.tools = vec![ToolDefinition {
                name: "lookup".to_owned(),
                description: "Looks it up.".to_owned(),
                parameters_json: r#"{"type":"object","properties":{"q":{"type":"string"}}}"#
                    .to_owned(),
            }];
            settings.tool_choice = ToolChoice::Auto;
            (settings, Dialect::Ga)
        }
        "semantic" => {
            settings.turn_detection = TurnDetection::Semantic {
                eagerness: Eagerness::High,
                create_response: true,
                interrupt_response: false,
            };
            (settings, Dialect::Ga)
        }
        "beta" => {
            settings.voice = Some("alloy".to_owned());
            settings.input_format = AudioFormat::Pcma;
            settings.output_format = AudioFormat::Pcma;
            settings.turn_detection = TurnDetection::Server(ServerVad {
                idle_timeout_ms: Some(6_000),
                ..ServerVad::default()
            });
            settings.transcription = Some(Transcription {
                model: "whisper-1".to_owned(),
                language: Some("fr".to_owned()),
                ..Transcription::default()
            });
            settings.noise_reduction = Some(NoiseReduction::NEAR_FIELD);
            (settings, Dialect::Beta)
        }
        other => panic!("unknown settings {other}"),
    }
}

fn role(name: &str) -> Role {
    match name {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        other => panic!("unknown role {other}"),
    }
}

fn command(conversation: &mut Conversation, now: Instant, line: &str) {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    match verb {
        "append" => {
            let frame = vec![0xff; first.parse::<usize>().unwrap()];
            for _ in 0..second.parse::<usize>().unwrap() {
                conversation.append_audio(now, &frame);
            }
        }
        "append_ms" => conversation.set_append_ms(first.parse().unwrap()),
        "flush" => conversation.flush_audio(),
        "commit" => conversation.commit_audio(),
        "clear" => conversation.clear_audio(),
        "mute" => conversation.set_input_muted(true),
        "unmute" => conversation.set_input_muted(false),
        "create" | "text" => conversation.create_response(ResponseRequest {
            optional: false,
            instructions: (!rest.is_empty()).then(|| rest.to_owned()),
            tool_choice_none: false,
            audio: verb == "create",
        }),
        "cancel" => conversation.cancel_response(),
        "truncate" => conversation.truncate(first, second.parse().unwrap()),
        "tool" => conversation.submit_tool_output(first, second),
        "say" => conversation.add_message(role(first), second),
        "patience" => conversation.set_patience(first.parse().ok()),
        "instructions" => conversation.update_instructions(rest),
        "replay" => {
            conversation.replay(&[HistoryItem {
                role: role(first),
                text: second.to_owned(),
            }]);
        }
        other => panic!("unknown command {other}"),
    }
}

fn shorten(text: &str) -> String {
    let head = r#"{"type":"input_audio_buffer.append","audio":""#;
    match text
        .strip_prefix(head)
        .and_then(|rest| rest.strip_suffix(r#""}"#))
    {
        Some(audio) => {
            let bytes = base64_simd::STANDARD.decode_to_vec(audio).unwrap();
            assert!(
                bytes.iter().all(|byte| *byte == 0xff),
                "audio arrives as it was given"
            );
            format!("append of {} bytes", bytes.len())
        }
        None => text.to_owned(),
    }
}

fn describe(event: &EngineEvent) -> String {
    if let EngineEvent::Audio {
        response,
        item,
        audio,
    } = event
    {
        format!("Audio {response} {item} {} bytes", audio.len())
    } else {
        format!("{event:?}")
    }
}

fn run(script: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "a test has a clock")]
    let mut now = Instant::now();
    let mut conversation = None;
    let mut outcome = String::new();
    for line in script
        .lines()
        .filter(|line| !line.starts_with(['>', '!', '=']))
    {
        writeln!(outcome, "{line}").unwrap();
        let Some((mark, rest)) = line.split_once(' ') else {
            continue;
        };
        if mark == "settings" {
            let (settings, dialect) = settings(rest);
            conversation = Some(Conversation::new(settings, dialect));
            continue;
        }
        let Some(conversation) = conversation.as_mut() else {
            continue;
        };
        match mark {
            "<" => conversation.handle_text(now, rest),
            "@" => command(conversation, now, rest),
            "+" => now += Duration::from_millis(rest.parse().unwrap()),
            _ => {}
        }
        while let Some(event) = conversation.poll_event() {
            writeln!(outcome, "! {}", describe(&event)).unwrap();
        }
        while let Some(text) = conversation.poll_send() {
            writeln!(outcome, "> {}", shorten(&text)).unwrap();
        }
    }
    let conversation = conversation.expect("the script names its settings");
    let expires = conversation.expires_at_unix_s();
    writeln!(
        outcome,
        "= {:?} expires_at {expires:?}",
        conversation.counters()
    )
    .unwrap();
    outcome
}

#[test]
fn transcripts_come_out_as_written() {
    let mut failed = Vec::new();
    for name in TRANSCRIPTS {
        let path = data().join(name);
        let written = std::fs::read_to_string(&path).unwrap();
        let outcome = run(&written);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &outcome).unwrap();
        } else if outcome != written {
            failed.push(format!("{name}:\n{outcome}"));
        }
    }
    assert!(
        failed.is_empty(),
        "different outcome:\n{}",
        failed.join("\n")
    );
}

#[test]
fn every_transcript_is_listed() {
    let mut found: Vec<String> = std::fs::read_dir(data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, TRANSCRIPTS);
}
