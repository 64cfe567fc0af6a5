//! What an order needs besides its row: its number, its lines at once, its repetition, its customer.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::{ChangeError, ReadError, Row, Statement, Tx};

use super::record::show;
use super::{HouseScope, tables};
use crate::domain::money::Cents;
use crate::domain::order::Line;

/// The next number of the restaurant.
///
/// # Errors
/// See [`ChangeError`].
pub async fn next_number(tx: &mut Tx, scope: &HouseScope) -> Result<i64, ChangeError> {
    // A restaurant that was imported has orders, and no counter yet.
    let mut statement =
        Statement::new("INSERT INTO restaurant_counters (restaurant_id, next_order) SELECT ");
    statement.bind(scope.restaurant());
    statement.with(
        ", COALESCE(MAX(order_number), 0) + 2 FROM restaurant_orders WHERE restaurant_id = ",
        scope.restaurant(),
    );
    statement.push(
        " ON CONFLICT (restaurant_id) DO UPDATE SET next_order = restaurant_counters.next_order + 1 RETURNING next_order",
    );
    let row = tx.row(statement, "order").await?;
    let next = row.map(|row| row.int("next_order")).transpose()?.flatten();
    Ok(next.unwrap_or(2) - 1)
}

fn shown(row: Option<&Row>) -> Result<Option<Map<String, Value>>, ReadError> {
    row.map(|row| show(&tables::ORDERS, row, true)).transpose()
}

/// The order that was placed under a key, if there is one.
///
/// # Errors
/// See [`ChangeError`].
pub async fn of_key(
    tx: &mut Tx,
    scope: &HouseScope,
    key: &str,
) -> Result<Option<Map<String, Value>>, ChangeError> {
    let mut statement = Statement::new("SELECT * FROM restaurant_orders WHERE ");
    scope.limit(&mut statement);
    statement.with(" AND confirmation_key = ", key);
    Ok(shown(tx.row(statement, "order").await?.as_ref())?)
}

/// Writes the lines of a new order in one statement.
///
/// # Errors
/// See [`ChangeError`].
pub async fn insert_lines(
    tx: &mut Tx,
    scope: &HouseScope,
    order: &str,
    lines: &[Line],
    now: Timestamp,
) -> Result<(), ChangeError> {
    let mut statement = Statement::new(
        "INSERT INTO restaurant_order_lines (id, tenant_id, restaurant_id, order_id, position, menu_item_id, name, quantity, \
         unit_price, total_price, selected_options, notes, created_at, updated_at) VALUES ",
    );
    for (position, line) in lines.iter().enumerate() {
        statement.push(if position == 0 { "(" } else { ", (" });
        statement
            .bind(store::new_id())
            .with(", ", scope.tenant())
            .with(", ", scope.restaurant())
            .with(", ", order);
        statement.with(", ", i64::try_from(position).unwrap_or(0));
        statement
            .with(", ", line.item_id.as_str())
            .with(", ", line.name.as_str())
            .with(", ", line.quantity);
        statement
            .with(", ", line.unit_price.get())
            .with(", ", line.total.get());
        statement
            .with(", ", options(line).to_string())
            .with(", ", line.notes.clone());
        statement.with(", ", now).with(", ", now).push(")");
    }
    tx.run(statement, "order line").await?;
    Ok(())
}

/// `[{"name", "choice", "extra_price"}]`, as the contract has them.
pub fn options(line: &Line) -> Value {
    line.options
        .iter()
        .map(|option| {
            let mut value =
                json!({"name": option.name, "choice": option.choice, "extra_price": option.extra});
            if let Some(id) = &option.item_id {
                value["menuItemId"] = id.clone().into();
            }
            value
        })
        .collect()
}

/// A customer who ordered or booked.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// His id, where the call knew it.
    pub id: Option<&'a str>,
    /// His number.
    pub phone: &'a str,
    /// His name.
    pub name: Option<&'a str>,
    /// Orders to add, perhaps -1.
    pub orders: i64,
    /// Bookings to add, perhaps -1.
    pub bookings: i64,
    /// Spent.
    pub spent: Cents,
}

/// Counts a visit; the customer's id. A number that is new makes a customer.
///
/// # Errors
/// See [`ChangeError`].
pub async fn count_visit(
    tx: &mut Tx,
    scope: &HouseScope,
    visit: Visit<'_>,
    now: Timestamp,
) -> Result<Option<String>, ChangeError> {
    if let Some(id) = visit.id {
        let mut statement = Statement::new("UPDATE restaurant_customers SET ");
        add(&mut statement, visit, now);
        statement.push(" WHERE ");
        scope.limit(&mut statement);
        statement.with(" AND id = ", id);
        if tx.run(statement, "customer").await? > 0 {
            return Ok(Some(id.to_owned()));
        }
    }
    let mut statement = Statement::new(
        "INSERT INTO restaurant_customers (id, tenant_id, restaurant_id, phone, first_name, total_orders, total_reservations, \
         total_spent, last_order_at, created_at, updated_at) VALUES (",
    );
    statement
        .bind(store::new_id())
        .with(", ", scope.tenant())
        .with(", ", scope.restaurant())
        .with(", ", visit.phone);
    statement.with(", ", visit.name.map(str::to_owned));
    statement
        .with(", ", visit.orders.max(0))
        .with(", ", visit.bookings.max(0))
        .with(", ", visit.spent.get().max(0));
    statement
        .with(", ", (visit.orders > 0).then(|| now.as_microsecond()))
        .with(", ", now)
        .with(", ", now);
    statement.push(") ON CONFLICT (restaurant_id, phone) DO UPDATE SET ");
    add(&mut statement, visit, now);
    statement.push(", first_name = COALESCE(restaurant_customers.first_name, excluded.first_name) RETURNING id");
    let row = tx.row(statement, "customer").await?;
    Ok(row.map(|row| row.text("id")).transpose()?.flatten())
}

fn add(statement: &mut Statement, visit: Visit<'_>, now: Timestamp) {
    for (words, number) in [
        (
            "total_orders = restaurant_customers.total_orders + ",
            visit.orders,
        ),
        (
            ", total_reservations = restaurant_customers.total_reservations + ",
            visit.bookings,
        ),
        (
            ", total_spent = restaurant_customers.total_spent + ",
            visit.spent.get(),
        ),
        (", updated_at = ", now.as_microsecond()),
    ] {
        statement.with(words, number);
    }
    if visit.orders > 0 {
        statement.with(", last_order_at = ", now);
    }
}

/// Writes an event of the restaurant.
///
/// # Errors
/// See [`ChangeError`].
pub async fn note_event(
    tx: &mut Tx,
    scope: &HouseScope,
    kind: &str,
    subject: &str,
    payload: &Value,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let mut statement = Statement::new(
        "INSERT INTO restaurant_events (id, tenant_id, restaurant_id, kind, subject_id, payload, created_at, updated_at) VALUES (",
    );
    statement
        .bind(store::new_id())
        .with(", ", scope.tenant())
        .with(", ", scope.restaurant());
    statement
        .with(", ", kind)
        .with(", ", subject)
        .with(", ", payload.to_string());
    statement.with(", ", now).with(", ", now).push(")");
    tx.run(statement, "event").await?;
    Ok(())
}

/// Notes what a call came to, where the call is known here.
///
/// # Errors
/// See [`ChangeError`].
pub async fn note_outcome(
    tx: &mut Tx,
    scope: &HouseScope,
    call: &str,
    outcome: &str,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let mut statement = Statement::new("UPDATE restaurant_calls SET outcome = ");
    statement
        .bind(outcome)
        .with(", updated_at = ", now)
        .push(" WHERE ");
    scope.limit(&mut statement);
    statement
        .with(" AND id = ", call)
        .push(" AND outcome IN ('in_progress', 'info_only', 'message_left', 'reservation_placed')");
    tx.run(statement, "call").await?;
    Ok(())
}
