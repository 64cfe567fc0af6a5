//! The engine's events, in any order and shape, between our own commands.
//!
//! The bytes are lines. A line that begins with a byte below 32 is a command of ours, any other one a message.
//! Promises: what we send is JSON of a known type, `Ready` and `Refused` come once, a tool call is reported once,
//! and no audio of a cancelled response comes through.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::bytes::Bytes;
use serde_json::Value;
use wire::realtime::{
    AudioFormat, Conversation, Dialect, EngineEvent, HistoryItem, RESPONSES_MAX, ResponseRequest,
    ResponseStatus, Role, SessionSettings, TOOL_CALLS_MAX,
};

/// Types of the client events of the service.
const SENT: [&str; 9] = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
];

#[derive(Default)]
struct Seen {
    ready: u32,
    refused: u32,
    tool_calls: BTreeSet<String>,
    cancelled: BTreeSet<String>,
}

pub fn target(data: &[u8]) {
    let (choices, script) = data.split_first().unwrap_or((&0, &[]));
    let mut settings = SessionSettings::telephone("gpt-realtime-2.1", "Be kind.");
    if choices & 1 != 0 {
        settings.input_format = AudioFormat::Pcm24k;
        settings.output_format = AudioFormat::Pcm24k;
    }
    let dialect = if choices & 2 != 0 {
        Dialect::Beta
    } else {
        Dialect::Ga
    };
    let mut now = Instant::now();
    let mut conversation = Conversation::new(settings, dialect);
    let mut seen = Seen::default();
    for line in script.split(|byte| *byte == b'\n') {
        match line.first() {
            Some(0..=31) => {
                let mut bytes = Bytes::new(line);
                act(&mut conversation, &mut now, &mut bytes);
            }
            Some(_) => conversation.handle_text(now, &String::from_utf8_lossy(line)),
            None => {
                now += Duration::from_millis(200);
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
        4 => {
            let ms = u32::from(bytes.byte()) * 16;
            let item = String::from_utf8_lossy(bytes.remainder()).into_owned();
            conversation.truncate(&item, ms);
        }
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
        take(event, seen);
    }
    while let Some(text) = conversation.poll_send() {
        let sent: Value = serde_json::from_str(&text).expect("what we send is JSON");
        let name = sent["type"].as_str().expect("with a type");
        assert!(SENT.contains(&name), "{name}");
        assert!(seen.refused == 0, "sent after the refusal: {name}");
    }
}

fn take(event: EngineEvent, seen: &mut Seen) {
    match event {
        EngineEvent::Ready => {
            seen.ready += 1;
            assert_eq!(seen.ready, 1, "ready twice");
            assert_eq!(seen.refused, 0, "ready after the refusal");
        }
        EngineEvent::Refused { .. } => {
            seen.refused += 1;
            assert_eq!(seen.refused, 1, "refused twice");
        }
        EngineEvent::ToolCalled { call_id, .. } => {
            let is_new = seen.tool_calls.insert(call_id);
            assert!(
                is_new || seen.tool_calls.len() > TOOL_CALLS_MAX,
                "a tool call twice"
            );
        }
        EngineEvent::ResponseStarted { response } => {
            seen.cancelled.remove(&response);
        }
        EngineEvent::ResponseDone {
            response, status, ..
        } => {
            if matches!(status, ResponseStatus::Cancelled { .. }) {
                seen.cancelled.insert(response);
            }
        }
        // A server that names no response cannot be held to one.
        EngineEvent::Audio { response, .. } => assert!(
            response.is_empty()
                || !seen.cancelled.contains(&response)
                || seen.cancelled.len() >= RESPONSES_MAX,
            "audio of the cancelled response {response}"
        ),
        EngineEvent::SpeechStarted { .. }
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
