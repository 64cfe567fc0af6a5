//! Calling somebody into a running call: whom its line may call, and nobody else.

use super::{check_ring, guard, is_plain, own_rules, ring_ms, rules};
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::routes::calls::{find, running};
use crate::routes::live::done;
use crate::routes::people::{NAME_CHARACTERS_MAX, SOMEBODY, SeatName, taken};
use crate::support::Faults;
use axum::extract::State;
use axum::http::StatusCode;
use call::{CallId, Redacted, Seat};
use engine::{CalledState, Invitation, PersonError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use store::{CallRecord, TenantScope};
use utoipa::ToSchema;

/// Longest words that somebody is told before they have the caller, in characters.
const ANNOUNCEMENT_CHARACTERS_MAX: usize = 500;

/// Who is called into a call.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Invite {
    /// Number to call, or a `sip:` address: one that the line of the call may call (`outboundPrefixes`).
    to: String,
    /// Where they shall be; absent: beside the agent.
    seat: Option<SeatName>,
    /// How the agent is to call them; absent: a colleague.
    name: Option<String>,
    /// What they are told before they have the caller; absent: nothing.
    announcement: Option<String>,
    /// How long it may ring, 5 to 120 seconds; 30 where absent.
    timeout_sec: Option<u32>,
}

/// Who was called for the caller last, by a transfer or into the call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CalledView {
    /// Their name, or that of the target.
    name: String,
    /// Where they shall be.
    seat: SeatName,
    /// `calling`, `ringing`, `answered` (they are told who waits, or asked), `joined`, `over`.
    state: &'static str,
    /// Why it is over: `busy`, `no answer`, `refused`, `unreachable`, `no such number`, `called off`, `hung up`, or another few words.
    reason: Option<String>,
}

impl From<&engine::LiveCalled> for CalledView {
    fn from(called: &engine::LiveCalled) -> Self {
        let (state, reason) = match &called.state {
            CalledState::Calling => ("calling", None),
            CalledState::Ringing => ("ringing", None),
            CalledState::Answered => ("answered", None),
            CalledState::Joined => ("joined", None),
            CalledState::Over { reason } => ("over", Some(reason.clone())),
        };
        Self {
            name: called.name.clone(),
            seat: called.seat.into(),
            state,
            reason,
        }
    }
}

impl Invite {
    /// Somebody who shall have the caller without the agent.
    pub(in crate::routes) fn instead(
        to: String,
        name: Option<String>,
        announcement: Option<String>,
        timeout_sec: Option<u32>,
    ) -> Self {
        Self {
            to,
            seat: Some(SeatName::Instead),
            name,
            announcement,
            timeout_sec,
        }
    }

    /// What of the number may be written down.
    pub(in crate::routes) fn beginning(&self) -> String {
        guard::beginning(&self.to)
    }

    pub(in crate::routes) fn check(&self) -> Result<(), Problem> {
        let mut faults = Faults::default();
        faults.unless(is_plain(&self.to), "to", "characters", "+33123456789");
        faults.maybe("name", self.name.as_deref(), NAME_CHARACTERS_MAX);
        let announcement = self.announcement.as_deref();
        faults.maybe("announcement", announcement, ANNOUNCEMENT_CHARACTERS_MAX);
        check_ring(self.timeout_sec, &mut faults);
        faults.done()
    }

    fn invitation(&self, to: String) -> Invitation {
        let text = |text: &Option<String>| {
            let text = text
                .as_deref()
                .map(str::trim)
                .filter(|text| !text.is_empty());
            text.map(str::to_owned)
        };
        Invitation {
            name: text(&self.name).unwrap_or_else(|| SOMEBODY.to_owned()),
            address: Redacted::new(to),
            seat: Seat::from(self.seat.unwrap_or_default()),
            ring_ms: ring_ms(self.timeout_sec),
            announcement: text(&self.announcement),
        }
    }
}

/// The number as the line of this call dials it, where its rules allow that.
async fn allowed(
    api: &Api,
    caller: &Caller,
    scope: &TenantScope,
    (record, to): (&CallRecord, &str),
) -> Result<String, Problem> {
    let account = api.store.tenant(scope).await?;
    let shared = account.map_or_else(|| "{}".to_owned(), |account| account.settings.clone());
    let line = record.line.as_str();
    let own = if let Some(line) = api.store.phone_line(scope, line).await? {
        Some(line.settings.clone())
    } else if let Some(device) = api.store.device(scope, line).await? {
        Some(device.settings.clone())
    } else if caller.is_node() && own_rules(&shared).is_none() && api.engine.is_of_settings(line) {
        // A line of the settings is the operator's own.
        return Ok(to.to_owned());
    } else {
        None
    };
    let rules = rules(own.as_deref().unwrap_or("{}"), &shared);
    agent::outbound(to, &rules)
        .ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "api_invite_not_allowed"))
}

/// Calls somebody into a running call: beside the agent, or in its place.
///
/// The line of the call calls them, where it may (`outboundPrefixes`, the account's night and ceilings; premium numbers never). The agent ends
/// its sentence, the caller hears that it rings, and has the agent again where nobody comes, and when they leave. `called` of
/// `GET /api/calls/live` and the event `call.called` say how far it is; `DELETE` calls them off. One at a time: 409 `api_person_there`.
#[utoipa::path(post, path = "/api/calls/{id}/invite", tag = "live", params(("id" = String, Path)),
    request_body = Invite, responses((status = 202, body = Object)))]
pub(crate) async fn invite(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Invite>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    body.check()?;
    running(&record, &id)?;
    let asked = judged(&api, &caller, &scope, (&record, &id), (&body, false)).await?;
    let seat = body.seat.unwrap_or_default();
    let detail = json!({ "to": body.beginning(), "seat": seat });
    done(asked, false, &scope, &id, "invite", Some(detail))
}

/// Calls them where the rules allow it, into the call or for its parked caller; false where the call runs elsewhere.
pub(in crate::routes) async fn judged(
    api: &Api,
    caller: &Caller,
    scope: &TenantScope,
    of_call: (&CallRecord, &CallId),
    (body, parked): (&Invite, bool),
) -> Result<bool, Problem> {
    let asked = called(api, caller, scope, of_call, (body, parked)).await;
    if let Err(problem) = &asked
        && let Some(why) = guard::label(problem.code(), &body.to)
    {
        guard::refused(api, caller, Some(scope), &body.to, why).await;
    }
    asked
}

/// False where the call runs elsewhere.
async fn called(
    api: &Api,
    caller: &Caller,
    scope: &TenantScope,
    (record, id): (&CallRecord, &CallId),
    (body, parked): (&Invite, bool),
) -> Result<bool, Problem> {
    let to = allowed(api, caller, scope, (record, &body.to)).await?;
    let _leave = guard::leave(api, caller, scope, &to).await?;
    let whom = body.invitation(to);
    let asked = if parked {
        api.engine.retrieve(id, whom).await
    } else {
        api.engine.invite(id, whom).await
    };
    taken(asked, id)
}

/// Calls off whoever is being called for the caller, by `invite` or by a transfer: it rings no more, and the agent goes on. 409
/// `api_invite_nobody` where nobody is being called, or they have the caller already.
#[utoipa::path(delete, path = "/api/calls/{id}/invite", tag = "live", params(("id" = String, Path)),
    responses((status = 202, body = Object)))]
pub(crate) async fn call_off(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let asked = match api.engine.call_off(&id).await {
        Err(PersonError::Nobody) => {
            return Err(Problem::conflict("api_invite_nobody").with("id", id.as_str()));
        }
        asked => taken(asked, &id)?,
    };
    done(asked, record.end.is_some(), &scope, &id, "call_off", None)
}
