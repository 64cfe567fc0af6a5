use serde_json::json;

use super::*;
use crate::domain::facts::{Table, read};

struct World {
    house: House,
    hours: Hours,
    tables: Vec<Table>,
    load: Vec<Cooking>,
    taken: Vec<Taken>,
}

impl World {
    fn new(house: Value) -> Self {
        let house: House = read(house).unwrap();
        Self {
            hours: house.hours().unwrap(),
            house,
            tables: Vec::new(),
            load: Vec::new(),
            taken: Vec::new(),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            rooms: Rooms {
                house: &self.house,
                services: &[],
                tables: &self.tables,
                combinations: &[],
            },
            hours: &self.hours,
            load: &self.load,
            taken: &self.taken,
        }
    }
}

fn bella() -> World {
    World::new(json!({
        "avgPrepTimeMin": 20, "deliveryEnabled": true, "deliveryRadiusKm": 5, "deliveryFee": 3, "lat": 47.32, "lng": 5.04,
        "reservationEnabled": true, "totalSeats": 10, "minReservationAdvanceMin": 60, "maxReservationAdvanceDays": 30,
        "openingHours": {"tue": "19:00-23:00", "wed": "19:00-23:00", "thu": "19:00-23:00", "fri": "19:00-23:00", "sat": "12:00-14:00, 19:00-00:30", "sun": "19:00-23:00"},
    }))
}

fn at(text: &str) -> Timestamp {
    format!("{text}[Europe/Paris]")
        .parse::<jiff::Zoned>()
        .unwrap()
        .timestamp()
}

fn question(value: Value) -> Question {
    serde_json::from_value(value).unwrap()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn pickup_is_now_and_preparation_within_the_hours() {
    let world = bella();
    let facts = world.facts();
    let ask = |now: &str, body: Value| {
        let answer = pickup(&facts, &question(body), at(now));
        (
            answer.available,
            answer.estimated_date.unwrap_or_default(),
            answer.estimated_time,
            answer.reason.unwrap_or_default(),
        )
    };
    let yes = |date: &str, time: &str| (true, date.to_owned(), time.to_owned(), String::new());
    let no = |date: &str, time: &str, reason: &str| {
        (false, date.to_owned(), time.to_owned(), reason.to_owned())
    };
    assert_eq!(
        ask("2026-11-28T20:00:30", json!({})),
        yes("2026-11-28", "20:21")
    );
    assert_eq!(
        ask("2026-11-28T20:00", json!({"requestedTime": "20:05"})),
        yes("2026-11-28", "20:20")
    );
    assert_eq!(
        ask("2026-11-28T20:00", json!({"requestedTime": "22:00"})),
        yes("2026-11-28", "22:00")
    );
    assert_eq!(
        ask("2026-11-28T20:00", json!({"requestedTime": "19:30"})),
        yes("2026-11-29", "19:30")
    );
    assert_eq!(
        ask(
            "2026-11-28T20:00",
            json!({"requestedTime": "20:00", "requestedDate": "mardi"})
        ),
        yes("2026-12-01", "20:00")
    );
    assert_eq!(
        ask("2026-11-28T20:00", json!({"requestedTime": "00:30"})),
        yes("2026-11-29", "00:30")
    );
    assert_eq!(
        ask("2026-11-28T20:00", json!({"requestedTime": "16:00"})),
        no("2026-11-29", "19:20", "restaurant_closed")
    );
    assert_eq!(
        ask("2026-11-29T23:30", json!({})),
        no("2026-12-01", "19:20", "restaurant_closed")
    );
    assert_eq!(
        ask("2026-11-28T20:00", json!({"requestedDate": "lundi"})),
        no("2026-12-01", "19:20", "restaurant_closed")
    );
    assert_eq!(
        ask("2026-11-28T20:00", json!({"requestedDate": "mardi"})),
        yes("2026-12-01", "19:20")
    );
    assert_eq!(
        ask(
            "2026-11-28T20:00",
            json!({"requestedTime": "20:00", "requestedDate": "2027-01-02"})
        ),
        no("", "", "order_too_far_max_14days")
    );
    assert_eq!(
        ask("2026-11-28T20:00", json!({"requestedTime": "later"})),
        no("", "", "requested_time_invalid")
    );
    // Too late for today's kitchen.
    assert_eq!(
        ask("2026-11-29T22:50", json!({})),
        no("2026-12-01", "19:20", "restaurant_closed")
    );
}

#[test]
fn a_delivery_adds_the_way() {
    let world = bella();
    let facts = world.facts();
    let mut located = Located {
        point: Point {
            lat: 47.33,
            lng: 5.05,
        },
        formatted: "1 rue X, 21000 Dijon".to_owned(),
        way: Way {
            km: 2.5,
            minutes: 9,
        },
        calls: 0,
        cost: 0.0,
        estimated: false,
    };
    let answer = delivery(
        &facts,
        &question(json!({})),
        &located,
        at("2026-11-28T20:00"),
    );
    assert_eq!(
        (answer.available, answer.estimated_time.as_str()),
        (true, "20:29")
    );
    assert_eq!(serde_json::to_value(&answer).unwrap()["deliveryFee"], 3);
    let later = delivery(
        &facts,
        &question(json!({"requestedTime": "21:00"})),
        &located,
        at("2026-11-28T20:00"),
    );
    assert_eq!(later.estimated_time, "21:00");
    located.way.km = 5.01;
    let far = delivery(
        &facts,
        &question(json!({})),
        &located,
        at("2026-11-28T20:00"),
    );
    assert_eq!(
        (
            far.available,
            far.reason.as_deref(),
            far.estimated_time.as_str()
        ),
        (false, Some("not_deliverable"), "")
    );
    assert_eq!(
        delivery_fault(&world.house, &question(json!({}))),
        Some("customer_address_required")
    );
}

#[test]
fn tables_within_the_bounds() {
    let mut world = bella();
    world.taken.push(Taken {
        from: at("2026-11-28T20:00"),
        to: at("2026-11-28T21:30"),
        party_size: 8,
        table_ids: Vec::new(),
    });
    let facts = world.facts();
    let ask = |now: &str, body: Value| reservation(&facts, &question(body), at(now)).0;
    let reason = |now: &str, body: Value| ask(now, body).reason.unwrap_or_default();
    let now = "2026-11-28T18:00";
    assert_eq!(
        reason(now, json!({"requestedTime": "19:00"})),
        "party_size_required"
    );
    assert_eq!(
        reason(
            "2026-11-28T18:30",
            json!({"requestedTime": "19:15", "partySize": 2})
        ),
        "reservation_too_soon_min_60min"
    );
    assert_eq!(
        reason(
            now,
            json!({"requestedTime": "20:00", "requestedDate": "2026-12-31", "partySize": 2})
        ),
        "reservation_too_far_max_30days"
    );
    assert_eq!(
        reason(
            now,
            json!({"requestedTime": "17:00", "requestedDate": "demain", "partySize": 2})
        ),
        "restaurant_closed"
    );
    let full = ask(now, json!({"requestedTime": "20:30", "partySize": 3}));
    assert_eq!(
        full.reason.as_deref(),
        Some("not_enough_seats_available_2_requested_3")
    );
    assert_eq!(full.seats_available, Some(2));
    assert_eq!(full.alternatives, ["21:30", "21:45", "22:00"]);
    assert_eq!(
        full.message,
        "Il n'y a plus assez de places à cette heure-là. Propose : 21:30, 21:45, 22:00."
    );
    let soon = ask(now, json!({"partySize": 3}));
    assert_eq!(
        (soon.available, soon.estimated_time.as_str()),
        (true, "21:30")
    );
    let saturday = ask(
        "2026-11-27T18:00",
        json!({"partySize": 2, "requestedTime": "20 h", "requestedDate": "samedi"}),
    );
    assert_eq!(saturday.estimated_time_iso, "2026-11-28T19:00:00Z");
    assert_eq!(saturday.message, "Table disponible demain à 20:00.");
}
