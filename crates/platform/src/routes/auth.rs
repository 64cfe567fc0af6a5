//! Log-in of users, and who a credential is.

use super::users;
use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::Json;
use crate::caller::{Actor, Caller};
use crate::credential::SESSION_KIND;
use crate::limits::SESSION_LIFETIME;
use crate::need::{Area, Scopes};
use crate::problem::Problem;
use crate::rate::Rate;
use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use call::TenantId;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use store::credential::{NewKey, hash_key, verify_password};
use store::{ApiKey, Realm, TenantScope};
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
    /// For `Authorization: Bearer`; it is shown this once.
    token: String,
    /// ISO-8601.
    expires_at: String,
    /// Who logged in.
    user: users::UserView,
}

/// Logs a user in.
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", request_body = Login,
    responses((status = 200, body = Session)))]
pub(crate) async fn login(
    State(api): State<Arc<Api>>,
    address: Option<Extension<ConnectInfo<SocketAddr>>>,
    Json(body): Json<Login>,
) -> Result<Answer, Problem> {
    let client = address.map_or_else(String::new, |Extension(ConnectInfo(address))| {
        address.ip().to_string()
    });
    let email = body.email.to_lowercase();
    let buckets = [format!("client:{client}"), format!("user:{email}")];
    for bucket in &buckets {
        let verdict = api.failures.peek(bucket, FAILURES, Instant::now());
        if !verdict.allowed {
            return Err(
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "api_login_blocked")
                    .with(
                        "seconds",
                        i64::try_from(verdict.reset_s).unwrap_or(i64::MAX),
                    )
                    .retry_after(verdict.reset_s),
            );
        }
    }
    let user = api
        .store
        .resolve_user(&email)
        .await?
        .filter(|user| user.is_active);
    // The same work for an unknown address: the time tells nothing.
    let stored = user.as_ref().map(|user| user.password_hash.encrypted());
    let right = verify_password(&body.password, stored).await;
    let Some(user) = user.filter(|_| right) else {
        for bucket in &buckets {
            api.failures.take(bucket, FAILURES, Instant::now());
        }
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "api_login_failed"));
    };
    let scope = user
        .tenant
        .as_deref()
        .map(|tenant| TenantScope::new(TenantId::from(tenant)));
    let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
    let lifetime = SignedDuration::try_from(SESSION_LIFETIME).unwrap_or(SignedDuration::ZERO);
    let expires_at = Timestamp::now()
        .checked_add(lifetime)
        .map_err(Problem::internal)?;
    let made = NewKey::generate(SESSION_KIND);
    let key = ApiKey {
        agent_id: None,
        name: "session".to_owned(),
        prefix: made.prefix().to_owned(),
        hash: made.hash(),
        role: user.role.clone(),
        scopes: json!({ "user": user.id }).to_string(),
        expires_at: Some(expires_at),
        revoked_at: None,
        last_used_at: None,
    };
    let caller = Caller {
        actor: Actor::User(user.id.clone()),
        name: user.email.clone(),
        address: Some(client),
        ..Caller::owner()
    };
    caller
        .store(&api, None, None)
        .create_api_key(realm, &store::new_id(), &key)
        .await?;
    Answer::ok(Session {
        token: made.text().to_owned(),
        expires_at: expires_at.to_string(),
        user: users::view(&user),
    })
}

/// Ends the session that the request was made with.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", responses((status = 204)))]
pub(crate) async fn logout(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer, Problem> {
    let Actor::User(user) = &caller.actor else {
        return Err(Problem::forbidden());
    };
    let token = headers
        .get(header::AUTHORIZATION)
        .or_else(|| headers.get("x-api-key"))
        .and_then(|value| value.to_str().ok())
        .map(|value| value.rsplit(' ').next().unwrap_or_default())
        .unwrap_or_default();
    let key = api
        .store
        .resolve_api_key(&hash_key(token), Timestamp::now())
        .await?
        .ok_or_else(Problem::unauthorized)?;
    let scope = caller.tenant.clone().map(TenantScope::new);
    let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
    caller
        .store(&api, None, None)
        .delete_api_key(realm, &key.id, None)
        .await?;
    Ok(Answer::empty().changed(Change {
        action: "logout",
        entity: "user",
        id: user.clone(),
        tenant: key.tenant.clone(),
        detail: None,
    }))
}

/// Who a credential is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Me {
    /// Kind and id: `key:…`, `user:…`, `agent:…`, `owner`.
    actor: String,
    /// A name for people.
    name: String,
    /// Its account; null: the operator of the node.
    account_id: Option<String>,
    /// The one agent that it may touch.
    agent_id: Option<String>,
    /// What it may do at most.
    role: &'static str,
    /// What it may touch; `*`: everything.
    scopes: Vec<String>,
}

/// Who the credential of the request is.
#[utoipa::path(get, path = "/api/auth/me", tag = "auth", responses((status = 200, body = Me)))]
pub(crate) async fn me(caller: Caller) -> Result<Answer, Problem> {
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
    std::future::ready(Answer::ok(Me {
        actor: caller.actor.label(),
        name: caller.name.clone(),
        account_id: caller.tenant.as_ref().map(ToString::to_string),
        agent_id: caller.agent.clone(),
        role: caller.role.label(),
        scopes,
    }))
    .await
}
