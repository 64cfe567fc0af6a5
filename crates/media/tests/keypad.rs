//! Keys in the audio and by SIP INFO: every key is found, no voice is taken for one, no press counts twice.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::{Bench, config};
use media::keypad_tones::{KeyDetector, KeyTones};
use media::resample::Rate;
use media::tone::Sine;
use media::{Codec, Keypad, StreamConfig, StreamEvent, g711};

const KEYS: &str = "123A456B789C*0#D";

fn samples_of(rate: Rate, ms: usize) -> usize {
    usize::try_from(rate.hz()).unwrap() / 1_000 * ms
}

/// A key of so many ms between silences, its level changed by `db`, over noise.
fn press(rate: Rate, key: char, ms: usize, gain: f32, noise: f32) -> Vec<i16> {
    let before = samples_of(rate, 60);
    let mut samples = vec![0; before + samples_of(rate, ms) + samples_of(rate, 80)];
    let end = before + samples_of(rate, ms);
    KeyTones::new(rate, key)
        .unwrap()
        .fill(&mut samples[before..end]);
    let mut state = 7_u32;
    for (place, sample) in samples.iter_mut().enumerate() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [high, low, ..] = state.to_be_bytes();
        let random = f32::from(i16::from_be_bytes([high, low])) / 32_768.0 * noise;
        let tone = if (before..end).contains(&place) {
            gain
        } else {
            0.0
        };
        #[expect(clippy::cast_possible_truncation, reason = "within 16 bits")]
        let mixed = (f32::from(*sample) * tone + random) as i16;
        *sample = mixed;
    }
    samples
}

fn found(rate: Rate, samples: &[i16]) -> Vec<(char, u32)> {
    let mut detector = KeyDetector::new(rate);
    let mut all = Vec::new();
    for frame in samples.chunks(samples_of(rate, 20)) {
        detector.push(frame);
        all.extend(std::iter::from_fn(|| detector.poll()));
    }
    all
}

#[test]
fn every_key_is_found_quiet_and_loud_short_and_long_at_both_rates() {
    for rate in [Rate::Hz8000, Rate::Hz16000] {
        for key in KEYS.chars() {
            // 1 to 1/16 is 0 to -24 dB; the noise is 18 dB below each.
            for gain in [1.5, 1.0, 0.25, 0.063] {
                for ms in [50, 80, 200, 1_000] {
                    let heard = found(rate, &press(rate, key, ms, gain, gain * 1_500.0));
                    let digits: String = heard.iter().map(|(key, _)| *key).collect();
                    assert_eq!(digits, key.to_string(), "{rate:?} {key} {gain} {ms} ms");
                    let length = usize::try_from(heard[0].1).unwrap();
                    assert!(length.abs_diff(ms) <= 30, "{key} {ms}: {length}");
                }
            }
        }
    }
}

#[test]
fn what_is_too_short_too_uneven_or_off_its_frequency_is_no_key() {
    let rate = Rate::Hz8000;
    assert_eq!(found(rate, &press(rate, '5', 20, 1.0, 0.0)), []);
    let both = |row: f32, column: f32, row_peak: f32, column_peak: f32| {
        let mut samples = vec![0; 1_600];
        let (mut one, mut other) = (Sine::new(row, row_peak), Sine::new(column, column_peak));
        for sample in &mut samples {
            let (mut a, mut b) = ([0], [0]);
            one.fill(&mut a);
            other.fill(&mut b);
            *sample = a[0] + b[0];
        }
        samples.extend([0; 800]);
        found(rate, &samples)
    };
    // Within 1.5 % of its frequency it must be found, 3.5 % beside it must not (Q.24).
    assert_eq!(
        both(770.0 * 1.015, 1_336.0 * 0.985, 6_000.0, 6_000.0).len(),
        1
    );
    assert_eq!(both(770.0 * 1.06, 1_336.0 * 1.06, 6_000.0, 6_000.0), []);
    assert_eq!(both(770.0, 1_336.0, 12_000.0, 2_000.0), [], "twist");
    assert_eq!(both(770.0, 0.0, 9_000.0, 0.0), [], "one tone alone");
}

#[test]
fn a_voice_presses_no_key() {
    let sounds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/sounds");
    let mut seconds = 0;
    for language in ["fr", "en"] {
        for name in ["apology", "one-moment"] {
            let coded = std::fs::read(format!("{sounds}/{language}/{name}.ulaw")).unwrap();
            let mut samples: Vec<i16> = coded.iter().map(|byte| g711::ulaw_decode(*byte)).collect();
            seconds += samples.len() / 8_000;
            assert_eq!(found(Rate::Hz8000, &samples), [], "{language} {name}");
            // The same voice faster and slower: other pitches, other formants.
            for step in [2, 3] {
                let faster: Vec<i16> = samples.iter().copied().step_by(step).collect();
                assert_eq!(found(Rate::Hz8000, &faster), []);
            }
            samples = samples.iter().flat_map(|sample| [*sample; 2]).collect();
            assert_eq!(found(Rate::Hz8000, &samples), []);
        }
    }
    assert!(seconds > 8, "{seconds} s of voice");
    // A thousand vowels: harmonics of a pitch under formants, a minute and a half in all.
    let mut state = 5_u32;
    let mut random = |least: f32, most: f32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [high, low, ..] = state.to_be_bytes();
        least + (most - least) * f32::from(u16::from_be_bytes([high, low])) / 65_536.0
    };
    let mut taken = 0;
    for _ in 0..1_000 {
        let (pitch, drift) = (random(80.0, 260.0), random(-0.2, 0.2));
        let formants = [random(250.0, 900.0), random(900.0, 2_300.0)];
        let mut samples = Vec::with_capacity(720);
        let mut phase = 0.0_f32;
        for index in 0..720_u16 {
            let hertz = pitch * (1.0 + drift * f32::from(index) / 720.0);
            phase += hertz / 8_000.0 * std::f32::consts::TAU;
            let value: f32 = (1..16_u8)
                .map(|n| {
                    let at = hertz * f32::from(n);
                    let under = |formant: f32| (-((at - formant) / 120.0).powi(2)).exp();
                    (phase * f32::from(n)).sin() * (0.02 + under(formants[0]) + under(formants[1]))
                })
                .sum();
            #[expect(clippy::cast_possible_truncation, reason = "within 16 bits")]
            samples.push((value * 6_000.0).clamp(-32_000.0, 32_000.0) as i16);
        }
        taken += found(Rate::Hz8000, &samples).len();
    }
    // Two harmonics under two sharp formants can be all that a key is.
    assert!(taken <= 3, "{taken} of 1,000 vowels");
}

fn with(codec: Codec, keypad: Keypad, events: bool) -> StreamConfig {
    StreamConfig {
        keypad,
        telephone_event: events.then_some(101),
        ..config(codec, Some(crate::common::address(9, 6_000)))
    }
}

fn keys(events: &[StreamEvent]) -> String {
    let keys = events.iter().filter_map(|event| {
        if let StreamEvent::Dtmf { digit, .. } = event {
            Some(*digit)
        } else {
            None
        }
    });
    keys.collect()
}

#[test]
fn keys_without_events_go_and_come_as_tones_in_every_codec() {
    for codec in Codec::OFFERED {
        for keypad in [Keypad::Auto, Keypad::Tones] {
            let mut sender = Bench::with(with(codec, keypad, false));
            sender.start();
            sender.stream.send_dtmf("0159#*D", 100).unwrap();
            sender.go(3_000);
            let mut receiver = Bench::with(with(codec, keypad, false));
            receiver.start();
            for (index, (_, data)) in (0..).zip(&sender.sent) {
                assert_ne!(data[1] & 0x7F, 101, "no event was agreed");
                receiver.go(index * 20);
                receiver.receive(data);
            }
            assert_eq!(keys(&receiver.events), "0159#*D", "{codec:?} {keypad:?}");
        }
    }
}

#[test]
fn tones_beside_agreed_events_are_not_listened_to_and_a_press_by_two_ways_is_one() {
    let mut sender = Bench::with(with(Codec::Pcma, Keypad::Tones, false));
    sender.start();
    sender.stream.send_dtmf("55", 100).unwrap();
    sender.go(1_000);
    for (keypad, agreed, expected) in [
        (Keypad::Auto, true, "55"),
        (Keypad::Tones, false, "55"),
        (Keypad::Info, false, "55"),
    ] {
        let mut receiver = Bench::with(with(Codec::Pcma, keypad, agreed));
        receiver.start();
        for (index, (_, data)) in (0..).zip(&sender.sent) {
            receiver.go(index * 20);
            receiver.receive(data);
            // The phone tells the same two presses by INFO.
            if index == 6 || index == 16 {
                let now = receiver.now;
                receiver.stream.handle_key(now, '5', 100);
                receiver.drain();
            }
        }
        assert_eq!(keys(&receiver.events), expected, "{keypad:?}");
    }
}

#[test]
fn keys_by_info_are_asked_of_the_shell_one_after_the_other() {
    let mut bench = Bench::with(with(Codec::Pcmu, Keypad::Info, false));
    bench.start();
    bench.stream.send_dtmf("12", 100).unwrap();
    bench.go(150);
    let due = |bench: &Bench| {
        let keys = bench.events.iter().filter_map(|event| {
            if let StreamEvent::KeyDue { digit, .. } = event {
                Some(*digit)
            } else {
                None
            }
        });
        keys.collect::<String>()
    };
    assert_eq!(due(&bench), "1");
    bench.go(600);
    assert_eq!(due(&bench), "12");
    assert!(bench.sent.iter().all(|(_, data)| data[1] & 0x7F == 0));
}
