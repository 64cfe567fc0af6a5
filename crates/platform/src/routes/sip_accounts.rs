//! SIP accounts, as the known administration of several accounts has them: fields in `snake_case`, one default at a time.

use super::owner::of;
use super::sip_account_certificates::check_beside_others;
use super::sip_account_fields::{
    AccountCreate, AccountFields, changed, checked, fields, turn_password,
};
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::support::{found, page, repeat, tag};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use engine::line_test::{LineResult, LineStep, LineTest, LineVerdict};
use engine::{RegistrationState, RegistrationStatus, wait_in_seconds};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use store::{
    Entry, Owned, Sealed, SipAccount, SipAccountCalls, SipAccountFilter, TenantScope, turn_salt,
};
use utoipa::{IntoParams, ToSchema};

/// Days that the figures of an account cover.
const FIGURES_OF_DAYS: i64 = 30;

/// What an account's registration does now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountStatus {
    /// `registered`, `registering`, `unregistered`, `failed`, or `static` for a trunk that does not register and answers.
    state: &'static str,
    /// The state in words, in the language of the server.
    message: Option<String>,
    /// Code of the words in the catalogue.
    code: Option<String>,
    /// Seconds until the binding expires.
    expires_in_s: Option<u64>,
    /// Seconds until the next attempt; null where nothing is tried until the account changes.
    retry_in_s: Option<u64>,
}

/// What passed over an account in the last 30 days.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountFigures {
    /// Calls that came in.
    calls_received: i64,
    /// Those of them that were answered.
    calls_answered: i64,
    /// Calls that were placed.
    calls_placed: i64,
    /// Conversation of all, in seconds.
    duration_s: i64,
}

/// A SIP account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SipAccountView)]
pub(crate) struct AccountView {
    /// Its id; also the salt of its password. The id of a phone line where the account is that line's.
    id: String,
    /// Of which account of the platform.
    account_id: String,
    /// Whether a password is kept. It cannot be read.
    has_password: bool,
    /// Whether a password for a TURN server is kept. It cannot be read.
    has_turn_password: bool,
    /// Every field that can be written.
    #[serde(flatten)]
    fields: AccountFields,
    /// Where it stands.
    status: AccountStatus,
    /// What passed over it.
    metrics: AccountFigures,
    /// Rises with each change; the entity tag.
    version: i64,
    /// ISO-8601.
    created_at: String,
    /// ISO-8601.
    updated_at: String,
}

/// Which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountQuery {
    /// Of which account of the platform; the operator of the node who names none means the first one.
    account_id: Option<String>,
    /// With this in the label or the address.
    search: Option<String>,
    /// Active or not.
    is_active: Option<bool>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Rotation {
    /// The new password.
    password: String,
    /// A new name for the digest, where that changes too.
    username: Option<String>,
}

/// The account of the platform that these pages are about: the caller's own, the named one, or the first one of the node.
pub(crate) fn scope(caller: &Caller, account: Option<&str>) -> Result<TenantScope, Problem> {
    match (&caller.tenant, account) {
        (None, None) => Ok(TenantScope::default_tenant()),
        _ => caller.scope(account),
    }
}

fn status(
    known: Option<&RegistrationStatus>,
    entry: &Entry<SipAccount>,
    api: &Api,
) -> AccountStatus {
    let Some(known) = known.filter(|_| entry.is_active) else {
        return AccountStatus {
            state: "unregistered",
            message: None,
            code: None,
            expires_in_s: None,
            retry_in_s: None,
        };
    };
    let until = |at: &Instant| at.saturating_duration_since(Instant::now());
    let (state, expires_in_s, retry_in_s) = match &known.state {
        RegistrationState::Unregistered if !known.registers => ("static", None, None),
        RegistrationState::Unregistered => ("unregistered", None, None),
        RegistrationState::Registering => ("registering", None, None),
        RegistrationState::Registered { expires_at } => {
            ("registered", Some(until(expires_at).as_secs()), None)
        }
        RegistrationState::Failed { retry_at, .. } => {
            let wait = retry_at.as_ref().map(until).map(wait_in_seconds);
            ("failed", None, wait)
        }
    };
    let is_failed = state == "failed";
    // The engine knows it by its id.
    let message = || known.message.clone().with("line", entry.label.as_str());
    AccountStatus {
        state,
        message: is_failed.then(|| catalog::render(&message(), api.config.language).text),
        code: is_failed.then(|| known.message.code.to_string()),
        expires_in_s,
        retry_in_s,
    }
}

/// What views need beside the entries.
struct Live {
    registrations: HashMap<String, RegistrationStatus>,
    calls: HashMap<String, SipAccountCalls>,
}

impl Live {
    async fn read(api: &Api, scope: &TenantScope) -> Result<Self, Problem> {
        let since = Timestamp::now() - SignedDuration::from_hours(24 * FIGURES_OF_DAYS);
        let registrations = api.engine.registrations().await;
        Ok(Self {
            registrations: registrations
                .into_iter()
                .map(|status| (status.line.clone(), status))
                .collect(),
            calls: api
                .store
                .sip_account_calls(scope, since)
                .await?
                .into_iter()
                .collect(),
        })
    }

    fn view(&self, entry: &Entry<SipAccount>, api: &Api) -> AccountView {
        let calls = self.calls.get(&entry.id).copied().unwrap_or_default();
        AccountView {
            id: entry.id.clone(),
            account_id: entry.tenant.clone().unwrap_or_default(),
            has_password: entry.password.is_some(),
            has_turn_password: entry.turn_password.is_some(),
            fields: fields(entry),
            status: status(self.registrations.get(&entry.id), entry, api),
            metrics: AccountFigures {
                calls_received: calls.received,
                calls_answered: calls.answered,
                calls_placed: calls.placed,
                duration_s: calls.duration_s,
            },
            version: entry.version,
            created_at: entry.created_at.to_string(),
            updated_at: entry.updated_at.to_string(),
        }
    }
}

fn audited(account: &SipAccount) -> Value {
    let mut value = serde_json::to_value(fields(account)).unwrap_or_default();
    value["has_password"] = json!(account.password.is_some());
    value["has_turn_password"] = json!(account.turn_password.is_some());
    value
}

/// The SIP accounts, with their state and the figures of the last 30 days.
#[utoipa::path(get, path = "/api/admin/sip-accounts", tag = "sip accounts", params(AccountQuery),
    responses((status = 200, body = [AccountView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<AccountQuery>,
) -> Result<Answer, Problem> {
    let scope = scope(&caller, query.account_id.as_deref())?;
    let filter = SipAccountFilter {
        search: query.search,
        is_active: query.is_active,
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.sip_accounts(&scope, &filter, &page).await?;
    let live = Live::read(&api, &scope).await?;
    let views: Vec<_> = list
        .items
        .iter()
        .map(|entry| live.view(entry, &api))
        .collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// Makes a SIP account. It registers within a second; calls in progress go on.
#[utoipa::path(post, path = "/api/admin/sip-accounts", tag = "sip accounts", request_body = AccountCreate,
    responses((status = 201, body = AccountView)))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let account_of = super::owner::text_in(&body, "account_id")?;
    let scope = scope(&caller, account_of.as_deref())?;
    let start = SipAccount {
        is_active: true,
        weight: 1,
        settings: "{}".to_owned(),
        ..SipAccount::default()
    };
    let (mut account, password) = changed(&start, &body, true)?;
    checked(&account, password.as_deref())?;
    check_beside_others(&api, &scope, &account).await?;
    let turn = turn_password(&body)?;
    let id = api.store.node_new_sip_account_id().await?;
    account.password = seal(&api, &id, password.as_deref(), None).await?;
    account.turn_password = seal(&api, &turn_salt(&id), turn.as_deref(), None).await?;
    let entry = caller
        .store(&api, None, Some(&audited(&account)))
        .create_sip_account(&scope, &id, &account)
        .await?;
    let live = Live::read(&api, &scope).await?;
    Ok(Answer::created(live.view(&entry, &api))?.with_tag(tag(entry.version)))
}

/// The password as it is stored: absent keeps, an empty one removes.
async fn seal(
    api: &Api,
    id: &str,
    password: Option<&str>,
    before: Option<Sealed>,
) -> Result<Option<Sealed>, Problem> {
    match password {
        None => Ok(before),
        Some("") => Ok(None),
        Some(password) => {
            let sealed = api.vault.seal(id, password).await;
            Ok(Some(Sealed::new(sealed.map_err(Problem::internal)?)))
        }
    }
}

async fn find(
    api: &Api,
    caller: &Caller,
    id: &str,
) -> Result<(TenantScope, Entry<SipAccount>), Problem> {
    let scope = of(api, caller, Owned::SipAccount, id).await?;
    let entry = found(api.store.sip_account(&scope, id).await?)?;
    Ok((scope, entry))
}

/// One SIP account.
#[utoipa::path(get, path = "/api/admin/sip-accounts/{id}", tag = "sip accounts", params(("id" = String, Path)),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, entry) = find(&api, &caller, &id).await?;
    let live = Live::read(&api, &scope).await?;
    Ok(Answer::ok(live.view(&entry, &api))?.with_tag(tag(entry.version)))
}

/// Changes a SIP account: fields that are not sent keep their values, an empty password removes it.
#[utoipa::path(patch, path = "/api/admin/sip-accounts/{id}", tag = "sip accounts", params(("id" = String, Path)),
    request_body(content = Object, description = "Any fields of an account."),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    repeat(&headers, || async {
        let (scope, before) = find(&api, &caller, &id).await?;
        let version = api.expected(&headers, &scope, before.version).await?;
        let (mut account, password) = changed(&before, &body, false)?;
        checked(&account, password.as_deref())?;
        check_beside_others(&api, &scope, &account).await?;
        if account.backup_account_id.as_deref() == Some(id.as_str()) {
            return Err(Problem::field(
                "backup_account_id",
                "reference",
                "another account",
            ));
        }
        let turn = turn_password(&body)?;
        account.password = seal(&api, &id, password.as_deref(), before.password.clone()).await?;
        let kept = before.turn_password.clone();
        account.turn_password = seal(&api, &turn_salt(&id), turn.as_deref(), kept).await?;
        let entry = caller
            .store(&api, Some(&audited(&before)), Some(&audited(&account)))
            .update_sip_account(&scope, &id, &account, version)
            .await?;
        let live = Live::read(&api, &scope).await?;
        Ok(Answer::ok(live.view(&entry, &api))?.with_tag(tag(entry.version)))
    })
    .await
}

/// Removes a SIP account. Workflows that named it name none afterwards; a phone line that it backed stays without an account.
#[utoipa::path(delete, path = "/api/admin/sip-accounts/{id}", tag = "sip accounts", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, before) = find(&api, &caller, &id).await?;
    let version = api.expected(&headers, &scope, before.version).await?;
    caller
        .store(&api, Some(&audited(&before)), None)
        .delete_sip_account(&scope, &id, version)
        .await?;
    Ok(Answer::empty())
}

/// Why the operator refuses an account, in words; `None` where it takes it. The binding in use is left alone: the operator is asked
/// which bindings there are, which proves the password also where it allows no second one.
async fn refusal(api: &Api, account: engine::AccountConfig) -> Result<Option<String>, Problem> {
    let test = LineTest {
        bind: false,
        ..api.engine.line_test(account)
    };
    let report = super::line_test::tested(test).await?;
    let is_asked = |result: &&LineResult| {
        result.step == LineStep::Register && result.verdict != LineVerdict::Skipped
    };
    let is_bad = |result: &&LineResult| result.verdict == LineVerdict::Failed;
    let mut steps = report.steps.iter();
    let answer = steps.clone().find(is_asked).or_else(|| steps.find(is_bad));
    Ok(match answer {
        Some(result) if result.verdict != LineVerdict::Failed => None,
        Some(result) => Some(catalog::render(&result.message, api.config.language).text),
        None => Some(String::new()),
    })
}

/// Changes the password: the operator is asked with the new one first, and the old one stays until that works.
#[utoipa::path(post, path = "/api/admin/sip-accounts/{id}/rotate", tag = "sip accounts", params(("id" = String, Path)),
    request_body = Rotation,
    responses((status = 200, body = AccountView), (status = 409, description = "The operator refuses it: nothing was changed.")))]
pub(crate) async fn rotate(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<Rotation>,
) -> Result<Answer, Problem> {
    let (scope, before) = find(&api, &caller, &id).await?;
    api.expected(&headers, &scope, before.version).await?;
    if body.password.is_empty() {
        return Err(Problem::field("password", "required", ""));
    }
    let mut account = before.content.clone();
    account.username = body.username.clone().or(account.username);
    checked(&account, Some(&body.password))?;
    let in_use = api.engine.account_of(&id).filter(|_| before.is_active);
    let Some(mut trial) = in_use.filter(|config| config.register) else {
        let code = "api_rotation_untested";
        return Err(Problem::conflict(code));
    };
    trial.password.clone_from(&body.password);
    if let Some(username) = &body.username {
        trial.username.clone_from(username);
    }
    if let Some(cause) = refusal(&api, trial).await? {
        let problem = Problem::new(StatusCode::CONFLICT, "api_rotation_refused");
        return Err(problem.with("cause", cause));
    }
    account.password = seal(&api, &id, Some(&body.password), None).await?;
    let mut shown = audited(&account);
    shown["password"] = json!("rotated");
    let entry = caller
        .store(&api, Some(&audited(&before)), Some(&shown))
        .update_sip_account(&scope, &id, &account, Some(before.version))
        .await?;
    let live = Live::read(&api, &scope).await?;
    Ok(Answer::ok(live.view(&entry, &api))?.with_tag(tag(entry.version)))
}
