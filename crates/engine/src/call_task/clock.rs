//! When things happened in a call, for its figures.

use std::time::{Duration, Instant};

use media::ItemKey;

/// Instants that the figures of the call are made of.
#[derive(Default)]
pub(super) struct Clock {
    pub(super) established: Option<Instant>,
    pub(super) speech_stopped: Option<Instant>,
    pub(super) statistics_due: Option<Instant>,
    pub(super) first_packet: bool,
    /// The item whose beginning was written last, and when.
    began: Option<(ItemKey, Instant)>,
}

/// An item that runs dry and goes on is written again after this long: an engine that is no faster than speech makes every item
/// do so several times a second. How often it happened is in the statistics.
const RESUMED_EVERY: Duration = Duration::from_secs(5);

impl Clock {
    /// Whether the beginning of an item is to be written.
    pub(super) fn is_news(&mut self, now: Instant, item: &ItemKey) -> bool {
        let known = self.began.as_ref().is_some_and(|(known, at)| {
            known == item && now.saturating_duration_since(*at) < RESUMED_EVERY
        });
        if !known {
            self.began = Some((ItemKey::clone(item), now));
        }
        !known
    }
}
