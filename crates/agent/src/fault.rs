//! What is wrong with a definition, where, and what to do: found when it is saved, not when a customer calls.

use std::fmt;

/// Kinds of fault. [`FaultCode::label`] is the stable name that the catalog and the API know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultCode {
    /// A field has the wrong type.
    WrongType,
    /// A field is missing or empty.
    Missing,
    /// A value is outside of its range or its choices.
    OutOfRange,
    /// A text, list or object is over its limit.
    TooLarge,
    /// Nested too deeply.
    TooDeep,
    /// A placeholder is not closed.
    Unclosed,
    /// A placeholder is empty.
    EmptyPlaceholder,
    /// The path cannot be read.
    BadPath,
    /// The namespace or variable does not exist.
    UnknownName,
    /// The filter does not exist.
    UnknownFilter,
    /// The filter's argument cannot be read.
    BadFilterArgument,
    /// This namespace has no value at this place.
    NotHere,
    /// A text holds `{{` and does not begin with `=`.
    MissingEquals,
    /// The address cannot be used.
    BadUrl,
    /// The header cannot be set.
    BadHeader,
    /// The method is not one of GET, POST, PUT, PATCH, DELETE.
    BadMethod,
    /// The name of a tool, target or key cannot be used.
    BadName,
    /// The name is used twice.
    Duplicate,
    /// The JSON Schema is not valid or refers to something outside of itself.
    BadSchema,
    /// Settings exclude each other.
    Conflict,
    /// The number or address of a transfer is not allowed.
    BadDestination,
    /// The disclosure does not say that a machine speaks.
    DisclosureUnclear,
    /// The time zone, hour or date does not exist.
    BadTime,
}

impl FaultCode {
    /// Stable name, `snake_case`.
    pub fn label(self) -> &'static str {
        match self {
            Self::WrongType => "wrong_type",
            Self::Missing => "missing",
            Self::OutOfRange => "out_of_range",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::Unclosed => "unclosed",
            Self::EmptyPlaceholder => "empty_placeholder",
            Self::BadPath => "bad_path",
            Self::UnknownName => "unknown_name",
            Self::UnknownFilter => "unknown_filter",
            Self::BadFilterArgument => "bad_filter_argument",
            Self::NotHere => "not_here",
            Self::MissingEquals => "missing_equals",
            Self::BadUrl => "bad_url",
            Self::BadHeader => "bad_header",
            Self::BadMethod => "bad_method",
            Self::BadName => "bad_name",
            Self::Duplicate => "duplicate",
            Self::BadSchema => "bad_schema",
            Self::Conflict => "conflict",
            Self::BadDestination => "bad_destination",
            Self::DisclosureUnclear => "disclosure_unclear",
            Self::BadTime => "bad_time",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: `tools[3].http.url`, in the names of the API.
    pub path: String,
    /// The character (from 0) in the text at `path`, when the fault has one.
    pub position: Option<usize>,
    /// What kind.
    pub code: FaultCode,
    /// What is wrong and what to do, one or two English sentences.
    pub message: String,
}

impl Fault {
    /// A fault of a whole field.
    pub fn new(path: impl Into<String>, code: FaultCode, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            position: None,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(position) = self.position {
            write!(f, ", character {position}")?;
        }
        write!(f, ": {} [{}]", self.message, self.code.label())
    }
}

impl std::error::Error for Fault {}
