//! What agents were.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::Tool;
use crate::db::Store;
use crate::entry::time;
use crate::error::ReadError;
use crate::page::rows_of_page;
use crate::scope::TenantScope;
use crate::sql::Sql;

/// A version, without what the agent was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentVersionSummary {
    /// Its number.
    pub version: i64,
    /// When it was made.
    pub at: Timestamp,
    /// By whom.
    pub author: String,
    /// Why.
    pub note: String,
    /// The agent's name then.
    pub name: String,
}

/// What an agent was at a version. Two of these are what a difference is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentVersion {
    /// Number, time and author.
    pub summary: AgentVersionSummary,
    /// Its settings then, as JSON text.
    pub settings: String,
    /// Its tools then, in their order.
    pub tools: Vec<Tool>,
}

fn summary(row: &AnyRow) -> sqlx::Result<AgentVersionSummary> {
    Ok(AgentVersionSummary {
        version: row.try_get("version")?,
        at: time(row, "at")?,
        author: row.try_get("author")?,
        note: row.try_get("note")?,
        name: row.try_get("name")?,
    })
}

impl Store {
    /// The versions of an agent, newest first: those below `before`, at most `limit` (see
    /// [`PageRequest`](crate::PageRequest)).
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn agent_versions(
        &self,
        scope: &TenantScope,
        agent: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AgentVersionSummary>, ReadError> {
        let mut sql = Sql::new(
            "SELECT version, at, author, note, name FROM agent_versions WHERE tenant_id = ",
        );
        sql.bind(scope.id().to_owned());
        sql.with(" AND agent_id = ", agent.to_owned());
        if let Some(before) = before {
            sql.with(" AND version < ", before);
        }
        sql.with(
            " ORDER BY version DESC LIMIT ",
            i64::from(rows_of_page(limit)),
        );
        let rows = sql.rows(self.readers()).await?;
        Ok(rows.iter().map(summary).collect::<sqlx::Result<_>>()?)
    }

    /// What an agent was at a version; also of a deleted agent.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn agent_version(
        &self,
        scope: &TenantScope,
        agent: &str,
        version: i64,
    ) -> Result<Option<AgentVersion>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM agent_versions WHERE tenant_id = ");
        sql.bind(scope.id().to_owned());
        sql.with(" AND agent_id = ", agent.to_owned());
        sql.with(" AND version = ", version);
        let Some(row) = sql.row(self.readers()).await? else {
            return Ok(None);
        };
        Ok(Some(AgentVersion {
            summary: summary(&row)?,
            settings: row.try_get("settings")?,
            tools: serde_json::from_str(row.try_get("tools")?).unwrap_or_default(),
        }))
    }
}
