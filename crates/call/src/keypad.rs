//! Keypad tones of the caller, gathered until the model is told: people dial `12#`, not three messages.

use crate::limits::{KEYPAD_DIGITS_MAX, KEYPAD_GAP_MS};
use crate::secure::SecureInput;

#[derive(Debug, Default)]
pub(crate) struct Keypad {
    digits: String,
    flush_at: Option<u64>,
    /// Keys that are for one tool alone.
    pub(crate) secure: SecureInput,
}

impl Keypad {
    /// Takes one tone; anything that is not on a keypad is dropped. `#` ends the input.
    pub(crate) fn press(&mut self, now: u64, digit: char) {
        let digit = digit.to_ascii_uppercase();
        if !is_keypad(digit) {
            return;
        }
        if self.digits.len() < KEYPAD_DIGITS_MAX {
            self.digits.push(digit);
        }
        let full = digit == '#' || self.digits.len() == KEYPAD_DIGITS_MAX;
        self.flush_at = Some(if full { now } else { now + KEYPAD_GAP_MS });
    }

    /// The caller has paused after some digits.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.flush_at.is_some_and(|at| now >= at)
    }

    /// The digits, once the caller has paused.
    pub(crate) fn take(&mut self, now: u64) -> Option<String> {
        if self.is_due(now) {
            self.flush_at = None;
            return Some(std::mem::take(&mut self.digits));
        }
        None
    }

    pub(crate) fn timeout(&self) -> Option<u64> {
        self.flush_at
    }
}

/// A tone of the keypad (RFC 4733 section 3.2, events 0 to 15).
pub(crate) fn is_keypad(digit: char) -> bool {
    matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_gathered_until_a_pause() {
        let mut keypad = Keypad::default();
        keypad.press(0, '1');
        keypad.press(1_000, '2');
        assert_eq!(keypad.take(2_000), None);
        assert_eq!(keypad.take(2_500).as_deref(), Some("12"));
        assert_eq!(keypad.take(9_000), None);
    }

    #[test]
    fn hash_ends_the_input_and_nonsense_is_dropped() {
        let mut keypad = Keypad::default();
        keypad.press(0, 'x');
        assert_eq!(keypad.timeout(), None);
        keypad.press(0, 'a');
        keypad.press(0, '#');
        assert_eq!(keypad.take(0).as_deref(), Some("A#"));
    }

    #[test]
    fn a_stuck_key_is_bounded() {
        let mut keypad = Keypad::default();
        for at in 0..1_000 {
            keypad.press(at, '5');
        }
        assert_eq!(
            keypad.take(1_000).map(|digits| digits.len()),
            Some(KEYPAD_DIGITS_MAX)
        );
    }
}
