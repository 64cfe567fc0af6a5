//! A SIP user agent for many accounts: bytes and time in, bytes, events and deadlines out.
//!
//! No clock, no socket, no thread: the shell owns them (see `docs/adr`, sans-io-core). Methods of
//! [`UserAgent`] are of four kinds: getters; `handle` (something happened outside); commands
//! (`invite`, `answer`, `hang_up`…); and `poll_*`. **One mutation, then drain:** after every
//! `handle` or command call [`UserAgent::poll_output`] until `None`, then sleep until
//! [`UserAgent::poll_timeout`]. What a remote sends can never fail a call of ours: nonsense is
//! answered, or dropped and counted as [`Event::Dropped`].

#![forbid(unsafe_code)]

// messages and bodies
pub mod digest;
pub mod message;
pub mod redact;
pub mod sdp;
pub mod stun;

// user agent
mod account;
mod config;
mod deadline;
mod dialog;
mod endpoint;
mod event;
mod id;
mod invite;
pub mod planted;
pub mod probe;
mod random;
mod registrar;
mod registration;
mod transaction;
mod transport;
mod user_agent;

pub use account::{AccountConfig, CallerIdForm, KeepAlive};
pub use config::{
    Config, InboundCredential, Limits, Listener, Protocol, SessionTimerConfig, TimerConfig,
};
pub use event::{
    DropReason, EndCause, Event, IncomingInvite, Input, Output, Party, Replaced, Target, Trace,
};
pub use id::{AccountId, ConnectionId, DeviceId, InviteId, ListenerId, QueryId};
pub use invite::{CommandError, InviteError, OutgoingInvite, Rejection};
pub use registrar::{Binding, DeviceConfig, RegisterRefusal};
pub use registration::{RegistrationFailure, RegistrationState};
pub use transport::framing::{Frame, Framer, FramingError};
pub use user_agent::{TableSizes, UserAgent};
