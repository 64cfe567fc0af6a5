//! Sends speech through a bad network at simulated time and writes what the engine would be given: `scripts/heard` has it judged.
//!
//! `heard IN OUT CODEC LOSS BURST JITTER CONCEAL SEED`: mono samples of 16 bits at the rate of the codec's form (8 or 16 kHz), `PCMU`, `PCMA`, `G722`,
//! `opus` or `opus+fec`, per mille of packets lost, mean length of a loss, delay below so many ms, `yes`, or `no` for silence where something is made up.
//! Prints per mille lost, per mille made up, and the 99th percentile and largest gap between two frames, ms.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a tool for people, which stops where something is wrong"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Bench, Random, config, ms, samples};
use media::{Codec, ItemKey, OpusTerms, StreamConfig};

/// What the network does.
struct Weather {
    loss_per_mille: u64,
    burst: u64,
    jitter_ms: u64,
    seed: u64,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, codec, loss, burst, jitter, conceal, seed] = words.as_slice() else {
        println!("heard IN OUT CODEC LOSS BURST JITTER CONCEAL SEED");
        std::process::exit(2);
    };
    let number = |text: &String| text.parse::<u64>().expect("a number");
    let fec = codec.ends_with("+fec");
    let name = codec.trim_end_matches("+fec");
    let codec = Codec::from_name(name).expect("a codec");
    let mut config = config(codec, Some(common::address(9, 6_000)));
    config.opus = OpusTerms {
        fec,
        ..OpusTerms::default()
    };
    let weather = Weather {
        loss_per_mille: number(loss),
        burst: number(burst).max(1),
        jitter_ms: number(jitter),
        seed: number(seed),
    };
    let spoken = std::fs::read(from).expect("the speech");
    let spoken: Vec<i16> = spoken
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let packets = packets(config.clone(), codec, &spoken);
    let (bench, lost, last) = heard(config, &packets, &weather);
    let mut out = Vec::new();
    for frame in &bench.frames {
        for sample in samples(codec, &frame.audio) {
            let silent = frame.concealed && conceal == "no";
            let sample = if silent { 0 } else { sample };
            out.extend(sample.to_le_bytes());
        }
    }
    std::fs::write(to, out).expect("written");
    // What is made up after the last packet is nobody's loss.
    let frames = bench.frames.iter().filter(|frame| frame.at <= last);
    let frames: Vec<_> = frames.collect();
    let mut gaps: Vec<u128> = frames
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at).as_millis())
        .collect();
    gaps.sort_unstable();
    let made_up = frames.iter().filter(|frame| frame.concealed).count();
    println!(
        "{} {} {} {}",
        lost * 1_000 / packets.len().max(1),
        made_up * 1_000 / frames.len().max(1),
        gaps[(gaps.len() - 1) * 99 / 100],
        gaps[gaps.len() - 1]
    );
}

/// The packets in which a stream of ours sends this audio.
fn packets(config: StreamConfig, codec: Codec, spoken: &[i16]) -> Vec<Vec<u8>> {
    let mut audio = Vec::new();
    codec.form().append(spoken, &mut audio);
    let mut bench = Bench::with(config);
    bench.start();
    let item = ItemKey::from("speech");
    bench.stream.playout().push(&item, &audio).expect("room");
    bench.stream.playout().finish(&item);
    let frames = spoken.len() / codec.form().frame_samples();
    bench.go(u64::try_from(frames).expect("short") * 20 + 20);
    bench.sent.into_iter().map(|(_, data)| data).collect()
}

/// What another stream hears of them, how many were lost, and when the last one came.
fn heard(
    config: StreamConfig,
    packets: &[Vec<u8>],
    weather: &Weather,
) -> (Bench, usize, std::time::Instant) {
    let mut random = Random(weather.seed);
    let (mut losing, mut lost) = (false, 0);
    let mut arriving = Vec::new();
    for (index, data) in (0_u64..).zip(packets) {
        // Gilbert: losses begin so often, and go on so long, that their share and mean length are as asked for. The first second is whole.
        losing = if losing {
            random.below(1_000_000) >= 1_000_000 / weather.burst
        } else {
            let kept = 1_000 - weather.loss_per_mille.min(999);
            index >= 50
                && random.below(1_000_000)
                    < 1_000_000 * weather.loss_per_mille / (weather.burst * kept)
        };
        if losing {
            lost += 1;
            continue;
        }
        arriving.push((index * 20 + random.below(weather.jitter_ms), data));
    }
    arriving.sort_by_key(|(at, _)| *at);
    let mut bench = Bench::with(config);
    bench.start();
    for (at, data) in arriving {
        bench.go(at);
        bench.receive(data);
    }
    let last = bench.now;
    bench.go_until(last + ms(300));
    (bench, lost, last)
}
