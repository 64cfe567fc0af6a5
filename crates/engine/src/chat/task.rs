//! One task per chat that somebody writes in: `call::Session` decides, as for a call; here its effects are carried out in writing.

mod effects;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use call::{
    EndReason, EngineFailure, Input, LocalSound, Role as SessionRole, Session, SessionEvent,
    SessionStart, Speaker, ToolCallId, ToolOutcome, ToolSpec, TranscriptEntry,
};
use catalog::Message;
use media::{Form, ItemKey, Law};
use serde_json::json;
use store::{ChatMessage, ChatSession, Entry, TenantScope};
use tokio::sync::mpsc;
use wire::Dialogue;
use wire::realtime::{HistoryItem, Role};

use super::opening::{self, NotOpened, Opened};
use super::{ChatEvent, Chats, Command, Kept, closing, message};
use crate::call_task::desk::UnfinishedWords;
use crate::call_task::office::{Office, ToolReplied};
use crate::dispatch::Agent;
use crate::engine_link::{EngineLink, LinkEvent, Which};
use crate::limits::{CHAT_ENGINE_IDLE_MAX, REPLAY_ITEMS_MAX};
use crate::log::say;

/// Ends of the conversation that are the end of the chat. Any other one (an engine that cannot be had, a process that goes down) is
/// the end of a turn, and the chat goes on with the next message.
const FINAL: [EndReason; 8] = [
    EndReason::AgentHungUp,
    EndReason::NoBalance,
    EndReason::RejectedBlocked,
    EndReason::Closed,
    EndReason::OperatorHungUp,
    EndReason::CallerHungUp,
    EndReason::MaxDuration,
    EndReason::IdleTimeout,
];

/// The conversation with the engine.
pub(super) struct Talk {
    pub(super) session: Session,
    pub(super) link: EngineLink,
    /// What a new engine session is told.
    pub(super) history: Vec<HistoryItem>,
    pub(super) tools: Vec<ToolSpec>,
    /// The response under way.
    pub(super) response: String,
    /// Items that have begun.
    pub(super) items: BTreeSet<ItemKey>,
    pub(super) unfinished: UnfinishedWords,
    /// Names and arguments of tool calls.
    runs: BTreeMap<ToolCallId, (String, String)>,
}

/// See the module.
pub(super) struct ChatTask {
    pub(super) chats: Arc<Chats>,
    scope: TenantScope,
    chat: Entry<ChatSession>,
    agent: Arc<Agent>,
    commands: mpsc::Receiver<Command>,
    busy: Arc<AtomicBool>,
    pub(super) talk: Option<Talk>,
    pub(super) office: Option<Office>,
    kept: Kept,
    events: Option<mpsc::Sender<ChatEvent>>,
    unwritten: Vec<ChatMessage>,
    /// The brain's state differs from what is kept.
    pub(super) changed: bool,
    ended: Option<EndReason>,
    told_of_end: Vec<tokio::sync::oneshot::Sender<()>>,
    parking: bool,
    /// The engine closed a conversation in which nobody writes: the next message opens another one.
    left_alone: bool,
    quiet_since: Instant,
}

enum Wake {
    Timer,
    Command(Option<Command>),
    Engine(LinkEvent),
    Tool(ToolReplied),
}

impl ChatTask {
    pub(super) fn new(
        chats: Arc<Chats>,
        scope: TenantScope,
        chat: Entry<ChatSession>,
        agent: Arc<Agent>,
        commands: mpsc::Receiver<Command>,
        busy: Arc<AtomicBool>,
    ) -> Self {
        Self {
            chats,
            scope,
            chat,
            agent,
            commands,
            busy,
            talk: None,
            office: None,
            kept: Kept::default(),
            events: None,
            unwritten: Vec::new(),
            changed: false,
            ended: None,
            told_of_end: Vec::new(),
            parking: false,
            left_alone: false,
            quiet_since: Instant::now(),
        }
    }

    /// Holds the chat until nothing comes any more, or until it ends.
    pub(super) async fn run(mut self, known: Vec<ChatMessage>) {
        if self.open(known).await {
            loop {
                self.converse().await;
                if self.ended.is_some() {
                    break;
                }
                // Something may have come while the chat was about to be left.
                match self.chats.leave(&self.chat.id, &mut self.commands) {
                    Some(command) if self.left_alone => {
                        self.refuse(command);
                        break;
                    }
                    Some(command) => self.command(Instant::now(), command).await,
                    None => break,
                }
            }
        }
        self.close().await;
        while let Some(command) = self.chats.leave(&self.chat.id, &mut self.commands) {
            self.refuse(command);
        }
    }

    /// Told too late: the chat is over, or goes back to the store.
    fn refuse(&mut self, command: Command) {
        match command {
            Command::Say { events, .. } => {
                let _ = events.try_send(failed("busy"));
            }
            Command::End { done, .. } => drop(done),
            Command::Park => {}
        }
    }

    /// Puts the conversation together; false where it does not go on.
    async fn open(&mut self, known: Vec<ChatMessage>) -> bool {
        let opened = opening::open(&self.chats, &self.scope, &self.chat, &self.agent, &known).await;
        let opened = match opened {
            Ok(opened) => opened,
            Err(not) => {
                self.not_opened(not).await;
                return false;
            }
        };
        let Opened {
            config,
            mut office,
            history,
            unwritten,
            kept,
            is_new,
        } = opened;
        let now = Instant::now();
        if is_new {
            office.answered_at(now);
        }
        let link = EngineLink::new(
            &config,
            Arc::clone(&self.agent.target),
            self.agent.fallback.clone(),
            self.chats.calls.connector.clone(),
            Form::G711(Law::Pcmu),
        );
        let tools = config.profile.tools.clone();
        let start = SessionStart {
            inbound: true,
            ring_ms: None,
        };
        self.talk = Some(Talk {
            session: Session::new(now, config.profile, start),
            link: link.in_writing(),
            history,
            tools,
            response: String::new(),
            items: BTreeSet::new(),
            unfinished: UnfinishedWords::default(),
            runs: BTreeMap::new(),
        });
        (self.office, self.kept, self.unwritten) = (Some(office), kept, unwritten);
        self.changed = true;
        true
    }

    async fn not_opened(&mut self, not: NotOpened) {
        if let Ok(Command::Say { text, events }) = self.commands.try_recv() {
            self.events = Some(events);
            self.unwritten.push(message("user", &text, None));
            self.flush().await;
        }
        let error = match not {
            NotOpened::Over(reason, brain) if FINAL.contains(&reason) => {
                let kept = Kept {
                    given: std::mem::take(&mut self.kept.given),
                    loaded: true,
                    brain: serde_json::Value::Null,
                };
                let closed =
                    closing::close(&self.chats, &self.scope, &self.chat, (*brain, kept), reason);
                match closed.await {
                    Ok(()) => return self.emit(ChatEvent::Ended { reason }),
                    Err(error) => error.to_string(),
                }
            }
            NotOpened::Over(reason, _) => reason.code().to_owned(),
            NotOpened::Failed(error) => error.to_string(),
        };
        say(&Message::new("log_chat_failed")
            .with("chat", self.chat.id.as_str())
            .with("cause", error.as_str()));
        self.emit(failed(&error));
    }

    /// Goes on until the conversation ends, or nothing is to be done for a while.
    async fn converse(&mut self) {
        let timer = tokio::time::sleep_until(Instant::now().into());
        tokio::pin!(timer);
        loop {
            self.drain(Instant::now());
            self.flush().await;
            if self.ended.is_some() {
                return;
            }
            let now = Instant::now();
            let quiet = self.is_quiet();
            if !quiet {
                self.quiet_since = now;
            } else if self.busy.load(Ordering::Acquire) && self.events.is_some() {
                self.turn_over();
            }
            let idle_at = self.quiet_since + CHAT_ENGINE_IDLE_MAX;
            if quiet && self.events.is_none() && (self.parking || idle_at <= now) {
                return;
            }
            let Some(talk) = &mut self.talk else { return };
            let deadlines = [
                talk.session.poll_timeout(),
                talk.link.poll_timeout(),
                quiet.then_some(idle_at),
            ];
            let deadline = deadlines.into_iter().flatten().min();
            if let Some(at) = deadline {
                timer.as_mut().reset(at.into());
            }
            let Self {
                commands, office, ..
            } = self;
            let link = &mut talk.link;
            let wake = tokio::select! {
                biased;
                () = timer.as_mut(), if deadline.is_some() => Wake::Timer,
                event = poll_fn(|cx| link.poll(Instant::now(), cx)) => Wake::Engine(event),
                reply = Office::reply(office) => Wake::Tool(reply),
                command = commands.recv() => Wake::Command(command),
            };
            let now = Instant::now();
            match wake {
                Wake::Timer => self.timeout(now),
                Wake::Engine(event) => self.link_event(now, event),
                Wake::Tool(reply) => self.tool_replied(now, reply),
                Wake::Command(Some(command)) => self.command(now, command).await,
                Wake::Command(None) => return,
            }
        }
    }

    /// The engine is gone while nobody writes: nothing is owed, and the chat waits in the store.
    pub(super) fn leave_alone(&mut self) -> bool {
        let nobody_writes = self.events.is_none() && !self.busy.load(Ordering::Acquire);
        if nobody_writes {
            (self.left_alone, self.parking) = (true, true);
        }
        nobody_writes
    }

    fn is_quiet(&self) -> bool {
        self.talk
            .as_ref()
            .is_some_and(|talk| talk.session.is_quiet())
            // Nothing was asked of a conversation that waits for its first message.
            || self.events.is_none() && !self.busy.load(Ordering::Acquire)
    }

    fn turn_over(&mut self) {
        self.emit(ChatEvent::Done);
        self.events = None;
        if let Some(talk) = &mut self.talk {
            talk.items.clear();
            talk.runs.clear();
        }
        self.busy.store(false, Ordering::Release);
    }

    async fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Say { text, events } => {
                self.busy.store(true, Ordering::Release);
                self.events = Some(events);
                self.unwritten.push(message("user", &text, None));
                // What is written is not lost, whatever happens next.
                if !self.flush().await {
                    self.emit(failed("the store cannot be written"));
                    self.events = None;
                    self.busy.store(false, Ordering::Release);
                    return;
                }
                if let Some(talk) = &mut self.talk {
                    talk.session.handle(now, Input::UserText { text });
                }
            }
            Command::End { reason, done } => {
                self.ended.get_or_insert(reason);
                self.told_of_end.push(done);
            }
            Command::Park => self.parking = true,
        }
    }

    fn timeout(&mut self, now: Instant) {
        let Some(talk) = &mut self.talk else { return };
        if talk.session.poll_timeout().is_some_and(|at| at <= now) {
            talk.session.handle(now, Input::Timeout);
        }
        if talk.link.poll_timeout().is_some_and(|at| at <= now)
            && let Some(event) = talk.link.check(now)
        {
            self.link_event(now, event);
        }
    }

    /// Drains the pure rooms until none has anything left.
    fn drain(&mut self, now: Instant) {
        loop {
            let mut busy = self.drain_engine(now);
            while let Some(effect) = self
                .talk
                .as_mut()
                .and_then(|talk| talk.session.poll_effect())
            {
                self.effect(now, effect);
                busy = true;
            }
            if !busy {
                break;
            }
        }
        if let Some(talk) = &mut self.talk {
            talk.link.flush();
        }
    }

    /// Hands an event to whoever listens; a listener who is too slow is left, and finds everything in the store.
    pub(super) fn emit(&mut self, event: ChatEvent) {
        if let Some(events) = &self.events
            && events.try_send(event).is_err()
        {
            let (nobody, _) = mpsc::channel(1);
            self.events = Some(nobody);
        }
    }

    fn session(&mut self, now: Instant, input: Input) {
        if let Some(talk) = &mut self.talk {
            talk.session.handle(now, input);
        }
    }

    fn tell_engine(&mut self, tell: impl FnOnce(&mut Dialogue)) {
        let conversation = self
            .talk
            .as_mut()
            .and_then(|talk| talk.link.conversation(Which::Current));
        if let Some(conversation) = conversation {
            tell(conversation);
        }
    }

    /// A sound of ours says nothing in writing: it is over at once.
    fn play_local(&mut self, now: Instant, sound: LocalSound) {
        let item = sound.item();
        self.session(now, Input::PlayoutStarted { item: item.clone() });
        let played_ms = 0;
        self.session(now, Input::PlayoutFinished { item, played_ms });
        self.session(now, Input::PlayoutDrained);
    }

    fn close_engine(&mut self, now: Instant) {
        self.finish_items(now);
        if let Some(talk) = &mut self.talk {
            talk.link.close(Which::Current);
            talk.link.close(Which::Next);
            talk.link.after_loss(EngineFailure::Timeout);
        }
    }

    fn connect(&mut self, now: Instant, which: Which) {
        if let Some(talk) = &mut self.talk {
            let history = talk.history.clone();
            talk.link.connect(now, which, &history);
        }
    }

    fn add_message(&mut self, role: SessionRole, text: &str) {
        let role = match role {
            SessionRole::User => Role::User,
            SessionRole::System => Role::System,
            SessionRole::Agent => Role::Assistant,
        };
        if role == Role::User {
            if let Some(office) = &mut self.office {
                office.brain.heard_caller(text);
            }
            self.remember(role, text.to_owned());
        }
        self.tell_engine(|engine| engine.add_message(role, text));
    }

    fn remember(&mut self, role: Role, text: String) {
        if let Some(talk) = &mut self.talk {
            if talk.history.len() >= REPLAY_ITEMS_MAX {
                talk.history.remove(0);
            }
            talk.history.push(HistoryItem { role, text });
        }
    }

    fn run_tool(&mut self, now: Instant, id: ToolCallId, name: String, arguments: String) {
        let Some(office) = &mut self.office else {
            return;
        };
        let at_once = office.run(&id, &name, &arguments, None);
        if let Some(talk) = &mut self.talk {
            talk.runs.insert(id.clone(), (name, arguments));
        }
        self.changed = true;
        if let Some((outcome, note)) = at_once {
            if let Some(note) = note {
                tracing::info!(code = %note.code, chat = self.chat.id, "a tool was refused");
            }
            self.tool_finished(now, id, outcome);
        }
    }

    fn tool_replied(&mut self, now: Instant, replied: ToolReplied) {
        let Some(office) = &mut self.office else {
            return;
        };
        self.changed = true;
        if let Some((id, outcome)) = office.taken(replied) {
            self.tool_finished(now, id, outcome);
        }
        if let Some(office) = &self.office
            && office.books.is_spent(&office.brain)
        {
            self.session(now, Input::BudgetSpent);
        }
    }

    /// The answer is written down as the model gets it.
    fn tool_finished(&mut self, now: Instant, id: ToolCallId, outcome: ToolOutcome) {
        let output = match &outcome {
            ToolOutcome::Ok { output }
            | ToolOutcome::HangUp { output }
            | ToolOutcome::Transfer { output, .. }
            | ToolOutcome::Told { output } => output.clone(),
            ToolOutcome::Refused { reason } | ToolOutcome::Failed { reason } => {
                json!({ "error": reason }).to_string()
            }
            ToolOutcome::TimedOut => json!({ "error": "timed out" }).to_string(),
        };
        let run = self.talk.as_ref().and_then(|talk| talk.runs.get(&id));
        if let Some((name, arguments)) = run.cloned() {
            let detail = opening::run_detail(id.as_str(), &name, &arguments);
            self.unwritten.push(message("tool", &output, Some(detail)));
            self.remember(Role::System, opening::tool_line(&name, &output));
        }
        self.session(now, Input::ToolFinished { id, outcome });
    }

    fn record(&mut self, entry: &TranscriptEntry) {
        match entry.role {
            // It was written down when it came.
            Speaker::Caller => {}
            Speaker::Agent => {
                // An entry that is written anew says nothing new in a chat: its text was complete.
                if entry.interrupted_at_ms.is_some() || entry.text.trim().is_empty() {
                    return;
                }
                if let Some(office) = &mut self.office {
                    office.brain.agent_said(&entry.text);
                }
                self.changed = true;
                self.unwritten.push(message("assistant", &entry.text, None));
                self.remember(Role::Assistant, entry.text.clone());
                self.emit(ChatEvent::Said {
                    text: entry.text.clone(),
                });
            }
            Speaker::System => self.unwritten.push(message("system", &entry.text, None)),
        }
    }

    fn tell_of(&mut self, event: &SessionEvent) {
        if let SessionEvent::ToolStarted { name, .. } = event {
            let (name, state) = (name.clone(), "started");
            self.emit(ChatEvent::Tool { name, state });
        } else if let SessionEvent::ToolFinished { id, outcome, .. } = event {
            let run = self.talk.as_ref().and_then(|talk| talk.runs.get(id));
            if let Some((name, _)) = run {
                let (name, state) = (name.clone(), *outcome);
                self.emit(ChatEvent::Tool { name, state });
            }
        }
    }

    /// Writes what was said and what the brain knows, together. False where the store does not take it: it is tried again.
    async fn flush(&mut self) -> bool {
        if self.unwritten.is_empty() && !self.changed {
            return true;
        }
        let context = self.office.as_ref().map(|office| {
            self.kept.brain = office.brain.snapshot();
            self.kept.text()
        });
        for message in &mut self.unwritten {
            if let Cow::Owned(masked) = ::agent::mask::mask_cards(&message.content) {
                message.content = masked;
            }
        }
        let store = &self.chats.calls.store;
        let written = store
            .append_chat_messages(
                &self.scope,
                &self.chat.id,
                &self.unwritten,
                context.as_deref(),
            )
            .await;
        match written {
            Ok(()) => {
                self.unwritten.clear();
                self.changed = false;
                true
            }
            Err(error) => {
                say(&error.message());
                false
            }
        }
    }

    /// Closes the engine, waits for what must not be given up, and writes the end where it is one.
    async fn close(&mut self) {
        if let Some(talk) = &mut self.talk {
            talk.link.close(Which::Current);
            talk.link.close(Which::Next);
        }
        // Quiet, and all of it is written: another task may hold the chat already.
        let Some(reason) = self.ended else { return };
        let Some(office) = &mut self.office else {
            return;
        };
        office.finish_runs().await;
        self.changed = true;
        self.flush().await;
        if !FINAL.contains(&reason) {
            self.emit(failed(reason.code()));
            return;
        }
        let Some(office) = self.office.take() else {
            return;
        };
        let kept = std::mem::take(&mut self.kept);
        let ended = closing::close(
            &self.chats,
            &self.scope,
            &self.chat,
            (office.brain, kept),
            reason,
        );
        match ended.await {
            Ok(()) => {
                for done in std::mem::take(&mut self.told_of_end) {
                    let _ = done.send(());
                }
                self.emit(ChatEvent::Ended { reason });
            }
            // The sweep ends it later.
            Err(error) => {
                say(&Message::new("log_chat_failed")
                    .with("chat", self.chat.id.as_str())
                    .with("cause", error.to_string()));
                self.emit(failed(&error.to_string()));
            }
        }
    }
}

fn failed(cause: &str) -> ChatEvent {
    ChatEvent::Failed {
        cause: Message::new("chat_turn_failed").with("cause", cause),
    }
}
