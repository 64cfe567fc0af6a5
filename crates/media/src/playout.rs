//! What the caller hears: a queue of items that knows what was really played.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::frame::Form;
use crate::{reform, tone};

/// Name of a playout item: the engine's item id, or a local one such as `local:apology`.
pub type ItemKey = Arc<str>;

/// Most audio that a playout keeps, ms.
pub const PLAYOUT_MS_MAX: u32 = 600_000;

/// Most items in the queue.
pub const ITEMS_MAX: usize = 64;
/// Items of which the played length is remembered after they left.
const PAST_MAX: usize = 32;
/// Events that may wait to be taken; each item makes two.
const EVENTS_MAX: usize = ITEMS_MAX * 2 + 8;
/// Memory kept for the next item, bytes.
const SPARE_BYTES_MAX: usize = 16 * 1_024;
/// Frames that a rest shorter than a packet waits for the audio that should follow it.
const STARVED_FRAMES_MAX: u32 = 5;

/// The push would exceed [`PLAYOUT_MS_MAX`] or the number of items; nothing was queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayoutFull;

/// A deliberate sound while the queue is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// A barely audible noise: the line is alive.
    ComfortNoise,
    /// A quiet, pleasant sound: the agent is at work.
    Thinking,
    /// Somebody else's telephone rings.
    Ringback,
    /// Music for somebody who waits.
    Hold,
}

/// What was played of one item when it was cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// The item.
    pub item: ItemKey,
    /// Its audio really handed to the wire, ms.
    pub played_ms: u32,
    /// Whether all of it was queued and played.
    pub finished: bool,
}

/// What happened in the playout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlayoutEvent {
    /// The first frame of the item was handed to the wire, or the first after it had run dry.
    Started {
        /// The item.
        item: ItemKey,
    },
    /// The item had begun, is not finished, and has no audio for this frame: the queue ran dry. [`PlayoutEvent::Started`] follows
    /// when it goes on.
    Starved {
        /// The item.
        item: ItemKey,
    },
    /// The last frame of the item was handed to the wire.
    Finished {
        /// The item.
        item: ItemKey,
        /// All of its audio, ms.
        played_ms: u32,
    },
    /// The last queued item is finished and nothing is left.
    Drained,
}

/// One item of the queue.
#[derive(Debug)]
struct Item {
    key: ItemKey,
    audio: VecDeque<u8>,
    /// Bytes handed to the wire.
    sent: usize,
    started: bool,
    finished: bool,
    /// Frames for which the item had nothing whole to give.
    starved: u32,
    /// It ran dry and that was reported.
    dry: bool,
}

/// The queue of one leg. Audio is in the leg's form, whole samples.
#[derive(Debug)]
pub struct Playout {
    form: Form,
    items: VecDeque<Item>,
    queued: usize,
    held: bool,
    background: Option<Background>,
    background_at: usize,
    /// Played lengths of the latest items that left the queue.
    past: VecDeque<(ItemKey, u32)>,
    events: VecDeque<PlayoutEvent>,
    /// A buffer to be used again.
    spare: VecDeque<u8>,
    underruns: u32,
}

impl Playout {
    pub(crate) fn new(form: Form) -> Self {
        Self {
            form,
            items: VecDeque::new(),
            queued: 0,
            held: false,
            background: None,
            background_at: 0,
            past: VecDeque::with_capacity(PAST_MAX),
            events: VecDeque::with_capacity(8),
            spare: VecDeque::new(),
            underruns: 0,
        }
    }

    /// Queues audio at the end of `item`, which is made when it is new.
    ///
    /// # Errors
    /// [`PlayoutFull`] when a limit would be passed; nothing is queued.
    pub fn push(&mut self, item: &ItemKey, audio: &[u8]) -> Result<(), PlayoutFull> {
        let most = usize::try_from(PLAYOUT_MS_MAX).unwrap_or(usize::MAX) * self.form.bytes_per_ms();
        if self.queued + audio.len() > most {
            return Err(PlayoutFull);
        }
        let known = self
            .items
            .iter_mut()
            .rev()
            .find(|known| known.key == *item && !known.finished);
        if let Some(known) = known {
            known.audio.extend(audio);
        } else {
            if self.items.len() >= ITEMS_MAX {
                return Err(PlayoutFull);
            }
            let mut buffer = std::mem::take(&mut self.spare);
            buffer.extend(audio);
            let key = ItemKey::clone(item);
            self.items.push_back(Item {
                key,
                audio: buffer,
                sent: 0,
                started: false,
                finished: false,
                starved: 0,
                dry: false,
            });
        }
        self.queued += audio.len();
        Ok(())
    }

    /// Says that no more audio of `item` will come.
    pub fn finish(&mut self, item: &ItemKey) {
        let known = self
            .items
            .iter_mut()
            .find(|known| known.key == *item && !known.finished);
        if let Some(known) = known {
            known.finished = true;
        } else if self.played_ms(item).is_none() {
            // An item without audio is over at once: nobody waits for it in vain.
            push_event(
                &mut self.events,
                PlayoutEvent::Finished {
                    item: ItemKey::clone(item),
                    played_ms: 0,
                },
            );
        }
        if !self.held {
            self.settle();
        }
    }

    /// Stops at once. What was really sent, for each item that was not yet reported finished, in order.
    pub fn clear(&mut self) -> Vec<Played> {
        self.queued = 0;
        let mut all = Vec::with_capacity(self.items.len());
        while let Some(item) = self.items.pop_front() {
            let played = Played {
                item: ItemKey::clone(&item.key),
                played_ms: self.ms(item.sent),
                finished: item.finished && item.audio.is_empty(),
            };
            self.retire(item);
            all.push(played);
        }
        all
    }

    /// True: queue but do not play (before the answer).
    pub fn hold_back(&mut self, held: bool) {
        self.held = held;
    }

    /// The sound while the queue is empty; `None` is silence.
    pub fn set_background(&mut self, background: Option<Background>) {
        if self.background != background {
            self.background = background;
            self.background_at = 0;
        }
    }

    /// Audio waiting to be sent, ms.
    #[must_use]
    pub fn queued_ms(&self) -> u32 {
        self.ms(self.queued)
    }

    /// Audio of the item really handed to the wire, ms; `None` for an item not known (any more).
    #[must_use]
    pub fn played_ms(&self, item: &ItemKey) -> Option<u32> {
        let queued = self
            .items
            .iter()
            .find(|known| known.key == *item)
            .map(|known| self.ms(known.sent));
        queued.or_else(|| {
            self.past
                .iter()
                .rev()
                .find(|(key, _)| key == item)
                .map(|(_, played_ms)| *played_ms)
        })
    }

    /// Whether no item is queued or being played.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn underruns(&self) -> u32 {
        self.underruns
    }

    pub(crate) fn poll_event(&mut self) -> Option<PlayoutEvent> {
        self.events.pop_front()
    }

    /// Converts what is queued when a re-negotiation changed the codec.
    pub(crate) fn set_form(&mut self, form: Form) {
        let (old, new) = (self.form.bytes_per_ms(), form.bytes_per_ms());
        self.queued = 0;
        for item in &mut self.items {
            let waiting = Vec::from(std::mem::take(&mut item.audio));
            item.audio = reform::whole(self.form, form, waiting).into();
            item.sent = item.sent / old * new;
            self.queued += item.audio.len();
        }
        self.background_at = 0;
        self.form = form;
    }

    /// Whether the front item has a frame to give, or nothing is queued and a background sounds.
    pub(crate) fn has_frame(&self) -> bool {
        !self.held
            && self
                .items
                .front()
                .map_or(self.background.is_some(), |item| {
                    item.audio.len() >= self.form.frame_bytes()
                        || (item.finished && !item.audio.is_empty())
                })
    }

    /// Whether the front item is open and has no whole frame.
    pub(crate) fn is_dry(&self) -> bool {
        !self.held
            && self
                .items
                .front()
                .is_some_and(|item| !item.finished && item.audio.len() < self.form.frame_bytes())
    }

    /// Whether less than `samples` are queued behind an open item.
    pub(crate) fn is_shorter(&self, samples: u64) -> bool {
        let open = self.items.back().is_some_and(|item| !item.finished);
        open && (self.queued as u64) < samples
    }

    pub(crate) fn has_background(&self) -> bool {
        self.background.is_some()
    }

    /// Fills a packet that goes to the wire now; true when it holds audio of an item.
    pub(crate) fn fill(&mut self, out: &mut [u8]) -> bool {
        self.fill_noting(out, &mut |_, _| {})
    }

    /// The same; `note` is told how many bytes of which item follow each other.
    pub(crate) fn fill_noting(
        &mut self,
        out: &mut [u8],
        note: &mut dyn FnMut(&ItemKey, usize),
    ) -> bool {
        let mut written = 0;
        if !self.held {
            self.settle();
            while written < out.len() {
                let Some(item) = self.items.front_mut() else {
                    break;
                };
                let wanted = out.len() - written;
                // A piece of a frame is worth playing only when no more follows, or when it has waited in vain.
                let whole = item.audio.len() >= wanted
                    || item.finished
                    || item.starved >= STARVED_FRAMES_MAX;
                if item.audio.is_empty() || !whole {
                    if item.started && !item.dry {
                        item.dry = true;
                        self.underruns += 1;
                        let starved = PlayoutEvent::Starved {
                            item: ItemKey::clone(&item.key),
                        };
                        push_event(&mut self.events, starved);
                    }
                    item.starved += 1;
                    break;
                }
                if item.audio.len() >= wanted || item.finished {
                    item.starved = 0;
                    item.started &= !std::mem::take(&mut item.dry);
                }
                let len = wanted.min(item.audio.len());
                take_front(&mut item.audio, &mut out[written..written + len]);
                item.sent += len;
                note(&item.key, len);
                self.queued -= len;
                written += len;
                if !item.started {
                    item.started = true;
                    push_event(
                        &mut self.events,
                        PlayoutEvent::Started {
                            item: ItemKey::clone(&item.key),
                        },
                    );
                }
                self.settle();
            }
        }
        if written == 0 {
            self.fill_background(out);
        } else {
            out[written..].fill(self.form.silence());
        }
        written > 0
    }

    fn fill_background(&mut self, out: &mut [u8]) {
        let Some(background) = self.background else {
            out.fill(self.form.silence());
            return;
        };
        let sound = match background {
            Background::ComfortNoise => tone::comfort_noise(self.form),
            Background::Thinking => tone::thinking(self.form),
            Background::Ringback => tone::ringback(self.form),
            Background::Hold => tone::hold_music(self.form),
        };
        for byte in out {
            *byte = sound[self.background_at];
            self.background_at = (self.background_at + 1) % sound.len();
        }
    }

    fn ms(&self, bytes: usize) -> u32 {
        u32::try_from(bytes / self.form.bytes_per_ms()).unwrap_or(u32::MAX)
    }

    /// Reports items of which everything was sent.
    fn settle(&mut self) {
        let mut finished = false;
        while self
            .items
            .front()
            .is_some_and(|item| item.finished && item.audio.is_empty())
        {
            let Some(item) = self.items.pop_front() else {
                break;
            };
            let played_ms = self.ms(item.sent);
            push_event(
                &mut self.events,
                PlayoutEvent::Finished {
                    item: ItemKey::clone(&item.key),
                    played_ms,
                },
            );
            self.retire(item);
            finished = true;
        }
        if finished && self.items.is_empty() {
            push_event(&mut self.events, PlayoutEvent::Drained);
        }
    }

    fn retire(&mut self, item: Item) {
        if self.past.len() >= PAST_MAX {
            self.past.pop_front();
        }
        let played_ms = self.ms(item.sent);
        self.past.push_back((item.key, played_ms));
        let mut buffer = item.audio;
        buffer.clear();
        // A long reply must not keep its memory for the rest of the call.
        buffer.shrink_to(SPARE_BYTES_MAX);
        self.spare = buffer;
    }
}

fn push_event(events: &mut VecDeque<PlayoutEvent>, event: PlayoutEvent) {
    if events.len() < EVENTS_MAX {
        events.push_back(event);
    }
}

fn take_front(audio: &mut VecDeque<u8>, out: &mut [u8]) {
    let (front, back) = audio.as_slices();
    let from_front = front.len().min(out.len());
    out[..from_front].copy_from_slice(&front[..from_front]);
    let rest = out.len() - from_front;
    out[from_front..].copy_from_slice(&back[..rest]);
    audio.drain(..out.len());
}
