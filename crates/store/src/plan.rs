//! Plans of a tenant.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::Store;
use crate::entry::{Content, Entry, Value, flag};
use crate::error::ReadError;
use crate::page::{List, PageRequest};
use crate::scope::{Reach, TenantScope};

/// What a tenant offers its final customers.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Its price, in micro-units.
    pub price_micro: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// `once`, `month` or `year`.
    pub period: String,
    /// What is included, as JSON text.
    pub settings: String,
    /// Whether it may be subscribed to.
    pub is_active: bool,
}

/// Which plans to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanFilter {
    /// Active or not.
    pub is_active: Option<bool>,
}

impl Content for Plan {
    const TABLE: &'static str = "plans";
    const WHAT: &'static str = "plan";
    const UNIQUE: &'static str = "id";
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "price_micro",
        "currency",
        "period",
        "settings",
        "is_active",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.name).into(),
            self.price_micro.into(),
            (&self.currency).into(),
            (&self.period).into(),
            (&self.settings).into(),
            self.is_active.into(),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            price_micro: row.try_get("price_micro")?,
            currency: row.try_get("currency")?,
            period: row.try_get("period")?,
            settings: row.try_get("settings")?,
            is_active: flag(row, "is_active")?,
        })
    }
}

impl Store {
    /// Makes a plan.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_plan(
        &self,
        scope: &TenantScope,
        id: &str,
        plan: &Plan,
    ) -> Result<Entry<Plan>, ChangeError> {
        self.create(scope.into(), id, plan).await
    }

    /// One plan; `None` when there is none of that id here.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn plan(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Option<Entry<Plan>>, ReadError> {
        self.entry(scope.into(), id).await
    }

    /// The plans, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn plans(
        &self,
        reach: impl Into<Reach>,
        filter: &PlanFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<Plan>>, ReadError> {
        self.entries_within(&reach.into(), page, |sql| {
            if let Some(flag) = filter.is_active {
                sql.with(" AND is_active = ", i64::from(flag));
            }
        })
        .await
    }

    /// Changes a plan.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_plan(
        &self,
        scope: &TenantScope,
        id: &str,
        plan: &Plan,
        expected: Option<i64>,
    ) -> Result<Entry<Plan>, ChangeError> {
        self.change(scope.into(), id, plan, expected).await
    }

    /// Removes a plan.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_plan(
        &self,
        scope: &TenantScope,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        self.erase::<Plan>(scope.into(), id, expected).await
    }
}
