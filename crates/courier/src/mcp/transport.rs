//! The SDK's transport over our guarded clients: bounded, signed, without redirects, and without a standing stream.
//!
//! The SDK's own client reads up to 16 MiB; this one reads what the model may see. It does not open the optional stream for
//! messages that the server sends on its own account: nothing of ours reacts to them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use serde::Deserialize;
use sse_stream::{Sse, SseStream};

use super::McpServer;
use crate::courier::{Caller, Courier, Inner};
use crate::guard;
use crate::http::{SendError, connection_failure};
use crate::limits::{MCP_MESSAGE_MAX, REQUEST_BODY_MAX, REQUEST_HEADERS_MAX};
use crate::secret::Secret;
use crate::sign::{
    HEADER_AGENT, HEADER_SIGNATURE, HEADER_TENANT, HEADER_TIMESTAMP, tool_signature,
};
use crate::traces::TRACEPARENT;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// Bytes of one stream of events: several messages, of which one may be the largest.
const STREAM_MAX: usize = 4 * MCP_MESSAGE_MAX;

type Failed = StreamableHttpError<SendError>;

#[derive(Clone)]
pub(super) struct GuardedTransport {
    inner: Arc<Inner>,
    headers: HeaderMap,
    hosts: Vec<String>,
    secret: Option<Secret>,
    /// Set when a stream of events passed its bound: the SDK only sees a stream that ended.
    overflowed: Arc<AtomicBool>,
}

impl GuardedTransport {
    pub(super) fn new(
        courier: &Courier,
        server: &McpServer,
        caller: &Caller,
    ) -> Result<Self, SendError> {
        if server.headers.len() > REQUEST_HEADERS_MAX {
            return Err(SendError::Invalid("too many headers"));
        }
        let ours = [
            (
                HEADER_TENANT,
                Some(caller.tenant.as_str()).filter(|tenant| !tenant.is_empty()),
            ),
            (HEADER_AGENT, caller.agent.as_deref()),
        ];
        let all = server
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(
                ours.into_iter()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            let name =
                HeaderName::try_from(name).map_err(|_| SendError::Invalid("a header's name"))?;
            if matches!(
                name,
                header::HOST
                    | header::CONTENT_LENGTH
                    | header::TRANSFER_ENCODING
                    | header::CONNECTION
            ) {
                return Err(SendError::Invalid("a header that is not the tool's to set"));
            }
            let mut value =
                HeaderValue::try_from(value).map_err(|_| SendError::Invalid("a header's value"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self {
            inner: Arc::clone(&courier.inner),
            headers,
            hosts: caller.hosts.clone(),
            secret: caller.signing_secret.clone(),
            overflowed: Arc::default(),
        })
    }

    /// The mark of an overflow, for the one who calls.
    pub(super) fn overflowed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.overflowed)
    }

    async fn send(
        &self,
        method: Method,
        uri: &str,
        session: Option<&str>,
        further: HashMap<HeaderName, HeaderValue>,
        body: Vec<u8>,
    ) -> Result<reqwest::Response, SendError> {
        let target = guard::check_url(uri, &self.inner.allow, &self.hosts)?;
        let mut headers = self.headers.clone();
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        for (name, value) in further {
            headers.insert(name, value);
        }
        if let Some(session) = session {
            let session =
                HeaderValue::try_from(session).map_err(|_| SendError::Invalid("a session id"))?;
            headers.insert(SESSION_ID, session);
        }
        if let Some(secret) = &self.secret {
            let now = jiff::Timestamp::now().as_second();
            let signed = tool_signature(secret, now, method.as_str(), &target.url, &body);
            for (name, value) in [
                (HEADER_TIMESTAMP, signed.timestamp),
                (HEADER_SIGNATURE, signed.signature),
            ] {
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
        }
        let mut request = self
            .inner
            .clients
            .of(&target)
            .request(method, target.url.clone())
            .headers(headers);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, JSON).body(body);
        }
        let response = request
            .send()
            .await
            .map_err(|error| connection_failure(&error))?;
        if response.status().is_redirection() {
            return Err(SendError::Redirected);
        }
        if response.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(SendError::Encoded);
        }
        Ok(response)
    }
}

impl StreamableHttpClient for GuardedTransport {
    type Error = SendError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let body = serde_json::to_vec(&message)?;
        if body.len() > REQUEST_BODY_MAX {
            return Err(StreamableHttpError::Client(SendError::Invalid(
                "the body is too large",
            )));
        }
        let mut further = custom_headers;
        further.extend(traceparent(&body));
        let response = self
            .send(Method::POST, &uri, session_id.as_deref(), further, body)
            .await
            .map_err(StreamableHttpError::Client)?;
        let status = response.status();
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == StatusCode::NOT_FOUND && session_id.is_some() {
            return Err(StreamableHttpError::SessionExpired);
        }
        let expects_answer = matches!(message, ClientJsonRpcMessage::Request(_));
        answer(response, expects_answer, &self.overflowed).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failed> {
        self.send(
            Method::DELETE,
            &uri,
            Some(&session_id),
            custom_headers,
            Vec::new(),
        )
        .await
        .map(|_| ())
        .map_err(StreamableHttpError::Client)
    }

    async fn get_stream(
        &self,
        _uri: Arc<str>,
        _session_id: Option<Arc<str>>,
        _last_event_id: Option<String>,
        _auth_header: Option<String>,
        _custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failed> {
        Err(StreamableHttpError::ServerDoesNotSupportSse)
    }
}

/// The trace that a message says it belongs to, as the header of its request: what stands between us and the server reads that one.
fn traceparent(body: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    #[derive(Deserialize)]
    struct Sent<'a> {
        #[serde(borrow)]
        params: Option<Params<'a>>,
    }
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, rename = "_meta")]
        meta: Option<Meta<'a>>,
    }
    #[derive(Deserialize)]
    struct Meta<'a> {
        #[serde(borrow)]
        traceparent: Option<Cow<'a, str>>,
    }
    let sent: Sent<'_> = serde_json::from_slice(body).ok()?;
    let value = HeaderValue::try_from(&*sent.params?.meta?.traceparent?).ok()?;
    Some((HeaderName::from_static(TRACEPARENT), value))
}

/// Reads the answer to a POST: one JSON message, or a stream of events.
async fn answer(
    response: reqwest::Response,
    expects_answer: bool,
    overflowed: &Arc<AtomicBool>,
) -> Result<StreamableHttpPostResponse, Failed> {
    let status = response.status();
    let session = response
        .headers()
        .get(SESSION_ID)
        .and_then(|value| value.to_str().ok())
        .map(ToOwned::to_owned);
    let content_type = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .to_ascii_lowercase();
    if status.is_success() && content_type.starts_with(EVENTS) {
        return Ok(StreamableHttpPostResponse::Sse(
            bounded_events(response, Arc::clone(overflowed)),
            session,
        ));
    }
    let body = bounded_body(response)
        .await
        .map_err(StreamableHttpError::Client)?;
    match serde_json::from_slice::<ServerJsonRpcMessage>(&body) {
        Ok(message) if content_type.starts_with(JSON) => {
            let refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            if status.is_success()
                || (matches!(message, ServerJsonRpcMessage::Error(_)) && !refused)
            {
                return Ok(StreamableHttpPostResponse::Json(message, session));
            }
            Err(unexpected(status))
        }
        Ok(_) | Err(_) if status.is_success() && !expects_answer => {
            Ok(StreamableHttpPostResponse::Accepted)
        }
        Ok(_) | Err(_) => Err(unexpected(status)),
    }
}

fn unexpected(status: StatusCode) -> Failed {
    StreamableHttpError::UnexpectedServerResponse(Cow::Owned(format!("HTTP {status}")))
}

async fn bounded_body(mut response: reqwest::Response) -> Result<Bytes, SendError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| SendError::Broken)? {
        if body.len() + chunk.len() > MCP_MESSAGE_MAX {
            return Err(SendError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Events of a stream, which ends with an error at the bound.
fn bounded_events(
    response: reqwest::Response,
    overflowed: Arc<AtomicBool>,
) -> BoxStream<'static, Result<Sse, SseError>> {
    let mut seen = 0_usize;
    let bytes = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|_| SendError::Broken)?;
        seen = seen.saturating_add(chunk.len());
        if seen > STREAM_MAX {
            overflowed.store(true, Ordering::Relaxed);
            Err(SendError::TooLarge)
        } else {
            Ok(chunk)
        }
    });
    SseStream::from_bytes_stream(bytes).boxed()
}
