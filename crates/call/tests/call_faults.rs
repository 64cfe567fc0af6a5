//! The watcher of random calls is worth what it sees: every fault of `planted.rs` breaks one promise of the product, and some call
//! of the ordinary run must tell of that very promise.

mod common;

use std::collections::BTreeSet;
use std::time::Instant;

use call::planted::{Planted, plant};
use common::random::{Promise, one_call};

/// Calls within which a fault must be seen: those of the ordinary run.
const CALLS_MAX: u64 = 3_000;

/// The promise that a fault breaks.
const fn broken_by(fault: Planted) -> Promise {
    match fault {
        Planted::AnswerForgotten => Promise::ToolAnswered,
        Planted::RunsTwice | Planted::AnsweredTwice => Promise::ToolOnce,
        Planted::NeverSettles => Promise::Bounded,
        Planted::TellsAfterEnd | Planted::TimerAfterEnd => Promise::AfterEnd,
        Planted::EndsTwice | Planted::NeverEnds => Promise::OneEnd,
        Planted::TimerInPast => Promise::TimerAhead,
        Planted::SecureStays | Planted::SecureTwice => Promise::Secure,
        Planted::HoldTwice => Promise::Hold,
        Planted::DisclosureCut => Promise::Disclosure,
        Planted::TargetStays
        | Planted::TargetEndedTwice
        | Planted::ConfersTwice
        | Planted::PersonStays
        | Planted::ReturnsUntold => Promise::Target,
        Planted::ParkStays => Promise::Parking,
        Planted::RingbackStays => Promise::Ringback,
        Planted::AnswersTwice => Promise::OneAnswer,
        Planted::HangsUpTwice => Promise::OneHangUp,
        Planted::BackgroundStays => Promise::Background,
        Planted::AsksNobody => Promise::EngineThere,
        Planted::SpeaksAfterHangUp => Promise::SilentAfterHangUp,
    }
}

/// The first call that tells of the promise, with the fault in the product.
fn caught(fault: Planted, base: Instant) -> Option<u64> {
    plant(Some(fault));
    let found = (0..CALLS_MAX).find(|seed| {
        let told = one_call(*seed, base).err().unwrap_or_default();
        told.iter().any(|one| one.promise == broken_by(fault))
    });
    plant(None);
    found
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant has no other origin; the call's time is simulated"
)]
fn every_planted_fault_is_caught_as_the_promise_that_it_breaks() {
    let base = Instant::now();
    let mut escaped = Vec::new();
    for fault in Planted::ALL {
        match caught(*fault, base) {
            Some(seed) => eprintln!("{fault:?}: caught by call {seed}"),
            None => escaped.push(*fault),
        }
    }
    assert!(escaped.is_empty(), "no call saw {escaped:?}");
}

#[test]
fn every_promise_has_a_fault_that_breaks_it() {
    let broken: BTreeSet<Promise> = Planted::ALL.iter().map(|fault| broken_by(*fault)).collect();
    assert_eq!(broken.len(), Promise::ALL, "{broken:?}");
}
