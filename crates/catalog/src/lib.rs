//! Everything that the product says to people: verdicts, errors, states, log wordings and labels, from one registry.
//!
//! A [`Message`] is a code with its parameters; that is what is stored and sent. It becomes a sentence only when somebody
//! reads it, in the language of the reader ([`render()`]). The registry ([`entry`]) knows for each code how bad it is, which
//! parameters it takes and where its documentation is. The sentences are Fluent files, French first, English complete.
//!
//! Pure: no clock, no file, no environment. What a stranger sent may arrive here as a parameter, so nothing fails: an unknown
//! code, a missing or an overlong parameter still gives a readable line.
#![forbid(unsafe_code)]

mod docs;
pub mod language;
pub mod message;
pub mod redact;
pub mod registry;
pub mod render;

pub use docs::errors_md;
pub use language::Language;
pub use message::{Message, Param};
pub use registry::{Entry, Group, ParamKind, ParamSpec, Severity, end_code, entries, entry};
pub use render::{Numbers, Rendered, redacted, render, render_with};
