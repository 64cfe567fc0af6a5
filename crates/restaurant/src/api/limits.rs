//! Bounds of requests.

use std::time::Duration;

/// Largest body, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Largest body of an import, in bytes.
pub const IMPORT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a body may take.
pub const BODY_WITHIN: Duration = Duration::from_secs(20);
/// How far the clock of a signer may be off, in seconds: a request that is older is a repetition.
pub const SIGNATURE_WINDOW_S: i64 = 300;
