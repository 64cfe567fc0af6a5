//! Who answered a call of ours: a person, an answering machine, or nobody that can be told.
//!
//! A state machine over 20 ms frames of the callee's audio, from the answer on. A person says a short greeting and waits; a machine speaks
//! for long, or gives a beep. What is measured: voice in bursts above the noise of the line, pauses, and single steady tones. Tones of the
//! network (ringback, busy) are neither voice nor silence, so that a call that is answered and rings on is not taken for anybody.
//!
//! It has no clock: its time is that of the frames, and where none come (a side that sends nothing), that of
//! [`AnsweringDetector::pass`]. It allocates nothing. What is said before the answer must not be given to it.

use crate::frame::{FRAME_MS, FRAME_SAMPLES_MAX};
use crate::level::{dbov_of_energy, energy};
use crate::resample::Rate;
use crate::tone::purity_at;

/// A burst of sound shorter than this is a click, ms.
pub const BURST_MS_MIN: u32 = 60;
/// A gap shorter than this is inside of a greeting and counts as greeting, ms: the stops between words.
pub const WORD_GAP_MS_MAX: u32 = 300;
/// A beep is at least this long, ms.
pub const BEEP_MS_MIN: u32 = 100;
/// The same where nothing was said before it: shorter ones are signals of the network.
pub const BEEP_ALONE_MS_MIN: u32 = 200;
/// A beep is at most this long, ms; a longer tone is a fax or the network's.
pub const BEEP_MS_MAX: u32 = 1_500;
/// So much silence follows a beep, ms.
pub const BEEP_AFTER_MS: u32 = 200;
/// Frequencies of a beep, Hz.
pub const BEEP_HZ: std::ops::RangeInclusive<f32> = 400.0..=2_000.0;
/// A machine that gave no beep is silent for this long when its greeting is over, ms.
pub const MACHINE_PAUSE_MS: u32 = 2_500;

/// Share of a frame's energy that is at one frequency when it is a tone.
const TONE_PURITY_MIN: f32 = 0.9;
/// Two frames belong to one tone up to this relative difference of their frequencies.
const TONE_DRIFT_MAX: f32 = 0.04;
/// Softest tone, -dBov.
const TONE_LEVEL_MAX: u8 = 42;
/// Frequencies of ringback, busy and dial tones (ITU-T E.180), Hz: alone or two together.
const LINE_HZ: [f32; 7] = [350.0, 400.0, 425.0, 440.0, 450.0, 480.0, 620.0];
/// Share of a block's energy at these frequencies when it is a tone of the network.
const LINE_SHARE_MIN: f32 = 0.8;
/// Frames of a block: 100 ms tell frequencies apart that are 10 Hz from each other.
const BLOCK_FRAMES: usize = 5;
/// A tone of the network begins and ends in the midst of a block: so much beside it belongs to it, ms.
const LINE_EDGE_MS: u32 = 100;
/// Softest voice, -dBov.
const VOICE_LEVEL_MAX: u8 = 46;
/// Voice is so much louder than the line's noise, dB.
const VOICE_ABOVE_NOISE: u8 = 9;
/// The noise of a line is not taken to be louder than this, -dBov: somebody who speaks without a pause is not noise.
const NOISE_LEVEL_MIN: u8 = 42;
/// The quietest of so many frames is the line's noise (1 s).
const NOISE_FRAMES: usize = 50;
/// Frames that are later than this are taken as silence, ms: longer than any jitter buffer waits.
const LATE_MS_MAX: u64 = 250;

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answerer {
    /// Somebody spoke shortly and waits.
    Human,
    /// A greeting that is longer than a person's.
    Machine,
    /// A machine whose beep was heard: it records.
    MachineBeep,
    /// Nothing was heard that tells.
    Unknown,
}

/// What the detector found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweringEvent {
    /// Who it is. A [`Answerer::Machine`] may be followed by its beep, which is the last event.
    Verdict(Answerer),
    /// The machine's greeting is over without a beep, or the beep was waited for long enough. The last event.
    GreetingOver,
}

/// Bounds of the detection, each within its `…_RANGE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnsweringTerms {
    /// Voice, word gaps included, beyond which a greeting is a machine's, ms.
    pub greeting_ms_max: u32,
    /// Silence after a short greeting by which a person is known, ms. This is what a person waits for us.
    pub pause_ms: u32,
    /// Silence from the answer on after which nobody can be told, ms.
    pub silence_ms: u32,
    /// Longest time to a verdict, ms after the answer.
    pub verdict_ms: u32,
    /// How long the beep of a machine is waited for, ms after it was known as one.
    pub beep_ms: u32,
}

impl AnsweringTerms {
    /// Of `greeting_ms_max`.
    pub const GREETING_MS_RANGE: std::ops::RangeInclusive<u32> = 500..=10_000;
    /// Of `pause_ms`.
    pub const PAUSE_MS_RANGE: std::ops::RangeInclusive<u32> = 300..=4_000;
    /// Of `silence_ms`.
    pub const SILENCE_MS_RANGE: std::ops::RangeInclusive<u32> = 1_000..=15_000;
    /// Of `verdict_ms`.
    pub const VERDICT_MS_RANGE: std::ops::RangeInclusive<u32> = 2_000..=30_000;
    /// Of `beep_ms`.
    pub const BEEP_MS_RANGE: std::ops::RangeInclusive<u32> = 1_000..=120_000;

    /// Each value brought into its range.
    #[must_use]
    pub fn bounded(self) -> Self {
        let within = |value: u32, range: std::ops::RangeInclusive<u32>| {
            value.clamp(*range.start(), *range.end())
        };
        Self {
            greeting_ms_max: within(self.greeting_ms_max, Self::GREETING_MS_RANGE),
            pause_ms: within(self.pause_ms, Self::PAUSE_MS_RANGE),
            silence_ms: within(self.silence_ms, Self::SILENCE_MS_RANGE),
            verdict_ms: within(self.verdict_ms, Self::VERDICT_MS_RANGE),
            beep_ms: within(self.beep_ms, Self::BEEP_MS_RANGE),
        }
    }
}

impl Default for AnsweringTerms {
    fn default() -> Self {
        Self {
            greeting_ms_max: 2_400,
            pause_ms: 1_000,
            silence_ms: 4_000,
            verdict_ms: 10_000,
            beep_ms: 30_000,
        }
    }
}

/// What one frame holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sound {
    Silence,
    Voice,
    /// One tone, Hz.
    Tone(f32),
    /// The network's.
    Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is known.
    Listening,
    /// A machine speaks; since when it is known, ms.
    Machine { since: u64 },
    /// All was said.
    Over,
}

/// A tone as far as it was heard.
#[derive(Debug, Clone, Copy)]
struct ToneRun {
    hz: f32,
    ms: u32,
    /// Silence since its end, ms.
    quiet_ms: u32,
    /// Another tone came right before: a melody, or the network's three notes before an announcement.
    is_melody: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct AnsweringDetector {
    terms: AnsweringTerms,
    rate: Rate,
    stage: Stage,
    /// Audio heard so far, ms after the answer.
    position: u64,
    /// Voice so far, word gaps included, ms.
    greeting_ms: u32,
    /// Since the last voice or tone of the network, ms.
    quiet_ms: u32,
    /// Voice without a gap, ms.
    burst_ms: u32,
    tone: Option<ToneRun>,
    /// What still may be the end of a tone of the network, ms.
    line_edge_ms: u32,
    noise: [u8; NOISE_FRAMES],
    frames: usize,
    block: Block,
}

/// Frames that wait for the judgement of 100 ms.
#[derive(Debug, Clone, Copy)]
struct Block {
    sounds: [Sound; BLOCK_FRAMES],
    count: usize,
    samples: usize,
    energy: u64,
    filters: [Goertzel; LINE_HZ.len()],
}

impl Block {
    fn new(rate: Rate) -> Self {
        Self {
            sounds: [Sound::Silence; BLOCK_FRAMES],
            count: 0,
            samples: 0,
            energy: 0,
            filters: LINE_HZ.map(|hz| Goertzel::new(rate, hz)),
        }
    }

    /// All of it is a tone of the network, or two.
    fn is_line(&self) -> bool {
        if self.samples == 0 || dbov_of_energy(self.energy, self.samples) > VOICE_LEVEL_MAX {
            return false;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a share needs three digits, and a block has 1,600 samples"
        )]
        let (samples, energy) = (self.samples as f32, self.energy as f32);
        let mut share = 0.0_f32;
        let mut powers = self.filters.map(|filter| filter.power());
        // The strongest two that are not neighbours: what is between two of them is counted by both.
        for _ in 0..2 {
            let Some((place, power)) = powers
                .iter()
                .copied()
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(&b.1))
            else {
                break;
            };
            share += power * 2.0 / samples / energy;
            for (other, power) in powers.iter_mut().enumerate() {
                if (LINE_HZ[other] - LINE_HZ[place]).abs() < 30.0 {
                    *power = 0.0;
                }
            }
        }
        share >= LINE_SHARE_MIN
    }
}

/// A running filter of one frequency.
#[derive(Debug, Clone, Copy)]
struct Goertzel {
    coefficient: f32,
    last: f32,
    before: f32,
}

impl Goertzel {
    fn new(rate: Rate, hz: f32) -> Self {
        Self {
            coefficient: 2.0 * (std::f32::consts::TAU * hz / hertz(rate)).cos(),
            last: 0.0,
            before: 0.0,
        }
    }

    fn push(&mut self, sample: f32) {
        let next = sample + self.coefficient * self.last - self.before;
        self.before = self.last;
        self.last = next;
    }

    fn power(&self) -> f32 {
        self.last * self.last + self.before * self.before
            - self.coefficient * self.last * self.before
    }
}

impl AnsweringDetector {
    /// From the answer on, for frames of a rate.
    #[must_use]
    pub fn new(terms: AnsweringTerms, rate: Rate) -> Self {
        Self {
            terms: terms.bounded(),
            rate,
            stage: Stage::Listening,
            position: 0,
            greeting_ms: 0,
            quiet_ms: 0,
            burst_ms: 0,
            tone: None,
            line_edge_ms: 0,
            noise: [u8::MAX; NOISE_FRAMES],
            frames: 0,
            block: Block::new(rate),
        }
    }

    /// Whether it has said all that it will ever say.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// When [`AnsweringDetector::pass`] is due at the latest, ms after the answer.
    #[must_use]
    pub fn pass_at(&self) -> Option<u64> {
        (!self.is_over()).then_some(self.position + LATE_MS_MAX + u64::from(FRAME_MS))
    }

    /// Takes 20 ms of the callee that are there `at_ms` after the answer.
    pub fn frame(&mut self, at_ms: u64, samples: &[i16]) -> Option<AnsweringEvent> {
        let late = self.pass(at_ms);
        let samples = &samples[..samples.len().min(FRAME_SAMPLES_MAX)];
        let found = self.take(samples);
        late.or(found)
    }

    /// Time passed, and maybe nothing came: what is missing is silence.
    pub fn pass(&mut self, at_ms: u64) -> Option<AnsweringEvent> {
        // No verdict is later than the longest of the bounds: nothing is asked of longer gaps.
        while !self.is_over() && self.position + LATE_MS_MAX < at_ms {
            if let Some(event) = self.take(&[]) {
                return Some(event);
            }
        }
        None
    }

    /// One frame; without samples it is silence.
    fn take(&mut self, samples: &[i16]) -> Option<AnsweringEvent> {
        if self.is_over() {
            return None;
        }
        let sound = self.judge(samples);
        let block = &mut self.block;
        block.sounds[block.count] = sound;
        block.count += 1;
        if block.count < BLOCK_FRAMES {
            return None;
        }
        let block = std::mem::replace(&mut self.block, Block::new(self.rate));
        let is_line = block.is_line();
        let mut found = None;
        for sound in block.sounds {
            // A beep may have a frequency of the network's; before anything was said it is the network's.
            let is_beep = matches!(sound, Sound::Tone(_)) && self.greeting_ms > 0;
            let sound = if is_line && !is_beep {
                Sound::Line
            } else {
                sound
            };
            found = found.or(self.step(sound));
        }
        found
    }

    fn judge(&mut self, samples: &[i16]) -> Sound {
        let energy = energy(samples);
        let level = dbov_of_energy(energy, samples.len());
        self.noise[self.frames % NOISE_FRAMES] = level;
        self.frames += 1;
        let block = &mut self.block;
        block.energy += energy;
        block.samples += samples.len();
        for sample in samples {
            for filter in &mut block.filters {
                filter.push(f32::from(*sample));
            }
        }
        if level <= TONE_LEVEL_MAX
            && let Some(hz) = tone(self.rate, samples)
        {
            return Sound::Tone(hz);
        }
        let known = &self.noise[..self.frames.min(NOISE_FRAMES)];
        let noise = known.iter().copied().max().unwrap_or(u8::MAX);
        let noise = noise.max(NOISE_LEVEL_MIN);
        if level <= VOICE_LEVEL_MAX && level.saturating_add(VOICE_ABOVE_NOISE) <= noise {
            Sound::Voice
        } else {
            Sound::Silence
        }
    }

    fn step(&mut self, sound: Sound) -> Option<AnsweringEvent> {
        self.position += u64::from(FRAME_MS);
        match sound {
            Sound::Voice => self.voice(),
            Sound::Silence => self.silence(),
            Sound::Tone(hz) => self.tone(hz),
            Sound::Line => self.line(),
        }
        self.conclude()
    }

    /// A tone of the network. What was taken for voice right before it was its beginning.
    fn line(&mut self) {
        if (BURST_MS_MIN..=LINE_EDGE_MS).contains(&self.burst_ms) {
            self.greeting_ms = self.greeting_ms.saturating_sub(self.burst_ms);
        }
        self.burst_ms = 0;
        self.quiet_ms = 0;
        self.tone = None;
        self.line_edge_ms = LINE_EDGE_MS;
    }

    fn silence(&mut self) {
        self.line_edge_ms = 0;
        self.burst_ms = 0;
        self.quiet_ms += FRAME_MS;
        if let Some(tone) = &mut self.tone {
            tone.quiet_ms += FRAME_MS;
        }
    }

    fn voice(&mut self) {
        if self.line_edge_ms > 0 {
            // The end of a tone that filled a part of its block only.
            self.line_edge_ms -= FRAME_MS;
            return;
        }
        self.burst_ms += FRAME_MS;
        if self.burst_ms < BURST_MS_MIN {
            // It may be a click, or the edge of a tone.
            self.quiet_ms += FRAME_MS;
            return;
        }
        if self.burst_ms == BURST_MS_MIN {
            // The gap before it; the burst's own first frames were counted as quiet.
            let gap = (self.quiet_ms + FRAME_MS).saturating_sub(BURST_MS_MIN);
            if self.greeting_ms > 0 && gap <= WORD_GAP_MS_MAX {
                self.greeting_ms += gap;
            }
            self.greeting_ms += BURST_MS_MIN;
            self.tone = None;
        } else {
            self.greeting_ms += FRAME_MS;
        }
        self.quiet_ms = 0;
    }

    fn tone(&mut self, hz: f32) {
        self.burst_ms = 0;
        let run = match self.tone {
            // One that stutters is one.
            Some(run) if run.quiet_ms < BEEP_AFTER_MS && same_tone(run.hz, hz) => ToneRun {
                ms: run.ms + FRAME_MS,
                quiet_ms: 0,
                ..run
            },
            before => ToneRun {
                hz,
                ms: FRAME_MS,
                quiet_ms: 0,
                is_melody: before
                    .is_some_and(|run| run.quiet_ms < BEEP_AFTER_MS && run.ms >= BURST_MS_MIN),
            },
        };
        self.tone = Some(run);
        // A vowel can be as pure as a tone for a moment: it is a gap between two words then.
        self.quiet_ms = if run.ms < BEEP_MS_MIN {
            self.quiet_ms + FRAME_MS
        } else {
            0
        };
    }

    /// A tone that was one, and the silence after it.
    fn beeped(&self) -> bool {
        let least = if self.greeting_ms > 0 {
            BEEP_MS_MIN
        } else {
            BEEP_ALONE_MS_MIN
        };
        self.tone.is_some_and(|run| {
            !run.is_melody
                && run.quiet_ms >= BEEP_AFTER_MS
                && (least..=BEEP_MS_MAX).contains(&run.ms)
        })
    }

    fn conclude(&mut self) -> Option<AnsweringEvent> {
        if self.stage != Stage::Over && self.beeped() {
            return self.decide(Answerer::MachineBeep);
        }
        match self.stage {
            Stage::Listening => {
                let terms = &self.terms;
                let spoke = self.greeting_ms > 0;
                if self.greeting_ms > terms.greeting_ms_max {
                    self.decide(Answerer::Machine)
                } else if spoke && self.quiet_ms >= terms.pause_ms {
                    self.decide(Answerer::Human)
                } else if (!spoke && self.quiet_ms >= terms.silence_ms)
                    || self.position >= u64::from(terms.verdict_ms)
                {
                    self.decide(Answerer::Unknown)
                } else {
                    None
                }
            }
            Stage::Machine { since } => {
                let waited = self.position - since >= u64::from(self.terms.beep_ms);
                let is_over = waited || self.quiet_ms >= MACHINE_PAUSE_MS;
                is_over.then(|| {
                    self.stage = Stage::Over;
                    AnsweringEvent::GreetingOver
                })
            }
            Stage::Over => None,
        }
    }

    fn decide(&mut self, who: Answerer) -> Option<AnsweringEvent> {
        self.stage = match who {
            Answerer::Machine => Stage::Machine {
                since: self.position,
            },
            Answerer::Human | Answerer::MachineBeep | Answerer::Unknown => Stage::Over,
        };
        Some(AnsweringEvent::Verdict(who))
    }
}

fn same_tone(a: f32, b: f32) -> bool {
    (a - b).abs() <= a * TONE_DRIFT_MAX
}

/// Frequency of a frame that is one pure tone of a beep's range, Hz. Two samples of a sine give the next one by its frequency alone,
/// `x[n] + x[n-2] = 2 cos w x[n-1]`: the best `w` of the frame is tried, and is right when almost all of the energy is there.
fn tone(rate: Rate, samples: &[i16]) -> Option<f32> {
    let (mut cross, mut power) = (0.0_f64, 0.0_f64);
    for three in samples.windows(3) {
        let [first, middle, last] = three else {
            continue;
        };
        let middle = f64::from(*middle);
        cross += middle * (f64::from(*first) + f64::from(*last));
        power += middle * middle;
    }
    if power == 0.0 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a frequency needs four digits"
    )]
    let cosine = (cross / power / 2.0).clamp(-1.0, 1.0) as f32;
    let hz = cosine.acos() * hertz(rate) / std::f32::consts::TAU;
    // A little wider than the range, for what noise does to the estimate.
    let near = BEEP_HZ.start() * 0.85..=BEEP_HZ.end() * 1.1;
    let hz = near.contains(&hz).then(|| refined(rate, samples, hz))?;
    let in_range = (BEEP_HZ.start() * 0.98..=BEEP_HZ.end() * 1.02).contains(&hz);
    (in_range && purity_at(rate, samples, hz) >= TONE_PURITY_MIN).then_some(hz)
}

/// A frequency that is a little off, put right: by it, the phase of a tone drifts from the first half of a frame to the second.
fn refined(rate: Rate, samples: &[i16], hz: f32) -> f32 {
    let step = std::f32::consts::TAU * hz / hertz(rate);
    let half = samples.len() / 2;
    let (sin, cos) = step.sin_cos();
    let mut turn = (1.0_f32, 0.0_f32);
    let mut halves = [(0.0_f32, 0.0_f32); 2];
    for (index, sample) in samples.iter().take(2 * half).enumerate() {
        let sample = f32::from(*sample);
        let sum = &mut halves[usize::from(index >= half)];
        sum.0 += sample * turn.0;
        sum.1 -= sample * turn.1;
        turn = (turn.0 * cos - turn.1 * sin, turn.0 * sin + turn.1 * cos);
    }
    let [(a, b), (c, d)] = halves;
    let drift = (a * d - b * c).atan2(a * c + b * d);
    #[expect(clippy::cast_precision_loss, reason = "half a frame")]
    let seconds = half as f32 / hertz(rate);
    hz + drift / std::f32::consts::TAU / seconds
}

#[expect(clippy::cast_precision_loss, reason = "a rate is a small number")]
fn hertz(rate: Rate) -> f32 {
    rate.hz() as f32
}
