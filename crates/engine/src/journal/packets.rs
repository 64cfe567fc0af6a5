//! The packets of calls on their way to the database: bounded in bytes, for each call and for all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use store::packet::PacketBlock;

use super::{CallJournal, Item};
use crate::leg::tap::Tap;
use crate::limits::CAPTURED_WAITING_MAX;

/// A block that waits to be written, and the room that it takes among all that wait.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) bytes: Vec<u8>,
    room: Arc<AtomicUsize>,
}

impl Waiting {
    /// `None` where too much waits already.
    fn take(block: &mut PacketBlock, room: &Arc<AtomicUsize>) -> Option<Self> {
        let size = block.capacity();
        let before = room.fetch_add(size, Ordering::Relaxed);
        if before + size > CAPTURED_WAITING_MAX {
            room.fetch_sub(size, Ordering::Relaxed);
            return None;
        }
        Some(Self {
            bytes: block.take(),
            room: Arc::clone(room),
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.room
            .fetch_sub(self.bytes.capacity(), Ordering::Relaxed);
    }
}

impl CallJournal {
    /// Hands over what a tap has gathered, where it has much.
    pub(crate) fn packets_if_crowded(&self, tap: Option<&mut Tap>) {
        if let Some(tap) = tap.filter(|tap| tap.block.is_crowded()) {
            self.packets(tap);
        }
    }

    /// Hands over what a tap has gathered.
    pub(crate) fn packets_of(&self, tap: Option<&mut Tap>) {
        if let Some(tap) = tap.filter(|tap| !tap.block.is_empty()) {
            self.packets(tap);
        }
    }

    /// Hands over the last of a tap, and what was left out of it.
    pub(crate) fn last_packets_of(&self, tap: Option<&mut Tap>) {
        if let Some(tap) = tap {
            self.packets_of(Some(tap));
            if !tap.block.has_nothing_to_tell() {
                self.packets(tap);
            }
        }
    }

    fn packets(&self, tap: &mut Tap) {
        let began = self.wall(tap.began);
        let block = &mut tap.block;
        block.set_began(began);
        let left = &self.inner.captured_left;
        let size = block.len();
        let take = |left: usize| left.checked_sub(size);
        let has_room = left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok();
        if !has_room {
            block.discard();
            return;
        }
        match Waiting::take(block, &self.journal.captured) {
            Some(waiting) => {
                let seq = self.inner.blocks.fetch_add(1, Ordering::Relaxed);
                self.push(Item::Packets(seq, waiting));
            }
            None => block.discard(),
        }
    }
}
