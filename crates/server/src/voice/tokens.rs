//! Tokens that let one stream in: each good once, for one call, for a short time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use wire::twilio::Dialect;

use super::accounts::Owner;

/// Tokens that wait for their stream; beyond it the oldest is forgotten, and its call ends unheard.
const TOKENS_MAX: usize = 4_096;

/// What a token lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(crate) dialect: Dialect,
    /// The carrier's name of the call; `None` for a call that we place, until it has one.
    pub(crate) call: Option<String>,
    /// Name of the line.
    pub(crate) line: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) inbound: bool,
    /// The tenant by whose own account of the carrier it comes.
    pub(super) owner: Option<Owner>,
}

struct Waiting {
    until: Instant,
    grant: Grant,
}

/// See the module.
#[derive(Default)]
pub(super) struct Tokens {
    waiting: Mutex<HashMap<String, Waiting>>,
}

impl Tokens {
    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new token: 244 random bits.
    pub(crate) fn issue(&self, now: Instant, until: Instant, grant: Grant) -> String {
        let token = format!(
            "{}{}",
            uuid::Uuid::new_v4().simple(),
            uuid::Uuid::new_v4().simple()
        );
        let mut waiting = self.waiting();
        if waiting.len() >= TOKENS_MAX {
            waiting.retain(|_, known| known.until > now);
        }
        if waiting.len() >= TOKENS_MAX
            && let Some(oldest) = waiting
                .iter()
                .min_by_key(|(_, known)| known.until)
                .map(|(token, _)| token.clone())
        {
            waiting.remove(&oldest);
        }
        waiting.insert(token.clone(), Waiting { until, grant });
        token
    }

    /// Takes what a token lets in. A token that was shown is used up, whoever showed it.
    pub(crate) fn take(&self, now: Instant, token: &str, dialect: Dialect) -> Option<Grant> {
        let known = self.waiting().remove(token)?;
        (known.until > now && known.grant.dialect == dialect).then_some(known.grant)
    }

    pub(crate) fn withdraw(&self, token: &str) {
        self.waiting().remove(token);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn grant() -> Grant {
        Grant {
            dialect: Dialect::Twilio,
            call: Some("CA1".to_owned()),
            line: "voice".to_owned(),
            from: "+1".to_owned(),
            to: "+2".to_owned(),
            inbound: true,
            owner: None,
        }
    }

    #[test]
    fn a_token_is_good_once_in_its_dialect_and_for_its_time() {
        let tokens = Tokens::default();
        let now = Instant::now();
        let until = now + Duration::from_secs(30);
        let token = tokens.issue(now, until, grant());
        assert!(token.len() >= 64);
        assert_eq!(tokens.take(now, &token, Dialect::Twilio), Some(grant()));
        assert_eq!(tokens.take(now, &token, Dialect::Twilio), None);
        let token = tokens.issue(now, until, grant());
        assert_eq!(tokens.take(now, &token, Dialect::Telnyx), None);
        assert_eq!(tokens.take(now, &token, Dialect::Twilio), None, "used up");
        let token = tokens.issue(now, until, grant());
        assert_eq!(tokens.take(until, &token, Dialect::Twilio), None);
    }

    #[test]
    fn the_number_of_tokens_is_bounded() {
        let tokens = Tokens::default();
        let now = Instant::now();
        let first = tokens.issue(now, now + Duration::from_secs(1), grant());
        for _ in 0..TOKENS_MAX {
            tokens.issue(now, now + Duration::from_secs(30), grant());
        }
        assert_eq!(tokens.waiting().len(), TOKENS_MAX);
        assert_eq!(tokens.take(now, &first, Dialect::Twilio), None);
    }
}
