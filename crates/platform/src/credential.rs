//! From the headers of a request to its [`Caller`].

use crate::api::{AdminToken, Api};
use crate::caller::{Actor, Caller};
use crate::need::{Role, Scopes};
use crate::problem::Problem;
use crate::session;
use axum::http::{HeaderMap, Method, StatusCode, header};
use call::TenantId;
use jiff::Timestamp;
use store::{ApiKey, Entry, Realm, Store, TenantScope};

/// Longest credential that is looked at, in bytes.
const CREDENTIAL_BYTES_MAX: usize = 256;
/// Hexadecimal digits of [`password_mark`].
const PASSWORD_MARK_CHARACTERS: usize = 32;

/// Finds out who calls.
///
/// # Errors
/// 401 without a credential, with an unknown, expired or revoked one; 403 for a cookie that no page of ours sent; 503 when the
/// database does not answer.
pub(crate) async fn resolve(
    api: &Api,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Caller, Problem> {
    match recognise(&api.store, &api.config.admin_token, (method, headers)).await? {
        Some(caller) => Ok(caller),
        None if api.config.unauthenticated && host_is_loopback(headers) => Ok(Caller {
            actor: Actor::Unauthenticated,
            ..Caller::owner()
        }),
        None => Err(Problem::unauthorized()),
    }
}

/// Whose credential is in these headers; `None` when there is none.
///
/// # Errors
/// As [`resolve`].
pub(crate) async fn recognise(
    store: &Store,
    admin_token: &AdminToken,
    (method, headers): (&Method, &HeaderMap),
) -> Result<Option<Caller>, Problem> {
    let Some(presented) = presented(headers)? else {
        return by_cookie(store, method, headers).await;
    };
    if admin_token.matches(presented) {
        return Ok(Some(Caller::owner()));
    }
    if presented.starts_with(PUBLIC_KIND) {
        return widget(store, presented).await.map(Some);
    }
    let hash = store::credential::hash_key(presented);
    if presented.starts_with(AGENT_KIND) {
        return agent(store, &hash).await.map(Some);
    }
    let key = store
        .resolve_api_key(&hash, Timestamp::now())
        .await?
        .ok_or_else(Problem::unauthorized)?;
    match kind(&key.scopes) {
        Kind::Key => of_key(&key).map(Some),
        Kind::Session(session) => of_session(store, &key, &session).await.map(Some),
        Kind::Other => Err(Problem::unauthorized()),
    }
}

/// Who is logged in, by the cookie of a page. A session that is over is none.
async fn by_cookie(
    store: &Store,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<Caller>, Problem> {
    let forged = |_| Problem::new(StatusCode::FORBIDDEN, "api_forged");
    let Some((token, csrf)) = session::presented(method, headers).map_err(forged)? else {
        return Ok(None);
    };
    let hash = store::credential::hash_key(token);
    let Some(key) = store.resolve_api_key(&hash, Timestamp::now()).await? else {
        return Ok(None);
    };
    let Kind::Session(session) = kind(&key.scopes) else {
        return Ok(None);
    };
    match of_session(store, &key, &session).await {
        Ok(caller) => Ok(Some(Caller {
            csrf: Some(csrf),
            ..caller
        })),
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// First characters of an account's key.
pub(crate) const KEY_KIND: &str = "acc_";
/// First characters of an agent's token.
pub(crate) const AGENT_KIND: &str = "agt_";
/// First characters of a chat widget's token.
pub(crate) const PUBLIC_KIND: &str = "pub_";
/// First characters of a session.
pub(crate) const SESSION_KIND: &str = "ses_";

/// What a row of the keys is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A key for programs.
    Key,
    /// The session of a user.
    Session(SessionOf),
    /// Nothing that opens a door: the link of the first run, a link that shows a call.
    Other,
}

/// Sessions of users are keys whose scopes name their user.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct SessionOf {
    /// The user.
    pub(crate) user: String,
    /// [`password_mark`] of the password that opened it: with another one it is over.
    #[serde(default)]
    pub(crate) password: String,
}

/// What the scopes of a key say that it is.
pub(crate) fn kind(scopes: &str) -> Kind {
    if !scopes.trim_start().starts_with('{') {
        return Kind::Key;
    }
    serde_json::from_str(scopes).map_or(Kind::Other, Kind::Session)
}

/// What a session keeps of the password that opened it: a part of a hash of its hash.
pub(crate) fn password_mark(password_hash: &str) -> String {
    let whole = store::credential::hash_key(&format!("session\n{password_hash}"));
    whole.chars().take(PASSWORD_MARK_CHARACTERS).collect()
}

fn of_key(key: &Entry<ApiKey>) -> Result<Caller, Problem> {
    let texts: Vec<String> = serde_json::from_str(&key.scopes).map_err(Problem::internal)?;
    let scopes = Scopes::read(texts.iter().map(String::as_str)).map_err(Problem::internal)?;
    let role: Role = key
        .role
        .parse()
        .map_err(|()| Problem::internal("a role of the database"))?;
    Ok(Caller {
        actor: Actor::Key(key.id.clone()),
        tenant: key.tenant.as_deref().map(TenantId::from),
        role,
        scopes,
        agent: key.agent_id.clone(),
        name: key.prefix.clone(),
        ..Caller::owner()
    })
}

/// A session lives as long as its user may log in by the password that opened it, with the role that the user has now.
async fn of_session(
    store: &Store,
    key: &Entry<ApiKey>,
    session: &SessionOf,
) -> Result<Caller, Problem> {
    let scope = key
        .tenant
        .as_deref()
        .map(|tenant| TenantScope::new(TenantId::from(tenant)));
    let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
    let user = store
        .user(realm, &session.user)
        .await?
        .filter(|user| user.is_active)
        .filter(|user| password_mark(user.password_hash.encrypted()) == session.password)
        .ok_or_else(Problem::unauthorized)?;
    let role: Role = user
        .role
        .parse()
        .map_err(|()| Problem::internal("a role of the database"))?;
    Ok(Caller {
        actor: Actor::User(user.id.clone()),
        tenant: key.tenant.as_deref().map(TenantId::from),
        role,
        name: user.email.clone(),
        session: Some(key.id.clone()),
        ..Caller::owner()
    })
}

async fn agent(store: &Store, hash: &str) -> Result<Caller, Problem> {
    let identity = store
        .resolve_agent_token(hash)
        .await?
        .ok_or_else(Problem::unauthorized)?;
    Ok(Caller {
        actor: Actor::Agent(identity.agent.id.clone()),
        tenant: Some(identity.scope.tenant().clone()),
        role: Role::Operator,
        agent: Some(identity.agent.id.clone()),
        name: identity.agent.name.clone(),
        ..Caller::owner()
    })
}

async fn widget(store: &Store, token: &str) -> Result<Caller, Problem> {
    let identity = store
        .resolve_public_token(token)
        .await?
        .ok_or_else(Problem::unauthorized)?;
    Ok(Caller {
        actor: Actor::Widget(identity.agent.id.clone()),
        tenant: Some(identity.scope.tenant().clone()),
        role: Role::Viewer,
        agent: Some(identity.agent.id.clone()),
        ..Caller::owner()
    })
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
pub(crate) fn host_is_loopback(headers: &HeaderMap) -> bool {
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
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
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
