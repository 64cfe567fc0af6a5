//! Parking: whoever has a caller puts them into a place of the account, where anybody of it takes them again.

use super::browser::BrowserTicket;
use super::calls::{find, running};
use super::live::done;
use super::people::{NAME_CHARACTERS_MAX, NOTE_CHARACTERS_MAX, SeatName, name, refused, ticket};
use super::placing::inviting::{Invite, judged};
use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::{Json, Path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::support::Faults;
use axum::extract::State;
use call::{CallId, Seat};
use engine::{LiveParked, ParkWish, Person};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::{CallRecord, TenantScope};
use utoipa::ToSchema;

/// Shortest and longest time in a place that may be asked for, seconds.
const WITHIN_S: std::ops::RangeInclusive<u32> = 10..=3_600;

/// A caller who waits in a parking place.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ParkedView {
    /// The place: a number of the account, dialled as `*85` and the number.
    place: u16,
    /// Who put them there.
    by: String,
    /// Since when, ISO-8601.
    since: String,
    /// The agent has them again then, ISO-8601.
    until: String,
}

impl From<&LiveParked> for ParkedView {
    fn from(parked: &LiveParked) -> Self {
        Self {
            place: parked.place,
            by: parked.by.clone(),
            since: parked.since.to_string(),
            until: parked.until.to_string(),
        }
    }
}

/// A caller is to wait.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Park {
    /// Who parks; absent: the name of the credential.
    name: Option<String>,
    /// What the agent is to know when it has the caller again.
    note: Option<String>,
    /// How long they wait at most, 10 to 3600 seconds; absent: `parkingTimeoutSec` of the agent.
    timeout_sec: Option<u32>,
}

/// Where a caller waits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkedIn {
    /// The call.
    id: String,
    /// The place.
    place: u16,
}

/// Who takes a caller out of their place.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Retrieve {
    /// How they are called; absent: the name of the credential, and of somebody who is called a colleague.
    name: Option<String>,
    /// What the browser's `RTCPeerConnection` offers (SDP), with its candidates: they come by WebRTC. Absent: by WebSocket.
    offer: Option<String>,
    /// They are called at this number or `sip:` address, by the rules of `invite`; nobody comes from a page then.
    to: Option<String>,
    /// What somebody who is called is told before they have the caller.
    announcement: Option<String>,
    /// How long it may ring there, 5 to 120 seconds; 30 where absent.
    timeout_sec: Option<u32>,
}

/// Puts the caller into the lowest free parking place of the account.
///
/// For whoever has the caller, from a page or at a telephone (who presses `*85` there). They leave; the caller hears music until somebody of the
/// account takes them: `retrieve`, or a device of the account that dials `*85` and the place. The agent is not there meanwhile, and costs nothing. When the
/// time is over it has the caller again, and is told. 409 `api_person_nobody` where nobody but the agent has the caller, 429 `api_parking_full`.
#[utoipa::path(post, path = "/api/calls/{id}/park", tag = "live", params(("id" = String, Path)),
    request_body = Park, responses((status = 202, body = ParkedIn)))]
pub(crate) async fn park(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Park>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let mut faults = Faults::default();
    faults.maybe("name", body.name.as_deref(), NAME_CHARACTERS_MAX);
    faults.maybe("note", body.note.as_deref(), NOTE_CHARACTERS_MAX);
    let fits = body.timeout_sec.is_none_or(|s| WITHIN_S.contains(&s));
    faults.unless(fits, "timeoutSec", "range", "10..3600");
    faults.done()?;
    running(&record, &id)?;
    let wish = ParkWish {
        by: name(body.name, &caller),
        note: body.note.unwrap_or_default(),
        within: body.timeout_sec.map(|s| Duration::from_secs(s.into())),
    };
    let detail = json!({ "name": wish.by, "note": wish.note });
    let parked = api.engine.park(&id, wish).await;
    let place = parked.map_err(|error| refused(error, &id))?;
    let parked = ParkedIn {
        id: id.to_string(),
        place,
    };
    Ok(Answer::accepted(parked)?.changed(Change {
        action: "park",
        entity: "call",
        id: id.to_string(),
        tenant: Some(scope.tenant().to_string()),
        detail: Some(detail),
    }))
}

/// Takes a caller out of their parking place.
///
/// The answer and what follows are those of `join`: microphone and loudspeaker of a page, connected with the caller, without the agent. With `to` somebody is called
/// instead, as by `invite`; the caller goes on waiting until they have them. A retrieval that comes to nothing leaves the caller where they are. When
/// whoever took them leaves, the agent has the caller. 409 `api_call_not_parked`.
#[utoipa::path(post, path = "/api/calls/{id}/retrieve", tag = "live", params(("id" = String, Path)),
    request_body = Retrieve, responses((status = 201, body = BrowserTicket), (status = 202, body = Object)))]
pub(crate) async fn retrieve(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Retrieve>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let mut faults = Faults::default();
    faults.maybe("name", body.name.as_deref(), NAME_CHARACTERS_MAX);
    faults.done()?;
    running(&record, &id)?;
    if let Some(to) = body.to {
        let invite = Invite::instead(to, body.name, body.announcement, body.timeout_sec);
        return called(&api, &caller, &scope, (&record, &id), &invite).await;
    }
    let may = api.engine.may_retrieve(&id).await;
    may.map_err(|error| refused(error, &id))?;
    let person = Person {
        name: name(body.name, &caller),
        seat: Seat::Instead,
        from_parking: true,
    };
    let detail = json!({ "name": person.name });
    let ticket = ticket(&api, &caller, &id, person, body.offer.as_deref())?;
    Ok(Answer::created(ticket)?.changed(Change {
        action: "retrieve",
        entity: "call",
        id: id.to_string(),
        tenant: Some(scope.tenant().to_string()),
        detail: Some(detail),
    }))
}

/// Somebody is called who shall take the caller.
async fn called(
    api: &Api,
    caller: &Caller,
    scope: &TenantScope,
    (record, id): (&CallRecord, &CallId),
    invite: &Invite,
) -> Result<Answer, Problem> {
    invite.check()?;
    let asked = judged(api, caller, scope, (record, id), (invite, true)).await?;
    let detail = json!({ "to": invite.beginning(), "seat": SeatName::Instead });
    done(asked, false, scope, id, "retrieve", Some(detail))
}
