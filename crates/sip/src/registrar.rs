//! The registrar: devices that sign in with us, and where each of them can be reached (RFC 3261 section 10.3).
//!
//! It knows no clock and no socket, and it proves nobody: who asks has been proven before. A binding remembers the flow that
//! it came by, so that a device behind NAT is reached the way it reached us (RFC 5626 section 5.3 without its tokens), and the
//! Path of proxies before us (RFC 3327). What comes by a WebSocket is reached by that connection alone, and is gone with it (RFC 7118). Not done:
//! GRUU, outbound's `ob`, several flows of one `reg-id`.

mod asked;
mod flows;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::config::Protocol;
use crate::digest::Algorithm;
use crate::id::{ConnectionId, DeviceId, ListenerId};
use crate::message::{NameAddr, Request, Response, Uri, name};
use crate::transport::target::NextHop;
use crate::transport::{Flow, Origin};
use asked::{Asked, Wish};
use flows::Flows;

/// Devices at once.
pub(crate) const DEVICES_MAX: usize = 20_000;
/// Bindings that a device may have at most, whatever its configuration says.
pub(crate) const BINDINGS_MAX: usize = 16;
/// Keep-alives in a row without an answer after which a device counts as not reachable.
const MISSES_MAX: u8 = 3;

/// A device as the shell knows it. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Realm of its password: its domain where several have one, else [`crate::Config::device_realm`].
    pub realm: String,
    /// User part of its address of record, and its name for the digest.
    pub username: String,
    pub password: String,
    /// Algorithms that it is challenged with, in the order of preference (RFC 8760 section 2.3); empty: MD5.
    pub algorithms: Vec<Algorithm>,
    /// Bindings at once, 1 to 16: one more takes the place of the one that was heard of longest ago.
    pub bindings_max: usize,
    /// Shortest lifetime of a binding, seconds: less is refused with 423.
    pub expires_min_s: u32,
    /// Longest lifetime of a binding, seconds: more is granted as this much.
    pub expires_max_s: u32,
    /// How often its NAT is kept open: OPTIONS over datagrams, CRLF over streams. `None`: never.
    pub keep_alive: Option<Duration>,
}

impl DeviceConfig {
    /// A device with the usual bounds: MD5, 5 bindings of 30 s to 1 h, kept alive each 30 s. MD5 alone because telephones in use give up
    /// where several challenges come together, or one that they do not know.
    #[must_use]
    pub fn new(realm: &str, username: &str, password: &str) -> Self {
        Self {
            realm: realm.to_owned(),
            username: username.to_owned(),
            password: password.to_owned(),
            algorithms: vec![Algorithm::MD5],
            bindings_max: 5,
            expires_min_s: 30,
            expires_max_s: 3_600,
            keep_alive: Some(Duration::from_secs(30)),
        }
    }

    fn has_same_identity(&self, other: &Self) -> bool {
        self.realm == other.realm
            && self.username == other.username
            && self.password == other.password
    }
}

impl crate::digest::server::Account for &DeviceConfig {
    fn parts(&self) -> (&str, &str, &str) {
        (&self.realm, &self.username, &self.password)
    }
}

impl fmt::Debug for DeviceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceConfig")
            .field("realm", &self.realm)
            .field("username", &self.username)
            .field("password", &"[redacted]")
            .field("bindings_max", &self.bindings_max)
            .field("expires_min_s", &self.expires_min_s)
            .field("expires_max_s", &self.expires_max_s)
            .field("keep_alive", &self.keep_alive)
            .finish()
    }
}

/// Where a device can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// URI of its Contact.
    pub contact: String,
    /// Proxies on the way to it, the first one first (RFC 3327).
    pub path: Vec<String>,
    /// `+sip.instance` and `reg-id` of its Contact, where it has them: a device that comes with another address is still the same.
    pub instance: Option<String>,
    pub protocol: Protocol,
    /// Where its REGISTER came from, as we saw it.
    pub source: SocketAddr,
    /// Call-ID and `CSeq` of its last REGISTER.
    pub call_id: String,
    pub sequence: u32,
    pub user_agent: Option<String>,
    pub expires_at: Instant,
    /// False once it left several keep-alives unanswered.
    pub is_reachable: bool,
}

impl Binding {
    /// Whether its Contact names another host than the one that it was heard from.
    #[must_use]
    pub fn is_behind_nat(&self) -> bool {
        let contact: Option<Uri> = self.contact.parse().ok();
        contact.and_then(|uri| uri.host_address()) != Some(self.source.ip())
    }

    /// Whether it is gone with its stream: nobody can connect to its Contact.
    fn needs_its_stream(&self) -> bool {
        self.protocol.is_websocket() || self.protocol.is_reliable() && self.is_behind_nat()
    }
}

/// Why a REGISTER was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterRefusal {
    /// Unknown user or wrong password: nobody is told which.
    Unproven,
    /// The password is one device's and the address of record another's.
    OtherIdentity,
    /// Malformed, too brief, out of order: what the status says.
    Refused(u16),
}

/// A binding at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BindingId(pub(crate) u64);

#[derive(Debug)]
struct Bound {
    id: BindingId,
    binding: Binding,
    /// How it reached us; `None` once that stream is gone.
    flow: Option<Flow>,
    misses: u8,
}

#[derive(Debug)]
struct Device {
    config: DeviceConfig,
    /// The one heard of last is the last one.
    bound: Vec<Bound>,
}

/// The way to a device.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// Request-URI.
    pub(crate) target: Uri,
    pub(crate) next_hop: NextHop,
    /// Route rows.
    pub(crate) routes: Vec<String>,
    /// The device is reached by its flow to the end of the dialog.
    pub(crate) is_pinned: bool,
}

/// What a REGISTER came to.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) response: Response,
    /// Bindings that are new or were refreshed, with the instant at which they expire.
    pub(crate) kept: Vec<(BindingId, Instant)>,
    pub(crate) removed: Vec<BindingId>,
}

/// Devices and their bindings.
#[derive(Debug, Default)]
pub(crate) struct Registrar {
    devices: BTreeMap<DeviceId, Device>,
    by_name: BTreeMap<(String, String), DeviceId>,
    owners: BTreeMap<BindingId, DeviceId>,
    /// The bindings by the flows that reach them: messages and streams that end ask for them, many more than there are REGISTERs.
    flows: Flows,
    last_binding: u64,
}

impl Registrar {
    /// Whether anybody may register.
    pub(crate) fn is_open(&self) -> bool {
        !self.devices.is_empty()
    }

    pub(crate) fn bindings_len(&self) -> usize {
        self.owners.len()
    }

    pub(crate) fn index_len(&self) -> usize {
        self.flows.len()
    }

    /// Adds a device or changes it; the bindings that it loses by that. Another password is another key: nothing that the old
    /// one opened stays.
    pub(crate) fn set(&mut self, id: DeviceId, mut config: DeviceConfig) -> Vec<BindingId> {
        config.bindings_max = config.bindings_max.clamp(1, BINDINGS_MAX);
        if config.algorithms.is_empty() {
            config.algorithms.push(Algorithm::MD5);
        }
        let known = self.devices.get(&id);
        let is_same = known.is_some_and(|known| known.config.has_same_identity(&config));
        let lost = if is_same { Vec::new() } else { self.remove(id) };
        if self.devices.len() >= DEVICES_MAX && !self.devices.contains_key(&id) {
            return lost;
        }
        let name = (config.realm.clone(), config.username.clone());
        if self.by_name.get(&name).is_some_and(|known| *known != id) {
            return lost;
        }
        self.by_name.insert(name, id);
        let device = self.devices.entry(id).or_insert_with(|| Device {
            config: config.clone(),
            bound: Vec::new(),
        });
        device.config = config;
        lost
    }

    /// Forgets a device; the bindings that it had.
    pub(crate) fn remove(&mut self, id: DeviceId) -> Vec<BindingId> {
        let Some(device) = self.devices.remove(&id) else {
            return Vec::new();
        };
        self.by_name
            .remove(&(device.config.realm, device.config.username));
        for bound in &device.bound {
            self.owners.remove(&bound.id);
            self.flows.leave(bound.flow, bound.id);
        }
        device.bound.into_iter().map(|bound| bound.id).collect()
    }

    /// The device of a name in a realm.
    pub(crate) fn find(&self, realm: &str, username: &str) -> Option<(DeviceId, &DeviceConfig)> {
        let name = (realm.to_owned(), username.to_owned());
        let id = *self.by_name.get(&name)?;
        Some((id, &self.devices.get(&id)?.config))
    }

    /// What somebody of this name is challenged with; strangers as the usual device.
    pub(crate) fn algorithms(&self, realm: &str, username: &str) -> Vec<Algorithm> {
        let own = self.find(realm, username);
        own.map_or_else(|| vec![Algorithm::MD5], |(_, own)| own.algorithms.clone())
    }

    pub(crate) fn config(&self, id: DeviceId) -> Option<&DeviceConfig> {
        Some(&self.devices.get(&id)?.config)
    }

    /// Whether a device has this realm.
    pub(crate) fn has_realm(&self, realm: &str) -> bool {
        let from = (realm.to_owned(), String::new());
        self.by_name
            .range(from..)
            .next()
            .is_some_and(|((known, _), _)| known == realm)
    }

    /// The bindings of a device, the one heard of last first.
    pub(crate) fn bindings(&self, id: DeviceId) -> Vec<Binding> {
        let device = self.devices.get(&id);
        let bound = device
            .into_iter()
            .flat_map(|device| device.bound.iter().rev());
        bound.map(|bound| bound.binding.clone()).collect()
    }

    /// Does what a proven REGISTER asks for: all of it or nothing.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        id: DeviceId,
        request: &Request,
        origin: &Origin,
    ) -> Registered {
        let refused = |response| Registered {
            response,
            kept: Vec::new(),
            removed: Vec::new(),
        };
        let Some(device) = self.devices.get(&id) else {
            return refused(Response::to(request, 403));
        };
        let asked = match asked::read(request, &device.config) {
            Ok(asked) => asked,
            Err(response) => return refused(response),
        };
        let heard = Heard::read(request, origin);
        if device.is_out_of_order(&asked, &heard) {
            return refused(Response::to(request, 500));
        }
        let (kept, removed) = match asked {
            Asked::Nothing => (Vec::new(), Vec::new()),
            Asked::RemoveAll => (Vec::new(), self.remove_bindings(id, |_| true)),
            Asked::Change(wishes) => self.change(now, id, wishes, &heard),
        };
        let mut response = Response::to(request, 200);
        self.list(now, id, &mut response);
        if request.headers.supports("path") {
            for hop in &heard.path {
                response.headers.push(name::PATH, hop);
            }
        }
        Registered {
            response,
            kept,
            removed,
        }
    }

    fn change(
        &mut self,
        now: Instant,
        id: DeviceId,
        wishes: Vec<Wish>,
        heard: &Heard,
    ) -> (Vec<(BindingId, Instant)>, Vec<BindingId>) {
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        for wish in wishes {
            let known = self.known(id, &wish);
            if wish.expires_s == 0 {
                removed.extend(self.remove_bindings(id, |bound| Some(bound.id) == known));
                continue;
            }
            let expires_at = now + Duration::from_secs(wish.expires_s.into());
            let binding = known.unwrap_or_else(|| {
                self.last_binding += 1;
                BindingId(self.last_binding)
            });
            self.remove_bindings(id, |bound| bound.id == binding);
            self.owners.insert(binding, id);
            self.flows.enter(Some(heard.flow), binding);
            if let Some(device) = self.devices.get_mut(&id) {
                device.bound.push(Bound {
                    id: binding,
                    binding: heard.binding(wish, expires_at),
                    flow: Some(heard.flow),
                    misses: 0,
                });
            }
            kept.push((binding, expires_at));
        }
        removed.extend(self.make_room(id));
        kept.retain(|(binding, _)| !removed.contains(binding));
        (kept, removed)
    }

    fn known(&self, id: DeviceId, wish: &Wish) -> Option<BindingId> {
        let device = self.devices.get(&id)?;
        let found = device.bound.iter().find(|bound| wish.is_of(&bound.binding));
        found.map(|bound| bound.id)
    }

    /// Those heard of longest ago go.
    fn make_room(&mut self, id: DeviceId) -> Vec<BindingId> {
        let Some(device) = self.devices.get(&id) else {
            return Vec::new();
        };
        let over = device
            .bound
            .len()
            .saturating_sub(device.config.bindings_max);
        let oldest: Vec<BindingId> = device
            .bound
            .iter()
            .take(over)
            .map(|bound| bound.id)
            .collect();
        self.remove_bindings(id, |bound| oldest.contains(&bound.id))
    }

    fn remove_bindings(&mut self, id: DeviceId, which: impl Fn(&Bound) -> bool) -> Vec<BindingId> {
        let Some(device) = self.devices.get_mut(&id) else {
            return Vec::new();
        };
        let (gone, stay) = std::mem::take(&mut device.bound)
            .into_iter()
            .partition(&which);
        device.bound = stay;
        let gone: Vec<Bound> = gone;
        for bound in &gone {
            self.owners.remove(&bound.id);
            self.flows.leave(bound.flow, bound.id);
        }
        gone.into_iter().map(|bound| bound.id).collect()
    }

    /// All bindings with what is left of them, as the 200 says them (RFC 3261 section 10.3, step 8).
    fn list(&self, now: Instant, id: DeviceId, response: &mut Response) {
        for binding in self.bindings(id) {
            let Ok(uri) = binding.contact.parse::<Uri>() else {
                continue;
            };
            let left = binding.expires_at.saturating_duration_since(now);
            let left_s = left.as_millis().div_ceil(1_000).to_string();
            let mut contact = NameAddr::new(uri);
            contact.params.set("expires", Some(&left_s));
            response.headers.push(name::CONTACT, contact);
        }
    }

    /// Puts a binding back that an earlier process had. `listener` is where its datagrams would come in; a stream of that
    /// process is gone, so its device is called at its Contact until it comes again.
    pub(crate) fn restore(
        &mut self,
        now: Instant,
        id: DeviceId,
        binding: Binding,
        listener: Option<ListenerId>,
    ) -> Option<(BindingId, Instant)> {
        let device = self.devices.get_mut(&id)?;
        let is_known = device
            .bound
            .iter()
            .any(|bound| bound.binding.contact == binding.contact);
        let is_lost = binding.needs_its_stream();
        let is_full = device.bound.len() >= device.config.bindings_max;
        if is_known || is_lost || is_full || binding.expires_at <= now {
            return None;
        }
        let flow = listener
            .filter(|_| !binding.protocol.is_reliable())
            .map(|listener| Flow::Datagram {
                listener,
                remote: binding.source,
            });
        self.last_binding += 1;
        let restored = BindingId(self.last_binding);
        let expires_at = binding.expires_at;
        device.bound.insert(
            0,
            Bound {
                id: restored,
                binding,
                flow,
                misses: 0,
            },
        );
        self.owners.insert(restored, id);
        self.flows.enter(flow, restored);
        Some((restored, expires_at))
    }

    /// A binding ran out.
    pub(crate) fn expire(&mut self, binding: BindingId) -> Option<DeviceId> {
        let id = *self.owners.get(&binding)?;
        self.remove_bindings(id, |bound| bound.id == binding);
        Some(id)
    }

    /// A stream is gone: the devices that lose a binding by it, with the bindings. One behind NAT cannot be reached until it
    /// comes again; another one is called at its Contact.
    pub(crate) fn stream_lost(
        &mut self,
        connection: ConnectionId,
    ) -> Vec<(DeviceId, Vec<BindingId>)> {
        let lost = Flow::Stream { connection };
        let mut changes = Vec::new();
        for id in self.devices_over(lost) {
            let is_dead =
                |bound: &Bound| bound.flow == Some(lost) && bound.binding.needs_its_stream();
            let dead = self.remove_bindings(id, is_dead);
            if !dead.is_empty() {
                changes.push((id, dead));
            }
            let device = self.devices.get_mut(&id);
            for bound in device.into_iter().flat_map(|device| &mut device.bound) {
                if bound.flow == Some(lost) {
                    self.flows.leave(bound.flow.take(), bound.id);
                }
            }
        }
        changes
    }

    /// Whether a device registered over this flow.
    pub(crate) fn is_flow(&self, flow: Flow) -> bool {
        self.flows.over(flow).next().is_some()
    }

    /// Whether a device is reached over this flow and by nothing else: its Contact may be an address behind its NAT.
    pub(crate) fn is_way(&self, flow: Flow) -> bool {
        let mut bound = self.flows.over(flow);
        bound.any(|binding| {
            self.bound(binding)
                .is_some_and(|(_, bound)| bound.is_pinned())
        })
    }

    /// The devices that registered over this flow, each once.
    fn devices_over(&self, flow: Flow) -> Vec<DeviceId> {
        let bound = self.flows.over(flow);
        let mut devices: Vec<DeviceId> = bound
            .filter_map(|binding| self.owners.get(&binding).copied())
            .collect();
        devices.sort_unstable();
        devices.dedup();
        devices
    }

    /// The device that registered over this flow, where it is one alone.
    pub(crate) fn registered_over(&self, flow: Flow) -> Option<DeviceId> {
        match self.devices_over(flow)[..] {
            [id] => Some(id),
            _ => None,
        }
    }

    fn bound(&self, binding: BindingId) -> Option<(&DeviceConfig, &Bound)> {
        let device = self.devices.get(self.owners.get(&binding)?)?;
        let found = device.bound.iter().find(|bound| bound.id == binding)?;
        Some((&device.config, found))
    }

    /// How often a binding is kept alive, its flow, and the way to it.
    pub(crate) fn keep_alive(
        &self,
        binding: BindingId,
    ) -> Option<(Duration, Option<Flow>, Option<Way>)> {
        let (config, bound) = self.bound(binding)?;
        Some((config.keep_alive?, bound.flow, bound.way(None)))
    }

    /// Notes whether a keep-alive was answered; the device where that changes what is thought of it.
    pub(crate) fn note_answer(&mut self, binding: BindingId, answered: bool) -> Option<DeviceId> {
        let id = *self.owners.get(&binding)?;
        let device = self.devices.get_mut(&id)?;
        let bound = device.bound.iter_mut().find(|bound| bound.id == binding)?;
        bound.misses = if answered {
            0
        } else {
            bound.misses.saturating_add(1)
        };
        let is_reachable = bound.misses < MISSES_MAX;
        let is_new = bound.binding.is_reachable != is_reachable;
        bound.binding.is_reachable = is_reachable;
        is_new.then_some(id)
    }

    /// The way to a device: to the binding heard of last, those that answer first. `number` is dialled through it.
    pub(crate) fn way(&self, id: DeviceId, number: Option<&str>) -> Option<Way> {
        let device = self.devices.get(&id)?;
        let mut bound: Vec<&Bound> = device.bound.iter().rev().collect();
        bound.sort_by_key(|bound| !bound.binding.is_reachable);
        bound.into_iter().find_map(|bound| bound.way(number))
    }
}

impl Device {
    /// RFC 3261 section 10.3, steps 6 and 7: a REGISTER of the same Call-ID must carry a higher `CSeq`.
    fn is_out_of_order(&self, asked: &Asked, heard: &Heard) -> bool {
        let is_late = |bound: &Bound| {
            bound.binding.call_id == heard.call_id && bound.binding.sequence >= heard.sequence
        };
        self.bound.iter().any(|bound| match asked {
            Asked::Nothing => false,
            Asked::RemoveAll => is_late(bound),
            Asked::Change(wishes) => {
                is_late(bound) && wishes.iter().any(|wish| wish.is_of(&bound.binding))
            }
        })
    }
}

impl Bound {
    /// Reached over its flow to the end.
    fn is_pinned(&self) -> bool {
        let is_stream = matches!(self.flow, Some(Flow::Stream { .. }));
        self.binding.path.is_empty() && (is_stream || self.binding.is_behind_nat())
    }

    fn way(&self, number: Option<&str>) -> Option<Way> {
        let mut target: Uri = self.binding.contact.parse().ok()?;
        target.headers = None;
        target.params.remove("method");
        if let Some(number) = number {
            target.user = Some(number.to_owned());
        }
        let is_pinned = self.is_pinned();
        let first = match self.binding.path.first() {
            Some(hop) => hop.parse::<NameAddr>().ok()?.uri,
            None => target.clone(),
        };
        let listener = match self.flow {
            Some(Flow::Datagram { listener, .. }) => Some(listener),
            Some(Flow::Stream { .. }) | None => None,
        };
        let next_hop = NextHop {
            flow: self.flow.filter(|_| is_pinned),
            protocol: Some(self.binding.protocol),
            listener,
            ..NextHop::to(first)
        };
        Some(Way {
            target,
            next_hop,
            routes: self.binding.path.clone(),
            is_pinned,
        })
    }
}

/// What all bindings of one REGISTER have in common.
#[derive(Debug)]
struct Heard {
    path: Vec<String>,
    protocol: Protocol,
    source: SocketAddr,
    flow: Flow,
    call_id: String,
    sequence: u32,
    user_agent: Option<String>,
}

impl Heard {
    fn read(request: &Request, origin: &Origin) -> Self {
        let headers = &request.headers;
        Self {
            path: asked::path(headers),
            protocol: origin.protocol,
            source: origin.remote,
            flow: origin.flow,
            call_id: headers.call_id().unwrap_or_default().to_owned(),
            sequence: headers.cseq().map_or(0, |cseq| cseq.sequence),
            user_agent: headers.get(name::USER_AGENT).map(asked::shortened),
        }
    }

    fn binding(&self, wish: Wish, expires_at: Instant) -> Binding {
        Binding {
            contact: wish.uri.to_string(),
            path: self.path.clone(),
            instance: wish.instance,
            protocol: self.protocol,
            source: self.source,
            call_id: self.call_id.clone(),
            sequence: self.sequence,
            user_agent: self.user_agent.clone(),
            expires_at,
            is_reachable: true,
        }
    }
}
