//! Text chats: conversations in writing with the agents that answer the telephone.
//!
//! A chat lives in the store. A task holds it only while somebody writes: it opens the engine with the first message, closes it
//! when nothing comes for a while, and the next message begins with what the store knows, in this process or in another one.

mod closing;
mod engine_events;
mod opening;
mod task;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ::agent::{CallBrain, CallFacts, Direction};
use call::EndReason;
use catalog::Message;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{ChangeError, ChatMessage, ChatSession, Entry, ReadError, TenantScope};
use tokio::sync::{mpsc, oneshot};

use crate::admission::Draining;
use crate::calls::Calls;
use crate::dispatch::{Agent, Dispatcher};
use crate::limits::{
    CHAT_AGENT_WITHIN, CHAT_COMMANDS_MAX, CHAT_DURATION_MAX, CHAT_EVENTS_MAX, CHAT_IDLE_MAX,
    CHAT_MESSAGE_CHARS_MAX, CHAT_MESSAGES_MAX, CHAT_SWEEP_EVERY, CHATS_LIVE_MAX, CHATS_OPEN_MAX,
};
use crate::log::say;
use task::ChatTask;

/// Stale chats that are ended in one go.
const SWEEP_ROWS: u32 = 50;

/// Who writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Visitor {
    /// A name, as it was given: untrusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A number for which whoever began the chat answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Whoever began the chat has proof that the number is the visitor's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub verified: bool,
}

/// A chat to begin.
#[derive(Debug)]
pub struct NewChat {
    /// Whose.
    pub scope: TenantScope,
    /// With which agent.
    pub agent: String,
    /// The agent's version as it is stored now.
    pub version: i64,
    /// Who writes.
    pub visitor: Visitor,
    /// What the agent's context knows from the beginning.
    pub context: Map<String, Value>,
    /// Hash of the token by which a visitor of a public page goes on with it.
    pub token_hash: Option<String>,
}

/// What a turn of a chat brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatEvent {
    /// More of the agent's words.
    Delta {
        /// The words to add.
        text: String,
    },
    /// All the words of the agent in one go.
    Said {
        /// The words.
        text: String,
    },
    /// A tool began or ended.
    Tool {
        /// Its name.
        name: String,
        /// `started`, `ok`, `refused`, `failed` or `timed_out`.
        state: &'static str,
    },
    /// The chat is over.
    Ended {
        /// Why.
        reason: EndReason,
    },
    /// The turn could not be finished; the chat goes on.
    Failed {
        /// Why, for people.
        cause: Message,
    },
    /// The turn is over: it is the visitor's.
    Done,
}

/// Why something cannot be done in a chat.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// There is no such chat.
    #[error("no such chat")]
    NotFound,
    /// The agent is paused, or cannot be used as it is set up.
    #[error("the agent cannot chat now")]
    AgentUnavailable,
    /// The agent has as many open chats as it may, or the process as many running ones.
    #[error("too many chats")]
    TooMany,
    /// The agent has not answered the message before yet.
    #[error("the turn before is not over")]
    Busy,
    /// The chat is over.
    #[error("the chat has ended")]
    Ended,
    /// It has as many messages as it may have.
    #[error("the chat has too many messages")]
    Full,
    /// No text, or more of it than a message may have.
    #[error("a message has 1 to {CHAT_MESSAGE_CHARS_MAX} characters")]
    BadMessage,
    /// The process is going down.
    #[error("the process is going down")]
    Draining,
    /// A secret of its agent cannot be read now.
    #[error("a secret of the agent cannot be read: {0}")]
    Secret(String),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be written.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// What a chat's task is told.
enum Command {
    Say {
        text: String,
        events: mpsc::Sender<ChatEvent>,
    },
    End {
        reason: EndReason,
        done: oneshot::Sender<()>,
    },
    /// The process goes down: what is under way is finished, and the chat waits in the store.
    Park,
}

struct Running {
    commands: mpsc::Sender<Command>,
    /// A turn is under way.
    busy: Arc<AtomicBool>,
}

/// The chats of a process.
pub struct Chats {
    calls: Arc<Calls>,
    dispatcher: Arc<Mutex<Dispatcher>>,
    draining: Draining,
    running: Mutex<BTreeMap<String, Running>>,
}

/// What is kept of a chat's conversation beside its messages.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// What whoever began the chat gave it.
    given: Map<String, Value>,
    /// The session's data were asked for: the brain's context holds what they set.
    loaded: bool,
    brain: Value,
}

impl Kept {
    fn read(context: Option<&str>) -> Self {
        context
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    fn text(&self) -> String {
        json!(self).to_string()
    }
}

/// A message as it is written.
fn message(role: &str, content: &str, detail: Option<Value>) -> ChatMessage {
    ChatMessage {
        seq: 0,
        role: role.to_owned(),
        content: content.to_owned(),
        detail: detail.map(|detail| detail.to_string()),
        at: Timestamp::now(),
    }
}

fn facts(id: &str, visitor: &Visitor, started_at: Timestamp) -> CallFacts {
    CallFacts {
        call_id: id.to_owned(),
        caller_phone: visitor.phone.clone(),
        called_number: None,
        direction: Direction::Inbound,
        started_at,
        caller_verified: visitor.verified && visitor.phone.is_some(),
        carrier: "chat".to_owned(),
        carrier_call_id: None,
        caller_attestation: None,
        caller_name: visitor.name.clone(),
    }
}

impl Chats {
    pub(crate) fn start(
        calls: &Arc<Calls>,
        dispatcher: &Arc<Mutex<Dispatcher>>,
        draining: &Draining,
    ) -> Arc<Self> {
        let chats = Arc::new(Self {
            calls: Arc::clone(calls),
            dispatcher: Arc::clone(dispatcher),
            draining: draining.clone(),
            running: Mutex::new(BTreeMap::new()),
        });
        tokio::spawn(sweep(Arc::downgrade(&chats)));
        chats
    }

    /// Every change of the table is one insertion or removal.
    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn agent(&self, scope: &TenantScope, id: &str) -> Result<Arc<Agent>, ChatError> {
        let dispatcher = self
            .dispatcher
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let agent = dispatcher.agent(id).ok_or(ChatError::AgentUnavailable)?;
        let office = agent.config.office.as_ref();
        let is_its = office
            .is_some_and(|office| office.agent.definition().tenant_id == scope.tenant().as_str());
        is_its.then_some(agent).ok_or(ChatError::AgentUnavailable)
    }

    /// The same, for an agent that may have been made or changed a moment ago: the directory reads it soon.
    async fn agent_soon(&self, new: &NewChat) -> Result<Arc<Agent>, ChatError> {
        let deadline = Instant::now() + CHAT_AGENT_WITHIN;
        loop {
            let found = self.agent(&new.scope, &new.agent);
            let office = found
                .as_ref()
                .ok()
                .and_then(|agent| agent.config.office.as_ref());
            let is_current =
                office.is_some_and(|office| office.agent.definition().version >= new.version);
            if is_current || Instant::now() >= deadline {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Begins a chat; its first message says that a machine writes. The engine is not asked for anything yet.
    ///
    /// # Errors
    /// See [`ChatError`].
    pub async fn begin(&self, new: NewChat) -> Result<Entry<ChatSession>, ChatError> {
        if self.draining.is_set() {
            return Err(ChatError::Draining);
        }
        let agent = self.agent_soon(&new).await?;
        let office = agent.config.office.as_ref();
        let compiled = &office.ok_or(ChatError::AgentUnavailable)?.agent;
        let store = &self.calls.store;
        let open = store.open_chats(&new.scope, &new.agent).await?;
        if open >= i64::from(CHATS_OPEN_MAX) {
            return Err(ChatError::TooMany);
        }
        let id = store::new_id();
        let now = Timestamp::now();
        let mut brain = CallBrain::new(Arc::clone(compiled), facts(&id, &new.visitor, now));
        let greeting = brain.greeting(now);
        let words = match &greeting.cached_text {
            Some(text) => format!("{} {text}", greeting.disclosure),
            None => greeting.disclosure,
        };
        brain.agent_said(&words);
        let kept = Kept {
            given: new.context,
            loaded: false,
            brain: brain.snapshot(),
        };
        let chat = ChatSession {
            agent_id: new.agent.clone(),
            agent_version: compiled.definition().version,
            visitor: Some(json!(new.visitor).to_string()),
            token_hash: new.token_hash,
            context: Some(kept.text()),
            ..ChatSession::default()
        };
        let entry = store.create_chat(&new.scope, &id, &chat).await?;
        let opening = [message("assistant", &words, None)];
        store
            .append_chat_messages(&new.scope, &id, &opening, None)
            .await?;
        say(&Message::new("log_chat_started")
            .with("chat", id.as_str())
            .with("agent", new.agent.as_str()));
        Ok(entry)
    }

    /// Says something in a chat: what the agent answers comes by the channel, and is in the store as well. Who does not listen
    /// any more does not stop the turn.
    ///
    /// # Errors
    /// See [`ChatError`].
    pub async fn say(
        self: &Arc<Self>,
        scope: &TenantScope,
        id: &str,
        text: &str,
    ) -> Result<mpsc::Receiver<ChatEvent>, ChatError> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > CHAT_MESSAGE_CHARS_MAX {
            return Err(ChatError::BadMessage);
        }
        if self.draining.is_set() {
            return Err(ChatError::Draining);
        }
        let entry = self.open_chat(scope, id).await?;
        let agent = self.agent(scope, &entry.agent_id)?;
        let known = self.calls.store.chat_messages(scope, id, 0).await?;
        if known.len() >= CHAT_MESSAGES_MAX {
            return Err(ChatError::Full);
        }
        let (events, receiver) = mpsc::channel(CHAT_EVENTS_MAX);
        let mut command = Command::Say {
            text: text.to_owned(),
            events,
        };
        let mut running = self.running();
        if let Some(task) = running.get(id) {
            if !task.commands.is_closed() && task.busy.swap(true, Ordering::AcqRel) {
                return Err(ChatError::Busy);
            }
            command = match task.commands.try_send(command) {
                Ok(()) => return Ok(receiver),
                Err(mpsc::error::TrySendError::Full(_)) => return Err(ChatError::Busy),
                // Its task has just ended, or failed: another one takes over.
                Err(mpsc::error::TrySendError::Closed(command)) => command,
            };
        }
        if running.len() >= CHATS_LIVE_MAX {
            return Err(ChatError::TooMany);
        }
        let (commands, queue) = mpsc::channel(CHAT_COMMANDS_MAX);
        let _ = commands.try_send(command);
        let busy = Arc::new(AtomicBool::new(true));
        let task = Running {
            commands,
            busy: Arc::clone(&busy),
        };
        running.insert(id.to_owned(), task);
        drop(running);
        let task = ChatTask::new(Arc::clone(self), scope.clone(), entry, agent, queue, busy);
        tokio::spawn(task.run(known));
        Ok(receiver)
    }

    async fn open_chat(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Entry<ChatSession>, ChatError> {
        let entry = self.calls.store.chat(scope, id).await?;
        let entry = entry.ok_or(ChatError::NotFound)?;
        if entry.ended_at.is_some() {
            return Err(ChatError::Ended);
        }
        Ok(entry)
    }

    /// Ends a chat: outcome, cost and webhook are written when this returns.
    ///
    /// # Errors
    /// See [`ChatError`].
    pub async fn end(
        &self,
        scope: &TenantScope,
        id: &str,
        reason: EndReason,
    ) -> Result<(), ChatError> {
        let entry = self.open_chat(scope, id).await?;
        let (done, ended) = oneshot::channel();
        let commands = self.running().get(id).map(|task| task.commands.clone());
        if let Some(commands) = commands
            && commands.send(Command::End { reason, done }).await.is_ok()
            && ended.await.is_ok()
        {
            return Ok(());
        }
        closing::close_stored(self, scope, &entry, reason).await
    }

    /// Lets every chat go back to the store; ready once none runs, or when the time is over.
    pub(crate) async fn park(&self, within: Duration) {
        for task in self.running().values() {
            let _ = task.commands.try_send(Command::Park);
        }
        let deadline = Instant::now() + within;
        while !self.running().is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Forgets a task unless somebody has told it something meanwhile.
    fn leave(&self, id: &str, queue: &mut mpsc::Receiver<Command>) -> Option<Command> {
        let mut running = self.running();
        if let Ok(command) = queue.try_recv() {
            return Some(command);
        }
        queue.close();
        running.remove(id);
        None
    }

    async fn end_stale(&self) -> Result<(), ChatError> {
        let now = Timestamp::now();
        let before = |duration: Duration| {
            let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
            now.saturating_sub(duration)
                .unwrap_or(Timestamp::UNIX_EPOCH)
        };
        let begun_before = before(CHAT_DURATION_MAX);
        let stale = self
            .calls
            .store
            .node_stale_chats(before(CHAT_IDLE_MAX), begun_before, SWEEP_ROWS)
            .await?;
        for (scope, entry) in stale {
            let reason = if entry.created_at < begun_before {
                EndReason::MaxDuration
            } else {
                EndReason::IdleTimeout
            };
            match self.end(&scope, &entry.id, reason).await {
                Ok(()) | Err(ChatError::Ended | ChatError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Ends the chats that nobody goes on with, also those of a process that died.
async fn sweep(chats: Weak<Chats>) {
    loop {
        tokio::time::sleep(CHAT_SWEEP_EVERY).await;
        let Some(chats) = chats.upgrade() else { return };
        let ended = chats.end_stale().await;
        // A process that ends has closed its store: the next one goes on.
        if let Err(error) = ended
            && !chats.draining.is_set()
        {
            say(&Message::new("log_chats_not_ended").with("cause", error.to_string()));
        }
    }
}

/// What the model is told of a transfer in a chat.
fn nobody_in_writing(target: &str) -> String {
    format!("nobody can be put through to {target} in a written chat")
}
