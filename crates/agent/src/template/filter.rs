//! Filters: what may be done to a value on its way. None of them fails: what makes no sense has no value, and the field is left out.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::fmt::strtime;
use serde_json::{Number, Value};

use super::parse::Source;
use super::url::encode;
use super::value::{Scope, plain_text};

pub(crate) const NAMES: &[&str] = &[
    "default",
    "json",
    "int",
    "float",
    "bool",
    "string",
    "urlencode",
    "upper",
    "lower",
    "trim",
    "first",
    "last",
    "join",
    "length",
    "date",
];

/// Characters of a `date` format and of a `join` separator.
const ARGUMENT_CHARS_MAX: usize = 64;

/// A filter with its argument.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filter {
    Default(Source),
    Json,
    Int,
    Float,
    Bool,
    Text,
    UrlEncode,
    Upper,
    Lower,
    Trim,
    First,
    Last,
    Join(String),
    Length,
    Date(String),
}

impl Filter {
    pub(crate) fn named(name: &str, argument: Option<Source>) -> Result<Self, String> {
        if name == "default" {
            return argument.map(Self::Default).ok_or_else(|| {
                "default needs a value, e.g. default(0) or default('none').".to_owned()
            });
        }
        let text = match argument {
            None => None,
            Some(Source::Literal(Value::String(text)))
                if text.chars().count() <= ARGUMENT_CHARS_MAX =>
            {
                Some(text)
            }
            Some(_) => {
                return Err(format!(
                    "The argument of {name} must be a text in quotes of at most {ARGUMENT_CHARS_MAX} characters."
                ));
            }
        };
        let filter = match (name, text) {
            ("join", text) => Self::Join(text.unwrap_or_else(|| ", ".to_owned())),
            ("date", text) => {
                let format = text.unwrap_or_else(|| "%Y-%m-%d".to_owned());
                let trial = Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
                strtime::format(&format, &trial)
                    .map_err(|error| format!("The format of date cannot be used: {error}."))?;
                Self::Date(format)
            }
            (_, Some(_)) => return Err(format!("{name} takes no argument.")),
            ("json", None) => Self::Json,
            ("int", None) => Self::Int,
            ("float", None) => Self::Float,
            ("bool", None) => Self::Bool,
            ("urlencode", None) => Self::UrlEncode,
            ("upper", None) => Self::Upper,
            ("lower", None) => Self::Lower,
            ("trim", None) => Self::Trim,
            ("first", None) => Self::First,
            ("last", None) => Self::Last,
            ("length", None) => Self::Length,
            _ => Self::Text,
        };
        Ok(filter)
    }

    /// The value after the filter; `None`: there is none.
    pub(crate) fn apply<'a>(
        &'a self,
        value: Option<Cow<'a, Value>>,
        scope: &Scope<'a>,
    ) -> Option<Cow<'a, Value>> {
        let present = value.filter(|value| !value.is_null());
        if let Self::Default(source) = self {
            return present.or_else(|| scope.source(source));
        }
        let value = present?;
        let owned = match self {
            Self::Default(_) => return Some(value),
            Self::Json => Value::String(value.to_string()),
            Self::Int => Value::Number(whole(&value)?.into()),
            Self::Float => Value::Number(Number::from_f64(number(&value)?)?),
            Self::Bool => Value::Bool(truth(&value)),
            Self::Text => Value::String(plain_text(&value).into_owned()),
            Self::UrlEncode => Value::String(encode(&plain_text(&value))),
            Self::Upper => Value::String(plain_text(&value).to_uppercase()),
            Self::Lower => Value::String(plain_text(&value).to_lowercase()),
            Self::Trim => Value::String(plain_text(&value).trim().to_owned()),
            Self::First => value.as_array()?.first()?.clone(),
            Self::Last => value.as_array()?.last()?.clone(),
            Self::Join(separator) => {
                let texts: Vec<Cow<'_, str>> = value
                    .as_array()?
                    .iter()
                    .filter(|item| !item.is_null())
                    .map(plain_text)
                    .collect();
                Value::String(texts.join(separator.as_str()))
            }
            Self::Length => Value::Number(length(&value)?.into()),
            Self::Date(format) => date(&value, format, scope)?,
        };
        Some(Cow::Owned(owned))
    }
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.chars().count()),
        Value::Array(items) => Some(items.len()),
        Value::Object(members) => Some(members.len()),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// A number from what people and models write: `12`, `"12"`, `"12,50"`, `true`.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
        Value::String(text) => {
            let text = text.trim();
            let text = if text.contains('.') || text.matches(',').count() != 1 {
                Cow::Borrowed(text)
            } else {
                Cow::Owned(text.replace(',', "."))
            };
            let plain = text
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
            text.parse()
                .ok()
                .filter(|number: &f64| plain && number.is_finite())
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The whole part, towards zero.
fn whole(value: &Value) -> Option<i64> {
    if let Some(exact) = value.as_i64() {
        return Some(exact);
    }
    if let Value::String(text) = value
        && let Ok(exact) = text.trim().parse()
    {
        return Some(exact);
    }
    let number = number(value)?.trunc();
    // Beyond 2^53 a binary fraction names no certain whole number.
    (number.abs() <= 9_007_199_254_740_992.0).then(|| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "compared above, and already whole"
        )]
        let whole = number as i64;
        whole
    })
}

fn truth(value: &Value) -> bool {
    match value {
        Value::String(text) => !matches!(
            text.trim().to_lowercase().as_str(),
            "" | "0" | "false" | "no" | "non" | "off" | "null"
        ),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => crate::json::truthy(other),
    }
}

/// A time (ISO 8601, or seconds since 1970) in the agent's zone.
fn date(value: &Value, format: &str, scope: &Scope<'_>) -> Option<Value> {
    let instant = match value {
        Value::String(text) => instant(text.trim(), scope)?,
        Value::Number(seconds) => Timestamp::from_second(seconds.as_i64()?).ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let zoned = instant.to_zoned(scope.zone.clone());
    strtime::format(format, &zoned).ok().map(Value::String)
}

/// A time without a zone is one of the agent's.
fn instant(text: &str, scope: &Scope<'_>) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    Some(civil.to_zoned(scope.zone.clone()).ok()?.timestamp())
}
