//! Why bytes are not a SIP message.

use std::fmt;

/// A text is not what its grammar asks for (a URI, a name-addr, a Via value…).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed")
    }
}

impl std::error::Error for Malformed {}

/// Where and why parsing stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub kind: ParseErrorKind,
    /// Offset in bytes of the line that was refused.
    pub position: usize,
}

/// What was wrong. Header names are the canonical long forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// More than [`crate::message::MESSAGE_BYTES_MAX`] bytes.
    TooLarge,
    /// No empty line ends the header fields.
    Truncated,
    /// Neither a request line nor a status line.
    StartLine,
    /// A request line whose version is not SIP/2.0: to be answered 505.
    Version,
    /// More rows than [`crate::message::HEADERS_MAX`].
    TooManyHeaders,
    /// A line longer than [`crate::message::LINE_BYTES_MAX`].
    LineTooLong,
    /// A control character where none may be.
    ControlCharacter,
    /// A line without a colon, or a name that is not a token.
    HeaderLine,
    /// A required field is absent.
    Missing(&'static str),
    /// A field that may appear once appears again.
    Duplicate(&'static str),
    /// A field's value breaks its grammar or range.
    Invalid(&'static str),
    /// The method of CSeq is not the method of the request line.
    MethodMismatch,
    /// Content-Length is more than the bytes that came.
    BodyTruncated,
}

impl ParseErrorKind {
    /// The status that answers a request refused for this reason.
    pub fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::TooLarge => 513,
            Self::Truncated
            | Self::StartLine
            | Self::TooManyHeaders
            | Self::LineTooLong
            | Self::ControlCharacter
            | Self::HeaderLine
            | Self::Missing(_)
            | Self::Duplicate(_)
            | Self::Invalid(_)
            | Self::MethodMismatch
            | Self::BodyTruncated => 400,
        }
    }
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("message too large"),
            Self::Truncated => f.write_str("header fields not terminated"),
            Self::StartLine => f.write_str("bad start line"),
            Self::Version => f.write_str("unknown SIP version"),
            Self::TooManyHeaders => f.write_str("too many header fields"),
            Self::LineTooLong => f.write_str("line too long"),
            Self::ControlCharacter => f.write_str("control character"),
            Self::HeaderLine => f.write_str("bad header line"),
            Self::Missing(name) => write!(f, "missing {name}"),
            Self::Duplicate(name) => write!(f, "more than one {name}"),
            Self::Invalid(name) => write!(f, "bad {name}"),
            Self::MethodMismatch => f.write_str("CSeq method differs"),
            Self::BodyTruncated => f.write_str("body shorter than Content-Length"),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.position)
    }
}

impl std::error::Error for ParseError {}
