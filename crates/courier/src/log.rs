//! A message in the log.

use catalog::{Language, Message, Severity};

/// Writes a message to the log, at the level of its severity.
pub(crate) fn say(message: &Message) {
    let text = catalog::render(message, Language::En).text;
    let code = message.code.as_ref();
    match catalog::entry(code).map_or(Severity::Notice, |entry| entry.severity) {
        Severity::Info | Severity::Notice => tracing::info!(code, "{text}"),
        Severity::Warning => tracing::warn!(code, "{text}"),
        Severity::Error => tracing::error!(code, "{text}"),
    }
}
