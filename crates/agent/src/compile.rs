//! From a definition to something that a call can use, or every fault with its place. All compiling is done here, at save and at
//! reload: a call only evaluates.

mod agent;
mod http;
mod tool;

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::brain::Destination;
use crate::fault::{Fault, FaultCode};
use crate::hours::Hours;
use crate::limits::TOOLS_MAX;
use crate::price::PriceBook;
use crate::settings::{AgentSettings, TransferManner};
use crate::template::{Place, Rules, Template, Tree, UrlTemplate};
use crate::tool::ToolConfig;

pub(crate) use agent::discloses;
pub(crate) use http::{Http, is_header_value};
pub(crate) use tool::{Confirm, Mcp, Request, Tool, target_arguments};

/// A FAQ entry with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaqEntry {
    /// The question.
    pub question: String,
    /// The answer; entries without one are left out of the prompt.
    pub answer: String,
    /// Its category.
    pub category: String,
}

/// All that defines an agent in one version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    /// The agent's id.
    pub agent_id: String,
    /// The tenant's id.
    pub tenant_id: String,
    /// The version of settings and tools.
    pub version: i64,
    /// The agent's name.
    pub name: String,
    /// The final customer's id, when the agent belongs to one.
    pub final_customer_id: Option<String>,
    /// The final customer's margin in percent.
    pub cost_margin_pct: Option<f64>,
    /// The currency of the final customer, else of the tenant.
    pub currency: Option<String>,
    /// `BASE_URL` when the settings name none (the operator's back office).
    pub default_base_url: Option<String>,
    /// The settings.
    pub settings: AgentSettings,
    /// The tools.
    pub tools: Vec<ToolConfig>,
    /// Answered FAQ entries.
    pub faqs: Vec<FaqEntry>,
    /// Price tables of the operator, beside those of the product: the JSON of `price_tables.prices` with `model` and `validFrom`.
    pub price_tables: Vec<Value>,
    /// A text that holds `{{` without a leading `=` is a template (files from before `=`); otherwise it is a fault.
    pub compat: bool,
}

/// A definition that was found good. Shared by all calls of its version.
#[derive(Debug)]
pub struct CompiledAgent {
    pub(crate) definition: Definition,
    pub(crate) zone: TimeZone,
    pub(crate) base_url: Option<String>,
    /// `agent.*` of templates.
    pub(crate) fields: Map<String, Value>,
    pub(crate) words: Words,
    pub(crate) session: Option<Http>,
    pub(crate) initial_context: Tree,
    pub(crate) checks: Vec<Check>,
    pub(crate) hours: Option<Hours>,
    pub(crate) transfers: BTreeMap<String, Target>,
    pub(crate) rules: Vec<(crate::settings::OutcomeRule, Option<Template>)>,
    pub(crate) hooks: Hooks,
    pub(crate) tools: Vec<Tool>,
    pub(crate) prices: PriceBook,
    pub(crate) code: Option<Template>,
}

/// What the agent is told and says.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) prompt: Option<Template>,
    pub(crate) disclosure: Option<Template>,
    pub(crate) recording: Option<Template>,
    pub(crate) known: Option<Template>,
    pub(crate) unknown: Option<Template>,
    /// Said as they are: to anybody, and to a caller whose name is known.
    pub(crate) cached: Option<Template>,
    pub(crate) cached_known: Option<Template>,
    pub(crate) name: Template,
}

/// A pre-call check.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) http: Http,
    pub(crate) block_if: Template,
    pub(crate) message: Option<String>,
    pub(crate) says: bool,
    pub(crate) fail_open: bool,
}

/// A named target of transfers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) destination: Destination,
    pub(crate) description: Option<String>,
    pub(crate) manner: TransferManner,
    /// What its person is told before the caller is joined.
    pub(crate) announcement: Option<Template>,
}

/// What is sent at the edges of a call.
#[derive(Debug)]
pub(crate) struct Hooks {
    pub(crate) on_start: Option<Http>,
    pub(crate) on_no_action: Option<Http>,
    pub(crate) call_end: Option<UrlTemplate>,
}

impl CompiledAgent {
    /// What it was made from.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Its settings.
    pub fn settings(&self) -> &AgentSettings {
        &self.definition.settings
    }

    pub(crate) fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}

/// What is being compiled, and what was found wrong with it.
pub(crate) struct Compiler<'a> {
    pub(crate) settings: &'a AgentSettings,
    pub(crate) compat: bool,
    pub(crate) has_base_url: bool,
    pub(crate) faults: Vec<Fault>,
}

impl Compiler<'_> {
    pub(crate) fn rules(&self, place: Place) -> Rules {
        Rules {
            place,
            compat: self.compat,
        }
    }

    pub(crate) fn fault(
        &mut self,
        path: impl Into<String>,
        code: FaultCode,
        message: impl Into<String>,
    ) {
        self.faults.push(Fault::new(path, code, message));
    }

    pub(crate) fn template(&mut self, text: &str, path: &str, place: Place) -> Option<Template> {
        match Template::compile(text, self.rules(place)) {
            Ok(template) => Some(template),
            Err(mut fault) => {
                path.clone_into(&mut fault.path);
                self.faults.push(fault);
                None
            }
        }
    }

    pub(crate) fn url(&mut self, text: &str, path: &str, place: Place) -> Option<UrlTemplate> {
        match UrlTemplate::compile(text, self.rules(place)) {
            Ok(url) => {
                if !self.has_base_url && url.uses(|root| root == crate::template::Root::BaseUrl) {
                    self.fault(
                        path,
                        FaultCode::Missing,
                        "BASE_URL is not set: give the agent an apiBaseUrl.",
                    );
                }
                Some(url)
            }
            Err(mut fault) => {
                path.clone_into(&mut fault.path);
                self.faults.push(fault);
                None
            }
        }
    }

    pub(crate) fn tree(&mut self, value: &Value, path: &str, place: Place) -> Option<Tree> {
        match Tree::compile(value, path, self.rules(place)) {
            Ok(tree) => Some(tree),
            Err(faults) => {
                self.faults.extend(faults);
                None
            }
        }
    }
}

/// Checks a definition as a whole. All faults are found, not only the first.
pub fn compile(definition: Definition) -> Result<CompiledAgent, Vec<Fault>> {
    let base_url = definition
        .settings
        .prompt
        .api_base_url
        .clone()
        .filter(|url| !url.trim().is_empty())
        .or_else(|| definition.default_base_url.clone())
        .map(|url| url.trim().trim_end_matches('/').to_owned());
    let mut compiler = Compiler {
        settings: &definition.settings,
        compat: definition.compat,
        has_base_url: base_url.is_some(),
        faults: Vec::new(),
    };
    let parts = compiler.agent(base_url.as_deref());
    let tools = compiler.tools(&definition.tools);
    let prices = PriceBook::new(&definition.price_tables, &mut compiler.faults);
    let faults = compiler.faults;
    match (parts, faults.is_empty()) {
        (Some(parts), true) => Ok(CompiledAgent {
            fields: fields(&definition, base_url.as_deref()),
            zone: parts.zone,
            base_url,
            words: parts.words,
            session: parts.session,
            initial_context: parts.initial_context,
            checks: parts.checks,
            hours: parts.hours,
            transfers: parts.transfers,
            rules: parts.rules,
            hooks: parts.hooks,
            tools,
            prices,
            code: parts.code,
            definition,
        }),
        _ => Err(faults),
    }
}

fn fields(definition: &Definition, base_url: Option<&str>) -> Map<String, Value> {
    let settings = &definition.settings;
    let fields = json!({
        "id": definition.agent_id,
        "name": definition.name,
        "version": definition.version,
        "tenantId": definition.tenant_id,
        "finalCustomerId": definition.final_customer_id,
        "timezone": settings.timezone(),
        "language": settings.prompt.language,
        "aiModel": settings.voice.ai_model,
        "aiVoice": settings.voice.ai_voice,
        "apiBaseUrl": base_url,
        "config": settings.prompt.config,
    });
    match fields {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

impl Compiler<'_> {
    fn tools(&mut self, configs: &[ToolConfig]) -> Vec<Tool> {
        if configs.len() > TOOLS_MAX {
            self.fault(
                "tools",
                FaultCode::TooLarge,
                format!("An agent has at most {TOOLS_MAX} tools."),
            );
            return Vec::new();
        }
        let mut order: Vec<(usize, &ToolConfig)> = configs.iter().enumerate().collect();
        order.sort_by_key(|(index, config)| (config.sort_order, *index));
        let mut names = BTreeSet::new();
        let mut tools = Vec::new();
        for (index, config) in order {
            let path = format!("tools[{index}]");
            if !names.insert(config.name.as_str()) {
                self.fault(
                    format!("{path}.name"),
                    FaultCode::Duplicate,
                    format!("There are two tools \"{}\".", config.name),
                );
            }
            tools.extend(self.tool(config, &path));
        }
        tools
    }
}

/// Checks one tool alone, as when it is saved: the faults of the agent around it are not told.
pub fn check_tool(
    config: &ToolConfig,
    settings: &AgentSettings,
    has_base_url: bool,
    compat: bool,
) -> Vec<Fault> {
    let mut compiler = Compiler {
        settings,
        compat,
        has_base_url,
        faults: Vec::new(),
    };
    compiler.tool(config, "");
    for fault in &mut compiler.faults {
        fault.path = fault.path.trim_start_matches('.').to_owned();
    }
    compiler.faults
}
