//! The first administrator: made by whoever holds the link that the server printed, once.
//!
//! A link is a row among the keys of the node whose prefix says that it is none: it is let in nowhere. A new one takes the place
//! of those before it.

use jiff::Timestamp;

use crate::api_key::ApiKey;
use crate::change::ChangeError;
use crate::credential::NewKey;
use crate::db::{Store, Write};
use crate::entry::{Entry, entry, new_id};
use crate::error::ReadError;
use crate::scope::Realm;
use crate::sql::Sql;
use crate::user::User;

/// First characters of a link's token.
const LINK_KIND: &str = "set_";
/// Scopes of a link that a server made: it is worth nothing once there is an administrator.
const FIRST: &str = r#"{"link":"first"}"#;
/// Scopes of a link that somebody on the machine asked for.
const FURTHER: &str = r#"{"link":"further"}"#;

const IS_ADMINISTRATOR: &str =
    "SELECT id FROM users WHERE tenant_id IS NULL AND role = 'owner' AND is_active = 1 LIMIT 1";

async fn remove_links(write: &mut Write) -> Result<(), ChangeError> {
    let mut sql = Sql::new("DELETE FROM api_keys WHERE tenant_id IS NULL AND ");
    sql.with("substr(prefix, 1, 4) = ", LINK_KIND.to_owned());
    sql.run(write).await?;
    Ok(())
}

impl Store {
    /// Whether the node has an owner who may log in.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_has_administrator(&self) -> Result<bool, ReadError> {
        let row = Sql::new(IS_ADMINISTRATOR).row(self.readers()).await?;
        Ok(row.is_some())
    }

    /// Makes the token of a link, of which a hash is kept, in the place of those before. `further`: also where there is an
    /// administrator already.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn node_new_link(
        &self,
        until: Timestamp,
        further: bool,
    ) -> Result<NewKey, ChangeError> {
        let made = NewKey::generate(LINK_KIND);
        let key = ApiKey {
            agent_id: None,
            name: "link".to_owned(),
            prefix: made.prefix().to_owned(),
            hash: made.hash(),
            role: "owner".to_owned(),
            scopes: if further { FURTHER } else { FIRST }.to_owned(),
            expires_at: Some(until),
            revoked_at: None,
            last_used_at: None,
        };
        let mut write = self.write().await?;
        let result = async {
            remove_links(&mut write).await?;
            write.insert(Realm::Node, &new_id(), &key).await
        }
        .await;
        write.settle(result).await?;
        Ok(made)
    }

    /// Makes an owner of the node by a link, which is used up then; `None`: the link is wrong, used or too old.
    ///
    /// # Errors
    /// See [`ChangeError`]; the link can be used again then.
    pub async fn node_set_up(
        &self,
        hash: &str,
        now: Timestamp,
        (id, user): (&str, &User),
    ) -> Result<Option<Entry<User>>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            let mut sql = Sql::new("SELECT * FROM api_keys WHERE tenant_id IS NULL AND ");
            sql.with("substr(prefix, 1, 4) = ", LINK_KIND.to_owned());
            sql.with(" AND hash = ", hash.replace('\0', ""));
            sql.with(" AND expires_at > ", now.as_microsecond());
            sql.push(write.lock());
            let Some(row) = sql.row_in(&mut write).await? else {
                return Ok(None);
            };
            let link = entry::<ApiKey>(&row)?;
            let there = Sql::new(IS_ADMINISTRATOR).row_in(&mut write).await?;
            if link.scopes != FURTHER && there.is_some() {
                return Ok(None);
            }
            let made = write.insert(Realm::Node, id, user).await?;
            remove_links(&mut write).await?;
            Ok(Some(made))
        }
        .await;
        write.settle(result).await
    }
}
