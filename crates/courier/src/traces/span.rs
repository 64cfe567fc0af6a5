//! A span that is over, in our own words.

use jiff::Timestamp;

/// Most events of a span, and most attributes of a span or an event: those that come later are left out, and counted.
pub(super) const PARTS_MAX: usize = 64;
/// Longest text of an attribute, bytes.
pub(super) const TEXT_MAX: usize = 256;

/// Something that is known of a span or an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
}

/// Which side of a request a span is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Within the process.
    #[default]
    Internal,
    /// Somebody asked us.
    Server,
    /// We asked somebody.
    Client,
    /// We told somebody something.
    Producer,
}

/// Whether it went as it should.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody says.
    #[default]
    Unset,
    /// It did.
    Ok,
    /// It did not: a label that says why.
    Failed(String),
}

/// Something that happened within a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub name: &'static str,
}

/// A span that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its trace.
    pub trace: [u8; 16],
    /// Its id.
    pub id: [u8; 8],
    /// The span that it is part of.
    pub parent: Option<[u8; 8]>,
    /// Whether that one is another process's.
    pub has_remote_parent: bool,
    /// What it is of.
    pub name: String,
    /// Which side of a request.
    pub role: Role,
    /// When it began.
    pub began: Timestamp,
    /// When it ended; not before it began.
    pub ended: Timestamp,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// What happened in it.
    pub events: Vec<SpanEvent>,
    /// How it went.
    pub outcome: Outcome,
}
