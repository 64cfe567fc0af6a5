//! The path of each audio frame allocates the message and nothing else.
#![allow(clippy::unwrap_used, reason = "the whole file is a test")]
#![allow(unsafe_code, reason = "counting allocations takes an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use wire::realtime::{Conversation, Dialect, EngineEvent, SessionSettings};
use wire::twilio::{Dialect as Carrier, Outgoing, Stream, StreamEvent};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as required of the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as required of the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.with(Cell::get);
    let outcome = work();
    (ALLOCATIONS.with(Cell::get) - before, outcome)
}

fn ready(now: Instant) -> Conversation {
    let mut conversation = Conversation::new(
        SessionSettings::telephone("gpt-realtime-2.1", ""),
        Dialect::Ga,
    );
    conversation.handle_text(now, r#"{"type":"session.created"}"#);
    conversation.handle_text(now, r#"{"type":"session.updated"}"#);
    conversation.handle_text(
        now,
        r#"{"type":"response.created","response":{"id":"resp_1"}}"#,
    );
    while conversation.poll_event().is_some() || conversation.poll_send().is_some() {}
    conversation
}

#[test]
fn an_append_allocates_the_message_alone_and_at_its_exact_size() {
    #[expect(clippy::disallowed_methods, reason = "a test has a clock")]
    let now = Instant::now();
    let mut conversation = ready(now);
    for append_ms in [20, 60] {
        conversation.set_append_ms(append_ms);
        let frames = append_ms / 20;
        for round in 0..10 {
            let (allocations, text) = count(|| {
                for _ in 0..frames {
                    conversation.append_audio(now, &[0x55; 160]);
                }
                conversation.poll_send().unwrap()
            });
            assert_eq!(text.capacity(), text.len());
            // The first rounds fill the buffers that are used again.
            assert!(
                allocations == 1 || round < 2,
                "{allocations} allocations in round {round}"
            );
        }
    }
}

#[test]
fn a_delta_allocates_the_audio_and_the_name_of_its_response_alone() {
    #[expect(clippy::disallowed_methods, reason = "a test has a clock")]
    let now = Instant::now();
    let mut conversation = ready(now);
    let delta = format!(
        r#"{{"type":"response.output_audio.delta","event_id":"event_1","response_id":"resp_1","item_id":"item_1","output_index":0,"content_index":0,"delta":"{}"}}"#,
        "VVVV".repeat(1_000)
    );
    for round in 0..10 {
        let (allocations, event) = count(|| {
            conversation.handle_text(now, &delta);
            conversation.poll_event().unwrap()
        });
        assert!(matches!(event, EngineEvent::Audio { audio, .. } if audio.len() == 3_000));
        assert!(
            allocations == 2 || round < 2,
            "{allocations} allocations in round {round}"
        );
    }
}

#[test]
fn a_carriers_audio_allocates_nothing_inward_and_the_message_alone_outward() {
    #[expect(clippy::disallowed_methods, reason = "a test has a clock")]
    let begun = Instant::now();
    let mut stream = Stream::new(Carrier::Twilio);
    stream.handle_text(
        begun,
        r#"{"event":"start","streamSid":"MZ1","start":{"callSid":"CA1"}}"#,
    );
    while stream.poll_event().is_some() {}
    let heard = format!(
        r#"{{"event":"media","sequenceNumber":"7","media":{{"track":"inbound","chunk":"6","timestamp":"120","payload":"{}"}},"streamSid":"MZ1"}}"#,
        base64_simd::STANDARD.encode_to_string([0x55; 160])
    );
    for round in 0..20_u64 {
        let now = begun + Duration::from_millis(50 * round);
        let (inward, length) = count(|| {
            stream.handle_text(now, &heard);
            let Some(StreamEvent::Audio { audio, .. }) = stream.poll_event() else {
                return 0;
            };
            let length = audio.len();
            stream.take_back(audio);
            length
        });
        assert_eq!(length, 160);
        let (outward, text) = count(|| {
            stream.play(now, &[0x55; 480], false);
            stream.poll_output().unwrap()
        });
        let Outgoing::Text(text) = text else {
            panic!("a text");
        };
        assert_eq!(text.capacity(), text.len());
        let marks = std::iter::from_fn(|| stream.poll_output()).count();
        assert!(
            (inward == 0 && outward == 1) || marks > 0 || round < 2,
            "{inward} and {outward} allocations in round {round}"
        );
    }
}
