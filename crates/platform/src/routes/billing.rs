//! Balances, transactions, plans, subscriptions, prices and costs.

use super::customers::find as find_customer;
use super::owner::{of, reach_of_list, scope_of_list};
use crate::answer::Answer;
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::Caller;
use crate::limits::NAME_CHARACTERS_MAX;
use crate::problem::Problem;
use crate::support::{Faults, found, merged, micro, object, page, repeat, tag, units};
use axum::extract::State;
use axum::http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use store::{
    Booking, Entry, Owned, Plan, PlanFilter, PriceTable, Store, Subscription, SubscriptionFilter,
    TenantScope, Transaction,
};
use utoipa::{IntoParams, ToSchema};

/// Books the first balance of an account.
pub(crate) async fn first_balance(
    store: &Store,
    scope: &TenantScope,
    amount_micro: i64,
    currency: &str,
) -> Result<(), Problem> {
    let booking = Booking {
        final_customer_id: None,
        kind: "top_up".to_owned(),
        reference: Some("first".to_owned()),
        amount_micro,
        currency: currency.to_owned(),
        note: String::new(),
        at: Timestamp::now(),
    };
    store.book(scope, &booking).await?;
    Ok(())
}

/// A balance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Balance {
    /// What is left; null: no balance is kept and it never runs out.
    balance: Option<f64>,
    /// ISO 4217 code.
    currency: String,
}

/// A change of a balance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransactionView {
    /// Its id.
    id: String,
    /// `call`, `chat`, `top_up`, `subscription`, `adjustment`.
    kind: String,
    /// What it is for: a call, a payment.
    reference: Option<String>,
    /// How much; what is spent is negative.
    amount: f64,
    /// ISO 4217 code.
    currency: String,
    /// The balance afterwards.
    balance: Option<f64>,
    /// In words.
    note: String,
    /// ISO-8601.
    at: String,
}

/// Money to add, or with a negative amount to take.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct TopUp {
    /// How much.
    amount: f64,
    /// The payment: the same reference is booked once.
    reference: Option<String>,
    /// In words.
    #[serde(default)]
    note: String,
}

/// A page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn transaction(entry: &Transaction) -> TransactionView {
    TransactionView {
        id: entry.id.clone(),
        kind: entry.booking.kind.clone(),
        reference: entry.booking.reference.clone(),
        amount: units(entry.booking.amount_micro),
        currency: entry.booking.currency.clone(),
        balance: entry.balance_micro.map(units),
        note: entry.booking.note.clone(),
        at: entry.booking.at.to_string(),
    }
}

async fn transactions(
    api: &Api,
    scope: &TenantScope,
    customer: Option<&str>,
    query: &PageQuery,
) -> Result<Answer, Problem> {
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.transactions(scope, customer, &page).await?;
    let views: Vec<_> = list.items.iter().map(transaction).collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

async fn top_up(
    api: &Api,
    caller: &Caller,
    scope: &TenantScope,
    customer: Option<String>,
    currency: &str,
    body: TopUp,
) -> Result<Option<Transaction>, Problem> {
    let mut faults = Faults::default();
    faults.maybe("reference", body.reference.as_deref(), NAME_CHARACTERS_MAX);
    faults.maybe("note", Some(&body.note), NAME_CHARACTERS_MAX);
    faults.done()?;
    let booking = Booking {
        final_customer_id: customer.clone(),
        kind: "top_up".to_owned(),
        reference: Some(body.reference.unwrap_or_else(store::new_id)),
        amount_micro: micro("amount", body.amount)?,
        currency: currency.to_owned(),
        note: body.note,
        at: Timestamp::now(),
    };
    let store = caller.store(api, None, None);
    let made = store.book(scope, &booking).await?;
    let note = store::AuditNote {
        action: "top_up".to_owned(),
        entity: if customer.is_some() {
            "final_customer"
        } else {
            "tenant"
        }
        .to_owned(),
        entity_id: customer.unwrap_or_else(|| scope.tenant().to_string()),
        detail: Some(json!({ "amount": body.amount, "reference": booking.reference }).to_string()),
    };
    store.audit(scope.into(), &note).await?;
    Ok(made)
}

/// The balance of a final customer.
#[utoipa::path(get, path = "/api/final-customers/{id}/billing/balance", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = Balance)))]
pub(crate) async fn customer_balance(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (_, customer) = find_customer(&api, &caller, &id).await?;
    Answer::ok(Balance {
        balance: customer.balance_micro.map(units),
        currency: customer.currency.clone(),
    })
}

/// The transactions of a final customer, newest first.
#[utoipa::path(get, path = "/api/final-customers/{id}/billing/transactions", tag = "billing",
    params(("id" = String, Path), PageQuery), responses((status = 200, body = [TransactionView])))]
pub(crate) async fn customer_transactions(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Answer, Problem> {
    let (scope, _) = find_customer(&api, &caller, &id).await?;
    transactions(&api, &scope, Some(&id), &query).await
}

/// Adds to the balance of a final customer.
#[utoipa::path(post, path = "/api/final-customers/{id}/billing/transactions", tag = "billing",
    params(("id" = String, Path)), request_body = TopUp,
    responses((status = 201, body = Balance), (status = 200, body = Balance, description = "That reference was booked.")))]
pub(crate) async fn customer_top_up(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<TopUp>,
) -> Result<Answer, Problem> {
    let (scope, customer) = find_customer(&api, &caller, &id).await?;
    let made = top_up(
        &api,
        &caller,
        &scope,
        Some(id.clone()),
        &customer.currency,
        body,
    )
    .await?;
    let after = found(api.store.final_customer(&scope, &id).await?)?;
    let balance = Balance {
        balance: after.balance_micro.map(units),
        currency: after.currency.clone(),
    };
    if made.is_some() {
        Answer::created(balance)
    } else {
        Answer::ok(balance)
    }
}

/// The transactions of an account, newest first.
#[utoipa::path(get, path = "/api/accounts/{id}/billing/transactions", tag = "billing",
    params(("id" = String, Path), PageQuery), responses((status = 200, body = [TransactionView])))]
pub(crate) async fn account_transactions(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Answer, Problem> {
    let scope = caller.scope(Some(&id))?;
    found(api.store.tenant(&scope).await?)?;
    transactions(&api, &scope, None, &query).await
}

/// Adds to the balance of an account.
#[utoipa::path(post, path = "/api/accounts/{id}/billing/transactions", tag = "billing", params(("id" = String, Path)),
    request_body = TopUp,
    responses((status = 201, body = Balance), (status = 200, body = Balance, description = "That reference was booked.")))]
pub(crate) async fn account_top_up(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<TopUp>,
) -> Result<Answer, Problem> {
    let scope = caller.scope(Some(&id))?;
    let tenant = found(api.store.tenant(&scope).await?)?;
    let made = top_up(&api, &caller, &scope, None, &tenant.currency, body).await?;
    let after = found(api.store.tenant(&scope).await?)?;
    let balance = Balance {
        balance: after.balance_micro.map(units),
        currency: after.currency.clone(),
    };
    if made.is_some() {
        Answer::created(balance)
    } else {
        Answer::ok(balance)
    }
}

/// What can be written of a plan.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanWrite {
    /// Its name.
    name: String,
    /// Its price.
    price: f64,
    /// ISO 4217 code.
    currency: String,
    /// `once`, `month` or `year`.
    period: String,
    /// Whether it may be subscribed to.
    is_active: bool,
    /// What is included.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

impl Default for PlanWrite {
    fn default() -> Self {
        Self {
            name: String::new(),
            price: 0.0,
            currency: "EUR".to_owned(),
            period: "month".to_owned(),
            is_active: true,
            settings: Map::new(),
        }
    }
}

/// A new plan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the schema of the request; its values are merged")]
pub(crate) struct PlanCreate {
    /// Of which account; absent: of the credential's own.
    account_id: Option<String>,
    /// Its name.
    name: String,
    /// Its price; 0 where absent.
    price: Option<f64>,
    /// ISO 4217 code; EUR where absent.
    currency: Option<String>,
    /// `once`, `month` (where absent) or `year`.
    period: Option<String>,
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanView {
    /// Its id.
    id: String,
    /// Of which account.
    account_id: String,
    /// What can be written of it.
    #[serde(flatten)]
    content: PlanWrite,
    /// Rises with each change; the entity tag.
    version: i64,
}

/// Which plans.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct PlanQuery {
    /// Of which account; the operator of the node must name one.
    account_id: Option<String>,
    /// Most entries of the page.
    limit: Option<u32>,
    /// Where the page before ended.
    cursor: Option<String>,
}

fn plan_writable(plan: &Plan) -> PlanWrite {
    PlanWrite {
        name: plan.name.clone(),
        price: units(plan.price_micro),
        currency: plan.currency.clone(),
        period: plan.period.clone(),
        is_active: plan.is_active,
        settings: object(&plan.settings),
    }
}

fn plan_view(entry: &Entry<Plan>) -> PlanView {
    PlanView {
        id: entry.id.clone(),
        account_id: entry.tenant.clone().unwrap_or_default(),
        content: plan_writable(entry),
        version: entry.version,
    }
}

fn plan_checked(write: PlanWrite) -> Result<Plan, Problem> {
    let mut faults = Faults::default();
    faults.text("name", &write.name, NAME_CHARACTERS_MAX);
    faults.currency("currency", &write.currency);
    faults.choice("period", &write.period, &["once", "month", "year"]);
    faults.unless(write.price >= 0.0, "price", "range", "≥ 0");
    faults.done()?;
    Ok(Plan {
        name: write.name,
        price_micro: micro("price", write.price)?,
        currency: write.currency,
        period: write.period,
        settings: Value::Object(write.settings).to_string(),
        is_active: write.is_active,
    })
}

/// The plans of an account.
#[utoipa::path(get, path = "/api/plans", tag = "billing", params(PlanQuery), responses((status = 200, body = [PlanView])))]
pub(crate) async fn plans(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<PlanQuery>,
) -> Result<Answer, Problem> {
    let (reach, _) = reach_of_list(&api, &caller, query.account_id.as_deref(), None).await?;
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api
        .store
        .plans(&reach, &PlanFilter::default(), &page)
        .await?;
    let views: Vec<_> = list.items.iter().map(plan_view).collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// Makes a plan.
#[utoipa::path(post, path = "/api/plans", tag = "billing", request_body = PlanCreate,
    responses((status = 201, body = PlanView)))]
pub(crate) async fn create_plan(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    let account = super::owner::account_in(&body)?;
    let scope = api.account_scope(&caller, account.as_deref()).await?;
    let plan = plan_checked(merged(&PlanWrite::default(), body)?)?;
    let after = serde_json::to_value(plan_writable(&plan)).unwrap_or_default();
    let entry = caller
        .store(&api, None, Some(&after))
        .create_plan(&scope, &store::new_id(), &plan)
        .await?;
    Ok(Answer::created(plan_view(&entry))?.with_tag(tag(entry.version)))
}

/// Changes a plan; fields that are not sent keep their values.
#[utoipa::path(put, path = "/api/plans/{id}", tag = "billing", params(("id" = String, Path)),
    request_body(content = Object, description = "Any fields of a plan."), responses((status = 200, body = PlanView)))]
pub(crate) async fn update_plan(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Answer, Problem> {
    repeat(&headers, || async {
        let scope = of(&api, &caller, Owned::Plan, &id).await?;
        let before = found(api.store.plan(&scope, &id).await?)?;
        let version = api.expected(&headers, &scope, before.version).await?;
        let was = plan_writable(&before);
        let plan = plan_checked(merged(&was, body.clone())?)?;
        let was = serde_json::to_value(was).unwrap_or_default();
        let is = serde_json::to_value(plan_writable(&plan)).unwrap_or_default();
        let entry = caller
            .store(&api, Some(&was), Some(&is))
            .update_plan(&scope, &id, &plan, version)
            .await?;
        Ok(Answer::ok(plan_view(&entry))?.with_tag(tag(entry.version)))
    })
    .await
}

/// Removes a plan that nobody has subscribed to.
#[utoipa::path(delete, path = "/api/plans/{id}", tag = "billing", params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn remove_plan(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let scope = of(&api, &caller, Owned::Plan, &id).await?;
    caller
        .store(&api, None, None)
        .delete_plan(&scope, &id, None)
        .await?;
    Ok(Answer::empty())
}

/// Which plan to subscribe to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subscribe {
    /// The plan.
    plan_id: String,
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubscriptionView {
    /// Its id.
    id: String,
    /// Whose.
    final_customer_id: String,
    /// The plan.
    plan_id: String,
    /// `active` or `cancelled`.
    state: String,
    /// ISO-8601.
    starts_at: String,
    /// ISO-8601.
    ends_at: Option<String>,
}

fn subscription_view(entry: &Entry<Subscription>) -> SubscriptionView {
    SubscriptionView {
        id: entry.id.clone(),
        final_customer_id: entry.final_customer_id.clone(),
        plan_id: entry.plan_id.clone(),
        state: entry.state.clone(),
        starts_at: entry.starts_at.to_string(),
        ends_at: entry.ends_at.map(|at| at.to_string()),
    }
}

/// The subscriptions of a final customer.
#[utoipa::path(get, path = "/api/final-customers/{id}/subscriptions", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = [SubscriptionView])))]
pub(crate) async fn subscriptions(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, _) = find_customer(&api, &caller, &id).await?;
    let filter = SubscriptionFilter {
        final_customer_id: Some(id),
        ..SubscriptionFilter::default()
    };
    let list = api
        .store
        .subscriptions(&scope, &filter, &page(None, None)?)
        .await?;
    Answer::ok(list.items.iter().map(subscription_view).collect::<Vec<_>>())
}

/// Subscribes a final customer to a plan; its price is booked on the customer's balance where one is kept.
#[utoipa::path(post, path = "/api/final-customers/{id}/subscriptions", tag = "billing", params(("id" = String, Path)),
    request_body = Subscribe, responses((status = 201, body = SubscriptionView)))]
pub(crate) async fn subscribe(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Subscribe>,
) -> Result<Answer, Problem> {
    let (scope, customer) = find_customer(&api, &caller, &id).await?;
    let plan = api
        .store
        .plan(&scope, &body.plan_id)
        .await?
        .filter(|plan| plan.is_active)
        .ok_or_else(|| Problem::field("planId", "reference", "planId"))?;
    let subscription = Subscription {
        final_customer_id: id.clone(),
        plan_id: body.plan_id,
        state: "active".to_owned(),
        starts_at: Timestamp::now(),
        ends_at: None,
    };
    let store = caller.store(
        &api,
        None,
        Some(&json!({ "planId": plan.id, "customer": id })),
    );
    let entry = store
        .create_subscription(&scope, &store::new_id(), &subscription)
        .await?;
    if customer.balance_micro.is_some() && plan.price_micro > 0 {
        let booking = Booking {
            final_customer_id: Some(id),
            kind: "subscription".to_owned(),
            reference: Some(entry.id.clone()),
            amount_micro: -plan.price_micro,
            currency: plan.currency.clone(),
            note: plan.name.clone(),
            at: entry.starts_at,
        };
        store.book(&scope, &booking).await?;
    }
    Answer::created(subscription_view(&entry))
}

/// What an account spends.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    /// ISO 4217 code.
    currency: String,
    /// What is left; null: no balance is kept.
    balance: Option<f64>,
    /// Most that calls may cost in a day.
    budget_daily: Option<f64>,
    /// What calls and chats cost in the last 24 hours.
    spent_day: f64,
    /// What calls and chats cost in the last 30 days.
    spent_month: f64,
    /// Calls that run now.
    running_calls: i64,
}

/// What an account has spent, and what is left.
#[utoipa::path(get, path = "/api/usage", tag = "billing", params(PlanQuery), responses((status = 200, body = Usage)))]
pub(crate) async fn usage(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<PlanQuery>,
) -> Result<Answer, Problem> {
    let (scope, _) = scope_of_list(&api, &caller, query.account_id.as_deref(), None).await?;
    let tenant = found(api.store.tenant(&scope).await?)?;
    let spent = async |hours: i64| {
        let since = Timestamp::now()
            .checked_sub(SignedDuration::from_hours(hours))
            .map_err(Problem::internal)?;
        Ok::<f64, Problem>(units(api.store.spend_since(&scope, since).await?.abs()))
    };
    Answer::ok(Usage {
        currency: tenant.currency.clone(),
        balance: tenant.balance_micro.map(units),
        budget_daily: tenant.budget_daily_micro.map(units),
        spent_day: spent(24).await?,
        spent_month: spent(24 * 30).await?,
        running_calls: api.store.running_calls(&scope, None).await?,
    })
}

/// What models cost, from a day on.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Prices {
    /// Beginning of the names of the models; the longest that fits counts.
    model_prefix: String,
    /// ISO-8601.
    valid_from: String,
    /// ISO 4217 code.
    currency: String,
    /// The prices, for a million tokens or a minute.
    #[schema(value_type = Object)]
    prices: Map<String, Value>,
}

/// The price tables of the node.
#[utoipa::path(get, path = "/api/price-tables", tag = "billing", responses((status = 200, body = [Prices])))]
pub(crate) async fn prices(State(api): State<Arc<Api>>) -> Result<Answer, Problem> {
    let tables = api.store.node_prices().await?;
    let views: Vec<_> = tables
        .into_iter()
        .map(|table| Prices {
            model_prefix: table.model_prefix,
            valid_from: table.valid_from.to_string(),
            currency: table.currency,
            prices: object(&table.prices),
        })
        .collect();
    Answer::ok(views)
}

/// Sets the prices of models from a day on.
#[utoipa::path(put, path = "/api/price-tables", tag = "billing", request_body = Prices,
    responses((status = 200, body = Prices)))]
pub(crate) async fn set_prices(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Prices>,
) -> Result<Answer, Problem> {
    let mut faults = Faults::default();
    faults.text("modelPrefix", &body.model_prefix, 100);
    faults.currency("currency", &body.currency);
    let numbers = body
        .prices
        .values()
        .all(|price| price.as_f64().is_some_and(|price| price >= 0.0));
    faults.unless(numbers, "prices", "type", "number ≥ 0");
    faults.done()?;
    let valid_from: Timestamp = body
        .valid_from
        .parse()
        .map_err(|_| Problem::field("validFrom", "time", "ISO-8601"))?;
    let table = PriceTable {
        model_prefix: body.model_prefix.clone(),
        valid_from,
        currency: body.currency.clone(),
        prices: Value::Object(body.prices.clone()).to_string(),
    };
    let store = caller.store(&api, None, None);
    store.node_set_prices(&table).await?;
    let note = store::AuditNote {
        action: "changed".to_owned(),
        entity: "price_table".to_owned(),
        entity_id: body.model_prefix.clone(),
        detail: serde_json::to_string(&body).ok(),
    };
    store.audit(store::Realm::Node, &note).await?;
    Answer::ok(body)
}
