//! A call to a device, or through it: its agent speaks. A number is dialled through it only where its rules allow it.

use super::{Place, Way, dial, guard, rules};
use crate::api::Api;
use crate::caller::Caller;
use crate::limits::TEXT_CHARACTERS_MAX;
use crate::problem::Problem;
use axum::http::StatusCode;
use engine::{PlaceCall, PlacedByWorkflow};
use store::{Owned, TenantScope};

/// The call, whom it goes to, and whose it is.
pub(super) async fn place(
    api: &Api,
    caller: &Caller,
    body: &Place,
    id: &str,
) -> Result<(PlacedByWorkflow, String, TenantScope), Problem> {
    let unknown = || Problem::field("device", "reference", "device");
    if id.len() > TEXT_CHARACTERS_MAX {
        return Err(unknown());
    }
    let scope = match &caller.tenant {
        Some(_) => caller.scope(None)?,
        None => {
            let owner = api.store.node_owner_of(Owned::Device, id).await?;
            owner.ok_or_else(unknown)?
        }
    };
    let device = api.store.device(&scope, id).await?;
    let device = device.filter(|device| device.is_active);
    let device = device.ok_or_else(unknown)?;
    let speaks = device.agent_id.as_deref().unwrap_or_default();
    if !caller.may_touch_agent(speaks) {
        return Err(unknown());
    }
    let to = if body.to.is_empty() {
        device.username.clone()
    } else {
        let account = api.store.tenant(&scope).await?;
        let account = account.map(|account| account.settings.clone());
        let allowed = rules(&device.settings, account.as_deref().unwrap_or("{}"));
        let to = agent::outbound(&body.to, &allowed).filter(|to| !to.starts_with("sip"));
        to.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "api_call_not_allowed"))?
    };
    // A device that rings by itself costs nothing and is nobody's number.
    let _leave = match body.to.is_empty() {
        true => None,
        false => Some(guard::leave(api, caller, &scope, &to).await?),
    };
    let way = Way {
        scope,
        line: device.id.clone(),
        from: device.caller_id.clone().unwrap_or_default(),
        to,
        by_carrier: false,
        stored: true,
    };
    let request = PlaceCall {
        line: way.line.clone(),
        to: way.to.clone(),
        ring_ms: Some(super::ring_ms(body.timeout_sec)),
        placement: Some(body.placement()),
    };
    let call = dial(api, &way, request).await?;
    let placed = PlacedByWorkflow {
        call,
        line: way.line,
        from: way.from,
    };
    Ok((placed, way.to, way.scope))
}
