//! Keys of the API.

use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::Caller;
use crate::credential::{KEY_KIND, Kind, kind};
use crate::limits::NAME_CHARACTERS_MAX;
use crate::need::{Role, Scopes};
use crate::problem::Problem;
use crate::support::{Faults, page};
use axum::extract::State;
use call::TenantId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use store::credential::NewKey;
use store::{ApiKey, ApiKeyFilter, Entry, Owned, Realm, TenantScope};
use utoipa::{IntoParams, ToSchema};

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyCreate {
    /// Of which account; absent: of the credential's own, for the operator of the node a key of the node.
    account_id: Option<String>,
    /// For this agent only.
    agent_id: Option<String>,
    /// A name for people.
    name: String,
    /// What it may do at most; `admin` where absent, never more than the credential that makes it.
    role: Option<Role>,
    /// `area:read` and `area:write`; absent or empty: everything that the role allows.
    #[serde(default)]
    scopes: Vec<String>,
    /// ISO-8601; absent: it does not expire.
    expires_at: Option<String>,
}

/// A key, without the key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyView {
    /// Its id.
    id: String,
    /// Of which account; null: of the node.
    account_id: Option<String>,
    /// For this agent only.
    agent_id: Option<String>,
    /// A name for people.
    name: String,
    /// Its first characters.
    prefix: String,
    /// What it may do at most.
    role: String,
    /// What it may touch.
    scopes: Vec<String>,
    /// ISO-8601.
    expires_at: Option<String>,
    /// ISO-8601, to the minute.
    last_used_at: Option<String>,
    /// ISO-8601.
    revoked_at: Option<String>,
    /// ISO-8601.
    created_at: String,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyMade {
    /// The key itself; it is shown this once.
    key: String,
    /// The rest.
    #[serde(flatten)]
    view: KeyView,
}

/// Which keys.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct KeyQuery {
    /// Of which account; the operator of the node sees the node's own where it names none.
    account_id: Option<String>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn view(entry: &Entry<ApiKey>) -> KeyView {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    KeyView {
        id: entry.id.clone(),
        account_id: entry.tenant.clone(),
        agent_id: entry.agent_id.clone(),
        name: entry.name.clone(),
        prefix: entry.prefix.clone(),
        role: entry.role.clone(),
        scopes: serde_json::from_str(&entry.scopes).unwrap_or_default(),
        expires_at: time(entry.expires_at),
        last_used_at: time(entry.last_used_at),
        revoked_at: time(entry.revoked_at),
        created_at: entry.created_at.to_string(),
    }
}

/// The account of a credential's keys and users; `None` is the node.
pub(crate) fn realm_scope(
    caller: &Caller,
    account: Option<&str>,
) -> Result<Option<TenantScope>, Problem> {
    match (&caller.tenant, account) {
        (None, None) => Ok(None),
        _ => caller.scope(account).map(Some),
    }
}

/// The keys of an account.
#[utoipa::path(get, path = "/api/keys", tag = "keys", params(KeyQuery), responses((status = 200, body = [KeyView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<KeyQuery>,
) -> Result<Answer, Problem> {
    let scope = realm_scope(&caller, query.account_id.as_deref())?;
    let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api
        .store
        .api_keys(realm, &ApiKeyFilter::default(), &page)
        .await?;
    let views: Vec<_> = list
        .items
        .iter()
        .filter(|key| kind(&key.scopes) == Kind::Key)
        .map(view)
        .collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// Makes a key; it is shown this once.
#[utoipa::path(post, path = "/api/keys", tag = "keys", request_body = KeyCreate,
    responses((status = 201, body = KeyMade)))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<KeyCreate>,
) -> Result<Answer, Problem> {
    let scope = realm_scope(&caller, body.account_id.as_deref())?;
    if let Some(scope) = &scope {
        api.account_scope(&caller, Some(scope.tenant().as_str()))
            .await?;
    }
    let role = body.role.unwrap_or(Role::Admin.min(caller.role));
    let scopes = Scopes::read(body.scopes.iter().map(String::as_str))
        .map_err(|wrong| Problem::field("scopes", "choice", wrong))?;
    if role > caller.role || !caller.scopes.include(&scopes) {
        return Err(Problem::forbidden());
    }
    let expires_at = body
        .expires_at
        .as_deref()
        .map(|text| {
            text.parse::<Timestamp>()
                .map_err(|_| Problem::field("expiresAt", "time", "ISO-8601"))
        })
        .transpose()?;
    let mut faults = Faults::default();
    faults.text("name", &body.name, NAME_CHARACTERS_MAX);
    let later = expires_at.is_none_or(|at| at > Timestamp::now());
    faults.unless(later, "expiresAt", "range", "in the future");
    let alone = body.agent_id.is_none() || scope.is_some();
    faults.unless(alone, "agentId", "reference", "accountId");
    faults.done()?;
    let made = NewKey::generate(KEY_KIND);
    let key = ApiKey {
        agent_id: body.agent_id,
        name: body.name,
        prefix: made.prefix().to_owned(),
        hash: made.hash(),
        role: role.label().to_owned(),
        scopes: json!(body.scopes).to_string(),
        expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    let shown =
        json!({ "name": key.name, "role": key.role, "scopes": body.scopes, "prefix": key.prefix });
    let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
    let entry = caller
        .store(&api, None, Some(&shown))
        .create_api_key(realm, &store::new_id(), &key)
        .await?;
    Answer::created(KeyMade {
        key: made.text().to_owned(),
        view: view(&entry),
    })
}

/// The key of an id and where it belongs.
async fn find(
    api: &Api,
    caller: &Caller,
    id: &str,
) -> Result<(Option<TenantScope>, Entry<ApiKey>), Problem> {
    let scope = match &caller.tenant {
        Some(tenant) => Some(TenantScope::new(TenantId::from(tenant.as_str()))),
        None => api.store.node_owner_of(Owned::ApiKey, id).await?,
    };
    let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
    let key = api
        .store
        .api_key(realm, id)
        .await?
        .filter(|key| kind(&key.scopes) == Kind::Key)
        .ok_or_else(Problem::unknown)?;
    Ok((scope, key))
}

/// One key.
#[utoipa::path(get, path = "/api/keys/{id}", tag = "keys", params(("id" = String, Path)),
    responses((status = 200, body = KeyView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    Answer::ok(view(&find(&api, &caller, &id).await?.1))
}

/// Takes a key back, at once and for good.
#[utoipa::path(delete, path = "/api/keys/{id}", tag = "keys", params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn revoke(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, key) = find(&api, &caller, &id).await?;
    if key
        .role
        .parse::<Role>()
        .is_ok_and(|role| role > caller.role)
    {
        return Err(Problem::forbidden());
    }
    let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
    let before = json!({ "name": key.name, "prefix": key.prefix, "revoked": false });
    let after = json!({ "name": key.name, "prefix": key.prefix, "revoked": true });
    caller
        .store(&api, Some(&before), Some(&after))
        .revoke_api_key(realm, &id)
        .await?;
    Ok(Answer::empty())
}
