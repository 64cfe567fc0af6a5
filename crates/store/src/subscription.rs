//! Subscriptions of final customers to plans.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::Store;
use crate::entry::{Content, Entry, Value, time, time_if};
use crate::error::ReadError;
use crate::page::{List, PageRequest};
use crate::scope::TenantScope;

/// A final customer's plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Whose.
    pub final_customer_id: String,
    /// Which plan.
    pub plan_id: String,
    /// `active` or `cancelled`.
    pub state: String,
    /// From when.
    pub starts_at: jiff::Timestamp,
    /// Until when.
    pub ends_at: Option<jiff::Timestamp>,
}

/// Which subscriptions to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionFilter {
    /// Of this customer.
    pub final_customer_id: Option<String>,
    /// To this plan.
    pub plan_id: Option<String>,
    /// Of this state.
    pub state: Option<String>,
}

impl Content for Subscription {
    const TABLE: &'static str = "subscriptions";
    const WHAT: &'static str = "subscription";
    const UNIQUE: &'static str = "id";
    const COLUMNS: &'static [&'static str] = &[
        "final_customer_id",
        "plan_id",
        "state",
        "starts_at",
        "ends_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.final_customer_id).into(),
            (&self.plan_id).into(),
            (&self.state).into(),
            self.starts_at.into(),
            self.ends_at.into(),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            final_customer_id: row.try_get("final_customer_id")?,
            plan_id: row.try_get("plan_id")?,
            state: row.try_get("state")?,
            starts_at: time(row, "starts_at")?,
            ends_at: time_if(row, "ends_at")?,
        })
    }
}

impl Store {
    /// Makes a subscription.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_subscription(
        &self,
        scope: &TenantScope,
        id: &str,
        subscription: &Subscription,
    ) -> Result<Entry<Subscription>, ChangeError> {
        self.create(scope.into(), id, subscription).await
    }

    /// One subscription; `None` when there is none of that id here.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn subscription(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Option<Entry<Subscription>>, ReadError> {
        self.entry(scope.into(), id).await
    }

    /// The subscriptions, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn subscriptions(
        &self,
        scope: &TenantScope,
        filter: &SubscriptionFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<Subscription>>, ReadError> {
        self.entries(scope.into(), page, |sql| {
            if let Some(text) = &filter.final_customer_id {
                sql.with(" AND final_customer_id = ", text.clone());
            }
            if let Some(text) = &filter.plan_id {
                sql.with(" AND plan_id = ", text.clone());
            }
            if let Some(text) = &filter.state {
                sql.with(" AND state = ", text.clone());
            }
        })
        .await
    }

    /// Changes a subscription.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_subscription(
        &self,
        scope: &TenantScope,
        id: &str,
        subscription: &Subscription,
        expected: Option<i64>,
    ) -> Result<Entry<Subscription>, ChangeError> {
        self.change(scope.into(), id, subscription, expected).await
    }
}
