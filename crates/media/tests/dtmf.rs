//! RFC 4733 both ways: each digit once, whatever the network does.

use crate::common::{Bench, Network, Pair, Random, config, rtp_of};
use media::dtmf::EventPayload;
use media::{Codec, DtmfError, ItemKey, Keypad, StreamEvent};

fn digits(events: &[StreamEvent]) -> Vec<(char, u32)> {
    events
        .iter()
        .filter_map(|event| {
            let StreamEvent::Dtmf { digit, duration_ms } = event else {
                return None;
            };
            Some((*digit, *duration_ms))
        })
        .collect()
}

fn event(event: u8, end: bool, duration: u16) -> [u8; 4] {
    EventPayload {
        event,
        end,
        volume: 10,
        duration,
    }
    .to_bytes()
}

/// The packets of a press of 100 ms: five of them, then the end three times.
fn press(code: u8, timestamp: u32, sequence: u16, marker: bool) -> Vec<Vec<u8>> {
    (0..8_u16)
        .map(|index| {
            let end = index >= 5;
            let duration = if end { 800 } else { (index + 1) * 160 };
            rtp_of(
                101,
                marker && index == 0,
                sequence + index,
                timestamp,
                7,
                &event(code, end, duration),
            )
        })
        .collect()
}

#[test]
fn all_sixteen_digits_are_read_once_each() {
    let mut bench = Bench::new();
    for code in 0..16 {
        for packet in press(code, u32::from(code) * 4_000, u16::from(code) * 8, true) {
            bench.receive(&packet);
        }
    }
    let expected: Vec<_> = "0123456789*#ABCD"
        .chars()
        .map(|digit| (digit, 100))
        .collect();
    assert_eq!(digits(&bench.events), expected);
    // Codes beyond the digits (hook flash, fax tones) are no digits.
    bench.receive(&rtp_of(101, true, 200, 90_000, 7, &event(16, true, 800)));
    bench.receive(&rtp_of(101, true, 201, 91_000, 7, &[5, 0x80]));
    assert_eq!(digits(&bench.events).len(), 16);
}

#[test]
fn torture_any_loss_duplication_and_disorder_never_doubles_a_digit() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut bench = Bench::new();
        let mut wanted = Vec::new();
        let mut sequence = 0;
        for number in 0..20_u32 {
            let code = u8::try_from(random.below(12)).unwrap();
            let marker = random.chance(500);
            let mut packets = press(code, number * 2_400, sequence, marker);
            sequence += 8;
            // Some are doubled, some lost, neighbours swapped; at least one of the press survives.
            let kept = usize::try_from(random.below(8)).unwrap();
            let mut heard = Vec::new();
            for (index, packet) in packets.drain(..).enumerate() {
                if index == kept || !random.chance(400) {
                    heard.push(packet.clone());
                    if random.chance(200) {
                        heard.push(packet);
                    }
                }
            }
            for index in 1..heard.len() {
                if random.chance(150) {
                    heard.swap(index - 1, index);
                }
            }
            for (index, packet) in heard.iter().enumerate() {
                bench.go(u64::from(number) * 300 + index as u64 * 15);
                bench.receive(packet);
            }
            wanted.push(media::dtmf::digit_of(code).unwrap());
        }
        bench.go(20 * 300 + 500);
        let read: Vec<char> = digits(&bench.events)
            .iter()
            .map(|(digit, _)| *digit)
            .collect();
        assert_eq!(read, wanted, "seed {seed}");
    }
}

#[test]
fn a_lost_end_is_noticed_by_silence_or_by_the_next_press() {
    let mut bench = Bench::new();
    for packet in &press(1, 0, 0, true)[..5] {
        bench.receive(packet);
    }
    assert_eq!(digits(&bench.events), []);
    bench.go(200);
    assert_eq!(digits(&bench.events), [('1', 100)]);
    // The end that comes after all is the same press.
    for packet in &press(1, 0, 0, true)[5..] {
        bench.receive(packet);
    }
    for packet in &press(2, 3_000, 20, true)[..3] {
        bench.receive(packet);
    }
    for packet in &press(2, 5_000, 30, true) {
        bench.receive(packet);
    }
    assert_eq!(digits(&bench.events), [('1', 100), ('2', 60), ('2', 100)]);
}

#[test]
fn the_same_digit_twice_in_a_row_is_two_presses_without_any_marker() {
    let mut bench = Bench::new();
    for packet in press(4, 0, 0, false)
        .iter()
        .chain(&press(4, 1_600, 8, false))
    {
        bench.receive(packet);
    }
    assert_eq!(digits(&bench.events), [('4', 100), ('4', 100)]);
}

#[test]
fn a_sender_that_moves_the_timestamp_of_every_packet_presses_once() {
    let mut bench = Bench::new();
    for index in 0..8_u16 {
        let payload = event(9, index >= 5, (index.min(5) + 1) * 160);
        bench.go(u64::from(index) * 20);
        bench.receive(&rtp_of(
            101,
            index == 0,
            index,
            u32::from(index) * 160,
            7,
            &payload,
        ));
    }
    bench.go(1_000);
    assert_eq!(
        digits(&bench.events)
            .iter()
            .map(|(digit, _)| *digit)
            .collect::<Vec<_>>(),
        ['9']
    );
}

#[test]
fn a_press_of_twenty_seconds_in_segments_is_one_digit() {
    let mut bench = Bench::new();
    let (mut timestamp, mut duration) = (0_u32, 0_u32);
    for index in 0..1_000_u16 {
        duration += 160;
        if duration > 0xFFFF {
            timestamp += 0xFFFF;
            duration -= 0xFFFF;
        }
        bench.go(u64::from(index) * 20);
        let payload = event(8, index == 999, u16::try_from(duration).unwrap());
        bench.receive(&rtp_of(101, index == 0, index, timestamp, 7, &payload));
    }
    assert_eq!(digits(&bench.events), [('8', 20_000)]);
}

#[test]
fn digits_in_the_middle_of_speech_leave_its_order_alone() {
    let mut bench = Bench::new();
    for index in 0..20 {
        bench.go(u64::from(index) * 20);
        bench.voice(index);
    }
    for (index, packet) in press(3, 3_200, 20, true).iter().enumerate() {
        bench.go(400 + index as u64 * 20);
        bench.receive(packet);
    }
    for index in 28..60 {
        bench.go(u64::from(index) * 20);
        bench.voice(index);
    }
    assert_eq!(bench.frames.len(), 60);
    let statistics = bench.statistics();
    assert_eq!(
        (
            statistics.packets_lost,
            statistics.concealed_ms,
            statistics.silence_ms
        ),
        (0, 0, 160)
    );
}

#[test]
fn digits_sent_arrive_with_their_length_and_audio_pauses() {
    let mut pair = Pair::plain(
        Network {
            delay_ms: 30,
            jitter_ms: 15,
            loss_per_mille: 50,
            duplicate_per_mille: 50,
        },
        12,
    );
    let item = ItemKey::from("item");
    pair.run_ms(100);
    pair.ends[0]
        .stream
        .playout()
        .push(&item, &[0x31; 16_000])
        .unwrap();
    pair.run_ms(100);
    pair.ends[0]
        .stream
        .send_dtmf("0123456789*#ABCD", 120)
        .unwrap();
    pair.run_ms(6_000);
    let read = digits(&pair.ends[1].events);
    assert_eq!(
        read.iter().map(|(digit, _)| *digit).collect::<String>(),
        "0123456789*#ABCD"
    );
    assert!(
        read.iter()
            .filter(|(_, duration_ms)| *duration_ms == 120)
            .count()
            >= 14,
        "{read:?}"
    );
    // No byte of the item is lost, none is sent between the digits.
    let sent = &pair.ends[0].sent;
    let events: Vec<usize> = (0..sent.len())
        .filter(|index| sent[*index].1[1] & 0x7F == 101)
        .collect();
    let (first, last) = (events[0], events[events.len() - 1]);
    assert!(
        sent[first..=last]
            .iter()
            .all(|(_, data)| !data[12..].contains(&0x31) || data[1] & 0x7F == 101)
    );
    let played: usize = sent
        .iter()
        .filter(|(_, data)| data[1] & 0x7F == 0)
        .map(|(_, data)| data[12..].iter().filter(|byte| **byte == 0x31).count())
        .sum();
    assert_eq!(played, 16_000);
}

#[test]
fn an_event_is_sent_as_the_rfc_says() {
    let mut bench = Bench::new();
    bench.go(50);
    bench.stream.send_dtmf("5", 100).unwrap();
    bench.go(400);
    let packets: Vec<_> = bench
        .sent
        .iter()
        .map(|(_, data)| media::rtp::parse(data).unwrap())
        .collect();
    let events: Vec<_> = packets
        .iter()
        .filter(|packet| packet.header.payload_type == 101)
        .collect();
    assert_eq!(events.len(), 7);
    assert!(
        events
            .iter()
            .all(|packet| packet.header.timestamp == events[0].header.timestamp)
    );
    assert_eq!(
        events
            .iter()
            .map(|packet| packet.header.marker)
            .collect::<Vec<_>>(),
        [true, false, false, false, false, false, false]
    );
    let payloads: Vec<_> = events
        .iter()
        .map(|packet| EventPayload::parse(packet.payload).unwrap())
        .collect();
    assert_eq!(
        payloads
            .iter()
            .map(|payload| payload.duration)
            .collect::<Vec<_>>(),
        [160, 320, 480, 640, 800, 800, 800]
    );
    assert_eq!(
        payloads
            .iter()
            .map(|payload| payload.end)
            .collect::<Vec<_>>(),
        [false, false, false, false, true, true, true]
    );
    let sequences: Vec<u16> = packets
        .iter()
        .map(|packet| packet.header.sequence)
        .collect();
    assert!(
        sequences
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1))
    );
}

#[test]
fn what_cannot_be_sent_is_said() {
    let mut without = config(Codec::Pcmu, Some(crate::common::address(9, 6_000)));
    without.telephone_event = None;
    without.keypad = Keypad::Events;
    let mut bench = Bench::with(without);
    assert_eq!(
        bench.stream.send_dtmf("1", 100),
        Err(DtmfError::NotNegotiated)
    );
    let mut bench = Bench::new();
    assert_eq!(
        bench.stream.send_dtmf("12x", 100),
        Err(DtmfError::UnknownDigit('x'))
    );
    assert_eq!(
        bench.stream.send_dtmf(&"1".repeat(65), 100),
        Err(DtmfError::QueueFull)
    );
    assert_eq!(bench.stream.send_dtmf("aBcD", 100), Ok(()));
}
