//! Tenants: the platform's accounts.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::Store;
use crate::entry::{Content, Entry, Value, entry, flag};
use crate::error::ReadError;
use crate::page::{List, PageRequest, contains};
use crate::scope::{Realm, TenantScope};
use crate::sealed::Sealed;
use crate::sql::Sql;

/// A tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Address of the person who answers for it; may be empty.
    pub email: String,
    /// Whether its calls are taken and its keys let in.
    pub is_active: bool,
    /// ISO 4217 code of its money.
    pub currency: String,
    /// Anything else, as JSON text.
    pub settings: String,
    /// What is left, in micro-units; `None`: no balance is kept, so it never runs out. Read only: bookings change it
    /// ([`Store::book`]).
    pub balance_micro: Option<i64>,
    /// Most that its calls may cost in a day, in micro-units.
    pub budget_daily_micro: Option<i64>,
    /// Most calls at the same time.
    pub calls_max: Option<i64>,
    /// What its webhooks are signed with.
    pub webhook_secret: Option<Sealed>,
}

/// Which tenants to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// Of exactly this name.
    pub name: Option<String>,
    /// With this in the name.
    pub search: Option<String>,
    /// Active or not.
    pub is_active: Option<bool>,
}

impl Content for Tenant {
    const TABLE: &'static str = "tenants";
    const WHAT: &'static str = "tenant";
    const UNIQUE: &'static str = "id";
    const OWNER: &'static str = "id";
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "email",
        "is_active",
        "currency",
        "settings",
        "budget_daily_micro",
        "calls_max",
        "webhook_secret_enc",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.name).into(),
            (&self.email).into(),
            self.is_active.into(),
            (&self.currency).into(),
            (&self.settings).into(),
            self.budget_daily_micro.into(),
            self.calls_max.into(),
            Sealed::value(self.webhook_secret.as_ref()),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            email: row.try_get("email")?,
            is_active: flag(row, "is_active")?,
            currency: row.try_get("currency")?,
            settings: row.try_get("settings")?,
            balance_micro: row.try_get("balance_micro")?,
            budget_daily_micro: row.try_get("budget_daily_micro")?,
            calls_max: row.try_get("calls_max")?,
            webhook_secret: Sealed::read(row, "webhook_secret_enc")?,
        })
    }
}

impl Store {
    /// Makes a tenant of the id in the scope. For the operator of the node; a first balance is booked with [`Store::book`].
    ///
    /// # Errors
    /// [`ChangeError::Duplicate`] when the id is taken, or what the database says.
    pub async fn node_create_tenant(
        &self,
        scope: &TenantScope,
        tenant: &Tenant,
    ) -> Result<Entry<Tenant>, ChangeError> {
        self.create(scope.into(), scope.id(), tenant).await
    }

    /// All tenants, newest first. For the operator of the node.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_tenants(
        &self,
        filter: &TenantFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<Tenant>>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM tenants WHERE 1 = 1");
        if let Some(name) = &filter.name {
            sql.with(" AND name = ", name.clone());
        }
        if let Some(search) = &filter.search {
            contains(&mut sql, "name", search);
        }
        if let Some(active) = filter.is_active {
            sql.with(" AND is_active = ", i64::from(active));
        }
        self.page(sql, "created_at", page, entry).await
    }

    /// The tenant itself.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn tenant(&self, scope: &TenantScope) -> Result<Option<Entry<Tenant>>, ReadError> {
        self.entry(Realm::Tenant(scope), scope.id()).await
    }

    /// Changes the tenant, all but its balance.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_tenant(
        &self,
        scope: &TenantScope,
        tenant: &Tenant,
        expected: Option<i64>,
    ) -> Result<Entry<Tenant>, ChangeError> {
        self.change(scope.into(), scope.id(), tenant, expected)
            .await
    }
}
