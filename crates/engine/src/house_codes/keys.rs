//! Keys of a person who is on the line, or listens: a code is for us, and everything else for the caller. A key that may begin a code
//! is kept until it is known which of the two it is, or for a moment.

use std::time::Instant;

use call::Seat;

use crate::limits::KEYS_OF_CODE_WITHIN;

/// What a code asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The caller waits in a parking place.
    Parks,
    /// The person changes their place: the agent is there again, or leaves.
    Moves(Seat),
}

const ALL: [Code; 3] = [
    Code::Parks,
    Code::Moves(Seat::Beside),
    Code::Moves(Seat::Instead),
];

impl Code {
    const fn keys(self) -> &'static str {
        match self {
            Self::Parks => "*85",
            Self::Moves(Seat::Beside) => "*86",
            Self::Moves(Seat::Instead) => "*87",
        }
    }
}

/// The codes that can be done at a moment; all others are the caller's keys.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Codes([Option<Code>; 3]);

impl Codes {
    /// `may`: whether a code can be done.
    pub(crate) fn those(may: impl Fn(Code) -> bool) -> Self {
        Self(ALL.map(|code| Some(code).filter(|code| may(*code))))
    }

    fn iter(&self) -> impl Iterator<Item = Code> {
        self.0.iter().flatten().copied()
    }

    fn begin_with(&self, keys: &str) -> bool {
        self.iter().any(|code| code.keys().starts_with(keys))
    }
}

/// What a key means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pressed {
    /// It may belong to a code.
    Kept,
    /// A code is complete.
    Code(Code),
    /// These keys are the caller's.
    Passed(String),
}

/// The keys that may become a code.
#[derive(Debug, Default)]
pub(crate) struct CodeKeys {
    kept: String,
    until: Option<Instant>,
}

impl CodeKeys {
    pub(crate) fn press(&mut self, now: Instant, digit: char, codes: Codes) -> Pressed {
        self.kept.push(digit);
        if let Some(code) = codes.iter().find(|code| code.keys() == self.kept) {
            self.forget();
            return Pressed::Code(code);
        }
        if codes.begin_with(&self.kept) {
            self.until = Some(now + KEYS_OF_CODE_WITHIN);
            return Pressed::Kept;
        }
        let mut passed = self.forget();
        if passed.len() > 1 && codes.begin_with(digit.encode_utf8(&mut [0; 4])) {
            passed.pop();
            self.kept.push(digit);
            self.until = Some(now + KEYS_OF_CODE_WITHIN);
        }
        Pressed::Passed(passed)
    }

    /// Keys that waited for the rest of a code, and are the caller's now.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<String> {
        let is_over = self.until.is_some_and(|until| until <= now);
        is_over.then(|| self.forget())
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
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

    fn all(keys: &mut CodeKeys, now: Instant, text: &str, codes: Codes) -> Vec<Pressed> {
        let press = |digit| keys.press(now, digit, codes);
        text.chars().map(press).collect()
    }

    fn every() -> Codes {
        Codes::those(|_| true)
    }

    fn passed(text: &str) -> Pressed {
        Pressed::Passed(text.to_owned())
    }

    #[test]
    fn the_code_is_for_us_and_other_keys_are_not() {
        let now = Instant::now();
        let mut keys = CodeKeys::default();
        let (kept, parks) = (|| Pressed::Kept, || Pressed::Code(Code::Parks));
        assert_eq!(
            all(&mut keys, now, "*85", every()),
            [kept(), kept(), parks()]
        );
        assert_eq!(
            all(&mut keys, now, "12", every()),
            [passed("1"), passed("2")]
        );
        assert_eq!(all(&mut keys, now, "*1", every()), [kept(), passed("*1")]);
        for seat in [Seat::Beside, Seat::Instead] {
            let code = Code::Moves(seat);
            let pressed = all(&mut keys, now, code.keys(), every());
            assert_eq!(pressed, [kept(), kept(), Pressed::Code(code)]);
        }
        // A star in the place of a digit begins the code anew.
        let again = [kept(), passed("*"), kept(), passed("*8"), kept(), parks()];
        assert_eq!(all(&mut keys, now, "**8*85", every()), again);
        assert_eq!(keys.poll_timeout(), None);
    }

    #[test]
    fn a_code_that_cannot_be_done_now_is_the_callers() {
        let now = Instant::now();
        let mut keys = CodeKeys::default();
        let pressed = all(
            &mut keys,
            now,
            "*86",
            Codes::those(|code| code == Code::Parks),
        );
        assert_eq!(pressed, [Pressed::Kept, Pressed::Kept, passed("*86")]);
        let none = [passed("*"), passed("8"), passed("5")];
        assert_eq!(all(&mut keys, now, "*85", Codes::default()), none);
        // Nor where it could be begun, and not be finished any more.
        keys.press(now, '*', every());
        assert_eq!(keys.press(now, '8', Codes::default()), passed("*8"));
    }

    #[test]
    fn a_code_that_is_not_finished_is_the_callers() {
        let now = Instant::now();
        let mut keys = CodeKeys::default();
        all(&mut keys, now, "*8", every());
        let due = keys.poll_timeout().expect("it waits");
        assert_eq!(keys.expired(due - Duration::from_millis(1)), None);
        assert_eq!(keys.expired(due), Some("*8".to_owned()));
        assert_eq!(keys.expired(due), None);
        assert_eq!(all(&mut keys, due, "5", every()), [passed("5")]);
    }
}
