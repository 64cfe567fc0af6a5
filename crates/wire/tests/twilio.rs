//! Streams of carriers: recorded messages, lead and clears at simulated time, hostile messages.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test takes one real instant and may fail"
)]

use std::time::{Duration, Instant};

use wire::twilio::{Dialect, Encoding, LEAD_MS, Outgoing, Start, Stream, StreamEvent};

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

const TWILIO: &str = r#"{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ1","callSid":"CA1","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"callerPhone":"+33","token":"t"}},"streamSid":"MZ1"}"#;
const TELNYX: &str = r#"{"event":"start","sequence_number":"1","start":{"user_id":"U1","call_control_id":"v3:c","client_state":"","custom_parameters":{"token":"t"},"media_format":{"encoding":"PCMU","sample_rate":8000,"channels":1}},"stream_id":"S1"}"#;
const PLIVO: &str = r#"{"sequenceNumber":0,"event":"start","start":{"callId":"CA1","streamId":"S1","accountId":"AC1","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000}},"extra_headers":"{\"token\":\"t\"}"}"#;
const EXOTEL: &str = r#"{"event":"start","sequence_number":1,"stream_sid":"S1","start":{"stream_sid":"S1","call_sid":"CA1","account_sid":"AC1","from":"+331","to":"+332","custom_parameters":{"token":"t"},"media_format":{"encoding":"base64","sample_rate":"8000","bit_rate":"128kbps"}}}"#;
const VONAGE: &str = r#"{"event":"websocket:connected","content-type":"audio/l16;rate=8000","uuid":"CA1","callSid":"CA1","token":"t"}"#;

fn began(dialect: Dialect, text: &str) -> (Stream, Start) {
    let mut stream = Stream::new(dialect);
    stream.handle_text(Instant::now(), text);
    let Some(StreamEvent::Started(start)) = stream.poll_event() else {
        panic!("no beginning");
    };
    (stream, *start)
}

#[test]
fn each_dialect_begins_with_its_own_words() {
    for (dialect, text, call, encoding) in [
        (Dialect::Twilio, TWILIO, "CA1", Encoding::Pcmu),
        (Dialect::Telnyx, TELNYX, "v3:c", Encoding::Pcmu),
        (Dialect::Plivo, PLIVO, "CA1", Encoding::Pcmu),
        (Dialect::Exotel, EXOTEL, "CA1", Encoding::L16),
        (Dialect::Vonage, VONAGE, "CA1", Encoding::L16),
    ] {
        let (stream, start) = began(dialect, text);
        assert_eq!(start.call_id, call, "{dialect:?}");
        assert_eq!(
            start.parameters.get("token").map(String::as_str),
            Some("t"),
            "{dialect:?}"
        );
        assert_eq!(start.encoding, Some(encoding), "{dialect:?}");
        assert_eq!(stream.encoding(), encoding);
    }
}

#[test]
fn an_encoding_that_nobody_speaks_is_said() {
    let wide = TELNYX.replace("8000", "16000");
    assert_eq!(began(Dialect::Telnyx, &wide).1.encoding, None);
    let opus = TELNYX.replace("PCMU", "OPUS");
    assert_eq!(began(Dialect::Telnyx, &opus).1.encoding, None);
}

fn texts(stream: &mut Stream) -> Vec<String> {
    std::iter::from_fn(|| stream.poll_output())
        .map(|output| match output {
            Outgoing::Text(text) => text,
            Outgoing::Binary(bytes) => format!("{} bytes", bytes.len()),
        })
        .collect()
}

#[test]
fn each_dialect_is_answered_in_its_own_words() {
    let sent = |dialect, text| {
        let (mut stream, _) = began(dialect, text);
        let now = Instant::now();
        stream.play(now, &[0xFF; 8], true);
        let clear = stream.clear(now);
        assert_eq!(clear, 0);
        let (mut stream, _) = began(dialect, text);
        stream.play(now, &[0xFF; 6], true);
        let mut all = texts(&mut stream);
        stream.clear(now);
        all.extend(texts(&mut stream));
        all
    };
    assert_eq!(
        sent(Dialect::Twilio, TWILIO),
        [
            r#"{"event":"media","streamSid":"MZ1","media":{"payload":"////////"}}"#,
            r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"a0"}}"#,
            r#"{"event":"clear","streamSid":"MZ1"}"#,
        ]
    );
    assert_eq!(
        sent(Dialect::Telnyx, TELNYX),
        [
            r#"{"event":"media","media":{"payload":"////////"}}"#,
            r#"{"event":"mark","mark":{"name":"a0"}}"#,
            r#"{"event":"clear"}"#,
        ]
    );
    assert_eq!(
        sent(Dialect::Plivo, PLIVO),
        [
            r#"{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":8000,"payload":"////////"}}"#,
            r#"{"event":"checkpoint","streamId":"S1","name":"a0"}"#,
            r#"{"event":"clearAudio","streamId":"S1"}"#,
        ]
    );
    assert_eq!(
        sent(Dialect::Exotel, EXOTEL),
        [
            r#"{"event":"media","stream_sid":"S1","media":{"payload":"////////"}}"#,
            r#"{"event":"mark","stream_sid":"S1","mark":{"name":"a0"}}"#,
            r#"{"event":"clear","stream_sid":"S1"}"#,
        ]
    );
    assert_eq!(
        sent(Dialect::Vonage, VONAGE),
        ["6 bytes", r#"{"action":"clear"}"#]
    );
}

/// Plays a long answer as a shell does, woken every `wake_ms`; what was sent and when, in ms.
fn paced(dialect: Dialect, text: &str, wake_ms: u64, until_ms: u64) -> (Stream, Vec<(u64, u64)>) {
    let (mut stream, _) = began(dialect, text);
    let start = Instant::now();
    let bytes = stream.encoding().bytes_per_sample();
    let mut sent = Vec::new();
    for at in (0..until_ms).step_by(usize::try_from(wake_ms).unwrap()) {
        loop {
            let room = stream.room(start + ms(at), false);
            if room == 0 {
                break;
            }
            sent.push((at, room / 8));
            stream.play(
                start + ms(at),
                &vec![0; usize::try_from(room).unwrap() * bytes],
                false,
            );
        }
        texts(&mut stream);
    }
    (stream, sent)
}

#[test]
fn the_lead_is_about_200_ms_in_chunks_of_100_at_most() {
    for wake_ms in [1, 20, 60] {
        let (_, sent) = paced(Dialect::Twilio, TWILIO, wake_ms, 5_000);
        let mut total = 0;
        for (index, (at, piece)) in sent.iter().enumerate() {
            assert!((20..=100).contains(piece), "{piece}");
            total += piece;
            let ahead = total - at;
            assert!(ahead <= u64::from(LEAD_MS), "{ahead} ms ahead");
            // Never less than 100 ms before the next piece.
            if let Some((next, _)) = sent.get(index + 1) {
                assert!(total >= next + 100, "{total} played, {next}");
            }
        }
        assert!(total >= 5_000);
        assert!(sent.len() <= 90, "{} messages in 5 s", sent.len());
    }
    let (_, sent) = paced(Dialect::Exotel, EXOTEL, 20, 5_000);
    assert!(
        sent.iter().all(|(_, piece)| *piece == 200),
        "3.2 kB at least"
    );
    let (_, sent) = paced(Dialect::Vonage, VONAGE, 20, 5_000);
    assert!(sent.iter().all(|(_, piece)| *piece == 20));
}

#[test]
fn a_clear_loses_no_more_than_the_lead_and_its_marks_prove_nothing() {
    let (mut stream, sent) = paced(Dialect::Twilio, TWILIO, 20, 1_000);
    let total: u64 = sent.iter().map(|(_, piece)| piece).sum();
    // Half a second into the answer by the stream's own clock.
    let (mut stream2, _) = began(Dialect::Twilio, TWILIO);
    let start = Instant::now();
    stream2.play(start, &[0; 1_600], true);
    assert_eq!(stream2.clear(start + ms(120)), 120 * 8);
    let echo = r#"{"event":"mark","sequenceNumber":"4","streamSid":"MZ1","mark":{"name":"a0"}}"#;
    stream2.handle_text(start + ms(140), echo);
    assert_eq!(stream2.counters().stray_marks, 1);
    assert_eq!(stream2.heard(start + ms(999)), 120 * 8);
    assert_eq!(stream2.proven(start + ms(999)), 120 * 8);
    // Nothing is ahead: a clear is not worth a message.
    texts(&mut stream2);
    stream2.clear(start + ms(999));
    assert!(texts(&mut stream2).is_empty());
    assert!(total < 1_000 + u64::from(LEAD_MS) + 1);
    stream.clear(Instant::now());
}

#[test]
fn nonsense_is_counted_and_never_an_error() {
    let mut stream = Stream::new(Dialect::Twilio);
    let now = Instant::now();
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "{\"event\":5}",
        "\u{0}",
        "{\"event\":\"media\"}",
        r#"{"event":"media","media":{"payload":"////"}}"#,
        r#"{"event":"start"}"#,
    ] {
        stream.handle_text(now, text);
    }
    stream.handle_text(now, TWILIO);
    for text in [
        r#"{"event":"media","media":{"payload":"!!"}}"#,
        r#"{"event":"media","media":{"chunk":"x","payload":5}}"#,
        r#"{"event":"mark","mark":{"name":"a99999999999999999999999"}}"#,
        r#"{"event":"mark","mark":{"name":"theirs"}}"#,
        r#"{"event":"dtmf","dtmf":{"digit":"12"}}"#,
        r#"{"event":"dtmf","dtmf":{"digit":"x"}}"#,
        r#"{"event":"future","more":[1,2]}"#,
    ] {
        stream.handle_text(now, text);
    }
    stream.handle_text(now, &"x".repeat(300_000));
    stream.handle_binary(&[0; 100]);
    let events: Vec<StreamEvent> = std::iter::from_fn(|| stream.poll_event()).collect();
    assert_eq!(events.len(), 1, "{events:?}");
    let counters = stream.counters();
    assert!(
        counters.malformed >= 4 && counters.ignored >= 4 && counters.bad_audio == 1,
        "{counters:?}"
    );
    for (digit, text) in [('#', "\"#\""), ('5', "5"), ('D', "\"d\"")] {
        stream.handle_text(
            now,
            &format!(r#"{{"event":"dtmf","dtmf":{{"digit":{text}}}}}"#),
        );
        assert_eq!(stream.poll_event(), Some(StreamEvent::Dtmf(digit)));
    }
    stream.handle_text(now, r#"{"event":"stop"}"#);
    stream.handle_text(now, r#"{"event":"stop"}"#);
    assert_eq!(stream.poll_event(), Some(StreamEvent::Stopped));
    assert_eq!(stream.poll_event(), None);
    assert_eq!(
        stream.room(now, false),
        0,
        "nothing is sent to a stream that stopped"
    );
}
