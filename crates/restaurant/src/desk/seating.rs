//! What is taken at a time, under the restaurant's lock.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use store::{ChangeError, Db, ReadError, Row, Statement, Tx};

use super::Asker;
use crate::domain::facts::Taken;
use crate::domain::kitchen::{Cooking, Size};
use crate::domain::phone;
use crate::store::HouseScope;

/// How long an answer keeps a table.
pub const HOLD: SignedDuration = SignedDuration::from_mins(5);
/// Tables that are kept for callers of one restaurant at one time.
pub const HOLDS_MAX: usize = 500;
/// Longest meal: what began earlier is over.
const MEAL_MAX: SignedDuration = SignedDuration::from_hours(24);

/// A table kept for a caller.
#[derive(Clone, Debug)]
pub struct Held {
    /// Id of the hold.
    pub id: String,
    /// Whose.
    call: Option<String>,
    caller: Option<String>,
    /// Until when.
    pub expires: Timestamp,
    /// The table.
    pub taken: Taken,
}

impl Held {
    /// Whether it is the asker's: by the call, else by the number.
    pub fn is_of(&self, asker: &Asker) -> bool {
        match (&self.call, &asker.call) {
            (Some(held), Some(call)) => held == call,
            _ => {
                matches!((&self.caller, &asker.caller), (Some(held), Some(caller)) if phone::same(held, caller))
            }
        }
    }
}

fn time(row: &Row, name: &str) -> Result<Timestamp, ReadError> {
    let at = row
        .int(name)?
        .and_then(|at| Timestamp::from_microsecond(at).ok());
    Ok(at.unwrap_or(Timestamp::UNIX_EPOCH))
}

fn texts(row: &Row, name: &str) -> Result<Vec<String>, ReadError> {
    let list = row
        .text(name)?
        .and_then(|text| serde_json::from_str(&text).ok());
    Ok(list.unwrap_or_default())
}

/// Bookings that count, and around `at`; `except` is the one that is being changed.
///
/// # Errors
/// See [`ChangeError`].
pub async fn booked(
    tx: &mut Tx,
    scope: &HouseScope,
    from: Timestamp,
    to: Timestamp,
    except: Option<&str>,
) -> Result<Vec<Taken>, ChangeError> {
    let mut statement = Statement::new(
        "SELECT id, reservation_time, end_time, party_size, table_ids FROM restaurant_reservations WHERE ",
    );
    scope.limit(&mut statement);
    statement.push(" AND status IN ('pending', 'confirmed', 'seated')");
    statement.with(" AND reservation_time > ", from - MEAL_MAX);
    statement.with(" AND reservation_time < ", to);
    statement.with(" AND end_time > ", from);
    if let Some(id) = except {
        statement.with(" AND id <> ", id);
    }
    let rows = tx.rows(statement, "reservation").await?;
    rows.iter()
        .map(|row| {
            Ok(Taken {
                from: time(row, "reservation_time")?,
                to: time(row, "end_time")?,
                party_size: row.int("party_size")?.unwrap_or(0),
                table_ids: texts(row, "table_ids")?,
            })
        })
        .collect()
}

/// Tables that are kept now; what is over is removed.
///
/// # Errors
/// See [`ChangeError`].
pub async fn held(
    tx: &mut Tx,
    scope: &HouseScope,
    now: Timestamp,
) -> Result<Vec<Held>, ChangeError> {
    let mut statement = Statement::new("SELECT * FROM restaurant_holds WHERE ");
    scope.limit(&mut statement);
    let rows = tx.rows(statement, "hold").await?;
    let found: Result<Vec<Held>, ReadError> = rows
        .iter()
        .map(|row| {
            Ok(Held {
                id: row.text("id")?.unwrap_or_default(),
                call: row.text("call_id")?,
                caller: row.text("caller_phone")?,
                expires: time(row, "expires_at")?,
                taken: Taken {
                    from: time(row, "starts_at")?,
                    to: time(row, "ends_at")?,
                    party_size: row.int("party_size")?.unwrap_or(0),
                    table_ids: texts(row, "table_ids")?,
                },
            })
        })
        .collect();
    let (kept, over): (Vec<Held>, Vec<Held>) =
        found?.into_iter().partition(|hold| hold.expires > now);
    if !over.is_empty() {
        let mut statement = Statement::new("DELETE FROM restaurant_holds WHERE ");
        scope.limit(&mut statement);
        statement.with(" AND expires_at <= ", now);
        tx.run(statement, "hold").await?;
    }
    Ok(kept)
}

/// Gives an asker's holds back.
///
/// # Errors
/// See [`ChangeError`].
pub async fn release(
    tx: &mut Tx,
    scope: &HouseScope,
    holds: &[Held],
    asker: &Asker,
) -> Result<(), ChangeError> {
    for hold in holds.iter().filter(|hold| hold.is_of(asker)) {
        let mut statement = Statement::new("DELETE FROM restaurant_holds WHERE ");
        scope.limit(&mut statement);
        statement.with(" AND id = ", hold.id.as_str());
        tx.run(statement, "hold").await?;
    }
    Ok(())
}

/// Keeps a table for an asker; its id.
///
/// # Errors
/// See [`ChangeError`].
pub async fn hold(
    tx: &mut Tx,
    scope: &HouseScope,
    asker: &Asker,
    taken: &Taken,
    service: Option<&str>,
    now: Timestamp,
) -> Result<String, ChangeError> {
    let id = store::new_id();
    let mut statement = Statement::new(
        "INSERT INTO restaurant_holds (id, tenant_id, restaurant_id, call_id, caller_phone, party_size, starts_at, ends_at, \
         table_ids, service_id, expires_at, created_at, updated_at) VALUES (",
    );
    statement
        .bind(id.as_str())
        .with(", ", scope.tenant())
        .with(", ", scope.restaurant());
    statement
        .with(", ", asker.call.clone())
        .with(", ", asker.caller.clone());
    statement
        .with(", ", taken.party_size)
        .with(", ", taken.from)
        .with(", ", taken.to);
    statement.with(", ", Value::from(taken.table_ids.clone()).to_string());
    statement
        .with(", ", service.map(str::to_owned))
        .with(", ", now + HOLD);
    statement.with(", ", now).with(", ", now).push(")");
    tx.run(statement, "hold").await?;
    Ok(id)
}

fn cooking_words(statement: &mut Statement, now: Timestamp) {
    statement
        .push(" AND status IN ('pending', 'confirmed', 'preparing') AND cook_start_at IS NOT NULL");
    statement.with(" AND handoff_at > ", now);
}

/// The load in one row: each row of the driver costs more than what is in it.
fn cooking(row: Option<&Row>) -> Result<Vec<Cooking>, ReadError> {
    let text = row.map(|row| row.text("load")).transpose()?.flatten();
    let text = text.unwrap_or_default();
    let orders = text.split(';').filter_map(|order| {
        let mut parts = order.split(',');
        let mut at = || Timestamp::from_microsecond(parts.next()?.parse().ok()?).ok();
        let (from, to) = (at()?, at()?);
        let size = Size::read(parts.next().unwrap_or_default());
        Some(Cooking { from, to, size })
    });
    Ok(orders.collect())
}

/// The words that ask for it.
fn cooking_of(dialect: store::Dialect, scope: &HouseScope, now: Timestamp) -> Statement {
    let order =
        "cook_start_at || ',' || COALESCE(handoff_at, 0) || ',' || COALESCE(order_size, '')";
    let joined = match dialect {
        store::Dialect::Sqlite => format!("group_concat({order}, ';')"),
        store::Dialect::Postgres => format!("string_agg({order}, ';')"),
    };
    let mut statement = Statement::new("SELECT ");
    statement
        .push(&joined)
        .push(" AS load FROM restaurant_orders WHERE ");
    scope.limit(&mut statement);
    cooking_words(&mut statement, now);
    statement
}

/// What the kitchen has to cook.
///
/// # Errors
/// See [`ReadError`].
pub async fn load(db: &Db, scope: &HouseScope, now: Timestamp) -> Result<Vec<Cooking>, ReadError> {
    let asked = cooking_of(db.dialect(), scope, now);
    cooking(db.row(asked).await?.as_ref())
}

/// As [`load`], inside of a write.
///
/// # Errors
/// See [`ChangeError`].
pub async fn load_in(
    tx: &mut Tx,
    scope: &HouseScope,
    now: Timestamp,
) -> Result<Vec<Cooking>, ChangeError> {
    let asked = cooking_of(tx.dialect(), scope, now);
    Ok(cooking(tx.row(asked, "order").await?.as_ref())?)
}
