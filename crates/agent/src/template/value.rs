//! Evaluation: from parts and a scope to a value. The only failure is size.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::parse::{Part, Slot, Source, Step};
use super::{Root, Template, VARIABLES};
use crate::json;
use crate::limits::{JSON_DEPTH_MAX, OUTPUT_BYTES_MAX};

/// Why an evaluation gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The result is over its limit.
    #[error("the result is too large")]
    TooLarge,
    /// A value that the address needs is missing.
    #[error("a value that the address needs is missing")]
    Missing,
    /// A value makes an address that must not be used.
    #[error("a value makes an address that cannot be used")]
    BadAddress,
}

/// What the names mean at one moment of one call.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `BASE_URL`.
    pub base_url: Option<&'a str>,
    /// `config.*`.
    pub config: &'a Map<String, Value>,
    /// `ctx.*`.
    pub context: &'a Map<String, Value>,
    /// `data.*`.
    pub data: &'a Map<String, Value>,
    /// `agent.*`.
    pub agent: &'a Map<String, Value>,
    /// Call variables by their canonical names.
    pub variables: &'a Map<String, Value>,
    /// `pre.*`.
    pub pre: Option<&'a Map<String, Value>>,
    /// `$ai`.
    pub arguments: Option<&'a Value>,
    /// `$res`.
    pub reply: Option<&'a Value>,
    /// The agent's zone.
    pub zone: &'a TimeZone,
}

impl<'a> Scope<'a> {
    pub(crate) fn source(&self, source: &'a Source) -> Option<Cow<'a, Value>> {
        match source {
            Source::Literal(value) => Some(Cow::Borrowed(value)),
            Source::Path { root, steps } => self.path(*root, steps),
        }
    }

    fn path(&self, root: Root, steps: &[Step]) -> Option<Cow<'a, Value>> {
        let map = match root {
            Root::BaseUrl => {
                return self
                    .base_url
                    .map(|url| Cow::Owned(Value::String(url.to_owned())));
            }
            Root::Arguments => return below(self.arguments?, steps),
            Root::Reply => return below(self.reply?, steps),
            Root::Variable(position) => {
                let (_, name, _) = VARIABLES.get(position)?;
                return below(self.variables.get(*name)?, steps);
            }
            Root::Config => self.config,
            Root::Context => self.context,
            Root::Data => self.data,
            Root::Pre => self.pre?,
            Root::Agent => self.agent,
        };
        match steps.split_first() {
            None => Some(Cow::Owned(Value::Object(map.clone()))),
            Some((Step::Name(name), rest)) => below(map.get(name)?, rest),
            Some((Step::Index(index), rest)) => below(map.get(&index.to_string())?, rest),
        }
    }

    fn slot(&self, slot: &'a Slot) -> Option<Cow<'a, Value>> {
        let mut value = self.source(&slot.source);
        for filter in &slot.filters {
            value = filter.apply(value, self);
        }
        value.filter(|value| !value.is_null())
    }
}

fn below<'a>(value: &'a Value, steps: &[Step]) -> Option<Cow<'a, Value>> {
    let mut value = value;
    for step in steps {
        value = match (value, step) {
            (Value::Object(members), Step::Name(name)) => members.get(name)?,
            (Value::Object(members), Step::Index(index)) => members.get(&index.to_string())?,
            (Value::Array(items), Step::Index(index)) => items.get(*index)?,
            (Value::Array(items), Step::Name(name)) => items.get(name.parse::<usize>().ok()?)?,
            (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => return None,
        };
    }
    Some(Cow::Borrowed(value))
}

/// A value inside a text: strings as they are, anything else as JSON.
pub(crate) fn plain_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => Cow::Owned(other.to_string()),
    }
}

/// Bytes that an evaluation may still write.
#[derive(Debug)]
pub(crate) struct Budget(usize);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(OUTPUT_BYTES_MAX)
    }

    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.0 = self.0.checked_sub(bytes).ok_or(EvalError::TooLarge)?;
        Ok(())
    }
}

/// Members that are null are left out at every depth: a back office must never see a null that nobody wrote. Places in a list stay.
fn pruned(value: Cow<'_, Value>) -> Value {
    if has_null_member(&value, JSON_DEPTH_MAX) {
        prune(value.into_owned(), JSON_DEPTH_MAX)
    } else {
        value.into_owned()
    }
}

fn has_null_member(value: &Value, depth: usize) -> bool {
    match value {
        Value::Object(members) => members
            .values()
            .any(|member| member.is_null() || (depth > 0 && has_null_member(member, depth - 1))),
        Value::Array(items) => {
            depth > 0 && items.iter().any(|item| has_null_member(item, depth - 1))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn prune(value: Value, depth: usize) -> Value {
    match value {
        Value::Object(members) if depth > 0 => members
            .into_iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(name, member)| (name, prune(member, depth - 1)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) if depth > 0 => items
            .into_iter()
            .map(|item| prune(item, depth - 1))
            .collect::<Vec<_>>()
            .into(),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_)) => other,
    }
}

impl Template {
    /// The value, with its own type where the text is one placeholder; `None`: something in it has no value.
    pub fn value(&self, scope: &Scope<'_>) -> Result<Option<Value>, EvalError> {
        self.spend_value(scope, &mut Budget::new())
    }

    pub(crate) fn spend_value(
        &self,
        scope: &Scope<'_>,
        budget: &mut Budget,
    ) -> Result<Option<Value>, EvalError> {
        if let [Part::Slot(slot)] = self.parts.as_slice() {
            let Some(value) = scope.slot(slot) else {
                return Ok(None);
            };
            budget.spend(json::size(&value))?;
            return Ok(Some(pruned(value)));
        }
        let mut out = String::new();
        let whole = self.write(scope, budget, &mut out)?;
        Ok(whole.then_some(Value::String(out)))
    }

    /// The words, for people and models: what has no value is left blank.
    pub fn prose(&self, scope: &Scope<'_>) -> Result<String, EvalError> {
        let mut out = String::new();
        self.write(scope, &mut Budget::new(), &mut out)?;
        Ok(out)
    }

    /// Whether every placeholder had a value.
    fn write(
        &self,
        scope: &Scope<'_>,
        budget: &mut Budget,
        out: &mut String,
    ) -> Result<bool, EvalError> {
        let mut whole = true;
        for part in &self.parts {
            match part {
                Part::Literal(text) => {
                    budget.spend(text.len())?;
                    out.push_str(text);
                }
                Part::Slot(slot) => match scope.slot(slot) {
                    Some(value) => {
                        let text = plain_text(&value);
                        budget.spend(text.len())?;
                        out.push_str(&text);
                    }
                    None => whole = false,
                },
            }
        }
        Ok(whole)
    }
}

/// The text of one placeholder, for an address.
pub(crate) fn slot_text(slot: &Slot, scope: &Scope<'_>) -> Option<String> {
    scope
        .slot(slot)
        .map(|value| plain_text(&value).into_owned())
}
