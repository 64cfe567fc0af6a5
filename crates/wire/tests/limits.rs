//! Every named bound, filled past its limit.
#![allow(clippy::unwrap_used, reason = "the whole file is a test")]

use std::time::Instant;

use wire::realtime::{
    AudioFormat, COMMANDS_MAX, Conversation, Dialect, EVENTS_MAX, EngineEvent, HistoryItem,
    ITEMS_MAX, MESSAGE_BYTES_MAX, PREBUFFER_MS_MAX, REPLAY_ITEMS_MAX, RESPONSE_REQUESTS_MAX,
    RESPONSE_RETRIES_MAX, ResponseRequest, Role, SENDS_MAX, SessionSettings, TOOL_CALLS_MAX,
    UNSENT_AUDIO_MS_MAX,
};

const CREATED: &str = r#"{"type":"session.created"}"#;
const UPDATED: &str = r#"{"type":"session.updated"}"#;

fn clock() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a test has a clock")]
    let now = Instant::now();
    now
}

fn new(format: AudioFormat) -> Conversation {
    let mut settings = SessionSettings::telephone("gpt-realtime-2.1", "");
    settings.input_format = format;
    Conversation::new(settings, Dialect::Ga)
}

fn ready() -> Conversation {
    let mut conversation = new(AudioFormat::Pcmu);
    conversation.handle_text(clock(), CREATED);
    conversation.handle_text(clock(), UPDATED);
    sent(&mut conversation);
    while conversation.poll_event().is_some() {}
    conversation
}

fn sent(conversation: &mut Conversation) -> Vec<String> {
    std::iter::from_fn(|| conversation.poll_send()).collect()
}

/// All audio of the append messages, decoded.
fn audio(messages: &[String]) -> Vec<u8> {
    let head = r#"{"type":"input_audio_buffer.append","audio":""#;
    messages
        .iter()
        .filter_map(|text| text.strip_prefix(head)?.strip_suffix("\"}"))
        .flat_map(|base64| base64_simd::STANDARD.decode_to_vec(base64).unwrap())
        .collect()
}

#[test]
fn the_prebuffer_keeps_the_latest_audio_in_order_and_whole_samples() {
    for format in [AudioFormat::Pcmu, AudioFormat::Pcm24k] {
        let mut conversation = new(format);
        let frame_bytes = format.bytes_per_ms() * 20;
        let frames = PREBUFFER_MS_MAX / 20 + 50;
        for number in 0..frames {
            let mut frame = vec![0; frame_bytes];
            frame[0] = u8::try_from(number % 251).unwrap();
            conversation.append_audio(clock(), &frame);
        }
        assert_eq!(conversation.counters().audio_dropped_ms, 1_000);
        conversation.handle_text(clock(), CREATED);
        conversation.handle_text(clock(), UPDATED);
        let kept = audio(&sent(&mut conversation));
        assert_eq!(
            kept.len(),
            format.bytes_per_ms() * usize::try_from(PREBUFFER_MS_MAX).unwrap()
        );
        for (position, frame) in kept.chunks(frame_bytes).enumerate() {
            assert_eq!(usize::from(frame[0]), (position + 50) % 251);
        }
    }
}

#[test]
fn one_giant_frame_cannot_grow_the_prebuffer() {
    let mut conversation = new(AudioFormat::Pcmu);
    conversation.append_audio(clock(), &vec![1; 8 * 60_000]);
    conversation.append_audio(clock(), &[2; 160]);
    conversation.handle_text(clock(), CREATED);
    conversation.handle_text(clock(), UPDATED);
    let kept = audio(&sent(&mut conversation));
    assert_eq!(kept.len(), 8 * usize::try_from(PREBUFFER_MS_MAX).unwrap());
    assert!(kept.ends_with(&[2; 160]));
}

#[test]
fn audio_that_the_socket_does_not_take_is_coalesced_and_bounded() {
    let mut conversation = ready();
    for _ in 0..UNSENT_AUDIO_MS_MAX / 20 + 500 {
        conversation.append_audio(clock(), &[7; 160]);
    }
    let messages = sent(&mut conversation);
    assert!(messages.len() <= usize::try_from(UNSENT_AUDIO_MS_MAX / 1_000).unwrap() + 1);
    assert_eq!(
        audio(&messages).len(),
        8 * usize::try_from(UNSENT_AUDIO_MS_MAX).unwrap()
    );
    assert_eq!(conversation.counters().audio_dropped_ms, 10_000);
}

#[test]
fn commands_before_the_engine_speaks_are_bounded() {
    let mut conversation = new(AudioFormat::Pcmu);
    for _ in 0..COMMANDS_MAX + 10 {
        conversation.add_message(Role::User, "hello");
    }
    conversation.handle_text(clock(), CREATED);
    assert_eq!(sent(&mut conversation).len(), COMMANDS_MAX + 1);
    assert_eq!(conversation.counters().overflow, 10);
}

#[test]
fn a_replay_keeps_the_latest_messages() {
    let mut conversation = new(AudioFormat::Pcmu);
    let history: Vec<HistoryItem> = (0..REPLAY_ITEMS_MAX + 3)
        .map(|number| HistoryItem {
            role: Role::Assistant,
            text: format!("number {number}"),
        })
        .collect();
    conversation.replay(&history);
    conversation.handle_text(clock(), CREATED);
    let messages = sent(&mut conversation);
    assert_eq!(messages.len(), REPLAY_ITEMS_MAX + 1);
    assert!(messages[1].contains("number 3\""));
    assert!(messages[REPLAY_ITEMS_MAX].contains(&format!("number {}\"", REPLAY_ITEMS_MAX + 2)));
}

#[test]
fn queues_that_nobody_drains_are_bounded() {
    let mut conversation = ready();
    for number in 0..SENDS_MAX + 5 {
        conversation.add_message(Role::User, &format!("{number}"));
    }
    for _ in 0..EVENTS_MAX + 5 {
        conversation.handle_text(clock(), r#"{"type":"novelty"}"#);
    }
    assert_eq!(conversation.counters().overflow, 10);
    assert_eq!(sent(&mut conversation).len(), SENDS_MAX);
    assert_eq!(
        std::iter::from_fn(|| conversation.poll_event()).count(),
        EVENTS_MAX
    );
}

#[test]
fn response_requests_are_bounded() {
    let mut conversation = ready();
    conversation.handle_text(
        clock(),
        r#"{"type":"response.created","response":{"id":"r"}}"#,
    );
    for _ in 0..RESPONSE_REQUESTS_MAX + 4 {
        conversation.create_response(ResponseRequest::default());
    }
    assert_eq!(conversation.counters().overflow, 4);
    assert!(sent(&mut conversation).is_empty());
}

#[test]
fn a_request_that_always_meets_another_response_is_given_up() {
    let mut conversation = ready();
    conversation.create_response(ResponseRequest::default());
    let mut requests = 0;
    let mut faults = Vec::new();
    for _ in 0..20 {
        requests += sent(&mut conversation).len();
        for text in [
            r#"{"type":"error","error":{"code":"conversation_already_has_active_response","message":"race"}}"#,
            r#"{"type":"response.done","response":{"id":"r","status":"completed"}}"#,
        ] {
            conversation.handle_text(clock(), text);
        }
        while let Some(event) = conversation.poll_event() {
            if let EngineEvent::Fault { benign, .. } = event {
                faults.push(benign);
            }
        }
    }
    assert_eq!(requests, usize::from(RESPONSE_RETRIES_MAX) + 1);
    assert_eq!(faults.iter().filter(|benign| !**benign).count(), 1);
}

#[test]
fn items_and_tool_calls_are_forgotten_oldest_first() {
    let mut conversation = ready();
    for number in 0..=ITEMS_MAX {
        conversation.handle_text(
            clock(),
            &format!(r#"{{"type":"response.output_audio.delta","response_id":"r","item_id":"item_{number}","delta":"AAAAAAAAAAAAAAAAAAAAAA=="}}"#),
        );
    }
    conversation.truncate("item_0", 1);
    assert!(sent(&mut conversation).is_empty());
    conversation.truncate("item_1", 1);
    assert_eq!(sent(&mut conversation).len(), 1);
    let call = |number: usize| {
        format!(
            r#"{{"type":"response.function_call_arguments.done","response_id":"r","item_id":"i","call_id":"call_{number}","name":"n","arguments":"{{}}"}}"#
        )
    };
    while conversation.poll_event().is_some() {}
    (0..=TOOL_CALLS_MAX)
        .chain([1])
        .for_each(|number| conversation.handle_text(clock(), &call(number)));
    assert_eq!(
        std::iter::from_fn(|| conversation.poll_event()).count(),
        TOOL_CALLS_MAX + 1
    );
}

#[test]
fn pattern_43_a_giant_message_is_dropped_unread() {
    let mut conversation = ready();
    let giant = format!(
        r#"{{"type":"novelty","x":"{}"}}"#,
        "y".repeat(MESSAGE_BYTES_MAX)
    );
    conversation.handle_text(clock(), &giant);
    conversation.handle_text(clock(), "");
    conversation.handle_text(clock(), &"[".repeat(100_000));
    assert_eq!(conversation.counters().malformed, 3);
    assert!(conversation.poll_event().is_none());
}

#[test]
fn what_was_said_before_readiness_waits_for_the_end_of_muting() {
    let mut conversation = new(AudioFormat::Pcmu);
    conversation.append_audio(clock(), &[1; 160]);
    conversation.set_input_muted(true);
    conversation.append_audio(clock(), &[2; 160]);
    conversation.handle_text(clock(), CREATED);
    conversation.handle_text(clock(), UPDATED);
    assert!(audio(&sent(&mut conversation)).is_empty());
    conversation.set_input_muted(false);
    conversation.append_audio(clock(), &[3; 160]);
    assert_eq!(
        audio(&sent(&mut conversation)),
        [[1; 160], [3; 160]].concat()
    );
}

#[test]
fn audio_that_waits_for_the_shell_is_gone_once_its_response_is_cancelled() {
    let mut conversation = ready();
    for text in [
        r#"{"type":"response.created","response":{"id":"r"}}"#,
        r#"{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"AAAA"}"#,
    ] {
        conversation.handle_text(clock(), text);
    }
    conversation.cancel_response();
    let left: Vec<EngineEvent> = std::iter::from_fn(|| conversation.poll_event()).collect();
    assert_eq!(
        left,
        [EngineEvent::ResponseStarted {
            response: "r".to_owned()
        }]
    );
    assert_eq!(conversation.counters().late_deltas, 1);
}

#[test]
fn without_audio_the_timeout_sends_what_is_due() {
    let mut conversation = ready();
    let now = clock();
    conversation.handle_text(now, r#"{"type":"response.created","response":{"id":"r"}}"#);
    assert_eq!(conversation.poll_timeout(), None);
    conversation.handle_text(
        now,
        r#"{"type":"input_audio_buffer.speech_started","item_id":"u"}"#,
    );
    let due = conversation
        .poll_timeout()
        .expect("the engine has to be told");
    conversation.handle_timeout(due);
    assert!(sent(&mut conversation)[0].contains("response.cancel"));
}
