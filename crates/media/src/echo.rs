//! Our own voice, come back from a line: taken out of what is heard (line echo cancellation), and told apart from the caller's.
//!
//! Analogue lines send back what we say, 12 to 30 dB lower, from the hybrid that joins two wires to four. The reference is what
//! left for the wire, frame by frame; a heard frame is set against the frame that was sent when it came, in media time, so that a burst
//! of late packets moves nothing. Where the clocks of the two sides drift apart by whole frames the reference is set anew
//! and what was learnt moves with it.

mod canceller;
mod filter;
mod frames;
mod likeness;
mod spectrum;

use self::canceller::Canceller;
pub(crate) use self::frames::{Frames, HEARD_FRAMES, SAID_FRAMES};
use self::likeness::{Comparison, HEARD, SAID};
use crate::frame::{FRAME_MS, FRAME_SAMPLES, FRAME_SAMPLES_MAX, Form};
use crate::level;
use crate::treatment::narrow;

/// Shortest tail, ms.
pub const TAIL_MS_MIN: u16 = 16;
/// Longest tail, ms.
pub const TAIL_MS_MAX: u16 = 256;
/// Tail unless set, ms.
pub const TAIL_MS_DEFAULT: u16 = 64;

/// Line echo cancellation: how long after we spoke an echo may end, ms ([`TAIL_MS_MIN`] to [`TAIL_MS_MAX`]). It is worked in whole
/// frames of 20 ms. A delay before the echo is found by itself, up to 400 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoTail(u16);

impl EchoTail {
    /// A tail of so many milliseconds, within the limits.
    #[must_use]
    pub fn of_ms(ms: u16) -> Self {
        Self(ms.clamp(TAIL_MS_MIN, TAIL_MS_MAX))
    }

    /// Its length, ms.
    #[must_use]
    pub fn ms(self) -> u16 {
        self.0
    }

    fn frames(self) -> usize {
        usize::from(self.0).div_ceil(FRAME_MS as usize)
    }
}

impl Default for EchoTail {
    fn default() -> Self {
        Self(TAIL_MS_DEFAULT)
    }
}

/// What is heard while we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A voice that is not ours, or nothing is played that could come back.
    Speech,
    /// What we said.
    Echo,
    /// It is no voice so far: a cough, a door, a keyboard.
    Noise,
    /// It is not clear yet.
    Undecided,
    /// Nothing that could be a voice.
    Quiet,
}

/// Frames over which the least distance to the reference is taken before it is set anew (10 s).
const ALIGN_FRAMES: u32 = 500;
/// Distance at which it is set anew, frames.
const APART_FRAMES: u64 = 3;
/// Frames between two looks for a delay while the path is not known (500 ms).
const LOOK_FRAMES: u32 = 25;
/// Part that must be explained before a delay is believed.
const DELAY_SURE: f32 = 0.6;
/// Room before the delay that was found, samples at 8 kHz (10 ms).
const DELAY_ROOM: usize = 80;
/// Frames by which the reference of the canceller may be late at most: what is further back is not kept.
const DELAYED_MAX: i64 = 40;
/// Part that is explained of an echo at least, and of another voice at most.
const ECHO_MIN: f32 = 0.65;
const ECHO_MIN_CANCELLED: f32 = 0.8;
const SPEECH_MAX: f32 = 0.45;
/// The loudest frame of an echo is at most this part of the loudest that was said, power (-4 dB): a hybrid rings.
const ECHO_LOUDEST: f32 = 0.4;
/// Mean square of a frame of the quietest voice, where nothing is said (-45 dBov).
const VOICE: f32 = 33_950.0;
/// Frames that are looked at.
const WHOLE_FRAMES: u32 = 10;
/// Mean square of what is too quiet to come back, or to be judged (-60 dBov).
const QUIET: f32 = 1_074.0;

/// Which frame of what was said belongs to the frame that is heard.
#[derive(Debug, Default)]
struct Alignment {
    next: Option<u64>,
    least: u64,
    frames: u32,
}

impl Alignment {
    /// The number for the next heard frame, and by how many frames the reference moved before it (later: above zero).
    fn step(&mut self, newest: u64) -> (u64, i64) {
        let mut moved = 0;
        let mut at = self.next.unwrap_or(newest);
        if at > newest {
            // Less late than the first was: an echo comes after what it is the echo of.
            moved = -i64::try_from(at - newest).unwrap_or(i64::MAX);
            at = newest;
            self.least = 0;
        }
        self.least = self.least.min(newest - at);
        self.frames += 1;
        if self.frames >= ALIGN_FRAMES {
            if self.least >= APART_FRAMES {
                at += self.least;
                moved = i64::try_from(self.least).unwrap_or(i64::MAX);
            }
            self.frames = 0;
            self.least = u64::MAX;
        }
        self.next = Some(at + 1);
        (at, moved)
    }
}

/// What is known of the echo of a leg.
#[derive(Debug)]
pub(crate) struct Echo {
    form: Form,
    tail: Option<EchoTail>,
    alignment: Alignment,
    heard: Frames,
    /// Frames since one that was made up.
    whole: u32,
    /// Number in what was said of the frame that was heard last.
    at: u64,
    canceller: Option<Box<Canceller>>,
    /// Frames by which the reference of the canceller is late.
    delayed: u64,
    /// Frames until a delay is looked for.
    look: u32,
    /// Made when somebody asks.
    comparison: Option<Box<Comparison>>,
}

impl Echo {
    pub(crate) fn new(form: Form, tail: Option<EchoTail>) -> Self {
        let canceller =
            tail.map(|tail| Box::new(Canceller::new(form.frame_samples(), tail.frames())));
        Self {
            form,
            tail,
            alignment: Alignment::default(),
            heard: Frames::new(form, HEARD_FRAMES),
            whole: 0,
            at: 0,
            canceller,
            delayed: 0,
            look: LOOK_FRAMES,
            comparison: tail.map(|_| Box::new(Comparison::new())),
        }
    }

    /// Whether it is what is wanted now.
    pub(crate) fn is(&self, form: Form, tail: Option<EchoTail>) -> bool {
        self.form == form && self.tail == tail
    }

    /// A frame that was heard. Where echo is cancelled it is changed in place, and its new level is given.
    pub(crate) fn hear(&mut self, said: &Frames, audio: &mut [u8], made_up: bool) -> Option<u8> {
        self.heard.push(audio);
        self.whole = if made_up {
            0
        } else {
            self.whole.saturating_add(1)
        };
        let newest = said.count().checked_sub(1)?;
        let (at, moved) = self.alignment.step(newest);
        self.at = at;
        self.canceller.as_ref()?;
        self.follow(said, moved);
        self.look_for_the_delay(said);
        let canceller = self.canceller.as_mut()?;
        let mut samples = [0.0; FRAME_SAMPLES_MAX];
        let samples = &mut samples[..self.form.frame_samples()];
        said.read(at.checked_sub(self.delayed), samples);
        canceller.play(samples);
        let mut coded = [0; FRAME_SAMPLES_MAX];
        let coded = &mut coded[..samples.len()];
        self.form.decode_into(audio, coded);
        for (to, from) in samples.iter_mut().zip(coded.iter()) {
            *to = f32::from(*from);
        }
        canceller.apply(samples, made_up);
        for (to, from) in coded.iter_mut().zip(samples.iter()) {
            *to = narrow(*from);
        }
        self.form.encode_into(coded, audio);
        Some(level::dbov(coded))
    }

    /// What is heard now, by what was heard and said so far.
    pub(crate) fn judge(&mut self, said: &Frames) -> Heard {
        let Some(last) = self.heard.count().checked_sub(1) else {
            return Heard::Quiet;
        };
        let (mut before, mut now) = ([0.0; SAID], [0.0; HEARD]);
        said.read_until(self.at, &mut before);
        self.heard.read_until(last, &mut now);
        let (said_loudest, heard_loudest) = (loudest(&before), loudest(&now));
        if heard_loudest < QUIET || (said_loudest < QUIET && heard_loudest < VOICE) {
            return Heard::Quiet;
        }
        if said_loudest < QUIET || heard_loudest > ECHO_LOUDEST * said_loudest {
            return Heard::Speech;
        }
        // Where the echo is taken out the engine hears quieter callers over it.
        let known = self.canceller.as_ref().is_some_and(|one| one.has_path());
        let least = if known { ECHO_MIN_CANCELLED } else { ECHO_MIN };
        let comparison = self
            .comparison
            .get_or_insert_with(|| Box::new(Comparison::new()));
        match comparison.compare(&now, &before) {
            Some(likeness) if likeness.explained >= least => Heard::Echo,
            // A hole in what is heard is explained by nothing.
            Some(likeness) if likeness.explained > SPEECH_MAX || self.whole < WHOLE_FRAMES => {
                Heard::Undecided
            }
            Some(_) | None => Heard::Speech,
        }
    }

    /// What was heard, as it came.
    pub(crate) fn heard(&self) -> &Frames {
        &self.heard
    }

    /// By how much the canceller makes the echo quieter, dB; `None` without one, or before a second of echo alone.
    pub(crate) fn erle_db(&self) -> Option<f64> {
        self.canceller.as_ref()?.figure.erle_db()
    }

    /// The reference moved by so many frames: what was learnt goes on where it can.
    fn follow(&mut self, said: &Frames, moved: i64) {
        if moved == 0 {
            return;
        }
        let wanted = moved.saturating_add_unsigned(self.delayed);
        let kept = wanted.clamp(0, DELAYED_MAX);
        self.delayed = kept.unsigned_abs();
        let shift = isize::try_from(wanted - kept).unwrap_or_default();
        if shift != 0 {
            if let Some(canceller) = &mut self.canceller {
                canceller.shift(shift);
            }
            self.read_again(said);
        }
    }

    /// Looks for an echo that the tail does not reach, while none is known.
    fn look_for_the_delay(&mut self, said: &Frames) {
        self.look = self.look.saturating_sub(1);
        let known = self.canceller.as_ref().is_some_and(|one| one.has_path());
        if self.look > 0 || known {
            return;
        }
        self.look = LOOK_FRAMES;
        let (Some(comparison), Some(last), Some(tail)) = (
            self.comparison.as_mut(),
            self.heard.count().checked_sub(1),
            self.tail,
        ) else {
            return;
        };
        let (mut before, mut now) = ([0.0; SAID], [0.0; HEARD]);
        said.read_until(self.at, &mut before);
        self.heard.read_until(last, &mut now);
        if loudest(&before) < QUIET || loudest(&now) < QUIET {
            return;
        }
        let sure = comparison
            .compare(&now, &before)
            .filter(|likeness| likeness.explained >= DELAY_SURE);
        let Some(likeness) = sure else { return };
        let reached = usize::try_from(self.delayed).unwrap_or_default() * FRAME_SAMPLES;
        let end = reached + tail.frames() * FRAME_SAMPLES;
        if (reached..end.saturating_sub(DELAY_ROOM)).contains(&likeness.delay) {
            return;
        }
        self.delayed = (likeness.delay.saturating_sub(DELAY_ROOM) / FRAME_SAMPLES) as u64;
        if let Some(canceller) = &mut self.canceller {
            canceller.forget();
        }
        self.read_again(said);
    }

    /// Gives the canceller the frames before the one that is heard now, at their new places.
    fn read_again(&mut self, said: &Frames) {
        let Some(canceller) = &mut self.canceller else {
            return;
        };
        let mut samples = [0.0; FRAME_SAMPLES_MAX];
        let samples = &mut samples[..self.form.frame_samples()];
        for back in (1..=canceller.partitions() as u64 + 1).rev() {
            said.read(self.at.checked_sub(self.delayed + back), samples);
            canceller.play(samples);
        }
    }
}

/// Mean square of the loudest frame.
fn loudest(samples: &[f32]) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "160")]
    let count = FRAME_SAMPLES as f32;
    samples
        .chunks_exact(FRAME_SAMPLES)
        .map(|frame| likeness::energy(frame) / count)
        .fold(0.0, f32::max)
}
