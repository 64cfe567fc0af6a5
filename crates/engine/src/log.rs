//! One line an event, worded by the catalogue, at the level of its severity. Phone numbers are masked there.

use std::sync::OnceLock;

use catalog::{Language, Message, Severity};

static LANGUAGE: OnceLock<Language> = OnceLock::new();

/// Chooses the language of the log, once and for the whole process; English where nobody does.
pub fn set_language(language: Language) {
    let _ = LANGUAGE.set(language);
}

/// Writes a message to the log.
pub(crate) fn say(message: &Message) {
    let language = LANGUAGE.get().copied().unwrap_or(Language::En);
    let text = catalog::render(message, language).text;
    let code = message.code.as_ref();
    match catalog::entry(code).map_or(Severity::Notice, |entry| entry.severity) {
        Severity::Info | Severity::Notice => tracing::info!(code, "{text}"),
        Severity::Warning => tracing::warn!(code, "{text}"),
        Severity::Error => tracing::error!(code, "{text}"),
    }
}
