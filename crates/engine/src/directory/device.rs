//! From a stored device to its line; and where devices are registered, kept for the process that comes after this one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use call::TenantId;
use catalog::Message;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sip::digest::Algorithm;
use sip::{Binding, DeviceConfig, Protocol};
use store::{Device, Directory, Entry, StoredBinding, TenantScope};
use tokio::sync::broadcast::error::RecvError;

use super::{DirectoryConfig, Parts};
use crate::config::{
    ClientCertificates, DeviceLine, IdentityPolicy, LineConfig, LineCredentials, LineProvider,
    Secret, SrtpPolicy,
};
use crate::devices::DeviceChange;
use crate::log::say;

/// Realm of devices that name no domain.
const REALM: &str = "allo";

impl Parts {
    /// The lines of the devices. They register with the process that has the accounts, not with that of one agent.
    pub(super) async fn device_lines(&self, directory: &Directory) -> Vec<LineConfig> {
        let mut lines = Vec::new();
        if self.config.only.is_none() {
            for device in &directory.devices {
                lines.extend(self.device_line(device).await);
            }
        }
        lines
    }

    /// The line of a device; none where its password cannot be read.
    async fn device_line(&self, device: &Entry<Device>) -> Option<LineConfig> {
        let tenant = TenantId::from(device.tenant.clone()?);
        let sealed = device.password.as_ref();
        let opened = match (&self.vault, sealed) {
            (Some(vault), Some(sealed)) => vault.open(&device.id, sealed.encrypted()).await.ok(),
            (Some(_) | None, _) => None,
        };
        let Some(password) = opened else {
            say(&Message::new("log_device_left_out").with("device", device.id.as_str()));
            return None;
        };
        Some(line(device, tenant, password.expose(), &self.config))
    }
}

fn line(
    device: &Entry<Device>,
    tenant: TenantId,
    password: &str,
    config: &DirectoryConfig,
) -> LineConfig {
    let settings: Value = serde_json::from_str(&device.settings).unwrap_or_default();
    let seconds = |name: &str| settings.get(name).and_then(Value::as_u64);
    let realm = match device.domain.as_str() {
        "" => REALM.to_owned(),
        domain => domain.to_owned(),
    };
    let mut own = DeviceConfig::new(&realm, &device.username, password);
    own.bindings_max = usize::try_from(device.bindings_max).unwrap_or(1);
    match seconds("keep_alive_s") {
        Some(0) => own.keep_alive = None,
        Some(interval) => own.keep_alive = Some(Duration::from_secs(interval)),
        None => {}
    }
    let tokens = settings.get("digest").and_then(Value::as_array);
    let named = tokens.into_iter().flatten().filter_map(Value::as_str);
    let named: Vec<Algorithm> = named.filter_map(Algorithm::from_token).collect();
    if !named.is_empty() {
        own.algorithms = named;
    }
    let domain = Some(device.domain.clone())
        .filter(|domain| !domain.is_empty())
        .or_else(|| config.domain.clone())
        .or_else(|| config.contact_host.clone());
    LineConfig {
        name: device.id.clone(),
        tenant,
        agent: device.agent_id.clone().unwrap_or_default(),
        account: None,
        domain: Some(domain.unwrap_or_else(|| "allo.invalid".to_owned())),
        provider: LineProvider::Sip,
        numbers: Vec::new(),
        allow: Vec::new(),
        credentials: Some(LineCredentials {
            realm,
            username: device.username.clone(),
            password: Secret::new(password),
        }),
        srtp: settings
            .get("srtp")
            .and_then(Value::as_str)
            .and_then(SrtpPolicy::from_name)
            .unwrap_or(config.srtp),
        codecs: config.codecs.clone(),
        keypad: config.keypad,
        treatment: config.treatment,
        nat: config.nat.clone(),
        calls_max: u32::try_from(device.calls_max).unwrap_or_default(),
        certificates: ClientCertificates::default(),
        identity: IdentityPolicy::Off,
        rates: super::line::own_rate(super::line::rate(&settings)),
        sip_account: None,
        device: Some(DeviceLine {
            sip: own,
            caller_id: device.caller_id.clone(),
            joins_calls: settings.get("joins_calls").and_then(Value::as_bool) == Some(true),
        }),
    }
}

/// What the process before this one knew, once the devices are in place.
pub(super) async fn restore(parts: &Parts) {
    if parts.config.only.is_some() {
        return;
    }
    let now = (Instant::now(), Timestamp::now());
    let known = match parts.store.node_device_bindings(now.1).await {
        Ok(known) => known,
        Err(error) => {
            return say(&Message::new("log_directory_unread").with("cause", error.to_string()));
        }
    };
    let bindings: Vec<(String, Binding)> = known
        .into_iter()
        .filter_map(|(device, stored)| Some((device, taken(stored, now)?)))
        .collect();
    if !bindings.is_empty() {
        parts.engine.restore_bindings(bindings).await;
    }
}

/// Keeps the bindings until the engine is over.
pub(super) async fn follow(parts: Arc<Parts>) {
    let mut changes = parts.engine.watch_devices();
    loop {
        match changes.recv().await {
            Ok(change) => parts.keep(change).await,
            // What was missed is written with the next refresh of that device.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

impl Parts {
    async fn keep(&self, change: DeviceChange) {
        let now = (Instant::now(), Timestamp::now());
        let bindings: Vec<StoredBinding> = change
            .bindings
            .iter()
            // What came by a WebSocket is of no use to the next process: it is gone with its connection.
            .filter(|binding| !binding.protocol.is_websocket())
            .map(|binding| stored(binding, now))
            .collect();
        let scope = TenantScope::new(change.tenant);
        let written = self
            .store
            .set_device_bindings(&scope, &change.line, &bindings);
        if let Err(error) = written.await {
            // The device may just have been removed: its bindings go with it.
            say(&Message::new("log_bindings_unwritten").with("cause", error.to_string()));
        }
    }
}

fn stored(binding: &Binding, (now, wall): (Instant, Timestamp)) -> StoredBinding {
    let left = binding.expires_at.saturating_duration_since(now);
    let left = SignedDuration::try_from(left).unwrap_or(SignedDuration::ZERO);
    StoredBinding {
        contact: binding.contact.clone(),
        path: serde_json::to_string(&binding.path).unwrap_or_default(),
        instance: binding.instance.clone(),
        protocol: binding.protocol.name().to_owned(),
        source: binding.source.to_string(),
        call_id: binding.call_id.clone(),
        sequence: binding.sequence.into(),
        user_agent: binding.user_agent.clone(),
        expires_at: wall.checked_add(left).unwrap_or(wall),
    }
}

/// A stored binding as the user agent has it; `None` where it has expired or cannot be read.
fn taken(stored: StoredBinding, (now, wall): (Instant, Timestamp)) -> Option<Binding> {
    let left = Duration::try_from(stored.expires_at.duration_since(wall)).ok()?;
    Some(Binding {
        contact: stored.contact,
        path: serde_json::from_str(&stored.path).ok()?,
        instance: stored.instance,
        protocol: Protocol::from_name(&stored.protocol)?,
        source: stored.source.parse().ok()?,
        call_id: stored.call_id,
        sequence: u32::try_from(stored.sequence).ok()?,
        user_agent: stored.user_agent,
        expires_at: now + left,
        is_reachable: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_taken_as_it_was_stored() {
        let now = (Instant::now(), Timestamp::now());
        let binding = Binding {
            contact: "sip:101@192.168.1.20".to_owned(),
            path: vec!["<sip:edge.test;lr>".to_owned()],
            instance: Some("<urn:uuid:1>;1".to_owned()),
            protocol: Protocol::Tls,
            source: "[2001:db8::1]:5061".parse().expect("an address"),
            call_id: "call".to_owned(),
            sequence: 7,
            user_agent: None,
            expires_at: now.0 + Duration::from_secs(60),
            is_reachable: true,
        };
        assert_eq!(taken(stored(&binding, now), now), Some(binding.clone()));
        let later = (now.0, now.1 + SignedDuration::from_secs(61));
        assert_eq!(taken(stored(&binding, now), later), None);
    }
}
