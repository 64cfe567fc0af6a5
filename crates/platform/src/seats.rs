//! Places that a credential holds for as long as it listens, bounded for each and for all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places that are taken, by the name of who holds them.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    taken: Mutex<HashMap<String, usize>>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    name: String,
}

impl Seats {
    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, where `name` has fewer than `own_max` and all together fewer than `all_max`.
    pub(crate) fn take(
        self: &Arc<Self>,
        name: &str,
        own_max: usize,
        all_max: usize,
    ) -> Option<Seat> {
        let mut taken = self.taken();
        let all: usize = taken.values().sum();
        let own = taken.get(name).copied().unwrap_or(0);
        if all >= all_max || own >= own_max {
            return None;
        }
        taken.insert(name.to_owned(), own + 1);
        Some(Seat {
            seats: Arc::clone(self),
            name: name.to_owned(),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(count) = taken.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let seats = Arc::new(Seats::default());
        let first = seats.take("a", 1, 2).unwrap();
        assert!(seats.take("a", 1, 2).is_none());
        let _second = seats.take("b", 1, 2).unwrap();
        assert!(seats.take("c", 1, 2).is_none());
        drop(first);
        assert!(seats.take("c", 1, 2).is_some());
        assert_eq!(seats.taken().len(), 1);
    }
}
