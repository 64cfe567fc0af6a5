//! What has to reach somebody else, at least once: written with what it tells of, delivered by whichever node comes first.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::entry::{time, time_if};
use crate::error::{ReadError, WriteError};
use crate::limits;
use crate::page::{List, PageRequest};
use crate::scope::TenantScope;
use crate::sql::Sql;

/// Something to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id, which the receiver sees: the same at every attempt.
    pub id: String,
    /// The agent that it is about.
    pub agent_id: Option<String>,
    /// The call that it is about; a call has one delivery of each kind.
    pub call_id: Option<String>,
    /// What it is, for example `call.ended`.
    pub kind: String,
    /// Where to.
    pub url: String,
    /// What, as it is sent.
    pub body: String,
}

/// How far a delivery came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits for its next attempt.
    Pending,
    /// The receiver has it.
    Delivered,
    /// It was given up.
    Dead,
}

impl DeliveryState {
    /// The label that is stored.
    pub fn label(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    fn of(label: &str) -> Self {
        match label {
            "delivered" => Self::Delivered,
            "dead" => Self::Dead,
            _ => Self::Pending,
        }
    }
}

/// A delivery as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whose.
    pub scope: TenantScope,
    /// What, and where to.
    pub delivery: NewDelivery,
    /// Scheme, host and port of the address: those of one destination are kept from filling the time of the others.
    pub destination: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it is due.
    pub next_attempt_at: Timestamp,
    /// Attempts so far, the one that is claimed included.
    pub attempts: i64,
    /// How far it came.
    pub state: DeliveryState,
    /// The last answer's status.
    pub last_status: Option<i64>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Until when the node that claimed it has it for itself.
    pub claimed_until: Option<Timestamp>,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
}

/// What an attempt led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver has it.
    Delivered {
        /// Its answer's status.
        status: i64,
    },
    /// It is tried again.
    Failed {
        /// The answer's status, if there was one.
        status: Option<i64>,
        /// What went wrong, without secrets.
        error: String,
        /// When it is tried again.
        next_attempt_at: Timestamp,
    },
    /// It is given up.
    Dead {
        /// The answer's status, if there was one.
        status: Option<i64>,
        /// What went wrong, without secrets.
        error: String,
    },
}

/// Which deliveries to list; the default is all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter<'a> {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// About this call.
    pub call_id: Option<&'a str>,
    /// About this agent.
    pub agent_id: Option<&'a str>,
    /// Of this kind.
    pub kind: Option<&'a str>,
}

fn read(row: &AnyRow) -> sqlx::Result<Delivery> {
    let tenant: String = row.try_get("tenant_id")?;
    Ok(Delivery {
        scope: TenantScope::new(call::TenantId::from(tenant)),
        delivery: NewDelivery {
            id: row.try_get("id")?,
            agent_id: row.try_get("agent_id")?,
            call_id: row.try_get("call_id")?,
            kind: row.try_get("kind")?,
            url: row.try_get("url")?,
            body: row.try_get("body")?,
        },
        destination: row.try_get("destination")?,
        created_at: time(row, "created_at")?,
        next_attempt_at: time(row, "next_attempt_at")?,
        attempts: row.try_get("attempts")?,
        state: DeliveryState::of(row.try_get("state")?),
        last_status: row.try_get("last_status")?,
        last_error: row.try_get("last_error")?,
        claimed_until: time_if(row, "claimed_until")?,
        ended_at: time_if(row, "ended_at")?,
    })
}

/// Scheme, host and port of an address as it is written, in lower case. It groups deliveries and decides nothing else.
fn destination(url: &str) -> String {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let scheme = url.get(..after_scheme).unwrap_or_default();
    let rest = url.get(after_scheme..).unwrap_or_default();
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    // User information is no place, and may be a secret.
    let place = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}{place}").to_lowercase()
}

/// Leaves out the deliveries to some destinations.
fn elsewhere(sql: &mut Sql, busy: &[String]) {
    for (index, destination) in busy.iter().enumerate() {
        let words = if index == 0 {
            " AND destination NOT IN ("
        } else {
            ", "
        };
        sql.with(words, destination.clone());
    }
    if !busy.is_empty() {
        sql.push(")");
    }
}

/// Writes a delivery within a write; one of the same id, or of the same call and kind, stays as it is.
pub(crate) async fn enqueue(
    write: &mut Write,
    scope: &TenantScope,
    delivery: &NewDelivery,
    now: Timestamp,
) -> Result<(), ChangeError> {
    if delivery.body.len() > limits::ENTRY_TEXT_BYTES_MAX {
        return Err(ChangeError::Refused { cause: "too_long" });
    }
    let clean = |text: &str| text.replace('\0', "");
    let mut sql = Sql::new(
        "INSERT INTO outbox (id, tenant_id, agent_id, call_id, kind, url, body, destination, created_at, next_attempt_at, attempts, \
         state) VALUES (",
    );
    sql.bind(delivery.id.clone());
    sql.with(", ", scope.id().to_owned());
    sql.with(", ", delivery.agent_id.clone());
    sql.with(", ", delivery.call_id.clone());
    for text in [&delivery.kind, &delivery.url, &delivery.body] {
        sql.with(", ", clean(text));
    }
    sql.with(", ", destination(&clean(&delivery.url)));
    sql.with(", ", now.as_microsecond());
    sql.with(", ", now.as_microsecond());
    sql.push(", 0, 'pending') ON CONFLICT DO NOTHING");
    let inserted = sql.run(write).await;
    inserted.map_err(|error| ChangeError::of_write(error, "the delivery"))?;
    Ok(())
}

impl Store {
    /// Writes a delivery that is not the end of a call (for that see [`Store::finish_call_with`]).
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn enqueue_delivery(
        &self,
        scope: &TenantScope,
        delivery: &NewDelivery,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let mut write = self.write().await?;
        let result = enqueue(&mut write, scope, delivery, now).await;
        write.settle(result).await
    }

    /// Claims deliveries that are due, for as long as `lease`: no other node is given them meanwhile. One whose node dies is due
    /// again when the lease is over. Those for the destinations in `busy` are left. For all tenants.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn node_claim_deliveries(
        &self,
        now: Timestamp,
        limit: u32,
        lease: jiff::SignedDuration,
        busy: &[String],
    ) -> Result<Vec<Delivery>, WriteError> {
        let until = now.saturating_add(lease).unwrap_or(now);
        let mut write = self.write().await?;
        // Materialized, so that the limit and the locks are taken once.
        let mut sql =
            Sql::new("WITH due AS MATERIALIZED (SELECT id FROM outbox WHERE state = 'pending'");
        sql.with(" AND next_attempt_at <= ", now.as_microsecond());
        sql.with(
            " AND (claimed_until IS NULL OR claimed_until <= ",
            now.as_microsecond(),
        );
        sql.push(")");
        elsewhere(&mut sql, busy);
        sql.push(" ORDER BY next_attempt_at, id");
        sql.with(" LIMIT ", i64::from(limit.min(limits::PAGE_MAX)));
        sql.push(write.lock_free());
        sql.push(") UPDATE outbox SET attempts = attempts + 1");
        sql.with(", claimed_until = ", until.as_microsecond());
        sql.push(" WHERE id IN (SELECT id FROM due) RETURNING *");
        let rows = sql.rows_in(&mut write).await?;
        let mut claimed = rows.iter().map(read).collect::<sqlx::Result<Vec<_>>>()?;
        write.commit().await?;
        claimed.sort_by_key(|delivery| delivery.next_attempt_at);
        Ok(claimed)
    }

    /// When the next delivery is due, claimed or not, that is not for one of `busy`; `None` when nothing waits. For all tenants.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_next_delivery(
        &self,
        busy: &[String],
    ) -> Result<Option<Timestamp>, ReadError> {
        let mut sql = Sql::new(
            "SELECT MIN(CASE WHEN claimed_until > next_attempt_at THEN claimed_until ELSE next_attempt_at END) AS due \
             FROM outbox WHERE state = 'pending'",
        );
        elsewhere(&mut sql, busy);
        match sql.row(self.readers()).await? {
            Some(row) => Ok(time_if(&row, "due")?),
            None => Ok(None),
        }
    }

    /// Writes what an attempt led to, if the claim still holds; whether it did. Another node may have claimed a delivery whose
    /// lease was over: then its attempt counts, not this one, except that what was delivered is delivered.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn note_attempt(
        &self,
        claimed: &Delivery,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<bool, WriteError> {
        let cut = |text: &str| crate::call_record::bounded(text, limits::FIELD_BYTES_MAX);
        let mut sql = Sql::new("UPDATE outbox SET claimed_until = NULL");
        match attempt {
            Attempt::Delivered { status } => {
                sql.with(
                    ", state = 'delivered', last_error = NULL, last_status = ",
                    *status,
                );
                sql.with(", ended_at = ", now.as_microsecond());
            }
            Attempt::Failed {
                status,
                error,
                next_attempt_at,
            } => {
                sql.with(", last_status = ", *status);
                sql.with(", last_error = ", cut(error));
                sql.with(", next_attempt_at = ", next_attempt_at.as_microsecond());
            }
            Attempt::Dead { status, error } => {
                sql.with(", state = 'dead', last_status = ", *status);
                sql.with(", last_error = ", cut(error));
                sql.with(", ended_at = ", now.as_microsecond());
            }
        }
        sql.with(" WHERE id = ", claimed.delivery.id.clone());
        sql.with(" AND tenant_id = ", claimed.scope.id().to_owned());
        sql.push(" AND state = 'pending'");
        if !matches!(attempt, Attempt::Delivered { .. }) {
            let until = claimed.claimed_until.map(Timestamp::as_microsecond);
            sql.with(" AND claimed_until = ", until.unwrap_or_default());
        }
        let mut write = self.write().await?;
        let noted = sql.run(&mut write).await?;
        write.commit().await?;
        Ok(noted == 1)
    }

    /// Makes a delivery due again, whatever became of it, under its old id.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn replay_delivery(
        &self,
        scope: &TenantScope,
        id: &str,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let mut sql =
            Sql::new("UPDATE outbox SET state = 'pending', ended_at = NULL, attempts = 0");
        sql.with(
            ", claimed_until = NULL, next_attempt_at = ",
            now.as_microsecond(),
        );
        sql.with(" WHERE id = ", id.to_owned());
        sql.with(" AND tenant_id = ", scope.id().to_owned());
        let mut write = self.write().await?;
        let result = match sql.run(&mut write).await {
            Ok(0) => Err(ChangeError::NotFound { what: "delivery" }),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        };
        write.settle(result).await
    }

    /// One delivery.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn delivery(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Option<Delivery>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM outbox WHERE tenant_id = ");
        sql.bind(scope.id().to_owned());
        sql.with(" AND id = ", id.to_owned());
        let row = sql.row(self.readers()).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// The deliveries of a tenant, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn deliveries(
        &self,
        scope: &TenantScope,
        filter: &DeliveryFilter<'_>,
        page: &PageRequest,
    ) -> Result<List<Delivery>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM outbox WHERE tenant_id = ");
        sql.bind(scope.id().to_owned());
        for (words, value) in [
            (" AND state = ", filter.state.map(DeliveryState::label)),
            (" AND call_id = ", filter.call_id),
            (" AND agent_id = ", filter.agent_id),
            (" AND kind = ", filter.kind),
        ] {
            if let Some(value) = value {
                sql.with(words, value.to_owned());
            }
        }
        self.page(sql, "created_at", page, read).await
    }
}

#[cfg(test)]
mod tests {
    use super::destination;

    #[test]
    fn a_destination_is_scheme_host_and_port() {
        for (url, expected) in [
            ("https://Back.Example/a?b=c", "https://back.example"),
            ("http://back.example:3000", "http://back.example:3000"),
            ("http://back.example:3000?x=/", "http://back.example:3000"),
            ("http://user:secret@back.example/", "http://back.example"),
            ("nonsense", "nonsense"),
            ("", ""),
        ] {
            assert_eq!(destination(url), expected, "{url}");
        }
    }
}
