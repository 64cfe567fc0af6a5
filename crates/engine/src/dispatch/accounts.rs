//! The accounts of the directory's lines, and what changes among them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sip::{AccountId, DeviceId};

use super::{Dispatcher, Gate, Line};
use crate::config::LineConfig;

/// Accounts and devices of the directory's lines: a line keeps its own for as long as it is there.
#[derive(Default)]
pub(super) struct Accounts {
    pub(super) known: BTreeMap<String, AccountId>,
    pub(super) last: u64,
}

/// What has to change in the user agent after a reload.
#[derive(Default)]
pub(crate) struct AccountChanges {
    pub(crate) lines: Vec<Arc<Line>>,
    pub(crate) set: Vec<(AccountId, sip::AccountConfig)>,
    /// Devices that may register now; the others among these ids may not any more.
    pub(crate) devices: Vec<(DeviceId, sip::DeviceConfig)>,
    /// Of accounts and of devices.
    pub(crate) removed: Vec<AccountId>,
}

impl std::fmt::Debug for AccountChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccountChanges({} lines)", self.lines.len())
    }
}

impl Accounts {
    pub(super) fn of(&mut self, line: &str) -> AccountId {
        if let Some(known) = self.known.get(line) {
            return *known;
        }
        self.last += 1;
        AccountId(self.last)
    }
}

impl Accounts {
    /// The ids of a line's account and of its device, with what the user agent is told of them.
    pub(super) fn take(
        &mut self,
        config: &LineConfig,
        kept: &mut BTreeMap<String, AccountId>,
        changes: &mut AccountChanges,
    ) -> (Option<AccountId>, Option<DeviceId>) {
        let mut id = || {
            let id = self.of(&config.name);
            kept.insert(config.name.clone(), id);
            id
        };
        let account = config.account.as_ref().map(|account| {
            let id = id();
            changes.set.push((id, account.clone()));
            id
        });
        let device = config.device.as_ref().map(|device| {
            let id = DeviceId(id().0);
            changes.devices.push((id, device.sip.clone()));
            id
        });
        (account, device)
    }
}

impl Dispatcher {
    /// The agents that calls by this line may reach: its own, and those that workflows lead to.
    pub(super) fn agents_of<'a>(&'a self, line: &'a LineConfig) -> impl Iterator<Item = &'a str> {
        let own = (!line.agent.is_empty()).then_some(line.agent.as_str());
        own.into_iter().chain(self.routes.agents_of(line))
    }

    /// Whether the account of a line registers: somebody must be there for its calls. One that leads to nobody does.
    pub(super) fn is_open(&self, line: &LineConfig) -> bool {
        let mut agents = self.agents_of(line).peekable();
        agents.peek().is_none() || agents.any(|agent| self.gate(agent) == Gate::Open)
    }

    /// What changes, as far as the gates let it go.
    pub(super) fn gate_changes(&self, changes: &mut AccountChanges) {
        for (id, account) in &mut changes.set {
            let line = self.lines.iter().find(|line| line.account == Some(*id));
            account.register &= line.is_none_or(|line| self.is_open(&line.config));
        }
    }

    pub(super) fn gated(
        &self,
        line: &LineConfig,
        account: &sip::AccountConfig,
    ) -> sip::AccountConfig {
        let mut account = account.clone();
        account.register &= self.is_open(line);
        account
    }

    /// The accounts that lead to an agent by a workflow, by the agent.
    pub(crate) fn lines_by_workflow(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in self.lines.iter().filter(|line| line.account.is_some()) {
            for agent in self.routes.agents_of(&line.config) {
                let lines = found.entry(agent.to_owned()).or_default();
                lines.insert(line.config.name.clone());
            }
        }
        found
    }
}
