//! Words for the person at the terminal, from the catalogue.

use crate::settings::Problem;
use catalog::{Language, Message};
use std::borrow::Cow;

/// The terminal of a person who reads one language.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    pub(crate) language: Language,
}

impl Terminal {
    pub(crate) fn new(language: Language) -> Self {
        Self { language }
    }

    /// The sentence of a message.
    pub(crate) fn text(self, message: &Message) -> String {
        catalog::render(message, self.language).text
    }

    /// Prints the sentence of a message.
    pub(crate) fn say(self, message: &Message) {
        line(&self.text(message));
    }

    /// Prints an error with its remedy.
    pub(crate) fn complain(self, message: &Message) {
        let rendered = catalog::render(message, self.language);
        error_line(&rendered.text);
        if let Some(remedy) = rendered.remedy {
            error_line(&format!("  → {remedy}"));
        }
    }

    /// Prints a problem of the settings.
    pub(crate) fn problem(self, problem: &Problem) {
        self.complain(&message_of(problem));
    }
}

/// The catalogue's message of a problem.
pub(crate) fn message_of(problem: &Problem) -> Message {
    problem
        .parameters
        .iter()
        .fold(Message::new(problem.code), |message, (name, value)| {
            message.with(name, value)
        })
}

/// Writes a message to the log, in English. Numbers of callers are masked there.
pub(crate) fn log(message: &Message) {
    let text = catalog::render(message, Language::En).text;
    let code = message.code.as_ref();
    match catalog::entry(code).map_or(catalog::Severity::Notice, |entry| entry.severity) {
        catalog::Severity::Info | catalog::Severity::Notice => tracing::info!(code, "{text}"),
        catalog::Severity::Warning => tracing::warn!(code, "{text}"),
        catalog::Severity::Error => tracing::error!(code, "{text}"),
    }
}

/// A line on standard output.
#[expect(
    clippy::print_stdout,
    reason = "the command line speaks to its terminal"
)]
pub(crate) fn line(text: &str) {
    println!("{}", printable(text));
}

/// A line on standard error.
#[expect(
    clippy::print_stderr,
    reason = "the command line speaks to its terminal"
)]
pub(crate) fn error_line(text: &str) {
    eprintln!("{}", printable(text));
}

/// A line of JSON on standard output. What a terminal would obey can only stand in its strings: it is escaped there.
pub(crate) fn json_line(json: &str) {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_obeyed(character) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    line(&escaped);
}

/// A text of strangers in one line.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// The text with nothing in it that a terminal would obey: callers choose their names, and an escape sequence among them
/// could rewrite the screen; a mark of the writing direction could turn a line around.
fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(is_obeyed) {
        Cow::Owned(text.replace(is_obeyed, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Control characters but the line feed, and the embedding, override and isolate marks of Unicode TR9.
fn is_obeyed(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    /// Every code that this crate names is in the registry.
    #[test]
    fn every_code_is_known() {
        let mut unknown = Vec::new();
        check(
            std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
            &mut unknown,
        );
        assert!(unknown.is_empty(), "not in the catalogue: {unknown:?}");
    }

    fn check(folder: &std::path::Path, unknown: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                check(&path, unknown);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for candidate in text.split('"').skip(1).step_by(2) {
                let prefix = [
                    "api_",
                    "secrets_",
                    "config_",
                    "demo_",
                    "calls_",
                    "log_",
                    "store_",
                    "start_",
                    "scenario_",
                    "espeak_",
                    "port_in",
                ];
                let is_code = prefix.iter().any(|prefix| candidate.starts_with(prefix))
                    && candidate
                        .chars()
                        .all(|character| character.is_ascii_lowercase() || character == '_')
                    && !candidate.ends_with('_')
                    && candidate != "port_in"
                    // A tool of the restaurants' contract, not a code.
                    && candidate != "log_new_faq";
                if is_code && catalog::entry(candidate).is_none() {
                    unknown.push(format!("{candidate} ({})", path.display()));
                }
            }
        }
    }
}
