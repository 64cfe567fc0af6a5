//! A tool call, from the model's words to a request: every rule of the policy stands here, in one order, before anything is sent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Builtin, CallBrain, Prepared, Refusal, Round, TransferTarget, request};
use crate::compile::{CompiledAgent, Request, Tool, target_arguments};
use crate::destination;
use crate::json;
use crate::limits::{ARGUMENTS_BYTES_MAX, JSON_DEPTH_MAX, RUNS_PENDING_MAX, TOOL_RUNS_DEFAULT};
use crate::policy::Code;
use crate::settings::TransferManner;
use crate::template::{EvalError, Scope, plain_text};
use crate::tool::Effect;

/// The argument that carries a confirmation code.
pub(super) const CODE_ARGUMENT: &str = "confirmation_code";
/// Refusals of one call before every tool but the ends of a call is refused.
const REFUSALS_MAX: u32 = 200;

/// A run between two of its rounds.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) tool: String,
    pub(super) arguments: Value,
    pub(super) pre: Map<String, Value>,
    /// The round that is under way: a pre-step by its number, or the tool's own request behind them.
    pub(super) step: usize,
    pub(super) key: String,
    pub(super) fingerprint: String,
    pub(super) target: Option<TransferTarget>,
    pub(super) begun_at: Timestamp,
    /// It was begun for a person who has left since: its reply proves nobody.
    pub(super) is_of_another: bool,
}

/// What is known of something that the caller was committed to in this call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Commitment {
    Running {
        key: String,
    },
    /// No reply: it may have been carried out. Once more means once more with the same key.
    Unknown {
        key: String,
    },
    Done {
        tool: String,
        output: String,
    },
}

/// One line of `toolCalls` in the call-end body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LogEntry {
    pub(super) name: String,
    pub(super) arguments: Value,
    pub(super) at: Timestamp,
    pub(super) took_ms: u64,
}

/// Lines of `toolCalls`.
pub(super) const LOG_MAX: usize = 200;

/// A call that goes no further.
struct Stop {
    code: Refusal,
    text: String,
}

fn stop<T>(code: Refusal, text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop {
        code,
        text: text.into(),
    })
}

/// `{"success":false,"error":…}`
pub(super) fn failure(key: &str, text: &str) -> String {
    let mut members = Map::new();
    members.insert(key.to_owned(), Value::Bool(false));
    members.insert("error".to_owned(), Value::String(text.to_owned()));
    Value::Object(members).to_string()
}

impl CallBrain {
    /// The model calls a tool. Nothing has been sent yet: the caller of this function writes the run down, then sends.
    pub fn prepare(
        &mut self,
        tool_call_id: &str,
        name: &str,
        arguments: &str,
        now: Timestamp,
    ) -> Prepared {
        let agent = std::sync::Arc::clone(&self.agent);
        let tool = agent.tool(name).filter(|tool| self.is_offered(tool));
        let Some(tool) = tool else {
            self.counts.refusals = self.counts.refusals.saturating_add(1);
            let names: Vec<&str> = agent
                .tools
                .iter()
                .filter(|tool| self.is_offered(tool))
                .map(|tool| tool.name.as_str())
                .collect();
            return Prepared::Refused {
                code: Refusal::UnknownTool,
                output: failure(
                    "success",
                    &format!(
                        "There is no such tool. The tools are: {}.",
                        names.join(", ")
                    ),
                ),
            };
        };
        match self.admit(&agent, tool, tool_call_id, arguments, now) {
            Ok(prepared) => prepared,
            Err(Stop { code, text }) => {
                self.counts.refusals = self.counts.refusals.saturating_add(1);
                Prepared::Refused {
                    code,
                    output: failure(tool.error_key, &text),
                }
            }
        }
    }

    /// Takes up a run that a process before this one began, and that was answered meanwhile: give its reply to `finish`. False where
    /// the tool is gone. `key` is the one that its request carried.
    pub fn take_up(
        &mut self,
        tool_call_id: &str,
        name: &str,
        arguments: &str,
        key: &str,
        now: Timestamp,
    ) -> bool {
        let agent = std::sync::Arc::clone(&self.agent);
        let (Some(tool), Ok(arguments)) = (agent.tool(name), parse(arguments)) else {
            return false;
        };
        let arguments = Value::Object(arguments);
        let of_key = |commitment: &Commitment| match commitment {
            Commitment::Running { key: known } | Commitment::Unknown { key: known } => known == key,
            Commitment::Done { .. } => false,
        };
        let fingerprint = self
            .commitments
            .iter()
            .find(|(_, commitment)| of_key(commitment))
            .map(|(fingerprint, _)| fingerprint.clone());
        let run = Run {
            tool: tool.name.clone(),
            fingerprint: fingerprint
                .unwrap_or_else(|| format!("{} {}", tool.name, canonical(&arguments))),
            arguments,
            pre: Map::new(),
            step: tool.pre_steps.len(),
            key: key.to_owned(),
            target: None,
            begun_at: now,
            is_of_another: false,
        };
        self.runs.insert(tool_call_id.to_owned(), run);
        true
    }

    fn admit(
        &mut self,
        agent: &CompiledAgent,
        tool: &Tool,
        id: &str,
        text: &str,
        now: Timestamp,
    ) -> Result<Prepared, Stop> {
        self.within_limits(tool, id)?;
        let mut given = parse(text)?;
        let code = given
            .remove(CODE_ARGUMENT)
            .filter(|_| self.needs_code(tool));
        let target = self.target(tool, &given)?.map(|target| {
            let announcement = self.announcement_of(&target.name, Some(&given), now);
            TransferTarget {
                announcement,
                ..target
            }
        });
        let arguments = self.arguments(tool, given, now)?;
        self.proof(tool, code.as_ref(), now)?;
        let arguments = Value::Object(arguments);
        let fingerprint = format!("{} {}", tool.name, canonical(&arguments));
        self.confirmation(agent, tool, &fingerprint, target.as_ref())?;
        self.attempt(tool)?;
        if matches!(tool.request, Request::None) && tool.pre_steps.is_empty() {
            self.counts.run(&tool.name);
            self.log(&tool.name, &arguments, now, 0);
            return Ok(Prepared::Builtin(self.builtin(tool, target)));
        }
        let key = self.commitment(tool, id, &fingerprint)?;
        self.counts.run(&tool.name);
        let run = Run {
            tool: tool.name.clone(),
            arguments,
            pre: Map::new(),
            step: 0,
            key,
            fingerprint,
            target,
            begun_at: now,
            is_of_another: false,
        };
        match self.round(tool, &run, now) {
            Ok(round) => {
                if tool.guard.effect == Effect::Commit {
                    let key = run.key.clone();
                    self.commitments
                        .insert(run.fingerprint.clone(), Commitment::Running { key });
                }
                self.runs.insert(id.to_owned(), run);
                Ok(match round {
                    Round::Http(call) => Prepared::Http(call),
                    Round::Mcp(call) => Prepared::Mcp(call),
                })
            }
            Err(error) => {
                self.give_back_attempt(tool);
                stop(Refusal::NotReady, not_ready(&error))
            }
        }
    }

    /// A tool that verifies the caller is used up by wrong answers, over the whole call.
    fn attempt(&mut self, tool: &Tool) -> Result<(), Stop> {
        if tool.verifies.is_none() || self.policy.take_attempt() {
            return Ok(());
        }
        stop(
            Refusal::WrongCode,
            "The caller could not be recognised too often. This cannot be done in this call; offer to take a message.",
        )
    }

    pub(super) fn give_back_attempt(&mut self, tool: &Tool) {
        if tool.verifies.is_some() {
            self.policy.give_back_attempt();
        }
    }

    /// Whether the caller is proven to be who they say: by whoever began the conversation, by a tool that verifies, or by a code; and
    /// that the conversation is about the same customer as then.
    pub(super) fn caller_is_proven(&self) -> bool {
        self.facts.caller_verified || self.policy.is_proven(self.customer().as_deref())
    }

    /// The customer whom the conversation is about.
    pub(super) fn customer(&self) -> Option<String> {
        self.context
            .get("customer_id")
            .map(|id| plain_text(id).into_owned())
    }

    fn within_limits(&self, tool: &Tool, id: &str) -> Result<(), Stop> {
        // A call can always be ended or handed over.
        if tool.flags.triggers_hangup || tool.flags.triggers_transfer {
            return Ok(());
        }
        let limits = self.agent.settings().rules.limits.as_ref();
        let total = limits
            .and_then(|limits| limits.tool_calls_per_call)
            .unwrap_or(TOOL_RUNS_DEFAULT);
        if self.counts.runs >= total
            || self.counts.refusals >= REFUSALS_MAX
            || self.runs.len() >= RUNS_PENDING_MAX
        {
            return stop(
                Refusal::TooMany,
                "There were too many tool calls in this conversation. Answer with what is known, or take a message.",
            );
        }
        if tool
            .guard
            .max_per_call
            .is_some_and(|max| self.counts.of(&tool.name) >= max)
        {
            return stop(
                Refusal::TooMany,
                "This tool was used as often as it may be in one call.",
            );
        }
        if self.runs.contains_key(id) {
            return stop(Refusal::AlreadyDone, "This call is already running.");
        }
        Ok(())
    }

    /// Arguments as they may be used: the server's own in place, the model's checked.
    fn arguments(
        &mut self,
        tool: &Tool,
        mut given: Map<String, Value>,
        now: Timestamp,
    ) -> Result<Map<String, Value>, Stop> {
        let variables = self.variables(now);
        let scope = self.scope(&variables);
        let mut own = Vec::new();
        for bound in &tool.bound {
            let value = bound.value.value(&scope).ok().flatten();
            if let Some(sent) = given.remove(&bound.name)
                && !sent.is_null()
                && !value
                    .as_ref()
                    .is_some_and(|value| same_identity(value, &sent))
            {
                return stop(
                    Refusal::BoundArgument,
                    format!(
                        "The argument {} is filled in by the system and cannot be chosen. Leave it out.",
                        bound.name
                    ),
                );
            }
            match value {
                Some(value) => own.push((bound.name.clone(), value)),
                None if bound.required => {
                    return stop(bound.missing, missing_sentence(bound.missing));
                }
                None => {}
            }
        }
        let mut arguments = tool.schema.admit(given).map_err(|text| Stop {
            code: Refusal::BadArguments,
            text: format!("The arguments are not valid: {text}. Correct them and call again."),
        })?;
        for name in &tool.id_arguments {
            if arguments
                .get(name)
                .is_some_and(|value| !self.policy.knows_id(value))
            {
                return stop(
                    Refusal::UnknownId,
                    format!(
                        "{name} is not known in this call. Look it up first, and use only what was found for this caller."
                    ),
                );
            }
        }
        arguments.extend(own);
        Ok(arguments)
    }

    pub(super) fn needs_code(&self, tool: &Tool) -> bool {
        self.agent.code.is_some() && self.needs_proof(tool)
    }

    fn needs_proof(&self, tool: &Tool) -> bool {
        let policy = self.agent.settings().rules.policy.as_ref();
        let all = policy
            .and_then(|policy| policy.require_proof)
            .unwrap_or(false)
            && (tool.guard.effect == Effect::Commit
                || tool
                    .bound
                    .iter()
                    .any(|bound| bound.missing == Refusal::CallerUnknown));
        (tool.guard.sensitive || all) && !self.facts.caller_verified
    }

    fn proof(&mut self, tool: &Tool, code: Option<&Value>, now: Timestamp) -> Result<(), Stop> {
        if !self.needs_proof(tool) || self.caller_is_proven() {
            return Ok(());
        }
        let agent = std::sync::Arc::clone(&self.agent);
        let verifying: Vec<&str> = agent
            .tools
            .iter()
            .filter(|tool| tool.verifies.is_some() && self.is_offered(tool))
            .map(|tool| tool.name.as_str())
            .collect();
        let Some(template) = self.agent.code.clone() else {
            let text = if verifying.is_empty() {
                "The caller is not proven to be who they say, so this cannot be done by telephone. Offer to take a message.".to_owned()
            } else {
                format!(
                    "The caller is not proven to be who they say. Use {} first; once it has recognised the caller, call this tool again.",
                    verifying.join(" or ")
                )
            };
            return stop(Refusal::ProofNeeded, text);
        };
        let Some(given) = code.filter(|code| !code.is_null()) else {
            return stop(
                Refusal::ProofNeeded,
                if verifying.is_empty() {
                    format!(
                        "Ask the caller for their confirmation code and call again with it as {CODE_ARGUMENT}."
                    )
                } else {
                    format!(
                        "Ask the caller for their confirmation code and call again with it as {CODE_ARGUMENT}, or use {} first.",
                        verifying.join(" or ")
                    )
                },
            );
        };
        let variables = self.variables(now);
        let expected = template.value(&self.scope(&variables)).ok().flatten();
        let expected = expected
            .as_ref()
            .map(|value| plain_text(value).into_owned())
            .unwrap_or_default();
        let customer = self.customer();
        let given = plain_text(given);
        match self
            .policy
            .check_code(&expected, &given, customer.as_deref())
        {
            Code::Right => {
                self.tell_proof();
                Ok(())
            }
            Code::Wrong => stop(
                Refusal::WrongCode,
                "The confirmation code is wrong. Ask the caller once more.",
            ),
            Code::Exhausted => stop(
                Refusal::WrongCode,
                "There were too many wrong codes. This cannot be done in this call; offer to take a message.",
            ),
        }
    }

    fn confirmation(
        &mut self,
        agent: &CompiledAgent,
        tool: &Tool,
        fingerprint: &str,
        target: Option<&TransferTarget>,
    ) -> Result<(), Stop> {
        let policy = agent.settings().rules.policy.as_ref();
        let relaxed = policy.and_then(|policy| policy.confirm_when_tainted) == Some(false);
        let confirm = match tool.guard.confirm {
            crate::compile::Confirm::Tainted if relaxed => crate::compile::Confirm::Never,
            other @ (crate::compile::Confirm::Never
            | crate::compile::Confirm::Tainted
            | crate::compile::Confirm::Always) => other,
        };
        let shown = target.map(|target| format!("{fingerprint} → {}", target.name));
        if self
            .policy
            .confirmed(confirm, shown.as_deref().unwrap_or(fingerprint))
        {
            return Ok(());
        }
        stop(
            Refusal::ConfirmationNeeded,
            "Nothing was done yet. Say aloud what is going to be done with its details, ask the caller to agree, wait for the answer, \
             then call this tool again with the same arguments.",
        )
    }

    /// Where a transfer goes; `None` for any other tool.
    fn target(
        &self,
        tool: &Tool,
        given: &Map<String, Value>,
    ) -> Result<Option<TransferTarget>, Stop> {
        if !tool.flags.triggers_transfer {
            return Ok(None);
        }
        let named = target_arguments()
            .iter()
            .find_map(|name| given.get(*name))
            .filter(|value| !value.is_null());
        let Some(named) = named else {
            // A request comes first and may bring the number.
            return match self.default_target() {
                Some(target) => Ok(Some(target)),
                None if !matches!(tool.request, Request::None) => Ok(None),
                None => stop(
                    Refusal::UnknownTarget,
                    "There is nobody to transfer this call to. Tell the caller, and offer to take a message.",
                ),
            };
        };
        let text = plain_text(named);
        let wanted = text.trim().to_lowercase();
        let found = self
            .agent
            .transfers
            .iter()
            .find(|(name, _)| name.to_lowercase() == wanted);
        if let Some((name, target)) = found {
            return Ok(Some(TransferTarget {
                name: name.clone(),
                destination: target.destination.clone(),
                manner: target.manner,
                announcement: None,
            }));
        }
        let prefixes = &self
            .agent
            .settings()
            .rules
            .transfer
            .transfer_allowed_prefixes;
        if let Some(destination) = destination::free(&text, prefixes) {
            return Ok(Some(TransferTarget {
                name: "number".to_owned(),
                destination,
                manner: TransferManner::default(),
                announcement: None,
            }));
        }
        let names: Vec<&str> = self.agent.transfers.keys().map(String::as_str).collect();
        let looks_like_address = text.chars().any(char::is_numeric) || text.contains([':', '@']);
        if looks_like_address {
            return stop(
                Refusal::DestinationNotAllowed,
                format!(
                    "Calls cannot be transferred to this number. Possible targets: {}.",
                    list(&names)
                ),
            );
        }
        stop(
            Refusal::UnknownTarget,
            format!(
                "There is no such target. Possible targets: {}.",
                list(&names)
            ),
        )
    }

    fn builtin(&self, tool: &Tool, target: Option<TransferTarget>) -> Builtin {
        let message =
            |text: &str| serde_json::json!({"success": true, "message": text}).to_string();
        match target {
            Some(target) => Builtin::Transfer {
                target,
                output: message("The call is being transferred."),
            },
            None if tool.flags.triggers_hangup => Builtin::HangUp {
                output: message("The call is ending."),
            },
            None => Builtin::Done {
                output: r#"{"success":true}"#.to_owned(),
            },
        }
    }

    /// The key under which the request goes out: a commitment whose fate is unknown keeps its first one.
    fn commitment(&self, tool: &Tool, id: &str, fingerprint: &str) -> Result<String, Stop> {
        let key = format!("{}:{id}", self.facts.call_id);
        if tool.guard.effect != Effect::Commit {
            return Ok(key);
        }
        match self.commitments.get(fingerprint) {
            None => Ok(key),
            Some(Commitment::Unknown { key }) => Ok(key.clone()),
            Some(Commitment::Running { .. }) => stop(
                Refusal::AlreadyDone,
                "This is already under way; wait for its result.",
            ),
            Some(Commitment::Done { output, .. }) => stop(
                Refusal::AlreadyDone,
                format!(
                    "This was already done in this call and was not done again. Its result was: {output}"
                ),
            ),
        }
    }

    /// The request of the run's present step.
    pub(super) fn round(&self, tool: &Tool, run: &Run, now: Timestamp) -> Result<Round, EvalError> {
        let variables = self.variables(now);
        let scope = Scope {
            arguments: Some(&run.arguments),
            pre: Some(&run.pre),
            ..self.scope(&variables)
        };
        if let Some(step) = tool.pre_steps.get(run.step) {
            let key = format!("{}:{}", run.key, step.name);
            return request::http_call(&step.http, &scope, Some(key)).map(Round::Http);
        }
        let key = Some(run.key.clone());
        match &tool.request {
            Request::Http(http) => request::http_call(http, &scope, key).map(Round::Http),
            Request::Mcp(mcp) => request::mcp_call(mcp, &scope, key).map(Round::Mcp),
            Request::None => Err(EvalError::Missing),
        }
    }

    pub(super) fn log(&mut self, name: &str, arguments: &Value, at: Timestamp, took_ms: u64) {
        if self.log.len() < LOG_MAX {
            let arguments = self.masked(arguments);
            self.log.push(LogEntry {
                name: name.to_owned(),
                arguments,
                at,
                took_ms,
            });
        }
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

pub(super) fn not_ready(error: &EvalError) -> &'static str {
    match error {
        EvalError::TooLarge => "The request would be too large. Shorten the arguments.",
        EvalError::Missing => {
            "Something that this tool needs is not known yet. Ask the caller, or use another tool first."
        }
        EvalError::BadAddress => "An argument cannot be used in the request. Correct it.",
    }
}

fn missing_sentence(code: Refusal) -> &'static str {
    if code == Refusal::CallerUnknown {
        "The caller withholds their number, so this cannot be done for them. Offer to take a message."
    } else {
        "Something that this tool needs is not known in this call. Use another tool first, or take a message."
    }
}

fn parse(text: &str) -> Result<Map<String, Value>, Stop> {
    if text.len() > ARGUMENTS_BYTES_MAX {
        return stop(
            Refusal::BadArguments,
            "The arguments are too long. Shorten them and call again.",
        );
    }
    // Models write nothing at all for a tool without parameters.
    let text = if text.trim().is_empty() { "{}" } else { text };
    match serde_json::from_str(text) {
        Ok(value) if !json::depth_within(&value, JSON_DEPTH_MAX) => stop(
            Refusal::BadArguments,
            "The arguments are nested too deeply.",
        ),
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => stop(
            Refusal::BadArguments,
            "The arguments must be a JSON object.",
        ),
        Err(error) => stop(
            Refusal::BadArguments,
            format!("The arguments are not valid JSON: {error}."),
        ),
    }
}

/// One text for equal arguments, whatever the order of their members.
fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut names: Vec<&String> = members.keys().collect();
                names.sort();
                names
                    .into_iter()
                    .map(|name| (name.clone(), members.get(name).map_or(Value::Null, sorted)))
                    .collect::<Map<_, _>>()
                    .into()
            }
            Value::Array(items) => items.iter().map(sorted).collect::<Vec<_>>().into(),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                other.clone()
            }
        }
    }
    sorted(value).to_string()
}

/// What the model may repeat of a bound argument: the same value, or another spelling of the same number.
fn same_identity(own: &Value, sent: &Value) -> bool {
    let (own, sent) = (plain_text(own), plain_text(sent));
    own == sent || destination::same_number(&own, &sent)
}
