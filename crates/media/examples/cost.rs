//! Prints what the path of a packet costs: `cargo run --release -p media --example cost`.
//!
//! One packet received (parsed, latched, ordered, decoded for level and concealment, handed out as a frame) and one tick sent
//! (playout, header), without any socket. The loop beside it makes and copies the same packets and does nothing else: the floor.

use std::hint::black_box;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::rtp::Header;
use media::srtp::SrtpContext;
use media::{
    Codec, Direction, ItemKey, LatchPolicy, SrtpConfig, SrtpSuite, Stream, StreamConfig,
    TRANSMIT_BYTES_MAX,
};

const PACKETS: u32 = 200_000;
const SUITE: SrtpSuite = SrtpSuite::AesCm128HmacSha1_80;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "stream: {} bytes inline", size_of::<Stream>())?;
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

#[expect(clippy::disallowed_methods, reason = "an example measures time")]
fn nanoseconds(work: &mut dyn FnMut(u32)) -> u128 {
    let start = Instant::now();
    for index in 0..PACKETS {
        work(index);
    }
    start.elapsed().as_nanos() / u128::from(PACKETS)
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

#[expect(clippy::disallowed_methods, reason = "an example measures time")]
fn stream(secure: bool, recording: bool) -> impl FnMut(u32) {
    let peer = SocketAddr::from(([203, 0, 113, 9], 6_000));
    let config = StreamConfig {
        codec: Codec::Pcmu,
        payload_type: 0,
        telephone_event: Some(101),
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
    };
    let start = Instant::now();
    let mut stream = Stream::new(start, config, 1);
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
