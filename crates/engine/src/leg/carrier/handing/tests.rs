//! From the feed over the wire to a carrier that plays by a clock of its own, and back by its marks, at simulated time.

#![allow(
    clippy::disallowed_methods,
    reason = "a test takes one real instant and computes from it"
)]

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use media::frame::FRAME_SAMPLES;
use media::{COMPANY_LEAD_MS, Feed, ItemKey, Law, PlayoutEvent, Position, StreamEvent};
use wire::twilio::carrier::{CarrierSide, Order, StreamIds};
use wire::twilio::{Dialect, Outgoing, Stream};

use super::{Handing, gathered_ms};

const EXOTEL: &str = r#"{"event":"start","sequence_number":1,"stream_sid":"S1","start":{"stream_sid":"S1","call_sid":"CA1","account_sid":"AC1","from":"+331","to":"+332","custom_parameters":{"token":"t"},"media_format":{"encoding":"base64","sample_rate":"8000","bit_rate":"128kbps"}}}"#;
/// What the person says all the time.
const PERSON: u8 = 0x31;
/// Look of the call at its audio, ms.
const STEP_MS: u64 = 10;

/// Our side, the network, and a carrier like Twilio.
struct World {
    start: Instant,
    ms: u64,
    feed: Feed,
    stream: Stream,
    handing: Handing,
    carrier: CarrierSide,
    /// One way, ms, and what is under way with when it is there.
    way_ms: u64,
    there: VecDeque<(u64, String)>,
    back: VecDeque<(u64, String)>,
    queue: VecDeque<u8>,
    segment: u64,
    /// Samples played of the segment, and those of each of our milliseconds.
    played: f64,
    rate: f64,
    heard: Vec<u8>,
    hole_ms: u64,
    talks: bool,
    events: Vec<String>,
}

impl World {
    fn new(rate: f64) -> Self {
        let start = Instant::now();
        let mut feed = Feed::new(start, Law::Pcmu);
        feed.start(start);
        feed.hold_back(false);
        let ids = StreamIds {
            stream: "MZ1".to_owned(),
            call: "CA1".to_owned(),
            account: "AC1".to_owned(),
        };
        let mut world = Self {
            start,
            ms: 0,
            feed,
            stream: Stream::new(Dialect::Twilio),
            handing: Handing::default(),
            carrier: CarrierSide::new(ids, &BTreeMap::new()),
            way_ms: 20,
            there: VecDeque::new(),
            back: VecDeque::new(),
            queue: VecDeque::new(),
            segment: 0,
            played: 0.0,
            rate: rate * 8.0,
            heard: Vec::new(),
            hole_ms: 0,
            talks: false,
            events: Vec::new(),
        };
        world.run(100);
        world
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.ms)
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / STEP_MS {
            for _ in 0..STEP_MS {
                self.pass();
            }
            self.look();
        }
    }

    /// A millisecond of the network and the carrier.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole samples"
    )]
    fn pass(&mut self) {
        self.ms += 1;
        if self.talks && self.ms.is_multiple_of(20) {
            self.feed.push_company(&[PERSON; FRAME_SAMPLES]);
        }
        while let Some((_, text)) = self.there.pop_front_if(|(at, _)| *at <= self.ms) {
            self.carrier.handle_text(&text);
        }
        while let Some(order) = self.carrier.poll_order() {
            match order {
                Order::Play { segment, audio } => {
                    if segment != self.segment {
                        (self.segment, self.played) = (segment, 0.0);
                    }
                    self.queue.extend(audio);
                }
                Order::Clear => self.queue.clear(),
                Order::HangUp => panic!("nobody hangs up"),
            }
        }
        let before = self.played as usize;
        self.played += self.rate.min(self.queue.len() as f64);
        let count = self.played as usize - before;
        self.hole_ms += u64::from(count == 0 && !self.heard.is_empty());
        self.heard.extend(self.queue.drain(..count));
        self.carrier.played(self.segment, self.played as u64 / 8);
        while let Some(text) = self.carrier.poll_output() {
            self.back.push_back((self.ms + self.way_ms, text));
        }
        let now = self.now();
        while let Some((_, text)) = self.back.pop_front_if(|(at, _)| *at <= self.ms) {
            self.stream.handle_text(now, &text);
            while self.stream.poll_event().is_some() {}
        }
    }

    /// What the call does when it is woken.
    fn look(&mut self) {
        let now = self.now();
        let position = Position {
            heard: self.stream.heard(now),
            proven: self.stream.proven(now),
        };
        self.feed.handle(now, position);
        while self
            .handing
            .hand_over(now, &mut self.feed, &mut self.stream)
        {}
        while let Some(Outgoing::Text(text)) = self.stream.poll_output() {
            self.there.push_back((self.ms + self.way_ms, text));
        }
        while let Some(event) = self.feed.poll_event() {
            if let StreamEvent::Playout(PlayoutEvent::Finished { item, played_ms }) = event {
                self.events.push(format!("{item} {played_ms}"));
            }
        }
    }

    fn say(&mut self, item: &str, ms: usize) -> Vec<u8> {
        let frames = (0..ms / 20).map(|frame| [u8::try_from(frame % 50).unwrap(); FRAME_SAMPLES]);
        let audio: Vec<u8> = frames.flatten().collect();
        let key = ItemKey::from(item);
        self.feed.push(&key, &audio).unwrap();
        self.feed.finish(&key);
        audio
    }

    fn meets(&mut self) {
        self.feed.set_company(Some(COMPANY_LEAD_MS));
        self.talks = true;
    }

    fn in_hand_ms(&self) -> usize {
        self.queue.len() / 8
    }
}

#[test]
fn nobody_is_heard_later_and_later_by_a_carrier_that_is_slower() {
    let mut world = World::new(0.99);
    world.meets();
    let mut most = 0;
    for part in 0..120 {
        if part % 20 == 0 {
            world.say(&part.to_string(), 20_000);
        }
        for _ in 0..50 {
            world.run(100);
            most = most.max(world.in_hand_ms());
        }
    }
    // Ten minutes, which would be six seconds.
    assert!(most <= 140, "{most} ms in hand");
    assert!(world.hole_ms <= 20, "{}", world.hole_ms);
    assert_eq!(
        world.events,
        [0, 20, 40, 60, 80, 100].map(|part| format!("{part} 20000"))
    );
}

#[test]
fn a_network_that_becomes_slower_is_not_taken_for_a_carrier_that_does() {
    let mut world = World::new(1.0);
    world.meets();
    world.run(20_000);
    assert_eq!(world.hole_ms, 0);
    world.way_ms += 150;
    world.run(58_000);
    // The step itself, and once what was left out for it.
    assert!((90..=550).contains(&world.hole_ms), "{}", world.hole_ms);
    let before = world.hole_ms;
    world.run(300_000);
    let more = world.hole_ms - before;
    assert!(more <= 450, "tried again, once: {more}");
    assert!(world.in_hand_ms() <= 140, "{}", world.in_hand_ms());
}

#[test]
fn what_the_caller_hears_of_a_sentence_is_whole_when_a_person_comes_and_goes() {
    let mut world = World::new(1.0);
    let sentence = world.say("a", 4_000);
    world.run(1_000);
    // Somebody who says nothing, so that every sample can be compared.
    world.meets();
    world.talks = false;
    world.run(1_500);
    assert!(world.in_hand_ms() <= 80, "{}", world.in_hand_ms());
    world.feed.set_company(None);
    world.run(2_000);
    let begins = sentence.len().min(world.heard.len());
    assert_eq!(world.heard[..begins], sentence[..begins]);
    assert!(
        begins == sentence.len() && world.hole_ms <= 700,
        "{}",
        world.hole_ms
    );
    assert_eq!(world.events, ["a 4000"]);
}

#[test]
fn a_carrier_that_wants_long_messages_gets_them() {
    let start = Instant::now();
    let mut stream = Stream::new(Dialect::Exotel);
    stream.handle_text(start, EXOTEL);
    let mut feed = Feed::new(start, Law::Pcmu);
    feed.start(start);
    feed.hold_back(false);
    let mut handing = Handing::default();
    let lead_ms = COMPANY_LEAD_MS + gathered_ms(&stream);
    assert_eq!(lead_ms, 240);
    let mut lengths = Vec::new();
    let mut said = Vec::new();
    for step in 0..=510_u64 {
        let now = start + Duration::from_millis(step * 10);
        feed.set_company((step < 505).then_some(lead_ms));
        if step.is_multiple_of(2) {
            feed.push_company(&[PERSON; FRAME_SAMPLES]);
        }
        let before = said.len();
        while handing.hand_over(now, &mut feed, &mut stream) {}
        feed.take_said(&mut said);
        assert!(step == 0 || said.len() - before <= FRAME_SAMPLES, "evenly");
        while let Some(Outgoing::Text(text)) = stream.poll_output() {
            if text.contains("payload") {
                let payload = text.split(r#""payload":""#).nth(1).unwrap();
                lengths.push(payload.find('"').unwrap() / 4 * 3 / 3_200);
            }
        }
    }
    // Five seconds and the lead, and what was gathered when it ended.
    assert_eq!(lengths, vec![1; 27]);
}
