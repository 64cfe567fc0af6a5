//! Opening the database, its connections, and the one way to write.

use std::fmt;
use std::fs::File;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, SqliteConnection};

use crate::error::{Cause, OpenError, ReadError, WriteError, cause};
use crate::limits;
use crate::process::Processes;
use crate::scope::TenantScope;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// A handle of the store; cloning it gives another handle of the same connections.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    path: PathBuf,
    readers: SqlitePool,
    /// One connection: writes queue here and never meet SQLITE_BUSY within the process.
    writer: SqlitePool,
    pub(crate) processes: Processes,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database, makes it when there is none, and brings its schema up to date.
    ///
    /// `location` is a path or `sqlite:path`. The file and its directory are made when they are missing; the file is readable
    /// by its owner alone. Several processes may open the same file at the same time.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was changed when it is not [`OpenError::Migration`].
    pub async fn open(location: &str) -> Result<Self, OpenError> {
        let path = parse_location(location)?;
        let directory = Processes::directory_of(&path);
        let opening = prepare(path.clone(), directory.clone()).await?;
        let options = options(&path);
        let opened = |source: sqlx::Error| open_error(&path, source);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(limits::ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await
            .map_err(opened)?;
        migrate(&path, &writer).await?;
        drop(opening);
        let readers = SqlitePoolOptions::new()
            .max_connections(limits::READERS_MAX)
            .acquire_timeout(limits::ACQUIRE_TIMEOUT)
            .connect_with(options.pragma("query_only", "on"))
            .await
            .map_err(opened)?;
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                readers,
                writer,
                processes: Processes::new(directory),
            }),
        })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
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

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.inner.readers
    }

    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.inner.writer
    }

    /// Begins a write: the lock is taken at once, so that two processes wait for each other instead of failing half-way.
    pub(crate) async fn write(&self) -> Result<Write, WriteError> {
        // The guard comes first: a caller that gives up while the transaction begins must not leave it open in the pool.
        let mut write = Write {
            connection: self.inner.writer.acquire().await?,
            committed: false,
        };
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *write).await?;
        Ok(write)
    }

    /// Adds a tenant; one that exists keeps its name.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn add_tenant(&self, scope: &TenantScope, name: &str) -> Result<(), WriteError> {
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO tenants (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING")
            .bind(scope.id().to_owned())
            .bind(name.to_owned())
            .bind(Timestamp::now().as_microsecond())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// A write that has begun. Dropped without [`Write::commit`] (an error, a caller that gave up) it takes its connection with
/// it, which rolls it back: after some errors, a full disk among them, SQLite has ended the transaction by itself already, and
/// a connection whose state is in doubt must not serve the next write.
pub(crate) struct Write {
    connection: PoolConnection<Sqlite>,
    committed: bool,
}

impl Write {
    pub(crate) async fn commit(mut self) -> Result<(), WriteError> {
        sqlx::query("COMMIT").execute(&mut *self.connection).await?;
        self.committed = true;
        Ok(())
    }
}

impl Deref for Write {
    type Target = SqliteConnection;

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
        if !self.committed {
            self.connection.close_on_drop();
        }
    }
}

fn parse_location(location: &str) -> Result<PathBuf, OpenError> {
    let unsupported = |scheme: &str| OpenError::UnsupportedUrl {
        scheme: scheme.to_owned(),
    };
    let path = match location.split_once(':') {
        Some(("sqlite", rest)) => rest.strip_prefix("//").unwrap_or(rest),
        Some((scheme @ ("postgres" | "postgresql" | "mysql" | "mariadb"), _)) => {
            return Err(unsupported(scheme));
        }
        Some(_) | None => location,
    };
    if path.is_empty() || path == ":memory:" {
        return Err(unsupported(if path.is_empty() {
            "empty"
        } else {
            ":memory:"
        }));
    }
    // A path is never empty here, and `from_str` of a path cannot fail.
    Ok(PathBuf::from_str(path).unwrap_or_default())
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(limits::BUSY_TIMEOUT)
        .pragma("trusted_schema", "off")
}

/// Makes the directory and the file (private), and takes the lock under which the journal mode and the schema change: SQLite
/// does not wait for these by itself.
async fn prepare(path: PathBuf, directory: PathBuf) -> Result<File, OpenError> {
    let worker = tokio::task::spawn_blocking(move || {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            std::fs::create_dir_all(parent).map_err(|source| directory_error(parent, source))?;
        }
        std::fs::create_dir_all(&directory)
            .map_err(|source| directory_error(&directory, source))?;
        let mut private = File::options();
        private.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut private, 0o600);
        private
            .open(&path)
            .map_err(|source| file_error(&path, source))?;
        let lock = private
            .open(directory.join("opening"))
            .map_err(|source| directory_error(&directory, source))?;
        let deadline = std::time::Instant::now() + limits::BUSY_TIMEOUT;
        while lock.try_lock().is_err() {
            if std::time::Instant::now() > deadline {
                return Err(OpenError::Locked { path });
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Ok(lock)
    });
    worker
        .await
        .expect("the closure does not panic and is never aborted")
}

fn directory_error(path: &Path, source: std::io::Error) -> OpenError {
    if source.kind() == std::io::ErrorKind::StorageFull {
        return OpenError::DiskFull {
            path: path.to_owned(),
        };
    }
    OpenError::Directory {
        path: path.to_owned(),
        source,
    }
}

fn file_error(path: &Path, source: std::io::Error) -> OpenError {
    if source.kind() == std::io::ErrorKind::StorageFull {
        return OpenError::DiskFull {
            path: path.to_owned(),
        };
    }
    OpenError::Unreadable {
        path: path.to_owned(),
        source: sqlx::Error::Io(source),
    }
}

fn open_error(path: &Path, source: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    match cause(&source) {
        Cause::DiskFull => OpenError::DiskFull { path },
        Cause::Locked => OpenError::Locked { path },
        Cause::Corrupt => OpenError::Corrupt { path },
        Cause::Unwritable | Cause::Unique | Cause::ForeignKey | Cause::Other => {
            OpenError::Unreadable { path, source }
        }
    }
}

async fn migrate(path: &Path, writer: &SqlitePool) -> Result<(), OpenError> {
    match MIGRATIONS.run(writer).await {
        Ok(()) => {}
        Err(sqlx::migrate::MigrateError::VersionMissing(found)) => {
            return Err(OpenError::TooNew {
                path: path.to_owned(),
                found,
            });
        }
        Err(
            sqlx::migrate::MigrateError::Execute(source)
            | sqlx::migrate::MigrateError::ExecuteMigration(source, _),
        ) if cause(&source) != Cause::Other => {
            return Err(open_error(path, source));
        }
        Err(source) => {
            return Err(OpenError::Migration {
                path: path.to_owned(),
                source,
            });
        }
    }
    sqlx::query("INSERT INTO tenants (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING")
        .bind(TenantScope::DEFAULT_TENANT)
        .bind(TenantScope::DEFAULT_TENANT)
        .bind(Timestamp::now().as_microsecond())
        .execute(writer)
        .await
        .map_err(|source| open_error(path, source))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call_record::{Direction, NewCall};
    use crate::journal::{Event, JournalEntry, SipMessage};
    use call::CallId;

    async fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("allo.db");
        let store = Store::open(path.to_str().unwrap()).await.unwrap();
        let call = NewCall {
            id: CallId::from("c1"),
            direction: Direction::Inbound,
            from: String::new(),
            to: String::new(),
            line: String::new(),
            agent: String::new(),
            sip_call_id: None,
            started_at: Timestamp::now(),
        };
        store
            .create_call(&TenantScope::default(), &call)
            .await
            .unwrap();
        (directory, store)
    }

    fn long_entry(seq: u64) -> JournalEntry {
        let message = SipMessage {
            text: "x".repeat(8_000),
            ..SipMessage::default()
        };
        JournalEntry {
            seq,
            at_ms: 0,
            wall: Timestamp::now(),
            event: Event::SipMessage(message),
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_a_typed_error_and_loses_nothing() {
        let (_directory, store) = store().await;
        let (scope, id) = (TenantScope::default(), CallId::from("c1"));
        store
            .append_events(&scope, &id, &[long_entry(0)])
            .await
            .unwrap();
        // SQLite gives the same code for its own bound as for a full disk.
        sqlx::query("PRAGMA max_page_count = 40")
            .execute(store.writer())
            .await
            .unwrap();
        let mut seq = 1;
        let error = loop {
            match store.append_events(&scope, &id, &[long_entry(seq)]).await {
                Ok(()) => seq += 1,
                Err(error) => break error,
            }
        };
        assert!(
            matches!(error, WriteError::DiskFull) && error.is_retryable(),
            "{error:?}"
        );
        assert_eq!(error.message().code, "store_write_disk_full");
        assert_eq!(store.events(&scope, &id).await.unwrap().len() as u64, seq);
        // Room again (the bound was one of the connection): the same write succeeds, without a restart.
        store
            .append_events(&scope, &id, &[long_entry(seq)])
            .await
            .unwrap();
        assert_eq!(
            store.events(&scope, &id).await.unwrap().len() as u64,
            seq + 1
        );
    }

    #[tokio::test]
    async fn a_locked_database_is_a_typed_error_and_reading_goes_on() {
        let (_directory, store) = store().await;
        let (scope, id) = (TenantScope::default(), CallId::from("c1"));
        let other = Store::open(store.path().to_str().unwrap()).await.unwrap();
        sqlx::query("PRAGMA busy_timeout = 30")
            .execute(store.writer())
            .await
            .unwrap();
        let held = other.write().await.unwrap();
        let error = store
            .append_events(&scope, &id, &[long_entry(0)])
            .await
            .unwrap_err();
        assert!(
            matches!(error, WriteError::Locked) && error.is_retryable(),
            "{error:?}"
        );
        assert!(store.call(&scope, &id).await.unwrap().is_some());
        drop(held);
        store
            .append_events(&scope, &id, &[long_entry(0)])
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_write_that_is_given_up_half_way_leaves_the_writer_usable() {
        let (_directory, store) = store().await;
        let (scope, id) = (TenantScope::default(), CallId::from("c1"));
        for seq in 0..50 {
            let entries = [long_entry(seq)];
            let write = store.append_events(&scope, &id, &entries);
            // Dropped at some await point of its own.
            let _ = tokio::time::timeout(std::time::Duration::from_micros(seq * 20), write).await;
        }
        store
            .append_events(&scope, &id, &[long_entry(1_000)])
            .await
            .unwrap();
        let events = store.events(&scope, &id).await.unwrap();
        assert_eq!(events.last().map(|entry| entry.seq), Some(1_000));
    }
}
