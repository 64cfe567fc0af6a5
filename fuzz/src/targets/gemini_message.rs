//! The messages of Gemini Live, in any order and shape, between our own commands.
//!
//! The bytes are lines. A line that begins with a byte below 32 is a command of ours, any other one a message.
//! Promises: what we send is JSON of a known kind, the setup first and once; `Ready` comes once; a tool call is reported
//! once; a response begins before it ends, ends once, and no audio of it comes afterwards.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::bytes::Bytes;
use serde_json::Value;
use wire::gemini::Conversation;
use wire::realtime::{
    EngineEvent, HistoryItem, ResponseRequest, Role, SessionSettings, TOOL_CALLS_MAX,
    Transcription, TurnDetection,
};

/// Members of the messages that we send.
const SENT: [&str; 4] = ["setup", "clientContent", "realtimeInput", "toolResponse"];

#[derive(Default)]
struct Seen {
    sent: u64,
    ready: u32,
    tool_calls: BTreeSet<String>,
    open: BTreeSet<String>,
}

pub fn target(data: &[u8]) {
    let (choices, script) = data.split_first().unwrap_or((&0, &[]));
    let mut settings = SessionSettings::telephone("gemini-3.8-live", "Be kind.");
    settings.text_only = choices & 1 != 0;
    settings.transcription = (choices & 2 != 0).then(Transcription::default);
    if choices & 4 != 0 {
        settings.turn_detection = TurnDetection::Manual;
    }
    let mut now = Instant::now();
    let mut conversation = Conversation::new(settings);
    if choices & 8 != 0 {
        conversation.resume_with("handle");
    }
    let mut seen = Seen::default();
    for line in script.split(|byte| *byte == b'\n') {
        match line.first() {
            Some(0..=31) => {
                let mut bytes = Bytes::new(line);
                act(&mut conversation, &mut now, &mut bytes);
            }
            Some(_) => conversation.handle_binary(now, line),
            None => {
                now += Duration::from_millis(500);
                conversation.handle_timeout(now);
            }
        }
        drain(&mut conversation, &mut seen);
    }
}

fn act(conversation: &mut Conversation, now: &mut Instant, bytes: &mut Bytes<'_>) {
    match bytes.byte() {
        0 => *now += Duration::from_millis(u64::from(bytes.byte()) * 50),
        1 => {
            let frame = vec![0x55; usize::from(bytes.byte()) * 16];
            conversation.append_audio(*now, &frame);
        }
        2 => conversation.create_response(ResponseRequest {
            instructions: bytes.flag().then(|| bytes.text()),
            tool_choice_none: bytes.flag(),
            audio: !bytes.flag(),
            optional: bytes.flag(),
        }),
        3 => conversation.cancel_response(),
        5 => conversation.submit_tool_output("call_1", &bytes.text()),
        6 => conversation.set_input_muted(bytes.flag()),
        7 => conversation.commit_audio(),
        8 => conversation.clear_audio(),
        9 => conversation.set_append_ms(u32::from(bytes.byte()) * 8),
        11 => conversation.replay(&[HistoryItem {
            role: Role::User,
            text: bytes.text(),
        }]),
        12 => conversation.update_instructions(&bytes.text()),
        13 => conversation.add_message(Role::System, &bytes.text()),
        14 => conversation.flush_audio(),
        _ => conversation.handle_timeout(*now),
    }
}

fn drain(conversation: &mut Conversation, seen: &mut Seen) {
    while let Some(event) = conversation.poll_event() {
        take(&event, seen);
    }
    while let Some(text) = conversation.poll_send() {
        let sent: Value = serde_json::from_str(&text).expect("what we send is JSON");
        let members = sent.as_object().expect("an object");
        assert_eq!(members.len(), 1, "one member a message");
        let name = members.keys().next().expect("of one").as_str();
        assert!(SENT.contains(&name), "{name}");
        assert_eq!(name == "setup", seen.sent == 0, "the setup first and once");
        assert!(
            name == "setup" || seen.ready == 1,
            "{name} before the setup is complete"
        );
        seen.sent += 1;
    }
}

fn take(event: &EngineEvent, seen: &mut Seen) {
    match event {
        EngineEvent::Ready => {
            seen.ready += 1;
            assert_eq!(seen.ready, 1, "ready twice");
        }
        EngineEvent::ToolCalled { call_id, .. } => {
            let is_new = seen.tool_calls.insert(call_id.clone());
            assert!(
                is_new || seen.tool_calls.len() > TOOL_CALLS_MAX,
                "a tool call twice"
            );
        }
        EngineEvent::ResponseStarted { response } => {
            assert!(seen.open.insert(response.clone()), "{response} twice");
        }
        EngineEvent::ResponseDone { response, .. } => {
            assert!(seen.open.remove(response), "{response} ends unbegun");
        }
        EngineEvent::Audio {
            response, audio, ..
        } => {
            assert!(seen.open.contains(response), "audio outside of {response}");
            assert!(audio.len().is_multiple_of(2));
        }
        EngineEvent::Refused { .. }
        | EngineEvent::SpeechStarted { .. }
        | EngineEvent::SpeechStopped { .. }
        | EngineEvent::UserCommitted { .. }
        | EngineEvent::UserTranscript { .. }
        | EngineEvent::UserTranscriptFailed { .. }
        | EngineEvent::IdleTimeout
        | EngineEvent::AudioDone { .. }
        | EngineEvent::AgentTranscriptDelta { .. }
        | EngineEvent::AgentTranscript { .. }
        | EngineEvent::RateLimits { .. }
        | EngineEvent::ToolCancelled { .. }
        | EngineEvent::UsageReported { .. }
        | EngineEvent::GoingAway { .. }
        | EngineEvent::Expired
        | EngineEvent::ItemTruncated { .. }
        | EngineEvent::Ignored { .. }
        | EngineEvent::Fault { .. } => {}
    }
}
