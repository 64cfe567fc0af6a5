//! The accounts of the directory's lines, and what changes among them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sip::AccountId;

use super::Line;

/// Accounts of the directory's lines: a line keeps its own for as long as it is there.
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
