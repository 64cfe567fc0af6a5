//! Users: people who log in.

use super::keys::realm_scope;
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::{Actor, Caller};
use crate::limits::NAME_CHARACTERS_MAX;
use crate::need::Role;
use crate::problem::Problem;
use crate::support::{Faults, expected, page, repeat, tag};
use axum::extract::State;
use axum::http::HeaderMap;
use call::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use store::credential::{PasswordError, hash_password};
use store::{Entry, Owned, Realm, Sealed, TenantScope, User, UserFilter};
use utoipa::{IntoParams, ToSchema};

/// A new user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserCreate {
    /// Of which account; absent: of the credential's own, for the operator of the node one of the node.
    account_id: Option<String>,
    /// Address, unique on the node.
    email: String,
    /// Name.
    #[serde(default)]
    name: String,
    /// At least 10 characters.
    password: String,
    /// What it may do at most; never more than the credential that makes it.
    role: Role,
}

/// A change of a user.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserUpdate {
    /// Name.
    name: Option<String>,
    /// At least 10 characters.
    password: Option<String>,
    /// What it may do at most.
    role: Option<Role>,
    /// Whether it may log in.
    is_active: Option<bool>,
}

/// A user, without the password.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    /// Its id.
    id: String,
    /// Of which account; null: of the node.
    account_id: Option<String>,
    /// Address.
    email: String,
    /// Name.
    name: String,
    /// What it may do at most.
    role: String,
    /// Whether it may log in.
    is_active: bool,
    /// ISO-8601.
    last_login_at: Option<String>,
    /// Rises with each change; the entity tag.
    version: i64,
    /// ISO-8601.
    created_at: String,
}

/// Which users.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct UserQuery {
    /// Of which account; the operator of the node sees the node's own where it names none.
    account_id: Option<String>,
    /// With this in the address.
    search: Option<String>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

pub(crate) fn view(entry: &Entry<User>) -> UserView {
    UserView {
        id: entry.id.clone(),
        account_id: entry.tenant.clone(),
        email: entry.email.clone(),
        name: entry.name.clone(),
        role: entry.role.clone(),
        is_active: entry.is_active,
        last_login_at: entry.last_login_at.map(|at| at.to_string()),
        version: entry.version,
        created_at: entry.created_at.to_string(),
    }
}

pub(crate) fn shown(user: &User) -> Value {
    json!({ "email": user.email, "name": user.name, "role": user.role, "isActive": user.is_active })
}

/// Whether address and name of a user can be ones.
pub(crate) fn check(email: &str, name: &str) -> Result<(), Problem> {
    let mut faults = Faults::default();
    faults.text("email", email, NAME_CHARACTERS_MAX);
    faults.unless(email.contains('@'), "email", "address", "a@b.c");
    faults.maybe("name", Some(name), NAME_CHARACTERS_MAX);
    faults.done()
}

pub(crate) async fn hashed(password: &str) -> Result<Sealed, Problem> {
    hashed_at("password", password).await
}

/// The hash of a password that came as this member.
pub(crate) async fn hashed_at(member: &str, password: &str) -> Result<Sealed, Problem> {
    match hash_password(password).await {
        Ok(hash) => Ok(Sealed::new(hash)),
        Err(PasswordError::TooShort | PasswordError::TooLong) => {
            Err(Problem::field(member, "length", "10..1024"))
        }
        Err(error @ PasswordError::Failed(_)) => Err(Problem::internal(error)),
    }
}

/// The users of an account.
#[utoipa::path(get, path = "/api/users", tag = "users", params(UserQuery), responses((status = 200, body = [UserView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<UserQuery>,
) -> Result<Answer, Problem> {
    let scope = realm_scope(&caller, query.account_id.as_deref())?;
    let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
    let filter = UserFilter {
        search: query.search,
        ..UserFilter::default()
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.users(realm, &filter, &page).await?;
    let views: Vec<_> = list.items.iter().map(view).collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// Makes a user.
#[utoipa::path(post, path = "/api/users", tag = "users", request_body = UserCreate,
    responses((status = 201, body = UserView)))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<UserCreate>,
) -> Result<Answer, Problem> {
    let scope = realm_scope(&caller, body.account_id.as_deref())?;
    if let Some(scope) = &scope {
        api.account_scope(&caller, Some(scope.tenant().as_str()))
            .await?;
    }
    if body.role > caller.role {
        return Err(Problem::forbidden());
    }
    check(&body.email, &body.name)?;
    let user = User {
        email: body.email.to_lowercase(),
        name: body.name,
        password_hash: hashed(&body.password).await?,
        role: body.role.label().to_owned(),
        is_active: true,
        last_login_at: None,
    };
    let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
    let entry = caller
        .store(&api, None, Some(&shown(&user)))
        .create_user(realm, &store::new_id(), &user)
        .await?;
    Ok(Answer::created(view(&entry))?.with_tag(tag(entry.version)))
}

async fn find(
    api: &Api,
    caller: &Caller,
    id: &str,
) -> Result<(Option<TenantScope>, Entry<User>), Problem> {
    let scope = match &caller.tenant {
        Some(tenant) => Some(TenantScope::new(TenantId::from(tenant.as_str()))),
        None => api.store.node_owner_of(Owned::User, id).await?,
    };
    let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
    let user = api
        .store
        .user(realm, id)
        .await?
        .ok_or_else(Problem::unknown)?;
    Ok((scope, user))
}

/// One user.
#[utoipa::path(get, path = "/api/users/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = UserView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (_, entry) = find(&api, &caller, &id).await?;
    Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
}

/// Nobody changes who ranks above him, and nobody raises anyone above himself.
fn ranks_above(caller: &Caller, user: &User) -> bool {
    user.role
        .parse::<Role>()
        .is_ok_and(|role| role > caller.role)
}

/// Changes a user.
#[utoipa::path(patch, path = "/api/users/{id}", tag = "users", params(("id" = String, Path)), request_body = UserUpdate,
    responses((status = 200, body = UserView)))]
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<UserUpdate>,
) -> Result<Answer, Problem> {
    let mut faults = Faults::default();
    faults.maybe("name", body.name.as_deref(), NAME_CHARACTERS_MAX);
    faults.done()?;
    let password = match &body.password {
        Some(password) => Some(hashed(password).await?),
        None => None,
    };
    repeat(&headers, || async {
        let (scope, before) = find(&api, &caller, &id).await?;
        let version = match &scope {
            Some(scope) => api.expected(&headers, scope, before.version).await?,
            None => expected(&headers, before.version, false)?,
        };
        if ranks_above(&caller, &before) || body.role.is_some_and(|role| role > caller.role) {
            return Err(Problem::forbidden());
        }
        let mut user = before.content.clone();
        if let Some(name) = &body.name {
            user.name.clone_from(name);
        }
        if let Some(role) = body.role {
            role.label().clone_into(&mut user.role);
        }
        if let Some(active) = body.is_active {
            user.is_active = active;
        }
        if let Some(password) = &password {
            user.password_hash.clone_from(password);
        }
        let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
        let entry = caller
            .store(&api, Some(&shown(&before)), Some(&shown(&user)))
            .update_user(realm, &id, &user, version)
            .await?;
        Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
    })
    .await
}

/// Removes a user; its sessions end.
#[utoipa::path(delete, path = "/api/users/{id}", tag = "users", params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, user) = find(&api, &caller, &id).await?;
    if ranks_above(&caller, &user) || caller.actor == Actor::User(id.clone()) {
        return Err(Problem::forbidden());
    }
    let realm = scope.as_ref().map_or(Realm::Node, Realm::Tenant);
    caller
        .store(&api, Some(&shown(&user)), None)
        .delete_user(realm, &id, None)
        .await?;
    Ok(Answer::empty())
}
