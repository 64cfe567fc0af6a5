//! What a person is told before a caller is joined with them.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::CallBrain;
use crate::limits::{ANNOUNCEMENT_CHARS_MAX, SUMMARY_CHARS_MAX};
use crate::template::{Root, Scope};

/// The argument of a transfer by which the model says who calls and why.
pub(super) const SUMMARY_ARGUMENT: &str = "summary";

impl CallBrain {
    /// What the person of a named target is told, where a transfer was not asked for by a tool. `None`: nothing.
    pub fn announcement(&self, target: &str, now: Timestamp) -> Option<String> {
        self.announcement_of(target, None, now)
    }

    /// The same, with the arguments that the model gave.
    pub(super) fn announcement_of(
        &self,
        target: &str,
        given: Option<&Map<String, Value>>,
        now: Timestamp,
    ) -> Option<String> {
        let target = self.agent.transfers.get(target)?;
        let text = target.announcement.as_ref().and_then(|template| {
            let arguments = Value::Object(given.map(heard).unwrap_or_default());
            let variables = self.variables(now);
            let scope = Scope {
                arguments: Some(&arguments),
                ..self.scope(&variables)
            };
            template.prose(&scope).ok()
        });
        let told = text.map(|text| cut(text.trim(), ANNOUNCEMENT_CHARS_MAX));
        let keys = target.manner.screen_seconds.map(|_| {
            if self.agent.settings().speaks_english() {
                "Press 1 to take the call, 2 to refuse it."
            } else {
                "Tapez 1 pour prendre l'appel, 2 pour le refuser."
            }
        });
        let parts: Vec<&str> = told
            .as_deref()
            .into_iter()
            .chain(keys)
            .filter(|part| !part.is_empty())
            .collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    /// The announcement of a target holds what the model says of the call.
    pub(super) fn announces_summary(&self) -> bool {
        let uses = |target: &crate::compile::Target| {
            let template = target.announcement.as_ref();
            template.is_some_and(|text| text.uses(|root| root == Root::Arguments))
        };
        self.agent.transfers.values().any(uses)
    }
}

/// The arguments, of which the summary is not longer than somebody who waits would listen to.
fn heard(given: &Map<String, Value>) -> Map<String, Value> {
    let mut given = given.clone();
    if let Some(Value::String(summary)) = given.get_mut(SUMMARY_ARGUMENT) {
        *summary = cut(summary, SUMMARY_CHARS_MAX);
    }
    given
}

fn cut(text: &str, characters_max: usize) -> String {
    text.chars().take(characters_max).collect()
}
