//! Whether two spellings are one telephone number.

/// Digits of a subscriber's number without its country: what national and international spellings share.
const SUBSCRIBER_DIGITS: usize = 9;
/// Shorter ones are extensions or service numbers: equal only as they stand.
const COMPARED_DIGITS_MIN: usize = 8;

/// The digits of a number, address or user name, and whether they begin with a country code.
fn digits(text: &str) -> Option<(String, bool)> {
    let text = text.trim();
    let user = text
        .strip_prefix("sips:")
        .or_else(|| text.strip_prefix("sip:"))
        .or_else(|| text.strip_prefix("tel:"))
        .unwrap_or(text);
    let user = user.split(['@', ';', '?', '>']).next().unwrap_or_default();
    let number = user.chars().all(|c| {
        c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}')
    });
    let digits: String = user.chars().filter(char::is_ascii_digit).collect();
    if !number || digits.is_empty() {
        return None;
    }
    match digits.strip_prefix("00") {
        Some(rest) if !user.trim_start().starts_with('+') => Some((rest.to_owned(), true)),
        _ => Some((digits, user.trim_start().starts_with('+'))),
    }
}

/// Whether two spellings are the same number: `+33 6 12 34 56 78`, `0033612345678`, `06.12.34.56.78` and
/// `sip:+33612345678@example.net` are. What is no number is the same only as itself.
///
/// ```
/// assert!(store::same_number("+33 6 12 34 56 78", "0612345678"));
/// assert!(!store::same_number("+33612345678", "+41612345678"));
/// assert!(!store::same_number("12", "112"));
/// ```
pub fn same_number(one: &str, other: &str) -> bool {
    let (Some((a, a_abroad)), Some((b, b_abroad))) = (digits(one), digits(other)) else {
        return one.trim() == other.trim() && !one.trim().is_empty();
    };
    if a == b {
        return true;
    }
    let short = a.len().min(b.len()) < COMPARED_DIGITS_MIN;
    if short {
        return false;
    }
    // A trunk may leave the + out.
    let is_bare = |long: &str, home: &str| {
        long.len() > home.len() && home.starts_with('0') && !long.starts_with('0')
    };
    let (abroad, home) = match (a_abroad, b_abroad) {
        (true, false) => (&a, &b),
        (false, true) => (&b, &a),
        (false, false) if is_bare(&a, &b) => (&a, &b),
        (false, false) if is_bare(&b, &a) => (&b, &a),
        (true, true) | (false, false) => return false,
    };
    let home = home.strip_prefix('0').unwrap_or(home);
    home.len() >= SUBSCRIBER_DIGITS.min(abroad.len()) && abroad.ends_with(home)
}

/// What every spelling of a number contains, to look for candidates; the text itself where it is no number.
pub(crate) fn common_part(text: &str) -> String {
    match digits(text) {
        Some((digits, _)) => {
            let from = digits.len().saturating_sub(2);
            digits[from..].to_owned()
        }
        None => text.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_may_leave_the_plus_out() {
        assert!(same_number("0612345678", "33612345678"));
        assert!(same_number("33612345678", "06 12 34 56 78"));
        assert!(!same_number("0612345678", "33612345679"));
        assert!(!same_number("0612345678", "0712345678"));
        assert!(!same_number("33612345678", "41612345678"));
    }

    #[test]
    fn spellings_of_one_number_are_one_and_those_of_two_are_two() {
        let number = "+33612345678";
        for same in [
            "0612345678",
            "06 12 34 56 78",
            "0033612345678",
            "33612345678",
            "sip:+33612345678@host;user=phone",
            "tel:+33-6-12-34-56-78",
        ] {
            assert!(same_number(number, same), "{same}");
            assert!(same_number(same, number), "{same}");
            assert!(same.replace([' ', '-'], "").contains(&common_part(number)));
        }
        for other in [
            "+41612345678",
            "0612345679",
            "5678",
            "alice",
            "",
            "061234567",
        ] {
            assert!(!same_number(number, other), "{other}");
        }
        assert!(same_number("alice", "alice") && !same_number("alice", "bob"));
        assert!(!same_number("", ""));
    }
}
