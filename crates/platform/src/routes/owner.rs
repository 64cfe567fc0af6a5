//! Whose an entry is: an account's credential sees its own account, the operator of the node finds the account by the entry.

use crate::api::Api;
use crate::caller::Caller;
use crate::limits::TEXT_CHARACTERS_MAX;
use crate::problem::Problem;
use serde_json::Value;
use store::{Agent, Entry, Owned, Reach, TenantScope};

/// The scope in which the entry of this id must be looked for.
///
/// # Errors
/// 404 where the operator of the node names what does not exist.
pub(crate) async fn of(
    api: &Api,
    caller: &Caller,
    kind: Owned,
    id: &str,
) -> Result<TenantScope, Problem> {
    if id.len() > TEXT_CHARACTERS_MAX {
        return Err(Problem::unknown());
    }
    match &caller.tenant {
        Some(_) => caller.scope(None),
        None => api
            .store
            .node_owner_of(kind, id)
            .await?
            .ok_or_else(Problem::unknown),
    }
}

/// The agent of this id that the caller may touch, and its account.
///
/// # Errors
/// 404 for an unknown one, another account's, or another than the credential's own.
pub(crate) async fn agent(
    api: &Api,
    caller: &Caller,
    id: &str,
) -> Result<(TenantScope, Entry<Agent>), Problem> {
    if !caller.may_touch_agent(id) {
        return Err(Problem::unknown());
    }
    let scope = of(api, caller, Owned::Agent, id).await?;
    let agent = crate::support::found(api.store.agent(&scope, id).await?)?;
    Ok((scope, agent))
}

/// The account that a body names.
///
/// # Errors
/// 422 where it is no text.
pub(crate) fn account_in(body: &Value) -> Result<Option<String>, Problem> {
    text_in(body, "accountId")
}

/// A text that a body may name.
///
/// # Errors
/// 422 where it is no text.
pub(crate) fn text_in(body: &Value, name: &str) -> Result<Option<String>, Problem> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Problem::field(name, "type", "string")),
    }
}

/// A list for one account, or for the operator of the node, who names neither an account nor an agent, for all of them.
///
/// # Errors
/// 404 for another's.
pub(crate) async fn reach_of_list(
    api: &Api,
    caller: &Caller,
    account: Option<&str>,
    agent: Option<&str>,
) -> Result<(Reach, Option<String>), Problem> {
    if caller.is_node() && caller.agent.is_none() && account.is_none() && agent.is_none() {
        return Ok((Reach::Node, None));
    }
    let (scope, agent) = scope_of_list(api, caller, account, agent).await?;
    Ok((Reach::Tenant(scope), agent))
}

/// A list or query for one account: the caller's, or for the operator of the node the named one or the one of the named agent.
///
/// # Errors
/// 404 for another's; 422 where the operator of the node names neither.
pub(crate) async fn scope_of_list(
    api: &Api,
    caller: &Caller,
    account: Option<&str>,
    agent: Option<&str>,
) -> Result<(TenantScope, Option<String>), Problem> {
    let agent = match (&caller.agent, agent) {
        (Some(own), Some(asked)) if own != asked => return Err(Problem::unknown()),
        (Some(own), _) => Some(own.clone()),
        (None, asked) => asked.map(str::to_owned),
    };
    let scope = match (&caller.tenant, account, &agent) {
        (None, None, Some(agent)) => of(api, caller, Owned::Agent, agent).await?,
        _ => caller.scope(account)?,
    };
    Ok((scope, agent))
}
