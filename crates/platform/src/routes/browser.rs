//! A call from a page: microphone and loudspeaker of a browser, by WebRTC or by WebSocket, to any agent.

use super::owner;
use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::{Json, Path};
use crate::caller::Caller;
use crate::limits::TEXT_CHARACTERS_MAX;
use crate::problem::Problem;
use crate::support::Faults;
use crate::tickets::GOOD_FOR;
use crate::upgrade;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use call::CallId;
use engine::limits::PAGE_CONNECTED_WITHIN;
use engine::{CarrierDialect, OfferError, PageCall, PageError, Person, StreamCall, StreamSocket};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// How long the first message is awaited.
const START_WITHIN: Duration = Duration::from_secs(10);
/// When a page may try again where no port was free, s.
const RETRY_AFTER_S: u64 = 10;
/// Samples a second, both ways.
const SAMPLE_RATE: u32 = 8_000;
/// Who calls where nobody says it: a caller without a number.
const NOBODY: &str = "anonymous";

/// A call to an agent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserCall {
    /// The agent.
    agent_id: String,
    /// The number that it believes is calling, to hear what a known caller hears; absent: a withheld one.
    from: Option<String>,
    /// What the browser's `RTCPeerConnection` offers (SDP), with its candidates: the call comes by WebRTC. Absent: by WebSocket.
    offer: Option<String>,
}

/// The way in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrowserTicket {
    /// Id that the call will have, or has.
    id: String,
    /// Path of the WebSocket, below the address of the API: it lets one connection in, once. Absent where there is an `answer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Seconds within which the page must be connected.
    expires_in_seconds: u64,
    /// Samples a second by WebSocket, both ways: 16 bit, little endian, one channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_rate: Option<u32>,
    /// The answer to the `offer` (SDP), with all of our candidates.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
}

/// What a ticket lets in.
#[derive(Clone, Debug)]
pub(crate) enum Grant {
    /// A call to an agent.
    Call {
        id: CallId,
        agent: String,
        from: String,
    },
    /// A person of the house into a running call.
    Person { call: CallId, person: Person },
}

impl BrowserTicket {
    /// By WebRTC.
    pub(super) fn answered(id: &CallId, answer: String) -> Self {
        Self {
            id: id.to_string(),
            path: None,
            expires_in_seconds: PAGE_CONNECTED_WITHIN.as_secs(),
            sample_rate: None,
            answer: Some(answer),
        }
    }

    /// By WebSocket.
    pub(super) fn issued(api: &Api, id: &CallId, grant: Grant) -> Self {
        let ticket = api.browsers.issue(Instant::now(), grant);
        Self {
            id: id.to_string(),
            path: Some(format!("/api/calls/browser/{ticket}")),
            expires_in_seconds: GOOD_FOR.as_secs(),
            sample_rate: Some(SAMPLE_RATE),
            answer: None,
        }
    }
}

/// Prepares a call of a page to an agent.
///
/// With an `offer` the call comes by WebRTC: give the `answer` to the `RTCPeerConnection` as its remote description; the call begins when
/// it is connected, and ends when it is closed. Where no port is free (503 `api_no_media_port`), or where it is not connected within a
/// few seconds, ask again without an offer.
///
/// Without one it comes by WebSocket. Connect to `path` within 30 s, send `{"event":"start"}`, then binary messages of sound (20 ms each);
/// sound comes the same way. `{"event":"clear"}` means: forget what was not played. `{"event":"mark","mark":{"name":…}}` is sent back once
/// everything before it was played. `{"event":"dtmf","dtmf":{"digit":"5"}}` types, `{"event":"stop"}` or closing hangs up.
#[utoipa::path(post, path = "/api/calls/browser", tag = "live", request_body = BrowserCall,
    responses((status = 201, body = BrowserTicket)))]
pub(crate) async fn prepare(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<BrowserCall>,
) -> Result<Answer, Problem> {
    let mut faults = Faults::default();
    faults.maybe("from", body.from.as_deref(), TEXT_CHARACTERS_MAX);
    faults.done()?;
    let found = owner::agent(&api, &caller, &body.agent_id).await;
    let (scope, agent) = found.map_err(|problem| match problem.status() {
        StatusCode::NOT_FOUND => Problem::field("agentId", "reference", "id"),
        _ => problem,
    })?;
    // A ticket that leads nowhere helps nobody: an agent that was just made, or that is stopped, says so at once.
    let begins = api
        .engine
        .may_begin_with_agent(&agent.id, CarrierDialect::Browser);
    begins.map_err(|error| {
        Problem::new(StatusCode::CONFLICT, "api_call_refused").with("cause", error.to_string())
    })?;
    let id = CallId::from(store::new_id());
    let from = body.from.filter(|from| !from.trim().is_empty());
    let from = from.unwrap_or_else(|| NOBODY.to_owned());
    let ticket = if let Some(offer) = body.offer {
        let client = caller.address.as_deref();
        let call = PageCall {
            id: id.clone(),
            from,
            offer,
            client: client.and_then(|client| client.parse().ok()),
        };
        let answered = api.engine.answer_page(&agent.id, call);
        BrowserTicket::answered(&id, answered.map_err(unanswered)?)
    } else {
        let grant = Grant::Call {
            id: id.clone(),
            agent: agent.id.clone(),
            from,
        };
        BrowserTicket::issued(&api, &id, grant)
    };
    let answer = Answer::created(ticket)?;
    Ok(answer.changed(Change {
        action: "call_from_page",
        entity: "call",
        id: id.to_string(),
        tenant: Some(scope.tenant().to_string()),
        detail: Some(json!({ "agentId": agent.id })),
    }))
}

/// Why an offer is not answered.
pub(super) fn unanswered(error: PageError) -> Problem {
    let wrong = StatusCode::UNPROCESSABLE_ENTITY;
    match error {
        PageError::Refused(error) => {
            Problem::new(StatusCode::CONFLICT, "api_call_refused").with("cause", error.to_string())
        }
        PageError::Offer(OfferError::NoAudio) => Problem::new(wrong, "api_offer_no_audio"),
        PageError::Offer(OfferError::NoCommonCodec(offered)) => {
            Problem::new(wrong, "api_offer_no_codec").with("offered", offered)
        }
        PageError::Offer(OfferError::Unusable(cause)) => {
            Problem::new(wrong, "api_offer_unusable").with("cause", cause)
        }
        PageError::NoPort => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "api_no_media_port")
            .retry_after(RETRY_AFTER_S),
    }
}

/// The WebSocket of a ticket; see `POST /api/calls/browser`.
#[utoipa::path(get, path = "/api/calls/browser/{ticket}", tag = "live", params(("ticket" = String, Path)),
    responses((status = 101, description = "The WebSocket.")))]
pub(crate) async fn connect(
    State(api): State<Arc<Api>>,
    Path(ticket): Path<String>,
    mut request: Request,
) -> Result<Response, Problem> {
    if !upgrade::is_websocket(request.headers()) {
        return Ok(StatusCode::UPGRADE_REQUIRED.into_response());
    }
    let grant = api.browsers.take(Instant::now(), &ticket);
    let grant = grant.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "api_ticket_used"))?;
    let engine = api.engine.clone();
    Ok(upgrade::websocket(&mut request, move |io| async move {
        let mut socket = StreamSocket::new(io, CarrierDialect::Browser);
        if socket.started(START_WITHIN).await.is_err() {
            return socket.refuse().await;
        }
        let (id, agent, from) = match grant {
            Grant::Call { id, agent, from } => (id, agent, from),
            Grant::Person { call, person } => {
                return engine.person_by_stream(&call, person, socket);
            }
        };
        let call = StreamCall {
            line: String::new(),
            from,
            to: String::new(),
            inbound: true,
            control: None,
            bridge: false,
            carrier_call: String::new(),
            id: Some(id),
        };
        if let Err(error) = engine.begin_with_agent(&agent, socket, call).await {
            tracing::info!(%error, agent, "a call from a page was not taken");
        }
    }))
}
