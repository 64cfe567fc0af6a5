//! Where a call may be transferred: digits that are digits, no premium or satellite number, a SIP address only from an operator.

use crate::brain::Destination;
use crate::toll::{is_island_of_one, is_premium};

/// Premium numbers as people write them at home, whatever their country; what is one country's alone is looked for where the country
/// of the line is known ([`crate::is_premium`]).
const REFUSED_NATIONAL: &[&str] = &["089", "0900", "0190", "118"];
/// Digits of an international number (E.164), country code included.
const E164_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Digits of a national number or extension.
const NATIONAL_DIGITS: std::ops::RangeInclusive<usize> = 2..=15;
/// Bytes of a SIP address.
const SIP_BYTES_MAX: usize = 200;

/// A number: ASCII digits with the separators that people write; `None` for anything else, a premium number included.
pub(crate) fn number(text: &str) -> Option<Destination> {
    let mut digits = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '0'..='9' => digits.push(c),
            '+' if digits.is_empty() => digits.push(c),
            ' ' | '.' | '-' | '(' | ')' | '/' | '\u{a0}' => {}
            // Digits of other scripts, letters, `;phone-context=`, pauses: not a number that we dial.
            _ => return None,
        }
    }
    if let Some(international) = digits.strip_prefix("00") {
        digits = format!("+{international}");
    }
    let allowed = match digits.strip_prefix('+') {
        Some(international) => {
            E164_DIGITS.contains(&international.len())
                && !international.starts_with('0')
                && !is_premium(international)
        }
        None => {
            NATIONAL_DIGITS.contains(&digits.len())
                && !REFUSED_NATIONAL
                    .iter()
                    .any(|prefix| digits.starts_with(prefix))
                && !(digits.len() == 4 && digits.starts_with('3'))
        }
    };
    allowed.then_some(Destination::Number(digits))
}

/// What an operator wrote: a number or a SIP address.
pub(crate) fn operators(text: &str) -> Option<Destination> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let Some(rest) = lower
        .strip_prefix("sip:")
        .or_else(|| lower.strip_prefix("sips:"))
    else {
        return number(text.strip_prefix("tel:").unwrap_or(text));
    };
    let scheme = &lower[..lower.len() - rest.len()];
    let (user, host) = rest.split_once('@').unwrap_or(("", rest));
    // What stands behind the name: a password, parameters.
    let name = user.split([':', ';']).next().unwrap_or_default();
    let is_number = name.bytes().any(|byte| byte.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-.()/".contains(&byte));
    let host_name = host.split(';').next().unwrap_or_default();
    let clean = text.len() <= SIP_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !rest.contains(['?', '<', '>', '"', ','])
        && !rest.contains("phone-context")
        && !host_name.is_empty()
        && !host.contains('@')
        // A number in front of a host is still a number, and one that is escaped is none that anybody needs.
        && !user.contains('%')
        && (!is_number || number(name).is_some());
    // Everybody else reads the scheme as it is written everywhere.
    clean.then(|| Destination::Sip(format!("{scheme}{}", &text[scheme.len()..])))
}

/// A number that the model named: international, and under one of the operator's prefixes.
pub(crate) fn free(text: &str, prefixes: &[String]) -> Option<Destination> {
    let destination = number(text)?;
    let digits = destination.as_str();
    let allowed = digits.starts_with('+')
        && prefixes.iter().any(|prefix| {
            prefix.len() > 1 && prefix.starts_with('+') && digits.starts_with(prefix.as_str())
        });
    allowed.then_some(destination)
}

/// Whom a line may call: the number or address as it is dialled, when one of the line's rules allows it. A rule is the beginning of an
/// international number (`+33`), the beginning of a number as it is dialled at home (`04`, `20`), or `sip:` and a host. No rule allows
/// a premium or satellite number, and without a rule nothing is allowed.
pub fn outbound(to: &str, rules: &[String]) -> Option<String> {
    let destination = operators(to)?;
    let dialled = destination.as_str();
    let allowed = |rule: &String| {
        let rule = rule.trim();
        match (&destination, rule.strip_prefix("sip:")) {
            (Destination::Sip(address), Some(host)) => {
                let rest = address.split_once(':').map_or("", |(_, rest)| rest);
                let named = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                let named = named.split([':', ';']).next().unwrap_or_default();
                !host.is_empty() && named.eq_ignore_ascii_case(host)
            }
            (Destination::Number(digits), None) => {
                let plain = rule.strip_prefix('+').unwrap_or(rule);
                !plain.is_empty()
                    && plain.bytes().all(|byte| byte.is_ascii_digit())
                    && digits.starts_with(rule)
                    // "+1" is the United States and Canada.
                    && (rule.len() > 2 || !digits.strip_prefix('+').is_some_and(is_island_of_one))
            }
            (Destination::Sip(_), None) | (Destination::Number(_), Some(_)) => false,
        }
    };
    rules.iter().any(allowed).then(|| dialled.to_owned())
}

/// Two spellings of one number: the last nine digits agree, or all of a shorter one.
pub(crate) fn same_number(left: &str, right: &str) -> bool {
    let tail = |text: &str| -> Vec<char> {
        let digits: Vec<char> = text.chars().filter(char::is_ascii_digit).collect();
        digits[digits.len().saturating_sub(9)..].to_vec()
    };
    let plain = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '+' | ' ' | '.' | '-' | '(' | ')'))
    };
    let (a, b) = (tail(left), tail(right));
    !a.is_empty() && a == b && plain(left) && plain(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "reads as a table")]
    fn check(texts: &[&str], expect: Expect) {
        let mut out = String::new();
        for text in texts {
            let shown = |destination: Option<Destination>| match destination {
                Some(destination) => destination.as_str().to_owned(),
                None => "refused".to_owned(),
            };
            let free = free(text, &["+33".to_owned()]);
            out.push_str(&format!(
                "{text} | operator {} | model {}\n",
                shown(operators(text)),
                shown(free)
            ));
        }
        expect.assert_eq(&out);
    }

    #[test]
    fn destinations() {
        check(
            &[
                "+33 4 91 23 45 67",
                "0491234567",
                "0033491234567",
                "200",
                "0899123456",
                "+33899123456",
                "+881612345678",
                "+1 900 555 0100",
                "3699",
                "118218",
                "+44 20 7946 0000",
                "sip:desk@pbx.example",
                "sip:0899123456@trunk.example",
                "SIP:08-99-12-34-56@trunk.example",
                "sip:0899123456:x@trunk.example",
                "sip:+33899123456;user=x@trunk.example",
                "sip:%2B33899123456@trunk.example",
                "SIP:desk-2@pbx.example",
                "sip:desk@pbx.example?Route=x",
                "tel:+33491234567",
                "tel:7042;phone-context=example.com",
                "+٣٣٤٩١٢٣٤٥٦٧",
                "+33491234567,,,1",
                "",
                "+",
                "+0033491234567",
            ],
            expect![[r#"
                +33 4 91 23 45 67 | operator +33491234567 | model +33491234567
                0491234567 | operator 0491234567 | model refused
                0033491234567 | operator +33491234567 | model +33491234567
                200 | operator 200 | model refused
                0899123456 | operator refused | model refused
                +33899123456 | operator refused | model refused
                +881612345678 | operator refused | model refused
                +1 900 555 0100 | operator refused | model refused
                3699 | operator refused | model refused
                118218 | operator refused | model refused
                +44 20 7946 0000 | operator +442079460000 | model refused
                sip:desk@pbx.example | operator sip:desk@pbx.example | model refused
                sip:0899123456@trunk.example | operator refused | model refused
                SIP:08-99-12-34-56@trunk.example | operator refused | model refused
                sip:0899123456:x@trunk.example | operator refused | model refused
                sip:+33899123456;user=x@trunk.example | operator refused | model refused
                sip:%2B33899123456@trunk.example | operator refused | model refused
                SIP:desk-2@pbx.example | operator sip:desk-2@pbx.example | model refused
                sip:desk@pbx.example?Route=x | operator refused | model refused
                tel:+33491234567 | operator +33491234567 | model refused
                tel:7042;phone-context=example.com | operator refused | model refused
                +٣٣٤٩١٢٣٤٥٦٧ | operator refused | model refused
                +33491234567,,,1 | operator refused | model refused
                 | operator refused | model refused
                + | operator refused | model refused
                +0033491234567 | operator refused | model refused
            "#]],
        );
    }

    #[test]
    fn a_line_calls_what_its_rules_allow_and_no_premium_number() {
        let rules = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        let french = rules(&["+33", "04", "20", "sip:pbx.example"]);
        for (to, dialled) in [
            ("+33 4 91 23 45 67", Some("+33491234567")),
            ("0033491234567", Some("+33491234567")),
            ("0491234567", Some("0491234567")),
            ("201", Some("201")),
            ("0612345678", None),
            ("+44 20 7946 0000", None),
            ("+33899123456", None),
            ("0899123456", None),
            ("sip:desk@pbx.example", Some("sip:desk@pbx.example")),
            (
                "sip:desk@pbx.example:5070;transport=tcp",
                Some("sip:desk@pbx.example:5070;transport=tcp"),
            ),
            ("sip:0899123456@pbx.example", None),
            ("sip:desk@pbx.example.evil", None),
            ("sip:desk@evil?Route=pbx.example", None),
            ("", None),
        ] {
            assert_eq!(outbound(to, &french).as_deref(), dialled, "{to}");
            assert_eq!(outbound(to, &[]), None, "no rule");
            assert_eq!(
                outbound(to, &rules(&["", "+", "sip:", " "])),
                None,
                "rules that say nothing"
            );
        }
        // A rule of North America does not open its islands; one that names them does.
        assert_eq!(outbound("+18765550100", &rules(&["+1"])), None);
        assert!(outbound("+18765550100", &rules(&["+1876"])).is_some());
        assert!(outbound("+12125550100", &rules(&["+1"])).is_some());
        // A rule that names premium numbers does not open them.
        assert_eq!(outbound("+33899123456", &rules(&["+3389", "+"])), None);
    }

    #[test]
    fn one_number_in_two_spellings() {
        assert!(same_number("0612345678", "+33612345678"));
        assert!(!same_number("0612345678", "+33612345679"));
        assert!(!same_number("", ""));
        assert!(!same_number("x612345678", "+33612345678"));
    }
}
