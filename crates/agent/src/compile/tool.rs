//! One tool: its request, its schema without what the server fills in, and what its policy is.

use serde_json::{Map, Value};

use super::{Compiler, Http};
use crate::brain::Refusal;
use crate::exchange::Method;
use crate::fault::FaultCode;
use crate::json::{self, snake};
use crate::limits::{DESCRIPTION_BYTES_MAX, PRE_STEPS_MAX};
use crate::schema::{Schema, object_schema};
use crate::template::{Place, Template, Tree, UrlTemplate};
use crate::tool::{Condition, Effect, McpTemplate, ToolConfig, ToolFlags};

/// A compiled tool.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) schema: Schema,
    pub(crate) request: Request,
    pub(crate) pre_steps: Vec<PreStep>,
    pub(crate) context_updates: Vec<(String, Tree)>,
    pub(crate) extra_cost: Option<Template>,
    /// Enabled, and its condition holds.
    pub(crate) offered: bool,
    pub(crate) flags: ToolFlags,
    pub(crate) bound: Vec<Bound>,
    /// Arguments that name something that exists: they must come from an earlier reply.
    pub(crate) id_arguments: Vec<String>,
    pub(crate) guard: Guard,
    /// Is `true` for a reply that recognises the caller.
    pub(crate) verifies: Option<Template>,
    pub(crate) on_success_flags: Vec<String>,
    /// `available` rather than `success` in errors.
    pub(crate) error_key: &'static str,
}

/// The request of a tool.
#[derive(Debug)]
pub(crate) enum Request {
    None,
    Http(Box<Http>),
    Mcp(Box<Mcp>),
}

/// A compiled call of an MCP tool.
#[derive(Debug)]
pub(crate) struct Mcp {
    pub(crate) url: UrlTemplate,
    pub(crate) tool: String,
    pub(crate) headers: Vec<(String, Template)>,
    pub(crate) arguments: Option<Tree>,
    pub(crate) mapping: Option<Tree>,
    pub(crate) timeout_ms: u32,
}

/// A compiled pre-step.
#[derive(Debug)]
pub(crate) struct PreStep {
    pub(crate) name: String,
    pub(crate) http: Http,
    pub(crate) require: Option<Template>,
    pub(crate) refusal: Option<String>,
    pub(crate) optional: bool,
}

/// An argument that the server fills in.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) name: String,
    pub(crate) value: Template,
    pub(crate) required: bool,
    /// Refusal when it has no value and is needed.
    pub(crate) missing: Refusal,
}

/// When the caller must have confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirm {
    Never,
    Tainted,
    Always,
}

/// The policy of one tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guard {
    pub(crate) effect: Effect,
    pub(crate) confirm: Confirm,
    pub(crate) sensitive: bool,
    pub(crate) max_per_call: Option<u32>,
    pub(crate) timeout_ms: u32,
}

/// First words of names that commit a caller to something.
const COMMITTING_WORDS: &[&str] = &[
    "confirm", "cancel", "pay", "refund", "charge", "book", "buy", "purchase", "delete", "remove",
    "send",
];
/// Arguments that say who calls; the server knows better than the model.
const CALLER_ARGUMENTS: &[&str] = &["caller_phone", "caller_number"];
/// Arguments by which records of a person are found; bound in tools that read or change what exists.
const PERSON_ARGUMENTS: &[&str] = &["customer_phone", "phone", "phone_number"];
/// Members of `ctx` that no reply may change.
const RESERVED_KEYS: &[&str] = &[
    "call_id",
    "caller_phone",
    "called_number",
    "caller_verified",
];

/// Arguments by which a transfer names its target.
pub(crate) fn target_arguments() -> &'static [&'static str] {
    &[
        "target",
        "destination",
        "department",
        "to",
        "number",
        "phone",
        "phone_number",
        "transfer_to",
    ]
}

impl Compiler<'_> {
    pub(crate) fn tool(&mut self, config: &ToolConfig, path: &str) -> Option<Tool> {
        let before = self.faults.len();
        self.tool_name(config, path);
        let schema = object_schema(&config.parameters, &format!("{path}.parameters"))
            .map_err(|fault| self.faults.push(fault))
            .ok();
        let request = self.request(config, path);
        let bound = self.bound(config, schema.as_ref(), &request, path);
        let hidden: Vec<&str> = bound.iter().map(|bound| bound.name.as_str()).collect();
        let schema = schema.and_then(|schema| {
            Schema::compile(schema, &hidden, &format!("{path}.parameters"))
                .map_err(|fault| self.faults.push(fault))
                .ok()
        });
        let pre_steps = self.pre_steps(config, path);
        let context_updates = self.context_updates(config, path);
        let extra_cost = config
            .extra_cost_response_field
            .as_deref()
            .and_then(|text| {
                self.template(
                    text,
                    &format!("{path}.extraCostResponseField"),
                    Place::ToolReply,
                )
            });
        let verifies = self.verifies(config, &request, path);
        let offered = self.condition(config.condition.as_ref(), path) && config.flags.is_enabled;
        let guard = self.guard(config, &request, path);
        let schema = schema?;
        let id_arguments = self.id_arguments(&schema, &request, guard);
        (self.faults.len() == before).then(|| Tool {
            name: config.name.clone(),
            description: config.description.clone(),
            schema,
            request,
            pre_steps,
            context_updates,
            extra_cost,
            offered,
            flags: config.flags.clone(),
            bound,
            id_arguments,
            guard,
            verifies,
            on_success_flags: config.on_success_flags.clone(),
            error_key: if config.name.contains("availab") {
                "available"
            } else {
                "success"
            },
        })
    }

    /// What in a reply says that the caller is who they say. Nothing but the reply may say it, and whoever is verified is the one for
    /// whom the server acts: the model does not choose them.
    fn verifies(&mut self, config: &ToolConfig, request: &Request, path: &str) -> Option<Template> {
        let text = config.policy.verifies_caller.as_deref()?;
        let place = format!("{path}.verifiesCaller");
        let template = self.template(text, &place, Place::ToolReply)?;
        if !template.is_path_into_reply() {
            self.fault(
                place.clone(),
                FaultCode::Conflict,
                "verifiesCaller is one path into the reply, such as ={{$res.verified}}, with nothing before, behind or in place of it.",
            );
        }
        if matches!(request, Request::None) {
            self.fault(
                place.clone(),
                FaultCode::Conflict,
                "A tool that verifies the caller has a request (http or mcp) whose reply says so.",
            );
        }
        if config.policy.sensitive {
            self.fault(
                place,
                FaultCode::Conflict,
                "A tool that verifies the caller cannot ask for a verified caller itself.",
            );
        }
        for (name, bound) in &config.policy.bind {
            if *bound == Value::Bool(false) && is_identity(&snake(name)) {
                self.fault(
                    format!("{path}.bind.{name}"),
                    FaultCode::Conflict,
                    "In a tool that verifies the caller the model does not choose who that is: bind it, or leave it to the server.",
                );
            }
        }
        Some(template)
    }

    fn tool_name(&mut self, config: &ToolConfig, path: &str) {
        let name = &config.name;
        let fits = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !fits {
            self.fault(
                format!("{path}.name"),
                FaultCode::BadName,
                "The name of a tool is 1 to 64 of A-Z a-z 0-9 _ -.",
            );
        }
        if config.description.len() > DESCRIPTION_BYTES_MAX {
            self.fault(
                format!("{path}.description"),
                FaultCode::TooLarge,
                format!("The description is over {DESCRIPTION_BYTES_MAX} bytes."),
            );
        }
        if config.flags.triggers_hangup && config.flags.triggers_transfer {
            self.fault(
                format!("{path}.triggersTransfer"),
                FaultCode::Conflict,
                "A tool ends the call or transfers it, not both.",
            );
        }
    }

    fn request(&mut self, config: &ToolConfig, path: &str) -> Request {
        let places = (Place::ToolRequest, Place::ToolReply);
        match (&config.http, &config.mcp) {
            (None, None) => Request::None,
            (Some(http), None) => self
                .http(
                    http,
                    &format!("{path}.http"),
                    places,
                    config.policy.timeout_ms,
                )
                .map_or(Request::None, |http| Request::Http(Box::new(http))),
            (None, Some(mcp)) => self
                .mcp(mcp, config, &format!("{path}.mcp"))
                .map_or(Request::None, |mcp| Request::Mcp(Box::new(mcp))),
            (Some(_), Some(_)) => {
                self.fault(
                    format!("{path}.mcp"),
                    FaultCode::Conflict,
                    "A tool has http or mcp, not both.",
                );
                Request::None
            }
        }
    }

    fn mcp(&mut self, mcp: &McpTemplate, config: &ToolConfig, path: &str) -> Option<Mcp> {
        let url = self.url(&mcp.url, &format!("{path}.url"), Place::ToolRequest);
        let headers = self.headers(&mcp.headers, &format!("{path}.headers"), Place::ToolRequest);
        let arguments = match &mcp.arguments {
            Value::Null => None,
            arguments @ (Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_)) => {
                let tree =
                    self.tree(arguments, &format!("{path}.arguments"), Place::ToolRequest)?;
                if !tree.is_object() && !tree.is_single_value() {
                    self.fault(
                        format!("{path}.arguments"),
                        FaultCode::WrongType,
                        "Arguments are a JSON object.",
                    );
                }
                Some(tree)
            }
        };
        let mapping = match &mcp.response_mapping {
            Value::Null => None,
            mapping @ (Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_)) => self.tree(
                mapping,
                &format!("{path}.responseMapping"),
                Place::ToolReply,
            ),
        };
        let timeout_ms = self.timeout(
            mcp.timeout_ms.or(config.policy.timeout_ms),
            &format!("{path}.timeoutMs"),
        );
        Some(Mcp {
            url: url?,
            tool: mcp.tool.clone().unwrap_or_else(|| config.name.clone()),
            headers,
            arguments,
            mapping,
            timeout_ms,
        })
    }

    fn pre_steps(&mut self, config: &ToolConfig, path: &str) -> Vec<PreStep> {
        if config.pre_steps.len() > PRE_STEPS_MAX {
            self.fault(
                format!("{path}.preSteps"),
                FaultCode::TooLarge,
                format!("A tool has at most {PRE_STEPS_MAX} pre-steps."),
            );
            return Vec::new();
        }
        let mut steps: Vec<PreStep> = Vec::new();
        for (index, step) in config.pre_steps.iter().enumerate() {
            let path = format!("{path}.preSteps[{index}]");
            let named = !step.name.is_empty()
                && step
                    .name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !named || steps.iter().any(|other| other.name == step.name) {
                self.fault(
                    format!("{path}.name"),
                    FaultCode::BadName,
                    "A pre-step has a name of its own: letters, digits and _.",
                );
            }
            let http = self.http(
                &step.http,
                &format!("{path}.http"),
                (Place::ToolRequest, Place::ToolReply),
                None,
            );
            let require = step
                .require
                .as_deref()
                .and_then(|text| self.template(text, &format!("{path}.require"), Place::ToolReply));
            steps.extend(http.map(|http| PreStep {
                name: step.name.clone(),
                http,
                require,
                refusal: step.refusal.clone(),
                optional: step.optional,
            }));
        }
        steps
    }

    fn context_updates(&mut self, config: &ToolConfig, path: &str) -> Vec<(String, Tree)> {
        let path = format!("{path}.contextUpdates");
        for name in config.context_updates.keys() {
            if RESERVED_KEYS.contains(&name.as_str()) {
                self.fault(
                    format!("{path}.{name}"),
                    FaultCode::BadName,
                    "This key belongs to the call: no reply can change it. Choose another name.",
                );
            }
        }
        self.trees(&config.context_updates, &path, Place::ToolReply)
    }

    fn condition(&mut self, condition: Option<&Condition>, path: &str) -> bool {
        let Some(condition) = condition else {
            return true;
        };
        let found = json::at(&self.settings.prompt.config, &condition.config_key);
        let value = found.unwrap_or(&Value::Null);
        match condition.operator.as_str() {
            "truthy" => json::truthy(value),
            "falsy" => !json::truthy(value),
            "eq" => json::same(value, &condition.value),
            "neq" => !json::same(value, &condition.value),
            _ => {
                self.fault(
                    format!("{path}.condition.operator"),
                    FaultCode::OutOfRange,
                    "The operator is eq, neq, truthy or falsy.",
                );
                false
            }
        }
    }

    fn guard(&mut self, config: &ToolConfig, request: &Request, path: &str) -> Guard {
        let effect = config
            .policy
            .effect
            .unwrap_or_else(|| default_effect(config, request));
        let confirm = match config.policy.confirm.as_deref() {
            Some("never") => Confirm::Never,
            Some("tainted") => Confirm::Tainted,
            Some("always") => Confirm::Always,
            None if effect == Effect::Note => Confirm::Never,
            None => Confirm::Tainted,
            Some(_) => {
                self.fault(
                    format!("{path}.confirm"),
                    FaultCode::OutOfRange,
                    "confirm is never, tainted or always.",
                );
                Confirm::Always
            }
        };
        let own = match request {
            Request::None => 0,
            Request::Http(http) => http.timeout_ms,
            Request::Mcp(mcp) => mcp.timeout_ms,
        };
        let steps: u32 = config
            .pre_steps
            .iter()
            .map(|step| {
                step.http
                    .timeout_ms
                    .unwrap_or(crate::limits::TOOL_TIMEOUT_MS_DEFAULT)
            })
            .fold(0, u32::saturating_add);
        Guard {
            effect,
            confirm,
            sensitive: config.policy.sensitive,
            max_per_call: config.policy.max_per_call,
            timeout_ms: own.saturating_add(steps).max(1_000),
        }
    }

    fn bound(
        &mut self,
        config: &ToolConfig,
        schema: Option<&Map<String, Value>>,
        request: &Request,
        path: &str,
    ) -> Vec<Bound> {
        let properties = schema
            .and_then(|schema| schema.get("properties"))
            .and_then(Value::as_object);
        for name in config.policy.bind.keys() {
            if !properties.is_some_and(|properties| properties.contains_key(name)) {
                self.fault(
                    format!("{path}.bind.{name}"),
                    FaultCode::UnknownName,
                    "The schema has no argument of this name.",
                );
            }
        }
        let is_required = |name: &str| {
            let required = schema
                .and_then(|schema| schema.get("required"))
                .and_then(Value::as_array);
            required.is_some_and(|required| required.iter().any(|entry| entry == name))
        };
        let mut bound = Vec::new();
        for name in properties.into_iter().flat_map(Map::keys) {
            let Some(text) = self.bound_value(config, name, request, path) else {
                continue;
            };
            let is_caller = text.contains("caller_phone");
            bound.extend(
                self.template(&text, &format!("{path}.bind.{name}"), Place::ToolRequest)
                    .map(|value| Bound {
                        name: name.clone(),
                        value,
                        required: is_required(name),
                        missing: if is_caller {
                            Refusal::CallerUnknown
                        } else {
                            Refusal::NotReady
                        },
                    }),
            );
        }
        bound
    }

    /// The template of what the server fills in; `None`: the argument is the model's.
    fn bound_value(
        &mut self,
        config: &ToolConfig,
        name: &str,
        request: &Request,
        path: &str,
    ) -> Option<String> {
        match config.policy.bind.get(name) {
            Some(Value::Bool(false)) => return None,
            Some(Value::String(text)) => return Some(text.clone()),
            Some(_) => {
                self.fault(
                    format!("{path}.bind.{name}"),
                    FaultCode::WrongType,
                    "bind holds a template for each argument, or false.",
                );
                return None;
            }
            None => {}
        }
        let plain = snake(name);
        let text = match plain.as_str() {
            word if CALLER_ARGUMENTS.contains(&word) => "={{ctx.caller_phone}}",
            "call_id" => "={{ctx.call_id}}",
            "customer_id" => "={{ctx.customer_id}}",
            "tenant_id" | "account_id" => "={{agent.tenantId}}",
            "agent_id" => "={{agent.id}}",
            "final_customer_id" => "={{agent.finalCustomerId}}",
            word if PERSON_ARGUMENTS.contains(&word)
                && (touches_what_exists(config, request)
                    || config.policy.verifies_caller.is_some()) =>
            {
                "={{ctx.caller_phone}}"
            }
            word => {
                // What the agent's own configuration names (an establishment's id…) is not the model's to choose.
                let key = self.settings.prompt.config.iter().find(|(key, value)| {
                    snake(key) == word
                        && word.ends_with("id")
                        && !value.is_null()
                        && !value.is_object()
                        && !value.is_array()
                });
                return key.map(|(key, _)| {
                    format!(
                        "={{{{config['{}']}}}}",
                        key.replace('\\', "\\\\").replace('\'', "\\'")
                    )
                });
            }
        };
        Some(text.to_owned())
    }

    fn id_arguments(&self, schema: &Schema, request: &Request, guard: Guard) -> Vec<String> {
        let known_only = self
            .settings
            .rules
            .policy
            .as_ref()
            .and_then(|policy| policy.known_ids_only)
            .unwrap_or(true);
        let changes = matches!(request, Request::Http(http) if matches!(http.method, Method::Put | Method::Patch | Method::Delete));
        if !known_only || !changes || guard.effect == Effect::Note {
            return Vec::new();
        }
        schema
            .properties()
            .filter(|name| snake(name) == "id" || snake(name).ends_with("_id"))
            .cloned()
            .collect()
    }
}

/// Arguments that say of whom a tool speaks.
fn is_identity(name: &str) -> bool {
    name == "customer_id" || CALLER_ARGUMENTS.contains(&name) || PERSON_ARGUMENTS.contains(&name)
}

/// Reads by GET, or changes by PUT, PATCH or DELETE; a transfer's `phone` is not a person's record.
fn touches_what_exists(config: &ToolConfig, request: &Request) -> bool {
    !config.flags.triggers_transfer
        && matches!(request, Request::Http(http) if http.method != Method::Post)
}

fn default_effect(config: &ToolConfig, request: &Request) -> Effect {
    if config.flags.triggers_transfer {
        return Effect::Transfer;
    }
    // It reads who calls, whatever its name ("confirm_identity").
    if config.policy.verifies_caller.is_some() {
        return Effect::Note;
    }
    let name = snake(&config.name);
    let first = name.split('_').next().unwrap_or_default();
    let changes = match request {
        Request::None => return Effect::Note,
        Request::Http(http) => match http.method {
            Method::Get => return Effect::Note,
            Method::Post => false,
            Method::Put | Method::Patch | Method::Delete => true,
        },
        Request::Mcp(_) => false,
    };
    if changes || COMMITTING_WORDS.contains(&first) {
        Effect::Commit
    } else {
        Effect::Note
    }
}
