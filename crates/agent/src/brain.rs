//! One call's brain: context, tools, policy, outcome, costs. The shell asks it what to send and gives it what came back; it never
//! waits, and what it says of a call depends on nothing but what it was told.

mod announce;
mod end;
mod placed;
mod reply;
mod request;
mod run;
mod scope;
mod session;
mod snapshot;
mod types;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::compile::CompiledAgent;
use crate::limits::CALLER_NAME_CHARS_MAX;
use crate::policy::Policy;
use crate::price::{Costs, Meter, Terms, Usage, decimal_f64};

use end::Counts;
use run::{Commitment, LogEntry, Run};

pub use end::{CALL_END_COMPLETED, record_patch};
pub use placed::{AnsweringAction, AnsweringWish, PlacedEvent, Placement};
pub use types::*;
pub use words::recording_notice;

/// Margin of the engine's cost where nobody named one, in millionths of a percent (contracts.md 1.1: 30 %).
const MARGIN_DEFAULT: i64 = 30_000_000;
/// One unit of the price table's currency is one of ours.
const EXCHANGE_DEFAULT: i64 = 1_000_000;

/// What became of the session address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionState {
    NotAsked,
    Loaded,
    Failed,
}

/// The state of one call on the side of the agent.
pub struct CallBrain {
    agent: Arc<CompiledAgent>,
    facts: CallFacts,
    context: Map<String, Value>,
    data: Map<String, Value>,
    session: SessionState,
    /// Descriptions of tools that the session's answer replaced.
    descriptions: BTreeMap<String, String>,
    policy: Policy,
    runs: BTreeMap<String, Run>,
    commitments: BTreeMap<String, Commitment>,
    log: Vec<LogEntry>,
    flags: BTreeSet<String>,
    counts: Counts,
    meter: Meter,
    terms: Terms,
    placement: Option<Placement>,
}

impl std::fmt::Debug for CallBrain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallBrain")
            .field("facts", &self.facts)
            .field("agent", &self.agent.definition.agent_id)
            .field("version", &self.agent.definition.version)
            .field("running", &self.runs.len())
            .finish_non_exhaustive()
    }
}

impl CallBrain {
    /// A call begins.
    pub fn new(agent: Arc<CompiledAgent>, mut facts: CallFacts) -> Self {
        facts.caller_name = facts.caller_name.map(|name| {
            words::one_line(&name)
                .chars()
                .take(CALLER_NAME_CHARS_MAX)
                .collect()
        });
        let data = agent.definition.settings.session.session_data.clone();
        let terms = terms(&agent);
        let mut brain = Self {
            agent,
            facts,
            context: Map::new(),
            data,
            session: SessionState::NotAsked,
            descriptions: BTreeMap::new(),
            policy: Policy::default(),
            runs: BTreeMap::new(),
            commitments: BTreeMap::new(),
            log: Vec::new(),
            flags: BTreeSet::new(),
            counts: Counts::default(),
            meter: Meter::default(),
            terms,
            placement: None,
        };
        brain.fill_context();
        if brain.begins_tainted() {
            brain.policy.tainted();
        }
        brain
    }

    /// The agent's version that this call began with.
    pub fn agent(&self) -> &Arc<CompiledAgent> {
        &self.agent
    }

    /// What is known of the call.
    pub fn facts(&self) -> &CallFacts {
        &self.facts
    }

    /// The context store. Holds customers' data.
    pub fn context(&self) -> &Map<String, Value> {
        &self.context
    }

    /// Adds to the context store what whoever began the conversation knows already (a chat begun by the back office). What belongs to
    /// the conversation itself cannot be changed by it.
    pub fn give_context(&mut self, members: Map<String, Value>) {
        self.context_set(members);
    }

    /// The engine committed a turn of the caller whose words are not known (yet).
    pub fn caller_turn(&mut self) {
        self.policy.caller_turn();
    }

    /// The words of a turn of the caller; an empty text takes a `caller_turn` back (it was a noise).
    pub fn heard_caller(&mut self, text: &str) {
        self.counts.caller_spoke |= !text.trim().is_empty();
        self.policy.heard_caller(text);
    }

    /// The agent's words, once they were (at least in part) played.
    pub fn agent_said(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.policy.agent_said();
        }
    }

    /// The usage of one response.
    pub fn add_usage(&mut self, model: &str, usage: Usage) {
        self.meter.add_usage(model, usage);
    }

    /// The whole time so far of a model that is priced by the minute, in milliseconds.
    pub fn set_engine_time(&mut self, model: &str, milliseconds: u64) {
        self.meter.set_engine_ms(model, milliseconds);
    }

    /// The whole time of the call so far, in milliseconds: it costs something where the carrier charges by the minute. A SIP trunk is the tenant's own
    /// (contracts.md 1.8: minutes on Twilio only).
    pub fn set_telephony_time(&mut self, milliseconds: u64) {
        if self.facts.carrier != "sip" {
            self.meter.set_telephony_ms(milliseconds);
        }
    }

    /// What the call has cost so far.
    pub fn costs(&self) -> Costs {
        let date = self
            .facts
            .started_at
            .to_zoned(self.agent.zone.clone())
            .date();
        self.meter.costs(&self.agent.prices, &self.terms, date)
    }

    /// What one call may cost, in micro-units of the costs' currency, where the agent has such a bound.
    pub fn cost_max_micro(&self) -> Option<i64> {
        let limits = self.agent.settings().rules.limits.as_ref()?;
        decimal_f64(limits.cost_max?)
    }

    /// The transfer that was asked for has taken place.
    pub fn transferred(&mut self) {
        self.counts.transferred = true;
    }
}

fn terms(agent: &CompiledAgent) -> Terms {
    let definition = &agent.definition;
    let costs = definition.settings.rules.costs.clone().unwrap_or_default();
    let micro = |value: Option<f64>| value.and_then(decimal_f64);
    Terms {
        currency: costs
            .currency
            .or_else(|| definition.currency.clone())
            .unwrap_or_else(|| "EUR".to_owned()),
        margin_micro_pct: micro(costs.margin_pct)
            .or_else(|| micro(definition.cost_margin_pct))
            .unwrap_or(MARGIN_DEFAULT),
        exchange_micro: micro(costs.exchange_rate).unwrap_or(EXCHANGE_DEFAULT),
        telephony_micro_per_min: micro(costs.telephony_per_min).unwrap_or(0),
    }
}
