//! Accounts: the platform's tenants.

use super::placing::check_ceilings;
use super::sip_account_fields::check_rate;
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::Caller;
use crate::limits::NAME_CHARACTERS_MAX;
use crate::problem::Problem;
use crate::support::{Faults, found, merged, micro, object, page, put, repeat, tag, units};
use axum::extract::State;
use axum::http::HeaderMap;
use call::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use store::{Entry, Tenant, TenantFilter, TenantScope};
use utoipa::{IntoParams, ToSchema};

/// What can be written of an account. Every field is optional; an absent one keeps its value.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountWrite {
    /// Its name.
    name: String,
    /// Address of the person who answers for it.
    #[schema(nullable = true)]
    email: Option<String>,
    /// Whether its calls are taken and its keys let in.
    is_active: bool,
    /// ISO 4217 code of its money.
    currency: String,
    /// Most that its calls may cost in a day.
    budget_daily: Option<f64>,
    /// Most calls at the same time.
    calls_max: Option<i64>,
    /// Anything else. `requireIfMatch: true` asks for `If-Match` on every write; `outboundPrefixes` says whom its lines may call, and
    /// `outbound` how much: `callsMax`, `callsPerHour`, `spendPerDay`, `night` (`from`, `to`, `timeZone`, `prefixes`). `inbound` bounds
    /// what comes by its lines together: `callsPerS`, new calls a second (503 with Retry-After beyond).
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

impl Default for AccountWrite {
    fn default() -> Self {
        Self {
            name: String::new(),
            email: None,
            is_active: true,
            currency: "EUR".to_owned(),
            budget_daily: None,
            calls_max: None,
            settings: Map::new(),
        }
    }
}

/// A new account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the schema of the request; its values are merged")]
pub(crate) struct AccountCreate {
    /// Its name.
    name: String,
    /// Address of the person who answers for it.
    email: Option<String>,
    /// Whether its calls are taken and its keys let in.
    is_active: Option<bool>,
    /// First balance; absent: no balance is kept and it never runs out.
    balance: Option<f64>,
    /// ISO 4217 code of its money.
    currency: Option<String>,
    /// Most that its calls may cost in a day.
    budget_daily: Option<f64>,
    /// Most calls at the same time.
    calls_max: Option<i64>,
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountView {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// Address of the person who answers for it.
    email: String,
    /// Whether its calls are taken and its keys let in.
    is_active: bool,
    /// ISO 4217 code of its money.
    currency: String,
    /// What is left; null: no balance is kept.
    balance: Option<f64>,
    /// Most that its calls may cost in a day.
    budget_daily: Option<f64>,
    /// Most calls at the same time.
    calls_max: Option<i64>,
    /// Whether its webhooks are signed with a secret.
    has_webhook_secret: bool,
    /// Anything else.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
    /// Rises with each change; the entity tag.
    version: i64,
    /// ISO-8601.
    created_at: String,
    /// ISO-8601.
    updated_at: String,
}

/// Which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountQuery {
    /// Of exactly this name.
    name: Option<String>,
    /// With this in the name.
    search: Option<String>,
    /// Active or not.
    is_active: Option<bool>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn view(entry: &Entry<Tenant>) -> AccountView {
    AccountView {
        id: entry.id.clone(),
        name: entry.name.clone(),
        email: entry.email.clone(),
        is_active: entry.is_active,
        currency: entry.currency.clone(),
        balance: entry.balance_micro.map(units),
        budget_daily: entry.budget_daily_micro.map(units),
        calls_max: entry.calls_max,
        has_webhook_secret: entry.webhook_secret.is_some(),
        settings: object(&entry.settings),
        version: entry.version,
        created_at: entry.created_at.to_string(),
        updated_at: entry.updated_at.to_string(),
    }
}

fn writable(tenant: &Tenant) -> AccountWrite {
    AccountWrite {
        name: tenant.name.clone(),
        email: Some(tenant.email.clone()),
        is_active: tenant.is_active,
        currency: tenant.currency.clone(),
        budget_daily: tenant.budget_daily_micro.map(units),
        calls_max: tenant.calls_max,
        settings: object(&tenant.settings),
    }
}

fn checked(write: AccountWrite, before: Option<&Tenant>) -> Result<Tenant, Problem> {
    let mut faults = Faults::default();
    faults.text("name", &write.name, NAME_CHARACTERS_MAX);
    faults.maybe("email", write.email.as_deref(), NAME_CHARACTERS_MAX);
    faults.currency("currency", &write.currency);
    let fine = write
        .calls_max
        .is_none_or(|max| (0..=100_000).contains(&max));
    faults.unless(fine, "callsMax", "range", "0..100000");
    check_ceilings(&write.settings, &mut faults);
    check_inbound(&write.settings, &mut faults);
    faults.done()?;
    Ok(Tenant {
        name: write.name,
        email: write.email.unwrap_or_default(),
        is_active: write.is_active,
        currency: write.currency,
        settings: Value::Object(write.settings).to_string(),
        balance_micro: before.and_then(|before| before.balance_micro),
        budget_daily_micro: write
            .budget_daily
            .map(|units| micro("budgetDaily", units))
            .transpose()?,
        calls_max: write.calls_max,
        webhook_secret: before.and_then(|before| before.webhook_secret.clone()),
    })
}

/// What bounds the calls that come in: one member, and a misspelt one would bound nothing.
fn check_inbound(settings: &Map<String, Value>, faults: &mut Faults) {
    let Some(inbound) = settings.get("inbound").filter(|inbound| !inbound.is_null()) else {
        return;
    };
    let known = inbound
        .as_object()
        .is_some_and(|members| members.keys().all(|name| name == "callsPerS"));
    let calls = &inbound["callsPerS"];
    let fine = known && (calls.is_null() || calls.is_i64());
    faults.unless(fine, "settings.inbound", "choice", r#"{"callsPerS": 10}"#);
    check_rate("settings.inbound.callsPerS", calls.as_i64(), faults);
}

/// The accounts: all of them for the operator of the node, else the caller's own.
#[utoipa::path(get, path = "/api/accounts", tag = "accounts", params(AccountQuery),
    responses((status = 200, body = [AccountView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<AccountQuery>,
) -> Result<Answer, Problem> {
    if !caller.is_node() {
        let own = api.store.tenant(&caller.scope(None)?).await?;
        let wanted = own.filter(|own| query.name.as_ref().is_none_or(|name| *name == own.name));
        return Answer::ok(wanted.iter().map(view).collect::<Vec<_>>());
    }
    let filter = TenantFilter {
        name: query.name,
        search: query.search,
        is_active: query.is_active,
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.node_tenants(&filter, &page).await?;
    let views: Vec<_> = list.items.iter().map(view).collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// Makes an account.
#[utoipa::path(post, path = "/api/accounts", tag = "accounts", request_body = AccountCreate,
    responses((status = 201, body = AccountView)))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let balance = match body.get("balance") {
        None | Some(Value::Null) => None,
        Some(value) => Some(micro(
            "balance",
            value
                .as_f64()
                .ok_or_else(|| Problem::field("balance", "type", "number"))?,
        )?),
    };
    let tenant = checked(merged(&AccountWrite::default(), body)?, None)?;
    let scope = TenantScope::new(TenantId::from(store::new_id().as_str()));
    let store = caller.store(&api, None, Some(&audited(&tenant)));
    let entry = store.node_create_tenant(&scope, &tenant).await?;
    let entry = match balance {
        None => entry,
        Some(micro) => {
            super::billing::first_balance(&store, &scope, micro, &entry.currency).await?;
            found(store.tenant(&scope).await?)?
        }
    };
    Ok(Answer::created(view(&entry))?.with_tag(tag(entry.version)))
}

/// One account.
#[utoipa::path(get, path = "/api/accounts/{id}", tag = "accounts", params(("id" = String, Path)),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let entry = found(api.store.tenant(&caller.scope(Some(&id))?).await?)?;
    Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
}

/// Changes an account; fields that are not sent keep their values.
#[utoipa::path(put, path = "/api/accounts/{id}", tag = "accounts", params(("id" = String, Path)),
    request_body(content = Object, description = "Any fields of an account."),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn replace(
    state: State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    id: Path<String>,
    body: Json<Value>,
) -> Result<Answer, Problem> {
    update(state, caller, headers, id, body).await
}

/// Changes an account; fields that are not sent keep their values.
#[utoipa::path(patch, path = "/api/accounts/{id}", tag = "accounts", params(("id" = String, Path)),
    request_body(content = Object, description = "Any fields of an account."),
    responses((status = 200, body = AccountView)))]
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let scope = caller.scope(Some(&id))?;
    let own = !caller.is_node();
    repeat(&headers, || async {
        let before = found(api.store.tenant(&scope).await?)?;
        let version = api.expected(&headers, &scope, before.version).await?;
        let mut write = merged(&writable(&before), body.clone())?;
        if own {
            // What bounds an account is the operator's to change.
            let kept = writable(&before);
            write.is_active = kept.is_active;
            write.budget_daily = kept.budget_daily;
            write.calls_max = kept.calls_max;
            write.currency = kept.currency;
            for ceilings in ["outbound", "inbound"] {
                let kept = kept.settings.get(ceilings).cloned();
                put(&mut write.settings, ceilings, kept.unwrap_or_default());
            }
        }
        let after = checked(write, Some(&before))?;
        let store = caller.store(&api, Some(&audited(&before)), Some(&audited(&after)));
        let entry = store.update_tenant(&scope, &after, version).await?;
        Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
    })
    .await
}

fn audited(tenant: &Tenant) -> Value {
    serde_json::to_value(writable(tenant)).unwrap_or_else(|_| json!({}))
}
