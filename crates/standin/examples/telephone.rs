//! The scripted telephone alone: calls an address, follows its scenario, prints what it measured.
//!
//! `telephone sip:USER@HOST:PORT [--scenario NAME-OR-FILE] [--tcp yes] [--recording FILE] [--calls N]`

use std::path::PathBuf;
use std::sync::Arc;

use standin::caller::{Config, Outcome, call};
use standin::scenario::Scenario;
use standin::speech::Speech;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the reports are its output")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut config = Config {
        target: arguments.next().ok_or("a sip: address is needed")?,
        ..Config::default()
    };
    let (mut scenario, mut calls) = (Scenario::demo_fr(), 1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--scenario" => {
                scenario = match Scenario::embedded(&value) {
                    Some(scenario) => scenario,
                    None => Scenario::from_file(&PathBuf::from(value))?,
                };
            }
            "--tcp" => config.tcp = value == "yes",
            "--recording" => config.recording = Some(PathBuf::from(value)),
            "--calls" => calls = value.parse()?,
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    let prepared = scenario.prepare(&Speech::new(None)).await?;
    let mut running = tokio::task::JoinSet::new();
    for seed in 0..calls {
        let config = Config {
            seed,
            ..config.clone()
        };
        running.spawn(call(config, Arc::clone(&prepared)));
    }
    let mut right = true;
    while let Some(report) = running.join_next().await {
        let report = report??;
        right &= report.outcome == Outcome::Completed;
        println!("{report:#?}");
    }
    if right {
        Ok(())
    } else {
        Err("a call was not completed".into())
    }
}
