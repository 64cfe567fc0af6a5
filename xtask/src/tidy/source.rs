//! Sizes and words of each tracked file.

use super::Finding;
use anyhow::Result;
use std::path::Path;

/// Hard limit of production lines in a Rust or TypeScript file (before `#[cfg(test)]`).
const FILE_LINES_MAX: usize = 700;

/// Words that describe the change or the author's mood rather than the code. Each is matched in comments only.
const COMMENT_WORDS: &[&str] = &[
    "no longer",
    "previously",
    "now uses",
    "helper function",
    "fixme",
    "todo",
    "for now,",
    "as requested",
    "hack:",
];

/// Text that no tracked file may hold: machine paths, leftovers of a merge, keys.
const FORBIDDEN_TEXT: &[&str] = &[
    "/root/",
    "/home/",
    "<<<<<<< ",
    ">>>>>>> ",
    "BEGIN RSA PRIVATE",
    "BEGIN PRIVATE KEY",
];

/// Nouns of the vertical, which no other crate knows as an identifier. Wire names inside of texts are given by the contract.
const VERTICAL_NOUNS: &[&str] = &[
    "restaurant",
    "restaurants",
    "Restaurant",
    "menu",
    "menus",
    "Menu",
    "MenuItem",
    "reservation",
    "reservations",
    "Reservation",
    "kitchen",
    "Kitchen",
];

/// Where they may stand: the crate itself, the wiring that names it, the routes of the contract.
const VERTICAL_PLACES: &[&str] = &[
    "crates/restaurant/",
    "crates/server/src/wiring",
    "crates/server/src/compat",
    "crates/engine/src/agents.rs",
    "xtask/",
    "fuzz/",
];

pub(crate) fn check(root: &Path, path: &str, findings: &mut Vec<Finding>) -> Result<()> {
    let bytes = std::fs::read(root.join(path))?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Ok(());
    };
    let mut breach = |line: usize, rule: &'static str, text: String| {
        findings.push(Finding {
            path: path.to_owned(),
            line,
            rule,
            text,
        });
    };
    if path.ends_with("/mod.rs") && !path.contains("/tests/") {
        breach(0, "mod-rs", "use name.rs beside name/".to_owned());
    }
    if !path.starts_with("xtask/") {
        check_forbidden_text(&text, &mut breach);
    }
    if path.ends_with(".rs") {
        check_rust(path, &text, &mut breach);
    }
    Ok(())
}

fn check_forbidden_text(text: &str, breach: &mut impl FnMut(usize, &'static str, String)) {
    for (index, line) in text.lines().enumerate() {
        for forbidden in FORBIDDEN_TEXT {
            if line.contains(forbidden) {
                breach(
                    index + 1,
                    "forbidden-text",
                    format!("`{forbidden}` does not belong in the project"),
                );
            }
        }
    }
}

fn check_rust(path: &str, text: &str, breach: &mut impl FnMut(usize, &'static str, String)) {
    let is_test = path.contains("/tests/");
    let production = text
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .count();
    if !is_test && production > FILE_LINES_MAX {
        breach(
            0,
            "file-lines",
            format!("{production} production lines, at most {FILE_LINES_MAX}: move state out"),
        );
    }
    if !is_test && !VERTICAL_PLACES.iter().any(|place| path.starts_with(place)) {
        check_nouns(text, production, breach);
    }
    let mut in_tests = is_test;
    for (index, line) in text.lines().enumerate() {
        in_tests |= line.starts_with("#[cfg(test)]");
        if let Some(comment) = comment_of(line) {
            let lower = comment.to_lowercase();
            if let Some(word) = COMMENT_WORDS.iter().find(|word| lower.contains(**word)) {
                breach(
                    index + 1,
                    "comment-words",
                    format!("`{word}`: describe the code, not the change"),
                );
            }
            if comment.chars().any(is_emoji) {
                breach(index + 1, "emoji", "plain words only".to_owned());
            }
        }
        if in_tests
            && path.starts_with("crates/")
            && (line.contains("sleep(") && !line.contains("sleep_until("))
        {
            breach(
                index + 1,
                "sleep-in-test",
                "wait for an event with a deadline".to_owned(),
            );
        }
        if line.contains("dbg!(") && !path.starts_with("xtask/") {
            breach(index + 1, "dbg", "left-over dbg!".to_owned());
        }
    }
}

fn check_nouns(
    text: &str,
    production: usize,
    breach: &mut impl FnMut(usize, &'static str, String),
) {
    for (index, line) in text.lines().take(production).enumerate() {
        let code = match comment_of(line) {
            Some(comment) => line.strip_suffix(comment).unwrap_or_default(),
            None => line,
        };
        // What stands between quotation marks is a text; a line of a longer text has an odd number of them and is left alone.
        let parts: Vec<&str> = code.split('"').collect();
        if parts.len().is_multiple_of(2) {
            continue;
        }
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let found = parts
            .iter()
            .step_by(2)
            .flat_map(|part| part.split(|character| !is_part(character)))
            .find(|word| VERTICAL_NOUNS.contains(word));
        if let Some(word) = found {
            breach(
                index + 1,
                "vertical",
                format!(
                    "`{word}` is a noun of the restaurant: only its crate and the wiring name it"
                ),
            );
        }
    }
}

/// The comment part of a line, where the line is a comment or ends in one after a space.
fn comment_of(line: &str) -> Option<&str> {
    let trimmed = line.trim_start();
    if trimmed.starts_with("//") {
        return Some(trimmed);
    }
    line.split_once(" // ").map(|(_, comment)| comment)
}

fn is_emoji(character: char) -> bool {
    matches!(u32::from(character), 0x1F300..=0x1FAFF | 0x2600..=0x27BF)
}
