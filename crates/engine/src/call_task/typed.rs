//! Digits that a caller typed in secrecy, on their way into one request.
//!
//! The brain, the row of the run and the model see a blank of random digits. It is filled in the copy of the request that goes to
//! the wire, and made a blank again in what comes back.

use agent::{Definition, HttpCall, McpCall};
use call::{SecureDigits, TypedDigits};
use serde_json::Value;

use crate::random;

/// Length of a blank: long enough to be found nowhere else in a request.
const BLANK_DIGITS: usize = 24;
/// Field of a tool that says which argument the caller types.
const FIELD: &str = "secureDigits";
/// How long the caller may type, unless the tool says otherwise, in milliseconds.
const WAIT_MS: u32 = 60_000;
/// Most digits, unless the tool says otherwise: a card number.
const DIGITS_MAX: u8 = 19;

/// What stands for the digits.
#[derive(Clone)]
pub(crate) struct Blank {
    argument: String,
    text: String,
    digits: TypedDigits,
}

impl Blank {
    pub(super) fn new(argument: String, digits: TypedDigits) -> Self {
        let mut text = String::new();
        while text.len() < BLANK_DIGITS {
            text.push_str(&random::seed().to_string());
        }
        text.truncate(BLANK_DIGITS);
        Self {
            argument,
            text,
            digits,
        }
    }

    /// The arguments with the blank in its place.
    pub(super) fn put_into(&self, arguments: &str) -> String {
        let mut value: Value = serde_json::from_str(arguments)
            .unwrap_or_else(|_| Value::Object(serde_json::Map::new()));
        if let Some(members) = value.as_object_mut() {
            members.insert(self.argument.clone(), Value::String(self.text.clone()));
        }
        value.to_string()
    }

    pub(super) fn fill(&self, mut call: HttpCall) -> HttpCall {
        call.url = self.filled(&call.url);
        call.body = call.body.map(|body| self.filled(&body));
        for (_, value) in &mut call.headers {
            *value = self.filled(value);
        }
        call
    }

    pub(super) fn fill_mcp(&self, mut call: McpCall) -> McpCall {
        let text = self.filled(&call.arguments.to_string());
        if let Ok(arguments) = serde_json::from_str(&text) {
            call.arguments = arguments;
        }
        call
    }

    fn filled(&self, text: &str) -> String {
        text.replace(&self.text, self.digits.reveal())
    }

    /// A service may send back what it was given.
    pub(super) fn hide(&self, text: &str) -> String {
        text.replace(self.digits.reveal(), "…")
            .replace(&self.text, "…")
    }
}

/// The argument that the caller types for a tool.
pub(super) fn argument(definition: &Definition, tool: &str) -> Option<String> {
    let tool = definition.tools.iter().find(|known| known.name == tool)?;
    let argument = tool.extra.get(FIELD)?.get("argument")?;
    argument.as_str().map(str::to_owned)
}

/// How the digits are asked for.
pub(super) fn wanted(definition: &Definition, tool: &str) -> Option<SecureDigits> {
    argument(definition, tool)?;
    let tool = definition.tools.iter().find(|known| known.name == tool)?;
    let number = |name: &str| tool.extra.get(FIELD)?.get(name)?.as_u64();
    Some(SecureDigits {
        digits_max: number("max")
            .and_then(|max| u8::try_from(max).ok())
            .unwrap_or(DIGITS_MAX),
        wait_ms: number("waitSec")
            .and_then(|seconds| u32::try_from(seconds * 1_000).ok())
            .unwrap_or(WAIT_MS),
    })
}
