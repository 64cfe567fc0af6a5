//! Opening the database, its connections, and the one way to write.

mod migrations;
mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Arc, Once};

use jiff::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Transaction};

use crate::audit::Actor;
use crate::error::{OpenError, ReadError, WriteError};
use crate::process::Processes;
use crate::scope::TenantScope;

/// A handle of the store; cloning it gives another handle of the same connections.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    /// Who asks for the changes that this handle makes.
    pub(crate) actor: Option<Arc<Actor>>,
}

pub(crate) struct Inner {
    place: Place,
    readers: AnyPool,
    /// With SQLite one connection: writes queue here and never meet SQLITE_BUSY within the process.
    writer: AnyPool,
    pub(crate) processes: Processes,
}

/// Which database the store speaks to. The functions are the same; the few words that differ are chosen by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A file, embedded.
    Sqlite,
    /// A server, for several nodes.
    Postgres,
}

/// Where the database is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File(std::path::PathBuf),
    /// Address of the server without its password.
    Server(String),
}

/// What a dialect's opening gives.
struct Opened {
    place: Place,
    readers: AnyPool,
    writer: AnyPool,
    processes: Processes,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("place", &self.inner.place)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server(address) => f.write_str(address),
        }
    }
}

impl Store {
    /// Opens the database, makes its tables when there are none, and brings its schema up to date.
    ///
    /// `location` is a path, `sqlite:path`, or `postgres://user:password@host:port/database` (also `postgresql://`). A file and
    /// its directory are made when they are missing, readable by their owner alone; a PostgreSQL database has to exist. Several
    /// processes may open the same database at the same time.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was changed when it is not [`OpenError::Migration`].
    pub async fn open(location: &str) -> Result<Self, OpenError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let opened = match scheme(location)? {
            Dialect::Sqlite => sqlite::open(location).await?,
            Dialect::Postgres => postgres::open(location).await?,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                place: opened.place,
                readers: opened.readers,
                writer: opened.writer,
                processes: opened.processes,
            }),
            actor: None,
        })
    }

    /// The database file; `None` with a server.
    pub fn path(&self) -> Option<&Path> {
        match &self.inner.place {
            Place::File(path) => Some(path),
            Place::Server(_) => None,
        }
    }

    /// Where the database is, for people: the file, or the server's address without its password.
    pub fn location(&self) -> String {
        self.inner.place.to_string()
    }

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        match self.inner.place {
            Place::File(_) => Dialect::Sqlite,
            Place::Server(_) => Dialect::Postgres,
        }
    }

    /// Asks the database a trivial question, for health checks.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn check(&self) -> Result<(), ReadError> {
        sqlx::query("SELECT 1").execute(&self.inner.readers).await?;
        Ok(())
    }

    /// Says that this process ends in order, and closes the connections. Later calls of any handle fail.
    pub async fn close(&self) {
        self.inner.processes.stop(&self.inner.writer).await;
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// Removes what changed rows have left in SQLite's file and its log; PostgreSQL does so by itself (autovacuum).
    pub(crate) async fn forget_freed_pages(&self) -> Result<(), WriteError> {
        if self.dialect() == Dialect::Sqlite {
            for words in ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
                sqlx::query(words).execute(&self.inner.writer).await?;
            }
        }
        Ok(())
    }

    /// Makes what was removed unreadable in the database's file as well; PostgreSQL does so by itself (autovacuum). With SQLite the
    /// file is written anew: nobody else writes meanwhile.
    ///
    /// # Errors
    /// See [`WriteError`]; then it stays readable there until its place is used again.
    pub async fn node_scrub(&self) -> Result<(), WriteError> {
        self.forget_freed_pages().await
    }

    /// As [`Store::node_scrub`], as far as it goes beside running calls: freed places are overwritten as they are freed, and the
    /// log, where what was there still stands, is taken over into the file.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn node_settle_log(&self) -> Result<(), WriteError> {
        if self.dialect() == Dialect::Sqlite {
            let words = "PRAGMA wal_checkpoint(TRUNCATE)";
            sqlx::query(words).execute(&self.inner.writer).await?;
        }
        Ok(())
    }

    pub(crate) fn readers(&self) -> &AnyPool {
        &self.inner.readers
    }

    /// Begins a reading of several tables that are all as they were in one moment: whatever is written meanwhile is in none of them.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Any>, ReadError> {
        let mut snapshot = self.inner.readers.begin().await?;
        if self.dialect() == Dialect::Postgres {
            let words = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
            sqlx::query(words).execute(&mut *snapshot).await?;
        }
        Ok(snapshot)
    }

    pub(crate) fn writer(&self) -> &AnyPool {
        &self.inner.writer
    }

    /// Begins a write. With SQLite the lock is taken at once, so that two processes wait for each other instead of failing
    /// half-way; with PostgreSQL rows are locked as they are touched (see [`Write::lock`]).
    pub(crate) async fn write(&self) -> Result<Write, WriteError> {
        let dialect = self.dialect();
        // The guard comes first: a caller that gives up while the transaction begins must not leave it open in the pool.
        let mut write = Write {
            connection: self.inner.writer.acquire().await?,
            dialect,
            actor: self.actor.clone(),
            finished: false,
        };
        let begin = match dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        };
        sqlx::query(begin).execute(&mut *write).await?;
        Ok(write)
    }

    /// Adds a tenant; one that exists keeps its name.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn add_tenant(&self, scope: &TenantScope, name: &str) -> Result<(), WriteError> {
        let mut transaction = self.write().await?;
        sqlx::query(ADD_TENANT)
            .bind(scope.id().to_owned())
            .bind(name.to_owned())
            .bind(Timestamp::now().as_microsecond())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }
}

const ADD_TENANT: &str =
    "INSERT INTO tenants (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";

/// A write that has begun. Dropped without [`Write::commit`] or [`Write::rollback`] (an error, a caller that gave up) it takes
/// its connection with it, which rolls it back: after some errors, a full disk among them, SQLite has ended the transaction by
/// itself already, and a connection whose state is in doubt must not serve the next write.
pub(crate) struct Write {
    connection: PoolConnection<Any>,
    dialect: Dialect,
    actor: Option<Arc<Actor>>,
    finished: bool,
}

impl Write {
    pub(crate) async fn commit(mut self) -> Result<(), WriteError> {
        sqlx::query("COMMIT").execute(&mut *self.connection).await?;
        self.finished = true;
        Ok(())
    }

    /// Gives a write up that the database itself had no objection to.
    pub(crate) async fn rollback(mut self) {
        let rolled_back = sqlx::query("ROLLBACK").execute(&mut *self.connection).await;
        self.finished = rolled_back.is_ok();
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The words that lock the rows of a `SELECT` until the end of the write. SQLite has the whole file to itself by then.
    pub(crate) fn lock(&self) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE",
        }
    }

    /// As [`Write::lock`], but rows that another write holds are left out: for queues that several nodes empty.
    pub(crate) fn lock_free(&self) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    pub(crate) fn actor(&self) -> Option<Arc<Actor>> {
        self.actor.clone()
    }
}

impl Deref for Write {
    type Target = AnyConnection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if !self.finished {
            self.connection.close_on_drop();
        }
    }
}

/// What a new connection is told before it serves. `words` is one of this module's own constants.
async fn prepare(
    connection: &mut AnyConnection,
    words: &'static [&'static str],
) -> sqlx::Result<()> {
    for statement in words {
        sqlx::raw_sql(AssertSqlSafe(*statement))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

fn scheme(location: &str) -> Result<Dialect, OpenError> {
    let unsupported = |scheme: &str| {
        Err(OpenError::UnsupportedUrl {
            scheme: scheme.to_owned(),
        })
    };
    match location.split_once(':') {
        Some(("postgres" | "postgresql", _)) => Ok(Dialect::Postgres),
        Some((scheme @ ("mysql" | "mariadb"), _)) => unsupported(scheme),
        Some(_) | None => Ok(Dialect::Sqlite),
    }
}
