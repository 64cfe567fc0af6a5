//! What can be had, and when: the answer before an order or a booking.

mod booking;
mod words;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use booking::{booked_before, reservation};
pub use words::{date_spoken, refused, when_spoken};

use super::facts::{House, Taken};
use super::geo::{Point, Way};
use super::hours::Hours;
use super::kitchen::{Cooking, Size, Slot, slot};
use super::money::Cents;
use super::seating::Rooms;
use super::when::{Asked, asked};

/// Days ahead for which orders are taken.
pub const ORDER_DAYS_MAX: i64 = 14;

/// A question, as on the wire.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Question {
    /// The restaurant.
    pub restaurant_id: Option<String>,
    /// `pickup delivery reservation`.
    pub mode: Option<String>,
    /// `HH:MM`.
    #[serde(alias = "requested_time")]
    pub requested_time: Option<String>,
    /// An ISO date, `demain`, `Saturday`.
    #[serde(alias = "requested_date")]
    pub requested_date: Option<String>,
    /// Street.
    pub customer_address: Option<String>,
    /// Town.
    pub customer_city: Option<String>,
    /// Postcode.
    pub customer_postal_code: Option<String>,
    /// Degrees.
    pub customer_lat: Option<f64>,
    /// Degrees.
    pub customer_lng: Option<f64>,
    /// Guests.
    pub party_size: Option<i64>,
    /// `window outdoor large_table quiet bar`.
    pub seating_preference: Option<String>,
    /// A certain service.
    pub service_id: Option<String>,
    /// The call that asks.
    pub call_id: Option<String>,
    /// Who asks.
    pub caller_phone: Option<String>,
}

/// An answer, as on the wire.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Whether it can be had.
    pub available: bool,
    /// As asked.
    pub mode: String,
    /// `HH:MM` in the restaurant's zone; empty when impossible.
    pub estimated_time: String,
    /// The same instant.
    #[serde(rename = "estimatedTimeISO")]
    pub estimated_time_iso: String,
    /// Its date in the restaurant's zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_date: Option<String>,
    /// Code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Words for the caller.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// By road.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_distance_km: Option<f64>,
    /// By road.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_duration_min: Option<i64>,
    /// Of a delivery below the free amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_fee: Option<Cents>,
    /// Where it is brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_address_formatted: Option<String>,
    /// Degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_lat: Option<f64>,
    /// Degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_lng: Option<f64>,
    /// Requests to another geocoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub google_api_calls: Option<u32>,
    /// What they cost, in the restaurant's currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_costs: Option<f64>,
    /// Where a map service did not answer: words for the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Free seats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seats_available: Option<i64>,
    /// The service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Whether the wished place is free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seating_preference_available: Option<bool>,
    /// Other times of the day, `HH:MM`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<String>,
    /// A table is kept under this id,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<String>,
    /// until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_expires_at: Option<String>,
}

/// What an answer is made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// House, services, tables.
    pub rooms: Rooms<'a>,
    /// Its hours.
    pub hours: &'a Hours,
    /// What the kitchen cooks.
    pub load: &'a [Cooking],
    /// What is booked and held, without the asking call's own hold.
    pub taken: &'a [Taken],
}

/// Where a delivery goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// On the map.
    pub point: Point,
    /// For people.
    pub formatted: String,
    /// From the restaurant.
    pub way: Way,
    /// Requests to another service.
    pub calls: u32,
    /// What they cost, in the restaurant's currency.
    pub cost: f64,
    /// A service was to say and did not: place or way is estimated.
    pub estimated: bool,
}

impl Facts<'_> {
    fn house(&self) -> &House {
        self.rooms.house
    }
}

/// Why a delivery is impossible before any address is looked up.
pub fn delivery_fault(house: &House, question: &Question) -> Option<&'static str> {
    let some = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
    if !house.delivery_enabled {
        Some("delivery_not_enabled")
    } else if question.customer_lat.zip(question.customer_lng).is_none()
        && !some(&question.customer_address)
        && !some(&question.customer_city)
        && !some(&question.customer_postal_code)
    {
        Some("customer_address_required")
    } else if house.lat.is_none() || house.lng.is_none() {
        Some("restaurant_coordinates_missing")
    } else {
        None
    }
}

/// Answers for an order that is fetched.
pub fn pickup(facts: &Facts<'_>, question: &Question, now: Timestamp) -> Answer {
    let way = SignedDuration::ZERO;
    let promise = promise(facts, question, way, Size::S, now);
    answered(facts, "pickup", promise, now)
}

/// Answers for an order that is brought, once its address is found.
pub fn delivery(
    facts: &Facts<'_>,
    question: &Question,
    located: &Located,
    now: Timestamp,
) -> Answer {
    let house = facts.house();
    let mut answer = if located.way.km > house.delivery_radius_km {
        refused(house, "delivery", "not_deliverable", None)
    } else {
        let way = SignedDuration::from_mins(located.way.minutes);
        answered(
            facts,
            "delivery",
            promise(facts, question, way, Size::S, now),
            now,
        )
    };
    answer.delivery_distance_km = Some(located.way.km);
    answer.customer_address_formatted = Some(located.formatted.clone());
    answer.google_api_calls = Some(located.calls);
    answer.api_costs = Some(located.cost);
    answer.note = located.estimated.then(|| words::estimated(house));
    if answer.available {
        answer.delivery_duration_min = Some(located.way.minutes);
        answer.delivery_fee = Some(house.delivery_fee);
        answer.customer_lat = Some(located.point.lat);
        answer.customer_lng = Some(located.point.lng);
    }
    answer
}

/// A promised time, or the code of a refusal with the next time that is possible.
type Promise = Result<Timestamp, (String, Option<Timestamp>)>;

fn promise(
    facts: &Facts<'_>,
    question: &Question,
    way: SignedDuration,
    size: Size,
    now: Timestamp,
) -> Promise {
    let zone = facts.house().zone();
    let zoned = now.to_zoned(zone.clone());
    let wish = asked(
        question.requested_time.as_deref(),
        question.requested_date.as_deref(),
        &zoned,
    )
    .map_err(|error| (error.code().to_owned(), None))?;
    ready(facts, wish, way, size, now).map(|slot| slot.to + way)
}

/// The kitchen's slot for an order that is wanted at a time: within the hours, behind what it cooks already.
///
/// # Errors
/// The code of a refusal, and the next time that is possible.
pub fn ready(
    facts: &Facts<'_>,
    wish: Asked,
    way: SignedDuration,
    size: Size,
    now: Timestamp,
) -> Result<Slot, (String, Option<Timestamp>)> {
    let house = facts.house();
    let zone = house.zone();
    let open = |at: Timestamp| is_open_until(facts.hours, at, &zone);
    let from = |wanted: Timestamp, opening: Timestamp| {
        slot(house, facts.load, size, wanted - way, opening)
    };
    let next = |at: Timestamp| {
        let opening = facts.hours.next_open(at, &zone)?;
        let slot = from(opening, opening.max(now));
        open(slot.to).then_some(slot.to + way)
    };
    let closed = |at: Timestamp| ("restaurant_closed".to_owned(), next(at));
    let wanted = match wish {
        Asked::Soon if !facts.hours.is_open(now, &zone) => return Err(closed(now)),
        Asked::Soon => now,
        Asked::Day(date) => {
            let midnight = date
                .to_zoned(zone.clone())
                .map_or(now, |day| day.timestamp());
            match facts.hours.first_of_day(date, midnight.max(now), &zone) {
                Some(opening) => opening,
                None => return Err(closed(midnight.max(now))),
            }
        }
        Asked::At(at) => at,
    };
    let days = SignedDuration::from_hours(24 * ORDER_DAYS_MAX);
    if wanted > now + days {
        return Err((format!("order_too_far_max_{ORDER_DAYS_MAX}days"), None));
    }
    // Nobody cooks before the doors open.
    let handed = wanted.max(now) - way;
    if matches!(wish, Asked::At(_)) && handed > now && !open(handed) {
        return Err(closed(handed));
    }
    let opening = facts
        .hours
        .around(handed.max(now), &zone)
        .map_or(now, |(opening, _)| opening.max(now));
    let slot = from(wanted, opening);
    if open(slot.to) {
        Ok(slot)
    } else {
        Err(closed(slot.to))
    }
}

/// Whether an order can be handed over: also at the very minute at which the doors close.
fn is_open_until(hours: &Hours, at: Timestamp, zone: &TimeZone) -> bool {
    hours.is_open(at, zone) || hours.is_open(at - SignedDuration::from_secs(1), zone)
}

fn answered(facts: &Facts<'_>, mode: &str, promise: Promise, now: Timestamp) -> Answer {
    let house = facts.house();
    match promise {
        Ok(at) => {
            let mut answer = Answer {
                available: true,
                mode: mode.to_owned(),
                ..Answer::default()
            };
            set_time(house, &mut answer, at);
            answer.message = words::possible(house, mode, at, now);
            answer
        }
        Err((code, next)) => refused(house, mode, &code, next),
    }
}

/// Puts an instant into an answer, rounded up to the minute.
pub fn set_time(house: &House, answer: &mut Answer, at: Timestamp) {
    let at = whole_minute(at);
    let zoned = at.to_zoned(house.zone());
    answer.estimated_time = zoned.strftime("%H:%M").to_string();
    answer.estimated_time_iso = at.to_string();
    answer.estimated_date = Some(zoned.date().to_string());
}

/// The next whole minute.
pub fn whole_minute(at: Timestamp) -> Timestamp {
    let over = at.as_second().rem_euclid(60);
    let second = at.as_second() - over;
    let up = over > 0 || at.subsec_nanosecond() > 0;
    Timestamp::from_second(second + if up { 60 } else { 0 }).unwrap_or(at)
}

/// An answer to a question without a known mode.
pub fn unknown_mode(mode: &str) -> Answer {
    Answer {
        mode: mode.chars().take(40).collect(),
        reason: Some("unknown_mode".to_owned()),
        message: "mode: pickup, delivery, reservation.".to_owned(),
        ..Answer::default()
    }
}

/// The instant of an earlier answer that a confirmation brings along.
pub fn promised(check: &Value) -> Option<Timestamp> {
    check.get("estimatedTimeISO")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
