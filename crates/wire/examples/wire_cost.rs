//! Prints what one append and one audio delta cost, in nanoseconds: `cargo run --release -p wire --example wire_cost`.

use std::hint::black_box;
use std::io::{self, Write};
use std::time::Instant;

use wire::realtime::{Conversation, Dialect, SessionSettings};

const ROUNDS: u32 = 200_000;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    #[expect(clippy::disallowed_methods, reason = "an example has a clock")]
    let clock = Instant::now;
    let now = clock();
    let mut conversation = Conversation::new(
        SessionSettings::telephone("gpt-realtime-2.1", ""),
        Dialect::Ga,
    );
    for text in [
        r#"{"type":"session.created"}"#,
        r#"{"type":"session.updated"}"#,
        r#"{"type":"response.created","response":{"id":"resp_CbZ2m1Qq0x7v3n5t8y1u4"}}"#,
    ] {
        conversation.handle_text(now, text);
    }
    while conversation.poll_event().is_some() || conversation.poll_send().is_some() {}
    for append_ms in [20, 40, 100] {
        conversation.set_append_ms(append_ms);
        let frame = [0x55_u8; 160];
        let start = clock();
        for _ in 0..ROUNDS {
            conversation.append_audio(now, black_box(&frame));
            while let Some(text) = conversation.poll_send() {
                black_box(text);
            }
        }
        report(
            &mut out,
            &format!("append of a 20 ms frame, {append_ms} ms a message"),
            start,
            clock(),
        )?;
    }
    for audio_ms in [20, 100, 400] {
        let delta = format!(
            r#"{{"type":"response.output_audio.delta","event_id":"event_CbZ2n8","response_id":"resp_CbZ2m1Qq0x7v3n5t8y1u4","item_id":"item_CbZ2m9Wf4r6t2y8u1i3o5","output_index":0,"content_index":0,"delta":"{}","obfuscation":"aB3dE5"}}"#,
            "VVVV".repeat(audio_ms * 8 / 3 + 1)
        );
        let start = clock();
        for _ in 0..ROUNDS {
            conversation.handle_text(now, black_box(&delta));
            while let Some(event) = conversation.poll_event() {
                black_box(event);
            }
        }
        report(&mut out, &format!("delta of {audio_ms} ms"), start, clock())?;
    }
    Ok(())
}

fn report(out: &mut impl Write, what: &str, start: Instant, end: Instant) -> io::Result<()> {
    let total = end.saturating_duration_since(start).as_nanos();
    writeln!(out, "{what}: {} ns", total / u128::from(ROUNDS))
}
