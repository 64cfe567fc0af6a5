//! W3C Trace Context (level 1): the header `traceparent`, and the ids of a call's spans.
//!
//! A call's trace has the call's own id, a UUID without its dashes, unless who asked for the call brought a trace along. The ids of spans
//! follow from the call and from what they are spans of: whoever knows the call can name them before they are over and after a restart.

use sha2::{Digest as _, Sha256};

use crate::sign::hex;

/// Name of the header.
pub const HEADER: &str = "traceparent";
/// The only version that there is, and the length of its text.
const VERSION: &str = "00";
const VERSION_00_BYTES: usize = 55;
const SAMPLED: u8 = 1;

/// Whose trace the spans of a call belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: [u8; 16],
    /// The span that asked for the call.
    parent: Option<[u8; 8]>,
    sampled: bool,
    /// What the ids of spans are made of.
    seed: [u8; 32],
}

impl TraceContext {
    /// Of a call. `parent` is the `traceparent` of who asked for it; one that is none is left out, as the recommendation wants it.
    #[must_use]
    pub fn of_call(call: &str, parent: Option<&str>) -> Self {
        let (trace, parent, sampled) = match parent.and_then(read) {
            Some((trace, parent, flags)) => (trace, Some(parent), flags & SAMPLED != 0),
            None => (own_trace(call), None, true),
        };
        let mut hash = Sha256::new();
        hash.update(trace);
        hash.update(call.as_bytes());
        Self {
            trace,
            parent,
            sampled,
            seed: hash.finalize().into(),
        }
    }

    /// Whether a text is a `traceparent`.
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        read(text).is_some()
    }

    /// Id of the trace.
    #[must_use]
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace
    }

    /// The span that asked for the call, in another process.
    #[must_use]
    pub fn parent_id(&self) -> Option<[u8; 8]> {
        self.parent
    }

    /// Whether spans of this call are told: who brought the trace along may have decided that they are not.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Id of the span of the call itself.
    #[must_use]
    pub fn root_id(&self) -> [u8; 8] {
        self.span_id("call", "")
    }

    /// Id of a span of the call: what it is of, and which one.
    #[must_use]
    pub fn span_id(&self, kind: &str, which: &str) -> [u8; 8] {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(kind.as_bytes());
        hash.update([0]);
        hash.update(which.as_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = hash;
        let id = [a, b, c, d, e, f, g, h];
        // Zeros are no id.
        if id == [0; 8] { [1; 8] } else { id }
    }

    /// The header of a request that is made within a span of the call.
    #[must_use]
    pub fn traceparent(&self, kind: &str, which: &str) -> String {
        let flags = u8::from(self.sampled) * SAMPLED;
        let (trace, span) = (hex(&self.trace), hex(&self.span_id(kind, which)));
        format!("{VERSION}-{trace}-{span}-{flags:02x}")
    }
}

fn own_trace(call: &str) -> [u8; 16] {
    match uuid::Uuid::parse_str(call) {
        Ok(id) if !id.is_nil() => id.into_bytes(),
        Ok(_) | Err(_) => {
            let hash: [u8; 32] = Sha256::digest(call.as_bytes()).into();
            hash.first_chunk().copied().unwrap_or([1; 16])
        }
    }
}

/// Trace, span and flags; `None` for what is no `traceparent` (W3C Trace Context 3.2).
fn read(text: &str) -> Option<([u8; 16], [u8; 8], u8)> {
    if text.len() > 512 {
        return None;
    }
    let mut parts = text.splitn(5, '-');
    let version = bytes::<1>(parts.next()?)?;
    let trace = bytes::<16>(parts.next()?)?;
    let span = bytes::<8>(parts.next()?)?;
    let [flags] = bytes::<1>(parts.next()?)?;
    // A later version may say more behind its flags; this one does not, and 255 is none.
    let fits = match version {
        [0] => text.len() == VERSION_00_BYTES,
        [0xFF] => false,
        _ => true,
    };
    (fits && trace != [0; 16] && span != [0; 8]).then_some((trace, span, flags))
}

/// Bytes in hexadecimal digits, of which small ones alone are allowed.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_small = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    if text.len() != 2 * N || !text.as_bytes().iter().all(is_small) {
        return None;
    }
    let mut found = [0; N];
    for (place, pair) in found.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *place = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = "0192f5a0-7b1c-7def-8abc-0123456789ab";
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_call_has_its_own_trace_or_that_of_who_asked_for_it() {
        let own = TraceContext::of_call(CALL, None);
        let header = own.traceparent("tool", "call_1");
        assert!(header.starts_with("00-0192f5a07b1c7def8abc0123456789ab-"));
        assert!(header.ends_with("-01") && TraceContext::is_valid(&header));
        assert_eq!((own.parent_id(), own.is_sampled()), (None, true));
        assert_ne!(header, own.traceparent("tool", "call_2"));
        assert_ne!(header, own.traceparent("webhook", "call_1"));
        assert_eq!(own, TraceContext::of_call(CALL, Some("nonsense")));

        let asked = TraceContext::of_call(CALL, Some(PARENT));
        let header = asked.traceparent("tool", "call_1");
        assert!(header.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert_eq!(
            asked.parent_id().map(|id| hex(&id)).as_deref(),
            Some("00f067aa0ba902b7")
        );
        // Two calls of one trace have spans of their own.
        let other = TraceContext::of_call("another", Some(PARENT));
        assert_ne!(asked.root_id(), other.root_id());
        let silent = TraceContext::of_call(CALL, Some(&PARENT.replace("-01", "-00")));
        assert!(!silent.is_sampled() && silent.traceparent("tool", "").ends_with("-00"));
        assert_ne!(TraceContext::of_call("no uuid", None).trace_id(), [0; 16]);
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let cut = &PARENT[..54];
        let longer = format!("{PARENT}-more");
        let later = longer.replacen("00", "cc", 1);
        assert!(TraceContext::is_valid(PARENT) && TraceContext::is_valid(&later));
        for wrong in [
            "",
            cut,
            &longer,
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "ff", 1),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &PARENT.replace('-', "_"),
            &PARENT.replace("4b", "+b"),
        ] {
            assert!(!TraceContext::is_valid(wrong), "{wrong}");
        }
    }
}
