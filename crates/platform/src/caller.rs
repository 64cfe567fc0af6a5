//! Who calls: the credential of a request, resolved once, and the scope that follows from it.

use crate::need::{Role, Scopes};
use crate::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use call::TenantId;
use store::TenantScope;

/// What kind of credential was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The admin token of the process.
    Owner,
    /// A key, by its id.
    Key(String),
    /// A user with a session.
    User(String),
    /// An agent's own token.
    Agent(String),
    /// The public token of an agent's chat widget.
    Widget(String),
    /// Nobody showed a credential, and the process was told to accept that.
    Unauthenticated,
}

impl Actor {
    /// The spelling in the audit log: kind and id.
    pub fn label(&self) -> String {
        match self {
            Self::Owner => "owner".to_owned(),
            Self::Key(id) => format!("key:{id}"),
            Self::User(id) => format!("user:{id}"),
            Self::Agent(id) => format!("agent:{id}"),
            Self::Widget(id) => format!("widget:{id}"),
            Self::Unauthenticated => "unauthenticated".to_owned(),
        }
    }
}

/// The caller of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The credential.
    pub actor: Actor,
    /// The account that it belongs to; `None`: the operator of the node, who sees all accounts.
    pub tenant: Option<TenantId>,
    /// What it may do at most.
    pub role: Role,
    /// What it may touch.
    pub scopes: Scopes,
    /// The one agent that it may touch.
    pub agent: Option<String>,
}

impl Caller {
    /// The operator of the node, by the process's own token.
    pub fn owner() -> Self {
        Self {
            actor: Actor::Owner,
            tenant: None,
            role: Role::Owner,
            scopes: Scopes::All,
            agent: None,
        }
    }

    /// The scope of this caller, who must belong to an account or name one.
    ///
    /// # Errors
    /// 404 for another account; 422 when the operator of the node names none.
    pub fn scope(&self, account: Option<&str>) -> Result<TenantScope, Problem> {
        match (&self.tenant, account) {
            (Some(own), None) => Ok(TenantScope::new(own.clone())),
            (Some(own), Some(asked)) if own.as_str() == asked => Ok(TenantScope::new(own.clone())),
            (Some(_), Some(_)) => Err(Problem::unknown()),
            (None, Some(asked)) => Ok(TenantScope::new(TenantId::from(asked))),
            (None, None) => Err(Problem::field("accountId", "required", "accountId")),
        }
    }

    /// Whether the caller may touch this agent, besides its account.
    pub fn may_touch_agent(&self, agent: &str) -> bool {
        self.agent.as_deref().is_none_or(|own| own == agent)
    }

    /// True for the operator of the node.
    pub fn is_node(&self) -> bool {
        self.tenant.is_none()
    }

    /// The name by which this caller is counted and by which its idempotency keys are kept apart.
    pub fn bucket(&self) -> String {
        self.actor.label()
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // The guard put it there; a route without a guard does not exist.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(Problem::unauthorized)
    }
}
