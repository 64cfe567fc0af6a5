//! Bounds of the API, named.

use std::time::Duration;

/// Largest request body, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Deepest nesting of JSON in a request.
pub const JSON_DEPTH_MAX: usize = 32;
/// A body that takes longer is given up with 408.
pub const BODY_WITHIN: Duration = Duration::from_secs(15);
/// A request line and its headers that take longer, and a connection that is idle for longer, are closed.
pub const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Largest request head, in bytes.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Most headers of a request.
pub const HEADERS_MAX: usize = 100;
/// Connections at once; further ones wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Connections at once from one address that is not loopback.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;
/// How long requests in progress may take when the server stops.
pub const STOP_WITHIN: Duration = Duration::from_secs(3);
/// Longest id, filter or short text in a path or query, in characters.
pub const TEXT_CHARACTERS_MAX: usize = 200;
/// Longest name of an entity, in characters.
pub const NAME_CHARACTERS_MAX: usize = 200;
/// Rows on a page where the client asks for no number, and at most.
pub const PAGE_DEFAULT: u32 = 100;
/// Most rows on a page.
pub const PAGE_MAX: u32 = 500;
/// Most tools of one agent.
pub const TOOLS_MAX: usize = 128;
/// Most entries of one FAQ import.
pub const FAQ_IMPORT_MAX: usize = 1_000;
/// How long the answer to a POST with an Idempotency-Key is kept.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 3600);
/// A request with an Idempotency-Key that has not ended after this time counts as lost with its process.
pub const IDEMPOTENCY_IN_PROGRESS: Duration = Duration::from_secs(120);
/// Longest Idempotency-Key, in characters.
pub const IDEMPOTENCY_KEY_CHARACTERS_MAX: usize = 255;
/// Largest answer that is stored for an Idempotency-Key, in bytes.
pub const IDEMPOTENCY_ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Live events kept for a watcher that comes back with Last-Event-ID.
pub const EVENTS_KEPT_MAX: usize = 2_048;
/// Live events that a slow watcher may be behind before it is told that it lost some.
pub const EVENTS_BEHIND_MAX: usize = 512;
/// Watchers of one credential at once.
pub const WATCHERS_PER_CALLER_MAX: usize = 16;
/// Watchers at once.
pub const WATCHERS_MAX: usize = 512;
/// Calls that one credential listens to at once.
pub const LISTENERS_PER_CALLER_MAX: usize = 16;
/// Listeners of all calls at once.
pub const LISTENERS_ALL_MAX: usize = 256;
/// Files of calls for Wireshark that are made at once; each may take 16 MiB of packets and a file of about four times that.
pub const CAPTURES_AT_ONCE: usize = 2;
/// Pause between two heartbeats of an event stream.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// A session of a user ends after this time.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Least characters of a password.
pub const PASSWORD_CHARACTERS_MIN: usize = 12;
/// Most characters of a password: hashing is expensive.
pub const PASSWORD_CHARACTERS_MAX: usize = 256;
/// Rules of a line about whom it may call.
pub const OUTBOUND_RULES_MAX: usize = 64;
/// Seconds that a call may ring.
pub const RING_SECONDS: std::ops::RangeInclusive<u32> = 5..=120;
/// Seconds that a call may ring where nobody says it (contracts.md 4).
pub const RING_SECONDS_DEFAULT: u32 = 30;
/// Values that come with a call, as JSON, in bytes.
pub const CUSTOM_PARAMS_BYTES_MAX: usize = 16 * 1024;
/// Longest message that is left on an answering machine, in characters: a minute and more of speech.
pub const MACHINE_MESSAGE_CHARACTERS_MAX: usize = 1_000;
/// Longest address that follows a call, in characters.
pub const CALLBACK_CHARACTERS_MAX: usize = 2_048;
/// Rows of one CSV export.
pub const CSV_ROWS_MAX: u32 = 50_000;
/// Last use of a key is written at most this often.
pub const LAST_USED_EVERY: Duration = Duration::from_secs(60);
/// Largest context that a chat is begun with, in bytes of JSON.
pub const CHAT_CONTEXT_BYTES_MAX: usize = 32 * 1024;
/// Chats that one address begins with a public token, a second in the long run.
pub const CHAT_NEW_PER_S: f64 = 0.2;
/// The same at once.
pub const CHAT_NEW_BURST: f64 = 20.0;
/// Messages of one chat by a public token, a second in the long run.
pub const CHAT_SAY_PER_S: f64 = 0.5;
/// The same at once.
pub const CHAT_SAY_BURST: f64 = 10.0;
/// Lines of one answer of `/api/bridges`, which has no pages.
pub const BRIDGES_MAX: usize = 10_000;
