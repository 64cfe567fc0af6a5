//! The restaurant of the demonstration: "Pizza Bella", with a menu, tables and a telephone line; and what a call left there.

use ::store::{ChangeError, ReadError};
use serde_json::{Map, Value, json};

use crate::api::App;
use crate::store::rows::{Filter, insert, list};
use crate::store::{Access, HouseScope, houses, record, settle, tables};

/// The restaurant, as data.
const PIZZA_BELLA: &str = include_str!("../pack/pizza-bella.json");

/// Why the restaurant cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The database could not be read.
    #[error("the database could not be read: {0}")]
    Read(#[from] ReadError),
    /// The database refused it.
    #[error("{0}")]
    Change(#[from] ChangeError),
    /// The data does not fit its tables.
    #[error("{0}")]
    Fault(#[from] record::Fault),
    /// The data is no JSON.
    #[error("the pack: {0}")]
    Pack(#[from] serde_json::Error),
}

/// The restaurant of the demonstration.
#[derive(Clone, Debug)]
pub struct House {
    scope: HouseScope,
    /// Its telephone number.
    pub number: String,
}

/// What a call left.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// Orders with their lines under `items`.
    pub orders: Vec<Value>,
    /// Reservations.
    pub reservations: Vec<Value>,
}

/// Finds the restaurant, or makes it whole in one write; provisioning follows by itself.
///
/// # Errors
/// See [`DemoError`].
pub async fn ensure(app: &App, tenant: &str, locale: &str) -> Result<House, DemoError> {
    let pack: Value = serde_json::from_str(PIZZA_BELLA)?;
    let number = pack["phoneLine"]["phoneNumber"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let there = houses::all(&app.db, &Access::Account(tenant.to_owned())).await?;
    let known = there
        .iter()
        .find(|row| row["name"] == pack["restaurant"]["name"])
        .and_then(|row| row["id"].as_str());
    if let Some(id) = known
        && let Some(scope) = Access::Node.house(&app.db, id).await?
    {
        return Ok(House { scope, number });
    }
    let mut tx = app.db.begin().await.map_err(ChangeError::from)?;
    let made = fill(&mut tx, tenant, locale, &pack).await;
    let scope = settle(tx, made).await?;
    app.tell(scope.restaurant(), "restaurant.created", json!({}));
    Ok(House { scope, number })
}

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn rows_of<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

async fn fill(
    tx: &mut ::store::Tx,
    tenant: &str,
    locale: &str,
    pack: &Value,
) -> Result<HouseScope, DemoError> {
    let mut row = members(&pack["restaurant"]);
    row.insert("locale".to_owned(), json!(locale));
    let sets = record::read(&tables::RESTAURANTS, &row, true)?;
    let (scope, _) = houses::create(tx, tenant, sets).await?;
    let line = record::read(&tables::PHONE_LINES, &members(&pack["phoneLine"]), true)?;
    insert(tx, &scope, &tables::PHONE_LINES, line).await?;
    for category in rows_of(pack, "categories") {
        let sets = record::read(&tables::MENU_CATEGORIES, &members(category), true)?;
        let made = insert(tx, &scope, &tables::MENU_CATEGORIES, sets).await?;
        for (place, item) in rows_of(category, "items").enumerate() {
            let mut item = members(item);
            item.insert("categoryId".to_owned(), made["id"].clone());
            item.insert("displayOrder".to_owned(), json!(place));
            let named = item.get("options").and_then(Value::as_str);
            if let Some(options) = named.map(|name| pack["options"][name].clone()) {
                item.insert("options".to_owned(), options);
            }
            let sets = record::read(&tables::MENU_ITEMS, &item, true)?;
            insert(tx, &scope, &tables::MENU_ITEMS, sets).await?;
        }
    }
    let room = record::read(&tables::DINING_ROOMS, &members(&pack["room"]), true)?;
    let room = insert(tx, &scope, &tables::DINING_ROOMS, room).await?;
    for table in rows_of(pack, "tables") {
        let mut table = members(table);
        table.insert("diningRoomId".to_owned(), room["id"].clone());
        let sets = record::read(&tables::TABLES, &table, true)?;
        insert(tx, &scope, &tables::TABLES, sets).await?;
    }
    for faq in rows_of(pack, "faqs") {
        let sets = record::read(&tables::FAQS, &members(faq), true)?;
        insert(tx, &scope, &tables::FAQS, sets).await?;
    }
    Ok(scope)
}

impl House {
    /// The account of its agent at the voice server, once the agent is there with all that belongs to it.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn account(&self, app: &App) -> Result<Option<String>, ReadError> {
        if !crate::provision::is_done(app, &self.scope).await? {
            return Ok(None);
        }
        let row = houses::one(&app.db, &self.scope).await?;
        Ok(row.and_then(|row| row.get("voiceAccountId")?.as_str().map(str::to_owned)))
    }

    /// What the call with that id left.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn left_by(&self, app: &App, call: &str) -> Result<Left, ReadError> {
        let of_call = || Filter::default().with("call_id = ", call);
        let mut orders = list(&app.db, &self.scope, &tables::ORDERS, of_call()).await?;
        for order in &mut orders {
            let id = order["id"].as_str().unwrap_or_default().to_owned();
            let of_order = Filter::default().with("order_id = ", id);
            order["items"] = list(&app.db, &self.scope, &tables::ORDER_LINES, of_order)
                .await?
                .into();
        }
        Ok(Left {
            orders,
            reservations: list(&app.db, &self.scope, &tables::RESERVATIONS, of_call()).await?,
        })
    }
}
