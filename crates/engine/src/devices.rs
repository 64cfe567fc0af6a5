//! Where devices are registered, as the rest of the process needs to know it: whose addresses are known ones, which way the audio
//! of a call to a device goes, and what is told to whoever keeps it for the next process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use call::TenantId;
use sip::{Binding, DeviceId};
use tokio::sync::{broadcast, oneshot};

use crate::admission::Ban;
use crate::engine::Engine;
use crate::limits::DEVICE_CHANGES_MAX;
use crate::sip_driver::{Command, DeviceCommand};

/// A device registered, was refreshed or is gone from somewhere.
#[derive(Clone, Debug)]
pub struct DeviceChange {
    /// Name of its line: its id.
    pub line: String,
    /// Whose.
    pub tenant: TenantId,
    /// All its bindings now, the one heard of last first.
    pub bindings: Vec<Binding>,
}

/// One place where a device is registered, in words for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceBinding {
    /// URI of its Contact.
    pub contact: String,
    /// `udp`, `tcp`, `tls`, `ws` or `wss`.
    pub protocol: &'static str,
    /// Address and port that it was seen from.
    pub source: String,
    /// Whether its Contact names another host than that.
    pub is_behind_nat: bool,
    /// False once it left several keep-alives unanswered.
    pub is_reachable: bool,
    /// Proxies on the way to it.
    pub path: Vec<String>,
    /// What it calls itself.
    pub user_agent: Option<String>,
    /// Seconds until it expires.
    pub expires_in_s: u64,
}

impl DeviceBinding {
    fn of(now: Instant, binding: Binding) -> Self {
        Self {
            protocol: binding.protocol.name(),
            source: binding.source.to_string(),
            is_behind_nat: binding.is_behind_nat(),
            is_reachable: binding.is_reachable,
            expires_in_s: binding.expires_at.saturating_duration_since(now).as_secs(),
            contact: binding.contact,
            path: binding.path,
            user_agent: binding.user_agent,
        }
    }
}

/// The addresses of registered devices.
#[derive(Debug)]
pub(crate) struct Devices {
    sources: Mutex<Sources>,
    changes: broadcast::Sender<DeviceChange>,
}

/// Where each device is, and how many bindings there are of each address: every message of a stranger asks for the second.
#[derive(Debug, Default)]
struct Sources {
    of_device: BTreeMap<DeviceId, Vec<IpAddr>>,
    /// Those that a call would reach by a WebSocket.
    by_websocket: BTreeSet<DeviceId>,
    bindings: HashMap<IpAddr, usize>,
}

impl Sources {
    /// Takes the addresses of a device in the place of those before; whether it had any.
    fn set(&mut self, device: DeviceId, addresses: Vec<IpAddr>) -> bool {
        for address in &addresses {
            *self.bindings.entry(*address).or_default() += 1;
        }
        let before = if addresses.is_empty() {
            self.of_device.remove(&device)
        } else {
            self.of_device.insert(device, addresses)
        };
        let was_somewhere = before.is_some();
        for address in before.into_iter().flatten() {
            if let Some(count) = self.bindings.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    self.bindings.remove(&address);
                }
            }
        }
        was_somewhere
    }
}

impl Devices {
    pub(crate) fn new() -> Self {
        Self {
            sources: Mutex::default(),
            changes: broadcast::channel(DEVICE_CHANGES_MAX).0,
        }
    }

    /// Nothing in a change can panic, so it is never half done.
    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where a device is; whether it was anywhere before.
    pub(crate) fn note(&self, device: DeviceId, bindings: &[Binding]) -> bool {
        let addresses = bindings
            .iter()
            .map(|binding| binding.source.ip().to_canonical());
        // The registrar calls the one heard of last, those first that answer.
        let called = bindings.iter().find(|binding| binding.is_reachable);
        let called = called.or(bindings.first());
        let is_web = called.is_some_and(|binding| binding.protocol.is_websocket());
        let mut sources = self.sources();
        if is_web {
            sources.by_websocket.insert(device);
        } else {
            sources.by_websocket.remove(&device);
        }
        sources.set(device, addresses.collect())
    }

    /// Whether a device is registered from this address.
    pub(crate) fn is_source(&self, address: IpAddr) -> bool {
        self.sources()
            .bindings
            .contains_key(&address.to_canonical())
    }

    /// Whether a call to a device goes by a WebSocket.
    pub(crate) fn is_by_websocket(&self, device: DeviceId) -> bool {
        self.sources().by_websocket.contains(&device)
    }

    /// Where a device was heard from last.
    pub(crate) fn source_of(&self, device: DeviceId) -> Option<IpAddr> {
        self.sources().of_device.get(&device)?.first().copied()
    }

    pub(crate) fn tell(&self, change: DeviceChange) {
        // Nobody watching is no failure.
        let _ = self.changes.send(change);
    }
}

impl Engine {
    /// Each change of a device's bindings from now on; a slow receiver loses the oldest.
    pub(crate) fn watch_devices(&self) -> broadcast::Receiver<DeviceChange> {
        self.shared().devices.changes.subscribe()
    }

    /// Where each device is registered, by its id; those that are nowhere are not in it.
    pub async fn device_bindings(&self) -> BTreeMap<String, Vec<DeviceBinding>> {
        let (answer, bindings) = oneshot::channel();
        if !self
            .drive(Command::Devices(DeviceCommand::Bindings { answer }))
            .await
        {
            return BTreeMap::new();
        }
        let now = Instant::now();
        let shown = |(line, bindings): (String, Vec<Binding>)| {
            let bindings = bindings.into_iter();
            let bindings = bindings.map(|binding| DeviceBinding::of(now, binding));
            (line, bindings.collect())
        };
        let bindings = bindings.await.unwrap_or_default();
        bindings.into_iter().map(shown).collect()
    }

    /// Sources that are not answered now, those that have longest to wait first.
    pub fn bans(&self) -> Vec<Ban> {
        self.dispatcher().bans(Instant::now())
    }

    /// Answers a source again; whether it was banned.
    pub fn lift_ban(&self, source: IpAddr) -> bool {
        self.dispatcher().lift_ban(Instant::now(), source)
    }

    /// Puts back what an earlier process knew.
    pub(crate) async fn restore_bindings(&self, bindings: Vec<(String, Binding)>) {
        self.drive(Command::Devices(DeviceCommand::Restore(bindings)))
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_as_long_as_a_device_is_registered_from_it() {
        let mut sources = Sources::default();
        let [one, two] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        assert!(!sources.set(DeviceId(1), vec![one, one]));
        assert!(!sources.set(DeviceId(2), vec![one]));
        assert!(sources.set(DeviceId(1), vec![two]));
        assert_eq!(sources.bindings, HashMap::from([(one, 1), (two, 1)]));
        assert!(sources.set(DeviceId(2), Vec::new()));
        assert!(!sources.set(DeviceId(2), Vec::new()));
        assert_eq!(sources.bindings, HashMap::from([(two, 1)]));
        assert_eq!(sources.of_device.len(), 1);
    }
}
