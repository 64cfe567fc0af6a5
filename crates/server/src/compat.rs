//! The back office of the contract: its list of agents, and what an agent of it is here.
//!
//! This is the only place of the server that knows that back office's words (`restaurantId` and the like are wire names of the
//! contract). An agent of it is an ordinary agent of the database: settings and tools come from a data pack, and its calls ask
//! the same back office. So the record, the cost and the webhook of its calls are those of any other agent, and what was known
//! of the list is still there when the process begins again and the back office does not answer.

pub(crate) mod discovery;
pub(crate) mod list;
mod single;
mod written;

use std::time::Duration;

use engine::directory::DirectoryHandle;
use serde_json::{Map, Value, json};

use store::secret::Vault;
use store::{Store, TenantScope};

use crate::config::AgentsConfig;
use crate::outgoing::Outgoing;
use crate::settings::{Origin, Settings};
use discovery::Discovery;
pub(crate) use single::{belong, prepare as prepare_single};
use written::Written;

/// Settings of every agent of the contract, as the API knows them.
const SETTINGS: &str = include_str!("compat/agent.json");
/// The tools of the contract. Which of them a call is offered is the session's word.
const TOOLS: &str = include_str!("compat/tools.json");
/// Where agents of the list are known to come from.
pub(crate) const SOURCE: &str = "discovery";
/// Where the back office is when nothing says so.
pub(crate) const DEFAULT_BACK_OFFICE: &str = "http://localhost:3000";

/// The back office of the contract is where the contract says, unless the settings say otherwise.
pub(crate) fn complete(settings: &mut Settings) {
    let asked = settings.switch("agents.discover") || settings.set("agents.only_id").is_some();
    if asked && settings.set("tools.back_office").is_none() {
        settings.override_with("tools.back_office", DEFAULT_BACK_OFFICE, Origin::Default);
    }
}

/// The database, as far as the back office's agents concern it.
pub(crate) fn written(store: &Store, vault: &Vault, config: &AgentsConfig) -> Written {
    Written {
        store: store.clone(),
        vault: vault.clone(),
        scope: TenantScope::default(),
        language: config.language.clone(),
    }
}

/// Begins to follow the back office's list, where the settings want it.
pub(crate) fn discover(
    config: &AgentsConfig,
    (outgoing, store, vault): (&Outgoing, &Store, &Vault),
    directory: &DirectoryHandle,
) -> Option<Discovery> {
    let wanted = config.discover && config.only.is_none();
    wanted.then(|| {
        Discovery::start(
            outgoing.courier.clone(),
            &config.back_office,
            config.refresh.max(Duration::from_secs(1)),
            written(store, vault, config),
            directory.clone(),
        )
    })
}

/// The settings of the agent that the back office calls `id`.
pub(crate) fn agent_settings(id: &str, calls_max: Option<u32>, language: &str) -> String {
    let mut settings: Map<String, Value> =
        serde_json::from_str(SETTINGS).expect("the pack is part of the program");
    settings.insert("config".to_owned(), json!({ "restaurantId": id }));
    settings.insert("language".to_owned(), json!(language));
    if let Some(calls) = calls_max {
        settings.insert("limits".to_owned(), json!({ "maxParallelCalls": calls }));
    }
    Value::Object(settings).to_string()
}

/// The tools of the contract as the store keeps them.
pub(crate) fn agent_tools() -> Vec<store::Tool> {
    let tools: Vec<Value> = serde_json::from_str(TOOLS).expect("the pack is part of the program");
    let stored = |(order, tool): (i64, Value)| store::Tool {
        name: tool["name"].as_str().unwrap_or_default().to_owned(),
        sort_order: order,
        is_enabled: true,
        config: tool.to_string(),
    };
    (1..).zip(tools).map(stored).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent::{AgentSettings, ToolConfig};

    #[test]
    fn the_pack_is_an_agent_with_the_twelve_tools() {
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let tools = agent_tools();
        let tools: Vec<ToolConfig> = tools
            .iter()
            .map(|tool| ToolConfig::parse(&parse(&tool.config)).unwrap())
            .collect();
        let settings = agent_settings("5b0c6c1e", Some(3), "fr");
        let definition = agent::Definition {
            agent_id: "a".to_owned(),
            tenant_id: "t".to_owned(),
            version: 1,
            default_base_url: Some(DEFAULT_BACK_OFFICE.to_owned()),
            settings: AgentSettings::parse(&parse(&settings)).unwrap(),
            tools,
            ..agent::Definition::default()
        };
        let agent = agent::compile(definition).unwrap_or_else(|faults| panic!("{faults:?}"));
        let names: Vec<&str> = agent
            .definition()
            .tools
            .iter()
            .map(|tool| tool.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "check_availability",
                "confirm_order",
                "confirm_reservation",
                "save_customer_info",
                "log_new_faq",
                "leave_message",
                "check_order_status",
                "cancel_order",
                "lookup_reservation",
                "cancel_reservation",
                "transfer_call",
                "end_call"
            ]
        );
    }
}
