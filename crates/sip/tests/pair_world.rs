//! Random worlds (`common/world.rs`): whatever happens, every promise of `common/model.rs` and `common/wire_rules.rs` holds,
//! and nothing is left at the end.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail loudly, pick events, and needs an origin of its virtual time"
)]

/// Seeds of the ordinary run; `ALLO_SEEDS` asks for another number, or for a range `FROM..TO` (see `scripts/prove`).
const SEEDS: u64 = 2_000;

fn seeds() -> std::ops::Range<u64> {
    let Ok(wish) = std::env::var("ALLO_SEEDS") else {
        return 0..SEEDS;
    };
    match wish.split_once("..") {
        Some((from, to)) => from.parse().unwrap()..to.parse().unwrap(),
        None => 0..wish.parse().unwrap(),
    }
}

#[test]
fn random_worlds_keep_every_promise() {
    let seeds = seeds();
    let is_many = seeds.end - seeds.start >= SEEDS;
    let kinds = crate::common::world::run_worlds(seeds);
    // The worlds are worth something only if every kind of end comes up.
    for expected in [
        "RemoteBye",
        "RemoteCancel",
        "LocalHangUp",
        "Rejected",
        "Refused",
        "AckMissing",
        "MissingAnswer",
        "Timeout",
        "DialogLost",
    ] {
        assert!(
            !is_many || kinds.contains_key(expected),
            "no world had {expected}: {kinds:?}"
        );
    }
}
