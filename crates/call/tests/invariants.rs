//! Random calls, from seeds (`common/random.rs`): whatever comes in, in whatever order, the promises of a session hold.

mod common;

use std::collections::BTreeSet;
use std::time::Instant;

use common::random::one_call;

/// Calls tried in one run of the test; `ALLO_SEEDS` asks for another number (see `scripts/prove`).
const SEEDS: u64 = 3_000;

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant has no other origin; the call's time is simulated"
)]
fn random_calls_keep_the_promises() {
    let base = Instant::now();
    let mut seen = BTreeSet::new();
    let wished = std::env::var("ALLO_SEEDS").ok();
    for seed in 0..wished.map_or(SEEDS, |text| text.parse().expect("a number")) {
        match one_call(seed, base) {
            Ok(mut reached) => seen.append(&mut reached),
            Err(broken) => panic!("seed {seed}: {broken:#?}"),
        }
    }
    // A test of random calls is worth what they reach.
    for must in [
        "agent_hung_up",
        "caller_cancelled",
        "caller_hung_up",
        "draining",
        "engine_lost",
        "engine_refused",
        "engine_unavailable",
        "max_duration",
        "media_lost",
        "operator_hung_up",
        "RotateEngine",
        "TruncateItem",
        "PlayLocal",
        "RunTool",
        "SendDtmf",
        "RejectCall",
        "AddMessage",
        "Transfer",
        "CallTarget",
        "DropTarget",
        "HandOver",
        "Announce",
        "returned",
        "Confer",
        "agent_left",
        "joined after a conference",
        "a conference after a join",
        "person_came",
        "Park",
        "Unpark",
        "retrieved",
        "parking ended, true",
        "parking ended, false",
        "screened accepted",
        "screened refused",
        "screened timed_out",
        "Ringback",
        "Join",
        "SecureInput",
        "HoldCaller",
        "transferred",
        "no_balance",
        "closed",
        "answering_machine",
        "message_left",
    ] {
        assert!(seen.contains(must), "no call reached {must}: {seen:?}");
    }
}
