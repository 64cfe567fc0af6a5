//! Several people on one line: each hears all the others.
//!
//! A [`Mixer`] has a seat for each of them. What comes from a seat waits there, so that frames which come unevenly are heard evenly;
//! each tick takes 20 ms of every seat, and a listener is told which seats to hear. Audio is linear at 16 kHz. Nothing is allocated
//! once a mixer is made.

use std::collections::VecDeque;

use crate::frame::FRAME_SAMPLES_MAX;

/// Sound that is gathered before a seat is heard, at the beginning and after a gap, samples (40 ms).
const AHEAD_SAMPLES: usize = 2 * FRAME_SAMPLES_MAX;
/// Most sound that waits at a seat, samples (200 ms); what would wait longer is dropped. Two clocks that drift apart are kept
/// together by it.
pub const WAITING_SAMPLES_MAX: usize = 10 * FRAME_SAMPLES_MAX;
/// Up to here a sum is what it is (2.7 dB below the loudest); above it is bent, and comes near the loudest without reaching it.
const KNEE: i32 = 24_000;
const LOUDEST: i32 = 32_767;

/// 20 ms of linear sound at 16 kHz.
pub type MixFrame = [i16; FRAME_SAMPLES_MAX];

/// The sum of two or more samples, limited softly: one voice passes unchanged, and two loud ones do not crackle.
#[must_use]
pub fn limited(sum: i32) -> i16 {
    let magnitude = sum.saturating_abs();
    if magnitude <= KNEE {
        return i16::try_from(sum).unwrap_or_default();
    }
    let (over, room) = (i64::from(magnitude - KNEE), i64::from(LOUDEST - KNEE));
    let bent = i64::from(KNEE) + room * over / (over + room);
    let bent = i16::try_from(bent).unwrap_or(i16::MAX);
    if sum < 0 { -bent } else { bent }
}

#[derive(Debug)]
struct Seat {
    waiting: VecDeque<i16>,
    /// Enough was gathered: it is heard.
    heard: bool,
    /// The 20 ms of this tick.
    frame: MixFrame,
    dropped: u64,
}

impl Seat {
    fn new() -> Self {
        Self {
            waiting: VecDeque::with_capacity(WAITING_SAMPLES_MAX),
            heard: false,
            frame: [0; FRAME_SAMPLES_MAX],
            dropped: 0,
        }
    }

    fn tick(&mut self) {
        self.heard = if self.heard {
            self.waiting.len() >= FRAME_SAMPLES_MAX
        } else {
            self.waiting.len() >= AHEAD_SAMPLES
        };
        if self.heard {
            let taken = self.waiting.drain(..FRAME_SAMPLES_MAX);
            for (to, from) in self.frame.iter_mut().zip(taken) {
                *to = from;
            }
        } else {
            self.frame.fill(0);
        }
    }
}

/// See the module. `N` is how many seats there are.
#[derive(Debug)]
pub struct Mixer<const N: usize> {
    seats: [Seat; N],
}

impl<const N: usize> Default for Mixer<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Mixer<N> {
    /// A mixer with empty seats.
    #[must_use]
    pub fn new() -> Self {
        Self {
            seats: std::array::from_fn(|_| Seat::new()),
        }
    }

    /// Sound of a seat, of any length. What finds no room is dropped; a seat that is not there says nothing.
    pub fn push(&mut self, seat: usize, samples: impl IntoIterator<Item = i16>) {
        let Some(seat) = self.seats.get_mut(seat) else {
            return;
        };
        for sample in samples {
            if seat.waiting.len() < WAITING_SAMPLES_MAX {
                seat.waiting.push_back(sample);
            } else {
                seat.dropped += 1;
            }
        }
    }

    /// Takes the next 20 ms of every seat.
    pub fn tick(&mut self) {
        for seat in &mut self.seats {
            seat.tick();
        }
    }

    /// What is heard of some of the seats in this tick.
    pub fn hear(&self, hears: impl Fn(usize) -> bool, out: &mut MixFrame) {
        for (at, sample) in out.iter_mut().enumerate() {
            let heard = self.seats.iter().enumerate();
            let heard = heard.filter(|(seat, _)| hears(*seat));
            let sum = heard.map(|(_, seat)| i32::from(seat.frame.get(at).copied().unwrap_or(0)));
            *sample = limited(sum.sum());
        }
    }

    /// Sound that found no room, of all seats, ms.
    #[must_use]
    pub fn dropped_ms(&self) -> u64 {
        self.seats.iter().map(|seat| seat.dropped).sum::<u64>() / 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resample::Rate;
    use crate::tone::{Sine, goertzel_at, purity_at};

    const HERTZ: [f32; 4] = [400.0, 700.0, 1_100.0, 1_700.0];

    /// What each of four people hears of the other three, a second of it, each saying a note of their own.
    fn conference(amplitude: f32) -> [Vec<i16>; 4] {
        let mut mixer: Mixer<4> = Mixer::new();
        let mut notes = HERTZ.map(|hertz| Sine::at(Rate::Hz16000, hertz, amplitude));
        let mut heard: [Vec<i16>; 4] = Default::default();
        for _ in 0..53 {
            for (seat, note) in notes.iter_mut().enumerate() {
                let mut frame = [0; FRAME_SAMPLES_MAX];
                note.fill(&mut frame);
                mixer.push(seat, frame);
            }
            mixer.tick();
            for (seat, heard) in heard.iter_mut().enumerate() {
                let mut frame = [0; FRAME_SAMPLES_MAX];
                mixer.hear(|other| other != seat, &mut frame);
                heard.extend(frame);
            }
        }
        // Not the gathering at the beginning.
        heard.map(|heard| heard[3 * FRAME_SAMPLES_MAX..].to_vec())
    }

    #[test]
    fn each_hears_all_the_others_and_not_themselves() {
        let heard = conference(4_000.0);
        for (seat, heard) in heard.iter().enumerate() {
            let powers = HERTZ.map(|hertz| goertzel_at(Rate::Hz16000, heard, hertz));
            let own = powers[seat];
            for (other, power) in powers
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != seat)
            {
                assert!(own < power / 1_000.0, "{seat} hears itself: {powers:?}");
                let equal = powers[(seat + 1) % 4];
                assert!((0.9..1.1).contains(&(power / equal)), "{other}: {powers:?}");
            }
        }
    }

    #[test]
    fn three_loud_voices_do_not_wrap() {
        for heard in conference(30_000.0) {
            let jump = heard.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max();
            // A sum that wrapped would jump by the whole range from one sample to the next.
            assert!(jump.expect("samples") < 45_000, "{jump:?}");
            let loudest = heard.iter().map(|one| one.unsigned_abs()).max();
            assert!((24_000..=32_767).contains(&loudest.expect("samples")));
        }
    }

    #[test]
    fn one_voice_passes_as_it_is() {
        let mut mixer: Mixer<3> = Mixer::new();
        let mut said = vec![0; 20 * FRAME_SAMPLES_MAX];
        Sine::at(Rate::Hz16000, 500.0, 23_900.0).fill(&mut said);
        let mut heard = Vec::new();
        // In pieces that are no frames.
        let mut pieces = said.chunks(137);
        for _ in 0..20 {
            for piece in pieces.by_ref().take(3) {
                mixer.push(1, piece.iter().copied());
            }
            mixer.tick();
            let mut frame = [0; FRAME_SAMPLES_MAX];
            mixer.hear(|seat| seat != 0, &mut frame);
            heard.extend(frame);
        }
        let begins = heard.iter().position(|sample| *sample != 0).expect("sound") - 1;
        let len = heard.len() - begins;
        assert_eq!(heard[begins..], said[..len]);
        assert!(purity_at(Rate::Hz16000, &heard[begins..], 500.0) > 0.99);
    }

    #[test]
    fn the_limiter_is_even_rises_and_never_reaches_the_end() {
        let mut before = limited(-200_000);
        for sum in (-199_999..=200_000).step_by(7) {
            let now = limited(sum);
            assert!(now >= before, "{sum}");
            assert_eq!(now, -limited(-sum), "{sum}");
            before = now;
        }
        assert_eq!((limited(24_000), limited(-1)), (24_000, -1));
        // The knee has no corner: a step of one stays a step of one.
        assert_eq!(limited(24_010) - limited(24_000), 9);
        assert_eq!(limited(i32::MIN), -limited(i32::MAX));
    }

    #[test]
    fn what_waits_is_bounded_and_a_gap_is_gathered_for_again() {
        let mut mixer: Mixer<2> = Mixer::new();
        for _ in 0..50 {
            mixer.push(0, [1_000; FRAME_SAMPLES_MAX]);
        }
        assert_eq!(mixer.dropped_ms(), 40 * 20);
        let mut frame = [0; FRAME_SAMPLES_MAX];
        let mut sounding = 0;
        for _ in 0..30 {
            mixer.tick();
            mixer.hear(|_| true, &mut frame);
            sounding += usize::from(frame[0] != 0);
        }
        assert_eq!(sounding, 10);
        mixer.push(0, [1_000; FRAME_SAMPLES_MAX]);
        mixer.tick();
        mixer.hear(|_| true, &mut frame);
        assert_eq!(frame[0], 0, "one frame is not enough to begin with");
        mixer.push(0, [1_000; FRAME_SAMPLES_MAX]);
        mixer.tick();
        mixer.hear(|_| true, &mut frame);
        assert_eq!(frame[0], 1_000);
        // Nobody sits there.
        mixer.push(7, [1; 3]);
    }
}
