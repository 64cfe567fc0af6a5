//! A tool's HTTP request, as the agent's template made it.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use agent::{HttpCall, ToolReply};
use serde_json::Value;

use super::{FetchError, Order, Reply, SendError, exchange};
use crate::courier::{Caller, Courier};
use crate::limits::{DEADLINE_MAX, REPLY_BODY_MAX, REQUEST_HEADERS_MAX, SESSION_BODY_MAX};
use crate::sign::{
    HEADER_AGENT, HEADER_CALL, HEADER_IDEMPOTENCY, HEADER_SIGNATURE, HEADER_TENANT,
    HEADER_TIMESTAMP,
};
use crate::traces::TRACEPARENT;

/// Headers that belong to the connection, or to us: a tool that names one is refused, since its author expects what does not
/// happen.
const NOT_A_TOOLS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "proxy-authorization",
    "proxy-connection",
    "accept-encoding",
    HEADER_TENANT,
    HEADER_AGENT,
    HEADER_CALL,
    HEADER_SIGNATURE,
    HEADER_TIMESTAMP,
];

impl Courier {
    /// Makes a tool's request. Every end of it is a reply that the agent can judge.
    pub async fn run(&self, call: &HttpCall, caller: &Caller) -> ToolReply {
        reply(self.send(call, caller, REPLY_BODY_MAX).await)
    }

    /// As [`Self::run`], for what is made for us rather than for the model and may be larger: session addresses.
    pub async fn fetch(&self, call: &HttpCall, caller: &Caller) -> ToolReply {
        reply(self.send(call, caller, SESSION_BODY_MAX).await)
    }

    /// Makes a request whose answer must be JSON with a 2xx.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch_json(&self, call: &HttpCall, caller: &Caller) -> Result<Value, FetchError> {
        let reply = self.send(call, caller, SESSION_BODY_MAX).await?;
        if !reply.is_success() {
            return Err(FetchError::Status(reply.status));
        }
        serde_json::from_slice(&reply.body).map_err(|_| FetchError::NotJson)
    }

    /// Makes a request, with the headers that say on whose behalf. `reply_max` is in bytes.
    ///
    /// # Errors
    /// Why there is no reply. A reply with an error status is a reply.
    pub async fn send(
        &self,
        call: &HttpCall,
        caller: &Caller,
        reply_max: usize,
    ) -> Result<Reply, SendError> {
        let method = match call.method {
            agent::Method::Get => Method::GET,
            agent::Method::Post => Method::POST,
            agent::Method::Put => Method::PUT,
            agent::Method::Patch => Method::PATCH,
            agent::Method::Delete => Method::DELETE,
        };
        let order = Order {
            headers: headers(call, caller)?,
            repeatable: method == Method::GET
                || (call.safe_to_retry && call.idempotency_key.is_some()),
            method,
            url: &call.url,
            body: call.body.clone().map(Bytes::from).unwrap_or_default(),
            hosts: &caller.hosts,
            signing_secret: caller.signing_secret.as_ref(),
            within: self.within(call.timeout_ms),
            reply_max,
        };
        exchange(&self.inner, &order).await
    }

    pub(crate) fn within(&self, timeout_ms: u32) -> Duration {
        match timeout_ms {
            0 => self.inner.deadline,
            named => Duration::from_millis(named.into()).min(DEADLINE_MAX),
        }
    }
}

fn reply(result: Result<Reply, SendError>) -> ToolReply {
    match result {
        Ok(reply) => ToolReply::Http {
            status: reply.status,
            body: reply.text(),
        },
        Err(SendError::TimedOut) => ToolReply::TimedOut,
        Err(error) => ToolReply::Failed { kind: error.kind() },
    }
}

fn headers(call: &HttpCall, caller: &Caller) -> Result<HeaderMap, SendError> {
    if call.headers.len() > REQUEST_HEADERS_MAX {
        return Err(SendError::Invalid("too many headers"));
    }
    let mut headers = HeaderMap::new();
    if call.body.is_some() {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
    }
    for (name, value) in &call.headers {
        let name = HeaderName::try_from(name.as_str())
            .map_err(|_| SendError::Invalid("a header's name"))?;
        if NOT_A_TOOLS.contains(&name.as_str()) {
            return Err(SendError::Invalid("a header that is not the tool's to set"));
        }
        headers.insert(name, value_of(value)?);
    }
    let ours = [
        (HEADER_IDEMPOTENCY, call.idempotency_key.as_deref()),
        (
            HEADER_TENANT,
            Some(caller.tenant.as_str()).filter(|tenant| !tenant.is_empty()),
        ),
        (HEADER_AGENT, caller.agent.as_deref()),
        (HEADER_CALL, caller.call.as_deref()),
        (TRACEPARENT, caller.traceparent.as_deref()),
    ];
    for (name, value) in ours {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value_of(value)?);
        }
    }
    Ok(headers)
}

/// A header's value. It may be a credential: it is marked so that nothing prints it.
fn value_of(text: &str) -> Result<HeaderValue, SendError> {
    let mut value =
        HeaderValue::try_from(text).map_err(|_| SendError::Invalid("a header's value"))?;
    value.set_sensitive(true);
    Ok(value)
}
