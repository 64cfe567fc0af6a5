//! Answers for a table.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::words::{is_vague, possible, refused};
use super::{Answer, Facts, Question, set_time};
use crate::domain::facts::Service;
use crate::domain::seating::{NoSeat, Seat, Wish, is_at, seat};
use crate::domain::when::{Asked, asked};

/// Steps of a search for another time.
const STEP_MIN: i64 = 15;
/// How far from a wish another time is looked for.
const AROUND_STEPS: i64 = 10;
/// Other times that are named.
const ALTERNATIVES: usize = 3;
/// Steps of a search for the first time of a vague wish: a week.
const SOON_STEPS: i64 = 7 * 24 * 4;

/// Answers for a table, and which seat it would be.
pub fn reservation(
    facts: &Facts<'_>,
    question: &Question,
    now: Timestamp,
) -> (Answer, Option<(Timestamp, Seat)>) {
    let house = facts.house();
    let refuse = |code: &str| (refused(house, "reservation", code, None), None);
    if !house.reservation_enabled {
        return refuse("reservation_not_enabled");
    }
    let Some(party_size) = question.party_size.filter(|party| *party > 0) else {
        return refuse("party_size_required");
    };
    let zone = house.zone();
    let zoned = now.to_zoned(zone.clone());
    let wish = match asked(
        question.requested_time.as_deref(),
        question.requested_date.as_deref(),
        &zoned,
    ) {
        Ok(wish) => wish,
        Err(error) => return refuse(error.code()),
    };
    let wanted = |from: Timestamp| Wish {
        from,
        party_size,
        preference: question.seating_preference.as_deref(),
        service_id: question.service_id.as_deref(),
        ..Wish::default()
    };
    let from = match begin(facts, wish, &zone, now) {
        Ok(from) => from,
        Err(code) => return refuse(&code),
    };
    if let Some(code) = bounds(facts, from, now) {
        let mut answer = refused(house, "reservation", &code, None);
        set_time(house, &mut answer, from);
        return (answer, None);
    }
    let found = seat(facts.rooms, wanted(from), facts.taken, &zone);
    let (from, found) = match found {
        Err(_) if is_vague(wish) => later(facts, wanted(from), &zone, now).unwrap_or((from, found)),
        other => (from, other),
    };
    match found {
        Ok(seat) => {
            let mut answer = Answer {
                available: true,
                mode: "reservation".to_owned(),
                seats_available: Some(seat.seats_available),
                service_id: seat.service_id.clone(),
                service_name: seat.service_name.clone(),
                seating_preference_available: seat.preference_met,
                ..Answer::default()
            };
            set_time(house, &mut answer, from);
            answer.message = possible(house, "reservation", from, now);
            (answer, Some((from, seat)))
        }
        Err(fault) => (full(facts, wanted(from), &fault, &zone, now), None),
    }
}

/// Whether a booking of that beginning is a booking of the caller's that exists already.
pub fn booked_before(earlier: &[(Timestamp, i64)], from: Timestamp, party_size: i64) -> bool {
    earlier
        .iter()
        .any(|(other, party)| *other == from && *party == party_size)
}

/// Whether guests are received: within the hours, or within a service, where either is stated.
fn is_received(facts: &Facts<'_>, at: Timestamp, zone: &TimeZone) -> bool {
    let mut services = facts
        .rooms
        .services
        .iter()
        .filter(|service| service.is_active)
        .peekable();
    let by_service = services.peek().is_some();
    if services.any(|service| is_at(service, at, zone)) {
        return true;
    }
    if facts.hours.are_stated() {
        return facts.hours.is_open(at, zone);
    }
    // Without stated hours the contract knows no closed time.
    !by_service || facts.rooms.house.total_seats > 0 || !facts.rooms.tables.is_empty()
}

/// The wished beginning; of a vague wish the first quarter of an hour at which guests are received.
fn begin(
    facts: &Facts<'_>,
    wish: Asked,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Timestamp, String> {
    let house = facts.house();
    let soonest = now + SignedDuration::from_mins(house.min_reservation_advance_min.max(0));
    let (first, day) = match wish {
        Asked::At(at) => {
            return if is_received(facts, at, zone) {
                Ok(at)
            } else {
                Err("restaurant_closed".to_owned())
            };
        }
        Asked::Soon => (soonest, None),
        Asked::Day(date) => {
            let midnight = date
                .to_zoned(zone.clone())
                .map_or(soonest, |day| day.timestamp());
            let first = facts.hours.first_of_day(date, midnight.max(soonest), zone);
            (
                first.ok_or_else(|| "restaurant_closed".to_owned())?,
                Some(date),
            )
        }
    };
    // A service says better than the doors when guests are seated.
    let offered = |service: &&Service| service.is_active && !service.is_private;
    let by_service = facts.rooms.services.iter().any(|service| offered(&service));
    let fits = |at: Timestamp| {
        let mut services = facts.rooms.services.iter().filter(offered);
        if by_service {
            services.any(|service| is_at(service, at, zone))
        } else {
            is_received(facts, at, zone)
        }
    };
    let mut at = quarter(first);
    for _ in 0..SOON_STEPS {
        if day.is_some_and(|day| zone.to_datetime(at).date() > day) {
            break;
        }
        if fits(at) {
            return Ok(at);
        }
        at += SignedDuration::from_mins(STEP_MIN);
    }
    Err("restaurant_closed".to_owned())
}

fn quarter(at: Timestamp) -> Timestamp {
    let over = at.as_second().rem_euclid(STEP_MIN * 60);
    let up = if over == 0 { 0 } else { STEP_MIN * 60 - over };
    Timestamp::from_second(at.as_second() + up).unwrap_or(at)
}

/// The code of a time that is too near or too far.
fn bounds(facts: &Facts<'_>, from: Timestamp, now: Timestamp) -> Option<String> {
    let house = facts.house();
    let least = house.min_reservation_advance_min.max(0);
    // What was possible when it was asked stays so during the call's next sentences.
    if from < now + SignedDuration::from_mins(least) - SignedDuration::from_secs(59) {
        return Some(format!("reservation_too_soon_min_{least}min"));
    }
    let most = house.max_reservation_advance_days.max(0);
    let last = now.to_zoned(house.zone()).checked_add(most.days()).ok()?;
    (from > last.timestamp()).then(|| format!("reservation_too_far_max_{most}days"))
}

/// For a vague wish: the first time of the same day that has a seat.
fn later(
    facts: &Facts<'_>,
    wish: Wish<'_>,
    zone: &TimeZone,
    now: Timestamp,
) -> Option<(Timestamp, Result<Seat, NoSeat>)> {
    let day = zone.to_datetime(wish.from).date();
    let mut at = wish.from;
    for _ in 0..24 * 4 {
        at += SignedDuration::from_mins(STEP_MIN);
        if zone.to_datetime(at).date() != day || bounds(facts, at, now).is_some() {
            return None;
        }
        if is_received(facts, at, zone)
            && let Ok(found) = seat(facts.rooms, Wish { from: at, ..wish }, facts.taken, zone)
        {
            return Some((at, Ok(found)));
        }
    }
    None
}

/// A refusal with other times near the wish.
fn full(
    facts: &Facts<'_>,
    wish: Wish<'_>,
    fault: &NoSeat,
    zone: &TimeZone,
    now: Timestamp,
) -> Answer {
    let house = facts.house();
    let mut answer = refused(house, "reservation", &fault.code(wish.party_size), None);
    set_time(house, &mut answer, wish.from);
    if let NoSeat::Full { available, service } = fault {
        answer.seats_available = Some(*available);
        if let Some((id, name)) = service {
            answer.service_id = Some(id.clone());
            answer.service_name = Some(name.clone());
        }
        let mut found = Vec::new();
        for step in 1..=AROUND_STEPS {
            for sign in [-1, 1] {
                let at = wish.from + SignedDuration::from_mins(sign * step * STEP_MIN);
                let free = is_received(facts, at, zone)
                    && bounds(facts, at, now).is_none()
                    && seat(facts.rooms, Wish { from: at, ..wish }, facts.taken, zone).is_ok();
                if free && found.len() < ALTERNATIVES {
                    found.push(at);
                }
            }
        }
        found.sort_unstable();
        answer.alternatives = found
            .iter()
            .map(|at| at.to_zoned(zone.clone()).strftime("%H:%M").to_string())
            .collect();
        if !answer.alternatives.is_empty() {
            let list = answer.alternatives.join(", ");
            let offer = house.lang().pick(" Propose : ", " Offer: ");
            answer.message.push_str(&format!("{offer}{list}."));
        }
    }
    answer
}
