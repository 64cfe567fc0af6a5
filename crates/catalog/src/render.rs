//! From a message to a sentence.

use std::sync::OnceLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::types::FluentNumber;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::langid;

use crate::language::Language;
use crate::message::{Message, Param};
use crate::redact;
use crate::registry::{Entry, ParamKind, entry};

/// A message as its reader sees it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Rendered {
    /// What happened, in one sentence or a few.
    pub text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Whether the reader may see telephone numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numbers {
    /// They are masked.
    #[default]
    Masked,
    /// They are shown.
    Shown,
}

/// The sentence of a message, telephone numbers masked.
pub fn render(message: &Message, language: Language) -> Rendered {
    render_with(message, language, Numbers::Masked)
}

/// The sentence of a message. Never fails: an unknown code shows itself with its parameters, a missing parameter shows as `?`.
pub fn render_with(message: &Message, language: Language, numbers: Numbers) -> Rendered {
    let Some(entry) = entry(&message.code) else {
        return Rendered {
            text: unknown(message),
            remedy: None,
        };
    };
    let arguments = arguments(entry, message, language, numbers);
    let bundle = bundle(language);
    let Some(pattern) = bundle.get_message(entry.code) else {
        return Rendered {
            text: unknown(message),
            remedy: None,
        };
    };
    let format = |pattern| {
        bundle
            .format_pattern(pattern, Some(&arguments), &mut Vec::new())
            .into_owned()
    };
    let text = pattern.value().map_or_else(|| unknown(message), format);
    let remedy = pattern
        .get_attribute("remedy")
        .map(|attribute| format(attribute.value()));
    Rendered { text, remedy }
}

/// The message with its telephone numbers and keys redacted, for places that show parameters beside the sentence.
pub fn redacted(message: &Message) -> Message {
    let mut redacted = message.clone();
    for (name, value) in &mut redacted.params {
        match entry(&message.code)
            .and_then(|entry| entry.param(name))
            .map(|spec| spec.kind)
        {
            Some(ParamKind::Phone) => *value = Param::from(redact::phone(&value.to_string())),
            Some(ParamKind::Key) => *value = Param::from(redact::key_tail(&value.to_string())),
            Some(ParamKind::Text | ParamKind::Count | ParamKind::Number | ParamKind::Duration)
            | None => {}
        }
    }
    redacted
}

fn unknown(message: &Message) -> String {
    let mut text = message.code.to_string();
    for (name, value) in &message.params {
        text.push_str(&format!(" {name}={}", redact::phone(&value.to_string())));
    }
    text
}

fn arguments(
    entry: &Entry,
    message: &Message,
    language: Language,
    numbers: Numbers,
) -> FluentArgs<'static> {
    let mut arguments = FluentArgs::new();
    for spec in entry.params {
        let given = message
            .param(spec.name)
            .filter(|value| !matches!(value, Param::Text(text) if text.is_empty()));
        let value = match given {
            Some(value) => argument(spec.kind, value, language, numbers),
            None => FluentValue::from(if spec.optional { ABSENT } else { "?" }),
        };
        arguments.set(spec.name, value);
    }
    arguments
}

/// What a sentence sees of an optional parameter that is absent.
const ABSENT: &str = "none";

fn argument(
    kind: ParamKind,
    value: &Param,
    language: Language,
    numbers: Numbers,
) -> FluentValue<'static> {
    let number = match value {
        Param::Integer(value) => Some(*value),
        Param::Text(text) => text.parse().ok(),
    };
    match (kind, number) {
        (ParamKind::Count, Some(number)) => FluentValue::from(number),
        (ParamKind::Duration, Some(number)) => FluentValue::from(duration(number, language)),
        (ParamKind::Phone, _) if numbers == Numbers::Masked => {
            FluentValue::from(redact::phone(&value.to_string()))
        }
        (ParamKind::Key, _) => FluentValue::from(redact::key_tail(&value.to_string())),
        (
            ParamKind::Text
            | ParamKind::Count
            | ParamKind::Number
            | ParamKind::Duration
            | ParamKind::Phone,
            _,
        ) => FluentValue::from(value.to_string()),
    }
}

/// Milliseconds as people say them: `640 ms`, `1,5 s`, `42 s`, `3 min 05 s`, `1 h 02 min`.
fn duration(ms: i64, language: Language) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms}\u{a0}ms"),
        1..=9 => {
            let decimal = match language {
                Language::Fr => ',',
                Language::En => '.',
            };
            let tenths = (ms + 50) / 100;
            format!("{}{decimal}{}\u{a0}s", tenths / 10, tenths % 10)
        }
        10..=59 => format!("{seconds}\u{a0}s"),
        60..=3_599 => format!("{}\u{a0}min\u{a0}{:02}\u{a0}s", seconds / 60, seconds % 60),
        _ => format!(
            "{}\u{a0}h\u{a0}{:02}\u{a0}min",
            seconds / 3_600,
            seconds / 60 % 60
        ),
    }
}

/// Digits in groups of three: a narrow no-break space in French, a comma in English. From five digits on in English, four in French.
fn grouped(value: &FluentNumber, separator: char) -> String {
    let digits = value.as_string();
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits.as_ref()), |rest| ("-", rest));
    let mut out = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

fn bundle(language: Language) -> &'static FluentBundle<FluentResource> {
    static FRENCH: OnceLock<FluentBundle<FluentResource>> = OnceLock::new();
    static ENGLISH: OnceLock<FluentBundle<FluentResource>> = OnceLock::new();
    match language {
        Language::Fr => FRENCH.get_or_init(|| build(language)),
        Language::En => ENGLISH.get_or_init(|| build(language)),
    }
}

fn build(language: Language) -> FluentBundle<FluentResource> {
    let (id, source) = match language {
        Language::Fr => (langid!("fr"), include_str!("../texts/fr.ftl")),
        Language::En => (langid!("en"), include_str!("../texts/en.ftl")),
    };
    let mut bundle = FluentBundle::new_concurrent(vec![id]);
    // Isolation marks help mixed writing directions; these languages have one, and the marks would break `grep` and terminals.
    bundle.set_use_isolating(false);
    bundle.set_formatter(Some(match language {
        Language::Fr => |value, _| match value {
            FluentValue::Number(number) => Some(grouped(number, '\u{202f}')),
            FluentValue::String(_)
            | FluentValue::Custom(_)
            | FluentValue::None
            | FluentValue::Error => None,
        },
        Language::En => |value, _| match value {
            FluentValue::Number(number) => Some(grouped(number, ',')),
            FluentValue::String(_)
            | FluentValue::Custom(_)
            | FluentValue::None
            | FluentValue::Error => None,
        },
    }));
    // A broken file fails the completeness tests; what of it can be read still serves.
    let resource = match FluentResource::try_new(source.to_owned()) {
        Ok(resource) | Err((resource, _)) => resource,
    };
    bundle.add_resource_overriding(resource);
    bundle
}
