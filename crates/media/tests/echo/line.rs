//! An analogue line: a hybrid that sends back what it is told, late, quieter and smeared, beside whoever speaks into it.

use media::{Codec, ItemKey, Statistics, Treatment, g711};

use crate::common::{Bench, Random, address, config, rtp};

/// Coefficients of a hybrid (8 ms).
const HYBRID: usize = 64;
pub const FRAME: usize = 160;
pub const SECOND: usize = 8_000;

/// What a line does.
#[derive(Clone, Copy)]
pub struct Line {
    pub seed: u64,
    /// How far below what it is told the echo is, dB.
    pub loss_db: f32,
    /// Samples before the echo begins.
    pub delay: usize,
    /// How much faster its clock is than ours.
    pub skew: f64,
    /// From this sample on it is another line.
    pub change: Option<usize>,
}

impl Line {
    pub fn new(seed: u64, loss_db: f32, delay: usize) -> Self {
        Self {
            seed,
            loss_db,
            delay,
            skew: 0.0,
            change: None,
        }
    }

    /// Decaying ripples, other ones for each seed.
    fn hybrid(seed: u64, loss_db: f32) -> Vec<f32> {
        let mut random = Random(seed.wrapping_mul(7_919) + 13);
        let pitch = 0.3 + 1.2 * unit(&mut random);
        let decay = 6.0 + 8.0 * unit(&mut random);
        let mut path = Vec::with_capacity(HYBRID);
        let mut place = 0.0_f32;
        for _ in 0..HYBRID {
            let ripple = 0.6 * (place * pitch).cos() + 1.2 * (unit(&mut random) - 0.5);
            path.push((-place / decay).exp() * ripple);
            place += 1.0;
        }
        let size = path.iter().map(|tap| tap * tap).sum::<f32>().sqrt();
        let scale = 10_f32.powf(-loss_db / 20.0) / size;
        path.iter().map(|tap| tap * scale).collect()
    }
}

pub fn unit(random: &mut Random) -> f32 {
    f32::from(u16::try_from(random.below(65_536)).unwrap()) / 65_536.0
}

/// What came of a call, sample by sample.
pub struct Run {
    /// What came back.
    pub echo: Vec<f32>,
    /// What was said into the line.
    pub near: Vec<f32>,
    /// What was handed on.
    pub out: Vec<f32>,
    pub statistics: Statistics,
    pub keys: String,
}

impl Run {
    fn part(of: &[f32], from: usize, to: usize) -> &[f32] {
        &of[from * SECOND..(to * SECOND).min(of.len())]
    }

    /// By how much the echo is quieter in what was handed on, dB, between two seconds.
    pub fn erle_db(&self, from: usize, to: usize) -> f32 {
        let out = Self::part(&self.out, from, to);
        let near = Self::part(&self.near, from, to);
        let left: f32 = out
            .iter()
            .zip(near)
            .map(|(out, near)| (out - near).powi(2))
            .sum();
        10.0 * (energy(Self::part(&self.echo, from, to)) / left.max(1.0)).log10()
    }

    /// The caller's voice against everything else in what was handed on (dB), and its own level there against what was said.
    pub fn voice(&self, from: usize, to: usize) -> (f32, f32) {
        let out = Self::part(&self.out, from, to);
        let near = Self::part(&self.near, from, to);
        let level = out
            .iter()
            .zip(near)
            .map(|(out, near)| out * near)
            .sum::<f32>()
            / energy(near);
        let rest: f32 = out
            .iter()
            .zip(near)
            .map(|(out, near)| (out - near).powi(2))
            .sum();
        (10.0 * (energy(near) / rest.max(1.0)).log10(), level)
    }
}

pub fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum()
}

/// A call over a line: what we say, and what the other side says.
pub struct Call {
    pub bench: Bench,
    line: Line,
    paths: [Vec<f32>; 2],
    /// What left for the line.
    pub told: Vec<f32>,
    random: Random,
    pub frames: usize,
    pub echo: Vec<f32>,
    pub near: Vec<f32>,
}

impl Call {
    pub fn new(line: Line, treatment: Treatment, far: &[f32]) -> Self {
        let mut settings = config(Codec::Pcmu, Some(address(9, 6_000)));
        settings.treatment = treatment;
        settings.keypad = media::Keypad::Tones;
        let mut bench = Bench::with(settings);
        let far: Vec<u8> = far
            .iter()
            .map(|sample| g711::ulaw_encode(round(*sample)))
            .collect();
        let item = ItemKey::from("speech");
        for part in far.chunks(SECOND) {
            bench.stream.playout().push(&item, part).unwrap();
        }
        bench.start();
        Self {
            bench,
            line,
            paths: [line.seed, line.seed + 1_000].map(|seed| Line::hybrid(seed, line.loss_db)),
            told: Vec::new(),
            random: Random(line.seed + 5),
            frames: 0,
            echo: Vec::new(),
            near: Vec::new(),
        }
    }

    /// 20 ms of the call.
    pub fn step(&mut self, near: &[f32]) {
        let index = self.frames;
        self.bench.go(index as u64 * 20);
        while self.told.len() < (index + 1) * FRAME {
            let sent = self.told.len() / FRAME;
            let payload = &self.bench.sent[sent].1[12..];
            self.told.extend(
                payload
                    .iter()
                    .map(|byte| f32::from(g711::ulaw_decode(*byte))),
            );
        }
        let mut coded = Vec::with_capacity(FRAME);
        for place in index * FRAME..(index + 1) * FRAME {
            let echo = self.echo_at(place);
            let near = near.get(place - index * FRAME).copied().unwrap_or(0.0);
            // The line's own hiss.
            let hiss = 8.0 * (unit(&mut self.random) - 0.5);
            coded.push(g711::ulaw_encode(round(echo + near + hiss)));
            self.echo.push(echo);
            self.near.push(near);
        }
        let number = u16::try_from(index).unwrap();
        self.bench
            .receive(&rtp(number, u32::from(number) * 160, 7, &coded));
        self.frames += 1;
    }

    fn echo_at(&self, place: usize) -> f32 {
        let changed = self.line.change.is_some_and(|at| place >= at);
        let (path, delay) = if changed {
            (&self.paths[1], self.line.delay + 17)
        } else {
            (&self.paths[0], self.line.delay)
        };
        let sum = path.iter().zip(0..).map(|(tap, back): (&f32, usize)| {
            let at = place as f64 * (1.0 - self.line.skew) - (delay + back) as f64;
            let whole = at.floor();
            if whole < 0.0 {
                return 0.0;
            }
            let (first, part) = (whole as usize, (at - whole) as f32);
            let here = self.told[first];
            let next = self.told.get(first + 1).copied().unwrap_or(here);
            tap * (here + part * (next - here))
        });
        sum.sum()
    }

    pub fn finish(self) -> Run {
        let frames = &self.bench.frames;
        let out = frames.iter().flat_map(|frame| frame.audio.iter());
        let keys = self.bench.events.iter().filter_map(|event| {
            if let media::StreamEvent::Dtmf { digit, .. } = event {
                Some(*digit)
            } else {
                None
            }
        });
        Run {
            out: out
                .map(|byte| f32::from(g711::ulaw_decode(*byte)))
                .collect(),
            keys: keys.collect(),
            statistics: self.bench.statistics(),
            echo: self.echo,
            near: self.near,
        }
    }
}

/// A whole call.
pub fn run(line: Line, treatment: Treatment, far: &[f32], near: &[f32]) -> Run {
    let mut call = Call::new(line, treatment, far);
    for index in 0..far.len() / FRAME {
        let from = (index * FRAME).min(near.len());
        let to = (from + FRAME).min(near.len());
        call.step(&near[from..to]);
    }
    call.finish()
}

pub fn round(sample: f32) -> i16 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to 16 bits")]
    let sample = sample.round().clamp(-32_000.0, 32_000.0) as i16;
    sample
}

/// Sounds of the product, one after the other for so many seconds, at a level, at another speed of speech and pitch.
pub fn voice(names: &[&str], seconds: usize, rms: f32, pace: f64) -> Vec<f32> {
    let mut samples = Vec::new();
    for name in names {
        let path = format!(
            "{}/../../assets/sounds/{name}.ulaw",
            env!("CARGO_MANIFEST_DIR")
        );
        let coded = std::fs::read(path).unwrap();
        samples.extend(coded.iter().map(|byte| f32::from(g711::ulaw_decode(*byte))));
    }
    let count = (samples.len() as f64 / pace) as usize - 1;
    let paced: Vec<f32> = (0..count)
        .map(|place| {
            let at = place as f64 * pace;
            let (first, part) = (at as usize, (at - at.floor()) as f32);
            samples[first] * (1.0 - part) + samples[first + 1] * part
        })
        .collect();
    let size = (energy(&paced) / paced.len() as f32).sqrt();
    let whole = paced.iter().cycle().take(seconds * SECOND);
    whole.map(|sample| sample * rms / size).collect()
}

/// What an agent says: some -22 dBov.
pub fn agent(seconds: usize) -> Vec<f32> {
    voice(
        &["en/apology", "fr/apology", "en/one-moment"],
        seconds,
        2_600.0,
        1.0,
    )
}
