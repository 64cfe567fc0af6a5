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

mod carrier_side {
    use std::collections::BTreeMap;

    use serde_json::Value;
    use wire::twilio::carrier::{CarrierSide, Order, StreamIds};

    use super::*;

    fn side() -> CarrierSide {
        let ids = StreamIds {
            stream: "MZ1".to_owned(),
            call: "CA1".to_owned(),
            account: "AC1".to_owned(),
        };
        let parameters = BTreeMap::from([("callerPhone".to_owned(), "+331".to_owned())]);
        CarrierSide::new(ids, &parameters)
    }

    fn begun() -> CarrierSide {
        let mut side = side();
        said(&mut side);
        side
    }

    fn said(side: &mut CarrierSide) -> Vec<Value> {
        std::iter::from_fn(|| side.poll_output())
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect()
    }

    /// Names of the marks that were told back.
    fn marks(side: &mut CarrierSide) -> Vec<String> {
        let marks = said(side)
            .into_iter()
            .filter(|said| said["event"] == "mark");
        marks
            .map(|said| said["mark"]["name"].as_str().unwrap().to_owned())
            .collect()
    }

    fn orders(side: &mut CarrierSide) -> Vec<Order> {
        std::iter::from_fn(|| side.poll_order()).collect()
    }

    /// The application sends this much audio.
    fn plays(side: &mut CarrierSide, bytes: usize) {
        let payload = base64_simd::STANDARD.encode_to_string(vec![0x55; bytes]);
        side.handle_text(&format!(
            r#"{{"event":"media","streamSid":"MZ1","media":{{"payload":"{payload}"}}}}"#
        ));
    }

    fn marks_with(side: &mut CarrierSide, name: &str) {
        side.handle_text(&format!(
            r#"{{"event":"mark","streamSid":"MZ1","mark":{{"name":"{name}"}}}}"#
        ));
    }

    #[test]
    fn a_stream_says_what_twilio_says_in_twilios_types() {
        let now = Instant::now();
        let mut side = side();
        side.hear(now, &[0xFF; 160]);
        side.press('5');
        side.hear(now + ms(20), &[0xFF; 160]);
        side.stop();
        let said = said(&mut side);
        let events: Vec<&str> = said
            .iter()
            .map(|one| one["event"].as_str().unwrap())
            .collect();
        let expected = ["connected", "start", "media", "dtmf", "media", "stop"];
        assert_eq!(events, expected);
        assert_eq!(said[0].get("streamSid"), None);
        let numbers: Vec<&Value> = said[1..].iter().map(|one| &one["sequenceNumber"]).collect();
        assert_eq!(numbers, ["1", "2", "3", "4", "5"]);
        assert!(said[1..].iter().all(|one| one["streamSid"] == "MZ1"));
        assert_eq!(said[1]["start"]["customParameters"]["callerPhone"], "+331");
        assert_eq!(said[1]["start"]["mediaFormat"]["encoding"], "audio/x-mulaw");
        assert_eq!(said[2]["media"]["track"], "inbound");
        let counts = |one: &Value| {
            (
                one["media"]["chunk"].clone(),
                one["media"]["timestamp"].clone(),
            )
        };
        assert_eq!(counts(&said[2]), ("1".into(), "0".into()));
        assert_eq!(counts(&said[4]), ("2".into(), "20".into()));
        assert_eq!(said[3]["dtmf"]["digit"], "5");
        assert_eq!(said[5]["stop"]["callSid"], "CA1");
        // Our own reader of carriers takes it for Twilio.
        let (_, start) = began(Dialect::Twilio, &said[1].to_string());
        assert_eq!(start.call_id, "CA1");
        assert_eq!(start.encoding, Some(Encoding::Pcmu));
    }

    #[test]
    fn a_mark_comes_back_when_all_before_it_was_played_and_not_earlier() {
        let mut side = begun();
        marks_with(&mut side, "nothing before");
        assert_eq!(marks(&mut side), ["nothing before"]);
        plays(&mut side, 1_603);
        marks_with(&mut side, "one");
        marks_with(&mut side, "same place");
        plays(&mut side, 160);
        marks_with(&mut side, "two");
        side.played(0, 199);
        assert!(marks(&mut side).is_empty());
        assert_eq!(side.playing(), Some(0));
        side.played(0, 201);
        assert_eq!(marks(&mut side), ["one", "same place"]);
        side.played(7, 1_000);
        assert!(
            marks(&mut side).is_empty(),
            "another segment proves nothing"
        );
        side.played(0, 220);
        assert_eq!(marks(&mut side), ["two"]);
        assert_eq!(side.playing(), None);
    }

    #[test]
    fn a_clear_tells_all_marks_at_once_and_begins_anew() {
        let mut side = begun();
        plays(&mut side, 16_000);
        marks_with(&mut side, "a");
        plays(&mut side, 16_000);
        marks_with(&mut side, "b");
        side.played(0, 500);
        side.handle_text(r#"{"event":"clear","streamSid":"MZ1"}"#);
        assert_eq!(marks(&mut side), ["a", "b"]);
        plays(&mut side, 160);
        marks_with(&mut side, "c");
        let last = orders(&mut side).pop();
        assert!(
            matches!(last, Some(Order::Play { segment: 1, .. })),
            "{last:?}"
        );
        side.played(0, 4_000);
        assert!(marks(&mut side).is_empty());
        side.played(1, 20);
        assert_eq!(marks(&mut side), ["c"]);
    }

    #[test]
    fn the_stream_goes_on_in_silence_where_the_caller_is_not_heard() {
        let start = Instant::now();
        let mut side = begun();
        side.begin(start);
        assert_eq!(side.poll_timeout(), Some(start + ms(60)));
        side.handle_timeout(start + ms(59));
        assert!(said(&mut side).is_empty());
        side.handle_timeout(start + ms(100));
        assert_eq!(said(&mut side).len(), 3);
        side.hear(start + ms(110), &[1; 160]);
        let last = said(&mut side).pop().unwrap();
        assert_eq!(last["media"]["timestamp"], "60");
        // What a stall held back is sent as far as it is near to real time.
        for _ in 0..200 {
            side.hear(start + ms(120), &[1; 160]);
        }
        let sent = said(&mut side).len();
        assert!((25..=35).contains(&sent), "{sent}");
        assert!(side.counters().late > 150);
        // A process that slept for an hour does not send an hour of silence.
        side.handle_timeout(start + ms(3_600_000));
        assert!(said(&mut side).len() < 10);
    }

    #[test]
    fn an_application_may_hang_up_and_its_nonsense_is_counted() {
        let mut side = begun();
        for nonsense in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"event":"media","streamSid":"MZ2","media":{"payload":"VVVV"}}"#,
            r#"{"event":"media","streamSid":"MZ1"}"#,
            r#"{"event":"media","streamSid":"MZ1","media":{"payload":"*"}}"#,
            r#"{"event":"mark","streamSid":"MZ1"}"#,
            r#"{"event":"dance","streamSid":"MZ1"}"#,
        ] {
            side.handle_text(nonsense);
        }
        assert!(orders(&mut side).is_empty());
        let counters = side.counters();
        assert_eq!(counters.malformed, 3);
        assert_eq!((counters.ignored, counters.bad_audio), (4, 2));
        side.handle_text(r#"{"event":"stop","streamSid":"MZ1"}"#);
        assert_eq!(orders(&mut side), [Order::HangUp]);
        side.stop();
        plays(&mut side, 160);
        assert!(
            orders(&mut side).is_empty(),
            "after the end nothing is played"
        );
    }

    #[test]
    fn audio_and_marks_have_their_limits() {
        let mut side = begun();
        for _ in 0..700 {
            plays(&mut side, 8_000);
        }
        assert_eq!(orders(&mut side).len(), 590);
        assert_eq!(side.counters().overflow, 110);
        for _ in 0..5_000 {
            marks_with(&mut side, "m");
        }
        assert_eq!(side.counters().overflow, 110 + 5_000 - 4_096);
    }
}
