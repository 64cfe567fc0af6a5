//! From the store to a conversation that can go on: the agent in the chat's version, the brain with the session's data, the words
//! so far, and what tools answered while nobody held the chat.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use ::agent::{CallBrain, CompiledAgent, Definition, Finished, ToolReply};
use call::{CallId, EndReason, Filler, Greeting};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{ChatMessage, ChatSession, Entry, TenantScope, ToolRun, ToolRunState};
use wire::realtime::{HistoryItem, Role};

use super::{ChatError, Chats, Kept, Visitor, facts, message};
use crate::call_task::consult::{self, Plan, Verdict};
use crate::call_task::office::Office;
use crate::calls::{Identity, Parties};
use crate::config::{AgentConfig, OfficeConfig};
use crate::directory::{CompileError, Secrets, compiled_as};
use crate::dispatch::Agent;
use crate::log::say;

/// A chat that can go on.
pub(super) struct Opened {
    pub(super) config: AgentConfig,
    pub(super) office: Office,
    pub(super) history: Vec<HistoryItem>,
    /// What was learnt while nobody held the chat.
    pub(super) unwritten: Vec<ChatMessage>,
    pub(super) kept: Kept,
    /// Nobody has asked the session's address before.
    pub(super) is_new: bool,
}

/// Why a chat does not go on.
pub(super) enum NotOpened {
    /// It is over.
    Over(EndReason, Box<CallBrain>),
    /// Not now.
    Failed(ChatError),
}

impl From<ChatError> for NotOpened {
    fn from(error: ChatError) -> Self {
        Self::Failed(error)
    }
}

/// The chat as the call-path knows its conversations.
pub(super) fn identity(scope: &TenantScope, chat: &Entry<ChatSession>) -> Identity {
    Identity {
        id: CallId::from(chat.id.clone()),
        tenant: scope.tenant().clone(),
        line: String::new(),
        started: Instant::now(),
        inbound: true,
        parties: Parties {
            from: visitor(chat).phone.unwrap_or_default(),
            to: String::new(),
            peer: String::new(),
        },
        started_at: chat.created_at,
        // A chat has no trace.
        trace: None,
    }
}

pub(super) fn visitor(chat: &Entry<ChatSession>) -> Visitor {
    let visitor = chat.visitor.as_deref();
    visitor
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// The agent in the version with which the chat began.
///
/// # Errors
/// The version cannot be used any more.
pub(super) async fn compiled(
    chats: &Chats,
    scope: &TenantScope,
    chat: &Entry<ChatSession>,
    now: &OfficeConfig,
) -> Result<Arc<CompiledAgent>, ChatError> {
    let current = now.agent.definition();
    if current.version == chat.agent_version {
        return Ok(Arc::clone(&now.agent));
    }
    let store = &chats.calls.store;
    let version = store
        .agent_version(scope, &chat.agent_id, chat.agent_version)
        .await?
        .ok_or(ChatError::AgentUnavailable)?;
    // Questions and prices are no part of a version.
    let base = Definition {
        settings: Default::default(),
        tools: Vec::new(),
        ..current.clone()
    };
    let secrets = Secrets {
        store,
        vault: now.vault.as_ref(),
        scope,
        tried: None,
    };
    let compiled = compiled_as(base, &version, &secrets).await;
    compiled.map(Arc::new).map_err(|error| match error {
        // It may be readable later: the chat must not end for it.
        CompileError::Secret { cause } => ChatError::Secret(cause),
        CompileError::Unreadable | CompileError::Fault { .. } | CompileError::Engine { .. } => {
            ChatError::AgentUnavailable
        }
    })
}

/// The brain as it was kept.
pub(super) fn restored(
    agent: Arc<CompiledAgent>,
    chat: &Entry<ChatSession>,
    kept: &Kept,
) -> CallBrain {
    CallBrain::restore(Arc::clone(&agent), &kept.brain)
        .unwrap_or_else(|| CallBrain::new(agent, facts(&chat.id, &visitor(chat), chat.created_at)))
}

/// Asks what has to be asked, and puts the conversation together.
///
/// # Errors
/// See [`NotOpened`].
pub(super) async fn open(
    chats: &Chats,
    scope: &TenantScope,
    chat: &Entry<ChatSession>,
    agent: &Agent,
    messages: &[ChatMessage],
) -> Result<Opened, NotOpened> {
    let office = agent.config.office.as_ref();
    let office = office.ok_or(ChatError::AgentUnavailable)?;
    let office = OfficeConfig {
        agent: compiled(chats, scope, chat, office).await?,
        ..office.clone()
    };
    let mut kept = Kept::read(chat.context.as_deref());
    let is_new = !kept.loaded;
    let mut brain = restored(Arc::clone(&office.agent), chat, &kept);
    let identity = identity(scope, chat);
    let asked = consult::inquire(&chats.calls, &identity, &office, &mut brain, &|note| {
        say(&note)
    });
    let (refusing, left_micro) = match asked.await {
        Ok(left) => (None, left),
        Err(Verdict::Refuse(reason)) => return Err(NotOpened::Over(reason, Box::new(brain))),
        Err(Verdict::Go(plan)) => (Some(plan), None),
    };
    if kept.loaded {
        brain.resume(&kept.brain);
    } else {
        brain.give_context(kept.given.clone());
        kept.loaded = true;
    }
    let mut history = history(messages);
    let unwritten = take_up(chats, scope, &chat.id, &mut brain, messages, &mut history).await?;
    let plan = match refusing {
        Some(plan) => *plan,
        None => Plan::of(&brain, Timestamp::now()),
    };
    let config = in_writing(&office, plan.apply(&agent.config));
    let office = Office::new(brain, &office, (&chats.calls, &identity), left_micro);
    Ok(Opened {
        config,
        office,
        history,
        unwritten,
        kept,
        is_new,
    })
}

/// What differs from a call: nobody is silent, nothing is typed in secrecy, and the first words were written already.
fn in_writing(office: &OfficeConfig, mut config: AgentConfig) -> AgentConfig {
    config.instructions.push_str(
        if office.agent.definition().settings.speaks_english() {
            "\n\nThis conversation is a written chat, not a telephone call: answer in short plain text, without formatting."
        } else {
            "\n\nCette conversation est un chat écrit, pas un appel : réponds en texte simple et court, sans mise en forme."
        },
    );
    let profile = &mut config.profile;
    profile.disclosure = None;
    profile.greeting = Greeting::None;
    profile.transfer_at_once = None;
    profile.ring_ms_fixed = None;
    profile.idle_reprompt_ms = 0;
    profile.max_duration_ms = 0;
    profile.max_duration_warning_ms = 0;
    profile.tool_filler = Filler::Sound;
    profile.goodbye.hang_up_delay_ms = 0;
    let secret: Vec<String> = profile
        .tools
        .extract_if(.., |tool| tool.secure.is_some())
        .map(|tool| tool.name)
        .collect();
    config.tools.retain(|tool| !secret.contains(&tool.name));
    config
}

fn history(messages: &[ChatMessage]) -> Vec<HistoryItem> {
    let item = |message: &ChatMessage| {
        let (role, text) = match message.role.as_str() {
            "user" => (Role::User, message.content.clone()),
            "assistant" => (Role::Assistant, message.content.clone()),
            "tool" => {
                let name = detail(message, "name").unwrap_or_default();
                (Role::System, tool_line(&name, &message.content))
            }
            _ => (Role::System, message.content.clone()),
        };
        HistoryItem { role, text }
    };
    messages.iter().map(item).collect()
}

/// A tool's answer, for a session that did not ask for it.
pub(super) fn tool_line(name: &str, output: &str) -> String {
    format!("[{name}] {output}")
}

fn detail(message: &ChatMessage, member: &str) -> Option<String> {
    let detail: Value = serde_json::from_str(message.detail.as_deref()?).ok()?;
    detail.get(member)?.as_str().map(str::to_owned)
}

/// What a run is remembered by.
pub(super) fn run_detail(call_id: &str, name: &str, arguments: &str) -> Value {
    let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
    json!({ "callId": call_id, "name": name, "arguments": arguments })
}

/// Runs whose answer this chat does not know: the process that began them died before it was written.
async fn take_up(
    chats: &Chats,
    scope: &TenantScope,
    id: &str,
    brain: &mut CallBrain,
    messages: &[ChatMessage],
    history: &mut Vec<HistoryItem>,
) -> Result<Vec<ChatMessage>, ChatError> {
    let known: BTreeSet<String> = messages
        .iter()
        .filter_map(|message| detail(message, "callId"))
        .collect();
    let call = CallId::from(id.to_owned());
    let runs = chats.calls.store.tool_runs(scope, &call).await?;
    let mut unwritten = Vec::new();
    for run in runs {
        let (tool_call, name) = (&run.run.tool_call_id, &run.run.name);
        if known.contains(tool_call) || run.run.request.is_none() {
            continue;
        }
        let Some(output) = answer(&run, brain) else {
            let text = tool_line(
                name,
                "{\"error\":\"Its answer is not known yet; it may have been carried out.\"}",
            );
            let role = Role::System;
            history.push(HistoryItem { role, text });
            continue;
        };
        let text = tool_line(name, &output);
        let role = Role::System;
        history.push(HistoryItem { role, text });
        let detail = run_detail(tool_call, name, &run.run.arguments);
        unwritten.push(message("tool", &output, Some(detail)));
    }
    Ok(unwritten)
}

/// The answer of a run that is over, in the words for the model.
fn answer(run: &ToolRun, brain: &mut CallBrain) -> Option<String> {
    let body = run.output.clone().unwrap_or_default();
    let status = run.status.and_then(|status| u16::try_from(status).ok());
    let reply = match (run.state, status) {
        (ToolRunState::Begun, _) => return None,
        (_, Some(status)) => ToolReply::Http { status, body },
        (ToolRunState::Done, None) => ToolReply::Mcp {
            is_error: false,
            content: serde_json::from_str(&body).unwrap_or(Value::String(body)),
        },
        (ToolRunState::Failed, None) => ToolReply::TimedOut,
    };
    let now = Timestamp::now();
    let begun = &run.run;
    let id = &begun.tool_call_id;
    if !brain.take_up(
        id,
        &begun.name,
        &begun.arguments,
        &begun.idempotency_key,
        now,
    ) {
        return None;
    }
    match brain.finish(id, &reply, now) {
        Finished::Done(done) => Some(done.output),
        Finished::Next(_) => None,
    }
}
