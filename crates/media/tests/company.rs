//! Others beside the agent: heard with it by the peer and in the recording, while the agent's items stay what they are.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::{Bench, address, config, samples, tone};
use media::rtp::HEADER_BYTES;
use media::tone::purity_at;
use media::{Codec, Direction, ItemKey, PlayoutEvent, StreamEvent};

const AGENT_HZ: f32 = 700.0;
const OTHERS_HZ: f32 = 1_100.0;

/// A stream in whose company somebody speaks for a second; the agent speaks too, and is stopped after `agent_ms`.
fn together(codec: Codec, agent_ms: u64) -> (Bench, Vec<u8>, u32) {
    let mut bench = Bench::with(config(codec, Some(address(9, 6_000))));
    bench.stream.set_recording(true);
    bench.stream.set_company(true);
    let item = ItemKey::from("item");
    let voice = tone(codec, AGENT_HZ, 3_000);
    bench.stream.playout().push(&item, &voice).unwrap();
    bench.start();
    let others = tone(codec, OTHERS_HZ, 1_000);
    let (mut said, mut played_ms) = (Vec::new(), 0);
    for (index, frame) in (0..).zip(others.chunks(codec.form().frame_bytes())) {
        bench.stream.push_company(frame);
        if index * 20 == agent_ms {
            played_ms = bench.stream.playout().clear()[0].played_ms;
        }
        bench.go(index * 20 + 19);
        bench.stream.take_said(&mut said);
    }
    (bench, said, played_ms)
}

#[test]
fn the_peer_hears_both_and_the_others_hear_the_agent_alone() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let (bench, said, played_ms) = together(codec, 600);
        let sent = bench.sent.iter().map(|(_, data)| &data[HEADER_BYTES..]);
        let heard: Vec<i16> = sent.flat_map(|audio| samples(codec, audio)).collect();
        let rate = codec.form().rate();
        let both = &heard[800..4_000];
        let shares = [AGENT_HZ, OTHERS_HZ].map(|hz| purity_at(rate, both, hz));
        assert!(shares.iter().all(|share| *share > 0.4), "{shares:?}");
        let alone = purity_at(rate, &heard[5_000..7_500], OTHERS_HZ);
        assert!(
            alone > 0.99,
            "what is said beside the agent is not cut with it: {alone}"
        );
        let said = samples(codec, &said);
        assert!(purity_at(rate, &said[800..4_000], AGENT_HZ) > 0.99);
        assert!(
            said[5_000..].iter().all(|sample| sample.abs() < 10),
            "it was cut for all"
        );
        assert!((600..=640).contains(&played_ms), "{played_ms}");
        let lane = bench
            .recording
            .iter()
            .flat_map(|frame| frame.agent.to_vec());
        let lane: Vec<i16> = lane.collect();
        let shares = [AGENT_HZ, OTHERS_HZ].map(|hz| purity_at(rate, &lane[1_600..4_000], hz));
        assert!(shares.iter().all(|share| *share > 0.4), "{shares:?}");
    }
}

#[test]
fn the_items_of_the_agent_are_told_as_without_company() {
    let (mut bench, _, _) = together(Codec::G722, 2_000);
    bench.stream.playout().finish(&ItemKey::from("item"));
    bench.go(4_000);
    let finished = bench.events.iter().find_map(|event| {
        if let StreamEvent::Playout(PlayoutEvent::Finished { played_ms, .. }) = event {
            Some(*played_ms)
        } else {
            None
        }
    });
    assert_eq!(finished, Some(3_000));
}

#[test]
fn nothing_waits_without_bound_and_nobody_is_heard_who_is_gone() {
    let mut bench = Bench::with(config(Codec::Pcmu, Some(address(9, 6_000))));
    bench.start();
    bench.stream.push_company(&[0x10; 160]);
    let mut said = Vec::new();
    bench.stream.take_said(&mut said);
    assert!(said.is_empty(), "nobody is there");
    bench.stream.set_company(true);
    for _ in 0..100 {
        bench.stream.push_company(&[0x10; 160]);
    }
    bench.go(2_000);
    let loud = |(_, data): &&(_, Vec<u8>)| data[HEADER_BYTES] == 0x10;
    assert_eq!(bench.sent.iter().filter(loud).count(), 10, "200 ms waited");
    bench.stream.take_said(&mut said);
    assert_eq!(said.len(), 10 * 160, "and no more of the agent's silence");
    bench.stream.push_company(&[0x10; 160]);
    bench.stream.set_company(false);
    bench.go(2_100);
    assert_eq!(bench.sent.iter().filter(loud).count(), 10);
}

/// What the others say while nothing is sent does not make them late afterwards.
fn is_in_time_after(what: &str, pause: impl Fn(&mut Bench), resume: impl Fn(&mut Bench)) {
    let mut terms = config(Codec::Pcmu, Some(address(9, 6_000)));
    terms.telephone_event = Some(101);
    let mut bench = Bench::with(terms);
    bench.stream.set_company(true);
    bench.start();
    let say = |bench: &mut Bench, frames: std::ops::Range<u64>, byte| {
        for index in frames {
            bench.stream.push_company(&[byte; 160]);
            bench.go(index * 20 + 19);
        }
    };
    say(&mut bench, 0..10, 0x10);
    pause(&mut bench);
    say(&mut bench, 10..60, 0x10);
    resume(&mut bench);
    say(&mut bench, 60..65, 0x20);
    let now = bench.sent.iter();
    let now = now.filter(|(_, data)| data[HEADER_BYTES] == 0x20).count();
    assert!(now >= 4, "{what}: {now} of 5 frames in time");
}

#[test]
fn what_is_said_while_nothing_is_sent_does_not_wait() {
    let directed = |direction| {
        move |bench: &mut Bench| {
            let mut terms = config(Codec::Pcmu, Some(address(9, 6_000)));
            terms.direction = direction;
            bench.stream.reconfigure(bench.now, terms);
        }
    };
    is_in_time_after(
        "a hold",
        directed(Direction::RecvOnly),
        directed(Direction::SendRecv),
    );
    is_in_time_after(
        "keys",
        |bench| bench.stream.send_dtmf("1", 900).unwrap(),
        |_| (),
    );
}
