//! What the caller hears: exact positions, barge-in, limits, pacing.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "indexes and samples of a test are small"
)]

use crate::common::{Bench, Network, Pair, Random, config, ms, tone};
use media::playout::{ITEMS_MAX, PLAYOUT_MS_MAX};
use media::{
    Background, Codec, Direction, ItemKey, Law, Played, PlayoutEvent, PlayoutFull, StreamEvent,
    g711, level,
};

const VOICE: u8 = 0x31;

/// Payload bytes of `VOICE` that were really transmitted.
fn transmitted(bench: &Bench, byte: u8) -> usize {
    bench
        .sent
        .iter()
        .map(|(_, data)| data[12..].iter().filter(|sent| **sent == byte).count())
        .sum()
}

#[test]
fn barge_in_at_any_moment_reports_exactly_what_was_transmitted() {
    let mut random = Random(7);
    for round in 0..200_u64 {
        let mut bench = Bench::new();
        let item = ItemKey::from("item");
        // Audio comes in model-like bursts of any size.
        let clear_at = 200 + random.below(1_500);
        let mut at = random.below(50);
        while at < clear_at {
            bench.go(at);
            let len = usize::try_from(1 + random.below(1_200)).unwrap();
            bench
                .stream
                .playout()
                .push(&item, &vec![VOICE; len])
                .unwrap();
            at += random.below(200);
        }
        bench.go(clear_at);
        let cleared = bench.stream.playout().clear();
        bench.go(clear_at + 500);
        let bytes = transmitted(&bench, VOICE);
        let expected = Played {
            item: ItemKey::clone(&item),
            played_ms: u32::try_from(bytes / 8).unwrap(),
            finished: false,
        };
        assert_eq!(cleared, [expected], "round {round}");
        assert_eq!(
            bench.stream.playout().played_ms(&item),
            Some(u32::try_from(bytes / 8).unwrap())
        );
        // Not one byte after the clear.
        let last = bench
            .sent
            .iter()
            .rfind(|(_, data)| data[12..].contains(&VOICE));
        assert!(last.is_none_or(|(sent_at, _)| *sent_at <= bench.start + ms(clear_at)));
        assert!(bench.stream.playout().is_idle());
    }
}

#[test]
fn items_follow_each_other_without_a_seam_and_the_last_frame_is_padded() {
    let mut bench = Bench::new();
    let (first, second) = (ItemKey::from("first"), ItemKey::from("second"));
    bench.stream.playout().push(&first, &[0x31; 1_000]).unwrap();
    bench
        .stream
        .playout()
        .push(&second, &[0x32; 1_000])
        .unwrap();
    // Late audio of the first still belongs before the second.
    bench.stream.playout().push(&first, &[0x31; 500]).unwrap();
    bench.stream.playout().finish(&first);
    bench.stream.playout().finish(&second);
    assert_eq!(bench.stream.playout().queued_ms(), 312);
    bench.go(600);
    let wire: Vec<u8> = bench
        .sent
        .iter()
        .flat_map(|(_, data)| data[12..].to_vec())
        .collect();
    let start = wire.iter().position(|byte| *byte == 0x31).unwrap();
    assert!(wire[start..start + 1_500].iter().all(|byte| *byte == 0x31));
    assert!(
        wire[start + 1_500..start + 2_500]
            .iter()
            .all(|byte| *byte == 0x32)
    );
    assert!(wire[start + 2_500..].iter().all(|byte| *byte == 0xFF));
    let playout = |event| StreamEvent::Playout(event);
    let expected = [
        playout(PlayoutEvent::Started {
            item: ItemKey::clone(&first),
        }),
        playout(PlayoutEvent::Finished {
            item: ItemKey::clone(&first),
            played_ms: 187,
        }),
        playout(PlayoutEvent::Started {
            item: ItemKey::clone(&second),
        }),
        playout(PlayoutEvent::Finished {
            item: ItemKey::clone(&second),
            played_ms: 125,
        }),
        playout(PlayoutEvent::Drained),
    ];
    assert_eq!(bench.events, expected);
    assert_eq!(bench.stream.playout().played_ms(&first), Some(187));
    assert_eq!(bench.stream.playout().clear(), []);
}

#[test]
fn held_back_audio_waits_and_then_plays_from_its_beginning() {
    let mut bench = Bench::with(config(Codec::Pcma, Some(crate::common::address(9, 6_000))));
    let greeting = ItemKey::from("greeting");
    bench.stream.playout().hold_back(true);
    bench
        .stream
        .playout()
        .push(&greeting, &[VOICE; 1_600])
        .unwrap();
    bench.stream.playout().finish(&greeting);
    bench.start();
    bench.go(500);
    assert_eq!(transmitted(&bench, VOICE), 0);
    assert_eq!(bench.sent.len(), 26, "silence keeps the path open");
    bench.stream.playout().hold_back(false);
    bench.go(1_000);
    assert_eq!(transmitted(&bench, VOICE), 1_600);
    assert!(
        bench
            .events
            .contains(&StreamEvent::Playout(PlayoutEvent::Finished {
                item: greeting,
                played_ms: 200
            }))
    );
}

#[test]
fn the_queue_is_bounded_in_audio_and_items() {
    let mut bench = Bench::new();
    let item = ItemKey::from("item");
    let minute = vec![VOICE; 480_000];
    for _ in 0..PLAYOUT_MS_MAX / 60_000 {
        bench.stream.playout().push(&item, &minute).unwrap();
    }
    assert_eq!(bench.stream.playout().push(&item, &[0]), Err(PlayoutFull));
    assert_eq!(bench.stream.playout().queued_ms(), PLAYOUT_MS_MAX);
    bench.stream.playout().clear();
    for index in 0..ITEMS_MAX {
        bench
            .stream
            .playout()
            .push(&ItemKey::from(index.to_string()), &[0])
            .unwrap();
    }
    assert_eq!(bench.stream.playout().push(&item, &[0]), Err(PlayoutFull));
}

#[test]
fn an_item_that_runs_dry_is_an_underrun_and_its_rest_is_played_when_no_more_comes() {
    let mut bench = Bench::new();
    let item = ItemKey::from("item");
    bench.stream.playout().push(&item, &[VOICE; 400]).unwrap();
    bench.go(300);
    // 80 bytes had no companions for five frames, then went out alone.
    assert_eq!(transmitted(&bench, VOICE), 400);
    assert_eq!(bench.statistics().underruns, 1);
    bench.stream.playout().push(&item, &[VOICE; 320]).unwrap();
    bench.stream.playout().finish(&item);
    bench.go(400);
    let event = |event| StreamEvent::Playout(event);
    let expected = [
        event(PlayoutEvent::Started {
            item: ItemKey::clone(&item),
        }),
        event(PlayoutEvent::Starved {
            item: ItemKey::clone(&item),
        }),
        event(PlayoutEvent::Started {
            item: ItemKey::clone(&item),
        }),
        event(PlayoutEvent::Finished {
            item,
            played_ms: 90,
        }),
        event(PlayoutEvent::Drained),
    ];
    assert_eq!(bench.events, expected);
}

#[test]
fn an_empty_queue_sounds_as_it_was_asked_to() {
    let mut bench = Bench::new();
    bench
        .stream
        .playout()
        .set_background(Some(Background::Thinking));
    bench.go(2_000);
    bench
        .stream
        .playout()
        .set_background(Some(Background::ComfortNoise));
    bench.go(4_000);
    bench.stream.playout().set_background(None);
    bench.go(6_000);
    let levels: Vec<u8> = [0, 100, 200]
        .map(|from| {
            let wire = bench.sent[from + 1..from + 100]
                .iter()
                .flat_map(|(_, data)| &data[12..]);
            level::dbov(
                &wire
                    .map(|byte| g711::ulaw_decode(*byte))
                    .collect::<Vec<_>>(),
            )
        })
        .to_vec();
    assert!(
        (35..55).contains(&levels[0]) && (60..72).contains(&levels[1]) && levels[2] == 127,
        "{levels:?}"
    );
}

#[test]
fn pacing_keeps_absolute_deadlines_whatever_the_shell_does() {
    let mut bench = Bench::new();
    let item = ItemKey::from("item");
    bench
        .stream
        .playout()
        .push(&item, &vec![VOICE; 8 * 60_000])
        .unwrap();
    let mut random = Random(3);
    let mut at = 0;
    while at < 60_000 {
        at += random.below(60);
        bench.now = bench.start + ms(at);
        bench.stream.handle_timeout(bench.now);
        bench.drain();
        let due = at / 20 + 1;
        assert_eq!(bench.sent.len() as u64, due);
    }
    for (index, (_, data)) in bench.sent.iter().enumerate() {
        let packet = media::rtp::parse(data).unwrap().header;
        let first = media::rtp::parse(&bench.sent[0].1).unwrap().header;
        assert_eq!(
            packet.timestamp.wrapping_sub(first.timestamp),
            index as u32 * 160
        );
        assert_eq!(packet.sequence.wrapping_sub(first.sequence), index as u16);
        assert_eq!(packet.marker, index == 0);
    }
    assert_eq!(bench.statistics().ticks_skipped, 0);
}

#[test]
fn a_shell_that_slept_catches_up_five_packets_and_skips_media_time_for_the_rest() {
    let mut bench = Bench::new();
    bench.stream.set_recording(true);
    bench.go(100);
    let before = bench.sent.len();
    bench.now = bench.start + ms(1_119);
    bench.stream.handle_timeout(bench.now);
    bench.drain();
    assert_eq!(bench.sent.len() - before, 5);
    assert_eq!(bench.statistics().ticks_skipped, 45);
    let header = |index: usize| media::rtp::parse(&bench.sent[index].1).unwrap().header;
    assert_eq!(
        header(before)
            .timestamp
            .wrapping_sub(header(before - 1).timestamp),
        46 * 160
    );
    assert_eq!(
        header(before)
            .sequence
            .wrapping_sub(header(before - 1).sequence),
        1
    );
    assert!(header(before).marker && !header(before + 1).marker);
    assert_eq!(
        bench.recording.len(),
        56,
        "one for each tick since recording began"
    );
    bench.go(2_000);
    assert_eq!(bench.sent.len(), before + 5 + 45);
}

#[test]
fn a_talk_spurt_after_silence_carries_the_marker() {
    let mut bench = Bench::new();
    bench.go(200);
    let item = ItemKey::from("item");
    bench.stream.playout().push(&item, &[VOICE; 800]).unwrap();
    bench.stream.playout().finish(&item);
    bench.go(600);
    let marked: Vec<usize> = (0..bench.sent.len())
        .filter(|index| bench.sent[*index].1[1] & 0x80 != 0)
        .collect();
    assert_eq!(marked, [0, 11]);
}

#[test]
fn packets_of_40_and_60_ms_are_sent_when_asked_for() {
    for (ptime_ms, payload, packets) in [
        (10, 160, 51),
        (30, 160, 51),
        (40, 320, 26),
        (60, 480, 17),
        (200, 480, 17),
    ] {
        let mut asked = config(Codec::Pcmu, Some(crate::common::address(9, 6_000)));
        asked.ptime_ms = ptime_ms;
        let mut bench = Bench::with(asked);
        bench.start();
        bench.go(1_000);
        assert_eq!(bench.sent.len(), packets, "{ptime_ms}");
        assert!(
            bench
                .sent
                .iter()
                .all(|(_, data)| data.len() == 12 + payload)
        );
    }
}

#[test]
fn a_codec_change_converts_what_is_queued() {
    let mut bench = Bench::new();
    let item = ItemKey::from("item");
    bench
        .stream
        .playout()
        .push(&item, &tone(Codec::Pcmu, 700.0, 1_000))
        .unwrap();
    bench.stream.playout().finish(&item);
    bench.go(400);
    bench
        .stream
        .reconfigure(bench.now, config(Codec::Pcma, Some(bench.peer)));
    bench.go(1_000);
    let wire: Vec<i16> = bench
        .sent
        .iter()
        .flat_map(|(_, data)| {
            let codec = if data[1] & 0x7F == 8 {
                Law::Pcma
            } else {
                Law::Pcmu
            };
            data[12..]
                .iter()
                .map(move |byte| g711::decode(codec, *byte))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(media::tone::purity(&wire[160..8_000], 700.0) > 0.99);
}

#[test]
fn nothing_is_played_into_a_hold_and_it_goes_on_afterwards() {
    let mut bench = Bench::new();
    let item = ItemKey::from("item");
    bench.stream.playout().push(&item, &[VOICE; 8_000]).unwrap();
    bench.stream.playout().finish(&item);
    bench.go(390);
    let mut held = config(Codec::Pcmu, Some(bench.peer));
    held.direction = Direction::RecvOnly;
    bench.stream.reconfigure(bench.now, held);
    bench.go(2_390);
    let played_ms = bench.stream.playout().played_ms(&item).unwrap();
    assert_eq!(
        transmitted(&bench, VOICE),
        usize::try_from(played_ms).unwrap() * 8
    );
    bench
        .stream
        .reconfigure(bench.now, config(Codec::Pcmu, Some(bench.peer)));
    bench.go(4_000);
    assert_eq!(transmitted(&bench, VOICE), 8_000);
}

#[test]
fn the_lanes_of_a_recording_are_aligned_and_as_long_as_the_call() {
    let mut pair = Pair::plain(
        Network {
            delay_ms: 20,
            jitter_ms: 30,
            loss_per_mille: 10,
            duplicate_per_mille: 0,
        },
        8,
    );
    pair.ends[0].stream.set_recording(true);
    pair.run_ms(1_000);
    for round in 0..10_u64 {
        // Both talk at the same moment, the caller heard 20 to 50 ms later.
        for index in 0..2 {
            let item = ItemKey::from(format!("item_{round}"));
            pair.ends[index]
                .stream
                .playout()
                .push(
                    &item,
                    &tone(Codec::Pcmu, 400.0 + 200.0 * index as f32, 1_000),
                )
                .unwrap();
            pair.ends[index].stream.playout().finish(&item);
        }
        pair.run_ms(2_000);
    }
    let recording = &pair.ends[0].recording;
    assert_eq!(recording.len(), 1_051);
    let onsets = |lane: &dyn Fn(usize) -> Vec<i16>| -> Vec<usize> {
        let loud: Vec<bool> = (0..recording.len())
            .map(|index| level::dbov(&lane(index)) < 30)
            .collect();
        (1..loud.len())
            .filter(|index| loud[*index] && !loud[*index - 1])
            .collect()
    };
    let caller = onsets(&|index| recording[index].caller.to_vec());
    let agent = onsets(&|index| recording[index].agent.to_vec());
    assert_eq!((caller.len(), agent.len()), (10, 10));
    for (caller, agent) in caller.iter().zip(&agent) {
        let apart = *caller as i64 - *agent as i64;
        assert!((-1..=4).contains(&apart), "{apart} frames apart");
    }
}
