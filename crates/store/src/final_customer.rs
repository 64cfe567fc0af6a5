//! Final customers: whom a tenant works for.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::Store;
use crate::entry::{Content, Entry, Value, flag};
use crate::error::ReadError;
use crate::page::{List, PageRequest, contains};
use crate::scope::{Reach, TenantScope};
use crate::sql::Sql;

/// An end client, whom the tenant bills.
#[derive(Clone, Debug, PartialEq)]
pub struct FinalCustomer {
    /// Its name.
    pub name: String,
    /// Its address.
    pub email: Option<String>,
    /// Its number.
    pub phone: Option<String>,
    /// ISO 4217 code of its money.
    pub currency: String,
    /// What the tenant adds to costs, in percent.
    pub cost_margin_pct: f64,
    /// Whether calls of its agents are taken.
    pub is_active: bool,
    /// Anything else, as JSON text.
    pub settings: String,
    /// What is left, in micro-units; `None`: no balance is kept. Read only: bookings change it ([`Store::book`]).
    pub balance_micro: Option<i64>,
}

/// Which final customers to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalCustomerFilter {
    /// With this in the name.
    pub search: Option<String>,
    /// Active or not.
    pub is_active: Option<bool>,
}

impl Content for FinalCustomer {
    const TABLE: &'static str = "final_customers";
    const WHAT: &'static str = "final_customer";
    const UNIQUE: &'static str = "id";
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "email",
        "phone",
        "currency",
        "cost_margin_pct",
        "is_active",
        "settings",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.name).into(),
            (&self.email).into(),
            (&self.phone).into(),
            (&self.currency).into(),
            self.cost_margin_pct.into(),
            self.is_active.into(),
            (&self.settings).into(),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            email: row.try_get("email")?,
            phone: row.try_get("phone")?,
            currency: row.try_get("currency")?,
            cost_margin_pct: row.try_get("cost_margin_pct")?,
            is_active: flag(row, "is_active")?,
            settings: row.try_get("settings")?,
            balance_micro: row.try_get("balance_micro")?,
        })
    }
}

impl Store {
    /// Makes a final customer.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_final_customer(
        &self,
        scope: &TenantScope,
        id: &str,
        final_customer: &FinalCustomer,
    ) -> Result<Entry<FinalCustomer>, ChangeError> {
        self.create(scope.into(), id, final_customer).await
    }

    /// One final customer; `None` when there is none of that id here.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn final_customer(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Option<Entry<FinalCustomer>>, ReadError> {
        self.entry(scope.into(), id).await
    }

    /// The final customers, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn final_customers(
        &self,
        reach: impl Into<Reach>,
        filter: &FinalCustomerFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<FinalCustomer>>, ReadError> {
        self.entries_within(&reach.into(), page, |sql| {
            if let Some(search) = &filter.search {
                contains(sql, "name", search);
            }
            if let Some(flag) = filter.is_active {
                sql.with(" AND is_active = ", i64::from(flag));
            }
        })
        .await
    }

    /// For whom each agent works: the customer's id and name, by the id of the agent. Agents without a customer are not there.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn customers_of_agents(
        &self,
        reach: impl Into<Reach>,
    ) -> Result<HashMap<String, (String, String)>, ReadError> {
        let mut sql = Sql::new(
            "SELECT a.id AS agent_id, c.id AS customer_id, c.name AS customer_name FROM agents a \
             JOIN final_customers c ON c.id = a.final_customer_id WHERE a.deleted_at IS NULL",
        );
        if let Reach::Tenant(scope) = reach.into() {
            sql.with(" AND a.tenant_id = ", scope.id().to_owned());
        }
        let rows = sql.rows(self.readers()).await?;
        let named = rows.iter().map(|row| {
            let customer = (row.try_get("customer_id")?, row.try_get("customer_name")?);
            Ok((row.try_get("agent_id")?, customer))
        });
        Ok(named.collect::<sqlx::Result<_>>()?)
    }

    /// Changes a final customer.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_final_customer(
        &self,
        scope: &TenantScope,
        id: &str,
        final_customer: &FinalCustomer,
        expected: Option<i64>,
    ) -> Result<Entry<FinalCustomer>, ChangeError> {
        self.change(scope.into(), id, final_customer, expected)
            .await
    }

    /// Removes a final customer.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_final_customer(
        &self,
        scope: &TenantScope,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        self.erase::<FinalCustomer>(scope.into(), id, expected)
            .await
    }
}
