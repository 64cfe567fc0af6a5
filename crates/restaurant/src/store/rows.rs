//! Reading and writing rows of any table of a restaurant.

use jiff::Timestamp;
use serde_json::{Map, Value};
use store::{Cell, ChangeError, Db, ReadError, Row, Statement, Tx};

use super::access::HouseScope;
use super::column::Table;
use super::record::{Set, show};

/// Rows of one list at most.
pub const LIST_MAX: i64 = 5_000;

/// Which rows of a table.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    conditions: Vec<(&'static str, Cell)>,
    /// Rows at most; 0 is [`LIST_MAX`].
    pub limit: i64,
    /// Instead of the table's own order.
    pub order: Option<&'static str>,
}

impl Filter {
    /// Words that end where the value stands, such as `status = `, and the value.
    #[must_use]
    pub fn with(mut self, words: &'static str, value: impl Into<Cell>) -> Self {
        self.conditions.push((words, value.into()));
        self
    }

    /// At most so many.
    #[must_use]
    pub fn first(mut self, limit: i64) -> Self {
        self.limit = limit;
        self
    }

    /// In this order.
    #[must_use]
    pub fn by(mut self, order: &'static str) -> Self {
        self.order = Some(order);
        self
    }

    fn apply(self, statement: &mut Statement, table: &Table) {
        for (words, value) in self.conditions {
            statement.push(" AND ").with(words, value);
        }
        let order = self.order.unwrap_or(table.order);
        statement.push(" ORDER BY ").push(order);
        let limit = if self.limit > 0 { self.limit } else { LIST_MAX };
        statement.with(" LIMIT ", limit.min(LIST_MAX));
    }
}

fn select(table: &Table, scope: &HouseScope) -> Statement {
    let mut statement = Statement::new("SELECT * FROM ");
    statement.push(table.name).push(" WHERE ");
    scope.limit(&mut statement);
    statement
}

fn shown(table: &Table, rows: &[Row]) -> Result<Vec<Value>, ReadError> {
    rows.iter()
        .map(|row| show(table, row, true).map(Value::Object))
        .collect()
}

/// The rows, as the wire has them.
///
/// # Errors
/// See [`ReadError`].
pub async fn list(
    db: &Db,
    scope: &HouseScope,
    table: &Table,
    filter: Filter,
) -> Result<Vec<Value>, ReadError> {
    let mut statement = select(table, scope);
    filter.apply(&mut statement, table);
    shown(table, &db.rows(statement).await?)
}

/// One row.
///
/// # Errors
/// See [`ReadError`].
pub async fn one(
    db: &Db,
    scope: &HouseScope,
    table: &Table,
    id: &str,
) -> Result<Option<Value>, ReadError> {
    let mut statement = select(table, scope);
    statement.with(" AND id = ", id);
    let row = db.row(statement).await?;
    row.map(|row| show(table, &row, true).map(Value::Object))
        .transpose()
}

/// As [`list`], inside of a write.
///
/// # Errors
/// See [`ChangeError`].
pub async fn list_in(
    tx: &mut Tx,
    scope: &HouseScope,
    table: &Table,
    filter: Filter,
) -> Result<Vec<Value>, ChangeError> {
    let mut statement = select(table, scope);
    filter.apply(&mut statement, table);
    Ok(shown(table, &tx.rows(statement, table.what).await?)?)
}

/// As [`one`], inside of a write; the row is locked until its end.
///
/// # Errors
/// See [`ChangeError`].
pub async fn one_in(
    tx: &mut Tx,
    scope: &HouseScope,
    table: &Table,
    id: &str,
) -> Result<Option<Value>, ChangeError> {
    let mut statement = select(table, scope);
    statement.with(" AND id = ", id).push(tx.lock());
    let row = tx.row(statement, table.what).await?;
    Ok(row
        .map(|row| show(table, &row, true).map(Value::Object))
        .transpose()?)
}

/// Writes a new row; as the wire has it.
///
/// # Errors
/// See [`ChangeError`].
pub async fn insert(
    tx: &mut Tx,
    scope: &HouseScope,
    table: &Table,
    sets: Vec<Set>,
) -> Result<Map<String, Value>, ChangeError> {
    insert_as(tx, scope, table, &store::new_id(), sets).await
}

/// As [`insert`], under an id that was chosen before.
///
/// # Errors
/// See [`ChangeError`].
pub async fn insert_as(
    tx: &mut Tx,
    scope: &HouseScope,
    table: &Table,
    id: &str,
    sets: Vec<Set>,
) -> Result<Map<String, Value>, ChangeError> {
    let now = Timestamp::now();
    let mut statement = Statement::new("INSERT INTO ");
    statement
        .push(table.name)
        .push(" (id, tenant_id, restaurant_id, created_at, updated_at");
    for set in &sets {
        statement.push(", ").push(set.column.name);
    }
    statement.with(") VALUES (", id);
    statement.with(", ", scope.tenant());
    statement.with(", ", scope.restaurant());
    statement.with(", ", now).with(", ", now);
    for set in sets {
        statement.with(", ", set.cell);
    }
    statement.push(") RETURNING *");
    let row = tx.row(statement, table.what).await?;
    let row = row.ok_or(ChangeError::NotFound { what: table.what })?;
    Ok(show(table, &row, true)?)
}

/// Changes a row; `None` where there is none of that id.
///
/// # Errors
/// See [`ChangeError`].
pub async fn update(
    tx: &mut Tx,
    scope: &HouseScope,
    table: &Table,
    id: &str,
    sets: Vec<Set>,
) -> Result<Option<Map<String, Value>>, ChangeError> {
    let mut statement = Statement::new("UPDATE ");
    statement
        .push(table.name)
        .with(" SET updated_at = ", Timestamp::now());
    for set in sets {
        statement.push(", ").push(set.column.name);
        statement.with(" = ", set.cell);
    }
    statement.push(" WHERE ");
    scope.limit(&mut statement);
    statement.with(" AND id = ", id).push(" RETURNING *");
    let row = tx.row(statement, table.what).await?;
    Ok(row.map(|row| show(table, &row, true)).transpose()?)
}

/// Removes a row; whether there was one.
///
/// # Errors
/// See [`ChangeError`].
pub async fn delete(
    tx: &mut Tx,
    scope: &HouseScope,
    table: &Table,
    id: &str,
) -> Result<bool, ChangeError> {
    let mut statement = Statement::new("DELETE FROM ");
    statement.push(table.name).push(" WHERE ");
    scope.limit(&mut statement);
    statement.with(" AND id = ", id);
    Ok(tx.run(statement, table.what).await? > 0)
}

/// Locks the restaurant until the end of the write: what is counted (seats, the number of an order) does not change meanwhile.
///
/// # Errors
/// See [`ChangeError`].
pub async fn hold_house(tx: &mut Tx, scope: &HouseScope) -> Result<(), ChangeError> {
    let mut statement = Statement::new("SELECT id FROM restaurants WHERE ");
    statement.with("tenant_id = ", scope.tenant());
    statement.with(" AND id = ", scope.restaurant());
    statement.push(tx.lock());
    tx.row(statement, "restaurant").await?.map_or(
        Err(ChangeError::NotFound { what: "restaurant" }),
        |_| Ok(()),
    )
}
