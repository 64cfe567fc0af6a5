//! The tidy test: everything about the house that neither the compiler nor a lint can hold.

mod source;
mod walls;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One breach of a house rule.
pub(crate) struct Finding {
    pub(crate) path: String,
    /// 1-based; 0 when the whole file is meant.
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
    pub(crate) text: String,
}

/// Runs every check over the files that git knows and fails with the whole list of breaches.
pub(crate) fn run() -> Result<()> {
    let root = root();
    let allowed = allowances(&root)?;
    let mut findings = walls::check(&root)?;
    for path in tracked_files(&root)? {
        source::check(&root, &path, &mut findings)?;
    }
    findings.retain(|finding| {
        !allowed
            .iter()
            .any(|(path, rule)| *path == finding.path && rule == finding.rule)
    });
    if findings.is_empty() {
        return Ok(());
    }
    let mut report = format!("tidy: {} breaches of house rules\n", findings.len());
    for finding in &findings {
        report.push_str(&format!(
            "{}:{}: [{}] {}\n",
            finding.path, finding.line, finding.rule, finding.text
        ));
    }
    bail!(report)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask sits in the workspace root")
        .to_owned()
}

/// `xtask/tidy-allow.txt`: `path rule reason…` a line; a line without a reason is an error.
fn allowances(root: &Path) -> Result<Vec<(String, String)>> {
    let file = root.join("xtask/tidy-allow.txt");
    let mut allowed = Vec::new();
    for line in std::fs::read_to_string(file)?.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(path), Some(rule), Some(_reason)) => {
                allowed.push((path.to_owned(), rule.to_owned()));
            }
            _ => bail!("tidy-allow.txt: `{line}` needs a path, a rule and a reason"),
        }
    }
    Ok(allowed)
}

fn tracked_files(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        bail!("git ls-files failed: tidy runs in a checkout");
    }
    Ok(String::from_utf8(output.stdout)?
        .lines()
        .filter(|path| root.join(path).is_file())
        .map(str::to_owned)
        .collect())
}
