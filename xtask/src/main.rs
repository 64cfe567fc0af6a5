//! House checks that must be Rust: `cargo run -p xtask -- tidy`.
//!
//! Walls (who may depend on whom), sizes, and words. The lints hold the rest.

mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some("tidy") => tidy::run(),
        other => Err(anyhow::anyhow!(
            "unknown task {}: the tasks are `tidy`",
            other.unwrap_or("(none)")
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a command-line task speaks to its terminal"
)]
fn report(text: &str) {
    eprintln!("{text}");
}
