//! Framing of SIP on a stream: however the bytes are cut into reads, the same messages come out.
//!
//! The framer is private to the crate, so this goes through a user agent that accepted a TCP connection.

use std::net::SocketAddr;
use std::time::Instant;

use crate::bytes::Bytes;
use sip::{Config, Event, Input, Listener, ListenerId, Output, Protocol, UserAgent};

/// What a reading of the whole stream brought.
#[derive(Debug, PartialEq, Eq, Default)]
struct Seen {
    messages: Vec<Vec<u8>>,
    is_closed: bool,
}

pub fn target(data: &[u8]) {
    let now = Instant::now();
    let mut bytes = Bytes::new(data);
    let cuts = bytes.chunk();
    let stream = bytes.remainder();
    let whole = read(now, &[stream]);
    let mut pieces = Vec::new();
    let mut rest = stream;
    for cut in cuts {
        let (piece, left) = rest.split_at(usize::from(*cut).min(rest.len()));
        pieces.push(piece);
        rest = left;
    }
    pieces.push(rest);
    assert_eq!(read(now, &pieces), whole, "the reads change the messages");
    if stream.len() <= 2_000 {
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(
            read(now, &single),
            whole,
            "single bytes change the messages"
        );
    }
}

fn read(now: Instant, pieces: &[&[u8]]) -> Seen {
    let local = SocketAddr::from(([192, 0, 2, 1], 5060));
    let remote = SocketAddr::from(([198, 51, 100, 7], 40_000));
    let listener = ListenerId(0);
    let listeners = vec![Listener {
        id: listener,
        protocol: Protocol::Tcp,
        bound: local,
        advertised: None,
        is_guess: false,
    }];
    let mut agent = UserAgent::new(now, Config::new(listeners, 1));
    let connection = agent.next_connection_id();
    agent.handle(
        now,
        Input::Accepted {
            connection,
            listener,
            local,
            remote,
        },
    );
    let mut seen = Seen::default();
    let mut sent = 0;
    for piece in pieces {
        if seen.is_closed {
            break;
        }
        agent.handle(
            now,
            Input::Received {
                connection,
                data: piece,
            },
        );
        while let Some(output) = agent.poll_output() {
            match output {
                Output::Close { .. } => seen.is_closed = true,
                Output::SendStream { data, .. } => sent += data.len(),
                Output::Event(Event::Trace(trace)) if !trace.sent => {
                    seen.messages.push(trace.message);
                }
                Output::Event(_)
                | Output::SendDatagram { .. }
                | Output::Connect { .. }
                | Output::Resolve { .. } => {}
            }
        }
    }
    if seen.is_closed {
        // What broke the framing is traced as far as it had been read.
        seen.messages.pop();
    }
    let received: usize = pieces.iter().map(|piece| piece.len()).sum();
    assert!(sent <= 4 * received + 4_096, "{sent} bytes for {received}");
    seen
}
