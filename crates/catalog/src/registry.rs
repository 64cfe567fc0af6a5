//! The registry: every code that the product can say, with its parameters, its severity and where it is documented.

mod agents;
mod bridge;
mod call_page;
mod command_line;
mod configuration;
mod courier;
mod doctor;
mod end;
mod engine;
mod lifecycle;
mod line_test;
mod log;
mod migrate;
mod notice;
mod office;
mod platform;
mod profile;
mod registration;
mod secrets;
mod service;
mod store;
mod voice;

use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Info,
    /// Somebody may want to look at it.
    Notice,
    /// Something did not work.
    Warning,
    /// A person must act.
    Error,
}

impl Severity {
    /// Lower-case label, the one that is serialised.
    pub fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a parameter is, hence how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParamKind {
    /// Shown as it is.
    Text,
    /// A quantity: digits in groups, and the sentence may choose its plural by it.
    Count,
    /// A number that is a name (port, status, line of a file): plain digits.
    Number,
    /// Milliseconds, shown as a duration.
    Duration,
    /// A telephone number or SIP address: masked unless the reader may see numbers.
    Phone,
    /// A key: its last four characters, whoever reads.
    Key,
}

/// A parameter of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamSpec {
    /// Its name in the message and in the sentences.
    pub name: &'static str,
    /// What it is.
    pub kind: ParamKind,
    /// It may be absent; the sentence then sees `none`.
    pub optional: bool,
}

/// What a code is about; the documentation has one chapter for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// How a call ended.
    End,
    /// Settings that cannot be used.
    Configuration,
    /// States of a line at its operator.
    Registration,
    /// The voice engine.
    Engine,
    /// The store, recordings, the process, the administration API.
    Service,
    /// Lines of the log.
    Log,
    /// Words of the command line, of explanations and of the demonstration.
    Label,
}

/// One code of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code: stable, stored, `snake_case`; also the id of its sentences.
    pub code: &'static str,
    /// Chapter.
    pub group: Group,
    /// How bad it is.
    pub severity: Severity,
    /// Parameters.
    pub params: &'static [ParamSpec],
    /// Anchor in `docs/errors.md`.
    pub anchor: &'static str,
}

impl Entry {
    /// The specification of a parameter.
    pub fn param(&self, name: &str) -> Option<&ParamSpec> {
        self.params.iter().find(|spec| spec.name == name)
    }
}

/// Builds one table of the registry: `Severity code(parameter: Kind, parameter: Kind optional, …);`.
macro_rules! table {
    ($group:ident: $($severity:ident $code:ident($($name:ident: $kind:ident $($optional:ident)?),*);)+) => {
        pub(super) const TABLE: &[super::Entry] = &[$(super::Entry {
            code: stringify!($code),
            group: super::Group::$group,
            severity: super::Severity::$severity,
            params: &[$(super::ParamSpec {
                name: stringify!($name),
                kind: super::ParamKind::$kind,
                optional: super::is_marked(concat!($(stringify!($optional))?)),
            }),*],
            anchor: stringify!($code),
        },)+];
    };
}
use table;

const fn is_marked(mark: &str) -> bool {
    !mark.is_empty()
}

const TABLES: &[&[Entry]] = &[
    end::TABLE,
    configuration::TABLE,
    command_line::TABLE,
    registration::TABLE,
    line_test::TABLE,
    engine::TABLE,
    service::TABLE,
    doctor::TABLE,
    secrets::TABLE,
    store::TABLE,
    log::TABLE,
    voice::TABLE,
    bridge::TABLE,
    lifecycle::TABLE,
    call_page::TABLE,
    notice::TABLE,
    office::TABLE,
    platform::TABLE,
    profile::TABLE,
    migrate::TABLE,
    courier::TABLE,
    agents::TABLE,
];

/// Every code, chapter by chapter.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The entry of a code.
pub fn entry(code: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.code == code)
}

/// The code of the plain verdict of an end reason (its stored label, for example `caller_hung_up`): `end_caller_hung_up`.
/// A label that the registry does not know gives `end_unknown`.
pub fn end_code(reason: &str) -> &'static str {
    end::TABLE
        .iter()
        .find(|entry| entry.code.strip_prefix("end_") == Some(reason))
        .map_or("end_unknown", |entry| entry.code)
}
