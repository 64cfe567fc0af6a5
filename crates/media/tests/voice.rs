//! Whether what is heard is a voice: the product's own sounds as callers, in both languages and at many levels, against bangs,
//! coughs, knocks, keyboards and noise. No recordings of real rooms are in the tree; what is made here is of their shape.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "samples of a second; figures that are to be seen"
)]

use std::f32::consts::TAU;

use crate::common::{Bench, Random, rtp};
use media::{Feed, Heard, Law, g711};

const FRAME: usize = 160;
const RATE: f32 = 8_000.0;
/// Before the sound.
const BEFORE: usize = 20 * FRAME;

fn unit(random: &mut Random) -> f32 {
    f32::from(u16::try_from(random.below(65_536)).unwrap()) / 32_768.0 - 1.0
}

/// What the moment makes, in seconds since the sound began, from white noise.
fn sound(peak: f32, mut at: impl FnMut(f32, f32) -> f32) -> Vec<i16> {
    let mut random = Random(7);
    let mut samples: Vec<f32> = (0..6_400_u16)
        .map(|place| at(f32::from(place) / RATE, unit(&mut random)))
        .collect();
    let loudest = samples
        .iter()
        .fold(0.0_f32, |most, one| most.max(one.abs()));
    for sample in &mut samples {
        *sample *= peak / loudest;
    }
    let quiet = std::iter::repeat_n(0.0, BEFORE);
    quiet
        .chain(samples)
        .map(|sample| (sample + 12.0 * unit(&mut random)) as i16)
        .collect()
}

/// Low-pass or resonance of the noise: enough to give a sound its colour.
struct Colour {
    hz: f32,
    width: f32,
    state: [f32; 2],
}

impl Colour {
    fn new(hz: f32, width: f32) -> Self {
        Self {
            hz,
            width,
            state: [0.0; 2],
        }
    }

    fn apply(&mut self, input: f32) -> f32 {
        let radius = (-self.width * TAU / 2.0 / RATE).exp();
        let turn = 2.0 * radius * (TAU * self.hz / RATE).cos();
        let out = input + turn * self.state[0] - radius * radius * self.state[1];
        self.state = [out, self.state[0]];
        out
    }
}

fn noises() -> Vec<(&'static str, Vec<i16>)> {
    let mut all = Vec::new();
    for peak in [2_000.0, 12_000.0] {
        let mut low = Colour::new(90.0, 150.0);
        all.push((
            "a door",
            sound(peak, |t, n| low.apply(n) * (-t / 0.06).exp()),
        ));
        let mut clap = Colour::new(1_200.0, 600.0);
        all.push((
            "a clap",
            sound(peak, |t, n| clap.apply(n) * (-t / 0.02).exp()),
        ));
        all.push((
            "a keyboard",
            sound(peak, |t, n| n * (-(t % 0.14) / 0.005).exp()),
        ));
        let mut wood = Colour::new(250.0, 200.0);
        all.push((
            "three knocks",
            sound(peak, |t, n| wood.apply(n) * (-(t % 0.25) / 0.02).exp()),
        ));
        let (mut throat, mut mouth) = (Colour::new(600.0, 400.0), Colour::new(1_500.0, 500.0));
        all.push((
            "a cough",
            sound(peak, |t, n| {
                let bursts = [(0.05, 0.04), (0.32, 0.06)];
                let loud: f32 = bursts
                    .iter()
                    .map(|(at, long): &(f32, f32)| (-((t - at) / long).powi(2)).exp())
                    .sum();
                (throat.apply(n) + mouth.apply(n)) * loud
            }),
        ));
        all.push(("hiss", sound(peak / 4.0, |_, n| n)));
    }
    all
}

/// A part of one of our own sounds, from where it begins to be loud, at a level.
fn voices() -> Vec<(String, Vec<i16>)> {
    let mut all = Vec::new();
    for name in [
        "fr/apology",
        "fr/one-moment",
        "fr/press-a-key",
        "en/apology",
        "en/one-moment",
        "en/press-a-key",
    ] {
        let path = format!(
            "{}/../../assets/sounds/{name}.ulaw",
            env!("CARGO_MANIFEST_DIR")
        );
        let coded = std::fs::read(path).unwrap();
        let spoken: Vec<f32> = coded
            .iter()
            .map(|byte| f32::from(g711::ulaw_decode(*byte)))
            .collect();
        let loudest = spoken.iter().fold(0.0_f32, |most, one| most.max(one.abs()));
        let words = spoken
            .iter()
            .position(|one| one.abs() > 0.05 * loudest)
            .unwrap();
        for peak in [600.0, 3_000.0, 20_000.0] {
            let mut said = spoken[words..].iter();
            let samples = sound(peak, |_, _| said.next().copied().unwrap_or(0.0));
            all.push((format!("{name} at {peak}"), samples));
        }
    }
    all
}

/// What is known so many milliseconds after the sound began.
fn heard(samples: &[i16], after_ms: usize) -> Heard {
    let mut bench = Bench::new();
    let frames = BEFORE / FRAME + after_ms / 20;
    for (number, frame) in (0_u16..).zip(samples.chunks_exact(FRAME).take(frames)) {
        bench.go(u64::from(number) * 20);
        let coded: Vec<u8> = frame.iter().map(|one| g711::ulaw_encode(*one)).collect();
        bench.receive(&rtp(number, u32::from(number) * 160, 7, &coded));
    }
    bench.stream.judge_voice()
}

#[test]
fn a_voice_is_known_for_one_and_a_noise_is_not() {
    for (name, samples) in voices() {
        // What an engine needs to hear a voice, and the time to decide.
        let known = [300, 500].map(|ms| heard(&samples, ms));
        println!("{name}: {known:?}");
        assert_eq!(known, [Heard::Speech; 2], "{name}");
    }
    for (name, samples) in noises() {
        // Until the decision on it is due.
        let known = [100, 200, 300, 400].map(|ms| heard(&samples, ms));
        println!("{name}: {known:?}");
        assert!(!known.contains(&Heard::Speech), "{name}: {known:?}");
    }
}

#[test]
fn a_carriers_audio_is_judged_the_same() {
    let judged = |samples: &[i16]| {
        let start = crate::common::epoch();
        let mut feed = Feed::new(start, Law::Pcmu);
        feed.start(start);
        let mut now = start;
        for (number, frame) in (0..).zip(samples.chunks_exact(FRAME).take(BEFORE / FRAME + 20)) {
            let coded: Vec<u8> = frame.iter().map(|one| g711::ulaw_encode(*one)).collect();
            feed.handle_audio(now, Some(number), &coded);
            now += std::time::Duration::from_millis(20);
            while feed.poll_frame().is_some() {}
        }
        feed.judge_voice()
    };
    for (name, samples) in voices() {
        assert_eq!(judged(&samples), Heard::Speech, "{name}");
    }
    for (name, samples) in noises() {
        assert_eq!(judged(&samples), Heard::Noise, "{name}");
    }
}
