//! Sessions at simulated time: faults, deadlines, late detection, and the order of things.

use super::*;
use crate::law;
use crate::scenario::Scenario;
use crate::speech::Speech;

const SCENARIO: &str = r#"
name = "test"
language = "en"
agent_voice = { name = "en-gb" }
caller_voice = { name = "en-us+f3" }

[agent]
greeting = { text = "the greeting of this agent", hz = 440, ms = 2000 }
reprompt = { text = "are you there", hz = 500, ms = 400 }
warning = { text = "soon over", hz = 500, ms = 400 }
goodbye = { text = "goodbye", hz = 500, ms = 400 }
resume = { text = "once more", hz = 500, ms = 400 }
tool_done = { text = "done", hz = 500, ms = 400 }
not_understood = [{ text = "sorry", hz = 500, ms = 400 }]

[[utterance]]
id = "hello"
text = "Hello, is anybody there?"

[[rule]]
hears = "hello"
say = { text = "yes", hz = 600, ms = 300 }
call = [{ name = "look", arguments = { where = "here" } }, { name = "absent" }]
then = { text = "I have looked", hz = 700, ms = 300 }
"#;

struct Bench {
    now: Instant,
    start: Instant,
    session: Session,
    prepared: Arc<Prepared>,
    events: Vec<(u64, Value)>,
    others: Vec<Out>,
}

impl Bench {
    async fn new(more: &str) -> Self {
        let text = format!("{more}\n{SCENARIO}");
        let scenario = Scenario::from_toml(&text).unwrap();
        let prepared = scenario.prepare(&Speech::new(None)).await.unwrap();
        let now = Instant::now();
        let setup = Setup {
            prepared: Arc::clone(&prepared),
            model: "gpt-realtime-2.1".into(),
            connection: 1,
            seed: 1,
            unix_s: 1_000,
            beta: false,
            record: false,
            dialect: Dialect::OpenAi,
        };
        let mut bench = Self {
            now,
            start: now,
            session: Session::new(now, setup),
            prepared,
            events: Vec::new(),
            others: Vec::new(),
        };
        bench.drain();
        bench
    }

    /// A telephone session with a tool.
    async fn telephone(more: &str) -> Self {
        let mut bench = Self::new(more).await;
        bench.update(json!({"idle_timeout_ms": null}));
        bench
    }

    fn update(&mut self, vad: Value) {
        let mut turns = json!({"type": "server_vad", "silence_duration_ms": 400});
        turns
            .as_object_mut()
            .unwrap()
            .extend(vad.as_object().unwrap().clone());
        self.send(
            json!({"type": "session.update", "session": {"type": "realtime",
            "audio": {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": turns,
                "transcription": {"model": "whisper-1"}},
                "output": {"format": {"type": "audio/pcmu"}}},
            "tools": [{"type": "function", "name": "look"}]}}),
        );
    }

    fn drain(&mut self) {
        let at = u64::try_from((self.now - self.start).as_millis()).unwrap();
        while let Some(out) = self.session.poll_output() {
            match out {
                Out::Text(text) => match serde_json::from_str(&text) {
                    Ok(event @ Value::Object(_)) => self.events.push((at, event)),
                    Ok(_) | Err(_) => self.others.push(Out::Text(text)),
                },
                out => self.others.push(out),
            }
        }
    }

    fn send(&mut self, event: Value) {
        self.session.handle_text(self.now, &event.to_string());
        self.drain();
    }

    /// Lets time pass, stopping at every deadline.
    fn pass(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while self.session.poll_timeout() <= until {
            self.now = self.now.max(self.session.poll_timeout());
            self.session.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    /// Audio in real time.
    fn hear(&mut self, samples: &[i16]) {
        for frame in samples.chunks(160) {
            let bytes: Vec<u8> = frame.iter().map(|s| law::ulaw_encode(*s)).collect();
            let audio = base64_simd::STANDARD.encode_to_string(bytes);
            self.send(json!({"type": "input_audio_buffer.append", "audio": audio}));
            self.pass(20);
        }
    }

    fn say_hello(&mut self) {
        let sound = self.prepared.utterance("hello").unwrap().at_8k().to_vec();
        self.hear(&sound);
        self.hear(&[0; 160 * 30]);
    }

    fn kinds(&self) -> Vec<&str> {
        self.events
            .iter()
            .map(|(_, event)| event["type"].as_str().unwrap_or_default())
            .collect()
    }

    fn at(&self, kind: &str) -> u64 {
        let found = self.events.iter().find(|(_, event)| event["type"] == kind);
        found
            .unwrap_or_else(|| panic!("no {kind} in {:?}", self.kinds()))
            .0
    }

    fn last(&self, kind: &str) -> &Value {
        let found = self.events.iter().rfind(|(_, event)| event["type"] == kind);
        &found
            .unwrap_or_else(|| panic!("no {kind} in {:?}", self.kinds()))
            .1
    }
}

#[tokio::test]
async fn the_greeting_is_generated_faster_than_it_plays() {
    let mut bench = Bench::telephone("").await;
    bench.send(json!({"type": "response.create"}));
    bench.pass(2_000);
    assert_eq!(bench.at("response.output_audio.delta"), 150);
    // 2 s of audio at eight times the speed.
    assert!((350..=400).contains(&bench.at("response.done")));
    let done = bench.last("response.done");
    assert_eq!(
        done["response"]["output"][0]["content"][0]["transcript"],
        "the greeting of this agent"
    );
    assert_eq!(
        done["response"]["usage"]["output_token_details"]["audio_tokens"],
        40
    );
}

#[tokio::test]
async fn a_turn_calls_only_the_tools_that_are_offered_and_goes_on_after_them() {
    let mut bench = Bench::telephone("").await;
    bench.say_hello();
    bench.pass(1_000);
    let transcript = bench.last("conversation.item.input_audio_transcription.completed");
    assert_eq!(transcript["transcript"], "Hello, is anybody there?");
    assert_eq!(transcript["usage"]["type"], "duration");
    let calls: Vec<&Value> = bench
        .events
        .iter()
        .filter(|(_, event)| event["type"] == "response.function_call_arguments.done")
        .map(|(_, event)| event)
        .collect();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["arguments"], r#"{"where":"here"}"#);
    let output =
        json!({"type": "function_call_output", "call_id": calls[0]["call_id"], "output": "ok"});
    bench.send(json!({"type": "conversation.item.create", "item": output}));
    bench.send(json!({"type": "response.create"}));
    bench.pass(1_000);
    let done = bench.last("response.output_audio_transcript.done");
    assert_eq!(done["transcript"], "I have looked");
}

#[tokio::test]
async fn speech_started_is_late_by_what_the_scenario_says_and_interrupts() {
    let mut bench = Bench::telephone("timing = { speech_started_ms = 300, speed = 1.0 }").await;
    bench.send(json!({"type": "response.create"}));
    bench.pass(500);
    let began = u64::try_from((bench.now - bench.start).as_millis()).unwrap();
    bench.hear(&[8_000; 160 * 40]);
    // The first frame is loud, and every append comes at the end of nothing: 20 ms of audio are there at once.
    let started = bench.at("input_audio_buffer.speech_started");
    assert!(
        (began + 280..=began + 300).contains(&started),
        "{began} {started}"
    );
    let done = bench.last("response.done");
    assert_eq!(done["response"]["status"], "cancelled");
    assert_eq!(
        done["response"]["status_details"]["reason"],
        "turn_detected"
    );
    assert_eq!(done["response"]["output"][0]["status"], "incomplete");
    assert_eq!(bench.at("response.done"), started);
}

#[tokio::test]
async fn silence_is_answered_after_the_audio_and_the_idle_timeout() {
    let mut bench = Bench::new("").await;
    bench.update(json!({"idle_timeout_ms": 5_000}));
    bench.send(json!({"type": "response.create"}));
    bench.pass(6_000);
    assert!(
        !bench
            .kinds()
            .contains(&"input_audio_buffer.timeout_triggered")
    );
    bench.pass(2_000);
    // First audio at 150 ms, 2 s of it, 5 s of silence.
    assert_eq!(bench.at("input_audio_buffer.timeout_triggered"), 7_150);
    assert_eq!(
        bench.last("response.done")["response"]["output"][0]["content"][0]["transcript"],
        "are you there"
    );
}

#[tokio::test]
async fn a_session_expires_with_a_clean_close() {
    let mut bench = Bench::telephone("timing = { session_ms_max = 60000 }").await;
    assert_eq!(
        bench.last("session.created")["session"]["expires_at"],
        1_060
    );
    bench.pass(61_000);
    assert_eq!(bench.last("error")["error"]["code"], "session_expired");
    assert!(matches!(
        bench.others.last(),
        Some(Out::Close { code: 1_001, .. })
    ));
}

#[tokio::test]
async fn faults_strike_where_the_scenario_says() {
    let fault = |fault: &str| format!("fault = [{{ {fault} }}]");
    let mut bench = Bench::new(&fault(
        "on = \"session_update\", action = \"delay\", ms = 700",
    ))
    .await;
    bench.update(json!({}));
    bench.pass(1_000);
    assert_eq!(bench.at("session.updated"), 700);

    let mut bench = Bench::new(&fault("on = \"session_update\", action = \"refuse\"")).await;
    bench.update(json!({}));
    assert!(!bench.kinds().contains(&"session.updated"));
    assert_eq!(bench.last("error")["error"]["param"], "session");

    let close = "on = \"response\", action = \"close\", at = 2, ms = 200, code = 1013, reason = \"try later\"";
    let mut bench = Bench::telephone(&fault(close)).await;
    bench.send(json!({"type": "response.create"}));
    bench.pass(1_000);
    assert_eq!(bench.others, []);
    bench.send(json!({"type": "response.create"}));
    bench.pass(1_000);
    let expected = Out::Close {
        code: 1_013,
        reason: "try later".into(),
    };
    assert_eq!(bench.others, [expected]);
    assert_eq!(
        bench
            .kinds()
            .iter()
            .filter(|kind| **kind == "response.done")
            .count(),
        1
    );

    for (action, done) in [("stall", false), ("abort", false), ("garbage", true)] {
        let text = format!("on = \"response\", action = \"{action}\", ms = 160");
        let mut bench = Bench::telephone(&fault(&text)).await;
        bench.send(json!({"type": "response.create"}));
        bench.pass(2_000);
        assert_eq!(bench.kinds().contains(&"response.done"), done, "{action}");
        assert_eq!(bench.others.contains(&Out::Abort), action == "abort");
    }

    let mut bench = Bench::telephone(&fault("on = \"response\", action = \"fail\", ms = 50")).await;
    bench.send(json!({"type": "response.create"}));
    bench.pass(1_000);
    let failed = &bench.last("response.done")["response"];
    assert_eq!(
        (&failed["status"], &failed["usage"]),
        (&json!("failed"), &Value::Null)
    );
}

#[tokio::test]
async fn a_fault_of_another_connection_does_not_strike() {
    let fault = "fault = [{ on = \"response\", action = \"stall\", connection = 2 }]";
    let mut bench = Bench::telephone(fault).await;
    bench.send(json!({"type": "response.create"}));
    bench.pass(1_000);
    assert!(bench.kinds().contains(&"response.done"));
}

#[tokio::test]
async fn a_long_turn_without_detection_is_committed_by_the_client() {
    let mut bench = Bench::new("").await;
    bench.send(
        json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input": {
        "format": {"type": "audio/pcmu"}, "turn_detection": null}}}}),
    );
    let sound = bench.prepared.utterance("hello").unwrap().at_8k().to_vec();
    bench.hear(&sound);
    bench.hear(&[0; 8_000]);
    assert!(!bench.kinds().contains(&"input_audio_buffer.speech_started"));
    bench.send(json!({"type": "input_audio_buffer.commit"}));
    assert_eq!(bench.session.log().heard, ["Hello, is anybody there?"]);
    assert!(!bench.kinds().contains(&"response.created"));
    bench.send(json!({"type": "input_audio_buffer.commit"}));
    assert_eq!(
        bench.last("error")["error"]["code"],
        "input_audio_buffer_commit_empty"
    );
}

#[tokio::test]
async fn what_is_no_event_is_an_error_and_never_an_end() {
    let mut bench = Bench::telephone("").await;
    for text in [
        "",
        "nonsense",
        "[]",
        "7",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"response.create\",\"response\":7}",
    ] {
        let before = bench.kinds().len();
        bench.session.handle_text(bench.now, text);
        bench.drain();
        assert_eq!(
            bench.kinds()[before..]
                .iter()
                .filter(|kind| **kind == "error")
                .count(),
            1,
            "{text}"
        );
    }
    bench.send(json!({"type": "response.create"}));
    bench.pass(1_000);
    assert!(bench.kinds().contains(&"response.done"));
}

#[tokio::test]
async fn the_voice_is_locked_once_it_was_heard() {
    let mut bench = Bench::telephone("").await;
    let update = json!({"type": "session.update", "session": {"type": "realtime",
        "audio": {"output": {"voice": "cedar"}}}});
    bench.send(update.clone());
    assert_eq!(
        bench.last("session.updated")["session"]["audio"]["output"]["voice"],
        "cedar"
    );
    bench.send(json!({"type": "response.create"}));
    bench.pass(1_000);
    bench.send(update.clone());
    assert!(!bench.kinds().contains(&"error"));
    let mut other = update;
    other["session"]["audio"]["output"]["voice"] = "marin".into();
    bench.send(other);
    assert_eq!(bench.last("error")["error"]["code"], "cannot_update_voice");
}
