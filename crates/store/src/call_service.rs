//! What the platform keeps of a call beside how it went: the agent's version, the carrier, the outcome and the cost.

use call::CallId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::billing::{Booking, book};
use crate::call_record::{CallEnd, bounded, finish, require_call};
use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::error::ReadError;
use crate::limits;
use crate::outbox::{NewDelivery, enqueue};
use crate::scope::TenantScope;
use crate::sql::Sql;

/// Who serves a call, for whom, by which carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallAssignment {
    /// The agent.
    pub agent_id: Option<String>,
    /// The version of it that the call keeps to its end.
    pub agent_version: Option<i64>,
    /// The final customer.
    pub final_customer_id: Option<String>,
    /// The carrier: `sip`, `twilio`, …
    pub carrier: Option<String>,
    /// The carrier's own id of the call.
    pub carrier_call_id: Option<String>,
    /// The voice engine's model.
    pub model: Option<String>,
}

/// What the platform keeps of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallService {
    /// The agent.
    pub agent_id: Option<String>,
    /// Its version when the call began.
    pub agent_version: Option<i64>,
    /// The final customer.
    pub final_customer_id: Option<String>,
    /// The carrier.
    pub carrier: Option<String>,
    /// The carrier's own id of the call.
    pub carrier_call_id: Option<String>,
    /// What came of it.
    pub outcome: Option<String>,
    /// The costs item by item, as JSON.
    pub costs: Option<serde_json::Value>,
    /// The costs in micro-units.
    pub cost_micro: Option<i64>,
    /// ISO 4217 code of the costs.
    pub currency: Option<String>,
    /// The context at its end, as JSON.
    pub context: Option<serde_json::Value>,
    /// The voice engine's model.
    pub model: Option<String>,
}

impl CallService {
    /// Whether nothing is kept: a call without a platform.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Everything that is written with the end of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallClose {
    /// How it ended.
    pub end: CallEnd,
    /// What came of it.
    pub outcome: Option<String>,
    /// The context at its end, as JSON text.
    pub context: Option<String>,
    /// The voice engine's model.
    pub model: Option<String>,
    /// What it cost; `None` books nothing.
    pub cost: Option<CallCost>,
    /// What has to be told to others.
    pub deliveries: Vec<NewDelivery>,
}

/// What a call cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCost {
    /// Item by item, as JSON text.
    pub costs: String,
    /// What the tenant pays, in micro-units.
    pub cost_micro: i64,
    /// What the final customer pays, in micro-units, when the call is for one.
    pub final_customer_micro: Option<i64>,
    /// ISO 4217 code.
    pub currency: String,
}

/// What closing a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It was open: all of it is written.
    Now {
        /// The tenant's balance afterwards; `None` where none is kept or nothing was booked.
        balance_micro: Option<i64>,
    },
    /// It was closed before: nothing is written, nothing is booked again.
    Before,
}

pub(crate) fn read(row: &AnyRow) -> sqlx::Result<CallService> {
    let json = |column: &str| -> sqlx::Result<Option<serde_json::Value>> {
        let text: Option<&str> = row.try_get(column)?;
        Ok(text.and_then(|text| serde_json::from_str(text).ok()))
    };
    Ok(CallService {
        agent_id: row.try_get("agent_id")?,
        agent_version: row.try_get("agent_version")?,
        final_customer_id: row.try_get("final_customer_id")?,
        carrier: row.try_get("carrier")?,
        carrier_call_id: row.try_get("carrier_call_id")?,
        outcome: row.try_get("outcome")?,
        costs: json("costs")?,
        cost_micro: row.try_get("cost_micro")?,
        currency: row.try_get("currency")?,
        context: json("context")?,
        model: row.try_get("model")?,
    })
}

impl Store {
    /// Notes who serves a call; what is `None` stays as it was.
    ///
    /// # Errors
    /// [`WriteError::UnknownCall`](crate::WriteError::UnknownCall) inside, or what the database says.
    pub async fn assign_call(
        &self,
        scope: &TenantScope,
        call: &CallId,
        assignment: &CallAssignment,
    ) -> Result<(), ChangeError> {
        let mut sql = Sql::new("UPDATE calls SET agent_id = COALESCE(");
        sql.bind(assignment.agent_id.clone());
        sql.with(
            ", agent_id), agent_version = COALESCE(",
            assignment.agent_version,
        );
        sql.push(", agent_version)");
        for (column, value) in [
            ("final_customer_id", &assignment.final_customer_id),
            ("carrier", &assignment.carrier),
            ("carrier_call_id", &assignment.carrier_call_id),
            ("model", &assignment.model),
        ] {
            let value = value
                .as_deref()
                .map(|text| bounded(text, limits::FIELD_BYTES_MAX));
            sql.push(", ").push(column).with(" = COALESCE(", value);
            sql.push(", ").push(column).push(")");
        }
        sql.with(" WHERE id = ", call.as_str().to_owned());
        sql.with(" AND tenant_id = ", scope.id().to_owned());
        let mut write = self.write().await?;
        let result = match sql.run(&mut write).await {
            Ok(0) => Err(ChangeError::NotFound { what: "call" }),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        };
        write.settle(result).await
    }

    /// Keeps the context of a call that goes on, for the case that its process dies. Of a call that is over it changes nothing.
    ///
    /// # Errors
    /// See [`WriteError`](crate::WriteError).
    pub async fn keep_context(
        &self,
        scope: &TenantScope,
        call: &CallId,
        context: &str,
    ) -> Result<(), crate::error::WriteError> {
        if context.len() > limits::ENTRY_TEXT_BYTES_MAX {
            return Ok(());
        }
        let mut sql = Sql::new("UPDATE calls SET context = ");
        sql.bind(context.replace('\0', ""));
        sql.with(" WHERE id = ", call.as_str().to_owned());
        sql.with(" AND tenant_id = ", scope.id().to_owned());
        sql.push(" AND ended_at IS NULL");
        let mut write = self.write().await?;
        sql.run(&mut write).await?;
        write.commit().await
    }

    /// Finishes a call with its outcome, its cost and what has to be told of it, all or nothing. The first end that is written
    /// stays: a second one changes nothing, books nothing and tells nothing.
    ///
    /// A call that a dead process left was finished without these ([`Store::recover_unfinished`]); this adds them to it once.
    ///
    /// # Errors
    /// See [`ChangeError`]; then nothing of it is written.
    pub async fn finish_call_with(
        &self,
        scope: &TenantScope,
        call: &CallId,
        close: &CallClose,
    ) -> Result<Closed, ChangeError> {
        let mut write = self.write().await?;
        let result = finish_with(&mut write, scope, call, close).await;
        write.settle(result).await
    }

    /// Calls that were finished for a dead process and whose outcome, cost and deliveries are still missing, oldest first: those
    /// with an agent and no outcome. For all tenants.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_calls_to_close(
        &self,
        limit: u32,
    ) -> Result<Vec<(TenantScope, CallId)>, ReadError> {
        let mut sql = Sql::new(
            "SELECT id, tenant_id FROM calls WHERE ended_at IS NOT NULL AND agent_id IS NOT NULL AND outcome IS NULL \
             AND reason = 'process_lost' ORDER BY started_at, id",
        );
        sql.with(" LIMIT ", i64::from(limit.min(limits::PAGE_MAX)));
        let rows = sql.rows(self.readers()).await?;
        let read = |row: &AnyRow| {
            let (id, tenant): (String, String) = (row.try_get("id")?, row.try_get("tenant_id")?);
            let scope = TenantScope::new(call::TenantId::from(tenant));
            Ok((scope, CallId::from(id)))
        };
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    /// How many calls of a tenant, or of one of its agents, go on, on all nodes.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn running_calls(
        &self,
        scope: &TenantScope,
        agent: Option<&str>,
    ) -> Result<i64, ReadError> {
        let mut sql = Sql::new("SELECT COUNT(*) AS calls FROM calls WHERE ended_at IS NULL");
        sql.with(" AND tenant_id = ", scope.id().to_owned());
        if let Some(agent) = agent {
            sql.with(" AND agent_id = ", agent.to_owned());
        }
        match sql.row(self.readers()).await? {
            Some(row) => Ok(row.try_get("calls")?),
            None => Ok(0),
        }
    }
}

async fn finish_with(
    write: &mut Write,
    scope: &TenantScope,
    call: &CallId,
    close: &CallClose,
) -> Result<Closed, ChangeError> {
    // The call's row is the lock of its end.
    let mut sql = Sql::new("SELECT final_customer_id, outcome, reason FROM calls WHERE id = ");
    sql.bind(call.as_str().to_owned());
    sql.with(" AND tenant_id = ", scope.id().to_owned());
    sql.push(write.lock());
    let row = sql.row_in(write).await?;
    let row = row.ok_or(ChangeError::NotFound { what: "call" })?;
    let reason: Option<String> = row.try_get("reason")?;
    let outcome: Option<String> = row.try_get("outcome")?;
    let final_customer: Option<String> = row.try_get("final_customer_id")?;
    match (reason.as_deref(), outcome) {
        (None, _) => finish(write, scope.id(), call.as_str(), &close.end).await?,
        (Some("process_lost"), None) => {}
        (Some(_), _) => return Ok(Closed::Before),
    }
    write_service(write, scope, call, close).await?;
    let mut balance_micro = None;
    if let Some(cost) = &close.cost {
        let booking = |account: Option<String>, amount: i64| Booking {
            final_customer_id: account,
            kind: "call".to_owned(),
            reference: Some(call.as_str().to_owned()),
            amount_micro: amount.saturating_neg(),
            currency: cost.currency.clone(),
            note: String::new(),
            at: close.end.ended_at,
        };
        let booked = book(write, scope, &booking(None, cost.cost_micro)).await?;
        balance_micro = booked.and_then(|transaction| transaction.balance_micro);
        if let (Some(customer), Some(amount)) = (final_customer, cost.final_customer_micro) {
            book(write, scope, &booking(Some(customer), amount)).await?;
        }
    }
    for delivery in &close.deliveries {
        enqueue(
            write,
            scope,
            delivery,
            close.end.ended_at.max(Timestamp::now()),
        )
        .await?;
    }
    Ok(Closed::Now { balance_micro })
}

async fn write_service(
    write: &mut Write,
    scope: &TenantScope,
    call: &CallId,
    close: &CallClose,
) -> Result<(), ChangeError> {
    // A text that is too large is dropped, not the end of the call with it.
    let fits = |text: &Option<String>| {
        let text = text.as_ref().map(|text| text.replace('\0', ""));
        text.filter(|text| text.len() <= limits::ENTRY_TEXT_BYTES_MAX)
    };
    let cost = close.cost.as_ref();
    let mut sql = Sql::new("UPDATE calls SET outcome = ");
    sql.bind(
        close
            .outcome
            .clone()
            .unwrap_or_else(|| "completed".to_owned()),
    );
    sql.with(", context = ", fits(&close.context));
    sql.with(", costs = ", fits(&cost.map(|cost| cost.costs.clone())));
    sql.with(", cost_micro = ", cost.map(|cost| cost.cost_micro));
    sql.with(", currency = ", cost.map(|cost| cost.currency.clone()));
    sql.with(", model = COALESCE(", close.model.clone())
        .push(", model)");
    sql.with(" WHERE id = ", call.as_str().to_owned());
    sql.with(" AND tenant_id = ", scope.id().to_owned());
    sql.run(write).await?;
    require_call(write, scope.id(), call.as_str()).await?;
    Ok(())
}
