//! Every bound of the room, by name.

use std::time::Duration;

/// Longest URL that is requested, in bytes.
pub const URL_MAX: usize = agent::limits::URL_BYTES_MAX;
/// Largest body that is sent, in bytes.
pub const REQUEST_BODY_MAX: usize = 1024 * 1024;
/// Largest reply that is read, in bytes; a longer one is a failure, never a shortened reply.
pub const REPLY_BODY_MAX: usize = agent::limits::REPLY_BYTES_MAX;
/// Largest answer of a session address, in bytes.
pub const SESSION_BODY_MAX: usize = agent::limits::SESSION_BYTES_MAX;
/// Most headers of a request that a tool may name.
pub const REQUEST_HEADERS_MAX: usize = agent::limits::HEADERS_MAX;
/// Most header lines of a reply (HTTP/1).
pub const REPLY_HEADERS_MAX: usize = 64;
/// Largest header block of a reply (HTTP/2), in bytes.
pub const REPLY_HEADER_BYTES_MAX: u32 = 16 * 1024;

/// How long an exchange may take where nothing else is said: from the look-up of the name to the last byte.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);
/// The longest deadline that a tool may ask for.
pub const DEADLINE_MAX: Duration = Duration::from_secs(60);
/// Look-up, TCP and TLS together.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Look-up of one name.
pub const RESOLVE_WITHIN: Duration = Duration::from_secs(2);
/// Most addresses of one name that are looked at; a name with more is refused.
pub const ADDRESSES_MAX: usize = 64;

/// Most redirects that are followed, GET and HEAD only.
pub const REDIRECTS_MAX: usize = 3;
/// Most attempts of one exchange, the first one included.
pub const ATTEMPTS_MAX: u32 = 3;
/// First pause before another attempt; it doubles, and half of it is random.
pub const RETRY_PAUSE: Duration = Duration::from_millis(150);
/// The longest `Retry-After` that is waited for inside an exchange.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3);

/// Exchanges at a time in the whole process; more wait inside their deadline.
pub const EXCHANGES_MAX: usize = 512;
/// Idle connections kept for one origin.
pub const IDLE_PER_ORIGIN_MAX: usize = 16;
/// How long an idle connection is kept: less than the 5 s after which common servers (Node, uvicorn) close theirs, so that a
/// request that must not be repeated seldom meets a connection that is being closed.
pub const IDLE_KEPT: Duration = Duration::from_secs(4);

/// Most tools that one MCP server may list.
pub const MCP_TOOLS_MAX: usize = 128;
/// Largest message of an MCP server, in bytes.
pub const MCP_MESSAGE_MAX: usize = 256 * 1024;
/// Most pages of a tool list.
pub const MCP_PAGES_MAX: usize = 8;
/// Sessions with MCP servers that are kept open.
pub const MCP_SESSIONS_MAX: usize = 256;
/// How long a tool list is believed.
pub const MCP_TOOLS_KEPT: Duration = Duration::from_secs(300);
/// How long an unused MCP session stays open.
pub const MCP_SESSION_IDLE: Duration = Duration::from_secs(600);

/// Deliveries of the outbox at a time.
pub const DELIVERIES_MAX: usize = 32;
/// Deliveries at a time to one destination (scheme, host and port).
pub const DELIVERIES_PER_DESTINATION_MAX: usize = 4;
/// How long one attempt of a delivery may take.
pub const DELIVERY_WITHIN: Duration = Duration::from_secs(15);
/// How long a claimed row belongs to the process that claimed it. Longer than an attempt can take.
pub const LEASE: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
/// First pause after a failed delivery; it doubles.
pub const DELIVERY_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause between two attempts of a delivery.
pub const DELIVERY_PAUSE_MAX: Duration = Duration::from_secs(3600);
/// Attempts of one delivery, which take a day with the pauses between them; then it is dead. It can be replayed. Attempts are
/// counted rather than time, so that a day on which this process was down is not a day of attempts.
pub const DELIVERY_ATTEMPTS_MAX: u32 = 34;
/// The outbox looks for due rows at least this often.
pub const OUTBOX_LOOKS_EVERY: Duration = Duration::from_secs(5);
/// Longest text of a server's refusal that is passed on, in bytes.
pub const FAILURE_TEXT_MAX: usize = 300;
/// Destinations whose state is remembered, so that a change is logged once.
pub const DESTINATIONS_MAX: usize = 1024;

/// Spans that wait to leave for the collector; those that find no place are lost, and counted.
pub const SPANS_WAITING_MAX: usize = 4_096;
/// Spans of one request to the collector.
pub const SPANS_AT_ONCE_MAX: usize = 512;
/// How long a span waits for others.
pub const SPANS_WAIT: Duration = Duration::from_secs(1);
/// How long one request to the collector may take.
pub const TRACES_WITHIN: Duration = Duration::from_secs(5);
/// Attempts for one batch; then it is lost, and counted.
pub const TRACES_ATTEMPTS: u32 = 3;
/// Pause before the second attempt; the next one is twice as long.
pub const TRACES_PAUSE: Duration = Duration::from_secs(1);
