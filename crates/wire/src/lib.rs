//! The vendor WebSocket dialects that allo speaks, as typed messages and small state machines.
//!
//! Pure: text, bytes and time in; events and text out. No socket, clock, thread or environment.
//! [`realtime`] is the OpenAI Realtime protocol and the servers that speak the same; [`gemini`] is Gemini Live;
//! [`Dialogue`] is a conversation in either; [`provider`] knows the vendors by name; [`twilio`] is the audio of carriers.
#![forbid(unsafe_code)]

pub mod dialogue;
pub mod gemini;
pub mod provider;
pub mod realtime;
pub mod twilio;

pub use dialogue::Dialogue;
pub use provider::{KeyPlace, Protocol, Provider};
