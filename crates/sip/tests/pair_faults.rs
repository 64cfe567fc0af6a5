//! The simulator is worth what it sees: every fault of `planted.rs` breaks one promise of the product, and some world of
//! the ordinary run must tell of that very promise.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail loudly, pick events, and needs an origin of its virtual time"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::model::Invariant;
use common::world::World;
use sip::planted::{Planted, plant};

/// Worlds within which a fault must be seen.
const WORLDS_MAX: u64 = 400;

/// The promise that a fault breaks.
const fn broken_by(fault: Planted) -> Invariant {
    match fault {
        Planted::ClientStays | Planted::ServerStays => Invariant::Transactions,
        Planted::DialogStays => Invariant::Dialogs,
        Planted::KeyStays | Planted::StreamStays => Invariant::Memory,
        Planted::ByeForgotten | Planted::CancelForgotten | Planted::ForkKept => Invariant::Calls,
        Planted::EndForgotten => Invariant::Ports,
        Planted::TellsAfterEnd => Invariant::AfterEnd,
        Planted::EndsTwice => Invariant::OneEnd,
        Planted::EstablishedEarly => Invariant::Life,
        Planted::AckForgotten | Planted::CancelAfterAnswer | Planted::SessionNotRefreshed => {
            Invariant::Cause
        }
        Planted::SequenceShared | Planted::OrderIgnored => Invariant::Sequence,
        Planted::RepetitionIgnored => Invariant::OneAnswer,
        Planted::NoBackoff => Invariant::Storm,
        Planted::BindingNotRefreshed
        | Planted::BindingRefreshedLate
        | Planted::BindingNotRemoved => Invariant::Binding,
    }
}

/// The first world that tells of the promise, with the fault in the product.
fn caught(fault: Planted) -> Option<u64> {
    plant(Some(fault));
    let found = (0..WORLDS_MAX).find(|seed| {
        let told = World::new(*seed).run().err().unwrap_or_default();
        told.iter().any(|one| one.invariant == broken_by(fault))
    });
    plant(None);
    found
}

#[test]
fn every_planted_fault_is_caught_as_the_promise_that_it_breaks() {
    let next = AtomicUsize::new(0);
    let escaped = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(fault) = Planted::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match caught(*fault) {
                        Some(seed) => eprintln!("{fault:?}: caught by world {seed}"),
                        None => escaped.lock().unwrap().push(*fault),
                    }
                }
            });
        }
    });
    let escaped = escaped.into_inner().unwrap();
    assert!(escaped.is_empty(), "no world saw {escaped:?}");
}

#[test]
fn every_promise_has_a_fault_that_breaks_it() {
    let broken: BTreeSet<Invariant> = Planted::ALL.iter().map(|fault| broken_by(*fault)).collect();
    assert_eq!(broken.len(), 13, "{broken:?}");
}
