//! Blocked numbers.

use super::owner::{agent as find_agent, of, reach_of_list};
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::Caller;
use crate::limits::TEXT_CHARACTERS_MAX;
use crate::problem::Problem;
use crate::support::{Faults, found, page};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{BlockedNumber, BlockedNumberFilter, ChangeError, Entry, Owned};
use utoipa::{IntoParams, ToSchema};

/// A number to block.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockedCreate {
    /// Of which account; absent: of the credential's own.
    account_id: Option<String>,
    /// By this agent; absent: by all agents of the account.
    agent_id: Option<String>,
    /// The number.
    phone_number: String,
    /// Why.
    reason: Option<String>,
}

/// A blocked number.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockedView {
    /// Its id.
    id: String,
    /// Of which account.
    account_id: String,
    /// By this agent; null: by all agents of the account.
    agent_id: Option<String>,
    /// The number.
    phone_number: String,
    /// Why.
    reason: Option<String>,
    /// ISO-8601.
    created_at: String,
}

/// Which numbers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct BlockedQuery {
    /// Of which account; the operator of the node who names none, and no agent, means all.
    account_id: Option<String>,
    /// By this agent.
    agent_id: Option<String>,
    /// Exactly this number.
    phone_number: Option<String>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn view(entry: &Entry<BlockedNumber>) -> BlockedView {
    BlockedView {
        id: entry.id.clone(),
        account_id: entry.tenant.clone().unwrap_or_default(),
        agent_id: entry.agent_id.clone(),
        phone_number: entry.phone_number.clone(),
        reason: entry.reason.clone(),
        created_at: entry.created_at.to_string(),
    }
}

fn shown(blocked: &BlockedNumber) -> Value {
    json!({ "phoneNumber": blocked.phone_number, "agentId": blocked.agent_id, "reason": blocked.reason })
}

/// The blocked numbers.
#[utoipa::path(get, path = "/api/blocked-numbers", tag = "blocked numbers", params(BlockedQuery),
    responses((status = 200, body = [BlockedView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<BlockedQuery>,
) -> Result<Answer, Problem> {
    let (reach, agent_id) = reach_of_list(
        &api,
        &caller,
        query.account_id.as_deref(),
        query.agent_id.as_deref(),
    )
    .await?;
    let filter = BlockedNumberFilter {
        agent_id,
        phone_number: query.phone_number,
        search: None,
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.blocked_numbers(&reach, &filter, &page).await?;
    let views: Vec<_> = list.items.iter().map(view).collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// Blocks a number; one that is blocked already stays so.
#[utoipa::path(post, path = "/api/blocked-numbers", tag = "blocked numbers", request_body = BlockedCreate,
    responses((status = 201, body = BlockedView), (status = 200, body = BlockedView, description = "It was blocked.")))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<BlockedCreate>,
) -> Result<Answer, Problem> {
    let agent = body.agent_id.clone().or_else(|| caller.agent.clone());
    let scope = match &agent {
        Some(agent) => find_agent(&api, &caller, agent).await?.0,
        None => {
            api.account_scope(&caller, body.account_id.as_deref())
                .await?
        }
    };
    let blocked = BlockedNumber {
        agent_id: agent,
        phone_number: body.phone_number.trim().to_owned(),
        reason: body.reason,
    };
    let mut faults = Faults::default();
    faults.text("phoneNumber", &blocked.phone_number, 64);
    faults.maybe("reason", blocked.reason.as_deref(), TEXT_CHARACTERS_MAX);
    faults.done()?;
    let made = caller
        .store(&api, None, Some(&shown(&blocked)))
        .create_blocked_number(&scope, &store::new_id(), &blocked)
        .await;
    match made {
        Ok(entry) => Answer::created(view(&entry)),
        Err(ChangeError::Duplicate { .. }) => {
            let filter = BlockedNumberFilter {
                phone_number: Some(blocked.phone_number.clone()),
                ..BlockedNumberFilter::default()
            };
            let there = api
                .store
                .blocked_numbers(&scope, &filter, &page(None, None)?)
                .await?;
            let same = there
                .items
                .into_iter()
                .find(|entry| entry.agent_id == blocked.agent_id);
            Answer::ok(view(&found(same)?))
        }
        Err(error) => Err(error.into()),
    }
}

/// Lets a number call again.
#[utoipa::path(delete, path = "/api/blocked-numbers/{id}", tag = "blocked numbers", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let scope = of(&api, &caller, Owned::BlockedNumber, &id).await?;
    let entry = found(api.store.blocked_number(&scope, &id).await?)?;
    // What blocks for all agents is not one agent's to lift.
    let mine = match (&caller.agent, &entry.agent_id) {
        (None, _) => true,
        (Some(own), Some(agent)) => own == agent,
        (Some(_), None) => false,
    };
    if !mine {
        return Err(Problem::unknown());
    }
    caller
        .store(&api, Some(&shown(&entry)), None)
        .delete_blocked_number(&scope, &id, None)
        .await?;
    Ok(Answer::empty())
}
