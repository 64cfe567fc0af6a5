//! What every request passes: the edge (language, errors), then the guard of its route (who, role, rate, body).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use catalog::Language;
use courier::sign::{HEADER_CALL, HEADER_IDEMPOTENCY};

use super::app::{App, Credential, Refused};
use super::limits::BODY_WITHIN;
use super::need::Need;
use super::refusal::Refusal;
use super::signature;
use super::who::{Role, Who};
use crate::store::Access;
use crate::store::rows::Expected;

/// The outermost layer.
pub(super) async fn edge(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let language = language(request.headers()).unwrap_or(app.config.language);
    request.extensions_mut().insert(app);
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        return refusal.write(language);
    }
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "api_method_not_allowed");
        return refusal.write(language);
    }
    response
}

fn language(headers: &HeaderMap) -> Option<Language> {
    let asked = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    asked.split(',').find_map(
        |part| match part.trim().get(..2)?.to_ascii_lowercase().as_str() {
            "fr" => Some(Language::Fr),
            "en" => Some(Language::En),
            _ => None,
        },
    )
}

/// The guard of one route.
pub(super) async fn guard(need: Need, request: Request, next: Next) -> Response {
    match pass(need, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn pass(need: Need, request: Request) -> Result<Request, Refusal> {
    let app = request.extensions().get::<Arc<App>>().cloned();
    let app = app.ok_or_else(|| Refusal::internal("a request without its edge"))?;
    let (mut parts, body) = request.into_parts();
    let Some(least) = need.role else {
        let bytes = read(&parts, body, need.body_bytes_max).await?;
        return Ok(Request::from_parts(parts, Body::from(bytes)));
    };
    // Nobody's body is read: only a signature needs it to be believed.
    let known = recognised(&app, &parts).await?;
    if known.is_none() && !signature::is_signed(&parts.headers) {
        return Err(Refusal::unauthorized());
    }
    if let Some(known) = &known {
        admit(&app, need, least, known)?;
    }
    let bytes = read(&parts, body, need.body_bytes_max).await?;
    let mut who = match known {
        Some(known) => known,
        None => {
            let signed = signature::verify(&app, &parts, &bytes).await?;
            admit(&app, need, least, &signed)?;
            signed
        }
    };
    who.call = signature::header(&parts.headers, HEADER_CALL).map(str::to_owned);
    who.expected = Expected::of(signature::header(&parts.headers, header::IF_MATCH.as_str()));
    who.key = signature::header(&parts.headers, HEADER_IDEMPOTENCY).map(str::to_owned);
    parts.extensions.insert(who);
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Whether somebody may use the route now.
fn admit(app: &App, need: Need, least: Role, who: &Who) -> Result<(), Refusal> {
    (app.doors.take)(&who.bucket).map_err(Refusal::too_many)?;
    let allowed = if who.is_voice() {
        need.voice
    } else {
        who.role >= least
    };
    if allowed {
        Ok(())
    } else {
        Err(Refusal::forbidden())
    }
}

/// Reads a body within its bounds. A page of another site can send texts to a loopback port without asking; JSON it cannot.
async fn read(parts: &Parts, body: Body, max: usize) -> Result<Bytes, Refusal> {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(Bytes::new());
    }
    let collected = tokio::time::timeout(BODY_WITHIN, axum::body::to_bytes(body, max)).await;
    let collected = collected
        .map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "api_body_slow"))?
        .map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "api_body_too_large"))?;
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let known = ["application/json", "text/csv"];
    if !collected.is_empty() && !known.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "api_media_type",
        ));
    }
    Ok(collected)
}

/// Who shows a credential, or is let in without one; `None`: nobody, unless a signature says so.
async fn recognised(app: &App, parts: &Parts) -> Result<Option<Who>, Refusal> {
    let headers = &parts.headers;
    match (app.doors.recognise)(parts.method.clone(), headers.clone()).await {
        Ok(Some(credential)) => return Ok(Some(of_credential(credential))),
        Ok(None) => {}
        Err(Refused::Unknown) => return Err(Refusal::unauthorized()),
        Err(Refused::Forged) => return Err(Refusal::new(StatusCode::FORBIDDEN, "api_forged")),
        Err(Refused::Unavailable) => return Err(Refusal::unavailable("the credentials")),
    }
    let let_in = app.config.unsigned && !signature::is_signed(headers) && from_here(parts);
    Ok(let_in.then(|| Who {
        access: Access::Node,
        role: Role::Owner,
        bucket: "unsigned".to_owned(),
        call: None,
        key: None,
        expected: Expected::default(),
    }))
}

fn of_credential(credential: Credential) -> Who {
    let access = match (credential.account, credential.agent) {
        (None, _) => Access::Node,
        (Some(account), None) => Access::Account(account),
        (Some(account), agent @ Some(_)) => Access::Voice {
            account,
            agent,
            here: true,
        },
    };
    Who {
        access,
        role: credential.role,
        bucket: credential.bucket,
        call: None,
        key: None,
        expected: Expected::default(),
    }
}

/// The client is on this machine, and asks for it by a name of this machine: a page of another site can point a name of its own
/// to a loopback address, but it cannot forge `Host`.
fn from_here(parts: &Parts) -> bool {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let near = peer.is_none_or(|ConnectInfo(address)| address.ip().is_loopback());
    let host = parts.headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let address = name.parse::<std::net::IpAddr>();
    near && (name.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.is_loopback()))
}
