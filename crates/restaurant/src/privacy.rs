//! What the back office keeps of a person, for the product's export, erasure and expiry.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};
use store::{ChangeError, Db, Keeper, Statement, Store, TenantScope, same_number};

use crate::store::column::Table;
use crate::store::record::show;
use crate::store::{open, settle, tables};

/// A table with a column that holds a caller's number, and the words that take the person out of a row: the row of an order or a
/// reservation stays, for the books.
struct Kept {
    table: &'static Table,
    column: &'static str,
    forget: &'static str,
    /// What its age is told by.
    age: &'static str,
}

const KEPT: &[Kept] = &[
    Kept {
        table: &tables::CUSTOMERS,
        column: "phone",
        forget: "DELETE FROM restaurant_customers",
        age: "updated_at",
    },
    Kept {
        table: &tables::ORDERS,
        column: "customer_phone",
        forget: "UPDATE restaurant_orders SET customer_phone = NULL, customer_name = NULL, customer_id = NULL, delivery_address = NULL, \
                 delivery_lat = NULL, delivery_lng = NULL, notes = NULL",
        age: "updated_at",
    },
    Kept {
        table: &tables::RESERVATIONS,
        column: "customer_phone",
        forget: "UPDATE restaurant_reservations SET customer_phone = 'erased', customer_name = NULL, customer_id = NULL, notes = NULL",
        age: "end_time",
    },
    Kept {
        table: &tables::HOLDS,
        column: "caller_phone",
        forget: "DELETE FROM restaurant_holds",
        age: "updated_at",
    },
    Kept {
        table: &tables::MESSAGES,
        column: "caller_phone",
        forget: "DELETE FROM restaurant_messages",
        age: "updated_at",
    },
    Kept {
        table: &tables::CALLS,
        column: "caller_number",
        forget: "UPDATE restaurant_calls SET caller_number = NULL, customer_id = NULL, transcript = NULL, tool_calls = NULL",
        age: "updated_at",
    },
    Kept {
        table: &tables::FAQS,
        column: "caller_phone",
        forget: "UPDATE restaurant_faqs SET caller_phone = NULL",
        age: "updated_at",
    },
    Kept {
        table: &tables::NOTICES,
        column: "target",
        forget: "UPDATE restaurant_notices SET target = 'erased', subject = NULL, body = '', state = 'erased', last_error = NULL",
        age: "updated_at",
    },
];

/// The back office's part of an export, an erasure, an expiry.
pub fn keeper() -> Keeper {
    Keeper {
        name: "restaurant",
        tell: Arc::new(|store, scope, number| {
            Box::pin(async move {
                told(&store, &scope, &number)
                    .await
                    .map_err(|error| text(&error))
            })
        }),
        erase: Arc::new(|store, scope, number| {
            Box::pin(async move {
                erased(&store, &scope, &number)
                    .await
                    .map_err(|error| text(&error))
            })
        }),
        expire: Arc::new(|store, before| {
            Box::pin(async move { expired(&store, before).await.map_err(|error| text(&error)) })
        }),
    }
}

fn text(error: &ChangeError) -> String {
    error.to_string()
}

/// The tables, made where a process without the back office asks.
async fn opened(store: &Store) -> Result<Db, ChangeError> {
    open(store).await.map_err(|error| {
        tracing::warn!(%error, "the tables of the back office do not open");
        ChangeError::Refused { cause: "unopened" }
    })
}

/// The rows in which the number stands, in any spelling.
async fn rows(
    db: &Db,
    scope: &TenantScope,
    kept: &Kept,
    number: &str,
) -> Result<Vec<(String, Map<String, Value>)>, ChangeError> {
    let mut asked = Statement::new("SELECT * FROM ");
    asked.push(kept.table.name);
    asked.with(" WHERE tenant_id = ", scope.tenant().as_str());
    asked.push(" AND ").push(kept.column).push(" IS NOT NULL");
    let mut found = Vec::new();
    for row in db.rows(asked).await? {
        let phone = row.text(kept.column)?.unwrap_or_default();
        if same_number(&phone, number)
            && let Some(id) = row.text("id")?
        {
            found.push((id, show(kept.table, &row, true)?));
        }
    }
    Ok(found)
}

async fn told(store: &Store, scope: &TenantScope, number: &str) -> Result<Value, ChangeError> {
    let db = opened(store).await?;
    let mut told = Map::new();
    for kept in KEPT {
        let found = rows(&db, scope, kept, number).await?;
        let found = found.into_iter().map(|(_, row)| Value::Object(row));
        let name = kept.table.name.trim_start_matches("restaurant_");
        told.insert(name.to_owned(), found.collect());
    }
    Ok(Value::Object(told))
}

async fn erased(store: &Store, scope: &TenantScope, number: &str) -> Result<u64, ChangeError> {
    let db = opened(store).await?;
    let mut count = 0;
    let mut found = Vec::new();
    for kept in KEPT {
        for (id, _) in rows(&db, scope, kept, number).await? {
            found.push((kept, id));
        }
    }
    let mut tx = db.begin().await?;
    let done = async {
        for (kept, id) in found {
            let mut forget = Statement::new(kept.forget);
            forget.with(" WHERE id = ", id.as_str());
            count += tx.run(forget, kept.table.what).await?;
            // What was told of it names the person too.
            let mut events = Statement::new("UPDATE restaurant_events SET payload = NULL");
            events.with(" WHERE subject_id = ", id.as_str());
            tx.run(events, "event").await?;
            let mut notices = Statement::new("DELETE FROM restaurant_notices");
            notices.with(" WHERE subject_id = ", id);
            tx.run(notices, "notice").await?;
        }
        Ok(())
    };
    let done: Result<(), ChangeError> = done.await;
    settle(tx, done).await?;
    Ok(count)
}

/// Rows that one write takes the person out of: others wait for it.
const EXPIRED_AT_ONCE: i64 = 500;

/// Takes the person out of everything that is older, some rows at a time. What was done when it stops stays done.
async fn expired(store: &Store, before: Timestamp) -> Result<u64, ChangeError> {
    let db = opened(store).await?;
    let mut count = 0;
    for kept in KEPT {
        loop {
            let mut forget = Statement::new(kept.forget);
            forget
                .push(" WHERE id IN (SELECT id FROM ")
                .push(kept.table.name);
            forget.push(" WHERE ").push(kept.age).with(" < ", before);
            forget
                .push(" AND ")
                .push(kept.column)
                .push(" IS NOT NULL AND ");
            forget.push(kept.column).push(" <> 'erased'");
            forget.with(" LIMIT ", EXPIRED_AT_ONCE).push(")");
            let mut tx = db.begin().await?;
            let done = tx.run(forget, kept.table.what).await;
            let done = settle(tx, done).await?;
            count += done;
            if done < EXPIRED_AT_ONCE.unsigned_abs() {
                break;
            }
        }
    }
    Ok(count)
}
