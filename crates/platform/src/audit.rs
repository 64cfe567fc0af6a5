//! The audit log: each write, who made it, and what it changed.

use crate::answer::Change;
use crate::api::Api;
use crate::caller::Caller;
use crate::guard::Place;

/// Writes one entry. The change is made already: a log that cannot be written is told to the operator, not to the client.
pub(crate) async fn write(_api: &Api, caller: &Caller, place: &Place, change: Change) {
    std::future::ready(tracing::info!(
        actor = caller.actor.label(),
        action = change.action,
        entity = change.entity,
        id = change.id,
        route = place.route,
        request = place.request_id,
        "change"
    ))
    .await;
}
