//! Noise suppression and automatic gain: what they do to a voice of sorts, and that a leg without them is untouched.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::{Bench, config, rtp};
use media::resample::Rate;
use media::treatment::{AutomaticGain, NoiseSuppressor, Treatment};
use media::{Codec, g711, level};

/// Noise of a level, the same for a seed.
fn noise(samples: usize, peak: f32, seed: u32) -> Vec<i16> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [high, low, ..] = state.to_be_bytes();
        #[expect(clippy::cast_possible_truncation, reason = "within 16 bits")]
        let sample = (f32::from(i16::from_be_bytes([high, low])) / 32_768.0 * peak) as i16;
        sample
    };
    std::iter::repeat_with(next).take(samples).collect()
}

/// The product's own voice, scaled.
fn voice(gain: f32) -> Vec<i16> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../assets/sounds/en/apology.ulaw"
    );
    let coded = std::fs::read(path).unwrap();
    let scaled = coded.iter().map(|byte| {
        let sample = f32::from(g711::ulaw_decode(*byte)) * gain;
        #[expect(clippy::cast_possible_truncation, reason = "clamped to 16 bits")]
        let sample = sample.clamp(-32_768.0, 32_767.0) as i16;
        sample
    });
    scaled.collect()
}

/// Level of the loud half of the frames, dBov.
fn voice_level(samples: &[i16]) -> f32 {
    let mut levels: Vec<u8> = samples.chunks_exact(160).map(level::dbov).collect();
    levels.sort_unstable();
    let loud = &levels[..levels.len() / 2];
    let sum: f32 = loud.iter().map(|level| f32::from(*level)).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred frames")]
    let mean = -sum / loud.len() as f32;
    mean
}

#[test]
fn quiet_and_loud_callers_come_near_the_same_level_and_nothing_is_clipped() {
    let mut levels = Vec::new();
    for gain in [0.06, 0.25, 1.0, 2.0] {
        let mut samples: Vec<i16> = std::iter::repeat_with(|| voice(gain))
            .take(4)
            .flatten()
            .collect();
        let whole = samples.len() / 160 * 160;
        samples.truncate(whole);
        let mut automatic = AutomaticGain::default();
        for frame in samples.chunks_exact_mut(160) {
            automatic.apply(frame);
        }
        assert!(samples.iter().all(|sample| sample.unsigned_abs() <= 32_001));
        levels.push(voice_level(&samples[whole / 2 / 160 * 160..]));
    }
    let spread = levels[3] - levels[0];
    assert!(spread < 13.0, "30 dB apart before: {levels:?}");
    assert!(
        (levels[2] - levels[1]).abs() < 2.0,
        "12 dB apart before: {levels:?}"
    );
}

#[test]
fn noise_alone_is_not_raised() {
    let mut automatic = AutomaticGain::default();
    for frame in noise(160_000, 200.0, 3).chunks_exact_mut(160) {
        automatic.apply(frame);
    }
    assert!(automatic.gain_db().abs() < 0.5, "{}", automatic.gain_db());
}

#[test]
fn steady_noise_is_taken_out_and_the_voice_stays() {
    for rate in [Rate::Hz8000, Rate::Hz16000] {
        let mut suppressor = NoiseSuppressor::new(rate);
        let frame = usize::try_from(rate.hz()).unwrap() / 50;
        let mut samples = noise(frame * 200, 1_500.0, 5);
        let before = level::dbov(&samples[frame * 100..]);
        for part in samples.chunks_exact_mut(frame) {
            suppressor.apply(part);
        }
        let after = level::dbov(&samples[frame * 100..]);
        assert!(
            after >= before + 10,
            "{rate:?}: {before} to {after} dB below full scale"
        );
    }
    let clean = voice(1.0);
    let mut with: Vec<i16> = clean
        .iter()
        .zip(noise(clean.len(), 1_000.0, 9))
        .map(|(voice, noise)| voice.saturating_add(noise))
        .collect();
    let whole = with.len() / 160 * 160;
    with.truncate(whole);
    let mut suppressor = NoiseSuppressor::new(Rate::Hz8000);
    for frame in with.chunks_exact_mut(160) {
        suppressor.apply(frame);
    }
    let change = voice_level(&with) - voice_level(&clean);
    assert!(change.abs() < 4.0, "the voice changed by {change} dB");
}

#[test]
fn a_leg_is_treated_only_where_that_is_set() {
    for automatic_gain in [false, true] {
        let mut set = config(Codec::Pcmu, Some(crate::common::address(9, 6_000)));
        set.treatment = Treatment {
            automatic_gain,
            ..Treatment::default()
        };
        let mut bench = Bench::with(set);
        bench.start();
        let quiet = voice(0.1);
        let coded: Vec<u8> = quiet
            .iter()
            .map(|sample| g711::ulaw_encode(*sample))
            .collect();
        for (index, payload) in (0_u16..).zip(coded.chunks_exact(160)) {
            bench.go(u64::from(index) * 20);
            bench.receive(&rtp(index, u32::from(index) * 160, 7, payload));
        }
        let heard: Vec<u8> = bench
            .frames
            .iter()
            .flat_map(|frame| frame.audio.clone())
            .collect();
        assert_eq!(heard == coded[..heard.len()], !automatic_gain);
    }
}
