//! The record of a call.

use call::{CallId, EndReason, EndedBy};
use catalog::Message;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::call_service::CallService;
use crate::db::Store;
use crate::error::{Cause, ReadError, WriteError, cause};
use crate::limits;
use crate::scope::TenantScope;
use crate::sql::Sql;

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Somebody called us.
    Inbound,
    /// We called.
    Outbound,
}

impl Direction {
    /// The label that is stored.
    pub fn label(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// A call that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCall {
    /// Its id.
    pub id: CallId,
    /// Who called whom.
    pub direction: Direction,
    /// The caller: number, user or address.
    pub from: String,
    /// The called: number, user or address.
    pub to: String,
    /// Name of the line; empty when none matched.
    pub line: String,
    /// Name of the agent; empty when none was chosen.
    pub agent: String,
    /// The Call-ID of its SIP leg, to find it in other systems.
    pub sip_call_id: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEnd {
    /// When it ended.
    pub ended_at: Timestamp,
    /// When it was answered, if ever.
    pub answered_at: Option<Timestamp>,
    /// Why.
    pub reason: EndReason,
    /// Who ended it; the reason's own row has the usual answer.
    pub ended_by: EndedBy,
    /// The sentence on it.
    pub verdict: Message,
    /// Counters of the call, at most [`limits::STATISTICS_BYTES_MAX`] of JSON; larger ones are dropped.
    pub statistics: Option<serde_json::Value>,
    /// Where the recording is.
    pub recording_path: Option<String>,
}

/// Calls that a tenant placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlacedCalls {
    /// How many.
    pub calls: u64,
    /// What those that ended have cost, in micro-units.
    pub cost_micro: i64,
}

/// Whether a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// It goes on, or its process died and nobody has looked yet.
    Running,
    /// It is over.
    Finished,
}

/// A call as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// Who called whom.
    pub direction: Direction,
    /// The caller.
    pub from: String,
    /// The called.
    pub to: String,
    /// Name of the line.
    pub line: String,
    /// Name of the agent.
    pub agent: String,
    /// The Call-ID of its SIP leg.
    pub sip_call_id: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// The end, once there is one.
    pub end: Option<StoredEnd>,
    /// Where the recording is.
    pub recording_path: Option<String>,
    /// What the platform keeps of it.
    #[serde(default, skip_serializing_if = "CallService::is_empty")]
    pub service: CallService,
}

/// The end of a stored call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredEnd {
    /// When.
    pub ended_at: Timestamp,
    /// Label of the end reason.
    pub reason: String,
    /// Label of who ended it.
    pub ended_by: String,
    /// The sentence on it, as a message of the catalogue.
    pub verdict: Message,
    /// Counters of the call.
    pub statistics: Option<serde_json::Value>,
}

impl CallRecord {
    /// Whether it is over.
    pub fn state(&self) -> CallState {
        match self.end {
            Some(_) => CallState::Finished,
            None => CallState::Running,
        }
    }

    /// From its begin to its end, in milliseconds; `None` while it runs.
    pub fn duration_ms(&self) -> Option<u64> {
        let end = self.end.as_ref()?;
        Some(milliseconds(self.started_at, end.ended_at))
    }

    /// From its answer to its end, in milliseconds; `None` while it runs or when it was never answered.
    pub fn talk_ms(&self) -> Option<u64> {
        let end = self.end.as_ref()?;
        Some(milliseconds(self.answered_at?, end.ended_at))
    }
}

fn milliseconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond().saturating_sub(from.as_millisecond())).unwrap_or(0)
}

pub(crate) const COLUMNS: &str = "SELECT id, tenant_id, direction, from_party, to_party, line, agent, sip_call_id, started_at, answered_at, \
                       ended_at, reason, ended_by, verdict, statistics, recording_path, agent_id, agent_version, final_customer_id, carrier, \
                       carrier_call_id, outcome, costs, cost_micro, currency, context, model FROM calls WHERE ";

impl Store {
    /// Writes a call that begins.
    ///
    /// # Errors
    /// [`WriteError::DuplicateCall`], [`WriteError::UnknownTenant`], or what the database says.
    pub async fn create_call(&self, scope: &TenantScope, call: &NewCall) -> Result<(), WriteError> {
        let process = self.inner.processes.own_id(self.writer()).await?.to_owned();
        let written = sqlx::query(
            "INSERT INTO calls (id, tenant_id, process_id, direction, from_party, to_party, line, agent, sip_call_id, started_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(call.id.as_str().to_owned())
        .bind(scope.id().to_owned())
        .bind(process)
        .bind(call.direction.label())
        .bind(field(&call.from))
        .bind(field(&call.to))
        .bind(field(&call.line))
        .bind(field(&call.agent))
        .bind(call.sip_call_id.as_deref().map(field))
        .bind(call.started_at.as_microsecond())
        .execute(self.writer())
        .await;
        match written {
            Ok(_) => Ok(()),
            Err(error) => Err(match cause(&error) {
                Cause::Unique => WriteError::DuplicateCall,
                Cause::ForeignKey => WriteError::UnknownTenant,
                Cause::DiskFull
                | Cause::Locked
                | Cause::Unavailable
                | Cause::Corrupt
                | Cause::Unwritable
                | Cause::Other => error.into(),
            }),
        }
    }

    /// Notes that the call was answered, so that the record is right even if the process dies.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn call_answered(
        &self,
        scope: &TenantScope,
        call: &CallId,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        let query = sqlx::query("UPDATE calls SET answered_at = COALESCE(answered_at, $3) WHERE id = $1 AND tenant_id = $2")
            .bind(call.as_str().to_owned())
            .bind(scope.id().to_owned())
            .bind(at.as_microsecond());
        known(query.execute(self.writer()).await?.rows_affected())
    }

    /// Notes where the recording is being written, so that it is found even if the process dies.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn recording_started(
        &self,
        scope: &TenantScope,
        call: &CallId,
        path: &str,
    ) -> Result<(), WriteError> {
        let query =
            sqlx::query("UPDATE calls SET recording_path = $3 WHERE id = $1 AND tenant_id = $2")
                .bind(call.as_str().to_owned())
                .bind(scope.id().to_owned())
                .bind(field(path));
        known(query.execute(self.writer()).await?.rows_affected())
    }

    /// Notes the line and the agent, for a call that was written before they were chosen.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn call_routed(
        &self,
        scope: &TenantScope,
        call: &CallId,
        line: &str,
        agent: &str,
    ) -> Result<(), WriteError> {
        let query =
            sqlx::query("UPDATE calls SET line = $3, agent = $4 WHERE id = $1 AND tenant_id = $2")
                .bind(call.as_str().to_owned())
                .bind(scope.id().to_owned())
                .bind(field(line))
                .bind(field(agent));
        known(query.execute(self.writer()).await?.rows_affected())
    }

    /// The calls that a tenant placed since then, and what they have cost so far.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn calls_placed_since(
        &self,
        scope: &TenantScope,
        since: Timestamp,
    ) -> Result<PlacedCalls, ReadError> {
        let mut sql = Sql::new(
            "SELECT COUNT(*) AS calls, CAST(COALESCE(SUM(cost_micro), 0) AS BIGINT) AS cost FROM calls WHERE direction = 'outbound'",
        );
        sql.with(" AND tenant_id = ", scope.id().to_owned());
        sql.with(" AND started_at >= ", since.as_microsecond());
        let Some(row) = sql.row(self.readers()).await? else {
            return Ok(PlacedCalls::default());
        };
        Ok(PlacedCalls {
            calls: unsigned(row.try_get("calls")?),
            cost_micro: row.try_get("cost")?,
        })
    }

    /// Finishes a call. The first end that is written stays; a second one changes nothing.
    ///
    /// # Errors
    /// [`WriteError::UnknownCall`], or what the database says.
    pub async fn finish_call(
        &self,
        scope: &TenantScope,
        call: &CallId,
        end: &CallEnd,
    ) -> Result<(), WriteError> {
        let mut transaction = self.write().await?;
        finish(&mut transaction, scope.id(), call.as_str(), end).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// One call; `None` when this tenant has none of that id.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn call(
        &self,
        scope: &TenantScope,
        call: &CallId,
    ) -> Result<Option<CallRecord>, ReadError> {
        let mut query = Sql::new(COLUMNS);
        query
            .with("tenant_id = ", scope.id().to_owned())
            .with(" AND id = ", call.as_str().to_owned());
        let row = query.row(self.readers()).await?;
        row.as_ref().map(record).transpose()
    }
}

pub(crate) async fn finish(
    connection: &mut AnyConnection,
    tenant: &str,
    call: &str,
    end: &CallEnd,
) -> Result<(), WriteError> {
    let verdict = json(&end.verdict);
    let statistics = end
        .statistics
        .as_ref()
        .map(json)
        .filter(|text| text.len() <= limits::STATISTICS_BYTES_MAX);
    let written = sqlx::query(
        "UPDATE calls SET ended_at = $3, answered_at = COALESCE(answered_at, $4), reason = $5, ended_by = $6, verdict = $7, \
         statistics = $8, recording_path = COALESCE($9, recording_path) WHERE id = $1 AND tenant_id = $2 AND ended_at IS NULL",
    )
    .bind(call.to_owned())
    .bind(tenant.to_owned())
    .bind(end.ended_at.as_microsecond())
    .bind(end.answered_at.map(Timestamp::as_microsecond))
    .bind(end.reason.code())
    .bind(end.ended_by.label())
    .bind(verdict)
    .bind(statistics)
    .bind(end.recording_path.as_deref().map(field))
    .execute(&mut *connection)
    .await?;
    if written.rows_affected() == 0 {
        require_call(connection, tenant, call).await?;
    }
    Ok(())
}

pub(crate) async fn require_call(
    connection: &mut AnyConnection,
    tenant: &str,
    call: &str,
) -> Result<(), WriteError> {
    let found = sqlx::query("SELECT 1 FROM calls WHERE id = $1 AND tenant_id = $2")
        .bind(call.to_owned())
        .bind(tenant.to_owned())
        .fetch_optional(connection)
        .await?;
    found.map(drop).ok_or(WriteError::UnknownCall)
}

fn known(rows: u64) -> Result<(), WriteError> {
    if rows == 0 {
        Err(WriteError::UnknownCall)
    } else {
        Ok(())
    }
}

/// A short text within its bound.
fn field(text: &str) -> String {
    bounded(text, limits::FIELD_BYTES_MAX)
}

/// The text, cut at a character and marked when it is longer than `bytes_max`. NUL characters, which PostgreSQL refuses, go.
pub(crate) fn bounded(text: &str, bytes_max: usize) -> String {
    let clean = text.replace('\0', "");
    if clean.len() <= bytes_max {
        return clean;
    }
    let mark = "…";
    let end = clean.floor_char_boundary(bytes_max - mark.len());
    format!("{}{mark}", &clean[..end])
}

pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(crate) fn timestamp(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

pub(crate) fn record(row: &AnyRow) -> Result<CallRecord, ReadError> {
    let direction = match row.try_get::<&str, _>("direction")? {
        "outbound" => Direction::Outbound,
        _ => Direction::Inbound,
    };
    let end = match row.try_get::<Option<i64>, _>("ended_at")? {
        None => None,
        Some(ended_at) => {
            let reason: String = row
                .try_get::<Option<String>, _>("reason")?
                .unwrap_or_default();
            let verdict = row.try_get::<Option<&str>, _>("verdict")?;
            let statistics = row.try_get::<Option<&str>, _>("statistics")?;
            Some(StoredEnd {
                ended_at: timestamp(ended_at),
                ended_by: row
                    .try_get::<Option<String>, _>("ended_by")?
                    .unwrap_or_default(),
                verdict: verdict
                    .and_then(|text| serde_json::from_str(text).ok())
                    .unwrap_or_else(|| Message::new(catalog::end_code(&reason))),
                statistics: statistics.and_then(|text| serde_json::from_str(text).ok()),
                reason,
            })
        }
    };
    Ok(CallRecord {
        id: row.try_get("id")?,
        tenant: row.try_get("tenant_id")?,
        direction,
        from: row.try_get("from_party")?,
        to: row.try_get("to_party")?,
        line: row.try_get("line")?,
        agent: row.try_get("agent")?,
        sip_call_id: row.try_get("sip_call_id")?,
        started_at: timestamp(row.try_get("started_at")?),
        answered_at: row.try_get::<Option<i64>, _>("answered_at")?.map(timestamp),
        end,
        recording_path: row.try_get("recording_path")?,
        service: crate::call_service::read(row)?,
    })
}
