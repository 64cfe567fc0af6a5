//! The conversation of one telephone call, as a pure state machine.
//!
//! [`Session`] is told what happened ([`Input`]) and says what must be done ([`Effect`]). It opens no socket, reads no clock and
//! never sees audio: playout positions reach it as milliseconds. Time is an argument of every method, so a whole call is a test
//! that runs in microseconds.
//!
//! The contract has three kinds of methods:
//! - *input*: [`Session::handle`], one mutation; it never fails on what a caller, an engine or a tool sends;
//! - *output*: [`Session::poll_effect`], drained to `None` after each input;
//! - *time*: [`Session::poll_timeout`]; once that instant has passed the shell hands in [`Input::Timeout`].
//!
//! The promise to every shell: exactly one [`Effect::Ended`], and nothing after it.
#![forbid(unsafe_code)]

mod answer;
pub mod answering;
mod dictation;
mod disclosure;
pub mod echo;
pub mod effect;
pub mod end;
mod engine_link;
mod goodbye;
pub mod id;
pub mod input;
mod keypad;
pub mod limits;
mod liveness;
pub mod opening;
mod parking;
mod phase;
pub mod planted;
pub mod profile;
pub mod redacted;
mod secure;
pub mod session;
mod tool;
pub mod transcript;
mod transfer;
mod turn;

pub use answering::{Answerer, MachineAction};
pub use dictation::Dictation;
pub use echo::Heard;
pub use effect::{Effect, LocalSound, Purpose, Role, SessionEvent};
pub use end::{EndReason, EndedBy, Severity};
pub use id::{AgentId, CallId, ItemId, LegId, ResponseId, TenantId, ToolCallId};
pub use input::{
    EngineFailure, Input, LegEnd, PersonInput, Requester, ResponseStatus, ToolOutcome,
};
pub use opening::OpeningWords;
pub use parking::Parking;
pub use phase::Phase;
pub use profile::{
    EngineBounds, Filler, GoodbyeBounds, Greeting, Language, Phrases, Profile, Recorded,
    RecordedOpening, Refusal, ToolKind, ToolSpec,
};
pub use redacted::Redacted;
pub use secure::{SecureDigits, TypedDigits};
pub use session::{NoPlace, Session, SessionStart};
pub use transcript::{Speaker, TranscriptEntry};
pub use transfer::{
    ACCEPT_KEY, HUNG_UP, REFUSE_KEY, ScreenOutcome, Seat, TargetDrop, TransferEnd, TransferMode,
    TransferTarget,
};
