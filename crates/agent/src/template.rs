//! The template language of contracts.md 3, as a small typed compiler: texts, JSON trees and addresses are compiled when a
//! definition is saved, every fault with its position, and evaluated in a call without a way to fail but size.
//!
//! It is deliberately not a programming language: no loop, no condition, no arithmetic. docs/templates.md is its manual.

mod filter;
mod parse;
mod tree;
mod url;
mod value;

use crate::fault::Fault;

pub use tree::Tree;
pub use url::UrlTemplate;
pub use value::{EvalError, Scope};

pub(crate) use value::plain_text;

/// Where a template stands, hence which namespaces have a value there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The session's address and the pre-call checks: before there are data.
    BeforeCall,
    /// What judges the reply of a pre-call check.
    BeforeCallReply,
    /// Instructions, greeting, disclosure, initial context.
    Prompt,
    /// The request of a tool.
    ToolRequest,
    /// What the person is told whom a caller is handed to.
    Announcement,
    /// What is made of a tool's reply.
    ToolReply,
    /// The end of a call.
    End,
}

/// Namespaces and variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    BaseUrl,
    Config,
    Context,
    Arguments,
    Reply,
    Data,
    Pre,
    Agent,
    /// A call variable, by its position in [`VARIABLES`].
    Variable(usize),
}

/// Call variables with their synonyms: (name, canonical name, only at the end of a call).
pub(crate) const VARIABLES: &[(&str, &str, bool)] = &[
    ("callerPhone", "callerPhone", false),
    ("caller_phone", "callerPhone", false),
    ("callId", "callId", false),
    ("call_id", "callId", false),
    ("calledNumber", "calledNumber", false),
    ("called_number", "calledNumber", false),
    ("direction", "direction", false),
    ("carrier", "carrier", false),
    ("carrierCallId", "carrierCallId", false),
    ("callSid", "carrierCallId", false),
    ("callerVerified", "callerVerified", false),
    ("callerName", "callerName", false),
    ("callerAttestation", "callerAttestation", false),
    ("startedAt", "startedAt", false),
    ("started_at", "startedAt", false),
    ("now_iso", "now_iso", false),
    ("local_date", "local_date", false),
    ("local_time", "local_time", false),
    ("weekday", "weekday", false),
    ("timezone", "timezone", false),
    ("language", "language", false),
    ("call_duration_sec", "call_duration_sec", false),
    ("outcome", "outcome", true),
    ("transcript", "transcript", true),
    ("transcript_summary", "transcript_summary", true),
    ("ended_at", "ended_at", true),
    ("error", "error", true),
];

const NAMESPACES: &[(&str, Root)] = &[
    ("BASE_URL", Root::BaseUrl),
    ("config", Root::Config),
    ("ctx", Root::Context),
    ("$ai", Root::Arguments),
    ("args", Root::Arguments),
    ("$res", Root::Reply),
    ("data", Root::Data),
    ("session", Root::Data),
    ("pre", Root::Pre),
    ("agent", Root::Agent),
];

impl Root {
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMESPACES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, root)| *root)
            .or_else(|| {
                let position = VARIABLES.iter().position(|(known, ..)| *known == name)?;
                Some(Self::Variable(position))
            })
    }

    /// Why this root has no value at a place; `None`: it has one.
    pub(crate) fn missing_at(self, place: Place) -> Option<&'static str> {
        let ends = |position: usize| VARIABLES.get(position).is_some_and(|(.., end)| *end);
        match (self, place) {
            (Self::Arguments | Self::Pre, Place::ToolRequest | Place::ToolReply)
            | (Self::Arguments, Place::Announcement)
            | (Self::Reply, Place::ToolReply | Place::BeforeCallReply) => None,
            (Self::Arguments, _) => Some("arguments exist in tools only"),
            (Self::Pre, _) => Some("pre-steps exist in tools only"),
            (Self::Reply, _) => Some(
                "there is no reply yet: use it in contextUpdates, responseMapping, extraCostResponseField, require or blockIf",
            ),
            (Self::Data, Place::BeforeCall | Place::BeforeCallReply) => {
                Some("the session's data are not there yet: use config, ctx or a call variable")
            }
            (Self::Variable(position), place) if ends(position) && place != Place::End => {
                Some("it is known at the end of the call only")
            }
            (
                Self::BaseUrl
                | Self::Config
                | Self::Context
                | Self::Data
                | Self::Agent
                | Self::Variable(_),
                _,
            ) => None,
        }
    }

    /// The root's value is the operator's own word: it may choose a host.
    pub(crate) fn is_operators(self) -> bool {
        match self {
            Self::BaseUrl | Self::Config | Self::Agent => true,
            Self::Context
            | Self::Arguments
            | Self::Reply
            | Self::Data
            | Self::Pre
            | Self::Variable(_) => false,
        }
    }

    /// The known name that is nearest to a wrong one.
    pub(crate) fn nearest(name: &str) -> Option<&'static str> {
        let wanted = name.to_lowercase();
        let names = NAMESPACES
            .iter()
            .map(|(known, _)| *known)
            .chain(VARIABLES.iter().map(|(known, ..)| *known));
        names
            .map(|known| (distance(&wanted, &known.to_lowercase()), known))
            .filter(|(steps, known)| *steps <= 2 && *steps < known.len())
            .min()
            .map(|(_, known)| known)
    }
}

/// Edit distance, for short names; long ones are far from everything.
fn distance(left: &str, right: &str) -> usize {
    if left.len() > 32 {
        return usize::MAX;
    }
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let change = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// What a compilation needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Where the template stands.
    pub place: Place,
    /// `{{` without a leading `=` is a template rather than a fault.
    pub compat: bool,
}

/// A compiled text: a literal, one value, or words with values in them.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub(crate) parts: Vec<parse::Part>,
}

impl Template {
    /// Compiles a text. The fault's path is empty: the caller knows where the text stands.
    pub fn compile(text: &str, rules: Rules) -> Result<Self, Fault> {
        parse::text(text, rules).map(|parts| Self { parts })
    }

    /// The text itself, when nothing in it is to be filled in.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [parse::Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it is one path into the reply, as it stands there: no word of ours, no filter, no default.
    pub(crate) fn is_path_into_reply(&self) -> bool {
        let [parse::Part::Slot(slot)] = self.parts.as_slice() else {
            return false;
        };
        let parse::Source::Path { root, steps } = &slot.source else {
            return false;
        };
        *root == Root::Reply && !steps.is_empty() && slot.filters.is_empty()
    }

    /// Whether anything in it comes from a root that `test` accepts.
    pub(crate) fn uses(&self, test: impl Fn(Root) -> bool + Copy) -> bool {
        self.parts.iter().any(|part| match part {
            parse::Part::Literal(_) => false,
            parse::Part::Slot(slot) => slot.roots().any(test),
        })
    }
}
