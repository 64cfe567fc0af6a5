//! Text chat with an agent: for its back office, for tests, and for the widget on its customers' pages.

use super::owner::{agent as find_agent, of, reach_of_list};
use crate::answer::{Answer, Change};
use crate::api::Api;
use crate::body::{Json, Path, Query};
use crate::caller::{Actor, Caller};
use crate::limits::{
    CHAT_CONTEXT_BYTES_MAX, CHAT_NEW_BURST, CHAT_NEW_PER_S, CHAT_SAY_BURST, CHAT_SAY_PER_S,
    HEARTBEAT_EVERY, NAME_CHARACTERS_MAX, TEXT_CHARACTERS_MAX,
};
use crate::problem::Problem;
use crate::rate::Rate;
use crate::support::{Faults, found, object, page};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use call::EndReason;
use catalog::Language;
use engine::{ChatError, ChatEvent, NewChat, Visitor};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;
use store::credential::NewKey;
use store::{Agent, ChatFilter, ChatMessage, ChatSession, Entry, Owned, TenantScope};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

/// Header with the token of one chat.
const CHAT_TOKEN: &str = "x-chat-token";
/// First characters of it.
const CHAT_KIND: &str = "chat_";

impl From<ChatError> for Problem {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::NotFound => Self::unknown(),
            ChatError::AgentUnavailable => Self::conflict("api_chat_unavailable"),
            ChatError::TooMany | ChatError::Draining => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "api_chat_too_many").retry_after(10)
            }
            ChatError::Busy => Self::conflict("api_chat_busy").retry_after(1),
            ChatError::Ended => Self::conflict("api_chat_ended"),
            ChatError::Full => Self::conflict("api_chat_full").with(
                "max",
                i64::try_from(engine::limits::CHAT_MESSAGES_MAX).unwrap_or(i64::MAX),
            ),
            ChatError::BadMessage => {
                let max = engine::limits::CHAT_MESSAGE_CHARS_MAX;
                Self::field("text", "length", format!("1…{max}"))
            }
            ChatError::Secret(cause) => Self::internal(cause),
            ChatError::Read(error) => error.into(),
            ChatError::Change(error) => error.into(),
        }
    }
}

/// What the widget is told of its agent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChatConfig {
    /// Whether pages may chat with it.
    enabled: bool,
    /// Title of the widget.
    title: String,
    /// `chatMode`, as it was set.
    mode: Option<String>,
    /// The widget opens by itself.
    open_on_load: bool,
    /// `fr` or `en`.
    language: &'static str,
    /// Longest message, in characters.
    message_characters_max: usize,
}

/// Which agent.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct ConfigQuery {
    /// The agent; a token of an agent needs none.
    agent_id: Option<String>,
}

/// Who writes.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ChatVisitor {
    /// A name; untrusted.
    name: Option<String>,
    /// A telephone number for which the caller of this API answers. Not with a public token: a page proves nothing.
    phone: Option<String>,
    /// Whether the number is proven to be the visitor's.
    verified: bool,
}

/// A chat to begin.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ChatCreate {
    /// The agent; a token of an agent needs none.
    agent_id: Option<String>,
    /// Who writes.
    visitor: ChatVisitor,
    /// What the agent's context knows from the beginning (`ctx.*`). Not with a public token.
    context: Map<String, Value>,
}

/// A message of a chat.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChatMessageView {
    /// Its place, from 0.
    seq: i64,
    /// `user`, `assistant`; for others than a public token also `tool` and `system`.
    role: String,
    /// The text.
    content: String,
    /// Of a tool: its name, its arguments and the id of its call.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Value>,
    /// ISO-8601.
    timestamp: String,
}

/// A chat.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChatView {
    /// Its id.
    id: String,
    /// With which agent.
    agent_id: String,
    /// The version of it that the chat keeps.
    agent_version: i64,
    /// Token of this chat, for the header X-Chat-Token: given once, to a public token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Who writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    visitor: Option<Value>,
    /// What came of it.
    outcome: Option<String>,
    /// What it cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    costs: Option<Value>,
    /// ISO-8601.
    started_at: String,
    /// ISO-8601; absent while it goes on.
    ended_at: Option<String>,
    /// What was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<ChatMessageView>>,
}

/// Something to say.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ChatSay {
    /// The words.
    #[serde(alias = "content", alias = "message")]
    text: String,
}

/// The answer in one piece.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChatAnswer {
    /// What the agent wrote.
    messages: Vec<String>,
    /// The chat is over, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<&'static str>,
}

/// Which chats.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct ChatQuery {
    /// Of which account.
    account_id: Option<String>,
    /// With which agent.
    agent_id: Option<String>,
    /// Only those that go on.
    open: Option<bool>,
    /// Rows on a page.
    limit: Option<u32>,
    /// Where the page begins.
    cursor: Option<String>,
}

fn is_public(caller: &Caller) -> bool {
    matches!(caller.actor, Actor::Widget(_))
}

/// The agent that is meant, as far as the caller may chat with it. A public token may where the agent's settings say so, from the
/// pages that they name.
async fn agent_of(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    named: Option<&str>,
) -> Result<(TenantScope, Entry<Agent>), Problem> {
    let id = named
        .or(caller.agent.as_deref())
        .ok_or_else(|| Problem::field("agentId", "required", "agentId"))?;
    let (scope, agent) = find_agent(api, caller, id).await?;
    if is_public(caller) {
        let settings = object(&agent.settings);
        if settings.get("chatEnabled") != Some(&Value::Bool(true)) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "api_no_chat"));
        }
        check_origin(headers, settings.get("chatOrigins"))?;
    }
    Ok((scope, agent))
}

fn check_origin(headers: &HeaderMap, allowed: Option<&Value>) -> Result<(), Problem> {
    let Some(allowed) = allowed
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty())
    else {
        return Ok(());
    };
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|origin| origin.to_str().ok());
    let origin = origin.unwrap_or("null");
    let known = allowed
        .iter()
        .filter_map(Value::as_str)
        .any(|known| known.trim_end_matches('/').eq_ignore_ascii_case(origin));
    if known {
        return Ok(());
    }
    let shown: String = origin.chars().take(TEXT_CHARACTERS_MAX).collect();
    Err(Problem::new(StatusCode::FORBIDDEN, "api_chat_origin").with("origin", shown))
}

/// The chat of this id that the caller may touch: with a public token only the one whose own token comes along.
async fn find(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    id: &str,
) -> Result<(TenantScope, Entry<ChatSession>), Problem> {
    let scope = of(api, caller, Owned::Chat, id).await?;
    let chat = found(api.store.chat(&scope, id).await?)?;
    if !caller.may_touch_agent(&chat.agent_id) {
        return Err(Problem::unknown());
    }
    if is_public(caller) {
        let shown = headers
            .get(CHAT_TOKEN)
            .and_then(|token| token.to_str().ok());
        let is_its = shown
            .zip(chat.token_hash.as_deref())
            .is_some_and(|(token, hash)| store::credential::key_matches(token, hash));
        if !is_its {
            return Err(Problem::unknown());
        }
        agent_of(api, caller, headers, Some(&chat.agent_id)).await?;
    }
    Ok((scope, chat))
}

fn view(chat: &Entry<ChatSession>, messages: Option<Vec<ChatMessage>>, public: bool) -> ChatView {
    let parsed = |text: &Option<String>| -> Option<Value> {
        let text = text.as_deref().filter(|_| !public)?;
        serde_json::from_str(text).ok()
    };
    let shown = |message: ChatMessage| {
        let hidden = public && !matches!(message.role.as_str(), "user" | "assistant");
        (!hidden).then(|| ChatMessageView {
            seq: message.seq,
            detail: parsed(&message.detail),
            role: message.role,
            content: message.content,
            timestamp: message.at.to_string(),
        })
    };
    ChatView {
        id: chat.id.clone(),
        agent_id: chat.agent_id.clone(),
        agent_version: chat.agent_version,
        token: None,
        visitor: parsed(&chat.visitor),
        outcome: chat.outcome.clone().filter(|_| !public),
        costs: parsed(&chat.costs),
        started_at: chat.created_at.to_string(),
        ended_at: chat.ended_at.map(|at| at.to_string()),
        messages: messages.map(|messages| messages.into_iter().filter_map(shown).collect()),
    }
}

fn take(api: &Api, name: &str, per_s: f64, burst: f64) -> Result<(), Problem> {
    let verdict = api
        .limiter
        .take(name, Rate { per_s, burst }, Instant::now());
    if verdict.allowed {
        return Ok(());
    }
    let seconds = verdict.reset_s.max(1);
    Err(
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "api_rate_limited")
            .with("seconds", i64::try_from(seconds).unwrap_or(i64::MAX))
            .retry_after(seconds),
    )
}

/// What the widget shows before anything is written.
#[utoipa::path(get, path = "/api/chat/config", tag = "chat", params(ConfigQuery),
    responses((status = 200, body = ChatConfig)))]
pub(crate) async fn config(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<ConfigQuery>,
) -> Result<Answer, Problem> {
    let (_, agent) = agent_of(&api, &caller, &headers, query.agent_id.as_deref()).await?;
    let settings = object(&agent.settings);
    let text = |name: &str| {
        settings
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let flag = |name: &str| settings.get(name) == Some(&Value::Bool(true));
    let french =
        text("language").is_none_or(|tag| tag.is_empty() || tag.to_lowercase().starts_with("fr"));
    Answer::ok(ChatConfig {
        enabled: flag("chatEnabled"),
        title: text("chatTitle")
            .filter(|title| !title.trim().is_empty())
            .unwrap_or_else(|| agent.name.clone()),
        mode: text("chatMode"),
        open_on_load: flag("chatOpenOnLoad"),
        language: if french { "fr" } else { "en" },
        message_characters_max: engine::limits::CHAT_MESSAGE_CHARS_MAX,
    })
}

/// Begins a chat. Its first message, which says that a machine writes, is in the answer.
#[utoipa::path(post, path = "/api/chat/sessions", tag = "chat", request_body = ChatCreate,
    responses((status = 201, body = ChatView)))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<ChatCreate>,
) -> Result<Answer, Problem> {
    let named = body.agent_id.as_deref();
    let (scope, agent) = agent_of(&api, &caller, &headers, named).await?;
    check(&caller, &body)?;
    if !agent.is_active {
        return Err(ChatError::AgentUnavailable.into());
    }
    let public = is_public(&caller);
    let token = public.then(|| NewKey::generate(CHAT_KIND));
    if public {
        let address = caller.address.as_deref().unwrap_or_default();
        let bucket = format!("chat:new:{}:{address}", agent.id);
        take(&api, &bucket, CHAT_NEW_PER_S, CHAT_NEW_BURST)?;
    }
    let given = body.visitor;
    let filled = |text: Option<String>| {
        text.map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    let new = NewChat {
        scope: scope.clone(),
        agent: agent.id.clone(),
        version: agent.version,
        visitor: Visitor {
            name: filled(given.name),
            phone: filled(given.phone),
            verified: given.verified,
        },
        context: body.context,
        token_hash: token.as_ref().map(NewKey::hash),
    };
    let chat = api.engine.chats().begin(new).await?;
    let messages = api.store.chat_messages(&scope, &chat.id, 0).await?;
    let mut view = view(&chat, Some(messages), public);
    view.token = token.map(|token| token.text().to_owned());
    Answer::created(view)
}

fn check(caller: &Caller, body: &ChatCreate) -> Result<(), Problem> {
    let mut faults = Faults::default();
    let visitor = &body.visitor;
    faults.maybe("visitor.name", visitor.name.as_deref(), NAME_CHARACTERS_MAX);
    let phone = visitor.phone.as_deref();
    faults.maybe("visitor.phone", phone, 32);
    let size = Value::Object(body.context.clone()).to_string().len();
    faults.unless(
        size <= CHAT_CONTEXT_BYTES_MAX,
        "context",
        "length",
        &format!("≤ {CHAT_CONTEXT_BYTES_MAX}"),
    );
    if is_public(caller) {
        let why = "X-API-Key, Authorization";
        faults.unless(phone.is_none(), "visitor.phone", "forbidden", why);
        faults.unless(!visitor.verified, "visitor.verified", "forbidden", why);
        faults.unless(body.context.is_empty(), "context", "forbidden", why);
    }
    faults.done()
}

/// The chats of an agent or an account, newest first.
#[utoipa::path(get, path = "/api/chat/sessions", tag = "chat", params(ChatQuery),
    responses((status = 200, body = [ChatView])))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<ChatQuery>,
) -> Result<Answer, Problem> {
    let named = query.agent_id.as_deref();
    let (reach, agent_id) =
        reach_of_list(&api, &caller, query.account_id.as_deref(), named).await?;
    let filter = ChatFilter {
        agent_id,
        is_open: query.open == Some(true),
    };
    let page = page(query.limit, query.cursor.as_deref())?;
    let list = api.store.chats(&reach, &filter, &page).await?;
    let views: Vec<_> = list
        .items
        .iter()
        .map(|chat| view(chat, None, false))
        .collect();
    Ok(Answer::ok(views)?.with_next(list.next.map(|next| next.to_string())))
}

/// A chat with what was written.
#[utoipa::path(get, path = "/api/chat/sessions/{id}", tag = "chat", params(("id" = String, Path),
    ("X-Chat-Token" = Option<String>, Header, description = "With a public token: the token of this chat.")),
    responses((status = 200, body = ChatView)))]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, chat) = find(&api, &caller, &headers, &id).await?;
    let messages = api.store.chat_messages(&scope, &chat.id, 0).await?;
    Answer::ok(view(&chat, Some(messages), is_public(&caller)))
}

/// Says something. The answer comes as server-sent events: `delta` (`text`), `message` (`role`, `content`), `tool` (`name`, `state`),
/// `ended` (`reason`), `error` (`code`, `message`), and `done` at the end. A client that accepts `application/json` alone gets the
/// answer in one piece.
#[utoipa::path(post, path = "/api/chat/sessions/{id}/messages", tag = "chat", params(("id" = String, Path),
    ("X-Chat-Token" = Option<String>, Header, description = "With a public token: the token of this chat.")),
    request_body = ChatSay,
    responses((status = 200, body = String, content_type = "text/event-stream")))]
pub(crate) async fn post_message(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<ChatSay>,
) -> Result<Response, Problem> {
    let (scope, chat) = find(&api, &caller, &headers, &id).await?;
    if is_public(&caller) {
        let bucket = format!("chat:say:{}", chat.id);
        take(&api, &bucket, CHAT_SAY_PER_S, CHAT_SAY_BURST)?;
    }
    let language = crate::problem::language_of(&headers, api.config.language);
    let receiver = api.engine.chats().say(&scope, &chat.id, &body.text).await?;
    let accepts = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    if accepts.is_some_and(|accept| accept.trim() == "application/json") {
        return whole(receiver).await;
    }
    let turn = Turn {
        receiver,
        language,
        stage: Stage::Greeting,
    };
    let body = Body::from_stream(stream::unfold(turn, |mut turn| async {
        let bytes = turn.next().await?;
        Some((Ok::<_, Infallible>(bytes), turn))
    }));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, [("x-accel-buffering", "no")], body).into_response())
}

/// The answer in one piece.
async fn whole(mut receiver: mpsc::Receiver<ChatEvent>) -> Result<Response, Problem> {
    let mut answer = ChatAnswer {
        messages: Vec::new(),
        ended: None,
    };
    while let Some(event) = receiver.recv().await {
        match event {
            ChatEvent::Said { text } => answer.messages.push(text),
            ChatEvent::Ended { reason } => {
                answer.ended = Some(reason.code());
                break;
            }
            ChatEvent::Failed { cause } => {
                let cause = cause_of(&cause);
                return Err(
                    Problem::new(StatusCode::BAD_GATEWAY, "chat_turn_failed").with("cause", cause)
                );
            }
            ChatEvent::Done => break,
            ChatEvent::Delta { .. } | ChatEvent::Tool { .. } => {}
        }
    }
    Ok(Answer::ok(answer)?.into_response())
}

fn cause_of(message: &catalog::Message) -> String {
    catalog::render(message, Language::En).text
}

/// How far the stream of one answer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent: a comment opens the stream, so that proxies let it through.
    Greeting,
    Events,
    /// The end was sent.
    Over,
}

struct Turn {
    receiver: mpsc::Receiver<ChatEvent>,
    language: Language,
    stage: Stage,
}

impl Turn {
    async fn next(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::Greeting => {
                self.stage = Stage::Events;
                return Some(Bytes::from_static(b": allo\n\n"));
            }
            Stage::Over => return None,
            Stage::Events => {}
        }
        let event = match tokio::time::timeout(HEARTBEAT_EVERY, self.receiver.recv()).await {
            Err(_) => return Some(Bytes::from_static(b": alive\n\n")),
            Ok(Some(event)) => event,
            // The listener was too slow, or the turn was cut: what was written is in the chat.
            Ok(None) => ChatEvent::Failed {
                cause: catalog::Message::new("chat_turn_failed").with("cause", "lost"),
            },
        };
        Some(Bytes::from(self.text(&event)))
    }

    fn text(&mut self, event: &ChatEvent) -> String {
        let one = |name: &str, data: Value| format!("event: {name}\ndata: {data}\n\n");
        let last = |text: String| text + &one("done", json!({}));
        match event {
            ChatEvent::Delta { text } => one("delta", json!({ "text": text })),
            ChatEvent::Said { text } => {
                one("message", json!({ "role": "assistant", "content": text }))
            }
            ChatEvent::Tool { name, state } => one("tool", json!({ "name": name, "state": state })),
            ChatEvent::Ended { reason } => {
                self.stage = Stage::Over;
                last(one("ended", json!({ "reason": reason.code() })))
            }
            ChatEvent::Failed { cause } => {
                self.stage = Stage::Over;
                let rendered = catalog::render(cause, self.language);
                last(one(
                    "error",
                    json!({ "code": cause.code, "message": rendered.text }),
                ))
            }
            ChatEvent::Done => {
                self.stage = Stage::Over;
                one("done", json!({}))
            }
        }
    }
}

/// Ends a chat: its webhook is on its way when this answers.
#[utoipa::path(post, path = "/api/chat/sessions/{id}/end", tag = "chat", params(("id" = String, Path),
    ("X-Chat-Token" = Option<String>, Header, description = "With a public token: the token of this chat.")),
    responses((status = 200, body = ChatView)))]
pub(crate) async fn end(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Answer, Problem> {
    let (scope, chat) = find(&api, &caller, &headers, &id).await?;
    let public = is_public(&caller);
    let reason = if public {
        EndReason::CallerHungUp
    } else {
        EndReason::OperatorHungUp
    };
    api.engine.chats().end(&scope, &chat.id, reason).await?;
    let chat = found(api.store.chat(&scope, &chat.id).await?)?;
    let answer = Answer::ok(view(&chat, None, public))?;
    // What a visitor does is no act of a person of the account.
    if public {
        return Ok(answer);
    }
    Ok(answer.changed(Change {
        action: "end",
        entity: "chat_session",
        id: chat.id.clone(),
        tenant: Some(scope.tenant().to_string()),
        detail: None,
    }))
}
