//! Prints what the path of a packet costs: `cargo run --release -p media --example media_cost`.
//!
//! One packet received (parsed, latched, ordered, decoded for level and concealment, handed out as a frame) and one tick sent
//! (playout, header), without any socket; then each codec and each change of rate. The loop beside it makes and copies the same packets and does nothing else: the floor.

use std::hint::black_box;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::keypad_tones::KeyDetector;
use media::resample::{Rate, Resampler};
use media::rtp::Header;
use media::srtp::SrtpContext;
use media::treatment::{AutomaticGain, NoiseSuppressor};
use media::{
    Codec, Direction, EchoTail, ItemKey, LatchPolicy, OpusTerms, SrtpConfig, SrtpSuite, Stream,
    StreamConfig, TRANSMIT_BYTES_MAX,
};

const PACKETS: u32 = 200_000;
const SUITE: SrtpSuite = SrtpSuite::AesCm128HmacSha1_80;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "stream: {} bytes inline", size_of::<Stream>())?;
    codecs(&mut out)?;
    for round in 1..=3 {
        writeln!(out, "round {round}, ns for one packet in and one out")?;
        writeln!(
            out,
            "  floor (make and copy the packet)  {:>6}",
            nanoseconds(&mut floor())
        )?;
        writeln!(
            out,
            "  plain                             {:>6}",
            nanoseconds(&mut stream(false, false))
        )?;
        writeln!(
            out,
            "  plain, recording                  {:>6}",
            nanoseconds(&mut stream(false, true))
        )?;
        writeln!(
            out,
            "  SRTP (and the peer's encryption)  {:>6}",
            nanoseconds(&mut stream(true, false))
        )?;
        writeln!(
            out,
            "  the peer's encryption alone       {:>6}",
            nanoseconds(&mut encryption())
        )?;
    }
    Ok(())
}

fn nanoseconds(work: &mut dyn FnMut(u32)) -> u128 {
    nanoseconds_of(PACKETS, work)
}

#[expect(clippy::disallowed_methods, reason = "an example measures time")]
fn nanoseconds_of(count: u32, work: &mut dyn FnMut(u32)) -> u128 {
    let start = Instant::now();
    for index in 0..count {
        work(index);
    }
    start.elapsed().as_nanos() / u128::from(count)
}

/// Encodes a voice of sorts, sends it to itself, decodes it: 20 ms of a call in both directions.
#[expect(clippy::disallowed_methods, reason = "an example measures time")]
fn codec(codec: Codec, opus: OpusTerms, tail_ms: Option<u16>) -> impl FnMut(u32) {
    let peer: SocketAddr = ([127, 0, 0, 1], 4_000).into();
    let form = codec.form();
    let mut stream = Stream::new(
        Instant::now(),
        StreamConfig {
            codec,
            payload_type: codec.static_payload_type().unwrap_or(96),
            opus,
            treatment: media::Treatment {
                echo_cancellation: tail_ms.is_some(),
                echo_tail: tail_ms.map(EchoTail::of_ms).unwrap_or_default(),
                ..media::Treatment::default()
            },
            ..config(peer, false)
        },
        7,
    );
    let mut now = Instant::now();
    stream.start(now);
    let item = ItemKey::from("item");
    let mut samples = vec![0; form.frame_samples() * 500];
    for (place, sample) in samples.iter_mut().enumerate() {
        // A triangle whose pitch moves has harmonics everywhere.
        let period = 90 + place / 400 % 60;
        let part = i16::try_from(place % period).unwrap_or_default();
        *sample = part * 90 - 4_000;
    }
    let mut audio = Vec::new();
    form.append(&samples, &mut audio);
    let mut buffer = [0; TRANSMIT_BYTES_MAX];
    move |_| {
        if stream.playout().queued_ms() < 100 {
            let _ = stream.playout().push(&item, &audio);
        }
        now += Duration::from_millis(20);
        stream.handle_timeout(now);
        while let Some(transmit) = stream.poll_transmit(&mut buffer) {
            if !transmit.rtcp {
                stream.handle_rtp(now, peer, &mut buffer[..transmit.len]);
            }
        }
        while let Some(frame) = stream.poll_frame() {
            black_box(frame.audio);
        }
        while let Some(event) = stream.poll_event() {
            black_box(&event);
        }
    }
}

/// 20 ms to the engine's rate and back.
fn resampling(leg: Rate, engine: Rate) -> impl FnMut(u32) {
    let count = |rate: Rate| usize::try_from(rate.hz() / 50).unwrap_or_default();
    let (mut up, mut down) = (Resampler::new(leg, engine), Resampler::new(engine, leg));
    let frame = vec![1_000; count(leg)];
    let (mut there, mut back) = (Vec::new(), Vec::new());
    move |_| {
        there.clear();
        up.process(black_box(&frame), &mut there);
        back.clear();
        down.process(&there, &mut back);
        black_box(&back);
    }
}

/// 20 ms of the caller under a treatment, or looked through for keys.
fn treated(work: Work) -> impl FnMut(u32) {
    let mut noise = NoiseSuppressor::new(Rate::Hz8000);
    let mut gain = AutomaticGain::default();
    let mut keys = KeyDetector::new(Rate::Hz8000);
    let mut samples = [0_i16; 160];
    move |index| {
        for (place, sample) in (0_u32..).zip(&mut samples) {
            let part = i16::try_from((index * 160 + place) % 97).unwrap_or_default();
            *sample = part * 90 - 4_000;
        }
        match work {
            Work::Noise => noise.apply(&mut samples),
            Work::Gain => gain.apply(&mut samples),
            Work::Keys => keys.push(&samples),
        }
        black_box(&samples);
    }
}

#[derive(Clone, Copy)]
enum Work {
    Noise,
    Gain,
    Keys,
}

/// Milliseconds of CPU in a second of a call, from nanoseconds for 20 ms.
fn per_second(nanoseconds: u128) -> String {
    let micros = nanoseconds * 50 / 1_000;
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

fn codecs(out: &mut impl std::io::Write) -> std::io::Result<()> {
    writeln!(out, "ms of CPU in a second of a call, both directions")?;
    let fec = OpusTerms {
        fec: true,
        ..OpusTerms::default()
    };
    let plain = OpusTerms::default();
    for (name, kind, terms) in [
        ("PCMU", Codec::Pcmu, plain),
        ("G722", Codec::G722, plain),
        ("Opus", Codec::Opus, plain),
        ("Opus with FEC", Codec::Opus, fec),
        ("G.729", Codec::G729, plain),
        ("AMR-WB", Codec::AmrWb, plain),
    ] {
        let figure = nanoseconds_of(10_000, &mut codec(kind, terms, None));
        writeln!(out, "  {name:<14} {}", per_second(figure))?;
    }
    for (name, kind, tail_ms) in [
        ("PCMU, echo out, 64 ms", Codec::Pcmu, 64),
        ("PCMU, echo out, 256 ms", Codec::Pcmu, 256),
        ("G722, echo out, 64 ms", Codec::G722, 64),
    ] {
        let figure = nanoseconds_of(10_000, &mut codec(kind, plain, Some(tail_ms)));
        writeln!(out, "  {name:<22} {}", per_second(figure))?;
    }
    for (leg, engine) in [
        (Rate::Hz8000, Rate::Hz24000),
        (Rate::Hz16000, Rate::Hz24000),
        (Rate::Hz8000, Rate::Hz16000),
        (Rate::Hz16000, Rate::Hz8000),
    ] {
        let figure = nanoseconds_of(50_000, &mut resampling(leg, engine));
        let (leg, engine) = (leg.hz() / 1_000, engine.hz() / 1_000);
        writeln!(
            out,
            "  {leg:>2} to {engine:>2} kHz   {}",
            per_second(figure)
        )?;
    }
    for (name, work) in [
        ("noise suppression", Work::Noise),
        ("automatic gain", Work::Gain),
        ("keys in the audio", Work::Keys),
    ] {
        let figure = nanoseconds_of(10_000, &mut treated(work));
        writeln!(out, "  {name:<17} {}", per_second(figure))?;
    }
    Ok(())
}

fn packet(index: u32) -> [u8; 182] {
    let [.., high, low] = index.to_be_bytes();
    let sequence = u16::from_be_bytes([high, low]);
    let header = Header {
        marker: false,
        payload_type: 0,
        sequence,
        timestamp: index.wrapping_mul(160),
        ssrc: 7,
    };
    let mut data = [0x2A; 182];
    data[..12].copy_from_slice(&header.to_bytes());
    data
}

fn floor() -> impl FnMut(u32) {
    let mut buffer = [0; TRANSMIT_BYTES_MAX];
    move |index| {
        buffer[..182].copy_from_slice(black_box(&packet(index)));
        black_box(&buffer);
    }
}

fn key() -> Vec<u8> {
    (0..30).collect()
}

fn encryption() -> impl FnMut(u32) {
    let mut context = SrtpContext::new(SUITE, &key()).expect("the key has the length of the suite");
    move |index| {
        let mut data = packet(index);
        black_box(context.protect_rtp(&mut data, 172));
    }
}

fn config(peer: SocketAddr, secure: bool) -> StreamConfig {
    StreamConfig {
        codec: Codec::Pcmu,
        payload_type: 0,
        keypad: media::Keypad::default(),
        treatment: media::Treatment::default(),
        opus: OpusTerms::default(),
        amr: media::AmrTerms::default(),
        telephone_event: Some(101),
        event_clock_hz: 8_000,
        comfort_noise: None,
        ptime_ms: 20,
        remote: Some(peer),
        remote_rtcp: None,
        rtcp_mux: false,
        direction: Direction::SendRecv,
        srtp: secure.then(|| SrtpConfig {
            suite: SUITE,
            local_key: key(),
            remote_key: key(),
        }),
        latch: LatchPolicy::default(),
        cname: "cost@example.com".to_owned(),
    }
}

#[expect(clippy::disallowed_methods, reason = "an example measures time")]
fn stream(secure: bool, recording: bool) -> impl FnMut(u32) {
    let peer = SocketAddr::from(([203, 0, 113, 9], 6_000));
    let start = Instant::now();
    let mut stream = Stream::new(start, config(peer, secure), 1);
    stream.set_recording(recording);
    stream.start(start);
    let mut peer_context =
        SrtpContext::new(SUITE, &key()).expect("the key has the length of the suite");
    let item = ItemKey::from("item");
    let second = vec![0x31; 8_000];
    let mut buffer = [0; TRANSMIT_BYTES_MAX];
    move |index| {
        let now = start + Duration::from_millis(20) * index;
        if index % 50 == 0 {
            let pushed = stream.playout().push(&item, &second);
            debug_assert!(pushed.is_ok());
        }
        let mut data = packet(index);
        let len = if secure {
            peer_context.protect_rtp(&mut data, 172).unwrap_or(0)
        } else {
            172
        };
        stream.handle_rtp(now, peer, &mut data[..len]);
        stream.handle_timeout(now);
        while let Some(transmit) = stream.poll_transmit(&mut buffer) {
            black_box(transmit);
        }
        while let Some(frame) = stream.poll_frame() {
            black_box(frame);
        }
        while let Some(frame) = stream.poll_recording() {
            black_box(frame);
        }
        while stream.poll_event().is_some() {}
    }
}
