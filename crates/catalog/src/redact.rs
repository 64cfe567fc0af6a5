//! What remains visible of a telephone number, an address or a key.

/// How many last digits of a number stay visible.
const DIGITS_SHOWN: usize = 2;

/// Stands for what is not shown; a text that begins with it is redacted already.
const MARK: char = '…';

/// How many last characters of a key stay visible.
const KEY_CHARS_SHOWN: usize = 4;

/// The form of a telephone number, a user name or a SIP address that may be shown: of a number its last two digits, of a name
/// its first letter, of an address its host too.
///
/// ```
/// assert_eq!(catalog::redact::phone("+33 4 91 23 45 67"), "…67");
/// assert_eq!(catalog::redact::phone("sip:0491234567@sip.example.net;user=phone"), "sip:…67@sip.example.net");
/// assert_eq!(catalog::redact::phone("alice"), "a…");
/// ```
pub fn phone(text: &str) -> String {
    let trimmed = text.trim();
    if trimmed.starts_with(MARK) {
        return trimmed.to_owned();
    }
    let (scheme, rest) = match trimmed.split_once(':') {
        Some((scheme, rest))
            if ["sip", "sips", "tel"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known)) =>
        {
            (format!("{}:", scheme.to_ascii_lowercase()), rest)
        }
        Some(_) | None => (String::new(), trimmed),
    };
    let rest = rest.split([';', '?', '>']).next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((user, host)) => format!("{scheme}{}@{host}", user_part(user)),
        None => format!("{scheme}{}", user_part(rest)),
    }
}

fn user_part(user: &str) -> String {
    let user = user.split(';').next().unwrap_or_default();
    let digits: Vec<char> = user.chars().filter(char::is_ascii_digit).collect();
    let is_number = !digits.is_empty()
        && user.chars().all(|c| {
            c.is_ascii_digit()
                || matches!(
                    c,
                    '+' | ' '
                        | '-'
                        | '.'
                        | '('
                        | ')'
                        | '/'
                        | '*'
                        | '#'
                        | '\u{a0}'
                        | '\u{202f}'
                        | '\u{2011}'
                        | '\u{2013}'
                )
        });
    if is_number {
        let shown = if digits.len() > DIGITS_SHOWN + 1 {
            DIGITS_SHOWN
        } else {
            0
        };
        return format!(
            "…{}",
            digits[digits.len() - shown..].iter().collect::<String>()
        );
    }
    match user.chars().next() {
        Some(first) => format!("{first}…"),
        None => String::new(),
    }
}

/// The last four characters of a key, enough to tell two keys apart; of a short one, nothing.
///
/// ```
/// assert_eq!(catalog::redact::key_tail("sk-proj-abcdef4f2a"), "…4f2a");
/// assert_eq!(catalog::redact::key_tail("secret"), "…");
/// ```
pub fn key_tail(key: &str) -> String {
    let characters: Vec<char> = key.trim().chars().collect();
    if characters.first() == Some(&MARK) && characters.len() <= KEY_CHARS_SHOWN + 1 {
        return key.trim().to_owned();
    }
    if characters.len() < KEY_CHARS_SHOWN * 3 {
        return "…".to_owned();
    }
    format!(
        "…{}",
        characters[characters.len() - KEY_CHARS_SHOWN..]
            .iter()
            .collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_never_shows_more_than_its_end() {
        let cases = [
            ("+33123456789", "…89"),
            ("04 91 23 45 67", "…67"),
            ("1001", "…01"),
            ("112", "…"),
            ("", ""),
            ("tel:+33-1-23-45", "tel:…45"),
            ("sips:%2B33@h", "sips:%…@h"),
            (
                "SIP:0612345678@10.0.0.1:5060;transport=tcp",
                "sip:…78@10.0.0.1:5060",
            ),
            ("anonymous", "a…"),
        ];
        for (input, expected) in cases {
            assert_eq!(phone(input), expected, "{input}");
            assert_eq!(phone(&phone("+33123456789")), "…89");
        }
        assert_eq!(key_tail(&key_tail("sk-proj-abcdef4f2a")), "…4f2a");
    }
}
