//! Calls (contracts.md 1.8): the record that an older voice side keeps itself, and the receiver of the end of a call.

mod ending;

use std::sync::Arc;

use ::store::Statement;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::app::App;
use super::need::Need;
use super::refusal::Refusal;
use super::request::{Members, Query};
use super::routes::Routes;
use super::rows::changed;
use super::signature::restaurant_of;
use super::who::Who;
use crate::store::rows::{Filter, insert, list, one};
use crate::store::{HouseScope, record, settle, tables};

/// Calls of one list when nothing is asked.
const LISTED: i64 = 20;
/// Calls of one list at most.
const LISTED_MAX: i64 = 500;
/// A call that began so long ago and has no end was given up.
const STALE_AFTER: SignedDuration = SignedDuration::from_hours(3);

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/calls", Need::read(), calls);
    let body = Need::work().or_voice().import();
    routes.post("/api/calls", body, begun_or_ended);
    routes.patch("/api/calls", body, completed);
}

async fn calls(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    if let Some(id) = query.text("id") {
        let row = one(&app.db, &scope, &tables::CALLS, id).await?;
        return Ok(Json(row.ok_or_else(Refusal::unknown)?).into_response());
    }
    sweep(&app, &scope).await?;
    let limit = query.number("limit", 1, LISTED_MAX)?.unwrap_or(LISTED);
    let mut filter = Filter::default().first(limit);
    if let Some(from) = query.text("from") {
        let from: Timestamp = from
            .parse()
            .map_err(|_| Refusal::field("from", "2026-11-29T00:00:00Z"))?;
        filter = filter.with("started_at >= ", from);
    }
    let rows = list(&app.db, &scope, &tables::CALLS, filter).await?;
    Ok(Json(rows).into_response())
}

/// Calls whose end nobody told are abandoned.
async fn sweep(app: &App, scope: &HouseScope) -> Result<(), Refusal> {
    let before = Timestamp::now() - STALE_AFTER;
    let stale = |statement: &mut Statement| {
        scope.limit(statement);
        statement.push(" AND outcome = 'in_progress'");
        statement.with(" AND started_at < ", before);
    };
    let mut asked = Statement::new("SELECT id FROM restaurant_calls WHERE ");
    stale(&mut asked);
    asked.push(" LIMIT 1");
    if app.db.row(asked).await?.is_none() {
        return Ok(());
    }
    let mut swept = Statement::new("UPDATE restaurant_calls SET outcome = 'abandoned'");
    swept
        .with(", updated_at = ", Timestamp::now())
        .push(" WHERE ");
    stale(&mut swept);
    let mut tx = app.db.begin().await?;
    let done = tx.run(swept, "call").await;
    settle(tx, done).await?;
    Ok(())
}

async fn begun_or_ended(
    State(app): State<Arc<App>>,
    who: Who,
    Members(body): Members,
) -> Result<Response, Refusal> {
    let ended = ["finalContext", "toolCalls", "costs", "endedAt"];
    let ended = ended.iter().any(|name| body.contains_key(*name));
    let value = Value::Object(body);
    let scope = who.house(&app, restaurant_of(&value)).await?;
    if ended {
        let id = ending::receive(&app, &scope, &who, &value).await?;
        return Ok(Json(json!({ "ok": true, "id": id })).into_response());
    }
    let Value::Object(mut body) = value else {
        return Err(Refusal::bad_request("a JSON object is expected"));
    };
    if !body.contains_key("startedAt") {
        body.insert("startedAt".to_owned(), record::iso(Timestamp::now()).into());
    }
    body.retain(|name, _| {
        matches!(
            name.as_str(),
            "callerNumber" | "customerId" | "startedAt" | "phoneLineId" | "aiModel"
        )
    });
    let sets = record::read(&tables::CALLS, &body, true)?;
    let mut tx = app.db.begin().await?;
    let made = insert(&mut tx, &scope, &tables::CALLS, sets).await;
    let row = settle(tx, made).await?;
    let row = Value::Object(row);
    app.tell(scope.restaurant(), "call.started", row.clone());
    Ok((StatusCode::CREATED, Json(row)).into_response())
}

/// An older voice side completes its own record.
async fn completed(
    State(app): State<Arc<App>>,
    who: Who,
    Members(mut body): Members,
) -> Result<Response, Refusal> {
    let id = body.get("id").and_then(Value::as_str).map(str::to_owned);
    let id = id.ok_or_else(|| Refusal::missing("id"))?;
    let scope = who.house_of(&app, &tables::CALLS, &id).await?;
    body.remove("voiceCallId");
    let sets = record::read(&tables::CALLS, &body, false)?;
    let row = Value::Object(changed(&app, &who, &scope, &tables::CALLS, &id, sets).await?);
    app.tell(scope.restaurant(), "call.changed", row.clone());
    Ok(Json(row).into_response())
}
