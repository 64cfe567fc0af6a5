//! `GET`, `POST`, `PATCH /api/reservations` and the look-up of a caller's.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::app::App;
use super::desk::{asker_of, desk, looking};
use super::need::Need;
use super::orders::words;
use super::refusal::Refusal;
use super::request::{Members, Query};
use super::routes::Routes;
use super::who::Who;
use crate::store::tables;

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/reservations", Need::read(), list);
    routes.post("/api/reservations", Need::work().or_voice(), create);
    routes.patch("/api/reservations", Need::work().or_voice(), change);
    routes.get("/api/reservations/lookup", Need::read().or_voice(), lookup);
}

async fn list(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let reply = desk(&app)
        .reservations(&scope, query.text("date"), &words(query.text("status")))
        .await?;
    Ok(reply.into_response())
}

async fn create(
    State(app): State<Arc<App>>,
    who: Who,
    headers: HeaderMap,
    body: Members,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, body.text("restaurantId")).await?;
    let asker = asker_of(&who, &headers, &body);
    let reply = desk(&app)
        .create_reservation(&scope, &asker, Value::Object(body.0), Timestamp::now())
        .await?;
    if reply.status == 201 {
        let told = json!({"id": reply.body["id"], "reservationTime": reply.body["reservationTime"], "partySize": reply.body["partySize"]});
        app.tell(scope.restaurant(), "reservation.created", told);
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
    let scope = who.house_of(&app, &tables::RESERVATIONS, id).await?;
    let asker = asker_of(&who, &headers, &body);
    let reply = desk(&app)
        .change_reservation(&scope, &asker, &body.0, Timestamp::now())
        .await?;
    if reply.status == 200 {
        let kind = match body.text("status") {
            Some("cancelled") => "reservation.cancelled",
            _ => "reservation.updated",
        };
        app.tell(
            scope.restaurant(),
            kind,
            json!({"id": id, "status": reply.body["status"]}),
        );
    }
    Ok(reply.into_response())
}

async fn lookup(
    State(app): State<Arc<App>>,
    who: Who,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let (asker, number) = looking(&who, &headers, &query)?;
    Ok(desk(&app)
        .lookup_reservations(&scope, &asker, &number, Timestamp::now())
        .await?
        .into_response())
}
