//! Opening hours of a week with exceptions, in the restaurant's zone.
//!
//! As JSON: `{"monday": [{"open": "12:00", "close": "14:30"}, …], …, "exceptions": [{"date": "2026-12-25", "closed": true}]}`. Days
//! may be named in French or English, whole or by three letters, or by number (1 is Monday); a span may be a pair or a text
//! `12:00-14:30`. A span that ends at or before its beginning ends on the next day. Nothing stated is always open.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Map, Value};

use super::lang::{Lang, plain};

/// Spans of one day that are read.
const SPANS_MAX: usize = 8;
/// Exceptions that are read.
const EXCEPTIONS_MAX: usize = 400;
/// Days ahead in which an opening is looked for.
const LOOK_AHEAD_DAYS: i32 = 60;
/// Minutes of a day.
pub const DAY_MIN: u16 = 1_440;

/// Minutes from a day's midnight on the wall clock; `to` may lie beyond the day's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaySpan {
    /// Included.
    pub from: u16,
    /// Not included.
    pub to: u16,
}

/// Opening hours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hours {
    /// Monday first. `None` when no week is stated.
    week: Option<[Vec<DaySpan>; 7]>,
    exceptions: BTreeMap<Date, Vec<DaySpan>>,
}

/// Hours that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("opening hours: {place}: {text}")]
pub struct BadHours {
    /// Where, as a member's name.
    pub place: String,
    /// What is wrong.
    pub text: &'static str,
}

const DAYS: [[&str; 6]; 7] = [
    ["monday", "mon", "lundi", "lun", "1", "mo"],
    ["tuesday", "tue", "mardi", "mar", "2", "tu"],
    ["wednesday", "wed", "mercredi", "mer", "3", "we"],
    ["thursday", "thu", "jeudi", "jeu", "4", "th"],
    ["friday", "fri", "vendredi", "ven", "5", "fr"],
    ["saturday", "sat", "samedi", "sam", "6", "sa"],
    ["sunday", "sun", "dimanche", "dim", "7", "su"],
];

/// The index of a day's name, Monday 0.
pub fn day_index(word: &str) -> Option<usize> {
    DAYS.iter().position(|names| names.contains(&word))
}

/// The index of a day as JSON has it: a number (1 is Monday, 7 and also 0 Sunday), or a name.
pub fn day_of(value: &Value) -> Option<usize> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => match text.trim().parse() {
            Ok(number) => Some(number),
            Err(_) => return day_index(&plain(text)),
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let number = usize::try_from(number.filter(|number| *number <= 7)?).ok()?;
    Some((number + 6) % 7)
}

/// The day's name for people.
pub fn day_name(lang: Lang, index: usize) -> &'static str {
    let names = &DAYS[index % 7];
    match lang {
        Lang::Fr => names[2],
        Lang::En => names[0],
    }
}

/// Minutes from midnight of `HH:MM` (also `9h`, `9h30`); `24:00` is the day's end.
pub fn minute_of(text: &str) -> Option<u16> {
    let text = text.trim();
    let (hours, minutes) = text.split_once([':', 'h', 'H']).unwrap_or((text, ""));
    let hours: u16 = hours.trim().parse().ok()?;
    // `HH:MM:SS` as databases write it.
    let minutes = minutes.split(':').next().unwrap_or("").trim();
    let minutes: u16 = if minutes.is_empty() {
        0
    } else {
        minutes.parse().ok()?
    };
    (hours < 24 && minutes < 60 || hours == 24 && minutes == 0).then_some(hours * 60 + minutes)
}

/// `HH:MM` of minutes from midnight.
pub fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60 % 24, minute % 60)
}

/// The instant of a wall clock's minute, which may lie on the next day. In the gap of a daylight-saving night it is the same
/// distance after the gap, in a fold the first of the two.
pub fn instant(date: Date, minute: u16, zone: &TimeZone) -> Option<Timestamp> {
    let date = date.checked_add(i64::from(minute / DAY_MIN).days()).ok()?;
    let minute = minute % DAY_MIN;
    let civil = date.at(
        i8::try_from(minute / 60).ok()?,
        i8::try_from(minute % 60).ok()?,
        0,
        0,
    );
    zone.to_ambiguous_timestamp(civil).compatible().ok()
}

impl Hours {
    /// Reads the JSON of the module's description.
    ///
    /// # Errors
    /// See [`BadHours`].
    pub fn parse(value: &Value) -> Result<Self, BadHours> {
        if let Value::String(text) = value
            && !text.trim().is_empty()
        {
            let inner = serde_json::from_str::<Value>(text).map_err(|_| bad("", "is no JSON"))?;
            return if inner.is_string() {
                Err(bad("", "must be an object"))
            } else {
                Self::parse(&inner)
            };
        }
        match value {
            Value::Null | Value::String(_) => Ok(Self::default()),
            Value::Object(members) => Self::of_object(members),
            Value::Array(rows) => Self::of_rows(rows),
            Value::Bool(_) | Value::Number(_) => Err(bad("", "must be an object")),
        }
    }

    fn of_object(members: &Map<String, Value>) -> Result<Self, BadHours> {
        let mut hours = Self::default();
        for (name, value) in members {
            let word = plain(name);
            if let Some(index) = day_index(&word) {
                hours.week.get_or_insert_default()[index] = spans(name, value)?;
            } else if word == "exceptions" {
                hours.exceptions = exceptions(value)?;
            } else if word != "timezone" {
                return Err(bad(name, "is neither a day nor `exceptions`"));
            }
        }
        Ok(hours)
    }

    /// `[{"day": "monday", "open": …, "close": …}, …]`.
    fn of_rows(rows: &[Value]) -> Result<Self, BadHours> {
        let mut hours = Self::default();
        for row in rows.iter().take(7 * SPANS_MAX) {
            let day = row.get("day").or_else(|| row.get("dayOfWeek"));
            let word = match day {
                Some(Value::Number(number)) => match number.as_u64() {
                    Some(0) => "7".to_owned(),
                    _ => number.to_string(),
                },
                Some(Value::String(text)) => plain(text),
                _ => return Err(bad("day", "is missing")),
            };
            let index = day_index(&word).ok_or_else(|| bad(&word, "is no day"))?;
            let week = hours.week.get_or_insert_default();
            week[index].extend(spans(&word, row)?);
        }
        Ok(hours)
    }

    /// Whether any hours are stated.
    pub fn are_stated(&self) -> bool {
        self.week.is_some()
    }

    /// The spans that begin on a date.
    pub fn day(&self, date: Date) -> Vec<DaySpan> {
        if let Some(spans) = self.exceptions.get(&date) {
            return spans.clone();
        }
        match &self.week {
            Some(week) => {
                week[usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())].clone()
            }
            None => vec![DaySpan {
                from: 0,
                to: DAY_MIN,
            }],
        }
    }

    /// The dates that differ, from `from` on, with their spans.
    pub fn exceptions_from(&self, from: Date) -> impl Iterator<Item = (Date, &[DaySpan])> {
        self.exceptions
            .range(from..)
            .map(|(date, spans)| (*date, spans.as_slice()))
    }

    /// The open span around an instant: its beginning and end.
    pub fn around(&self, at: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let today = zone.to_datetime(at).date();
        let yesterday = today.yesterday().ok()?;
        [yesterday, today].into_iter().find_map(|date| {
            self.day(date).into_iter().find_map(|span| {
                let from = instant(date, span.from, zone)?;
                let to = instant(date, span.to, zone)?;
                (from <= at && at < to).then_some((from, to))
            })
        })
    }

    /// Whether it is open.
    pub fn is_open(&self, at: Timestamp, zone: &TimeZone) -> bool {
        self.around(at, zone).is_some()
    }

    /// The first instant from `at` on at which it is open.
    pub fn next_open(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if self.is_open(at, zone) {
            return Some(at);
        }
        let mut date = zone.to_datetime(at).date();
        for _ in 0..LOOK_AHEAD_DAYS {
            let found = self
                .day(date)
                .into_iter()
                .filter_map(|span| instant(date, span.from, zone))
                .filter(|from| *from >= at)
                .min();
            if found.is_some() {
                return found;
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// The first instant from `at` on within a span that begins on that date.
    pub fn first_of_day(&self, date: Date, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.day(date).into_iter().find_map(|span| {
            let from = instant(date, span.from, zone)?;
            let to = instant(date, span.to, zone)?;
            (at < to).then_some(at.max(from))
        })
    }

    /// The spans of a day for people: `12:00-14:30, 19:00-22:30`, or closed.
    pub fn spoken(lang: Lang, spans: &[DaySpan]) -> String {
        if spans.is_empty() {
            return lang.pick("fermé", "closed").to_owned();
        }
        let texts: Vec<String> = spans
            .iter()
            .map(|span| format!("{}-{}", clock(span.from), clock(span.to)))
            .collect();
        texts.join(", ")
    }
}

fn bad(place: &str, text: &'static str) -> BadHours {
    BadHours {
        place: place.chars().take(40).collect(),
        text,
    }
}

fn spans(place: &str, value: &Value) -> Result<Vec<DaySpan>, BadHours> {
    let mut found = Vec::new();
    match value {
        Value::Null | Value::Bool(false) => {}
        Value::Array(parts) if parts.len() == 2 && parts.iter().all(is_clock) => {
            found.push(pair(place, &parts[0], &parts[1])?);
        }
        Value::Array(parts) => {
            for part in parts {
                found.extend(spans(place, part)?);
            }
        }
        Value::Object(members) => found.extend(of_members(place, members)?),
        Value::String(text) => {
            let word = plain(text);
            if !matches!(word.as_str(), "" | "closed" | "ferme") {
                for part in text.split([',', ';', '/']) {
                    let (open, close) = part
                        .split_once(['-', '–'])
                        .ok_or_else(|| bad(place, "a span is written 12:00-14:30"))?;
                    found.push(pair(place, &open.into(), &close.into())?);
                }
            }
        }
        Value::Bool(true) | Value::Number(_) => return Err(bad(place, "must be a list of spans")),
    }
    if found.len() > SPANS_MAX {
        return Err(bad(place, "has more than 8 spans"));
    }
    found.sort_by_key(|span| span.from);
    if found.windows(2).any(|two| two[0].to > two[1].from) {
        return Err(bad(place, "has spans that overlap"));
    }
    Ok(found)
}

fn of_members(place: &str, members: &Map<String, Value>) -> Result<Vec<DaySpan>, BadHours> {
    if members.get("closed") == Some(&Value::Bool(true))
        || members.get("isClosed") == Some(&Value::Bool(true))
        || members.get("isOpen") == Some(&Value::Bool(false))
    {
        return Ok(Vec::new());
    }
    for name in ["spans", "ranges", "slots", "periods"] {
        if let Some(inner) = members.get(name) {
            return spans(place, inner);
        }
    }
    let of = |names: [&str; 3]| names.iter().find_map(|name| members.get(*name));
    match (of(["open", "from", "start"]), of(["close", "to", "end"])) {
        (Some(open), Some(close)) => Ok(vec![pair(place, open, close)?]),
        _ => Err(bad(place, "a span has `open` and `close`")),
    }
}

fn is_clock(value: &Value) -> bool {
    value.as_str().is_some_and(|text| minute_of(text).is_some())
}

fn pair(place: &str, open: &Value, close: &Value) -> Result<DaySpan, BadHours> {
    let read = |value: &Value| value.as_str().and_then(minute_of);
    let (Some(from), Some(to)) = (read(open), read(close)) else {
        return Err(bad(place, "a time is written HH:MM"));
    };
    Ok(DaySpan {
        from: from % DAY_MIN,
        to: if to > from % DAY_MIN {
            to
        } else {
            to + DAY_MIN
        },
    })
}

fn exceptions(value: &Value) -> Result<BTreeMap<Date, Vec<DaySpan>>, BadHours> {
    let mut found = BTreeMap::new();
    let mut add = |date: &str, value: &Value| -> Result<(), BadHours> {
        let day: Date = date
            .parse()
            .map_err(|_| bad(date, "is no date YYYY-MM-DD"))?;
        found.insert(day, spans(date, value)?);
        Ok(())
    };
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (date, value) in members.iter().take(EXCEPTIONS_MAX) {
                add(date, value)?;
            }
        }
        Value::Array(rows) => {
            for row in rows.iter().take(EXCEPTIONS_MAX) {
                let date = row.get("date").and_then(Value::as_str);
                add(
                    date.ok_or_else(|| bad("exceptions", "`date` is missing"))?,
                    row,
                )?;
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(bad("exceptions", "must be a list"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paris() -> TimeZone {
        TimeZone::get("Europe/Paris").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse::<jiff::Zoned>().unwrap().timestamp()
    }

    #[test]
    fn weeks_are_read_in_every_spelling() {
        let expected = vec![
            DaySpan { from: 720, to: 870 },
            DaySpan {
                from: 1140,
                to: 1560,
            },
        ];
        let monday: Date = "2026-11-30".parse().unwrap();
        for value in [
            json!({"monday": [{"open": "12:00", "close": "14:30"}, {"open": "19:00", "close": "02:00"}]}),
            json!({"Lundi": ["12:00-14:30", "19h-02:00"]}),
            json!({"lun": "12:00-14:30, 19:00-02:00"}),
            json!({"1": [["12:00", "14:30"], ["19:00", "02:00"]]}),
            json!([{"day": 1, "open": "12:00", "close": "14:30"}, {"day": "mon", "from": "19:00", "to": "02:00"}]),
            json!(
                "{\"mon\":[{\"open\":\"19:00\",\"close\":\"02:00\"},{\"open\":\"12:00:00\",\"close\":\"14:30\"}]}"
            ),
        ] {
            let hours = Hours::parse(&value).unwrap();
            assert_eq!(hours.day(monday), expected, "{value}");
            assert_eq!(hours.day(monday.tomorrow().unwrap()), vec![], "{value}");
        }
        for bad in [
            json!({"moonday": []}),
            json!({"monday": "morning"}),
            json!({"monday": ["12:00-14:00", "13:00-15:00"]}),
            json!({"monday": [{"open": "12:00"}]}),
            json!(7),
            json!({"exceptions": [{"closed": true}]}),
        ] {
            assert!(Hours::parse(&bad).is_err(), "{bad}");
        }
        assert!(!Hours::parse(&json!(null)).unwrap().are_stated());
    }

    #[test]
    fn spans_cross_midnight_and_exceptions_win() {
        let hours = Hours::parse(&json!({
            "friday": "18:00-02:00", "saturday": "18:00-02:00",
            "exceptions": [{"date": "2026-12-25", "closed": true}, {"date": "2026-12-24", "open": "12:00", "close": "15:00"}],
        }))
        .unwrap();
        let zone = paris();
        assert!(hours.is_open(at("2026-12-05T01:59[Europe/Paris]"), &zone));
        assert!(!hours.is_open(at("2026-12-05T02:00[Europe/Paris]"), &zone));
        assert!(!hours.is_open(at("2026-12-25T19:00[Europe/Paris]"), &zone));
        assert!(hours.is_open(at("2026-12-24T13:00[Europe/Paris]"), &zone));
        assert_eq!(
            hours.next_open(at("2026-12-24T16:00[Europe/Paris]"), &zone),
            Some(at("2026-12-26T18:00[Europe/Paris]"))
        );
    }

    #[test]
    fn nights_of_daylight_saving_have_their_true_length() {
        let hours = Hours::parse(&json!({"saturday": "20:00-04:00"})).unwrap();
        let zone = paris();
        for (evening, hours_open) in [("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-06", 8)] {
            let inside = at(&format!("{evening}T21:00[Europe/Paris]"));
            let (from, to) = hours.around(inside, &zone).unwrap();
            assert_eq!(
                to.as_second() - from.as_second(),
                hours_open * 3600,
                "{evening}"
            );
        }
    }
}
