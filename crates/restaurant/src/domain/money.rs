//! Amounts: whole cents inside, JSON numbers on the wire.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Number, Value};

use super::lang::Lang;

/// The largest amount either way, in cents: ten thousand million units. A JSON double holds each cent below it exactly.
pub const CENTS_MAX: i64 = 1_000_000_000_000;
/// Digits of a number that are read.
const DIGITS_MAX: usize = 60;

/// An amount in hundredths of the restaurant's currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cents(i64);

/// A text that is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount: write a number such as 12.50")]
pub struct BadMoney(String);

impl Cents {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// That many cents.
    pub const fn new(cents: i64) -> Self {
        Self(cents)
    }

    /// In cents.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Reads a decimal number, `12.5`, `12,50`, `1e2`. Beyond cents it is rounded to the nearest one, halves away from zero.
    ///
    /// # Errors
    /// It is no number, or beyond [`CENTS_MAX`].
    pub fn parse(text: &str) -> Result<Self, BadMoney> {
        parse(text.trim()).ok_or_else(|| BadMoney(text.chars().take(40).collect()))
    }

    /// Of a JSON number, or a text with one. The shortest decimal text of a double is read, so 12.3 is 1230 cents.
    ///
    /// # Errors
    /// As [`Cents::parse`].
    pub fn from_json(value: &Value) -> Result<Self, BadMoney> {
        match value {
            Value::Number(number) => Self::parse(&number.to_string()),
            Value::String(text) => Self::parse(text),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                Err(BadMoney(value.to_string().chars().take(40).collect()))
            }
        }
    }

    /// A JSON number: `12` or `12.5`.
    pub fn to_json(self) -> Value {
        Value::Number(self.number())
    }

    fn number(self) -> Number {
        if self.0 % 100 == 0 {
            return Number::from(self.0 / 100);
        }
        let text = self.to_string();
        text.parse()
            .ok()
            .and_then(Number::from_f64)
            .unwrap_or_else(|| Number::from(self.0 / 100))
    }

    /// The sum, unless it is beyond [`CENTS_MAX`].
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self).filter(Self::sane)
    }

    /// The product, unless it is beyond [`CENTS_MAX`].
    pub fn times(self, count: i64) -> Option<Self> {
        self.0.checked_mul(count).map(Self).filter(Self::sane)
    }

    /// `percent` of it taken off, to the nearest cent.
    #[must_use]
    pub fn less_percent(self, percent: u32) -> Self {
        let off = i64::from(percent.min(100));
        let product = self.0 * (100 - off);
        let half = if product < 0 { -50 } else { 50 };
        Self((product + half) / 100)
    }

    fn sane(&self) -> bool {
        self.0.abs() <= CENTS_MAX
    }

    /// For people: `12,50 €` or `€12.50`; another currency by its code.
    pub fn spoken(self, lang: Lang, currency: &str) -> String {
        let plain = self.to_string();
        match (lang, currency) {
            (Lang::Fr, "EUR") => format!("{} €", plain.replace('.', ",")),
            (Lang::En, "EUR") => format!("€{plain}"),
            (Lang::Fr, other) => format!("{} {other}", plain.replace('.', ",")),
            (Lang::En, other) => format!("{plain} {other}"),
        }
    }
}

fn parse(text: &str) -> Option<Cents> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    if digits.len() > DIGITS_MAX || !(-400..=30).contains(&exponent) {
        return None;
    }
    let mut number: i128 = 0;
    let mut scale = -exponent;
    let mut point = false;
    let mut seen = false;
    for character in digits.chars() {
        match character {
            '.' | ',' if !point => point = true,
            '0'..='9' => {
                seen = true;
                // Digits far behind the cent cannot change it, but the first of them decides a half.
                if number < 10i128.pow(30) {
                    number = number * 10 + i128::from(character.to_digit(10)?);
                    scale += i32::from(point);
                } else {
                    scale -= i32::from(!point);
                }
            }
            _ => return None,
        }
    }
    if !seen {
        return None;
    }
    let shift = 2 - scale;
    let cents = if number == 0 {
        0
    } else if shift >= 0 {
        number.checked_mul(10i128.checked_pow(u32::try_from(shift).ok()?)?)?
    } else {
        match 10i128.checked_pow(shift.unsigned_abs()) {
            Some(divisor) => (number + divisor / 2) / divisor,
            None => 0,
        }
    };
    let cents = i64::try_from(cents).ok()?;
    Some(Cents(if negative { -cents } else { cents })).filter(Cents::sane)
}

impl fmt::Display for Cents {
    /// `12.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.number().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_json(&value).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use rand_pcg::Pcg64;
    use rand_pcg::rand_core::{Rng as _, SeedableRng as _};
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_read_exactly() {
        for (text, cents) in [
            ("12.5", 1250),
            ("12,50", 1250),
            ("0.1", 10),
            ("1e2", 10_000),
            ("1.005", 101),
            ("-0.005", -1),
            ("0.004999999999", 0),
            ("19.99", 1999),
            ("0.30000000000000004", 30),
            ("9.949999999999999289457264239899814128875732421875", 995),
            ("5e-324", 0),
        ] {
            assert_eq!(Cents::parse(text), Ok(Cents(cents)), "{text}");
        }
        for bad in [
            "",
            "-",
            "abc",
            "1.2.3",
            "1e99",
            "99999999999999",
            "NaN",
            "1 000",
        ] {
            assert!(Cents::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Cents::from_json(&json!("8.20")), Ok(Cents(820)));
        assert!(Cents::from_json(&json!(null)).is_err());
    }

    #[test]
    fn no_cent_is_lost_on_the_wire() {
        let mut random = Pcg64::seed_from_u64(5);
        for round in 0..200_000_i64 {
            let cents = if round < 100_000 {
                round
            } else {
                i64::try_from(random.next_u64() % 1_000_000_000_001).unwrap_or(0)
            };
            let amount = Cents(cents);
            let text = serde_json::to_string(&amount).unwrap();
            assert_eq!(
                serde_json::from_str::<Cents>(&text).unwrap(),
                amount,
                "{text}"
            );
            // As a client with doubles sees it.
            let double: f64 = text.parse().unwrap();
            assert_eq!(Cents::parse(&double.to_string()), Ok(amount));
        }
    }

    #[test]
    fn sums_of_lines_are_the_sum_of_cents() {
        let mut random = Pcg64::seed_from_u64(6);
        for _ in 0..2_000 {
            let lines: Vec<(i64, i64)> = (0..random.next_u32() % 30)
                .map(|_| {
                    (
                        i64::from(random.next_u32() % 100_000),
                        i64::from(1 + random.next_u32() % 50),
                    )
                })
                .collect();
            let total = lines.iter().fold(Cents::ZERO, |sum, (price, count)| {
                // Over the wire and back for each line, as a basket does.
                let price = Cents::from_json(&Cents(*price).to_json()).unwrap();
                sum.plus(price.times(*count).unwrap()).unwrap()
            });
            assert_eq!(
                total.get(),
                lines
                    .iter()
                    .map(|(price, count)| price * count)
                    .sum::<i64>()
            );
        }
    }

    #[test]
    fn amounts_are_spoken() {
        assert_eq!(Cents(1250).spoken(Lang::Fr, "EUR"), "12,50 €");
        assert_eq!(Cents(1250).spoken(Lang::En, "EUR"), "€12.50");
        assert_eq!(Cents(-5).to_string(), "-0.05");
        assert_eq!(Cents(999).less_percent(10), Cents(899));
    }
}
