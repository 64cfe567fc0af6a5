//! Workflows where calls are decided: which one a dialled number or an account means, and by which accounts its calls leave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use call::TenantId;
use catalog::Message;

use crate::config::{LineConfig, WorkflowConfig};
use crate::dispatch::{Agent, Line};
use crate::selection::{Candidate, StepResult, Wheel, same_number, select};

/// Longest chain of backups that one call tries.
const BACKUPS_MAX: usize = 3;

/// A workflow made ready.
pub(crate) struct Route {
    pub(crate) config: WorkflowConfig,
    /// Its agent, with the ring time of the workflow; `None`: the line's own.
    pub(crate) agent: Option<Arc<Agent>>,
    /// The account that the four steps give it.
    pub(crate) account: Option<String>,
}

impl Route {
    /// Whether calls by the line of this account or device are its.
    fn is_of_line(&self, name: &str) -> bool {
        self.account.as_deref() == Some(name)
            || self.config.devices.iter().any(|device| device == name)
    }
}

/// What the log and the record say of the workflow of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteNote {
    pub(crate) slug: String,
    pub(crate) account: Option<String>,
}

impl RouteNote {
    /// Which one it was, for the log and the journal.
    pub(crate) fn selected(&self) -> Message {
        Message::new("log_workflow_selected").with("workflow", self.slug.as_str())
    }
}

/// Which lines may call a number: rules are read where they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MayCall {
    /// Lines with a rule of their own, by name.
    pub lines: BTreeMap<String, bool>,
    /// All others.
    pub others: bool,
}

impl MayCall {
    /// Whether this line may.
    pub fn allows(&self, line: &str) -> bool {
        self.lines.get(line).copied().unwrap_or(self.others)
    }
}

/// What a number means, step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteAnswer {
    /// The workflow that lists the number.
    pub by_number: Option<String>,
    /// The workflow that has the account by which the call would come.
    pub by_account: Option<String>,
    /// The phone line that has the number.
    pub line: Option<String>,
    /// The four steps towards an account.
    pub steps: Vec<StepResult>,
    /// The agent that would answer.
    pub agent: Option<String>,
    /// How long it would ring, in milliseconds, where the workflow says so.
    pub ring_ms: Option<u32>,
    /// Accounts that a call out would try, in their order.
    pub attempts: Vec<String>,
}

/// All workflows, and where the accounts stand.
#[derive(Default)]
pub(crate) struct RouteTable {
    routes: Vec<Route>,
    /// Lines whose registration or health check failed last.
    failing: BTreeSet<String>,
    wheels: BTreeMap<String, Wheel>,
}

/// The active accounts of a tenant, in the order of their making.
fn candidates<'a>(
    lines: &'a [Arc<Line>],
    tenant: &TenantId,
    failing: &BTreeSet<String>,
) -> Vec<Candidate<'a>> {
    let account = |line: &'a Arc<Line>| {
        let account = line.config.sip_account.as_ref()?;
        (line.config.tenant == *tenant).then(|| Candidate {
            id: line.config.name.as_str(),
            is_default: account.is_default,
            weight: account.weight,
            is_healthy: !failing.contains(&line.config.name),
        })
    };
    lines.iter().filter_map(account).collect()
}

/// The account of the process's settings, for the tenant that it belongs to.
fn of_settings<'a>(fixed: &'a [Arc<Line>], tenant: &TenantId) -> Option<&'a str> {
    let found = fixed
        .iter()
        .find(|line| line.config.tenant == *tenant && line.config.account.is_some())?;
    Some(found.config.name.as_str())
}

impl RouteTable {
    /// Puts other workflows in the place of those before. `fixed` are the lines of the settings.
    pub(crate) fn replace(
        &mut self,
        workflows: &[WorkflowConfig],
        agents: &BTreeMap<&str, Arc<Agent>>,
        fixed: &[Arc<Line>],
        lines: &[Arc<Line>],
    ) {
        let ready = |config: &WorkflowConfig| {
            let accounts = candidates(lines, &config.tenant, &self.failing);
            let account = crate::selection::selected(
                config.account.as_deref(),
                &accounts,
                of_settings(fixed, &config.tenant),
            );
            let agent = config.agent.as_deref().and_then(|agent| agents.get(agent));
            Route {
                account,
                agent: agent.map(|agent| with_ring(agent, config.ring_ms)),
                config: config.clone(),
            }
        };
        self.routes = workflows.iter().map(ready).collect();
        let kept = |name: &String| lines.iter().any(|line| line.config.name == *name);
        self.failing.retain(kept);
        self.wheels
            .retain(|id, _| workflows.iter().any(|workflow| workflow.id == *id));
    }

    /// Notes whether a line's account can be used.
    pub(crate) fn note_health(&mut self, line: &str, is_healthy: bool) {
        if is_healthy {
            self.failing.remove(line);
        } else {
            self.failing.insert(line.to_owned());
        }
    }

    /// The agents that workflows lead to from the account of a line.
    pub(crate) fn agents_of<'a>(&'a self, line: &'a LineConfig) -> impl Iterator<Item = &'a str> {
        let leads =
            |route: &&Route| route.config.tenant == line.tenant && route.is_of_line(&line.name);
        let routes = self.routes.iter().filter(leads);
        routes.filter_map(|route| route.config.agent.as_deref())
    }

    /// The workflow that lists one of these numbers.
    pub(crate) fn by_number(&self, tenant: &TenantId, dialled: &[&str]) -> Option<&Route> {
        self.routes.iter().find(|route| {
            route.config.tenant == *tenant
                && route
                    .config
                    .numbers
                    .iter()
                    .any(|number| dialled.iter().any(|other| same_number(number, other)))
        })
    }

    /// The workflow of the account or device by which a call comes: one without numbers of its own first.
    pub(crate) fn by_account(&self, tenant: &TenantId, account: &str) -> Option<&Route> {
        let mut of_account: Vec<&Route> = self
            .routes
            .iter()
            .filter(|route| route.config.tenant == *tenant && route.is_of_line(account))
            .collect();
        of_account.sort_by_key(|route| !route.config.numbers.is_empty());
        of_account.first().copied()
    }

    /// The lines that a call of a workflow tries, the first one first: those that may call the number. `None` where there is no such
    /// workflow.
    pub(crate) fn attempts(
        &mut self,
        tenant: &TenantId,
        (key, may_call): (&str, &MayCall),
        fixed: &[Arc<Line>],
        lines: &[Arc<Line>],
    ) -> Option<Vec<Arc<Line>>> {
        let route = self.routes.iter().find(|route| {
            route.config.tenant == *tenant && (route.config.slug == key || route.config.id == key)
        })?;
        let mut accounts = candidates(lines, tenant, &self.failing);
        accounts.retain(|account| may_call.allows(account.id));
        let settings = of_settings(fixed, tenant).filter(|line| may_call.allows(line));
        let first = match route.config.distribution {
            crate::selection::Distribution::Selected => {
                crate::selection::selected(route.config.account.as_deref(), &accounts, settings)
            }
            how @ (crate::selection::Distribution::RoundRobin
            | crate::selection::Distribution::Weighted) => {
                let wheel = self.wheels.entry(route.config.id.clone()).or_default();
                wheel
                    .next(how, &accounts)
                    .or_else(|| settings.map(str::to_owned))
            }
        };
        let all: Vec<&Arc<Line>> = fixed.iter().chain(lines).collect();
        let named = |name: &str| all.iter().find(|line| line.config.name == name).copied();
        let Some(first) = first.as_deref().and_then(named) else {
            return Some(Vec::new());
        };
        let mut chain = chain(first, &named);
        chain.retain(|line| may_call.allows(&line.config.name));
        // What is known to fail is tried last.
        chain.sort_by_key(|line| self.failing.contains(&line.config.name));
        // The record names the account that calls, not the one that the workflow has for calls that come in.
        let own = |line: &Arc<Line>| {
            let mut own = routed(line, route).as_ref().clone();
            if let Some(note) = &mut own.route {
                note.account = Some(line.config.name.clone());
            }
            Arc::new(own)
        };
        Some(chain.into_iter().map(own).collect())
    }

    /// The lines that a call by a named line tries.
    pub(crate) fn backups(line: &Arc<Line>, lines: &[Arc<Line>]) -> Vec<Arc<Line>> {
        let named = |name: &str| lines.iter().find(|line| line.config.name == name);
        chain(line, &named)
            .into_iter()
            .skip(1)
            .map(|backup| {
                let mut own = backup.as_ref().clone();
                own.agent = Arc::clone(&line.agent);
                Arc::new(own)
            })
            .collect()
    }

    /// Where a call to this number would go; `account` is the one by which it would come.
    pub(crate) fn explain(
        &self,
        tenant: &TenantId,
        (number, account): (&str, Option<&str>),
        fixed: &[Arc<Line>],
        lines: &[Arc<Line>],
    ) -> RouteAnswer {
        let by_number = self.by_number(tenant, &[number]);
        let by_account = account.and_then(|account| self.by_account(tenant, account));
        let of_line = lines.iter().chain(fixed).find(|line| {
            let mut numbers = line.config.numbers.iter();
            line.config.tenant == *tenant
                && line.has_agent
                && (numbers.any(|known| same_number(known, number))
                    || account == Some(line.config.name.as_str()))
        });
        let route = by_number.or(by_account);
        let accounts = candidates(lines, tenant, &self.failing);
        let wanted = route
            .and_then(|route| route.config.account.as_deref())
            .or_else(|| of_line.map(|line| line.config.name.as_str()));
        let steps = select(wanted, &accounts, of_settings(fixed, tenant));
        let chosen = steps
            .iter()
            .find(|step| step.is_chosen)
            .and_then(|step| step.found.as_deref());
        let all: Vec<&Arc<Line>> = fixed.iter().chain(lines).collect();
        let named = |name: &str| all.iter().find(|line| line.config.name == name).copied();
        let attempts = chosen
            .and_then(named)
            .map_or_else(Vec::new, |line| chain(line, &named));
        let agent = route
            .and_then(|route| route.agent.as_ref())
            .or_else(|| of_line.map(|line| &line.agent));
        let slug = |route: Option<&Route>| route.map(|route| route.config.slug.clone());
        RouteAnswer {
            by_number: slug(by_number),
            by_account: slug(by_account),
            line: of_line.map(|line| line.config.name.clone()),
            agent: agent.map(|agent| agent.config.name.clone()),
            ring_ms: route.and_then(|route| route.config.ring_ms),
            attempts: attempts
                .iter()
                .map(|line| line.config.name.clone())
                .collect(),
            steps,
        }
    }
}

/// A line and its backups, each once.
fn chain<'a>(
    first: &'a Arc<Line>,
    named: &impl Fn(&str) -> Option<&'a Arc<Line>>,
) -> Vec<&'a Arc<Line>> {
    let mut chain = vec![first];
    let mut last = first;
    while chain.len() <= BACKUPS_MAX
        && let Some(backup) = backup_of(&last.config).and_then(named)
        && backup.config.tenant == first.config.tenant
        && !chain
            .iter()
            .any(|line| line.config.name == backup.config.name)
    {
        chain.push(backup);
        last = backup;
    }
    chain
}

fn backup_of(line: &LineConfig) -> Option<&str> {
    line.sip_account.as_ref()?.backup.as_deref()
}

/// The agent with the ring time of a workflow.
fn with_ring(agent: &Arc<Agent>, ring_ms: Option<u32>) -> Arc<Agent> {
    let Some(ring_ms) = ring_ms else {
        return Arc::clone(agent);
    };
    let mut own = agent.as_ref().clone();
    own.config.profile.ring_ms_fixed = (ring_ms > 0).then_some(ring_ms);
    Arc::new(own)
}

/// A line as the calls of a workflow see it.
pub(crate) fn routed(line: &Arc<Line>, route: &Route) -> Arc<Line> {
    let mut own = line.as_ref().clone();
    if let Some(agent) = &route.agent {
        own.agent = Arc::clone(agent);
        own.config.agent.clone_from(&agent.config.name);
        own.has_agent = true;
    }
    own.route = Some(RouteNote {
        slug: route.config.slug.clone(),
        account: route.account.clone(),
    });
    Arc::new(own)
}
