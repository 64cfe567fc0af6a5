//! A person of the house on the line of a running call: joining it from a page, taking it over, giving it back.

use super::browser::{BrowserTicket, Grant, unanswered};
use super::calls::{find, running};
use super::live::done;
use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::{Json, Path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::support::Faults;
use axum::extract::State;
use axum::http::StatusCode;
use call::{CallId, Seat};
use engine::{Person, PersonError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Longest name, in characters.
pub(super) const NAME_CHARACTERS_MAX: usize = 80;
/// Longest word for the agent, in characters.
pub(super) const NOTE_CHARACTERS_MAX: usize = 2_000;
/// Who it is where nobody says it.
pub(super) const SOMEBODY: &str = "A colleague";

/// Where a person is on the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SeatName {
    /// Beside the agent: all three hear each other.
    #[default]
    Beside,
    /// In the place of the agent, which leaves.
    Instead,
}

impl From<SeatName> for Seat {
    fn from(name: SeatName) -> Self {
        match name {
            SeatName::Beside => Self::Beside,
            SeatName::Instead => Self::Instead,
        }
    }
}

impl From<Seat> for SeatName {
    fn from(seat: Seat) -> Self {
        match seat {
            Seat::Beside => Self::Beside,
            Seat::Instead => Self::Instead,
        }
    }
}

/// Who is on the line besides the caller and the agent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PersonView {
    /// Their name, or that of the target that was called.
    name: String,
    /// Where.
    seat: SeatName,
}

impl From<&engine::LivePerson> for PersonView {
    fn from(person: &engine::LivePerson) -> Self {
        Self {
            name: person.name.clone(),
            seat: person.seat.into(),
        }
    }
}

/// A person who comes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Join {
    /// Where they want to be; absent: beside the agent.
    seat: Option<SeatName>,
    /// How the agent is to call them; absent: the name of the credential.
    name: Option<String>,
    /// What the browser's `RTCPeerConnection` offers (SDP), with its candidates: they come by WebRTC. Absent: by WebSocket.
    offer: Option<String>,
}

/// The agent has the caller again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HandBack {
    /// What the agent is to know of what was said without it.
    note: Option<String>,
    /// The person stays, beside the agent.
    stay: Option<bool>,
}

/// Lets the caller of this request into a running call, with microphone and loudspeaker of a page.
///
/// The answer and what follows are those of `POST /api/calls/browser`: the `answer` to an `offer`, or the `path` of a WebSocket. They are on
/// the line once connected, and leave by closing the connection: the agent then goes on with the caller, and is told. `beside`: caller,
/// agent and person hear each other. `instead`: they take the call over, what the agent was saying is cut, and it hears nothing more.
/// 409 where there is no place: `api_person_there`, `api_person_not_now`.
#[utoipa::path(post, path = "/api/calls/{id}/join", tag = "live", params(("id" = String, Path)),
    request_body = Join, responses((status = 201, body = BrowserTicket)))]
pub(crate) async fn join(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Join>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let mut faults = Faults::default();
    faults.maybe("name", body.name.as_deref(), NAME_CHARACTERS_MAX);
    faults.done()?;
    running(&record, &id)?;
    let seat = Seat::from(body.seat.unwrap_or_default());
    let may = api.engine.may_come(&id, seat).await;
    may.map_err(|error| refused(error, &id))?;
    let person = Person {
        name: name(body.name, &caller),
        seat,
        from_parking: false,
    };
    let detail = json!({ "name": person.name, "seat": SeatName::from(seat) });
    let ticket = ticket(&api, &caller, &id, person, body.offer.as_deref())?;
    let action = match seat {
        Seat::Beside => "join",
        Seat::Instead => "take_over",
    };
    Ok(Answer::created(ticket)?.changed(Change {
        action,
        entity: "call",
        id: id.to_string(),
        tenant: Some(scope.tenant().to_string()),
        detail: Some(detail),
    }))
}

/// The person who is on the line takes the call over: what the agent was saying is cut, and it leaves. It comes back with `hand-back`, or when
/// the person leaves.
#[utoipa::path(post, path = "/api/calls/{id}/take-over", tag = "live", params(("id" = String, Path)),
    responses((status = 202, body = Object)))]
pub(crate) async fn take_over(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let asked = api.engine.move_person(&id, Seat::Instead).await;
    let asked = taken(asked, &id)?;
    let over = record.end.is_some();
    done(asked, over, &scope, &id, "take_over", None)
}

/// Gives the caller back to the agent, which is told what happened. The person leaves, or with `stay` is beside the agent from then on. A parked
/// caller leaves their place for the agent.
#[utoipa::path(post, path = "/api/calls/{id}/hand-back", tag = "live", params(("id" = String, Path)),
    request_body = HandBack, responses((status = 202, body = Object)))]
pub(crate) async fn hand_back(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<HandBack>,
) -> Result<Answer, Problem> {
    let (scope, record, id) = find(&api, &caller, &id).await?;
    let mut faults = Faults::default();
    faults.maybe("note", body.note.as_deref(), NOTE_CHARACTERS_MAX);
    faults.done()?;
    let stay = body.stay.unwrap_or_default();
    let note = body.note.unwrap_or_default();
    let detail = json!({ "stay": stay, "note": note });
    let asked = api.engine.hand_back(&id, engine::HandBack { note, stay });
    let asked = taken(asked.await, &id)?;
    let over = record.end.is_some();
    done(asked, over, &scope, &id, "hand_back", Some(detail))
}

/// The way of a page into a call: by WebRTC where it offers that, else by WebSocket.
pub(super) fn ticket(
    api: &Arc<Api>,
    caller: &Caller,
    id: &CallId,
    person: Person,
    offer: Option<&str>,
) -> Result<BrowserTicket, Problem> {
    let Some(offer) = offer else {
        let call = id.clone();
        return Ok(BrowserTicket::issued(
            api,
            id,
            Grant::Person { call, person },
        ));
    };
    let client = caller.address.as_deref();
    let client = client.and_then(|client| client.parse().ok());
    let answered = api
        .engine
        .person_by_page(id.clone(), person, (offer, client));
    Ok(BrowserTicket::answered(id, answered.map_err(unanswered)?))
}

/// How the agent is to call them.
pub(super) fn name(asked: Option<String>, caller: &Caller) -> String {
    let asked = asked.map(|name| name.trim().to_owned());
    let known = || Some(caller.name.clone()).filter(|name| !name.is_empty());
    let name = asked.filter(|name| !name.is_empty()).or_else(known);
    name.unwrap_or_else(|| SOMEBODY.to_owned())
}

/// False where no such call runs here.
pub(super) fn taken(asked: Result<(), PersonError>, id: &CallId) -> Result<bool, Problem> {
    match asked {
        Ok(()) => Ok(true),
        Err(PersonError::Unknown) => Ok(false),
        Err(error) => Err(refused(error, id)),
    }
}

pub(super) fn refused(error: PersonError, id: &CallId) -> Problem {
    let code = match error {
        PersonError::Unknown => "api_call_elsewhere",
        PersonError::NotNow => "api_person_not_now",
        PersonError::Somebody => "api_person_there",
        PersonError::Nobody => "api_person_nobody",
        PersonError::NotParked => "api_call_not_parked",
        PersonError::ParkingFull => {
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "api_parking_full");
            return problem.with("max", i64::from(engine::limits::PARKING_PLACES_MAX));
        }
        PersonError::Premium => {
            return Problem::new(StatusCode::FORBIDDEN, "api_call_premium");
        }
        PersonError::BadAddress => "api_invite_no_way",
        PersonError::TooMany => {
            return Problem::new(StatusCode::TOO_MANY_REQUESTS, "api_person_too_often");
        }
    };
    Problem::conflict(code).with("id", id.as_str())
}
