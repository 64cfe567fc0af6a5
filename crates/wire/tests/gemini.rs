//! A Gemini session as its conversation is told: turns, tools, interruptions, the end of a connection.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test may fail, and looks at a few events of many"
)]

use std::time::{Duration, Instant};

use wire::gemini::{Conversation, UTTERANCE_QUIET_MS_MAX};
use wire::realtime::{
    EngineEvent, HistoryItem, ResponseRequest, ResponseStatus, Role, SessionSettings,
    ToolDefinition, Transcription,
};

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a test has a clock")]
    let now = Instant::now();
    now
}

fn settings() -> SessionSettings {
    SessionSettings {
        transcription: Some(Transcription::default()),
        tools: vec![ToolDefinition {
            name: "lookup".to_owned(),
            description: String::new(),
            parameters_json: "{}".to_owned(),
        }],
        ..SessionSettings::telephone("gemini-3.8-live", "Be kind.")
    }
}

fn ready() -> Conversation {
    let mut conversation = Conversation::new(settings());
    assert!(
        conversation
            .poll_send()
            .unwrap()
            .starts_with(r#"{"setup":"#)
    );
    assert_eq!(
        conversation.poll_send(),
        None,
        "nothing before the setup is complete"
    );
    conversation.handle_text(now(), r#"{"setupComplete":{}}"#);
    assert_eq!(conversation.poll_event(), Some(EngineEvent::Ready));
    conversation
}

#[test]
fn a_tool_call_before_the_setup_is_complete_is_no_call() {
    let mut conversation = Conversation::new(settings());
    assert!(conversation.poll_send().is_some());
    let call = r#"{"toolCall":{"functionCalls":[{"id":"call_1","name":"lookup","args":{}}]}}"#;
    conversation.handle_text(now(), call);
    assert_eq!(events(&mut conversation), []);
    conversation.submit_tool_output("call_1", "done");
    assert_eq!(conversation.poll_send(), None);
}

fn events(conversation: &mut Conversation) -> Vec<EngineEvent> {
    std::iter::from_fn(|| conversation.poll_event()).collect()
}

/// The events in short.
fn names(conversation: &mut Conversation) -> Vec<String> {
    events(conversation)
        .iter()
        .map(|event| match event {
            EngineEvent::ResponseStarted { response } => format!("started {response}"),
            EngineEvent::ResponseDone {
                response, status, ..
            } => match status {
                ResponseStatus::Completed => format!("done {response}"),
                ResponseStatus::Cancelled { reason } => format!("cancelled {response} {reason}"),
                other @ (ResponseStatus::Incomplete { .. } | ResponseStatus::Failed { .. }) => {
                    format!("{other:?}")
                }
            },
            EngineEvent::Audio { item, audio, .. } => format!("audio {item} {}", audio.len()),
            EngineEvent::AudioDone { item } => format!("audio done {item}"),
            EngineEvent::AgentTranscript { item, text } => format!("agent {item} {text}"),
            EngineEvent::UserTranscript { item, text } => format!("user {item} {text}"),
            EngineEvent::SpeechStarted { item, .. } => format!("speaks {item}"),
            EngineEvent::SpeechStopped { item, .. } => format!("silent {item}"),
            EngineEvent::ToolCalled {
                call_id,
                name,
                arguments,
                ..
            } => format!("tool {call_id} {name} {arguments}"),
            other => format!("{other:?}")
                .split([' ', '('])
                .next()
                .unwrap_or_default()
                .to_owned(),
        })
        .filter(|name| name != "UserCommitted" && name != "AgentTranscriptDelta")
        .collect()
}

const AUDIO: &str = r#"{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm;rate=24000","data":"AAAAAAAA"}}]}}}"#;

fn ask(instructions: Option<&str>) -> ResponseRequest {
    ResponseRequest {
        instructions: instructions.map(str::to_owned),
        ..ResponseRequest::default()
    }
}

#[test]
fn a_turn_has_the_order_that_the_session_relies_on() {
    let mut conversation = ready();
    for message in [
        r#"{"serverContent":{"inputTranscription":{"text":"Bonjour, "}}}"#,
        r#"{"serverContent":{"inputTranscription":{"text":"c'est ouvert ?"}}}"#,
        AUDIO,
        r#"{"serverContent":{"outputTranscription":{"text":"Oui, "}}}"#,
        AUDIO,
        r#"{"serverContent":{"generationComplete":true}}"#,
        r#"{"serverContent":{"outputTranscription":{"text":"entrez."}}}"#,
        r#"{"serverContent":{"turnComplete":true},"usageMetadata":{"promptTokenCount":30,"responseTokenCount":12,"totalTokenCount":42,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":20},{"modality":"TEXT","tokenCount":10}],"responseTokensDetails":[{"modality":"AUDIO","tokenCount":12}]}}"#,
    ] {
        conversation.handle_binary(now(), message.as_bytes());
    }
    let all = events(&mut conversation);
    let usage = all.iter().find_map(|event| match event {
        EngineEvent::UsageReported { usage } => Some(*usage),
        _ => None,
    });
    let usage = usage.expect("usage was told");
    assert_eq!(
        (
            usage.input_tokens,
            usage.input_audio_tokens,
            usage.output_audio_tokens,
            usage.total_tokens
        ),
        (30, 20, 12, 42)
    );
    let order: Vec<String> = all
        .iter()
        .map(|event| {
            format!("{event:?}")
                .split([' ', '{'])
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    assert_eq!(
        order,
        [
            "SpeechStarted",
            "SpeechStopped",
            "UserCommitted",
            "UserTranscript",
            "ResponseStarted",
            "Audio",
            "AgentTranscriptDelta",
            "Audio",
            "AudioDone",
            "ResponseDone",
            "AgentTranscriptDelta",
            "AgentTranscript",
            "UsageReported"
        ]
    );
    assert!(all.contains(&EngineEvent::UserTranscript {
        item: "gem_u1".to_owned(),
        text: "Bonjour, c'est ouvert ?".to_owned()
    }));
    assert!(all.iter().any(
        |event| matches!(event, EngineEvent::AgentTranscript { text, .. } if text == "Oui, entrez.")
    ));
}

#[test]
fn an_interruption_is_speech_and_cuts_the_answer_also_while_it_is_played() {
    let mut conversation = ready();
    conversation.handle_text(now(), AUDIO);
    conversation.handle_text(now(), r#"{"serverContent":{"interrupted":true}}"#);
    assert_eq!(
        names(&mut conversation),
        [
            "started gem_r1",
            "audio gem_i1 6",
            "speaks gem_u1",
            "cancelled gem_r1 turn_detected"
        ]
    );
    conversation.handle_text(now(), r#"{"serverContent":{"turnComplete":true}}"#);
    assert_eq!(names(&mut conversation), [""; 0], "the caller still speaks");
    conversation.handle_text(now(), AUDIO);
    conversation.handle_text(now(), r#"{"serverContent":{"generationComplete":true}}"#);
    conversation.handle_text(now(), r#"{"serverContent":{"interrupted":true}}"#);
    assert_eq!(
        names(&mut conversation),
        [
            "silent gem_u1",
            "user gem_u1 ",
            "started gem_r2",
            "audio gem_i2 6",
            "audio done gem_i2",
            "done gem_r2",
            "speaks gem_u2"
        ]
    );
    assert_eq!(
        conversation.poll_send(),
        None,
        "there is nothing to truncate"
    );
}

#[test]
fn parallel_calls_are_answered_together_and_the_model_goes_on_by_itself() {
    let mut conversation = ready();
    conversation.handle_text(now(), r#"{"toolCall":{"functionCalls":[{"id":"a","name":"lookup","args":{"q":1}},{"name":"lookup"}]}}"#);
    assert_eq!(
        names(&mut conversation),
        [
            "started gem_r1",
            r#"tool a lookup {"q":1}"#,
            "tool gem_call1 lookup {}",
            "done gem_r1"
        ]
    );
    conversation.create_response(ResponseRequest {
        optional: true,
        ..ask(Some("Say that you are looking."))
    });
    assert_eq!(
        names(&mut conversation),
        ["started gem_r2", "cancelled gem_r2 engine_busy"],
        "a text would void the calls"
    );
    conversation.submit_tool_output("gem_call1", "closed");
    assert_eq!(conversation.poll_send(), None);
    conversation.submit_tool_output("a", r#"{"open":true}"#);
    assert_eq!(
        conversation.poll_send().unwrap(),
        r#"{"toolResponse":{"functionResponses":[{"id":"a","name":"lookup","response":{"open":true}},{"name":"lookup","response":{"output":"closed"}}]}}"#
    );
    conversation.create_response(ask(None));
    assert_eq!(conversation.poll_send(), None, "it goes on by itself");
    conversation.handle_text(now(), AUDIO);
    assert_eq!(names(&mut conversation)[0], "started gem_r3");
}

#[test]
fn a_call_that_was_taken_back_is_told_with_the_next_text() {
    let mut conversation = ready();
    conversation.handle_text(
        now(),
        r#"{"toolCall":{"functionCalls":[{"id":"a","name":"lookup","args":{}}]}}"#,
    );
    conversation.handle_text(now(), r#"{"toolCallCancellation":{"ids":["a"]}}"#);
    conversation.submit_tool_output("a", "order 7");
    assert_eq!(conversation.poll_send(), None);
    conversation.create_response(ask(None));
    assert_eq!(
        conversation.poll_send().unwrap(),
        r#"{"realtimeInput":{"text":"(The result of an earlier tool call: order 7)"}}"#
    );
}

#[test]
fn what_comes_of_a_cancelled_answer_is_dropped_until_its_end() {
    let mut conversation = ready();
    conversation.handle_text(now(), AUDIO);
    events(&mut conversation);
    conversation.handle_text(now(), AUDIO);
    conversation.cancel_response();
    assert_eq!(
        names(&mut conversation),
        ["cancelled gem_r1 client_cancelled"]
    );
    conversation.handle_text(now(), AUDIO);
    assert_eq!(names(&mut conversation), [""; 0]);
    assert_eq!(conversation.counters().late_deltas, 2);
    // A goodbye is asked for meanwhile: the service says that it was interrupted, which is no speech of the caller.
    conversation.create_response(ask(Some("Say goodbye.")));
    assert_eq!(
        conversation.poll_send().unwrap(),
        r#"{"realtimeInput":{"text":"(Say goodbye.)"}}"#
    );
    conversation.handle_text(now(), r#"{"serverContent":{"interrupted":true}}"#);
    conversation.handle_text(now(), r#"{"serverContent":{"turnComplete":true}}"#);
    conversation.handle_text(now(), AUDIO);
    assert_eq!(
        names(&mut conversation),
        ["started gem_r2", "audio gem_i2 6"]
    );
}

#[test]
fn a_new_connection_is_told_what_was_said_or_resumes_by_its_handle() {
    let history = [HistoryItem {
        role: Role::User,
        text: "Une table.".to_owned(),
    }];
    let mut fresh = Conversation::new(settings());
    fresh.replay(&history);
    assert!(
        fresh
            .poll_send()
            .unwrap()
            .contains(r#""historyConfig":{"initialHistoryInClientContent":true}"#)
    );
    fresh.handle_text(now(), r#"{"setupComplete":{}}"#);
    assert_eq!(
        fresh.poll_send().unwrap(),
        r#"{"clientContent":{"turns":[{"role":"user","parts":[{"text":"Une table."}]}],"turnComplete":true}}"#
    );
    fresh.handle_text(
        now(),
        r#"{"sessionResumptionUpdate":{"newHandle":"h1","resumable":true}}"#,
    );
    fresh.handle_text(
        now(),
        r#"{"sessionResumptionUpdate":{"newHandle":"h2","resumable":false}}"#,
    );
    assert_eq!(fresh.resumption_handle(), Some("h1"));
    fresh.handle_text(now(), r#"{"goAway":{"timeLeft":"9.5s"}}"#);
    assert!(events(&mut fresh).contains(&EngineEvent::GoingAway {
        left_ms: Some(9_500)
    }));

    let mut resumed = Conversation::new(settings());
    resumed.replay(&history);
    resumed.resume_with("h1");
    assert!(
        resumed
            .poll_send()
            .unwrap()
            .contains(r#""sessionResumption":{"handle":"h1"}"#)
    );
    resumed.handle_text(now(), r#"{"setupComplete":{}}"#);
    assert_eq!(resumed.poll_send(), None, "it is known there");
}

#[test]
fn speech_of_which_no_more_words_come_is_over() {
    let mut conversation = ready();
    let start = now();
    conversation.handle_text(
        start,
        r#"{"serverContent":{"inputTranscription":{"text":"Euh"}}}"#,
    );
    assert_eq!(names(&mut conversation), ["speaks gem_u1"]);
    let due = conversation.poll_timeout().unwrap();
    assert_eq!(due, start + Duration::from_millis(UTTERANCE_QUIET_MS_MAX));
    conversation.handle_timeout(due);
    assert_eq!(
        names(&mut conversation),
        ["silent gem_u1", "user gem_u1 Euh"]
    );
}

#[test]
fn nonsense_is_counted_and_never_more() {
    let mut conversation = ready();
    for text in ["", "7", "[]", "nonsense", "null"] {
        conversation.handle_text(now(), text);
    }
    conversation.handle_binary(now(), &[0xff, 0xfe]);
    assert_eq!(conversation.counters().malformed, 6);
    for text in [
        r#"{"future":{}}"#,
        r#"{"serverContent":7,"toolCall":[],"goAway":"x","usageMetadata":null,"sessionResumptionUpdate":3}"#,
        r#"{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm;rate=8000","data":"AAAA"}},{"inlineData":{"data":"!!!"}},5]}}}"#,
        r#"{"toolCall":{"functionCalls":[{"id":{},"args":[]}]}}"#,
    ] {
        conversation.handle_text(now(), text);
    }
    assert!(events(&mut conversation).iter().all(|event| matches!(
        event,
        EngineEvent::Ignored { .. } | EngineEvent::GoingAway { left_ms: None }
    )));
}

#[test]
fn what_the_model_says_after_a_call_that_ends_the_talk_is_dropped() {
    let mut conversation = ready();
    conversation.handle_text(
        now(),
        r#"{"toolCall":{"functionCalls":[{"id":"a","name":"end_call","args":{}}]}}"#,
    );
    conversation.silence_after("a");
    conversation.submit_tool_output("a", "{}");
    events(&mut conversation);
    conversation.handle_text(now(), AUDIO);
    assert_eq!(names(&mut conversation), [""; 0]);
    conversation.handle_text(
        now(),
        r#"{"serverContent":{"generationComplete":true,"turnComplete":true}}"#,
    );
    conversation.handle_text(now(), AUDIO);
    assert_eq!(names(&mut conversation)[0], "started gem_r2");
}
