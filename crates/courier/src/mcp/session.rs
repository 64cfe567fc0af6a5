//! Sessions with MCP servers: one for each tenant and server, shared by its calls, replaced when it breaks.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enums of the SDK may grow"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use agent::McpCall;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig,
    ContentBlock, Implementation, MetaObject, PaginatedRequestParams, Tool,
};
use rmcp::service::{ClientInitializeError, RunningService, ServiceError};
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig, StreamableHttpError,
};
use rmcp::{RoleClient, ServiceExt as _};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::transport::GuardedTransport;
use super::{McpError, McpReply, McpServer, McpTool};
use crate::courier::{Caller, Courier};
use crate::http::SendError;
use crate::limits::{
    FAILURE_TEXT_MAX, MCP_MESSAGE_MAX, MCP_PAGES_MAX, MCP_SESSION_IDLE, MCP_SESSIONS_MAX,
    MCP_TOOLS_KEPT, MCP_TOOLS_MAX, REPLY_BODY_MAX,
};
use crate::traces::TRACEPARENT;

/// Longest name of a tool, and longest description, in bytes.
const NAME_MAX: usize = 128;
const DESCRIPTION_MAX: usize = 4096;
/// Prefix of our fields in a request's `_meta`.
const META_PREFIX: &str = "allo/";

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    tenant: String,
    agent: Option<String>,
    server: McpServer,
}

struct Connection {
    service: RunningService<RoleClient, ClientConfig>,
    overflowed: Arc<AtomicBool>,
}

impl Connection {
    /// The error of a request: a stream that was left at its bound looks to the SDK like one that broke off.
    fn error(&self, error: &ServiceError) -> McpError {
        match service_error(error) {
            McpError::Send(SendError::Broken) if self.overflowed.swap(false, Ordering::Relaxed) => {
                McpError::Send(SendError::TooLarge)
            }
            other => other,
        }
    }
}

struct Session {
    running: OnceCell<Connection>,
    tools: Mutex<Option<(Instant, Vec<McpTool>)>>,
    used: Mutex<Instant>,
}

/// The open sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<Key, Arc<Session>>>,
}

impl Sessions {
    fn of(&self, key: &Key) -> Arc<Session> {
        let now = Instant::now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| {
            let used = *session.used.lock().unwrap_or_else(PoisonError::into_inner);
            let closed = session
                .running
                .get()
                .is_some_and(|connection| connection.service.is_closed());
            !closed && now.duration_since(used) < MCP_SESSION_IDLE
        });
        if open.len() >= MCP_SESSIONS_MAX && !open.contains_key(key) {
            let oldest = open
                .iter()
                .min_by_key(|(_, session)| {
                    *session.used.lock().unwrap_or_else(PoisonError::into_inner)
                })
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                open.remove(&oldest);
            }
        }
        let session = open.entry(key.clone()).or_insert_with(|| {
            Arc::new(Session {
                running: OnceCell::new(),
                tools: Mutex::new(None),
                used: Mutex::new(now),
            })
        });
        *session.used.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Arc::clone(session)
    }

    /// Forgets a session that broke; calls that still use it end with it.
    fn forget(&self, key: &Key, broken: &Arc<Session>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open
            .get(key)
            .is_some_and(|session| Arc::ptr_eq(session, broken))
        {
            open.remove(key);
        }
    }
}

/// Forgets the session unless the work came to an end that leaves it usable, also when the work is dropped at its deadline.
struct Verdict<'a> {
    sessions: &'a Sessions,
    key: &'a Key,
    session: &'a Arc<Session>,
    usable: bool,
}

impl Drop for Verdict<'_> {
    fn drop(&mut self) {
        if !self.usable {
            self.sessions.forget(self.key, self.session);
        }
    }
}

pub(super) async fn tools(
    courier: &Courier,
    server: &McpServer,
    caller: &Caller,
) -> Result<Vec<McpTool>, McpError> {
    let key = key(server, caller);
    let session = courier.inner.sessions.of(&key);
    if let Some((at, tools)) = &*session.tools.lock().unwrap_or_else(PoisonError::into_inner)
        && at.elapsed() < MCP_TOOLS_KEPT
    {
        return Ok(tools.clone());
    }
    let mut verdict = Verdict {
        sessions: &courier.inner.sessions,
        key: &key,
        session: &session,
        usable: false,
    };
    let running = running(courier, &session, server, caller).await?;
    let listed = list(running).await;
    verdict.usable = !matches!(listed, Err(McpError::Send(_)));
    let listed = listed?;
    *session.tools.lock().unwrap_or_else(PoisonError::into_inner) =
        Some((Instant::now(), listed.clone()));
    Ok(listed)
}

async fn list(running: &Connection) -> Result<Vec<McpTool>, McpError> {
    let mut tools: Vec<McpTool> = Vec::new();
    let mut cursor = None;
    for _ in 0..MCP_PAGES_MAX {
        let params =
            cursor.map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
        let page = running
            .service
            .peer()
            .list_tools(params)
            .await
            .map_err(|error| running.error(&error))?;
        tools.extend(page.tools.into_iter().filter_map(tool));
        if tools.len() > MCP_TOOLS_MAX {
            return Err(McpError::TooMuch);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            // The first of two tools with one name counts: a later one cannot take its place.
            let mut seen = std::collections::HashSet::new();
            tools.retain(|tool| seen.insert(tool.name.clone()));
            return Ok(tools);
        }
    }
    Err(McpError::TooMuch)
}

/// A tool as it is offered further; none where its name is unusable.
fn tool(tool: Tool) -> Option<McpTool> {
    let name = tool.name.into_owned();
    let usable = !name.is_empty()
        && name.len() <= NAME_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte));
    usable.then(|| McpTool {
        name,
        description: shortened(tool.description.as_deref().unwrap_or(""), DESCRIPTION_MAX),
        input_schema: Value::Object((*tool.input_schema).clone()),
    })
}

pub(super) async fn call(
    courier: &Courier,
    call: &McpCall,
    caller: &Caller,
) -> Result<McpReply, McpError> {
    let Value::Object(arguments) = call.arguments.clone() else {
        return Err(McpError::Arguments);
    };
    let server = &McpServer {
        url: call.url.clone(),
        headers: call.headers.clone(),
    };
    let mut params = CallToolRequestParams::new(call.tool.clone()).with_arguments(arguments);
    let meta = [
        ("callId", caller.call.clone()),
        ("idempotencyKey", call.idempotency_key.clone()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((format!("{META_PREFIX}{name}"), Value::String(value?))))
    // Names that the protocol keeps for traces (SEP-414) have no prefix.
    .chain(
        caller
            .traceparent
            .clone()
            .map(|of| (TRACEPARENT.to_owned(), Value::String(of))),
    )
    .collect();
    params.meta = Some(MetaObject(meta).into());
    let key = key(server, caller);
    let session = courier.inner.sessions.of(&key);
    let mut verdict = Verdict {
        sessions: &courier.inner.sessions,
        key: &key,
        session: &session,
        usable: false,
    };
    let running = running(courier, &session, server, caller).await?;
    let answered = running
        .service
        .peer()
        .call_tool_once(params)
        .await
        .map_err(|error| running.error(&error));
    verdict.usable = !matches!(answered, Err(McpError::Send(_)));
    match answered? {
        CallToolResponse::Complete(result) => reply(&result),
        // The server wants something from us in return: nobody is there to give it.
        _ => Err(McpError::Nonsense),
    }
}

fn reply(result: &CallToolResult) -> Result<McpReply, McpError> {
    let content = match &result.structured_content {
        Some(structured) => structured.clone(),
        None => {
            let texts: Vec<&str> = result
                .content
                .iter()
                .filter_map(|block| match block {
                    ContentBlock::Text(text) => Some(text.text.as_str()),
                    _ => None,
                })
                .collect();
            let text = texts.join("\n");
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
    };
    if content.to_string().len() > REPLY_BODY_MAX {
        return Err(McpError::Send(SendError::TooLarge));
    }
    Ok(McpReply {
        is_error: result.is_error.unwrap_or(false),
        content,
    })
}

fn key(server: &McpServer, caller: &Caller) -> Key {
    Key {
        tenant: caller.tenant.clone(),
        agent: caller.agent.clone(),
        server: server.clone(),
    }
}

/// The session's connection, made by the first who needs it while the others wait.
async fn running<'a>(
    courier: &Courier,
    session: &'a Session,
    server: &McpServer,
    caller: &Caller,
) -> Result<&'a Connection, McpError> {
    session
        .running
        .get_or_try_init(|| async {
            let transport = GuardedTransport::new(courier, server, caller)?;
            let overflowed = transport.overflowed();
            let mut config = StreamableHttpClientTransportConfig::with_uri(server.url.clone());
            config.max_sse_event_size = MCP_MESSAGE_MAX;
            let transport = StreamableHttpClientTransport::with_client(transport, config);
            let client = ClientConfig::new(
                ClientCapabilities::default(),
                Implementation::new("allo", env!("CARGO_PKG_VERSION")),
            );
            let service = client
                .serve(transport)
                .await
                .map_err(|error| initialize_error(&error))?;
            Ok(Connection {
                service,
                overflowed,
            })
        })
        .await
}

fn initialize_error(error: &ClientInitializeError) -> McpError {
    match error {
        ClientInitializeError::JsonRpcError(data) => McpError::Rpc {
            code: data.code.0,
            message: shortened(&data.message, FAILURE_TEXT_MAX),
        },
        ClientInitializeError::TransportError { error, .. } => {
            transport_error(error.error.as_ref())
        }
        ClientInitializeError::ConnectionClosed(_) => McpError::Send(SendError::Broken),
        _ => McpError::Nonsense,
    }
}

fn service_error(error: &ServiceError) -> McpError {
    match error {
        ServiceError::McpError(data) => McpError::Rpc {
            code: data.code.0,
            message: shortened(&data.message, FAILURE_TEXT_MAX),
        },
        ServiceError::TransportSend(error) => transport_error(error.error.as_ref()),
        ServiceError::TransportClosed | ServiceError::Cancelled { .. } => {
            McpError::Send(SendError::Broken)
        }
        ServiceError::Timeout { .. } => McpError::Send(SendError::TimedOut),
        _ => McpError::Nonsense,
    }
}

/// Our own error inside the SDK's.
fn transport_error(error: &(dyn std::error::Error + 'static)) -> McpError {
    let mut source = Some(error);
    while let Some(inner) = source {
        if let Some(send) = inner.downcast_ref::<SendError>() {
            return McpError::Send(send.clone());
        }
        if let Some(StreamableHttpError::Client(send)) =
            inner.downcast_ref::<StreamableHttpError<SendError>>()
        {
            return McpError::Send(send.clone());
        }
        source = inner.source();
    }
    McpError::Send(SendError::Broken)
}

fn shortened(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}
