//! Process settings: file, `.env`, environment and defaults, read once before any port is bound.
//!
//! Order, strongest first: environment, `.env`, file, default. Every value remembers where it came from, so that an
//! error names the line or the variable, and `allo check --print` shows each origin.

pub(crate) mod read;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::fmt;
use table::{Kind, SETTINGS};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File { path: String, line: usize },
    DotEnv { variable: String },
    Environment { variable: String },
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line } => write!(formatter, "{path}:{line}"),
            Self::DotEnv { variable } => write!(formatter, ".env {variable}"),
            Self::Environment { variable } => write!(formatter, "environment {variable}"),
        }
    }
}

/// A value with its origin. Lists are joined by commas.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// Something wrong with the settings: a catalogue code with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) parameters: Vec<(&'static str, String)>,
}

impl Problem {
    pub(crate) fn new(code: &'static str) -> Self {
        Self {
            code,
            parameters: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.parameters.push((name, value.to_string()));
        self
    }
}

/// All settings, resolved and of the right kind.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    values: BTreeMap<&'static str, Value>,
    /// Variables that are set but have no effect, each with the reason.
    pub(crate) without_effect: Vec<(&'static str, &'static str)>,
}

impl Settings {
    /// The value as text; empty when unset.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.values.get(key).map_or("", |value| value.text.as_str())
    }

    /// The value, where it is set to something.
    pub(crate) fn set(&self, key: &str) -> Option<&str> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    pub(crate) fn origin(&self, key: &str) -> &Origin {
        self.values
            .get(key)
            .map_or(&Origin::Default, |value| &value.origin)
    }

    pub(crate) fn integer(&self, key: &str) -> u64 {
        self.text(key)
            .parse()
            .expect("checked against the setting's kind when it was read")
    }

    pub(crate) fn number(&self, key: &str) -> f64 {
        self.text(key)
            .parse()
            .expect("checked against the setting's kind when it was read")
    }

    pub(crate) fn switch(&self, key: &str) -> bool {
        matches!(self.text(key), "true")
    }

    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        self.text(key)
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Overrides a value from the command line or the demo's defaults.
    pub(crate) fn override_with(
        &mut self,
        key: &'static str,
        text: impl Into<String>,
        origin: Origin,
    ) {
        debug_assert!(
            SETTINGS.iter().any(|setting| setting.key == key),
            "{key} is not a setting"
        );
        self.values.insert(
            key,
            Value {
                text: text.into(),
                origin,
            },
        );
    }

    /// `(key, printable value, origin)` of every setting; secrets masked.
    pub(crate) fn printable(&self) -> Vec<(&'static str, String, String)> {
        SETTINGS
            .iter()
            .map(|setting| {
                let text = self.text(setting.key);
                let shown = if text.is_empty() {
                    String::new()
                } else if setting.kind == Kind::Secret {
                    masked(text)
                } else if setting.key == "line.users" {
                    "***".to_owned()
                } else if setting.key == "server.database" {
                    crate::config::without_password(text)
                } else {
                    text.to_owned()
                };
                (setting.key, shown, self.origin(setting.key).to_string())
            })
            .collect()
    }
}

/// The last four characters of a long secret, as error messages and listings show it.
pub(crate) fn masked(secret: &str) -> String {
    let characters: Vec<char> = secret.chars().collect();
    if characters.len() < 12 {
        return "***".to_owned();
    }
    format!(
        "***{}",
        characters[characters.len() - 4..]
            .iter()
            .collect::<String>()
    )
}

/// Turns a text into the canonical form of its kind, or says what is expected.
pub(crate) fn canonical(kind: Kind, text: &str) -> Result<String, String> {
    let text = text.trim();
    match kind {
        Kind::Text | Kind::Secret | Kind::List => Ok(text.to_owned()),
        Kind::Integer { min, max } => match text.parse::<i64>() {
            Ok(value) if (min..=max).contains(&value) => Ok(value.to_string()),
            _ => Err(format!("{min}-{max}")),
        },
        Kind::Number { min, max } => match text.parse::<f64>() {
            Ok(value) if (min..=max).contains(&value) => Ok(text.to_owned()),
            _ => Err(format!("{min}-{max}")),
        },
        Kind::Switch => match text.to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "oui" => Ok("true".to_owned()),
            "false" | "0" | "no" | "off" | "non" => Ok("false".to_owned()),
            _ => Err("true, false".to_owned()),
        },
        Kind::Choice(choices) => {
            let lower = text.to_lowercase();
            if choices.contains(&lower.as_str()) {
                Ok(lower)
            } else {
                Err(choices.join(", "))
            }
        }
        Kind::Listen => {
            // A word, because an empty variable counts as unset.
            if text.is_empty() || text.eq_ignore_ascii_case("off") {
                Ok(String::new())
            } else if text.parse::<std::net::SocketAddr>().is_ok() {
                Ok(text.to_owned())
            } else {
                Err("127.0.0.1:5060, [::1]:5060, off".to_owned())
            }
        }
        Kind::PortRange => port_range(text)
            .map(|_| text.to_owned())
            .ok_or_else(|| "10000-20000".to_owned()),
    }
}

/// `first-last` with room for at least one pair of ports.
pub(crate) fn port_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (
        first.trim().parse::<u16>().ok()?,
        last.trim().parse::<u16>().ok()?,
    );
    (first >= 1024 && last > first).then_some((first, last))
}
