//! The menu as one thing (`/api/menu`), as older clients read and write it, and as a table of values (CSV) for people.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::app::App;
use super::need::Need;
use super::refusal::Refusal;
use super::request::{Members, Query, shown};
use super::routes::Routes;
use super::rows::changed;
use super::who::Who;
use crate::store::column::Table;
use crate::store::rows::{Filter, hold_house, insert, list, list_in, update};
use crate::store::{record, settle, tables};

/// Rows of one table of values.
const CSV_ROWS_MAX: usize = 5_000;
/// Its columns.
const CSV_COLUMNS: [&str; 11] = [
    "id",
    "category",
    "name",
    "description",
    "price",
    "allergens",
    "tags",
    "availableFrom",
    "availableTo",
    "isAvailable",
    "displayOrder",
];

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/menu", Need::read(), menu);
    routes.post("/api/menu", Need::change(), create);
    routes.patch("/api/menu", Need::change(), change);
    routes.delete("/api/menu", Need::change(), remove);
    routes.get("/api/menu/csv", Need::read(), write_csv);
    routes.put("/api/menu/csv", Need::change().import(), read_csv);
}

async fn menu(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let all = |table| list(&app.db, &scope, table, Filter::default());
    let answer = json!({
        "categories": all(&tables::MENU_CATEGORIES).await?,
        "items": all(&tables::MENU_ITEMS).await?,
        "menus": all(&tables::SET_MENUS).await?,
    });
    Ok(Json(answer).into_response())
}

fn table_of(kind: Option<&str>) -> Result<&'static Table, Refusal> {
    match kind {
        None | Some("item") => Ok(&tables::MENU_ITEMS),
        Some("category") => Ok(&tables::MENU_CATEGORIES),
        Some("menu") => Ok(&tables::SET_MENUS),
        Some(_) => Err(Refusal::field("type", "item, category, menu")),
    }
}

async fn create(
    State(app): State<Arc<App>>,
    who: Who,
    Members(body): Members,
) -> Result<Response, Refusal> {
    let table = table_of(body.get("type").and_then(Value::as_str))?;
    let data = match body.get("data") {
        Some(Value::Object(data)) => data.clone(),
        _ => body.clone(),
    };
    let named = data
        .get("restaurantId")
        .or_else(|| body.get("restaurantId"));
    let scope = who.house(&app, named.and_then(Value::as_str)).await?;
    let sets = record::read(table, &data, true)?;
    let mut tx = app.db.begin().await?;
    let made = insert(&mut tx, &scope, table, sets).await;
    let row = settle(tx, made).await?;
    Ok(shown(StatusCode::CREATED, row))
}

async fn change(State(app): State<Arc<App>>, who: Who, body: Members) -> Result<Response, Refusal> {
    let table = table_of(body.text("type"))?;
    let id = body.needed("id")?;
    let scope = who.house_of(&app, table, id).await?;
    let sets = record::read(table, &body.0, false)?;
    let mut row = changed(&app, &who, &scope, table, id, sets).await?;
    row.insert("success".to_owned(), true.into());
    Ok(shown(StatusCode::OK, row))
}

async fn remove(state: State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let table = table_of(query.text("type"))?;
    super::rows::remove(table, state, who, query).await
}

/// A spreadsheet takes a text that begins so for a formula; an apostrophe keeps it a text.
fn harmless(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

/// The text that was made harmless.
fn meant(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if harmless(rest) != rest => rest,
        _ => text,
    }
}

fn texts(value: &Value) -> String {
    let list = value.as_array().cloned().unwrap_or_default();
    let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    texts.join("; ")
}

async fn write_csv(
    State(app): State<Arc<App>>,
    who: Who,
    query: Query,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let all = |table| list(&app.db, &scope, table, Filter::default());
    let categories = all(&tables::MENU_CATEGORIES).await?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(CSV_COLUMNS)
        .map_err(Refusal::internal)?;
    for item in all(&tables::MENU_ITEMS).await? {
        let category = categories
            .iter()
            .find(|row| row["id"] == item["categoryId"]);
        let category = category.map_or(Value::Null, |row| row["name"].clone());
        let fields = CSV_COLUMNS.map(|name| match name {
            "category" => harmless(category.as_str().unwrap_or_default()),
            "allergens" | "tags" => harmless(&texts(&item[name])),
            _ => match &item[name] {
                Value::String(text) => harmless(text),
                Value::Null => String::new(),
                other
                @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                    other.to_string()
                }
            },
        });
        writer.write_record(&fields).map_err(Refusal::internal)?;
    }
    let text = writer.into_inner().map_err(Refusal::internal)?;
    let kind = HeaderValue::from_static("text/csv; charset=utf-8");
    let name = HeaderValue::from_static("attachment; filename=\"menu.csv\"");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, text).into_response())
}

/// One row as a body of the table.
fn row_of(
    columns: &csv::StringRecord,
    fields: &csv::StringRecord,
    line: usize,
) -> Result<Map<String, Value>, Refusal> {
    let mut body = Map::new();
    for (name, text) in columns.iter().zip(fields) {
        let (name, text) = (name.trim(), meant(text.trim()));
        if text.is_empty() && name != "description" {
            continue;
        }
        let value = match name {
            "allergens" | "tags" => text
                .split(';')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .collect(),
            "isAvailable" => match text.to_lowercase().as_str() {
                "true" | "1" | "oui" | "yes" => true.into(),
                "false" | "0" | "non" | "no" => false.into(),
                _ => return Err(Refusal::field(&format!("{line}: {name}"), "true, false")),
            },
            _ => text.into(),
        };
        body.insert(name.to_owned(), value);
    }
    Ok(body)
}

/// Every row or none: an item whose id or (without one) name is known is changed, the others are made. Items that are not listed
/// stay as they are.
async fn read_csv(
    State(app): State<Arc<App>>,
    who: Who,
    query: Query,
    bytes: Bytes,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let separator = bytes
        .iter()
        .find(|byte| matches!(byte, b',' | b';' | b'\t'));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator.copied().unwrap_or(b','))
        .flexible(true)
        .from_reader(bytes);
    let bad = |error: csv::Error| Refusal::bad_request(error.to_string());
    let columns = reader.headers().map_err(bad)?.clone();
    let mut rows = Vec::new();
    for (index, fields) in reader.records().enumerate() {
        if index >= CSV_ROWS_MAX {
            return Err(Refusal::field("csv", format!("{CSV_ROWS_MAX} max.")));
        }
        rows.push(row_of(&columns, &fields.map_err(bad)?, index + 2)?);
    }
    let mut tx = app.db.begin().await?;
    let done = async {
        hold_house(&mut tx, &scope).await?;
        let mut made = 0_usize;
        for row in &rows {
            made += usize::from(put(&mut tx, &scope, row).await?);
        }
        Ok::<_, Refusal>(made)
    };
    let done = done.await;
    let made = settle(tx, done).await?;
    Ok(Json(json!({ "ok": true, "created": made, "updated": rows.len() - made })).into_response())
}

/// Whether a new item was made.
async fn put(
    tx: &mut ::store::Tx,
    scope: &crate::store::HouseScope,
    row: &Map<String, Value>,
) -> Result<bool, Refusal> {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let mut row = row.clone();
    if let Some(name) = text("category").map(str::to_owned) {
        let filter = Filter::default().with("name = ", name.as_str()).first(1);
        let known = list_in(tx, scope, &tables::MENU_CATEGORIES, filter).await?;
        let id = match known.first() {
            Some(known) => known["id"].clone(),
            None => {
                let body = Map::from_iter([("name".to_owned(), Value::from(name))]);
                let sets = record::read(&tables::MENU_CATEGORIES, &body, true)?;
                let made = insert(tx, scope, &tables::MENU_CATEGORIES, sets).await?;
                made["id"].clone()
            }
        };
        row.insert("categoryId".to_owned(), id);
    }
    let (column, value) = match (text("id"), text("name")) {
        (Some(id), _) => ("id = ", id.to_owned()),
        (None, Some(name)) => ("name = ", name.to_owned()),
        (None, None) => return Err(Refusal::missing("name")),
    };
    let filter = Filter::default().with(column, value).first(1);
    let known = list_in(tx, scope, &tables::MENU_ITEMS, filter).await?;
    match known.first().and_then(|row| row["id"].as_str()) {
        Some(id) => {
            let sets = record::read(&tables::MENU_ITEMS, &row, false)?;
            update(tx, scope, &tables::MENU_ITEMS, id, sets).await?;
            Ok(false)
        }
        None => {
            let sets = record::read(&tables::MENU_ITEMS, &row, true)?;
            insert(tx, scope, &tables::MENU_ITEMS, sets).await?;
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_formula() {
        for text in [
            "=1+1",
            "+33612345678",
            "-5",
            "@SUM(A1)",
            "\tx",
            "Margherita",
            "l'été",
            "'x",
        ] {
            let written = harmless(text);
            assert!(
                !written.starts_with(['=', '+', '-', '@', '\t', '\r']),
                "{written}"
            );
            assert_eq!(meant(&written), text);
        }
    }
}
