//! Whole calls on loopback: answered, refused, cancelled, with engines that fail in every way.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the event it waits for"
)]

#[path = "cases/agents.rs"]
mod agents;
mod common;

use std::time::Duration;

use common::fake_engine::{Behaviour, FakeEngine, VOICE_HZ};
use common::phone::Phone;
use common::{House, PATIENCE, ladder, profile, reason, within};
use engine::LiveEventKind;
use store::{Event, TenantScope};

const PCMU: &str = "0 101\r\na=rtpmap:101 telephone-event/8000";

#[tokio::test]
async fn a_call_is_answered_and_the_greeting_is_heard() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 1_000 }]).await;
    let mut house = House::open(&engine.url(), profile(), |config| {
        config.agents[0].engine.realtime.key = engine::config::Secret::new("secret-key");
    })
    .await;
    let mut phone = Phone::new(house.udp()).await;
    let answer = phone.call(PCMU).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    phone.hear(VOICE_HZ).await;
    engine
        .until("caller audio at the engine", |seen| seen.audio_messages > 5)
        .await;
    assert_eq!(
        engine.seen.lock().unwrap().authorization,
        ["Bearer secret-key"]
    );
    assert_eq!(house.engine.calls().len(), 1);
    phone.bye().await;
    let (call, why) = house.ended().await;
    assert_eq!(why, "caller_hung_up");
    let (record, events) = house.record().await;
    assert_eq!(reason(&record), "caller_hung_up");
    assert!(record.answered_at.is_some());
    let ladder = ladder(&events);
    assert!(
        ladder.contains(&"< INVITE".to_owned()) && ladder.contains(&"> SIP/2.0 200 OK".to_owned()),
        "{ladder:?}"
    );
    assert!(ladder.contains(&"< BYE".to_owned()), "{ladder:?}");
    assert!(
        events
            .iter()
            .any(|entry| matches!(&entry.event, Event::SdpDecision(decision) if decision.accepted))
    );
    let transcript = house
        .store
        .transcript(&TenantScope::default(), &call)
        .await
        .unwrap();
    assert!(
        transcript
            .iter()
            .any(|line| line.role == "agent" && line.text == "Hello."),
        "{transcript:?}"
    );
    let path = record.recording_path.expect("a recording");
    let reader = hound::WavReader::open(path).expect("a WAV file");
    assert_eq!(reader.spec().channels, 2);
    assert!(reader.duration() > 1_600);
    assert!(
        house
            .engine
            .metrics_text()
            .contains("allo_calls_ended_total")
    );
}

#[tokio::test]
async fn a_call_without_a_common_codec_is_refused_and_explained() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 100 }]).await;
    let mut house = House::open(&engine.url(), profile(), |_| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    let answer = phone.call("18\r\na=rtpmap:18 G729/8000").await;
    assert_eq!(answer.status(), 488, "{answer:?}");
    assert!(
        answer
            .header("Reason")
            .is_some_and(|reason| reason.contains("no_common_codec")),
        "{answer:?}"
    );
    assert_eq!(house.ended().await.1, "no_common_codec");
    let (record, events) = house.record().await;
    assert_eq!(reason(&record), "no_common_codec");
    let decision = events.iter().find_map(|entry| match &entry.event {
        Event::SdpDecision(decision) => Some(decision.clone()),
        _ => None,
    });
    let decision = decision.expect("a decision");
    assert_eq!(decision.refusal.as_deref(), Some("no_common_codec"));
    assert!(
        decision.offered.iter().any(|codec| codec.contains("G729")),
        "{decision:?}"
    );
    assert!(
        ladder(&events).iter().any(|line| line.starts_with("< ACK")),
        "{:?}",
        ladder(&events)
    );
    assert_eq!(
        engine.seen.lock().unwrap().connections,
        0,
        "no engine is bothered"
    );
}

#[tokio::test]
async fn a_caller_who_gives_up_before_the_answer_is_recorded_as_such() {
    let engine = FakeEngine::start(&[Behaviour::Mute]).await;
    let mut house = House::open(&engine.url(), profile(), |_| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    phone.invite(&phone.sdp(PCMU)).await;
    loop {
        if phone.receive().await.status() == 180 {
            break;
        }
    }
    phone.cancel().await;
    let answer = phone.final_answer().await;
    assert_eq!(answer.status(), 487);
    assert_eq!(house.ended().await.1, "caller_cancelled");
    assert_eq!(reason(&house.record().await.0), "caller_cancelled");
}

#[tokio::test]
async fn an_engine_that_refuses_the_key_leads_to_a_spoken_apology() {
    let engine = FakeEngine::start(&[Behaviour::Refuse(401)]).await;
    let mut house = House::open(&engine.url(), profile(), |_| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    let answer = phone.call(PCMU).await;
    let (_, why) = if answer.status() == 200 {
        let heard = phone.listen(1_500).await;
        let loudest = heard.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(loudest > Some(2_000), "the caller hears an apology");
        let listening = async {
            loop {
                phone.listen(100).await;
            }
        };
        tokio::select! {
            ended = house.ended() => ended,
            () = listening => unreachable!(),
        }
    } else {
        house.ended().await
    };
    assert_eq!(why, "engine_refused");
    let (record, events) = house.record().await;
    assert_eq!(reason(&record), "engine_refused");
    assert!(events.iter().any(|entry| matches!(
        &entry.event,
        Event::EngineState { failure: Some(message), .. } if message.code == "engine_refused"
    )));
}

#[tokio::test]
async fn an_engine_lost_in_mid_call_comes_back_with_the_conversation() {
    let engine = FakeEngine::start(&[
        Behaviour::SpeakThenDrop { ms: 400, after: 60 },
        Behaviour::Speak { ms: 1_000 },
    ])
    .await;
    let mut house = House::open(&engine.url(), profile(), |_| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    assert_eq!(phone.call(PCMU).await.status(), 200);
    let talking = async {
        loop {
            phone.listen(100).await;
        }
    };
    tokio::select! {
        () = engine.until("a second session that is configured", |seen| {
            seen.connections == 2 && seen.events.iter().filter(|name| *name == "session.update").count() == 2
                && seen.events.iter().any(|name| name == "conversation.item.create")
        }) => {}
        () = talking => unreachable!(),
    }
    phone.listen(300).await;
    assert_eq!(house.engine.calls().len(), 1, "the call goes on");
    phone.bye().await;
    assert_eq!(house.ended().await.1, "caller_hung_up");
    let (_, events) = house.record().await;
    let states: Vec<_> = events
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::EngineState { state, .. } => Some(*state),
            _ => None,
        })
        .collect();
    assert!(
        states.contains(&store::journal::EngineState::Lost),
        "{states:?}"
    );
}

#[tokio::test]
async fn an_engine_that_is_never_ready_is_answered_for_in_time() {
    let engine = FakeEngine::start(&[Behaviour::Mute]).await;
    let mut short = profile();
    short.answer_bound_ms = 300;
    short.engine.reconnect_ms_max = 1_000;
    let mut house = House::open(&engine.url(), short, |config| {
        config.agents[0].engine.realtime.connect_timeout = Duration::from_millis(500);
    })
    .await;
    let mut phone = Phone::new(house.udp()).await;
    let answer = phone.call(PCMU).await;
    if answer.status() == 200 {
        let listening = async {
            loop {
                phone.listen(100).await;
            }
        };
        tokio::select! {
            (_, why) = house.ended() => assert_eq!(why, "engine_unavailable"),
            () = listening => unreachable!(),
        }
    } else {
        assert_eq!(house.ended().await.1, "engine_unavailable");
    }
    assert_eq!(reason(&house.record().await.0), "engine_unavailable");
}

#[tokio::test]
async fn an_operator_ends_a_call() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 3_000 }]).await;
    let mut house = House::open(&engine.url(), profile(), |_| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    assert_eq!(phone.call(PCMU).await.status(), 200);
    phone.hear(VOICE_HZ).await;
    let call = house.engine.calls()[0].id.clone();
    assert!(house.engine.hang_up(&call));
    let listening = async {
        let bye = phone.expect_request("BYE").await;
        assert!(
            bye.header("Reason")
                .is_some_and(|reason| reason.contains("operator_hung_up")),
            "{bye:?}"
        );
    };
    within("the BYE", listening).await;
    assert_eq!(house.ended().await.1, "operator_hung_up");
    let (record, events) = house.record().await;
    assert_eq!(reason(&record), "operator_hung_up");
    assert!(
        ladder(&events).contains(&"> BYE".to_owned()),
        "{:?}",
        ladder(&events)
    );
    let gone = async {
        while house.engine.hang_up(&call) {
            tokio::task::yield_now().await;
        }
    };
    within("the call to be gone", gone).await;
}

#[tokio::test]
async fn no_free_port_is_503_and_never_500() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 200 }]).await;
    let probe = tokio::net::UdpSocket::bind(common::loopback())
        .await
        .unwrap();
    let port = probe.local_addr().unwrap().port() & !1;
    drop(probe);
    let mut house = House::open(&engine.url(), profile(), |config| {
        config.rtp.port_min = port;
        config.rtp.port_max = port + 1;
    })
    .await;
    let mut first = Phone::new(house.udp()).await;
    assert_eq!(first.call(PCMU).await.status(), 200);
    let mut second = Phone::new(house.udp()).await;
    let answer = second.call(PCMU).await;
    assert_eq!(answer.status(), 503, "{answer:?}");
    assert!(answer.header("Retry-After").is_some(), "{answer:?}");
    assert_eq!(house.ended().await.1, "overload");
    first.bye().await;
    house.ended().await;
}

#[tokio::test]
async fn too_many_calls_are_503_with_retry_after_and_recorded() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 200 }]).await;
    let house = House::open(&engine.url(), profile(), |config| {
        config.limits.calls_max = 1
    })
    .await;
    let mut first = Phone::new(house.udp()).await;
    assert_eq!(first.call(PCMU).await.status(), 200);
    let mut second = Phone::new(house.udp()).await;
    let answer = second.call(PCMU).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.header("Retry-After").is_some());
    let (record, _) = house.record().await;
    assert_eq!(reason(&record), "overload");
}

#[tokio::test]
async fn a_source_that_no_line_knows_is_refused_and_recorded() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 200 }]).await;
    let house = House::open(&engine.url(), profile(), |config| {
        config.lines[0].allow.clear()
    })
    .await;
    let mut phone = Phone::new(house.udp()).await;
    assert_eq!(phone.call(PCMU).await.status(), 403);
    let (record, events) = house.record().await;
    assert_eq!(reason(&record), "unauthorized");
    assert_eq!(
        ladder(&events),
        ["< INVITE", "> SIP/2.0 403 Forbidden", "< ACK"]
    );
}

#[tokio::test]
async fn a_panic_ends_its_own_call_only() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 5_000 }]).await;
    let mut house = House::open(&engine.url(), profile(), |_| {}).await;
    let mut bystander = Phone::new(house.udp()).await;
    assert_eq!(bystander.call(PCMU).await.status(), 200);
    let spared = house.engine.calls()[0].id.clone();
    let mut victim = Phone::new(house.udp()).await;
    assert_eq!(victim.call(PCMU).await.status(), 200);
    let doomed = house
        .engine
        .calls()
        .into_iter()
        .map(|call| call.id)
        .find(|id| *id != spared)
        .unwrap();
    assert!(house.engine.panic_call(&doomed));
    let (ended, why) = house.ended().await;
    assert_eq!((ended, why), (doomed, "internal"));
    victim.expect_request("BYE").await;
    assert_eq!(house.engine.calls().len(), 1);
    bystander.hear(VOICE_HZ).await;
    bystander.bye().await;
    assert_eq!(house.ended().await.1, "caller_hung_up");
}

#[tokio::test]
async fn draining_refuses_new_calls_and_waits_for_those_that_run() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 200 }]).await;
    let mut house = House::open(&engine.url(), profile(), |_| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    assert_eq!(phone.call(PCMU).await.status(), 200);
    let handle = house.engine.clone();
    let drain = tokio::spawn(async move { handle.drain(PATIENCE).await });
    within("draining", async {
        while !house.engine.readiness().draining {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!house.engine.readiness().ready);
    let mut late = Phone::new(house.udp()).await;
    let answer = late.call(PCMU).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.header("Retry-After").is_some());
    phone.bye().await;
    house
        .event("the end", |event| {
            matches!(event.kind, LiveEventKind::Ended { .. }).then_some(())
        })
        .await;
    let report = within("the drain", drain).await.unwrap();
    assert_eq!((report.finished, report.cut), (1, 0));
}

#[tokio::test]
async fn hold_and_resume_are_answered_and_the_call_goes_on() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 1_000 }]).await;
    let mut house = House::open(&engine.url(), profile(), |_| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    assert_eq!(phone.call(PCMU).await.status(), 200);
    phone.hear(VOICE_HZ).await;
    let held = phone
        .sdp(PCMU)
        .replace("a=sendrecv", "a=sendonly")
        .replace("o=- 1 1", "o=- 1 2");
    let answer = phone.in_dialog("INVITE", &held).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert!(answer.body().contains("a=recvonly"), "{answer:?}");
    let resumed = phone.sdp(PCMU).replace("o=- 1 1", "o=- 1 3");
    let answer = phone.in_dialog("INVITE", &resumed).await;
    assert!(answer.body().contains("a=sendrecv"), "{answer:?}");
    phone.bye().await;
    assert_eq!(house.ended().await.1, "caller_hung_up");
}

/// One side of what a listener heard.
fn side(heard: &[u8], offset: usize) -> Vec<i16> {
    let frames = heard.chunks_exact(4);
    frames
        .map(|both| i16::from_le_bytes([both[offset], both[offset + 1]]))
        .collect()
}

#[tokio::test]
async fn a_listener_hears_each_side_on_its_channel_until_the_call_ends() {
    const CALLER_HZ: f32 = 400.0;
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 8_000 }]).await;
    let mut house = House::open(&engine.url(), profile(), |config| {
        config.recording.enabled = false;
    })
    .await;
    let mut phone = Phone::new(house.udp()).await;
    phone.voice = Some(media::tone::Sine::new(CALLER_HZ, 8_000.0));
    phone.call(PCMU).await;
    phone.hear(VOICE_HZ).await;
    let call = house.engine.calls()[0].id.clone();
    let mut listener = house.engine.listen(&call).await.expect("a listener");
    // These never read: neither the call nor the first listener notices.
    let mut deaf = Vec::new();
    while deaf.len() + 1 < engine::limits::LISTENERS_MAX {
        deaf.push(house.engine.listen(&call).await.expect("a listener"));
    }
    let refused = house.engine.listen(&call).await;
    assert_eq!(refused.err(), Some(engine::ListenError::TooMany));
    let mut heard = Vec::new();
    while heard.len() < 32_000 {
        phone.listen(100).await;
        heard.extend(
            within("audio", listener.next())
                .await
                .expect("the call runs"),
        );
    }
    let tail = heard.len() - 16_000;
    let (caller, agent) = (side(&heard[tail..], 0), side(&heard[tail..], 2));
    assert!(media::tone::purity(&caller, CALLER_HZ) > 0.9);
    assert!(media::tone::purity(&agent, VOICE_HZ) > 0.9);
    // In secrecy the caller is silent for those who listen, whoever began when.
    assert!(house.engine.secure_input(&call, true));
    drop(deaf.pop());
    within("secrecy", async {
        loop {
            phone.listen(100).await;
            let heard = listener.next().await.expect("the call runs");
            let silent = side(&heard, 0).iter().all(|sample| *sample == 0);
            if silent && heard.len() >= 1_920 {
                break;
            }
        }
    })
    .await;
    let mut late = house.engine.listen(&call).await.expect("a listener");
    phone.listen(300).await;
    let heard = within("audio", late.next()).await.expect("the call runs");
    assert!(side(&heard, 0).iter().all(|sample| *sample == 0));
    assert!(media::tone::purity(&side(&heard, 2), VOICE_HZ) > 0.9);
    phone.bye().await;
    house.ended().await;
    within("the end of the stream", async {
        while listener.next().await.is_some() {}
        while late.next().await.is_some() {}
    })
    .await;
    // It may not have left the list yet.
    assert!(house.engine.listen(&call).await.is_err());
}
