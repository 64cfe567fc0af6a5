//! `replay [TARGET | TARGET FILE…]`: see [`fuzz::replay::replay`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if fuzz::replay::replay(&arguments) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
