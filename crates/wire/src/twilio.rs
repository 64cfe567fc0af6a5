//! The WebSocket dialects by which carriers bring a call's audio: Twilio Media Streams and its like (Telnyx, Plivo, Exotel,
//! Vonage).
//!
//! [`Stream`] is our side of one call: the shell gives it the messages of the socket and the agent's audio, and drains
//! [`Stream::poll_event`] and [`Stream::poll_output`] to `None` after every call. The carrier queues what it is sent and plays it
//! in real time, so the state machine's work is to know what the caller has *heard*: how far ahead of real time audio may be sent
//! ([`Stream::room`]), what is proven by marks, and what is left after a `clear` (marks that come after it prove nothing).
//!
//! [`carrier::CarrierSide`] is the other side, for a bridge that is to an application what Twilio is.
//!
//! It never fails on what a carrier sends: nonsense is counted. Beside it: what carriers sign ([`signature`]), and the documents
//! that they are answered with ([`twiml`]).

pub mod carrier;
mod clock;
mod dialect;
mod frame;
pub mod signature;
mod stream;
pub mod twiml;

pub use dialect::{Dialect, Encoding};
pub use frame::Start;
pub use stream::{Counters, Outgoing, Stream, StreamEvent};

/// Largest message taken from a carrier, bytes: the longest audio that one may send (Exotel) is 100 kB before base64.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1_024;
/// Audio that is sent ahead of real time, ms at most: what network jitter may take before the caller hears a hole, and what a
/// barge-in costs at most. It is filled up in pieces of 60 ms, and so is about 200 ms.
pub const LEAD_MS: u32 = 240;
/// Audio in one message, ms at most.
pub const CHUNK_MS_MAX: u32 = 100;
/// Parameters of a stream that are kept.
pub const PARAMETERS_MAX: usize = 32;
/// Longest name or value of a parameter that is kept, bytes (Twilio: 500 characters for both).
pub const PARAMETER_BYTES_MAX: usize = 2_000;
/// Marks that may be outstanding; older ones are forgotten.
pub const MARKS_MAX: usize = 256;
/// Events or messages that may wait to be taken.
pub const QUEUE_MAX: usize = 256;
