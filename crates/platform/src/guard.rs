//! What every request passes on its way to a handler: the edge (request id, language, faults), and the guard of its route
//! (credential, role and scope, rate, body, idempotency, audit).

use crate::answer::Changes;
use crate::api::Api;
use crate::caller::{Actor, Caller};
use crate::need::{Access, Area, Door, Need, Role};
use crate::problem::{self, Problem};
use crate::rate::Verdict;
use crate::{body, credential, idempotency, peer};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use store::{AuditNote, Realm, TenantScope};

/// The id of a request: the client's where it is short and plain, else a new one.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

/// Longest request id that is taken over from a client.
const REQUEST_ID_CHARACTERS_MAX: usize = 64;

/// Around everything: no request leaves without its id, and no error without its words.
pub(crate) async fn edge(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers());
    let language = problem::language_of(request.headers(), api.config.language);
    let chat = request.uri().path().starts_with("/api/chat/");
    if chat && request.method() == Method::OPTIONS {
        return cross_origin(StatusCode::NO_CONTENT.into_response());
    }
    let headers = request.headers().clone();
    let extensions = request.extensions_mut();
    peer::settle(&api.config.proxies, extensions, &headers);
    extensions.insert(RequestId(id.clone()));
    extensions.insert(api);
    let response = if body::has_nul(request.uri()) {
        Problem::bad_request("%00").into_response()
    } else {
        AssertUnwindSafe(next.run(request))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Problem::internal("a handler panicked").into_response())
    };
    let mut response = problem::render(response, language, &id);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if chat {
        response = cross_origin(response);
    }
    response
}

/// The chat widget runs on its customers' pages. Its token is in a header, never in a cookie, so any origin may ask.
fn cross_origin(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        (
            "access-control-allow-headers",
            "authorization, content-type, x-public-token, x-chat-token, idempotency-key, last-event-id",
        ),
        ("access-control-allow-methods", "GET, POST, DELETE"),
        ("access-control-max-age", "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn request_id(headers: &HeaderMap) -> String {
    headers
        .get("x-request-id")
        .and_then(|id| id.to_str().ok())
        .filter(|id| {
            (1..=REQUEST_ID_CHARACTERS_MAX).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        })
        .map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

/// The guard of one route.
pub(crate) async fn guard(need: Need, request: Request, next: Next) -> Response {
    let Some(api) = request.extensions().get::<Arc<Api>>().cloned() else {
        return Problem::internal("a request without its edge").into_response();
    };
    let (parts, body) = request.into_parts();
    let caller = match admit(&api, need, &parts).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let verdict = take(&api, &caller, &parts.extensions);
    let mut response = if verdict.allowed {
        match pass(&api, need, &caller, parts, body, next).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        }
    } else {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "api_rate_limited")
            .with(
                "seconds",
                i64::try_from(verdict.reset_s.max(1)).unwrap_or(i64::MAX),
            )
            .retry_after(verdict.reset_s.max(1))
            .into_response()
    };
    let headers = response.headers_mut();
    headers.insert(
        "ratelimit-limit",
        HeaderValue::from(u64::from(api.config.rate_per_s)),
    );
    headers.insert("ratelimit-remaining", HeaderValue::from(verdict.remaining));
    headers.insert("ratelimit-reset", HeaderValue::from(verdict.reset_s));
    response
}

/// Who calls, and whether the route is for him.
async fn admit(api: &Api, need: Need, parts: &http::request::Parts) -> Result<Caller, Problem> {
    if need.door == Door::Open {
        return Ok(Caller {
            actor: Actor::Unauthenticated,
            role: Role::Viewer,
            scopes: crate::need::Scopes::Some(Vec::new()),
            ..Caller::owner()
        });
    }
    let mut caller = credential::resolve(api, &parts.method, &parts.headers).await?;
    caller.request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
    caller.address = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip().to_string());
    if authorised(&caller, need) {
        Ok(caller)
    } else {
        Err(Problem::forbidden())
    }
}

fn authorised(caller: &Caller, need: Need) -> bool {
    match (&caller.actor, need.door) {
        (Actor::Widget(_), door) => return door == Door::Chat,
        (Actor::Agent(_), door) => return matches!(door, Door::Agents | Door::Chat | Door::Any),
        (_, Door::Node) if !caller.is_node() => return false,
        // A key of one agent goes where that agent's token goes.
        (_, Door::Keys | Door::Node) if caller.agent.is_some() => return false,
        (_, Door::Any) => return true,
        _ => {}
    }
    caller.role >= need.role && caller.scopes.allow(need.area, need.access)
}

fn take(api: &Api, caller: &Caller, extensions: &http::Extensions) -> Verdict {
    let bucket = match caller.actor {
        // No credential: each address has its own bucket.
        Actor::Unauthenticated => extensions.get::<ConnectInfo<SocketAddr>>().map_or_else(
            || "address".to_owned(),
            |ConnectInfo(address)| format!("address:{}", address.ip()),
        ),
        Actor::Owner | Actor::Key(_) | Actor::User(_) | Actor::Agent(_) | Actor::Widget(_) => {
            caller.bucket()
        }
    };
    api.limiter.take(&bucket, api.rate(), Instant::now())
}

async fn pass(
    api: &Arc<Api>,
    need: Need,
    caller: &Caller,
    mut parts: http::request::Parts,
    body: Body,
    next: Next,
) -> Result<Response, Problem> {
    let writes = !matches!(parts.method, Method::GET | Method::HEAD);
    let bytes = if writes {
        let bytes = body::read(body).await?;
        body::check(&parts.headers, &bytes)?;
        bytes
    } else {
        bytes::Bytes::new()
    };
    let once = idempotency::Once::begin(api, caller, &parts, &bytes).await?;
    let once = match once {
        idempotency::Begun::Answered(response) => return Ok(response),
        idempotency::Begun::Run(once) => once,
    };
    // Writes of one thing in this process follow each other instead of meeting in the database.
    let _turn = if matches!(parts.method, Method::PUT | Method::PATCH) {
        Some(api.turn(parts.uri.path()).lock().await)
    } else {
        None
    };
    parts.extensions.insert(caller.clone());
    let mut response = next
        .run(Request::from_parts(parts, Body::from(bytes)))
        .await;
    if need.access == Access::Write && response.status().is_success() {
        record(api, caller, &mut response).await;
        if touches_calls(need.area) {
            (api.nudge)();
        }
    }
    once.end(api, response).await
}

/// Writes after which lines and agents are read anew.
fn touches_calls(area: Area) -> bool {
    match area {
        Area::Accounts
        | Area::Customers
        | Area::Agents
        | Area::Lines
        | Area::Faqs
        | Area::Blocked
        | Area::Billing => true,
        Area::Calls
        | Area::Live
        | Area::Webhooks
        | Area::Keys
        | Area::Users
        | Area::Audit
        | Area::Chat
        | Area::Privacy
        | Area::System => false,
    }
}

/// What handlers name that is no entry of the store: a call that was hung up, a webhook that was sent again.
async fn record(api: &Api, caller: &Caller, response: &mut Response) {
    let Some(Changes(changes)) = response.extensions_mut().remove::<Changes>() else {
        return;
    };
    for change in changes {
        let scope = change
            .tenant
            .as_deref()
            .map(|tenant| TenantScope::new(tenant.into()));
        let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
        let note = AuditNote {
            action: change.action.to_owned(),
            entity: change.entity.to_owned(),
            entity_id: change.id,
            detail: change.detail.map(|detail| detail.to_string()),
        };
        // It is done already: a log that cannot be written is told to the operator, not to the client.
        if let Err(error) = caller.store(api, None, None).audit(realm, &note).await {
            tracing::error!(%error, action = note.action, entity = note.entity, "not written to the audit log");
        }
    }
}
