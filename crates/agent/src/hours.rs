//! Opening hours in the agent's time zone.

use std::collections::BTreeMap;

use jiff::Zoned;
use jiff::civil::{Date, Weekday};

use crate::fault::{Fault, FaultCode};
use crate::settings::OpeningHours;

const DAY_MINUTES: u16 = 24 * 60;
const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// Minutes from the midnight of the day; the end may lie on the next day (over 1,440).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    from: u16,
    to: u16,
}

/// Compiled opening hours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hours {
    week: [Vec<Range>; 7],
    exceptions: BTreeMap<Date, Vec<Range>>,
}

impl Hours {
    pub(crate) fn compile(settings: &OpeningHours, faults: &mut Vec<Fault>) -> Self {
        let mut hours = Self::default();
        for (name, ranges) in &settings.days {
            let path = format!("openingHours.days.{name}");
            let lower = name.to_lowercase();
            match DAYS
                .iter()
                .position(|(day, _)| *day == lower || lower.len() >= 3 && day.starts_with(&lower))
            {
                Some(position) => hours.week[position] = parse_ranges(ranges, &path, faults),
                None => faults.push(Fault::new(
                    path,
                    FaultCode::BadTime,
                    "A day is one of monday to sunday.",
                )),
            }
        }
        for (date, ranges) in &settings.exceptions {
            let path = format!("openingHours.exceptions.{date}");
            match date.parse() {
                Ok(day) => {
                    let ranges = parse_ranges(ranges, &path, faults);
                    hours.exceptions.insert(day, ranges);
                }
                Err(_) => faults.push(Fault::new(
                    path,
                    FaultCode::BadTime,
                    "A date is written 2026-12-25.",
                )),
            }
        }
        hours
    }

    fn of(&self, date: Date) -> &[Range] {
        if let Some(ranges) = self.exceptions.get(&date) {
            return ranges;
        }
        let position = DAYS.iter().position(|(_, day)| *day == date.weekday());
        position
            .and_then(|position| self.week.get(position))
            .map_or(&[], Vec::as_slice)
    }

    /// Whether the moment lies in a range of its day, or in one of the day before that passes midnight.
    pub(crate) fn is_open(&self, now: &Zoned) -> bool {
        let minute =
            u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs());
        let today = self
            .of(now.date())
            .iter()
            .any(|range| (range.from..range.to).contains(&minute));
        let yesterday = || {
            now.date().yesterday().is_ok_and(|date| {
                self.of(date)
                    .iter()
                    .any(|range| (range.from..range.to).contains(&(minute + DAY_MINUTES)))
            })
        };
        today || yesterday()
    }
}

fn parse_ranges(texts: &[String], path: &str, faults: &mut Vec<Fault>) -> Vec<Range> {
    let mut ranges = Vec::new();
    for text in texts {
        match parse_range(text) {
            Some(range) => ranges.push(range),
            None => faults.push(Fault::new(
                path,
                FaultCode::BadTime,
                "Hours are written 09:00-12:30 (24-hour clock).",
            )),
        }
    }
    ranges
}

fn parse_range(text: &str) -> Option<Range> {
    let (from, to) = text.split_once(['-', '\u{2013}'])?;
    let (from, to) = (parse_minute(from)?, parse_minute(to)?);
    if from == DAY_MINUTES {
        return None;
    }
    // 18:30-02:00 passes midnight; 00:00-00:00 is the whole day.
    let to = if to <= from { to + DAY_MINUTES } else { to };
    Some(Range { from, to })
}

fn parse_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once([':', 'h'])?;
    let hour: u16 = hour.parse().ok()?;
    let minute: u16 = if minute.is_empty() {
        0
    } else {
        minute.parse().ok()?
    };
    (minute < 60 && (hour < 24 || hour == 24 && minute == 0)).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(json: &str) -> Hours {
        let settings = serde_json::from_str(json).unwrap();
        let mut faults = Vec::new();
        let hours = Hours::compile(&settings, &mut faults);
        assert_eq!(faults, []);
        hours
    }

    fn open(hours: &Hours, at: &str) -> bool {
        hours.is_open(&at.parse().unwrap())
    }

    #[test]
    fn ranges_pass_midnight_and_exceptions_replace_a_day() {
        let hours = hours(
            r#"{"days":{"friday":["11:30-14:00","18:30-02:00"],"sat":["10:00-24:00"]},"exceptions":{"2026-12-25":[]}}"#,
        );
        assert!(open(&hours, "2026-11-20T12:00[Europe/Paris]"));
        assert!(!open(&hours, "2026-11-20T14:00[Europe/Paris]"));
        assert!(open(&hours, "2026-11-21T01:59[Europe/Paris]"));
        assert!(!open(&hours, "2026-11-21T02:00[Europe/Paris]"));
        assert!(open(&hours, "2026-11-21T23:59[Europe/Paris]"));
        assert!(!open(&hours, "2026-11-22T00:00[Europe/Paris]"));
        // 25 December 2026 is a Friday.
        assert!(!open(&hours, "2026-12-25T12:00[Europe/Paris]"));
        assert!(!open(&hours, "2026-11-18T12:00[Europe/Paris]"));
    }

    #[test]
    fn the_zone_decides() {
        let hours = hours(r#"{"days":{"monday":["09:00-10:00"]}}"#);
        // One instant, two zones; and the hour that the clocks skip and repeat.
        assert!(open(&hours, "2026-03-30T09:30[Europe/Paris]"));
        assert!(!open(&hours, "2026-03-30T03:30[America/New_York]"));
    }

    #[test]
    fn nonsense_is_a_fault() {
        let settings = serde_json::from_str(
            r#"{"days":{"lundi":["09:00-10:00"],"monday":["9-10","25:00-26:00","09:00","24:00-25:00"]},"exceptions":{"noel":[]}}"#,
        )
        .unwrap();
        let mut faults = Vec::new();
        Hours::compile(&settings, &mut faults);
        assert_eq!(faults.len(), 6);
    }
}
