//! The agent's items of which audio or text has come: how much, and how much of it may be cut.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ITEMS_MAX;

struct Item {
    id: Arc<str>,
    received_bytes: usize,
    complete: bool,
    kept_ms: Option<u32>,
}

/// The most recent items of the agent.
pub(super) struct Items {
    bytes_per_ms: usize,
    table: VecDeque<Item>,
}

impl Items {
    pub(super) fn new(bytes_per_ms: usize) -> Self {
        Self {
            bytes_per_ms,
            table: VecDeque::new(),
        }
    }

    fn entry(&mut self, id: &str) -> &mut Item {
        // The latest item is the one that audio comes for.
        if let Some(position) = self.table.iter().rposition(|item| &*item.id == id) {
            return &mut self.table[position];
        }
        if self.table.len() >= ITEMS_MAX {
            self.table.pop_front();
        }
        self.table.push_back(Item {
            id: Arc::from(id),
            received_bytes: 0,
            complete: false,
            kept_ms: None,
        });
        let last = self.table.len() - 1;
        &mut self.table[last]
    }

    /// The shared id of an item.
    pub(super) fn id(&mut self, id: &str) -> Arc<str> {
        Arc::clone(&self.entry(id).id)
    }

    pub(super) fn add_audio(&mut self, id: &str, bytes: usize) -> Arc<str> {
        let item = self.entry(id);
        item.received_bytes = item.received_bytes.saturating_add(bytes);
        Arc::clone(&item.id)
    }

    pub(super) fn complete(&mut self, id: &str) -> Arc<str> {
        let item = self.entry(id);
        item.complete = true;
        Arc::clone(&item.id)
    }

    /// The cut that the engine will accept for this wish: never beyond the audio that came, never of
    /// an item without audio, never where nothing would change. `None` when there is nothing to cut.
    pub(super) fn cut(&mut self, id: &str, audio_end_ms: u32) -> Option<u32> {
        let bytes_per_ms = self.bytes_per_ms;
        let item = self.table.iter_mut().rfind(|item| &*item.id == id)?;
        if item.received_bytes == 0 {
            return None;
        }
        let received_ms = u32::try_from(item.received_bytes / bytes_per_ms).unwrap_or(u32::MAX);
        let cut = audio_end_ms.min(received_ms);
        // All of a complete item was heard: a cut would only delete its transcript.
        if item.complete && cut == received_ms {
            return None;
        }
        if item.kept_ms.is_some_and(|kept| kept <= cut) {
            return None;
        }
        item.kept_ms = Some(cut);
        Some(cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_exceeds_what_came_and_is_left_out_where_it_changes_nothing() {
        let mut items = Items::new(8);
        assert_eq!(items.cut("unknown", 10), None);
        items.id("text_only");
        assert_eq!(
            items.cut("text_only", 10),
            None,
            "an item without audio cannot be cut"
        );
        items.add_audio("item", 807);
        assert_eq!(
            items.cut("item", 5_000),
            Some(100),
            "no further than the audio that came"
        );
        items.add_audio("item", 800);
        assert_eq!(
            items.cut("item", 150),
            None,
            "a second cut can only shorten"
        );
        assert_eq!(items.cut("item", 0), Some(0));
        items.add_audio("heard", 800);
        items.complete("heard");
        assert_eq!(items.cut("heard", 100), None, "all of it was heard");
        assert_eq!(items.cut("heard", 99), Some(99));
    }
}
