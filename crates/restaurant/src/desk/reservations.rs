//! Bookings: `POST`, `PATCH`, `GET /api/reservations` and the callers' look-up.

mod rows;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{Statement, Tx};

use self::rows::{count, key, of_key, taken_by_others, write};
use super::facts::Dining;
use super::seating::{booked, held, release};
use super::{Asker, Desk, DeskError, Reply};
use crate::domain::availability::{refused, when_spoken};
use crate::domain::facts::{House, Taken, read};
use crate::domain::lang::Lang;
use crate::domain::order::Refusal;
use crate::domain::phone;
use crate::domain::seating::{NoSeat, Wish, offer_fault, seat};
use crate::domain::when;
use crate::store::order::note_event;
use crate::store::record::{self, iso, show};
use crate::store::rows::{hold_house, one_in, update};
use crate::store::{HouseScope, settle, tables};

/// Bookings of one list.
const LIST_MAX: i64 = 500;
/// Bookings that a caller is told of.
const LOOKUP_MAX: i64 = 5;
/// Statuses that take a seat.
const SEATED: [&str; 3] = ["pending", "confirmed", "seated"];

/// A booking as it is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    call_id: Option<String>,
    customer_id: Option<String>,
    customer_name: Option<String>,
    customer_phone: Option<String>,
    caller_phone: Option<String>,
    party_size: Option<i64>,
    reservation_time: Option<String>,
    requested_time: Option<String>,
    requested_date: Option<String>,
    status: Option<String>,
    seating_preference: Option<String>,
    notes: Option<String>,
    service_id: Option<String>,
    offer_id: Option<String>,
    duration_min: Option<i64>,
    dining_room_id: Option<String>,
    table_ids: Vec<String>,
    #[serde(rename = "last_availability_check")]
    check: Value,
}

fn text<'a>(row: &'a Map<String, Value>, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn said(house: &House, code: &'static str, french: &str, english: &str) -> Refusal {
    Refusal::new(code, house.lang().pick(french, english))
}

impl Desk<'_> {
    /// `POST /api/reservations`. What an answer kept for the caller is his; everything else is weighed again.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn create_reservation(
        &self,
        scope: &HouseScope,
        asker: &Asker,
        body: Value,
        now: Timestamp,
    ) -> Result<Reply, DeskError> {
        let Some((house, _)) = self.house(scope).await? else {
            return Ok(Reply::error(404, "unknown restaurant"));
        };
        let asked: Asked = match read(body) {
            Ok(asked) => asked,
            Err(error) => return Ok(Reply::error(400, error.to_string())),
        };
        let (from, party) = match essentials(&house, &asked) {
            Ok(found) => found,
            Err(refusal) => return Ok(Reply::refused(400, &refusal)),
        };
        let dining = self.dining(scope).await?;
        if let Some(refusal) = faults(&house, &dining, asker, &asked, from, party, now) {
            return Ok(Reply::refused(409, &refusal));
        }
        let asker = &Asker {
            call: asker.call.clone().or_else(|| asked.call_id.clone()),
            caller: asker
                .caller
                .clone()
                .or_else(|| asked.caller_phone.clone())
                .or_else(|| asked.customer_phone.clone()),
            ..asker.clone()
        };
        let key = key(asker, &asked, from, party);
        let mut tx = self.db.begin().await?;
        let result = async {
            hold_house(&mut tx, scope).await?;
            if let Some(row) = of_key(&mut tx, scope, &key).await? {
                return Ok(Reply::ok(Value::Object(row)));
            }
            let holds = held(&mut tx, scope, now).await?;
            let taken = taken_by_others(&mut tx, scope, asker, &holds, from).await?;
            let wish = wish(&asked, from, party);
            let seat = match seat(dining.rooms(&house), wish, &taken, &house.zone()) {
                Ok(seat) => seat,
                Err(fault) => return Ok(no_seat(&house, &fault, party)),
            };
            release(&mut tx, scope, &holds, asker).await?;
            let row = write(&mut tx, scope, asker, &asked, from, party, &seat, &key, now).await?;
            Ok(booked_reply(&house, row, from, party, now))
        }
        .await;
        match result {
            Ok(reply) if reply.status >= 400 => {
                tx.rollback().await;
                Ok(reply)
            }
            other => settle::<Reply, DeskError>(tx, other).await,
        }
    }

    /// `PATCH /api/reservations`. The voice side may only cancel what is the caller's.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn change_reservation(
        &self,
        scope: &HouseScope,
        asker: &Asker,
        body: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Reply, DeskError> {
        let Some((house, _)) = self.house(scope).await? else {
            return Ok(Reply::error(404, "unknown restaurant"));
        };
        let dining = self.dining(scope).await?;
        let id = text(body, "id").to_owned();
        let mut tx = self.db.begin().await?;
        let result = async {
            hold_house(&mut tx, scope).await?;
            let Some(Value::Object(old)) =
                one_in(&mut tx, scope, &tables::RESERVATIONS, &id).await?
            else {
                return Ok(Reply::error(404, "unknown reservation"));
            };
            asker.expected.check(&old)?;
            let cancels =
                text(body, "status") == "cancelled" && text(&old, "status") != "cancelled";
            if asker.voice
                && let Some(reply) = voice_fault(&house, asker, body, &old, now)
            {
                return Ok(reply);
            }
            let mut wanted = changes(body);
            if cancels {
                wanted.insert("cancelledAt".to_owned(), iso(now).into());
            } else if let Some(reply) =
                seats_again(&mut tx, scope, &house, &dining, &old, &mut wanted, now).await?
            {
                return Ok(reply);
            }
            let sets = match record::read(&tables::RESERVATIONS, &wanted, false) {
                Ok(sets) => sets,
                Err(fault) => return Ok(Reply::error(400, fault.to_string())),
            };
            let row = update(&mut tx, scope, &tables::RESERVATIONS, &id, sets)
                .await?
                .unwrap_or(old);
            let kind = if cancels {
                "reservation.cancelled"
            } else {
                "reservation.updated"
            };
            if cancels {
                let customer = row.get("customerId").and_then(Value::as_str);
                let number = text(&row, "customerPhone");
                count(&mut tx, scope, customer, number, None, -1, now).await?;
            }
            note_event(&mut tx, scope, kind, &id, &payload(&row), now).await?;
            Ok::<Reply, DeskError>(Reply::ok(Value::Object(row)))
        }
        .await;
        match result {
            Ok(reply) if reply.status >= 400 => {
                tx.rollback().await;
                Ok(reply)
            }
            other => settle(tx, other).await,
        }
    }

    /// `GET /api/reservations`: of a day in the restaurant's zone, of some statuses.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn reservations(
        &self,
        scope: &HouseScope,
        date: Option<&str>,
        statuses: &[&str],
    ) -> Result<Reply, DeskError> {
        let Some((house, _)) = self.house(scope).await? else {
            return Ok(Reply::error(404, "unknown restaurant"));
        };
        let mut statement = Statement::new("SELECT * FROM restaurant_reservations WHERE ");
        scope.limit(&mut statement);
        if let Some(date) = date {
            let Some((from, to)) = day_of(date, &house.zone()) else {
                return Ok(Reply::error(400, "date must be YYYY-MM-DD"));
            };
            statement.with(" AND reservation_time >= ", from);
            statement.with(" AND reservation_time < ", to);
        }
        if !statuses.is_empty() {
            within(
                &mut statement,
                " AND status IN (",
                statuses.iter().map(|status| (*status).to_owned()),
            );
        }
        statement
            .push(" ORDER BY reservation_time, id")
            .with(" LIMIT ", LIST_MAX);
        let rows = self.db.rows(statement).await?;
        let rows: Result<Vec<Value>, _> = rows
            .iter()
            .map(|row| show(&tables::RESERVATIONS, row, true).map(Value::Object))
            .collect();
        Ok(Reply::ok(rows?.into()))
    }

    /// `GET /api/reservations/lookup`: the caller's, from today on.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn lookup_reservations(
        &self,
        scope: &HouseScope,
        asker: &Asker,
        number: &str,
        now: Timestamp,
    ) -> Result<Reply, DeskError> {
        let none = || Reply::ok(json!({"found": false, "reservations": []}));
        let Some((house, _)) = self.house(scope).await? else {
            return Ok(none());
        };
        if !asker.may_see(Some(number)) {
            return Ok(none());
        }
        let today = now
            .to_zoned(house.zone())
            .start_of_day()
            .map_or(now, |day| day.timestamp());
        let mut statement = Statement::new("SELECT * FROM restaurant_reservations WHERE ");
        scope.limit(&mut statement);
        within(
            &mut statement,
            " AND customer_phone IN (",
            phone::spellings(number).into_iter(),
        );
        statement.push(" AND status IN ('pending', 'confirmed')");
        statement.with(" AND reservation_time >= ", today);
        statement
            .push(" ORDER BY reservation_time, id")
            .with(" LIMIT ", LOOKUP_MAX);
        let mut found = Vec::new();
        for row in &self.db.rows(statement).await? {
            let row = show(&tables::RESERVATIONS, row, true)?;
            let at: Timestamp = text(&row, "reservationTime").parse().unwrap_or(now);
            found.push(json!({
                "id": row.get("id"), "customerName": row.get("customerName"), "partySize": row.get("partySize"),
                "reservationTime": row.get("reservationTime"), "status": row.get("status"),
                "seatingPreference": row.get("seatingPreference"), "notes": row.get("notes"),
                // For the model, which does not reckon with zones.
                "when": when_spoken(&house, at, now),
            }));
        }
        Ok(Reply::ok(
            json!({"found": !found.is_empty(), "reservations": found}),
        ))
    }
}

fn booked_reply(
    house: &House,
    row: Result<Map<String, Value>, Refusal>,
    from: Timestamp,
    party: i64,
    now: Timestamp,
) -> Reply {
    match row {
        Ok(mut row) => {
            row.insert(
                "message".to_owned(),
                message(house, from, party, now).into(),
            );
            Reply {
                status: 201,
                body: Value::Object(row),
            }
        }
        Err(refusal) => Reply::refused(400, &refusal),
    }
}

fn within(statement: &mut Statement, words: &str, values: impl Iterator<Item = String>) {
    statement.push(words);
    for (index, value) in values.enumerate() {
        statement.with(if index == 0 { "" } else { ", " }, value);
    }
    statement.push(")");
}

fn day_of(date: &str, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let date: jiff::civil::Date = date.parse().ok()?;
    let next = date.checked_add(1.day()).ok()?;
    let midnight =
        |date: jiff::civil::Date| date.to_zoned(zone.clone()).map(|day| day.timestamp()).ok();
    Some((midnight(date)?, midnight(next)?))
}

/// Beginning and guests; everything that is missing is named at once.
fn essentials(house: &House, asked: &Asked) -> Result<(Timestamp, i64), Refusal> {
    let mut missing = Vec::new();
    let from = asked
        .reservation_time
        .as_deref()
        .and_then(|at| at.parse::<Timestamp>().ok());
    if from.is_none() {
        missing.push("reservationTime");
    }
    if asked
        .customer_phone
        .as_deref()
        .or(asked.caller_phone.as_deref())
        .is_none_or(|phone| phone.trim().is_empty())
    {
        missing.push("customerPhone");
    }
    if asked.party_size.is_none_or(|party| party < 1) {
        missing.push("partySize");
    }
    match (from, asked.party_size, missing.is_empty()) {
        (Some(from), Some(party), true) => Ok((from, party)),
        _ => {
            let fields = missing.join(", ");
            Err(Refusal::new(
                "missing_fields",
                match house.lang() {
                    Lang::Fr => {
                        format!("Il manque : {fields}. Appelle d'abord check_availability.")
                    }
                    Lang::En => format!("Missing: {fields}. Call check_availability first."),
                },
            ))
        }
    }
}

/// Whether the answer that came along was about a table, possible, and of the day that the model was told.
fn is_what_was_checked(asked: &Asked, from: Timestamp, zone: &TimeZone, now: Timestamp) -> bool {
    let says = |name: &str| asked.check.get(name).and_then(Value::as_str);
    let of_a_table = says("mode").is_none_or(|mode| mode == "reservation");
    let within = says("reason").is_none_or(|reason| !reason.starts_with("reservation_too_"));
    let clock = from.to_zoned(zone.clone()).strftime("%H:%M").to_string();
    let same_day = asked.requested_date.as_deref().is_none_or(|date| {
        let wish = when::asked(Some(&clock), Some(date), &now.to_zoned(zone.clone()));
        !matches!(wish, Ok(when::Asked::At(at)) if at != from)
    });
    of_a_table && within && same_day
}

/// What makes a booking impossible whatever is free.
fn faults(
    house: &House,
    dining: &Dining,
    asker: &Asker,
    asked: &Asked,
    from: Timestamp,
    party: i64,
    now: Timestamp,
) -> Option<Refusal> {
    if !house.reservation_enabled {
        return Some(Refusal::new(
            "reservation_not_enabled",
            refused(house, "reservation", "reservation_not_enabled", None).message,
        ));
    }
    if asker.voice && from <= now {
        return Some(Refusal::new(
            "requested_time_past",
            refused(house, "reservation", "requested_time_past", None).message,
        ));
    }
    // The hour that the model was told has to be the one that was checked.
    let zone = house.zone();
    let clock = from.to_zoned(zone.clone()).strftime("%H:%M").to_string();
    let told = asked
        .requested_time
        .as_deref()
        .and_then(crate::domain::hours::minute_of)
        .map(crate::domain::hours::clock);
    if !asked.check.is_null() && told.is_some_and(|told| told != clock) {
        return Some(match house.lang() {
            Lang::Fr => Refusal::new(
                "not_what_was_checked",
                format!(
                    "L'heure vérifiée est {clock}, pas celle demandée. Rappelle check_availability pour la nouvelle heure."
                ),
            ),
            Lang::En => Refusal::new(
                "not_what_was_checked",
                format!(
                    "The time that was checked is {clock}, not the one asked for. Call check_availability for the new time."
                ),
            ),
        });
    }
    if asker.voice && !asked.check.is_null() && !is_what_was_checked(asked, from, &zone, now) {
        return Some(said(
            house,
            "not_what_was_checked",
            "Ce jour ou cette heure n'a pas été vérifié pour une table. Rappelle check_availability.",
            "That day or time was not checked for a table. Call check_availability again.",
        ));
    }
    let offer = asked.offer_id.as_deref()?;
    let Some(offer) = dining.offers.iter().find(|other| other.id == offer) else {
        return Some(said(
            house,
            "offer_not_available",
            "Cette offre n'existe pas.",
            "This offer does not exist.",
        ));
    };
    offer_fault(offer, from, party, &zone).map(|code| {
        said(
            house,
            code,
            "Cette offre n'est pas possible pour ce jour ou ce nombre de personnes.",
            "This offer is not possible for that day or number of people.",
        )
    })
}

fn wish(asked: &Asked, from: Timestamp, party: i64) -> Wish<'_> {
    let service = asked
        .service_id
        .as_deref()
        .or_else(|| asked.check.get("serviceId").and_then(Value::as_str));
    Wish {
        from,
        party_size: party,
        preference: asked.seating_preference.as_deref(),
        service_id: service.filter(|id| !id.is_empty()),
        room_id: asked.dining_room_id.as_deref(),
        table_ids: &asked.table_ids,
        duration_min: asked.duration_min,
    }
}

fn no_seat(house: &House, fault: &NoSeat, party: i64) -> Reply {
    let code = fault.code(party);
    let words = refused(house, "reservation", &code, None).message;
    let again = house.lang().pick(
        " Rappelle check_availability.",
        " Call check_availability again.",
    );
    let mut reply = Reply::error(409, format!("{words}{again}"));
    reply.body["code"] = code.into();
    reply.body["success"] = false.into();
    reply
}

/// The members that a change may set.
fn changes(body: &Map<String, Value>) -> Map<String, Value> {
    const NAMES: [&str; 7] = [
        "status",
        "notes",
        "seatingPreference",
        "serviceId",
        "offerId",
        "diningRoomId",
        "tableIds",
    ];
    let known = body
        .iter()
        .filter(|(name, _)| NAMES.contains(&name.as_str()));
    known
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn payload(row: &Map<String, Value>) -> Value {
    json!({
        "id": row.get("id"), "reservationTime": row.get("reservationTime"), "partySize": row.get("partySize"),
        "customerName": row.get("customerName"), "status": row.get("status"), "callId": row.get("callId"),
    })
}

fn message(house: &House, from: Timestamp, party: i64, now: Timestamp) -> String {
    let when = when_spoken(house, from, now);
    match house.lang() {
        Lang::Fr => format!("Réservation enregistrée : {party} personne(s), {when}."),
        Lang::En => format!("Booked: {party} people, {when}."),
    }
}

/// Why a call may not make that change: another's booking does not exist for it.
fn voice_fault(
    house: &House,
    asker: &Asker,
    body: &Map<String, Value>,
    old: &Map<String, Value>,
    now: Timestamp,
) -> Option<Reply> {
    if !asker.may_see(Some(text(old, "customerPhone"))) {
        return Some(Reply::error(
            404,
            house.lang().pick(
                "Aucune réservation de ce numéro pour cet appelant.",
                "There is no such booking for this caller.",
            ),
        ));
    }
    let known = |name: &str| {
        matches!(
            name,
            "id" | "status" | "restaurantId" | "callId" | "callerPhone"
        )
    };
    if text(body, "status") != "cancelled" || !body.keys().all(|name| known(name)) {
        return Some(Reply::error(
            403,
            "only the caller's own booking can be cancelled",
        ));
    }
    if !matches!(text(old, "status"), "pending" | "confirmed" | "cancelled") {
        return Some(Reply::error(
            409,
            house.lang().pick(
                "Cette réservation ne peut plus être annulée.",
                "This booking cannot be cancelled any more.",
            ),
        ));
    }
    let at: Timestamp = text(old, "reservationTime").parse().unwrap_or(now);
    let limit = at - SignedDuration::from_hours(house.cancellation_delay_hours.clamp(0, 8_760));
    if text(old, "status") != "cancelled" && now > limit {
        let hours = house.cancellation_delay_hours;
        return Some(Reply::error(
            409,
            match house.lang() {
                Lang::Fr => format!(
                    "Une réservation s'annule au moins {hours} heures avant. Propose de laisser un message."
                ),
                Lang::En => format!(
                    "A booking is cancelled at least {hours} hours before. Offer to leave a message."
                ),
            },
        ));
    }
    None
}

/// A booking that takes a seat again, or another table, has to find it free.
async fn seats_again(
    tx: &mut Tx,
    scope: &HouseScope,
    house: &House,
    dining: &Dining,
    old: &Map<String, Value>,
    wanted: &mut Map<String, Value>,
    now: Timestamp,
) -> Result<Option<Reply>, DeskError> {
    let status = wanted
        .get("status")
        .and_then(Value::as_str)
        .unwrap_or_else(|| text(old, "status"));
    let revived = SEATED.contains(&status) && !SEATED.contains(&text(old, "status"));
    let tables: Option<Vec<String>> = wanted
        .get("tableIds")
        .and_then(|ids| serde_json::from_value(ids.clone()).ok());
    let moved = tables.as_ref().is_some_and(|ids| !ids.is_empty());
    if !SEATED.contains(&status) || !(revived || moved) {
        return Ok(None);
    }
    let time = |name: &str| text(old, name).parse::<Timestamp>().unwrap_or(now);
    let (from, to) = (time("reservationTime"), time("endTime"));
    let party = old.get("partySize").and_then(Value::as_i64).unwrap_or(1);
    let mut taken: Vec<Taken> = booked(tx, scope, from, to, Some(text(old, "id"))).await?;
    taken.extend(
        held(tx, scope, now)
            .await?
            .into_iter()
            .map(|hold| hold.taken),
    );
    let tables = tables.unwrap_or_default();
    let wish = Wish {
        from,
        party_size: party,
        table_ids: &tables,
        duration_min: Some((to.as_second() - from.as_second()) / 60),
        ..Wish::default()
    };
    match seat(dining.rooms(house), wish, &taken, &house.zone()) {
        Ok(seat) => {
            wanted.insert("tableIds".to_owned(), seat.table_ids.into());
            Ok(None)
        }
        Err(fault) => Ok(Some(no_seat(house, &fault, party))),
    }
}
