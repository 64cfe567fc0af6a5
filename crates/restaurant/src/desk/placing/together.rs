//! Several orders of one restaurant in one write. Each is weighed after those before it, as if they had come one after another.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use store::{Db, Tx};

use super::{Failed, Job, Placed, elsewhere, later, repeated};
use crate::desk::DeskError;
use crate::desk::facts::Dining;
use crate::desk::seating::load_in;
use crate::domain::availability::{Facts, whole_minute};
use crate::domain::kitchen::{Cooking, Size, Slot};
use crate::domain::menu::Moment;
use crate::domain::order::{Mode, Priced, Refusal, note, price};
use crate::store::order::{
    Visit, count_visits, insert_lines, next_numbers, note_events, note_outcomes, of_keys,
};
use crate::store::record::{self, Set, iso};
use crate::store::rows::{hold_house, insert_all};
use crate::store::{HouseScope, tables};

/// An order that will be written.
struct Weighed<'a> {
    /// Which of the confirmations it is.
    place: usize,
    job: &'a Job,
    id: String,
    priced: Priced,
    /// At the counter or at the door.
    done: Timestamp,
    sets: Vec<Set>,
}

/// Places orders; an outcome for each, in their order.
///
/// # Errors
/// See [`DeskError`]; then none of them was placed.
pub(super) async fn place(
    db: &Db,
    scope: &HouseScope,
    jobs: &[&Job],
) -> Result<Vec<Result<Placed, Failed>>, DeskError> {
    let mut tx = db.begin().await?;
    let result = within(&mut tx, scope, jobs).await;
    match result {
        Ok((outcomes, true)) => {
            tx.commit().await?;
            Ok(outcomes)
        }
        Ok((outcomes, false)) => {
            tx.rollback().await;
            Ok(outcomes)
        }
        Err(error) => {
            tx.rollback().await;
            Err(error)
        }
    }
}

/// The outcomes, and whether anything was written.
async fn within(
    tx: &mut Tx,
    scope: &HouseScope,
    jobs: &[&Job],
) -> Result<(Vec<Result<Placed, Failed>>, bool), DeskError> {
    hold_house(tx, scope).await?;
    let keys: Vec<&str> = jobs
        .iter()
        .filter_map(|job| job.draft.key.as_deref())
        .collect();
    let mut known = of_keys(tx, scope, &keys).await?;
    let earliest = jobs.iter().map(|job| job.now).min().unwrap_or_default();
    let mut cooking = if known.len() < jobs.len() {
        load_in(tx, scope, earliest).await?
    } else {
        Vec::new()
    };
    let mut outcomes: Vec<Option<Result<Placed, Failed>>> = Vec::new();
    let mut weighed = Vec::new();
    for (place, job) in jobs.iter().enumerate() {
        let known = job.draft.key.as_ref().and_then(|key| known.remove(key));
        outcomes.push(match known {
            Some(row) => Some(match elsewhere(&job.house, &job.draft, &row) {
                Ok(()) => Ok(repeated(tx, scope, row).await?),
                Err(refusal) => Err(refusal.into()),
            }),
            None => match weigh(place, job, &cooking) {
                Ok((order, slot)) => {
                    cooking.push(slot);
                    weighed.push(order);
                    None
                }
                Err(refusal) => Some(Err(refusal.into())),
            },
        });
    }
    let written = !weighed.is_empty();
    if written {
        for (place, placed) in write(tx, scope, weighed).await? {
            outcomes[place] = Some(Ok(placed));
        }
    }
    let missing = || Err(Refusal::new("bad_order", "internal").into());
    let outcomes = outcomes.into_iter();
    Ok((
        outcomes
            .map(|outcome| outcome.unwrap_or_else(missing))
            .collect(),
        written,
    ))
}

/// Prices it, and finds its place among what the kitchen cooks.
fn weigh<'a>(
    place: usize,
    job: &'a Job,
    cooking: &[Cooking],
) -> Result<(Weighed<'a>, Cooking), Refusal> {
    let (house, draft, now) = (&job.house, &job.draft, job.now);
    draft.check_delivery(house)?;
    let priced = price(
        house,
        &job.menu,
        &draft.asked,
        Moment::of(draft.wanted(now), &house.zone()),
    )?;
    let dining = Dining::none();
    let facts = Facts {
        rooms: dining.rooms(house),
        hours: &job.hours,
        load: cooking,
        taken: &[],
    };
    let size = Size::of(priced.pieces());
    let slot = draft.slot(&facts, size, now)?;
    let done = whole_minute(slot.to + SignedDuration::from_mins(draft.minutes));
    let members = members(job, &priced, slot, size, done);
    let sets = record::read(&tables::ORDERS, &members, true)
        .map_err(|fault| Refusal::new("bad_order", fault.to_string()))?;
    let cooked = Cooking {
        from: slot.from,
        to: slot.to,
        size,
    };
    let id = store::new_id();
    let order = Weighed {
        place,
        job,
        id,
        priced,
        done,
        sets,
    };
    Ok((order, cooked))
}

/// Its row, but for its number.
fn members(
    job: &Job,
    priced: &Priced,
    slot: Slot,
    size: Size,
    done: Timestamp,
) -> Map<String, Value> {
    let (draft, extras) = (&job.draft, &job.draft.extras);
    let delivered = draft.asked.mode == Mode::Delivery;
    let members = json!({
        "callId": job.call(), "customerId": extras.customer_id, "customerName": extras.customer_name,
        "customerPhone": extras.phone(&job.asker), "orderNumber": 1, "status": "confirmed",
        "orderType": draft.asked.mode.as_str(), "orderSize": size.as_str(),
        "subtotal": priced.subtotal, "deliveryFee": priced.delivery_fee, "total": priced.total,
        "deliveryAddress": draft.address.as_ref().filter(|_| delivered),
        "deliveryDistanceKm": draft.distance_km.filter(|_| delivered),
        "deliveryLat": draft.point.filter(|_| delivered).map(|point| point.lat),
        "deliveryLng": draft.point.filter(|_| delivered).map(|point| point.lng),
        "estimatedReadyAt": iso(done), "cookStartAt": iso(slot.from), "handoffAt": iso(slot.to),
        "notes": note(draft.asked.notes.as_deref()), "paymentMethod": extras.payment().unwrap_or("cash"),
        "confirmationKey": draft.key,
    });
    if let Value::Object(members) = members {
        return members;
    }
    Map::new()
}

/// Writes the orders, their lines, customers, calls and events, each kind in one statement.
async fn write(
    tx: &mut Tx,
    scope: &HouseScope,
    mut weighed: Vec<Weighed<'_>>,
) -> Result<Vec<(usize, Placed)>, DeskError> {
    let now = weighed
        .iter()
        .map(|order| order.job.now)
        .max()
        .unwrap_or_default();
    let visitors: Vec<usize> = (0..weighed.len())
        .filter(|index| weighed[*index].job.phone().is_some())
        .collect();
    let visits: Vec<Visit<'_>> = visitors
        .iter()
        .filter_map(|index| visit(&weighed[*index]))
        .collect();
    let customers = count_visits(tx, scope, &visits, now).await?;
    let mut number = next_numbers(tx, scope, weighed.len()).await?;
    for (index, customer) in visitors.into_iter().zip(customers) {
        if let Some(customer) = customer {
            put(&mut weighed[index].sets, "customerId", customer.into());
        }
    }
    for order in &mut weighed {
        put(&mut order.sets, "orderNumber", number.into());
        number += 1;
    }
    let rows = weighed
        .iter_mut()
        .map(|order| (order.id.clone(), std::mem::take(&mut order.sets)));
    let rows = insert_all(tx, scope, &tables::ORDERS, rows.collect()).await?;
    let lines: Vec<_> = weighed
        .iter()
        .map(|order| (order.id.as_str(), order.priced.lines.as_slice()))
        .collect();
    let lines = insert_lines(tx, scope, &lines, now).await?;
    let calls: Vec<&str> = weighed
        .iter()
        .filter_map(|order| order.job.call())
        .collect();
    note_outcomes(tx, scope, &calls, "order_placed", now).await?;
    let events: Vec<_> = weighed
        .iter()
        .zip(&rows)
        .map(|(order, row)| (order.id.as_str(), event(order, row)))
        .collect();
    note_events(tx, scope, "order.created", &events, now).await?;
    let placed = weighed
        .into_iter()
        .zip(rows)
        .zip(lines)
        .map(|((order, row), lines)| {
            let mut corrections = order.priced.corrections;
            corrections.extend(later(
                &order.job.house,
                &order.job.draft,
                order.done,
                order.job.now,
            ));
            (
                order.place,
                Placed {
                    row,
                    lines,
                    corrections,
                    repeated: false,
                },
            )
        });
    Ok(placed.collect())
}

fn visit<'a>(order: &'a Weighed<'_>) -> Option<Visit<'a>> {
    let extras = &order.job.draft.extras;
    Some(Visit {
        id: extras.customer_id.as_deref(),
        phone: order.job.phone()?,
        name: extras.customer_name.as_deref(),
        orders: 1,
        bookings: 0,
        spent: order.priced.total,
    })
}

fn event(order: &Weighed<'_>, row: &Map<String, Value>) -> Value {
    json!({"id": order.id, "orderNumber": row.get("orderNumber"), "orderType": row.get("orderType"),
        "total": row.get("total"), "summary": order.priced.summary(), "callId": order.job.call()})
}

/// Puts a column's value in the place of what was read there.
fn put(sets: &mut Vec<Set>, wire: &str, cell: store::Cell) {
    if let Some(set) = sets.iter_mut().find(|set| set.column.wire == wire) {
        set.cell = cell;
    } else if let Some(column) = tables::ORDERS.column(wire) {
        sets.push(Set { column, cell });
    }
}
