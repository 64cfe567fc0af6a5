//! Numbers whose calls are refused.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::Store;
use crate::entry::{Content, Entry, Value, entry};
use crate::error::ReadError;
use crate::page::{List, PageRequest, contains};
use crate::scope::{Reach, TenantScope};
use crate::sql::Sql;

/// A number whose calls are refused.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockedNumber {
    /// By this agent; `None`: by all agents of the tenant.
    pub agent_id: Option<String>,
    /// The number.
    pub phone_number: String,
    /// Why.
    pub reason: Option<String>,
}

/// Which blocked numbers to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockedNumberFilter {
    /// By this agent.
    pub agent_id: Option<String>,
    /// Of exactly this number.
    pub phone_number: Option<String>,
    /// With this in the number.
    pub search: Option<String>,
}

impl Content for BlockedNumber {
    const TABLE: &'static str = "blocked_numbers";
    const WHAT: &'static str = "blocked_number";
    const UNIQUE: &'static str = "the number";
    const COLUMNS: &'static [&'static str] = &["agent_id", "phone_number", "reason"];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.agent_id).into(),
            (&self.phone_number).into(),
            (&self.reason).into(),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            agent_id: row.try_get("agent_id")?,
            phone_number: row.try_get("phone_number")?,
            reason: row.try_get("reason")?,
        })
    }
}

impl Store {
    /// Makes a blocked number.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_blocked_number(
        &self,
        scope: &TenantScope,
        id: &str,
        blocked_number: &BlockedNumber,
    ) -> Result<Entry<BlockedNumber>, ChangeError> {
        self.create(scope.into(), id, blocked_number).await
    }

    /// One blocked number; `None` when there is none of that id here.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn blocked_number(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Option<Entry<BlockedNumber>>, ReadError> {
        self.entry(scope.into(), id).await
    }

    /// The blocked numbers, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn blocked_numbers(
        &self,
        reach: impl Into<Reach>,
        filter: &BlockedNumberFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<BlockedNumber>>, ReadError> {
        self.entries_within(&reach.into(), page, |sql| {
            if let Some(text) = &filter.agent_id {
                sql.with(" AND agent_id = ", text.clone());
            }
            if let Some(text) = &filter.phone_number {
                sql.with(" AND phone_number = ", text.clone());
            }
            if let Some(search) = &filter.search {
                contains(sql, "phone_number", search);
            }
        })
        .await
    }

    /// Changes a blocked number.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_blocked_number(
        &self,
        scope: &TenantScope,
        id: &str,
        blocked_number: &BlockedNumber,
        expected: Option<i64>,
    ) -> Result<Entry<BlockedNumber>, ChangeError> {
        self.change(scope.into(), id, blocked_number, expected)
            .await
    }

    /// Removes a blocked number.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_blocked_number(
        &self,
        scope: &TenantScope,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        self.erase::<BlockedNumber>(scope.into(), id, expected)
            .await
    }

    /// The entry that blocks this number for this agent, if any.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn blocks(
        &self,
        scope: &TenantScope,
        agent: Option<&str>,
        phone_number: &str,
    ) -> Result<Option<Entry<BlockedNumber>>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM blocked_numbers WHERE tenant_id = ");
        sql.bind(scope.id().to_owned());
        sql.with(" AND phone_number = ", phone_number.replace('\0', ""));
        sql.push(" AND (agent_id IS NULL");
        if let Some(agent) = agent {
            sql.with(" OR agent_id = ", agent.to_owned());
        }
        sql.push(") ORDER BY id LIMIT 1");
        let row = sql.row(self.readers()).await?;
        Ok(row.as_ref().map(entry).transpose()?)
    }
}
