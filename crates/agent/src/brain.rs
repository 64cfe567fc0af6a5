//! One call's brain: context, tools, policy, outcome, costs. The shell asks it what to send and gives it what came back.

mod types;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::compile::CompiledAgent;
use crate::exchange::{HttpCall, ToolReply};
use crate::price::{Costs, Usage};

pub use types::*;

/// The state of one call on the side of the agent.
#[derive(Debug)]
pub struct CallBrain {
    agent: Arc<CompiledAgent>,
    facts: CallFacts,
}

impl CallBrain {
    /// A call begins.
    pub fn new(agent: Arc<CompiledAgent>, facts: CallFacts) -> Self {
        Self { agent, facts }
    }

    /// The agent's version that this call began with.
    pub fn agent(&self) -> &Arc<CompiledAgent> {
        &self.agent
    }

    /// What is known of the call.
    pub fn facts(&self) -> &CallFacts {
        &self.facts
    }

    /// The request for the session's data, to be sent while the phone rings; `None`: there is nothing to ask.
    pub fn session_request(&self, _now: Timestamp) -> Option<HttpCall> {
        None
    }

    /// Takes the answer of the session address. After an error the call can go on: `instructions` then apologises or goes on
    /// without data, as the agent's settings say.
    pub fn apply_session(&mut self, _reply: &ToolReply) -> Result<(), SessionFault> {
        Ok(())
    }

    /// Questions to ask before the call is answered, in order.
    pub fn pre_call_requests(&self, _now: Timestamp) -> Vec<PreCall> {
        Vec::new()
    }

    /// The verdict of one of them.
    pub fn judge_pre_call(
        &self,
        _index: usize,
        _reply: &ToolReply,
        _now: Timestamp,
    ) -> PreCallVerdict {
        PreCallVerdict::Pass
    }

    /// Whether the agent answers now.
    pub fn opening(&self, _now: Timestamp) -> OpeningVerdict {
        OpeningVerdict::Open
    }

    /// Where the call goes at once, without the model, when the agent says so.
    pub fn automatic_transfer(&self) -> Option<TransferTarget> {
        None
    }

    /// The instructions of the engine's session.
    pub fn instructions(&self, _now: Timestamp) -> String {
        self.agent
            .definition
            .settings
            .prompt
            .base_prompt
            .clone()
            .unwrap_or_default()
    }

    /// The voice: the session's, else the agent's.
    pub fn voice(&self) -> Option<String> {
        self.agent.definition.settings.engine().voice
    }

    /// How the call begins.
    pub fn greeting(&self, _now: Timestamp) -> Greeting {
        Greeting {
            disclosure: "Bonjour, je suis un assistant vocal, une intelligence artificielle."
                .to_owned(),
            instructions: String::new(),
            user_message: None,
            cached_text: None,
            disclosure_only: false,
        }
    }

    /// The tools that the model is offered in this call.
    pub fn offered_tools(&self) -> Vec<OfferedTool> {
        Vec::new()
    }

    /// The model calls a tool. Nothing has been sent yet: the caller of this function writes the run down, then sends.
    pub fn prepare(
        &mut self,
        _tool_call_id: &str,
        _name: &str,
        _arguments: &str,
        _now: Timestamp,
    ) -> Prepared {
        Prepared::Refused {
            code: Refusal::UnknownTool,
            output: r#"{"success":false,"error":"There is no such tool."}"#.to_owned(),
        }
    }

    /// The reply of a round that `prepare` or `finish` asked for.
    pub fn finish(&mut self, _tool_call_id: &str, _reply: &ToolReply, _now: Timestamp) -> Finished {
        Finished::Done(ToolDone {
            output: r#"{"success":false,"error":"There is no such run."}"#.to_owned(),
            ok: false,
            refusal: None,
            hang_up: false,
            transfer: None,
            cost_micro: 0,
        })
    }

    /// The engine committed a turn of the caller whose words are not known (yet).
    pub fn caller_turn(&mut self) {}

    /// The words of a turn of the caller; an empty text takes a `caller_turn` back (it was a noise).
    pub fn heard_caller(&mut self, _text: &str) {}

    /// The agent's words, once they were (at least in part) played.
    pub fn agent_said(&mut self, _text: &str) {}

    /// The usage of one response.
    pub fn add_usage(&mut self, _model: &str, _usage: Usage) {}

    /// Time of a model that is priced by the minute, in milliseconds.
    pub fn add_engine_time(&mut self, _model: &str, _milliseconds: u64) {}

    /// Time of a carrier that is priced by the minute, in milliseconds.
    pub fn add_telephony_time(&mut self, _milliseconds: u64) {}

    /// What the call has cost so far.
    pub fn costs(&self) -> Costs {
        Costs::default()
    }

    /// The transfer that was asked for has taken place.
    pub fn transferred(&mut self) {}

    /// The outcome in the words of the agent's rules, else of the contract: `transferred`, `order_placed`… `abandoned`.
    pub fn outcome(&self, end: &EndFacts) -> String {
        self.v2_outcome(end).as_str().to_owned()
    }

    /// The outcome in the five words of the call-end body.
    pub fn v2_outcome(&self, end: &EndFacts) -> V2Outcome {
        match end.kind {
            EndKind::Completed => V2Outcome::Completed,
            EndKind::Abandoned => V2Outcome::Abandoned,
            EndKind::Error => V2Outcome::Error,
            EndKind::Transferred => V2Outcome::Transferred,
            EndKind::NoBalance => V2Outcome::NoBalance,
        }
    }

    /// The body for the address that wants to know that a call was answered.
    pub fn call_start(&self, _now: Timestamp) -> Option<WebhookBody> {
        None
    }

    /// The call-end body (contracts.md 1.8).
    pub fn call_end(&self, _end: &EndFacts) -> Option<WebhookBody> {
        None
    }

    /// The body for a conversation that ended with nothing done.
    pub fn no_action(&self, _end: &EndFacts) -> Option<WebhookBody> {
        None
    }

    /// All that `restore` needs. Holds customers' data: for the store, not for logs.
    pub fn snapshot(&self) -> Value {
        Value::Null
    }

    /// The brain of a call whose process died, for its end: outcome, costs and call-end body.
    pub fn restore(_agent: Arc<CompiledAgent>, _snapshot: &Value) -> Option<Self> {
        None
    }
}
