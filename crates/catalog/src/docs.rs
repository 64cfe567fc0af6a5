//! The page `docs/errors.md`, made from the registry.

use std::fmt::Write;

use crate::language::Language;
use crate::message::Message;
use crate::registry::{Entry, Group, ParamKind, Severity, entries};
use crate::render::{Numbers, render_with};

const GROUPS: [(Group, &str, &str); 6] = [
    (
        Group::End,
        "How calls end",
        "The verdict of a call. `allo call explain ID` shows it with everything that led there.",
    ),
    (
        Group::Configuration,
        "Settings and start",
        "What keeps the service from starting, or from being reached.",
    ),
    (
        Group::Registration,
        "Registration of lines",
        "Where a line stands at its operator.",
    ),
    (
        Group::Engine,
        "Voice engine",
        "What the voice engine answered, or that it did not.",
    ),
    (
        Group::Service,
        "Store, recordings, administration API",
        "Errors of the database, of recordings and of the API.",
    ),
    (Group::Log, "Log", "Lines of the log that have a code."),
];

/// The whole page. Labels, which are words and not events, have no place in it.
pub fn errors_md() -> String {
    let mut page = String::from(
        "# Codes: verdicts, errors and log lines\n\n\
         Every sentence that the product says has a code, which is what is stored. This page is made from the registry \
         (`cargo run -p catalog --example errors_md > docs/errors.md`); a test compares the two. \
         ‹Words in marks› are parameters.\n",
    );
    for (group, title, about) in GROUPS {
        let _ = write!(page, "\n## {title}\n\n{about}\n");
        for entry in entries().filter(|entry| entry.group == group) {
            section(&mut page, entry);
        }
    }
    page
}

fn section(page: &mut String, entry: &Entry) {
    let severity = match entry.severity {
        Severity::Info => "information",
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error: a person must act",
    };
    let _ = write!(page, "\n### {}\n\nSeverity: {severity}.\n\n", entry.anchor);
    let mut message = Message::new(entry.code);
    for spec in entry.params {
        let sample = match spec.kind {
            ParamKind::Key => "xxxxxxxxxxxx4f2a".to_owned(),
            ParamKind::Text
            | ParamKind::Count
            | ParamKind::Number
            | ParamKind::Duration
            | ParamKind::Phone => {
                format!("‹{}›", spec.name)
            }
        };
        message = message.with(spec.name, sample);
    }
    for language in Language::ALL {
        let rendered = render_with(&message, language, Numbers::Shown);
        let _ = writeln!(page, "- {}: {}", language.code(), rendered.text.trim());
        if let Some(remedy) = rendered.remedy {
            let _ = writeln!(page, "  → {remedy}");
        }
    }
}
