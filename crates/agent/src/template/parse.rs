//! From text to parts. Positions are characters from the beginning of the text as it was written, its `=` included.

use serde_json::Value;

use super::filter::{self, Filter};
use super::{Place, Root, Rules};
use crate::fault::{Fault, FaultCode};
use crate::limits::{FILTERS_MAX, PATH_STEPS_MAX, PLACEHOLDERS_MAX, TEMPLATE_BYTES_MAX};

/// A piece of a text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Literal(String),
    Slot(Slot),
}

/// One placeholder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slot {
    pub(crate) source: Source,
    pub(crate) filters: Vec<Filter>,
    /// Where it begins.
    pub(crate) position: usize,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    Literal(Value),
    Path { root: Root, steps: Vec<Step> },
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Name(String),
    Index(usize),
}

impl Slot {
    pub(crate) fn roots(&self) -> impl Iterator<Item = Root> {
        let of = |source: &Source| match source {
            Source::Literal(_) => None,
            Source::Path { root, .. } => Some(*root),
        };
        let defaults = self.filters.iter().filter_map(move |filter| match filter {
            Filter::Default(source) => of(source),
            Filter::Json
            | Filter::Int
            | Filter::Float
            | Filter::Bool
            | Filter::Text
            | Filter::UrlEncode
            | Filter::Upper
            | Filter::Lower
            | Filter::Trim
            | Filter::First
            | Filter::Last
            | Filter::Join(_)
            | Filter::Length
            | Filter::Date(_) => None,
        });
        of(&self.source).into_iter().chain(defaults)
    }

    /// Its value is already encoded for an address.
    pub(crate) fn is_encoded(&self) -> bool {
        matches!(self.filters.last(), Some(Filter::UrlEncode))
    }
}

/// Compiles a text.
pub(crate) fn text(text: &str, rules: Rules) -> Result<Vec<Part>, Fault> {
    if text.len() > TEMPLATE_BYTES_MAX {
        return Err(fault(
            FaultCode::TooLarge,
            format!("The text is over {TEMPLATE_BYTES_MAX} bytes; shorten it."),
        ));
    }
    let start = usize::from(text.starts_with('='));
    if start == 0 {
        let Some(byte) = text.find("{{") else {
            return Ok(vec![Part::Literal(text.to_owned())]);
        };
        if !rules.compat {
            return Err(fault(
                FaultCode::MissingEquals,
                "The text holds {{ and is a literal: put = before its first character to have it filled in.",
            )
            .at(text[..byte].chars().count()));
        }
    }
    Parser {
        text,
        byte: start,
        place: rules.place,
    }
    .parts()
}

fn fault(code: FaultCode, message: impl Into<String>) -> Fault {
    Fault::new("", code, message)
}

pub(super) struct Parser<'a> {
    text: &'a str,
    byte: usize,
    place: Place,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.byte..]
    }

    fn fail<T>(&self, code: FaultCode, message: impl Into<String>) -> Result<T, Fault> {
        self.fail_at(self.byte, code, message)
    }

    fn fail_at<T>(
        &self,
        byte: usize,
        code: FaultCode,
        message: impl Into<String>,
    ) -> Result<T, Fault> {
        Err(fault(code, message).at(self.text[..byte].chars().count()))
    }

    fn parts(mut self) -> Result<Vec<Part>, Fault> {
        let mut parts = Vec::new();
        let mut slots = 0;
        while !self.rest().is_empty() {
            let Some(literal) = self.rest().find("{{") else {
                parts.push(Part::Literal(self.rest().to_owned()));
                break;
            };
            if literal > 0 {
                parts.push(Part::Literal(self.rest()[..literal].to_owned()));
                self.byte += literal;
            }
            slots += 1;
            if slots > PLACEHOLDERS_MAX {
                return self.fail(
                    FaultCode::TooLarge,
                    format!("There are more than {PLACEHOLDERS_MAX} placeholders in one text."),
                );
            }
            parts.push(Part::Slot(self.slot()?));
        }
        Ok(parts)
    }

    fn slot(&mut self) -> Result<Slot, Fault> {
        let open = self.byte;
        self.byte += 2;
        self.skip_space();
        if self.rest().starts_with("}}") {
            return self.fail_at(
                open,
                FaultCode::EmptyPlaceholder,
                "The placeholder is empty: write a path between {{ and }}, e.g. {{ctx.call_id}}.",
            );
        }
        let source = self.source(open)?;
        let mut filters = Vec::new();
        loop {
            self.skip_space();
            if self.take("}}") {
                let position = self.text[..open].chars().count();
                return Ok(Slot {
                    source,
                    filters,
                    position,
                });
            }
            if !self.take("|") {
                return self.not_closed(open);
            }
            if filters.len() == FILTERS_MAX {
                return self.fail(
                    FaultCode::TooLarge,
                    format!("There are more than {FILTERS_MAX} filters behind one path."),
                );
            }
            filters.push(self.filter(open)?);
        }
    }

    fn not_closed<T>(&self, open: usize) -> Result<T, Fault> {
        match self.rest().chars().next() {
            None => self.fail_at(
                open,
                FaultCode::Unclosed,
                "The placeholder is not closed: }} is missing.",
            ),
            Some(found) => self.fail(
                FaultCode::BadPath,
                format!(
                    "\"{found}\" cannot stand here: after a path come | with a filter, or }}}}."
                ),
            ),
        }
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.byte += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, expected: &str) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.byte += expected.len();
        }
        found
    }

    /// Letters, digits and `_ - $` (letters of any script).
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '$')))
            .unwrap_or(rest.len());
        self.byte += end;
        &rest[..end]
    }

    fn source(&mut self, open: usize) -> Result<Source, Fault> {
        if let Some(quote) = self.quote() {
            return self
                .quoted(quote, open)
                .map(|text| Source::Literal(Value::String(text)));
        }
        let start = self.byte;
        let name = self.word();
        if name.is_empty() {
            return self.not_closed(open);
        }
        let Some(root) = Root::named(name) else {
            let hint = Root::nearest(name).map_or_else(
                || "Known are BASE_URL, config, ctx, $ai, $res, data, pre, agent and the call variables (docs/templates.md).".to_owned(),
                |near| format!("Did you mean \"{near}\"?"),
            );
            return self.fail_at(
                start,
                FaultCode::UnknownName,
                format!(
                    "There is no namespace or variable \"{}\". {hint}",
                    short(name)
                ),
            );
        };
        if let Some(why) = root.missing_at(self.place) {
            return self.fail_at(
                start,
                FaultCode::NotHere,
                format!("\"{name}\" has no value here: {why}."),
            );
        }
        let steps = self.steps(open)?;
        if !steps.is_empty() && matches!(root, Root::BaseUrl | Root::Variable(_)) && !is_list(name)
        {
            return self.fail_at(
                start,
                FaultCode::BadPath,
                format!("\"{name}\" is a text and has nothing below it; remove what follows it."),
            );
        }
        Ok(Source::Path { root, steps })
    }

    fn steps(&mut self, open: usize) -> Result<Vec<Step>, Fault> {
        let mut steps = Vec::new();
        loop {
            if steps.len() >= PATH_STEPS_MAX {
                return self.fail(
                    FaultCode::TooDeep,
                    format!("A path has at most {PATH_STEPS_MAX} steps."),
                );
            }
            if self.take(".") {
                let start = self.byte;
                let name = self.word();
                if name.is_empty() {
                    return self.fail_at(
                        start,
                        FaultCode::BadPath,
                        "A name or number must follow the dot.",
                    );
                }
                steps.push(Step::Name(name.to_owned()));
            } else if self.take("[") {
                steps.push(self.bracket(open)?);
            } else {
                return Ok(steps);
            }
        }
    }

    fn bracket(&mut self, open: usize) -> Result<Step, Fault> {
        self.skip_space();
        let start = self.byte;
        let step = if let Some(quote) = self.quote() {
            Step::Name(self.quoted(quote, open)?)
        } else {
            match self.word().parse() {
                Ok(index) => Step::Index(index),
                Err(_) => {
                    return self.fail_at(
                        start,
                        FaultCode::BadPath,
                        "Between [ and ] stands a number from 0 or a name in quotes.",
                    );
                }
            }
        };
        self.skip_space();
        if self.take("]") {
            Ok(step)
        } else {
            self.fail(FaultCode::BadPath, "A ] is missing.")
        }
    }

    fn quote(&self) -> Option<char> {
        self.rest()
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''))
    }

    /// A text in quotes; a backslash takes the next character as it is.
    fn quoted(&mut self, quote: char, open: usize) -> Result<String, Fault> {
        self.byte += 1;
        let mut out = String::new();
        let mut escaped = false;
        for (offset, c) in self.rest().char_indices() {
            if escaped {
                out.push(c);
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == quote {
                self.byte += offset + 1;
                return Ok(out);
            } else {
                out.push(c);
            }
        }
        self.fail_at(open, FaultCode::Unclosed, "A text in quotes is not closed.")
    }

    fn filter(&mut self, open: usize) -> Result<Filter, Fault> {
        self.skip_space();
        let start = self.byte;
        let name = self.word();
        if !filter::NAMES.contains(&name) {
            return self.fail_at(
                start,
                FaultCode::UnknownFilter,
                format!(
                    "There is no filter \"{}\". Filters are {}.",
                    short(name),
                    filter::NAMES.join(", ")
                ),
            );
        }
        self.skip_space();
        let argument = if self.take("(") {
            self.skip_space();
            let argument = if self.rest().starts_with(')') {
                None
            } else {
                Some(self.argument(open)?)
            };
            self.skip_space();
            if !self.take(")") {
                return self.fail(
                    FaultCode::BadFilterArgument,
                    "A ) is missing behind the filter's argument.",
                );
            }
            argument
        } else {
            None
        };
        Filter::named(name, argument)
            .or_else(|message| self.fail_at(start, FaultCode::BadFilterArgument, message))
    }

    /// A text in quotes, a number, true, false, null, or a path.
    fn argument(&mut self, open: usize) -> Result<Source, Fault> {
        if self.quote().is_some() {
            return self.source(open);
        }
        let start = self.byte;
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+')))
            .unwrap_or(rest.len());
        // JSON knows these words and numbers; anything else is a path or a mistake.
        if let Ok(value) = serde_json::from_str::<Value>(&rest[..end])
            && !value.is_string()
        {
            self.byte += end;
            return Ok(Source::Literal(value));
        }
        self.source(open).or_else(|fault| match fault.code {
            FaultCode::UnknownName => self.fail_at(
                start,
                FaultCode::BadFilterArgument,
                "A text must stand in quotes, e.g. default('none').",
            ),
            FaultCode::WrongType
            | FaultCode::Missing
            | FaultCode::OutOfRange
            | FaultCode::TooLarge
            | FaultCode::TooDeep
            | FaultCode::Unclosed
            | FaultCode::EmptyPlaceholder
            | FaultCode::BadPath
            | FaultCode::UnknownFilter
            | FaultCode::BadFilterArgument
            | FaultCode::NotHere
            | FaultCode::MissingEquals
            | FaultCode::BadUrl
            | FaultCode::BadHeader
            | FaultCode::BadMethod
            | FaultCode::BadName
            | FaultCode::Duplicate
            | FaultCode::BadSchema
            | FaultCode::Conflict
            | FaultCode::BadDestination
            | FaultCode::DisclosureUnclear
            | FaultCode::BadTime => Err(fault),
        })
    }
}

/// The transcript is a list; every other variable is a text, a number or true or false.
fn is_list(name: &str) -> bool {
    name == "transcript"
}

fn short(name: &str) -> String {
    name.chars().take(40).collect()
}
