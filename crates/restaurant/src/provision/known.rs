//! What is known of a restaurant's place at the voice server, kept between runs: each fact is written as soon as it is learned.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The facts. They survive the process; a token is sealed apart from them.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Known {
    /// The account at the voice server.
    pub account: Option<String>,
    /// The final customer; an empty text where the server has none.
    pub final_customer: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The agent's own token, where the server told it.
    #[serde(skip)]
    pub agent_token: Option<String>,
    /// The token of its chat.
    pub public_token: Option<String>,
    /// Rises when an agent has vanished there: the keys of its requests are new then.
    pub generation: u32,
    /// The tools that were made, where the server does not list them.
    pub tools: Vec<String>,
    /// The pack whose tools are all there.
    pub pack: Option<String>,
    /// The fields of the agent as they were sent last.
    pub synced: Option<Map<String, Value>>,
    /// Mark of the phone lines that were sent last.
    pub lines: Option<String>,
}

impl Known {
    /// Whether there is an agent with every tool, its lines and its present settings.
    pub fn is_complete(&self, wanted: &super::Wanted) -> bool {
        self.agent.is_some()
            && self.pack.as_deref() == Some(wanted.pack.as_str())
            && self.synced.as_ref() == Some(&wanted.fields)
            && self.lines.as_deref() == Some(wanted.lines_mark.as_str())
    }

    /// Forgets an agent that the server does not know: it is made anew, under new keys.
    pub(super) fn agent_vanished(&mut self) {
        *self = Self {
            account: self.account.take(),
            final_customer: self.final_customer.take(),
            generation: self.generation + 1,
            ..Self::default()
        };
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known")
            .field("account", &self.account)
            .field("final_customer", &self.final_customer)
            .field("agent", &self.agent)
            .field("has_token", &self.agent_token.is_some())
            .field("generation", &self.generation)
            .field("tools", &self.tools.len())
            .field("pack", &self.pack)
            .finish_non_exhaustive()
    }
}
