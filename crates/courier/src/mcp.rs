//! Tools of MCP servers (Model Context Protocol, streamable HTTP), by the official Rust SDK over our own transport.
//!
//! The SDK speaks the protocol; every byte goes through the guard, the bounds and the signature of this room ([`transport`]).
//! Sessions are kept per tenant and server, and are made anew when one breaks. What a server says is data: it cannot make us
//! sample, ask a person or list anything.

mod session;
mod transport;

pub(crate) use session::Sessions;

use std::time::Duration;

use agent::{FailureKind, McpCall, ToolReply};
use serde_json::Value;

use crate::courier::{Caller, Courier};
use crate::http::SendError;

/// Where an agent's MCP server is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct McpServer {
    /// Absolute URL of its endpoint.
    pub url: String,
    /// Headers of every request, credentials included.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for McpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpServer")
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

/// A tool that a server offers.
#[derive(Clone, Debug, PartialEq)]
pub struct McpTool {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input_schema: Value,
}

/// What a tool answered: the structured result, else the text (as JSON where it is JSON).
pub(crate) struct McpReply {
    is_error: bool,
    content: Value,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum McpError {
    /// The server could not be reached, was not permitted, or broke off.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The server answered with a protocol error.
    #[error("the server refused: {code}")]
    Rpc {
        /// JSON-RPC error code.
        code: i32,
        /// Its message, shortened.
        message: String,
    },
    /// An answer that the protocol does not allow here.
    #[error("the server's answer is not one")]
    Nonsense,
    /// The arguments are no object.
    #[error("the arguments are no object")]
    Arguments,
    /// More tools or pages than are read.
    #[error("the server lists too much")]
    TooMuch,
}

impl McpError {
    /// A stable label for logs, figures and records.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Send(error) => error.label(),
            Self::Rpc { .. } => "mcp_refused",
            Self::Nonsense => "mcp_nonsense",
            Self::Arguments => "invalid_request",
            Self::TooMuch => "mcp_too_much",
        }
    }
}

impl Courier {
    /// The tools of a server; believed for [`crate::limits::MCP_TOOLS_KEPT`].
    ///
    /// # Errors
    /// See [`McpError`].
    pub async fn mcp_tools(
        &self,
        server: &McpServer,
        caller: &Caller,
    ) -> Result<Vec<McpTool>, McpError> {
        let within = self.within(0);
        self.bounded(within, session::tools(self, server, caller))
            .await
    }

    /// Calls a tool. After a time-out, and after an exchange that broke off, the tool may have done its work.
    pub async fn run_mcp(&self, call: &McpCall, caller: &Caller) -> ToolReply {
        let within = self.within(call.timeout_ms);
        match self
            .bounded(within, session::call(self, call, caller))
            .await
        {
            Ok(reply) => ToolReply::Mcp {
                is_error: reply.is_error,
                content: reply.content,
            },
            // What the server says of its refusal is an answer: the model can act on it.
            Err(McpError::Rpc { message, .. }) => ToolReply::Mcp {
                is_error: true,
                content: Value::String(message),
            },
            Err(McpError::Send(SendError::TimedOut)) => ToolReply::TimedOut,
            Err(McpError::Send(error)) => ToolReply::Failed { kind: error.kind() },
            Err(McpError::TooMuch) => ToolReply::Failed {
                kind: FailureKind::TooLarge,
            },
            Err(McpError::Nonsense | McpError::Arguments) => ToolReply::Failed {
                kind: FailureKind::Protocol,
            },
        }
    }

    async fn bounded<T>(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T, McpError>>,
    ) -> Result<T, McpError> {
        let result = tokio::time::timeout(within, work)
            .await
            .unwrap_or(Err(McpError::Send(SendError::TimedOut)));
        self.inner.metrics.mcp(&result);
        result
    }
}
