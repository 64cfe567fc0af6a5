//! What is not kept for ever: by age, kind by kind, and everything of one telephone number when its owner asks.

use call::CallId;
use jiff::Timestamp;
use sqlx::Row;

use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::error::WriteError;
use crate::phone::{common_part, same_number};
use crate::scope::TenantScope;
use crate::sql::Sql;

/// What grows old. The record of a call itself (when, how long, how it ended, what it cost) stays: the books refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Artefact {
    /// What was said.
    Transcripts,
    /// The journals of calls, and the packets of their audio.
    Journals,
    /// What tools were asked and answered, of runs that ended.
    ToolRuns,
    /// Deliveries that were delivered or given up.
    Deliveries,
    /// What an agent knew of its caller at the end of the call.
    Contexts,
    /// Chats that ended, with their messages.
    Chats,
}

/// What an erasure did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// The calls that were emptied. Their recordings are files: the caller of this removes [`Erased::recordings`].
    pub calls: Vec<CallId>,
    /// Where their recordings are.
    pub recordings: Vec<String>,
    /// Chats that were removed.
    pub chats: usize,
    /// Questions whose asker is forgotten.
    pub questions: usize,
}

/// Stands where a number was.
const ERASED: &str = "erased";

impl Store {
    /// Removes what ended before that time, of calls that are over; how many rows. For all tenants when `scope` is `None`.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn node_expire(
        &self,
        scope: Option<&TenantScope>,
        artefact: Artefact,
        before: Timestamp,
    ) -> Result<u64, WriteError> {
        let of_old_calls = |words: &str| {
            let mut sql = Sql::new(words);
            sql.push("(SELECT id FROM calls WHERE ended_at IS NOT NULL");
            sql.with(" AND ended_at < ", before.as_microsecond());
            tenant(&mut sql, scope);
            sql.push(")");
            sql
        };
        let aged = |words: &str| {
            let mut sql = Sql::new(words);
            sql.with(" < ", before.as_microsecond());
            tenant(&mut sql, scope);
            sql
        };
        let sql = match artefact {
            Artefact::Transcripts => of_old_calls("DELETE FROM transcript WHERE call_id IN "),
            Artefact::Journals => of_old_calls("DELETE FROM call_events WHERE call_id IN "),
            Artefact::Contexts => {
                of_old_calls("UPDATE calls SET context = NULL WHERE context IS NOT NULL AND id IN ")
            }
            Artefact::ToolRuns => aged("DELETE FROM tool_runs WHERE ended_at"),
            Artefact::Deliveries => {
                aged("DELETE FROM outbox WHERE state <> 'pending' AND ended_at")
            }
            Artefact::Chats => aged("DELETE FROM chat_sessions WHERE ended_at"),
        };
        let mut write = self.write().await?;
        let removed = sql.run(&mut write).await?;
        if artefact == Artefact::Journals {
            let packets = of_old_calls("DELETE FROM call_packets WHERE call_id IN ");
            packets.run(&mut write).await?;
        }
        write.commit().await?;
        Ok(removed)
    }

    /// Empties everything of a telephone number: the transcripts, journals, packets, contexts, tool runs and deliveries of its calls that
    /// are over, the number itself in their records, in whatever spelling, its chats, and the caller's number of questions. Of calls
    /// that go on nothing is touched ([`ChangeError::InUse`]): ask again when they are over. The audit log, the books and the list
    /// of blocked numbers stay.
    ///
    /// # Errors
    /// See [`ChangeError`]; then nothing was changed.
    pub async fn erase_phone_number(
        &self,
        scope: &TenantScope,
        phone_number: &str,
    ) -> Result<Erased, ChangeError> {
        if phone_number.is_empty() {
            return Err(ChangeError::Refused { cause: "empty" });
        }
        let mut write = self.write().await?;
        let result = erase(&mut write, scope, phone_number).await;
        write.settle(result).await
    }
}

fn tenant(sql: &mut Sql, scope: Option<&TenantScope>) {
    if let Some(scope) = scope {
        sql.with(" AND tenant_id = ", scope.id().to_owned());
    }
}

/// Chats of a visitor with this number, whole; how many.
async fn erase_chats(
    write: &mut Write,
    scope: &TenantScope,
    number: &str,
) -> Result<usize, ChangeError> {
    let mut erased = 0;
    let mut sql = Sql::new("SELECT id, visitor, ended_at FROM chat_sessions WHERE tenant_id = ");
    sql.bind(scope.id().to_owned());
    sql.push(" AND visitor IS NOT NULL").push(write.lock());
    for row in sql.rows_in(write).await? {
        if !crate::privacy::visits(row.try_get("visitor")?, number) {
            continue;
        }
        if row.try_get::<Option<i64>, _>("ended_at")?.is_none() {
            return Err(ChangeError::InUse {
                what: "chat_session",
            });
        }
        let id: String = row.try_get("id")?;
        for words in [
            "DELETE FROM tool_runs WHERE call_id = ",
            "DELETE FROM outbox WHERE call_id = ",
            "DELETE FROM chat_sessions WHERE id = ",
        ] {
            let mut sql = Sql::new(words);
            sql.bind(id.clone());
            sql.run(write).await?;
        }
        erased += 1;
    }
    Ok(erased)
}

/// The rows of a table in whose column the number stands, in any spelling: their ids.
async fn rows_of_number(
    write: &mut Write,
    scope: &TenantScope,
    (table, column): (&str, &str),
    number: &str,
) -> Result<Vec<String>, ChangeError> {
    let part = common_part(number).replace(['%', '_'], "");
    let mut sql = Sql::new("SELECT id, ");
    sql.push(column).push(" AS number FROM ").push(table);
    sql.with(" WHERE tenant_id = ", scope.id().to_owned());
    sql.push(" AND ").push(column);
    sql.with(" LIKE ", format!("%{part}%"));
    let mut ids = Vec::new();
    for row in sql.rows_in(write).await? {
        if same_number(row.try_get("number")?, number) {
            ids.push(row.try_get("id")?);
        }
    }
    Ok(ids)
}

async fn erase(
    write: &mut Write,
    scope: &TenantScope,
    phone_number: &str,
) -> Result<Erased, ChangeError> {
    let number = phone_number.replace('\0', "");
    let mut columns = Vec::new();
    for (table, column) in [
        ("calls", "from_party"),
        ("calls", "to_party"),
        ("faqs", "caller_phone"),
    ] {
        let ids = rows_of_number(write, scope, (table, column), &number).await?;
        columns.push((table, column, ids));
    }
    let mut calls: Vec<&String> = columns[..2].iter().flat_map(|(.., ids)| ids).collect();
    calls.sort_unstable();
    calls.dedup();
    let mut erased = Erased::default();
    for id in calls {
        let mut sql = Sql::new("SELECT recording_path, ended_at FROM calls WHERE id = ");
        sql.bind(id.clone()).push(write.lock());
        let Some(row) = sql.row_in(write).await? else {
            continue;
        };
        if row.try_get::<Option<i64>, _>("ended_at")?.is_none() {
            return Err(ChangeError::InUse { what: "call" });
        }
        erased.calls.push(CallId::from(id.clone()));
        erased
            .recordings
            .extend(row.try_get::<Option<String>, _>("recording_path")?);
        for words in [
            "DELETE FROM transcript WHERE call_id = ",
            "DELETE FROM call_events WHERE call_id = ",
            "DELETE FROM call_packets WHERE call_id = ",
            "DELETE FROM tool_runs WHERE call_id = ",
            "DELETE FROM outbox WHERE call_id = ",
            "UPDATE calls SET context = NULL, recording_path = NULL, sip_call_id = NULL, carrier_call_id = NULL WHERE id = ",
        ] {
            let mut sql = Sql::new(words);
            sql.bind(id.clone());
            sql.run(write).await?;
        }
    }
    erased.chats = erase_chats(write, scope, &number).await?;
    for (table, column, ids) in &columns {
        for id in ids {
            let mut sql = Sql::new("UPDATE ");
            sql.push(table).push(" SET ").push(column);
            sql.with(" = ", ERASED);
            sql.with(" WHERE id = ", id.clone());
            sql.run(write).await?;
        }
    }
    erased.questions = columns[2].2.len();
    crate::audit::note(
        write,
        scope.into(),
        crate::audit::Action::Removed,
        "phone_number",
        ERASED,
    )
    .await?;
    Ok(erased)
}
