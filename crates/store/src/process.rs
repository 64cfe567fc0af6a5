//! Which process takes which call, and which of them are alive.
//!
//! A process that takes calls holds an operating-system lock on a file beside the database, which the system releases at the
//! instant of its death, however it dies. Its row's heartbeat says until when it lived.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use sqlx::sqlite::SqlitePool;
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;

use crate::error::WriteError;
use crate::limits::HEARTBEAT_EVERY;

pub(crate) struct Processes {
    directory: PathBuf,
    /// This process, from its first call or recovery on; a handle that only reads has none.
    own: OnceCell<Own>,
}

struct Own {
    id: String,
    lock_path: PathBuf,
    lock: Mutex<Option<File>>,
    heartbeat: AbortHandle,
}

impl Drop for Own {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

impl Processes {
    pub(crate) fn directory_of(database: &Path) -> PathBuf {
        let mut name = database.as_os_str().to_owned();
        name.push("-processes");
        PathBuf::from(name)
    }

    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            own: OnceCell::new(),
        }
    }

    /// The id of this process; the first time, its row and lock are made and its heart begins to beat.
    pub(crate) async fn own_id(&self, writer: &SqlitePool) -> Result<&str, WriteError> {
        let own = self.own.get_or_try_init(|| self.register(writer)).await?;
        Ok(&own.id)
    }

    async fn register(&self, writer: &SqlitePool) -> Result<Own, WriteError> {
        let id = uuid::Uuid::now_v7().to_string();
        let lock_path = self.directory.join(&id);
        // The lock comes before the row: a row without a held lock is a dead process.
        let lock =
            lock_file(&lock_path).map_err(|source| WriteError::from(sqlx::Error::Io(source)))?;
        let now = Timestamp::now().as_microsecond();
        sqlx::query(
            "INSERT INTO processes (id, pid, started_at, heartbeat_at) VALUES ($1, $2, $3, $3)",
        )
        .bind(id.clone())
        .bind(i64::from(std::process::id()))
        .bind(now)
        .execute(writer)
        .await?;
        let heartbeat = tokio::spawn(beat(writer.clone(), id.clone())).abort_handle();
        Ok(Own {
            id,
            lock_path,
            lock: Mutex::new(Some(lock)),
            heartbeat,
        })
    }

    /// Whether the process of that id is dead for certain. The one of this store is not.
    pub(crate) fn is_dead(&self, id: &str) -> bool {
        if self.own.get().is_some_and(|own| own.id == id) {
            return false;
        }
        match File::options().write(true).open(self.directory.join(id)) {
            Ok(file) => file.try_lock().is_ok(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// Forgets the lock file of a dead process.
    pub(crate) fn forget(&self, id: &str) {
        // A file that stays does no harm: it can be locked, so its process is dead.
        let _ = std::fs::remove_file(self.directory.join(id));
    }

    pub(crate) async fn stop(&self, writer: &SqlitePool) {
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
        let lock = own.lock.lock().map(|mut lock| lock.take());
        if let Ok(Some(lock)) = lock {
            let _ = std::fs::remove_file(&own.lock_path);
            drop(lock);
        }
    }
}

fn lock_file(path: &Path) -> std::io::Result<File> {
    let file = File::options().write(true).create_new(true).open(path)?;
    file.try_lock().map_err(std::io::Error::from)?;
    Ok(file)
}

async fn beat(writer: SqlitePool, id: String) {
    let mut every = tokio::time::interval(HEARTBEAT_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while !writer.is_closed() {
        every.tick().await;
        let beaten = sqlx::query("UPDATE processes SET heartbeat_at = $2 WHERE id = $1")
            .bind(id.clone())
            .bind(Timestamp::now().as_microsecond())
            .execute(&writer)
            .await;
        if let Err(error) = beaten {
            tracing::debug!(%error, "heartbeat not written");
        }
    }
}
