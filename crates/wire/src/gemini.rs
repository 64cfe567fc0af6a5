//! Gemini Live (`BidiGenerateContent`) over WebSocket, told in the words of [`crate::realtime::EngineEvent`].
//!
//! What differs from the Realtime protocol, and what is made of it here:
//!
//! - The client speaks first (`setup`), and the settings cannot be changed afterwards.
//! - No ids of responses and items: they are made up here (`gem_r1`, `gem_i1`, `gem_u1`).
//! - No `response.create`: the model answers speech and tool results by itself, and is told to speak by a text. Nothing can
//!   be cancelled: what comes of a cancelled response is dropped here.
//! - No report that the caller began or stopped speaking: `interrupted`, the first words of the caller's transcript and the
//!   model's answer stand for it.
//! - No truncation: the service trims its own history at an interruption.
//! - A connection lives for minutes. `goAway` announces its end, a handle resumes the session on the next one.
//! - Linear audio, 16 kHz up and 24 kHz down.

mod client_message;
mod conversation;
mod server_message;

pub use conversation::Conversation;

/// How long an utterance of the caller may go without a further word before it counts as over, in milliseconds.
pub const UTTERANCE_QUIET_MS_MAX: u64 = 4_000;
/// Longest transcript of one utterance or answer, in bytes; what follows is left out and counted.
pub const TRANSCRIPT_BYTES_MAX: usize = 64 * 1024;
/// Longest resumption handle that is kept, in bytes.
pub const HANDLE_BYTES_MAX: usize = 8 * 1024;
/// Notes that wait to be told to the model; further ones are dropped and counted.
pub const NOTES_MAX: usize = 64;
/// Rate of the caller's audio, Hz.
pub const INPUT_RATE_HZ: u32 = 16_000;
/// Rate of the agent's audio, Hz.
pub const OUTPUT_RATE_HZ: u32 = 24_000;
