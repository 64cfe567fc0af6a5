//! Secure input: digits that the caller types for one tool alone. While they are typed nothing of the caller's sound and keys
//! reaches the engine, the transcript, the recording, the journal or a watcher; the digits go to the tool that asked, and are
//! forgotten here.

use crate::id::ToolCallId;
use crate::keypad::is_keypad;
use crate::limits::SECURE_DIGITS_MAX;

/// What a tool that takes typed digits asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecureDigits {
    /// Most digits, 1 to 64; `#` ends them earlier.
    pub digits_max: u8,
    /// How long the caller may take, in milliseconds.
    pub wait_ms: u32,
}

/// Digits that a caller typed in secrecy: nothing prints them.
#[derive(Clone, PartialEq, Eq)]
pub struct TypedDigits(String);

impl TypedDigits {
    /// The digits, for the tool that they were typed for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for TypedDigits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TypedDigits(…)")
    }
}

/// The tool that waits for the digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) id: ToolCallId,
    pub(crate) name: String,
    pub(crate) arguments: String,
    pub(crate) deadline_ms: u32,
}

/// How the typing ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    Digits(TypedDigits),
    Nothing,
}

#[derive(Default)]
pub(crate) struct SecureInput {
    active: Option<Active>,
}

struct Active {
    digits: String,
    /// `None` when a person asked for it: what is typed then goes nowhere.
    tool: Option<Waiting>,
    digits_max: usize,
    until: u64,
    complete: bool,
}

impl std::fmt::Debug for SecureInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_on() {
            "SecureInput(on)"
        } else {
            "SecureInput(off)"
        })
    }
}

impl SecureInput {
    pub(crate) fn is_on(&self) -> bool {
        self.active.is_some()
    }

    /// A tool waits for digits. False when another one does.
    pub(crate) fn begin(&mut self, now: u64, tool: Waiting, wanted: SecureDigits) -> bool {
        if self
            .active
            .as_ref()
            .is_some_and(|active| active.tool.is_some())
        {
            return false;
        }
        self.active = Some(Active {
            digits: String::new(),
            tool: Some(tool),
            digits_max: usize::from(wanted.digits_max).clamp(1, SECURE_DIGITS_MAX),
            until: now + u64::from(wanted.wait_ms),
            complete: false,
        });
        true
    }

    /// A person switches it on, until `until` at the latest.
    pub(crate) fn switch_on(&mut self, until: u64) {
        if self.active.is_none() {
            self.active = Some(Active {
                digits: String::new(),
                tool: None,
                digits_max: SECURE_DIGITS_MAX,
                until,
                complete: false,
            });
        }
    }

    /// A person switches it off: a tool that waits gets what was typed so far.
    pub(crate) fn switch_off(&mut self) {
        if let Some(active) = &mut self.active {
            active.complete = true;
        }
    }

    pub(crate) fn press(&mut self, digit: char) {
        let Some(active) = &mut self.active else {
            return;
        };
        if active.tool.is_none() {
            return;
        }
        if digit == '#' {
            active.complete = true;
        } else if is_keypad(digit) && !active.complete {
            active.digits.push(digit);
            active.complete = active.digits.len() >= active.digits_max;
        }
    }

    /// The tool and what was typed for it, once the typing is over; `None` inside when no tool waited.
    pub(crate) fn take(&mut self, now: u64) -> Option<Option<(Waiting, Typed)>> {
        let over = self
            .active
            .as_ref()
            .is_some_and(|active| active.complete || now >= active.until);
        if !over {
            return None;
        }
        let active = self.active.take()?;
        let typed = if active.digits.is_empty() {
            Typed::Nothing
        } else {
            Typed::Digits(TypedDigits(active.digits))
        };
        Some(active.tool.map(|tool| (tool, typed)))
    }

    /// Everything is forgotten; true when it was on.
    pub(crate) fn forget(&mut self) -> bool {
        self.active.take().is_some()
    }

    pub(crate) fn timeout(&self) -> Option<u64> {
        self.active.as_ref().map(|active| active.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> Waiting {
        Waiting {
            id: ToolCallId::from("c1"),
            name: "pay".to_owned(),
            arguments: "{}".to_owned(),
            deadline_ms: 1_000,
        }
    }

    const SIX: SecureDigits = SecureDigits {
        digits_max: 6,
        wait_ms: 30_000,
    };

    #[test]
    fn the_digits_are_taken_once_and_never_printed() {
        let mut secure = SecureInput::default();
        assert!(secure.begin(0, waiting(), SIX));
        assert!(!secure.begin(0, waiting(), SIX), "one at a time");
        for digit in "4970".chars() {
            secure.press(digit);
        }
        assert!(!format!("{secure:?}").contains("4970"));
        assert_eq!(secure.take(100), None);
        secure.press('#');
        let (_, typed) = secure.take(100).flatten().expect("typed");
        assert!(matches!(typed, Typed::Digits(digits) if digits.reveal() == "4970"));
        assert!(!secure.is_on());
    }

    #[test]
    fn nothing_typed_in_time_is_nothing() {
        let mut secure = SecureInput::default();
        secure.begin(0, waiting(), SIX);
        assert_eq!(secure.take(29_999), None);
        assert!(matches!(
            secure.take(30_000),
            Some(Some((_, Typed::Nothing)))
        ));
    }

    #[test]
    fn what_is_typed_for_no_tool_is_not_kept() {
        let mut secure = SecureInput::default();
        secure.switch_on(60_000);
        secure.press('1');
        secure.switch_off();
        assert_eq!(secure.take(10), Some(None));
    }
}
