//! Secrets inside of JSON: keys in a tool's headers, keys of engines and passwords in an agent's settings.
//!
//! In the place of each stands a reference (`sealed:` and 32 hexadecimal digits); the value is encrypted in a row of its own
//! (`agent_secrets`, salt: the id of the agent). A reference never changes what it means, so an agent's versions, their
//! differences, a roll-back and a copy work on the references, and an exchange of keys touches no version. The same text sealed
//! again for the same agent has the same reference: a client that sends its tools again changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;
use sqlx::Row as _;

use super::cipher::DerivedKey;
use super::error::{OpenValueError, VaultError};
use super::vault::Vault;
use super::{MEMBERS_MAX, VALUE_BYTES_MAX};
use crate::db::{Store, Write};
use crate::error::WriteError;
use crate::scope::TenantScope;
use crate::sql::Sql;

/// What is shown in the place of a secret; sent back, it means the one that is stored.
pub const HIDDEN: &str = "***";

const PREFIX: &str = "sealed:";
const ID_DIGITS: usize = 32;

/// Parts of member names that hold secrets, in lower case without separators.
const SECRET_NAMES: &[&str] = &[
    "password",
    "secret",
    "apikey",
    "authtoken",
    "accesstoken",
    "apitoken",
    "authorization",
    "privatekey",
    "bearer",
    "cookie",
];

/// The same for the names of headers, where more is a secret.
const SECRET_HEADERS: &[&str] = &["auth", "token", "key", "session", "signature", "credential"];

/// Words that a header may say before its secret: schemes of authorization.
const SCHEMES: &[&str] = &["bearer", "basic", "token", "apikey", "key", "digest"];

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In an object of headers.
    Headers,
    /// Anywhere else.
    Elsewhere,
}

impl Place {
    /// The place of what a member of this name holds.
    pub fn of(name: &str) -> Self {
        if name == "headers" || name.ends_with("Headers") {
            Self::Headers
        } else {
            Self::Elsewhere
        }
    }

    /// Whether a member of this name holds a secret here.
    pub fn is_secret(self, name: &str) -> bool {
        let plain: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|character| character.to_ascii_lowercase())
            .collect();
        let any = |parts: &[&str]| parts.iter().any(|part| plain.contains(part));
        any(SECRET_NAMES) || (self == Self::Headers && any(SECRET_HEADERS))
    }
}

/// Whether a text holds a value: all of it, or words between the names of a template. Templates that only name secrets hold none
/// (`={{config.key}}`, `=Bearer {{config.key}}`). A text that begins as a template and names nothing is a value.
pub fn is_value(text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let Some(template) = text.strip_prefix('=').filter(|text| text.contains("{{")) else {
        return true;
    };
    let mut words = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        words.push_str(before);
        words.push(' ');
        // A name that is not closed is a fault of the template; nothing of it is shown.
        let Some((name, behind)) = after.split_once("}}") else {
            return true;
        };
        // What stands for a name that has no value may be the secret itself.
        if name.contains("default(") && name.contains(['"', '\'']) {
            return true;
        }
        rest = behind;
    }
    words.push_str(rest);
    words
        .split(|character: char| !character.is_alphanumeric())
        .any(|word| !word.is_empty() && !SCHEMES.contains(&word.to_ascii_lowercase().as_str()))
}

/// Whether a text has the form of a reference to a sealed value.
pub fn is_reference(text: &str) -> bool {
    reference(text).is_some()
}

fn reference(text: &str) -> Option<&str> {
    let id = text.strip_prefix(PREFIX)?;
    let digits = id
        .bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (id.len() == ID_DIGITS && digits).then_some(id)
}

/// Every secret of a value, to be read or replaced.
pub fn secrets_mut(value: &mut Value) -> Vec<&mut String> {
    let mut found = Vec::new();
    walk(value, Place::Elsewhere, &mut found);
    found
}

fn walk<'a>(value: &'a mut Value, place: Place, found: &mut Vec<&'a mut String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let Value::String(text) = member else {
                    walk(member, Place::of(name), found);
                    continue;
                };
                if is_value(text) && place.is_secret(name) {
                    found.push(text);
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| walk(item, Place::Elsewhere, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A value that a reference stands for.
struct Member {
    id: String,
    sealed: String,
}

impl DerivedKey {
    /// The same for the same text of the same agent; nobody without the key can guess it or check a guess.
    fn name_of(&self, text: &str) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.bytes()).ok()?;
        mac.update(b"agent_secrets\0");
        mac.update(text.as_bytes());
        let mut name = crate::credential::hex(&mac.finalize().into_bytes());
        name.truncate(ID_DIGITS);
        Some(name)
    }
}

impl Vault {
    /// Seals every secret of what is stored of an agent, each value on its own. Values that are references of this tenant
    /// already, or [`HIDDEN`], stay as they are.
    ///
    /// # Errors
    /// See [`VaultError`]; [`OpenValueError::TooLong`] for a value of more than [`VALUE_BYTES_MAX`] and for more than
    /// [`MEMBERS_MAX`] of them.
    pub async fn seal_members(
        &self,
        store: &Store,
        scope: &TenantScope,
        agent: &str,
        mut values: Vec<&mut Value>,
    ) -> Result<(), VaultError> {
        let mut secrets: Vec<&mut String> = values
            .iter_mut()
            .flat_map(|value| secrets_mut(value))
            .filter(|text| text.as_str() != HIDDEN)
            .collect();
        if secrets.len() > MEMBERS_MAX {
            return Err(OpenValueError::TooLong.into());
        }
        let references = secrets.iter().filter_map(|text| reference(text));
        let known = sealed_rows(store, scope.id(), references.collect()).await?;
        secrets.retain(|text| reference(text).is_none_or(|id| !known.contains_key(id)));
        if secrets.is_empty() {
            return Ok(());
        }
        let mut write = store.write().await?;
        let sealed = self
            .replace(&mut write, scope.id(), agent, secrets, true)
            .await;
        sealed?;
        Ok(write.commit().await?)
    }

    /// Puts the values in the place of their references.
    ///
    /// # Errors
    /// See [`VaultError`]; [`VaultError::Unreadable`] for a reference without a value, or with one that does not open.
    pub async fn open_members(
        &self,
        store: &Store,
        scope: &TenantScope,
        mut values: Vec<&mut Value>,
    ) -> Result<(), VaultError> {
        let secrets: Vec<&mut String> = values
            .iter_mut()
            .flat_map(|value| secrets_mut(value))
            .filter(|text| is_reference(text))
            .collect();
        let wanted = secrets.iter().filter_map(|text| reference(text)).collect();
        let rows = sealed_rows(store, scope.id(), wanted).await?;
        for text in secrets {
            let id = reference(text).unwrap_or_default().to_owned();
            let opened = match rows.get(&id) {
                Some((agent, sealed)) => self.open(agent, sealed).await.ok(),
                None => None,
            };
            let Some(opened) = opened else {
                return Err(VaultError::Unreadable {
                    table: "agent_secrets",
                    id,
                });
            };
            opened.expose().clone_into(text);
        }
        Ok(())
    }

    /// Writes the rows and puts the references in the texts. Without `strict`, what cannot be sealed stays as it is.
    async fn replace(
        &self,
        write: &mut Write,
        tenant: &str,
        agent: &str,
        secrets: Vec<&mut String>,
        strict: bool,
    ) -> Result<u64, VaultError> {
        let key = self.derived(agent).await?;
        let mut count = 0;
        for text in secrets {
            let member = member(&key, text);
            let member = match member {
                Err(_) if !strict => continue,
                member => member?,
            };
            let mut sql = Sql::new(
                "INSERT INTO agent_secrets (id, tenant_id, agent_id, value_enc, created_at) VALUES (",
            );
            sql.bind(member.id.clone());
            sql.with(", ", tenant.to_owned());
            sql.with(", ", agent.to_owned());
            sql.with(", ", member.sealed);
            sql.with(", ", Timestamp::now().as_microsecond());
            sql.push(") ON CONFLICT (id) DO NOTHING");
            sql.run(write).await.map_err(WriteError::from)?;
            *text = format!("{PREFIX}{}", member.id);
            count += 1;
        }
        Ok(count)
    }

    /// Seals what stands in clear in agents, tools and versions of before.
    pub(super) async fn migrate_members(&self, store: &Store) -> Result<u64, VaultError> {
        let mut migrated = 0;
        for source in SOURCES {
            let mut after = (String::new(), 0);
            loop {
                let rows = source.rows_after(store, &after).await?;
                let Some(last) = rows.last() else { break };
                after = (last.id.clone(), last.version);
                let mut write = store.write().await?;
                for row in rows {
                    migrated += self.migrate_row(&mut write, source, row).await?;
                }
                write.commit().await?;
            }
        }
        Ok(migrated)
    }

    async fn migrate_row(
        &self,
        write: &mut Write,
        source: &Source,
        row: Clear,
    ) -> Result<u64, VaultError> {
        let (mut count, mut texts) = (0, Vec::new());
        for text in &row.texts {
            let Ok(mut value) = serde_json::from_str::<Value>(text) else {
                texts.push(text.clone());
                continue;
            };
            let mut inner = nested(&mut value);
            let mut secrets = secrets_mut(&mut value);
            for value in &mut inner {
                secrets.extend(secrets_mut(&mut value.config));
            }
            secrets.retain(|text| text.as_str() != HIDDEN && !is_reference(text));
            let found = secrets.len();
            if found > 0 {
                count += self
                    .replace(write, &row.tenant, &row.agent, secrets, false)
                    .await?;
                for tool in inner {
                    tool.put_back(&mut value);
                }
                texts.push(value.to_string());
            } else {
                texts.push(text.clone());
            }
        }
        if count > 0 || source.mark {
            source.exchange(write, &row, &texts).await?;
        }
        Ok(count)
    }
}

fn member(key: &DerivedKey, text: &str) -> Result<Member, OpenValueError> {
    if text.len() > VALUE_BYTES_MAX {
        return Err(OpenValueError::TooLong);
    }
    Ok(Member {
        id: key.name_of(text).ok_or(OpenValueError::Failed)?,
        sealed: key.seal(text).ok_or(OpenValueError::Failed)?,
    })
}

/// Sealed values of a tenant: id -> (agent, value).
async fn sealed_rows(
    store: &Store,
    tenant: &str,
    ids: BTreeSet<&str>,
) -> Result<BTreeMap<String, (String, String)>, VaultError> {
    let mut rows = BTreeMap::new();
    let ids: Vec<&str> = ids.into_iter().collect();
    for ids in ids.chunks(MEMBERS_MAX) {
        let mut sql =
            Sql::new("SELECT id, agent_id, value_enc FROM agent_secrets WHERE tenant_id = ");
        sql.bind(tenant.to_owned()).push(" AND id IN (");
        for (place, id) in ids.iter().enumerate() {
            if place > 0 {
                sql.push(", ");
            }
            sql.bind((*id).to_owned());
        }
        sql.push(")");
        for row in sql.rows(store.readers()).await? {
            rows.insert(
                row.try_get("id")?,
                (row.try_get("agent_id")?, row.try_get("value_enc")?),
            );
        }
    }
    Ok(rows)
}

/// The configuration of a tool inside of a version's list, where it is a JSON text.
struct Nested {
    place: usize,
    config: Value,
}

impl Nested {
    fn put_back(self, value: &mut Value) {
        if let Some(tool) = value.get_mut(self.place).and_then(Value::as_object_mut) {
            tool.insert("config".to_owned(), Value::String(self.config.to_string()));
        }
    }
}

fn nested(value: &mut Value) -> Vec<Nested> {
    let Value::Array(tools) = value else {
        return Vec::new();
    };
    let configs = tools.iter().enumerate().filter_map(|(place, tool)| {
        let config = tool.get("config")?.as_str()?;
        Some(Nested {
            place,
            config: serde_json::from_str(config).ok()?,
        })
    });
    configs.collect()
}

/// A table with JSON texts that may hold secrets in clear.
struct Source {
    table: &'static str,
    id: &'static str,
    /// The column of the version, or a constant.
    version: &'static str,
    agent: &'static str,
    texts: &'static [&'static str],
    condition: &'static str,
    /// Rows that were looked at are marked, and not read again.
    mark: bool,
}

const SOURCES: &[Source] = &[
    Source {
        table: "agents",
        id: "id",
        version: "CAST(0 AS BIGINT)",
        agent: "id",
        texts: &["settings"],
        condition: "",
        mark: false,
    },
    Source {
        table: "tools",
        id: "id",
        version: "CAST(0 AS BIGINT)",
        agent: "agent_id",
        texts: &["config"],
        condition: "",
        mark: false,
    },
    Source {
        table: "agent_versions",
        id: "agent_id",
        version: "version",
        agent: "agent_id",
        texts: &["settings", "tools"],
        condition: " AND is_sealed = 0",
        mark: true,
    },
];

struct Clear {
    id: String,
    version: i64,
    tenant: String,
    agent: String,
    texts: Vec<String>,
}

impl Source {
    async fn rows_after(
        &self,
        store: &Store,
        (id, version): &(String, i64),
    ) -> Result<Vec<Clear>, VaultError> {
        let mut sql = Sql::new("SELECT ");
        sql.push(self.id).push(" AS row_id, ").push(self.version);
        sql.push(" AS row_version, tenant_id, ");
        sql.push(self.agent).push(" AS row_agent, ");
        sql.push(&self.texts.join(", "));
        sql.push(" FROM ").push(self.table);
        sql.push(" WHERE (").push(self.id);
        sql.with(" > ", id.clone());
        sql.push(" OR (").push(self.id).with(" = ", id.clone());
        sql.push(" AND ").push(self.version);
        sql.with(" > ", *version).push("))").push(self.condition);
        sql.push(" ORDER BY ").push(self.id).push(", 2 LIMIT ");
        sql.push(&super::BATCH_ROWS.to_string());
        let rows = sql.rows(store.readers()).await?;
        let read = |row: &sqlx::any::AnyRow| -> sqlx::Result<Clear> {
            Ok(Clear {
                id: row.try_get("row_id")?,
                version: row.try_get("row_version")?,
                tenant: row.try_get("tenant_id")?,
                agent: row.try_get("row_agent")?,
                texts: self
                    .texts
                    .iter()
                    .map(|name| row.try_get(*name))
                    .collect::<sqlx::Result<_>>()?,
            })
        };
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    /// Puts texts in the place of those that were read; what somebody changed since then stays.
    async fn exchange(
        &self,
        write: &mut Write,
        row: &Clear,
        texts: &[String],
    ) -> Result<(), VaultError> {
        let mut sql = Sql::new("UPDATE ");
        sql.push(self.table).push(" SET ");
        for (place, (name, text)) in self.texts.iter().zip(texts).enumerate() {
            sql.push(if place > 0 { ", " } else { "" }).push(name);
            sql.with(" = ", text.clone());
        }
        if self.mark {
            sql.push(", is_sealed = 1");
        }
        sql.push(" WHERE ").push(self.id);
        sql.with(" = ", row.id.clone());
        sql.push(" AND ").push(self.version);
        sql.with(" = ", row.version);
        for (name, text) in self.texts.iter().zip(&row.texts) {
            sql.push(" AND ").push(name).with(" = ", text.clone());
        }
        sql.run(write).await.map_err(WriteError::from)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_between_the_names_of_a_template_are_a_value() {
        for text in [
            "sk-1",
            "=sk-1",
            "=Bearer sk-{{config.x}}",
            "={{config.x}}-s3cret",
            "=Basic dXNlcg=={{config.x}}",
            "=Bearer sk-{{config",
            "={{config.key|default(\"sk-1\")}}",
        ] {
            assert!(is_value(text), "{text}");
        }
        for text in [
            "",
            "={{config.key}}",
            "=Bearer {{config.key}}",
            "=Basic {{config.user}}:{{ config['password'] }}",
            "=Token {{config.key|default(ctx.key)}}",
        ] {
            assert!(!is_value(text), "{text}");
        }
        assert!(Place::of("externalSessionHeaders").is_secret("X-Crm-Token"));
    }
}
