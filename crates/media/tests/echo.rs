//! Line echo cancellation on a simulated analogue line: hybrids of 12 to 30 dB, both speaking, a path that changes, clocks that
//! differ, keys; and whether what is heard is our own echo.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    unreachable_pub,
    reason = "samples of a few seconds; figures that are to be seen"
)]

#[path = "echo/line.rs"]
mod line;

use crate::common::Random;
use line::{Call, FRAME, Line, SECOND, agent, run, unit, voice};
use media::{EchoTail, Heard, Treatment};

const LOSSES_DB: [f32; 4] = [12.0, 18.0, 24.0, 30.0];

fn cancelled(tail_ms: u16) -> Treatment {
    Treatment {
        echo_cancellation: true,
        echo_tail: EchoTail::of_ms(tail_ms),
        ..Treatment::default()
    }
}

/// The caller's voice: another speaker than the agent.
fn caller(seconds: usize, rms: f32) -> Vec<f32> {
    voice(
        &["fr/one-moment", "fr/apology", "en/apology"],
        seconds,
        rms,
        1.17,
    )
}

/// Silence, then the caller between two seconds.
fn between(from: usize, to: usize, rms: f32) -> Vec<f32> {
    let mut near = vec![0.0; from * SECOND];
    near.extend(caller(to - from, rms));
    near
}

fn each_line(mut check: impl FnMut(Line)) {
    for loss_db in LOSSES_DB {
        for (seed, delay) in [(1, 40), (2, 200), (3, 380)] {
            check(Line::new(seed, loss_db, delay));
        }
    }
}

fn named(line: Line) -> String {
    format!(
        "{} dB, {} samples, seed {}",
        line.loss_db, line.delay, line.seed
    )
}

#[test]
fn an_echo_alone_is_taken_out_within_seconds() {
    let far = agent(9);
    each_line(|line| {
        let run = run(line, cancelled(64), &far, &[]);
        let parts = [(0, 1), (1, 2), (2, 3), (3, 6), (6, 9)];
        let figures = parts.map(|(from, to)| run.erle_db(from, to));
        let told = run.statistics.erle_db.unwrap();
        println!("{}: {figures:.0?} dB, told {told:.1}", named(line));
        // Noise of the line and the steps of G.711 are what is left of a weak echo.
        let least = if line.loss_db > 25.0 { 15.0 } else { 18.0 };
        assert!(figures[1] > 12.0, "{}: {figures:?}", named(line));
        assert!(
            figures[3] > least && figures[4] > least,
            "{}: {figures:?}",
            named(line)
        );
        assert!(told > 12.0, "{}: {told}", named(line));
    });
}

#[test]
fn both_speak_and_the_caller_is_whole() {
    let far = agent(14);
    each_line(|line| {
        for (rms, least) in [(400.0, 15.0), (1_600.0, 23.0)] {
            let run = run(line, cancelled(64), &far, &between(6, 11, rms));
            let (clear_db, level) = run.voice(6, 11);
            let after = run.erle_db(12, 14);
            println!(
                "{}, {rms}: {clear_db:.1} dB, level {level:.3}, after {after:.0}",
                named(line)
            );
            assert!(clear_db > least, "{}, {rms}: {clear_db}", named(line));
            assert!(
                (0.95..1.05).contains(&level),
                "{}, {rms}: {level}",
                named(line)
            );
            assert!(after > 18.0, "{}, {rms}: {after}", named(line));
        }
    });
}

#[test]
fn another_path_in_mid_call_is_learnt() {
    let far = agent(14);
    each_line(|line| {
        let change = Some(8 * SECOND);
        let run = run(Line { change, ..line }, cancelled(64), &far, &[]);
        let parts = [(4, 8), (8, 9), (9, 10), (10, 12), (12, 14)];
        let figures = parts.map(|(from, to)| run.erle_db(from, to));
        println!("{}: {figures:.0?}", named(line));
        assert!(
            figures[3] > 14.0 && figures[4] > 14.0,
            "{}: {figures:?}",
            named(line)
        );
        // What is sent on is never louder than what came.
        assert!(figures[1] > -1.0, "{}: {figures:?}", named(line));
    });
}

#[test]
fn clocks_that_differ_are_followed() {
    let far = agent(20);
    each_line(|line| {
        for skew in [20e-6, -20e-6] {
            let run = run(Line { skew, ..line }, cancelled(64), &far, &[]);
            let figures = [(3, 8), (8, 14), (14, 20)].map(|(from, to)| run.erle_db(from, to));
            println!("{} {skew}: {figures:.0?}", named(line));
            assert!(
                figures.iter().all(|db| *db > 14.0),
                "{} {skew}: {figures:?}",
                named(line)
            );
        }
    });
}

#[test]
fn an_echo_beyond_the_tail_is_found() {
    let far = agent(10);
    for (seed, delay) in [(1, 900), (2, 1_700), (3, 2_900)] {
        let line = Line::new(seed, 18.0, delay);
        let run = run(line, cancelled(32), &far, &[]);
        let figures = [(0, 2), (2, 4), (4, 10)].map(|(from, to)| run.erle_db(from, to));
        println!("{}: {figures:.0?}", named(line));
        assert!(
            figures[1] > 18.0 && figures[2] > 18.0,
            "{}: {figures:?}",
            named(line)
        );
    }
}

#[test]
fn the_shortest_and_the_longest_tail_serve() {
    let far = agent(6);
    for (tail_ms, delay) in [(16, 10), (256, 1_900)] {
        let line = Line::new(4, 15.0, delay);
        let run = run(line, cancelled(tail_ms), &far, &[]);
        let db = run.erle_db(3, 6);
        println!("{}, tail {tail_ms} ms: {db:.0}", named(line));
        assert!(db > 15.0, "{}, tail {tail_ms} ms: {db}", named(line));
    }
}

#[test]
fn keys_are_heard_through_it() {
    let far = agent(8);
    for loss_db in LOSSES_DB {
        let mut near = vec![0.0; 3 * SECOND];
        for key in "159#".chars() {
            let mut samples = vec![0; 800];
            let tones = media::keypad_tones::KeyTones::new(media::resample::Rate::Hz8000, key);
            tones.unwrap().fill(&mut samples);
            near.extend(samples.iter().map(|sample| f32::from(*sample)));
            near.extend([0.0; 1_600]);
        }
        let line = Line::new(7, loss_db, 120);
        let run = run(line, cancelled(64), &far, &near);
        assert_eq!(run.keys, "159#", "{}", named(line));
        assert!(run.erle_db(6, 8) > 15.0, "{}", named(line));
    }
}

/// An engine that takes whatever is louder than -50 dBov for 100 ms for a voice, and says so after another 40 ms.
#[derive(Default)]
struct Ears {
    loud: u32,
    silent: u32,
    open: bool,
}

impl Ears {
    /// True when it says that somebody speaks.
    fn hear(&mut self, level: u8) -> bool {
        if level < 50 {
            (self.loud, self.silent) = (self.loud + 1, 0);
        } else {
            self.silent += 1;
            if self.silent > 10 {
                (self.loud, self.open) = (0, false);
            }
        }
        let begins = self.loud >= 7 && !self.open;
        self.open |= begins;
        begins
    }
}

/// What a session makes of the verdicts: frames from the first report of a voice to the interruption.
#[derive(Default)]
struct Floor {
    doubted: Option<u32>,
    noise: bool,
    voices: u32,
}

impl Floor {
    /// True when the agent is interrupted. As `call::Session` decides, in frames.
    fn interrupted(&mut self, begins: bool, ears: &Ears, verdict: impl FnOnce() -> Heard) -> bool {
        if !begins && self.doubted.is_none() {
            return false;
        }
        if !ears.open {
            self.doubted = None;
            return false;
        }
        let (first, waited) = (begins, self.doubted.unwrap_or(0));
        match verdict() {
            Heard::Speech if first || waited < 1_000 => true,
            Heard::Speech => {
                self.voices += 1;
                self.voices >= 2
            }
            Heard::Quiet if first => true,
            Heard::Echo => {
                (self.doubted, self.voices) = (Some(1_000), 0);
                false
            }
            heard @ (Heard::Noise | Heard::Undecided | Heard::Quiet) => {
                self.noise = (self.noise && !first) || heard == Heard::Noise;
                let waited = if waited < 1_000 { waited + 1 } else { waited };
                if waited == 10 && self.noise {
                    self.doubted = Some(1_000);
                    return false;
                }
                self.doubted = Some(waited);
                waited == 10
            }
        }
    }
}

/// 100 calls on lines of 12 to 30 dB, with or without cancellation: how many times an echo interrupted, and after how many frames
/// each caller did who began to speak.
fn hundred_calls(treatment: Treatment) -> (u32, Vec<Option<usize>>) {
    let far = agent(8);
    let mut random = Random(42);
    let (mut wrong, mut after) = (0, Vec::new());
    for call in 0..100 {
        let loss_db = 12.0 + 18.0 * unit(&mut random);
        let delay = usize::try_from(random.below(2_400)).unwrap();
        let level = 10_f32.powf(-(20.0 + 14.0 * unit(&mut random)) / 20.0);
        let near = caller(3, level * 32_768.0);
        let speaks_at = usize::try_from(150 + random.below(100)).unwrap();
        let mut one = Call::new(Line::new(call, loss_db, delay), treatment, &far);
        let (mut ears, mut floor) = (Ears::default(), Floor::default());
        let mut done = None;
        for index in 0..speaks_at + 60 {
            let at = index.saturating_sub(speaks_at) * FRAME + 3_000;
            let speaks = index >= speaks_at;
            one.step(if speaks { &near[at..at + FRAME] } else { &[] });
            let begins = ears.hear(one.bench.frames.last().unwrap().level);
            let stream = &mut one.bench.stream;
            if floor.interrupted(begins, &ears, || {
                // As the engine's call task asks.
                let whose = stream.judge_echo();
                if whose == Heard::Speech {
                    stream.judge_voice()
                } else {
                    whose
                }
            }) {
                if speaks {
                    done = Some(index - speaks_at);
                    break;
                }
                wrong += 1;
                println!("call {call}, {loss_db:.0} dB, {delay} samples: echo at {index}");
            }
        }
        if done.is_none() {
            println!("call {call}, {loss_db:.0} dB, {delay} samples, {level}: not heard");
        }
        after.push(done);
    }
    (wrong, after)
}

#[test]
fn an_echo_never_interrupts_and_every_caller_does() {
    for treatment in [Treatment::default(), cancelled(64)] {
        let (wrong, after) = hundred_calls(treatment);
        let mut frames: Vec<usize> = after.iter().flatten().copied().collect();
        frames.sort_unstable();
        println!(
            "{wrong} false; {} of 100 after {frames:?} frames",
            frames.len()
        );
        assert_eq!(wrong, 0);
        assert_eq!(frames.len(), 100);
        assert!(frames[94] <= 25, "{frames:?}");
    }
}
