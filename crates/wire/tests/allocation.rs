//! The path of each audio frame allocates the message and nothing else.
#![allow(clippy::unwrap_used, reason = "the whole file is a test")]
#![allow(unsafe_code, reason = "counting allocations takes an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

use wire::realtime::{Conversation, Dialect, EngineEvent, SessionSettings};

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
