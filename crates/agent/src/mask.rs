//! What must not be kept: card numbers in texts, personal data in logs.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Digits of a payment card number (ISO/IEC 7812).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
const MASK: char = '\u{2022}';

/// Masks digits that make a payment card number, spaces and dashes between them allowed; the check digit decides (ISO/IEC 7812-1).
pub fn mask_cards(text: &str) -> Cow<'_, str> {
    if text.chars().filter(char::is_ascii_digit).count() < *CARD_DIGITS.start() {
        return Cow::Borrowed(text);
    }
    let chars: Vec<char> = text.chars().collect();
    let mut out = chars.clone();
    let mut at = 0;
    while at < chars.len() {
        let end = run_end(&chars, at);
        if end == at {
            at += 1;
            continue;
        }
        mask_run(&chars[at..end], &mut out[at..end]);
        at = end;
    }
    if out == chars {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(out.into_iter().collect())
    }
}

/// The end of digits with single separators between them that begin at `at`.
fn run_end(chars: &[char], at: usize) -> usize {
    let mut end = at;
    let mut position = at;
    while let Some(c) = chars.get(position) {
        if c.is_ascii_digit() {
            end = position + 1;
        } else if end == at || !matches!(c, ' ' | '-' | '\u{a0}') || position > end + 1 {
            break;
        }
        position += 1;
    }
    end
}

/// Masks each window of the run that is a card number.
fn mask_run(run: &[char], out: &mut [char]) {
    let places: Vec<usize> = (0..run.len())
        .filter(|place| run[*place].is_ascii_digit())
        .collect();
    let digits: Vec<u32> = places
        .iter()
        .filter_map(|place| run[*place].to_digit(10))
        .collect();
    for length in CARD_DIGITS.rev() {
        for start in 0..(digits.len() + 1).saturating_sub(length) {
            if luhn(&digits[start..start + length]) {
                for place in &places[start..start + length] {
                    out[*place] = MASK;
                }
            }
        }
    }
}

fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, digit * 2) {
            (0, _) => *digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != 0)
}

/// Masks every digit: for texts that come while a caller types or says a secret.
pub fn mask_digits(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_digit() { MASK } else { c })
        .collect()
}

/// Arguments or a reply as a log may show them: names and kinds, no words and no long numbers.
pub fn for_log(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(format!("({} characters)", text.chars().count())),
        Value::Number(number) if number.to_string().len() > 5 => {
            Value::String("(number)".to_owned())
        }
        Value::Array(items) => Value::Array(items.iter().take(20).map(for_log).collect()),
        Value::Object(members) => members
            .iter()
            .take(50)
            .map(|(name, member)| (name.chars().take(64).collect(), for_log(member)))
            .collect::<Map<_, _>>()
            .into(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other.clone(),
    }
}

/// [`mask_cards`] in every text of a value.
pub(crate) fn mask_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask_cards(text).into_owned()),
        Value::Array(items) => Value::Array(items.iter().map(mask_value).collect()),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), mask_value(member)))
            .collect::<Map<_, _>>()
            .into(),
        // A card number may come as a JSON number as well.
        Value::Number(number) if number.is_u64() => match mask_cards(&number.to_string()) {
            Cow::Borrowed(_) => value.clone(),
            Cow::Owned(masked) => Value::String(masked),
        },
        other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "reads as a table")]
    fn check(text: &str, expect: Expect) {
        expect.assert_eq(&mask_cards(text));
    }

    #[test]
    fn cards_are_masked_and_nothing_else() {
        check(
            "carte 4242 4242 4242 4242 exp 12 28",
            expect!["carte •••• •••• •••• •••• exp 12 28"],
        );
        check("4242-4242-4242-4242.", expect!["••••-••••-••••-••••."]);
        check("378282246310005", expect!["•••••••••••••••"]);
        check(
            "call +33 6 12 34 56 78 or 06 98 76 54 32",
            expect!["call +33 6 12 34 56 78 or 06 98 76 54 32"],
        );
        check("4242424242424241", expect!["•••••••••••••••1"]);
        check("ref 0000000000000000", expect!["ref 0000000000000000"]);
        check("12, 4242424242424242", expect!["12, ••••••••••••••••"]);
    }

    #[test]
    fn logs_show_no_words() {
        let value = serde_json::json!({"name": "Marie", "phone": "+33612345678", "n": 2, "card": 4_242_424_242_424_242_u64});
        expect![[r#"{"name":"(5 characters)","phone":"(12 characters)","n":2,"card":"(number)"}"#]]
            .assert_eq(&for_log(&value).to_string());
    }
}
