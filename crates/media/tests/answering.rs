//! Who answered: 200 destinations made from seeds, and the corners one by one, at simulated time.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a synthesiser"
)]

#[path = "answering/voices.rs"]
mod voices;

use std::collections::BTreeMap;

use media::Law;
use media::answering::{
    Answerer, AnsweringDetector, AnsweringEvent, AnsweringTerms, MACHINE_PAUSE_MS,
};
use media::resample::Rate;
use voices::{Chance, FRAME, Line};

/// What was found, and when, ms after the answer.
type Found = Vec<(u32, AnsweringEvent)>;

fn listen(terms: AnsweringTerms, samples: &[i16]) -> Found {
    let mut detector = AnsweringDetector::new(terms, Rate::Hz8000);
    let mut found = Found::new();
    let mut at = 0;
    for frame in samples.chunks_exact(FRAME) {
        at += 20;
        found.extend(detector.frame(at, frame).map(|event| (at as u32, event)));
    }
    // Then nothing comes any more.
    while !detector.is_over() && at < 300_000 {
        at += 20;
        found.extend(detector.pass(at).map(|event| (at as u32, event)));
    }
    found
}

fn heard(line: &Line) -> Found {
    listen(AnsweringTerms::default(), &line.through_network(Law::Pcma))
}

fn verdict(found: &Found) -> Answerer {
    let verdicts: Vec<_> = found
        .iter()
        .filter_map(|(_, event)| match event {
            AnsweringEvent::Verdict(who) => Some(*who),
            AnsweringEvent::GreetingOver => None,
        })
        .collect();
    *verdicts.last().expect("there is always a verdict")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Human,
    MachineWithBeep,
    MachineWithoutBeep,
    Busy,
    RingsThenHuman,
    RingsOn,
    DeadAir,
}

const NETWORKS: [&[f32]; 4] = [&[440.0], &[425.0], &[440.0, 480.0], &[400.0, 450.0]];

fn human(line: &mut Line, chance: &mut Chance) {
    line.quiet(chance.ms(60, 1_500));
    let first = chance.ms(240, 1_800);
    line.say(first);
    if chance.part() < 0.25 && first < 900 {
        line.quiet(chance.ms(350, 850));
        line.say(chance.ms(240, 700));
    }
    line.quiet(3_000);
}

/// The beginning of its beep, where it has one.
fn machine(line: &mut Line, chance: &mut Chance, beeps: bool) {
    line.quiet(chance.ms(100, 1_000));
    let length = chance.ms(3_500, 14_000);
    let until = line.heard_ms() + length;
    while line.heard_ms() < until {
        line.say(chance.ms(1_400, 4_000));
        line.quiet(chance.ms(200, 800));
    }
    if beeps {
        line.quiet(chance.ms(100, 1_200));
        let hz = chance.one_of(&[440.0, 620.0, 800.0, 1_000.0, 1_330.0, 1_700.0]);
        line.tones(&[hz], chance.ms(150, 1_200));
    }
    line.quiet(4_000);
}

fn rings(line: &mut Line, chance: &mut Chance, times: u32) {
    let network = chance.one_of(&NETWORKS);
    for _ in 0..times {
        line.tones(network, chance.ms(1_000, 1_800));
        line.quiet(2_000);
    }
}

fn destination(kind: Kind, seed: u64) -> Line {
    let mut line = Line::new(seed);
    let mut chance = Chance::new(seed ^ 0xA11C_E5ED);
    match kind {
        Kind::Human => human(&mut line, &mut chance),
        Kind::MachineWithBeep => machine(&mut line, &mut chance, true),
        Kind::MachineWithoutBeep => machine(&mut line, &mut chance, false),
        Kind::Busy => {
            let network = chance.one_of(&[&[440.0][..], &[425.0], &[480.0, 620.0]]);
            for _ in 0..14 {
                line.tones(network, 500);
                line.quiet(500);
            }
        }
        Kind::RingsThenHuman => {
            let times = chance.ms(1, 2);
            rings(&mut line, &mut chance, times);
            human(&mut line, &mut chance);
        }
        Kind::RingsOn => rings(&mut line, &mut chance, 4),
        Kind::DeadAir => line.quiet(chance.ms(0, 12_000)),
    }
    line
}

/// The table of docs/testing.md: `cargo test -p media --test all answering -- --nocapture` prints it.
#[test]
fn two_hundred_destinations() {
    let mix = [
        (Kind::Human, 60),
        (Kind::MachineWithBeep, 50),
        (Kind::MachineWithoutBeep, 20),
        (Kind::Busy, 20),
        (Kind::RingsThenHuman, 15),
        (Kind::RingsOn, 10),
        (Kind::DeadAir, 25),
    ];
    let mut table: BTreeMap<Kind, BTreeMap<Answerer, u32>> = BTreeMap::new();
    let mut waits: BTreeMap<Kind, Vec<u32>> = BTreeMap::new();
    let mut seed = 0;
    for (kind, count) in mix {
        for _ in 0..count {
            seed += 1;
            let found = heard(&destination(kind, seed));
            *table
                .entry(kind)
                .or_default()
                .entry(verdict(&found))
                .or_default() += 1;
            waits.entry(kind).or_default().push(found[0].0);
        }
    }
    assert_eq!(seed, 200);
    let columns = [
        Answerer::Human,
        Answerer::Machine,
        Answerer::MachineBeep,
        Answerer::Unknown,
    ];
    let cell = |kind: Kind, who: Answerer| {
        let row = table.get(&kind);
        row.and_then(|row| row.get(&who)).copied().unwrap_or(0)
    };
    println!("| destination | {columns:?} | first verdict, median and longest, ms |");
    for (kind, count) in mix {
        let row: Vec<u32> = columns.iter().map(|who| cell(kind, *who)).collect();
        let times = waits.entry(kind).or_default();
        times.sort_unstable();
        let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
        println!("| {kind:?} ({count}) | {row:?} | {median} {longest} |");
    }
    // People are not hung up on, and nobody speaks to a tone.
    assert!(cell(Kind::Human, Answerer::Human) >= 59, "{table:?}");
    assert!(
        cell(Kind::RingsThenHuman, Answerer::Human) >= 14,
        "{table:?}"
    );
    let known = cell(Kind::MachineWithBeep, Answerer::MachineBeep);
    assert!(known >= 47, "{table:?}");
    assert_eq!(cell(Kind::MachineWithBeep, Answerer::Human), 0, "{table:?}");
    let known = cell(Kind::MachineWithoutBeep, Answerer::Machine);
    assert!(known >= 19, "{table:?}");
    for kind in [Kind::Busy, Kind::RingsOn, Kind::DeadAir] {
        assert_eq!(table[&kind].len(), 1, "{table:?}");
        assert!(table[&kind].contains_key(&Answerer::Unknown), "{table:?}");
    }
}

fn seeded(seed: u64, make: impl FnOnce(&mut Line)) -> Found {
    let mut line = Line::new(seed);
    make(&mut line);
    heard(&line)
}

const HUMAN: AnsweringEvent = AnsweringEvent::Verdict(Answerer::Human);
const MACHINE: AnsweringEvent = AnsweringEvent::Verdict(Answerer::Machine);
const BEEP: AnsweringEvent = AnsweringEvent::Verdict(Answerer::MachineBeep);
const UNKNOWN: AnsweringEvent = AnsweringEvent::Verdict(Answerer::Unknown);

fn events(found: &Found) -> Vec<AnsweringEvent> {
    found.iter().map(|(_, event)| *event).collect()
}

#[test]
fn a_person_is_known_a_pause_after_a_word() {
    let found = seeded(1, |line| {
        line.quiet(500);
        line.say(500);
        line.quiet(3_000);
    });
    assert_eq!(events(&found), [HUMAN]);
    // The end of the word, the pause, and at most a block of 100 ms; the last syllable fades.
    assert!((1_900..=2_100).contains(&found[0].0), "{found:?}");
}

#[test]
fn a_machine_is_known_while_it_speaks_and_its_beep_afterwards() {
    let found = seeded(2, |line| {
        line.quiet(300);
        line.say(6_000);
        line.quiet(700);
        line.tones(&[1_000.0], 400);
        line.quiet(3_000);
    });
    assert_eq!(events(&found), [MACHINE, BEEP]);
    assert!((2_500..=3_300).contains(&found[0].0), "{found:?}");
    // Beep and silence: 7,400 + 200.
    assert!((7_500..=7_800).contains(&found[1].0), "{found:?}");
}

#[test]
fn a_machine_without_a_beep_is_spoken_to_when_it_is_silent() {
    let found = seeded(3, |line| {
        line.say(5_000);
        line.quiet(4_000);
    });
    assert_eq!(events(&found), [MACHINE, AnsweringEvent::GreetingOver]);
    let over = 5_000 + MACHINE_PAUSE_MS;
    assert!((over - 200..=over + 200).contains(&found[1].0), "{found:?}");
}

#[test]
fn a_machine_that_never_ends_is_not_waited_for_for_ever() {
    let mut line = Line::new(4);
    line.say(20_000);
    let terms = AnsweringTerms {
        beep_ms: 5_000,
        ..AnsweringTerms::default()
    };
    let found = listen(terms, &line.through_network(Law::Pcmu));
    assert_eq!(events(&found), [MACHINE, AnsweringEvent::GreetingOver]);
    assert_eq!(found[1].0 - found[0].0, 5_000);
}

#[test]
fn a_machine_that_says_nothing_but_its_beep() {
    let found = seeded(5, |line| {
        line.quiet(1_500);
        line.tones(&[1_400.0], 500);
        line.quiet(2_000);
    });
    assert_eq!(events(&found), [BEEP]);
}

#[test]
fn what_is_no_beep() {
    // Too long (a fax), too short, two at once (a key), a melody.
    type Make = dyn Fn(&mut Line);
    let cases: [(&str, &Make); 4] = [
        ("long", &|line| line.tones(&[1_100.0], 2_600)),
        ("short", &|line| line.tones(&[1_100.0], 60)),
        ("key", &|line| line.tones(&[697.0, 1_209.0], 120)),
        ("notes", &|line| {
            line.tones(&[950.0], 330);
            line.tones(&[1_400.0], 330);
            line.tones(&[1_800.0], 330);
        }),
    ];
    for (name, make) in cases {
        let found = seeded(6, |line| {
            line.quiet(800);
            make(line);
            line.quiet(6_000);
        });
        assert!(!events(&found).contains(&BEEP), "{name}: {found:?}");
    }
}

#[test]
fn silence_is_unknown_with_and_without_packets() {
    let quiet = seeded(7, |line| line.quiet(9_000));
    let nothing = listen(AnsweringTerms::default(), &[]);
    for found in [quiet, nothing] {
        assert_eq!(events(&found), [UNKNOWN]);
        assert!((4_000..=4_400).contains(&found[0].0), "{found:?}");
    }
}

#[test]
fn a_click_is_nobody() {
    let found = seeded(8, |line| {
        line.quiet(900);
        line.samples.extend([9_000, -9_000].repeat(160));
        line.quiet(6_000);
    });
    assert_eq!(events(&found), [UNKNOWN]);
}

#[test]
fn packets_that_come_in_heaps_say_the_same() {
    let mut line = Line::new(9);
    line.quiet(400);
    line.say(900);
    line.quiet(2_500);
    let samples = line.through_network(Law::Pcma);
    let steady = listen(AnsweringTerms::default(), &samples);
    let mut detector = AnsweringDetector::new(AnsweringTerms::default(), Rate::Hz8000);
    let mut found = Found::new();
    for (index, frame) in samples.chunks_exact(FRAME).enumerate() {
        // Ten at once, every 200 ms.
        let at = (index as u64 / 10 + 1) * 200;
        found.extend(detector.frame(at, frame).map(|event| (at as u32, event)));
    }
    assert_eq!(events(&found), events(&steady));
}

#[test]
fn wide_audio_says_the_same() {
    let mut line = Line::new(10);
    line.quiet(300);
    line.say(5_000);
    line.quiet(600);
    line.tones(&[900.0], 500);
    line.quiet(2_000);
    let wide: Vec<i16> = line
        .samples
        .windows(2)
        .flat_map(|pair| [pair[0], pair[0].midpoint(pair[1])])
        .collect();
    let mut detector = AnsweringDetector::new(AnsweringTerms::default(), Rate::Hz16000);
    let mut found = Vec::new();
    for (index, frame) in wide.chunks_exact(2 * FRAME).enumerate() {
        found.extend(detector.frame(index as u64 * 20, frame));
    }
    assert_eq!(found, [MACHINE, BEEP]);
}

#[test]
fn bounds_are_brought_into_their_ranges() {
    let wild = AnsweringTerms {
        greeting_ms_max: 0,
        pause_ms: u32::MAX,
        silence_ms: 0,
        verdict_ms: u32::MAX,
        beep_ms: 0,
    };
    let found = listen(wild, &[]);
    assert_eq!(events(&found), [UNKNOWN]);
    assert!((1_000..=1_400).contains(&found[0].0), "{found:?}");
    let bounded = wild.bounded();
    assert_eq!((bounded.pause_ms, bounded.beep_ms), (4_000, 1_000));
}

/// Nothing that a callee sends makes it panic, say two verdicts of one kind, or go on for ever.
#[test]
fn noise_of_any_kind_ends_in_one_verdict() {
    for seed in 0..40 {
        let mut chance = Chance::new(seed);
        let mut samples = Vec::new();
        for _ in 0..1_000 {
            let peak = chance.one_of(&[0.0, 40.0, 900.0, 32_000.0]);
            let length = chance.ms(0, 400) as usize;
            samples.extend((0..length).map(|_| chance.between(-peak, peak) as i16));
        }
        let found = listen(AnsweringTerms::default(), &samples);
        let verdicts = events(&found);
        assert!((1..=2).contains(&verdicts.len()), "{found:?}");
        assert!(verdicts[0] != AnsweringEvent::GreetingOver, "{found:?}");
    }
}
