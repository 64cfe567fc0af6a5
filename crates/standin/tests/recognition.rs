//! What is heard and what is not: every claim of `recognise`, over every utterance of the embedded scenarios, with figures.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test with small numbers"
)]

use standin::law;
use standin::recognise::Recogniser;
use standin::scenario::{Prepared, Scenario};
use standin::speech::Speech;
use std::sync::Arc;

const FRAME: usize = 160;

/// A small generator, so that the damage is the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

async fn scenarios() -> Vec<Arc<Prepared>> {
    let speech = Speech::new(None);
    let mut prepared = Vec::new();
    for scenario in [Scenario::demo_fr(), Scenario::demo_en()] {
        prepared.push(scenario.prepare(&speech).await.unwrap());
    }
    prepared
}

fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * 8]
}

/// The utterance as it arrives: µ-law, between stretches of near silence that end at no frame boundary.
fn arrive(samples: &[i16], lead: usize) -> Vec<i16> {
    let mut dice = Dice(lead as u64);
    let mut audio: Vec<i16> = silence(300);
    audio.extend(vec![0; lead]);
    audio.extend(
        samples
            .iter()
            .map(|s| law::ulaw_decode(law::ulaw_encode(*s))),
    );
    audio.extend(silence(500));
    for sample in &mut audio {
        *sample = sample.saturating_add(i16::try_from(dice.below(17)).unwrap() - 8);
    }
    audio
}

fn scaled(samples: &[i16], gain: f64) -> Vec<i16> {
    samples
        .iter()
        .map(|s| (f64::from(*s) * gain).clamp(-32_768.0, 32_767.0) as i16)
        .collect()
}

/// The span from the first loud sample to the last one: what is cut is cut from the voice, not from a pause.
fn trimmed(samples: &[i16]) -> &[i16] {
    let loud = |s: &i16| s.unsigned_abs() > 600;
    let first = samples.iter().position(loud).unwrap();
    let last = samples.iter().rposition(loud).unwrap();
    &samples[first..=last]
}

/// What takes the place of a frame.
#[derive(Clone, Copy, PartialEq)]
enum Damage {
    /// The frame before, as a concealment does.
    Concealed,
    /// Noise as loud as speech.
    Garbled,
    /// A frame of another place of the same voice.
    Displaced,
}

/// Damages a share of the frames.
fn damage(samples: &[i16], share: f64, kind: Damage, seed: u64) -> Vec<i16> {
    let mut dice = Dice(seed);
    let mut out = samples.to_vec();
    let frames = samples.len() / FRAME;
    let count = (frames as f64 * share).round().max(1.0) as usize;
    let mut hit = std::collections::BTreeSet::new();
    while hit.len() < count {
        hit.insert(1 + dice.below(frames - 1));
    }
    for frame in hit {
        for n in frame * FRAME..(frame + 1) * FRAME {
            out[n] = match kind {
                Damage::Concealed => out[n - FRAME],
                Damage::Garbled => i16::try_from(dice.below(8_000)).unwrap() - 4_000,
                Damage::Displaced => samples[(n + samples.len() / 2) % samples.len()],
            };
        }
    }
    out
}

type Case = (String, Vec<i16>);

/// Audio that must be recognised, and as what.
fn good(id: &str, samples: &[i16]) -> Vec<(String, Case)> {
    let alaw = |s: &i16| law::alaw_decode(law::alaw_encode(*s));
    let tandem: Vec<i16> = samples
        .iter()
        .map(|s| law::ulaw_decode(law::ulaw_encode(alaw(s))))
        .map(|s| alaw(&s))
        .collect();
    let mut cases = vec![
        ("plain".into(), arrive(samples, 0)),
        ("6 dB louder".into(), arrive(&scaled(samples, 2.0), 11)),
        ("6 dB softer".into(), arrive(&scaled(samples, 0.5), 57)),
        ("µ and A law in tandem".into(), arrive(&tandem, 91)),
        ("no lead".into(), samples.to_vec()),
    ];
    for seed in 0..10 {
        let lead = usize::try_from(seed).unwrap() * 613 + 7;
        cases.push((format!("offset {lead}"), arrive(samples, lead)));
        cases.push((
            format!("2 % concealed, {seed}"),
            arrive(&damage(samples, 0.02, Damage::Concealed, seed), lead),
        ));
    }
    cases
        .into_iter()
        .map(|case| (id.to_owned(), case))
        .collect()
}

/// Audio that must not be recognised as anything.
fn bad(samples: &[i16], other: &[i16]) -> Vec<Case> {
    let voice = trimmed(samples);
    let mut dice = Dice(5);
    let noise: Vec<i16> = voice
        .iter()
        .map(|_| i16::try_from(dice.below(8_000)).unwrap() - 4_000)
        .collect();
    let backwards: Vec<i16> = voice.iter().rev().copied().collect();
    let faster: Vec<i16> = voice
        .iter()
        .enumerate()
        .filter(|(n, _)| n % 10 != 0)
        .map(|(_, s)| *s)
        .collect();
    let mut cases = vec![
        ("silence".into(), silence(3_000)),
        ("noise".into(), arrive(&noise, 0)),
        ("backwards".into(), arrive(&backwards, 0)),
        ("another rate".into(), arrive(&faster, 0)),
        (
            "followed by another".into(),
            arrive(&[voice, &silence(200), other].concat(), 0),
        ),
        ("nothing".into(), Vec::new()),
    ];
    for ms in [220, 300, 500, 800] {
        let cut = ms * 8;
        cases.push((format!("start cut by {ms} ms"), arrive(&voice[cut..], 3)));
        cases.push((
            format!("end cut by {ms} ms"),
            arrive(&voice[..voice.len() - cut], 3),
        ));
        let middle = voice.len() / 2;
        cases.push((
            format!("{ms} ms missing in the middle"),
            arrive(
                &[&voice[..middle - cut / 2], &voice[middle + cut / 2..]].concat(),
                3,
            ),
        ));
    }
    for seed in 0..10 {
        cases.push((
            format!("10 % garbled, {seed}"),
            arrive(&damage(samples, 0.1, Damage::Garbled, seed), 31),
        ));
        cases.push((
            format!("10 % displaced, {seed}"),
            arrive(&damage(samples, 0.1, Damage::Displaced, seed + 50), 31),
        ));
    }
    cases
}

fn heard(recogniser: &Recogniser, audio: &[i16]) -> Option<String> {
    recogniser.recognise(audio).map(|heard| heard.id.to_owned())
}

#[tokio::test]
async fn whole_utterances_are_heard_and_damaged_ones_are_not() {
    let (mut accepted, mut rejected) = (0, 0);
    let (mut false_accepts, mut false_rejects) = (Vec::new(), Vec::new());
    let scenarios = scenarios().await;
    for (index, prepared) in scenarios.iter().enumerate() {
        let recogniser = prepared.recogniser();
        let utterances = &prepared.scenario.utterances;
        for (n, utterance) in utterances.iter().enumerate() {
            let samples = prepared.utterance(&utterance.id).unwrap().at_8k();
            let next = &utterances[(n + 1) % utterances.len()].id;
            let other = prepared.utterance(next).unwrap().at_8k();
            for (id, (name, audio)) in good(&utterance.id, samples) {
                accepted += 1;
                if heard(recogniser, &audio).as_ref() != Some(&id) {
                    false_rejects.push(format!("{}/{id}: {name}", prepared.scenario.name));
                }
            }
            let mut cases = bad(samples, other);
            // The agent's own voice with the same words, and the other language.
            for stranger in &scenarios[1 - index].scenario.utterances {
                let sound = scenarios[1 - index].utterance(&stranger.id).unwrap();
                cases.push((
                    format!("other language {}", stranger.id),
                    arrive(sound.at_8k(), 0),
                ));
            }
            for (name, audio) in cases {
                rejected += 1;
                if let Some(id) = heard(recogniser, &audio) {
                    false_accepts.push(format!(
                        "{}/{}: {name} heard as {id}",
                        prepared.scenario.name, utterance.id
                    ));
                }
            }
        }
    }
    println!(
        "false rejects {}/{accepted}, false accepts {}/{rejected}",
        false_rejects.len(),
        false_accepts.len()
    );
    assert!(false_rejects.is_empty(), "{false_rejects:#?}");
    assert!(false_accepts.is_empty(), "{false_accepts:#?}");
}

#[tokio::test]
async fn the_same_words_in_another_voice_are_not_heard() {
    let speech = Speech::new(None);
    let scenario = Scenario::demo_fr();
    let prepared = scenario.clone().prepare(&speech).await.unwrap();
    for utterance in &scenario.utterances {
        let sound = speech
            .render(&scenario.agent_voice, &utterance.text)
            .await
            .unwrap();
        assert_eq!(
            heard(prepared.recogniser(), &arrive(sound.at_8k(), 0)),
            None
        );
    }
}

#[tokio::test]
async fn no_utterance_holds_a_pause_that_ends_a_turn() {
    for prepared in scenarios().await {
        for utterance in &prepared.scenario.utterances {
            let voice = trimmed(prepared.utterance(&utterance.id).unwrap().at_8k());
            let mut pause = 0;
            let mut longest = 0;
            for sample in voice {
                pause = if sample.unsigned_abs() > 600 {
                    0
                } else {
                    pause + 1
                };
                longest = longest.max(pause);
            }
            assert!(longest < 400 * 8, "{}: {} ms", utterance.id, longest / 8);
        }
    }
}
