//! A tool as an operator writes it: the ToolConfig of contracts.md 3, with our additions. Only read here; [`crate::compile()`] checks it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::{Fault, FaultCode};
use crate::json::null_default;

/// One tool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolConfig {
    /// Name, as the model knows it: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub name: String,
    /// What it does, for the model.
    #[serde(deserialize_with = "null_default")]
    pub description: String,
    /// JSON Schema of the arguments; absent: no argument.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub parameters: Value,
    /// The request; `null` for a tool that only ends or transfers the call.
    pub http: Option<HttpTemplate>,
    /// A tool of an MCP server in place of `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp: Option<McpTemplate>,
    /// Context key → template, evaluated after a success.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub context_updates: Map<String, Value>,
    /// Template of a cost in the reply, added to the call's costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_cost_response_field: Option<String>,
    /// When the tool is offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// What else the tool does to the call.
    #[serde(flatten)]
    pub flags: ToolFlags,
    /// Requests before the tool's own; their replies are `pre.<name>`.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub pre_steps: Vec<PreStep>,
    /// What the model may not decide alone.
    #[serde(flatten)]
    pub policy: ToolPolicy,
    /// Flags of the call that a success sets; `outcomeRules` read them.
    #[serde(
        alias = "on_success_flags",
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub on_success_flags: Vec<String>,
    /// Position among the agent's tools.
    #[serde(deserialize_with = "null_default")]
    pub sort_order: i64,
    /// Fields that this product does not know: kept and given back.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A request as templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpTemplate {
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: String,
    /// Template of the address. Values in its path and query are encoded.
    pub url: String,
    /// Templates of further query parameters.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub query: Map<String, Value>,
    /// Templates of headers.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub headers: Map<String, Value>,
    /// Template of the JSON body: an object, or one expression.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub body_template: Value,
    /// What the model sees in place of the reply.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub response_mapping: Value,
    /// Milliseconds for the whole exchange. Default 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// Whether the request may be sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

/// Whether a request may be sent again after a failure of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Never.
    Never,
    /// GET, PUT and DELETE only (default).
    Safe,
    /// Always: the receiver honours `Idempotency-Key`.
    Always,
}

/// A tool of an MCP server (streamable HTTP).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct McpTemplate {
    /// Template of the server's address.
    pub url: String,
    /// The tool's name there; default: our tool's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Templates of headers.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub headers: Map<String, Value>,
    /// Template of the arguments; default: those of the model.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub arguments: Value,
    /// What the model sees in place of the reply.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub response_mapping: Value,
    /// Milliseconds for the whole exchange. Default 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
}

/// A request before the tool's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PreStep {
    /// Its reply is `pre.<name>`.
    pub name: String,
    /// The request.
    pub http: HttpTemplate,
    /// Template that must be true for the tool to go on, over `pre.<name>` and the rest; absent: a success is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require: Option<String>,
    /// What the model is told when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The tool goes on when the request fails; `pre.<name>` is then absent.
    #[serde(deserialize_with = "null_default")]
    pub optional: bool,
}

/// When a tool is offered: a question about the agent's `config`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Key, or dotted path, in `config`.
    pub config_key: String,
    /// `eq`, `neq`, `truthy` or `falsy`.
    pub operator: String,
    /// What `eq` and `neq` compare with.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub value: Value,
}

/// What a tool does to the call besides its request.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent flags, as the contract has them"
)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolFlags {
    /// The call ends once what was said has been heard.
    #[serde(deserialize_with = "null_default")]
    pub triggers_hangup: bool,
    /// The call is transferred.
    #[serde(deserialize_with = "null_default")]
    pub triggers_transfer: bool,
    /// The caller is not heard by the engine from the moment the call arrives.
    #[serde(deserialize_with = "null_default")]
    pub mutes_client_audio: bool,
    /// The model is not asked to speak after the output.
    #[serde(deserialize_with = "null_default")]
    pub skip_response_create: bool,
    /// The model sees a success even when the request failed.
    #[serde(deserialize_with = "null_default")]
    pub soft: bool,
    /// Default true.
    #[serde(deserialize_with = "null_true")]
    pub is_enabled: bool,
}

impl Default for ToolFlags {
    fn default() -> Self {
        Self {
            triggers_hangup: false,
            triggers_transfer: false,
            mutes_client_audio: false,
            skip_response_create: false,
            soft: false,
            is_enabled: true,
        }
    }
}

/// What a tool does to the world; decides when the caller must have confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Reads, or writes something that harms nobody (a message, a note).
    Note,
    /// Commits the caller to something: orders, bookings, payments, cancellations.
    Commit,
    /// Sends the call elsewhere.
    Transfer,
}

/// What the model may not decide alone about a tool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolPolicy {
    /// The tool needs proof of the caller: by a tool with `verifiesCaller`, or a confirmation code.
    #[serde(
        deserialize_with = "null_default",
        alias = "requiresVerifiedCaller",
        alias = "requires_verified_caller"
    )]
    pub sensitive: bool,
    /// Template over the reply that is `true` where the other side has recognised the caller: `={{$res.verified}}`. One path into the
    /// reply and nothing else; any other value than `true` proves nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verifies_caller: Option<String>,
    /// `never`, `tainted` (default for tools that commit or transfer) or `always`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// Default: from the flags, the method and the first word of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// Argument → template of the value that the server fills in, or `false` to leave it to the model.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub bind: Map<String, Value>,
    /// Runs of this tool in one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_call: Option<u32>,
    /// Milliseconds for the whole exchange, when `http` says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
}

fn null_true<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or(true))
}

impl ToolConfig {
    /// Reads the JSON of the API; each field of a wrong type is a fault of its own.
    pub fn parse(value: &Value) -> Result<Self, Vec<Fault>> {
        let Value::Object(members) = value else {
            return Err(vec![Fault::new(
                "",
                FaultCode::WrongType,
                "A tool must be a JSON object.",
            )]);
        };
        let whole = match serde_json::from_value(value.clone()) {
            Ok(tool) => return Ok(tool),
            Err(error) => error,
        };
        let mut faults: Vec<Fault> = members
            .iter()
            .filter_map(|(name, member)| {
                let alone = Value::Object(Map::from_iter([(name.clone(), member.clone())]));
                let error = serde_json::from_value::<Self>(alone).err()?;
                Some(Fault::new(
                    name.as_str(),
                    FaultCode::WrongType,
                    format!("This field cannot be read: {error}."),
                ))
            })
            .collect();
        if faults.is_empty() {
            faults.push(Fault::new(
                "",
                FaultCode::WrongType,
                format!("The tool cannot be read: {whole}."),
            ));
        }
        Err(faults)
    }
}
