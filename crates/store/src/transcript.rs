//! What was said in a call.

use call::{CallId, Speaker, TranscriptEntry};
use serde::{Deserialize, Serialize};
use sqlx::Row;

use crate::call_record::{bounded, signed, unsigned};
use crate::db::Store;
use crate::error::{ReadError, WriteError};
use crate::limits;
use crate::scope::TenantScope;
use crate::sql::Sql;

/// One line of a stored transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptLine {
    /// `caller`, `agent` or `system`.
    pub role: String,
    /// All the words.
    pub text: String,
    /// When it began, in milliseconds since the session began.
    pub at_ms: u64,
    /// The engine's item.
    pub item: Option<String>,
    /// What the caller heard of it, in milliseconds, when it was cut.
    pub interrupted_at_ms: Option<u32>,
}

/// The label that is stored of a speaker.
pub fn speaker_label(speaker: Speaker) -> &'static str {
    match speaker {
        Speaker::Caller => "caller",
        Speaker::Agent => "agent",
        Speaker::System => "system",
    }
}

impl From<&TranscriptEntry> for TranscriptLine {
    fn from(entry: &TranscriptEntry) -> Self {
        Self {
            role: speaker_label(entry.role).to_owned(),
            text: entry.text.clone(),
            at_ms: entry.at_ms,
            item: entry.item.as_ref().map(|item| item.as_str().to_owned()),
            interrupted_at_ms: entry.interrupted_at_ms,
        }
    }
}

impl Store {
    /// Adds to the transcript of a call. An entry with the item and role of an earlier one replaces it.
    ///
    /// # Errors
    /// [`WriteError::UnknownCall`], [`WriteError::BatchTooLarge`], or what the database says; then none of them is written.
    pub async fn append_transcript(
        &self,
        scope: &TenantScope,
        call: &CallId,
        entries: &[TranscriptEntry],
    ) -> Result<(), WriteError> {
        if entries.len() > limits::BATCH_MAX {
            return Err(WriteError::BatchTooLarge);
        }
        let mut transaction = self.write().await?;
        // The call's row is the lock of its places.
        let mut sql = Sql::new("SELECT id FROM calls WHERE id = ");
        sql.bind(call.as_str().to_owned());
        sql.with(" AND tenant_id = ", scope.id().to_owned());
        sql.push(transaction.lock());
        let row = sql.row_in(&mut transaction).await?;
        row.ok_or(WriteError::UnknownCall)?;
        for entry in entries {
            sqlx::query(
                "INSERT INTO transcript (call_id, seq, role, item, text, at_ms, interrupted_at_ms) \
                 SELECT $1, COALESCE(MAX(seq) + 1, 0), $2, $3, $4, $5, $6 FROM transcript WHERE call_id = $1 \
                 ON CONFLICT (call_id, item, role) DO UPDATE SET text = excluded.text, at_ms = excluded.at_ms, \
                 interrupted_at_ms = excluded.interrupted_at_ms",
            )
            .bind(call.as_str().to_owned())
            .bind(speaker_label(entry.role))
            .bind(entry.item.as_ref().map(|item| item.as_str().to_owned()))
            .bind(bounded(&entry.text, limits::TRANSCRIPT_TEXT_BYTES_MAX))
            .bind(signed(entry.at_ms))
            .bind(entry.interrupted_at_ms.map(i64::from))
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The transcript of a call, in the order of time; at most [`limits::TRANSCRIPT_READ_MAX`] lines. Empty for a call that this
    /// tenant does not have.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn transcript(
        &self,
        scope: &TenantScope,
        call: &CallId,
    ) -> Result<Vec<TranscriptLine>, ReadError> {
        let rows = sqlx::query(
            "SELECT t.role, t.text, t.at_ms, t.item, t.interrupted_at_ms FROM transcript t JOIN calls c ON c.id = t.call_id \
             WHERE c.id = $1 AND c.tenant_id = $2 ORDER BY t.at_ms, t.seq LIMIT $3",
        )
        .bind(call.as_str().to_owned())
        .bind(scope.id().to_owned())
        .bind(i64::from(limits::TRANSCRIPT_READ_MAX))
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(TranscriptLine {
                    role: row.try_get("role")?,
                    text: row.try_get("text")?,
                    at_ms: unsigned(row.try_get("at_ms")?),
                    item: row.try_get("item")?,
                    interrupted_at_ms: row
                        .try_get::<Option<i64>, _>("interrupted_at_ms")?
                        .and_then(|ms| u32::try_from(ms).ok()),
                })
            })
            .collect()
    }
}
