//! The parking places of the accounts: small numbers, each account its own, the lowest free one first. A caller who waits in one is a
//! call of this process; whoever takes them names the place, and reaches those of their own account only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use call::{CallId, TenantId};

use crate::limits::PARKING_PLACES_MAX;

/// The places that are taken, of all accounts. A place belongs to the call that took it until it is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParkingPlaces(Arc<Mutex<BTreeMap<(TenantId, u16), CallId>>>);

/// A place that is taken; dropped, it is free again.
#[derive(Debug)]
pub(crate) struct ParkingPlace {
    number: u16,
    tenant: TenantId,
    places: ParkingPlaces,
}

/// Why the caller is not found whom a telephone means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// There is none.
    Nobody,
    /// There is more than one, and what was dialled does not say which.
    Several,
}

impl ParkingPlaces {
    /// No change is left half done: each is one insertion or removal.
    fn taken(&self) -> MutexGuard<'_, BTreeMap<(TenantId, u16), CallId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lowest free place of an account; `None` where all are taken.
    pub(crate) fn take(&self, tenant: &TenantId, call: &CallId) -> Option<ParkingPlace> {
        let mut taken = self.taken();
        let free = |number: &u16| !taken.contains_key(&(tenant.clone(), *number));
        let number = (1..=PARKING_PLACES_MAX).find(free)?;
        taken.insert((tenant.clone(), number), call.clone());
        Some(ParkingPlace {
            number,
            tenant: tenant.clone(),
            places: self.clone(),
        })
    }

    /// The call that waits in a place of an account; without a place the only one that waits.
    pub(crate) fn find(&self, tenant: &TenantId, place: Option<u16>) -> Result<CallId, NotFound> {
        let taken = self.taken();
        if let Some(number) = place {
            let call = taken.get(&(tenant.clone(), number));
            return call.cloned().ok_or(NotFound::Nobody);
        }
        let mut own = taken.range((tenant.clone(), 0)..=(tenant.clone(), u16::MAX));
        match (own.next(), own.next()) {
            (Some((_, call)), None) => Ok(call.clone()),
            (None, _) => Err(NotFound::Nobody),
            (Some(_), Some(_)) => Err(NotFound::Several),
        }
    }
}

impl ParkingPlace {
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for ParkingPlace {
    fn drop(&mut self) {
        let key = (self.tenant.clone(), self.number);
        self.places.taken().remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::from(name)
    }

    fn call(name: &str) -> CallId {
        CallId::from(name.to_owned())
    }

    #[test]
    fn the_lowest_free_place_is_taken_and_a_dropped_one_is_free() {
        let places = ParkingPlaces::default();
        let house = tenant("house");
        let one = places.take(&house, &call("a")).expect("a place");
        let two = places.take(&house, &call("b")).expect("a place");
        let three = places.take(&house, &call("c")).expect("a place");
        assert_eq!((one.number(), two.number(), three.number()), (1, 2, 3));
        drop(two);
        assert_eq!(places.find(&house, Some(2)), Err(NotFound::Nobody));
        let again = places.take(&house, &call("d")).expect("a place");
        assert_eq!(again.number(), 2);
        assert_eq!(places.find(&house, Some(2)), Ok(call("d")));
        assert_eq!(places.find(&house, Some(3)), Ok(call("c")));
    }

    #[test]
    fn an_account_has_so_many_places_and_no_more() {
        let places = ParkingPlaces::default();
        let (house, other) = (tenant("house"), tenant("other"));
        let all: Vec<_> = (0..PARKING_PLACES_MAX)
            .map(|number| places.take(&house, &call(&number.to_string())))
            .collect();
        assert!(all.iter().all(Option::is_some));
        assert!(places.take(&house, &call("more")).is_none());
        // What one account has taken takes nothing from another.
        let place = places.take(&other, &call("more"));
        assert_eq!(place.map(|place| place.number()), Some(1));
    }

    #[test]
    fn nobody_reaches_the_places_of_another_account() {
        let places = ParkingPlaces::default();
        // Names that stand before and behind in every order.
        let accounts = ["a", "house", "house2", "z"];
        let _held: Vec<_> = accounts
            .iter()
            .filter(|name| **name != "house")
            .map(|name| places.take(&tenant(name), &call(name)).expect("a place"))
            .collect();
        let house = tenant("house");
        assert_eq!(places.find(&house, None), Err(NotFound::Nobody));
        assert_eq!(places.find(&house, Some(1)), Err(NotFound::Nobody));
        let _own = places.take(&house, &call("own")).expect("a place");
        assert_eq!(places.find(&house, None), Ok(call("own")));
        let _more = places.take(&house, &call("more")).expect("a place");
        assert_eq!(places.find(&house, None), Err(NotFound::Several));
        assert_eq!(places.find(&house, Some(2)), Ok(call("more")));
        assert_eq!(places.find(&tenant("a"), Some(2)), Err(NotFound::Nobody));
    }
}
