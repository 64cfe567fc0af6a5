//! Personal data that cannot slip into a log: `Debug` and `Display` redact, `reveal` is a word one can search for.

use std::fmt;

/// Digits of a number that show.
const DIGITS_SHOWN: usize = 2;
/// With fewer digits than this even two would tell too much.
const DIGITS_MIN: usize = 6;

/// A value whose printed form is redacted: of a telephone number the last two digits show.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for a place that may show it.
    pub fn reveal(&self) -> &T {
        &self.0
    }

    /// The value itself, taken out.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: AsRef<str>> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of an address such as sip:0491234567@host only the user part can be a number.
        let text = self.0.as_ref();
        let user = text.split_once('@').map_or(text, |(user, _)| user);
        let digits: Vec<char> = user.chars().filter(char::is_ascii_digit).collect();
        f.write_str("…")?;
        if digits.len() >= DIGITS_MIN {
            for digit in &digits[digits.len() - DIGITS_SHOWN..] {
                write!(f, "{digit}")?;
            }
        }
        Ok(())
    }
}

impl<T: AsRef<str>> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T> From<T> for Redacted<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &str) {
        assert_eq!(Redacted::new(value).to_string(), expected);
        assert_eq!(format!("{:?}", Redacted::new(value)), expected);
    }

    #[test]
    fn two_digits_show_and_nothing_else() {
        check("+33 4 91 23 45 67", "…67");
        check("sip:0491234567@192.0.2.10:5060", "…67");
        check("Marie Dupont", "…");
        check("1234", "…");
        check("", "…");
    }
}
