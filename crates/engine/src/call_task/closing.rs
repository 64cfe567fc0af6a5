//! The end of a call as its owner is told of it: outcome, cost, and what has to reach others, written with the record.

use std::time::Instant;

use agent::{CallBrain, EndFacts, EndKind, Speaker, TranscriptLine, WebhookBody};
use call::{EndReason, Severity, TranscriptEntry};
use jiff::{SignedDuration, Timestamp};
use store::{CallAssignment, CallCost};

use super::{CallTask, placed};
use crate::config::OfficeConfig;
use crate::journal::Service;

/// Lines kept for the call-end body.
const LINES_MAX: usize = 2_000;

/// What was said, for the call-end body.
#[derive(Default)]
pub(super) struct Spoken {
    lines: Vec<(TranscriptEntry, TranscriptLine)>,
}

impl Spoken {
    /// Takes a line, in place of the one with the same item and speaker.
    pub(super) fn record(&mut self, started_at: Timestamp, entry: &TranscriptEntry) {
        let speaker = match entry.role {
            call::Speaker::Caller => Speaker::Caller,
            call::Speaker::Agent => Speaker::Agent,
            call::Speaker::System => return,
        };
        let after = SignedDuration::from_millis(i64::try_from(entry.at_ms).unwrap_or(i64::MAX));
        let line = TranscriptLine {
            speaker,
            text: entry.text.clone(),
            at: started_at.saturating_add(after).unwrap_or(started_at),
        };
        let is_full = self.lines.len() >= LINES_MAX;
        let known = self.lines.iter_mut().find(|(known, _)| {
            known.item.is_some() && known.item == entry.item && known.role == entry.role
        });
        match known {
            Some((_, kept)) => *kept = line,
            None if is_full => {}
            None => self.lines.push((entry.clone(), line)),
        }
    }

    fn lines(&self) -> Vec<TranscriptLine> {
        let mut lines: Vec<_> = self.lines.iter().map(|(_, line)| line.clone()).collect();
        lines.sort_by_key(|line| line.at);
        lines
    }

    fn caller_spoke(&self) -> bool {
        let mut lines = self.lines.iter();
        lines.any(|(_, line)| line.speaker == Speaker::Caller)
    }
}

impl CallTask {
    /// Waits for what still runs, and makes up what the call was.
    pub(super) async fn service(
        &mut self,
        reason: EndReason,
        (now, wall): (Instant, Timestamp),
    ) -> Option<Service> {
        let Self {
            office,
            spoken,
            desk,
            second,
            ..
        } = self;
        let office = office.as_mut()?;
        office.finish_runs().await;
        let reason = desk.exact.unwrap_or(reason);
        let duration_ms = office.count_minutes(now, second.voiced());
        let facts = EndFacts {
            ended_at: wall,
            duration_ms,
            kind: kind(reason, office.answered.is_some(), spoken.caller_spoke()),
            transcript: spoken.lines(),
            model: None,
            second_legs: second.told(),
            error: (reason.row().severity >= Severity::Warning).then(|| reason.code().to_owned()),
        };
        Some(service(&office.brain, desk.id().as_str(), &facts, reason))
    }
}

/// Who serves the call, in the version that it keeps to its end.
pub(crate) fn assignment(
    office: &OfficeConfig,
    (carrier, call): (&str, Option<&str>),
) -> CallAssignment {
    let definition = office.agent.definition();
    CallAssignment {
        agent_id: Some(definition.agent_id.clone()),
        agent_version: Some(definition.version),
        final_customer_id: definition.final_customer_id.clone(),
        carrier: Some(carrier.to_owned()),
        carrier_call_id: call.map(str::to_owned),
        ..CallAssignment::default()
    }
}

/// What is written of a call beside how it went.
pub(crate) fn service(
    brain: &CallBrain,
    call: &str,
    facts: &EndFacts,
    reason: EndReason,
) -> Service {
    let definition = brain.agent().definition();
    let costs = brain.costs();
    let deliver = |body: WebhookBody| placed::delivery(brain, call, body);
    let status = placed::last_status(reason, brain.is_answered());
    let bodies = [
        brain.call_end(facts),
        brain.no_action(facts),
        brain.placed_end(status, facts.ended_at),
    ];
    Service {
        outcome: brain.outcome(facts),
        context: brain.snapshot().to_string(),
        model: facts.model.clone(),
        cost: Some(CallCost {
            costs: serde_json::to_string(&costs).unwrap_or_default(),
            cost_micro: costs.total_micro,
            final_customer_micro: definition
                .final_customer_id
                .is_some()
                .then_some(costs.total_micro),
            currency: costs.currency.clone(),
        }),
        deliveries: bodies.into_iter().flatten().map(deliver).collect(),
    }
}

/// How a call ended, as far as its outcome asks.
pub(crate) fn kind(reason: EndReason, answered: bool, caller_spoke: bool) -> EndKind {
    if reason == EndReason::Transferred {
        EndKind::Transferred
    } else if reason == EndReason::NoBalance {
        EndKind::NoBalance
    } else if reason.row().severity == Severity::Error {
        EndKind::Error
    } else if answered && caller_spoke {
        EndKind::Completed
    } else {
        EndKind::Abandoned
    }
}
