//! Running calls: seen and ended; and the stream of everything live.

use super::calls::find;
use super::owner::reach_of_list;
use super::parking::ParkedView;
use super::people::PersonView;
use super::placing::inviting::CalledView;
use super::quality::{self, LegQualityView};
use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::{Path, Query};
use crate::caller::Caller;
use crate::events::Interest;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use call::{Answerer, CallId};
use engine::{LiveCall, LiveState, RegistrationState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use store::{Reach, TenantScope};
use utoipa::{IntoParams, ToSchema};

/// A call that runs now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveView {
    /// Its id, as in the list of calls.
    id: String,
    /// Of which account.
    account_id: String,
    /// Line by which it runs.
    line: String,
    /// The agent.
    agent: String,
    /// `inbound` or `outbound`.
    direction: &'static str,
    /// The caller.
    from: String,
    /// The called.
    to: String,
    /// ISO-8601.
    started_at: String,
    /// `ringing`, `answered` or `ending`.
    state: &'static str,
    /// From the answer to the agent's first word.
    answer_to_first_audio_ms: Option<u32>,
    /// From the end of the caller's latest turn to the agent's voice.
    last_turn_ms: Option<u32>,
    /// Interruptions so far.
    interruptions: u32,
    /// Who answered a call that we placed, where that was asked: `human`, `machine`, `machine_beep` or `unknown`.
    answered_by: Option<&'static str>,
    /// Who is on the line besides the caller and the agent.
    person: Option<PersonView>,
    /// Who was called for the caller last, by a transfer or into the call.
    called: Option<CalledView>,
    /// The parking place in which its caller waits.
    parked: Option<ParkedView>,
    /// How the network treats its legs, read every five seconds; empty before the first reading.
    quality: Vec<LegQualityView>,
}

pub(crate) fn state_label(state: LiveState) -> &'static str {
    match state {
        LiveState::Ringing => "ringing",
        LiveState::Answered => "answered",
        LiveState::Ending => "ending",
        LiveState::Ended => "ended",
    }
}

pub(crate) fn view(call: &LiveCall) -> LiveView {
    LiveView {
        id: call.id.to_string(),
        account_id: call.tenant.to_string(),
        line: call.line.clone(),
        agent: call.agent.clone(),
        direction: if call.inbound { "inbound" } else { "outbound" },
        from: call.from.clone(),
        to: call.to.clone(),
        started_at: call.started_at.to_string(),
        state: state_label(call.state),
        answer_to_first_audio_ms: call.timings.answer_to_first_audio_ms,
        last_turn_ms: call.timings.last_turn_ms,
        interruptions: call.timings.interruptions,
        answered_by: call.timings.answered_by.map(Answerer::label),
        person: call.person.as_ref().map(PersonView::from),
        called: call.called.as_ref().map(CalledView::from),
        parked: call.parked.as_ref().map(ParkedView::from),
        quality: quality::legs(&call.quality),
    }
}

/// The running calls of an account or of all, of one agent where one is named.
pub(crate) fn within(api: &Api, reach: &Reach, agent: Option<&str>) -> Vec<LiveCall> {
    api.engine
        .calls()
        .into_iter()
        .filter(|call| reach.covers(&call.tenant))
        .filter(|call| agent.is_none_or(|agent| call.agent == agent))
        .collect()
}

/// Names of the lines that are registered at their operators.
pub(crate) async fn registered(api: &Api) -> HashSet<String> {
    api.engine
        .registrations()
        .await
        .into_iter()
        .filter(|status| matches!(status.state, RegistrationState::Registered { .. }))
        .map(|status| status.line)
        .collect()
}

/// Which running calls.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct LiveQuery {
    /// Of which account; the operator of the node sees all where it names none.
    account_id: Option<String>,
    /// With this agent.
    agent_id: Option<String>,
}

/// The calls that run now.
#[utoipa::path(get, path = "/api/calls/live", tag = "live", params(LiveQuery),
    responses((status = 200, body = [LiveView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<LiveQuery>,
) -> Result<Answer, Problem> {
    let (reach, agent) = reach_of_list(
        &api,
        &caller,
        query.account_id.as_deref(),
        query.agent_id.as_deref(),
    )
    .await?;
    let calls = within(&api, &reach, agent.as_deref());
    Answer::ok(calls.iter().map(view).collect::<Vec<_>>())
}

/// Answers what was asked of a running call: done, or why it could not be.
pub(crate) fn done(
    asked: bool,
    record_ended: bool,
    scope: &TenantScope,
    id: &CallId,
    action: &'static str,
    detail: Option<Value>,
) -> Result<Answer, Problem> {
    if !asked {
        let code = if record_ended {
            "api_call_ended"
        } else {
            "api_call_elsewhere"
        };
        return Err(Problem::conflict(code).with("id", id.as_str()));
    }
    Ok(
        Answer::accepted(json!({ "id": id.as_str() }))?.changed(Change {
            action,
            entity: "call",
            id: id.to_string(),
            tenant: Some(scope.tenant().to_string()),
            detail,
        }),
    )
}

/// Ends a call at once.
#[utoipa::path(post, path = "/api/calls/{id}/hangup", tag = "live", params(("id" = String, Path)),
    responses((status = 202, body = Object)))]
pub(crate) async fn hang_up(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let asked = api.engine.hang_up(&id);
    done(asked, record.end.is_some(), &scope, &id, "hang_up", None)
}

/// Ends a call at once.
#[utoipa::path(delete, path = "/api/calls/{id}", tag = "live", params(("id" = String, Path)),
    responses((status = 202, body = Object)))]
pub(crate) async fn remove(
    state: State<Arc<Api>>,
    caller: Caller,
    id: Path<String>,
) -> Result<Answer, Problem> {
    hang_up(state, caller, id).await
}

/// Everything live in the scope of the credential, as server-sent events. `Last-Event-ID` resumes as far as events are kept.
#[utoipa::path(get, path = "/api/events", tag = "live", params(LiveQuery,
    ("Last-Event-ID" = Option<String>, Header, description = "The last event that was seen.")),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
pub(crate) async fn events(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<LiveQuery>,
) -> Result<Response, Problem> {
    let (reach, agent) = reach_of_list(
        &api,
        &caller,
        query.account_id.as_deref(),
        query.agent_id.as_deref(),
    )
    .await?;
    let interest = Interest {
        tenant: reach.scope().map(|scope| scope.tenant().clone()),
        agent,
    };
    let since = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .and_then(|id| id.parse().ok());
    api.events.stream(&caller.bucket(), interest, since)
}

/// The state of a line's registration.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistrationView {
    /// Name of the line.
    line: String,
    /// Address of record.
    aor: String,
    /// `unregistered`, `registering`, `registered` or `failed`.
    state: &'static str,
}

pub(crate) fn registration_label(state: &RegistrationState) -> &'static str {
    match state {
        RegistrationState::Unregistered => "unregistered",
        RegistrationState::Registering => "registering",
        RegistrationState::Registered { .. } => "registered",
        RegistrationState::Failed { .. } => "failed",
    }
}

/// Each line of the node with the state of its registration.
#[utoipa::path(get, path = "/api/registrations", tag = "live", responses((status = 200, body = [RegistrationView])))]
pub(crate) async fn registrations(State(api): State<Arc<Api>>) -> Result<Answer, Problem> {
    let rows: Vec<_> = api
        .engine
        .registrations()
        .await
        .into_iter()
        .map(|status| RegistrationView {
            line: status.line,
            aor: status.aor,
            state: registration_label(&status.state),
        })
        .collect();
    Answer::ok(rows)
}
