//! What is kept of a call in progress, so that a call whose process died can still be ended: outcome, costs, call-end body.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::end::Counts;
use super::run::{Commitment, LogEntry};
use super::{CallBrain, CallFacts, Placement};
use crate::compile::CompiledAgent;
use crate::price::{Meter, Terms};

#[derive(Serialize)]
struct Kept<'a> {
    facts: &'a CallFacts,
    context: &'a Map<String, Value>,
    log: &'a [LogEntry],
    flags: &'a BTreeSet<String>,
    counts: &'a Counts,
    meter: &'a Meter,
    terms: &'a Terms,
    commitments: &'a BTreeMap<String, Commitment>,
    placement: &'a Option<Placement>,
}

#[derive(Deserialize)]
struct Restored {
    facts: CallFacts,
    context: Map<String, Value>,
    log: Vec<LogEntry>,
    flags: BTreeSet<String>,
    counts: Counts,
    meter: Meter,
    terms: Terms,
    #[serde(default)]
    placement: Option<Placement>,
    #[serde(default)]
    commitments: BTreeMap<String, Commitment>,
}

impl CallBrain {
    /// All that `restore` needs. Holds customers' data: for the store, not for logs. The session's data are not in it.
    pub fn snapshot(&self) -> Value {
        let kept = Kept {
            facts: &self.facts,
            context: &self.context,
            log: &self.log,
            flags: &self.flags,
            counts: &self.counts,
            meter: &self.meter,
            terms: &self.terms,
            commitments: &self.commitments,
            placement: &self.placement,
        };
        serde_json::to_value(kept).unwrap_or_default()
    }

    /// The brain of a call whose process died, for its end: outcome, costs and call-end body. `None`: not one of our snapshots.
    pub fn restore(agent: Arc<CompiledAgent>, snapshot: &Value) -> Option<Self> {
        let kept = Restored::deserialize(snapshot).ok()?;
        let mut brain = Self::new(agent, kept.facts);
        brain.context = kept.context;
        brain.log = kept.log;
        brain.flags = kept.flags;
        brain.counts = kept.counts;
        brain.meter = kept.meter;
        brain.terms = kept.terms;
        brain.commitments = kept.commitments;
        brain.placement = kept.placement;
        Some(brain)
    }
}
