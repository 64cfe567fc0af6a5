//! A signature is of a time, a place and a text, not of the call whose name comes along in a header of its own: so each that changed
//! something is known again for as long as it holds, and is worth nothing under the name of another call.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Signatures that are known at most; beyond, the oldest are forgotten: at 150 requests that change something a second none before
/// its time.
const KNOWN_MAX: usize = 50_000;

/// The signatures of late, and the calls that they came with. Of this process: one that was heard by another node is not known here.
#[derive(Debug, Default)]
pub struct Replays(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    calls: HashMap<String, Option<String>>,
    order: VecDeque<(i64, String)>,
}

impl Replays {
    /// Whether a signature of second `signed_s` may act for a call: it is new, or came with the same call before. `window_s`: how long
    /// a signature holds after and before its time.
    pub(super) fn admits(
        &self,
        signature: &str,
        signed_s: i64,
        call: Option<&str>,
        (now_s, window_s): (i64, i64),
    ) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at, _)) = known.order.front() {
            if known.order.len() < KNOWN_MAX && at.saturating_add(window_s) >= now_s {
                break;
            }
            if let Some((_, over)) = known.order.pop_front() {
                known.calls.remove(&over);
            }
        }
        if let Some(before) = known.calls.get(signature) {
            return before.as_deref() == call;
        }
        let signature = signature.to_owned();
        known
            .calls
            .insert(signature.clone(), call.map(str::to_owned));
        known.order.push_back((signed_s, signature));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_acts_for_one_call() {
        let replays = Replays::default();
        let now = (1_000, 300);
        assert!(replays.admits("a", 1_000, Some("call-1"), now));
        assert!(
            replays.admits("a", 1_000, Some("call-1"), now),
            "a repetition of the same call"
        );
        assert!(!replays.admits("a", 1_000, Some("call-2"), now));
        assert!(!replays.admits("a", 1_000, None, now));
        assert!(replays.admits("b", 1_001, None, now));
        assert!(!replays.admits("b", 1_001, Some("call-2"), now));
        // Whoever checks the window refuses it from then on.
        assert!(replays.admits("c", 1_400, None, (1_400, 300)));
        assert_eq!(replays.0.lock().unwrap().calls.len(), 1);
    }

    #[test]
    fn what_is_known_is_bounded() {
        let replays = Replays::default();
        for index in 0..KNOWN_MAX + 5 {
            assert!(replays.admits(&index.to_string(), 1_000, None, (1_000, 300)));
        }
        assert_eq!(replays.0.lock().unwrap().calls.len(), KNOWN_MAX);
    }
}
