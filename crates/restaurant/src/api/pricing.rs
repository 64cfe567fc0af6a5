//! Prices of the voice models (`GET/PUT /api/ai-pricing`), per million tokens, and of telephony: one table for each account.

use std::sync::Arc;

use ::store::Statement;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::app::App;
use super::need::Need;
use super::refusal::Refusal;
use super::request::{Members, Query};
use super::routes::Routes;
use super::who::Who;
use crate::store::{record, settle};

/// Models of one table.
const MODELS_MAX: usize = 200;
/// The four rates of a model.
const RATES: [&str; 4] = ["textInput", "textOutput", "audioInput", "audioOutput"];

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/ai-pricing", Need::read().or_voice(), prices);
    routes.put("/api/ai-pricing", Need::change(), change);
}

/// What holds where an account has set nothing: the list prices of the vendor, in US dollars.
fn pack() -> Value {
    let rates = |text_in: f64, text_out: f64, audio_in: f64, audio_out: f64| json!({ "textInput": text_in, "textOutput": text_out, "audioInput": audio_in, "audioOutput": audio_out });
    json!({
        "models": {
            "gpt-realtime": rates(4.0, 16.0, 32.0, 64.0),
            "gpt-realtime-mini": rates(0.6, 2.4, 10.0, 20.0),
            "gpt-4o-realtime-preview": rates(5.0, 20.0, 40.0, 80.0),
        },
        "defaultMarginPct": 30,
        "telecomCostPerMin": 0.008,
        "baseCurrency": "USD",
        "exchangeRates": {},
    })
}

async fn account(app: &App, who: &Who, query: &Query) -> Result<String, Refusal> {
    if let Some(id) = query.text("restaurantId") {
        return Ok(who.house(app, Some(id)).await?.tenant().to_owned());
    }
    let default = ::store::TenantScope::DEFAULT_TENANT;
    Ok(who.account().unwrap_or(default).to_owned())
}

async fn stored(app: &App, account: &str) -> Result<Value, Refusal> {
    let mut asked =
        Statement::new("SELECT prices, updated_at FROM restaurant_ai_prices WHERE tenant_id = ");
    asked.bind(account);
    let mut prices = pack();
    let Some(row) = app.db.row(asked).await? else {
        prices["updatedAt"] = Value::Null;
        return Ok(prices);
    };
    let own: Value = serde_json::from_str(&row.text("prices")?.unwrap_or_default())
        .map_err(Refusal::internal)?;
    for (name, value) in own.as_object().into_iter().flatten() {
        prices[name.as_str()] = value.clone();
    }
    let at = row.int("updated_at")?.unwrap_or_default();
    let at = Timestamp::from_microsecond(at).map_err(Refusal::internal)?;
    prices["updatedAt"] = record::iso(at).into();
    Ok(prices)
}

async fn prices(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let account = account(&app, &who, &query).await?;
    Ok(Json(stored(&app, &account).await?).into_response())
}

fn checked(body: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let amount = |value: &Value| value.as_f64().is_some_and(|n| (0.0..=1e6).contains(&n));
    let mut own = Map::new();
    if let Some(models) = body.get("models") {
        let expected = || Refusal::field("models", RATES.join(", "));
        let models = models.as_object().ok_or_else(expected)?;
        let complete = |rates: &Value| RATES.iter().all(|name| amount(&rates[*name]));
        if models.len() > MODELS_MAX || !models.values().all(complete) {
            return Err(expected());
        }
        own.insert("models".to_owned(), Value::Object(models.clone()));
    }
    for name in ["defaultMarginPct", "telecomCostPerMin"] {
        if let Some(value) = body.get(name) {
            if !amount(value) {
                return Err(Refusal::field(name, "0-1000000"));
            }
            own.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(currency) = body.get("baseCurrency") {
        let letters = |text: &str| text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase());
        if !currency.as_str().is_some_and(letters) {
            return Err(Refusal::field("baseCurrency", "USD, EUR, …"));
        }
        own.insert("baseCurrency".to_owned(), currency.clone());
    }
    if let Some(rates) = body.get("exchangeRates") {
        let members = rates.as_object().filter(|rates| rates.len() <= MODELS_MAX);
        if !members.is_some_and(|rates| rates.values().all(amount)) {
            return Err(Refusal::field("exchangeRates", "{\"EUR\": 0.92, …}"));
        }
        own.insert("exchangeRates".to_owned(), rates.clone());
    }
    Ok(own)
}

async fn change(
    State(app): State<Arc<App>>,
    who: Who,
    query: Query,
    body: Members,
) -> Result<Response, Refusal> {
    let account = account(&app, &who, &query).await?;
    let mut prices = stored(&app, &account).await?;
    for (name, value) in checked(&body.0)? {
        prices[name.as_str()] = value;
    }
    if let Some(members) = prices.as_object_mut() {
        members.remove("updatedAt");
    }
    let mut statement =
        Statement::new("INSERT INTO restaurant_ai_prices (tenant_id, prices, updated_at) VALUES (");
    statement.bind(account.as_str());
    statement.with(", ", prices.to_string());
    statement.with(", ", Timestamp::now());
    statement.push(
        ") ON CONFLICT (tenant_id) DO UPDATE SET prices = excluded.prices, updated_at = excluded.updated_at",
    );
    let mut tx = app.db.begin().await?;
    let done = tx.run(statement, "prices").await;
    settle(tx, done).await?;
    Ok(Json(stored(&app, &account).await?).into_response())
}
