//! Who changed what: written in the same transaction as the change, never changed or removed afterwards (the database itself
//! refuses).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::entry::{new_id, owned, time};
use crate::error::ReadError;
use crate::page::{List, PageRequest};
use crate::scope::Realm;
use crate::sql::Sql;

/// Who asks for changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `user`, `api_key`, `agent_token`, `admin_token`, `share_link`, `device` or `system`.
    pub kind: &'static str,
    /// Id of the user or key; empty when there is none.
    pub id: String,
    /// A name for people: an address, the prefix of a key. Never a secret.
    pub name: String,
    /// Where the request came from.
    pub address: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
    /// What the request changes, as JSON text without secrets: it goes into the line of each change.
    pub detail: Option<String>,
}

/// What was done to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It was made.
    Created,
    /// It was changed.
    Changed,
    /// It was removed.
    Removed,
}

impl Action {
    /// The label that is stored.
    pub fn label(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

/// A line of the audit log that is not a change of an entry: a login, a refusal, a call that was hung up by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditNote {
    /// What was done, `snake_case`.
    pub action: String,
    /// The kind of thing it was done to.
    pub entity: String,
    /// Its id.
    pub entity_id: String,
    /// More, as JSON text without secrets.
    pub detail: Option<String>,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLine {
    /// Its id.
    pub id: String,
    /// Of which tenant; `None` for the node.
    pub tenant: Option<String>,
    /// When.
    pub at: Timestamp,
    /// `user`, `api_key`, `agent_token`, `admin_token`, `share_link`, `device` or `system`.
    pub actor_kind: String,
    /// Id of the user or key.
    pub actor_id: String,
    /// A name for people.
    pub actor_name: String,
    /// Where the request came from.
    pub address: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
    /// What was done.
    pub action: String,
    /// To what kind of thing.
    pub entity: String,
    /// Its id.
    pub entity_id: String,
    /// More, as JSON text.
    pub detail: Option<String>,
}

/// Which lines of the audit log; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this action.
    pub action: Option<String>,
    /// To this kind of thing.
    pub entity: Option<String>,
    /// To this one.
    pub entity_id: Option<String>,
    /// By this user or key.
    pub actor_id: Option<String>,
}

impl Store {
    /// A handle whose changes are written to the audit log as this actor's, in the same transaction.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self {
            inner: std::sync::Arc::clone(&self.inner),
            actor: Some(std::sync::Arc::new(actor)),
        }
    }

    /// Adds a line to the audit log, as this handle's actor.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn audit(&self, realm: Realm<'_>, line: &AuditNote) -> Result<(), ChangeError> {
        let mut write = self.write().await?;
        let result = append(&mut write, realm, line).await;
        write.settle(result).await
    }

    /// The audit log of a tenant, or of what concerns the node itself, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn audit_log(
        &self,
        realm: Realm<'_>,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<List<AuditLine>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM audit_log WHERE ");
        owned(&mut sql, realm);
        for (words, value) in [
            (" AND action = ", &filter.action),
            (" AND entity = ", &filter.entity),
            (" AND entity_id = ", &filter.entity_id),
            (" AND actor_id = ", &filter.actor_id),
        ] {
            if let Some(value) = value {
                sql.with(words, value.clone());
            }
        }
        self.page(sql, "at", page, line).await
    }
}

/// Notes a change of an entry, when the write has an actor.
pub(crate) async fn note(
    write: &mut Write,
    realm: Realm<'_>,
    action: Action,
    entity: &str,
    id: &str,
) -> Result<(), ChangeError> {
    let Some(actor) = write.actor() else {
        return Ok(());
    };
    let line = AuditNote {
        action: action.label().to_owned(),
        entity: entity.to_owned(),
        entity_id: id.to_owned(),
        detail: actor.detail.clone(),
    };
    append(write, realm, &line).await
}

async fn append(write: &mut Write, realm: Realm<'_>, line: &AuditNote) -> Result<(), ChangeError> {
    let actor = write.actor();
    let (kind, id, name) = actor.as_ref().map_or(("system", "", ""), |actor| {
        (actor.kind, actor.id.as_str(), actor.name.as_str())
    });
    let clean = |text: &str| text.replace('\0', "");
    let mut sql = Sql::new(
        "INSERT INTO audit_log (id, tenant_id, at, actor_kind, actor_id, actor_name, address, request_id, action, entity, \
         entity_id, detail) VALUES (",
    );
    sql.bind(new_id());
    sql.with(", ", realm.tenant_id());
    sql.with(", ", Timestamp::now().as_microsecond());
    for text in [kind, id, name] {
        sql.with(", ", clean(text));
    }
    let request = |field: fn(&Actor) -> Option<&String>| {
        actor.as_deref().and_then(field).map(|text| clean(text))
    };
    sql.with(", ", request(|actor| actor.address.as_ref()));
    sql.with(", ", request(|actor| actor.request_id.as_ref()));
    for text in [&line.action, &line.entity, &line.entity_id] {
        sql.with(", ", clean(text));
    }
    sql.with(", ", line.detail.as_deref().map(clean)).push(")");
    sql.run(write).await?;
    Ok(())
}

fn line(row: &AnyRow) -> sqlx::Result<AuditLine> {
    Ok(AuditLine {
        id: row.try_get("id")?,
        tenant: row.try_get("tenant_id")?,
        at: time(row, "at")?,
        actor_kind: row.try_get("actor_kind")?,
        actor_id: row.try_get("actor_id")?,
        actor_name: row.try_get("actor_name")?,
        address: row.try_get("address")?,
        request_id: row.try_get("request_id")?,
        action: row.try_get("action")?,
        entity: row.try_get("entity")?,
        entity_id: row.try_get("entity_id")?,
        detail: row.try_get("detail")?,
    })
}
