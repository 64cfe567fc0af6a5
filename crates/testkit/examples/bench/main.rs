//! The bench: what a call costs, beside a bare-loop floor run in the same call, with the generator's own cost.
//!
//! `bench run --allo PATH` starts three processes on loopback (an echo engine, the floor, the server) and drives each with
//! the same generator, in turn, for each number of calls. Figures are those of `docs/performance.md`:
//!
//! - ms/cs: milliseconds of server CPU (user and system) per second of one call;
//! - RTT: from the caller's packet to the return of the same 20 ms from an engine that echoes at once;
//! - gap: time between two packets at the caller; received: packets that came, of those that should.

mod echo;
mod floor;
mod orchestrate;
mod phone;
mod process;
mod sip_text;
mod stream_floor;
mod stream_phone;
mod streams;
mod tls;
mod voice;

use std::collections::BTreeMap;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let mut options = BTreeMap::new();
    while let Some(name) = arguments.next() {
        options.insert(
            name.trim_start_matches("--").to_owned(),
            arguments.next().unwrap_or_default(),
        );
    }
    match command.as_str() {
        "run" => orchestrate::run(&options).await,
        "echo-engine" => echo::serve(&options).await,
        "streams" => streams::run(&options).await,
        "stream-floor" => stream_floor::serve(&options).await,
        "floor" => floor::serve(&options).await,
        "generate" => phone::generate(&options).await,
        _ => {
            say(
                "bench run --allo PATH [--tls yes] [--calls 1,50,200] [--seconds 20] [--rounds 3] [--codec pcmu|pcma|g722|opus|g729|amrwb] [--security sdes] [--recording yes] [--greeting yes] [--core 0] [--set name=value,…]",
            );
            say(
                "bench streams --allo PATH [--fastify bridge.mjs] [--tls yes] [--calls 100,300] [--seconds 20] [--rounds 3]",
            );
            Ok(())
        }
    }
}

/// A line on standard output.
#[expect(
    clippy::print_stdout,
    reason = "a command-line program speaks to its terminal"
)]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// A number among the options.
pub(crate) fn number(options: &BTreeMap<String, String>, name: &str, default: u64) -> u64 {
    options
        .get(name)
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}
