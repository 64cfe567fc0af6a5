//! Between the wire and the database: a member becomes the value of its column, a row becomes an object.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};
use store::{Cell, ReadError, Row};

use super::column::{Column, Kind, MONEY_CENTS_MAX, STRING_BYTES_MAX, STRINGS_MAX, Table};

/// A value for a column.
#[derive(Clone, Debug)]
pub struct Set {
    /// The column.
    pub column: &'static Column,
    /// Its value.
    pub cell: Cell,
}

/// A member that cannot be stored: its name, and what it should be as a code of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {code}")]
pub struct Fault {
    /// The member.
    pub field: String,
    /// Code of the sentence.
    pub code: &'static str,
    /// What else the sentence says.
    pub params: Vec<(&'static str, String)>,
}

impl Fault {
    /// A fault of a member.
    pub fn new(field: &str, code: &'static str) -> Self {
        Self {
            field: field.to_owned(),
            code,
            params: Vec::new(),
        }
    }

    /// The same with a parameter of its sentence.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.params.push((name, value.to_string()));
        self
    }
}

/// Reads the members of a body that are columns of the table; the others are not ours. `whole`: a new row, which needs its
/// members.
///
/// # Errors
/// The first member that is missing or cannot be stored.
pub fn read(table: &Table, body: &Map<String, Value>, whole: bool) -> Result<Vec<Set>, Fault> {
    let mut sets = Vec::new();
    for column in table.columns {
        match body.get(column.wire) {
            None if whole && column.needed => {
                return Err(Fault::new(column.wire, "office_missing"));
            }
            None => {}
            // An absent value is the column's default in a new row.
            Some(Value::Null) if column.needed => {
                return Err(Fault::new(column.wire, "office_missing"));
            }
            Some(Value::Null) if whole => {}
            Some(value) => sets.push(Set {
                column,
                cell: cell(column, value)?,
            }),
        }
    }
    Ok(sets)
}

/// One column's value.
///
/// # Errors
/// What it should be.
pub fn cell(column: &Column, value: &Value) -> Result<Cell, Fault> {
    let wrong = |code: &'static str| Fault::new(column.wire, code);
    if value.is_null() {
        return Ok(absent(column));
    }
    Ok(match column.kind {
        Kind::Text(max) => text(column, value, max)?.into(),
        Kind::Word(words) => {
            let word = value.as_str().filter(|word| words.contains(word));
            word.ok_or_else(|| wrong("office_word").with("words", &words.join(", ")))?
                .into()
        }
        Kind::Int(min, max) => {
            let number = whole_number(value).filter(|number| (min..=max).contains(number));
            let expected = || wrong("office_whole").with("min", &min).with("max", &max);
            number.ok_or_else(expected)?.into()
        }
        Kind::Real(min, max) => {
            let number = number(value).filter(|number| (min..=max).contains(number));
            let expected = || wrong("office_number").with("min", &min).with("max", &max);
            number.ok_or_else(expected)?.into()
        }
        Kind::Money => cents(value).ok_or_else(|| wrong("office_amount"))?.into(),
        Kind::Flag => value.as_bool().ok_or_else(|| wrong("office_flag"))?.into(),
        Kind::Time => instant(value)
            .ok_or_else(|| wrong("office_instant"))?
            .into(),
        Kind::Clock => {
            let time = value.as_str().filter(|text| is_clock(text));
            time.ok_or_else(|| wrong("office_clock"))?.into()
        }
        Kind::Date => {
            let day = value.as_str().and_then(|text| text.get(..10));
            let day = day.filter(|day| day.parse::<jiff::civil::Date>().is_ok());
            day.ok_or_else(|| wrong("office_date"))?.into()
        }
        Kind::Json(max) => json(value, max)
            .ok_or_else(|| wrong("office_json").with("max", &max))?
            .into(),
        Kind::Strings => strings(value)
            .ok_or_else(|| wrong("office_list").with("max", &STRINGS_MAX))?
            .into(),
    })
}

/// The absent value of a column.
pub fn absent(column: &Column) -> Cell {
    match column.kind {
        Kind::Text(_)
        | Kind::Word(_)
        | Kind::Clock
        | Kind::Date
        | Kind::Json(_)
        | Kind::Strings => Cell::Text(None),
        Kind::Real(..) => Cell::Real(None),
        Kind::Int(..) | Kind::Money | Kind::Flag | Kind::Time => Cell::Int(None),
    }
}

fn text(column: &Column, value: &Value, max: usize) -> Result<String, Fault> {
    // Clients of the contract also send numbers where texts are meant (telephone numbers, postcodes).
    let text = match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    text.filter(|text| text.len() <= max && !(column.needed && text.is_empty()))
        .ok_or_else(|| Fault::new(column.wire, "office_text").with("max", &max))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
    .filter(|number| number.is_finite())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "whole and within the bounds of exact doubles"
)]
fn whole_number(value: &Value) -> Option<i64> {
    if let Some(whole) = value.as_i64() {
        return Some(whole);
    }
    let number = number(value)?;
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

/// Cents of an amount. More than two decimals are no amount: nothing is rounded.
pub fn cents(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().replace(',', "."),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.as_str()),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let part = part.trim_end_matches('0');
    if whole.is_empty() || whole.len() > 12 || part.len() > 2 || !plain(whole) || !plain(part) {
        return None;
    }
    let cents = sign * format!("{whole}{part:0<2}").parse::<i64>().ok()?;
    (cents.abs() <= MONEY_CENTS_MAX).then_some(cents)
}

/// The number of an amount.
#[expect(clippy::cast_precision_loss, reason = "bounded by MONEY_CENTS_MAX")]
pub fn amount(cents: i64) -> Value {
    if cents % 100 == 0 {
        return Value::from(cents / 100);
    }
    Number::from_f64(cents as f64 / 100.0).map_or(Value::Null, Value::Number)
}

fn instant(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        // Milliseconds since 1970, as JavaScript counts.
        Value::Number(number) => Timestamp::from_millisecond(number.as_i64()?).ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_clock(text: &str) -> bool {
    let digits = text.as_bytes();
    let pair = |at: usize| {
        let two = text.get(at..at + 2)?;
        two.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| two.parse::<u8>().ok())
            .flatten()
    };
    digits.len() == 5
        && digits[2] == b':'
        && pair(3).is_some_and(|minute| minute < 60)
        && (pair(0).is_some_and(|hour| hour < 24) || text == "24:00")
}

fn json(value: &Value, max: usize) -> Option<String> {
    // The back office of the contract keeps some of its JSON as text.
    let text = match value.as_str() {
        Some(text) if serde_json::from_str::<Value>(text).is_ok() => text.to_owned(),
        Some(_) | None => value.to_string(),
    };
    (text.len() <= max).then_some(text)
}

fn strings(value: &Value) -> Option<String> {
    let parsed = value.as_str().map(|text| {
        serde_json::from_str(text).unwrap_or_else(|_| {
            let parts = text.split(',').map(str::trim);
            parts.filter(|part| !part.is_empty()).collect()
        })
    });
    let value = parsed.as_ref().unwrap_or(value);
    let list = value.as_array()?;
    let fits = |entry: &Value| {
        entry
            .as_str()
            .is_some_and(|text| text.len() <= STRING_BYTES_MAX)
    };
    (list.len() <= STRINGS_MAX && list.iter().all(fits)).then(|| value.to_string())
}

/// The text of an instant: ISO 8601 in UTC with milliseconds.
pub fn iso(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// A row as the wire has it.
///
/// # Errors
/// A column is not there.
pub fn show(table: &Table, row: &Row, of_house: bool) -> Result<Map<String, Value>, ReadError> {
    let mut members = Map::new();
    members.insert("id".to_owned(), row.text("id")?.into());
    if of_house {
        members.insert("restaurantId".to_owned(), row.text("restaurant_id")?.into());
    }
    for column in table.columns {
        members.insert(column.wire.to_owned(), shown(column, row)?);
    }
    for (wire, name) in [("createdAt", "created_at"), ("updatedAt", "updated_at")] {
        members.insert(wire.to_owned(), time(row.int(name)?));
    }
    Ok(members)
}

fn time(at: Option<i64>) -> Value {
    at.and_then(|at| Timestamp::from_microsecond(at).ok())
        .map_or(Value::Null, |at| iso(at).into())
}

fn shown(column: &Column, row: &Row) -> Result<Value, ReadError> {
    let name = column.name;
    Ok(match column.kind {
        Kind::Text(_) | Kind::Word(_) | Kind::Clock | Kind::Date => row.text(name)?.into(),
        Kind::Int(..) => row.int(name)?.into(),
        Kind::Real(..) => row.real(name)?.into(),
        Kind::Money => row.int(name)?.map_or(Value::Null, amount),
        Kind::Flag => row.int(name)?.map(|flag| flag != 0).into(),
        Kind::Time => time(row.int(name)?),
        Kind::Json(_) => row
            .text(name)?
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or(Value::Null),
        Kind::Strings => row
            .text(name)?
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_else(|| Value::Array(Vec::new())),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::tables;

    #[test]
    fn amounts_are_exact_or_refused() {
        for (value, expected) in [
            (json!(12.5), Some(1250)),
            (json!(19.99), Some(1999)),
            (json!(0.1), Some(10)),
            (json!(7), Some(700)),
            (json!("7,50"), Some(750)),
            (json!("-1.20"), Some(-120)),
            (json!(1.005), None),
            (json!(1e20), None),
            (json!("abc"), None),
            (json!(null), None),
        ] {
            assert_eq!(cents(&value), expected, "{value}");
        }
        for cents_before in (0..=100_000).step_by(7) {
            assert_eq!(cents(&amount(cents_before)), Some(cents_before));
        }
    }

    #[test]
    fn members_are_checked_by_their_columns() {
        let read_item = |value: Value| {
            let Value::Object(body) = value else {
                panic!("an object")
            };
            read(&tables::MENU_ITEMS, &body, true)
        };
        assert!(read_item(json!({"name": "Margherita", "price": 11.5, "unknown": 1})).is_ok());
        for (body, field) in [
            (json!({"price": 3}), "name"),
            (json!({"name": "x"}), "price"),
            (json!({"name": "", "price": 1}), "name"),
            (json!({"name": "x", "price": "many"}), "price"),
            (
                json!({"name": "x", "price": 1, "availableFrom": "9:00"}),
                "availableFrom",
            ),
            (
                json!({"name": "x", "price": 1, "isAvailable": "yes"}),
                "isAvailable",
            ),
            (
                json!({"name": "x", "price": 1, "allergens": [1]}),
                "allergens",
            ),
        ] {
            assert_eq!(read_item(body.clone()).unwrap_err().field, field, "{body}");
        }
    }
}
