//! Phone lines. A number that another tenant has is "not available", nothing more is said.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::change::ChangeError;
use crate::db::Store;
use crate::entry::{Content, Entry, Value, entry, flag};
use crate::error::ReadError;
use crate::page::{List, PageRequest, contains};
use crate::scope::{Reach, TenantScope};
use crate::sealed::Sealed;
use crate::sql::Sql;

/// A phone number that an agent answers.
#[derive(Clone, Debug, PartialEq)]
pub struct PhoneLine {
    /// The agent that answers.
    pub agent_id: String,
    /// The number; unique on the node.
    pub phone_number: String,
    /// `sip`, `twilio` or another carrier.
    pub provider: String,
    /// Whether calls are taken.
    pub is_active: bool,
    /// Addresses, user names and the like, as JSON text.
    pub settings: String,
    /// The password of its SIP account, sealed with the id of the line.
    pub sip_password: Option<Sealed>,
}

/// A line and the password of the account of the same id, which is kept with the SIP accounts.
const LINE: &str =
    "*, (SELECT s.password FROM sip_accounts s WHERE s.id = phone_lines.id) AS sip_password_enc";

/// Which phone lines to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhoneLineFilter {
    /// Of this agent.
    pub agent_id: Option<String>,
    /// Of this carrier.
    pub provider: Option<String>,
    /// Of exactly this number.
    pub phone_number: Option<String>,
    /// With this in the number.
    pub search: Option<String>,
    /// Active or not.
    pub is_active: Option<bool>,
}

impl Content for PhoneLine {
    const TABLE: &'static str = "phone_lines";
    const WHAT: &'static str = "phone_line";
    const UNIQUE: &'static str = "the number";
    const COLUMNS: &'static [&'static str] = &[
        "agent_id",
        "phone_number",
        "provider",
        "is_active",
        "settings",
    ];
    const SELECTED: &'static str = LINE;

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.agent_id).into(),
            (&self.phone_number).into(),
            (&self.provider).into(),
            self.is_active.into(),
            (&self.settings).into(),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            agent_id: row.try_get("agent_id")?,
            phone_number: row.try_get("phone_number")?,
            provider: row.try_get("provider")?,
            is_active: flag(row, "is_active")?,
            settings: row.try_get("settings")?,
            sip_password: Sealed::read(row, "sip_password_enc")?,
        })
    }
}

impl Store {
    /// Makes a phone line.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_phone_line(
        &self,
        scope: &TenantScope,
        id: &str,
        phone_line: &PhoneLine,
    ) -> Result<Entry<PhoneLine>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            write.back_line(scope, id, phone_line).await?;
            write.insert(scope.into(), id, phone_line).await
        };
        let result = result.await;
        write.settle(result).await
    }

    /// One phone line; `None` when there is none of that id here.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn phone_line(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Option<Entry<PhoneLine>>, ReadError> {
        self.entry(scope.into(), id).await
    }

    /// The phone lines, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn phone_lines(
        &self,
        reach: impl Into<Reach>,
        filter: &PhoneLineFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<PhoneLine>>, ReadError> {
        self.entries_within(&reach.into(), page, |sql| {
            if let Some(text) = &filter.agent_id {
                sql.with(" AND agent_id = ", text.clone());
            }
            if let Some(text) = &filter.provider {
                sql.with(" AND provider = ", text.clone());
            }
            if let Some(text) = &filter.phone_number {
                sql.with(" AND phone_number = ", text.clone());
            }
            if let Some(search) = &filter.search {
                contains(sql, "phone_number", search);
            }
            if let Some(flag) = filter.is_active {
                sql.with(" AND is_active = ", i64::from(flag));
            }
        })
        .await
    }

    /// Changes a phone line.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_phone_line(
        &self,
        scope: &TenantScope,
        id: &str,
        phone_line: &PhoneLine,
        expected: Option<i64>,
    ) -> Result<Entry<PhoneLine>, ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            write.back_line(scope, id, phone_line).await?;
            write.update(scope.into(), id, phone_line, expected).await
        };
        let result = result.await;
        write.settle(result).await
    }

    /// Removes a phone line.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_phone_line(
        &self,
        scope: &TenantScope,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            write
                .remove::<PhoneLine>(scope.into(), id, expected)
                .await?;
            write.unback_line(scope, id).await
        };
        let result = result.await;
        write.settle(result).await
    }

    /// The line of this number, if it is this tenant's.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn phone_line_of_number(
        &self,
        scope: &TenantScope,
        phone_number: &str,
    ) -> Result<Option<Entry<PhoneLine>>, ReadError> {
        let mut sql = Sql::new("SELECT ");
        sql.push(LINE).push(" FROM phone_lines WHERE tenant_id = ");
        sql.bind(scope.id().to_owned());
        sql.with(" AND phone_number = ", phone_number.replace('\0', ""));
        let row = sql.row(self.readers()).await?;
        Ok(row.as_ref().map(entry).transpose()?)
    }
}
