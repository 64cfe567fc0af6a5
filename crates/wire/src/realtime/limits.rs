//! The named bounds of one conversation.

/// Caller audio kept before the engine is ready, in milliseconds; the oldest is dropped beyond it.
pub const PREBUFFER_MS_MAX: u32 = 15_000;
/// Length of one appended audio message unless set otherwise, in milliseconds.
pub const APPEND_MS_DEFAULT: u32 = 20;
/// Longest appended audio message, in milliseconds (the service takes 15 MiB; this bounds delay).
pub const APPEND_MS_MAX: u32 = 1_000;
/// Caller audio waiting for the shell to send it, in milliseconds; the oldest is dropped beyond it.
/// More than [`PREBUFFER_MS_MAX`], since that arrives here at once when the engine becomes ready.
pub const UNSENT_AUDIO_MS_MAX: u32 = 20_000;
/// Longest text message taken from the engine, in bytes; a longer one is counted and dropped.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Commands waiting for the shell to send them; further ones are dropped and counted.
pub const SENDS_MAX: usize = 2_048;
/// Events waiting for the shell; further ones are dropped and counted.
pub const EVENTS_MAX: usize = 4_096;
/// Items whose received audio is remembered for truncation; the oldest is forgotten beyond it.
pub const ITEMS_MAX: usize = 256;
/// Cancelled responses remembered to know their late audio; the oldest is forgotten beyond it.
pub const RESPONSES_MAX: usize = 64;
/// Tool calls remembered so that none is reported twice; the oldest is forgotten beyond it.
pub const TOOL_CALLS_MAX: usize = 256;
/// Response requests waiting for the active response to end; further ones are dropped and counted.
pub const RESPONSE_REQUESTS_MAX: usize = 8;
/// Times one response request is sent again after the engine said that another one is active.
pub const RESPONSE_RETRIES_MAX: u8 = 5;
/// Longest wait for `response.done` after that answer when no response is known here, in milliseconds.
pub const RESPONSE_BLOCKED_MS_MAX: u64 = 1_000;
/// Longest wait for `response.created` after a request, in milliseconds; then the next one may go.
pub const RESPONSE_CREATED_MS_MAX: u64 = 10_000;
/// How long an engine that cancels by itself at the caller's speech may take before it is told to.
pub const CANCEL_GRACE_MS: u64 = 300;
/// Commands (messages, tool outputs) kept until the engine has spoken; further ones are dropped and counted.
pub const COMMANDS_MAX: usize = 256;
/// Sent commands remembered by id, to know which one an error answers.
pub const SENT_EVENTS_MAX: usize = 64;
/// Messages replayed into a new session; the oldest are left out beyond it.
pub const REPLAY_ITEMS_MAX: usize = 200;
/// Tool calls, rate limits and the like read from one event; the rest is left out.
pub const LIST_MAX: usize = 128;
/// Shortest audio that the service commits, in milliseconds.
pub const COMMIT_MS_MIN: u32 = 100;
