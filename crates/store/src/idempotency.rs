//! Requests that their client may repeat: the first is done, the others get its answer.

use jiff::Timestamp;
use sqlx::Row;

use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::error::WriteError;
use crate::limits;
use crate::scope::Realm;
use crate::sql::Sql;

/// The answer of a request that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Its HTTP status.
    pub status: u16,
    /// Headers worth repeating, as JSON text.
    pub headers: Option<String>,
    /// Its body.
    pub body: String,
}

/// What a key says of the request that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repetition {
    /// It is the first: do it, then write its answer.
    First,
    /// It was done: this is its answer.
    Done(StoredAnswer),
    /// It is being done.
    InProgress,
    /// The key belongs to another request.
    OtherRequest,
}

fn owner(realm: Realm<'_>) -> String {
    realm.tenant_id().unwrap_or_default()
}

impl Store {
    /// Takes a key for a request, or says what is known of it. A key that was taken and never answered (its process died) is
    /// given again after [`limits::IDEMPOTENCY_LEASE`]; one that expired is as new.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn take_idempotency_key(
        &self,
        realm: Realm<'_>,
        key: &str,
        request_hash: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Repetition, ChangeError> {
        let mut write = self.write().await?;
        let result = take(&mut write, realm, key, request_hash, (now, expires_at)).await;
        write.settle(result).await
    }

    /// Writes the answer of a request, for its repetitions. A body of more than
    /// [`limits::ENTRY_TEXT_BYTES_MAX`] is not kept: the key is given back instead.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn answer_idempotency_key(
        &self,
        realm: Realm<'_>,
        key: &str,
        answer: &StoredAnswer,
    ) -> Result<(), WriteError> {
        if answer.body.len() > limits::ENTRY_TEXT_BYTES_MAX || answer.body.contains('\0') {
            return self.give_back_idempotency_key(realm, key).await;
        }
        let mut sql = Sql::new("UPDATE idempotency_keys SET status = ");
        sql.bind(i64::from(answer.status));
        sql.with(", headers = ", answer.headers.clone());
        sql.with(", body = ", answer.body.clone());
        sql.with(" WHERE owner = ", owner(realm));
        sql.with(" AND idempotency_key = ", key.to_owned());
        let mut write = self.write().await?;
        sql.run(&mut write).await?;
        write.commit().await
    }

    /// Gives a key back: the request was not done, and may be tried again.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn give_back_idempotency_key(
        &self,
        realm: Realm<'_>,
        key: &str,
    ) -> Result<(), WriteError> {
        let mut sql = Sql::new("DELETE FROM idempotency_keys WHERE status IS NULL");
        sql.with(" AND owner = ", owner(realm));
        sql.with(" AND idempotency_key = ", key.to_owned());
        let mut write = self.write().await?;
        sql.run(&mut write).await?;
        write.commit().await
    }

    /// Removes expired keys; how many. For all tenants.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn node_purge_idempotency_keys(&self, now: Timestamp) -> Result<u64, WriteError> {
        let mut sql = Sql::new("DELETE FROM idempotency_keys WHERE expires_at <= ");
        sql.bind(now.as_microsecond());
        let mut write = self.write().await?;
        let removed = sql.run(&mut write).await?;
        write.commit().await?;
        Ok(removed)
    }
}

async fn take(
    write: &mut Write,
    realm: Realm<'_>,
    key: &str,
    request_hash: &str,
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<Repetition, ChangeError> {
    if key.len() > limits::FIELD_BYTES_MAX || key.contains('\0') {
        return Err(ChangeError::Refused { cause: "too_long" });
    }
    let stale = now
        .saturating_sub(limits::IDEMPOTENCY_LEASE)
        .unwrap_or(now)
        .as_microsecond();
    let mut sql = Sql::new("DELETE FROM idempotency_keys WHERE owner = ");
    sql.bind(owner(realm));
    sql.with(" AND idempotency_key = ", key.to_owned());
    sql.with(" AND (expires_at <= ", now.as_microsecond());
    sql.with(" OR (status IS NULL AND created_at <= ", stale)
        .push("))");
    sql.run(write).await?;
    let mut sql = Sql::new(
        "INSERT INTO idempotency_keys (owner, idempotency_key, request_hash, created_at, expires_at) VALUES (",
    );
    sql.bind(owner(realm));
    sql.with(", ", key.to_owned());
    sql.with(", ", request_hash.to_owned());
    sql.with(", ", now.as_microsecond());
    sql.with(", ", expires_at.as_microsecond());
    sql.push(") ON CONFLICT (owner, idempotency_key) DO NOTHING");
    if sql.run(write).await? == 1 {
        return Ok(Repetition::First);
    }
    known(write, realm, key, request_hash).await
}

async fn known(
    write: &mut Write,
    realm: Realm<'_>,
    key: &str,
    request_hash: &str,
) -> Result<Repetition, ChangeError> {
    let mut sql = Sql::new("SELECT * FROM idempotency_keys WHERE owner = ");
    sql.bind(owner(realm));
    sql.with(" AND idempotency_key = ", key.to_owned());
    let row = sql.row_in(write).await?;
    // Another write may have given it back in this instant: the client asks again.
    let Some(row) = row else {
        return Ok(Repetition::InProgress);
    };
    if row.try_get::<&str, _>("request_hash")? != request_hash {
        return Ok(Repetition::OtherRequest);
    }
    let status: Option<i64> = row.try_get("status")?;
    let Some(status) = status.and_then(|status| u16::try_from(status).ok()) else {
        return Ok(Repetition::InProgress);
    };
    Ok(Repetition::Done(StoredAnswer {
        status,
        headers: row.try_get("headers")?,
        body: row
            .try_get::<Option<String>, _>("body")?
            .unwrap_or_default(),
    }))
}
