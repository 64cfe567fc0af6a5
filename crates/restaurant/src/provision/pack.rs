//! The twelve tools of the restaurant, as data.

use std::sync::OnceLock;

use serde_json::Value;

/// The pack's file.
pub const TOOLS: &str = include_str!("../../pack/tools.json");

/// The tools in their order.
pub fn tools() -> Vec<Value> {
    static READ: OnceLock<Vec<Value>> = OnceLock::new();
    READ.get_or_init(|| serde_json::from_str(TOOLS).expect("the pack is read by a test"))
        .clone()
}

/// Name of a tool.
pub(super) fn name(tool: &Value) -> &str {
    tool.get("name").and_then(Value::as_str).unwrap_or_default()
}
