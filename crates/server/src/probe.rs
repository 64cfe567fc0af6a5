//! `allo probe`: makes one request as a tool, a webhook or an MCP tool would, under the settings of the server, and prints what
//! came of it as JSON. For operators: may an agent reach this address, and what would it get?

use crate::cli::{ConfigArguments, EXIT_BAD_SETTINGS, report, settings_or_report};
use crate::outgoing;
use crate::terminal::{Terminal, line};
use agent::{HttpCall, McpCall, Method, ToolReply};
use clap::{Args, Subcommand};
use courier::{Caller, Courier, McpServer, Secret, WebhookSecret};
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum ProbeCommand {
    /// A tool's HTTP request.
    Http(HttpArguments),
    /// The tools of an MCP server, or one call of one of them.
    Mcp(McpArguments),
    /// A webhook, signed as the outbox signs.
    Webhook(WebhookArguments),
}

/// What all have in common.
#[derive(Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    config: ConfigArguments,
    /// Absolute address.
    url: String,
    /// The account's signing secret.
    #[arg(long, env = "ALLO_PROBE_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Deadline in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    timeout_ms: u32,
    /// A header, `name: value`; may be given several times.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// The trace that the request belongs to (W3C `traceparent`).
    #[arg(long)]
    traceparent: Option<String>,
    /// Sent as the idempotency key, or as the webhook's id.
    #[arg(long)]
    key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct HttpArguments {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value = "GET", value_parser = ["GET", "POST", "PUT", "PATCH", "DELETE"])]
    method: String,
    #[arg(long)]
    body: Option<String>,
    /// The receiver honours the idempotency key.
    #[arg(long)]
    safe_to_retry: bool,
}

#[derive(Debug, Args)]
pub(crate) struct McpArguments {
    #[command(flatten)]
    common: Common,
    /// The tool to call; without it the tools are listed.
    #[arg(long)]
    tool: Option<String>,
    /// Its arguments, a JSON object.
    #[arg(long, default_value = "{}")]
    arguments: String,
    /// Call it this many times, one after the other.
    #[arg(long, default_value_t = 1)]
    times: u32,
}

#[derive(Debug, Args)]
pub(crate) struct WebhookArguments {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value = "{}")]
    body: String,
}

/// Runs the command. The exit status is 0 when there was a reply.
pub(crate) async fn run(command: &ProbeCommand) -> ExitCode {
    let common = match command {
        ProbeCommand::Http(arguments) => &arguments.common,
        ProbeCommand::Mcp(arguments) => &arguments.common,
        ProbeCommand::Webhook(arguments) => &arguments.common,
    };
    let settings = match settings_or_report(&common.config) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    let mut problems = Vec::new();
    let mut config = outgoing::settings(&settings, &mut problems);
    config.collector = None;
    if !problems.is_empty() {
        return report(&problems, None);
    }
    let courier = match Courier::new(config) {
        Ok(courier) => courier,
        Err(error) => {
            Terminal::new(crate::config::language(&settings)).complain(
                &catalog::Message::new("start_failed").with("cause", crate::serve::causes(&error)),
            );
            return ExitCode::from(EXIT_BAD_SETTINGS);
        }
    };
    let (answer, answered) = match command {
        ProbeCommand::Http(arguments) => http(&courier, arguments).await,
        ProbeCommand::Mcp(arguments) => mcp(&courier, arguments).await,
        ProbeCommand::Webhook(arguments) => webhook(&courier, arguments).await,
    };
    line(&answer.to_string());
    ExitCode::from(u8::from(!answered))
}

fn caller(common: &Common) -> Caller {
    Caller {
        tenant: "probe".to_owned(),
        signing_secret: common.secret.clone().map(Secret::new),
        traceparent: common.traceparent.clone(),
        ..Caller::default()
    }
}

fn headers(common: &Common) -> Vec<(String, String)> {
    common
        .headers
        .iter()
        .map(|header| {
            let (name, value) = header.split_once(':').unwrap_or((header, ""));
            (name.trim().to_owned(), value.trim().to_owned())
        })
        .collect()
}

async fn http(courier: &Courier, arguments: &HttpArguments) -> (Value, bool) {
    let common = &arguments.common;
    let call = HttpCall {
        method: match arguments.method.as_str() {
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            _ => Method::Get,
        },
        url: common.url.clone(),
        headers: headers(common),
        body: arguments.body.clone(),
        timeout_ms: common.timeout_ms,
        idempotency_key: common.key.clone(),
        safe_to_retry: arguments.safe_to_retry,
    };
    // `send` says more of a failure than the reply that a tool sees.
    match courier
        .send(&call, &caller(common), courier::limits::REPLY_BODY_MAX)
        .await
    {
        Ok(reply) => (
            json!({ "status": reply.status, "body": reply.text() }),
            true,
        ),
        Err(error) => (
            json!({ "failed": error.label(), "cause": error.to_string() }),
            false,
        ),
    }
}

async fn mcp(courier: &Courier, arguments: &McpArguments) -> (Value, bool) {
    let common = &arguments.common;
    let Some(tool) = &arguments.tool else {
        let server = McpServer {
            url: common.url.clone(),
            headers: headers(common),
        };
        return match courier.mcp_tools(&server, &caller(common)).await {
            Ok(tools) => {
                let tools: Vec<Value> = tools
                    .into_iter()
                    .map(|tool| json!({ "name": tool.name, "description": tool.description, "inputSchema": tool.input_schema }))
                    .collect();
                (json!({ "tools": tools }), true)
            }
            Err(error) => (
                json!({ "failed": error.label(), "cause": error.to_string() }),
                false,
            ),
        };
    };
    let call = McpCall {
        url: common.url.clone(),
        headers: headers(common),
        tool: tool.clone(),
        arguments: serde_json::from_str(&arguments.arguments).unwrap_or(Value::Null),
        timeout_ms: common.timeout_ms,
        idempotency_key: common.key.clone(),
    };
    let mut last = (Value::Null, false);
    for _ in 0..arguments.times.max(1) {
        last = reply(courier.run_mcp(&call, &caller(common)).await);
    }
    last
}

fn reply(reply: ToolReply) -> (Value, bool) {
    match reply {
        ToolReply::Http { status, body } => (json!({ "status": status, "body": body }), true),
        ToolReply::Mcp { is_error, content } => {
            (json!({ "isError": is_error, "content": content }), true)
        }
        ToolReply::Failed { kind } => (json!({ "failed": kind.label() }), false),
        ToolReply::TimedOut => (json!({ "failed": "timed_out" }), false),
    }
}

async fn webhook(courier: &Courier, arguments: &WebhookArguments) -> (Value, bool) {
    let common = &arguments.common;
    let secret = match common
        .secret
        .clone()
        .map(Secret::new)
        .as_ref()
        .map(WebhookSecret::parse)
    {
        None => None,
        Some(Ok(secret)) => Some(secret),
        Some(Err(error)) => {
            return (
                json!({ "failed": "secret", "cause": error.to_string() }),
                false,
            );
        }
    };
    let id = common.key.clone().unwrap_or_else(store::new_id);
    match courier
        .webhook(&common.url, &id, &arguments.body, secret.as_ref())
        .await
    {
        Ok(reply) => (
            json!({ "status": reply.status, "body": reply.text() }),
            true,
        ),
        Err(error) => (
            json!({ "failed": error.label(), "cause": error.to_string() }),
            false,
        ),
    }
}
