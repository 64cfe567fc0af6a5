//! What keeps calls that we place from costing more than somebody meant: numbers that are never called, and an account's ceilings and
//! night. Pure: the shell brings the time and what the account has done so far.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::price::decimal_f64;

/// Beginnings of numbers that are never called, in international form without plus. See the file for who says so.
const PREMIUM: &str = include_str!("../data/premium.tsv");
/// Countries and islands of +1 beside the United States and Canada: their numbers look like home and cost like abroad.
const ISLANDS_OF_ONE: [&str; 27] = [
    "1242", "1246", "1264", "1268", "1284", "1345", "1441", "1473", "1649", "1658", "1664", "1721",
    "1758", "1767", "1784", "1809", "1829", "1849", "1868", "1869", "1876", "1684", "1670", "1671",
    "1340", "1787", "1939",
];
/// Most rules of a night.
const NIGHT_RULES_MAX: usize = 64;
/// Highest ceiling of calls.
const CALLS_MAX: u64 = 100_000;

/// Whether a number is premium, satellite or personal: digits in international form, without plus.
pub fn is_premium(international: &str) -> bool {
    let listed = PREMIUM
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('\t').next())
        .any(|prefix| !prefix.is_empty() && international.starts_with(prefix));
    // 1-NPA-976-xxxx: the premium exchange of each area of North America.
    let exchange = international.starts_with('1') && international.get(4..7) == Some("976");
    listed || exchange
}

/// Whether an international number of +1 is of an island that a rule must name: `+1876`, not `+1`.
pub(crate) fn is_island_of_one(international: &str) -> bool {
    ISLANDS_OF_ONE
        .iter()
        .any(|prefix| international.starts_with(prefix))
}

/// The hours in which an account places no calls, or only some.
#[derive(Clone, Debug)]
pub struct Night {
    /// Minutes after midnight; where the end is not later than the beginning it is the next day's.
    from: u16,
    to: u16,
    zone: TimeZone,
    /// Beginnings of numbers that are called at night, too.
    prefixes: Vec<String>,
}

/// An account's ceilings on the calls that it places: member `outbound` of its settings.
#[derive(Clone, Debug, Default)]
pub struct TollRules {
    /// Most of them at the same time.
    pub calls_max: Option<u64>,
    /// Most of them in any sixty minutes.
    pub calls_per_hour: Option<u64>,
    /// Most that they cost in any 24 hours, in micro-units of the account's money.
    pub spend_per_day_micro: Option<i64>,
    /// When none are placed.
    pub night: Option<Night>,
}

/// What an account has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TollFigures {
    /// Calls that it placed and that run.
    pub calls_now: u64,
    /// Calls that it placed in the last hour.
    pub calls_in_hour: u64,
    /// What calls that it placed have cost in the last day, in micro-units.
    pub spent_in_day_micro: i64,
    /// What is left of its balance and budgets, where it has any.
    pub left_micro: Option<i64>,
}

/// Why a call is not placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TollRefusal {
    /// At this time of its night.
    Night {
        /// When it ends: hours and minutes of its time zone.
        until: String,
    },
    /// As many run as may.
    Concurrency {
        /// The ceiling.
        max: u64,
    },
    /// As many were placed within the hour as may.
    Rate {
        /// The ceiling.
        max: u64,
    },
    /// The day's money for calls is spent.
    Spend,
    /// The balance or the budget is spent.
    Balance,
}

impl TollRefusal {
    /// A short stable name, for figures and the audit log.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Night { .. } => "night",
            Self::Concurrency { .. } => "concurrency",
            Self::Rate { .. } => "rate",
            Self::Spend => "spend",
            Self::Balance => "balance",
        }
    }
}

impl TollRules {
    /// Reads the member `outbound` of an account's settings; none is no ceiling.
    ///
    /// # Errors
    /// The path of the member that is wrong.
    pub fn read(settings: &Map<String, Value>) -> Result<Self, &'static str> {
        let members = match settings.get("outbound") {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(members)) => members,
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                return Err("outbound");
            }
        };
        let known = ["callsMax", "callsPerHour", "spendPerDay", "night"];
        if !members.keys().all(|name| known.contains(&name.as_str())) {
            return Err("outbound");
        }
        let count = |name: &str, path: &'static str| match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(count) if count <= CALLS_MAX => Ok(Some(count)),
                Some(_) | None => Err(path),
            },
        };
        let spend = match members.get("spendPerDay") {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                value
                    .as_f64()
                    .filter(|units| (0.0..=1e9).contains(units))
                    .and_then(decimal_f64)
                    .ok_or("outbound.spendPerDay")?,
            ),
        };
        let night = match members.get("night") {
            None | Some(Value::Null) => None,
            Some(value) => Some(Night::read(value).ok_or("outbound.night")?),
        };
        Ok(Self {
            calls_max: count("callsMax", "outbound.callsMax")?,
            calls_per_hour: count("callsPerHour", "outbound.callsPerHour")?,
            spend_per_day_micro: spend,
            night,
        })
    }

    /// Whether an account may place a call to this number now. `dialled` is as it is dialled: `+33…` or a number of home.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn judge(
        &self,
        dialled: &str,
        now: Timestamp,
        figures: &TollFigures,
    ) -> Result<(), TollRefusal> {
        if let Some(night) = &self.night
            && night.refuses(dialled, now)
        {
            return Err(TollRefusal::Night {
                until: format!("{:02}:{:02}", night.to / 60, night.to % 60),
            });
        }
        if figures.left_micro.is_some_and(|left| left <= 0) {
            return Err(TollRefusal::Balance);
        }
        if self
            .spend_per_day_micro
            .is_some_and(|max| figures.spent_in_day_micro >= max)
        {
            return Err(TollRefusal::Spend);
        }
        if let Some(max) = self.calls_per_hour
            && figures.calls_in_hour >= max
        {
            return Err(TollRefusal::Rate { max });
        }
        match self.calls_max {
            Some(max) if figures.calls_now >= max => Err(TollRefusal::Concurrency { max }),
            Some(_) | None => Ok(()),
        }
    }
}

impl Night {
    fn read(value: &Value) -> Option<Self> {
        let members = value.as_object()?;
        let known = ["from", "to", "timeZone", "prefixes"];
        if !members.keys().all(|name| known.contains(&name.as_str())) {
            return None;
        }
        let text = |name: &str| members.get(name)?.as_str();
        let prefixes = match members.get("prefixes") {
            None | Some(Value::Null) => Vec::new(),
            Some(listed) => listed
                .as_array()?
                .iter()
                .map(|rule| rule.as_str().filter(|rule| is_number(rule)))
                .map(|rule| rule.map(str::to_owned))
                .collect::<Option<Vec<_>>>()?,
        };
        (prefixes.len() <= NIGHT_RULES_MAX).then_some(())?;
        Some(Self {
            from: minute(text("from")?)?,
            to: minute(text("to")?)?,
            zone: TimeZone::get(text("timeZone")?).ok()?,
            prefixes,
        })
    }

    fn refuses(&self, dialled: &str, now: Timestamp) -> bool {
        let local = now.to_zoned(self.zone.clone());
        let minute =
            u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let is_night = if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        };
        let allowed = self
            .prefixes
            .iter()
            .any(|rule| dialled.starts_with(rule.as_str()));
        is_night && !allowed
    }
}

/// The beginning of a number: `+33`, `04`.
fn is_number(rule: &str) -> bool {
    let digits = rule.strip_prefix('+').unwrap_or(rule);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// `20:30` as minutes after midnight.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        two.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(outbound: Value) -> Result<TollRules, &'static str> {
        let mut settings = Map::new();
        settings.insert("outbound".to_owned(), outbound);
        TollRules::read(&settings)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn premium_satellite_and_personal_numbers() {
        for number in [
            "33899123456",
            "33890123456",
            "33118218",
            "49900123456",
            "491371234567",
            "449012345678",
            "448711234567",
            "447012345678",
            "34803123456",
            "34905123456",
            "39899123456",
            "39199123456",
            "3290212345",
            "3270123456",
            "41900123456",
            "41906123456",
            "31900123456",
            "31840123456",
            "43900123456",
            "19005550100",
            "12129761234",
            "97912345678",
            "881612345678",
            "882161234567",
            "883510012345",
            "870773123456",
            "878101234567",
        ] {
            assert!(is_premium(number), "{number}");
        }
        // Subscribers whose numbers look alike: mobiles, geographic numbers, freephone.
        for number in [
            "33612345678",
            "33491234567",
            "33800123456",
            "33970123456",
            "491711234567",
            "493012345678",
            "442079460000",
            "447700900123",
            "448001234567",
            "34912345678",
            "34612345678",
            "390612345678",
            "393401234567",
            "3221234567",
            "32471234567",
            "41441234567",
            "41791234567",
            "31201234567",
            "31612345678",
            "31182123456",
            "12125550100",
            "14165550100",
            "4312345678",
            "80012345678",
        ] {
            assert!(!is_premium(number), "{number}");
        }
    }

    #[test]
    fn each_line_of_the_table_is_a_beginning_and_its_reason() {
        for line in PREMIUM.lines().filter(|line| !line.starts_with('#')) {
            let (prefix, why) = line.split_once('\t').expect("a tab");
            assert!(is_number(prefix) && !prefix.starts_with('+'), "{line}");
            assert!(!why.trim().is_empty(), "{line}");
        }
    }

    #[test]
    fn settings_that_are_wrong_are_named() {
        assert!(TollRules::read(&Map::new()).is_ok_and(|rules| rules.night.is_none()));
        for (outbound, path) in [
            (json!([]), "outbound"),
            (json!({"callMax": 3}), "outbound"),
            (json!({"callsMax": -1}), "outbound.callsMax"),
            (json!({"callsPerHour": "many"}), "outbound.callsPerHour"),
            (json!({"spendPerDay": -2}), "outbound.spendPerDay"),
            (
                json!({"night": {"from": "20:00", "to": "8", "timeZone": "Europe/Paris"}}),
                "outbound.night",
            ),
            (
                json!({"night": {"from": "20:00", "to": "08:00"}}),
                "outbound.night",
            ),
            (
                json!({"night": {"from": "20:00", "to": "08:00", "timeZone": "Mars/Base"}}),
                "outbound.night",
            ),
            (
                json!({"night": {"from": "20:00", "to": "08:00", "timeZone": "Europe/Paris", "prefixes": ["x"]}}),
                "outbound.night",
            ),
        ] {
            assert_eq!(rules(outbound.clone()).err(), Some(path), "{outbound}");
        }
    }

    #[test]
    fn ceilings() {
        let rules =
            rules(json!({"callsMax": 2, "callsPerHour": 10, "spendPerDay": 1.5})).expect("rules");
        let free = TollFigures {
            calls_now: 1,
            calls_in_hour: 9,
            spent_in_day_micro: 1_499_999,
            left_micro: Some(1),
        };
        let judge = |figures: TollFigures| {
            rules.judge("+33491234567", at("2026-11-29T12:00:00Z"), &figures)
        };
        assert_eq!(judge(free), Ok(()));
        for (figures, refusal) in [
            (
                TollFigures {
                    calls_now: 2,
                    ..free
                },
                TollRefusal::Concurrency { max: 2 },
            ),
            (
                TollFigures {
                    calls_in_hour: 10,
                    ..free
                },
                TollRefusal::Rate { max: 10 },
            ),
            (
                TollFigures {
                    spent_in_day_micro: 1_500_000,
                    ..free
                },
                TollRefusal::Spend,
            ),
            (
                TollFigures {
                    left_micro: Some(0),
                    ..free
                },
                TollRefusal::Balance,
            ),
        ] {
            assert_eq!(judge(figures), Err(refusal), "{figures:?}");
        }
        let none = TollRules::default();
        let much = TollFigures {
            calls_now: 999,
            calls_in_hour: 999,
            spent_in_day_micro: i64::MAX,
            left_micro: None,
        };
        assert_eq!(
            none.judge("+33491234567", at("2026-11-29T02:00:00Z"), &much),
            Ok(())
        );
    }

    #[test]
    fn a_night_passes_midnight_in_its_own_time_zone() {
        let rules = rules(json!({
            "night": {"from": "20:30", "to": "08:00", "timeZone": "Europe/Paris", "prefixes": ["+3361"]}
        }))
        .expect("rules");
        let judge = |to: &str, when: &str| rules.judge(to, at(when), &TollFigures::default());
        let until = || {
            Err(TollRefusal::Night {
                until: "08:00".to_owned(),
            })
        };
        // Winter time: an hour before Greenwich; summer time: two.
        for (when, expected) in [
            ("2026-11-29T19:29:59Z", Ok(())),
            ("2026-11-29T19:30:00Z", until()),
            ("2026-11-30T06:59:59Z", until()),
            ("2026-11-30T07:00:00Z", Ok(())),
            ("2026-07-14T18:29:59Z", Ok(())),
            ("2026-07-14T18:30:00Z", until()),
            ("2026-07-15T06:00:00Z", Ok(())),
        ] {
            assert_eq!(judge("+33491234567", when), expected, "{when}");
        }
        assert_eq!(judge("+33612345678", "2026-11-29T23:00:00Z"), Ok(()));
    }
}
