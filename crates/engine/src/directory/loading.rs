//! One reading of the store: lines, agents, accounts and workflows, made into what the engine uses.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::PoisonError;

use call::TenantId;
use catalog::Message;
use store::secret::is_sealed;
use store::{
    Device, Directory, DirectoryAgent, DirectoryWorkflow, Entry, ReadError, SipAccount, Tenant,
};

use super::agent::CompileError;
use super::{Parts, account, agent, line, scope};
use crate::agents::LeftOut;
use crate::config::{AgentConfig, LineConfig, LineProvider, Secret, WorkflowConfig};
use crate::dispatch::Gate;
use crate::log::say;
use crate::nat::TurnServer;
use crate::selection::Distribution;

/// A label as the log may show it: that of a phone line is its number.
fn shown_label(label: &str) -> String {
    let is_number = label
        .chars()
        .all(|c| c.is_ascii_digit() || "+ .-()".contains(c));
    if is_number {
        catalog::redact::phone(label)
    } else {
        label.to_owned()
    }
}

/// What the log was told of the accounts.
#[derive(Default)]
pub(super) struct Told {
    /// Versions of the accounts that are in use, by id.
    accounts: BTreeMap<String, i64>,
    defaults: BTreeMap<String, String>,
    is_first_done: bool,
}

impl Parts {
    pub(super) async fn load(&self) -> Result<(), ReadError> {
        let directory = self.read().await?;
        let prices = self.store.node_prices().await?;
        let read_at = std::time::Instant::now();
        let stopped = self.store.node_stopped_agents().await?;
        let (mut lines, mut agents, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        let mut is_of_line = HashSet::new();
        let accounts: HashMap<&str, &Entry<SipAccount>> = directory
            .sip_accounts
            .iter()
            .map(|account| (account.id.as_str(), account))
            .collect();
        for found in &directory.agents {
            let Some(tenant) = found
                .agent
                .tenant
                .as_deref()
                .and_then(|tenant| directory.tenants.get(tenant))
            else {
                continue;
            };
            is_of_line.extend(found.lines.iter().map(|line| line.id.as_str()));
            if !found.agent.is_active {
                continue;
            }
            let customer = found
                .agent
                .final_customer_id
                .as_deref()
                .and_then(|customer| directory.final_customers.get(customer));
            match self.agent(found, tenant, customer, &prices).await {
                Ok(agent) => {
                    lines.extend(self.lines(found, tenant, &accounts).await);
                    agents.push(agent);
                }
                Err(error) => left_out.push(unusable(found, tenant, &error)),
            }
        }
        for account in &directory.sip_accounts {
            if !is_of_line.contains(account.id.as_str()) {
                lines.extend(self.account_line(account).await);
            }
        }
        lines.extend(self.device_lines(&directory).await);
        line::with_tenant_rates(&mut lines, &directory.tenants);
        // The first active account is the oldest one.
        let age = |line: &LineConfig| {
            let account = accounts.get(line.name.as_str());
            account.map(|account| (account.created_at, account.id.clone()))
        };
        lines.sort_by_key(age);
        let workflows: Vec<WorkflowConfig> = directory
            .workflows
            .iter()
            .map(|found| workflow(found, &directory.devices))
            .collect();
        self.tell(&directory);
        self.forget_the_gone(&directory);
        if self.config.only.is_some() {
            lines.iter_mut().for_each(streamed);
        }
        let known = (&stopped, left_out.as_slice(), read_at);
        let found = self.agents.follow(&lines, &agents, &workflows, known);
        found.await;
        if let Some(only) = self.config.only.as_ref().filter(|_| agents.is_empty()) {
            // Its process is about to be ended: nobody speaks in its place meanwhile.
            self.engine.set_gate(only, Gate::Closed, false).await;
        }
        Ok(())
    }

    /// Agents that are no more need not be compared any more.
    fn forget_the_gone(&self, directory: &Directory) {
        let living: BTreeSet<&String> = directory
            .agents
            .iter()
            .map(|found| &found.agent.id)
            .collect();
        self.kept().retain(|id, _| living.contains(id));
    }

    /// What the store has, as far as it concerns this process.
    async fn read(&self) -> Result<Directory, ReadError> {
        let mut directory = self.store.node_directory().await?;
        if self.seal_clear_passwords(&directory).await {
            directory = self.store.node_directory().await?;
        }
        if let Some(only) = &self.config.only {
            narrow(&mut directory, only);
        }
        Ok(directory)
    }

    /// Seals passwords that a statement by hand left in clear; whether there were any.
    async fn seal_clear_passwords(&self, directory: &Directory) -> bool {
        let is_clear = |account: &Entry<SipAccount>| {
            let password = account.password.as_ref().map(store::Sealed::encrypted);
            password.is_some_and(|password| !password.is_empty() && !is_sealed(password))
        };
        let Some(vault) = &self.vault else {
            return false;
        };
        if !directory.sip_accounts.iter().any(is_clear) {
            return false;
        }
        match vault.seal_clear(&self.store).await {
            Ok(count) => {
                say(&Message::new("log_passwords_sealed").with("count", count));
                true
            }
            Err(error) => {
                let message = Message::new("log_directory_unread");
                say(&message.with("cause", error.to_string()));
                false
            }
        }
    }

    async fn agent(
        &self,
        found: &DirectoryAgent,
        tenant: &Entry<Tenant>,
        customer: Option<&Entry<store::FinalCustomer>>,
        prices: &[store::PriceTable],
    ) -> Result<AgentConfig, CompileError> {
        let scope = scope(tenant);
        let secrets = self.secrets(&scope);
        let with = (&secrets, &self.config);
        let definition = agent::definition(found, tenant, customer, prices, with).await?;
        let compiled = self.compiled(definition)?;
        agent::configured(compiled, tenant, &secrets, &self.config).await
    }

    async fn lines(
        &self,
        found: &DirectoryAgent,
        tenant: &Entry<Tenant>,
        accounts: &HashMap<&str, &Entry<SipAccount>>,
    ) -> Vec<LineConfig> {
        let mut lines = Vec::new();
        for entry in &found.lines {
            let own = match accounts.get(entry.id.as_str()) {
                Some(account) => Some((*account, self.password(account).await)),
                None => None,
            };
            let tenant = TenantId::from(tenant.id.clone());
            let relay = match &own {
                Some((account, _)) => self.relay(account).await,
                None => None,
            };
            let mut line = line::configured(entry, tenant, own, &self.config);
            line.nat.turn = relay.or(line.nat.turn);
            lines.push(line);
        }
        lines
    }

    /// The line of an account that backs no phone line; none where its password cannot be read.
    async fn account_line(&self, account: &Entry<SipAccount>) -> Option<LineConfig> {
        let password = self.password(account).await;
        if account.password.is_some() && password.is_none() {
            return None;
        }
        let tenant = TenantId::from(account.tenant.clone()?);
        let mut line = line::of_account(account, tenant, password, &self.config);
        line.nat.turn = self.relay(account).await.or(line.nat.turn);
        Some(line)
    }

    /// The TURN server of an account that names one; none where its password cannot be read.
    async fn relay(&self, account: &Entry<SipAccount>) -> Option<TurnServer> {
        let (address, username) = account::turn(account)?;
        let password = match (&account.turn_password, &self.vault) {
            (None, _) => Secret::default(),
            (Some(sealed), Some(vault)) => {
                let salt = store::turn_salt(&account.id);
                match vault.open(&salt, sealed.encrypted()).await {
                    Ok(password) => Secret::new(password.expose()),
                    Err(_) => {
                        let line = account.id.as_str();
                        say(&Message::new("log_turn_password_unread").with("line", line));
                        return None;
                    }
                }
            }
            (Some(_), None) => return None,
        };
        Some(TurnServer {
            address,
            username,
            password,
        })
    }

    /// The password of an account; without it the account does not register.
    async fn password(&self, account: &Entry<SipAccount>) -> Option<String> {
        let sealed = account.password.as_ref()?;
        let opened = match &self.vault {
            Some(vault) => vault.open(&account.id, sealed.encrypted()).await.ok(),
            None => None,
        };
        if opened.is_none() {
            say(&Message::new("log_line_password_unread").with("line", account.id.as_str()));
        }
        opened.map(|text| text.expose().to_owned())
    }

    /// What is new of the accounts goes into the log.
    fn tell(&self, directory: &Directory) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let accounts = &directory.sip_accounts;
        let now: BTreeMap<String, i64> = accounts
            .iter()
            .map(|account| (account.id.clone(), account.version))
            .collect();
        if told.is_first_done && told.accounts == now {
            return;
        }
        say(&Message::new("log_accounts_loaded").with("count", accounts.len()));
        let defaults: BTreeMap<String, String> = accounts
            .iter()
            .filter(|account| account.is_default)
            .map(|account| {
                (
                    account.tenant.clone().unwrap_or_default(),
                    account.id.clone(),
                )
            })
            .collect();
        for account in accounts {
            let tenant = account.tenant.clone().unwrap_or_default();
            let is_new_default =
                account.is_default && told.defaults.get(&tenant) != Some(&account.id);
            if is_new_default {
                let message = Message::new("log_account_default");
                say(&message
                    .with("label", shown_label(&account.label))
                    .with("account", account.id.as_str()));
            }
        }
        let fresh: Vec<&Entry<SipAccount>> = accounts
            .iter()
            .filter(|account| told.accounts.get(&account.id) != Some(&account.version))
            .collect();
        for account in &fresh {
            let message = Message::new("log_account_created");
            say(&message
                .with("label", shown_label(&account.label))
                .with("uri", account.trunk_uri.as_str()));
        }
        if !fresh.is_empty() {
            say(&Message::new("log_accounts_starting").with("count", fresh.len()));
        }
        for account in &fresh {
            say(&Message::new("log_account_started").with("account", account.id.as_str()));
        }
        *told = Told {
            accounts: now,
            defaults,
            is_first_done: true,
        };
    }
}

/// An agent that takes no calls, and why: it is said, and listed.
fn unusable(found: &DirectoryAgent, tenant: &Entry<Tenant>, error: &CompileError) -> LeftOut {
    let message = Message::new("log_agent_left_out");
    say(&message
        .with("agent", found.agent.id.as_str())
        .with("cause", error.to_string()));
    LeftOut {
        id: found.agent.id.clone(),
        other_id: agent::other_id(&found.agent.settings),
        name: found.agent.name.clone(),
        tenant: tenant.id.clone(),
        why: error.to_string(),
    }
}

/// What one agent alone needs of the directory.
fn narrow(directory: &mut Directory, only: &str) {
    directory.agents.retain(|found| found.agent.id == only);
    directory.sip_accounts.clear();
    directory.workflows.clear();
}

/// A line as the process of its agent knows it: its calls come by a stream.
fn streamed(line: &mut LineConfig) {
    line.account = None;
    line.sip_account = None;
    line.allow.clear();
    line.credentials = None;
    if line.provider == LineProvider::Sip {
        line.provider = LineProvider::Stream(None);
    }
}

fn workflow(found: &DirectoryWorkflow, devices: &[Entry<Device>]) -> WorkflowConfig {
    let definition = &found.version.definition;
    let is_of = |device: &&Entry<Device>| {
        device.tenant == found.workflow.tenant
            && device.workflow_id.as_ref() == Some(&found.workflow.id)
    };
    WorkflowConfig {
        id: found.workflow.id.clone(),
        slug: found.workflow.slug.clone(),
        tenant: TenantId::from(found.workflow.tenant.clone().unwrap_or_default()),
        agent: definition.agent_id.clone(),
        account: definition.sip_account_id.clone(),
        devices: devices
            .iter()
            .filter(is_of)
            .map(|device| device.id.clone())
            .collect(),
        numbers: definition.phone_numbers.clone(),
        ring_ms: definition
            .ring_timeout_s
            .and_then(|seconds| u32::try_from(seconds).ok())
            .map(|seconds| seconds.saturating_mul(1_000)),
        distribution: Distribution::from_name(&definition.distribution),
    }
}
