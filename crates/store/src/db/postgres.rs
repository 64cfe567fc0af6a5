//! PostgreSQL: a server that several nodes share. What SQLite gives by its file lock is asked for by name here: the migrator's
//! advisory lock while the schema changes, row locks while a write goes on, a session's advisory lock while a process lives.

use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use sqlx::AnyPool;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use super::{ADD_TENANT, Opened, Place, prepare};
use crate::error::{Cause, OpenError, cause};
use crate::limits;
use crate::process::Processes;
use crate::scope::TenantScope;

/// A lock is waited for as long as SQLite's busy timeout (`limits::BUSY_TIMEOUT`); no statement of ours takes half a minute.
const WRITER: &[&str] = &[
    "SET lock_timeout = '5s'; SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'",
];
const READER: &[&str] = &["SET lock_timeout = '5s'; SET statement_timeout = '30s'; \
     SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"];

pub(super) async fn open(location: &str) -> Result<Opened, OpenError> {
    let options = PgConnectOptions::from_str(location)
        .map_err(|_| OpenError::BadAddress)?
        .application_name("allo");
    let address = address(&options);
    migrate(&address, &options).await?;
    let any = AnyConnectOptions::from_str(location).map_err(|_| OpenError::BadAddress)?;
    let writer = pool(&address, any.clone(), limits::POSTGRES_WRITERS_MAX, WRITER).await?;
    let readers = pool(&address, any, limits::READERS_MAX, READER).await?;
    Ok(Opened {
        processes: Processes::with_sessions(options),
        place: Place::Server(address),
        readers,
        writer,
    })
}

/// The address for people: everything but the password.
fn address(options: &PgConnectOptions) -> String {
    format!(
        "postgres://{}@{}:{}/{}",
        options.get_username(),
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or_default()
    )
}

async fn pool(
    address: &str,
    options: AnyConnectOptions,
    connections: u32,
    words: &'static [&'static str],
) -> Result<AnyPool, OpenError> {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(limits::ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| Box::pin(prepare(connection, words)))
        .connect_with(options)
        .await
        .map_err(|source| open_error(address, source))
}

fn open_error(address: &str, source: sqlx::Error) -> OpenError {
    let path = PathBuf::from(address);
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

/// The migrator holds an advisory lock of the database meanwhile: a second node waits, then finds the work done. A node that is
/// killed loses the lock with its connection, and its half migration with its transaction.
async fn migrate(address: &str, options: &PgConnectOptions) -> Result<(), OpenError> {
    let opened = |source: sqlx::Error| open_error(address, source);
    let connecting = tokio::time::timeout(limits::ACQUIRE_TIMEOUT, options.connect()).await;
    let mut connection: PgConnection = match connecting {
        Ok(connected) => connected.map_err(opened)?,
        Err(_) => return Err(opened(sqlx::Error::PoolTimedOut)),
    };
    match super::migrations::postgres()
        .run_direct(None, &mut connection, false)
        .await
    {
        Ok(()) => {}
        Err(sqlx::migrate::MigrateError::VersionMissing(found)) => {
            return Err(OpenError::TooNew {
                path: PathBuf::from(address),
                found,
            });
        }
        Err(
            sqlx::migrate::MigrateError::Execute(source)
            | sqlx::migrate::MigrateError::ExecuteMigration(source, _),
        ) if cause(&source) != Cause::Other => {
            return Err(open_error(address, source));
        }
        Err(source) => {
            return Err(OpenError::Migration {
                path: PathBuf::from(address),
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
