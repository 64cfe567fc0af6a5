//! User agents on a simulated network at virtual time: seeded loss, duplication, delay, reordering, clocks that differ.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail loudly, pick events, and needs an origin of its virtual time"
)]

pub(crate) mod exchange;
pub(crate) mod model;
pub(crate) mod net;
pub(crate) mod registrar;
pub(crate) mod wire_rules;
pub(crate) mod world;

pub(crate) use net::{Net, Side};

/// An SDP body that names its origin, so that a test can tell bodies apart.
pub(crate) fn sdp(label: &str) -> Vec<u8> {
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns={label}\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n")
        .into_bytes()
}
