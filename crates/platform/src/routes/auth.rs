//! Log-in of users, and who a credential is.

use super::users;
use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::Json;
use crate::caller::{Actor, Caller};
use crate::credential::{SESSION_KIND, SessionOf, password_mark};
use crate::guard::RequestId;
use crate::limits::SESSION_LIFETIME;
use crate::need::{Area, Role, Scopes};
use crate::problem::Problem;
use crate::rate::Rate;
use crate::session::{self, CsrfToken};
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use call::TenantId;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use store::credential::{NewKey, hash_key, verify_password};
use store::{ApiKey, Entry, Realm, TenantScope, User};
use utoipa::ToSchema;

/// Failed log-ins of one address, of the client or of the user: ten in five minutes.
const FAILURES: Rate = Rate {
    per_s: 10.0 / 300.0,
    burst: 10.0,
};

/// Address and password.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Login {
    /// Address of the user.
    email: String,
    /// Password.
    password: String,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    /// For `Authorization: Bearer`; it is shown this once. Pages use the cookie that comes along.
    token: String,
    /// For `X-CSRF-Token` of pages; null where no cookie was set, because it would cross a network in clear.
    csrf_token: Option<String>,
    /// ISO-8601.
    expires_at: String,
    /// Who logged in.
    user: users::UserView,
}

/// Where a request came from, as far as sessions are concerned.
pub(crate) struct Origin {
    pub(super) client: String,
    pub(super) request_id: Option<String>,
    headers: HeaderMap,
    extensions: Extensions,
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let request_id = parts.extensions.get::<RequestId>();
        Ok(Self {
            client: address
                .map_or_else(String::new, |ConnectInfo(address)| address.ip().to_string()),
            request_id: request_id.map(|id| id.0.clone()),
            headers: parts.headers.clone(),
            extensions: parts.extensions.clone(),
        })
    }
}

impl Origin {
    /// Who acts before there is a session.
    fn caller(&self, user: &str, name: &str) -> Caller {
        Caller {
            actor: Actor::User(user.to_owned()),
            name: name.to_owned(),
            address: Some(self.client.clone()),
            request_id: self.request_id.clone(),
            ..Caller::owner()
        }
    }
}

/// Refuses who failed too often.
fn unless_blocked(api: &Api, buckets: &[String]) -> Result<(), Problem> {
    for bucket in buckets {
        let verdict = api.failures.peek(bucket, FAILURES, Instant::now());
        if !verdict.allowed {
            let seconds = i64::try_from(verdict.reset_s).unwrap_or(i64::MAX);
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "api_login_blocked");
            return Err(problem
                .with("seconds", seconds)
                .retry_after(verdict.reset_s));
        }
    }
    Ok(())
}

fn failed(api: &Api, buckets: &[String], problem: Problem) -> Problem {
    for bucket in buckets {
        api.failures.take(bucket, FAILURES, Instant::now());
    }
    problem
}

fn realm_of(scope: Option<&TenantScope>) -> Realm<'_> {
    scope.map_or(Realm::Node, Realm::Tenant)
}

fn scope_of(user: &Entry<User>) -> Option<TenantScope> {
    let tenant = user.tenant.as_deref();
    tenant.map(|tenant| TenantScope::new(TenantId::from(tenant)))
}

/// Begins a session of a user: what the client gets, and its cookie.
async fn open(
    api: &Api,
    origin: &Origin,
    user: &Entry<User>,
) -> Result<(Session, Option<HeaderValue>), Problem> {
    let lifetime = SignedDuration::try_from(SESSION_LIFETIME).unwrap_or(SignedDuration::ZERO);
    let expires_at = Timestamp::now()
        .checked_add(lifetime)
        .map_err(Problem::internal)?;
    let made = NewKey::generate(SESSION_KIND);
    let of = SessionOf {
        user: user.id.clone(),
        password: password_mark(user.password_hash.encrypted()),
    };
    let key = ApiKey {
        agent_id: None,
        name: "session".to_owned(),
        prefix: made.prefix().to_owned(),
        hash: made.hash(),
        role: user.role.clone(),
        scopes: serde_json::to_string(&of).map_err(Problem::internal)?,
        expires_at: Some(expires_at),
        revoked_at: None,
        last_used_at: None,
    };
    let scope = scope_of(user);
    origin
        .caller(&user.id, &user.email)
        .store(api, None, None)
        .create_api_key(realm_of(scope.as_ref()), &store::new_id(), &key)
        .await?;
    let cookie = session::set(
        &origin.extensions,
        &origin.headers,
        made.text(),
        SESSION_LIFETIME,
    );
    let csrf = CsrfToken::of(made.text());
    let session = Session {
        token: made.text().to_owned(),
        csrf_token: cookie.as_ref().map(|_| csrf.text().to_owned()),
        expires_at: expires_at.to_string(),
        user: users::view(user),
    };
    Ok((session, cookie))
}

/// Logs a user in; pages get a cookie besides (HttpOnly, SameSite=Strict).
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", request_body = Login,
    responses((status = 200, body = Session)))]
pub(crate) async fn login(
    State(api): State<Arc<Api>>,
    origin: Origin,
    Json(body): Json<Login>,
) -> Result<Answer, Problem> {
    let email = body.email.to_lowercase();
    let buckets = [format!("client:{}", origin.client), format!("user:{email}")];
    unless_blocked(&api, &buckets)?;
    let user = api
        .store
        .resolve_user(&email)
        .await?
        .filter(|user| user.is_active);
    // The same work for an unknown address: the time tells nothing.
    let stored = user.as_ref().map(|user| user.password_hash.encrypted());
    let right = verify_password(&body.password, stored).await;
    let Some(user) = user.filter(|_| right) else {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "api_login_failed");
        return Err(failed(&api, &buckets, problem));
    };
    let (session, cookie) = open(&api, &origin, &user).await?;
    Ok(Answer::ok(session)?.with_cookies(cookie))
}

/// Whether somebody has to begin.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FirstRun {
    /// No administrator exists: whoever has the link that the server printed makes himself one.
    needed: bool,
}

/// Whether an administrator is still to be made.
#[utoipa::path(get, path = "/api/auth/first-run", tag = "auth", responses((status = 200, body = FirstRun)))]
pub(crate) async fn first_run(State(api): State<Arc<Api>>) -> Result<Answer, Problem> {
    let needed = !api.store.node_has_administrator().await?;
    Answer::ok(FirstRun { needed })
}

/// The first administrator.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SetUp {
    /// What follows `#` in the link that the server printed, or `allo admin link`.
    token: String,
    /// Address, unique on the node.
    email: String,
    /// At least 10 characters.
    password: String,
    /// Name.
    #[serde(default)]
    name: String,
}

/// Makes an owner of the node by the link that the server printed, and logs him in. A link is used once.
#[utoipa::path(post, path = "/api/auth/first-run", tag = "auth", request_body = SetUp,
    responses((status = 201, body = Session)))]
pub(crate) async fn set_up(
    State(api): State<Arc<Api>>,
    origin: Origin,
    Json(body): Json<SetUp>,
) -> Result<Answer, Problem> {
    let buckets = [format!("client:{}", origin.client)];
    unless_blocked(&api, &buckets)?;
    users::check(&body.email, &body.name)?;
    let user = User {
        email: body.email.to_lowercase(),
        name: body.name,
        password_hash: users::hashed(&body.password).await?,
        role: Role::Owner.label().to_owned(),
        is_active: true,
        last_login_at: None,
    };
    let id = store::new_id();
    let made = origin
        .caller(&id, &user.email)
        .store(&api, None, Some(&users::shown(&user)))
        .node_set_up(&hash_key(&body.token), Timestamp::now(), (&id, &user))
        .await?;
    let Some(user) = made else {
        let problem = Problem::new(StatusCode::FORBIDDEN, "api_link_used");
        return Err(failed(&api, &buckets, problem));
    };
    let (session, cookie) = open(&api, &origin, &user).await?;
    Ok(Answer::created(session)?.with_cookies(cookie))
}

/// Ends the session that the request was made with.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", responses((status = 204)))]
pub(crate) async fn logout(State(api): State<Arc<Api>>, caller: Caller) -> Result<Answer, Problem> {
    let (Actor::User(user), Some(session)) = (&caller.actor, &caller.session) else {
        return Err(Problem::forbidden());
    };
    let scope = caller.tenant.clone().map(TenantScope::new);
    caller
        .store(&api, None, None)
        .delete_api_key(realm_of(scope.as_ref()), session, None)
        .await?;
    Ok(Answer::empty()
        .with_cookies(session::clear())
        .changed(Change {
            action: "logout",
            entity: "user",
            id: user.clone(),
            tenant: caller.tenant.as_ref().map(ToString::to_string),
            detail: None,
        }))
}

/// A change of the own password.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct PasswordChange {
    /// The password so far.
    current: String,
    /// At least 10 characters.
    new: String,
}

/// Changes the own password. Every session of the user ends; the answer is a new one.
#[utoipa::path(post, path = "/api/auth/password", tag = "auth", request_body = PasswordChange,
    responses((status = 200, body = Session)))]
pub(crate) async fn change_password(
    State(api): State<Arc<Api>>,
    caller: Caller,
    origin: Origin,
    Json(body): Json<PasswordChange>,
) -> Result<Answer, Problem> {
    let Actor::User(id) = &caller.actor else {
        return Err(Problem::forbidden());
    };
    let scope = caller.tenant.clone().map(TenantScope::new);
    let realm = realm_of(scope.as_ref());
    let found = api.store.user(realm, id).await?;
    let before = found.ok_or_else(Problem::unauthorized)?;
    let buckets = [
        format!("client:{}", origin.client),
        format!("user:{}", before.email),
    ];
    unless_blocked(&api, &buckets)?;
    let stored = before.password_hash.encrypted();
    if !verify_password(&body.current, Some(stored)).await {
        let problem = Problem::new(StatusCode::FORBIDDEN, "api_login_failed");
        return Err(failed(&api, &buckets, problem));
    }
    let user = User {
        password_hash: users::hashed_at("new", &body.new).await?,
        ..before.content.clone()
    };
    let user = caller
        .store(&api, None, None)
        .update_user(realm, id, &user, Some(before.version))
        .await?;
    let (session, cookie) = open(&api, &origin, &user).await?;
    Ok(Answer::ok(session)?.with_cookies(cookie))
}

/// Who a credential is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Me {
    /// Kind and id: `key:…`, `user:…`, `agent:…`, `owner`.
    actor: String,
    /// A name for people.
    name: String,
    /// Of the user; null: no user.
    user_id: Option<String>,
    /// Address of the user.
    email: Option<String>,
    /// Its account; null: the operator of the node.
    account_id: Option<String>,
    /// Name of the account.
    account_name: Option<String>,
    /// The one agent that it may touch.
    agent_id: Option<String>,
    /// What it may do at most.
    role: &'static str,
    /// What it may touch; `*`: everything.
    scopes: Vec<String>,
    /// For `X-CSRF-Token` of unsafe requests; null where no cookie says who asks.
    csrf_token: Option<String>,
    /// Language of the server: `fr` or `en`.
    language: &'static str,
    /// Version of the program.
    version: &'static str,
}

/// Who the credential of the request is.
#[utoipa::path(get, path = "/api/auth/me", tag = "auth", responses((status = 200, body = Me)))]
pub(crate) async fn me(State(api): State<Arc<Api>>, caller: Caller) -> Result<Answer, Problem> {
    let scopes = match &caller.scopes {
        Scopes::All => vec!["*".to_owned()],
        Scopes::Some(_) => Area::ALL
            .iter()
            .flat_map(|area| {
                [crate::need::Access::Read, crate::need::Access::Write]
                    .map(|access| (*area, access))
            })
            .filter(|(area, access)| caller.scopes.allow(*area, *access))
            .map(|(area, access)| format!("{}:{}", area.label(), access.label()))
            .collect(),
    };
    let account = match caller.tenant.clone().map(TenantScope::new) {
        Some(scope) => api.store.tenant(&scope).await?,
        None => None,
    };
    let user = match &caller.actor {
        Actor::User(id) => Some(id.clone()),
        Actor::Owner
        | Actor::Key(_)
        | Actor::Agent(_)
        | Actor::Widget(_)
        | Actor::Unauthenticated => None,
    };
    Answer::ok(Me {
        actor: caller.actor.label(),
        email: user.as_ref().map(|_| caller.name.clone()),
        user_id: user,
        account_name: account.map(|account| account.name.clone()),
        name: caller.name.clone(),
        account_id: caller.tenant.as_ref().map(ToString::to_string),
        agent_id: caller.agent.clone(),
        role: caller.role.label(),
        scopes,
        csrf_token: caller.csrf.as_ref().map(|csrf| csrf.text().to_owned()),
        language: api.config.language.code(),
        version: api.config.version,
    })
}
