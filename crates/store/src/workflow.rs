//! Workflows: routes from phone numbers and a SIP account to an agent, in versions. One version of a workflow is published, and
//! calls follow it; a roll-back publishes a new version that is as an earlier one was.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::agent::VersionNote;
use crate::audit::{Action, note};
use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::directory::DirectoryWorkflow;
use crate::entry::{Content, Entry, Value, entry, time, truth};
use crate::error::ReadError;
use crate::limits;
use crate::page::{List, PageRequest, contains};
use crate::scope::TenantScope;
use crate::sql::Sql;

/// A workflow, without its versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workflow {
    /// Its name in addresses and in the log; unique in its tenant.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether calls follow it.
    pub is_active: bool,
}

/// What a version says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowDefinition {
    /// The account that its calls go by.
    pub sip_account_id: Option<String>,
    /// The agent that answers.
    pub agent_id: Option<String>,
    /// The dialled numbers that it takes; none: those that come by its account.
    pub phone_numbers: Vec<String>,
    /// How long the phone rings before the answer, in seconds; absent: as the agent says.
    pub ring_timeout_s: Option<i64>,
    /// How outgoing calls choose their account: `selected`, `round_robin` or `weighted`.
    pub distribution: String,
}

impl Default for WorkflowDefinition {
    fn default() -> Self {
        Self {
            sip_account_id: None,
            agent_id: None,
            phone_numbers: Vec::new(),
            ring_timeout_s: None,
            distribution: "selected".to_owned(),
        }
    }
}

/// A version of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowVersion {
    /// Of which workflow.
    pub workflow_id: String,
    /// Its number.
    pub version: i64,
    /// Whether calls follow it.
    pub is_active: bool,
    /// By whom.
    pub author: String,
    /// Why.
    pub note: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it says.
    pub definition: WorkflowDefinition,
}

/// Which workflows to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkflowFilter {
    /// Of exactly this slug.
    pub slug: Option<String>,
    /// With this in the slug or the name.
    pub search: Option<String>,
}

impl Content for Workflow {
    const TABLE: &'static str = "workflows";
    const WHAT: &'static str = "workflow";
    const UNIQUE: &'static str = "the slug";
    const COLUMNS: &'static [&'static str] = &["slug", "name", "description", "is_active"];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.slug).into(),
            (&self.name).into(),
            (&self.description).into(),
            Value::Flag(self.is_active),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            slug: row.try_get("slug")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            is_active: truth(row, "is_active")?,
        })
    }
}

fn version(row: &AnyRow) -> sqlx::Result<WorkflowVersion> {
    let numbers: String = row.try_get("phone_numbers")?;
    Ok(WorkflowVersion {
        workflow_id: row.try_get("workflow_id")?,
        version: row.try_get("version")?,
        is_active: truth(row, "is_active")?,
        author: row.try_get("author")?,
        note: row.try_get("note")?,
        created_at: time(row, "created_at")?,
        definition: WorkflowDefinition {
            sip_account_id: row.try_get("sip_account_id")?,
            agent_id: row.try_get("agent_id")?,
            phone_numbers: serde_json::from_str(&numbers).unwrap_or_default(),
            ring_timeout_s: row.try_get("ring_timeout_s")?,
            distribution: row.try_get("distribution")?,
        },
    })
}

impl Store {
    /// A number for a new workflow.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn node_new_workflow_id(&self) -> Result<String, ChangeError> {
        self.take_number("workflows").await
    }

    /// Makes a workflow with its first version, published.
    ///
    /// # Errors
    /// See [`ChangeError`]; `the number` is taken where another workflow has one of its numbers.
    pub async fn create_workflow(
        &self,
        scope: &TenantScope,
        id: &str,
        workflow: &Workflow,
        definition: &WorkflowDefinition,
        why: &VersionNote,
    ) -> Result<(Entry<Workflow>, WorkflowVersion), ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            write.routes(scope).await?;
            let made = write.insert(scope.into(), id, workflow).await?;
            let first = write.add_version(scope, id, definition, why, true).await?;
            Ok((made, first))
        };
        let result = result.await;
        write.settle(result).await
    }

    /// One workflow; `None` when there is none of that id here.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn workflow(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Option<Entry<Workflow>>, ReadError> {
        self.entry(scope.into(), id).await
    }

    /// The workflows, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn workflows(
        &self,
        scope: &TenantScope,
        filter: &WorkflowFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<Workflow>>, ReadError> {
        self.entries(scope.into(), page, |sql| {
            if let Some(slug) = &filter.slug {
                sql.with(" AND slug = ", slug.clone());
            }
            if let Some(search) = &filter.search {
                contains(sql, "slug || ' ' || name", search);
            }
        })
        .await
    }

    /// Changes a workflow itself, and adds a version where a definition is given, published or as a draft.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_workflow(
        &self,
        scope: &TenantScope,
        id: &str,
        workflow: &Workflow,
        definition: Option<(&WorkflowDefinition, bool)>,
        expected: Option<i64>,
        why: &VersionNote,
    ) -> Result<Entry<Workflow>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            write.routes(scope).await?;
            let changed = write.update(scope.into(), id, workflow, expected).await?;
            if let Some((definition, publish)) = definition {
                write
                    .add_version(scope, id, definition, why, publish)
                    .await?;
            } else if workflow.is_active {
                write.free_numbers(scope, id).await?;
            }
            Ok(changed)
        };
        let result = result.await;
        write.settle(result).await
    }

    /// Removes a workflow with its versions.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_workflow(
        &self,
        scope: &TenantScope,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        self.erase::<Workflow>(scope.into(), id, expected).await
    }

    /// The versions of a workflow, newest first, at most [`limits::WORKFLOW_VERSIONS_SHOWN_MAX`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn workflow_versions(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Vec<WorkflowVersion>, ReadError> {
        let mut sql = versions_of(scope, id);
        sql.push(" ORDER BY version DESC");
        sql.with(" LIMIT ", limits::WORKFLOW_VERSIONS_SHOWN_MAX);
        let rows = sql.rows(self.readers()).await?;
        let versions: sqlx::Result<Vec<_>> = rows.iter().map(version).collect();
        Ok(versions?)
    }

    /// Publishes a version: calls that begin from now on follow it.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn publish_workflow(
        &self,
        scope: &TenantScope,
        id: &str,
        number: i64,
        expected: Option<i64>,
    ) -> Result<WorkflowVersion, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            write.routes(scope).await?;
            write.touch_workflow(scope, id, expected).await?;
            write.publish(scope, id, number).await
        };
        let result = result.await;
        write.settle(result).await
    }

    /// Publishes a new version that says what an earlier one said.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn roll_back_workflow(
        &self,
        scope: &TenantScope,
        id: &str,
        to_version: i64,
        expected: Option<i64>,
        why: &VersionNote,
    ) -> Result<WorkflowVersion, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            write.routes(scope).await?;
            write.touch_workflow(scope, id, expected).await?;
            let mut sql = versions_of(scope, id);
            sql.with(" AND version = ", to_version);
            let row = sql.row_in(&mut write).await?;
            let row = row.ok_or(ChangeError::NotFound { what: "version" })?;
            let definition = version(&row)?.definition;
            write.add_version(scope, id, &definition, why, true).await
        };
        let result = result.await;
        write.settle(result).await
    }
}

fn versions_of(scope: &TenantScope, id: &str) -> Sql {
    let mut sql = Sql::new("SELECT * FROM workflow_definitions WHERE tenant_id = ");
    sql.bind(scope.id().to_owned());
    sql.with(" AND workflow_id = ", id.replace('\0', ""));
    sql
}

impl Write {
    /// Writers of one tenant's routes follow each other, so that no number is published twice.
    async fn routes(&mut self, scope: &TenantScope) -> Result<(), ChangeError> {
        let mut sql = Sql::new("SELECT id FROM tenants WHERE id = ");
        sql.bind(scope.id().to_owned()).push(self.lock());
        sql.row_in(self).await?;
        Ok(())
    }

    async fn touch_workflow(
        &mut self,
        scope: &TenantScope,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        let workflow = self.locked::<Workflow>(scope.into(), id).await?;
        self.update(scope.into(), id, &workflow.content, expected)
            .await?;
        Ok(())
    }

    async fn add_version(
        &mut self,
        scope: &TenantScope,
        id: &str,
        definition: &WorkflowDefinition,
        why: &VersionNote,
        publish: bool,
    ) -> Result<WorkflowVersion, ChangeError> {
        if definition.phone_numbers.len() > limits::WORKFLOW_NUMBERS_MAX {
            return Err(ChangeError::Refused { cause: "too_many" });
        }
        let mut sql = Sql::new(
            "SELECT COALESCE(MAX(version), 0) AS last FROM workflow_definitions WHERE workflow_id = ",
        );
        sql.bind(id.to_owned());
        let row = sql.row_in(self).await?;
        let last: i64 = row.map_or(Ok(0), |row| row.try_get("last"))?;
        let numbers = serde_json::to_string(&definition.phone_numbers).unwrap_or_default();
        let mut sql = Sql::new(
            "INSERT INTO workflow_definitions (workflow_id, version, tenant_id, sip_account_id, agent_id, phone_numbers, \
             ring_timeout_s, distribution, author, note, created_at, updated_at) VALUES (",
        );
        let now = Timestamp::now().as_microsecond();
        let clean = |text: &str| text.replace('\0', "");
        sql.bind(id.to_owned()).with(", ", last + 1);
        sql.with(", ", scope.id().to_owned());
        sql.with(", ", definition.sip_account_id.as_deref().map(clean));
        sql.with(", ", definition.agent_id.as_deref().map(clean));
        sql.with(", ", clean(&numbers));
        sql.with(", ", definition.ring_timeout_s);
        sql.with(", ", clean(&definition.distribution));
        sql.with(", ", clean(&why.author));
        sql.with(", ", clean(&why.note));
        sql.with(", ", now).with(", ", now).push(") RETURNING *");
        let row = sql.row_in(self).await;
        let row = row.map_err(|error| ChangeError::of_write(error, "the version"))?;
        let row = row.ok_or(ChangeError::NotFound { what: "version" })?;
        if publish {
            return self.publish(scope, id, last + 1).await;
        }
        Ok(version(&row)?)
    }

    async fn publish(
        &mut self,
        scope: &TenantScope,
        id: &str,
        number: i64,
    ) -> Result<WorkflowVersion, ChangeError> {
        let now = Timestamp::now().as_microsecond();
        let mut sql = Sql::new("UPDATE workflow_definitions SET is_active = ");
        sql.bind(false).with(", updated_at = ", now);
        sql.with(" WHERE workflow_id = ", id.to_owned());
        sql.with(" AND is_active AND version <> ", number);
        sql.run(self).await?;
        let mut sql = Sql::new("UPDATE workflow_definitions SET is_active = ");
        sql.bind(true).with(", updated_at = ", now);
        sql.with(" WHERE workflow_id = ", id.to_owned());
        sql.with(" AND tenant_id = ", scope.id().to_owned());
        sql.with(" AND version = ", number).push(" RETURNING *");
        let row = sql.row_in(self).await?;
        let row = row.ok_or(ChangeError::NotFound { what: "version" })?;
        self.free_numbers(scope, id).await?;
        note(
            self,
            scope.into(),
            Action::Changed,
            "workflow_published",
            id,
        )
        .await?;
        Ok(version(&row)?)
    }

    /// No other active workflow of the tenant has a number of this one.
    async fn free_numbers(&mut self, scope: &TenantScope, id: &str) -> Result<(), ChangeError> {
        let mut sql = Sql::new(
            "SELECT d.* FROM workflow_definitions d JOIN workflows w ON w.id = d.workflow_id AND w.is_active \
             WHERE d.is_active AND d.tenant_id = ",
        );
        sql.bind(scope.id().to_owned());
        let rows = sql.rows_in(self).await?;
        let versions: sqlx::Result<Vec<_>> = rows.iter().map(version).collect();
        let (own, others): (Vec<_>, Vec<_>) = versions?
            .into_iter()
            .partition(|version| version.workflow_id == id);
        let taken = |number: &String| {
            let bare = |number: &str| number.trim_start_matches('+').to_owned();
            others.iter().any(|other| {
                let mut numbers = other.definition.phone_numbers.iter();
                numbers.any(|known| bare(known) == bare(number))
            })
        };
        if own
            .iter()
            .any(|own| own.definition.phone_numbers.iter().any(taken))
        {
            return Err(ChangeError::Duplicate { what: "the number" });
        }
        Ok(())
    }
}

/// The published versions of active workflows of active tenants, in the order of their making.
pub(crate) async fn living_workflows(
    snapshot: &mut AnyConnection,
) -> Result<Vec<DirectoryWorkflow>, ReadError> {
    let workflows = Sql::new(
        "SELECT w.* FROM workflows w JOIN tenants t ON t.id = w.tenant_id AND t.is_active = 1 WHERE w.is_active \
         ORDER BY w.created_at, w.id",
    );
    let workflows = workflows.rows_in(snapshot).await?;
    let versions = Sql::new("SELECT * FROM workflow_definitions WHERE is_active");
    let mut published = std::collections::HashMap::new();
    for row in &versions.rows_in(snapshot).await? {
        let version = version(row)?;
        published.insert(version.workflow_id.clone(), version);
    }
    let mut living = Vec::new();
    for row in &workflows {
        let workflow = entry::<Workflow>(row)?;
        if let Some(version) = published.remove(&workflow.id) {
            living.push(DirectoryWorkflow { workflow, version });
        }
    }
    Ok(living)
}
