//! Final customers: whom an account works for.

use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::Caller;
use crate::limits::NAME_CHARACTERS_MAX;
use crate::problem::Problem;
use crate::support::{Faults, found, merged, object, page, repeat, tag, units};
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use store::{Entry, FinalCustomer, FinalCustomerFilter, TenantScope};
use utoipa::{IntoParams, ToSchema};

/// What can be written of a final customer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CustomerWrite {
    /// Its name.
    name: String,
    /// Its address.
    email: Option<String>,
    /// Its number.
    phone: Option<String>,
    /// ISO 4217 code of its money.
    currency: String,
    /// What the account adds to costs, in percent.
    cost_margin_pct: f64,
    /// Whether calls of its agents are taken.
    is_active: bool,
    /// Anything else.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

impl Default for CustomerWrite {
    fn default() -> Self {
        Self {
            name: String::new(),
            email: None,
            phone: None,
            currency: "EUR".to_owned(),
            cost_margin_pct: 30.0,
            is_active: true,
            settings: Map::new(),
        }
    }
}

/// A new final customer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the schema of the request; its values are merged")]
pub(crate) struct CustomerCreate {
    /// Whose customer; absent: of the credential's account.
    account_id: Option<String>,
    /// Its name.
    name: String,
    /// Its address.
    email: Option<String>,
    /// Its number.
    phone: Option<String>,
    /// ISO 4217 code of its money.
    currency: Option<String>,
    /// What the account adds to costs, in percent; 30 where absent.
    cost_margin_pct: Option<f64>,
    /// Whether calls of its agents are taken.
    is_active: Option<bool>,
}

/// A final customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CustomerView {
    /// Its id.
    id: String,
    /// Whose customer.
    account_id: String,
    /// What can be written of it.
    #[serde(flatten)]
    content: CustomerWrite,
    /// What is left; null: no balance is kept.
    balance: Option<f64>,
    /// Rises with each change; the entity tag.
    version: i64,
    /// ISO-8601.
    created_at: String,
    /// ISO-8601.
    updated_at: String,
}

/// Which final customers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct CustomerQuery {
    /// Of which account; the operator of the node who names none means all.
    account_id: Option<String>,
    /// With this in the name.
    search: Option<String>,
    /// Active or not.
    is_active: Option<bool>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn writable(customer: &FinalCustomer) -> CustomerWrite {
    CustomerWrite {
        name: customer.name.clone(),
        email: customer.email.clone(),
        phone: customer.phone.clone(),
        currency: customer.currency.clone(),
        cost_margin_pct: customer.cost_margin_pct,
        is_active: customer.is_active,
        settings: object(&customer.settings),
    }
}

fn audited(customer: &FinalCustomer) -> Value {
    serde_json::to_value(writable(customer)).unwrap_or_else(|_| json!({}))
}

fn view(entry: &Entry<FinalCustomer>) -> CustomerView {
    CustomerView {
        id: entry.id.clone(),
        account_id: entry.tenant.clone().unwrap_or_default(),
        content: writable(entry),
        balance: entry.balance_micro.map(units),
        version: entry.version,
        created_at: entry.created_at.to_string(),
        updated_at: entry.updated_at.to_string(),
    }
}

fn checked(write: CustomerWrite, before: Option<&FinalCustomer>) -> Result<FinalCustomer, Problem> {
    let mut faults = Faults::default();
    faults.text("name", &write.name, NAME_CHARACTERS_MAX);
    faults.maybe("email", write.email.as_deref(), NAME_CHARACTERS_MAX);
    faults.maybe("phone", write.phone.as_deref(), NAME_CHARACTERS_MAX);
    faults.currency("currency", &write.currency);
    let fine = (0.0..=1_000.0).contains(&write.cost_margin_pct);
    faults.unless(fine, "costMarginPct", "range", "0..1000");
    faults.done()?;
    Ok(FinalCustomer {
        name: write.name,
        email: write.email,
        phone: write.phone,
        currency: write.currency,
        cost_margin_pct: write.cost_margin_pct,
        is_active: write.is_active,
        settings: Value::Object(write.settings).to_string(),
        balance_micro: before.and_then(|before| before.balance_micro),
    })
}

/// The final customer of an id, and the account that it belongs to.
pub(crate) async fn find(
    api: &Api,
    caller: &Caller,
    id: &str,
) -> Result<(TenantScope, Entry<FinalCustomer>), Problem> {
    let scope = super::owner::of(api, caller, store::Owned::FinalCustomer, id).await?;
    let entry = found(api.store.final_customer(&scope, id).await?)?;
    Ok((scope, entry))
}

/// The final customers of an account.
#[utoipa::path(get, path = "/api/final-customers", tag = "final customers", params(CustomerQuery),
    responses((status = 200, body = [CustomerView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<CustomerQuery>,
) -> Result<Answer, Problem> {
    let account = query.account_id.as_deref();
    let (reach, _) = super::owner::reach_of_list(&api, &caller, account, None).await?;
    let filter = FinalCustomerFilter {
        search: query.search,
        is_active: query.is_active,
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.final_customers(&reach, &filter, &page).await?;
    let views: Vec<_> = list.items.iter().map(view).collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// Makes a final customer.
#[utoipa::path(post, path = "/api/final-customers", tag = "final customers", request_body = CustomerCreate,
    responses((status = 201, body = CustomerView)))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let account = super::owner::account_in(&body)?;
    let scope = api.account_scope(&caller, account.as_deref()).await?;
    let customer = checked(merged(&CustomerWrite::default(), body)?, None)?;
    let store = caller.store(&api, None, Some(&audited(&customer)));
    let entry = store
        .create_final_customer(&scope, &store::new_id(), &customer)
        .await?;
    Ok(Answer::created(view(&entry))?.with_tag(tag(entry.version)))
}

/// One final customer.
#[utoipa::path(get, path = "/api/final-customers/{id}", tag = "final customers", params(("id" = String, Path)),
    responses((status = 200, body = CustomerView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (_, entry) = find(&api, &caller, &id).await?;
    Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
}

/// Changes a final customer; fields that are not sent keep their values.
#[utoipa::path(put, path = "/api/final-customers/{id}", tag = "final customers", params(("id" = String, Path)),
    request_body(content = Object, description = "Any fields of a final customer."),
    responses((status = 200, body = CustomerView)))]
pub(crate) async fn replace(
    state: State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    id: Path<String>,
    body: Json<Value>,
) -> Result<Answer, Problem> {
    update(state, caller, headers, id, body).await
}

/// Changes a final customer; fields that are not sent keep their values.
#[utoipa::path(patch, path = "/api/final-customers/{id}", tag = "final customers", params(("id" = String, Path)),
    request_body(content = Object, description = "Any fields of a final customer."),
    responses((status = 200, body = CustomerView)))]
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
        let after = checked(merged(&writable(&before), body.clone())?, Some(&before))?;
        let store = caller.store(&api, Some(&audited(&before)), Some(&audited(&after)));
        let entry = store
            .update_final_customer(&scope, &id, &after, version)
            .await?;
        Ok(Answer::ok(view(&entry))?.with_tag(tag(entry.version)))
    })
    .await
}

/// Removes a final customer that nothing refers to.
#[utoipa::path(delete, path = "/api/final-customers/{id}", tag = "final customers", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, before) = find(&api, &caller, &id).await?;
    let version = api.expected(&headers, &scope, before.version).await?;
    let store = caller.store(&api, Some(&audited(&before)), None);
    store.delete_final_customer(&scope, &id, version).await?;
    Ok(Answer::empty())
}
