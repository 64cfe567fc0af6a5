//! The playout queue as the session knows it: which items are in it, which were cut, which expect more audio.

use std::collections::VecDeque;

use crate::id::{ItemId, ResponseId};
use crate::limits::{ITEM_OPEN_MS_MAX, ITEMS_MAX};

/// An item in the playout queue.
#[derive(Debug)]
struct OpenItem {
    item: ItemId,
    /// `None` for a sound of ours.
    response: Option<ResponseId>,
    started_at: Option<u64>,
    audio_done: bool,
    /// The queue ran empty before the item's end.
    starving: bool,
    touched_at: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: Vec<OpenItem>,
    cut: VecDeque<ItemId>,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Something is audible now, as far as is known.
    pub(crate) fn is_playing(&self) -> bool {
        self.items.iter().any(|open| !open.starving)
    }

    /// The caller has not been given all of some item.
    pub(crate) fn expects_audio(&self) -> bool {
        self.items
            .iter()
            .any(|open| open.starving || !open.audio_done)
    }

    pub(crate) fn is_cut(&self, item: &ItemId) -> bool {
        self.cut.contains(item)
    }

    /// An item has its first audio in the queue; all of it at once when it is a sound of ours.
    pub(crate) fn open(&mut self, now: u64, item: ItemId, response: Option<ResponseId>) {
        if self.items.iter().any(|open| open.item == item) {
            return;
        }
        if self.items.len() == ITEMS_MAX {
            self.items.remove(0);
        }
        let audio_done = response.is_none();
        let open = OpenItem {
            item,
            response,
            started_at: None,
            audio_done,
            starving: false,
            touched_at: now,
        };
        self.items.push(open);
    }

    /// Remembers an item that must not be heard (any more).
    pub(crate) fn remember_cut(&mut self, item: ItemId) {
        if self.cut.contains(&item) {
            return;
        }
        if self.cut.len() == ITEMS_MAX {
            self.cut.pop_front();
        }
        self.cut.push_back(item);
    }

    /// The queue is being emptied. False when there was nothing in it.
    pub(crate) fn cut_all(&mut self) -> bool {
        let items = std::mem::take(&mut self.items);
        let any = !items.is_empty();
        for open in items {
            self.remember_cut(open.item);
        }
        any
    }

    pub(crate) fn audio_done(&mut self, now: u64, item: &ItemId) {
        if let Some(open) = self.find(item) {
            open.audio_done = true;
            open.touched_at = now;
        }
    }

    /// No more audio comes from a response, or with `None` from anywhere; the items which expected more.
    pub(crate) fn audio_over(&mut self, response: Option<&ResponseId>) -> Vec<ItemId> {
        let mut cut_short = Vec::new();
        for open in &mut self.items {
            if !open.audio_done && (response.is_none() || open.response.as_ref() == response) {
                open.audio_done = true;
                cut_short.push(open.item.clone());
            }
        }
        // An underrun at the very end: nothing more will come to be played.
        self.items
            .retain(|open| !(open.starving && open.audio_done));
        cut_short
    }

    pub(crate) fn started(&mut self, now: u64, item: &ItemId) {
        if let Some(open) = self.find(item) {
            open.started_at.get_or_insert(now);
            open.starving = false;
            open.touched_at = now;
        }
    }

    pub(crate) fn starved(&mut self, now: u64, item: &ItemId) {
        if let Some(open) = self.find(item) {
            open.starving = true;
            open.touched_at = now;
        }
    }

    pub(crate) fn finished(&mut self, item: &ItemId) {
        self.items.retain(|open| open.item != *item);
        self.cut.retain(|cut| cut != item);
    }

    /// Everything queued was played; what expects more is starved.
    pub(crate) fn drained(&mut self) {
        self.items.retain(|open| !open.audio_done);
        for open in &mut self.items {
            open.starving = true;
        }
    }

    /// An item left the queue at our wish, before its end.
    pub(crate) fn cleared(&mut self, item: &ItemId) {
        self.items.retain(|open| open.item != *item);
    }

    /// Items without a sign of life are taken as played.
    pub(crate) fn expire(&mut self, now: u64) {
        self.items
            .retain(|open| now < open.touched_at + ITEM_OPEN_MS_MAX);
    }

    pub(crate) fn timeout(&self) -> Option<u64> {
        self.items
            .iter()
            .map(|open| open.touched_at + ITEM_OPEN_MS_MAX)
            .min()
    }

    /// Items that are being played at this instant, with an estimate of what was heard.
    pub(crate) fn unfinished(&self, now: u64) -> Vec<(ItemId, u32)> {
        let heard = |open: &OpenItem| {
            let played_ms = open.started_at.map_or(0, |at| now.saturating_sub(at));
            (
                open.item.clone(),
                u32::try_from(played_ms).unwrap_or(u32::MAX),
            )
        };
        self.items.iter().map(heard).collect()
    }

    fn find(&mut self, item: &ItemId) -> Option<&mut OpenItem> {
        self.items.iter_mut().find(|open| open.item == *item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_bounded() {
        let mut queue = Queue::default();
        for number in 0..1_000 {
            queue.open(
                0,
                ItemId::from(format!("{number}")),
                Some(ResponseId::from("r")),
            );
            queue.remember_cut(ItemId::from(format!("cut {number}")));
        }
        assert_eq!((queue.items.len(), queue.cut.len()), (ITEMS_MAX, ITEMS_MAX));
    }

    #[test]
    fn a_drained_queue_keeps_what_expects_more() {
        let mut queue = Queue::default();
        queue.open(0, ItemId::from("a"), Some(ResponseId::from("r")));
        queue.open(0, ItemId::from("local:apology"), None);
        queue.drained();
        assert!(!queue.is_empty() && !queue.is_playing());
        assert_eq!(queue.audio_over(None), [ItemId::from("a")]);
        assert!(queue.is_empty());
    }
}
