//! Before the conversation: pre-call checks, hours, the session's data and the context store, transfers without a model.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::announce::SUMMARY_ARGUMENT;
use super::{
    CallBrain, OfferedTool, OpeningVerdict, PreCall, PreCallVerdict, SessionFault, SessionState,
    TransferTarget, request,
};
use crate::destination;
use crate::exchange::{HttpCall, ToolReply};
use crate::json;
use crate::limits::{
    CONTEXT_BYTES_MAX, CONTEXT_KEYS_MAX, DESCRIPTION_BYTES_MAX, JSON_DEPTH_MAX, SESSION_BYTES_MAX,
    SUMMARY_CHARS_MAX,
};
use crate::price::decimal;
use crate::settings::TransferManner;
use crate::template::{Place, Rules, Tree};

/// Where the context of the first sessions (contracts.md 1.1, v1) stands in their answer.
const SESSION_V1: &str = include_str!("../../data/session_v1.json");
/// A secret that such answers may hold; it is dropped before anything can see it.
const SECRET_MEMBERS: &[&str] = &["sipCredentials"];

impl CallBrain {
    /// The request for the session's data, to be sent while the phone rings; `None`: there is nothing to ask.
    pub fn session_request(&self, now: Timestamp) -> Option<HttpCall> {
        let variables = self.variables(now);
        request::http_call(self.agent.session.as_ref()?, &self.scope(&variables), None).ok()
    }

    /// Takes the answer of the session address. After an error the call can go on: `instructions` then apologises or goes on
    /// without data, as the agent's settings say.
    pub fn apply_session(&mut self, reply: &ToolReply) -> Result<(), SessionFault> {
        match self.read_session(reply) {
            Ok(data) => {
                self.data = data;
                self.session = SessionState::Loaded;
                self.terms_of_session();
                self.descriptions_of_session();
                self.fill_context();
                self.context_of_session();
                self.context_of_placement();
                if self.begins_tainted() {
                    self.policy.tainted();
                }
                Ok(())
            }
            Err(fault) => {
                self.session = SessionState::Failed;
                Err(fault)
            }
        }
    }

    fn read_session(&self, reply: &ToolReply) -> Result<Map<String, Value>, SessionFault> {
        let value = match reply {
            ToolReply::TimedOut => return Err(SessionFault::TimedOut),
            ToolReply::Failed { .. } => return Err(SessionFault::Unreachable),
            ToolReply::Mcp { content, .. } => content.clone(),
            ToolReply::Http { status, .. } if !(200..300).contains(status) => {
                return Err(SessionFault::Status(*status));
            }
            ToolReply::Http { body, .. } if body.len() > SESSION_BYTES_MAX => {
                return Err(SessionFault::TooLarge);
            }
            ToolReply::Http { body, .. } => {
                serde_json::from_str(body).map_err(|_| SessionFault::NotAnObject)?
            }
        };
        if !json::depth_within(&value, JSON_DEPTH_MAX) {
            return Err(SessionFault::TooLarge);
        }
        match value {
            Value::Object(mut members) => {
                for secret in SECRET_MEMBERS {
                    members.remove(*secret);
                }
                // What the agent's settings hold stays where the session says nothing.
                let mut data = self.agent.settings().session.session_data.clone();
                data.append(&mut members);
                Ok(data)
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(SessionFault::NotAnObject),
        }
    }

    /// What the call itself knows, and the agent's `initialContext`.
    pub(super) fn fill_context(&mut self) {
        let variables = self.variables(self.facts.started_at);
        let initial = self.agent.initial_context.value(&self.scope(&variables));
        if let Ok(Some(Value::Object(members))) = initial {
            self.context_set(members);
        }
        let facts = &self.facts;
        let own = [
            ("call_id", Some(facts.call_id.clone())),
            ("caller_phone", facts.caller_phone.clone()),
            ("called_number", facts.called_number.clone()),
        ];
        for (name, value) in own {
            match value {
                Some(text) => self.context.insert(name.to_owned(), Value::String(text)),
                None => self.context.remove(name),
            };
        }
        self.tell_proof();
    }

    /// Another person is on the line: a proof is of one person.
    pub fn caller_changed(&mut self) {
        self.facts.caller_verified = false;
        self.facts.caller_attestation = None;
        self.policy.forget_person();
        for run in self.runs.values_mut() {
            run.is_of_another = true;
        }
        self.tell_proof();
    }

    /// Puts into the context store whether the caller is proven.
    pub(super) fn tell_proof(&mut self) {
        let proven = self.caller_is_proven();
        self.context
            .insert("caller_verified".to_owned(), Value::Bool(proven));
    }

    fn context_of_session(&mut self) {
        let rules = Rules {
            place: Place::Prompt,
            compat: false,
        };
        let known = serde_json::from_str(SESSION_V1)
            .ok()
            .and_then(|tree: Value| Tree::compile(&tree, "", rules).ok());
        if let Some(tree) = known {
            let variables = Map::new();
            if let Ok(Some(Value::Object(mut members))) = tree.value(&self.scope(&variables)) {
                members.retain(|name, _| !self.context.contains_key(name));
                self.context_set(members);
            }
        }
        if let Some(Value::Object(members)) = self.data.get("initialContext").cloned() {
            self.context_set(members);
        }
    }

    /// Adds to the context store, within its limits. What belongs to the call itself cannot be changed.
    pub(super) fn context_set(&mut self, members: Map<String, Value>) {
        for (name, value) in members {
            let reserved = matches!(
                name.as_str(),
                "call_id" | "caller_phone" | "called_number" | "caller_verified"
            );
            let room = self.context.len() < CONTEXT_KEYS_MAX || self.context.contains_key(&name);
            if reserved || value.is_null() || !room || !json::depth_within(&value, JSON_DEPTH_MAX) {
                continue;
            }
            let others: usize = self
                .context
                .iter()
                .filter(|(key, _)| **key != name)
                .map(|(key, value)| key.len() + 4 + json::size(value))
                .sum();
            if others + name.len() + json::size(&value) <= CONTEXT_BYTES_MAX {
                self.context.insert(name, value);
            }
        }
        // A proof is of one person: another customer is not proven by it. (Its place among the members is given when the call begins.)
        if self.context.contains_key("caller_verified") {
            self.tell_proof();
        }
    }

    /// The agent's own cost settings come first, then the session's, then the final customer's.
    fn terms_of_session(&mut self) {
        let costs = self
            .agent
            .settings()
            .rules
            .costs
            .clone()
            .unwrap_or_default();
        let positive = |name: &str| {
            self.data
                .get(name)
                .and_then(decimal)
                .filter(|micro| *micro >= 0)
        };
        if let (None, Some(margin)) = (costs.margin_pct, positive("aiCostMarginPct")) {
            self.terms.margin_micro_pct = margin;
        }
        if let (None, Some(exchange)) = (
            costs.exchange_rate,
            positive("exchangeRateToLocal").filter(|rate| *rate > 0),
        ) {
            self.terms.exchange_micro = exchange;
        }
        let currency = self.data.get("currency").and_then(Value::as_str);
        if let (None, Some(currency)) = (costs.currency, currency.filter(|text| text.len() == 3)) {
            currency.clone_into(&mut self.terms.currency);
        }
    }

    /// Only words: which tools exist, what they send and what they accept is the agent's alone.
    fn descriptions_of_session(&mut self) {
        if self.agent.settings().session.session_tools.as_deref() == Some("ignore") {
            return;
        }
        let listed = self.data.get("tools").and_then(Value::as_array);
        for tool in listed.into_iter().flatten() {
            let text = |name: &str| tool.get(name).and_then(Value::as_str);
            if let (Some(name), Some(description)) = (text("name"), text("description"))
                && self.agent.tool(name).is_some()
                && description.len() <= DESCRIPTION_BYTES_MAX
            {
                self.descriptions
                    .insert(name.to_owned(), description.to_owned());
            }
        }
    }

    /// Questions to ask before the call is answered, in order.
    pub fn pre_call_requests(&self, now: Timestamp) -> Vec<PreCall> {
        let variables = self.variables(now);
        let scope = self.scope(&variables);
        let checks = self.agent.checks.iter().enumerate();
        checks
            .filter_map(|(index, check)| {
                let call = request::http_call(&check.http, &scope, None).ok()?;
                Some(PreCall {
                    index,
                    name: check.name.clone(),
                    call,
                })
            })
            .collect()
    }

    /// The verdict of one of them.
    pub fn judge_pre_call(
        &self,
        index: usize,
        reply: &ToolReply,
        now: Timestamp,
    ) -> PreCallVerdict {
        let Some(check) = self.agent.checks.get(index) else {
            return PreCallVerdict::Pass;
        };
        let answer: Option<Value> = match reply {
            ToolReply::Http { status, body } if (200..300).contains(status) => {
                serde_json::from_str(body).ok()
            }
            ToolReply::Mcp {
                is_error: false,
                content,
            } => Some(content.clone()),
            ToolReply::Http { .. }
            | ToolReply::Mcp { .. }
            | ToolReply::Failed { .. }
            | ToolReply::TimedOut => None,
        };
        let blocked = match &answer {
            None if check.fail_open => return PreCallVerdict::PassUnanswered,
            None => true,
            Some(answer) => {
                let variables = self.variables(now);
                let mut scope = self.scope(&variables);
                scope.reply = Some(answer);
                matches!(check.block_if.value(&scope), Ok(Some(value)) if is_true(&value))
            }
        };
        let name = check.name.clone();
        match (blocked, check.says, &check.message) {
            (false, ..) => PreCallVerdict::Pass,
            (true, true, Some(text)) => PreCallVerdict::Message {
                name,
                text: text.clone(),
            },
            (true, ..) => PreCallVerdict::HangUp { name },
        }
    }

    /// Whether the agent answers now.
    pub fn opening(&self, now: Timestamp) -> OpeningVerdict {
        let (Some(hours), Some(settings)) = (
            &self.agent.hours,
            &self.agent.settings().rules.opening_hours,
        ) else {
            return OpeningVerdict::Open;
        };
        if hours.is_open(&now.to_zoned(self.agent.zone.clone())) {
            return OpeningVerdict::Open;
        }
        match settings.closed_action.as_deref() {
            Some("answer") => OpeningVerdict::ClosedAnswer,
            Some("hangup") => OpeningVerdict::ClosedHangUp,
            _ => {
                let english = self.agent.settings().speaks_english();
                let default = if english {
                    "We are closed at the moment. Please call again during our opening hours."
                } else {
                    "Nous sommes fermés en ce moment. Merci de rappeler pendant nos heures d'ouverture."
                };
                let message = settings
                    .closed_message
                    .clone()
                    .filter(|text| !text.trim().is_empty());
                OpeningVerdict::ClosedMessage(message.unwrap_or_else(|| default.to_owned()))
            }
        }
    }

    /// Where the call goes at once, without the model, when the agent says so.
    pub fn automatic_transfer(&self) -> Option<TransferTarget> {
        let own = self.agent.settings().rules.transfer.transfer_automatic;
        let session = self.data.get("transferAutomatic").and_then(Value::as_bool);
        own.or(session)
            .unwrap_or(false)
            .then(|| self.default_target())
            .flatten()
    }

    /// The number of the session, else the target `default`, else the only one.
    pub(super) fn default_target(&self) -> Option<TransferTarget> {
        let session = self
            .context
            .get("transfer_phone")
            .and_then(Value::as_str)
            .and_then(destination::number);
        if let Some(destination) = session {
            return Some(TransferTarget {
                name: "ctx.transfer_phone".to_owned(),
                destination,
                manner: TransferManner::default(),
                announcement: None,
            });
        }
        let targets = &self.agent.transfers;
        let only = || {
            (targets.len() == 1)
                .then(|| targets.iter().next())
                .flatten()
        };
        let (name, target) = targets.get_key_value("default").or_else(only)?;
        Some(TransferTarget {
            name: name.clone(),
            destination: target.destination.clone(),
            manner: target.manner,
            announcement: None,
        })
    }

    /// The voice: the session's, else the agent's.
    pub fn voice(&self) -> Option<String> {
        let session = self.data.get("voice").and_then(Value::as_str);
        session
            .filter(|voice| !voice.trim().is_empty() && voice.len() <= 64)
            .map(str::to_owned)
            .or_else(|| self.agent.settings().engine().voice)
    }

    /// Whether this call may be recorded: neither the agent nor the session's `recordingEnabled` forbids it.
    pub fn is_recordable(&self) -> bool {
        let session = self.data.get("recordingEnabled").and_then(Value::as_bool);
        self.agent.settings().speech.recording_enabled != Some(false) && session != Some(false)
    }

    /// The tools that the model is offered in this call.
    pub fn offered_tools(&self) -> Vec<OfferedTool> {
        let tools = self.agent.tools.iter().filter(|tool| self.is_offered(tool));
        tools
            .map(|tool| OfferedTool {
                name: tool.name.clone(),
                description: self
                    .descriptions
                    .get(&tool.name)
                    .unwrap_or(&tool.description)
                    .clone(),
                parameters: self.parameters(tool),
                flags: tool.flags.clone(),
                timeout_ms: tool.guard.timeout_ms,
            })
            .collect()
    }

    /// Where the session chooses the tools, one that its list does not name is not offered. A session without a list does not
    /// choose.
    fn is_listed(&self, name: &str) -> bool {
        if self.agent.settings().session.session_tools.as_deref() != Some("offer") {
            return true;
        }
        let listed = self.data.get("tools").and_then(Value::as_array);
        listed.is_none_or(|tools| {
            let named = |tool: &Value| tool.get("name").and_then(Value::as_str) == Some(name);
            tools.iter().any(named)
        })
    }

    /// In a call that can only apologise, no tool but those that end or hand over the call.
    pub(super) fn is_offered(&self, tool: &crate::compile::Tool) -> bool {
        tool.offered
            && self.is_listed(&tool.name)
            && (!self.apologizes() || tool.flags.triggers_hangup || tool.flags.triggers_transfer)
    }

    /// The schema, with what this call adds: a code where proof is needed, names where there are named targets.
    fn parameters(&self, tool: &crate::compile::Tool) -> Value {
        let mut parameters = tool.schema.visible().clone();
        let Some(properties) = parameters
            .get_mut("properties")
            .and_then(Value::as_object_mut)
        else {
            return parameters;
        };
        if self.needs_code(tool) {
            let text = "The confirmation code that the caller gave.";
            properties.insert(
                super::run::CODE_ARGUMENT.to_owned(),
                serde_json::json!({"type": "string", "description": text}),
            );
        }
        if tool.flags.triggers_transfer
            && !self.agent.transfers.is_empty()
            && !properties.contains_key("target")
        {
            let names: Vec<&String> = self.agent.transfers.keys().collect();
            let told: Vec<String> = self
                .agent
                .transfers
                .iter()
                .filter_map(|(name, target)| {
                    Some(format!("{name}: {}", target.description.as_ref()?))
                })
                .collect();
            let description = if told.is_empty() {
                "Who takes the call.".to_owned()
            } else {
                told.join("; ")
            };
            properties.insert(
                "target".to_owned(),
                serde_json::json!({"type": "string", "enum": names, "description": description}),
            );
        }
        if tool.flags.triggers_transfer
            && self.announces_summary()
            && !properties.contains_key(SUMMARY_ARGUMENT)
        {
            let description =
                "For the person who takes the call: who calls and why, in one short sentence.";
            properties.insert(
                SUMMARY_ARGUMENT.to_owned(),
                serde_json::json!({"type": "string", "maxLength": SUMMARY_CHARS_MAX, "description": description}),
            );
        }
        parameters
    }
}

/// A mapping may give a truth as text.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::String(text) => !matches!(
            text.trim().to_lowercase().as_str(),
            "" | "false" | "0" | "no" | "non"
        ),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => json::truthy(other),
    }
}
