//! What the carrier has played, from what it was sent, when, and from the marks that it echoes.
//!
//! Positions are samples of everything that was ever sent. A *run* is audio that the carrier plays without a pause. The first
//! message of a run and a later `clear` take the same way to the carrier, so what a `clear` that leaves now will cut at is simply
//! the time since the run began, and needs no knowledge of the network. The echoes of marks correct that: they prove what was
//! played, and show where the carrier is behind (it was starved, or the network stalled).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::MARKS_MAX;

/// Echoes that must all be late before the run is taken to be behind: one alone is jitter.
const LATE_ECHOES: usize = 4;
/// How long after its time an echo may come before its audio counts as not played.
const OVERDUE: Duration = Duration::from_millis(400);
/// How long after its time an echo that does not come at all is waited for: then the clock alone decides.
const GIVE_UP: Duration = Duration::from_secs(2);

/// A mark that was sent.
#[derive(Debug)]
struct Mark {
    number: u64,
    /// Everything before this position was played once it is echoed.
    position: u64,
    /// When its audio has been played by the clock.
    due: Instant,
}

#[derive(Debug)]
struct Run {
    began: Instant,
    /// Position of its first sample.
    from: u64,
    /// How much later than its echoes allow at best the carrier plays.
    behind: Duration,
    /// Lateness of the latest echoes.
    late: VecDeque<Duration>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct PlayClock {
    /// Everything sent and not cleared.
    sent: u64,
    proven: u64,
    run: Option<Run>,
    marks: VecDeque<Mark>,
    next_mark: u64,
    /// Marks below this number were sent before the last clear.
    first_mark: u64,
    /// Shortest time from the end of a mark's audio to its echo: the way there and back.
    way: Option<Duration>,
    /// Echoes that prove nothing, or that nobody waited for.
    pub(super) stray_marks: u64,
}

fn samples(time: Duration) -> u64 {
    u64::try_from(time.as_micros() / 125).unwrap_or(u64::MAX)
}

fn time(samples: u64) -> Duration {
    Duration::from_micros(samples.saturating_mul(125))
}

impl PlayClock {
    /// Position that the carrier plays at, by the clock; `None` when it has nothing to play.
    fn running(&self, now: Instant) -> Option<u64> {
        let run = self.run.as_ref()?;
        let played = now
            .saturating_duration_since(run.began)
            .saturating_sub(run.behind);
        let position = run.from.saturating_add(samples(played));
        (position < self.sent).then_some(position)
    }

    /// What the caller has heard.
    pub(super) fn heard(&self, now: Instant) -> u64 {
        let by_clock = self.running(now).unwrap_or(self.sent);
        let overdue = self.way.and_then(|way| {
            self.marks
                .front()
                .filter(|mark| mark.due + way + OVERDUE <= now)
                .filter(|mark| now < mark.due + way + GIVE_UP)
        });
        let heard = overdue.map_or(by_clock, |mark| by_clock.min(mark.position));
        heard.max(self.proven)
    }

    /// What is proven to have been played, or counts as proven since no echo came in time.
    pub(super) fn proven(&self, now: Instant) -> u64 {
        if self.marks.is_empty() {
            // Without a mark behind the last audio nothing will prove it.
            return if self.running(now).is_none() {
                self.sent
            } else {
                self.proven
            };
        }
        let given_up = self
            .marks
            .iter()
            .take_while(|mark| mark.due + GIVE_UP <= now)
            .last();
        given_up.map_or(self.proven, |mark| mark.position.max(self.proven))
    }

    /// When [`PlayClock::proven`] changes by time alone.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        self.marks.front().map(|mark| mark.due + GIVE_UP)
    }

    /// Samples that were sent and are not played yet.
    pub(super) fn ahead(&self, now: Instant) -> u64 {
        self.running(now)
            .map_or(0, |position| self.sent.saturating_sub(position))
    }

    /// When [`PlayClock::ahead`] will be no more than `left`.
    pub(super) fn when_ahead(&self, left: u64) -> Option<Instant> {
        let run = self.run.as_ref()?;
        let position = self.sent.saturating_sub(left).max(run.from);
        Some(run.began + run.behind + time(position - run.from))
    }

    /// When `position` will have been heard, by the clock.
    pub(super) fn when_heard(&self, position: u64) -> Option<Instant> {
        let run = self.run.as_ref()?;
        (position > run.from).then(|| run.began + run.behind + time(position - run.from))
    }

    /// Audio leaves now.
    pub(super) fn send(&mut self, now: Instant, samples: u64) {
        if self.running(now).is_none() {
            self.run = Some(Run {
                began: now,
                from: self.sent,
                behind: Duration::ZERO,
                late: VecDeque::with_capacity(LATE_ECHOES),
            });
        }
        self.sent += samples;
    }

    /// A mark leaves now, behind everything sent; its number.
    pub(super) fn mark(&mut self, now: Instant) -> u64 {
        let number = self.next_mark;
        self.next_mark += 1;
        if self.marks.len() >= MARKS_MAX {
            self.marks.pop_front();
        }
        let due = self.when_heard(self.sent).unwrap_or(now).max(now);
        self.marks.push_back(Mark {
            number,
            position: self.sent,
            due,
        });
        number
    }

    /// A mark came back.
    pub(super) fn echoed(&mut self, now: Instant, number: u64) {
        if number < self.first_mark || !self.marks.iter().any(|mark| mark.number == number) {
            self.stray_marks += 1;
            return;
        }
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.number <= number) {
            self.proven = self.proven.max(mark.position);
            if mark.number != number {
                continue;
            }
            let Some(run) = &mut self.run else { continue };
            if mark.position <= run.from {
                continue;
            }
            let expected = run.began + time(mark.position - run.from);
            let took = now.saturating_duration_since(expected);
            let way = self.way.map_or(took, |way| way.min(took));
            self.way = Some(way);
            if run.late.len() >= LATE_ECHOES {
                run.late.pop_front();
            }
            run.late.push_back(took - way);
            run.behind = if run.late.len() < LATE_ECHOES {
                Duration::ZERO
            } else {
                run.late.iter().min().copied().unwrap_or_default()
            };
        }
    }

    /// A `clear` leaves now: the position that it cuts at. No mark sent so far proves anything from here on.
    pub(super) fn clear(&mut self, now: Instant) -> u64 {
        let heard = self.heard(now);
        self.sent = heard;
        self.proven = heard;
        self.run = None;
        self.marks.clear();
        self.first_mark = self.next_mark;
        heard
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    const MS: u64 = 8;

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do, and there is no other way to make one"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn what_a_clear_cuts_at_is_the_time_since_the_run_began() {
        let start = start();
        let mut clock = PlayClock::default();
        clock.send(start, 200 * MS);
        clock.send(start + ms(100), 200 * MS);
        assert_eq!(clock.heard(start + ms(250)), 250 * MS);
        assert_eq!(clock.ahead(start + ms(250)), 150 * MS);
        assert_eq!(clock.clear(start + ms(260)), 260 * MS);
        assert_eq!(clock.heard(start + ms(9_000)), 260 * MS);
        assert_eq!(clock.ahead(start + ms(261)), 0);
    }

    #[test]
    fn a_pause_begins_a_new_run() {
        let start = start();
        let mut clock = PlayClock::default();
        clock.send(start, 100 * MS);
        assert_eq!(clock.heard(start + ms(5_000)), 100 * MS);
        clock.send(start + ms(5_000), 100 * MS);
        assert_eq!(clock.heard(start + ms(5_050)), 150 * MS);
        assert_eq!(clock.heard(start + ms(6_000)), 200 * MS);
    }

    #[test]
    fn marks_prove_and_those_before_a_clear_prove_nothing() {
        let start = start();
        let mut clock = PlayClock::default();
        clock.send(start, 100 * MS);
        let first = clock.mark(start);
        clock.send(start, 100 * MS);
        let second = clock.mark(start);
        assert_eq!(clock.proven(start + ms(150)), 0);
        clock.echoed(start + ms(130), first);
        assert_eq!(clock.proven(start + ms(150)), 100 * MS);
        assert_eq!(clock.clear(start + ms(150)), 150 * MS);
        // The carrier echoes every outstanding mark at once after a clear.
        clock.echoed(start + ms(170), second);
        assert_eq!(
            (clock.proven(start + ms(180)), clock.stray_marks),
            (150 * MS, 1)
        );
        clock.echoed(start + ms(170), 77);
        assert_eq!(clock.stray_marks, 2);
    }

    #[test]
    fn an_echo_that_never_comes_is_given_up() {
        let start = start();
        let mut clock = PlayClock::default();
        clock.send(start, 100 * MS);
        clock.mark(start);
        assert_eq!(clock.proven(start + ms(2_000)), 0);
        assert_eq!(clock.gives_up_at(), Some(start + ms(2_100)));
        assert_eq!(clock.proven(start + ms(2_100)), 100 * MS);
    }

    #[test]
    fn a_carrier_that_is_behind_is_noticed_and_one_late_echo_is_not() {
        let start = start();
        let mut clock = PlayClock::default();
        let mut marks = Vec::new();
        clock.send(start, 100 * MS);
        marks.push(clock.mark(start));
        for part in 0..19 {
            clock.send(start + ms(part * 100), 100 * MS);
            marks.push(clock.mark(start + ms(part * 100)));
        }
        // A way of 40 ms there and back; the third echo is late by itself.
        for (part, late, mark) in [(1, 0, 0), (2, 0, 1), (3, 80, 2), (4, 0, 3)] {
            clock.echoed(start + ms(part * 100 + 40 + late), marks[mark]);
        }
        assert_eq!(clock.heard(start + ms(500)), 500 * MS);
        // From here on everything is 300 ms late: the carrier had nothing to play for as long.
        for (part, mark) in [(5, 4), (6, 5), (7, 6), (8, 7)] {
            clock.echoed(start + ms(part * 100 + 340), marks[mark]);
        }
        assert_eq!(clock.heard(start + ms(1_200)), 900 * MS);
    }
}
