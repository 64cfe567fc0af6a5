//! JSON templates: bodies, mappings, context updates. Literals stay, texts are templates, the order of members is kept.

use serde_json::{Map, Value};

use super::value::{Budget, EvalError, Scope};
use super::{Root, Rules, Template};
use crate::fault::{Fault, FaultCode};
use crate::limits::{JSON_DEPTH_MAX, TEMPLATE_NODES_MAX};

/// A compiled JSON template.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Literal(Value),
    Text(Template),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Tree {
    /// Compiles a JSON value; every fault of it is found. Paths begin with `path`.
    pub fn compile(value: &Value, path: &str, rules: Rules) -> Result<Self, Vec<Fault>> {
        let mut compiler = Compiler {
            rules,
            nodes: 0,
            faults: Vec::new(),
        };
        let node = compiler.node(value, path, JSON_DEPTH_MAX);
        if compiler.faults.is_empty() {
            Ok(Self(node))
        } else {
            Err(compiler.faults)
        }
    }

    /// The value; `None`: the whole is one placeholder without a value. A member or an element without a value is left out;
    /// objects and lists that the author wrote stay, even when nothing is left in them.
    pub fn value(&self, scope: &Scope<'_>) -> Result<Option<Value>, EvalError> {
        evaluate(&self.0, scope, &mut Budget::new())
    }

    pub(crate) fn uses(&self, test: impl Fn(Root) -> bool + Copy) -> bool {
        uses(&self.0, test)
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self.0, Node::Object(_))
    }

    pub(crate) fn is_single_value(&self) -> bool {
        matches!(&self.0, Node::Text(template) if template.literal().is_none())
    }
}

fn uses(node: &Node, test: impl Fn(Root) -> bool + Copy) -> bool {
    match node {
        Node::Literal(_) => false,
        Node::Text(template) => template.uses(test),
        Node::Array(items) => items.iter().any(|item| uses(item, test)),
        Node::Object(members) => members.iter().any(|(_, member)| uses(member, test)),
    }
}

fn evaluate(
    node: &Node,
    scope: &Scope<'_>,
    budget: &mut Budget,
) -> Result<Option<Value>, EvalError> {
    match node {
        Node::Literal(value) => {
            budget.spend(crate::json::size(value))?;
            Ok(Some(value.clone()))
        }
        Node::Text(template) => template.spend_value(scope, budget),
        Node::Array(items) => {
            budget.spend(2)?;
            let mut out = Vec::with_capacity(items.len());
            for item in items {
                out.extend(evaluate(item, scope, budget)?);
            }
            Ok(Some(Value::Array(out)))
        }
        Node::Object(members) => {
            budget.spend(2)?;
            let mut out = Map::with_capacity(members.len());
            for (name, member) in members {
                if let Some(value) = evaluate(member, scope, budget)? {
                    budget.spend(name.len() + 4)?;
                    out.insert(name.clone(), value);
                }
            }
            Ok(Some(Value::Object(out)))
        }
    }
}

struct Compiler {
    rules: Rules,
    nodes: usize,
    faults: Vec<Fault>,
}

impl Compiler {
    fn node(&mut self, value: &Value, path: &str, depth: usize) -> Node {
        self.nodes += 1;
        if self.nodes == TEMPLATE_NODES_MAX + 1 {
            self.faults.push(Fault::new(
                path,
                FaultCode::TooLarge,
                format!("There are more than {TEMPLATE_NODES_MAX} values in one template."),
            ));
        }
        if self.nodes > TEMPLATE_NODES_MAX {
            return Node::Literal(Value::Null);
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Node::Literal(value.clone()),
            Value::String(text) => self.text(text, path),
            Value::Array(_) | Value::Object(_) if depth == 0 => {
                self.faults.push(Fault::new(
                    path,
                    FaultCode::TooDeep,
                    format!("The template is nested more than {JSON_DEPTH_MAX} deep."),
                ));
                Node::Literal(Value::Null)
            }
            Value::Array(items) => Node::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.node(item, &format!("{path}[{index}]"), depth - 1))
                    .collect(),
            ),
            Value::Object(members) => Node::Object(
                members
                    .iter()
                    .map(|(name, member)| {
                        (
                            name.clone(),
                            self.node(member, &format!("{path}.{name}"), depth - 1),
                        )
                    })
                    .collect(),
            ),
        }
    }

    fn text(&mut self, text: &str, path: &str) -> Node {
        match Template::compile(text, self.rules) {
            Ok(template) => match template.literal() {
                Some(literal) => Node::Literal(Value::String(literal.to_owned())),
                None => Node::Text(template),
            },
            Err(mut fault) => {
                path.clone_into(&mut fault.path);
                self.faults.push(fault);
                Node::Literal(Value::Null)
            }
        }
    }
}
