//! Tools that run: what a request is about to do is written before it leaves, so that whatever dies in between is known.

use call::CallId;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::entry::{new_id, time, time_if};
use crate::error::{ReadError, WriteError};
use crate::limits;
use crate::page::{List, PageRequest};
use crate::scope::TenantScope;
use crate::sql::Sql;

/// A tool that is about to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToolRun {
    /// The call, or the chat session.
    pub call: CallId,
    /// The agent.
    pub agent_id: Option<String>,
    /// The engine's id of the tool call.
    pub tool_call_id: String,
    /// The tool's name.
    pub name: String,
    /// What the model asked for, as it came.
    pub arguments: String,
    /// The request that is about to leave, as JSON text: enough to send it again.
    pub request: Option<String>,
    /// What makes a repetition of the request harmless; unique on the node.
    pub idempotency_key: String,
    /// When.
    pub started_at: Timestamp,
}

/// How far a run came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolRunState {
    /// The request may have left; no answer is known.
    Begun,
    /// It was answered.
    Done,
    /// It failed for good.
    Failed,
}

impl ToolRunState {
    /// The label that is stored.
    pub fn label(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    fn of(label: &str) -> Self {
        match label {
            "done" => Self::Done,
            "failed" => Self::Failed,
            _ => Self::Begun,
        }
    }
}

/// A run as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolRun {
    /// Its id.
    pub id: String,
    /// Whose call.
    pub scope: TenantScope,
    /// What was to be done.
    pub run: NewToolRun,
    /// How far it came.
    pub state: ToolRunState,
    /// How often it was begun: once, and once more by each process that took it over.
    pub attempts: i64,
    /// The answer's status.
    pub status: Option<i64>,
    /// What the model was given.
    pub output: Option<String>,
    /// What it cost, in micro-units.
    pub cost_micro: i64,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolRunEnd {
    /// [`ToolRunState::Done`] or [`ToolRunState::Failed`].
    pub state: ToolRunState,
    /// The answer's status.
    pub status: Option<i64>,
    /// What the model is given.
    pub output: String,
    /// What it cost, in micro-units.
    pub cost_micro: i64,
    /// When.
    pub ended_at: Timestamp,
}

/// Whether a run is the first of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is; the request may leave.
    New,
    /// There is one already, of this or another process.
    Exists(Box<ToolRun>),
}

fn read(row: &AnyRow) -> sqlx::Result<ToolRun> {
    let tenant: String = row.try_get("tenant_id")?;
    let call: String = row.try_get("call_id")?;
    Ok(ToolRun {
        id: row.try_get("id")?,
        scope: TenantScope::new(call::TenantId::from(tenant)),
        run: NewToolRun {
            call: CallId::from(call),
            agent_id: row.try_get("agent_id")?,
            tool_call_id: row.try_get("tool_call_id")?,
            name: row.try_get("name")?,
            arguments: row.try_get("arguments")?,
            request: row.try_get("request")?,
            idempotency_key: row.try_get("idempotency_key")?,
            started_at: time(row, "started_at")?,
        },
        state: ToolRunState::of(row.try_get("state")?),
        attempts: row.try_get("attempts")?,
        status: row.try_get("status")?,
        output: row.try_get("output")?,
        cost_micro: row.try_get("cost_micro")?,
        ended_at: time_if(row, "ended_at")?,
    })
}

impl Store {
    /// Writes that a tool is about to run. When this returns [`Begun::New`] the row is committed and the request may leave; when
    /// it returns [`Begun::Exists`] it must not leave a second time.
    ///
    /// # Errors
    /// [`ChangeError::Duplicate`] when the key belongs to another tenant, or what the database says.
    pub async fn begin_tool_run(
        &self,
        scope: &TenantScope,
        run: &NewToolRun,
    ) -> Result<Begun, ChangeError> {
        let process = self.inner.processes.own_id(self.writer()).await?.to_owned();
        let mut write = self.write().await?;
        let result = begin(&mut write, scope, run, process).await;
        write.settle(result).await
    }

    /// Writes the answer of a run. The first that is written stays; whether it was this one.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn finish_tool_run(
        &self,
        scope: &TenantScope,
        idempotency_key: &str,
        end: &ToolRunEnd,
    ) -> Result<bool, ChangeError> {
        let mut sql = Sql::new("UPDATE tool_runs SET state = ");
        sql.bind(end.state.label());
        sql.with(", status = ", end.status);
        sql.with(", output = ", bounded(&end.output));
        sql.with(", cost_micro = ", end.cost_micro);
        sql.with(", ended_at = ", end.ended_at.as_microsecond());
        sql.with(" WHERE idempotency_key = ", idempotency_key.to_owned());
        sql.with(" AND tenant_id = ", scope.id().to_owned());
        sql.push(" AND state = 'begun'");
        let mut write = self.write().await?;
        let result = async {
            if sql.run(&mut write).await? == 1 {
                return Ok(true);
            }
            let mut sql = Sql::new("SELECT id FROM tool_runs WHERE idempotency_key = ");
            sql.bind(idempotency_key.to_owned());
            sql.with(" AND tenant_id = ", scope.id().to_owned());
            match sql.row_in(&mut write).await? {
                Some(_) => Ok(false),
                None => Err(ChangeError::NotFound { what: "tool_run" }),
            }
        }
        .await;
        write.settle(result).await
    }

    /// The runs of a call, in order; at most [`limits::TOOL_RUNS_READ_MAX`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn tool_runs(
        &self,
        scope: &TenantScope,
        call: &CallId,
    ) -> Result<Vec<ToolRun>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM tool_runs WHERE tenant_id = ");
        sql.bind(scope.id().to_owned());
        sql.with(" AND call_id = ", call.as_str().to_owned());
        sql.push(" ORDER BY started_at, id");
        sql.with(" LIMIT ", i64::from(limits::TOOL_RUNS_READ_MAX));
        let rows = sql.rows(self.readers()).await?;
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    /// The runs of a tenant, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn list_tool_runs(
        &self,
        scope: &TenantScope,
        agent: Option<&str>,
        page: &PageRequest,
    ) -> Result<List<ToolRun>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM tool_runs WHERE tenant_id = ");
        sql.bind(scope.id().to_owned());
        if let Some(agent) = agent {
            sql.with(" AND agent_id = ", agent.to_owned());
        }
        self.page(sql, "started_at", page, read).await
    }

    /// Takes over runs that a dead process left without an answer, oldest first: they are this process's from now on, to be sent
    /// again with the same key. Each is given to one process only. After [`Store::recover_unfinished`], which finds out who is
    /// dead. For all tenants.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn node_adopt_tool_runs(&self, limit: u32) -> Result<Vec<ToolRun>, WriteError> {
        let own = self.inner.processes.own_id(self.writer()).await?.to_owned();
        let mut write = self.write().await?;
        let mut sql = Sql::new(
            "WITH left_over AS MATERIALIZED (SELECT id FROM tool_runs WHERE state = 'begun' AND process_id IN \
             (SELECT p.id FROM processes p WHERE p.stopped_at IS NOT NULL",
        );
        sql.with(" AND p.id <> ", own.clone());
        sql.with(
            ") ORDER BY started_at, id LIMIT ",
            i64::from(limit.min(limits::PAGE_MAX)),
        );
        sql.push(write.lock_free());
        sql.with(
            ") UPDATE tool_runs SET attempts = attempts + 1, process_id = ",
            own,
        );
        sql.push(" WHERE id IN (SELECT id FROM left_over) RETURNING *");
        let rows = sql.rows_in(&mut write).await?;
        let runs = rows.iter().map(read).collect::<sqlx::Result<Vec<_>>>()?;
        write.commit().await?;
        Ok(runs)
    }
}

fn bounded(text: &str) -> String {
    crate::call_record::bounded(text, limits::TOOL_TEXT_BYTES_MAX)
}

async fn begin(
    write: &mut Write,
    scope: &TenantScope,
    run: &NewToolRun,
    process: String,
) -> Result<Begun, ChangeError> {
    let mut sql = Sql::new(
        "INSERT INTO tool_runs (id, tenant_id, agent_id, call_id, process_id, tool_call_id, name, arguments, request, \
         idempotency_key, state, attempts, cost_micro, started_at) VALUES (",
    );
    sql.bind(new_id());
    sql.with(", ", scope.id().to_owned());
    sql.with(", ", run.agent_id.clone());
    sql.with(", ", run.call.as_str().to_owned());
    sql.with(", ", process);
    sql.with(", ", bounded(&run.tool_call_id));
    sql.with(", ", bounded(&run.name));
    sql.with(", ", bounded(&run.arguments));
    sql.with(
        ", ",
        run.request.as_deref().map(|text| text.replace('\0', "")),
    );
    sql.with(", ", run.idempotency_key.clone());
    sql.with(", 'begun', 1, 0, ", run.started_at.as_microsecond());
    sql.push(") ON CONFLICT (idempotency_key) DO NOTHING");
    let inserted = sql.run(write).await;
    if inserted.map_err(|error| ChangeError::of_write(error, "the key"))? == 1 {
        return Ok(Begun::New);
    }
    let mut sql = Sql::new("SELECT * FROM tool_runs WHERE idempotency_key = ");
    sql.bind(run.idempotency_key.clone());
    sql.with(" AND tenant_id = ", scope.id().to_owned());
    let row = sql.row_in(write).await?;
    let row = row.ok_or(ChangeError::Duplicate { what: "the key" })?;
    Ok(Begun::Exists(Box::new(read(&row)?)))
}
