//! Damaged and disordered messages: whatever arrives, the conversation neither panics nor sends what the
//! protocol forbids. Seeded, so that a failure can be repeated.
#![allow(clippy::unwrap_used, reason = "the whole file is a test")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use wire::realtime::{
    AudioFormat, Conversation, Dialect, HistoryItem, ResponseRequest, Role, SessionSettings,
};

const ROUNDS: u64 = 3_000;

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// Every message of the engine in the transcripts.
fn corpus() -> Vec<String> {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
    names.sort();
    let mut messages = Vec::new();
    for name in names {
        let script = std::fs::read_to_string(name).unwrap();
        messages.extend(
            script
                .lines()
                .filter_map(|line| line.strip_prefix("< "))
                .map(str::to_owned),
        );
    }
    messages
}

fn damage(random: &mut Random, message: &str, other: &str) -> String {
    let mut bytes = message.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(
                at,
                *b"\"\\{}[],:0-e.\x00\x7f"
                    .get(random.below(15))
                    .unwrap_or(&b' '),
            ),
            2 if !bytes.is_empty() => {
                bytes.remove(at);
            }
            3 => {
                let tail = other.as_bytes();
                bytes.truncate(at);
                bytes.extend_from_slice(&tail[random.below(tail.len())..]);
            }
            4 => {
                let piece = [
                    &b"null"[..],
                    b"-1",
                    b"1e400",
                    b"18446744073709551616",
                    b"\"\\ud800\"",
                    b"[[[[{}]]]]",
                ];
                let piece = piece[random.below(piece.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(7);
                }
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Replaces one value inside a message that stays valid JSON.
fn change_a_value(random: &mut Random, message: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(message).ok()?;
    let depth = random.below(4);
    change(random, &mut value, depth);
    Some(value.to_string())
}

fn change(random: &mut Random, value: &mut Value, depth: usize) {
    let count = match value {
        Value::Object(fields) => fields.len(),
        Value::Array(entries) => entries.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    if depth > 0 && count > 0 {
        let at = random.below(count);
        let inner = match value {
            Value::Object(fields) => fields.values_mut().nth(at),
            Value::Array(entries) => entries.get_mut(at),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        };
        return inner.map_or((), |inner| change(random, inner, depth - 1));
    }
    let replacements = [
        Value::Null,
        Value::from(-7),
        Value::from(1e300),
        Value::from("text"),
        Value::from(vec![1, 2]),
        Value::from(true),
    ];
    *value = replacements[random.below(replacements.len())].clone();
}

fn act(random: &mut Random, conversation: &mut Conversation, now: Instant) {
    let frame = vec![0x55; random.below(400)];
    match random.below(14) {
        0..=3 => conversation.append_audio(now, &frame),
        4 => conversation.create_response(ResponseRequest::default()),
        5 => conversation.cancel_response(),
        6 => conversation.truncate("item_1", u32::try_from(random.below(400)).unwrap()),
        7 => conversation.submit_tool_output("call_1", "{}"),
        8 => conversation.set_input_muted(random.below(2) == 0),
        9 => conversation.commit_audio(),
        10 => conversation.set_append_ms(u32::try_from(random.below(3_000)).unwrap()),
        11 => conversation.replay(&[HistoryItem {
            role: Role::User,
            text: "again".to_owned(),
        }]),
        12 => conversation.set_patience([None, Some(1_200)][random.below(2)]),
        _ => conversation.update_instructions(&format!("instructions {}", random.below(3))),
    }
}

#[test]
fn damaged_messages_never_panic_and_what_we_send_stays_json() {
    #[expect(clippy::disallowed_methods, reason = "a test has a clock")]
    let start = Instant::now();
    let corpus = corpus();
    assert!(corpus.len() > 80, "the transcripts are the corpus");
    for seed in 0..ROUNDS {
        let mut random = Random(seed);
        let mut settings = SessionSettings::telephone("gpt-realtime-2.1", "");
        if seed % 3 == 0 {
            (settings.input_format, settings.output_format) =
                (AudioFormat::Pcm24k, AudioFormat::Pcm24k);
        }
        let dialect = if seed % 5 == 0 {
            Dialect::Beta
        } else {
            Dialect::Ga
        };
        let mut conversation = Conversation::new(settings, dialect);
        let mut now = start;
        for _ in 0..40 {
            let message = &corpus[random.below(corpus.len())];
            let other = &corpus[random.below(corpus.len())];
            let message = match random.below(4) {
                0 => damage(&mut random, message, other),
                1 => change_a_value(&mut random, message).unwrap_or_else(|| message.clone()),
                _ => message.clone(),
            };
            conversation.handle_text(now, &message);
            act(&mut random, &mut conversation, now);
            now += Duration::from_millis(u64::try_from(random.below(400)).unwrap());
            while conversation.poll_event().is_some() {}
            while let Some(text) = conversation.poll_send() {
                let sent: Value = serde_json::from_str(&text).expect("what we send is JSON");
                assert!(sent["type"].is_string(), "seed {seed}: {text}");
            }
        }
    }
}
