//! Reading what was sent: size, depth, characters that no database stores, and the typed values of handlers.

use crate::limits::{BODY_BYTES_MAX, BODY_WITHIN, JSON_DEPTH_MAX, TEXT_CHARACTERS_MAX};
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;

/// Reads a whole body within its bounds.
pub(crate) async fn read(body: Body) -> Result<Bytes, Problem> {
    let collected = tokio::time::timeout(BODY_WITHIN, axum::body::to_bytes(body, BODY_BYTES_MAX))
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "api_body_slow"))?;
    collected.map_err(|error| {
        if too_large(&error) {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "api_body_too_large")
        } else {
            Problem::bad_request("body")
        }
    })
}

fn too_large(error: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = source {
        if cause.to_string().contains("length limit") {
            return true;
        }
        source = cause.source();
    }
    false
}

/// Refuses a body that is not JSON, is nested too deeply, or carries a NUL character (PostgreSQL stores none).
pub(crate) fn check(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    if body.is_empty() {
        return Ok(());
    }
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .is_some_and(|kind| {
            kind.eq_ignore_ascii_case("application/json")
                || kind.eq_ignore_ascii_case("application/merge-patch+json")
        });
    if !json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "api_media_type",
        ));
    }
    if depth(body) > JSON_DEPTH_MAX {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "api_body_too_deep")
            .with("depth", i64::try_from(JSON_DEPTH_MAX).unwrap_or(i64::MAX)));
    }
    if has_nul_escape(body) {
        return Err(Problem::bad_request("\\u0000"));
    }
    Ok(())
}

/// Deepest nesting of brackets outside of strings.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in body {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// `\u0000` with an odd number of backslashes before the `u`.
fn has_nul_escape(body: &[u8]) -> bool {
    body.windows(5).enumerate().any(|(at, window)| {
        window == b"u0000"
            && body[..at]
                .iter()
                .rev()
                .take_while(|byte| **byte == b'\\')
                .count()
                % 2
                == 1
    })
}

/// A JSON body as a type.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // The guard has read and checked the body: these are its bytes.
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|_| Problem::bad_request("body"))?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Json).map_err(|error| {
            if error.is_data() {
                Problem::field("", "type", error.to_string())
            } else {
                Problem::bad_request(error.to_string())
            }
        })
    }
}

/// The query string as a type; a parameter that the route does not know is refused.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

/// The parameters of the path. What cannot be an id is answered as an unknown one.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.path().len() > 8 * TEXT_CHARACTERS_MAX {
            return Err(Problem::unknown());
        }
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|path| Self(path.0))
            .map_err(|_| Problem::unknown())
    }
}

/// Whether the path or the query carries a NUL.
pub(crate) fn has_nul(uri: &http::Uri) -> bool {
    uri.path_and_query()
        .is_some_and(|text| text.as_str().contains("%00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        assert_eq!(depth(br#"{"a":[{"b":"[[[[{{{{"}]}"#), 3);
        assert_eq!(depth(br#""\"[[""#), 0);
        assert_eq!(depth("[".repeat(100_000).as_bytes()), 100_000);
    }

    #[test]
    fn a_nul_is_found_and_an_escaped_backslash_is_not_one() {
        assert!(has_nul_escape(br#"{"a":"x\u0000"}"#));
        assert!(!has_nul_escape(br#"{"a":"x\\u0000"}"#));
        assert!(has_nul_escape(br#"{"a":"x\\\u0000"}"#));
        assert!(!has_nul_escape(br#"{"a":"menu0000"}"#));
    }

    #[test]
    fn other_media_types_are_refused() {
        let mut headers = HeaderMap::new();
        assert!(check(&headers, b"").is_ok());
        assert!(check(&headers, b"{}").is_err());
        headers.insert(
            header::CONTENT_TYPE,
            "application/json; charset=utf-8".parse().unwrap(),
        );
        assert!(check(&headers, b"{}").is_ok());
        let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
        assert_eq!(
            check(&headers, deep.as_bytes()).unwrap_err().code(),
            "api_body_too_deep"
        );
    }
}
