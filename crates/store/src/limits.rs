//! Bounds of what is stored. What is longer is cut and marked, never refused: a record with a gap beats no record.

use std::time::Duration;

/// Largest JSON text of one journal event, in bytes.
pub const EVENT_JSON_BYTES_MAX: usize = 64 * 1024;

/// Largest text of one transcript entry, in bytes.
pub const TRANSCRIPT_TEXT_BYTES_MAX: usize = 16 * 1024;

/// Longest short text of a call's record (numbers, names, paths), in bytes.
pub const FIELD_BYTES_MAX: usize = 1024;

/// Largest statistics of a call, in bytes of JSON.
pub const STATISTICS_BYTES_MAX: usize = 64 * 1024;

/// Most events or transcript entries of one write.
pub const BATCH_MAX: usize = 1_000;

/// Most events of one call that are read at once.
pub const EVENTS_READ_MAX: u32 = 200_000;

/// Most blocks of packets of one call that are read at once.
pub const PACKET_BLOCKS_READ_MAX: u32 = 20_000;

/// Most transcript entries of one call that are read at once.
pub const TRANSCRIPT_READ_MAX: u32 = 20_000;

/// Entries on one page of a list when nothing is asked.
pub const PAGE_DEFAULT: u32 = 50;

/// Most entries on one page of a list.
pub const PAGE_MAX: u32 = 500;

/// Connections that read.
pub const READERS_MAX: u32 = 4;

/// Connections that write to PostgreSQL; SQLite has one.
pub const POSTGRES_WRITERS_MAX: u32 = 8;

/// How long a write waits for another process that writes.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a query waits for a connection.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// How often a process says that it lives.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);

/// A process of another machine whose session with PostgreSQL is gone counts as dead after this much silence: a living one that
/// lost its connection has had several chances to come back.
pub const HEARTBEAT_STALE: Duration = Duration::from_secs(20);

/// Longest text of an entry (settings, a body to deliver), in bytes. A longer one is refused.
pub const ENTRY_TEXT_BYTES_MAX: usize = 1024 * 1024;

/// Longest question of an FAQ entry, in bytes: it is part of an index.
pub const QUESTION_BYTES_MAX: usize = 1024;

/// How often the use of a key is noted at most.
pub const KEY_USE_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

/// Most tools of an agent.
pub const TOOLS_MAX: usize = 128;

/// Longest text of a tool run (arguments, output), in bytes; a longer one is cut and marked.
pub const TOOL_TEXT_BYTES_MAX: usize = 256 * 1024;

/// Most tool runs of one call that are read at once.
pub const TOOL_RUNS_READ_MAX: u32 = 1_000;

/// Most price tables that are read at once.
pub const PRICES_READ_MAX: u32 = 1_000;

/// After how long a request that was begun under an idempotency key and never answered may be begun again.
pub const IDEMPOTENCY_LEASE: jiff::SignedDuration = jiff::SignedDuration::from_secs(120);
/// Numbers of one version of a workflow.
pub const WORKFLOW_NUMBERS_MAX: usize = 200;
/// Versions of a workflow that a list shows.
pub const WORKFLOW_VERSIONS_SHOWN_MAX: i64 = 100;
