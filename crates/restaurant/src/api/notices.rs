//! The ticket of an order, and what was sent of what happened: listed, and sent again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::app::App;
use super::need::Need;
use super::refusal::Refusal;
use super::request::Query;
use super::routes::Routes;
use super::who::Who;
use crate::after::ticket::{COLUMNS, COLUMNS_MAX, COLUMNS_MIN, Ticket};
use crate::domain::facts::{House, read};
use crate::store::rows::{Filter, list, one};
use crate::store::{houses, notices, tables};

/// Notices of one list when nothing is asked.
const LISTED: i64 = 100;
/// Notices of one list at most.
const LISTED_MAX: i64 = 1_000;
/// A page to print runs nothing and asks nobody.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'";

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/orders/{id}/ticket", Need::read(), ticket);
    routes.get("/api/notices", Need::read(), sent);
    routes.post("/api/notices/{id}/replay", Need::work(), again);
}

async fn ticket(
    State(app): State<Arc<App>>,
    who: Who,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Refusal> {
    let scope = who.house_of(&app, &tables::ORDERS, &id).await?;
    let (least, most) = (COLUMNS_MIN as i64, COLUMNS_MAX as i64);
    let columns = query.number("columns", least, most)?;
    let columns = columns.map_or(COLUMNS, |columns| {
        usize::try_from(columns).unwrap_or(COLUMNS)
    });
    let house = houses::one(&app.db, &scope).await?;
    let house = house.ok_or_else(Refusal::unknown)?;
    let house: House = read(Value::Object(house)).map_err(Refusal::internal)?;
    let order = one(&app.db, &scope, &tables::ORDERS, &id).await?;
    let mut order = order.ok_or_else(Refusal::unknown)?;
    let lines = Filter::default().with("order_id = ", id.as_str());
    order["items"] = list(&app.db, &scope, &tables::ORDER_LINES, lines)
        .await?
        .into();
    if let Some(customer) = order["customerId"].as_str().map(str::to_owned) {
        let customer = one(&app.db, &scope, &tables::CUSTOMERS, &customer).await?;
        order["customerAllergies"] = customer.map(|known| known["allergies"].clone()).into();
    }
    let ticket = Ticket::of(&house, &order, Timestamp::now());
    let (kind, body) = match query.text("format").unwrap_or("html") {
        "html" => ("text/html; charset=utf-8", ticket.html().into_bytes()),
        "text" => (
            "text/plain; charset=utf-8",
            ticket.text(columns).into_bytes(),
        ),
        "escpos" => ("application/octet-stream", ticket.escpos(columns)),
        _ => return Err(Refusal::field("format", "html, text, escpos")),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(PAGE_POLICY),
    );
    Ok(response)
}

async fn sent(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let limit = query.number("limit", 1, LISTED_MAX)?.unwrap_or(LISTED);
    let mut filter = Filter::default().first(limit);
    for (name, words) in [
        ("state", "state = "),
        ("channel", "channel = "),
        ("subjectId", "subject_id = "),
    ] {
        if let Some(value) = query.text(name) {
            filter = filter.with(words, value);
        }
    }
    let rows = list(&app.db, &scope, &tables::NOTICES, filter).await?;
    Ok(Json(rows).into_response())
}

async fn again(
    State(app): State<Arc<App>>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let scope = who.house_of(&app, &tables::NOTICES, &id).await?;
    let notice = one(&app.db, &scope, &tables::NOTICES, &id).await?;
    let notice = notice.ok_or_else(Refusal::unknown)?;
    let life = crate::after::life(notice["channel"].as_str().unwrap_or_default());
    if !notices::replay(&app.db, &scope, &id, life, Timestamp::now()).await? {
        return Err(Refusal::unknown());
    }
    app.tell(scope.restaurant(), "notice.replayed", json!({ "id": id }));
    Ok((StatusCode::ACCEPTED, Json(json!({ "success": true }))).into_response())
}
