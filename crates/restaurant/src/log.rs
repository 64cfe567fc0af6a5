//! One line an event, worded by the catalogue.

use catalog::{Message, Severity};

use crate::api::App;

/// Writes a message to the log, in the language of the house.
pub(crate) fn say(app: &App, message: &Message) {
    let text = catalog::render(message, app.config.language).text;
    let code = message.code.as_ref();
    match catalog::entry(code).map_or(Severity::Notice, |entry| entry.severity) {
        Severity::Info | Severity::Notice => tracing::info!(code, "{text}"),
        Severity::Warning => tracing::warn!(code, "{text}"),
        Severity::Error => tracing::error!(code, "{text}"),
    }
}
