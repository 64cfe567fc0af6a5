//! Customers (contracts.md 1.7), messages (1.9) and questions (1.10).

use std::sync::Arc;

use ::store::{Cell, ChangeError, Tx};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::app::App;
use super::need::Need;
use super::refusal::Refusal;
use super::request::{Members, Query};
use super::routes::Routes;
use super::rows::{changed, remove};
use super::who::Who;
use crate::phone::spellings;
use crate::store::column::{Kind, Table};
use crate::store::order::note_event;
use crate::store::rows::{Filter, hold_house, insert, list, list_in, update};
use crate::store::{HouseScope, Set, record, settle, tables};

/// Customers of one list.
const CUSTOMERS_LISTED: i64 = 1_000;
/// Messages of one list.
const MESSAGES_LISTED: i64 = 500;

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/customers", Need::read(), customers);
    routes.post("/api/customers", Need::work().or_voice(), save_customer);
    routes.get("/api/messages", Need::read(), messages);
    routes.post("/api/messages", Need::work().or_voice(), leave_message);
    routes.patch("/api/messages", Need::work(), change_message);
    routes.delete("/api/messages", Need::work(), |state, who, query| {
        remove(&tables::MESSAGES, state, who, query)
    });
    routes.get("/api/faq", Need::read().or_voice(), questions);
    routes.post("/api/faq", Need::work().or_voice(), ask);
    routes.patch("/api/faq", Need::work(), answer);
    routes.delete("/api/faq", Need::work(), |state, who, query| {
        remove(&tables::FAQS, state, who, query)
    });
}

/// The customer of a number, however it is spelt.
///
/// # Errors
/// See [`ChangeError`].
pub async fn customer_of(
    tx: &mut Tx,
    scope: &HouseScope,
    number: &str,
) -> Result<Option<Value>, ChangeError> {
    for spelling in spellings(number) {
        let filter = Filter::default().with("phone = ", spelling).first(1);
        let mut found = list_in(tx, scope, &tables::CUSTOMERS, filter).await?;
        if let Some(found) = found.pop() {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn customers(
    State(app): State<Arc<App>>,
    who: Who,
    query: Query,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    if let Some(number) = query.phone("phone") {
        for spelling in spellings(&number) {
            let filter = Filter::default().with("phone = ", spelling).first(1);
            let mut found = list(&app.db, &scope, &tables::CUSTOMERS, filter).await?;
            if let Some(found) = found.pop() {
                return Ok(Json(found).into_response());
            }
        }
        return Ok(Json(Value::Null).into_response());
    }
    let filter = Filter::default().first(CUSTOMERS_LISTED);
    let rows = list(&app.db, &scope, &tables::CUSTOMERS, filter).await?;
    Ok(Json(rows).into_response())
}

/// What counts is the restaurant's own reckoning: clients do not set it.
const COUNTED: &[&str] = &[
    "totalOrders",
    "totalSpent",
    "totalReservations",
    "lastOrderAt",
];

async fn save_customer(
    State(app): State<Arc<App>>,
    who: Who,
    Members(mut body): Members,
) -> Result<Response, Refusal> {
    let named = body.get("restaurantId").and_then(Value::as_str);
    let scope = who.house(&app, named).await?;
    body.retain(|name, value| !COUNTED.contains(&name.as_str()) && !value.is_null());
    let sets = record::read(&tables::CUSTOMERS, &body, true)?;
    let number = body["phone"].as_str().map(str::to_owned);
    let number = number.unwrap_or_else(|| body["phone"].to_string());
    let mut tx = app.db.begin().await?;
    let saved = async {
        hold_house(&mut tx, &scope).await?;
        let known = customer_of(&mut tx, &scope, &number).await?;
        let Some(id) = known.as_ref().and_then(|row| row["id"].as_str()) else {
            let row = insert(&mut tx, &scope, &tables::CUSTOMERS, sets).await?;
            return Ok::<_, Refusal>((StatusCode::CREATED, row));
        };
        // The number stays as it is known: others may refer to it.
        let sets = sets.into_iter().filter(|set| set.column.wire != "phone");
        let row = update(&mut tx, &scope, &tables::CUSTOMERS, id, sets.collect()).await?;
        Ok((StatusCode::OK, row.ok_or_else(Refusal::unknown)?))
    };
    let saved = saved.await;
    let (status, row) = settle(tx, saved).await?;
    Ok((status, Json(row)).into_response())
}

/// A word that a model made up is `other`: what the caller said is not lost for it.
fn known_category(table: &Table, body: &mut Map<String, Value>) {
    let column = table.column("category");
    let Some(Kind::Word(words)) = column.map(|column| column.kind) else {
        return;
    };
    let said = body.get("category").and_then(Value::as_str);
    if !said.is_some_and(|word| words.contains(&word)) {
        body.insert("category".to_owned(), "other".into());
    }
}

async fn messages(
    State(app): State<Arc<App>>,
    who: Who,
    query: Query,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let mut filter = Filter::default().first(MESSAGES_LISTED);
    if query.flag("unreadOnly") {
        filter = filter.with("is_read = ", 0);
    }
    let rows = list(&app.db, &scope, &tables::MESSAGES, filter).await?;
    Ok(Json(rows).into_response())
}

async fn leave_message(
    State(app): State<Arc<App>>,
    who: Who,
    Members(mut body): Members,
) -> Result<Response, Refusal> {
    let named = body.get("restaurantId").and_then(Value::as_str);
    let scope = who.house(&app, named).await?;
    known_category(&tables::MESSAGES, &mut body);
    body.retain(|name, _| !matches!(name.as_str(), "isRead" | "isAutomatic"));
    if let (Some(call), None) = (&who.call, body.get("callId")) {
        body.insert("callId".to_owned(), call.as_str().into());
    }
    let sets = record::read(&tables::MESSAGES, &body, true)?;
    let mut tx = app.db.begin().await?;
    let left = async {
        hold_house(&mut tx, &scope).await?;
        if let Some(known) = said_already(&mut tx, &scope, &body).await? {
            return Ok::<_, Refusal>((known, true));
        }
        let row = insert(&mut tx, &scope, &tables::MESSAGES, sets).await?;
        note_message(&mut tx, &scope, &row).await?;
        Ok((Value::Object(row), false))
    };
    let left = left.await;
    let (row, repeated) = settle(tx, left).await?;
    if !repeated {
        app.tell(scope.restaurant(), "message.created", row.clone());
    }
    Ok((StatusCode::CREATED, Json(row)).into_response())
}

/// Writes down that a message came, in the same write: whoever is told of it is told from there.
pub(super) async fn note_message(
    tx: &mut Tx,
    scope: &HouseScope,
    row: &Map<String, Value>,
) -> Result<(), ChangeError> {
    let id = row.get("id").and_then(Value::as_str).unwrap_or_default();
    let payload = json!({ "id": id, "callId": row.get("callId") });
    note_event(tx, scope, "message.created", id, &payload, Timestamp::now()).await
}

/// The same words of the same call are one message, however often they are sent.
async fn said_already(
    tx: &mut Tx,
    scope: &HouseScope,
    body: &Map<String, Value>,
) -> Result<Option<Value>, ChangeError> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::trim);
    let (Some(call), Some(content)) = (text("callId"), text("content")) else {
        return Ok(None);
    };
    let filter = Filter::default().with("call_id = ", call);
    let filter = filter.with("content = ", content).first(1);
    Ok(list_in(tx, scope, &tables::MESSAGES, filter).await?.pop())
}

async fn change_message(
    State(app): State<Arc<App>>,
    who: Who,
    Members(mut body): Members,
) -> Result<Response, Refusal> {
    let id = body.get("id").and_then(Value::as_str).map(str::to_owned);
    let id = id.ok_or_else(|| Refusal::missing("id"))?;
    let scope = who.house_of(&app, &tables::MESSAGES, &id).await?;
    body.retain(|name, _| matches!(name.as_str(), "isRead" | "isUrgent" | "category"));
    let sets = record::read(&tables::MESSAGES, &body, false)?;
    let row = changed(&app, &who, &scope, &tables::MESSAGES, &id, sets).await?;
    let row = Value::Object(row);
    app.tell(scope.restaurant(), "message.changed", row.clone());
    Ok(Json(row).into_response())
}

async fn questions(
    State(app): State<Arc<App>>,
    who: Who,
    query: Query,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let mut filter = Filter::default();
    if query.flag("for_prompt") {
        filter = filter.with("status = ", "answered");
    } else if let Some(status) = query.text("status") {
        filter = filter.with("status = ", status);
    }
    let rows = list(&app.db, &scope, &tables::FAQS, filter).await?;
    Ok(Json(rows).into_response())
}

async fn ask(
    State(app): State<Arc<App>>,
    who: Who,
    Members(mut body): Members,
) -> Result<Response, Refusal> {
    let named = body.get("restaurantId").and_then(Value::as_str);
    let scope = who.house(&app, named).await?;
    known_category(&tables::FAQS, &mut body);
    body.retain(|name, _| {
        matches!(
            name.as_str(),
            "question" | "category" | "callerPhone" | "answer"
        )
    });
    if who.is_voice() {
        body.remove("answer");
    }
    if body.get("answer").is_some_and(Value::is_string) {
        body.insert("status".to_owned(), "answered".into());
    }
    body.insert(
        "lastAskedAt".to_owned(),
        record::iso(Timestamp::now()).into(),
    );
    let sets = record::read(&tables::FAQS, &body, true)?;
    let question = body["question"]
        .as_str()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let mut tx = app.db.begin().await?;
    let asked = async {
        hold_house(&mut tx, &scope).await?;
        let same = Filter::default().with("question = ", question).first(1);
        let mut known = list_in(&mut tx, &scope, &tables::FAQS, same).await?;
        let Some(known) = known.pop() else {
            let row = insert(&mut tx, &scope, &tables::FAQS, sets).await?;
            return Ok::<_, Refusal>((StatusCode::CREATED, row));
        };
        let count = known["askCount"].as_i64().unwrap_or(1).saturating_add(1);
        let mut sets: Vec<Set> = sets
            .into_iter()
            .filter(|set| set.column.wire == "lastAskedAt")
            .collect();
        if let Some(column) = tables::FAQS.column("askCount") {
            let cell = Cell::from(count);
            sets.push(Set { column, cell });
        }
        let id = known["id"].as_str().unwrap_or_default();
        let row = update(&mut tx, &scope, &tables::FAQS, id, sets).await?;
        Ok((StatusCode::OK, row.ok_or_else(Refusal::unknown)?))
    };
    let asked = asked.await;
    let (status, row) = settle(tx, asked).await?;
    Ok((status, Json(row)).into_response())
}

async fn answer(
    State(app): State<Arc<App>>,
    who: Who,
    Members(mut body): Members,
) -> Result<Response, Refusal> {
    let id = body.get("id").and_then(Value::as_str).map(str::to_owned);
    let id = id.ok_or_else(|| Refusal::missing("id"))?;
    let scope = who.house_of(&app, &tables::FAQS, &id).await?;
    body.retain(|name, _| matches!(name.as_str(), "question" | "answer" | "status" | "category"));
    let answered = body.get("answer").and_then(Value::as_str);
    if answered.is_some_and(|text| !text.trim().is_empty()) && !body.contains_key("status") {
        body.insert("status".to_owned(), "answered".into());
    }
    let sets = record::read(&tables::FAQS, &body, false)?;
    let row = changed(&app, &who, &scope, &tables::FAQS, &id, sets).await?;
    Ok(Json(row).into_response())
}
