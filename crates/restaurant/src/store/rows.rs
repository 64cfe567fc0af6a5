//! Reading and writing rows of any table of a restaurant.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use store::{Cell, ChangeError, Db, ReadError, Row, Statement, Tx};

use super::access::HouseScope;
use super::column::{Column, Table};
use super::record::{Set, absent, show};

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

/// Writes new rows under ids that were chosen before, in one statement; as the wire has them, in their order. A column that one of
/// them has is absent in those that lack it, never the table's default.
///
/// # Errors
/// See [`ChangeError`].
pub async fn insert_all(
    tx: &mut Tx,
    scope: &HouseScope,
    table: &Table,
    rows: Vec<(String, Vec<Set>)>,
) -> Result<Vec<Map<String, Value>>, ChangeError> {
    let now = Timestamp::now();
    let has = |column: &Column| {
        rows.iter()
            .any(|(_, sets)| sets.iter().any(|set| set.column.wire == column.wire))
    };
    let columns: Vec<&Column> = table.columns.iter().filter(|column| has(column)).collect();
    let mut statement = Statement::new("INSERT INTO ");
    statement
        .push(table.name)
        .push(" (id, tenant_id, restaurant_id, created_at, updated_at");
    for column in &columns {
        statement.push(", ").push(column.name);
    }
    statement.push(") VALUES ");
    for (index, (id, sets)) in rows.iter().enumerate() {
        statement.with(if index == 0 { "(" } else { ", (" }, id.as_str());
        statement.with(", ", scope.tenant());
        statement.with(", ", scope.restaurant());
        statement.with(", ", now).with(", ", now);
        for column in &columns {
            let set = sets.iter().find(|set| set.column.wire == column.wire);
            let cell = set.map_or_else(|| absent(column), |set| set.cell.clone());
            statement.with(", ", cell);
        }
        statement.push(")");
    }
    statement.push(" RETURNING *");
    let mut written: HashMap<String, Map<String, Value>> = HashMap::new();
    for row in tx.rows(statement, table.what).await? {
        let id = row.text("id")?.unwrap_or_default();
        written.insert(id, show(table, &row, true)?);
    }
    rows.iter()
        .map(|(id, _)| {
            let row = written.remove(id);
            row.ok_or(ChangeError::NotFound { what: table.what })
        })
        .collect()
}

/// The state in which a client has read a row that it changes: the tags of its `If-Match`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected(Option<Vec<String>>);

/// The tag of a row's state: when it was changed last, which no two states of a row have in common.
pub fn tag(row: &Map<String, Value>) -> Option<String> {
    let at = row.get("updatedAt")?.as_str()?;
    Some(format!("\"{at}\""))
}

impl Expected {
    /// Of a header; without one any state is right.
    pub fn of(header: Option<&str>) -> Self {
        let tags = |text: &str| text.split(',').map(|tag| tag.trim().to_owned()).collect();
        Self(header.map(tags))
    }

    /// # Errors
    /// [`ChangeError::VersionConflict`]: the row was changed since.
    pub fn check(&self, row: &Map<String, Value>) -> Result<(), ChangeError> {
        let Some(tags) = &self.0 else {
            return Ok(());
        };
        let current = tag(row);
        if tags
            .iter()
            .any(|tag| tag == "*" || Some(tag) == current.as_ref())
        {
            Ok(())
        } else {
            Err(ChangeError::VersionConflict { current: 0 })
        }
    }

    /// As [`Expected::check`], of a row that is read and locked for it.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn check_in(
        &self,
        tx: &mut Tx,
        scope: &HouseScope,
        table: &Table,
        id: &str,
    ) -> Result<(), ChangeError> {
        if self.0.is_none() {
            return Ok(());
        }
        match one_in(tx, scope, table, id).await? {
            Some(Value::Object(row)) => self.check(&row),
            _ => Err(ChangeError::NotFound { what: table.what }),
        }
    }
}

/// The words that say when a row was changed: later by a millisecond at least than the time before, so that each state has its tag.
pub(super) fn changed_now(statement: &mut Statement) {
    let now = Timestamp::now();
    statement
        .with("updated_at = CASE WHEN updated_at + 1000 > ", now)
        .with(" THEN updated_at + 1000 ELSE ", now)
        .push(" END");
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
    statement.push(table.name).push(" SET ");
    changed_now(&mut statement);
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
