//! The house's HTTP client: tools, session addresses, MCP servers and webhooks; guarded, signed and bounded.
//!
//! Nothing else in the product makes an HTTP request. Each request goes through [`guard`] (which addresses may be reached), has
//! one deadline for the whole exchange, and brings back at most a bounded reply. What is deliberately absent: proxies of the
//! environment, cookies, decompression and redirects followed by a library, since each of them is a way around the guard.

pub mod carrier;
pub mod guard;
pub mod limits;
pub mod sign;
pub mod traces;

mod client;
mod courier;
mod http;
mod log;
mod mcp;

mod metrics;
mod outbox;

mod resolve;
mod secret;

pub use agent::{HttpCall, Method};
pub use courier::{Caller, Courier, CourierConfig, StartError};
pub use guard::{Allow, BadAllow, Refusal};
pub use http::{FetchError, Reply, SendError};

pub use mcp::{McpError, McpServer, McpTool};
pub use metrics::{Counted, Counts};

pub use outbox::{
    Nudge, Outbox, OutboxHandle, SecretSource, WEBHOOK_PURPOSE, WebhookSecrets, pause_after,
};
pub use secret::Secret;
pub use sign::{BadWebhookSecret, WebhookSecret};
