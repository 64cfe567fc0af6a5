//! The bridge's interface: health, calls, placing, ending and handing over. On this machine it is open unless a token is set;
//! elsewhere it always wants one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use catalog::{Language, Message};
use engine::switchboard::CallOrders;
use engine::{PlaceCallError, RegistrationState};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Bridge;
use super::book::{CallView, Status};
use super::callback::{Overrides, texts};
use super::desk::{self, Outgoing};
use super::options::{is_callback, is_target};
use crate::api::auth::{Token, bearer, is_foreign};
use crate::api::listener::Listener;
use crate::api::problem::Problem;
use crate::api::{Running, serve};

/// Largest request body.
const BODY_BYTES_MAX: usize = 64 * 1_024;
/// Longest party, bytes.
const PARTY_BYTES_MAX: usize = 256;
/// How long a transfer's first answer is awaited.
const TRANSFER_WITHIN: Duration = Duration::from_secs(10);
/// Longest ring time that may be asked for, seconds.
const RING_S_MAX: u32 = 600;

struct Api {
    bridge: Arc<Bridge>,
    token: Option<Token>,
    language: Language,
}

type Shared = State<Arc<Api>>;

/// Binds the address and serves.
///
/// # Errors
/// When the address cannot be bound.
pub(super) async fn start(bridge: Arc<Bridge>, language: Language) -> Result<Running, Message> {
    let address = bridge.options.api;
    let taken = |error: std::io::Error| {
        Message::new("port_in_use")
            .with("protocol", "HTTP")
            .with("address", address.to_string())
            .with("cause", error.to_string())
    };
    let listener = Listener::bind(address, None).await.map_err(taken)?;
    let api = Arc::new(Api {
        token: bridge.options.api_token.as_deref().map(Token::new),
        bridge,
        language,
    });
    let guarded = Router::new()
        .route("/api/calls", get(list).post(place))
        .route("/api/calls/{sid}", get(one).delete(end))
        .route("/api/calls/{sid}/answer", post(answer))
        .route("/api/calls/{sid}/transfer", post(transfer))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), guard));
    let application = Router::new()
        .route("/health", get(health))
        .merge(guarded)
        .fallback(crate::api::problem::not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api);
    serve(listener, application).map_err(taken)
}

async fn guard(State(api): Shared, request: Request, next: Next) -> Response {
    let Some(token) = &api.token else {
        // Programs of this machine may; a page of somebody's in its browser may not.
        if is_foreign(request.headers()) {
            return api
                .problem(403, "api_foreign_page", request.headers())
                .into_response();
        }
        return next.run(request).await;
    };
    let presented = bearer(request.headers());
    if presented.is_some_and(|presented| token.matches(presented)) {
        return next.run(request).await;
    }
    let headers = request.headers();
    Problem::new(401, "api_unauthorized")
        .in_language_of(headers, api.language)
        .into_response()
}

async fn health(State(api): Shared) -> axum::Json<Value> {
    let bridge = &api.bridge;
    let options = &bridge.options;
    let registrations = bridge.engine.registrations().await;
    let is_registered =
        |state: &RegistrationState| matches!(state, RegistrationState::Registered { .. });
    let registered = registrations
        .iter()
        .any(|known| is_registered(&known.state));
    let state = registrations.first().map(|known| match known.state {
        RegistrationState::Unregistered => "unregistered",
        RegistrationState::Registering => "registering",
        RegistrationState::Registered { .. } => "registered",
        RegistrationState::Failed { .. } => "failed",
    });
    axum::Json(json!({
        "status": "ok",
        "sip_registered": registered,
        "sip_state": state,
        "sip_account": format!("sip:{}@{}", options.username, options.domain),
        "ws_target": options.ws_target,
        "active_calls": bridge.book.active(),
        "max_concurrent_calls": options.calls_max,
        "audio": {
            "codec": "PCMU",
            "clock_rate": 8_000,
            "frame_ms": media::frame::FRAME_MS,
            "ec_enabled": false,
            "vad_enabled": false,
        },
    }))
}

async fn list(State(api): Shared) -> axum::Json<Vec<CallView>> {
    axum::Json(api.bridge.book.list())
}

async fn one(
    State(api): Shared,
    Path(sid): Path<String>,
    headers: HeaderMap,
) -> Result<axum::Json<CallView>, Problem> {
    let view = api.bridge.book.view(&sid);
    let unknown = || Problem::new(404, "api_not_found").in_language_of(&headers, api.language);
    view.map(axum::Json).ok_or_else(unknown)
}

/// A call to place, as it is asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlaceBody {
    to: String,
    from: Option<String>,
    custom_params: Option<BTreeMap<String, Value>>,
    ws_target: Option<String>,
    callback_url: Option<String>,
    timeout_sec: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransferBody {
    destination: String,
}

impl Api {
    fn problem(&self, status: u16, code: &'static str, headers: &HeaderMap) -> Problem {
        Problem::new(status, code).in_language_of(headers, self.language)
    }

    fn bad(&self, headers: &HeaderMap, cause: impl Into<String>) -> Problem {
        self.problem(400, "api_bad_request", headers)
            .with("cause", cause.into())
    }

    fn body<T: DeserializeOwned>(&self, headers: &HeaderMap, bytes: &Bytes) -> Result<T, Problem> {
        serde_json::from_slice(bytes).map_err(|error| self.bad(headers, error.to_string()))
    }

    /// A call that is not over.
    fn running(&self, headers: &HeaderMap, sid: &str) -> Result<CallOrders, Problem> {
        match self.bridge.book.orders(sid) {
            None => Err(self.problem(404, "api_not_found", headers)),
            Some(None) => Err(self.problem(409, "bridge_call_over", headers)),
            Some(Some(orders)) => Ok(orders),
        }
    }

    fn shown(&self, status: StatusCode, sid: &str) -> Response {
        (status, axum::Json(self.bridge.book.view(sid))).into_response()
    }
}

fn is_party(party: &str) -> bool {
    let clean =
        !party.contains(|character: char| character.is_control() || " <>\"".contains(character));
    !party.is_empty() && party.len() <= PARTY_BYTES_MAX && clean
}

async fn place(State(api): Shared, headers: HeaderMap, bytes: Bytes) -> Result<Response, Problem> {
    let body: PlaceBody = api.body(&headers, &bytes)?;
    let bad = |cause: &str| api.bad(&headers, cause);
    if !is_party(&body.to) {
        return Err(bad("to"));
    }
    if body.from.as_deref().is_some_and(|from| !is_party(from)) {
        return Err(bad("from"));
    }
    if body.ws_target.as_deref().is_some_and(|url| !is_target(url)) {
        return Err(bad("wsTarget"));
    }
    if body
        .callback_url
        .as_deref()
        .is_some_and(|url| !is_callback(url))
    {
        return Err(bad("callbackUrl"));
    }
    let ring_s = body.timeout_sec.unwrap_or(30);
    if !(1..=RING_S_MAX).contains(&ring_s) {
        return Err(bad("timeoutSec"));
    }
    let order = Outgoing {
        to: body.to,
        from: body.from,
        overrides: Overrides {
            parameters: texts(body.custom_params),
            target: body.ws_target,
            callback: body.callback_url,
        },
        ring_max: Duration::from_secs(ring_s.into()),
    };
    match desk::outgoing(&api.bridge, order).await {
        Ok(view) => Ok((StatusCode::CREATED, axum::Json(view)).into_response()),
        Err(
            PlaceCallError::BadAddress
            | PlaceCallError::UnknownLine
            | PlaceCallError::UnknownWorkflow
            | PlaceCallError::NoAccount
            | PlaceCallError::NoAgent
            | PlaceCallError::NotRegistered
            | PlaceCallError::Premium,
        ) => Err(bad("to")),
        Err(PlaceCallError::Busy | PlaceCallError::NoPort) => {
            let problem = api.problem(503, "bridge_busy", &headers);
            Err(problem.with("count", i64::from(api.bridge.options.calls_max)))
        }
    }
}

async fn end(
    State(api): Shared,
    Path(sid): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let orders = api.running(&headers, &sid)?;
    if !orders.hang_up() {
        return Err(api.problem(409, "bridge_call_over", &headers));
    }
    Ok(api.shown(StatusCode::OK, &sid))
}

async fn answer(
    State(api): Shared,
    Path(sid): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    api.running(&headers, &sid)?;
    let rings = api.bridge.book.view(&sid).is_some_and(|view| {
        view.direction == "inbound" && matches!(view.status, Status::Initiated | Status::Ringing)
    });
    if !rings || !desk::answer(&api.bridge, &sid) {
        return Err(api.problem(409, "bridge_call_not_ringing", &headers));
    }
    Ok(api.shown(StatusCode::OK, &sid))
}

async fn transfer(
    State(api): Shared,
    Path(sid): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let body: TransferBody = api.body(&headers, &bytes)?;
    if !is_party(&body.destination) {
        return Err(api.bad(&headers, "destination"));
    }
    let orders = api.running(&headers, &sid)?;
    let refused = |cause: &str| {
        let problem = api.problem(502, "bridge_transfer_refused", &headers);
        problem.with("cause", cause)
    };
    let Some(result) = api.bridge.book.await_transfer(&sid) else {
        return Err(api.problem(409, "bridge_transfer_running", &headers));
    };
    orders.transfer(body.destination);
    match tokio::time::timeout(TRANSFER_WITHIN, result).await {
        Ok(Ok(Ok(()))) => Ok(api.shown(StatusCode::OK, &sid)),
        Ok(Ok(Err(cause))) => Err(refused(&cause)),
        Ok(Err(_)) => Err(api.problem(409, "bridge_call_over", &headers)),
        Err(_) => Err(refused("no answer")),
    }
}
