//! SQLite: a private file with a write-ahead log, one connection that writes and several that read.

use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::AnyPool;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::{ADD_TENANT, Opened, Place, prepare};
use crate::error::{Cause, OpenError, cause};
use crate::limits;
use crate::process::Processes;
use crate::scope::TenantScope;

/// The journal mode stays in the file and foreign keys are the driver's default; these are of the connection.
const WRITER: &[&str] = &["PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF"];
const READER: &[&str] =
    &["PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF; PRAGMA query_only = ON"];

pub(super) async fn open(location: &str) -> Result<Opened, OpenError> {
    let path = parse_location(location)?;
    let directory = Processes::directory_of(&path);
    let opening = make_file(path.clone(), directory.clone()).await?;
    migrate(&path).await?;
    let writer = pool(&path, 1, WRITER).await?;
    let readers = pool(&path, limits::READERS_MAX, READER).await?;
    drop(opening);
    Ok(Opened {
        processes: Processes::with_files(directory),
        place: Place::File(path),
        readers,
        writer,
    })
}

fn parse_location(location: &str) -> Result<PathBuf, OpenError> {
    let path = match location.split_once(':') {
        Some(("sqlite", rest)) => rest.strip_prefix("//").unwrap_or(rest),
        Some(_) | None => location,
    };
    if path.is_empty() || path == ":memory:" {
        return Err(OpenError::UnsupportedUrl {
            scheme: if path.is_empty() { "empty" } else { ":memory:" }.to_owned(),
        });
    }
    Ok(PathBuf::from(path))
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
        // What is erased must not be readable in the file's freed pages.
        .pragma("secure_delete", "on")
}

async fn pool(
    path: &Path,
    connections: u32,
    words: &'static [&'static str],
) -> Result<AnyPool, OpenError> {
    // Built by the driver, so that it reads every character of the path as we meant it. Its busy timeout is the driver's
    // default, 5 s, which is `limits::BUSY_TIMEOUT`.
    let absolute = std::path::absolute(path).map_err(|source| directory_error(path, source))?;
    let url = SqliteConnectOptions::new()
        .filename(absolute)
        .to_url_lossy();
    let options = AnyConnectOptions::from_url(&url).map_err(|source| open_error(path, source))?;
    let mut pool = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(limits::ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| Box::pin(prepare(connection, words)));
    if connections == 1 {
        pool = pool.idle_timeout(None).max_lifetime(None);
    }
    pool.connect_with(options)
        .await
        .map_err(|source| open_error(path, source))
}

/// Makes the directory and the file (private), and takes the lock under which the journal mode and the schema change: SQLite
/// does not wait for these by itself.
async fn make_file(path: PathBuf, directory: PathBuf) -> Result<File, OpenError> {
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
        Cause::Unwritable
        | Cause::Unavailable
        | Cause::Unique
        | Cause::ForeignKey
        | Cause::Other => OpenError::Unreadable { path, source },
    }
}

/// On a connection of its own, which sets the journal mode for all later ones.
async fn migrate(path: &Path) -> Result<(), OpenError> {
    let opened = |source: sqlx::Error| open_error(path, source);
    let mut connection = SqliteConnection::connect_with(&options(path))
        .await
        .map_err(opened)?;
    match super::migrations::sqlite()
        .run_direct(None, &mut connection, false)
        .await
    {
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
    sqlx::query(ADD_TENANT)
        .bind(TenantScope::DEFAULT_TENANT)
        .bind(TenantScope::DEFAULT_TENANT)
        .bind(Timestamp::now().as_microsecond())
        .execute(&mut connection)
        .await
        .map_err(opened)?;
    connection.close().await.map_err(opened)
}
