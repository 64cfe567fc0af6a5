//! Encrypted values of an account that have no row of their own: the keys of its voice engines and of its carriers.

use call::TenantId;
use jiff::Timestamp;
use sqlx::Row as _;

use super::cipher::SecretText;
use super::error::VaultError;
use super::vault::Vault;
use crate::db::Store;
use crate::error::WriteError;
use crate::scope::TenantScope;

/// Purpose of an account's webhook secret, which is in its own row (`tenants.webhook_secret_enc`).
pub const WEBHOOK: &str = "webhook";

/// Accounts that are looked at where several keep a value for the same purpose.
const HOLDERS_MAX: i64 = 32;

/// The salt of a value that belongs to an account: its id and what the value is for (`engine:openai`, `webhook`).
pub fn account_salt(tenant: &str, purpose: &str) -> String {
    format!("{tenant}:{purpose}")
}

impl Vault {
    /// Keeps a value of an account, in the place of the one before.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn put(
        &self,
        store: &Store,
        scope: &TenantScope,
        purpose: &str,
        text: &str,
    ) -> Result<(), VaultError> {
        let id = account_salt(scope.id(), purpose);
        let sealed = self.seal(&id, text).await?;
        let mut write = store.write().await?;
        sqlx::query(
            "INSERT INTO account_secrets (id, tenant_id, purpose, value_enc, updated_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (id) DO UPDATE SET value_enc = excluded.value_enc, updated_at = excluded.updated_at",
        )
        .bind(id)
        .bind(scope.id().to_owned())
        .bind(purpose.to_owned())
        .bind(sealed)
        .bind(Timestamp::now().as_microsecond())
        .execute(&mut *write)
        .await
        .map_err(WriteError::from)?;
        Ok(write.commit().await?)
    }

    /// The value of an account.
    ///
    /// # Errors
    /// See [`VaultError`]; [`VaultError::Unreadable`] when there is a value that does not open.
    pub async fn get(
        &self,
        store: &Store,
        scope: &TenantScope,
        purpose: &str,
    ) -> Result<Option<SecretText>, VaultError> {
        let id = account_salt(scope.id(), purpose);
        let row =
            sqlx::query("SELECT value_enc FROM account_secrets WHERE id = $1 AND tenant_id = $2")
                .bind(id.clone())
                .bind(scope.id().to_owned())
                .fetch_optional(store.readers())
                .await?;
        let Some(row) = row else { return Ok(None) };
        let stored: String = row.try_get("value_enc")?;
        match self.open(&id, &stored).await {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(VaultError::Unreadable {
                table: "account_secrets",
                id,
            }),
        }
    }

    /// What values an account has, by their purposes: all that an API may tell of them.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn purposes(
        &self,
        store: &Store,
        scope: &TenantScope,
    ) -> Result<Vec<String>, VaultError> {
        let rows = sqlx::query(
            "SELECT purpose FROM account_secrets WHERE tenant_id = $1 ORDER BY purpose",
        )
        .bind(scope.id().to_owned())
        .fetch_all(store.readers())
        .await?;
        Ok(rows
            .iter()
            .map(|row| row.try_get("purpose"))
            .collect::<Result<_, _>>()?)
    }

    /// The accounts that keep a value for this purpose, with it, oldest first and at most 32: for what a stranger names before it has
    /// proved whose it is (the account of a carrier). One that does not open is left out.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn holders(
        &self,
        store: &Store,
        purpose: &str,
    ) -> Result<Vec<(TenantScope, SecretText)>, VaultError> {
        let rows = sqlx::query(
            "SELECT tenant_id, value_enc FROM account_secrets WHERE purpose = $1 \
             ORDER BY updated_at, tenant_id LIMIT $2",
        )
        .bind(purpose.to_owned())
        .bind(HOLDERS_MAX)
        .fetch_all(store.readers())
        .await?;
        let mut holders = Vec::with_capacity(rows.len());
        for row in rows {
            let (tenant, stored): (String, String) =
                (row.try_get("tenant_id")?, row.try_get("value_enc")?);
            if let Ok(text) = self.open(&account_salt(&tenant, purpose), &stored).await {
                holders.push((TenantScope::new(TenantId::from(tenant)), text));
            }
        }
        Ok(holders)
    }

    /// Forgets a value of an account; whether there was one.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub async fn remove(
        &self,
        store: &Store,
        scope: &TenantScope,
        purpose: &str,
    ) -> Result<bool, VaultError> {
        let mut write = store.write().await?;
        let done = sqlx::query("DELETE FROM account_secrets WHERE id = $1 AND tenant_id = $2")
            .bind(account_salt(scope.id(), purpose))
            .bind(scope.id().to_owned())
            .execute(&mut *write)
            .await
            .map_err(WriteError::from)?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}
