//! Whose data: an argument of every function of the store.

use call::TenantId;

use crate::sql::Sql;

/// The tenant on whose behalf the store is asked. There is no query without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantScope {
    tenant: TenantId,
}

impl TenantScope {
    /// Id of the tenant that exists from the start, for an installation that has only one.
    pub const DEFAULT_TENANT: &'static str = "default";

    /// The scope of one tenant.
    pub fn new(tenant: TenantId) -> Self {
        Self { tenant }
    }

    /// The scope of the tenant that exists from the start.
    pub fn default_tenant() -> Self {
        Self::default()
    }

    /// The tenant.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(crate) fn id(&self) -> &str {
        self.tenant.as_str()
    }
}

impl Default for TenantScope {
    fn default() -> Self {
        Self::new(TenantId::from(Self::DEFAULT_TENANT))
    }
}

/// Where an entry belongs that is either a tenant's or the node's own (users, keys, the audit log).
#[derive(Clone, Copy, Debug)]
pub enum Realm<'a> {
    /// The node itself: its operator's.
    Node,
    /// A tenant.
    Tenant(&'a TenantScope),
}

impl Realm<'_> {
    pub(crate) fn tenant_id(self) -> Option<String> {
        match self {
            Self::Node => None,
            Self::Tenant(scope) => Some(scope.id().to_owned()),
        }
    }
}

impl<'a> From<&'a TenantScope> for Realm<'a> {
    fn from(scope: &'a TenantScope) -> Self {
        Self::Tenant(scope)
    }
}

/// How far a list goes: one tenant, or, for the operator of the node, all of them. Writes and single entries always name their tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The entries of one tenant.
    Tenant(TenantScope),
    /// The entries of every tenant. Never made from what a request says: only from who asks.
    Node,
}

impl Reach {
    /// The one tenant; `None`: all of them.
    pub fn scope(&self) -> Option<&TenantScope> {
        match self {
            Self::Tenant(scope) => Some(scope),
            Self::Node => None,
        }
    }

    /// Whether what this tenant has is within it.
    pub fn covers(&self, tenant: &TenantId) -> bool {
        self.scope().is_none_or(|scope| scope.tenant() == tenant)
    }

    /// Adds the first condition of a statement that ends in `WHERE `.
    pub(crate) fn condition(&self, sql: &mut Sql) {
        match self {
            Self::Tenant(scope) => drop(sql.with("tenant_id = ", scope.id().to_owned())),
            Self::Node => drop(sql.push("tenant_id IS NOT NULL")),
        }
    }
}

impl From<&TenantScope> for Reach {
    fn from(scope: &TenantScope) -> Self {
        Self::Tenant(scope.clone())
    }
}

impl From<&Self> for Reach {
    fn from(reach: &Self) -> Self {
        reach.clone()
    }
}
