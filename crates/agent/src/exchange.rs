//! What this room asks the world for and what it gets back: requests and replies as data.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Writes; the only one without a promise of idempotence.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// One HTTP request, ready to be sent. `Debug` shows neither the query nor headers nor the body: they hold customers' data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCall {
    /// The method.
    pub method: Method,
    /// Absolute address, values already encoded. At most [`crate::limits::URL_BYTES_MAX`].
    pub url: String,
    /// Headers of the tool, names in lower case, `content-type` included where there is a body.
    pub headers: Vec<(String, String)>,
    /// JSON text, members in the order of the template.
    pub body: Option<String>,
    /// The whole exchange must be over after this long, in milliseconds.
    pub timeout_ms: u32,
    /// Sent as `Idempotency-Key`, the same for each repetition.
    pub idempotency_key: Option<String>,
    /// The request may be sent again after a failure of the connection.
    pub safe_to_retry: bool,
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCall")
            .field("method", &self.method)
            .field("url", &without_query(&self.url))
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.as_ref().map(String::len))
            .field("timeout_ms", &self.timeout_ms)
            .field("safe_to_retry", &self.safe_to_retry)
            .finish_non_exhaustive()
    }
}

/// One call of a tool of an MCP server (streamable HTTP).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct McpCall {
    /// Address of the server.
    pub url: String,
    /// Headers for each of its requests.
    pub headers: Vec<(String, String)>,
    /// The tool's name there.
    pub tool: String,
    /// Its arguments: always an object.
    pub arguments: Value,
    /// The whole exchange must be over after this long, in milliseconds.
    pub timeout_ms: u32,
    /// As in [`HttpCall`].
    pub idempotency_key: Option<String>,
}

impl fmt::Debug for McpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpCall")
            .field("url", &without_query(&self.url))
            .field("tool", &self.tool)
            .field("timeout_ms", &self.timeout_ms)
            .finish_non_exhaustive()
    }
}

/// Why a request has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The name does not resolve.
    Name,
    /// No connection.
    Connect,
    /// The certificate or the handshake.
    Tls,
    /// The address is not allowed (private network, redirect to one).
    Forbidden,
    /// The reply is over its limit.
    TooLarge,
    /// The reply cannot be read.
    Protocol,
    /// Too many requests of this tenant at once.
    Busy,
    /// The call ended first.
    Cancelled,
}

impl FailureKind {
    /// Stable name, `snake_case`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Forbidden => "forbidden",
            Self::TooLarge => "too_large",
            Self::Protocol => "protocol",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What came of a request.
#[derive(Clone, PartialEq)]
pub enum ToolReply {
    /// An HTTP reply, whatever its status.
    Http {
        /// Status code.
        status: u16,
        /// Body as text (invalid UTF-8 replaced), at most [`crate::limits::REPLY_BYTES_MAX`].
        body: String,
    },
    /// The result of an MCP tool: its structured content, else its texts.
    Mcp {
        /// The tool says that it failed.
        is_error: bool,
        /// The content.
        content: Value,
    },
    /// No reply.
    Failed {
        /// Why.
        kind: FailureKind,
    },
    /// No reply within its time: the request may have been carried out.
    TimedOut,
}

impl fmt::Debug for ToolReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { status, body } => write!(f, "Http({status}, {} bytes)", body.len()),
            Self::Mcp { is_error, .. } => write!(f, "Mcp(is_error: {is_error})"),
            Self::Failed { kind } => write!(f, "Failed({})", kind.label()),
            Self::TimedOut => f.write_str("TimedOut"),
        }
    }
}

fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(path, _)| path)
}
