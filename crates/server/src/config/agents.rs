//! Agents of the back office.

use std::time::Duration;

use crate::settings::Settings;

/// Agents of the back office.
pub(crate) struct AgentsConfig {
    /// Its list is read.
    pub(crate) discover: bool,
    /// How often.
    pub(crate) refresh: Duration,
    /// The one agent that the lines of the settings belong to.
    pub(crate) only: Option<String>,
    /// Where it is.
    pub(crate) back_office: String,
    /// Language of its agents' own sentences.
    pub(crate) language: String,
}

impl AgentsConfig {
    pub(super) fn read(settings: &Settings) -> Self {
        Self {
            discover: settings.switch("agents.discover"),
            refresh: Duration::from_secs(settings.integer("agents.refresh_s")),
            only: settings.set("agents.only_id").map(str::to_owned),
            back_office: settings.text("tools.back_office").to_owned(),
            language: settings.text("agent.language").to_owned(),
        }
    }
}
