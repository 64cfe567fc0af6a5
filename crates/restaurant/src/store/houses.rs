//! The restaurants themselves.

use jiff::Timestamp;
use serde_json::{Map, Value};
use store::{ChangeError, Db, ReadError, Statement, Tx};

use super::access::{Access, HouseScope};
use super::record::{Set, show};
use super::rows::{Filter, changed_now, list};
use super::tables;

/// Restaurants of one list at most.
pub const HOUSES_MAX: i64 = 1_000;

/// The restaurants that may be seen.
///
/// # Errors
/// See [`ReadError`].
pub async fn all(db: &Db, access: &Access) -> Result<Vec<Value>, ReadError> {
    let mut statement = Statement::new("SELECT * FROM restaurants WHERE ");
    access.limit(&mut statement);
    statement.push(" ORDER BY ").push(tables::RESTAURANTS.order);
    statement.with(" LIMIT ", HOUSES_MAX);
    let rows = db.rows(statement).await?;
    rows.iter()
        .map(|row| show(&tables::RESTAURANTS, row, false).map(Value::Object))
        .collect()
}

/// Restaurants of one page of [`page`].
const PAGE: i64 = 200;

/// Every restaurant of the node, page by page: those whose id comes after `after`. Empty at the end.
///
/// # Errors
/// See [`ReadError`].
pub async fn page(
    db: &Db,
    after: &str,
) -> Result<Vec<(HouseScope, Map<String, Value>)>, ReadError> {
    let mut statement = Statement::new("SELECT * FROM restaurants WHERE ");
    statement
        .with("id > ", after)
        .with(" ORDER BY id LIMIT ", PAGE);
    let rows = db.rows(statement).await?;
    rows.iter()
        .map(|row| {
            let text = |name: &str| Ok::<_, ReadError>(row.text(name)?.unwrap_or_default());
            let scope = HouseScope::of_new(&text("tenant_id")?, &text("id")?);
            Ok((scope, show(&tables::RESTAURANTS, row, false)?))
        })
        .collect()
}

/// One restaurant.
///
/// # Errors
/// See [`ReadError`].
pub async fn one(db: &Db, scope: &HouseScope) -> Result<Option<Map<String, Value>>, ReadError> {
    let mut statement = Statement::new("SELECT * FROM restaurants WHERE ");
    statement.with("tenant_id = ", scope.tenant());
    statement.with(" AND id = ", scope.restaurant());
    let row = db.row(statement).await?;
    row.map(|row| show(&tables::RESTAURANTS, &row, false))
        .transpose()
}

/// As [`one`], inside of a write; the row is locked until its end.
///
/// # Errors
/// See [`ChangeError`].
pub async fn one_in(
    tx: &mut Tx,
    scope: &HouseScope,
) -> Result<Option<Map<String, Value>>, ChangeError> {
    let mut statement = Statement::new("SELECT * FROM restaurants WHERE ");
    statement.with("tenant_id = ", scope.tenant());
    statement
        .with(" AND id = ", scope.restaurant())
        .push(tx.lock());
    let row = tx.row(statement, "restaurant").await?;
    Ok(row
        .map(|row| show(&tables::RESTAURANTS, &row, false))
        .transpose()?)
}

/// Makes a restaurant of an account.
///
/// # Errors
/// See [`ChangeError`].
pub async fn create(
    tx: &mut Tx,
    tenant: &str,
    sets: Vec<Set>,
) -> Result<(HouseScope, Map<String, Value>), ChangeError> {
    let (id, now) = (store::new_id(), Timestamp::now());
    let mut statement =
        Statement::new("INSERT INTO restaurants (id, tenant_id, created_at, updated_at");
    for set in &sets {
        statement.push(", ").push(set.column.name);
    }
    statement.with(") VALUES (", id.as_str());
    statement.with(", ", tenant).with(", ", now).with(", ", now);
    for set in sets {
        statement.with(", ", set.cell);
    }
    statement.push(") RETURNING *");
    let row = tx.row(statement, "restaurant").await?;
    let row = row.ok_or(ChangeError::NotFound { what: "restaurant" })?;
    Ok((
        HouseScope::of_new(tenant, &id),
        show(&tables::RESTAURANTS, &row, false)?,
    ))
}

/// Changes a restaurant.
///
/// # Errors
/// See [`ChangeError`].
pub async fn change(
    tx: &mut Tx,
    scope: &HouseScope,
    sets: Vec<Set>,
) -> Result<Option<Map<String, Value>>, ChangeError> {
    let mut statement = Statement::new("UPDATE restaurants SET ");
    changed_now(&mut statement);
    for set in sets {
        statement.push(", ").push(set.column.name);
        statement.with(" = ", set.cell);
    }
    statement.with(" WHERE tenant_id = ", scope.tenant());
    statement.with(" AND id = ", scope.restaurant());
    statement.push(" RETURNING *");
    let row = tx.row(statement, "restaurant").await?;
    Ok(row
        .map(|row| show(&tables::RESTAURANTS, &row, false))
        .transpose()?)
}

/// Removes a restaurant and everything of it; whether there was one.
///
/// # Errors
/// See [`ChangeError`].
pub async fn remove(tx: &mut Tx, scope: &HouseScope) -> Result<bool, ChangeError> {
    let mut statement = Statement::new("DELETE FROM restaurants WHERE ");
    statement.with("tenant_id = ", scope.tenant());
    statement.with(" AND id = ", scope.restaurant());
    Ok(tx.run(statement, "restaurant").await? > 0)
}

/// Everything that a caller may be told of a restaurant, read for one call: rows as the wire has them.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// The restaurant.
    pub house: Map<String, Value>,
    /// Parts of its menu.
    pub categories: Vec<Value>,
    /// Its items.
    pub items: Vec<Value>,
    /// Its set menus.
    pub set_menus: Vec<Value>,
    /// Its services.
    pub services: Vec<Value>,
    /// Its rooms.
    pub rooms: Vec<Value>,
    /// Its tables.
    pub tables: Vec<Value>,
    /// Tables that may be put together.
    pub combinations: Vec<Value>,
    /// Its offers.
    pub offers: Vec<Value>,
    /// Answered questions.
    pub faqs: Vec<Value>,
}

/// Reads a restaurant whole; `None` where it was removed meanwhile.
///
/// # Errors
/// See [`ReadError`].
pub async fn whole(db: &Db, scope: &HouseScope) -> Result<Option<Whole>, ReadError> {
    let Some(house) = one(db, scope).await? else {
        return Ok(None);
    };
    let every = |table| list(db, scope, table, Filter::default());
    Ok(Some(Whole {
        house,
        categories: every(&tables::MENU_CATEGORIES).await?,
        items: every(&tables::MENU_ITEMS).await?,
        set_menus: every(&tables::SET_MENUS).await?,
        services: every(&tables::DINING_SERVICES).await?,
        rooms: every(&tables::DINING_ROOMS).await?,
        tables: every(&tables::TABLES).await?,
        combinations: every(&tables::TABLE_COMBINATIONS).await?,
        offers: every(&tables::OFFERS).await?,
        faqs: list(
            db,
            scope,
            &tables::FAQS,
            Filter::default().with("status = ", "answered"),
        )
        .await?,
    }))
}
