//! Everything that takes calls, of all tenants, in one reading: what the engine's directory is made from.

use std::collections::HashMap;

use sqlx::{AnyConnection, Row};

use crate::agent::{Agent, Tool};
use crate::db::Store;
use crate::device::{Device, living_devices};
use crate::entry::{Entry, entry};
use crate::error::ReadError;
use crate::faq::Faq;
use crate::final_customer::FinalCustomer;
use crate::phone_line::PhoneLine;
use crate::sip_account::{SipAccount, living_sip_accounts};
use crate::sql::Sql;
use crate::tenant::Tenant;
use crate::workflow::{Workflow, WorkflowVersion, living_workflows};

/// What takes calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directory {
    /// The active tenants that have an agent, a SIP account or a device here, by id.
    pub tenants: HashMap<String, Entry<Tenant>>,
    /// Their final customers that have an agent here, by id.
    pub final_customers: HashMap<String, Entry<FinalCustomer>>,
    /// Their agents, also those that are paused: a paused one says why.
    pub agents: Vec<DirectoryAgent>,
    /// Active SIP accounts of active tenants, in the order in which the first active one is chosen.
    pub sip_accounts: Vec<Entry<SipAccount>>,
    /// Active devices of active tenants, in the order of their making.
    pub devices: Vec<Entry<Device>>,
    /// The published versions of active workflows of active tenants, in the order of their making.
    pub workflows: Vec<DirectoryWorkflow>,
}

/// An agent with all that belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectoryAgent {
    /// The agent.
    pub agent: Entry<Agent>,
    /// Its tools, in their order, also those that are not enabled.
    pub tools: Vec<Entry<Tool>>,
    /// Its active lines.
    pub lines: Vec<Entry<PhoneLine>>,
    /// Its answered questions, oldest first.
    pub faqs: Vec<Entry<Faq>>,
}

/// A workflow with the version that calls follow.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectoryWorkflow {
    /// The workflow.
    pub workflow: Entry<Workflow>,
    /// The version.
    pub version: WorkflowVersion,
}

/// Of an agent that exists and whose tenant is active.
const LIVING: &str = "JOIN agents a ON a.id = x.agent_id AND a.deleted_at IS NULL JOIN tenants t ON t.id = a.tenant_id AND t.is_active = 1";

impl Store {
    /// A text that changes whenever the directory may have changed: cheap to ask, so that nothing is read in vain.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_directory_stamp(&self) -> Result<String, ReadError> {
        let mut stamp = String::new();
        for table in [
            "tenants",
            "final_customers",
            "agents",
            "phone_lines",
            "faqs",
            "agent_orders",
            "devices",
        ] {
            let mut sql = Sql::new(
                "SELECT COUNT(*) AS number, COALESCE(MAX(updated_at), 0) AS latest, \
                 CAST(COALESCE(SUM(version), 0) AS BIGINT) AS versions FROM ",
            );
            sql.push(table);
            if let Some(row) = sql.row(self.readers()).await? {
                for column in ["number", "latest", "versions"] {
                    let value: i64 = row.try_get(column)?;
                    stamp.push_str(&value.to_string());
                    stamp.push('.');
                }
            }
        }
        stamp.push_str(&self.routes_stamp().await?.to_string());
        Ok(stamp)
    }

    /// Everything that takes calls, as it was in one moment: no line is there before the tools of its agent are. For all tenants. What is
    /// changed while it is read is found by the next reading: read the stamp first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_directory(&self) -> Result<Directory, ReadError> {
        let living = |columns: &str, table: &str, condition: &str| {
            let mut sql = Sql::new("SELECT ");
            sql.push(columns).push(" FROM ").push(table).push(" x ");
            sql.push(LIVING).push(condition);
            sql
        };
        let mut snapshot = self.snapshot().await?;
        let agents = Sql::new(
            "SELECT a.* FROM agents a JOIN tenants t ON t.id = a.tenant_id AND t.is_active = 1 \
             WHERE a.deleted_at IS NULL ORDER BY a.created_at, a.id",
        );
        let agents = agents.rows_in(&mut snapshot).await?;
        let tools = living("x.*", "tools", " ORDER BY x.sort_order, x.name");
        let tools = tools.rows_in(&mut snapshot).await?;
        let lines = living(
            "x.*, (SELECT s.password FROM sip_accounts s WHERE s.id = x.id) AS sip_password_enc",
            "phone_lines",
            " WHERE x.is_active = 1 ORDER BY x.created_at, x.id",
        );
        let lines = lines.rows_in(&mut snapshot).await?;
        let faqs = living(
            "x.*",
            "faqs",
            " WHERE x.status = 'answered' AND x.answer IS NOT NULL ORDER BY x.created_at, x.id",
        );
        let faqs = faqs.rows_in(&mut snapshot).await?;
        let mut directory = Directory::default();
        let mut places = HashMap::new();
        for row in &agents {
            let agent = entry::<Agent>(row)?;
            places.insert(agent.id.clone(), directory.agents.len());
            directory.agents.push(DirectoryAgent {
                agent,
                tools: Vec::new(),
                lines: Vec::new(),
                faqs: Vec::new(),
            });
        }
        for row in &tools {
            let agent: String = row.try_get("agent_id")?;
            if let Some(&place) = places.get(&agent) {
                directory.agents[place].tools.push(entry(row)?);
            }
        }
        for row in &lines {
            let line = entry::<PhoneLine>(row)?;
            if let Some(&place) = places.get(&line.agent_id) {
                directory.agents[place].lines.push(line);
            }
        }
        for row in &faqs {
            let faq = entry::<Faq>(row)?;
            if let Some(&place) = places.get(&faq.agent_id) {
                directory.agents[place].faqs.push(faq);
            }
        }
        directory.sip_accounts = living_sip_accounts(&mut snapshot).await?;
        directory.devices = living_devices(&mut snapshot).await?;
        directory.workflows = living_workflows(&mut snapshot).await?;
        owners(&mut directory, &mut snapshot).await?;
        Ok(directory)
    }
}

async fn owners(directory: &mut Directory, snapshot: &mut AnyConnection) -> Result<(), ReadError> {
    let tenants = Sql::new(
        "SELECT * FROM tenants WHERE is_active = 1 AND (id IN (SELECT tenant_id FROM agents WHERE deleted_at IS NULL) \
         OR id IN (SELECT tenant_id FROM sip_accounts WHERE is_active) OR id IN (SELECT tenant_id FROM devices WHERE is_active = 1))",
    );
    for row in &tenants.rows_in(snapshot).await? {
        let tenant = entry::<Tenant>(row)?;
        directory.tenants.insert(tenant.id.clone(), tenant);
    }
    let customers = Sql::new(
        "SELECT * FROM final_customers WHERE id IN (SELECT final_customer_id FROM agents WHERE deleted_at IS NULL)",
    );
    for row in &customers.rows_in(snapshot).await? {
        let customer = entry::<FinalCustomer>(row)?;
        directory
            .final_customers
            .insert(customer.id.clone(), customer);
    }
    Ok(())
}
