//! Which process takes which call, and which of them are alive.
//!
//! A process that takes calls holds a lock that is released at the instant of its death, however it dies: with SQLite the
//! operating system's lock on a file beside the database, with PostgreSQL an advisory lock of a session of its own. Its row's
//! heartbeat says until when it lived.

mod files;
mod host;
mod sessions;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AnyConnection, AnyPool};
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;

use crate::error::WriteError;
use crate::sql::Sql;

pub(crate) struct Processes {
    locks: Locks,
    /// This process, from its first call or recovery on; a handle that only reads has none.
    own: OnceCell<Own>,
}

enum Locks {
    Files(files::LockFiles),
    Sessions(Box<sessions::Sessions>),
}

struct Own {
    id: String,
    heartbeat: AbortHandle,
}

impl Drop for Own {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

/// The row of a process, as far as it says whether it lives.
pub(crate) struct ProcessRow {
    pub(crate) id: String,
    pub(crate) pid: i64,
    pub(crate) host: String,
    pub(crate) heartbeat_at: i64,
    pub(crate) stopped: bool,
}

impl ProcessRow {
    /// The processes that `condition`, words of ours, is true of; oldest first.
    pub(crate) async fn read(
        connection: &mut AnyConnection,
        condition: &'static str,
    ) -> Result<Vec<Self>, WriteError> {
        let mut sql = Sql::new("SELECT id, pid, host, heartbeat_at, stopped_at FROM processes ");
        sql.push(condition).push(" ORDER BY started_at, id");
        let read = |row: &AnyRow| {
            Ok(Self {
                id: row.try_get("id")?,
                pid: row.try_get("pid")?,
                host: row.try_get("host")?,
                heartbeat_at: row.try_get("heartbeat_at")?,
                stopped: row.try_get::<Option<i64>, _>("stopped_at")?.is_some(),
            })
        };
        let rows = sql.rows_in(connection).await?;
        rows.iter()
            .map(read)
            .collect::<Result<_, sqlx::Error>>()
            .map_err(WriteError::from)
    }
}

impl Processes {
    pub(crate) fn directory_of(database: &Path) -> PathBuf {
        let mut name = database.as_os_str().to_owned();
        name.push("-processes");
        PathBuf::from(name)
    }

    pub(crate) fn with_files(directory: PathBuf) -> Self {
        Self::new(Locks::Files(files::LockFiles::new(directory)))
    }

    pub(crate) fn with_sessions(options: PgConnectOptions) -> Self {
        Self::new(Locks::Sessions(Box::new(sessions::Sessions::new(options))))
    }

    fn new(locks: Locks) -> Self {
        Self {
            locks,
            own: OnceCell::new(),
        }
    }

    /// The id of this process; the first time, its row and lock are made and its heart begins to beat.
    pub(crate) async fn own_id(&self, writer: &AnyPool) -> Result<&str, WriteError> {
        let own = self.own.get_or_try_init(|| self.register(writer)).await?;
        Ok(&own.id)
    }

    async fn register(&self, writer: &AnyPool) -> Result<Own, WriteError> {
        let id = uuid::Uuid::now_v7().to_string();
        // The lock comes before the row: a row without a held lock is a dead process.
        let heartbeat = match &self.locks {
            Locks::Files(files) => {
                files.take(&id).map_err(sqlx::Error::Io)?;
                insert(writer, &id).await?;
                tokio::spawn(files::beat(writer.clone(), id.clone())).abort_handle()
            }
            Locks::Sessions(sessions) => {
                let session = sessions.take(&id).await?;
                insert(writer, &id).await?;
                tokio::spawn(sessions::beat((**sessions).clone(), session, id.clone()))
                    .abort_handle()
            }
        };
        Ok(Own { id, heartbeat })
    }

    /// Whether that process is dead for certain. The one of this store is not. With PostgreSQL the answer holds until the end of
    /// the transaction of `connection`, in which it must be asked.
    pub(crate) async fn is_dead(
        &self,
        connection: &mut AnyConnection,
        process: &ProcessRow,
    ) -> Result<bool, WriteError> {
        if self.own.get().is_some_and(|own| own.id == process.id) {
            return Ok(false);
        }
        match &self.locks {
            Locks::Files(files) => Ok(files.is_free(&process.id)),
            Locks::Sessions(_) => Ok(sessions::is_dead(connection, process).await?),
        }
    }

    /// Forgets the lock of a dead process.
    pub(crate) fn forget(&self, id: &str) {
        match &self.locks {
            Locks::Files(files) => files.forget(id),
            Locks::Sessions(_) => {}
        }
    }

    pub(crate) async fn stop(&self, writer: &AnyPool) {
        let Some(own) = self.own.get() else { return };
        own.heartbeat.abort();
        let now = Timestamp::now().as_microsecond();
        let stopped =
            sqlx::query("UPDATE processes SET heartbeat_at = $2, stopped_at = $2 WHERE id = $1")
                .bind(own.id.clone())
                .bind(now)
                .execute(writer)
                .await;
        if let Err(error) = stopped {
            tracing::debug!(%error, "the end of the process could not be written");
        }
        match &self.locks {
            Locks::Files(files) => files.release(),
            // The session ended with its task.
            Locks::Sessions(_) => {}
        }
    }
}

async fn insert(writer: &AnyPool, id: &str) -> Result<(), WriteError> {
    sqlx::query(
        "INSERT INTO processes (id, pid, host, started_at, heartbeat_at) VALUES ($1, $2, $3, $4, $4)",
    )
    .bind(id.to_owned())
    .bind(i64::from(std::process::id()))
    .bind(host::identity())
    .bind(Timestamp::now().as_microsecond())
    .execute(writer)
    .await?;
    Ok(())
}
