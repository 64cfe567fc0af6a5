//! Audio that a carrier plays by itself, at simulated time.

#![allow(
    clippy::disallowed_methods,
    reason = "a test takes one real instant and computes from it"
)]

use std::time::{Duration, Instant};

use media::frame::FRAME_SAMPLES;
use media::{Feed, ItemKey, Law, Played, PlayoutEvent, Position, StreamEvent};

const MS: u64 = 8;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn at(heard_ms: u64, proven_ms: u64) -> Position {
    Position {
        heard: heard_ms * MS,
        proven: proven_ms * MS,
    }
}

fn key(name: &str) -> ItemKey {
    ItemKey::from(name)
}

fn feed() -> (Instant, Feed) {
    let start = Instant::now();
    let mut feed = Feed::new(start, Law::Pcmu);
    feed.start(start);
    feed.hold_back(false);
    (start, feed)
}

/// Hands over what there is, at most `frames`; how many frames it was.
fn hand_over(feed: &mut Feed, now: Instant, heard_ms: u64, frames: usize) -> usize {
    let mut frame = [0; FRAME_SAMPLES];
    (0..frames)
        .take_while(|_| feed.fill(now, heard_ms * MS, &mut frame))
        .count()
}

fn words(feed: &mut Feed) -> Vec<String> {
    std::iter::from_fn(|| feed.poll_event())
        .map(|event| match event {
            StreamEvent::Playout(PlayoutEvent::Started { item }) => format!("started {item}"),
            StreamEvent::Playout(PlayoutEvent::Starved { item }) => format!("starved {item}"),
            StreamEvent::Playout(PlayoutEvent::Finished { item, played_ms }) => {
                format!("finished {item} {played_ms}")
            }
            StreamEvent::Playout(PlayoutEvent::Drained) => "drained".to_owned(),
            StreamEvent::MediaLost { since_ms } => format!("lost {since_ms}"),
            StreamEvent::MediaResumed => "resumed".to_owned(),
            StreamEvent::Dtmf { digit, .. } => format!("key {digit}"),
            other @ (StreamEvent::Latched { .. }
            | StreamEvent::SourceRefused { .. }
            | StreamEvent::SrtpFailure { .. }
            | StreamEvent::KeyDue { .. }
            | StreamEvent::Bye) => panic!("{other:?}"),
        })
        .collect()
}

fn played(item: &str, played_ms: u32, finished: bool) -> Played {
    Played {
        item: key(item),
        played_ms,
        finished,
    }
}

#[test]
fn an_item_begins_when_it_is_heard_and_is_finished_when_its_end_is_proven() {
    let (start, mut feed) = feed();
    feed.push(&key("a"), &[1; 800]).unwrap();
    feed.finish(&key("a"));
    feed.push(&key("b"), &[2; 800]).unwrap();
    assert_eq!(hand_over(&mut feed, start, 0, 99), 10);
    feed.handle(start, at(0, 0));
    assert_eq!(words(&mut feed), ["started a"]);
    feed.handle(start + ms(120), at(120, 0));
    assert!(
        words(&mut feed).is_empty(),
        "heard, by the clock, but not proven"
    );
    feed.handle(start + ms(150), at(150, 100));
    assert_eq!(words(&mut feed), ["finished a 100", "started b"]);
    feed.finish(&key("b"));
    feed.handle(start + ms(260), at(200, 200));
    assert_eq!(words(&mut feed), ["finished b 100", "drained"]);
}

#[test]
fn a_clear_tells_what_was_heard_of_each_item_whatever_was_handed_over() {
    let (start, mut feed) = feed();
    for item in ["a", "b", "c"] {
        feed.push(&key(item), &[1; 1_600]).unwrap();
        feed.finish(&key(item));
    }
    // 20 frames: all of the first, all of the second, none of the third.
    assert_eq!(hand_over(&mut feed, start, 0, 20), 20);
    feed.handle(start + ms(100), at(100, 0));
    words(&mut feed);
    let heard = at(305, 305);
    assert_eq!(
        feed.clear(heard),
        [played("b", 105, false), played("c", 0, false)]
    );
    // The first was finished just before; nothing of the others is reported any more.
    assert_eq!(words(&mut feed), ["finished a 200", "started b"]);
    feed.handle(start + ms(900), at(305, 305));
    assert!(words(&mut feed).is_empty());
    // What comes next begins where the caller stopped hearing.
    feed.push(&key("d"), &[1; 160]).unwrap();
    feed.finish(&key("d"));
    assert_eq!(hand_over(&mut feed, start + ms(900), 305, 9), 1);
    feed.handle(start + ms(930), at(325, 325));
    assert_eq!(words(&mut feed), ["started d", "finished d 20", "drained"]);
}

#[test]
fn what_was_heard_to_its_end_but_not_proven_is_told_as_finished() {
    let (start, mut feed) = feed();
    feed.push(&key("a"), &[1; 160]).unwrap();
    feed.finish(&key("a"));
    assert_eq!(hand_over(&mut feed, start, 0, 9), 1);
    feed.handle(start, at(20, 0));
    assert_eq!(feed.clear(at(20, 0)), [played("a", 20, true)]);
}

#[test]
fn an_item_ran_dry_only_when_the_carrier_has_nothing_left_of_it() {
    let (start, mut feed) = feed();
    feed.push(&key("a"), &[1; 1_600]).unwrap();
    assert_eq!(hand_over(&mut feed, start, 0, 99), 10);
    // The engine pauses for 150 ms: nobody hears that.
    assert_eq!(hand_over(&mut feed, start + ms(150), 150, 9), 0);
    feed.push(&key("a"), &[1; 1_600]).unwrap();
    assert_eq!(hand_over(&mut feed, start + ms(150), 150, 99), 10);
    feed.handle(start + ms(200), at(200, 200));
    assert_eq!(words(&mut feed), ["started a"]);
    // Now it is too long.
    assert_eq!(hand_over(&mut feed, start + ms(410), 400, 9), 0);
    feed.handle(start + ms(410), at(400, 400));
    assert_eq!(words(&mut feed), ["starved a"]);
    assert_eq!(feed.statistics().underruns, 1);
    feed.push(&key("a"), &[1; 160]).unwrap();
    assert_eq!(hand_over(&mut feed, start + ms(450), 400, 9), 1);
    feed.handle(start + ms(450), at(400, 400));
    assert_eq!(words(&mut feed), ["started a"]);
}

#[test]
fn messages_out_of_order_twice_or_lost_are_put_right() {
    let (start, mut feed) = feed();
    let frame = |value: u8| [value; FRAME_SAMPLES];
    for (number, value) in [(1, 1), (3, 3), (2, 2), (2, 9), (4, 4)] {
        feed.handle_audio(start, Some(number), &frame(value));
    }
    let mut heard = Vec::new();
    while let Some(frame) = feed.poll_frame() {
        heard.push(frame.audio[80]);
    }
    assert_eq!(heard, [1, 2, 3, 4]);
    let figures = feed.statistics();
    assert_eq!(
        (figures.packets_reordered, figures.packets_duplicate),
        (1, 1)
    );
    // One is lost: the next waits for it, but not for long.
    feed.handle_audio(start + ms(60), Some(6), &frame(6));
    assert!(feed.poll_frame().is_none());
    feed.handle(start + ms(200), at(0, 0));
    let concealed: Vec<bool> =
        std::iter::from_fn(|| feed.poll_frame().map(|frame| frame.concealed)).collect();
    assert_eq!(concealed.first(), Some(&true));
    assert!(concealed.contains(&false));
}

#[test]
fn long_messages_are_cut_into_frames_and_those_without_a_number_taken_as_they_come() {
    let (start, mut feed) = feed();
    feed.handle_audio(start, Some(1), &[7; 4_000]);
    feed.handle_audio(start, Some(2), &[8; 4_000]);
    let count = std::iter::from_fn(|| feed.poll_frame().map(|_| ())).count();
    assert_eq!(count, 50);
    let (start, mut feed) = self::feed();
    for _ in 0..5 {
        feed.handle_audio(start, None, &[7; FRAME_SAMPLES]);
    }
    assert_eq!(
        std::iter::from_fn(|| feed.poll_frame().map(|_| ())).count(),
        5
    );
}

#[test]
fn nothing_is_heard_before_the_call_is_answered_and_silence_is_noticed() {
    let start = Instant::now();
    let mut feed = Feed::new(start, Law::Pcmu);
    feed.set_media_timeout_ms(1_000);
    feed.handle_audio(start, Some(1), &[7; FRAME_SAMPLES]);
    assert!(feed.poll_frame().is_none());
    feed.push(&key("a"), &[1; 160]).unwrap();
    assert_eq!(hand_over(&mut feed, start, 0, 9), 0, "held back");
    feed.start(start + ms(100));
    feed.hold_back(false);
    assert_eq!(hand_over(&mut feed, start + ms(100), 0, 9), 1);
    feed.handle(start + ms(1_100), at(20, 20));
    assert_eq!(words(&mut feed), ["started a", "lost 1000"]);
    feed.handle_audio(start + ms(1_200), Some(2), &[7; FRAME_SAMPLES]);
    feed.handle_dtmf('5', 0);
    assert_eq!(words(&mut feed), ["resumed", "key 5"]);
}

#[test]
fn a_recording_holds_what_was_heard_and_not_what_was_cleared() {
    let (start, mut feed) = feed();
    feed.set_recording(true);
    feed.push(&key("a"), &[0x20; 8_000]).unwrap();
    assert_eq!(hand_over(&mut feed, start, 0, 12), 12);
    let mut frames = Vec::new();
    for tick in 1..=50_u64 {
        let now = start + ms(tick * 20);
        feed.handle_audio(now, Some(tick), &[0xFF; FRAME_SAMPLES]);
        feed.handle(now, at((tick * 20).min(100), 0));
        while feed.poll_frame().is_some() {}
        if tick == 5 {
            feed.clear(at(100, 100));
        }
        while let Some(frame) = feed.poll_recording() {
            frames.push(frame);
        }
    }
    let loud = frames.iter().filter(|frame| frame.agent[80] != 0).count();
    assert_eq!(frames.len(), 50);
    assert_eq!(loud, 5, "100 ms were heard");
}
