//! The webhooks: a call is announced, a state changed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use catalog::Message;
use wire::twilio::Dialect;

use super::accounts::Owner;
use super::carriers::{self, Announced};
use super::tokens::Grant;
use super::verify::Asked;
use super::{TOKEN_FOR, Voice};

/// Largest body of a webhook, bytes.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1_024;
/// Fields of a form that are read.
const FIELDS_MAX: usize = 200;

/// A request of a carrier.
pub(super) struct Request {
    peer: SocketAddr,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    /// Fields of its form, or of its JSON object; `None` where it has neither.
    fn form(&self) -> Option<Vec<(String, String)>> {
        if self.method != Method::POST || !self.is("application/x-www-form-urlencoded") {
            return None;
        }
        Some(pairs(&self.body))
    }

    fn is(&self, content_type: &str) -> bool {
        let named = self.headers.get(header::CONTENT_TYPE);
        named
            .and_then(|value| value.to_str().ok())
            .is_some_and(|text| text.starts_with(content_type))
    }

    /// What the carrier says of the call, wherever it puts it.
    fn fields(&self, form: Option<&[(String, String)]>) -> Vec<(String, String)> {
        let mut fields = form.map(<[_]>::to_vec).unwrap_or_default();
        if form.is_none() && self.is("application/json") {
            let value: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
            let object = value.as_object().into_iter().flatten();
            fields.extend(
                object
                    .take(FIELDS_MAX)
                    .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))),
            );
        }
        fields.extend(pairs(self.uri.query().unwrap_or_default().as_bytes()));
        fields
    }
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text)
        .take(FIELDS_MAX)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

pub(super) async fn incoming_twilio(
    State(voice): State<Arc<Voice>>,
    Extension(peer): Extension<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request {
        peer,
        method,
        uri,
        headers,
        body,
    };
    answer(&voice, Dialect::Twilio, None, &request).await
}

pub(super) async fn incoming(
    State(voice): State<Arc<Voice>>,
    Path(carrier): Path<String>,
    Extension(peer): Extension<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request {
        peer,
        method,
        uri,
        headers,
        body,
    };
    match Dialect::from_name(&carrier) {
        Some(dialect) => answer(&voice, dialect, None, &request).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

pub(super) async fn incoming_on_line(
    State(voice): State<Arc<Voice>>,
    Path((carrier, line)): Path<(String, String)>,
    Extension(peer): Extension<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request {
        peer,
        method,
        uri,
        headers,
        body,
    };
    match Dialect::from_name(&carrier) {
        Some(dialect) => answer(&voice, dialect, Some(&line), &request).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Voice {
    /// Checks who asks; the fields of the request with the tenant whose account signed it, or the refusal.
    async fn check(
        &self,
        dialect: Dialect,
        request: &Request,
    ) -> Result<(Vec<(String, String)>, Option<Owner>), Box<Response>> {
        if !self.rate.take(Instant::now()) {
            return Err(Box::new(StatusCode::TOO_MANY_REQUESTS.into_response()));
        }
        if !matches!(request.method, Method::GET | Method::POST) {
            return Err(Box::new(StatusCode::METHOD_NOT_ALLOWED.into_response()));
        }
        let host = request.headers.get(header::HOST);
        let origin = self.origin(host.and_then(|host| host.to_str().ok()));
        let path = request
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let form = request.form();
        let asked = Asked {
            method: &request.method,
            url: &format!("{origin}{path}"),
            headers: &request.headers,
            form: form.as_deref(),
            body: &request.body,
        };
        let fields = request.fields(form.as_deref());
        let named = fields.iter().find(|(name, _)| name == "AccountSid");
        let account = named.map_or("", |(_, sid)| sid);
        match self.believe(dialect, request.peer, &asked, account).await {
            Ok(owner) => Ok((fields, owner)),
            Err(why) => {
                let message = Message::new("log_webhook_refused")
                    .with("carrier", dialect.name())
                    .with("source", request.peer.ip().to_string());
                crate::terminal::log(&message.with("cause", why.label()));
                Err(Box::new(StatusCode::FORBIDDEN.into_response()))
            }
        }
    }
}

fn document((content_type, text): (&'static str, String)) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

async fn answer(
    voice: &Voice,
    dialect: Dialect,
    line: Option<&str>,
    request: &Request,
) -> Response {
    let (fields, owner) = match voice.check(dialect, request).await {
        Ok(checked) => checked,
        Err(refusal) => return *refusal,
    };
    let call = Announced::read(dialect, &fields);
    if call.call.is_empty() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let called = if call.outbound { &call.from } else { &call.to };
    let tenant = owner.as_ref().map(|owner| &owner.tenant);
    let Some(known) = voice.engine.stream_line(dialect, tenant, line, called) else {
        return document(carriers::refuse(dialect, false));
    };
    if !voice.engine.readiness().ready || !known.open {
        return document(carriers::refuse(dialect, true));
    }
    let now = Instant::now();
    let grant = Grant {
        dialect,
        call: Some(call.call.clone()),
        line: known.name,
        from: call.from.clone(),
        to: call.to.clone(),
        inbound: !call.outbound,
        owner: owner.clone(),
    };
    let token = voice.tokens.issue(now, now + TOKEN_FOR, grant);
    let host = request.headers.get(header::HOST);
    let origin = voice.origin(host.and_then(|host| host.to_str().ok()));
    let path = owner.map_or_else(
        || carriers::stream_path(dialect),
        |owner| owner.stream_path(),
    );
    document(carriers::connect(dialect, (&origin, &path), &call, &token))
}

/// A carrier tells what became of a call or of its stream: a line of the log.
pub(super) async fn status(
    State(voice): State<Arc<Voice>>,
    Path(carrier): Path<String>,
    Extension(peer): Extension<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request {
        peer,
        method,
        uri,
        headers,
        body,
    };
    let Some(dialect) = Dialect::from_name(&carrier) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (fields, owner) = match voice.check(dialect, &request).await {
        Ok(checked) => checked,
        Err(refusal) => return *refusal,
    };
    let text = |names: &[&str]| -> String {
        names
            .iter()
            .find_map(|name| fields.iter().find(|(known, _)| known == name))
            .map(|(_, value)| value.chars().filter(|c| !c.is_control()).take(80).collect())
            .unwrap_or_default()
    };
    if dialect == Dialect::Twilio {
        let tenant = owner.as_ref().map(|owner| &owner.tenant);
        let status = text(&["CallStatus"]);
        voice.placing.status(tenant, &text(&["call"]), &status);
    }
    let state = [
        text(&["StreamEvent", "CallStatus", "Event", "status"]),
        text(&["StreamError", "ErrorCode"]),
    ]
    .join(" ");
    let message = Message::new("log_carrier_status")
        .with("carrier", dialect.name())
        .with("call", text(&["CallSid", "CallUUID", "uuid"]))
        .with("state", state.trim());
    crate::terminal::log(&message);
    StatusCode::NO_CONTENT.into_response()
}
