//! The end: outcome, call-end body (contracts.md 1.8), a request when nothing was done.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::scope::iso;
use super::session::is_true;
use super::{
    CallBrain, EndFacts, EndKind, Speaker, TranscriptLine, V2Outcome, WebhookBody, request,
};
use crate::compile::Http;
use crate::json::snake;
use crate::limits::{SUMMARY_LINE_CHARS, SUMMARY_LINES, TRANSCRIPT_LINES_MAX};
use crate::mask;
use crate::price::decimal_number;
use crate::settings::OutcomeRule;

/// Tool names of the contract and the outcome that their success means, the strongest first.
const OUTCOMES: &str = include_str!("../../data/outcomes.json");

/// Kind of a call-end body whose receiver may keep a record that [`record_patch`] completes.
pub const CALL_END_COMPLETED: &str = "call_end_completed";

/// What completes the record that a back office of the contract's first version made of a call-end body (contracts.md 1.8): the
/// body of its PATCH. `None` where the call-end body is not one of ours.
pub fn record_patch(call_end: &str, record_id: &str) -> Option<String> {
    let body: Value = serde_json::from_str(call_end).ok()?;
    let costs = &body["costs"];
    let tokens = &costs["tokens"];
    let known: Vec<KnownOutcome> = serde_json::from_str(OUTCOMES).unwrap_or_default();
    let called = |tool: &str| {
        let calls = body["toolCalls"].as_array().into_iter().flatten();
        calls
            .into_iter()
            .any(|call| call["name"].as_str() == Some(tool))
    };
    let talked = body["transcript"]
        .as_array()
        .is_some_and(|lines| !lines.is_empty());
    let outcome = match body["outcome"].as_str()? {
        known @ ("transferred" | "error") => known.to_owned(),
        _ => match known.into_iter().find(|known| called(&known.tool)) {
            Some(known) => known.outcome,
            None if talked => "info_only".to_owned(),
            None => "abandoned".to_owned(),
        },
    };
    let mut patch = Map::new();
    for (name, value) in [
        ("id", &json!(record_id)),
        ("endedAt", &body["endedAt"]),
        ("durationSec", &body["durationSec"]),
        ("outcome", &json!(outcome)),
        ("inputTokens", &tokens["inputTokens"]),
        ("outputTokens", &tokens["outputTokens"]),
        ("inputAudioTokens", &tokens["inputAudioTokens"]),
        ("outputAudioTokens", &tokens["outputAudioTokens"]),
        ("costAi", &costs["costTotal"]),
        ("costCurrency", &costs["costCurrency"]),
        ("aiModel", &body["aiModel"]),
        ("transcript", &body["transcript"]),
    ] {
        if !value.is_null() {
            patch.insert(name.to_owned(), value.clone());
        }
    }
    Some(Value::Object(patch).to_string())
}

/// What happened, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) runs: u32,
    pub(super) refusals: u32,
    pub(super) by_tool: BTreeMap<String, u32>,
    pub(super) caller_spoke: bool,
    pub(super) transferred: bool,
}

impl Counts {
    pub(super) fn run(&mut self, tool: &str) {
        self.runs = self.runs.saturating_add(1);
        let count = self.by_tool.entry(tool.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn of(&self, tool: &str) -> u32 {
        self.by_tool.get(tool).copied().unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct KnownOutcome {
    tool: String,
    outcome: String,
}

impl CallBrain {
    /// The outcome in the words of the agent's rules, else of the contract: `transferred`, `order_placed`… `abandoned`.
    pub fn outcome(&self, end: &EndFacts) -> String {
        match self.ruled_outcome(end) {
            Some(outcome) => outcome,
            None => self.derived_outcome(end),
        }
    }

    fn ruled_outcome(&self, end: &EndFacts) -> Option<String> {
        let variables = self.end_variables(end, None);
        let scope = self.scope(&variables);
        let rule = self.agent.rules.iter().find(|(rule, when)| {
            self.holds(rule, end)
                && when.as_ref().is_none_or(
                    |when| matches!(when.value(&scope), Ok(Some(value)) if is_true(&value)),
                )
        });
        rule.map(|(rule, _)| rule.outcome.clone())
    }

    fn holds(&self, rule: &OutcomeRule, end: &EndFacts) -> bool {
        rule.tool.as_ref().is_none_or(|tool| self.succeeded(tool))
            && rule
                .flag
                .as_ref()
                .is_none_or(|flag| self.flags.contains(flag))
            && rule
                .transferred
                .is_none_or(|wanted| wanted == self.was_transferred(end))
            && rule
                .caller_spoke
                .is_none_or(|wanted| wanted == self.caller_spoke(end))
            && rule
                .min_duration_sec
                .is_none_or(|seconds| end.duration_ms / 1_000 >= seconds)
    }

    fn succeeded(&self, tool: &str) -> bool {
        self.log.iter().any(|entry| entry.name == tool)
    }

    fn was_transferred(&self, end: &EndFacts) -> bool {
        self.counts.transferred || end.kind == EndKind::Transferred
    }

    fn caller_spoke(&self, end: &EndFacts) -> bool {
        self.counts.caller_spoke
            || end
                .transcript
                .iter()
                .any(|line| line.speaker == Speaker::Caller)
    }

    fn derived_outcome(&self, end: &EndFacts) -> String {
        if self.was_transferred(end) {
            return "transferred".to_owned();
        }
        let known: Vec<KnownOutcome> = serde_json::from_str(OUTCOMES).unwrap_or_default();
        let done = known
            .into_iter()
            .find(|known| self.succeeded(&known.tool) || self.flags.contains(&known.outcome));
        match (done, end.kind) {
            (Some(known), _) => known.outcome,
            (None, EndKind::NoBalance) => "no_balance".to_owned(),
            (None, EndKind::Error) => "error".to_owned(),
            (None, EndKind::Completed | EndKind::Abandoned | EndKind::Transferred) => {
                let talked = self.caller_spoke(end) || !end.transcript.is_empty();
                if talked { "info_only" } else { "abandoned" }.to_owned()
            }
        }
    }

    /// The outcome in the five words of the call-end body.
    pub fn v2_outcome(&self, end: &EndFacts) -> V2Outcome {
        match end.kind {
            _ if self.was_transferred(end) => V2Outcome::Transferred,
            EndKind::NoBalance => V2Outcome::NoBalance,
            EndKind::Error => V2Outcome::Error,
            EndKind::Completed | EndKind::Abandoned | EndKind::Transferred => {
                if self.caller_spoke(end) || !self.log.is_empty() {
                    V2Outcome::Completed
                } else {
                    V2Outcome::Abandoned
                }
            }
        }
    }

    fn end_variables(&self, end: &EndFacts, outcome: Option<&str>) -> Map<String, Value> {
        let mut variables = self.variables(end.ended_at);
        let seconds = end.duration_ms / 1_000;
        variables.insert(
            "call_duration_sec".to_owned(),
            Value::Number(seconds.into()),
        );
        variables.insert("ended_at".to_owned(), Value::String(iso(end.ended_at)));
        variables.insert("transcript".to_owned(), self.transcript(end));
        variables.insert(
            "transcript_summary".to_owned(),
            Value::String(self.summary(end)),
        );
        if let Some(outcome) = outcome {
            variables.insert("outcome".to_owned(), Value::String(outcome.to_owned()));
        }
        if let Some(error) = &end.error {
            variables.insert("error".to_owned(), Value::String(error.clone()));
        }
        variables
    }

    fn transcript(&self, end: &EndFacts) -> Value {
        let lines = end.transcript.iter().take(TRANSCRIPT_LINES_MAX).map(|line| {
            json!({"role": line.speaker.role(), "content": self.masked_text(&line.text), "timestamp": iso(line.at)})
        });
        Value::Array(lines.collect())
    }

    /// The last lines, each shortened (contracts.md 1.8).
    fn summary(&self, end: &EndFacts) -> String {
        let from = end.transcript.len().saturating_sub(SUMMARY_LINES);
        let line = |line: &TranscriptLine| {
            let words: String = self
                .masked_text(&line.text)
                .chars()
                .take(SUMMARY_LINE_CHARS)
                .collect();
            format!("{}: {words}", line.speaker.role())
        };
        end.transcript[from..]
            .iter()
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn masks_cards(&self) -> bool {
        let settings = self.agent.settings().speech.secure_input.as_ref();
        settings
            .and_then(|settings| settings.mask_cards)
            .unwrap_or(true)
    }

    fn masked_text(&self, text: &str) -> String {
        if self.masks_cards() {
            mask::mask_cards(text).into_owned()
        } else {
            text.to_owned()
        }
    }

    pub(super) fn masked(&self, value: &Value) -> Value {
        if self.masks_cards() {
            mask::mask_value(value)
        } else {
            value.clone()
        }
    }

    /// The body for the address that wants to know that a call was answered.
    pub fn call_start(&self, now: Timestamp) -> Option<WebhookBody> {
        let http = self.agent.hooks.on_start.as_ref()?;
        self.hook("call_start", http, &self.variables(now))
    }

    /// The body for a conversation that ended with nothing done.
    pub fn no_action(&self, end: &EndFacts) -> Option<WebhookBody> {
        let http = self.agent.hooks.on_no_action.as_ref()?;
        let outcome = self.derived_outcome(end);
        let nothing = outcome == "info_only" && self.flags.is_empty() && self.caller_spoke(end);
        nothing
            .then(|| self.hook("no_action", http, &self.end_variables(end, Some(&outcome))))
            .flatten()
    }

    fn hook(
        &self,
        kind: &'static str,
        http: &Http,
        variables: &Map<String, Value>,
    ) -> Option<WebhookBody> {
        let call = request::http_call(http, &self.scope(variables), None).ok()?;
        Some(WebhookBody {
            kind,
            url: call.url,
            body: call.body.unwrap_or_else(|| "{}".to_owned()),
        })
    }

    /// The call-end body (contracts.md 1.8): members in a fixed order, what is not known left out.
    pub fn call_end(&self, end: &EndFacts) -> Option<WebhookBody> {
        let address = self.agent.hooks.call_end.as_ref()?;
        let outcome = self.outcome(end);
        let variables = self.end_variables(end, Some(&outcome));
        let url = address.evaluate(&self.scope(&variables), &[]).ok()?;
        let completes = self.agent.settings().rules.complete_record == Some(true);
        Some(WebhookBody {
            kind: if completes {
                CALL_END_COMPLETED
            } else {
                "call_end"
            },
            url,
            body: Value::Object(self.call_end_body(end)).to_string(),
        })
    }

    fn call_end_body(&self, end: &EndFacts) -> Map<String, Value> {
        let settings = self.agent.settings();
        let mut body = Map::new();
        // The receiver knows its record by an identifier of the agent's configuration.
        for (name, value) in &settings.prompt.config {
            let scalar = value.is_string() || value.is_number();
            if scalar && snake(name).ends_with("_id") {
                body.insert(name.clone(), value.clone());
            }
        }
        body.insert(
            "finalContext".to_owned(),
            Value::Object(self.context.clone()),
        );
        if let Some(phone) = &self.facts.caller_phone {
            body.insert("callerPhone".to_owned(), Value::String(phone.clone()));
            body.insert("callerNumber".to_owned(), Value::String(phone.clone()));
        }
        body.insert(
            "startedAt".to_owned(),
            Value::String(iso(self.facts.started_at)),
        );
        body.insert("endedAt".to_owned(), Value::String(iso(end.ended_at)));
        body.insert(
            "durationSec".to_owned(),
            Value::Number((end.duration_ms / 1_000).into()),
        );
        body.insert("transcript".to_owned(), self.transcript(end));
        body.insert(
            "outcome".to_owned(),
            Value::String(self.v2_outcome(end).as_str().to_owned()),
        );
        if !end.second_legs.is_empty() {
            let legs = Value::Array(end.second_legs.clone());
            body.insert("secondLegs".to_owned(), legs);
        }
        if let Some(who) = self.answerer() {
            body.insert("answeredBy".to_owned(), Value::String(who.to_owned()));
        }
        body.insert("toolCalls".to_owned(), self.tool_calls());
        body.insert("costs".to_owned(), self.costs_body());
        let model = end.model.clone().or_else(|| settings.engine().model);
        if let Some(model) = model {
            body.insert("aiModel".to_owned(), Value::String(model));
        }
        body
    }

    /// Tools that did what they were asked for: receivers derive what happened from their names.
    fn tool_calls(&self) -> Value {
        let calls = self.log.iter().map(|entry| {
            json!({"name": entry.name, "arguments": entry.arguments, "timestamp": iso(entry.at), "durationMs": entry.took_ms})
        });
        Value::Array(calls.collect())
    }

    fn costs_body(&self) -> Value {
        let costs = self.costs();
        json!({
            "costTotal": decimal_number(costs.total_micro),
            "costCurrency": costs.currency,
            "tokens": {
                "inputTokens": costs.usage.input_tokens,
                "outputTokens": costs.usage.output_tokens,
                "inputAudioTokens": costs.usage.input_audio_tokens,
                "outputAudioTokens": costs.usage.output_audio_tokens,
            },
        })
    }
}
