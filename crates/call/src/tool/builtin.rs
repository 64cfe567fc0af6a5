//! The built-in tools: what their arguments must be and what the model is told.

use super::arguments::Value;
use crate::keypad::is_keypad;
use crate::limits::SEND_DTMF_DIGITS_MAX;

/// What the model is told when `end_call` is under way.
pub(crate) const END_CALL_OUTPUT: &str = r#"{"success":true,"message":"The call is ending."}"#;
/// What the model is told when the tones are being sent.
pub(crate) const SEND_DTMF_OUTPUT: &str = r#"{"success":true}"#;

/// The digits of a `send_dtmf`: 1 to 32 of 0-9, `*`, `#`, A-D; spaces and dashes are dropped.
pub(crate) fn dtmf_digits(arguments: &Value) -> Result<String, &'static str> {
    let Some(Value::Text(text)) = arguments.member("digits") else {
        return Err("digits must be a text");
    };
    let digits: String = text
        .chars()
        .filter(|c| !matches!(c, ' ' | '-'))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    if digits.is_empty() || digits.len() > SEND_DTMF_DIGITS_MAX || !digits.chars().all(is_keypad) {
        return Err("digits must be 1 to 32 of 0-9, *, #, A-D");
    }
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::super::arguments::parse;
    use super::*;

    fn check(arguments: &str, expected: Result<&str, ()>) {
        let digits = dtmf_digits(&parse(arguments).unwrap());
        assert_eq!(digits.as_deref().map_err(|_| ()), expected, "{arguments}");
    }

    #[test]
    fn digits_are_validated() {
        check(r#"{"digits":"12 3#a"}"#, Ok("123#A"));
        check(r#"{"digits":"0033-1"}"#, Ok("00331"));
        check(r#"{"digits":""}"#, Err(()));
        check(r#"{"digits":12}"#, Err(()));
        check(r#"{}"#, Err(()));
        check(r#"{"digits":"12w"}"#, Err(()));
        check(&format!(r#"{{"digits":"{}"}}"#, "1".repeat(33)), Err(()));
    }
}
