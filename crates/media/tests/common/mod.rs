//! Two streams over a simulated network at simulated time.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part; a test crate has no outside"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::{
    Codec, Direction, LatchPolicy, OpusTerms, RecordingFrame, Statistics, Stream, StreamConfig,
    StreamEvent, TRANSMIT_BYTES_MAX,
};

/// A small seeded generator (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "simulated time starts at some instant"
)]
pub fn epoch() -> Instant {
    Instant::now()
}

pub fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

pub fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, host], port))
}

/// Payload type of Opus in these tests.
pub const OPUS: u8 = 96;

pub fn config(codec: Codec, remote: Option<SocketAddr>) -> StreamConfig {
    StreamConfig {
        codec,
        payload_type: codec.static_payload_type().unwrap_or(OPUS),
        keypad: media::Keypad::default(),
        treatment: media::Treatment::default(),
        opus: OpusTerms::default(),
        amr: media::AmrTerms::default(),
        telephone_event: Some(101),
        event_clock_hz: codec.clock_hz(),
        comfort_noise: Some(13),
        ptime_ms: 20,
        remote,
        remote_rtcp: None,
        rtcp_mux: false,
        direction: Direction::SendRecv,
        srtp: None,
        latch: LatchPolicy::default(),
        cname: "test@example.com".to_owned(),
    }
}

/// What the network does to packets, the same both ways.
#[derive(Clone, Copy, Default)]
pub struct Network {
    pub delay_ms: u64,
    /// Added delay is uniform below this.
    pub jitter_ms: u64,
    pub loss_per_mille: u64,
    pub duplicate_per_mille: u64,
}

pub struct Packet {
    pub at: Instant,
    pub to: usize,
    pub from: SocketAddr,
    pub rtcp: bool,
    pub data: Vec<u8>,
}

/// One end: a stream and everything that came out of it.
pub struct End {
    pub stream: Stream,
    pub address: SocketAddr,
    pub codec: Codec,
    /// Audio handed to the engine.
    pub heard: Vec<i16>,
    pub concealed: Vec<bool>,
    /// When each frame came.
    pub heard_at: Vec<Instant>,
    pub events: Vec<StreamEvent>,
    /// RTP datagrams sent: when and how long.
    pub sent: Vec<(Instant, Vec<u8>)>,
    pub recording: Vec<RecordingFrame>,
}

pub struct Pair {
    pub now: Instant,
    pub start: Instant,
    pub ends: [End; 2],
    pub network: Network,
    pub random: Random,
    pub packets: Vec<Packet>,
}

impl Pair {
    pub fn new(configs: [StreamConfig; 2], network: Network, seed: u64) -> Self {
        let now = epoch();
        let mut seed = seed;
        let ends = configs.map(|config| {
            seed += 1;
            let address = if seed % 2 == 1 {
                address(1, 4_000)
            } else {
                address(2, 5_000)
            };
            End {
                codec: config.codec,
                stream: Stream::new(now, config, seed),
                address,
                heard: Vec::new(),
                concealed: Vec::new(),
                heard_at: Vec::new(),
                events: Vec::new(),
                sent: Vec::new(),
                recording: Vec::new(),
            }
        });
        let [first, second] = ends;
        assert_ne!(first.address, second.address);
        Self {
            now,
            start: now,
            ends: [first, second],
            network,
            random: Random(seed),
            packets: Vec::new(),
        }
    }

    /// Two ordinary ends that know each other's address. The seed must be even.
    pub fn plain(network: Network, seed: u64) -> Self {
        let (a, b) = (address(1, 4_000), address(2, 5_000));
        let mut pair = Self::new(
            [config(Codec::Pcmu, Some(b)), config(Codec::Pcmu, Some(a))],
            network,
            seed & !1,
        );
        pair.start();
        pair
    }

    pub fn start(&mut self) {
        for index in 0..2 {
            self.ends[index].stream.start(self.now);
            self.drain(index);
        }
    }

    pub fn drain(&mut self, index: usize) {
        let mut buffer = [0; TRANSMIT_BYTES_MAX];
        while let Some(transmit) = self.ends[index].stream.poll_transmit(&mut buffer) {
            let data = buffer[..transmit.len].to_vec();
            let end = &mut self.ends[index];
            let mut from = end.address;
            if transmit.rtcp {
                from.set_port(from.port() + 1);
            } else {
                end.sent.push((self.now, data.clone()));
            }
            let target = |end: &End| {
                let port = if transmit.rtcp {
                    end.address.port() + 1
                } else {
                    end.address.port()
                };
                SocketAddr::new(end.address.ip(), port) == transmit.destination
            };
            let Some(to) = self.ends.iter().position(target) else {
                continue;
            };
            if self.random.chance(self.network.loss_per_mille) {
                continue;
            }
            let copies = 1 + u64::from(self.random.chance(self.network.duplicate_per_mille));
            for _ in 0..copies {
                let delay = self.network.delay_ms * 1_000
                    + self.random.below(self.network.jitter_ms * 1_000);
                let at = self.now + Duration::from_micros(delay);
                self.packets.push(Packet {
                    at,
                    to,
                    from,
                    rtcp: transmit.rtcp,
                    data: data.clone(),
                });
            }
        }
        let (now, end) = (self.now, &mut self.ends[index]);
        while let Some(frame) = end.stream.poll_frame() {
            end.heard.extend(samples(end.codec, frame.audio));
            end.concealed.push(frame.concealed);
            end.heard_at.push(now);
        }
        while let Some(event) = end.stream.poll_event() {
            end.events.push(event);
        }
        while let Some(frame) = end.stream.poll_recording() {
            end.recording.push(frame);
        }
    }

    /// Runs until the given time after the start.
    pub fn run_until(&mut self, until: Instant) {
        loop {
            let packet = self
                .packets
                .iter()
                .enumerate()
                .min_by_key(|(_, packet)| packet.at)
                .map(|(place, packet)| (place, packet.at));
            let timers = [0, 1].map(|index| self.ends[index].stream.poll_timeout());
            let earliest = timers
                .into_iter()
                .flatten()
                .chain(packet.map(|(_, at)| at))
                .min();
            let Some(at) = earliest.filter(|at| *at <= until) else {
                break;
            };
            self.now = self.now.max(at);
            if let Some((place, _)) = packet.filter(|(_, due)| *due == at) {
                let mut packet = self.packets.swap_remove(place);
                let stream = &mut self.ends[packet.to].stream;
                if packet.rtcp {
                    stream.handle_rtcp(self.now, packet.from, &mut packet.data);
                } else {
                    stream.handle_rtp(self.now, packet.from, &mut packet.data);
                }
                self.drain(packet.to);
                continue;
            }
            for (index, timer) in timers.into_iter().enumerate() {
                if timer.is_some_and(|due| due <= self.now) {
                    self.ends[index].stream.handle_timeout(self.now);
                    self.drain(index);
                }
            }
        }
        self.now = until;
    }

    pub fn run_ms(&mut self, duration_ms: u64) {
        self.run_until(self.now + ms(duration_ms));
    }

    pub fn statistics(&self, index: usize) -> Statistics {
        self.ends[index].stream.statistics(self.now)
    }
}

/// A sine in the form of a codec.
pub fn tone(codec: Codec, frequency: f32, duration_ms: usize) -> Vec<u8> {
    let form = codec.form();
    let mut samples = vec![0; duration_ms * form.frame_samples() / 20];
    media::tone::Sine::at(form.rate(), frequency, 8_000.0).fill(&mut samples);
    let mut audio = Vec::new();
    form.append(&samples, &mut audio);
    audio
}

/// The samples of audio in the form of a codec.
pub fn samples(codec: Codec, audio: &[u8]) -> Vec<i16> {
    let form = codec.form();
    let mut samples = vec![0; audio.len() / form.sample_bytes()];
    form.decode_into(audio, &mut samples);
    samples
}

/// Signal to noise of `heard` against `expected`, dB.
pub fn snr_db(expected: &[i16], heard: &[i16]) -> f64 {
    let mut signal = 1.0_f64;
    let mut noise = 1.0_f64;
    for (a, b) in expected.iter().zip(heard) {
        signal += f64::from(*a).powi(2);
        noise += (f64::from(*a) - f64::from(*b)).powi(2);
    }
    10.0 * (signal / noise).log10()
}

/// An RTP packet of PCMU.
pub fn rtp(sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    rtp_of(0, false, sequence, timestamp, ssrc, payload)
}

pub fn rtp_of(
    payload_type: u8,
    marker: bool,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    payload: &[u8],
) -> Vec<u8> {
    let header = media::rtp::Header {
        marker,
        payload_type,
        sequence,
        timestamp,
        ssrc,
    };
    [&header.to_bytes()[..], payload].concat()
}

/// One stream fed with hand-made packets, its ticks carried out in between.
pub struct Bench {
    pub now: Instant,
    pub start: Instant,
    pub peer: SocketAddr,
    pub stream: Stream,
    pub frames: Vec<Heard>,
    pub events: Vec<StreamEvent>,
    pub sent_to: Vec<SocketAddr>,
    pub sent: Vec<(Instant, Vec<u8>)>,
    pub reports: Vec<Vec<u8>>,
    pub recording: Vec<RecordingFrame>,
}

/// A frame and when it came.
pub struct Heard {
    pub at: Instant,
    pub audio: Vec<u8>,
    pub concealed: bool,
    pub timestamp_ms: u64,
    pub level: u8,
}

impl Bench {
    pub fn new() -> Self {
        let peer = address(9, 6_000);
        let mut bench = Self::with(config(Codec::Pcmu, Some(peer)));
        bench.start();
        bench
    }

    /// Not started.
    pub fn with(config: StreamConfig) -> Self {
        let now = epoch();
        Self {
            now,
            start: now,
            peer: address(9, 6_000),
            stream: Stream::new(now, config, 1),
            frames: Vec::new(),
            events: Vec::new(),
            sent_to: Vec::new(),
            sent: Vec::new(),
            reports: Vec::new(),
            recording: Vec::new(),
        }
    }

    pub fn start(&mut self) {
        self.stream.start(self.now);
        self.drain();
    }

    /// Moves to `at`, ms after the start, carrying out every timeout on the way.
    pub fn go(&mut self, at_ms: u64) {
        self.go_until(self.start + ms(at_ms));
    }

    pub fn go_until(&mut self, until: Instant) {
        while let Some(at) = self.stream.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.stream.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    pub fn receive(&mut self, data: &[u8]) {
        self.receive_from(self.peer, data);
    }

    pub fn receive_from(&mut self, source: SocketAddr, data: &[u8]) {
        self.stream.handle_rtp(self.now, source, &mut data.to_vec());
        self.drain();
    }

    /// Twenty milliseconds of a constant byte, in order of `index`.
    pub fn voice(&mut self, index: u16) {
        self.receive(&rtp(
            index,
            u32::from(index) * 160,
            7,
            &[index.to_be_bytes()[1] | 0x80; 160],
        ));
    }

    pub fn drain(&mut self) {
        let mut buffer = [0; TRANSMIT_BYTES_MAX];
        while let Some(transmit) = self.stream.poll_transmit(&mut buffer) {
            let data = buffer[..transmit.len].to_vec();
            self.sent_to.push(transmit.destination);
            if media::rtp::is_rtcp(&data) {
                self.reports.push(data);
            } else {
                self.sent.push((self.now, data));
            }
        }
        while let Some(frame) = self.stream.poll_frame() {
            self.frames.push(Heard {
                at: self.now,
                audio: frame.audio.to_vec(),
                concealed: frame.concealed,
                timestamp_ms: frame.timestamp_ms,
                level: frame.level,
            });
        }
        while let Some(event) = self.stream.poll_event() {
            self.events.push(event);
        }
        while let Some(frame) = self.stream.poll_recording() {
            self.recording.push(frame);
        }
    }

    pub fn statistics(&self) -> Statistics {
        self.stream.statistics(self.now)
    }
}
