//! Restaurants (contracts.md 1.11).

use std::sync::Arc;

use ::store::Tx;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use call::TenantId;
use serde_json::{Map, Value, json};

use super::app::App;
use super::lines::forget_password;
use super::need::Need;
use super::refusal::Refusal;
use super::request::{Members, Query, shown};
use super::routes::Routes;
use super::who::Who;
use crate::after::Wishes;
use crate::provision::removal::owe;
use crate::store::rows::{Filter, insert, list};
use crate::store::{Access, HouseScope, Set, houses, record, settle, tables};

/// What the product writes itself: a client's word would let one restaurant act on the agent of another.
pub(super) const OWN: &[&str] = &[
    "agentId",
    "agentPublicToken",
    "finalCustomerId",
    "voiceAccountId",
];

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/health", Need::open(), health);
    routes.get("/api/restaurants", Need::read(), all);
    routes.post("/api/restaurants", Need::change(), create);
    routes.patch("/api/restaurants", Need::change(), change);
    routes.delete("/api/restaurants", Need::change(), remove);
    routes.get("/api/restaurants/{id}", Need::read(), one);
}

async fn health(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    app.store.check().await?;
    Ok(Json(json!({ "status": "ok" })).into_response())
}

async fn all(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    if let Some(id) = query.text("id") {
        return show(&app, &who, id).await;
    }
    Ok(Json(houses::all(&app.db, &who.access).await?).into_response())
}

async fn one(
    State(app): State<Arc<App>>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    show(&app, &who, &id).await
}

async fn show(app: &App, who: &Who, id: &str) -> Result<Response, Refusal> {
    let scope = who.house(app, Some(id)).await?;
    let house = houses::one(&app.db, &scope).await?;
    let house = house.ok_or_else(Refusal::unknown)?;
    Ok(shown(StatusCode::OK, house))
}

async fn create(
    State(app): State<Arc<App>>,
    who: Who,
    Members(mut body): Members,
) -> Result<Response, Refusal> {
    let tenant = account(&app, &who, &body).await?;
    check_printer(&app, &body)?;
    let sets = sets(&who, &mut body, true)?;
    let mut tx = app.db.begin().await?;
    let made = async {
        let (scope, house) = houses::create(&mut tx, &tenant, sets).await?;
        note(&mut tx, &scope, "restaurant.created", &house).await?;
        Ok::<_, Refusal>((scope, house))
    };
    let made = made.await;
    let (scope, house) = settle(tx, made).await?;
    app.tell(scope.restaurant(), "restaurant.created", json!({}));
    Ok(shown(StatusCode::CREATED, house))
}

/// The account that a new restaurant belongs to: its maker's; the operator of the node may name one.
pub(super) async fn account(
    app: &App,
    who: &Who,
    body: &Map<String, Value>,
) -> Result<String, Refusal> {
    if let Some(own) = who.account() {
        return Ok(own.to_owned());
    }
    let named = body.get("accountId").and_then(Value::as_str);
    let scope = named.map_or_else(::store::TenantScope::default, |id| {
        ::store::TenantScope::new(TenantId::from(id))
    });
    let known = app.store.tenant(&scope).await?;
    known.ok_or_else(Refusal::unknown)?;
    Ok(scope.tenant().as_str().to_owned())
}

/// A printer that the operator does not list would never print: whoever names it is told so at once.
fn check_printer(app: &App, body: &Map<String, Value>) -> Result<(), Refusal> {
    let notifications = body.get("notifications").cloned().unwrap_or_default();
    Wishes::of(&notifications, &Value::Null)?.check_printer(&app.config.senders.printers)?;
    Ok(())
}

pub(super) fn sets(
    who: &Who,
    body: &mut Map<String, Value>,
    whole: bool,
) -> Result<Vec<Set>, Refusal> {
    if who.access != Access::Node {
        body.retain(|name, _| !OWN.contains(&name.as_str()));
    }
    if let Some(zone) = body.get("timezone").and_then(Value::as_str)
        && jiff::tz::TimeZone::get(zone).is_err()
    {
        return Err(Refusal::field("timezone", "Europe/Paris, …"));
    }
    if let Some(hours) = body.get("openingHours")
        && crate::domain::hours::Hours::parse(hours).is_err()
    {
        let form = "{\"monday\": [{\"open\": \"12:00\", \"close\": \"14:30\"}], …}";
        return Err(Refusal::field("openingHours", form));
    }
    let member = |name: &str| body.get(name).cloned().unwrap_or_default();
    Wishes::of(&member("notifications"), &member("webhooks"))?;
    Ok(record::read(&tables::RESTAURANTS, body, whole)?)
}

/// Writes down what happened, in the same write: what follows a change begins from there.
pub(super) async fn note(
    tx: &mut Tx,
    scope: &HouseScope,
    kind: &str,
    house: &Map<String, Value>,
) -> Result<(), Refusal> {
    let event = json!({ "kind": kind, "subjectId": house.get("id"), "payload": {} });
    let Value::Object(event) = event else {
        return Ok(());
    };
    let sets = record::read(&tables::EVENTS, &event, true)?;
    insert(tx, scope, &tables::EVENTS, sets).await?;
    Ok(())
}

async fn change(
    State(app): State<Arc<App>>,
    who: Who,
    Members(mut body): Members,
) -> Result<Response, Refusal> {
    let id = body.get("id").and_then(Value::as_str).map(str::to_owned);
    let id = id.ok_or_else(|| Refusal::missing("id"))?;
    let scope = who.house(&app, Some(&id)).await?;
    check_printer(&app, &body)?;
    let sets = sets(&who, &mut body, false)?;
    let mut tx = app.db.begin().await?;
    let changed = async {
        let before = houses::one_in(&mut tx, &scope).await?;
        who.expected.check(&before.ok_or_else(Refusal::unknown)?)?;
        let house = houses::change(&mut tx, &scope, sets).await?;
        let house = house.ok_or_else(Refusal::unknown)?;
        note(&mut tx, &scope, "restaurant.changed", &house).await?;
        Ok::<_, Refusal>(house)
    };
    let changed = changed.await;
    let house = settle(tx, changed).await?;
    app.tell(scope.restaurant(), "restaurant.changed", json!({}));
    Ok(shown(StatusCode::OK, house))
}

async fn remove(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("id")).await?;
    let lines = list(&app.db, &scope, &tables::PHONE_LINES, Filter::default()).await?;
    let mut tx = app.db.begin().await?;
    let removed = async {
        let house = houses::one_in(&mut tx, &scope)
            .await?
            .ok_or_else(Refusal::unknown)?;
        who.expected.check(&house)?;
        let text = |name: &str| house.get(name).and_then(Value::as_str);
        owe(&mut tx, &scope, text("voiceAccountId"), text("agentId")).await?;
        houses::remove(&mut tx, &scope).await?;
        Ok::<_, Refusal>(())
    };
    let removed = removed.await;
    settle(tx, removed).await?;
    app.tell(scope.restaurant(), "restaurant.removed", json!({}));
    for line in lines.iter().filter_map(|line| line["id"].as_str()) {
        forget_password(&app, &scope, line).await?;
    }
    Ok(Json(json!({ "success": true })).into_response())
}
