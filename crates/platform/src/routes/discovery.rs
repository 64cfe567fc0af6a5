//! The list of agents as managers of the contract read it (contracts.md 1.2).

use crate::answer::Answer;
use crate::api::Api;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::support::object;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use store::{DirectoryAgent, Entry, PhoneLine};
use utoipa::ToSchema;

/// Calls at the same time of an agent that has no bound.
const CALLS_DEFAULT: u64 = 10;

/// An agent of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedAgent {
    /// The id that the back office has for it, else its own.
    restaurant_id: String,
    /// Its name.
    restaurant_name: String,
    /// A SIP account is registered for it.
    sip_bridge: bool,
    /// Domain of the account.
    sip_domain: Option<String>,
    /// User name of the account.
    sip_username: Option<String>,
    /// Password of the account, encrypted with the key of both sides for `phoneLineId`.
    sip_password: Option<String>,
    /// The number that callers dial.
    phone_number: String,
    /// `sip`, `twilio` or another carrier.
    provider: String,
    /// Calls at the same time.
    max_parallel_calls: u64,
    /// Id of the line: the salt of its password. Absent where the password is in clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_line_id: Option<String>,
    /// Its own id.
    agent_id: String,
}

fn text(settings: &Map<String, Value>, name: &str) -> Option<String> {
    let text = settings.get(name)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

async fn view(api: &Api, found: &DirectoryAgent, line: &Entry<PhoneLine>) -> ListedAgent {
    let agent = object(&found.agent.settings);
    let settings = object(&line.settings);
    let other = agent
        .get("config")
        .and_then(Value::as_object)
        .and_then(|config| text(config, "restaurantId"));
    let calls = |settings: &Map<String, Value>| settings.get("maxParallelCalls")?.as_u64();
    let of_agent = || calls(agent.get("limits")?.as_object()?);
    let username = text(&settings, "sipUsername").filter(|_| line.provider == "sip");
    let bridge = username.is_some();
    let sealed = line.sip_password.as_ref().filter(|_| bridge);
    let mut password = sealed.map(|sealed| sealed.encrypted().to_owned());
    let mut salt = password.as_ref().map(|_| line.id.clone());
    if api.config.clear_passwords
        && let Some(sealed) = sealed
    {
        let opened = api.vault.open(&line.id, sealed.encrypted()).await;
        password = opened.ok().map(|opened| opened.expose().to_owned());
        salt = None;
    }
    ListedAgent {
        restaurant_id: other.unwrap_or_else(|| found.agent.id.clone()),
        restaurant_name: found.agent.name.clone(),
        sip_bridge: bridge,
        sip_domain: text(&settings, "sipDomain").filter(|_| bridge),
        sip_username: username,
        sip_password: password,
        phone_number: line.phone_number.clone(),
        provider: line.provider.clone(),
        max_parallel_calls: calls(&settings).or_else(of_agent).unwrap_or(CALLS_DEFAULT),
        phone_line_id: salt,
        agent_id: found.agent.id.clone(),
    }
}

/// Active agents that have an active line, for managers that discover them: one entry for each agent, with its first line.
/// Passwords are encrypted, `phoneLineId` is their salt; in clear only where the operator of the node says so, on loopback.
#[utoipa::path(get, path = "/api/sip/agents", tag = "phone lines",
    responses((status = 200, body = [ListedAgent])))]
pub(crate) async fn agents(State(api): State<Arc<Api>>, caller: Caller) -> Result<Answer, Problem> {
    let directory = api.store.node_directory().await?;
    let mut views = Vec::new();
    for found in &directory.agents {
        let own = match &caller.tenant {
            Some(tenant) => found.agent.tenant.as_deref() == Some(tenant.as_str()),
            None => true,
        };
        if !own || !found.agent.is_active || !caller.may_touch_agent(&found.agent.id) {
            continue;
        }
        if let Some(line) = found.lines.first() {
            views.push(view(&api, found, line).await);
        }
    }
    Answer::ok(views)
}
