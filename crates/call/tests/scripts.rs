//! Every `.call` file of `tests/scripts` is a test: a call at simulated time.

mod common;

use std::path::{Path, PathBuf};
use std::time::Instant;

/// There are at least this many, so that a lost folder is noticed.
const SCRIPTS_MIN: usize = 140;

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries = std::fs::read_dir(folder).expect("the folder exists");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "call")
    });
    paths.sort();
    paths
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant has no other origin; the script's time is simulated"
)]
fn every_script_goes_as_written() {
    let base = Instant::now();
    let scripts = scripts();
    assert!(
        scripts.len() >= SCRIPTS_MIN,
        "only {} scripts",
        scripts.len()
    );
    let failures: Vec<String> = scripts
        .iter()
        .filter_map(|path| common::run::script(path, base).err())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} scripts failed:\n{}",
        failures.len(),
        scripts.len(),
        failures.join("\n")
    );
}
