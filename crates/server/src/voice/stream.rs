//! The streams: a WebSocket handshake, the first message with its token, then the engine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use catalog::Message;
use engine::{CarrierControl, StreamCall, StreamSocket};
use wire::twilio::{Dialect, Start};

use super::Voice;
use super::accounts::Owner;
use super::carriers::to_websocket;
use super::tokens::Grant;
use super::verify::{Asked, Disbelief, equal};

/// How long the first message of a stream is awaited.
const START_WITHIN: Duration = Duration::from_secs(10);
/// Most characters of what a stream says that are kept.
const TEXT_MAX: usize = 256;

/// What a handshake proved.
struct Arrival {
    dialect: Dialect,
    peer: SocketAddr,
    /// Twilio's signature was right, or the dialect has none.
    signed: bool,
    /// The tenant whose account signed it.
    owner: Option<Owner>,
    /// Token of the address or of the `Authorization` header.
    token: Option<String>,
}

pub(super) async fn twilio(
    State(voice): State<Arc<Voice>>,
    Extension(peer): Extension<SocketAddr>,
    request: Request,
) -> Response {
    open(voice, Dialect::Twilio, (peer, ""), request).await
}

/// A stream of a call that came by a tenant's own account.
pub(super) async fn twilio_of(
    State(voice): State<Arc<Voice>>,
    Path(account): Path<String>,
    Extension(peer): Extension<SocketAddr>,
    request: Request,
) -> Response {
    open(voice, Dialect::Twilio, (peer, &account), request).await
}

pub(super) async fn other(
    State(voice): State<Arc<Voice>>,
    Path(carrier): Path<String>,
    Extension(peer): Extension<SocketAddr>,
    request: Request,
) -> Response {
    match Dialect::from_name(&carrier) {
        Some(dialect) => open(voice, dialect, (peer, ""), request).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

async fn open(
    voice: Arc<Voice>,
    dialect: Dialect,
    (peer, account): (SocketAddr, &str),
    mut request: Request,
) -> Response {
    if !platform::is_websocket(request.headers()) {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    }
    // What is asked costs a look into the database where it names an account.
    if !account.is_empty() && !voice.rate.take(Instant::now()) {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    let head = (
        request.method().clone(),
        request.uri().clone(),
        request.headers().clone(),
    );
    let arrival = match voice.arrival(dialect, (peer, account), &head).await {
        Ok(arrival) => arrival,
        Err(why) => {
            refused(dialect, peer, why.label());
            return StatusCode::FORBIDDEN.into_response();
        }
    };
    if account.is_empty() && !voice.rate.take(Instant::now()) {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    let Ok(permit) = Arc::clone(&voice.waiting).try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    platform::websocket(&mut request, move |io| async move {
        let mut socket = StreamSocket::new(io, dialect);
        let started = socket.started(START_WITHIN).await;
        drop(permit);
        match started {
            Ok(start) => voice.begin(socket, &arrival, start).await,
            Err(why) => {
                refused(dialect, peer, &why.to_string());
                socket.refuse().await;
            }
        }
    })
}

fn refused(dialect: Dialect, peer: SocketAddr, why: &str) {
    let message = Message::new("log_stream_refused")
        .with("carrier", dialect.name())
        .with("source", peer.ip().to_string())
        .with("cause", why);
    crate::terminal::log(&message);
}

impl Voice {
    /// What the handshake proves. A signature that is there must be right; one that is missing is made good by a bridge's token
    /// in the first message, or by where the bridge is, and by nothing else.
    async fn arrival(
        &self,
        dialect: Dialect,
        (peer, account): (SocketAddr, &str),
        (method, uri, headers): &(Method, Uri, HeaderMap),
    ) -> Result<Arrival, Disbelief> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let origin = self.origin(Some(text(headers, header::HOST)));
        let (signed, owner) = if dialect == Dialect::Twilio {
            let asked = Asked {
                method,
                url: &to_websocket(&format!("{origin}{path}")),
                headers,
                form: None,
                body: &[],
            };
            let bridges = !self.config.bridge_token.is_empty() || self.is_trusted_neighbour(peer);
            match self.twilio(&asked, account).await {
                Ok(owner) => (true, owner),
                Err(Disbelief::NotSigned) if bridges => (false, None),
                Err(why) => return Err(why),
            }
        } else {
            (true, None)
        };
        let query = uri.query().unwrap_or_default();
        let in_query = url::form_urlencoded::parse(query.as_bytes())
            .find_map(|(name, value)| (name == "token").then(|| value.into_owned()));
        let bearer = text(headers, header::AUTHORIZATION).strip_prefix("Bearer ");
        Ok(Arrival {
            dialect,
            peer,
            signed,
            owner,
            token: in_query.or_else(|| bearer.map(str::to_owned)),
        })
    }

    async fn begin(&self, socket: StreamSocket, arrival: &Arrival, start: Start) {
        let said = start.parameters.get("token").map(String::as_str);
        let token = said.or(arrival.token.as_deref()).unwrap_or_default();
        let Some(call) = self.admit(arrival, &start) else {
            refused(arrival.dialect, arrival.peer, "no valid token");
            socket.refuse().await;
            return;
        };
        if let Some(promise) = self.placing.answered(token) {
            if let Some(control) = call.control {
                promise.rings_as(control);
            }
            if let Err(socket) = promise.answered(socket) {
                socket.refuse().await;
            }
            return;
        }
        if let Err(error) = self.engine.begin_stream(socket, call).await {
            refused(arrival.dialect, arrival.peer, &error.to_string());
        }
    }

    /// The call that a stream may become, by its token.
    fn admit(&self, arrival: &Arrival, start: &Start) -> Option<StreamCall> {
        let said = start.parameters.get("token").map(String::as_str);
        let token = said.or(arrival.token.as_deref()).unwrap_or_default();
        let granted = self.tokens.take(Instant::now(), token, arrival.dialect);
        let is_its = |grant: &Grant| arrival.signed && grant.owner == arrival.owner;
        let granted = granted.filter(|grant| is_its(grant) || self.trusts(arrival, token));
        if let Some(grant) = granted {
            let named = [
                Some(start.call_id.as_str()),
                // Where the stream has another name for the call than the webhook.
                match arrival.dialect {
                    Dialect::Telnyx | Dialect::Vonage => {
                        start.parameters.get("callSid").map(String::as_str)
                    }
                    Dialect::Twilio | Dialect::Plivo | Dialect::Exotel | Dialect::Browser => None,
                },
            ];
            let bound = grant.call.as_deref();
            if bound.is_some_and(|call| !named.contains(&Some(call))) {
                return None;
            }
            return Some(StreamCall {
                line: grant.line,
                from: grant.from,
                to: grant.to,
                inbound: grant.inbound,
                control: self.control(arrival.dialect, grant.owner.as_ref(), start),
                bridge: false,
                carrier_call: start.call_id.clone(),
                id: None,
            });
        }
        if self.trusts(arrival, token) {
            return self.bridge(arrival, start);
        }
        None
    }

    /// A bridge that signs nothing: it says our token, or it is on this machine where that is enough.
    fn trusts(&self, arrival: &Arrival, token: &str) -> bool {
        let known = &self.config.bridge_token;
        let in_header = arrival.token.as_deref().unwrap_or_default();
        equal(known, token) || equal(known, in_header) || self.is_trusted_neighbour(arrival.peer)
    }

    /// The call of such a bridge: what it says about it is believed.
    fn bridge(&self, arrival: &Arrival, start: &Start) -> Option<StreamCall> {
        let said = |names: &[&str], otherwise: &str| -> String {
            names
                .iter()
                .find_map(|name| start.parameters.get(*name))
                .map_or(otherwise, String::as_str)
                .chars()
                .take(TEXT_MAX)
                .collect()
        };
        let outbound = start
            .parameters
            .get("direction")
            .is_some_and(|direction| direction.starts_with("outbound"));
        let from = said(&["callerPhone", "from"], &start.from);
        let to = said(&["to", "calledNumber"], &start.to);
        let line = start.parameters.get("line").map(String::as_str);
        let called = if outbound { &from } else { &to };
        let known = self
            .engine
            .stream_line(arrival.dialect, None, line, called)
            .or_else(|| self.engine.stream_line(arrival.dialect, None, None, ""))?;
        Some(StreamCall {
            line: known.name,
            from,
            to,
            inbound: !outbound,
            control: None,
            bridge: true,
            carrier_call: start.call_id.clone(),
            id: None,
        })
    }

    /// How the carrier of a stream is asked for things: in the tenant's own account, or in the one that is configured.
    fn control(
        &self,
        dialect: Dialect,
        owner: Option<&Owner>,
        start: &Start,
    ) -> Option<CarrierControl> {
        let account = match owner {
            Some(owner) => owner.account(&self.config.twilio.api_url),
            None => self.account(dialect)?,
        };
        (!start.call_id.is_empty()).then(|| CarrierControl {
            courier: self.courier.clone(),
            account,
            call: start.call_id.clone(),
        })
    }
}
