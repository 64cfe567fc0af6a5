//! Reports on the wire, what they teach, and bytes of any kind.

use std::time::Duration;

use crate::common::{Bench, Network, Pair, Random, address, config, ms, rtp};
use media::rtcp::{Packet, packets};
use media::{Codec, PathReport, StreamEvent};

#[test]
fn reports_go_out_about_every_five_seconds_from_the_rtcp_port_and_say_what_was_lost() {
    let mut pair = Pair::plain(
        Network {
            delay_ms: 50,
            jitter_ms: 0,
            loss_per_mille: 100,
            duplicate_per_mille: 0,
        },
        6,
    );
    pair.run_ms(60_000);
    for index in 0..2 {
        let statistics = pair.statistics(index);
        let round_trip = statistics.round_trip_ms.unwrap();
        assert!((99.0..102.0).contains(&round_trip), "{round_trip}");
        assert!((0.02..0.25).contains(&statistics.remote_loss.unwrap()));
        assert!((200..400).contains(&statistics.packets_lost));
        assert!(statistics.mos.unwrap() < 3.6);
    }
    let mut bench = Bench::new();
    for index in 0..1_500_u16 {
        bench.go(u64::from(index) * 20);
        bench.voice(index);
    }
    assert!(
        (4..=9).contains(&bench.reports.len()),
        "{}",
        bench.reports.len()
    );
    for report in &bench.reports {
        let read: Vec<_> = packets(report).map(Result::unwrap).collect();
        let [
            Packet::Report {
                ssrc,
                sender: Some(sender),
                blocks,
            },
            Packet::Other(202),
        ] = read[..]
        else {
            panic!("{read:?}")
        };
        assert_eq!(ssrc, bench.stream.ssrc());
        assert!(sender.packets > 50 && sender.bytes == sender.packets * 160);
        assert_eq!(
            blocks
                .map(|block| (block.ssrc, block.lost))
                .collect::<Vec<_>>(),
            [(7, 0)]
        );
    }
    assert!(bench.sent_to.contains(&address(9, 6_001)));
}

#[test]
fn multiplexed_reports_use_one_port() {
    let mut configured = config(Codec::Pcmu, Some(address(9, 6_000)));
    configured.rtcp_mux = true;
    let mut bench = Bench::with(configured);
    bench.start();
    bench.go(20_000);
    assert!(!bench.reports.is_empty());
    assert!(bench.sent_to.iter().all(|to| *to == address(9, 6_000)));
}

#[test]
fn a_goodbye_is_sent_at_the_end_and_read_as_an_event() {
    let mut bench = Bench::new();
    bench.voice(0);
    bench.go(1_000);
    let now = bench.now;
    bench.stream.stop(now);
    bench.drain();
    let last = bench.reports.last().unwrap().clone();
    let ssrc = bench.stream.ssrc();
    assert!(packets(&last).any(|packet| packet == Ok(Packet::Goodbye { ssrc: Some(ssrc) })));
    let sent = bench.sent.len();
    bench.go(3_000);
    assert_eq!((bench.sent.len(), bench.reports.len()), (sent, 1));

    let mut peer = Bench::new();
    peer.receive(&rtp(0, 0, ssrc, &[0x2A; 160]));
    peer.stream
        .handle_rtcp(peer.now, address(9, 6_001), &mut last.clone());
    // The same from a stranger's host says nothing.
    peer.stream
        .handle_rtcp(peer.now, address(66, 6_001), &mut last.clone());
    peer.drain();
    assert_eq!(
        peer.events
            .iter()
            .filter(|event| **event == StreamEvent::Bye)
            .count(),
        1
    );
    assert_eq!(peer.statistics().refused_packets, 1);
}

#[test]
fn what_another_layer_learns_of_the_way_is_in_the_figures() {
    let mut bench = Bench::new();
    bench.voice(0);
    let unknown = bench.stream.statistics(bench.now);
    assert_eq!((unknown.round_trip_ms, unknown.remote_loss), (None, None));
    bench.stream.note_path(&PathReport {
        round_trip: Some(Duration::from_millis(80)),
        loss: Some(7.0),
        jitter: Some(Duration::from_millis(5)),
    });
    // What a report does not say stays.
    bench.stream.note_path(&PathReport::default());
    let known = bench.stream.statistics(bench.now);
    assert_eq!(
        (known.round_trip_ms, known.remote_loss),
        (Some(80.0), Some(1.0))
    );
    assert_eq!(known.remote_jitter_ms, Some(5.0));
    assert!(known.mos < unknown.mos, "a longer way sounds worse");
    // And its reports are a sign of life.
    for second in 1..60 {
        bench.go(second * 1_000);
        bench.stream.note_alive(bench.now);
        bench.drain();
    }
    let lost = |bench: &Bench| {
        let mut events = bench.events.iter();
        events.any(|event| matches!(event, StreamEvent::MediaLost { .. }))
    };
    assert!(!lost(&bench));
    bench.go(70_000);
    assert!(lost(&bench));
}

#[test]
fn a_peer_that_suppresses_silence_is_alive_while_it_reports() {
    let mut bench = Bench::new();
    bench.voice(0);
    let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
    for second in 1..60 {
        bench.go(second * 1_000);
        bench
            .stream
            .handle_rtcp(bench.now, address(9, 6_001), &mut report.to_vec());
        bench.drain();
    }
    assert!(
        !bench
            .events
            .iter()
            .any(|event| matches!(event, StreamEvent::MediaLost { .. }))
    );
    bench.go(70_000);
    assert!(
        bench
            .events
            .iter()
            .any(|event| matches!(event, StreamEvent::MediaLost { .. }))
    );
}

#[test]
fn a_report_that_lies_about_time_is_not_believed() {
    let mut bench = Bench::new();
    bench.voice(0);
    bench.go(1_000);
    let mut data = [0; 128];
    for (last_sr, delay) in [(1, 0), (0xFFFF_FFFF, 0xFFFF_FFFF), (0x8000_0000, 5)] {
        let block = media::rtcp::ReportBlock {
            ssrc: bench.stream.ssrc(),
            last_sr,
            delay_since_sr: delay,
            ..Default::default()
        };
        let compound = media::rtcp::Compound {
            ssrc: 7,
            sender: None,
            block: Some(block),
            cname: "x",
            bye: false,
        };
        let len = media::rtcp::write(&compound, &mut data).unwrap();
        bench
            .stream
            .handle_rtcp(bench.now, address(9, 6_001), &mut data[..len]);
    }
    assert!(
        bench
            .statistics()
            .round_trip_ms
            .is_none_or(|round_trip| round_trip < 30_000.0)
    );
}

/// A packet that is random, or nearly right.
fn wild(random: &mut Random, voice: u16) -> Vec<u8> {
    let byte = |random: &mut Random| random.next().to_be_bytes()[0];
    let mut data: Vec<u8> = match random.below(3) {
        0 => (0..random.below(80)).map(|_| byte(random)).collect(),
        1 => {
            let timestamp =
                u32::from_be_bytes([byte(random), byte(random), byte(random), byte(random)]);
            rtp(
                voice.wrapping_add(u16::from(byte(random)) / 3),
                timestamp,
                7,
                &[0x2A; 160],
            )
        }
        _ => {
            let mut report = vec![
                0x81,
                200 + byte(random) % 5,
                0,
                byte(random) % 14,
                0,
                0,
                0,
                7,
            ];
            report.resize(29, 9);
            report
        }
    };
    for _ in 0..random.below(4) {
        if !data.is_empty() {
            let at = usize::from(byte(random)) % data.len();
            data[at] = byte(random);
        }
    }
    data
}

#[test]
fn bytes_of_any_kind_are_survived_and_the_call_goes_on() {
    let mut random = Random(11);
    let mut bench = Bench::new();
    bench.voice(0);
    let mut voice = 1_u16;
    for round in 0..60_000_u64 {
        let mut data = wild(&mut random, voice);
        let stranger = address(66, 1 + u16::from(data.first().copied().unwrap_or(1)));
        let source = if random.chance(500) {
            bench.peer
        } else {
            stranger
        };
        if random.chance(500) {
            bench.stream.handle_rtp(bench.now, source, &mut data);
        } else {
            bench.stream.handle_rtcp(bench.now, source, &mut data);
        }
        if round % 40 == 0 {
            voice += 1;
            bench.now += ms(20);
            bench.stream.handle_timeout(bench.now);
        }
        bench.drain();
        bench.frames.clear();
        bench.events.clear();
        bench.sent.clear();
        bench.sent_to.clear();
    }
    for index in 0..100_u16 {
        bench.now += ms(20);
        bench.stream.handle_timeout(bench.now);
        bench.receive(&rtp(
            10_000 + index,
            u32::from(index) * 160,
            7,
            &[0x2A; 160],
        ));
    }
    assert!(
        bench
            .frames
            .iter()
            .filter(|frame| frame.audio == [0x2A; 160])
            .count()
            > 95
    );
}
