//! SIP accounts: the one table of SIP credentials. Phone lines with SIP settings are another view of it: their row has the id of
//! the line, and what is written through one view is seen through the other.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::change::ChangeError;
use crate::db::{Store, Write};
use crate::entry::{Content, Entry, Value, entry, truth};
use crate::error::ReadError;
use crate::page::{List, PageRequest, contains};
use crate::phone_line::PhoneLine;
use crate::scope::TenantScope;
use crate::sealed::Sealed;
use crate::secret::account_salt;
use crate::sql::Sql;

/// How we reach an operator, and as whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SipAccount {
    /// Its name for people.
    pub label: String,
    /// `sip:user@domain[:port]`.
    pub trunk_uri: String,
    /// Name for the digest; absent where the trunk asks for no password.
    pub username: Option<String>,
    /// Password, sealed with the id of the row; a clear one comes from a statement by hand and is sealed at the next load.
    pub password: Option<Sealed>,
    /// Host that is written in Contact.
    pub contact_host: Option<String>,
    /// Port that is written in Contact.
    pub contact_port: Option<i64>,
    /// `udp`, `tcp` or `tls`.
    pub contact_transport: Option<String>,
    /// Chosen where a workflow names none; one of a tenant at most.
    pub is_default: bool,
    /// Whether it registers and takes calls.
    pub is_active: bool,
    /// Host and port of the registrar where it is not the trunk's.
    pub registrar: Option<String>,
    /// Proxy that every request goes through.
    pub outbound_proxy: Option<String>,
    /// The only realm that the password is proven to.
    pub realm: Option<String>,
    /// Lifetime of a binding, in seconds; absent: the profile's.
    pub expires_s: Option<i64>,
    /// Where the caller's number is written; absent: the profile's.
    pub caller_id_form: Option<String>,
    /// The number that callees see.
    pub caller_id_number: Option<String>,
    /// Codecs in order of preference, with commas; absent: the profile's.
    pub codecs: Option<String>,
    /// `off`, `preferred` or `required`; absent: the profile's.
    pub srtp: Option<String>,
    /// Share of outgoing calls where they are distributed by weight; 0 takes none.
    pub weight: i64,
    /// Account that a call goes by when this one does not answer.
    pub backup_account_id: Option<String>,
    /// Calls at the same time; 0 is no limit of its own.
    pub calls_max: i64,
    /// Id of the provider profile.
    pub provider_profile: Option<String>,
    /// What has no column of its own, as JSON text.
    pub settings: String,
    /// Password for its TURN server, sealed with [`turn_salt`].
    pub turn_password: Option<Sealed>,
}

/// What the password for a TURN server is for.
pub(crate) const TURN: &str = "turn";

/// The salt of the password for an account's TURN server.
pub fn turn_salt(account: &str) -> String {
    account_salt(account, TURN)
}

/// Which accounts to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SipAccountFilter {
    /// With this in the label or the address.
    pub search: Option<String>,
    /// Active or not.
    pub is_active: Option<bool>,
}

/// What passed over an account since a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SipAccountCalls {
    /// Calls that came in.
    pub received: i64,
    /// Those of them that were answered.
    pub answered: i64,
    /// Calls that were placed.
    pub placed: i64,
    /// Conversation of all, in seconds.
    pub duration_s: i64,
}

impl Content for SipAccount {
    const TABLE: &'static str = "sip_accounts";
    const WHAT: &'static str = "sip_account";
    const UNIQUE: &'static str = "the account";
    const COLUMNS: &'static [&'static str] = &[
        "label",
        "trunk_uri",
        "username",
        "password",
        "contact_host",
        "contact_port",
        "contact_transport",
        "is_default",
        "is_active",
        "registrar",
        "outbound_proxy",
        "realm",
        "expires_s",
        "caller_id_form",
        "caller_id_number",
        "codecs",
        "srtp",
        "weight",
        "backup_account_id",
        "calls_max",
        "provider_profile",
        "settings",
        "turn_password",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.label).into(),
            (&self.trunk_uri).into(),
            (&self.username).into(),
            Sealed::value(self.password.as_ref()),
            (&self.contact_host).into(),
            self.contact_port.into(),
            (&self.contact_transport).into(),
            Value::Flag(self.is_default),
            Value::Flag(self.is_active),
            (&self.registrar).into(),
            (&self.outbound_proxy).into(),
            (&self.realm).into(),
            self.expires_s.into(),
            (&self.caller_id_form).into(),
            (&self.caller_id_number).into(),
            (&self.codecs).into(),
            (&self.srtp).into(),
            self.weight.into(),
            (&self.backup_account_id).into(),
            self.calls_max.into(),
            (&self.provider_profile).into(),
            (&self.settings).into(),
            Sealed::value(self.turn_password.as_ref()),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            label: row.try_get("label")?,
            trunk_uri: row.try_get("trunk_uri")?,
            username: row.try_get("username")?,
            password: Sealed::read(row, "password")?,
            contact_host: row.try_get("contact_host")?,
            contact_port: row.try_get("contact_port")?,
            contact_transport: row.try_get("contact_transport")?,
            is_default: truth(row, "is_default")?,
            is_active: truth(row, "is_active")?,
            registrar: row.try_get("registrar")?,
            outbound_proxy: row.try_get("outbound_proxy")?,
            realm: row.try_get("realm")?,
            expires_s: row.try_get("expires_s")?,
            caller_id_form: row.try_get("caller_id_form")?,
            caller_id_number: row.try_get("caller_id_number")?,
            codecs: row.try_get("codecs")?,
            srtp: row.try_get("srtp")?,
            weight: row.try_get("weight")?,
            backup_account_id: row.try_get("backup_account_id")?,
            calls_max: row.try_get("calls_max")?,
            provider_profile: row.try_get("provider_profile")?,
            settings: row.try_get("settings")?,
            turn_password: Sealed::read(row, "turn_password")?,
        })
    }
}

impl Store {
    /// A number for a new account: it is not used again. Known before the row is written, for it is the salt of its password.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn node_new_sip_account_id(&self) -> Result<String, ChangeError> {
        self.take_number("sip_accounts").await
    }

    pub(crate) async fn take_number(&self, table: &'static str) -> Result<String, ChangeError> {
        let mut write = self.write().await?;
        let result = write.number(table).await;
        write.settle(result).await
    }

    /// Makes an account. One that is to be the default takes that from the one that was.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_sip_account(
        &self,
        scope: &TenantScope,
        id: &str,
        account: &SipAccount,
    ) -> Result<Entry<SipAccount>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            write.one_default(scope, account).await?;
            write.insert(scope.into(), id, account).await
        };
        let result = result.await;
        write.settle(result).await
    }

    /// One account; `None` when there is none of that id here.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn sip_account(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Option<Entry<SipAccount>>, ReadError> {
        self.entry(scope.into(), id).await
    }

    /// The accounts, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn sip_accounts(
        &self,
        scope: &TenantScope,
        filter: &SipAccountFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<SipAccount>>, ReadError> {
        self.entries(scope.into(), page, |sql| {
            if let Some(search) = &filter.search {
                contains(sql, "label || ' ' || trunk_uri", search);
            }
            if let Some(flag) = filter.is_active {
                sql.push(if flag {
                    " AND is_active"
                } else {
                    " AND NOT is_active"
                });
            }
        })
        .await
    }

    /// The settings of the accounts of all other tenants that say by which certificates their calls are recognised: no two tenants may have one
    /// in common.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_certificates_beside(
        &self,
        scope: &TenantScope,
    ) -> Result<Vec<String>, ReadError> {
        let mut sql = Sql::new(
            "SELECT settings FROM sip_accounts WHERE (settings LIKE '%\"client_certificates\"%' \
             OR settings LIKE '%\"client_names\"%') AND tenant_id <> ",
        );
        sql.bind(scope.id().to_owned()).push(" ORDER BY id");
        let rows = sql.rows(self.readers()).await?;
        let rows: sqlx::Result<Vec<_>> = rows.iter().map(|row| row.try_get("settings")).collect();
        Ok(rows?)
    }

    /// Changes an account, and the phone line that it backs.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_sip_account(
        &self,
        scope: &TenantScope,
        id: &str,
        account: &SipAccount,
        expected: Option<i64>,
    ) -> Result<Entry<SipAccount>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            write.one_default(scope, account).await?;
            let changed = write.update(scope.into(), id, account, expected).await?;
            write.follow_account(scope, id, Some(account)).await?;
            Ok(changed)
        };
        let result = result.await;
        write.settle(result).await
    }

    /// Removes an account. Workflows that named it name none afterwards; a phone line that it backed stays, without an account.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_sip_account(
        &self,
        scope: &TenantScope,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            write
                .remove::<SipAccount>(scope.into(), id, expected)
                .await?;
            write.follow_account(scope, id, None).await
        };
        let result = result.await;
        write.settle(result).await
    }

    /// What passed over each account since `since`, by its id.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn sip_account_calls(
        &self,
        scope: &TenantScope,
        since: Timestamp,
    ) -> Result<Vec<(String, SipAccountCalls)>, ReadError> {
        let mut sql = Sql::new(
            "SELECT line, CAST(SUM(CASE WHEN direction = 'inbound' THEN 1 ELSE 0 END) AS BIGINT) AS received, \
             CAST(SUM(CASE WHEN direction = 'inbound' AND answered_at IS NOT NULL THEN 1 ELSE 0 END) AS BIGINT) AS answered, \
             CAST(SUM(CASE WHEN direction = 'outbound' THEN 1 ELSE 0 END) AS BIGINT) AS placed, \
             CAST(COALESCE(SUM(ended_at - answered_at), 0) / 1000000 AS BIGINT) AS duration_s FROM calls WHERE tenant_id = ",
        );
        sql.bind(scope.id().to_owned());
        sql.with(" AND started_at >= ", since.as_microsecond());
        sql.push(" GROUP BY line");
        let rows = sql.rows(self.readers()).await?;
        let read = |row: &AnyRow| {
            let calls = SipAccountCalls {
                received: row.try_get("received")?,
                answered: row.try_get("answered")?,
                placed: row.try_get("placed")?,
                duration_s: row.try_get("duration_s")?,
            };
            Ok((row.try_get("line")?, calls))
        };
        let rows: sqlx::Result<Vec<_>> = rows.iter().map(read).collect();
        Ok(rows?)
    }

    /// Changes with whatever was changed in accounts and workflows, by statements of hand too, which leave versions alone.
    pub(crate) async fn routes_stamp(&self) -> Result<u64, ReadError> {
        let mut hasher = DefaultHasher::new();
        for statement in [
            "SELECT id AS a, label AS b, trunk_uri AS c, COALESCE(username, '') AS d, COALESCE(password, '') AS e, \
             COALESCE(contact_host, '') AS f, COALESCE(contact_transport, '') AS g, COALESCE(contact_port, 0) AS h, version AS i, \
             CASE WHEN is_default THEN 1 ELSE 0 END + CASE WHEN is_active THEN 2 ELSE 0 END AS j FROM sip_accounts ORDER BY id",
            "SELECT w.id AS a, w.slug AS b, d.phone_numbers AS c, COALESCE(d.sip_account_id, '') AS d, COALESCE(d.agent_id, '') AS e, \
             d.distribution AS f, '' AS g, COALESCE(d.ring_timeout_s, -1) AS h, w.version AS i, \
             CASE WHEN w.is_active THEN 1 ELSE 0 END + d.version * 2 AS j FROM workflows w \
             JOIN workflow_definitions d ON d.workflow_id = w.id AND d.is_active ORDER BY w.id",
        ] {
            for row in &Sql::new(statement).rows(self.readers()).await? {
                for column in ["a", "b", "c", "d", "e", "f", "g"] {
                    row.try_get::<String, _>(column)?.hash(&mut hasher);
                }
                for column in ["h", "i"] {
                    row.try_get::<i64, _>(column)?.hash(&mut hasher);
                }
                number(row, "j")?.hash(&mut hasher);
            }
        }
        Ok(hasher.finish())
    }
}

/// A whole number of either width: literals are narrower with PostgreSQL.
fn number(row: &AnyRow, column: &str) -> sqlx::Result<i64> {
    row.try_get::<i64, _>(column)
        .or_else(|_| row.try_get::<i32, _>(column).map(i64::from))
}

impl Write {
    /// The next number of a table, which no row has.
    async fn number(&mut self, table: &'static str) -> Result<String, ChangeError> {
        loop {
            let mut sql = Sql::new("UPDATE counters SET last = last + 1 WHERE name = ");
            sql.bind(table.to_owned()).push(" RETURNING last");
            let row = sql.row_in(self).await?;
            let row = row.ok_or(ChangeError::NotFound { what: table })?;
            let last: i64 = row.try_get("last")?;
            // A statement by hand may have named it.
            let mut taken = Sql::new("SELECT id FROM ");
            taken.push(table).with(" WHERE id = ", last.to_string());
            if taken.row_in(self).await?.is_none() {
                return Ok(last.to_string());
            }
        }
    }

    /// Writers of the default of one tenant follow each other; the row's trigger then takes it from the one that was.
    async fn one_default(
        &mut self,
        scope: &TenantScope,
        account: &SipAccount,
    ) -> Result<(), ChangeError> {
        if account.is_default {
            let mut sql = Sql::new("SELECT id FROM tenants WHERE id = ");
            sql.bind(scope.id().to_owned()).push(self.lock());
            sql.row_in(self).await?;
        }
        Ok(())
    }

    /// Writes the account that backs a line, or removes it where the line has no SIP settings.
    pub(crate) async fn back_line(
        &mut self,
        scope: &TenantScope,
        id: &str,
        line: &PhoneLine,
    ) -> Result<(), ChangeError> {
        let settings = settings(&line.settings);
        let text = |name: &str| text(&settings, name);
        let user = text("sipUsername");
        if line.provider != "sip" || (user.is_none() && line.sip_password.is_none()) {
            return self.unback_line(scope, id).await;
        }
        let name = user.clone().unwrap_or_else(|| line.phone_number.clone());
        // A name that could be read as a host says with its @ that it is none.
        let bare = if is_host(&name) { "@" } else { "" };
        let domain = text("sipDomain").map_or_else(|| bare.to_owned(), |host| format!("@{host}"));
        let transport = text("sipTransport").map(|transport| transport.to_ascii_lowercase());
        let now = Timestamp::now().as_microsecond();
        let mut sql = Sql::new(
            "INSERT INTO sip_accounts (id, tenant_id, label, trunk_uri, username, password, contact_transport, is_active, \
             created_at, updated_at) VALUES (",
        );
        sql.bind(id.to_owned());
        sql.with(", ", scope.id().to_owned());
        sql.with(", ", line.phone_number.replace('\0', ""));
        sql.with(", ", format!("sip:{name}{domain}").replace('\0', ""));
        sql.with(", ", text("sipAuthUsername").or(user));
        sql.push(", ");
        Sealed::value(line.sip_password.as_ref()).bind(&mut sql);
        sql.with(", ", transport.unwrap_or_else(|| "udp".to_owned()));
        sql.with(", ", line.is_active);
        sql.with(", ", now).with(", ", now);
        sql.push(
            ") ON CONFLICT (id) DO UPDATE SET trunk_uri = excluded.trunk_uri, username = excluded.username, \
             password = excluded.password, contact_transport = excluded.contact_transport, is_active = excluded.is_active, \
             updated_at = excluded.updated_at, version = sip_accounts.version + 1 \
             WHERE sip_accounts.tenant_id = excluded.tenant_id",
        );
        sql.run(self).await?;
        Ok(())
    }

    /// Removes the account that backs a line, if there is one.
    pub(crate) async fn unback_line(
        &mut self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<(), ChangeError> {
        let mut sql = Sql::new("DELETE FROM sip_accounts WHERE id = ");
        sql.bind(id.to_owned());
        sql.with(" AND tenant_id = ", scope.id().to_owned());
        sql.run(self).await?;
        Ok(())
    }

    /// Writes what changed in an account into the line that it backs, if it backs one.
    async fn follow_account(
        &mut self,
        scope: &TenantScope,
        id: &str,
        account: Option<&SipAccount>,
    ) -> Result<(), ChangeError> {
        let mut sql = Sql::new("SELECT settings FROM phone_lines WHERE id = ");
        sql.bind(id.to_owned());
        sql.with(" AND tenant_id = ", scope.id().to_owned());
        sql.push(self.lock());
        let Some(row) = sql.row_in(self).await? else {
            return Ok(());
        };
        let mut settings = settings(&row.try_get::<String, _>("settings")?);
        let mut put = |name: &str, value: Option<String>| match value {
            Some(value) => drop(settings.insert(name.to_owned(), Json::String(value))),
            None => drop(settings.remove(name)),
        };
        let (user, domain) =
            account.map_or((None, None), |account| trunk_parts(&account.trunk_uri));
        let auth = account.and_then(|account| account.username.clone());
        put(
            "sipAuthUsername",
            auth.filter(|auth| Some(auth) != user.as_ref()),
        );
        put("sipUsername", user);
        put("sipDomain", domain);
        put(
            "sipTransport",
            account.and_then(|account| account.contact_transport.clone()),
        );
        let mut sql = Sql::new("UPDATE phone_lines SET version = version + 1");
        sql.with(", updated_at = ", Timestamp::now().as_microsecond());
        sql.with(", settings = ", Json::Object(settings).to_string());
        if let Some(account) = account {
            sql.with(", is_active = ", i64::from(account.is_active));
        }
        sql.with(" WHERE id = ", id.to_owned());
        sql.run(self).await?;
        Ok(())
    }
}

fn settings(text: &str) -> Map<String, Json> {
    match serde_json::from_str(text) {
        Ok(Json::Object(members)) => members,
        Ok(_) | Err(_) => Map::new(),
    }
}

fn text(settings: &Map<String, Json>, name: &str) -> Option<String> {
    let text = settings.get(name)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether what stands alone in an address is a host (`10.0.0.1`, `sip.trunk.com:5060`, `[::1]`), not the name of a user.
fn is_host(text: &str) -> bool {
    text.contains(['.', ':', '[']) || text.eq_ignore_ascii_case("localhost")
}

/// User and domain (with its port) of a trunk's address: `sip:user@domain`, `sip:domain` of a trunk without a user, or `sip:user`
/// of an account whose domain is the one of the settings.
pub fn trunk_parts(uri: &str) -> (Option<String>, Option<String>) {
    let rest = uri
        .trim()
        .trim_start_matches("sips:")
        .trim_start_matches("sip:");
    let rest = rest.split([';', '?']).next().unwrap_or_default();
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match rest.rsplit_once('@') {
        Some((user, domain)) => (some(user), some(domain)),
        None if is_host(rest) => (None, some(rest)),
        None => (some(rest), None),
    }
}

/// Active accounts of active tenants, in the order in which the first active one is chosen.
pub(crate) async fn living_sip_accounts(
    snapshot: &mut AnyConnection,
) -> Result<Vec<Entry<SipAccount>>, ReadError> {
    let sql = Sql::new(
        "SELECT s.* FROM sip_accounts s JOIN tenants t ON t.id = s.tenant_id AND t.is_active = 1 WHERE s.is_active \
         ORDER BY s.created_at, s.id",
    );
    let rows = sql.rows_in(snapshot).await?;
    let entries: sqlx::Result<Vec<_>> = rows.iter().map(entry).collect();
    Ok(entries?)
}

#[cfg(test)]
mod tests {
    use super::trunk_parts;

    #[test]
    fn parts_of_addresses() {
        for (uri, user, domain) in [
            ("sip:0033972@sip.ovh.fr", "0033972", "sip.ovh.fr"),
            (
                "sips:alice@sip.trunk.com:5061;transport=tls",
                "alice",
                "sip.trunk.com:5061",
            ),
            ("sip:192.0.2.7:5070", "", "192.0.2.7:5070"),
            ("sip:[2001:db8::1]:5070", "", "[2001:db8::1]:5070"),
            ("sip:sip.trunk.com", "", "sip.trunk.com"),
            ("sip:localhost", "", "localhost"),
            ("sip:+33491000001", "+33491000001", ""),
            ("sip:john.doe@", "john.doe", ""),
        ] {
            let found = trunk_parts(uri);
            let found = (found.0.unwrap_or_default(), found.1.unwrap_or_default());
            assert_eq!(found, (user.to_owned(), domain.to_owned()), "{uri}");
        }
    }
}
