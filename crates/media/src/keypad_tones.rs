//! Keypad tones in the audio itself (ITU-T Q.23): made, and found as ITU-T Q.24 asks, but for presses of 40 to 45 ms.
//!
//! The detector compares the energy of the eight frequencies in blocks of 12.75 ms with the energy of everything. A voice has
//! harmonics beside any two of them, and hardly ever holds two pure ones at the same two levels from one block to the next: that
//! is its protection against talk-off.

use std::collections::VecDeque;

use crate::dtmf;
use crate::resample::Rate;
use crate::tone::Sine;

/// Frequencies of the rows, Hz.
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
/// Frequencies of the columns, Hz.
const COLUMNS: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
/// The keys by row and column.
const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];
/// Peaks of the two tones that are made: about -9 and -8 dBm0.
const ROW_PEAK: f32 = 8_000.0;
const COLUMN_PEAK: f32 = 9_000.0;
/// Samples of a block at 8 kHz.
const BLOCK: usize = 102;
/// Blocks in which a key must be heard, one after the other: a press of 45 ms always has as many, one of 23 ms never.
const BLOCKS_MIN: u32 = 3;
/// Blocks without it that end a press.
const GAP_BLOCKS: u32 = 2;
/// Peak of the weaker tone that is believed: about -38 dBm0.
const PEAK_MIN: f32 = 260.0;
/// How much of all the energy lies in the two tones; those that are 1.5 % beside their frequencies lose up to a fifth of their own.
const SHARE_MIN: f32 = 0.82;
/// How much each tone may change from one block to the next where it is to be a key's, as a ratio of energies (1.5 dB).
const STEADY: f32 = 1.41;
/// How much a tone is above its neighbours, as a ratio of energies (8 dB).
const ABOVE_OTHERS: f32 = 6.3;
/// How much weaker the column may be than the row (8 dB), and the row than the column (6 dB).
const TWIST_COLUMN: f32 = 6.3;
const TWIST_ROW: f32 = 4.0;
/// Presses that may wait to be taken.
const PRESSES_MAX: usize = 16;

/// The two tones of a key.
#[derive(Debug, Clone)]
pub struct KeyTones {
    row: Sine,
    column: Sine,
}

impl KeyTones {
    /// Of a digit, any case; `None` for what is no key.
    #[must_use]
    pub fn new(rate: Rate, digit: char) -> Option<Self> {
        let digit = digit.to_ascii_uppercase();
        KEYS.iter().zip(ROWS).find_map(|(keys, row)| {
            let column = keys.iter().position(|key| *key == digit)?;
            Some(Self {
                row: Sine::at(rate, row, ROW_PEAK),
                column: Sine::at(rate, COLUMNS[column], COLUMN_PEAK),
            })
        })
    }

    /// The next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            let (mut row, mut column) = ([0], [0]);
            self.row.fill(&mut row);
            self.column.fill(&mut column);
            *sample = row[0].saturating_add(column[0]);
        }
    }
}

/// A running Goertzel filter.
#[derive(Debug, Clone, Copy, Default)]
struct Filter {
    coefficient: f32,
    last: f32,
    before: f32,
}

impl Filter {
    fn new(rate: Rate, hertz: f32) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a rate is a small number")]
        let step = std::f32::consts::TAU * hertz / rate.hz() as f32;
        Self {
            coefficient: 2.0 * step.cos(),
            ..Self::default()
        }
    }

    fn push(&mut self, sample: f32) {
        let next = sample + self.coefficient * self.last - self.before;
        self.before = self.last;
        self.last = next;
    }

    fn take(&mut self) -> f32 {
        let power = self.last * self.last + self.before * self.before
            - self.coefficient * self.last * self.before;
        self.last = 0.0;
        self.before = 0.0;
        power
    }
}

/// What is being heard.
#[derive(Debug, Clone, Copy)]
struct Heard {
    key: char,
    /// Energies of its row and column in the latest block.
    powers: [f32; 2],
    blocks: u32,
    missed: u32,
    reported: bool,
}

/// Finds keys in a caller's audio.
#[derive(Debug, Clone)]
pub struct KeyDetector {
    rate: Rate,
    block: usize,
    rows: [Filter; 4],
    columns: [Filter; 4],
    energy: f32,
    count: usize,
    heard: Option<Heard>,
    out: VecDeque<(char, u32)>,
}

impl KeyDetector {
    /// For audio of a rate.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let scale = usize::try_from(rate.hz() / 8_000).unwrap_or(1);
        Self {
            rate,
            block: BLOCK * scale,
            rows: ROWS.map(|hertz| Filter::new(rate, hertz)),
            columns: COLUMNS.map(|hertz| Filter::new(rate, hertz)),
            energy: 0.0,
            count: 0,
            heard: None,
            out: VecDeque::with_capacity(PRESSES_MAX),
        }
    }

    /// The rate that it was made for.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes the next samples.
    pub fn push(&mut self, samples: &[i16]) {
        for sample in samples {
            let sample = f32::from(*sample);
            self.energy += sample * sample;
            for filter in self.rows.iter_mut().chain(&mut self.columns) {
                filter.push(sample);
            }
            self.count += 1;
            if self.count == self.block {
                let key = self.judge();
                self.follow(key);
                self.count = 0;
                self.energy = 0.0;
            }
        }
    }

    /// A key that was released, and how long it was pressed, ms.
    pub fn poll(&mut self) -> Option<(char, u32)> {
        self.out.pop_front()
    }

    fn judge(&mut self) -> Option<(char, [f32; 2])> {
        let rows = self.rows.each_mut().map(Filter::take);
        let columns = self.columns.each_mut().map(Filter::take);
        let (row, row_power) = strongest(&rows)?;
        let (column, column_power) = strongest(&columns)?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a block has a few hundred samples"
        )]
        let half = self.block as f32 / 2.0;
        let least = (PEAK_MIN * half).powi(2);
        let audible = row_power >= least && column_power >= least;
        let even =
            row_power <= column_power * TWIST_COLUMN && column_power <= row_power * TWIST_ROW;
        let pure = (row_power + column_power) / half >= SHARE_MIN * self.energy;
        (audible && even && pure).then(|| (KEYS[row][column], [row_power, column_power]))
    }

    fn follow(&mut self, key: Option<(char, [f32; 2])>) {
        match (&mut self.heard, key) {
            (Some(heard), Some((key, powers))) if heard.key == key => {
                let pairs = powers.iter().zip(heard.powers);
                let steady = pairs
                    .map(|(now, before)| now / before)
                    .all(|change| (1.0 / STEADY..STEADY).contains(&change));
                heard.powers = powers;
                heard.blocks += 1 + std::mem::take(&mut heard.missed);
                heard.reported |= heard.blocks >= BLOCKS_MIN && steady;
            }
            (Some(heard), None) if heard.missed + 1 < GAP_BLOCKS => heard.missed += 1,
            (_, key) => {
                self.release();
                self.heard = key.map(|(key, powers)| Heard {
                    key,
                    powers,
                    blocks: 1,
                    missed: 0,
                    reported: false,
                });
            }
        }
    }

    fn release(&mut self) {
        if let Some(heard) = self.heard.take()
            && heard.reported
            && self.out.len() < PRESSES_MAX
        {
            self.out.push_back((heard.key, heard.blocks * 51 / 4));
        }
    }
}

/// The strongest of four, where it stands out.
fn strongest(powers: &[f32; 4]) -> Option<(usize, f32)> {
    let (place, power) = powers
        .iter()
        .copied()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    let alone = powers
        .iter()
        .enumerate()
        .all(|(other, weaker)| other == place || weaker * ABOVE_OTHERS < power);
    alone.then_some((place, power))
}

/// Whether a character is a key of a telephone.
#[must_use]
pub fn is_key(digit: char) -> bool {
    dtmf::event_of(digit).is_some()
}
