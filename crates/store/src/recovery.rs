//! Calls that a dead process left behind become finished records.

use call::{CallId, EndReason};
use catalog::Message;
use jiff::Timestamp;
use sqlx::AnyConnection;
use sqlx::Row;

use crate::call_record::{CallEnd, finish, signed, timestamp, unsigned};
use crate::db::Store;
use crate::error::WriteError;
use crate::event_log::insert_event;
use crate::journal::{Event, JournalEntry};
use crate::process::ProcessRow;

struct Unfinished {
    id: String,
    tenant: String,
    started_at: i64,
    heartbeat_at: i64,
}

impl Store {
    /// Finishes the calls of processes that died: end reason `process_lost`, ended at the last sign of life (journal,
    /// transcript or heartbeat, whichever is later), with all that was written of their journals and transcripts. Calls of
    /// living processes are left alone. Safe to repeat, and to run in two processes at once. For all tenants: the process
    /// belonged to all of them.
    ///
    /// # Errors
    /// See [`WriteError`]; then no call was changed.
    pub async fn recover_unfinished(&self) -> Result<Vec<CallId>, WriteError> {
        let own = self.inner.processes.own_id(self.writer()).await?.to_owned();
        let mut transaction = self.write().await?;
        let dead = self.dead_processes(&mut transaction, &own).await?;
        let mut recovered = Vec::new();
        for process in &dead {
            for call in unfinished(&mut transaction, process).await? {
                recover(&mut transaction, &call).await?;
                recovered.push(CallId::from(call.id));
            }
            sqlx::query("UPDATE processes SET stopped_at = heartbeat_at WHERE id = $1 AND stopped_at IS NULL")
                .bind(process.clone())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        for process in &dead {
            self.inner.processes.forget(process);
        }
        Ok(recovered)
    }

    async fn dead_processes(
        &self,
        connection: &mut AnyConnection,
        own: &str,
    ) -> Result<Vec<String>, WriteError> {
        let processes = ProcessRow::read(
            connection,
            "WHERE stopped_at IS NULL OR EXISTS \
             (SELECT 1 FROM calls c WHERE c.process_id = processes.id AND c.ended_at IS NULL)",
        )
        .await?;
        let mut dead = Vec::new();
        for process in processes {
            let other = process.id != own;
            if other && self.inner.processes.is_dead(connection, &process).await? {
                dead.push(process.id);
            }
        }
        Ok(dead)
    }
}

async fn unfinished(
    connection: &mut AnyConnection,
    process: &str,
) -> Result<Vec<Unfinished>, WriteError> {
    let rows = sqlx::query(
        "SELECT c.id, c.tenant_id, c.started_at, p.heartbeat_at FROM calls c JOIN processes p ON p.id = c.process_id \
         WHERE c.process_id = $1 AND c.ended_at IS NULL ORDER BY c.started_at, c.id",
    )
    .bind(process.to_owned())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Unfinished {
                id: row.try_get("id")?,
                tenant: row.try_get("tenant_id")?,
                started_at: row.try_get("started_at")?,
                heartbeat_at: row.try_get("heartbeat_at")?,
            })
        })
        .collect()
}

async fn recover(connection: &mut AnyConnection, call: &Unfinished) -> Result<(), WriteError> {
    let journal = sqlx::query("SELECT MAX(seq) AS seq, MAX(wall) AS wall, MAX(at_ms) AS at_ms FROM call_events WHERE call_id = $1")
        .bind(call.id.clone())
        .fetch_one(&mut *connection)
        .await?;
    let spoken = sqlx::query("SELECT MAX(at_ms) AS at_ms FROM transcript WHERE call_id = $1")
        .bind(call.id.clone())
        .fetch_one(&mut *connection)
        .await?;
    let last_seq: Option<i64> = journal.try_get("seq")?;
    let last_wall: Option<i64> = journal.try_get("wall")?;
    let last_spoken = spoken
        .try_get::<Option<i64>, _>("at_ms")?
        .map(|ms| call.started_at.saturating_add(ms.saturating_mul(1_000)));
    let ended_at = [
        Some(call.started_at),
        Some(call.heartbeat_at),
        last_wall,
        last_spoken,
    ]
    .into_iter()
    .flatten()
    .max()
    .unwrap_or(call.started_at);
    let at_ms = unsigned((ended_at - call.started_at) / 1_000);
    let reason = EndReason::ProcessLost;
    let end = CallEnd {
        ended_at: timestamp(ended_at),
        answered_at: milestone_wall(connection, &call.id).await?,
        reason,
        ended_by: reason.ended_by(),
        verdict: Message::new(catalog::end_code(reason.code())).with("after", at_ms),
        statistics: last_statistics(connection, &call.id).await?,
        recording_path: None,
    };
    let entry = JournalEntry {
        seq: last_seq.map_or(0, |seq| unsigned(seq) + 1),
        at_ms: at_ms.max(unsigned(
            journal.try_get::<Option<i64>, _>("at_ms")?.unwrap_or(0),
        )),
        wall: timestamp(ended_at),
        event: Event::Ended {
            reason: reason.code().to_owned(),
            ended_by: reason.ended_by().label().to_owned(),
        },
    };
    insert_event(connection, &call.id, &entry).await?;
    finish(connection, &call.tenant, &call.id, &end).await
}

/// When the call was answered, as its journal says.
async fn milestone_wall(
    connection: &mut AnyConnection,
    call: &str,
) -> Result<Option<Timestamp>, WriteError> {
    let rows = sqlx::query("SELECT seq, at_ms, wall, event FROM call_events WHERE call_id = $1 AND type = 'milestone' ORDER BY seq LIMIT $2")
        .bind(call.to_owned())
        .bind(signed(20))
        .fetch_all(connection)
        .await?;
    for row in &rows {
        let event: &str = row.try_get("event")?;
        if let Ok(Event::Milestone {
            milestone: crate::journal::Milestone::Answered,
        }) = serde_json::from_str(event)
        {
            return Ok(Some(timestamp(row.try_get("wall")?)));
        }
    }
    Ok(None)
}

/// The last RTP counters that the journal holds.
async fn last_statistics(
    connection: &mut AnyConnection,
    call: &str,
) -> Result<Option<serde_json::Value>, WriteError> {
    let row = sqlx::query("SELECT event FROM call_events WHERE call_id = $1 AND type = 'rtp_statistics' ORDER BY seq DESC LIMIT 1")
        .bind(call.to_owned())
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let event: &str = row.try_get("event")?;
    let statistics = serde_json::from_str::<serde_json::Value>(event).ok();
    Ok(statistics.map(|rtp| serde_json::json!({ "rtp": rtp })))
}
