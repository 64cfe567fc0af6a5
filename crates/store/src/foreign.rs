//! Settings that another program left in a database: read once, for a migration, without touching anything.

use std::str::FromStr;
use std::sync::Once;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, Connection, Row};

use crate::error::ReadError;

/// The SIP settings of the system before.
#[derive(Clone, PartialEq, Eq)]
pub struct AppSettings {
    /// `sip:user@domain`.
    pub trunk_uri: String,
    /// User name.
    pub username: Option<String>,
    /// Password, in clear.
    pub password: Option<String>,
    /// Host of Contact.
    pub contact_host: Option<String>,
    /// Port of Contact.
    pub contact_port: Option<i64>,
    /// Transport.
    pub contact_transport: Option<String>,
}

impl std::fmt::Debug for AppSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppSettings(…)")
    }
}

/// Reads `app_settings` of a database: a file, `sqlite:path`, or `postgres://…`. `None` where its row names no trunk.
///
/// # Errors
/// The database cannot be read, or has no such table.
pub async fn app_settings(location: &str) -> Result<Option<AppSettings>, ReadError> {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    let is_server = location.starts_with("postgres://") || location.starts_with("postgresql://");
    let url = if is_server {
        location.to_owned()
    } else {
        let path = location.trim_start_matches("sqlite:");
        let path = path.strip_prefix("//").unwrap_or(path);
        format!("sqlite:{path}?mode=ro")
    };
    let options = AnyConnectOptions::from_str(&url)?;
    let mut connection = AnyConnection::connect_with(&options).await?;
    let row = sqlx::query(
        "SELECT sip_trunk_uri, sip_trunk_username, sip_trunk_password, sip_contact_host, \
         CAST(sip_contact_port AS BIGINT) AS sip_contact_port, sip_contact_transport FROM app_settings \
         WHERE sip_trunk_uri IS NOT NULL AND sip_trunk_uri <> '' LIMIT 1",
    )
    .fetch_optional(&mut connection)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let found = AppSettings {
        trunk_uri: row.try_get("sip_trunk_uri")?,
        username: row.try_get("sip_trunk_username")?,
        password: row.try_get("sip_trunk_password")?,
        contact_host: row.try_get("sip_contact_host")?,
        contact_port: row.try_get("sip_contact_port")?,
        contact_transport: row.try_get("sip_contact_transport")?,
    };
    connection.close().await?;
    Ok(Some(found))
}
