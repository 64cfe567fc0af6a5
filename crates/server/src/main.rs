//! `allo`: an AI telephone operator.
//!
//! The front door: command line, settings, wiring, the administration API and the demo. Policy lives in `call`, protocols
//! in `sip`, `media` and `wire`; this crate only joins them.

mod admin_command;
mod apart;
mod api;
mod bridge;
mod call_command;
mod carrier_command;
mod check;
mod cli;
mod compat;
mod config;
mod demo;
mod doctor;
mod explain;
mod files;
mod geo;
mod housekeeping;
mod identity;
mod migrate;
mod office;
mod one_off;
mod openapi_command;
mod outgoing;
mod pages;
mod phrases;
mod platform_api;
mod privacy;
mod probe;
mod secrets;
mod serve;
mod server_client;
mod settings;
mod shutdown;
mod standin_command;
mod telemetry;
mod terminal;
mod test_incoming;
mod voice;
mod wiring;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    if let Err(cause) = apart::orders::take() {
        terminal::error_line(&format!("{}: {cause}", apart::orders::VARIABLE));
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("allo")
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::error_line(&format!("tokio: {error}"));
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(cli::run(arguments))
}
