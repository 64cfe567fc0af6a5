//! What a restaurant is made of, each with the same four routes: the parts of its menu, its services, rooms, tables, offers.
//!
//! `GET ?restaurantId[&id]`, `POST {restaurantId, …}` → 201, `PATCH {id, …}`, `DELETE ?id`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::app::App;
use super::need::Need;
use super::refusal::Refusal;
use super::request::{Members, Query, shown};
use super::routes::Routes;
use super::who::Who;
use crate::store::column::Table;
use crate::store::rows::{Filter, delete, insert, list, one, update};
use crate::store::{HouseScope, Set, record, settle, tables};

/// Address and table of each.
const RESOURCES: &[(&str, &Table)] = &[
    ("/api/categories", &tables::MENU_CATEGORIES),
    ("/api/menu-items", &tables::MENU_ITEMS),
    ("/api/menus", &tables::SET_MENUS),
    ("/api/dining-services", &tables::DINING_SERVICES),
    ("/api/rooms", &tables::DINING_ROOMS),
    ("/api/tables", &tables::TABLES),
    ("/api/table-combinations", &tables::TABLE_COMBINATIONS),
    ("/api/offers", &tables::OFFERS),
];

pub(super) fn add(routes: &mut Routes) {
    for (path, table) in RESOURCES.iter().copied() {
        routes.get(path, Need::read(), move |state, who, query| {
            read(table, state, who, query)
        });
        routes.post(path, Need::change(), move |state, who, body| {
            create(table, state, who, body)
        });
        routes.patch(path, Need::change(), move |state, who, body| {
            change(table, state, who, body)
        });
        routes.delete(path, Need::change(), move |state, who, query| {
            remove(table, state, who, query)
        });
    }
}

async fn read(
    table: &'static Table,
    State(app): State<Arc<App>>,
    who: Who,
    query: Query,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    if let Some(id) = query.text("id") {
        let Some(Value::Object(row)) = one(&app.db, &scope, table, id).await? else {
            return Err(Refusal::unknown());
        };
        return Ok(shown(StatusCode::OK, row));
    }
    let rows = list(&app.db, &scope, table, Filter::default()).await?;
    Ok(Json(rows).into_response())
}

async fn create(
    table: &'static Table,
    State(app): State<Arc<App>>,
    who: Who,
    body: Members,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, body.text("restaurantId")).await?;
    let sets = record::read(table, &body.0, true)?;
    let mut tx = app.db.begin().await?;
    let made = insert(&mut tx, &scope, table, sets).await;
    let row = settle(tx, made).await?;
    Ok(shown(StatusCode::CREATED, row))
}

async fn change(
    table: &'static Table,
    State(app): State<Arc<App>>,
    who: Who,
    body: Members,
) -> Result<Response, Refusal> {
    let id = body.needed("id")?;
    let scope = who.house_of(&app, table, id).await?;
    let sets = record::read(table, &body.0, false)?;
    let row = changed(&app, &who, &scope, table, id, sets).await?;
    Ok(shown(StatusCode::OK, row))
}

/// Changes one row, in a write of its own; the row as it is now.
///
/// # Errors
/// 404 when there is none, 412 when it was changed since the client read it.
pub(super) async fn changed(
    app: &App,
    who: &Who,
    scope: &HouseScope,
    table: &Table,
    id: &str,
    sets: Vec<Set>,
) -> Result<Map<String, Value>, Refusal> {
    let mut tx = app.db.begin().await?;
    let changed = async {
        who.expected.check_in(&mut tx, scope, table, id).await?;
        update(&mut tx, scope, table, id, sets).await
    };
    let changed = changed.await;
    settle(tx, changed).await?.ok_or_else(Refusal::unknown)
}

/// `DELETE ?id` of a row.
pub(super) async fn remove(
    table: &'static Table,
    State(app): State<Arc<App>>,
    who: Who,
    query: Query,
) -> Result<Response, Refusal> {
    let id = query.needed("id")?;
    let scope = who.house_of(&app, table, id).await?;
    let mut tx = app.db.begin().await?;
    let removed = async {
        who.expected.check_in(&mut tx, &scope, table, id).await?;
        delete(&mut tx, &scope, table, id).await
    };
    let removed = removed.await;
    if !settle(tx, removed).await? {
        return Err(Refusal::unknown());
    }
    Ok(Json(json!({ "success": true })).into_response())
}
