//! The web pages: the files of `ui/dist`, in the binary (in a debug build on the disk), under `/admin/`.
//!
//! They are served on the platform's address and on the back office's. On both they find the platform API under `/platform` and the
//! back office's under `/restaurant`: one origin, one cookie.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use catalog::{Language, Message};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

/// Where the pages find the platform API, on each address.
pub(crate) const PLATFORM: &str = "/platform";
/// Where they find the back office's.
pub(crate) const BACK_OFFICE: &str = "/restaurant";
/// The page of whoever makes the first administrator; its token follows `#`, which no browser sends.
pub(crate) const SET_UP: &str = "/admin/setup";

/// The files by their paths, in order. Empty in a debug build, and in one that was made without them.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));
#[cfg(debug_assertions)]
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ui/dist");

const INDEX: &str = "index.html";
/// Files under it have a hash of their content in their names.
const HASHED: &str = "assets/";
/// What the page has in the places of its nonce.
const NONCE: &str = "__NONCE__";
/// A year, the longest that caches keep anything (RFC 9111 names no bound).
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Copies of a file that the build compressed, best first: name of the encoding, ending.
const ENCODINGS: &[(&str, &str)] = &[("br", ".br"), ("gzip", ".gz")];

/// A file of the pages.
fn find(path: &str) -> Option<Cow<'static, [u8]>> {
    let is_plain = !path
        .split('/')
        .any(|part| part.is_empty() || part.starts_with('.'));
    if !is_plain || path.contains('\\') {
        return None;
    }
    #[cfg(debug_assertions)]
    if let Ok(bytes) = std::fs::read(std::path::Path::new(FOLDER).join(path)) {
        return Some(Cow::Owned(bytes));
    }
    let found = FILES.binary_search_by(|(name, _)| (*name).cmp(path)).ok()?;
    FILES.get(found).map(|(_, bytes)| Cow::Borrowed(*bytes))
}

/// The routes of the pages.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/admin", get(|| async { Redirect::permanent("/admin/") }))
        .route("/admin/", get(|| async { index() }))
        .route("/admin/{*path}", get(file))
}

/// A router that is known later than its address: until then it answers 503.
#[derive(Clone, Default)]
pub(crate) struct Late(Arc<OnceLock<Router>>);

impl Late {
    /// From now on it answers.
    pub(crate) fn fill(&self, router: Router) {
        // A second one would be a mistake of ours; the first stays.
        let _ = self.0.set(router);
    }

    /// What passes requests on to it: for the back office's address.
    #[cfg_attr(
        not(feature = "restaurant"),
        expect(dead_code, reason = "nobody asks for it")
    )]
    pub(crate) fn router(&self) -> Router {
        let late = self.clone();
        Router::new().fallback(move |request: Request| {
            let late = late.clone();
            async move {
                let response: Result<Response, Infallible> = match late.0.get() {
                    Some(router) => router.clone().oneshot(request).await,
                    None => Ok(StatusCode::SERVICE_UNAVAILABLE.into_response()),
                };
                response
            }
        })
    }
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    std::future::ready(of(&path, &headers)).await
}

fn of(path: &str, headers: &HeaderMap) -> Response {
    match find(path).filter(|_| path != INDEX) {
        Some(found) => asset(path, found, headers),
        // Whoever has an old page asks for scripts that are gone: no page must answer in their place.
        None if path.starts_with(HASHED) => secured(StatusCode::NOT_FOUND.into_response()),
        // The pages' own addresses: the router in the browser knows them.
        None => index(),
    }
}

/// The page that loads everything else, with a nonce of its own for the styles that its scripts make.
fn index() -> Response {
    let Some(found) = find(INDEX) else {
        return missing();
    };
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let text = String::from_utf8_lossy(&found).replace(NONCE, &nonce);
    let mut response = secured(text.into_response());
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; font-src 'self'; \
         connect-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, html());
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store"),
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn html() -> HeaderValue {
    HeaderValue::from_static("text/html; charset=utf-8")
}

/// What a build without pages answers.
fn missing() -> Response {
    let message = Message::new("pages_missing");
    let paragraph = |language: Language| {
        let rendered = catalog::render(&message, language);
        let remedy = rendered.remedy.unwrap_or_default();
        let code = language.code();
        format!("<p lang=\"{code}\">{} {remedy}</p>", rendered.text)
    };
    let text = format!(
        "<!doctype html><html lang=\"fr\"><meta charset=\"utf-8\"><title>allo</title><h1>allo</h1>{}{}</html>",
        paragraph(Language::Fr),
        paragraph(Language::En),
    );
    let mut response = secured((StatusCode::SERVICE_UNAVAILABLE, text).into_response());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, html());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    response
}

fn asset(path: &str, found: Cow<'static, [u8]>, headers: &HeaderMap) -> Response {
    // A hashed name is a digest of the content already.
    let digest = if path.starts_with(HASHED) {
        Sha256::digest(path)
    } else {
        Sha256::digest(&found)
    };
    let tag: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let compressed = ENCODINGS.iter().find_map(|(encoding, ending)| {
        let there = takes(headers, encoding).then(|| find(&format!("{path}{ending}")));
        there.flatten().map(|data| (*encoding, data))
    });
    let (encoding, data): (_, Cow<'static, [u8]>) = match compressed {
        Some((encoding, data)) => (Some(encoding), data),
        None => (None, found),
    };
    // Each form of a file has a tag of its own (RFC 9110, 8.8.3.3).
    let tag = format!("\"{tag}{}\"", encoding.unwrap_or_default());
    let known = headers.get(header::IF_NONE_MATCH);
    let is_known = known
        .and_then(|known| known.to_str().ok())
        .is_some_and(|known| {
            let mut tags = known.split(',').map(str::trim);
            tags.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
        });
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(data).into_response(),
    };
    let kept = if path.starts_with(HASHED) {
        FOR_EVER
    } else {
        "no-cache"
    };
    let values = [
        (header::CONTENT_TYPE, Some(kind(path))),
        (header::CONTENT_ENCODING, encoding),
        (header::CACHE_CONTROL, Some(kept)),
        (header::VARY, Some("Accept-Encoding")),
    ];
    let into = response.headers_mut();
    for (name, value) in values {
        if let Some(value) = value {
            into.insert(name, HeaderValue::from_static(value));
        }
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        into.insert(header::ETAG, tag);
    }
    secured(response)
}

/// Whether the client takes this encoding.
fn takes(headers: &HeaderMap, encoding: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    let texts = accepted.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let is_named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let is_refused = parts
            .filter_map(|part| part.strip_prefix("q="))
            .any(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0));
        is_named && !is_refused
    })
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        Some("wav") => "audio/wav",
        Some("mp3") => "audio/mpeg",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// With what keeps other pages out.
fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=(self), payment=(), usb=()",
        ),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, text.parse().unwrap());
        headers
    }

    #[test]
    fn an_encoding_is_sent_to_whoever_takes_it() {
        for (accepted, expected) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, gzip;q=0.5", true),
            ("BR", true),
            ("gzip, br;q=0", false),
            ("gzip", false),
            ("brotli", false),
            ("", false),
        ] {
            assert_eq!(takes(&accepting(accepted), "br"), expected, "{accepted}");
        }
        assert!(!takes(&HeaderMap::new(), "br"));
    }

    #[tokio::test]
    async fn what_the_build_has_not_is_said_in_both_languages() {
        let response = missing();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let bytes = axum::body::to_bytes(response.into_body(), 10_000)
            .await
            .unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(
            text.contains("lang=\"fr\"") && text.contains("lang=\"en\""),
            "{text}"
        );
        assert_eq!(text.matches("make ui").count(), 2);
    }

    #[tokio::test]
    async fn a_hashed_file_that_is_gone_is_no_page_and_nothing_is_hidden() {
        let none = HeaderMap::new();
        assert_eq!(
            of("assets/old-1234.js", &none).status(),
            StatusCode::NOT_FOUND
        );
        for path in [
            "../../Cargo.toml",
            "assets/../../../Cargo.toml",
            ".gitignore",
            "a//b",
        ] {
            let response = of(path, &none);
            let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
                .await
                .unwrap();
            assert!(
                !String::from_utf8_lossy(&bytes).contains("[package]"),
                "{path}"
            );
        }
    }

    #[tokio::test]
    async fn a_late_router_answers_once_it_is_there() {
        let late = Late::default();
        let ask = async |late: &Late| {
            let router = Router::new().nest_service(PLATFORM, late.router());
            let request = Request::get("/platform/api/x").body(Body::empty()).unwrap();
            router.oneshot(request).await.unwrap().status()
        };
        assert_eq!(ask(&late).await, StatusCode::SERVICE_UNAVAILABLE);
        late.fill(Router::new().route("/api/x", get(|| async { "x" })));
        assert_eq!(ask(&late).await, StatusCode::OK);
    }
}
