//! Money: balances, the transactions that change them, and what models cost.
//!
//! A balance changes only together with a transaction, which is never changed or removed afterwards. A reference (a call, a
//! payment) is booked once on an account, however often it is asked.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::entry::{new_id, time};
use crate::error::ReadError;
use crate::limits;
use crate::page::{List, PageRequest};
use crate::scope::TenantScope;
use crate::sql::Sql;

/// A change of a balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// On the balance of this final customer; `None`: on the tenant's own.
    pub final_customer_id: Option<String>,
    /// Why: `call`, `chat`, `top_up`, `subscription`, `adjustment`.
    pub kind: String,
    /// What it is for; of one account, kind and reference there is one transaction.
    pub reference: Option<String>,
    /// How much, in micro-units; what is spent is negative.
    pub amount_micro: i64,
    /// ISO 4217 code of the amount.
    pub currency: String,
    /// A note for people.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// A booking as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub id: String,
    /// What was booked.
    pub booking: Booking,
    /// The balance afterwards; `None` where none is kept.
    pub balance_micro: Option<i64>,
}

/// What models cost, from a day on. Of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceTable {
    /// Beginning of the names of the models; the longest that fits counts.
    pub model_prefix: String,
    /// From when on.
    pub valid_from: Timestamp,
    /// ISO 4217 code of its prices.
    pub currency: String,
    /// The prices, as JSON text.
    pub prices: String,
}

fn read(row: &AnyRow) -> sqlx::Result<Transaction> {
    Ok(Transaction {
        id: row.try_get("id")?,
        booking: Booking {
            final_customer_id: row.try_get("final_customer_id")?,
            kind: row.try_get("kind")?,
            reference: row.try_get("reference")?,
            amount_micro: row.try_get("amount_micro")?,
            currency: row.try_get("currency")?,
            note: row.try_get("note")?,
            at: time(row, "at")?,
        },
        balance_micro: row.try_get("balance_micro")?,
    })
}

/// Books within a write; `None` when the reference is booked already. A balance that is not kept stays so, except that money
/// that comes in (`top_up`) begins one.
pub(crate) async fn book(
    write: &mut Write,
    scope: &TenantScope,
    booking: &Booking,
) -> Result<Option<Transaction>, ChangeError> {
    let (table, what, account) = match &booking.final_customer_id {
        None => ("tenants", "tenant", scope.id()),
        Some(customer) => ("final_customers", "final_customer", customer.as_str()),
    };
    // The account's row is the lock of its transactions.
    let mut sql = Sql::new("SELECT balance_micro FROM ");
    sql.push(table).with(" WHERE id = ", account.to_owned());
    if booking.final_customer_id.is_some() {
        sql.with(" AND tenant_id = ", scope.id().to_owned());
    }
    sql.push(write.lock());
    let row = sql.row_in(write).await?;
    let row = row.ok_or(ChangeError::NotFound { what })?;
    let before: Option<i64> = row.try_get("balance_micro")?;
    let begins = booking.kind == "top_up";
    let after = before
        .or(begins.then_some(0))
        .map(|balance| balance.saturating_add(booking.amount_micro));
    let transaction = Transaction {
        id: new_id(),
        booking: booking.clone(),
        balance_micro: after,
    };
    if !insert(write, scope, account, &transaction).await? {
        return Ok(None);
    }
    let mut sql = Sql::new("UPDATE ");
    sql.push(table).with(" SET balance_micro = ", after);
    sql.with(" WHERE id = ", account.to_owned());
    sql.run(write).await?;
    Ok(Some(transaction))
}

async fn insert(
    write: &mut Write,
    scope: &TenantScope,
    account: &str,
    transaction: &Transaction,
) -> Result<bool, ChangeError> {
    let booking = &transaction.booking;
    let clean = |text: &str| crate::call_record::bounded(text, limits::FIELD_BYTES_MAX);
    let mut sql = Sql::new(
        "INSERT INTO transactions (id, tenant_id, final_customer_id, account, kind, reference, amount_micro, currency, \
         balance_micro, note, at) VALUES (",
    );
    sql.bind(transaction.id.clone());
    sql.with(", ", scope.id().to_owned());
    sql.with(", ", booking.final_customer_id.clone());
    sql.with(", ", account.to_owned());
    sql.with(", ", clean(&booking.kind));
    sql.with(", ", booking.reference.as_deref().map(clean));
    sql.with(", ", booking.amount_micro);
    sql.with(", ", clean(&booking.currency));
    sql.with(", ", transaction.balance_micro);
    sql.with(", ", clean(&booking.note));
    sql.with(", ", booking.at.as_microsecond());
    sql.push(") ON CONFLICT (account, kind, reference) DO NOTHING");
    Ok(sql.run(write).await? == 1)
}

impl Store {
    /// Changes a balance; `None` when that reference was booked already, which changes nothing.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn book(
        &self,
        scope: &TenantScope,
        booking: &Booking,
    ) -> Result<Option<Transaction>, ChangeError> {
        let mut write = self.write().await?;
        let result = book(&mut write, scope, booking).await;
        write.settle(result).await
    }

    /// The transactions of the tenant's own account, or of a final customer's, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn transactions(
        &self,
        scope: &TenantScope,
        final_customer: Option<&str>,
        page: &PageRequest,
    ) -> Result<List<Transaction>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM transactions WHERE tenant_id = ");
        sql.bind(scope.id().to_owned());
        sql.with(
            " AND account = ",
            final_customer.unwrap_or(scope.id()).to_owned(),
        );
        self.page(sql, "at", page, read).await
    }

    /// What the tenant spent on calls and chats since then, in micro-units: what was booked, calls that go on not included.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn spend_since(
        &self,
        scope: &TenantScope,
        since: Timestamp,
    ) -> Result<i64, ReadError> {
        let mut sql = Sql::new(
            "SELECT CAST(COALESCE(SUM(amount_micro), 0) AS BIGINT) AS spent FROM transactions WHERE kind IN ('call', 'chat')",
        );
        sql.with(" AND tenant_id = ", scope.id().to_owned());
        sql.with(" AND account = ", scope.id().to_owned());
        sql.with(" AND at >= ", since.as_microsecond());
        match sql.row(self.readers()).await? {
            Some(row) => Ok(row.try_get::<i64, _>("spent")?.saturating_neg()),
            None => Ok(0),
        }
    }

    /// Writes prices; those of the same prefix and day are replaced. For the operator of the node.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn node_set_prices(&self, prices: &PriceTable) -> Result<(), ChangeError> {
        let mut sql = Sql::new(
            "INSERT INTO price_tables (id, model_prefix, valid_from, currency, prices, created_at) VALUES (",
        );
        sql.bind(new_id());
        sql.with(", ", prices.model_prefix.replace('\0', ""));
        sql.with(", ", prices.valid_from.as_microsecond());
        sql.with(", ", prices.currency.replace('\0', ""));
        sql.with(", ", prices.prices.replace('\0', ""));
        sql.with(", ", Timestamp::now().as_microsecond());
        sql.push(
            ") ON CONFLICT (model_prefix, valid_from) DO UPDATE SET currency = excluded.currency, prices = excluded.prices",
        );
        let mut write = self.write().await?;
        let result = sql
            .run(&mut write)
            .await
            .map(drop)
            .map_err(ChangeError::from);
        write.settle(result).await
    }

    /// All prices, by model and day; at most [`limits::PRICES_READ_MAX`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_prices(&self) -> Result<Vec<PriceTable>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM price_tables ORDER BY model_prefix, valid_from");
        sql.with(" LIMIT ", i64::from(limits::PRICES_READ_MAX));
        let rows = sql.rows(self.readers()).await?;
        let read = |row: &AnyRow| {
            Ok(PriceTable {
                model_prefix: row.try_get("model_prefix")?,
                valid_from: time(row, "valid_from")?,
                currency: row.try_get("currency")?,
                prices: row.try_get("prices")?,
            })
        };
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }
}
