//! The remote play queue: what a carrier does with the audio that it is sent. It keeps everything and plays it in real time, tells
//! each mark once everything before it was played, and tells all of them at once when it is cleared.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media::{Law, g711, level};

/// Bytes of one tick, 20 ms of G.711.
pub(super) const TICK_BYTES: usize = 160;
/// A hole shorter than this is an underrun; a longer one is a pause between two things that are said (the agent's answer to what the
/// caller did comes after about half a second). Whether all was played that should have been is told by the sum of what was played.
const HOLE_MAX: Duration = Duration::from_millis(400);
/// Louder than this is somebody speaking, -dBov.
const LOUD: u8 = 45;
/// Quiet for this long ends a stretch of sound.
const STRETCH_ENDS_AFTER: Duration = Duration::from_millis(60);
/// Stretches that are kept.
const STRETCHES_MAX: usize = 4_096;

/// An uninterrupted stretch of sound, in milliseconds since the stream began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Stretch {
    /// Its first loud 20 ms.
    pub from_ms: u64,
    /// The end of its last loud 20 ms.
    pub to_ms: u64,
}

#[derive(Debug)]
enum Entry {
    Audio(VecDeque<u8>),
    Mark(String),
}

/// See the module.
#[derive(Debug)]
pub(super) struct PlayQueue {
    began: Instant,
    entries: VecDeque<Entry>,
    queued: usize,
    dry_since: Option<Instant>,
    pub(super) played: u64,
    pub(super) underruns: u64,
    pub(super) holes_ms: Vec<u64>,
    pub(super) deepest_ms: u64,
    pub(super) stretches: Vec<Stretch>,
    sounding: Option<Stretch>,
}

impl PlayQueue {
    pub(super) fn new(began: Instant) -> Self {
        Self {
            began,
            entries: VecDeque::new(),
            queued: 0,
            dry_since: None,
            played: 0,
            underruns: 0,
            holes_ms: Vec::new(),
            deepest_ms: 0,
            stretches: Vec::new(),
            sounding: None,
        }
    }

    /// Audio came.
    pub(super) fn push(&mut self, now: Instant, audio: Vec<u8>) {
        if audio.is_empty() {
            return;
        }
        if let Some(since) = self.dry_since.take() {
            let hole = now.saturating_duration_since(since);
            if hole < HOLE_MAX {
                self.underruns += 1;
                self.holes_ms.push(as_ms(hole));
            }
        }
        self.queued += audio.len();
        self.deepest_ms = self.deepest_ms.max(self.queued as u64 / 8);
        self.entries.push_back(Entry::Audio(audio.into()));
    }

    /// A mark came; true when it is to be told at once.
    pub(super) fn mark(&mut self, name: String) -> Option<String> {
        if self.entries.is_empty() {
            return Some(name);
        }
        self.entries.push_back(Entry::Mark(name));
        None
    }

    /// Forgets everything; the marks that are told for it.
    pub(super) fn clear(&mut self) -> Vec<String> {
        self.queued = 0;
        self.dry_since = None;
        let marks = self.entries.drain(..).filter_map(|entry| match entry {
            Entry::Mark(name) => Some(name),
            Entry::Audio(_) => None,
        });
        marks.collect()
    }

    /// Plays 20 ms; the marks that were reached.
    pub(super) fn tick(&mut self, at: Instant) -> Vec<String> {
        let mut marks = Vec::new();
        let mut frame = [Law::Pcmu.silence(); TICK_BYTES];
        let mut filled = 0;
        while let Some(entry) = self.entries.front_mut() {
            match entry {
                Entry::Mark(_) => {
                    if let Some(Entry::Mark(name)) = self.entries.pop_front() {
                        marks.push(name);
                    }
                }
                Entry::Audio(_) if filled == TICK_BYTES => break,
                Entry::Audio(audio) => {
                    while filled < TICK_BYTES
                        && let Some(byte) = audio.pop_front()
                    {
                        frame[filled] = byte;
                        filled += 1;
                    }
                    if audio.is_empty() {
                        self.entries.pop_front();
                    }
                }
            }
        }
        self.queued -= filled;
        self.played += filled as u64;
        if filled > 0 && self.queued == 0 {
            let left = Duration::from_micros(filled as u64 * 125);
            self.dry_since = Some(at + left);
        }
        self.listen(at, &frame);
        marks
    }

    fn listen(&mut self, at: Instant, frame: &[u8; TICK_BYTES]) {
        let mut samples = [0; TICK_BYTES];
        g711::decode_into(Law::Pcmu, frame, &mut samples);
        let now_ms = as_ms(at.saturating_duration_since(self.began));
        if level::dbov(&samples) < LOUD {
            let from_ms = self.sounding.map_or(now_ms, |sounding| sounding.from_ms);
            self.sounding = Some(Stretch {
                from_ms,
                to_ms: now_ms + 20,
            });
        } else if let Some(sounding) = self.sounding
            && now_ms >= sounding.to_ms + as_ms(STRETCH_ENDS_AFTER)
        {
            self.end_stretch();
        }
    }

    fn end_stretch(&mut self) {
        if let Some(sounding) = self.sounding.take()
            && self.stretches.len() < STRETCHES_MAX
        {
            self.stretches.push(sounding);
        }
    }

    /// The stretch that sounds now.
    pub(super) fn sounding(&self) -> Option<Stretch> {
        self.sounding
    }

    /// The stream is over.
    pub(super) fn finish(&mut self) {
        self.end_stretch();
    }
}

pub(super) fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_when_played_and_all_at_once_when_cleared() {
        let start = Instant::now();
        let tick = Duration::from_millis(20);
        let mut queue = PlayQueue::new(start);
        assert_eq!(queue.mark("first".to_owned()), Some("first".to_owned()));
        queue.push(start, vec![0; 2 * TICK_BYTES]);
        assert_eq!(queue.mark("second".to_owned()), None);
        queue.push(start, vec![0; TICK_BYTES]);
        assert_eq!(queue.mark("third".to_owned()), None);
        assert!(queue.tick(start).is_empty());
        assert_eq!(queue.tick(start + tick), ["second"]);
        assert_eq!(queue.clear(), ["third"]);
        assert_eq!(queue.played, 2 * TICK_BYTES as u64);
    }

    #[test]
    fn a_hole_is_an_underrun_and_a_pause_is_none() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut queue = PlayQueue::new(start);
        queue.push(start, vec![0; TICK_BYTES]);
        queue.tick(start);
        queue.push(start + ms(60), vec![0; TICK_BYTES]);
        assert_eq!((queue.underruns, queue.holes_ms.clone()), (1, vec![40]));
        queue.tick(start + ms(60));
        queue.push(start + ms(2_000), vec![0; TICK_BYTES]);
        assert_eq!(queue.underruns, 1);
        queue.tick(start + ms(2_000));
        queue.clear();
        queue.push(start + ms(2_100), vec![0; TICK_BYTES]);
        assert_eq!(queue.underruns, 1, "what follows a clear is something else");
    }
}
