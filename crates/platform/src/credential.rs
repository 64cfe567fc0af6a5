//! From the headers of a request to its [`Caller`].

use crate::api::Api;
use crate::caller::{Actor, Caller};
use crate::problem::Problem;
use axum::http::{HeaderMap, header};

/// Longest credential that is looked at, in bytes.
const CREDENTIAL_BYTES_MAX: usize = 256;

/// Finds out who calls.
///
/// # Errors
/// 401 without a credential, with an unknown, expired or revoked one; 503 when the database does not answer.
pub(crate) async fn resolve(api: &Api, headers: &HeaderMap) -> Result<Caller, Problem> {
    let Some(presented) = presented(headers)? else {
        return if api.config.unauthenticated && host_is_loopback(headers) {
            Ok(Caller {
                actor: Actor::Unauthenticated,
                ..Caller::owner()
            })
        } else {
            Err(Problem::unauthorized())
        };
    };
    if api.config.admin_token.matches(presented) {
        return Ok(Caller::owner());
    }
    Err(Problem::unauthorized())
}

/// The one credential of a request; two different ones are a mistake that nobody should guess about.
fn presented(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let plain = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().map(str::trim).unwrap_or_default())
    };
    let bearer = headers.get(header::AUTHORIZATION).map(|value| {
        value
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map_or("", |(_, token)| token.trim())
    });
    let mut shown = [plain("x-api-key"), bearer, plain("x-public-token")]
        .into_iter()
        .flatten();
    let first = shown.next();
    if let Some(first) = first
        && (first.is_empty()
            || first.len() > CREDENTIAL_BYTES_MAX
            || shown.any(|other| other != first))
    {
        return Err(Problem::unauthorized());
    }
    Ok(first)
}

/// A page of another site can reach a loopback port by a name that it points there; it cannot forge `Host`.
fn host_is_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
    else {
        return true;
    };
    let name = if let Some(rest) = host.strip_prefix('[') {
        rest.split(']').next().unwrap_or_default()
    } else {
        host.split(':').next().unwrap_or_default()
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    axum::http::HeaderName::from_static(name),
                    value.parse().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn one_credential_is_found_and_two_are_refused() {
        assert_eq!(presented(&headers(&[])).unwrap(), None);
        let one = headers(&[("authorization", "bearer  abc ")]);
        assert_eq!(presented(&one).unwrap(), Some("abc"));
        let two = headers(&[("authorization", "Bearer abc"), ("x-api-key", "def")]);
        assert!(presented(&two).is_err());
        let same = headers(&[("authorization", "Bearer abc"), ("x-api-key", "abc")]);
        assert_eq!(presented(&same).unwrap(), Some("abc"));
        assert!(presented(&headers(&[("authorization", "Basic abc")])).is_err());
        assert!(presented(&headers(&[("x-api-key", &"a".repeat(300))])).is_err());
    }

    #[test]
    fn a_rebound_name_is_not_loopback() {
        for (host, expected) in [
            ("localhost:4000", true),
            ("127.0.0.1:4000", true),
            ("[::1]:4000", true),
            ("evil.example:4000", false),
            ("127.0.0.1.evil.example", false),
        ] {
            assert_eq!(
                host_is_loopback(&headers(&[("host", host)])),
                expected,
                "{host}"
            );
        }
    }
}
