//! The rows of bookings, inside of a write.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use store::{Statement, Tx};

use super::{Asked, payload, text};
use crate::desk::seating::{Held, booked};
use crate::desk::{Asker, DeskError, fingerprint};
use crate::domain::facts::Taken;
use crate::domain::money::Cents;
use crate::domain::order::{Refusal, note};
use crate::domain::phone;
use crate::domain::seating::Seat;
use crate::store::order::{Visit, count_visit, note_event, note_outcome};
use crate::store::record::{self, iso, show};
use crate::store::rows::insert;
use crate::store::{HouseScope, tables};
pub(super) async fn of_key(
    tx: &mut Tx,
    scope: &HouseScope,
    key: &str,
) -> Result<Option<Map<String, Value>>, DeskError> {
    let mut statement = Statement::new("SELECT * FROM restaurant_reservations WHERE ");
    scope.limit(&mut statement);
    statement.with(" AND confirmation_key = ", key);
    // A cancelled booking is booked anew.
    statement.push(" AND status <> 'cancelled'");
    let row = tx.row(statement, "reservation").await?;
    Ok(row
        .map(|row| show(&tables::RESERVATIONS, &row, true))
        .transpose()?)
}

#[expect(clippy::too_many_arguments, reason = "the facts of one row")]
pub(super) async fn write(
    tx: &mut Tx,
    scope: &HouseScope,
    asker: &Asker,
    asked: &Asked,
    from: Timestamp,
    party: i64,
    seat: &Seat,
    key: &str,
    now: Timestamp,
) -> Result<Result<Map<String, Value>, Refusal>, DeskError> {
    // A number that the model wrote does not take the place of the caller's: it is kept beside it.
    let own = asker
        .caller
        .as_deref()
        .filter(|_| asker.voice)
        .or(asked.customer_phone.as_deref())
        .or(asked.caller_phone.as_deref());
    let number = own.unwrap_or_default();
    let other = asked
        .customer_phone
        .as_deref()
        .filter(|other| !phone::same(other, number));
    let notes = match (note(asked.notes.as_deref()), other) {
        (notes, None) => notes,
        (Some(notes), Some(other)) => Some(format!("{notes} (tél. {other})")),
        (None, Some(other)) => Some(format!("tél. {other}")),
    };
    let customer = count(
        tx,
        scope,
        asked.customer_id.as_deref(),
        number,
        asked.customer_name.as_deref(),
        1,
        now,
    )
    .await?;
    free_key(tx, scope, key).await?;
    let status = match asked.status.as_deref() {
        Some(status) if !asker.voice => status,
        _ if seat.auto_confirm => "confirmed",
        _ => "pending",
    };
    let members = json!({
        "callId": asker.call, "customerId": customer, "customerName": asked.customer_name, "customerPhone": number,
        "partySize": party, "reservationTime": iso(from), "endTime": iso(seat.to), "durationMin": seat.duration_min, "status": status,
        "seatingPreference": asked.seating_preference, "notes": notes, "serviceId": seat.service_id, "offerId": asked.offer_id,
        "diningRoomId": asked.dining_room_id, "tableIds": seat.table_ids, "confirmationKey": key,
    });
    let Value::Object(members) = members else {
        return Ok(Err(Refusal::new("bad_reservation", "internal")));
    };
    let sets = match record::read(&tables::RESERVATIONS, &members, true) {
        Ok(sets) => sets,
        Err(fault) => return Ok(Err(Refusal::new("bad_reservation", fault.to_string()))),
    };
    let row = insert(tx, scope, &tables::RESERVATIONS, sets).await?;
    if let Some(call) = &asker.call {
        note_outcome(tx, scope, call, "reservation_placed", now).await?;
    }
    note_event(
        tx,
        scope,
        "reservation.created",
        text(&row, "id"),
        &payload(&row),
        now,
    )
    .await?;
    Ok(Ok(row))
}

/// The key of a booking that was cancelled is free again.
async fn free_key(tx: &mut Tx, scope: &HouseScope, key: &str) -> Result<(), DeskError> {
    let mut statement =
        Statement::new("UPDATE restaurant_reservations SET confirmation_key = NULL WHERE ");
    scope.limit(&mut statement);
    statement
        .with(" AND confirmation_key = ", key)
        .push(" AND status = 'cancelled'");
    tx.run(statement, "reservation").await?;
    Ok(())
}

pub(super) async fn count(
    tx: &mut Tx,
    scope: &HouseScope,
    id: Option<&str>,
    number: &str,
    name: Option<&str>,
    bookings: i64,
    now: Timestamp,
) -> Result<Option<String>, DeskError> {
    if number.is_empty() {
        return Ok(id.map(str::to_owned));
    }
    let visit = Visit {
        id,
        phone: number,
        name,
        orders: 0,
        bookings,
        spent: Cents::ZERO,
    };
    Ok(count_visit(tx, scope, visit, now).await?)
}

pub(super) async fn taken_by_others(
    tx: &mut Tx,
    scope: &HouseScope,
    asker: &Asker,
    holds: &[Held],
    from: Timestamp,
) -> Result<Vec<Taken>, DeskError> {
    let day = SignedDuration::from_hours(24);
    let mut taken = booked(
        tx,
        scope,
        from,
        from.saturating_add(day).unwrap_or(from),
        None,
    )
    .await?;
    let others = holds.iter().filter(|hold| !hold.is_of(asker));
    taken.extend(others.map(|hold| hold.taken.clone()));
    Ok(taken)
}

/// A booking is one by its call, beginning and guests, else by its number, else by the key that came along.
pub(super) fn key(asker: &Asker, asked: &Asked, from: Timestamp, party: i64) -> String {
    let (at, party) = (from.to_string(), party.to_string());
    match (&asker.call, &asker.key) {
        (Some(call), _) => format!("call:{}", fingerprint(&[call, &at, &party])),
        (None, Some(key)) => format!("key:{}", fingerprint(&[key])),
        (None, None) => {
            // Staff may well book the same twice: for two parties of one company.
            let number = asked.customer_phone.as_deref().unwrap_or_default();
            format!("new:{}", fingerprint(&[&store::new_id(), number]))
        }
    }
}
