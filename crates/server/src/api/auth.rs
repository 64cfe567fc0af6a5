//! The bearer token of the administration API.

use super::Shared;
use super::problem::Problem;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// A token that never prints itself and compares in constant time.
pub(crate) struct Token(Vec<u8>);

impl Token {
    pub(crate) fn new(token: &str) -> Self {
        Self(token.as_bytes().to_vec())
    }

    pub(crate) fn matches(&self, presented: &str) -> bool {
        self.0.ct_eq(presented.as_bytes()).into()
    }
}

/// Lets a request pass that carries the token, or any of this machine's programs where the setting says so. A page in a browser
/// of this machine is none: it comes by a name that is not ours, or says where it comes from.
pub(crate) async fn require_token_or_loopback(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    if !shared.agents_unauthenticated || request.headers().contains_key(AUTHORIZATION) {
        return require_token(State(shared), request, next).await;
    }
    if is_foreign(request.headers()) {
        return Problem::new(403, "api_foreign_page")
            .in_language_of(request.headers(), shared.language)
            .into_response();
    }
    next.run(request).await
}

/// A request that a page in a browser of this machine may have made: by a name that is not ours, or from elsewhere.
pub(crate) fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let own = |authority: &str| {
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            Some(_) | None => authority,
        };
        matches!(host, "localhost" | "127.0.0.1" | "[::1]")
    };
    let named = text(&HOST).is_some_and(own);
    let from_elsewhere = text(&ORIGIN)
        .is_some_and(|origin| !origin.split_once("://").is_some_and(|(_, host)| own(host)));
    let site = headers.get("sec-fetch-site");
    let cross = site.is_some_and(|site| site != "same-origin" && site != "none");
    !named || from_elsewhere || cross
}

/// What a request presents as its token.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Lets a request pass that carries the token.
pub(crate) async fn require_token(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let presented = bearer(request.headers());
    if presented.is_some_and(|presented| shared.token.matches(presented)) {
        return next.run(request).await;
    }
    Problem::new(401, "api_unauthorized")
        .in_language_of(request.headers(), shared.language)
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_site_is_told_apart_from_a_script() {
        let foreign = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    axum::http::HeaderValue::from_static(value),
                )
            });
            is_foreign(&headers.collect())
        };
        assert!(!foreign(&[("host", "localhost:8080")]));
        assert!(!foreign(&[("host", "127.0.0.1:8080")]));
        assert!(!foreign(&[("host", "[::1]:8080")]));
        assert!(!foreign(&[
            ("host", "localhost:8080"),
            ("origin", "http://localhost:3000")
        ]));
        assert!(foreign(&[]));
        assert!(foreign(&[("host", "evil.example:8080")]));
        assert!(foreign(&[
            ("host", "localhost:8080"),
            ("origin", "https://evil.example")
        ]));
        assert!(foreign(&[("host", "localhost:8080"), ("origin", "null")]));
        assert!(foreign(&[
            ("host", "localhost:8080"),
            ("sec-fetch-site", "cross-site")
        ]));
    }
}
