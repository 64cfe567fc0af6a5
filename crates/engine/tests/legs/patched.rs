//! Calls that the switchboard connects with local audio or with an application.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::switchboard::{
    ApplicationEnd, CallEnding, CallNews, FarEnd, IncomingCall, LocalEnd, LocalSource, PatchedCall,
    PlacePatched, Switchboard,
};
use futures_util::{SinkExt as _, StreamExt as _};
use media::{Law, tone};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_websockets::{Message, ServerBuilder, WebSocketStream};

use super::common::phone::Phone;
use super::common::{House, loopback, profile, reason, within};

/// A house whose calls a switchboard takes.
async fn house(
    change: impl FnOnce(&mut engine::Config, &mut Switchboard),
) -> (House, mpsc::Receiver<IncomingCall>) {
    let (mut switchboard, incoming) = Switchboard::new();
    let house = House::open("ws://127.0.0.1:9", profile(), |config| {
        config.agents.clear();
        config.recording.enabled = false;
        change(config, &mut switchboard);
        config.switchboard = Some(switchboard);
    })
    .await;
    (house, incoming)
}

async fn offered(incoming: &mut mpsc::Receiver<IncomingCall>) -> IncomingCall {
    within("an offered call", incoming.recv())
        .await
        .expect("the engine lives")
}

/// News up to the end.
async fn story(call: &mut PatchedCall) -> (Vec<CallNews>, CallEnding) {
    within("the end of the call", async {
        let mut news = Vec::new();
        loop {
            match call.next().await.expect("an end") {
                CallNews::Ended(ending) => return (news, ending),
                other => news.push(other),
            }
        }
    })
    .await
}

fn local(says: LocalSource) -> FarEnd {
    FarEnd::Local(LocalEnd { says, hears: None })
}

#[tokio::test]
async fn a_call_is_connected_with_a_tone_and_heard() {
    let (house, mut incoming) = house(|_, _| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    let sdp = phone.sdp("8");
    phone.invite(&sdp).await;
    let mut offer = offered(&mut incoming).await;
    assert_eq!(offer.from, "+33123456789");
    assert_eq!(offer.to, "agent");
    let (hears, mut heard) = mpsc::channel(50);
    assert!(offer.call.orders().ring());
    let far = FarEnd::Local(LocalEnd {
        says: LocalSource::Tone(440.0),
        hears: Some(hears),
    });
    assert!(offer.call.orders().answer(far));
    assert_eq!(phone.final_answer().await.status(), 200);
    phone.hear(440.0).await;
    let frame = within("a frame of the phone", heard.recv()).await;
    assert!(
        frame
            .expect("the call lives")
            .iter()
            .all(|sample| sample.abs() < 16)
    );
    phone.bye().await;
    let (news, ending) = story(&mut offer.call).await;
    assert_eq!(news, [CallNews::Answered, CallNews::Active]);
    assert_eq!(ending.reason.code(), "caller_hung_up");
    assert!(ending.answered);
    let (record, _) = house.record().await;
    assert_eq!(reason(&record), "caller_hung_up");
}

#[tokio::test]
async fn a_call_is_rejected_given_up_or_left_alone() {
    let (house, mut incoming) = house(|_, _| {}).await;
    let mut phone = Phone::new(house.udp()).await;
    phone.invite(&phone.sdp("0")).await;
    let mut offer = offered(&mut incoming).await;
    assert!(offer.call.orders().reject(486));
    assert_eq!(phone.final_answer().await.status(), 486);
    let (_, ending) = story(&mut offer.call).await;
    assert_eq!((ending.status, ending.answered), (Some(486), false));
    // Nobody decides: the caller gives up.
    let phone = Phone::new(house.udp()).await;
    phone.invite(&phone.sdp("0")).await;
    let mut offer = offered(&mut incoming).await;
    phone.cancel().await;
    let (_, ending) = story(&mut offer.call).await;
    assert_eq!(ending.reason.code(), "caller_cancelled");
    assert!(!ending.given_up);
    // Whoever holds the call lets it fall.
    let mut phone = Phone::new(house.udp()).await;
    phone.invite(&phone.sdp("0")).await;
    drop(offered(&mut incoming).await);
    assert_eq!(phone.final_answer().await.status(), 480);
}

#[tokio::test]
async fn a_call_that_is_placed_echoes_is_busy_or_is_not_answered() {
    let (callee, mut incoming) = house(|_, _| {}).await;
    let (caller, _) = house(|_, _| {}).await;
    let port = callee.udp().port();
    let place = |ring_ms: u64| PlacePatched {
        line: "test".to_owned(),
        to: format!("sip:bob@127.0.0.1:{port}"),
        from: None,
        ring_max: Duration::from_millis(ring_ms),
    };
    let mut call = caller
        .engine
        .place_patched(place(5_000))
        .await
        .expect("placed");
    let (hears, mut heard) = mpsc::channel(50);
    call.orders().answer(FarEnd::Local(LocalEnd {
        says: LocalSource::Tone(700.0),
        hears: Some(hears),
    }));
    let mut offer = offered(&mut incoming).await;
    offer.call.orders().ring();
    offer.call.orders().answer(local(LocalSource::Echo));
    within("the echo", async {
        let mut last = Vec::new();
        while tone::purity(&last, 700.0) < 0.9 {
            let frame = heard.recv().await.expect("the call lives");
            last.extend_from_slice(frame.as_slice());
            let extra = last.len().saturating_sub(1_600);
            last.drain(..extra);
        }
    })
    .await;
    call.orders().hang_up();
    let (news, ending) = story(&mut call).await;
    let expected = [CallNews::Ringing, CallNews::Answered, CallNews::Active];
    assert_eq!(news, expected);
    assert!(ending.given_up && ending.answered);
    assert_eq!(
        story(&mut offer.call).await.1.reason.code(),
        "caller_hung_up"
    );

    let mut call = caller
        .engine
        .place_patched(place(5_000))
        .await
        .expect("placed");
    offered(&mut incoming).await.call.orders().reject(486);
    let (_, ending) = story(&mut call).await;
    assert_eq!((ending.status, ending.answered), (Some(486), false));

    let mut call = caller
        .engine
        .place_patched(place(200))
        .await
        .expect("placed");
    let mut offer = offered(&mut incoming).await;
    let (_, ending) = story(&mut call).await;
    assert!(ending.given_up && ending.status == Some(408), "{ending:?}");
    let (_, other) = story(&mut offer.call).await;
    assert_eq!(other.reason.code(), "caller_cancelled");
}

#[tokio::test]
async fn the_longest_duration_ends_a_call_and_the_end_of_the_process_too() {
    let (house, mut incoming) = house(|_, switchboard| {
        switchboard.call_max = Some(Duration::from_millis(300));
    })
    .await;
    let mut phone = Phone::new(house.udp()).await;
    phone.invite(&phone.sdp("0")).await;
    let mut offer = offered(&mut incoming).await;
    offer.call.orders().answer(local(LocalSource::Silence));
    phone.final_answer().await;
    phone.expect_request("BYE").await;
    assert_eq!(story(&mut offer.call).await.1.reason.code(), "max_duration");
    let mut phone = Phone::new(house.udp()).await;
    phone.invite(&phone.sdp("0")).await;
    let mut offer = offered(&mut incoming).await;
    let drained = house.engine.drain(Duration::from_secs(2));
    let (answer, report) = tokio::join!(phone.final_answer(), drained);
    assert_eq!((answer.status(), report.cut), (503, 0));
    assert_eq!(story(&mut offer.call).await.1.reason.code(), "draining");
}

/// The application's end of one stream.
struct Application {
    socket: WebSocketStream<TcpStream>,
    sid: String,
}

impl Application {
    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = within("the stream", listener.accept())
            .await
            .expect("accepted");
        let (_, socket) = ServerBuilder::new()
            .accept(stream)
            .await
            .expect("a handshake");
        let sid = String::new();
        Self { socket, sid }
    }

    /// The next message that is not audio.
    async fn next(&mut self) -> Value {
        within("a message", async {
            loop {
                let message = self.socket.next().await.expect("open").expect("sound");
                let Some(text) = message.as_text() else {
                    return json!({ "event": "closed" });
                };
                let message: Value = serde_json::from_str(text).expect("JSON");
                if message["event"] != "media" {
                    return message;
                }
            }
        })
        .await
    }

    async fn begin(&mut self) -> Value {
        assert_eq!(self.next().await["event"], "connected");
        let start = self.next().await;
        assert_eq!(start["event"], "start");
        start["streamSid"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut self.sid);
        start
    }

    async fn say(&mut self, mut message: Value) {
        message["streamSid"] = self.sid.clone().into();
        let text = Message::text(message.to_string());
        self.socket.send(text).await.expect("sent");
    }

    async fn play(&mut self, hertz: f32, ms: usize) {
        let mut audio = vec![0; ms * 8];
        tone::Sine::new(hertz, 8_000.0).fill_coded(Law::Pcmu, &mut audio);
        let payload = base64_simd::STANDARD.encode_to_string(&audio);
        self.say(json!({ "event": "media", "media": { "payload": payload } }))
            .await;
    }

    async fn mark(&mut self, name: &str) {
        self.say(json!({ "event": "mark", "mark": { "name": name } }))
            .await;
    }
}

fn application(listener: &TcpListener) -> FarEnd {
    FarEnd::Application(ApplicationEnd {
        url: format!(
            "ws://{}/media-stream",
            listener.local_addr().expect("bound")
        ),
        call_sid: "CA1".to_owned(),
        account_sid: "AC1".to_owned(),
        parameters: BTreeMap::from([("callerPhone".to_owned(), "+33123456789".to_owned())]),
    })
}

#[tokio::test]
async fn an_application_speaks_marks_clears_and_hangs_up_as_with_twilio() {
    let (house, mut incoming) = house(|_, _| {}).await;
    let listener = TcpListener::bind(loopback()).await.expect("a port");
    let mut phone = Phone::new(house.udp()).await;
    phone
        .invite(&phone.sdp("8 101\r\na=rtpmap:101 telephone-event/8000"))
        .await;
    let mut offer = offered(&mut incoming).await;
    offer.call.orders().answer(application(&listener));
    let mut bot = Application::accept(&listener).await;
    let start = bot.begin().await;
    assert_eq!(start["start"]["callSid"], "CA1");
    assert_eq!(
        start["start"]["customParameters"]["callerPhone"],
        "+33123456789"
    );
    assert_eq!(phone.final_answer().await.status(), 200);
    bot.play(1_000.0, 400).await;
    bot.mark("said").await;
    phone.hear(1_000.0).await;
    let mut listening = Box::pin(phone.listen(4_000));
    tokio::select! {
        mark = bot.next() => assert_eq!(mark["mark"]["name"], "said"),
        _ = &mut listening => panic!("no mark"),
    }
    // Ten seconds are queued, and cleared: the mark comes at once, and the phone is silent.
    bot.play(1_000.0, 10_000).await;
    bot.mark("never heard to its end").await;
    bot.say(json!({ "event": "clear" })).await;
    tokio::select! {
        mark = bot.next() => assert_eq!(mark["mark"]["name"], "never heard to its end"),
        _ = &mut listening => panic!("no mark"),
    }
    drop(listening);
    phone.listen(300).await;
    assert!(tone::purity(&phone.listen(200).await, 1_000.0) < 0.5);
    bot.say(json!({ "event": "stop" })).await;
    phone.expect_request("BYE").await;
    assert_eq!(bot.next().await["event"], "stop");
    assert_eq!(bot.next().await["event"], "closed");
    let (_, ending) = story(&mut offer.call).await;
    assert_eq!(ending.reason.code(), "agent_hung_up");
}

#[tokio::test]
async fn an_application_that_is_not_there_or_goes_away_ends_the_call() {
    let (house, mut incoming) = house(|_, _| {}).await;
    let listener = TcpListener::bind(loopback()).await.expect("a port");
    let far = application(&listener);
    drop(listener);
    let mut phone = Phone::new(house.udp()).await;
    phone.invite(&phone.sdp("0")).await;
    let mut offer = offered(&mut incoming).await;
    offer.call.orders().answer(far);
    assert_eq!(phone.final_answer().await.status(), 503);
    let (_, ending) = story(&mut offer.call).await;
    assert_eq!((ending.answered, ending.status), (false, Some(503)));
    assert!(ending.detail.is_some());

    for (says_goodbye, expected) in [(true, "agent_hung_up"), (false, "engine_lost")] {
        let listener = TcpListener::bind(loopback()).await.expect("a port");
        let mut phone = Phone::new(house.udp()).await;
        phone.invite(&phone.sdp("0")).await;
        let mut offer = offered(&mut incoming).await;
        offer.call.orders().answer(application(&listener));
        let mut bot = Application::accept(&listener).await;
        bot.begin().await;
        phone.final_answer().await;
        if says_goodbye {
            bot.socket.close().await.expect("closed");
        }
        drop(bot);
        phone.expect_request("BYE").await;
        assert_eq!(story(&mut offer.call).await.1.reason.code(), expected);
    }
}
