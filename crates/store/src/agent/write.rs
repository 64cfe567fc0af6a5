//! Writes of agents and tools. Each locks the agent's row first, so that two writes of one agent follow each other on every
//! database, and ends with the row of the new version.

use jiff::Timestamp;
use sqlx::Row;

use super::{Agent, Tool, read_tool};
use crate::audit::{Action, note};
use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::entry::{Entry, entry, new_id};
use crate::limits;
use crate::scope::TenantScope;
use crate::sql::Sql;

/// Who made a version, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionNote {
    /// A name for people.
    pub author: String,
    /// Why; may be empty.
    pub note: String,
}

/// What an agent is told and can do: replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brain {
    /// Its settings, as JSON text.
    pub settings: String,
    /// All its tools.
    pub tools: Vec<Tool>,
}

impl Store {
    /// Makes an agent, with its tools, as version 1.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_agent(
        &self,
        scope: &TenantScope,
        id: &str,
        agent: &Agent,
        tools: &[Tool],
        why: &VersionNote,
    ) -> Result<Entry<Agent>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            let made = write.insert(scope.into(), id, agent).await?;
            replace_tools(&mut write, scope, id, tools).await?;
            snapshot(&mut write, scope, &made, why).await?;
            Ok(made)
        }
        .await;
        write.settle(result).await
    }

    /// Changes an agent's row, not its tools.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_agent(
        &self,
        scope: &TenantScope,
        id: &str,
        agent: &Agent,
        expected: Option<i64>,
        why: &VersionNote,
    ) -> Result<Entry<Agent>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            living(&mut write, scope, id).await?;
            let changed = write.update(scope.into(), id, agent, expected).await?;
            snapshot(&mut write, scope, &changed, why).await?;
            Ok(changed)
        }
        .await;
        write.settle(result).await
    }

    /// Replaces settings and all tools in one step: whoever reads sees all of it or nothing.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn replace_brain(
        &self,
        scope: &TenantScope,
        id: &str,
        brain: &Brain,
        expected: Option<i64>,
        why: &VersionNote,
    ) -> Result<Entry<Agent>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            let mut agent = living(&mut write, scope, id).await?.content;
            agent.settings.clone_from(&brain.settings);
            let changed = write.update(scope.into(), id, &agent, expected).await?;
            replace_tools(&mut write, scope, id, &brain.tools).await?;
            snapshot(&mut write, scope, &changed, why).await?;
            Ok(changed)
        }
        .await;
        write.settle(result).await
    }

    /// Adds a tool; the agent's version rises.
    ///
    /// # Errors
    /// [`ChangeError::Duplicate`] for a name that the agent has already, or see there.
    pub async fn add_tool(
        &self,
        scope: &TenantScope,
        agent: &str,
        id: &str,
        tool: &Tool,
        why: &VersionNote,
    ) -> Result<Entry<Tool>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            touch(&mut write, scope, agent, None).await?;
            if tools_of(&mut write, scope, agent).await?.len() >= limits::TOOLS_MAX {
                return Err(ChangeError::Refused { cause: "too_many" });
            }
            insert_tool(&mut write, scope, agent, id, tool).await?;
            let added = write.locked::<Tool>(scope.into(), id).await?;
            note(&mut write, scope.into(), Action::Created, "tool", id).await?;
            let changed = write.locked(scope.into(), agent).await?;
            snapshot(&mut write, scope, &changed, why).await?;
            Ok(added)
        }
        .await;
        write.settle(result).await
    }

    /// Changes a tool; the agent's version rises. `expected` is the tool's own version.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_tool(
        &self,
        scope: &TenantScope,
        agent: &str,
        id: &str,
        tool: &Tool,
        expected: Option<i64>,
        why: &VersionNote,
    ) -> Result<Entry<Tool>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            touch(&mut write, scope, agent, None).await?;
            require_tool(&mut write, scope, agent, id).await?;
            let tool = write.update(scope.into(), id, tool, expected).await?;
            let changed = write.locked(scope.into(), agent).await?;
            snapshot(&mut write, scope, &changed, why).await?;
            Ok(tool)
        }
        .await;
        write.settle(result).await
    }

    /// Removes a tool; the agent's version rises.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_tool(
        &self,
        scope: &TenantScope,
        agent: &str,
        id: &str,
        expected: Option<i64>,
        why: &VersionNote,
    ) -> Result<(), ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            touch(&mut write, scope, agent, None).await?;
            require_tool(&mut write, scope, agent, id).await?;
            write.remove::<Tool>(scope.into(), id, expected).await?;
            let changed = write.locked(scope.into(), agent).await?;
            snapshot(&mut write, scope, &changed, why).await
        }
        .await;
        write.settle(result).await
    }

    /// Copies settings and tools of an agent, as it is now, to a new one of that id and name, without tokens or lines.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn duplicate_agent(
        &self,
        scope: &TenantScope,
        id: &str,
        new_id: &str,
        name: &str,
        why: &VersionNote,
    ) -> Result<Entry<Agent>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            let mut agent = living(&mut write, scope, id).await?.content;
            name.clone_into(&mut agent.name);
            let tools = tools_of(&mut write, scope, id).await?;
            let made = write.insert(scope.into(), new_id, &agent).await?;
            replace_tools(&mut write, scope, new_id, &tools).await?;
            snapshot(&mut write, scope, &made, why).await?;
            Ok(made)
        }
        .await;
        write.settle(result).await
    }

    /// Makes a new version that is as the agent was at an earlier one: name, settings and tools.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn roll_back_agent(
        &self,
        scope: &TenantScope,
        id: &str,
        to_version: i64,
        expected: Option<i64>,
        why: &VersionNote,
    ) -> Result<Entry<Agent>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            let mut agent = living(&mut write, scope, id).await?.content;
            let mut sql =
                Sql::new("SELECT name, settings, tools FROM agent_versions WHERE tenant_id = ");
            sql.bind(scope.id().to_owned());
            sql.with(" AND agent_id = ", id.to_owned());
            sql.with(" AND version = ", to_version);
            let row = sql.row_in(&mut write).await?;
            let row = row.ok_or(ChangeError::NotFound { what: "version" })?;
            agent.name = row.try_get("name")?;
            agent.settings = row.try_get("settings")?;
            let tools: Vec<Tool> = serde_json::from_str(row.try_get("tools")?).unwrap_or_default();
            let changed = write.update(scope.into(), id, &agent, expected).await?;
            replace_tools(&mut write, scope, id, &tools).await?;
            snapshot(&mut write, scope, &changed, why).await?;
            Ok(changed)
        }
        .await;
        write.settle(result).await
    }

    /// Deletes an agent: it takes no more calls, its tokens open nothing, its lines are free. Its calls and versions stay.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_agent(
        &self,
        scope: &TenantScope,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            let agent = living(&mut write, scope, id).await?;
            if expected.is_some_and(|expected| expected != agent.version) {
                return Err(ChangeError::VersionConflict {
                    current: agent.version,
                });
            }
            let now = Timestamp::now().as_microsecond();
            let mut sql = Sql::new("UPDATE agents SET is_active = 0, version = version + 1");
            sql.with(", deleted_at = ", now)
                .with(", updated_at = ", now);
            sql.push(", api_token_hash = NULL, api_token_prefix = NULL, public_token = NULL");
            sql.with(" WHERE id = ", id.to_owned());
            sql.with(" AND tenant_id = ", scope.id().to_owned());
            sql.run(&mut write).await?;
            let mut sql = Sql::new(
                "DELETE FROM sip_accounts WHERE id IN (SELECT id FROM phone_lines WHERE agent_id = ",
            );
            sql.bind(id.to_owned());
            sql.with(") AND tenant_id = ", scope.id().to_owned());
            sql.run(&mut write).await?;
            let mut sql = Sql::new("DELETE FROM phone_lines WHERE agent_id = ");
            sql.bind(id.to_owned());
            sql.with(" AND tenant_id = ", scope.id().to_owned());
            sql.run(&mut write).await?;
            note(&mut write, scope.into(), Action::Removed, "agent", id).await
        }
        .await;
        write.settle(result).await
    }

    /// Gives an agent new tokens; those before open nothing any more. Makes no version: what the agent is does not change.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn set_agent_tokens(
        &self,
        scope: &TenantScope,
        id: &str,
        api_token: Option<(&str, &str)>,
        public_token: Option<&str>,
    ) -> Result<(), ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            let mut sql = Sql::new("UPDATE agents SET updated_at = ");
            sql.bind(Timestamp::now().as_microsecond());
            if let Some((hash, prefix)) = api_token {
                sql.with(", api_token_hash = ", hash.to_owned());
                sql.with(", api_token_prefix = ", prefix.to_owned());
            }
            if let Some(token) = public_token {
                sql.with(", public_token = ", token.to_owned());
            }
            sql.with(" WHERE id = ", id.to_owned());
            sql.with(" AND tenant_id = ", scope.id().to_owned());
            sql.push(" AND deleted_at IS NULL");
            let touched = sql.run(&mut write).await;
            match touched.map_err(|error| ChangeError::of_write(error, "the token"))? {
                0 => Err(ChangeError::NotFound { what: "agent" }),
                _ => {
                    note(
                        &mut write,
                        scope.into(),
                        Action::Changed,
                        "agent_tokens",
                        id,
                    )
                    .await
                }
            }
        }
        .await;
        write.settle(result).await
    }
}

/// The agent, locked; a deleted one is none.
async fn living(
    write: &mut Write,
    scope: &TenantScope,
    id: &str,
) -> Result<Entry<Agent>, ChangeError> {
    let agent = write.locked::<Agent>(scope.into(), id).await?;
    match agent.deleted_at {
        None => Ok(agent),
        Some(_) => Err(ChangeError::NotFound { what: "agent" }),
    }
}

/// Raises the version of an agent whose tools change, and locks it.
async fn touch(
    write: &mut Write,
    scope: &TenantScope,
    id: &str,
    expected: Option<i64>,
) -> Result<(), ChangeError> {
    let agent = living(write, scope, id).await?.content;
    write.update(scope.into(), id, &agent, expected).await?;
    Ok(())
}

async fn tools_of(
    write: &mut Write,
    scope: &TenantScope,
    agent: &str,
) -> Result<Vec<Tool>, ChangeError> {
    let mut sql = Sql::new("SELECT * FROM tools WHERE tenant_id = ");
    sql.bind(scope.id().to_owned());
    sql.with(" AND agent_id = ", agent.to_owned());
    sql.push(" ORDER BY sort_order, name");
    let rows = sql.rows_in(write).await?;
    Ok(rows.iter().map(read_tool).collect::<sqlx::Result<_>>()?)
}

async fn require_tool(
    write: &mut Write,
    scope: &TenantScope,
    agent: &str,
    id: &str,
) -> Result<(), ChangeError> {
    let mut sql = Sql::new("SELECT id FROM tools WHERE tenant_id = ");
    sql.bind(scope.id().to_owned());
    sql.with(" AND agent_id = ", agent.to_owned());
    sql.with(" AND id = ", id.to_owned());
    let row = sql.row_in(write).await?;
    row.map(drop).ok_or(ChangeError::NotFound { what: "tool" })
}

async fn insert_tool(
    write: &mut Write,
    scope: &TenantScope,
    agent: &str,
    id: &str,
    tool: &Tool,
) -> Result<(), ChangeError> {
    if tool.config.len() > limits::ENTRY_TEXT_BYTES_MAX {
        return Err(ChangeError::Refused { cause: "too_long" });
    }
    let now = Timestamp::now().as_microsecond();
    let mut sql = Sql::new(
        "INSERT INTO tools (id, tenant_id, agent_id, name, sort_order, is_enabled, config, version, created_at, updated_at) \
         VALUES (",
    );
    sql.bind(id.to_owned());
    sql.with(", ", scope.id().to_owned());
    sql.with(", ", agent.to_owned());
    sql.with(", ", tool.name.replace('\0', ""));
    sql.with(", ", tool.sort_order);
    sql.with(", ", i64::from(tool.is_enabled));
    sql.with(", ", tool.config.replace('\0', "")).push(", 1");
    sql.with(", ", now).with(", ", now).push(")");
    let inserted = sql.run(write).await;
    inserted.map_err(|error| ChangeError::of_write(error, "the name"))?;
    Ok(())
}

/// Tools that keep their name keep their id, so that what refers to them stays true.
async fn replace_tools(
    write: &mut Write,
    scope: &TenantScope,
    agent: &str,
    tools: &[Tool],
) -> Result<(), ChangeError> {
    if tools.len() > limits::TOOLS_MAX {
        return Err(ChangeError::Refused { cause: "too_many" });
    }
    let mut sql = Sql::new("SELECT * FROM tools WHERE tenant_id = ");
    sql.bind(scope.id().to_owned());
    sql.with(" AND agent_id = ", agent.to_owned());
    let rows = sql.rows_in(write).await?;
    let before: Vec<Entry<Tool>> = rows.iter().map(entry).collect::<sqlx::Result<_>>()?;
    for gone in before
        .iter()
        .filter(|old| tools.iter().all(|tool| tool.name != old.name))
    {
        let mut sql = Sql::new("DELETE FROM tools WHERE id = ");
        sql.bind(gone.id.clone());
        sql.run(write).await?;
    }
    let mut seen = std::collections::HashSet::new();
    for tool in tools {
        if !seen.insert(tool.name.as_str()) {
            return Err(ChangeError::Duplicate { what: "the name" });
        }
        match before.iter().find(|old| old.name == tool.name) {
            Some(old) if old.content == *tool => {}
            Some(old) => {
                write.update(scope.into(), &old.id, tool, None).await?;
            }
            None => insert_tool(write, scope, agent, &new_id(), tool).await?,
        }
    }
    Ok(())
}

/// Keeps what the agent is now as its version.
async fn snapshot(
    write: &mut Write,
    scope: &TenantScope,
    agent: &Entry<Agent>,
    why: &VersionNote,
) -> Result<(), ChangeError> {
    let tools = tools_of(write, scope, &agent.id).await?;
    let tools = serde_json::to_string(&tools).unwrap_or_else(|_| "[]".to_owned());
    let mut sql = Sql::new(
        "INSERT INTO agent_versions (agent_id, version, tenant_id, at, author, note, name, settings, tools) VALUES (",
    );
    sql.bind(agent.id.clone());
    sql.with(", ", agent.version);
    sql.with(", ", scope.id().to_owned());
    sql.with(", ", agent.updated_at.as_microsecond());
    for text in [&why.author, &why.note, &agent.name, &agent.settings, &tools] {
        sql.with(", ", text.replace('\0', ""));
    }
    sql.push(")");
    sql.run(write).await?;
    Ok(())
}
