//! A user agent with an account, open calls, a hostile peer and a busy shell.
//!
//! Promises: `Ended` once for each invite and no event of it afterwards, deadlines that lie ahead, a bounded number of
//! outputs for each input, and empty tables when all calls are over and time has passed.

mod peer;
mod world;

use crate::bytes::Bytes;
use world::{PASSWORD, World};

/// Steps of one run.
const STEPS_MAX: usize = 200;

pub fn target(data: &[u8]) {
    // A fuzzer finds the word in the program; where it has put it into a message, it tells nothing that the trace has it too.
    let mut parts = data.windows(PASSWORD.len());
    if parts.any(|part| part == PASSWORD.as_bytes()) {
        return;
    }
    let mut bytes = Bytes::new(data);
    let mut world = World::new(bytes.byte());
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            break;
        }
        match bytes.below(16) {
            0 => world.raw(&mut bytes),
            1..=3 => world.respond(&mut bytes),
            4..=6 => world.request(&mut bytes),
            7 => world.call_in(&mut bytes),
            8 | 9 => world.command(&mut bytes),
            10 => world.call_out(&mut bytes),
            11 => world.elapse(u64::from(bytes.byte()) * 20),
            12 => world.next_timer(),
            13 => world.stream(&mut bytes),
            14 => world.account(&mut bytes),
            _ => world.repeat(&mut bytes),
        }
    }
    world.close();
}
