//! The arguments of a tool call: JSON text that a model wrote. Parsed with bounds and compared with the tool's own schema, as far as
//! a call can be stopped by it: required members, types and choices of the first level.

use std::fmt::Write as _;

use crate::limits::{TOOL_ARGUMENTS_BYTES_MAX, TOOL_ARGUMENTS_DEPTH_MAX};

/// A JSON value (RFC 8259). Numbers keep their text: nothing here computes with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bool,
    Number { whole: bool },
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Value {
    /// The member of an object; the last one when a name is repeated.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members
                .iter()
                .rev()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            Self::Null | Self::Bool | Self::Number { .. } | Self::Text(_) | Self::Array(_) => None,
        }
    }

    fn texts(&self) -> Vec<&str> {
        match self {
            Self::Array(values) => values.iter().filter_map(Self::as_text).collect(),
            Self::Text(text) => vec![text],
            Self::Null | Self::Bool | Self::Number { .. } | Self::Object(_) => Vec::new(),
        }
    }

    fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool | Self::Number { .. } | Self::Array(_) | Self::Object(_) => {
                None
            }
        }
    }

    fn is_of(&self, type_name: &str) -> bool {
        match self {
            Self::Null => type_name == "null",
            Self::Bool => type_name == "boolean",
            Self::Number { whole } => type_name == "number" || (*whole && type_name == "integer"),
            Self::Text(_) => type_name == "string",
            Self::Array(_) => type_name == "array",
            Self::Object(_) => type_name == "object",
        }
    }
}

/// Why a text is not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParseError {
    TooLong,
    TooDeep,
    Malformed { position: usize },
}

/// Parses a whole text.
pub(crate) fn parse(text: &str) -> Result<Value, ParseError> {
    if text.len() > TOOL_ARGUMENTS_BYTES_MAX {
        return Err(ParseError::TooLong);
    }
    let mut parser = Parser {
        bytes: text.as_bytes(),
        position: 0,
    };
    let value = parser.value(0)?;
    parser.skip_space();
    if parser.position < parser.bytes.len() {
        return parser.malformed();
    }
    Ok(value)
}

/// Parses the arguments of a call and compares them with the tool's schema. The error is a sentence for the model.
pub(crate) fn check(text: &str, schema: &str) -> Result<Value, String> {
    // Models write nothing at all for a tool without parameters.
    let text = if text.trim().is_empty() { "{}" } else { text };
    let arguments = match parse(text) {
        Ok(value @ Value::Object(_)) => value,
        Ok(Value::Null | Value::Bool | Value::Number { .. } | Value::Text(_) | Value::Array(_)) => {
            return Err("the arguments must be a JSON object".to_owned());
        }
        Err(ParseError::TooLong) => return Err("the arguments are too long".to_owned()),
        Err(ParseError::TooDeep) => return Err("the arguments are nested too deeply".to_owned()),
        Err(ParseError::Malformed { position }) => {
            return Err(format!(
                "the arguments are not valid JSON at character {position}"
            ));
        }
    };
    // A schema that cannot be read stops nothing: it was checked when the tool was stored.
    if let Ok(schema) = parse(schema) {
        compare(&arguments, &schema)?;
    }
    Ok(arguments)
}

fn compare(arguments: &Value, schema: &Value) -> Result<(), String> {
    let required = schema
        .member("required")
        .map(Value::texts)
        .unwrap_or_default();
    for name in &required {
        if arguments.member(name).is_none() {
            return Err(format!("the argument {name} is missing"));
        }
    }
    let (Value::Object(members), Some(properties)) = (arguments, schema.member("properties"))
    else {
        return Ok(());
    };
    for (name, value) in members {
        let Some(property) = properties.member(name) else {
            continue;
        };
        // Models write null for what they leave out.
        if *value == Value::Null && !required.contains(&name.as_str()) {
            continue;
        }
        let types = property
            .member("type")
            .map(Value::texts)
            .unwrap_or_default();
        if !types.is_empty() && !types.iter().any(|type_name| value.is_of(type_name)) {
            return Err(format!(
                "the argument {name} must be of type {}",
                types.join(" or ")
            ));
        }
        let choices = property
            .member("enum")
            .map(Value::texts)
            .unwrap_or_default();
        if let Value::Text(text) = value
            && !choices.is_empty()
            && !choices.contains(&text.as_str())
        {
            return Err(format!(
                "the argument {name} must be one of {}",
                choices.join(", ")
            ));
        }
    }
    Ok(())
}

/// A refusal as the model reads it.
pub(crate) fn refusal_output(reason: &str) -> String {
    let mut output = String::from(r#"{"success":false,"error":""#);
    for c in reason.chars() {
        match c {
            '"' => output.push_str("\\\""),
            '\\' => output.push_str("\\\\"),
            '\n' => output.push_str("\\n"),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(output, "\\u{:04x}", u32::from(c));
            }
            c => output.push(c),
        }
    }
    output.push_str("\"}");
    output
}

struct Parser<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Parser<'_> {
    fn malformed<T>(&self) -> Result<T, ParseError> {
        Err(ParseError::Malformed {
            position: self.position,
        })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn take(&mut self, expected: &str) -> bool {
        let found = self.bytes[self.position..].starts_with(expected.as_bytes());
        if found {
            self.position += expected.len();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, ParseError> {
        if depth > TOOL_ARGUMENTS_DEPTH_MAX {
            return Err(ParseError::TooDeep);
        }
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.text().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.take("true") || self.take("false") => Ok(Value::Bool),
            _ if self.take("null") => Ok(Value::Null),
            _ => self.malformed(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.position += 1;
        let mut members = Vec::new();
        self.skip_space();
        if self.take("}") {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return self.malformed();
            }
            let name = self.text()?;
            self.skip_space();
            if !self.take(":") {
                return self.malformed();
            }
            members.push((name, self.value(depth + 1)?));
            self.skip_space();
            if self.take("}") {
                return Ok(Value::Object(members));
            }
            if !self.take(",") {
                return self.malformed();
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.position += 1;
        let mut values = Vec::new();
        self.skip_space();
        if self.take("]") {
            return Ok(Value::Array(values));
        }
        loop {
            values.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take("]") {
                return Ok(Value::Array(values));
            }
            if !self.take(",") {
                return self.malformed();
            }
        }
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let start = self.position;
        while matches!(
            self.peek(),
            Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
        ) {
            self.position += 1;
        }
        let text = std::str::from_utf8(&self.bytes[start..self.position]).unwrap_or_default();
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Number {
                whole: number.fract() == 0.0,
            }),
            _ => self.malformed(),
        }
    }

    fn text(&mut self) -> Result<String, ParseError> {
        self.position += 1;
        let mut text = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    // The input is UTF-8 and escapes push whole characters, so this never replaces anything.
                    return Ok(String::from_utf8_lossy(&text).into_owned());
                }
                Some(b'\\') => {
                    let c = self.escape()?;
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte) if byte >= b' ' => {
                    text.push(byte);
                    self.position += 1;
                }
                _ => return self.malformed(),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        self.position += 1;
        let Some(letter) = self.peek() else {
            return self.malformed();
        };
        self.position += 1;
        match letter {
            b'"' | b'\\' | b'/' => Ok(char::from(letter)),
            b'b' => Ok('\u{8}'),
            b'f' => Ok('\u{c}'),
            b'n' => Ok('\n'),
            b'r' => Ok('\r'),
            b't' => Ok('\t'),
            b'u' => {
                let high = self.hex()?;
                if (0xd800..0xdc00).contains(&high) && self.take("\\u") {
                    let low = self.hex()?;
                    let code =
                        0x1_0000 + ((high - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
                    return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            _ => self.malformed(),
        }
    }

    fn hex(&mut self) -> Result<u32, ParseError> {
        let Some(digits) = self.bytes.get(self.position..self.position + 4) else {
            return self.malformed();
        };
        let mut code = 0;
        for digit in digits {
            let Some(value) = char::from(*digit).to_digit(16) else {
                return self.malformed();
            };
            code = code * 16 + value;
        }
        self.position += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"object","properties":{"mode":{"type":"string","enum":["pickup","delivery"]},
        "size":{"type":"integer"},"note":{"type":["string","null"]}},"required":["mode"]}"#;

    fn refused(arguments: &str) -> String {
        check(arguments, SCHEMA).unwrap_err()
    }

    #[test]
    fn arguments_are_compared_with_the_schema() {
        assert!(
            check(
                r#"{"mode":"pickup","size":2,"note":null,"more":[1,{"a":"\u00e9\n"}]}"#,
                SCHEMA
            )
            .is_ok()
        );
        assert!(check(r#"{"mode":"pickup","size":null}"#, SCHEMA).is_ok());
        assert_eq!(
            refused(r#"{"mode":null}"#),
            "the argument mode must be of type string"
        );
        assert_eq!(refused("{}"), "the argument mode is missing");
        assert_eq!(refused(""), "the argument mode is missing");
        assert_eq!(
            refused(r#"{"mode":"dine_in"}"#),
            "the argument mode must be one of pickup, delivery"
        );
        assert_eq!(
            refused(r#"{"mode":"pickup","size":2.5}"#),
            "the argument size must be of type integer"
        );
        assert_eq!(
            refused(r#"{"mode":3}"#),
            "the argument mode must be of type string"
        );
        assert_eq!(refused("[]"), "the arguments must be a JSON object");
        assert_eq!(
            refused(r#"{"mode":"pick"#),
            "the arguments are not valid JSON at character 13"
        );
    }

    #[test]
    fn hostile_text_is_bounded() {
        assert_eq!(parse(&"[".repeat(10_000)), Err(ParseError::TooDeep));
        assert_eq!(parse(&" ".repeat(20_000)), Err(ParseError::TooLong));
        for text in [
            "{",
            "\"\\u12",
            "{\"a\"",
            "{\"a\":}",
            "[1,",
            "tru",
            "1e999",
            "-",
            "{} x",
            "\"\\ud800\\u",
            "\u{1}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn surrogates_make_one_character() {
        assert_eq!(parse(r#""\ud83c\udf55""#), Ok(Value::Text("🍕".to_owned())));
    }

    #[test]
    fn a_refusal_is_valid_json() {
        let output = refusal_output("it said \"no\"\n\u{1}");
        assert_eq!(
            parse(&output).unwrap().member("error"),
            Some(&Value::Text("it said \"no\"\n\u{1}".to_owned()))
        );
    }
}
