//! Signatures on what leaves the house: tool requests (our own scheme) and webhooks (Standard Webhooks).
//!
//! Pure: the time is an argument.

mod tool;
mod webhook;

pub(crate) use tool::hex;
pub use tool::{
    HEADER_AGENT, HEADER_CALL, HEADER_IDEMPOTENCY, HEADER_SIGNATURE, HEADER_TENANT,
    HEADER_TIMESTAMP, ToolSignature, is_tool_signature, tool_signature,
};
pub use webhook::{
    BadWebhookSecret, HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP,
    WebhookSecret,
};
