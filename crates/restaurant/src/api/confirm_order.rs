//! The two tools that have routes of their own: an order is confirmed, an order is cancelled.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::app::App;
use super::desk::{asker, desk};
use super::need::Need;
use super::refusal::Refusal;
use super::request::Members;
use super::routes::Routes;
use super::who::Who;

pub(super) fn add(routes: &mut Routes) {
    routes.post(
        "/api/ai/tools/confirm-order",
        Need::work().or_voice(),
        confirm,
    );
    routes.post(
        "/api/ai/tools/cancel-order",
        Need::work().or_voice(),
        cancel,
    );
}

async fn confirm(
    State(app): State<Arc<App>>,
    who: Who,
    headers: HeaderMap,
    body: Members,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, body.text("restaurantId")).await?;
    let caller = body.text("caller_phone").map(str::to_owned);
    let asker = asker(&who, &headers, caller, body.text("call_id"), false);
    let reply = desk(&app)
        .confirm_order(&scope, &asker, Value::Object(body.0), Timestamp::now())
        .await?;
    if reply.body["success"] == true && reply.body["repeated"] == false {
        let told = json!({"id": reply.body["order_id"], "orderNumber": reply.body["order_number"], "total": reply.body["total"]});
        app.tell(scope.restaurant(), "order.created", told);
    }
    Ok(reply.into_response())
}

async fn cancel(
    State(app): State<Arc<App>>,
    who: Who,
    headers: HeaderMap,
    body: Members,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, body.text("restaurantId")).await?;
    let caller = body.text("caller_phone").map(str::to_owned);
    let asker = asker(&who, &headers, caller, body.text("call_id"), true);
    let number = match body.0.get("order_number") {
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.trim().trim_start_matches('#').parse().ok(),
        _ => None,
    };
    let reply = desk(&app)
        .cancel_order(&scope, &asker, number, Timestamp::now())
        .await?;
    if let Some(id) = reply.body.get("order_id") {
        app.tell(
            scope.restaurant(),
            "order.cancelled",
            json!({"id": id, "orderNumber": number}),
        );
    }
    Ok(reply.into_response())
}
