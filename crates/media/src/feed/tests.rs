//! A feed in company, at simulated time, beside a carrier that plays what it is handed by a clock of its own.

#![allow(
    clippy::disallowed_methods,
    reason = "a test takes one real instant and computes from it"
)]

use std::time::{Duration, Instant};

use super::pace::CATCH_UP_FRAMES_MAX;
use super::{COMPANY_LEAD_MS, Feed, Position};
use crate::frame::{FRAME_SAMPLES, Law};
use crate::playout::{ItemKey, Played, PlayoutEvent};
use crate::stream::StreamEvent;

/// Samples of a millisecond.
const MS: u64 = 8;
/// What is handed ahead of time while nobody else is there, ms.
const AHEAD_MS: u64 = 240;
/// Silence, and what the person says all the time.
const QUIET: u8 = 0xFF;
const PERSON: u8 = 0x31;

/// Feed and carrier.
struct World {
    start: Instant,
    feed: Feed,
    ms: u64,
    /// Everything that the carrier was handed, less what it was told to forget.
    handed: Vec<u8>,
    /// When each 20 ms were handed over, ms.
    times: Vec<u64>,
    /// Samples that the carrier played, and those of them for each of our milliseconds.
    played: f64,
    rate: f64,
    /// By how much less is known to be heard, since marks are on their way longer than at the beginning.
    unseen: f64,
    /// Time that the carrier had nothing to play since it began, ms.
    hole_ms: u64,
    /// The person speaks: 20 ms at each step of our clock.
    talks: bool,
    /// What the person hears of the agent.
    said: Vec<u8>,
    events: Vec<String>,
}

impl World {
    fn new() -> Self {
        let start = Instant::now();
        let mut feed = Feed::new(start, Law::Pcmu);
        feed.start(start);
        feed.hold_back(false);
        Self {
            start,
            feed,
            ms: 0,
            handed: Vec::new(),
            times: Vec::new(),
            played: 0.0,
            rate: MS as f64,
            unseen: 0.0,
            hole_ms: 0,
            talks: false,
            said: Vec::new(),
            events: Vec::new(),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole samples"
    )]
    fn position(&self) -> Position {
        let heard = (self.played - self.unseen).max(0.0) as u64;
        Position {
            heard,
            proven: heard,
        }
    }

    /// What the carrier has in hand, ms.
    fn in_hand_ms(&self) -> f64 {
        (self.handed.len() as f64 - self.played) / MS as f64
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.ms)
    }

    /// `ms` pass, and then the feed is looked at.
    fn wake(&mut self, ms: u64) {
        for _ in 0..ms {
            let left = self.handed.len() as f64 - self.played;
            self.hole_ms += u64::from(self.played > 0.0 && left <= 0.0);
            self.played += self.rate.min(left);
            self.ms += 1;
            if self.talks && self.ms.is_multiple_of(20) {
                self.feed.push_company(&[PERSON; FRAME_SAMPLES]);
            }
        }
        let (now, position) = (self.now(), self.position());
        self.feed.handle(now, position);
        let mut frame = [0; FRAME_SAMPLES];
        loop {
            let ahead = self.handed.len() as u64 - position.heard.min(self.handed.len() as u64);
            let room = self.feed.has_company() || ahead < AHEAD_MS * MS;
            if !room || !self.feed.fill(now, position.heard, &mut frame) {
                break;
            }
            self.handed.extend(frame);
            self.times.push(self.ms);
        }
        self.feed.take_said(&mut self.said);
        while let Some(event) = self.feed.poll_event() {
            if let StreamEvent::Playout(event) = event {
                self.events.push(word(&event));
            }
        }
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            self.wake(10);
        }
    }

    fn meets(&mut self) {
        self.feed.set_company(Some(COMPANY_LEAD_MS));
        self.talks = true;
    }

    fn parts(&mut self) {
        self.feed.set_company(None);
        self.talks = false;
    }

    fn say(&mut self, item: &str, audio: &[u8]) {
        let key = ItemKey::from(item);
        self.feed.push(&key, audio).unwrap();
        self.feed.finish(&key);
    }

    /// A barge-in: the carrier forgets what it has where it is told to.
    fn clear(&mut self) -> Vec<Played> {
        let position = self.position();
        let mixed = self.feed.is_mixed();
        if !mixed {
            self.handed
                .truncate(usize::try_from(position.heard).unwrap());
            self.played = self.handed.len() as f64;
        }
        self.feed.clear(position)
    }
}

fn word(event: &PlayoutEvent) -> String {
    match event {
        PlayoutEvent::Started { item } => format!("started {item}"),
        PlayoutEvent::Starved { item } => format!("starved {item}"),
        PlayoutEvent::Finished { item, played_ms } => format!("finished {item} {played_ms}"),
        PlayoutEvent::Drained => "drained".to_owned(),
    }
}

/// Sound of which every 20 ms can be told from its neighbours.
fn speech(ms: usize) -> Vec<u8> {
    let frames = (0..ms / 20).map(|frame| [u8::try_from(frame % 50).unwrap(); FRAME_SAMPLES]);
    frames.flatten().collect()
}

#[test]
fn twenty_milliseconds_leave_every_twenty_whenever_it_is_looked() {
    let mut world = World::new();
    world.meets();
    // Wakes at 7, 33 and 20 ms: the deadlines are those of the clock.
    for _ in 0..1_000 {
        world.wake(7);
        world.wake(33);
        world.wake(20);
    }
    let lead = usize::try_from(COMPANY_LEAD_MS / 20).unwrap();
    assert_eq!(world.times.len(), 60_000 / 20 + lead - 1, "no drift");
    assert_eq!(
        world.times[..lead],
        [7, 7, 7],
        "so that the carrier has some"
    );
    assert!(world.in_hand_ms() <= f64::from(COMPANY_LEAD_MS));
    assert_eq!(world.hole_ms, 0);
    // It is waited for until the next at most.
    let next = world.feed.poll_timeout().unwrap();
    assert!(next <= world.now() + Duration::from_millis(20));
    // Nobody is there any more: nothing leaves where nobody speaks.
    world.parts();
    let before = world.times.len();
    world.run(1_000);
    assert_eq!(world.times.len(), before);
}

#[test]
fn a_late_wake_catches_up_a_little_and_what_was_said_meanwhile_is_gone() {
    let mut world = World::new();
    world.meets();
    world.run(1_000);
    let before = world.times.len();
    world.talks = false;
    for number in 0x41..=0x49 {
        world.feed.push_company(&[number; FRAME_SAMPLES]);
    }
    world.wake(2_000);
    let caught_up = usize::try_from(CATCH_UP_FRAMES_MAX).unwrap();
    assert_eq!(world.times.len() - before, caught_up);
    let heard: Vec<u8> = world.handed[before * FRAME_SAMPLES..]
        .chunks(FRAME_SAMPLES)
        .map(|frame| frame[0])
        .collect();
    assert_eq!(heard, [0x45, 0x46, 0x47, 0x48, 0x49], "the latest of it");
    world.run(1_000);
    assert_eq!(world.times.len() - before, caught_up + 50);
}

/// An hour with a carrier whose clock is by a hundredth slower or faster: how much it had in hand at most, what was left out of the
/// person's words, and how long it had nothing to play.
fn an_hour(rate: f64) -> (f64, f64, f64) {
    let mut world = World::new();
    world.rate = rate * MS as f64;
    world.meets();
    let mut most: f64 = 0.0;
    for minute in 0..60 {
        if minute % 6 == 0 {
            world.say(&minute.to_string(), &speech(30_000));
        }
        for _ in 0..600 {
            world.run(100);
            most = most.max(world.in_hand_ms());
        }
    }
    let all: f64 = 3_600_000.0;
    let left_out = (all - world.times.len() as f64 * 20.0) / all;
    // Nothing of the agent's ten items is lost, whatever was left out.
    let finished: Vec<&String> = world
        .events
        .iter()
        .filter(|one| one.starts_with("finished"))
        .collect();
    assert_eq!(finished.len(), 10);
    assert!(
        finished.iter().all(|one| one.ends_with(" 30000")),
        "{finished:?}"
    );
    (most, left_out, world.hole_ms as f64 / all)
}

#[test]
fn what_the_carrier_has_in_hand_does_not_grow_in_an_hour() {
    let bound = f64::from(COMPANY_LEAD_MS) + 40.0 + 20.0;
    let (most, left_out, holes) = an_hour(0.99);
    assert!(most <= bound, "{most}");
    assert!(
        (0.009..0.011).contains(&left_out),
        "as much as it is slower: {left_out}"
    );
    assert_eq!(holes, 0.0);
    let (most, left_out, holes) = an_hour(1.01);
    assert!(most <= bound, "{most}");
    assert!(left_out.abs() < 0.001, "{left_out}");
    assert!(holes < 0.011, "no more than it is faster: {holes}");
}

#[test]
fn marks_that_take_longer_cost_one_gap_and_not_the_call() {
    let mut world = World::new();
    world.meets();
    world.run(60_000);
    let before = world.times.len();
    // It looks as if the carrier had 300 ms more in hand, and it has not.
    world.unseen = 300.0 * MS as f64;
    world.run(250_000);
    let left_out = 250_000 / 20 - (world.times.len() - before);
    assert!((1..=18).contains(&left_out), "{left_out}");
    // Some minutes later it is tried once more.
    world.run(600_000);
    let left_out = 850_000 / 20 - (world.times.len() - before);
    assert!((19..=3 * 18).contains(&left_out), "{left_out}");
    // The way is as short as it was.
    world.unseen = 0.0;
    world.run(320_000);
    assert!(
        world.in_hand_ms() <= f64::from(COMPANY_LEAD_MS) + 60.0,
        "{}",
        world.in_hand_ms()
    );
}

#[test]
fn a_person_who_comes_in_the_middle_of_a_sentence_repeats_and_loses_nothing_of_it() {
    let mut world = World::new();
    let sentence = speech(3_000);
    world.say("a", &sentence);
    world.run(1_000);
    let ahead = world.in_hand_ms();
    assert!(
        ahead > f64::from(COMPANY_LEAD_MS) + 100.0,
        "handed ahead of time: {ahead}"
    );
    world.meets();
    let met = world.handed.len();
    world.run(1_000);
    // The person is heard once the carrier has played what it had.
    let waited = world.times[met / FRAME_SAMPLES] - 1_000;
    assert!(
        waited as f64 <= ahead - f64::from(COMPANY_LEAD_MS) + 20.0,
        "{waited}"
    );
    let mixed = &world.handed[met..];
    let both = mixed
        .chunks(FRAME_SAMPLES)
        .zip(sentence[met..].chunks(FRAME_SAMPLES));
    assert!(
        both.filter(|(heard, said)| heard != said).count() > 35,
        "beside the agent"
    );
    // What the person hears of the agent is the rest of the sentence, in the moment in which it leaves.
    assert_eq!(world.said, sentence[met..world.handed.len()]);
    world.parts();
    let alone = world.handed.len();
    world.run(2_000);
    assert_eq!(world.handed[..met], sentence[..met]);
    assert_eq!(
        world.handed[alone..],
        sentence[alone..],
        "and on, ahead of time"
    );
    assert_eq!(world.hole_ms, world.ms - 3_000 - 10, "after its end only");
    assert_eq!(world.events, ["started a", "finished a 3000", "drained"]);
}

#[test]
fn a_barge_in_takes_the_agent_away_and_leaves_the_person() {
    let mut world = World::new();
    world.meets();
    world.run(1_000);
    let before = world.handed.len();
    world.say("a", &speech(4_000));
    world.say("b", &speech(4_000));
    world.run(1_010);
    let spoken = u32::try_from((world.handed.len() - before) as u64 / MS).unwrap();
    assert!((980..=1_040).contains(&spoken), "{spoken}");
    let played = world.clear();
    let expected = [("a", spoken), ("b", 0)].map(|(item, played_ms)| Played {
        item: ItemKey::from(item),
        played_ms,
        finished: false,
    });
    assert_eq!(played, expected, "what was handed over is heard");
    let cut = world.handed.len();
    world.run(1_000);
    assert!(
        world.handed[cut..].iter().all(|byte| *byte == PERSON),
        "and nobody else"
    );
    assert_eq!((world.handed.len() - cut) / FRAME_SAMPLES, 50);
    assert_eq!(world.hole_ms, 0);
    world.say("c", &speech(200));
    world.run(400);
    assert_eq!(
        world.events,
        ["started a", "started c", "finished c 200", "drained"]
    );
    assert!(world.feed.wants_proof() && !world.feed.wants_proof());
}

#[test]
fn before_the_person_is_heard_a_barge_in_cuts_at_the_carrier() {
    let mut world = World::new();
    world.say("a", &speech(4_000));
    world.run(1_000);
    world.meets();
    assert!(!world.feed.is_mixed());
    assert_eq!(world.clear()[0].played_ms, 990, "not what was ahead");
    world.run(200);
    assert!(world.feed.is_mixed());
    let quiet = world.handed[990 * 8..]
        .chunks(FRAME_SAMPLES)
        .filter(|frame| frame[0] == QUIET);
    assert!(quiet.count() <= 3, "the person at once");
}

#[test]
fn an_item_that_runs_dry_beside_others_is_told_when_it_is_heard() {
    let mut world = World::new();
    world.meets();
    world.run(200);
    let key = ItemKey::from("a");
    world.feed.push(&key, &speech(100)).unwrap();
    world.run(120);
    assert_eq!(world.events, ["started a"]);
    world.run(100);
    assert_eq!(world.events, ["started a", "starved a"]);
    world.feed.push(&key, &speech(100)).unwrap();
    world.feed.finish(&key);
    world.run(200);
    assert_eq!(
        world.events[2..],
        ["started a", "finished a 200", "drained"]
    );
}

#[test]
fn the_recording_has_the_person_on_the_lane_of_what_is_heard() {
    let mut world = World::new();
    world.feed.set_recording(true);
    world.meets();
    let mut lanes = Vec::new();
    for _ in 0..100 {
        world.run(20);
        while let Some(frame) = world.feed.poll_recording() {
            lanes.push((frame.agent[80], frame.caller[80]));
        }
    }
    assert_eq!(lanes.len(), 100);
    let loud = lanes.iter().filter(|(agent, _)| *agent != 0).count();
    assert!((90..=98).contains(&loud), "{loud}");
    assert!(lanes.iter().all(|(_, caller)| *caller == 0));
}
