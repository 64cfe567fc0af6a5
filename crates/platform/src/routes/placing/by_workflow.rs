//! A call by a workflow: its agent speaks, its account is chosen as the workflow says, and its backups follow.

use super::{LINE_KNOWN_EVERY, LINE_KNOWN_WITHIN, Place, guard, not_placed, own_rules};
use crate::api::Api;
use crate::caller::Caller;
use crate::limits::TEXT_CHARACTERS_MAX;
use crate::problem::Problem;
use crate::support::page;
use axum::http::StatusCode;
use engine::{MayCall, PlaceByWorkflow, PlaceCallError, PlacedByWorkflow};
use std::time::Instant;
use store::{Entry, Owned, PageRequest, PhoneLineFilter, TenantScope, Workflow, WorkflowFilter};

/// The call, the number as it is dialled, and whose call it is.
pub(super) async fn place(
    api: &Api,
    caller: &Caller,
    body: &Place,
    key: &str,
) -> Result<(PlacedByWorkflow, String, TenantScope), Problem> {
    let (scope, workflow) = find(api, caller, key).await?;
    let (may_call, to) = rules(api, &scope, &body.to).await?;
    let _leave = guard::leave(api, caller, &scope, &to).await?;
    let request = PlaceByWorkflow {
        tenant: scope.tenant().clone(),
        workflow: workflow.id.clone(),
        to: to.clone(),
        ring_ms: Some(super::ring_ms(body.timeout_sec)),
        placement: Some(body.placement()),
        may_call,
    };
    let placed = dial(api, request).await?;
    Ok((placed, to, scope))
}

/// The workflow that the caller may use.
async fn find(
    api: &Api,
    caller: &Caller,
    key: &str,
) -> Result<(TenantScope, Entry<Workflow>), Problem> {
    let unknown = || Problem::field("workflow", "reference", "workflow");
    if key.len() > TEXT_CHARACTERS_MAX {
        return Err(unknown());
    }
    let scope = match &caller.tenant {
        Some(_) => caller.scope(None)?,
        None => {
            let owner = api.store.node_owner_of(Owned::Workflow, key).await?;
            owner.unwrap_or_default()
        }
    };
    let filter = WorkflowFilter {
        slug: Some(key.to_owned()),
        ..WorkflowFilter::default()
    };
    let first = page(Some(1), None)?;
    let by_slug = api.store.workflows(&scope, &filter, &first).await?.items;
    let found = match by_slug.into_iter().next() {
        Some(found) => Some(found),
        None => api.store.workflow(&scope, key).await?,
    };
    let found = found.filter(|found| found.is_active).ok_or_else(unknown)?;
    if let Some(own) = &caller.agent {
        // An agent's token speaks for that agent and no other.
        let versions = api.store.workflow_versions(&scope, &found.id).await?;
        let published = versions.iter().find(|version| version.is_active);
        let agent = published.and_then(|version| version.definition.agent_id.as_ref());
        if agent != Some(own) {
            return Err(unknown());
        }
    }
    Ok((scope, found))
}

/// Which lines may call this number, and the number as it is dialled. An account without a phone line has the rules of its
/// account of the platform.
async fn rules(api: &Api, scope: &TenantScope, to: &str) -> Result<(MayCall, String), Problem> {
    let tenant = api.store.tenant(scope).await?;
    let shared = tenant.and_then(|tenant| own_rules(&tenant.settings));
    let mut dialled = agent::outbound(to, &shared.unwrap_or_default());
    let mut may_call = MayCall {
        others: dialled.is_some(),
        ..MayCall::default()
    };
    let every = PhoneLineFilter::default();
    let mut next = Some(page(Some(u32::MAX), None)?);
    while let Some(asked) = next.take() {
        let lines = api.store.phone_lines(scope, &every, &asked).await?;
        for line in &lines.items {
            if let Some(own) = own_rules(&line.settings) {
                let allowed = agent::outbound(to, &own);
                may_call.lines.insert(line.id.clone(), allowed.is_some());
                dialled = dialled.or(allowed);
            }
        }
        next = lines.next.map(|after| PageRequest {
            after: Some(after),
            ..asked
        });
    }
    let dialled =
        dialled.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "api_call_not_allowed"))?;
    Ok((may_call, dialled))
}

/// The telephone side reads a workflow a moment after it was written: one that is not known there yet is waited for.
async fn dial(api: &Api, request: PlaceByWorkflow) -> Result<PlacedByWorkflow, Problem> {
    let until = Instant::now() + LINE_KNOWN_WITHIN;
    loop {
        match api.engine.place_by_workflow(request.clone()).await {
            Err(PlaceCallError::UnknownWorkflow | PlaceCallError::NoAccount)
                if Instant::now() < until =>
            {
                tokio::time::sleep(LINE_KNOWN_EVERY).await;
            }
            placed => {
                return placed.map_err(|error| not_placed(&error));
            }
        }
    }
}
