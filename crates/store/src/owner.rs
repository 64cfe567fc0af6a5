//! Whose an entry is, by its id alone: the operator of the node names entries without their tenant.

use call::TenantId;
use sqlx::Row;

use crate::db::Store;
use crate::error::ReadError;
use crate::scope::TenantScope;
use crate::sql::Sql;

/// Kinds of entries that belong to one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// A final customer.
    FinalCustomer,
    /// An agent.
    Agent,
    /// A phone line.
    PhoneLine,
    /// A FAQ entry.
    Faq,
    /// A blocked number.
    BlockedNumber,
    /// A plan.
    Plan,
    /// A call.
    Call,
    /// An entry of the outbox.
    Outbox,
    /// A key of the API; the node's own have no tenant.
    ApiKey,
    /// A user; the node's own have no tenant.
    User,
    /// A chat.
    Chat,
    /// A secret of a tenant.
    Secret,
    /// A SIP account.
    SipAccount,
    /// A workflow.
    Workflow,
    /// A device.
    Device,
}

impl Owned {
    fn table(self) -> &'static str {
        match self {
            Self::FinalCustomer => "final_customers",
            Self::Agent => "agents",
            Self::PhoneLine => "phone_lines",
            Self::Faq => "faqs",
            Self::BlockedNumber => "blocked_numbers",
            Self::Plan => "plans",
            Self::Call => "calls",
            Self::Outbox => "outbox",
            Self::ApiKey => "api_keys",
            Self::User => "users",
            Self::Chat => "chat_sessions",
            Self::Secret => "tenant_secrets",
            Self::SipAccount => "sip_accounts",
            Self::Workflow => "workflows",
            Self::Device => "devices",
        }
    }
}

impl Store {
    /// The tenant of the entry with this id; `None` where there is none, or where it is the node's own. For the operator of the
    /// node: a tenant's requests carry their scope.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_owner_of(
        &self,
        kind: Owned,
        id: &str,
    ) -> Result<Option<TenantScope>, ReadError> {
        let mut sql = Sql::new("SELECT tenant_id FROM ");
        sql.push(kind.table()).push(" WHERE id = ");
        sql.bind(id.replace('\0', ""));
        let Some(row) = sql.row(self.readers()).await? else {
            return Ok(None);
        };
        let tenant: Option<String> = row.try_get("tenant_id")?;
        Ok(tenant.map(|tenant| TenantScope::new(TenantId::from(tenant.as_str()))))
    }
}
