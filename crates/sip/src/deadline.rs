//! One ordered structure for every deadline: at most one instant per key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Deadlines by key; due ones come out in order of time, then of key.
#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    by_key: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Copy> Deadlines<K> {
    pub(crate) const fn new() -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_time: BTreeSet::new(),
        }
    }

    /// Arms the key, replacing an earlier instant.
    pub(crate) fn arm(&mut self, key: K, at: Instant) {
        if let Some(old) = self.by_key.insert(key, at) {
            self.by_time.remove(&(old, key));
        }
        self.by_time.insert((at, key));
    }

    pub(crate) fn disarm(&mut self, key: K) {
        if let Some(old) = self.by_key.remove(&key) {
            self.by_time.remove(&(old, key));
        }
    }

    /// The next key that is due, disarmed.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        self.by_key.remove(&key);
        Some(key)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_has_one_deadline_and_due_ones_come_in_order() {
        #[expect(clippy::disallowed_methods, reason = "an origin for a test")]
        let origin = Instant::now();
        let at = |ms| origin + Duration::from_millis(ms);
        let mut deadlines = Deadlines::new();
        deadlines.arm('a', at(10));
        deadlines.arm('b', at(5));
        deadlines.arm('a', at(20));
        assert_eq!(deadlines.next(), Some(at(5)));
        assert_eq!(deadlines.pop_due(at(4)), None);
        assert_eq!(deadlines.pop_due(at(10)), Some('b'));
        assert_eq!(deadlines.pop_due(at(10)), None);
        deadlines.disarm('a');
        assert_eq!(deadlines.next(), None);
        assert_eq!(deadlines.len(), 0);
    }
}
