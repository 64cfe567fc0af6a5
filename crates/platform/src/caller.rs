//! Who calls: the credential of a request, resolved once, and the scope that follows from it.

use crate::api::Api;
use crate::need::{Role, Scopes};
use crate::problem::Problem;
use crate::session::CsrfToken;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use call::TenantId;
use serde_json::{Map, Value, json};
use store::{Store, TenantScope, VersionNote};

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
    /// A name for people: an address, the prefix of a key. Never a secret.
    pub name: String,
    /// Id of the request.
    pub request_id: Option<String>,
    /// Address of the client.
    pub address: Option<String>,
    /// Id of the session that it came by.
    pub session: Option<String>,
    /// What pages send beside the cookie, where it came by one.
    pub csrf: Option<CsrfToken>,
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
            name: String::new(),
            request_id: None,
            address: None,
            session: None,
            csrf: None,
        }
    }

    /// The store as this caller writes it: each change leaves its line in the audit log, in the same transaction. `before` and
    /// `after` carry no secret.
    pub(crate) fn store(&self, api: &Api, before: Option<&Value>, after: Option<&Value>) -> Store {
        let (kind, id) = match &self.actor {
            Actor::Owner => ("admin_token", ""),
            Actor::Unauthenticated => ("unauthenticated", ""),
            Actor::Key(id) => ("api_key", id.as_str()),
            Actor::User(id) => ("user", id.as_str()),
            Actor::Agent(id) => ("agent_token", id.as_str()),
            Actor::Widget(id) => ("public_token", id.as_str()),
        };
        api.store.acting_as(store::Actor {
            kind,
            id: id.to_owned(),
            name: self.name.clone(),
            address: self.address.clone(),
            request_id: self.request_id.clone(),
            detail: detail(before, after),
        })
    }

    /// Who made a version of an agent.
    pub(crate) fn author(&self, note: &str) -> VersionNote {
        VersionNote {
            author: if self.name.is_empty() {
                self.actor.label()
            } else {
                self.name.clone()
            },
            note: note.to_owned(),
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

/// Largest detail of a line of the audit log, in bytes; of a larger one only the names of what changed are kept.
const DETAIL_BYTES_MAX: usize = 16 * 1024;

/// The members that differ, as they were and as they are.
fn detail(before: Option<&Value>, after: Option<&Value>) -> Option<String> {
    let members = |value: Option<&Value>| match value {
        Some(Value::Object(members)) => members.clone(),
        _ => Map::new(),
    };
    let (was, is) = (members(before), members(after));
    let differs = |one: &Map<String, Value>, other: &Map<String, Value>| -> Map<String, Value> {
        one.iter()
            .filter(|(name, value)| other.get(*name) != Some(*value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let (was, is) = (differs(&was, &is), differs(&is, &was));
    if was.is_empty() && is.is_empty() {
        return None;
    }
    let text = json!({ "before": was, "after": is }).to_string();
    if text.len() <= DETAIL_BYTES_MAX {
        return Some(text);
    }
    let names: Vec<&String> = is.keys().chain(was.keys()).collect();
    Some(json!({ "changed": names }).to_string())
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
