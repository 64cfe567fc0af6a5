//! The audit log, the outbox of webhooks, and the secrets of an account.

use super::keys::realm_scope;
use super::owner::of;
use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::support::{Faults, found, page};
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use store::{AuditFilter, AuditLine, Delivery, DeliveryFilter, DeliveryState, Owned, Realm};
use utoipa::{IntoParams, ToSchema};

/// A line of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditView {
    /// Its id.
    id: String,
    /// ISO-8601.
    at: String,
    /// `user`, `api_key`, `agent_token`, `admin_token`, `unauthenticated`, `share_link`, `device` or `system`.
    actor_kind: String,
    /// Id of the user or key.
    actor_id: String,
    /// A name for people.
    actor_name: String,
    /// Where the request came from.
    address: Option<String>,
    /// Id of the request.
    request_id: Option<String>,
    /// `created`, `changed`, `removed`, or another deed.
    action: String,
    /// Kind of the thing.
    entity: String,
    /// Its id.
    entity_id: String,
    /// `before` and `after` of what differs, without secrets.
    #[schema(value_type = Option<Object>)]
    detail: Option<Value>,
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Of which account; the operator of the node sees the node's own where it names none.
    account_id: Option<String>,
    /// Of this action.
    action: Option<String>,
    /// Of this kind of thing.
    entity: Option<String>,
    /// Of this one.
    entity_id: Option<String>,
    /// By this user or key.
    actor_id: Option<String>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn audit_view(line: AuditLine) -> AuditView {
    AuditView {
        id: line.id,
        at: line.at.to_string(),
        actor_kind: line.actor_kind,
        actor_id: line.actor_id,
        actor_name: line.actor_name,
        address: line.address,
        request_id: line.request_id,
        action: line.action,
        entity: line.entity,
        entity_id: line.entity_id,
        detail: line
            .detail
            .and_then(|detail| serde_json::from_str(&detail).ok()),
    }
}

/// Who changed what, newest first.
#[utoipa::path(get, path = "/api/audit", tag = "audit", params(AuditQuery), responses((status = 200, body = [AuditView])))]
pub(crate) async fn audit(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Answer, Problem> {
    let scope = realm_scope(&caller, query.account_id.as_deref())?;
    let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
    let filter = AuditFilter {
        action: query.action,
        entity: query.entity,
        entity_id: query.entity_id,
        actor_id: query.actor_id,
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.audit_log(realm, &filter, &page).await?;
    let next = list.next.map(|next| next.to_string());
    let views: Vec<_> = list.items.into_iter().map(audit_view).collect();
    Ok(Answer::ok(views)?.with_next(next))
}

/// A webhook in the outbox.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryView {
    /// Its id; the receiver sees it as `webhook-id`.
    id: String,
    /// The agent that it is about.
    agent_id: Option<String>,
    /// The call that it is about.
    call_id: Option<String>,
    /// What it is.
    kind: String,
    /// Where to.
    url: String,
    /// `pending`, `delivered` or `dead`.
    state: &'static str,
    /// Attempts so far.
    attempts: i64,
    /// Status of the last answer.
    last_status: Option<i64>,
    /// What went wrong last.
    last_error: Option<String>,
    /// ISO-8601.
    created_at: String,
    /// ISO-8601.
    next_attempt_at: Option<String>,
    /// ISO-8601.
    ended_at: Option<String>,
    /// What is sent; only where one is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// Which webhooks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryQuery {
    /// Of which account; the operator of the node must name one.
    account_id: Option<String>,
    /// `pending`, `delivered` or `dead` (dead letters).
    state: Option<String>,
    /// About this call.
    call_id: Option<String>,
    /// About this agent.
    agent_id: Option<String>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn delivery_view(delivery: &Delivery, whole: bool) -> DeliveryView {
    let pending = delivery.state == DeliveryState::Pending;
    DeliveryView {
        id: delivery.delivery.id.clone(),
        agent_id: delivery.delivery.agent_id.clone(),
        call_id: delivery.delivery.call_id.clone(),
        kind: delivery.delivery.kind.clone(),
        url: delivery.delivery.url.clone(),
        state: delivery.state.label(),
        attempts: delivery.attempts,
        last_status: delivery.last_status,
        last_error: delivery.last_error.clone(),
        created_at: delivery.created_at.to_string(),
        next_attempt_at: pending.then(|| delivery.next_attempt_at.to_string()),
        ended_at: delivery.ended_at.map(|at| at.to_string()),
        body: whole.then(|| delivery.delivery.body.clone()),
    }
}

/// The outbox, newest first; `state=dead` shows the dead letters.
#[utoipa::path(get, path = "/api/webhooks", tag = "webhooks", params(DeliveryQuery),
    responses((status = 200, body = [DeliveryView])))]
pub(crate) async fn deliveries(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<DeliveryQuery>,
) -> Result<Answer, Problem> {
    let state = match query.state.as_deref() {
        None | Some("") => None,
        Some("pending") => Some(DeliveryState::Pending),
        Some("delivered") => Some(DeliveryState::Delivered),
        Some("dead") => Some(DeliveryState::Dead),
        Some(_) => return Err(Problem::bad_request("state: pending, delivered, dead")),
    };
    let scope = caller.scope(query.account_id.as_deref())?;
    let filter = DeliveryFilter {
        state,
        call_id: query.call_id.as_deref(),
        agent_id: query.agent_id.as_deref(),
        kind: None,
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.deliveries(&scope, &filter, &page).await?;
    let views: Vec<_> = list
        .items
        .iter()
        .map(|delivery| delivery_view(delivery, false))
        .collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// One webhook with what is sent.
#[utoipa::path(get, path = "/api/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, body = DeliveryView)))]
pub(crate) async fn delivery(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let scope = of(&api, &caller, Owned::Outbox, &id).await?;
    let delivery = api
        .store
        .delivery(&scope, &id)
        .await?
        .ok_or_else(Problem::unknown)?;
    Answer::ok(delivery_view(&delivery, true))
}

/// Sends a webhook again, with the same id: the receiver may have seen it.
#[utoipa::path(post, path = "/api/webhooks/{id}/replay", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 202, body = DeliveryView)))]
pub(crate) async fn replay(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let scope = of(&api, &caller, Owned::Outbox, &id).await?;
    api.store
        .replay_delivery(&scope, &id, Timestamp::now())
        .await?;
    let delivery = api
        .store
        .delivery(&scope, &id)
        .await?
        .ok_or_else(Problem::unknown)?;
    (api.outbox)();
    Ok(
        Answer::accepted(delivery_view(&delivery, false))?.changed(Change {
            action: "replay",
            entity: "webhook",
            id,
            tenant: Some(scope.tenant().to_string()),
            detail: None,
        }),
    )
}

/// A secret to keep.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SecretWrite {
    /// The secret; it is kept encrypted and never shown.
    value: String,
}

/// A secret, without the secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecretView {
    /// What it is for: `engine:openai`, `webhook`, `twilio`…
    purpose: String,
}

/// What secrets an account keeps; the secrets themselves cannot be read.
#[utoipa::path(get, path = "/api/accounts/{id}/secrets", tag = "accounts", params(("id" = String, Path)),
    responses((status = 200, body = [SecretView])))]
pub(crate) async fn secrets(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let scope = caller.scope(Some(&id))?;
    found(api.store.tenant(&scope).await?)?;
    let purposes = api
        .vault
        .purposes(&api.store, &scope)
        .await
        .map_err(Problem::internal)?;
    let views: Vec<_> = purposes
        .into_iter()
        .map(|purpose| SecretView { purpose })
        .collect();
    Answer::ok(views)
}

fn purpose(text: &str) -> Result<(), Problem> {
    let fine = (1..=100).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b":_-.".contains(&byte));
    let mut faults = Faults::default();
    faults.unless(fine, "purpose", "characters", "A-Z a-z 0-9 : _ - .");
    faults.done()
}

/// Keeps a secret of an account, in the place of the one before: `engine:openai`, `engine:azure`, `engine:gemini`, `webhook`, `twilio:AC…`.
#[utoipa::path(put, path = "/api/accounts/{id}/secrets/{purpose}", tag = "accounts",
    params(("id" = String, Path), ("purpose" = String, Path)), request_body = SecretWrite, responses((status = 204)))]
pub(crate) async fn set_secret(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
    Json(body): Json<SecretWrite>,
) -> Result<Answer, Problem> {
    let scope = caller.scope(Some(&id))?;
    found(api.store.tenant(&scope).await?)?;
    purpose(&name)?;
    let mut faults = Faults::default();
    faults.text("value", &body.value, 8 * 1024);
    faults.done()?;
    api.vault
        .put(&api.store, &scope, &name, &body.value)
        .await
        .map_err(Problem::internal)?;
    Ok(Answer::empty().changed(Change {
        action: "changed",
        entity: "secret",
        id: name,
        tenant: Some(id),
        detail: None,
    }))
}

/// Forgets a secret of an account.
#[utoipa::path(delete, path = "/api/accounts/{id}/secrets/{purpose}", tag = "accounts",
    params(("id" = String, Path), ("purpose" = String, Path)), responses((status = 204)))]
pub(crate) async fn remove_secret(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<Answer, Problem> {
    let scope = caller.scope(Some(&id))?;
    found(api.store.tenant(&scope).await?)?;
    purpose(&name)?;
    let there = api
        .vault
        .remove(&api.store, &scope, &name)
        .await
        .map_err(Problem::internal)?;
    if !there {
        return Err(Problem::unknown());
    }
    Ok(Answer::empty().changed(Change {
        action: "removed",
        entity: "secret",
        id: name,
        tenant: Some(id),
        detail: None,
    }))
}
