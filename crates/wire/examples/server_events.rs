//! Reads one server event a line and prints, as a JSON line, what a conversation makes of it: in each
//! phase of the session the names of its events, the messages that it sends, and what it counts.
//! `tests/judge_openai.py` feeds it every event that the official Python package can produce.

use std::io::{self, BufRead, Write};
use std::time::Instant;

use serde_json::json;
use wire::realtime::{Conversation, Dialect, SessionSettings};

/// What brings a new session into each phase.
const PHASES: [&[&str]; 4] = [
    &[],
    &[r#"{"type":"session.created"}"#],
    &[
        r#"{"type":"session.created"}"#,
        r#"{"type":"session.updated"}"#,
    ],
    &[
        r#"{"type":"session.created"}"#,
        r#"{"type":"session.updated"}"#,
        r#"{"type":"response.created","response":{"id":"resp_active"}}"#,
    ],
];

fn main() -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "an example has a clock")]
    let now = Instant::now();
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (mut events, mut sent, mut malformed, mut ignored, mut unused) =
            (Vec::new(), 0, 0, 0, 0);
        for phase in PHASES {
            let settings = SessionSettings::telephone("gpt-realtime-2.1", "");
            let mut conversation = Conversation::new(settings, Dialect::Ga);
            phase
                .iter()
                .for_each(|text| conversation.handle_text(now, text));
            while conversation.poll_event().is_some() || conversation.poll_send().is_some() {}
            conversation.handle_text(now, &line);
            while let Some(event) = conversation.poll_event() {
                let name = format!("{event:?}");
                let end = name
                    .find(|letter: char| !letter.is_alphanumeric())
                    .unwrap_or(name.len());
                events.push(name[..end].to_owned());
            }
            while conversation.poll_send().is_some() {
                sent += 1;
            }
            let counters = conversation.counters();
            malformed += counters.malformed;
            ignored += counters.ignored;
            unused += counters.unused;
        }
        let outcome = json!({
            "events": events, "sent": sent, "malformed": malformed, "ignored": ignored, "unused": unused,
        });
        writeln!(out, "{outcome}")?;
    }
    Ok(())
}
