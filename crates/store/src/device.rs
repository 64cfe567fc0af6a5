//! Devices: telephones and gateways that register with us, and where they were registered last.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::change::ChangeError;
use crate::db::Store;
use crate::entry::{Content, Entry, Value, entry, flag, time};
use crate::error::ReadError;
use crate::page::{List, PageRequest, contains};
use crate::scope::TenantScope;
use crate::sealed::Sealed;
use crate::sql::Sql;

/// A telephone, a gateway of analog lines, a softphone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device {
    /// Its name for people.
    pub label: String,
    /// User part of its address of record and name for the digest; new within its domain.
    pub username: String,
    /// The domain that it registers at, in lower case; empty: the node's common one.
    pub domain: String,
    /// Password, sealed with the id of the row.
    pub password: Option<Sealed>,
    /// The agent that answers its calls.
    pub agent_id: Option<String>,
    /// The workflow that takes its calls; it goes before the agent.
    pub workflow_id: Option<String>,
    /// The number that its calls show; absent: what it says itself.
    pub caller_id: Option<String>,
    /// Places where it may be registered at once, 1 to 16.
    pub bindings_max: i64,
    /// Calls at the same time; 0 is no limit of its own.
    pub calls_max: i64,
    /// Whether it may register and call.
    pub is_active: bool,
    /// What has no column of its own, as JSON text.
    pub settings: String,
}

/// Which devices to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFilter {
    /// With this in the label or the user name.
    pub search: Option<String>,
    /// Active or not.
    pub is_active: Option<bool>,
}

/// Where a device was registered, for the process that comes after this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBinding {
    /// URI of its Contact.
    pub contact: String,
    /// Path, as a JSON list.
    pub path: String,
    /// Instance of its Contact.
    pub instance: Option<String>,
    /// `udp`, `tcp` or `tls`.
    pub protocol: String,
    /// Address and port that it was seen from.
    pub source: String,
    /// Call-ID of its last REGISTER.
    pub call_id: String,
    /// `CSeq` of its last REGISTER.
    pub sequence: i64,
    /// What it calls itself.
    pub user_agent: Option<String>,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl Content for Device {
    const TABLE: &'static str = "devices";
    const WHAT: &'static str = "device";
    const UNIQUE: &'static str = "the user name of the device";
    const COLUMNS: &'static [&'static str] = &[
        "label",
        "username",
        "domain",
        "password",
        "agent_id",
        "workflow_id",
        "caller_id",
        "bindings_max",
        "calls_max",
        "is_active",
        "settings",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            (&self.label).into(),
            (&self.username).into(),
            (&self.domain).into(),
            Sealed::value(self.password.as_ref()),
            (&self.agent_id).into(),
            (&self.workflow_id).into(),
            (&self.caller_id).into(),
            self.bindings_max.into(),
            self.calls_max.into(),
            self.is_active.into(),
            (&self.settings).into(),
        ]
    }

    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            label: row.try_get("label")?,
            username: row.try_get("username")?,
            domain: row.try_get("domain")?,
            password: Sealed::read(row, "password")?,
            agent_id: row.try_get("agent_id")?,
            workflow_id: row.try_get("workflow_id")?,
            caller_id: row.try_get("caller_id")?,
            bindings_max: row.try_get("bindings_max")?,
            calls_max: row.try_get("calls_max")?,
            is_active: flag(row, "is_active")?,
            settings: row.try_get("settings")?,
        })
    }
}

impl Store {
    /// Makes a device. Its id is known before, for it is the salt of its password.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn create_device(
        &self,
        scope: &TenantScope,
        id: &str,
        device: &Device,
    ) -> Result<Entry<Device>, ChangeError> {
        self.create(scope.into(), id, device).await
    }

    /// One device; `None` when there is none of that id here.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn device(
        &self,
        scope: &TenantScope,
        id: &str,
    ) -> Result<Option<Entry<Device>>, ReadError> {
        self.entry(scope.into(), id).await
    }

    /// The devices, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn devices(
        &self,
        scope: &TenantScope,
        filter: &DeviceFilter,
        page: &PageRequest,
    ) -> Result<List<Entry<Device>>, ReadError> {
        self.entries(scope.into(), page, |sql| {
            if let Some(search) = &filter.search {
                contains(sql, "label || ' ' || username", search);
            }
            if let Some(is_active) = filter.is_active {
                sql.with(" AND is_active = ", i64::from(is_active));
            }
        })
        .await
    }

    /// Changes a device.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn update_device(
        &self,
        scope: &TenantScope,
        id: &str,
        device: &Device,
        expected: Option<i64>,
    ) -> Result<Entry<Device>, ChangeError> {
        self.change(scope.into(), id, device, expected).await
    }

    /// Removes a device, and what was known of its bindings.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete_device(
        &self,
        scope: &TenantScope,
        id: &str,
        expected: Option<i64>,
    ) -> Result<(), ChangeError> {
        self.erase::<Device>(scope.into(), id, expected).await
    }

    /// Writes where a device is registered now, in the place of what was known.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn set_device_bindings(
        &self,
        scope: &TenantScope,
        device: &str,
        bindings: &[StoredBinding],
    ) -> Result<(), ChangeError> {
        let mut write = self.write().await?;
        let result = async {
            let mut sql = Sql::new("DELETE FROM device_bindings WHERE device_id = ");
            sql.bind(device.to_owned());
            sql.with(" AND tenant_id = ", scope.id().to_owned());
            sql.run(&mut write).await?;
            for binding in bindings {
                let mut sql = Sql::new(
                    "INSERT INTO device_bindings (device_id, tenant_id, contact, path, instance, protocol, source, call_id, \
                     sequence, user_agent, expires_at) VALUES (",
                );
                let text = |text: &str| text.replace('\0', "");
                sql.bind(device.to_owned());
                sql.with(", ", scope.id().to_owned());
                sql.with(", ", text(&binding.contact));
                sql.with(", ", text(&binding.path));
                sql.with(", ", binding.instance.as_deref().map(text));
                sql.with(", ", text(&binding.protocol));
                sql.with(", ", text(&binding.source));
                sql.with(", ", text(&binding.call_id));
                sql.with(", ", binding.sequence);
                sql.with(", ", binding.user_agent.as_deref().map(text));
                sql.with(", ", binding.expires_at.as_microsecond());
                sql.push(") ON CONFLICT DO NOTHING");
                sql.run(&mut write).await?;
            }
            Ok(())
        };
        let result = result.await;
        write.settle(result).await
    }

    /// Every binding that has not expired, with the id of its device. For the process that takes devices on.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn node_device_bindings(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(String, StoredBinding)>, ReadError> {
        let mut sql = Sql::new("SELECT * FROM device_bindings WHERE expires_at > ");
        sql.bind(now.as_microsecond());
        sql.push(" ORDER BY device_id, expires_at");
        let rows = sql.rows(self.readers()).await?;
        let read = |row: &AnyRow| {
            let binding = StoredBinding {
                contact: row.try_get("contact")?,
                path: row.try_get("path")?,
                instance: row.try_get("instance")?,
                protocol: row.try_get("protocol")?,
                source: row.try_get("source")?,
                call_id: row.try_get("call_id")?,
                sequence: row.try_get("sequence")?,
                user_agent: row.try_get("user_agent")?,
                expires_at: time(row, "expires_at")?,
            };
            Ok((row.try_get("device_id")?, binding))
        };
        let rows: sqlx::Result<Vec<_>> = rows.iter().map(read).collect();
        Ok(rows?)
    }
}

/// Active devices of active tenants, in the order of their making.
pub(crate) async fn living_devices(
    snapshot: &mut AnyConnection,
) -> Result<Vec<Entry<Device>>, ReadError> {
    let sql = Sql::new(
        "SELECT d.* FROM devices d JOIN tenants t ON t.id = d.tenant_id AND t.is_active = 1 WHERE d.is_active = 1 \
         ORDER BY d.created_at, d.id",
    );
    let rows = sql.rows_in(snapshot).await?;
    let entries: sqlx::Result<Vec<_>> = rows.iter().map(entry).collect();
    Ok(entries?)
}
