//! Every file of the corpus through its target, without libFuzzer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{TARGETS, Target};

/// Longest time that one input may take on a busy machine.
const INPUT_MAX: Duration = Duration::from_secs(10);

/// Replays all of it, or `[TARGET]`, or `[TARGET, FILE…]`, and prints what failed. False on a panic, on an input that takes longer than
/// `INPUT_MAX`, on a target without corpus and on a folder without target.
pub fn replay(arguments: &[String]) -> bool {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let started = Instant::now();
    let mut tally = Tally::default();
    let wanted = |target: &&Target| arguments.first().is_none_or(|name| name == target.name);
    for target in TARGETS.iter().filter(wanted) {
        let mut files: Vec<PathBuf> = arguments.iter().skip(1).map(PathBuf::from).collect();
        if files.is_empty() {
            files = files_of(&corpus.join(target.name));
            tally.check(!files.is_empty(), || format!("{}: no corpus", target.name));
        }
        tally.run(target, Path::new("(empty input)"), &[]);
        for file in files {
            match std::fs::read(&file) {
                Ok(data) => tally.run(target, &file, &data),
                Err(error) => tally.check(false, || format!("{}: {error}", file.display())),
            }
        }
    }
    if arguments.is_empty() {
        for folder in files_of(&corpus) {
            let known = TARGETS.iter().any(|target| folder.ends_with(target.name));
            tally.check(known, || format!("{}: no such target", folder.display()));
        }
    } else {
        tally.check(tally.passed > 0, || "no such target".to_owned());
    }
    println!(
        "{} passed, {} failed ({} targets, {:.1} s)",
        tally.passed,
        tally.failed,
        TARGETS.iter().filter(wanted).count(),
        started.elapsed().as_secs_f64()
    );
    tally.failed == 0
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    fn run(&mut self, target: &Target, file: &Path, data: &[u8]) {
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(data)));
        let took = started.elapsed();
        let is_right = outcome.is_ok() && took <= INPUT_MAX;
        self.passed += usize::from(is_right);
        self.check(is_right, || {
            let what = if outcome.is_err() { "panic" } else { "slow" };
            format!("{what} after {took:?}: {} {}", target.name, file.display())
        });
    }

    fn check(&mut self, is_right: bool, complaint: impl FnOnce() -> String) {
        if !is_right {
            self.failed += 1;
            eprintln!("FAILED {}", complaint());
        }
    }
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    files.sort();
    files
}
