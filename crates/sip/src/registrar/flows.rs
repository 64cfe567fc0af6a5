//! Which bindings a flow reaches.

use std::collections::{BTreeMap, BTreeSet};

use super::BindingId;
use crate::transport::Flow;

/// Bindings by their flows. A flow without one is not in it.
#[derive(Debug, Default)]
pub(super) struct Flows(BTreeMap<Flow, BTreeSet<BindingId>>);

impl Flows {
    pub(super) fn enter(&mut self, flow: Option<Flow>, binding: BindingId) {
        if let Some(flow) = flow {
            self.0.entry(flow).or_default().insert(binding);
        }
    }

    pub(super) fn leave(&mut self, flow: Option<Flow>, binding: BindingId) {
        let Some(flow) = flow else { return };
        if let Some(bindings) = self.0.get_mut(&flow) {
            bindings.remove(&binding);
            if bindings.is_empty() {
                self.0.remove(&flow);
            }
        }
    }

    pub(super) fn over(&self, flow: Flow) -> impl Iterator<Item = BindingId> {
        self.0.get(&flow).into_iter().flatten().copied()
    }

    /// Entries, for the count of what is held.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }
}
