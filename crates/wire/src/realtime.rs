//! The OpenAI Realtime protocol over WebSocket (GA), and its beta dialect for old self-hosted servers.
//!
//! [`Conversation`] is the client's side of one session: the shell gives it the text messages of the
//! socket ([`Conversation::handle_text`]) and the caller's audio, and drains [`Conversation::poll_event`]
//! and [`Conversation::poll_send`] to `None` after every call. It never fails on what the service sends:
//! nonsense is counted ([`Counters`]), unknown event types are [`EngineEvent::Ignored`], unknown fields
//! are skipped. What it sends is exactly what the service knows, since one unknown field rejects a
//! whole `session.update`.
//!
//! It deliberately does not decide anything about the conversation: when to answer, interrupt or
//! truncate is the room `call`'s business. It does know what the protocol permits at a moment, and
//! holds back or drops what would only earn an error.

mod client_event;
mod conversation;
mod dialect;
mod event;
mod fault;
mod items;
mod limits;
pub(crate) mod outbox;
mod responses;
pub(crate) mod server_event;
mod settings;

pub use conversation::{Conversation, Counters};
pub use dialect::{Capabilities, Dialect, SessionShape, Spelling};
pub use event::{EngineEvent, RateLimit, ResponseStatus, Usage};
pub use limits::*;
pub use settings::*;
