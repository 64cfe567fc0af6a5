//! Derived keys in memory: bounded, the least recently used leaves first, cleared when it leaves.
//!
//! An entry is found by the whole salt, which contains the id of the row or of the tenant: no tenant can reach another's.

use std::collections::HashMap;

use super::cipher::DerivedKey;

pub(crate) struct Cache {
    room: usize,
    clock: u64,
    entries: HashMap<String, (u64, DerivedKey)>,
}

impl Cache {
    pub(crate) fn new(room: usize) -> Self {
        Self {
            room,
            clock: 0,
            entries: HashMap::new(),
        }
    }

    pub(crate) fn get(&mut self, salt: &str) -> Option<DerivedKey> {
        self.clock += 1;
        let (used, key) = self.entries.get_mut(salt)?;
        *used = self.clock;
        Some(key.clone())
    }

    pub(crate) fn put(&mut self, salt: String, key: DerivedKey) {
        self.clock += 1;
        if self.entries.len() >= self.room && !self.entries.contains_key(&salt) {
            self.make_room();
        }
        self.entries.insert(salt, (self.clock, key));
    }

    /// Drops the older half: one pass over the table for many entries, instead of one for each.
    fn make_room(&mut self) {
        let mut uses: Vec<u64> = self.entries.values().map(|(used, _)| *used).collect();
        uses.sort_unstable();
        let oldest_kept = uses.get(uses.len() / 2).copied().unwrap_or(0);
        self.entries.retain(|_, (used, _)| *used > oldest_kept);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::cipher::{MasterKey, Sealed};

    #[test]
    fn it_is_bounded_and_keeps_what_was_used_last() {
        let mut cache = Cache::new(8);
        let key = MasterKey::generate().derive("one");
        let sealed = key.seal("text").unwrap();
        for number in 0..100 {
            cache.put(format!("salt-{number}"), key.clone());
            assert!(cache.len() <= 8);
            assert!(number == 0 || cache.get("salt-0").is_some(), "{number}");
        }
        let found = cache.get("salt-99").unwrap();
        assert_eq!(
            found
                .open(&Sealed::parse(&sealed).unwrap())
                .unwrap()
                .expose(),
            "text"
        );
        assert!(cache.get("salt-50").is_none() && cache.get("salt-9").is_none());
    }
}
