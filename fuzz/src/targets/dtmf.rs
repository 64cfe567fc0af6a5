//! Telephone events: a digit is reported once however its packets arrive, and never one that was not there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::bytes::Bytes;
use media::dtmf::{EventPayload, digit_of, event_of};
use media::{Codec, Direction, LatchPolicy, Stream, StreamConfig, StreamEvent};

const EVENT_TYPE: u8 = 101;

pub fn target(data: &[u8]) {
    if let Some(payload) = EventPayload::parse(data) {
        let again = EventPayload::parse(&payload.to_bytes());
        assert_eq!(again, Some(payload));
        if let Some(digit) = digit_of(payload.event) {
            assert_eq!(event_of(digit), Some(payload.event));
        }
    }
    receive(&mut Bytes::new(data));
}

fn stream(now: Instant, remote: SocketAddr) -> Stream {
    let config = StreamConfig {
        codec: Codec::Pcmu,
        payload_type: 0,
        keypad: media::Keypad::default(),
        treatment: media::Treatment::default(),
        opus: media::OpusTerms::default(),
        amr: media::AmrTerms::default(),
        telephone_event: Some(EVENT_TYPE),
        event_clock_hz: 8_000,
        comfort_noise: None,
        ptime_ms: 20,
        remote: Some(remote),
        remote_rtcp: None,
        rtcp_mux: false,
        direction: Direction::SendRecv,
        srtp: None,
        latch: LatchPolicy::default(),
        cname: "fuzz".to_owned(),
    };
    let mut stream = Stream::new(now, config, 1);
    stream.start(now);
    stream
}

fn receive(bytes: &mut Bytes<'_>) {
    let remote = SocketAddr::from(([198, 51, 100, 7], 4_000));
    let mut now = Instant::now();
    let mut stream = stream(now, remote);
    let (mut sequence, mut timestamp) = (1_u16, 160_u32);
    // By time: no sender presses two keys at one time.
    let mut pressed = BTreeMap::new();
    let mut packets: Vec<Vec<u8>> = Vec::new();
    let mut reported = 0;
    for _ in 0..400 {
        if bytes.is_empty() {
            break;
        }
        let flags = bytes.byte();
        if flags & 1 != 0 {
            // At most a second, so that the eight packets below lie within what counts as out of order.
            timestamp = timestamp.wrapping_add(u32::from(bytes.u16() % 8_000));
        }
        if flags & 2 != 0 {
            sequence = sequence.wrapping_add(u16::from(bytes.byte()));
        }
        let event = if flags & 4 != 0 {
            bytes.byte()
        } else {
            flags >> 4
        };
        let payload = EventPayload {
            event: *pressed.entry(timestamp).or_insert(event),
            end: flags & 8 != 0,
            volume: 10,
            duration: bytes.u16(),
        };
        sequence = sequence.wrapping_add(1);
        let header = media::rtp::Header {
            marker: flags & 1 != 0,
            payload_type: EVENT_TYPE,
            sequence,
            timestamp,
            ssrc: 7,
        };
        let mut packet = [header.to_bytes().as_slice(), &payload.to_bytes()].concat();
        if flags & 0xF0 == 0xF0 {
            // One of the last packets comes again.
            let back = bytes.below(8).min(packets.len());
            if let Some(before) = packets.get(packets.len() - back) {
                packet.clone_from(before);
            }
        } else {
            packets.push(packet.clone());
        }
        stream.handle_rtp(now, remote, &mut packet);
        reported += drain(&mut stream, &pressed);
        now += Duration::from_millis(u64::from(bytes.byte()));
        stream.handle_timeout(now);
        reported += drain(&mut stream, &pressed);
    }
    now += Duration::from_secs(2);
    stream.handle_timeout(now);
    reported += drain(&mut stream, &pressed);
    assert!(
        reported <= pressed.len(),
        "{reported} digits of {} events",
        pressed.len()
    );
}

fn drain(stream: &mut Stream, pressed: &BTreeMap<u32, u8>) -> usize {
    let mut reported = 0;
    while let Some(event) = stream.poll_event() {
        if let StreamEvent::Dtmf { digit, duration_ms } = event {
            reported += 1;
            assert!(
                pressed
                    .values()
                    .any(|event| digit_of(*event) == Some(digit)),
                "{digit}"
            );
            assert!(duration_ms <= 600_000, "a digit of {duration_ms} ms");
        }
    }
    while stream.poll_frame().is_some() {}
    let mut buffer = [0; media::TRANSMIT_BYTES_MAX];
    while stream.poll_transmit(&mut buffer).is_some() {}
    reported
}
