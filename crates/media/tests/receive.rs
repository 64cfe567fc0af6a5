//! Order, waiting, concealment and pauses at simulated time.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "indexes and samples of a test are small"
)]

use crate::common::{Bench, Network, Pair, Random, config, epoch, ms, rtp, rtp_of, snr_db, tone};
use media::jitter::JitterBuffer;
use media::tone::purity;
use media::{Codec, Direction, ItemKey, Stream, StreamEvent, g711, level};

#[test]
fn a_frame_in_order_is_available_at_once() {
    let mut bench = Bench::new();
    for index in 0..100 {
        bench.go(u64::from(index) * 20 + 3);
        bench.voice(index);
        let last = bench.frames.last().unwrap();
        assert_eq!(
            (bench.frames.len(), last.at, last.concealed),
            (usize::from(index) + 1, bench.now, false)
        );
        assert_eq!(
            (last.timestamp_ms, last.audio[0]),
            (u64::from(index) * 20, 0x80 | index.to_be_bytes()[1])
        );
    }
}

#[test]
fn two_packets_swapped_are_put_in_order_without_loss() {
    let mut bench = Bench::new();
    for pair in 0..20_u16 {
        bench.go(u64::from(pair) * 40);
        bench.voice(pair * 2);
        bench.go(u64::from(pair) * 40 + 20);
        if pair % 4 == 3 {
            bench.go(u64::from(pair) * 40 + 22);
        }
        bench.voice(pair * 2 + 1);
    }
    bench.receive(&rtp(41, 41 * 160, 7, &[0x91; 160]));
    bench.go(795);
    bench.receive(&rtp(40, 40 * 160, 7, &[0x90; 160]));
    assert_eq!(bench.frames.len(), 42);
    assert_eq!(
        (bench.frames[40].audio[0], bench.frames[41].audio[0]),
        (0x90, 0x91)
    );
    let statistics = bench.statistics();
    assert_eq!(
        (
            statistics.packets_reordered,
            statistics.packets_lost,
            statistics.concealed_ms
        ),
        (1, 0, 0)
    );
}

#[test]
fn a_missing_packet_is_waited_for_20_ms_and_then_concealed() {
    let mut bench = Bench::new();
    for index in 0..50 {
        bench.go(u64::from(index) * 20);
        if index != 30 {
            bench.voice(index);
        }
    }
    bench.go(1_000);
    assert_eq!(bench.frames.len(), 50);
    assert!(bench.frames[30].concealed);
    // 31 came at 620 ms and waited until 640 ms for 30.
    assert_eq!(bench.frames[31].at, bench.start + ms(640));
    assert_eq!(bench.frames[33].at, bench.start + ms(660));
    let statistics = bench.statistics();
    assert_eq!((statistics.packets_lost, statistics.concealed_ms), (1, 20));
    bench.voice(30);
    bench.voice(29);
    let statistics = bench.statistics();
    assert_eq!(
        (statistics.packets_late, statistics.packets_duplicate),
        (1, 1)
    );
}

#[test]
fn the_wait_grows_with_jitter_and_stays_within_120_ms() {
    let mut waits = Vec::new();
    for jitter_ms in [0, 30, 60, 150, 400] {
        let mut pair = Pair::plain(
            Network {
                delay_ms: 20,
                jitter_ms,
                loss_per_mille: 0,
                duplicate_per_mille: 0,
            },
            4,
        );
        pair.run_ms(20_000);
        let statistics = pair.statistics(1);
        let late = statistics.packets_late as f64 / statistics.packets_received as f64;
        waits.push((jitter_ms, statistics.jitter_ms, late));
        // A hole waits at most 120 ms after the first packet behind it, which itself is at most `jitter_ms` late.
        let end = &pair.ends[1];
        assert!(end.heard_at.last().unwrap().duration_since(pair.start) <= ms(20_000));
        assert!(
            end.heard.len() / 160 >= 970,
            "{jitter_ms}: {}",
            end.heard.len() / 160
        );
    }
    // Figures: up to 60 ms of jitter nothing to speak of comes too late.
    assert!(
        waits[0].2 == 0.0 && waits[1].2 < 0.002 && waits[2].2 < 0.01,
        "{waits:?}"
    );
    assert!(waits[3].2 < 0.05, "{waits:?}");
}

/// A voice-like signal: a pitch of 140 Hz with harmonics, slowly gliding.
fn voice(samples: usize) -> Vec<i16> {
    let mut phase = 0.0_f32;
    (0..samples)
        .map(|index| {
            let glide = 140.0 + 15.0 * (index as f32 / 4_000.0).sin();
            phase += std::f32::consts::TAU * glide / 8_000.0;
            let sum: f32 = (1..8)
                .map(|harmonic| (phase * harmonic as f32).sin() / harmonic as f32)
                .sum();
            (sum * 5_000.0) as i16
        })
        .collect()
}

#[test]
fn concealment_of_a_voice_is_far_better_than_silence() {
    let original = voice(80_000);
    for (loss_per_mille, better_db) in [(10, 4.0), (50, 4.0), (100, 3.0)] {
        let mut random = Random(loss_per_mille);
        let mut bench = Bench::new();
        let mut silent = original.clone();
        for (index, part) in original.chunks(160).enumerate() {
            let index = u16::try_from(index).unwrap();
            bench.go(u64::from(index) * 20);
            if index > 5 && index < 495 && random.chance(loss_per_mille) {
                silent[usize::from(index) * 160..][..160].fill(0);
                continue;
            }
            let coded: Vec<u8> = part
                .iter()
                .map(|sample| g711::ulaw_encode(*sample))
                .collect();
            bench.receive(&rtp(index, u32::from(index) * 160, 7, &coded));
        }
        bench.go(10_100);
        let heard: Vec<i16> = bench
            .frames
            .iter()
            .flat_map(|frame| frame.audio.iter().map(|byte| g711::ulaw_decode(*byte)))
            .collect();
        assert!(heard.len() >= original.len());
        let (concealed, muted) = (snr_db(&original, &heard), snr_db(&original, &silent));
        assert!(
            concealed > muted + better_db,
            "loss {loss_per_mille}: {concealed:.1} dB against {muted:.1} dB"
        );
        // The level of the frames made up is that of the voice around them.
        let loud = bench
            .frames
            .iter()
            .filter(|frame| frame.concealed && frame.level < 25)
            .count();
        let made = bench.frames[..495]
            .iter()
            .filter(|frame| frame.concealed)
            .count();
        assert!(loud * 10 >= made * 8, "{loud} of {made}");
        let statistics = bench.statistics();
        assert_eq!(statistics.concealed_ms, statistics.packets_lost * 20);
        let mos = statistics.mos.unwrap();
        assert!(
            if loss_per_mille == 10 {
                mos > 4.1
            } else {
                mos < 4.1
            },
            "{mos}"
        );
    }
}

#[test]
fn a_long_hole_fades_to_silence_within_60_ms() {
    let original = voice(16_000);
    let mut bench = Bench::new();
    for (index, part) in original.chunks(160).enumerate() {
        let index = u16::try_from(index).unwrap();
        bench.go(u64::from(index) * 20);
        if !(50..60).contains(&index) {
            let coded: Vec<u8> = part
                .iter()
                .map(|sample| g711::ulaw_encode(*sample))
                .collect();
            bench.receive(&rtp(index, u32::from(index) * 160, 7, &coded));
        }
    }
    bench.go(2_100);
    let levels: Vec<u8> = bench.frames[49..61]
        .iter()
        .map(|frame| frame.level)
        .collect();
    assert!(
        levels[1] <= levels[0] + 3 && levels[2] > levels[1] && levels[3] > levels[2],
        "{levels:?}"
    );
    assert!(levels[4..10].iter().all(|level| *level > 60), "{levels:?}");
    assert_eq!(
        bench.frames.iter().filter(|frame| !frame.concealed).count(),
        90
    );
}

#[test]
fn loss_jitter_reordering_and_duplicates_at_once_keep_the_timeline() {
    for seed in [10, 20, 30] {
        let network = Network {
            delay_ms: 40,
            jitter_ms: 50,
            loss_per_mille: 50,
            duplicate_per_mille: 20,
        };
        let mut pair = Pair::plain(network, seed);
        let item = ItemKey::from("item");
        pair.ends[0]
            .stream
            .playout()
            .push(&item, &tone(Codec::Pcmu, 500.0, 60_000))
            .unwrap();
        pair.run_ms(60_000);
        let statistics = pair.statistics(1);
        let heard = &pair.ends[1].heard;
        assert!(
            (2_985..=3_005).contains(&(heard.len() / 160)),
            "{}",
            heard.len() / 160
        );
        assert!(
            (100..=210).contains(&statistics.packets_lost),
            "{statistics:?}"
        );
        assert!(
            statistics.packets_duplicate > 30 && statistics.packets_reordered > 300,
            "{statistics:?}"
        );
        assert!(statistics.packets_late < 30, "{statistics:?}");
        // The tone is still a tone: level within 1.5 dB of the original, purity high.
        let inner = &heard[8_000..heard.len() - 8_000];
        assert!(
            level::dbov(inner).abs_diff(15) <= 2,
            "{}",
            level::dbov(inner)
        );
        let pure = inner
            .chunks(1_600)
            .filter(|part| purity(part, 500.0) > 0.9)
            .count();
        assert!(
            pure * 100 >= inner.len() / 1_600 * 85,
            "{pure} of {}",
            inner.len() / 1_600
        );
        // Both directions are the same network.
        let reported = pair.statistics(0).remote_loss.unwrap();
        assert!((0.01..0.12).contains(&reported), "{reported}");
        let round_trip = pair.statistics(0).round_trip_ms.unwrap();
        assert!((80.0..190.0).contains(&round_trip), "{round_trip}");
    }
}

#[test]
fn packets_of_10_30_40_and_60_ms_become_frames_of_20_ms() {
    for size in [80_usize, 240, 320, 480, 960, 1_440, 100, 8] {
        let mut bench = Bench::new();
        let audio: Vec<u8> = (0..24_000)
            .map(|index| (index % 251) as u8 | 0x80)
            .collect();
        for (index, part) in audio.chunks(size).enumerate() {
            bench.go((index * size / 8) as u64);
            bench.receive(&rtp(index as u16, (index * size) as u32, 7, part));
        }
        let heard: Vec<u8> = bench
            .frames
            .iter()
            .flat_map(|frame| frame.audio.clone())
            .collect();
        assert_eq!(heard, audio[..heard.len()], "{size}");
        assert!(heard.len() >= 23_840);
        assert_eq!(bench.statistics().silence_ms, 0);
    }
}

#[test]
fn a_pause_without_packets_is_heard_as_silence_in_real_time() {
    let mut bench = Bench::new();
    for index in 0..50_u16 {
        bench.go(u64::from(index) * 20);
        bench.receive(&rtp(
            index,
            u32::from(index) * 160,
            7,
            &tone(Codec::Pcmu, 300.0, 20),
        ));
    }
    bench.go(3_000);
    // The engine lags real time by a bounded patience, not by the pause.
    assert!(
        (143..=149).contains(&bench.frames.len()),
        "{}",
        bench.frames.len()
    );
    assert!(
        bench.frames[60..]
            .iter()
            .all(|frame| frame.concealed && frame.level == 127)
    );
    // The talk goes on: media time counted the pause.
    for index in 0..50_u16 {
        bench.go(3_000 + u64::from(index) * 20);
        bench.receive(&rtp(
            50 + index,
            24_000 + u32::from(index) * 160,
            7,
            &[0x2A; 160],
        ));
    }
    bench.go(4_000);
    assert_eq!(bench.frames.len(), 200);
    assert_eq!(
        bench.frames.iter().filter(|frame| !frame.concealed).count(),
        100
    );
    let statistics = bench.statistics();
    assert_eq!((statistics.silence_ms, statistics.packets_lost), (2_000, 0));
}

#[test]
fn comfort_noise_fills_a_pause_at_the_level_the_peer_named() {
    let mut bench = Bench::new();
    for index in 0..10_u16 {
        bench.go(u64::from(index) * 20);
        bench.voice(index);
    }
    bench.go(200);
    bench.receive(&rtp_of(13, false, 10, 1_600, 7, &[55]));
    bench.go(1_200);
    bench.receive(&rtp_of(13, false, 11, 9_600, 7, &[40]));
    bench.go(2_200);
    bench.receive(&rtp_of(0, true, 12, 17_600, 7, &[0x2A; 160]));
    assert_eq!(bench.frames.len(), 111);
    let levels: Vec<u8> = bench.frames[15..105]
        .iter()
        .map(|frame| frame.level)
        .collect();
    assert!(
        levels[..40].iter().all(|level| level.abs_diff(55) <= 3),
        "{levels:?}"
    );
    assert!(
        levels[50..].iter().all(|level| level.abs_diff(40) <= 3),
        "{levels:?}"
    );
    assert!(!bench.frames[110].concealed);
}

#[test]
fn a_stall_of_the_network_loses_no_word() {
    let mut bench = Bench::new();
    for index in 0..100_u16 {
        let sent = u64::from(index) * 20;
        bench.go(if (1_000..1_400).contains(&sent) {
            1_400
        } else {
            sent
        });
        bench.voice(index & 0x7F);
        let _ = index;
    }
    bench.go(2_000);
    assert_eq!(
        bench.frames.iter().filter(|frame| !frame.concealed).count(),
        100
    );
    assert_eq!(bench.statistics().packets_lost, 0);
}

#[test]
fn hold_without_rtp_is_silence_in_real_time_and_no_lost_media() {
    let mut bench = Bench::new();
    for index in 0..50 {
        bench.go(u64::from(index) * 20);
        bench.voice(index);
    }
    let mut hold = config(Codec::Pcmu, Some(bench.peer));
    hold.direction = Direction::Inactive;
    bench.stream.reconfigure(bench.now, hold);
    let sent = bench.sent.len();
    bench.go(61_000);
    assert!(
        (3_040..=3_050).contains(&bench.frames.len()),
        "{}",
        bench.frames.len()
    );
    assert_eq!(bench.sent.len(), sent);
    bench
        .stream
        .reconfigure(bench.now, config(Codec::Pcmu, Some(bench.peer)));
    bench.go(61_100);
    assert_eq!(bench.sent.len() - sent, 5);
    assert!(bench.sent[sent].1[1] & 0x80 != 0, "marker after a pause");
    bench.voice(50);
    assert!(!bench.frames.last().unwrap().concealed);
    assert!(
        !bench
            .events
            .iter()
            .any(|event| matches!(event, StreamEvent::MediaLost { .. }))
    );
}

#[test]
fn lost_media_is_reported_once_and_its_return_too() {
    let mut bench = Bench::new();
    bench.stream.set_media_timeout_ms(3_000);
    bench.voice(0);
    bench.go(10_000);
    bench.voice(1);
    bench.go(14_000);
    let lost: Vec<_> = bench
        .events
        .iter()
        .filter(|event| !matches!(event, StreamEvent::Latched { .. }))
        .collect();
    assert_eq!(
        lost[..2],
        [
            &StreamEvent::MediaLost { since_ms: 3_000 },
            &StreamEvent::MediaResumed
        ]
    );
    assert_eq!(lost.len(), 3);
    let mut never = Bench::new();
    never.go(5_100);
    assert_eq!(never.events, [StreamEvent::MediaLost { since_ms: 5_000 }]);
    // Whoever begins to wait for it then is told in their time.
    never.stream.await_media(never.now);
    never.go(10_000);
    assert_eq!(never.events.len(), 1);
    never.go(10_300);
    assert_eq!(never.events.len(), 2);
}

#[test]
fn pattern_39_a_jump_of_media_time_or_sequence_costs_at_most_200_ms() {
    for jump in [
        0x8000_0000_u32,
        0x7FFF_FFFF,
        0xFFFF_0000,
        1 << 30,
        8_000 * 60,
    ] {
        for restart in [false, true] {
            let mut bench = Bench::new();
            for index in 0..50_u16 {
                bench.go(u64::from(index) * 20);
                bench.voice(index);
            }
            for index in 50..100_u16 {
                bench.go(u64::from(index) * 20);
                let sequence = if restart {
                    index.wrapping_add(40_000)
                } else {
                    index
                };
                bench.receive(&rtp(
                    sequence,
                    (u32::from(index) * 160).wrapping_add(jump),
                    7,
                    &[0x2A; 160],
                ));
            }
            let first = bench
                .frames
                .iter()
                .find(|frame| frame.audio == [0x2A; 160])
                .unwrap();
            assert!(first.at <= bench.start + ms(1_200), "{jump} {restart}");
            // A restart is believed at its second packet; the first frame may be blended with what was made up.
            let intact = bench
                .frames
                .iter()
                .filter(|frame| frame.audio == [0x2A; 160])
                .count();
            assert!(
                intact >= 49 - usize::from(restart),
                "{jump} {restart}: {intact}"
            );
            assert!(bench.frames.len() <= 110, "{}", bench.frames.len());
            assert!(bench.statistics().jitter_ms < 5.0);
        }
    }
}

#[test]
fn another_source_of_the_same_peer_is_heard_from_its_second_packet() {
    let mut bench = Bench::new();
    for index in 0..10_u16 {
        bench.go(u64::from(index) * 20);
        bench.voice(index);
    }
    for index in 10..30_u16 {
        bench.go(u64::from(index) * 20);
        bench.receive(&rtp(
            50_000 + index,
            u32::from(index) * 160 + 77,
            8,
            &[0x2A; 160],
        ));
        // A stray packet of a third one in between changes nothing.
        if index % 4 == 0 {
            bench.receive(&rtp(index * 7, 0, 9_000 + u32::from(index), &[0xBB; 160]));
        }
    }
    assert_eq!(bench.statistics().ssrc_changes, 1);
    assert!(
        bench
            .frames
            .iter()
            .filter(|frame| frame.audio == [0x2A; 160])
            .count()
            <= 20
    );
    assert!(bench.frames.iter().all(|frame| frame.audio != [0xBB; 160]));
}

#[test]
fn the_other_law_is_understood() {
    let mut bench = Bench::new();
    let alaw = tone(Codec::Pcma, 600.0, 400);
    for (index, part) in (0_u16..).zip(alaw.chunks(160)) {
        bench.go(u64::from(index) * 20);
        bench.receive(&rtp_of(8, false, index, u32::from(index) * 160, 7, part));
    }
    let heard: Vec<i16> = bench
        .frames
        .iter()
        .flat_map(|frame| frame.audio.iter().map(|byte| g711::ulaw_decode(*byte)))
        .collect();
    assert!(purity(&heard, 600.0) > 0.98);
}

/// One simulated hour with clocks one per cent apart: the engine's side never waits, the paced side stays near its depth.
#[test]
fn an_hour_with_clocks_one_per_cent_apart_does_not_drift() {
    for period_us in [19_800_u64, 20_200] {
        let now = epoch();
        let peer = crate::common::address(9, 6_000);
        let mut stream = Stream::new(now, config(Codec::Pcmu, Some(peer)), 3);
        stream.set_recording(true);
        stream.start(now);
        let mut buffer = [0; 1_500];
        let (mut frames, mut recorded, mut sent, mut behind) = (0_u64, 0_u64, 0_u64, 0_u64);
        let mut packets = 0_u32;
        let end = now + ms(3_600_000);
        loop {
            let arrival = now + std::time::Duration::from_micros(u64::from(packets) * period_us);
            let at = stream
                .poll_timeout()
                .map_or(arrival, |timeout| timeout.min(arrival));
            if at > end {
                break;
            }
            if at == arrival {
                let sequence = (packets & 0xFFFF) as u16;
                stream.handle_rtp(
                    at,
                    peer,
                    &mut rtp(sequence, packets.wrapping_mul(160), 7, &[0x2A; 160]),
                );
                packets += 1;
            } else {
                stream.handle_timeout(at);
            }
            while stream
                .poll_transmit(&mut buffer)
                .is_some_and(|transmit| !transmit.rtcp)
            {
                sent += 1;
            }
            while stream.poll_frame().is_some() {
                frames += 1;
            }
            behind = behind.max(u64::from(packets).abs_diff(frames));
            while stream.poll_recording().is_some() {
                recorded += 1;
            }
            while stream.poll_event().is_some() {}
        }
        assert!(behind <= 1, "a frame in order never waits: {behind}");
        assert_eq!(recorded, 180_001);
        assert!(sent.abs_diff(180_001) <= 1, "{sent}");
        let statistics = stream.statistics(end);
        assert_eq!(
            (
                statistics.packets_lost,
                statistics.frames_dropped,
                statistics.silence_ms
            ),
            (0, 0, 0)
        );
    }
}

#[test]
fn the_jitter_buffer_follows_a_clock_that_differs_and_stays_shallow() {
    for step in [99_u32, 101] {
        let mut buffer = JitterBuffer::new(Codec::Pcmu.form());
        let mut out = [0; 160];
        let mut deepest = 0;
        let mut credit = 0;
        let audio: [u8; 160] = tone(Codec::Pcmu, 500.0, 20).try_into().unwrap();
        for pull in 0..180_000 {
            credit += step;
            while credit >= 100 {
                credit -= 100;
                buffer.push(&audio);
            }
            buffer.pull(&mut out);
            if pull > 500 {
                deepest = deepest.max(buffer.depth());
            }
        }
        assert!(deepest <= 8, "{deepest}");
        // One per cent of an hour is 1,800 frames; nothing beyond it is made up or taken out.
        let (made, dropped) = (buffer.concealed, buffer.dropped);
        if step == 99 {
            assert!(
                (1_700..1_900).contains(&made) && dropped < 20,
                "{made} {dropped}"
            )
        } else {
            assert!(
                (1_700..1_900).contains(&dropped) && made < 20,
                "{made} {dropped}"
            )
        }
    }
}

#[test]
fn a_peer_that_sends_ten_times_real_time_does_not_flood_the_engine() {
    let mut bench = Bench::new();
    for index in 0..10_000_u16 {
        bench.now = bench.start + ms(u64::from(index) * 2);
        bench.receive(&rtp(index, u32::from(index) * 160, 7, &[0x2A; 160]));
    }
    // 20 s of real time, 5 %, and 2 s in advance, and at most what was made up for the dropped ones.
    let received = bench.frames.iter().filter(|frame| !frame.concealed).count();
    assert!((1_000..1_160).contains(&received), "{received}");
    assert!(bench.statistics().refused_packets > 8_000);
}

#[test]
fn a_long_press_is_silence_in_real_time_for_the_engine() {
    let mut bench = Bench::new();
    for index in 0..10_u16 {
        bench.go(u64::from(index) * 20);
        bench.voice(index);
    }
    for index in 10..110_u16 {
        bench.go(u64::from(index) * 20);
        let payload = media::dtmf::EventPayload {
            event: 1,
            end: index > 106,
            volume: 10,
            duration: (index - 9) * 160,
        };
        bench.receive(&rtp_of(
            101,
            index == 10,
            index,
            1_600,
            7,
            &payload.to_bytes(),
        ));
    }
    assert!(
        (100..=108).contains(&bench.frames.len()),
        "{}",
        bench.frames.len()
    );
    bench.go(2_200);
    bench.voice(110);
    assert_eq!(bench.frames.len(), 111);
}

#[test]
fn there_is_no_click_where_concealment_begins_or_ends() {
    for frequency in [110.0, 187.0, 233.0, 391.0_f32] {
        let audio = tone(Codec::Pcmu, frequency, 2_000);
        let mut bench = Bench::new();
        for (index, part) in (0_u16..).zip(audio.chunks(160)) {
            bench.go(u64::from(index) * 20);
            if index % 10 != 5 {
                bench.receive(&rtp(index, u32::from(index) * 160, 7, part));
            }
        }
        let heard: Vec<i16> = bench
            .frames
            .iter()
            .flat_map(|frame| frame.audio.iter().map(|byte| g711::ulaw_decode(*byte)))
            .collect();
        assert_eq!(heard.len(), 16_000);
        // A sine of this amplitude moves by at most this much from one sample to the next; the law adds its rounding.
        let natural = 8_000.0 * std::f32::consts::TAU * frequency / 8_000.0;
        let steepest = heard
            .windows(2)
            .map(|pair| (f32::from(pair[1]) - f32::from(pair[0])).abs())
            .fold(0.0, f32::max);
        assert!(
            steepest < natural * 1.5 + 600.0,
            "{frequency} Hz: {steepest} against {natural}"
        );
    }
}

#[test]
fn measured_jitter_alone_makes_a_missing_packet_be_waited_for_longer() {
    let mut bench = Bench::new();
    for index in 0..200_u16 {
        // Every other packet is 18 ms late, never out of order.
        bench.go(u64::from(index) * 20 + u64::from(index % 2) * 18);
        bench.voice(index);
    }
    assert!((12.0..20.0).contains(&bench.statistics().jitter_ms));
    bench.go(4_020);
    bench.voice(201);
    bench.go(4_065);
    bench.voice(200);
    let statistics = bench.statistics();
    assert_eq!(
        (
            statistics.packets_late,
            statistics.packets_lost,
            statistics.packets_reordered
        ),
        (0, 0, 1)
    );
}

#[test]
fn what_a_peer_sends_while_it_should_not_is_not_heard() {
    for direction in [Direction::SendOnly, Direction::Inactive] {
        let mut bench = Bench::new();
        bench.voice(0);
        let mut held = config(Codec::Pcmu, Some(bench.peer));
        held.direction = direction;
        bench.stream.reconfigure(bench.now, held);
        for index in 1..100_u16 {
            bench.go(u64::from(index) * 20);
            bench.receive(&rtp(index, u32::from(index) * 160, 7, &[0x2A; 160]));
        }
        assert!(bench.frames.iter().all(|frame| frame.audio != [0x2A; 160]));
        assert!(
            bench.frames.len() > 90,
            "time goes on: {}",
            bench.frames.len()
        );
        bench
            .stream
            .reconfigure(bench.now, config(Codec::Pcmu, Some(bench.peer)));
        bench.go(2_000);
        bench.receive(&rtp(100, 16_000, 7, &[0x2A; 160]));
        bench.receive(&rtp(101, 16_160, 7, &[0x2A; 160]));
        assert!(
            bench
                .frames
                .last()
                .is_some_and(|frame| frame.audio == [0x2A; 160])
        );
        assert_eq!(bench.statistics().packets_lost, 0);
    }
}

#[test]
fn a_stall_without_loss_puts_no_silence_into_a_word() {
    for stall_ms in [60, 120, 200] {
        let mut bench = Bench::new();
        let mut sent = Vec::new();
        for index in 0..150_u16 {
            // Everything from 1 s to 1 s + stall arrives in one burst at the end of the stall.
            let due = u64::from(index) * 20;
            let at = if (1_000..1_000 + stall_ms).contains(&due) {
                1_000 + stall_ms
            } else {
                due
            };
            bench.go(at);
            let audio = tone(Codec::Pcmu, 300.0 + f32::from(index), 20);
            bench.receive(&rtp(index, u32::from(index) * 160, 7, &audio));
            sent.extend(audio);
        }
        bench.go(3_020);
        let heard: Vec<u8> = bench
            .frames
            .iter()
            .flat_map(|frame| frame.audio.clone())
            .collect();
        assert_eq!(
            heard[..sent.len().min(heard.len())],
            sent[..sent.len().min(heard.len())],
            "{stall_ms} ms"
        );
        assert_eq!(bench.statistics().silence_ms, 0, "{stall_ms} ms");
    }
}
