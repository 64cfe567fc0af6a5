//! The change of rate, measured: a tone stays a tone, what does not fit is gone, lengths are exact, frames do not matter.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::f64::consts::PI;

use media::resample::{Rate, Resampler};

const RATES: [Rate; 3] = [Rate::Hz8000, Rate::Hz16000, Rate::Hz24000];

fn tone(rate: Rate, hz: f64, ms: u32) -> Vec<i16> {
    (0..rate.hz() / 1_000 * ms)
        .map(|n| {
            let angle = 2.0 * PI * hz * f64::from(n) / f64::from(rate.hz());
            #[expect(clippy::cast_possible_truncation, reason = "within 16 bits")]
            let sample = (angle.sin() * 16_000.0).round() as i16;
            sample
        })
        .collect()
}

fn whole(from: Rate, to: Rate, sound: &[i16]) -> Vec<i16> {
    let mut resampler = Resampler::new(from, to);
    let mut out = Vec::new();
    resampler.restart();
    resampler.process(sound, &mut out);
    resampler.finish(&mut out);
    out
}

/// Power of what is no tone of this frequency, below the power of the tone, in dB; the ends are left out.
fn signal_to_noise_db(samples: &[i16], rate: Rate, hz: f64) -> f64 {
    let middle = &samples[samples.len() / 8..samples.len() * 7 / 8];
    let (mut sine, mut cosine, mut count) = (0.0, 0.0, 0.0);
    let angle = |n: usize| {
        let n = u32::try_from(n).unwrap();
        2.0 * PI * hz * f64::from(n) / f64::from(rate.hz())
    };
    for (n, sample) in middle.iter().enumerate() {
        sine += f64::from(*sample) * angle(n).sin();
        cosine += f64::from(*sample) * angle(n).cos();
        count += 1.0;
    }
    let (sine, cosine) = (2.0 * sine / count, 2.0 * cosine / count);
    let noise: f64 = middle
        .iter()
        .enumerate()
        .map(|(n, sample)| {
            let fit = sine * angle(n).sin() + cosine * angle(n).cos();
            (f64::from(*sample) - fit).powi(2)
        })
        .sum::<f64>()
        / count;
    10.0 * (((sine * sine + cosine * cosine) / 2.0) / noise.max(1e-9)).log10()
}

fn level_db(samples: &[i16]) -> f64 {
    let middle = &samples[samples.len() / 8..samples.len() * 7 / 8];
    let sum: f64 = middle.iter().map(|one| f64::from(*one).powi(2)).sum();
    let count = f64::from(u32::try_from(middle.len()).unwrap());
    10.0 * (sum / count / 16_000.0_f64.powi(2) * 2.0)
        .max(1e-12)
        .log10()
}

#[test]
fn a_tone_stays_the_same_tone_in_every_direction() {
    for from in RATES {
        for to in RATES {
            let top = f64::from(from.hz().min(to.hz())) / 2.0 * 0.85;
            for share in [0.05, 0.25, 0.5, 0.85] {
                // Whole periods in the part that is measured.
                let hz = (top * share / 10.0).round() * 10.0;
                let out = whole(from, to, &tone(from, hz, 800));
                let noise = signal_to_noise_db(&out, to, hz);
                let level = level_db(&out);
                assert!(noise > 65.0, "{from:?} to {to:?} at {hz} Hz: {noise:.1} dB");
                assert!(
                    level.abs() < 0.1,
                    "{from:?} to {to:?} at {hz} Hz: {level:.2} dB"
                );
            }
        }
    }
}

#[test]
fn what_does_not_fit_in_the_lower_rate_is_gone() {
    for (from, to, frequencies) in [
        (
            Rate::Hz24000,
            Rate::Hz8000,
            [4_700.0, 6_000.0, 8_000.0, 11_500.0],
        ),
        (
            Rate::Hz16000,
            Rate::Hz8000,
            [4_700.0, 5_500.0, 6_500.0, 7_700.0],
        ),
        (
            Rate::Hz24000,
            Rate::Hz16000,
            [9_300.0, 10_000.0, 11_000.0, 11_900.0],
        ),
    ] {
        for hz in frequencies {
            let level = level_db(&whole(from, to, &tone(from, hz, 500)));
            assert!(
                level < -65.0,
                "{from:?} to {to:?}: {hz} Hz comes out at {level:.1} dB"
            );
        }
    }
}

#[test]
fn images_of_the_lower_rate_are_gone_in_the_higher_one() {
    // A tone at 1 kHz of 8 kHz has its first image at 7 kHz: nothing but the tone may be left.
    for to in [Rate::Hz16000, Rate::Hz24000] {
        let out = whole(Rate::Hz8000, to, &tone(Rate::Hz8000, 1_000.0, 500));
        assert!(signal_to_noise_db(&out, to, 1_000.0) > 70.0);
    }
}

#[test]
fn a_sound_keeps_its_length_and_its_place() {
    for from in RATES {
        for to in RATES {
            for length in [1_usize, 7, 160, 161, 479, 4_801] {
                let mut sound = vec![0_i16; length];
                sound[length / 2] = 20_000;
                let out = whole(from, to, &sound);
                let expected = (length as u64 * u64::from(to.hz())).div_ceil(u64::from(from.hz()));
                assert_eq!(out.len() as u64, expected, "{from:?} to {to:?}, {length}");
                let peak = (0..out.len()).max_by_key(|at| out[*at]).unwrap() as u64;
                let place = length as u64 / 2 * u64::from(to.hz()) / u64::from(from.hz());
                assert!(
                    peak.abs_diff(place) <= 1,
                    "{from:?} to {to:?}: {peak} for {place}"
                );
            }
        }
    }
}

#[test]
fn how_a_sound_is_cut_into_frames_makes_no_difference() {
    for (from, to) in [
        (Rate::Hz24000, Rate::Hz8000),
        (Rate::Hz8000, Rate::Hz16000),
        (Rate::Hz16000, Rate::Hz24000),
    ] {
        let sound = tone(from, 440.0, 300);
        let at_once = whole(from, to, &sound);
        let mut resampler = Resampler::new(from, to);
        resampler.restart();
        let mut out = Vec::new();
        let mut rest = &sound[..];
        let mut size = 1;
        while !rest.is_empty() {
            let (frame, more) = rest.split_at(size.min(rest.len()));
            resampler.process(frame, &mut out);
            rest = more;
            size = size * 7 % 1_013 + 1;
        }
        resampler.finish(&mut out);
        assert_eq!(out, at_once);
    }
}

#[test]
fn frames_of_20_ms_give_frames_of_20_ms_late_by_the_stated_delay() {
    for (from, to) in [(Rate::Hz8000, Rate::Hz16000), (Rate::Hz8000, Rate::Hz24000)] {
        let mut resampler = Resampler::new(from, to);
        let delay_us = resampler.group_delay_us();
        assert!((1_000..4_000).contains(&delay_us), "{delay_us}");
        assert!(
            delay_us.is_multiple_of(125),
            "whole samples of the caller: {delay_us}"
        );
        let frame = usize::try_from(from.hz() / 50).unwrap();
        let mut sound = vec![0_i16; frame * 4];
        sound[frame] = 20_000;
        let mut all = Vec::new();
        let mut out = Vec::with_capacity(480);
        let place = out.as_ptr();
        for part in sound.chunks(frame) {
            out.clear();
            resampler.process(part, &mut out);
            assert_eq!(out.len(), usize::try_from(to.hz() / 50).unwrap());
            all.extend_from_slice(&out);
        }
        assert_eq!(place, out.as_ptr(), "a frame allocates nothing");
        let peak = (0..all.len()).max_by_key(|at| all[*at]).unwrap() as u64;
        let peak_us = peak * 1_000_000 / u64::from(to.hz());
        assert!(peak_us.abs_diff(20_000 + delay_us) <= 130, "{peak_us}");
    }
}
