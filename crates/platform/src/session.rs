//! Sessions of people who use the pages: a cookie, and what proves that a request comes from our own page.
//!
//! The cookie alone would let a page of another site act in the name of whoever is logged in. `SameSite=Strict` keeps it from
//! other sites, but not from other ports of this machine; so a request by cookie is taken only where the browser says that
//! it comes from this origin (`Sec-Fetch-Site`, which no page can set, else `Origin` compared with `Host`), and an unsafe method
//! needs a token besides that only a page of this origin can have read.

use axum::http::{Extensions, HeaderMap, HeaderValue, Method, header};
use base64_simd::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::time::Duration;
use subtle::ConstantTimeEq as _;

use crate::credential::{SESSION_KIND, host_is_loopback};

/// The cookie where the connection is encrypted: browsers take this name only with `Secure`, without `Domain`, for `/`.
const SECURE_NAME: &str = "__Host-allo_session";
/// The cookie on a loopback name without TLS.
const PLAIN_NAME: &str = "allo_session";
/// The header of the token.
const CSRF_HEADER: &str = "x-csrf-token";
/// Cookies of a request that are looked at.
const COOKIES_MAX: usize = 64;

/// How a request came: set by whoever serves the router, an absent one means without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transport {
    /// Over TLS, to us or to a proxy that the settings name.
    pub tls: bool,
    /// A proxy that nobody named stands between.
    pub relayed: bool,
}

/// What a page sends beside its cookie. It never prints itself.
#[derive(Clone, PartialEq, Eq)]
pub struct CsrfToken(String);

impl CsrfToken {
    /// The token of a session: it follows from the session and says nothing of it.
    pub(crate) fn of(session: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"csrf\n");
        hash.update(session.as_bytes());
        Self(URL_SAFE_NO_PAD.encode_to_string(hash.finalize()))
    }

    /// Its text.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    fn is(&self, presented: &[u8]) -> bool {
        bool::from(self.0.as_bytes().ct_eq(presented))
    }
}

impl fmt::Debug for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfToken(***)")
    }
}

/// The request does not come from a page of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forged;

/// The session in the cookie of a request, and its token.
///
/// # Errors
/// There is one, and nothing proves that a page of ours sent it.
pub(crate) fn presented<'a>(
    method: &Method,
    headers: &'a HeaderMap,
) -> Result<Option<(&'a str, CsrfToken)>, Forged> {
    let Some(session) = cookie(headers) else {
        return Ok(None);
    };
    let token = CsrfToken::of(session);
    let is_safe = method.is_safe();
    if !is_own_page(is_safe, headers) {
        return Err(Forged);
    }
    let sent = headers.get(CSRF_HEADER).map(HeaderValue::as_bytes);
    if !is_safe && !sent.is_some_and(|sent| token.is(sent)) {
        return Err(Forged);
    }
    Ok(Some((session, token)))
}

/// The plain cookie counts only where the name in the address is one of this machine.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let named = |name: &str| {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .take(COOKIES_MAX)
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(known, value)| *known == name && value.starts_with(SESSION_KIND))
            .map(|(_, value)| value)
    };
    named(SECURE_NAME).or_else(|| named(PLAIN_NAME).filter(|_| host_is_loopback(headers)))
}

/// Whether a page of this origin asks.
fn is_own_page(is_safe: bool, headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().ok());
    match text(header::HeaderName::from_static("sec-fetch-site")) {
        Some(Some("same-origin")) => return true,
        // Typed, or from a bookmark.
        Some(Some("none")) => return is_safe,
        Some(_) => return false,
        None => {}
    }
    let upgrades = headers.contains_key(header::UPGRADE);
    match text(header::ORIGIN) {
        Some(Some(origin)) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            let host = text(header::HOST).flatten();
            authority.is_some_and(|authority| {
                host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
            })
        }
        Some(None) => false,
        // Browsers name the origin of each unsafe request and of each WebSocket.
        None => is_safe && !upgrades,
    }
}

fn transport(extensions: &Extensions) -> Transport {
    extensions.get::<Transport>().copied().unwrap_or_default()
}

/// The cookie of a new session; `None` where it would cross a network in clear.
pub(crate) fn set(
    extensions: &Extensions,
    headers: &HeaderMap,
    session: &str,
    lifetime: Duration,
) -> Option<HeaderValue> {
    let transport = transport(extensions);
    let seconds = lifetime.as_secs();
    let rest = format!("Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    let text = if transport.tls {
        format!("{SECURE_NAME}={session}; Secure; {rest}")
    } else if host_is_loopback(headers) && !transport.relayed {
        format!("{PLAIN_NAME}={session}; {rest}")
    } else {
        return None;
    };
    HeaderValue::from_str(&text).ok()
}

/// What takes both cookies away.
pub(crate) fn clear() -> [HeaderValue; 2] {
    [
        HeaderValue::from_static(
            "__Host-allo_session=; Secure; Path=/; HttpOnly; SameSite=Strict; Max-Age=0",
        ),
        HeaderValue::from_static("allo_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    value.parse().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn only_a_page_of_this_origin_acts_by_cookie() {
        let token = CsrfToken::of("ses_1");
        let host = ("host", "localhost:4000");
        let cookie = ("cookie", "a=b; allo_session=ses_1");
        let right = ("x-csrf-token", token.text());
        let (same, none) = (
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
        );
        let (site, cross) = (
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "cross-site"),
        );
        let (own, other) = (
            ("origin", "http://localhost:4000"),
            ("origin", "http://localhost:3001"),
        );
        let upgrade = ("upgrade", "websocket");
        for (method, more, allowed) in [
            (Method::GET, vec![], true),
            (Method::GET, vec![same], true),
            (Method::GET, vec![none], true),
            (Method::GET, vec![site], false),
            (Method::GET, vec![cross], false),
            (Method::GET, vec![own], true),
            (Method::GET, vec![other], false),
            (Method::GET, vec![upgrade], false),
            (Method::GET, vec![upgrade, own], true),
            (Method::GET, vec![upgrade, other], false),
            (Method::GET, vec![upgrade, same], true),
            (Method::POST, vec![right], false),
            (Method::POST, vec![same], false),
            (Method::POST, vec![own], false),
            (Method::POST, vec![right, same], true),
            (Method::POST, vec![right, own], true),
            // A proxy may have changed the name of the host; what the browser says of the site counts.
            (
                Method::POST,
                vec![right, same, ("origin", "https://x.example")],
                true,
            ),
            (Method::POST, vec![right, none], false),
            (Method::POST, vec![right, site, own], false),
            (Method::POST, vec![right, cross, own], false),
            (Method::POST, vec![right, other], false),
            (Method::POST, vec![right, ("origin", "null")], false),
            (Method::POST, vec![("x-csrf-token", "wrong"), same], false),
            (Method::DELETE, vec![("x-csrf-token", ""), same], false),
        ] {
            let mut pairs = vec![host, cookie];
            pairs.extend(more.clone());
            let headers = headers(&pairs);
            let found = presented(&method, &headers);
            assert_eq!(found.is_ok(), allowed, "{method} {more:?}");
            if allowed {
                assert_eq!(found.unwrap().unwrap().0, "ses_1");
            }
        }
    }

    #[test]
    fn the_plain_cookie_counts_under_a_name_of_this_machine_only() {
        let of = |host: &str, cookie: &str| {
            let headers = headers(&[("host", host), ("cookie", cookie)]);
            super::cookie(&headers).map(str::to_owned)
        };
        let plain = "allo_session=ses_1";
        assert_eq!(of("127.0.0.1:4000", plain).as_deref(), Some("ses_1"));
        assert_eq!(of("voice.example", plain), None);
        let secure = "allo_session=ses_1; __Host-allo_session=ses_2";
        assert_eq!(of("voice.example", secure).as_deref(), Some("ses_2"));
        assert_eq!(of("localhost", secure).as_deref(), Some("ses_2"));
        // Keys are no cookies.
        assert_eq!(of("localhost", "allo_session=acc_1"), None);
    }

    #[test]
    fn a_cookie_never_crosses_a_network_in_clear() {
        let cookie = |transport: Option<Transport>, host: &str| {
            let mut extensions = Extensions::new();
            if let Some(transport) = transport {
                extensions.insert(transport);
            }
            let host = headers(&[("host", host)]);
            set(&extensions, &host, "ses_1", Duration::from_secs(60))
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let tls = Transport {
            tls: true,
            relayed: false,
        };
        let relayed = Transport {
            tls: false,
            relayed: true,
        };
        let rest = "Path=/; HttpOnly; SameSite=Strict; Max-Age=60";
        assert_eq!(
            cookie(Some(tls), "voice.example").unwrap(),
            format!("__Host-allo_session=ses_1; Secure; {rest}")
        );
        assert_eq!(
            cookie(None, "localhost:4000").unwrap(),
            format!("allo_session=ses_1; {rest}")
        );
        assert_eq!(cookie(None, "192.168.1.5:4000"), None);
        assert_eq!(cookie(Some(relayed), "127.0.0.1:4000"), None);
        assert!(!format!("{:?}", CsrfToken::of("ses_1")).contains(CsrfToken::of("ses_1").text()));
    }
}
