//! Every column of the database that holds encrypted values. What is not in this list is neither migrated nor sealed anew.

use sqlx::{AssertSqlSafe, Row as _};

use super::BATCH_ROWS;
use super::account::{WEBHOOK, account_salt};
use crate::db::{Store, Write};
use crate::error::{ReadError, WriteError};
use crate::sip_account::TURN;

pub(super) struct Column {
    pub(super) table: &'static str,
    id: &'static str,
    value: &'static str,
    /// What the salt has besides the id; a line's password has the bare id, as the existing services want it.
    purpose: Option<&'static str>,
    /// The column whose value is the salt.
    salt: &'static str,
}

pub(super) const COLUMNS: &[Column] = &[
    Column {
        table: "sip_accounts",
        id: "id",
        value: "password",
        purpose: None,
        salt: "id",
    },
    Column {
        table: "sip_accounts",
        id: "id",
        value: "turn_password",
        purpose: Some(TURN),
        salt: "id",
    },
    Column {
        table: "devices",
        id: "id",
        value: "password",
        purpose: None,
        salt: "id",
    },
    Column {
        table: "tenants",
        id: "id",
        value: "webhook_secret_enc",
        purpose: Some(WEBHOOK),
        salt: "id",
    },
    Column {
        table: "account_secrets",
        id: "id",
        value: "value_enc",
        purpose: None,
        salt: "id",
    },
    Column {
        table: "agent_secrets",
        id: "id",
        value: "value_enc",
        purpose: None,
        salt: "agent_id",
    },
];

pub(super) struct Row {
    pub(super) id: String,
    salt: String,
    pub(super) value: String,
}

impl Column {
    pub(super) fn salt(&self, row: &Row) -> String {
        let id = &row.salt;
        self.purpose
            .map_or_else(|| id.clone(), |purpose| account_salt(id, purpose))
    }

    /// The next rows that hold a value, by id.
    pub(super) async fn rows_after(&self, store: &Store, id: &str) -> Result<Vec<Row>, ReadError> {
        let (table, key, value, salt) = (self.table, self.id, self.value, self.salt);
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {key} AS id, {salt} AS salt, {value} AS value FROM {table} \
             WHERE {value} IS NOT NULL AND {value} <> '' AND {key} > $1 ORDER BY {key} LIMIT {BATCH_ROWS}"
        )))
        .bind(id.to_owned())
        .fetch_all(store.readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Row {
                    id: row.try_get("id")?,
                    salt: row.try_get("salt")?,
                    value: row.try_get("value")?,
                })
            })
            .collect()
    }

    /// Puts a value in the place of the one that was read. One that somebody changed since then stays.
    pub(super) async fn exchange(
        &self,
        write: &mut Write,
        row: &Row,
        sealed: String,
    ) -> Result<bool, WriteError> {
        let (table, key, value) = (self.table, self.id, self.value);
        let done = sqlx::query(AssertSqlSafe(format!(
            "UPDATE {table} SET {value} = $1 WHERE {key} = $2 AND {value} = $3"
        )))
        .bind(sealed)
        .bind(row.id.clone())
        .bind(row.value.clone())
        .execute(&mut **write)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
