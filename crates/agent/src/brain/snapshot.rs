//! What is kept of a call in progress, so that a call whose process died can still be ended (outcome, costs, call-end body), and a
//! chat goes on in another process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::end::Counts;
use super::run::{Commitment, LogEntry};
use super::{CallBrain, CallFacts, Placement};
use crate::compile::CompiledAgent;
use crate::policy::Policy;
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
    policy: &'a Policy,
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
    /// Of what was kept before it was part of it, nothing is known: the rules begin anew.
    #[serde(default)]
    policy: Option<Policy>,
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
            policy: &self.policy,
        };
        serde_json::to_value(kept).unwrap_or_default()
    }

    /// The brain of a conversation that another process began, for its end, or to go on with it once the session's data are there
    /// again ([`CallBrain::apply_session`], then [`CallBrain::resume`]). `None`: not one of our snapshots.
    pub fn restore(agent: Arc<CompiledAgent>, snapshot: &Value) -> Option<Self> {
        let kept = Restored::deserialize(snapshot).ok()?;
        let mut brain = Self::new(agent, kept.facts.clone());
        brain.take_back(kept);
        Some(brain)
    }

    /// Puts what is kept in the place of what the session's data have just set. False: not one of our snapshots.
    pub fn resume(&mut self, snapshot: &Value) -> bool {
        let Ok(kept) = Restored::deserialize(snapshot) else {
            return false;
        };
        self.take_back(kept);
        true
    }

    fn take_back(&mut self, kept: Restored) {
        self.context = kept.context;
        self.log = kept.log;
        self.flags = kept.flags;
        self.counts = kept.counts;
        self.meter = kept.meter;
        self.terms = kept.terms;
        self.commitments = kept.commitments;
        self.placement = kept.placement;
        if let Some(policy) = kept.policy {
            self.policy = policy;
        }
    }
}
