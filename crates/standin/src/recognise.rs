//! Hearing: which known utterance, if any, a stretch of audio holds.
//!
//! The comparison is of waveforms, not of words: the utterance is laid over the audio where their loudness runs alike, and
//! every 20 ms of it must then be found again. So nothing is heard that did not arrive whole: silence, clipped or garbled
//! audio, another language and another sentence are all refused, while level, G.711 in tandem, a few concealed frames and
//! the place in the audio do not matter.

use crate::law;

/// Samples in a window of 20 ms at 8 kHz.
const WINDOW: usize = 160;
/// Samples in a step of the loudness contour, 10 ms.
const STEP: usize = 80;
/// A window this far below the loudest one counts as quiet (power ratio, -30 dB) and is not compared.
const QUIET: f64 = 0.001;
/// A quiet window is disturbed when the audio there comes this near to its loudest window (power ratio, -17 dB).
const DISTURBED: f64 = 0.02;
/// Least normalised correlation of a window that is found again.
const WINDOW_MATCH: f64 = 0.75;
/// Largest share of windows that may be missing. Measured over the embedded utterances (`tests/recognition.rs`): 2 % of frames
/// concealed spoil at most 2.6 % of the windows, 10 % of frames garbled at least 6.7 %.
const MISSING_SHARE_MAX: f64 = 0.05;
/// Windows at the beginning and at the end that must be there.
const EDGE_WINDOWS: usize = 8;
/// Most windows of an edge that may be missing.
const EDGE_MISSING_MAX: usize = 3;
/// Most loud audio besides the utterance, in steps of 10 ms.
const OTHER_STEPS_MAX: usize = 60;
/// Places where the contours run alike that are looked at closely.
const CANDIDATES: usize = 6;
/// Least correlation of the contours of a place that is looked at.
const CONTOUR_MATCH: f64 = 0.6;
/// How far the window may lie from the place of the one before, in samples: clock drift and resampling.
const DRIFT: i64 = 2;
/// Longest audio that is compared, in samples (30 s); what is longer is cut.
const AUDIO_SAMPLES_MAX: usize = 240_000;

/// What was heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard<'a> {
    /// The id of the utterance.
    pub id: &'a str,
    /// Its words.
    pub text: &'a str,
    /// The share of its windows that were found, 0 to 1.
    pub score: f64,
}

#[derive(Debug)]
struct Template {
    id: String,
    text: String,
    samples: Vec<f32>,
    contour: Vec<f32>,
    /// Start of every window that is loud enough to be compared.
    loud: Vec<usize>,
    /// Start of the others, where the audio must be quiet too.
    quiet: Vec<usize>,
}

/// Finds known utterances in audio.
#[derive(Debug)]
pub struct Recogniser {
    templates: Vec<Template>,
}

impl Recogniser {
    /// A recogniser of `(id, text, samples at 8 kHz)`.
    pub fn new<'a>(utterances: impl IntoIterator<Item = (&'a str, &'a str, &'a [i16])>) -> Self {
        let templates = utterances
            .into_iter()
            .filter_map(|(id, text, samples)| Template::new(id, text, samples))
            .collect();
        Self { templates }
    }

    /// The utterance that the audio (8 kHz) holds whole.
    pub fn recognise(&self, audio: &[i16]) -> Option<Heard<'_>> {
        let audio: Vec<f32> = audio
            .iter()
            .take(AUDIO_SAMPLES_MAX)
            .map(|s| f32::from(*s))
            .collect();
        let contour = contour(&audio);
        self.templates
            .iter()
            .filter_map(|template| {
                let score = template.find(&audio, &contour)?;
                Some(Heard {
                    id: &template.id,
                    text: &template.text,
                    score,
                })
            })
            .max_by(|a, b| a.score.total_cmp(&b.score))
    }
}

impl Template {
    fn new(id: &str, text: &str, samples: &[i16]) -> Option<Self> {
        // Compared as it sounds after G.711.
        let samples: Vec<f32> = samples
            .iter()
            .map(|s| f32::from(law::ulaw_decode(law::ulaw_encode(*s))))
            .collect();
        let powers: Vec<f64> = samples.chunks_exact(WINDOW).map(power).collect();
        let floor = powers.iter().copied().fold(0.0, f64::max) * QUIET;
        let first = powers.iter().position(|p| *p > floor)?;
        let last = powers.iter().rposition(|p| *p > floor)?;
        let samples = samples[first * WINDOW..(last + 1) * WINDOW].to_vec();
        let (mut loud, mut quiet) = (Vec::new(), Vec::new());
        for (index, power) in powers[first..=last].iter().enumerate() {
            let list = if *power > floor {
                &mut loud
            } else {
                &mut quiet
            };
            list.push(index * WINDOW);
        }
        let contour = contour(&samples);
        Some(Self {
            id: id.into(),
            text: text.into(),
            samples,
            contour,
            loud,
            quiet,
        })
    }

    /// The share of windows found at the best place, when that is enough.
    fn find(&self, audio: &[f32], audio_contour: &[f32]) -> Option<f64> {
        let mut places: Vec<(f64, i64)> = self.places(audio_contour);
        places.sort_by(|a, b| b.0.total_cmp(&a.0));
        places
            .into_iter()
            .take(CANDIDATES)
            .filter_map(|(_, step)| {
                let lag = self.lag(audio, step * STEP as i64)?;
                self.score(audio, audio_contour, lag)
            })
            .max_by(f64::total_cmp)
    }

    /// Local maxima of the correlation of the contours, with the step of the audio where the utterance would begin. It may
    /// begin a little before the audio does: whether enough of it is there is judged window by window.
    fn places(&self, audio: &[f32]) -> Vec<(f64, i64)> {
        let slack = 30_i64;
        let last = audio.len() as i64 - self.contour.len() as i64 + slack;
        let scores: Vec<(f64, i64)> = (-slack..=last)
            .map(|step| {
                let pairs = || {
                    self.contour.iter().enumerate().map(move |(n, t)| {
                        let index = usize::try_from(step + n as i64).ok();
                        (*t, index.and_then(|i| audio.get(i)).copied().unwrap_or(0.0))
                    })
                };
                (correlation(pairs()), step)
            })
            .collect();
        let at = |i: usize| scores.get(i).map_or(-1.0, |s| s.0);
        (0..scores.len())
            .filter(|&i| {
                at(i) >= CONTOUR_MATCH && (i == 0 || at(i) >= at(i - 1)) && at(i) >= at(i + 1)
            })
            .map(|i| scores[i])
            .collect()
    }

    /// The exact place near `rough`, by the loudest stretch of the utterance.
    fn lag(&self, audio: &[f32], rough: i64) -> Option<i64> {
        let probes = self.probes();
        let reach = 2 * STEP as i64;
        probes
            .iter()
            .flat_map(|start| {
                let probe = &self.samples[*start..*start + 2 * WINDOW];
                (rough - reach..=rough + reach).filter_map(move |lag| {
                    let from = usize::try_from(lag + *start as i64).ok()?;
                    let there = audio.get(from..from + probe.len())?;
                    Some((similarity(probe, there), lag))
                })
            })
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(best, _)| *best > WINDOW_MATCH)
            .map(|(_, lag)| lag)
    }

    /// Three stretches spread over the utterance, the loudest of each third, so that one lost frame cannot hide the place.
    fn probes(&self) -> Vec<usize> {
        let usable = self.samples.len().saturating_sub(2 * WINDOW);
        let third = self.loud.len().div_ceil(3).max(1);
        self.loud
            .chunks(third)
            .filter_map(|part| {
                part.iter()
                    .copied()
                    .filter(|start| *start <= usable && self.samples.len() >= 2 * WINDOW)
                    .max_by(|a, b| {
                        let level = |s: usize| power(&self.samples[s..s + 2 * WINDOW]);
                        level(*a).total_cmp(&level(*b))
                    })
            })
            .collect()
    }

    fn score(&self, audio: &[f32], audio_contour: &[f32], lag: i64) -> Option<f64> {
        let mut drift = 0;
        let found: Vec<bool> = self
            .loud
            .iter()
            .map(|start| {
                let window = &self.samples[*start..*start + WINDOW];
                let best = (drift - DRIFT..=drift + DRIFT)
                    .filter_map(|d| {
                        let from = usize::try_from(lag + d + *start as i64).ok()?;
                        let there = audio.get(from..from + WINDOW)?;
                        Some((similarity(window, there), d))
                    })
                    .max_by(|a, b| a.0.total_cmp(&b.0));
                match best {
                    Some((value, d)) if value > WINDOW_MATCH => {
                        drift = d;
                        true
                    }
                    Some(_) | None => false,
                }
            })
            .collect();
        let missing = found.iter().filter(|one| !**one).count() + self.disturbed(audio, lag);
        let edge = |part: &[bool]| part.iter().filter(|one| !**one).count() <= EDGE_MISSING_MAX;
        let length = found.len();
        let begins = edge(&found[..EDGE_WINDOWS.min(length)]);
        let ends = edge(&found[length.saturating_sub(EDGE_WINDOWS)..]);
        #[expect(clippy::cast_precision_loss, reason = "counts of windows are small")]
        let share = missing as f64 / (length + self.quiet.len()) as f64;
        let alone = self.other_steps(audio_contour, lag) <= OTHER_STEPS_MAX;
        (share <= MISSING_SHARE_MAX && begins && ends && alone).then_some(1.0 - share)
    }

    /// How many windows that are quiet in the utterance are loud in the audio.
    fn disturbed(&self, audio: &[f32], lag: i64) -> usize {
        let there = |start: usize| {
            let from = usize::try_from(lag + start as i64).ok()?;
            audio.get(from..from + WINDOW).map(power)
        };
        let loudest = self
            .loud
            .iter()
            .filter_map(|start| there(*start))
            .fold(0.0, f64::max);
        self.quiet
            .iter()
            .filter(|start| there(**start).is_some_and(|level| level > loudest * DISTURBED))
            .count()
    }

    /// How much loud audio lies outside the utterance, and within it where the utterance is silent.
    fn other_steps(&self, audio: &[f32], lag: i64) -> usize {
        let from = lag / STEP as i64;
        let loudest = self.contour.iter().copied().fold(0.0, f32::max);
        let there = audio
            .iter()
            .enumerate()
            .filter(|(n, _)| *n as i64 >= from && (*n as i64) < from + self.contour.len() as i64)
            .map(|(_, level)| *level)
            .fold(0.0, f32::max);
        audio
            .iter()
            .enumerate()
            .filter(|(n, level)| {
                let inside = |n: i64| {
                    usize::try_from(n)
                        .ok()
                        .and_then(|n| self.contour.get(n))
                        .copied()
                };
                let own = (-2..=2)
                    .filter_map(|d| inside(*n as i64 - from + d))
                    .fold(0.0, f32::max);
                **level > there * 0.15 && own < loudest * 0.03
            })
            .count()
    }
}

/// Loudness in steps of 10 ms: the root of the mean square.
fn contour(samples: &[f32]) -> Vec<f32> {
    samples
        .chunks(STEP)
        .map(|part| {
            let sum: f32 = part.iter().map(|s| s * s).sum();
            (sum / STEP as f32).sqrt()
        })
        .collect()
}

fn power(part: &[f32]) -> f64 {
    let sum: f32 = part.iter().map(|s| s * s).sum();
    f64::from(sum)
}

/// Normalised correlation with the means removed, -1 to 1.
fn correlation(pairs: impl Iterator<Item = (f32, f32)>) -> f64 {
    let (mut n, mut a, mut b, mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, y) in pairs {
        let (x, y) = (f64::from(x), f64::from(y));
        n += 1.0;
        a += x;
        b += y;
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    let below = (aa - a * a / n) * (bb - b * b / n);
    if n == 0.0 || below <= 0.0 {
        return 0.0;
    }
    (ab - a * b / n) / below.sqrt()
}

/// Normalised correlation of two stretches of the same length.
fn similarity(a: &[f32], b: &[f32]) -> f64 {
    let (mut aa, mut bb, mut ab) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (x, y) in a.iter().zip(b) {
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    let below = f64::from(aa) * f64::from(bb);
    if below <= 0.0 {
        return 0.0;
    }
    f64::from(ab) / below.sqrt()
}
