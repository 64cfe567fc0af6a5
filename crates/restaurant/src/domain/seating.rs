//! Who can be seated when, and where. Seats are a service's covers, else the sum of the active tables, else the house's seats.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::facts::{Combination, House, Offer, Service, Table, Taken};
use super::hours::{DAY_MIN, day_of, instant, minute_of};

/// Guests of one booking, whatever a service says.
pub const PARTY_MAX: i64 = 500;
/// Tables that are put together where no combination is listed.
const JOINED_MAX: usize = 6;

/// What guests can be seated at.
#[derive(Clone, Copy, Debug)]
pub struct Rooms<'a> {
    /// The house.
    pub house: &'a House,
    /// Services.
    pub services: &'a [Service],
    /// Tables.
    pub tables: &'a [Table],
    /// Tables that go together; where none is listed, free tables of one room do.
    pub combinations: &'a [Combination],
}

/// A wish.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// Beginning.
    pub from: Timestamp,
    /// Guests.
    pub party_size: i64,
    /// `window`, …
    pub preference: Option<&'a str>,
    /// A certain service.
    pub service_id: Option<&'a str>,
    /// A certain room.
    pub room_id: Option<&'a str>,
    /// Certain tables.
    pub table_ids: &'a [String],
    /// A certain length.
    pub duration_min: Option<i64>,
}

/// A place for a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The service.
    pub service_id: Option<String>,
    /// Its name.
    pub service_name: Option<String>,
    /// Whether the booking is confirmed without staff.
    pub auto_confirm: bool,
    /// End.
    pub to: Timestamp,
    /// Length in minutes.
    pub duration_min: i64,
    /// The tables; none where none are listed.
    pub table_ids: Vec<String>,
    /// Seats that are free besides, this party not counted.
    pub seats_available: i64,
    /// Whether the wished place is among what was found; `None` without a wish.
    pub preference_met: Option<bool>,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSeat {
    /// The party is no number of guests.
    BadParty,
    /// The service takes at least that many.
    TooSmall(i64),
    /// The service takes at most that many.
    TooLarge(i64),
    /// The service that was named does not exist at that time.
    NoService,
    /// So many seats are free.
    Full {
        /// Seats that could be given.
        available: i64,
        /// The service.
        service: Option<(String, String)>,
    },
}

impl NoSeat {
    /// The code of an answer.
    pub fn code(&self, requested: i64) -> String {
        match self {
            Self::BadParty => "party_size_required".to_owned(),
            Self::TooSmall(least) => format!("party_too_small_min_{least}"),
            Self::TooLarge(most) => format!("party_too_large_max_{most}"),
            Self::NoService => "service_not_available".to_owned(),
            Self::Full { available, .. } => {
                format!("not_enough_seats_available_{available}_requested_{requested}")
            }
        }
    }
}

/// Finds a place among what is taken.
///
/// # Errors
/// See [`NoSeat`].
pub fn seat(
    rooms: Rooms<'_>,
    wish: Wish<'_>,
    taken: &[Taken],
    zone: &TimeZone,
) -> Result<Seat, NoSeat> {
    let party = wish.party_size;
    if !(1..=PARTY_MAX).contains(&party) {
        return Err(NoSeat::BadParty);
    }
    let service = service_at(rooms.services, wish, zone)?;
    if let Some(fault) = service.and_then(|service| party_fault(service, party)) {
        return Err(fault);
    }
    let duration_min = wish
        .duration_min
        .or_else(|| service.and_then(|service| service.default_duration_min))
        .filter(|minutes| *minutes > 0)
        .unwrap_or(rooms.house.avg_meal_duration_min)
        .clamp(1, 24 * 60);
    let to = wish.from + SignedDuration::from_mins(duration_min);
    let tables: Vec<&Table> = rooms
        .tables
        .iter()
        .filter(|table| table.is_active && in_room(table, service, wish.room_id))
        .collect();
    let capacity = match service {
        Some(service) if service.max_covers > 0 => service.max_covers,
        _ if !tables.is_empty() => tables.iter().map(|table| table.seats).sum(),
        _ => rooms.house.total_seats,
    };
    let overlapping: Vec<&Taken> = taken
        .iter()
        .filter(|other| other.from < to && wish.from < other.to)
        .collect();
    let free = capacity - peak(&overlapping, wish.from);
    let full = |available: i64| NoSeat::Full {
        available: available.max(0),
        service: service.map(|service| (service.id.clone(), service.name.clone())),
    };
    if free < party {
        return Err(full(free));
    }
    let table_ids = if tables.is_empty() {
        Vec::new()
    } else {
        let used = |id: &String| overlapping.iter().any(|other| other.table_ids.contains(id));
        let empty: Vec<&Table> = tables
            .into_iter()
            .filter(|table| !used(&table.id))
            .collect();
        place(&empty, rooms.combinations, wish).map_err(|available| full(available.min(free)))?
    };
    let preference_met = preference_met(rooms, wish, &table_ids);
    Ok(Seat {
        service_id: service.map(|service| service.id.clone()),
        service_name: service.map(|service| service.name.clone()),
        auto_confirm: service.is_none_or(|service| service.auto_confirm),
        to,
        duration_min,
        table_ids,
        seats_available: free,
        preference_met,
    })
}

fn party_fault(service: &Service, party: i64) -> Option<NoSeat> {
    if party < service.min_party_size {
        return Some(NoSeat::TooSmall(service.min_party_size));
    }
    let most = service.max_party_size.filter(|most| *most > 0)?;
    (party > most).then_some(NoSeat::TooLarge(most))
}

fn preference_met(rooms: Rooms<'_>, wish: Wish<'_>, table_ids: &[String]) -> Option<bool> {
    let preference = wish.preference.filter(|_| !table_ids.is_empty())?;
    let given = |table: &&Table| table_ids.contains(&table.id);
    let is = |table: &Table| table.features.iter().any(|feature| feature == preference);
    Some(rooms.tables.iter().filter(given).any(is))
}

/// The most guests that are there at one time from `from` on.
fn peak(overlapping: &[&Taken], from: Timestamp) -> i64 {
    let starts = overlapping.iter().map(|other| other.from.max(from));
    starts
        .map(|at| {
            let there = overlapping
                .iter()
                .filter(|other| other.from <= at && at < other.to);
            there.map(|other| other.party_size).sum::<i64>()
        })
        .max()
        .unwrap_or(0)
}

fn in_room(table: &Table, service: Option<&Service>, wished: Option<&str>) -> bool {
    let room = table.dining_room_id.as_deref();
    let of_service = service
        .and_then(|service| service.dining_room_ids.as_ref())
        .filter(|ids| !ids.is_empty());
    wished.is_none_or(|wished| room == Some(wished))
        && of_service.is_none_or(|ids| room.is_some_and(|room| ids.iter().any(|id| id == room)))
}

/// The service at a time; the one that was named has to be one of them.
fn service_at<'a>(
    services: &'a [Service],
    wish: Wish<'_>,
    zone: &TimeZone,
) -> Result<Option<&'a Service>, NoSeat> {
    let mut found = services.iter().filter(|service| {
        service.is_active
            && is_at(service, wish.from, zone)
            && (!service.is_private || wish.service_id == Some(&service.id))
    });
    match wish.service_id {
        Some(id) => found
            .find(|service| service.id == id)
            .map(Some)
            .ok_or(NoSeat::NoService),
        None => Ok(found.next()),
    }
}

/// Whether guests are seated at that time, also behind midnight.
pub fn is_at(service: &Service, at: Timestamp, zone: &TimeZone) -> bool {
    let last = service.last_seating_time.as_deref().and_then(minute_of);
    let (Some(from), Some(end)) = (minute_of(&service.start_time), minute_of(&service.end_time))
    else {
        return false;
    };
    let last = last.unwrap_or(end);
    let last = if last < from { last + DAY_MIN } else { last };
    let today = zone.to_datetime(at).date();
    let days = [today.checked_sub(1.day()).ok(), Some(today)];
    days.into_iter().flatten().any(|date| {
        let day = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
        let listed = service
            .day_of_week
            .iter()
            .any(|listed| day_of(listed) == Some(day));
        let inside = || Some(instant(date, from, zone)? <= at && at <= instant(date, last, zone)?);
        listed && inside().unwrap_or(false)
    })
}

/// Tables for a party: the smallest that holds it, of the wished kind first; the most seats that one party could get else.
fn place(
    empty: &[&Table],
    combinations: &[Combination],
    wish: Wish<'_>,
) -> Result<Vec<String>, i64> {
    if !wish.table_ids.is_empty() {
        let all = wish
            .table_ids
            .iter()
            .all(|id| empty.iter().any(|table| table.id == *id));
        return if all {
            Ok(wish.table_ids.to_vec())
        } else {
            Err(0)
        };
    }
    let wanted = |table: &Table| {
        wish.preference
            .is_none_or(|wished| table.features.iter().any(|feature| feature == wished))
    };
    let single = empty
        .iter()
        .filter(|table| table.seats >= wish.party_size)
        .min_by_key(|table| (!wanted(table), table.seats, &table.id));
    if let Some(table) = single {
        return Ok(vec![table.id.clone()]);
    }
    let mut most = empty.iter().map(|table| table.seats).max().unwrap_or(0);
    let mut best: Option<(i64, Vec<String>)> = None;
    let mut offer = |seats: i64, ids: Vec<String>| {
        most = most.max(seats);
        if seats >= wish.party_size && best.as_ref().is_none_or(|(least, _)| seats < *least) {
            best = Some((seats, ids));
        }
    };
    let mut listed = combinations
        .iter()
        .filter(|combination| combination.is_active != Some(false))
        .peekable();
    if listed.peek().is_none() {
        for (seats, ids) in joined(empty, wish.party_size) {
            offer(seats, ids);
        }
    } else {
        for combination in listed {
            let members: Vec<&&Table> = empty
                .iter()
                .filter(|table| combination.table_ids.contains(&table.id))
                .collect();
            if members.len() == combination.table_ids.len() && !members.is_empty() {
                let sum = members.iter().map(|table| table.seats).sum();
                let seats = if combination.seats > 0 {
                    combination.seats
                } else {
                    sum
                };
                offer(seats, combination.table_ids.clone());
            }
        }
    }
    best.map(|(_, ids)| ids).ok_or(most)
}

/// Of each room the fewest tables that hold the party, the largest first.
fn joined(empty: &[&Table], party: i64) -> Vec<(i64, Vec<String>)> {
    let mut rooms: Vec<Option<&str>> = empty
        .iter()
        .map(|table| table.dining_room_id.as_deref())
        .collect();
    rooms.sort_unstable();
    rooms.dedup();
    rooms
        .into_iter()
        .map(|room| {
            let mut tables: Vec<&&Table> = empty
                .iter()
                .filter(|table| table.dining_room_id.as_deref() == room)
                .collect();
            tables.sort_by_key(|table| (-table.seats, &table.id));
            let mut seats = 0;
            let mut ids = Vec::new();
            for table in tables.into_iter().take(JOINED_MAX) {
                if seats >= party {
                    break;
                }
                seats += table.seats;
                ids.push(table.id.clone());
            }
            (seats, ids)
        })
        .collect()
}

/// Why an offer cannot be part of a booking.
pub fn offer_fault(
    offer: &Offer,
    from: Timestamp,
    party: i64,
    zone: &TimeZone,
) -> Option<&'static str> {
    let date = zone.to_datetime(from).date();
    if !offer.is_bookable || !offer.holds_on(date) {
        return Some("offer_not_available");
    }
    let fits = offer.min_party_size.is_none_or(|least| party >= least)
        && offer.max_party_size.is_none_or(|most| party <= most);
    (!fits).then_some("offer_party_size")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::facts::read;

    fn zone() -> TimeZone {
        TimeZone::get("Europe/Paris").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        format!("{text}[Europe/Paris]")
            .parse::<jiff::Zoned>()
            .unwrap()
            .timestamp()
    }

    fn table(id: &str, seats: i64, features: &[&str]) -> Table {
        read(json!({"id": id, "seats": seats, "features": features})).unwrap()
    }

    fn taken(from: &str, minutes: i64, party_size: i64, tables: &[&str]) -> Taken {
        let from = at(from);
        Taken {
            from,
            to: from + SignedDuration::from_mins(minutes),
            party_size,
            table_ids: tables.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    fn wish(from: &str, party_size: i64) -> Wish<'static> {
        Wish {
            from: at(from),
            party_size,
            ..Wish::default()
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn capacity_is_covers_then_tables_then_seats() {
        let house = House {
            total_seats: 8,
            ..House::default()
        };
        let dinner: Service = read(json!({"id": "s", "name": "Soir", "dayOfWeek": [6, 7], "startTime": "19:00",
            "endTime": "01:00", "lastSeatingTime": "00:15", "maxCovers": 5, "maxPartySize": 4, "defaultDurationMin": 120}))
        .unwrap();
        let tables = [table("a", 4, &[]), table("b", 2, &["window"])];
        let mut rooms = Rooms {
            house: &house,
            services: &[],
            tables: &[],
            combinations: &[],
        };
        let evening = "2026-11-28T20:00";
        assert_eq!(
            seat(
                rooms,
                wish(evening, 4),
                &[taken(evening, 60, 5, &[])],
                &zone()
            )
            .unwrap_err()
            .code(4),
            "not_enough_seats_available_3_requested_4"
        );
        rooms.tables = &tables;
        assert_eq!(
            seat(rooms, wish(evening, 2), &[], &zone())
                .unwrap()
                .table_ids,
            ["b"]
        );
        let window = Wish {
            preference: Some("window"),
            ..wish(evening, 3)
        };
        let found = seat(rooms, window, &[], &zone()).unwrap();
        assert_eq!(
            (found.table_ids, found.preference_met),
            (vec!["a".to_owned()], Some(false))
        );
        let services = [dinner];
        rooms.services = &services;
        let found = seat(rooms, wish("2026-11-30T00:10", 2), &[], &zone()).unwrap();
        assert_eq!(
            (
                found.service_id.as_deref(),
                found.duration_min,
                found.seats_available
            ),
            (Some("s"), 120, 5)
        );
        assert_eq!(
            seat(rooms, wish(evening, 5), &[], &zone()),
            Err(NoSeat::TooLarge(4))
        );
        let other = Wish {
            service_id: Some("s"),
            ..wish("2026-11-30T12:00", 2)
        };
        assert_eq!(seat(rooms, other, &[], &zone()), Err(NoSeat::NoService));
        // Two parties that follow each other never sit together.
        let two = [
            taken("2026-11-28T19:00", 60, 4, &["a"]),
            taken("2026-11-28T20:30", 90, 4, &["a"]),
        ];
        assert_eq!(
            seat(rooms, wish("2026-11-28T19:30", 1), &two, &zone())
                .unwrap()
                .table_ids,
            ["b"]
        );
    }

    #[test]
    fn tables_are_put_together() {
        let house = House::default();
        let tables = [table("a", 2, &[]), table("b", 2, &[]), table("c", 4, &[])];
        let mut rooms = Rooms {
            house: &house,
            services: &[],
            tables: &tables,
            combinations: &[],
        };
        let evening = "2026-11-28T20:00";
        assert_eq!(
            seat(rooms, wish(evening, 6), &[], &zone())
                .unwrap()
                .table_ids,
            ["c", "a"]
        );
        let combinations = [Combination {
            table_ids: vec!["a".to_owned(), "b".to_owned()],
            seats: 5,
            is_active: None,
        }];
        rooms.combinations = &combinations;
        assert_eq!(
            seat(rooms, wish(evening, 5), &[], &zone())
                .unwrap()
                .table_ids,
            ["a", "b"]
        );
        assert_eq!(
            seat(rooms, wish(evening, 6), &[], &zone())
                .unwrap_err()
                .code(6),
            "not_enough_seats_available_5_requested_6"
        );
        let one = [taken(evening, 30, 2, &["b"])];
        assert_eq!(
            seat(rooms, wish(evening, 5), &one, &zone())
                .unwrap_err()
                .code(5),
            "not_enough_seats_available_4_requested_5"
        );
    }

    /// Random bookings, each accepted one kept: at no minute more guests than covers, and no table twice.
    #[test]
    fn no_double_seat() {
        let house = House {
            avg_meal_duration_min: 75,
            ..House::default()
        };
        let tables = [
            table("a", 2, &[]),
            table("b", 4, &["window"]),
            table("c", 4, &[]),
            table("d", 6, &["quiet"]),
        ];
        let rooms = Rooms {
            house: &house,
            services: &[],
            tables: &tables,
            combinations: &[],
        };
        let mut seed = 11_u64;
        let mut next = |most: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            i64::try_from((seed >> 33) % most).unwrap_or(0)
        };
        for _ in 0..40 {
            let mut kept: Vec<Taken> = Vec::new();
            for _ in 0..60 {
                // Across the night in which an hour comes twice.
                let from = at("2026-10-24T22:00") + SignedDuration::from_mins(next(480));
                let party_size = 1 + next(9);
                let wish = Wish {
                    from,
                    party_size,
                    ..Wish::default()
                };
                if let Ok(found) = seat(rooms, wish, &kept, &zone()) {
                    assert!(!found.table_ids.is_empty());
                    kept.push(Taken {
                        from,
                        to: found.to,
                        party_size,
                        table_ids: found.table_ids,
                    });
                }
            }
            assert!(kept.len() > 10);
            for (index, one) in kept.iter().enumerate() {
                for other in &kept[index + 1..] {
                    if one.from < other.to && other.from < one.to {
                        assert!(
                            one.table_ids.iter().all(|id| !other.table_ids.contains(id)),
                            "{one:?} {other:?}"
                        );
                    }
                }
                let there: Vec<&Taken> = kept.iter().collect();
                assert!(peak(&there, one.from) <= 16);
            }
        }
    }
}
