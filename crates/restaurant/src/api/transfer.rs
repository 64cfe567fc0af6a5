//! A whole restaurant as one JSON document: to keep, to copy, to take elsewhere. Without passwords and keys.
//!
//! An import makes a new restaurant: every row gets a new id, and whatever named an old one names the new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::app::App;
use super::houses::{account, note, sets};
use super::need::Need;
use super::refusal::Refusal;
use super::request::{Members, Query};
use super::routes::Routes;
use super::who::Who;
use crate::store::column::Table;
use crate::store::rows::{Filter, insert_as, list};
use crate::store::{houses, record, settle, tables};

/// What a document says that it is.
const FORMAT: &str = "allo-restaurant";
/// Rows of one document.
const ROWS_MAX: usize = 20_000;

/// What the restaurant is made of, each after what it refers to.
const MADE_OF: &[(&str, &Table)] = &[
    ("categories", &tables::MENU_CATEGORIES),
    ("items", &tables::MENU_ITEMS),
    ("menus", &tables::SET_MENUS),
    ("services", &tables::DINING_SERVICES),
    ("rooms", &tables::DINING_ROOMS),
    ("tables", &tables::TABLES),
    ("combinations", &tables::TABLE_COMBINATIONS),
    ("offers", &tables::OFFERS),
    ("faqs", &tables::FAQS),
    ("blockedPhones", &tables::BLOCKED_PHONES),
];

/// What happened there, with `?all=true`.
const HAPPENED: &[(&str, &Table)] = &[
    ("customers", &tables::CUSTOMERS),
    ("orders", &tables::ORDERS),
    ("orderLines", &tables::ORDER_LINES),
    ("reservations", &tables::RESERVATIONS),
    ("messages", &tables::MESSAGES),
];

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/restaurants/export", Need::change(), export);
    let need = Need::change().import();
    routes.post("/api/restaurants/import", need, import);
}

async fn export(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let mut house = houses::one(&app.db, &scope)
        .await?
        .ok_or_else(Refusal::unknown)?;
    house.retain(|name, _| !super::houses::OWN.contains(&name.as_str()));
    let mut document = Map::new();
    document.insert("format".to_owned(), FORMAT.into());
    document.insert("version".to_owned(), 1.into());
    document.insert(
        "exportedAt".to_owned(),
        record::iso(Timestamp::now()).into(),
    );
    document.insert("restaurant".to_owned(), Value::Object(house));
    let happened: &[_] = if query.flag("all") { HAPPENED } else { &[] };
    for (name, table) in MADE_OF.iter().chain(happened) {
        let rows = list(&app.db, &scope, table, Filter::default().by("id")).await?;
        document.insert((*name).to_owned(), rows.into());
    }
    let name = HeaderValue::from_static("attachment; filename=\"restaurant.json\"");
    Ok(([(header::CONTENT_DISPOSITION, name)], Json(document)).into_response())
}

/// Puts new ids in the place of old ones, wherever they stand.
fn renew(value: &mut Value, ids: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(new) = ids.get(text.as_str()) {
                text.clone_from(new);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| renew(value, ids)),
        Value::Object(members) => members.values_mut().for_each(|value| renew(value, ids)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The rows of a document: their table, their new id, their members.
fn rows(document: &Map<String, Value>) -> Result<Vec<(&'static Table, String, Value)>, Refusal> {
    let mut found = Vec::new();
    let mut ids = BTreeMap::new();
    for (name, table) in MADE_OF.iter().chain(HAPPENED) {
        let rows = match document.get(*name) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(rows)) => rows,
            Some(_) => return Err(Refusal::field(name, "[…]")),
        };
        for row in rows {
            let id = ::store::new_id();
            if let Some(old) = row["id"].as_str() {
                ids.insert(old.to_owned(), id.clone());
            }
            found.push((*table, id, row.clone()));
            if found.len() > ROWS_MAX {
                return Err(Refusal::field(name, format!("{ROWS_MAX} max.")));
            }
        }
    }
    for (_, _, row) in &mut found {
        renew(row, &ids);
    }
    Ok(found)
}

async fn import(
    State(app): State<Arc<App>>,
    who: Who,
    Members(document): Members,
) -> Result<Response, Refusal> {
    if document.get("format") != Some(&Value::from(FORMAT)) {
        return Err(Refusal::field("format", FORMAT));
    }
    let Some(Value::Object(house)) = document.get("restaurant") else {
        return Err(Refusal::missing("restaurant"));
    };
    let tenant = account(&app, &who, &document).await?;
    let mut house = house.clone();
    house.retain(|name, _| !super::houses::OWN.contains(&name.as_str()));
    let sets = sets(&who, &mut house, true)?;
    let rows = rows(&document)?;
    let mut tx = app.db.begin().await?;
    let made = async {
        let (scope, house) = houses::create(&mut tx, &tenant, sets).await?;
        for (table, id, row) in &rows {
            let Value::Object(members) = row else {
                return Err(Refusal::field(table.what, "{…}"));
            };
            let sets = record::read(table, members, true)?;
            insert_as(&mut tx, &scope, table, id, sets).await?;
        }
        note(&mut tx, &scope, "restaurant.created", &house).await?;
        Ok::<_, Refusal>((scope, house))
    };
    let made = made.await;
    let (scope, mut house) = settle(tx, made).await?;
    app.tell(scope.restaurant(), "restaurant.created", json!({}));
    house.insert("imported".to_owned(), rows.len().into());
    Ok((StatusCode::CREATED, Json(house)).into_response())
}
