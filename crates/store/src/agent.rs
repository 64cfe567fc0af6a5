//! Agents, their tools, and the immutable version that each write of either makes.
//!
//! Settings and tools are opaque JSON texts here. Every write of an agent or of its tools raises the agent's version by one and
//! keeps what it was then as a row that the database itself protects; a call names the version that it began with.

mod version;
mod write;

pub use version::{AgentVersion, AgentVersionSummary};
pub use write::{Brain, VersionNote};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::db::Store;
use crate::entry::{Content, Entry, Value, entry, flag, time_if};
use crate::error::ReadError;
use crate::page::{List, PageRequest, contains};
use crate::scope::{Reach, TenantScope};
use crate::sql::Sql;

/// An agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// The final customer whom it works for.
    pub final_customer_id: Option<String>,
    /// Its name.
    pub name: String,
    /// Whether its calls are taken.
    pub is_active: bool,
    /// Why not.
    pub pause_reason: Option<String>,
    /// Everything else, as JSON text.
    pub settings: String,
    /// SHA-256 of its API token, in hexadecimal. Read only: see [`Store::set_agent_tokens`].
    pub api_token_hash: Option<String>,
    /// The first characters of its API token. Read only.
    pub api_token_prefix: Option<String>,
    /// What the chat widget shows to be let in. Read only.
    pub public_token: Option<String>,
    /// When it was deleted. Read only.
    pub deleted_at: Option<Timestamp>,
}

/// A tool of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name, unique for the agent.
    pub name: String,
    /// Its place in the list.
    pub sort_order: i64,
    /// Whether it is offered.
    pub is_enabled: bool,
    /// What it is, as JSON text.
    pub config: String,
}

/// Which agents to list; the default is all that are not deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentFilter {
    /// Of this final customer.
    pub final_customer_id: Option<String>,
    /// With this in the name.
    pub search: Option<String>,
    /// Active or not.
    pub is_active: Option<bool>,
}

/// Who asks with a token of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentIdentity {
    /// Whose agent.
    pub scope: TenantScope,
    /// The agent.
    pub agent: Entry<Agent>,
}

impl Content for Agent {
    const TABLE: &'static str = "agents";
    const WHAT: &'static str = "agent";
    const UNIQUE: &'static str = "id";
    const COLUMNS: &'static [&'static str] = &[
        "final_customer_id",
        "name",
        "is_active",
        "pause_reason",
        "settings",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.final_customer_id).into(),
            (&self.name).into(),
            self.is_active.into(),
            (&self.pause_reason).into(),
            (&self.settings).into(),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            final_customer_id: row.try_get("final_customer_id")?,
            name: row.try_get("name")?,
            is_active: flag(row, "is_active")?,
            pause_reason: row.try_get("pause_reason")?,
            settings: row.try_get("settings")?,
            api_token_hash: row.try_get("api_token_hash")?,
            api_token_prefix: row.try_get("api_token_prefix")?,
            public_token: row.try_get("public_token")?,
            deleted_at: time_if(row, "deleted_at")?,
        })
    }
}

pub(crate) fn read_tool(row: &AnyRow) -> sqlx::Result<Tool> {
    Ok(Tool {
        name: row.try_get("name")?,
        sort_order: row.try_get("sort_order")?,
        is_enabled: flag(row, "is_enabled")?,
        config: row.try_get("config")?,
    })
}

impl Content for Tool {
    const TABLE: &'static str = "tools";
    const WHAT: &'static str = "tool";
    const UNIQUE: &'static str = "the name";
    // The agent comes with the write (`write.rs`): a tool never changes its agent.
    const COLUMNS: &'static [&'static str] = &["name", "sort_order", "is_enabled", "config"];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.name).into(),
            self.sort_order.into(),
            self.is_enabled.into(),
            (&self.config).into(),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        read_tool(row)
    }
}

impl Store {
    /// One agent; `None` when this tenant has none of that id, or when it is deleted.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn agent(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Option<Entry<Agent>>, ReadError> {
        let found = self.entry::<Agent>(scope.into(), id).await?;
        Ok(found.filter(|agent| agent.deleted_at.is_none()))
    }

    /// The agents, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn agents(
        &self,
        reach: impl Into<Reach>,
        filter: &AgentFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<Agent>>, ReadError> {
        self.entries_within(&reach.into(), page, |sql| {
            sql.push(" AND deleted_at IS NULL");
            if let Some(customer) = &filter.final_customer_id {
                sql.with(" AND final_customer_id = ", customer.clone());
            }
            if let Some(search) = &filter.search {
                contains(sql, "name", search);
            }
            if let Some(active) = filter.is_active {
                sql.with(" AND is_active = ", i64::from(active));
            }
        })
        .await
    }

    /// The tools of an agent, in their order; empty for an agent that this tenant does not have.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn tools(
        &self,
        scope: &TenantScope,
        agent: &str,
    ) -> Result<Vec<Entry<Tool>>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM tools WHERE tenant_id = ");
        sql.bind(scope.id().to_owned());
        sql.with(" AND agent_id = ", agent.to_owned());
        sql.push(" ORDER BY sort_order, name");
        let rows = sql.rows(self.readers()).await?;
        Ok(rows.iter().map(entry).collect::<sqlx::Result<_>>()?)
    }

    /// The agent whose API token has this hash, whatever the tenant, unless it is deleted or its tenant is not active.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn resolve_agent_token(
        &self,
        hash: &str,
    ) -> Result<Option<AgentIdentity>, ReadError> {
        self.resolve_agent(" AND a.api_token_hash = ", hash).await
    }

    /// The agent of this public token (of the chat widget), as [`Store::resolve_agent_token`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn resolve_public_token(
        &self,
        token: &str,
    ) -> Result<Option<AgentIdentity>, ReadError> {
        self.resolve_agent(" AND a.public_token = ", token).await
    }

    async fn resolve_agent(
        &self,
        words: &'static str,
        value: &str,
    ) -> Result<Option<AgentIdentity>, ReadError> {
        let mut sql = Sql::new(
            "SELECT a.* FROM agents a JOIN tenants t ON t.id = a.tenant_id WHERE a.deleted_at IS NULL AND t.is_active = 1",
        );
        sql.with(words, value.replace('\0', ""));
        let Some(row) = sql.row(self.readers()).await? else {
            return Ok(None);
        };
        let agent = entry::<Agent>(&row)?;
        let tenant = agent.tenant.clone().unwrap_or_default();
        Ok(Some(AgentIdentity {
            scope: TenantScope::new(call::TenantId::from(tenant)),
            agent,
        }))
    }
}
