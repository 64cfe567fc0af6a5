//! A carrier's messages, in any order and shape, between our own commands.
//!
//! The bytes are lines. A line that begins with a byte below 32 is a command of ours or a step of time, any other one a message.
//! Promises: what we send is JSON that names the stream as the carrier did, the position never runs ahead of what was handed over nor
//! back between two clears, no more than the lead is handed over, `Started` and `Stopped` come once.

use std::time::{Duration, Instant};

use crate::bytes::Bytes;
use serde_json::Value;
use wire::twilio::{Dialect, LEAD_MS, Outgoing, Stream, StreamEvent};

/// Lead of the dialect with the largest pieces, ms.
const LEAD_MS_MAX: u64 = 400;

struct World {
    stream: Stream,
    now: Instant,
    handed: u64,
    heard: u64,
    started: u32,
    stopped: u32,
    id: String,
}

pub fn target(data: &[u8]) {
    let (choice, script) = data.split_first().unwrap_or((&0, &[]));
    let dialect = Dialect::ALL[usize::from(*choice) % Dialect::ALL.len()];
    let mut world = World {
        stream: Stream::new(dialect),
        now: Instant::now(),
        handed: 0,
        heard: 0,
        started: 0,
        stopped: 0,
        id: String::new(),
    };
    for line in script.split(|byte| *byte == b'\n') {
        match line.first() {
            Some(0..=31) => world.act(&mut Bytes::new(line)),
            Some(255) => world.stream.handle_binary(line),
            Some(_) => {
                let text = String::from_utf8_lossy(line);
                world.stream.handle_text(world.now, &text);
            }
            None => world.now += Duration::from_millis(20),
        }
        world.look();
    }
}

impl World {
    fn act(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 4 {
            0 => self.now += Duration::from_millis(u64::from(bytes.byte()) * 7),
            1 => {
                let room = self.stream.room(self.now, bytes.byte() & 1 != 0);
                assert!(room <= LEAD_MS_MAX.max(u64::from(LEAD_MS)) * 8);
                let size = self.stream.encoding().bytes_per_sample();
                let audio = vec![0; usize::try_from(room).unwrap_or_default() * size];
                self.stream.play(self.now, &audio, bytes.byte() & 1 != 0);
                self.handed += if self.stopped == 0 { room } else { 0 };
            }
            2 => {
                let heard = self.stream.clear(self.now);
                assert!(heard <= self.handed, "more heard than was handed over");
                assert!(heard >= self.heard, "less heard than before");
                self.handed = heard;
                self.heard = heard;
            }
            _ => self.stream.mark(self.now),
        }
    }

    fn look(&mut self) {
        while let Some(event) = self.stream.poll_event() {
            match event {
                StreamEvent::Started(start) => {
                    self.started += 1;
                    self.id.clone_from(&start.stream_id);
                }
                StreamEvent::Stopped => self.stopped += 1,
                StreamEvent::Audio { .. } => assert!(self.started == 1),
                StreamEvent::Dtmf(digit) => {
                    assert!(digit.is_ascii_digit() || "*#ABCD".contains(digit));
                }
                StreamEvent::Fault(_) => {}
            }
        }
        assert!(self.started <= 1 && self.stopped <= 1);
        let heard = self.stream.heard(self.now);
        assert!(heard <= self.handed, "more heard than was handed over");
        assert!(self.stream.proven(self.now) <= self.handed);
        while let Some(output) = self.stream.poll_output() {
            let Outgoing::Text(text) = output else {
                continue;
            };
            let value: Value = serde_json::from_str(&text).expect("what we send is JSON");
            for name in ["streamSid", "stream_sid", "streamId"] {
                if let Some(id) = value.get(name) {
                    assert_eq!(id, self.id.as_str());
                }
            }
        }
    }
}
