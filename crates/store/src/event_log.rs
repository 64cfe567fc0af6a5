//! The journal of a call in the database.

use call::CallId;
use sqlx::AnyConnection;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::call_record::{require_call, signed, timestamp, unsigned};
use crate::db::Store;
use crate::error::{ReadError, WriteError};
use crate::journal::{Event, JournalEntry};
use crate::limits;
use crate::scope::TenantScope;

impl Store {
    /// Adds to the journal of a call. Writing a position again changes nothing, so a write may be repeated.
    ///
    /// # Errors
    /// [`WriteError::UnknownCall`], [`WriteError::BatchTooLarge`], or what the database says; then none of them is written.
    pub async fn append_events(
        &self,
        scope: &TenantScope,
        call: &CallId,
        entries: &[JournalEntry],
    ) -> Result<(), WriteError> {
        if entries.len() > limits::BATCH_MAX {
            return Err(WriteError::BatchTooLarge);
        }
        let mut transaction = self.write().await?;
        require_call(&mut transaction, scope.id(), call.as_str()).await?;
        for entry in entries {
            insert_event(&mut transaction, call.as_str(), entry).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// As [`Store::append_events`] for several calls, in one transaction.
    ///
    /// # Errors
    /// See there; one call that is not known refuses all.
    pub async fn append_events_of(
        &self,
        calls: &[(&TenantScope, &CallId, &[JournalEntry])],
    ) -> Result<(), WriteError> {
        let count: usize = calls.iter().map(|(_, _, entries)| entries.len()).sum();
        if count > limits::BATCH_MAX {
            return Err(WriteError::BatchTooLarge);
        }
        let mut transaction = self.write().await?;
        let result = async {
            for (scope, call, entries) in calls {
                require_call(&mut transaction, scope.id(), call.as_str()).await?;
                for entry in *entries {
                    insert_event(&mut transaction, call.as_str(), entry).await?;
                }
            }
            Ok(())
        }
        .await;
        match result {
            Ok(()) => transaction.commit().await,
            Err(WriteError::UnknownCall) => {
                transaction.rollback().await;
                Err(WriteError::UnknownCall)
            }
            Err(error) => Err(error),
        }
    }

    /// The journal of a call, in order; at most [`limits::EVENTS_READ_MAX`] entries. Empty for a call that this tenant does not have.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn events(
        &self,
        scope: &TenantScope,
        call: &CallId,
    ) -> Result<Vec<JournalEntry>, ReadError> {
        let rows = sqlx::query(
            "SELECT e.seq, e.at_ms, e.wall, e.event FROM call_events e JOIN calls c ON c.id = e.call_id \
             WHERE c.id = $1 AND c.tenant_id = $2 ORDER BY e.seq LIMIT $3",
        )
        .bind(call.as_str().to_owned())
        .bind(scope.id().to_owned())
        .bind(i64::from(limits::EVENTS_READ_MAX))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(entry).collect()
    }

    /// The trace that who asked for a call brought along, if any: it is among the first lines of the journal.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn trace_parent(
        &self,
        scope: &TenantScope,
        call: &CallId,
    ) -> Result<Option<String>, ReadError> {
        let row = sqlx::query(
            "SELECT e.seq, e.at_ms, e.wall, e.event FROM call_events e JOIN calls c ON c.id = e.call_id \
             WHERE c.id = $1 AND c.tenant_id = $2 AND e.seq < 16 AND e.type = 'trace_parent' ORDER BY e.seq LIMIT 1",
        )
        .bind(call.as_str().to_owned())
        .bind(scope.id().to_owned())
        .fetch_optional(self.readers())
        .await?;
        let found = row.as_ref().map(entry).transpose()?;
        let parent = |entry: JournalEntry| {
            if let Event::TraceParent { parent } = entry.event {
                Some(parent)
            } else {
                None
            }
        };
        Ok(found.and_then(parent))
    }
}

pub(crate) async fn insert_event(
    connection: &mut AnyConnection,
    call: &str,
    entry: &JournalEntry,
) -> Result<(), WriteError> {
    let event = entry.event.to_bounded_json();
    sqlx::query(
        "INSERT INTO call_events (call_id, seq, at_ms, wall, type, event) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (call_id, seq) DO NOTHING",
    )
    .bind(call.to_owned())
    .bind(signed(entry.seq))
    .bind(signed(entry.at_ms))
    .bind(entry.wall.as_microsecond())
    .bind(entry.event.type_label())
    .bind(event)
    .execute(connection)
    .await?;
    Ok(())
}

fn entry(row: &AnyRow) -> Result<JournalEntry, ReadError> {
    let event = row.try_get::<&str, _>("event")?;
    Ok(JournalEntry {
        seq: unsigned(row.try_get("seq")?),
        at_ms: unsigned(row.try_get("at_ms")?),
        wall: timestamp(row.try_get("wall")?),
        event: serde_json::from_str(event).unwrap_or(Event::Unknown),
    })
}
