//! Tables of a crate outside of the core, in the same database: its own migrations, its own statements, the same pools.
//!
//! Such a crate names no SQL driver. Its tables have a prefix of their own and refer to none of the core; what it writes is one
//! transaction ([`Tx`]), as everything here. Flags and times are whole numbers, JSON is text: the same in both databases.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::{Dialect, Store, Write};
use crate::error::{OpenError, ReadError, WriteError};
use crate::sql::Sql;

/// One step of a crate's schema.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Rises from step to step, as `20261129000000`.
    pub version: i64,
    /// What it does, for people.
    pub name: &'static str,
    /// Its statements for SQLite.
    pub sqlite: &'static str,
    /// Its statements for PostgreSQL.
    pub postgres: &'static str,
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A text; `None` is the absent one.
    Text(Option<String>),
    /// A whole number.
    Int(Option<i64>),
    /// A number.
    Real(Option<f64>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        // PostgreSQL has no NUL in texts.
        Self::Text(Some(text.replace('\0', "")))
    }
}
impl From<String> for Cell {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}
impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Text(None), Self::from)
    }
}
impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}
impl From<Option<i64>> for Cell {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}
impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Real(Some(number))
    }
}
impl From<bool> for Cell {
    fn from(flag: bool) -> Self {
        Self::Int(Some(i64::from(flag)))
    }
}
impl From<Timestamp> for Cell {
    fn from(at: Timestamp) -> Self {
        Self::Int(Some(at.as_microsecond()))
    }
}

/// A statement under construction: words of the crate, and values that never become part of them.
#[derive(Default)]
pub struct Statement(Sql);

impl Statement {
    /// Begins with words of the crate itself, never of a client.
    pub fn new(words: &str) -> Self {
        Self(Sql::new(words))
    }

    /// Adds words of the crate itself.
    pub fn push(&mut self, words: &str) -> &mut Self {
        self.0.push(words);
        self
    }

    /// Adds a place and its value.
    pub fn bind(&mut self, value: impl Into<Cell>) -> &mut Self {
        match value.into() {
            Cell::Text(text) => self.0.bind(text),
            Cell::Int(number) => self.0.bind(number),
            Cell::Real(number) => self.0.bind(number),
        };
        self
    }

    /// Adds words and the value that follows them.
    pub fn with(&mut self, words: &str, value: impl Into<Cell>) -> &mut Self {
        self.push(words).bind(value)
    }
}

/// A row that was read.
pub struct Row(AnyRow);

impl Row {
    /// A text of it.
    ///
    /// # Errors
    /// There is no such column, or it holds something else.
    pub fn text(&self, column: &str) -> Result<Option<String>, ReadError> {
        Ok(self.0.try_get(column)?)
    }

    /// A whole number of it. Sums have to be cast to `BIGINT` in the statement.
    ///
    /// # Errors
    /// There is no such column, or it holds something else.
    pub fn int(&self, column: &str) -> Result<Option<i64>, ReadError> {
        Ok(self.0.try_get(column)?)
    }

    /// A number of it.
    ///
    /// # Errors
    /// There is no such column, or it holds something else.
    pub fn real(&self, column: &str) -> Result<Option<f64>, ReadError> {
        Ok(self.0.try_get(column)?)
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Row")
    }
}

/// The database as such a crate sees it.
#[derive(Clone, Debug)]
pub struct Db {
    store: Store,
}

impl Store {
    /// The door for a crate that keeps tables of its own here.
    pub fn annex(&self) -> Db {
        Db {
            store: self.clone(),
        }
    }
}

const APPLIED: &str = "CREATE TABLE IF NOT EXISTS annex_migrations (annex TEXT NOT NULL, version BIGINT NOT NULL, \
     name TEXT NOT NULL, applied_at BIGINT NOT NULL, PRIMARY KEY (annex, version))";

/// Key of the lock under which the schema changes ("annex" in ASCII).
const LOCK: &str = "SELECT pg_advisory_xact_lock(418430146936)::text";

impl Db {
    /// Brings the crate's tables up to date, in one transaction: all steps or none.
    ///
    /// # Errors
    /// [`OpenError::TooNew`] when a later version wrote there; [`OpenError::Unreadable`] when a step failed.
    pub async fn migrate(&self, annex: &str, steps: &[Step]) -> Result<(), OpenError> {
        let failed = |error: WriteError| match error {
            WriteError::Other(source) | WriteError::Unwritable(source) => OpenError::Unreadable {
                path: self.store.location().into(),
                source,
            },
            WriteError::DiskFull => OpenError::DiskFull {
                path: self.store.location().into(),
            },
            WriteError::Corrupt => OpenError::Corrupt {
                path: self.store.location().into(),
            },
            WriteError::Locked
            | WriteError::Unavailable
            | WriteError::UnknownCall
            | WriteError::DuplicateCall
            | WriteError::UnknownTenant
            | WriteError::BatchTooLarge => OpenError::Locked {
                path: self.store.location().into(),
            },
        };
        let found = self.applied(annex, steps).await.map_err(failed)?;
        match found {
            Some(found) => Err(OpenError::TooNew {
                path: self.store.location().into(),
                found,
            }),
            None => Ok(()),
        }
    }

    /// Applies what is missing; a version that is there and not among the steps is returned and nothing changed.
    async fn applied(&self, annex: &str, steps: &[Step]) -> Result<Option<i64>, WriteError> {
        let mut write = self.store.write().await?;
        let postgres = self.store.dialect() == Dialect::Postgres;
        if postgres {
            sqlx::query(LOCK).execute(&mut *write).await?;
        }
        sqlx::query(APPLIED).execute(&mut *write).await?;
        let mut asked = Sql::new("SELECT version FROM annex_migrations WHERE annex = ");
        asked.bind(annex.to_owned());
        let mut done = Vec::new();
        for row in asked.rows_in(&mut write).await? {
            done.push(row.try_get::<i64, _>("version")?);
        }
        let unknown = |version: &&i64| steps.iter().all(|step| step.version != **version);
        if let Some(found) = done.iter().find(unknown).copied() {
            write.rollback().await;
            return Ok(Some(found));
        }
        for step in steps.iter().filter(|step| !done.contains(&step.version)) {
            let words = if postgres { step.postgres } else { step.sqlite };
            sqlx::raw_sql(AssertSqlSafe(words))
                .execute(&mut *write)
                .await?;
            let mut note = Sql::new(
                "INSERT INTO annex_migrations (annex, version, name, applied_at) VALUES (",
            );
            note.bind(annex.to_owned()).with(", ", step.version);
            note.with(", ", step.name.to_owned());
            note.with(", ", Timestamp::now().as_microsecond()).push(")");
            note.run(&mut write).await?;
        }
        write.commit().await?;
        Ok(None)
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.store.dialect()
    }

    /// Rows of a statement that reads.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn rows(&self, statement: Statement) -> Result<Vec<Row>, ReadError> {
        let rows = statement.0.rows(self.store.readers()).await?;
        Ok(rows.into_iter().map(Row).collect())
    }

    /// The first row of a statement that reads.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn row(&self, statement: Statement) -> Result<Option<Row>, ReadError> {
        Ok(statement.0.row(self.store.readers()).await?.map(Row))
    }

    /// Begins a write. With SQLite there is one at a time; with PostgreSQL rows are locked as they are touched ([`Tx::lock`]).
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn begin(&self) -> Result<Tx, WriteError> {
        Ok(Tx(self.store.write().await?))
    }
}

/// A write that has begun. Dropped without [`Tx::commit`] it never happened.
pub struct Tx(Write);

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tx")
    }
}

impl Tx {
    /// Rows of a statement.
    ///
    /// # Errors
    /// See [`ChangeError`]; `what` names the thing for a refusal of a second one.
    pub async fn rows(
        &mut self,
        statement: Statement,
        what: &'static str,
    ) -> Result<Vec<Row>, ChangeError> {
        let rows = statement.0.rows_in(&mut self.0).await;
        let rows = rows.map_err(|error| ChangeError::of_write(error, what))?;
        Ok(rows.into_iter().map(Row).collect())
    }

    /// The first row of a statement.
    ///
    /// # Errors
    /// As [`Tx::rows`].
    pub async fn row(
        &mut self,
        statement: Statement,
        what: &'static str,
    ) -> Result<Option<Row>, ChangeError> {
        let row = statement.0.row_in(&mut self.0).await;
        Ok(row
            .map_err(|error| ChangeError::of_write(error, what))?
            .map(Row))
    }

    /// Runs a statement; the number of rows that it touched.
    ///
    /// # Errors
    /// As [`Tx::rows`].
    pub async fn run(
        &mut self,
        statement: Statement,
        what: &'static str,
    ) -> Result<u64, ChangeError> {
        let done = statement.0.run(&mut self.0).await;
        done.map_err(|error| ChangeError::of_write(error, what))
    }

    /// The database's language.
    pub fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    /// The words that lock the rows of a `SELECT` until the end of the write.
    pub fn lock(&self) -> &'static str {
        self.0.lock()
    }

    /// As [`Tx::lock`], leaving out rows that another write holds: for queues that several nodes empty.
    pub fn lock_free(&self) -> &'static str {
        self.0.lock_free()
    }

    /// Makes it so.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn commit(self) -> Result<(), WriteError> {
        self.0.commit().await
    }

    /// Gives it up.
    pub async fn rollback(self) {
        self.0.rollback().await;
    }
}
