//! Where media is believed to come from: pattern 35 of the reliability page in all its forms.

use crate::common::{Bench, address, config, ms, rtp};
use media::srtp::{SrtpContext, SrtpSuite};
use media::{Codec, Direction, LatchPolicy, SrtpConfig, StreamEvent};

const STRANGER_AUDIO: [u8; 160] = [0x05; 160];

/// A stranger that sends a packet every 20 ms with its own source.
fn stranger(bench: &mut Bench, index: u16) {
    bench.receive_from(
        address(66, 6_666),
        &rtp(9_000 + index, u32::from(index) * 160, 0x66, &STRANGER_AUDIO),
    );
}

fn assert_stranger_got_nothing(bench: &Bench) {
    assert!(
        bench
            .sent_to
            .iter()
            .all(|to| to.ip() != address(66, 1).ip())
    );
    assert!(
        bench
            .frames
            .iter()
            .all(|frame| frame.concealed || frame.audio[0] != 0x05)
    );
}

#[test]
fn pattern_35_a_stranger_at_0_ms_at_100_ms_at_3_s_and_during_hold_is_neither_sent_to_nor_heard() {
    for first_at in [0, 5, 150] {
        let mut bench = Bench::new();
        for index in 0..300_u16 {
            bench.go(u64::from(index) * 20);
            if index >= first_at {
                stranger(&mut bench, index);
            }
            // The peer begins one frame after the answer.
            bench.go(u64::from(index) * 20 + 7);
            if index > 0 {
                bench.voice(index & 0x7F);
            }
        }
        assert_stranger_got_nothing(&bench);
        assert!(
            bench
                .events
                .contains(&StreamEvent::Latched { from: bench.peer })
        );
        assert!(bench.events.contains(&StreamEvent::SourceRefused {
            from: address(66, 6_666)
        }));
    }
}

#[test]
fn pattern_35_during_hold_and_after_it_a_stranger_does_not_take_over() {
    for held in [
        Direction::RecvOnly,
        Direction::SendOnly,
        Direction::Inactive,
        Direction::SendRecv,
    ] {
        let mut bench = Bench::new();
        for index in 0..20 {
            bench.go(u64::from(index) * 20);
            bench.voice(index);
        }
        let mut hold = config(Codec::Pcmu, Some(bench.peer));
        hold.direction = held;
        hold.remote = if held == Direction::Inactive {
            None
        } else {
            hold.remote
        };
        bench.stream.reconfigure(bench.now, hold);
        for index in 20..400_u16 {
            bench.go(u64::from(index) * 20);
            stranger(&mut bench, index);
        }
        bench
            .stream
            .reconfigure(bench.now, config(Codec::Pcmu, Some(bench.peer)));
        for index in 400..500_u16 {
            bench.go(u64::from(index) * 20);
            stranger(&mut bench, index);
        }
        bench.go(10_000);
        let before = bench.frames.len();
        for index in 500..520_u16 {
            bench.go(u64::from(index) * 20);
            bench.receive(&rtp(index, u32::from(index) * 160, 7, &[0x2A; 160]));
        }
        assert!(
            bench.frames[before..]
                .iter()
                .filter(|frame| frame.audio == [0x2A; 160])
                .count()
                >= 18
        );
        assert_stranger_got_nothing(&bench);
    }
}

#[test]
fn pattern_35_srtp_proves_a_packet_before_anything_is_learned() {
    let key: Vec<u8> = (0..30).collect();
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let mut secure = config(Codec::Pcmu, None);
    secure.srtp = Some(SrtpConfig {
        suite,
        local_key: key.clone(),
        remote_key: key.clone(),
    });
    let mut bench = Bench::with(secure);
    bench.start();
    for index in 0..50_u16 {
        bench.go(u64::from(index) * 20);
        bench.receive_from(
            address(66, 6_666),
            &rtp(index, u32::from(index) * 160, 0x66, &[0x80; 170]),
        );
    }
    assert!(bench.sent_to.is_empty() && bench.frames.is_empty());
    assert_eq!(bench.statistics().srtp_failures, 50);
    let mut context = SrtpContext::new(suite, &key).unwrap();
    let mut protected = |sequence: u16| {
        let mut data = rtp(sequence, u32::from(sequence) * 160, 7, &[0x2A; 160]);
        let len = data.len();
        data.resize(len + 10, 0);
        assert_eq!(context.protect_rtp(&mut data, len), Some(len + 10));
        data
    };
    // The first proved packet is the peer, from wherever it comes.
    bench.receive_from(address(3, 3_333), &protected(0));
    assert!(bench.events.contains(&StreamEvent::Latched {
        from: address(3, 3_333)
    }));
    assert_eq!(bench.frames.len(), 1);
    // Its replay from elsewhere, after a silence, moves nothing.
    let replayed = protected(1);
    bench.receive_from(address(3, 3_333), &replayed);
    bench.go(3_000);
    bench.receive_from(address(66, 6_666), &replayed);
    bench.go(3_100);
    assert!(
        bench
            .sent_to
            .iter()
            .all(|to| to.ip() == address(3, 3_333).ip())
    );
    assert_eq!(bench.statistics().srtp_replays, 1);
}

#[test]
fn a_phone_behind_nat_is_latched_and_its_signalled_address_is_used_until_then() {
    let private = "192.168.1.20:6000".parse().unwrap();
    let mut bench = Bench::with(config(Codec::Pcmu, Some(private)));
    bench.start();
    bench.go(35);
    assert!(bench.sent_to.iter().all(|to| *to == private));
    for index in 2..20 {
        bench.go(u64::from(index) * 20);
        bench.voice(index);
    }
    bench.go(450);
    assert_eq!(bench.sent_to.last(), Some(&bench.peer));
    assert!(bench.frames.len() >= 15, "{}", bench.frames.len());
}

#[test]
fn the_host_that_signals_is_believed_before_a_stranger_that_sends_first() {
    let private = "192.168.1.20:6000".parse().unwrap();
    let mut behind_nat = config(Codec::Pcmu, Some(private));
    behind_nat.latch = LatchPolicy {
        symmetric: true,
        signalling: Some(address(9, 1).ip()),
    };
    let mut bench = Bench::with(behind_nat);
    bench.start();
    for index in 0..50 {
        bench.go(u64::from(index) * 20);
        stranger(&mut bench, index);
        if index >= 6 {
            bench.voice(index);
        }
    }
    assert_stranger_got_nothing(&bench);
    assert_eq!(bench.sent_to.last(), Some(&bench.peer));
}

#[test]
fn a_strict_policy_hears_the_signalled_address_only() {
    let mut strict = config(Codec::Pcmu, Some(address(9, 6_000)));
    strict.latch.symmetric = false;
    let mut bench = Bench::with(strict);
    bench.start();
    for index in 0..50 {
        bench.go(u64::from(index) * 20);
        bench.receive_from(
            address(9, 6_002),
            &rtp(index, u32::from(index) * 160, 7, &[0x2A; 160]),
        );
    }
    assert!(bench.frames.is_empty());
    bench.voice(50);
    assert_eq!(bench.frames.len(), 1);
}

#[test]
fn the_same_stream_from_a_new_port_after_a_silence_is_a_nat_rebinding() {
    let mut bench = Bench::new();
    for index in 0..50 {
        bench.go(u64::from(index) * 20);
        bench.voice(index);
    }
    let moved = address(9, 7_777);
    for index in 50..100_u16 {
        bench.go(u64::from(index) * 20);
        bench.receive_from(moved, &rtp(index, u32::from(index) * 160, 7, &[0x2A; 160]));
    }
    bench.go(2_100);
    assert_eq!(bench.sent_to.last(), Some(&moved));
    assert!(
        bench
            .frames
            .iter()
            .filter(|frame| frame.audio == [0x2A; 160])
            .count()
            >= 20
    );
}

#[test]
fn pattern_35_one_who_knows_the_stream_does_not_take_over_in_a_pause() {
    let mut bench = Bench::new();
    for index in 0..50 {
        bench.go(u64::from(index) * 20);
        bench.voice(index);
    }
    // The peer suppresses silence for two seconds; somebody who reads along goes on in its place.
    for index in 50..150_u16 {
        bench.go(u64::from(index) * 20);
        bench.receive_from(
            address(66, 6_666),
            &rtp(index, u32::from(index) * 160, 7, &STRANGER_AUDIO),
        );
    }
    assert_stranger_got_nothing(&bench);
    bench.go(3_000);
    bench.receive(&rtp(50, 150 * 160, 7, &[0x2A; 160]));
    assert_eq!(
        bench.frames.last().map(|frame| frame.concealed),
        Some(false)
    );
    assert_eq!(bench.sent_to.last(), Some(&bench.peer));
}

#[test]
fn a_re_invite_to_another_address_latches_anew() {
    let mut bench = Bench::new();
    for index in 0..10 {
        bench.go(u64::from(index) * 20);
        bench.voice(index);
    }
    let moved = address(12, 8_000);
    bench
        .stream
        .reconfigure(bench.now, config(Codec::Pcmu, Some(moved)));
    bench.go(230);
    assert_eq!(bench.sent_to.last(), Some(&moved));
    bench.voice(10);
    bench.receive_from(moved, &rtp(100, 0, 99, &[0x2A; 160]));
    assert!(bench.events.contains(&StreamEvent::Latched { from: moved }));
    assert_eq!(
        bench
            .frames
            .iter()
            .filter(|frame| frame.audio == [0x2A; 160])
            .count(),
        1
    );
    assert_eq!(bench.statistics().ssrc_changes, 1);
}

#[test]
fn strangers_are_named_a_bounded_number_of_times() {
    let mut bench = Bench::new();
    bench.voice(0);
    for port in 1_000..3_000 {
        bench.receive_from(address(66, port), &rtp(0, 0, 1, &STRANGER_AUDIO));
    }
    let named = bench
        .events
        .iter()
        .filter(|event| matches!(event, StreamEvent::SourceRefused { .. }))
        .count();
    assert_eq!(named, media::stream::REFUSED_SOURCES_MAX);
    assert_eq!(bench.statistics().refused_packets, 2_000);
    let _ = ms(0);
}

#[test]
fn pattern_35_during_hold_even_one_who_knows_the_stream_does_not_take_over() {
    let mut bench = Bench::new();
    for index in 0..20 {
        bench.go(u64::from(index) * 20);
        bench.voice(index);
    }
    let mut hold = config(Codec::Pcmu, Some(bench.peer));
    hold.direction = Direction::SendOnly;
    bench.stream.reconfigure(bench.now, hold);
    for index in 20..200_u16 {
        bench.go(u64::from(index) * 20);
        bench.receive_from(
            address(66, 6_666),
            &rtp(index, u32::from(index) * 160, 7, &STRANGER_AUDIO),
        );
    }
    assert_stranger_got_nothing(&bench);
    assert_eq!(bench.sent_to.last(), Some(&bench.peer));
}
