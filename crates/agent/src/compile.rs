//! From a definition to something that a call can use, or every fault with its place.

use serde_json::Value;

use crate::fault::Fault;
use crate::settings::AgentSettings;
use crate::tool::ToolConfig;

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
}

impl CompiledAgent {
    /// What it was made from.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }
}

/// Checks a definition as a whole.
pub fn compile(definition: Definition) -> Result<CompiledAgent, Vec<Fault>> {
    Ok(CompiledAgent { definition })
}
