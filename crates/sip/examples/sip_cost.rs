//! Prints what the signalling of a call costs: `cargo run --release -p sip --example sip_cost`.
//!
//! A caller that is text sends INVITE, ACK and BYE over UDP; the user agent answers with 100, 180 and 200, and its tables forget the call
//! when the timers of RFC 3261 say so. A hundred calls a second at virtual time, without any socket.

use std::hint::black_box;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip::{Config, Event, Input, InviteId, Listener, ListenerId, Output, Protocol, UserAgent};

const CALLS: u32 = 20_000;
/// 180 as callers say it.
const RINGING: u16 = 180;
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for round in 1..=3 {
        let (spent, messages, left) = calls();
        writeln!(
            out,
            "round {round}: {} µs a call, {messages} messages sent a call, {left} calls in the tables at the end",
            spent.as_micros() / u128::from(CALLS),
        )?;
    }
    Ok(())
}

/// The time of all calls, the messages that one sends, and the calls that were not forgotten.
#[expect(clippy::disallowed_methods, reason = "an example measures time")]
fn calls() -> (Duration, u64, usize) {
    let here: SocketAddr = ([192, 0, 2, 1], 5060).into();
    let mut now = Instant::now();
    let listener = Listener {
        id: ListenerId(0),
        protocol: Protocol::Udp,
        bound: here,
        advertised: None,
        is_guess: false,
    };
    let mut agent = UserAgent::new(now, Config::new(vec![listener], 1));
    let (mut sent, begun) = (0, Instant::now());
    for number in 0..CALLS {
        now += Duration::from_millis(10);
        while agent.poll_timeout().is_some_and(|due| due <= now) {
            agent.handle(now, Input::Timeout);
            sent += take(&mut agent).0;
        }
        sent += one(&mut agent, now, number);
    }
    let spent = begun.elapsed();
    // The last ones rest for Timer J.
    agent.handle(now + Duration::from_secs(64), Input::Timeout);
    let _ = take(&mut agent);
    (spent, sent / u64::from(CALLS), agent.table_sizes().invites)
}

fn one(agent: &mut UserAgent, now: Instant, number: u32) -> u64 {
    let mut sent = 0;
    let mut exchange = |agent: &mut UserAgent, text: &str| {
        let data = black_box(text).as_bytes();
        let source = ([192, 0, 2, 9], 5060).into();
        let listener = ListenerId(0);
        let input = Input::Datagram {
            listener,
            source,
            data,
        };
        agent.handle(now, input);
        let taken = take(agent);
        sent += taken.0;
        taken
    };
    let (_, invite, _) = exchange(agent, &request("INVITE", number, 1, "", SDP));
    let Some(invite) = invite else { return sent };
    let _ = agent.ring(now, invite, RINGING, None);
    let _ = agent.answer(now, invite, SDP.as_bytes().to_vec());
    let (messages, _, answer) = take(agent);
    let tag = answer
        .as_deref()
        .and_then(|answer| answer.split_once(";tag="))
        .and_then(|(_, rest)| {
            rest.split(['\r', ';'])
                .find(|tag| !tag.starts_with("caller"))
        });
    let tag = format!(";tag={}", tag.unwrap_or_default());
    exchange(agent, &request("ACK", number, 1, &tag, ""));
    exchange(agent, &request("BYE", number, 2, &tag, ""));
    sent + messages
}

/// What the agent has to do: the messages, the call that came, and the last answer to an INVITE from its To on.
fn take(agent: &mut UserAgent) -> (u64, Option<InviteId>, Option<String>) {
    let (mut sent, mut incoming, mut answer) = (0, None, None);
    while let Some(output) = agent.poll_output() {
        match output {
            Output::SendDatagram { data, .. } => {
                sent += 1;
                let text = String::from_utf8_lossy(&data);
                if text.starts_with("SIP/2.0 200") && text.contains("1 INVITE") {
                    answer = text.split_once("\r\nTo:").map(|(_, rest)| rest.to_owned());
                }
                black_box(data);
            }
            Output::Event(event) => {
                if let Event::IncomingInvite(invite) = event {
                    incoming = Some(invite.invite);
                }
            }
            Output::SendStream { .. }
            | Output::Connect { .. }
            | Output::Close { .. }
            | Output::Resolve { .. } => {}
        }
    }
    (sent, incoming, answer)
}

fn request(method: &str, number: u32, sequence: u32, to_tag: &str, body: &str) -> String {
    format!(
        "{method} sip:allo@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK{number}x{sequence}{method}\r\nFrom: \"Anna\" <sip:+33612345678@192.0.2.9>;tag=caller{number}\r\nTo: <sip:allo@192.0.2.1>{to_tag}\r\nCall-ID: call-{number}@192.0.2.9\r\nCSeq: {sequence} {method}\r\nContact: <sip:anna@192.0.2.9:5060>\r\nMax-Forwards: 70\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\nSupported: timer, 100rel\r\nUser-Agent: example\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
