//! The end of a chat as its owner is told of it: outcome, cost and webhook, written with the end.

use ::agent::{CallBrain, EndFacts, Speaker, TranscriptLine};
use call::{EndReason, Severity};
use catalog::Message;
use jiff::Timestamp;
use store::{ChatClose, ChatMessage, ChatSession, Closed, Entry, TenantScope};

use super::opening::{compiled, restored};
use super::{ChatError, Chats, Kept};
use crate::call_task::closing::{kind, service};
use crate::log::say;

/// Ends a chat that no task holds.
///
/// # Errors
/// See [`ChatError`].
pub(super) async fn close_stored(
    chats: &Chats,
    scope: &TenantScope,
    chat: &Entry<ChatSession>,
    reason: EndReason,
) -> Result<(), ChatError> {
    let kept = Kept::read(chat.context.as_deref());
    let agent = chats.agent(scope, &chat.agent_id);
    let brain = match &agent {
        Ok(agent) => match &agent.config.office {
            Some(office) => compiled(chats, scope, chat, office).await,
            None => Err(ChatError::AgentUnavailable),
        },
        Err(_) => Err(ChatError::AgentUnavailable),
    };
    match brain {
        Ok(agent) => close(chats, scope, chat, kept_brain(agent, chat, &kept), reason).await,
        // Its agent is gone or paused: nobody can be told, but the chat must not stay open for ever.
        Err(ChatError::AgentUnavailable) => {
            let close = ChatClose {
                ended_at: Timestamp::now(),
                outcome: "error".to_owned(),
                context: None,
                cost: None,
                final_customer_id: None,
                deliveries: Vec::new(),
            };
            written(chats, scope, &chat.id, &close, reason).await
        }
        Err(error) => Err(error),
    }
}

fn kept_brain(
    agent: std::sync::Arc<::agent::CompiledAgent>,
    chat: &Entry<ChatSession>,
    kept: &Kept,
) -> (CallBrain, Kept) {
    let brain = restored(agent, chat, kept);
    let kept = Kept {
        given: kept.given.clone(),
        loaded: kept.loaded,
        brain: serde_json::Value::Null,
    };
    (brain, kept)
}

/// Ends a chat.
///
/// # Errors
/// See [`ChatError`].
pub(super) async fn close(
    chats: &Chats,
    scope: &TenantScope,
    chat: &Entry<ChatSession>,
    (brain, kept): (CallBrain, Kept),
    reason: EndReason,
) -> Result<(), ChatError> {
    let messages = chats.calls.store.chat_messages(scope, &chat.id, 0).await?;
    let now = Timestamp::now();
    let lasted = now.duration_since(chat.created_at).as_millis();
    let transcript: Vec<TranscriptLine> = messages.iter().filter_map(line).collect();
    let spoke = transcript
        .iter()
        .any(|line| line.speaker == Speaker::Caller);
    let facts = EndFacts {
        ended_at: now,
        duration_ms: u64::try_from(lasted).unwrap_or_default(),
        kind: kind(reason, true, spoke),
        transcript,
        model: None,
        error: (reason.row().severity >= Severity::Warning).then(|| reason.code().to_owned()),
        second_legs: Vec::new(),
    };
    let service = service(&brain, &chat.id, &facts, reason);
    let kept = Kept {
        brain: brain.snapshot(),
        ..kept
    };
    let close = ChatClose {
        ended_at: now,
        outcome: service.outcome,
        context: Some(kept.text()),
        cost: service.cost,
        final_customer_id: brain.agent().definition().final_customer_id.clone(),
        deliveries: service.deliveries,
    };
    written(chats, scope, &chat.id, &close, reason).await
}

fn line(message: &ChatMessage) -> Option<TranscriptLine> {
    let speaker = match message.role.as_str() {
        "user" => Speaker::Caller,
        "assistant" => Speaker::Agent,
        _ => return None,
    };
    Some(TranscriptLine {
        speaker,
        text: message.content.clone(),
        at: message.at,
    })
}

async fn written(
    chats: &Chats,
    scope: &TenantScope,
    id: &str,
    close: &ChatClose,
    reason: EndReason,
) -> Result<(), ChatError> {
    let closed = chats.calls.store.finish_chat(scope, id, close).await?;
    if closed == Closed::Before {
        return Ok(());
    }
    say(&Message::new("log_chat_ended")
        .with("chat", id)
        .with("reason", reason.code()));
    if !close.deliveries.is_empty() {
        chats.calls.deliveries.notify_one();
    }
    Ok(())
}
