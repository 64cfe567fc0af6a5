//! Keys of the API: of a tenant, or of the operator of the node.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::Store;
use crate::entry::{Content, Entry, Value, entry, time_if};
use crate::error::ReadError;
use crate::limits::KEY_USE_EVERY;
use crate::page::{List, PageRequest};
use crate::scope::Realm;
use crate::sql::Sql;

/// A key of the API, of which only a hash is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// For this agent only.
    pub agent_id: Option<String>,
    /// A name for people.
    pub name: String,
    /// Its first characters, to tell keys apart.
    pub prefix: String,
    /// SHA-256 of the key, in hexadecimal.
    pub hash: String,
    /// `owner`, `admin`, `operator` or `viewer`.
    pub role: String,
    /// What it may do, as JSON text.
    pub scopes: String,
    /// Until when it is let in.
    pub expires_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, to the minute. Read only.
    pub last_used_at: Option<Timestamp>,
}

/// Which api keys to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiKeyFilter {
    /// Of this agent.
    pub agent_id: Option<String>,
    /// Of this role.
    pub role: Option<String>,
    /// With exactly these scopes.
    pub scopes: Option<String>,
}

impl Content for ApiKey {
    const TABLE: &'static str = "api_keys";
    const WHAT: &'static str = "api_key";
    const UNIQUE: &'static str = "the key";
    const COLUMNS: &'static [&'static str] = &[
        "agent_id",
        "name",
        "prefix",
        "hash",
        "role",
        "scopes",
        "expires_at",
        "revoked_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.agent_id).into(),
            (&self.name).into(),
            (&self.prefix).into(),
            (&self.hash).into(),
            (&self.role).into(),
            (&self.scopes).into(),
            self.expires_at.into(),
            self.revoked_at.into(),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            agent_id: row.try_get("agent_id")?,
            name: row.try_get("name")?,
            prefix: row.try_get("prefix")?,
            hash: row.try_get("hash")?,
            role: row.try_get("role")?,
            scopes: row.try_get("scopes")?,
            expires_at: time_if(row, "expires_at")?,
            revoked_at: time_if(row, "revoked_at")?,
            last_used_at: time_if(row, "last_used_at")?,
        })
    }
}

impl Store {
    /// Makes an api key.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_api_key(
        &self,
        realm: Realm<'_>,
        id: &str,
        api_key: &ApiKey,
    ) -> Result<Entry<ApiKey>, ChangeError> {
        self.create(realm, id, api_key).await
    }

    /// One api key; `None` when there is none of that id here.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn api_key(
        &self,
        realm: Realm<'_>,
        id: &str,
    ) -> Result<Option<Entry<ApiKey>>, ReadError> {
        self.entry(realm, id).await
    }

    /// The api keys, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn api_keys(
        &self,
        realm: Realm<'_>,
        filter: &ApiKeyFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<ApiKey>>, ReadError> {
        self.entries(realm, page, |sql| {
            if let Some(text) = &filter.agent_id {
                sql.with(" AND agent_id = ", text.clone());
            }
            if let Some(text) = &filter.role {
                sql.with(" AND role = ", text.clone());
            }
            if let Some(text) = &filter.scopes {
                sql.with(" AND scopes = ", text.clone());
            }
        })
        .await
    }

    /// Changes an api key.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_api_key(
        &self,
        realm: Realm<'_>,
        id: &str,
        api_key: &ApiKey,
        expected: Option<i64>,
    ) -> Result<Entry<ApiKey>, ChangeError> {
        self.change(realm, id, api_key, expected).await
    }

    /// Removes an api key.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_api_key(
        &self,
        realm: Realm<'_>,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        self.erase::<ApiKey>(realm, id, expected).await
    }

    /// The key with this hash, whatever the tenant, when it is neither revoked nor expired and its tenant is active. Notes its
    /// use, at most once in [`KEY_USE_EVERY`](crate::limits::KEY_USE_EVERY).
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn resolve_api_key(
        &self,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<Entry<ApiKey>>, ReadError> {
        let mut sql = Sql::new(
            "SELECT k.* FROM api_keys k LEFT JOIN tenants t ON t.id = k.tenant_id WHERE k.revoked_at IS NULL \
             AND (k.tenant_id IS NULL OR t.is_active = 1) AND k.hash = ",
        );
        sql.bind(hash.replace('\0', ""));
        sql.with(
            " AND (k.expires_at IS NULL OR k.expires_at > ",
            now.as_microsecond(),
        );
        sql.push(")");
        let Some(row) = sql.row(self.readers()).await? else {
            return Ok(None);
        };
        let key = entry::<ApiKey>(&row)?;
        let recent = key
            .last_used_at
            .is_some_and(|used| now.duration_since(used) < KEY_USE_EVERY);
        if !recent {
            let noted = sqlx::query("UPDATE api_keys SET last_used_at = $2 WHERE id = $1")
                .bind(key.id.clone())
                .bind(now.as_microsecond())
                .execute(self.writer())
                .await;
            if let Err(error) = noted {
                tracing::debug!(%error, "the use of a key could not be noted");
            }
        }
        Ok(Some(key))
    }

    /// Takes a key back, at once and for good.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn revoke_api_key(&self, realm: Realm<'_>, id: &str) -> Result<(), ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            let mut key = write.locked::<ApiKey>(realm, id).await?;
            key.content.revoked_at.get_or_insert(Timestamp::now());
            write.update(realm, id, &key.content, None).await?;
            Ok(())
        }
        .await;
        write.settle(result).await
    }
}
