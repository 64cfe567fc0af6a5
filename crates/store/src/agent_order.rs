//! What operators ordered of agents, and where agents that were discovered come from.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sqlx::Row;

use crate::db::Store;
use crate::error::{ReadError, WriteError};
use crate::scope::TenantScope;
use crate::sql::Sql;

impl Store {
    /// Keeps that an operator stopped an agent, or that one started it.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn set_agent_stopped(
        &self,
        scope: &TenantScope,
        agent: &str,
        stopped: bool,
    ) -> Result<(), WriteError> {
        let mut write = self.write().await?;
        let mut sql = Sql::new(
            "INSERT INTO agent_orders (agent_id, tenant_id, stopped, version, updated_at) VALUES (",
        );
        sql.bind(agent.to_owned());
        sql.with(", ", scope.id().to_owned());
        sql.with(", ", i64::from(stopped));
        sql.with(", 1, ", Timestamp::now().as_microsecond());
        sql.push(
            ") ON CONFLICT (agent_id) DO UPDATE SET stopped = excluded.stopped, \
             version = agent_orders.version + 1, updated_at = excluded.updated_at",
        );
        sql.run(&mut write).await?;
        write.commit().await?;
        Ok(())
    }

    /// The agents that an operator stopped. For all tenants.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_stopped_agents(&self) -> Result<HashSet<String>, ReadError> {
        let sql = Sql::new("SELECT agent_id FROM agent_orders WHERE stopped = 1");
        let rows = sql.rows(self.readers()).await?;
        let ids = rows.iter().map(|row| row.try_get("agent_id"));
        Ok(ids.collect::<sqlx::Result<_>>()?)
    }

    /// The agents that came from a source: its own id of each, and ours.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn agents_of_source(
        &self,
        scope: &TenantScope,
        source: &str,
    ) -> Result<HashMap<String, String>, ReadError> {
        let mut sql = Sql::new("SELECT source_id, agent_id FROM agent_sources WHERE tenant_id = ");
        sql.bind(scope.id().to_owned());
        sql.with(" AND source = ", source.to_owned());
        let rows = sql.rows(self.readers()).await?;
        let pairs = rows
            .iter()
            .map(|row| Ok((row.try_get("source_id")?, row.try_get("agent_id")?)));
        Ok(pairs.collect::<sqlx::Result<_>>()?)
    }

    /// Keeps where an agent comes from; a second word for the same one changes nothing.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn set_agent_source(
        &self,
        scope: &TenantScope,
        agent: &str,
        source: &str,
        source_id: &str,
    ) -> Result<(), WriteError> {
        let mut write = self.write().await?;
        let mut sql =
            Sql::new("INSERT INTO agent_sources (source, source_id, agent_id, tenant_id) VALUES (");
        sql.bind(source.to_owned());
        sql.with(", ", source_id.to_owned());
        sql.with(", ", agent.to_owned());
        sql.with(", ", scope.id().to_owned());
        sql.push(") ON CONFLICT DO NOTHING");
        sql.run(&mut write).await?;
        write.commit().await?;
        Ok(())
    }
}
