//! `GET`, `POST`, `PATCH /api/orders` and the status of a caller's.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::app::App;
use super::desk::{asker, asker_of, desk, looking};
use super::need::Need;
use super::refusal::Refusal;
use super::request::{Members, Query};
use super::routes::Routes;
use super::who::Who;
use crate::store::tables;

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/orders", Need::read(), list);
    routes.post("/api/orders", Need::work().or_voice(), create);
    routes.patch("/api/orders", Need::work().or_voice(), change);
    routes.get("/api/orders/status", Need::read().or_voice(), status);
}

/// `a,b` as a list.
pub(super) fn words(text: Option<&str>) -> Vec<&str> {
    text.into_iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .take(20)
        .collect()
}

async fn list(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    Ok(desk(&app)
        .orders(&scope, &words(query.text("status")))
        .await?
        .into_response())
}

async fn create(
    State(app): State<Arc<App>>,
    who: Who,
    headers: HeaderMap,
    body: Members,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, body.text("restaurantId")).await?;
    if !body.0.get("items").is_some_and(Value::is_array) {
        return Err(Refusal::missing("items"));
    }
    let caller = body.text("customerPhone").map(str::to_owned);
    let asker = asker(&who, &headers, caller, body.text("callId"), false);
    let reply = desk(&app)
        .create_order(&scope, &asker, Value::Object(body.0), Timestamp::now())
        .await?;
    if reply.status == 201 {
        let told = json!({"id": reply.body["id"], "orderNumber": reply.body["orderNumber"], "total": reply.body["total"]});
        app.tell(scope.restaurant(), "order.created", told);
    }
    Ok(reply.into_response())
}

async fn change(
    State(app): State<Arc<App>>,
    who: Who,
    headers: HeaderMap,
    body: Members,
) -> Result<Response, Refusal> {
    let id = body.needed("id")?;
    let scope = who.house_of(&app, &tables::ORDERS, id).await?;
    let asker = asker_of(&who, &headers, &body);
    let reply = desk(&app)
        .change_order(&scope, &asker, &body.0, Timestamp::now())
        .await?;
    if reply.status == 200 {
        let kind = match body.text("status") {
            Some("cancelled") => "order.cancelled",
            _ => "order.updated",
        };
        app.tell(
            scope.restaurant(),
            kind,
            json!({"id": id, "status": reply.body["status"]}),
        );
    }
    Ok(reply.into_response())
}

async fn status(
    State(app): State<Arc<App>>,
    who: Who,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let (asker, number) = looking(&who, &headers, &query)?;
    Ok(desk(&app)
        .order_status(&scope, &asker, &number, Timestamp::now())
        .await?
        .into_response())
}
