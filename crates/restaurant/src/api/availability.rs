//! `POST /api/availability/check`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;

use super::app::App;
use super::desk::{asker, desk};
use super::need::Need;
use super::refusal::Refusal;
use super::request::Members;
use super::routes::Routes;
use super::who::Who;
use crate::desk::Reply;
use crate::domain::availability::refused;
use crate::domain::facts::House;

pub(super) fn add(routes: &mut Routes) {
    routes.post("/api/availability/check", Need::work().or_voice(), check);
}

async fn check(
    State(app): State<Arc<App>>,
    who: Who,
    headers: HeaderMap,
    body: Members,
) -> Result<Response, Refusal> {
    let id = body.needed("restaurantId")?.to_owned();
    let mode = body.needed("mode")?.to_owned();
    // The contract's reason, under the status of what does not exist or is another's.
    let Some(scope) = who.access.house(&app.db, &id).await? else {
        let answer = refused(&House::default(), &mode, "restaurant_not_found", None);
        let mut body = serde_json::to_value(answer).unwrap_or_default();
        body["error"] = body["message"].clone();
        return Ok(Reply { status: 404, body }.into_response());
    };
    let caller = body.text("callerPhone").map(str::to_owned);
    let asker = asker(&who, &headers, caller, body.text("callId"), false);
    let reply = desk(&app)
        .check_availability(&scope, &asker, Value::Object(body.0), Timestamp::now())
        .await?;
    Ok(reply.into_response())
}
