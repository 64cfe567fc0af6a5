//! The restaurant of the contract, and calls to it.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use std::sync::{Arc, OnceLock};

use agent::{
    AgentSettings, Builtin, CallBrain, CallFacts, CompiledAgent, Definition, Direction, Finished,
    HttpCall, Prepared, Round, ToolConfig, ToolReply, compile,
};
use jiff::Timestamp;
use serde_json::Value;

pub(crate) const AGENT: &str = include_str!("../data/restaurant_agent.json");
pub(crate) const TOOLS: &str = include_str!("../data/restaurant_tools.json");
pub(crate) const SESSION: &str = include_str!("../data/session.json");

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn now() -> Timestamp {
    at("2026-11-21T10:00:30Z")
}

pub(crate) fn definition() -> Definition {
    let settings = serde_json::from_str(AGENT).unwrap();
    let tools: Vec<Value> = serde_json::from_str(TOOLS).unwrap();
    Definition {
        agent_id: "a-1".to_owned(),
        tenant_id: "t-1".to_owned(),
        version: 3,
        name: "Chez Marcel".to_owned(),
        settings: AgentSettings::parse(&settings).unwrap(),
        tools: tools
            .iter()
            .map(|tool| ToolConfig::parse(tool).unwrap())
            .collect(),
        ..Definition::default()
    }
}

pub(crate) fn compiled(definition: Definition) -> Arc<CompiledAgent> {
    match compile(definition) {
        Ok(agent) => Arc::new(agent),
        Err(faults) => panic!(
            "{}",
            faults
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        ),
    }
}

pub(crate) fn facts() -> CallFacts {
    CallFacts {
        call_id: "call-1".to_owned(),
        caller_phone: Some("+33612345678".to_owned()),
        called_number: Some("+33491000000".to_owned()),
        direction: Direction::Inbound,
        started_at: at("2026-11-21T10:00:00Z"),
        caller_verified: false,
        carrier: "sip".to_owned(),
        carrier_call_id: None,
        caller_name: None,
        caller_attestation: None,
    }
}

pub(crate) fn session_reply() -> ToolReply {
    ok(SESSION)
}

pub(crate) fn ok(body: &str) -> ToolReply {
    ToolReply::Http {
        status: 200,
        body: body.to_owned(),
    }
}

/// The restaurant as it is, compiled once.
pub(crate) fn agent() -> Arc<CompiledAgent> {
    static COMPILED: OnceLock<Arc<CompiledAgent>> = OnceLock::new();
    Arc::clone(COMPILED.get_or_init(|| compiled(definition())))
}

/// A call to the restaurant whose session is loaded and whose greeting is over.
pub(crate) fn restaurant() -> CallBrain {
    let mut brain = CallBrain::new(agent(), facts());
    brain.apply_session(&session_reply()).unwrap();
    brain.agent_said("Bonjour Marie !");
    brain.heard_caller("Bonjour, je voudrais commander.");
    brain
}

/// The caller answers after the agent has spoken.
pub(crate) fn exchange(brain: &mut CallBrain) {
    brain.agent_said("Je récapitule…");
    brain.heard_caller("Oui, c'est bien ça.");
}

pub(crate) fn request_text(call: &HttpCall) -> String {
    let mut out = format!("{} {}\n", call.method.as_str(), call.url);
    for (name, value) in &call.headers {
        out.push_str(&format!("{name}: {value}\n"));
    }
    if let Some(key) = &call.idempotency_key {
        out.push_str(&format!("(idempotency key {key})\n"));
    }
    if let Some(body) = &call.body {
        out.push_str(&format!("\n{body}\n"));
    }
    out
}

pub(crate) fn prepared_text(prepared: &Prepared) -> String {
    match prepared {
        Prepared::Http(call) => request_text(call),
        Prepared::Mcp(call) => format!("MCP {} {} {}\n", call.url, call.tool, call.arguments),
        Prepared::Builtin(Builtin::HangUp { output }) => format!("HANG UP {output}\n"),
        Prepared::Builtin(Builtin::Transfer { target, output }) => {
            format!(
                "TRANSFER {} {} {output}\n",
                target.name,
                target.destination.as_str()
            )
        }
        Prepared::Builtin(Builtin::Done { output }) => format!("DONE {output}\n"),
        Prepared::Refused { code, output } => format!("REFUSED {} {output}\n", code.label()),
    }
}

pub(crate) fn finished_text(finished: &Finished) -> String {
    match finished {
        Finished::Next(Round::Http(call)) => format!("NEXT {}", request_text(call)),
        Finished::Next(Round::Mcp(call)) => format!("NEXT MCP {}\n", call.tool),
        Finished::Done(done) => format!(
            "{} {}{}{}\n",
            if done.ok { "OK" } else { "FAILED" },
            done.output,
            if done.hang_up { " +hang up" } else { "" },
            done.transfer
                .as_ref()
                .map_or_else(String::new, |target| format!(
                    " +transfer {}",
                    target.destination.as_str()
                )),
        ),
    }
}
