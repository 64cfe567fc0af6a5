//! Attempts, redirects and the reading of the body.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::{Reply, SendError};
use crate::courier::Inner;
use crate::guard::{self, Origin, Target};
use crate::limits::{ATTEMPTS_MAX, REDIRECTS_MAX, REQUEST_BODY_MAX, RETRY_AFTER_MAX, RETRY_PAUSE};
use crate::resolve::refusal_within;
use crate::secret::Secret;
use crate::sign::{HEADER_SIGNATURE, HEADER_TIMESTAMP, tool_signature};

/// A request as it is to be made.
pub(crate) struct Order<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a str,
    /// What goes to the origin of `url` and to no other.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The agent's list of hosts; empty: any.
    pub(crate) hosts: &'a [String],
    pub(crate) signing_secret: Option<&'a Secret>,
    /// The whole exchange may be made again: it does nothing, or the receiver knows it by its key.
    pub(crate) repeatable: bool,
    /// From now to the last byte, attempts and pauses included.
    pub(crate) within: Duration,
    /// Largest reply that is read, in bytes.
    pub(crate) reply_max: usize,
}

/// Makes the exchange.
pub(crate) async fn exchange(inner: &Inner, order: &Order<'_>) -> Result<Reply, SendError> {
    if order.body.len() > REQUEST_BODY_MAX {
        return Err(SendError::Invalid("the body is too large"));
    }
    let deadline = Instant::now() + order.within;
    let result = match tokio::time::timeout_at(deadline, attempts(inner, order, deadline)).await {
        Ok(result) => result,
        Err(_) => Err(SendError::TimedOut),
    };
    inner.metrics.exchange(&result);
    result
}

async fn attempts(inner: &Inner, order: &Order<'_>, deadline: Instant) -> Result<Reply, SendError> {
    let mut attempt = 1;
    loop {
        let result = {
            let _permit = inner.permits.acquire().await;
            follow(inner, order).await
        };
        let Some(pause) = pause_before_next(&result, order.repeatable, attempt) else {
            return result;
        };
        // A repetition that cannot be finished would only turn a clear failure into a late one.
        if Instant::now() + pause * 2 >= deadline {
            return result;
        }
        inner.metrics.repeated();
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

/// How long to wait before another attempt; none: this result stands.
fn pause_before_next(
    result: &Result<Reply, SendError>,
    repeatable: bool,
    attempt: u32,
) -> Option<Duration> {
    if attempt >= ATTEMPTS_MAX {
        return None;
    }
    let named = match result {
        // Nothing was sent: any request may be tried again.
        Err(SendError::Unreachable) => None,
        Err(SendError::Broken) if repeatable => None,
        Ok(reply) if repeatable && matches!(reply.status, 429 | 502 | 503 | 504) => {
            reply.retry_after
        }
        Ok(_)
        | Err(
            SendError::Refused(_)
            | SendError::Invalid(_)
            | SendError::Tls
            | SendError::Broken
            | SendError::TooLarge
            | SendError::Encoded
            | SendError::Redirected
            | SendError::TimedOut,
        ) => return None,
    };
    match named {
        Some(pause) if pause > RETRY_AFTER_MAX => None,
        Some(pause) => Some(pause),
        None => Some(jittered(RETRY_PAUSE * 2_u32.pow(attempt - 1))),
    }
}

/// Between half of a pause and all of it.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
    let share = f64::from(u32::try_from(random & 0xffff).unwrap_or(0)) / 65_535.0;
    pause.mul_f64(0.5 + share / 2.0)
}

/// One attempt: the request, and the redirects of a GET or HEAD.
async fn follow(inner: &Inner, order: &Order<'_>) -> Result<Reply, SendError> {
    let mut target = guard::check_url(order.url, &inner.allow, order.hosts)?;
    let home = Origin::of(&target.url);
    let mut redirects = 0;
    loop {
        let response = send(inner, order, &target, Origin::of(&target.url) == home).await?;
        if !is_redirect(response.status()) {
            return read(response, order.reply_max).await;
        }
        let may_follow = matches!(order.method, Method::GET | Method::HEAD);
        if !may_follow || redirects == REDIRECTS_MAX {
            return Err(SendError::Redirected);
        }
        redirects += 1;
        let next = location(&response, &target.url).ok_or(SendError::Redirected)?;
        guard::check_redirect(&target.url, &next)?;
        target = guard::check_url(next.as_str(), &inner.allow, order.hosts)?;
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn location(response: &reqwest::Response, from: &Url) -> Option<Url> {
    let value = response.headers().get(header::LOCATION)?;
    from.join(value.to_str().ok()?).ok()
}

/// Sends to one target. What the tool's author wrote for its own origin (`at_home`), and our signature, go nowhere else.
async fn send(
    inner: &Inner,
    order: &Order<'_>,
    target: &Target,
    at_home: bool,
) -> Result<reqwest::Response, SendError> {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("application/json, text/*;q=0.8, */*;q=0.1"),
    );
    if at_home {
        for (name, value) in &order.headers {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(secret) = order.signing_secret {
            sign(&mut headers, secret, order, target);
        }
    }
    // `Url` to `http::Uri` cannot fail for what the guard let through; where it does, the client says so.
    let mut request = inner
        .clients
        .of(target)
        .request(order.method.clone(), target.url.clone())
        .headers(headers);
    if !order.body.is_empty() {
        request = request.body(order.body.clone());
    }
    request.send().await.map_err(|error| failure(&error))
}

fn sign(headers: &mut HeaderMap, secret: &Secret, order: &Order<'_>, target: &Target) {
    let now = jiff::Timestamp::now().as_second();
    let signed = tool_signature(secret, now, order.method.as_str(), &target.url, &order.body);
    for (name, value) in [
        (HEADER_TIMESTAMP, signed.timestamp),
        (HEADER_SIGNATURE, signed.signature),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Reads the body up to its bound.
async fn read(mut response: reqwest::Response, max: usize) -> Result<Reply, SendError> {
    let headers = response.headers();
    let encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|value| {
        !value.as_bytes().eq_ignore_ascii_case(b"identity") && !value.is_empty()
    });
    if encoded {
        return Err(SendError::Encoded);
    }
    let content_type = text_of(headers, header::CONTENT_TYPE).map(|value| {
        value
            .split(';')
            .next()
            .unwrap_or("")
            .trim()
            .to_ascii_lowercase()
    });
    let retry_after = text_of(headers, header::RETRY_AFTER)
        .and_then(|value| value.trim().parse::<u32>().ok())
        .map(|seconds| Duration::from_secs(seconds.into()));
    let date = text_of(headers, header::DATE).map(str::to_owned);
    let next_cursor = headers
        .get("x-next-cursor")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let status = response.status().as_u16();
    let bound = u64::try_from(max).unwrap_or(u64::MAX);
    if response
        .content_length()
        .is_some_and(|length| length > bound)
    {
        return Err(SendError::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| SendError::Broken)? {
        if body.len() + chunk.len() > max {
            return Err(SendError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply {
        status,
        content_type,
        retry_after,
        date,
        next_cursor,
        body: body.freeze(),
    })
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

pub(crate) fn failure(error: &reqwest::Error) -> SendError {
    if let Some(refusal) = refusal_within(error) {
        SendError::Refused(refusal)
    } else if error.is_builder() {
        SendError::Invalid("the request cannot be built")
    } else if is_tls(error) {
        SendError::Tls
    } else if error.is_connect() || error.is_dns() {
        SendError::Unreachable
    } else {
        SendError::Broken
    }
}

/// Whether the TLS library is somewhere in the cause of a failed connection.
fn is_tls(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<rustls::Error>() {
            return error.is_connect();
        }
        // An I/O error that wraps another hides it from `source`.
        source = inner
            .downcast_ref::<std::io::Error>()
            .and_then(|io| io.get_ref())
            .map(|cause| cause as &(dyn std::error::Error + 'static))
            .or_else(|| inner.source());
    }
    false
}
