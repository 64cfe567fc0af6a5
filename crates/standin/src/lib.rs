//! The stand-in: a faithful OpenAI Realtime GA service with no account and no key, and a scripted telephone that calls.
//!
//! Both are part of the product (`allo engine-standin`, `allo demo`) and judge it in the tests, so this crate shares no
//! code with `wire` (the service's events) and reads the protocol on its own, as JSON values.
//! It is deliberately not a language model: what the agent says comes from a scenario file (`docs/standin.md`), but what it
//! *hears* is really recognised in the audio that arrived.
//!
//! - [`scenario`]: what the caller can say, what the agent answers, faults and timing (TOML).
//! - [`speech`]: espeak-ng as the voice of both.
//! - [`recognise`]: which known utterance, if any, is in a stretch of audio.
//! - [`realtime`]: the service over WebSocket.
//! - [`caller`]: the scripted SIP telephone.
//! - [`carrier`]: a carrier that brings calls by WebSocket, as Twilio does.

pub mod caller;
pub mod carrier;
pub mod law;
pub mod realtime;
pub mod recognise;
pub mod resample;
pub mod scenario;
pub mod speech;
