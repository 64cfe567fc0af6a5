//! Legs of every kind: TCP, TLS with SRTP, delayed offer, credentials, calls that we place, callers that vanish.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the event it waits for"
)]

mod common;
#[path = "legs/patched.rs"]
mod patched;

use common::fake_engine::{Behaviour, FakeEngine, VOICE_HZ};
use common::phone::{Phone, media_address};
use common::{House, ladder, loopback, profile, reason};
use engine::config::{LineCredentials, Secret, SrtpPolicy, TlsIdentity};
use engine::{LiveEventKind, LiveState, PlaceCall};
use media::Codec;
use sip::AccountConfig;
use store::Event;

/// Two houses: the first calls the second, whose engine speaks for some time.
async fn callee(change: impl FnOnce(&mut engine::Config)) -> (FakeEngine, House) {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 1_000 }]).await;
    let house = House::open(&engine.url(), profile(), change).await;
    (engine, house)
}

/// Places a call and waits until both sides have talked; ends it as the caller's operator.
async fn talk(caller: &mut House, engines: [&FakeEngine; 2], to: String) {
    let request = PlaceCall {
        line: "test".to_owned(),
        to,
        ..PlaceCall::default()
    };
    let call = caller
        .engine
        .place_call(request)
        .await
        .expect("the call is placed");
    caller
        .event("the answer", |event| match &event.kind {
            LiveEventKind::Changed {
                state: LiveState::Answered,
                ..
            } => Some(()),
            LiveEventKind::Ended { reason, .. } => panic!("ended: {reason:?}"),
            _ => None,
        })
        .await;
    for engine in engines {
        engine
            .until("audio of the other side", |seen| seen.audio_messages > 20)
            .await;
    }
    assert!(caller.engine.hang_up(&call));
    assert_eq!(caller.ended().await.1, "operator_hung_up");
}

fn decision(events: &[store::JournalEntry]) -> store::journal::SdpDecision {
    events
        .iter()
        .find_map(|entry| match &entry.event {
            Event::SdpDecision(decision) => Some(decision.clone()),
            _ => None,
        })
        .expect("a decision")
}

#[tokio::test]
async fn a_call_that_we_place_goes_over_tcp_and_proves_its_password() {
    let (callee_engine, mut callee) = callee(|config| {
        config.lines[0].allow.clear();
        config.lines[0].credentials = Some(LineCredentials {
            realm: "allo.test".to_owned(),
            username: "bob".to_owned(),
            password: Secret::new("correct horse"),
        });
    })
    .await;
    let caller_engine = FakeEngine::start(&[Behaviour::Speak { ms: 1_000 }]).await;
    let mut caller = House::open(&caller_engine.url(), profile(), |config| {
        let mut account = AccountConfig::new("sip:bob@127.0.0.1", "bob", "correct horse");
        account.register = false;
        config.lines[0].account = Some(account);
    })
    .await;
    let port = callee.engine.addresses().tcp.expect("TCP").port();
    talk(
        &mut caller,
        [&caller_engine, &callee_engine],
        format!("sip:agent@127.0.0.1:{port};transport=tcp"),
    )
    .await;
    callee.ended().await;
    let (record, events) = callee.record().await;
    assert_eq!(reason(&record), "caller_hung_up");
    assert!(ladder(&events).contains(&"< BYE".to_owned()));
}

#[tokio::test]
async fn tls_and_srtp_carry_a_whole_call() {
    let certified =
        rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let pem = certified.cert.pem().into_bytes();
    let identity = TlsIdentity {
        chain_pem: pem.clone(),
        key_pem: Secret::new(certified.signing_key.serialize_pem()),
    };
    let (callee_engine, callee) = callee(|config| {
        config.sip.tls_bind = Some(loopback());
        config.sip.tls = Some(identity.clone());
        config.lines[0].srtp = SrtpPolicy::Required;
    })
    .await;
    let caller_engine = FakeEngine::start(&[Behaviour::Speak { ms: 1_000 }]).await;
    let mut caller = House::open(&caller_engine.url(), profile(), |config| {
        config.sip.tls_bind = Some(loopback());
        config.sip.tls = Some(identity);
        config.sip.extra_ca_pem = pem;
        config.lines[0].srtp = SrtpPolicy::Required;
    })
    .await;
    let port = callee.engine.addresses().tls.expect("TLS").port();
    talk(
        &mut caller,
        [&caller_engine, &callee_engine],
        format!("sip:agent@127.0.0.1:{port};transport=tls"),
    )
    .await;
    let (_, events) = callee.record().await;
    let decision = decision(&events);
    assert_eq!(decision.srtp.as_deref(), Some("AES_CM_128_HMAC_SHA1_80"));
    let text = format!("{events:?}");
    for (_, key) in text
        .match_indices("inline:")
        .map(|(at, mark)| text.split_at(at + mark.len()))
    {
        let base64 = key
            .chars()
            .take_while(|sign| sign.is_ascii_alphanumeric() || "+/=".contains(*sign));
        assert!(base64.count() < 20, "no key in the journal");
    }
}

#[tokio::test]
async fn a_certificate_of_nobody_we_trust_is_refused() {
    let certified =
        rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let identity = TlsIdentity {
        chain_pem: certified.cert.pem().into_bytes(),
        key_pem: Secret::new(certified.signing_key.serialize_pem()),
    };
    let (_callee_engine, callee) = callee(|config| {
        config.sip.tls_bind = Some(loopback());
        config.sip.tls = Some(identity.clone());
    })
    .await;
    let caller_engine = FakeEngine::start(&[Behaviour::Mute]).await;
    let mut caller = House::open(&caller_engine.url(), profile(), |config| {
        config.sip.tls_bind = Some(loopback());
        config.sip.tls = Some(identity);
    })
    .await;
    let port = callee.engine.addresses().tls.expect("TLS").port();
    let to = format!("sip:agent@127.0.0.1:{port};transport=tls");
    caller
        .engine
        .place_call(PlaceCall {
            line: "test".to_owned(),
            to,
            ..PlaceCall::default()
        })
        .await
        .expect("it is tried");
    caller.ended().await;
    assert!(callee.engine.calls().is_empty());
}

#[tokio::test]
async fn an_invite_without_an_offer_gets_ours_and_is_talked_to_in_the_codec_of_the_ack() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 2_000 }]).await;
    let mut house = House::open(&engine.url(), profile(), |_| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    phone.invite("").await;
    let answer = phone
        .final_answer_with_ack("8 101\r\na=rtpmap:101 telephone-event/8000")
        .await;
    assert_eq!(answer.status(), 200);
    assert!(media_address(answer.body()).is_some(), "{answer:?}");
    phone.hear(VOICE_HZ).await;
    phone.bye().await;
    assert_eq!(house.ended().await.1, "caller_hung_up");
    let (_, events) = house.record().await;
    assert_eq!(decision(&events).codec.as_deref(), Some("PCMA"));
}

#[tokio::test]
async fn a_law_goes_straight_through() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 500 }]).await;
    let mut house = House::open(&engine.url(), profile(), |config| {
        config.lines[0].codecs = vec![Codec::Pcma]
    })
    .await;
    let mut phone = Phone::new(house.udp()).await;
    assert_eq!(phone.call("8 0").await.status(), 200);
    engine
        .until("the settings", |seen| !seen.bodies.is_empty())
        .await;
    let settings = engine.seen.lock().unwrap().bodies[0].clone();
    assert_eq!(
        settings["session"]["audio"]["input"]["format"]["type"], "audio/pcma",
        "{settings}"
    );
    phone.bye().await;
    house.ended().await;
}

#[tokio::test]
async fn a_barge_in_stops_the_voice_and_tells_the_engine_what_was_heard() {
    let engine = FakeEngine::start(&[Behaviour::Interrupt {
        ms: 8_000,
        after: 40,
    }])
    .await;
    let mut house = House::open(&engine.url(), profile(), |_| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    assert_eq!(phone.call("0").await.status(), 200);
    phone.hear(VOICE_HZ).await;
    let talking = async {
        loop {
            phone.listen(100).await;
        }
    };
    tokio::select! {
        () = engine.until("the truncation", |seen| seen.events.iter().any(|name| name == "conversation.item.truncate")) => {}
        () = talking => unreachable!(),
    }
    let told = {
        let seen = engine.seen.lock().unwrap();
        let body = seen
            .bodies
            .iter()
            .find(|body| body["type"] == "conversation.item.truncate")
            .unwrap();
        body["audio_end_ms"].as_u64().unwrap()
    };
    let silent = phone.listen(400).await;
    let tail = &silent[silent.len().saturating_sub(1_600)..];
    assert!(
        tail.iter().all(|sample| sample.unsigned_abs() < 1_000),
        "the voice has stopped"
    );
    let interrupted = house
        .event("the interruption", |event| match &event.kind {
            LiveEventKind::Interrupted { played_ms, .. } => Some(*played_ms),
            _ => None,
        })
        .await;
    assert_eq!(u64::from(interrupted), told);
    assert!((200..4_000).contains(&told), "{told}");
    phone.bye().await;
    house.ended().await;
}

#[tokio::test]
async fn a_caller_that_vanishes_is_noticed_and_freed() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 200 }]).await;
    let mut short = profile();
    short.no_media_ms = 600;
    let mut house = House::open(&engine.url(), short, |config| {
        config.rtp.media_timeout_ms = 300
    })
    .await;
    let mut phone = Phone::new(house.udp()).await;
    assert_eq!(phone.call("0").await.status(), 200);
    phone.listen(200).await;
    phone.expect_request("BYE").await;
    assert_eq!(house.ended().await.1, "media_lost");
    assert_eq!(reason(&house.record().await.0), "media_lost");
}

#[tokio::test]
async fn an_idle_connection_and_a_flood_of_connections_take_no_place_from_a_caller() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 200 }]).await;
    let house = House::open(&engine.url(), profile(), |config| {
        config.limits.connections_per_ip_max = 4
    })
    .await;
    let address = house.engine.addresses().tcp.expect("TCP");
    let mut streams = Vec::new();
    for _ in 0..12 {
        streams.push(
            tokio::net::TcpStream::connect(address)
                .await
                .expect("connected"),
        );
    }
    let mut closed = 0;
    for stream in &mut streams {
        let mut byte = [0; 1];
        let read = tokio::io::AsyncReadExt::read(stream, &mut byte);
        if let Ok(Ok(0)) = tokio::time::timeout(std::time::Duration::from_millis(200), read).await {
            closed += 1;
        }
    }
    assert_eq!(closed, 8);
    let mut phone = Phone::new(house.udp()).await;
    assert_eq!(phone.call("0").await.status(), 200);
}

#[tokio::test]
async fn a_session_is_rotated_before_it_expires_and_takes_the_conversation_along() {
    let engine = FakeEngine::start(&[
        Behaviour::Expire { ms: 300, in_s: 4 },
        Behaviour::Speak { ms: 300 },
    ])
    .await;
    let mut short = profile();
    short.engine.rotate_before_expiry_ms = 3_000;
    let mut house = House::open(&engine.url(), short, |_| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    assert_eq!(phone.call("0").await.status(), 200);
    let talking = async {
        loop {
            phone.listen(100).await;
        }
    };
    tokio::select! {
        () = engine.until("the replayed conversation", |seen| {
            seen.connections == 2 && seen.events.iter().any(|name| name == "conversation.item.create")
        }) => {}
        () = talking => unreachable!(),
    }
    let before = engine.seen.lock().unwrap().audio_messages;
    phone.listen(400).await;
    assert!(
        engine.seen.lock().unwrap().audio_messages > before + 10,
        "the new session hears the caller"
    );
    phone.bye().await;
    assert_eq!(house.ended().await.1, "caller_hung_up");
    let (_, events) = house.record().await;
    assert!(!events.iter().any(|entry| matches!(
        entry.event,
        Event::EngineState {
            state: store::journal::EngineState::Lost,
            ..
        }
    )));
}

#[tokio::test]
async fn a_drain_at_its_bound_cuts_what_still_runs_and_loses_no_record() {
    let engine = FakeEngine::start(&[Behaviour::Speak { ms: 200 }]).await;
    let house = House::open(&engine.url(), profile(), |_| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    assert_eq!(phone.call("0").await.status(), 200);
    let drain = house.engine.drain(std::time::Duration::from_millis(200));
    let (report, _) = tokio::join!(drain, phone.expect_request("BYE"));
    assert_eq!((report.finished, report.cut), (0, 1));
    let (record, _) = house.record().await;
    assert_eq!(reason(&record), "draining");
}
