//! Telephone numbers as callers, trunks and staff write them.

/// The spellings of one number: as given, in international form and in the French national form.
pub fn spellings(number: &str) -> Vec<String> {
    let given = number.trim();
    let mut found = vec![given.to_owned()];
    let key = key(given);
    let mut add = |text: String| {
        if !text.is_empty() && !found.contains(&text) {
            found.push(text);
        }
    };
    if key.is_empty() {
        return found;
    }
    add(format!("+{key}"));
    add(format!("00{key}"));
    add(key.clone());
    if let Some(rest) = key.strip_prefix("33").filter(|rest| rest.len() == 9) {
        add(format!("0{rest}"));
    }
    found
}

/// Whether two spellings are one number. Nothing is no number.
pub fn same(a: &str, b: &str) -> bool {
    let (a, b) = (key(a), key(b));
    !a.is_empty() && a == b
}

/// The digits of the international form; a French national number is taken as one.
pub fn key(number: &str) -> String {
    let international = number.trim_start().starts_with('+');
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if international {
        return digits;
    }
    match digits.strip_prefix("00") {
        Some(rest) => rest.to_owned(),
        None => match digits.strip_prefix('0').filter(|rest| rest.len() == 9) {
            Some(rest) => format!("33{rest}"),
            None => digits,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_many_spellings() {
        for text in [
            "+33 6 12 34 56 78",
            "0033612345678",
            "06.12.34.56.78",
            "33612345678",
        ] {
            assert!(same(text, "+33612345678"), "{text}");
        }
        assert!(!same("", "") && !same("anonymous", "anonymous"));
        assert!(!same("+33612345678", "+33612345679"));
        assert!(spellings("0612345678").contains(&"+33612345678".to_owned()));
    }
}
