//! Prints what the receiver makes of bad networks: `cargo run --release -p media --example worlds [MINUTES]`.
//!
//! The worlds and their meaning are those of `tests/worlds.rs`, which holds the bounds. Nothing here takes real time.

#![allow(
    clippy::cast_precision_loss,
    reason = "counts of an example are far below 2^52"
)]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/world.rs"]
mod world;

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let minutes = std::env::args().nth(1);
    let minutes: u64 = minutes.and_then(|text| text.parse().ok()).unwrap_or(10);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{minutes} min each; of what arrived: not heard; of the call: made up; ms\n\
         world                        lost %  not heard %  made up %  silence s  added p50/p99/max   gap p99/max  ahead first/last  media first/last  pace p99"
    )?;
    for &(name, weather) in world::WEATHERS {
        let report = world::run(weather, minutes * 60_000, 1);
        let arrived = report.arrived as f64 / report.sent.max(1) as f64;
        writeln!(
            out,
            "{name:28} {:6.2}  {:11.3}  {:9.2}  {:9.1}  {:5.1} {:5.1} {:6.1}  {:5.1} {:6.1}  {:7} {:8}  {:7} {:8}  {:8.1}",
            100.0 * (1.0 - arrived),
            100.0 * report.wasted(),
            100.0 * report.concealed(),
            report.silence_ms as f64 / 1_000.0,
            report.added_ms.p50,
            report.added_ms.p99,
            report.added_ms.max,
            report.gap_ms.p99,
            report.gap_ms.max,
            report.ahead_ms.0,
            report.ahead_ms.1,
            report.media_ahead_ms.0,
            report.media_ahead_ms.1,
            report.pace_ms.p99,
        )?;
        if report.stolen + report.disorder > 0 {
            writeln!(
                out,
                "  STOLEN {} DISORDER {}",
                report.stolen, report.disorder
            )?;
        }
    }
    Ok(())
}
