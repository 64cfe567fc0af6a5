//! Keys of a person who has the caller: a code is for us, and everything else for the caller. A key that may begin a code is kept until
//! it is known which of the two it is, or for a moment.

use std::time::Instant;

use crate::limits::KEYS_OF_CODE_WITHIN;
use crate::parking::PARKING_KEYS;

/// What a key means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    /// It may belong to the code.
    Kept,
    /// The code is complete: park the caller.
    Parks,
    /// These keys are the caller's.
    Passed(String),
}

/// The keys that may become a code.
#[derive(Debug, Default)]
pub(super) struct CodeKeys {
    kept: String,
    until: Option<Instant>,
}

impl CodeKeys {
    pub(super) fn press(&mut self, now: Instant, digit: char) -> Pressed {
        self.kept.push(digit);
        if self.kept == PARKING_KEYS {
            self.forget();
            return Pressed::Parks;
        }
        if PARKING_KEYS.starts_with(&self.kept) {
            self.until = Some(now + KEYS_OF_CODE_WITHIN);
            return Pressed::Kept;
        }
        let mut passed = self.forget();
        if passed.len() > 1 && PARKING_KEYS.starts_with(digit) {
            passed.pop();
            self.kept.push(digit);
            self.until = Some(now + KEYS_OF_CODE_WITHIN);
        }
        Pressed::Passed(passed)
    }

    /// Keys that waited for the rest of a code, and are the caller's now.
    pub(super) fn expired(&mut self, now: Instant) -> Option<String> {
        let is_over = self.until.is_some_and(|until| until <= now);
        is_over.then(|| self.forget())
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.until
    }

    fn forget(&mut self) -> String {
        self.until = None;
        std::mem::take(&mut self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn all(keys: &mut CodeKeys, now: Instant, text: &str) -> Vec<Pressed> {
        text.chars().map(|digit| keys.press(now, digit)).collect()
    }

    fn passed(text: &str) -> Pressed {
        Pressed::Passed(text.to_owned())
    }

    #[test]
    fn the_code_is_for_us_and_other_keys_are_not() {
        let now = Instant::now();
        let mut keys = CodeKeys::default();
        let (kept, parks) = (|| Pressed::Kept, || Pressed::Parks);
        assert_eq!(all(&mut keys, now, "*85"), [kept(), kept(), parks()]);
        assert_eq!(all(&mut keys, now, "12"), [passed("1"), passed("2")]);
        assert_eq!(all(&mut keys, now, "*1"), [kept(), passed("*1")]);
        // A star in the place of a digit begins the code anew.
        let again = [kept(), passed("*"), kept(), passed("*8"), kept(), parks()];
        assert_eq!(all(&mut keys, now, "**8*85"), again);
        assert_eq!(keys.poll_timeout(), None);
    }

    #[test]
    fn a_code_that_is_not_finished_is_the_callers() {
        let now = Instant::now();
        let mut keys = CodeKeys::default();
        all(&mut keys, now, "*8");
        let due = keys.poll_timeout().expect("it waits");
        assert_eq!(keys.expired(due - Duration::from_millis(1)), None);
        assert_eq!(keys.expired(due), Some("*8".to_owned()));
        assert_eq!(keys.expired(due), None);
        assert_eq!(all(&mut keys, due, "5"), [passed("5")]);
    }
}
