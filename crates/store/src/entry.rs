//! What all entries have in common: an id, a version that rises with each change, and the two times. The functions of the
//! subjects are thin over these.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::audit::{Action, note};
use crate::call_record::timestamp;
use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::error::{Cause, ReadError, cause};
use crate::limits;
use crate::page::{List, PageRequest};
use crate::scope::{Reach, Realm};
use crate::sql::Sql;

/// A stored entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<C> {
    /// Its id.
    pub id: String,
    /// Whose it is; `None` for what belongs to the operator of the node.
    pub tenant: Option<String>,
    /// Rises by one with each change: the entity tag.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// What it is.
    pub content: C,
}

impl<C> std::ops::Deref for Entry<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.content
    }
}

/// A new id: a UUID of version 7, so that ids follow each other in time.
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// A kind of entry.
pub(crate) trait Content: Sized {
    const TABLE: &'static str;
    /// Its name for people and for the audit log.
    const WHAT: &'static str;
    /// What must be new in it, for the refusal of a second one.
    const UNIQUE: &'static str;
    /// The column that says whose it is.
    const OWNER: &'static str = "tenant_id";
    /// The columns that are written, in the order of [`Content::values`].
    const COLUMNS: &'static [&'static str];
    fn values(&self) -> Vec<Value>;
    /// What is read of a row.
    const SELECTED: &'static str = "*";
    /// Reads the content, of what [`Content::SELECTED`] says.
    fn read(row: &AnyRow) -> sqlx::Result<Self>;
}

/// A value of a column.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Option<String>),
    Number(Option<i64>),
    Real(f64),
    /// For columns that are truth values where the database has them; the others hold 0 or 1 in [`Value::Number`].
    Flag(bool),
}

impl Value {
    /// A text as it is stored. NUL characters, which PostgreSQL refuses, go.
    fn clean(text: &str) -> String {
        text.replace('\0', "")
    }

    fn is_too_long(&self) -> bool {
        matches!(self, Self::Text(Some(text)) if text.len() > limits::ENTRY_TEXT_BYTES_MAX)
    }

    pub(crate) fn bind(self, sql: &mut Sql) {
        match self {
            Self::Text(text) => sql.bind(text),
            Self::Number(number) => sql.bind(number),
            Self::Real(real) => sql.bind(real),
            Self::Flag(flag) => sql.bind(flag),
        };
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(Self::clean(text)))
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(Self::clean(text)))
    }
}
impl From<&Option<String>> for Value {
    fn from(text: &Option<String>) -> Self {
        Self::Text(text.as_deref().map(Self::clean))
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}
impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Number(Some(i64::from(flag)))
    }
}
impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Number(Some(at.as_microsecond()))
    }
}
impl From<Option<Timestamp>> for Value {
    fn from(at: Option<Timestamp>) -> Self {
        Self::Number(at.map(Timestamp::as_microsecond))
    }
}
impl From<f64> for Value {
    fn from(real: f64) -> Self {
        Self::Real(real)
    }
}

/// A flag of a row.
pub(crate) fn flag(row: &AnyRow, column: &str) -> sqlx::Result<bool> {
    Ok(row.try_get::<i64, _>(column)? != 0)
}

/// A truth value of a row: SQLite has numbers in its place.
pub(crate) fn truth(row: &AnyRow, column: &str) -> sqlx::Result<bool> {
    row.try_get::<bool, _>(column)
        .or_else(|_| flag(row, column))
}

/// A time of a row.
pub(crate) fn time(row: &AnyRow, column: &str) -> sqlx::Result<Timestamp> {
    Ok(timestamp(row.try_get(column)?))
}

/// A time of a row that may be absent.
pub(crate) fn time_if(row: &AnyRow, column: &str) -> sqlx::Result<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(timestamp))
}

pub(crate) fn entry<C: Content>(row: &AnyRow) -> sqlx::Result<Entry<C>> {
    Ok(Entry {
        id: row.try_get("id")?,
        tenant: row.try_get(C::OWNER)?,
        version: row.try_get("version")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        content: C::read(row)?,
    })
}

/// Adds "of this tenant".
pub(crate) fn owned(sql: &mut Sql, realm: Realm<'_>) {
    owned_by(sql, "tenant_id", realm);
}

fn owned_by(sql: &mut Sql, owner: &'static str, realm: Realm<'_>) {
    sql.push(owner);
    match realm {
        Realm::Tenant(scope) => sql.with(" = ", scope.id().to_owned()),
        Realm::Node => sql.push(" IS NULL"),
    };
}

fn selected<C: Content>() -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.push(C::SELECTED).push(" FROM ").push(C::TABLE);
    sql.push(" WHERE ");
    sql
}

fn select<C: Content>(realm: Realm<'_>) -> Sql {
    let mut sql = selected::<C>();
    owned_by(&mut sql, C::OWNER, realm);
    sql
}

fn checked(values: Vec<Value>) -> Result<Vec<Value>, ChangeError> {
    if values.iter().any(Value::is_too_long) {
        return Err(ChangeError::Refused { cause: "too_long" });
    }
    Ok(values)
}

impl Write {
    /// Ends a change: what was refused by our own rules, or by a constraint, is rolled back without losing the connection.
    pub(crate) async fn settle<T>(self, result: Result<T, ChangeError>) -> Result<T, ChangeError> {
        match result {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(ChangeError::Write(error)) => Err(ChangeError::Write(error)),
            Err(refused) => {
                self.rollback().await;
                Err(refused)
            }
        }
    }

    pub(crate) async fn insert<C: Content>(
        &mut self,
        realm: Realm<'_>,
        id: &str,
        content: &C,
    ) -> Result<Entry<C>, ChangeError> {
        let mut sql = Sql::new("INSERT INTO ");
        sql.push(C::TABLE)
            .push(" (id, version, created_at, updated_at");
        if C::OWNER != "id" {
            sql.push(", ").push(C::OWNER);
        }
        for column in C::COLUMNS {
            sql.push(", ").push(column);
        }
        let now = Timestamp::now().as_microsecond();
        sql.with(") VALUES (", id.to_owned()).push(", 1");
        sql.with(", ", now).with(", ", now);
        if C::OWNER != "id" {
            sql.with(", ", realm.tenant_id());
        }
        for value in checked(content.values())? {
            sql.push(", ");
            value.bind(&mut sql);
        }
        sql.push(") RETURNING ").push(C::SELECTED);
        let row = sql.row_in(self).await;
        let row = row.map_err(|error| ChangeError::of_write(error, C::UNIQUE))?;
        let row = row.ok_or(ChangeError::NotFound { what: C::WHAT })?;
        note(self, realm, Action::Created, C::WHAT, id).await?;
        Ok(entry(&row)?)
    }

    pub(crate) async fn update<C: Content>(
        &mut self,
        realm: Realm<'_>,
        id: &str,
        content: &C,
        expected: Option<i64>,
    ) -> Result<Entry<C>, ChangeError> {
        let mut sql = Sql::new("UPDATE ");
        sql.push(C::TABLE).push(" SET version = version + 1");
        sql.with(", updated_at = ", Timestamp::now().as_microsecond());
        for (column, value) in C::COLUMNS.iter().zip(checked(content.values())?) {
            sql.push(", ").push(column).push(" = ");
            value.bind(&mut sql);
        }
        sql.push(" WHERE ");
        owned_by(&mut sql, C::OWNER, realm);
        sql.with(" AND id = ", id.to_owned());
        if let Some(expected) = expected {
            sql.with(" AND version = ", expected);
        }
        sql.push(" RETURNING ").push(C::SELECTED);
        let row = sql.row_in(self).await;
        let row = row.map_err(|error| ChangeError::of_write(error, C::UNIQUE))?;
        let Some(row) = row else {
            return Err(self.why_not::<C>(realm, id).await);
        };
        note(self, realm, Action::Changed, C::WHAT, id).await?;
        Ok(entry(&row)?)
    }

    pub(crate) async fn remove<C: Content>(
        &mut self,
        realm: Realm<'_>,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        let mut sql = Sql::new("DELETE FROM ");
        sql.push(C::TABLE).push(" WHERE ");
        owned_by(&mut sql, C::OWNER, realm);
        sql.with(" AND id = ", id.to_owned());
        if let Some(expected) = expected {
            sql.with(" AND version = ", expected);
        }
        let removed = sql.run(self).await.map_err(|error| match cause(&error) {
            Cause::ForeignKey => ChangeError::InUse { what: C::WHAT },
            Cause::DiskFull
            | Cause::Locked
            | Cause::Unavailable
            | Cause::Corrupt
            | Cause::Unwritable
            | Cause::Unique
            | Cause::Other => error.into(),
        })?;
        if removed == 0 {
            return Err(self.why_not::<C>(realm, id).await);
        }
        note(self, realm, Action::Removed, C::WHAT, id).await
    }

    /// An entry as this write sees it, locked until its end.
    pub(crate) async fn locked<C: Content>(
        &mut self,
        realm: Realm<'_>,
        id: &str,
    ) -> Result<Entry<C>, ChangeError> {
        let mut sql = select::<C>(realm);
        sql.with(" AND id = ", id.to_owned()).push(self.lock());
        let row = sql.row_in(self).await?;
        let row = row.ok_or(ChangeError::NotFound { what: C::WHAT })?;
        Ok(entry(&row)?)
    }

    /// Why a change touched no row.
    async fn why_not<C: Content>(&mut self, realm: Realm<'_>, id: &str) -> ChangeError {
        match self.locked::<C>(realm, id).await {
            Ok(there) => ChangeError::VersionConflict {
                current: there.version,
            },
            Err(error) => error,
        }
    }
}

impl Store {
    pub(crate) async fn entry<C: Content>(
        &self,
        realm: Realm<'_>,
        id: &str,
    ) -> Result<Option<Entry<C>>, ReadError> {
        let mut sql = select::<C>(realm);
        sql.with(" AND id = ", id.to_owned());
        let row = sql.row(self.readers()).await?;
        Ok(row.as_ref().map(entry).transpose()?)
    }

    pub(crate) async fn entries<C: Content>(
        &self,
        realm: Realm<'_>,
        page: &PageRequest,
        conditions: impl FnOnce(&mut Sql),
    ) -> Result<List<Entry<C>>, ReadError> {
        let mut sql = select::<C>(realm);
        conditions(&mut sql);
        self.page(sql, "created_at", page, entry).await
    }

    /// The entries of one tenant or of all.
    pub(crate) async fn entries_within<C: Content>(
        &self,
        reach: &Reach,
        page: &PageRequest,
        conditions: impl FnOnce(&mut Sql),
    ) -> Result<List<Entry<C>>, ReadError> {
        let mut sql = selected::<C>();
        match reach {
            Reach::Tenant(scope) => owned_by(&mut sql, C::OWNER, scope.into()),
            Reach::Node => drop(sql.push(C::OWNER).push(" IS NOT NULL")),
        }
        conditions(&mut sql);
        self.page(sql, "created_at", page, entry).await
    }

    pub(crate) async fn create<C: Content>(
        &self,
        realm: Realm<'_>,
        id: &str,
        content: &C,
    ) -> Result<Entry<C>, ChangeError> {
        let mut write = self.write().await?;
        let result = write.insert(realm, id, content).await;
        write.settle(result).await
    }

    pub(crate) async fn change<C: Content>(
        &self,
        realm: Realm<'_>,
        id: &str,
        content: &C,
        expected: Option<i64>,
    ) -> Result<Entry<C>, ChangeError> {
        let mut write = self.write().await?;
        let result = write.update(realm, id, content, expected).await;
        write.settle(result).await
    }

    pub(crate) async fn erase<C: Content>(
        &self,
        realm: Realm<'_>,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        let mut write = self.write().await?;
        let result = write.remove::<C>(realm, id, expected).await;
        write.settle(result).await
    }
}
