//! What a caller means by "demain", "samedi", "8 h et demie": an instant in the restaurant's zone.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};

use super::hours::{DAY_MIN, day_index, instant, minute_of};
use super::lang::plain;

/// A time or date that is not understood, or lies behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadWhen {
    /// The time is no time of a day.
    Time,
    /// The date is no date.
    Date,
    /// Date and time together lie behind.
    Past,
}

impl BadWhen {
    /// The code of an availability answer.
    pub fn code(self) -> &'static str {
        match self {
            Self::Time => "requested_time_invalid",
            Self::Date => "requested_date_invalid",
            Self::Past => "requested_time_past",
        }
    }
}

/// When something is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// As soon as possible.
    Soon,
    /// On a day, at any hour.
    Day(Date),
    /// At an instant.
    At(Timestamp),
}

/// What is wanted, of the words of a request. A time that is over means tomorrow, unless a date comes with it.
///
/// # Errors
/// See [`BadWhen`].
pub fn asked(time: Option<&str>, date: Option<&str>, now: &Zoned) -> Result<Asked, BadWhen> {
    let given = |text: Option<&str>| {
        text.map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let (mut time, date) = (given(time), given(date));
    // Some models put the whole instant into one argument.
    if let Some(at) = time
        .as_deref()
        .and_then(|text| whole(text, now.time_zone()))
    {
        return if at > now.timestamp() {
            Ok(Asked::At(at))
        } else {
            Err(BadWhen::Past)
        };
    }
    if time.as_deref().is_some_and(is_soon) {
        time = None;
    }
    let night = date.as_deref().is_some_and(is_night);
    let date = date.map(|text| day_of(&text, now.date()).ok_or(BadWhen::Date));
    let minute = time.map(|text| minute(&text).ok_or(BadWhen::Time));
    match (date.transpose()?, minute.transpose()?) {
        (None, None) => Ok(Asked::Soon),
        (Some(day), None) if day.date < now.date() => Err(BadWhen::Past),
        (Some(day), None) => Ok(Asked::Day(day.date)),
        (None, Some(minute)) => {
            let today = later(now.date(), minute, now);
            let tomorrow = || later(now.date().tomorrow().ok()?, minute, now);
            today.or_else(tomorrow).map(Asked::At).ok_or(BadWhen::Time)
        }
        (Some(day), Some(minute)) => {
            // "Tonight at half past midnight" is after the coming midnight.
            let shift = if night && minute < 5 * 60 { DAY_MIN } else { 0 };
            if let Some(at) = later(day.date, minute + shift, now) {
                return Ok(Asked::At(at));
            }
            // "On Saturday at noon", said on a Saturday afternoon, is in a week.
            let next = day.date.checked_add(7.days()).ok();
            match next
                .filter(|_| day.weekday)
                .and_then(|next| later(next, minute, now))
            {
                Some(at) => Ok(Asked::At(at)),
                None => Err(BadWhen::Past),
            }
        }
    }
}

/// The first instant after now with that wall clock: in a fold the second one may be it.
fn later(date: Date, minute: u16, now: &Zoned) -> Option<Timestamp> {
    let zone = now.time_zone();
    let first = instant(date, minute, zone)?;
    if first > now.timestamp() {
        return Some(first);
    }
    let day = date.checked_add(i64::from(minute / DAY_MIN).days()).ok()?;
    let hour = i8::try_from(minute % DAY_MIN / 60).ok()?;
    let civil = day.at(hour, i8::try_from(minute % 60).ok()?, 0, 0);
    let second = zone.to_ambiguous_timestamp(civil).later().ok()?;
    (second > now.timestamp() && zone.to_datetime(second) == civil).then_some(second)
}

fn whole(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if text.len() < 16 {
        return None;
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    zone.to_ambiguous_timestamp(civil).compatible().ok()
}

fn is_soon(text: &str) -> bool {
    matches!(
        plain(text).as_str(),
        "asap"
            | "now"
            | "maintenant"
            | "des que possible"
            | "as soon as possible"
            | "tout de suite"
            | "null"
            | "none"
    )
}

fn is_night(text: &str) -> bool {
    matches!(
        plain(text).as_str(),
        "ce soir" | "tonight" | "cette nuit" | "this evening"
    )
}

/// Minutes from midnight: `20:30`, `20h30`, `8 pm`, `midi`.
fn minute(text: &str) -> Option<u16> {
    if let Some(minute) = minute_of(text) {
        return Some(minute % DAY_MIN);
    }
    let words = plain(text);
    match words.as_str() {
        "midi" | "noon" => return Some(720),
        "minuit" | "midnight" => return Some(0),
        "midi et demi" | "midi trente" => return Some(750),
        _ => {}
    }
    // `8 pm`, `8:30 am`, `8 h 30`, `20 heures 30`.
    let mut numbers = words
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty());
    let hour: u16 = numbers.next()?.parse().ok()?;
    let minutes: u16 = numbers.next().map_or(Some(0), |part| part.parse().ok())?;
    let rest: String = words.chars().filter(char::is_ascii_alphabetic).collect();
    let hour = match rest.as_str() {
        "pm" | "p" if (1..=12).contains(&hour) => hour % 12 + 12,
        "am" | "a" if (1..=12).contains(&hour) => hour % 12,
        "h" | "heures" | "heure" | "hmin" => hour,
        _ => return None,
    };
    (hour < 24 && minutes < 60 && numbers.next().is_none()).then_some(hour * 60 + minutes)
}

struct Day {
    date: Date,
    /// Named by its weekday alone.
    weekday: bool,
}

fn day_of(text: &str, today: Date) -> Option<Day> {
    let fixed = |date: Date| {
        Some(Day {
            date,
            weekday: false,
        })
    };
    if let Ok(date) = text.parse::<Date>() {
        return fixed(date);
    }
    let words = plain(text);
    let ahead = match words.as_str() {
        "today" | "aujourd hui" | "aujourdhui" | "ce soir" | "tonight" | "ce midi"
        | "this evening" | "cette nuit" | "ce jour" => Some(0),
        "tomorrow" | "demain" | "demain soir" | "demain midi" | "tomorrow evening"
        | "tomorrow night" => Some(1),
        "apres demain" | "day after tomorrow" | "the day after tomorrow" | "surlendemain" => {
            Some(2)
        }
        _ => None,
    };
    if let Some(ahead) = ahead {
        return fixed(today.checked_add(i64::from(ahead).days()).ok()?);
    }
    weekday(&words, today).or_else(|| fixed(written(&words, today)?))
}

/// `samedi`, `samedi prochain`, `next Saturday`, `samedi en huit`. Today's name is today.
fn weekday(words: &str, today: Date) -> Option<Day> {
    let mut index = None;
    let mut weeks = 0;
    let mut strictly_later = false;
    for word in words.split(' ') {
        match word {
            "next" | "prochain" | "prochaine" => strictly_later = true,
            "huit" => weeks = 1,
            "quinze" => weeks = 2,
            "en" | "ce" | "on" | "this" | "le" | "soir" | "midi" | "evening" | "night"
            | "lunch" | "au" => {}
            _ if word.len() > 2 => index = Some(day_index(word)?),
            _ => return None,
        }
    }
    let offset = usize::from(today.weekday().to_monday_zero_offset().unsigned_abs());
    let mut ahead = (index? + 7 - offset) % 7;
    if strictly_later && ahead == 0 {
        ahead = 7;
    }
    let ahead = i64::try_from(ahead).ok()? + weeks * 7;
    Some(Day {
        date: today.checked_add(ahead.days()).ok()?,
        weekday: !strictly_later && weeks == 0,
    })
}

/// `24/12`, `24/12/2026`, `24 décembre`, `December 24`, with or without a weekday's name before it. The next such day.
fn written(words: &str, today: Date) -> Option<Date> {
    const MONTHS: [[&str; 2]; 12] = [
        ["janvier", "january"],
        ["fevrier", "february"],
        ["mars", "march"],
        ["avril", "april"],
        ["mai", "may"],
        ["juin", "june"],
        ["juillet", "july"],
        ["aout", "august"],
        ["septembre", "september"],
        ["octobre", "october"],
        ["novembre", "november"],
        ["decembre", "december"],
    ];
    let mut numbers = Vec::new();
    let mut month = None;
    for word in words.split(' ') {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        if let Ok(number) = digits.parse::<i16>() {
            numbers.push(number);
        } else if let Some(found) = MONTHS.iter().position(|names| {
            names.iter().any(|name| {
                *name == word || word.len() == 3 && name.starts_with(word) && word != "jui"
            })
        }) {
            month = Some(i8::try_from(found + 1).ok()?);
        } else if day_index(word).is_none() && !matches!(word, "le" | "the" | "of" | "on") {
            return None;
        }
    }
    let (day, month, year) = match (month, numbers.as_slice()) {
        (Some(month), [day]) => (*day, month, None),
        (Some(month), [day, year]) => (*day, month, Some(*year)),
        (None, [day, month]) => (*day, i8::try_from(*month).ok()?, None),
        (None, [day, month, year]) => (*day, i8::try_from(*month).ok()?, Some(*year)),
        _ => return None,
    };
    let day = i8::try_from(day).ok()?;
    if let Some(year) = year {
        return Date::new(if year < 100 { 2000 + year } else { year }, month, day).ok();
    }
    let this = Date::new(today.year(), month, day).ok();
    this.filter(|date| *date >= today)
        .or_else(|| Date::new(today.year() + 1, month, day).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoned(text: &str) -> Zoned {
        format!("{text}[Europe/Paris]").parse().unwrap()
    }

    fn at(now: &str, time: &str, date: &str) -> String {
        let now = zoned(now);
        let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
        match asked(some(time), some(date), &now) {
            Ok(Asked::At(at)) => at
                .to_zoned(now.time_zone().clone())
                .strftime("%Y-%m-%d %H:%M%:z")
                .to_string(),
            Ok(other) => format!("{other:?}"),
            Err(error) => error.code().to_owned(),
        }
    }

    #[test]
    fn words_of_callers() {
        // 2026-11-28 is a Saturday.
        let now = "2026-11-28T18:00";
        for (time, date, expected) in [
            ("", "", "Soon"),
            ("asap", "", "Soon"),
            ("20:30", "", "2026-11-28 20:30+01:00"),
            ("12:00", "", "2026-11-29 12:00+01:00"),
            ("18:00", "", "2026-11-29 18:00+01:00"),
            ("20h30", "demain", "2026-11-29 20:30+01:00"),
            ("8 pm", "tomorrow", "2026-11-29 20:00+01:00"),
            ("12:00 am", "tomorrow", "2026-11-29 00:00+01:00"),
            ("midi", "après-demain", "2026-11-30 12:00+01:00"),
            ("20:00", "samedi", "2026-11-28 20:00+01:00"),
            ("12:00", "samedi", "2026-12-05 12:00+01:00"),
            ("20:00", "samedi prochain", "2026-12-05 20:00+01:00"),
            ("20:00", "samedi en huit", "2026-12-05 20:00+01:00"),
            ("20:00", "Friday", "2026-12-04 20:00+01:00"),
            ("20:00", "on Friday evening", "2026-12-04 20:00+01:00"),
            ("12:00", "today", "requested_time_past"),
            ("12:00", "2026-11-28", "requested_time_past"),
            ("00:30", "ce soir", "2026-11-29 00:30+01:00"),
            ("20:00", "24 décembre", "2026-12-24 20:00+01:00"),
            ("20:00", "jeudi 24 décembre", "2026-12-24 20:00+01:00"),
            ("20:00", "24/12", "2026-12-24 20:00+01:00"),
            ("20:00", "3 janvier", "2027-01-03 20:00+01:00"),
            ("20:00", "December 24th", "2026-12-24 20:00+01:00"),
            ("20:00", "01/02/2027", "2027-02-01 20:00+01:00"),
            ("", "demain", "Day(2026-11-29)"),
            ("", "2026-11-27", "requested_time_past"),
            ("25:00", "", "requested_time_invalid"),
            ("bientôt", "", "requested_time_invalid"),
            ("20:00", "jamais", "requested_date_invalid"),
            ("20:00", "31/02", "requested_date_invalid"),
            ("2026-11-29T19:00:00Z", "", "2026-11-29 20:00+01:00"),
            ("2026-11-29T20:00", "", "2026-11-29 20:00+01:00"),
        ] {
            assert_eq!(at(now, time, date), expected, "{time} {date}");
        }
        assert_eq!(
            at("2026-11-28T23:50", "00:10", ""),
            "2026-11-29 00:10+01:00"
        );
    }

    #[test]
    fn daylight_saving_nights() {
        // 02:30 does not exist on 2026-03-29, and exists twice on 2026-10-25.
        assert_eq!(
            at("2026-03-28T20:00", "02:30", ""),
            "2026-03-29 03:30+02:00"
        );
        assert_eq!(
            at("2026-10-24T20:00", "02:30", ""),
            "2026-10-25 02:30+02:00"
        );
        let between = "2026-10-25T00:45:00Z".parse::<Timestamp>().unwrap(); // 02:45+02:00
        let now = between.to_zoned(TimeZone::get("Europe/Paris").unwrap());
        assert_eq!(
            asked(Some("02:30"), None, &now),
            Ok(Asked::At("2026-10-25T01:30:00Z".parse().unwrap()))
        );
    }

    /// Whatever a time without a date means, it is ahead, at most 25 hours, and its wall clock is the one that was said
    /// (after a gap: the same distance behind it).
    #[test]
    fn a_bare_time_is_always_ahead() {
        let zone = TimeZone::get("Europe/Paris").unwrap();
        let mut now: Timestamp = "2026-01-01T00:07:00Z".parse().unwrap();
        let end: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        while now < end {
            let zoned = now.to_zoned(zone.clone());
            for hour in 0..24 {
                let text = format!("{hour:02}:30");
                let Ok(Asked::At(at)) = asked(Some(&text), None, &zoned) else {
                    panic!("{zoned} {text}");
                };
                let ahead = at.as_second() - now.as_second();
                assert!(ahead > 0 && ahead <= 25 * 3600, "{zoned} {text}: {ahead}");
                let said = zone.to_datetime(at).strftime("%H:%M").to_string();
                assert!(
                    said == text || (text == "02:30" && said == "03:30"),
                    "{zoned} {text} {said}"
                );
            }
            now += jiff::SignedDuration::from_mins(97);
        }
    }
}
