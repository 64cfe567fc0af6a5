//! What an order needs besides its row: its number, its lines at once, its repetition, its customer.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::{ChangeError, Statement, Tx};

use super::record::show;
use super::{HouseScope, tables};
use crate::domain::money::Cents;
use crate::domain::order::Line;

/// The first of the restaurant's next numbers; so many are taken.
///
/// # Errors
/// See [`ChangeError`].
pub async fn next_numbers(
    tx: &mut Tx,
    scope: &HouseScope,
    count: usize,
) -> Result<i64, ChangeError> {
    let count = i64::try_from(count).unwrap_or(1);
    // A restaurant that was imported has orders, and no counter yet.
    let mut statement =
        Statement::new("INSERT INTO restaurant_counters (restaurant_id, next_order) SELECT ");
    statement.bind(scope.restaurant());
    statement.with(", COALESCE(MAX(order_number), 0) + 1 + ", count);
    statement.with(
        " FROM restaurant_orders WHERE restaurant_id = ",
        scope.restaurant(),
    );
    statement.with(
        " ON CONFLICT (restaurant_id) DO UPDATE SET next_order = restaurant_counters.next_order + ",
        count,
    );
    statement.push(" RETURNING next_order");
    let row = tx.row(statement, "order").await?;
    let next = row.map(|row| row.int("next_order")).transpose()?.flatten();
    Ok(next.unwrap_or(1 + count) - count)
}

/// The orders that were placed under keys, by their key.
///
/// # Errors
/// See [`ChangeError`].
pub async fn of_keys(
    tx: &mut Tx,
    scope: &HouseScope,
    keys: &[&str],
) -> Result<HashMap<String, Map<String, Value>>, ChangeError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let mut statement = Statement::new("SELECT * FROM restaurant_orders WHERE ");
    scope.limit(&mut statement);
    statement.push(" AND confirmation_key IN (");
    each(&mut statement, keys);
    let mut found = HashMap::new();
    for row in tx.rows(statement, "order").await? {
        let key = row.text("confirmation_key")?.unwrap_or_default();
        found.insert(key, show(&tables::ORDERS, &row, true)?);
    }
    Ok(found)
}

/// The values of a list, and its closing bracket.
fn each(statement: &mut Statement, values: &[&str]) {
    for (index, value) in values.iter().enumerate() {
        statement.with(if index == 0 { "" } else { ", " }, *value);
    }
    statement.push(")");
}

/// Writes the lines of new orders in one statement; those of each, in their order.
///
/// # Errors
/// See [`ChangeError`].
pub async fn insert_lines(
    tx: &mut Tx,
    scope: &HouseScope,
    orders: &[(&str, &[Line])],
    now: Timestamp,
) -> Result<Vec<Vec<Value>>, ChangeError> {
    let mut statement = Statement::new(
        "INSERT INTO restaurant_order_lines (id, tenant_id, restaurant_id, order_id, position, menu_item_id, name, quantity, \
         unit_price, total_price, selected_options, notes, created_at, updated_at) VALUES ",
    );
    let lines = orders.iter().flat_map(|(order, lines)| {
        let numbered = lines.iter().enumerate();
        numbered.map(move |(position, line)| (*order, position, line))
    });
    for (index, (order, position, line)) in lines.enumerate() {
        statement.push(if index == 0 { "(" } else { ", (" });
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
    statement.push(" RETURNING *");
    let mut written: HashMap<String, Vec<(i64, Value)>> = HashMap::new();
    for row in tx.rows(statement, "order line").await? {
        let order = row.text("order_id")?.unwrap_or_default();
        let line = Value::Object(show(&tables::ORDER_LINES, &row, true)?);
        let position = row.int("position")?.unwrap_or_default();
        written.entry(order).or_default().push((position, line));
    }
    let of_order = |(order, _): &(&str, &[Line])| {
        let mut lines = written.remove(*order).unwrap_or_default();
        lines.sort_by_key(|(position, _)| *position);
        lines.into_iter().map(|(_, line)| line).collect()
    };
    Ok(orders.iter().map(of_order).collect())
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

/// Counts visits that add, in one statement; the customer's id of each.
///
/// # Errors
/// See [`ChangeError`].
pub async fn count_visits(
    tx: &mut Tx,
    scope: &HouseScope,
    visits: &[Visit<'_>],
    now: Timestamp,
) -> Result<Vec<Option<String>>, ChangeError> {
    if visits.is_empty() {
        return Ok(Vec::new());
    }
    let numbers = numbers_of(tx, scope, visits).await?;
    let number = |visit: &Visit<'_>| -> String {
        let known = visit.id.and_then(|id| numbers.get(id));
        known.map_or_else(|| visit.phone.to_owned(), Clone::clone)
    };
    // A statement may touch a row once.
    let mut sums: BTreeMap<String, (i64, i64, i64, Option<&str>)> = BTreeMap::new();
    for visit in visits {
        let sum = sums.entry(number(visit)).or_default();
        sum.0 += visit.orders;
        sum.1 += visit.bookings;
        sum.2 += visit.spent.get();
        sum.3 = sum.3.or(visit.name);
    }
    let mut statement = Statement::new(
        "INSERT INTO restaurant_customers (id, tenant_id, restaurant_id, phone, first_name, total_orders, total_reservations, \
         total_spent, last_order_at, created_at, updated_at) VALUES ",
    );
    for (index, (phone, (orders, bookings, spent, name))) in sums.iter().enumerate() {
        statement.with(if index == 0 { "(" } else { ", (" }, store::new_id());
        statement
            .with(", ", scope.tenant())
            .with(", ", scope.restaurant())
            .with(", ", phone.as_str())
            .with(", ", name.map(str::to_owned));
        statement
            .with(", ", *orders)
            .with(", ", *bookings)
            .with(", ", *spent);
        statement.with(", ", (*orders > 0).then(|| now.as_microsecond()));
        statement.with(", ", now).with(", ", now).push(")");
    }
    statement.push(
        " ON CONFLICT (restaurant_id, phone) DO UPDATE SET \
         total_orders = restaurant_customers.total_orders + excluded.total_orders, \
         total_reservations = restaurant_customers.total_reservations + excluded.total_reservations, \
         total_spent = restaurant_customers.total_spent + excluded.total_spent, updated_at = excluded.updated_at, \
         last_order_at = COALESCE(excluded.last_order_at, restaurant_customers.last_order_at), \
         first_name = COALESCE(restaurant_customers.first_name, excluded.first_name) RETURNING id, phone",
    );
    let mut ids = HashMap::new();
    for row in tx.rows(statement, "customer").await? {
        let (phone, id) = (row.text("phone")?, row.text("id")?);
        ids.extend(phone.zip(id));
    }
    Ok(visits
        .iter()
        .map(|visit| ids.get(&number(visit)).cloned())
        .collect())
}

/// Numbers of customers whose id the call knew.
async fn numbers_of(
    tx: &mut Tx,
    scope: &HouseScope,
    visits: &[Visit<'_>],
) -> Result<HashMap<String, String>, ChangeError> {
    let known: Vec<&str> = visits.iter().filter_map(|visit| visit.id).collect();
    let mut numbers = HashMap::new();
    if known.is_empty() {
        return Ok(numbers);
    }
    let mut statement = Statement::new("SELECT id, phone FROM restaurant_customers WHERE ");
    scope.limit(&mut statement);
    statement.push(" AND id IN (");
    each(&mut statement, &known);
    for row in tx.rows(statement, "customer").await? {
        let (id, phone) = (row.text("id")?, row.text("phone")?);
        numbers.extend(id.zip(phone));
    }
    Ok(numbers)
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
    note_events(tx, scope, kind, &[(subject, payload.clone())], now).await
}

/// Writes events of one kind: of what, and what is told.
///
/// # Errors
/// See [`ChangeError`].
pub async fn note_events(
    tx: &mut Tx,
    scope: &HouseScope,
    kind: &str,
    events: &[(&str, Value)],
    now: Timestamp,
) -> Result<(), ChangeError> {
    let mut statement = Statement::new(
        "INSERT INTO restaurant_events (id, tenant_id, restaurant_id, kind, subject_id, payload, created_at, updated_at) VALUES ",
    );
    for (index, (subject, payload)) in events.iter().enumerate() {
        statement.with(if index == 0 { "(" } else { ", (" }, store::new_id());
        statement
            .with(", ", scope.tenant())
            .with(", ", scope.restaurant());
        statement
            .with(", ", kind)
            .with(", ", *subject)
            .with(", ", payload.to_string());
        statement.with(", ", now).with(", ", now).push(")");
    }
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
    note_outcomes(tx, scope, &[call], outcome, now).await
}

/// As [`note_outcome`], of several calls.
///
/// # Errors
/// See [`ChangeError`].
pub async fn note_outcomes(
    tx: &mut Tx,
    scope: &HouseScope,
    calls: &[&str],
    outcome: &str,
    now: Timestamp,
) -> Result<(), ChangeError> {
    if calls.is_empty() {
        return Ok(());
    }
    let mut statement = Statement::new("UPDATE restaurant_calls SET outcome = ");
    statement
        .bind(outcome)
        .with(", updated_at = ", now)
        .push(" WHERE ");
    scope.limit(&mut statement);
    statement.push(" AND id IN (");
    each(&mut statement, calls);
    statement
        .push(" AND outcome IN ('in_progress', 'info_only', 'message_left', 'reservation_placed')");
    tx.run(statement, "call").await?;
    Ok(())
}
