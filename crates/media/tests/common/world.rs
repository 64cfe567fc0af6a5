//! One stream under a network's weather at simulated time, and the figures of what the engine was given.
//!
//! A peer talks in packets of 20 ms, each with its number at the end of its payload: a frame that the stream hands out tells which
//! packet it is, when that packet arrived, and whether anything was made up, lost, repeated or swapped.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::cast_precision_loss,
    reason = "a part of two crates without an outside; counts are far below 2^52"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::{Codec, Statistics, Stream, StreamEvent, TRANSMIT_BYTES_MAX};

use crate::common::{Random, address, config, epoch, ms, rtp_of, tone};

/// Marks a packet of a stranger.
const STRANGER: u32 = 1 << 30;

/// What happens to the packets of the peer.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    /// Share of lost packets, per mille.
    pub loss_per_mille: u64,
    /// Mean length of a loss, packets; 0 and 1 lose single ones.
    pub burst_packets: u64,
    /// Delay is uniform below this.
    pub jitter_ms: u64,
    /// Jitter of a queue: a packet never overtakes another.
    pub in_order: bool,
    /// Packets that are held back for 25 ms, per mille.
    pub swapped_per_mille: u64,
    pub duplicate_per_mille: u64,
    /// How much slower the peer's clock is, per mille (negative: faster).
    pub skew_per_mille: i64,
    /// The peer sends nothing for the second half of every stretch this long.
    pub pauses_every_ms: u64,
    /// A comfort noise packet begins each pause.
    pub comfort_noise: bool,
    /// The peer begins anew, with another source and sequence.
    pub restarts_every_ms: u64,
    /// The peer's address translation forgets it: a second of silence, then another port.
    pub moves_every_ms: u64,
    /// Strangers send all the time: one with a source of his own, one who knows everything of the stream but its key.
    pub strangers: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    pub sent: u64,
    /// Packets that the network brought.
    pub arrived: u64,
    /// Of them those that were heard.
    pub heard: u64,
    /// Frames of a stranger that were heard, and datagrams that went to one.
    pub stolen: u64,
    /// Frames out of order or twice.
    pub disorder: u64,
    pub concealed_ms: u64,
    pub silence_ms: u64,
    /// From the arrival of a packet to its frame, ms.
    pub added_ms: Percentiles,
    /// Between two frames, ms.
    pub gap_ms: Percentiles,
    /// Audio handed out less real time since the first packet, at the end of the first tenth and at the end, ms.
    pub ahead_ms: (i64, i64),
    /// The same against the peer's own media time.
    pub media_ahead_ms: (i64, i64),
    /// Time between two packets towards the peer, ms.
    pub pace_ms: Percentiles,
    pub statistics: Statistics,
}

#[derive(Debug, Clone, Copy)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Percentiles {
    fn of(values: &mut [Duration]) -> Self {
        values.sort_unstable();
        let at = |percent: usize| {
            values
                .get(values.len().saturating_sub(1) * percent / 100)
                .map_or(0.0, |value| value.as_secs_f64() * 1_000.0)
        };
        Self {
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }
}

impl Report {
    /// Share of the brought packets that were not heard.
    pub fn wasted(&self) -> f64 {
        1.0 - self.heard as f64 / self.arrived.max(1) as f64
    }

    /// Share of the call that was made up for lost packets.
    pub fn concealed(&self) -> f64 {
        self.concealed_ms as f64 / (self.sent.max(1) * 20) as f64
    }
}

struct World {
    weather: Weather,
    random: Random,
    start: Instant,
    stream: Stream,
    /// Datagrams under way, by arrival.
    network: BTreeMap<(Instant, u64), (SocketAddr, Vec<u8>)>,
    count: u64,
    peer: SocketAddr,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    losing: bool,
    last_arrival: Instant,
    arrived_at: BTreeMap<u32, Instant>,
    heard: BTreeSet<u32>,
    last_heard: Option<u32>,
    last_frame_at: Option<Instant>,
    last_sent_at: Option<Instant>,
    frames: u64,
    added: Vec<Duration>,
    gaps: Vec<Duration>,
    pace: Vec<Duration>,
    sent: u64,
    stolen: u64,
    disorder: u64,
    voice: Vec<u8>,
}

/// Runs a world for so long.
pub fn run(weather: Weather, duration_ms: u64, seed: u64) -> Report {
    let start = epoch();
    let peer = address(9, 6_000);
    let mut world = World {
        weather,
        random: Random(seed),
        start,
        stream: Stream::new(start, config(Codec::Pcmu, Some(peer)), seed),
        network: BTreeMap::new(),
        count: 0,
        peer,
        ssrc: 7,
        sequence: 100,
        timestamp: 5_000,
        losing: false,
        last_arrival: start,
        arrived_at: BTreeMap::new(),
        heard: BTreeSet::new(),
        last_heard: None,
        last_frame_at: None,
        last_sent_at: None,
        frames: 0,
        added: Vec::new(),
        gaps: Vec::new(),
        pace: Vec::new(),
        sent: 0,
        stolen: 0,
        disorder: 0,
        voice: tone(Codec::Pcmu, 300.0, 20),
    };
    world.run(duration_ms)
}

impl World {
    fn run(&mut self, duration_ms: u64) -> Report {
        self.stream.start(self.start);
        let period = Duration::from_micros(
            u64::try_from(20_000 + 20 * self.weather.skew_per_mille).unwrap_or(20_000),
        );
        let total = u32::try_from(ms(duration_ms).as_micros() / period.as_micros()).unwrap_or(0);
        let mut early = (0, 0);
        for index in 0..total {
            let at = self.start + period * index;
            self.advance(at);
            self.speak(at, index);
            if index == total / 10 {
                early = self.ahead(at, index + 1);
            }
        }
        let end = self.start + period * total;
        self.advance(end);
        let late = self.ahead(end, total);
        let statistics = self.stream.statistics(end);
        Report {
            sent: self.sent,
            arrived: self.arrived_at.len() as u64,
            heard: self.heard.len() as u64,
            stolen: self.stolen,
            disorder: self.disorder,
            concealed_ms: statistics.concealed_ms,
            silence_ms: statistics.silence_ms,
            added_ms: Percentiles::of(&mut self.added),
            gap_ms: Percentiles::of(&mut self.gaps),
            pace_ms: Percentiles::of(&mut self.pace),
            ahead_ms: (early.0, late.0),
            media_ahead_ms: (early.1, late.1),
            statistics,
        }
    }

    /// Audio handed out less real time, and less the peer's media time.
    fn ahead(&self, now: Instant, packets: u32) -> (i64, i64) {
        let handed = i64::try_from(self.frames * 20).unwrap_or(i64::MAX);
        let real = i64::try_from((now - self.start).as_millis()).unwrap_or(i64::MAX);
        (handed - real, handed - i64::from(packets) * 20)
    }

    /// The peer's next 20 ms.
    fn speak(&mut self, at: Instant, index: u32) {
        let elapsed_ms = u64::from(index) * 20;
        let every = |period_ms: u64| period_ms > 0 && index > 0 && elapsed_ms % period_ms == 0;
        if every(self.weather.restarts_every_ms) {
            self.ssrc = self.ssrc.wrapping_add(1);
            let [a, b, c, d, e, f, ..] = self.random.next().to_be_bytes();
            self.sequence = u16::from_be_bytes([a, b]);
            self.timestamp = u32::from_be_bytes([c, d, e, f]);
        }
        if every(self.weather.moves_every_ms) {
            self.peer.set_port(self.peer.port() + 2);
        }
        if self.weather.strangers {
            self.strangers(at, index);
        }
        let timestamp = self.timestamp;
        self.timestamp = self.timestamp.wrapping_add(160);
        let moving = self.weather.moves_every_ms > 0
            && index > 100
            && elapsed_ms % self.weather.moves_every_ms >= self.weather.moves_every_ms - 1_000;
        if moving {
            self.sequence = self.sequence.wrapping_add(1);
            return;
        }
        let pauses = self.weather.pauses_every_ms;
        let begins = pauses > 0 && elapsed_ms % pauses == pauses / 2;
        if pauses > 0 && elapsed_ms % pauses >= pauses / 2 {
            if begins && self.weather.comfort_noise {
                let data = rtp_of(13, false, self.sequence, timestamp, self.ssrc, &[60]);
                self.sequence = self.sequence.wrapping_add(1);
                self.post(at, &data);
            }
            return;
        }
        self.sent += 1;
        let marker = pauses > 0 && elapsed_ms % pauses == 0;
        let payload = numbered(&self.voice, index);
        let data = rtp_of(0, marker, self.sequence, timestamp, self.ssrc, &payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.post(at, &data);
    }

    /// Gives a packet of the peer to the network.
    fn post(&mut self, at: Instant, data: &[u8]) {
        let weather = self.weather;
        // Gilbert: losses begin so often, and go on so long, that their share and mean length are as asked for.
        let length = weather.burst_packets.max(1);
        let goes_on = if self.losing {
            self.random.below(1_000_000) >= 1_000_000 / length
        } else {
            let begin = 1_000 * weather.loss_per_mille * 1_000
                / (length * (1_000 - weather.loss_per_mille));
            self.random.below(1_000_000) < begin
        };
        self.losing = goes_on;
        if goes_on {
            return;
        }
        let copies = 1 + u64::from(self.random.chance(weather.duplicate_per_mille));
        for _ in 0..copies {
            let mut delay = Duration::from_micros(self.random.below(weather.jitter_ms * 1_000));
            if self.random.chance(weather.swapped_per_mille) {
                delay += ms(25);
            }
            let mut arrival = at + delay;
            if weather.in_order {
                arrival = arrival.max(self.last_arrival);
                self.last_arrival = arrival;
            }
            self.send(arrival, self.peer, data.to_owned());
        }
    }

    fn send(&mut self, arrival: Instant, from: SocketAddr, data: Vec<u8>) {
        self.count += 1;
        self.network.insert((arrival, self.count), (from, data));
    }

    fn strangers(&mut self, at: Instant, index: u32) {
        let payload = numbered(&self.voice, STRANGER | index);
        let own = rtp_of(0, false, self.sequence, self.timestamp, 999, &payload);
        self.send(at + ms(1), address(66, 6_666), own);
        // He is even a little ahead of the peer.
        let ahead = self.sequence.wrapping_add(3);
        let media = self.timestamp.wrapping_add(480);
        let knowing = rtp_of(0, false, ahead, media, self.ssrc, &payload);
        self.send(at + ms(2), address(67, 6_667), knowing);
    }

    /// Carries out everything until then.
    fn advance(&mut self, until: Instant) {
        loop {
            let packet = self.network.keys().next().map(|(at, _)| *at);
            let timer = self.stream.poll_timeout();
            let Some(at) = packet.into_iter().chain(timer).min() else {
                return;
            };
            if at > until {
                return;
            }
            if packet == Some(at) {
                if let Some((_, (from, mut data))) = self.network.pop_first() {
                    if let Some(number) = number_of(&data[12..]).filter(|it| it & STRANGER == 0) {
                        self.arrived_at.entry(number).or_insert(at);
                    }
                    self.stream.handle_rtp(at, from, &mut data);
                }
            } else {
                self.stream.handle_timeout(at);
            }
            self.take(at);
        }
    }

    fn take(&mut self, now: Instant) {
        let mut buffer = [0; TRANSMIT_BYTES_MAX];
        while let Some(transmit) = self.stream.poll_transmit(&mut buffer) {
            let host = transmit.destination.ip();
            if host == address(66, 1).ip() || host == address(67, 1).ip() {
                self.stolen += 1;
            }
            if !transmit.rtcp {
                self.pace
                    .extend(self.last_sent_at.replace(now).map(|last| now - last));
            }
        }
        let mut first = true;
        while let Some(frame) = self.stream.poll_frame() {
            self.frames += 1;
            let gap = self.last_frame_at.replace(now).map(|last| now - last);
            // Frames that come together are one delivery.
            self.gaps.extend(gap.filter(|_| first));
            first = false;
            let Some(number) = number_of(frame.audio).filter(|_| !frame.concealed) else {
                continue;
            };
            if number & STRANGER != 0 {
                self.stolen += 1;
                continue;
            }
            if self.last_heard.is_some_and(|last| last >= number) {
                self.disorder += 1;
            }
            self.last_heard = Some(number);
            self.heard.insert(number);
            self.added
                .extend(self.arrived_at.get(&number).map(|arrived| now - *arrived));
        }
        while let Some(event) = self.stream.poll_event() {
            if let StreamEvent::Latched { from } = event {
                self.stolen += u64::from(from.ip() != self.peer.ip());
            }
        }
        while self.stream.poll_recording().is_some() {}
    }
}

/// The voice with a number in its last eight samples, quiet ones that no law changes.
fn numbered(voice: &[u8], number: u32) -> Vec<u8> {
    let mut payload = voice.to_vec();
    let from = payload.len() - 8;
    for (place, byte) in payload[from..].iter_mut().enumerate() {
        *byte = 0xE0 | u8::try_from(number >> (28 - 4 * place) & 0xF).unwrap_or(0);
    }
    payload
}

fn number_of(audio: &[u8]) -> Option<u32> {
    let tail = audio.get(audio.len().checked_sub(8)?..)?;
    tail.iter().all(|byte| byte & 0xF0 == 0xE0).then(|| {
        tail.iter()
            .fold(0, |sum, byte| sum << 4 | u32::from(byte & 0xF))
    })
}

const CALM: Weather = Weather {
    loss_per_mille: 0,
    burst_packets: 0,
    jitter_ms: 0,
    in_order: false,
    swapped_per_mille: 0,
    duplicate_per_mille: 0,
    skew_per_mille: 0,
    pauses_every_ms: 0,
    comfort_noise: false,
    restarts_every_ms: 0,
    moves_every_ms: 0,
    strangers: false,
};

/// Pauses of three seconds, as with silence suppression.
const PAUSES: Weather = Weather {
    pauses_every_ms: 6_000,
    ..CALM
};

/// All of it at once, on a clock that is one per cent slow.
pub const EVERYTHING: Weather = Weather {
    loss_per_mille: 50,
    burst_packets: 3,
    jitter_ms: 60,
    swapped_per_mille: 20,
    duplicate_per_mille: 10,
    skew_per_mille: 10,
    comfort_noise: true,
    strangers: true,
    ..PAUSES
};

const fn loss(loss_per_mille: u64, burst_packets: u64) -> Weather {
    Weather {
        loss_per_mille,
        burst_packets,
        ..CALM
    }
}

const fn jitter(jitter_ms: u64, in_order: bool) -> Weather {
    Weather {
        jitter_ms,
        in_order,
        ..CALM
    }
}

const fn swapped(swapped_per_mille: u64) -> Weather {
    Weather {
        swapped_per_mille,
        ..CALM
    }
}

const fn skewed(skew_per_mille: i64, weather: Weather) -> Weather {
    Weather {
        skew_per_mille,
        ..weather
    }
}

const fn every_10_s(restarts: bool) -> Weather {
    Weather {
        restarts_every_ms: if restarts { 10_000 } else { 0 },
        moves_every_ms: if restarts { 0 } else { 10_000 },
        ..CALM
    }
}

const fn with_noise(weather: Weather) -> Weather {
    Weather {
        comfort_noise: true,
        ..weather
    }
}

const fn with_strangers(weather: Weather) -> Weather {
    Weather {
        strangers: true,
        ..weather
    }
}

/// The worlds that are looked at, by name.
pub const WEATHERS: &[(&str, Weather)] = &[
    ("calm", CALM),
    ("loss 1 %", loss(10, 1)),
    ("loss 5 %", loss(50, 1)),
    ("loss 5 % in bursts of 5", loss(50, 5)),
    ("loss 20 %", loss(200, 1)),
    ("loss 20 % in bursts of 5", loss(200, 5)),
    ("loss 20 % in bursts of 25", loss(200, 25)),
    ("jitter 20", jitter(20, false)),
    ("jitter 60", jitter(60, false)),
    ("jitter 120", jitter(120, false)),
    ("jitter 200", jitter(200, false)),
    ("jitter 200, in order", jitter(200, true)),
    ("5 % swapped", swapped(50)),
    ("20 % swapped", swapped(200)),
    ("pauses", PAUSES),
    ("pauses, comfort noise", with_noise(PAUSES)),
    ("clock 1 % slow, pauses", skewed(10, PAUSES)),
    ("clock 1 % fast, pauses", skewed(-10, PAUSES)),
    ("restarts every 10 s", every_10_s(true)),
    ("moves every 10 s", every_10_s(false)),
    ("strangers", with_strangers(CALM)),
    (
        "strangers, loss, pauses",
        with_strangers(Weather {
            loss_per_mille: 100,
            burst_packets: 5,
            ..PAUSES
        }),
    ),
    ("everything", EVERYTHING),
    ("everything, fast clock", skewed(-10, EVERYTHING)),
];
