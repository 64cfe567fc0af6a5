//! Advisory locks of sessions with PostgreSQL.
//!
//! A session that is gone is not yet a dead process: the server may have restarted, or the network failed. So a process is dead
//! only when its lock is free and, besides, it is known to be gone from this machine or has been silent for
//! [`HEARTBEAT_STALE`]. Both are measured by the server's clock.

use sqlx::AnyConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};

use super::{ProcessRow, host};
use crate::limits::{HEARTBEAT_EVERY, HEARTBEAT_STALE};

/// The server's clock, in our unit.
const NOW: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

#[derive(Clone)]
pub(super) struct Sessions {
    options: PgConnectOptions,
}

impl Sessions {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options }
    }

    /// A session of its own that holds the lock of that process. It is asked to notice within half a minute that the other end
    /// of its connection is gone without a word.
    pub(super) async fn take(&self, id: &str) -> sqlx::Result<PgConnection> {
        let connecting = tokio::time::timeout(HEARTBEAT_EVERY, self.options.connect());
        let mut session = connecting.await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        sqlx::raw_sql(
            "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
             SET lock_timeout = '5s'; SET statement_timeout = '5s'",
        )
        .execute(&mut session)
        .await?;
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(key(id))
            .execute(&mut session)
            .await?;
        Ok(session)
    }
}

/// The lock's number: the random half of the process's id.
fn key(id: &str) -> i64 {
    let mut half = [0; 8];
    if let Ok(id) = uuid::Uuid::parse_str(id) {
        half.copy_from_slice(&id.as_bytes()[8..]);
    }
    i64::from_be_bytes(half)
}

pub(super) async fn beat(sessions: Sessions, session: PgConnection, id: String) {
    let mut session = Some(session);
    let mut every = tokio::time::interval(HEARTBEAT_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        every.tick().await;
        let mut held = match session.take() {
            Some(held) => held,
            None => match sessions.take(&id).await {
                Ok(held) => held,
                Err(error) => {
                    tracing::debug!(%error, "the session of this process is not back yet");
                    continue;
                }
            },
        };
        let beaten = tokio::time::timeout(HEARTBEAT_EVERY, beat_once(&mut held, &id)).await;
        match beaten {
            Ok(Ok(())) => session = Some(held),
            Ok(Err(error)) => {
                tracing::debug!(%error, "heartbeat not written");
                every.reset_after(std::time::Duration::from_secs(1));
            }
            Err(_) => tracing::debug!("heartbeat not written in time"),
        }
    }
}

async fn beat_once(session: &mut PgConnection, id: &str) -> sqlx::Result<()> {
    session.ping().await?;
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE processes SET heartbeat_at = {NOW} WHERE id = $1"
    )))
    .bind(id)
    .execute(session)
    .await?;
    Ok(())
}

pub(super) async fn is_dead(
    connection: &mut AnyConnection,
    process: &ProcessRow,
) -> sqlx::Result<bool> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT CASE WHEN pg_try_advisory_xact_lock($1) THEN 1 ELSE 0 END AS free, {NOW} AS now"
    )))
    .bind(key(&process.id))
    .fetch_one(connection)
    .await?;
    if row.try_get::<i32, _>("free")? == 0 {
        return Ok(false);
    }
    if process.stopped || host::is_gone(&process.host, process.pid) {
        return Ok(true);
    }
    let silent_for = row
        .try_get::<i64, _>("now")?
        .saturating_sub(process.heartbeat_at);
    Ok(u128::try_from(silent_for).unwrap_or(0) > HEARTBEAT_STALE.as_micros())
}
