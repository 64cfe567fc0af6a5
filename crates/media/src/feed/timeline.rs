//! Which item lies where in what was handed to the carrier, and what is reported when that is heard.

use std::collections::VecDeque;

use super::Position;
use crate::frame::SAMPLES_PER_MS;
use crate::playout::{ITEMS_MAX, ItemKey, Played, PlayoutEvent};
use crate::stream::StreamEvent;

/// Pieces of items that are remembered; an item has one, and one more for each time it ran dry.
const PIECES_MAX: usize = 4 * ITEMS_MAX;
/// Events that wait to be heard; each item makes a few.
const WAITING_MAX: usize = 8 * ITEMS_MAX;

/// Consecutive audio of one item.
#[derive(Debug)]
struct Piece {
    key: ItemKey,
    /// Position of its first sample.
    from: u64,
    len: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Samples handed over, less those that were cleared before they were heard.
    pub(super) handed: u64,
    /// Samples handed over, all of them.
    pub(super) handed_ever: u64,
    pieces: VecDeque<Piece>,
    waiting: VecDeque<(u64, PlayoutEvent)>,
    /// End of the item's audio that was noted last.
    end: u64,
    pub(super) underruns: u32,
}

impl Timeline {
    /// `len` samples of an item lie from `at` on.
    pub(super) fn note(&mut self, key: &ItemKey, at: u64, len: usize) {
        let len = len as u64;
        self.end = at + len;
        self.handed_ever += len;
        match self.pieces.back_mut() {
            Some(last) if last.key == *key && last.from + last.len == at => last.len += len,
            _ => {
                if self.pieces.len() >= PIECES_MAX {
                    self.pieces.pop_front();
                }
                self.pieces.push_back(Piece {
                    key: ItemKey::clone(key),
                    from: at,
                    len,
                });
            }
        }
    }

    /// An event of the playout, which is true once what was handed over so far is heard.
    pub(super) fn push(&mut self, event: PlayoutEvent) {
        let at = match &event {
            PlayoutEvent::Started { item } => {
                let from = self.pieces.iter().rev().find(|piece| piece.key == *item);
                let from = from.map_or(self.handed, |piece| piece.from);
                // It ran dry, but not yet at the caller's, and what follows joins on: nobody noticed.
                let unnoticed = self.waiting.iter().rposition(|(at, waiting)| {
                    *at >= from
                        && matches!(waiting, PlayoutEvent::Starved { item: starved } if starved == item)
                });
                if let Some(index) = unnoticed {
                    self.waiting.remove(index);
                    return;
                }
                from
            }
            PlayoutEvent::Starved { .. }
            | PlayoutEvent::Finished { .. }
            | PlayoutEvent::Drained => self.end,
        };
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((at, event));
        }
    }

    /// Reports what has become true.
    pub(super) fn advance(&mut self, position: Position, events: &mut VecDeque<StreamEvent>) {
        while let Some((at, event)) = self.waiting.front() {
            let reached = match event {
                PlayoutEvent::Started { .. } | PlayoutEvent::Starved { .. } => position.heard,
                PlayoutEvent::Finished { .. } | PlayoutEvent::Drained => position.proven,
            };
            if reached < *at {
                break;
            }
            let Some((_, event)) = self.waiting.pop_front() else {
                break;
            };
            match &event {
                PlayoutEvent::Finished { item, .. } => {
                    self.pieces.retain(|piece| piece.key != *item);
                }
                PlayoutEvent::Starved { .. } => self.underruns += 1,
                PlayoutEvent::Started { .. } | PlayoutEvent::Drained => {}
            }
            events.push_back(StreamEvent::Playout(event));
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Everything beyond `heard` is gone. `waiting` is what the playout still had.
    pub(super) fn clear(&mut self, heard: u64, waiting: Vec<Played>) -> Vec<Played> {
        let mut all: Vec<Played> = Vec::with_capacity(waiting.len() + 2);
        for piece in self.pieces.drain(..) {
            let samples = heard.saturating_sub(piece.from).min(piece.len);
            let part = to_ms(samples);
            let whole = samples == piece.len;
            match all.iter_mut().find(|known| known.item == piece.key) {
                Some(known) => {
                    known.played_ms += part;
                    known.finished &= whole;
                }
                None => all.push(Played {
                    item: piece.key,
                    played_ms: part,
                    finished: whole,
                }),
            }
        }
        for part in waiting {
            match all.iter_mut().find(|known| known.item == part.item) {
                Some(known) => known.finished &= part.finished,
                None => all.push(Played {
                    played_ms: 0,
                    finished: false,
                    ..part
                }),
            }
        }
        self.waiting.clear();
        self.handed = self.handed.min(heard);
        self.end = self.handed;
        all
    }
}

fn to_ms(samples: u64) -> u32 {
    u32::try_from(samples / SAMPLES_PER_MS as u64).unwrap_or(u32::MAX)
}
