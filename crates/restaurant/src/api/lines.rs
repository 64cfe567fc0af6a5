//! Telephone lines of a restaurant, the list of agents for managers (contracts.md 1.2), and refused numbers (1.3).
//!
//! Passwords are written and never read back: they are with the secrets of the account, sealed with the product's key.

use std::sync::Arc;

use ::store::{ReadError, Statement, TenantScope};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use call::TenantId;
use serde_json::{Map, Value, json};

use super::app::App;
use super::need::Need;
use super::refusal::Refusal;
use super::request::{Members, Query};
use super::routes::Routes;
use super::who::Who;
use crate::phone::spellings;
use crate::store::rows::{Filter, delete, insert, insert_as, list, list_in, update};
use crate::store::{HouseScope, houses, record, settle, tables};

/// Longest password of a line, in bytes.
const PASSWORD_BYTES_MAX: usize = 256;

pub(super) fn add(routes: &mut Routes) {
    routes.get("/api/phone-lines", Need::read(), line);
    routes.put("/api/phone-lines", Need::change(), put_line);
    routes.get("/api/sip/agents", Need::change(), agents);
    let check = Need::read().or_voice();
    routes.get("/api/blocked-phones/check", check, is_blocked);
    routes.get("/api/blocked-phones", Need::read(), blocked);
    routes.post("/api/blocked-phones", Need::work(), block);
    routes.delete("/api/blocked-phones", Need::work(), unblock);
}

/// What the password of a line is for, among the secrets of its account.
pub fn password_purpose(line: &str) -> String {
    format!("line:{line}")
}

fn tenant(scope: &HouseScope) -> TenantScope {
    TenantScope::new(TenantId::from(scope.tenant()))
}

/// The password of a line, in clear: for the voice side, never for an answer to people.
///
/// # Errors
/// 500 where it does not open.
pub async fn password(
    app: &App,
    scope: &HouseScope,
    line: &str,
) -> Result<Option<String>, Refusal> {
    let purpose = password_purpose(line);
    let found = app.vault.get(&app.store, &tenant(scope), &purpose).await;
    let found = found.map_err(Refusal::internal)?;
    Ok(found.map(|text| text.expose().to_owned()))
}

/// The password of a line that is gone.
pub(super) async fn forget_password(
    app: &App,
    scope: &HouseScope,
    line: &str,
) -> Result<(), Refusal> {
    let purpose = password_purpose(line);
    let removed = app.vault.remove(&app.store, &tenant(scope), &purpose).await;
    removed.map_err(Refusal::internal)?;
    Ok(())
}

async fn with_flag(
    app: &App,
    scope: &HouseScope,
    mut line: Map<String, Value>,
) -> Result<Map<String, Value>, Refusal> {
    let id = line.get("id").and_then(Value::as_str).unwrap_or_default();
    let purpose = password_purpose(id);
    let purposes = app.vault.purposes(&app.store, &tenant(scope)).await;
    let purposes = purposes.map_err(Refusal::internal)?;
    let has = purposes.contains(&purpose);
    line.insert("hasSipPassword".to_owned(), has.into());
    Ok(line)
}

async fn line(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let house = houses::one(&app.db, &scope).await?;
    let house = house.ok_or_else(Refusal::unknown)?;
    let filter = Filter::default().first(1);
    let mut lines = list(&app.db, &scope, &tables::PHONE_LINES, filter).await?;
    let line = match lines.pop() {
        Some(Value::Object(line)) => Some(with_flag(&app, &scope, line).await?),
        _ => None,
    };
    // The members of the line stand beside it too: older clients read them there.
    let mut answer = line.clone().unwrap_or_default();
    answer.insert("phoneLine".to_owned(), json!(line));
    answer.insert("restaurantId".to_owned(), scope.restaurant().into());
    for name in ["sipEnabled", "sipBridge"] {
        answer.insert(name.to_owned(), house.get(name).cloned().into());
    }
    Ok(Json(answer).into_response())
}

async fn put_line(
    State(app): State<Arc<App>>,
    who: Who,
    body: Members,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, body.text("restaurantId")).await?;
    body.needed("phoneNumber")?;
    let password = body.text("sipPassword");
    if password.is_some_and(|text| text.len() > PASSWORD_BYTES_MAX) {
        let expected = format!("{PASSWORD_BYTES_MAX} bytes");
        return Err(Refusal::field("sipPassword", expected));
    }
    let sets = record::read(&tables::PHONE_LINES, &body.0, true)?;
    let mut switches = body.0.clone();
    switches.retain(|name, _| matches!(name.as_str(), "sipEnabled" | "sipBridge"));
    let switches = record::read(&tables::RESTAURANTS, &switches, false)?;
    let filter = Filter::default().first(1);
    let before = list(&app.db, &scope, &tables::PHONE_LINES, filter).await?;
    let id = match before.first().and_then(|line| line["id"].as_str()) {
        Some(id) => id.to_owned(),
        None => ::store::new_id(),
    };
    // Its password first: a line that is there has the password that came with it.
    if let Some(password) = password {
        let purpose = password_purpose(&id);
        let account = tenant(&scope);
        let put = app.vault.put(&app.store, &account, &purpose, password);
        put.await.map_err(Refusal::internal)?;
    }
    let mut tx = app.db.begin().await?;
    let written = async {
        houses::change(&mut tx, &scope, switches).await?;
        if before.is_empty() {
            return insert_as(&mut tx, &scope, &tables::PHONE_LINES, &id, sets)
                .await
                .map(Some);
        }
        update(&mut tx, &scope, &tables::PHONE_LINES, &id, sets).await
    };
    let written = written.await;
    let line = settle(tx, written).await?.ok_or_else(Refusal::unknown)?;
    app.tell(scope.restaurant(), "restaurant.changed", json!({}));
    let line = with_flag(&app, &scope, line).await?;
    let mut answer = line.clone();
    answer.insert("ok".to_owned(), true.into());
    answer.insert("phoneLineId".to_owned(), id.into());
    answer.insert("phoneLine".to_owned(), Value::Object(line));
    Ok(Json(answer).into_response())
}

/// Restaurants that are active and have telephony, with their active line. Passwords are encrypted with the key of both sides for
/// `phoneLineId`; in clear only where the operator of the node says so.
async fn agents(State(app): State<Arc<App>>, who: Who) -> Result<Response, Refusal> {
    let mut listed = Vec::new();
    for house in houses::all(&app.db, &who.access).await? {
        let on = |name: &str| house[name].as_bool().unwrap_or_default();
        if !on("isActive") || !on("sipEnabled") {
            continue;
        }
        let scope = who.house(&app, house["id"].as_str()).await?;
        let filter = Filter::default().with("is_active = ", 1).first(1);
        let lines = list(&app.db, &scope, &tables::PHONE_LINES, filter).await?;
        if let Some(line) = lines.first() {
            listed.push(agent(&app, &scope, &house, line).await?);
        }
    }
    Ok(Json(listed).into_response())
}

async fn agent(
    app: &App,
    scope: &HouseScope,
    house: &Value,
    line: &Value,
) -> Result<Value, Refusal> {
    let bridge = house["sipBridge"].as_bool().unwrap_or_default();
    let id = line["id"].as_str().unwrap_or_default();
    let clear = if bridge {
        password(app, scope, id).await?
    } else {
        None
    };
    let sealed = match &clear {
        Some(_) if app.config.clear_passwords => clear.clone(),
        Some(text) => Some(app.vault.seal(id, text).await.map_err(Refusal::internal)?),
        None => None,
    };
    let of_bridge = |value: &Value| if bridge { value.clone() } else { Value::Null };
    let mut agent = json!({
        "restaurantId": house["id"],
        "restaurantName": house["name"],
        "sipBridge": bridge,
        "sipDomain": of_bridge(&line["sipDomain"]),
        "sipUsername": of_bridge(&line["sipUsername"]),
        "sipPassword": sealed,
        "phoneNumber": line["phoneNumber"],
        "provider": line["provider"],
        "maxParallelCalls": house["maxParallelCalls"],
        "agentId": house["agentId"],
    });
    if sealed.is_some() && !app.config.clear_passwords {
        agent["phoneLineId"] = id.into();
    }
    Ok(agent)
}

fn of_number(scope: &HouseScope, words: &str, number: &str) -> Statement {
    let mut statement = Statement::new(words);
    statement.push(" FROM restaurant_blocked_phones WHERE ");
    scope.limit(&mut statement);
    statement.push(" AND phone IN (");
    for (index, spelling) in spellings(number).into_iter().enumerate() {
        statement.with(if index == 0 { "" } else { ", " }, spelling);
    }
    statement.push(")");
    statement
}

async fn refused(
    app: &App,
    scope: &HouseScope,
    number: &str,
) -> Result<Option<Option<String>>, ReadError> {
    let row = app
        .db
        .row(of_number(scope, "SELECT reason", number))
        .await?;
    row.map(|row| row.text("reason")).transpose()
}

async fn is_blocked(
    State(app): State<Arc<App>>,
    who: Who,
    query: Query,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let number = query.phone("phone");
    let number = number.ok_or_else(|| Refusal::missing("phone"))?;
    let found = refused(&app, &scope, &number).await?;
    let answer = json!({ "blocked": found.is_some(), "reason": found.flatten() });
    Ok(Json(answer).into_response())
}

async fn blocked(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let scope = who.house(&app, query.text("restaurantId")).await?;
    let rows = list(&app.db, &scope, &tables::BLOCKED_PHONES, Filter::default());
    Ok(Json(rows.await?).into_response())
}

async fn block(
    State(app): State<Arc<App>>,
    who: Who,
    mut body: Members,
) -> Result<Response, Refusal> {
    let scope = who.house(&app, body.text("restaurantId")).await?;
    let mut number = body.needed("phone")?.to_owned();
    if !crate::phone::key(&number).is_empty() {
        // As carriers write it: without the spaces and dots of people.
        number.retain(|c| c.is_ascii_digit() || c == '+');
    }
    body.0.insert("phone".to_owned(), number.clone().into());
    let sets = record::read(&tables::BLOCKED_PHONES, &body.0, true)?;
    let mut tx = app.db.begin().await?;
    let done = async {
        crate::store::rows::hold_house(&mut tx, &scope).await?;
        let same = Filter::default().with("phone = ", number.as_str());
        let mut known = list_in(&mut tx, &scope, &tables::BLOCKED_PHONES, same).await?;
        if let Some(known) = known.pop() {
            return Ok::<_, Refusal>((StatusCode::OK, known));
        }
        let row = insert(&mut tx, &scope, &tables::BLOCKED_PHONES, sets).await?;
        Ok((StatusCode::CREATED, Value::Object(row)))
    };
    let done = done.await;
    let (status, row) = settle(tx, done).await?;
    Ok((status, Json(row)).into_response())
}

async fn unblock(State(app): State<Arc<App>>, who: Who, query: Query) -> Result<Response, Refusal> {
    let mut tx;
    let removed = if let Some(id) = query.text("id") {
        let scope = who.house_of(&app, &tables::BLOCKED_PHONES, id).await?;
        tx = app.db.begin().await?;
        delete(&mut tx, &scope, &tables::BLOCKED_PHONES, id).await
    } else {
        let scope = who.house(&app, query.text("restaurantId")).await?;
        let number = query.phone("phone");
        let number = number.ok_or_else(|| Refusal::missing("phone"))?;
        tx = app.db.begin().await?;
        let statement = of_number(&scope, "DELETE", &number);
        tx.run(statement, "blocked number")
            .await
            .map(|rows| rows > 0)
    };
    settle(tx, removed).await?;
    Ok(Json(json!({ "success": true })).into_response())
}
