//! A stream, the addresses around it, and what is known of its items.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::bytes::Bytes;
use media::rtcp::{Compound, ReportBlock, SenderInfo};
use media::{
    Background, Codec, Direction, ItemKey, LatchPolicy, PlayoutEvent, SrtpConfig, SrtpSuite,
    Stream, StreamConfig, StreamEvent, TRANSMIT_BYTES_MAX,
};

/// More of anything in one drain is a loop.
const DRAIN_MAX: usize = 4_000;
/// RTP packets above one each 20 ms that a catch-up after a late tick may bring.
const PACE_SLACK: u64 = 16;

#[derive(Default)]
struct Item {
    pushed_bytes: usize,
    /// `finish` was called this often: an item may be played again, as the local sounds are.
    closed: u32,
    /// `Finished` was reported this often.
    finished: u32,
}

pub(super) struct World {
    stream: Stream,
    config: StreamConfig,
    base: Instant,
    now: Instant,
    started_at: Option<Instant>,
    sequence: u16,
    timestamp: u32,
    frame_at_ms: Option<u64>,
    rtp_sent: u64,
    recorded: u64,
    items: BTreeMap<ItemKey, Item>,
}

fn peer(index: usize) -> SocketAddr {
    let addresses = [
        ([198, 51, 100, 7], 4_000),
        ([198, 51, 100, 7], 4_001),
        ([203, 0, 113, 9], 6_000),
        ([0, 0, 0, 0], 4_000),
    ];
    SocketAddr::from(addresses[index % addresses.len()])
}

fn config(bytes: &mut Bytes<'_>) -> StreamConfig {
    let choices = bytes.byte();
    let more = bytes.byte();
    let directions = [
        Direction::SendRecv,
        Direction::SendOnly,
        Direction::RecvOnly,
        Direction::Inactive,
    ];
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    // The narrow ones twice as often: they are what the corpus was made with.
    let codec = match (choices & 1 == 0, more & 12) {
        (true, 12) => Codec::G722,
        (false, 12) => Codec::Opus,
        (true, 8) if more & 3 == 0 => Codec::G729,
        (false, 8) if more & 3 == 0 => Codec::AmrWb,
        (true, _) => Codec::Pcmu,
        (false, _) => Codec::Pcma,
    };
    StreamConfig {
        codec,
        payload_type: codec.static_payload_type().unwrap_or(96),
        keypad: media::Keypad::default(),
        treatment: media::Treatment::default(),
        opus: media::OpusTerms {
            fec: more & 16 != 0,
            dtx: more & 32 != 0,
            bitrate_max_bps: None,
        },
        amr: media::AmrTerms {
            octet_aligned: choices & 2 == 0,
            change_period: 1 + u8::from(choices & 4 == 0),
            neighbour: choices & 8 == 0,
            ..media::AmrTerms::default()
        },
        event_clock_hz: codec.clock_hz(),
        telephone_event: (choices & 2 == 0).then_some(101),
        comfort_noise: (choices & 4 == 0).then_some(13),
        ptime_ms: [20, 10, 30, 60][usize::from(choices >> 3) % 4],
        remote: (choices & 32 == 0).then(|| peer(usize::from(more >> 6))),
        remote_rtcp: (choices & 64 != 0).then(|| peer(1)),
        rtcp_mux: choices & 128 != 0,
        direction: directions[usize::from(more) % 4],
        srtp: (more & 4 != 0).then(|| SrtpConfig {
            suite,
            local_key: vec![1; suite.key_len() - usize::from(more & 8 != 0)],
            remote_key: vec![2; suite.key_len()],
        }),
        latch: LatchPolicy {
            symmetric: more & 16 == 0,
            signalling: (more & 32 != 0).then(|| peer(0).ip()),
        },
        cname: "fuzz".to_owned(),
    }
}

impl World {
    pub(super) fn new(bytes: &mut Bytes<'_>) -> Self {
        let base = Instant::now();
        let config = config(bytes);
        let mut stream = Stream::new(base, config.clone(), u64::from(bytes.byte()));
        let is_started = bytes.flag();
        if is_started {
            stream.start(base);
        }
        stream.set_recording(bytes.flag());
        Self {
            stream,
            config,
            base,
            now: base,
            started_at: is_started.then_some(base),
            sequence: 65_530,
            timestamp: u32::MAX - 400,
            frame_at_ms: None,
            rtp_sent: 0,
            recorded: 0,
            items: BTreeMap::new(),
        }
    }

    pub(super) fn audio(&mut self, bytes: &mut Bytes<'_>) {
        let flags = bytes.byte();
        if flags & 1 != 0 {
            self.sequence = self.sequence.wrapping_add(bytes.u16());
        }
        if flags & 2 != 0 {
            self.timestamp = self.timestamp.wrapping_add(bytes.u32());
        }
        let len = if flags & 4 == 0 {
            160
        } else {
            usize::from(bytes.u16()) % 1_480
        };
        let header = media::rtp::Header {
            marker: flags & 8 != 0,
            payload_type: if flags & 16 == 0 {
                self.config.payload_type
            } else {
                bytes.byte()
            },
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: if flags & 32 == 0 {
                1
            } else {
                u32::from(bytes.byte())
            },
        };
        let mut packet = header.to_bytes().to_vec();
        if matches!(self.config.codec, Codec::G729 | Codec::AmrWb) {
            packet.extend(bytes.chunk());
        } else {
            packet.resize(packet.len() + len, bytes.byte());
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        let source = peer(usize::from(flags >> 6));
        self.stream.handle_rtp(self.now, source, &mut packet);
    }

    pub(super) fn raw(&mut self, bytes: &mut Bytes<'_>) {
        let choice = bytes.byte();
        let source = peer(usize::from(choice >> 1));
        let mut data = bytes.chunk().to_vec();
        if choice & 1 == 0 {
            self.stream.handle_rtp(self.now, source, &mut data);
        } else {
            self.stream.handle_rtcp(self.now, source, &mut data);
        }
    }

    pub(super) fn report(&mut self, bytes: &mut Bytes<'_>) {
        let compound = Compound {
            ssrc: 1,
            sender: bytes.flag().then(|| SenderInfo {
                ntp: u64::from(bytes.u32()) << 16,
                rtp_timestamp: self.timestamp,
                packets: bytes.u32(),
                bytes: bytes.u32(),
            }),
            block: bytes.flag().then(|| ReportBlock {
                ssrc: self.stream.ssrc(),
                fraction_lost: bytes.byte(),
                lost: (bytes.u32() << 8).cast_signed() >> 8,
                highest_sequence: bytes.u32(),
                jitter: bytes.u32(),
                last_sr: bytes.u32(),
                delay_since_sr: bytes.u32(),
            }),
            cname: "peer",
            bye: bytes.flag(),
        };
        let mut buffer = [0; 512];
        let len = media::rtcp::write(&compound, &mut buffer).expect("512 bytes are enough");
        let source = peer(bytes.below(4));
        self.stream
            .handle_rtcp(self.now, source, &mut buffer[..len]);
    }

    pub(super) fn event(&mut self, bytes: &mut Bytes<'_>) {
        let flags = bytes.byte();
        let header = media::rtp::Header {
            marker: flags & 1 != 0,
            payload_type: 101,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: 1,
        };
        let payload = [flags >> 4, (flags & 2) << 6, bytes.byte(), bytes.byte()];
        let mut packet = [header.to_bytes().as_slice(), &payload].concat();
        self.sequence = self.sequence.wrapping_add(1);
        self.stream.handle_rtp(self.now, peer(0), &mut packet);
    }

    /// Lets time pass; every fourth wait comes late, as on a loaded machine.
    pub(super) fn elapse(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        if ms % 4 == 3 {
            self.now = until;
            self.stream.handle_timeout(until);
            self.check_deadline();
            return;
        }
        for _ in 0..DRAIN_MAX {
            let Some(due) = self.stream.poll_timeout().filter(|due| *due <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(due);
            self.stream.handle_timeout(self.now);
            self.check_deadline();
            self.drain();
        }
        panic!("a timer that never rests");
    }

    fn check_deadline(&self) {
        if let Some(due) = self.stream.poll_timeout() {
            assert!(due > self.now, "a deadline in the past after a timeout");
        }
    }

    pub(super) fn push(&mut self, bytes: &mut Bytes<'_>) {
        let key = key(bytes);
        let len = usize::from(bytes.u16()) % 8_000;
        let audio = vec![0x55; len];
        if self.stream.playout().push(&key, &audio).is_ok() {
            self.items.entry(key).or_default().pushed_bytes += len;
        }
        assert!(self.stream.playout().queued_ms() <= 3_600_000);
    }

    pub(super) fn finish(&mut self, bytes: &mut Bytes<'_>) {
        let key = key(bytes);
        self.stream.playout().finish(&key);
        self.items.entry(key).or_default().closed += 1;
    }

    pub(super) fn clear(&mut self) {
        for played in self.stream.playout().clear() {
            self.check_played(&played.item, played.played_ms);
        }
        assert_eq!(self.stream.playout().queued_ms(), 0);
    }

    pub(super) fn switch(&mut self, bytes: &mut Bytes<'_>) {
        let choice = bytes.byte();
        let on = choice & 128 != 0;
        match choice % 6 {
            0 => self.stream.playout().hold_back(on),
            1 => self
                .stream
                .playout()
                .set_background(on.then_some(Background::Thinking)),
            2 => self.stream.set_recording(on),
            3 => {
                self.stream.start(self.now);
                self.started_at.get_or_insert(self.now);
            }
            4 => self.stream.stop(self.now),
            _ => self.stream.set_media_timeout_ms(u32::from(bytes.u16())),
        }
    }

    pub(super) fn reconfigure(&mut self, bytes: &mut Bytes<'_>) {
        self.config = config(bytes);
        self.stream.reconfigure(self.now, self.config.clone());
    }

    pub(super) fn digits(&mut self, bytes: &mut Bytes<'_>) {
        let digits = bytes.text();
        let _ = self.stream.send_dtmf(&digits, u32::from(bytes.u16()));
    }

    pub(super) fn drain(&mut self) {
        self.drain_frames();
        let mut buffer = [0; TRANSMIT_BYTES_MAX];
        let mut count = 0;
        while let Some(transmit) = self.stream.poll_transmit(&mut buffer) {
            count += 1;
            assert!(count <= DRAIN_MAX, "endless packets");
            assert!((1..=TRANSMIT_BYTES_MAX).contains(&transmit.len));
            let ip = transmit.destination.ip();
            assert!(!ip.is_unspecified() && !ip.is_multicast(), "sent to {ip}");
            assert!(transmit.destination.port() != 0);
            let is_rtcp = media::rtp::is_rtcp(&buffer[..transmit.len]);
            self.rtp_sent += u64::from(!is_rtcp);
        }
        self.check_pace();
        count = 0;
        while let Some(event) = self.stream.poll_event() {
            count += 1;
            assert!(count <= DRAIN_MAX, "endless events");
            self.take(event);
        }
        while self.stream.poll_recording().is_some() {
            self.recorded += 1;
        }
        assert!(
            self.recorded <= self.elapsed_ms() / 20 + 2,
            "recorded ahead of time"
        );
    }

    fn drain_frames(&mut self) {
        let mut count = 0;
        while let Some(frame) = self.stream.poll_frame() {
            count += 1;
            assert!(count <= DRAIN_MAX, "endless frames");
            assert_eq!(frame.audio.len(), self.config.codec.form().frame_bytes());
            assert!(frame.level <= 127);
            let is_later = self
                .frame_at_ms
                .is_none_or(|before| frame.timestamp_ms > before);
            assert!(
                is_later,
                "frame at {} after {:?}",
                frame.timestamp_ms, self.frame_at_ms
            );
            self.frame_at_ms = Some(frame.timestamp_ms);
        }
    }

    fn take(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Playout(
                PlayoutEvent::Started { item } | PlayoutEvent::Starved { item },
            ) => {
                assert!(self.items.contains_key(&item), "an item of nobody started");
            }
            StreamEvent::Playout(PlayoutEvent::Finished { item, played_ms }) => {
                self.check_played(&item, played_ms);
                let item = self.items.entry(item).or_default();
                item.finished += 1;
                assert!(item.finished <= item.closed, "finished twice");
            }
            StreamEvent::Dtmf { digit, .. } | StreamEvent::KeyDue { digit, .. } => {
                assert!(media::dtmf::event_of(digit).is_some());
            }
            StreamEvent::Playout(PlayoutEvent::Drained)
            | StreamEvent::Latched { .. }
            | StreamEvent::SourceRefused { .. }
            | StreamEvent::MediaLost { .. }
            | StreamEvent::MediaResumed
            | StreamEvent::SrtpFailure { .. }
            | StreamEvent::Bye => {}
        }
    }

    fn check_played(&self, item: &ItemKey, played_ms: u32) {
        let pushed = self.items.get(item).map_or(0, |item| item.pushed_bytes);
        let pushed_ms = pushed.div_ceil(8);
        assert!(
            usize::try_from(played_ms).is_ok_and(|played| played <= pushed_ms),
            "{item}: {played_ms} ms played of {pushed_ms}"
        );
    }

    fn check_pace(&self) {
        let Some(started_at) = self.started_at else {
            assert_eq!(self.rtp_sent, 0, "sent before the start");
            return;
        };
        let elapsed_ms = (self.now - started_at).as_millis();
        let allowed = u64::try_from(elapsed_ms).expect("a short run") / 20 + PACE_SLACK;
        assert!(
            self.rtp_sent <= allowed,
            "{} packets, {allowed} due",
            self.rtp_sent
        );
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from((self.now - self.base).as_millis()).expect("a short run")
    }

    pub(super) fn close(&mut self) {
        self.stream.stop(self.now);
        self.drain();
        let figures = self.stream.statistics(self.now);
        assert!(figures.jitter_ms.is_finite() && figures.jitter_ms >= 0.0);
        assert!(
            figures.mos.is_none_or(|mos| (1.0..=5.0).contains(&mos)),
            "{figures:?}"
        );
        assert!(figures.round_trip_ms.is_none_or(f64::is_finite));
        assert!(
            figures
                .remote_loss
                .is_none_or(|loss| (0.0..=1.0).contains(&loss))
        );
        let sent = self.rtp_sent;
        self.elapse(400);
        self.drain();
        assert_eq!(self.rtp_sent, sent, "sent after the stop");
    }
}

fn key(bytes: &mut Bytes<'_>) -> ItemKey {
    ItemKey::from(["item_0", "item_1", "item_2", "item_3"][bytes.below(4)])
}
