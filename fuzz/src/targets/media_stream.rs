//! One RTP stream under packets, commands and time of any kind.
//!
//! Promises: every drain ends, deadlines lie ahead, frames come in order and whole, nothing is sent to a stranger's
//! address or above the pace, and no item is reported as played for longer than it is.

mod world;

use crate::bytes::Bytes;
use world::World;

/// Steps of one run.
const STEPS_MAX: usize = 300;

pub fn target(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut world = World::new(&mut bytes);
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            break;
        }
        match bytes.below(16) {
            0..=4 => world.audio(&mut bytes),
            5 => world.raw(&mut bytes),
            6 => world.report(&mut bytes),
            7 => world.event(&mut bytes),
            8 | 9 => world.elapse(u64::from(bytes.byte())),
            10 => world.push(&mut bytes),
            11 => world.finish(&mut bytes),
            12 => world.clear(),
            13 => world.switch(&mut bytes),
            14 => world.reconfigure(&mut bytes),
            _ => world.digits(&mut bytes),
        }
        world.drain();
    }
    world.close();
}
